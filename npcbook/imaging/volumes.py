"""MR images and contours with their place in the scanner: reading, turning, writing."""

import os
import re
import zlib
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from npcbook.imaging.nifti import FARTHEST_MM, SIZES_MM, check_nifti
from npcbook.store import check_limit, check_regular
from npcbook.words import MASK_LABELS

GEOMETRY_TOLERANCE = 1e-3
#: Of a standard deviation, in which preprocessed images are kept; and how many deviations are believed.
STEPS, FARTHEST = 256, 2**15
#: How many times the range of nearly all voxels a voxel may lie beyond it, and still be part of the picture.
REACH = 3.0
NEARLY_ALL = (0.5, 99.5)
#: How the headers of NRRD and MetaImage end; how they tell sides, and that voxels are packed or elsewhere.
HEADER = rb"(?s).*?(\n\r?\n|\nElementDataFile[^\n]*\n)"
SIDES = rb"(?im)^(space: *(ras|las|lps|(righ|lef)t-(anteri|posteri)or-superior)\s|transformmatrix *=)"
PACKED = rb"(?im)^(compresseddata *= *true|encoding: *gz)"
ELSEWHERE = rb"(?im)^(?:elementdatafile *=|data ?file:)(?! *local\s) *(.*\S)"
PADDING = (255, 4095, 32767, 65535, 2.0**31, 2.0**32)  # as single precision holds the highest of each type


@dataclass(frozen=True)
class Volume:
    """One sequence of one patient.

    Attributes
    ----------
    image : numpy.ndarray, shape (Z, Y, X), float32
        Intensities, in arbitrary units as scanned or in standard deviations after `normalise`.
    mask : numpy.ndarray, shape (Z, Y, X), uint8, or None
        0 background, 1 primary tumour, 2 lymph node; None where nothing was contoured.
    spacing : tuple of float
        Voxel size (z, y, x) in mm.
    origin : tuple of float
        Centre of the first voxel (x, y, z) in mm, towards the patient's left, back and head.
    direction : tuple of float
        Direction cosines of the axes x, y, z, as SimpleITK orders the nine.
    extremes : int
        How many voxels `without_extremes` set to the nearest value that belongs to the picture.
    """

    image: np.ndarray
    mask: np.ndarray | None
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    extremes: int = 0

    @property
    def extent(self) -> tuple[float, float, float]:
        """Size (z, y, x) in mm."""
        return tuple(float(n * size) for n, size in zip(self.image.shape, self.spacing, strict=True))

    @property
    def orientation(self) -> str:
        """Side of the patient that x, y and z run to, such as "LPS"; of an oblique image, the nearest."""
        return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(self.direction)


def to_sitk(array: np.ndarray, volume: Volume) -> sitk.Image:
    """Return an array (Z, Y, X) as a SimpleITK image on the voxels of a volume."""
    picture = sitk.GetImageFromArray(array)
    picture.SetSpacing([float(size) for size in reversed(volume.spacing)])
    picture.SetOrigin(volume.origin)
    picture.SetDirection(volume.direction)
    return picture


def from_sitk(picture: sitk.Image) -> Volume:
    """Return a SimpleITK image as a volume without a mask."""
    with np.errstate(over="ignore"):  # what does not fit is found as not finite
        image = sitk.GetArrayFromImage(picture).astype(np.float32, copy=False)
    spacing = tuple(float(size) for size in reversed(picture.GetSpacing()))
    return Volume(image, None, spacing, picture.GetOrigin(), picture.GetDirection())


def orient(volume: Volume, orientation: str) -> Volume:
    """Turn image and mask, without resampling, so that their axes run as `orientation` says ("LPS", say)."""
    turned = from_sitk(sitk.DICOMOrient(to_sitk(volume.image, volume), orientation))
    if volume.mask is None:
        return turned
    mask = sitk.DICOMOrient(to_sitk(volume.mask, volume), orientation)
    return replace(turned, mask=sitk.GetArrayFromImage(mask))


