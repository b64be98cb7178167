"""Training a segmentation network on for the prediction of metastasis, as the paper did.

"The DL model was first trained for automatic segmentation and then trained for the prediction of DM": the
encoder goes on learning with the cross-entropy of Equation 2 below a pooling layer and a softmax head. Print
does not say when to stop, nor whether all of the encoder learns. Here the epoch is the one with the lowest
loss in patients left out, fold by fold within the training cohort, and the outermost levels keep what the
segmentation taught them: a few dozen metastases teach a deep layer something, and an edge filter nothing.
"""

import copy
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Subset

from npcbook.imaging.heads import Scaling, SoftmaxHead
from npcbook.imaging.network import NetworkSettings, PrognosisHead, UNet3d, check_settings, pool_global
from npcbook.imaging.trained import load_network
from npcbook.store import keep, progress, spacious

AT_ONCE = 4  # patients that pass through a network together without being learnt from


@dataclass(frozen=True)
class PrognosisSettings:
    """How a network is trained on.

    Attributes
    ----------
    frozen_levels : int
        Outermost levels of the encoder that stay as the segmentation left them.
    epochs : int
        Most passes over the training patients; the best number of them is chosen.
    batch_size : int
        Patients per step of the optimiser.
    micro_batch : int
        Patients per pass through the network: a step adds up as many passes as its batch needs. The loss is
        a mean, and results agree to rounding whatever it is.
    learning_rate, weight_decay : float
        AdamW's.
    mirror : bool
        Whether left and right are exchanged in every other patient of an epoch.
    seed : int
        Of the head's first weights and the order of patients.
    device : {"cpu", "cuda"}
        Single precision on the former, bfloat16 where it is safe on the latter.

    Raises
    ------
    ValueError
        If a number is out of range, or the device unknown.
    """

    frozen_levels: int = 2
    epochs: int = 20
    batch_size: int = 32
    micro_batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    mirror: bool = True
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self):
        check_settings(self)


@dataclass(frozen=True)
class PrognosisNetwork:
    """A network that was trained on, and what it makes of the patients.

    Attributes
    ----------
    network : UNet3d
        Its encoder; the way up is still the segmentation's, and fits it no longer.
    head : SoftmaxHead
        Of the pooled bottleneck.
    pooled : numpy.ndarray, shape (N, C)
        Pooled bottleneck of all patients.
    pooled_by_fold : numpy.ndarray, shape (folds, N, C)
        The same by networks that were trained on without the training patients of a fold.
    risk_out_of_fold : numpy.ndarray, shape (training patients,)
        Softmax probability of metastasis by the network that had not seen the patient's outcome.
    history : pandas.DataFrame
        One row an epoch: ``epoch``, ``loss`` in training, ``held_out_loss``.
    """

    network: UNet3d
    head: SoftmaxHead
    pooled: np.ndarray
    pooled_by_fold: np.ndarray
    risk_out_of_fold: np.ndarray
    history: pd.DataFrame


