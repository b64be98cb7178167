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
# # Prediction of distant metastasis by the network
#
# **How well do the features that a segmentation network has learnt order patients by their risk of distant
# metastasis?**
#
# ## In short
#
# - As published, the combined score's {term}`C-index` is {glue:text}`dl_published_training` in the patients
#   it was fitted on and {glue:text}`dl_published_validation` in the {term}`validation cohort`
#   ([C-indices](dl-c-index)).
# - A head that looks at the disease and its surroundings, and that knows how long each patient was
#   followed, reaches {glue:text}`dl_recommended_validation` in validation
#   ([recommended](dl-recommended)).
# - Its training scores are {glue:text}`dl_apparent` if each patient helps to fit the head that scores
#   them, and {glue:text}`dl_out_of_fold` if not: the difference is not skill ([apparent and out of
#   fold](dl-recommended)).
# - In a synthetic cohort the planted traits themselves, put in the network's place, show what a perfect
#   reader of the pictures would reach with these patients: {glue:text}`dl_planted_traits` in validation (a
#   dash in a real cohort; [more patients, or better features](dl-ceiling)).
# - Of the planted traits, changed one at a time in otherwise equal pictures, the score answers most to
#   {glue:text}`dl_answers` per standard deviation; in a real cohort this cannot be asked
#   ([what the score rests on](dl-attribution)).
# - The best single sequence in validation is {glue:text}`dl_best_sequence`; all three together differ
#   from it by {glue:text}`dl_combined_gain` (it is the best of three on these same patients, which favours
#   it) ([C-indices](dl-c-index)).
#
# **Reads** `01_cohorts/cohort` and the features that chapter 02 stored. **Writes** `scores.csv` (as
# published; training patients scored by heads fitted on them), `scores_out_of_fold.csv` (the same heads,
# training patients scored out of fold) and `scores_recommended.csv` (out of fold, too), each with one score
# per sequence and one combined, higher = worse.
#
# ## Setup

# %%
import inspect
import json
from functools import partial

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from myst_nb import glue
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from npcbook.book.chapter import open_chapter
from npcbook.book.tables import attempt
from npcbook.cohort.reading import image_path, read_truth
from npcbook.imaging.attribution import (
    Attribution,
    integrated_gradients,
    random_head,
    randomise,
    score_function,
    share_within,
)
from npcbook.imaging.features import extract_features, predict_labels
from npcbook.imaging.grids import fit_grid, plane_field, stack_on_grid
from npcbook.imaging.heads import fit_scaling, fit_softmax_head
from npcbook.imaging.model import model_card, store_model, write_model_card
from npcbook.imaging.preprocessing import preprocess, preprocessed_path
from npcbook.imaging.training import load_network
from npcbook.imaging.volumes import Volume
from npcbook.paper.printed import lookup
from npcbook.statistics.concordance import harrell_c
from npcbook.statistics.resampling import out_of_fold_risk
from npcbook.statistics.ridge import fit_ridge_cox
from npcbook.store import code_fingerprint, files_fingerprint, fingerprint, project_path
from npcbook.synthetic.writer import rebuild_anatomy, render_again
from npcbook.words import DISPLAY_NAMES, SEQUENCES, format_estimate, format_number

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
head_epochs = 500  # paper: 500; here each is one step over the whole training cohort
head_learning_rate = 1e-3  # paper: 1e-4, with about nine steps an epoch
n_folds = 5  # folds of the recommended head, inner and outer
seed = 2023  # of the heads' first weights and of the folds
n_seeds = 3  # times that the heads are fitted again with other seeds
explained_patients = 4  # patients of highest risk whose scores are attributed to voxels

# %% [markdown]
# ## Data
#
# Chapter 02 stored, for every patient and sequence, what the network makes of the picture: the globally
# pooled bottleneck; and features of full resolution, averaged over the predicted tumour, over shells around
# it and over the predicted nodes. The networks had learnt from training contours alone; no outcome has been
# seen yet.

