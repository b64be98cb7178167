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
# # Radiomics
#
# Where do the paper's 1395 radiomic features come from, and what do they say about distant metastasis
# that the size of the disease does not?
#
# ## In short
#
# - The layout of the deposited script gives {glue:text}`radiomics_columns` columns for three sequences,
#   as printed. Of each sequence's {glue:text}`radiomics_per_sequence`, {glue:text}`radiomics_copies`
#   repeat another column and {glue:text}`radiomics_lost` more were computed and overwritten ([where the
#   number comes from](radiomics-count)).
# - {glue:text}`radiomics_cases` images were asked for and {glue:text}`radiomics_failed` failed; no
#   patient is dropped ([extraction](radiomics-extraction)).
# - From all sequences together the LASSO keeps {glue:text}`radiomics_selected` features
#   ([selection](radiomics-selection)). The signature's C-index is {glue:text}`radiomics_c_training` in
#   training, {glue:text}`radiomics_c_corrected` there without optimism
#   ([bootstrap](radiomics-bootstrap)), and {glue:text}`radiomics_c_validation` in validation
#   ([C-indices](radiomics-c-index)).
# - Volume alone reaches {glue:text}`radiomics_volume_validation` in validation; the rank correlation of
#   signature and volume is {glue:text}`radiomics_volume_correlation` ([volume](radiomics-volume)).
# - When contours are redrawn, {glue:text}`radiomics_stable` of the features keep a lower limit of the ICC
#   above {glue:text}`radiomics_icc_limit` ([stability](radiomics-stability)).
#
# **Reads** `01_cohorts/cohort`, the preprocessed images of `02_segmentation` and the cohort's contours.
# **Writes** `features.parquet` (one row a patient), `selection.csv` (features in each signature),
# `scores.csv` (four scores a patient, higher = worse) and `cases.csv` (what became of each image).
#
# ## Setup

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from myst_nb import glue
from scipy import stats

from npcbook import images, radiomics
from npcbook.cohort import SEQUENCES, mask_path, read_truth
from npcbook.concordance import compare_c, harrell_c
from npcbook.cox import fit_cox
from npcbook.runs import open_chapter, project_path
from npcbook.selection import select_features, stratified_folds
from npcbook.tables import attempt, format_estimate, format_number, format_p

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
region = "tumour and nodes"  # contours used; print: tumour and nodes; also "tumour" or "nodes"
contours = "manual"  # print: manual; "predicted" takes the network's of chapter 02
bin_width = 25.0  # print: 25; here in hundredths of a standard deviation
stability_patients = 40  # training patients whose contours are redrawn (recommended track)
resamples = 20  # bootstrap samples in which the selection is repeated (recommended track)
workers = 2  # processes

# %% [markdown]
# ## Data

# %%
chapter = open_chapter("04_radiomics", run_folder=run_folder, cohort_folder=cohort_folder)
patients = chapter.read("01_cohorts/cohort").set_index("patient_id")
time, event = patients["dmfs_months"], patients["dm_event"]
cohorts = {name: (patients["cohort"] == name).to_numpy() for name in ("training", "validation")}
training = cohorts["training"]
truth = read_truth(project_path(cohort_folder))
truth = None if truth is None else truth.reindex(patients.index)
settings = radiomics.Settings(mask=region, bin_width=bin_width)
shown_names = {"t1w": "T1W", "t2w": "T2W", "cet1w": "CET1W", "combined": "Combined"}

# %% [markdown]
# (radiomics-count)=
# ## Where 1395 comes from
#
# The paper says that each sequence gives 216 first-order, 42 shape and 207 texture features. No list is
# printed, and neither 42 nor 207 is a number that pyradiomics gives for one region. The deposited script
# explains both. It computes first-order features on the original image, on three Laplacian-of-Gaussian
# images and on eight wavelet bands. After these loops it takes the *last* image of each family once more,
# so that shape and texture are computed on three images: original, Laplacian of Gaussian with the widest
# kernel, and the lowest wavelet band. Shape does not depend on intensities, so it comes out three times
# the same. Texture results are stored under bare names without the class, so that of two equal names the
# later class overwrites the earlier one.
#
# The table is counted from the extractor that this chapter runs, not copied from print.

