"""Does a treatment help? What comparisons that nobody randomised need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import softmax

from npcbook.statistics.data import Z95, check_column, check_survival, read_covariates
from npcbook.statistics.printing import Estimate
from npcbook.statistics.survival import rate_at


@dataclass(frozen=True)
class BalancingWeights:
    """Weights that make groups alike in measured covariates, and what they cost.

    Attributes
    ----------
    weight : numpy.ndarray, shape (n,)
        Weight of each patient; 1 on average in every group.
    overlap : pandas.DataFrame
        Index = (within, group), or group alone; ``n`` patients, ``effective_n``, the number that the
        weighted group is worth ((sum w)^2 / sum w^2), and ``largest_weight``.
    """

    weight: np.ndarray
    overlap: pd.DataFrame


@dataclass(frozen=True)
class WeightedRates:
    """Weighted survival rates of groups, and the same in bootstrap samples of the patients.

    Attributes
    ----------
    rate : pandas.Series
        Rate (0 to 1), index = (endpoint, within, treatment); NaN where nobody was followed to the horizon.
    samples : pandas.DataFrame
        Rates of the samples, one row each, columns as `rate`.
    weight : numpy.ndarray, shape (n,)
        Weights of the patients.
    overlap : pandas.DataFrame
        As `BalancingWeights` has it.
    """

    rate: pd.Series
    samples: pd.DataFrame
    weight: np.ndarray
    overlap: pd.DataFrame

    def __getitem__(self, group: object) -> Estimate:
        """Return a group's rate with log-log limits; without limits where no sample can vary it."""
        if group not in self.rate.index:
            raise ValueError(f"there is no patient in {group}; groups are {self.rate.index.to_list()}.")
        value, spread = self.rate[group], self.samples[group].std()
        # Resampling cannot vary the rate of a group in which nobody, or everybody, has had the event.
        if not (1e-12 < value < 1 - 1e-12 and spread > 0):
            return Estimate(float(value), np.nan, np.nan)
        # Beyond exp(500) the limits are 0 and 1.
        power = np.exp(min(Z95 * spread / (value * -np.log(value)), 500.0))
        return Estimate(float(value), float(value**power), float(value ** (1 / power)))

    def difference(self, first: object, second: object) -> Estimate:
        """Return the rate of the group `first` less that of `second`, their limits squared and added."""
        a, b = self[first], self[second]
        value = a.value - b.value
        low = value - np.hypot(a.value - a.low, b.high - b.value)
        return Estimate(value, float(low), float(value + np.hypot(a.high - a.value, b.value - b.low)))


@dataclass(frozen=True)
class EValue:
    """How strong an unmeasured confounder must be, on the scale of risk ratios.

    Attributes
    ----------
    estimate : float
        For explaining the estimate away; 1 or more.
    limit : float
        For moving the confidence limit nearer to 1 to 1; 1 if the interval holds 1 already.
    """

    estimate: float
    limit: float


