"""The section ``images`` of ``map.yml``: what series, sets of contours and structures are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from npcbook.cohort.importing.mapping import as_yaml
from npcbook.cohort.importing.plan import unknown_keys
from npcbook.cohort.importing.series import FLAT, Item, guess_series, guess_structure
from npcbook.imaging.nifti import SIZES_MM
from npcbook.words import SEQUENCES

#: What a structure may be, and its label in a mask.
LABELS = {"tumour": 1, "node": 2}
ALL, IGNORE = "all", "ignore"
SIDES = {side: pair for pair in ("LR", "AP", "IS") for side in pair}
WORDS = {
    "series": (*SEQUENCES, IGNORE),
    "contours": (*SEQUENCES, ALL, IGNORE),
    "structures": (*LABELS, IGNORE),
}
TEXT = """\
# Images: what the series, files and structures are that were found. Correct what stands behind a colon.
images:
  # Whose a file is: PatientID (of DICOM headers), or a pattern whose first group finds the id in its path.
  patient: {patient}
  # {words[series]}. Of several that a patient has for one sequence, that with contours of
  # its own is taken, then the first of this list, then the earliest study and in it the last series.
  series:
{series}
  # Sets of contours: {words[contours]}; all means all images of the same place.
  contours:
{contours}
  # {words[structures]}.
  structures:
{structures}
  # Sides of the patient that x, y and z run to; axes are turned and swapped, voxels stay as they are.
  orientation: {orientation}
  # With true, contours on other voxels than their image are resampled (nearest neighbour), and images to
  # spacing: [z, y, x] in mm, if that is given (linearly).
  resample: {resample}
  spacing: {spacing}
