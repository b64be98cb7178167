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
# **Reads** the cohort table (chapter 01), the scores (05) and the risk groups of both tracks (06). **Writes**
# `subgroups.csv` (one row per track, cohort, factor and level) and the values set beside print.
#
# ## Setup

# %%
from itertools import product

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from statsmodels.stats.multitest import multipletests

from npcbook.book import open_chapter, plot_forest, plot_panels, show_source
from npcbook.cohort import judged_cohort, read_truth
from npcbook.paper import lookup
from npcbook.statistics import (
    detectable_ratio,
    fit_cox,
    fit_firth_cox,
    gail_simon,
    likelihood_ratio,
    logrank,
    rate_at,
    rate_difference,
)

# %%
from npcbook.words import (
    COHORTS,
    ENDPOINTS,
    LABELS,
    MISSING,
    MODELS,
    SUPPLIED,
    TRACKS,
    format_hr,
    format_number,
    format_p,
    or_dash,
)

# %% tags=["parameters"] needs="dmfs covariates subgroups"
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
model = "dl_combined"  # one of MODELS or SCORES; whose risk groups; paper: DL score of the combined sequences
age_cut = 0  # 0 to 120, years; 0 takes the training median (the paper does not say where it divides)
horizon_months = 60  # 1 to last follow-up, months; 5-year rates

# %% [markdown]
# ## Data
#
# Patients with their two risk groups of [chapter 06](06_km.ipynb): *published* (a {term}`cut-off` found on
# the training patients' outcomes, carried to the {term}`validation cohort`) and *recommended* (scores that
# have not seen the patient, cut at their training median); and the subgroup factors of Figure 4. Patients
# without a score, because an image could not be used, take no part. {term}`EBV DNA` is analysed where it was
# measured (complete cases), as in the paper; {term}`rENE` compares none with any. The event is {term}`distant
# metastasis`; deaths without it are {term}`censored <censoring>`.

# %%
chapter = open_chapter("07_subgroups", run_folder=run_folder, cohort_folder=cohort_folder)
patients = chapter.read("01_cohorts/cohort")
groups, score = chapter.read("06_km/groups_recommended"), chapter.read("05_cox_models/scores_recommended")
# A cohort without images has no DL score: a score of one's own, or the first model, stands in.
OWN = [name for name in score if name not in (*MODELS, "patient_id")]
model = next(name for name in (model, *OWN, *score) if name in score and name != "patient_id")
TRACKS = (SUPPLIED,) if model in OWN else TRACKS  # of one's own score there is one set of groups
PUBLISHED, RECOMMENDED = TRACKS[0], TRACKS[-1]
inputs = {PUBLISHED: chapter.read("06_km/groups"), RECOMMENDED: groups, "score": score}

# %%
COHORTS = [name for name in COHORTS if (patients["cohort"] == name).any()]
JUDGED = judged_cohort(patients)  # validation, or training where validation has no metastasis
ENDPOINTS = {name: pair for name, pair in ENDPOINTS.items() if patients[pair[0]].notna().any()}
for column, table in inputs.items():
    table = table[["patient_id", model]].rename(columns={model: column})
    patients = patients.merge(table, on="patient_id", validate="one_to_one")
patients = patients.dropna(subset=list(inputs)).reset_index(drop=True)

# %%
long = patients.melt(["cohort", "dm_event"], list(TRACKS), "groups", "risk group")
counts = long.groupby(["groups", "cohort", "risk group"])["dm_event"].agg(["size", "sum"]).reset_index()
counts.columns = ["groups", "cohort", "risk group", "patients", "distant metastases"]
chapter.table("arms", counts, "Patients and distant metastases by cohort and risk group.")
chapter.say(f"Risk groups by {LABELS.get(model, model)}.")

# %%
FACTORS = ["Age", "Sex", "rENE", "EBV DNA", "Clinical stage"]
divided_at = age_cut or float(patients.loc[patients["cohort"] == "training", "age"].median())
older = (
    patients["age"].gt(divided_at).map({True: f"> {divided_at:g} years", False: f"≤ {divided_at:g} years"})
)
patients["Age"] = older.where(patients["age"].notna())
patients["Sex"] = patients["sex"].astype(object).str.capitalize()
patients["rENE"] = (
    patients["rene"].gt(0).map({True: "With", False: "Without"}).where(patients["rene"].notna())
)
patients["EBV DNA"] = (
    patients["ebv_dna"].where(patients["ebv_dna"] != "missing").astype(object).str.capitalize()
)
patients["Clinical stage"] = patients["t_stage"] + patients["n_stage"]
FACTORS = [name for name in FACTORS if patients[name].notna().any()]
high = pd.DataFrame({track: (patients[track] == "high").astype(float) for track in TRACKS})

