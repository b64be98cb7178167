"""The optimal cut-point of a risk score, and what the search for it does to the p-value.

It stands here since neither lifelines, scikit-survival nor statsmodels has one (R maxstat, survminer).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from npcbook.statistics.data import check_risks, check_survival
from npcbook.statistics.survival import logrank


@dataclass(frozen=True)
class Cutpoint:
    """The cut-point with the largest standardised log-rank statistic.

    Attributes
    ----------
    value : float
        The cut-point: low risk is ``risk <= value``, high risk ``risk > value``.
    statistic : float
        Maximally selected standardised log-rank statistic (absolute value).
    p_naive : float
        Log-rank p-value of high against low risk as if the cut had been fixed beforehand: far too small.
    p_corrected : float
        p-value of the maximum, search included: `p_permutation` if permutations were asked for, else the
        smaller of `p_lau92` and `p_lau94`, each of which is at least about the true one.
    p_lau92, p_lau94 : float
        Approximations for a continuum of cuts (Lausen and Schumacher 1992), and by an improved Bonferroni
        inequality for the cuts there are (Lausen, Sauerbrei and Schumacher 1994); at most 1.
    p_floor : float
        Smallest value that `p_corrected` can take: one over the permutations plus one; 0 without them.
    p_permutation : float or None
        Share of permutations (this one counted) with at least this maximum.
    n_low, n_high, events_low, events_high : int
        Patients and events on either side.
    candidates, statistics : numpy.ndarray, shape (m,)
        All cuts that were tried, ascending, and the statistic at each.
    """

    value: float
    statistic: float
    p_naive: float
    p_corrected: float
    p_floor: float
    p_lau92: float
    p_lau94: float
    p_permutation: float | None
    n_low: int
    n_high: int
    events_low: int
    events_high: int
    candidates: np.ndarray = field(repr=False)
    statistics: np.ndarray = field(repr=False)


def optimal_cutpoint(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    min_fraction: float = 0.1,
    *,
    permutations: int = 0,
    rng: np.random.Generator | None = None,
) -> Cutpoint:
    """Return the cut-point of a risk score that separates survival best, and honest p-values for it.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, any one unit, > 0; missing values are an error.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    risk : array-like, shape (n,)
        Risk score, higher = worse (the search itself is two-sided).
    min_fraction : float, default 0.1
        Least share of patients on either side (``minprop`` in R), at least 0 and below 0.5.
    permutations : int, default 0
        Random permutations of the outcomes for `p_permutation`; 0 for none.
    rng : numpy.random.Generator, optional
        Source of randomness; required if `permutations` is not 0.

    Returns
    -------
    Cutpoint
        The cut, its statistic, and p-values.

    Raises
    ------
    ValueError
        If input is unusable (see `data.check_survival`), the risk is constant, no cut leaves
        `min_fraction` on both sides, all have the event at the same time, or permutations lack a generator.

    Notes
    -----
    The statistic at a cut is the sum of log-rank scores of those at or below it, standardised by its
    permutation mean and variance. Scores: ``event_i − Σ event_j/(n − r_j + 1)`` over ``time_j <= time_i``,
    with ``r_j`` the number of times up to ``time_j``. Cuts are the distinct risks with
    ⌊n·min_fraction⌋ ≤ #(risk ≤ cut) ≤ ⌊n·(1 − min_fraction)⌋; of equal maxima the lowest cut wins. Equals R
    ``survminer::surv_cutpoint`` 0.4.9 and ``maxstat`` 0.7-25 (``pmethod`` Lau92, Lau94, condMC).

    References
    ----------
    *Quantification and statistical analysis* in the paper. Lausen B, Schumacher M. Maximally selected rank
    statistics. Biometrics 1992;48:73-85. Hothorn T, Lausen B. On the exact distribution of maximally selected
    rank statistics. Comput Stat Data Anal 2003;43:121-37.
    """
    time, event, risk = check_risks(time, event, risk=risk)
    _check_options(min_fraction, permutations, rng)
    scores = logrank_scores(time, event)
    if np.ptp(scores) < 1e-12:
        raise ValueError("time and event give every patient the same log-rank score; check the times.")
    cuts, below = candidate_cuts(risk, min_fraction)
    curve = split_statistics(scores[np.argsort(risk, kind="stable")], below)
    # Rounding must not decide between cuts that are equally good.
    best = int(np.argmax(curve >= curve.max() * (1 - 1e-12)))
    high, statistic = risk > cuts[best], float(curve[best])
    p_values = _p_values(scores, below, statistic, min_fraction, permutations, rng)
    sides = {"n_low": ~high, "n_high": high, "events_low": event & ~high, "events_high": event & high}
    return Cutpoint(
        value=float(cuts[best]),
        statistic=statistic,
        p_naive=logrank(time, event, high).p_value,
        **p_values,
        **{name: int(side.sum()) for name, side in sides.items()},
        candidates=cuts,
        statistics=curve,
    )


def _p_values(scores, below, statistic, min_fraction, permutations, rng) -> dict[str, float | None]:
    """Return the p-values of the maximum, search included."""
    lau92, lau94 = lausen_schumacher_p(statistic, below, len(scores), min_fraction)
    permuted = None
    if permutations:
        permuted = permutation_p(permuted_maxima(scores, below, permutations, rng), statistic)
    return {
        "p_corrected": min(lau92, lau94) if permuted is None else permuted,
        "p_permutation": permuted,
        "p_floor": 1 / (permutations + 1) if permutations else 0.0,
        "p_lau92": lau92,
        "p_lau94": lau94,
    }


def logrank_scores(time: ArrayLike, event: ArrayLike) -> np.ndarray:
    """Return each patient's log-rank score: observed less expected events.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, any one unit, > 0; missing values are an error.
    event : array-like, shape (n,)
        1 = event, 0 = censored.

    Returns
    -------
    numpy.ndarray, shape (n,)
        Scores in row order, higher = worse.

    Raises
    ------
    ValueError
        If input is unusable (see `data.check_survival`).

    Notes
    -----
    See `optimal_cutpoint`; equals R ``exactRankTests::cscores(type="LogRank")`` 0.8-35.
    """
    time, event = check_survival(time, event)
    order = np.argsort(time, kind="stable")
    up_to = np.searchsorted(time[order], time, side="right")
    hazard = np.append(0.0, np.cumsum((event / (len(time) - up_to + 1))[order]))
    return event - hazard[up_to]


def lausen_schumacher_p(statistic, below, n_patients, min_fraction) -> tuple[float, float]:
    """Return two approximate p-values of a maximally selected standardised rank statistic.

    Parameters
    ----------
    statistic : float
        The maximum of the absolute standardised statistics.
    below : array-like of int, shape (m,)
        Patients at or below each cut tried, strictly ascending.
    n_patients : int
        All patients.
    min_fraction : float
        Least share of patients on either side.

    Returns
    -------
    p_lau92, p_lau94 : float
        The approximations of 1992 and of 1994, both capped at 1. Statistics below 1 give 1. With
        ``min_fraction`` 0 the first does not exist and is 1. Of cuts far apart, as those of a score of few
        levels, the second's terms can be below 0, and so can R's p-value; Bonferroni's stand in for them.
    """
    if statistic < 1:
        return 1.0, 1.0
    below = np.asarray(below, dtype=float)
    density, lau92 = norm.pdf(statistic), 1.0
    if min_fraction > 0:
        odds = (1 - min_fraction) / min_fraction
        lau92 = 4 * density / statistic + density * (statistic - 1 / statistic) * 2 * np.log(odds)
    low, high = below[:-1], below[1:]
    step = np.sqrt(1 - low * (n_patients - high) / (high * (n_patients - low)))
    crossings = np.exp(-(statistic**2) / 2) / np.pi * (step - (statistic**2 / 4 - 1) * step**3 / 6)
    lau94 = 2 * norm.sf(statistic) + np.where(crossings < 0, 2 * norm.sf(statistic), crossings).sum()
    return float(min(lau92, 1.0)), float(min(lau94, 1.0))


def _check_options(min_fraction, permutations, rng) -> None:
    """Refuse options that make no search."""
    if not 0 <= min_fraction < 0.5:
        raise ValueError(f"min_fraction is {min_fraction:g}; it must be at least 0 and below 0.5.")
    if permutations < 0 or (permutations and rng is None):
        found = f"permutations is {permutations} and rng is {rng}"
        raise ValueError(f"{found}; give 0 or more, with rng=numpy.random.default_rng(seed).")


def candidate_cuts(risk: np.ndarray, min_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the cuts allowed, and how many patients lie at or below each."""
    cuts, counts = np.unique(risk, return_counts=True)
    n, below = len(risk), np.cumsum(counts)
    least = np.floor(n * min_fraction)
    allowed = (below >= least) & (below <= np.floor(n * (1 - min_fraction))) & (below < n)
    if not allowed.any():
        found = f"risk has {len(cuts)} distinct values among {n} patients"
        raise ValueError(f"{found}, and no cut leaves {least:g} or more on either side; use a finer score.")
    return cuts[allowed], below[allowed]


def split_statistics(ranked_scores: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return absolute standardised sums of the first `below` scores; scores run along the last axis."""
    n = ranked_scores.shape[-1]
    total, squares = ranked_scores.sum(axis=-1)[..., None], (ranked_scores**2).sum(axis=-1)[..., None]
    variance = below * (n - below) / (n**2 * (n - 1.0)) * (n * squares - total**2)
    return np.abs(np.cumsum(ranked_scores, axis=-1)[..., below - 1] - below * total / n) / np.sqrt(variance)


def permuted_maxima(
    scores: np.ndarray, below: np.ndarray, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the maximal statistic of each of so many random orders of the log-rank scores."""
    maxima, left = [], permutations
    while left:
        # Batches bound the memory: about 8 MB each.
        batch = min(left, max(1, 10**6 // len(scores)))
        shuffled = rng.permuted(np.tile(scores, (batch, 1)), axis=1)
        maxima.append(split_statistics(shuffled, below).max(axis=1))
        left -= batch
    return np.concatenate(maxima)


def permutation_p(maxima: np.ndarray, statistic: float) -> float:
    """Return the share of random orders, the observed one included, with at least the observed maximum."""
    return (1 + int((maxima >= statistic - 1e-9).sum())) / (len(maxima) + 1)
