"""Absolute risk and how right it is: calibration, recalibration, sample size, competing death."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from sksurv.nonparametric import cumulative_incidence_competing_risks

from npcbook.statistics.adjustment import restricted_cubic_spline
from npcbook.statistics.cox import fit_cox
from npcbook.statistics.data import RiskSets, check_column, check_survival
from npcbook.statistics.printing import Estimate
from npcbook.statistics.resampling import bootstrap_limits
from npcbook.statistics.survival import kaplan_meier, rate_at


@dataclass(frozen=True)
class AbsoluteRisk:
    """The probability of the event by a horizon, as a function of a risk score.

    Attributes
    ----------
    coef : float
        Log hazard ratio per unit of the score.
    baseline_hazard : float
        Cumulative baseline hazard at the horizon for a score of 0 (Breslow).
    horizon : float
        The horizon, in the unit of time.
    """

    coef: float
    baseline_hazard: float
    horizon: float

    def predict(self, risk: ArrayLike) -> np.ndarray:
        """Return each patient's probability (0 to 1) of the event by the horizon, deaths being censored."""
        return -np.expm1(-self.baseline_hazard * np.exp(self.coef * np.asarray(risk, dtype=float)))


@dataclass(frozen=True)
class Calibration:
    """Agreement of predicted and observed risk by a horizon.

    Attributes
    ----------
    slope : Estimate
        Cox coefficient of the predictions on the complementary log-log scale; 1 is ideal, below 1 means that
        predictions are too extreme.
    observed, expected : float
        Kaplan–Meier risk and mean prediction.
    o_e : Estimate
        Observed over expected; 1 is ideal, below 1 means that risk is overestimated.
    ici : float
        Integrated calibration index: mean absolute difference between predictions and their smoothed
        observed counterpart.
    groups : pandas.DataFrame
        One row per fifth of predicted risk (tied predictions stay together): ``predicted``, ``observed``,
        ``low``, ``high`` (NaN where it has no event, or was not followed to the horizon), ``n_patients``,
        ``n_events``.
    """

    slope: Estimate
    observed: float
    expected: float
    o_e: Estimate
    ici: float
    groups: pd.DataFrame = field(repr=False)


@dataclass(frozen=True)
class SampleSize:
    """Patients and events needed to develop a model (Riley's criteria 1 and 2).

    Attributes
    ----------
    r2_cox_snell, r2_maximum : float
        Cox–Snell R² assumed, and the largest possible with this many events.
    n_shrinkage : int
        Patients for an expected shrinkage of 0.9.
    n_optimism : int
        Patients for an optimism of at most 0.05 in R² relative to its maximum.
    n_patients, n_events : int
        The larger of the two, and the events among so many.
    expected_shrinkage : float
        Shrinkage expected with the patients there are: 1 is no overfitting; at the least, `r2_cox_snell`,
        the fit is nothing but overfitting.
    """

    r2_cox_snell: float
    r2_maximum: float
    n_shrinkage: int
    n_optimism: int
    n_patients: int
    n_events: int
    expected_shrinkage: float


@dataclass(frozen=True)
class CumulativeIncidence:
    """Probability (0 to 1) that the event of interest has happened by each time.

    Attributes
    ----------
    time, incidence : numpy.ndarray
        Times, and the probability by each.
    low, high : numpy.ndarray
        95 % log-log limits; NaN before the first event of interest.
    """

    time: np.ndarray
    incidence: np.ndarray
    low: np.ndarray
    high: np.ndarray


def fit_absolute_risk(
    time: ArrayLike, event: ArrayLike, risk: ArrayLike, horizon: float, *, coef: float | None = None
) -> AbsoluteRisk:
    """Turn a risk score into the probability of the event by a horizon: a Cox model of the score alone.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, > 0, of the patients the model was developed on.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    risk : array-like, shape (n,)
        Risk score, higher = worse.
    horizon : float
        Horizon, in the unit of `time`.
    coef : float, optional
        Hold the coefficient at this value and estimate the baseline hazard alone.

    Returns
    -------
    AbsoluteRisk
        Coefficient and baseline hazard.

    Raises
    ------
    ValueError
        If input is unusable, the likelihood is monotone, or no event was seen by the horizon.
    """
    time, event, risk = check_survival(time, event, risk=risk)
    if not (event & (time <= horizon)).any():
        raise ValueError(f"horizon is {horizon:g}, and no event was seen by then; choose a later horizon.")
    if coef is None:
        coef = float(fit_cox(time, event, risk[:, None]).coef[0])
    # Centring keeps exp() in range for scores far from 0.
    centre = risk.mean()
    hazard = _baseline_hazard(time, event, coef * (risk - centre), horizon)
    return AbsoluteRisk(coef, float(hazard * np.exp(-coef * centre)), float(horizon))


