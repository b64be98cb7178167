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
# # Cox models
#
# **Which model ranks patients best by their risk of distant metastasis, and are the differences larger
# than chance?**
#
# ## In short
#
# - The multivariable model has {glue:text}`cox_parameters` coefficients for
#   {glue:text}`cox_complete_events` events: {glue:text}`cox_events_per_parameter` events a coefficient
#   ([Table 2](cox-table-2)).
# - The DC model's C-index is {glue:text}`cox_dc_training` in the training patients that it was fitted on
#   and {glue:text}`cox_dc_validation` in the validation cohort ([Table 4](cox-table-4)).
# - Against the DL score alone the DC model differs by {glue:text}`cox_dc_dl_training` in training and by
#   {glue:text}`cox_dc_dl_validation` in validation ([Table 4](cox-table-4)).
# - Scoring every training patient by models that have not seen that patient changes the training C-index
#   of DC from {glue:text}`cox_dc_training` to {glue:text}`cox_dc_crossed`
#   ([recommended](cox-recommended)).
# - The ceiling, reached by a score that knows everything which was planted, is {glue:text}`cox_ceiling` in
#   validation ([what was planted](cox-planted)).
#
# **Reads** the cohort table (chapter 01), the DL scores (03) and the radiomics scores (04). **Writes**
# five risk scores a patient (`scores.csv`, and `scores_recommended.csv`) and the models' coefficients,
# for chapters 06 to 10.

# %% [markdown]
# ## Setup

# %%
import numpy as np
import pandas as pd
from myst_nb import glue

from npcbook.book.chapter import open_chapter
from npcbook.book.figures import plot_roc, small_multiples
from npcbook.book.tables import attempt, list_reasons
from npcbook.cohort.columns import code_covariates, covariate_names
from npcbook.cohort.reading import read_truth
from npcbook.paper.printed import lookup
from npcbook.statistics.concordance import compare_c, harrell_c, uno_c
from npcbook.statistics.firth import fit_cox_or_firth, fit_firth_cox
from npcbook.statistics.resampling import stratified_folds
from npcbook.statistics.timeroc import auc_at, compare_auc
from npcbook.words import COVARIATES, LABELS, MISSING, format_estimate, format_hr, format_number, format_p

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
horizon_months = 60  # the paper's TD-ROC curves are at 5 years
clinical_covariates = "t2,rene_g1,rene_g2,female"  # the paper's clinical model: T category, rENE and sex
n_folds = 5  # recommended track only: groups of training patients scored by models fitted on the others
seed = 2023  # of the division into folds

# %% [markdown]
# ## Data
#
# One row a patient: covariates, follow-up in months, and the scores of the chapters before. The event is
# {term}`distant metastasis`; a patient who dies without one is {term}`censored <censoring>` at death.
# `not_estimable` collects what the data cannot give, with the reason; such cells stay empty and the list is
# shown at the end of *Result*.

# %%
chapter = open_chapter("05_cox_models", run_folder=run_folder, cohort_folder=cohort_folder)
COHORTS = ["training", "validation"]
MODELS = ["radiomics_combined", "clinical", "dl_combined", "rc", "dc"]
not_estimable = {}


def with_scores(name):
    """Return the patients with the DL and radiomics scores of that name."""
    df = chapter.read("01_cohorts/cohort")
    for stage in ("04_radiomics", "03_dl_training"):
        df = df.merge(chapter.read(f"{stage}/{name}"), on="patient_id", how="left", validate="one_to_one")
    return df.set_index("patient_id")


patients = with_scores("scores")
training = patients[patients["cohort"] == "training"]
scored = patients[["radiomics_combined", "dl_combined"]].notna().all(axis=1)
summary = patients.assign(scored=scored).groupby("cohort")
summary = summary.agg(
    n=("dm_event", "size"), events=("dm_event", "sum"), scored=("scored", "sum")
).reset_index()
summary.columns = ["cohort", "patients", "distant metastases", "with radiomics and DL scores"]
chapter.table("events", summary, "Patients and events of the analysis.")

