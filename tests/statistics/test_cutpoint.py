"""The optimal cut-point and its p-values equal R's `survminer` and `maxstat`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import norm

from npcbook.statistics.cutpoint import lausen_schumacher_p, logrank_scores, optimal_cutpoint

STATISTICS = Path(__file__).parents[1] / "reference" / "statistics"
CASES = json.loads((STATISTICS / "cutpoint" / "cases.json").read_text())["cases"]


def read(case):
    arguments = case["arguments"]
    columns = [arguments["time"], arguments["event"], arguments["variable"]]
    return (column for _, column in pd.read_csv(STATISTICS / case["input"])[columns].dropna().items())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_cutpoint_equals_survminer_and_maxstat(case):
    expected = case["results"]
    got = optimal_cutpoint(*read(case), case["arguments"]["minprop"])
    assert got.value == expected["cutpoint"]
    assert got.statistic == pytest.approx(expected["statistic"], rel=1e-9)
    for name in ("n_low", "n_high", "events_low", "events_high"):
        assert getattr(got, name) == expected[name]
    assert len(got.candidates) == expected["candidates"]
    assert got.p_naive == pytest.approx(expected["naive_logrank"]["p"], rel=1e-9)
    assert got.p_lau92 == pytest.approx(min(1, expected["maxstat_p"]["Lau92"]["p"]), rel=1e-6)
    assert got.p_lau94 == pytest.approx(min(1, expected["maxstat_p"]["Lau94"]["p"]), rel=1e-6)
    if "curve" in expected:
        assert got.candidates == pytest.approx(expected["curve"]["cuts"], rel=1e-12)
        assert got.statistics == pytest.approx(expected["curve"]["statistics"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_permutation_p_equals_maxstat_condMC(case):
    permutations = 4000
    got = optimal_cutpoint(
        *read(case), case["arguments"]["minprop"], permutations=permutations, rng=np.random.default_rng(1)
    )
    expected = case["results"]["maxstat_p"]["condMC"]
    own_error = np.sqrt(max(expected["p"], 1 / permutations) / permutations)
    within = 4 * np.hypot(expected["mc_standard_error"], own_error)
    assert got.p_corrected == got.p_permutation == pytest.approx(expected["p"], abs=within)


def simulate(seed, n, *, ties):
    rng = np.random.default_rng(seed)
    risk = np.round(rng.normal(size=n), 1 if ties else 12)
    time, censoring = rng.exponential(np.exp(-risk)), rng.uniform(0.1, 2, n)
    event, time = time <= censoring, np.minimum(time, censoring)
    event[time.argmin()] = True
    return np.ceil(time * 8) if ties else time, event, risk


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(20, 60), ties=st.booleans())
def test_invariances(seed, n, ties):
    time, event, risk = simulate(seed, n, ties=ties)
    base = optimal_cutpoint(time, event, risk)
    order = np.random.default_rng(seed).permutation(n)
    shuffled = optimal_cutpoint(time[order], event[order], risk[order])
    assert (shuffled.value, shuffled.statistic) == pytest.approx((base.value, base.statistic))
    rescaled = optimal_cutpoint(time * 30, event, np.exp(risk))
    assert (np.log(rescaled.value), rescaled.statistic) == pytest.approx((base.value, base.statistic))
    assert logrank_scores(time, event).sum() == pytest.approx(0, abs=n if ties else 1e-9)
    assert base.p_naive < 1
    assert base.p_corrected >= 2 * norm.sf(base.statistic)


@pytest.mark.parametrize("below", [[300], [60, 540], [60, 300, 540], [*range(60, 541, 10)]], ids=len)
def test_no_number_of_levels_makes_a_p_value_smaller_than_that_of_one_cut(below):
    statistics = np.linspace(1, 30, 200)
    found = np.array([lausen_schumacher_p(statistic, below, 600, 0.1) for statistic in statistics])
    assert (found >= np.minimum(2 * norm.sf(statistics), 1)[:, np.newaxis]).all()


def test_a_planted_threshold_is_found():
    rng = np.random.default_rng(5)
    risk = rng.uniform(size=800)
    time = rng.exponential(np.where(risk > 0.7, 1.0, 6.0))
    got = optimal_cutpoint(np.minimum(time, 4), time < 4, risk)
    assert got.value == pytest.approx(0.7, abs=0.03)
    assert got.p_corrected < 1e-10


def test_by_hand():
    # Times 1 to 4, all events: scores 1 − 1/4, 1 − (1/4 + 1/3), …
    expected = 1 - np.cumsum([1 / 4, 1 / 3, 1 / 2, 1])
    assert logrank_scores([1, 2, 3, 4], [1, 1, 1, 1]) == pytest.approx(expected)
    got = optimal_cutpoint([1, 2, 3, 4], [1, 1, 1, 1], [4, 3, 2, 1], 0.25)
    assert got.candidates.tolist() == [1, 2, 3]
    assert got.value == 1
    variance = 3 / (16 * 3) * 4 * (expected**2).sum()
    assert got.statistic == pytest.approx(abs(expected[3]) / np.sqrt(variance))


@pytest.mark.slow
def test_naive_test_fails_under_no_effect_and_corrected_ones_hold():
    rng = np.random.default_rng(2023)
    naive, corrected, permuted = [], [], []
    for k in range(1000):
        risk, time, censoring = rng.normal(size=575), rng.exponential(1400, 575), rng.uniform(60, 140, 575)
        event = time <= censoring
        time = np.minimum(time, censoring)
        got = optimal_cutpoint(time, event, risk, permutations=199 if k < 400 else 0, rng=rng)
        naive.append(got.p_naive < 0.05)
        corrected.append(min(got.p_lau92, got.p_lau94) < 0.05)
        permuted += [got.p_permutation <= 0.05] if k < 400 else []
    assert 0.40 < np.mean(naive) < 0.50
    assert 0.035 <= np.mean(corrected) <= 0.065
    assert 0.02 <= np.mean(permuted) <= 0.08


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"risk": [1, 1, 1, 1, 1, 1]}, "risk is 1 for all 6"),
        ({"min_fraction": 0.5}, r"min_fraction is 0\.5"),
        ({"risk": [1, 2, 2, 2, 2, 2], "min_fraction": 0.4}, "no cut leaves 2 or more"),
        ({"permutations": 10}, "rng is None"),
        ({"permutations": -1}, "permutations is -1"),
        ({"event": [0, 0, 0, 0, 0, 0]}, "event is 0 for all 6"),
        ({"time": [1, 2, 3]}, "time has 3"),
        ({"time": [1] * 6, "event": [1] * 6}, "every patient the same log-rank score"),
    ],
)
def test_bad_input_is_named(change, message):
    data = {"time": [1, 2, 3, 4, 5, 6], "event": [1, 0, 1, 1, 0, 1], "risk": [1, 2, 3, 4, 5, 6]}
    with pytest.raises(ValueError, match=message):
        optimal_cutpoint(**(data | change))
