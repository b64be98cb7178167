"""MR images: reading, bias-field correction, normalisation, and putting them on a common grid.

Volumes are ``(Z, Y, X)`` arrays and spacing is ``(z, y, x)`` in mm throughout; SimpleITK's own order is
the reverse, and is turned round here and nowhere else.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from joblib import Parallel, delayed
from scipy import ndimage

from npcbook.fingerprints import files_fingerprint, fingerprint, packages_fingerprint
from npcbook.progress import progress
from npcbook.runs import atomic_path

__all__ = [
    "LABELS",
    "ORDERS",
    "Volume",
    "bias_field",
    "correct_bias",
    "fit_grid",
    "head_mask",
    "intensity_landmarks",
    "load_masked_volume",
    "load_volume",
    "match_landmarks",
    "normalise",
    "plane_field",
    "predicted_mask_path",
    "preprocess",
    "preprocess_files",
    "preprocessed_path",
    "preprocessing_steps",
    "read_geometry",
    "read_mask",
    "read_volume",
    "resample",
    "restore_grid",
    "stack_on_grid",
    "store_volume",
    "write_mask",
]

LABELS = {0: "background", 1: "primary tumour", 2: "lymph node"}
ORDERS = ("n4-normalise", "normalise-n4")
GEOMETRY_TOLERANCE = 1e-3
LANDMARKS = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)


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
    """

    image: np.ndarray
    mask: np.ndarray | None
    spacing: tuple[float, float, float]


def read_volume(image_path: str | os.PathLike, mask_path: str | os.PathLike | None = None) -> Volume:
    """Read an image, and its contours if given, from any format that SimpleITK reads.

    Parameters
    ----------
    image_path : str or path
        A three-dimensional scalar image, such as NIfTI or NRRD.
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
    picture = _read(image_path)
    image = sitk.GetArrayFromImage(picture).astype(np.float32, copy=False)
    if not np.isfinite(image).all():
        raise ValueError(f"{image_path} has voxels that are not finite numbers: replace them before use.")
    mask = None
    if mask_path is not None:
        labels = _read(mask_path)
        _check_same_voxels(picture, labels, image_path, mask_path)
        mask = _as_labels(sitk.GetArrayFromImage(labels), mask_path)
    return Volume(image, mask, tuple(float(size) for size in reversed(picture.GetSpacing())))


def _read(path: str | os.PathLike) -> sitk.Image:
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no image file {path}.")
    picture = sitk.ReadImage(os.fspath(path))
    if picture.GetDimension() != 3 or picture.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(
            f"{path} has {picture.GetDimension()} dimensions and {picture.GetNumberOfComponentsPerPixel()} "
            f"values a voxel; a single three-dimensional image is needed: split or convert it."
        )
    return picture


def read_geometry(path: str | os.PathLike) -> tuple[str, tuple[float, float, float]]:
    """Read from an image's header which way its axes run and how large its field is.

    Parameters
    ----------
    path : str or path
        A three-dimensional image.

    Returns
    -------
    orientation : str
        Side of the patient that x, y and z run to, such as "LPS" (left, posterior, superior); of an oblique
        image, the nearest.
    extent : tuple of float
        Size (z, y, x) in mm.

    Raises
    ------
    RuntimeError
        From SimpleITK, if the file is missing or no three-dimensional image.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(os.fspath(path))
    reader.ReadImageInformation()
    turn = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(reader.GetDirection())
    sizes = zip(reader.GetSize()[::-1], reader.GetSpacing()[::-1], strict=True)
    return turn, tuple(n * size for n, size in sizes)


def _check_same_voxels(picture: sitk.Image, labels: sitk.Image, image_path, mask_path) -> None:
    for name in ("Size", "Spacing", "Origin", "Direction"):
        ours, theirs = getattr(picture, f"Get{name}")(), getattr(labels, f"Get{name}")()
        if not np.allclose(ours, theirs, rtol=0, atol=GEOMETRY_TOLERANCE):
            raise ValueError(
                f"{mask_path} has {name.lower()} {theirs} and {image_path} has {ours}: a mask must lie on "
                f"the voxels of its image; resample it there with nearest-neighbour interpolation."
            )


