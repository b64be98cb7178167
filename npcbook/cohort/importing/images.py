"""From a hospital's images and contours to a cohort's, by the rules of ``map.yml``."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from joblib import Parallel, delayed

from npcbook.cohort.importing import contours, series
from npcbook.cohort.importing.keys import key_path, read_key, safe_ids, write_key
from npcbook.cohort.importing.mapping import as_yaml, read_section, write_section
from npcbook.cohort.importing.series import HEADER, Item
from npcbook.cohort.importing.sheet import write_sheet
from npcbook.cohort.reading import image_path, mask_path
from npcbook.cohort.table import _read_text, _table_path
from npcbook.store import atomic_path, progress
from npcbook.words import SEQUENCES

LOG = "images.tsv"
STRUCTURES = {"tumour": 1, "node": 2}
ALL = "all"
SERIES_WORDS, CONTOUR_WORDS = (*SEQUENCES, "ignore"), (*SEQUENCES, ALL, "ignore")
STRUCTURE_WORDS = (*STRUCTURES, "ignore")
FACTS = ("scanner", "field_t", "sex", "age")


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


def import_images(
    source: str | os.PathLike, out: Path, *, dry_run: bool = False, map_file: str | os.PathLike | None = None
) -> tuple[int, list[str]]:
    """Write the section ``images`` of ``map.yml`` where there is none yet; else import as it says.

    Parameters
    ----------
    source : str or path
        Folder with DICOM series and contours, or NRRD, NIfTI or MetaImage files.
    out : path
        The cohort.
    dry_run : bool
        Whether to write nothing but the section of ``map.yml``, brought up to date.
    map_file : str or path, optional
        Another map than that of the cohort.

    Returns
    -------
    tuple of int and list of str
        Exit code (0, or 3 where an image or contours could not be taken), and what to say.

    Raises
    ------
    FileNotFoundError, ValueError
        If there are no images, the map cannot be used, or images would be written over that were not
        imported; nothing is written then.
    """
    source, map_path = Path(source), Path(map_file or out / "map.yml")
    if not source.is_dir():
        raise FileNotFoundError(f"There is no folder {source}: give the folder with the images.")
    section = read_section(map_path, "images")
    items, patient = series.find_items(source, (section or {}).get("patient", ""))
    if section is None or dry_run:
        guessed = _guess_rules(items, patient, section)
        write_section(map_path, "images", _rules_text(guessed, items))
    if section is None:
        said = [*_plan(items, guessed), f"Look at the section images of {map_path}, correct it, and give"]
        return 0, [*said[:-1], said[-1] + " the same command again."]
    rules = _read_rules(read_section(map_path, "images"), items, map_path)
    ids, said = _safe_ids(out, items)
    _check_overwriting(out, ids.values())
    records = _convert_all(items, rules, ids, None if dry_run else out)
    said += [*_plan(items, rules), *_summary(records, dry_run)]
    if not dry_run:
        said += _finish(out, items, ids, records)
    return 3 if any(record["problem"] for record in records) else 0, said


# ---- the rules


def _guess_rules(items: list[Item], patient: str, section: Mapping | None) -> Rules:
    """Return rules guessed from names; what the section says already is kept."""
    known, images = section or {}, [item for item in items if not item.is_contours]
    drawn = [item for item in items if item.is_contours]
    kinds = {item.kind: series.guess_series(item.hint or item.kind) or "ignore" for item in images}
    sets = {item.kind: series.guess_series(item.kind) for item in drawn}
    sets = {kind: word if word in SEQUENCES else ALL for kind, word in sets.items()}
    names = {name: _guess_structure(name, item) for item in drawn for name in item.structures}
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
    return dict(sorted(guessed.items(), key=lambda pair: (pair[1] == "ignore", -counts[pair[0]], pair[0])))


def _counts(items: list[Item]) -> Counter:
    return series.count_patients(items, lambda item: {item.kind, *item.structures})


def _guess_structure(name: str, item: Item) -> str:
    """Return what a structure is: by its name, or that of its file, or its value."""
    kind, is_value, value = name.rpartition(" = ")
    meaning = series.guess_structure(kind if is_value else name)
    if meaning or not is_value:
        return meaning or "ignore"
    first = len(item.structures) == 1 or value == "1"
    return "tumour" if first else "node" if value == "2" else "ignore"


def _rules_text(rules: Rules, items: list[Item]) -> str:
    counts = _counts(items)

    def lines(words: dict[str, str]) -> list[str]:
        return [
            f"    {as_yaml(name)}: {word}  # {_people(counts[name])}" for name, word in words.items()
        ] or ["    {}"]

    spacing = as_yaml(list(rules.spacing)) if rules.spacing else ""
    return "\n".join(
        [
            "# What the series, files and structures found in the images' folder are. Correct what stands behind a colon.",
            "images:",
            "  # Whose a file is: PatientID (DICOM header), or a pattern whose first group finds the id in its path.",
            f"  patient: {as_yaml(rules.patient)}",
            f"  # {', '.join(SERIES_WORDS)}. Of several that a patient has for one sequence, that with contours of its",
            "  # own is taken, then the first of this list, then the earliest study and its last series.",
            "  series:",
            *lines(rules.series),
            f"  # Sets of contours: {ALL} (of the images of their place), one sequence, or ignore.",
            "  contours:",
            *lines(rules.contours),
            f"  # {', '.join(STRUCTURE_WORDS)}.",
            "  structures:",
            *lines(rules.structures),
            "  # Sides of the patient that x, y and z run to: axes are turned and swapped, voxels stay as they are.",
            f"  orientation: {rules.orientation}",
            "  # true: contours on other voxels than their image are resampled (nearest neighbour), and images to",
            "  # spacing: [z, y, x] in mm, if that is given.",
            f"  resample: {str(rules.resample).lower()}",
            f"  spacing: {spacing}".rstrip(),
        ]
    )


def _people(n: int) -> str:
    return f"{n} patient{'s' * (n != 1)}"


def _read_spacing(value: object) -> tuple[float, float, float] | None:
    if not value:
        return None
    try:
        spacing = tuple(float(size) for size in value)
    except (TypeError, ValueError):
        spacing = ()
    if len(spacing) != 3 or min(spacing) <= 0:
        raise ValueError(f"map.yml, images, spacing is {value!r}: write [z, y, x] in mm, such as [3, 1, 1].")
    return spacing


def _read_rules(section: dict, items: list[Item], path: Path) -> Rules:
    """Return the rules of a section; ValueError lists all that is wrong with them."""
    problems, allowed = [], {"series": SERIES_WORDS, "contours": CONTOUR_WORDS, "structures": STRUCTURE_WORDS}
    found = {
        "series": {item.kind for item in items if not item.is_contours},
        "contours": {item.kind for item in items if item.is_contours},
        "structures": {name for item in items for name in item.structures},
    }
    tables = {}
    for name, words in allowed.items():
        table = section.get(name) or {}
        tables[name] = table if isinstance(table, dict) else {}
        if not isinstance(table, dict):
            problems.append(f"{name} must hold lines 'name: word'")
        wrong = {f"{key}: {word}" for key, word in tables[name].items() if word not in words}
        problems += [f"{name}, {line} (allowed: {', '.join(words)})" for line in sorted(wrong)]
        if new := sorted(found[name] - set(tables[name])):
            shown = ", ".join(map(repr, new[:3])) + (" …" if len(new) > 3 else "")
            problems.append(f"{name} lacks {len(new)} found now ({shown}): --dry-run adds them")
    turn, resample = section.get("orientation", ""), str(section.get("resample", "false")).lower()
    if (
        turn
        and {"".join(sorted(pair)) for pair in ("LR", "AP", "IS") if set(pair) & set(turn)}
        != {"LR", "AP", "IS"}
        or len(turn) not in (0, 3)
    ):
        problems.append(f"orientation is {turn!r}: write three of L or R, A or P, S or I, such as LPS")
    if resample not in ("true", "false"):
        problems.append(f"resample is {resample!r}: write true or false")
    spacing = _read_spacing(section.get("spacing"))
    if spacing and resample != "true":
        problems.append("spacing is given without resample: true")
    if problems:
        raise ValueError(f"{path}, section images, cannot be used:\n" + "\n".join(f"  {p}" for p in problems))
    return Rules(section.get("patient", ""), turn, resample == "true", spacing, *tables.values())


def _plan(items: list[Item], rules: Rules) -> list[str]:
    """Say what each kind is taken for, and how many patients have each sequence."""
    counts, lines = _counts(items), [f"{_people(len({item.patient for item in items}))}"]
    for name, table in (
        ("series", rules.series),
        ("contours", rules.contours),
        ("structure", rules.structures),
    ):
        lines += [f"{name} {key!r}: {word} ({_people(counts[key])})" for key, word in table.items()]
    for sequence in SEQUENCES:
        kinds = {kind for kind, word in rules.series.items() if word == sequence}
        lines.append(f"{sequence}: {_people(len({item.patient for item in items if item.kind in kinds}))}")
    return lines


# ---- whose they are


def _safe_ids(out: Path, items: list[Item]) -> tuple[dict[str, str], list[str]]:
    """Return the cohort's id of each of the hospital's, and what to say of those without one."""
    given, known = list(dict.fromkeys(item.patient for item in items)), read_key(out)
    try:
        table = _read_text(_table_path(out))["patient_id"]
    except FileNotFoundError:
        table = None
    known |= {patient: patient for patient in (table if table is not None else ()) if patient not in known}
    alike = {_alike(name): safe for name, safe in known.items()}
    ids = {name: known.get(name, alike.get(_alike(name))) for name in given}
    lacking = [name for name, safe in ids.items() if safe is None]
    if table is None:
        new = safe_ids([*known, *lacking], known, new=True)
        return {name: ids[name] or new[name] for name in given}, []
    said = []
    if lacking:
        said.append(
            f"{_people(len(lacking))} of the images are not in the table and are left out: {_some(lacking)}."
        )
    if without := sorted(set(table) - set(ids.values())):
        said.append(f"{_people(len(without))} of the table have no images: {_some(without)}.")
    return {name: safe for name, safe in ids.items() if safe is not None}, said


def _alike(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower().lstrip("0")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _read_log(out: Path) -> pd.DataFrame:
    path = out / LOG
    if not path.exists():
        return pd.DataFrame({"patient_id": []})
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def _check_overwriting(out: Path, patients: Iterable[str]) -> None:
    mine = set(_read_log(out)["patient_id"])
    others = [patient for patient in patients if patient not in mine and (out / f"sub-{patient}").exists()]
    if others:
        raise ValueError(
            f"{out} holds images of {_people(len(others))} that were not imported ({_some(others)}): name another "
            "folder, or move them away."
        )


# ---- the conversion


def _convert_all(items: list[Item], rules: Rules, ids: dict[str, str], out: Path | None) -> list[dict]:
    """Convert all patients side by side; return one record for each image, or for what went wrong."""
    mine = {patient: [item for item in items if item.patient == patient] for patient in ids}
    jobs = [delayed(_convert_patient)(found, rules, ids[patient], out) for patient, found in mine.items()]
    run = Parallel(n_jobs=-1 if len(jobs) > 8 else 1, return_as="generator")
    done = progress(run(jobs), total=len(jobs), description="importing images")
    return [record for records in done for record in records]


def _convert_patient(items: list[Item], rules: Rules, patient_id: str, out: Path | None) -> list[dict]:
    """Convert one patient's images; a sequence is written when it is whole."""
    records, used = [], [item for item in items if item.is_contours and rules.contours[item.kind] != "ignore"]
    read = _Reader()
    for sequence in SEQUENCES:
        image, said = _choose(items, used, rules, sequence)
        if image is None:
            continue
        record = {"patient_id": patient_id, "sequence": sequence, "series": image.kind, "contours": ""}
        record |= {"structures": "", "done": "", "problem": ""}
        try:
            picture = read(image)
        except ValueError as error:
            records.append(record | {"problem": f"{_shown(image)} {error}"})
            continue
        drawn, notes, problems = _draw_on(image, picture, used, items, rules, sequence, read)
        mask = None if drawn is None else drawn[0]
        picture, mask, turned = _turn(picture, mask, rules)
        if drawn is not None:
            record |= {"contours": drawn[1], "structures": drawn[2]}
        record |= {"done": "; ".join([*said, *turned, *notes]), "problem": "; ".join(problems)}
        records.append(record)
        if out is not None:
            _write(out, patient_id, sequence, picture, mask)
    return records


