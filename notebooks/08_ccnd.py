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
# # Cisplatin dose
#
# **Do high-risk patients with T1-2N1 disease gain from a high {term}`cumulative cisplatin or nedaplatin dose`
# (CCND), and do low-risk patients not?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the cohort table (chapter 01), the scores (05) and the risk groups of both tracks (06). **Writes**
# `differences.csv` (rates of the dose groups compared) and the values set beside print.
#
# ## Setup

# %%
from itertools import product

import numpy as np
import pandas as pd

from npcbook.book import open_chapter, plot_panels, show_source
from npcbook.cohort import read_truth
from npcbook.paper import lookup
from npcbook.statistics import (
    balance_table,
    balancing_weights,
    continuous_interaction,
    e_value,
    fit_cox,
    fit_firth_cox,
    interaction_power,
    likelihood_ratio,
    logrank,
    rate_at,
    rate_difference,
    weighted_rates,
)

# %%
from npcbook.store import project_path
from npcbook.words import COHORTS, ENDPOINTS, LABELS, MISSING, MODELS, SUPPLIED, SYNTHETIC_LABEL, TRACKS

# %% tags=["parameters"] needs="dmfs metastases covariates dose"
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
model = "dl_combined"  # one of MODELS or SCORES; whose risk groups; paper: DL score of the combined sequences
threshold_mg_m2 = 160  # 1 to 1000; highest dose of the low-dose group; the paper's threshold, its median
horizon_months = 60  # 1 to last follow-up, months; 5-year rates
landmark_months = 6  # 0 to last follow-up; recommended track: after most chemotherapy
n_bootstraps = 200  # 1 or more; recommended track: limits of the weighted rates
seed = 2023  # 0 or more; of the bootstrap

# %% [markdown]
# ## Data
#
# T1N1 and T2N1 patients of both cohorts with radiotherapy alone or with cisplatin or nedaplatin. Other drugs
# have no {term}`CCND` and are left out, as the paper must have done to arrive at its number. Times are
# months; DMFS {term}`censors <censoring>` deaths. Each patient has two risk groups from [chapter
# 06](06_km.ipynb): the *published* one, cut on the training patients' own outcomes, and the *recommended*
# one, by a score that has not seen the patient ({term}`out of fold` in training), cut at its training median.

# %%
chapter = open_chapter("08_ccnd", run_folder=run_folder, cohort_folder=cohort_folder)
groups, score = chapter.read("06_km/groups_recommended"), chapter.read("05_cox_models/scores_recommended")
# A cohort without images has no DL score: a score of one's own, or the first model, stands in.
OWN = [name for name in score if name not in (*MODELS, "patient_id")]
model = next(name for name in (model, *OWN, *score) if name in score and name != "patient_id")
TRACKS = (SUPPLIED,) if model in OWN else TRACKS  # of one's own score there is one set of groups
PUBLISHED, RECOMMENDED = TRACKS[0], TRACKS[-1]
patients = chapter.read("01_cohorts/cohort")
inputs = {PUBLISHED: chapter.read("06_km/groups"), RECOMMENDED: groups, "score": score}
ENDPOINTS = {name: pair for name, pair in ENDPOINTS.items() if patients[pair[0]].notna().any()}
for column, table in inputs.items():
    table = table[["patient_id", model]].rename(columns={model: column})
    patients = patients.merge(table, on="patient_id", validate="one_to_one")

# %%
t2n0 = (patients["t_stage"] == "T2") & (patients["n_stage"] == "N0")
t2n0 = patients[t2n0].dropna(subset=[*inputs, "chemotherapy"])
eligible = (patients["n_stage"] == "N1") & patients["chemotherapy"].isin(["none", "cisplatin_nedaplatin"])
# With these drugs a dose of 0 is an unknown one, and no radiotherapy alone.
unknown = patients["ccnd_mg_m2"].isna() | (patients["ccnd_mg_m2"] == 0) & (patients["chemotherapy"] != "none")
left_out = (eligible & unknown).sum() or ""
patients = patients[eligible & ~unknown].dropna(subset=list(inputs)).reset_index(drop=True)
COHORTS = [name for name in COHORTS if (patients["cohort"] == name).any()]
BOTH = "both cohorts" if len(COHORTS) > 1 else "all patients"
left_out = f"; left out for an unknown dose: {left_out}" if left_out else ""
chapter.say(f"Risk groups by {LABELS.get(model, model)}{left_out}.")

# %%
RISKS = ["low", "high"]
ARMS = ["radiotherapy", f"up_to_{threshold_mg_m2:g}", f"over_{threshold_mg_m2:g}"]
NAMES = {ARMS[0]: LABELS["radiotherapy"], ARMS[1]: f"CCND ≤ {threshold_mg_m2:g} mg/m²",
         ARMS[2]: f"CCND > {threshold_mg_m2:g} mg/m²"}  # fmt: skip
