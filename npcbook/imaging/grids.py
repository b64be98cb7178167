"""Volumes on a common grid, and back."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from npcbook.imaging.volumes import Volume, load_volume, read_volume, write_mask
from npcbook.store import keep, spacious


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
        Shape `grid`, spacing ``field_mm / grid``, where it lies in the scanner.
    """
    field_mm = volume.extent if field_mm is None else field_mm
    start, step = _lattice(volume.image.shape, volume.spacing, grid, field_mm)
    image = ndimage.affine_transform(volume.image, step, start, grid, order=1, mode="nearest")
    mask = volume.mask
    if mask is not None:
        mask = ndimage.affine_transform(mask, step, start, grid, order=0, mode="constant")
    spacing = tuple(float(f / g) for f, g in zip(field_mm, grid, strict=True))
    moved = np.reshape(volume.direction, (3, 3)) @ (start * volume.spacing)[::-1]
    return replace(volume, image=image, mask=mask, spacing=spacing, origin=tuple(volume.origin + moved))


def restore_grid(probability: np.ndarray, volume: Volume, *, field_mm=None) -> Volume:
    """Bring a prediction from the grid of `fit_grid` back to the voxels of the volume.

    Parameters
    ----------
    probability : numpy.ndarray, shape (labels, Z, Y, X), uint8
        Of labels 1, 2, ... on the grid, in 255ths; what is left is the background's.
    volume : Volume
        As given to `fit_grid`.
    field_mm : tuple of float, optional
        As given to `fit_grid`.

    Returns
    -------
    Volume
        The same image; as its mask the most probable label of each voxel, 0 outside the field.

    Notes
    -----
    Probabilities are interpolated, not labels: where the grid's voxels are not the image's, labels alone
    would move every edge to the nearest voxel.
    """
    shape, field_mm = volume.image.shape, volume.extent if field_mm is None else field_mm
    start, step = _lattice(shape, volume.spacing, probability.shape[1:], field_mm)
    there = [
        ndimage.affine_transform(
            one.astype(np.float32), 1 / step, -start / step, shape, order=1, mode="grid-constant"
        )
        for one in probability
    ]
    mask = np.argmax([255 - sum(there), *there], axis=0).astype(np.uint8)
    return replace(volume, mask=mask)


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
    return volume.extent if plane_mm is None else (volume.extent[0], float(plane_mm), float(plane_mm))


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
        If contours lie on other voxels than their image, or have other labels.
    """
    images, labels = (spacious((len(files), *grid), dtype) for dtype in (np.float32, np.uint8))

    def read(number: int) -> None:
        volume = read_volume(*files[number])
        volume = fit_grid(volume, grid, field_mm=plane_field(volume, plane_mm))
        images[number] = volume.image
        if volume.mask is not None:
            labels[number] = volume.mask

    # What takes time, unpacking and resampling, lets other threads run; where patients are shared out to
    # processes, each has one.
    with ThreadPoolExecutor(min(4, torch.get_num_threads())) as pool:
        list(pool.map(read, range(len(files))))
    return images, labels


def store_prediction(
    probability: np.ndarray, *, preprocessed: Path, target: Path, plane_mm: float | None
) -> None:
    """Bring a predicted mask back to the voxels of its image and keep it in a file.

    Parameters
    ----------
    probability : numpy.ndarray, shape (labels, Z, Y, X), uint8
        As in `restore_grid`.
    preprocessed : path
        The preprocessed image, which knows where the image as scanned lies.
    target : path
        Where to keep the mask; it is made again if they or the image change.
    plane_mm : float or None
        As given to `stack_on_grid`.
    """
    keep(target, _on_image, probability, preprocessed, plane_mm, read=Path, write=write_mask)


def _on_image(probability: np.ndarray, preprocessed: Path, plane_mm: float | None) -> Volume:
    volume = load_volume(preprocessed)
    return restore_grid(probability, volume, field_mm=plane_field(volume, plane_mm))
