"""A cohort on disk: one table, three MR sequences a patient, and their contours, in BIDS names.

The synthetic cohort and a user's own one have the same layout and pass the same reader, so that nothing
downstream can tell them apart. `check_cohort` lists everything that is wrong at once; `read_cohort` refuses
a table that is wrong and leaves the images to whoever reads them.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from statistics import multimode

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from npcbook.images import Volume, read_geometry, read_volume
from npcbook.runs import project_path

__all__ = [
    "COLUMNS",
    "COVARIATES",
    "DISPLAY_NAMES",
    "SEQUENCES",
    "Cohort",
    "Column",
    "Problem",
    "check_cohort",
    "code_covariates",
    "covariate_names",
    "data_dictionary",
    "image_path",
    "mask_path",
    "patient_flow",
    "read_cohort",
    "read_truth",
]

SEQUENCES = {"t1w": "T1w", "t2w": "T2w", "cet1w": "ce-gadolinium_T1w"}
DISPLAY_NAMES = {"t1w": "T1W", "t2w": "T2W", "cet1w": "CET1W"}
NOT_GIVEN = ("", "n/a", "NA", "nan", "NaN")


@dataclass(frozen=True)
class Column:
    """What a column of the participants table means and may hold.

    Attributes
    ----------
    name : str
        Column name.
    description : str
        Meaning.
    unit : str
        Unit, or empty.
    levels : dict of str to str
        Allowed codes and what they mean; empty for numbers and free text.
    low, high : float
        Allowed range of a number, both ends included; ``low`` is NaN for text.
    required : bool
        Whether the column must be there and filled in every row.
    """

    name: str
    description: str
    unit: str = ""
    levels: tuple[tuple[str, str], ...] = ()
    low: float = np.nan
    high: float = np.inf
    required: bool = True

    @property
    def is_number(self) -> bool:
        """Whether the column holds numbers."""
        return not np.isnan(self.low)


def _levels(**meanings: str) -> tuple[tuple[str, str], ...]:
    return tuple(meanings.items())


TINY = np.finfo(float).tiny  # the smallest number that is not zero: times must be longer than nothing
EVENT = (("0", "no"), ("1", "yes"))
COLUMNS = (
    Column("patient_id", "Patient, as in the folder name sub-<patient_id>; letters and digits only"),
    Column("center", "Hospital"),
    Column(
        "cohort",
        "Part of the analysis",
        levels=_levels(training="models are fitted here", validation="models are only tested here"),
    ),
    Column("age", "Age at diagnosis", "years", low=1, high=110),
    Column("sex", "Sex assigned at birth", levels=_levels(male="male", female="female")),
    Column(
        "who_type",
        "Histopathology by the World Health Organization",
        levels=(
            ("I", "keratinising"),
            ("II", "non-keratinising, differentiated"),
            ("III", "non-keratinising, undifferentiated"),
            ("II-III", "II or III, not told apart"),
        ),
    ),
    Column(
        "t_stage",
        "T category, AJCC/UICC 8th edition",
        levels=_levels(T1="nasopharynx, oropharynx, nasal cavity", T2="parapharyngeal extension"),
    ),
    Column(
        "n_stage",
        "N category, AJCC/UICC 8th edition",
        levels=_levels(N0="no regional node", N1="unilateral cervical or retropharyngeal nodes"),
    ),
    Column(
        "ldh",
        "Serum lactate dehydrogenase before treatment, by the hospital's limit",
        levels=_levels(normal="normal", abnormal="above the limit", missing="not measured"),
    ),
    Column(
        "ebv_dna",
        "Plasma Epstein-Barr virus DNA before treatment, by the hospital's limit",
        levels=_levels(undetectable="below the limit", detectable="above the limit", missing="not measured"),
    ),
    Column(
        "rene",
        "Radiologic extranodal extension",
        levels=(("0", "none"), ("1", "G1: coalescent nodes"), ("2", "G2: adjacent structures infiltrated")),
    ),
    Column(
        "chemotherapy",
        "Chemotherapy beside radiotherapy",
        levels=_levels(
            none="radiotherapy alone",
            cisplatin_nedaplatin="with cisplatin or nedaplatin",
            other="with other drugs only",
        ),
    ),
    Column(
        "ccnd_mg_m2",
        "Cumulative cisplatin/nedaplatin dose received; 0 without these drugs",
        "mg/m^2",
        low=0,
        high=2000,
    ),
    Column("dmfs_months", "Time to distant metastasis, death or end of follow-up", "months", low=TINY),
    Column("dm_event", "Distant metastasis at dmfs_months; a death without it is 0", levels=EVENT),
    Column("os_months", "Time to death or end of follow-up", "months", low=TINY),
    Column("os_event", "Death from any cause at os_months", levels=EVENT),
    Column("scanner", "Scanner model", required=False),
    Column("field_t", "Field strength", "T", low=0.01, high=20, required=False),
    Column("rt_end_months", "End of radiotherapy, from time zero", "months", low=0, required=False),
    Column("ldh_u_l", "Serum lactate dehydrogenase", "U/L", low=0, required=False),
    Column("ebv_copies_ml", "Plasma Epstein-Barr virus DNA", "copies/mL", low=0, required=False),
    Column("exclusion", "Why the patient was read but not analysed; empty when analysed", required=False),
)
INTEGERS = ("rene", "dm_event", "os_event")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a cohort.

    Attributes
    ----------
    row : int or None
        Line of the participants file, the header being line 1; None where no line is to blame.
    column : str
        Column, or empty.
    file : str
        File, from the cohort's folder.
    message : str
        What was found, what is allowed, what to do.
    """

    row: int | None
    column: str
    file: str
    message: str

    def __str__(self) -> str:
        place = self.file + (f", row {self.row}" if self.row else "")
        return f"{place}{f', {self.column}' if self.column else ''}: {self.message}"