# %%
chapter = open_chapter("03_dl_training", run_folder=run_folder, cohort_folder=cohort_folder)
cohort = chapter.read("01_cohorts/cohort").set_index("patient_id")
stored = {s: chapter.read(f"02_segmentation/features_{s}").set_index("patient_id") for s in SEQUENCES}
patients = cohort.loc[cohort.index.isin(stored["t1w"].index)]
stored = {s: table.reindex(patients.index) for s, table in stored.items()}
time, event = patients["dmfs_months"].to_numpy(), patients["dm_event"].to_numpy()
cohorts = {name: (patients["cohort"] == name).to_numpy() for name in ("training", "validation")}
training = cohorts["training"]
models = {**{s: (s,) for s in SEQUENCES}, "combined": tuple(SEQUENCES)}
shown = DISPLAY_NAMES | {"combined": "Combined"}
counts = patients.groupby("cohort")["dm_event"].agg(patients="size", metastases="sum").reset_index()
counts["without images"] = [
    int((cohort["cohort"] == name).sum() - n) for name, n in counts.iloc[:, :2].to_numpy()
]
chapter.table("patients", counts, "Patients and distant metastases.")

# %% [markdown]
# ## Method
#
# (dl-published)=
# ### As published
#
# The bottleneck is averaged over the volume; a fully connected layer with ReLU and a softmax layer
# follow, trained by {term}`cross-entropy` on whether metastasis was seen,
#
# $$L_{CE} = -\frac{1}{N} \sum_{i=1}^{N} \left[ T_i \ln P_i + (1 - T_i) \ln (1 - P_i) \right] .$$
#
# For the combined score, the pooled vectors of the three sequences are put side by side. Metastases are
# rare: a small batch would often hold none, so that each step here sees the whole training cohort. The
# network below the head stays as the segmentation left it. Note what the loss does not know: a patient
# lost to follow-up after a year counts as free of metastasis for good.
#
# ```{literalinclude} ../npcbook/imaging/network.py
# :pyobject: PrognosisHead
# ```
#
# (dl-recommended-method)=
# ### As recommended
#
# The same frozen networks, with two changes. The head sees where the tumour is and what lies around it, each
# channel relative to the whole picture, instead of an average over the head and neck; and it is a Cox model
# on the principal components of these features, penalised by the squared length of its coefficients:
#
# $$L = -\frac{1}{D} \sum_{i: \delta_i = 1} \Big[ r_i - \ln \sum_{j: t_j \ge t_i} e^{r_j} \Big]
#   + \frac{\lambda}{2} \lVert \beta \rVert^2 , \qquad r = z^\top \beta ,$$
#
# with $D$ metastases. The penalty $\lambda$ is chosen by cross-validation within the training cohort.
# Training patients are scored out of fold: by a head, penalty included, that was fitted without them.
#
# ```{literalinclude} ../npcbook/statistics/ridge.py
# :pyobject: fit_ridge_cox
# ```


# %%
def features(kind: str, sequences: tuple[str, ...]) -> np.ndarray:
    """Return the stored features of some sequences side by side: "bottleneck", or the "region" features."""
    tables = [stored[sequence] for sequence in sequences]
    is_bottleneck = [table.columns.str.startswith("bottleneck") for table in tables]
    kept = [mask if kind == "bottleneck" else ~mask for mask in is_bottleneck]
    return np.hstack([table.loc[:, keep].to_numpy(float) for table, keep in zip(tables, kept, strict=True)])


fit_softmax = partial(fit_softmax_head, epochs=head_epochs, learning_rate=head_learning_rate, seed=seed)
published, published_out_of_fold, published_heads = {}, {}, {}
for name, sequences in models.items():
    inputs = features("bottleneck", sequences)
    published_heads[name] = fit_softmax(inputs[training], event[training])
    published[name] = published_heads[name].risk(inputs)
    published_out_of_fold[name] = published[name].copy()
    published_out_of_fold[name][training] = out_of_fold_risk(
        fit_softmax, inputs[training], event[training], n_folds=n_folds, rng=np.random.default_rng(seed)
    )

