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
#
# - The rarest arm decides: the {glue:text}`subgroups_n_levels` subgroups of the two cohorts hold between
#   {glue:text}`subgroups_fewest_events` and {glue:text}`subgroups_most_events` distant metastases each
#   ([forest plots](subgroups-forest)).
# - In validation {glue:text}`subgroups_below` of {glue:text}`subgroups_tested` subgroups have p < 0.05, and
#   {glue:text}`subgroups_below_holm` after correction for looking at so many
#   ([numbers](subgroups-numbers)).
# - T2N0 disease: HR {glue:text}`subgroups_t2n0_training` in training and
#   {glue:text}`subgroups_t2n0_validation` in validation ([forest plots](subgroups-forest)). The training
#   ratio belongs to a score and cut-off fitted to these outcomes. An interval that holds both 1 and large
#   ratios says that the data cannot tell, not that the score fails.
# - Interaction: the smallest p-value is {glue:text}`subgroups_smallest_gail_simon` by the paper's test,
#   which asks only whether the effect changes sign, and {glue:text}`subgroups_smallest_lr` by the
#   likelihood ratio test, which asks whether it changes at all ([interaction](subgroups-interaction)).
# - T2N0 disease with and without chemotherapy: {term}`DMFS` at {glue:text}`subgroups_horizon` months
#   {glue:text}`subgroups_t2n0_dmfs_chemoradiotherapy` and {glue:text}`subgroups_t2n0_dmfs_radiotherapy`
#   ([T2N0](subgroups-t2n0)).
#
# **Reads** the cohort table (chapter 01), the scores (05) and the risk groups (06). **Writes**
# `subgroups.csv` (one row per cohort, factor and level) and the values set beside print.

# %% [markdown]
# ## Setup

# %%
import numpy as np
import pandas as pd
from myst_nb import glue
from statsmodels.stats.multitest import multipletests

from npcbook.book.chapter import open_chapter
from npcbook.book.figures import axis_start, plot_forest, plot_kaplan_meier
from npcbook.book.tables import attempt, list_reasons
from npcbook.cohort.reading import read_truth
from npcbook.paper.printed import lookup
from npcbook.statistics.adjustment import rate_difference
from npcbook.statistics.firth import fit_firth_cox
from npcbook.statistics.interaction import gail_simon, likelihood_ratio
from npcbook.statistics.survival import kaplan_meier, logrank
from npcbook.words import LABELS, format_estimate, format_hr, format_p

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
model = "dl_combined"  # whose risk groups; the paper uses the DL score of the combined sequences
age_cut = 0  # years; 0 takes the training median (the paper does not say where it divides)
horizon_months = 60  # 5-year rates

# %% [markdown]
# ## Data
#
# Patients with their risk group as [chapter 06](06_km) formed it (a {term}`cut-off` found in the training
# cohort, carried to the {term}`validation cohort`) and the subgroup factors of Figure 4. Patients without a
# score, because an image could not be used, take no part. {term}`EBV DNA` is
# analysed where it was measured (complete cases), as in the paper; {term}`rENE` compares none with any. The
# event is {term}`distant metastasis`; deaths without it are {term}`censored <censoring>`.

# %%
chapter = open_chapter("07_subgroups", run_folder=run_folder, cohort_folder=cohort_folder)
patients = chapter.read("01_cohorts/cohort")
groups = chapter.read("06_km/groups")[["patient_id", model]].rename(columns={model: "risk_group"})
scores = chapter.read("05_cox_models/scores_recommended")[["patient_id", model]].rename(
    columns={model: "score"}
)
patients = patients.merge(groups, on="patient_id", validate="one_to_one")
patients = patients.merge(scores, on="patient_id", validate="one_to_one")
patients = patients.dropna(subset=["risk_group", "score"]).reset_index(drop=True)
COHORTS = ["training", "validation"]
age_cut = age_cut or float(patients.loc[patients["cohort"] == "training", "age"].median())
old = patients["age"] > age_cut
patients["Age"] = np.where(old, f"> {age_cut:g} years", f"≤ {age_cut:g} years")
patients["Sex"] = patients["sex"].str.capitalize()
patients["rENE"] = np.where(patients["rene"] > 0, "With", "Without")
patients["EBV DNA"] = patients["ebv_dna"].where(patients["ebv_dna"] != "missing").str.capitalize()
patients["Clinical stage"] = patients["t_stage"] + patients["n_stage"]
FACTORS = ["Age", "Sex", "rENE", "EBV DNA", "Clinical stage"]
counts = patients.groupby(["cohort", "risk_group"])["dm_event"].agg(["size", "sum"]).reset_index()
counts.columns = ["cohort", "risk group", "patients", "distant metastases"]
chapter.table("arms", counts, "Patients and distant metastases by cohort and risk group.")