borders = [-np.inf, 0, threshold_mg_m2, np.inf]
patients["dose_group"] = pd.cut(patients["ccnd_mg_m2"], borders, labels=ARMS).astype(str)
time, event = patients["dmfs_months"], patients["dm_event"]

# %%
CELLS = pd.MultiIndex.from_product([RISKS, ARMS], names=["risk group", "dose group"])
columns = {}
for track in TRACKS:
    cells = event.groupby([patients[track], patients["dose_group"]]).agg(["sum", "size"])
    cells = cells.reindex(CELLS, fill_value=0)
    columns[f"{track}: metastases / patients"] = cells.astype(str).agg(" / ".join, axis=1)
table = pd.DataFrame(columns, CELLS).reset_index().replace({"dose group": NAMES})
chapter.table("arms", table, "Distant metastases and patients by risk and dose group, both cohorts together.")

# %% [markdown]
# ## Method
#
# **As published.** Within each risk group the three dose groups are compared by
# {term}`Kaplan–Meier curves <Kaplan–Meier curve>` and one {term}`log-rank test`, for DMFS and {term}`OS`. The
# threshold is the paper's median dose ([Hu et al. 2023](bibliography.md)); how much cisplatin is enough had
# been asked in trials of more advanced disease before ([Peng et al. 2016](bibliography.md)). One test of
# three groups asks whether *any* of them differs, not which.
#
# **As recommended.** Honest risk groups, and within them four questions that the curves leave open:
#
# 1. *Who was given how much?* Treatment followed condition ({term}`confounding by indication`). By
#    {term}`inverse probability weighting` each patient $i$ with covariates $x_i$, hospital included, stands
#    for so many others that, within the risk group, all dose groups become alike in $x$:
#
#    $$w_i \propto \exp(b_a^\top x_i),$$
#
#    and $b_a$ is found for dose group $a$ such that its weighted means of $x$ are those of the whole risk
#    group. That removes confounding by $x$ if every kind of patient could have been given any dose; the
#    {term}`E-value` says how strong what was not measured would have to be.
# 2. *How large is the effect?* Differences of rates in percentage points, and for validation patients alone.
# 3. *Does the effect of dose differ between the risk groups?* Only then the score would be
#    {term}`predictive`, not merely {term}`prognostic`. A likelihood ratio test of
#    {term}`Cox models <Cox model>` with and without risk × dose, and its power.
# 4. *Was survival needed to receive the dose?* A high cumulative dose is only reached by those who live so
#    long. Seen from a {term}`landmark` after most of the treatment, everybody has lived until then.
#
# Cox models here have a baseline hazard for each cohort (*strata*). Hazard ratios assume {term}`proportional
# hazards` between dose groups; differences of rates do not. The library code of the weights:

# %%
show_source(balancing_weights)
chapter.methods(
    f"""Dose. The cumulative cisplatin or nedaplatin dose was grouped as none, up to, and above
    {threshold_mg_m2} mg/m² in patients with node-positive disease, compared as treated and, as recommended,
    in risk groups by out-of-fold scores cut at their training median, with weights that balance covariates
    and centres within each risk group, from a landmark at {landmark_months} months, and with a term for the
    interaction of risk and dose; limits of weighted rates are log–log, from {n_bootstraps} bootstrap
    samples."""
)

# %% [markdown]
# ## Result
#
# (ccnd-km)=
# ### Survival by dose (Fig. 5)
#
# The paper's Figure 5, lettered like it: A, B compare treatments in T2N0 disease ([chapter
# 07](07_subgroups.ipynb) has the rates), C, D doses in low-risk, E, F in high-risk patients, both cohorts
# together; first with the recommended groups, then with the published ones.


# %%
def figure_5(track):
    """Draw survival by treatment in T2N0 disease, and by dose in each risk group, in one picture."""
    rows = {"T2N0": (t2n0, np.where(t2n0["chemotherapy"] == "none", "radiotherapy", "chemoradiotherapy"))}
    for risk in RISKS:
        part = patients[patients[track] == risk]
        arms = part["dose_group"].replace({} if threshold_mg_m2 == 160 else {a: NAMES[a] for a in ARMS[1:]})
        rows[f"T1-2N1, {LABELS[risk].lower()}"] = part, arms
    letters, panels = dict(zip(product(rows, ("DMFS", "OS")), "ABCDEF", strict=True)), {}
    for (who, (part, arms)), endpoint in product(rows.items(), ENDPOINTS):
        data = (*(part[column] for column in ENDPOINTS[endpoint]), arms, None)
        panels[f"{letters[who, endpoint]}  {who}, {endpoint}"] = data if len(part) else None
    return plot_panels(panels, horizon_months=horizon_months, n_columns=len(ENDPOINTS))


