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
# # Radiomics under stress
#
# **What do the radiomic signatures say about distant metastasis that the size of the disease does not, and
# what is left of them with other patients, other contours, other image settings and other scanners?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** `01_cohorts/cohort`, the features, signatures and scores of [chapter 04](04_radiomics.ipynb), the
# images and predicted contours of `02_segmentation`, the cohort's images and contours. **Writes** tables and
# figures for the reader: nothing here changes a score.
#
# ## Setup

# %%
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from lifelines import KaplanMeierFitter
from matplotlib.ticker import LogLocator, NullFormatter
from scipy import stats

# %%
from npcbook.book import open_chapter
from npcbook.cohort import image_path, mask_path, read_parts
from npcbook.imaging import (
    ORDERS,
    Settings,
    extract_readings,
    feature_icc,
    feature_table,
    intensity_landmarks,
    match_landmarks,
    predicted_mask_path,
    preprocess,
    preprocessed_path,
    read_volume,
    redrawn_cases,
)

# %%
from npcbook.statistics import (
    Concordance,
    bootstrap_selection,
    compare_c,
    fit_cox,
    harrell_c,
    kaplan_meier,
    partial_correlation,
    select_features,
    stratified_folds,
)
from npcbook.store import project_path
from npcbook.words import DISPLAY_NAMES, SEQUENCES, format_number, format_p, or_dash, style_of

# %% tags=["parameters"] needs="dmfs metastases images contours tested"
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
stability_patients = 40  # 2 to all patients; patients in each check of stability (recommended track)
resamples = 20  # 1 or more; bootstrap samples in which the selection is repeated (recommended track)
workers = 2  # 1 to 256; processes

# %% [markdown]
# ## Data
#
# Patients, and what chapter 04 left: its settings, features, signatures and scores. Gaps among the features
# take the training mean, as there.

# %%
chapter = open_chapter("04b_radiomics_worth", run_folder=run_folder, cohort_folder=cohort_folder)
cohort_path, stage = project_path(cohort_folder), chapter.input_path("02_segmentation/preprocessed").parent
sequences = read_parts(cohort_folder).sequences
SEQUENCES = {name: suffix for name, suffix in SEQUENCES.items() if name in sequences}
features = chapter.read("04_radiomics/features").set_index("patient_id")
patients = chapter.read("01_cohorts/cohort").set_index("patient_id").loc[features.index]
time, event = patients["dmfs_months"], patients["dm_event"]
cohorts = {name: (patients["cohort"] == name).to_numpy() for name in ("training", "validation")}
training, held = cohorts.values()
made = chapter.read("04_radiomics/settings").iloc[0]
settings = Settings(mask=made["region"], bin_width=made["bin_width"])
complete = features.fillna(features[training].mean()).fillna(0.0)
scores = chapter.read("04_radiomics/scores").set_index("patient_id")
scores.columns = scores.columns.str.removeprefix("radiomics_")
signatures = dict(list(chapter.read("04_radiomics/selection").groupby("signature")))
report = chapter.read("04_radiomics/cases")
layout = feature_table()
shown_names = DISPLAY_NAMES | {"combined": "Combined"}

# %%
one_half = Concordance(0.5, *[np.nan] * 3, 0, 0, 0, np.array([]))


def c_index(risk, cohort, what):
    """Return Harrell's C; a score that is the same for everyone orders no pair, which counts one half."""
    rows = cohorts[cohort]
    if risk.nunique() == 1:
        return one_half
    with chapter.noting(f"{what}, {cohort}"):
        return harrell_c(time[rows], event[rows], risk[rows])
    return None


# %% [markdown]
# (radiomics-volume)=
# ## Volume in disguise
#
# Many features grow with the number of voxels, so a signature may be a roundabout measure of how large
# the disease is. Beside the signatures stands a model of one number, the logarithm of the contoured
# volume (mean of the three sequences). *With volume* is the rank correlation of the two; *with outcome* the
# correlation of the score's rank with the martingale residual (event less the cumulative hazard of the whole
# cohort up to the end of follow-up; with few events it is small even for a good score), before and after
# volume is partialled out. *Adds to volume* is the likelihood-ratio p-value of the score in a
# {term}`Cox model` that already holds volume. All but the training C come from the validation cohort.

