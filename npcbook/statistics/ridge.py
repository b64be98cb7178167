"""Ridge-penalised Cox regression, its penalty chosen by cross-validation.

It stands here since scikit-survival's takes the full Newton step over all features, one penalty at a time,
and leaves the choice to a search that does not stratify by event; a path over 32 axes takes milliseconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from npcbook.statistics.data import RiskSets, check_survival
from npcbook.statistics.resampling import out_of_fold_risk

PENALTIES = tuple(float(p) for p in np.logspace(2, -1, 7))
#: Principal components of the standardised features to learn from: a few hold most of what features share.
N_COMPONENTS = 32


@dataclass(frozen=True)
class RidgeCox:
    """A ridge-penalised Cox model: the recommended head.

    Attributes
    ----------
    coef : numpy.ndarray, shape (features,); of a path, (features, penalties)
        Log hazard ratio per standard deviation.
    scaling : object with ``apply``
        Standardisation of the patients it was fitted on.
    penalty : float
        Weight of the squared length of the coefficients; NaN of a path.
    penalties, cv_loss : numpy.ndarray
        What was tried, and the cross-validated loss of each (empty if the penalty was given).
    """

    coef: np.ndarray
    scaling: object
    penalty: float
    penalties: np.ndarray
    cv_loss: np.ndarray

    def risk(self, features: np.ndarray) -> np.ndarray:
        """Return the log hazard ratio to the average training patient, shape (N,); of a path, by penalty."""
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
    sets = RiskSets(time, event.astype(bool), risk, ties="breslow")
    shift, n_events = sets.covariates.max(), len(sets.block)
    relative = np.exp(sets.covariates - shift)
    total, gradient = sets.over_steps(relative), np.zeros(len(risk))
    loss = (np.log(total) + shift).sum() - sets.covariates[sets.event].sum()
    # A patient weighs in the sum of every event up to their own time.
    share = np.cumsum(np.bincount(sets.block, 1 / total))[sets.own]
    gradient[sets.rows] = relative * share - sets.event
    return float(loss / n_events), gradient / n_events


@threadpool_limits.wrap(limits=1)
def fit_ridge_cox(
    features: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    *,
    fit_scaling: Callable,
    penalties: tuple[float, ...] = PENALTIES,
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
    fit, penalty = partial(_fit_path, fit_scaling=fit_scaling), tried[0]
    # With one event a fold would have none to learn from: the strongest penalty then.
    if len(tried) > 1 and event.sum() > 1:
        fit_all = partial(fit, penalties=tried)
        held_out = out_of_fold_risk(fit_all, features, time, event, n_folds=n_folds, rng=rng)
        cv_loss = np.array([cox_loss(risk, time, event)[0] for risk in held_out.T])
        penalty = tried[int(np.argmin(cv_loss))]
    path = fit(features, time, event, penalties=tried[tried >= penalty])
    return RidgeCox(path.coef[:, -1], path.scaling, float(penalty), tried, cv_loss)


def _fit_path(features: np.ndarray, time, event, *, penalties, fit_scaling) -> RidgeCox:
    """Return the coefficients, a column per penalty, each fit starting from the one before."""
    scaling = fit_scaling(features)
    scaled = scaling.apply(features)
    # Rotation changes neither risks nor the penalty.
    centred = scaled - scaled.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:N_COMPONENTS]
    inputs, coef, path = centred @ axes.T, np.zeros(len(axes)), []

    def loss(coef: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
        value, by_risk = cox_loss(inputs @ coef, time, event)
        return value + penalty / 2 * coef @ coef, by_risk @ inputs + penalty * coef

    for penalty in penalties:
        fit = minimize(loss, coef, args=(penalty,), jac=True, method="L-BFGS-B", options={"maxiter": 500})
        coef = fit.x
        path.append(coef @ axes)
    return RidgeCox(np.array(path).T, scaling, np.nan, penalties, np.array([]))
