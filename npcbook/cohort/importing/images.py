"""From a hospital's images and contours to a cohort's, by the rules of ``map.yml``."""

import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from npcbook.cohort.importing import contours
from npcbook.cohort.importing.keys import read_key, write_key
from npcbook.cohort.importing.mapping import read_section, write_section
from npcbook.cohort.importing.patients import cohort_ids, fill_table, has_table, header_facts, some
from npcbook.cohort.importing.rules import (
    ALL,
    IGNORE,
    LABELS,
    Rules,
    guess_rules,
    people,
    plan,
    read_rules,
    rules_text,
)
from npcbook.cohort.importing.series import FLAT, Item, find_items, read_image
from npcbook.cohort.importing.sheet import write_page, write_row
from npcbook.cohort.reading import image_path, mask_path
from npcbook.store import atomic_path, check_limit, spread
from npcbook.words import SEQUENCES

LOG = "images.tsv"
#: What the log says of each image; without a size it was not written.
RECORD = dict.fromkeys("patient_id sequence series size contours structures done problem".split(), "")


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
    items, patient = find_items(source, (section or {}).get("patient", ""))
    if section is None or dry_run:
        guessed = guess_rules(items, patient, section)
        write_section(map_path, "images", rules_text(guessed, items))
    if section is None:
        look = f"Look at the section images of {map_path}, correct it, and give the same command again."
        return 0, [*plan(items, guessed), look]
    rules = read_rules(read_section(map_path, "images"), items, map_path)
    ids, said = cohort_ids(out, items)
    _check_overwriting(out, ids.values())
    if dry_run:
        records = _convert_all(items, rules, ids, None)
        said += [*plan(items, rules), *_summary(records, "would be ")]
    else:
        said += _begin(out, ids)
        records = _convert_all(items, rules, ids, out)
        said += [*_summary(records), *_finish(out, records, header_facts(items, ids, rules))]
    return 3 if any(record["problem"] for record in records) else 0, said


def _read_log(out: Path) -> pd.DataFrame:
    path = out / LOG
    if not path.exists():
        return pd.DataFrame(columns=list(RECORD))
    try:
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)[list(RECORD)]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is not as it was written: restore it, or name another folder.") from error


def _write_log(out: Path, records: list[dict]) -> pd.DataFrame:
    """Put records in the place of what the log says of their patients."""
    before, new = _read_log(out), pd.DataFrame(records, columns=list(RECORD))
    log = pd.concat([before[~before["patient_id"].isin(new["patient_id"])], new])
    log = log.sort_values(["patient_id", "sequence"])
    with atomic_path(out / LOG) as temporary:
        log.to_csv(temporary, sep="\t", index=False)
    return log


def _check_overwriting(out: Path, patients: Iterable[str]) -> None:
    mine = set(_read_log(out)["patient_id"])
    others = [patient for patient in patients if patient not in mine and (out / f"sub-{patient}").exists()]
    if others:
        raise ValueError(
            f"{out} holds images of {people(len(others))} that were not imported ({some(others)}): name "
            "another folder, or move them away."
        )


def _begin(out: Path, ids: dict[str, str]) -> list[str]:
    """Keep what an import that is stopped needs to be given again: new ids, and whose images are its own."""
    logged = set(_read_log(out)["patient_id"])
    _write_log(out, [RECORD | {"patient_id": safe} for safe in ids.values() if safe not in logged])
    if has_table(out):
        return []
    return [f"whose id is whose (keep it apart): {write_key(out, read_key(out) | ids)}"]


def _convert_all(items: list[Item], rules: Rules, ids: dict[str, str], out: Path | None) -> list[dict]:
    """Convert all patients side by side; return one record for each image, or for what went wrong."""
    mine = {patient: [item for item in items if item.patient == patient] for patient in ids}
    jobs = [(found, rules, ids[patient], out) for patient, found in mine.items()]
    size = {"n_jobs": -1 if len(jobs) > 8 else 1}
    done = spread(_convert_patient, jobs, description="importing images", **size)
    return [record for records in done for record in records]


