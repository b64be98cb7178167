"""Feature selection for few events: univariable ranking, correlation filter, LASSO-Cox."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sksurv.linear_model import CoxnetSurvivalAnalysis
from sksurv.util import Surv

from npcbook.statistics.cox import univariable_cox
from npcbook.statistics.data import RiskSets, check_survival


@dataclass(frozen=True)
class LassoCox:
    """A LASSO-Cox model chosen by cross-validation.

    Attributes
    ----------
    path : pandas.DataFrame
        Coefficients per unit of the feature (higher = worse): one row per penalty, from the heaviest to the
        lightest (the index), one column per feature.
    cv_mean, cv_se : numpy.ndarray
        Per penalty, the cross-validated partial likelihood deviance per event and its standard error.
    lambda_min, lambda_1se : float
        Penalty with the lowest cross-validated deviance; the largest one within a standard error of it.
    """

    path: pd.DataFrame
    cv_mean: np.ndarray
    cv_se: np.ndarray
    lambda_min: float
    lambda_1se: float

    @property
    def coef(self) -> pd.Series:
        """Coefficients at `lambda_min` that are not zero, by feature; may be empty."""
        row = self.path.loc[self.lambda_min]
        return row[row != 0]

    def risk(self, features: pd.DataFrame) -> np.ndarray:
        """Return the linear predictor (higher = worse), not centred, of patients with these features."""
        return _columns(features, self.coef.index).to_numpy(dtype=float) @ self.coef.to_numpy()


@dataclass(frozen=True)
class FeatureSelection:
    """What the three steps of the selection left, and the signature they end in.

    Attributes
    ----------
    counts : pandas.Series
        Features left after each step: given, varying, uncorrelated, selected.
    univariable : pandas.DataFrame
        Univariable Cox model of each varying feature (per standard deviation), index = feature.
    uncorrelated, selected : tuple of str
        Features left by the correlation filter and by the LASSO, in order of univariable p-value.
    mean, sd : pandas.Series
        Z-score of the uncorrelated features in the data fitted on.
    lasso : LassoCox
        The model on z-scores.
    """

    counts: pd.Series
    univariable: pd.DataFrame
    uncorrelated: tuple[str, ...]
    selected: tuple[str, ...]
    mean: pd.Series
    sd: pd.Series
    lasso: LassoCox

    @property
    def coef(self) -> pd.Series:
        """Coefficients per standard deviation of the selected features."""
        return self.lasso.coef

    def risk(self, features: pd.DataFrame) -> np.ndarray:
        """Return the signature (higher = worse) of any patients, with the z-score of those fitted on."""
        chosen = list(self.selected)
        scaled = (_columns(features, chosen) - self.mean[chosen]) / self.sd[chosen]
        return self.lasso.risk(scaled)


def _columns(features: pd.DataFrame, names) -> pd.DataFrame:
    if missing := [name for name in names if name not in features]:
        raise ValueError(
            f"features lack {len(missing)} column(s) that the model needs, the first '{missing[0]}': extract "
            f"the same features as for fitting."
        )
    return features[list(names)]


def _check_features(features: pd.DataFrame, time: ArrayLike, event: ArrayLike):
    """Return survival data and the table of features as a finite float matrix."""
    if not isinstance(features, pd.DataFrame):
        raise ValueError(f"features is {type(features).__name__}; give a DataFrame, one row per patient.")
    if features.empty or not features.columns.is_unique:
        raise ValueError("features must have rows, and columns with unique names: none empty, none twice.")
    time, event, _ = check_survival(time, event, features=features.iloc[:, 0])
    matrix = features.to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
    if bad.size:
        raise ValueError(
            f"{bad.size} feature(s) have missing or infinite values, the first '{features.columns[bad[0]]}': "
            f"drop or repair them beforehand."
        )
    return time, event, matrix


def _z_score(matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return z-scores and standard deviations; of a column that is constant, zeros and infinity."""
    sd = matrix.std(axis=0)
    sd = np.where(sd > 1e-12 * np.maximum(1, np.abs(matrix).max(axis=0)), sd, np.inf)
    return (matrix - matrix.mean(axis=0)) / sd, sd


def _fit_path(matrix, time, event, lambdas, **options) -> np.ndarray:
    """Return coefficients per unit, one row per penalty, those from the heaviest to the lightest."""
    scaled, sd = _z_score(matrix)
    coef = _coefficients(scaled, Surv.from_arrays(event, time), alphas=lambdas, **options) / sd
    # A path that stops early, because the model fits perfectly, stays where it stopped, as in glmnet.
    return np.concatenate([coef, np.repeat(coef[-1:], len(lambdas) - len(coef), axis=0)])


