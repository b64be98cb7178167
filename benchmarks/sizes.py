"""How long each step takes and how much memory it needs, per patient, at three sizes of image.

Usage: ``python benchmarks/sizes.py [--steps N4 features] [--sizes 16x64x64] [--update]``

Every step runs in a process of its own, on one thread, on a synthetic patient of that size: once to warm up
on a small one, then timed (CPU time). Memory is the most that the process held meanwhile, less what it held
before (interpreter, libraries). Steps that go through images are told for one patient with three sequences;
``predict`` draws and measures one sequence after preprocessing, ``check`` reads three with contours.
The table goes to ``sizes.csv`` and, with ``--update``, into README.md. Linux only: memory is read from /proc.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
BEGIN, END = "<!-- sizes: begin -->", "<!-- sizes: end -->"
#: Image as scanned: the network that looks at it, as the laptop and the paper profile have it.
SIZES = {
    "16x64x64": ("small", (16, 48, 48), 144.0),
    "32x192x192": ("deposit", (32, 192, 192), None),
    "30x512x512": ("deposit", (32, 192, 192), None),
}
SEQUENCES = ("t1w", "t2w", "cet1w")
PATIENT = "C1P0001"


class Step:
    """A patient on disk, and each step's work on it."""

    def __init__(self, folder: Path, size: str):
        self.folder, self.grid = folder, tuple(map(int, size.split("x")))
        self.width, self.seen, self.plane = SIZES.get(size, ("tiny", self.grid, None))
        (folder / "derivatives" / "masks").mkdir(parents=True, exist_ok=True)

    def files(self, sequence: str) -> tuple[Path, Path, Path]:
        """Return where image, contours and preprocessed image lie."""
        from npcbook.cohort import image_path, mask_path
        from npcbook.imaging import preprocessed_path

        paths = (image_path, mask_path, preprocessed_path)
        return tuple(path(self.folder, PATIENT, sequence) for path in paths)

    def network(self):
        """Return an untrained network of the size's own."""
        import torch

        from npcbook.imaging import NetworkSettings, UNet3d

        torch.manual_seed(0)
        return UNet3d(NetworkSettings(width=self.width, grid=self.seen)).eval()

    def stack(self, n: int = 1):
        """Return image and contours on the network's grid, n times."""
        from npcbook.imaging import stack_on_grid

        _, mask, image = self.files("t1w")
        return stack_on_grid([(image, mask)] * n, self.seen, plane_mm=self.plane)

    def simulate(self) -> int:
        """Draw and write a patient."""
        from npcbook.synthetic.phantom import Traits
        from npcbook.synthetic.writer import _write_patient

        traits = Traits("1", "T2", "N1", 1, 0.5, 0.0, 0.5)
        _write_patient(self.folder, PATIENT, traits, {"seed": 1, "scenario": "paper", "grid": self.grid})
        return 1

    def check(self) -> int:
        """Look for what is wrong with a patient's images."""
        from npcbook.cohort.checking import _look_at_patient

        _look_at_patient(self.folder, 2, PATIENT)
        return 1

    def preprocess(self) -> int:
        """Correct the bias field by N4 and normalise."""
        from npcbook.imaging import preprocess_files

        pairs = [(image, done) for image, _, done in map(self.files, SEQUENCES)]
        problems = preprocess_files(pairs, workers=1)["problem"]
        assert not any(problems), problems.tolist()
        return 1

    def train(self) -> int:
        """Take a step of the segmentation's training."""
        import torch
        from lightning_fabric import Fabric
        from torch.optim import Adam

        from npcbook.imaging import TrainingSettings, train_epoch

        network, settings = self.network(), TrainingSettings()
        given, n = self.stack(settings.micro_batch), settings.micro_batch
        pixels, labels = torch.from_numpy(given[0])[:, None], torch.from_numpy(given[1])
        fabric = Fabric(accelerator="cpu", devices=1)
        train_epoch(fabric, network, Adam(network.parameters()), pixels, labels, settings, [])
        return n

    def features(self) -> int:
        """Draw masks and pool features."""
        from npcbook.imaging import extract_features

        network = self.network()
        extract_features(network, self.stack(network.settings.at_once)[0])
        return network.settings.at_once

    def attribute(self) -> int:
        """Share the score of one sequence out to voxels."""
        import numpy as np

        from npcbook.imaging import integrated_gradients, random_head, score_function

        network, (pixels, labels) = self.network(), self.stack()
        head = random_head(network, pixels, labels, seed=0)
        given = np.zeros(len(head.scaling.mean))
        score = score_function(network, labels[0], head, features=given, columns=slice(0, len(given)))
        integrated_gradients(score, pixels[0])
        return 1

    def radiomics(self) -> int:
        """Extract the features of three sequences."""
        from npcbook.imaging.radiomics import extract_cohort

        cases = [(PATIENT, name, done, mask) for name, (_, mask, done) in self.all_files()]
        columns = ["patient_id", "sequence", "image_path", "mask_path"]
        place = self.folder / "radiomics"
        extract_cohort(pd.DataFrame(cases, columns=columns), folder=place, workers=1)
        return 1

    def all_files(self):
        """Return the files of each sequence by its name."""
        return [(name, self.files(name)) for name in SEQUENCES]

    def predict(self) -> int:
        """Draw the mask on one sequence, bring it back to the image's voxels, and measure it."""
        from npcbook.imaging import extract_features, measure_overlap, read_volume, store_prediction

        _, mask, image = self.files("t1w")
        found = extract_features(self.network(), self.stack()[0])
        target = self.folder / "predicted.nii.gz"
        store_prediction(found.probability[0], preprocessed=image, target=target, plane_mm=self.plane)
        both = read_volume(target, mask)
        measure_overlap(both.image > 0, both.mask > 0, both.spacing)
        return 1


