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
# # Cohorts
#
# **Who was studied, how alike are training and validation patients, and how long were they followed?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** a cohort on disk. **Writes** `cohort.csv`, the analysed patients, for
# all later chapters.
#
# ## Setup

# %%
import textwrap
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter

# %%
from npcbook.book import (
    open_chapter,
    plot_kaplan_meier,
    plot_slice,
    show_source,
    small_multiples,
    widest_slice,
)
from npcbook.cohort import image_path, read_cohort, read_parts, read_truth
from npcbook.paper import lookup
from npcbook.statistics import compare_groups, harrell_c, logrank, rate_at, reverse_km
from npcbook.words import (
    COHORTS,
    DISPLAY_NAMES,
    ENDPOINTS,
    format_estimate,
    format_number,
    format_p,
)

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
horizon_months = 60  # 1 to last follow-up, months; survival is printed at 5 years (Table 1)
patients_shown = 4  # 1 to all patients; rows of the montage

# %% [markdown]
# ## Data
#
# The patients of the paper have {term}`stage II` {term}`nasopharyngeal carcinoma` and were treated with
# intensity-modulated radiotherapy at three hospitals. Their data are not public. A cohort is here a folder:
# one table with a row per patient, three MR sequences per patient, and contours of tumour and lymph nodes
# for each sequence. <span class="planted">This one is a {term}`synthetic cohort`, drawn in the same format
# and read by the same code as one's own ([how it was made](11_datasheet.ipynb)).</span> `python -m npcbook
# check` lists everything that is wrong with a cohort; this chapter stops at a table with errors.

# %%
chapter = open_chapter("01_cohorts", run_folder=run_folder, cohort_folder=cohort_folder)
cohort, truth = read_cohort(cohort_folder), read_truth(cohort_folder)
everyone, patients = cohort.patients, cohort.analysed
names = chapter.name_hospitals(everyone["center"])  # short codes where names are long
everyone, patients = (table.assign(center=table["center"].map(names)) for table in (everyone, patients))
reason = everyone.get("exclusion", pd.Series("", index=everyone.index))
chapter.write("cohort", patients)
ENDPOINTS = {name: pair for name, pair in ENDPOINTS.items() if patients[pair[0]].notna().any()}
present = [name for name in COHORTS if (patients["cohort"] == name).any()]
groups = {name: patients[patients["cohort"] == name] for name in present}
PRINTED = ("total.n", "training.dmfs_5y", "training.os_5y")
printed = {name: lookup(f"table1.{name}")["printed"] for name in PRINTED}

# %%
step = ("excluded: " + reason).mask(reason == "", "analysed")
flow = pd.crosstab(step, everyone["center"], margins=True, margins_name="all")
left = sorted(set(step) - {"analysed"})
flow = flow.reindex(["all", *left, "analysed"], fill_value=0).rename({"all": "read"})
headings = {name: f"hospital {name}" for name in flow.columns[:-1]}
shown = flow.rename(columns=headings).rename_axis(index="patients", columns=None).reset_index()
chapter.table("flow", shown, "Patients read, excluded and analysed, by hospital.")
chapter.say(f"The paper analysed {printed['total.n']} patients.")
n = {name: (patients["cohort"] == name).sum() for name in COHORTS}
chapter.say("\n".join(f"- {line}." for line in read_parts(cohort_folder).reading()))

# %% [markdown]
# (cohorts-flow)=
# The same as a flow chart, the counterpart of the paper's Figure 1. Reasons of exclusion come from the
# cohort's own column `exclusion`. <span class="planted">A simulated cohort draws only patients who
# qualify.</span>

# %%
counts = reason[reason != ""].value_counts().sort_index()
reasons = [textwrap.fill(f"{name}: n = {n}", 40) for name, n in counts.items()]
hospitals = {}
for name in present:
    centers = groups[name]["center"].value_counts().sort_index().items()
    # A space that does not break keeps a hospital and its number on one line.
    where = [f"{center} (n = {n})".replace(" ", "\N{NO-BREAK SPACE}") for center, n in centers]
    hospitals[name] = textwrap.fill(f"hospital {', '.join(where)}", 30, break_long_words=False)

