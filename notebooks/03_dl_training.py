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
# **How well does a network that has learnt to draw tumours, trained on or read closely, order patients by
# their risk of distant metastasis?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** `01_cohorts/cohort`, and the networks, images and features that chapter 02 stored. **Writes**
# `scores.csv` (as published; training patients scored by networks trained on them), `scores_out_of_fold.csv`
# (the same, training patients scored out of fold) and `scores_recommended.csv` (out of fold, too), each with
# one score per sequence and one combined, higher = worse.
#
# ## Setup

# %%
import json
from collections.abc import Callable
from functools import partial
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from lifelines.utils import concordance_index
from scipy.special import expit, logit
from sksurv.metrics import concordance_index_censored

from npcbook.book import KEPT, open_chapter, show_source
from npcbook.cohort import image_path, read_parts, read_truth
from npcbook.paper import lookup
from npcbook.statistics import cox_loss, fit_ridge_cox, harrell_c, out_of_fold_risk, stratified_folds
from npcbook.store import atomic_path, project_path
from npcbook.words import COHORTS, DISPLAY_NAMES, SEQUENCES, TRACKS, format_number, or_dash

# %% tags=["parameters"] needs="dmfs metastases images contours"
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
train_on = True  # paper: the network is trained on; False, as in the deposited script: it stays frozen
outcome_training = {  # fields of PrognosisSettings but device, seed; for a network that is trained on
    "frozen_levels": 2,  # 0 to 9; outermost levels that stay as they are; paper: does not say
    "epochs": 24,  # 1 or more; at most: the number is chosen out of fold; paper: 500
    "learning_rate": 1e-3,  # 1e-8 to 1; paper: 1e-4
    "batch_size": 32,  # 1 or more; paper: 64
}
head = {  # of the head on a frozen network
    "epochs": 500,  # 1 or more; paper: 500
    "learning_rate": 1e-3,  # 1e-8 to 1; paper: 1e-4
}
n_folds = 5  # 2 to 20; folds of the recommended head, inner and outer; a network is trained on in three
seed = 2023  # 0 or more; of the heads' first weights and of the folds

# %%
chapter = open_chapter("03_dl_training", run_folder=run_folder, cohort_folder=cohort_folder)

# %% [markdown]
# ## Data
#
# Chapter 02 stored a network for each sequence and, for every patient, what it makes of the picture: the
# globally pooled bottleneck; and features of full resolution, averaged over the predicted tumour, over shells
# around it and over the predicted nodes. The networks had learnt from training contours alone; no outcome has
# been seen yet.

# %%
cohort = chapter.read("01_cohorts/cohort").set_index("patient_id")
sequences = read_parts(cohort_folder).sequences
SEQUENCES = {name: suffix for name, suffix in SEQUENCES.items() if name in sequences}
stored = {s: chapter.read(f"02_segmentation/features_{s}").set_index("patient_id") for s in SEQUENCES}
patients = cohort.loc[cohort.index.isin(stored[sequences[0]].index)]
stored = {s: table.reindex(patients.index) for s, table in stored.items()}
time, event = patients["dmfs_months"].to_numpy(), patients["dm_event"].to_numpy()
cohorts = {name: (patients["cohort"] == name).to_numpy() for name in COHORTS}
training, held = cohorts.values()
# Without validation patients, what is judged is the score of training patients, out of fold.
JUDGED = "validation" if held.any() else "training"
models = {**{s: (s,) for s in SEQUENCES}, "combined": tuple(SEQUENCES)}
shown = DISPLAY_NAMES | {"combined": "Combined"}
counts = patients.groupby("cohort")["dm_event"].agg(patients="size", metastases="sum").reset_index()
given = cohort["cohort"].value_counts().reindex(counts["cohort"]).to_numpy()
counts["without images"] = given - counts["patients"]
chapter.table("patients", counts, "Patients and distant metastases.")

