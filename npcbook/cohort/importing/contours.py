"""Contours of any make on the voxels of an image: DICOM RTSTRUCT and SEG, layered and cropped label maps."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from npcbook.imaging.volumes import itk_errors, open_picture

#: Two grids are one where no corner lies farther apart than this part of a voxel: far more than programs
#: round by, far less than would move a label.
SAME_VOXEL = 0.01
#: A voxel's centre belongs to a contour that runs through it, or misses it by this part of a voxel.
ON_LINE = 0.01
#: Contours may lie this part of a slice's thickness beside its middle and still count as drawn on it.
ON_SLICE = 0.1


def fill_contours(contours: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return the voxels of one slice whose centres lie within closed contours.

    Parameters
    ----------
    contours : sequence of numpy.ndarray, shape (points, 2)
        Corners (x, y) in voxels of the slice, the first voxel's centre being 0. Holes are contours of their
        own within another, or cut open along a line (keyhole): a centre is inside where a ray from it crosses
        the contours an odd number of times, or where a contour runs through it.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    numpy.ndarray of bool
        Of that shape.
    """
    crossed, on_line = np.zeros((shape[0], shape[1] + 1), dtype=np.int64), np.zeros(shape, dtype=bool)
    edges = np.concatenate([np.stack([line, np.roll(line, -1, axis=0)], axis=1) for line in contours])
    upward = edges[:, 1, 1] >= edges[:, 0, 1]
    (x0, y0), (x1, y1) = np.moveaxis(np.where(upward[:, None, None], edges, edges[:, ::-1]), 0, 2)
    # Each edge once for every row that it meets.
    first = np.ceil(y0 - ON_LINE).clip(0)
    count = (np.floor(y1 + ON_LINE).clip(max=shape[0] - 1) - first + 1).clip(0).astype(int)
    edge = np.repeat(np.arange(len(edges)), count)
    row = (np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]).astype(int)
    slope = (x1 - x0) / np.where(y1 > y0, y1 - y0, np.inf)
    x = x0[edge] + slope[edge] * (row.clip(y0[edge], y1[edge]) - y0[edge])
    # An edge owns its lower end and not its upper, so that a corner counts once.
    inner = (row >= y0[edge]) & (row < y1[edge])
    np.add.at(crossed, (row[inner], np.ceil(x[inner]).clip(0, shape[1]).astype(int)), 1)
    flat = (y1 - y0 <= 2 * ON_LINE)[edge]
    reach = np.where(flat, np.abs(x1 - x0)[edge], 0.0)
    low = np.where(flat, np.minimum(x0, x1)[edge], x)
    high = np.where(flat, np.minimum(x0, x1)[edge] + reach, x)
    for at, begin, end in zip(row, np.ceil(low - ON_LINE), np.floor(high + ON_LINE), strict=True):
        on_line[at, int(max(begin, 0)) : int(max(end + 1, 0))] = True
    return (np.cumsum(crossed, axis=1)[:, :-1] % 2 == 1) | on_line


def rasterise(contours: Sequence[np.ndarray], image: sitk.Image) -> tuple[np.ndarray, list[str]]:
    """Return the voxels of an image that one structure's contours enclose.

    Parameters
    ----------
    contours : sequence of numpy.ndarray, shape (points, 3)
        Closed contours in mm, towards the patient's left, back and head.
    image : SimpleITK.Image
        Whose slices (z) they are drawn on; it may be oblique, and its voxels need not be square.

    Returns
    -------
    tuple of numpy.ndarray of bool, shape (Z, Y, X), and list of str
        Mask, and what could not be taken as drawn.

    Raises
    ------
    ValueError
        If contours do not lie along the slices or lie outside the image, or if they enclose no voxel.
    """
    columns, rows, slices = image.GetSize()
    inverse = np.linalg.inv(np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing())
    places = [(points - image.GetOrigin()) @ inverse.T for points in contours if len(points) > 2]
    if not places:
        raise ValueError("has no closed contour.")
    heights = np.array([place[:, 2].mean() for place in places])
    if max(np.ptp(place[:, 2]) for place in places) > 2 * ON_SLICE:
        raise ValueError("has contours that do not lie along the image's slices.")
    if heights.min() < -0.5 or heights.max() > slices - 0.5:
        raise ValueError("has contours above or below the image.")
    # Contours of one height make one plane; of several planes near a slice, the nearest is drawn on it.
    planes = np.round(heights / ON_SLICE).astype(int)
    mask, off = np.zeros((slices, rows, columns), dtype=bool), 0
    for number in range(slices):
        mine = np.flatnonzero(np.rint(heights).clip(0, slices - 1) == number)
        if not len(mine):
            continue
        nearest = planes[mine[np.argmin(np.abs(heights[mine] - number))]]
        mask[number] = fill_contours([places[i][:, :2] for i in mine if planes[i] == nearest], mask.shape[1:])
        off += abs(nearest * ON_SLICE - number) > ON_SLICE or len(set(planes[mine])) > 1
    if not mask.any():
        raise ValueError("has contours that enclose no voxel's centre.")
    return mask, _doubts(mask, off)


