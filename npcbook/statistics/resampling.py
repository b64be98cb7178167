"""Folds, out-of-fold scores, bootstrap and permutation: what a procedure does on patients it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from npcbook.statistics import cutpoint
from npcbook.statistics.concordance import harrell_c
from npcbook.statistics.data import check_survival
from npcbook.statistics.lasso import select_features
from npcbook.statistics.survival import logrank
from npcbook.store import spread


def stratified_folds(event: ArrayLike, n_folds: int, *, rng: np.random.Generator) -> np.ndarray:
    """Return a random fold number (0, 1, …) per patient, events spread evenly.

    Parameters
    ----------
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    n_folds : int
        Folds wanted, at least 2; no more are made than there are events, so that none is without one (but
        never fewer than 2).
    rng : numpy.random.Generator
        Source of the order.

    Returns
    -------
    numpy.ndarray of int, shape (n,)
        Folds, whose sizes differ by one at most, as do their numbers of events.

    Raises
    ------
    ValueError
        If fewer than 2 folds are asked for.
    """
    event = np.asarray(event).astype(bool)
    if n_folds < 2:
        raise ValueError(f"n_folds is {n_folds}; with fewer than 2 nothing is held out.")
    n_folds, folds = max(2, min(n_folds, int(event.sum()))), np.empty(len(event), dtype=int)
    # Events first, the rest after them, both in random order, dealt out in turn.
    order = rng.permutation(len(event))
    order = order[np.argsort(~event[order], kind="stable")]
    folds[order] = np.arange(len(event)) % n_folds
    return folds


def bootstrap_limits(
    statistic: Callable[[np.ndarray], ArrayLike],
    n_patients: int,
    *,
    n_resamples: int = 500,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return 95 % percentile limits of statistics of some patients, by the bootstrap.

    Parameters
    ----------
    statistic : callable
        From row numbers (drawn with replacement) to one number or an array of them, NaN where a sample has
        none. It may raise ValueError where a sample allows no estimate at all.
    n_patients : int
        Rows to draw from, and to draw.
    n_resamples : int, default 500
        Bootstrap samples.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray, shape (2, ...)
        Lower and upper limits, in the shape of the statistic; NaN where more than half of the samples have
        none.

    Raises
    ------
    ValueError
        If more than half of the samples allow no estimate.

    Notes
    -----
    Samples are drawn from all patients. Drawn within strata of the event, which spares samples without one,
    the number of events is held, and limits of whatever depends on it are too narrow: of 400 simulated
    cohorts of 520 patients with 70 events, limits of a net benefit at thresholds of 5, 10 and 20 % held the
    truth in 80, 87 and 91 % so, and in 95, 94 and 93 % without strata.
    """
    found = []
    for _ in range(n_resamples):
        with suppress(ValueError):
            found.append(statistic(rng.integers(n_patients, size=n_patients)))
    if len(found) <= n_resamples / 2:
        failed = f"{n_resamples - len(found)} of {n_resamples} bootstrap samples"
        raise ValueError(f"{failed} allow no estimate: too few events; leave the limits out.")
    samples = np.asarray(found, dtype=float)
    missing = np.isnan(samples).mean(axis=0) > 0.5
    limits = np.nanpercentile(np.where(missing, 0.0, samples), [2.5, 97.5], axis=0)
    return np.where(missing, np.nan, limits)


def bootstrap_selection(
    features: pd.DataFrame,
    time: ArrayLike,
    event: ArrayLike,
    draws: ArrayLike,
    max_correlation: float = 0.85,
    *,
    n_folds: int = 10,
    workers: int = 2,
) -> pd.DataFrame:
    """Repeat the whole selection in bootstrap samples and judge each signature where it was not chosen.

    Parameters
    ----------
    features, time, event
        As for `select_features`; complete and finite.
    draws : array-like of int, shape (samples, n)
        Row numbers drawn with replacement, one row a sample.
    max_correlation : float
        As for `select_features`.
    n_folds : int
        Cross-validation folds. Copies of a patient share one, so that no patient is predicted from a copy.
    workers : int
        Processes.

    Returns
    -------
    DataFrame, one row a sample
        ``selected``: names separated by spaces, empty if nothing was; ``c_sample`` and ``c_original``: C of
        the signature in its own sample and in the original patients, 0.5 for an empty one; ``reason``: why a
        sample could not be fitted, else empty. The mean of ``c_sample - c_original`` is the optimism.

    References
    ----------
    Harrell, Lee and Mark, Stat Med 1996;15:361.
    """
    time, event = np.asarray(time, dtype=float), np.asarray(event, dtype=int)
    data = (features, time, event, max_correlation, n_folds)
    jobs = [(*data, drawn, seed) for seed, drawn in enumerate(np.asarray(draws))]
    return pd.DataFrame(spread(_select_again, jobs, n_jobs=workers))


