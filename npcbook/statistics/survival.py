"""Survival curves and their comparison: Kaplan-Meier, log-rank, follow-up, restricted mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.multitest import multipletests

from npcbook.statistics.data import check_column, check_survival
from npcbook.statistics.printing import Printed

CONFIDENCE_INTERVALS = ("log-log", "log", "plain")
ADJUSTMENTS = {"holm": "holm", "bh": "fdr_bh", "bonferroni": "bonferroni"}


@dataclass(frozen=True)
class KaplanMeier:
    """A Kaplan-Meier curve, at every observed time or at the times asked for.

    Attributes
    ----------
    time : numpy.ndarray
        Times.
    survival, se, low, high : numpy.ndarray
        Survival probability, Greenwood's standard error and limits. NaN where the method has no limits: at
        survival 1 after the first observation with "log-log", at survival 0 with any.
    n_at_risk, n_events, n_censored : numpy.ndarray
        Patients followed up to the time or longer; events and censorings at that time (curve), or since the
        previous time asked for.
    median, median_low, median_high : float
        Median survival time; NaN if it was not reached.
    n_patients, total_events : int
        Rows and events.
    """

    time: np.ndarray
    survival: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_at_risk: np.ndarray
    n_events: np.ndarray
    n_censored: np.ndarray
    median: float
    median_low: float
    median_high: float
    n_patients: int
    total_events: int


@dataclass(frozen=True)
class LogRank:
    """A log-rank test of equal hazards.

    Attributes
    ----------
    statistic, p_value : float
        Chi-square test with `degrees_of_freedom`.
    groups : tuple
        Group labels, sorted; order of the next two.
    observed, expected : numpy.ndarray
        (Weighted) events per group.
    n_patients : numpy.ndarray
        Patients per group.
    """

    statistic: float
    p_value: float
    degrees_of_freedom: int
    groups: tuple
    observed: np.ndarray
    expected: np.ndarray
    n_patients: np.ndarray


@dataclass(frozen=True)
class FollowUp(Printed):
    """Follow-up by the reverse Kaplan-Meier method: median with limits, quartiles (NaN: not reached)."""

    printed: ClassVar = ("median", "median_low", "median_high")
    decimals: ClassVar = 1
    median: float
    median_low: float
    median_high: float
    q1: float
    q3: float
    n_patients: int


@dataclass(frozen=True)
class RestrictedMean(Printed):
    """Mean survival time up to `horizon`, with standard error and limits, in the unit of time."""

    value: float
    se: float
    low: float
    high: float
    horizon: float


@dataclass(frozen=True)
class Rate(Printed):
    """Share free of the event at a horizon: `value` (0 to 1) with limits, patients, events by then.

    ``f"{rate:1%}"`` writes it in per cent.
    """

    value: float
    se: float
    low: float
    high: float
    horizon: float
    n_patients: int
    n_events: int


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must be between 0 and 1 (0.05 for 95 % limits).")


def _curve(time, event, weights=None):
    """Return distinct times with survival, Greenwood's se, at risk, events and censorings there."""
    fit = SurvfuncRight(time, event.astype(float), freq_weights=weights)
    times = np.unique(time)
    step = np.searchsorted(fit.surv_times, times, side="right")
    survival = np.concatenate([[1.0], fit.surv_prob])[step]
    with np.errstate(invalid="ignore"):
        se = np.concatenate([[0.0], fit.surv_prob_se])[step]
    at_risk = len(time) - np.searchsorted(np.sort(time), times, side="left")
    events = np.bincount(np.searchsorted(times, time[event]), minlength=len(times))
    censored = np.bincount(np.searchsorted(times, time[~event]), minlength=len(times))
    return times, survival, np.where(survival > 0, se, np.nan), at_risk, events, censored