# %% [markdown]
# ## Method
#
# **Why another likelihood.** In each subgroup the paper compares high with low risk by a {term}`Cox model`
# with {term}`Firth's penalty` {cite}`firth1993,heinze2001`. The ordinary partial likelihood $L(\beta)$ has no
# maximum when one arm has no event; Firth adds half the log determinant of the information,
#
# $$\log L^*(\beta) = \log L(\beta) + \tfrac12 \log\det I(\beta),$$
#
# which has one. Limits and p-values come from the *profile* of $\log L^*$ {cite}`venzon1988`: the limits
# are where it has fallen by half the 95 % quantile of $\chi^2_1$. They are not symmetric and stay honest
# where few events make the estimate skewed. Ties are {term}`Breslow`'s, as in R's `coxphf`, and hazards of
# the two arms are taken as {term}`proportional <proportional hazards>`; with so few events per subgroup a
# test of that would have no power, and none is made.
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
#
# ```{literalinclude} ../npcbook/interaction.py
# :pyobject: gail_simon
# ```
#
# **Recommended** beside it: the likelihood ratio test of a Cox model with and without the product of risk
# group and factor, which asks whether the effect differs *at all*; the same for the continuous *recommended*
# score (another head than the one behind the groups, no cut-off, training patients scored
# {term}`out of fold`); and {term}`Holm's correction` for the number of subgroups looked at.

# %%
not_estimable = {}


def compare_arms(part, cohort, factor, level):
    """Return one row of the forest plot: high against low risk among these patients."""
    row = {"cohort": cohort, "subgroup": factor, "level": level}
    for arm in ("high", "low"):
        events = part.loc[part["risk_group"] == arm, "dm_event"]
        row |= {f"n_{arm}": len(events), f"events_{arm}": int(events.sum())}
    what = f"{cohort}, {factor} {level}".rstrip()
    high = (part["risk_group"] == "high").rename("high").astype(float)
    fit = attempt(not_estimable, what, fit_firth_cox, part["dmfs_months"], part["dm_event"], high)
    names = ("coef", "se", "hr", "hr_low", "hr_high", "p_value")
    return row | {name: np.nan if fit is None else getattr(fit, name)[0] for name in names}


# %%
rows = []
for cohort in COHORTS:
    in_cohort = patients[patients["cohort"] == cohort]
    rows.append(compare_arms(in_cohort, cohort, "All patients", ""))
    for factor in FACTORS:
        rows += [compare_arms(part, cohort, factor, level) for level, part in in_cohort.groupby(factor)]
subgroups = pd.DataFrame(rows)
single = subgroups["level"] != ""
glue("subgroups_estimable", str(subgroups.loc[single, "hr"].notna().sum()), display=False)

# %% [markdown]
# ## Result
#
# Of the {glue:text}`subgroups_n_levels` subgroups {glue:text}`subgroups_estimable` have an estimate.
# Interaction tests use these estimates (Gail–Simon) or the patients (likelihood ratio), at the levels
# that have an estimate. Each factor has one p-value per cohort and test, none of them corrected.