class _Reader:
    """Reads each image of a patient once."""

    def __init__(self):
        self.pictures = {}

    def __call__(self, item: Item) -> sitk.Image:
        if item.path not in self.pictures:
            self.pictures[item.path] = series.read_image(item)
        return self.pictures[item.path]


def _shown(item: Item) -> str:
    return f"series {item.kind!r}" if item.series else f"file {item.kind!r}"


def _choose(
    items: list[Item], drawn: list[Item], rules: Rules, sequence: str
) -> tuple[Item | None, list[str]]:
    """Return the image to take for a sequence, and what to say if there was a choice."""
    named = frozenset().union(*(item.drawn_on for item in drawn))
    order = list(rules.series)
    found = [item for item in items if not item.is_contours and rules.series[item.kind] == sequence]
    if len(found) < 2:
        return next(iter(found), None), []

    def rank(item: Item) -> tuple:
        study, *last = item.series.number if item.series else ("", 0.0, "")
        contoured = item.series is not None and item.series.uid in named
        return (not contoured, order.index(item.kind), study, -float(last[0]), item.path)

    best = min(found, key=rank)
    return best, [f"taken of {len(found)} images for {sequence}"]


def _draw_on(image, picture, drawn, items, rules, sequence, read):
    """Return a label map on an image's voxels, with the kinds and structures in it, notes and problems."""
    mine = _contours_of(image, drawn, rules, sequence)
    masks, notes, problems, kinds, names = {}, [], [], [], []
    for item in mine:
        wanted = {name: own for name, own in item.structures.items() if rules.structures[name] != "ignore"}
        if item.problem:
            problems.append(f"contours {item.kind!r} {item.problem}")
        for name, own in wanted.items():
            try:
                mask, note = _structure_on(item, own, picture, items, rules, read)
            except ValueError as error:
                problems.append(f"structure {name!r} {error}")
                continue
            masks[name] = masks[name] | mask if name in masks else mask
            notes += [f"{name}: {one}" for one in note]
            kinds.append(item.kind)
            names.append(name)
    if not masks or not any(mask.any() for mask in masks.values()):
        if masks:
            problems.append("its contours are empty")
        return None, notes, problems
    merged = contours.draw(masks, {name: STRUCTURES[rules.structures[name]] for name in masks}, picture)
    said = (", ".join(dict.fromkeys(kinds)), ", ".join(dict.fromkeys(names)))
    return (merged.labels, *said), [*dict.fromkeys(notes), *merged.notes], problems