# %% [markdown]
# ## Method
#
# (dl-published)=
# ### As published
#
# "The DL model was first trained for automatic segmentation and then trained for the prediction of DM after
# the segmentation achieved stable performance": the encoder goes on learning. Its bottleneck is averaged
# over the volume; a fully connected layer with ReLU and a softmax layer follow, trained by
# {term}`cross-entropy` on whether metastasis was seen,
#
# $$L_{CE} = -\frac{1}{N} \sum_{i=1}^{N} \left[ T_i \ln P_i + (1 - T_i) \ln (1 - P_i) \right] .$$
#
# For the combined score, the pooled vectors of the three sequences are merged: one head reads them side by
# side, its weights those of the three, so that its log odds are the mean of theirs. Print does not say when
# to stop, or whether all of the network learns. Here the number of epochs is the one with the lowest loss
# in training patients left out, and the outermost levels keep what the segmentation taught them. Note what
# the loss does not know: a patient lost to follow-up after a year counts as free of metastasis for good.
# With `train_on = False` the network stays as the segmentation left it and only the head learns, as in the
# deposited script.

# %%
from npcbook.imaging import PrognosisHead, fit_scaling, fit_softmax_head

show_source(PrognosisHead)

# %% [markdown]
# (dl-recommended-method)=
# ### As recommended
#
# A few dozen metastases cannot weigh hundreds of features; but every patient has a stage, and hundreds of
# stages can. So the picture is read first, by the frozen segmentation networks and without any outcome: the
# probabilities of T2, N1, rENE and rENE of grade 2, by penalised logistic regression on all features; and
# what can be measured, namely the tumour's volume, how the signal varies in its core, and what the shells
# around it look like. These few readings, $z$, enter a Cox model, penalised by the squared length of its
# coefficients:
#
# $$L = -\frac{1}{D} \sum_{i: \delta_i = 1} \Big[ r_i - \ln \sum_{j: t_j \ge t_i} e^{r_j} \Big]
#   + \frac{\lambda}{2} \lVert \beta \rVert^2 , \qquad r = z^\top \beta ,$$
#
# with $D$ metastases. The penalty $\lambda$ is chosen by cross-validation within the training cohort.
# Training patients are scored out of fold: by a head, stage readings and penalty included, that was fitted
# without them.

# %%
show_source(cox_loss)
is_pooled = stored[sequences[0]].columns.str.startswith("bottleneck")
columns = {
    "bottleneck": stored[sequences[0]].columns[is_pooled],
    "region": stored[sequences[0]].columns[~is_pooled],
}


def features(kind: str, sequences: tuple[str, ...]) -> np.ndarray:
    """Return the stored features of some sequences side by side: "bottleneck", or the "region" features."""
    return np.hstack([stored[sequence][columns[kind]].to_numpy(float) for sequence in sequences])


# %%
from npcbook.imaging import network_path, preprocessed_path, stack_on_grid

source = chapter.input_path("02_segmentation")
seen = json.loads(chapter.input_path("02_segmentation/input.json").read_text("utf-8"))
grid, plane_mm = tuple(seen["grid"]), seen["plane_mm"]
network_files = {sequence: network_path(source, sequence) for sequence in SEQUENCES}


def read_pictures(sequence: str, who) -> np.ndarray:
    """Return the preprocessed pictures of some patients on the network's grid."""
    files = [(preprocessed_path(source, patient, sequence), None) for patient in who]
    return stack_on_grid(files, grid, plane_mm=plane_mm)[0]


# %%
from npcbook.imaging import PrognosisSettings, merge_heads, train_on_metastasis

fold = np.full(len(patients), -1)
fold[training] = stratified_folds(event[training], 3, rng=np.random.default_rng(seed))
trained, published, published_out_of_fold, published_heads, history = {}, {}, {}, {}, []
device = "cuda" if torch.cuda.is_available() else "cpu"
encoders = {s: chapter.folder / KEPT / f"{s}.safetensors" for s in SEQUENCES if train_on}
for name, file in encoders.items():
    settings = PrognosisSettings(device=device, seed=seed, **outcome_training)
    given = network_files[name], read_pictures(name, patients.index), event, fold
    trained[name] = found = train_on_metastasis(file, *given, settings=settings)
    published_heads[name], published[name] = found.head, found.head.risk(found.pooled)
    published_out_of_fold[name] = published[name].copy()
    published_out_of_fold[name][training] = found.risk_out_of_fold
    history.append(found.history.assign(sequence=name))
