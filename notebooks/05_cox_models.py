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

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the cohort table (chapter 01), the DL scores (03) and the radiomics scores (04). **Writes**
# five risk scores a patient (`scores.csv`, and `scores_recommended.csv`) and the models' coefficients,
# for chapters 06 to 10.
#
# ## Setup

# %%
import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.utils import concordance_index

from npcbook.book import open_chapter, plot_roc, show_source, small_multiples
from npcbook.cohort import code_covariates, covariate_names, judged_cohort, read_scores, read_truth
from npcbook.paper import lookup
from npcbook.words import COHORTS, COVARIATES, ENDPOINTS, LABELS, MISSING, MODELS

# %% tags=["parameters"] needs="dmfs covariates"
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
horizon_months = 60  # 1 to last follow-up, months; the paper's TD-ROC curves are at 5 years
clinical_covariates = "t2,rene_g1,rene_g2,female"  # names of COVARIATES; the paper's clinical model
n_folds = 5  # 2 to 20; recommended track: groups of training patients, scored by models of the others
seed = 2023  # 0 or more; of the division into folds

# %%
chapter = open_chapter("05_cox_models", run_folder=run_folder, cohort_folder=cohort_folder)
TIME, EVENT = ENDPOINTS["DMFS"]

# %% [markdown]
# ## Data
#
# One row a patient: covariates, follow-up in months, scores. The event is {term}`distant metastasis`; death
# without one {term}`censors <censoring>`.


# %%
def with_scores(name):
    """Return the patients with the DL and radiomics scores of that name, as far as there are any."""
    df = chapter.read("01_cohorts/cohort")
    for table in (chapter.find(f"04_radiomics/{name}"), chapter.find(f"03_dl_training/{name}")):
        if table is not None:
            df = df.merge(table, on="patient_id", how="left", validate="one_to_one")
    return df.set_index("patient_id")


patients = with_scores("scores")
training = patients[patients["cohort"] == "training"]
covariates = code_covariates(patients)  # 0 or 1, against the paper's reference levels
in_training = covariates.loc[training.index]
COHORTS = [name for name in COHORTS if (patients["cohort"] == name).any()]
JUDGED = judged_cohort(patients)  # validation, or training where validation has no metastasis

# Which models there are follows from the scores at hand: without images there is the clinical model.
OWN = {"radiomics_combined": "rc", "dl_combined": "dc"}  # each score, and the Cox model that it enters
SCORES = [name for name in OWN if name in patients and training[name].notna().any()]
ROWS = [*SCORES[:1], "clinical", *SCORES[1:]]  # the order of Table 4: the rest follow as everywhere
ROWS += [OWN[name] for name in OWN if name in SCORES]
REFERENCE = ROWS[0]  # the model that Table 4 compares the others with, in print radiomics

# %%
scored = patients[SCORES].notna().all(axis=1)
summary = patients.assign(scored=scored).groupby("cohort")
summary = summary.agg(n=(EVENT, "size"), events=(EVENT, "sum"), scored=("scored", "sum")).reset_index()
summary.columns = ["cohort", "patients", "distant metastases", "with all scores at hand"]
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
# **What is assumed.** That censored patients, also those who died, fare like those still followed. That
# hazard ratios are constant in time ({term}`proportional hazards`; tested as by R's `cox.zph`). That age
# and scores act linearly on the log hazard. That values are missing by chance alone: each univariable model
# uses the patients in whom its covariate is known, the multivariable one those in whom all are. Ties are
# treated by {term}`Efron`'s method.
#
# **When there is no maximum.** Where a level has no events the likelihood rises for ever as its coefficient
# runs off (it is *monotone*). Then, and only then, estimates come from {term}`Firth's penalty` ([Firth
# 1993](bibliography.md); [Heinze and Schemper 2001](bibliography.md)), whose ties are {term}`Breslow`'s, and
# the table says so. Where Wald's statistic of a model is less than half of its likelihood ratio statistic, as
# if a score separates patients almost completely, limits are those of the profile likelihood ([Venzon and
# Moolgavkar 1988](bibliography.md)) and p-values those of the likelihood ratio:

# %%
from npcbook.statistics import estimable_columns, fit_cox_or_firth, fit_firth_cox

show_source(fit_cox_or_firth)

