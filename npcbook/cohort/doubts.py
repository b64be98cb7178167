"""What nothing forbids in a cohort, but what is seldom meant; and problems told in few lines."""

import codecs
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from scipy.ndimage import binary_fill_holes

from npcbook.cohort.reading import image_path, mask_path
from npcbook.cohort.table import PATIENT_ID, Problem, _read_text, _row, _table_path
from npcbook.imaging import Volume, read_geometry, read_volume, without_extremes
from npcbook.store import LIMITS, project_path
from npcbook.words import SEQUENCES

#: A field is another one where it is this many times as large as that of the middle patient, or as small.
OTHER_FIELD = 1.4
#: Patients whose voxels are looked at: a wrong export is wrong in all, or in all of a hospital.
LOOKED_AT = 40
#: Grey levels, and mm^3 of contours, of which any image and any drawn tumour have more.
FEWEST_LEVELS, SMALLEST = 5, 50
#: Share of the head's median signal that air stays below.
BLACK = 0.25
#: What images are called, and ends of files that hold none.
NAMES = "'sub-<patient_id>/anat/sub-<patient_id>_T1w.nii.gz' (of T2 _T2w, with contrast _ce-gadolinium_T1w)"
ASIDE = (".json", ".tsv", ".csv", ".txt", ".md", ".png", ".bval", ".bvec")
TABLES = (".xlsx", ".xls", ".csv", ".tsv", ".txt")
OWN_TABLES = {"participants.tsv", "participants.csv", "scores.csv", "features.csv", "truth.csv"}


def find_doubts(folder: str | os.PathLike, *, images: bool = True) -> list[Problem]:
    """List what is likely a mistake in a cohort, though the book can run on it.

    Parameters
    ----------
    folder : str or path
        Cohort folder, absolute or from the project's root.
    images : bool
        Whether to look at images too: at the headers of all, and at the voxels of some patients.

    Returns
    -------
    list of Problem
        Tables to import, times in years, folders that belong to no patient, images of other names, fields of
        another size, copies, stray voxels, labels that look exchanged, images of few grey levels, contours of
        few voxels or outside the head. What cannot be read is left to `check_cohort`.
    """
    folder = project_path(folder)
    found = list(_tables_to_import(folder))
    try:
        table = _read_text(_table_path(folder))
        patients = pd.Series(table.index, index=table["patient_id"]).map(_row).drop("", errors="ignore")
    except (FileNotFoundError, ValueError, KeyError):
        return found
    found += [*_years(table), *_strange_folders(folder, patients), *_strange_files(folder, patients)]
    if images:
        found += [*_copies(folder, patients), *_fields(folder, patients), *_voxels(folder, patients)]
    return found


def in_short(problems: list[Problem]) -> list[str]:
    """Return one line for each kind of problem: the first, and where the others are.

    Two problems are of a kind where only their row, patient, and what is quoted or counted differ.
    """
    kinds = defaultdict(list)
    for problem in problems:
        file = re.sub(r"sub-[A-Za-z0-9]+", "sub", problem.file)
        said = re.sub(r"'[^']*'|\d+(\.\d+)?|[TN]\d\b", "…", problem.message)
        kinds[file, problem.column, said].append(problem)
    lines = []
    for first, *others in kinds.values():
        places = list(dict.fromkeys(f"row {p.row}" if p.row else p.file for p in others))
        shown = ", ".join(places[:3]) + (", …" if len(places) > 3 else "")
        lines.append(f"{first} ({len(others)} more like it: {shown})" if others else str(first))
    return lines


