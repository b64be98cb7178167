"""Series of DICOM files: which a folder holds, one of them as an image, and masks written beside them."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from npcbook.imaging.volumes import check_place, itk_errors
from npcbook.store import check_file_names, check_limit, spread

#: In what the slices of one image agree, beside their direction.
SHARED = "Rows Columns ImageType EchoTime PixelSpacing PhotometricInterpretation BitsAllocated "
SHARED += "BitsStored PixelRepresentation"
TAGS = (
    "SOPClassUID Modality SeriesInstanceUID StudyInstanceUID FrameOfReferenceUID SeriesDescription "
    "ProtocolName SequenceName SeriesNumber StudyDate SeriesTime PatientID PatientName PatientSex PatientAge "
    "PatientBirthDate Manufacturer ManufacturerModelName MagneticFieldStrength InstanceNumber NumberOfFrames "
    f"ImagePositionPatient ImageOrientationPatient StructureSetLabel ContrastBolusAgent {SHARED}"
).split()
#: Slices may lie this far from where equal steps would put them, in parts of a step.
UNEVEN = 0.02


@dataclass(frozen=True)
class Series:
    """Files that make one image, or one set of contours.

    Attributes
    ----------
    uid, study : str
        Series and study instance UID.
    modality : str
        ``MR``, ``RTSTRUCT``, ``SEG`` …
    description : str
        Series description, or what stands for it, without the patient's name.
    patient_id : str
        As in the header; may be empty.
    number : tuple
        Date of the study, number and time of the series: sorts repeated scans.
    files : tuple of path
        Slices in the order of space.
    header : dict
        What the first file says, by keyword.
    damaged : tuple of path
        Files beside the slices that may have been such, and cannot be read or say other things.
    """

    uid: str
    study: str
    modality: str
    description: str
    patient_id: str
    number: tuple
    files: tuple[Path, ...]
    header: dict = field(repr=False)
    damaged: tuple[Path, ...] = ()


def is_dicom(path: Path) -> bool:
    """Return whether a file begins as DICOM files do, or is called like one."""
    if path.suffix.lower() in (".dcm", ".ima"):
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def find_series(files: Iterable[Path]) -> list[Series]:
    """Sort DICOM files into series by their headers.

    Parameters
    ----------
    files : iterable of path
        Files of any kind. Of those for which `is_dicom` does not hold, such as are called like one that is
        but for digits count as damaged slices.

    Returns
    -------
    list of Series
        Images (slices of one direction, kind and echo) and sets of contours, by patient, date and number.
        Files of other kinds, such as reports, are left out.
    """
    files = sorted(path for path in files if path.name.upper() != "DICOMDIR")
    check_file_names(files)
    alike = {_call(path) for path in files if is_dicom(path)}
    files = [path for path in files if _call(path) in alike]
    jobs, size = [(path,) for path in files], {"n_jobs": -1 if len(files) > 2000 else 1, "batch_size": 200}
    headers = spread(read_header, jobs, description="headers", **size)
    groups, damaged = {}, []
    for path, header in zip(files, headers, strict=True):
        if header is None:
            damaged.append((path, path.parent))
        elif header.get("Rows") or header["Modality"] == "RTSTRUCT":
            groups.setdefault(_kind_of(path, header), []).append((path, header))
    # A slice that is alone in its kind, beside many of its series, has a header that is not its own.
    sizes = Counter(kind[0] for kind, group in groups.items() for _ in group)
    alone = [kind for kind, group in groups.items() if len(kind) > 2 and len(group) == 1 < sizes[kind[0]] - 3]
    damaged += [(groups.pop(kind)[0][0], kind[0]) for kind in alone]
    series = [_as_series(group, damaged) for group in groups.values()]
    return sorted(series, key=lambda s: (s.patient_id, s.number, s.description, s.files))


def _call(path: Path) -> tuple[Path, str]:
    return path.parent, re.sub("[0-9a-fA-F]+", "#", path.name)


def read_header(path: Path) -> dict | None:
    """Return what a file's header says of `TAGS` as plain values; None if it is damaged, or no DICOM file."""
    import pydicom

    try:
        data = pydicom.dcmread(path, specific_tags=TAGS, stop_before_pixels=True, force=True)
        header = {name: _plain(value) for name in TAGS if (value := data.get(name)) is not None}
        is_image = "Image Storage" in pydicom.uid.UID(header["SOPClassUID"]).name
    # A damaged file raises whatever its bytes happen to mean.
    except Exception:
        return None
    needed = {"Modality", "SeriesInstanceUID", *("Rows", "Columns") * is_image}
    return header if needed <= {name for name, value in header.items() if value} else None