# %% [markdown]
# **How models are judged.** By Harrell's {term}`C-index` ([Harrell et al. 1996](bibliography.md)): of all
# pairs in which one patient has the event while the other is still followed, the share in which that patient
# has the higher score,
#
# $$C = \Pr(\text{risk}_i > \text{risk}_j \mid t_i < t_j,\ \text{event}_i),$$
#
# tied scores counting half. By the {term}`time-dependent AUC` at the {term}`horizon`, whose cases are the
# patients with metastasis by then, weighted for censoring ([Hung and Chiang 2010](bibliography.md)).
# Differences between two models on the same patients are tested with the covariance of the two estimates, as
# in R's `compareC` and `timeROC`.
#
# A level that no patient has, or that another column determines, is left out, and the table says so.


# %%
def fit_model(table, fit=fit_cox_or_firth):
    """Fit the distant-metastasis model of a table of covariates to the patients in whom all are known."""
    table = table.dropna()
    outcome = patients.loc[table.index, TIME], patients.loc[table.index, EVENT]
    return fit(*outcome, table[estimable_columns(table, *outcome)])


clinical = covariate_names(clinical_covariates, in_training)
chapter.methods(
    "Models. Cox models (Efron's treatment of ties) used the clinical covariates (reference in brackets) "
    f"{', '.join(COVARIATES[name] for name in clinical) or 'no covariate'}, alone"
    f"{''.join(f' and together with {LABELS[name]}' for name in SCORES)}. "
    "Discrimination was measured by Harrell's C-index, compared between models by its covariance, and "
    f"by the time-dependent area under the ROC curve at {horizon_months} months with inverse probability of "
    "censoring weights."
)

# %% [markdown]
# ## Result
#
# (cox-table-2)=
# ### Covariates and distant metastasis (Table 2)
#
# Univariable models take one factor at a time (rENE with both its levels), the multivariable one all of them.
# † marks ratios from Firth's likelihood, because some level in the model has no events.

# %%
from itertools import groupby

from npcbook.words import format_hr, format_number, format_p, or_dash

FACTORS = [list(levels) for _, levels in groupby(covariates, key=lambda name: name.rstrip("1234"))]
univariable = []
for factor in (factor for factor in FACTORS if estimable_columns(in_training[factor].dropna())):
    with chapter.noting(f"Univariable model: {', '.join(factor)}"):
        univariable.append(fit_model(in_training[factor]))
together = []
with chapter.noting("Multivariable model"):
    together = [fit_model(in_training), fit_model(in_training, fit_firth_cox)]
multivariable, penalised = together[:1], together[1:]


def hazard_ratios(fits):
    """Return the hazard ratios of some fits; each prints itself, with † if it is from Firth's likelihood."""
    return [fit[name] for fit in fits for name in fit.names]


def hr_columns(fits, title):
    """Return hazard ratios and their p-values as text."""
    found = pd.DataFrame([(r.name, f"{r}", format_p(r.p_value)) for r in hazard_ratios(fits)])
    found = found.reindex(columns=range(3)).set_index(0)
    return found.set_axis([f"{title} HR (95 % CI)", f"{title} p"], axis="columns")


# %%
counts = {}
for name in covariates:
    at_level = training.index[in_training[name] == 1] if name != "age" else training.index
    counts[name] = f"{training.loc[at_level, EVENT].sum()} / {len(at_level)}"
table_2 = pd.DataFrame({"covariate (reference)": COVARIATES, "events / patients": counts}).loc[[*counts]]
for title, fits in (("univariable", univariable), ("multivariable", multivariable), ("Firth", penalised)):
    kind, track = (title, "as published") if title != "Firth" else ("multivariable", "recommended")
    table_2 = table_2.join(hr_columns(fits, title))
    for ratio in hazard_ratios(fits):
        limits = {"low": ratio.hr_low, "high": ratio.hr_high, "p_value": ratio.p_value}
        if ratio.name[-1] not in "34" and ratio.name != "n2":  # print has stage II only
            chapter.record(f"table2.{kind}.{ratio.name}", ratio.hr, **limits, track=track)
table_2["Firth HR (95 % CI)"] = table_2["Firth HR (95 % CI)"].astype(object).str.removesuffix(" †")
chapter.table("table_2", table_2.fillna(MISSING), "Hazard ratios of distant metastasis, training cohort.")