def _contours_of(image: Item, drawn: list[Item], rules: Rules, sequence: str) -> list[Item]:
    """Return the sets of contours that are meant for an image, of a repeated kind the last."""
    own = [item for item in drawn if rules.contours[item.kind] == sequence]
    shared = [item for item in drawn if rules.contours[item.kind] == ALL]
    if image.series is not None:
        named = [item for item in shared if image.series.uid in item.drawn_on]
        there = [item for item in shared if not item.frame or item.frame == image.frame]
        shared = named or there
    found = own or shared
    last = {item.kind: item for item in sorted(found, key=lambda i: i.series.number if i.series else ())}
    return list(last.values())


def _structure_on(item: Item, name: str, picture, items, rules, read) -> tuple[np.ndarray, list[str]]:
    """Return one structure on an image's voxels, and what was done to bring it there."""
    if item.series is None or item.series.modality == "SEG":
        maps = contours.label_maps(item.path) if item.series is None else contours.dicom_segments(item.path)
        labels, value = maps[name]
        placed, done = contours.place_labels(
            sitk.Cast(labels == value, sitk.sitkUInt8), picture, resample=rules.resample
        )
        return sitk.GetArrayFromImage(placed) > 0, [done] if done else []
    # Contours belong to the slices they were drawn on, which need not be those of this image.
    bases = [one for one in items if not one.is_contours and one.series and one.series.uid in item.drawn_on]
    base = read(bases[0]) if bases else picture
    mask, notes = contours.rasterise(contours.read_contours(item.path)[name], base)
    if base is picture or contours.same_grid(base, picture):
        return mask, notes
    labels = sitk.GetImageFromArray(mask.astype(np.uint8))
    labels.CopyInformation(base)
    placed, done = contours.place_labels(labels, picture, resample=rules.resample)
    return sitk.GetArrayFromImage(placed) > 0, [*notes, *filter(None, [done])]