# %%
recommended, apparent, heads = {}, {}, {}
for name, sequences in models.items():
    inputs, follow_up = features("region", sequences), (time[training], event[training])
    rng = np.random.default_rng(seed)
    fit_ridge = partial(fit_ridge_cox, fit_scaling=fit_scaling, n_folds=n_folds, rng=rng)
    heads[name] = fit_ridge(inputs[training], *follow_up)
    apparent[name] = heads[name].risk(inputs)
    recommended[name] = apparent[name].copy()
    recommended[name][training] = out_of_fold_risk(
        fit_ridge, inputs[training], *follow_up, n_folds=n_folds, rng=rng
    )
for file, scores in (
    ("scores", published),
    ("scores_out_of_fold", published_out_of_fold),
    ("scores_recommended", recommended),
):
    table = pd.DataFrame({f"dl_{name}": values for name, values in scores.items()}, index=patients.index)
    chapter.write(file, table.reset_index())

# %% [markdown]
# How the heads were fitted. Left: cross-entropy in training. It falls as long as it is trained, and says
# nothing about new patients. Right: the Cox head's loss in patients left out, by penalty; it has a lowest
# point, or is lowest where the penalty leaves nothing of the features.

# %%
fig, axes = plt.subplots(1, 2, figsize=(8.5, 3.3), layout="constrained")
for name, style in zip(models, ("-", "--", ":", "-."), strict=True):
    axes[0].plot(np.arange(1, head_epochs + 1), published_heads[name].losses, style, label=shown[name])
    axes[1].plot(
        heads[name].penalties, heads[name].cv_loss, style, marker="o", markersize=3, label=shown[name]
    )
axes[0].set(xlabel="epoch", ylabel="cross-entropy, training")
axes[1].set(xlabel="penalty λ", ylabel="partial likelihood loss\nper event, left-out patients", xscale="log")
axes[0].legend()
alt = "Left, the loss of the softmax head by epoch; right, the loss of the Cox head by penalty."
chapter.figure("heads", fig, alt)

# %% [markdown]
# (dl-c-index)=
# ## Result
#
# Harrell's C-index with its 95 % confidence interval. "Planted" is the C-index of the planted hazard
# itself: no score is expected to exceed it in patients that it was not fitted on, but by chance; in training,
# {term}`overfitting` does.

# %%
truth = read_truth(project_path(cohort_folder))
oracle = None if truth is None else truth["linear_predictor"].reindex(patients.index).to_numpy()
notes, c_index = {}, {}
tracks = {"as published": published, "recommended": recommended}
others = {"apparent": apparent, "published, out of fold": published_out_of_fold}
for name in models:
    for where, members in cohorts.items():
        for track, scores in (tracks | others).items():
            found = attempt(
                notes,
                f"{shown[name]}, {where}",
                harrell_c,
                time[members],
                event[members],
                scores[name][members],
            )
            c_index[name, where, track] = found
            if found is not None and track in tracks:
                limits = {"low": found.low, "high": found.high}
                chapter.record(f"text.{where}.c_index.dl_{name}", found.c, track=track, **limits)


def as_text(found) -> str:
    """Return a C-index with its interval, or a dash where there is none."""
    return "–" if found is None else format_estimate(found.c, found.low, found.high, 2)


# %%
rows = []
for name in models:
    row = {"Score": shown[name]}
    for where in cohorts:
        for track in ("as published", "recommended"):
            row[f"{where.capitalize()}, {track}"] = as_text(c_index[name, where, track])
    rows.append(row)
if oracle is not None:
    planted = {
        where: attempt(notes, f"Planted, {where}", harrell_c, time[members], event[members], oracle[members])
        for where, members in cohorts.items()
    }
    both = ("as published", "recommended")
    rows.append(
        {"Score": "Planted"} | {f"{w.capitalize()}, {t}": as_text(planted[w]) for w in cohorts for t in both}
    )
    for where, found in planted.items():
        if found is not None:
            chapter.record(
                f"text.{where}.c_index.dl_combined", found.c, low=found.low, high=found.high, track="truth"
            )
chapter.table("c_index", pd.DataFrame(rows), "C-index (95 % CI) of the network's scores.")