# %%
for track in TRACKS[::-1]:
    alt = f"Kaplan–Meier curves by treatment and dose, {' and '.join(ENDPOINTS)}, risk groups {track}."
    chapter.figure(f"figure_5_{track.replace(' ', '_')}", figure_5(track), alt)
seen = patients[patients["cohort"] == "training"].groupby(PUBLISHED)["dm_event"].agg(["sum", "size"])
seen = seen.reindex(RISKS, fill_value=0).astype(str).agg(" of ".join, axis=1)
chapter.say(
    "*How to read it.* A dose group of a few dozen patients moves by several points with one event more or "
    "less, and curves do not say what the same patients would have done with another dose. Where fewer than "
    "ten are at risk a curve is thin. Low doses below radiotherapy alone warn that the groups were not alike "
    f"to begin with. Of the training patients among them {seen['high']} at high and {seen['low']} at low "
    f"risk by the groups {PUBLISHED} had a metastasis: what those panels show is partly a score that was "
    "fitted to these very outcomes."
)

# %% [markdown]
# (ccnd-rates)=
# ### Rates at the horizon
#
# Kaplan–Meier estimates with log–log limits in the published groups. The log-rank tests are not corrected for
# their number.

# %%
from npcbook.words import format_hr, format_number, format_p

observed, logrank_p = {}, {}
for risk, (endpoint, (months, died)) in product(RISKS, ENDPOINTS.items()):
    part = patients[patients[PUBLISHED] == risk]
    with chapter.noting(f"{LABELS[risk]}, {endpoint}, log-rank"):
        logrank_p[risk, endpoint] = logrank(part[months], part[died], part["dose_group"]).p_value
    for arm in ARMS:
        in_arm = part[part["dose_group"] == arm]
        with chapter.noting(f"{LABELS[risk]}, {endpoint}, {NAMES[arm]}, rate"):
            observed[risk, endpoint, arm] = rate_at(in_arm[months], in_arm[died], horizon_months)


# %%
def rates_table(rates):
    """Return rates in per cent: a row per risk group and endpoint, a column per dose group."""
    rows = []
    for risk, endpoint in product(RISKS[::-1], ENDPOINTS):
        of_arm = {NAMES[arm]: rates.get((risk, endpoint, arm)) for arm in ARMS}
        texts = {name: f"{rate:1%}" if rate else MISSING for name, rate in of_arm.items()}
        rows.append({"risk group": risk, "endpoint": endpoint} | texts)
    return pd.DataFrame(rows)


table = rates_table(observed)
p_values = [logrank_p.get((row["risk group"], row["endpoint"])) for row in table.to_dict("records")]
table["log-rank p"] = [format_p(p) for p in p_values]
chapter.table("rates", table, f"Rates in per cent at {horizon_months} months (95 % CI), published groups.")
p_of = {risk: format_p(logrank_p.get((risk, "DMFS"))) for risk in RISKS}
chapter.say(
    f"*How to read it.* Along a row the three doses of one risk group. The log-rank p-value for DMFS is "
    f"{p_of['high']} in high-risk and {p_of['low']} in low-risk patients. Two such p-values must not be "
    f"compared with each other: for that there is the test of [interaction](#ccnd-interaction). Where "
    f"low-risk training patients have few metastases or none, score and cut-off were chosen for it."
)

# %% [markdown]
# (ccnd-balance)=
# ### Recommended: who was given how much?
#
# For each covariate the largest standardised difference between two dose groups *of the same risk group*,
# before and after weighting. Beyond 0.1 groups are usually called unlike.

# %%
covariates = pd.DataFrame({
    "Age": patients["age"], "Female": patients["sex"] == "female", "T2": patients["t_stage"] == "T2",
    "LDH abnormal": patients["ldh"] == "abnormal", "LDH unknown": patients["ldh"] == "missing",
    "EBV DNA detectable": patients["ebv_dna"] == "detectable",
    "EBV DNA unknown": patients["ebv_dna"] == "missing", "rENE unknown": patients["rene"].isna(),
    "rENE G1": patients["rene"] == 1,
    "rENE G2": patients["rene"] == 2, "DL score": patients["score"],
}).astype(float).rename(columns={"DL score": "DL score" if model == "dl_combined" else "Score"})  # fmt: skip
covariates = covariates.fillna(covariates.mean())
covariates = covariates.join(pd.get_dummies(patients["center"], prefix="Centre", prefix_sep=" ", dtype=float))
covariates = covariates.loc[:, covariates.nunique() > 1]


# %%
def weigh(rows, endpoints):
    """Return the weighted rates of some of the patients; None, with a note, where they bear none."""
    part, whose = patients[rows], " and ".join(patients.loc[rows, "cohort"].unique())
    outcomes = {name: tuple(part[column] for column in ENDPOINTS[name]) for name in endpoints}
    options = {"within": part[RECOMMENDED], "n_bootstraps": n_bootstraps, "rng": np.random.default_rng(seed)}
    with chapter.noting(f"Weighted rates, {whose}"):
        return weighted_rates(outcomes, part["dose_group"], covariates[rows], horizon_months, **options)
    return None


