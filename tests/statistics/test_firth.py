"""Firth's Cox model equals R's `coxphf`, also where a likelihood is monotone or a profile nearly flat."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from firthmodels import FirthCoxPH
from formulaic import model_matrix
from hypothesis import example, given, settings, strategies as st
from scipy import optimize, stats

from npcbook.statistics.cox import fit_cox
from npcbook.statistics.firth import fit_cox_or_firth, fit_firth_cox

STATISTICS = Path(__file__).parents[1] / "reference" / "statistics"
CASES = json.loads((STATISTICS / "firth" / "cases.json").read_text())["cases"]


def read(case):
    """Return time, event and covariates of a reference case."""
    arguments = case["arguments"]
    df = pd.read_csv(STATISTICS / case["input"])
    parts = {part for term in arguments["terms"] for part in term.split(":")}
    df = df.dropna(subset=[arguments["time"], arguments["event"], *parts]).reset_index(drop=True)
    for column, levels in (arguments["factor_levels"] or {}).items():
        df[column] = pd.Categorical(df[column].astype(str), levels)
    design = pd.DataFrame(model_matrix(" + ".join(arguments["terms"]), df)).drop(columns="Intercept")
    return df[arguments["time"]], df[arguments["event"]], design.astype(float)


def simulated(n, events, seed, p=2):
    """Return data with few events and a rare first covariate."""
    rng = np.random.default_rng(seed)
    x = pd.DataFrame(rng.normal(size=(n, p)), columns=list("abcdef")[:p])
    x["a"] = np.where(np.arange(n) < max(3, n // 12), 1.0, 0.0)
    time = rng.exponential(60, n) + 0.1
    event = np.zeros(n, int)
    event[rng.choice(n, events, replace=False)] = 1
    return time, event, x


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_fit_equals_coxphf(case):
    time, event, covariates = read(case)
    expected = case["results"]
    fit = fit_firth_cox(time, event, covariates, alpha=case["arguments"]["alpha"])
    assert (fit.n_patients, fit.n_events) == (expected["n"], expected["events"])
    rows = expected["coefficients"]
    se = np.array([row["se"] for row in rows])
    # coxphf itself stops within about 1e-7 standard errors of the maximum.
    for ours, theirs in (("coef", "coef"), ("se", "se")):
        assert (np.abs(getattr(fit, ours) - [row[theirs] for row in rows]) / se).max() < 1e-6
    for ours, theirs in (("coef_low", "coef_lower"), ("coef_high", "coef_upper")):
        assert (np.abs(getattr(fit, ours) - [row["profile"][theirs] for row in rows]) / se).max() < 1e-6
    np.testing.assert_allclose(fit.hr_low, [row["profile"]["hr_lower"] for row in rows], rtol=1e-6)
    np.testing.assert_allclose(fit.hr_high, [row["profile"]["hr_upper"] for row in rows], rtol=1e-5)
    p_values = [row["profile"]["p"] or row["profile"]["p_independent"] for row in rows]
    np.testing.assert_allclose(fit.p_value, p_values, rtol=1e-6)
    assert fit.loglik == pytest.approx(expected["penalized_loglik"]["model"], rel=1e-10)
    assert fit.loglik_null == pytest.approx(expected["penalized_loglik"]["null"], rel=1e-10)
    assert fit.lr_statistic == pytest.approx(expected["lr_test"]["stat"], rel=1e-8)
    assert fit.lr_p_value == pytest.approx(expected["lr_test"]["p"], rel=1e-6)


@pytest.mark.parametrize("case", CASES[::3], ids=lambda case: case["name"])
def test_agrees_with_firthmodels_where_that_converges(case):
    time, event, covariates = read(case)
    fit = fit_firth_cox(time, event, covariates)
    theirs = FirthCoxPH(max_iter=500, gtol=1e-7, xtol=1e-8, max_halfstep=25)
    theirs.fit(covariates.to_numpy(), (event.to_numpy() == 1, time.to_numpy(dtype=float)))
    np.testing.assert_allclose(fit.coef, theirs.coef_, rtol=1e-5, atol=1e-7)
    limits = theirs.conf_int(method="pl", tol=1e-9, max_iter=300)
    np.testing.assert_allclose(np.column_stack([fit.coef_low, fit.coef_high]), limits, rtol=1e-5, atol=1e-7)


def penalised_loglik(time, event, x, beta):
    """Return the definition of the penalised likelihood, written out event by event."""
    value, information = 0.0, 0.0
    for t, row in zip(time[event == 1], x[event == 1], strict=True):
        at_risk = x[time >= t]
        weight = np.exp(at_risk @ beta)
        mean = weight @ at_risk / weight.sum()
        value += row @ beta - np.log(weight.sum())
        information = information + (at_risk.T * weight) @ at_risk / weight.sum() - np.outer(mean, mean)
    return value + np.linalg.slogdet(np.atleast_2d(information))[1] / 2


@pytest.mark.parametrize(
    ("n", "events", "seed"), [(30, 2, 0), (60, 2, 1), (60, 5, 2), (120, 2, 3), (300, 9, 4)]
)
def test_every_limit_lies_where_the_profile_has_fallen_enough(n, events, seed):
    # Nearly flat profiles: with two events in the common group, say, firthmodels raises or misses the limit.
    time, event, covariates = simulated(n, events, seed)
    fit = fit_firth_cox(time, event, covariates)
    x = covariates.to_numpy() - covariates.to_numpy().mean(axis=0)
    drop = stats.chi2.isf(0.05, 1) / 2
    assert penalised_loglik(time, event, x, fit.coef) == pytest.approx(fit.loglik, abs=1e-8)
    for j in range(2):
        for limit in (fit.coef_low[j], fit.coef_high[j]):

            def minus_profile(other, j=j, limit=limit):
                return -penalised_loglik(time, event, x, np.insert([float(other)], j, limit))

            grid = np.linspace(-40, 40, 161)
            start = grid[np.argmin([minus_profile(other) for other in grid])]
            best = optimize.minimize_scalar(
                minus_profile, bounds=(start - 0.5, start + 0.5), method="bounded"
            )
            assert best.fun + fit.loglik == pytest.approx(drop, abs=1e-5)


def test_one_binary_covariate_without_events_in_one_arm():
    # One event among n at risk of whom m are exposed, the event unexposed: the likelihood 1 / (m r + n - m)
    # times sqrt(m r (n - m)) / (m r + n - m) is highest at r = (n - m) / (3 m).
    fit = fit_firth_cox([1, 2, 3, 4], [1, 0, 0, 0], [0, 1, 0, 1])
    assert fit.hr[0] == pytest.approx(1 / 3, rel=1e-7)
    assert fit.hr_low[0] < 1 < fit.hr_high[0]


def test_firth_stands_in_only_where_the_likelihood_is_monotone():
    time, event, x = simulated(200, 60, seed=3)
    fit = fit_cox_or_firth(time, event, x)
    assert fit.method == "Cox"
    np.testing.assert_array_equal(fit.coef, fit_cox(time, event, x).coef)
    event = np.where(x["a"] == 1, 0, event)
    fit = fit_cox_or_firth(time, event, x)
    assert fit.method == "Firth"
    np.testing.assert_array_equal(fit.coef, fit_firth_cox(time, event, x).coef)


def test_close_to_the_usual_fit_with_many_events():
    rng = np.random.default_rng(2)
    x = rng.normal(size=3000)
    time = rng.exponential(np.exp(-0.5 * x))
    firth, usual = (fit(time, np.ones(3000), x) for fit in (fit_firth_cox, fit_cox))
    assert firth.coef[0] == pytest.approx(usual.coef[0], abs=2e-3)
    assert firth.hr_low[0] == pytest.approx(usual.hr_low[0], rel=2e-3)


def test_penalised_likelihood_ratio_holds_its_level():
    rng = np.random.default_rng(5)
    rejected = []
    for _ in range(1000):
        # 575 patients, about 38 events, one in five at high risk
        time, high = rng.exponential(870, 575), np.arange(575) % 5 == 0
        rejected.append(fit_firth_cox(np.minimum(time, 60), time < 60, high).p_value[0] < 0.05)
    assert 0.035 < np.mean(rejected) < 0.065


@given(seed=st.integers(0, 1000), scale=st.floats(-9, 9).map(lambda power: 10**power))
@example(seed=0, scale=1e-9)
@example(seed=0, scale=1e9)
@settings(max_examples=13, deadline=None)
def test_row_order_units_and_direction(seed, scale):
    time, event, covariates = simulated(60, 8, seed)
    fit = fit_firth_cox(time, event, covariates)
    order = np.random.default_rng(seed).permutation(60)
    again = fit_firth_cox(time[order] * scale, event[order], covariates.iloc[order] * [1, -scale])
    np.testing.assert_allclose(again.coef * [1, -scale], fit.coef, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again.p_value, fit.p_value, rtol=1e-5, atol=1e-8)
    assert again.coef_low[1] * -scale == pytest.approx(fit.coef_high[1], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"event": np.zeros(4)}, "event is 0 for all 4"),
        ({"time": [1, 2, np.nan, 4]}, "time has 1 missing"),
        ({"covariates": [1, 1, 1, 1]}, "same value"),
        ({"covariates": [0, 0, 0]}, "covariates has 3"),
        ({"event": [0, 0, 0, 1]}, "do not vary among the patients at risk"),
        ({"alpha": 0}, "alpha is 0"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {"time": [1, 2, 3, 4], "event": [1, 0, 1, 0], "covariates": [0, 1, 0, 1]} | changes
    with pytest.raises(ValueError, match=message):
        fit_firth_cox(**arguments)


def test_strata_multiply_their_likelihoods_before_the_penalty():
    time, event, x = simulated(160, 14, 11)
    strata = np.arange(160) % 2
    fit = fit_firth_cox(time, event, x, strata=strata)
    values = x.to_numpy() - x.to_numpy().mean(axis=0)

    def minus(beta):
        parts = [penalised_loglik(time[s], event[s], values[s], beta) for s in (strata == 0, strata == 1)]
        # Each part holds half the log determinant of its own information; the penalty is that of the sum.
        each, together = (
            sum(half_log_determinants(time, event, values, beta, strata, k)) for k in (True, False)
        )
        return -(sum(parts) - each + together)

    best = optimize.minimize(
        minus, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12}
    )
    np.testing.assert_allclose(fit.coef, best.x, atol=1e-5)
    assert fit.loglik == pytest.approx(-best.fun, abs=1e-8)


def half_log_determinants(time, event, x, beta, strata, each):
    """Return half the log determinants of the information of each stratum, or of their sum."""
    found = []
    for code in np.unique(strata):
        rows, information = strata == code, 0.0
        for t in time[rows][event[rows] == 1]:
            at_risk = x[rows][time[rows] >= t]
            weight = np.exp(at_risk @ beta)
            mean = weight @ at_risk / weight.sum()
            information = information + (at_risk.T * weight) @ at_risk / weight.sum() - np.outer(mean, mean)
        found.append(information)
    return [np.linalg.slogdet(i)[1] / 2 for i in (found if each else [sum(found)])]


def test_one_stratum_is_none_and_strata_keep_baseline_hazards_apart():
    time, event, x = simulated(200, 40, 7)
    one = fit_firth_cox(time, event, x, strata=["a"] * 200)
    np.testing.assert_allclose(one.coef, fit_firth_cox(time, event, x).coef, rtol=1e-12)
    # Time in another unit in one of two strata changes nothing.
    strata = np.arange(200) % 2
    apart = fit_firth_cox(time, event, x, strata=strata)
    again = fit_firth_cox(np.where(strata == 1, 30 * time, time), event, x, strata=strata)
    np.testing.assert_allclose(again.hr_high, apart.hr_high, rtol=1e-6)
    np.testing.assert_allclose(apart.coef, fit_cox(time, event, x, strata=strata).coef, atol=0.1)
