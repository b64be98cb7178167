"""Prognosis heads: from the features that a network stored to a score of metastasis for every patient."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits
from torch.nn import functional as F

from npcbook.imaging.network import PrognosisHead
from npcbook.store import atomic_path

#: Standard deviations from the mean as which farther values count.
FARTHEST = 5.0


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

    def risk(self, features: np.ndarray) -> np.ndarray:
        """Return the log hazard ratio to the average of those patients, shape (N,)."""
        return self.scaling.apply(features) @ self.coef


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


def save_head(path: str | os.PathLike, head: SoftmaxHead | LinearHead, columns: Sequence[str]) -> None:
    """Write a fitted head and the names of the features that it reads, as arrays and text.

    Parameters
    ----------
    path : str or path
        Ends in ``.safetensors``.
    head : SoftmaxHead or LinearHead
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
    arrays = vars(head.scaling)
    if isinstance(head, SoftmaxHead):
        fitted = {f"head.{name}": tensor.numpy() for name, tensor in head.head.state_dict().items()}
        arrays = arrays | fitted | {"losses": head.losses}
    else:
        arrays = arrays | {"coef": head.coef}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata={"columns": json.dumps(list(columns))})


def load_head(path: str | os.PathLike) -> tuple[SoftmaxHead | LinearHead, list[str]]:
    """Read a head that `save_head` wrote, and the names of its features; nothing in the file is executed."""
    with safe_open(path, framework="np") as stored:
        columns = json.loads(stored.metadata()["columns"])
        arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    scaling = Scaling(arrays["mean"], arrays["sd"])
    if "coef" in arrays:
        return LinearHead(arrays["coef"], scaling), columns
    names = [name for name in arrays if name.startswith("head.")]
    weights = {name.removeprefix("head."): torch.from_numpy(arrays[name]) for name in names}
    network = PrognosisHead(len(weights["connect.weight"]))
    network.load_state_dict(weights)
    return SoftmaxHead(network, scaling, arrays["losses"]), columns
