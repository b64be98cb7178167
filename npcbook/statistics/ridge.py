"""Ridge-penalised Cox regression, its penalty chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from npcbook.statistics.data import check_survival
from npcbook.statistics.resampling import stratified_folds

PENALTIES = tuple(float(p) for p in np.logspace(2, -1, 7))


@dataclass(frozen=True)
class RidgeCox:
    """A ridge-penalised Cox model: the recommended head.

    Attributes
    ----------
    coef : numpy.ndarray, shape (features,)
        Log hazard ratio per standard deviation.
    scaling : object with ``apply``
        Standardisation of the patients it was fitted on.
    penalty : float
        Weight of the squared length of the coefficients.
    penalties, cv_loss : numpy.ndarray
        What was tried, and the cross-validated loss of each (empty if the penalty was given).
    """

    coef: np.ndarray
    scaling: object
    penalty: float
    penalties: np.ndarray
    cv_loss: np.ndarray

    def risk(self, features: np.ndarray) -> np.ndarray:
        """Return the log hazard ratio to the average training patient, shape (N,)."""
        return self.scaling.apply(features) @ self.coef


def cox_loss(risk: np.ndarray, time: np.ndarray, event: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the negative Cox partial log-likelihood per event, and its gradient.

    Parameters
    ----------
    risk : numpy.ndarray, shape (N,)
        Log hazard ratio of each patient; higher = worse.
    time : numpy.ndarray, shape (N,)
        Follow-up; any unit.
    event : numpy.ndarray, shape (N,)
        1 = metastasis ended it.

    Returns
    -------
    tuple of float and numpy.ndarray, shape (N,)
        Loss, and its derivative by each patient's risk.

    Notes
    -----
    ``-sum over events of (risk_i - log sum over those still at risk of exp(risk_j)) / events``, with
    Breslow's treatment of ties: patients with the same time are at risk together.
    """
    order = np.argsort(-time, kind="stable")
    risk, sorted_time, sorted_event = risk[order], time[order], event[order].astype(float)
    highest = risk.max()
    weight = np.exp(risk - highest)
    # Of tied times, the last one in this order has all of them in its sum.
    last = np.searchsorted(-sorted_time, -sorted_time, side="right") - 1
    at_risk = np.cumsum(weight)[last]
    n_events = sorted_event.sum()
    loss = -np.sum(sorted_event * (risk - highest - np.log(at_risk))) / n_events
    # A patient weighs in the sum of every event up to their own time.
    first = np.searchsorted(-sorted_time, -sorted_time, side="left")
    share = np.cumsum((sorted_event / at_risk)[::-1])[::-1][first]
    gradient = np.empty(len(order))
    gradient[order] = (weight * share - sorted_event) / n_events
    return float(loss), gradient


@threadpool_limits.wrap(limits=1)
def fit_ridge_cox(
    features: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    *,
    fit_scaling: Callable,
    penalties: tuple[float, ...] = PENALTIES,
    n_components: int | None = 32,
    n_folds: int = 5,
    rng: np.random.Generator,
) -> RidgeCox:
    """Fit a ridge-penalised Cox model, its penalty chosen by cross-validation inside.

    Parameters
    ----------
    features : numpy.ndarray, shape (N, features)
        Stored features of the patients to learn from.
    time, event : numpy.ndarray, shape (N,)
        Months of follow-up; 1 = distant metastasis.
    fit_scaling : callable
        From features to their standardisation, an object with ``apply``; fitted anew without each fold.
    penalties : tuple of float
        To choose from, the strongest first; a single one is taken as it is.
    n_components : int or None
        Principal components of the standardised features to learn from; None for all.
    n_folds : int
        Folds of the choice.
    rng : numpy.random.Generator
        Deals patients to folds.

    Returns
    -------
    RidgeCox
        The fit to all the patients given.

    Notes
    -----
    Minimises ``cox_loss + penalty / 2 * |coef|^2`` on standardised features. A penalty's loss is the partial
    likelihood of the risks that each patient gets from a fit without their fold.
    """
    features = np.asarray(features, dtype=float)
    time, event = check_survival(time, event)
    tried, cv_loss = np.sort(np.asarray(penalties, dtype=float))[::-1], np.array([])
    penalty = tried[0]
    if len(tried) > 1:
        fold = stratified_folds(event, n_folds, rng=rng)
        held_out = np.empty((len(tried), len(time)))
        for number in range(fold.max() + 1):
            inside = fold != number
            scaled = fit_scaling(features[inside]).apply(features)
            path = _ridge_path(scaled[inside], time[inside], event[inside], tried, n_components)
            held_out[:, ~inside] = path @ scaled[~inside].T
        cv_loss = np.array([cox_loss(risk, time, event)[0] for risk in held_out])
        penalty = tried[int(np.argmin(cv_loss))]
    scaling = fit_scaling(features)
    path = _ridge_path(scaling.apply(features), time, event, tried[tried >= penalty], n_components)
    return RidgeCox(path[-1], scaling, float(penalty), tried, cv_loss)


def _ridge_path(scaled: np.ndarray, time, event, penalties, n_components) -> np.ndarray:
    """Return the coefficients under each penalty, each fit starting from the one before."""
    # Rotation changes neither risks nor the penalty, and a few axes hold most of what features share.
    centred = scaled - scaled.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:n_components]
    inputs, coef, path = centred @ axes.T, np.zeros(len(axes)), []

    def loss(coef: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
        value, by_risk = cox_loss(inputs @ coef, time, event)
        return value + penalty / 2 * coef @ coef, by_risk @ inputs + penalty * coef

    for penalty in penalties:
        fit = minimize(loss, coef, args=(penalty,), jac=True, method="L-BFGS-B", options={"maxiter": 500})
        coef = fit.x
        path.append(coef @ axes)
    return np.array(path)
