"""Training: the segmentation network first, then, on its stored features, the heads that predict metastasis.

Everything here is fitted on the patients it is given and on nobody else. Every result depends on the data,
the settings and the seed only (to rounding, with other threads or on a GPU): random numbers are drawn anew
for each epoch from the seed and the epoch's number, so that a run that was killed and resumed ends where an
undisturbed one does. Lightning Fabric provides the device, the precision and the talk between devices.
"""

import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from monai.losses import DiceLoss
from monai.networks import one_hot
from torch.nn import functional as F
from torch.nn.utils import get_total_norm
from torch.utils.data import Subset

from npcbook.imaging.network import NetworkSettings, UNet3d, check_settings
from npcbook.imaging.trained import TrainedNetwork, load_network, predict_labels, save_network
from npcbook.store import fingerprint, keep, package_versions, progress, read_sealed, write_sealed

LOSSES = ("dice", "cross-entropy", "dice and cross-entropy")
SCHEDULES = ("constant", "one cycle", "until stable")
#: A segmentation is stable once this many epochs in a row have not raised the best Dice of kept-out patients
#: by the margin; its rate then falls to zero over so many epochs.
PATIENCE, MARGIN, COOL_DOWN = 2, 0.01, 3
#: Beside a network that is being trained: where it stands after the last epoch.
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class TrainingSettings:
    """How a segmentation network is trained; the defaults are the paper's where the paper has any.

    Attributes
    ----------
    epochs : int
        Passes over the training patients; with the schedule "until stable", the most that there are.
    batch_size : int
        Patients per step of the optimiser.
    micro_batch : int
        Patients that a device holds in memory at once. Gradients add up over the micro-batches of a batch;
        each counts by its patients.
    learning_rate : float
        Adam's, or the highest one of the cycle.
    schedule : {"constant", "one cycle", "until stable"}
        The paper's constant rate; one that rises over the first tenth of the steps and falls to zero, which
        does in a few epochs what a constant one does in many; or a constant one until the segmentation is
        stable (see `stable_after`), which then falls to zero over `COOL_DOWN` epochs and ends the training.
    loss : {"dice", "cross-entropy", "dice and cross-entropy"}
        The paper's, the deposited script's, or their sum.
    rotation_degrees, blur_voxels : float
        Largest in-plane rotation and widest in-plane Gaussian blur of the augmentation; 0 switches it off.
    mirror : bool
        Whether left and right are exchanged in every other patient of an epoch; the paper names rotation and
        blurring only.
    monitor_fraction : float
        Part of the training patients kept out of the steps, to see how the network does on new ones.
    seed : int
        Of the initial weights, the order of patients and the augmentation.
    device : {"cpu", "cuda"}
        Single precision on the former, bfloat16 where it is safe on the latter.
    devices : int
        Devices (processes, on a CPU) that share each batch.

    Raises
    ------
    ValueError
        If the loss, the schedule or the device is unknown, a number is out of range, or a batch has fewer
        micro-batches than there are devices.

    Notes
    -----
    The Dice loss is a ratio of sums over patients, so that its mean over micro-batches is not the loss of
    the whole batch, and `micro_batch` is a setting that changes results (a little; cross-entropy is a mean,
    and it does not matter there). The number of devices does not: they deal the same micro-batches among
    themselves and add up loss and gradients before each step. With several devices the sums run in another
    order, and numbers agree to rounding.
    """

    epochs: int = 500
    batch_size: int = 64
    micro_batch: int = 8
    learning_rate: float = 1e-4
    schedule: str = "constant"
    loss: str = "dice"
    rotation_degrees: float = 10.0
    blur_voxels: float = 0.8
    mirror: bool = False
    monitor_fraction: float = 0.1
    seed: int = 0
    device: str = "cpu"
    devices: int = 1

    def __post_init__(self):
        check_settings(self)
        for name, allowed in (("loss", LOSSES), ("schedule", SCHEDULES)):
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
        if self.monitor_fraction >= 1:
            raise ValueError(f"monitor_fraction is {self.monitor_fraction}; it must be below 1.")
        if self.schedule == "until stable" and not (self.monitor_fraction and self.epochs > COOL_DOWN):
            raise ValueError(
                f"the schedule 'until stable' watches patients that are kept out, and takes more than "
                f"{COOL_DOWN} epochs: set monitor_fraction and epochs, or choose another schedule."
            )
        if self.devices > 1 and self.devices * self.micro_batch > self.batch_size:
            raise ValueError(
                f"batches of {self.batch_size} patients in parts of {self.micro_batch} leave some of "
                f"{self.devices} devices idle: lower micro_batch or devices, or raise batch_size."
            )


