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
# # Stress tests
#
# **What can the numbers of the chapters before bear, and how would one know that they could not?**
#
# ## In short
#
# - Scores that have nothing to do with the outcome reach p < 0.05 in
#   {glue:text}`stress_naive_rejections` of searches for the best cut-off when the search is ignored, and in
#   {glue:text}`stress_corrected_rejections` when it is corrected for; their median hazard ratio is
#   {glue:text}`stress_null_hr` ([cut-off](stress-cutpoint)).
# - A clinical model whose covariates are chosen by p-value in these patients, as the paper chose its own,
#   has a training C-index of {glue:text}`stress_apparent`, and of {glue:text}`stress_corrected` after
#   correction by a bootstrap that repeats the choice too ([optimism](stress-optimism)).
# - In the validation cohort the DC model's {term}`calibration` slope is {glue:text}`stress_slope` if its
#   training scores are those of patients it was fitted on, and {glue:text}`stress_slope_recommended` if they
#   are not; 1 is right ([calibration](stress-calibration)).
# - With outcomes dealt to the wrong patients the validation C-index of the clinical
#   model is {glue:text}`stress_permuted` on average; chance is 0.5 ([chance](stress-permuted)).
# - Estimating the {glue:text}`stress_parameters` clinical candidates with little overfitting takes about
#   {glue:text}`stress_patients_needed` patients at this event rate; the training cohort has
#   {glue:text}`stress_patients` ([sample size](stress-sample-size)).
#
# **Reads** the cohort table (chapter 01), the scores of chapter 05 and the risk groups of chapter 06.
# **Writes** tables for the reader only.

# %% [markdown]
# ## Setup

# %%
import numpy as np
import pandas as pd
from myst_nb import glue

from npcbook.book.chapter import open_chapter
from npcbook.book.figures import plot_calibration, small_multiples
from npcbook.book.tables import attempt, list_reasons
from npcbook.cohort.columns import code_covariates, covariate_names
from npcbook.paper.printed import lookup
from npcbook.statistics.calibration import (
    calibrate,
    cumulative_incidence,
    fit_absolute_risk,
    minimum_sample_size,
    net_benefit,
)
from npcbook.statistics.concordance import harrell_c, uno_c
from npcbook.statistics.cox import fit_cox, univariable_cox
from npcbook.statistics.imputation import impute_binary, pool
from npcbook.statistics.resampling import cutpoint_under_no_effect, optimism_corrected_c, permuted_c
from npcbook.statistics.survival import kaplan_meier
from npcbook.words import LABELS, MISSING, format_estimate, format_hr, format_number, format_p, style_of

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
horizon_months = 60  # calibration, survival rates and Uno's C, as the paper's 5-year figures
clinical_covariates = "t2,rene_g1,rene_g2,female"  # the paper's clinical model: T category, rENE and sex
n_repeats = 500  # random scores whose best cut-off is searched
n_resamples = 100  # bootstrap samples for optimism
n_permutations = 100  # of the outcomes
seed = 2023  # of all random numbers here

# %% [markdown]
# ## Data
#
# Scores, outcomes and the clinical covariates, coded as in [chapter 05](05_cox_models): the scores as
# published, and the recommended ones, in which training patients are scored {term}`out of fold`. For these
# the DL head is fitted, radiomics' selection repeated and each Cox model fitted without the patient's fold
# (the selection where there are events enough to repeat it, [chapter 04](radiomics-out-of-fold)). Unless a
# section says otherwise the event is {term}`distant metastasis`, deaths are {term}`censored <censoring>`, and
# times are months. `not_estimable` collects what the data cannot give, with the reason.

# %%
chapter = open_chapter("09_stress_tests", run_folder=run_folder, cohort_folder=cohort_folder)
COHORTS = ["training", "validation"]
MODELS = ["radiomics_combined", "clinical", "dl_combined", "rc", "dc"]
not_estimable = {}
patients = chapter.read("01_cohorts/cohort").set_index("patient_id")
scores = chapter.read("05_cox_models/scores").set_index("patient_id").loc[patients.index]
unseen = chapter.read("05_cox_models/scores_recommended").set_index("patient_id").loc[patients.index]
TRACKS = {"as published": scores, "recommended": unseen}
groups = chapter.read("06_km/groups").set_index("patient_id").loc[patients.index]
cohort = {name: patients.index[patients["cohort"] == name] for name in COHORTS}