# %%
layout = radiomics.feature_table("paper")
lost = radiomics.lost_names()
blocks = layout.groupby("block", sort=False).agg(
    features=("feature", "nunique"),
    images=("image", "nunique"),
    columns=("column", "size"),
    copies=("copy_of", lambda names: int((names != "").sum())),
)
total = {"block": "one sequence", "columns": len(layout), "copies": int((layout["copy_of"] != "").sum())}
three = {"block": "three sequences"} | {k: len(SEQUENCES) * total[k] for k in ("columns", "copies")}
count = pd.concat([blocks.reset_index(), pd.DataFrame([total, three])], ignore_index=True)
count["informative at most"] = count["columns"] - count["copies"]
count = count.astype({name: "Int64" for name in count.columns[1:]})
for key, value in blocks["columns"].items():
    chapter.record(f"text.radiomics.{key.replace('-', '_')}", int(value))
chapter.record("text.radiomics.feature_types", len(blocks))
chapter.record("text.radiomics.features", three["columns"])
chapter.record("text.radiomics.features_per_sequence", total["columns"])
chapter.table("count", count, "Columns per block, counted from the extractor.")

# %% [markdown]
# Per image, the five texture classes compute more names than are kept. These are lost, and this is the
# class that the surviving name means:

# %%
losses = lost.groupby("feature", as_index=False).agg(lost=("lost", ", ".join), kept=("kept", "first"))
chapter.table("lost_names", losses, "Texture features overwritten by a later class of the same name.")

# %%
glue("radiomics_columns", str(three["columns"]), display=False)
glue("radiomics_per_sequence", str(total["columns"]), display=False)
glue("radiomics_copies", str(total["copies"]), display=False)
glue("radiomics_lost", str(int(len(lost) * blocks.loc["texture", "images"])), display=False)

# %% [markdown]
# The script would also emit one more column with the bare name `Mean`, which the printed count does not
# include. Two feature sets follow from this: `paper` keeps the layout above, copies included, because the
# count and the later steps are the paper's; `full` has every class on every image under prefixed names,
# and shape once.
#
# (radiomics-extraction)=
# ## Extraction
#
# *What the paper did.* Images normalised and corrected for the bias field, resampled to cubic voxels of 3
# mm, discretised with a bin width of 25, filtered (wavelet, Gaussian); features taken from the manual
# contours of tumour and nodes by pyradiomics.
#
# *Here.* The images of chapter 02 (bias field first, then z-score within the head). The grey level of a
# voxel with intensity $x$ is
#
# $$ g(x) = \left\lfloor \frac{x}{w} \right\rfloor - \left\lfloor \frac{\min x}{w} \right\rfloor + 1 . $$
#
# With a bin width of $w = 25$ made for raw intensities, z-scores would all fall into some two levels;
# they are therefore multiplied by 100 before. Filters run before the region is cut out: a filtered voxel
# inside the contour has seen intensities outside it, so that Laplacian-of-Gaussian and wavelet features
# are not purely intratumoral. Each image is filtered, cropped and discretised once, and every value
# equals that of the plain pyradiomics extractor. Each patient's result is kept, and made again only if
# images, contours, settings or code change.

# %% tags=["remove-stderr"]
stage = chapter.input_path("02_segmentation/preprocessed").parent


def contour_path(patient, sequence, drawn_by):
    if drawn_by == "predicted":
        return images.predicted_mask_path(stage, patient, sequence)
    return mask_path(project_path(cohort_folder), patient, sequence)


cases = pd.DataFrame(
    [
        (p, s, images.preprocessed_path(stage, p, s), contour_path(p, s, contours))
        for p in patients.index
        for s in SEQUENCES
    ],
    columns=["patient_id", "sequence", "image_path", "mask_path"],
)
found = radiomics.extract_cohort(
    cases, folder=chapter.folder / "patients", settings=settings, workers=workers
)
features, report = found.features, found.report

# %%
chapter.write("features", features.reset_index(), suffix=".parquet")
chapter.write("cases", report)
done = report[report["status"] != "failed"]
summary = report.groupby("sequence", sort=False).agg(
    images=("status", "size"),
    failed=("status", lambda s: int((s == "failed").sum())),
    partly=("status", lambda s: int((s == "partly").sum())),
)

