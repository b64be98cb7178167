"""Bias-field correction and normalisation of MR images, and keeping the result."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from npcbook.imaging.bias import bias_field, head_mask
from npcbook.imaging.volumes import Volume, load_volume, read_volume, store_volume, without_extremes
from npcbook.store import keep, spread

ORDERS = ("n4-normalise", "normalise-n4")
#: A head covers this share of its image, and its middle 98 % spread over this many standard deviations and
#: this many different values; else something that is no head decides.
HEAD_SHARE = (0.05, 0.98)
HEAD_SPREAD, HEAD_LEVELS = 1.0, 16
LANDMARKS = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)


def correct_bias(volume: Volume) -> Volume:
    """Divide a volume by its bias field; intensities as scanned are positive in tissue."""
    return replace(volume, image=volume.image / np.exp(bias_field(volume.image)))


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

    Raises
    ------
    ValueError
        If there is no head, or it has fewer different values than a scanner gives.

    Notes
    -----
    Mean and deviation are taken inside the head, so that they do not depend on how much air the field of
    view holds.
    """
    inside = _within_head(volume.image)
    scaled = (volume.image - inside.mean()) / inside.std()
    return replace(volume, image=scaled.astype(np.float32))


def _within_head(image: np.ndarray) -> np.ndarray:
    values = image[head_mask(image)].astype(np.float64)
    if (levels := len(np.unique(values))) < HEAD_LEVELS:
        raise ValueError(
            f"what stands out has {levels} different values; that is no head: look at the image."
        )
    return values


def preprocess(volume: Volume, *, order: str = "n4-normalise") -> Volume:
    """Correct the bias field and normalise, in either order.

    Parameters
    ----------
    volume : Volume
        As scanned.
    order : {"n4-normalise", "normalise-n4"}
        The order that makes sense (the field multiplies the signal, so it must be divided out before
        anything is subtracted), or the order in which the paper tells its steps.

    Returns
    -------
    Volume
        Image in standard deviations from the mean of the head.

    Raises
    ------
    ValueError
        If `order` is neither, or if what was found cannot be a head (see `check_head`).

    Notes
    -----
    Padding and stray voxels are set aside first (`without_extremes`). N4 takes logarithms and z-scores are
    negative for half the head. In the published order the z-scores are therefore raised until the darkest
    voxel is zero, corrected, and lowered again.
    """
    _check_order(order)
    volume = without_extremes(volume)
    _within_head(volume.image)  # as stored: the bias field makes many values of one
    if order == "n4-normalise":
        result = normalise(correct_bias(volume))
    else:
        scaled = normalise(volume)
        lift = scaled.image.min()
        corrected = correct_bias(replace(scaled, image=scaled.image - lift))
        result = replace(corrected, image=corrected.image + lift)
    check_head(result)
    return result


def check_head(volume: Volume) -> tuple[float, int]:
    """Check that what stands out of an image can be a head.

    Parameters
    ----------
    volume : Volume
        In standard deviations, as `preprocess` makes it.

    Returns
    -------
    share : float
        Of the voxels that lie in the head, 0 to 1.
    levels : int
        Different values that they have, in steps of a tenth of a standard deviation.

    Raises
    ------
    ValueError
        If values are not finite; if the head is nearly nothing or nearly all of the image; if a few voxels
        are so far from the others that these hardly differ, or there are too few different values.
    """
    if not np.isfinite(volume.image).all():
        raise ValueError("the bias field or the normalisation has no finite result: check the image.")
    inside = head_mask(volume.image)
    share, values = float(inside.mean()), volume.image[inside]
    low, high = np.percentile(values, (1, 99))
    levels = len(np.unique(np.round(values, 1)))
    if not HEAD_SHARE[0] <= share <= HEAD_SHARE[1] or high - low < HEAD_SPREAD or levels < HEAD_LEVELS:
        raise ValueError(
            f"what stands out covers {share:.1%} of the image and has {levels} grey levels over "
            f"{high - low:.1f} standard deviations; that is no head: look at the image, crop it, or correct "
            "what outshines it."
        )
    return share, levels


def _check_order(order: str) -> None:
    if order not in ORDERS:
        raise ValueError(f"the order of preprocessing is {order!r}; it must be one of {', '.join(ORDERS)}.")


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
    image = without_extremes(volume).image
    return np.percentile(image[head_mask(image)], LANDMARKS)


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


def preprocessed_path(folder: str | os.PathLike, patient_id: str, sequence: str) -> Path:
    """Return where a folder of networks keeps the preprocessed image of a patient's sequence."""
    return Path(folder) / "preprocessed" / f"sub-{patient_id}_{sequence}.npz"


def predicted_mask_path(folder: str | os.PathLike, patient_id: str, sequence: str) -> Path:
    """Return where a folder of networks keeps the mask that one drew on a patient's sequence."""
    return Path(folder) / "predicted" / f"sub-{patient_id}_{sequence}_dseg.nii.gz"


def _preprocess_file(source: Path, order: str) -> Volume:
    return preprocess(read_volume(source), order=order)


def preprocess_files(
    files: Sequence[tuple[Path, Path]], *, order: str = "n4-normalise", workers: int = 2
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

    Returns
    -------
    pandas.DataFrame
        One row a file: ``source``, ``problem`` (empty if it went well), ``extremes`` (see `Volume`),
        ``share`` and ``levels`` (see `check_head`). A file that cannot be preprocessed is reported here and
        has no target; the others are not held up by it.

    Raises
    ------
    ValueError
        If `order` is neither; every target is then left as it is.

    Notes
    -----
    A target is left alone if it was made from the same file content, by the same code, with the same
    settings and versions of the libraries (`npcbook.store.keep`).
    """
    _check_order(order)
    jobs, size = [(*pair, order) for pair in files], {"n_jobs": workers, "batch_size": 8}
    found = list(spread(_keep_preprocessed, jobs, description="preprocessing images", **size))
    columns = ["source", "problem", "extremes", "share", "levels"]
    return pd.DataFrame(
        [(str(source), *f) for (source, _), f in zip(files, found, strict=True)], columns=columns
    )


def _keep_preprocessed(source: Path, target: Path, order: str) -> tuple[str, int, float, int]:
    try:
        volume = keep(target, _preprocess_file, Path(source), order, read=load_volume, write=store_volume)
        # Once more: rounding may have taken what lay at the edge beyond it.
        return "", volume.extremes, *check_head(volume)
    # SimpleITK raises RuntimeError for whatever it cannot do.
    except (OSError, ValueError, RuntimeError) as error:
        Path(target).unlink(missing_ok=True)
        return f"{type(error).__name__}: {error}", 0, np.nan, 0
