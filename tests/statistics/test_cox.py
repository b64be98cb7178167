"""Cox regression and its test of proportional hazards equal R's `survival`."""

import json
from pathlib import Path

import lifelines
import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix
from hypothesis import example, given, settings, strategies as st
from scipy.stats import chi2
from statsmodels.duration.hazard_regression import PHReg

from npcbook.statistics.cox import fit_cox, univariable_cox
from npcbook.statistics.data import read_covariates
from npcbook.statistics.firth import fit_cox_or_firth

STATISTICS = Path(__file__).parents[1] / "reference" / "statistics"
CASES = json.loads((STATISTICS / "coxph" / "cases.json").read_text())["cases"]
DIVERGES = [case for case in CASES if "DIVERGES" in case["name"]]
REGULAR = [case for case in CASES if "DIVERGES" not in case["name"]]


def read(case):
    """Return time, event, covariates and the options of a reference case."""
    arguments = case["arguments"]
    df = pd.read_csv(STATISTICS / case["input"])
    extra = [arguments[k] for k in ("strata", "case_weights") if arguments.get(k)]
    parts = {part for term in arguments["terms"] for part in term.split(":")}
    df = df.dropna(subset=[arguments["time"], arguments["event"], *extra, *parts]).reset_index(drop=True)
    for column, levels in (arguments["factor_levels"] or {}).items():
        df[column] = pd.Categorical(df[column].astype(str), levels)
    design = model_matrix(" + ".join(arguments["terms"]), df)
    options = {"ties": arguments["ties"]}
    options |= {"strata": df[arguments["strata"]]} if arguments["strata"] else {}
    options |= {"weights": df[arguments["case_weights"]]} if arguments["case_weights"] else {}
    covariates = pd.DataFrame(design).drop(columns="Intercept").astype(float)
    return df[arguments["time"]], df[arguments["event"]], covariates, options


def simulated(n=200, events=0.2, seed=0, p=3):
    rng = np.random.default_rng(seed)
    x = pd.DataFrame(rng.normal(size=(n, p)), columns=list("abcdefg")[:p])
    time = np.round(rng.exponential(50 * np.exp(-0.7 * x["a"])), 1) + 0.1
    return time, (rng.random(n) < events).astype(int), x


@pytest.mark.parametrize("case", REGULAR, ids=lambda case: case["name"])
def test_fit_equals_coxph(case):
    time, event, covariates, options = read(case)
    fit, expected = fit_cox(time, event, covariates, **options), case["results"]
    assert (fit.n_patients, fit.n_events) == (expected["n"], expected["events"])
    columns = {"coef": "coef", "se": "se", "z": "z", "p_value": "p", "hr": "hr"}
    columns |= {"hr_low": "hr_lower95", "hr_high": "hr_upper95"}
    for ours, theirs in columns.items():
        np.testing.assert_allclose(
            getattr(fit, ours), [row[theirs] for row in expected["coefficients"]], rtol=1e-8, atol=1e-15
        )
    np.testing.assert_allclose(fit.covariance, expected["covariance"], rtol=1e-8)
    assert fit.loglik == pytest.approx(expected["loglik"], rel=1e-10)
    assert fit.loglik_null == pytest.approx(expected["loglik_null"], rel=1e-10)
    for name in ("lr", "score", "wald"):
        theirs = expected[f"{name}_test"]
        assert getattr(fit, f"{name}_statistic") == pytest.approx(theirs["stat"], rel=1e-8)
        assert getattr(fit, f"{name}_p_value") == pytest.approx(theirs["p"], rel=1e-6)
    if "robust_se" in expected:
        np.testing.assert_allclose(fit.robust_se, expected["robust_se"], rtol=1e-8)


@pytest.mark.parametrize("case", REGULAR, ids=lambda case: case["name"])
def test_proportional_hazards_test_equals_cox_zph(case):
    time, event, covariates, options = read(case)
    fit = fit_cox(time, event, covariates, **options)
    *expected, overall = case["results"]["zph"]["km__by_coefficient"]
    np.testing.assert_allclose(fit.ph_statistic, [row["chisq"] for row in expected], rtol=1e-7)
    np.testing.assert_allclose(fit.ph_p_value, [row["p"] for row in expected], rtol=1e-6)
    assert fit.ph_global_statistic == pytest.approx(overall["chisq"], rel=1e-7)
    assert fit.ph_global_p == pytest.approx(overall["p"], rel=1e-6)


@pytest.mark.parametrize("case", DIVERGES, ids=lambda case: case["name"])
def test_monotone_likelihood_is_an_error_or_reported(case):
    time, event, covariates, options = read(case)
    with pytest.raises(ValueError, match="hazard ratio of marker has no finite estimate") as caught:
        fit_cox(time, event, covariates, **options)
    assert "firth" in caught.value.__notes__[0]
    fit = fit_cox(time, event, covariates, on_monotone="report", **options)
    assert fit.monotone == ("marker",)
    assert fit.loglik == pytest.approx(case["results"]["loglik"], rel=1e-9)
    assert fit.lr_p_value == pytest.approx(case["results"]["lr_test"]["p"], rel=1e-6)