def _plain(value: object) -> object:
    """Return a header's value as text, number or tuple; Chinese text whose character set is not told, too."""
    if isinstance(value, (int, float)):
        return float(value)
    if not isinstance(value, str) and hasattr(value, "__iter__") and not hasattr(value, "components"):
        return tuple(_plain(item) for item in value)
    text = str(value).strip()
    try:
        return text if text.isascii() else text.encode("latin-1").decode("gb18030")
    except UnicodeError:
        return text


def _kind_of(path: Path, header: dict) -> tuple:
    """Return what tells one image from another within a series: direction, size, contrast, echo."""
    if header["Modality"] in ("RTSTRUCT", "SEG") or header.get("NumberOfFrames", 1) > 1:
        return (header["SeriesInstanceUID"], path)
    turn = tuple(np.round(header.get("ImageOrientationPatient", ()), 2) + 0.0)
    return (header["SeriesInstanceUID"], turn, *(header.get(name, "") for name in SHARED.split()))


def _as_series(group: list[tuple[Path, dict]], damaged: list[tuple[Path, object]]) -> Series:
    normals = [
        (np.dot(slice_normal(h), h["ImagePositionPatient"]) if _is_placed(h) else 0.0) for _, h in group
    ]
    order = np.argsort(normals, kind="stable")
    files, first = tuple(group[i][0] for i in order), dict(group[order[0]][1])
    first["positions"] = [group[i][1].get("ImagePositionPatient", ()) for i in order]
    name = str(first.pop("PatientName", "")).replace("^", " ").replace("=", " ")
    described = ("SeriesDescription", "StructureSetLabel", "ProtocolName", "SequenceName")
    words = next((first[key] for key in described if first.get(key)), first["Modality"]).split()
    secret = {part.lower() for part in name.split()}
    description = " ".join("*" if word.lower() in secret else word for word in words)
    number = (first.get("StudyDate", ""), first.get("SeriesNumber", 0.0), first.get("SeriesTime", ""))
    uids = first["SeriesInstanceUID"], first.get("StudyInstanceUID", "")
    own = {uids[0], *(path.parent for path in files)}
    known = description, first.get("PatientID", ""), number, files, first
    return Series(*uids, first["Modality"], *known, tuple(path for path, of in damaged if of in own))


def _is_placed(header: dict) -> bool:
    return (
        len(header.get("ImageOrientationPatient", ())) == 6
        and len(header.get("ImagePositionPatient", ())) == 3
    )


def slice_normal(header: dict) -> np.ndarray:
    """Return the direction that is normal to a slice."""
    turn = np.reshape(header["ImageOrientationPatient"], (2, 3))
    return np.cross(turn[0], turn[1])


def read_series(series: Series) -> sitk.Image:
    """Read an image series.

    Parameters
    ----------
    series : Series
        From `find_series`.

    Returns
    -------
    SimpleITK.Image
        Three-dimensional, as stored (rescaled where the header says so).

    Raises
    ------
    ValueError
        If slices are damaged, missing, repeated, sheared, coloured or too large, or pixels cannot be read.
    """
    if damaged := ", ".join(path.name for path in series.damaged[:3]):
        said = "copy these again, or move them away"
        raise ValueError(f"beside its slices lie files that are damaged or unlike them ({damaged}): {said}.")
    if (kind := series.header.get("PhotometricInterpretation")) != "MONOCHROME2":
        raise ValueError(f"its pixels are {kind}, and grey values are needed that rise with the signal.")
    sides = [int(series.header.get(name, 1)) for name in ("Rows", "Columns", "NumberOfFrames")]
    check_limit("voxels", int(np.prod(sides)) * len(series.files), "it")
    image = _read_frames(series) if sides[2] > 1 else _read_slices(series)
    check_place(image, "it")
    return image


def _read_slices(series: Series) -> sitk.Image:
    direction, spacing = series_geometry(series)
    slices = []
    for path in series.files:
        with itk_errors(f"its slice {path.name}"):
            slices.append(sitk.GetArrayFromImage(sitk.ReadImage(path)))
    image = sitk.GetImageFromArray(np.concatenate(slices))
    image.SetOrigin(series.header["positions"][0])
    image.SetSpacing(spacing)
    image.SetDirection(direction.ravel().tolist())
    return image