def _convert_patient(items: list[Item], rules: Rules, patient_id: str, out: Path | None) -> list[dict]:
    """Convert one patient's images; a sequence is written when it is whole."""
    drawn = [item for item in items if item.is_contours and rules.contours[item.kind] != IGNORE]
    patient, records = _Patient(items, drawn, rules), []
    for sequence in SEQUENCES:
        image, said = patient.choose(sequence)
        if image is None:
            continue
        record = RECORD | {"patient_id": patient_id, "sequence": sequence, "series": image.kind}
        records.append(record)
        try:
            picture = patient.picture(image)
            mask, about = patient.draw(image, picture, sequence)
            picture, mask, turned = _turn(picture, mask, rules)
        except ValueError as error:
            record["problem"] = f"{'series' if image.series else 'file'} {image.kind!r} {error}"
            continue
        about["done"] = "; ".join([*said, *turned, *about["done"]])
        record |= about | {"size": contours.grid_words(picture), "problem": "; ".join(about["problem"])}
        records[-1] = record
        if out is not None:
            _write(out, patient_id, sequence, picture, mask)
    if out is not None:
        write_row(out, patient_id)
    return records


class _Patient:
    """One patient's images and contours; each file is read once."""

    def __init__(self, items: list[Item], drawn: list[Item], rules: Rules):
        self.items, self.drawn, self.rules = items, drawn, rules
        self.picture, self.structures = cache(read_image), cache(_read_structures)

    def choose(self, sequence: str) -> tuple[Item | None, list[str]]:
        """Return the image to take for a sequence, and what to say if there was a choice."""
        named = frozenset().union(*(item.drawn_on for item in self.drawn))
        order = list(self.rules.series)
        mine = [item for item in self.items if not item.is_contours]
        found = [item for item in mine if self.rules.series[item.kind] == sequence]

        def rank(item: Item) -> tuple:
            study, number, _ = item.series.number if item.series else ("", 0.0, "")
            contoured = item.series is not None and item.series.uid in named
            worse = not contoured, item.hint == FLAT, order.index(item.kind)
            return (*worse, study, -float(number), item.path)

        said = [f"taken of {len(found)} images for {sequence}"] if len(found) > 1 else []
        return min(found, key=rank, default=None), said

    def draw(self, image: Item, picture: sitk.Image, sequence: str) -> tuple[sitk.Image | None, dict]:
        """Return a label map on an image's voxels, and the log's words of it (lists of what was done or not).

        There is no label map where a structure that is wanted cannot be drawn: one without it would say that
        the patient has none.
        """
        mine, done = self._meant_for(image, sequence)
        masks, problems = {}, [f"contours {i.kind!r} {i.problem}" for i in mine if i.problem]
        for item, name in [(one, name) for one in mine for name in one.structures]:
            if self.rules.structures[name] == IGNORE:
                continue
            if name in masks:
                problems.append(f"structure {name!r} is in several sets of contours: ignore all but one")
            try:
                masks[name], said = self._structure(item, item.structures[name], picture)
                done += [f"structure {name!r} {one}" for one in said]
            except ValueError as error:
                problems.append(f"structure {name!r} {error}")
        if masks and not problems and not any(mask.any() for mask in masks.values()):
            problems.append("its contours are empty")
        about = {"done": done, "problem": problems}
        if problems or not masks:
            return None, about
        labels = {name: LABELS[self.rules.structures[name]] for name in masks}
        merged, shared = contours.merge(masks, labels, picture)
        done += ["tumour and node share voxels, which count as tumour"] * shared
        kinds = dict.fromkeys(item.kind for item in mine)
        return merged, about | {"contours": ", ".join(kinds), "structures": ", ".join(masks)}

    def _meant_for(self, image: Item, sequence: str) -> tuple[list[Item], list[str]]:
        """Return the sets of contours that are meant for an image, and what to say if there was a choice."""
        own = [item for item in self.drawn if self.rules.contours[item.kind] == sequence]
        shared = [item for item in self.drawn if self.rules.contours[item.kind] == ALL]
        if image.series is not None:
            named = [item for item in shared if image.series.uid in item.drawn_on]
            shared = named or [item for item in shared if item.frame in ("", image.frame)]
        found = own or shared
        if not found and any(self.rules.contours[item.kind] == ALL for item in self.drawn):
            return [], ["the contours are of another place (frame of reference), and were not used"]
        # A damaged file comes first, and so never in the place of a whole one.
        found.sort(key=lambda item: (not item.problem, item.series.number if item.series else ()))
        last = {item.kind: item for item in found}
        said = f"the last of {len(found)} sets of contours was taken"
        return list(last.values()), [said] if len(last) < len(found) else []

    def _structure(self, item: Item, name: str, picture: sitk.Image) -> tuple[np.ndarray, list[str]]:
        """Return one structure on an image's voxels, and what was done to bring it there."""
        stored, notes = self.structures(item)[name], []
        if isinstance(stored, list):
            # Contours belong to the slices they were drawn on, which need not be those of this image.
            images = [one for one in self.items if not one.is_contours and one.series]
            named = [one for one in images if one.series.uid in item.drawn_on]
            base = self.picture(named[0]) if named else picture
            mask, notes = contours.rasterise(stored, base)
            stored = sitk.GetImageFromArray(mask.astype(np.uint8))
            stored.CopyInformation(base)
        placed, done = contours.place_labels(stored, picture, resample=self.rules.resample)
        mask = sitk.GetArrayFromImage(placed) > 0
        return mask, [*notes, *([done] if done else []), *([] if mask.any() else ["holds no voxel"])]