# %%
volumes = complete[[f"{sequence}_original_shape_VoxelVolume" for sequence in SEQUENCES]].mean(axis=1)
log_volume = np.log(volumes.clip(lower=settings.spacing_mm**3)).rename("log_volume")
curve = KaplanMeierFitter().fit(time[held], event[held])
survival = curve.survival_function_at_times(time[held]).to_numpy()
# If the last patient to be seen had an event, the curve ends at zero.
residual = event[held] + np.log(survival.clip(1e-6))
ours = kaplan_meier(time[held], event[held])
difference = np.abs(survival - np.interp(time[held], ours.time, ours.survival)).max()
chapter.say(f"""
*lifelines and the book's kernel.* The curve behind the residuals is lifelines'. The book's own Kaplan–Meier,
which carries the limits and tests that R gives, differs from it by at most {difference:.1g}.
""")


# %%
def adds_to_volume(risk):
    """Return the likelihood-ratio p-value of a score beside volume, in the validation cohort."""
    both = pd.DataFrame({"log_volume": log_volume, "score": risk / risk.std()})[held]
    alone = fit_cox(time[held], event[held], both[["log_volume"]])
    statistic = 2 * (fit_cox(time[held], event[held], both).loglik - alone.loglik)
    return float(stats.chi2.sf(statistic, 1))


def beside_volume(risk, model):
    """Return how a score relates to volume and outcome in the validation cohort."""
    ranks, size = risk[held].rank(), log_volume[held].rank()
    row = {
        "with volume": format_number(ranks.corr(size)),
        "with outcome": format_number(ranks.corr(residual)),
    }
    row["with outcome, volume fixed"] = format_number(partial_correlation(ranks, residual, size))
    with chapter.noting(f"{model} against volume"):
        compared = compare_c(time[held], event[held], risk[held], log_volume[held])
        row["p against volume"] = format_p(compared.p_value)
    with chapter.noting(f"{model} beside volume"):
        row["adds to volume, p"] = format_p(adds_to_volume(risk))
    return row


# %%
rows = []
for name, risk in {"volume": log_volume, **scores}.items():
    row = {"model": "Volume alone" if name == "volume" else f"Radiomics ({shown_names[name]})"}
    row |= {f"C, {cohort}": or_dash(c_index(risk, cohort, row["model"])) for cohort in cohorts}
    if name != "volume" and risk[held].nunique() > 1:
        row |= beside_volume(risk, row["model"])
    rows.append(row)
chapter.table(
    "volume",
    pd.DataFrame(rows).fillna("–"),
    "Signatures beside the volume of the contours, validation cohort.",
)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
seen = {0: ("0.6", "o", 8, "no metastasis seen"), 1: (style_of("high")[0], "^", 24, "metastasis")}
for happened, (colour, marker, size, text) in seen.items():
    shown = held & (event == happened)
    cm3 = np.exp(log_volume[shown]) / 1000
    ax.scatter(cm3, scores["combined"][shown], s=size, c=colour, marker=marker, label=text)
ax.set(xscale="log", xlabel="contoured volume, cm³", ylabel="combined signature")
ticks = {"major_locator": LogLocator(subs=(1, 2, 5)), "major_formatter": "{x:g}"}
ax.xaxis.set(**ticks, minor_formatter=NullFormatter())
ax.legend(frameon=False, fontsize=8)
sns.despine(fig)
alt = "Combined signature against contoured volume in the validation cohort, patients with metastasis marked."
chapter.figure("volume", fig, alt)

# %%
alone, combined, missing = rows[0], rows[-1], "not defined"
chapter.say(f"""
**Conclusion.** In validation the combined signature's correlation with the outcome is
{combined.get("with outcome", missing)}, and {combined.get("with outcome, volume fixed", missing)} once
volume is held fixed.
""")
chapter.takeaway(
    2,
    f"The combined signature's rank correlation with volume is {combined.get('with volume', missing)}; what "
    f"it adds: p {combined.get('adds to volume, p', missing)} ([volume](#radiomics-volume)).",
)

