"""How far a new image lies from those that a model learnt from."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

#: Percentiles of a normalised picture that stand for its intensities.
LEVELS = (1, 10, 25, 50, 75, 90, 99)
#: Share of the training patients that lie nearer than what counts as far.
NEAR = 0.99
#: One feature counts for no more than so many of its typical deviations.
MOST = 10.0
TO_SD = 1.4826  # of a normal distribution's median absolute deviation


def intensity_levels(pictures: np.ndarray) -> pd.DataFrame:
    """Return `LEVELS` of normalised pictures, shape (N, Z, Y, X): one row a picture, one column a level."""
    levels = np.percentile(pictures.reshape(len(pictures), -1), LEVELS, axis=1).T
    return pd.DataFrame(levels, columns=[f"percentile_{level}" for level in LEVELS])


def summarise(table: pd.DataFrame) -> dict:
    """Return what of the training patients is needed to see how far a new one lies from them.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a training patient, numbers in all columns.

    Returns
    -------
    dict
        Plain values: ``names``; ``median`` and ``scale`` of each column (median absolute deviation as a
        standard deviation, or the standard deviation where most values are equal, and nowhere below a
        twentieth of the typical scale); ``limit``, within which 99 % of these patients lie (all, of fewer
        than a hundred).
    """
    values = table.to_numpy(float)
    median = np.median(values, axis=0)
    spread, sd = TO_SD * np.median(np.abs(values - median), axis=0), values.std(axis=0)
    scale = np.where(spread > 0, spread, sd)
    floor = 0.05 * np.median(scale[scale > 0]) if (scale > 0).any() else 1.0
    found = {
        "names": list(table.columns),
        "median": median.tolist(),
        "scale": np.maximum(scale, floor).tolist(),
    }
    own = [measure_distance(row, found) for _, row in table.iterrows()]
    return found | {"limit": float(np.quantile(own, NEAR, method="higher"))}


def measure_distance(values: pd.Series, summary: Mapping) -> float:
    """Return how far a patient lies from the training patients.

    Parameters
    ----------
    values : pandas.Series
        The patient's numbers, by the names of the summary.
    summary : mapping
        From `summarise`.

    Returns
    -------
    float
        Root of the mean square of the deviations from the medians, each in units of its scale and at most
        `MOST`; about 1 for an ordinary patient.
    """
    deviations = (values[summary["names"]].to_numpy(float) - summary["median"]) / summary["scale"]
    return float(np.sqrt(np.mean(np.clip(deviations, -MOST, MOST) ** 2)))