# %%
# Whom each line of the results is about; where cohorts stand together, each has a baseline hazard of its own.
BOTH = "both cohorts"
WHOSE = {cohort: patients["cohort"] == cohort for cohort in COHORTS} | {BOTH: patients["cohort"].notna()}
LOOKS = [*product(TRACKS, COHORTS)]
WHOLE = BOTH if len(COHORTS) > 1 else JUDGED  # all patients in whom honest groups can be compared
LOOKS += [(RECOMMENDED, BOTH)] if WHOLE == BOTH else []

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
# **Recommended** beside it: the recommended groups, in validation alone and in both cohorts with a baseline
# hazard each (*strata*); the likelihood ratio test of a Cox model with and without the product of risk group
# and factor, which asks whether the effect differs *at all*; the same for the continuous recommended score;
# and {term}`Holm's correction` for the number of subgroups looked at. Beside every "no interaction" stands
# what the data could have told: the interval of the *ratio of ratios* (how many times larger the hazard ratio
# is at one level than at the other), and the smallest such ratio that the test would find in four of five
# studies with as many events.

# %%
ESTIMATE = ["coef", "se", "hr", "hr_low", "hr_high", "p_value"]


def compare_arms(track, whose, rows, factor, level):
    """Return one row of the forest plot: high against low risk among these patients."""
    part, x = patients[rows], high.loc[rows, track].rename("high")
    row = {"track": track, "cohort": whose, "subgroup": factor, "level": level}
    for arm, inside in (("high", x == 1), ("low", x == 0)):
        row |= {f"n_{arm}": int(inside.sum()), f"events_{arm}": int(part.loc[inside, "dm_event"].sum())}
    row |= dict.fromkeys(ESTIMATE, np.nan)
    with chapter.noting(f"{track}, {whose}, {factor} {level}".rstrip()):
        fit = fit_firth_cox(part["dmfs_months"], part["dm_event"], x, strata=part["cohort"])
        row |= {name: getattr(fit, name)[0] for name in ESTIMATE}
    return row


# %%
rows = []
for track, whose in LOOKS:
    rows.append(compare_arms(track, whose, WHOSE[whose], "All patients", ""))
    for factor in FACTORS:
        levels = sorted(patients.loc[WHOSE[whose], factor].dropna().unique())
        rows += [
            compare_arms(track, whose, WHOSE[whose] & (patients[factor] == v), factor, v) for v in levels
        ]
subgroups = pd.DataFrame(rows)
single = subgroups["level"] != ""
events = (subgroups["events_high"] + subgroups["events_low"])[single & (subgroups["cohort"] == JUDGED)]
chapter.methods(
    f"""Subgroups. Hazard ratios in subgroups of the risk groups by "{model}" are from Cox models with
    Firth's penalty and profile likelihood limits, cohorts as strata where they stand together."""
)

# %% [markdown]
# Without the penalty the fit is an ordinary one, for which any survival library will do. lifelines' beside
# the kernel of this book, which is fast enough for the loops of resampling and refuses a ratio that has no
# finite estimate, as where one arm has no event (lifelines warns, and returns a large number). Its steps are
# shorter here than by default, since the usual ones overshoot where few patients have most events:

# %%
STEPS = {"step_size": 0.5}
for track, cohort in product(TRACKS, COHORTS):
    data = patients.loc[WHOSE[cohort], ["dmfs_months", "dm_event"]].assign(high=high[track])
    library, what = None, (subgroups["track"] == track) & (subgroups["cohort"] == cohort) & ~single
    text = f"with the penalty, {format_hr(*subgroups.loc[what, ['hr', 'hr_low', 'hr_high']].to_numpy()[0])}."
    with chapter.noting(f"{track}, {cohort}, All patients, without the penalty"):
        kernel = fit_cox(data["dmfs_months"], data["dm_event"], data[["high"]])
        library = CoxPHFitter().fit(data, "dmfs_months", "dm_event", fit_options=STEPS)
    if library is None:
        chapter.say(f"- {track}, {cohort}: no finite ratio without the penalty; {text}")
        continue
    difference = abs(library.params_["high"] - kernel.coef[0])
    chapter.say(
        f"- {track}, {cohort}: lifelines {library.hazard_ratios_['high']:.2f}, `fit_cox` {kernel[0]}, a "
        f"difference of {difference:.0e} in the logarithm; {text}"
    )

