"""What a score tells by a horizon: time-dependent ROC and Brier score, weighted for censoring.

They stand here beside scikit-survival, whose area has no standard error, no comparison and other ties, and
whose weights refuse data censored at the very end; lifelines and statsmodels have neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from npcbook.statistics.data import Z95, check_risks, check_survival, event_table, survival_before
from npcbook.statistics.printing import Difference, Printed


@dataclass(frozen=True)
class TimeDependentAuc(Printed):
    """Area under the cumulative/dynamic ROC curve at a horizon, and the curve.

    Attributes
    ----------
    auc : float
        Probability that a patient with the event before the horizon has the higher risk than one without.
    se : float
        Standard error from the iid representation, estimation of the censoring curve included.
    low, high : float
        95 % limits ``auc`` ± z·``se``, not truncated to [0, 1].
    horizon : float
        The horizon, in the unit of time.
    n_patients, n_cases, n_controls : int
        Patients; events before the horizon; patients followed beyond it. The rest enter through the weights.
    fpr, tpr : numpy.ndarray, shape (m,)
        False and true positive rate when risks at or above `thresholds` are called positive; both ascend.
    thresholds : numpy.ndarray, shape (m,)
        Thresholds, descending, the first infinite.
    influence : numpy.ndarray, shape (n,)
        Terms of the iid representation in row order; their standard deviation over √n is ``se``.
    """

    printed: ClassVar = ("auc", "low", "high")
    highest: ClassVar = 1.0
    auc: float
    se: float
    low: float
    high: float
    horizon: float
    n_patients: int
    n_cases: int
    n_controls: int
    fpr: np.ndarray = field(repr=False)
    tpr: np.ndarray = field(repr=False)
    thresholds: np.ndarray = field(repr=False)
    influence: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class AucComparison(Difference):
    """Test of the difference between the AUC of two scores of the same patients at one horizon.

    Attributes
    ----------
    difference, se, low, high, z, p_value : float
        ``auc_a`` − ``auc_b``, its standard error, 95 % limits, Wald statistic and its two-sided p-value.
    auc_a, auc_b : float
        The two areas.
    n_cases, n_controls : int
        Events before the horizon, and patients followed beyond it.
    """

    auc_a: float
    auc_b: float
    n_cases: int
    n_controls: int


@dataclass(frozen=True)
class BrierScore:
    """Mean squared error of predicted survival at a horizon.

    Attributes
    ----------
    brier : float
        Of the predictions; 0 is perfect.
    null : float
        Of the Kaplan–Meier estimate, the same for everyone.
    ipa : float
        Index of prediction accuracy, 1 − ``brier``/``null``: 0 is no better than the Kaplan–Meier estimate.
    n_patients, n_events : int
        Patients, and events by the horizon.
    """

    brier: float
    null: float
    ipa: float
    n_patients: int
    n_events: int


def auc_at(time: ArrayLike, event: ArrayLike, risk: ArrayLike, horizon: float) -> TimeDependentAuc:
    """Return the cumulative/dynamic AUC of a risk score at a horizon, weighted for censoring.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, any one unit, > 0; missing values are an error.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    risk : array-like, shape (n,)
        Risk score at baseline, higher = worse; only its order counts.
    horizon : float
        Horizon, in the unit of `time`.

    Returns
    -------
    TimeDependentAuc
        The area with standard error and limits, and the ROC curve.

    Raises
    ------
    ValueError
        If input is unusable (see `data.check_survival`), the risk is constant, nobody has the event
        before the horizon, or nobody is followed beyond it.

    Notes
    -----
    Cases have ``time < horizon`` and the event, weight 1/G(time−); controls ``time > horizon``; a patient
    with ``time == horizon`` is neither. G is the Kaplan–Meier curve of censoring, events leaving before
    censorings at a tie. Tied risks count ½. The variance is that of the iid representation with the
    martingale term of G. Equals R ``timeROC`` 0.4.1, ``weighting="marginal"``, ``iid=TRUE``; with tied times
    that package's standard error depends on row order (by up to about 1e-4), this one does not.
    O(n log n) time, O(n) memory.

    References
    ----------
    Figure 2 and Table 4 of the paper. Blanche P, Dartigues JF, Jacqmin-Gadda H. Estimating and comparing
    time-dependent areas under receiver operating characteristic curves for censored event times with
    competing risks. Stat Med 2013;32:5381-97.
    """
    time, event, horizon, risk = _check(time, event, horizon, risk=risk)
    case, control = _weights(time, event, event & (time < horizon), horizon)
    auc, influence = _auc_and_influence(time, event, case, control, risk)
    se = _standard_error(influence)
    counts = len(time), int((case > 0).sum()), int((control > 0).sum())
    curve = _roc(case, control, risk)
    return TimeDependentAuc(auc, se, auc - Z95 * se, auc + Z95 * se, horizon, *counts, *curve, influence)


def compare_auc(
    time: ArrayLike, event: ArrayLike, risk_a: ArrayLike, risk_b: ArrayLike, horizon: float
) -> AucComparison:
    """Test whether two risk scores of the same patients have the same AUC at a horizon.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, any one unit, > 0; missing values are an error.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    risk_a, risk_b : array-like, shape (n,)
        The two risk scores, higher = worse; only their orders count.
    horizon : float
        Horizon, in the unit of `time`.

    Returns
    -------
    AucComparison
        Both areas and the Wald test of their difference.

    Raises
    ------
    ValueError
        As `auc_at`; also if both scores order cases and controls alike, so that there is nothing to test.

    Notes
    -----
    The variance of the difference is that of the differences of the iid terms (see `auc_at`). Equals R
    ``timeROC::compare`` (0.4.1).

    References
    ----------
    Table 4 of the paper; Blanche et al. 2013 (see `auc_at`).
    """
    time, event, horizon, risk_a, risk_b = _check(time, event, horizon, risk_a=risk_a, risk_b=risk_b)
    case, control = _weights(time, event, event & (time < horizon), horizon)
    auc_a, influence_a = _auc_and_influence(time, event, case, control, risk_a)
    auc_b, influence_b = _auc_and_influence(time, event, case, control, risk_b)
    se = _standard_error(influence_a - influence_b)
    if se <= 1e-12:
        raise ValueError("risk_a and risk_b order cases and controls alike; compare scores that differ.")
    counts = {"n_cases": int((case > 0).sum()), "n_controls": int((control > 0).sum())}
    return AucComparison.of(auc_a - auc_b, se, auc_a=auc_a, auc_b=auc_b, **counts)


def brier_score(
    time: ArrayLike, event: ArrayLike, survival_at_horizon: ArrayLike, horizon: float
) -> BrierScore:
    """Return the Brier score of predicted survival at a horizon, weighted for censoring.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, any one unit, > 0; missing values are an error.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    survival_at_horizon : array-like, shape (n,)
        Predicted probability, 0 to 1, of being free of the event at the horizon.
    horizon : float
        Horizon, in the unit of `time`.

    Returns
    -------
    BrierScore
        Score, that of the Kaplan–Meier estimate, and the index of prediction accuracy.

    Raises
    ------
    ValueError
        If input is unusable (see `data.check_survival`), a prediction is not a probability, no event was seen
        by the horizon, or nobody is followed beyond it.

    Notes
    -----
    Events with ``time <= horizon`` weigh 1/G(time−), patients with ``time > horizon`` 1/G(horizon), others 0
    (G as in `auc_at`); the mean is over all patients. Equals R ``riskRegression::Score`` 2022.11.28.

    References
    ----------
    Graf E et al. Stat Med 1999;18:2529-45. Kattan MW, Gerds TA. Diagn Progn Res 2018;2:7 (IPA).
    """
    time, event, survival = check_survival(time, event, survival_at_horizon=survival_at_horizon)
    if survival.min() < 0 or survival.max() > 1:
        found = f"{survival.min():g} to {survival.max():g}"
        raise ValueError(f"survival_at_horizon goes from {found}; give probabilities, 0 to 1.")
    happened = event & (time <= horizon)
    _check_horizon(time, event, happened, horizon)
    case, beyond = _weights(time, event, happened, horizon)
    everyone = survival_before(time, event, np.nextafter(horizon, np.inf))
    score, null = (float((case * s**2 + beyond * (1 - s) ** 2).mean()) for s in (survival, everyone))
    return BrierScore(score, null, 1 - score / null, len(time), int(happened.sum()))


def censoring_survival(time: ArrayLike, event: ArrayLike, at: ArrayLike | None = None) -> np.ndarray:
    """Return G(t−), the probability of not being censored before t (reverse Kaplan–Meier).

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, > 0; missing values are an error.
    event : array-like, shape (n,)
        1 = event, 0 = censored. Events leave before censorings at the same time.
    at : array-like, shape (m,), optional
        Times t, in the unit of `time`; default each patient's own.

    Returns
    -------
    numpy.ndarray, shape (n,) or (m,)
        G(t−) in [0, 1]; beyond the last time, the curve's last value.

    Raises
    ------
    ValueError
        If input is unusable (see `data.check_survival`).
    """
    time, event = check_survival(time, event, need_event=False)
    return survival_before(time, event, time if at is None else at, of_censoring=True)


def _check(time, event, horizon, **risks) -> tuple:
    """Check survival data, scores and horizon; return them in the order of the arguments."""
    time, event, *columns = check_risks(time, event, **risks)
    _check_horizon(time, event, event & (time < horizon), horizon)
    return time, event, float(horizon), *columns


def _check_horizon(time, event, happened, horizon) -> None:
    """Refuse a horizon that does not divide the patients."""
    if not 0 < horizon < np.inf:
        raise ValueError(f"horizon is {horizon:g}; it must be a time greater than 0, in the unit of time.")
    if not happened.any():
        first = f"the first is at {time[event].min():g}"
        raise ValueError(f"horizon is {horizon:g}, and no event was seen before it ({first}).")
    if not (time > horizon).any():
        longest = f"the longest follow-up is {time.max():g}"
        raise ValueError(f"horizon is {horizon:g}, and nobody was followed beyond it ({longest}).")


def _weights(time, event, happened, horizon) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse-probability-of-censoring weights of cases and of controls, 0 for all others."""
    before = survival_before(time, event, time, of_censoring=True)
    # Strictly beyond the horizon, hence G(horizon) itself: all censorings up to and at it count.
    beyond = survival_before(time, event, np.nextafter(horizon, np.inf), of_censoring=True)
    case = np.where(happened, 1 / np.where(before > 0, before, 1.0), 0.0)
    return case, np.where(time > horizon, 1 / beyond, 0.0)