# %% [markdown]
# (dl-recommended)=
# ### Apparent and out of fold
#
# The same recommended head, judged on training patients that helped to fit it, on training patients that
# did not, and on the validation cohort. Later chapters combine the score with clinical variables; fitted
# on apparent scores, they would trust it too much. The published head is treated in the same way, for
# comparison: the paper describes apparent scores, and those are what the published track hands on.


# %%
def value(name: str, where: str, track: str) -> float:
    """Return a C-index as a number, NaN where there is none."""
    found = c_index[name, where, track]
    return np.nan if found is None else found.c


comparison = pd.DataFrame(
    {
        "Score": [shown[name] for name in models],
        "published, apparent": [value(name, "training", "as published") for name in models],
        "published, out of fold": [value(name, "training", "published, out of fold") for name in models],
        "recommended, apparent": [value(name, "training", "apparent") for name in models],
        "recommended, out of fold": [value(name, "training", "recommended") for name in models],
        "published, validation": [value(name, "validation", "as published") for name in models],
        "recommended, validation": [value(name, "validation", "recommended") for name in models],
        "penalty": [heads[name].penalty for name in models],
    }
)
single = {name: value(name, "validation", "recommended") for name in SEQUENCES}
best = max(single, key=lambda name: np.nan_to_num(single[name]))
glued = {
    "published_training": value("combined", "training", "as published"),
    "published_validation": value("combined", "validation", "as published"),
    "recommended_validation": value("combined", "validation", "recommended"),
    "apparent": value("combined", "training", "apparent"),
    "out_of_fold": value("combined", "training", "recommended"),
    "combined_gain": value("combined", "validation", "recommended") - single[best],
}
for name, number in glued.items():
    glue(f"dl_{name}", format_number(number, 2), display=False)
glue("dl_best_sequence", f"{shown[best]} ({format_number(single[best], 2)})", display=False)
chapter.table("optimism", comparison, "C-index on patients that a head has and has not seen.")

# %% [markdown]
# (dl-seeds)=
# ### Other seeds
#
# The published head starts from random weights, and the recommended one deals patients into random folds to
# choose its penalty. Fitted again with other seeds, on the same features of the same patients
# (`benchmarks/studies/network_seeds.py` trains the networks again as well):

# %%
again = []
for name, sequences in models.items():
    pooled, regional = features("bottleneck", sequences), features("region", sequences)
    for number in range(seed + 1, seed + 1 + n_seeds):
        softmax = fit_softmax(pooled[training], event[training], seed=number)
        rng = np.random.default_rng(number)
        cox = fit_ridge_cox(
            regional[training],
            time[training],
            event[training],
            fit_scaling=fit_scaling,
            n_folds=n_folds,
            rng=rng,
        )
        for track, risk in (("as published", softmax.risk(pooled)), ("recommended", cox.risk(regional))):
            found = attempt(
                notes,
                f"{shown[name]}, seed {number}",
                harrell_c,
                time[~training],
                event[~training],
                risk[~training],
            )
            again.append((shown[name], track, np.nan if found is None else found.c))
again = pd.DataFrame(again, columns=["Score", "track", "c"]).groupby(["Score", "track"], sort=False)["c"]
spread = again.agg(lambda c: f"{format_number(c.mean(), 3)} ± {format_number(c.std(), 3)}").unstack()
spread = spread.reindex(shown.values()).reset_index()
chapter.table(
    "seeds", spread, f"C-index in the validation cohort, mean ± standard deviation over {n_seeds} seeds."
)

# %% [markdown]
# The scores by outcome, combined model, as published above and as recommended below. The printed cut-off
# of the combined score is {glue:text}`dl_printed_cutoff`. Cross-entropy on an outcome as rare as metastasis
# drives most probabilities far below one half, unless events are weighted or the scores are scaled; the
# paper describes neither.

# %%
fig, axes = plt.subplots(2, 2, figsize=(8, 5), layout="constrained", sharex="row")
for row, (track, scores) in zip(axes, tracks.items(), strict=True):
    edges = np.histogram_bin_edges(scores["combined"], bins=30)
    for ax, (where, members) in zip(row, cohorts.items(), strict=True):
        for status, style in ((0, "-"), (1, "--")):
            values = scores["combined"][members & (event == status)]
            name = "metastasis" if status else "none seen"
            ax.hist(values, bins=edges, density=True, histtype="step", linestyle=style, label=name)
        ax.set(title=f"{where.capitalize()}, {track}", xlabel="score (higher = worse)", ylabel="density")