# %% [markdown]
# ## Result
#
# Interaction tests use the estimates of the subgroups (Gail–Simon) or the patients (likelihood ratio), at the
# levels that have an estimate. Each factor has one p-value per cohort and test, none of them corrected.


# %%
def ratio_of_ratios(known, track, factor):
    """Return the hazard ratio at a factor's first level over that at its second; None for three levels."""
    levels = sorted(known[factor].unique())
    if len(levels) != 2:
        return None
    x = pd.DataFrame(
        {"high": high.loc[known.index, track], "first": (known[factor] == levels[0]).astype(float)}
    )
    x["both"] = x["high"] * x["first"]
    return fit_firth_cox(known["dmfs_months"], known["dm_event"], x, strata=known["cohort"])["both"]


# %%
def compare_levels(track, whose, factor):
    """Return the tests of interaction of risk and a factor, at the levels that have an estimate."""
    what = f"{track}, {whose}, interaction with {factor}"
    mine = (subgroups["track"] == track) & (subgroups["cohort"] == whose) & (subgroups["subgroup"] == factor)
    estimates = subgroups[mine].dropna(subset=["coef"])
    known = patients[WHOSE[whose] & patients[factor].isin(estimates["level"])]
    data, strata = (known["dmfs_months"], known["dm_event"]), {"strata": known["cohort"]}
    test = {"track": track, "cohort": whose, "factor": factor, "levels": len(estimates), "ratio": None}
    test |= dict.fromkeys(["Q", "gail_simon", "lr_groups", "lr_score", "detectable"], np.nan)
    with chapter.noting(f"{what} (Gail–Simon)"):
        found = gail_simon(estimates["coef"], estimates["se"])
        test |= {"Q": found.statistic, "gail_simon": found.p_value}
        test["detectable"] = detectable_ratio(estimates[["events_low", "events_high"]])
    with chapter.noting(f"{what} (groups)"):
        group = high.loc[known.index, track]
        test["lr_groups"] = likelihood_ratio(*data, group, known[factor], **strata).p_value
        test["ratio"] = ratio_of_ratios(known, track, factor)
    with chapter.noting(f"{what} (score)"):
        test["lr_score"] = likelihood_ratio(*data, known["score"], known[factor], **strata).p_value
    return test


# %%
columns = ["track", "cohort", "factor", "levels", "ratio", "Q", "gail_simon", "lr_groups", "lr_score"]
found = [compare_levels(*look, factor) for look, factor in product(LOOKS, FACTORS)]
interaction = pd.DataFrame(found, columns=[*columns, "detectable"])
by_factor = interaction.rename(columns={"factor": "subgroup", "lr_groups": "p_interaction"})
by_factor = by_factor[["track", "cohort", "subgroup", "p_interaction"]]
subgroups = subgroups.merge(by_factor, how="left", on=["track", "cohort", "subgroup"])
chapter.say(f"Of the {single.sum()} subgroups {subgroups.loc[single, 'hr'].notna().sum()} have an estimate.")
ours = interaction[(interaction["track"] == RECOMMENDED) & (interaction["cohort"] == WHOLE)]
smallest, tests = ours["lr_groups"].min(), ours["lr_groups"].notna().sum()
easiest = f"{ours['detectable'].min():.1f}" if np.isfinite(ours["detectable"].min()) else "more than 1000"
chapter.takeaway(
    4,
    f"Interaction by recommended groups, {WHOLE}: smallest p-value {format_p(smallest)} of {tests} factors. "
    f"The test would have found a ratio of hazard ratios of {easiest} or more in four of five studies: that "
    "there is no interaction is not shown ([interaction](#subgroups-interaction)).",
)

# %%
honest = subgroups[(subgroups["track"] == RECOMMENDED) & (subgroups["cohort"] == WHOLE) & single]
better = "shown for a factor" if smallest * tests < 0.05 else "neither shown nor excluded"
chapter.takeaway(
    1,
    f"**By the groups {RECOMMENDED}, high risk fares worse in {(honest['hr'] > 1).sum()} of the "
    f"{honest['hr'].notna().sum()} subgroups with an estimate ({WHOLE}), and in "
    f"{(honest['hr_low'] > 1).sum()} the interval says so, too; that the score separates better in "
    f"some than in others is {better}** ([forest plots](#subgroups-forest)).",
)