def outcome(index):
    """Return time and event (distant metastasis) of some patients."""
    return patients.loc[index, "dmfs_months"].to_numpy(), patients.loc[index, "dm_event"].to_numpy()


# %%
candidates = code_covariates(patients)
labels = ["Age, per year", "Female sex", "T2", "N1", "LDH abnormal", "EBV DNA detectable"]
labels += ["rENE G1", "rENE G2", "Chemotherapy"]
NAMES = dict(zip(candidates.columns, labels, strict=True))
clinical = covariate_names(clinical_covariates)
overview = pd.DataFrame({"cohort": COHORTS, "patients": [len(cohort[name]) for name in COHORTS]})
overview["distant metastases"] = [int(outcome(cohort[name])[1].sum()) for name in COHORTS]
chapter.table("events", overview, "Patients and events of the stress tests.")

# %% [markdown]
# ## Method
#
# A result is put under stress in three ways. **No effect**: the same analysis where there is nothing to
# find; what it finds then is what chance and the method add. **Again**: the same procedure on bootstrap
# samples, or in other patients. **Otherwise**: another defensible choice in place of the one made.
#
# No test of this kind is in the paper. They are those that textbooks and reporting guides ask of a prediction
# model {cite}`steyerberg2009`.
#
# {term}`Optimism` is measured as follows {cite}`harrell1996`. In each bootstrap sample $b$ the whole
# procedure is repeated, selection included; the model's C-index there, $C_b$, less its C-index in the
# original patients, $C_b^0$, is how much it flatters itself:
#
# $$C_{\text{corrected}} = C_{\text{apparent}} - \frac1B \sum_{b=1}^{B} \left(C_b - C_b^0\right).$$
#
# ```{literalinclude} ../npcbook/validation.py
# :pyobject: optimism_corrected_c
# ```

# %% [markdown]
# ## Result
#
# (stress-cutpoint)=
# ### The best cut-off of a useless score
#
# The training cohort's own outcomes, and {glue:text}`stress_repeats` random scores, whose best
# {term}`cut-off` is searched as in [chapter 06](06_km). Under no effect a p-value is below any $x$ in a share
# $x$ of analyses: its curve lies on the diagonal.

# %%
rng = np.random.default_rng(seed)
null = attempt(
    not_estimable, "Cut-off under no effect", cutpoint_under_no_effect, *outcome(cohort["training"]),
    n_repeats=n_repeats, rng=rng,
)  # fmt: skip
fig, (ax,) = small_multiples(1, panel_height=4.2, width=5.2)
shown = {"p_naive": ("as published", "naive: cut-off taken as given"),
         "p_corrected": ("recommended", "corrected for the search")}  # fmt: skip
for column, (track, name) in shown.items() if null is not None else ():
    color, line = style_of(track)
    ax.ecdf(null[column], label=name, color=color, linestyle=line)
ax.plot([0, 1], [0, 1], color="0.45", linewidth=0.9, linestyle=(0, (4, 3)), label="what a p-value must do")
ax.set(xlabel="p-value", ylabel="Share of random scores with a smaller one", xlim=(0, 1), ylim=(0, 1))
ax.legend(loc="lower right", fontsize=8)
alt = "Distribution of the naive and the corrected p-value when the score has no effect."
chapter.figure("cutpoint_under_no_effect", fig, alt)


# %%
def percent(share):
    """Return a share as text, in per cent."""
    return f"{100 * share:.1f} %"


has_null = null is not None
naive = percent((null["p_naive"] < 0.05).mean()) if has_null else MISSING
corrected = percent((null["p_corrected"] < 0.05).mean()) if has_null else MISSING
middle = format_number(null["hr"].median()) if has_null else MISSING
upper = format_number(null["hr"].quantile(0.95, interpolation="lower")) if has_null else MISSING
glue("stress_naive_rejections", naive, display=False)
glue("stress_corrected_rejections", corrected, display=False)
glue("stress_null_hr", middle, display=False)
glue("stress_null_hr_upper", upper, display=False)
glue("stress_repeats", n_repeats, display=False)
glue("stress_printed_hr", lookup("text.training.km_hr.dl_combined")["printed"], display=False)

