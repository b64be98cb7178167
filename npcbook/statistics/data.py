"""What the estimators stand on: checked survival data, checked covariates, and sums over risk sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


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


@dataclass(frozen=True)
class RiskSets:
    """Patients of one stratum, arranged so that sums over risk sets are cumulative sums.

    One *step* is one event: with Efron's ties the k-th of d tied events (k = 0, ..., d - 1) sees the risk set
    less the fraction k / d of the tied patients, with Breslow's the whole of it.

    Attributes
    ----------
    rows : numpy.ndarray
        Original row numbers by ascending time; patients who leave before the first event are left out.
    covariates, event, weight : numpy.ndarray
        The data in that order.
    starts : numpy.ndarray
        Where the patients of each distinct event time begin.
    block : numpy.ndarray
        Per step, the number of its event time.
    fraction, step_weight, step_time : numpy.ndarray
        Per step: Efron's fraction, the mean weight of the tied events, the event time.
    """

    rows: np.ndarray
    covariates: np.ndarray
    event: np.ndarray
    weight: np.ndarray
    starts: np.ndarray
    block: np.ndarray
    fraction: np.ndarray
    step_weight: np.ndarray
    step_time: np.ndarray

    @classmethod
    def arrange(cls, time, event, covariates, weight, rows, ties: str) -> RiskSets:
        """Arrange the patients `rows`, among whom there is at least one event."""
        # Among equal times events come first, so that whoever is censored then is still at risk.
        order = rows[np.lexsort((~event[rows], time[rows]))]
        event_times, counts = np.unique(time[order][event[order]], return_counts=True)
        order = order[time[order] >= event_times[0]]
        block = np.repeat(np.arange(len(event_times)), counts)
        rank = np.arange(len(block)) - np.repeat(np.cumsum(counts) - counts, counts)
        event_weight = weight[order][event[order]]
        total = np.bincount(block, event_weight)
        return cls(
            rows=order,
            covariates=covariates[order],
            event=event[order],
            weight=weight[order],
            starts=np.searchsorted(time[order], event_times),
            block=block,
            fraction=rank / counts[block] if ties == "efron" else np.zeros(len(block)),
            step_weight=(total / counts)[block],
            step_time=event_times[block],
        )

    def over_steps(self, values: np.ndarray) -> np.ndarray:
        """Return, per step, the sum of a patient-wise quantity over the risk set."""
        at_risk = np.add.reduceat(values, self.starts, axis=0)[::-1].cumsum(axis=0)[::-1]
        sums = at_risk[self.block]
        if self.fraction.any():
            events = values[self.event]
            tied = np.add.reduceat(events, np.searchsorted(self.block, np.arange(len(self.starts))), axis=0)
            shape = (-1,) + (1,) * (values.ndim - 1)
            sums -= self.fraction.reshape(shape) * tied[self.block]
        return sums

    def moments(self, beta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """Return the log-likelihood and, per step, the risk-set sum, covariate mean and covariance."""
        x = self.covariates
        predictor = x @ beta
        shift = predictor.max()
        relative = self.weight * np.exp(predictor - shift)
        weighted = relative[:, None] * x
        total = self.over_steps(relative)
        mean = self.over_steps(weighted) / total[:, None]
        second = self.over_steps(weighted[:, :, None] * x[:, None, :]) / total[:, None, None]
        loglik = self.weight[self.event] @ predictor[self.event] - self.step_weight @ (np.log(total) + shift)
        return loglik, total * np.exp(shift), mean, second - mean[:, :, None] * mean[:, None, :]

    def evaluate(self, beta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return log-likelihood, gradient and information at `beta`."""
        loglik, _, mean, spread = self.moments(beta)
        gradient = self.weight[self.event] @ self.covariates[self.event] - self.step_weight @ mean
        return loglik, gradient, np.tensordot(self.step_weight, spread, axes=1)

    def score_residuals(self, beta: np.ndarray) -> np.ndarray:
        """Return each patient's (weighted) contribution to the gradient, in the order of `rows`."""
        _, total, mean, _ = self.moments(beta)
        hazard = self.step_weight / total
        tied = np.column_stack([hazard * self.fraction, (hazard * self.fraction)[:, None] * mean])
        steps = np.column_stack([hazard, hazard[:, None] * mean, tied, mean, np.ones_like(hazard)])
        by_block = np.add.reduceat(steps, np.searchsorted(self.block, np.arange(len(self.starts))), axis=0)
        p = self.covariates.shape[1]
        block = np.searchsorted(self.starts, np.arange(len(self.rows)), side="right") - 1
        cumulative = by_block[:, : p + 1].cumsum(axis=0)[block]
        own = by_block[block]
        # A tied event is only partly in the later sub-steps of its own event time.
        cumulative -= self.event[:, None] * own[:, p + 1 : 2 * p + 2]
        relative = np.exp(self.covariates @ beta)[:, None]
        expected = relative * (cumulative[:, :1] * self.covariates - cumulative[:, 1:])
        observed = self.covariates - own[:, 2 * p + 2 : -1] / own[:, -1:]
        return self.weight[:, None] * (self.event[:, None] * observed - expected)