axes[0, 0].legend()
glue("dl_printed_cutoff", lookup("text.cutoff.dl_combined")["printed"], display=False)
alt = "Histograms of the scores of patients with and without metastasis, by cohort and track."
chapter.figure("scores", fig, alt)

# %% [markdown]
# ### What the stored features know
#
# For synthetic patients the planted traits can be asked for: a ridge regression from the features of all
# three sequences, its penalty chosen within training, predicts each trait in the validation cohort. A low
# correlation for the pooled bottleneck and a higher one for the disease and its surroundings say where
# the information was lost. For a real cohort there is nothing planted, and the table says so.

# %%
probes = []
for trait in () if truth is None else ("size", "heterogeneity", "infiltration"):
    target, row = truth[trait].reindex(patients.index).to_numpy(), {"trait": trait}
    for kind in ("bottleneck", "region"):
        inputs = features(kind, models["combined"])
        inputs = fit_scaling(inputs[training]).apply(inputs)
        probe = RidgeCV(np.logspace(0, 5, 11)).fit(inputs[training], target[training])
        row[kind] = np.corrcoef(probe.predict(inputs[~training]), target[~training])[0, 1]
    probes.append(row)
probes = probes or [{"trait": "nothing is planted in a real cohort", "bottleneck": np.nan, "region": np.nan}]
chapter.table(
    "probes", pd.DataFrame(probes), "Correlation of predicted and planted traits, validation cohort."
)

# %% [markdown]
# (dl-attribution)=
# ### What the score rests on
#
# The paper names it as a limitation that nobody knows what its network looks at. For validation patients of
# highest risk, integrated gradients share the recommended score out to the voxels of the three pictures: what
# each voxel adds to it in comparison with the same place on the other side of the patient's head. The
# head averages over the predicted tumour and shells around it, and so has to look there; a network of random
# weights, with a random head, shows how much of the pattern comes from that alone. Where infiltration was
# planted, the part of the attribution that falls on it can be told (voxels in which at least a tenth of the
# tissue is infiltrated). Attributions should add up to the difference between the scores of the picture and
# of its mirror image; the last columns say how far they do.
#
# ```{literalinclude} ../npcbook/attribution.py
# :pyobject: integrated_gradients
# ```

# %%
scored = pd.Series(recommended["combined"], index=patients.index)[~training]
explained = scored.nlargest(explained_patients).index
planted_in = {} if truth is None else rebuild_anatomy(cohort_folder, explained)
seen = json.loads(chapter.input_path("02_segmentation/input.json").read_text())
plane_mm = seen["plane_mm"]
networks, pictures, masks, infiltrated = {}, {}, {}, {}
for sequence in SEQUENCES:
    networks[sequence] = load_network(chapter.input_path(f"02_segmentation/networks/{sequence}")).network
    grid, source = networks[sequence].settings.grid, chapter.input_path("02_segmentation")
    files = [(preprocessed_path(source, patient, sequence), None) for patient in explained]
    pictures[sequence] = stack_on_grid(files, grid, plane_mm=plane_mm)[0]
    masks[sequence] = predict_labels(networks[sequence], torch.from_numpy(pictures[sequence])[:, None])
for patient, anatomy in planted_in.items():
    share = Volume(anatomy.infiltration, None, anatomy.spacing)
    field_mm = plane_field(share, plane_mm)
    infiltrated[patient] = fit_grid(share, grid, field_mm=field_mm).image >= 0.1


# %%
def explain(sequence: str, *, learnt: bool) -> list[Attribution]:
    """Return what each voxel adds to the scores of the explained patients."""
    width = len(heads["combined"].coef) // len(SEQUENCES)
    start = width * list(SEQUENCES).index(sequence)
    network, head, columns = networks[sequence], heads["combined"], slice(start, start + width)
    if not learnt:
        network, columns = randomise(network.settings, seed=seed), slice(None)
        head = random_head(network, pictures[sequence], masks[sequence], seed=seed)
    scores = [score_function(network, mask, head, columns) for mask in masks[sequence]]
    return [integrated_gradients(*pair) for pair in zip(scores, pictures[sequence], strict=True)]