def _auc_and_influence(time, event, case, control, risk) -> tuple[float, np.ndarray]:
    """Return the AUC and each patient's term of its iid representation.

    With U the weighted share of ordered case–control pairs, P and Q the mean weights of cases and controls,
    AUC = U/(PQ), and the terms follow from those of U, P and Q. The censoring curve enters U and P through
    the cases' weights; through the controls' (one common value) it cancels.
    """
    n = len(time)
    order = np.argsort(risk, kind="stable")
    ranked = risk[order]

    def weight_below(weight):
        total = np.append(0.0, np.cumsum(weight[order]))
        left, right = np.searchsorted(ranked, risk, side="left"), np.searchsorted(ranked, risk, side="right")
        return (total[left] + total[right]) / 2, total[-1]

    controls_below, control_sum = weight_below(control)
    cases_below, case_sum = weight_below(case)
    as_case = case * controls_below / n
    as_control = control * (case_sum - cases_below) / n
    p, q = case_sum / n, control_sum / n
    auc = float(as_case.mean() / (p * q))
    u_term = as_case + as_control + _censoring_term(time, event, as_case)
    p_term = case + _censoring_term(time, event, case)
    influence = u_term / (p * q) - auc * p_term / p - auc * control / q
    return auc, influence - influence.mean()