# %%
tests = []
for cohort in COHORTS:
    for factor in FACTORS:
        what = f"{cohort}, interaction with {factor}"
        estimates = subgroups[(subgroups["cohort"] == cohort) & (subgroups["subgroup"] == factor)].dropna()
        known = patients[(patients["cohort"] == cohort) & patients[factor].isin(estimates["level"])]
        outcome = known["dmfs_months"], known["dm_event"]
        high = (known["risk_group"] == "high").astype(float)
        gs = attempt(not_estimable, f"{what} (Gail–Simon)", gail_simon, estimates["coef"], estimates["se"])
        lr = attempt(not_estimable, f"{what} (groups)", likelihood_ratio, *outcome, high, known[factor])
        score = attempt(
            not_estimable, f"{what} (score)", likelihood_ratio, *outcome, known["score"], known[factor]
        )
        tests.append({"cohort": cohort, "factor": factor, "levels": len(estimates), "Q": gs and gs.statistic}
                     | {"gail_simon": gs and gs.p_value, "lr_groups": lr and lr.p_value,
                        "lr_score": score and score.p_value})  # fmt: skip

# %%
interaction = pd.DataFrame(tests).astype(
    {name: float for name in ("Q", "gail_simon", "lr_groups", "lr_score")}
)
subgroups = subgroups.merge(
    interaction.rename(columns={"factor": "subgroup", "lr_groups": "p_interaction"}), how="left",
    on=["cohort", "subgroup"],
)  # fmt: skip

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
holm = pd.Series(np.nan, index=subgroups.index)
for cohort in COHORTS:
    tested = subgroups[(subgroups["cohort"] == cohort) & single & subgroups["p_value"].notna()].index
    if len(tested):
        holm[tested] = multipletests(subgroups.loc[tested, "p_value"], method="holm")[1]
subgroups["p_holm"] = holm
chapter.write("subgroups", subgroups)
table = pd.DataFrame({
    "subgroup": (subgroups["subgroup"] + " " + subgroups["level"]).str.strip(),
    "high: events/n": subgroups["events_high"].astype(str) + "/" + subgroups["n_high"].astype(str),
    "low: events/n": subgroups["events_low"].astype(str) + "/" + subgroups["n_low"].astype(str),
    "HR (95 % CI)": [format_hr(*row) for row in subgroups[["hr", "hr_low", "hr_high"]].to_numpy()],
    "p": subgroups["p_value"].map(format_p), "p, Holm": subgroups["p_holm"].map(format_p),
})  # fmt: skip
caption = "High against low risk, validation cohort: Firth's Cox model, profile limits."
chapter.table("subgroups_validation", table[subgroups["cohort"] == "validation"], caption)

# %%
caption = "The same in the training cohort, whose outcomes score and cut-off were fitted to."
chapter.table("subgroups_training", table[subgroups["cohort"] == "training"], caption)

# %% [markdown]
# *How to read it.* A dash stands where an estimate could not be had, and the last table of *Result* says why.
# Of the subgroups in validation {glue:text}`subgroups_below` have p < 0.05;
# {glue:text}`subgroups_below_holm` still do once their number is allowed for.
#
# (subgroups-interaction)=
# ### Interaction
#
# "Gail–Simon" is the paper's test. Where $Q$ is 0 all estimates of a factor lie on one side of 1, and the
# p-value is QualInt's convention.

# %%
shown = interaction.rename(columns={
    "Q": "Gail–Simon Q", "gail_simon": "p, Gail–Simon (as published)", "lr_groups": "p, LR, risk groups",
    "lr_score": "p, LR, recommended score",
})  # fmt: skip
p_columns = [name for name in shown if name.startswith("p,")]
shown[p_columns] = shown[p_columns].map(format_p)
chapter.table(
    "interaction", shown, "Interaction of risk and factor: does the hazard ratio differ between levels?"
)

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
t2n0 = patients[patients["Clinical stage"] == "T2N0"].copy()
t2n0["treatment"] = np.where(t2n0["chemotherapy"] == "none", "radiotherapy", "chemoradiotherapy")
ARMS = ["chemoradiotherapy", "radiotherapy"]
ENDPOINTS = {"dmfs": ("DMFS", "dmfs_months", "dm_event"), "os": ("OS", "os_months", "os_event")}