# %% [markdown]
# ## Method
#
# **The models.** The paper fits {term}`Cox models <Cox model>`: the hazard of distant metastasis of a
# patient with covariates $x$ is
#
# $$h(t \mid x) = h_0(t)\,\exp(\beta_1 x_1 + \dots + \beta_p x_p),$$
#
# with the baseline hazard $h_0$ left open, so that $e^{\beta_1}$ is the {term}`hazard ratio` of patients who
# differ by one unit of $x_1$. The clinical model holds T category, {term}`rENE` and sex; RC adds the
# radiomics score to these, DC the DL score. All three are fitted on the training cohort alone. A patient's
# score is $\beta^\top x$, higher meaning worse.
#
# **What is assumed.** That censored patients fare like those still followed, which for death means that
# metastasis would have been as likely had they lived. That hazard ratios are constant in time
# ({term}`proportional hazards`; tested below by the score test on the Kaplan–Meier scale of time, as R's
# `cox.zph`). That age and scores act linearly on the log hazard. That values are missing by chance
# alone: each univariable model uses the patients in whom its covariate is known, the multivariable one
# those in whom all are. {glue:text}`cox_ties` events of the training cohort share their time with another;
# such ties are treated by {term}`Efron`'s method, the default in R.
#
# **When there is no maximum.** Where a level has no events the likelihood rises for ever as its coefficient
# runs off (it is *monotone*). Then, and only then, estimates come from {term}`Firth's penalty`
# {cite}`firth1993,heinze2001`, whose ties are {term}`Breslow`'s, and the table says so:
#
# ```{literalinclude} ../npcbook/firth.py
# :pyobject: fit_cox_or_firth
# ```
#
# **How models are judged.** By Harrell's {term}`C-index` {cite}`harrell1996`: of all pairs in which one
# patient has the event while the other is still followed, the share in which that patient has the higher
# score,
#
# $$C = \Pr(\text{risk}_i > \text{risk}_j \mid t_i < t_j,\ \text{event}_i),$$
#
# tied scores counting half. By the {term}`time-dependent AUC` at the {term}`horizon`, whose cases are the
# patients with metastasis by then, weighted for censoring {cite}`hung2010`. Differences between two models on
# the same patients are tested with the covariance of the two estimates, as in R's `compareC` and `timeROC`.
#
# Covariates are coded against the paper's reference levels.

# %%
FACTORS = [
    ["rene_g1", "rene_g2"] if name == "rene_g1" else [name] for name in COVARIATES if name != "rene_g2"
]
covariates = code_covariates(patients)

# %% [markdown]
# A level that no patient has, or that another column already determines, cannot be estimated: it is left
# out, and the table says so.


# %%
def estimable(table):
    """Return the columns that vary and are not a combination of the columns before them."""
    kept = []
    for name in table:
        columns = table[[*kept, name]] - table[[*kept, name]].mean()
        if np.linalg.matrix_rank(columns) == len(kept) + 1:
            kept.append(name)
    return table[kept]


def fit_model(table, *, firth=False):
    """Fit the distant-metastasis model of a table of covariates; Firth's where the likelihood is monotone."""
    table = estimable(table.dropna())
    rows = patients.loc[table.index]
    fitted = (fit_firth_cox if firth else fit_cox_or_firth)(rows["dmfs_months"], rows["dm_event"], table)
    return fitted.summary().assign(
        method=fitted.method, n_patients=fitted.n_patients, n_events=fitted.n_events
    )


# %% [markdown]
# ## Result
#
# (cox-table-2)=
# ### Covariates and distant metastasis (Table 2)
#
# Univariable models take one factor at a time (rENE with both its levels), the multivariable model all of
# them.

# %%
in_training = covariates.loc[training.index]
usable = [[name for name in factor if name in estimable(in_training[factor].dropna())] for factor in FACTORS]
univariable = pd.concat([fit_model(in_training[factor]) for factor in usable if factor]).set_index(
    "covariate"
)
multivariable = fit_model(in_training).set_index("covariate")
penalised = fit_model(in_training, firth=True).set_index("covariate")
left_out = [COVARIATES[name] for name in COVARIATES if name not in multivariable.index]


