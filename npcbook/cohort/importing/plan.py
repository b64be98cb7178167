"""Whether a map fits the tables that it is about."""

from collections.abc import Iterator
from difflib import get_close_matches

import pandas as pd

from npcbook.cohort.columns import COLUMNS
from npcbook.cohort.importing.convert import DMFS, OS, POLICIES
from npcbook.cohort.importing.dates import ORDERS
from npcbook.cohort.importing.values import IN_MONTHS, dictionary

KEYS = {
    "": "name source licence files ids eligibility exclude columns times dates also impossible".split(),
    "exclude": "reason column values except below above".split(),
    "columns": "from levels unit above value".split(),
    "times": "zero last metastasis death".split(),
    "last": "when unit".split(),
    "event": "when unit event levels".split(),
}
#: Keys that hold a text, and nothing below it.
TEXTS = {"name", "source", "licence", "reason", "value"}
#: Keys that hold one word of a few.
CHOICES = {"ids": ("letters", "new"), "impossible": (*POLICIES, "?"), "eligibility": ("any", "stage II")}


def map_problems(section: dict, table: pd.DataFrame) -> list[str]:
    """Return everything in a map that cannot be followed, one sentence each.

    Parameters
    ----------
    section : dict
        The map's section ``table``.
    table : pandas.DataFrame
        The joined table.
    """
    found = [*unknown_keys(section, KEYS[""], "table"), *_shapes(section)]
    if not found:
        found += [*_column_problems(section), *_time_problems(section), *_rule_problems(section)]
        found += _missing_columns(section, table)
    for key, allowed in CHOICES.items():
        if section.get(key, allowed[0]) not in allowed:
            found.append(f"{key} is {section[key]!r}; it must be one of {', '.join(allowed)}.")
    return found


