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
#
# - {glue:text}`cohorts_n_training` patients train the models and {glue:text}`cohorts_n_validation` test
#   them; {glue:text}`cohorts_excluded` were read but not analysed ([flow](cohorts-flow)).
# - The cohorts differ at p < 0.05 in {glue:text}`cohorts_differing` ([Table 1](cohorts-table-1)).
# - Distant metastases: {glue:text}`cohorts_events_training` in training and
#   {glue:text}`cohorts_events_validation` in validation, over all follow-up. Every model of this book lives
#   on these events ([survival](cohorts-survival)).
# - {term}`DMFS` at {glue:text}`cohorts_horizon` months is {glue:text}`cohorts_dmfs_training` and
#   {glue:text}`cohorts_dmfs_validation`, with limits of the log kind, as in print
#   ([Table 1](cohorts-table-1)).
# - Tested for a relation of missing {term}`EBV DNA` to the hospital: {glue:text}`cohorts_missing_p`
#   ([missing values](cohorts-missing)).
# - {term}`C-index` of the planted risk itself, the most that a model can be expected to reach in patients
#   whom it was not fitted on: {glue:text}`cohorts_oracle_training` in training and
#   {glue:text}`cohorts_oracle_validation` in validation ([difficulty](cohorts-difficulty)).
#
# **Reads** a cohort on disk, synthetic or your own. **Writes** `cohort.csv`, the analysed patients, for
# all later chapters.

# %% [markdown]
# ## Setup

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from npcbook.book.chapter import open_chapter
from npcbook.book.figures import plot_kaplan_meier, plot_slice, small_multiples, widest_slice
from npcbook.book.table_one import table_one
from npcbook.book.tables import attempt
from npcbook.cohort.columns import COLUMNS
from npcbook.cohort.reading import patient_flow, read_cohort, read_truth
from npcbook.paper.printed import lookup
from npcbook.statistics.concordance import harrell_c
from npcbook.statistics.group_tests import compare_groups
from npcbook.statistics.survival import kaplan_meier, reverse_km
from npcbook.words import DISPLAY_NAMES, SEQUENCES, format_ci, format_estimate, format_number, format_p

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
horizon_months = 60  # months; survival is printed at 5 years (Table 1)
patients_shown = 4  # rows of the montage

# %% [markdown]
# ## Data
#
# The patients of the paper have {term}`stage II` {term}`nasopharyngeal carcinoma`, were treated with
# intensity-modulated radiotherapy at three hospitals, and {glue:text}`cohorts_printed_patients` of them were
# analysed. Their data are not public. A cohort is here a folder: one table with a row per patient, three MR
# sequences per patient, and contours of tumour and lymph nodes for each sequence; by default a
# {term}`synthetic cohort`, drawn in the same format and read by the same code as one's own
# ([how it was made](11_datasheet)). `python -m npcbook check` lists everything that is wrong with a cohort;
# this chapter stops at a table with errors.

# %%
chapter = open_chapter("01_cohorts", run_folder=run_folder, cohort_folder=cohort_folder)
cohort = read_cohort(cohort_folder)
flow = patient_flow(cohort.patients)
excluded = cohort.patients.get("exclusion", pd.Series("", index=cohort.patients.index)) != ""
names = [column.name for column in COLUMNS if column.name in cohort.patients and column.name != "exclusion"]
patients = cohort.patients.loc[~excluded, names].reset_index(drop=True)
chapter.write("cohort", patients)
COHORTS = [name for name in ("training", "validation") if (patients["cohort"] == name).any()]
columns = {"step": "patients"} | {name: f"hospital {name}" for name in flow.columns[1:-1]}
chapter.table("flow", flow.rename(columns=columns), "Patients read, excluded and analysed, by hospital.")

# %% [markdown]
# (cohorts-flow)=
# The same as a flow chart, the counterpart of the paper's Figure 1. Reasons of exclusion come from the
# cohort's own column `exclusion`; none are invented, so that a simulated cohort, which draws only patients
# who qualify, shows none.

