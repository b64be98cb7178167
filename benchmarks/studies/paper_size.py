"""The paper's profile from end to end on 36 patients and one epoch: time, memory, and what all would take.

Usage: ``python benchmarks/studies/paper_size.py [--patients 36] [--seed 4] [--limit-gb 16]``

Runs ``npcbook book --profile`` with a copy of the paper's profile that has fewer patients and one epoch, in
data/runs, on the CPU, and samples the memory of all its processes that cannot be written back to a file. With
seed 4, 8 of the 19 training patients have metastases; most draws of 36 have fewer than the 5 without which
there is nothing to train a score on, and chapters 03 to 04b are left out. It goes on where it was stopped.
At the end each chapter's seconds are scaled to 1,072 patients and 500 epochs: training by patients and
epochs, all else that images take by patients; chapters that draw a set number of patients, probes, resamples
or permutations (03b, 04b, 06, 08, 11), of which there are fewer here, are left as they are. ``make bench``
leaves it out, because it takes half an hour or more.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import yaml

from npcbook.__main__ import run_name, synthetic_name
from npcbook.book.chapter import ABSENT

ROOT = Path(__file__).parents[2]
PATIENTS, EPOCHS = 1072, 500
#: Chapters whose work is done patient by patient; of these, the ones that learn in epochs.
BY_PATIENT = ("02", "03_", "04_", "13")
LEARNS = {"02_segmentation": "networks/*/network.safetensors", "03_dl_training": "kept/*.safetensors"}


def write_profile(path: Path, patients: int) -> None:
    """Write the paper's profile with fewer patients and one epoch."""
    profile = yaml.safe_load((ROOT / "notebooks/profiles/paper.yml").read_text("utf-8"))
    profile |= {"patients": patients, "epochs": 1, "resamples": 4, "n_bootstraps": 20, "permutations": 200}
    profile |= {name: min(patients, profile[name]) for name in ("stability_patients", "probed_patients")}
    profile["outcome_training"] |= {"epochs": 1}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(profile), "utf-8")


def held(process: psutil.Process) -> float:
    """Return the GB that a process and its children hold and that lie in no file."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            found = each.memory_info()
        except psutil.Error:
            continue
        total += found.rss - getattr(found, "shared", 0)
    return total / 1e9


def run(command: list[str], limit: float) -> float:
    """Run the book, stop it above the limit, and return the most memory that it held, in GB."""
    process, peak = psutil.Popen(command, cwd=ROOT), 0.0
    while process.poll() is None:
        peak = max(peak, held(process))
        if peak > limit:
            process.terminate()
            sys.exit(f"stopped: it held {peak:.1f} GB, and {limit:g} are allowed")
        time.sleep(0.5)
    if process.returncode:
        sys.exit(f"the book failed with {process.returncode}; the same command goes on")
    return peak


def epoch_seconds(folder: Path, name: str) -> float:
    """Return how long the trainings of a chapter took, by the times of the files that they left."""
    trained = sorted(folder.glob(LEARNS.get(name, "-")), key=lambda path: path.stat().st_mtime)
    before = [p.stat().st_mtime for p in folder.rglob("*") if p.is_file() and p not in trained]
    ends = [path.stat().st_mtime for path in trained]
    return sum(end - max([t for t in before + ends if t < end], default=end) for end in ends)


def main() -> None:
    """Run, measure and extrapolate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=36)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--limit-gb", type=float, default=16)
    given = parser.parse_args()
    profile = ROOT / "data" / f"paper{given.patients}.yml"
    write_profile(profile, given.patients)
    cohort = synthetic_name("paper", str(profile), given.seed)
    program, asked = [sys.executable, "-m", "npcbook"], ["--profile", str(profile)]
    peak = run([*program, "simulate", *asked, "--seed", str(given.seed)], given.limit_gb)
    peak = max(peak, run([*program, "book", *asked, "--cohort", cohort], given.limit_gb))
    folder = ROOT / "data" / "runs" / run_name(str(profile), cohort)
    if absent := sorted(path.parent.name for path in folder.glob(f"*/{ABSENT}")):
        sys.exit(f"left out, so that nothing is known of the whole: {', '.join(absent)}")
    chapters = json.loads((folder / "manifest.json").read_text("utf-8"))["chapters"]
    more, total = PATIENTS / given.patients, 0.0
    for name, entry in chapters.items():
        learning = epoch_seconds(folder / name, name)
        rest = max(0.0, entry["seconds"] - learning)
        full = learning * more * EPOCHS + rest * (more if name.startswith(BY_PATIENT) else 1)
        total += full
        print(f"{name:24}{entry['seconds']:8.0f} s, learning {learning:6.0f} s -> {full / 3600:9.1f} h")
    print(f"most memory held by what ran now: {peak:.1f} GB")
    print(f"{PATIENTS:,} patients and {EPOCHS} epochs on this computer: {total / 3600:,.0f} hours")
    print(subprocess.run(["du", "-sh", folder], capture_output=True, text=True, check=False).stdout)


if __name__ == "__main__":
    main()