def _limits(survival, se, ci: str, alpha: float):
    """Return lower and upper limits as R's survfit has them, capped to [0, 1]."""
    reach = stats.norm.isf(alpha / 2) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        if ci == "plain":
            low, high = survival - reach, survival + reach
        elif ci == "log":
            low, high = survival * np.exp(-reach / survival), survival * np.exp(reach / survival)
        else:
            # No limits at survival 1 (and 1 to any power would hide that).
            power = np.where(survival < 1, reach / (survival * np.log(survival)), np.nan)
            base = np.where(survival < 1, survival, np.nan)
            low, high = base ** np.exp(-power), base ** np.exp(power)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def _quantile(times, curve, q: float) -> float:
    """Return the time at which a falling curve reaches 1 - q; midway where it is flat at exactly that."""
    level = 1 - q
    # A product of fractions can miss the level by rounding only.
    below = np.flatnonzero(curve < level + 1e-9)
    if not below.size:
        return np.nan
    first = below[0]
    lower = np.flatnonzero(curve < level - 1e-9)
    if abs(curve[first] - level) < 1e-9 and lower.size:
        return float((times[first] + times[lower[0]]) / 2)
    return float(times[first])


def kaplan_meier(
    time: ArrayLike,
    event: ArrayLike,
    *,
    at: ArrayLike | None = None,
    ci: str = "log-log",
    alpha: float = 0.05,
    weights: ArrayLike | None = None,
) -> KaplanMeier:
    """Estimate the probability of remaining free of the event beyond each time.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, in any one unit; greater than 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored. A group without events has survival 1.
    at : array-like, optional
        Times to report, 0 or later; after the last observation the last value is carried on. By default every
        distinct observed time.
    ci : {"log-log", "log", "plain"}
        Scale of the confidence limits.
    alpha : float
        1 - confidence level.
    weights : array-like, shape (n,), optional
        Case weights, above 0 (inverse probability weights, say). The standard error then treats them as
        counts: take limits from a bootstrap.

    Returns
    -------
    KaplanMeier
        Curve and median.

    Raises
    ------
    ValueError
        For bad input.

    Notes
    -----
    At a tie events come before censorings. Equals ``survival::survfit`` 3.5-3; the curve and its standard
    error come from statsmodels.
    """
    if ci not in CONFIDENCE_INTERVALS:
        raise ValueError(f"ci is {ci!r}; it must be one of {', '.join(CONFIDENCE_INTERVALS)}.")
    _check_alpha(alpha)
    time, event = check_survival(time, event, need_event=False)
    if weights is not None:
        weights = check_survival(time, event, need_event=False, weights=weights)[2]
        if weights.min() <= 0:
            raise ValueError(
                f"weights go down to {weights.min():g}; all must be above 0: drop such patients."
            )
    times, survival, se, at_risk, events, censored = _curve(time, event, weights)
    low, high = _limits(survival, se, ci, alpha)
    median = [_quantile(times, curve, 0.5) for curve in (survival, low, high)]
    if at is not None:
        at = check_column("at", at)
        if at.min() < 0 or (np.diff(at) < 0).any():
            raise ValueError(f"at holds {at.tolist()}; times must be 0 or later, in ascending order.")
        step = np.searchsorted(times, at, side="right")
        survival, se, low, high = (
            np.concatenate([[start], values])[step]
            for start, values in ((1.0, survival), (0.0, se), (1.0, low), (1.0, high))
        )
        at_risk = (time[:, None] >= at).sum(axis=0)
        before = [np.concatenate([[0], np.cumsum(n)])[step] for n in (events, censored)]
        events, censored = (np.diff(n, prepend=0) for n in before)
        times = at
    return KaplanMeier(
        times, survival, se, low, high, at_risk, events, censored, *median, len(time), int(event.sum())
    )


def rate_at(time: ArrayLike, event: ArrayLike, horizon: float, *, ci: str = "log-log") -> Rate:
    """Return the Kaplan-Meier share of patients free of the event at a horizon.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        As for `kaplan_meier`.
    horizon : float
        In the unit of time; somebody must have been followed to it.
    ci : {"log-log", "log", "plain"}
        Scale of the limits.

    Returns
    -------
    Rate
        Share, limits (NaN where nobody has had an event), and events by the horizon.

    Raises
    ------
    ValueError
        For bad input, or if follow-up ends before the horizon.
    """
    time, event = check_survival(time, event, need_event=False)
    if time.max() < horizon:
        raise ValueError(
            f"horizon is {horizon:g}, but follow-up ends at {time.max():g}: choose an earlier one."
        )
    curve = kaplan_meier(time, event, at=[horizon], ci=ci)
    rate, se, low, high = (float(getattr(curve, name)[0]) for name in ("survival", "se", "low", "high"))
    if rate == 1:
        # Nobody has had an event by then, which says little where few were watched.
        low = high = np.nan
    return Rate(rate, se, low, high, float(horizon), len(time), int((event & (time <= horizon)).sum()))


