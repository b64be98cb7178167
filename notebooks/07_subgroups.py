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
# # Subgroups
#
# **Does the combined DL score separate high from low risk in every kind of patient, or only in some?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the cohort table (chapter 01), the scores (05) and the risk groups (06). **Writes**
# `subgroups.csv` (one row per cohort, factor and level) and the values set beside print.
#
# ## Setup

# %%
from itertools import product

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from statsmodels.stats.multitest import multipletests

from npcbook.book import axis_start, open_chapter, plot_forest, plot_kaplan_meier, show_source
from npcbook.cohort import read_truth
from npcbook.paper import lookup
from npcbook.statistics import (
    fit_cox,
    fit_firth_cox,
    gail_simon,
    likelihood_ratio,
    logrank,
    rate_at,
    rate_difference,
)
from npcbook.words import COHORTS, ENDPOINTS, LABELS, MISSING, format_hr, format_p

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
model = "dl_combined"  # whose risk groups; the paper uses the DL score of the combined sequences
age_cut = 0  # years; 0 takes the training median (the paper does not say where it divides)
horizon_months = 60  # 5-year rates

# %% [markdown]
# ## Data
#
# Patients with their risk group as [chapter 06](06_km.ipynb) formed it (a {term}`cut-off` found in the
# training cohort, carried to the {term}`validation cohort`) and the subgroup factors of Figure 4. Patients
# without a score, because an image could not be used, take no part. {term}`EBV DNA` is analysed where it was
# measured (complete cases), as in the paper; {term}`rENE` compares none with any. The event is
# {term}`distant metastasis`; deaths without it are {term}`censored <censoring>`.

# %%
chapter = open_chapter("07_subgroups", run_folder=run_folder, cohort_folder=cohort_folder)
patients = chapter.read("01_cohorts/cohort")
inputs = {
    "risk_group": chapter.read("06_km/groups"),
    "score": chapter.read("05_cox_models/scores_recommended"),
}
for column, table in inputs.items():
    table = table[["patient_id", model]].rename(columns={model: column})
    patients = patients.merge(table, on="patient_id", validate="one_to_one")
patients = patients.dropna(subset=["risk_group", "score"]).reset_index(drop=True)
counts = patients.groupby(["cohort", "risk_group"])["dm_event"].agg(["size", "sum"]).reset_index()
counts.columns = ["cohort", "risk group", "patients", "distant metastases"]
chapter.table("arms", counts, "Patients and distant metastases by cohort and risk group.")

# %%
FACTORS = ["Age", "Sex", "rENE", "EBV DNA", "Clinical stage"]
age_cut = age_cut or float(patients.loc[patients["cohort"] == "training", "age"].median())
patients["Age"] = np.where(patients["age"] > age_cut, f"> {age_cut:g} years", f"≤ {age_cut:g} years")
patients["Sex"] = patients["sex"].str.capitalize()
patients["rENE"] = np.where(patients["rene"] > 0, "With", "Without")
patients["EBV DNA"] = patients["ebv_dna"].where(patients["ebv_dna"] != "missing").str.capitalize()
patients["Clinical stage"] = patients["t_stage"] + patients["n_stage"]
patients["high"] = (patients["risk_group"] == "high").astype(float)

# %% [markdown]
# ## Method
#
# **Why another likelihood.** In each subgroup the paper compares high with low risk by a {term}`Cox model`
# with {term}`Firth's penalty` ([Firth 1993](bibliography.md); [Heinze and Schemper 2001](bibliography.md)).
# The ordinary partial likelihood $L(\beta)$ has no maximum when one arm has no event; Firth adds half the log
# determinant of the information,
#
# $$\log L^*(\beta) = \log L(\beta) + \tfrac12 \log\det I(\beta),$$
#
# which has one. Limits and p-values come from the *profile* of $\log L^*$ ([Venzon and Moolgavkar
# 1988](bibliography.md)): the limits are where it has fallen by half the 95 % quantile of $\chi^2_1$. They
# are not symmetric and stay honest where few events make the estimate skewed. Ties are {term}`Breslow`'s, as
# in R's `coxphf`, and hazards of the two arms are taken as {term}`proportional <proportional hazards>`; with
# so few events per subgroup a test of that would have no power, and none is made.
#
# **Does the effect differ?** Subgroups answer that badly: one p-value below and one above 0.05 is no
# difference between the two. The question is one of {term}`interaction`. The paper tests it by **QualInt**,
# that is Gail and Simon's test. With subgroup estimates $b_i$ and standard errors $s_i$,
#
# $$Q = \min\Big(\sum_{b_i>0} b_i^2/s_i^2,\ \sum_{b_i<0} b_i^2/s_i^2\Big).$$
#
# $Q$ is 0 unless the effect *changes sign*: a score that works twice as well in one subgroup as in the
# other passes unnoticed. At $Q=0$ QualInt prints $1 - 0.5^{K-1}$ for $K$ subgroups, one half for two, a
# convention and not a measure of evidence. The test, from the library's source:

