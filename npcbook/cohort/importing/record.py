"""``import table``: the map where there is none yet, else the cohort and a record of how it came about."""

import hashlib
import json
import os
from pathlib import Path

import pandas as pd

from npcbook.cohort.columns import data_dictionary
from npcbook.cohort.importing.convert import Conversion, convert
from npcbook.cohort.importing.explain import explain
from npcbook.cohort.importing.guess import guess_map
from npcbook.cohort.importing.join import join
from npcbook.cohort.importing.keys import key_path, read_key, safe_ids, write_key
from npcbook.cohort.importing.mapping import read_section, write_section
from npcbook.cohort.importing.plan import map_problems
from npcbook.cohort.importing.tables import Source, read_tables
from npcbook.cohort.importing.values import counted
from npcbook.cohort.table import read_text_table
from npcbook.store import atomic_path, read_json

MOST_IDS = 20
COMMAND = "npcbook import table"


def import_table(
    files: list, out: Path, *, map_file: str | os.PathLike | None = None, today: pd.Timestamp | None = None
) -> tuple[int, list[str]]:
    """Write ``map.yml`` where there is none yet; else convert the tables as it says.

    Parameters
    ----------
    files : list of str or path
        The hospital's tables (`npcbook.cohort.importing.tables.read_tables`).
    out : pathlib.Path
        The cohort's folder; made if missing. Nothing in it changes where the map leaves anything open.
    map_file : str or path, optional
        A map to follow instead of ``map.yml`` in `out`, which becomes a copy of it.
    today : pandas.Timestamp, optional
        Dates after it lie in the future; by default now.

    Returns
    -------
    status : int
        0, or 3 where the map leaves questions open.
    lines : list of str
        What was done, and what to do next.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        If a file cannot be read, the map does not fit, or the folder holds a cohort that was not imported.
    """
    _check_place(out)
    sources = explain(read_tables(files))
    path = Path(map_file) if map_file else out / "map.yml"
    if map_file and not path.is_file():
        raise FileNotFoundError(f"There is no map {path}.")
    if (section := read_section(path, "table")) is None:
        return 0, _first_run(path, sources, out.name)
    joined = _joined(path, section, sources)
    conversion = Conversion(joined, section, today or pd.Timestamp.today().normalize())
    participants = convert(conversion)
    # Ids under which images lie already stay as they are; else the map may still change its mind.
    known = read_key(out) if any(out.glob("sub-*")) else {}
    key = safe_ids(list(participants.index), known, new=section.get("ids") == "new")
    participants.insert(0, "patient_id", participants.index.map(key))
    participants = _keep_scanners(out, participants)
    found = _impossible_lines(conversion, participants["patient_id"])
    if conversion.questions:
        told = list(dict.fromkeys(conversion.questions))
        return 3, [*found, *told, f"Nothing was written: answer {len(told)} question(s) in {path}."]
    texts = {
        "map.yml": path.read_text("utf-8"),
        "participants.json": json.dumps(data_dictionary(), indent=2, ensure_ascii=False) + "\n",
        "import.md": "\n".join(_record(conversion, participants, sources, found)) + "\n",
        "dataset_description.json": _description(out, section, files),
        "participants.tsv": participants.to_csv(sep="\t", index=False, lineterminator="\n"),
    }
    write_key(out, known | key)
    for name, text in texts.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(text, "utf-8")
    left = (participants["exclusion"] == "").sum()
    return 0, [
        *found,
        f"{len(participants)} patients, {left} to analyse; what was done stands in {out / 'import.md'}.",
        f"{key_path(out)} says whose the ids are: it lies outside the cohort's folder. Keep it where it is "
        f"safe, and never give it away with the cohort.",
    ]


def _joined(path: Path, section: dict, sources: list[Source]):
    """Return the tables joined as a map says; ValueError with all that is wrong with the map."""
    files = section.get("files") if isinstance(section.get("files"), dict) else {}
    texts = all(isinstance(one, dict) and isinstance(one.get("id", ""), str) for one in files.values())
    if not files or not texts:
        raise ValueError(f"{path}: table needs 'files: {{FILE: {{id: COLUMN}}}}'.")
    joined = join(sources, section["files"])
    if problems := map_problems(section, joined.table):
        raise ValueError("\n".join([f"{path} cannot be followed:", *(f"  {line}" for line in problems)]))
    return joined


def _check_place(out: Path) -> None:
    """Refuse a folder with a table that somebody else made."""
    description = out / "dataset_description.json"
    made = key_path(out).exists() or (description.exists() and COMMAND in str(read_json(description)))
    if not made and any((out / f"participants.{end}").exists() for end in ("tsv", "csv")):
        raise FileExistsError(f"{out} holds a participants table that was not imported: give another folder.")


