"""Everything that is wrong with a cohort on disk, at once."""

import os
from collections.abc import Callable
from pathlib import Path
from statistics import multimode

import pandas as pd

from npcbook.cohort.reading import image_path, mask_path, read_description
from npcbook.cohort.scores import SCORES_FILE, read_scores
from npcbook.cohort.table import PATIENT_ID, Problem, _kept, _read_text, _row, _table_path, _table_problems
from npcbook.imaging import check_head, normalise, read_geometry, read_volume, without_extremes
from npcbook.store import project_path, spread
from npcbook.words import SEQUENCES


def check_cohort(folder: str | os.PathLike, *, images: bool = True) -> list[Problem]:
    """List everything that is wrong with a cohort on disk.

    Parameters
    ----------
    folder : str or path
        Cohort folder, absolute or from the project's root.
    images : bool
        Whether to open every image and contour too, and to compare which way the images of a sequence run.
        Images and contours that are not there are no problem: `npcbook.cohort.parts.read_parts` counts them.

    Returns
    -------
    list of Problem
        Empty if all is well; the table's problems first, by row.
    """
    folder = project_path(folder)
    problems = _description_problems(folder)
    try:
        path = _table_path(folder)
    except (FileNotFoundError, ValueError) as error:
        return [*problems, Problem(None, "", "participants.tsv", str(error))]
    try:
        table = _read_text(path)
    except ValueError as error:
        said = _from(folder, error).removeprefix(path.name).lstrip(", ")
        return [*problems, Problem(None, "", path.name, said)]
    eligibility = None if problems else read_description(folder).get("eligibility")
    problems += _table_problems(table, path.name, eligibility)
    if "patient_id" in table and (said := _refused(folder, read_scores)):
        problems.append(Problem(None, "", SCORES_FILE, said.removeprefix(f"{SCORES_FILE}: ")))
    if images and "patient_id" in table and any(folder.glob("sub-*")):
        # Other ids name no files.
        wanted = _kept(table, eligibility) & table["patient_id"].str.fullmatch(PATIENT_ID)
        problems += _image_problems(folder, table[wanted])
    return problems


def _description_problems(folder: Path) -> list[Problem]:
    name = "dataset_description.json"
    said = _refused(folder, read_description)
    return [Problem(None, "", name, said.removeprefix(f"{name} "))] if said else []


def _refused(folder: Path, read: Callable[[Path], object]) -> str:
    """Return why a part of a cohort cannot be read; empty if it can."""
    try:
        read(folder)
    except (FileNotFoundError, ValueError) as error:
        return _from(folder, error)
    return ""


def _from(folder: Path, error: Exception | str) -> str:
    """Return what an error says on one line, with paths from the cohort's folder."""
    return " ".join(str(error).split()).replace(f"{folder}{os.sep}", "")


def _image_problems(folder: Path, table: pd.DataFrame) -> list[Problem]:
    rows = [(_row(i), table["patient_id"][i]) for i in table.index]
    jobs, workers = [(folder, *row) for row in rows], -1 if len(rows) > 50 else 1
    found = list(spread(_look_at_patient, jobs, n_jobs=workers, batch_size=20))
    problems = [problem for problems, _ in found for problem in problems]
    for sequence in SEQUENCES:
        turns = [(*row, orientations[sequence]) for row, (_, orientations) in zip(rows, found, strict=True)]
        problems += _orientation_problems(folder, sequence, [turn for turn in turns if turn[-1]])
    return sorted(problems, key=lambda problem: problem.row)


def _look_at_patient(folder: Path, row: int, patient_id: str) -> tuple[list[Problem], dict[str, str]]:
    """Return what is wrong with a patient's images, and which way the axes of each run."""
    turns = {sequence: _orientation(image_path(folder, patient_id, sequence)) for sequence in SEQUENCES}
    return _patient_image_problems(folder, row, patient_id), turns


def _orientation(path: Path) -> str:
    """Return which way an image's axes run; empty for a file that is absent or no image."""
    try:
        return read_geometry(path)[0]
    except (FileNotFoundError, ValueError):
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
            said = f"its axes run {turn}, and those of {others} {most}: the networks would see it turned"
            remedy = f"re-orient image and contours with sitk.DICOMOrient(image, {most!r})."
            problems.append(Problem(row, "", file, f"{said}; {remedy}"))
    return problems


def _patient_image_problems(folder: Path, row: int, patient_id: str) -> list[Problem]:
    problems = []
    for sequence, suffix in SEQUENCES.items():
        image, mask = image_path(folder, patient_id, sequence), mask_path(folder, patient_id, sequence)
        # A link that leads nowhere is there, and cannot be read.
        found = _volume_problems(image, mask) if os.path.lexists(image) else []
        if os.path.lexists(mask) and not os.path.lexists(image):
            found = [(image, f"there are contours, but the image of {suffix} is missing.")]
        for path, message in found:
            file = str(path.relative_to(folder))
            problems.append(Problem(row, "", file, _from(folder, message).removeprefix(f"{file} ")))
    return problems


def _volume_problems(image: Path, mask: Path) -> list[tuple[Path, str]]:
    """Return each problem as the file to blame and why."""
    contoured = os.path.lexists(mask)
    for path in (image, mask)[: 1 + contoured]:
        try:
            volume = read_volume(path)
            if path == image:
                check_head(normalise(without_extremes(volume)))
        except (ValueError, RuntimeError, OSError) as error:
            return [(path, str(error))]
    found = []
    # The second time on the mask's own voxels: another geometry must not hide wrong labels.
    for picture in (image, mask) if contoured else ():
        try:
            volume = read_volume(picture, mask)
        except ValueError as error:
            found.append(str(error))
            continue
        if not (volume.mask > 0).any():
            found.append("holds no voxel of tumour or node: contour again.")
        break
    return [(mask, message) for message in dict.fromkeys(found)]