# %% tags=["hide-output"]
WHOSE = {BOTH: patients["cohort"].notna()}
WHOSE |= {name: patients["cohort"] == name for name in COHORTS[::-1] if len(COHORTS) > 1}
resampled = {w: weigh(rows, ENDPOINTS if w == BOTH else ["DMFS"]) for w, rows in WHOSE.items()}
everybody, patients["weight"] = resampled[BOTH], np.nan
if everybody is not None:
    patients["weight"], balance = everybody.weight, []
    for risk, rows in patients.groupby(RECOMMENDED).groups.items():
        data = covariates.loc[rows], patients.loc[rows, "dose_group"]
        part = balance_table(*data).rename(columns={"largest_difference": "largest difference"} | NAMES)
        part["weighted"] = balance_table(*data, patients.loc[rows, "weight"])["largest_difference"]
        balance.append(part.assign(**{"risk group": risk}))
    balance = pd.concat(balance, ignore_index=True)
    columns = ["risk group", *(name for name in balance if name != "risk group")]
    caption = "Means by dose group within each recommended risk group; largest differences in SD."
    chapter.table("balance", balance[columns], caption)

# %% tags=["hide-output"]
if everybody is not None:
    overlap = everybody.overlap.reset_index().replace({"group": NAMES})
    overlap.columns = ["risk group", "dose group", "patients", "worth after weighting", "largest weight"]
    chapter.table("overlap", overlap, "What the weights cost; they are 1 on average in every dose group.")
    worst = balance.loc[balance["weighted"].idxmax()]
    chapter.say(
        f"*How to read it.* The last but one column says how unlike dose groups are as treated, the last "
        f"what weighting leaves: at most {worst['weighted']:.2f} ({worst['covariate']}, "
        f"{worst['risk group']} risk). What a dose group lacks cannot be made alike. The smallest one is "
        f"worth {overlap['worth after weighting'].min():.0f} patients, the largest weight is "
        f"{overlap['largest weight'].max():.1f}. Nothing is said about what nobody wrote down (general "
        "condition, kidney function, consent)."
    )

# %% [markdown]
# (ccnd-weighted)=
# ### Recommended: rates after weighting
#
# Limits come from a bootstrap of patients within each dose group that finds the weights anew each time: its
# spread takes the place of Greenwood's standard error, and limits are log–log as for the observed rates.

# %%
weighted = {}
for risk, endpoint, arm in product(RISKS, ENDPOINTS, ARMS if everybody is not None else ()):
    with chapter.noting(f"{LABELS[risk]}, {endpoint}, {NAMES[arm]}, weighted rate"):
        weighted[risk, endpoint, arm] = everybody[endpoint, risk, arm]
caption = f"Rates in per cent at {horizon_months} months after weighting (95 % CI), recommended groups."
chapter.table("weighted_rates", rates_table(weighted), caption)

# %% [markdown]
# (ccnd-differences)=
# ### Recommended: how large is the difference?
#
# Percentage points free of metastasis at the horizon, high dose less radiotherapy alone.
# <span class="planted">*Planted* (synthetic cohort only): the mean over the very patients of the row of what
# was planted for them, all with 240 mg/m² less all with radiotherapy alone. So each row has a truth of its
# own.</span>

# %%
PLANTED = {"radiotherapy": "dm_probability_5y_radiotherapy", "over_160": "dm_probability_5y_240"}
if (truth := read_truth(cohort_folder)) is not None:
    truth = truth.loc[patients["patient_id"], ["dm_probability_5y", *PLANTED.values()]]
    truth.index = patients.index
    patients["planted"] = -100 * truth[list(PLANTED.values())].diff(axis=1).iloc[:, 1]


def difference_of(track, whose, rows):
    """Return the difference of rates: as observed by published groups, weighted by recommended ones."""
    risk = patients.loc[rows, track].iloc[0]
    if track == PUBLISHED != RECOMMENDED:
        data = (column[rows] for column in (time, event, patients["dose_group"]))
        return rate_difference(*data, horizon_months, first=ARMS[2], second=ARMS[0])
    found = resampled[whose]
    return found and found.difference(("DMFS", risk, ARMS[2]), ("DMFS", risk, ARMS[0]))