def _as_labels(array: np.ndarray, path) -> np.ndarray:
    found = np.unique(array)
    if not np.isin(found, list(LABELS)).all():
        raise ValueError(f"{path} has labels {found.tolist()}; allowed are {LABELS}: recode the others.")
    return array.astype(np.uint8)


def write_mask(path: str | os.PathLike, mask: np.ndarray, *, like: str | os.PathLike) -> None:
    """Write labels as an image with the position and spacing of another image.

    Parameters
    ----------
    path : str or path
        Where to write; the suffix decides the format.
    mask : numpy.ndarray, shape (Z, Y, X)
        0 background, 1 primary tumour, 2 lymph node.
    like : str or path
        Image whose voxels the mask lies on.

    Raises
    ------
    ValueError
        If the mask has another shape than the image, or other labels.
    """
    reference = _read(like)
    if mask.shape != reference.GetSize()[::-1]:
        raise ValueError(f"mask has shape {mask.shape}; {like} has {reference.GetSize()[::-1]}.")
    labels = sitk.GetImageFromArray(_as_labels(mask, "mask"))
    labels.CopyInformation(reference)
    sitk.WriteImage(labels, os.fspath(path), useCompression=True, compressionLevel=1)


def head_mask(image: np.ndarray) -> np.ndarray:
    """Return where the head is: the voxels above Otsu's threshold.

    Parameters
    ----------
    image : numpy.ndarray, shape (Z, Y, X)
        Intensities, arbitrary units.

    Returns
    -------
    numpy.ndarray, shape (Z, Y, X), bool
        True in tissue with signal; air and compact bone stay out.

    Raises
    ------
    ValueError
        If all voxels have the same value, so that there is nothing to separate.
    """
    if image.min() == image.max():
        raise ValueError(f"every voxel of the image is {image.min()}: it shows no head; check the file.")
    threshold = sitk.OtsuThresholdImageFilter()
    threshold.SetInsideValue(0)
    threshold.SetOutsideValue(1)
    return sitk.GetArrayFromImage(threshold.Execute(sitk.GetImageFromArray(image))).astype(bool)


def bias_field(
    image: np.ndarray,
    spacing: tuple[float, float, float],
    *,
    fit_size: int = 11,
    iterations: tuple[int, ...] = (10, 10),
    fwhm: float = 0.3,
) -> np.ndarray:
    """Estimate the coil's bias field by N4, fitted on an in-plane-shrunk copy of the image.

    Parameters
    ----------
    image : numpy.ndarray, shape (Z, Y, X)
        Intensities as scanned; voxels of zero or less take no part.
    spacing : tuple of float
        Voxel size (z, y, x) in mm.
    fit_size : int
        In-plane voxels of the copy along its shorter side, about. Slices are never merged: a stack of
        thick slices has too few of them to give any away.
    iterations : tuple of int
        Most iterations at each resolution of the field.
    fwhm : float
        Width of the assumed histogram of the field; a wider one takes larger steps.

    Returns
    -------
    numpy.ndarray, shape (Z, Y, X), float32
        Natural logarithm of the field, evaluated at full resolution; divide the image by its exponential.

    Notes
    -----
    The field is smooth, so a copy of 11 x 11 voxels in-plane determines it as well as the full image, in a
    small part of the time; with N4's default width (0.15) the same number of iterations recovers only a
    third of a planted field.

    References
    ----------
    Paper, "MRI information and preprocessing"; Tustison et al., IEEE Trans Med Imag 29:1310 (2010).
    """
    picture = sitk.GetImageFromArray(image.astype(np.float32, copy=False))
    picture.SetSpacing(spacing[::-1])
    shrink = max(1, round(min(image.shape[1:]) / fit_size))
    small = sitk.BinShrink(picture, [shrink, shrink, 1])
    inside = head_mask(sitk.GetArrayViewFromImage(small)) & (sitk.GetArrayViewFromImage(small) > 0)
    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    mask.CopyInformation(small)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    # One thread: patients run side by side, and the sum over threads would depend on their number.
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations(iterations)
    n4.SetBiasFieldFullWidthAtHalfMaximum(fwhm)
    n4.Execute(small, mask)
    return sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(picture))