def _coefficients(scaled, outcome, *, alphas, **options) -> np.ndarray:
    """Return coefficients, one row per penalty, as far down as numbers stay finite."""
    while len(alphas):
        model = CoxnetSurvivalAnalysis(alphas=alphas, max_iter=1_000_000, **options)
        with warnings.catch_warnings():
            # A path on which nothing enters is an answer, not a fault.
            warnings.filterwarnings("ignore", "all coefficients are zero", UserWarning)
            try:
                return model.fit(scaled, outcome).coef_.T
            except ArithmeticError:
                # Light penalties let a perfect separation run away.
                alphas = alphas[: len(alphas) * 9 // 10]
    raise ValueError("no penalty allows a finite fit: features separate the events from the rest.")


def _log_likelihoods(matrix, time, event, coef) -> np.ndarray:
    """Return the Breslow log partial likelihood of each row of coefficients."""
    sets = RiskSets(time, event, (matrix - matrix.mean(axis=0)) @ coef.T, ties="breslow")
    shift = sets.covariates.max(axis=0)
    total = sets.over_steps(np.exp(sets.covariates - shift))
    return sets.covariates[sets.event].sum(axis=0) - (np.log(total) + shift).sum(axis=0)


def _cross_validate(matrix, time, event, lambdas, folds, **options):
    """Return mean and standard error of the deviance per event over folds, as cv.glmnet(grouped=TRUE)."""
    deviances, weights = [], []
    for fold in np.unique(folds):
        kept = folds != fold
        coef = _fit_path(matrix[kept], time[kept], event[kept], lambdas, **options)
        everyone = _log_likelihoods(matrix, time, event, coef)
        fitted_on = _log_likelihoods(matrix[kept], time[kept], event[kept], coef)
        weights.append(event[~kept].sum())
        ties = _saturated(time, event) - _saturated(time[kept], event[kept])
        deviances.append(2 * (ties - everyone + fitted_on) / weights[-1])
    deviances, weights = np.array(deviances), np.array(weights, dtype=float)
    mean = np.average(deviances, axis=0, weights=weights)
    variance = np.average((deviances - mean) ** 2, axis=0, weights=weights) / (len(weights) - 1)
    return mean, np.sqrt(variance)


def _saturated(time, event) -> float:
    """Return the log-likelihood of the saturated model: only tied events cost anything."""
    _, ties = np.unique(time[event], return_counts=True)
    return float(-(ties * np.log(ties)).sum())


def _read_folds(folds, event) -> np.ndarray:
    folds = np.asarray(folds)
    if folds.shape != event.shape:
        raise ValueError(f"folds has shape {folds.shape}; give one fold per patient, {event.shape}.")
    names = np.unique(folds)
    # With two folds that have an event, none is fitted without one.
    if (n_empty := sum(not event[folds == name].any() for name in names)) or len(names) < 2:
        raise ValueError(
            f"folds has {len(names)} fold(s), {n_empty} without an event; give two or more, each with events."
        )
    return folds


def _largest_lambda(matrix, time, event, l1_ratio) -> float:
    """Return the smallest penalty that leaves no feature in the model."""
    sets = RiskSets(time, event, _z_score(matrix)[0], ties="breslow")
    mean = sets.over_steps(sets.covariates) / sets.over_steps(np.ones(len(sets.rows)))[:, None]
    gradient = sets.covariates[sets.event].sum(axis=0) - mean.sum(axis=0)
    return float(np.abs(gradient).max() / len(time) / max(l1_ratio, 1e-3))


def fit_lasso_cox(
    features: pd.DataFrame,
    time: ArrayLike,
    event: ArrayLike,
    folds: ArrayLike,
    *,
    lambdas: ArrayLike | None = None,
    l1_ratio: float = 1.0,
    tolerance: float | None = None,
) -> LassoCox:
    """Fit a LASSO-Cox path and choose the penalty by cross-validated deviance.

    Parameters
    ----------
    features : DataFrame, shape (n, p)
        Finite numbers, any units (they are standardised inside, and again within every fold).
    time : array-like, shape (n,)
        Follow-up, in any one unit; greater than 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    folds : array-like, shape (n,)
        Fold of each patient; every fold needs an event.
    lambdas : array-like, optional
        Penalties; by default a hundred from the smallest that leaves nothing down to 1/20 of it (1/10,000
        with more events than features), evenly spaced on the log scale.
    l1_ratio : float
        1 = LASSO, less = elastic net (glmnet's ``alpha``), above 0.
    tolerance : float
        Convergence of the coordinate descent; by default 1e-14, and with more features than events, where
        that would take minutes, 1e-7 (coefficients then agree to about 0.002 standard deviations).

    Returns
    -------
    LassoCox
        Coefficients, path, cross-validation.

    Raises
    ------
    ValueError
        For bad input.

    Notes
    -----
    Breslow ties. The deviance of a fold is that of all patients less that of the patients fitted on, per
    event in the fold. Equals R ``glmnet`` 4.1-6 (``cv.glmnet(family = "cox", grouped = TRUE)``) on given
    folds and penalties; glmnet's own default path goes down to 1/100 with fewer patients than features. The
    coordinate descent is scikit-survival's, which has no cross-validated deviance: a grid search with it
    judges a penalty by the C-index of each fold.

    References
    ----------
    Construction of the radiomics model in the paper, reference 42. Simon et al., J Stat Softw 2011;39(5).
    """
    if not 0 < l1_ratio <= 1:
        raise ValueError(f"l1_ratio is {l1_ratio}; it must be above 0 and at most 1 (1 = LASSO).")
    time, event, matrix = _check_features(features, time, event)
    folds = _read_folds(folds, event)
    if lambdas is None:
        highest = _largest_lambda(matrix, time, event, l1_ratio)
        if highest < 1e-12:
            raise ValueError("features hold nothing that varies among the patients at risk; give others.")
        # Events, not patients, are what a Cox model has to spend: with fewer of them than features the lower
        # part of the path only separates events from the rest, without end.
        lambdas = highest * np.geomspace(1, 0.05 if matrix.shape[1] > event.sum() else 1e-4, 100)
    lambdas = np.sort(np.asarray(lambdas, dtype=float))[::-1]
    tolerance = tolerance or (1e-7 if matrix.shape[1] > event.sum() else 1e-14)
    coef = _fit_path(matrix, time, event, lambdas, l1_ratio=l1_ratio, tol=tolerance)
    mean, se = _cross_validate(matrix, time, event, lambdas, folds, l1_ratio=l1_ratio, tol=tolerance)
    best = int(mean.argmin())
    within = int(np.flatnonzero(mean <= mean[best] + se[best])[0])
    path = pd.DataFrame(coef, index=pd.Index(lambdas, name="lambda"), columns=features.columns)
    return LassoCox(path, mean, se, float(lambdas[best]), float(lambdas[within]))


def uncorrelated_features(
    features: pd.DataFrame, p_value: pd.Series, max_correlation: float = 0.85
) -> list[str]:
    """Keep, of every pair of correlated features, the one with the lower p-value.

    Parameters
    ----------
    features : DataFrame
        Varying, finite numbers.
    p_value : Series
        Univariable p-value per feature.
    max_correlation : float
        Highest absolute Pearson correlation that may remain, between 0 and 1.

    Returns
    -------
    list of str
        Names kept, by ascending p-value; at equal p-values the order of the columns decides.

    Raises
    ------
    ValueError
        If the limit is not between 0 and 1.
    """
    if not 0 < max_correlation <= 1:
        raise ValueError(f"max_correlation is {max_correlation}; it must be above 0 and at most 1.")
    order = features.columns[np.argsort(p_value[features.columns].to_numpy(), kind="stable")]
    matrix = features[order].to_numpy(dtype=float)
    scaled = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    correlation = np.abs(scaled.T @ scaled / len(scaled))
    kept: list[int] = []
    for j in range(len(order)):
        if not (correlation[j, kept] > max_correlation).any():
            kept.append(j)
    return [str(name) for name in order[kept]]


def select_features(
    features: pd.DataFrame,
    time: ArrayLike,
    event: ArrayLike,
    max_correlation: float = 0.85,
    *,
    folds: ArrayLike,
) -> FeatureSelection:
    """Reduce radiomic features to a signature: z-score, univariable p, correlation filter, LASSO-Cox.

    Parameters
    ----------
    features : DataFrame, shape (n, p)
        Features of the patients to fit on (training only), index = patient_id. Constant ones are dropped.
    time, event : array-like, shape (n,)
        Follow-up and event, in the order of the rows.
    max_correlation : float
        Highest absolute Pearson correlation that may remain (0.85 in the paper).
    folds : array-like, shape (n,)
        Cross-validation folds, each with an event (see `stratified_folds`).

    Returns
    -------
    FeatureSelection
        Counts per step, z-score, signature.

    Raises
    ------
    ValueError
        For bad input, or if no feature varies.

    References
    ----------
    Construction of the radiomics model in the paper.
    """
    time, event, matrix = _check_features(features, time, event)
    limit = 1e-10 * np.maximum(1, np.abs(matrix).max(axis=0))
    varying = features.loc[:, matrix.std(axis=0) > limit].astype(float)
    if varying.empty:
        raise ValueError(f"features has {matrix.shape[1]} column(s), none of which varies between patients.")
    mean, sd = varying.mean(), varying.std(ddof=0)
    scaled = (varying - mean) / sd
    univariable = univariable_cox(time, event, scaled)
    kept = uncorrelated_features(scaled, univariable["p_value"], max_correlation)
    # What is left may be fewer features than events, and related ones: full precision would take minutes.
    lasso = fit_lasso_cox(scaled[kept], time, event, folds, tolerance=1e-7)
    counts = {"given": matrix.shape[1], "varying": varying.shape[1]}
    counts |= {"uncorrelated": len(kept), "selected": len(lasso.coef)}
    steps = pd.Series(counts, name="features"), univariable, tuple(kept), tuple(lasso.coef.index)
    return FeatureSelection(*steps, mean[kept], sd[kept], lasso)