# %%
show_source(gail_simon)

# %% [markdown]
# **Recommended** beside it: the likelihood ratio test of a Cox model with and without the product of risk
# group and factor, which asks whether the effect differs *at all*; the same for the continuous *recommended*
# score (another head than the one behind the groups, no cut-off, training patients scored
# {term}`out of fold`); and {term}`Holm's correction` for the number of subgroups looked at.

# %%
ESTIMATE = ["coef", "se", "hr", "hr_low", "hr_high", "p_value"]


def compare_arms(part, cohort, factor, level):
    """Return one row of the forest plot: high against low risk among these patients."""
    row = {"cohort": cohort, "subgroup": factor, "level": level}
    for arm in ("high", "low"):
        events = part.loc[part["risk_group"] == arm, "dm_event"]
        row |= {f"n_{arm}": len(events), f"events_{arm}": int(events.sum())}
    row |= dict.fromkeys(ESTIMATE, np.nan)
    with chapter.noting(f"{cohort}, {factor} {level}".rstrip()):
        fit = fit_firth_cox(part["dmfs_months"], part["dm_event"], part["high"])
        row |= {name: getattr(fit, name)[0] for name in ESTIMATE}
    return row


# %%
rows = []
for cohort in COHORTS:
    in_cohort = patients[patients["cohort"] == cohort]
    rows.append(compare_arms(in_cohort, cohort, "All patients", ""))
    for factor in FACTORS:
        rows += [compare_arms(part, cohort, factor, level) for level, part in in_cohort.groupby(factor)]
subgroups = pd.DataFrame(rows)
single = subgroups["level"] != ""
events = (subgroups["events_high"] + subgroups["events_low"])[single]
chapter.takeaway(
    1,
    f"The rarest arm decides: the {single.sum()} subgroups of the two cohorts hold between {events.min()} "
    f"and {events.max()} distant metastases each ([forest plots](#subgroups-forest)).",
)
chapter.methods(
    f"""Subgroups. Hazard ratios in subgroups of the risk groups by "{model}" are from Cox models with
    Firth's penalty and profile likelihood limits."""
)

# %% [markdown]
# Without the penalty the fit is an ordinary one, for which any survival library will do. lifelines' beside
# the kernel of this book, which is fast enough for the loops of resampling and refuses a ratio that has no
# finite estimate, as where one arm has no event (lifelines warns, and returns a large number):

# %%
for cohort, part in patients.groupby("cohort"):
    data, kernel = part[["dmfs_months", "dm_event", "high"]], None
    everybody = subgroups.loc[(subgroups["cohort"] == cohort) & ~single, ["hr", "hr_low", "hr_high"]]
    text = f"with the penalty, {format_hr(*everybody.to_numpy()[0])}."
    with chapter.noting(f"{cohort}, All patients, without the penalty"):
        kernel = fit_cox(data["dmfs_months"], data["dm_event"], data[["high"]])
    if kernel is None:
        chapter.say(f"- {cohort}: no finite ratio without the penalty; {text}")
        continue
    library = CoxPHFitter().fit(data, "dmfs_months", "dm_event")
    difference = abs(library.params_["high"] - kernel.coef[0])
    chapter.say(
        f"- {cohort}: lifelines {library.hazard_ratios_['high']:.2f}, `fit_cox` {kernel[0]}, a difference of "
        f"{difference:.0e} in the logarithm; {text}"
    )

# %% [markdown]
# ## Result
#
# Interaction tests use the estimates of the subgroups (Gail–Simon) or the patients (likelihood ratio), at the
# levels that have an estimate. Each factor has one p-value per cohort and test, none of them corrected.