def _censoring_term(time, event, weight) -> np.ndarray:
    """Return each patient's effect, through the censoring curve, on the mean of weights 1/G(time−).

    Patient i's censoring martingale over the fraction at risk, integrated up to the time of patient k, is
    what i adds to 1/G(time_k−); it is weighted by k's `weight` and averaged over k.
    """
    times, at_risk, events, censored = event_table(time, event)
    position, at_risk = np.searchsorted(times, time), np.maximum(at_risk - events, 1)
    by_time = np.bincount(position, weights=weight)
    later = by_time[::-1].cumsum()[::-1] - by_time
    compensator = np.cumsum(later * censored / at_risk**2)
    # An event leaves before censorings at its own time, so its compensator stops short of them.
    stop = np.where(event, np.append(0.0, compensator)[position], compensator[position])
    return np.where(event, 0.0, (later / at_risk)[position]) - stop


def _standard_error(influence: np.ndarray) -> float:
    """Return the standard deviation (n − 1) of the iid terms over √n."""
    return float(influence.std(ddof=1) / np.sqrt(len(influence)))


def _roc(case, control, risk) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return false positive rates, true positive rates and thresholds."""
    levels, position = np.unique(risk, return_inverse=True)
    fpr, tpr = (
        np.append(0.0, np.cumsum(np.bincount(position, weights=weight)[::-1]) / weight.sum())
        for weight in (control, case)
    )
    return fpr, tpr, np.append(np.inf, levels[::-1])