# %% [markdown]
# *How to read it.* A curve above the diagonal finds effects that are not there; one on or below it does
# not. Of random scores {glue:text}`stress_naive_rejections` look significant at 5 % when the search is
# ignored, {glue:text}`stress_corrected_rejections` when it is corrected for. The {term}`hazard ratio` is
# inflated with them: the median under no effect is {glue:text}`stress_null_hr` where the truth is 1, and
# one score in twenty passes {glue:text}`stress_null_hr_upper`. The paper's DL hazard ratio in training,
# {glue:text}`stress_printed_hr`, must be seen against this, not against 1. The simulation covers the search
# only: a score that was fitted to the outcomes has a further advantage, which no random score has.
#
# (stress-optimism)=
# ### Optimism of the training C-index
#
# Four procedures: the clinical model with its covariates chosen by p < 0.05 in univariable and
# multivariable analysis, the same with the covariates given, and the RC and DC models as published, whose
# scores enter as fixed. Patients with an unknown covariate are left out of the first (complete cases).


# %%
def fit_given(time, event, table):
    """Fit all columns that vary."""
    varying = table.loc[:, table.nunique() > 1]
    return fit_cox(time, event, varying, on_monotone="report").risk


def fit_selected(time, event, table):
    """Choose covariates as the paper did, by both kinds of p-value, and fit those."""
    varying = table.loc[:, table.nunique() > 1]
    together = fit_cox(time, event, varying, on_monotone="report")
    alone = univariable_cox(time, event, varying)["p_value"].to_numpy()
    chosen = varying.columns[(together.p_value < 0.05) & (alone < 0.05)]
    if chosen.empty:
        raise ValueError("no covariate has p < 0.05 in both analyses, so there is no model: use given ones.")
    return fit_given(time, event, varying[chosen])


PROCEDURES = {
    "Clinical, covariates selected": (fit_selected, candidates),
    "Clinical, covariates given": (fit_given, candidates[clinical]),
    "RC, radiomics score fixed": (fit_given, candidates[clinical].join(scores["radiomics_combined"])),
    "DC, DL score fixed": (fit_given, candidates[clinical].join(scores["dl_combined"])),
}

# %%
rows = []
for name, (fit, table) in PROCEDURES.items():
    known = {c: table.loc[cohort[c]].dropna() for c in COHORTS}
    time, event = outcome(known["training"].index)
    result = attempt(
        not_estimable, f"Optimism: {name}", optimism_corrected_c, time, event, known["training"], fit,
        n_resamples=n_resamples, rng=np.random.default_rng(seed),
    )  # fmt: skip
    row = {"procedure": name, "patients": len(time), "events": int(event.sum())}
    if result is not None:
        risk = fit(time, event, known["training"])(known["validation"])
        data = (*outcome(known["validation"].index), risk)
        external = attempt(not_estimable, f"Validation: {name}", harrell_c, *data)
        row |= {"apparent": format_number(result.apparent), "optimism": format_number(result.optimism, 3)}
        row |= {"corrected": format_number(result.corrected), "samples with a model": result.n_resamples}
        row |= {"validation (95 % CI)": external and format_estimate(external.c, external.low, external.high)}
    rows.append(row)
columns = ["procedure", "patients", "events", "apparent", "optimism", "corrected", "samples with a model"]
columns.append("validation (95 % CI)")
optimism = pd.DataFrame(rows).reindex(columns=columns).fillna(MISSING)
glue("stress_apparent", optimism["apparent"].iloc[0], display=False)
glue("stress_corrected", optimism["corrected"].iloc[0], display=False)
chapter.table("optimism", optimism, "Harrell's C: apparent, corrected for optimism, and external.")

# %% [markdown]
# *How to read it.* From *apparent* to *corrected* is what a model owes to being judged on its own patients,
# as far as it can be known without others; from *corrected* to *validation* is what other hospitals change
# beyond that. The correction covers the steps that are repeated, and no others. Selecting covariates is one
# of them in the first row; making the radiomics and the DL score is not in the last two, so these stay too
# good: there only the validation column is honest.
#
# (stress-calibration)=
# ### Calibration by the horizon
#
# A score ranks patients; a decision needs a probability. Each score is turned into one by a
# {term}`Cox model` of that score in the training cohort, once with the published scores of the training
# patients, once with those from models that had not seen them. The probability is then tried on the
# validation cohort, where nothing is fitted. Slope (over all follow-up): below 1, high risks are overstated
# and low ones understated. O/E: observed over expected metastases, above 1 if risk is understated on the
# whole. ICI: mean distance between predicted and (smoothed) observed risk. Observed risks are one minus
# {term}`Kaplan–Meier <Kaplan–Meier curve>`.

