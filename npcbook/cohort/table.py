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
from npcbook.store import check_limit, read_outside_text, whole
from npcbook.words import COHORTS, ENDPOINTS

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
    found = [path for end in ("tsv", "csv") if (path := folder / f"participants.{end}").exists()]
    if len(found) == 2:
        raise ValueError(f"{folder} holds participants.tsv and participants.csv: keep one of them.")
    if not found:
        raise FileNotFoundError(f"There is no participants.tsv or participants.csv in {folder}.")
    return found[0]


def _read_text(path: Path) -> pd.DataFrame:
    """Read the table as text, spaces trimmed and a code 1.0 as 1, so that it is judged as it was written.

    Its index is the line in the file less 2; ValueError, naming the line, if it is no table.
    """
    table = read_text_table(path, "\t" if path.suffix == ".tsv" else ",")
    table = table.replace(list(NOT_GIVEN), "")
    codes = table.columns.difference([column.name for column in COLUMNS if column.is_number])
    table[codes] = table[codes].map(whole)
    for column in {"ldh", "ebv_dna"} & set(table):
        table[column] = table[column].replace("", "missing")
    return table


def read_ids(folder: Path) -> pd.Series:
    """Return the `patient_id` of each row of a cohort's table; errors as of `read_text_table`."""
    table = _read_text(path := _table_path(folder))
    if "patient_id" not in table:
        raise ValueError(f"{path} has no column patient_id: add it, or give another folder.")
    return table["patient_id"]


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
            if any(map(str.strip, row)):
                rows.append([" ".join(cell.split()) for cell in row])
                lines.append(reader.line_num - 2)
                _check_row(path, lines[-1], rows)
    except csv.Error as error:
        said = f"{path}, row {reader.line_num}: {error}; close the quotes, or double them."
        raise ValueError(said) from error
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


#: Endpoints, their time and event, of which a cohort has one or both.
FOLLOW_UP = tuple(ENDPOINTS.values())
#: What stands for an absent or empty cell; elsewhere it stays unknown.
DEFAULTS = {"cohort": COHORTS[0], "center": "not named", "ldh": "missing", "ebv_dna": "missing"}
#: What "eligibility" of dataset_description.json may say of patients beyond stage II.
STAGE_II, ANY = "stage II", "any"


def _typed(text: pd.DataFrame, eligibility: str | None = None) -> pd.DataFrame:
    """Return the table with numbers as numbers, every column of `COLUMNS` that is not extra, and reasons."""
    table = text.drop(columns="participant_id", errors="ignore")
    names = [column.name for column in COLUMNS if column.name in table or not column.extra]
    table = table.reindex(columns=dict.fromkeys([*names, *table]), fill_value="")
    for column in (column for column in COLUMNS if column.name in table and not column.extra):
        values = table[column.name].mask(table[column.name] == "", DEFAULTS.get(column.name, np.nan))
        table[column.name] = values if column.kind is str else _numbers(values)
    for column in (column for column in COLUMNS if column.name in table and column.extra):
        if column.kind is not str:
            table[column.name] = _numbers(table[column.name])
    without = table["chemotherapy"].isin(["none", "other"]) & table["ccnd_mg_m2"].isna()
    table["ccnd_mg_m2"] = table["ccnd_mg_m2"].mask(without, 0.0)
    reasons = _ineligible(text, eligibility)
    if reasons.ne("").any() or "exclusion" in table:
        given = table.get("exclusion", pd.Series("", table.index))
        table["exclusion"] = given.mask(given == "", reasons)
    return _whole(table).reset_index(drop=True)


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with codes that are digits as integers, where none is unknown."""
    digits = [column.name for column in COLUMNS if column.kind is int and table[column.name].notna().all()]
    return table.astype(dict.fromkeys(digits, int))


def _ineligible(text: pd.DataFrame, eligibility: str | None) -> pd.Series:
    """Return why rows take no part by the cohort's own word on eligibility; empty for those who do."""
    part, t, n = (text.get(name, pd.Series("", text.index)) for name in ("cohort", "t_stage", "n_stage"))
    reason = pd.Series("", text.index)
    if eligibility:
        reason = reason.mask(~part.isin(["", *COHORTS]), "cohort " + part)
    if eligibility == STAGE_II:
        reason = reason.mask((reason == "") & _not_stage_ii(t, n), "not stage II: " + t + n)
    return reason


def _not_stage_ii(t: pd.Series, n: pd.Series) -> pd.Series:
    beyond = [code for column in COLUMNS for code, _ in column.beyond]
    return t.isin(beyond) | n.isin(beyond) | ((t == "T1") & (n == "N0"))


def _kept(table: pd.DataFrame, eligibility: str | None = None) -> pd.Series:
    """Return which rows of the text are analysed: those without a reason to leave them out."""
    own = table["exclusion"] == "" if "exclusion" in table else pd.Series(True, table.index)
    return own & (_ineligible(table, eligibility) == "")


def _table_problems(table: pd.DataFrame, file: str, eligibility: str | None = None) -> list[Problem]:
    """Return what is wrong: of patients left out nothing is asked but an id that no other has."""
    found = list(_missing_columns(table))
    if table.empty:
        found.append((None, "", "holds no patient."))
    else:
        kept = table[_kept(table, eligibility)]
        checked = {c: table if c.required else kept for c in COLUMNS if c.name in table}
        cells = [cell for c, rows in checked.items() for cell in _bad_cells(rows[c.name], c)]
        cells += [*_bad_ids(table), *_contradictions(kept), *_gaps(kept), *_beyond(kept, eligibility)]
        cells += _misread(table)
        found += [*_no_follow_up(kept), *_wrong_units(kept), *sorted(cells, key=lambda cell: cell[0])]
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
            yield None, name, "the column is missing: add it (it is BIDS's participant_id without 'sub-')."


