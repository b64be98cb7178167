"""What a trained network makes of patients: masks, pooled features, features of regions."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from npcbook.imaging.grids import stack_on_grid, store_prediction
from npcbook.imaging.network import UNet3d, dilate, pool_global, pool_region
from npcbook.imaging.trained import load_network
from npcbook.store import keep, spread


@dataclass(frozen=True)
class Features:
    """What a network makes of patients.

    Attributes
    ----------
    labels : numpy.ndarray, shape (N, Z, Y, X), uint8
        Predicted mask on the network's grid.
    probability : numpy.ndarray, shape (N, 2, Z, Y, X), uint8
        Of tumour and node, in 255ths.
    bottleneck : numpy.ndarray, shape (N, C)
        Globally averaged features of the bottleneck.
    region : pandas.DataFrame, N rows
        Features of full resolution averaged over the predicted tumour, shells around it and the nodes, their
        deviation within the tumour, the picture's in its core and in the shells, and the logarithms of both
        volumes.
    """

    labels: np.ndarray
    probability: np.ndarray
    bottleneck: np.ndarray
    region: pd.DataFrame


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
#: Shells around the tumour whose features are averaged: how far each reaches, in voxels (z, y, x).
SHELLS = ((0, 1, 1), (1, 3, 3), (2, 5, 5))
#: Options of `spread` for what needs PyTorch: processes of one thread each, which load it once for all that
#: is asked of them; or this process alone, where there is a GPU.
TORCH_WORKERS = {"initializer": torch.set_num_threads, "initargs": [1]} if DEVICE == "cpu" else {"n_jobs": 1}


@torch.no_grad()
def extract_features(network: UNet3d, images: np.ndarray, *, device: str = "cpu") -> Features:
    """Segment patients and store what the heads learn from.

    Parameters
    ----------
    network : UNet3d
        Trained; its weights stay as they are.
    images : numpy.ndarray, shape (N, Z, Y, X), float32
        Normalised images on the network's grid.
    device : str
        Where to compute.

    Returns
    -------
    Features
        One row a patient, in the order given.
    """
    network = copy.deepcopy(network).to(device).eval()  # the caller's stays where it is
    masks, probabilities, bottlenecks, regions = [], [], [], []
    for part in torch.from_numpy(images)[:, None].split(network.settings.at_once):
        part = part.to(device).contiguous(memory_format=torch.channels_last_3d)
        levels = network.encode(part)
        last = network.decode(levels)[-1]
        probability = network.out(last).softmax(dim=1)
        # As argmax(), which takes nine times as long: the first of the largest, (n, 1, Z, Y, X).
        predicted = probability.max(dim=1, keepdim=True).indices
        masks.append(predicted[:, 0].to(torch.uint8).cpu())
        probabilities.append((255 * probability[:, 1:]).round().to(torch.uint8).cpu())
        bottlenecks.append(pool_global(levels[-1]).cpu())
        names, region = _pool_regions({"picture": part, "first": levels[0], "last": last}, predicted)
        regions.append(region.cpu())
    table = pd.DataFrame(torch.cat(regions).numpy(), columns=names)
    arrays = (torch.cat(parts).numpy() for parts in (masks, probabilities, bottlenecks))
    return Features(*arrays, table)


def region_features(
    network: UNet3d, images: torch.Tensor, labels: torch.Tensor
) -> tuple[list[str], torch.Tensor]:
    """Return what the recommended head sees of patients, as a function that can be differentiated.

    Parameters
    ----------
    network : UNet3d
        Trained, on the device of the images.
    images : torch.Tensor, shape (N, 1, Z, Y, X)
        Normalised images on the network's grid.
    labels : torch.Tensor, shape (N, Z, Y, X), integer
        Mask over which features are averaged; it is held fixed, and no gradient passes through it.

    Returns
    -------
    tuple of list of str and torch.Tensor, shape (N, features)
        Names and values, as in `Features.region`.
    """
    levels = network.encode(images)
    full_size = {"picture": images, "first": levels[0], "last": network.decode(levels)[-1]}
    return _pool_regions(full_size, labels[:, None])


def _pool_regions(levels: dict[str, torch.Tensor], labels: torch.Tensor) -> tuple[list[str], torch.Tensor]:
    """Average features over the tumour, shells around it, and the nodes; and how the picture varies there.

    Each channel is taken relative to its own mean and standard deviation over the patient's whole grid, so
    that what a scanner adds or multiplies cancels. The levels are those of full resolution, where a shell is
    more than a voxel, and the picture itself.
    """
    tumour, nodes = (labels == 1).float(), (labels == 2).float()
    regions, inner = {"tumour": tumour, "nodes": nodes}, tumour
    for number, radius in enumerate(SHELLS, start=1):
        outer = dilate(tumour, radius)
        regions[f"shell{number}"] = outer - inner
        inner = outer
    volumes = {name: torch.log1p(regions[name].sum(dim=(1, 2, 3, 4))) for name in ("tumour", "nodes")}
    columns = {f"log_volume_{name}": volume[:, None] for name, volume in volumes.items()}
    for level, features in levels.items():
        mean, spread = pool_global(features), features.flatten(2).std(dim=2) + 1e-3
        for name, region in regions.items():
            columns[f"{level}_{name}"] = (pool_region(features, region) - mean) / spread
        columns[f"{level}_deviation"] = _deviation(features, tumour) / spread
    # Away from the tumour's edge, where voxels hold some of both sides.
    core = 1 - dilate(1 - tumour, (0, 1, 1))
    regions["core"] = torch.where(core.sum(dim=(2, 3, 4), keepdim=True) > 0, core, tumour)
    picture = levels["picture"]
    for name in ("core", "shell1", "shell2", "shell3"):
        varies = _deviation(picture, regions[name]) / (picture.flatten(2).std(dim=2) + 1e-3)
        columns[f"picture_deviation_{name}"] = varies
    names = [f"{name}_{channel}" for name, values in columns.items() for channel in range(values.shape[1])]
    return names, torch.cat(list(columns.values()), dim=1)


def _deviation(features: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation of every channel within a region, shape (N, C)."""
    within = pool_region(features.square(), region) - pool_region(features, region).square()
    # The root has no slope at zero, where a channel is silent.
    return torch.where(within > 0, within, 1).sqrt() * (within > 0)