# %%
time, event = outcome(cohort["training"])
absolute = {}
for track, table in TRACKS.items():
    for model in MODELS:
        data = (time, event, table.loc[cohort["training"], model], horizon_months)
        note = f"Absolute risk: {LABELS[model]}, {track}"
        absolute[track, model] = attempt(not_estimable, note, fit_absolute_risk, *data)
places = {"validation": cohort["validation"]}
for center, part in patients.loc[cohort["validation"]].groupby("center"):
    places[f"validation, centre {center}"] = part.index


def calibration(track, model, place):
    """Return the calibration of a model's probabilities among the patients of a place, or None."""
    if absolute[track, model] is None:
        return None
    predicted = absolute[track, model].predict(TRACKS[track].loc[places[place], model])
    note = f"Calibration: {LABELS[model]}, {track}, {place}"
    return attempt(not_estimable, note, calibrate, *outcome(places[place]), predicted, horizon_months)


calibrations = {(t, model, place): calibration(t, model, place) for model in MODELS for t in TRACKS
                for place in places}  # fmt: skip

# %%
rows = []
for (track, model, place), result in calibrations.items():
    row = {"model": LABELS[model], "scores": track, "patients of": place}
    if result is not None:
        row["slope (95 % CI)"] = format_estimate(result.slope, result.slope_low, result.slope_high)
        row["expected"], row["observed"] = percent(result.expected), percent(result.observed)
        row["O/E (95 % CI)"] = format_estimate(result.o_e, result.o_e_low, result.o_e_high)
        row["ICI"] = percent(result.ici)
    rows.append(row)
columns = ["model", "scores", "patients of", "slope (95 % CI)", "expected", "observed", "O/E (95 % CI)"]
shown = pd.DataFrame(rows).reindex(columns=[*columns, "ICI"]).fillna(MISSING)
whole = shown[shown["patients of"] == "validation"].drop(columns="patients of")
dc = whole[whole["model"] == LABELS["dc"]].set_index("scores")
glue("stress_slope", dc.loc["as published", "slope (95 % CI)"], display=False)
glue("stress_slope_recommended", dc.loc["recommended", "slope (95 % CI)"], display=False)
caption = f"Calibration of the risk of metastasis by {horizon_months} months, validation cohort."
chapter.table("calibration", whole, caption)

# %%
by_center = shown[(shown["patients of"] != "validation") & (shown["model"] == LABELS["dc"])]
chapter.table("calibration_centres", by_center, "Calibration of the DC model in each validation centre.")

# %%
fig, axes = small_multiples(2, panel_height=5.0, width=5.0)
for ax, track in zip(axes, TRACKS, strict=True):
    parts = [
        result.groups.assign(cohort=place)
        for (name, model, place), result in calibrations.items()
        if (name, model) == (track, "dc") and result is not None and place in list(places)[1:]
    ]
    if parts:
        plot_calibration(pd.concat(parts), horizon_months=horizon_months, ax=ax)
    ax.set_title(f"DC, scores {track}" + ("" if parts else ": not estimable"), loc="left")
alt = (
    "Observed against predicted risk of metastasis by fifths of the DC model's predicted risk and by centre."
)
chapter.figure("calibration", fig, alt)

# %% [markdown]
# *How to read it.* Points are fifths of predicted risk with 95 % limits; on the dashed line predictions are
# right on average, above it risk is understated. A model can rank well (a high C-index) and still be far from
# this line, in particular if it learnt what a score is worth from patients in whom the score looked better
# than it was: the DC model's slope is {glue:text}`stress_slope` with scores as published and
# {glue:text}`stress_slope_recommended` with recommended ones. Points that crowd at the left edge stand for
# patients who are told that they have almost no risk. Each fifth holds few events, by centre fewer still, so
# a single point says little; the slope and O/E of the table say more.
#
# (stress-decision)=
# ### Decision curve
#
# Whether to act on a probability depends on how many patients one would treat in vain to treat one rightly: a
# threshold of $p$ means $(1-p)/p$ of them. The {term}`net benefit` counts those treated rightly less those in
# vain at that rate,
#
# $$B(p) = \frac{TP}{n} - \frac{FP}{n}\,\frac{p}{1-p},$$
#
# with $TP$ patients above the threshold who have the event, and $FP$ who have not, of $n$. A model is of
# use at a threshold where its curve lies above both treating all and treating none.

