"""From mapped tables to ``participants.tsv``."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from npcbook.cohort.columns import COLUMNS, Column
from npcbook.cohort.importing.dates import DAYS_PER_MONTH, ORDERS, is_date_column, read_dates
from npcbook.cohort.importing.join import Joined
from npcbook.cohort.importing.values import IN_MONTHS, dictionary, read_numbers

POLICIES = ("missing", "exclude", "keep")
OS, DMFS = ("os_months", "os_event"), ("dmfs_months", "dm_event")
#: Months by which rounded lengths may disagree.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Impossible:
    """Values of one kind that cannot be.

    Attributes
    ----------
    what : str
        The kind.
    rows : pandas.Series of bool
        Which patients have one.
    columns : tuple of str
        Columns of the cohort that rest on the value.
    """

    what: str
    rows: pd.Series
    columns: tuple[str, ...]


@dataclass
class Conversion:
    """A table on its way: what has been read of it, and what was found on the way.

    Attributes
    ----------
    joined : Joined
        The hospital's table.
    section : dict
        The map's section ``table``.
    today : pandas.Timestamp
        What lies after it is in the future.
    exclusion : pandas.Series of str
        Why a patient is left out; empty for those analysed.
    columns : dict of pandas.Series
        The cohort's columns.
    questions, said : list of str
        What the map leaves open; what was done.
    impossible : list of Impossible
        What cannot be.
    """

    joined: Joined
    section: dict
    today: pd.Timestamp
    exclusion: pd.Series = None
    columns: dict[str, pd.Series] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    impossible: list[Impossible] = field(default_factory=list)

    @cached_property
    def zero(self) -> pd.Series:
        """The date from which each patient's times count."""
        if not (column := self.section["times"].get("zero", "")):
            raise ValueError("times: dates need 'zero', the column of the date from which months count.")
        return self.dates(column, *OS, *DMFS)

    @property
    def analysed(self) -> pd.Series:
        """Which patients no filter leaves out."""
        return self.exclusion == ""

    def text(self, column: str) -> pd.Series:
        """Return the cells of a hospital's column."""
        return self.joined.table[column]

    def find(self, what: str, rows: pd.Series, *columns: str) -> None:
        """Note values of analysed patients that cannot be."""
        if (rows := rows & self.analysed).any():
            self.impossible.append(Impossible(what, rows, columns))

    def dates(self, column: str, *rests: str) -> pd.Series:
        """Return a hospital's column as dates; what is none, or lies in the future, is noted."""
        text = self.text(column)
        text = text.mask(text.str.casefold().isin(dictionary()["unknown"]), "")
        asked = (self.section.get("dates") or {}).get(column, "")
        read = read_dates(text, order=asked, today=self.today)
        if read.order == "?":
            self.questions.append(
                f"dates: is {column} {' or '.join(ORDERS)}? ({read.said}) Write 'dates: {{{column}: …}}'."
            )
            return read.values
        if read.said and (said := f"{column}: {read.order or 'dates'} ({read.said})") not in self.said:
            self.said.append(said)
        self.find(f"{column} is no date", read.unreadable, *rests)
        self.find(f"{column} lies in the future", read.values > self.today, *rests)
        return read.values

    def numbers(self, column: str, *rests: str, words: dict | None = None) -> tuple[pd.Series, pd.Series]:
        """Return a hospital's column as numbers, and the signs before them; what is none is noted.

        The cells that `words` explains are left to the caller.
        """
        text = self.text(column)
        read = read_numbers(text.mask(text.isin(words or {}), ""), self.joined.decimal.get(column, "."))
        self.said += [f"{column}: {said}" for said in read.said if f"{column}: {said}" not in self.said]
        self.find(f"{column} is no number", read.unreadable, *rests)
        return read.values, read.sign

    def levels(self, text: pd.Series, levels: dict[str, str], allowed: list[str], place: str) -> pd.Series:
        """Return cells in the cohort's words; values that the map does not explain are questions."""
        own = {*allowed, ""}  # words that need no translation
        meant = text.map(lambda value: levels.get(value, value if value in own else "?"))
        unknown = text.str.casefold().isin(dictionary()["unknown"])
        meant = meant.mask((meant == "?") & (unknown | ~self.analysed), "")
        open_ = text[~meant.isin([*allowed, ""]) & self.analysed]
        for value, n in open_.value_counts().items():
            given = levels.get(value, "?")
            said = "" if given == "?" else f" {given!r} is no level."
            self.questions.append(
                f"{place}: what does {value!r} of {text.name} mean ({n} patients)?{said} Write one of "
                f"{', '.join(filter(None, allowed))}, or nothing for 'not known'."
            )
        return meant


