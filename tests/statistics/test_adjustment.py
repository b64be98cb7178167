"""Comparisons of dose groups that nobody randomised."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from npcbook.statistics.adjustment import (
    balance_table,
    balancing_weights,
    e_value,
    partial_correlation,
    rate_difference,
    restricted_cubic_spline,
    weighted_rates,
)
from npcbook.statistics.cox import fit_cox
from npcbook.statistics.survival import kaplan_meier, rate_at


def confounded(n=4000, effect=0.0, seed=0):
    """Return data in which sicker patients are treated more often."""
    rng = np.random.default_rng(seed)
    sick = rng.normal(size=n)
    treated = rng.random(n) < 1 / (1 + np.exp(-1.2 * sick))
    time = rng.exponential(100 * np.exp(-0.9 * sick - effect * treated))
    return np.minimum(time, 60), (time < 60).astype(int), treated, pd.DataFrame({"sick": sick})


def test_weights_remove_measured_confounding():
    time, event, treated, covariates = confounded()
    weights = balancing_weights(treated, covariates)
    before = balance_table(covariates, treated)["largest_difference"][0]
    after = balance_table(covariates, treated, weights.weight)["largest_difference"][0]
    assert before > 0.9
    assert after < 0.03
    crude = fit_cox(time, event, treated.astype(float))
    weighted = fit_cox(time, event, treated.astype(float), weights=weights.weight, robust=True)
    assert crude.hr_low[0] > 1.5
    assert abs(weighted.coef[0]) < 3 * weighted.robust_se[0]
    rates = rates_of(time, event, treated, covariates, np.zeros(len(time)), horizon=50, n_bootstraps=20)
    gap = rates.difference(("DMFS", 0, True), ("DMFS", 0, False))
    assert gap.low < 0 < gap.high
    assert (
        abs(gap.value) < 0.06 < abs(rate_difference(time, event, treated, 50, first=True, second=False).value)
    )


def test_weights_by_hand_and_as_inverse_probabilities():
    # Two strata: 1 of 4 treated in the first, 3 of 4 in the second; half treated overall.
    treated, stratum = np.tile([1, 0, 0, 0, 1, 1, 1, 0], 100), np.tile([0, 0, 0, 0, 1, 1, 1, 1], 100)
    weights = balancing_weights(treated, pd.DataFrame({"x": stratum}), penalty=1e-9)
    expected = np.where(stratum == treated, 0.5 / 0.75, 0.5 / 0.25)
    np.testing.assert_allclose(weights.weight, expected, rtol=1e-6)
    w = expected[treated == 1]
    assert weights.overlap.loc[1].to_list() == pytest.approx([400, w.sum() ** 2 / (w**2).sum(), 2], rel=1e-6)


def test_weights_balance_every_part_to_its_own_means_and_average_one():
    rng = np.random.default_rng(4)
    x = pd.DataFrame(rng.normal(size=(600, 3)), columns=list("abc"))
    part = np.where(x["a"] > 0.4, "high", "low")
    group = np.where(rng.random(600) < 1 / (1 + np.exp(-x["b"])), "t", rng.choice(["u", "v"], 600))
    weights = balancing_weights(group, x, within=part, penalty=1e-4)
    for name in ("high", "low"):
        rows = part == name
        table = balance_table(x[rows], group[rows], weights.weight[rows])
        assert table["largest_difference"].max() < 1e-3
        np.testing.assert_allclose(table["t"], x[rows].mean(), atol=1e-3)
        alone = balancing_weights(group[rows], x[rows], penalty=1e-4)
        np.testing.assert_allclose(alone.weight, weights.weight[rows], rtol=1e-6)
        assert weights.weight[rows & (group == "t")].mean() == pytest.approx(1)
        assert weights.overlap.loc[name, "effective_n"].to_list() == alone.overlap["effective_n"].to_list()


def test_weights_do_not_depend_on_order_or_unit():
    _, _, treated, covariates = confounded(400)
    covariates["other"] = np.random.default_rng(2).normal(size=400)
    weights, order = balancing_weights(treated, covariates).weight, np.random.default_rng(1).permutation(400)
    moved = balancing_weights(treated[order], 5 - 3 * covariates.iloc[order])
    np.testing.assert_allclose(moved.weight, weights[order], rtol=1e-7)


def test_a_penalty_keeps_weights_finite_where_a_group_lacks_a_kind_of_patient():
    treated, rare = np.repeat([0, 1], 50), np.r_[np.zeros(50), np.ones(4), np.zeros(46)]
    weights = balancing_weights(treated, pd.DataFrame({"rare": rare, "constant": 1.0}))
    assert np.isfinite(weights.weight).all()
    assert weights.overlap["largest_weight"].max() < 3


def rates_of(time, event, treated, covariates, within, *, horizon=30, n_bootstraps=200):
    options = {"within": within, "n_bootstraps": n_bootstraps, "rng": np.random.default_rng(3)}
    return weighted_rates({"DMFS": (time, event)}, treated, covariates, horizon, **options)


def test_weighted_rates_and_their_samples_are_kaplan_meiers_with_weights_of_the_sample():
    time, event, treated, covariates = confounded(300)
    time[:40] = np.round(time[:40]) + 1  # ties
    within = np.where(np.arange(300) % 3 == 0, "a", "b")
    got = rates_of(time, event, treated, covariates, within, n_bootstraps=2)
    arms = [np.flatnonzero((within == w) & (treated == t)) for w in "ab" for t in (False, True)]
    rng = np.random.default_rng(3)
    drawn = np.concatenate([rng.choice(arm, len(arm)) for arm in arms])
    for rows, rates in ((np.arange(300), got.rate), (drawn, got.samples.iloc[0])):
        weight = balancing_weights(treated[rows], covariates.iloc[rows], within=within[rows]).weight
        for group in ("a", "b"):
            of = (within[rows] == group) & treated[rows]
            curve = kaplan_meier(time[rows][of], event[rows][of], at=[30], weights=weight[of])
            assert rates["DMFS", group, True] == pytest.approx(curve.survival[0], abs=1e-12)
    np.testing.assert_array_equal(got.weight, balancing_weights(treated, covariates, within=within).weight)


def test_limits_are_kaplan_and_meiers_where_there_is_nothing_to_balance_and_combine_by_squares():
    time, event, treated, _ = confounded(300, 0.5)
    rates = weighted_rates(
        {"DMFS": (time, event)}, treated, pd.DataFrame({"x": np.ones(300)}), 30, within=np.zeros(300),
        n_bootstraps=3000, rng=np.random.default_rng(1),
    )  # fmt: skip
    one, two = (rates["DMFS", 0, arm] for arm in (True, False))
    for arm, found in ((treated, one), (~treated, two)):
        expected = rate_at(time[arm], event[arm], 30)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.006)
    gap = rates.difference(("DMFS", 0, True), ("DMFS", 0, False))
    assert gap.low == pytest.approx(gap.value - np.hypot(one.value - one.low, two.high - two.value))
    assert gap.high == pytest.approx(gap.value + np.hypot(one.high - one.value, two.value - two.low))
    swapped = rates.difference(("DMFS", 0, False), ("DMFS", 0, True))
    assert (swapped.low, swapped.high) == pytest.approx((-gap.high, -gap.low))


def test_limits_of_weighted_rates_are_greenwoods_where_weights_say_nothing():
    # Treatment by chance: weights are near 1, and the bootstrap's spread is that of Kaplan and Meier.
    time, event, _, covariates = confounded(2000)
    treated = np.random.default_rng(1).random(2000) < 0.5
    got = rates_of(time, event, treated, covariates, np.zeros(2000))
    curve = kaplan_meier(time[treated], event[treated], at=[30])
    assert got["DMFS", 0, True].value == pytest.approx(curve.survival[0], abs=0.01)
    assert got["DMFS", 0, True].high - got["DMFS", 0, True].low == pytest.approx(4 * curve.se[0], rel=0.2)
    gap, plain = (
        got.difference(("DMFS", 0, True), ("DMFS", 0, False)),
        rate_difference(time, event, treated, 30, first=True, second=False),
    )
    assert gap.high - gap.low == pytest.approx(plain.high - plain.low, rel=0.2)


def test_weighted_rates_without_events_or_follow_up_have_no_limits():
    time, event, treated, covariates = confounded(200)
    within = np.where(np.arange(200) < 100, "a", "b")
    spared, short = (within == "a") & treated, (within == "b") & treated
    time, event = np.where(short, np.minimum(time, 20), time), np.where(spared, 0, event)
    got = rates_of(time, event, treated, covariates, within, n_bootstraps=20)
    assert got["DMFS", "a", True].value == pytest.approx(1)
    assert np.isnan(
        [got["DMFS", "a", True].low, got.difference(("DMFS", "a", True), ("DMFS", "a", False)).high]
    ).all()
    assert np.isnan(got["DMFS", "b", True].value)
    assert str(got["DMFS", "b", True]) == "–"
    with pytest.raises(ValueError, match="there is no patient in"):
        got["DMFS", "c", True]


def test_weighted_rates_refuse_outcomes_of_other_patients():
    time, event, treated, covariates = confounded(50)
    with pytest.raises(ValueError, match="time has 49, event has 49, treatment has 50"):
        rates_of(time[1:], event[1:], treated, covariates, np.zeros(50), n_bootstraps=1)


def test_a_rate_of_one_has_no_limits_however_long_nobody_was_watched():
    # Before the first observation Kaplan and Meier's limits would be 1 and 1.
    rate = rate_at([70, 80, 90], [0, 1, 0], 60)
    assert (rate.value, rate.n_events, str(rate)) == (1, 0, "1.00")
    assert np.isnan([rate.low, rate.high]).all()


def test_rate_difference_adds_greenwood_variances():
    time, event, treated, _ = confounded(300, 0.5)
    gap = rate_difference(time, event, treated, 30, first=True, second=False)
    one, two = (kaplan_meier(time[g], event[g], at=[30]) for g in (treated, ~treated))
    assert gap.value == pytest.approx(one.survival[0] - two.survival[0])
    assert (gap.high - gap.low) / (2 * 1.959964) == pytest.approx(np.hypot(one.se[0], two.se[0]))
    swapped = rate_difference(time, event, treated, 30, first=False, second=True)
    assert (swapped.value, swapped.low) == pytest.approx((-gap.value, -gap.high))


@pytest.mark.parametrize(("times", "rate"), [([9, 9, 9], 1), ([1, 2, 5], 0)])
def test_rate_difference_without_a_standard_error_has_no_limits(times, rate):
    # By hand: of "b" one of three has the event by 5. Of "a" nobody has, or everybody.
    time, event = [*times, 2, 9, 9], [*(3 * [1 - rate]), 1, 0, 0]
    group = list("aaabbb")
    gap = rate_difference(time, event, group, 5, first="a", second="b")
    assert gap.value == pytest.approx(rate - 2 / 3)
    assert np.isnan([gap.low, gap.high]).all()
    swapped = rate_difference(time, event, group, 5, first="b", second="a")
    assert swapped.value == pytest.approx(-gap.value)
    assert np.isnan([swapped.low, swapped.high]).all()


def test_e_value_as_published():
    # VanderWeele & Ding (2017): a risk ratio of 3.9 (1.8 to 8.7) has E-values 7.26 and 3.0.
    result = e_value(3.9, 1.8, 8.7)
    assert result.estimate == pytest.approx(7.26, abs=0.01)
    assert result.limit == pytest.approx(3.0, abs=0.01)
    assert e_value(1 / 3.9, 1 / 8.7, 1 / 1.8).limit == pytest.approx(result.limit)
    assert e_value(1.2, 0.8, 1.9).limit == 1
    assert e_value(3.0, 2.0, 4.0, rare=False).estimate < e_value(3.0, 2.0, 4.0).estimate


@given(hr=st.floats(0.05, 20))
def test_e_value_is_at_least_the_ratio(hr):
    assert e_value(hr, hr, hr).estimate >= max(hr, 1 / hr) - 1e-12


def test_restricted_cubic_spline_is_straight_beyond_the_knots():
    knots = [0, 1, 2, 3]
    x = np.linspace(-2, 0, 5), np.linspace(3, 9, 5)
    for values in x:
        columns = restricted_cubic_spline(values, knots)
        np.testing.assert_allclose(np.diff(columns, n=2, axis=0), 0, atol=1e-10)
    inside = restricted_cubic_spline(np.linspace(0, 3, 7), knots)
    assert inside.shape == (7, 3)
    assert np.abs(np.diff(inside[:, 1], n=2)).max() > 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: balancing_weights(["a", "a"], [1, 2]), "two groups"),
        (lambda: balancing_weights(["a"], [1, 2]), "equal lengths"),
        (lambda: balancing_weights(["a", "b"], [1, 2], within=["x", "y"]), "two groups"),
        (lambda: balancing_weights(["a", "b"], [1, 2], penalty=0), "penalty is 0"),
        (lambda: balance_table(pd.DataFrame({"x": [1, 2]}), ["a"]), "rows"),
        (lambda: e_value(2, 3, 4), "enclose"),
        (lambda: restricted_cubic_spline([1, 2], [0, 1]), "three or more"),
        (lambda: rate_difference([1, 2], [1, 0], ["a", "b"], 5, first="a", second="b"), "none followed to 5"),
        (lambda: rate_difference([9, 9], [0, 0], ["a", "b"], 5, first="a", second="b"), "nothing to compare"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_partial_correlation_by_hand_and_by_regression():
    rng = np.random.default_rng(3)
    third = rng.normal(size=200)
    first, second = third + rng.normal(size=200), third + rng.normal(size=200)
    r = np.corrcoef([first, second, third])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    found = partial_correlation(first, second, third)
    assert found == pytest.approx(expected, rel=1e-12)
    left = [column - np.polyval(np.polyfit(third, column, 1), third) for column in (first, second)]
    assert found == pytest.approx(np.corrcoef(left)[0, 1], rel=1e-9)
    assert partial_correlation(second, 5 - 2 * first, third + 1) == pytest.approx(-found, rel=1e-9)
    # What goes with the third alone is gone; what has nothing to do with it stays.
    assert abs(found) < 0.15 < 0.4 < r[0, 1]
    assert partial_correlation(left[0], second, third) == pytest.approx(found, rel=1e-9)


def test_partial_correlation_of_a_constant_is_undefined_and_missing_values_are_refused():
    assert np.isnan(partial_correlation([1, 1, 1], [1, 2, 3], [3, 1, 2]))
    with pytest.raises(ValueError, match="second"):
        partial_correlation([1, 2, 3], [1, np.nan, 3], [3, 1, 2])