# %%
thresholds = np.linspace(0.01, 0.4, 40)
time, event = outcome(cohort["validation"])
benefits = {}
for track, table in TRACKS.items():
    predicted = {"Treat all": np.ones(len(time))}
    for model in ("clinical", "dl_combined", "dc"):
        if absolute[track, model] is not None:
            predicted[model] = absolute[track, model].predict(table.loc[cohort["validation"], model])
    for name, risk in predicted.items():
        note = f"Net benefit: {LABELS.get(name, name)}, {track}"
        data = (time, event, risk, horizon_months, thresholds)
        benefits[track, name] = attempt(not_estimable, note, net_benefit, *data)

# %%
top = max(100 * event.mean(), 1)
fig, axes = small_multiples(2, panel_height=3.8, width=5.6)
for ax, track in zip(axes, TRACKS, strict=True):
    for (of, name), benefit in benefits.items():
        if of == track and benefit is not None:
            color, line = style_of(name) if name in LABELS else ("black", (0, (5, 1.5)))
            label = LABELS.get(name, name)
            ax.plot(100 * thresholds, 100 * benefit, color=color, linestyle=line, label=label)
    ax.axhline(0, color="black", linewidth=0.9, label="Treat none")
    ax.set(ylabel="Net benefit, per 100 patients", ylim=(-0.3 * top, 1.1 * top), title=f"Scores {track}")
    ax.legend(fontsize=8)
axes[-1].set_xlabel("Threshold probability, %")
alt = "Net benefit of treating by each model, all or none, by threshold probability; one panel a track."
chapter.figure("decision_curve", fig, alt)

# %% [markdown]
# *How to read it.* Choose the threshold at which you would act, and go up: the highest curve is the best
# policy there. A curve at the height of *treat none* marks thresholds at which the model changes nothing for
# the better. It has a gap where nobody above the threshold was followed to the horizon. A wrong calibration
# costs benefit even where the ranking is right, so that a model may look useless in one panel and useful in
# the other without ranking patients differently. "Treat" assumes a treatment that works and does equal good
# to all who will have the event, which [chapter 08](08_ccnd) leaves open.
#
# (stress-permuted)=
# ### Outcomes dealt to the wrong patients
#
# Within each cohort, follow-up and event are dealt out anew, and the clinical model (covariates given) is
# fitted and validated. Nothing can be learned, so the validation C-index must centre on 0.5. This checks the
# code of this page and shows how far chance moves a C-index. It cannot find a leak in the chapters before,
# whose scores are not made anew; that fits do not use validation data is for the library's tests to show. The
# training row shows what fitting alone adds.

# %%
data = [(*outcome(cohort[c]), candidates.loc[cohort[c], clinical]) for c in COHORTS]
rng = np.random.default_rng(seed)
permuted = attempt(
    not_estimable, "Permuted outcomes", permuted_c, *data, fit_given, n_permutations=n_permutations, rng=rng
)
rows = []
for name in COHORTS if permuted is not None else ():
    low, median, high = permuted[name].quantile([0.025, 0.5, 0.975])
    rows.append({"C-index in": name, "mean": format_number(permuted[name].mean(), 3)})
    rows[-1] |= {"median (95 % of permutations)": format_estimate(median, low, high)}
    rows[-1] |= {"permutations": len(permuted)}
chance = pd.DataFrame(rows or [{"C-index in": "not estimable"}])
glue("stress_permuted", rows[1]["mean"] if rows else MISSING, display=False)
glue("stress_permutations", n_permutations, display=False)
chapter.table("permuted", chance, "C-index of the clinical model after permuting the outcomes.")

# %% [markdown]
# *How to read it.* The validation row should hold 0.5 in its middle: here its mean is
# {glue:text}`stress_permuted`, of {glue:text}`stress_permutations` permutations. The width of its range is
# what chance alone does to a C-index with this many events; a model inside it cannot be told from chance by
# this measure. The training row lies above 0.5 because fitting finds something in any data.
#
# (stress-sample-size)=
# ### Events per parameter
#
# Riley's criteria ask for an expected shrinkage of at least 0.9 and an {term}`optimism` of at most 0.05 in R²
# relative to its maximum; R² is assumed to be 15 % of that maximum. Parameters are all those that were
# tried, not those kept.

