"""Concordance of a risk score with survival: Harrell's and Uno's C, and the paired comparison of two.

They stand here since lifelines' and scikit-survival's have no standard error, statsmodels none at all, and
nobody compares two (R compareC); O(n log n), where those count all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import kendalltau, t

from npcbook.statistics.data import Z95, check_risks, survival_before
from npcbook.statistics.printing import Difference, Estimate, Printed

# Up to so many, looking at each pair is quicker than the bookkeeping that avoids it.
FEW_PAIRS = 2**20


@dataclass(frozen=True)
class Concordance(Printed):
    """A concordance index with its standard error.

    Attributes
    ----------
    c : float
        Probability that the higher risk belongs to the earlier event; 0.5 is chance, 1 is perfect.
    se : float
        Infinitesimal-jackknife standard error.
    low, high : float
        95 % limits ``c`` ± z·``se``, not truncated to [0, 1].
    n_patients, n_events : int
        Patients, and events that were used (those after `tau` are not).
    n_pairs : int
        Comparable pairs.
    influence : numpy.ndarray, shape (n,)
        Each patient's influence on ``c``, in row order; their sum of squares is ``se`` squared, and those of
        two scores on the same patients give the covariance of the two indices.
    """

    printed: ClassVar = ("c", "low", "high")
    highest: ClassVar = 1.0
    c: float
    se: float
    low: float
    high: float
    n_patients: int
    n_events: int
    n_pairs: int
    influence: np.ndarray = field(repr=False)

    def for_few_events(self) -> Estimate:
        """Return C with limits on the scale of its log odds, by Student's t for the number of events.

        Those of the class are R's; with about forty events they hold the truth too seldom
        (``benchmarks/studies/coverage.py``), since the standard error is the smaller, the larger C comes out.
        Without limits at 0 or 1, and with fewer than two events.
        """
        if not 0 < self.c < 1 or self.n_events < 2:
            return Estimate(self.c, np.nan, np.nan)
        reach = t.isf(0.025, self.n_events - 1) * self.se / (self.c * (1 - self.c))
        return Estimate(self.c, *(float(expit(logit(self.c) + side * reach)) for side in (-1, 1)))


@dataclass(frozen=True)
class ConcordanceComparison(Difference):
    """Two correlated concordance indices and the test of their difference.

    Attributes
    ----------
    difference, se, low, high, z, p_value : float
        ``c_a`` − ``c_b``, its standard error and 95 % limits, the Wald statistic and its two-sided p-value.
    c_a, c_b : float
        Harrell's C of either score.
    variance_a, variance_b, covariance : float
        Variances of the two indices, and their covariance.
    n_patients, n_events : int
        Patients and events.
    """

    c_a: float
    c_b: float
    variance_a: float
    variance_b: float
    covariance: float
    n_patients: int
    n_events: int


def harrell_c(time: ArrayLike, event: ArrayLike, risk: ArrayLike, *, tau: float | None = None) -> Concordance:
    """Return Harrell's C: the share of comparable pairs whose higher risk had the earlier event.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, any one unit, > 0; missing values are an error.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    risk : array-like, shape (n,)
        Risk score, higher = worse; only its order counts.
    tau : float, optional
        Events after `tau` (unit of `time`) are not used.

    Returns
    -------
    Concordance
        The index, its standard error and limits.

    Raises
    ------
    ValueError
        If input is unusable (see `data.check_survival`), the risk is constant, or no pair is comparable.

    Notes
    -----
    A pair is comparable if the earlier time is an event. At a tie in time an event comes before a censoring,
    and two events are not comparable. Tied risks count ½. Equals R ``survival::concordance`` (3.5-3),
    ``timewt="n"``. O(n log n) time, O(n) memory.

    References
    ----------
    Table 4 of the paper. Harrell FE et al. Evaluating the yield of medical tests. JAMA 1982;247:2543-6.
    """
    time, event, risk = _check(time, event, risk=risk)
    return _concordance(time, event, risk, np.ones(len(time)), tau)


def uno_c(time: ArrayLike, event: ArrayLike, risk: ArrayLike, *, tau: float | None = None) -> Concordance:
    """Return Uno's C: concordance that does not depend on how the study's patients were censored.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, any one unit, > 0; missing values are an error.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    risk : array-like, shape (n,)
        Risk score, higher = worse; only its order counts.
    tau : float, optional
        Events after `tau` (unit of `time`) are not used. Advisable: late pairs have large weights.

    Returns
    -------
    Concordance
        The index, its standard error (which takes the censoring distribution as known) and limits.

    Raises
    ------
    ValueError
        As `harrell_c`.

    Notes
    -----
    Pairs as in `harrell_c`, each weighted by 1/G(t−)², t being the time of its event and G the Kaplan–Meier
    curve of censoring (events leave before censorings at a tie). Equals R ``survival::concordance`` (3.5-3),
    ``timewt="n/G2"``. O(n log n) time.

    References
    ----------
    Uno H et al. On the C-statistics for evaluating overall adequacy of risk prediction procedures with
    censored survival data. Stat Med 2011;30:1105-17.
    """
    time, event, risk = _check(time, event, risk=risk)
    uncensored = survival_before(time, event, time, of_censoring=True)
    return _concordance(time, event, risk, 1 / uncensored**2, tau)


def compare_c(
    time: ArrayLike, event: ArrayLike, risk_a: ArrayLike, risk_b: ArrayLike
) -> ConcordanceComparison:
    """Test whether two risk scores of the same patients have the same Harrell's C.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, any one unit, > 0; missing values are an error.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    risk_a, risk_b : array-like, shape (n,)
        The two risk scores, higher = worse; only their orders count.

    Returns
    -------
    ConcordanceComparison
        Both indices, their covariance matrix, and the Wald test of the difference.

    Raises
    ------
    ValueError
        As `harrell_c`; also with fewer than four patients, or if the difference has no positive variance
        (both scores order all comparable pairs alike, or there are too few of these).

    Notes
    -----
    Pairs as in `harrell_c`. With ``t_ij`` = 1 (comparable pair, concordant), −1 (discordant) or 0,
    C = ½(Σ t/Σ t² + 1) is a ratio of two U-statistics; their variances and covariances are the unbiased
    estimates for U-statistics of degree two, and the delta method does the rest. Equals R ``compareC``
    (1.3.3), which takes O(n²) steps; here row sums take O(n log n), and the sum of products of the two
    scores' signs, a count of dominances in three dimensions, O(n log² n).

    References
    ----------
    Table 4 of the paper. Kang L, Chen W, Petrick NA, Gallas BD. Comparing two correlated C indices with
    right-censored survival outcome: a one-shot nonparametric approach. Stat Med 2015;34:685-703.
    """
    time, event, risk_a, risk_b = _check(time, event, risk_a=risk_a, risk_b=risk_b)
    if (n := len(time)) < 4:
        raise ValueError(f"time has {n} patients; comparing two indices takes at least 4.")
    (c_a, c_b), ((var_a, covariance), (_, var_b)) = (x.tolist() for x in _kang(time, event, risk_a, risk_b))
    variance = var_a + var_b - 2 * covariance
    # Of few pairs, the unbiased estimates of the two variances may themselves be negative.
    if variance <= 1e-14 * (abs(var_a) + abs(var_b)):
        raise ValueError(
            "risk_a and risk_b give a difference in C without positive variance: they order the comparable "
            "pairs alike, or there are too few of these; compare scores that differ, on more events."
        )
    return ConcordanceComparison.of(
        c_a - c_b,
        float(np.sqrt(variance)),
        c_a=c_a,
        c_b=c_b,
        variance_a=var_a,
        variance_b=var_b,
        covariance=covariance,
        n_patients=n,
        n_events=int(event.sum()),
    )


def _check(time, event, **risks) -> tuple[np.ndarray, ...]:
    """Check survival data and scores, and that some pair can be compared at all."""
    time, event, *columns = check_risks(time, event, **risks)
    if not ((time > time[event].min()) | ((time == time[event].min()) & ~event)).any():
        raise ValueError("time has no patient followed beyond an event, so no pair is comparable.")
    return time, event, *columns


@dataclass(frozen=True)
class _Pairs:
    """Sums over the pairs that each patient takes part in; pairs of tied risk count in `tied` twice."""

    score: np.ndarray
    comparable: np.ndarray
    tied: float
    n_pairs: int


def _time_rank(time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return integers such that patient j outlived the event of patient i if and only if rank j > rank i.

    Only event times are told apart, which keeps the ranks small where events are rare: an event at the k-th
    event time has 2k, a patient censored from then until the next one 2k + 1.
    """
    event_times = np.unique(time[event])
    return 2 * np.searchsorted(event_times, time, side="right") + ~event