def _select_again(features, time, event, max_correlation, n_folds, drawn, seed: int) -> dict:
    """Return one row of `bootstrap_selection`."""
    patients, folds, sample = np.unique(drawn), np.zeros(len(time), dtype=int), features.iloc[drawn]
    try:
        folds[patients] = stratified_folds(event[patients], n_folds, rng=np.random.default_rng(seed))
        fit = select_features(sample, time[drawn], event[drawn], max_correlation, folds=folds[drawn])
    except ValueError as error:
        return {"selected": "", "c_sample": np.nan, "c_original": np.nan, "reason": str(error)}
    row = {"selected": " ".join(fit.selected), "reason": ""}
    for where, values, rows in (("c_sample", sample, drawn), ("c_original", features, slice(None))):
        risk = fit.risk(values)
        row[where] = 0.5 if np.ptp(risk) == 0 else harrell_c(time[rows], event[rows], risk).c
    return row


def out_of_fold_risk(
    fit: Callable,
    features: np.ndarray | pd.DataFrame,
    *outcome: np.ndarray,
    n_folds: int = 5,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return, for each training patient, the risk from a model that was fitted without that patient.

    Parameters
    ----------
    fit : callable
        From features and outcome to a model with a method ``risk``; all that it chooses, a penalty say, is
        chosen anew for each fold.
    features : numpy.ndarray or pandas.DataFrame, shape (N, features)
        Of the training patients.
    *outcome : numpy.ndarray, shape (N,)
        What `fit` learns from; the last one is the event (1 = distant metastasis), spread over the folds.
    n_folds : int
        Folds.
    rng : numpy.random.Generator
        Deals patients to folds.

    Returns
    -------
    numpy.ndarray, shape (N,), or (N, columns) if the models' risks have several
        On the scale of the model; higher = worse.
    """
    fold = stratified_folds(outcome[-1], n_folds, rng=rng)
    risk = None
    for number in range(fold.max() + 1):
        inside = fold != number
        model = fit(features[inside], *(values[inside] for values in outcome))
        found = model.risk(features[~inside])
        risk = np.empty((len(fold), *found.shape[1:])) if risk is None else risk
        risk[~inside] = found
    return risk


Fit = Callable[[np.ndarray, np.ndarray, pd.DataFrame], Callable[[pd.DataFrame], ArrayLike]]


@dataclass(frozen=True)
class OptimismCorrected:
    """Harrell's C of a modelling procedure, apparent and corrected by the bootstrap.

    Attributes
    ----------
    apparent : float
        C in the data that the model was fitted on.
    optimism : float
        Mean excess of C in a bootstrap sample over C of the same model in the original data.
    corrected : float
        ``apparent`` − ``optimism``.
    n_resamples : int
        Bootstrap samples that allowed a fit.
    """

    apparent: float
    optimism: float
    corrected: float
    n_resamples: int


def optimism_corrected_c(
    time: ArrayLike,
    event: ArrayLike,
    covariates: pd.DataFrame,
    fit: Fit,
    *,
    n_resamples: int = 100,
    rng: np.random.Generator,
) -> OptimismCorrected:
    """Return Harrell's C of a modelling procedure less its optimism, every step of it inside the bootstrap.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, > 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    covariates : DataFrame, shape (n, p)
        Whatever `fit` takes.
    fit : callable
        ``fit(time, event, covariates)`` carries out *all* steps (selection too) and returns a function from
        covariates to risk, higher = worse. It may raise ValueError where a sample allows no fit.
    n_resamples : int, default 100
        Bootstrap samples.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    OptimismCorrected
        Apparent, optimism, corrected.

    Raises
    ------
    ValueError
        If the original data, or more than half of the samples, allow no fit.

    References
    ----------
    Harrell FE, Lee KL, Mark DB. Multivariable prognostic models. Stat Med 1996;15:361-87.
    """
    time, event = check_survival(time, event)
    apparent = harrell_c(time, event, fit(time, event, covariates)(covariates)).c
    excess = []
    for _ in range(n_resamples):
        rows = rng.integers(len(time), size=len(time))
        # A sample in which the procedure selects nothing has no C; such samples are counted out.
        with suppress(ValueError):
            risk = fit(time[rows], event[rows], covariates.iloc[rows])
            sample = harrell_c(time[rows], event[rows], risk(covariates.iloc[rows]))
            excess.append(sample.c - harrell_c(time, event, risk(covariates)).c)
    if len(excess) <= n_resamples / 2:
        failed = f"fit failed in {n_resamples - len(excess)} of {n_resamples} bootstrap samples"
        raise ValueError(f"{failed}: too few events for this procedure; use a simpler one.")
    optimism = float(np.mean(excess))
    return OptimismCorrected(apparent, optimism, apparent - optimism, len(excess))


def permuted_c(
    training: tuple[ArrayLike, ArrayLike, pd.DataFrame],
    validation: tuple[ArrayLike, ArrayLike, pd.DataFrame],
    fit: Fit,
    *,
    n_permutations: int = 100,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return Harrell's C of a modelling procedure when outcomes belong to the wrong patients.

    Parameters
    ----------
    training, validation : tuple of time, event, covariates
        Follow-up (> 0), event (0/1) and covariates of the cohorts to fit on and to validate in.
    fit : callable
        As for `optimism_corrected_c`.
    n_permutations : int, default 100
        Random assignments of the outcomes (time and event together) within each cohort.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    pandas.DataFrame
        ``training`` and ``validation``, one row per permutation that allowed a fit. Validation must centre on
        0.5, else information leaks; training lies above by overfitting alone.

    Raises
    ------
    ValueError
        If no permutation allows a fit.
    """
    rows = []
    for _ in range(n_permutations):
        cohorts = []
        for time, event, covariates in (training, validation):
            order = rng.permutation(len(covariates))
            cohorts.append((np.asarray(time)[order], np.asarray(event)[order], covariates))
        # No model from these outcomes (nothing selected): no C to report.
        with suppress(ValueError):
            risk = fit(*cohorts[0])
            rows.append([harrell_c(time, event, risk(covariates)).c for time, event, covariates in cohorts])
    if not rows:
        raise ValueError(f"fit failed in all {n_permutations} permutations: too few events for it.")
    return pd.DataFrame(rows, columns=["training", "validation"])


def cutpoint_under_no_effect(
    time: ArrayLike,
    event: ArrayLike,
    *,
    n_repeats: int = 500,
    min_fraction: float = 0.1,
    permutations: int = 2000,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Search the optimal cut-point of scores that have nothing to do with the outcome.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, > 0, as observed.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    n_repeats : int, default 500
        Random scores.
    min_fraction : float, default 0.1
        As for `cutpoint.optimal_cutpoint`.
    permutations : int, default 2000
        As for `cutpoint.optimal_cutpoint`, for ``p_corrected``. Scores without ties allow the same cuts, so
        that one set of random orders serves all of them.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    pandas.DataFrame
        Per repeat: ``p_naive``, ``p_corrected`` and ``hr``, the hazard ratio (observed over expected events)
        of the worse against the better side, infinite if the better side has no events.

    Raises
    ------
    ValueError
        If input is unusable.
    """
    time, event = check_survival(time, event)
    _, below = cutpoint.candidate_cuts(np.arange(len(time)), min_fraction)
    maxima = cutpoint.permuted_maxima(cutpoint.logrank_scores(time, event), below, permutations, rng)
    rows = []
    for _ in range(n_repeats):
        risk = rng.normal(size=len(time))
        cut = cutpoint.optimal_cutpoint(time, event, risk, min_fraction)
        p_corrected = cutpoint.permutation_p(maxima, cut.statistic)
        test = logrank(time, event, risk > cut.value)
        better, worse = np.sort(test.observed / test.expected)
        rows.append((cut.p_naive, p_corrected, worse / better if better > 0 else np.inf))
    return pd.DataFrame(rows, columns=["p_naive", "p_corrected", "hr"])
