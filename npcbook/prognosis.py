"""Prognosis heads: from the features that the network stored to a score of metastasis for every patient.

Two kinds. *As published*: fully connected layer, ReLU, softmax, trained by cross-entropy on "metastasis: yes
or no". *As recommended*: a penalised Cox model, which knows how long each patient was followed. Events are
rare, so every step sees the whole cohort. ``risk`` is higher = worse throughout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from torch.nn import functional as F

from npcbook.network import PrognosisHead
from npcbook.runs import atomic_path
from npcbook.selection import stratified_folds
from npcbook.validate import check_survival

__all__ = [
    "FARTHEST",
    "PENALTIES",
    "CoxHead",
    "Scaling",
    "SoftmaxHead",
    "cox_loss",
    "fit_cox_head",
    "fit_scaling",
    "fit_softmax_head",
    "load_head",
    "out_of_fold_risk",
    "save_head",
]

#: Standard deviations from the mean as which farther values count.
FARTHEST = 5.0
PENALTIES = tuple(float(p) for p in np.logspace(2, -1, 7))


@dataclass(frozen=True)
class SoftmaxHead:
    """The published head, fitted.

    Attributes
    ----------
    head : PrognosisHead
        Fully connected layer and classification layer.
    scaling : Scaling
        Of the training patients.
    losses : numpy.ndarray
        Cross-entropy after each epoch.
    """

    head: PrognosisHead
    scaling: Scaling
    losses: np.ndarray

    def risk(self, features: np.ndarray) -> np.ndarray:
        """Return the softmax probability of metastasis, shape (N,), of features, shape (N, features)."""
        with torch.no_grad():
            return self.head.score(_tensor(self.scaling.apply(features))).double().numpy()


@dataclass(frozen=True)
class CoxHead:
    """The recommended head, fitted.

    Attributes
    ----------
    coef : numpy.ndarray, shape (features,)
        Log hazard ratio per standard deviation.
    scaling : Scaling
        Of the training patients.
    penalty : float
        Weight of the squared length of the coefficients.
    penalties, cv_loss : numpy.ndarray
        What was tried, and the cross-validated loss of each (empty if the penalty was given).
    """

    coef: np.ndarray
    scaling: Scaling
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


def _tensor(values) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


@dataclass(frozen=True)
class Scaling:
    """Standardisation by the patients that a head was fitted on.

    Attributes
    ----------
    mean, sd : numpy.ndarray, shape (features,)
        Of those patients.

    Notes
    -----
    Channels that are all but silent get no voice: their deviation counts as a twentieth of the median one at
    least. Values beyond `FARTHEST` deviations count as that: a patient unlike all others must not decide.
    """

    mean: np.ndarray
    sd: np.ndarray

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return standardised features, shape (N, features)."""
        return np.clip((np.asarray(features, dtype=float) - self.mean) / self.sd, -FARTHEST, FARTHEST)


def fit_scaling(features: np.ndarray) -> Scaling:
    """Return the standardisation of features, shape (N, features)."""
    sd = np.std(features, axis=0, dtype=float)
    typical = np.median(sd[sd > 0]) if (sd > 0).any() else 1.0
    return Scaling(np.mean(features, axis=0, dtype=float), np.maximum(sd, 0.05 * typical))


# The arrays are small: threads would spend their time on waiting for one another.
@threadpool_limits.wrap(limits=1)
def fit_softmax_head(
    features: np.ndarray, event: np.ndarray, *, epochs: int = 500, learning_rate: float = 1e-4, seed: int = 0
) -> SoftmaxHead:
    """Fit the published head: cross-entropy on metastasis yes or no, blind to the length of follow-up.

    Parameters
    ----------
    features : numpy.ndarray, shape (N, features)
        Pooled bottleneck of one sequence, or of three side by side.
    event : numpy.ndarray, shape (N,)
        1 = distant metastasis seen.
    epochs : int
        Steps of Adam, each over the whole cohort.
    learning_rate : float
        Of Adam.
    seed : int
        Of the initial weights.

    Returns
    -------
    SoftmaxHead
        Its scores on the patients it was fitted on are apparent: they flatter it.

    References
    ----------
    Paper, Equation 2.
    """
    scaling = fit_scaling(features)
    inputs, target = _tensor(scaling.apply(features)), torch.as_tensor(np.asarray(event), dtype=torch.long)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = PrognosisHead(inputs.shape[1])
    optimiser = torch.optim.Adam(head.parameters(), lr=learning_rate)
    losses = []
    for _ in range(epochs):
        optimiser.zero_grad()
        loss = F.cross_entropy(head(inputs), target)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return SoftmaxHead(head, scaling, np.array(losses))