# %%
tests = []
for cohort, factor in product(COHORTS, FACTORS):
    what = f"{cohort}, interaction with {factor}"
    estimates = subgroups[(subgroups["cohort"] == cohort) & (subgroups["subgroup"] == factor)].dropna()
    known = patients[(patients["cohort"] == cohort) & patients[factor].isin(estimates["level"])]
    outcome = known["dmfs_months"], known["dm_event"]
    test = {"cohort": cohort, "factor": factor, "levels": len(estimates)}
    test |= dict.fromkeys(("Q", "gail_simon", "lr_groups", "lr_score"), np.nan)
    with chapter.noting(f"{what} (Gail–Simon)"):
        found = gail_simon(estimates["coef"], estimates["se"])
        test |= {"Q": found.statistic, "gail_simon": found.p_value}
    with chapter.noting(f"{what} (groups)"):
        test["lr_groups"] = likelihood_ratio(*outcome, known["high"], known[factor]).p_value
    with chapter.noting(f"{what} (score)"):
        test["lr_score"] = likelihood_ratio(*outcome, known["score"], known[factor]).p_value
    tests.append(test)
interaction = pd.DataFrame(tests)

# %%
by_factor = interaction.rename(columns={"factor": "subgroup", "lr_groups": "p_interaction"})
subgroups = subgroups.merge(by_factor, how="left", on=["cohort", "subgroup"])
chapter.say(f"Of the {single.sum()} subgroups {subgroups.loc[single, 'hr'].notna().sum()} have an estimate.")
chapter.takeaway(
    4,
    f"Interaction: the smallest p-value is {format_p(interaction['gail_simon'].min())} by the paper's test, "
    f"which asks only whether the effect changes sign, and {format_p(interaction['lr_groups'].min())} by the "
    f"likelihood ratio test, which asks whether it changes at all ([interaction](#subgroups-interaction)).",
)

# %% [markdown]
# (subgroups-forest)=
# ### Forest plots (Fig. 4)
#
# The counterparts of the paper's Figure 4A and B. Each line is one subgroup. Under its name stand
# events/patients in the high- and the low-risk arm. The axis of each figure is as long as its estimates need,
# so that the two differ. The interaction p is that of the likelihood ratio test, not the paper's.

# %% tags=["hide-input"]
ax = plot_forest(subgroups[subgroups["cohort"] == "training"])
ax.set_title("Training cohort, DMFS", loc="left")
alt = "Forest plot: hazard ratio of high against low risk in each subgroup, training cohort."
chapter.figure("forest_training", ax.figure, alt)

# %% tags=["hide-input"]
ax = plot_forest(subgroups[subgroups["cohort"] == "validation"])
ax.set_title("Validation cohort, DMFS", loc="left")
alt = "Forest plot: hazard ratio of high against low risk in each subgroup, validation cohort."
chapter.figure("forest_validation", ax.figure, alt)

# %%
t2n0_hr = {}
for cohort in COHORTS:
    row = subgroups[(subgroups["cohort"] == cohort) & (subgroups["level"] == "T2N0")].dropna(subset="hr")
    found = [format_hr(*ratio) for ratio in row[["hr", "hr_low", "hr_high"]].to_numpy()]
    t2n0_hr[cohort] = found[0] if found else "not estimable"
chapter.takeaway(
    3,
    f"T2N0 disease: HR {t2n0_hr['training']} in training and {t2n0_hr['validation']} in validation "
    f"([forest plots](#subgroups-forest)). The training ratio belongs to a score and cut-off fitted to these "
    f"outcomes. An interval that holds both 1 and large ratios says that the data cannot tell, not that the "
    f"score fails.",
)

# %% [markdown]
# *How to read it.* A square is the ratio, the line its interval. An arrow says that the interval goes on
# beyond the axis; an arrow without a square, that the ratio itself does (the numbers stand at the right).
# Do not ask which intervals hold 1; ask which hold the ratio of *all patients*. A subgroup
# whose interval does is compatible with the common effect. A subgroup of few events is compatible with
# almost any hazard ratio; its p-value is then a statement about its size. In the training cohort score and
# cut-off were fitted to these very outcomes: if the low-risk arm is nearly without events there, ratios are
# huge in every subgroup and prove only that. The validation panel is the one that speaks of new patients.
#
# (subgroups-numbers)=
# ### The same as numbers
#
# Validation first, then training, with Holm's correction over the subgroups of a cohort. The subgroups
# overlap, since each factor divides the same patients anew; Holm's correction needs no independence.