# %%
differences = []
for risk, track, whose in product(RISKS[::-1], TRACKS, WHOSE):
    rows, gap = WHOSE[whose] & (patients[track] == risk), None
    row = {"risk group": risk, "groups": track, "patients": whose}
    for arm in ARMS[::-2]:
        died = event[rows & (patients["dose_group"] == arm)]
        row[f"{NAMES[arm]}: metastases / patients"] = f"{died.sum()} / {len(died)}"
    with chapter.noting(f"{LABELS[risk]} {track}, {whose}, difference of rates"):
        gap = difference_of(track, whose, rows) if rows.any() else None
    row["high"] = 100 * gap.high if gap else np.nan
    row["low"] = 100 * gap.low if gap else np.nan
    row["difference (95 % CI)"] = f"{gap:1%}" if gap else MISSING
    differences.append(row | ({} if truth is None else {"planted": patients.loc[rows, "planted"].mean()}))
differences = pd.DataFrame(differences)
how = {PUBLISHED: "published, as observed", RECOMMENDED: f"{RECOMMENDED}, weighted"}
shown = differences.drop(columns=["low", "high"]).replace({"groups": how})
chapter.table("differences", shown, "DMFS, high dose less radiotherapy alone, percentage points.")
gap_of = differences.set_index(["risk group", "groups", "patients"])

# %%
told, found = {}, {}
for track in TRACKS:
    row = gap_of.loc[("high", track, BOTH)]
    found[track] = f"{row['difference (95 % CI)']} points"
    told[track] = found[track] + ("" if truth is None else f", planted {row['planted']:.1f}")
sentence = (
    f"High-risk patients, DMFS at {horizon_months} months with more than {threshold_mg_m2:g} mg/m² less that "
    f"with radiotherapy alone: by the {'published groups' if len(TRACKS) > 1 else 'score as supplied'} "
    f"{told[PUBLISHED]}"
    + f"; by a score that had not seen the patients, dose groups made alike, {told[RECOMMENDED]}"
    * (len(TRACKS) > 1)
)
chapter.front_page(f"**The dose.** {sentence} ([chapter 08](notebooks/08_ccnd.ipynb)).", position=5)
chapter.say(f"The same patients, two ways. {sentence}.")

# %%
chapter.takeaway(
    2,
    f"High-risk patients, DMFS with more than {threshold_mg_m2:g} mg/m² less that with radiotherapy alone: "
    f"{found[PUBLISHED]} as observed in the groups {PUBLISHED}"
    + f"; {found[RECOMMENDED]} by honest groups, dose groups made alike" * (len(TRACKS) > 1)
    + " ([differences](#ccnd-differences)).",
)

# %% [markdown]
# *How to read it.* The first rows are the published way. What both cohorts give together need not lie between
# what each gives, if high-risk patients of one cohort mostly had one treatment (*Simpson's paradox*). One
# hundred divided by a difference in points is the number to be treated for one to stay free of metastasis, if
# the dose is the cause. An interval that holds 0 and also a difference worth having leaves the question open.
# Without limits, an arm has nobody, or everybody, with a metastasis.

# %% [markdown] tags=["planted"]
# (ccnd-coverage)=
# ### How often do such intervals hold the truth?
#
# One cohort cannot tell; simulated ones can. They have tables and no pictures: a score is learnt as in
# chapter 03, from readings of what pictures show. Hazard ratios have [chapter 06](06_km.ipynb)'s limits:
# Firth's, or as published Wald's or the profile's. By `python benchmarks/studies/coverage.py`:

# %% tags=["planted", "hide-output"]
coverage = pd.read_csv(project_path("data/studies/coverage.csv")).drop(columns=["version", "command"])
caption = f"95 % intervals in simulated cohorts (seeds {coverage.pop('seeds')[0]}); HR as logarithms."
ours = coverage[coverage["quantity"].str.startswith("dose") & (coverage["track"] == "recommended")].iloc[0]
others = coverage[~coverage["quantity"].str.startswith("dose") & coverage["track"].eq("recommended")]
worst = others.groupby(["quantity", "limits"])["holds the truth, %"].min()
text = (
    f"The recommended interval of the dose effect holds the truth in {ours['holds the truth, %']:.1f} % of "
    f"{ours['cohorts']} cohorts; {ours['mean estimate']:.1f} are found where {ours['mean truth']:.1f} were "
    "planted, as weights cannot balance what nothing shows. Percentiles of the same bootstrap are surer than "
    "they may be: an arm that happens to have few metastases seems sure of its rate. The others, at worst: "
    + "; ".join(f"{name}, {limits}, {share:.1f} %" for (name, limits), share in worst.items()) + "."
)  # fmt: skip
if truth is not None:
    chapter.table("coverage", coverage, caption, label=SYNTHETIC_LABEL)
    chapter.say(text)

# %% [markdown]
# (ccnd-interaction)=
# ### Recommended: does the effect of dose depend on risk?
#
# The claim "high-risk patients benefit, low-risk patients do not" is one about a difference of effects. Here
# are its tests, DMFS, cohorts as strata: dose in groups; then per 100 mg/m² with the score. Beside each
# stands its *power*: how often, with as many events, such a test has p < 0.05 if the hazard ratios of both
# risk groups differ as the printed rates say<span class="planted">, or as was planted</span>; and what ratio
# of them (high dose against none; or per 100 mg/m² and standard deviation) four of five such studies see.