def exclude(conversion: Conversion) -> None:
    """Apply the map's filters in their order; the first that applies is a patient's reason."""
    reasons = conversion.exclusion = pd.Series("", index=conversion.joined.table.index)
    if spec := (conversion.section.get("columns") or {}).get("exclusion"):
        text, levels = conversion.text(spec["from"]), spec.get("levels") or {}
        reasons = text.mask(text.isin(levels), text.map(levels))
    for rule in conversion.section.get("exclude") or []:
        text = conversion.text(rule["column"])
        out = ~text.isin(rule["except"]) if "except" in rule else text.isin(rule.get("values", []))
        if {"below", "above"} & set(rule):
            values = read_numbers(text, conversion.joined.decimal.get(text.name, ".")).values
            out |= (values < float(rule.get("below", "-inf"))) | (values > float(rule.get("above", "inf")))
        reasons = reasons.mask(out & (reasons == ""), rule["reason"])
    conversion.exclusion = reasons


def convert_column(conversion: Conversion, column: Column) -> pd.Series:
    """Return one column of the cohort as the map says."""
    spec, name = conversion.section["columns"][column.name], column.name
    allowed = list(dictionary()["columns"].get(name, {}).get("levels", {}))
    place = f"columns, {name}"
    if "value" in spec:
        text = pd.Series(spec["value"], index=conversion.joined.table.index, name="the map")
        return conversion.levels(text, {}, allowed, place) if column.levels else text
    text, levels = conversion.text(spec["from"]), spec.get("levels") or {}
    if column.is_number:
        return _number(conversion, column, spec, levels)
    if "above" in spec:
        words = conversion.levels(text.where(text.isin(levels), ""), levels, allowed, place)
        return words.where(text.isin(levels), _class(conversion, spec, name, levels))
    if not column.levels:
        return text.mask(text.isin(levels), text.map(levels))
    return conversion.levels(text, levels, allowed, place)


def _class(conversion: Conversion, spec: dict, name: str, words: dict) -> np.ndarray:
    """Return the class of each number; one with '<' before it lies below any limit."""
    low, high = list(dictionary()["columns"][name]["levels"])[:2]
    limit = spec["above"]
    if limit == "?":
        conversion.questions.append(
            f"columns, {name}: above which number of {spec['from']} is it {high}? Write 'above: NUMBER', or "
            f"take the line out."
        )
        return np.full(len(conversion.exclusion), "")
    values, sign = conversion.numbers(spec["from"], name, words=words)
    if isinstance(limit, dict):
        limits = pd.to_numeric(conversion.columns["center"].map(limit))
    elif limit in conversion.joined.table:
        limits, _ = conversion.numbers(limit, name)
    else:
        limits = float(limit)
    above = (sign == ">") | ((values > limits) & (sign != "<"))
    return np.where(values.isna() | pd.isna(limits), "", np.where(above, high, low))


def _number(conversion: Conversion, column: Column, spec: dict, levels: dict) -> pd.Series:
    """Return a column of numbers; a date becomes the months from time zero, or a birthday the age then."""
    source, name = spec["from"], column.name
    may_be_dates = column.unit in ("years", "months") and not spec.get("unit")
    if may_be_dates and is_date_column(conversion.text(source), serials=True):
        months = (conversion.dates(source, name) - conversion.zero).dt.days / DAYS_PER_MONTH
        values = -months / 12 if column.unit == "years" else months
    else:
        values, sign = conversion.numbers(source, name, words=levels)
        if limits := (values.notna() & (sign != "") & conversion.analysed).sum():
            conversion.said.append(f"{source}: {limits} with < or > before them, not known as {name}")
        values = values.mask(sign != "")
        values = values.fillna(pd.to_numeric(conversion.text(source).map(levels), errors="coerce"))
        if spec.get("unit") and column.unit in ("years", "months"):
            values = values * IN_MONTHS[spec["unit"]] / IN_MONTHS[column.unit]
    out = values.notna() & ~values.between(column.low, column.high)
    conversion.find(f"{name} is not between {column.low:g} and {column.high:g}", out, name)
    return values.round(3)


def convert_times(conversion: Conversion) -> None:
    """Make months and events of both endpoints of dates or lengths, and note what cannot be.

    Follow-up ends with death or else the last visit. An event without its date, at time zero or before it,
    after the end of follow-up, or with a date beside a word that denies it, is noted.
    """
    times = conversion.section.get("times") or {}
    end = last = _last(conversion, times.get("last"))
    none = pd.Series(False, index=last.index)
    if spec := times.get("death"):
        death, dead = _event(conversion, spec, "death", OS + DMFS, last)
        end = death.where(dead == 1, death.fillna(last) if spec.get("unit") else last)
        none = dead.notna() & ~(end > 0)
        conversion.find("last visit after death", (dead == 1) & (last > death + TOLERANCE), *OS, *DMFS)
        conversion.find("no follow-up after time zero", none, *OS, *DMFS)
        conversion.columns |= {"os_months": end.mask(dead.isna()).round(3), "os_event": dead}
    if spec := times.get("metastasis"):
        when, event = _event(conversion, spec, "metastasis", DMFS, end)
        months = when.where(event == 1, when.fillna(end) if spec.get("unit") else end)
        conversion.find("metastasis at time zero or before", (event == 1) & (when <= 0), *DMFS)
        conversion.find("metastasis after death or the last visit", months > end + TOLERANCE, *DMFS)
        conversion.find("no follow-up after time zero", (event == 0) & ~(months > 0) & ~none, *DMFS)
        conversion.columns |= {"dmfs_months": months.mask(event.isna()).round(3), "dm_event": event}