# %% [markdown]
# (subgroups-forest)=
# ### Forest plots (Fig. 4)
#
# The recommended groups in both cohorts and in validation alone, then the counterparts of the paper's Figure
# 4B, and folded of A (training), with the published groups. Each line is one subgroup. Under its name stand
# events/patients in the high- and the low-risk arm. The axis of each figure is as long as its estimates need,
# so that the two differ. The interaction p is that of the likelihood ratio test, not the paper's.


# %% tags=["hide-input"]
def draw_forest(track, whose):
    """Draw the subgroups of a cohort, or of both, by the groups of a track."""
    ax = plot_forest(subgroups[(subgroups["track"] == track) & (subgroups["cohort"] == whose)])
    ax.set_title(f"{whose.capitalize()}, {track}", loc="left")
    alt = f"Forest plot: hazard ratio of high against low risk in each subgroup, {whose}, groups {track}."
    chapter.figure(f"forest_{whose}_{track}".replace(" ", "_"), ax.figure, alt)


drawn = [look for look in LOOKS if look[1] != "training" or len(COHORTS) == 1]
for look in sorted(drawn[::-1], key=lambda look: look[0] != RECOMMENDED):
    draw_forest(*look)

# %% tags=["hide-output"]
if (PUBLISHED, "training") in LOOKS and len(COHORTS) > 1:
    draw_forest(PUBLISHED, "training")

# %%
t2n0_hr = {}
for look in LOOKS:
    in_t2n0 = (
        (subgroups["track"] == look[0]) & (subgroups["cohort"] == look[1]) & (subgroups["level"] == "T2N0")
    )
    row = subgroups[in_t2n0].dropna(subset="hr")
    found = [format_hr(*ratio) for ratio in row[["hr", "hr_low", "hr_high"]].to_numpy()]
    t2n0_hr[look] = found[0] if found else "not estimable"
chapter.takeaway(
    3,
    f"T2N0 disease: HR {' and '.join(f'{t2n0_hr[track, JUDGED]} {track}' for track in TRACKS)} in {JUDGED}, "
    f"{t2n0_hr[RECOMMENDED, WHOLE]} {RECOMMENDED} in all "
    "patients ([forest plots](#subgroups-forest)). An interval that holds both 1 and large ratios says that "
    "the data cannot tell, not that the score fails.",
)

# %%
seen = subgroups[(subgroups["track"] == PUBLISHED) & (subgroups["cohort"] == "training") & single]
chapter.say(
    f"*What is being seen in training.* In {int((seen['events_low'] == 0).sum())} of {len(seen)} published "
    "subgroups of the training cohort nobody at low risk had a metastasis: score and cut-off were fitted to "
    "these very outcomes, and the ratios of that panel show this and nothing else."
)

# %% [markdown]
# *How to read it.* A square is the ratio, the line its interval. An arrow says that the interval goes on
# beyond the axis; an arrow without a square, that the ratio itself does (the numbers stand at the right). Do
# not ask which intervals hold 1; ask which hold the ratio of *all patients*. A subgroup whose interval does
# is compatible with the common effect. A subgroup of few events is compatible with almost any hazard ratio;
# its p-value is then a statement about its size. The panels of the recommended groups speak of patients that
# the score had not seen.
#
# (subgroups-numbers)=
# ### The same as numbers
#
# Both tracks side by side, with Holm's correction over the subgroups of a track and cohort. The subgroups
# overlap, since each factor divides the same patients anew; Holm's correction needs no independence.

# %%
subgroups["p_holm"] = np.nan
for track, whose in LOOKS:
    tested = (subgroups["track"] == track) & (subgroups["cohort"] == whose) & single
    tested &= subgroups["p_value"].notna()
    if tested.any():
        subgroups.loc[tested, "p_holm"] = multipletests(subgroups.loc[tested, "p_value"], method="holm")[1]
chapter.write("subgroups", subgroups)


def numbers_of(track, whose):
    """Return the subgroups of a track and cohort as text, a row each."""
    part = subgroups[(subgroups["track"] == track) & (subgroups["cohort"] == whose)]
    arms = [part[f"events_{a}"].astype(str) + "/" + part[f"n_{a}"].astype(str) for a in ("high", "low")]
    columns = {"high, low: events/n": arms[0] + ", " + arms[1]}
    columns["HR (95 % CI)"] = [format_hr(*row) for row in part[["hr", "hr_low", "hr_high"]].to_numpy()]
    columns["p, Holm"] = part["p_holm"].map(format_p)
    names = (part["subgroup"] + " " + part["level"]).str.strip()
    return pd.DataFrame(
        {f"{track}: {name}": list(v) for name, v in columns.items()}, pd.Index(names, name="subgroup")
    )