# %%
more = 0.042 * max(text.count("\n") for text in hospitals.values())  # of the height, for lines of hospitals
fig, ax = plt.subplots(figsize=(6, 3.6 * (1 + more)))
ax.set_ylim(-more, 1)
style = {"ha": "center", "fontsize": 9, "bbox": {"boxstyle": "round,pad=0.5", "fc": "white"}}
arrow = {"arrowstyle": "->"}
ax.text(0.5, 0.94, f"Read\nn = {len(everyone)}", va="center", **style)
ax.text(0.5, 0.5, f"Analysed\nn = {len(patients)}", va="center", **style)
ax.annotate("", (0.5, 0.59), (0.5, 0.85), arrowprops=arrow)
if reasons:
    ax.annotate("", (0.7, 0.72), (0.5, 0.72), arrowprops=arrow)
    ax.text(0.73, 0.72, "Excluded\n" + "\n".join(reasons), va="center", **style | {"ha": "left"})
for x, name in zip(np.linspace(0.22, 0.78, len(present)), present, strict=True):
    text = f"{name.capitalize()}\nn = {len(groups[name])}\n{hospitals[name]}"
    ax.text(x, 0.19, text, va="top", **style)
    ax.annotate("", (x, 0.23), (0.5, 0.41), arrowprops=arrow)
ax.set_axis_off()
alt = "Flow chart: patients read, left out with the reason, and analysed, by cohort and hospital."
chapter.figure("flow", fig, alt)

# %% [markdown]
# **As published.** The paper describes both cohorts in its Table 1 and compares them: counts by Pearson's χ²
# test or, where few patients are expected in a cell, Fisher's exact test; age by the Mann–Whitney test;
# survival by {term}`Kaplan–Meier <Kaplan–Meier curve>`,
#
# $$\hat S(t) = \prod_{t_i \le t} \left(1 - \frac{d_i}{n_i}\right),$$
#
# with $d_i$ events among the $n_i$ patients still followed at $t_i$, and the {term}`log-rank test`.

# %%
chapter.say(
    "**What is an event.** DMFS counts distant metastasis only; deaths without it are censored. The paper "
    f"does not say so, but prints a DMFS at five years of {printed['training.dmfs_5y']} % and an OS of "
    f"{printed['training.os_5y']} % in training: if deaths were events of DMFS, it could not lie above OS. "
    "Two assumptions come with it. Patients who are censored, by death or by the end of follow-up, must be "
    "like those still followed; and death must not hide a metastasis that was on its way "
    "([chapter 09](09_stress_tests.ipynb) drops both in turn)."
)

# %% [markdown]
# **Added.** A p-value says how surprising a difference would be by chance, not how large it is; the
# *standardised difference* says how large: for a share $p$ in the two cohorts,
# $|p_1 - p_2| / \sqrt{(p_1(1-p_1) + p_2(1-p_2))/2}$, with 0.1 often taken as the limit of balance. And
# follow-up is estimated by *reverse Kaplan–Meier* (death censors, the end of follow-up is the event), because
# the median of observed times is shortened by early deaths. The function, from the library's source:

# %%
show_source(reverse_km)

# %% [markdown]
# ## Result
#
# (cohorts-table-1)=
# ### Table 1
#
# The characteristics of the paper's Table 1 with their levels as printed, "unknown" as a level of its own,
# and WHO types II and III as one. Below: the column of the cohort's table, and each of its codes in print's
# words.

# %%
CATEGORIES = {
    "Sex": ("sex", {"male": "Male", "female": "Female"}),
    "Histopathology": ("who_type", {"I": "I", "II-III": "II-III"}),
    "T": ("t_stage", {"T1": "T1", "T2": "T2", "T3": "T3", "T4": "T4"}),
    "N": ("n_stage", {"N0": "N0", "N1": "N1", "N2": "N2", "N3": "N3"}),
    "LDH": ("ldh", {"normal": "Normal", "abnormal": "Abnormal", "missing": "Unknown"}),
    "EBV DNA": (
        "ebv_dna", {"undetectable": "Undetectable", "detectable": "Detectable", "missing": "Unknown"},
    ),
    "rENE": ("rene", {0: "Without", 1: "Coalescent nodes", 2: "Adjacent structures infiltration"}),
    "Chemotherapy": (
        "chemotherapy",
        {"none": "Without", "cisplatin_nedaplatin": "DDP/NDP-based", "other": "Non-DDP/NDP-based"},
    ),
}  # fmt: skip

# %% [markdown]
# What is known of nobody has no row; where it is known of some, those in whom it is not are a level.