# %%
reasons = [f"{row.step.removeprefix('excluded: ')}: n = {row.all}" for row in flow.iloc[1:-1].itertuples()]
fig, ax = plt.subplots(figsize=(6, 3.6))
style = {"ha": "center", "fontsize": 9, "bbox": {"boxstyle": "round,pad=0.5", "fc": "white"}}
arrow = {"arrowstyle": "->"}
ax.text(0.5, 0.94, f"Read\nn = {flow['all'].iloc[0]}", va="center", **style)
ax.text(0.5, 0.5, f"Analysed\nn = {flow['all'].iloc[-1]}", va="center", **style)
ax.annotate("", (0.5, 0.59), (0.5, 0.85), arrowprops=arrow)
ax.annotate("", (0.7, 0.72), (0.5, 0.72), arrowprops=arrow)
ax.text(0.73, 0.72, "Excluded\n" + "\n".join(reasons or ["none"]), va="center", **style | {"ha": "left"})
for x, name in zip(np.linspace(0.22, 0.78, len(COHORTS)), COHORTS, strict=True):
    group = patients[patients["cohort"] == name]
    where = ", ".join(f"{c} (n = {n})" for c, n in group["center"].value_counts().sort_index().items())
    ax.text(x, 0.1, f"{name.capitalize()}\nn = {len(group)}\nhospital {where}", va="center", **style)
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
#
# **What is an event.** {term}`DMFS` counts {term}`distant metastasis` only; deaths without it are
# {term}`censored <censoring>`. The paper does not say so, but prints a DMFS at five years of
# {glue:text}`cohorts_printed_dmfs` % and an {term}`OS` of {glue:text}`cohorts_printed_os` % in training: if
# deaths were events of DMFS, it could not lie above OS. Two assumptions come with it. Patients who are
# censored, by death or by the end of follow-up, must be like those still followed; and death must not hide a
# metastasis that was on its way ([chapter 09](09_stress_tests) drops both in turn).
#
# **Added.** A p-value says how surprising a difference would be by chance, not how large it is; the
# *standardised difference* says how large: for a share $p$ in the two cohorts,
# $|p_1 - p_2| / \sqrt{(p_1(1-p_1) + p_2(1-p_2))/2}$, with 0.1 often taken as the limit of balance. And
# follow-up is estimated by *reverse Kaplan–Meier* (death censors, the end of follow-up is the event), because
# the median of observed times is shortened by early deaths. The function, from the library's source:
#
# ```{literalinclude} ../npcbook/survival.py
# :pyobject: reverse_km
# ```

# %% [markdown]
# ## Result
#
# (cohorts-table-1)=
# ### Table 1


# %%
def formatted(row):
    if row["level"] == "median (quartiles)":
        return f"{format_number(row['value'], 0)} ({format_ci(row['low'], row['high'], 0)})"
    if row["level"] == "rate, %":
        return f"{format_number(row['value'], 1)} ({format_ci(row['low'], row['high'], 1)})"
    return f"{row['n']} ({row['value']:.1f})"


def side_by_side(rows, value, groups):
    rows = rows.set_index(["characteristic", "level"])
    order = rows.index.unique()
    return pd.DataFrame({group: rows.loc[rows["group"] == group, value] for group in groups}).loc[order]


def as_printed(rows, groups):
    wide = side_by_side(rows.assign(text=rows.apply(formatted, axis=1)), "text", groups)
    test = rows.drop_duplicates("characteristic").set_index("characteristic")
    wide["p"] = [format_p(test["p_value"][name]) for name, _ in wide.index]
    wide["test"] = [test["method"][name] for name, _ in wide.index]
    repeated = wide.index.get_level_values(0).duplicated()
    wide.loc[repeated, ["p", "test"]] = ""
    return wide.rename(columns=groups).reset_index()


