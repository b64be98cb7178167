"""Risk scores of one's own: read from tables, matched with a cohort's patients, checked."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from npcbook.cohort.columns import COLUMNS
from npcbook.cohort.importing.keys import read_key
from npcbook.cohort.importing.tables import read_tables
from npcbook.cohort.table import _numbers, read_ids
from npcbook.store import project_path, whole
from npcbook.words import LABELS

#: File of scores in a cohort's folder.
SCORES_FILE = "scores.csv"
LARGEST = 1e100  # the squares of larger ones are no numbers
#: Names that a column of ids may have, and that no score can.
ID_NAMES = ("patient_id", "participant_id", "id")


def read_scores(cohort_folder: str | os.PathLike, given: Sequence[str | os.PathLike] = ()) -> pd.DataFrame:
    """Return a cohort's own risk scores: those of its ``scores.csv``, and those given.

    Parameters
    ----------
    cohort_folder : str or path
        Cohort folder, absolute or from the project's root.
    given : sequence of str or path
        ``FILE:COLUMN``, or ``FILE`` for every column but that of the ids; csv, tsv, xlsx. A score given here
        takes the place of one of the same name in the cohort's folder.

    Returns
    -------
    pandas.DataFrame of float
        One row per patient of the cohort, indexed by ``patient_id``, a column a score (higher = worse); NaN
        where a patient has none. ``attrs["said"]`` holds a sentence per score: who has one and who not.
        Without any score it is empty.

    Raises
    ------
    ValueError
        With everything that is wrong, a line each.

    Notes
    -----
    Ids are the cohort's or the hospital's own, as in the key that an import left; ``sub-`` before them, and
    the case of letters, do not count. Who is no patient of the cohort is counted and left aside.
    """
    own = project_path(cohort_folder) / SCORES_FILE
    if not given and not own.exists():
        return pd.DataFrame(index=pd.Index([], name="patient_id"))
    patients = read_ids(own.parent)
    key = {_plain(name): safe for name, safe in read_key(own.parent).items() if safe in set(patients)}
    known = {_plain(safe): safe for safe in patients} | key
    files = [_read_file(own, known)] if own.exists() else []
    problems, names = [], set()
    for spec in given:
        try:
            files.append(_read_file(spec, known))
            if twice := sorted(names.intersection(files[-1])):
                raise ValueError(f"{spec}: {', '.join(twice)} is given twice: rename the column of one.")
            names |= {*files[-1]}
        except (ValueError, FileNotFoundError) as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    found = {name: column for file in files for name, column in file.items()}
    scores = pd.DataFrame({name: values for name, (values, _) in found.items()}, index=pd.Index(patients))
    scores.attrs["said"] = [f"{name}: {said}" for name, (_, said) in found.items()]
    return scores.astype(float)


def _plain(text: str) -> str:
    """Return an id without what tools add to it or change in it."""
    return whole(text.strip().lower().removeprefix("sub-"))


def _read_file(spec: str | os.PathLike, known: dict[str, str]) -> dict[str, tuple[pd.Series, str]]:
    """Return the scores of ``FILE:COLUMN`` or ``FILE`` by name, each with a sentence on who has one."""
    spec = os.fspath(spec)
    file, _, wanted = (spec, "", "") if Path(spec).is_file() else spec.rpartition(":")
    if not file:
        raise FileNotFoundError(f"There is no file {spec}: give FILE:COLUMN.")
    sources = read_tables([file])
    if len(sources) > 1:
        raise ValueError(f"{file} has {len(sources)} sheets: leave the one with the scores.")
    table, decimal = sources[0].table, sources[0].decimal
    if f"{wanted} (2)" in table:
        raise ValueError(f"{file} has several columns {wanted!r}: keep one of them.")
    if wanted and wanted not in table:
        raise ValueError(f"{file} has no column {wanted!r}; it has {', '.join(table)}.")
    matched = _by_patient(table, known, file)
    columns = [name for name in matched if name == (wanted or name) and name.lower() not in ID_NAMES]
    if not columns:
        raise ValueError(
            f"{file} has no score{f' {wanted!r}' * bool(wanted)} beside its ids: name its column."
        )
    strangers, people = len(table) - len(matched), len({*known.values()})
    left = f"; {strangers} rows of the file are of nobody in the cohort" if strangers else ""
    found = {name: _as_numbers(matched[name], f"{file}, {name}", decimal) for name in columns}
    return {name: (v, f"{len(v)} of {people} patients have one{left}") for name, v in found.items()}


def _by_patient(table: pd.DataFrame, known: dict[str, str], file: str) -> pd.DataFrame:
    """Return the rows of the cohort's patients, indexed by their ids, without the column of these."""
    fits = {name: int(table[name].map(_plain).isin([*known]).sum()) for name in table}
    ids = max(fits, key=lambda name: (fits[name], name.lower() in ID_NAMES))
    rows = table[ids].map(_plain).map(known)
    if not fits[ids]:
        patients = list(known.values())
        raise ValueError(
            f"{file}: none of its {len(table)} rows has the id of one of the cohort's {len({*patients})} "
            f"patients; {ids} begins with {table[ids].iloc[0]!r}, the cohort with {patients[0]!r}."
        )
    if twice := table.loc[rows.duplicated() & rows.notna(), ids].tolist():
        said = f"{len(twice)} ids stand twice, the first {twice[0]}"
        raise ValueError(f"{file}: {said}: keep one row a patient.")
    return table[rows.notna()].set_axis(rows.dropna(), axis="index").drop(columns=ids)


def _as_numbers(cells: pd.Series, place: str, decimal: str) -> pd.Series:
    """Return the cells that are filled as numbers; an error for what no model can rank patients by."""
    name, cells = cells.name, cells[cells != ""]
    values = _numbers(cells.str.replace(decimal, "."))
    bad = cells[~(values.abs() < LARGEST)]
    if name in {*LABELS, *(column.name for column in COLUMNS)} or re.search(r'[\\/:|#,"]', name):
        raise ValueError(f"{place}: a score of one's own cannot have this name: rename the column.")
    if len(bad):
        raise ValueError(f"{place}: {len(bad)} of {len(cells)} values are no finite number: {bad.iloc[0]!r}")
    if values.nunique() < 2:
        raise ValueError(f"{place}: its {len(values)} values do not differ; a score tells patients apart.")
    return values