@dataclass(frozen=True)
class Cohort:
    """A cohort that has been read and whose table is in order.

    Attributes
    ----------
    folder : pathlib.Path
        Where it lies.
    description : dict
        Contents of ``dataset_description.json``.
    patients : pandas.DataFrame
        One row a patient, typed: text, float (age, dose, months), int (rENE and events).
    """

    folder: Path
    description: dict
    patients: pd.DataFrame

    @property
    def name(self) -> str:
        """Name given in the description."""
        return self.description["Name"]

    @property
    def is_synthetic(self) -> bool:
        """Whether the patients were simulated."""
        return bool(self.description.get("synthetic", False))

    @property
    def has_images(self) -> bool:
        """Whether there is any patient folder; a cohort may be a table only."""
        return any(self.folder.glob("sub-*"))

    def volume_path(self, patient_id: str, sequence: str) -> Path:
        """Return where an image lies; see `image_path`."""
        return image_path(self.folder, patient_id, sequence)

    def mask_path(self, patient_id: str, sequence: str) -> Path:
        """Return where a contour lies; see `mask_path`."""
        return mask_path(self.folder, patient_id, sequence)

    def read_volume(self, patient_id: str, sequence: str) -> Volume:
        """Read one sequence of one patient with its contours.

        Parameters
        ----------
        patient_id : str
            As in the table.
        sequence : {"t1w", "t2w", "cet1w"}
            Sequence.

        Returns
        -------
        npcbook.images.Volume
            Image, mask and spacing.

        Raises
        ------
        FileNotFoundError, ValueError
            If a file is missing or does not fit (see `npcbook.images.read_volume`).
        """
        return read_volume(self.volume_path(patient_id, sequence), self.mask_path(patient_id, sequence))


def image_path(folder: str | os.PathLike, patient_id: str, sequence: str) -> Path:
    """Return the path of an image in a cohort: ``sub-<id>/anat/sub-<id>_<suffix>.nii.gz``."""
    return Path(folder) / f"sub-{patient_id}" / "anat" / f"sub-{patient_id}_{_suffix(sequence)}.nii.gz"


def mask_path(folder: str | os.PathLike, patient_id: str, sequence: str) -> Path:
    """Return the path of the contours of an image, under ``derivatives/masks``."""
    name = f"sub-{patient_id}_{_suffix(sequence)}_dseg.nii.gz"
    return Path(folder) / "derivatives" / "masks" / f"sub-{patient_id}" / "anat" / name


def _suffix(sequence: str) -> str:
    if sequence not in SEQUENCES:
        raise ValueError(f"sequence is {sequence!r}; it must be one of {', '.join(SEQUENCES)}.")
    return SEQUENCES[sequence]


