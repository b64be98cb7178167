"""The table of a cohort, read as text and checked against its columns."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from npcbook.cohort.columns import COLUMNS, TINY, Column
from npcbook.store import check_limit, read_outside_text

LONGEST_ID = 64  # names of files end with it
PATIENT_ID = f"[A-Za-z0-9]{{1,{LONGEST_ID}}}"
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
    """Read the table as text, spaces trimmed, so that a code is judged as it was written.

    Its index is the line in the file less 2; ValueError, naming the line, if it is no table.
    """
    table = read_text_table(path, "\t" if path.suffix == ".tsv" else ",")
    table = table.replace(list(NOT_GIVEN), "")
    for column in {"ldh", "ebv_dna"} & set(table):
        table[column] = table[column].replace("", "missing")
    return table


def read_text_table(path: Path, separator: str) -> pd.DataFrame:
    """Read a table as text, refusing what pandas would guess: rows of another length, columns named twice.

    Parameters
    ----------
    path : path
        Text file (see `npcbook.store.read_outside_text`), with a header.
    separator : str
        Between cells.

    Returns
    -------
    pandas.DataFrame of str
        Spaces trimmed, and single within a cell; its index is the line in the file less 2.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, is larger than `npcbook.store.LIMITS`, or is no table; the message names the line.
    """
    text = read_outside_text(path, "bytes of a table")
    check_limit("rows", text.count("\n"), path)
    check_limit("columns", text.partition("\n")[0].count(separator) + 1, path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, lines = [], []
    try:
        for row in reader:
            if any(row):
                rows.append([" ".join(cell.split()) for cell in row])
                lines.append(reader.line_num - 2)
                _check_row(path, lines[-1], rows)
    except csv.Error as error:
        raise ValueError(
            f"{path}, row {reader.line_num}: {error}; close the quotes, or double them."
        ) from error
    if not rows:
        raise ValueError(f"{path} is empty: write a header and a row for each patient.")
    return pd.DataFrame(rows[1:], columns=rows[0], index=lines[1:], dtype=str)


def _check_row(path: Path, line: int, rows: list[list[str]]) -> None:
    """Raise ValueError if the last row has another length than the header, or the header is none."""
    header, row = rows[0], rows[-1]
    check_limit("cells", len(rows) * len(header), path)
    check_limit("letters in a cell", max(map(len, row)), f"{path}, row {_row(line)},")
    if len(row) != len(header):
        raise ValueError(
            f"{path}, row {_row(line)} has {len(row)} cells and the header {len(header)}: write one for each "
            f"column, with quotes around a text that holds the separator."
        )
    if len(header) == 1:
        raise ValueError(f"{path} has one column: a .tsv has tabs between its columns, a .csv has commas.")
    if len(rows) == 1 and (twice := [name for name, n in Counter(header).items() if n > 1]):
        raise ValueError(f"{path} has columns named twice ({', '.join(map(repr, twice))}): keep one of each.")


def _typed(text: pd.DataFrame) -> pd.DataFrame:
    table = text.drop(columns="participant_id", errors="ignore")
    numbers = {c.name: c.kind for c in COLUMNS if c.name in table and c.kind is not str}
    typed = {name: pd.to_numeric(table[name]).astype(kind) for name, kind in numbers.items()}
    return table.assign(**typed).reset_index(drop=True)


def _table_problems(table: pd.DataFrame, file: str) -> list[Problem]:
    found = list(_missing_columns(table))
    if table.empty:
        found.append((None, "", "holds no patient."))
    else:
        cells = [cell for c in COLUMNS if c.name in table for cell in _bad_cells(table[c.name], c)]
        cells += [*_bad_ids(table), *_contradictions(table)]
        found += sorted(cells, key=lambda cell: cell[0])
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
    for i in ids.index[~ids.str.fullmatch(PATIENT_ID) & (ids != "")]:
        shown = repr(ids[i]) if len(ids[i]) <= LONGEST_ID else f"{ids[i][:10]!r}…, {len(ids[i])} letters,"
        yield i, "patient_id", f"{shown} has other than letters and digits, or more than {LONGEST_ID}."


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