# %% [markdown]
# *How to read it.* The univariable column compares patients as they come, the multivariable one patients
# alike in everything else listed. The last two, recommended, have Firth's penalty and profile limits.

# %%
for fit in multivariable:
    left_out = [text for name, text in COVARIATES.items() if name in covariates and name not in fit.names]
    n_parameters = len(fit.names)
    chapter.say(
        f"The multivariable model rests on {fit.n_patients} complete patients with {fit.n_events} events, "
        f"{format_number(fit.n_events / n_parameters, 1)} for each of its {n_parameters} coefficients"
        f"{'; covariates that could not enter: ' * bool(left_out)}{'; '.join(left_out)}. None of the "
        f"{len(hazard_ratios(univariable)) + n_parameters} p-values of the first columns is corrected."
    )

# %% [markdown]
# *What it does not say.* An interval that holds 1 does not show that a covariate is without effect.
# Choosing covariates by these p-values on the same patients, as the paper does for its clinical model,
# makes the chosen ones look stronger than they are ([chapter 09](09_stress_tests.ipynb) repeats that in
# bootstrap samples).
#
# (cox-models)=
# ### The clinical, RC and DC models
#
# The radiomics and DL scores enter as if they had been measured; that they were themselves fitted on these
# patients is what the recommended track mends.


# %%
def inputs(table):
    """Return the covariates of the Cox models, for every patient of a table with scores."""
    base = covariates[clinical]
    return {"clinical": base} | {OWN[name]: base.assign(**{name: table[name]}) for name in SCORES}


def score(table, fit):
    """Return the score of a fitted model, higher = worse; none for a patient with an unknown covariate."""
    return table[list(fit.names)] @ fit.coef


def all_scores(table):
    """Return the models fitted to the training patients, and all scores of every patient."""
    designs, fits = inputs(table), {}
    for name, design in designs.items():
        with chapter.noting(f"Model: {LABELS[name]}"):
            fits[name] = fit_model(design.loc[training.index])
    cox = {name: score(designs[name], fit) for name, fit in fits.items()}
    return fits, table[SCORES].assign(**cox).reindex(columns=ROWS)


models, scores = all_scores(patients)
chapter.write("scores", scores.reset_index())


# %%
def written_out(fit):
    """Return a fit as a table, one row a coefficient."""
    table = fit.summary().assign(method=fit.method, n_patients=fit.n_patients, n_events=fit.n_events)
    return table.assign(limits=fit.limits, lr_statistic=fit.lr_statistic)


names = "covariate coef coef_low coef_high hr hr_low hr_high p_value method limits"
EMPTY = pd.DataFrame(columns=names.split())
tables = {name: written_out(fit) for name, fit in models.items()} or {"clinical": EMPTY}
coefficients = pd.concat(tables, names=["model"])
coefficients = coefficients.reset_index("model").reset_index(drop=True)
chapter.write("coefficients", coefficients)
values = pd.concat([covariates, patients], axis=1).loc[training.index, coefficients["covariate"].unique()]
spread = coefficients["covariate"].map(values.std())
per_sd = np.exp(coefficients[["coef", "coef_low", "coef_high"]].mul(spread, axis=0))
constant = coefficients.reindex(columns=["ph_p_value"])["ph_p_value"]

# %%
shown = pd.DataFrame({
    "model": coefficients["model"].map(LABELS),
    "covariate": coefficients["covariate"].map(COVARIATES | LABELS),
    "coefficient": coefficients["coef"],
    "HR (95 % CI)": [format_hr(*row) for row in coefficients[["hr", "hr_low", "hr_high"]].to_numpy()],
    "HR per standard deviation (95 % CI)": [format_hr(*row) for row in per_sd.to_numpy()],
    "p": coefficients["p_value"].map(format_p),
    "proportional hazards p": constant.map(format_p),
    "method, limits": coefficients["method"] + ", " + coefficients["limits"].replace("wald", "Wald"),
})  # fmt: skip
shown.loc[coefficients["covariate"].isin(SCORES), "HR (95 % CI)"] = MISSING  # a unit is beyond any difference
chapter.table("coefficients_shown", shown, "The Cox models, fitted on the training cohort.")
steep = [LABELS[name] for name, fit in models.items() if fit.limits == "profile" and fit.method == "Cox"]
if steep:
    chapter.say(f"Wald's limits fail in: {', '.join(steep)}.")