def calibrate(time: ArrayLike, event: ArrayLike, predicted: ArrayLike, horizon: float) -> Calibration:
    """Compare predicted with observed risk of the event by a horizon.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, > 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    predicted : array-like, shape (n,)
        Predicted probability of the event by the horizon, strictly between 0 and 1.
    horizon : float
        Horizon, in the unit of `time`.

    Returns
    -------
    Calibration
        Slope, observed/expected ratio, integrated calibration index, groups.

    Raises
    ------
    ValueError
        If input is unusable, predictions are not in (0, 1) or all equal, nobody is followed to the horizon,
        or no event was seen by then.

    Notes
    -----
    The smoothed observed risk of the index is a Cox model of the predictions' complementary log-log with a
    restricted cubic spline of three knots (10th, 50th, 90th percentile), or a straight line where these
    coincide or there are fewer than ten events for each of its two coefficients. Limits of the observed risk
    are log-log Kaplan–Meier ones.
    """
    time, event, predicted = _check_predicted(time, event, predicted, horizon)
    log_hazard = _log_hazard(predicted)
    fit = fit_cox(time, event, log_hazard[:, None])
    observed, expected = _observed_risk(time, event, horizon), float(predicted.mean())
    smoothed = _smoothed_risk(time, event, log_hazard, horizon, log_hazard)
    return Calibration(
        slope=Estimate(*np.log([fit.hr[0], fit.hr_low[0], fit.hr_high[0]]).tolist()),
        observed=observed.value,
        expected=expected,
        o_e=Estimate(observed.value / expected, observed.low / expected, observed.high / expected),
        ici=float(np.abs(smoothed - predicted).mean()),
        groups=_calibration_groups(time, event, predicted, horizon),
    )