# %%
for name in ("n_voxels", "grey_levels"):
    quartiles = done.groupby("sequence")[name].quantile([0, 0.5, 1]).unstack()
    summary[name] = [
        f"{q[0.5]:.0f} ({q[0.0]:.0f}–{q[1.0]:.0f})" for _, q in quartiles.reindex(summary.index).iterrows()
    ]
summary = summary.reset_index().assign(sequence=lambda t: t["sequence"].map(shown_names))
summary = summary.rename(
    columns={"n_voxels": "voxels: median (range)", "grey_levels": "grey levels: median (range)"}
)
glue("radiomics_cases", str(len(report)), display=False)
glue("radiomics_failed", str(int(summary["failed"].sum())), display=False)
chapter.table(
    "extraction", summary, "What became of the images, and how large and how finely graded the regions are."
)

# %% [markdown]
# A case that fails becomes a row without values, with its reason here, and a feature without a finite
# value stays empty; neither patient nor column is dropped. For the models such gaps take the training
# mean, that is a z-score of zero.

# %%
problems = report[report["reason"] != ""].groupby(["sequence", "status", "reason"], as_index=False).size()
problems = (
    problems
    if len(problems)
    else pd.DataFrame([{"sequence": "all", "status": "ok", "reason": "none", "size": len(report)}])
)
chapter.table("problems", problems.head(20), "Images without features or with undefined ones, by reason.")

# %% [markdown]
# ### Grey levels per case
#
# How many levels a region spans decides what texture can mean: with one or two, every texture matrix is a
# table of two cells. The numbers follow from the smallest and largest intensity in each region; the last
# row shows the same bin width on z-scores that were not multiplied.

# %%
spans = {"this run": bin_width, "five times finer": bin_width / 5, "four times coarser": bin_width * 4}
spans["not multiplied by 100"] = bin_width * settings.scale
rows = []
for name, width in spans.items():
    row = {"bins": name, "width (SD)": width / settings.scale}
    for sequence in SEQUENCES:
        low, high = (features[f"{sequence}_original_firstorder_{end}"] for end in ("Minimum", "Maximum"))
        levels = np.floor(high / width) - np.floor(low / width) + 1
        row[shown_names[sequence]] = f"{levels.median():.0f} ({levels.min():.0f}–{levels.max():.0f})"
    rows.append(row)
chapter.table(
    "grey_levels", pd.DataFrame(rows), "Grey levels spanned per region, median (range), by bin width."
)

# %% [markdown]
# (radiomics-selection)=
# ## Selection and model, as published
#
# *What the paper did.* Features were standardised, ranked by their univariable p-value for distant
# metastasis-free survival, and of pairs correlated above 0.85 the one with the lower p-value was kept; a
# LASSO-penalised Cox model then chose the signature, separately for each sequence and for all together:
#
# $$
# \hat\beta = \arg\min_\beta \; -\frac{1}{n} \sum_{i:\,\delta_i = 1}
# \Bigl( x_i^\top \beta - \log \sum_{j:\,t_j \ge t_i} e^{x_j^\top \beta} \Bigr)
# + \lambda \lVert \beta \rVert_1 ,
# $$
#
# with $\lambda$ where the cross-validated deviance is lowest (ten folds, or as many as there are events).
# Everything is fitted on training patients: mean and standard deviation, p-values, correlations, penalty
# and coefficients. The library's tests feed it corrupted validation data and check that the fit does not
# change.

# %%
max_correlation, n_folds = 0.85, 10
rng = np.random.default_rng(20230)
folds = stratified_folds(event[training], min(n_folds, int(event[training].sum())), rng=rng)
complete = features.fillna(features[training].mean()).fillna(0.0)
fits = {}
for name in (*SEQUENCES, "combined"):
    columns = [c for c in complete if name == "combined" or c.startswith(f"{name}_")]
    fits[name] = select_features(
        complete.loc[training, columns], time[training], event[training], max_correlation, folds=folds
    )