def _two_groups_or_more(group: ArrayLike, n: int) -> tuple[np.ndarray, tuple]:
    """Return group codes and sorted labels."""
    column = pd.Series(group)
    if len(column) != n:
        raise ValueError(f"group has {len(column)} values and time has {n}; give equal lengths.")
    if column.isna().any():
        raise ValueError(
            f"group has {int(column.isna().sum())} missing value(s); leave those patients out beforehand."
        )
    codes, labels = pd.factorize(column, sort=True)
    if len(labels) < 2:
        raise ValueError(f"group has the one value '{labels[0]}'; a comparison needs two groups or more.")
    return codes, tuple(labels)


def logrank(time: ArrayLike, event: ArrayLike, group: ArrayLike, *, rho: float = 0.0) -> LogRank:
    """Test whether two or more groups have the same hazard.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, in any one unit; greater than 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored; at least one event.
    group : array-like, shape (n,)
        Group labels; at least two, none missing.
    rho : float
        Weight of early differences: the weight at t is S(t-)**rho (0 = log-rank, 1 = Peto-Peto).

    Returns
    -------
    LogRank
        Test, observed and expected events.

    Raises
    ------
    ValueError
        For bad input, one group only, or events of one moment only at which nobody else is at risk.

    Notes
    -----
    Hypergeometric variance, the groups' observed minus expected in quadratic form. Equals
    ``survival::survdiff`` 3.5-3.
    """
    time, event = check_survival(time, event)
    codes, labels = _two_groups_or_more(group, len(time))
    event_times = np.unique(time[event])
    member = codes[:, None] == np.arange(len(labels))
    # Counts at each event time: patients still followed, and events, per group.
    order = np.argsort(time)
    start = np.searchsorted(time[order], event_times)
    at_risk = member[order][::-1].cumsum(axis=0)[::-1][start]
    died = np.zeros_like(at_risk)
    np.add.at(died, (np.searchsorted(event_times, time[event]), codes[event]), 1)
    n, d = at_risk.sum(axis=1), died.sum(axis=1)
    before = np.concatenate([[1.0], np.cumprod(1 - d / n)[:-1]])
    weight = before**rho
    share = at_risk / n[:, None]
    observed, expected = weight @ died, (weight * d) @ share
    spread = weight**2 * d * (n - d) / np.maximum(n - 1, 1)
    variance = np.diag(spread @ share) - (share.T * spread) @ share
    difference = (observed - expected)[:-1]
    if np.linalg.matrix_rank(variance[:-1, :-1]) < len(difference):
        raise ValueError(
            "group cannot be compared: at every event all patients at risk are in one group, or a group has "
            "left before the first event. Merge groups or leave that group out."
        )
    statistic = float(difference @ np.linalg.solve(variance[:-1, :-1], difference))
    df = len(labels) - 1
    counts = member.sum(axis=0)
    return LogRank(statistic, float(stats.chi2.sf(statistic, df)), df, labels, observed, expected, counts)


def pairwise_logrank(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, *, adjust: str = "holm"
) -> pd.DataFrame:
    """Compare every pair of groups by the log-rank test.

    Parameters
    ----------
    time, event, group : array-like, shape (n,)
        As for `logrank`.
    adjust : {"holm", "bh", "bonferroni"}
        Correction for the number of pairs.

    Returns
    -------
    pandas.DataFrame
        ``group_a``, ``group_b``, ``statistic``, ``p_value``, ``p_adjusted``.

    Raises
    ------
    ValueError
        As `logrank`, for any pair.
    """
    if adjust not in ADJUSTMENTS:
        raise ValueError(f"adjust is {adjust!r}; it must be one of {', '.join(ADJUSTMENTS)}.")
    time, event = check_survival(time, event)
    codes, labels = _two_groups_or_more(group, len(time))
    rows = []
    for a in range(len(labels)):
        for b in range(a + 1, len(labels)):
            pair = np.isin(codes, (a, b))
            test = logrank(time[pair], event[pair], codes[pair])
            rows.append((labels[a], labels[b], test.statistic, test.p_value))
    table = pd.DataFrame(rows, columns=["group_a", "group_b", "statistic", "p_value"])
    return table.assign(p_adjusted=multipletests(table["p_value"], method=ADJUSTMENTS[adjust])[1])