def data_dictionary() -> dict:
    """Return the meaning of every column in the form of BIDS's ``participants.json``."""
    dictionary = {"participant_id": {"Description": "Patient, as BIDS writes it: sub-<patient_id>"}}
    for column in COLUMNS:
        entry = {"Description": column.description}
        if column.unit:
            entry["Units"] = column.unit
        if column.levels:
            entry["Levels"] = dict(column.levels)
        dictionary[column.name] = entry
    return dictionary


def read_cohort(folder: str | os.PathLike) -> Cohort:
    """Read a cohort's description and table.

    Parameters
    ----------
    folder : str or path
        Cohort folder, absolute or from the project's root.

    Returns
    -------
    Cohort
        With every row of the table, patients with a reason for `exclusion` included.

    Raises
    ------
    FileNotFoundError
        If the description or the table is not there.
    ValueError
        If the table is wrong; the message lists the first problems and how to see all of them.
    """
    folder = project_path(folder)
    description = _read_description(folder)
    if description.get("Complete") is False:
        raise ValueError(
            f"The cohort in {folder} was not written to its end: run 'python -m npcbook simulate'."
        )
    table_path = _table_path(folder)
    text = _read_text(table_path)
    problems = _table_problems(text, table_path.name)
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems[:10])
        more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(
            f"The table of the cohort in {folder} has {len(problems)} problem(s); correct them, or list all "
            f"with 'python -m npcbook check {folder}':\n{shown}{more}"
        )
    return Cohort(folder, description, _typed(text))


def _read_description(folder: Path) -> dict:
    path = folder / "dataset_description.json"
    if not path.exists():
        raise FileNotFoundError(
            f'There is no {path}: a cohort folder needs one, with at least a Name and "synthetic": true or '
            f"false (see data/README.md)."
        )
    return json.loads(path.read_text())


def _table_path(folder: Path) -> Path:
    for name in ("participants.tsv", "participants.csv"):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"There is no participants.tsv or participants.csv in {folder}.")


def _read_text(path: Path) -> pd.DataFrame:
    """Read the table as text, spaces trimmed, so that a code is judged as it was written."""
    separator = "\t" if path.suffix == ".tsv" else ","
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    table.columns = table.columns.str.strip()
    table = table.apply(lambda values: values.str.strip()).replace(list(NOT_GIVEN), "")
    for column in ("ldh", "ebv_dna"):
        if column in table:
            table[column] = table[column].replace("", "missing")
    return table


def _typed(text: pd.DataFrame) -> pd.DataFrame:
    table = text.copy()
    for column in COLUMNS:
        if column.name not in table:
            continue
        if column.is_number or column.name in INTEGERS:
            table[column.name] = pd.to_numeric(table[column.name])
        if column.name in INTEGERS:
            table[column.name] = table[column.name].astype(int)
        elif column.is_number:
            table[column.name] = table[column.name].astype(float)
    return table.drop(columns="participant_id", errors="ignore")


def check_cohort(folder: str | os.PathLike, *, images: bool = True) -> list[Problem]:
    """List everything that is wrong with a cohort on disk.

    Parameters
    ----------
    folder : str or path
        Cohort folder, absolute or from the project's root.
    images : bool
        Whether to open every image and contour too, and to compare which way the images of a sequence run.
        A cohort without any ``sub-`` folder is taken as a table only, and its images are not missed.

    Returns
    -------
    list of Problem
        Empty if all is well; the table's problems first, by row.
    """
    folder = project_path(folder)
    problems = _description_problems(folder)
    try:
        path = _table_path(folder)
    except FileNotFoundError as error:
        return [*problems, Problem(None, "", "participants.tsv", str(error))]
    try:
        table = _read_text(path)
    except (ValueError, UnicodeDecodeError) as error:
        return [*problems, Problem(None, "", path.name, f"cannot be read as a table: {error}")]
    problems += _table_problems(table, path.name)
    if images and "patient_id" in table and any(folder.glob("sub-*")):
        problems += _image_problems(folder, table)
    return problems