# %%
known = patients.mask(patients == "missing").notna().any()
CATEGORIES = {name: pair for name, pair in CATEGORIES.items() if known[pair[0]]}
UNKNOWN = "missing", "Unknown"  # as code and in words
pooled = patients.replace({"who_type": {"II": "II-III", "III": "II-III"}})
columns = [column for column, _ in CATEGORIES.values()]
pooled[columns] = pooled[columns].astype(object).where(pooled[columns].notna(), UNKNOWN[0])
FOLLOWED = list(ENDPOINTS.values())[-1]  # overall survival where it is known
RATES = {name: f"{horizon_months / 12:g}-year {name}" for name in ENDPOINTS}
QUARTILES = [0.25, 0.5, 0.75]


# %% [markdown]
# One group's column: age in quartiles and counts with per cent; then survival at the horizon with limits of
# the log kind, as R gives them by default, and follow-up by reverse Kaplan–Meier on overall survival. Each
# row has its text, and the numbers that are set beside print below.


# %%
def describe_patients(group: pd.DataFrame):
    """Yield characteristic, level, n, value, limits and text: age, then the counts."""
    q1, median, q3 = group["age"].quantile(QUARTILES)
    text = format_estimate(median, q1, q3, 0)
    yield "Age, years", "median (quartiles)", len(group), median, q1, q3, text
    for characteristic, (column, levels) in CATEGORIES.items():
        levels = dict([*levels.items(), UNKNOWN])
        for code in (code for code in levels if (pooled[column] == code).any()):
            n = (group[column] == code).sum()
            percent = 100 * n / len(group)
            yield characteristic, levels[code], n, percent, None, None, f"{n} ({percent:.1f})"


# %%
def describe_follow_up(group: pd.DataFrame, name: str):
    """Yield the same of rates, whose n are events, and of follow-up."""
    for endpoint, (time, event) in ENDPOINTS.items():
        with chapter.noting(f"{RATES[endpoint]}, {name}"):
            rate = rate_at(group[time], group[event], horizon_months, ci="log")
            value, low, high = (100 * part for part in (rate.value, rate.low, rate.high))
            yield RATES[endpoint], "rate, %", group[event].sum(), value, low, high, f"{rate:1%}"
    with chapter.noting(f"follow-up, {name}"):
        followed = reverse_km(*(group[column] for column in FOLLOWED))
        numbers = followed.median, followed.q1, followed.q3
        text = format_estimate(*numbers, 0)
        yield "Follow-up, months", "median (quartiles)", len(group), *numbers, text


# %%
def describe(by: str, names: list[str]) -> pd.DataFrame:
    """Return the rows of Table 1, characteristic by characteristic, for each group."""
    columns = ["characteristic", "level", "n", "value", "low", "high", "text"]
    parts = []
    for name in names:
        group = pooled[pooled[by] == name]
        rows = [*describe_patients(group), *describe_follow_up(group, name)]
        parts.append(pd.DataFrame(rows, columns=columns).assign(group=name))
    rows = pd.concat(parts)
    rank = {name: i for i, name in enumerate(dict.fromkeys(rows["characteristic"]))}
    return rows.sort_values("characteristic", key=lambda column: column.map(rank), kind="stable")


# %% [markdown]
# And the comparison of the groups, one test per characteristic.


# %%
def compare_all(by: str) -> pd.DataFrame:
    """Return p-value and name of the test of each characteristic between groups; nothing for one group."""
    tests = {}
    if pooled[by].nunique() < 2:
        return pd.DataFrame(columns=["p_value", "method"])
    columns = {"Age, years": "age"} | {name: column for name, (column, _) in CATEGORIES.items()}
    for name, column in columns.items():
        with chapter.noting(f"test of {name} by {by}"):
            kind = "continuous" if column == "age" else "categorical"
            known = pooled[column].notna()
            test = compare_groups(pooled.loc[known, column], pooled.loc[known, by], kind=kind)
            tests[name] = test.p_value, test.method
    for endpoint, (time, event) in ENDPOINTS.items():
        with chapter.noting(f"test of {RATES[endpoint]} by {by}"):
            tests[RATES[endpoint]] = logrank(pooled[time], pooled[event], pooled[by]).p_value, "log-rank"
    return pd.DataFrame(tests, index=["p_value", "method"]).T


