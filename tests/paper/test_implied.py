"""What printed results allow one to work out: hand cases, simulations, and the reference programs."""

import math

import numpy as np
import pytest
from scipy import stats

from npcbook.paper import (
    Interval,
    events_from_hr,
    events_from_rate,
    fewest_events,
    firth_two_arm,
    implied_correlation,
    mixing_share,
    pool_two_arms,
    rate_interval_kinds,
    score_spread,
    two_rate_p,
    wald_from_ci,
)
from npcbook.statistics import fit_cox, fit_firth_cox, harrell_c


@pytest.fixture
def rng():
    return np.random.default_rng(20230519)


def exactly(value):
    return Interval(value, value)


def test_an_interval_without_rounding_gives_its_own_estimate_se_and_p():
    hr, se = 2.5, 0.4
    low, high = hr * math.exp(-1.959964 * se), hr * math.exp(1.959964 * se)
    wald = wald_from_ci(exactly(hr), exactly(low), exactly(high), ratio=True)
    assert wald.midpoint.middle == pytest.approx(hr)
    assert wald.se.middle == pytest.approx(se, rel=1e-6)
    assert wald.p_value.middle == pytest.approx(2 * stats.norm.sf(math.log(hr) / se), rel=1e-5)


def test_rounding_only_widens_what_an_interval_implies():
    hr, se = 2.5, 0.4
    limits = [hr * math.exp(s * 1.959964 * se) for s in (-1, 1)]
    rounded = [Interval(round(x, 1) - 0.05, round(x, 1) + 0.05) for x in (hr, *limits)]
    wald = wald_from_ci(*rounded, ratio=True)
    assert wald.midpoint.contains(hr)
    assert wald.se.contains(se)
    assert wald.p_value.contains(2 * stats.norm.sf(math.log(hr) / se))


def test_a_wald_p_is_against_chance_for_a_c_index_and_against_1_for_a_ratio():
    c_index = wald_from_ci(exactly(0.6), exactly(0.5), exactly(0.7), ratio=False)
    assert c_index.p_value.middle == pytest.approx(0.05, abs=1e-9)
    ratio = wald_from_ci(exactly(2.0), exactly(1.0), exactly(4.0), ratio=True)
    assert ratio.p_value.middle == pytest.approx(0.05, abs=1e-9)


def test_intervals_print_and_calculate_both_ends():
    assert f"{Interval(0.275, 0.2851):.3f}" == "0.275 to 0.285"
    assert f"{Interval(-1.2, -1.21):.1f}" == "−1.2"
    assert f"{Interval(0.0001, 0.0009):p}" == "below 0.001"
    assert f"{Interval(0.0123, 0.456):p}" == "0.012 to 0.46"
    assert Interval(1, 2) - Interval(0.5, 3) == Interval(-2, 1.5)
    assert Interval(1, 2) * 3 == Interval(3, 6)
    assert Interval.around(Interval(1, 2), Interval(0, 1.5)) == Interval(0, 2)
    assert Interval(1, 2).widened(0.5) == Interval(0.5, 3)
    assert Interval(0.265, 0.275).contains(0.275)
    assert not Interval(0.265, 0.275).contains(0.2751)


def test_limits_out_of_order_are_refused():
    with pytest.raises(ValueError, match="lower must lie below"):
        wald_from_ci(exactly(1), exactly(2), exactly(1.5), ratio=True)


def test_no_two_group_hazard_ratio_rests_on_fewer_events_than_the_bound(rng):
    for _ in range(20):
        n, beta = 120, rng.normal(0, 1)
        exposed = (rng.random(n) < rng.uniform(0.2, 0.8)).astype(float)
        time = rng.exponential(np.exp(-beta * exposed))
        event = (rng.random(n) < 0.4).astype(int)
        fit = fit_cox(time, event, exposed)
        split = event[exposed == 1].sum(), event[exposed == 0].sum()
        total, arm = fewest_events(exactly(float(np.ravel(fit.se)[0])))
        assert total <= sum(split)
        assert arm <= min(split)