if train_on:
    published_heads["combined"] = merge_heads([found.head for found in trained.values()])
    for scores in (published, published_out_of_fold):
        scores["combined"] = expit(np.mean([logit(scores[s]) for s in SEQUENCES], axis=0))

# %% [markdown]
# With `train_on = False`, a head on the frozen network's bottleneck instead:

# %%
fit_softmax = partial(fit_softmax_head, **head, seed=seed)
for name, sequences in {} if train_on else models.items():
    inputs = features("bottleneck", sequences)
    published_heads[name] = fit_softmax(inputs[training], event[training])
    published[name] = published_heads[name].risk(inputs)
    published_out_of_fold[name] = published[name].copy()
    published_out_of_fold[name][training] = out_of_fold_risk(
        fit_softmax, inputs[training], event[training], n_folds=n_folds, rng=np.random.default_rng(seed)
    )

# %%
from npcbook.imaging import fit_staged_head

higher = {"T2": patients["t_stage"].isin(["T2", "T3", "T4"])}  # and above, where a cohort has such patients
stage = higher | {"N1": patients["n_stage"].isin(["N1", "N2", "N3"])}
stage |= {"rENE": patients["rene"] >= 1, "rENE of grade 2": patients["rene"] >= 2}
labels = pd.DataFrame(stage).to_numpy(int)
N_SEEDS = 3  # times that a head is fitted again with other seeds
MEASURED = r"^(?:log_volume_tumour|picture_shell|picture_deviation)"


def fit_recommended(sequences: tuple[str, ...], rng: np.random.Generator) -> Callable:
    """Return what fits a recommended head: from features, labels of the stage, time and event."""
    measured = np.tile(columns["region"].str.contains(MEASURED), len(sequences))
    cox = partial(fit_ridge_cox, n_folds=n_folds, rng=rng)
    return partial(fit_staged_head, measured=measured, fit=cox, seed=seed)


# %%
recommended, apparent, heads = {}, {}, {}
for name, sequences in models.items():
    inputs, known = features("region", sequences), (labels[training], time[training], event[training])
    rng = np.random.default_rng(seed)
    fit = fit_recommended(sequences, rng)
    heads[name] = fit(inputs[training], *known)
    apparent[name] = heads[name].risk(inputs)
    recommended[name] = apparent[name].copy()
    recommended[name][training] = out_of_fold_risk(fit, inputs[training], *known, n_folds=n_folds, rng=rng)

# %%
files = {"scores": published, "scores_out_of_fold": published_out_of_fold, "scores_recommended": recommended}
for file, scores in files.items():
    chapter.write(file, pd.DataFrame(scores, index=patients.index).add_prefix("dl_").reset_index())
went_on = f"""the encoder was trained on with cross-entropy on metastasis, yes or no, below a softmax head (at
most {outcome_training["epochs"]} epochs, the number chosen in left-out training patients), and the pooled
vectors of the sequences were merged"""
stayed = f"a softmax head ({head['epochs']} steps) read the pooled bottleneck of the frozen network"
chapter.methods(f"""
Deep-learning score. As published, {went_on if train_on else stayed}; training patients were scored by
networks that had seen them. As recommended, the stage and measurements of the tumour and its surroundings
were read from the segmentation network's features, and a Cox model with a cross-validated ridge penalty was
fitted on these readings; training patients were scored out of fold ({n_folds} folds).
""")

# %% [markdown]
# How the scores were fitted. Left: cross-entropy in training and, thick, in training patients left out; the
# ring is where training ends. What falls in training alone says nothing about new patients. Right: the Cox
# head's loss in patients left out, by penalty; it has a lowest point, or is lowest where the penalty leaves
# nothing of the readings.