# %%
steps = pd.DataFrame([{"sequence": shown_names[name], **fit.counts} for name, fit in fits.items()])
steps = steps.rename(
    columns={"varying": "not constant", "uncorrelated": f"|r| ≤ {max_correlation}", "selected": "LASSO"}
)
steps["note"] = np.where(steps["LASSO"] == 0, "nothing kept: the score is 0 for everyone", "")
for name, fit in fits.items():
    chapter.record(f"text.radiomics.selected.{name}", int(fit.counts["selected"]))
glue("radiomics_selected", str(int(fits["combined"].counts["selected"])), display=False)
chapter.table("steps", steps, "Features left after each step.")

# %% [markdown]
# The correlation filter removes all copies by itself: a copy correlates perfectly with its original. What
# is left is still far more than the events can bear, and which of many related features the LASSO keeps
# is partly chance. The signatures:

# %%
rows = []
for name, fit in fits.items():
    for column, coef in fit.coef.items():
        p_value = fit.univariable.loc[column, "p_value"]
        rows.append({"signature": name, "feature": column, "coef": coef, "p_value": p_value})
selection = pd.DataFrame(rows, columns=["signature", "feature", "coef", "p_value"])
chapter.write("selection", selection)
signatures = selection.assign(
    signature=selection["signature"].map(shown_names),
    coef=selection["coef"].map(lambda b: format_number(b, 3)),
    p_value=selection["p_value"].map(format_p),
).rename(columns={"coef": "coefficient per SD", "p_value": "univariable p"})
chapter.table("signatures", signatures, "Features in each signature, with coefficients (higher = worse).")

# %% [markdown]
# (radiomics-c-index)=
# ## C-indices
#
# Training values are apparent: the same patients chose the features. The validation column is the one to
# read. Where a truth is known, its columns show the ceiling (the C-index of the planted linear predictor)
# and what the score has picked up of the planted latent variables, as rank correlations over all
# patients.

# %%
scores = pd.DataFrame({name: fit.risk(complete) for name, fit in fits.items()}, index=patients.index)
chapter.write("scores", scores.add_prefix("radiomics_").reset_index())
notes = {}


def c_index(risk, cohort, what):
    """Return C with limits; a score that is the same for everyone orders no pair, which counts one half."""
    if risk.nunique() == 1:
        return {"value": 0.5, "low": None, "high": None}
    rows = cohorts[cohort]
    c = attempt(notes, f"{what}, {cohort}", harrell_c, time[rows], event[rows], risk[rows])
    return (
        {"value": None, "low": None, "high": None}
        if c is None
        else {"value": c.c, "low": c.low, "high": c.high}
    )


# %%
rows = []
for name, risk in scores.items():
    row = {"signature": shown_names[name]}
    for cohort in cohorts:
        c = c_index(risk, cohort, shown_names[name])
        row[f"C, {cohort} (95 % CI)"] = format_estimate(**c)
        if c["value"] is not None:
            chapter.record(f"text.{cohort}.c_index.radiomics_{name}", **c)
        if truth is not None:
            ceiling = c_index(truth["linear_predictor"], cohort, "planted predictor")["value"]
            row[f"ceiling, {cohort}"] = format_number(ceiling)
            if ceiling is not None:
                chapter.record(f"text.{cohort}.c_index.radiomics_{name}", ceiling, track="truth")
    row["note"] = "same for everyone: nothing was selected" if risk.nunique() == 1 else ""
    rows.append(row)
for cohort in cohorts:
    glue(f"radiomics_c_{cohort}", rows[-1][f"C, {cohort} (95 % CI)"], display=False)
chapter.table("c_index", pd.DataFrame(rows), "C-index of each signature for distant metastasis.")

# %%
latents = [] if truth is None else ["size", "heterogeneity", "infiltration", "lp_clinical"]
rows = []
for name, risk in scores.items():
    varies = risk.nunique() > 1
    found_in = {latent: risk.corr(truth[latent], method="spearman") if varies else None for latent in latents}
    rows.append({"signature": shown_names[name]} | {k: format_number(v) for k, v in found_in.items()})
if latents:
    best = features.corrwith(truth["heterogeneity"], method="spearman").abs().max()
    rows.append({"signature": "feature closest to heterogeneity", "heterogeneity": format_number(best)})