def hr_columns(fit, title):
    """Return hazard ratio and p-value as text, a mark after ratios from Firth's likelihood."""
    mark = " †" if (fit["method"] == "Firth").all() and title != "Firth" else ""
    text = {name: format_hr(row["hr"], row["hr_low"], row["hr_high"]) + mark for name, row in fit.iterrows()}
    p_values = {name: format_p(p) for name, p in fit["p_value"].items()}
    return pd.DataFrame({f"{title} HR (95 % CI)": text, f"{title} p": p_values})


def record_fit(fit, kind, track):
    """Set a model's hazard ratios beside the printed ones."""
    for name, row in fit.iterrows():
        limits = {"low": row["hr_low"], "high": row["hr_high"], "p_value": row["p_value"]}
        chapter.record(f"table2.{kind}.{name}", row["hr"], **limits, track=track)


# %% [markdown]
# Events at a level are shown beside the number of patients: a ratio cannot be firmer than its events.
# † marks ratios from Firth's likelihood, because some level in the model has no events.

# %%
counts = {}
for name in COVARIATES:
    at_level = training.index[in_training[name] == 1] if name != "age" else training.index
    counts[name] = f"{training.loc[at_level, 'dm_event'].sum()} / {len(at_level)}"
table_2 = pd.DataFrame({"covariate (reference)": COVARIATES, "events / patients": counts})
parts = [univariable[univariable["method"] == method] for method in ("Cox", "Firth")]
table_2 = table_2.join(pd.concat([hr_columns(part, "univariable") for part in parts]))
table_2 = table_2.join(hr_columns(multivariable, "multivariable")).join(hr_columns(penalised, "Firth"))
record_fit(univariable, "univariable", "as published")
record_fit(multivariable, "multivariable", "as published")
record_fit(penalised, "multivariable", "recommended")
chapter.table("table_2", table_2.fillna(MISSING), "Hazard ratios of distant metastasis, training cohort.")

# %%
complete = multivariable.iloc[0]
glue("cox_parameters", len(multivariable), display=False)
glue("cox_complete_patients", int(complete["n_patients"]), display=False)
glue("cox_complete_events", int(complete["n_events"]), display=False)
glue("cox_events_per_parameter", format_number(complete["n_events"] / len(multivariable), 1), display=False)
glue("cox_left_out", "; ".join(left_out) or "none", display=False)
glue("cox_tested", len(univariable) + len(multivariable), display=False)
event_times = training.loc[training["dm_event"] == 1, "dmfs_months"]
glue("cox_ties", f"{event_times.duplicated(keep=False).sum()} of {len(event_times)}", display=False)

# %% [markdown]
# *How to read it.* A ratio above 1 means more metastases than in the reference level; the univariable
# column compares patients as they come, the multivariable one patients alike in everything else listed.
# Where the two differ much, the covariate partly stood for another. The multivariable model rests on
# {glue:text}`cox_complete_patients` complete patients with {glue:text}`cox_complete_events` events;
# covariates that could not enter: {glue:text}`cox_left_out`. The last two columns, the recommended ones, hold
# the same model with Firth's penalty and profile likelihood limits {cite}`venzon1988`, which keep their
# coverage when events are few.
#
# *What it does not say.* An interval that holds 1 does not show that a covariate is without effect; with so
# few events it often cannot show anything else. Nor do {glue:text}`cox_tested` p-values of one table, none of
# them corrected, single out the true effects. Choosing covariates by these p-values on the same patients, as
# the paper does for its clinical model, makes the chosen ones look stronger than they are
# ([chapter 09](09_stress_tests) repeats that choice in bootstrap samples).
#
# (cox-models)=
# ### The clinical, RC and DC models
#
# Each model is fitted once on all training patients; these coefficients score both cohorts. The scores of
# the radiomics and DL models enter as they come from their chapters, as if they had been measured; that they
# were themselves fitted on these patients is not accounted for, and is what the recommended track mends.

