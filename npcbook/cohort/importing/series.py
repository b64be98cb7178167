"""What images and contours a folder holds, whose they are, and what their names make one guess."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from npcbook.cohort.importing import contours
from npcbook.cohort.importing.values import dictionary
from npcbook.imaging.dicom import Series, find_series, read_series
from npcbook.store import check_file_names, read_json

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")
SUFFIX = r"\.(?:nii|nii\.gz|nrrd|seg\.nrrd|mha|mhd)$"
#: Words of file names that stand behind a patient's id.
WORD = (
    r"(?:ce)?t[12](?:wi?)?(?:\+?c|ce|gd)?|ce|c\+|flair|dwi|adc|d?seg|mask|label|contour|roi|gtv|tumou?r|node"
)
WORD += r"|image|img"
#: Where in a path the patient's id may stand: the first group.
PATIENT_PATTERNS = (
    r"(?:^|/)sub-([A-Za-z0-9]+)(?=[_/])",
    r"^(?:.*/)?(?:imagesT[rs]|labelsT[rs])/(.+?)(?:_\d{4})?" + SUFFIX,
    r"^([^/]+)/",
    r"([^/]+)/[^/]+$",
    rf"([^/]+?)(?:[_\-. ]+(?:{WORD})(?![a-z])[^/]*|){SUFFIX}",
    rf"([^/]+?)(?:[_\-. ]+[^_\-. /]+|){SUFFIX}",
)
HEADER = "PatientID"
#: What is guessed of a series of one slice: to be ignored.
FLAT = "localizer"
#: What is put behind the name of a series after contrast that does not say so; and headers without an agent.
AFTER, NONE = " (after contrast)", ("", "none", "no", "n", "n/a", "na", "0", "no contrast", "unknown", "无")


# Each is itself alone, so that what was read of it can be kept.
@dataclass(frozen=True, eq=False)
class Item:
    """One image of a patient, or one set of contours.

    Attributes
    ----------
    patient : str
        The hospital's id.
    kind : str
        What ``map.yml`` lists it by: the description of a DICOM series, or the path of a file with ``*`` for
        the patient (and its description, where the path tells no sequence).
    path : path
        Its file; of a series, the first.
    series : Series or None
        Of a DICOM file.
    structures : dict of str to str
        Of contours: the name in ``map.yml`` and that in the file; empty for an image.
    hint : str
        Words to guess from.
    header : dict
        What a DICOM header, or a JSON file of the image's name beside it, says of scanner and patient.
    frame : str
        Frame of reference; for contours, that of the image they were drawn on; "" where it is not told.
    drawn_on : frozenset of str
        Of contours: UIDs of series that they name.
    problem : str
        Why it cannot be read.
    """

    patient: str
    kind: str
    path: Path
    series: Series | None = None
    structures: dict[str, str] = field(default_factory=dict)
    hint: str = ""
    header: dict = field(default_factory=dict)
    frame: str = ""
    drawn_on: frozenset[str] = frozenset()
    problem: str = ""

    @property
    def is_contours(self) -> bool:
        """Whether it is a set of contours, and no image."""
        if self.series is not None:
            return self.series.modality in ("RTSTRUCT", "SEG")
        return bool(self.structures or self.problem)


def find_items(source: Path, patient: str = "") -> tuple[list[Item], str]:
    """List the images and contours below a folder.

    Parameters
    ----------
    source : path
        Folder with DICOM files, NRRD, NIfTI or MetaImage files, in whatever order.
    patient : str
        Where the patient's id stands: ``PatientID`` (of DICOM headers), or a regular expression whose first
        group finds it in a file's path below `source`; "" to guess.

    Returns
    -------
    tuple of list of Item and str
        What was found, and where the id was taken from.

    Raises
    ------
    ValueError
        If there is nothing, or a path does not match the expression.
    """
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    files = [path for path in files if not any(x[0] == "." for x in path.relative_to(source).parts)]
    pictures = [path for path in files if path.name.lower().endswith(SUFFIXES)]
    check_file_names(pictures)
    series = find_series(set(files) - set(pictures))
    if not pictures and not series:
        said = f"{source} holds no DICOM series and no file that ends in {', '.join(SUFFIXES)}"
        raise ValueError(f"{said}: give the folder with the images.")
    if series and not patient:
        ids, studies = {one.patient_id for one in series}, {one.study for one in series}
        # One id for many is what is left where ids were taken out.
        patient = HEADER if "" not in ids and (len(ids) > 1 or len(studies) < 3) else ""
    inside = [path.relative_to(source).as_posix() for path in [*pictures, *(one.files[0] for one in series)]]
    patient = patient or guess_patient(inside)
    # Beside DICOM series, files may hold contours; whose they are stands in their paths alone.
    pattern = guess_patient(inside[: len(pictures)]) if pictures and patient == HEADER else patient
    items, enhanced = _file_items(source, pictures, pattern), _after_contrast(series)
    return [*items, *(_series_item(source, one, patient, enhanced) for one in series)], patient


def guess_patient(paths: list[str]) -> str:
    """Return the pattern of `PATIENT_PATTERNS` that finds an id in every path, with fewest ids and kinds."""
    best = {}
    for pattern in PATIENT_PATTERNS:
        try:
            pairs = [split_path(path, pattern) for path in paths]
        except ValueError:
            continue
        words = sum(bool(re.fullmatch(rf"(?:{WORD}).{{0,3}}", patient.lower())) for patient, _ in pairs)
        if len(set(pairs)) == len(pairs):
            ids, kinds = (len(set(part)) for part in zip(*pairs, strict=True))
            best[pattern] = words, ids + kinds, -ids
    if not best:
        said = "put each patient's files into a folder named by the id, or begin their names with it and _"
        raise ValueError(f"Whose the files are cannot be told from their paths: {said}.")
    return min(best, key=best.get)


def split_path(path: str, pattern: str) -> tuple[str, str]:
    """Return the patient's id in a path, and the path with ``*`` instead."""
    try:
        found = (re.search(pattern, path, re.IGNORECASE) or ["", ""])[1]
    except (re.error, IndexError, TypeError):  # no pattern, or one without a group
        found = ""
    if not found:
        raise ValueError(f"{path} does not match the pattern {pattern!r} (patient in map.yml): correct it.")
    # A folder may be called by name and number, and a file in it by the number alone.
    for part in [found, *re.findall(r"[A-Za-z]*\d{5,}", found)]:
        path = re.sub(rf"(?<![A-Za-z0-9]){re.escape(part)}(?![A-Za-z0-9])", "*", path)
    return found, path