def _tables_to_import(folder: Path) -> Iterator[Problem]:
    """Yield tables as a hospital's program writes them, which a command makes participants of."""
    names = {path.name for path in folder.iterdir() if path.is_file()}
    ours = next((name for name in ("participants.tsv", "participants.csv") if name in names), "")
    others = sorted(n for n in names - OWN_TABLES if n.endswith(TABLES) and not n.startswith((".", "README")))
    if ours:
        others = [ours] if _is_foreign(folder / ours) else []
    if others:
        files = " ".join(str(folder / name) for name in others)
        said = "is a table as it was exported" if len(others) == 1 else "are tables as they were exported"
        remedy = f"'python -m npcbook import table {files} --out ANOTHER_FOLDER' makes participants of it."
        yield Problem(None, "", ", ".join(others), f"{said}: {remedy}")


def _is_foreign(path: Path) -> bool:
    """Return whether a table has another encoding or separator than a cohort's."""
    with path.open("rb") as file:
        data = file.read(LIMITS["bytes of a table"])
    try:
        header = codecs.getincrementaldecoder("utf-8-sig")().decode(data).partition("\n")[0]
    except UnicodeDecodeError:
        return True
    own = "\t" if path.suffix == ".tsv" else ","
    return "\0" in header or any(header.count(other) > header.count(own) for other in {*"\t;,"} - {own})


def _years(table: pd.DataFrame) -> Iterator[Problem]:
    for name in {"dmfs_months", "os_months"} & set(table):
        months = pd.to_numeric(table[name], errors="coerce").dropna()
        if len(months) > 20 and months.max() < 24:
            said = f"no patient has more than {months.max():.1f} months: are these years? Multiply by 12."
            yield Problem(None, name, "participants", said)


def _strange_folders(folder: Path, patients: pd.Series) -> Iterator[Problem]:
    """Yield folders of nobody in the table, and folders of images that lack ``sub-`` in their name."""
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        if path.name.startswith("sub-"):
            if path.name.removeprefix("sub-") not in patients:
                yield Problem(None, "", path.name, "has no row in the table: its images are not used.")
        elif path.name != "derivatives" and (path.name in patients or next(path.rglob("*.nii*"), None)):
            said = "is not looked into: a patient's folder is called sub-<patient_id>, such as"
            yield Problem(None, "", path.name, f"{said} sub-{path.name}.")


def _strange_files(folder: Path, patients: pd.Series) -> Iterator[Problem]:
    """Yield where patients who lack an image or contours have some that nothing reads, by their name."""
    for patient, row in patients[patients.index.str.fullmatch(PATIENT_ID)].items():
        read = {at(folder, patient, name) for name in SEQUENCES for at in (image_path, mask_path)}
        files = [file for place in {path.parents[1] for path in read} for file in place.rglob("*")]
        found = {f for f in files if f.is_file() and f.name[0] != "." and not f.name.endswith(ASIDE)}
        for first in sorted(found - read)[:1] if not found >= read else ():
            said = f"nothing reads '{first.name}' ({len(found - read)} such): images are called {NAMES}."
            said += f" Copy the table into NEW, and 'npcbook import images {folder} --out NEW' names them so."
            yield Problem(row, "", str(first.parent.relative_to(folder)), said)


def _images(folder: Path, patients: pd.Series) -> Iterator[tuple[str, int, str, Path]]:
    for patient, row in patients[patients.index.str.fullmatch(PATIENT_ID)].items():
        for sequence in SEQUENCES:
            if (path := image_path(folder, patient, sequence)).is_file():
                yield patient, row, sequence, path


def _copies(folder: Path, patients: pd.Series) -> Iterator[Problem]:
    """Yield images whose content is another's: gzip ends with a checksum and the size of what it holds."""
    seen = {}
    for _, row, _, path in _images(folder, patients):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8))
            end = file.read()
        name = str(path.relative_to(folder))
        if end in seen:
            yield Problem(row, "", name, f"is a copy of '{seen[end]}': export it again.")
        else:
            seen[end] = name