else:
    rows = [{"signature": "all", "planted": "unknown: nothing was planted in this cohort"}]
known = pd.DataFrame(rows).fillna("–")
chapter.table("latents", known, "Rank correlation of the signatures with what was planted.")

# %% [markdown]
# ## As recommended
#
# None of what follows changes the scores handed on; it shows what they can bear.
#
# (radiomics-volume)=
# ### Volume in disguise
#
# Many features grow with the number of voxels, so a signature may be a roundabout measure of how large
# the disease is. Beside the signatures stands a model of one number, the logarithm of the contoured
# volume (mean of the three sequences). *Adds to volume* is the likelihood-ratio p-value of the score in a
# Cox model that already holds volume, fitted anew in the validation cohort.

# %%
volumes = complete[[f"{sequence}_original_shape_VoxelVolume" for sequence in SEQUENCES]].mean(axis=1)
log_volume = np.log(volumes.clip(lower=settings.spacing_mm**3)).rename("log_volume")


def adds_to_volume(risk):
    """Return the likelihood-ratio p-value of a score beside volume, in the validation cohort."""
    rows = cohorts["validation"]
    both = pd.DataFrame({"log_volume": log_volume, "score": risk / risk.std()})[rows]
    alone = fit_cox(time[rows], event[rows], both[["log_volume"]])
    return float(stats.chi2.sf(2 * (fit_cox(time[rows], event[rows], both).loglik - alone.loglik), 1))


# %%
def beside_volume(risk, model):
    """Return how a score relates to volume: rank correlation, and two p-values in the validation cohort."""
    rows = cohorts["validation"]
    compared = attempt(
        notes, f"{model} against volume", compare_c, time[rows], event[rows], risk[rows], log_volume[rows]
    )
    return {
        "rank correlation with volume": format_number(risk.corr(log_volume, method="spearman")),
        "p against volume": format_p(compared and compared.p_value),
        "adds to volume, p": format_p(attempt(notes, f"{model} beside volume", adds_to_volume, risk)),
    }


# %%
rows = []
for name, risk in {"volume": log_volume, **scores}.items():
    row = {"model": "Volume alone" if name == "volume" else f"Radiomics ({shown_names[name]})"}
    row |= {f"C, {cohort}": format_estimate(**c_index(risk, cohort, row["model"])) for cohort in cohorts}
    rows.append(row | (beside_volume(risk, row["model"]) if name != "volume" and risk.nunique() > 1 else {}))
volume_table = pd.DataFrame(rows).fillna("–")
correlation = rows[-1].get("rank correlation with volume", "not defined")
glue("radiomics_volume_validation", rows[0]["C, validation"], display=False)
glue("radiomics_volume_correlation", correlation, display=False)
caption = "Signatures beside the volume of the contours; p-values from the validation cohort."
chapter.table("volume", volume_table, caption)

# %% [markdown]
# (radiomics-bootstrap)=
# ### Would other patients have chosen the same features?
#
# The whole selection, from the z-score on, is repeated in bootstrap samples of the training patients.
# Copies of a patient share a fold, so that no patient is predicted from a copy. Each sample's signature
# is scored twice: in the sample that chose it and in the original training patients. The mean difference
# is the *optimism* of the apparent C-index. A feature of the combined signature counts as *related* if
# the new signature has one that correlates with it above the limit.

# %%
everything, months, happened = complete.loc[training], time[training], event[training]


def concordance(risk, rows=slice(None)):
    """Return C among training patients; a constant score counts one half."""
    return 0.5 if np.ptp(risk) == 0 else harrell_c(months.iloc[rows], happened.iloc[rows], risk).c


def select_again(drawn):
    """Return the selection fitted on a bootstrap sample, and its optimism."""
    kept = np.unique(drawn)
    n = min(n_folds, int(happened.iloc[kept].sum()))
    fold = pd.Series(stratified_folds(happened.iloc[kept], n, rng=rng), index=kept)[drawn].to_numpy()
    sample = everything.iloc[drawn]
    refit = select_features(sample, months.iloc[drawn], happened.iloc[drawn], max_correlation, folds=fold)
    return refit, concordance(refit.risk(sample), drawn) - concordance(refit.risk(everything))


