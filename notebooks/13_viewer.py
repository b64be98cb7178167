# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Images to look at
#
# **What did the reader draw, what did the network draw, and on what?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the cohort's volumes, and chapter 02's Dice table and predicted masks. **Writes**
# `site/viewer/volumes.js`, the volumes of the patients shown, for the built book.
#
# ## Setup

# %%
import base64
import json

import numpy as np
from IPython.display import HTML
from matplotlib.lines import Line2D

from npcbook.book import open_chapter, plot_slice, small_multiples
from npcbook.cohort import image_path, mask_path
from npcbook.imaging import predicted_mask_path, read_mask, read_volume
from npcbook.store import atomic_path, project_path
from npcbook.words import DISPLAY_NAMES, MASK_COLOURS, as_html, format_number

# %% tags=["parameters"] needs="images contours"
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
patients_shown = 3  # 1 to all patients; from best to worst agreement

# %%
chapter = open_chapter("13_viewer", run_folder=run_folder, cohort_folder=cohort_folder)
cohort_path, predictions = project_path(cohort_folder), chapter.input_path("02_segmentation/predicted").parent

# %% [markdown]
# ## Data
#
# Patients of the {term}`validation cohort`, ordered by the {term}`Dice overlap` of tumour and nodes
# together, averaged over the sequences; those shown are evenly spaced in that order.

# %%
dice = chapter.read("02_segmentation/dice")
DISPLAY_NAMES = {name: shown for name, shown in DISPLAY_NAMES.items() if (dice["sequence"] == name).any()}
JUDGED = "validation" if (dice["cohort"] == "validation").any() else "training"
whole = dice[(dice["cohort"] == JUDGED) & (dice["structure"] == "tumour and nodes")]
# The picture needs the reader's contours on all sequences.
counted = whole.groupby("patient_id")["sequence"].transform("nunique")
whole = whole[counted == counted.max()]