def test_events_behind_a_hazard_ratio_are_recovered(rng):
    n, beta = 4000, 0.9
    exposed = (np.arange(n) < n // 3).astype(float)
    time = rng.exponential(np.exp(-beta * exposed)) / 0.05
    event = (time < 1).astype(int)
    fit = fit_cox(np.minimum(time, 1), event, exposed)
    events = events_from_hr(
        exactly(float(np.ravel(fit.hr)[0])), exactly(float(np.ravel(fit.se)[0])), n // 3, n - n // 3
    )
    assert events.middle == pytest.approx(event.sum(), rel=0.03)


@pytest.mark.parametrize("censored", [0.0, 0.4])
def test_events_by_a_rate_enclose_the_true_number(rng, censored):
    n = 500
    time = rng.exponential(60 / 0.08, n)
    limit = np.where(rng.random(n) < censored, rng.uniform(10, 60, n), 60)
    event, time = time <= limit, np.minimum(time, limit)
    order = np.argsort(time)
    at_risk, died = n - np.arange(n), event[order]
    survival = np.prod(1 - died / at_risk)
    se = survival * math.sqrt((died / (at_risk * np.maximum(at_risk - 1, 1))).sum())
    limits = survival - 1.959964 * se, survival + 1.959964 * se
    found = events_from_rate(exactly(survival), *map(exactly, limits), n)
    assert found.fewest <= event.sum() <= found.most
    if not censored:
        assert found.most == event.sum()
        assert found.effective_n.middle == pytest.approx(n)


def test_the_kind_of_a_survival_interval_is_told_where_rounding_allows():
    rate, se = 0.6, 0.05
    plain = rate - 1.96 * se, rate + 1.96 * se
    assert rate_interval_kinds(exactly(rate), *map(exactly, plain)) == ["plain"]
    log = rate * math.exp(-1.96 * se / rate), rate * math.exp(1.96 * se / rate)
    assert rate_interval_kinds(exactly(rate), *map(exactly, log)) == ["log"]


def test_the_difference_of_two_rates_is_a_z_test():
    p_value = two_rate_p(exactly(0.9), exactly(0.02), exactly(0.8), exactly(0.03))
    assert p_value.middle == pytest.approx(2 * stats.norm.sf(0.1 / math.hypot(0.02, 0.03)))


def test_a_pooled_rate_tells_the_share_of_each_group():
    share = mixing_share(exactly(0.9), exactly(0.7), exactly(0.95))
    assert share.middle == pytest.approx(0.2)
    with pytest.raises(ValueError, match="overlap"):
        mixing_share(exactly(0.9), Interval(0.7, 0.8), Interval(0.75, 0.85))


def with_limits(value, se, half=0.0):
    """Return an estimate and its limits, each rounded by up to `half`."""
    ends = (value, value - 1.959964 * se, value + 1.959964 * se)
    return tuple(Interval(end - half, end + half) for end in ends)


def test_the_correlation_behind_a_p_value_is_recovered():
    se_a, se_b, r, difference = 0.03, 0.04, 0.6, 0.05
    se = math.sqrt(se_a**2 + se_b**2 - 2 * r * se_a * se_b)
    p_value = exactly(2 * stats.norm.sf(difference / se))
    implied = implied_correlation(with_limits(0.75, se_a), with_limits(0.70, se_b), p_value)
    assert implied.value.middle == pytest.approx(r, abs=1e-5)
    assert implied.is_possible


def test_a_p_value_that_no_correlation_allows_is_told():
    # 0.02 apart with p 0.97 needs a standard error of 0.5; two of 0.05 give 0.1 at most.
    implied = implied_correlation(with_limits(0.73, 0.05), with_limits(0.71, 0.05), exactly(0.97))
    assert not implied.is_possible
    assert implied.value.high < -1
    # And the contrary: so small a p needs a difference more precise than -1 to 1 allows.
    implied = implied_correlation(with_limits(0.72, 0.02), with_limits(0.71, 0.05), exactly(1e-9))
    assert not implied.is_possible
    assert implied.value.low > 1


def test_a_one_sided_p_leaves_the_correlation_open_to_one_side():
    pair = with_limits(0.85, 0.036, 0.005), with_limits(0.66, 0.036, 0.005)
    implied = implied_correlation(*pair, Interval(0, 0.001))
    assert implied.is_possible
    assert implied.value.high >= 1


def test_an_estimate_is_used_only_where_it_lies_in_the_middle_of_its_limits():
    # Limits 0.80 and 0.93 leave 0.86 to 0.87 for the middle: of 0.865 to 0.875 the upper half goes.
    first = tuple(Interval(x - 0.005, x + 0.005) for x in (0.87, 0.80, 0.93))
    second = with_limits(0.84, 0.03)
    se = math.hypot(0.13 / 3.92, 0.03)
    largest = exactly(2 * stats.norm.sf(0.0299 / se))  # what 0.87 - 0.84 would give without correlation
    assert implied_correlation(first, second, largest).value.contains(0)
    beyond = exactly(2 * stats.norm.sf(0.036 / math.hypot(0.14 / 3.92, 0.03)))
    assert not implied_correlation(first, second, beyond).value.contains(0)
    with pytest.raises(ValueError, match="middle"):
        implied_correlation(tuple(map(exactly, (0.9, 0.7, 0.95))), second, largest)


def survival(time, event):
    """Return the Kaplan–Meier rate after the last time, ties of an event and a loss event first."""
    order = np.lexsort((1 - event, time))
    at_risk = len(time) - np.arange(len(time))
    return float(np.prod(1 - event[order] / at_risk))


def test_no_pool_of_two_arms_falls_below_its_bound(rng):
    for events in ((1, 1), (1, 1), (2, 1), (3, 2)):
        for _ in range(200):
            sizes = rng.integers(20, 60, 2)
            times = [rng.permutation(rng.random(n)) for n in sizes]
            flags = [(np.arange(n) < d).astype(int) for n, d in zip(sizes, events, strict=True)]
            rates = [survival(*arm) for arm in zip(times, flags, strict=True)]
            if min(rates) <= 0.02:
                continue
            pooled = pool_two_arms(*(Interval(s - 1e-6, s + 1e-6) for s in rates), int(sizes.sum()))
            assert events in pooled.events
            assert pooled.fewest_patients <= sizes.sum()
            assert survival(np.concatenate(times), np.concatenate(flags)) >= pooled.lowest - 1e-9


def test_two_high_rates_in_few_patients_leave_one_event_an_arm():
    """By hand: 1/0.0225 and 1/0.0175 need 45 and 58 at risk, so 110 patients have no room for a third."""
    pooled = pool_two_arms(Interval(0.9775, 0.9785), Interval(0.9825, 0.9835), 110)
    assert pooled.events == ((1, 1),)
    assert pooled.fewest_patients == 103
    assert pooled.lowest == pytest.approx((1 - 1 / 103) * (1 - 1 / 45))
    with pytest.raises(ValueError, match="too few"):
        pool_two_arms(Interval(0.9775, 0.9785), Interval(0.9825, 0.9835), 100)


@pytest.mark.parametrize("spread", [0.5, 1.2, 2.5])
def test_the_spread_of_a_score_is_found_from_its_c_index(rng, spread):
    score = stats.norm.ppf((np.arange(6000) + 0.5) / 6000) * spread
    time = rng.exponential(np.exp(-score))
    found = score_spread(harrell_c(time, np.ones(6000, int), score).c)
    assert found == pytest.approx(spread, rel=0.05)


@pytest.mark.parametrize("events", [(1, 1), (2, 1), (0, 2), (3, 1)])
def test_two_arm_closed_form_equals_firths_fit_where_shares_are_constant(events):
    # So many patients that a few events leave the shares at risk as they were.
    sizes, times, flags, groups = (600, 1800), [], [], []
    for group, (count, size) in enumerate(zip(events, sizes, strict=True)):
        times += list(np.arange(1, count + 1) * 1.0 + 0.25 * group) + [100.0] * (size - count)
        flags += [1] * count + [0] * (size - count)
        groups += [1 - group] * size
    fit = fit_firth_cox(np.array(times), np.array(flags), np.array(groups, float))
    closed = firth_two_arm(float(np.ravel(fit.hr)[0]), *events)
    assert closed.hr_low == pytest.approx(float(np.ravel(fit.hr_low)[0]), rel=0.005)
    assert closed.hr_high == pytest.approx(float(np.ravel(fit.hr_high)[0]), rel=0.005)
    assert closed.p_value == pytest.approx(float(np.ravel(fit.p_value)[0]), abs=0.002)


def test_with_equal_events_the_profile_limits_are_symmetric_on_the_log_scale():
    fit = firth_two_arm(3.73, 1, 1)
    assert math.sqrt(fit.hr_low * fit.hr_high) == pytest.approx(3.73)
    # By hand: 3 log((2 + 2 cosh x) / 4) = 3.8415 at the limits.
    x = math.log(fit.hr_high / 3.73)
    assert 3 * math.log((2 + 2 * math.cosh(x)) / 4) == pytest.approx(stats.chi2.ppf(0.95, 1))


def test_a_firth_fit_without_events_is_refused():
    with pytest.raises(ValueError, match="event"):
        firth_two_arm(2.0, 0, 0)