# %%
signature = list(fits["combined"].selected)
scaled = (everything - everything.mean()) / everything.std(ddof=0).replace(0, np.inf)
related = (scaled[signature].T @ scaled / len(scaled)).abs() > max_correlation
again = pd.DataFrame(0, index=signature, columns=["itself", "itself or related"])
sizes, optimism = [], []
for _ in range(resamples):
    refitted = attempt(notes, "bootstrap", select_again, rng.choice(len(everything), len(everything)))
    if refitted is not None:
        refit, excess = refitted
        sizes.append(len(refit.selected))
        optimism.append(excess)
        again["itself"] += [name in refit.selected for name in signature]
        again["itself or related"] += related[list(refit.selected)].any(axis=1)

# %%
frequency = (100 * again / max(len(sizes), 1)).map("{:.0f} %".format).rename_axis("feature").reset_index()
if frequency.empty:
    frequency.loc[0] = ["the combined signature is empty", "–", "–"]
low, middle, high = np.percentile(sizes, [0, 50, 100]) if sizes else (np.nan,) * 3
apparent = c_index(scores["combined"], "training", "Combined")["value"]
corrected = apparent - np.mean(optimism) if optimism else None
if corrected is not None:
    chapter.record("text.training.c_index.radiomics_combined", corrected, track="recommended")
glue("radiomics_signature_sizes", f"{low:.0f} to {high:.0f}", display=False)
glue("radiomics_signature_median", f"{middle:.0f}", display=False)
glue("radiomics_c_corrected", format_number(corrected), display=False)
caption = f"How often features of the combined signature return in {len(sizes)} bootstrap samples."
chapter.table("bootstrap", frequency, caption)

# %% [markdown]
# The bootstrap signatures hold {glue:text}`radiomics_signature_sizes` features (median
# {glue:text}`radiomics_signature_median`): the size of a signature is itself a draw. Without its optimism
# the combined signature's training C-index is {glue:text}`radiomics_c_corrected`.

# %% [markdown]
# (radiomics-stability)=
# ### Stability
#
# A second reader draws another contour. Here the surface of each contour is moved in and out by a smooth
# random amount with a standard deviation of 1.5 mm, twice for each of some training patients. The
# intraclass correlation (one-way) says what share of a feature's variance is left between patients; its
# lower 95 % limit is what a cautious reader looks at.

# %% tags=["remove-stderr"]
limit = 0.75
chosen = rng.choice(patients.index[training], min(stability_patients, int(training.sum())), replace=False)
own = cases[(cases["sequence"] == "cet1w") & cases["patient_id"].isin(chosen)]
redrawn = radiomics.redrawn_cases(own, 3, amplitude_mm=1.5, rng=rng)
readings = radiomics.extract_readings(redrawn, settings=settings, workers=workers)
icc = layout.merge(radiomics.feature_icc(readings), on="column").query("copy_of == ''")
families = {"original": "original", "log": "Laplacian of Gaussian", "wavelet": "wavelet"}
icc["family"] = icc["image"].str.split("-").str[0].map(families)
stable_share = f"{100 * (icc['low'] > limit).mean():.0f} %"
glue("radiomics_stable", stable_share, display=False)
glue("radiomics_icc_limit", str(limit), display=False)

# %%
stable = icc.groupby(["block", "family"], sort=False)["low"].agg(
    features="size", stable=lambda low: f"{100 * (low > limit).mean():.0f} %", median="median"
)
names = {"stable": f"lower limit above {limit}", "median": "median lower limit"}
stable = stable.round({"median": 3}).reset_index().rename(columns=names)
chapter.table("stability", stable, "Stability of CET1W features under redrawn contours.")