# %%
ranked = whole.groupby("patient_id")["dice"].mean().sort_values(ascending=False)
steps = max(patients_shown - 1, 1)
chosen = ranked.iloc[[(len(ranked) - 1) * i // steps for i in range(patients_shown)]]
shown = chosen.rename("mean Dice").round(2).reset_index().rename(columns={"patient_id": "patient"})
chapter.table("patients", shown, "Patients shown, by the agreement of network and reader.")

# %%
chapter.takeaway(
    1,
    f"**Reader and network outlined tumour and nodes on every sequence of {len(chosen)} {JUDGED} patients; "
    f"the mean Dice overlap goes from {format_number(chosen.max())} to {format_number(chosen.min())}** "
    "([picture](#viewer-picture)).",
)
chapter.takeaway(
    3,
    f"These are {len(chosen)} of {len(ranked)} patients; the agreement in all stands in [the chapter on "
    "segmentation](02_segmentation.ipynb).",
)

# %% [markdown]
# (viewer-picture)=
# ## Picture
#
# Of each patient the slice in which reader and network differ in most voxels, all sequences taken together:
# where they are most at odds, not a typical slice. Reader's contours are solid, the network's dashed.


# %%
def read_pair(patient: str, sequence: str):
    """Return a volume with the reader's contours, and the network's mask."""
    paths = image_path(cohort_path, patient, sequence), mask_path(cohort_path, patient, sequence)
    return read_volume(*paths), read_mask(predicted_mask_path(predictions, patient, sequence))


def most_different_slices(pairs: list) -> list[int]:
    """Return the slice to show of each sequence: one for all, or each its own where slices differ."""
    differing = [(volume.mask != found).sum((1, 2)) for volume, found in pairs]
    if len({len(counts) for counts in differing}) == 1:
        differing = [np.sum(differing, axis=0)] * len(pairs)
    return [int(counts.argmax()) for counts in differing]


# %%
COLOURS = {"tumour": MASK_COLOURS["tumour"], "lymph nodes": MASK_COLOURS["nodes"]}


def line_handles() -> list[Line2D]:
    """Return what the legend shows: colour tells the structure, style who drew it."""
    lines = {"reader": "-", "network": "--"}
    return [
        Line2D([], [], color=colour, linestyle=line, label=f"{structure}, {drawn_by}")
        for structure, colour in COLOURS.items()
        for drawn_by, line in lines.items()
    ]


# %%
columns = len(DISPLAY_NAMES)
fig, axes = small_multiples(columns * len(chosen), columns=columns, width=8, panel_height=2.7)
for number, patient in enumerate(chosen.index):
    pairs = [read_pair(patient, sequence) for sequence in DISPLAY_NAMES]
    shown = zip(
        axes[columns * number :], DISPLAY_NAMES.values(), pairs, most_different_slices(pairs), strict=False
    )
    for ax, name, (volume, found), at in shown:
        title = name if number == 0 else ""
        plot_slice(volume, at, compared=found, title=title, half_mm=75, ax=ax)
for row, (patient, overlap) in zip(axes[::columns], chosen.items(), strict=True):
    words = f"{patient}\nmean Dice {format_number(overlap, 2)}"
    row.text(-0.05, 0.5, words, rotation=90, ha="right", va="center", fontsize=8, transform=row.transAxes)
fig.legend(handles=line_handles(), loc="outside upper center", ncols=4, fontsize=8, frameon=False)
alt = (
    "The slice of largest disagreement of each patient shown, in three sequences: the reader's contours of "
    "tumour and nodes in solid lines, the network's in dashed ones on the same picture."
)
chapter.figure("patients", fig, alt)

# %% [markdown]
# (viewer-volumes)=
# ## Viewer
#
# The same patients, every slice, in the colours of the pictures of this book: the reader's masks in solid
# outlines, the network's in dashed ones. The picture shows through them, by as much as the slider says.

# %%
volumes, slices = [], 0
for patient, overlap in chosen.items():
    title = f"{patient}, mean Dice {format_number(overlap, 2)}"
    entry = {"title": title, "image": {}, "reader": {}, "network": {}}
    for sequence, name in DISPLAY_NAMES.items():
        entry["image"][name] = image_path(cohort_path, patient, sequence)
        entry["reader"][name] = mask_path(cohort_path, patient, sequence)
        entry["network"][name] = predicted_mask_path(predictions, patient, sequence)
        slices += len(read_volume(entry["image"][name]).image)
    volumes.append(entry)
# Text within a script, because a page opened from a folder may not read other files.
shown = {"patients": volumes, "colours": COLOURS}
text = json.dumps(shown, default=lambda path: base64.b64encode(path.read_bytes()).decode())
with atomic_path(chapter.folder / "site" / "viewer" / "volumes.js") as temporary:
    temporary.write_text(f"window.npcbookVolumes = {text};\n", "utf-8")
chapter.takeaway(
    2,
    f"The [viewer](#viewer-volumes) goes through all of their {slices} axial slices, and through two other "
    "planes. It works from the built files alone: nothing is sent anywhere, and nothing is fetched.",
)

# %%
HTML(f"""<p><strong>{as_html(chapter.label)}</strong></p>
<div id="mri-viewer"><p>The viewer works in the built book, with scripts allowed; the picture above shows
the same patients.</p></div>
<script src="../viewer/niivue.js"></script><script src="../viewer/volumes.js"></script>
<script src="../viewer/viewer.js"></script>""")

# %% [markdown]
# ## Limits and deviations
#
# - A few patients show how right and wrong masks look, not how often they occur.
# - The volumes are as scanned, before any correction; the network saw them corrected, normalised and on its
#   own grid, which may be coarser than the picture.
# - The built pages hold the images of the patients shown. With a cohort of your own, mind who may see them.
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `patients_shown = 5`: two patients between those shown now; the steps between them tell whether agreement
#   falls evenly or only among the worst.
# - `patients_shown = 1`: only the best, which is what a paper's figure tends to show.
# ```
#
# ## Hand-over
#
# Nothing reads this chapter's tables. The viewer is [NiiVue](https://niivue.com), whose licence lies beside
# it.
