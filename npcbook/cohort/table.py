"""The table of a cohort, read as text and checked against its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from npcbook.cohort.columns import COLUMNS, INTEGERS, TINY, Column

NOT_GIVEN = ("", "n/a", "NA", "nan", "NaN")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a cohort.

    Attributes
    ----------
    row : int or None
        Line of the participants file, the header being line 1; None where no line is to blame.
    column : str
        Column, or empty.
    file : str
        File, from the cohort's folder.
    message : str
        What was found, what is allowed, what to do.
    """

    row: int | None
    column: str
    file: str
    message: str

    def __str__(self) -> str:
        place = self.file + (f", row {self.row}" if self.row else "")
        return f"{place}{f', {self.column}' if self.column else ''}: {self.message}"


def _table_path(folder: Path) -> Path:
    for name in ("participants.tsv", "participants.csv"):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"There is no participants.tsv or participants.csv in {folder}.")


def _read_text(path: Path) -> pd.DataFrame:
    """Read the table as text, spaces trimmed, so that a code is judged as it was written."""
    separator = "\t" if path.suffix == ".tsv" else ","
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    table.columns = table.columns.str.strip()
    table = table.apply(lambda values: values.str.strip()).replace(list(NOT_GIVEN), "")
    for column in ("ldh", "ebv_dna"):
        if column in table:
            table[column] = table[column].replace("", "missing")
    return table


def _typed(text: pd.DataFrame) -> pd.DataFrame:
    table = text.copy()
    for column in COLUMNS:
        if column.name not in table:
            continue
        if column.is_number or column.name in INTEGERS:
            table[column.name] = pd.to_numeric(table[column.name])
        if column.name in INTEGERS:
            table[column.name] = table[column.name].astype(int)
        elif column.is_number:
            table[column.name] = table[column.name].astype(float)
    return table.drop(columns="participant_id", errors="ignore")


def _table_problems(table: pd.DataFrame, file: str) -> list[Problem]:
    problems = _missing_columns(table, file)
    if table.empty:
        return [*problems, Problem(None, "", file, "holds no patient.")]
    found = []
    for column in COLUMNS:
        if column.name in table:
            found += _column_problems(table[column.name], column, file)
    found += _id_problems(table, file) + _consistency_problems(table, file)
    return problems + sorted(found, key=lambda problem: problem.row)


def _missing_columns(table: pd.DataFrame, file: str) -> list[Problem]:
    """Return columns that are not there, and optional ones that another case of letters would hide."""
    problems, others = [], {name.lower(): name for name in table}
    for name, required in ((c.name, c.required) for c in COLUMNS if c.name not in table):
        if name in others:
            message = f"the column is missing; found {others[name]}: rename it to {name}."
            problems.append(Problem(None, name, file, message))
        elif required:
            problems.append(Problem(None, name, file, "the column is missing: add it."))
    return problems


def _row(index: int) -> int:
    return index + 2  # line 1 is the header


def _column_problems(values: pd.Series, column: Column, file: str) -> list[Problem]:
    empty = values == ""
    problems = []
    if column.required:
        problems += [Problem(_row(i), column.name, file, "is empty.") for i in values.index[empty]]
    codes = [code for code, _ in column.levels]
    if codes:
        bad, allowed = ~values.isin(codes), f"allowed are {', '.join(codes)}."
    elif column.is_number:
        number = _numbers(values)
        bad = number.isna() | (number < column.low) | (number > column.high)
        allowed = f"allowed are numbers {_range(column)}."
    else:
        return problems
    bad &= ~empty
    for i in values.index[bad]:
        message = f"is {values[i]!r}; {allowed}"
        if column.is_number and re.fullmatch(r"[+-]?\d+,\d+", values[i]):
            message += f" If the comma is a decimal one, write {values[i].replace(',', '.')}."
        problems.append(Problem(_row(i), column.name, file, message))
    return problems


def _numbers(values: pd.Series) -> pd.Series:
    """Return text as numbers; NaN for what is none, infinity included."""
    return pd.to_numeric(values, errors="coerce").replace([np.inf, -np.inf], np.nan)


def _range(column: Column) -> str:
    low = "above 0" if column.low == TINY else f"from {column.low:g}"
    return low if np.isinf(column.high) else f"{low} to {column.high:g}"


def _id_problems(table: pd.DataFrame, file: str) -> list[Problem]:
    if "patient_id" not in table:
        return []
    ids, problems = table["patient_id"], []
    for i in ids.index[ids.duplicated() & (ids != "")]:
        first = _row(ids.index[ids == ids[i]][0])
        problems.append(Problem(_row(i), "patient_id", file, f"{ids[i]!r} stands in row {first} already."))
    for i in ids.index[~ids.str.fullmatch(r"[A-Za-z0-9]*")]:
        problems.append(
            Problem(_row(i), "patient_id", file, f"{ids[i]!r} has other than letters and digits.")
        )
    return problems


def _consistency_problems(table: pd.DataFrame, file: str) -> list[Problem]:
    """Return contradictions between columns; what is unreadable in one column is reported elsewhere."""
    names = {column.name for column in COLUMNS if column.required}
    text = table.reindex(columns=sorted(names), fill_value="")
    number = {n: _numbers(text[n]) for n in ("dmfs_months", "os_months", "ccnd_mg_m2")}
    analysed = (table["exclusion"] == "") if "exclusion" in table else pd.Series(True, index=table.index)
    rules = (
        (
            "dmfs_months",
            number["dmfs_months"] > number["os_months"] + 1e-6,
            "is longer than the patient's follow-up (os_months).",
        ),
        ("n_stage", (text["n_stage"] == "N0") & text["rene"].isin(["1", "2"]), "is N0, yet rene is above 0."),
        (
            "ccnd_mg_m2",
            (number["ccnd_mg_m2"] > 0) & text["chemotherapy"].isin(["none", "other"]),
            "is above 0, yet chemotherapy has neither cisplatin nor nedaplatin.",
        ),
        (
            "t_stage",
            (text["t_stage"] == "T1") & (text["n_stage"] == "N0") & analysed,
            "is T1 with N0, which is stage I: give a reason in the column exclusion, or correct the stage.",
        ),
    )
    return [Problem(_row(i), name, file, message) for name, bad, message in rules for i in table.index[bad]]
