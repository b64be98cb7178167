"""Cox regression: fit, tests of the model, and the test of proportional hazards.

One pass over the risk sets serves the fit, the three tests of the model, robust standard errors and the score
test of proportional hazards. lifelines has Efron's ties only and another test of proportional hazards,
statsmodels no case weights, scikit-survival no standard errors; the tests compare with R, lifelines and
statsmodels.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from npcbook.statistics.data import RiskSets, check_survival, read_covariates, read_design
from npcbook.statistics.printing import Ratios

TIES = ("efron", "breslow")
TRANSFORMS = ("km", "identity", "rank")


# Log hazard ratio between the extreme patients beyond which no finite estimate is meant.
LARGEST_SPREAD = 200.0


@dataclass(frozen=True)
class ProportionalHazardsTest:
    """Score test that a coefficient does not change with (transformed) time.

    Attributes
    ----------
    names : tuple of str
        Covariates, or terms of several covariates.
    statistic, degrees_of_freedom, p_value : numpy.ndarray, one per name
        Chi-square tests.
    global_statistic, global_degrees_of_freedom, global_p_value : float
        Test of all at once.
    transform : str
        Scale of time.
    """

    names: tuple[str, ...]
    statistic: np.ndarray
    degrees_of_freedom: np.ndarray
    p_value: np.ndarray
    global_statistic: float
    global_degrees_of_freedom: int
    global_p_value: float
    transform: str


@dataclass(frozen=True)
class CoxFit(Ratios):
    """A fitted Cox model; arrays are in the order of `names`.

    Attributes
    ----------
    names : tuple of str
        Covariates.
    coef, se, robust_se : numpy.ndarray
        Log hazard ratio per unit of the covariate (higher = worse), its standard error from the information,
        and its sandwich (infinitesimal jackknife) standard error.
    hr, hr_low, hr_high : numpy.ndarray
        Hazard ratio and Wald limits at level 1 - alpha.
    z, p_value : numpy.ndarray
        Wald test, two-sided; from `robust_se` if that was asked for.
    covariance : numpy.ndarray, shape (p, p)
        Inverse information.
    loglik_null, loglik : float
        Log partial likelihood at 0 and at the estimate.
    lr_statistic, lr_p_value, score_statistic, score_p_value, wald_statistic, wald_p_value : float
        Tests that all coefficients are 0, with `degrees_of_freedom`.
    ph_statistic, ph_p_value : numpy.ndarray
        Test of proportional hazards per covariate (Kaplan-Meier scale of time).
    ph_global_statistic, ph_global_p : float
        The same for all covariates at once.
    n_patients, n_events : int
        Rows and events.
    ties : str
        "efron" or "breslow".
    monotone : tuple of str
        Covariates whose coefficient has no finite estimate; empty unless ``on_monotone="report"``.
    method : str
        "Cox", for tables that hold fits of several kinds.
    """

    method: ClassVar[str] = "Cox"
    names: tuple[str, ...]
    coef: np.ndarray
    se: np.ndarray
    robust_se: np.ndarray
    hr: np.ndarray
    hr_low: np.ndarray
    hr_high: np.ndarray
    z: np.ndarray
    p_value: np.ndarray
    covariance: np.ndarray
    loglik_null: float
    loglik: float
    degrees_of_freedom: int
    lr_statistic: float
    lr_p_value: float
    score_statistic: float
    score_p_value: float
    wald_statistic: float
    wald_p_value: float
    ph_statistic: np.ndarray
    ph_p_value: np.ndarray
    ph_global_statistic: float
    ph_global_p: float
    n_patients: int
    n_events: int
    ties: str
    monotone: tuple[str, ...]

    def risk(self, covariates: ArrayLike) -> np.ndarray:
        """Return the linear predictor (higher = worse), not centred: the sum of coefficient times covariate.

        Parameters
        ----------
        covariates : DataFrame with the columns `names`, or array-like of shape (n, p)
            New patients.

        Returns
        -------
        numpy.ndarray, shape (n,)
            Log hazard relative to a patient whose covariates are all 0.
        """
        if isinstance(covariates, pd.DataFrame):
            if missing := [name for name in self.names if name not in covariates]:
                raise ValueError(
                    f"covariates lack the column(s) {missing}; the model needs {list(self.names)}: add them."
                )
            covariates = covariates[list(self.names)]
        values, _ = read_covariates(covariates)
        if values.shape[1] != len(self.names):
            raise ValueError(
                f"covariates have {values.shape[1]} columns; the model needs {len(self.names)}, in the order "
                f"{list(self.names)}."
            )
        return values @ self.coef

    def summary(self) -> pd.DataFrame:
        """Return one row per covariate: name, hazard ratio with limits, p-value."""
        columns = ("coef", "se", "hr", "hr_low", "hr_high", "p_value", "ph_p_value")
        return pd.DataFrame({"covariate": self.names} | {name: getattr(self, name) for name in columns})


def _read(time, event, covariates, *, weights=None, strata=None, ties="efron"):
    """Return checked arrays and names: time, event, covariates, weights, stratum codes, names."""
    if ties not in TIES:
        raise ValueError(f"ties is {ties!r}; it must be one of {', '.join(TIES)}.")
    time, event, values, names = read_design(time, event, covariates)
    if weights is None:
        weights = np.ones(len(time))
    else:
        _, _, weights = check_survival(time, event, weights=weights)
        if weights.min() <= 0:
            raise ValueError(
                f"weights go down to {weights.min():g}; all must be above 0: drop such patients."
            )
    codes = np.zeros(len(time), dtype=int) if strata is None else pd.factorize(np.asarray(strata))[0]
    if len(codes) != len(time):
        raise ValueError(f"strata has {len(codes)} values and time {len(time)}; give equal lengths.")
    if (codes < 0).any():
        raise ValueError("strata has missing values; give every patient a stratum or drop the row.")
    return time, event, values, weights, codes, names


def _arrange(time, event, values, weights, codes, ties) -> list[RiskSets]:
    """Return the risk sets of every stratum that has an event."""
    rows = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    return [RiskSets.arrange(time, event, values, weights, r, ties) for r in rows if event[r].any()]


def _evaluate(strata: list[RiskSets], beta: np.ndarray):
    parts = [stratum.evaluate(beta) for stratum in strata]
    return tuple(sum(part[k] for part in parts) for k in range(3))


def _maximise(strata: list[RiskSets], reach: np.ndarray, max_iterations: int = 60):
    """Return the estimate, log-likelihood and information there, and which coefficients run off.

    `reach` is the range of each covariate. Where the likelihood has no maximum, Newton's steps keep moving
    the log hazard ratio across that range while the likelihood has stopped rising.
    """
    beta = np.zeros(len(reach))
    loglik, gradient, information = _evaluate(strata, beta)
    for _ in range(max_iterations):
        step = np.linalg.lstsq(information, gradient, rcond=None)[0]
        for _ in range(30):
            # A first step can go far beyond what exp() can hold; it is halved until it does not.
            with np.errstate(all="ignore"):
                new = _evaluate(strata, beta + step)
            if np.isfinite(new[0]) and new[0] >= loglik - 1e-12 * abs(loglik):
                break
            step = step / 2
        rise, beta = new[0] - loglik, beta + step
        loglik, gradient, information = new
        moved = np.abs(step) * reach
        if moved.max() < 1e-8:
            break
        if rise < 1e-10 and moved.max() > 0.05:
            return beta, loglik, information, moved > 0.05
    return beta, loglik, information, np.zeros(len(reach), bool)


def _chi2(statistic: float, degrees_of_freedom: int) -> float:
    return float(stats.chi2.sf(statistic, degrees_of_freedom))


def fit_cox(
    time: ArrayLike,
    event: ArrayLike,
    covariates: ArrayLike,
    *,
    ties: str = "efron",
    strata: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    robust: bool = False,
    alpha: float = 0.05,
    on_monotone: str = "raise",
) -> CoxFit:
    """Fit a Cox proportional hazards model by maximum partial likelihood.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, in any one unit; greater than 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    covariates : DataFrame, Series or array-like of shape (n, p)
        Numbers; missing values are an error.
    ties : {"efron", "breslow"}
        Treatment of tied event times.
    strata : array-like, shape (n,), optional
        Groups with baseline hazards of their own.
    weights : array-like, shape (n,), optional
        Case weights, above 0.
    robust : bool
        Take p-values and limits from the sandwich standard error, as weighted data need.
    alpha : float
        1 - confidence level.
    on_monotone : {"raise", "report"}
        What to do when a coefficient has no finite estimate.

    Returns
    -------
    CoxFit
        Estimates, tests of the model, and the test of proportional hazards.

    Raises
    ------
    ValueError
        For bad input (named), and for a monotone likelihood unless it is to be reported.

    Notes
    -----
    The numbers equal R ``survival::coxph`` 3.5-3 and, for proportional hazards, ``cox.zph``.

    References
    ----------
    Quantification and statistical analysis in the paper. Therneau & Grambsch, Modeling Survival Data (2000).
    """
    if on_monotone not in ("raise", "report"):
        raise ValueError(f"on_monotone is {on_monotone!r}; it must be 'raise' or 'report'.")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must be between 0 and 1 (0.05 for 95 % limits).")
    time, event, values, weights, codes, names = _read(
        time, event, covariates, weights=weights, strata=strata, ties=ties
    )
    # Centred and scaled columns keep sums of exponentials and of squares well conditioned.
    scale = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / scale
    sets = _arrange(time, event, scaled, weights, codes, ties)
    null, score, information_null = _evaluate(sets, np.zeros(len(names)))
    beta, loglik, information, runs_off = _maximise(sets, np.ptp(scaled, axis=0))
    flat = (np.diag(np.linalg.pinv(information)) < 0).any()
    if not any(runs_off) and (flat or np.ptp(scaled @ beta) > LARGEST_SPREAD):
        # A combination of covariates can separate the events while no single coefficient runs off: the
        # likelihood is then flat along it, to rounding.
        runs_off = [True] * len(names)
    monotone = tuple(name for name, off in zip(names, runs_off, strict=True) if off)
    if monotone and on_monotone == "raise":
        error = ValueError(
            f"The hazard ratio of {', '.join(map(str, monotone))} has no finite estimate, usually because "
            f"one group has no events (monotone likelihood)."
        )
        # A note is shown to who reads the traceback, and not in tables of reasons.
        error.add_note("Use npcbook.statistics.fit_firth_cox, or on_monotone='report'.")
        raise error
    score_statistic = score @ np.linalg.pinv(information_null) @ score
    # A coefficient that ran off has no standard error; `monotone` names it to the caller.
    with np.errstate(over="ignore", invalid="ignore") if monotone else nullcontext():
        return _cox_result(
            names, sets, beta, information, scale, (null, loglik, score_statistic),
            robust=robust, alpha=alpha, ties=ties, monotone=monotone, n=(len(time), int(event.sum())),
            ph=_zph(sets, beta, information, names, _time_scale(time, event, "km"), "km", None),
        )  # fmt: skip


def _cox_result(names, sets, beta, information, scale, likelihoods, *, robust, alpha, ties, monotone, n, ph):
    """Return the fit on the covariates' own scale."""
    null, loglik, score_statistic = likelihoods
    df = len(names)
    inverse = np.linalg.pinv(information)
    residuals = np.concatenate([s.score_residuals(beta) for s in sets]) @ inverse / scale
    robust_se = np.sqrt((residuals**2).sum(axis=0))
    coef, covariance = beta / scale, inverse / np.outer(scale, scale)
    se = np.sqrt(np.diag(covariance))
    used = robust_se if robust else se
    reach = stats.norm.isf(alpha / 2) * used
    wald, lr = float(beta @ information @ beta), 2 * (loglik - null)
    with np.errstate(over="ignore"):
        ratios = {"hr": np.exp(coef), "hr_low": np.exp(coef - reach), "hr_high": np.exp(coef + reach)}
    return CoxFit(
        names=names, coef=coef, se=se, robust_se=robust_se, **ratios,
        z=coef / used, p_value=2 * stats.norm.sf(np.abs(coef / used)), covariance=covariance,
        loglik_null=float(null), loglik=float(loglik), degrees_of_freedom=df,
        lr_statistic=float(lr), lr_p_value=_chi2(lr, df),
        score_statistic=float(score_statistic), score_p_value=_chi2(score_statistic, df),
        wald_statistic=wald, wald_p_value=_chi2(wald, df),
        ph_statistic=ph.statistic, ph_p_value=ph.p_value,
        ph_global_statistic=ph.global_statistic, ph_global_p=ph.global_p_value,
        n_patients=n[0], n_events=n[1], ties=ties, monotone=monotone,
    )  # fmt: skip