# %%
from npcbook.statistics import Difference, detectable_ratio

KEYS = dict(zip(ARMS, ["radiotherapy", "up_to_160", "over_160"], strict=True))


def printed_ratios():
    """Return log hazard ratios against radiotherapy alone from the printed rates, by risk and dose group."""
    ids = [[f"text.ccnd.{risk}.dmfs_5y.{KEYS[arm]}" for arm in ARMS] for risk in RISKS]
    log_hazard = np.log(-np.log([[float(lookup(name)["printed"]) / 100 for name in row] for row in ids]))
    return log_hazard[:, 1:] - log_hazard[:, :1]


def planted_ratios(rows, track):
    """Return the planted log hazard ratios of the doses as given, None if they are not known."""
    if truth is None:
        return None
    free = (1 - truth[rows]).groupby([patients[track], patients["dose_group"]]).mean().reindex(CELLS)
    ratio = np.log(free["dm_probability_5y"]) / np.log(free[PLANTED["radiotherapy"]])
    return np.log(ratio).fillna(0).unstack()[ARMS[1:]].loc[RISKS].to_numpy()


# %%
def power_of(rows, track, log_hr):
    """Return the power to see such log hazard ratios, events shared out by them and by follow-up."""
    months = patients[rows].groupby([track, "dose_group"])["dmfs_months"].sum().reindex(CELLS, fill_value=0)
    hazard = months.unstack().loc[RISKS, ARMS] * np.exp(np.column_stack([[0, 0], log_hr]))
    events = event[rows].groupby(patients[track]).sum().reindex(RISKS, fill_value=0)
    return interaction_power(hazard.div(hazard.sum(axis=1), axis=0).fillna(0).mul(events, axis=0), log_hr)


in_groups = pd.DataFrame({arm: (patients["dose_group"] == arm).astype(float) for arm in ARMS[1:]})


# %%
interaction, LEAST = [], "80 % power at a ratio of"
looks = [(PUBLISHED, BOTH), (RECOMMENDED, BOTH), (RECOMMENDED, "validation")]
for track, whose in (look for look in dict.fromkeys(looks) if look[1] in WHOSE):
    rows, what, test = WHOSE[whose], f"{track} groups × dose group, {whose}", None
    with chapter.noting(f"Interaction: {what}"):
        data = time[rows], event[rows], in_groups[rows], patients.loc[rows, track]
        test = likelihood_ratio(*data, strata=patients.loc[rows, "cohort"])
    row = {"interaction": what, "distant metastases": int(event[rows].sum())}
    row["p"] = format_p(test and test.p_value)
    for size, log_hr in {"printed": printed_ratios(), "planted": planted_ratios(rows, track)}.items():
        with chapter.noting(f"Power, {size}: {what}"):
            row[f"power, {size}"] = np.nan if log_hr is None else power_of(rows, track, log_hr)
    cells = event[rows].groupby([patients[track], patients["dose_group"]]).sum().reindex(CELLS, fill_value=0)
    row[LEAST] = format_number(detectable_ratio(cells.unstack()[[ARMS[0], ARMS[2]]]))
    interaction.append(row)

# %%
what, test, least = f"recommended score (per SD) × dose per 100 mg/m², {BOTH}", None, np.nan
with chapter.noting(f"Interaction: {what}"):
    x = pd.DataFrame({"dose": patients["ccnd_mg_m2"] / 100, "score": patients["score"]})
    test = continuous_interaction(time, event, x["dose"], x["score"], strata=patients["cohort"])
    x = (x - x.mean()) / [1, x["score"].std()]
    fit = fit_cox(time, event, x.assign(product=x.prod(axis=1)), strata=patients["cohort"])
    least = np.exp(Difference.of(fit.coef[2], fit.se[2]).detectable)
row = {"interaction": what, "distant metastases": int(event.sum()), "p": format_p(test and test.p_value)}
row[LEAST] = format_number(least)
interaction = pd.DataFrame([*interaction, row]).dropna(axis=1, how="all")
interaction["power, printed"] = interaction.get("power, printed", np.nan)

# %%
powers = [name for name in interaction if name.startswith("power")]
shown = interaction.assign(**{name: interaction[name].map(format_number) for name in powers})
chapter.table("interaction", shown, "Interaction of risk and dose, DMFS; the paper reports no such test.")
main = interaction.set_index("interaction").loc[f"{RECOMMENDED} groups × dose group, {BOTH}"]
power = f"with the printed effects it would see them with probability {format_number(main['power, printed'])}"
if "power, planted" in interaction:
    power += f", with the planted ones {format_number(main['power, planted'])}"