# %% [markdown]
# *How to read it.* A unit of a score may be more than any two patients differ by: its ratio stands only per
# standard deviation in the training cohort. If a score separates these patients almost completely, its
# ratio becomes huge: then the model has learnt them, and only new ones can tell what it is worth. A small
# p-value of proportional hazards means that the ratio is an average over time; a large one does not show
# that it stays.
#
# (cox-table-4)=
# ### Discrimination (Table 4)
#
# Harrell's C and the AUC at the horizon for each model, with the p-value of the difference to the
# radiomics model, which is the paper's reference; then the differences of two pairs of nested models, DC
# against DL and RC against clinical. *80 % power at* is the true difference that the test of the p-value
# before it finds in four of five cohorts.


# %%
from npcbook.statistics import auc_at, compare_auc, compare_c, harrell_c


def survival_of(cohort, scored):
    """Return time and event of the patients of a cohort who have all scores of a table, and the scores."""
    rows = patients[(patients["cohort"] == cohort) & scored.reindex(patients.index).notna().all(axis=1)]
    risks = (scored.loc[rows.index, name].to_numpy() for name in scored)
    return rows[TIME].to_numpy(), rows[EVENT].to_numpy(), *risks


def performance(table, cohort, model):
    """Return C-index and AUC of a model in a cohort; None where it cannot be estimated."""
    data, where = survival_of(cohort, table[[model]]), f"{LABELS.get(model, model)}, {cohort}"
    result = {"c_index": None, "auc": None}
    with chapter.noting(f"C-index: {where}"):
        result["c_index"] = harrell_c(*data)
    with chapter.noting(f"AUC: {where}"):
        result["auc"] = auc_at(*data, horizon_months)
    return result


# %%
def differences(table, cohort, model, other):
    """Return the comparisons of two models' C-index and AUC in a cohort; None where there is none."""
    data = survival_of(cohort, table[[model, other]])
    where, result = f"{LABELS[model]} against {LABELS[other]}, {cohort}", {"c_index": None, "auc": None}
    with chapter.noting(f"C-index: {where}"):
        result["c_index"] = compare_c(*data)
    with chapter.noting(f"AUC: {where}"):
        result["auc"] = compare_auc(*data, horizon_months)
    return result


# %%
NESTED = [pair for pair in (("dc", "dl_combined"), ("rc", "clinical")) if {*pair} <= {*ROWS}]
PAIRS = list(dict.fromkeys([*((model, REFERENCE) for model in ROWS[1:]), *NESTED]))
MEASURES = {"c_index": "c", "auc": "auc"}
PRINTED = list(MEASURES) if horizon_months == 60 else ["c_index"]  # AUCs are printed at 5 years only


def record_table_4(found, tests, track):
    """Set performances, with p-values against radiomics, and the p-values of the two pairs beside print."""
    for (cohort, model), result in found.items():
        against = tests.get((cohort, model, "radiomics_combined"), {})
        for measure in (name for name in PRINTED if result[name] is not None):
            value, test = result[measure], against.get(measure)
            details = {"low": value.low, "high": value.high, "p_value": test and test.p_value, "track": track}
            estimate = getattr(value, MEASURES[measure])
            chapter.record(f"table4.{cohort}.{measure}.{model}", estimate, **details)
    for cohort, model, other in tests:
        for measure in PRINTED if other != REFERENCE else ():
            if (test := tests[cohort, model, other][measure]) is not None:
                chapter.record(f"table4.{cohort}.{measure}.{model}_vs_{other}", test.p_value, track=track)


# %%
def assess(table, track):
    """Return all performances and comparisons of five scores, recorded."""
    found = {(c, m): performance(table, c, m) for c in COHORTS for m in ROWS}
    tests = {(c, a, b): differences(table, c, a, b) for c in COHORTS for a, b in PAIRS}
    record_table_4(found, tests, track)
    return found, tests


found, tests = assess(scores, "as published")


# %%
POWER = "80 % power at"


