"""Time the training of the segmentation network against a plain loop around the same network.

Usage: ``python benchmarks/training_throughput.py [--width small] [--grid 16 48 48] [--rounds 3]``

Three ways to train on the same synthetic images with the same network, loss and augmentation:

- *plain*: every step reads image and contours from compressed NIfTI, normalises them and resamples them to
  the grid with the library's own functions; tensors lie channels first; single precision.
- *prepared*: the images are read, normalised and resampled once, and stay in memory.
- *npcbook*: the library's own epoch; prepared images, and channels last in memory.

The ways take turns, so that a computer that slows down slows all of them, and the median round counts. The
convolutions' arithmetic is compared with that of a large matrix product, timed in the same minute: what is
left to gain. ``gpu.py`` times a card.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch
from gpu import matrix_rate, operations
from lightning_fabric import Fabric

from npcbook.imaging.grids import fit_grid, plane_field
from npcbook.imaging.network import NetworkSettings, UNet3d
from npcbook.imaging.preprocessing import normalise
from npcbook.imaging.training import TrainingSettings, augment, segmentation_loss, train_epoch
from npcbook.imaging.volumes import read_volume
from npcbook.synthetic.phantom import Traits, render_patient

PLANE_MM = 144.0


def write_patients(folder: Path, n: int) -> list[tuple[Path, Path]]:
    """Write one sequence of n synthetic patients and its contours as NIfTI; return the paths."""
    rng, files = np.random.default_rng(1), []
    for number in range(n):
        traits = Traits(str(number % 3 + 1), "T2", "N1", number % 3, *rng.standard_normal(3))
        volume = render_patient(traits, (16, 64, 64), rng)["cet1w"]
        files.append((folder / f"{number}.nii.gz", folder / f"{number}_dseg.nii.gz"))
        for path, array in zip(files[-1], (volume.image.astype(np.int16), volume.mask), strict=True):
            picture = sitk.GetImageFromArray(array)
            picture.SetSpacing(volume.spacing[::-1])
            sitk.WriteImage(picture, path, useCompression=True)
    return files


def read_patients(files: list[tuple[Path, Path]], grid) -> tuple[torch.Tensor, torch.Tensor]:
    """Read, normalise and resample patients: images (N, 1, Z, Y, X) and labels (N, Z, Y, X)."""
    volumes = [normalise(read_volume(*pair)) for pair in files]
    fitted = [fit_grid(v, grid, field_mm=plane_field(v, PLANE_MM)) for v in volumes]
    pixels, labels = (np.stack([getattr(v, name) for v in fitted]) for name in ("image", "mask"))
    return torch.from_numpy(pixels)[:, None], torch.from_numpy(labels)


def plain_epoch(network, optimiser, read, n: int, settings: TrainingSettings) -> None:
    """Train on n patients, asking `read` for each batch."""
    rng = torch.Generator().manual_seed(0)
    for batch in torch.randperm(n, generator=rng).split(settings.batch_size):
        pixels, labels = augment(*read(batch.tolist()), settings, rng=rng)
        optimiser.zero_grad(set_to_none=True)
        segmentation_loss(settings.loss, network(pixels.contiguous()), labels).backward()
        optimiser.step()


def new_network(settings: NetworkSettings):
    """Return the same untrained network, every time, and its optimiser."""
    torch.manual_seed(0)
    network = UNet3d(settings)
    return network, torch.optim.Adam(network.parameters(), lr=1e-3)


def measure(settings: NetworkSettings, options: TrainingSettings, n: int, rounds: int) -> pd.DataFrame:
    """Return volumes per second and CPU time a volume of each way, one row a way and round."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_patients(Path(folder), n)
        prepared = read_patients(files, settings.grid)
        plain, kept, ours = (new_network(settings) for _ in range(3))
        ours[0].to(memory_format=torch.channels_last_3d)
        fabric = Fabric(accelerator="cpu", devices=1)
        ways = {
            "plain": lambda: plain_epoch(
                *plain, lambda b: read_patients([files[i] for i in b], settings.grid), n, options
            ),
            "prepared": lambda: plain_epoch(*kept, lambda b: [x[b] for x in prepared], n, options),
            "npcbook": lambda: train_epoch(fabric, *ours, *prepared, options, []),
        }
        rows = []
        for _ in range(rounds + 1):
            for name, run in ways.items():
                start = time.perf_counter(), time.process_time()
                run()
                seconds, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
                rows.append({"way": name, "rate": n / seconds, "cpu_ms": 1e3 * cpu / n})
    return pd.DataFrame(rows[len(ways) :])  # the first round warms up


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", default="small")
    parser.add_argument("--grid", type=int, nargs=3, default=(16, 48, 48))
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--patients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    options = TrainingSettings(batch_size=given.batch_size, loss="dice and cross-entropy")
    network = NetworkSettings(width=given.width, grid=tuple(given.grid))
    torch.set_num_threads(given.threads)
    measured = measure(network, options, given.patients, given.rounds).groupby("way", sort=False).median()
    size = "×".join(map(str, given.grid))
    print(f"{given.width}, {size}, batch {given.batch_size}, threads: {given.threads}, CPU")
    for way in measured.itertuples():
        by_wall = way.rate / measured.loc["plain", "rate"]
        by_cpu = measured.loc["plain", "cpu_ms"] / way.cpu_ms
        print(f"  {way.Index:9} {way.rate:6.1f} volumes/s ({by_wall:.2f} times plain)", end="; ")
        print(f"CPU time {way.cpu_ms:.0f} ms a volume ({by_cpu:.2f} times less)")
    per_second = 1e3 * operations(network) / measured.loc["npcbook", "cpu_ms"]
    share = per_second / matrix_rate("cpu", size=2048)
    print(f"  npcbook computes at {share:.0%} of the rate of a matrix product in single precision")


if __name__ == "__main__":
    main()