# %%
fig, axes = plt.subplots(1, 2, figsize=(8.5, 3.3), layout="constrained")
for name, style in zip(models, ("-", "--", ":", "-."), strict=False):
    path = heads[name].path
    axes[1].plot(path.penalties, path.cv_loss, style, marker="o", markersize=3, label=shown[name])
    if name not in trained:
        continue
    epochs, held_out = trained[name].history["epoch"], trained[name].history["held_out_loss"]
    axes[0].plot(epochs, trained[name].history["loss"], style, linewidth=0.8, color="0.5")
    (line,) = axes[0].plot(epochs, held_out, style, linewidth=2, label=shown[name])
    axes[0].plot(epochs[held_out.idxmin()], held_out.min(), "o", fillstyle="none", color=line.get_color())
axes[0].set(xlabel="epoch", ylabel="cross-entropy")
axes[1].set(xlabel="penalty λ", ylabel="partial likelihood loss\nper event, left-out patients", xscale="log")
axes[1].legend()
alt = "Left, the loss of the networks trained on by epoch; right, the loss of the Cox head by penalty."
chapter.figure("heads", fig, alt)

# %% [markdown]
# (dl-c-index)=
# ## Result
#
# Harrell's C-index with its 95 % confidence interval. <span class="planted">"Planted" is the C-index of the
# planted hazard itself: no score is expected to exceed it in patients that it was not fitted on, but by
# chance; in training, {term}`overfitting` does.</span>

# %%
cohort_path = project_path(cohort_folder)
truth = read_truth(cohort_path)
tracks = dict(zip(TRACKS, (published, recommended), strict=True))
others = {"apparent": apparent, "published, out of fold": published_out_of_fold}
scored = [(name, track, risks[name]) for name in models for track, risks in (tracks | others).items()]
if truth is not None:
    scored.append(("planted", "truth", truth["linear_predictor"].reindex(patients.index).to_numpy()))
c_index = {}
for name, track, risk in scored:
    for where, members in cohorts.items():
        with chapter.noting(f"C-index, {shown.get(name, name)}, {where}, {track}"):
            c_index[name, where, track] = harrell_c(time[members], event[members], risk[members])

# %%
rows = {
    shown[name]: {f"{where.capitalize()}, {track}": or_dash(c_index.get((name, where, track)))
                  for where in cohorts for track in TRACKS}
    for name in models
}  # fmt: skip
if truth is not None:
    planted = {w: or_dash(c_index.get(("planted", w, "truth"))) for w in cohorts}
    rows["Planted"] = {f"{w.capitalize()}, {t}": planted[w] for w in cohorts for t in TRACKS}
c_table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("Score").reset_index()
chapter.table("c_index", c_table, "C-index (95 % CI) of the network's scores.")
for (name, where, track), found in c_index.items():
    if track in (*TRACKS, "truth"):
        name = "combined" if name == "planted" else name
        limits = {"low": found.low, "high": found.high}
        chapter.record(f"text.{where}.c_index.dl_{name}", found.c, track=track, **limits)

# %% [markdown]
# The same index from lifelines, where a higher score means a longer life, and from scikit-survival; neither
# gives the standard error that the intervals above need:

# %%
differences = []
for (name, where, track), found in c_index.items():
    if track in TRACKS:
        members, risk = cohorts[where], tracks[track][name][cohorts[where]]
        lifelines = concordance_index(time[members], -risk, event[members])
        sksurv = concordance_index_censored(event[members] == 1, time[members], risk)[0]
        differences.append((abs(found.c - lifelines), abs(found.c - sksurv)))
largest = pd.DataFrame(differences, columns=["lifelines", "scikit-survival"]).max()
chapter.say(f"""Largest difference from this book's `harrell_c` over {len(differences)} scores: lifelines
{largest["lifelines"]:.1g}, scikit-survival {largest["scikit-survival"]:.1g}.""")

# %% [markdown]
# (dl-recommended)=
# ### Apparent and out of fold
#
# The same recommended head, judged on training patients that helped to fit it, on training patients that
# did not, and on the validation cohort. Later chapters combine the score with clinical variables; fitted
# on apparent scores, they would trust it too much. The published head is treated in the same way, for
# comparison: the paper describes apparent scores, and those are what the published track hands on.