def _no_follow_up(table: pd.DataFrame) -> _Found:
    """Yield that no endpoint is there at all."""
    if not any(name in table and (table[name] != "").any() for pair in FOLLOW_UP for name in pair):
        pairs = ", or ".join(" and ".join(pair) for pair in FOLLOW_UP)
        yield None, "", f"holds no follow-up: one time and event are needed, {pairs}."


def _gaps(table: pd.DataFrame) -> _Found:
    """Yield empty cells of columns that are known of all patients or of none: cohort, time and event."""
    text = table.reindex(columns=["cohort", *(name for pair in FOLLOW_UP for name in pair)], fill_value="")
    said = "is empty, and other patients have it: fill it in, or give a reason in exclusion."
    for names in (("cohort",), *FOLLOW_UP):
        empty = text[[*names]] == ""
        for name in names if not empty.all(axis=None) else ():
            yield from ((i, name, said) for i in text.index[empty[name]])


def _beyond(table: pd.DataFrame, eligibility: str | None) -> _Found:
    """Yield stages beyond the paper's where the cohort does not say whether they are analysed."""
    t, n = (table.get(name, pd.Series("", table.index)) for name in ("t_stage", "n_stage"))
    remedy = f'write "eligibility": "{ANY}" (analysed) or "{STAGE_II}" (left out) in dataset_description.json'
    for i in table.index[_not_stage_ii(t, n)] if eligibility is None else ():
        said = f"is {t[i]} with {n[i]}, not stage II as in the paper"
        yield i, "t_stage", f"{said}: {remedy}, or give a reason in exclusion."


def _row(index: int) -> int:
    return index + 2  # line 1 is the header


def _bad_cells(values: pd.Series, column: Column) -> _Found:
    """Yield the cells of a column that are empty though required, or hold what is not allowed."""
    empty = values == ""
    if column.levels:
        codes = [code for code, _ in column.levels + column.beyond]
        bad, allowed = ~values.isin(codes), ", ".join(codes)
    elif column.is_number:
        bad, allowed = ~_numbers(values).between(column.low, column.high), f"numbers {_range(column)}"
    else:
        bad, allowed = empty, ""
    for i in values.index[empty & column.required]:
        yield i, column.name, "is empty."
    for i in values.index[bad & ~empty]:
        message = f"is {values[i]!r}; allowed are {allowed}."
        thousands = re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", values[i])
        if column.is_number and (thousands or re.fullmatch(r"[+-]?\d+,\d+", values[i])):
            sign, said = ("", "parts thousands") if thousands else (".", "is a decimal one")
            message += f" If the comma {said}, write {values[i].replace(',', sign)}."
        yield i, column.name, message


def _numbers(values: pd.Series) -> pd.Series:
    """Return text as numbers; NaN for what is none, infinity included."""
    numbers = pd.to_numeric(values, errors="coerce").replace([np.inf, -np.inf], np.nan)
    # pandas is wrong by a last bit in a third of all numbers; Python is in none.
    return numbers if numbers.dtype.kind in "iu" else values.where(numbers.notna()).astype(float)


def _range(column: Column) -> str:
    low = "above 0" if column.low == TINY else f"from {column.low:g}"
    return low if np.isinf(column.high) else f"{low} to {column.high:g}"


def _bad_ids(table: pd.DataFrame) -> _Found:
    if "patient_id" not in table:
        return
    ids = table["patient_id"]
    first = {name: _row(i) for i, name in reversed([*ids.items()])}
    for i in ids.index[ids.duplicated() & (ids != "")]:
        yield i, "patient_id", f"{ids[i]!r} stands in row {first[ids[i]]} already."
    for i in ids.index[~ids.str.fullmatch(PATIENT_ID) & (ids != "")]:
        shown = repr(ids[i]) if len(ids[i]) <= LONGEST_ID else f"{ids[i][:10]!r}…, {len(ids[i])} letters,"
        said = f"has other than letters and digits, or more than {LONGEST_ID}: rename it, or let"
        yield i, "patient_id", f"{shown} {said} 'npcbook import table' do so, which keeps a key."


def _contradictions(table: pd.DataFrame) -> _Found:
    """Yield contradictions between columns; what is unreadable in one column is reported elsewhere."""
    text = table.reindex(columns=[column.name for column in COLUMNS], fill_value="")
    dmfs, follow_up, dose = (_numbers(text[n]) for n in ("dmfs_months", "os_months", "ccnd_mg_m2"))
    n0, no_platinum = text["n_stage"] == "N0", text["chemotherapy"].isin(["none", "other"])
    too_long = "is longer than the patient's follow-up (os_months)."
    no_drug = "is above 0, yet chemotherapy has neither cisplatin nor nedaplatin."
    for column, bad, message in (
        ("dmfs_months", dmfs > follow_up + 1e-6, too_long),
        ("n_stage", n0 & text["rene"].isin(["1", "2"]), "is N0, yet rene is above 0."),
        ("ccnd_mg_m2", (dose > 0) & no_platinum, no_drug),
    ):
        yield from ((i, column, message) for i in table.index[bad])


#: Months that more than half of a cohort's patients never pass.
LONGEST_MEDIAN = {"dmfs_months": 240, "os_months": 240, "rt_end_months": 12}
#: Words that deny a reason, and would be taken for one.
NO_REASON = {"no", "n", "0", "none", "false", "nein", "non", "included", "否", "无", "未排除"}


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
    said = "is 0, yet chemotherapy has cisplatin or nedaplatin: leave an unknown dose empty."
    yield from ((i, "ccnd_mg_m2", said) for i in text.index[given & (_numbers(text["ccnd_mg_m2"]) == 0)])