def test_agrees_with_lifelines_and_statsmodels():
    time, event, covariates = simulated(300, 0.4)
    fit = fit_cox(time, event, covariates)
    df = covariates.assign(time=time, event=event)
    theirs = lifelines.CoxPHFitter().fit(df, "time", "event", fit_options={"precision": 1e-10})
    np.testing.assert_allclose(fit.coef, theirs.params_, rtol=1e-7)
    np.testing.assert_allclose(fit.se, theirs.standard_errors_, rtol=1e-6)
    # lifelines' robust errors are approximate where times are tied.
    df["time"] += np.arange(300) * 1e-6
    robust = lifelines.CoxPHFitter().fit(df, "time", "event", robust=True, fit_options={"precision": 1e-10})
    fit = fit_cox(df["time"], event, covariates)
    np.testing.assert_allclose(fit.robust_se, robust.standard_errors_, rtol=1e-6)
    breslow = PHReg(time, covariates, event, ties="breslow").fit()
    np.testing.assert_allclose(
        fit_cox(time, event, covariates, ties="breslow").coef, breslow.params, rtol=1e-7
    )


def test_by_hand():
    # Events at 1 (x = 1 among 1, 0, 1) and 2 (x = 0 among 0, 1): with r = exp(b) the likelihood is
    # r / (2 r + 1) * 1 / (1 + r), highest where r = 1 / sqrt(2).
    fit = fit_cox([1, 2, 3], [1, 1, 0], [1, 0, 1])
    assert fit.hr[0] == pytest.approx(1 / np.sqrt(2), rel=1e-9)
    assert fit.loglik_null == pytest.approx(-np.log(3) - np.log(2))


def test_risk_is_the_uncentred_linear_predictor():
    time, event, covariates = simulated()
    fit = fit_cox(time, event, covariates)
    np.testing.assert_allclose(fit.risk(covariates[["c", "a", "b"]]), covariates @ fit.coef)
    np.testing.assert_allclose(fit.risk(covariates.to_numpy()), covariates @ fit.coef)
    with pytest.raises(ValueError, match=r"\['b', 'c'\] have missing"):
        fit.risk(covariates[["a"]])
    assert fit.summary()["covariate"].tolist() == ["a", "b", "c"]