# %%
c_values, names = {key: found.c for key, found in c_index.items()}, [shown[name] for name in models]
judged = {
    "published, apparent": ("training", "as published"),
    "published, out of fold": ("training", "published, out of fold"),
    "recommended, apparent": ("training", "apparent"),
    "recommended, out of fold": ("training", "recommended"),
    "published, validation": ("validation", "as published"),
    "recommended, validation": ("validation", "recommended"),
}
comparison = {title: [or_dash(c_index.get((name, *key))) for name in models] for title, key in judged.items()}
comparison["penalty λ of the recommended head"] = [f"{heads[name].path.penalty:.3g}" for name in models]
comparison = pd.DataFrame.from_dict(comparison, orient="index", columns=names).rename_axis("head, patients")
caption = "C-index (95 % CI) on patients that a head has and has not seen."
chapter.table("optimism", comparison.reset_index(), caption)

# %%
alone = {shown[name]: c_index.get((name, *judged["published, out of fold"])) for name in SEQUENCES}
alone = {name: found for name, found in alone.items() if found}
chance = " and ".join(name for name, found in alone.items() if found.low <= 0.5)
lowest = min(alone, key=lambda name: alone[name].c, default="none")
chance = f"Limits of {chance} hold 0.5, chance" if chance else "All limits lie above 0.5, chance"
if alone:
    which = "has the lowest C-index," if len(alone) > 1 else "has a C-index of"
    chapter.say(f"""*Single sequences.* As published and out of fold, {lowest} {which}
{alone[lowest]}. {chance}.""")

# %%
combined = {title: format_number(c_values.get(("combined", *key), np.nan)) for title, key in judged.items()}
PUBLISHED, WHERE = "published, validation", "recommended, validation"
if not held.any():
    PUBLISHED, WHERE = "published, out of fold", "recommended, out of fold"
text = f"""**The network as published orders patients that it has not learnt from with a C-index of
{combined[PUBLISHED]}, and the recommended head with {combined[WHERE]}** ([C-indices](#dl-c-index)). That head
reads the stage and what can be measured of the disease, and knows how long each patient was followed."""
chapter.takeaway(1, text)
text = f"""As published, the C-index is {combined["published, apparent"]} in the patients that the network was
fitted on, and {combined["published, out of fold"]} in the same patients out of fold"""
if len(alone) > 1:
    text += f"; of single sequences {lowest}'s is the lowest, {format_number(alone[lowest].c)}"
text += " ([apparent and out of fold](#dl-recommended))."
chapter.takeaway(2, text)
text = f"""The recommended training scores are {combined["recommended, apparent"]} if each patient helps to
fit the head that scores them, and {combined["recommended, out of fold"]} if not: the difference is not skill
([apparent and out of fold](#dl-recommended))."""
chapter.takeaway(3, text)

# %%
reached = {name: c_values.get((name, JUDGED, "recommended"), np.nan) for name in models}
best = max(SEQUENCES, key=lambda name: np.nan_to_num(reached[name]))
gain = format_number(reached["combined"] - reached[best])
text = f"""The best single sequence in {JUDGED} is {shown[best]} ({format_number(reached[best])}); all
{len(SEQUENCES)} together differ from it by {gain} (it is the best of them on these same patients, which
favours it) ([C-indices](#dl-c-index))."""
if len(SEQUENCES) > 1:
    chapter.takeaway(5, text)

# %% [markdown]
# (dl-seeds)=
# ### Other seeds
#
# The recommended head deals patients into random folds, to read the stage and to choose its penalty. Fitted
# again with other seeds, on the same features of the same patients (with a `seed` among the settings of
# `training` in chapter 02 the networks are trained again as well):