def _fields(folder: Path, patients: pd.Series) -> Iterator[Problem]:
    """Yield images whose field is far larger or smaller than those of most patients."""
    found = defaultdict(list)
    for _, row, sequence, path in _images(folder, patients):
        try:
            found[sequence].append((row, path, read_geometry(path)[1]))
        except (RuntimeError, ValueError):
            continue
    for images in found.values():
        usual = np.median([extent for *_, extent in images], axis=0)
        for row, path, extent in images:
            ratio = np.divide(extent, usual, where=usual > 0, out=np.ones(3))
            if not np.all((ratio < OTHER_FIELD) & (ratio > 1 / OTHER_FIELD)):
                here, most = (" x ".join(f"{length:.0f}" for length in e) for e in (extent, usual))
                said = f"its field is {here} mm, and {most} mm in the middle patient, so that the networks"
                file = str(path.relative_to(folder))
                yield Problem(row, "", file, f"{said} see it stretched: cut or pad it to the same field.")


def _voxels(folder: Path, patients: pd.Series) -> Iterator[Problem]:
    """Yield, of some images, what their voxels and contours look like a mistake by."""
    images = list(_images(folder, patients))
    for patient, row, sequence, path in images[:: max(1, len(images) // LOOKED_AT)]:
        contours = mask_path(folder, patient, sequence)
        try:
            stray = without_extremes(read_volume(path)).extremes
            volume = read_volume(path, contours) if contours.is_file() else None
        except (RuntimeError, ValueError):
            continue
        if stray:
            said = f"{stray} voxels are padding or lie far outside all others, and are set aside: look at it."
            yield Problem(row, "", str(path.relative_to(folder)), said)
        for blamed, said in _contour_doubts(volume) if volume else ():
            file = path if blamed == "image" else contours
            yield Problem(row, "", str(file.relative_to(folder)), said)


def _contour_doubts(volume: Volume) -> Iterator[tuple[str, str]]:
    """Yield what is odd within contours: whether "image" or "mask" is to blame, and why."""
    inside = volume.image[volume.mask > 0]
    if len(inside) * np.prod(volume.spacing) < SMALLEST:
        yield "mask", f"has {len(inside)} voxel(s): leave contours out that nobody drew; none need be there."
    levels = len(np.unique(inside))
    if levels < FEWEST_LEVELS < len(inside) / 4:  # fewer voxels may well be alike
        said = f"has {levels} grey level(s) within the contours: is it a mask, or an export of few bits?"
        yield "image", said
    if (share := _within_head(volume)) < 0.5:
        yield "mask", f"lies outside the head, with {1 - share:.0%} of its voxels: do contours fit the image?"
    if _looks_exchanged(volume):
        said = "label 1 (tumour) lies further from the middle than label 2 (node): are they exchanged?"
        yield "mask", said


def _within_head(volume: Volume) -> float:
    """Return the share of what is contoured that lies within the outline of the head, slice by slice."""
    drawn = (volume.mask > 0).any(axis=(1, 2))
    image, mask = without_extremes(volume).image[drawn], volume.mask[drawn] > 0
    if not drawn.any() or np.ptp(image) == 0:
        return 1.0
    # Otsu's threshold may part fat from muscle where the coil is near; the triangle's parts air from both.
    signal = sitk.GetArrayFromImage(sitk.TriangleThreshold(sitk.GetImageFromArray(image), 0, 1))
    head = np.array([binary_fill_holes(section) for section in signal])
    # An image that is cut within the head has no air: what is dark there is less bright, not black.
    inside, within = (np.median(image[where]) - min(image.min(), 0) for where in (mask, head))
    return float(head[mask].mean()) if inside < BLACK * within else 1.0


def _looks_exchanged(volume: Volume) -> bool:
    """Return whether the node lies in the middle, from left to right, and the tumour beside it."""
    tumour, node = (np.argwhere(volume.mask == label)[:, 2] for label in (1, 2))
    if not len(tumour) or not len(node):
        return False
    middle, width = (volume.mask.shape[2] - 1) / 2, volume.mask.shape[2]
    aside = [np.abs(columns - middle).mean() / width for columns in (tumour, node)]
    return bool(aside[0] > aside[1] + 0.05)