def table_4(measure):
    """Return one half of Table 4; differences take three decimals, as two could contradict the p-value."""
    rows = {LABELS[model]: {} for model in ROWS}
    for cohort in COHORTS:
        for model in ROWS:
            rows[LABELS[model]][f"{cohort} (95 % CI)"] = or_dash(found[cohort, model][measure])
        for a, b in PAIRS:
            test = tests[cohort, a, b][measure]
            row = rows.setdefault(LABELS[a] if b == REFERENCE else f"{LABELS[a]} vs {LABELS[b]}", {})
            row[f"{cohort} p"] = MISSING if test is None else format_p(test.p_value)
            row[f"{cohort} {POWER}"] = MISSING if test is None else f"{test.detectable:.2f}"
            if b != REFERENCE:
                row[f"{cohort} (95 % CI)"] = MISSING if test is None else f"{test:3}"
        rows[LABELS[REFERENCE]][f"{cohort} p"] = "reference"
    columns = [f"{cohort} {part}" for cohort in COHORTS for part in ("(95 % CI)", "p", POWER)]
    table = pd.DataFrame(rows).T.reindex(columns=columns).dropna(axis=1, how="all")
    return table.fillna(MISSING).reset_index(names="model")


chapter.table("table_4_c_index", table_4("c_index"), "Harrell's C-index for distant metastasis.")
chapter.table("table_4_auc", table_4("auc"), f"Area under the ROC curve at {horizon_months} months.")

# %%
c_of = {key: or_dash(result["c_index"]) for key, result in found.items()}
n_tests = len(tests) * len(MEASURES)
chapter.say(f"The {n_tests} comparisons of both tables share patients; none is corrected for their number.")

# %% [markdown]
# *How to read it.* 0.5 is a coin, 1 a perfect ranking. The training column is *apparent* performance:
# models are judged on the patients that they were fitted on. Only in the validation column nothing was
# fitted.<span class="planted"> It is not wholly blind either. While settings were chosen, by values of
# training patients, the validation values of the default synthetic cohort (seed 50) and of another (seed 101)
# stood on the screen; those of the cohorts of chapter 09c (seeds from 201) did not
# ([results](09c_other_cohorts.ipynb)).</span>
#
# *What it does not say.* A p above 0.05 does not show that two models are equal. Nor does a C-index say
# whether predicted risks are right; that is {term}`calibration` ([chapter 09b](09b_model_worth.ipynb)).
#
# (cox-lifelines)=
# ### The same by lifelines
#
# Where the likelihood has a maximum, the models of Table 2 are those of any program: here by `lifelines`.
# This book's own fit, the last column, notices where there is no maximum, tests proportional hazards as R
# does, and is fast enough for resampling. `lifelines` takes shorter steps here than by default, since its
# usual ones overshoot where a level is rare. Its C-index takes scores of which the *lower* is worse.

# %% tags=["hide-output"]
STEPS = {"step_size": 0.5, "precision": 1e-12, "r_precision": 1e-14}
fits, gaps = [], []
for fit in [*univariable, *multivariable]:
    table = training[[TIME, EVENT]].join(in_training[list(fit.names)]).dropna()
    with chapter.noting(f"Cox model by lifelines: {', '.join(fit.names)}"):
        if fit.method == "Cox":
            summary = CoxPHFitter().fit(table, TIME, EVENT, fit_options=STEPS).summary
            kind = "multivariable" if fit is (multivariable or [None])[0] else "univariable"
            fits.append(summary.assign(model=kind, fit_cox=fit.coef).rename(index=COVARIATES).reset_index())
for (cohort, model), result in found.items():
    time, event, risk = survival_of(cohort, scores[[model]])
    if result["c_index"] is not None:
        gaps.append(abs(concordance_index(time, -risk, event) - result["c_index"].c))
columns = ["model", "covariate", "coef", "se(coef)", "exp(coef)", "p", "fit_cox"]
by_lifelines = pd.concat(fits or [pd.DataFrame(columns=columns)])[columns]
chapter.table("lifelines", by_lifelines, "Table 2 by lifelines, models whose likelihood has a maximum.")

# %%
off = (by_lifelines["coef"] - by_lifelines["fit_cox"]).abs()
compared = {"a log hazard ratio": list(off), "a C-index of Table 4": gaps}
texts = [f"{max(values):.1g} in {what}" for what, values in compared.items() if values]
if texts:
    chapter.say(f"Largest difference: {', '.join(texts)}.")

# %% [markdown]
# (cox-roc)=
# ### Time-dependent ROC curves (Fig. 2)

