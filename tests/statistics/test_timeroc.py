"""The time-dependent AUC, its standard error and comparison equal R's `timeROC`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from npcbook.statistics.survival import kaplan_meier
from npcbook.statistics.timeroc import auc_at, brier_score, censoring_survival, compare_auc

STATISTICS = Path(__file__).parents[1] / "reference" / "statistics"
CASES = json.loads((STATISTICS / "timeROC" / "cases.json").read_text())["cases"]
BRIER = json.loads((STATISTICS / "brier" / "cases.json").read_text())["cases"]


def read(case):
    arguments = case["arguments"]
    df = pd.read_csv(STATISTICS / case["input"])
    df = df[[arguments["time"], arguments["event"], *arguments["markers"]]].dropna()
    risks = {name: df[name] * arguments["multiply_markers_by"] for name in arguments["markers"]}
    return df[arguments["time"]], df[arguments["event"]], risks


def standard_error_tolerance(case):
    # With tied times timeROC's standard error depends on the order of the rows.
    return 1e-3 if case["results"]["ties_in_time"] else 1e-9


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_auc_equals_timeROC(case):
    time, event, risks = read(case)
    expected = case["results"]
    for marker in expected["markers"]:
        for k, horizon in enumerate(case["arguments"]["times"]):
            got = auc_at(time, event, risks[marker["marker"]], horizon)
            assert got.auc == pytest.approx(marker["auc"][k], rel=1e-9)
            assert got.se == pytest.approx(marker["se"][k], rel=standard_error_tolerance(case))
            assert (got.n_cases, got.n_controls) == (expected["cases"][k], expected["controls"][k])
            limits = (marker["lower95"][k], marker["upper95"][k])
            # R's limits use 1.96.
            assert (got.low, got.high) == pytest.approx(
                limits, abs=1e-4 if expected["ties_in_time"] else 3e-6
            )
            beyond = censoring_survival(time, event, at=[np.nextafter(horizon, np.inf)])
            assert beyond[0] == pytest.approx(expected["G_at_times"][k], rel=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_comparison_equals_timeROC(case):
    time, event, risks = read(case)
    for comparison in case["results"].get("comparisons", []):
        a, b = (risks[name] for name in comparison["pair"])
        for k, horizon in enumerate(case["arguments"]["times"]):
            got = compare_auc(time, event, a, b, horizon)
            tolerance = standard_error_tolerance(case)
            assert got.difference == pytest.approx(comparison["diff"][k], rel=1e-9, abs=1e-14)
            assert got.se == pytest.approx(comparison["se_diff"][k], rel=tolerance)
            # A relative change in z moves a small p-value by about z² times as much.
            assert got.p_value == pytest.approx(comparison["p"][k], rel=tolerance * (1 + got.z**2))


@pytest.mark.parametrize("case", BRIER, ids=lambda case: case["name"])
def test_brier_score_equals_riskRegression(case):
    arguments, expected = case["arguments"], case["results"]
    models = arguments["risk_columns_by_model"]
    columns = [column for model in models.values() for column in model]
    df = pd.read_csv(STATISTICS / case["input"])[[arguments["time"], arguments["event"], *columns]].dropna()
    rows = {(row["model"], row["time"]): row for row in expected["brier"]}
    for model, risks in models.items():
        for horizon, risk in zip(arguments["times"], risks, strict=True):
            got = brier_score(df[arguments["time"]], df[arguments["event"]], 1 - df[risk], horizon)
            assert got.brier == pytest.approx(rows[model, horizon]["brier"], rel=1e-9)
            assert got.null == pytest.approx(rows["Null model", horizon]["brier"], rel=1e-9)
            assert got.ipa == pytest.approx(rows[model, horizon]["ipa"], rel=1e-7, abs=1e-9)


def test_brier_score_by_hand_and_of_the_survival_curve():
    # Without censoring before the horizon it is the plain mean square: 0.2², 0.6², 0.1², 0.5².
    got = brier_score([1, 2, 3, 4], [1, 1, 0, 1], [0.2, 0.6, 0.9, 0.5], 2)
    assert got.brier == pytest.approx((0.04 + 0.36 + 0.01 + 0.25) / 4)
    assert (got.null, got.n_events) == (pytest.approx(0.25), 2)
    time, event, _, _ = simulate(1, 60, ties=True)
    curve = np.full(60, kaplan_meier(time, event, at=[0.5]).survival[0])
    assert brier_score(time, event, curve, 0.5).ipa == pytest.approx(0)
    for wrong, message in (([0.2, 1.2], "goes from 0.2 to 1.2"), ([0.2, 0.3], "nobody was followed beyond")):
        with pytest.raises(ValueError, match=message):
            brier_score([1, 2], [1, 0], wrong, 2)


def simulate(seed, n, *, ties):
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=(2, n))
    time, censoring = rng.exponential(np.exp(-risk[0])), rng.uniform(0.1, 2, n)
    event, time = time <= censoring, np.minimum(time, censoring)
    if ties:
        time, risk = np.ceil(time * 8) / 8, np.round(risk)
    time[:2], event[:2] = [0.125, 3.0], [True, False]
    return time, event, risk[0], risk[1]


def brute_force(time, event, risk, horizon):
    """Weigh every pair, censoring probabilities multiplied up one by one."""

    def g_before(t):
        g = 1.0
        for u in np.unique(time[~event & (time < t)]):
            at_risk = (time > u).sum() + ((time == u) & ~event).sum()
            g *= 1 - ((time == u) & ~event).sum() / at_risk
        return g

    good = total = 0.0
    for i in np.flatnonzero(event & (time < horizon)):
        for j in np.flatnonzero(time > horizon):
            weight = 1 / g_before(time[i])
            total += weight
            good += weight * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    return good / total


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(20, 60), ties=st.booleans())
def test_invariances(seed, n, ties):
    time, event, a, b = simulate(seed, n, ties=ties)
    horizon = 0.5
    base, paired = auc_at(time, event, a, horizon), compare_auc(time, event, a, b, horizon)
    assert base.auc == pytest.approx(brute_force(time, event, a, horizon))
    assert np.trapezoid(base.tpr, base.fpr) == pytest.approx(base.auc)

    order = np.random.default_rng(seed).permutation(n)
    shuffled = auc_at(time[order], event[order], a[order], horizon)
    assert (shuffled.auc, shuffled.se) == pytest.approx((base.auc, base.se))
    assert base.influence[order] == pytest.approx(shuffled.influence, abs=1e-9)

    rescaled = compare_auc(time * 30, event, np.exp(a), 3 * b - 7, horizon * 30)
    assert (rescaled.z, rescaled.se) == pytest.approx((paired.z, paired.se))

    swapped = compare_auc(time, event, b, a, horizon)
    assert (swapped.z, swapped.p_value) == pytest.approx((-paired.z, paired.p_value))
    assert auc_at(time, event, -a, horizon).auc == pytest.approx(1 - base.auc)

    twice = auc_at(np.tile(time, 2), np.tile(event, 2), np.tile(a, 2), horizon)
    assert twice.auc == pytest.approx(base.auc)
    # √2, but for the n − 1 in the standard deviation.
    assert twice.se == pytest.approx(base.se / np.sqrt(2) * np.sqrt((n - 1) / (n - 0.5)))


def test_by_hand_without_censoring():
    got = auc_at([1, 2, 3, 4], [1, 1, 1, 1], [4, 1, 2, 1], 2.5)
    # Cases 4 and 1 against controls 2 and 1: two wins, then a loss and a tie.
    assert got.auc == pytest.approx(2.5 / 4)
    assert got.thresholds.tolist() == [np.inf, 4, 2, 1]
    assert got.tpr.tolist() == [0, 0.5, 0.5, 1]
    assert got.fpr.tolist() == [0, 0, 0.5, 1]


def test_standard_error_is_that_of_repeated_samples():
    rng = np.random.default_rng(11)
    got = []
    for _ in range(300):
        risk = rng.normal(size=200)
        time, censoring = rng.exponential(3 * np.exp(-risk)), rng.uniform(0, 4, 200)
        got.append(auc_at(np.minimum(time, censoring), time <= censoring, risk, 1.0))
    assert np.mean([g.se for g in got]) == pytest.approx(np.std([g.auc for g in got]), rel=0.12)
    assert 0.9 < np.mean([g.low < np.mean([h.auc for h in got]) < g.high for g in got]) < 0.98


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 10}, r"horizon is 10, and nobody was followed beyond it \(the longest follow-up is 5\)"),
        ({"horizon": 1}, r"horizon is 1, and no event was seen before it \(the first is at 1\)"),
        ({"horizon": -1}, "horizon is -1"),
        ({"horizon": np.nan}, "horizon is nan"),
        ({"event": [0, 0, 0, 1, 1]}, "no event was seen before it"),
        ({"event": [0, 0, 0, 0, 0]}, "event is 0 for all 5"),
        ({"risk_b": [2, 2, 2, 2, 2]}, "risk_b is 2 for all 5 patients"),
        ({"risk_b": [1, 2, 3, 4, 5]}, "order cases and controls alike"),
        ({"risk_a": [1, 2, 3, 4]}, "risk_a has 4"),
    ],
)
def test_bad_input_is_named(change, message):
    data = {
        "time": [1, 2, 3, 4, 5],
        "event": [1, 1, 0, 1, 0],
        "risk_a": [1, 2, 3, 4, 5],
        "risk_b": [2, 1, 5, 4, 3],
    }
    with pytest.raises(ValueError, match=message):
        compare_auc(**({"horizon": 3.5} | data | change))


@pytest.mark.slow
def test_scores_of_equal_worth_differ_in_one_cohort_of_twenty():
    rng = np.random.default_rng(2023)
    rejected = []
    for _ in range(1000):
        shared, noise_a, noise_b = rng.normal(size=(3, 575))
        time = rng.exponential(1900 * np.exp(-shared))
        censoring = rng.uniform(60, 140, 575)
        got = compare_auc(
            np.minimum(time, censoring), time <= censoring, shared + noise_a, shared + noise_b, 60
        )
        rejected.append(got.p_value < 0.05)
    assert 0.035 <= np.mean(rejected) <= 0.065