# %%
def show_numbers(whose):
    """Show the subgroups of a cohort, or of both, by the groups of both tracks."""
    parts = [numbers_of(track, w) for track, w in LOOKS if w == whose]
    about = {"training": ", whose outcomes the published score was fitted to", BOTH: ", each a stratum"}
    caption = f"High against low risk, {whose}{about.get(whose, '')}: Firth's Cox model, profile limits."
    shown = pd.concat(parts, axis=1).reset_index()
    chapter.table(f"subgroups_{whose.split()[0]}", shown, caption)


show_numbers(JUDGED)

# %% tags=["hide-output"]
for whose in [*COHORTS[::-1], *([BOTH] if WHOLE == BOTH else [])]:
    if whose != JUDGED:
        show_numbers(whose)

# %%
below = {}
for track in TRACKS:
    looked_at = subgroups[(subgroups["track"] == track) & (subgroups["cohort"] == JUDGED) & single]
    below[track] = [int((looked_at[name] < 0.05).sum()) for name in ("p_value", "p_holm")]
chapter.say(
    f"*How to read it.* A dash stands where an estimate could not be had, and the last table of *Result* "
    f"says why. Subgroups in {JUDGED} with p < 0.05: "
    + "; ".join(f"{n} {track}, {held} once their number is allowed for" for track, (n, held) in below.items())
    + "."
)
held = " and ".join(f"{counts[1]} {track}" for track, counts in below.items())
chapter.takeaway(
    2,
    f"Subgroups in {JUDGED} that are significant once their number is allowed for: {held}. The fewest "
    f"metastases in one: {format_number(events.min(), 0)} ([numbers](#subgroups-numbers)).",
)

# %% [markdown]
# (subgroups-interaction)=
# ### Interaction
#
# "Gail–Simon" is the paper's test. Where $Q$ is 0 all estimates of a factor lie on one side of 1, and the
# p-value is QualInt's convention.

# %%
names = {"track": "groups", "gail_simon": "p, Gail–Simon (as published)", "lr_groups": "p, LR, risk groups"}
names |= {"ratio": "ratio of ratios (95 % CI)", "detectable": "found in 4 of 5 studies from"}
names |= {"lr_score": "p, LR, recommended score", "Q": "Gail–Simon Q"}
shown = interaction.assign(
    **{n: interaction[n].map(format_p) for n in ("gail_simon", "lr_groups", "lr_score")}
)
shown["ratio"] = interaction["ratio"].map(lambda ratio: or_dash(ratio).removesuffix(" †"))
shown["detectable"] = interaction["detectable"].map(lambda r: format_hr(r) if np.isfinite(r) else ">1000")
columns = ["track", "cohort", "factor", "lr_groups", "ratio", "detectable", "lr_score", "gail_simon", "Q"]
main = (shown["track"] == RECOMMENDED) & (shown["cohort"] == WHOLE)
caption = f"Interaction of risk and factor, {WHOLE}, groups {RECOMMENDED}: does the hazard ratio differ?"
chapter.table("interaction_main", shown.loc[main, columns[2:]].rename(columns=names), caption)

# %% tags=["hide-output"]
caption = "Interaction of risk and factor, every cohort and track."
chapter.table("interaction", shown[columns].rename(columns=names), caption)

# %% [markdown]
# *How to read it.* The *ratio of ratios* is that of a factor's first level (in the order of the forest plots)
# to its second, by Firth's penalty with profile limits; 1 is no interaction. Its interval is what the data
# leave open, and the next column what they could have told: a large p-value beside a wide interval is no
# evidence that the score works equally well everywhere. The paper's test (Gail–Simon) cannot become small
# unless the score works the wrong way round in some subgroup, so that its large p-values, which the paper
# reports, are none either. Where one arm has no event in a whole cohort the effect is unbounded at every
# level, and the likelihood ratio has nothing left to compare: its p-value is then near 1 for want of
# information. The score needs no groups, but assumes that its effect is a straight line.
#
# By chance alone, one interaction test in twenty has p < 0.05. Only cohorts with events in both arms are
# counted: elsewhere the test cannot become small. Tests of one cohort share patients and are not independent,
# which leaves the expectation as it is.