def _keep_scanners(out: Path, participants: pd.DataFrame) -> pd.DataFrame:
    """Return the participants with what images' headers have told of scanners before."""
    if not (path := out / "participants.tsv").exists():
        return participants
    before = read_text_table(path, "\t").reindex(columns=["patient_id", "scanner", "field_t"])
    if not before["patient_id"].is_unique:
        raise ValueError(
            f"{path} has not one row for each patient_id, as it was written: restore or remove it."
        )
    before = before.set_index("patient_id").dropna(axis="columns", how="all")
    told = before[before.columns.difference(participants.columns)].reindex(participants["patient_id"])
    kept = {name: values.fillna("").to_numpy() for name, values in told.items()}
    return participants.assign(**kept, exclusion=participants["exclusion"])


def _first_run(path: Path, sources: list[Source], name: str) -> list[str]:
    """Write a guess of the map, and return what to do with it."""
    text = guess_map(sources, name)
    write_section(path, "table", text)
    lines = [line.partition("  # ")[0] for line in text.splitlines() if line.startswith(" ")]
    asked = sum('"?"' in line and "impossible" not in line for line in lines)
    return [
        *(f"{source.name}: {source.said}" for source in sources),
        f'Wrote {path}, a guess of what the columns mean, with {asked} question(s) marked "?": look at it, '
        f"correct it, and give the same command again.",
    ]


def _impossible_lines(conversion: Conversion, ids: pd.Series) -> list[str]:
    lines = []
    for found in conversion.impossible:
        names = list(ids[found.rows])
        more = f", … {len(names) - MOST_IDS} more" if len(names) > MOST_IDS else ""
        lines.append(f"impossible: {found.what}: {len(names)} ({', '.join(names[:MOST_IDS])}{more})")
    return lines


def _description(out: Path, section: dict, files: list) -> str:
    """Return the cohort's description; what others wrote in it stays."""
    path = out / "dataset_description.json"
    said = read_json(path) if path.exists() else {}
    said |= {"Name": section.get("name") or out.name, "BIDSVersion": "1.10.0", "synthetic": False}
    said |= {"License": section["licence"]} if section.get("licence") else {}
    said["eligibility"] = section.get("eligibility", "any")
    hashes = {Path(file).name: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files}
    said["SourceDatasets"] = [{"File": name, "SHA256": digest} for name, digest in hashes.items()]
    if section.get("source"):
        said["SourceDatasets"][0]["Source"] = section["source"]
    others = said.get("GeneratedBy") if isinstance(said.get("GeneratedBy"), list) else []
    others = [tool for tool in others if not (isinstance(tool, dict) and tool.get("Name") == COMMAND)]
    own = {"Name": COMMAND, "Description": "by map.yml; what was done stands in import.md"}
    said["GeneratedBy"] = [*others, own]
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def _record(
    conversion: Conversion, participants: pd.DataFrame, sources: list[Source], found: list[str]
) -> list[str]:
    """Return the lines of ``import.md``: what came from where, and what was changed."""
    section, reasons = conversion.section, participants["exclusion"]
    title = f"# How {section.get('name') or 'this cohort'} was imported"
    lines = [title, "", "The map is `map.yml`.", "", "## Tables", ""]
    lines += [f"- {source.name}: {source.said}" for source in sources if source.name in section["files"]]
    lines += [f"- {said}" for said in conversion.joined.said]
    lines += ["", "## Patients", "", f"- {len(participants)} in the tables"]
    counts = reasons[reasons != ""].value_counts(sort=False)
    lines += [f"- {n} left out: {reason}" for reason, n in counts.items()]
    lines += [f"- {(reasons == '').sum()} to analyse", "", "## Columns", ""]
    left, specs = participants[reasons == ""], section.get("columns") or {}
    for name, values in left.drop(columns=["patient_id", "exclusion"]).items():
        origin = specs.get(name, {}).get("from") or ("map" if name in specs else "times or also")
        lines.append(f"- `{name}` from {origin}: {_in_short(values)}; {(values == '').sum()} not known")
    said = [f"- {said}" for said in conversion.said or ["as they stand"]]
    lines += ["", "## How cells were read", "", *said]
    done = {"missing": "left empty", "exclude": "their patients left out", "keep": "kept as they are"}
    lines += ["", "## Impossible values" + (f", {done[section['impossible']]}" if found else ""), ""]
    return [*lines, *(f"- {line.removeprefix('impossible: ')}" for line in found or ["none"])]


def _in_short(values: pd.Series) -> str:
    """Return a column of the cohort in a few words."""
    numbers = pd.to_numeric(values, errors="coerce").dropna()
    if values.nunique() > 12 and len(numbers):
        return f"{len(numbers)} numbers, {numbers.min():g} to {numbers.max():g}"
    return counted(values[values != ""])