def dice_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return one minus the soft Dice overlap, averaged over tumour, nodes, and both together.

    Parameters
    ----------
    logits : torch.Tensor, shape (N, C, Z, Y, X)
        Output of the network.
    labels : torch.Tensor, shape (N, Z, Y, X), integer
        0 background, 1 primary tumour, 2 lymph node.

    Returns
    -------
    torch.Tensor, scalar
        0 for perfect overlap, 1 for none.

    Notes
    -----
    ``1 - 2 sum(T P) / sum(T + P)``, summed over all voxels of the batch, so that patients without nodes do
    not divide by nothing. Equation 1 of the paper has this on its left and a right-hand side without the
    ``1 -``, which would be the overlap itself, and would be maximal where the loss should be minimal.
    MONAI's loss, given a third channel: it has none for structures that overlap.
    """
    predicted, target = logits.float().softmax(dim=1), one_hot(labels[:, None], logits.shape[1])
    # Small nodes are first found as disease of either kind, then told apart.
    both = (torch.cat((x[:, 1:], x[:, 1:].sum(1, keepdim=True)), dim=1) for x in (predicted, target))
    return DiceLoss(batch=True)(*both)


def cross_entropy_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy over voxels (arguments as in `dice_loss`)."""
    return F.cross_entropy(logits.float(), labels.long())