# %%
again = []
for name, sequences in models.items():
    inputs, known = features("region", sequences), (labels[training], time[training], event[training])
    for number in range(seed + 1, seed + 1 + N_SEEDS):
        fit = fit_recommended(sequences, np.random.default_rng(number))
        risk = fit(inputs[training], *known, seed=number).risk(inputs)
        c = np.nan
        with chapter.noting(f"C-index, {shown[name]}, seed {number}"):
            c = harrell_c(time[held], event[held], risk[held]).c
        again.append((shown[name], c))
again = pd.DataFrame(again, columns=["Score", "c"]).groupby("Score", sort=False)["c"].agg(["mean", "std"])
spread = again.map(partial(format_number, decimals=3)).rename(columns={"std": "SD"}).reset_index()
caption = f"Recommended: C-index in the validation cohort over {N_SEEDS} seeds."
chapter.table("seeds", spread, caption)

# %%
printed = lookup("text.cutoff.dl_combined")["printed"]
chapter.say(f"""The scores by outcome, combined model, as published above and as recommended below. The
printed cut-off of the combined score is {printed}. Cross-entropy on an outcome as rare as metastasis drives
most probabilities far below one half, unless events are weighted or the scores are scaled; the paper
describes neither.""")
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
alt = "Histograms of the scores of patients with and without metastasis, by cohort and track."
chapter.figure("scores", fig, alt)

# %% [markdown]
# (dl-ceiling)=
# ### What would help: more patients, or better features
#
# The recommended combined head, fitted on random parts of the training cohort and judged on the validation
# cohort. If the curve still rises, more patients would help. <span class="planted">Beside it stands a Cox
# model on all that a picture can show, the three planted traits and the stage as it was recorded: what a
# perfect reader of these pictures could get from so many patients. What lies between the two curves is what
# the readings miss.</span> Each point is the mean of several fits, the band reaches from the least to the
# greatest. At the right end all fits have the same patients, and only the folds are dealt anew; the thin
# line is the value in the table of C-indices, which has the same patients and features, too, and its own
# folds. The distance between the two is therefore the chance of one division into folds, and no gain or
# loss.


# %%
def fit_visible(inputs, known, *follow_up, rng) -> object:
    """Return a Cox model on the stage and the planted traits themselves."""
    return fit_ridge_cox(np.hstack([inputs, known]), *follow_up, fit_scaling=fit_scaling, rng=rng)


sources = {"network's readings": features("region", models["combined"])}
if truth is not None:
    traits = truth[["size", "heterogeneity", "infiltration"]]
    sources["all that is visible"] = traits.reindex(patients.index).to_numpy()

# %%
curve, members = [], np.flatnonzero(training)
for share, number in product((0.25, 0.5, 0.75, 1.0), range(N_SEEDS)):
    rng = np.random.default_rng([seed, number])
    parts = [rng.permutation(members[event[members] == status]) for status in (0, 1)]
    drawn = np.concatenate([part[: round(share * len(part))] for part in parts])
    for label, inputs in sources.items():
        c, known = np.nan, (labels[drawn], time[drawn], event[drawn])
        with chapter.noting(f"C-index, {label}, {share:.0%} of the training patients"):
            if label == "all that is visible":
                risk = fit_visible(inputs[drawn], *known, rng=rng).risk(np.hstack([inputs, labels]))
            else:
                risk = fit_recommended(models["combined"], rng)(inputs[drawn], *known).risk(inputs)
            c = harrell_c(time[held], event[held], risk[held]).c
        curve.append((label, share, len(drawn), c))
curve = pd.DataFrame(curve, columns=["features", "share", "patients", "c"])
chapter.not_estimable()

# %%
fig, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
for (label, part), style in zip(curve.groupby("features", sort=False), ("o-", "s--"), strict=False):
    means = part.groupby("patients")["c"].agg(["mean", "min", "max"])
    ax.plot(means.index, means["mean"], style, label=label)
    ax.fill_between(means.index, means["min"], means["max"], alpha=0.2)