# %%
rows, maps = [], {}
for sequence in SEQUENCES:
    maps[sequence] = explain(sequence, learnt=True)
    maps[sequence, "random"] = explain(sequence, learnt=False)
    for patient, mask, learnt, untrained in zip(
        explained, masks[sequence], maps[sequence], maps[sequence, "random"], strict=True
    ):
        row = {"Sequence": shown[sequence], "predicted tumour": share_within(learnt.values, mask == 1)}
        if patient in infiltrated:
            region = infiltrated[patient]
            row["planted infiltration"] = share_within(learnt.values, region)
            row["the same, random network"] = share_within(untrained.values, region)
            row["infiltration's share of the volume"] = region.mean()
        row["rank correlation with random"] = spearmanr(
            np.abs(learnt.values), np.abs(untrained.values), axis=None
        ).statistic
        row["score less the mirror image's"] = learnt.score - learnt.baseline_score
        row["missing from the sum, size"] = abs(learnt.gap)
        rows.append(row)
attributed = pd.DataFrame(rows).groupby("Sequence", sort=False).mean()
chapter.table(
    "attribution",
    attributed.map(format_number).reset_index(),
    f"Part of the attribution by where it falls, mean over {len(explained)} patients.",
)

# %% [markdown]
# The patient of highest risk, in the slice with the largest predicted tumour. Red raises the score, blue
# lowers it. Two lines help to read the picture: the dashed yellow one surrounds the predicted tumour, the
# dotted green one planted infiltration, where it is known. Colours are scaled within each picture, because
# a head of random weights has a scale of its own: the ends of the bar stand for the size of contribution
# that all but one voxel in a thousand stay below.


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
    ax.set(xticks=[], yticks=[], title=f"{shown[sequence]}, {title}")
    return overlay


# %%
LINES = {"predicted tumour": ("#ffd92f", "dashed"), "planted infiltration": ("#66c2a5", "dotted")}
fig, axes = plt.subplots(2, 3, figsize=(9, 6.6), layout="constrained")
for column, sequence in zip(axes.T, SEQUENCES, strict=True):
    overlay = draw_attribution(column[0], sequence, sequence, "trained")
    draw_attribution(column[1], sequence, (sequence, "random"), "random weights")
scale = plt.cm.ScalarMappable(overlay.norm, overlay.cmap)
bar = fig.colorbar(scale, ax=axes, shrink=0.7, ticks=[-1, 0, 1], label="contribution to the score")
bar.ax.set_yticklabels(["lowers it most", "none", "raises it most"], fontsize=8)
handles = [plt.Line2D([], [], color=c, linestyle=style, label=what) for what, (c, style) in LINES.items()]
fig.legend(handles=handles[: 1 + bool(infiltrated)], loc="outside lower center", ncols=2, frameon=False)
alt = (
    "Attribution of the score drawn over the three sequences, for the trained network and for random "
    "weights, with a colour bar; lines surround the predicted tumour and planted infiltration."
)
chapter.figure("attribution", fig, alt)

# %% [markdown]
# Where the random network does as well as the trained one, the place of an attribution says nothing about
# what was learnt. Of synthetic patients more can be asked: the same patient can be imaged again with one
# trait changed and all else equal, scanner and noise included, and the score must answer. Below, the change
# of the combined recommended score per standard deviation of a trait (from one below the mean to one above
# it), beside what the trait adds to the planted hazard. The score is shrunk, so that proportions count.


# %%
def score_again(patient: str, **latents: float) -> float:
    """Return the combined recommended score of a patient imaged with other latent variables."""
    parts = []
    for sequence, volume in render_again(cohort_folder, patient, **latents).items():
        clean = preprocess(Volume(volume.image, None, volume.spacing), order=seen["order"])
        picture = fit_grid(clean, grid, field_mm=plane_field(clean, plane_mm)).image
        parts.append(extract_features(networks[sequence], picture[None]).region.to_numpy())
    return float(heads["combined"].risk(np.hstack(parts))[0])