# %%
fig, axes = small_multiples(len(COHORTS), panel_height=5.0, width=5.4)
for ax, cohort in zip(axes, COHORTS, strict=True):
    curves = {model: found[cohort, model]["auc"] for model in ROWS if found[cohort, model]["auc"]}
    if curves:
        plot_roc(curves, horizon_months=horizon_months, ax=ax)
    ax.set_title(f"{LABELS[cohort]} cohort" + ("" if curves else ": not estimable"), loc="left")
alt = "Time-dependent ROC curves of the models, training cohort above validation cohort."
chapter.figure("figure_2_roc", fig, alt)

# %% [markdown]
# *How to read it.* Curves rise in steps, one a case: with few cases a single patient moves a curve visibly.
# What lies between a model's curves in both panels is what it loses on new patients.
#
# (cox-recommended)=
# ### Recommended: no patient judged by a model that has seen that patient
#
# The DL and radiomics scores of training patients come {term}`out of fold` (chapters 03 and 04). Cox models
# score every training patient from a fit on the other folds, validation patients from the fit on all.


# %%
from npcbook.statistics import out_of_fold_risk, uno_c


class Scorer:
    """A Cox model fitted to some training patients that gives the risk of others, for `out_of_fold_risk`."""

    def __init__(self, design, *outcome):
        self.fit = fit_model(design)

    def risk(self, design):
        """Return the score of each patient, higher = worse."""
        return score(design, self.fit)


def unseen(design):
    """Return the score of each training patient by a Cox model fitted on the other folds, alike for all."""
    known, event = design.loc[training.index], training[EVENT].to_numpy()
    return out_of_fold_risk(Scorer, known, event, n_folds=n_folds, rng=np.random.default_rng(seed))


# %%
recommended = with_scores("scores_recommended")
_, scores_recommended = all_scores(recommended)
for name, design in inputs(recommended).items():
    scores_recommended.loc[training.index, name] = np.nan
    with chapter.noting(f"Out of fold: {LABELS[name]}"):
        scores_recommended.loc[training.index, name] = unseen(design)
given = chapter.run_folder / "own_scores.csv"  # one's own, as supplied: chapter 05b
own = read_scores(cohort_folder, [given] if given.exists() else []).reindex(patients.index)
chapter.write("scores_recommended", scores_recommended.join(own).reset_index())
found_recommended, tests_recommended = assess(scores_recommended, "recommended")

# %% [markdown]
# For DL and DC the published prognosis head and its features give way to the recommended ones as well. So
# that each step is seen alone, the published head is scored out of fold, too.

# %%
alone = dict.fromkeys(ROWS)
kept = chapter.run_folder / "03_dl_training/scores_out_of_fold.csv"  # not there for scores of one's own
with chapter.noting("Published head, out of fold"):
    for model in ("dl_combined", "dc") if kept.exists() and "dl_combined" in SCORES else ():
        risk = chapter.read("03_dl_training/scores_out_of_fold").set_index("patient_id")["dl_combined"]
        table = covariates[clinical].assign(dl_combined=risk)  # none for whom there are no images
        dc = unseen(table) if model == "dc" else table.loc[training.index, "dl_combined"]
        dc = pd.Series(dc, training.index).dropna()
        alone[model] = harrell_c(*training.loc[dc.index, [TIME, EVENT]].to_numpy().T, dc)

# %%
rows = []
for model in ROWS:
    row = {"model": LABELS[model], "training, published": c_of["training", model]}
    row["training, published head not seen"] = or_dash(alone[model])
    row["training, recommended"] = or_dash(found_recommended["training", model]["c_index"])
    for cohort in COHORTS[1:]:
        row[f"{cohort}, published"] = c_of[cohort, model]
        row[f"{cohort}, recommended"] = or_dash(found_recommended[cohort, model]["c_index"])
    with chapter.noting(f"Uno's C: {LABELS[model]}, {JUDGED}"):
        data = survival_of(JUDGED, scores_recommended[[model]])
        row["the same, Uno's C"] = f"{uno_c(*data, tau=horizon_months)}"
    rows.append(row)
recommended_c = pd.DataFrame(rows).fillna(MISSING)
chapter.table("recommended", recommended_c, "C-index as published and as recommended.")