# %% [markdown]
# (radiomics-bootstrap)=
# ## Would other patients have chosen the same features?
#
# The whole selection, from the z-score on, is repeated in bootstrap samples of the training patients.
# Copies of a patient share a fold, so that no patient is predicted from a copy. Each sample's signature
# is scored twice: in the sample that chose it and in the original training patients. The mean difference
# is the *optimism* of the apparent C-index. A feature of the combined signature counts as *related* if
# the new signature has one that correlates with it above the limit.

# %% tags=["remove-stderr"]
seed, n_folds, max_correlation = (made[name] for name in ("seed", "n_folds", "max_correlation"))
everything, outcome = complete[training], (time[training].to_numpy(), event[training].to_numpy())
draws = np.random.default_rng([seed, 2]).choice(len(everything), (resamples, len(everything)))
samples = chapter.keep(
    "bootstrap.csv", bootstrap_selection, everything, *outcome, draws, max_correlation,
    n_folds=n_folds, workers=workers,
)  # fmt: skip
fitted = samples[samples["reason"].isna()]
if len(fitted) < resamples:
    chapter.notes["bootstrap"] = f"{resamples - len(fitted)} of {resamples} samples could not be fitted."
chosen = [names.split() for names in fitted["selected"].fillna("")]

# %% tags=["hide-output"]
signature = list(signatures["combined"]["feature"]) if "combined" in signatures else []
scaled = (everything - everything.mean()) / everything.std(ddof=0).replace(0, np.inf)
related = (scaled[signature].T @ scaled / len(scaled)).abs() > max_correlation
again = pd.DataFrame(0, index=signature, columns=["itself", "itself or related"])
for selected in chosen:
    again["itself"] += [name in selected for name in signature]
    again["itself or related"] += related[selected].any(axis=1)
percent = (100 * again / max(len(chosen), 1)).rename_axis("feature").reset_index()
frequency = percent.set_index("feature").map("{:.0f} %".format).reset_index()
caption = f"How often features of the combined signature return in {len(chosen)} bootstrap samples."
if len(frequency):
    chapter.table("bootstrap", frequency, caption)