def _after_contrast(series: list[Series]) -> set[str]:
    """Return the UIDs of T1 series after contrast that are called as those before it.

    Their headers name an agent, which those of others of the study do not; or none of the study is said to be
    enhanced by header or name, and they repeat name and plane of one before them.
    """
    found, studies = set(), {}
    for one in series:
        studies.setdefault((one.patient_id, one.study), []).append(one)
    for mine in studies.values():
        called = {one.uid: guess_series(one.description) for one in mine if not _is_flat(one)}
        plain = [one for one in mine if called.get(one.uid) == "t1w"]
        agents = {one.uid: str(one.header.get("ContrastBolusAgent", "")).lower() for one in plain}
        after = {uid for uid, agent in agents.items() if agent not in NONE}
        if not after and "cet1w" not in called.values():
            turns = [one.header.get("ImageOrientationPatient", ()) for one in plain]
            again = [
                one
                for one, turn in zip(plain, turns, strict=True)
                if one.description == plain[0].description and np.allclose(turn, turns[0], atol=0.1)
            ]
            after = {one.uid for one in again if one.uid != again[0].uid}
        found |= after if len(after) < len(agents) else set()
    return found


def _series_item(source: Path, series: Series, pattern: str, enhanced: set[str]) -> Item:
    patient = series.patient_id
    if pattern != HEADER:
        patient = split_path(series.files[0].relative_to(source).as_posix(), pattern)[0]
    path, kind, problem, names = series.files[0], series.description, "", {}
    kind += AFTER * (series.uid in enhanced)
    uids, frame = frozenset(), series.header.get("FrameOfReferenceUID", "")
    if series.modality in ("RTSTRUCT", "SEG"):
        kind = kind if series.modality in kind.upper() else f"{series.modality} {kind}"
        try:
            is_outlines = series.modality == "RTSTRUCT"
            names = (contours.structure_names(path) if is_outlines else contours.segment_names(path)).values()
            uids, frame = contours.dicom_references(path)
        # A damaged file raises whatever its bytes happen to mean.
        except Exception as error:
            problem = f"cannot be read: {' '.join(str(error).split())}"
    structures = {name: name for name in names}
    hint = FLAT if _is_flat(series) else kind
    return Item(patient, kind, path, series, structures, hint, series.header, frame, uids, problem)


def _is_flat(series: Series) -> bool:
    """Return whether it is a picture of the screen, or one slice of a localizer."""
    return len(series.files) * series.header.get("NumberOfFrames", 1) < 2