def balancing_weights(
    group: ArrayLike, covariates: ArrayLike, *, within: ArrayLike | None = None, penalty: float = 0.01
) -> BalancingWeights:
    """Weight the patients of every group so that covariates have the means of all groups together.

    Parameters
    ----------
    group : array-like, shape (n,)
        Group (treatment) labels; two or more.
    covariates : DataFrame or array-like of shape (n, p)
        Numbers; what the treatment decision may have depended on. A constant column changes nothing.
    within : array-like, shape (n,), optional
        Labels of parts (risk groups), each of which is balanced by itself, to its own means.
    penalty : float
        Above 0. Keeps weights finite where a group lacks a kind of patient; means then differ a little, by
        `penalty` times the coefficient, in standard deviations.

    Returns
    -------
    BalancingWeights
        Weights exp(a + b'x), which is the inverse of a probability of treatment; b is chosen for balance
        instead of by the likelihood of who was treated.

    Raises
    ------
    ValueError
        For unequal lengths, missing values, one group only or a penalty that is not above 0.

    Notes
    -----
    Minimises ``log mean exp(b'z) + penalty / 2 |b|^2`` within each group, z being standardised over all; its
    slope is the difference of means. Without penalty it is entropy balancing (R ``WeightIt``,
    ``method = "ebal"``), which the libraries of this book lack.
    """
    values, _ = read_covariates(covariates)
    labels = np.asarray(group)
    parts = np.zeros(len(values), dtype=int) if within is None else np.asarray(within)
    if not len(labels) == len(values) == len(parts):
        found = f"group has {len(labels)} values, covariates {len(values)}, within {len(parts)}"
        raise ValueError(f"{found}; give equal lengths.")
    if not penalty > 0:
        raise ValueError(f"penalty is {penalty}; it must be above 0 (0.01 leaves next to no imbalance).")
    weight, overlap = np.ones(len(labels)), {}
    for part in pd.unique(parts):
        rows = np.flatnonzero(parts == part)
        if pd.isna(labels[rows]).any() or len(np.unique(labels[rows])) < 2:
            raise ValueError("group must have two groups or more (within each part), none missing.")
        spread = values[rows].std(axis=0)
        scaled = (values[rows] - values[rows].mean(axis=0)) / np.where(spread > 0, spread, 1)
        for name in np.unique(labels[rows]):
            inside = labels[rows] == name
            weight[rows[inside]] = own = _tilt(scaled[inside], penalty)
            overlap[part, name] = len(own), own.sum() ** 2 / (own @ own), own.max()
    columns = ["n", "effective_n", "largest_weight"]
    table = pd.DataFrame.from_dict(overlap, orient="index", columns=columns)
    table.index = pd.MultiIndex.from_tuples(table.index, names=["within", "group"])
    return BalancingWeights(weight, table if within is not None else table.droplevel("within"))


def _tilt(z: np.ndarray, penalty: float) -> np.ndarray:
    """Return weights exp(b'z), 1 on average, whose weighted means of `z` are 0 but for the penalty."""
    b = np.zeros(z.shape[1])
    for _ in range(200):
        w = softmax(z @ b)
        mean = w @ z
        slope = mean + penalty * b
        if np.abs(slope).max() < 1e-10:
            break
        curvature = (z.T * w) @ z - np.outer(mean, mean) + penalty * np.eye(len(b))
        step = np.linalg.solve(curvature, slope)
        # Strictly convex: Newton's steps reach the only minimum if no weight changes too much in one of them.
        b -= step * min(1.0, 2.0 / max(np.ptp(z @ step), 1e-300))
    return len(z) * softmax(z @ b)


def balance_table(
    covariates: pd.DataFrame, group: ArrayLike, weight: ArrayLike | None = None
) -> pd.DataFrame:
    """Return, per covariate, the means of the groups and the largest standardised difference between two.

    Parameters
    ----------
    covariates : DataFrame, shape (n, p)
        Numbers.
    group : array-like, shape (n,)
        Group labels.
    weight : array-like, shape (n,), optional
        Weights of the patients; none by default.

    Returns
    -------
    pandas.DataFrame
        ``covariate``, one column per group with its mean, and ``largest_difference`` in standard deviations
        (unweighted, pooled over groups); below 0.1 is usually called balanced.

    Raises
    ------
    ValueError
        For missing values or unequal lengths.
    """
    values, names = read_covariates(covariates)
    labels = np.asarray(group)
    weight = np.ones(len(labels)) if weight is None else check_column("weight", weight)
    if not len(labels) == len(values) == len(weight):
        raise ValueError(
            f"covariates, group and weight have {len(values)}, {len(labels)} and {len(weight)} rows."
        )
    groups = list(pd.unique(labels))
    means = np.array([np.average(values[labels == g], axis=0, weights=weight[labels == g]) for g in groups])
    variances = np.array([values[labels == g].var(axis=0) for g in groups])
    pooled = np.sqrt(variances.mean(axis=0))
    largest = np.divide(np.ptp(means, axis=0), pooled, out=np.zeros(len(names)), where=pooled > 0)
    table = pd.DataFrame({"covariate": names} | {str(g): m for g, m in zip(groups, means, strict=True)})
    return table.assign(largest_difference=largest)