def read_volume(image_path: str | os.PathLike, mask_path: str | os.PathLike | None = None) -> Volume:
    """Read an image, and its contours if given.

    Parameters
    ----------
    image_path : str or path
        A three-dimensional scalar image in any format that SimpleITK reads, such as NIfTI or NRRD, or what
        `store_volume` wrote (``.npz``).
    mask_path : str or path, optional
        Labels on the same voxels: 0 background, 1 primary tumour, 2 lymph node.

    Returns
    -------
    Volume
        Image as float32, mask as uint8 or None.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the image is not three-dimensional or not finite, if the mask lies on other voxels, or if it has
        other labels.
    """
    stored = Path(image_path).suffix == ".npz"
    volume = load_volume(image_path) if stored else from_sitk(_read(image_path))
    _check_finite(volume, image_path)
    if mask_path is None:
        return volume
    labels = _read(mask_path)
    _check_same_voxels(volume, from_sitk(labels), image_path, mask_path)
    mask = _as_labels(sitk.GetArrayFromImage(labels), mask_path)
    if mask.all():
        raise ValueError(f"{mask_path} has no voxel of background (0): contour again.")
    return replace(volume, mask=mask)


def _read(path: str | os.PathLike) -> sitk.Image:
    reader = _open(path)
    with itk_errors(path):
        return reader.Execute()


@contextmanager
def itk_errors(what: str | os.PathLike):
    """Turn what SimpleITK cannot read into a ValueError of one sentence, without places in its own code."""
    try:
        yield
    except RuntimeError as error:
        line = [line for line in str(error).splitlines() if line.strip()][-1]
        said = line.rpartition("): ")[2].removeprefix("sitk::ERROR: ").partition(' for "')[0].strip(" .")
        raise ValueError(f"{what} cannot be read as an image: {said}.") from error


def _open(path: str | os.PathLike) -> sitk.ImageFileReader:
    """Open a single image of three dimensions."""
    reader = open_picture(path)
    dimensions, components = reader.GetDimension(), reader.GetNumberOfComponents()
    if dimensions != 3 or components != 1 or min(reader.GetSize()) < 2:
        raise ValueError(
            f"{path} has {dimensions} dimensions, a size of {reader.GetSize()} and {components} values a "
            f"voxel; a single three-dimensional image of more than one slice is needed: split or convert it."
        )
    check_place(reader, path)
    return reader