# %%
chapter.takeaway(
    3,
    f'"Significant here, not significant there" is no test of a difference. The interaction of risk and dose '
    f"has p {main['p']} by recommended groups; {power} ([interaction](#ccnd-interaction)).",
)
chapter.say(
    f"*How to read it.* The p-value by recommended groups is {main['p']}; {power}. A p-value that is not "
    "small says little where that probability is low: the data could not have told. The printed size comes "
    "from groups that were searched, and is likely to be too large; the p-value by published groups, cut "
    "on the outcomes compared, may not be taken at its word. The tests are related findings."
)

# %% [markdown]
# (ccnd-methods)=
# ### Recommended: one comparison, several methods
#
# DMFS with a dose above the threshold against radiotherapy alone, recommended groups, cohorts as strata. Cox
# models with {term}`Firth's penalty` and profile limits, except where weights enter (then Cox with
# {term}`Efron`'s ties and robust standard errors, which allow for the weights).

# %%
late = patients[patients["dmfs_months"] > landmark_months]
late = late.assign(dmfs_months=late["dmfs_months"] - landmark_months)
METHODS = {"as observed": patients, "adjusted for age, T and DL score": patients, "weighted": patients}
METHODS |= {f"from month {landmark_months}{how}": late for how in ("", ", weighted")}


def compare_high_dose(df, method, risk):
    """Return the hazard ratio of over-threshold dose against radiotherapy alone in one risk group."""
    df = df[(df[RECOMMENDED] == risk) & df["dose_group"].isin([ARMS[2], ARMS[0]])]
    x = pd.DataFrame({"a dose above the threshold": (df["dose_group"] == ARMS[2]).astype(float)})
    data, strata = (df["dmfs_months"], df["dm_event"]), {"strata": df["cohort"]}
    if "adjusted" in method:
        x = x.join(
            covariates.loc[df.index, covariates.columns.intersection(["Age", "T2", "DL score", "Score"])]
        )
    if "weighted" in method:
        return fit_cox(*data, x, weights=df["weight"], robust=True, **strata)[0]
    return fit_firth_cox(*data, x, **strata)[0]


# %%
ratios, rows = {}, []
for method, df in METHODS.items():
    row = {"method": method}
    for risk in RISKS[::-1]:
        row[LABELS[risk]] = MISSING
        with chapter.noting(f"{LABELS[risk]}, high dose against none, {method}"):
            ratio = ratios[risk, method] = compare_high_dose(df, method, risk)
            row[LABELS[risk]] = (
                f"{format_hr(ratio.hr, ratio.hr_low, ratio.hr_high)}, p {format_p(ratio.p_value)}"
            )
    rows.append(row)
if truth is not None:
    means = (1 - truth[list(PLANTED.values())]).groupby(patients[RECOMMENDED]).mean()
    gone = {risk: np.log(free).iloc[1] / np.log(free).iloc[0] for risk, free in means.iterrows()}
    rows.append({"method": "planted"} | {LABELS[risk]: format_number(gone.get(risk)) for risk in RISKS})

# %%
caption = f"DMFS, {NAMES[ARMS[2]]} against radiotherapy alone: HR (95 % CI)."
chapter.table("methods", pd.DataFrame(rows), caption)
found = [ratios.get(("high", method)) for method in ("as observed", "weighted")]
crude, after = (format_hr(r.hr, r.hr_low, r.hr_high) if r else "not estimable" for r in found)
chapter.takeaway(
    4,
    f"High against no dose in high-risk patients: HR {crude} as observed and {after} after weighting for who "
    f"was given what ([by method](#ccnd-methods)).",
)
chapter.say(
    f"*How to read it.* Down a column only the method changes. A ratio below 1 favours the high dose. If "
    f"estimates move across 1, the method is part of the answer. The step to month {landmark_months} leaves "
    f"out patients with metastasis or censoring before it, so it answers for those still well then."
)

# %%
for risk in (risk for risk in RISKS[::-1] if (risk, "weighted") in ratios):
    ratio, rare = ratios[risk, "weighted"], event[patients[RECOMMENDED] == risk].mean() < 0.15
    e = e_value(ratio.hr, ratio.hr_low, ratio.hr_high, rare=rare)
    chapter.say(
        f"{LABELS[risk]}: something unmeasured would have to multiply both the chance of a high dose and the "
        f"risk of metastasis by {e.estimate:.2f} to explain the weighted ratio away, and by {e.limit:.2f} to "
        "move its limit to 1 (E-values; at 1.00 the interval holds 1 already)."
    )


# %%
def verdict(risk):
    """Return in words what the weighted difference of a risk group says."""
    row = gap_of.loc[(risk, RECOMMENDED, BOTH)]
    if not np.isfinite(row["low"]):
        return f"{risk} risk: the data cannot tell"
    said = "gain" if row["low"] > 0 else "harm" if row["high"] < 0 else "no gain is shown, nor is it excluded"
    return f"{risk} risk: {said}, {row['difference (95 % CI)']} points"


