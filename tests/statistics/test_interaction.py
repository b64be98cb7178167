"""Interaction tests equal R's `QualInt` and `survival`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from npcbook.statistics.cox import fit_cox
from npcbook.statistics.interaction import (
    continuous_interaction,
    detectable_ratio,
    gail_simon,
    interaction_power,
    likelihood_ratio,
)

STATISTICS = Path(__file__).parents[1] / "reference" / "statistics"
CASES = json.loads((STATISTICS / "qualitative_interaction" / "cases.json").read_text())["cases"]
FROM_PATIENTS = [case for case in CASES if case["input"]]


def estimates(case):
    if not case["input"]:
        return case["arguments"]["effect"], case["arguments"]["se"]
    rows = case["results"]["subgroups"]
    return [row["log_hr"] for row in rows], [row["se"] for row in rows]


def read(case):
    a = case["arguments"]
    df = pd.read_csv(STATISTICS / case["input"])
    df = df.dropna(subset=[a["time"], a["event"], a["treatment"], a["subgroup"]])
    treated = df[a["treatment"]].astype(str) != str(case["results"]["reference_treatment"])
    return df[a["time"]], df[a["event"]], treated.astype(int), df[a["subgroup"]].astype(str)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_gail_simon_equals_qualint(case):
    test, expected = gail_simon(*estimates(case)), case["results"]["gail_simon"]
    assert test.statistic == pytest.approx(expected["q"], rel=1e-9)
    assert test.p_value == pytest.approx(expected["p"], rel=1e-9)
    assert test.q_positive == pytest.approx(expected["q_positive"], rel=1e-9)
    assert test.q_negative == pytest.approx(expected["q_negative"], rel=1e-9)


@pytest.mark.parametrize("case", FROM_PATIENTS, ids=lambda case: case["name"])
def test_likelihood_ratio_equals_r(case):
    test, expected = likelihood_ratio(*read(case)), case["results"]["interaction_lr_test_coxph_efron"]
    assert test.degrees_of_freedom == expected["df"]
    assert test.statistic == pytest.approx(expected["stat"], rel=1e-6)
    assert test.p_value == pytest.approx(expected["p"], rel=1e-6)


@pytest.mark.parametrize("case", FROM_PATIENTS, ids=lambda case: case["name"])
def test_subgroup_estimates_equal_r(case):
    time, event, treated, subgroup = read(case)
    for row in case["results"]["subgroups"]:
        rows = subgroup == row["subgroup"]
        fit = fit_cox(time[rows], event[rows], treated[rows])
        assert (fit.coef[0], fit.se[0]) == pytest.approx((row["log_hr"], row["se"]), rel=1e-6)


def test_by_hand():
    # Two subgroups, z = -2 and 3: Q = 4, p = P(chi2_1 > 4) / 2.
    assert gail_simon([-2, 3], [1, 1]).p_value == pytest.approx(0.0455002639 / 2)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_without_a_change_of_sign_the_p_value_is_qualints_convention(k):
    test = gail_simon(np.linspace(0.1, 1, k), np.ones(k))
    assert test.statistic == 0
    assert test.p_value == pytest.approx(1 - 0.5 ** (k - 1))


effects = st.lists(st.tuples(st.floats(-3, 3), st.floats(0.1, 2)), min_size=2, max_size=6)


@given(rows=effects, scale=st.floats(0.1, 10))
def test_order_unit_and_direction_do_not_matter(rows, scale):
    b, s = np.array(rows).T
    p = gail_simon(b, s).p_value
    assert 0 <= p <= 1
    assert gail_simon(b[::-1], s[::-1]).p_value == pytest.approx(p, rel=1e-9, abs=1e-12)
    assert gail_simon(-scale * b, scale * s).p_value == pytest.approx(p, rel=1e-6, abs=1e-12)


def simulated(seed=0, n=400):
    rng = np.random.default_rng(seed)
    x, g = rng.integers(0, 2, n), rng.choice(["a", "b", "c"], n)
    time = rng.exponential(np.exp(-0.8 * x * (g != "c")))
    return time, (rng.random(n) < 0.4).astype(int), x, g


def test_a_subgroup_without_events_does_not_stop_the_test():
    time, event, x, g = simulated()
    event = np.where((g == "a") & (x == 1), 0, event)
    test = likelihood_ratio(time, event, x, g)
    assert 0 <= test.p_value < 0.05


def test_exposures_with_several_levels():
    time, event, x, g = simulated()
    levels = pd.DataFrame({"one": g == "b", "two": g == "c"}).astype(float)
    test = likelihood_ratio(time, event, levels, x)
    assert test.degrees_of_freedom == 2
    # The roles of exposure and subgroup are the same.
    assert likelihood_ratio(time, event, x, g).statistic == pytest.approx(test.statistic, rel=1e-6)


def test_continuous_interaction_of_two_groups_is_the_same_test():
    time, event, x, g = simulated()
    two = (g == "a").astype(int)
    assert continuous_interaction(time, event, x, two).statistic == pytest.approx(
        likelihood_ratio(time, event, x, two).statistic, rel=1e-6
    )
    z = np.random.default_rng(1).normal(size=len(x))
    shifted = continuous_interaction(time, event, x, 5 + 3 * z)
    assert shifted.statistic == pytest.approx(continuous_interaction(time, event, x, z).statistic, rel=1e-6)


def test_likelihood_ratio_holds_its_level():
    rng = np.random.default_rng(3)
    rejected = []
    for _ in range(1000):
        # 575 patients, about 38 events
        time, x, g = rng.exponential(870, 575), np.arange(575) % 2, rng.integers(0, 2, 575)
        rejected.append(likelihood_ratio(np.minimum(time, 60), time < 60, x, g).p_value < 0.05)
    assert 0.035 < np.mean(rejected) < 0.065


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gail_simon([1], [1]), "two subgroups"),
        (lambda: gail_simon([1, 2], [1]), "equal lengths"),
        (lambda: gail_simon([1, np.nan], [1, 1]), "effects has 1 missing"),
        (lambda: gail_simon([1, 2], [1, 0]), "standard_errors go down to 0"),
        (lambda: likelihood_ratio([1, 2, 3, 4], [1, 1, 0, 1], [0, 1, 0, 1], list("aaaa")), "one value 'a'"),
        (lambda: likelihood_ratio([1, 2, 3, 4], [1, 1, 0, 1], [0, 1, 0, 1], ["a", "a", "b", None]),
         "1 of them missing"),
        (lambda: likelihood_ratio([1, 2, 3, 4], [1, 1, 0, 1], [0, 1, 0, 0], list("aabb")),
         "does not vary in subgroup 'b'"),
        (lambda: continuous_interaction([1, 2, 3], [1, 1, 0], [1, 1, 1], [1, 2, 3]), "same value"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_strata_keep_a_difference_between_cohorts_out_of_the_interaction():
    rng = np.random.default_rng(8)
    cohort, x, g = (rng.integers(0, 2, 400) for _ in range(3))
    time, event = rng.exponential(40 / np.exp(x)), rng.random(400) < 0.5
    slower = np.where(cohort == 1, 100 * time, time)
    for test, modifier in ((likelihood_ratio, g), (continuous_interaction, g + rng.normal(size=400))):
        apart = test(time, event, x, modifier, strata=cohort)
        assert test(slower, event, x, modifier, strata=cohort).statistic == pytest.approx(
            apart.statistic, rel=1e-6
        )
        whole = test(time, event, x, modifier)
        assert test(time, event, x, modifier, strata=np.zeros(400)).statistic == pytest.approx(
            whole.statistic
        )


def test_power_by_hand_and_without_an_effect():
    # Two by two: the variance of the log ratio of ratios is the sum of 1 / events, here 4 / 25.
    power = interaction_power([[25, 25], [25, 25]], [[0.0], [1.2]])
    z = 1.2 / np.sqrt(4 / 25)
    assert power == pytest.approx(stats.norm.sf(1.959964 - z) + stats.norm.cdf(-1.959964 - z), rel=1e-5)
    assert interaction_power([[25, 25, 9], [5, 7, 8]], [[0.3, 0.4]] * 2) == pytest.approx(0.05, abs=1e-4)
    ratio = detectable_ratio([[25, 25], [25, 25]])
    assert interaction_power([[25, 25], [25, 25]], [[0.0], [np.log(ratio)]]) == pytest.approx(0.8)
    # Subgroups of one kind of event inform of nothing.
    assert np.isnan(interaction_power([[0, 9], [5, 5]], [[0.0], [1.0]]))
    assert detectable_ratio([[0, 9], [5, 5]]) == np.inf


def test_power_is_how_often_simulated_studies_find_it():
    rng, found, events = np.random.default_rng(3), [], np.zeros((2, 2))
    x, g = np.tile([0, 1], 300), np.repeat([0, 1], 300)
    for _ in range(300):
        time = rng.exponential(200 / np.exp(-1.1 * x * g))
        event = time < 60
        found.append(likelihood_ratio(np.minimum(time, 60), event, x, g).p_value < 0.05)
        events += [[(event & (g == k) & (x == level)).sum() for level in (0, 1)] for k in (0, 1)]
    assert np.mean(found) == pytest.approx(interaction_power(events / 300, [[0.0], [-1.1]]), abs=0.07)


@pytest.mark.parametrize(
    ("events", "log_hr", "message"),
    [
        ([[1, 2]], [[0]], "two of each"),
        ([[1, 2], [3, 4]], [[0, 1]], "two of each"),
        ([[1, -2], [3, 4]], [[0], [1]], "0 or more"),
    ],
)
def test_bad_numbers_of_events_are_named(events, log_hr, message):
    with pytest.raises(ValueError, match=message):
        interaction_power(events, log_hr)