def correct_bias(volume: Volume, **options) -> Volume:
    """Divide a volume by its bias field.

    Parameters
    ----------
    volume : Volume
        Intensities as scanned (positive in tissue).
    **options
        Passed to `bias_field`.

    Returns
    -------
    Volume
        Same mask and spacing.
    """
    field = bias_field(volume.image, volume.spacing, **options)
    return replace(volume, image=volume.image / np.exp(field))


def normalise(volume: Volume) -> Volume:
    """Express intensities in standard deviations from the mean of the head (z-scores).

    Parameters
    ----------
    volume : Volume
        Any unit.

    Returns
    -------
    Volume
        Mean 0 and standard deviation 1 over `head_mask`; background ends below.

    Notes
    -----
    Mean and deviation are taken inside the head, so that they do not depend on how much air the field of
    view holds.
    """
    inside = volume.image[head_mask(volume.image)].astype(np.float64)
    scaled = (volume.image - inside.mean()) / inside.std()
    return replace(volume, image=scaled.astype(np.float32))


def preprocess(volume: Volume, *, order: str = "n4-normalise", **options) -> Volume:
    """Correct the bias field and normalise, in either order.

    Parameters
    ----------
    volume : Volume
        As scanned.
    order : {"n4-normalise", "normalise-n4"}
        The order that makes sense (the field multiplies the signal, so it must be divided out before
        anything is subtracted), or the order in which the paper tells its steps.
    **options
        Passed to `bias_field`.

    Returns
    -------
    Volume
        Image in standard deviations from the mean of the head.

    Raises
    ------
    ValueError
        If `order` is neither.

    Notes
    -----
    N4 takes logarithms and z-scores are negative for half the head. In the published order the z-scores are
    therefore raised until the darkest voxel is zero, corrected, and lowered again.
    """
    _check_order(order)
    if order == "n4-normalise":
        return normalise(correct_bias(volume, **options))
    scaled = normalise(volume)
    lift = scaled.image.min()
    corrected = correct_bias(replace(scaled, image=scaled.image - lift), **options)
    return replace(corrected, image=corrected.image + lift)


def _check_order(order: str) -> None:
    if order not in ORDERS:
        raise ValueError(
            f"order is {order!r}; it must be one of {', '.join(ORDERS)}: correct it (in chapter 02, "
            f"preprocessing_order)."
        )


def preprocessing_steps(order: str, **options) -> pd.DataFrame:
    """Return the steps of `preprocess` with their parameters, to be kept with its results.

    Parameters
    ----------
    order : {"n4-normalise", "normalise-n4"}
        See `preprocess`.
    **options
        As passed to `bias_field`; the rest are its defaults.

    Returns
    -------
    pandas.DataFrame
        In the order taken: ``step``, ``parameter``, ``value`` (as text).

    Raises
    ------
    ValueError
        If `order` is neither.
    """
    _check_order(order)
    arguments = inspect.signature(bias_field).parameters.values()
    fit = {a.name: a.default for a in arguments if a.kind is a.KEYWORD_ONLY} | options
    steps = {
        "n4": [("bias field (N4, in Otsu's mask)", *pair) for pair in fit.items()],
        "normalise": [("normalisation", "mean and SD from", "Otsu's mask")],
    }
    rows = [row for step in order.split("-") for row in steps[step]]
    return pd.DataFrame(rows, columns=["step", "parameter", "value"]).astype(str)