# %%
# Print has types II and III as one.
pooled = patients.assign(who_type=patients["who_type"].replace({"II": "II-III", "III": "II-III"}))
rows = table_one(pooled, horizon_months=horizon_months)
headings = {name: f"{name} (n = {(patients['cohort'] == name).sum()})" for name in COHORTS}
table = as_printed(rows, headings)
share = side_by_side(rows, "value", COHORTS) / 100
if len(COHORTS) == 2:
    a, b = share["training"], share["validation"]
    spread = np.sqrt((a * (1 - a) + b * (1 - b)).clip(lower=0) / 2)
    difference = (a - b).abs() / spread.where(spread > 0)
    counted = ~table["level"].isin(["median (quartiles)", "rate, %"])
    table["standardised difference"] = np.where(counted, difference.to_numpy(), np.nan).round(2)
chapter.table("table_1", table, "Patients of both cohorts: counts with per cent, medians with quartiles.")

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
ENDPOINTS = {"DMFS": ("dmfs_months", "dm_event"), "OS": ("os_months", "os_event")}
fig, axes = small_multiples(2, panel_height=5.0)
for ax, (endpoint, (time, event)) in zip(axes, ENDPOINTS.items(), strict=True):
    lowest = 0.5 if patients[event].mean() < 0.15 else 0.0
    plot_kaplan_meier(
        patients[time], patients[event], patients["cohort"], horizon_months=horizon_months,
        endpoint=endpoint, order=COHORTS, lowest=lowest, ax=ax,
    )  # fmt: skip
chapter.figure("survival", fig, "Kaplan–Meier curves of DMFS and of OS, training against validation cohort.")

# %% [markdown]
# *How to read it.* The bands, not the curves, say whether the cohorts differ; where they overlap widely the
# data cannot tell. The numbers below the axis show how many patients the right end of a curve still stands
# on; where fewer than ten are at risk it is thin and has no band. Curves that are nearly flat after some
# years mean that most metastases that will come have come, or that few were followed long enough to show
# more: follow-up decides which.
#
# How long patients were followed depends on what is counted. The paper does not say which of these it
# prints; here the reverse Kaplan–Meier estimate stands beside it.

# %%
lines, notes = [], {}
for name in COHORTS:
    group = patients[patients["cohort"] == name]
    reverse = attempt(notes, name, reverse_km, group["os_months"], group["os_event"])
    if reverse is not None:
        quartiles = (reverse.median, reverse.q1, reverse.q3)
        lines.append((name, "reverse Kaplan–Meier", len(group), *quartiles))
    for what, chosen in (("observed, all", group), ("observed, survivors", group[group["os_event"] == 0])):
        q1, median, q3 = chosen["os_months"].quantile([0.25, 0.5, 0.75])
        lines.append((name, what, len(chosen), median, q1, q3))
follow_up = pd.DataFrame(lines, columns=["cohort", "definition", "patients", "median", "q1", "q3"])
shown = follow_up.assign(
    **{c: follow_up[c].map(lambda v: format_number(v, 1)) for c in ("median", "q1", "q3")}
)
chapter.table("follow_up", shown, "Follow-up in months by three definitions: median and quartiles.")

# %% [markdown]
# *How to read it.* A rate at the {term}`horizon` rests on the patients followed to it. If the lower
# quartile of follow-up lies beyond the horizon, few were lost before; if the median lies below it, the rate
# is mostly an extrapolation from others.
#
# (cohorts-hospitals)=
# ### Hospitals
#
# A cohort may be more than one hospital, and what is true of the cohort need not be true of each.