# %%
fig, ax = plt.subplots(figsize=(7, 3.2))
sns.boxplot(icc, x="low", y="block", hue="family", palette="colorblind", fliersize=2, linewidth=1, ax=ax)
ax.axvline(limit, color="0.3", linestyle=":", linewidth=1)
ax.set(xlabel="ICC, lower 95 % limit", ylabel="", xlim=(min(0.0, icc["low"].min()), 1.02))
ax.legend(title="", fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
sns.despine(fig)
alt = "Box plots of the stability (ICC) of features under redrawn contours, by class and by image filter."
chapter.figure("stability", fig, alt)

# %% [markdown]
# ### Manual and predicted contours
#
# The paper extracts from manual contours and argues that contouring is radiomics' weak point. Where
# chapter 02 has left predicted contours, the same patients' features are extracted from both; agreement
# counts as above.

# %% tags=["remove-stderr"]
both = [
    own.assign(mask_path=[contour_path(patient, "cet1w", drawn_by) for patient in own["patient_id"]])
    for drawn_by in ("manual", "predicted")
]
are_there = np.logical_and(*(table["mask_path"].map(lambda path: path.exists()) for table in both))
agreement = icc[["column", "block"]].assign(icc=np.nan, low=np.nan)
if are_there.any():
    pair = radiomics.extract_readings([t[are_there] for t in both], settings=settings, workers=workers)
    agreement = icc[["column", "block"]].merge(radiomics.feature_icc(pair), on="column")
agreed = agreement.groupby("block", sort=False)[["icc", "low"]].median().round(3).reset_index()
agreed.insert(1, "patients", int(are_there.sum()))
agreed = agreed.rename(columns={"icc": "median ICC", "low": "median lower limit"})
caption = "Agreement of CET1W features from manual and predicted contours."
chapter.table("contours", agreed, caption)

# %% [markdown]
# ### Centres
#
# Scanners differ between centres, and features with them. Each feature is expressed in standard
# deviations of the training patients; the table shows how far the mean of each centre lies from the
# training mean, over all informative features. A harmonisation fitted on training data cannot remove
# this, because the training centre tells nothing about the others' scanners; standardising within each
# centre does, at the price of using the new centre's patients as a group (and of removing a difference in
# case mix with it).

# %%
informative = [f"{s}_{c}" for s in SEQUENCES for c in layout.loc[layout["copy_of"] == "", "column"]]
spread = complete.loc[training, informative].std()
usable = spread.index[spread > 0]
scaled = (complete[usable] - complete.loc[training, usable].mean()) / spread[usable]
offsets = scaled.groupby(patients["center"]).mean()
table = pd.DataFrame(
    {
        "centre": offsets.index,
        "patients": patients["center"].value_counts().reindex(offsets.index).to_numpy(),
        "median |offset| (SD)": offsets.abs().median(axis=1).round(3).to_numpy(),
        "features off by more than 0.5 SD": [
            f"{100 * share:.0f} %" for share in (offsets.abs() > 0.5).mean(axis=1)
        ],
    }
)
chapter.table("centres", table, "Distance of each centre's mean feature from the training mean.")

# %% [markdown]
# ## Against the paper

# %%
chapter.against_paper()

# %%
reasons = pd.DataFrame(notes.items(), columns=["estimate", "why it cannot be had"])
if reasons.empty:
    reasons = pd.DataFrame([{"estimate": "all", "why it cannot be had": "none is missing"}])
chapter.table("notes", reasons, "Estimates that these data do not allow.")

# %% [markdown]
# ## Limits and deviations
#
# - The layout of 465 columns was read from the deposited script, which may not be the code behind the
#   paper. That its count agrees with print to the last column is the reason to believe it.
# - The paper states a pyradiomics version that does not exist; its link leads to another. Here it is
#   3.0.1, whose mesh-based shape features differ from earlier releases in the third or fourth digit.
# - Print tells normalisation before bias-field correction; chapter 02 does the reverse and shows the
#   difference.
# - Interpolation of images is linear here, nearest neighbour in the deposited script.
# - Ten folds are drawn once, with a seed. Other folds choose another penalty, and with it another number
#   of features; the printed counts are one such draw.
# - On a synthetic cohort, agreement with print shows that the pipeline recovers what was planted, not
#   that the paper is right.
#
# The method's central function, from the library:
#
# ```{literalinclude} ../npcbook/radiomics.py
# :pyobject: extract_images
# ```
#
# ## Hand-over
#
# `04_radiomics/scores` goes to chapter 05, which builds the combined radiomics model (RC) from it.