# %% tags=["hide-input"]
if len(t2n0):
    data = t2n0["dmfs_months"], t2n0["dm_event"], t2n0["treatment"]
    shown = {"endpoint": "DMFS", "horizon_months": horizon_months, "lowest": axis_start(*data)}
    ax = plot_kaplan_meier(*data, order=ARMS, **shown)
    ax.set_title("T2N0, both cohorts, DMFS", loc="left")
    chapter.figure("t2n0_dmfs", ax.figure, "Kaplan–Meier curves of DMFS in T2N0 patients by treatment.")

# %% tags=["hide-input"]
if len(t2n0):
    data = t2n0["os_months"], t2n0["os_event"], t2n0["treatment"]
    shown = {"endpoint": "OS", "horizon_months": horizon_months, "lowest": axis_start(*data)}
    ax = plot_kaplan_meier(*data, order=ARMS, **shown)
    ax.set_title("T2N0, both cohorts, OS", loc="left")
    chapter.figure("t2n0_os", ax.figure, "Kaplan–Meier curves of OS in T2N0 patients by treatment.")


# %% [markdown]
# *How to read it.* Where fewer than ten patients are at risk a curve is thin and has no band; where nothing
# lies in the lower half, the axis leaves it out and says so. The table gives
# the rates at the horizon (Kaplan–Meier, log–log limits) and their difference in percentage points,
# chemoradiotherapy less radiotherapy. Where a group has no event neither its rate nor the difference has
# limits here: the data then leave a larger difference open than the figures suggest. Elsewhere the interval
# of the difference says how large a benefit, or harm, is left open; a p-value near 1 does not show that
# treatments are equal.


# %%
def rate(part, time, event, what):
    """Return the rate in per cent at the horizon with its limits; NaN, and a note, for what is missing."""
    if part.empty or part[time].max() < horizon_months:
        not_estimable[what] = "no patient of this group is followed to the horizon."
        return (np.nan,) * 3
    km = kaplan_meier(part[time], part[event], at=[horizon_months])
    limits = (km.low[0], km.high[0]) if km.survival[0] < 1 else (np.nan, np.nan)
    if km.survival[0] == 1:
        not_estimable[f"{what}: limits"] = "no patient of this group has an event by the horizon."
    return tuple(100 * value for value in (km.survival[0], *limits))


# %%
NO_EVENT_IN_ONE = "in one of the two groups nobody, or everybody, has an event by the horizon."
t2n0_rows, rates, t2n0_p = [], {}, {}
for key, (name, time, event) in ENDPOINTS.items():
    outcome = t2n0[time], t2n0[event], t2n0["treatment"]
    for arm in ARMS:
        part = t2n0[t2n0["treatment"] == arm]
        rates[key, arm] = rate(part, time, event, f"T2N0, {name}, {LABELS[arm]}, rate")
    rates[key, "all"] = rate(t2n0, time, event, f"T2N0, {name}, all, rate")
    test = attempt(not_estimable, f"T2N0, {name}, log-rank", logrank, *outcome)
    gap = attempt(not_estimable, f"T2N0, {name}, difference", rate_difference, *outcome, horizon_months,
                  first=ARMS[0], second=ARMS[1])  # fmt: skip
    t2n0_p[key] = np.nan if test is None else test.p_value
    if gap and not np.isfinite(gap.low):
        not_estimable[f"T2N0, {name}, difference: limits"] = NO_EVENT_IN_ONE
    difference = [100 * value for value in (gap.value, gap.low, gap.high)] if gap else [np.nan] * 3
    columns = {LABELS[arm]: format_estimate(*rates[key, arm], 1) for arm in ARMS}
    columns |= {"log-rank p": format_p(t2n0_p[key]), "difference": format_estimate(*difference, 1)}
    t2n0_rows.append({"endpoint": name} | columns)
caption = f"T2N0, rates in per cent at {horizon_months} months (95 % CI)."
chapter.table("t2n0", pd.DataFrame(t2n0_rows), caption)