def _turn(picture, mask, rules: Rules) -> tuple[sitk.Image, sitk.Image | None, list[str]]:
    """Turn image and labels as the cohort's run, and resample them where that is asked for."""
    said, before = [], contours.orientation(picture)
    if rules.orientation and before != rules.orientation:
        said.append(f"turned from {before} to {rules.orientation}")
        picture = sitk.DICOMOrient(picture, rules.orientation)
        mask = None if mask is None else sitk.DICOMOrient(mask, rules.orientation)
    if rules.spacing:
        old, new = np.array(picture.GetSpacing()), np.array(rules.spacing[::-1])
        size = np.maximum(np.rint(old * picture.GetSize() / new), 1).astype(int).tolist()
        shift = np.reshape(picture.GetDirection(), (3, 3)) @ ((new - old) / 2)
        place = (
            size,
            sitk.Transform(),
            sitk.sitkLinear,
            (shift + picture.GetOrigin()).tolist(),
            new.tolist(),
            picture.GetDirection(),
        )
        said.append(f"resampled from {' × '.join(f'{x:.4g}' for x in old[::-1])} mm")
        picture = sitk.Resample(sitk.Cast(picture, sitk.sitkFloat32), *place)
        nearest = (*place[:2], sitk.sitkNearestNeighbor, *place[3:])
        mask = None if mask is None else sitk.Resample(mask, *nearest)
    return picture, mask, said


