"""What the estimators stand on: checked survival data and covariates, counts and sums over risk sets.

Risk sets stand here because lifelines, scikit-survival and statsmodels keep theirs inside their fits: these
serve Cox, Firth, LASSO and ridge alike, and a Cox fit (n = 549, 9 covariates) takes 16 ms against 113 and 64.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

#: All limits are at the 95 % level.
Z95 = float(stats.norm.isf(0.025))


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
        raise ValueError(f"{name} must be a one-dimensional list of numbers, one each ({error}).") from error
    if column.size == 0:
        raise ValueError(f"{name} is empty; at least one patient is needed.")
    bad = np.flatnonzero(~np.isfinite(column))
    if bad.size:
        values = f"{bad.size} missing or infinite value(s), the first at row {bad[0]}"
        raise ValueError(f"{name} has {values}; leave those rows out or impute them beforehand.")
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
    time, event, *others = arrays.values()
    if len({len(values) for values in arrays.values()}) > 1:
        found = ", ".join(f"{name} has {len(values)}" for name, values in arrays.items())
        raise ValueError(f"All columns must have one value per patient, but {found}: give equal lengths.")
    if time.min() <= 0:
        where = f"{time.min():g} (row {time.argmin()})"
        raise ValueError(f"time has values down to {where}; leave out patients without follow-up.")
    if odd := sorted(set(event) - {0.0, 1.0}):
        raise ValueError(f"event has the value {odd[0]:g}; recode it: 1 is an event, 0 censored.")
    if need_event and not event.any():
        allowed = "at least one event is needed to estimate this."
        raise ValueError(f"event is 0 for all {len(event)} patients; {allowed}")
    return time, event.astype(bool), *others


def check_risks(time: ArrayLike, event: ArrayLike, **risks: ArrayLike) -> tuple[np.ndarray, ...]:
    """Return survival data with risk scores, each of which must differ between patients.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        As for `check_survival`.
    **risks : array-like, shape (n,)
        Scores, under the names to be used in messages.

    Returns
    -------
    tuple of numpy.ndarray, each of shape (n,)
        ``time``, ``event``, then the scores in the order given.

    Raises
    ------
    ValueError
        As `check_survival`, and if all values of a score are equal.
    """
    checked = check_survival(time, event, **risks)
    for name, values in zip(risks, checked[2:], strict=True):
        if values.min() == values.max():
            raise ValueError(f"{name} is {values[0]:g} for all {len(values)} patients; it must differ.")
    return checked


def event_table(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the distinct times and, at each, how many are still followed, have the event, are censored."""
    times, position = np.unique(time, return_inverse=True)
    leaving, events = np.bincount(position), np.bincount(position[event], minlength=len(times))
    return times, leaving[::-1].cumsum()[::-1], events, leaving - events


def survival_before(
    time: np.ndarray, event: np.ndarray, at: ArrayLike, *, of_censoring: bool = False
) -> np.ndarray:
    """Return the Kaplan–Meier probability of no event, or no censoring, before each of the times `at`."""
    times, at_risk, left, censored = event_table(time, event)
    if of_censoring:
        # Events leave before censorings at the same time.
        left, at_risk = censored, np.maximum(at_risk - left, 1)
    return np.append(1.0, np.cumprod(1 - left / at_risk))[np.searchsorted(times, at)]