def _read_frames(series: Series) -> sitk.Image:
    import highdicom

    try:
        volume = highdicom.imread(series.files[0]).get_volume()
    except Exception as error:
        raise ValueError(f"its frames make no volume: {' '.join(str(error).split())}") from error
    return volume.to_simpleitk()


def series_geometry(series: Series) -> tuple[np.ndarray, list[float]]:
    """Return direction cosines (columns x, y, z) and voxel size (x, y, z) in mm of a series of slices.

    Raises
    ------
    ValueError
        If slices lie one on another or nowhere, are missing, or are stacked askew.
    """
    if not _is_placed(series.header) or len(series.files) < 2 or "PixelSpacing" not in series.header:
        raise ValueError(f"its {len(series.files)} slice(s) make no volume.")
    places = np.array([place or [np.nan] * 3 for place in series.header["positions"]], dtype=float)
    steps = np.diff(places @ slice_normal(series.header))
    step = (places[-1] - places[0]) / (len(places) - 1)
    if not steps.min() >= 1e-3:
        said = "slices lie at one place, or say none: export each image as a series."
        raise ValueError(f"several of its {len(places)} {said}")
    if np.abs(steps - steps.mean()).max() > UNEVEN * steps.mean():
        raise ValueError(f"its slices are {steps.min():.2f} to {steps.max():.2f} mm apart: some are missing.")
    turn = np.reshape(series.header["ImageOrientationPatient"], (2, 3))
    cosines = np.column_stack([*turn, step / np.linalg.norm(step)])
    if np.abs(cosines.T @ cosines - np.eye(3)).max() > 1e-2:
        raise ValueError("its slices are stacked askew (tilted gantry): resample it before.")
    down, across = series.header["PixelSpacing"]
    # Cosines with six decimals are not quite at right angles: take the nearest that are.
    left, _, right = np.linalg.svd(cosines)
    return left @ right, [across, down, float(np.linalg.norm(step))]


def the_series(folder: str | os.PathLike) -> Series:
    """Return the only image series below a folder.

    Raises
    ------
    ValueError
        If there is none, or more than one.
    """
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    found = [s for s in find_series(files) if s.modality not in ("RTSTRUCT", "SEG")]
    if len(found) != 1:
        names = ", ".join(f"{s.description!r} ({len(s.files)} files)" for s in found)
        raise ValueError(
            f"{folder} holds {len(found)} image series{f': {names}' if names else ''}; give a folder with "
            "the DICOM files of one series."
        )
    return found[0]


def write_segmentation(
    path: str | os.PathLike, mask: np.ndarray, series: Series, labels: Sequence[str], *, maker: str
) -> None:
    """Write labels on the voxels of a series as DICOM SEG; patient and study are those of the series.

    Parameters
    ----------
    path : str or path
        File to write.
    mask : numpy.ndarray, shape (Z, Y, X), integer
        0 background, then a label for each name, on the series' own voxels as `read_series` gives them.
    series : Series
        The image.
    labels : sequence of str
        Names of the labels from 1 on.
    maker : str
        Name of the algorithm.
    """
    import highdicom
    import pydicom

    made_by = {"manufacturer": maker, "manufacturer_model_name": maker, "software_versions": "1"}
    written = highdicom.seg.Segmentation(
        source_images=[pydicom.dcmread(file) for file in series.files],
        pixel_array=mask.astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=_describe_segments(labels, maker),
        series_instance_uid=highdicom.UID(),
        series_number=9000,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        device_serial_number="0",
        omit_empty_frames=bool(mask.any()),
        **made_by,
    )
    written.save_as(path)


def _describe_segments(labels: Sequence[str], maker: str) -> list:
    """Return how DICOM describes tumour and nodes that a network drew."""
    import highdicom
    from pydicom.sr.codedict import codes

    family = codes.DCM.ArtificialIntelligence
    made = highdicom.AlgorithmIdentificationSequence(name=maker, version="1", family=family)
    category = codes.SCT.MorphologicallyAbnormalStructure
    drawn = {"algorithm_type": "AUTOMATIC", "algorithm_identification": made}
    kinds = (codes.SCT.Neoplasm, codes.SCT.LymphNode)
    return [
        highdicom.seg.SegmentDescription(number, label, category, kind, **drawn)
        for number, (label, kind) in enumerate(zip(labels, kinds, strict=True), start=1)
    ]