def intensity_landmarks(volume: Volume) -> np.ndarray:
    """Return the percentiles of the head's intensities that `match_landmarks` maps onto a standard scale.

    Parameters
    ----------
    volume : Volume
        Any unit.

    Returns
    -------
    numpy.ndarray, shape (11,)
        1st percentile, deciles and 99th percentile within `head_mask`, rising.
    """
    return np.percentile(volume.image[head_mask(volume.image)], LANDMARKS)


def match_landmarks(volume: Volume, standard: np.ndarray) -> Volume:
    """Map intensities so that an image's landmarks fall on a standard learned from other images.

    Parameters
    ----------
    volume : Volume
        Any unit.
    standard : numpy.ndarray, shape (11,)
        Mean `intensity_landmarks` of the images that set the standard (of training patients, say).

    Returns
    -------
    Volume
        Intensities in the standard's unit.

    Notes
    -----
    Linear between landmarks, and beyond them with the slope between the outermost two. Once the standard is
    learned, an image needs no other image, and nothing about its scanner.

    References
    ----------
    Nyúl et al. (2000), as in medpy's ``IntensityRangeStandardization``.
    """
    own = intensity_landmarks(volume)
    inside = np.clip(volume.image, own[0], own[-1])
    slope = (standard[-1] - standard[0]) / (own[-1] - own[0])
    matched = np.interp(inside, own, standard) + slope * (volume.image - inside)
    return replace(volume, image=matched.astype(np.float32))


def _lattice(shape, spacing, grid, field_mm) -> tuple[np.ndarray, np.ndarray]:
    """Return where a centred grid over `field_mm` begins and how far it steps, in voxels of the volume."""
    step = np.asarray(field_mm, dtype=float) / grid / spacing
    start = (np.asarray(shape) - 1) / 2 - step * (np.asarray(grid) - 1) / 2
    return start, step


def fit_grid(volume: Volume, grid: tuple[int, int, int], *, field_mm=None) -> Volume:
    """Sample the centre of a volume on a grid of fixed size: image linearly, mask by nearest neighbour.

    Parameters
    ----------
    volume : Volume
        Any shape and spacing.
    grid : tuple of int
        Shape (Z, Y, X) wanted.
    field_mm : tuple of float, optional
        Extent (z, y, x) in mm of the centred field that the grid covers; default, the whole volume. Beyond
        the volume the image continues its border and the mask is background.

    Returns
    -------
    Volume
        Shape `grid`, spacing ``field_mm / grid``.
    """
    extent = np.asarray(volume.image.shape) * volume.spacing
    field_mm = tuple(extent) if field_mm is None else field_mm
    start, step = _lattice(volume.image.shape, volume.spacing, grid, field_mm)
    image = ndimage.affine_transform(volume.image, step, start, grid, order=1, mode="nearest")
    mask = volume.mask
    if mask is not None:
        mask = ndimage.affine_transform(mask, step, start, grid, order=0, mode="constant")
    return Volume(image, mask, tuple(float(f / g) for f, g in zip(field_mm, grid, strict=True)))


def restore_grid(mask: np.ndarray, shape: tuple[int, int, int], spacing, *, field_mm=None) -> np.ndarray:
    """Bring labels from the grid of `fit_grid` back to the voxels of the volume.

    Parameters
    ----------
    mask : numpy.ndarray, shape of the grid
        Labels, or any numbers, on the grid.
    shape : tuple of int
        Shape (Z, Y, X) of the volume.
    spacing : tuple of float
        Voxel size (z, y, x) of the volume in mm.
    field_mm : tuple of float, optional
        As given to `fit_grid`.

    Returns
    -------
    numpy.ndarray, shape `shape`
        Nearest-neighbour labels, 0 outside the field.
    """
    field_mm = np.asarray(shape) * spacing if field_mm is None else field_mm
    start, step = _lattice(shape, spacing, mask.shape, field_mm)
    return ndimage.affine_transform(mask, 1 / step, -start / step, shape, order=0, mode="constant")


