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
# # What the score rests on
#
# **Which of the traits that a picture shows does the recommended score answer to, and where in the picture
# does it look?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** `01_cohorts/cohort`, networks, images and features of chapter 02, scores and heads of
# [chapter 03](03_dl_training.ipynb). **Writes** tables and figures for the reader: nothing here changes a
# score.
#
# ## Setup

# %%
import json
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from npcbook.book import open_chapter, show_source
from npcbook.cohort import read_parts, read_truth
from npcbook.imaging import fit_scaling, load_network, network_path, preprocessed_path, stack_on_grid
from npcbook.store import project_path
from npcbook.words import COHORTS, DISPLAY_NAMES, SEQUENCES, format_number

# %% tags=["parameters"] needs="dmfs metastases images contours"
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
explained_patients = 4  # 1 to all patients; those of highest risk whose scores are attributed to voxels
seed = 2023  # 0 or more; of the network and the head of random weights

# %%
chapter = open_chapter("03b_dl_insight", run_folder=run_folder, cohort_folder=cohort_folder)

# %% [markdown]
# ## Data
#
# The recommended head of chapter 03 for all three sequences, and what it reads of every patient: features of
# the disease and its surroundings, from the segmentation networks.

# %%
cohort = chapter.read("01_cohorts/cohort").set_index("patient_id")
sequences = read_parts(cohort_folder).sequences
SEQUENCES = {name: suffix for name, suffix in SEQUENCES.items() if name in sequences}
stored = {s: chapter.read(f"02_segmentation/features_{s}").set_index("patient_id") for s in SEQUENCES}
patients = cohort.loc[cohort.index.isin(stored[sequences[0]].index)]
scores = chapter.read("03_dl_training/scores_recommended").set_index("patient_id").loc[patients.index]
training, held = ((patients["cohort"] == name).to_numpy() for name in COHORTS)
held = held if held.any() else training
is_pooled = stored[sequences[0]].columns.str.startswith("bottleneck")
columns = {
    "bottleneck": stored[sequences[0]].columns[is_pooled],
    "region": stored[sequences[0]].columns[~is_pooled],
}
truth = read_truth(project_path(cohort_folder))


def features(kind: str) -> np.ndarray:
    """Return the stored features of all sequences side by side: "bottleneck", or the "region" features."""
    parts = [table.loc[patients.index, columns[kind]].to_numpy(float) for table in stored.values()]
    return np.hstack(parts)


# %%
from npcbook.imaging import read_model

head = read_model(chapter.input_path("03_dl_training").parent).heads["recommended", "combined"][0]
source = chapter.input_path("02_segmentation")
seen = json.loads(chapter.input_path("02_segmentation/input.json").read_text("utf-8"))
grid, plane_mm = tuple(seen["grid"]), seen["plane_mm"]
network_files = {sequence: network_path(source, sequence) for sequence in SEQUENCES}

# %% [markdown] tags=["planted"]
# (dl-probes)=
# ## What the stored features know
#
# For synthetic patients the planted traits can be asked for: a ridge regression from the features of all
# three sequences, its penalty chosen within training, predicts each trait in the validation cohort. A low
# correlation for the pooled bottleneck and a higher one for the disease and its surroundings say where
# the information was lost.

# %% tags=["planted"]
traits = ("size", "heterogeneity", "infiltration")
probes = []
for trait in () if truth is None else traits:
    target, row = truth[trait].reindex(patients.index).to_numpy(), {"trait": trait}
    for kind in ("bottleneck", "region"):
        inputs = features(kind)
        inputs = fit_scaling(inputs[training]).apply(inputs)
        probe = RidgeCV(np.logspace(0, 5, 11)).fit(inputs[training], target[training])
        row[kind] = np.corrcoef(probe.predict(inputs[held]), target[held])[0, 1]
    probes.append(row)
caption = "Correlation of predicted and planted traits, validation cohort."
if probes:
    chapter.table("probes", pd.DataFrame(probes), caption)

# %% [markdown]
# (dl-attribution)=
# ## Where the score looks
#
# The paper names it as a limitation that nobody knows what its network looks at. For validation patients of
# highest risk, integrated gradients share the recommended score out to the voxels of the three pictures:
# what each voxel adds to it in comparison with the same place on the other side of the patient's head. The
# head averages over the predicted tumour and shells around it, and so has to look there; a network of random
# weights, with a random head, shows how much of the pattern comes from that alone. <span class="planted">Of
# the planted infiltration the part of the attribution that falls on it can be told (voxels in which at least
# a tenth of the tissue is infiltrated).</span> Attributions should add up to the difference between the
# scores of the picture and of its mirror image; the last columns say how far they do.

# %%
from npcbook.imaging import Attribution, integrated_gradients, random_head, randomise, score_function

show_source(integrated_gradients)
from npcbook.imaging import predict_labels

