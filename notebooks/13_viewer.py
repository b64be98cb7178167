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
#
# - {glue:text}`viewer_patients` validation patients, from the best to the worst agreement of network and
#   reader, in all three sequences ([picture](viewer-picture)).
# - The [viewer](viewer-volumes) goes through every slice in three planes. It works from the built files
#   alone: nothing is sent anywhere, and nothing is fetched.
# - The agreement in all patients, with its numbers, stands in
#   [the chapter on segmentation](02_segmentation.ipynb).
#
# **Reads** the cohort's volumes, and chapter 02's Dice table and predicted masks. **Writes**
# `viewer/volumes.js`, the volumes of the patients shown.

# %% [markdown]
# ## Setup

# %%
import base64
import json
from dataclasses import replace

from IPython.display import HTML
from myst_nb import glue

from npcbook.cohort import DISPLAY_NAMES, image_path, mask_path
from npcbook.datasheet import plot_slice, widest_slice
from npcbook.images import predicted_mask_path, read_mask, read_volume
from npcbook.plots import small_multiples
from npcbook.runs import atomic_path, open_chapter, project_path
from npcbook.tables import format_number

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
patients_shown = 3  # from best to worst agreement

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
whole = dice[(dice["cohort"] == "validation") & (dice["structure"] == "tumour and nodes")]
ranked = whole.groupby("patient_id")["dice"].mean().sort_values(ascending=False)
steps = max(patients_shown - 1, 1)
chosen = ranked.iloc[[(len(ranked) - 1) * i // steps for i in range(patients_shown)]]
glue("viewer_patients", f"{len(chosen)}", display=False)
shown = chosen.rename("mean Dice").round(2).reset_index().rename(columns={"patient_id": "patient"})
chapter.table("patients", shown, "Patients shown, by the agreement of network and reader.")

# %% [markdown]
# (viewer-picture)=
# ## Picture
#
# The slice with the largest tumour. In each pair the reader's contours stand on the left, the network's on
# the right: a solid line around the tumour, a broken one around lymph nodes.

# %%
fig, axes = small_multiples(6 * len(chosen), columns=6, width=9, panel_height=1.6)
panels = iter(axes)
for patient in chosen.index:
    for sequence, name in DISPLAY_NAMES.items():
        paths = image_path(cohort_path, patient, sequence), mask_path(cohort_path, patient, sequence)
        drawn = read_volume(*paths)
        found = read_mask(predicted_mask_path(predictions, patient, sequence))
        for who, volume in (("reader", drawn), ("network", replace(drawn, mask=found))):
            title = f"{name}, {who}" if patient == chosen.index[0] else ""
            plot_slice(volume, widest_slice(drawn), title=title, half_mm=70, ax=next(panels))
for row, (patient, overlap) in zip(axes[::6], chosen.items(), strict=True):
    words = f"{patient}\nmean Dice {format_number(overlap, 2)}"
    row.text(-0.05, 0.5, words, rotation=90, ha="right", va="center", fontsize=8, transform=row.transAxes)
alt = "Slices of the patients shown in three sequences, each with the reader's and the network's contours."
chapter.figure("patients", fig, alt)

# %% [markdown]
# (viewer-volumes)=
# ## Viewer
#
# The same patients, every slice. The reader's masks are red (tumour) and yellow (nodes), the network's blue
# and cyan.

# %%
volumes = []
for patient, overlap in chosen.items():
    entry = {
        "title": f"{patient}, mean Dice {format_number(overlap, 2)}",
        "image": {},
        "reader": {},
        "network": {},
    }
    for sequence, name in DISPLAY_NAMES.items():
        entry["image"][name] = image_path(cohort_path, patient, sequence)
        entry["reader"][name] = mask_path(cohort_path, patient, sequence)
        entry["network"][name] = predicted_mask_path(predictions, patient, sequence)
    volumes.append(entry)
# Text within a script, because a page opened from a folder may not read other files.
text = json.dumps(volumes, default=lambda path: base64.b64encode(path.read_bytes()).decode())
with atomic_path(chapter.folder / "viewer" / "volumes.js") as temporary:
    temporary.write_text(f"window.npcbookVolumes = {text};\n")
HTML(f"""<p><strong>{chapter.label}</strong></p>
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
#
# - `patients_shown = 5`: two patients between those shown now; the steps between them tell whether
#   agreement falls evenly or only among the worst.
# - `patients_shown = 1`: only the best, which is what a paper's figure tends to show.
# ```
#
# ## Hand-over
#
# Nothing reads this chapter's tables. The viewer is [NiiVue](https://niivue.com), whose licence lies beside
# it.