# %%
subgroups["p_holm"] = np.nan
for cohort in COHORTS:
    tested = (subgroups["cohort"] == cohort) & single & subgroups["p_value"].notna()
    if tested.any():
        subgroups.loc[tested, "p_holm"] = multipletests(subgroups.loc[tested, "p_value"], method="holm")[1]
chapter.write("subgroups", subgroups)
table = pd.DataFrame({
    "subgroup": (subgroups["subgroup"] + " " + subgroups["level"]).str.strip(),
    "high: events/n": subgroups["events_high"].astype(str) + "/" + subgroups["n_high"].astype(str),
    "low: events/n": subgroups["events_low"].astype(str) + "/" + subgroups["n_low"].astype(str),
    "HR (95 % CI)": [format_hr(*row) for row in subgroups[["hr", "hr_low", "hr_high"]].to_numpy()],
    "p": subgroups["p_value"].map(format_p), "p, Holm": subgroups["p_holm"].map(format_p),
})  # fmt: skip
in_validation = subgroups["cohort"] == "validation"
caption = "High against low risk, validation cohort: Firth's Cox model, profile limits."
chapter.table("subgroups_validation", table[in_validation], caption)
caption = "The same in the training cohort, whose outcomes score and cut-off were fitted to."
chapter.table("subgroups_training", table[~in_validation], caption)

# %%
looked_at = subgroups[in_validation & single]
below, below_holm = (int((looked_at[name] < 0.05).sum()) for name in ("p_value", "p_holm"))
chapter.say(
    f"*How to read it.* A dash stands where an estimate could not be had, and the last table of *Result* "
    f"says why. Of the subgroups in validation {below} have p < 0.05; {below_holm} still do once their "
    f"number is allowed for."
)
chapter.takeaway(
    2,
    f"In validation {below} of {looked_at['p_value'].notna().sum()} subgroups have p < 0.05, and "
    f"{below_holm} after correction for looking at so many ([numbers](#subgroups-numbers)).",
)

# %% [markdown]
# (subgroups-interaction)=
# ### Interaction
#
# "Gail–Simon" is the paper's test. Where $Q$ is 0 all estimates of a factor lie on one side of 1, and the
# p-value is QualInt's convention.

# %%
names = {"gail_simon": "p, Gail–Simon (as published)", "lr_groups": "p, LR, risk groups"}
names["lr_score"] = "p, LR, recommended score"
shown = interaction.assign(**{name: interaction[name].map(format_p) for name in names})
caption = "Interaction of risk and factor: does the hazard ratio differ between levels?"
chapter.table("interaction", shown.rename(columns=names | {"Q": "Gail–Simon Q"}), caption)

# %% [markdown]
# *How to read it.* The first p-value column cannot become small unless the score works the wrong way round
# in some subgroup; that it is large, which the paper reports, is therefore no evidence that the score works
# equally well everywhere. The second column can become small for a mere difference of size. Where one arm has
# no event in a whole cohort the effect is unbounded at every level, and that test has nothing left to
# compare: its p-value is then near 1 for want of information. The third column needs no groups; it takes the
# recommended score and assumes that its effect is a straight line.
#
# By chance alone, one interaction test in twenty has p < 0.05. Only cohorts with events in both arms are
# counted: elsewhere the test cannot become small. Tests of one cohort share patients and are not independent,
# which leaves the expectation as it is.

# %%
alive = (patients.groupby(["cohort", "risk_group"])["dm_event"].sum() > 0).groupby("cohort").all()
counted = interaction.loc[interaction["cohort"].isin(alive.index[alive]), "lr_groups"]
n_tests, below = int(counted.notna().sum()), int((counted < 0.05).sum())
chance = pd.DataFrame({
    "test": ["interaction, LR on risk groups"], "tests": [n_tests], "p < 0.05": [below],
    "expected by chance": [0.05 * n_tests],
})  # fmt: skip
chapter.table("chance", chance, "How many interactions would be called significant without any.")

# %% [markdown]
# (subgroups-t2n0)=
# ### T2N0: chemoradiotherapy and radiotherapy (Fig. 5A and B)
#
# The counterparts of the paper's Figure 5A (DMFS) and B (OS). Both cohorts together. Chemotherapy of any kind
# ({term}`chemoradiotherapy`) is compared with radiotherapy alone, in the patients in whom the paper could not
# separate risk.

# %%
ARMS = ["chemoradiotherapy", "radiotherapy"]
t2n0 = patients[patients["Clinical stage"] == "T2N0"].copy()
t2n0["treatment"] = np.where(t2n0["chemotherapy"] == "none", "radiotherapy", "chemoradiotherapy")