@threadpool_limits.wrap(limits=1)
def fit_cox_head(
    features: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    *,
    penalties: tuple[float, ...] = PENALTIES,
    n_components: int | None = 32,
    n_folds: int = 5,
    rng: np.random.Generator,
) -> CoxHead:
    """Fit the recommended head: a ridge-penalised Cox model, its penalty chosen by cross-validation inside.

    Parameters
    ----------
    features : numpy.ndarray, shape (N, features)
        Stored features of the patients to learn from.
    time, event : numpy.ndarray, shape (N,)
        Months of follow-up; 1 = distant metastasis.
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
    CoxHead
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
    return CoxHead(path[-1], scaling, float(penalty), tried, cv_loss)


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


def out_of_fold_risk(
    fit: Callable, features: np.ndarray | pd.DataFrame, *outcome: np.ndarray, n_folds: int = 5,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
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
    numpy.ndarray, shape (N,)
        On the scale of the model; higher = worse.
    """
    fold = stratified_folds(outcome[-1], n_folds, rng=rng)
    risk = np.empty(len(fold))
    for number in range(fold.max() + 1):
        inside = fold != number
        model = fit(features[inside], *(values[inside] for values in outcome))
        risk[~inside] = model.risk(features[~inside])
    return risk


def save_head(path: str | os.PathLike, head: SoftmaxHead | CoxHead, columns: Sequence[str]) -> None:
    """Write a fitted head and the names of the features that it reads, as arrays and text.

    Parameters
    ----------
    path : str or path
        Ends in ``.safetensors``.
    head : SoftmaxHead or CoxHead
        Fitted.
    columns : sequence of str
        Names of its features, in its order.

    Raises
    ------
    ValueError
        If there are not as many names as the head has features.
    """
    if len(columns) != len(head.scaling.mean):
        raise ValueError(f"{len(columns)} names are given for a head of {len(head.scaling.mean)} features.")
    arrays = {"mean": head.scaling.mean, "sd": head.scaling.sd}
    if isinstance(head, CoxHead):
        about = {"kind": "cox", "penalty": head.penalty}
        arrays |= {"coef": head.coef, "penalties": head.penalties, "cv_loss": head.cv_loss}
    else:
        about = {"kind": "softmax"}
        arrays |= {"losses": head.losses}
        arrays |= {f"head.{name}": tensor.numpy() for name, tensor in head.head.state_dict().items()}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata={"about": json.dumps(about | {"columns": list(columns)})})


def load_head(path: str | os.PathLike) -> tuple[SoftmaxHead | CoxHead, list[str]]:
    """Read a head that `save_head` wrote, and the names of its features; nothing in the file is executed."""
    with safe_open(path, framework="np") as stored:
        about = json.loads(stored.metadata()["about"])
        arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    scaling = Scaling(arrays["mean"], arrays["sd"])
    if about["kind"] == "cox":
        head = CoxHead(arrays["coef"], scaling, about["penalty"], arrays["penalties"], arrays["cv_loss"])
        return head, about["columns"]
    weights = {
        name.removeprefix("head."): torch.from_numpy(array)
        for name, array in arrays.items()
        if name.startswith("head.")
    }
    hidden, features = weights["connect.weight"].shape
    network = PrognosisHead(features, hidden)
    network.load_state_dict(weights)
    return SoftmaxHead(network, scaling, arrays["losses"]), about["columns"]
