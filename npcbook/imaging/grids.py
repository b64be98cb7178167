"""Volumes on a common grid, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from npcbook.imaging.preprocessing import load_masked_volume, load_volume
from npcbook.imaging.volumes import Volume


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