def _pairs(time: np.ndarray, event: np.ndarray, risk: np.ndarray, weight: np.ndarray) -> _Pairs:
    """Sum the signs of a score over all comparable pairs of each patient, in O(n log n).

    Two ranks differ first, from the top, in exactly one binary digit. So each comparable pair is met once: at
    the digit where its event's rank has 0, the other's 1, and all higher digits agree.
    """
    rank, used = _time_rank(time, event), event & (weight > 0)
    if used.sum() * len(time) <= FEW_PAIRS:
        return _few_pairs(rank, used, risk, weight)
    level = np.unique(risk, return_inverse=True)[1]
    width, score, tied = int(level.max()) + 1, np.zeros(len(time)), 0.0
    for digit in range(int(rank.max()).bit_length()):
        start = (rank >> (digit + 1)) * width
        later = (rank >> digit) & 1 == 1
        early, late = np.flatnonzero(used & ~later), np.flatnonzero(later)
        below, above, here = _counts_around(start[late] + level[late], start[early], level[early], width)
        score[early] += weight[early] * (below - above)
        tied += 2 * float(weight[early] @ here)
        keys = start[early] + level[early]
        below, above, _ = _counts_around(keys, start[late], level[late], width, weight[early])
        score[late] += above - below
    after = len(rank) - np.searchsorted(np.sort(rank), rank, side="right")
    nothing = np.zeros_like(rank)
    before = _counts_around(rank[used], nothing, rank, int(rank.max()) + 1, weight[used])[0]
    comparable = np.where(event, weight * after, 0.0) + before
    return _Pairs(score, comparable, tied, int(after[used].sum()))