def _description_problems(folder: Path) -> list[Problem]:
    name = "dataset_description.json"
    try:
        description = _read_description(folder)
    except FileNotFoundError as error:
        return [Problem(None, "", name, str(error))]
    except json.JSONDecodeError as error:
        return [Problem(None, "", name, f"is not valid JSON: {error}")]
    problems = []
    if not description.get("Name"):
        problems.append(Problem(None, "", name, 'has no "Name": give the cohort one.'))
    if not isinstance(description.get("synthetic"), bool):
        problems.append(Problem(None, "", name, 'has no "synthetic": write true or false.'))
    if description.get("Complete") is False:
        problems.append(
            Problem(None, "", name, "says that writing the cohort was interrupted: write it again.")
        )
    return problems


def _table_problems(table: pd.DataFrame, file: str) -> list[Problem]:
    problems = _missing_columns(table, file)
    if table.empty:
        return [*problems, Problem(None, "", file, "holds no patient.")]
    found = []
    for column in COLUMNS:
        if column.name in table:
            found += _column_problems(table[column.name], column, file)
    found += _id_problems(table, file) + _consistency_problems(table, file)
    return problems + sorted(found, key=lambda problem: problem.row)


def _missing_columns(table: pd.DataFrame, file: str) -> list[Problem]:
    """Return columns that are not there, and optional ones that another case of letters would hide."""
    problems, others = [], {name.lower(): name for name in table}
    for name, required in ((c.name, c.required) for c in COLUMNS if c.name not in table):
        if name in others:
            message = f"the column is missing; found {others[name]}: rename it to {name}."
            problems.append(Problem(None, name, file, message))
        elif required:
            problems.append(Problem(None, name, file, "the column is missing: add it."))
    return problems


def _row(index: int) -> int:
    return index + 2  # line 1 is the header


def _column_problems(values: pd.Series, column: Column, file: str) -> list[Problem]:
    empty = values == ""
    problems = []
    if column.required:
        problems += [Problem(_row(i), column.name, file, "is empty.") for i in values.index[empty]]
    codes = [code for code, _ in column.levels]
    if codes:
        bad, allowed = ~values.isin(codes), f"allowed are {', '.join(codes)}."
    elif column.is_number:
        number = _numbers(values)
        bad = number.isna() | (number < column.low) | (number > column.high)
        allowed = f"allowed are numbers {_range(column)}."
    else:
        return problems
    bad &= ~empty
    for i in values.index[bad]:
        message = f"is {values[i]!r}; {allowed}"
        if column.is_number and re.fullmatch(r"[+-]?\d+,\d+", values[i]):
            message += f" If the comma is a decimal one, write {values[i].replace(',', '.')}."
        problems.append(Problem(_row(i), column.name, file, message))
    return problems


def _numbers(values: pd.Series) -> pd.Series:
    """Return text as numbers; NaN for what is none, infinity included."""
    return pd.to_numeric(values, errors="coerce").replace([np.inf, -np.inf], np.nan)


def _range(column: Column) -> str:
    low = "above 0" if column.low == TINY else f"from {column.low:g}"
    return low if np.isinf(column.high) else f"{low} to {column.high:g}"


def _id_problems(table: pd.DataFrame, file: str) -> list[Problem]:
    if "patient_id" not in table:
        return []
    ids, problems = table["patient_id"], []
    for i in ids.index[ids.duplicated() & (ids != "")]:
        first = _row(ids.index[ids == ids[i]][0])
        problems.append(Problem(_row(i), "patient_id", file, f"{ids[i]!r} stands in row {first} already."))
    for i in ids.index[~ids.str.fullmatch(r"[A-Za-z0-9]*")]:
        problems.append(
            Problem(_row(i), "patient_id", file, f"{ids[i]!r} has other than letters and digits.")
        )
    return problems