def _read_structures(item: Item) -> dict[str, sitk.Image | list[np.ndarray]]:
    """Return the structures of a set of contours: as maps of 0 and 1, or as lists of contours in mm."""
    if item.series is None:
        return {name: labels == value for name, (labels, value) in contours.label_maps(item.path).items()}
    if item.series.modality == "RTSTRUCT":
        return contours.read_contours(item.path)
    return contours.dicom_segments(item.path)


def _turn(picture, mask, rules: Rules) -> tuple[sitk.Image, sitk.Image | None, list[str]]:
    """Turn image and labels as the cohort's run, and resample them where that is asked for."""
    said, before = [], contours.orientation(picture)
    if rules.orientation and before != rules.orientation:
        said.append(f"turned from {before} to {rules.orientation}")
        picture = sitk.DICOMOrient(picture, rules.orientation)
        mask = None if mask is None else sitk.DICOMOrient(mask, rules.orientation)
    if rules.spacing:
        said.append(f"resampled from {contours.grid_words(picture)}")
        picture = _resample(sitk.Cast(picture, sitk.sitkFloat32), rules.spacing, sitk.sitkLinear)
        mask = None if mask is None else _resample(mask, rules.spacing, sitk.sitkNearestNeighbor)
    return picture, mask, said


def _resample(picture: sitk.Image, spacing: tuple[float, float, float], how: int) -> sitk.Image:
    """Return an image with voxels of another size (z, y, x) over the same field."""
    old, new = np.array(picture.GetSpacing()), np.array(spacing[::-1])
    size = np.maximum(np.rint(old * picture.GetSize() / new), 1).astype(int).tolist()
    check_limit("voxels", int(np.prod(size, dtype=float)), f"on a spacing of {spacing} mm")
    origin = np.reshape(picture.GetDirection(), (3, 3)) @ ((new - old) / 2) + picture.GetOrigin()
    place = size, sitk.Transform(), how, origin.tolist(), new.tolist(), picture.GetDirection()
    return sitk.Resample(picture, *place)


def _write(out: Path, patient_id: str, sequence: str, picture: sitk.Image, mask: sitk.Image | None) -> None:
    target = mask_path(out, patient_id, sequence)
    target.unlink(missing_ok=True)  # contours of an earlier import would lie on another image
    for path, one in ((image_path(out, patient_id, sequence), picture), (target, mask)):
        if one is not None:
            with atomic_path(path) as temporary:
                sitk.WriteImage(one, temporary, useCompression=True, compressionLevel=1)


def _summary(records: list[dict], would: str = "") -> list[str]:
    """Say how many images of each sequence there are, what was done to them, and what was not taken."""
    table, lines = pd.DataFrame(records, columns=list(RECORD)), []
    # Each size would be a line of its own; the log has them.
    table["done"] = table["done"].str.replace(r"\d+ × [^;]*(?:voxels|mm)", "…", regex=True)
    for sequence, rows in table[table["size"] != ""].groupby("sequence", sort=False):
        drawn = int((rows["contours"] != "").sum())
        lines.append(f"{sequence}: {len(rows)} images {would}written, {drawn} with contours")
    if not lines:
        lines.append("no image is written: none that can be read is t1w, t2w or cet1w in map.yml")
    for column, word in (("done", ""), ("problem", "not taken: ")):
        said = table.assign(said=table[column].str.split("; ")).explode("said").query("said != ''")
        for text, rows in said.groupby("said", sort=False):
            first = some((rows["patient_id"] + " " + rows["sequence"]).tolist())
            lines.append(f"{word}{text}: {len(rows)} images ({first})")
    return lines


def _finish(out: Path, records: list[dict], facts: dict[str, dict[str, str]]) -> list[str]:
    """Write the log, the table's empty cells, a description where there is none, and the contact sheet."""
    log = _write_log(out, records)
    said, path = fill_table(out, facts), out / "dataset_description.json"
    if not path.exists():
        content = {"Name": out.name, "BIDSVersion": "1.10.0", "synthetic": False}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    sheet = write_page(out, log.query("sequence != ''").to_dict("records"))
    return [*said, f"what was done to each image: {out / LOG}", f"look at every patient's contours: {sheet}"]