# %% [markdown]
# Cells without an estimate, or without limits, and why:

# %%
chapter.table("not_estimable", list_reasons(not_estimable), "Estimates that the data do not allow.")

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
for (key, arm), (value, low, high) in rates.items():
    if np.isfinite(value) and horizon_months == 60:
        chapter.record(f"text.t2n0.{key}_5y.{arm}", value, low=low, high=high)
for key, p in t2n0_p.items():
    if np.isfinite(p):
        chapter.record(f"text.t2n0.{key}_p", p)

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

# %% [markdown]
# *What agreement means.* The printed interval of T2N0 in training reaches from
# {glue:text}`subgroups_printed_low` to {glue:text}`subgroups_printed_high`: almost any result agrees with
# them, so that agreement here is no achievement. [Chapter 00](00_printed_numbers) derives from print how
# many metastases such an interval rests on. Nor does agreement in "all interactions p > 0.05" mean much,
# for the reason given above: by that test such a result is expected whenever the score does not rank
# patients backwards somewhere. On a synthetic cohort the truth column shows what the same few patients
# would have given had their risks been known instead of estimated.
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

# %% tags=["hide-input"]
levels = subgroups[single]
events = levels["events_high"] + levels["events_low"]
glue("subgroups_n_levels", str(len(levels)), display=False)
in_validation = levels[levels["cohort"] == "validation"]
glue("subgroups_tested", str(in_validation["p_value"].notna().sum()), display=False)
glue("subgroups_below", str((in_validation["p_value"] < 0.05).sum()), display=False)
glue("subgroups_below_holm", str((in_validation["p_holm"] < 0.05).sum()), display=False)

# %% tags=["hide-input"]
glue("subgroups_horizon", str(horizon_months), display=False)
print_row = lookup("text.training.subgroup_hr.t2n0")
glue("subgroups_printed_low", print_row["low_printed"], display=False)
glue("subgroups_printed_high", print_row["high_printed"], display=False)
glue("subgroups_fewest_events", str(events.min()), display=False)
glue("subgroups_most_events", str(events.max()), display=False)
for cohort in COHORTS:
    found = levels[(levels["cohort"] == cohort) & (levels["level"] == "T2N0")]
    text = (
        format_hr(*found[["hr", "hr_low", "hr_high"]].to_numpy()[0])
        if found["hr"].notna().any()
        else "not estimable"
    )
    glue(f"subgroups_t2n0_{cohort}", text, display=False)
glue("subgroups_smallest_gail_simon", format_p(interaction["gail_simon"].min()), display=False)
glue("subgroups_smallest_lr", format_p(interaction["lr_groups"].min()), display=False)
for arm in ARMS:
    value, low, high = rates["dmfs", arm]
    text = f"{format_estimate(value, low, high, 1)} %" if np.isfinite(value) else "not estimable"
    glue(f"subgroups_t2n0_dmfs_{arm}", text, display=False)

# %% [markdown]
# ## Limits and deviations
#
# - The paper's figure does not state where age is divided, nor which grades of rENE it puts together; here
#   it is the training median, and none against any.
# - QualInt needs estimates and standard errors; the paper does not say from which model. Here they are
#   Firth's, so that the tables and the test agree.
# - Gail and Simon's test is about a change of sign. "No interaction" in the paper's sense therefore does
#   not mean "the same effect everywhere".
# - Risk groups come from an optimised cut-off ([chapter 06](06_km)): in the training cohort all hazard
#   ratios of this page are optimistic; the validation cohort's are not. The continuous score is the
#   recommended one, in the training patients out of fold.
# - Patients without an EBV DNA value are missing from that factor only. If their risk differs, its two levels
#   do not add up to the cohort.
# - T2N0 patients were not randomised to chemotherapy. The comparison is unadjusted, as in the paper, and has
#   too few events to be adjusted.
# - In the text DMFS of all T2N0 patients is printed as lower than in each of the two arms; see
#   [what can be checked from print](00_printed_numbers).
#
# Next: [the dose of cisplatin](08_ccnd) in T1-2N1 disease.
