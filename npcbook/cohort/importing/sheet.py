"""A contact sheet: every patient's images with their outlines, to be signed off by eye."""

import html
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from npcbook.cohort.reading import image_path, mask_path
from npcbook.imaging import Volume, read_volume
from npcbook.store import atomic_path
from npcbook.words import DISPLAY_NAMES, MASK_COLOURS, SEQUENCES

TILE = 220
COLUMNS = [(sequence, label, name) for sequence in SEQUENCES for label, name in enumerate(MASK_COLOURS, 1)]
PLACE = Path("derivatives") / "contact_sheet"
TOP = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Contact sheet</title>
<style>body{font:14px sans-serif;margin:1em}img{max-width:100%;display:block}
section{border-top:1px solid #999}input[type=text]{width:60%}@media print{section{break-inside:avoid}}</style>
<h1>Contact sheet</h1><p>For each sequence: the slice where the tumour is largest, and that where the nodes
are. Orange, tumour; blue, nodes; an image without contours shows its middle slice. Tick what you have seen to
be right, note what is not, and print the page to keep it.</p>
"""
END = "<p>Seen by: ____________________ Date: ____________</p></html>\n"


def write_row(folder: Path, patient: str) -> None:
    """Write the picture of one patient; the sheet lies in ``derivatives/contact_sheet`` of the cohort."""
    with atomic_path(folder / PLACE / f"sub-{patient}.png") as temporary:
        draw_patient(folder, patient).save(temporary)


def write_page(folder: Path, records: list[dict]) -> Path:
    """Write the page that shows the pictures of all patients, and return its path.

    Parameters
    ----------
    folder : path
        The cohort.
    records : list of dict
        One an image: ``patient_id``, ``sequence``, ``series``, ``structures``, ``done``, ``problem``.
    """
    parts = [TOP]
    for patient in sorted({record["patient_id"] for record in records}):
        mine = [record for record in records if record["patient_id"] == patient]
        said = "<br>".join(html.escape(_line(record)) for record in mine)
        parts.append(
            f'<section><h2><label><input type="checkbox"> {patient}</label></h2>'
            f'<img src="sub-{patient}.png" alt="Images and outlines of {patient}" loading="lazy">'
            f'<p>{said}</p><input type="text" aria-label="Remark on {patient}"></section>\n'
        )
    path = folder / PLACE / "index.html"
    with atomic_path(path) as temporary:
        temporary.write_text("".join([*parts, END]), "utf-8")
    return path


def _line(record: dict) -> str:
    words = (record[name] for name in ("series", "structures", "done", "problem"))
    return f"{DISPLAY_NAMES[record['sequence']]}: {'; '.join(filter(None, words))}"


def draw_patient(folder: Path, patient: str) -> Image.Image:
    """Return one row: for each sequence the slices where tumour and nodes are largest, outlined."""
    row = Image.new("RGB", (TILE * len(COLUMNS), TILE + 16), "white")
    pen = ImageDraw.Draw(row)
    for place, (sequence, label, name) in enumerate(COLUMNS):
        path, mask = image_path(folder, patient, sequence), mask_path(folder, patient, sequence)
        try:
            volume = read_volume(path, mask if mask.exists() else None) if path.exists() else None
            said = "no image"
        except (ValueError, RuntimeError):
            volume, said = None, "cannot be read"
        if volume is not None:
            mask = np.zeros_like(volume.image) if volume.mask is None else volume.mask
            areas = (mask == label).sum(axis=(1, 2))
            shown = int(areas.argmax()) if areas.any() else len(volume.image) // 2
            said = f"{name}, slice {shown + 1} of {len(areas)}" if areas.any() else f"no {name}"
            row.paste(_tile(volume, shown), (place * TILE, 16))
        pen.text((place * TILE + 3, 2), f"{DISPLAY_NAMES[sequence]}: {said}", fill="black")
    return row


def _tile(volume: Volume, shown: int) -> Image.Image:
    """Return a slice in a square, voxels in their true proportions, with outlines of both labels."""
    picture = volume.image[shown]
    low, high = np.percentile(picture, (1, 99))
    grey = np.clip((picture - low) / max(high - low, 1e-6), 0, 1) * 255
    extent = np.array(picture.shape) * volume.spacing[1:]
    size = np.maximum(TILE * extent / extent.max(), 1).astype(int)[::-1].tolist()
    tile = Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    colours = np.array(tile.convert("RGB"))
    if volume.mask is not None:
        mask = np.array(Image.fromarray(volume.mask[shown]).resize(size, Image.Resampling.NEAREST))
        for label, colour in enumerate(MASK_COLOURS.values(), start=1):
            inside = mask == label
            edge = inside & ~ndimage.binary_erosion(inside)
            colours[edge] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return Image.fromarray(colours)
