"""No step through images holds all patients in memory."""

import os
import sys
import time

import numpy as np
import psutil
import pytest

from npcbook.imaging.volumes import Volume, store_volume, write_mask

# What is in a file that the system can write back to is not held.
SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from npcbook.imaging import NetworkSettings, PrognosisSettings, TrainingSettings, stack_on_grid
from npcbook.imaging import segment_patients, train_on_metastasis, train_segmentation

folder, n = Path(sys.argv[1]), int(sys.argv[2])
grid, network = (8, 64, 64), folder / f"{n}.safetensors"
settings = TrainingSettings(epochs=1, batch_size=4, micro_batch=4, monitor_fraction=0.5)
given = stack_on_grid([(folder / "image.npz", folder / "mask.nii.gz")] * n, grid, plane_mm=None)
train_segmentation(*given, path=network, network_settings=NetworkSettings("tiny", grid), settings=settings)
files = [(folder / "image.npz", folder / f"{n}_{i}.nii.gz") for i in range(n)]
segment_patients(files, network, folder / f"features{n}", plane_mm=None)
event, fold = np.arange(n) % 4 == 0, np.arange(n) % 3
settings = PrognosisSettings(frozen_levels=1, epochs=1, batch_size=4, micro_batch=4)
train_on_metastasis(folder / f"on{n}.safetensors", network, given[0], event, fold, settings=settings)
"""


def most_held(folder, n: int) -> float:
    """Return the MB that the script holds at most with n patients."""
    environment = os.environ | {
        "LOKY_MAX_CPU_COUNT": "1",
        "OMP_NUM_THREADS": "1",
        "NPCBOOK_ROOT": str(folder),
        # What is let go of goes back to the system at once: else it comes and goes by some 10 MB.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "MALLOC_MMAP_THRESHOLD_": "65536",
    }
    process, most = psutil.Popen([sys.executable, "-c", SCRIPT, folder, str(n)], env=environment), 0
    while process.poll() is None:
        try:
            found = process.memory_info()
        except psutil.Error:
            break
        most = max(most, found.rss - found.shared)
        time.sleep(0.002)
    assert process.wait() == 0
    return most / 2**20


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_patients(tmp_path):
    image = np.random.default_rng(0).normal(size=(8, 64, 64)).astype(np.float32)
    mask = np.zeros(image.shape, np.uint8)
    mask[2:6, 20:40, 20:40], mask[3, 50:55, 50:55] = 1, 2
    store_volume(tmp_path / "image.npz", Volume(image, None, (5.0, 2.0, 2.0)))
    write_mask(tmp_path / "mask.nii.gz", Volume(image, mask, (5.0, 2.0, 2.0)))
    few, many = (most_held(tmp_path, n) for n in (24, 144))
    # The pictures and contours of 120 patients more are 20 MB, and training has had three copies of them.
    assert many - few < 4, f"{few:.0f} MB with 24 patients, {many:.0f} MB with 144"