def _consistency_problems(table: pd.DataFrame, file: str) -> list[Problem]:
    """Return contradictions between columns; what is unreadable in one column is reported elsewhere."""
    names = {column.name for column in COLUMNS if column.required}
    text = table.reindex(columns=sorted(names), fill_value="")
    number = {n: _numbers(text[n]) for n in ("dmfs_months", "os_months", "ccnd_mg_m2")}
    analysed = (table["exclusion"] == "") if "exclusion" in table else pd.Series(True, index=table.index)
    rules = (
        (
            "dmfs_months",
            number["dmfs_months"] > number["os_months"] + 1e-6,
            "is longer than the patient's follow-up (os_months).",
        ),
        ("n_stage", (text["n_stage"] == "N0") & text["rene"].isin(["1", "2"]), "is N0, yet rene is above 0."),
        (
            "ccnd_mg_m2",
            (number["ccnd_mg_m2"] > 0) & text["chemotherapy"].isin(["none", "other"]),
            "is above 0, yet chemotherapy has neither cisplatin nor nedaplatin.",
        ),
        (
            "t_stage",
            (text["t_stage"] == "T1") & (text["n_stage"] == "N0") & analysed,
            "is T1 with N0, which is stage I: give a reason in the column exclusion, or correct the stage.",
        ),
    )
    return [Problem(_row(i), name, file, message) for name, bad, message in rules for i in table.index[bad]]


def _image_problems(folder: Path, table: pd.DataFrame) -> list[Problem]:
    excluded = (table["exclusion"] != "") if "exclusion" in table else pd.Series(False, index=table.index)
    rows = [(_row(i), table["patient_id"][i]) for i in table.index[(table["patient_id"] != "") & ~excluded]]
    found = Parallel(n_jobs=os.cpu_count() if len(rows) > 50 else 1, batch_size=20)(
        delayed(_look_at_patient)(folder, row, patient_id) for row, patient_id in rows
    )
    problems = [problem for problems, _ in found for problem in problems]
    for sequence in SEQUENCES:
        turns = [(*row, orientations[sequence]) for row, (_, orientations) in zip(rows, found, strict=True)]
        problems += _orientation_problems(folder, sequence, [turn for turn in turns if turn[-1]])
    return sorted(problems, key=lambda problem: problem.row)


def _look_at_patient(folder: Path, row: int, patient_id: str) -> tuple[list[Problem], dict[str, str]]:
    """Return what is wrong with a patient's images, and which way the axes of each run."""
    orientations = {
        sequence: _orientation(image_path(folder, patient_id, sequence)) for sequence in SEQUENCES
    }
    return _patient_image_problems(folder, row, patient_id), orientations


def _orientation(path: Path) -> str:
    """Return which way an image's axes run; empty for a file that is absent or no image."""
    try:
        return read_geometry(path)[0] if path.exists() else ""
    except RuntimeError:
        return ""


def _orientation_problems(folder: Path, sequence: str, found: list[tuple[int, str, str]]) -> list[Problem]:
    """Return images whose axes run another way than most: `found` has row, patient and orientation."""
    turns = [turn for _, _, turn in found]
    most = min(multimode(turns), default="")
    others = f"{turns.count(most)} of {len(turns)} {SEQUENCES[sequence]} images"
    problems = []
    for row, patient_id, turn in found:
        if turn != most:
            file = str(image_path(folder, patient_id, sequence).relative_to(folder))
            message = (
                f"its axes run {turn}, and those of {others} {most}, so that the networks would see it "
                f"turned: re-orient image and contours with sitk.DICOMOrient(image, {most!r})."
            )
            problems.append(Problem(row, "", file, message))
    return problems


def _patient_image_problems(folder: Path, row: int, patient_id: str) -> list[Problem]:
    problems = []
    for sequence, suffix in SEQUENCES.items():
        image, mask = image_path(folder, patient_id, sequence), mask_path(folder, patient_id, sequence)
        absent = [path for path in (image, mask) if not path.exists()]
        for path in absent:
            what = "the image of" if path == image else "the contours of"
            message = (
                f"{what} sequence {suffix} are missing." if path == mask else f"{what} {suffix} is missing."
            )
            problems.append(Problem(row, "", str(path.relative_to(folder)), message))
        if absent:
            continue
        for path, message in _volume_problems(image, mask):
            shown = message.replace(f"{folder}{os.sep}", "")
            problems.append(Problem(row, "", str(path.relative_to(folder)), shown))
    return problems


