"""Table 1 of a cohort."""

from __future__ import annotations

import numpy as np
import pandas as pd

from npcbook.statistics.group_tests import compare_groups
from npcbook.statistics.survival import kaplan_meier, logrank, reverse_km

# Rows of the paper's Table 1: characteristic, column, levels as they are printed.
CATEGORIES = {
    "Sex": ("sex", {"male": "Male", "female": "Female"}),
    "Histopathology": ("who_type", {}),
    "T": ("t_stage", {"T1": "T1", "T2": "T2"}),
    "N": ("n_stage", {"N0": "N0", "N1": "N1"}),
    "LDH": ("ldh", {"normal": "Normal", "abnormal": "Abnormal", "missing": "Unknown"}),
    "EBV DNA": (
        "ebv_dna",
        {"undetectable": "Undetectable", "detectable": "Detectable", "missing": "Unknown"},
    ),
    "rENE": ("rene", {0: "Without", 1: "Coalescent nodes", 2: "Adjacent structures infiltration"}),
    "Chemotherapy": (
        "chemotherapy",
        {"none": "Without", "cisplatin_nedaplatin": "DDP/NDP-based", "other": "Non-DDP/NDP-based"},
    ),
}


def table_one(cohort: pd.DataFrame, by: str = "cohort", *, horizon_months: float = 60.0) -> pd.DataFrame:
    """Describe the patients of each group, and compare the groups, row by row of the paper's Table 1.

    Parameters
    ----------
    cohort : DataFrame
        One row per patient, the columns of the data dictionary.
    by : str
        Column with the groups.
    horizon_months : float
        Time of the survival rates.

    Returns
    -------
    pandas.DataFrame
        One row per level: ``characteristic``, ``level``, ``group``, ``n`` (of a rate: events), ``value`` (per
        cent; median; rate), ``low``, ``high`` (quartiles of a median; limits of a rate), ``p_value`` and
        ``method`` (of the whole characteristic). "Unknown" is a level of its own, as in the paper.

    Raises
    ------
    ValueError
        If a column is missing.

    Notes
    -----
    Rates with the limits of R's default (log), follow-up by reverse Kaplan-Meier on overall survival.
    """
    columns = ["age", by, *(column for column, _ in CATEGORIES.values())]
    columns += ["dmfs_months", "dm_event", "os_months", "os_event"]
    if missing := [column for column in columns if column not in cohort]:
        raise ValueError(f"cohort lacks the column(s) {missing}; the data dictionary lists what is needed.")
    rows = [_age_rows(cohort, by)]
    rows += [_category_rows(cohort, by, name, *what) for name, what in CATEGORIES.items()]
    rows += [_rate_rows(cohort, by, *what, horizon_months) for what in
             (("DMFS", "dmfs_months", "dm_event"), ("OS", "os_months", "os_event"))]  # fmt: skip
    rows.append(_follow_up_rows(cohort, by))
    return pd.DataFrame([row for part in rows for row in part])


def _row(characteristic, level, group, n, value, low, high, p_value, method):
    return {
        "characteristic": characteristic, "level": level, "group": group, "n": n, "value": value,
        "low": low, "high": high, "p_value": p_value, "method": method,
    }  # fmt: skip


def _p_value(compare, *arguments):
    """Return p-value and method of a test, or NaN and the reason why there is none."""
    try:
        test = compare(*arguments)
    except ValueError as error:
        return np.nan, str(error)
    return test.p_value, getattr(test, "method", "log-rank")


def _age_rows(cohort, by):
    p_value, method = _p_value(
        lambda v, g: compare_groups(v, g, kind="continuous"), cohort["age"], cohort[by]
    )
    for group, part in cohort.groupby(by, sort=False):
        q1, median, q3 = np.percentile(part["age"], [25, 50, 75])
        yield _row("Age, years", "median (quartiles)", group, len(part), median, q1, q3, p_value, method)


def _category_rows(cohort, by, name, column, labels):
    p_value, method = _p_value(
        lambda v, g: compare_groups(v, g, kind="categorical"), cohort[column], cohort[by]
    )
    levels = [level for level in labels or sorted(cohort[column].unique()) if (cohort[column] == level).any()]
    for group, part in cohort.groupby(by, sort=False):
        for level in levels:
            n = int((part[column] == level).sum())
            percent = 100 * n / len(part)
            yield _row(name, labels.get(level, level), group, n, percent, np.nan, np.nan, p_value, method)


def _rate_rows(cohort, by, name, time, event, horizon):
    p_value, _ = _p_value(logrank, cohort[time], cohort[event], cohort[by])
    for group, part in cohort.groupby(by, sort=False):
        km = kaplan_meier(part[time], part[event], at=[horizon], ci="log")
        rate, low, high = (100 * values[0] for values in (km.survival, km.low, km.high))
        events = int(part[event].sum())
        yield _row(
            f"{horizon / 12:g}-year {name}", "rate, %", group, events, rate, low, high, p_value, "log-rank"
        )


def _follow_up_rows(cohort, by):
    for group, part in cohort.groupby(by, sort=False):
        if part["os_event"].all():
            continue
        f = reverse_km(part["os_months"], part["os_event"])
        yield _row(
            "Follow-up, months", "median (quartiles)", group, len(part), f.median, f.q1, f.q3, np.nan, ""
        )