def _write(out: Path, patient_id: str, sequence: str, picture: sitk.Image, mask: sitk.Image | None) -> None:
    target = mask_path(out, patient_id, sequence)
    target.unlink(missing_ok=True)  # contours of an earlier import would lie on another image
    for path, one in ((image_path(out, patient_id, sequence), picture), (target, mask)):
        if one is not None:
            with atomic_path(path) as temporary:
                sitk.WriteImage(one, temporary, useCompression=True, compressionLevel=1)


# ---- what is said and kept of it


def _summary(records: list[dict], dry_run: bool) -> list[str]:
    table = pd.DataFrame(records, columns=["patient_id", "sequence", "contours", "done", "problem"])
    would, lines = "would be " if dry_run else "", []
    whole = table[(table["problem"] == "") | (table["contours"] != "")]
    for sequence, rows in table.groupby("sequence", sort=False):
        drawn = int((rows["contours"] != "").sum())
        lines.append(f"{sequence}: {len(rows)} images {would}written, {drawn} with contours")
    for column, word in (("done", ""), ("problem", "not taken: ")):
        said = table.loc[table[column] != "", ["patient_id", "sequence", column]]
        said = said.assign(**{column: said[column].str.split("; ")}).explode(column)
        for text, rows in said.groupby(column, sort=False):
            first = _some([f"{a} {b}" for a, b in zip(rows["patient_id"], rows["sequence"], strict=True)])
            lines.append(f"{word}{text}: {len(rows)} images ({first})")
    return lines if len(whole) or lines else ["nothing to import: no series is t1w, t2w or cet1w in map.yml"]