def _time_scale(time, event, transform: str):
    """Return a function that transforms event times, as cox.zph does (all strata together, no weights)."""
    if transform == "identity":
        return lambda t: t
    if transform == "rank":
        everyone = np.sort(time)
        return lambda t: stats.rankdata(everyone)[np.searchsorted(everyone, t)]
    unique = np.unique(time[event])
    at_risk = len(time) - np.searchsorted(np.sort(time), unique)
    died = np.unique(time[event], return_counts=True)[1]
    # Left-continuous, so that the first event has the value 0.
    before = np.concatenate([[1.0], np.cumprod(1 - died / at_risk)[:-1]])
    return lambda t: (1 - before)[np.searchsorted(unique, t)]


def _zph(sets, beta, information, names, scale, transform, terms) -> ProportionalHazardsTest:
    """Score test of coefficient times transformed time, at zero."""
    p = len(beta)
    score, cross, square = np.zeros(p), np.zeros((p, p)), np.zeros((p, p))
    # Centring time changes nothing but rounding.
    centre = np.average(np.concatenate([scale(s.step_time) for s in sets]))
    for s in sets:
        g = scale(s.step_time) - centre
        _, _, mean, spread = s.moments(beta)
        score += (s.weight[s.event] * g) @ s.covariates[s.event] - (s.step_weight * g) @ mean
        cross += np.tensordot(s.step_weight * g, spread, axes=1)
        square += np.tensordot(s.step_weight * g**2, spread, axes=1)
    residual = square - cross @ np.linalg.pinv(information) @ cross
    terms = terms or {name: [j] for j, name in enumerate(names)}

    def test(columns):
        matrix = (
            square[np.ix_(columns, columns)]
            - cross[columns] @ np.linalg.pinv(information) @ cross[:, columns]
        )
        return float(score[columns] @ np.linalg.pinv(matrix) @ score[columns])

    statistic = np.array([test(columns) for columns in terms.values()])
    df = np.array([len(columns) for columns in terms.values()])
    overall = float(score @ np.linalg.pinv(residual) @ score)
    return ProportionalHazardsTest(
        tuple(terms), statistic, df, stats.chi2.sf(statistic, df), overall, p, _chi2(overall, p), transform
    )