def reverse_km(time: ArrayLike, event: ArrayLike, *, ci: str = "log-log", alpha: float = 0.05) -> FollowUp:
    """Return the follow-up time that patients would have had without the event.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        As for `kaplan_meier`; at least one patient must be censored.
    ci : {"log-log", "log", "plain"}
        Scale of the median's limits.
    alpha : float
        1 - confidence level.

    Returns
    -------
    FollowUp
        Median, its limits, quartiles.

    Raises
    ------
    ValueError
        For bad input, or if every patient had the event.

    Notes
    -----
    Kaplan-Meier with the roles of event and censoring exchanged; at a tie a patient with the event counts as
    followed up. Equals ``survfit(Surv(time, 1 - event) ~ 1)``.

    References
    ----------
    Schemper & Smith, Controlled Clinical Trials 1996;17:343-346. "FU time" in Table 1 of the paper.
    """
    time, event = check_survival(time, event, need_event=False)
    if event.all():
        raise ValueError(
            f"event is 1 for all {len(time)} patients; follow-up needs at least one censored patient."
        )
    curve = kaplan_meier(time, ~event, ci=ci, alpha=alpha)
    q1, q3 = (_quantile(curve.time, curve.survival, q) for q in (0.25, 0.75))
    return FollowUp(curve.median, curve.median_low, curve.median_high, q1, q3, len(time))


def rmst(time: ArrayLike, event: ArrayLike, horizon: float, *, alpha: float = 0.05) -> RestrictedMean:
    """Return the mean time free of the event within `horizon`: the area under the Kaplan-Meier curve.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        As for `kaplan_meier`.
    horizon : float
        End of the period, above 0, in the unit of time; beyond the last observation only if nobody is left.
    alpha : float
        1 - confidence level.

    Returns
    -------
    RestrictedMean
        Value, standard error, limits (plain).

    Raises
    ------
    ValueError
        For bad input, or a horizon beyond follow-up.

    Notes
    -----
    Equals ``print(survfit(...), rmean = horizon)`` of R's survival 3.5-3.
    """
    _check_alpha(alpha)
    time, event = check_survival(time, event, need_event=False)
    times, survival, _, at_risk, events, _ = _curve(time, event)
    if not horizon > 0 or (horizon > times[-1] and survival[-1] > 0):
        raise ValueError(
            f"horizon is {horizon:g}; it must be above 0 and not beyond the last observation, {times[-1]:g}."
        )
    kept = times < horizon
    edges = np.concatenate([[0.0], times[kept], [horizon]])
    areas = np.diff(edges) * np.concatenate([[1.0], survival[kept]])
    beyond = areas[::-1].cumsum()[::-1][1:]
    n, d = at_risk[kept], events[kept]
    # Nothing lies beyond a time at which everybody left has the event.
    variance = (beyond**2 * np.divide(d, n * (n - d), out=np.zeros(len(n)), where=n > d)).sum()
    value, se = float(areas.sum()), float(np.sqrt(variance))
    reach = stats.norm.isf(alpha / 2) * se
    return RestrictedMean(value, se, value - reach, value + reach, float(horizon))


def at_risk_table(time: ArrayLike, event: ArrayLike, ticks: ArrayLike) -> pd.DataFrame:
    """Count, at each tick, who is at risk and who has left before, with and without the event.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        As for `kaplan_meier`.
    ticks : array-like
        Times, 0 or later.

    Returns
    -------
    pandas.DataFrame
        ``tick``, ``at_risk`` (followed to the tick or longer), ``events`` and ``censored`` (before the tick);
        the three add up to the number of patients.
    """
    time, event = check_survival(time, event, need_event=False)
    ticks = check_column("ticks", ticks)
    left = time[:, None] < ticks
    return pd.DataFrame(
        {
            "tick": ticks,
            "at_risk": (~left).sum(axis=0),
            "events": (left & event[:, None]).sum(axis=0),
            "censored": (left & ~event[:, None]).sum(axis=0),
        }
    )
