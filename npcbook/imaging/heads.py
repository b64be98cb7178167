"""Prognosis heads: from the features that a network stored to a score of metastasis for every patient."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from threadpoolctl import threadpool_limits
from torch.nn import functional as F

from npcbook.imaging.network import PrognosisHead
from npcbook.store import atomic_path

#: Standard deviations from the mean as which farther values count.
FARTHEST = 5.0
#: How much a reading of the stage is stretched before a penalty meets it; and inverse strengths, to choose
#: from, of the penalty on the weights that read it.
STAGE_SCALE = 2.0
STAGING_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


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


def _tensor(values) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def _double(values) -> torch.Tensor:
    return torch.tensor(np.asarray(values, dtype=float))


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
        return self.scale(_double(features)).numpy()

    def scale(self, features: torch.Tensor) -> torch.Tensor:
        """Return standardised features, shape (N, features), as a tensor that can be differentiated."""
        mean, sd = (torch.as_tensor(values, dtype=features.dtype) for values in (self.mean, self.sd))
        return ((features - mean) / sd).clamp(-FARTHEST, FARTHEST)


@dataclass(frozen=True)
class LinearHead:
    """A head that weighs standardised features, as a Cox model does.

    Attributes
    ----------
    coef : numpy.ndarray, shape (features,)
        Log hazard ratio per standard deviation.
    scaling : Scaling
        Of the patients that it was fitted on.
    """

    coef: np.ndarray
    scaling: Scaling

    def score(self, features: torch.Tensor) -> torch.Tensor:
        """Return the log hazard ratio to the average of those patients, shape (N,)."""
        return self.scaling.scale(features) @ torch.as_tensor(self.coef, dtype=features.dtype)

    def risk(self, features: np.ndarray) -> np.ndarray:
        """Return the same of an array."""
        return self.scaling.apply(features) @ self.coef


@dataclass(frozen=True)
class StagedHead:
    """A head that reads the stage first, and weighs it together with what is measured.

    Attributes
    ----------
    scaling : Scaling
        Of the features.
    weights : numpy.ndarray, shape (features, labels)
        Log odds of each label of the stage per standard deviation of a feature.
    intercept : numpy.ndarray, shape (labels,)
        Log odds at the mean of the features.
    measured : numpy.ndarray, shape (measured,), int
        Places of the features that are taken as they are.
    last : LinearHead
        Of the readings: the probabilities of the labels, then the measured features.
    path : object
        The Cox model as it was fitted, with what it chose its penalty by; not stored.
    """

    scaling: Scaling
    weights: np.ndarray
    intercept: np.ndarray
    measured: np.ndarray
    last: LinearHead
    path: object = None

    def read(self, features: torch.Tensor) -> torch.Tensor:
        """Return the readings of features, shape (N, labels + measured)."""
        scaled = self.scaling.scale(features)
        weights, intercept = (torch.as_tensor(x, dtype=scaled.dtype) for x in (self.weights, self.intercept))
        return torch.cat([torch.sigmoid(scaled @ weights + intercept), scaled[:, self.measured]], dim=1)

    def score(self, features: torch.Tensor) -> torch.Tensor:
        """Return the log hazard ratio to the average training patient, shape (N,)."""
        return self.last.score(self.read(features))

    def risk(self, features: np.ndarray) -> np.ndarray:
        """Return `score` of an array."""
        return self.score(_double(features)).numpy()


def fit_staged_head(
    features: np.ndarray,
    labels: np.ndarray,
    *outcome: np.ndarray,
    measured: np.ndarray,
    fit: Callable,
    n_folds: int = 5,
    seed: int = 0,
) -> StagedHead:
    """Fit a head of few readings: the stage, learnt from labels that every patient has, and what is measured.

    Parameters
    ----------
    features : numpy.ndarray, shape (N, features)
        Of the training patients.
    labels : numpy.ndarray, shape (N, labels), 0 or 1
        What is known of each patient's stage, T2 say; one that hardly varies is not learnt.
    *outcome : numpy.ndarray, shape (N,)
        Follow-up, as `fit` takes it.
    measured : numpy.ndarray, int or bool
        Which features count as they are.
    fit : callable
        From readings, outcome and ``fit_scaling`` to a Cox model with a ridge penalty and its ``coef``.
    n_folds : int
        Folds in which the stage is read by a model without the patient, so that the Cox model meets readings
        as good as those of new patients.
    seed : int
        Deals patients to folds.

    Returns
    -------
    StagedHead
        The fit to all the patients given.

    Notes
    -----
    A few dozen metastases cannot weigh hundreds of features; hundreds of stages can. The penalty of each
    logistic regression is chosen by the log loss of left-out patients. In the Cox model a reading of the
    stage is penalised less than a measurement (`STAGE_SCALE`): it has been learnt already.
    """
    scaling = fit_scaling(features)
    scaled = scaling.apply(features)
    kept = labels[:, np.minimum(labels.sum(axis=0), (1 - labels).sum(axis=0)) >= 2 * n_folds]
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    fitted, read = [], []
    for label in kept.T.astype(int):
        model, penalties = LogisticRegression(max_iter=300), {"C": STAGING_PENALTIES}
        search = GridSearchCV(model, penalties, cv=folds, scoring=_log_likelihood).fit(scaled, label)
        fitted.append(search.best_estimator_)
        again = cross_val_predict(fitted[-1], scaled, label, cv=folds, method="predict_proba")
        read.append(again[:, 1])
    # In the order in which a file holds them: some processors add up a transposed one otherwise.
    weights = np.array([model.coef_[0] for model in fitted]).reshape(len(fitted), scaled.shape[1])
    weights = np.ascontiguousarray(weights.T)
    intercept = np.array([model.intercept_[0] for model in fitted])
    readings, places = np.column_stack([*read, scaled[:, measured]]), np.arange(scaled.shape[1])[measured]
    scale = np.repeat((STAGE_SCALE, 1.0), (len(fitted), len(places)))
    last = fit(readings, *outcome, fit_scaling=partial(_fit_stretched, scale=scale))
    return StagedHead(
        scaling, weights, intercept, places, LinearHead(last.coef * scale, last.scaling.scaling), last
    )


def _log_likelihood(model, features: np.ndarray, label: np.ndarray) -> float:
    """Return the mean log likelihood: scikit-learn's "neg_log_loss", which takes longer than the fits."""
    of_truth = model.predict_proba(features)[np.arange(len(label)), label]
    return np.log(of_truth.clip(np.finfo(float).eps)).mean()


