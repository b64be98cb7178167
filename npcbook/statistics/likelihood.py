"""Profile likelihood: how far a coefficient can go, the others following, before the data speak against it.

It stands here since lifelines, scikit-survival and statsmodels give Wald limits of a Cox model alone, which
fail where a score separates patients almost completely, and limits of Firth's likelihood have to be profiled.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

# Hazard ratios of exp(100) per standard deviation and beyond are infinite to any reader, and to rounding.
MAX_DISTANCE = 100.0


class Likelihood:
    """A log-likelihood of coefficients; a subclass says how it is computed (see `__call__`)."""

    def __call__(self, beta):
        """Return the log-likelihood, its gradient, and an information for Newton's steps."""
        raise NotImplementedError

    def maximise(self, start, free):
        """Return the highest value over the coefficients `free`, where it is, and the gradient there."""
        beta, before = np.array(start, dtype=float), np.inf
        value, gradient, information = self(beta)
        for _ in range(300 if len(free) and np.isfinite(value) else 0):
            step = np.zeros_like(beta)
            step[free] = np.linalg.lstsq(information[np.ix_(free, free)], gradient[free], rcond=None)[0]
            step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
            for _ in range(40):
                new = self(beta + step)
                if new[0] >= value - 1e-13 * abs(value):
                    break
                step /= 2
            beta, (value, gradient, information) = beta + step, new
            # Steps by the unpenalised information shrink by a constant rate, so that what is left to go is
            # more than the last step when that rate is near 1.
            moved = np.abs(step).max()
            rate = min(moved / before, 0.999)
            if moved * max(rate, 0.1) / (1 - rate) < 1e-9:
                break
            before = moved
        return value, beta, gradient

    def without(self, estimate, column):
        """Return the highest value with one coefficient at 0."""
        others = np.delete(np.arange(len(estimate)), column)
        return self.maximise(np.where(np.arange(len(estimate)) == column, 0.0, estimate), others)[0]

    def limit(self, estimate, highest, column, sign, drop, first_step):
        """Return where the profile has fallen by `drop` on one side of the estimate (`sign` -1 or 1).

        Newton's method on the profile, whose slope is the gradient's entry, kept within a bracket: on a
        nearly flat profile the bracket grows until the fall is reached.
        """
        free = np.delete(np.arange(len(estimate)), column)
        beta, inner, outer, distance = estimate.copy(), 0.0, np.inf, first_step
        for _ in range(200):
            beta[column] = estimate[column] + sign * distance
            value, beta, gradient = self.maximise(beta, free)
            excess = highest - value - drop
            if abs(excess) < 1e-10:
                break
            if np.isinf(excess) or distance > MAX_DISTANCE:
                return sign * np.inf
            inner, outer = (distance, outer) if excess < 0 else (inner, distance)
            slope = -sign * gradient[column]
            proposal = distance - excess / slope if slope > 0 else np.inf
            bound = min(outer, 2 * distance + first_step)
            if not inner < proposal < bound:
                proposal = bound if np.isinf(outer) else (inner + outer) / 2
            if outer - inner < 1e-12 * outer:
                break
            distance = proposal
        return beta[column] if abs(excess) < 1e-6 else sign * np.inf


def profile_limits(likelihood: Likelihood, beta, highest: float, se, alpha: float = 0.05):
    """Return profile likelihood limits and likelihood ratio p-values of all coefficients.

    Parameters
    ----------
    likelihood : Likelihood
        What was maximised.
    beta : numpy.ndarray, shape (p,)
        Where it is highest.
    highest : float
        Its value there.
    se : numpy.ndarray, shape (p,)
        Standard errors, for the first step outwards.
    alpha : float
        1 - confidence level.

    Returns
    -------
    low, high, p_value : numpy.ndarray, shape (p,)
        Limits on the scale of `beta`, infinite where the profile does not fall far enough, and two-sided
        p-values of the hypothesis that a coefficient is 0.

    References
    ----------
    Venzon DJ, Moolgavkar SH. Appl Stat 1988;37:87-94.
    """
    columns, drop = np.arange(len(beta)), stats.chi2.isf(alpha, 1) / 2
    low, high = (
        np.array([likelihood.limit(beta, highest, j, sign, drop, np.sqrt(2 * drop) * se[j]) for j in columns])
        for sign in (-1, 1)
    )
    falls = highest - np.array([likelihood.without(beta, j) for j in columns])
    return low, high, stats.chi2.sf(2 * np.maximum(falls, 0), 1)
