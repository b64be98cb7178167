"""Series of DICOM files: which a folder holds, one of them as an image, and masks written beside them."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from npcbook.store import spread

TAGS = (
    "SOPClassUID Modality SeriesInstanceUID StudyInstanceUID FrameOfReferenceUID SeriesDescription "
    "ProtocolName SequenceName SeriesNumber StudyDate SeriesTime ImageType EchoTime PatientID PatientName "
    "PatientSex PatientAge PatientBirthDate Manufacturer ManufacturerModelName MagneticFieldStrength "
    "InstanceNumber ImagePositionPatient ImageOrientationPatient PixelSpacing Rows Columns NumberOfFrames "
    "StructureSetLabel"
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
    """

    uid: str
    study: str
    modality: str
    description: str
    patient_id: str
    number: tuple
    files: tuple[Path, ...]
    header: dict = field(repr=False)


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
        Files for which `is_dicom` holds.

    Returns
    -------
    list of Series
        Images (slices of one direction, kind and echo) and sets of contours, by patient, date and number.
        Files of other kinds, such as reports, are left out.
    """
    files = sorted(files)
    jobs, size = [(path,) for path in files], {"n_jobs": -1 if len(files) > 2000 else 1, "batch_size": 200}
    headers, groups = spread(read_header, jobs, description="headers", **size), {}
    for path, header in zip(files, headers, strict=True):
        if header and (header.get("Rows") or header["Modality"] == "RTSTRUCT"):
            groups.setdefault(_kind_of(path, header), []).append((path, header))
    series = [_as_series(group) for group in groups.values()]
    return sorted(series, key=lambda s: (s.patient_id, s.number, s.description, s.files))


def read_header(path: Path) -> dict | None:
    """Return what a file's header says of `TAGS` as plain values; None if it is no DICOM file."""
    import pydicom

    try:
        data = pydicom.dcmread(path, specific_tags=TAGS, stop_before_pixels=True, force=True)
        if "Modality" not in data or "SeriesInstanceUID" not in data:
            return None
        return {
            name: _plain(data[name].value) for name in TAGS if name in data and data[name].value is not None
        }
    # A damaged file raises whatever its bytes happen to mean.
    except Exception:
        return None


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
    told = (header.get(name, "") for name in ("Rows", "Columns", "ImageType", "EchoTime"))
    return (header["SeriesInstanceUID"], turn, *told)


def _as_series(group: list[tuple[Path, dict]]) -> Series:
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
    return Series(*uids, first["Modality"], description, first.get("PatientID", ""), number, files, first)


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
        If slices are missing, repeated or sheared, or the pixels cannot be read.
    """
    if series.header.get("NumberOfFrames", 1) > 1:
        return _read_frames(series)
    direction, spacing = series_geometry(series)
    try:
        slices = [sitk.GetArrayFromImage(sitk.ReadImage(path)) for path in series.files]
    except RuntimeError as error:
        raise ValueError(f"its pixels cannot be read: {str(error).strip().splitlines()[-1]}") from error
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
        If slices lie one on another, are missing, or are stacked askew.
    """
    if not _is_placed(series.header) or len(series.files) < 2:
        raise ValueError(f"its {len(series.files)} slice(s) make no volume.")
    places = np.array(series.header["positions"], dtype=float)
    steps = np.diff(places @ slice_normal(series.header))
    step = (places[-1] - places[0]) / (len(places) - 1)
    if steps.min() < 1e-3:
        raise ValueError(
            f"several of its {len(places)} slices lie at one place: export each image as a series."
        )
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
    files = [path for path in Path(folder).rglob("*") if path.is_file() and is_dicom(path)]
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