def _doubts(mask: np.ndarray, off: int) -> list[str]:
    filled = np.flatnonzero(mask.any(axis=(1, 2)))
    gaps = int(np.ptp(filled)) + 1 - len(filled)
    said = []
    if off:
        said.append("has contours between slices, which were taken to the nearest")
    # Several nodes have gaps, too; but not one at every step.
    if gaps > 1 and gaps >= 0.8 * (len(filled) - 1):
        said.append("is drawn on every second slice or fewer, and has gaps")
    return said


def _corners(grid: sitk.Image, frame: sitk.Image) -> np.ndarray:
    """Return where the corners of a grid lie in voxels of another's frame, shape (8, 3)."""
    axes = [(0, size - 1) for size in grid.GetSize()]
    ends = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return np.array(
        [
            frame.TransformPhysicalPointToContinuousIndex(grid.TransformIndexToPhysicalPoint(end.tolist()))
            for end in ends
        ]
    )


def place_labels(labels: sitk.Image, image: sitk.Image, *, resample: bool = False) -> tuple[sitk.Image, str]:
    """Bring a label map onto the voxels of an image.

    Parameters
    ----------
    labels : SimpleITK.Image
        Labels on the image's voxels, on a box of them, or (with `resample`) on others.
    image : SimpleITK.Image
        Whose voxels are wanted.
    resample : bool
        Whether labels on other voxels may be resampled by nearest neighbour.

    Returns
    -------
    tuple of SimpleITK.Image and str
        Labels with the geometry of the image, and what was done ("" where nothing was).

    Raises
    ------
    ValueError
        If they lie on other voxels, or labels lie outside the image.
    """
    turned = sitk.DICOMOrient(labels, orientation(image))
    corners = _corners(turned, image)
    start = np.rint(corners[0]).astype(int)
    expected = start + _corners(turned, turned)
    if np.abs(corners - expected).max() > SAME_VOXEL:
        if not resample:
            raise ValueError(
                f"lies on other voxels ({grid_words(labels)}) than the image ({grid_words(image)}): set "
                f"resample: true in map.yml to have it resampled."
            )
        moved = sitk.Resample(labels, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        return moved, f"was resampled from {grid_words(labels)}"
    given = sitk.GetArrayFromImage(turned)
    whole = _paste(given, image.GetSize()[::-1], start[::-1])
    if np.count_nonzero(whole) < np.count_nonzero(given):
        raise ValueError("has labels outside the image.")
    placed = sitk.GetImageFromArray(whole)
    placed.CopyInformation(image)
    cropped = given.shape != whole.shape
    return placed, f"was pasted from a box of {_size_words(labels)} voxels" if cropped else ""


def _paste(box: np.ndarray, shape: tuple[int, ...], start: np.ndarray) -> np.ndarray:
    """Return zeros of a shape with a box put where it starts; what lies outside is lost."""
    whole, into, out_of = np.zeros(shape, dtype=box.dtype), [], []
    for begin, size, n in zip(start, box.shape, shape, strict=True):
        low, high = max(begin, 0), max(min(begin + size, n), 0)
        into.append(slice(low, max(high, low)))
        out_of.append(slice(low - begin, max(high, low) - begin))
    whole[tuple(into)] = box[tuple(out_of)]
    return whole


def orientation(image: sitk.Image) -> str:
    """Return the sides of the patient that x, y and z run to, such as "LPS"."""
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())


def _size_words(image: sitk.Image) -> str:
    return " × ".join(map(str, image.GetSize()))


def grid_words(image: sitk.Image) -> str:
    """Return size and voxel size (x, y, z) of an image in words."""
    return f"{_size_words(image)} voxels of {' × '.join(f'{size:.4g}' for size in image.GetSpacing())} mm"


def read_picture(path: Path) -> sitk.Image:
    """Read an image or label map of any number of axes; what ValueError says does not name the file."""
    try:
        with itk_errors(path):
            return open_picture(path).Execute()
    except ValueError as error:  # a place may name the patient
        raise ValueError(str(error).replace(f"{path}", "").strip()) from error


def label_maps(path: Path) -> dict[str, tuple[sitk.Image, int]]:
    """Return the structures of a label file: by name, the map that each lies in and its value there.

    Parameters
    ----------
    path : path
        ``.seg.nrrd`` of 3D Slicer, whose header names segments, layers and values in any order, or any other
        image of whole numbers, whose structures are named by their values.

    Raises
    ------
    ValueError
        If it is no label map.
    """
    picture = read_picture(path)
    layers = [picture]
    if (n := picture.GetNumberOfComponentsPerPixel()) > 1:
        layers = [sitk.VectorIndexSelectionCast(picture, i) for i in range(n)]
    layers = [as_3d(layer) for layer in layers]
    if stems := [key[:-5] for key in picture.GetMetaDataKeys() if re.fullmatch(r"Segment\d+_Name", key)]:
        return dict(_segment(picture, stem, layers) for stem in sorted(stems))
    values = np.unique(sitk.GetArrayViewFromImage(layers[0]))
    if len(values) > 256 or not np.array_equal(values, np.rint(values)):
        raise ValueError(f"holds {len(values)} different values: it is no label map.")
    return {str(int(value)): (layers[0], int(value)) for value in values if value}