# %%
WHOM = {"validation": "validation", "training": "training patients, each scored without that patient's fold"}
best = {model: found_recommended[JUDGED, model]["c_index"] for model in MODELS if model in ROWS}
ranked = sorted((model for model in best if best[model]), key=lambda model: -best[model].c)
first, second = [*ranked[:2], None, None][:2]
lead = first and f"**{LABELS[first]} ranks best in {WHOM[JUDGED]}, by the recommended scores: {best[first]}"
with chapter.noting(f"The best model against the next, {JUDGED}"):
    if second:
        test = compare_c(*survival_of(JUDGED, scores_recommended[[first, second]]))
        seldom = "would seldom" if test.p_value < 0.05 else "may well"
        lead += f"; its lead over {LABELS[second]}, the next, is {test:3}, which chance alone {seldom} give"
lead = f"{lead or '**No model could be judged'}** (C-index; [recommended](#cox-recommended), "
chapter.takeaway(1, f"{lead}[cohorts not seen before](09c_other_cohorts.ipynb)).")

# %%
against = {"DL above radiomics": ("dl_combined", "radiomics_combined")}
against |= {f"{LABELS[OWN[name]]} not below clinical": (OWN[name], "clinical") for name in SCORES[::-1]}
against = {text: pair for text, pair in list(against.items())[:2] if {*pair} <= {*ROWS}}
with chapter.noting(f"Order of the models, {JUDGED}"):
    pairs = {text: survival_of(JUDGED, scores_recommended[[*pair]]) for text, pair in against.items()}
    found_order = {text: compare_c(*data) for text, data in pairs.items()}
    holds = {text: "holds" if test.difference >= 0 else "does not hold" for text, test in found_order.items()}
    texts = (f"{text} {holds[text]} (by {test:3})" for text, test in found_order.items())
    text = f"Of the order in print, in {WHOM[JUDGED]}, and by the recommended scores, {'; '.join(texts)}"
    if against:
        chapter.takeaway(2, f"{text} ([recommended](#cox-recommended)).")

# %%
MAIN = ROWS[-1]  # DC where there is a DL score
seen, new = (found.get((cohort, MAIN), {}).get("c_index") for cohort in ("training", "validation"))
unseen_c = found_recommended["training", MAIN]["c_index"]
if seen and new:
    chapter.takeaway(
        3,
        f"As published, {LABELS[MAIN]} has a C-index of {seen} in patients that it learnt from and {new} in "
        f"new ones: {format_number(seen.c - new.c)} for overfitting and others ([table](#cox-table-4)).",
    )
if seen and unseen_c:
    step = f"to {alone[MAIN]}, the published head kept; the recommended head and features take it on to"
    other = "and, the head changed as well, to" if MAIN == "dc" else "to"
    chapter.takeaway(
        4,
        f"Scoring training patients by models that have not seen them takes C of {LABELS[MAIN]} from "
        f"{format_number(seen.c)} {step if alone[MAIN] else other} {unseen_c} ([here](#cox-recommended)).",
    )

# %% [markdown]
# *How to read it.* The step from the first to the second column is what judging the published scores on
# their own training patients adds ({term}`optimism`); for models whose method stays, it is that from the
# first to the third. From the third to the last columns is what another hospital takes away. Uno's C ([Uno et
# al. 2011](bibliography.md)) does not depend on how patients happened to be censored.

# %% [markdown] tags=["planted"]
# (cox-planted)=
# ### What was planted
#
# For a {term}`synthetic cohort` the true linear predictor of every patient is known. Its C-index (the
# {term}`oracle`'s) is the ceiling for any model on new patients; chance and censoring keep it below 1.

# %% tags=["planted"]
truth = read_truth(cohort_folder)
PLANTED = {"linear_predictor": "everything planted", "visible": "clinical and imaging parts"}
PLANTED |= {"lp_clinical": "clinical part", "lp_imaging": "imaging part"}
planted = {}

# %% tags=["planted"]
if truth is not None:
    truth = truth.assign(visible=truth["lp_clinical"] + truth["lp_imaging"])
    planted = {(c, column): performance(truth, c, column) for c in COHORTS for column in PLANTED}
    c = {c: [or_dash(planted[c, column]["c_index"]) for column in PLANTED] for c in COHORTS}
    oracle = pd.DataFrame({"planted": PLANTED.values()} | {f"{cohort}, C": c[cohort] for cohort in COHORTS})
    ceiling = or_dash(planted[JUDGED, "linear_predictor"]["c_index"] or "none, as nothing was planted")
    ceiling = f"The ceiling, for a score that knows everything which was planted, is {ceiling} in {JUDGED}"
    chapter.table("oracle", oracle, "C-index of the planted linear predictor and of its parts.")
    chapter.takeaway(5, f"{ceiling} ([what was planted](#cox-planted)).")