class RiskSets:
    """Patients, among them one event or more, arranged so that sums over risk sets are cumulative sums.

    One *step* is one event: with Efron's ties the k-th of d tied events (k = 0, ..., d - 1) sees the risk set
    less the fraction k / d of the tied patients, with Breslow's the whole of it.

    Attributes
    ----------
    rows : numpy.ndarray
        Original row numbers by ascending time; patients who leave before the first event are left out.
    covariates, event, weight : numpy.ndarray
        The data in that order.
    own : numpy.ndarray
        Per patient in that order, the number of the last event time up to the patient's own.
    starts, first : numpy.ndarray
        Where the patients, and the steps, of each distinct event time begin.
    block : numpy.ndarray
        Per step, the number of its event time.
    fraction, step_weight, step_time : numpy.ndarray
        Per step: Efron's fraction, the mean weight of the tied events, the event time.
    """

    def __init__(self, time, event, covariates, weight=None, ties: str = "efron"):
        # Among equal times events come first, so that whoever is censored then is still at risk.
        order = np.lexsort((~event, time))
        event_times, deaths = np.unique(time[event], return_counts=True)
        self.rows = order = order[time[order] >= event_times[0]]
        self.covariates, self.event = covariates[order], event[order]
        self.weight = np.ones(len(order)) if weight is None else weight[order]
        self.starts, self.first = np.searchsorted(time[order], event_times), np.cumsum(deaths) - deaths
        self.own = np.repeat(np.arange(len(deaths)), np.diff(self.starts, append=len(order)))
        self.block = np.repeat(np.arange(len(deaths)), deaths)
        rank = np.arange(len(self.block)) - self.first[self.block]
        self.fraction = rank / deaths[self.block] * (ties == "efron")
        self.step_weight = (np.bincount(self.block, self.weight[self.event]) / deaths)[self.block]
        self.step_time = event_times[self.block]

    def at_risk(self, values: np.ndarray) -> np.ndarray:
        """Return, per distinct event time, the sum of a patient-wise quantity over those at risk."""
        return np.add.reduceat(values, self.starts, axis=0)[::-1].cumsum(axis=0)[::-1]

    def over_steps(self, values: np.ndarray) -> np.ndarray:
        """Return, per step, the sum of a patient-wise quantity over the risk set."""
        sums = self.at_risk(values)[self.block]
        if self.fraction.any():
            tied = np.add.reduceat(values[self.event], self.first, axis=0)[self.block]
            sums -= self.fraction.reshape(-1, *[1] * (values.ndim - 1)) * tied
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
        by_block, p = np.add.reduceat(steps, self.first, axis=0), self.covariates.shape[1]
        cumulative, own = by_block[:, : p + 1].cumsum(axis=0)[self.own], by_block[self.own]
        # A tied event is only partly in the later sub-steps of its own event time.
        cumulative -= self.event[:, None] * own[:, p + 1 : 2 * p + 2]
        relative = np.exp(self.covariates @ beta)[:, None]
        expected = relative * (cumulative[:, :1] * self.covariates - cumulative[:, 1:])
        observed = self.covariates - own[:, 2 * p + 2 : -1] / own[:, -1:]
        return self.weight[:, None] * (self.event[:, None] * observed - expected)


def event_strata(event: np.ndarray, strata: ArrayLike | None) -> list[np.ndarray]:
    """Return which rows (n,) belong to each stratum that has an event; one of all rows without strata."""
    codes = np.zeros(len(event), dtype=int) if strata is None else pd.factorize(np.asarray(strata))[0]
    if len(codes) != len(event) or (codes < 0).any():
        found = f"{len(codes)} values, {int((codes < 0).sum())} of them missing"
        raise ValueError(f"strata has {found}, and time has {len(event)}; give every patient a stratum.")
    return [codes == code for code in np.unique(codes) if event[codes == code].any()]


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
    if covariates.empty:
        raise ValueError("covariates have no columns or no rows; at least one of each is needed.")
    for name, kind in zip(names, covariates.dtypes, strict=True):
        if not pd.api.types.is_numeric_dtype(kind):
            remedy = "code categories as 0/1 columns, one per level beyond the reference (pandas.get_dummies)"
            raise ValueError(f"covariate '{name}' holds {kind}; {remedy}.")
    values = covariates.to_numpy(dtype=float, na_value=np.nan)
    if bad := [names[j] for j in np.flatnonzero(~np.isfinite(values).all(axis=0))]:
        raise ValueError(
            f"covariate(s) {bad} have missing or infinite values: drop those patients or impute."
        )
    return values, names


def estimable_columns(
    table: pd.DataFrame, time: ArrayLike | None = None, event: ArrayLike | None = None
) -> list[str]:
    """Return the columns that vary and are not a combination of the columns before them.

    Parameters
    ----------
    table : DataFrame, shape (n, p)
        Numeric covariates without missing values.
    time, event : array-like, shape (n,), optional
        Follow-up of the same patients: what counts then is whether columns vary among the patients at risk
        when events happen, which a Cox model needs.

    Returns
    -------
    list of str
        Names in the order of the table; what `read_design` takes without complaint.
    """
    if table.empty:
        return []
    spread = table.to_numpy(dtype=float)
    spread = (spread - spread.mean(axis=0)) / np.where(
        np.ptp(spread, axis=0) == 0, np.inf, spread.std(axis=0)
    )
    if time is not None:
        time, event = check_survival(time, event, need_event=False)
        # The information at no effect: the sum over events of the covariance among those at risk.
        none = np.zeros(spread.shape[1])
        spread = RiskSets(time, event, spread).evaluate(none)[2] if event.any() else np.diag(none)
    kept = []
    for position in range(spread.shape[1]):
        if np.linalg.matrix_rank(spread[:, [*kept, position]], tol=1e-9 * len(table)) == len(kept) + 1:
            kept.append(position)
    return [table.columns[position] for position in kept]


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
        what = f"covariate(s) {constant} have the same value in all {len(time)} patients"
        raise ValueError(f"{what}; a hazard ratio needs two different values: leave them out.")
    if np.linalg.matrix_rank(values - values.mean(axis=0)) < values.shape[1]:
        raise ValueError(f"covariates {list(names)} are collinear; leave out a redundant column.")
    return time, event, values, names