# %%
centers = sorted(patients["center"].unique())
by_center = table_one(pooled, by="center", horizon_months=horizon_months)
headings = {name: f"{name} (n = {(patients['center'] == name).sum()})" for name in centers}
chapter.table("hospitals", as_printed(by_center, headings), "Patients by hospital.")

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
lines = []
for column, label in (("ldh", "LDH"), ("ebv_dna", "EBV DNA")):
    missing = np.where(patients[column] == "missing", "missing", "known")
    of = {"center": "hospital", "n_stage": "N category", "rene": "rENE", "dm_event": "distant metastasis"}
    for other, name in of.items():
        test = attempt({}, name, compare_groups, missing, patients[other], kind="categorical")
        p = "nothing to compare" if test is None else format_p(test.p_value)
        lines.append((label, (missing == "missing").sum(), name, p, "–" if test is None else test.method))
missingness = pd.DataFrame(lines, columns=["value", "missing", "related to", "p", "test"])
chapter.table("missing", missingness, "Is it by chance who lacks a laboratory value?")

# %% [markdown]
# *How to read it.* A small p-value refutes "completely at random"; a large one does not prove it. A relation
# with the hospital alone does less harm, since models are fitted and judged by cohort; hospitals may simply
# have taken up a test at different times. A relation with the outcome could bias the complete-case analyses
# of the book.
#
# (cohorts-difficulty)=
# ### How difficult is it?
#
# Where the {term}`truth was planted <planted truth>`, its own {term}`concordance` is known: no model can be
# expected to rank patients whom it was not fitted on better than the true linear predictor does. The parts
# show where the information lies: what the clinic knows, what lies inside the contour (heterogeneity), what
# lies outside it (infiltration), and what no one sees (frailty). For real patients there is no such number.


# %%
def concordance_text(cohort_name, name):
    if truth is None:
        return "no truth: not a synthetic cohort"
    group = patients[patients["cohort"] == cohort_name]
    risk = truth.loc[group["patient_id"], name].to_numpy()
    c = attempt(notes, name, harrell_c, group["dmfs_months"], group["dm_event"], risk)
    return "not estimable" if c is None else format_estimate(c.c, c.low, c.high)


# %%
PARTS = {
    "linear_predictor": "everything (the best to be expected)",
    "lp_clinical": "clinical covariates",
    "lp_imaging": "the three imaging variables",
    "size": "size of the tumour, given its stage",
    "heterogeneity": "heterogeneity inside the contour",
    "infiltration": "infiltration outside the contour",
    "frailty": "frailty, which nothing shows",
}
truth = read_truth(cohort_folder)
difficulty = pd.DataFrame({"true risk from": PARTS.values()})
for name in COHORTS:
    difficulty[f"C-index, {name}"] = [concordance_text(name, part) for part in PARTS]
chapter.table("difficulty", difficulty, "Concordance of planted risks with distant metastasis (95 % CI).")

# %% [markdown]
# *How to read it.* The first row is the ceiling in patients whom a model has not seen, the second that of a
# clinical model; in its own training patients an overfitted model passes it. A row near 0.5 tells little by
# itself where events are few. Infiltration was put outside the contour so that a network should have an
# advantage over {term}`radiomics`, the paper's argument for deep learning. It is a partial one: filtered
# features reach across the contour, and contours are inexact. How much of it is left,
# [chapter 03](03_dl_training) and [chapter 04](04_radiomics) show. Infinite follow-up would not bring the
# first row to 1, because chance decides who with a given risk has the event.
#
# (cohorts-images)=
# ### The images
#
# For a few patients, from the hospitals in turn, the slice with the largest tumour in the three
# sequences, the primary tumour outlined in a solid and lymph nodes in a dashed line.

# %%
turn = patients.assign(turn=patients.groupby("center").cumcount()).sort_values(["turn", "center"])
chosen = turn.head(patients_shown if cohort.has_images else 0)
fig, axes = small_multiples(max(len(chosen) * 3, 1), columns=3 if len(chosen) else 1, panel_height=2.1)
if not len(chosen):
    axes[0].text(0.5, 0.5, "This cohort is a table without images.", ha="center")
    axes[0].set_axis_off()