answer = f"By honest groups, {verdict('high')}; {verdict('low')}. That the two differ has p {main['p']}"
chapter.takeaway(1, f"**{answer}.** ([Differences](#ccnd-differences), [interaction](#ccnd-interaction).)")
chapter.say(
    f"{answer}, and of differences of the printed size the test would find "
    f"{format_number(100 * main['power, printed'], 0)} %."
)

# %% tags=["hide-output"]
chapter.not_estimable()

# %% [markdown]
# (ccnd-against)=
# ## Against the paper
#
# As published: rates as observed in the published groups. Recommended: rates after weighting in the
# recommended groups. <span class="planted">Truth (synthetic cohort only): the mean planted probability of no
# metastasis had *all* patients of the recommended risk group received radiotherapy alone, or 240 mg/m²
# (shown in the row of the high dose); that of the published groups stands among the
# [differences](#ccnd-differences).</span>

# %%
chapter.record("text.ccnd.n", len(patients))
chapter.record("text.ccnd.threshold", patients.loc[patients["ccnd_mg_m2"] > 0, "ccnd_mg_m2"].median())
# Print has these groups at five years only.
as_printed = (threshold_mg_m2, horizon_months, model) == (160, 60, "dl_combined")
for track, rates in ((PUBLISHED, observed), (RECOMMENDED, weighted)) if as_printed else ():
    for (risk, endpoint, arm), rate in rates.items():
        if rate is not None and np.isfinite(rate.value):
            value, low, high = 100 * rate.value, 100 * rate.low, 100 * rate.high
            printed_id = f"text.ccnd.{risk}.{endpoint.lower()}_5y.{KEYS[arm]}"
            chapter.record(printed_id, value, low=low, high=high, track=track)
for (risk, endpoint), p in logrank_p.items() if as_printed else ():
    chapter.record(f"text.ccnd.{risk}.{endpoint.lower()}_p", p)
if truth is not None and as_printed:
    for (arm, column), risk in product(PLANTED.items(), RISKS):
        free = 100 * (1 - truth.loc[patients[RECOMMENDED] == risk, column].mean())
        if np.isfinite(free):
            chapter.record(f"text.ccnd.{risk}.dmfs_5y.{arm}", free, track="truth")
chapter.against_paper()

# %%
if truth is not None:
    gains = [f"{gap_of.loc[(r, RECOMMENDED, BOTH), 'planted']:.1f}" for r in RISKS[::-1]]
    comparison = (
        "The instructive comparison is with the truth: the planted effect, all with 240 mg/m² less all with "
        f"radiotherapy alone, is {gains[0]} points in high-risk and {gains[1]} in low-risk patients"
    )
    chapter.say(
        "*What agreement means.* The frequency of metastasis was set beforehand, rates follow from planted "
        f"effects, cut and chance: neither agreement nor its lack tells of patients. {comparison}."
    )
    chapter.takeaway(5, f"{comparison} ([against the paper](#ccnd-against)).")

# %% [markdown]
# *What would settle it.* A randomised comparison of doses with the score measured beforehand. Without a score
# there is one, of patients at low risk by the clinic ([Tang et al. 2022](bibliography.md)).
#
# ```{admonition} Try this
# :class: tip
# - `threshold_mg_m2 = 200`: fewer patients above the threshold, so that their rate becomes less certain. If
#   conclusions depend on the threshold, it was part of the finding.
# - `landmark_months = 12`: metastases before the landmark no longer count; a ratio that moves towards 1 owed
#   part of its size to the first year.
# ```
#
# ## Limits and deviations
#
# - The paper's patients are those "who received cisplatin/nedaplatin", yet it compares them with radiotherapy
#   alone; its number must include both, and so it is done here.

# %%
low_dose, none = (lookup(f"text.ccnd.high.dmfs_5y.{arm}")["printed"] for arm in ("up_to_160", "radiotherapy"))
chapter.say(
    f"- The printed dose response is not monotonic: among high-risk patients DMFS is {low_dose} % with a low "
    f"dose and {none} % with radiotherapy alone. Patients who stop early because they do badly would give "
    f"this picture. Weights cannot mend that unless the reason was measured."
)

# %% [markdown]
# - Power is from a large-sample formula. After the landmark, adjuvant cycles may still add to the dose.
# - Unknown laboratory values are a level of their own in the weights: how often they are unknown is balanced.
#   Bootstrap limits take the risk group as given; weights assume that no patient was certain of a dose.
# - <span class="planted">Settings were chosen [seeing validation values](09c_other_cohorts.ipynb).</span>
#
# Next: [stress tests](09_stress_tests.ipynb).
