"""Cohorts as hospitals have them: with parts missing, few events, names of any length and script.

``python tests/cohort/realistic.py FOLDER [NAME ...] [--images COHORT] [--book]`` writes them, those with
images from a written cohort's, and with --book runs the whole book on each, which takes a minute or several a
cohort: for a nightly run.
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


ANY = {"eligibility": "any"}


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


def chinese(names=(*CHINESE, LONG)):
    """Return patients of five Chinese hospitals and one with a long name, or of others."""
    table, names = patients(), np.array(names)
    table["center"] = names[np.arange(len(table)) % len(names)]
    return table


def one_of_validation():
    """Return a training cohort and one validation patient."""
    table = patients()
    return table[(table["cohort"] == "training") | (table.groupby("cohort").cumcount() == 0)]


def few(n=30, training=3, validation=1):
    """Return few patients of one hospital, with as many metastases."""
    return patients(n, events={"training": training, "validation": validation}).assign(center="1")


def unknown_dose():
    """Return patients with chemotherapy whose dose nobody wrote down."""
    table = patients().astype(object)
    return table.assign(ccnd_mg_m2=table["ccnd_mg_m2"].mask(table["chemotherapy"] != "none", ""))


def ids_alone():
    """Return patients of whom a fifth are left out, and nothing but id and reason is known of these."""
    table = patients().astype(object).assign(exclusion="")
    table.loc[::5, [name for name in table if name not in ("patient_id", "exclusion")]] = ""
    table.loc[::5, "exclusion"] = "no consent"
    return table


def without(*names, n=120, **options):
    """Return a function that makes patients without some columns."""
    return lambda: patients(n, **options).drop(columns=list(names))


COHORTS = {
    "registry": (registry, ANY),
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
    "score-alone": (lambda: patients()[["patient_id", "cohort", "dmfs_months", "dm_event"]], {}),
    "score-without-validation": (lambda: patients()[["patient_id", "dmfs_months", "dm_event"]], {}),
    "three-events": (few, {}),
    "three-events-no-validation": (lambda: few().assign(cohort="training"), {}),
    "no-validation-events": (lambda: patients(events={"validation": 0}), {}),
    "one-centre": (lambda: patients().assign(center="Our hospital"), {}),
    "long-chinese": (lambda: chinese([f"{name}放射治疗科头颈部肿瘤中心东院区" for name in CHINESE]), {}),
    "unknown-dose": (unknown_dose, {}),
    "ids-alone": (ids_alone, {}),
    "all-stages": (lambda: registry(400).assign(cohort=np.repeat(["training", "validation"], 200)), ANY),
    "no-ebv-in-training": (
        lambda: patients().assign(ebv_dna=lambda t: t["ebv_dna"].mask(t["cohort"] == "training", "")),
        {},
    ),
}


def write(folder, name, *, synthetic=False):
    """Write one of `COHORTS`, a table without images, and return its folder."""
    make, said = COHORTS[name]
    target, table = Path(folder) / name, make()
    target.mkdir(parents=True)
    table.to_csv(target / "participants.tsv", sep="\t", index=False)
    if name.startswith("score"):
        risk = np.random.default_rng(4).normal(table["dm_event"].astype(float))
        pd.DataFrame({"id": table["patient_id"], "my score": risk}).to_csv(target / "scores.csv", index=False)
    description = {"Name": f"Own cohort {name}", "BIDSVersion": "1.10.0", "synthetic": synthetic} | said
    (target / "dataset_description.json").write_text(json.dumps(description))
    pd.DataFrame({"something": ["of one's own"]}).to_csv(target / "truth.csv", index=False)
    return target


#: Cohorts with images: sequences, every how many-th patient has contours (0 none), columns that are left.
IMAGES = {
    "images": (("t1w", "cet1w"), 1, None),
    "one-sequence": (("cet1w",), 1, None),
    "t2-alone": (("t2w",), 1, None),
    "no-contours": (("t1w", "t2w", "cet1w"), 0, None),
    "some-contours": (("t1w", "t2w", "cet1w"), 3, None),
    "images-alone": (("t1w", "t2w", "cet1w"), 1, ["patient_id", "cohort", "dmfs_months", "dm_event"]),
}


def with_images(source, folder, name="images"):
    """Copy a written cohort: contours of training patients at most, some patients without an image."""
    target, (sequences, every, columns) = Path(folder) / name, IMAGES[name]
    target.mkdir(parents=True)
    table = pd.read_csv(source / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    table[columns or list(table)].to_csv(target / "participants.tsv", sep="\t", index=False)
    for row in table.itertuples():
        for sequence in sequences:
            paths = [image_path] if int(row.Index) % 20 else []
            drawn = paths and every and int(row.Index) % every == 0 and row.cohort == "training"
            paths += [mask_path] if drawn else []
            for path in paths:
                copy = path(target, row.patient_id, sequence)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path(source, row.patient_id, sequence), copy)
    description = {"Name": f"Own {name}", "BIDSVersion": "1.10.0", "synthetic": False}
    (target / "dataset_description.json").write_text(json.dumps(description))
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help=f"default: all of {', '.join([*COHORTS, *IMAGES])}")
    parser.add_argument("--images", type=Path, help="a written cohort, whose images those with images take")
    parser.add_argument("--book", action="store_true")
    given = parser.parse_args()
    failed = []
    for name in given.names or [*COHORTS, *(IMAGES if given.images else ())]:
        folder = (
            with_images(given.images, given.folder, name) if name in IMAGES else write(given.folder, name)
        )
        command = [sys.executable, "-m", "npcbook", "book", "--profile", "smoke", "--cohort", str(folder)]
        if given.book and subprocess.run(command, check=False).returncode:
            failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