def _segment(picture: sitk.Image, stem: str, layers: list[sitk.Image]) -> tuple[str, tuple[sitk.Image, int]]:
    """Return the name of a segment of 3D Slicer, its layer and its value there."""
    said = {
        key: picture.GetMetaData(f"{stem}_{key}")
        for key in ("Layer", "LabelValue")
        if picture.HasMetaDataKey(f"{stem}_{key}")
    }
    try:
        layer, value = layers[int(said.get("Layer", 0))], int(said.get("LabelValue", 1))
    except (ValueError, IndexError) as error:
        raise ValueError(f"has a header that contradicts itself ({stem}: {said}).") from error
    return picture.GetMetaData(f"{stem}_Name").strip(), (layer, value)


def as_3d(picture: sitk.Image) -> sitk.Image:
    """Return an image without a fourth axis of length one."""
    if picture.GetDimension() == 4 and picture.GetSize()[3] == 1:
        return picture[:, :, :, 0]
    if picture.GetDimension() != 3:
        raise ValueError(f"has {picture.GetDimension()} dimensions: a single image of three is needed.")
    return picture


def segment_names(path: Path) -> dict[int, str]:
    """Return the segments of a DICOM SEG file: number and name."""
    import pydicom

    data = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    return {int(one.SegmentNumber): str(one.SegmentLabel).strip() for one in data.SegmentSequence}


def dicom_segments(path: Path) -> dict[str, sitk.Image]:
    """Return the segments of a DICOM SEG file as maps of 0 and 1, by name; ValueError if they make none."""
    import highdicom

    stored, found = highdicom.seg.segread(path), {}
    for number, name in segment_names(path).items():
        try:
            volume = stored.get_volume(segment_numbers=[number], combine_segments=False)
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"has frames that make no volume: {' '.join(str(error).split())}") from error
        found[name] = volume.with_array((volume.array[..., 0] > 0.5).astype(np.uint8)).to_simpleitk()
    return found


def structure_names(path: Path) -> dict[int, str]:
    """Return the structures of an RTSTRUCT file that have contours: number and name."""
    import pydicom

    data = pydicom.dcmread(path, force=True)
    names = {int(roi.ROINumber): str(roi.ROIName).strip() for roi in data.get("StructureSetROISequence", [])}
    drawn = {
        int(roi.ReferencedROINumber) for roi in data.get("ROIContourSequence", []) if "ContourSequence" in roi
    }
    return {number: name for number, name in names.items() if number in drawn}


def read_contours(path: Path) -> dict[str, list[np.ndarray]]:
    """Return the closed contours of an RTSTRUCT file in mm, by name of the structure."""
    import pydicom

    names, found = structure_names(path), {}
    for roi in pydicom.dcmread(path, force=True).ROIContourSequence:
        if int(roi.ReferencedROINumber) not in names:
            continue
        lines = [c.ContourData for c in roi.ContourSequence if c.ContourGeometricType.startswith("CLOSED")]
        points = [np.array(line, dtype=float).reshape(-1, 3) for line in lines]
        found.setdefault(names[int(roi.ReferencedROINumber)], []).extend(points)
    return found


def merge(
    structures: Mapping[str, np.ndarray], labels: Mapping[str, int], image: sitk.Image
) -> tuple[sitk.Image, bool]:
    """Merge masks of structures, shape (Z, Y, X), into one label map on the voxels of an image.

    Returns
    -------
    tuple of SimpleITK.Image of uint8 and bool
        Labels (1 tumour, 2 node), and whether structures of two labels share a voxel; the tumour has it.
    """
    tumour, node = np.zeros((2, *image.GetSize()[::-1]), dtype=bool)
    for name, mask in structures.items():
        part = tumour if labels[name] == 1 else node
        part |= mask
    picture = sitk.GetImageFromArray(np.where(tumour, 1, 2 * node).astype(np.uint8))
    picture.CopyInformation(image)
    return picture, bool((tumour & node).any())


def dicom_references(path: Path) -> tuple[frozenset[str], str]:
    """Return which series a set of contours names as drawn on, and their frame of reference (or "")."""
    import pydicom

    data = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    uids, frames = set(), [data.get("FrameOfReferenceUID", "")]
    for frame in data.get("ReferencedFrameOfReferenceSequence", []):
        frames.append(frame.get("FrameOfReferenceUID", ""))
        for study in frame.get("RTReferencedStudySequence", []):
            uids |= {str(one.SeriesInstanceUID) for one in study.get("RTReferencedSeriesSequence", [])}
    uids |= {str(one.SeriesInstanceUID) for one in data.get("ReferencedSeriesSequence", [])}
    return frozenset(uids), str(next((frame for frame in reversed(frames) if frame), ""))