FRONT = "dl_combined" if "dl_combined" in ROWS else MAIN
told = f"patients that it learnt from with a C-index of {c_of['training', FRONT]}"
told += f" and new ones with {c_of[JUDGED, FRONT]}" if len(COHORTS) > 1 else ""
whom = "new ones" if len(COHORTS) > 1 else "those left out of its fit"
beside = "" if FRONT == "clinical" else f", where the clinical model reaches {or_dash(best['clinical'])}"
chapter.front_page(
    f"**The score.** As published, the {LABELS[FRONT]} score ranks the {told}; as recommended, {whom} with "
    f"{or_dash(best[FRONT])}{beside} ([Cox models](notebooks/05_cox_models.ipynb)).", position=4
)  # fmt: skip

# %% [markdown] tags=["planted"]
# *How to read it.* The first row includes what neither images nor covariates show; the second is the most
# that a model can hope for. Planted ratios of Table 2 hold *given* the images and what nothing shows; a Cox
# model without those is expected between 1 and the truth.

# %% tags=["planted"]
if truth is not None:
    for cohort, measure in ((c, m) for c in COHORTS for m in PRINTED):
        value = planted[cohort, "linear_predictor"][measure]
        for model in ROWS if value is not None else ():
            estimate = getattr(value, MEASURES[measure])
            chapter.record(f"table4.{cohort}.{measure}.{model}", estimate, track="truth")
    linear = covariates.drop(columns="chemotherapy", errors="ignore").dropna()
    target = truth.loc[linear.index, "lp_clinical"]
    design = linear.assign(constant=1.0)
    slopes, _, rank, _ = np.linalg.lstsq(design, target, rcond=None)
    assert np.allclose(design @ slopes, target, atol=1e-3), "lp_clinical is not linear in the covariates"
    for name, slope in zip(linear, slopes, strict=False):
        if rank == design.shape[1]:
            chapter.record(f"table2.multivariable.{name}", np.exp(slope), track="truth")

# %% tags=["hide-output"]
chapter.not_estimable()

# %% [markdown]
# ## Against the paper
#
# <span class="planted">In Table 4 *truth* is the oracle's value, the same for all models; in Table 2 the
# planted hazard ratio.</span>

# %%
chapter.against_paper("Tables 2 and 4 as printed, and in this run.")
printed = [lookup(f"table4.{c}.c_index.dl_combined")["printed"] for c in ("training", "validation")]
chapter.say(
    f"*What to look at first.* DL's C-index in training and validation, in print {' and '.join(printed)}."
)

# %% [markdown]
# *What agreement means.* <span class="planted">On a synthetic cohort estimates are expected between 1 and
# the planted ratio, up to chance. Agreement in Table 4 reflects how much signal was put into the phantoms.
# Neither says that the paper is right or wrong.</span> On a real cohort agreement is replication, in so far
# as patients are alike and none was the paper's.
#
# ```{admonition} Try this
# :class: tip
# - `clinical_covariates = "t2,rene_g1,rene_g2,female,n1"`: one more coefficient for the same events. The
#   apparent C-index, which is not what a Cox model maximises, moves a little; validation need not follow.
# ```
#
# ## Limits and deviations
#
# - Scores are not centred: they are $\beta^\top x$ of the raw covariates. The paper does not say how its
#   scores are centred, so cut-offs (chapter 06) can be compared with print only up to a constant.
# - The paper selects the covariates of its clinical model by their p-values; here they are a parameter.
# - Complete cases, as published, assume that laboratory values are missing by chance alone; see
#   [chapter 01](01_cohorts.ipynb) and [chapter 09](09_stress_tests.ipynb) ({term}`multiple imputation`).
# - Out-of-fold scores of other patients come from heads and selections that had seen the patient's own
#   outcome: the training column of RC and DC can be off on either side. In validation nothing is fitted.
# - Deaths are censored; chapter 09 treats them as {term}`competing <competing risk>`. Comparing nested models
#   by C-indices has little power; a [likelihood ratio test in validation](#worth-added) says more.
#
# **Hands over** `scores.csv`, `scores_recommended.csv` and `coefficients.csv` to chapters 06 to 10.