ax.set(xlabel="training patients", ylabel="C-index, validation")
ax.axhline(0.5, color="0.6", linewidth=0.8)
headline = reached["combined"]
ax.axhline(headline, color="C0", linewidth=0.8, linestyle=":", label="network's readings, as in the table")
ax.legend(fontsize=8)
chapter.figure("learning_curve", fig, "Validation C-index of the recommended head by the number of patients "
               "that it was fitted on, with the value of the table of C-indices as a thin line.")  # fmt: skip
full = curve[curve["share"] == 1].groupby("features")["c"].mean()
best_c = full.get("all that is visible", np.nan)
way = format_number(100 * (headline - 0.5) / (best_c - 0.5), 0)
text = f"""All that a picture shows, the planted traits and the stage, put in the readings' place, tells what
a perfect reader would reach with these patients: {format_number(best_c)} in validation; the recommended score
goes {way} % of the way there from 0.5 ([more patients, or better features](#dl-ceiling))."""
if truth is not None:
    chapter.takeaway(4, text)

# %% [markdown]
# (dl-model)=
# ### The model, for use
#
# The heads are stored with what must be known to use them: how images were prepared, and which way round and
# how large they were. `python -m npcbook predict` then draws and scores a new patient. What a user has to
# know of the model stands in this card, which is also written as `model_card.md`.

# %%
from npcbook.imaging import NOTICE, store_model

images = {s: [image_path(cohort_path, patient, s) for patient in patients.index[training]] for s in SEQUENCES}
run, cutoffs = chapter.run_folder, {}
for track, suffix in zip(TRACKS, ("", "_recommended"), strict=True):
    tables = {name: run / "06_km" / f"{name}{suffix}.csv" for name in ("cutoffs", "groups")}
    cutoffs[track] = tables | {"scores": chapter.folder / f"scores{suffix}.csv"}
both = {}
for track, kind, fitted in zip(TRACKS, columns, (published_heads, heads), strict=True):
    for name, of in models.items():
        both[track, name] = fitted[name], [f"{s}/{column}" for s in of for column in columns[kind]]
by_center = patients.groupby(["cohort", "center"])["dm_event"].agg(patients="size", metastases="sum")

# %% [markdown]
# Whoever uses the model should be told when a patient is unlike those it learnt from. What these are like is
# kept with it: middle and spread of the network's features and of the normalised intensities.

# %%
from npcbook.imaging import intensity_levels, summarise

typical = {}
for sequence, table in stored.items():
    levels = intensity_levels(read_pictures(sequence, patients.index[training]))
    typical[sequence] = {"intensities": summarise(levels), "features": summarise(table[training])}

# %%
about = store_model(
    chapter.folder / "model", heads=both, networks=network_files, encoders=encoders, seen=seen,
    training_images=images, cutoffs=cutoffs, typical=typical, label=chapter.label,
    synthetic=chapter.is_synthetic, run=run.name,
    patients=by_center.reset_index().to_dict("records"),
)  # fmt: skip

# %%
middle = "" if plane_mm is None else f", of each the middle {plane_mm:g} mm"
order = "N4, then z-scores" if seen["order"] == "n4-normalise" else "z-scores, then N4"
fixed = f"""
Inputs: images: {", ".join(map(DISPLAY_NAMES.get, SEQUENCES))} MRI of the head and neck, as scanned, 3D NIfTI
Inputs: preprocessing: {order} of the head
Inputs: seen by the network: all slices{middle}, on {" × ".join(map(str, grid))} voxels (z, y, x)
Architecture: segmentation: one 3D U-Net a sequence, width {about["network"]["width"]!r}, GroupNorm
Architecture: head, as published: pooled bottleneck, fully connected layer, softmax
Architecture: head, recommended: readings of stage and predicted disease, penalised Cox model
Use: intended: Research on the method, and teaching.
Use: not intended: Any decision about a patient. {NOTICE}.
Limits: scores: Order patients by risk; they are not probabilities at a given time.
Limits: inputs: Other scanners, protocols and diseases than in training were not tested.
Limits: synthetic data: Learnt from simulated images and outcomes: says nothing about real patients.
"""
rows = [tuple(line.split(": ", 2)) for line in fixed.strip().splitlines()]
rows = rows if chapter.is_synthetic else rows[:-1]