by_risk = scores.loc[held, "dl_combined"]
explained = by_risk.nlargest(explained_patients).index
networks, pictures, masks = {}, {}, {}
for sequence, file in network_files.items():
    networks[sequence] = load_network(file).network
    files = [(preprocessed_path(source, patient, sequence), None) for patient in explained]
    pictures[sequence] = stack_on_grid(files, grid, plane_mm=plane_mm)[0]
    masks[sequence] = predict_labels(networks[sequence], torch.from_numpy(pictures[sequence])[:, None])

# %%
from npcbook.imaging import Volume, fit_grid, plane_field, share_within
from npcbook.synthetic import rebuild_anatomy, render_again

planted_in = {} if truth is None else rebuild_anatomy(cohort_folder, explained)
infiltrated = {}
for patient, anatomy in planted_in.items():
    share = Volume(anatomy.infiltration, None, anatomy.spacing)
    infiltrated[patient] = fit_grid(share, grid, field_mm=plane_field(share, plane_mm)).image >= 0.1


# %%
def explain(sequence: str, *, learnt: bool) -> list[Attribution]:
    """Return what each voxel adds to the scores of the explained patients."""
    width, network = len(columns["region"]), networks[sequence]
    start, used = width * list(SEQUENCES).index(sequence), head
    given = features("region")[patients.index.get_indexer(explained)]
    if not learnt:
        network, start = randomise(network.settings, seed=seed), 0
        used = random_head(network, pictures[sequence], masks[sequence], seed=seed)
        given = np.tile(used.scaling.mean, (len(explained), 1))
    place = slice(start, start + width)
    maps = []
    for mask, picture, others in zip(masks[sequence], pictures[sequence], given, strict=True):
        score = score_function(network, mask, used, features=others, columns=place)
        maps.append(integrated_gradients(score, picture))
    return maps


# %%
def where_it_falls(sequence: str, patient: str, mask, learnt: Attribution, untrained: Attribution) -> dict:
    """Return which part of a patient's attribution falls on what, for trained and random weights."""
    row = {"Sequence": DISPLAY_NAMES[sequence], "predicted tumour": share_within(learnt.values, mask == 1)}
    if patient in infiltrated:
        region = infiltrated[patient]
        row["planted infiltration"] = share_within(learnt.values, region)
        row["the same, random network"] = share_within(untrained.values, region)
        row["infiltration's share of the volume"] = region.mean()
    sizes = np.abs(learnt.values), np.abs(untrained.values)
    row["rank correlation with random"] = spearmanr(*sizes, axis=None).statistic
    row["score less the mirror image's"] = learnt.score - learnt.baseline_score
    row["missing from the sum, size"] = abs(learnt.gap)
    return row


# %%
rows, maps = [], {}
for sequence in SEQUENCES:
    maps[sequence] = explain(sequence, learnt=True)
    maps[sequence, "random"] = explain(sequence, learnt=False)
    each = zip(explained, masks[sequence], maps[sequence], maps[sequence, "random"], strict=True)
    rows += [where_it_falls(sequence, *one) for one in each]
attributed = pd.DataFrame(rows).groupby("Sequence", sort=False).mean().map(format_number).reset_index()
caption = f"Part of the attribution by where it falls, mean over {len(explained)} patients."
chapter.table("attribution", attributed, caption)

# %% [markdown]
# The patient of highest risk, in the slice with the largest predicted tumour. Red raises the score, blue
# lowers it. The dashed yellow line surrounds the predicted tumour<span class="planted">, the dotted green
# one planted infiltration</span>. Colours are scaled within each picture, because a head of random weights
# has a scale of its own: the ends of the bar stand for the size of contribution that all but one voxel in a
# thousand stay below.


# %%
def draw_attribution(ax, sequence: str, key, title: str):
    """Draw the map of the patient of highest risk over the picture; return the coloured layer."""
    mask, values = masks[sequence][0] == 1, maps[key][0].values
    at = int(mask.sum(axis=(1, 2)).argmax())
    found = values[at] / (np.quantile(np.abs(values), 0.999) or 1.0)
    ax.imshow(pictures[sequence][0][at], cmap="gray", vmin=-2, vmax=3)
    overlay = ax.imshow(found, cmap="RdBu_r", vmin=-1, vmax=1, alpha=np.clip(np.abs(found), 0, 1))
    regions = {"predicted tumour": mask, "planted infiltration": infiltrated.get(explained[0])}
    for what, region in regions.items():
        if region is not None and region[at].any():
            colour, style = LINES[what]
            ax.contour(region[at], [0.5], colors=colour, linestyles=style, linewidths=1.2)
    ax.set(xticks=[], yticks=[], title=f"{DISPLAY_NAMES[sequence]}, {title}")
    return overlay


# %%
LINES = {"predicted tumour": ("#ffd92f", "dashed"), "planted infiltration": ("#66c2a5", "dotted")}
size = {"figsize": (3 * len(SEQUENCES), 6.6), "squeeze": False}
fig, axes = plt.subplots(2, len(SEQUENCES), layout="constrained", **size)
for column, sequence in zip(axes.T, SEQUENCES, strict=True):
    overlay = draw_attribution(column[0], sequence, sequence, "trained")
    draw_attribution(column[1], sequence, (sequence, "random"), "random weights")