def weighted_rates(
    outcomes: Mapping[str, tuple[ArrayLike, ArrayLike]],
    treatment: ArrayLike,
    covariates: pd.DataFrame,
    horizon: float,
    *,
    within: ArrayLike,
    n_bootstraps: int = 200,
    rng: np.random.Generator,
) -> WeightedRates:
    """Return the rates that treatments would have at a horizon if their patients were alike in covariates.

    Parameters
    ----------
    outcomes : mapping of str to (time, event), array-likes of shape (n,)
        By endpoint, follow-up (above 0, unit of the horizon) and event (1) or censoring (0).
    treatment : array-like, shape (n,)
        Labels of the treatments.
    covariates : DataFrame, shape (n, p)
        As for `balancing_weights`; to compare within cohorts or centres, indicators of those among them.
    horizon : float
        When.
    within : array-like, shape (n,)
        Labels of groups in which treatments are compared (risk groups); each has weights of its own.
    n_bootstraps : int
        Samples of patients for the limits, drawn within every treatment of every group; the weights are
        found anew in each, so that limits hold their uncertainty too.
    rng : numpy.random.Generator
        Source of the samples.

    Returns
    -------
    WeightedRates
        Weighted Kaplan-Meier rates and those of the samples.

    Raises
    ------
    ValueError
        For bad input, or a group in which fewer than two treatments were given.

    Notes
    -----
    Percentiles of the samples, and 1.96 standard errors, hold the truth too seldom where an arm has about ten
    events, because an arm that happens to have few of them seems sure of its rate
    (``benchmarks/studies/coverage.py``). Limits on the scale of log(-log rate), as Kaplan and Meier's have
    them here, and Newcombe's way of combining those of two rates do not shrink so with the events.

    References
    ----------
    Newcombe, Statistics in Medicine 1998;17:873-890.
    """
    within, treatment = np.asarray(within), np.asarray(treatment)
    checked = {"need_event": False, "treatment": pd.factorize(treatment)[0]}
    data = {name: check_survival(*outcome, **checked)[:2] for name, outcome in outcomes.items()}
    values, _ = read_covariates(covariates)
    arms = pd.Series(np.arange(len(within))).groupby([within, treatment]).apply(np.asarray)
    index = pd.MultiIndex.from_tuples([(k, *arm) for k in data for arm in arms.index])
    ends = arms.map(len).cumsum()[:-1]

    def rates(rows: np.ndarray) -> list[float]:
        weight = balancing_weights(treatment[rows], values[rows], within=within[rows]).weight
        # Samples are drawn arm by arm, so that every arm keeps its place.
        pieces = list(zip(np.split(rows, ends), np.split(weight, ends), strict=True))
        return [_rate(t[of], e[of], w, horizon) for t, e in data.values() for of, w in pieces]

    found = balancing_weights(treatment, values, within=within)
    last = [t[arm].max() for t, _ in data.values() for arm in arms]
    rate = pd.Series(rates(np.concatenate(arms.to_list())), index).where(np.array(last) >= horizon)
    draws = (np.concatenate([rng.choice(arm, len(arm)) for arm in arms]) for _ in range(n_bootstraps))
    samples = pd.DataFrame([rates(rows) for rows in draws], columns=index)
    return WeightedRates(rate, samples, found.weight, found.overlap)


def _rate(time, event, weight, horizon) -> float:
    """Return the weighted Kaplan-Meier rate: 0.05 ms where `kaplan_meier` takes 1, which resampling needs."""
    times, position = np.unique(time, return_inverse=True)
    at_risk = np.bincount(position, weight)[::-1].cumsum()[::-1]
    return float(np.prod((1 - np.bincount(position, weight * event) / at_risk)[times <= horizon]))


def rate_difference(
    time: ArrayLike, event: ArrayLike, group: ArrayLike, horizon: float, *, first: object, second: object
) -> Estimate:
    """Return the survival rate of one group less that of another at a horizon.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (above 0, unit of the horizon) and event (1) or censoring (0).
    group : array-like, shape (n,)
        Group labels.
    horizon : float
        When; not beyond the follow-up of either group.
    first, second : label
        The groups: the result is `first` - `second`.

    Returns
    -------
    Estimate
        On the scale of rates, with Greenwood's variances added up. Where one group has no standard error at
        the horizon, because nobody in it has had an event (rate 1) or nobody is left without (rate 0), it
        has no limits: a variance of 0 would make the interval too narrow.

    Raises
    ------
    ValueError
        For bad input, a group without patients or follow-up, or when neither group has an event by the
        horizon.
    """
    time, event = check_survival(time, event, need_event=False)
    labels = np.asarray(group)
    rates = []
    for name in (first, second):
        rows = labels == name
        if not rows.any() or time[rows].max() < horizon:
            raise ValueError(
                f"group {name!r} has {rows.sum()} patients, none followed to {horizon:g}; a rate needs some."
            )
        rates.append(rate_at(time[rows], event[rows], horizon))
    if all(rate.value == 1 for rate in rates):
        raise ValueError(f"neither {first!r} nor {second!r} has an event by {horizon:g}; nothing to compare.")
    value = rates[0].value - rates[1].value
    # Greenwood's sum is 0 at rate 1 and has no value at rate 0: neither says how sure the rate is.
    estimable = all(0 < rate.value < 1 for rate in rates)
    reach = Z95 * np.hypot(*(rate.se for rate in rates)) if estimable else np.nan
    return Estimate(value, value - reach, value + reach)


