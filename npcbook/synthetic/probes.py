"""Simple probes: what can be measured of the disease, and of the scanner, by hand."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from npcbook.imaging import Volume

TUMOUR = 1  # label in masks


@dataclass(frozen=True)
class Probes:
    """What can be measured of the disease by hand, without a model.

    Attributes
    ----------
    volume_ml : float
        Volume within the tumour's contour on T2W.
    inside : float
        Logarithm of the coefficient of variation on T2W, one voxel in plane inside the contour.
    rim : float
        Mean logarithm of CET1W over T1W in tissue 1 to 9 mm outside the contour, less its median in tissue
        more than 25 mm away.
    """

    volume_ml: float
    inside: float
    rim: float


def probe_volumes(volumes: Mapping[str, Volume]) -> Probes:
    """Measure size, variation inside the contour and enhancement outside it.

    Parameters
    ----------
    volumes : mapping of str to Volume
        The three sequences of a patient, with contours, on grids of one shape.

    Returns
    -------
    Probes
        Plain measurements; NaN where the contour leaves nothing to measure.
    """
    t1w, t2w, cet1w = (volumes[name] for name in ("t1w", "t2w", "cet1w"))
    drawn = t2w.mask == TUMOUR
    core = ndimage.binary_erosion(drawn, np.ones((1, 3, 3)))
    values = t2w.image[core if core.sum() > 8 else drawn]
    inside = np.log(values.std() / values.mean()) if values.size > 1 else np.nan
    outside = ~((t1w.mask == TUMOUR) | (cet1w.mask == TUMOUR) | drawn)
    away = ndimage.distance_transform_edt(outside, sampling=t1w.spacing)
    tissue = t1w.image > np.percentile(t1w.image, 60)
    enhancement = np.log((cet1w.image + 1) / (t1w.image + 1))
    near, far = tissue & (away > 1) & (away < 9), tissue & (away > 25)
    rim = enhancement[near].mean() - np.median(enhancement[far]) if near.any() and far.any() else np.nan
    return Probes(float(drawn.sum() * np.prod(t2w.spacing) / 1000), float(inside), float(rim))


def intensity_profile(volumes: Mapping[str, Volume], *, standardise: bool = False) -> np.ndarray:
    """Return deciles of the intensities of all sequences: enough for a classifier to tell scanners apart.

    Parameters
    ----------
    volumes : mapping of str to Volume
        Sequences of a patient.
    standardise : bool
        Whether each image is first set to mean 0 and standard deviation 1.

    Returns
    -------
    numpy.ndarray, shape (9 * sequences,)
        Deciles, their logarithm if not standardised.
    """
    deciles = np.arange(10, 100, 10)
    images = [volume.image for volume in volumes.values()]
    if standardise:
        images = [(image - image.mean()) / image.std() for image in images]
        return np.concatenate([np.percentile(image, deciles) for image in images])
    return np.log1p(np.concatenate([np.percentile(image, deciles) for image in images]))