def open_picture(path: str | os.PathLike) -> sitk.ImageFileReader:
    """Look at a file and at what its header says, before any memory is taken for its voxels.

    Parameters
    ----------
    path : str or path
        NIfTI, NRRD or MetaImage, by its name; other formats do not tell how an image lies in the patient.

    Returns
    -------
    SimpleITK.ImageFileReader
        To be executed; the image may have more than three dimensions, or several values a voxel.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, is of another format, too large, cut off or damaged.
    """
    path = Path(path)
    check_regular(path)
    if is_nifti := path.name.lower().endswith((".nii", ".nii.gz")):
        check_nifti(path)
    elif path.suffix.lower() not in (".nrrd", ".mha", ".mhd"):
        raise ValueError(f"{path} is none of .nii.gz, .nii, .nrrd, .mha: convert it to NIfTI in one file.")
    # What ITK warns of is looked at here, with what follows from it.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(os.fspath(path))
    with itk_errors(path):
        reader.ReadImageInformation()
    voxels = int(np.prod(reader.GetSize(), dtype=np.int64)) * reader.GetNumberOfComponents()
    check_limit("voxels", voxels, path)
    if not is_nifti:
        bits = int(re.search(r"\d+", sitk.GetPixelIDValueAsString(reader.GetPixelID()))[0])
        _check_stored(path, voxels * bits // 8)
    return reader


def _check_stored(path: Path, wanted: int) -> None:
    """Raise ValueError unless a NRRD or MetaImage file tells sides, and holds so many bytes of voxels.

    ITK takes unknown sides for the usual ones, and asks for no checksum of what is packed.
    """
    with path.open("rb") as file:
        header = (re.match(HEADER, file.read(2**20)) or [b""])[0]
        file.seek(len(header))
        stored = file.read(wanted + 2**20)
    if not re.search(SIDES, header):
        raise ValueError(f"{path} does not tell left from right: convert it again, with the patient's sides.")
    if elsewhere := re.search(ELSEWHERE, header):
        data = path.parent / os.fsdecode(elsewhere[1])
        stored = data.read_bytes() if data.is_file() and data.stat().st_size < wanted + 2**20 else b""
    whole = len(stored) >= wanted
    if re.search(PACKED, header):
        unpack, whole = zlib.decompressobj(47), False  # with a head of gzip's or of zlib's
        with suppress(zlib.error):
            whole = len(unpack.decompress(stored, wanted + 1)) == wanted and unpack.eof
    if not whole:
        raise ValueError(f"{path} should hold {wanted:,} bytes of voxels, and does not: copy it again.")


def check_place(picture: sitk.ImageFileReader | sitk.Image, path: str | os.PathLike) -> None:
    """Raise ValueError if sizes, place or axes of an image cannot be those of a head."""
    sizes, turn = np.array(picture.GetSpacing()), np.reshape(picture.GetDirection(), (3, 3))
    far = not (np.abs(picture.GetOrigin()) < FARTHEST_MM).all()
    if far or not ((sizes >= SIZES_MM[0]) & (sizes <= SIZES_MM[1])).all():
        raise ValueError(
            f"{path} has voxels of {sizes} mm, the first at {picture.GetOrigin()}: convert it again."
        )
    if not np.allclose(turn.T @ turn, np.eye(3), atol=1e-2):
        raise ValueError(f"{path} has axes that are not at right angles ({turn.tolist()}): resample it.")


def _check_finite(volume: Volume, path) -> None:
    if not np.isfinite(volume.image).all():
        raise ValueError(f"{path} has voxels that are not finite numbers: replace them before use.")


def _check_same_voxels(volume: Volume, labels: Volume, image_path, mask_path) -> None:
    for name in ("size", "spacing", "origin", "direction"):
        ours, theirs = (v.image.shape if name == "size" else getattr(v, name) for v in (volume, labels))
        if not np.allclose(ours, theirs, rtol=0, atol=GEOMETRY_TOLERANCE):
            raise ValueError(
                f"{mask_path} has {name} {theirs} and {image_path} has {ours}: a mask must lie on "
                f"the voxels of its image; resample it there with nearest-neighbour interpolation."
            )


def _as_labels(array: np.ndarray, path) -> np.ndarray:
    found = np.unique(array)
    if not np.isin(found, list(MASK_LABELS)).all():
        raise ValueError(f"{path} has labels {found.tolist()}; allowed are {MASK_LABELS}: recode the others.")
    return array.astype(np.uint8)


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Read contours alone, without the image that they lie on.

    Parameters
    ----------
    path : str or path
        Labels: 0 background, 1 primary tumour, 2 lymph node.

    Returns
    -------
    numpy.ndarray, shape (Z, Y, X), uint8
        Labels.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        If it is not three-dimensional or has other labels. Its voxels are compared with those of no image:
        `read_volume` does that.
    """
    return _as_labels(sitk.GetArrayFromImage(_read(path)), path)


def write_mask(path: str | os.PathLike, volume: Volume) -> None:
    """Write a volume's mask as an image of its own, on the same voxels; the suffix decides the format."""
    labels = to_sitk(_as_labels(volume.mask, "mask"), volume)
    sitk.WriteImage(labels, os.fspath(path), useCompression=True, compressionLevel=1)


def write_segments(
    path: str | os.PathLike, volume: Volume, names: Sequence[str], colours: Sequence[str]
) -> None:
    """Write a volume's mask as 3D Slicer's segmentation (``.seg.nrrd``): label 1 has the first name."""
    labels = to_sitk(_as_labels(volume.mask, "mask"), volume)
    for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
        part = " ".join(f"{int(colour[i : i + 2], 16) / 255:.3f}" for i in (1, 3, 5))
        said = {"ID": f"Segment_{number + 1}", "Name": name, "LabelValue": number + 1}
        said |= {"Layer": 0, "Color": part}
        for key, value in said.items():
            labels.SetMetaData(f"Segment{number}_{key}", str(value))
    sitk.WriteImage(labels, os.fspath(path), useCompression=True)


def read_geometry(path: str | os.PathLike) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Read from an image's header which way its axes run, how large its field is, and how large a voxel.

    Parameters
    ----------
    path : str or path
        A three-dimensional image.

    Returns
    -------
    orientation : str
        See `Volume`.
    extent, spacing : tuple of float
        Size of the field, and of a voxel, (z, y, x) in mm.

    Raises
    ------
    FileNotFoundError, ValueError
        As of `read_volume`.
    """
    reader = _open(path)
    turn = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(reader.GetDirection())
    spacing = reader.GetSpacing()[::-1]
    return turn, tuple(n * mm for n, mm in zip(reader.GetSize()[::-1], spacing, strict=True)), spacing


def rounded(volume: Volume) -> Volume:
    """Round a preprocessed image as `store_volume` does, to 1/STEPS of a deviation; NaN from FARTHEST on."""
    image = np.where(np.abs(volume.image) < FARTHEST, np.rint(volume.image * STEPS) / STEPS, np.nan)
    return replace(volume, image=image.astype(np.float32))


def without_extremes(volume: Volume) -> Volume:
    """Set padding to the darkest and stray voxels to the nearest value of the picture; most images stay so.

    Parameters
    ----------
    volume : Volume
        As scanned.

    Returns
    -------
    Volume
        The same if it has no such voxel; `Volume.extremes` says how many there were.

    Notes
    -----
    Padding is a single negative value, or the highest that a type of number holds, farther from all others
    than these are from one another. Stray are voxels beyond the range of 99 % of the others by more than
    three times that range. One such voxel moves Otsu's threshold, and mean and deviation of the head, more
    than the head does.
    """
    image = volume.image
    kept, ends = image.ravel(), (image.min(), image.max())
    for padding, is_end in ((ends[0], ends[0] < 0), (ends[1], ends[1] in PADDING)):
        rest = kept[kept != padding] if is_end else kept[:0]
        if len(rest):
            low, high = np.percentile(rest, NEARLY_ALL)
            kept = rest if min(abs(low - padding), abs(high - padding)) > high - low else kept
    low, high = np.percentile(kept, NEARLY_ALL)
    reach = REACH * (high - low)
    kept = kept[(kept >= low - reach) & (kept <= high + reach)] if reach else kept
    clipped = np.clip(image, kept.min(), kept.max())
    if ends[1] in PADDING and kept.max() < ends[1]:
        clipped[image == ends[1]] = kept.min()
    changed = int((clipped != image).sum())
    return replace(volume, image=clipped, extremes=volume.extremes + changed) if changed else volume


def store_volume(path: str | os.PathLike, volume: Volume) -> None:
    """Write a preprocessed image, rounded, small and quick to read again (its mask stays with the cohort).

    Steps above the lowest are whole numbers of four bytes, two of which say nothing. Lowest, second, third
    and last bytes each lie together, which is what the compression needs.
    """
    place = {
        name: np.asarray(getattr(volume, name)) for name in ("spacing", "origin", "direction", "extremes")
    }
    _check_finite(volume := rounded(volume), "The preprocessed image")
    steps = (volume.image * STEPS).astype(np.int64)
    planes = np.moveaxis((steps - steps.min()).astype("<u4")[..., None].view(np.uint8), -1, 0)
    np.savez_compressed(path, planes=planes, least=steps.min(), **place)


def load_volume(path: str | os.PathLike) -> Volume:
    """Read an image that `store_volume` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        place = (tuple(stored[name].tolist()) for name in ("spacing", "origin", "direction"))
        planes = np.ascontiguousarray(np.moveaxis(stored["planes"], 0, -1))
        image = ((planes.view("<u4")[..., 0] + stored["least"]) / STEPS).astype(np.float32)
        return Volume(image, None, *place, extremes=int(stored["extremes"]))