def plot_t2n0(endpoint):
    """Draw the treatments of T2N0 patients."""
    time, event = ENDPOINTS[endpoint]
    data = t2n0[time], t2n0[event], t2n0["treatment"]
    shown = {"endpoint": endpoint, "horizon_months": horizon_months, "lowest": axis_start(*data)}
    ax = plot_kaplan_meier(*data, order=ARMS, **shown)
    ax.set_title(f"T2N0, both cohorts, {endpoint}", loc="left")
    alt = f"Kaplan–Meier curves of {endpoint} in T2N0 patients by treatment."
    chapter.figure(f"t2n0_{endpoint.lower()}", ax.figure, alt)


for endpoint in ENDPOINTS if len(t2n0) else ():
    plot_t2n0(endpoint)

# %% [markdown]
# *How to read it.* Where fewer than ten patients are at risk a curve is thin and has no band; where nothing
# lies in the lower half, the axis leaves it out and says so. The table gives
# the rates at the horizon (Kaplan–Meier, log–log limits) and their difference in percentage points,
# chemoradiotherapy less radiotherapy. Where a group has no event neither its rate nor the difference has
# limits here: the data then leave a larger difference open than the figures suggest. Elsewhere the interval
# of the difference says how large a benefit, or harm, is left open; a p-value near 1 does not show that
# treatments are equal.


# %%
NOBODY = "no patient of this group has an event by the horizon."
NOBODY_IN_ONE = "in one of the two groups nobody, or everybody, has an event by the horizon."
parts = {arm: t2n0[t2n0["treatment"] == arm] for arm in ARMS} | {"all": t2n0}
rates, gaps, logrank_p = {}, {}, {}
for endpoint, (time, event) in ENDPOINTS.items():
    for arm, part in parts.items():
        what = f"T2N0, {endpoint}, {LABELS.get(arm, arm)}, rate"
        with chapter.noting(what):
            rates[endpoint, arm] = rate_at(part[time], part[event], horizon_months)
            if rates[endpoint, arm].value == 1:
                chapter.notes[f"{what}: limits"] = NOBODY
    outcome = t2n0[time], t2n0[event], t2n0["treatment"]
    with chapter.noting(f"T2N0, {endpoint}, log-rank"):
        logrank_p[endpoint] = logrank(*outcome).p_value
    with chapter.noting(f"T2N0, {endpoint}, difference"):
        gaps[endpoint] = rate_difference(*outcome, horizon_months, first=ARMS[0], second=ARMS[1])
        if np.isnan(gaps[endpoint].low):
            chapter.notes[f"T2N0, {endpoint}, difference: limits"] = NOBODY_IN_ONE

# %%
rows = []
for endpoint in ENDPOINTS:
    of_arm = {arm: rates.get((endpoint, arm)) for arm in ARMS}
    row = {LABELS[arm]: f"{rate:1%}" if rate else MISSING for arm, rate in of_arm.items()}
    row |= {"log-rank p": format_p(logrank_p.get(endpoint))}
    row |= {"difference": f"{gaps[endpoint]:1%}" if endpoint in gaps else MISSING}
    rows.append({"endpoint": endpoint} | row)
caption = f"T2N0, rates in per cent at {horizon_months} months (95 % CI)."
chapter.table("t2n0", pd.DataFrame(rows), caption)
free = {arm: f"{rates['DMFS', arm]:1%} %" if ("DMFS", arm) in rates else "not estimable" for arm in ARMS}
chapter.takeaway(
    5,
    f"T2N0 disease with and without chemotherapy: DMFS at {horizon_months} months "
    f"{free['chemoradiotherapy']} and {free['radiotherapy']} ([T2N0](#subgroups-t2n0)).",
)

# %% [markdown]
# If there is something that these data could not give, it is listed here with the reason.

# %%
chapter.not_estimable()

# %% [markdown]
# ## Against the paper
#
# The {term}`truth <planted truth>` column exists for a synthetic cohort only. For a hazard ratio it is the
# ratio of the arms' mean cumulative hazards at five years as they were planted; for a rate it is the mean
# planted probability of no metastasis with the treatment given. Only what the paper printed for the same
# score and horizon is set beside it.