# %%
clinical = covariate_names(clinical_covariates)


def inputs(table):
    """Return the covariates of the three Cox models, for every patient of a table with scores."""
    base = covariates[clinical]
    rc = base.assign(radiomics_combined=table["radiomics_combined"])
    return {"clinical": base, "rc": rc, "dc": base.assign(dl_combined=table["dl_combined"])}


def score(table, model):
    """Return the score of a fitted model, higher = worse."""
    return table[model["covariate"].tolist()] @ model["coef"].to_numpy()


def five_scores(table, fitted):
    """Return the five scores of every patient."""
    cox = {name: score(design, fitted[name]) for name, design in inputs(table).items()}
    return table[["radiomics_combined", "dl_combined"]].assign(**cox)[MODELS]


models = {name: fit_model(design.loc[training.index]) for name, design in inputs(patients).items()}
scores = five_scores(patients, models)
coefficients = pd.concat(models, names=["model"]).reset_index("model").reset_index(drop=True)

# %%
chapter.write("coefficients", coefficients)
chapter.write("scores", scores.reset_index())
spread = pd.concat([covariates, patients], axis=1).loc[training.index, coefficients["covariate"].unique()]
spread = coefficients["covariate"].map(spread.std())
constant = coefficients.reindex(columns=["ph_p_value"])["ph_p_value"].dropna()
glue("cox_ph_tested", len(constant), display=False)
glue("cox_ph_below", int((constant < 0.05).sum()), display=False)
shown = pd.DataFrame({
    "model": coefficients["model"].map(LABELS),
    "covariate": coefficients["covariate"].map(COVARIATES | LABELS),
    "coefficient": coefficients["coef"],
    "HR (95 % CI)": [format_hr(*row) for row in coefficients[["hr", "hr_low", "hr_high"]].to_numpy()],
    "HR per standard deviation": [format_hr(value) for value in np.exp(coefficients["coef"] * spread)],
    "p": coefficients["p_value"].map(format_p),
    "proportional hazards p": coefficients.reindex(columns=["ph_p_value"])["ph_p_value"].map(format_p),
    "method": coefficients["method"],
})  # fmt: skip
chapter.table("coefficients_shown", shown, "The three Cox models, fitted on the training cohort.")

# %% [markdown]
# *How to read it.* A model's rows are one patient's risk, term by term. Ratios of scores are per unit of
# the score; since a unit may be more than any two patients differ by (the published DL score is a
# probability), the next column gives them per standard deviation in the training cohort. If a score
# separates the training patients almost completely, its coefficient becomes huge and its Wald interval
# useless, wide and holding 1 although the likelihood has risen steeply: then the model has learnt these
# patients, and only new patients can tell what it is worth.
#
# The p-value of proportional hazards asks whether a ratio stays the same over follow-up; it is below 0.05 in
# {glue:text}`cox_ph_below` of {glue:text}`cox_ph_tested` coefficients, of which one in twenty is expected by
# chance. A small one means that the ratio is an average over time, weighted by when events happened; the
# ranking of patients, which is all that follows here, may still be sound.
#
# (cox-table-4)=
# ### Discrimination (Table 4)
#
# Harrell's C and the AUC at the horizon for each model, with the p-value of the difference to the
# radiomics model, which is the paper's reference; then the differences of two pairs of nested models, DC
# against DL and RC against clinical.


# %%
def survival_of(cohort, scored):
    """Return patients of a cohort who have all scores of a table, their time and event."""
    rows = patients[(patients["cohort"] == cohort) & scored.reindex(patients.index).notna().all(axis=1)]
    return rows.index, rows["dmfs_months"].to_numpy(), rows["dm_event"].to_numpy()