def answers_by_patient() -> pd.DataFrame:
    """Return how much each explained patient's score answers to each trait, per standard deviation."""
    rows = [
        (trait, patient, (score_again(patient, **{trait: 1.0}) - score_again(patient, **{trait: -1.0})) / 2)
        for trait in ("size", "heterogeneity", "infiltration")
        for patient in planted_in
    ]
    return pd.DataFrame(rows, columns=["trait", "patient_id", "change"])


# %%
weights = [chapter.input_path(f"02_segmentation/networks/{s}/network.safetensors") for s in SEQUENCES]
made_from = [
    code_fingerprint("npcbook.synthetic.writer", "npcbook.imaging.grids", "npcbook.imaging.features"),
    [inspect.getsource(function) for function in (score_again, answers_by_patient)],
    files_fingerprint(weights, relative_to=chapter.run_folder),
    [joblib.hash(heads["combined"]), list(planted_in), seen],
]
changes = chapter.cached("answers_by_patient", fingerprint(made_from), answers_by_patient)
answers = []
for trait, change in changes.groupby("trait", sort=False)["change"]:
    slope = np.polyfit(truth[trait], truth["lp_imaging"], 1)[0]
    answers.append((trait, slope, change.mean(), change.std()))
names = ["trait", "planted, log hazard ratio per SD", "score, mean change per SD", "SD over patients"]
answers = answers or [("nothing is planted in a real cohort", np.nan, np.nan, np.nan)]
answers = pd.DataFrame(answers, columns=names)
strongest = answers.loc[answers[names[2]].abs().fillna(0).idxmax()]
glue("dl_answers", f"{strongest.iloc[0]} ({format_number(strongest.iloc[2])})", display=False)
chapter.table("answers", answers, f"How the score answers to a changed trait, {len(planted_in)} patients.")

# %% [markdown]
# (dl-ceiling)=
# ### What would help: more patients, or better features
#
# The recommended combined head, fitted on random parts of the training cohort and judged on the validation
# cohort. Beside it, where something is planted, the same with the three planted traits themselves for
# features: what a perfect reader of these pictures could get from so many patients. If the curves still
# rise, more patients would help; what lies between them is what the features miss. Each point is the mean
# of several fits, the band reaches from the least to the greatest. At the right end all fits have the same
# patients, and only the folds that choose the penalty are dealt anew; the thin line is the value in the
# table of C-indices, which has the same patients and features, too, and its own folds. The distance between
# the two is therefore the chance of one division into folds, and no gain or loss.

# %%
regional, traits = features("region", models["combined"]), None
if truth is not None:
    traits = truth[["size", "heterogeneity", "infiltration"]].reindex(patients.index).to_numpy()
curve = []
for share in (0.25, 0.5, 0.75, 1.0):
    for number in range(n_seeds):
        rng, members = np.random.default_rng([seed, number]), np.flatnonzero(training)
        parts = [rng.permutation(members[event[members] == status]) for status in (0, 1)]
        drawn = np.concatenate([part[: round(share * len(part))] for part in parts])
        for label, inputs in (("network's features", regional), ("planted traits", traits)):
            if inputs is not None:
                head = fit_ridge_cox(
                    inputs[drawn],
                    time[drawn],
                    event[drawn],
                    fit_scaling=fit_scaling,
                    n_folds=n_folds,
                    rng=rng,
                )
                risk = head.risk(inputs)[~training]
                c = attempt(
                    notes, f"{label}, {share:.0%}", harrell_c, time[~training], event[~training], risk
                )
                curve.append((label, share, len(drawn), np.nan if c is None else c.c))
curve = pd.DataFrame(curve, columns=["features", "share", "patients", "c"])

# %%
fig, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
for (label, part), style in zip(curve.groupby("features", sort=False), ("o-", "s--"), strict=False):
    means = part.groupby("patients")["c"].agg(["mean", "min", "max"])
    ax.plot(means.index, means["mean"], style, label=label)
    ax.fill_between(means.index, means["min"], means["max"], alpha=0.2)