# %%
n, events = len(cohort["training"]), int(outcome(cohort["training"])[1].sum())
tried = {
    "clinical model, covariates given": len(clinical),
    "clinical candidates": candidates.shape[1],
    "radiomic features": int(float(lookup("text.radiomics.features")["printed"])),
}
sizes = {name: minimum_sample_size(p, n, events) for name, p in tried.items()}
needs = pd.DataFrame({
    "model": list(tried),
    "parameters": [f"{p:,}" for p in tried.values()],
    "events per parameter": [format_number(events / p, 2) for p in tried.values()],
    "patients needed": [f"{size.n_patients:,}" for size in sizes.values()],
    "events needed": [f"{size.n_events:,}" for size in sizes.values()],
    "shrinkage expected here": [format_number(size.expected_shrinkage) for size in sizes.values()],
})  # fmt: skip
glue("stress_parameters", tried["clinical candidates"], display=False)
glue("stress_patients_needed", needs["patients needed"].iloc[1], display=False)
glue("stress_patients", n, display=False)
chapter.table("sample_size", needs, f"Sample size for {events} events among {n} training patients.")

# %% [markdown]
# *How to read it.* Shrinkage is the factor by which the fitted coefficients should be multiplied to hold in
# new patients; 0.9 or more means little {term}`overfitting`. What counts is events, not patients: adding
# patients without metastasis hardly helps. The criteria are for models without penalty: the {term}`LASSO`
# shrinks, but what it selects from so many features is as uncertain as the last row says. For a network no
# such count exists; it has more coefficients than there are features.
#
# (stress-uno)=
# ### Uno's C beside Harrell's
#
# Harrell's {term}`C <C-index>` averages over the pairs that censoring happened to leave; Uno's
# {cite}`uno2011` weighs them so that follow-up no longer matters, if censoring has nothing to do with the
# covariates. Both use events up to the horizon, and the scores as published.

# %%
rows = []
for model in MODELS:
    row = {"model": LABELS[model]}
    for name in COHORTS:
        values = []
        for label, estimate in {"Harrell": harrell_c, "Uno": uno_c}.items():
            data = (*outcome(cohort[name]), scores.loc[cohort[name], model])
            note = f"{label}'s C: {LABELS[model]}, {name}"
            c = attempt(not_estimable, note, estimate, *data, tau=horizon_months)
            row[f"{name}, {label}"] = c and format_estimate(c.c, c.low, c.high)
            values.append(c.c if c else np.nan)
        row[f"{name}, difference"] = values[1] - values[0]
    rows.append(row)
uno = pd.DataFrame(rows)
differences = uno[[f"{name}, difference" for name in COHORTS]]
largest = differences.abs().max().max()
glue("stress_uno_largest", format_number(None if np.isnan(largest) else largest, 3), display=False)
chapter.table("uno", uno, f"C-index up to {horizon_months} months by Harrell and by Uno.")

# %% [markdown]
# *How to read it.* The largest difference between the two is {glue:text}`stress_uno_largest`. Small ones say
# that the pattern of follow-up is not what made a C-index high or low; they say nothing about overfitting,
# which both share.
#
# (stress-definition)=
# ### What counts as an event
#
# The paper does not say whether a death without metastasis is an event of {term}`DMFS`. Counting metastasis
# only (the default here, for the reason given in [chapter 01](01_cohorts)) estimates something other than
# counting both, as most trials do.

# %%
DEFINITIONS = {"metastasis, deaths censored": "dm", "metastasis or death": "both"}


def defined(index, kind):
    """Return time and event of some patients by one of the definitions."""
    rows = patients.loc[index]
    if kind == "dm":
        return outcome(index)
    first = np.where(rows["dm_event"] == 1, rows["dmfs_months"], rows["os_months"])
    return first, ((rows["dm_event"] == 1) | (rows["os_event"] == 1)).astype(int).to_numpy()


# %%
rows = []
for text, kind in DEFINITIONS.items():
    for name in COHORTS:
        time, event = defined(cohort[name], kind)
        km = kaplan_meier(time, event, at=[horizon_months])
        limits = (100 * value[0] for value in (km.survival, km.low, km.high))
        row = {"event": text, "cohort": name, "events": int(event.sum())}
        row[f"{horizon_months}-month rate, % (95 % CI)"] = format_estimate(*limits, 1)
        for model in ("dl_combined", "dc"):
            note = f"C-index: {LABELS[model]}, {name}, {text}"
            c = attempt(not_estimable, note, harrell_c, time, event, scores.loc[cohort[name], model])
            row[f"C-index, {LABELS[model]}"] = c and format_estimate(c.c, c.low, c.high)
        rows.append(row)