def performance(table, cohort, model):
    """Return C-index and AUC of a model in a cohort; None where it cannot be estimated."""
    index, time, event = survival_of(cohort, table[[model]])
    where, risk = f"{LABELS.get(model, model)}, {cohort}", table.loc[index, model].to_numpy()
    return {
        "c_index": attempt(not_estimable, f"C-index: {where}", harrell_c, time, event, risk),
        "auc": attempt(not_estimable, f"AUC: {where}", auc_at, time, event, risk, horizon_months),
    }


# %%
def differences(table, cohort, model, other):
    """Return the comparisons of two models' C-index and AUC in a cohort; None where there is none."""
    index, time, event = survival_of(cohort, table[[model, other]])
    where = f"{LABELS[model]} against {LABELS[other]}, {cohort}"
    data = (time, event, table.loc[index, model].to_numpy(), table.loc[index, other].to_numpy())
    return {
        "c_index": attempt(not_estimable, f"C-index: {where}", compare_c, *data),
        "auc": attempt(not_estimable, f"AUC: {where}", compare_auc, *data, horizon_months),
    }


# %%
PAIRS = [(model, "radiomics_combined") for model in MODELS[1:]] + [("dc", "dl_combined"), ("rc", "clinical")]
MEASURES = {"c_index": "c", "auc": "auc"}
PRINTED = list(MEASURES) if horizon_months == 60 else ["c_index"]  # AUCs are printed at 5 years only


def record_table_4(found, tests, track):
    """Set performances, with p-values against radiomics, and the p-values of the two pairs beside print."""
    for (cohort, model), result in found.items():
        against = tests.get((cohort, model, MODELS[0]), {})
        for measure, value in result.items():
            if value is not None:
                p_value = against[measure].p_value if against.get(measure) else None
                details = {"low": value.low, "high": value.high, "p_value": p_value, "track": track}
                estimate = getattr(value, MEASURES[measure])
                if measure in PRINTED:
                    chapter.record(f"table4.{cohort}.{measure}.{model}", estimate, **details)
    for cohort, model, other in tests:
        for measure, test in tests[cohort, model, other].items():
            if test is not None and other != MODELS[0] and measure in PRINTED:
                chapter.record(f"table4.{cohort}.{measure}.{model}_vs_{other}", test.p_value, track=track)


# %%
def assess(table, track):
    """Return all performances and comparisons of five scores, recorded."""
    found = {(c, m): performance(table, c, m) for c in COHORTS for m in MODELS}
    tests = {(c, a, b): differences(table, c, a, b) for c in COHORTS for a, b in PAIRS}
    record_table_4(found, tests, track)
    return found, tests


found, tests = assess(scores, "as published")


# %%
def difference_alone(test):
    """Return a difference with its limits; three decimals, since near 0 two could contradict the p-value."""
    return format_estimate(test.difference, test.low, test.high, 3)


def table_4(found, tests, measure, field):
    """Return one half of Table 4 as text."""
    rows = {LABELS[model]: {} for model in MODELS} | {
        f"{LABELS[a]} vs {LABELS[b]}": {} for a, b in PAIRS[-2:]
    }
    for cohort in COHORTS:
        for model in MODELS:
            value = found[cohort, model][measure]
            limits = (value.low, min(value.high, 1.0)) if value else ()
            text = format_estimate(getattr(value, field), *limits) if value else MISSING
            rows[LABELS[model]][f"{cohort} (95 % CI)"] = text
        for a, b in PAIRS:
            test = tests[cohort, a, b][measure]
            name = LABELS[a] if b == MODELS[0] else f"{LABELS[a]} vs {LABELS[b]}"
            rows[name][f"{cohort} p"] = MISSING if test is None else format_p(test.p_value)
            if b != MODELS[0] and test is not None:
                rows[name][f"{cohort} (95 % CI)"] = difference_alone(test)
        rows[LABELS[MODELS[0]]][f"{cohort} p"] = "reference"
    columns = [f"{cohort} {part}" for cohort in COHORTS for part in ("(95 % CI)", "p")]
    return pd.DataFrame(rows).T[columns].fillna(MISSING).reset_index(names="model")


chapter.table(
    "table_4_c_index", table_4(found, tests, "c_index", "c"), "Harrell's C-index for distant metastasis."
)

