"""What one card makes of the paper's network: rate, memory, agreement with the CPU, and going on when killed.

Usage: ``python benchmarks/gpu.py [--width deposit] [--grid 32 192 192] [--patients 64] [--out FILE]``

About eight minutes on one card, without a network and without a cohort: pictures are noise with a bright
ellipsoid, which costs as much as a head does. On a computer without a GPU the same script runs on the CPU
(give it a small grid), so that it can be tried where it is written. Measured:

- the rate of a large matrix product in bfloat16, which is what the card can do;
- one training step and one prediction, on the card and on the CPU from the same weights, and how far apart
  they end;
- segmentation by `train_segmentation`, killed after its first epoch and gone on with: volumes per second,
  peak memory, share of the matrix product's rate;
- the same for `train_on_metastasis`, every level learning.
"""

import argparse
import json
import multiprocessing
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from npcbook.imaging import (
    NetworkSettings,
    PrognosisSettings,
    TrainingSettings,
    UNet3d,
    load_network,
    train_on_metastasis,
    train_segmentation,
)

EPOCHS = 3  # of each training; the first warms up


def draw_patients(n: int, grid: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return n pictures of noise with a bright ellipsoid, and its labels."""
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in grid), indexing="ij")
    images = rng.standard_normal((n, *grid), dtype=np.float32)
    labels = np.zeros(images.shape, np.uint8)
    for image, label, centre in zip(images, labels, rng.uniform(-0.3, 0.3, (n, 3)), strict=True):
        away = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)))
        label[away < 0.35], label[away < 0.15] = 1, 2
        image += label
    return images, labels


def operations(settings: NetworkSettings) -> int:
    """Return the floating-point operations of training on one volume, forward and backward."""
    with (counter := FlopCounterMode(display=False)):
        UNet3d(settings)(torch.randn(1, 1, *settings.grid)).mean().backward()
    return counter.get_total_flops()


def matrix_rate(device: str, *, size: int, repeats: int = 20) -> float:
    """Return the operations per second (CPU time, on a CPU) of a large product in training's precision."""
    a = torch.randn(size, size, device=device, dtype=torch.float32 if device == "cpu" else torch.bfloat16)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    clock = time.perf_counter if device == "cuda" else time.process_time
    for number in range(repeats + 3):
        if number == 3:  # the first ones warm up
            wait()
            start = clock()
        a @ a
    wait()
    return 2 * size**3 * repeats / (clock() - start)


def agreement(images, labels, network: NetworkSettings, options: TrainingSettings, folder: Path) -> dict:
    """Return how far one epoch of a single step, and a prediction, differ between the card and the CPU."""
    few = images[: options.micro_batch], labels[: options.micro_batch]
    ends, logits = {}, {}
    for device in ("cpu", options.device):
        one = replace(options, device=device, epochs=1, monitor_fraction=0.0)
        path = folder / device / "network.safetensors"
        trained = train_segmentation(*few, network_settings=network, settings=one, path=path)
        ends[device] = torch.cat([p.detach().flatten() for p in trained.network.parameters()])
        with torch.no_grad():
            given = torch.from_numpy(few[0][:2, None]).to(device)
            logits[device] = load_network(path).network.to(device)(given).float().cpu()
    cpu, card = (logits[device].argmax(1) for device in ("cpu", options.device))
    return {
        "weights after a step, largest difference": (ends["cpu"] - ends[options.device]).abs().max().item(),
        "learning rate, the largest a weight moves": options.learning_rate,
        "labels predicted alike": (cpu == card).float().mean().item(),
    }


def killed_training(path: Path, *given, **options) -> None:
    """Train until the first checkpoint lies there, and no further; run in a process of its own."""
    train_segmentation(*given, path=path, **options)


def segmentation(images, labels, network: NetworkSettings, options: TrainingSettings, folder: Path) -> dict:
    """Return rate and memory of the segmentation, which is killed once and goes on."""
    path, given = folder / "network.safetensors", {"network_settings": network, "settings": options}
    child = multiprocessing.get_context("spawn").Process(
        target=killed_training, args=(path, images, labels), kwargs=given
    )
    child.start()
    while child.is_alive() and not any(folder.glob("*.pt")):
        time.sleep(0.2)
    child.kill()
    child.join()
    checkpoints = len([*folder.glob("*.pt")])
    start = time.perf_counter()
    trained = train_segmentation(images, labels, path=path, **given)
    seconds = time.perf_counter() - start
    left = options.epochs - 1
    rate = left * len(images) / seconds if checkpoints else float("nan")
    return {
        "checkpoints after it was killed": checkpoints,
        "epochs in all": len(trained.history),
        "volumes per second": rate,
        "operations per second": rate * operations(network),
    }


def prognosis(images, path: Path, options: TrainingSettings, folder: Path) -> dict:
    """Return rate and memory of the training on: three folds and all patients, side by side."""
    event = (np.arange(len(images)) % 8 == 0).astype(int)
    fold = np.arange(len(images)) // 8 % 3
    settings = PrognosisSettings(
        frozen_levels=0, epochs=EPOCHS, batch_size=64, micro_batch=options.micro_batch, device=options.device
    )
    start = time.perf_counter()
    train_on_metastasis(folder / "on.safetensors", path, images, event, fold, settings=settings)
    seconds = time.perf_counter() - start
    return {
        "volumes learnt from per second": 3 * EPOCHS * len(images) / seconds
    }  # three thirds of two, and one


def with_memory(function, *given) -> dict:
    """Add the card's peak memory to what a measurement returns."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    found = function(*given)
    if torch.cuda.is_available():
        found["peak memory, GiB"] = torch.cuda.max_memory_allocated() / 2**30
    return found


def main() -> None:
    """Measure, print as it goes, and write all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", default="deposit")
    parser.add_argument("--grid", type=int, nargs=3, default=(32, 192, 192))
    parser.add_argument("--patients", type=int, default=64)
    parser.add_argument("--micro-batch", type=int, default=8)
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices that are multiplied")
    parser.add_argument("--out", type=Path, help="a JSON file for what was measured")
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = NetworkSettings(width=asked.width, grid=tuple(asked.grid))
    options = TrainingSettings(epochs=EPOCHS, micro_batch=asked.micro_batch, device=device)
    card = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "CPU"
    found = {"device": card, "torch": torch.__version__, "network": [asked.width, *asked.grid]}
    found["matrix product, operations per second"] = matrix_rate(device, size=asked.matrix)
    images, labels = draw_patients(asked.patients, network.grid)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = folder / "network.safetensors"
        found["agreement"] = with_memory(agreement, images, labels, network, options, folder)
        print(json.dumps(found, indent=1), flush=True)
        found["segmentation"] = with_memory(segmentation, images, labels, network, options, folder)
        rate = found["segmentation"]["operations per second"] / found["matrix product, operations per second"]
        found["segmentation"]["share of the matrix product's rate"] = rate
        print(json.dumps(found["segmentation"], indent=1), flush=True)
        found["metastasis"] = with_memory(prognosis, images, file, options, folder)
    print(json.dumps(found["metastasis"], indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
