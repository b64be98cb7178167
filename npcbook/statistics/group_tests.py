"""Tests of a characteristic between groups of patients: Pearson, Fisher, Mann-Whitney, Kruskal-Wallis.

All are scipy's but Fisher's beyond 2 x 2, for which scipy draws tables at random; R enumerates, as here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import gammaln

#: Numbers held at once, and gone through in all (a step costs as much as so many lines of them), at most:
#: half a minute a test.
MOST_AT_ONCE, MOST_NUMBERS, STEP = 20_000_000, 400_000_000, 6000
#: The same where many are tested, as of hospitals: some four seconds.
OF_MANY = 60_000_000
TOO_LARGE = "the table has too many cells and patients for Fisher's exact test; use another."


@dataclass(frozen=True)
class GroupTest:
    """A test between groups: `p_value` and `method`; `statistic` (None for Fisher).

    For counts also `degrees_of_freedom`, and `smallest_expected`: Pearson's test wants 5 or more.
    """

    p_value: float
    method: str
    statistic: float | None = None
    degrees_of_freedom: int | None = None
    smallest_expected: float | None = None


def _check_table(table: ArrayLike) -> np.ndarray:
    counts = np.asarray(table)
    if counts.ndim != 2 or min(counts.shape) < 2:
        raise ValueError(f"table has shape {counts.shape}; two rows and two columns or more are needed.")
    if counts.dtype.kind not in "biuf" or counts.min() < 0 or (counts != np.round(counts)).any():
        raise ValueError("table must hold counts of patients: whole numbers from 0.")
    if not (counts.any(axis=0).all() and counts.any(axis=1).all()):
        raise ValueError("table has a row or column without patients; leave it out.")
    return counts.astype(int)


def pearson_chi2(table: ArrayLike, *, continuity: bool = False) -> GroupTest:
    """Test independence of rows and columns by Pearson's chi-square.

    Parameters
    ----------
    table : array-like of counts, shape (r, c)
        No empty row or column.
    continuity : bool
        Yates' correction (2 x 2 only), as R's ``chisq.test`` has it by default.

    Returns
    -------
    GroupTest
        Test; `smallest_expected` tells whether the approximation can be trusted (5 or more).

    Raises
    ------
    ValueError
        If the table does not hold counts.
    """
    counts = _check_table(table)
    correct = continuity and counts.shape == (2, 2)
    test = stats.chi2_contingency(counts, correction=correct)
    method, smallest = "Pearson chi-square" + ", Yates" * correct, float(test.expected_freq.min())
    return GroupTest(float(test.pvalue), method, float(test.statistic), int(test.dof), smallest)


def _compositions(rows: np.ndarray, total: int) -> np.ndarray:
    """Return all ways to take `total` from rows that hold so many, one way per line."""
    ways, left = np.zeros((1, 0), dtype=int), np.array([total])
    for i, available in enumerate(rows):
        rest = rows[i + 1 :].sum()
        low, high = np.maximum(0, left - rest), np.minimum(available, left)
        sizes = high - low + 1
        repeat = np.repeat(np.arange(len(left)), sizes)
        taken = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + low[repeat]
        if len(repeat) * len(rows) > MOST_AT_ONCE:
            raise ValueError(TOO_LARGE)
        ways, left = np.column_stack([ways[repeat], taken]), left[repeat] - taken
    return ways


def _log_choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def _probability_above(rows: np.ndarray, columns: np.ndarray, threshold: float, done: Counter) -> float:
    """Return the probability of all tables with these margins more probable than exp(`threshold`).

    What is gone through is counted in `done`; ValueError is raised where it becomes too much.
    """
    ways = _compositions(rows, columns[0])
    done["numbers"] += (STEP + len(ways)) * len(rows)
    if done["numbers"] > done["most"]:
        raise ValueError(TOO_LARGE)
    log_p = _log_choose(rows, ways).sum(axis=-1) - _log_choose(rows.sum(), columns[0])
    # A table is at most as probable as its first column.
    likely = log_p > threshold
    ways, log_p = ways[likely], log_p[likely]
    if len(columns) == 2:
        return float(np.exp(log_p).sum())
    left = zip(rows - ways, threshold - log_p, strict=True)
    return float(np.exp(log_p) @ np.array([_probability_above(r, columns[1:], t, done) for r, t in left]))


def fisher_exact(table: ArrayLike, *, most: int = MOST_NUMBERS) -> GroupTest:
    """Test independence of rows and columns by Fisher's exact test.

    Parameters
    ----------
    table : array-like of counts, shape (r, c)
        No empty row or column.
    most : int
        Numbers to go through before it is given up; a second takes some 15 million.

    Returns
    -------
    GroupTest
        Two-sided: the probability of all tables with the same margins that are as improbable or more.

    Raises
    ------
    ValueError
        If the table does not hold counts, or has too many cells and patients to enumerate.

    Notes
    -----
    2 x 2 by scipy; larger ones by enumerating the tables *more* probable than the one observed, which are few
    (scipy would draw tables at random). Equals R ``fisher.test``.
    """
    counts = _check_table(table)
    if counts.shape == (2, 2):
        p_value = float(stats.fisher_exact(counts).pvalue)
    else:
        counts = counts.T if counts.shape[1] > counts.shape[0] else counts
        rows, columns = counts.sum(axis=1), counts.sum(axis=0)
        observed = stats.random_table(rows, columns).logpmf(counts)
        # Tables as probable as the observed one count as at least as extreme, whatever the rounding.
        p_value = 1 - _probability_above(rows, np.sort(columns), observed + 1e-7, Counter(most=most))
    return GroupTest(min(max(p_value, 0.0), 1.0), "Fisher exact")


def compare_groups(values: ArrayLike, group: ArrayLike, *, kind: str) -> GroupTest:
    """Compare a characteristic between groups, with the test the paper names for its kind.

    Parameters
    ----------
    values : array-like, shape (n,)
        Numbers (continuous) or labels (categorical); none missing.
    group : array-like, shape (n,)
        Group labels; two or more, none missing.
    kind : {"continuous", "categorical"}
        Categorical: Fisher if a count of less than 5 is expected, else Pearson (also where the table is too
        large to enumerate, which the method then says). Continuous: Mann-Whitney
        (normal approximation, corrected for ties and continuity) for two groups, Kruskal-Wallis for more.

    Returns
    -------
    GroupTest
        The test and its name.

    Raises
    ------
    ValueError
        For bad input, one group only, or a characteristic with one value.
    """
    if kind not in ("continuous", "categorical"):
        raise ValueError(f"kind is {kind!r}; it must be 'continuous' or 'categorical'.")
    if (n_values := len(np.asarray(values))) != (n_group := len(np.asarray(group))):
        raise ValueError(f"values has {n_values} entries and group {n_group}; give equal lengths.")
    frame = pd.DataFrame({"value": np.asarray(values), "group": np.asarray(group)})
    if frame.isna().to_numpy().any():
        raise ValueError("values or group has missing entries; leave those patients out, or code a level.")
    for name in ("value", "group"):
        if frame[name].nunique() < 2:
            raise ValueError(f"{name} has one value only; a comparison needs two or more.")
    if kind == "categorical":
        table = pd.crosstab(frame["value"], frame["group"]).to_numpy()
        chi2 = pearson_chi2(table)
        if chi2.smallest_expected >= 5:
            return chi2
        try:
            return fisher_exact(table, most=OF_MANY)
        except ValueError:  # many hospitals, say
            return replace(chi2, method=f"{chi2.method} (too large for Fisher)")
    samples = [sample.to_numpy(dtype=float) for _, sample in frame.groupby("group", sort=True)["value"]]
    if len(samples) == 2:
        test, method = stats.mannwhitneyu(*samples, method="asymptotic"), "Mann-Whitney"
    else:
        test, method = stats.kruskal(*samples), "Kruskal-Wallis"
    return GroupTest(float(test.pvalue), method, float(test.statistic))