# %%
chapter.table(
    "table_4_auc",
    table_4(found, tests, "auc", "auc"),
    f"Area under the ROC curve at {horizon_months} months.",
)


# %%
def c_text(result):
    """Return a C-index as text; its limits, symmetric by construction, end at 1."""
    return MISSING if result is None else format_estimate(result.c, result.low, min(result.high, 1.0))


def difference_text(test):
    """Return a difference of two C-indices with its p-value as text."""
    if test is None:
        return MISSING
    return f"{difference_alone(test)}, p {format_p(test.p_value)}"


for cohort in COHORTS:
    printed = lookup(f"table4.{cohort}.c_index.dl_combined")["printed"]
    glue(f"cox_printed_{cohort}", printed, display=False)
    glue(f"cox_dc_{cohort}", c_text(found[cohort, "dc"]["c_index"]), display=False)
    glue(f"cox_dc_dl_{cohort}", difference_text(tests[cohort, "dc", "dl_combined"]["c_index"]), display=False)
glue("cox_comparisons", len(tests) * len(MEASURES), display=False)

# %% [markdown]
# *How to read it.* 0.5 is a coin, 1 a perfect ranking. The training column is *apparent* performance: the
# models are judged on the patients that they were fitted on, and the DL score on patients that its network
# was trained on. Only the validation column says how a model does with new patients. The DC model's C-index
# there is {glue:text}`cox_dc_validation`; the difference to the DL score alone is
# {glue:text}`cox_dc_dl_validation`.
#
# *What it does not say.* The {glue:text}`cox_comparisons` comparisons of both tables share patients and are
# not corrected for their number, so a single p below 0.05 among them is weak evidence. A p-value above 0.05
# does not show that two models are equal: its interval says how large a difference remains possible. And a
# C-index says nothing about whether predicted risks are right; that is
# {term}`calibration`, in [chapter 09](09_stress_tests).
#
# (cox-roc)=
# ### Time-dependent ROC curves (Fig. 2)
#
# The counterpart of the paper's Figure 2. Cases are patients with distant metastasis by the horizon; controls
# are followed beyond it without.

# %%
fig, axes = small_multiples(len(COHORTS), panel_height=5.0, width=5.4)
for ax, cohort in zip(axes, COHORTS, strict=True):
    curves = {
        model: found[cohort, model]["auc"] for model in MODELS if found[cohort, model]["auc"] is not None
    }
    if curves:
        plot_roc(curves, horizon_months=horizon_months, ax=ax)
    ax.set_title(f"{LABELS[cohort]} cohort" + ("" if curves else ": not estimable"), loc="left")
alt = "Time-dependent ROC curves of the models, training cohort above validation cohort."
chapter.figure("figure_2_roc", fig, alt)

# %% [markdown]
# *How to read it.* Going along a curve, the cut-off for calling a patient high risk falls: up are cases
# found, to the right are false alarms. A curve close to the diagonal ranks patients no better than chance.
# Curves rise in steps, one a case: with few cases a single patient moves a curve visibly, and curves that
# cross cannot be ordered by one number. The clinical model knows few kinds of patient, hence its straight
# pieces. The distance between a model's curves in the upper and the lower panel is what it loses, or gains,
# on new patients.
#
# (cox-recommended)=
# ### Recommended: no patient judged by a model that has seen that patient
#
# The DL and radiomics scores of training patients come {term}`out of fold`, from prognosis heads (chapter 03)
# and feature selections (chapter 04) that were made without them. The three Cox models score every training
# patient from a fit on the other folds, stratified by event; validation patients are scored by the model
# fitted on all training patients.


# %%
def cross_fit(design):
    """Return scores of the training patients, each from a model fitted without that patient's fold."""
    design = design.loc[training.index]
    fold = stratified_folds(training["dm_event"], n_folds, rng=np.random.default_rng(seed))
    parts = [score(design[fold == k], fit_model(design[fold != k])) for k in range(fold.max() + 1)]
    return pd.concat(parts)