definitions = pd.DataFrame(rows)
glue("stress_events_dm", int(definitions["events"].iloc[0]), display=False)
glue("stress_events_both", int(definitions["events"].iloc[2]), display=False)
chapter.table("definition", definitions, "DMFS by two definitions of its event.")

# %% [markdown]
# *How to read it.* In the training cohort there are {glue:text}`stress_events_dm` events by the first
# definition and {glue:text}`stress_events_both` by the second. A score made to predict metastasis says less
# about deaths from other causes, so its C-index usually falls when these count.
#
# (stress-competing)=
# ### Death as a competing event
#
# One minus Kaplan–Meier is the risk of metastasis if nobody died of anything else, and if those who died
# would have had the same risk as those who lived. The share of patients who will actually be seen with
# metastasis, death being a {term}`competing risk`, is the cumulative incidence (Aalen–Johansen).

# %%
rows = []
for name in COHORTS:
    for group in ("high", "low"):
        index = cohort[name][groups.loc[cohort[name], "dl_combined"] == group]
        row = {"cohort": name, "DL risk": group, "patients": len(index)}
        if len(index) and patients.loc[index, "dmfs_months"].max() >= horizon_months:
            time, event = outcome(index)
            status = np.where(event == 1, 1, 2 * patients.loc[index, "os_event"])
            naive_risk = 1 - kaplan_meier(time, event, at=[horizon_months]).survival[0]
            row["1 − Kaplan–Meier"] = percent(naive_risk)
            row["cumulative incidence"] = percent(cumulative_incidence(time, status, horizon_months))
            row["deaths without metastasis"] = int((status == 2).sum())
        rows.append(row)
competing = pd.DataFrame(rows).fillna(MISSING)
chapter.table("competing", competing, f"Risk of metastasis by {horizon_months} months.")

# %% [markdown]
# *How to read it.* Where few die without metastasis by the horizon the two columns agree; in an older cohort
# they would not, and the first would be too high.
#
# (stress-missing)=
# ### Missing laboratory values
#
# The paper leaves out patients with unknown {term}`LDH` or {term}`EBV DNA`, which assumes that values are
# missing by chance alone. First, where they are missing:

# %%
unknown = candidates[["ldh_abnormal", "ebv_detectable"]].isna()
known_event = patients["dm_event"] == 1
rows = []
for center, part in patients.groupby("center"):
    row = {"centre": center, "patients": len(part)}
    for column, name in {"ldh_abnormal": "LDH", "ebv_detectable": "EBV DNA"}.items():
        lost = unknown.loc[part.index, column]
        row[f"{name} unknown"] = percent(lost.mean())
        row[f"{name} unknown, with metastasis"] = f"{(lost & known_event[part.index]).sum()} / {lost.sum()}"
    rows.append(row)
chapter.table("missing", pd.DataFrame(rows), "Unknown laboratory values by centre; metastases among them.")

# %% [markdown]
# Second, the multivariable model in the training cohort by complete cases and by {term}`multiple imputation`
# {cite}`jakobsen2017`: each unknown value is drawn from a model of all other covariates and of the outcome
# (event and cumulative hazard), twenty times, and the fits are pooled by Rubin's rules.


# %%
def pooled_cox(time, event, table):
    """Return the multivariable model pooled over imputed data sets."""
    sets = impute_binary(time, event, table, n_imputations=20, rng=np.random.default_rng(seed))
    fits = [fit_cox(time, event, data) for data in sets]
    return pool([fit.coef for fit in fits], [fit.se for fit in fits])


table = candidates.loc[cohort["training"]]
table = table.loc[:, table.nunique() > 1]
kept = table.dropna()
complete = attempt(not_estimable, "Complete cases", fit_cox, *outcome(kept.index), kept)
imputed = attempt(not_estimable, "Multiple imputation", pooled_cox, *outcome(table.index), table)
shown = pd.DataFrame({"covariate": table.columns.map(NAMES)})
if complete is not None:
    ratios = zip(complete.hr, complete.hr_low, complete.hr_high, strict=True)
    shown[f"complete cases (n = {len(kept)}), HR (95 % CI)"] = [format_hr(*ratio) for ratio in ratios]
if imputed is not None:
    ratios = np.exp([imputed.coef, imputed.low, imputed.high]).T
    shown[f"imputed (n = {len(table)}), HR (95 % CI)"] = [format_hr(*ratio) for ratio in ratios]
    shown["p, imputed"] = [format_p(p) for p in imputed.p_value]
    shown["variance due to missing values"] = [percent(share) for share in imputed.missing_information]