# %% tags=["hide-output"]
rows = []
for track, whose in LOOKS:
    alive = patients[WHOSE[whose]].groupby(track)["dm_event"].sum().gt(0).all()
    mine = interaction[(interaction["track"] == track) & (interaction["cohort"] == whose)]
    counted = mine["lr_groups"].dropna() if alive else mine["lr_groups"][:0]
    row = {"groups": track, "cohort": whose, "tests": len(counted), "p < 0.05": int((counted < 0.05).sum())}
    rows.append(row | {"expected by chance": 0.05 * len(counted)})
caption = "How many interactions (LR, risk groups) would be called significant without any."
chapter.table("chance", pd.DataFrame(rows), caption)

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
t2n0 = t2n0.dropna(subset="chemotherapy")
t2n0["treatment"] = np.where(t2n0["chemotherapy"] == "none", "radiotherapy", "chemoradiotherapy")


panels = {}
for letter, (endpoint, (time, event)) in zip("AB", ENDPOINTS.items(), strict=False):
    data = t2n0[time], t2n0[event], t2n0["treatment"], None
    panels[f"{letter}  T2N0, both cohorts, {endpoint}"] = data if len(t2n0) else None
fig = plot_panels(panels, horizon_months=horizon_months, n_columns=len(ENDPOINTS))
alt = f"Kaplan–Meier curves in T2N0 patients by treatment: {' and '.join(ENDPOINTS)}."
chapter.figure("t2n0", fig, alt)

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

# %% tags=["hide-output"]
chapter.not_estimable()

# %% [markdown]
# ## Against the paper
#
# <span class="planted">The {term}`truth <planted truth>` column exists for a synthetic cohort only. For a
# hazard ratio it is the ratio of the mean cumulative hazards at five years of the recommended groups as they
# were planted; for a rate it is the mean planted probability of no metastasis with the treatment
# given.</span> Only what the paper printed for the same score and horizon is set beside it.

# %%
as_printed = model == "dl_combined"  # print has the risk groups of this model only
for (track, cohort), _ in t2n0_hr.items() if as_printed else ():
    in_t2n0 = (subgroups["track"] == track) & (subgroups["cohort"] == cohort) & (subgroups["level"] == "T2N0")
    for hr, low, high_limit, p in (
        subgroups.loc[in_t2n0, ["hr", "hr_low", "hr_high", "p_value"]].dropna().to_numpy()
    ):
        if cohort in COHORTS:
            limits = {"low": low, "high": high_limit, "p_value": p, "track": track}
            chapter.record(f"text.{cohort}.subgroup_hr.t2n0", hr, **limits)
for track, column in ((PUBLISHED, "gail_simon"), (RECOMMENDED, "lr_groups")):
    smallest = interaction.loc[interaction["track"] == track, column].min()
    if as_printed and np.isfinite(smallest):
        chapter.record("text.both.subgroup_interaction_p", smallest, track=track)
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
        means = part.groupby(RECOMMENDED)["hazard"].mean()
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
# Nor does agreement in "all interactions p > 0.05" mean much, for the reason given above: by that test such
# a result is expected whenever the score does not rank patients backwards somewhere.
# <span class="planted">On a synthetic cohort the truth column shows what the same few patients would have
# given had their risks been known instead of estimated.</span>
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `age_cut = 60`: the older group becomes small. Its interval widens, or there is none any more, while
#   nothing about the score has changed: a picture of how much a forest plot owes to where one divides.
# - `model = "clinical"`: risk groups of the model without images. No ratio of theirs is set beside print,
#   which has those of the DL score; and in subgroups by rENE and stage, which make the clinical score, an arm
#   may be empty or nearly so.
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
# - Published risk groups come from an optimised cut-off ([chapter 06](06_km.ipynb)): in the training cohort
#   all their hazard ratios are optimistic.<span class="planted"> In validation nothing was fitted, but
#   settings were chosen [in sight of its values](09c_other_cohorts.ipynb).</span>
# - The smallest ratio that would be found rests on a large-sample formula and the events at hand.
# - Patients without an EBV DNA value are missing from that factor only. If their risk differs, its two levels
#   do not add up to the cohort.
# - T2N0 patients were not randomised to chemotherapy. The comparison is unadjusted, as in the paper, and has
#   too few events to be adjusted.
# - In the text DMFS of all T2N0 patients is printed as lower than in each of the two arms; see
#   [what can be checked from print](00_printed_numbers.ipynb).
#
# Next: [the dose of cisplatin](08_ccnd.ipynb) in T1-2N1 disease.