def _few_pairs(rank: np.ndarray, used: np.ndarray, risk: np.ndarray, weight: np.ndarray) -> _Pairs:
    """Do the same by looking at each pair of an event and a patient."""
    outlived, weight = (rank > rank[used, None]).astype(float), weight[used]
    signs = np.sign(risk[used, None] - risk) * outlived
    sums = []
    for pairs in (signs, outlived):
        sums.append(weight @ pairs)
        sums[-1][used] += weight * pairs.sum(axis=1)
    tied = 2 * float(weight @ (outlived.sum(axis=1) - np.count_nonzero(signs, axis=1)))
    return _Pairs(*sums, tied, int(outlived.sum()))


def _counts_around(keys, start, level, width, weight=None) -> tuple[np.ndarray, ...]:
    """Count (or weigh) the keys from `start` up to `level`, above it up to `width`, and at it."""
    order = np.argsort(keys)
    total = np.append(0, np.cumsum(np.ones_like(keys) if weight is None else weight[order]))
    edges = ((start, "left"), (start + level, "left"), (start + level, "right"), (start + width, "left"))
    first, below, at, end = (total[np.searchsorted(keys[order], key, side=side)] for key, side in edges)
    return below - first, end - at, at - below


def _sum_of_sign_products(time, event, risk_a, risk_b) -> int:
    """Sum sign(a_i − a_j)·sign(b_i − b_j) over all comparable pairs, in O(n log² n).

    At each binary digit of the time rank (see `_pairs`) the pairs run between early events and later
    patients, so their sum is the Kendall sum of both together less that of either alone.
    """
    rank = _time_rank(time, event)
    if event.sum() * len(event) <= FEW_PAIRS:
        one, other = (np.sign(risk[event, None] - risk) for risk in (risk_a, risk_b))
        one *= rank > rank[event, None]
        return int(np.vdot(one, other))
    level_a, level_b = (np.unique(risk, return_inverse=True)[1] for risk in (risk_a, risk_b))
    total = 0
    for digit in range(int(rank.max()).bit_length()):
        group = rank >> (digit + 1)
        later = (rank >> digit) & 1 == 1
        early = event & ~later
        # Later patients in groups without an early event meet nobody here.
        late = later & np.isin(group, group[early])
        parts = [(early | late, 1), (early, -1), (late, -1)]
        total += sum(s * _kendall_sum(group[part], level_a[part], level_b[part]) for part, s in parts)
    return total