recommended = with_scores("scores_recommended")
designs = inputs(recommended)
fitted = {name: fit_model(design.loc[training.index]) for name, design in designs.items()}
scores_recommended = five_scores(recommended, fitted)
for name, design in designs.items():
    scores_recommended.loc[training.index, name] = cross_fit(design).loc[training.index]
chapter.write("scores_recommended", scores_recommended.reset_index())
found_recommended, tests_recommended = assess(scores_recommended, "recommended")
glue("cox_dc_crossed", c_text(found_recommended["training", "dc"]["c_index"]), display=False)

# %% [markdown]
# Uno's C {cite}`uno2011` stands beside Harrell's: it weights pairs so that it does not depend on how patients
# happened to be censored. It counts events up to the horizon.

# %%
rows = []
for model in MODELS:
    row = {"model": LABELS[model]}
    row["training, apparent"] = c_text(found["training", model]["c_index"])
    row["training, not seen"] = c_text(found_recommended["training", model]["c_index"])
    row["validation"] = c_text(found_recommended["validation", model]["c_index"])
    index, time, event = survival_of("validation", scores_recommended[[model]])
    risk = scores_recommended.loc[index, model].to_numpy()
    note = f"Uno's C: {LABELS[model]}, validation"
    row["validation, Uno's C"] = c_text(
        attempt(not_estimable, note, uno_c, time, event, risk, tau=horizon_months)
    )
    rows.append(row)
chapter.table("recommended", pd.DataFrame(rows), "C-index by the recommended track.")

# %% [markdown]
# *How to read it.* The step from the first to the second column is what judging a model on its own training
# patients adds ({term}`optimism`); for DL and DC it also holds the change from the published to the
# recommended prognosis head. The step from the second to the third is what another hospital, with other
# scanners and other patients, takes away. A model whose second and third columns agree carries over. None of
# this chooses a model: that would make the validation cohort a second training cohort.
#
# (cox-planted)=
# ### What was planted
#
# For a {term}`synthetic cohort` the true linear predictor of every patient is known. Its C-index (the
# {term}`oracle`'s) is the ceiling for any model on new patients; chance and censoring keep it below 1. A real
# cohort has no such table.

# %%
truth = read_truth(cohort_folder)
PLANTED = {
    "linear_predictor": "everything planted",
    "visible": "clinical and imaging parts",
    "lp_clinical": "clinical part",
    "lp_imaging": "imaging part",
}
oracle = pd.DataFrame({"planted": ["unknown: not a synthetic cohort"]})
if truth is not None:
    truth = truth.assign(visible=truth["lp_clinical"] + truth["lp_imaging"])
    planted = {(c, column): performance(truth, c, column) for c in COHORTS for column in PLANTED}
    table = {f"{c}, C": [c_text(planted[c, column]["c_index"]) for column in PLANTED] for c in COHORTS}
    oracle = pd.DataFrame({"planted": PLANTED.values()} | table)
ceiling = "unknown, as this cohort is not synthetic" if truth is None else oracle["validation, C"].iloc[0]
ceiling = "none, as nothing was planted" if ceiling == MISSING else ceiling
glue("cox_ceiling", ceiling, display=False)
chapter.table("oracle", oracle, "C-index of the planted linear predictor and of its parts.")

# %% [markdown]
# *How to read it.* The first row includes what neither images nor covariates show; the second is the most
# that a model can hope for. A model above the row of the clinical part has found something in the images; one
# far above the second row in training has learnt chance.
#
# The planted hazard ratios of Table 2 are read off the clinical part, which is linear in the covariates
# of patients in whom all are known. They hold *given* the images and what nothing shows; a Cox model
# without those aims nearer to 1, so its estimates are expected between 1 and the truth.

