"""The parts that a cohort has: what can be analysed, what cannot, and what one of its size can show."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from npcbook.cohort.columns import COLUMNS, code_covariates
from npcbook.cohort.reading import image_path, mask_path, read_cohort
from npcbook.cohort.scores import SCORES_FILE
from npcbook.words import COHORTS, DISPLAY_NAMES, ENDPOINTS, SEQUENCES

#: What a chapter may need of a cohort, by the word it declares, as its page says it.
NEEDS = {
    "dmfs": "distant metastases in training patients (dmfs_months, dm_event)",
    "metastases": "at least {fewest_events} distant metastases in training patients",
    "covariates": "a covariate (age, sex, ...) that differs between training patients, or a score (--score)",
    "models": "a covariate (age, sex, ...) or images with contours, to fit a model with",
    "subgroups": "a covariate (age, sex, ...) to divide patients by",
    "images": "MR images",
    "contours": "contours of tumour and nodes on the images of at least {fewest} training patients",
    "tested": "contours on the CET1W images of training and of validation patients, with metastases in both",
    "dose": "doses of cisplatin or nedaplatin in N1 patients (chemotherapy, ccnd_mg_m2)",
    "planted": "a planted truth, which only a simulated cohort has",
}
FEWEST_EVENTS = 5
FEWEST_CONTOURED = 10  # training patients from whom a network can learn, one tenth being kept out
TYPICAL_C = 0.75  # C-index at which the width of its limits is foretold


@dataclass(frozen=True)
class Parts:
    """What a cohort holds, by its table and by which files are there; no file is opened.

    Attributes
    ----------
    has : frozenset of str
        Keys of `NEEDS` that it meets.
    patients : dict of str to int
        Analysed patients of each cohort; a cohort without patients is not there.
    events : dict of (str, str) to int
        Events by cohort and endpoint; an endpoint that is not given is not there.
    images, contours : dict of str to int
        Patients with an image of each sequence, and with contours of it.
    sequences : tuple of str
        Sequences to learn from: in half of the patients who have any, contours in `FEWEST_CONTOURED`.
    unknown : dict of str to int
        Patients of whom a column is empty, by column; complete ones are not there.
    """

    has: frozenset[str]
    patients: dict[str, int]
    events: dict[tuple[str, str], int]
    images: dict[str, int]
    contours: dict[str, int]
    sequences: tuple[str, ...]
    unknown: dict[str, int]

    def missing(self, needs: Iterable[str]) -> str:
        """Return in words what of some `NEEDS` the cohort lacks; empty if it has all."""
        lacking = [need for need in needs if need not in self.has]
        # Without images nobody asks for contours, nor for many events where there are none.
        implied = {"images": {"contours", "tested"}, "contours": {"tested"}, "dmfs": {"metastases", "tested"}}
        said = [need for need in lacking if not any(need in implied.get(other, ()) for other in lacking)]
        fewest = {"fewest": FEWEST_CONTOURED, "fewest_events": FEWEST_EVENTS}
        return ", and ".join(NEEDS[need].format(**fewest) for need in said)

    def reading(self) -> list[str]:
        """Return what is there, and what a cohort of this size can show, a line each."""
        lines = [self._size(cohort) for cohort in self.patients]
        lines += [f"no {cohort} cohort" for cohort in COHORTS if cohort not in self.patients]
        total = sum(self.patients.values())
        if any(self.images.values()):
            names, drawn = DISPLAY_NAMES, self.contours
            found = (f"{names[s]} {n} ({drawn[s]} with contours)" for s, n in self.images.items())
            lines.append(f"images, of {total} patients: {', '.join(found)}")
        if self.unknown:
            lines.append("unknown: " + ", ".join(f"{name} {n}" for name, n in self.unknown.items()))
        return lines

    def _size(self, cohort: str) -> str:
        n = self.patients[cohort]
        counts = [f"{self.events[cohort, e]} with {e} event" for e in ENDPOINTS if (cohort, e) in self.events]
        events = next((self.events[cohort, e] for e in ENDPOINTS if (cohort, e) in self.events), 0)
        said = f"{cohort}: {n} patients, {', '.join(counts)}"
        if not 0 < events < n:
            return f"{said}: no model can be judged in it"
        return (
            f"{said}: a C-index of {TYPICAL_C} will be known to ± {c_half_width(events, n):.2f}, and of two "
            f"halves a hazard ratio of {found_hr(events):.1f} is found with a power of 80 %"
        )


def c_half_width(events: int, patients: int, c: float = TYPICAL_C) -> float:
    """Return about half the width of a C-index's 95 % limits (Hanley and McNeil 1982), 0.5 at most."""
    q1, q2, others = c / (2 - c), 2 * c**2 / (1 + c), patients - events
    variance = c * (1 - c) + (events - 1) * (q1 - c**2) + (others - 1) * (q2 - c**2)
    return min(0.5, float(norm.isf(0.025) * np.sqrt(variance / (events * others))))


