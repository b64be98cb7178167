"""Does a treatment help? What comparisons that nobody randomised need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.linear_model import LogisticRegression

from npcbook.statistics.data import check_column, check_survival, read_covariates
from npcbook.statistics.printing import Estimate
from npcbook.statistics.survival import kaplan_meier, rate_at


@dataclass(frozen=True)
class InverseProbabilityWeights:
    """Weights that make groups alike in measured covariates.

    Attributes
    ----------
    weight : numpy.ndarray, shape (n,)
        Stabilised weight of each patient.
    effective_n : pandas.Series
        Per group, the number of patients that the weighted group is worth: (sum w)^2 / sum w^2.
    n_truncated : int
        Weights that were cut at the limits.
    """

    weight: np.ndarray
    effective_n: pd.Series
    n_truncated: int


@dataclass(frozen=True)
class WeightedRates:
    """Weighted survival rates of groups, and the same in bootstrap samples of the patients.

    Attributes
    ----------
    rate : pandas.Series
        Rate (0 to 1), index = (endpoint, within, treatment); NaN where nobody was followed to the horizon.
    samples : pandas.DataFrame
        Rates of the samples, one row each, columns as `rate`; NaN for a group that is not in the sample.
    """

    rate: pd.Series
    samples: pd.DataFrame

    def __getitem__(self, group: object) -> Estimate:
        """Return a group's rate with percentile limits; without limits where no sample can vary it."""
        return self._estimate(self.rate[group], self.samples[group], group)

    def difference(self, first: object, second: object) -> Estimate:
        """Return the rate of the group `first` less that of `second`, with percentile limits."""
        drawn = self.samples[first] - self.samples[second]
        return self._estimate(self.rate[first] - self.rate[second], drawn, first, second)

    def _estimate(self, value: float, drawn: pd.Series, *groups: object) -> Estimate:
        # Resampling cannot vary the rate of a group in which nobody, or everybody, has had the event.
        varies = all(1e-12 < self.rate[group] < 1 - 1e-12 for group in groups)
        low, high = drawn.quantile([0.025, 0.975]) if varies else (np.nan, np.nan)
        return Estimate(float(value), float(low), float(high))


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


def inverse_probability_weights(
    group: ArrayLike, covariates: ArrayLike, *, penalty: float = 1.0, truncate: float = 0.01
) -> InverseProbabilityWeights:
    """Weight patients by the inverse probability of the group that they are in.

    Parameters
    ----------
    group : array-like, shape (n,)
        Group (treatment) labels; two or more.
    covariates : DataFrame or array-like of shape (n, p)
        Numbers; what the treatment decision may have depended on.
    penalty : float
        Of the logistic model (ridge, standardised covariates): keeps small groups from perfect prediction.
    truncate : float
        Weights are cut at this quantile and at 1 minus it; 0 for none.

    Returns
    -------
    InverseProbabilityWeights
        Stabilised by the groups' shares, so that they average about 1 (Robins, Hernan & Brumback,
        Epidemiology 2000;11:550-560).

    Raises
    ------
    ValueError
        For unequal lengths, missing values or one group only.
    """
    values, _ = read_covariates(covariates)
    labels = np.asarray(group)
    if len(labels) != len(values):
        raise ValueError(f"group has {len(labels)} values, covariates {len(values)}; give equal lengths.")
    if pd.isna(labels).any() or len(np.unique(labels)) < 2:
        raise ValueError("group must have two groups or more and no missing value.")
    if not 0 <= truncate < 0.5:
        raise ValueError(f"truncate is {truncate}; it must be from 0 (none) to below 0.5.")
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    model = LogisticRegression(C=1 / penalty, max_iter=5000, tol=1e-8).fit(scaled, labels)
    code = np.searchsorted(model.classes_, labels)
    probability = model.predict_proba(scaled)[np.arange(len(labels)), code]
    raw = (np.bincount(code) / len(code))[code] / probability
    low, high = np.quantile(raw, [truncate, 1 - truncate])
    weight = np.clip(raw, low, high)
    effective = pd.Series(weight).groupby(labels).agg(lambda w: w.sum() ** 2 / (w**2).sum())
    return InverseProbabilityWeights(weight, effective, int((weight != raw).sum()))


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
        As for `inverse_probability_weights`; a column that is constant in a sample is left out of it.
    horizon : float
        When.
    within : array-like, shape (n,)
        Labels of groups in which treatments are compared (risk groups); the weights come from all patients.
    n_bootstraps : int
        Samples of patients for the limits; the weights are estimated anew in each, so that limits hold
        their uncertainty too.
    rng : numpy.random.Generator
        Source of the samples.

    Returns
    -------
    WeightedRates
        Weighted Kaplan-Meier rates and those of the samples.

    Raises
    ------
    ValueError
        For bad input.
    """
    within, treatment = np.asarray(within), np.asarray(treatment)
    checked = {"need_event": False, "treatment": pd.factorize(treatment)[0]}
    data = {name: check_survival(*outcome, **checked)[:2] for name, outcome in outcomes.items()}
    everybody = np.arange(len(treatment))

    def rates(rows: np.ndarray) -> pd.Series:
        x = covariates.iloc[rows]
        weight = inverse_probability_weights(treatment[rows], x.loc[:, x.nunique() > 1]).weight
        members = pd.Series(everybody).groupby([within[rows], treatment[rows]])
        parts = {k: members.apply(_rate, t[rows], e[rows], weight, horizon) for k, (t, e) in data.items()}
        return pd.concat(parts)

    rate = rates(everybody)
    samples = [rates(rng.integers(0, len(everybody), len(everybody))) for _ in range(n_bootstraps)]
    last = {name: pd.Series(time).groupby([within, treatment]).max() for name, (time, _) in data.items()}
    return WeightedRates(rate.where(pd.concat(last) >= horizon), pd.DataFrame(samples, columns=rate.index))


def _rate(members: pd.Series, time, event, weight, horizon) -> float:
    """Return the weighted Kaplan-Meier rate of some of the patients."""
    return kaplan_meier(time[members], event[members], at=[horizon], weights=weight[members]).survival[0]


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
    reach = stats.norm.isf(0.025) * np.hypot(*(rate.se for rate in rates)) if estimable else np.nan
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