# %%
if truth is not None:
    for (cohort, column), result in planted.items():
        for measure, value in result.items() if column == "linear_predictor" else ():
            for model in MODELS if value is not None and measure in PRINTED else ():
                estimate = getattr(value, MEASURES[measure])
                chapter.record(f"table4.{cohort}.{measure}.{model}", estimate, track="truth")
    linear = covariates.drop(columns="chemotherapy").dropna()
    target = truth.loc[linear.index, "lp_clinical"]
    design = linear.assign(constant=1.0)
    slopes, _, rank, _ = np.linalg.lstsq(design, target, rcond=None)
    assert np.allclose(design @ slopes, target, atol=1e-3), "lp_clinical is not linear in the covariates"
    for name, slope in zip(linear, slopes, strict=False):
        if rank == design.shape[1]:
            chapter.record(f"table2.multivariable.{name}", np.exp(slope), track="truth")

# %% [markdown]
# What these data could not give, with the reason:

# %%
chapter.table("not_estimable", list_reasons(not_estimable), "Estimates that the data do not allow.")

# %% [markdown]
# ## Against the paper
#
# In Table 4 *truth* is the oracle's value, the same for all models: no model is expected to pass it,
# except by {term}`overfitting` or chance; in Table 2 it is the planted hazard ratio.

# %%
chapter.against_paper("Tables 2 and 4 as printed, and in this run.")

# %% [markdown]
# *What agreement means.* On a synthetic cohort the ratios of Table 2 were planted; estimates are expected
# between 1 and the truth, up to chance, and one interval in twenty misses its target even if all is right.
# If they do, coding, likelihood and events are handled as they should be. Agreement or disagreement in
# Table 4 mainly reflects how much signal was put into the phantoms and how small the network is. Neither says
# that the paper is right or wrong: the phantoms are this book's, and how much they show was this book's
# choice. On a real cohort agreement is replication, in so far as the patients are
# alike and none of them belonged to the paper.
#
# *What to look at first.* In the paper the DL score's C-index is {glue:text}`cox_printed_training` in
# training and {glue:text}`cox_printed_validation` in validation. A network trained on the outcomes of the
# training patients is expected to lose on new patients; whether it does here stands in the two columns of
# DL and DC above.
#
# ```{admonition} Try this
# :class: tip
# Change one line of the parameters cell and run all cells; `make book` afterwards restores the run.
#
# - `clinical_covariates = "t2,rene_g1,rene_g2,female,n1"`: one more coefficient for the same events. The
#   apparent C-index of the three Cox models rarely falls; whether validation follows is another matter.
# - `horizon_months = 36`: fewer patients are cases by then, so the AUCs change, their intervals usually
#   widen, and they are no longer set beside print. The C-index in Table 4 stays: it has no horizon.
# ```
#
# ## Limits and deviations
#
# - Scores are not centred: they are $\beta^\top x$ of the raw covariates. The paper does not say how its
#   scores are centred, so cut-offs (chapter 06) can be compared with print only up to a constant.
# - The paper selects the covariates of its clinical model by their p-values; here they are the parameter
#   `clinical_covariates`, with the paper's choice as default, so that an own cohort does not silently get
#   others.
# - Complete cases, as published, assume that LDH and EBV DNA are missing by chance alone;
#   [chapter 01](01_cohorts) shows their frequency by centre and [chapter 09](09_stress_tests) what
#   {term}`multiple imputation` changes.
# - Out-of-fold scores of other patients come from heads and selections that had seen the patient's own
#   outcome. A Cox model on top of them, fitted without the patient's fold, is therefore not wholly free of
#   it: the training column of RC and DC can be off on either side, and only the validation column is clean.
# - Deaths are censored. Chapter 09 treats them as {term}`competing <competing risk>`.
# - Centres are not strata of the baseline hazard: the training cohort of the paper is one hospital.
# - Age and the scores enter as straight lines, as in the paper; no curvature was looked for.
# - The comparison of nested models (DC against DL) by their C-indices has little power, and its test assumes
#   scores that were fixed beforehand. A likelihood ratio test with out-of-fold DL scores would say more;
#   coefficients beside a score that has learnt these patients do not.
#
# **Hands over** `scores.csv`, `scores_recommended.csv` and `coefficients.csv` to chapters 06 to 10.