def segmentation_loss(name: str, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the loss of that name."""
    terms = {"dice": (dice_loss,), "cross-entropy": (cross_entropy_loss,)}
    return sum(term(logits, labels) for term in terms.get(name, (dice_loss, cross_entropy_loss)))


def augment(
    images: torch.Tensor, labels: torch.Tensor, settings: TrainingSettings, *, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate each patient in-plane, blur each image, and mirror some, by random amounts.

    Parameters
    ----------
    images : torch.Tensor, shape (N, 1, Z, Y, X)
        Normalised images.
    labels : torch.Tensor, shape (N, Z, Y, X), uint8
        Masks.
    settings : TrainingSettings
        Angles are uniform between minus and plus `rotation_degrees`, standard deviations of the Gaussian
        between 0 and `blur_voxels`; `mirror` exchanges left and right in every other patient.
    rng : torch.Generator
        Source of the random amounts, on the CPU.

    Returns
    -------
    tuple of torch.Tensor
        Images and labels, same shapes; labels turned by nearest neighbour.

    Notes
    -----
    All patients in one pass; MONAI's ``RandRotated``, ``RandGaussianSmoothd`` and ``RandFlipd``, one patient
    at a time, make an epoch 1.17 times as long (two threads, 16 x 48 x 48 voxels).
    """
    turn, width, side = _random_amounts(len(images), rng)
    # Slices ride along as channels: every slice of a patient turns by the same angle.
    picture, mask = images[:, 0], labels.to(images.dtype)
    if settings.rotation_degrees > 0 or settings.mirror:
        angle = (2 * turn - 1) * np.deg2rad(settings.rotation_degrees)
        side = torch.where(side < 0.5, -1.0, 1.0) if settings.mirror else torch.ones(len(images))
        where = F.affine_grid(_turns(angle, side, picture), list(picture.shape), align_corners=False)
        picture = F.grid_sample(picture, where, mode="bilinear", padding_mode="border", align_corners=False)
        mask = F.grid_sample(mask, where, mode="nearest", padding_mode="zeros", align_corners=False)
    if settings.blur_voxels > 0:
        picture = _blur(picture, (width * settings.blur_voxels).to(images.device))
    return picture[:, None], mask.to(labels.dtype)


def _turns(angle: torch.Tensor, side: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Return one matrix (2, 3) a patient that turns the plane by an angle and mirrors it where side is -1."""
    (y_size, x_size), zero = picture.shape[2:], torch.zeros_like(angle)
    sine, cosine = torch.sin(angle), torch.cos(angle)
    to_x = torch.stack((side * cosine, -side * sine * y_size / x_size, zero), dim=1)
    to_y = torch.stack((sine * x_size / y_size, cosine, zero), dim=1)
    return torch.stack((to_x, to_y), dim=1).to(picture.device)


def _random_amounts(n: int, rng: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Draw the three numbers between 0 and 1 that `augment` needs for each of n patients."""
    return torch.rand(3, n, generator=rng).unbind()


def _blur(picture: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """Blur (N, Z, Y, X) in-plane by one Gaussian a patient, of `width` voxels."""
    n, z, y, x = picture.shape
    offsets = torch.arange(-3, 4, device=picture.device, dtype=picture.dtype)
    kernel = torch.exp(-0.5 * (offsets / width.clamp(min=1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True))[:, None]  # (N, 1, 7)
    # Patients as channels: (Z, N, Y+6, X).
    rows = F.pad(picture.transpose(0, 1), (0, 0, 3, 3), mode="replicate")
    rows = F.conv2d(rows, kernel[..., None], groups=n)
    columns = F.conv2d(F.pad(rows, (3, 3, 0, 0), mode="replicate"), kernel[:, :, None], groups=n)
    return columns.transpose(0, 1).reshape(n, z, y, x)


def stable_after(dice: list[float]) -> int | None:
    """Return after how many epochs the segmentation was stable; None if it is not yet.

    Parameters
    ----------
    dice : list of float
        Mean Dice overlap of patients kept out, epoch by epoch.

    Returns
    -------
    int or None
        The first number of epochs of which the last `PATIENCE` brought no more than `MARGIN` above the best
        before them.
    """
    for n in range(PATIENCE + 1, len(dice) + 1):
        if max(dice[n - PATIENCE : n]) <= max(dice[: n - PATIENCE]) + MARGIN:
            return n
    return None


def train_epoch(
    fabric: Fabric, network: UNet3d, optimiser, images, labels, settings: TrainingSettings, done: list[dict]
) -> float:
    """Run the epoch after those done, all patients in random order, and return the mean loss of its steps."""
    epoch = len(done)
    rng = _generator(settings.seed, 1 + epoch)
    batches = _batches(torch.randperm(len(images), generator=rng), settings.batch_size)
    network.train()
    losses = []
    for number, batch in enumerate(batches):
        optimiser.param_groups[0]["lr"] = _rate(settings, done, number / len(batches))
        optimiser.zero_grad(set_to_none=True)
        losses.append(0.0)
        for place, part in enumerate(batch.split(settings.micro_batch)):
            if place % fabric.world_size != fabric.global_rank:
                _random_amounts(len(part), rng)  # another device's part, and its random numbers
                continue
            pixels, masks = augment(*fabric.to_device((images[part], labels[part])), settings, rng=rng)
            with fabric.autocast():
                logits = network(pixels.contiguous(memory_format=torch.channels_last_3d))
            loss = segmentation_loss(settings.loss, logits, masks) * len(part) / len(batch)
            fabric.backward(loss)
            losses[-1] += loss.item()
        losses[-1] = _add_up(fabric, network, losses[-1])
        _check_finite(losses[-1], network, epoch, number)
        optimiser.step()
    return float(np.mean(losses))


def _generator(*numbers: int) -> torch.Generator:
    """Return a source of random numbers that belongs to these numbers alone."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


def _rate(settings: TrainingSettings, done: list[dict], part: float) -> float:
    """Return the learning rate of a step, a part of its epoch after the epochs done."""
    place, last = len(done) + part, _last_epoch(settings, done)
    if settings.schedule == "constant":
        return settings.learning_rate
    warm = settings.epochs / 10 if settings.schedule == "one cycle" else 0.5
    falls = warm if settings.schedule == "one cycle" else last - COOL_DOWN
    if place < warm:
        return settings.learning_rate * (place + 0.01) / (warm + 0.01)
    if place < falls:
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (place - falls) / (last - falls)))


def _last_epoch(settings: TrainingSettings, done: list[dict]) -> int:
    """Return after how many epochs the training ends, as far as is known."""
    stable = None
    if settings.schedule == "until stable":
        stable = stable_after([epoch["monitor_dice"] for epoch in done])
    return settings.epochs if stable is None else min(settings.epochs, stable + COOL_DOWN)


def _batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Cut an order of patients into batches; a last one of less than half the size joins the one before."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) < size / 2:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _add_up(fabric, network, loss: float) -> float:
    """Add up the loss and, in place, the gradients over all devices.

    Once a batch, and as a sum: data-parallel wrappers take the mean of as many backward passes on every
    device, and the last batch may have fewer micro-batches than there are devices.
    """
    if fabric.world_size == 1:
        return loss
    for parameter in network.parameters():
        own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.grad = fabric.all_reduce(own, reduce_op="sum")
    return fabric.all_reduce(torch.tensor(loss, device=fabric.device), reduce_op="sum").item()


def _check_finite(loss: float, network, epoch: int, step: int) -> None:
    gradient = float(get_total_norm(p.grad for p in network.parameters() if p.grad is not None))
    if not (np.isfinite(loss) and np.isfinite(gradient)):
        raise FloatingPointError(
            f"training stopped in epoch {epoch + 1}, step {step + 1}: the loss is {loss} and the length of "
            f"its gradient {gradient}. Check the images for values that are not finite, or lower "
            "learning_rate."
        )


def train_segmentation(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    network_settings: NetworkSettings,
    settings: TrainingSettings,
    path: str | os.PathLike,
    start: UNet3d | None = None,
) -> TrainedNetwork:
    """Train a segmentation network, or read it back if the same training was done before.

    Parameters
    ----------
    images : numpy.ndarray, shape (N, Z, Y, X), float32
        Normalised images of the training patients, on the network's grid.
    labels : numpy.ndarray, shape (N, Z, Y, X), uint8
        Their contours: 0 background, 1 primary tumour, 2 lymph node.
    network_settings : NetworkSettings
        What to build.
    settings : TrainingSettings
        How to train it.
    path : str or path
        Where the finished network is kept, ``.safetensors`` (see `save_network`). A checkpoint lies beside
        it after every epoch, from which a training that was stopped goes on.
    start : UNet3d, optional
        Network of another sequence whose weights are the first ones; default, random weights. Head and neck
        look alike on all sequences, so that much of what one network has learnt serves the next.

    Returns
    -------
    TrainedNetwork
        As read back from the file.

    Raises
    ------
    ValueError
        If images and labels differ in shape, or do not lie on the network's grid, or `start` was built from
        other settings.
    FloatingPointError
        If the loss or its gradient is no longer finite.
    torch.multiprocessing.ProcessRaisedException
        The same, with the message of the process, if several devices share the work.

    Notes
    -----
    Several devices are served by one process each. They are started afresh and get what they need handed
    over, which also works from a notebook, and again after it has used a GPU; Fabric's own ways of starting
    processes from a notebook work before the first use of a GPU only.
    """
    if images.shape != labels.shape or images.shape[1:] != tuple(network_settings.grid):
        raise ValueError(
            f"images have shape {images.shape} and labels {labels.shape}; both must be (patients, "
            f"{', '.join(map(str, network_settings.grid))}): bring them to the network's grid with fit_grid."
        )
    if start is not None and start.settings != network_settings:
        raise ValueError(
            f"start was built from {start.settings}, and {network_settings} is asked for: give a network of "
            f"the same width and grid, or none."
        )
    first = None if start is None else {name: x.cpu().numpy() for name, x in start.state_dict().items()}
    given, folder = (images, labels, network_settings, settings, first), Path(path).parent
    trained = keep(path, _train, *given, folder, read=load_network, write=save_network)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return trained


def _train(images, labels, network_settings, settings, first, folder) -> TrainedNetwork:
    """Run the epochs that are left, on one device or several, and return the network of the last one."""
    given = (images, labels, network_settings, settings, first)
    key, checkpoint = fingerprint(train_segmentation, given, package_versions()), folder / CHECKPOINT
    pixels, masks = torch.from_numpy(images)[:, None], torch.from_numpy(labels)
    work = (pixels, masks, network_settings, settings, first, checkpoint, key)
    if settings.devices == 1:
        _train_on_device(0, None, *work)
    else:
        together = (find_free_network_port(), *work)
        torch.multiprocessing.spawn(_train_on_device, together, nprocs=settings.devices)
    network = UNet3d(network_settings)
    history = _resume(checkpoint, key, network)
    return TrainedNetwork(network, pd.DataFrame(history))


def _train_on_device(rank, port, images, labels, network_settings, settings, first, checkpoint, key) -> None:
    """Do one device's share of the training; the first device watches and writes the checkpoints."""
    if port is not None:
        # With these set, Fabric knows that the other processes have been started already.
        os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    fabric = _fabric(settings)
    network = fabric.to_device(_new_network(network_settings, settings, labels, first))
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    history = _resume(checkpoint, key, network, optimiser)
    parts = _split(len(images), settings)
    learnt, watched = ((Subset(images, part), Subset(labels, part)) for part in parts)
    epochs = _epochs_left(settings, history)
    if fabric.is_global_zero:
        most = settings.epochs - len(history)
        epochs = progress(epochs, total=most, description="training the segmentation, epochs")
    for _ in epochs:
        loss = train_epoch(fabric, network, optimiser, *learnt, settings, history)
        dice = _mean_dice(network, *watched, fabric.device) if fabric.is_global_zero else None
        history.append(fabric.broadcast({"epoch": len(history) + 1, "loss": loss, "monitor_dice": dice}))
        if fabric.is_global_zero:
            _save_checkpoint(checkpoint, key, network, optimiser, history)
    if port is not None:
        torch.distributed.destroy_process_group()


def _epochs_left(settings: TrainingSettings, history: list[dict]) -> Iterator[int]:
    """Yield the epochs that are left; the history grows meanwhile."""
    while len(history) < _last_epoch(settings, history):
        yield len(history)


def _fabric(settings: TrainingSettings) -> Fabric:
    fabric = Fabric(
        accelerator=settings.device,
        devices=settings.devices,
        strategy="auto" if settings.devices == 1 else "ddp",
        # On a CPU, bfloat16 weight gradients of small 3-D convolutions are not reliable (they turn to NaN).
        precision="32-true" if settings.device == "cpu" else "bf16-mixed",
        # Devices of this computer, also where a cluster's scheduler has started it.
        plugins=[LightningEnvironment()],
    )
    fabric.launch()
    return fabric


def _new_network(network_settings: NetworkSettings, settings: TrainingSettings, labels, first) -> UNet3d:
    """Return a network with the weights `first`, or an untrained one that expects each label as it occurs.

    Were all labels equally likely at first, a Dice loss could settle on calling every voxel a node.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = UNet3d(network_settings)
    if first is not None:
        network.load_state_dict({name: torch.from_numpy(array) for name, array in first.items()})
    else:
        counts = labels.flatten().bincount(minlength=network_settings.classes).numpy() + 1.0
        with torch.no_grad():
            network.out.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
    return network.to(memory_format=torch.channels_last_3d)


def _split(n: int, settings: TrainingSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which patients are learnt from and which are kept out to watch."""
    order = torch.randperm(n, generator=_generator(settings.seed, 0))
    kept_out = int(n * settings.monitor_fraction)
    return order[kept_out:].sort().values, order[:kept_out].sort().values


def _mean_dice(network, images, labels, device) -> float:
    """Return the mean Dice overlap of tumour and nodes together; NaN without patients."""
    if len(images) == 0:
        return float("nan")
    dice = []
    for part in torch.arange(len(images)).split(network.settings.at_once):
        predicted = torch.from_numpy(predict_labels(network, images[part], device=device)) > 0
        pair = predicted, labels[part] > 0
        overlap, *sizes = (x.flatten(1).sum(1) for x in (pair[0] & pair[1], *pair))
        dice.append(2 * overlap / sum(sizes).clamp(min=1))
    return float(torch.cat(dice).mean())


def _resume(path: Path, key: str, network, optimiser=None) -> list[dict]:
    """Bring network and optimiser to where a checkpoint of this training left them; return its history."""
    # weights_only: a checkpoint is data, and nothing in it is executed.
    stored = read_sealed(path)
    checkpoint = stored and torch.load(io.BytesIO(stored), weights_only=True, map_location="cpu")
    if not checkpoint or checkpoint["key"] != key:
        return []
    network.load_state_dict(checkpoint["network"])
    if optimiser is not None:
        optimiser.load_state_dict(checkpoint["optimiser"])
    return checkpoint["history"]


def _save_checkpoint(path: Path, key: str, network, optimiser, history: list[dict]) -> None:
    states = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
    content = io.BytesIO()
    torch.save({"key": key, "history": history, **states}, content)
    write_sealed(path, content.getvalue())
