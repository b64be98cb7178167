"""Multiple imputation of missing laboratory values, and the pooling of what follows.

It stands here since statsmodels' MICE fits no Cox model and draws binaries from matched means, lifelines and
scikit-survival impute nothing, and scikit-learn's imputer leaves the outcome and the drawing to others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import expit
from sksurv.nonparametric import nelson_aalen_estimator

from npcbook.statistics.data import check_column, check_survival

# Rounds through the incomplete columns per data set.
N_CYCLES = 5


@dataclass(frozen=True)
class Pooled:
    """Estimates pooled over imputed data sets by Rubin's rules.

    Attributes
    ----------
    coef, se : numpy.ndarray, shape (p,)
        Mean estimate and its standard error.
    low, high : numpy.ndarray, shape (p,)
        95 % limits of the coefficients, from the t distribution.
    p_value : numpy.ndarray, shape (p,)
        Two-sided p-values.
    missing_information : numpy.ndarray, shape (p,)
        Share of the variance that is due to the missing values.
    n_imputations : int
        Imputed data sets.
    """

    coef: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    missing_information: np.ndarray
    n_imputations: int


def impute_binary(
    time: ArrayLike,
    event: ArrayLike,
    covariates: pd.DataFrame,
    *,
    n_imputations: int = 20,
    rng: np.random.Generator,
) -> list[pd.DataFrame]:
    """Fill missing values of binary covariates several times, with the outcome in the imputation model.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, > 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    covariates : DataFrame, shape (n, p)
        Covariates; NaN = missing, allowed only in columns of zeros and ones.
    n_imputations : int, default 20
        Data sets to return.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of DataFrame
        Complete copies of `covariates`.

    Raises
    ------
    ValueError
        If input is unusable, an incomplete column is not binary, or all its values are missing.

    Notes
    -----
    Chained equations, `N_CYCLES` rounds: each incomplete column is drawn from a logistic model of all other
    covariates, the event and the Nelson–Aalen cumulative hazard at the patient's time, its coefficients drawn
    anew from their approximate posterior (normal, with a weak normal prior of standard deviation 2.5 per
    standardised column, which keeps rare levels finite).

    References
    ----------
    White IR, Royston P. Imputing missing covariate values for the Cox model. Stat Med 2009;28:1982-98.
    """
    time, event = check_survival(time, event)
    if len(covariates) != len(time):
        raise ValueError(f"covariates has {len(covariates)} rows and time has {len(time)}: they must match.")
    incomplete = [name for name in covariates if covariates[name].isna().any()]
    for name in covariates:
        known = check_column(name, covariates[name].dropna())
        if name in incomplete and not set(known) <= {0.0, 1.0}:
            raise ValueError(f"{name} has missing values and is not binary; only 0 and 1 can be imputed.")
    times, hazard = nelson_aalen_estimator(event, time)
    outcome = np.column_stack([event, hazard[np.searchsorted(times, time)]])
    return [_impute_once(covariates, incomplete, outcome, rng) for _ in range(n_imputations)]


def pool(coefs: ArrayLike, standard_errors: ArrayLike) -> Pooled:
    """Pool the estimates of one model over imputed data sets.

    Parameters
    ----------
    coefs, standard_errors : array-like, shape (m, p)
        Estimates and standard errors, one row per data set, m at least 2.

    Returns
    -------
    Pooled
        Estimates with limits and p-values.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or there are fewer than two data sets.

    Notes
    -----
    Rubin's rules: total variance = mean variance + (1 + 1/m) × variance between data sets; degrees of freedom
    (m − 1)(1 + 1/r)², r being the ratio of the second part to the first.
    """
    coefs, errors = np.asarray(coefs, dtype=float), np.asarray(standard_errors, dtype=float)
    if coefs.ndim != 2 or coefs.shape != errors.shape or len(coefs) < 2:
        shapes = f"coefs has shape {coefs.shape}, standard_errors {errors.shape}"
        raise ValueError(f"{shapes}; both must be (m, p), with m 2 or more.")
    if not (np.isfinite(coefs).all() and np.isfinite(errors).all()):
        raise ValueError("coefs or standard_errors have missing or infinite values; all must be finite.")
    m = len(coefs)
    within, between = (errors**2).mean(axis=0), (1 + 1 / m) * coefs.var(axis=0, ddof=1)
    coef, se = coefs.mean(axis=0), np.sqrt(within + between)
    # Without variation between data sets the degrees of freedom are infinite, and t is normal.
    freedom = (m - 1) * (1 + within / np.maximum(between, 1e-12 * within)) ** 2
    margin = stats.t.isf(0.025, freedom) * se
    p_value = 2 * stats.t.sf(np.abs(coef) / se, freedom)
    return Pooled(coef, se, coef - margin, coef + margin, p_value, between / (within + between), m)


def _impute_once(covariates, incomplete, outcome, rng) -> pd.DataFrame:
    """Return one completed copy."""
    filled = covariates.copy()
    missing = {name: covariates[name].isna().to_numpy() for name in incomplete}
    for name, where in missing.items():
        filled.loc[where, name] = rng.choice(covariates.loc[~where, name].to_numpy(), size=where.sum())
    for _ in range(N_CYCLES if len(incomplete) > 1 else 1):
        for name, where in missing.items():
            design = np.column_stack([filled.drop(columns=name).to_numpy(float), outcome])
            probability = _drawn_probability(design, filled[name].to_numpy(float), ~where, rng)
            filled.loc[where, name] = (rng.random(where.sum()) < probability[where]).astype(float)
    return filled


def _drawn_probability(design, values, known, rng) -> np.ndarray:
    """Return each patient's probability of a 1 by a logistic model with coefficients drawn at random."""
    spread = design.std(axis=0)
    design = (design[:, spread > 0] - design[:, spread > 0].mean(axis=0)) / spread[spread > 0]
    design = np.column_stack([np.ones(len(design)), design])
    precision = np.diag(np.r_[1e-4, np.full(design.shape[1] - 1, 1 / 2.5**2)])
    x, y, beta = design[known], values[known], np.zeros(design.shape[1])
    for _ in range(50):
        fitted = expit(x @ beta)
        information = (x.T * (fitted * (1 - fitted))) @ x + precision
        step = np.linalg.solve(information, x.T @ (y - fitted) - precision @ beta)
        # Newton's step, shortened, cannot run off while the prior is flat compared with few events.
        beta = beta + step / max(1.0, np.abs(step).max() / 2)
        if np.abs(step).max() < 1e-8:
            break
    return expit(design @ rng.multivariate_normal(beta, np.linalg.inv(information)))