ax.set(xlabel="training patients", ylabel="C-index, validation")
ax.axhline(0.5, color="0.6", linewidth=0.8)
headline = value("combined", "validation", "recommended")
ax.axhline(headline, color="C0", linewidth=0.8, linestyle=":", label="network's features, as in the table")
ax.legend(fontsize=8)
full = curve[curve["share"] == 1].groupby("features")["c"].mean()
glue("dl_planted_traits", format_number(full.get("planted traits", np.nan), 2), display=False)
alt = (
    "Validation C-index of the recommended head by the number of patients that it was fitted on, with the "
    "value of the table of C-indices as a thin line."
)
chapter.figure("learning_curve", fig, alt)

# %% [markdown]
# (dl-model)=
# ### The model, for use
#
# The heads are stored with what must be known to use them: how images were prepared, and which way round and
# how large they were. `python -m npcbook predict` then draws and scores a new patient. What a user has to
# know of the model stands in this card, which is also written as `model_card.md`.


# %%
def names(kind: str) -> dict[str, list[str]]:
    """Return the names of each score's features, in the order of `features`."""
    each = {s: table.columns[table.columns.str.startswith("bottleneck") == (kind == "bottleneck")]
            for s, table in stored.items()}  # fmt: skip
    return {name: [f"{s}/{column}" for s in wanted for column in each[s]] for name, wanted in models.items()}


# %%
scanned = {s: [image_path(project_path(cohort_folder), p, s) for p in patients.index] for s in SEQUENCES}
about = store_model(
    chapter,
    heads={"as published": published_heads, "recommended": heads},
    columns={"as published": names("bottleneck"), "recommended": names("region")},
    patients=patients,
    training_images={s: np.array(paths)[training] for s, paths in scanned.items()},
)
c_table = chapter.read("03_dl_training/tables/c_index")
card = model_card(about, chapter.read("02_segmentation/dice"), c_table)
write_model_card(chapter.folder / "model_card.md", card, chapter.label)
words = {"True": "yes", "False": "no", "None": "–"}
items = {"micro batch": "patients at a time, at most", "mirror": "left and right exchanged"}
items |= {"rotation degrees": "rotation, largest (degrees)", "blur voxels": "blurring, largest (voxels)"}
items |= {"monitor fraction": "part kept out to watch training"}
card = card.assign(item=card["item"].replace(items), content=card["content"].replace(words))
chapter.table("model_card", card.rename(columns=str.capitalize), "Model card of this run.")

# %% [markdown]
# ## Against the paper

# %%
chapter.against_paper(
    "C-indices of the network's scores: printed, as published, as recommended, and planted."
)

# %% [markdown]
# ## Limits and deviations
#
# - The paper trains the network on for the prediction; here it is frozen after the segmentation, and only
#   the heads learn from outcomes. With a few dozen metastases there is little for millions of weights to
#   learn.
# - The paper's score is a probability of "metastasis seen"; a score for ordering patients needs no more, a
#   probability at a given time would.
# - Training masks were drawn by a network that had seen these patients' contours. The out-of-fold scores
#   are free of the training outcomes, not of the training contours.
# - The recommended features were chosen among some thirty sets and numbers of components, by their reasons
#   and their out-of-fold value in a synthetic training cohort; the validation values could be seen meanwhile,
#   and the sets lay within noise of one another. For the default cohort the recommended validation column is
#   therefore not a wholly blind test; a cohort drawn with another seed is.
# - Attribution tells where in the picture a score comes from, with the masks held fixed, and not why. The
#   network is free to use a scanner's trace in the same place.
#
# ```{admonition} Try this
# :class: tip
#
# - `head_epochs`, a tenth of the default: the published head's C-index in training falls. Does the one in
#   validation rise?
# - `seed`: another number moves the published head and the folds. Compare what moves with the width of the
#   confidence intervals.
# ```
#
# ## Hand-over
#
# Chapters 05 to 08 read the scores: as published from `scores.csv`, as recommended from
# `scores_recommended.csv`.