def _file_items(source: Path, paths: list[Path], pattern: str) -> list[Item]:
    channels, labels = _nnunet_names(source)
    items = []
    for path in paths:
        patient, kind = split_path(path.relative_to(source).as_posix(), pattern)
        channel = re.search(r"_(\d{4})" + SUFFIX, kind) if "images" in kind else None
        hint = f"{kind} {channels.get(channel.group(1), '') if channel else ''}".strip()
        structures, problem = {}, ""
        if not channel and (_is_called_mask(kind) or not guess_series(hint)):
            try:
                found = contours.label_maps(path)
                named = path.name.endswith(".seg.nrrd") and not all(name.isdigit() for name in found)
                structures = {name if named else labels.get(name, f"{kind} = {name}"): name for name in found}
            except ValueError as error:
                problem = str(error) if _is_called_mask(kind) else ""
        header = {} if structures or problem else _sidecar(path)
        said = str(header.get("SeriesDescription", ""))
        guessed = guess_series(hint)
        if (said and not guessed) or (guessed == "t1w" and guess_series(said) == "cet1w"):
            # Numbered files of two patients need not be of one series.
            kind = hint = f"{kind} ({said})"
        items.append(Item(patient, kind, path, None, structures, hint, header, problem=problem))
    return items


def _sidecar(path: Path) -> dict:
    """Return words and numbers of the JSON file beside an image, as BIDS has it and dcm2niix writes it."""
    try:
        said = read_json(path.with_name(re.sub(SUFFIX, ".json", path.name, flags=re.IGNORECASE)))
    except (FileNotFoundError, ValueError):
        return {}
    # Infinity and NaN are no JSON, and read as such.
    return {
        name: x
        for name, x in said.items()
        if isinstance(x, str) or (isinstance(x, int | float) and x - x == 0)
    }


def _is_called_mask(kind: str) -> bool:
    return kind.endswith(".seg.nrrd") or bool(
        re.search(
            r"(?:^|[^a-z])(?:dseg|seg|segmentation|masks?|labels?t?[rs]?|contours?|roi|gtv\w*)(?![a-z])",
            kind.lower(),
        )
    )


def _nnunet_names(source: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the names of channels (by ``0000``) and of labels (by value) that a ``dataset.json`` gives."""
    found = sorted(source.glob("dataset.json")) or sorted(source.glob("*/dataset.json"))
    try:
        said = read_json(found[0]) if found else {}
    except ValueError:
        said = {}
    said = {name: value for name, value in said.items() if isinstance(value, dict)}
    channels = said.get("channel_names", said.get("modality", {}))
    labels = {}
    for name, value in said.get("labels", {}).items():
        # The first version of nnU-Net wrote {"1": "tumour"}, the second {"tumour": 1}.
        name, value = (value, name) if str(name).isdigit() else (name, value)
        if not isinstance(value, list):
            labels[str(value)] = str(name)
    return {f"{int(n):04d}": str(name) for n, name in channels.items() if n.isdecimal()}, labels


def _words(name: str) -> str:
    """Return a name in lower case, words between single spaces; a plus and a run of Chinese are words."""
    apart = re.sub(r"([一-鿿]+|\+)", r" \1 ", name.lower().replace("sub-*", ""))
    return f" {' '.join(re.sub(r'[^0-9a-z+一-鿿]', ' ', apart).split())} "


def _says(name: str, meaning: str) -> bool:
    return bool(re.search(rf"(?<= )(?:{dictionary()['pictures'][meaning]})(?= )", _words(name)))


def guess_series(name: str) -> str:
    """Return what an image's name makes it: ``t1w``, ``t2w``, ``cet1w``, ``ignore``, or "" without a clue."""
    if _says(name, "other series"):
        return "ignore"
    if _says(name, "t2"):
        return "t2w"
    if _says(name, "t1"):
        return "cet1w" if _says(name, "contrast") or _says(name, "enhanced") else "t1w"
    return ""


def guess_structure(name: str) -> str:
    """Return what a structure's name makes it: ``tumour``, ``node`` or ``ignore``; "" without a clue."""
    # What is put together is what all parts are; a tumour with its nodes, or with a margin, is neither.
    if len(parts := {guess_structure(part) for part in name.split("+")} if "+" in name else ()) == 1:
        return parts.pop()
    if _says(name, "other structure") or _says(name, "margin"):
        return "ignore"
    return "node" if _says(name, "node") else "tumour" if _says(name, "tumour") else ""


def read_image(item: Item) -> sitk.Image:
    """Read an image of a file or series, without what else its header says.

    Raises
    ------
    ValueError
        If it is no single three-dimensional image of finite numbers.
    """
    picture = contours.as_3d(
        contours.read_picture(item.path) if item.series is None else read_series(item.series)
    )
    if (n := picture.GetNumberOfComponentsPerPixel()) != 1:
        raise ValueError(f"has {n} values a voxel: a single image is needed.")
    array = sitk.GetArrayFromImage(picture)
    if not np.isfinite(array).all():
        raise ValueError("has voxels that are not finite numbers.")
    # Made anew: a header's free text may name the patient.
    clean = sitk.GetImageFromArray(array.astype(np.float32) if array.dtype == np.float64 else array)
    clean.CopyInformation(picture)
    return clean