# %%
as_printed = model == "dl_combined"  # print has the risk groups of this model only
for cohort in COHORTS if as_printed else ():
    row = subgroups[(subgroups["cohort"] == cohort) & (subgroups["level"] == "T2N0")]
    for hr, low, high, p in row[["hr", "hr_low", "hr_high", "p_value"]].dropna().to_numpy():
        chapter.record(f"text.{cohort}.subgroup_hr.t2n0", hr, low=low, high=high, p_value=p)
for track, column in (("as published", "gail_simon"), ("recommended", "lr_groups")):
    if as_printed and interaction[column].notna().any():
        chapter.record("text.both.subgroup_interaction_p", interaction[column].min(), track=track)
for (endpoint, arm), rate in rates.items():
    if horizon_months == 60:
        value, low, high = (100 * number for number in (rate.value, rate.low, rate.high))
        chapter.record(f"text.t2n0.{endpoint.lower()}_5y.{arm}", value, low=low, high=high)
for endpoint, p in logrank_p.items():
    chapter.record(f"text.t2n0.{endpoint.lower()}_p", p)

# %%
truth = read_truth(cohort_folder)
if truth is not None:
    planted = patients.merge(truth["dm_probability_5y"].reset_index(), on="patient_id")
    planted = planted[planted["Clinical stage"] == "T2N0"].assign(
        hazard=lambda df: -np.log1p(-df["dm_probability_5y"]),
        free=lambda df: 100 * (1 - df["dm_probability_5y"]),
    )
    for cohort, part in planted.groupby("cohort"):
        means = part.groupby("risk_group")["hazard"].mean()
        if len(means) == 2 and as_printed:
            chapter.record(f"text.{cohort}.subgroup_hr.t2n0", means["high"] / means["low"], track="truth")
    given = np.where(planted["chemotherapy"] == "none", "radiotherapy", "chemoradiotherapy")
    for arm, value in planted.groupby(given)["free"].mean().items():
        chapter.record(f"text.t2n0.dmfs_5y.{arm}", value, track="truth")
    chapter.record("text.t2n0.dmfs_5y.all", planted["free"].mean(), track="truth")
chapter.against_paper()

# %%
row = lookup("text.training.subgroup_hr.t2n0")
chapter.say(
    f"*What agreement means.* The printed interval of T2N0 in training reaches from {row['low_printed']} to "
    f"{row['high_printed']}: almost any result agrees with them, so that agreement here is no achievement. "
    f"[Chapter 00](00_printed_numbers.ipynb) derives from print how many metastases such an interval rests "
    f"on."
)

# %% [markdown]
# Nor does agreement in "all interactions p > 0.05" mean much, for the reason given above: by that test such a
# result is expected whenever the score does not rank patients backwards somewhere. On a synthetic cohort the
# truth column shows what the same few patients would have given had their risks been known instead of
# estimated.
#
# ```{admonition} Try this
# :class: tip
# Change one line of the parameters cell and run all cells; `make book` afterwards restores the run.
#
# - `age_cut = 60`: the older group becomes small. Its interval widens and its ratio may jump, while nothing
#   about the score has changed: a picture of how much a forest plot owes to where one divides.
# - `model = "clinical"`: risk groups of the model without images. In the subgroups by rENE and stage one arm
#   may be empty, because these factors make the score; the list of what cannot be estimated grows.
# ```
#
# ## Limits and deviations
#
# - The paper's figure does not state where age is divided, nor which grades of rENE it puts together; here
#   it is the training median, and none against any.
# - QualInt needs estimates and standard errors; the paper does not say from which model. Here they are
#   Firth's, so that the tables and the test agree.
# - Gail and Simon's test is about a change of sign. "No interaction" in the paper's sense therefore does
#   not mean "the same effect everywhere".
# - Risk groups come from an optimised cut-off ([chapter 06](06_km.ipynb)): in the training cohort all hazard
#   ratios of this page are optimistic; the validation cohort's are not. The continuous score is the
#   recommended one, in the training patients out of fold.
# - Patients without an EBV DNA value are missing from that factor only. If their risk differs, its two levels
#   do not add up to the cohort.
# - T2N0 patients were not randomised to chemotherapy. The comparison is unadjusted, as in the paper, and has
#   too few events to be adjusted.
# - In the text DMFS of all T2N0 patients is printed as lower than in each of the two arms; see
#   [what can be checked from print](00_printed_numbers.ipynb).
#
# Next: [the dose of cisplatin](08_ccnd.ipynb) in T1-2N1 disease.