def features_table(features: Features) -> pd.DataFrame:
    """Return the features of one sequence as one table: the pooled bottleneck, then those of regions."""
    names = [f"bottleneck_{channel}" for channel in range(features.bottleneck.shape[1])]
    pooled = pd.DataFrame(features.bottleneck, columns=names)
    return pd.concat([pooled, features.region], axis=1)


def segment_patients(
    files: Sequence[tuple[Path, Path]], network_file: Path, folder: Path, *, plane_mm: float | None
) -> pd.DataFrame:
    """Draw the masks of patients side by side, and return what the heads learn from.

    Parameters
    ----------
    files : sequence of (preprocessed image, mask to write)
        One pair a patient.
    network_file : path
        See `load_network`.
    folder : path
        Where what the network makes of them is kept, a few patients a file, so that nothing is done twice.
    plane_mm : float or None
        See `plane_field`.

    Returns
    -------
    pandas.DataFrame
        See `features_table`; one row a patient, in the order given.

    Notes
    -----
    By processes of one thread each, so that their number changes nothing; where there is a GPU, on that.
    """
    size = load_network(network_file).network.settings.at_once
    parts = [files[start : start + size] for start in range(0, len(files), size)]
    jobs = [(folder / f"{number}.npz", part, network_file, plane_mm) for number, part in enumerate(parts)]
    # Not those that have done smaller work: they are stopped for the memory that a network takes.
    done = spread(_segment_some, jobs, description=f"segmenting patients, {size} at once", **TORCH_WORKERS)
    return pd.concat(done, ignore_index=True)


@threadpool_limits.wrap(limits=1)
def _segment_some(path: Path, files, network_file: Path, plane_mm: float | None) -> pd.DataFrame:
    stored = keep(path, _features_as_arrays, network_file, [source for source, _ in files], plane_mm, DEVICE)
    for (source, target), probability in zip(files, stored["probability"], strict=True):
        store_prediction(probability, preprocessed=source, target=target, plane_mm=plane_mm)
    return pd.DataFrame(stored["table"], columns=stored["names"].tolist())


def _features_as_arrays(network_file: Path, files: list[Path], plane_mm, device: str) -> dict:
    network = load_network(network_file).network
    images, _ = stack_on_grid([(path, None) for path in files], network.settings.grid, plane_mm=plane_mm)
    found = extract_features(network, images, device=device)
    table = features_table(found)
    names = table.columns.to_numpy(str)
    return {"probability": found.probability, "table": table.to_numpy(), "names": names}