"""


@dataclass(frozen=True)
class Rules:
    """What ``map.yml`` says of images.

    Attributes
    ----------
    patient : str
        See `npcbook.cohort.importing.series.find_items`.
    orientation : str
        Sides that the axes x, y, z of all images shall run to; "" to leave them.
    resample : bool
        Whether contours on other voxels than their image may be resampled.
    spacing : tuple of float or None
        Voxel size (z, y, x) in mm to resample images to.
    series, contours, structures : dict of str to str
        What each kind of file, set of contours and structure is, in order of preference.
    """

    patient: str
    orientation: str
    resample: bool
    spacing: tuple[float, float, float] | None
    series: dict[str, str]
    contours: dict[str, str]
    structures: dict[str, str]


def guess_rules(items: list[Item], patient: str, section: Mapping | None) -> Rules:
    """Return rules guessed from names; what the section says already is kept."""
    known, images = section or {}, [item for item in items if not item.is_contours]
    drawn = [item for item in items if item.is_contours]
    # Of series of one name those with slices tell what it is.
    images.sort(key=lambda item: item.hint != FLAT)
    kinds = {item.kind: guess_series(item.hint or item.kind) or IGNORE for item in images}
    # A file's name tells which image it was drawn on; DICOM contours say so themselves.
    sets = {item.kind: ALL if item.series else guess_series(item.kind) for item in drawn}
    sets = {kind: word if word in SEQUENCES else ALL for kind, word in sets.items()}
    names = {name: _meaning(name, item) for item in drawn for name in item.structures}
    kept = [known.get(name) or {} for name in ("series", "contours", "structures")]
    merged = [
        _by_count(guessed, items) | said for guessed, said in zip((kinds, sets, names), kept, strict=True)
    ]
    resample = str(known.get("resample", "false")).lower() == "true"
    spacing = _read_spacing(known.get("spacing"))
    return Rules(patient, known.get("orientation", "LPS"), resample, spacing, *merged)


def _by_count(guessed: dict[str, str], items: list[Item]) -> dict[str, str]:
    """Sort what is used before what is ignored, and the frequent before the rare."""
    counts = _counts(items)
    return dict(sorted(guessed.items(), key=lambda pair: (pair[1] == IGNORE, -counts[pair[0]], pair[0])))


def _counts(items: list[Item]) -> Counter:
    """Count the patients who have each kind and each structure."""
    pairs = {(item.patient, name) for item in items for name in {item.kind, *item.structures}}
    return Counter(name for _, name in pairs)


def _meaning(name: str, item: Item) -> str:
    """Return what a structure is: by its name, or that of its file, or its value."""
    kind, is_value, value = name.rpartition(" = ")
    meaning = guess_structure(kind if is_value else name)
    if meaning or not is_value:
        return meaning or IGNORE
    first = len(item.structures) == 1 or value == "1"
    return "tumour" if first else "node" if value == "2" else IGNORE


def rules_text(rules: Rules, items: list[Item]) -> str:
    """Return the section that says so, with the number of patients beside each name."""
    counts, tables = _counts(items), {}
    for name in WORDS:
        said = getattr(rules, name).items()
        lines = [f"    {as_yaml(key)}: {word}  # {people(counts[key])}" for key, word in said]
        tables[name] = "\n".join(lines) or "    {}"
    words = {name: ", ".join(allowed) for name, allowed in WORDS.items()}
    other = {"orientation": rules.orientation, "resample": str(rules.resample).lower()}
    spacing = as_yaml(list(rules.spacing)) if rules.spacing else ""
    text = TEXT.format(words=words, patient=as_yaml(rules.patient), spacing=spacing, **other, **tables)
    return "\n".join(line.rstrip() for line in text.splitlines())


def people(n: int) -> str:
    """Return a number of patients in words."""
    return f"{n} patient{'s' * (n != 1)}"


def _read_spacing(value: object) -> tuple[float, float, float] | None:
    if not value:
        return None
    given = value if isinstance(value, list) else ()
    spacing = tuple(float(pd.to_numeric(str(size), errors="coerce")) for size in given)
    if len(spacing) != 3 or not all(SIZES_MM[0] <= size <= SIZES_MM[1] for size in spacing):
        raise ValueError(f"map.yml, images, spacing is {value!r}: write [z, y, x] in mm, such as [3, 1, 1].")
    return spacing


def read_rules(section: dict, items: list[Item], path: Path) -> Rules:
    """Return the rules of a section; ValueError lists all that is wrong with them.

    Parameters
    ----------
    section : dict
        Of ``map.yml``.
    items : list of Item
        What there is now; all of it must be in the section.
    path : path
        Of the map, to name.
    """
    found = {
        "series": {item.kind for item in items if not item.is_contours},
        "contours": {item.kind for item in items if item.is_contours},
        "structures": {name for item in items for name in item.structures},
    }
    tables = {name: section.get(name) or {} for name in WORDS}
    problems = [
        f"{name} must hold lines 'name: word'" for name, t in tables.items() if not isinstance(t, dict)
    ]
    problems += unknown_keys(section, ["patient", *WORDS, "orientation", "resample", "spacing"], "images")
    if not problems:
        problems = [line for name in WORDS for line in _table_problems(name, tables[name], found[name])]
    turn, resample = section.get("orientation", ""), str(section.get("resample", "false")).lower()
    if turn and sorted(SIDES.get(side, side) for side in str(turn)) != ["AP", "IS", "LR"]:
        problems.append(f"orientation is {turn!r}: write three of L or R, A or P, S or I, such as LPS")
    if resample not in ("true", "false"):
        problems.append(f"resample is {resample!r}: write true or false")
    spacing = _read_spacing(section.get("spacing"))
    if spacing and resample != "true":
        problems.append("spacing is given without resample: true")
    if problems:
        raise ValueError(f"{path}, section images, cannot be used:\n" + "\n".join(f"  {p}" for p in problems))
    return Rules(section.get("patient", ""), turn, resample == "true", spacing, *tables.values())


def _table_problems(name: str, table: dict[str, str], found: set[str]) -> list[str]:
    allowed = WORDS[name]
    wrong = sorted(f"{key}: {word}" for key, word in table.items() if word not in allowed)
    problems = [f"{name}, {line} (allowed: {', '.join(allowed)})" for line in wrong]
    if new := sorted(found - set(table)):
        shown = ", ".join(map(repr, new[:3])) + (" …" if len(new) > 3 else "")
        problems.append(f"{name} lacks {len(new)} found now ({shown}): --dry-run adds them")
    return problems


def plan(items: list[Item], rules: Rules) -> list[str]:
    """Say what each kind is taken for, and how many patients have each sequence."""
    counts, lines = _counts(items), [f"found: {people(len({item.patient for item in items}))}"]
    for name in WORDS:
        table = getattr(rules, name)
        lines += [f"{name} {k!r}: {w} ({people(counts[k])})" for k, w in table.items() if w != IGNORE]
        ignored = [repr(key) for key, word in table.items() if word == IGNORE]
        shown = ", ".join(ignored[:5]) + (f" and {len(ignored) - 5} more" if len(ignored) > 5 else "")
        lines += [f"{name} ignored: {shown}"] * bool(ignored)
    for sequence in SEQUENCES:
        mine = {item.patient for item in items if rules.series.get(item.kind) == sequence}
        lines.append(f"{sequence}: {people(len(mine))}")
    return lines