# %%
def side_by_side(rows: pd.DataFrame, tests: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Return the groups' columns beside each other, p-value and test beside the first level."""
    cells = rows.pivot(index=["characteristic", "level"], columns="group", values="text")
    order = pd.MultiIndex.from_frame(rows[["characteristic", "level"]].drop_duplicates())
    n = rows[rows["characteristic"] == "Age, years"].set_index("group")["n"]
    wide = cells.loc[order, groups].rename(columns={name: f"{name} (n = {n[name]})" for name in groups})
    wide = wide.rename_axis(columns=None).reset_index()
    first = ~wide["characteristic"].duplicated()
    wide["p"] = wide["characteristic"].map(tests["p_value"]).map(format_p).where(first, "")
    wide["test"] = wide["characteristic"].map(tests["method"]).where(first, "")
    return wide


# %%
rows = describe("cohort", present)
tests = compare_all("cohort")
table = side_by_side(rows, tests, present)
if len(present) == 2:
    counted = rows[rows["text"].str.endswith(")") & rows["low"].isna()]
    share = counted.set_index(["characteristic", "level", "group"])["value"].unstack() / 100
    share = share.reindex(columns=present)  # neither where nothing is counted
    a, b = share["training"], share["validation"]
    spread = np.sqrt((a * (1 - a) + b * (1 - b)).clip(lower=0) / 2)
    difference = ((a - b).abs() / spread.where(spread > 0)).round(2)
    table = table.join(difference.rename("standardised difference"), on=["characteristic", "level"])
chapter.table("table_1", table, "Patients of both cohorts: counts with per cent, medians with quartiles.")
differing = list(tests.index[tests["p_value"].astype(float) < 0.05])
chapter.takeaway(
    2,
    f"The cohorts differ at p < 0.05 in {', '.join(differing) or 'nothing'}, of {len(tests)} "
    "characteristics tested ([Table 1](#cohorts-table-1)).",
)

# %% [markdown]
# *How to read it.* One p-value per characteristic, beside its first level; a dash in the rows below says that
# it stands for them as well, elsewhere that there is no such number. None is corrected for their number. Rows
# whose p-value is small while the standardised difference is below 0.1 differ by little, in many patients;
# the reverse is a difference that the cohorts are too small to show. Models trained on one cohort meet the
# other one's mix in validation: a difference here is the first suspect when a model loses there. It is no
# flaw in itself, for a validation cohort that equals the training cohort tests little. What the table does
# not show is the images, which differ between hospitals in ways that no row names.
#
# (cohorts-survival)=
# ### Survival and follow-up
#
# DMFS and OS of both cohorts. Where few patients have an event the axis does not begin at 0, and says so.
# The limits in these figures are log–log ones, which cannot leave the range from 0 to 100 %; those of
# Table 1, and of the summary at the top, are of the log kind, the default of the program that the paper
# used. Estimates are the same, limits differ a little.

# %%
fig, axes = small_multiples(len(ENDPOINTS), panel_height=5.0)
for ax, (endpoint, (time, event)) in zip(axes, ENDPOINTS.items(), strict=True):
    lowest = 0.5 if patients[event].mean() < 0.15 else 0.0
    plot_kaplan_meier(
        patients[time], patients[event], patients["cohort"], horizon_months=horizon_months,
        endpoint=endpoint, order=present, lowest=lowest, ax=ax,
    )  # fmt: skip
chapter.figure("survival", fig, f"Kaplan–Meier curves of {' and of '.join(ENDPOINTS)}, by cohort.")
ENDPOINT, (TIME, EVENT) = next(iter(ENDPOINTS.items()))
EVENTS = {"DMFS": "Distant metastases", "OS": "Deaths"}[ENDPOINT]
n_events = {name: int(groups[name][EVENT].sum()) for name in present}
counted = " and ".join(f"{n} in {name}" for name, n in n_events.items())
chapter.takeaway(
    3,
    f"{EVENTS}: {counted}, over all follow-up. Every model of this book lives on such events "
    "([survival](#cohorts-survival)).",
)

# %%
found = rows[rows["characteristic"] == RATES[ENDPOINT]].set_index("group")["text"]
rates = (f"{f'{found[name]} %' if name in found else 'not estimable'} in {name}" for name in present)
chapter.takeaway(
    4,
    f"{ENDPOINT} at {horizon_months} months is {' and '.join(rates)}, with limits of the log kind, as in "
    "print ([Table 1](#cohorts-table-1)).",
)

# %% [markdown]
# *How to read it.* The bands, not the curves, say whether the cohorts differ; where they overlap widely the
# data cannot tell. The numbers below the axis show how many patients the right end of a curve still stands
# on; where fewer than ten are at risk it is thin and has no band. Curves that are nearly flat after some
# years mean that most metastases that will come have come, or that few were followed long enough to show
# more: follow-up decides which.
#
# The curves once more with lifelines, whose limits are log–log ones too; Table 1 needs the log kind, which it
# does not have.

# %%
lines = []
for endpoint, (time, event) in ENDPOINTS.items():
    for name in present:
        theirs = KaplanMeierFitter().fit(groups[name][time], groups[name][event])
        limits = theirs.confidence_interval_survival_function_.loc[:horizon_months].iloc[-1]
        with chapter.noting(f"{endpoint} at {horizon_months} months, {name}, log–log limits"):
            ours = rate_at(groups[name][time], groups[name][event], horizon_months)
            found = np.array([theirs.predict(horizon_months), *limits])
            apart = np.nanmax(np.abs(found - [ours.value, ours.low, ours.high]))
            lines.append((endpoint, name, format_estimate(*(100 * found), 1), f"{ours:1%}", f"{apart:.0e}"))
columns = ["endpoint", "cohort", "lifelines, %", "npcbook, %", "largest difference"]
shown = pd.DataFrame(lines, columns=columns)
chapter.table("lifelines", shown, f"Survival at {horizon_months} months by two programs, log–log limits.")

# %% [markdown]
# How long patients were followed depends on what is counted. The paper does not say which of these it
# prints; here the reverse Kaplan–Meier estimate stands beside it.

# %%
lines = []
for name in present:
    time, event = (groups[name][column] for column in FOLLOWED)
    with chapter.noting(f"follow-up by reverse Kaplan–Meier, {name}"):
        followed = reverse_km(time, event)
        lines.append((name, "reverse Kaplan–Meier", len(time), followed.median, followed.q1, followed.q3))
    for what, months in (("observed, all", time), ("observed, survivors", time[event == 0])):
        q1, median, q3 = months.quantile(QUARTILES)
        lines.append((name, what, len(months), median, q1, q3))
follow_up = pd.DataFrame(lines, columns=["cohort", "definition", "patients", "median", "q1", "q3"])
months = follow_up[["median", "q1", "q3"]].map(lambda value: format_number(value, 1))
chapter.table(
    "follow_up", follow_up.assign(**months), "Follow-up in months by three definitions: median and quartiles."
)
test = f"{n['validation']} test them" if n["validation"] else "there is no validation cohort to test them"
half = follow_up.loc[follow_up["definition"].eq("reverse Kaplan–Meier"), "median"].min()
told = f", and half of each cohort was followed for {half:.0f} months or longer" if half == half else ""
said = f"**{n['training']} patients train the models and {test}{told}** ([flow](#cohorts-flow))."
chapter.takeaway(1, said)

# %% [markdown]
# *How to read it.* A rate at the {term}`horizon` rests on the patients followed to it. If the lower
# quartile of follow-up lies beyond the horizon, few were lost before; if the median lies below it, the rate
# is mostly an extrapolation from others.
#
# (cohorts-hospitals)=
# ### Hospitals
#
# A cohort may be more than one hospital, and what is true of the cohort need not be true of each.

# %% tags=["hide-output"]
centers = sorted(patients["center"].unique())
by_center = describe("center", centers)
table = side_by_side(by_center, compare_all("center"), centers)
chapter.table("hospitals", table, "Patients by hospital.")

# %% [markdown]
# *How to read it.* Compare hospitals of the same cohort first: what differs between them is case mix or
# custom, not the division into training and validation.
#
# (cohorts-missing)=
# ### Missing values
#
# The paper calls {term}`LDH` and EBV DNA missing completely at random and analyses complete cases. If values
# were missing so, their share would be the same in every hospital, stage and outcome; each is tested here.

# %%
OTHERS = {"center": "hospital", "n_stage": "N category", "rene": "rENE", EVENT: EVENTS.lower()}
lines = []
for column, label in (("ldh", "LDH"), ("ebv_dna", "EBV DNA")):
    missing = patients[column] == "missing"
    for other, name in OTHERS.items():
        p, method, known = "nothing to compare", "–", patients[other].notna()
        with chapter.noting(f"missing {label} by {name}"):
            test = compare_groups(missing[known], patients.loc[known, other], kind="categorical")
            p, method = format_p(test.p_value), test.method
        lines.append((label, missing.sum(), name, p, method))
missingness = pd.DataFrame(lines, columns=["value", "missing", "related to", "p", "test"])
chapter.table("missing", missingness, "Is it by chance who lacks a laboratory value?")
p = missingness.set_index(["value", "related to"]).loc[("EBV DNA", "hospital"), "p"]
chapter.takeaway(
    5,
    "Tested for a relation of missing EBV DNA to the hospital: "
    f"{p if p == 'nothing to compare' else f'p {p}'} ([missing values](#cohorts-missing)).",
)

# %% [markdown]
# *How to read it.* A small p-value refutes "completely at random"; a large one does not prove it. A relation
# with the hospital alone does less harm, since models are fitted and judged by cohort; hospitals may simply
# have taken up a test at different times. A relation with the outcome could bias the complete-case analyses
# of the book.

# %% [markdown] tags=["planted"]
# (cohorts-difficulty)=
# ### How difficult is it?
#
# Where the {term}`truth was planted <planted truth>`, its own {term}`concordance` is known: no model can be
# expected to rank patients whom it was not fitted on better than the true linear predictor does. The parts
# show where the information lies: what the clinic knows, what lies inside the contour (heterogeneity), what
# lies outside it (infiltration), and what no one sees (frailty). For real patients there is no such number.

# %% tags=["planted"]
PARTS = {
    "linear_predictor": "everything (the best to be expected)",
    "lp_clinical": "clinical covariates",
    "lp_imaging": "the three imaging variables",
    "size": "size of the tumour, given its stage",
    "heterogeneity": "heterogeneity inside the contour",
    "infiltration": "infiltration outside the contour",
    "frailty": "frailty, which nothing shows",
}

# %% tags=["planted"]
without = "no truth: not a synthetic cohort" if truth is None else "not estimable"
difficulty = pd.DataFrame(without, index=list(PARTS), columns=present)
for name, group in groups.items():
    for part in [] if truth is None else PARTS:
        with chapter.noting(f"C-index of the true risk from {PARTS[part]}, {name}"):
            risk = truth.loc[group["patient_id"], part].to_numpy()
            difficulty.loc[part, name] = str(harrell_c(group["dmfs_months"], group["dm_event"], risk))
shown = difficulty.add_prefix("C-index, ")
shown.insert(0, "true risk from", PARTS.values())
if truth is not None:
    chapter.table("difficulty", shown, "Concordance of planted risks with distant metastasis (95 % CI).")

# %% tags=["planted"]
best = (f"{value} in {name}" for name, value in difficulty.loc["linear_predictor"].items())
most = (
    "C-index of the planted risk itself, the most that a model can be expected to reach in patients whom it "
    f"was not fitted on: {' and '.join(best)}"
)
if truth is not None:
    chapter.takeaway(6, f"{most} ([difficulty](#cohorts-difficulty)).")

# %% [markdown] tags=["planted"]
# *How to read it.* The first row is the ceiling in patients whom a model has not seen, the second that of a
# clinical model; in its own training patients an overfitted model passes it. A row near 0.5 tells little by
# itself where events are few. Infiltration was put outside the contour so that a network should have an
# advantage over {term}`radiomics`, the paper's argument for deep learning. It is a partial one: filtered
# features reach across the contour, and contours are inexact. How much of it is left,
# [chapter 03](03_dl_training.ipynb) and [chapter 04](04_radiomics.ipynb) show. Infinite follow-up would not
# bring the first row to 1, because chance decides who with a given risk has the event.

# %% [markdown]
# (cohorts-images)=
# ### The images
#
# For a few patients, from the hospitals in turn, the slice with the largest tumour in the three
# sequences, the primary tumour outlined in a solid and lymph nodes in a dashed line.

# %%
shown = [name for name, n in read_parts(cohort_folder).images.items() if n]
places = ((image_path(cohort.folder, p, name) for name in shown) for p in patients["patient_id"])
pictured = patients[[all(path.exists() for path in paths) for paths in places]]
turn = pictured.assign(turn=pictured.groupby("center").cumcount()).sort_values(["turn", "center"])
chosen, columns = turn.head(patients_shown if shown else 0), len(shown) or 1
fig, axes = small_multiples(max(len(chosen) * columns, 1), columns=columns, panel_height=2.1)
if not len(chosen):
    axes[0].text(0.5, 0.5, "There is nobody with images to show.", ha="center")
    axes[0].set_axis_off()
for ax, (patient, sequence) in zip(axes, product(chosen.itertuples(), shown), strict=False):
    volume = cohort.read_volume(patient.patient_id, sequence)
    stage = "".join(code for code in (patient.t_stage, patient.n_stage) if isinstance(code, str))
    title = f"{DISPLAY_NAMES[sequence]}, hospital {patient.center}, {stage}"
    plot_slice(volume, widest_slice(volume), title=title, ax=ax)
    ax.title.set_fontsize(8)
alt = "Axial MR slices of example patients in three sequences, with the contours of the disease."
chapter.figure("montage", fig, alt)

# %% [markdown]
# *What to look for.* Fat is bright and fluid dark on {term}`T1W`, fluid is bright on {term}`T2W`, and the
# tumour takes up contrast on {term}`CET1W`. The same tissue need not be equally bright at two hospitals,
# nor at both ends of one image, which is why the next chapter corrects and normalises the images before any
# network sees them. Stages stand above the slices; that a tumour looks small or large in one slice says
# little about its volume. [The viewer](13_viewer.ipynb) shows whole volumes.
#
# ## Against the paper
#
# Every number of the paper's Table 1 with the same number of this cohort.
# <span class="planted">{term}`Truth <planted truth>` exists for DMFS at five years only: the mean planted
# probability of having no metastasis by then.</span>

# %%
SUBJECTS = {
    "Sex": "sex_male sex_female",
    "Histopathology": "who_i who_ii_iii",
    "T": "t1 t2",
    "N": "n0 n1",
    "LDH": "ldh_normal ldh_abnormal ldh_unknown",
    "EBV DNA": "ebv_undetectable ebv_detectable ebv_unknown",
    "rENE": "rene_none rene_g1 rene_g2",
    "Chemotherapy": "chemotherapy_none chemotherapy_ddp_ndp chemotherapy_other",
}
subject = {
    (name, level): printed_as
    for name, (_, levels) in CATEGORIES.items()
    for level, printed_as in zip([*levels.values(), UNKNOWN[1]], SUBJECTS[name].split(), strict=False)
}
NUMBERS = {"Age, years": "age", "Follow-up, months": "follow_up"}
if horizon_months == 60:
    NUMBERS |= {rate: f"{name.lower()}_5y" for name, rate in RATES.items()}

# %%
for row in rows[rows["characteristic"].isin(list(SUBJECTS))].itertuples():
    if (row.characteristic, row.level) in subject:
        place = f"table1.{row.group}.{subject[row.characteristic, row.level]}"
        chapter.record(f"{place}.n", row.n)
        chapter.record(f"{place}.percent", row.value)
for row in rows[rows["characteristic"].isin(list(NUMBERS))].itertuples():
    place = f"table1.{row.group}.{NUMBERS[row.characteristic]}"
    chapter.record(place, row.value, low=row.low, high=row.high)
TESTS = {name: name.lower() for name in ("Sex", "T", "N", "LDH", "rENE", "Chemotherapy")}
TESTS |= {"Histopathology": "who", "EBV DNA": "ebv", **NUMBERS}
for name, p_value in tests["p_value"].items():
    if name in TESTS:
        chapter.record(f"table1.p.{TESTS[name]}", p_value, p_value=p_value)

# %%
chapter.record("table1.total.n", len(patients))
chapter.record("text.methods.hospitals", len(centers))
for name in present:
    chapter.record(f"table1.{name}.n", len(groups[name]))
    if truth is not None and horizon_months == 60:
        planted = truth.loc[groups[name]["patient_id"], "dm_probability_5y"]
        chapter.record(f"table1.{name}.dmfs_5y", 100 * (1 - planted.mean()), track="truth")
for name in sorted({"1", "2", "3"} & set(centers)):
    chapter.record(f"text.methods.center{name}.n", (patients["center"] == name).sum())

# %%
chapter.against_paper("The paper's Table 1 beside this cohort.")

# %% [markdown]
# *What agreement means.* <span class="planted">In the default synthetic cohort the margins of this table are
# what it was drawn to have, so agreement shows that the generator keeps its specification, and that the tests
# computed here are the ones behind print.</span> Where a p-value differs although the counts agree, the
# printed one does not follow from the printed counts, on which [chapter 00](00_printed_numbers.ipynb) has
# more. In patients other than the paper's differences are expected, and are what the reader of later chapters
# must know. <span class="planted">Rates and follow-up depend on chance even where margins are fixed.</span>
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `horizon_months = 96`: more metastases have happened by then, so the rates fall; fewer patients are
#   followed so far, so the intervals widen. The rates are no longer set beside print, which has five years.
# - <span class="planted">`cohort_folder`: point it at another cohort, for example one made by `python -m
#   npcbook simulate --scenario shift`, and give `run_folder` a new name. Standardised differences grow where
#   the case mix of the other hospitals was shifted; the truth column says by how much risk did.</span>
# ```

# %% [markdown] tags=["planted"]
# (cohorts-draw)=
# **Which draw this is.** The seed of the default synthetic cohort was found by a rule that sees Tables 1 and
# 2 and no score, no risk and no picture: of many draws of the table at full size, the first whose survival
# and follow-up lie near print and none of whose multivariable hazard ratios lies among the extreme ones.

# %% tags=["planted"]
from npcbook.cohort import read_description
from npcbook.store import project_path
from npcbook.words import COVARIATES

study = project_path("data/studies/default_seed.csv")
made_with = read_description(cohort_folder).get("Generator")
own = made_with.get("seed") if isinstance(made_with, dict) else None
draws = pd.read_csv(study).set_index("seed") if study.exists() else pd.DataFrame()

# %% tags=["planted"]
if truth is not None and own in draws.index:
    chosen = draws.index[draws["accepted"]]
    seen = draws.drop(columns=["accepted", "fewest metastases of 120"])
    below = 100 * seen.lt(seen.loc[own]).sum() / seen.notna().sum()
    rates = {name: f"{name.replace(' 5y', ' at 5 years')} {below[name]:.0f} %" for name in below.index[:8]}
    joint, alone = (below.filter(regex=rf"^{kind} ") for kind in ("HR", "univariable HR"))
    outer, sole = ((places - 50).abs().idxmax() for places in (joint, alone))
    chapter.say(
        f"Of {len(draws)} draws {len(chosen)} pass; the first is {chosen[0]}. This cohort's seed is {own}. "
        f"Draws that lie below its own, at full size: {', '.join(rates.values())}; of the multivariable "
        f"hazard ratios that of {COVARIATES[outer.removeprefix('HR ')]} lies furthest out, at "
        f"{joint[outer]:.0f} %; of those of one covariate alone, which the rule does not see, that of "
        f"{COVARIATES[sole.removeprefix('univariable HR ')]}, at {alone[sole]:.0f} %. Everything is in "
        "[the datasheet](#datasheet-draw)."
    )

# %% tags=["hide-output"]
chapter.not_estimable()
parts = (
    f"the {c} cohort had {len(g)} patients with {n_events[c]} {EVENTS.lower()}" for c, g in groups.items()
)
where = (f"{name} ({(patients['center'] == code).sum()})" for name, code in names.items())
left_out = f" (left out: {'; '.join(reasons)})" if reasons else ""
chapter.methods(
    f"""Patients. Of {len(everyone)} patients read {len(patients)} were analysed{left_out};
    {", ".join(parts)}. Hospitals: {", ".join(where)}. Distant metastasis-free survival counts metastasis;
    deaths without one are censored. All models, cut-offs and scalings were fitted on the training cohort."""
)

# %% [markdown]
# ## Limits and deviations
#
# - <span class="planted">A synthetic cohort is drawn from the margins of Table 1. That its table agrees with
#   print shows that the generator keeps its specification, and nothing about the paper or about patients.
#   What was planted is listed in [the datasheet](11_datasheet.ipynb); the default draw was
#   [chosen](#cohorts-draw).</span>
# - Table 1 tests its characteristics without correction for their number, as the paper does.
# - LDH and EBV DNA are tested with "unknown" as a level, as the printed p-values suggest; what changes
#   without it is worked out in [what can be checked from print](00_printed_numbers.ipynb).
# - The paper gives T and N categories, not the stage of each patient; stage II is T1N1, T2N0 and T2N1.
# - "5-year" is sixty months from the cohort's time zero, which the paper does not define.
#
# Next: [segmentation](02_segmentation.ipynb), which needs the images and contours shown above. A cohort
# without images can still be described here.