scale = plt.cm.ScalarMappable(overlay.norm, overlay.cmap)
bar = fig.colorbar(scale, ax=axes, shrink=0.7, ticks=[-1, 0, 1], label="contribution to the score")
bar.ax.set_yticklabels(["lowers it most", "none", "raises it most"], fontsize=8)
handles = [plt.Line2D([], [], color=c, linestyle=style, label=what) for what, (c, style) in LINES.items()]
fig.legend(handles=handles[: 1 + bool(infiltrated)], loc="outside lower center", ncols=2, frameon=False)
alt = "Attribution of the score drawn over the sequences, for the trained network and for random weights, "
alt += f"with a colour bar; lines surround {' and '.join(list(LINES)[: 1 + bool(infiltrated)])}."
chapter.figure("attribution", fig, alt)

# %% [markdown]
# Where the random network does as well as the trained one, the place of an attribution says nothing about
# what was learnt. <span class="planted">Of synthetic patients more can be asked: the same patient can be
# imaged again with one trait changed and all else equal, scanner and noise included, and the score must
# answer. Below, the change of the combined recommended score per standard deviation of a trait (from one
# below the mean to one above it), beside what the trait adds to the planted hazard. The score is shrunk, so
# that proportions count.</span>


# %%
from npcbook.imaging import extract_features, preprocess


def score_again(folder: str, patient: str, networks: dict, head, seen: dict, **latents: float) -> float:
    """Return the combined recommended score of a patient imaged with other latent variables."""
    parts = []
    for sequence, volume in render_again(folder, patient, **latents).items():
        clean = preprocess(replace(volume, mask=None), order=seen["order"])
        field = plane_field(clean, seen["plane_mm"])
        picture = fit_grid(clean, tuple(seen["grid"]), field_mm=field).image
        parts.append(extract_features(networks[sequence], picture[None]).region.to_numpy())
    return float(head.risk(np.hstack(parts))[0])


def answers_by_patient(folder: str, patients: list[str], files: dict, head, seen: dict) -> pd.DataFrame:
    """Return how much each patient's score answers to each trait, per standard deviation."""
    networks = {sequence: load_network(file).network for sequence, file in files.items()}
    score = partial(score_again, folder, networks=networks, head=head, seen=seen)
    pairs = [(trait, patient) for trait in ("size", "heterogeneity", "infiltration") for patient in patients]
    rows = [(t, p, (score(p, **{t: 1.0}) - score(p, **{t: -1.0})) / 2) for t, p in pairs]
    return pd.DataFrame(rows, columns=["trait", "patient_id", "change"])


# %%
made_from = cohort_folder, list(planted_in), network_files, head, seen
changes = chapter.keep("answers_by_patient.csv", answers_by_patient, *made_from)
names = ["trait", "planted, log hazard ratio per SD", "score, mean change per SD", "SD over patients"]
answers = [
    (trait, np.polyfit(truth[trait], truth["lp_imaging"], 1)[0], change.mean(), change.std())
    for trait, change in changes.groupby("trait", sort=False)["change"]
]
if answers:
    answers = pd.DataFrame(answers, columns=names)
    chapter.table(
        "answers", answers, f"How the score answers to a changed trait, {len(planted_in)} patients."
    )
    strongest = answers.loc[answers[names[2]].abs().fillna(0).idxmax()]
    text = f"""Changed by one standard deviation in otherwise equal pictures, {strongest.iloc[0]} moves the
score by {format_number(strongest.iloc[2])}, more than the other planted traits"""
    chapter.takeaway(2, f"{text} ([what the score rests on](#dl-attribution)).")

# %%
if truth is not None:
    probed = pd.DataFrame(probes).set_index("trait")["region"].map(format_number)
    said = ", ".join(f"{trait} {r}" for trait, r in probed.items())
    chapter.takeaway(
        3,
        f"""How well the stored features let a regression read each trait, correlation in the
validation cohort: {said} ([what the features know](#dl-probes)).""",
    )
near = pd.DataFrame(rows).mean(numeric_only=True)
most = "Of what the voxels add to the score"
if len(answers):
    most = f"The score answers most to {strongest.iloc[0]}; of what the voxels add to it"
chapter.takeaway(
    1,
    f"""**{most} in the patients of highest risk,
{format_number(100 * near["predicted tumour"], 0)} % falls on the predicted tumour.** The rest lies mostly in
the shells around it ([where the score looks](#dl-attribution)).""",
)

# %% [markdown]
# ## Limits and deviations
#
# - Attribution tells where in the picture a score comes from, with the masks and the other sequences held
#   fixed, and not why. The network is free to use a scanner's trace in the same place.
# - The paper names it as a limitation that nobody knows what its network looks at; it prints nothing to set
#   these tables against.
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `explained_patients = 8`: does the share that falls on the predicted tumour stay where it is?
# - `seed = 7`: another random network and head. Their columns move, those of the trained network stay.
# ```