# %%
rows += [("Training", name.replace("_", " "), str(x)) for name, x in seen["training"].items()]
rows.append(("Patients", "origin", chapter.label))
for (name, center), (n, events) in by_center.iterrows():
    rows.append(("Patients", f"{name}, centre {center}", f"{n} ({events} with metastasis)"))
unseen = f"cohort == '{JUDGED}' and structure == 'tumour and nodes'"
dice = chapter.read("02_segmentation/dice").query(unseen)
for (sequence, center), x in dice.groupby(["sequence", "center"], sort=False)["dice"]:
    item = f"Dice overlap, {DISPLAY_NAMES[sequence]}, {JUDGED}, centre {center}"
    rows.append(("Performance", item, f"{x.mean():.2f} ± {x.std():.2f} ({x.count()} patients)"))
for name, track in ((name, track) for name in models for track in TRACKS):
    found = or_dash(c_index.get((name, JUDGED, track)))
    rows.append(("Performance", f"C-index, {shown[name]}, {JUDGED}, {track}", found))
rows += [("Versions", name, version) for name, version in about["versions"].items()]
sections = ["Inputs", "Architecture", "Training", "Patients", "Performance", "Use", "Limits", "Versions"]
card = pd.DataFrame(rows, columns=["section", "item", "content"])
card = card.sort_values("section", key=lambda names: names.map(sections.index), kind="stable")

# %%
lines = ["# Model card", "", f"**{chapter.label}. {NOTICE}.**"]
for section, items in card.groupby("section", sort=False):
    lines += ["", f"## {section}", "", *(f"- {row.item}: {row.content}" for row in items.itertuples())]
with atomic_path(chapter.folder / "model_card.md") as temporary:
    temporary.write_text("\n".join(lines) + "\n", "utf-8")
words = {"True": "yes", "False": "no", "None": "–", "mirror": "left and right exchanged"}
words |= {"rotation degrees": "rotation, largest (degrees)", "blur voxels": "blurring, largest (voxels)"}
words |= {"micro batch": "patients at a time, at most", "monitor fraction": "part kept out to watch training"}
card = card.replace(words).rename(columns=str.capitalize)
chapter.table("model_card", card, "Model card of this run.")

# %% [markdown]
# ## Against the paper

# %%
chapter.against_paper("C-indices of the network's scores: printed, and of this run.")

# %% [markdown]
# ## Limits and deviations
#
# - The paper says neither when training for metastasis ends nor what of the network it changes. Both were
#   chosen here; with every level free, or to the last epoch, the network learns its patients by heart.
#   <span class="planted">The levels that stay, the rate and the most epochs were set on the out-of-fold loss
#   of a synthetic cohort made with another seed than any that is shown.</span>
# - The paper's score is a probability of "metastasis seen"; a score for ordering patients needs no more, a
#   probability at a given time would.
# - Training masks were drawn by a network that had seen these patients' contours. The out-of-fold scores
#   are free of the training outcomes, not of the training contours.
# - <span class="planted">What is measured, and how much less the stage is penalised, was chosen by the loss
#   in left-out training patients of a synthetic cohort made with another seed than any that is shown. While
#   settings were chosen, by values of training patients, the validation values of the default synthetic
#   cohort (seed 50) and of another (seed 101) stood on the screen; those of the cohorts of chapter 09c (seeds
#   from 201) did not ([results](09c_other_cohorts.ipynb)).</span>
# - The stage is read from the picture although it stands in the table: the score is meant to come from the
#   picture alone. Chapter 05 combines both.
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `train_on = False`: the deposited script's way. The published C-index in training rises towards 1. What
#   becomes of the one in validation?
# - `seed = 7`: another number moves the networks' heads and the folds. Compare what moves with the width of
#   the confidence intervals.
# ```
#
# ## Hand-over
#
# [Chapter 03b](03b_dl_insight.ipynb) asks what the recommended score rests on. Chapters 05 to 08 read the
# scores: as published from `scores.csv`, as recommended from `scores_recommended.csv`.
