"""Cohorts as hospitals have them: with parts missing, few events, names of any length and script.

``python tests/cohort/realistic.py FOLDER [NAME ...] [--book]`` writes them, and with --book runs the whole
book on each, which takes a minute or several a cohort: for a nightly run.
"""

import argparse
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from npcbook.cohort import image_path, mask_path
from npcbook.synthetic import simulate_table, specification

CHINESE = [
    "中山大学肿瘤防治中心",
    "复旦大学附属肿瘤医院",
    "广西医科大学附属肿瘤医院",
    "香港玛丽医院",
    "台大醫院",
]
LONG = "Department of Radiation Oncology, St. Bartholomew's and the Royal London University Hospital"
ALL = ("dmfs_months", "dm_event", "os_months", "os_event")


@cache
def _drawn(n, seed):
    # Where patients are few, events are more frequent than in print, so that there are some.
    spec = specification(patients=n, event_rate_multiplier=3.0 if n < 1000 else 1.0)
    return simulate_table(spec, np.random.default_rng(seed))[0]


def patients(n=120, seed=1, events=None):
    """Return a simulated table of `n` patients; with `events`, so many metastases by cohort."""
    table = _drawn(n, seed).copy()
    for cohort, wanted in (events or {}).items():
        had = table.index[(table["cohort"] == cohort) & (table["dm_event"] == 1)]
        table.loc[had[wanted:], "dm_event"] = 0
    return table


def registry(n=3000):
    """Return patients of all stages without rENE, dose, WHO type or a validation cohort."""
    gone = ["cohort", "rene", "ccnd_mg_m2", "who_type", "ldh", "ebv_dna"]
    table = patients(n).drop(columns=gone).astype(object)
    rng = np.random.default_rng(2)
    table["t_stage"] = rng.choice(["T1", "T2", "T3", "T4"], len(table), p=[0.3, 0.2, 0.3, 0.2])
    table["n_stage"] = rng.choice(["N0", "N1", "N2", "N3"], len(table), p=[0.15, 0.3, 0.4, 0.15])
    table["exclusion"] = ""
    table.loc[:39, "exclusion"] = "small-cell carcinoma"
    left = [name for name in table if name not in ("patient_id", "center", "exclusion")]
    table.loc[:39, left] = ""  # of those left out nothing else is known
    return table


def unknown_here_and_there():
    """Return patients of whom every covariate is unknown in some."""
    table, rng = patients().astype(object), np.random.default_rng(3)
    for name in set(table) - {"patient_id", "cohort", *ALL}:
        table.loc[rng.random(len(table)) < 0.15, name] = ""
    return table


def chinese():
    """Return patients of five Chinese hospitals and one with a long name."""
    table = patients()
    names = np.array([*CHINESE, LONG])
    table["center"] = names[np.arange(len(table)) % len(names)]
    return table


def one_of_validation():
    """Return a training cohort and one validation patient."""
    table = patients()
    return table[(table["cohort"] == "training") | (table.groupby("cohort").cumcount() == 0)]


def without(*names, n=120, **options):
    """Return a function that makes patients without some columns."""
    return lambda: patients(n, **options).drop(columns=list(names))


COHORTS = {
    "registry": (registry, {"eligibility": "any"}),
    "stage2-of-registry": (lambda: registry(400), {"eligibility": "stage II"}),
    "no-validation": (lambda: patients().query("cohort == 'training'"), {}),
    "two-events": (lambda: patients(30, events={"training": 2, "validation": 0}), {}),
    "five-and-none": (lambda: patients(events={"training": 5, "validation": 0}), {}),
    "chinese": (chinese, {}),
    "unknown": (unknown_here_and_there, {}),
    "no-laboratory": (without("ldh", "ebv_dna"), {}),
    "no-os": (without("os_months", "os_event", "sex"), {}),
    "os-only": (without("dmfs_months", "dm_event"), {}),
    "t2n0": (lambda: patients(900).query("t_stage == 'T2' and n_stage == 'N0'").assign(rene=0), {}),
    "no-chemotherapy": (lambda: patients().assign(chemotherapy="none", ccnd_mg_m2=0), {}),
    "one-of-validation": (one_of_validation, {}),
    "validation-only": (lambda: patients().query("cohort == 'validation'"), {}),
    "least": (lambda: patients()[["patient_id", "dmfs_months", "dm_event"]], {}),
    "no-ebv-in-training": (
        lambda: patients().assign(ebv_dna=lambda t: t["ebv_dna"].mask(t["cohort"] == "training", "")),
        {},
    ),
}


def write(folder, name, *, synthetic=False):
    """Write one of `COHORTS`, a table without images, and return its folder."""
    make, said = COHORTS[name]
    target = Path(folder) / name
    target.mkdir(parents=True)
    make().to_csv(target / "participants.tsv", sep="\t", index=False)
    description = {"Name": f"Own cohort {name}", "BIDSVersion": "1.10.0", "synthetic": synthetic} | said
    (target / "dataset_description.json").write_text(json.dumps(description))
    pd.DataFrame({"something": ["of one's own"]}).to_csv(target / "truth.csv", index=False)
    return target


def with_images(source, folder, name="images"):
    """Copy a written cohort: contours of training patients only, no T2W, some patients without an image."""
    target = Path(folder) / name
    target.mkdir(parents=True)
    table = pd.read_csv(source / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    table.to_csv(target / "participants.tsv", sep="\t", index=False)
    for row in table.itertuples():
        for sequence in ("t1w", "cet1w"):
            paths = [image_path] if int(row.Index) % 20 else []
            paths += [mask_path] if paths and row.cohort == "training" else []
            for path in paths:
                copy = path(target, row.patient_id, sequence)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path(source, row.patient_id, sequence), copy)
    description = {"Name": "Own images", "BIDSVersion": "1.10.0", "synthetic": False}
    (target / "dataset_description.json").write_text(json.dumps(description))
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help=f"default: all of {', '.join(COHORTS)}")
    parser.add_argument("--book", action="store_true")
    given = parser.parse_args()
    failed = []
    for name in given.names or COHORTS:
        folder = write(given.folder, name)
        command = [sys.executable, "-m", "npcbook", "book", "--profile", "smoke", "--cohort", str(folder)]
        if given.book and subprocess.run(command, check=False).returncode:
            failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
