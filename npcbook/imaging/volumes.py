"""MR images and contours in files: reading, checking, writing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from npcbook.words import MASK_LABELS

GEOMETRY_TOLERANCE = 1e-3


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
    if not np.isin(found, list(MASK_LABELS)).all():
        raise ValueError(f"{path} has labels {found.tolist()}; allowed are {MASK_LABELS}: recode the others.")
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
