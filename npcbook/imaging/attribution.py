"""Attribution: which voxels a score of metastasis rests on, and whether they are the right ones.

Masks stay as the network drew them, so that what is explained is how the picture inside and around them moves
the score, not how the mask does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from npcbook.imaging.features import region_features
from npcbook.imaging.heads import LinearHead, StagedHead, fit_scaling
from npcbook.imaging.network import NetworkSettings, UNet3d

#: Voxels that are differentiated through at once; each takes a kilobyte.
VOXELS = 2**21


@dataclass(frozen=True)
class Attribution:
    """What each voxel of a picture contributes to a score.

    Attributes
    ----------
    values : numpy.ndarray, shape (Z, Y, X)
        Contribution in the units of the score (log hazard ratio for the recommended head); positive = raises
        the risk.
    score, baseline_score : float
        Of the picture, and of the one that it was compared with.
    """

    values: np.ndarray
    score: float
    baseline_score: float

    @property
    def gap(self) -> float:
        """Difference between the sum of the contributions and that of the scores; 0 if steps were enough."""
        return float(self.values.sum()) - (self.score - self.baseline_score)


def score_function(
    network: UNet3d,
    labels: np.ndarray,
    head: LinearHead | StagedHead,
    *,
    features: np.ndarray,
    columns: slice,
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a head's score as a function of the picture of one sequence, all else of the patient fixed.

    Parameters
    ----------
    network : UNet3d
        Of the sequence.
    labels : numpy.ndarray, shape (Z, Y, X)
        The patient's predicted mask, kept as it is.
    head : LinearHead or StagedHead
        Fitted on the region features of one sequence or of several side by side.
    features : numpy.ndarray, shape (features,)
        The patient's, of all the head's sequences.
    columns : slice
        Place of this sequence's features among them.

    Returns
    -------
    callable
        From pictures, shape (N, 1, Z, Y, X), to log hazard ratios, shape (N,).
    """
    others = torch.as_tensor(np.asarray(features), dtype=torch.float32)
    mask = torch.from_numpy(np.asarray(labels))[None]

    def score(pictures: torch.Tensor) -> torch.Tensor:
        _, own = region_features(network, pictures, mask.expand(len(pictures), -1, -1, -1))
        before, after = others[: columns.start], others[columns.stop :]
        parts = before.expand(len(own), -1), own, after.expand(len(own), -1)
        return head.score(torch.cat(parts, dim=1))

    return score


def integrated_gradients(
    score: Callable[[torch.Tensor], torch.Tensor],
    picture: np.ndarray,
    *,
    baseline: np.ndarray | None = None,
    steps: int = 12,
) -> Attribution:
    """Return how much each voxel contributes to a score, by integrated gradients.

    Parameters
    ----------
    score : callable
        From pictures, shape (N, 1, Z, Y, X), to scores, shape (N,), differentiable.
    picture : numpy.ndarray, shape (Z, Y, X)
        Normalised picture on the network's grid.
    baseline : numpy.ndarray, optional
        What the picture is compared with; default, its own mirror image: the same head and scanner, with the
        other side of the head where the mask lies.
    steps : int
        Points of the midpoint rule on the straight line between the two.

    Returns
    -------
    Attribution
        Contributions; their sum is the difference of the two scores but for the error of the rule.

    Notes
    -----
    An even grey, the usual baseline, does not serve here. On the way from it the picture only gains contrast,
    and the network's normalisation takes any contrast out: the score stays put until it jumps at the very
    end, contributions add up to nothing, and the rule misses the jump.

    References
    ----------
    Sundararajan, Taly, Yan, ICML 2017.
    """
    target = torch.as_tensor(np.asarray(picture), dtype=torch.float32)
    start = target.flip(-1) if baseline is None else torch.as_tensor(baseline, dtype=torch.float32)
    # Many points on the line in one batch: a small network would mostly wait on single pictures.
    places, gradient = ((torch.arange(steps) + 0.5) / steps).view(-1, 1, 1, 1, 1), 0
    for some in places.split(max(1, VOXELS // target.numel())):
        points = (start + some * (target - start)).contiguous(memory_format=torch.channels_last_3d)
        points.requires_grad_()
        gradient += torch.autograd.grad(score(points).sum(), points)[0].sum(dim=(0, 1)) / steps
    with torch.no_grad():
        scores = [float(score(p[None, None])[0]) for p in (target, start)]
    return Attribution(((target - start) * gradient).numpy(), *scores)


def share_within(attribution: np.ndarray, region: np.ndarray) -> float:
    """Return the part of an attribution that falls on a region.

    Parameters
    ----------
    attribution : numpy.ndarray, shape (Z, Y, X)
        Contributions of either sign; their size counts.
    region : numpy.ndarray, shape (Z, Y, X)
        Membership from 0 to 1.

    Returns
    -------
    float
        From 0 to 1; NaN if nothing is attributed anywhere.
    """
    size = np.abs(attribution)
    return float((size * region).sum() / size.sum()) if size.sum() else float("nan")


def randomise(settings: NetworkSettings, *, seed: int) -> UNet3d:
    """Return a network of the same shape that has learnt nothing, to see what attribution owes to learning.

    References
    ----------
    Adebayo et al., NeurIPS 2018 (sanity checks for saliency maps).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet3d(settings).eval()


def random_head(network: UNet3d, pictures: np.ndarray, labels: np.ndarray, *, seed: int) -> LinearHead:
    """Return a head that has learnt nothing either, on a network's features of some patients.

    Parameters
    ----------
    network : UNet3d
        Any.
    pictures, labels : numpy.ndarray, shape (N, Z, Y, X)
        Normalised pictures and masks; their features are standardised over these patients.
    seed : int
        Of the coefficients, drawn from a normal distribution.

    Returns
    -------
    LinearHead
        For `score_function`.
    """
    with torch.no_grad():
        tensors = torch.from_numpy(pictures)[:, None], torch.from_numpy(labels)
        features = region_features(network, *tensors)[1].numpy()
    coef = np.random.default_rng(seed).normal(size=features.shape[1])
    return LinearHead(coef, fit_scaling(features))