# %% tags=["hide-input"]
often = percent.sort_values(["itself or related", "itself"], ascending=False).head(20)
fig, ax = plt.subplots(figsize=(7, 1.4 + 0.24 * max(len(often), 1)), layout="constrained")
bars = often.melt("feature", var_name="returns", value_name="percent")
if len(bars):
    sns.barplot(bars, y="feature", x="percent", hue="returns", palette="colorblind", ax=ax)
    ax.legend(title="", frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
else:
    ax.set(title="The combined signature is empty.", yticks=[])
ax.set(xlabel="bootstrap samples whose signature has it, %", ylabel="", xlim=(0, 100))
ax.tick_params(axis="y", labelsize=7)
sns.despine(fig)
alt = f"Share of {len(chosen)} bootstrap samples in which features of the combined signature return."
chapter.figure("bootstrap", fig, alt)

# %%
sizes = pd.Series([len(selected) for selected in chosen], dtype=float)
apparent = c_index(scores["combined"], "training", "Combined")
optimism = (fitted["c_sample"] - fitted["c_original"]).mean()
corrected = format_number(None if apparent is None else apparent.c - optimism)
anew = f"The features could be selected anew in 0 of {resamples} bootstrap samples"
if len(sizes):
    spread = f"{sizes.min():.0f} to {sizes.max():.0f} features"
    anew = f"Selected anew in {len(sizes)} bootstrap samples, signatures hold {spread}"
    chapter.say(f"""
**Conclusion.** The bootstrap signatures hold {spread} (median {sizes.median():.0f}), so the size of
a signature is itself a draw. Less the optimism, the combined signature's training C-index is {corrected}.
""")
chapter.takeaway(3, f"{anew} ([bootstrap](#radiomics-bootstrap)).")

# %% [markdown]
# For a search over so many features this correction is too small: a bootstrap sample holds about two thirds
# of the patients in whom its signature is then tested. Compare the value
# [out of fold](#radiomics-out-of-fold).
#
# (radiomics-stability)=
# ## Redrawn contours
#
# A second reader draws another contour. Here the surface of each contour is moved in and out by a smooth
# random amount with a standard deviation of 1.5 mm, twice for each of some training patients. The
# intraclass correlation (one-way; {term}`ICC`) says what share of a feature's variance is left between
# patients; its lower 95 % limit is what a cautious reader looks at. This and the next checks look at CET1W;
# *score* is the rank correlation of that sequence's signature between two readings.

# %%
limit, kept = 0.75, chapter.folder / "kept" / "readings"
families = {"original": "original", "log": "Laplacian of Gaussian", "wavelet": "wavelet"}
extracted = report[(report["sequence"] == "cet1w") & (report["status"] != "failed")]
contrast = pd.DataFrame({"patient_id": extracted["patient_id"], "sequence": "cet1w"})
drawn_by = {"manual": partial(mask_path, cohort_path), "predicted": partial(predicted_mask_path, stage)}
keys = [(patient, "cet1w") for patient in contrast["patient_id"]]
contrast["image_path"] = [preprocessed_path(stage, *key) for key in keys]
contrast["mask_path"] = [drawn_by[made["contours"]](*key) for key in keys]
contrast = contrast.set_index("patient_id", drop=False)
ready = patients.index.isin(contrast.index)


def draw(rows):
    """Return some of these patients, of those whose CET1W could be extracted."""
    able = patients.index[rows & ready]
    return np.random.default_rng([seed, 3]).choice(able, min(stability_patients, len(able)), replace=False)


# %%
def share_stable(table):
    """Return the share of features whose lower limit of the ICC is above the limit, as text."""
    return f"{100 * (table['low'] > limit).mean():.0f} %" if len(table) else "–"


def agreement(readings):
    """Return ICC, its lower limit, and the rank correlation of readings 0 and 1, per informative feature."""
    ranks = [readings.xs(number, level="reading").rank() for number in (0, 1)]
    table = layout[layout["copy_of"] == ""].merge(feature_icc(readings), on="column")
    table["rank"] = table["column"].map(ranks[0].corrwith(ranks[1]))
    return table.assign(family=table["image"].str.split("-").str[0].map(families)).dropna(subset="icc")


def score_correlation(readings):
    """Return the rank correlation of the CET1W signature between readings 0 and 1, as text."""
    if "cet1w" not in signatures:
        return "not defined: the signature is empty"
    fit = signatures["cet1w"].set_index("feature")
    values = readings.add_prefix("cet1w_")[fit.index].fillna(fit["mean"])
    risk = ((values - fit["mean"]) / fit["sd"] @ fit["coef"]).unstack("reading")
    return format_number(risk[0].corr(risk[1], method="spearman"))


# %% tags=["hide-input"]
def summarise(table):
    """Return agreement by kind of feature and family of images, as text."""
    if table.empty:
        return pd.DataFrame([{"block": "all", "features": 0, "note": "no case has both readings"}])
    groups = table.groupby(["block", "family"], sort=False)
    rows = groups[["icc", "low", "rank"]].median().map(format_number)
    rows.insert(0, "features", groups.size())
    rows.insert(1, f"lower limit above {limit}", [share_stable(group) for _, group in groups])
    names = {"icc": "median ICC", "low": "median lower limit", "rank": "median rank correlation"}
    return rows.rename(columns=names).reset_index()


# %% tags=["hide-input"]
def plot_agreement(table, value, label):
    """Draw how a measure of agreement is spread over features, by kind and family."""
    fig, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
    options = {"palette": "colorblind", "fliersize": 2, "linewidth": 1}
    if len(table):
        sns.boxplot(table, x=value, y="block", hue="family", hue_order=families.values(), ax=ax, **options)
        ax.legend(title="", fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        ax.set_xlim(max(-1, min(0, table[value].min())), 1.02)
    ax.set(xlabel=label, ylabel="", title="" if len(table) else "no case has both readings")
    sns.despine(fig)
    return fig


# %% tags=["remove-stderr"]
own = contrast.loc[draw(training)]
redrawn = redrawn_cases(own, 3, amplitude_mm=1.5, rng=np.random.default_rng([seed, 4]))
readings = extract_readings(redrawn, folder=kept / "redrawn", settings=settings, workers=workers)
icc, icc_score = agreement(readings), score_correlation(readings)
chapter.table("stability", summarise(icc), "Stability of CET1W features under redrawn contours.")

# %%
fig = plot_agreement(icc, "low", "ICC, lower 95 % limit")
fig.axes[0].axvline(limit, color="0.3", linestyle=":", linewidth=1)
alt = "Stability (lower limit of the ICC) of features under redrawn contours, by kind of feature and image."
chapter.figure("stability", fig, alt)
chapter.say(f"""
**Conclusion.** {share_stable(icc)} of the features keep a lower limit above {limit}; rank correlation of the
score: {icc_score}.
""")

# %% [markdown]
# (radiomics-contours)=
# ## Manual and predicted contours
#
# The paper extracts from manual contours and argues that contouring is radiomics' weak point. Chapter 02 has
# left the network's contours; features of some validation patients, whom the network has not seen, are taken
# from both.

# %% tags=["remove-stderr"]
unseen = draw(held)
pair = [
    contrast.loc[unseen].assign(mask_path=[path_of(patient, "cet1w") for patient in unseen])
    for path_of in drawn_by.values()
]
readings = extract_readings(pair, folder=kept / "contours", settings=settings, workers=workers)
usable = int(readings["original_shape_VoxelVolume"].unstack("reading").notna().all(axis=1).sum())
agreed, agreed_score = agreement(readings), score_correlation(readings) if usable > 1 else "–"
caption = "Agreement of CET1W features from manual and predicted contours."
chapter.table("contours", summarise(agreed), caption)

# %%
fig = plot_agreement(agreed, "icc", "ICC, manual and predicted contours")
alt = "Agreement (ICC) of features from manual and predicted contours, by kind of feature and image."
chapter.figure("contours", fig, alt)
chapter.say(f"""
**Conclusion.** Among {usable} of {len(unseen)} patients with both contours, {share_stable(agreed)} of the
features keep a lower limit of the ICC above {limit}; rank correlation of the score: {agreed_score}.
""")
chapter.takeaway(
    1,
    f"**In validation the C-index of the combined signature is {combined['C, validation']}, of volume alone "
    f"{alone['C, validation']}; {share_stable(icc)} of the features stay reliable in redrawn contours** "
    "([volume](#radiomics-volume), [stability](#radiomics-stability)).",
)
said = f"""From the network's contours instead of the manual ones, {share_stable(agreed)} keep a lower limit
of the ICC above {limit}, which is what is called reliable here ([contours](#radiomics-contours))."""
chapter.takeaway(4, said)

# %% [markdown]
# (radiomics-order)=
# ## Bias field first, or normalisation first?
#
# The paper tells normalisation before bias-field correction. Chapter 02 explains why the reverse makes
# sense and shows the images; here the same training patients' scans are prepared in both orders, and their
# features compared.

# %% tags=["remove-stderr"]
scans = own.assign(image_path=[image_path(cohort_path, patient, "cet1w") for patient in own.index])
orders = [scans.assign(prepare=[partial(preprocess, order=order)] * len(scans)) for order in ORDERS]
readings = extract_readings(orders, folder=kept / "order", settings=settings, workers=workers)
ordered, ordered_score = agreement(readings), score_correlation(readings)
caption = "Agreement of CET1W features between the two orders of preprocessing."
chapter.table("order", summarise(ordered), caption)

# %%
fig = plot_agreement(ordered, "rank", "rank correlation of the two orders")
alt = "Rank correlation of features between the two orders of preprocessing, by kind of feature and image."
chapter.figure("order", fig, alt)
chapter.say(f"""
**Conclusion.** The median rank correlation of a feature between the orders is
{format_number(ordered["rank"].median())}, and {share_stable(ordered)} of the features keep a lower limit of
the ICC above {limit}; rank correlation of the score: {ordered_score}. The ICC is the stricter measure,
because it also counts a shift that all patients share, which a z-score fitted on data of the same kind would
remove.
""")

# %% [markdown]
# (radiomics-grey-levels)=
# ## Grey levels per case
#
# How many levels a region spans decides what texture can mean: with one or two, every texture matrix is a
# table of two cells. The numbers follow from the smallest and largest intensity in each region; the last
# group shows the same bin width on z-scores that were not multiplied.

# %%
bin_width = settings.bin_width
spans = {"five times finer": bin_width / 5, "this run": bin_width, "four times coarser": bin_width * 4}
spans["not multiplied"] = bin_width * settings.scale


def grey_levels(sequence, width):
    """Return how many levels each patient's region spans on a sequence."""
    low, high = (features[f"{sequence}_original_firstorder_{end}"] for end in ("Minimum", "Maximum"))
    return np.floor(high / width) - np.floor(low / width) + 1


levels = pd.DataFrame(
    [
        {"bins": name, "width (SD)": width / settings.scale, "sequence": shown_names[s], "levels": level}
        for name, width in spans.items()
        for s in SEQUENCES
        for level in grey_levels(s, width)
    ]
)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
options = {"palette": "colorblind", "linewidth": 1, "fliersize": 2}
sns.boxplot(levels, x="bins", y="levels", hue="sequence", ax=ax, **options)
ax.set_yscale("log", base=2)
ax.yaxis.set_major_formatter("{x:g}")
ax.set(xlabel="bin width", ylabel="grey levels in the region")
ax.legend(title="", fontsize=8, frameon=False)
sns.despine(fig)
alt = "Grey levels per region at four bin widths, by sequence: the finer the bins, the more levels."
chapter.figure("grey_levels", fig, alt)

# %%
middle = levels.groupby(["bins", "width (SD)", "sequence"], sort=False)["levels"]
middle = middle.agg(["median", "min", "max"])
middle = middle.apply("{median:.0f} ({min:.0f}–{max:.0f})".format_map, axis=1)
middle = middle.unstack("sequence", sort=False).reset_index()
chapter.table("grey_levels", middle, "Grey levels spanned per region, median (range), by bin width.")
of_width = middle.set_index("bins")["CET1W"]
chapter.say(f"""
At this run's bin width a region spans {of_width["this run"]} levels on CET1W, median (range); on z-scores as
they are it would span {of_width["not multiplied"]}.
""")

# %% [markdown]
# (radiomics-bins)=
# ## Does the bin width matter to the model?
#
# All patients with a metastasis, and as many others, drawn at random within each cohort, are extracted anew
# with finer and with coarser bins, on the unfiltered CET1W image. The selection is repeated on the training
# part with each. In such samples more pairs are of two patients with metastasis, which are harder to order:
# the three C-indices may be compared with one another, not with those of the whole cohort.


# %%
def enriched(rows):
    """Return the patients with a metastasis, and as many without."""
    ill, others = (patients.index[rows & ready & (event == happened)] for happened in (1, 0))
    return [*ill, *np.random.default_rng([seed, 5]).choice(others, min(len(ill), len(others)), replace=False)]


fit_on, test_on = (enriched(rows) for rows in cohorts.values())
unfiltered = layout[layout["image"] == "original"].set_index("column")["block"]
fold = stratified_folds(event[fit_on], n_folds, rng=np.random.default_rng([seed, 6]))
sampled, binned = contrast.loc[[*fit_on, *test_on]], {}
for name in ("five times finer", "this run", "four times coarser"):
    wanted = replace(settings, images=("original",), bin_width=spans[name])
    folder = kept / f"bins-{spans[name]:g}"
    found = extract_readings([sampled], folder=folder, settings=wanted, workers=workers)
    binned[name] = found.droplevel("reading")[unfiltered.index]

# %% tags=["remove-stderr"]
rows, textures = [], unfiltered.index[unfiltered == "texture"]
for name, found in binned.items():
    row = {"bins": name, "width (SD)": spans[name] / settings.scale}
    row["levels"] = grey_levels("cet1w", spans[name]).median()
    row["rank"] = found[textures].rank().corrwith(binned["this run"][textures].rank()).median()
    values = found.fillna(found.loc[fit_on].mean()).fillna(0.0)
    with chapter.noting(f"bins, {name}"):
        fit = select_features(values.loc[fit_on], time[fit_on], event[fit_on], max_correlation, folds=fold)
        row["features"], risk = len(fit.selected), fit.risk(values.loc[test_on])
    if "features" in row:
        with chapter.noting(f"C-index in validation, bins, {name}"):
            row["c"] = harrell_c(time[test_on], event[test_on], risk) if np.ptp(risk) else one_half
    rows.append(row)
bins = pd.DataFrame(rows).reindex(columns=["bins", "width (SD)", "levels", "rank", "features", "c"])

# %%
shown = bins[["bins", "width (SD)", "levels"]].rename(columns={"levels": "median grey levels"})
shown["rank correlation of textures with this run"] = bins["rank"].map(format_number)
shown["features selected"] = bins["features"].astype("Int64")
shown["C, validation sample"] = bins["c"].where(bins["c"].notna(), None).map(or_dash)
sample = f"{len(fit_on)} training, {len(test_on)} validation"
chapter.table("bins", shown, f"Bin width, texture and model: unfiltered CET1W, {sample} patients.")

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for row in bins.dropna(subset="c").itertuples():
    reach = np.nan_to_num([[row.c.c - row.c.low], [row.c.high - row.c.c]])
    ax.errorbar(row.levels, row.c.c, reach, fmt="o", color=style_of("radiomics_combined")[0], capsize=3)
    ax.annotate(row.bins, (row.levels, row.c.c), xytext=(6, 6), textcoords="offset points", fontsize=8)
ax.axhline(0.5, color="0.5", linestyle=":", linewidth=1)
ax.set(xlabel="median grey levels in the region", ylabel="C, validation sample", ylim=(0, 1))
if ax.containers:
    ax.set_xscale("log")
    ax.xaxis.set(**ticks, minor_formatter=NullFormatter())
sns.despine(fig)
alt = "C-index with 95 % limits of models built at three bin widths, against the grey levels these give."
chapter.figure("bins", fig, alt)
chapter.say(f"""
**Conclusion.** From finer to coarser bins the sample's validation C-index is
{" / ".join(shown["C, validation sample"])}; the texture features keep a median rank correlation of at least
{format_number(bins["rank"].min())} with this run's.
""")

# %% [markdown]
# (radiomics-centres)=
# ## Centres, before and after harmonisation
#
# Scanners differ between centres, and features with them. Each feature is expressed in standard deviations
# of the training patients; the distance of a centre is how far its mean lies from the training mean.
#
# What can *fitted on training* mean here? Methods that estimate an effect of each centre on the features,
# such as ComBat, need patients of every centre at fitting time: where training has one centre, there is
# nothing to estimate. What can be learned from training alone is a target. Here it is the scale of the
# image: the mean percentiles of intensity in the heads of training patients. Any new image is then
# stretched piecewise so that its own percentiles fall on these, without knowing its scanner and without
# other patients of its centre. Beside it stands a harmonisation that is *not* fitted on training:
# standardising each feature within the new centre, which needs a group of its patients and removes a
# difference in case mix along with the scanner's.

# %% tags=["remove-stderr"]
picked = {centre: draw(patients["center"] == centre) for centre in sorted(patients["center"].unique())}
some = contrast.loc[np.concatenate(list(picked.values()))]
learn = some.index[training[patients.index.get_indexer(some.index)]]
learned = [read_volume(*contrast.loc[patient, ["image_path", "mask_path"]]) for patient in learn]
standard = np.mean([intensity_landmarks(volume) for volume in learned], axis=0)
match = partial(match_landmarks, standard=standard)
wanted = replace(settings, images=("original",))
two_scales = [some, some.assign(prepare=[match] * len(some))]
found = extract_readings(two_scales, folder=kept / "centres", settings=wanted, workers=workers)


# %%
def distances(values):
    """Return each feature's distance (SD of training) of each centre's mean from the training mean."""
    spread = values.loc[learn].std()
    spread = spread[spread > 0]
    scaled = (values[spread.index] - values.loc[learn, spread.index].mean()) / spread
    return scaled.groupby(patients["center"].reindex(values.index)).mean().abs()


scales = {0: "as extracted", 1: "scale learned on training"}
values = {name: found.xs(k, level="reading")[unfiltered.index] for k, name in scales.items()}
offsets = pd.concat({name: distances(table) for name, table in values.items()}).stack()
offsets = offsets.rename_axis(["images", "centre", "column"]).rename("distance").reset_index()
reference = sorted(set(patients["center"][training]))
away = offsets[~offsets["centre"].isin(reference)]

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
if len(away):
    options = {"palette": "colorblind", "fliersize": 2, "linewidth": 1}
    sns.boxplot(away, x="distance", y="centre", hue="images", ax=ax, **options)
    ax.legend(title="", fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
ax.set(xlabel="distance from the training mean, SD", ylabel="centre")
ax.set_title("" if len(away) else "every centre took part in training")
sns.despine(fig)
alt = "Distance of each centre's features from training, as extracted and on the scale learned on training."
chapter.figure("centres", fig, alt)

# %%
table = offsets.groupby(["centre", "images"])["distance"].median().unstack().map(format_number)
sizes = {centre: len(group) for centre, group in picked.items()}
table.insert(0, "patients", table.index.map(sizes))
# The mean of n values is off by chance: half of the time by more than 0.67 standard errors.
table["expected by chance"] = [
    "training"
    if centre in reference
    else format_number(stats.norm.ppf(0.75) * np.sqrt(1 / sizes[centre] + 1 / max(len(learn), 1)))
    for centre in table.index
]
caption = "Median distance of each centre's unfiltered CET1W features, in SD."
chapter.table("centres", table.reset_index(), caption)


# %%
def within_centre(values):
    """Return features standardised within each centre that took no part in training, on training's scale."""
    mean, spread = values[training].mean(), values[training].std()
    groups = values.groupby(patients["center"])
    scaled = (values - groups.transform("mean")) / groups.transform("std").replace(0, np.inf) * spread + mean
    return values.where(patients["center"].isin(reference), scaled)


standardised = scores["combined"]
if signature:
    fit = signatures["combined"].set_index("feature")
    harmonised = within_centre(complete[signature])
    standardised = (harmonised - fit["mean"]) / fit["sd"] @ fit["coef"]

# %%
before = c_index(scores["combined"], "validation", "combined, as it is")
after = c_index(standardised, "validation", "combined, within centre")
medians = away.groupby("images")["distance"].median().reindex(scales.values()).map(format_number)
conclusion = f"All {len(picked)} centres took part in training"
if len(away):
    conclusion = f"In centres without training patients the median feature lies {medians.iloc[0]} standard "
    conclusion += "deviations off"
    chapter.say(f"""
**Conclusion.** {conclusion}, and {medians.iloc[1]} on the scale learned on training; standardising within
each centre takes the combined signature's validation C-index from {or_dash(before)} to {or_dash(after)}.
""")
chapter.takeaway(5, f"{conclusion} ([centres](#radiomics-centres)).")

# %% tags=["hide-output"]
chapter.not_estimable()

# %% [markdown]
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `stability_patients = 60`: the lower limits of stability come nearer to the ICC itself, which takes longer
#   in proportion.
# - `region = "tumour"` or `"nodes"` in [chapter 04](04_radiomics.ipynb): the correlation of the signature
#   with volume should change here, in the branch that chapter 04 names: set `run_folder` to it.
# ```
#
# ## Limits and deviations
#
# - The paper prints none of these checks; there is nothing to compare them with.
# - They use some patients and mostly one sequence; their own uncertainty is that of so many patients.
# - Redrawn contours move the surface at random; a second reader may differ systematically.
#
# ## Hand-over
#
# No later chapter computes with these results; the register quotes the table of bin widths.