def _last(conversion: Conversion, spec: dict | list | str | None) -> pd.Series:
    """Return the months to the last visit, the latest of several columns."""
    spec = spec if isinstance(spec, dict) else {"when": spec or []}
    columns = [spec["when"]] if isinstance(spec["when"], str) else spec["when"]
    months = [_months(conversion, column, spec.get("unit", ""), OS + DMFS) for column in columns]
    if not months:
        return pd.Series(np.nan, index=conversion.joined.table.index)
    return pd.concat(months, axis=1).max(axis=1)


def _months(conversion: Conversion, column: str, unit: str, rests: tuple) -> pd.Series:
    if unit in IN_MONTHS:
        return conversion.numbers(column, *rests)[0] * IN_MONTHS[unit]
    return (conversion.dates(column, *rests) - conversion.zero).dt.days / DAYS_PER_MONTH


def _event(
    conversion: Conversion, spec: dict, name: str, rests: tuple, end: pd.Series
) -> tuple[pd.Series, pd.Series]:
    """Return the months to an event and whether it happened: 1, 0, or NaN where that is not known.

    An event of which the map names no time has that of the end of follow-up.
    """
    months = _months(conversion, spec["when"], spec.get("unit", ""), rests) if "when" in spec else end
    is_date = "when" in spec and not spec.get("unit")
    if "event" not in spec:
        return months, months.notna().astype(float)
    text, levels = conversion.text(spec["event"]), spec.get("levels") or {}
    words = conversion.levels(text, levels, ["1", "0"], f"times, {name} (1 it happened, 0 it did not)")
    event = pd.to_numeric(words, errors="coerce")
    conversion.find(f"{name} without its time", (event == 1) & months.isna(), *rests)
    denied = (event == 0) & months.notna() & is_date
    conversion.find(f"date of {name}, though {text.name} denies it", denied, *rests)
    return months, event


def settle(conversion: Conversion) -> None:
    """Do with impossible values what the map says; what it leaves open is a question."""
    if any(question.startswith("dates:") for question in conversion.questions):
        conversion.impossible.clear()  # what is impossible is not known before
    policy = conversion.section.get("impossible", "?")
    if conversion.impossible and policy not in POLICIES:
        conversion.questions.append(
            f"impossible: there are impossible values, listed above. Write {', '.join(POLICIES)}: their "
            f"cells are left empty, the patients are left out, or all stays as it is."
        )
    for found in conversion.impossible:
        if policy == "exclude":
            reason = f"impossible: {found.what}"
            conversion.exclusion = conversion.exclusion.mask(found.rows & conversion.analysed, reason)
        for name in set(found.columns) & set(conversion.columns) if policy == "missing" else ():
            conversion.columns[name] = conversion.columns[name].mask(found.rows)


def convert(conversion: Conversion) -> pd.DataFrame:
    """Return the participants, by the hospital's ids.

    Patients who are left out keep their centre and cohort, and the reason.

    Parameters
    ----------
    conversion : Conversion
        A joined table and a map that fits it (`npcbook.cohort.importing.plan.map_problems`).

    Returns
    -------
    pandas.DataFrame of str
        The cohort's columns as they are written, empty where nothing is known.
    """
    exclude(conversion)
    for column in COLUMNS:
        if column.name in (conversion.section.get("columns") or {}) and column.name != "exclusion":
            conversion.columns[column.name] = convert_column(conversion, column)
    convert_times(conversion)
    settle(conversion)
    table = {c.name: _written(conversion.columns[c.name]) for c in COLUMNS if c.name in conversion.columns}
    also = {name: conversion.text(column) for name, column in (conversion.section.get("also") or {}).items()}
    participants = pd.DataFrame(table | also, index=conversion.joined.table.index)
    kept = participants.columns.isin(["center", "cohort"])
    participants.loc[~conversion.analysed, ~kept] = ""
    return participants.assign(exclusion=conversion.exclusion)


def _written(values: pd.Series) -> pd.Series:
    if values.dtype == object:
        return values.fillna("")
    return values.map(lambda value: "" if pd.isna(value) else f"{value:.10g}")