@given(seed=st.integers(0, 1000), scale=st.floats(-9, 9).map(lambda power: 10**power))
@example(seed=0, scale=1e-9)
@example(seed=0, scale=1e9)
@settings(max_examples=18, deadline=None)
def test_row_order_units_and_duplicates(seed, scale):
    time, event, covariates = simulated(80, 0.4, seed)
    fit = fit_cox(time, event, covariates)
    order = np.random.default_rng(seed).permutation(len(time))
    shuffled = fit_cox(time[order] * scale, event[order], covariates.iloc[order])
    np.testing.assert_allclose(shuffled.coef, fit.coef, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(shuffled.ph_p_value, fit.ph_p_value, rtol=1e-6)
    other_units = fit_cox(time, event, covariates * [scale, 1, -1])
    np.testing.assert_allclose(other_units.coef * [scale, 1, -1], fit.coef, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(other_units.se * [scale, 1, 1], fit.se, rtol=1e-7)
    # With Breslow's ties every patient twice is the same as every weight 2.
    twice = fit_cox(np.tile(time, 2), np.tile(event, 2), pd.concat([covariates] * 2), ties="breslow")
    weighted = fit_cox(time, event, covariates, weights=np.full(len(time), 2.0), ties="breslow")
    np.testing.assert_allclose(twice.coef, weighted.coef, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(twice.se, weighted.se, rtol=1e-7)


def test_recovers_the_planted_hazard_ratio():
    rng = np.random.default_rng(1)
    x = rng.normal(size=4000)
    time = rng.exponential(np.exp(-0.7 * x))
    fit = fit_cox(np.minimum(time, 2), time < 2, x)
    assert abs(fit.coef[0] - 0.7) < 3 * fit.se[0]
    assert fit.ph_p_value[0] > 0.001


def test_tests_hold_their_level():
    rng = np.random.default_rng(5)
    p_values = []
    for _ in range(1000):
        # 575 patients, about 38 events
        time, x = rng.exponential(870, 575), rng.normal(size=575)
        fit = fit_cox(np.minimum(time, 60), time < 60, x)
        p_values.append([fit.p_value[0], fit.lr_p_value, fit.score_p_value, fit.ph_p_value[0]])
    rejected = (np.array(p_values) < 0.05).mean(axis=0)
    assert ((rejected > 0.035) & (rejected < 0.065)).all(), rejected


def test_univariable_fits_equal_single_fits():
    time, event, covariates = simulated(150, 0.4, p=7)
    table = univariable_cox(np.ceil(time / 5), event, covariates)
    for name in covariates:
        fit = fit_cox(np.ceil(time / 5), event, covariates[name])
        assert table.loc[name, "coef"] == pytest.approx(fit.coef[0], rel=1e-7)
        assert table.loc[name, "p_value"] == pytest.approx(fit.p_value[0], rel=1e-7)
    assert table["converged"].all()


def test_univariable_monotone_likelihood_is_marked():
    time, event, _ = simulated(60, 0.3)
    table = univariable_cox(time, event, pd.DataFrame({"never": np.where(event, 0, np.arange(60) % 2)}))
    assert not table.loc["never", "converged"]
    assert table.loc["never", "p_value"] > 0.9


def bad(**changes):
    time, event, covariates = simulated(40)
    return {"time": time, "event": event, "covariates": covariates} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": np.ones(39)}, "time has 39"),
        ({"time": np.zeros(40)}, "time has values down to 0"),
        ({"event": np.zeros(40)}, "event is 0 for all 40"),
        ({"event": np.full(40, 2)}, "event has the value 2"),
        ({"covariates": np.ones(40)}, "same value"),
        ({"covariates": np.full(40, np.nan)}, "missing or infinite"),
        ({"covariates": pd.DataFrame({"sex": ["male", "female"] * 20})}, "'sex' holds.*0/1 columns"),
        ({"covariates": np.column_stack([np.arange(40)] * 2)}, "collinear"),
        ({"covariates": np.ones((2, 2, 2))}, "3 dimensions"),
        ({"ties": "exact"}, "ties is 'exact'.*efron"),
        ({"weights": np.zeros(40)}, "weights go down to 0"),
        ({"strata": [None] * 40}, "strata has 40 values, 40 of them missing"),
        ({"strata": ["a"]}, "strata has 1 values"),
        ({"on_monotone": "ignore"}, "on_monotone is 'ignore'.*raise, report"),
    ],
)
def test_bad_input_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        fit_cox(**bad(**changes))


def test_covariates_without_names_are_numbered():
    assert read_covariates(np.ones((3, 2)))[1] == ("x1", "x2")
    assert read_covariates(pd.Series([1, 2], name="age"))[1] == ("age",)
    assert read_covariates(pd.Series([1, 2]))[1] == ("x1",)


def test_profile_limits_lie_where_the_profile_of_statsmodels_has_fallen():
    time, event, x = simulated()
    fit = fit_cox(time, event, x, limits="profile")
    assert fit.limits == "profile"
    others, drop = x[["b", "c"]], chi2.isf(0.05, 1) / 2
    for limit in (fit.coef_low[0], fit.coef_high[0]):
        held = PHReg(time, others, status=event, ties="efron", offset=limit * x["a"]).fit()
        assert fit.loglik - held.llf == pytest.approx(drop, abs=1e-6)
    without = PHReg(time, others, status=event, ties="efron").fit().llf
    assert fit.p_value[0] == pytest.approx(chi2.sf(2 * (fit.loglik - without), 1), rel=1e-6)


def test_profile_limits_are_walds_in_a_large_sample_and_do_not_depend_on_the_unit():
    time, event, x = simulated(n=20_000)
    wald, profile = fit_cox(time, event, x), fit_cox(time, event, x, limits="profile")
    np.testing.assert_allclose(profile.coef_low, wald.coef_low, atol=2e-4)
    scaled = fit_cox(time, event, x * 1000, limits="profile")
    np.testing.assert_allclose(scaled.coef_high * 1000, profile.coef_high, rtol=1e-6)


def test_a_score_that_separates_almost_completely_is_told_by_its_likelihood_not_by_wald():
    # Patients have their events very nearly in the order of the score.
    rng = np.random.default_rng(0)
    score = np.sort(rng.normal(size=200))[::-1] + 0.02 * rng.normal(size=200)
    time, event = np.arange(1.0, 201), (np.arange(200) <= 40).astype(int)
    fit = fit_cox(time, event, score)
    assert fit.wald_fails
    assert fit.p_value[0] > 1e50 * fit.lr_p_value
    profile = fit_cox_or_firth(time, event, score)
    assert (profile.method, profile.limits) == ("Cox", "profile")
    assert profile.p_value[0] == pytest.approx(fit.lr_p_value, rel=1e-6)
    assert profile.hr_low[0] > 1
    time, event, x = simulated(n=1000)
    assert not fit_cox(time, event, x).wald_fails
    assert fit_cox_or_firth(time, event, x).limits == "wald"


def test_profile_limits_are_refused_for_weighted_data_and_unknown_ones_named():
    time, event, x = simulated()
    with pytest.raises(ValueError, match="take limits='wald'"):
        fit_cox(time, event, x, weights=np.ones(200), limits="profile")
    with pytest.raises(ValueError, match="one of wald, profile"):
        fit_cox(time, event, x, limits="both")