def e_value(hr: float, hr_low: float, hr_high: float, *, rare: bool = True) -> EValue:
    """Return the E-value of a hazard ratio.

    Parameters
    ----------
    hr, hr_low, hr_high : float
        Hazard ratio and limits, above 0.
    rare : bool
        Whether the event is rare by the end of follow-up (below about 15 %), so that the hazard ratio stands
        for a risk ratio; otherwise it is converted.

    Returns
    -------
    EValue
        Risk ratio that an unmeasured confounder must have with both treatment and outcome.

    Raises
    ------
    ValueError
        If a value is not above 0, or the limits do not enclose the estimate.

    References
    ----------
    VanderWeele & Ding, Annals of Internal Medicine 2017;167:268-274.
    """
    if not 0 < hr_low <= hr <= hr_high:
        raise ValueError(f"hr is {hr} ({hr_low} to {hr_high}); limits above 0 must enclose the estimate.")

    def bound(ratio: float) -> float:
        if not rare:
            ratio = (1 - 0.5 ** np.sqrt(ratio)) / (1 - 0.5 ** np.sqrt(1 / ratio))
        ratio = max(ratio, 1 / ratio)
        return float(ratio + np.sqrt(ratio * (ratio - 1)))

    if hr_low <= 1 <= hr_high:
        return EValue(bound(hr), 1.0)
    return EValue(bound(hr), bound(hr_low if hr > 1 else hr_high))


def restricted_cubic_spline(values: ArrayLike, knots: ArrayLike) -> np.ndarray:
    """Return the columns of a restricted cubic spline: the value itself and one column per inner knot.

    Parameters
    ----------
    values : array-like, shape (n,)
        Numbers.
    knots : array-like, shape (k,)
        Three or more, ascending; the curve is a line beyond the outer ones.

    Returns
    -------
    numpy.ndarray, shape (n, k - 1)
        Columns, the first of them `values`.

    Raises
    ------
    ValueError
        For fewer than three knots, or knots that do not ascend.

    References
    ----------
    Harrell, Regression Modeling Strategies (2015), section 2.4.
    """
    x, knots = check_column("values", values), check_column("knots", knots)
    if len(knots) < 3 or (np.diff(knots) <= 0).any():
        raise ValueError(f"knots are {knots.tolist()}; three or more in ascending order are needed.")
    cube = np.maximum(x[:, None] - knots, 0) ** 3
    before, last = knots[-2:]
    inner = cube[:, :-2] - cube[:, [-2]] * (last - knots[:-2]) / (last - before)
    inner += cube[:, [-1]] * (before - knots[:-2]) / (last - before)
    return np.column_stack([x, inner / (last - knots[0]) ** 2])


def partial_correlation(first: ArrayLike, second: ArrayLike, given: ArrayLike) -> float:
    """Return the correlation of two columns when a third is held fixed.

    Parameters
    ----------
    first, second, given : array-like, shape (n,)
        Numbers, none missing; ranks give the rank correlation.

    Returns
    -------
    float
        Between -1 and 1: Pearson's correlation of what is left of either column after its regression on
        `given`. NaN if a column is constant.

    Notes
    -----
    From the inverse of the correlation matrix, as R ``ppcor::pcor``; scipy has none.
    """
    columns = {"first": first, "second": second, "given": given}
    values = [check_column(name, column) for name, column in columns.items()]
    if min(np.ptp(column) for column in values) == 0:
        return float("nan")
    # The pseudo-inverse bears a column that repeats another.
    precision = np.linalg.pinv(np.corrcoef(values))
    return float(-precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1]))
