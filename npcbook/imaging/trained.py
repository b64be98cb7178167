"""A trained segmentation network: its file, and what it draws."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from npcbook.imaging.network import NetworkSettings, UNet3d


@dataclass(frozen=True)
class TrainedNetwork:
    """A segmentation network and how it came to be.

    Attributes
    ----------
    network : UNet3d
        In evaluation mode.
    history : pandas.DataFrame
        One row an epoch: ``epoch``, ``loss`` (mean over the steps), ``monitor_dice`` (mean over the patients
        kept out, tumour and nodes together; NaN where none were kept out).
    """

    network: UNet3d
    history: pd.DataFrame


def network_path(folder: str | os.PathLike, sequence: str) -> Path:
    """Return where a folder of networks keeps that of a sequence."""
    return Path(folder) / "networks" / sequence / "network.safetensors"


def save_network(path: str | os.PathLike, trained: TrainedNetwork) -> None:
    """Write a network with its settings and its history: arrays and text, of which nothing is executed."""
    weights = {name: tensor.contiguous().cpu() for name, tensor in trained.network.state_dict().items()}
    # One entry: several would be written in a random order, and equal networks give unequal files.
    about = {"settings": trained.network.settings.to_dict(), "history": trained.history.to_dict("list")}
    save_file(weights, path, metadata={"about": json.dumps(about)})


def load_network(path: str | os.PathLike) -> TrainedNetwork:
    """Read a network that `save_network` wrote, onto the CPU; FileNotFoundError if there is none."""
    with safe_open(path, framework="pt") as stored:
        about = json.loads(stored.metadata()["about"])
        weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    settings = about["settings"]
    network = UNet3d(NetworkSettings(**settings | {"grid": tuple(settings["grid"])}))
    network.load_state_dict(weights)
    network.to(memory_format=torch.channels_last_3d).eval()
    return TrainedNetwork(network, pd.DataFrame(about["history"]))


@torch.no_grad()
def predict_labels(network: UNet3d, images: torch.Tensor, *, device: str = "cpu") -> np.ndarray:
    """Return the most probable label of every voxel, shape (N, Z, Y, X), uint8, of images (N, 1, Z, Y, X)."""
    network.eval()
    parts = images.split(network.settings.at_once)
    parts = (part.to(device).contiguous(memory_format=torch.channels_last_3d) for part in parts)
    return torch.cat([network(part).max(dim=1).indices for part in parts]).to(torch.uint8).cpu().numpy()