def proportional_hazards_test(
    time: ArrayLike,
    event: ArrayLike,
    covariates: ArrayLike,
    *,
    transform: str = "km",
    terms: dict[str, list[str]] | None = None,
    ties: str = "efron",
    strata: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> ProportionalHazardsTest:
    """Test proportional hazards by the score test for an interaction with time.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (above 0) and event (1) or censoring (0), none missing.
    covariates : DataFrame, Series or array-like of shape (n, p)
        Numbers, none missing.
    transform : {"km", "identity", "rank"}
        Scale of time: 1 - Kaplan-Meier just before, time itself, or its rank among all patients' times.
    terms : dict of str to list of str, optional
        Groups of columns to be tested together (the levels of one factor); by default each column by itself.
    ties : {"efron", "breslow"}
        Treatment of tied event times.
    strata, weights : array-like, shape (n,), optional
        As for `fit_cox`.

    Returns
    -------
    ProportionalHazardsTest
        One test per term, and the global one.

    Raises
    ------
    ValueError
        For bad input, or a term with an unknown column.

    Notes
    -----
    With information blocks A (coefficient), B (cross) and C (coefficient times g(t)) at the fit, the
    statistic of columns J is U_J' (C_JJ - B_J' A^-1 B_J)^-1 U_J. Equals ``survival::cox.zph`` 3.5-3 (not the
    older approximation by correlated Schoenfeld residuals, which lifelines uses).

    References
    ----------
    Grambsch & Therneau, Biometrika 1994;81:515-526.
    """
    if transform not in TRANSFORMS:
        raise ValueError(f"transform is {transform!r}; it must be one of {', '.join(TRANSFORMS)}.")
    time, event, values, weights, codes, names = _read(
        time, event, covariates, weights=weights, strata=strata, ties=ties
    )
    columns = None
    if terms is not None:
        if unknown := sorted({name for group in terms.values() for name in group} - set(names)):
            raise ValueError(f"terms name the column(s) {unknown}; the covariates are {list(names)}.")
        columns = {term: [names.index(name) for name in group] for term, group in terms.items()}
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    sets = _arrange(time, event, scaled, weights, codes, ties)
    beta, _, information, runs_off = _maximise(sets, np.ptp(scaled, axis=0))
    if runs_off.any():
        raise ValueError(
            f"The likelihood is monotone in {np.array(names)[runs_off].tolist()}: leave them out."
        )
    return _zph(sets, beta, information, names, _time_scale(time, event, transform), transform, columns)


def univariable_cox(
    time: ArrayLike, event: ArrayLike, covariates: ArrayLike, *, ties: str = "efron"
) -> pd.DataFrame:
    """Fit one Cox model per column, all columns at once.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        Follow-up (above 0) and event (1) or censoring (0), none missing.
    covariates : DataFrame or array-like of shape (n, p)
        Numbers, none missing; a constant column is an error.
    ties : {"efron", "breslow"}
        Treatment of tied event times.

    Returns
    -------
    pandas.DataFrame
        Index = column name; ``coef``, ``se``, ``hr``, ``z``, ``p_value`` (Wald) and ``converged``. Where the
        likelihood of a column is monotone, ``converged`` is False and the Wald p-value close to 1, as in R.

    Raises
    ------
    ValueError
        For bad input.
    """
    if ties not in TIES:
        raise ValueError(f"ties is {ties!r}; it must be one of {', '.join(TIES)}.")
    values, names = read_covariates(covariates)
    time, event, _ = check_survival(time, event, covariates=values[:, 0])
    scale = values.std(axis=0)
    if (constant := np.flatnonzero(np.ptp(values, axis=0) == 0)).size:
        raise ValueError(
            f"{len(constant)} covariate(s) are constant, the first '{names[constant[0]]}': leave them out."
        )
    scaled = (values - values.mean(axis=0)) / scale
    sets = RiskSets.arrange(time, event, scaled, np.ones(len(time)), np.arange(len(time)), ties)
    beta, information, converged = _maximise_columns(sets)
    coef, se = beta / scale, 1 / np.sqrt(information) / scale
    z = coef / se
    with np.errstate(over="ignore"):
        hr = np.exp(coef)
    table = {"coef": coef, "se": se, "hr": hr, "z": z, "p_value": 2 * stats.norm.sf(np.abs(z))}
    return pd.DataFrame(table | {"converged": converged}, index=list(names))


def _maximise_columns(sets: RiskSets, max_iterations: int = 40):
    """Return estimate, information and convergence of one model per column."""
    x = sets.covariates
    accepted = beta = step = np.zeros(x.shape[1])
    observed = x[sets.event].sum(axis=0)
    best, information = np.full(len(beta), -np.inf), np.ones(len(beta))
    for _ in range(max_iterations):
        predictor = x * beta
        shift = predictor.max(axis=0)
        relative = np.exp(predictor - shift)
        total = sets.over_steps(relative)
        mean = sets.over_steps(relative * x) / total
        information = (sets.over_steps(relative * x**2) / total - mean**2).sum(axis=0)
        loglik = observed * beta - (np.log(total) + shift).sum(axis=0)
        # A step that lowered the likelihood is halved; the other columns take Newton's next one.
        worse = loglik < best - 1e-10
        newton = (observed - mean.sum(axis=0)) / np.maximum(information, 1e-12)
        accepted, best = np.where(worse, accepted, beta), np.where(worse, best, loglik)
        step = np.where(worse, step / 2, np.clip(newton, -2, 2))
        beta = accepted + step
        if np.abs(step).max() < 1e-9:
            break
    return beta, np.maximum(information, 1e-12), np.abs(step) < 1e-6
