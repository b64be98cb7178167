"""N4, the estimate of a receive coil's bias field, on a grid of voxels.

SimpleITK's N4 takes eight to ten times as long, because it places B-splines at scattered points one by one;
on a grid the same sums are products of small matrices along the axes. The fields agree to 2e-4 of their
logarithm (`tests/imaging/test_bias.py`).
"""

import numpy as np
import SimpleITK as sitk

BINS, PADDED = 200, 512  # of the histogram, and of its Fourier transform
WIENER_NOISE = 0.01
CONVERGED = 0.001  # coefficient of variation of the field's last change


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
    inside = sitk.OtsuThreshold(sitk.GetImageFromArray(image), 0, 1)
    return sitk.GetArrayFromImage(inside).astype(bool)


def bias_field(
    image: np.ndarray, *, fit_size: int = 11, iterations: tuple[int, ...] = (10, 10), fwhm: float = 0.3
) -> np.ndarray:
    """Estimate the coil's bias field by N4, fitted on an in-plane-shrunk copy of the image.

    Parameters
    ----------
    image : numpy.ndarray, shape (Z, Y, X)
        Intensities as scanned; voxels of zero or less take no part.
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
    third of a planted field. Equal to SimpleITK's ``N4BiasFieldCorrectionImageFilter`` on that copy.

    References
    ----------
    Paper, "MRI information and preprocessing"; Tustison et al., IEEE Trans Med Imag 29:1310 (2010).
    """
    shrink = max(1, round(min(image.shape[1:]) / fit_size))
    small = sitk.BinShrink(sitk.GetImageFromArray(image.astype(np.float32)), [shrink, shrink, 1])
    small = sitk.GetArrayFromImage(small).astype(float)
    inside = head_mask(small) & (small > 0)
    logs = np.log(small, where=inside, out=np.zeros_like(small))
    full = np.zeros(image.shape)
    for level, most in enumerate(iterations):
        field, lattice = _fit_level(logs, inside, 2**level, most, fwhm)
        logs = logs - field
        full += _along([basis.T for basis in _bases(image.shape, 2**level)], lattice)
    return full.astype(np.float32)


def _fit_level(logs, inside, spans: int, iterations: int, fwhm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the field that is found with so many spans of the spline, and its control points."""
    bases = _bases(logs.shape, spans)
    cubes = [basis**3 / np.square(basis).sum(axis=1, keepdims=True) for basis in bases]
    weight = _along([basis**2 for basis in bases], inside.astype(float))
    field, lattice, residual = np.zeros(logs.shape), np.zeros(weight.shape), np.zeros(logs.shape)
    for _ in range(iterations):
        values = (logs - field)[inside]
        residual[inside] = values - _sharpen(values, fwhm)
        # Lee's approximation: each point proposes a control point, and these are averaged by their weights.
        step = np.divide(_along(cubes, residual), weight, out=np.zeros_like(weight), where=weight > 0)
        change = _along([basis.T for basis in bases], step)
        field, lattice = field + change, lattice + step
        ratio = np.exp(-change[inside])
        if ratio.std(ddof=1) < CONVERGED * ratio.mean():
            break
    return field, lattice


def _bases(shape: tuple[int, ...], spans: int) -> list[np.ndarray]:
    """Return cubic B-splines, one a column, at the voxels along each axis."""
    bases = []
    for n in shape:
        place = np.linspace(0, spans, n)
        first = np.minimum(place.astype(int), spans - 1)
        t = place - first
        values = (1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3
        bases.append(np.zeros((n, spans + 3)))
        for shift, value in enumerate(values):
            bases[-1][np.arange(n), first + shift] = value / 6
    return bases


def _along(matrices: list[np.ndarray], array: np.ndarray) -> np.ndarray:
    """Return an array summed along each of its axes with the columns of a matrix for weights."""
    for matrix in matrices:
        array = np.tensordot(array, matrix, axes=(0, 0))
    return array


def _sharpen(values: np.ndarray, fwhm: float) -> np.ndarray:
    """Return log intensities as expected without the blur that a field of that width puts on a histogram."""
    low, step = values.min(), np.ptp(values) / (BINS - 1)
    if step == 0:
        return values
    place = (values - low) / step
    first = np.minimum(place.astype(int), BINS - 2)
    part = place - first
    middle = slice((PADDED - BINS) // 2, (PADDED - BINS) // 2 + BINS)
    counts = np.zeros(PADDED)
    counts[middle] = np.bincount(first, 1 - part, BINS) + np.bincount(first + 1, part, BINS)
    offset, width = np.minimum(np.arange(PADDED), PADDED - np.arange(PADDED)), fwhm / step
    blur = 2 * np.sqrt(np.log(2) / np.pi) / width * np.exp(-4 * np.log(2) * (offset / width) ** 2)
    blur = np.fft.rfft(blur).real
    sharp = np.fft.irfft(np.fft.rfft(counts) * blur / (blur**2 + WIENER_NOISE)).clip(0)
    centres = low + (np.arange(PADDED) - middle.start) * step
    above, below = (np.fft.irfft(np.fft.rfft(part) * blur) for part in (centres * sharp, sharp))
    expected = np.divide(above, below, out=np.zeros(PADDED), where=below != 0)[middle]
    return expected[first] + (expected[first + 1] - expected[first]) * part
