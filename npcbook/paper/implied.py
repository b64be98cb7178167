"""What printed results allow one to work out: standard errors, events and correlations from intervals.

Rounding is carried through as intervals: a printed 0.27 stands for every value that rounds to it, and a
finding counts only if no value within the rounding explains it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

Z95 = stats.norm.ppf(0.975)
CHI95 = stats.chi2.ppf(0.95, 1)


@dataclass(frozen=True)
class Interval:
    """All values from `low` to `high`, both included: what a printed number may stand for.

    Attributes
    ----------
    low, high : float
        Limits; infinite where open.
    """

    low: float
    high: float

    @classmethod
    def around(cls, *intervals: Interval) -> Interval:
        """Return the smallest interval that holds all of these."""
        return cls(min(i.low for i in intervals), max(i.high for i in intervals))

    @property
    def middle(self) -> float:
        """Arithmetic middle."""
        return (self.low + self.high) / 2

    def overlaps(self, other: Interval, *, slack: float = 1e-9) -> bool:
        """Whether the two intervals share a value (`slack` absorbs floating-point noise at shared limits)."""
        return self.low <= other.high + slack and other.low <= self.high + slack

    def contains(self, value: float) -> bool:
        """Whether `value` lies within the interval (with the slack of `overlaps`)."""
        return self.overlaps(Interval(value, value))

    def __sub__(self, other: Interval) -> Interval:
        """Return every difference of a value of this interval and one of the other."""
        return Interval(self.low - other.high, self.high - other.low)

    def __mul__(self, factor: float) -> Interval:
        """Return the interval times a positive number."""
        return Interval(self.low * factor, self.high * factor)

    def widened(self, share: float) -> Interval:
        """Return the interval (of positive values), wider by a share of each limit."""
        return Interval(self.low * (1 - share), self.high * (1 + share))

    def __format__(self, spec: str) -> str:
        """Return "0.27 to 0.31", one number where both ends read the same; `spec` "p" is for p-values."""
        if spec == "p" and self.high < 0.001:
            return "below 0.001"
        ends = (
            format(v, (".3f" if v < 0.1 else ".2f") if spec == "p" else spec) for v in (self.low, self.high)
        )
        return " to ".join(dict.fromkeys(text.replace("-", "−") for text in ends))


@dataclass(frozen=True)
class WaldCheck:
    """What an estimate's printed confidence interval says, if it is estimate ± 1.96 standard errors.

    Attributes
    ----------
    midpoint : Interval
        Middle of the interval (geometric for ratios): what the estimate must be.
    se : Interval
        Standard error, on the logarithmic scale for ratios.
    p_value : Interval
        Two-sided Wald p-value of the printed estimate, against 1 for a ratio, else 0.5 (C-index, AUC).
    """

    midpoint: Interval
    se: Interval
    p_value: Interval


def wald_from_ci(estimate: Interval, low: Interval, high: Interval, *, ratio: bool) -> WaldCheck:
    """Return the midpoint, standard error and Wald p-value that a printed 95 % interval implies.

    Parameters
    ----------
    estimate, low, high : Interval
        Printed estimate and limits, each with its rounding.
    ratio : bool
        Whether the interval is symmetric on the logarithmic scale (hazard ratios).

    Returns
    -------
    WaldCheck
        Intervals that hold every value compatible with the rounding of all three numbers.

    Raises
    ------
    ValueError
        If the limits are not in order, or not positive for a ratio.
    """
    if not low.high < high.low or (ratio and low.low <= 0):
        raise ValueError(
            f"limits are {low} and {high}; the lower must lie below the upper beyond rounding, and both must "
            f"be positive for a ratio."
        )
    forward, back = (math.log, math.exp) if ratio else (float, float)
    lows, highs = [[forward(i.low), forward(i.high)] for i in (low, high)]
    se = Interval((highs[0] - lows[1]) / (2 * Z95), (highs[1] - lows[0]) / (2 * Z95))
    midpoint = Interval(back((lows[0] + highs[0]) / 2), back((lows[1] + highs[1]) / 2))
    null = 0.0 if ratio else 0.5
    distances = [forward(estimate.low) - null, forward(estimate.high) - null]
    nearest = 0.0 if distances[0] <= 0 <= distances[1] else min(map(abs, distances))
    p_value = Interval(
        2 * stats.norm.sf(max(map(abs, distances)) / se.low), 2 * stats.norm.sf(nearest / se.high)
    )
    return WaldCheck(midpoint, se, p_value)


def fewest_events(se: Interval) -> tuple[int, int]:
    """Return the fewest events that a two-group hazard ratio with this standard error can rest on.

    Parameters
    ----------
    se : Interval
        Standard error of the log hazard ratio.

    Returns
    -------
    tuple of int
        Fewest events in all, and fewest in the group with fewer.

    Notes
    -----
    With one binary covariate the information is the sum over events of p (1 - p), where p is the weighted
    share of the high group at that event; at the estimate the p sum to the high group's events. The function
    is concave, so the information is at most d_high d_low / (d_high + d_low), that is
    SE² >= 1/d_high + 1/d_low >= 4 / (d_high + d_low), whatever the censoring.
    """
    largest = se.high**2
    # 1e-9 keeps a bound that is a whole number from being rounded up.
    total = math.ceil(4 / largest - 1e-9)
    return total, math.floor(1 / largest) + 1


def events_from_hr(hr: Interval, se: Interval, n_exposed: int, n_reference: int) -> Interval:
    """Return the number of events that a univariable hazard ratio with this standard error rests on.

    Parameters
    ----------
    hr : Interval
        Hazard ratio, exposed against reference.
    se : Interval
        Standard error of its logarithm.
    n_exposed, n_reference : int
        Patients in the two groups.

    Returns
    -------
    Interval
        Events, not rounded.

    Notes
    -----
    Takes the two groups' shares of the patients at risk as constant, which holds closely while few patients
    have events and censoring is alike: the information is then events x p (1 - p) with
    p = n_exposed hr / (n_exposed hr + n_reference).
    """
    shares = [n_exposed * r / (n_exposed * r + n_reference) for r in np.geomspace(hr.low, hr.high, 41)]
    information = [p * (1 - p) for p in shares]
    return Interval(1 / (se.high**2 * max(information)), 1 / (se.low**2 * min(information)))


@dataclass(frozen=True)
class RateEvents:
    """Events by the time of a Kaplan–Meier survival rate.

    Attributes
    ----------
    fewest, most : int
        Limits that hold whatever the censoring.
    effective_n : Interval
        Patients without censoring who would give the same standard error.
    """

    fewest: int
    most: int
    effective_n: Interval


def events_from_rate(rate: Interval, low: Interval, high: Interval, n_patients: int) -> RateEvents:
    """Return how many events a Kaplan–Meier rate and its 95 % interval allow.

    Parameters
    ----------
    rate, low, high : Interval
        Survival (a fraction, not percent) and its confidence limits, each with its rounding.
    n_patients : int
        Patients at the start.

    Returns
    -------
    RateEvents
        Limits on the number of events by then.

    Notes
    -----
    Most: each event lowers the curve by at least 1/n of its start, so there are at most n (1 - S).
    Fewest: by Greenwood, var(log S) is a sum over events of 2 (cosh x - 1) where the x sum to -log S; the
    function is convex, so d events give at least var = 2 d (cosh(-log S / d) - 1), whatever the censoring.
    """
    se = Interval((high.low - low.high) / (2 * Z95), (high.high - low.low) / (2 * Z95))
    most = math.floor(n_patients * (1 - rate.low) + 1e-9)
    fewest = next(
        d
        for d in range(1, n_patients + 1)
        if 2 * d * (math.cosh(-math.log(rate.high) / d) - 1) <= (se.high / rate.low) ** 2
    )
    spread = [s * (1 - s) for s in (rate.low, rate.high)]
    return RateEvents(fewest, most, Interval(min(spread) / se.high**2, max(spread) / se.low**2))


def rate_interval_kinds(rate: Interval, low: Interval, high: Interval) -> list[str]:
    """Return which kinds of 95 % interval for a survival rate fit the printed limits.

    Parameters
    ----------
    rate, low, high : Interval
        Survival (a fraction) and its limits, each with its rounding.

    Returns
    -------
    list of str
        Those of ``plain``, ``log`` (R's default) and ``log-log`` for which the rate can lie in the middle of
        the limits on that scale.
    """
    scales = {"plain": float, "log": math.log, "log-log": lambda s: -math.log(-math.log(s))}
    kinds = []
    for name, scale in scales.items():
        middle = Interval((scale(low.low) + scale(high.low)) / 2, (scale(low.high) + scale(high.high)) / 2)
        if middle.overlaps(Interval(scale(rate.low), scale(rate.high))):
            kinds.append(name)
    return kinds


def two_rate_p(rate_a: Interval, se_a: Interval, rate_b: Interval, se_b: Interval) -> Interval:
    """Return the p-value for the difference of two independent rates, given their standard errors.

    Parameters
    ----------
    rate_a : Interval
        First rate, with rounding.
    se_a : Interval
        Its standard error, in the same unit.
    rate_b, se_b : Interval
        The same of the second rate.

    Returns
    -------
    Interval
        Two-sided p-values of the z-test that the rounding allows.
    """
    nearest = max(0.0, rate_a.low - rate_b.high, rate_b.low - rate_a.high)
    farthest = max(rate_a.high - rate_b.low, rate_b.high - rate_a.low)
    return Interval(
        2 * stats.norm.sf(farthest / math.hypot(se_a.low, se_b.low)),
        2 * stats.norm.sf(nearest / math.hypot(se_a.high, se_b.high)),
    )


def mixing_share(pooled: Interval, first: Interval, second: Interval) -> Interval:
    """Return the share of the first group that makes the pooled rate a mixture of two groups' rates.

    Parameters
    ----------
    pooled, first, second : Interval
        Rates; the two groups' rates must not overlap.

    Returns
    -------
    Interval
        Share of the first group; beyond 0 to 1 where no mixture gives the pooled rate.

    Raises
    ------
    ValueError
        If the groups' rates overlap, so that any share would do.
    """
    if first.overlaps(second):
        raise ValueError(f"the groups' rates {first} and {second} overlap; their mixture tells no share.")
    corners = [
        (p - b) / (a - b)
        for p in (pooled.low, pooled.high)
        for a in (first.low, first.high)
        for b in (second.low, second.high)
    ]
    return Interval(min(corners), max(corners))


@dataclass(frozen=True)
class PooledArms:
    """What the survival rates of two arms leave for the whole that they make up.

    Attributes
    ----------
    events : tuple of (int, int)
        Numbers of events in the two arms that are possible.
    fewest_patients : int
        Fewest patients that both arms together can have.
    lowest : float
        Lowest rate that the whole can have.
    """

    events: tuple[tuple[int, int], ...]
    fewest_patients: int
    lowest: float


def pool_two_arms(first: Interval, second: Interval, n_patients: int) -> PooledArms:
    """Return what two arms' Kaplan–Meier rates leave for their pool, whatever the censoring.

    Parameters
    ----------
    first, second : Interval
        Rates of the two arms at the same time (fractions below 1), with rounding.
    n_patients : int
        Patients in both arms together.

    Returns
    -------
    PooledArms
        Exact limits.

    Raises
    ------
    ValueError
        If no split of the patients gives both rates.

    Notes
    -----
    An arm of n patients with d events has a rate of at most 1 - d/n, so that n >= d / (1 - S). At each event
    the pool has at least as many at risk as the arm, hence S >= S_a S_b. With one event an arm, S = 1 - 1/r
    tells those at risk r in each; at the earlier of the two events the other arm still has all who are at
    risk at the later one, hence S >= (1 - 1/(r_a + r_b)) (1 - 1/min(r_a, r_b)).
    """
    needed = [
        [math.ceil(d / (1 - rate.low) - 1e-9) for d in range(1, n_patients + 1)] for rate in (first, second)
    ]
    events = tuple(
        (a, b)
        for a, size_a in enumerate(needed[0], start=1)
        for b, size_b in enumerate(needed[1], start=1)
        if size_a + size_b <= n_patients
    )
    if not events:
        raise ValueError(
            f"{n_patients} patients are too few for rates of {first} and {second} with an event."
        )
    r_a, r_b = needed[0][0], needed[1][0]
    lowest = first.low * second.low
    if events == ((1, 1),):
        lowest = (1 - 1 / (r_a + r_b)) * (1 - 1 / min(r_a, r_b))
    return PooledArms(events, r_a + r_b, lowest)


def score_spread(c_index: float) -> float:
    """Return the standard deviation of a log hazard score that has this C-index, if it is normal.

    Parameters
    ----------
    c_index : float
        Above 0.5 and below 1.

    Returns
    -------
    float
        Standard deviation.

    Notes
    -----
    Of two patients whose scores differ by x the one with the higher hazard has the event first with
    probability 1 / (1 + exp(-x)); the difference of two normal scores is normal with twice their variance.
    """
    gap = np.linspace(0, 9, 2001)
    weight = stats.norm.pdf(gap)

    def concordance(spread: float) -> float:
        return float((weight / (1 + np.exp(-gap * spread * math.sqrt(2)))).sum() / weight.sum())

    return optimize.brentq(lambda spread: concordance(spread) - c_index, 1e-6, 30)


@dataclass(frozen=True)
class ImpliedCorrelation:
    """Correlation of two estimates that their difference's p-value implies.

    Attributes
    ----------
    value : Interval
        Correlation, all values that the rounding allows; unlimited where the p-value sets no limit.
    is_possible : bool
        Whether any correlation from -1 to 1 is among them.
    """

    value: Interval
    is_possible: bool

    @property
    def within(self) -> Interval:
        """The part of `value` from -1 to 1."""
        return Interval(max(-1.0, self.value.low), min(1.0, self.value.high))


def _means_by_se(value: Interval, low: Interval, high: Interval) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standard errors, and for each the least and greatest estimate in the middle of the limits."""
    half = np.linspace((high.low - low.high) / 2, (high.high - low.low) / 2, 201)
    least = np.maximum.reduce([np.full_like(half, value.low), low.low + half, high.low - half])
    most = np.minimum.reduce([np.full_like(half, value.high), low.high + half, high.high - half])
    fits = least <= most + 1e-9
    return half[fits] / Z95, least[fits], most[fits]


def implied_correlation(
    first: tuple[Interval, Interval, Interval], second: tuple[Interval, Interval, Interval], p_value: Interval
) -> ImpliedCorrelation:
    """Return the correlation between two estimates that makes their printed p-value right.

    Parameters
    ----------
    first, second : tuple of Interval
        Each estimate and its two 95 % limits, with their rounding.
    p_value : Interval
        Printed two-sided p-value of the difference.

    Returns
    -------
    ImpliedCorrelation
        From ``SE(difference)² = SE_a² + SE_b² - 2 r SE_a SE_b`` and ``SE(difference) = |difference| / z``.

    Raises
    ------
    ValueError
        If an estimate cannot lie in the middle of its limits.

    Notes
    -----
    Intervals are estimate ± 1.96 standard errors, so that estimate and limits cannot lie anywhere within
    their rounding: for each pair of standard errors only the estimates in the middle of limits that are that
    far apart are used.
    """
    (se_a, low_a, high_a), (se_b, low_b, high_b) = (_means_by_se(*estimate) for estimate in (first, second))
    if not (len(se_a) and len(se_b)):
        raise ValueError(f"{first} and {second}: an estimate does not lie in the middle of its limits.")
    smallest = np.maximum(0, np.maximum(low_a[:, None] - high_b, low_b - high_a[:, None]))
    largest = np.maximum(high_a[:, None] - low_b, high_b - low_a[:, None])
    z = Interval(stats.norm.isf(p_value.high / 2), stats.norm.isf(p_value.low / 2))
    least, most = smallest / z.high, largest / z.low if z.low > 0 else np.full_like(largest, math.inf)
    a, b = se_a[:, None], se_b
    lowest, highest = ((a**2 + b**2 - s**2) / (2 * a * b) for s in (most, least))
    return ImpliedCorrelation(
        Interval(float(lowest.min()), float(highest.max())),
        bool(((least <= a + b) & (most >= abs(a - b))).any()),
    )


@dataclass(frozen=True)
class FirthTwoArm:
    """Firth's penalised Cox regression of two arms whose shares of those at risk stay constant.

    Attributes
    ----------
    hr_low, hr_high : float
        95 % limits from the profile penalised likelihood.
    p_value : float
        Penalised likelihood ratio test of hr = 1.
    se : float
        Standard error of log(hr) from the information at the estimate (for Wald limits).
    wald_p_value : float
        Wald p-value from the same.
    """

    hr_low: float
    hr_high: float
    p_value: float
    se: float
    wald_p_value: float


def firth_two_arm(hr: float, events_high: int, events_low: int) -> FirthTwoArm:
    """Return the limits and p-value of Firth's correction, from its hazard ratio and the events alone.

    Parameters
    ----------
    hr : float
        Firth's hazard ratio, high against low.
    events_high, events_low : int
        Events in the two arms; one of them may be 0.

    Returns
    -------
    FirthTwoArm
        Profile limits and p-values.

    Raises
    ------
    ValueError
        If `hr` is not positive or there is no event.

    Notes
    -----
    Let x = log(hr) + log(at risk in high / at risk in low), constant over time. Then the penalised log
    likelihood is (d_high + 1/2) x - (d + 1) log(1 + exp(x)), d = d_high + d_low, whose maximum lies at
    logit((d_high + 1/2) / (d + 1)). Only the events enter, so the printed limits and p tell them. Shares that
    drift between events widen the limits a little: by 1 % if the ratio of those at risk changes by half.

    References
    ----------
    The paper, Figure 4 and its statistical analysis (Firth's correction as in R's coxphf).
    """
    if hr <= 0 or min(events_high, events_low) < 0 or events_high + events_low == 0:
        raise ValueError(
            f"hr is {hr}, events are {events_high} and {events_low}; hr must be positive, and there must be "
            f"an event."
        )
    total = events_high + events_low
    share = (events_high + 0.5) / (total + 1)
    best = math.log(share / (1 - share))

    def drop(x: float) -> float:
        def penalised(t: float) -> float:
            return (events_high + 0.5) * t - (total + 1) * float(np.logaddexp(0, t))

        return 2 * (penalised(best) - penalised(x))

    reach = 2 * CHI95 / (min(events_high, events_low) + 0.5) + 5
    low = optimize.brentq(lambda x: drop(x) - CHI95, best - reach, best)
    high = optimize.brentq(lambda x: drop(x) - CHI95, best, best + reach)
    log_hr = math.log(hr)
    se = 1 / math.sqrt(total * share * (1 - share))
    return FirthTwoArm(
        hr * math.exp(low - best),
        hr * math.exp(high - best),
        float(stats.chi2.sf(drop(best - log_hr), 1)),
        se,
        float(2 * stats.norm.sf(abs(log_hr) / se)),
    )