def _kendall_sum(group: np.ndarray, a: np.ndarray, b: np.ndarray) -> int:
    """Sum sign(a_i − a_j)·sign(b_i − b_j) over all pairs within the same group."""
    if len(a) < 2:
        return 0
    # Shifting both scores by the group makes every pair between groups concordant: a known number of pairs.
    a, b = group * (a.max() + 1) + a, group * (b.max() + 1) + b
    n_pairs = _pairs_within(np.zeros_like(a))
    ties_a, ties_b = _pairs_within(a), _pairs_within(b)
    if n_pairs in (ties_a, ties_b):
        return 0
    # scipy counts in compiled code and returns tau-b; its numerator is a whole number, so rounding is exact.
    scale = np.sqrt(n_pairs - ties_a) * np.sqrt(n_pairs - ties_b)
    return round(float(kendalltau(a, b).statistic * scale)) - (n_pairs - _pairs_within(group))


def _pairs_within(values: np.ndarray) -> int:
    """Count the pairs with equal values."""
    counts = np.unique(values, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _kang(time, event, risk_a, risk_b) -> tuple[np.ndarray, np.ndarray]:
    """Return both C indices (2,) and their covariance (2, 2), by the delta method from U-statistics."""
    n = len(time)
    pairs_a, pairs_b = (_pairs(time, event, risk, np.ones(n)) for risk in (risk_a, risk_b))
    rows = np.stack([pairs_a.comparable, pairs_a.score, pairs_b.score])
    total, sum_a, sum_b = sums = rows.sum(axis=1)
    # Totals of the elementwise products of the matrices comparable, a and b, over ordered pairs.
    both = 2 * _sum_of_sign_products(time, event, risk_a, risk_b)
    products = [sums, [sum_a, total - pairs_a.tied, both], [sum_b, both, total - pairs_b.tied]]
    covariance = 4 * rows @ rows.T - 2 * np.array(products)
    covariance -= 2 * (2 * n - 3) / (n * (n - 1)) * np.outer(sums, sums)
    covariance /= n * (n - 1.0) * (n - 2) * (n - 3)
    ratio = sums[1:] / total
    jacobian = np.column_stack([-ratio, np.eye(2)]) * (n * (n - 1) / (2 * total))
    return (ratio + 1) / 2, jacobian @ covariance @ jacobian.T


def _concordance(time, event, risk, weight, tau) -> Concordance:
    """Return the weighted concordance with its infinitesimal jackknife."""
    used = event if tau is None else event & (time <= tau)
    if not used.any():
        raise ValueError(f"tau is {tau:g}, before the first event at {time[event].min():g}; use a later tau.")
    pairs = _pairs(time, event, risk, np.where(used, weight, 0.0))
    total = pairs.comparable.sum() / 2
    c = float((pairs.score.sum() / (2 * total) + 1) / 2)
    influence = ((pairs.score + pairs.comparable) / 2 - c * pairs.comparable) / total
    se = float(np.sqrt(influence @ influence))
    counts = len(time), int(used.sum()), pairs.n_pairs
    return Concordance(c, se, c - Z95 * se, c + Z95 * se, *counts, influence)
