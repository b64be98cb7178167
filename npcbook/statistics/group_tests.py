"""Tests of a characteristic between groups of patients: Pearson, Fisher, Mann-Whitney and others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import gammaln

from npcbook.statistics.data import check_column

LARGEST_ENUMERATION = 50_000_000


@dataclass(frozen=True)
class CategoricalTest:
    """A test of independence: `p_value`, `statistic` and `degrees_of_freedom` (None for Fisher), `method`."""

    p_value: float
    statistic: float | None
    degrees_of_freedom: int | None
    method: str
    smallest_expected: float


@dataclass(frozen=True)
class ContinuousTest:
    """A test of location: `p_value`, `statistic` and `method`."""

    p_value: float
    statistic: float
    method: str


def _check_table(table: ArrayLike) -> np.ndarray:
    counts = np.asarray(table)
    if counts.ndim != 2 or min(counts.shape) < 2:
        raise ValueError(f"table has shape {counts.shape}; two rows and two columns or more are needed.")
    if not np.issubdtype(counts.dtype, np.number) or not np.isfinite(counts).all():
        raise ValueError("table must hold counts; it has other values: count patients first.")
    if counts.min() < 0 or (counts != np.round(counts)).any():
        raise ValueError("table must hold counts: whole numbers from 0.")
    if (counts.sum(axis=0) == 0).any() or (counts.sum(axis=1) == 0).any():
        raise ValueError("table has a row or column without patients; leave it out.")
    return counts.astype(int)


def pearson_chi2(table: ArrayLike, *, continuity: bool = False) -> CategoricalTest:
    """Test independence of rows and columns by Pearson's chi-square.

    Parameters
    ----------
    table : array-like of counts, shape (r, c)
        No empty row or column.
    continuity : bool
        Yates' correction (2 x 2 only), as R's ``chisq.test`` has it by default.

    Returns
    -------
    CategoricalTest
        Test; `smallest_expected` tells whether the approximation can be trusted (5 or more).

    Raises
    ------
    ValueError
        If the table does not hold counts.
    """
    counts = _check_table(table)
    correct = continuity and counts.shape == (2, 2)
    test = stats.chi2_contingency(counts, correction=correct)
    method = "Pearson chi-square" + (", Yates" if correct else "")
    return CategoricalTest(
        float(test.pvalue), float(test.statistic), int(test.dof), method, float(test.expected_freq.min())
    )


def _compositions(rows: np.ndarray, total: int) -> np.ndarray:
    """Return all ways to take `total` from rows that hold so many, one way per line."""
    ways, left = np.zeros((1, 0), dtype=int), np.array([total])
    for i, available in enumerate(rows):
        rest = rows[i + 1 :].sum()
        low, high = np.maximum(0, left - rest), np.minimum(available, left)
        sizes = high - low + 1
        repeat = np.repeat(np.arange(len(left)), sizes)
        taken = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + low[repeat]
        ways, left = np.column_stack([ways[repeat], taken]), left[repeat] - taken
    return ways


def _log_choose(rows: np.ndarray, taken: np.ndarray) -> np.ndarray:
    return (gammaln(rows + 1) - gammaln(taken + 1) - gammaln(rows - taken + 1)).sum(axis=-1)


def _probability_above(rows: np.ndarray, columns: np.ndarray, threshold: float) -> float:
    """Return the probability of all tables with these margins more probable than exp(`threshold`)."""
    total = rows.sum()
    ways = _compositions(rows, columns[0])
    if len(ways) > LARGEST_ENUMERATION:
        raise ValueError(
            f"table of {total} patients is too large for Fisher's exact test; use pearson_chi2 instead."
        )
    log_p = _log_choose(rows, ways) - (
        gammaln(total + 1) - gammaln(columns[0] + 1) - gammaln(total - columns[0] + 1)
    )
    # A table is at most as probable as its first column.
    likely = log_p > threshold
    ways, log_p = ways[likely], log_p[likely]
    if len(columns) == 2:
        return float(np.exp(log_p).sum())
    rest = [
        _probability_above(rows - way, columns[1:], threshold - lp)
        for way, lp in zip(ways, log_p, strict=True)
    ]
    return float(np.exp(log_p) @ np.array(rest)) if rest else 0.0


def fisher_exact(table: ArrayLike) -> CategoricalTest:
    """Test independence of rows and columns by Fisher's exact test.

    Parameters
    ----------
    table : array-like of counts, shape (r, c)
        No empty row or column.

    Returns
    -------
    CategoricalTest
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
    expected = float(np.outer(counts.sum(axis=1), counts.sum(axis=0)).min() / counts.sum())
    if counts.shape == (2, 2):
        p_value = float(stats.fisher_exact(counts).pvalue)
        return CategoricalTest(min(p_value, 1.0), None, None, "Fisher exact", expected)
    if counts.shape[1] > counts.shape[0]:
        counts = counts.T
    rows, columns = counts.sum(axis=1), np.sort(counts.sum(axis=0))
    observed = (
        gammaln(rows + 1).sum()
        + gammaln(columns + 1).sum()
        - gammaln(rows.sum() + 1)
        - gammaln(counts + 1).sum()
    )
    # Tables as probable as the observed one count as at least as extreme, whatever the rounding.
    p_value = 1 - _probability_above(rows, columns, observed + 1e-7)
    return CategoricalTest(min(max(p_value, 0.0), 1.0), None, None, "Fisher exact", expected)