for i, patient in enumerate(chosen.itertuples()):
    for ax, sequence in zip(axes[3 * i : 3 * i + 3], SEQUENCES, strict=True):
        volume = cohort.read_volume(patient.patient_id, sequence)
        title = f"{DISPLAY_NAMES[sequence]}, hospital {patient.center}, {patient.t_stage}{patient.n_stage}"
        plot_slice(volume, widest_slice(volume), title=title, ax=ax)
        ax.title.set_fontsize(8)
alt = "Axial MR slices of example patients in three sequences, with the contours of the disease."
chapter.figure("montage", fig, alt)

# %% [markdown]
# *What to look for.* Fat is bright and fluid dark on {term}`T1W`, fluid is bright on {term}`T2W`, and the
# tumour takes up contrast on {term}`CET1W`. The same tissue need not be equally bright at two hospitals,
# nor at both ends of one image, which is why the next chapter corrects and normalises the images before any
# network sees them. Stages stand above the slices; that a tumour looks small or large in one slice says
# little about its volume. [The viewer](13_viewer) shows whole volumes.
#
# ## Against the paper
#
# Every number of the paper's Table 1 with the same number of this cohort. {term}`Truth <planted truth>`
# exists for DMFS at five years only: the mean planted probability of having no metastasis by then.

# %%
SUBJECTS = {
    "Sex": {"Male": "sex_male", "Female": "sex_female"},
    "Histopathology": {"I": "who_i", "II-III": "who_ii_iii"},
    "T": {"T1": "t1", "T2": "t2"},
    "N": {"N0": "n0", "N1": "n1"},
    "LDH": {level: f"ldh_{level.lower()}" for level in ("Normal", "Abnormal", "Unknown")},
    "EBV DNA": {level: f"ebv_{level.lower()}" for level in ("Undetectable", "Detectable", "Unknown")},
}
GRADES = ("Without", "Coalescent nodes", "Adjacent structures infiltration")
DRUGS = ("Without", "DDP/NDP-based", "Non-DDP/NDP-based")
SUBJECTS["rENE"] = dict(zip(GRADES, ("rene_none", "rene_g1", "rene_g2"), strict=True))
SUBJECTS["Chemotherapy"] = {
    d: f"chemotherapy_{n}" for d, n in zip(DRUGS, ("none", "ddp_ndp", "other"), strict=True)
}
for row in rows[rows["characteristic"].isin(list(SUBJECTS))].itertuples():
    subject = f"table1.{row.group}.{SUBJECTS[row.characteristic][row.level]}"
    chapter.record(f"{subject}.n", row.n)
    chapter.record(f"{subject}.percent", row.value)

# %%
RATES = {f"{horizon_months / 12:g}-year {name}": f"{name.lower()}_5y" for name in ENDPOINTS}
NUMBERS = {"Age, years": "age", "Follow-up, months": "follow_up"} | (RATES if horizon_months == 60 else {})
for row in rows[rows["characteristic"].isin(list(NUMBERS))].itertuples():
    chapter.record(f"table1.{row.group}.{NUMBERS[row.characteristic]}", row.value, low=row.low, high=row.high)
TESTS = {name: name.lower() for name in ("Sex", "T", "N", "LDH", "rENE", "Chemotherapy")}
TESTS |= {"Histopathology": "who", "EBV DNA": "ebv", **NUMBERS}
for row in rows.drop_duplicates("characteristic").itertuples():
    if row.characteristic in TESTS and np.isfinite(row.p_value):
        chapter.record(f"table1.p.{TESTS[row.characteristic]}", row.p_value, p_value=row.p_value)
chapter.record("table1.total.n", len(patients))
chapter.record("text.methods.hospitals", len(centers))
for name in COHORTS:
    group = patients[patients["cohort"] == name]
    chapter.record(f"table1.{name}.n", len(group))
    if truth is not None and horizon_months == 60:
        planted = truth.loc[group["patient_id"], "dm_probability_5y"]
        chapter.record(f"table1.{name}.dmfs_5y", 100 * (1 - planted.mean()), track="truth")