def unknown_keys(entry: dict, allowed: list[str], place: str) -> Iterator[str]:
    """Yield a sentence for each key of a map's entry that is not allowed, with the nearest that is."""
    for key in entry:
        if key not in allowed:
            near = get_close_matches(key, allowed, 1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            yield f"{place}: there is no {key!r}{meant}; there are {', '.join(allowed)}."


def _shapes(section: dict) -> Iterator[str]:
    """Yield parts of another form than the one in which they can be read."""
    for key in ("columns", "times", "dates", "also"):
        if section.get(key) and not isinstance(section[key], dict):
            yield f"{key} must hold lines 'name: value'."
    rules = section.get("exclude") or []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        yield "exclude must hold lines '- {reason: …, column: …, values: […]}'."
    events = [(name, entry) for name, entry in _entries(section, "times") if name in ("death", "metastasis")]
    nested = [*_entries(section, "columns"), *events]
    for name, entry in nested:
        if not isinstance(entry, dict) or not isinstance(entry.get("levels") or {}, dict):
            yield f"{name} must hold 'key: value', and its levels 'word: meaning'."
    for entry in (section, *(entry for _, entry in nested), *rules):
        for key in sorted(TEXTS & {*entry}) if isinstance(entry, dict) else ():
            if not isinstance(entry[key], str):
                yield f"{key} is {entry[key]!r}; it must be one word, number or text."


def _entries(section: dict, key: str) -> list[tuple[str, object]]:
    return list(section[key].items()) if isinstance(section.get(key), dict) else []


def _column_problems(section: dict) -> Iterator[str]:
    names = [column.name for column in COLUMNS if column.name not in ("patient_id", *OS, *DMFS)]
    yield from unknown_keys(dict(_entries(section, "columns")), names, "columns")
    for name, entry in _entries(section, "columns"):
        place = f"columns, {name}"
        yield from unknown_keys(entry, KEYS["columns"], place)
        if ("from" in entry) == ("value" in entry):
            yield f"{place}: give either 'from: COLUMN' or 'value: TEXT'."
        if "above" in entry and "above" not in dictionary()["columns"].get(name, {}):
            yield f"{place}: 'above' is for ldh and ebv_dna."
        if isinstance(entry.get("above"), dict) and "center" not in section["columns"]:
            yield f"{place}: 'above' for each hospital needs a column center."
        yield from _unit_problems(entry, place)
    for name in {"participant_id", *(c.name for c in COLUMNS)} & {*dict(_entries(section, "also"))}:
        yield f"also: {name} is a column of the cohort's own: write it under columns or times."


def _unit_problems(entry: dict, place: str) -> Iterator[str]:
    if str(entry.get("unit", "days")) not in IN_MONTHS:
        yield f"{place}: unit is {entry['unit']!r}; it must be one of {', '.join(IN_MONTHS)}."


def _time_problems(section: dict) -> Iterator[str]:
    times = dict(_entries(section, "times"))
    yield from unknown_keys(times, KEYS["times"], "times")
    for column, order in _entries(section, "dates"):
        if order not in (*ORDERS, "?", ""):
            yield f"dates: {column} is {order!r}; it must be one of {', '.join(ORDERS)}."
    if not {"death", "metastasis"} & set(times):
        yield "times: neither metastasis nor death: write one, 'death: {when: COLUMN, event: COLUMN}'."
    for name in ("last", "metastasis", "death"):
        entry = times.get(name)
        if not isinstance(entry, dict):
            continue
        yield from unknown_keys(entry, KEYS["last" if name == "last" else "event"], f"times, {name}")
        yield from _unit_problems(entry, f"times, {name}")
        if entry.get("when", "?" if name != "death" else "-") in ("?", ""):
            yield f"times, {name}: 'when' must name the column of its date or length, or take {name} out."
        if entry.get("event") == "?":
            yield f"times, {name}: 'event' must name the column of whether it happened, or take {name} out."
        if name == "death" and "when" not in entry and not (times.get("last") and entry.get("event")):
            yield "times, death: give 'when', or 'event' and times, last: death is then at the last visit."
        elif name != "last" and "unit" in entry and "event" not in entry:
            yield f"times, {name}: a length needs 'event', the column that says whether it happened."


def _rule_problems(section: dict) -> Iterator[str]:
    for rule in section.get("exclude") or []:
        place = f"exclude, {rule.get('reason') or rule.get('column')}"
        yield from unknown_keys(rule, KEYS["exclude"], place)
        if not rule.get("reason") or not rule.get("column") or not set(rule) & set(KEYS["exclude"][2:]):
            yield f"{place}: give reason, column, and values, except, below or above."
        for key in {"values", "except"} & set(rule):
            if not isinstance(rule[key], list):
                yield f"{place}: {key} must be a list such as [{rule[key]}]."
        for key in {"below", "above"} & set(rule):
            if pd.isna(pd.to_numeric(rule[key], errors="coerce")):
                yield f"{place}: {key} is {rule[key]!r}; it must be a number."


def _missing_columns(section: dict, table: pd.DataFrame) -> Iterator[str]:
    """Yield each place that names a column which the tables do not have."""
    times = dict(_entries(section, "times"))
    named = [(f"columns, {name}", entry.get("from")) for name, entry in _entries(section, "columns")]
    named += [(f"exclude, {rule.get('reason')}", rule.get("column")) for rule in section.get("exclude") or []]
    named += [("times, zero", times.get("zero"))]
    for name, entry in times.items():
        when = entry.get("when") if isinstance(entry, dict) else entry if name == "last" else None
        named += [(f"times, {name}", column) for column in (when if isinstance(when, list) else [when])]
        named += [(f"times, {name}", entry.get("event"))] if isinstance(entry, dict) else []
    named += [("also", column) for _, column in _entries(section, "also")]
    named += [("dates", column) for column, _ in _entries(section, "dates")]
    for name, entry in _entries(section, "columns"):
        limit = entry.get("above", "?")
        limits = limit.values() if isinstance(limit, dict) else {str(limit)} - {"?", *table}
        if any(pd.isna(pd.to_numeric(str(one), errors="coerce")) for one in limits):
            yield f"columns, {name}: above is {limit!r}, which is no number, nor the name of a column."
    for place, column in named:
        if column and column != "?" and str(column) not in table:  # a list or lines are no column
            near = get_close_matches(str(column), list(table), 1, cutoff=0.6)
            meant = f"did you mean {near[0]!r}?" if near else f"There are {', '.join(table)}."
            yield f"{place}: no table has a column {column!r}; {meant}"