def fisher_odds_ratio(table: ArrayLike, *, alpha: float = 0.05) -> tuple[float, float, float]:
    """Return the conditional maximum likelihood odds ratio of a 2 x 2 table with its exact limits.

    Parameters
    ----------
    table : array-like of counts, shape (2, 2)
        No empty row or column.
    alpha : float
        1 - confidence level.

    Returns
    -------
    odds_ratio, low, high : float
        As R's ``fisher.test``; 0 or infinite with an empty cell.

    Raises
    ------
    ValueError
        If the table is not 2 x 2.
    """
    counts = _check_table(table)
    if counts.shape != (2, 2):
        raise ValueError(f"table has shape {counts.shape}; an odds ratio needs 2 x 2.")
    result = stats.contingency.odds_ratio(counts, kind="conditional")
    interval = result.confidence_interval(confidence_level=1 - alpha)
    return float(result.statistic), float(interval.low), float(interval.high)


def mann_whitney(a: ArrayLike, b: ArrayLike, *, continuity: bool = True) -> ContinuousTest:
    """Test whether values in one group tend to be larger than in another.

    Parameters
    ----------
    a, b : array-like
        Values of the two groups, none missing.
    continuity : bool
        Continuity correction, as R's ``wilcox.test`` has it by default.

    Returns
    -------
    ContinuousTest
        Mann-Whitney U of the first group, normal approximation with correction for ties.

    Raises
    ------
    ValueError
        For missing values, or values that are all the same.
    """
    a, b = check_column("a", a), check_column("b", b)
    if np.ptp(np.concatenate([a, b])) == 0:
        raise ValueError(f"a and b hold the one value {a[0]:g}; a comparison needs values that differ.")
    test = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=continuity)
    return ContinuousTest(float(test.pvalue), float(test.statistic), "Mann-Whitney")


def compare_groups(
    values: ArrayLike, group: ArrayLike, *, kind: str | None = None, method: str = "auto"
) -> CategoricalTest | ContinuousTest:
    """Compare a characteristic between groups, with the test the paper names for its kind.

    Parameters
    ----------
    values : array-like, shape (n,)
        Numbers (continuous) or labels (categorical); none missing.
    group : array-like, shape (n,)
        Group labels; two or more, none missing.
    kind : {"continuous", "categorical"}, optional
        By default numbers with more than ten distinct values are continuous.
    method : {"auto", "chi2", "fisher", "mann-whitney", "welch", "kruskal"}
        "auto": Fisher if a count of less than 5 is expected, else Pearson; Mann-Whitney for two groups,
        Kruskal-Wallis for more.

    Returns
    -------
    CategoricalTest or ContinuousTest
        The test and its name.

    Raises
    ------
    ValueError
        For bad input, one group only, a characteristic with one value, or a method of the other kind.
    """
    if (n_values := len(np.asarray(values))) != (n_group := len(np.asarray(group))):
        raise ValueError(f"values has {n_values} entries and group {n_group}; give equal lengths.")
    frame = pd.DataFrame({"value": np.asarray(values), "group": np.asarray(group)})
    if frame.isna().to_numpy().any():
        raise ValueError(
            "values or group has missing entries; leave those patients out, or code them as a level."
        )
    if frame["group"].nunique() < 2:
        raise ValueError("group has one value; a comparison needs two groups or more.")
    if kind is None:
        numbers = pd.api.types.is_numeric_dtype(frame["value"]) and frame["value"].nunique() > 10
        kind = "continuous" if numbers else "categorical"
    allowed = {
        "categorical": {"auto", "chi2", "fisher"},
        "continuous": {"auto", "mann-whitney", "welch", "kruskal"},
    }
    if kind not in allowed:
        raise ValueError(f"kind is {kind!r}; it must be 'continuous' or 'categorical'.")
    if method not in allowed[kind]:
        raise ValueError(
            f"method is {method!r}; for {kind} values it must be one of {sorted(allowed[kind])}."
        )
    if kind == "categorical":
        return _compare_categories(pd.crosstab(frame["value"], frame["group"]).to_numpy(), method)
    samples = [sample.to_numpy(dtype=float) for _, sample in frame.groupby("group", sort=True)["value"]]
    return _compare_samples(samples, method)


def _compare_categories(table: np.ndarray, method: str) -> CategoricalTest:
    if len(table) < 2:
        raise ValueError("values hold one category only; a comparison needs two or more.")
    chi2 = pearson_chi2(table)
    exact = method == "fisher" or (method == "auto" and chi2.smallest_expected < 5)
    return fisher_exact(table) if exact else chi2


def _compare_samples(samples: list[np.ndarray], method: str) -> ContinuousTest:
    if np.ptp(np.concatenate(samples)) == 0:
        raise ValueError("values are all the same; a comparison needs values that differ.")
    if method == "auto":
        method = "mann-whitney" if len(samples) == 2 else "kruskal"
    if method == "kruskal":
        test = stats.kruskal(*samples)
        return ContinuousTest(float(test.pvalue), float(test.statistic), "Kruskal-Wallis")
    if len(samples) != 2:
        raise ValueError(f"method is {method!r}, which compares two groups, and there are {len(samples)}.")
    if method == "mann-whitney":
        return mann_whitney(*samples)
    test = stats.ttest_ind(*samples, equal_var=False)
    return ContinuousTest(float(test.pvalue), float(test.statistic), "Welch")
