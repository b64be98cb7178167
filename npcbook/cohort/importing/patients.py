"""Whose images they are, and what their headers say of the patients."""

import re
from collections import Counter
from itertools import combinations, count
from pathlib import Path

import pandas as pd

from npcbook.cohort.importing.keys import alike, read_key
from npcbook.cohort.importing.rules import IGNORE, Rules, people
from npcbook.cohort.importing.series import Item
from npcbook.cohort.table import NOT_GIVEN, _table_path, read_ids
from npcbook.store import atomic_path

FACTS = ("scanner", "field_t", "sex", "age")
#: Headers and table may differ by so many years of age: a birthday lies between scan and diagnosis.
YEARS = 1.5


def cohort_ids(out: Path, items: list[Item]) -> tuple[dict[str, str], list[str]]:
    """Return the cohort's id of each of the hospital's, and what to say of those without one."""
    given, known = list(dict.fromkeys(item.patient for item in items)), read_key(out)
    try:
        table = read_ids(out)
    except FileNotFoundError:
        table = None
    known |= {patient: patient for patient in (table if table is not None else ()) if patient not in known}
    others = {alike(name): safe for name, safe in known.items()}
    ids = {name: known.get(name, others.get(alike(name))) for name in given}
    if table is None:
        # New ids: those of files and headers may be names.
        taken = set(known.values())
        free = (safe for number in count(1) if (safe := f"P{number:03d}") not in taken)
        return {name: safe or next(free) for name, safe in ids.items()}, []
    said, within = [], {name: _id_within(name, others) for name, safe in ids.items() if safe is None}
    # Two names that hold the id of one patient may be two patients, or two of his scans.
    times = Counter([*ids.values(), *within.values()])
    if longer := {name: safe for name, safe in within.items() if safe and times[safe] == 1}:
        ids |= longer
        said.append(f"found by the id within a longer name: {people(len(longer))} ({some(list(longer))})")
    if lacking := [name for name, safe in ids.items() if safe is None]:
        said.append(f"not in the table, left out: {people(len(lacking))} of the images ({some(lacking)})")
    if without := sorted(set(table) - set(ids.values())):
        said.append(f"without images: {people(len(without))} of the table ({some(without)})")
    return {name: safe for name, safe in ids.items() if safe is not None}, said


def _id_within(name: str, known: dict[str, str]) -> str | None:
    """Return the one patient whose id, of four signs or more, stands as words of a longer name."""
    words = re.findall(r"[0-9A-Za-z]+|[^\W_0-9A-Za-z]+", name)
    parts = {alike("".join(words[i:j])) for i, j in combinations(range(len(words) + 1), 2)}
    # "2" in "T1_2" is a second scan.
    found = {known[part] for part in parts if len(part) >= 4 and part in known}
    return found.pop() if len(found) == 1 else None


def some(names: list[str]) -> str:
    """Return the first of some names in words."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def has_table(out: Path) -> bool:
    """Return whether a cohort has a table of its patients."""
    return any((out / f"participants.{suffix}").exists() for suffix in ("tsv", "csv"))


def header_facts(items: list[Item], ids: dict[str, str], rules: Rules) -> dict[str, dict[str, str]]:
    """Return what the headers of the images say of each patient, by the cohort's id and `FACTS`."""
    facts = {safe: {} for safe in ids.values()}
    for item in items:
        used = not item.is_contours and rules.series[item.kind] != IGNORE and item.patient in ids
        if used:
            mine = facts[ids[item.patient]]
            for name, value in zip(FACTS, _facts(item.header), strict=True):
                if value:
                    mine.setdefault(name, value)
    return facts


def _facts(header: dict) -> tuple[str, str, str, str]:
    field = pd.to_numeric(str(header.get("MagneticFieldStrength", "")), errors="coerce")
    field = field if field > 0 else 0.0
    # BIDS calls the model by another name than DICOM does.
    names = ("Manufacturer", "ManufacturerModelName", "ManufacturersModelName")
    words = " ".join(str(header.get(name, "")) for name in names).split()
    sex = {"M": "male", "F": "female"}.get(str(header.get("PatientSex", "")).upper(), "")
    tesla = field / 10000 if field > 100 else field  # some write gauss
    return " ".join(dict.fromkeys(words)), f"{tesla:g}" if field else "", sex, _age(header)


def _age(header: dict) -> str:
    said = str(header.get("PatientAge", ""))
    if said.endswith("Y") and said[:-1].isdigit():
        return str(int(said[:-1]))
    born, scanned = (
        pd.to_datetime(header.get(name, ""), format="%Y%m%d", errors="coerce")
        for name in ("PatientBirthDate", "StudyDate")
    )
    years = (scanned - born).days / 365.25
    return str(int(years)) if 0 < years < 120 else ""


def fill_table(out: Path, facts: dict[str, dict[str, str]]) -> list[str]:
    """Fill empty cells of the table from the headers; say what was filled and what contradicts them."""
    path, said = out / "participants.tsv", []
    table = pd.DataFrame({"patient_id": sorted(facts)})
    if has_table(out):
        path = _table_path(out)
        kept = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
        table = pd.read_csv(path, sep=_separator(path), **kept)
    for name in FACTS:
        header = pd.Series([facts.get(patient.strip(), {}).get(name, "") for patient in table["patient_id"]])
        if not header.any():
            continue
        column = table[name].str.strip() if name in table else pd.Series("", index=table.index)
        empty = column.isin(NOT_GIVEN)
        differs = _differs(name, column, header) & ~empty & (header != "")
        if differs.any():
            n, first = people(int(differs.sum())), some(table.loc[differs, "patient_id"].tolist())
            said.append(f"{name} in the table is not that of the images' headers: {n} ({first})")
        if filled := int((empty & (header != "")).sum()):
            said.append(f"{name} filled from the images' headers: {people(filled)}")
        table[name] = column.where(~empty, header)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep=_separator(path), index=False)
    return said


def _separator(path: Path) -> str:
    return "\t" if path.suffix == ".tsv" else ","


def _differs(name: str, table: pd.Series, header: pd.Series) -> pd.Series:
    """Return where table and header contradict each other so that images may be of somebody else."""
    if name == "sex":
        return table != header
    if name == "age":
        years = pd.to_numeric(table, errors="coerce") - pd.to_numeric(header, errors="coerce")
        return years.abs() > YEARS
    return pd.Series(False, index=table.index)
