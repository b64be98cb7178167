"""A cohort on disk: one table, three MR sequences a patient, and their contours, in BIDS names."""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from npcbook.cohort.columns import COLUMNS
from npcbook.cohort.table import ANY, STAGE_II, _read_text, _table_path, _table_problems, _typed, _whole
from npcbook.imaging import Volume, read_volume
from npcbook.store import CONTROLS, FORMATS, project_path, read_json
from npcbook.words import SEQUENCES


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
        One row a patient, typed: text, float (age, dose, months), int (rENE and events; float where some are
        unknown). Columns that the table lacks are there and empty; unknown is NaN, of LDH and EBV DNA
        ``missing``. Who is not eligible by the description has a reason in `exclusion`.
    """

    folder: Path
    description: dict
    patients: pd.DataFrame

    @property
    def is_synthetic(self) -> bool:
        """Whether the patients were simulated."""
        return bool(self.description.get("synthetic", False))

    @property
    def analysed(self) -> pd.DataFrame:
        """The patients without a reason for `exclusion`, columns as in `COLUMNS`."""
        rows = self.patients
        if "exclusion" in rows:
            rows = rows[rows["exclusion"] == ""].drop(columns="exclusion")
        known = [column.name for column in COLUMNS if column.name in rows]
        return _whole(rows[known].reset_index(drop=True))

    def read_volume(self, patient_id: str, sequence: str) -> Volume:
        """Read one sequence of one patient with its contours, if somebody drew them.

        Parameters
        ----------
        patient_id : str
            As in the table.
        sequence : {"t1w", "t2w", "cet1w"}
            Sequence.

        Returns
        -------
        npcbook.imaging.Volume
            Image, mask and spacing.

        Raises
        ------
        FileNotFoundError, ValueError
            If a file is missing or does not fit (see `npcbook.imaging.read_volume`).
        """
        place = self.folder, patient_id, sequence
        drawn = mask_path(*place)
        return read_volume(image_path(*place), drawn if os.path.lexists(drawn) else None)


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
        If the description or the table is wrong; the message lists the first problems and how to see all.
    """
    folder = project_path(folder)
    description = read_description(folder)
    path = _table_path(folder)
    text = _read_text(path)
    eligibility = description.get("eligibility")
    if problems := _table_problems(text, path.name, eligibility):
        shown = "\n".join(f"  {problem}" for problem in problems[:10])
        more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(
            f"The table of the cohort in {folder} has {len(problems)} problem(s); correct them, or list all "
            f"with 'python -m npcbook check {folder}':\n{shown}{more}"
        )
    return Cohort(folder, description, _typed(text, eligibility))


def read_description(folder: str | os.PathLike) -> dict:
    """Read what a cohort says of itself, ``dataset_description.json``.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or it is wrong; the message lists how.
    """
    path = project_path(folder) / "dataset_description.json"
    if not path.exists():
        raise FileNotFoundError(
            f'There is no {path}: a cohort folder needs one, with at least a Name and "synthetic": true or '
            f"false (see data/README.md)."
        )
    description = read_json(path)
    if problems := description_problems(description):
        raise ValueError(f"{path} {'; it '.join(problems)}")
    return description


def description_problems(description: dict) -> list[str]:
    """Return what is wrong with a cohort's description, as ends of sentences."""
    name, remark = description.get("Name"), description.get("Remark", "")
    complete, stages = description.get("Complete", True), description.get("eligibility", ANY)
    said = {
        'has no "Name": give the cohort one.': name is None or name == "",
        'has a "Name" that is not a line of at most 200 letters: write one.': name not in (None, "")
        and not _is_line(name),
        'has no "synthetic": write true or false.': not isinstance(description.get("synthetic"), bool),
        'has a "Remark" that is not a line of text: write one, or leave it out.': remark != ""
        and not _is_line(remark),
        'has a "Complete" that is neither true nor false.': not isinstance(complete, bool),
        f'has another "eligibility" than "{STAGE_II}" or "{ANY}".': stages not in (STAGE_II, ANY),
        "was not written to its end (interrupted): write the cohort again, the synthetic one with 'python -m "
        "npcbook simulate'.": complete is False,
    }
    return [message for message, wrong in said.items() if wrong]


def _is_line(text: object) -> bool:
    is_short = isinstance(text, str) and len(text.strip()) > 0 and len(text) <= 200
    return is_short and len(text.splitlines()) == 1 and not CONTROLS.search(text)


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
    if not read_description(folder).get("synthetic"):
        return None
    return FORMATS[".csv"][0](path).set_index("patient_id") if path.exists() else None
