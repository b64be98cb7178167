"""The table of a cohort, read as text and checked against its columns."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from npcbook.cohort.columns import COLUMNS, TINY, Column

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
    for column in {"ldh", "ebv_dna"} & set(table):
        table[column] = table[column].replace("", "missing")
    return table


def _typed(text: pd.DataFrame) -> pd.DataFrame:
    table = text.drop(columns="participant_id", errors="ignore")
    numbers = {c.name: c.kind for c in COLUMNS if c.name in table and c.kind is not str}
    return table.assign(**{name: pd.to_numeric(table[name]).astype(kind) for name, kind in numbers.items()})


def _table_problems(table: pd.DataFrame, file: str) -> list[Problem]:
    found = list(_missing_columns(table))
    if table.empty:
        found.append((None, "", "holds no patient."))
    else:
        cells = [cell for c in COLUMNS if c.name in table for cell in _bad_cells(table[c.name], c)]
        cells += [*_bad_ids(table), *_contradictions(table)]
        found += [*_wrong_units(table), *sorted([*cells, *_misread(table)], key=lambda cell: cell[0])]
    return [Problem(i if i is None else _row(i), column, file, message) for i, column, message in found]


#: Position in the table (None: no row is to blame), column, message.
_Found = Iterator[tuple[int | None, str, str]]


def _missing_columns(table: pd.DataFrame) -> _Found:
    """Yield columns that are not there, and optional ones that another case of letters would hide."""
    others = {name.lower(): name for name in table}
    for column in COLUMNS:
        name = column.name
        if name not in table and name in others:
            yield None, name, f"the column is missing; found {others[name]}: rename it to {name}."
        elif name not in table and column.required:
            yield None, name, "the column is missing: add it."


def _row(index: int) -> int:
    return index + 2  # line 1 is the header


def _bad_cells(values: pd.Series, column: Column) -> _Found:
    """Yield the cells of a column that are empty though required, or hold what is not allowed."""
    empty = values == ""
    if column.levels:
        codes = [code for code, _ in column.levels]
        bad, allowed = ~values.isin(codes), ", ".join(codes)
    elif column.is_number:
        bad, allowed = ~_numbers(values).between(column.low, column.high), f"numbers {_range(column)}"
    else:
        bad, allowed = empty, ""
    for i in values.index[empty & column.required]:
        yield i, column.name, "is empty."
    for i in values.index[bad & ~empty]:
        message = f"is {values[i]!r}; allowed are {allowed}."
        if column.is_number and re.fullmatch(r"[+-]?\d+,\d+", values[i]):
            message += f" If the comma is a decimal one, write {values[i].replace(',', '.')}."
        yield i, column.name, message


def _numbers(values: pd.Series) -> pd.Series:
    """Return text as numbers; NaN for what is none, infinity included."""
    return pd.to_numeric(values, errors="coerce").replace([np.inf, -np.inf], np.nan)


def _range(column: Column) -> str:
    low = "above 0" if column.low == TINY else f"from {column.low:g}"
    return low if np.isinf(column.high) else f"{low} to {column.high:g}"


def _bad_ids(table: pd.DataFrame) -> _Found:
    if "patient_id" not in table:
        return
    ids = table["patient_id"]
    for i in ids.index[ids.duplicated() & (ids != "")]:
        first = _row(ids.index[ids == ids[i]][0])
        yield i, "patient_id", f"{ids[i]!r} stands in row {first} already."
    for i in ids.index[~ids.str.fullmatch(r"[A-Za-z0-9]*")]:
        yield i, "patient_id", f"{ids[i]!r} has other than letters and digits."


def _contradictions(table: pd.DataFrame) -> _Found:
    """Yield contradictions between columns; what is unreadable in one column is reported elsewhere."""
    text = table.reindex(columns=[column.name for column in COLUMNS], fill_value="")
    dmfs, follow_up, dose = (_numbers(text[n]) for n in ("dmfs_months", "os_months", "ccnd_mg_m2"))
    n0, no_platinum = text["n_stage"] == "N0", text["chemotherapy"].isin(["none", "other"])
    stage_1 = (text["t_stage"] == "T1") & n0 & (text["exclusion"] == "")
    too_long = "is longer than the patient's follow-up (os_months)."
    no_drug = "is above 0, yet chemotherapy has neither cisplatin nor nedaplatin."
    left = "is T1 with N0, which is stage I: give a reason in the column exclusion, or correct the stage."
    for column, bad, message in (
        ("dmfs_months", dmfs > follow_up + 1e-6, too_long),
        ("n_stage", n0 & text["rene"].isin(["1", "2"]), "is N0, yet rene is above 0."),
        ("ccnd_mg_m2", (dose > 0) & no_platinum, no_drug),
        ("t_stage", stage_1, left),
    ):
        yield from ((i, column, message) for i in table.index[bad])


#: Months that more than half of a cohort's patients never pass.
LONGEST_MEDIAN = {"dmfs_months": 240, "os_months": 240, "rt_end_months": 12}
#: Words that deny a reason, and would be taken for one.
NO_REASON = {"no", "n", "0", "0.0", "none", "false", "nein", "non", "included", "否", "无", "未排除"}


def _wrong_units(table: pd.DataFrame) -> _Found:
    """Yield times that can only be days."""
    for name, longest in LONGEST_MEDIAN.items():
        if name in table and (median := _numbers(table[name]).median()) > longest:
            said = f"half of the patients have more than {median:.0f} months: these look like days"
            yield None, name, f"{said}; divide them by 30.4375."


def _misread(table: pd.DataFrame) -> _Found:
    """Yield what would be read without a word as something else than was meant."""
    text = table.reindex(columns=["exclusion", "chemotherapy", "ccnd_mg_m2"], fill_value="")
    for i in text.index[text["exclusion"].str.casefold().isin(NO_REASON)]:
        said = f"is {text['exclusion'][i]!r}, and any text leaves the patient out"
        yield i, "exclusion", f"{said}: leave the cell empty for those to analyse."
    given = (text["exclusion"] == "") & (text["chemotherapy"] == "cisplatin_nedaplatin")
    for i in text.index[given & (_numbers(text["ccnd_mg_m2"]) == 0)]:
        yield (
            i,
            "ccnd_mg_m2",
            "is 0, yet chemotherapy has cisplatin or nedaplatin: leave an unknown dose empty.",
        )
