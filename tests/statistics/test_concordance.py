"""Harrell's and Uno's C and their comparison equal R's `survival` and `compareC`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from npcbook.statistics import concordance
from npcbook.statistics.concordance import compare_c, harrell_c, uno_c

STATISTICS = Path(__file__).parents[1] / "reference" / "statistics"


def cases(topic):
    return [
        pytest.param(c, id=c["name"])
        for c in json.loads((STATISTICS / topic / "cases.json").read_text())["cases"]
    ]


def read(case, columns):
    arguments = case["arguments"]
    df = pd.read_csv(STATISTICS / case["input"])[
        [arguments["time"], arguments["event"], *dict.fromkeys(columns)]
    ]
    df = df.dropna()
    return df[arguments["time"]], df[arguments["event"]], df


@pytest.mark.parametrize("case", cases("compareC"))
def test_compare_c_equals_compareC(case):
    arguments, expected = case["arguments"], case["results"]
    time, event, df = read(case, [arguments["score_y"], arguments["score_z"]])
    # R's function takes scores in the direction of survival.
    sign = -arguments["multiply_scores_by"]
    got = compare_c(time, event, sign * df[arguments["score_y"]], sign * df[arguments["score_z"]])
    assert (got.n_patients, got.n_events) == (expected["n"], expected["events"])
    names = {"c_a": "c_y", "c_b": "c_z", "difference": "diff", "se": "se_diff", "z": "z"}
    names |= {"variance_a": "var_c_y", "variance_b": "var_c_z", "covariance": "cov"}
    for ours, theirs in names.items():
        assert getattr(got, ours) == pytest.approx(expected[theirs], rel=1e-9), ours
    # R computes p as 1 − Φ(z), which loses digits below 1e-12.
    assert got.p_value == pytest.approx(expected["p"], rel=1e-9 if expected["p"] > 1e-6 else 1e-6, abs=1e-15)


@pytest.mark.parametrize("case", cases("concordance"))
def test_concordance_equals_survival(case):
    arguments = case["arguments"]
    time, event, df = read(case, arguments["scores"])
    estimate = {"n": harrell_c, "n/G2": uno_c}[arguments["timewt"]]
    sign = 1 if arguments["higher_score_is"] == "higher risk" else -1
    got = [estimate(time, event, sign * df[score], tau=arguments["ymax"]) for score in arguments["scores"]]
    for ours, theirs in zip(got, case["results"]["scores"], strict=True):
        assert ours.c == pytest.approx(theirs["c"], rel=1e-9)
        assert ours.se == pytest.approx(theirs["se"], rel=1e-9)
        assert (ours.low, ours.high) == pytest.approx((theirs["lower95"], theirs["upper95"]), rel=1e-9)
        if arguments["timewt"] == "n":
            assert ours.n_pairs == sum(theirs["counts"][k] for k in ("concordant", "discordant", "tied.x"))
    if "difference" in case["results"]:
        expected = case["results"]["difference"]
        assert got[0].c - got[1].c == pytest.approx(expected["diff"], rel=1e-9)
        assert got[0].influence @ got[1].influence == pytest.approx(expected["covariance"], rel=1e-9)


def test_by_hand():
    # Pairs: (1,2) (1,3) (1,4) and (2,3)?  Patient 2 is censored, so only pairs led by patients 1 and 3 count.
    got = harrell_c([1, 2, 3, 4], [1, 0, 1, 0], [3, 4, 2, 2])
    # (1,2) discordant, (1,3) and (1,4) concordant, (3,4) tied in risk: (2 + ½)/4.
    assert got.c == pytest.approx(2.5 / 4)
    assert got.n_pairs == 4


def brute_force(time, event, risk):
    """Count pairs one by one."""
    good = total = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            if event[i] and (time[j] > time[i] or (time[j] == time[i] and not event[j])):
                total += 1
                good += (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
    return good / total


def simulate(seed, n, *, ties):
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=(2, n))
    time, censoring = rng.exponential(np.exp(-risk[0])), rng.uniform(0.1, 2, n)
    event, time = time <= censoring, np.minimum(time, censoring)
    if ties:
        time, risk = np.ceil(time * 4), np.round(risk)
    event[time.argmin()] = True
    time[-1] = time.max() + 1
    return time, event, risk[0], risk[1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(20, 60), ties=st.booleans())
def test_invariances(seed, n, ties):
    time, event, a, b = simulate(seed, n, ties=ties)
    base = compare_c(time, event, a, b)
    assert base.c_a == pytest.approx(brute_force(time, event, a))
    assert base.c_a == pytest.approx(harrell_c(time, event, a).c)

    order = np.random.default_rng(seed).permutation(n)
    shuffled = compare_c(time[order], event[order], a[order], b[order])
    assert (shuffled.z, shuffled.se) == pytest.approx((base.z, base.se))

    rescaled = compare_c(time * 12, event, np.exp(a), 3 * b - 7)
    assert (rescaled.z, rescaled.se) == pytest.approx((base.z, base.se))

    swapped = compare_c(time, event, b, a)
    assert (swapped.z, swapped.p_value) == pytest.approx((-base.z, base.p_value))

    reversed_risk = harrell_c(time, event, -a)
    assert reversed_risk.c == pytest.approx(1 - base.c_a)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 90), ties=st.booleans())
def test_the_way_for_large_cohorts_gives_the_same_sum(seed, n, ties):
    data = simulate(seed, n, ties=ties)
    directly = concordance._sum_of_sign_products(*data)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(concordance, "FEW_PAIRS", 0)
        assert concordance._sum_of_sign_products(*data) == directly


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(5, 60), ties=st.booleans())
def test_few_pairs_and_many_are_counted_alike(seed, n, ties):
    time, event, risk, _ = simulate(seed, n, ties=ties)
    weight = np.random.default_rng(seed).uniform(0, 2, n).round()
    directly = concordance._pairs(time, event, risk, weight)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(concordance, "FEW_PAIRS", 0)
        many = concordance._pairs(time, event, risk, weight)
    for field in ("score", "comparable", "tied", "n_pairs"):
        np.testing.assert_allclose(getattr(directly, field), getattr(many, field), err_msg=field)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), ties=st.booleans())
def test_patients_twice_give_the_same_index(seed, ties):
    time, event, a, _ = simulate(seed, 30, ties=ties)
    twice = [np.tile(column, 2) for column in (time, event, a)]
    # A patient and the copy are tied in time with the same event status, so they make no comparable pair.
    assert harrell_c(*twice).c == pytest.approx(harrell_c(time, event, a).c)
    assert harrell_c(*twice).se < harrell_c(time, event, a).se


@pytest.mark.parametrize("estimate", [harrell_c, uno_c])
def test_perfect_and_chance(estimate):
    time = np.arange(1.0, 51)
    assert estimate(time, np.ones(50), -time).c == 1.0
    assert estimate(time, np.ones(50), time).c == 0.0
    assert estimate(time, np.ones(50), np.arange(50) % 2).c == pytest.approx(0.5, abs=0.02)


def test_without_censoring_uno_is_harrell():
    rng = np.random.default_rng(3)
    time, risk = rng.exponential(size=(2, 80))
    assert uno_c(time, np.ones(80), risk).c == pytest.approx(harrell_c(time, np.ones(80), risk).c)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"risk_a": [1, 1, 1, 1, 1]}, "risk_a is 1 for all 5 patients"),
        ({"risk_a": [1, 2, 3]}, "risk_a has 3"),
        ({"risk_b": [1, 2, 3, 4, 5]}, "order the comparable pairs alike"),
        ({"event": [0, 0, 0, 0, 0]}, "event is 0 for all 5"),
        ({"event": [0, 0, 0, 0, 1]}, "no pair is comparable"),
        ({"time": [1, 2, -3, 4, 5]}, "time has values down to -3"),
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
        compare_c(**(data | change))


def test_too_few_patients_and_too_early_a_tau_are_named():
    with pytest.raises(ValueError, match="at least 4"):
        compare_c([1, 2, 3], [1, 1, 0], [1, 2, 3], [3, 2, 1])
    with pytest.raises(ValueError, match=r"tau is 0\.5, before the first event at 1"):
        uno_c([1, 2, 3], [1, 1, 0], [1, 2, 3], tau=0.5)


@pytest.mark.slow
def test_scores_of_equal_worth_differ_in_one_cohort_of_twenty():
    rng = np.random.default_rng(2023)
    rejected = []
    for _ in range(1000):
        shared, noise_a, noise_b = rng.normal(size=(3, 575))
        time = rng.exponential(1900 * np.exp(-shared))
        censoring = rng.uniform(60, 140, 575)
        got = compare_c(np.minimum(time, censoring), time <= censoring, shared + noise_a, shared + noise_b)
        rejected.append(got.p_value < 0.05)
    assert 0.035 <= np.mean(rejected) <= 0.065


def test_limits_for_few_events_are_on_the_log_odds_and_near_the_usual_ones_with_many():
    rng = np.random.default_rng(5)
    risk = rng.normal(size=2000)
    time = rng.exponential(np.exp(-risk))
    many = harrell_c(time, np.ones(2000), risk)
    wide = many.for_few_events()
    assert (wide.value, wide.low, wide.high) == pytest.approx((many.c, many.low, many.high), abs=1e-3)
    few = harrell_c(time[:60], rng.random(60) < 0.2, risk[:60])
    wide, reach = few.for_few_events(), stats.t.isf(0.025, few.n_events - 1) * few.se
    # By hand: the derivative of the log odds is 1 / (c (1 - c)).
    odds = few.c / (1 - few.c) * np.exp(np.array([-1, 1]) * reach / (few.c * (1 - few.c)))
    assert (wide.low, wide.high) == pytest.approx(tuple(odds / (1 + odds)))
    assert 0 < wide.low < few.c < wide.high < 1
    perfect = harrell_c([1, 2, 3], [1, 1, 1], [3, 2, 1]).for_few_events()
    assert np.isnan([perfect.low, perfect.high]).all()


def test_scores_that_order_few_patients_alike_are_refused_whatever_the_sign_of_their_variance():
    # Its unbiased estimate is negative for each of the two here, and 0 for their difference.
    time, event, risk = [5, 7, 8, 1, 2, 7], [1, 0, 0, 1, 0, 0], np.array([3, 1, 1, 2, 2, 0])
    with pytest.raises(ValueError, match="without positive variance"):
        compare_c(time, event, risk, 2 * risk + 1)