def resample(volume: Volume, spacing: tuple[float, float, float] = (3.0, 3.0, 3.0)) -> Volume:
    """Resample a volume to another voxel size: image linearly, mask by nearest neighbour.

    Parameters
    ----------
    volume : Volume
        Any shape and spacing.
    spacing : tuple of float
        Voxel size (z, y, x) in mm wanted.

    Returns
    -------
    Volume
        Centred on the same point; as many voxels as are needed to cover the volume.
    """
    extent = np.asarray(volume.image.shape) * volume.spacing
    # A hair less than the quotient, so that rounding noise does not add a slice.
    grid = tuple(int(n) for n in np.ceil(extent / spacing - 1e-6))
    return fit_grid(volume, grid, field_mm=tuple(np.multiply(grid, spacing)))


def preprocessed_path(folder: str | os.PathLike, patient_id: str, sequence: str) -> Path:
    """Return where chapter 02's folder keeps the preprocessed image of a patient's sequence."""
    return Path(folder) / "preprocessed" / f"sub-{patient_id}_{sequence}.npz"


def predicted_mask_path(folder: str | os.PathLike, patient_id: str, sequence: str) -> Path:
    """Return where chapter 02's folder keeps the mask that the network drew on a patient's sequence."""
    return Path(folder) / "predicted" / f"sub-{patient_id}_{sequence}_dseg.nii.gz"


def store_volume(path: str | os.PathLike, volume: Volume, *, key: str = "") -> None:
    """Write a preprocessed image in half precision, quick to read again (the mask stays with the cohort).

    Parameters
    ----------
    path : str or path
        Ends in ``.npz``.
    volume : Volume
        Normalised: half precision keeps three digits of a z-score.
    key : str
        Fingerprint of what the image was made from.
    """
    np.savez(path, image=volume.image.astype(np.float16), spacing=np.asarray(volume.spacing), key=key)


def load_volume(path: str | os.PathLike, mask: np.ndarray | None = None) -> Volume:
    """Read an image that `store_volume` wrote, and put `mask` beside it."""
    with np.load(path, allow_pickle=False) as stored:
        return Volume(stored["image"].astype(np.float32), mask, tuple(stored["spacing"].tolist()))


def load_masked_volume(image_path: str | os.PathLike, mask_path: str | os.PathLike) -> Volume:
    """Read an image that `store_volume` wrote, and contours on its voxels.

    Parameters
    ----------
    image_path : str or path
        Preprocessed image, ``.npz``.
    mask_path : str or path
        Labels: 0 background, 1 primary tumour, 2 lymph node.

    Returns
    -------
    Volume
        Image as float32, mask as uint8.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the mask has another shape or voxel size than the image, or other labels. Where in the scanner
        it lies cannot be compared, because a preprocessed image does not say; `npcbook.cohort.check_cohort`
        compares it on the image as scanned.
    """
    picture, volume = _read(mask_path), load_volume(image_path)
    mask = _as_labels(sitk.GetArrayFromImage(picture), mask_path)
    for name, ours, theirs in (
        ("shape", volume.image.shape, mask.shape),
        ("spacing", volume.spacing, picture.GetSpacing()[::-1]),
    ):
        if not np.allclose(ours, theirs, rtol=0, atol=GEOMETRY_TOLERANCE):
            raise ValueError(
                f"{mask_path} has {name} {theirs} and {image_path} has {ours} (z, y, x): contours must lie "
                f"on the voxels of their image; list what differs with 'python -m npcbook check', or redo "
                f"chapter 02."
            )
    return replace(volume, mask=mask)


