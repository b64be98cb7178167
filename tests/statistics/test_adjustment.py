"""Comparisons of dose groups that nobody randomised."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npcbook.statistics.adjustment import (
    balance_table,
    dose_groups,
    e_value,
    inverse_probability_weights,
    landmark,
    partial_correlation,
    rate_difference,
    restricted_cubic_spline,
    weighted_rates,
)
from npcbook.statistics.cox import fit_cox
from npcbook.statistics.survival import kaplan_meier


def confounded(n=4000, effect=0.0, seed=0):
    """Return data in which sicker patients are treated more often."""
    rng = np.random.default_rng(seed)
    sick = rng.normal(size=n)
    treated = rng.random(n) < 1 / (1 + np.exp(-1.2 * sick))
    time = rng.exponential(100 * np.exp(-0.9 * sick - effect * treated))
    return np.minimum(time, 60), (time < 60).astype(int), treated, pd.DataFrame({"sick": sick})


def test_dose_groups_have_the_papers_borders():
    groups = dose_groups([0, 0.5, 160, 160.1, 300])
    assert groups.tolist() == ["radiotherapy", "up_to_160", "up_to_160", "over_160", "over_160"]
    assert dose_groups([100, 250], 200).tolist() == ["up_to_200", "over_200"]


def test_weights_remove_measured_confounding():
    time, event, treated, covariates = confounded()
    weights = inverse_probability_weights(treated, covariates)
    before = balance_table(covariates, treated)["largest_difference"][0]
    after = balance_table(covariates, treated, weights.weight)["largest_difference"][0]
    assert before > 0.9
    assert after < 0.1
    crude = fit_cox(time, event, treated.astype(float))
    weighted = fit_cox(time, event, treated.astype(float), weights=weights.weight, robust=True)
    assert crude.hr_low[0] > 1.5
    assert abs(weighted.coef[0]) < 3 * weighted.robust_se[0]
    rates = weighted_rates(time, event, treated, weights.weight, 50)
    assert abs(rates[True] - rates[False]) < 0.06


def test_weights_are_stabilised_and_by_hand():
    # Two strata: 1 of 4 treated in the first, 3 of 4 in the second; half treated overall.
    stratum, treated = np.repeat([0, 1], 400), np.tile([1, 0, 0, 0, 1, 1, 1, 0], 100)
    stratum = np.tile([0, 0, 0, 0, 1, 1, 1, 1], 100)
    weights = inverse_probability_weights(treated, pd.DataFrame({"x": stratum}), penalty=1e-6, truncate=0)
    expected = np.where(stratum == treated, 0.5 / 0.75, 0.5 / 0.25)
    np.testing.assert_allclose(weights.weight, expected, rtol=1e-3)
    assert weights.weight.mean() == pytest.approx(1, rel=1e-3)
    assert weights.n_truncated == 0
    w = expected[treated == 1]
    assert weights.effective_n[1] == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-3)


def test_truncation_bounds_the_weights():
    _, _, treated, covariates = confounded(500)
    full = inverse_probability_weights(treated, covariates, truncate=0)
    cut = inverse_probability_weights(treated, covariates, truncate=0.05)
    assert cut.weight.max() < full.weight.max()
    assert cut.n_truncated == 50


def test_equal_weights_change_nothing():
    time, event, treated, _ = confounded(300)
    rates = weighted_rates(time, event, treated, np.ones(300), 30)
    expected = kaplan_meier(time[treated], event[treated], at=[30]).survival[0]
    assert rates[True] == pytest.approx(expected)


def test_rate_difference_adds_greenwood_variances():
    time, event, treated, _ = confounded(300, 0.5)
    gap = rate_difference(time, event, treated, 30, first=True, second=False)
    one, two = (kaplan_meier(time[g], event[g], at=[30]) for g in (treated, ~treated))
    assert gap.value == pytest.approx(one.survival[0] - two.survival[0])
    assert gap.se == pytest.approx(np.hypot(one.se[0], two.se[0]))
    swapped = rate_difference(time, event, treated, 30, first=False, second=True)
    assert (swapped.value, swapped.low) == pytest.approx((-gap.value, -gap.high))
    assert swapped.p_value == pytest.approx(gap.p_value)


@pytest.mark.parametrize(("times", "rate"), [([9, 9, 9], 1), ([1, 2, 5], 0)])
def test_rate_difference_without_a_standard_error_has_no_limits(times, rate):
    # By hand: of "b" one of three has the event by 5. Of "a" nobody has, or everybody.
    time, event = [*times, 2, 9, 9], [*(3 * [1 - rate]), 1, 0, 0]
    group = list("aaabbb")
    gap = rate_difference(time, event, group, 5, first="a", second="b")
    assert gap.value == pytest.approx(rate - 2 / 3)
    assert np.isnan([gap.se, gap.low, gap.high, gap.p_value]).all()
    swapped = rate_difference(time, event, group, 5, first="b", second="a")
    assert swapped.value == pytest.approx(-gap.value)
    assert np.isnan([swapped.se, swapped.low, swapped.high, swapped.p_value]).all()


def test_landmark_counts_from_there():
    rows, time, event = landmark([3, 6, 10, 20], [1, 1, 0, 1], 6)
    assert rows.tolist() == [False, False, True, True]
    assert time.tolist() == [4, 14]
    assert event.tolist() == [False, True]


def test_landmark_removes_guarantee_time():
    # Nobody's dose matters, but cycles are given for as long as patients are free of the event.
    rng = np.random.default_rng(1)
    time = rng.exponential(10, 5000)
    high_dose = (time > 3) & (rng.random(5000) < 0.7)
    naive = fit_cox(time, np.ones(5000), high_dose.astype(float))
    rows, later, event = landmark(time, np.ones(5000), 3)
    fair = fit_cox(later, event, high_dose[rows].astype(float))
    assert naive.hr_high[0] < 0.8
    assert fair.hr_low[0] < 1 < fair.hr_high[0]


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
        (lambda: dose_groups([-1]), "goes down to -1"),
        (lambda: dose_groups([np.nan]), "dose_mg_m2 has 1 missing"),
        (lambda: dose_groups([1], 0), "threshold is 0"),
        (lambda: inverse_probability_weights(["a", "a"], [1, 2]), "two groups"),
        (lambda: inverse_probability_weights(["a"], [1, 2]), "equal lengths"),
        (lambda: inverse_probability_weights(["a", "b"], [1, 2], truncate=0.7), "truncate is 0.7"),
        (lambda: balance_table(pd.DataFrame({"x": [1, 2]}), ["a"]), "rows"),
        (lambda: landmark([1, 2], [1, 0], 2), "nobody is left"),
        (lambda: landmark([1, 2], [1, 0], -1), "start is -1"),
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
