"""Does an effect differ between subgroups? Qualitative (change of sign) and quantitative interaction.

Gail and Simon's test stands here since no package in Python has it (R QualInt).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq

from npcbook.statistics.cox import fit_cox
from npcbook.statistics.data import check_column, check_survival, read_covariates


@dataclass(frozen=True)
class InteractionTest:
    """A chi-square test of interaction: `statistic`, `degrees_of_freedom`, `p_value`."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


@dataclass(frozen=True)
class GailSimon:
    """Gail and Simon's test of qualitative interaction.

    Attributes
    ----------
    statistic : float
        The smaller of the two sums of squared z-values.
    p_value : float
        As R's QualInt gives it; without a change of sign it is 1 - 0.5 ** (K - 1) for K subgroups, not 1.
    q_positive, q_negative : float
        Sums of squared z-values of the positive and of the negative effects.
    """

    statistic: float
    p_value: float
    q_positive: float
    q_negative: float


def _check_effects(effects: ArrayLike, standard_errors: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    effects, errors = check_column("effects", effects), check_column("standard_errors", standard_errors)
    if len(effects) != len(errors):
        found = f"effects has {len(effects)} values and standard_errors {len(errors)}"
        raise ValueError(f"{found}; give equal lengths.")
    if len(effects) < 2:
        raise ValueError("effects has one value; an interaction needs two subgroups or more.")
    if errors.min() <= 0:
        raise ValueError(f"standard_errors go down to {errors.min():g}; all must be above 0.")
    return effects, errors


def gail_simon(effects: ArrayLike, standard_errors: ArrayLike) -> GailSimon:
    """Test whether an effect changes sign between subgroups.

    Parameters
    ----------
    effects : array-like, shape (k,)
        One effect per subgroup, 0 = none (log hazard ratios).
    standard_errors : array-like, shape (k,)
        Their standard errors, above 0.

    Returns
    -------
    GailSimon
        Test of "no change of sign"; differences in size alone are not tested.

    Raises
    ------
    ValueError
        For unequal lengths, missing values, fewer than two subgroups, standard errors not above 0.

    Notes
    -----
    Q = min(sum z^2 over z > 0, sum z^2 over z < 0); p = sum over h = 1..K-1 of Binomial(h; K - 1, 1/2) times
    P(chi2_h > Q). At Q = 0 that sum is 1 - 0.5^(K-1), and so QualInt 1.0.0 reports it; read it as "no
    evidence".

    References
    ----------
    "QualInt" in the paper's statistical analysis. Gail & Simon, Biometrics 1985;41:361-372.
    """
    effects, errors = _check_effects(effects, standard_errors)
    squares = (effects / errors) ** 2
    positive, negative = float(squares[effects > 0].sum()), float(squares[effects < 0].sum())
    statistic, others = min(positive, negative), len(effects) - 1
    h = np.arange(1, others + 1)
    p_value = float(stats.binom.pmf(h, others, 0.5) @ stats.chi2.sf(statistic, h))
    return GailSimon(statistic, p_value, positive, negative)


def likelihood_ratio(
    time: ArrayLike,
    event: ArrayLike,
    exposure: ArrayLike,
    subgroup: ArrayLike,
    *,
    strata: ArrayLike | None = None,
) -> InteractionTest:
    """Test whether the hazard ratio of an exposure differs between subgroups.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, in any one unit; greater than 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    exposure : array-like, shape (n,), or DataFrame
        Numbers (0/1 for two groups); several columns for an exposure with several levels.
    subgroup : array-like, shape (n,)
        Labels of two subgroups or more.
    strata : array-like, shape (n,), optional
        Groups with baseline hazards of their own (cohorts, centres).

    Returns
    -------
    InteractionTest
        Likelihood ratio of Cox models (Efron's ties) with and without exposure x subgroup.

    Raises
    ------
    ValueError
        For bad input, or if the exposure does not vary within every subgroup.

    Notes
    -----
    A subgroup without events in one arm has an infinite hazard ratio but a finite likelihood, so that the
    test exists. Equals ``anova`` of two ``coxph`` fits (survival 3.5-3).
    """
    time, event = check_survival(time, event)
    matrix, labels = read_covariates(exposure)[0], pd.Series(np.asarray(subgroup))
    if len(labels) != len(time) or labels.isna().any():
        found = f"{len(labels)} values, {int(labels.isna().sum())} of them missing"
        raise ValueError(f"subgroup has {found}, and time has {len(time)}; give one label per patient.")
    member = pd.get_dummies(labels).astype(float)
    if member.shape[1] < 2:
        raise ValueError(f"subgroup has the one value '{labels[0]}'; an interaction needs two or more.")
    for level, inside in member.items():
        if (np.ptp(matrix[inside == 1], axis=0) == 0).any():
            found = f"exposure does not vary in subgroup '{level}' ({inside.sum():g} patients)"
            raise ValueError(f"{found}: merge subgroups, or leave that one out.")
    others = member.to_numpy()[:, 1:]
    products = (matrix[:, :, None] * others[:, None]).reshape(len(matrix), -1)
    return _compare_fits(time, event, np.column_stack([matrix, others]), products, strata)


def _compare_fits(time, event, main: np.ndarray, products: np.ndarray, strata) -> InteractionTest:
    """Return the likelihood ratio test of Cox models without and with the products."""
    without, with_products = (
        fit_cox(time, event, columns, strata=strata, on_monotone="report").loglik
        for columns in (main, np.column_stack([main, products]))
    )
    statistic, df = max(0.0, 2 * (with_products - without)), products.shape[1]
    return InteractionTest(statistic, df, float(stats.chi2.sf(statistic, df)))


def continuous_interaction(
    time: ArrayLike,
    event: ArrayLike,
    exposure: ArrayLike,
    modifier: ArrayLike,
    *,
    strata: ArrayLike | None = None,
) -> InteractionTest:
    """Test whether the log hazard ratio of an exposure changes linearly with a continuous modifier.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (above 0) and event (1) or censoring (0), none missing.
    exposure, modifier : array-like, shape (n,)
        Numbers, none missing.
    strata : array-like, shape (n,), optional
        Groups with baseline hazards of their own.

    Returns
    -------
    InteractionTest
        Likelihood ratio of Cox models (Efron's ties) with and without exposure times modifier.

    Raises
    ------
    ValueError
        For bad input, or if exposure or modifier does not vary.
    """
    time, event, exposure, modifier = check_survival(time, event, exposure=exposure, modifier=modifier)
    # Centring keeps the product from being nearly collinear with what it is made of.
    product = (exposure - exposure.mean()) * (modifier - modifier.mean())
    return _compare_fits(time, event, np.column_stack([exposure, modifier]), product[:, None], strata)


def interaction_power(events: ArrayLike, log_hr: ArrayLike, *, alpha: float = 0.05) -> float:
    """Return how often the likelihood ratio test of an interaction would see hazard ratios that differ so.

    Parameters
    ----------
    events : array-like, shape (subgroups, levels)
        Events expected in each subgroup at each level of the exposure, the reference level first; 0 or more.
    log_hr : array-like, shape (subgroups, levels - 1)
        Log hazard ratio of each level against the reference, in each subgroup.
    alpha : float
        Level of the test.

    Returns
    -------
    float
        Probability, 0 to 1, that the p-value falls below `alpha`; NaN where no events bear on the question.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a number of events is below 0 or missing.

    Notes
    -----
    Noncentral chi-square. The information on a subgroup's log ratios is that of its events shared out over
    the levels, diag(d) - d d' / sum(d), so that a level without events informs of nothing.
    """
    events, log_hr = np.asarray(events, dtype=float), np.asarray(log_hr, dtype=float)
    if events.ndim != 2 or log_hr.shape != (len(events), events.shape[1] - 1) or len(events) < 2:
        found = f"events has shape {events.shape} and log_hr {log_hr.shape}"
        raise ValueError(
            f"{found}; give (subgroups, levels) and (subgroups, levels - 1), two of each or more."
        )
    if not (events >= 0).all():
        raise ValueError(f"events are {events.tolist()}; all must be known and 0 or more.")
    information = [np.diag(d[1:]) - np.outer(d[1:], d[1:]) / max(d.sum(), 1e-300) for d in events]
    total = np.linalg.pinv(sum(information))
    common = total @ sum(i @ b for i, b in zip(information, log_hr, strict=True))
    apart = sum((b - common) @ i @ (b - common) for i, b in zip(information, log_hr, strict=True))
    ranks = [np.linalg.matrix_rank(i) for i in information]
    if (df := sum(ranks) - np.linalg.matrix_rank(sum(information))) < 1:
        return float("nan")
    return float(stats.ncx2.sf(stats.chi2.isf(alpha, df), df, max(apart, 1e-12)))


def detectable_ratio(events: ArrayLike, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest ratio of hazard ratios that the test of an interaction sees with a given power.

    Parameters
    ----------
    events : array-like, shape (subgroups, 2)
        Events in each subgroup, without and with the exposure.
    power : float
        Wanted probability, above `alpha` and below 1.
    alpha : float
        Level of the test.

    Returns
    -------
    float
        Above 1, of one subgroup against all others: the subgroup in which it is seen most easily. Infinite
        where no ratio up to 1000 would be seen, or none can be.

    Raises
    ------
    ValueError
        As `interaction_power`.
    """
    events, largest = np.asarray(events, dtype=float), np.log(1000)
    found = [np.inf]
    for alone in np.eye(len(events))[:, :, None]:

        def missing(log_ratio: float, alone: np.ndarray = alone) -> float:
            return interaction_power(events, log_ratio * alone, alpha=alpha) - power

        if missing(largest) > 0:
            found.append(np.exp(brentq(missing, 1e-6, largest)))
    return float(min(found))
