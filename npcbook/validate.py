"""Checks of what is handed to the estimators: one place, one wording."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["check_column", "check_survival", "check_varies"]


def check_column(name: str, values: ArrayLike) -> np.ndarray:
    """Return one argument as a finite, non-empty one-dimensional array of float64.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    values : array-like, shape (n,)
        Numbers or booleans. A missing value is an error: leave such rows out, or impute, beforehand.

    Returns
    -------
    numpy.ndarray, shape (n,)
        The values as float64.

    Raises
    ------
    ValueError
        If the values are not numbers, not one-dimensional, none at all, or not all finite.
    """
    try:
        # pandas' nullable columns hold pd.NA, which float() refuses with a message that names nothing.
        column = np.asarray(pd.Series(values).to_numpy(dtype=float, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a one-dimensional list of numbers, and could not be read as one ({error}): "
            f"give one number per patient."
        ) from error
    if column.size == 0:
        raise ValueError(f"{name} is empty; at least one patient is needed.")
    bad = np.flatnonzero(~np.isfinite(column))
    if bad.size:
        raise ValueError(
            f"{name} has {bad.size} missing or infinite value(s), the first at row {bad[0]}; "
            f"all must be finite: leave those rows out or impute them beforehand."
        )
    return column


def check_survival(
    time: ArrayLike, event: ArrayLike, *, need_event: bool = True, **columns: ArrayLike
) -> tuple[np.ndarray, ...]:
    """Return survival data as arrays of equal length, or say what is wrong with them.

    Rows are taken in the order given: the index of a pandas Series is not used to align.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, in any one unit; greater than 0.
    event : array-like, shape (n,)
        1 (or True) = event, 0 (or False) = censored.
    need_event : bool, default True
        Whether data without a single event are an error.
    **columns : array-like, shape (n,)
        Further columns, under the names to be used in messages.

    Returns
    -------
    tuple of numpy.ndarray, each of shape (n,)
        ``time`` (float64), ``event`` (bool), then the further columns (float64) in the order given.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing or infinite, a time is not positive, an event is neither 0
        nor 1, or there is no event although one is needed.
    """
    arrays = {name: check_column(name, v) for name, v in {"time": time, "event": event, **columns}.items()}
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"All columns must have one value per patient, but {found}: give equal lengths.")
    if (worst := arrays["time"].min()) <= 0:
        raise ValueError(
            f"time has values down to {worst:g} (row {arrays['time'].argmin()}); all must be greater than 0: "
            f"leave out patients without follow-up."
        )
    if odd := sorted(set(np.unique(arrays["event"])) - {0.0, 1.0}):
        raise ValueError(
            f"event has the value {odd[0]:g}; only 1 (event) and 0 (censored) are allowed: recode it."
        )
    if need_event and not arrays["event"].any():
        raise ValueError(
            f"event is 0 for all {lengths['event']} patients; at least one event is needed to estimate this."
        )
    arrays["event"] = arrays["event"].astype(bool)
    return tuple(arrays.values())


def check_varies(name: str, values: np.ndarray) -> None:
    """Refuse a column that is the same for everyone.

    Parameters
    ----------
    name : str
        The argument's name, for the message.
    values : numpy.ndarray, shape (n,)
        Finite numbers.

    Raises
    ------
    ValueError
        If all values are equal.
    """
    if values.min() == values.max():
        raise ValueError(
            f"{name} is {values[0]:g} for all {len(values)} patients; it must differ between them to rank or "
            f"divide them."
        )