def _volume_problems(image: Path, mask: Path) -> list[tuple[Path, str]]:
    """Return each problem as the file to blame and why."""
    for path in (image, mask):
        try:
            # The NIfTI reader fills what a cut-off file lacks with zeros and says nothing.
            with gzip.open(path) as file:
                while file.read(1 << 20):
                    pass
            read_volume(path)
        except (ValueError, RuntimeError, OSError, EOFError, zlib.error) as error:
            return [(path, f"cannot be read: {' '.join(str(error).split())}")]
    found = []
    # The second time on the mask's own voxels: another geometry must not hide wrong labels.
    for picture in (image, mask):
        try:
            volume = read_volume(picture, mask)
        except ValueError as error:
            found.append(str(error))
            continue
        if not (volume.mask > 0).any():
            found.append("holds no voxel of tumour or node: contour again.")
        break
    return [(mask, message) for message in dict.fromkeys(found)]


def patient_flow(patients: pd.DataFrame) -> pd.DataFrame:
    """Count patients from reading to analysis, by hospital.

    Parameters
    ----------
    patients : pandas.DataFrame
        Table of a `Cohort`; the column `exclusion`, if there is one, says why a patient was not analysed.

    Returns
    -------
    pandas.DataFrame
        Columns ``step`` ("read", one row per reason of exclusion, "analysed"), one column per hospital,
        and ``all``.
    """
    reason = patients.get("exclusion", pd.Series("", index=patients.index)).fillna("")
    groups = {"read": patients["center"]}
    for text in sorted(set(reason) - {""}):
        groups[f"excluded: {text}"] = patients["center"][reason == text]
    groups["analysed"] = patients["center"][reason == ""]
    centers = sorted(patients["center"].unique())
    rows = [
        {"step": step, **{c: int((of_step == c).sum()) for c in centers}, "all": len(of_step)}
        for step, of_step in groups.items()
    ]
    return pd.DataFrame(rows)


#: Covariates as `code_covariates` gives them, in words, reference level in brackets.
COVARIATES = {
    "age": "Age, per year",
    "female": "Sex: female (male)",
    "t2": "T category: T2 (T1)",
    "n1": "N category: N1 (N0)",
    "ldh_abnormal": "LDH: abnormal (normal)",
    "ebv_detectable": "EBV DNA: detectable (undetectable)",
    "rene_g1": "rENE: G1 (without)",
    "rene_g2": "rENE: G2 (without)",
    "chemotherapy": "Chemotherapy: yes (no)",
}


def covariate_names(text: str) -> list[str]:
    """Return the covariates that a parameter names, such as ``"t2, n1"``.

    Raises
    ------
    ValueError
        If a name is not one of `COVARIATES`.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in COVARIATES]:
        raise ValueError(f"{', '.join(unknown)}: no such covariate; there are {', '.join(COVARIATES)}.")
    return names


def code_covariates(patients: pd.DataFrame) -> pd.DataFrame:
    """Code the candidate covariates of the paper's Table 2 against its reference levels.

    Parameters
    ----------
    patients : pandas.DataFrame
        Columns as in `COLUMNS`; its index is kept.

    Returns
    -------
    pandas.DataFrame of float
        Columns of `COVARIATES`: ``age`` in years, the others 0 or 1. NaN where LDH or EBV DNA is unknown.
    """
    coded = pd.DataFrame(
        {
            "age": patients["age"],
            "female": patients["sex"] == "female",
            "t2": patients["t_stage"] == "T2",
            "n1": patients["n_stage"] == "N1",
            "ldh_abnormal": patients["ldh"] == "abnormal",
            "ebv_detectable": patients["ebv_dna"] == "detectable",
            "rene_g1": patients["rene"] == 1,
            "rene_g2": patients["rene"] == 2,
            "chemotherapy": patients["chemotherapy"] != "none",
        }
    ).astype(float)
    coded["ldh_abnormal"] = coded["ldh_abnormal"].mask(patients["ldh"] == "missing")
    coded["ebv_detectable"] = coded["ebv_detectable"].mask(patients["ebv_dna"] == "missing")
    return coded


def read_truth(folder: str | os.PathLike) -> pd.DataFrame | None:
    """Read what was planted in a synthetic cohort, for drawing the truth column and nothing else.

    Parameters
    ----------
    folder : str or path
        Cohort folder, absolute or from the project's root.

    Returns
    -------
    pandas.DataFrame or None
        One row a patient, indexed by ``patient_id``; None for a real cohort.
    """
    path = project_path(folder) / "truth.csv"
    if not path.exists():
        return None
    return pd.read_csv(path, dtype={"patient_id": str}).set_index("patient_id")