for name in sorted({"1", "2", "3"} & set(centers)):
    chapter.record(f"text.methods.center{name}.n", (patients["center"] == name).sum())

# %%
chapter.against_paper("The paper's Table 1 beside this cohort.")

# %% [markdown]
# *What agreement means.* In the default synthetic cohort the margins of this table are what it was drawn to
# have, so agreement shows that the generator keeps its specification, and that the tests computed here are
# the ones behind print. Where a p-value differs although the counts agree, the printed one does not follow
# from the printed counts, on which [chapter 00](00_printed_numbers) has more. In a scenario with other
# patients, or in one's own cohort, differences are expected and are what the reader of later chapters must
# know. Rates and follow-up depend on chance even where margins are fixed.
#
# ```{admonition} Try this
# :class: tip
# Change one line of the parameters cell and run all cells; `make book` afterwards restores the run.
#
# - `horizon_months = 96`: more metastases have happened by then, so the rates fall; fewer patients are
#   followed so far, so the intervals widen. The rates are no longer set beside print, which has five years.
# - `cohort_folder`: point it at another cohort, for example one made by
#   `python -m npcbook simulate --scenario shift`, and give `run_folder` a new name. Standardised differences
#   grow where the case mix of the other hospitals was shifted; the truth column says by how much risk did.
# ```

# %% tags=["hide-input"]
significant = rows[(rows["p_value"] < 0.05)].drop_duplicates("characteristic")["characteristic"]
glue("cohorts_differing", ", ".join(significant) or "nothing", display=False)
glue("cohorts_excluded", str(int(excluded.sum())), display=False)
by_hospital = missingness[(missingness["value"] == "EBV DNA") & (missingness["related to"] == "hospital")]
p = by_hospital["p"].iloc[0]
glue("cohorts_missing_p", p if p == "nothing to compare" else f"p {p}", display=False)
for name in ("training", "validation"):
    group = patients[patients["cohort"] == name]
    glue(f"cohorts_n_{name}", str(len(group)), display=False)
    glue(f"cohorts_events_{name}", str(group["dm_event"].sum()), display=False)
    rate = attempt(
        notes, name, kaplan_meier, group["dmfs_months"], group["dm_event"], at=[horizon_months], ci="log"
    )
    text = "not estimable"
    if rate is not None:
        text = format_estimate(*(100 * v[0] for v in (rate.survival, rate.low, rate.high)), 1) + " %"
    glue(f"cohorts_dmfs_{name}", text, display=False)
    glue(f"cohorts_oracle_{name}", concordance_text(name, "linear_predictor"), display=False)
glue("cohorts_horizon", str(horizon_months), display=False)
PRINTED = {"patients": "total.n", "dmfs": "training.dmfs_5y", "os": "training.os_5y"}
for name, published_id in PRINTED.items():
    glue(f"cohorts_printed_{name}", lookup(f"table1.{published_id}")["printed"], display=False)

# %% [markdown]
# ## Limits and deviations
#
# - A synthetic cohort is drawn from the margins of Table 1. That its table agrees with print shows that the
#   generator keeps its specification, and nothing about the paper or about patients. What was planted is
#   listed in [the datasheet](11_datasheet).
# - Table 1 tests its characteristics without correction for their number, as the paper does.
# - LDH and EBV DNA are tested with "unknown" as a level, as the printed p-values suggest; what changes
#   without it is worked out in [what can be checked from print](00_printed_numbers).
# - The paper gives T and N categories, not the stage of each patient; stage II is T1N1, T2N0 and T2N1.
# - "5-year" is sixty months from the cohort's time zero, which the paper does not define.
#
# Next: [segmentation](02_segmentation), which needs the images and contours shown above. A cohort without
# images can still be described here.