def preprocess_files(
    files: Sequence[tuple[Path, Path]], *, order: str = "n4-normalise", workers: int = 2, **options
) -> pd.DataFrame:
    """Preprocess many image files side by side, leaving alone what is already done.

    Parameters
    ----------
    files : sequence of (source, target)
        Image to read, and ``.npz`` file to write (see `store_volume`).
    order : {"n4-normalise", "normalise-n4"}
        See `preprocess`.
    workers : int
        Processes.
    **options
        Passed to `bias_field`.

    Returns
    -------
    pandas.DataFrame
        One row a file: ``source``, ``problem`` (empty if it went well). A file that cannot be preprocessed
        is reported here and has no target; the others are not held up by it.

    Raises
    ------
    ValueError
        If `order` is neither; every target is then left as it is.

    Notes
    -----
    A target is left alone if it was made from the same file content, by the same code, with the same
    settings and versions of the libraries. Each appears whole or not at all, so that a run may be stopped
    at any time.
    """
    _check_order(order)
    code = files_fingerprint([Path(__file__)], relative_to=Path(__file__).parent)
    settings = fingerprint(code, packages_fingerprint("SimpleITK", "numpy", "scipy"), order, options)
    jobs = (delayed(_preprocess_file)(source, target, order, options, settings) for source, target in files)
    run = Parallel(n_jobs=workers, return_as="generator", batch_size=8)
    problems = list(progress(run(jobs), total=len(files), description="preprocessing images"))
    return pd.DataFrame({"source": [str(source) for source, _ in files], "problem": problems})


def _preprocess_file(source: Path, target: Path, order: str, options: dict, settings: str) -> str:
    try:
        key = fingerprint(settings, hashlib.blake2b(Path(source).read_bytes()).hexdigest())
        if _stored_key(target) != key:
            volume = preprocess(read_volume(source), order=order, **options)
            with atomic_path(target) as temporary:
                store_volume(temporary, volume, key=key)
    # SimpleITK raises RuntimeError for whatever it cannot do.
    except (OSError, ValueError, RuntimeError) as error:
        Path(target).unlink(missing_ok=True)
        return f"{type(error).__name__}: {error}"
    return ""


def _stored_key(path: Path) -> str | None:
    """Return the key that a stored image was made under, or None where there is none to be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return str(stored["key"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def plane_field(volume: Volume, plane_mm: float | None) -> tuple[float, float, float]:
    """Return the field (z, y, x) in mm that a network looks at: all slices, and the middle of the plane.

    Parameters
    ----------
    volume : Volume
        As preprocessed.
    plane_mm : float or None
        Side of the square in the middle of each slice; None for the whole slice.

    Returns
    -------
    tuple of float
        Extent for `fit_grid` and `restore_grid`.
    """
    extent = [float(n * size) for n, size in zip(volume.image.shape, volume.spacing, strict=True)]
    return tuple(extent) if plane_mm is None else (extent[0], float(plane_mm), float(plane_mm))


def stack_on_grid(
    files: Sequence[tuple[Path, Path | None]], grid: tuple[int, int, int], *, plane_mm: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Read preprocessed images and their contours onto one grid.

    Parameters
    ----------
    files : sequence of (preprocessed image, contours)
        Contours may be None, and count as empty.
    grid : tuple of int
        Shape (Z, Y, X) of the network's input.
    plane_mm : float or None
        See `plane_field`.

    Returns
    -------
    tuple of numpy.ndarray
        Images, shape (N, Z, Y, X), float32, and labels of the same shape, uint8.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If contours have another shape or voxel size than their image, or other labels.
    """
    images = np.empty((len(files), *grid), dtype=np.float32)
    labels = np.zeros((len(files), *grid), dtype=np.uint8)
    for number, (image_path, mask_path) in enumerate(files):
        volume = load_volume(image_path) if mask_path is None else load_masked_volume(image_path, mask_path)
        volume = fit_grid(volume, grid, field_mm=plane_field(volume, plane_mm))
        images[number] = volume.image
        if volume.mask is not None:
            labels[number] = volume.mask
    return images, labels


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
        `read_volume` and `load_masked_volume` do that.
    """
    return _as_labels(sitk.GetArrayFromImage(_read(path)), path)