def _finish(out: Path, items: list[Item], ids: dict[str, str], records: list[dict]) -> list[str]:
    """Write the log, the key of new ids, the table's empty cells, the description and the contact sheet."""
    done, before = {record["patient_id"] for record in records}, _read_log(out)
    log = pd.concat([before[~before["patient_id"].isin(done)], pd.DataFrame(records)])
    with atomic_path(out / LOG) as temporary:
        log.sort_values(["patient_id", "sequence"]).to_csv(temporary, sep="\t", index=False)
    said = []
    if not read_key(out) and any(name != safe for name, safe in ids.items()) or not _has_table(out):
        said.append(f"whose id is whose (keep it apart): {write_key(out, read_key(out) | ids)}")
    said += _fill_table(out, _facts(items, ids))
    path = out / "dataset_description.json"
    if not path.exists():
        content = {"Name": out.name, "BIDSVersion": "1.10.0", "synthetic": False}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
    sheet = write_sheet(out, log.to_dict("records"))
    return [*said, f"what was done to each image: {out / LOG}", f"look at every patient's contours: {sheet}"]


def _has_table(out: Path) -> bool:
    return any((out / f"participants.{suffix}").exists() for suffix in ("tsv", "csv"))


def _facts(items: list[Item], ids: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return what the headers say of each patient, by the cohort's id."""
    facts = {safe: {} for safe in ids.values()}
    for item in items:
        if item.series is None or item.is_contours or item.patient not in ids:
            continue
        header, mine = item.series.header, facts[ids[item.patient]]
        field = float(header.get("MagneticFieldStrength") or 0)
        maker, model = (header.get(f"Manufacturer{what}", "") for what in ("", "ModelName"))
        said = {
            "scanner": " ".join(dict.fromkeys(f"{maker} {model}".split())),
            # Some write gauss.
            "field_t": f"{field / 10000 if field > 100 else field:g}" if field else "",
            "sex": {"M": "male", "F": "female"}.get(str(header.get("PatientSex", "")).upper(), ""),
            "age": _age(header),
        }
        for name, value in said.items():
            if value:
                mine.setdefault(name, value)
    return facts


def _age(header: dict) -> str:
    said = str(header.get("PatientAge", ""))
    if said[:-1].isdigit() and said.endswith("Y"):
        return str(int(said[:-1]))
    dates = [
        pd.to_datetime(header.get(name, ""), format="%Y%m%d", errors="coerce")
        for name in ("PatientBirthDate", "StudyDate")
    ]
    years = (dates[1] - dates[0]).days / 365.25 if not any(map(pd.isna, dates)) else -1.0
    return str(int(years)) if 0 < years < 120 else ""


def _fill_table(out: Path, facts: dict[str, dict[str, str]]) -> list[str]:
    """Fill empty cells of the table from the headers; say what was filled and what contradicts them."""
    said = []
    if _has_table(out):
        path = _table_path(out)
        table = pd.read_csv(
            path,
            sep="\t" if path.suffix == ".tsv" else ",",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    else:
        path, table = out / "participants.tsv", pd.DataFrame({"patient_id": sorted(facts)})
    for name in FACTS:
        header = (
            table["patient_id"]
            .str.strip()
            .map(lambda patient, name=name: facts.get(patient, {}).get(name, ""))
        )
        if not (header != "").any():
            continue
        column = table[name].str.strip() if name in table else pd.Series("", index=table.index)
        empty = column.str.lower().isin(["", "n/a", "na", "nan"])
        differs = (header != "") & ~empty & (column != header)
        if name == "age":
            differs &= (pd.to_numeric(column, errors="coerce") - pd.to_numeric(header)).abs() > 1.5
        if name in ("sex", "age") and differs.any():
            first = _some(table.loc[differs, "patient_id"].tolist())
            said.append(
                f"{name} in the table is not that of the images' headers: {_people(int(differs.sum()))} ({first})."
            )
        if filled := int((empty & (header != "")).sum()):
            said.append(f"{name} filled from the images' headers: {_people(filled)}.")
        table[name] = column.where(~empty, header)
    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return said