def read_covariates(covariates: ArrayLike) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return covariates as a finite matrix with the names of its columns.

    Parameters
    ----------
    covariates : DataFrame, Series or array-like of shape (n, p) or (n,)
        Numbers or booleans; a text column must be dummy-coded first. No missing values.

    Returns
    -------
    values : numpy.ndarray, shape (n, p)
        The matrix as float64.
    names : tuple of str
        Column names; ``x1``, ``x2``, ... where there are none.

    Raises
    ------
    ValueError
        If a column is not numeric, or a value is missing or infinite.
    """
    if isinstance(covariates, pd.Series):
        covariates = covariates.to_frame(covariates.name if covariates.name is not None else "x1")
    elif not isinstance(covariates, pd.DataFrame):
        array = np.asarray(covariates)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2:
            raise ValueError(f"covariates have {array.ndim} dimensions; give a table of shape (n, p).")
        covariates = pd.DataFrame(array, columns=[f"x{j + 1}" for j in range(array.shape[1])])
    names = tuple(str(name) for name in covariates.columns)
    if not names or covariates.empty:
        raise ValueError("covariates have no columns or no rows; at least one of each is needed.")
    for name, column in zip(names, covariates.columns, strict=True):
        if not pd.api.types.is_numeric_dtype(covariates[column]):
            raise ValueError(
                f"covariate '{name}' holds {covariates[column].dtype}; numbers are allowed: code categories "
                f"as 0/1 columns, one per level beyond the reference (pandas.get_dummies)."
            )
    values = covariates.to_numpy(dtype=float, na_value=np.nan)
    if bad := [names[j] for j in np.flatnonzero(~np.isfinite(values).all(axis=0))]:
        raise ValueError(
            f"covariate(s) {bad} have missing or infinite values; only finite numbers are allowed: drop "
            f"those patients or impute first."
        )
    return values, names


def estimable_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns that vary and are not a combination of the columns before them.

    Parameters
    ----------
    table : DataFrame, shape (n, p)
        Numeric covariates without missing values.

    Returns
    -------
    list of str
        Names in the order of the table; what `read_design` takes without complaint.
    """
    kept = []
    for name in table if len(table) else ():
        columns = table[[*kept, name]].to_numpy(dtype=float)
        if np.linalg.matrix_rank(columns - columns.mean(axis=0)) == len(kept) + 1:
            kept.append(name)
    return kept


def read_design(time: ArrayLike, event: ArrayLike, covariates: ArrayLike):
    """Return checked data of a regression: time, event, matrix of covariates, their names.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (above 0) and event (1) or censoring (0).
    covariates : DataFrame, Series or array-like of shape (n, p)
        As for `read_covariates`.

    Returns
    -------
    time, event, values : numpy.ndarray
        As float64, bool and float64 of shape (n, p).
    names : tuple of str
        Names of the columns.

    Raises
    ------
    ValueError
        As `check_survival` and `read_covariates`, and if a column is constant or a sum of others.
    """
    values, names = read_covariates(covariates)
    time, event, _ = check_survival(time, event, covariates=values[:, 0])
    if constant := [names[j] for j in np.flatnonzero(np.ptp(values, axis=0) == 0)]:
        raise ValueError(
            f"covariate(s) {constant} have the same value in all {len(time)} patients; a hazard ratio needs "
            f"two different values: leave them out."
        )
    if np.linalg.matrix_rank(values - values.mean(axis=0)) < values.shape[1]:
        raise ValueError(
            f"covariates {list(names)} are collinear (one is a sum of others); leave out a redundant column."
        )
    return time, event, values, names