def calibration_curve(
    time: ArrayLike,
    event: ArrayLike,
    predicted: ArrayLike,
    horizon: float,
    *,
    at: ArrayLike,
    n_resamples: int = 200,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return observed risk by a horizon as a smooth function of the predicted one, with a band.

    Parameters
    ----------
    time, event, predicted, horizon
        As for `calibrate`.
    at : array-like, shape (m,)
        Predicted risks at which to estimate, strictly between 0 and 1; best within the range of `predicted`.
    n_resamples : int, default 200
        Bootstrap samples of patients for the band.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    pandas.DataFrame
        ``predicted`` (as `at`), ``observed``, and pointwise 95 % percentile limits ``low`` and ``high``.

    Raises
    ------
    ValueError
        As `calibrate`, and if more than half of the samples allow no curve.

    Notes
    -----
    The curve is the one behind the integrated calibration index (see `calibrate`); its knots are found anew
    in each sample. The band says nothing of what the fit of the predictions owes to chance.
    """
    time, event, predicted = _check_predicted(time, event, predicted, horizon)
    log_hazard, grid = _log_hazard(predicted), _log_hazard(check_column("at", at))

    def curve(rows: np.ndarray) -> np.ndarray:
        return _smoothed_risk(time[rows], event[rows], log_hazard[rows], horizon, grid)

    low, high = bootstrap_limits(curve, len(time), n_resamples=n_resamples, rng=rng)
    observed = curve(np.arange(len(time)))
    return pd.DataFrame({"predicted": at, "observed": observed, "low": low, "high": high})


UPDATES = ("none", "baseline", "baseline and slope")


def recalibrate(
    time: ArrayLike, event: ArrayLike, predicted: ArrayLike, horizon: float, update: str
) -> Callable[[ArrayLike], np.ndarray]:
    """Return how predicted risks are to be changed to suit the patients of a new place.

    Parameters
    ----------
    time, event, predicted, horizon
        As for `calibrate`: outcomes of the place's patients, and what was predicted for them.
    update : {"none", "baseline", "baseline and slope"}
        What is estimated anew: nothing; the baseline hazard, which moves all risks alike; or also how far
        apart they lie.

    Returns
    -------
    callable
        From predicted to updated risks, 0 to 1.

    Raises
    ------
    ValueError
        As `calibrate`, for an unknown update, and where a slope has no finite estimate.
    """
    if update not in UPDATES:
        raise ValueError(f"update is {update!r}; it must be one of {', '.join(UPDATES)}.")
    time, event, predicted = _check_predicted(time, event, predicted, horizon)
    if update == "none":
        return np.asarray
    held = 1.0 if update == "baseline" else None
    model = fit_absolute_risk(time, event, _log_hazard(predicted), horizon, coef=held)
    return lambda new: model.predict(_log_hazard(np.asarray(new, dtype=float)))


def recalibration_error(
    time: ArrayLike,
    event: ArrayLike,
    predicted: ArrayLike,
    horizon: float,
    n_events: Sequence[int],
    *,
    n_repeats: int = 200,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return how wrong updated risks still are after so many local events, the place itself being the truth.

    Parameters
    ----------
    time, event, predicted, horizon
        As for `recalibrate`.
    n_events : sequence of int
        Local events (at any time) to update from, 1 or more each.
    n_repeats : int, default 200
        Samples for each.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    pandas.DataFrame
        ``n_events``, ``n_patients``, ``update`` (see `recalibrate`) and ``error``: mean absolute difference,
        over the place's patients and over samples, to the risks after "baseline and slope" from all of them;
        ``share``, of the samples that allowed the update.

    Raises
    ------
    ValueError
        As `recalibrate`.

    Notes
    -----
    Samples are drawn with replacement, events and others in the proportion of the place. What is called the
    truth is itself an estimate from the place's events, so that errors say what local data add, not how good
    the predictions are.
    """
    time, event, predicted = _check_predicted(time, event, predicted, horizon)
    target = recalibrate(time, event, predicted, horizon, UPDATES[-1])(predicted)
    happened, others, rows = np.flatnonzero(event), np.flatnonzero(~event), []
    for wanted in n_events:
        n_others = round(wanted * len(others) / len(happened))
        errors = {update: [] for update in UPDATES}
        for _ in range(n_repeats):
            drawn = np.concatenate([rng.choice(happened, wanted), rng.choice(others, n_others)])
            for update, found in errors.items():
                with suppress(ValueError):
                    change = recalibrate(time[drawn], event[drawn], predicted[drawn], horizon, update)
                    found.append(np.abs(change(predicted) - target).mean())
        rows += [
            (wanted, wanted + n_others, update, np.mean(found) if found else np.nan, len(found) / n_repeats)
            for update, found in errors.items()
        ]
    return pd.DataFrame(rows, columns=["n_events", "n_patients", "update", "error", "share"])


def cumulative_incidence(
    time: ArrayLike, cause: ArrayLike, *, at: ArrayLike | None = None
) -> CumulativeIncidence:
    """Return the probability of the event of interest by each time, other events competing with it.

    Parameters
    ----------
    time : array-like, shape (n,)
        Time of the first event or of censoring, > 0.
    cause : array-like, shape (n,)
        1 = event of interest, 2 = competing event, 0 = censored.
    at : array-like, optional
        Times to report, within follow-up; events at a time count. By default every distinct observed time.

    Returns
    -------
    CumulativeIncidence
        Aalen–Johansen estimate.

    Raises
    ------
    ValueError
        If input is unusable, a cause is not 0, 1 or 2, or follow-up ends before a time of `at`.

    Notes
    -----
    scikit-survival's ``cumulative_incidence_competing_risks`` (lifelines' moves tied times apart at random);
    without competition, one minus Kaplan-Meier.
    """
    time, cause = check_survival(time, np.zeros(np.shape(time)), need_event=False, cause=cause)[::2]
    if odd := sorted(set(np.unique(cause)) - {0.0, 1.0, 2.0}):
        raise ValueError(f"cause has the value {odd[0]:g}; only 0, 1 and 2 are allowed: recode it.")
    if {1.0, 2.0} <= set(cause):
        times, *found = cumulative_incidence_competing_risks(cause.astype(int), time, conf_type="log-log")
        incidence, limits = (values[1] for values in found)
        limits = np.where(incidence > 0, limits, np.nan)
    else:
        # scikit-survival fails where a kind of event did not occur, as is usual in a small group.
        curve = kaplan_meier(time, cause == 1)
        times, incidence, limits = curve.time, 1 - curve.survival, (1 - curve.high, 1 - curve.low)
    at = times if at is None else check_column("at", at)
    if times[-1] < at.max():
        raise ValueError(f"at goes to {at.max():g}, but follow-up ends at {times[-1]:g}; choose earlier.")
    position = np.searchsorted(times, at, side="right")
    low, high = (np.append(np.nan, limit)[position] for limit in limits)
    return CumulativeIncidence(at, np.append(0.0, incidence)[position], low, high)


def minimum_sample_size(
    n_parameters: int, n_patients: int, n_events: int, *, share_of_maximum: float = 0.15
) -> SampleSize:
    """Return how many patients a survival model with so many candidate parameters needs.

    Parameters
    ----------
    n_parameters : int
        Candidate parameters, those tried and dropped included.
    n_patients, n_events : int
        Patients and events there are; they fix the event rate.
    share_of_maximum : float, default 0.15
        Assumed R² as a share of the largest possible, when nothing better is known.

    Returns
    -------
    SampleSize
        Patients and events needed, and the shrinkage to expect with those there are.

    Raises
    ------
    ValueError
        If a count is below 1, events exceed patients, or the share is not in (0, 1).

    Notes
    -----
    Criterion 1: n = p / ((S − 1) ln(1 − R²/S)) with S = 0.9. Criterion 2: the same with
    S = R²/(R² + 0.05·max R²), where max R² = 1 − exp(2 lnL₀/n) and lnL₀ = E ln(E/n) − E. Equals R
    ``pmsampsize`` 1.1.3 for survival outcomes. (Its third criterion, on the baseline risk, asks for fewer.)

    References
    ----------
    Riley RD et al. Minimum sample size for developing a multivariable prediction model: part II. Stat Med
    2019;38:1276-96.
    """
    if n_parameters < 1 or not 1 <= n_events <= n_patients or not 0 < share_of_maximum < 1:
        raise ValueError(
            f"n_parameters is {n_parameters}, n_events {n_events}, n_patients {n_patients}, share_of_maximum "
            f"{share_of_maximum:g}; counts must be at least 1, events at most patients, the share in (0, 1)."
        )
    rate = n_events / n_patients
    maximum = -np.expm1(2 * (rate * np.log(rate) - rate))
    r2 = share_of_maximum * maximum

    def patients(shrinkage: float) -> float:
        return n_parameters / ((shrinkage - 1) * np.log1p(-r2 / shrinkage))

    needed = [int(np.ceil(patients(s))) for s in (0.9, r2 / (r2 + 0.05 * maximum))]
    # With R² as assumed, shrinkage cannot fall below it.
    least = r2 * (1 + 1e-9)
    found = (
        brentq(lambda s: patients(s) - n_patients, least, 1 - 1e-12) if patients(least) < n_patients else r2
    )
    total = max(needed)
    return SampleSize(r2, float(maximum), *needed, total, int(np.ceil(total * rate)), float(found))


def _baseline_hazard(time, event, log_hazard, horizon) -> float:
    """Return Breslow's cumulative hazard at the horizon for a log hazard ratio of 0."""
    sets = RiskSets(time, event, log_hazard, ties="breslow")
    hazard = 1 / sets.over_steps(np.exp(sets.covariates))
    return float(hazard[sets.step_time <= horizon].sum())


def _observed_risk(time, event, horizon) -> Estimate:
    """Return Kaplan–Meier risk with limits; NaN beyond follow-up, NaN limits without events."""
    if time.max() < horizon:
        return Estimate(np.nan, np.nan, np.nan)
    rate = rate_at(time, event, horizon)
    return Estimate(1 - rate.value, 1 - rate.high, 1 - rate.low)


def _smoothed_risk(time, event, log_hazard, horizon, at) -> np.ndarray:
    """Return observed risk as a smooth function of the predictions (complementary log-log), `at` some."""
    knots = np.quantile(log_hazard, [0.1, 0.5, 0.9])
    is_line = (np.diff(knots) <= 0).any() or event.sum() < 20
    own, new = (x[:, None] if is_line else restricted_cubic_spline(x, knots) for x in (log_hazard, at))
    centre = own.mean(axis=0)
    coef = fit_cox(time, event, own - centre).coef
    hazard = _baseline_hazard(time, event, (own - centre) @ coef, horizon)
    # Where a bootstrap sample says that risk rises steeply, exp() may leave the range of numbers.
    with np.errstate(over="ignore"):
        return -np.expm1(-hazard * np.exp((new - centre) @ coef))


def _log_hazard(predicted: np.ndarray) -> np.ndarray:
    """Return the complementary log-log of probabilities: the log of the hazard accumulated by the horizon."""
    return np.log(-np.log1p(-predicted))


def _check_predicted(time, event, predicted, horizon) -> tuple[np.ndarray, ...]:
    """Check survival data, predicted risks and horizon."""
    time, event, predicted = check_survival(time, event, predicted=predicted)
    if predicted.min() <= 0 or predicted.max() >= 1:
        raise ValueError(
            f"predicted goes from {predicted.min():g} to {predicted.max():g}; it must be a probability "
            f"strictly between 0 and 1."
        )
    if time.max() < horizon or not (event & (time <= horizon)).any():
        raise ValueError(
            f"horizon is {horizon:g}, but follow-up ends at {time.max():g} and the first event is at "
            f"{time[event].min():g}; choose a horizon in between."
        )
    return time, event, predicted


def _calibration_groups(time, event, predicted, horizon) -> pd.DataFrame:
    """Return predicted and observed risk by fifth of predicted risk."""
    # By mid-rank, so that tied predictions stay together.
    group = np.floor((pd.Series(predicted).rank().to_numpy() - 0.5) / len(predicted) * 5)
    rows = []
    for of in (group == name for name in np.unique(group)):
        risk = _observed_risk(time[of], event[of], horizon)
        counts = int(of.sum()), int(event[of].sum())
        rows.append((predicted[of].mean(), risk.value, risk.low, risk.high, *counts))
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "n_patients", "n_events"])
