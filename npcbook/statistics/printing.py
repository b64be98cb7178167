"""Results that print themselves: an estimate with its limits as text, the same everywhere."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from scipy import stats

from npcbook.statistics.data import Z95
from npcbook.words import format_estimate, format_hr


class Printed:
    """A result of which f-strings and `str` give the estimate with its limits, such as "0.79 (0.73–0.86)".

    The format says the decimals, and whether in per cent: ``f"{c}"``, ``f"{c:3}"``, ``f"{rate:1%}"``.
    """

    #: Names of estimate and limits; decimals where the format says none.
    printed: ClassVar[tuple[str, ...]] = ("value", "low", "high")
    decimals: ClassVar[int] = 2
    #: Where a limit that is symmetric by construction ends, as that of a share at 1.
    highest: ClassVar[float] = math.inf

    def __format__(self, spec: str) -> str:
        factor, digits = (100, spec[:-1]) if spec.endswith("%") else (1, spec)
        values = [factor * min(getattr(self, name), self.highest) for name in self.printed]
        return format_estimate(*values, int(digits or self.decimals))

    def __str__(self) -> str:
        return format(self)


@dataclass(frozen=True)
class Estimate(Printed):
    """An estimate with its limits: `value`, `low`, `high` (NaN where there are none)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Printed):
    """Difference of two estimates on the same patients, with standard error, limits and its Wald test."""

    printed: ClassVar = ("difference", "low", "high")
    difference: float
    se: float
    low: float
    high: float
    z: float
    p_value: float

    @property
    def detectable(self) -> float:
        """The true difference that the two-sided 5 % test finds with a power of 80 %."""
        return float((Z95 + stats.norm.ppf(0.8)) * self.se)

    @classmethod
    def of(cls, difference: float, se: float, **others: float) -> Self:
        """Return the difference with limits and test, `others` being further fields of the class."""
        low, high, z = difference - Z95 * se, difference + Z95 * se, difference / se
        return cls(difference, se, low, high, z, float(2 * stats.norm.sf(abs(z))), **others)


@dataclass(frozen=True)
class HazardRatio:
    """One covariate's hazard ratio, which prints itself: "3.71 (2.00–6.88)", with † if it is Firth's.

    Attributes
    ----------
    name : str
        Covariate.
    hr, hr_low, hr_high : float
        Hazard ratio per unit, and its limits.
    p_value : float
        Of the test that it is 1.
    method : str
        "Cox" or "Firth".
    """

    name: str
    hr: float
    hr_low: float
    hr_high: float
    p_value: float
    method: str

    def __str__(self) -> str:
        return format_hr(self.hr, self.hr_low, self.hr_high) + (" †" if self.method == "Firth" else "")


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """A fit that gives the hazard ratio of a covariate, ``fit["t2"]``, or by number, ``fit[0]``."""

    names: tuple[str, ...]
    coef: np.ndarray
    se: np.ndarray
    hr: np.ndarray
    hr_low: np.ndarray
    hr_high: np.ndarray
    p_value: np.ndarray
    loglik_null: float
    loglik: float
    lr_statistic: float
    lr_p_value: float
    n_patients: int
    n_events: int

    def __getitem__(self, covariate: str | int) -> HazardRatio:
        """Return one covariate's hazard ratio."""
        j = self.names.index(covariate) if isinstance(covariate, str) else covariate
        values = (float(getattr(self, field)[j]) for field in ("hr", "hr_low", "hr_high", "p_value"))
        return HazardRatio(self.names[j], *values, self.method)

    def summary(self) -> pd.DataFrame:
        """Return one row per covariate: name, hazard ratio with limits, p-value."""
        names = "coef se coef_low coef_high hr hr_low hr_high p_value ph_p_value".split()
        columns = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return pd.DataFrame({"covariate": self.names} | columns)

    def __str__(self) -> str:
        return ", ".join(str(self[j]) for j in range(len(self.names)))