chapter.table("imputation", shown, "Multivariable model of distant metastasis, training cohort.")

# %% [markdown]
# *How to read it.* Where the two columns differ by much of an interval, leaving patients out was not
# harmless. The last column is the share of an estimate's uncertainty that comes from not knowing the
# values. Imputation in turn assumes that what is missing can be told from what is known: if, say, EBV DNA
# was measured in those who looked ill, and this is not in the table, both columns are wrong.
#
# What these data could not give, with the reason:

# %%
chapter.table("not_estimable", list_reasons(not_estimable), "Estimates that the data do not allow.")

# %% [markdown]
# ## Against the paper
#
# The paper prints none of these checks. What it prints that they bear on stands beside them; the values
# here are for this run's patients, so that only the kind of change carries over, not its size.


# %%
def printed(published_id):
    """Return a printed number with its interval, as printed."""
    row = lookup(published_id)
    interval = f" ({row['low_printed']}–{row['high_printed']})" if row["low_printed"] else ""
    return f"{row['printed']}{interval}"


def here(writer, published_id, as_text):
    """Return the value that an earlier chapter set beside a printed number, as text; else a dash."""
    rows = chapter.read(f"{writer}/values").set_index(["id", "track"])
    if (published_id, "as published") not in rows.index:
        return MISSING
    return as_text(*rows.loc[(published_id, "as published"), ["value", "low", "high"]])


# %%
HR, C = "text.training.km_hr.dl_combined", "table4.validation.c_index.dc"
slopes = dc["slope (95 % CI)"]
beside = pd.DataFrame(
    [
        ("C-index of the clinical model (covariates selected anew), training",
         printed("table4.training.c_index.clinical"),
         optimism["apparent"].iloc[0], f"{optimism['corrected'].iloc[0]} corrected for optimism"),
        ("DL hazard ratio at the best cut-off, training", printed(HR), here("06_km", HR, format_hr),
         f"a useless score's best cut-off gives {middle} (median)"),
        ("C-index of DC, validation", printed(C), here("05_cox_models", C, format_estimate),
         f"calibration slope {slopes['as published']} as published, {slopes['recommended']} recommended"),
        ("5-year DMFS, training, %" + ("" if horizon_months == 60 else f" (here {horizon_months} months)"),
         printed("table1.training.dmfs_5y"), definitions.iloc[0, 3],
         f"{definitions.iloc[2, 3]} if deaths count"),
    ],
    columns=["what", "printed", "as published, here", "what the printed number leaves out"],
).fillna(MISSING)  # fmt: skip
chapter.table("against_paper", beside, "Printed numbers that these checks bear on.")

# %% [markdown]
# *What agreement means.* There is nothing to agree with: the last column holds what the printed number
# leaves out. The checks do not show that the paper's results are wrong. They show how large a result of
# that kind can become without an effect, with these numbers of patients and events, and therefore which of
# the printed ones would need the missing check before anybody acts on them. {term}`Truth <planted truth>`
# is not shown because each check is its own comparison: with chance, with other patients, or with another
# choice.
#
# ```{admonition} Try this
# :class: tip
# Change one line of the parameters cell and run all cells; `make book` afterwards restores the run.
#
# - `clinical_covariates = "t2,rene_g1,rene_g2,female,age,n1"`: more coefficients that need not matter. The
#   optimism of the model with given covariates usually grows, its validation C-index usually does not.
# - `horizon_months = 36`: fewer events by then. In the calibration table expected and observed risk fall and
#   the relative limits of O/E widen; the slope and its limits do not move, because they use all follow-up.
# ```
#
# ## Limits and deviations
#
# - Random scores are continuous. A score with few values, like the clinical one, offers fewer cuts and
#   inflates less.
# - The bootstrap cannot repeat the training of the networks or the radiomics selection in the time of a
#   page; their optimism is part of the step from the training to the validation column. What scoring out of
#   fold takes off is in [chapter 05](cox-recommended).
# - Calibration rests on few events per fifth of predicted risk, per centre most of all: the limits say
#   how few.
# - No p-value on this page is corrected for the number of checks; they are descriptions, not findings.
# - Riley's criteria assume a share of explainable variation; the numbers needed are roughly inversely
#   proportional to it: half the share, about twice the patients.
#
# **Hands over** nothing: this chapter only judges.