@dataclass(frozen=True)
class _Stretched:
    """A standardisation after which some features are stretched, so that a ridge penalty spares them."""

    scaling: Scaling
    scale: np.ndarray

    def apply(self, features: np.ndarray) -> np.ndarray:
        return self.scaling.apply(features) * self.scale


def _fit_stretched(features: np.ndarray, scale: np.ndarray) -> _Stretched:
    return _Stretched(fit_scaling(features), scale)


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


def merge_heads(heads: Sequence[SoftmaxHead]) -> SoftmaxHead:
    """Return one head of the pooled vectors put side by side, whose log odds are the mean of the heads'."""
    parts = [fitted.head for fitted in heads]
    merged = PrognosisHead(sum(part.connect.in_features for part in parts))
    with torch.no_grad():
        merged.connect.weight.copy_(torch.block_diag(*(part.connect.weight for part in parts)))
        merged.connect.bias.copy_(torch.cat([part.connect.bias for part in parts]))
        weights = torch.cat([part.classify.weight for part in parts], dim=1)
        merged.classify.weight.copy_(weights / len(parts))
        merged.classify.bias.copy_(torch.stack([part.classify.bias for part in parts]).mean(dim=0))
    both = [np.concatenate([getattr(fitted.scaling, name) for fitted in heads]) for name in ("mean", "sd")]
    return SoftmaxHead(merged, Scaling(*both), np.mean([fitted.losses for fitted in heads], axis=0))


def save_head(
    path: str | os.PathLike, head: SoftmaxHead | LinearHead | StagedHead, columns: Sequence[str]
) -> None:
    """Write a fitted head and the names of the features that it reads, as arrays and text.

    Parameters
    ----------
    path : str or path
        Ends in ``.safetensors``.
    head : SoftmaxHead, LinearHead or StagedHead
        Fitted; a ridge fit of `npcbook.statistics` counts as the latter.
    columns : sequence of str
        Names of its features, in its order.

    Raises
    ------
    ValueError
        If there are not as many names as the head has features.
    """
    if len(columns) != len(head.scaling.mean):
        raise ValueError(f"{len(columns)} names are given for a head of {len(head.scaling.mean)} features.")
    arrays = dict(vars(head.scaling))
    if isinstance(head, SoftmaxHead):
        arrays |= {f"head.{name}": tensor.numpy() for name, tensor in head.head.state_dict().items()}
        arrays["losses"] = head.losses
    elif isinstance(head, StagedHead):
        arrays |= {name: getattr(head, name) for name in ("weights", "intercept", "measured")}
        arrays |= {f"last.{name}": array for name, array in vars(head.last.scaling).items()}
        arrays["last.coef"] = head.last.coef
    else:
        arrays["coef"] = head.coef
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata={"columns": json.dumps(list(columns))})


def load_head(path: str | os.PathLike) -> tuple[SoftmaxHead | LinearHead | StagedHead, list[str]]:
    """Read a head that `save_head` wrote, and the names of its features; nothing in the file is executed."""
    with safe_open(path, framework="np") as stored:
        columns = json.loads(stored.metadata()["columns"])
        arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    scaling = Scaling(arrays["mean"], arrays["sd"])
    if "coef" in arrays:
        return LinearHead(arrays["coef"], scaling), columns
    if "last.coef" in arrays:
        last = LinearHead(arrays["last.coef"], Scaling(arrays["last.mean"], arrays["last.sd"]))
        fitted = (arrays[name] for name in ("weights", "intercept", "measured"))
        return StagedHead(scaling, *fitted, last), columns
    names = [name for name in arrays if name.startswith("head.")]
    weights = {name.removeprefix("head."): torch.from_numpy(arrays[name]) for name in names}
    network = PrognosisHead(len(weights["connect.weight"]))
    network.load_state_dict(weights)
    return SoftmaxHead(network, scaling, arrays["losses"]), columns