def found_hr(events: int) -> float:
    """Return the hazard ratio of two halves that a log-rank test finds with 80 % power (Schoenfeld 1981)."""
    return float(np.exp(2 * (norm.isf(0.025) + norm.isf(0.2)) / np.sqrt(events)))


def read_parts(folder: str | os.PathLike, *, scored: bool = False) -> Parts:
    """Read which parts a cohort has.

    Parameters
    ----------
    folder : str or path
        Cohort folder, absolute or from the project's root.
    scored : bool
        Whether there are risk scores of one's own beside those that the folder may hold.

    Returns
    -------
    Parts
        Of the patients who are analysed.

    Raises
    ------
    FileNotFoundError, ValueError
        As `npcbook.cohort.read_cohort`.
    """
    cohort = read_cohort(folder)
    patients, files = cohort.analysed, _files(cohort.folder, cohort.analysed["patient_id"])
    given = {name: pair for name, pair in ENDPOINTS.items() if patients[[*pair]].notna().all(axis=None)}
    groups = {name: part for name in COHORTS if len(part := patients[patients["cohort"] == name])}
    some = files["image"].any(axis=1)
    both = (files["image"] & files["contours"]).groupby(patients["cohort"]).sum()
    both = both.reindex(COHORTS, fill_value=0)
    learnt = _learnt(files["image"], both.loc["training"])
    empty = (patients.isna() | (patients == "missing")).sum()
    extra = [column.name for column in COLUMNS if column.extra]
    scored = scored or (cohort.folder / SCORES_FILE).exists()
    more = {"planted": cohort.is_synthetic, "images": some.any(), "covariates": scored}
    return Parts(
        has=frozenset(_met(patients, given, both, learnt)) | {need for need, met in more.items() if met},
        patients={name: len(part) for name, part in groups.items()},
        events={(n, e): int(g[given[e][1]].sum()) for n, g in groups.items() for e in given},
        images={sequence: int(files["image"][sequence].sum()) for sequence in SEQUENCES},
        contours={sequence: int(files["contours"][sequence].sum()) for sequence in SEQUENCES},
        sequences=tuple(learnt),
        unknown={name: int(n) for name, n in empty.drop(extra, errors="ignore").items() if n},
    )


def _learnt(images: pd.DataFrame, contoured: pd.Series) -> list[str]:
    """Return the sequences that most patients with images have, and enough have contours of to learn from."""
    usual = images.sum() > images.any(axis=1).sum() / 2
    return [name for name in SEQUENCES if usual[name] and contoured[name] >= FEWEST_CONTOURED]


def _files(folder: Path, patients: pd.Series) -> dict[str, pd.DataFrame]:
    """Return which image and contours of each patient (rows) and sequence (columns) are there."""
    found = {}
    for what, path in {"image": image_path, "contours": mask_path}.items():
        there = {s: [path(folder, patient, s).exists() for patient in patients] for s in SEQUENCES}
        found[what] = pd.DataFrame(there, dtype=bool)
    return found


def _met(patients: pd.DataFrame, given: dict, both: pd.DataFrame, learnt: list[str]) -> Iterable[str]:
    """Yield the `NEEDS` that patients meet; `both` counts images with contours by cohort and sequence."""
    training = patients["cohort"] == "training"
    happened = patients["dm_event"] * int("DMFS" in given)
    events = happened.groupby(patients["cohort"]).sum().reindex(COHORTS, fill_value=0)
    if events["training"] > 0:
        yield "dmfs"
    if events["training"] >= FEWEST_EVENTS:
        yield from ("metastases", "covariates", "models") if learnt else ("metastases",)
    if events.min() > 0 and both["cet1w"].min() > 1 and "cet1w" in learnt:
        yield "tested"
    if (code_covariates(patients)[training].nunique() > 1).any():
        yield from ("covariates", "models", "subgroups")
    if learnt:
        yield "contours"
    if ((patients["n_stage"] == "N1") & (patients["ccnd_mg_m2"] > 0)).any():
        yield "dose"