class _Deep(nn.Module):
    """The levels of an encoder that learn, with the head below them."""

    def __init__(self, network: UNet3d, frozen: int, seed: int, share: torch.Tensor):
        super().__init__()
        self.down, self.pools = copy.deepcopy(network.down[frozen:]), network.pools[frozen:]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = PrognosisHead(network.settings.filters[-1])
        # Metastases are rare: a head that expects them as they occur need not learn that first.
        with torch.no_grad():
            self.head.classify.bias.copy_(torch.stack([1 - share, share]).log())

    def pool(self, features: torch.Tensor) -> torch.Tensor:
        """Return the pooled bottleneck, shape (N, C)."""
        for number, block in enumerate(self.down):
            features = block(self.pools[number - 1](features) if number else features)
        return pool_global(features)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits of no metastasis and metastasis, shape (N, 2)."""
        # The vector goes into the head as it is; standardised, it is learnt by heart sooner.
        return self.head(self.pool(features))


class _Learner:
    """A network that is trained on with some of the patients, epoch by epoch."""

    def __init__(self, network: UNet3d, features, target, who: np.ndarray, settings: PrognosisSettings):
        self.target, self.settings = (target := target[who]), settings
        # No copy of what may be larger than memory.
        self.features = Subset(features, torch.from_numpy(np.flatnonzero(who)))
        share = target.double().mean().clamp(0.5 / len(target), 1 - 0.5 / len(target))
        self.deep = _Deep(network, settings.frozen_levels, settings.seed, share).to(settings.device)
        rate = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
        self.optimiser = torch.optim.AdamW(self.deep.parameters(), **rate)
        self.rng = torch.Generator().manual_seed(settings.seed)

    def learn(self) -> float:
        """Go through the patients once, and return the mean loss of the steps."""
        total = 0.0
        for batch in torch.randperm(len(self.target), generator=self.rng).split(self.settings.batch_size):
            side = torch.rand(len(batch), generator=self.rng) < 0.5 * self.settings.mirror
            self.optimiser.zero_grad()
            parts = (x.split(self.settings.micro_batch) for x in (batch, side))
            for part, turned in zip(*parts, strict=True):
                given = torch.where(
                    turned.view(-1, 1, 1, 1, 1), self.features[part].flip(-1), self.features[part]
                )
                logits = _apply(self.deep, given, self.settings.device, together=True)
                target = self.target[part].to(logits.device)
                loss = F.cross_entropy(logits, target, reduction="sum") / len(batch)
                loss.backward()
                total += loss.item() * len(batch) / len(self.target)
            self.optimiser.step()
        return total

    def keep_best(self) -> None:
        """Remember the weights of now."""
        self.best = copy.deepcopy(self.deep).cpu()


def train_on_metastasis(
    path: str | os.PathLike,
    network_file: Path,
    images: np.ndarray,
    event: np.ndarray,
    fold: np.ndarray,
    *,
    settings: PrognosisSettings,
) -> PrognosisNetwork:
    """Train a segmentation network on for metastasis, or read it back if that was done before.

    Parameters
    ----------
    path : str or path
        Where the result is kept, ``.safetensors``.
    network_file : path
        The segmentation network, see `load_network`.
    images : numpy.ndarray, shape (N, Z, Y, X), float32
        Normalised images of all patients, on the network's grid.
    event : numpy.ndarray, shape (N,)
        1 = distant metastasis seen; only that of training patients is looked at.
    fold : numpy.ndarray, shape (N,), int
        Fold of each training patient, from 0; -1 for patients who teach nothing.
    settings : PrognosisSettings
        How to train.

    Returns
    -------
    PrognosisNetwork
        After the number of epochs whose loss in left-out training patients was lowest.

    Raises
    ------
    ValueError
        If all levels are to stay as they are: then there is nothing to train but a head.
    """
    levels = len(load_network(network_file).network.down)
    if not 0 <= settings.frozen_levels < levels:
        raise ValueError(
            f"frozen_levels is {settings.frozen_levels}; the network has {levels} levels, of which at least "
            "one must learn: give a smaller number, or fit a head on the frozen network's features."
        )
    given = network_file, images, np.where(fold >= 0, event, 0), fold, settings
    return keep(path, _train_on, *given, read=_load, write=_save)


def _train_on(network_file, images, event, fold, settings: PrognosisSettings) -> PrognosisNetwork:
    network, target = load_network(network_file).network, torch.as_tensor(event).long()
    shallow, device = _shallow(network, images, settings), settings.device
    learning = [(fold >= 0) & (fold != number) for number in (*np.unique(fold[fold >= 0]), None)]
    learners = [_Learner(network, shallow, target, who, settings) for who in learning]
    rows, history = torch.from_numpy(fold >= 0), []
    # All folds side by side, so that only the best epoch so far has to be remembered.
    epochs = range(1, settings.epochs + 1)
    for epoch in progress(epochs, total=settings.epochs, description="training on for metastasis, epochs"):
        losses, logits = [learner.learn() for learner in learners], torch.zeros(len(fold), 2)
        for who, learner in zip(learning[:-1], learners[:-1], strict=True):
            left = torch.from_numpy(np.flatnonzero((fold >= 0) & ~who))
            logits[left] = _apply(learner.deep, Subset(shallow, left), device)
        held_out = F.cross_entropy(logits[rows], target[rows]).item()
        if held_out < min((one["held_out_loss"] for one in history), default=np.inf):
            risk = logits[rows].double().softmax(dim=1)[:, 1].numpy()
            for learner in learners:
                learner.keep_best()
        history.append({"epoch": epoch, "loss": losses[-1], "held_out_loss": held_out})
    pooled = [_apply(learner.best.to(device).pool, shallow, device).numpy() for learner in learners]
    best, history = learners[-1].best.cpu(), pd.DataFrame(history)
    network.down = nn.ModuleList([*network.down[: settings.frozen_levels], *best.down])
    channels = network.settings.filters[-1]
    untouched = Scaling(np.zeros(channels), np.ones(channels))
    head = SoftmaxHead(best.head, untouched, history["loss"].to_numpy())
    return PrognosisNetwork(network, head, pooled[-1], np.array(pooled[:-1]), risk, history)


def _shallow(network: UNet3d, images: np.ndarray, settings: PrognosisSettings) -> torch.Tensor:
    """Return what the frozen levels hand to the first that learns, once for all epochs and folds."""

    def encode(features: torch.Tensor) -> torch.Tensor:
        for block, pool in zip(network.down[: settings.frozen_levels], network.pools, strict=False):
            features = pool(block(features))
        return features

    network.to(settings.device)
    level, built = settings.frozen_levels, network.settings
    shape = len(images), (1, *built.filters)[level], *built.shapes[level][1:]
    shallow, images = torch.from_numpy(spacious(shape, np.float32)), torch.from_numpy(images)[:, None]
    for part in torch.arange(len(images)).split(AT_ONCE):
        shallow[part] = _apply(encode, images[part], settings.device)
    network.cpu()
    return shallow


def _apply(function, inputs: torch.Tensor, device: str = "cpu", *, together: bool = False) -> torch.Tensor:
    """Apply a network to patients, a few at a time without gradients, or `together` with them."""
    with torch.set_grad_enabled(together), torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
        if together:
            return function(inputs.to(device)).float()
        parts = (inputs[part] for part in torch.arange(len(inputs)).split(AT_ONCE))
        return torch.cat([function(part.to(device)).float().cpu() for part in parts])


def _save(path: Path, trained: PrognosisNetwork) -> None:
    """Write arrays and text, of which nothing is executed."""
    names = ("pooled", "pooled_by_fold", "risk_out_of_fold")
    arrays = {name: torch.from_numpy(np.ascontiguousarray(getattr(trained, name))) for name in names}
    arrays |= {f"network.{name}": tensor for name, tensor in trained.network.state_dict().items()}
    arrays |= {f"head.{name}": tensor for name, tensor in trained.head.head.state_dict().items()}
    arrays |= {f"scaling.{name}": torch.from_numpy(x) for name, x in vars(trained.head.scaling).items()}
    about = {"settings": asdict(trained.network.settings), "history": trained.history.to_dict("list")}
    arrays = {name: tensor.contiguous() for name, tensor in arrays.items()}
    save_file(arrays, path, metadata={"about": json.dumps(about)})


def _load(path: Path) -> PrognosisNetwork:
    with safe_open(path, framework="pt") as stored:
        about = json.loads(stored.metadata()["about"])
        arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)

    def part(prefix: str) -> dict:
        return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}

    settings = about["settings"]
    network = UNet3d(NetworkSettings(**settings | {"grid": tuple(settings["grid"])}))
    network.load_state_dict(part("network."))
    head, history = PrognosisHead(network.settings.filters[-1]), pd.DataFrame(about["history"])
    head.load_state_dict(part("head."))
    scaling = Scaling(**{name: array.numpy() for name, array in part("scaling.").items()})
    made = (arrays[name].numpy() for name in ("pooled", "pooled_by_fold", "risk_out_of_fold"))
    fitted = SoftmaxHead(head, scaling, history["loss"].to_numpy())
    return PrognosisNetwork(network.eval(), fitted, *made, history)


def load_encoder(path: str | os.PathLike) -> UNet3d:
    """Return the encoder of a network that `train_on_metastasis` kept."""
    return _load(Path(path)).network


def pooled_bottleneck(network: UNet3d, images: np.ndarray) -> np.ndarray:
    """Return the pooled bottleneck, shape (N, C), of images, shape (N, Z, Y, X)."""
    images = torch.from_numpy(images)[:, None]
    return _apply(lambda part: pool_global(network.encode(part)[-1]), images).numpy()