STEPS = ("simulate", "check", "preprocess", "train", "features", "attribute", "radiomics", "predict")


def memory(field: str) -> float:
    """Return a line of /proc/self/status in MB."""
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text("utf-8"))[1]) / 1024


def measure(name: str, folder: Path, size: str) -> dict:
    """Run a step in this process, and return its time and memory per patient."""
    small = Step(folder / "warm", "8x32x32")
    for each in dict.fromkeys(("simulate", "preprocess", name)):
        getattr(small, each)()  # loads libraries, and what they set up once
    step = Step(folder / size, size)
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # the peak begins anew
    before, start = memory("VmRSS"), time.process_time()
    n = getattr(step, name)()
    seconds, peak = time.process_time() - start, memory("VmHWM") - before
    return {"step": name, "patients at once": n, "seconds": seconds / n, "MB": peak}


def run(steps: list[str], sizes: list[str]) -> pd.DataFrame:
    """Measure every step at every size, in processes of their own."""
    rows, threads = [], {"OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            # Later steps need what the first ones leave.
            for step in dict.fromkeys(("simulate", "preprocess", *steps)):
                command = [sys.executable, __file__, "--child", step, folder, size]
                done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads)
                if done.returncode:
                    raise RuntimeError(f"{step} at {size} failed:\n{done.stderr[-3000:]}")
                rows.append({"image": size} | json.loads(done.stdout.splitlines()[-1]))
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def as_markdown(table: pd.DataFrame) -> str:
    """Return seconds and megabytes by step and size."""
    table = table.assign(
        shown=table["seconds"].map("{:.2g} s, ".format) + table["MB"].map("{:,.0f} MB".format)
    )
    wide = table.pivot(index="step", columns="image", values="shown").loc[table["step"].unique()]
    wide = wide[table["image"].unique()].reset_index()
    lines = [wide.columns, ["---"] * wide.shape[1], *wide.to_numpy()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main() -> None:
    """Measure, write the table, and with ``--update`` put it into README.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--update", action="store_true", help="write sizes.csv and the table in README.md")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        step, folder, size = given.child
        print(json.dumps(measure(step, Path(folder), size)))
        return
    table = run(list(given.steps), given.sizes)
    print(as_markdown(table))
    if given.update:
        table.round(3).to_csv(HERE / "sizes.csv", index=False)
        readme = HERE / "README.md"
        start, rest = readme.read_text("utf-8").split(BEGIN)
        readme.write_text(f"{start}{BEGIN}\n{as_markdown(table)}\n{END}{rest.split(END)[1]}", "utf-8")


if __name__ == "__main__":
    main()
