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
# # Real patients
#
# **What do patients of another hospital say about the paper's clinical risk factors, and how many of them
# would a score as strong as the printed one need to show itself?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# Real patients, and no deep-learning score: they have no MRI here, so that **nothing on this page is clinical
# evidence about the DL score**, for or against it.
#
# **Reads** a public table and its mapping (`data/real/radcure`), nothing of the run. **Writes** tables for
# the reader, and the imported cohort in the run's folder.
#
# ## Setup

# %%
from contextlib import suppress
from itertools import product

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from scipy.optimize import brentq
from scipy.stats import chi2, norm

# %%
from npcbook.book import open_chapter, plot_calibration, plot_kaplan_meier, small_multiples
from npcbook.cohort import import_table, read_cohort
from npcbook.paper import lookup, printed_wald
from npcbook.statistics import (
    Difference,
    calibrate,
    compare_c,
    cumulative_incidence,
    fit_cox,
    fit_firth_cox,
    harrell_c,
    optimism_corrected_c,
    out_of_fold_risk,
    rate_at,
    reverse_km,
)
from npcbook.store import project_path
from npcbook.words import ENDPOINTS, MISSING, format_estimate, format_hr, format_number, format_p

# %% tags=["parameters"]
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
real_cohort = "data/real/radcure"  # a folder with a table and its map.yml, or a cohort in the book's format
horizon_months = 60  # 1 to 240, months; of rates, calibration and the score's simulated outcomes
score_c = 0.0  # 0 to 0.99; C-index of the score to be found, 0 for DL's printed one in validation
n_folds = 5  # 2 to 20; groups of patients predicted by models fitted on the others, for calibration
n_resamples = 200  # 1 or more; bootstrap samples for optimism
n_simulations = 60  # 1 or more; simulated studies for each number of events
seed = 2023  # 0 or more; of all random numbers here

# %% [markdown]
# ## Data
#
# RADCURE is a collection of patients with head and neck cancer treated at one hospital in Toronto
# ([Welch et al. 2023](bibliography.md)), published by The Cancer Imaging Archive under the licence CC BY 4.0.
# Its clinical table is shipped with this book as it was published; its images (CT) are under controlled
# access and not needed here. Patients with a primary tumour of the nasopharynx are taken from it by the
# command that anybody would use for a table of their own, with a mapping of a few lines:
#
# ```
# python -m npcbook import table data/real/radcure/RADCURE_Clinical_v04_20241219.csv \
#     --map data/real/radcure/map.yml --out data/cohorts/radcure
# ```
#
# This page calls the same function. The mapping says what is changed: names of columns, words to codes, dates
# to months from the start of radiotherapy. Nobody may try to identify a patient.

# %%
source, lines = project_path(real_cohort), []
cohort = project_path(run_folder) / "09d_real_patients/cohort" if (source / "map.yml").exists() else source
if cohort != source:
    status, lines = import_table(sorted(source.glob("*.csv")), cohort, map_file=source / "map.yml")
    assert status == 0, lines
chapter = open_chapter("09d_real_patients", run_folder=run_folder, cohort_folder=cohort)
everyone = read_cohort(cohort).patients
impossible = [f"- {line}" for line in lines if line.startswith("impossible")]
reason = everyone["exclusion"].fillna("")
patients = everyone[reason == ""].set_index("patient_id")
T, N = ["T1", "T2", "T3", "T4"], ["N0", "N1", "N2", "N3"]
stage_2 = patients["t_stage"].isin(T[:2]) & patients["n_stage"].isin(N[:2])
stage_2 &= (patients["t_stage"] != "T1") | (patients["n_stage"] != "N0")
dm, died = ENDPOINTS["DMFS"], ENDPOINTS["OS"]
n_events = {name: int(patients[event].sum()) for name, (_, event) in ENDPOINTS.items()}

# %% [markdown]
# (real-overview)=
# ### At a glance
#
# What happened to these patients, and their hazard ratios beside those that the paper prints.


# %%
def outcome(rows=slice(None), endpoint="DMFS"):
    """Return time and event of some of the patients."""
    return tuple(patients.loc[rows, column].to_numpy() for column in ENDPOINTS[endpoint])


def percent(value, decimals=1):
    """Return a share as text, in per cent."""
    return f"{format_number(100 * value, decimals)} %"


def levels(column, names):
    """Return a column of 0 and 1 for each level but the first, which is the reference."""
    return pd.DataFrame({name: (patients[column] == name).astype(float) for name in names[1:]})


base = pd.DataFrame({"age": patients["age"], "female": (patients["sex"] == "female").astype(float)})
by_level = base.join(levels("t_stage", T)).join(levels("n_stage", N))
by_step = base.assign(T=patients["t_stage"].str[1].astype(float), N=patients["n_stage"].str[1].astype(float))
survival = pd.DataFrame({"time": patients[dm[0]], "event": patients[dm[1]]})

# %%
NAMES = {"age": "age, per year", "female": "female (male)", "t2": "T2 (T1)", "n1": "N1 (N0)"}
OURS = {"age": "age", "female": "female", "t2": "T2", "n1": "N1"}
ALONE = {"age": ["age"], "female": ["female"], "t2": T[1:], "n1": N[1:]}
together = CoxPHFitter().fit(survival.join(by_level), "time", "event")
rows = []
for kind, key in product(("univariable", "multivariable"), NAMES):
    fit = together
    if kind == "univariable":
        fit = CoxPHFitter().fit(survival.join(by_level[ALONE[key]]), "time", "event")
    printed, found = lookup(f"table2.{kind}.{key}"), fit.summary.loc[OURS[key]]
    se_printed = printed_wald(f"table2.{kind}.{key}").se.middle
    apart = found["coef"] - np.log(printed["value"])
    test = Difference.of(apart, np.hypot(found["se(coef)"], se_printed))
    row = {"model": kind, "covariate (reference)": NAMES[key], "key": key, "test": test}
    row |= {"print": printed[["value", "low", "high"]].tolist(), "se": found["se(coef)"]}
    row["here"] = found[["exp(coef)", "exp(coef) lower 95%", "exp(coef) upper 95%"]].tolist()
    rows.append(row | {"p here": found["p"]})
ratios = pd.DataFrame(rows)

# %%
time, event = outcome()
cause = np.where(event == 1, 1, 2 * patients[died[1]])
KINDS = {1: ("distant metastasis", "#d55e00", "-"), 2: ("death without it", "#0173b2", (0, (5, 1.5)))}


def draw_incidence(ax):
    """Draw how many have had a metastasis, or have died without one, by month."""
    for kind, (name, color, line) in KINDS.items():
        curve = cumulative_incidence(time, np.where(cause > 0, np.where(cause == kind, 1, 2), 0))
        ax.step(curve.time, 100 * curve.incidence, where="post", color=color, linestyle=line, label=name)
        band = 100 * curve.low, 100 * curve.high
        ax.fill_between(curve.time, *band, step="post", color=color, alpha=0.15, linewidth=0)
    ax.set(xlabel="Months from the start of radiotherapy", ylabel="Cumulative incidence, %", ylim=(0, None))
    ax.legend(fontsize=8, loc="upper left")


# %%
fig, axes = small_multiples(2, panel_height=3.0)
draw_incidence(axes[0])
both = ratios[ratios["model"] == "univariable"].reset_index()
for column, shift, color, marker in (("print", 0.12, "0.35", "s"), ("here", -0.12, "#0173b2", "o")):
    hr, low, high = np.array(both[column].tolist()).T
    reach, y = [hr - low, high - hr], np.arange(len(both))[::-1] + shift
    axes[1].errorbar(hr, y, xerr=reach, fmt=marker, color=color, capsize=3, label=column)
axes[1].axvline(1, color="0.45", linewidth=0.9)
axes[1].set(xscale="log", xlabel="Hazard ratio of distant metastasis, univariable (95 % CI)")
axes[1].set_yticks(np.arange(len(both))[::-1], both["covariate (reference)"])
axes[1].legend(fontsize=8)
alt = "Cumulative incidence of metastasis and of death without it; four hazard ratios, printed and here."
chapter.figure("overview", fig, alt)

# %% [markdown]
# (real-flow)=
# ### Who is analysed
#
# Patients are left out for what they are (another disease, a metastasis at diagnosis) or for a date that
# cannot be: an impossible value is listed and never repaired.

# %%
steps = [("read", len(everyone))]
steps += [(f"left out: {text}", n) for text, n in reason[reason != ""].value_counts(sort=False).items()]
for text, part in {"analysed": patients, "of these stage II, by T and N": patients[stage_2]}.items():
    steps.append((text, len(part), *(int(part[event].sum()) for _, event in ENDPOINTS.values())))
columns = ["patients", "number", "distant metastases", "deaths"]
chapter.table("flow", pd.DataFrame(steps, columns=columns), "Patients read, left out and analysed.")
chapter.say("\n".join(impossible) or "The import listed no impossible value.")

# %% tags=["hide-output"]
fig, (ax,) = small_multiples(1, panel_height=3.0)
box = {"boxstyle": "round,pad=0.5", "fc": "white"}
boxes = [(0.9, steps[0]), (0.5, steps[-2]), (0.1, steps[-1])]
for y, (text, n, *counts) in boxes:
    said = f"{text}\nn = {n}" + (f"; {counts[0]} metastases, {counts[1]} deaths" if counts else "")
    ax.text(0.3, y, said, ha="center", va="center", fontsize=9, bbox=box)
said = "\n".join(f"{text.removeprefix('left out: ')}: n = {n}" for text, n, *_ in steps[1:-2])
ax.text(0.57, 0.7, f"Left out\n{said}", va="center", fontsize=8, bbox=box)
for top, bottom in ((0.79, 0.61), (0.39, 0.21)):
    ax.annotate("", (0.3, bottom), (0.3, top), arrowprops={"arrowstyle": "->"})
ax.annotate("", (0.55, 0.7), (0.3, 0.7), arrowprops={"arrowstyle": "->"})
ax.set_axis_off()
chapter.figure("flow", fig, "Flow chart: patients read, left out with the reason, analysed, and of stage II.")

# %% [markdown]
# (real-differences)=
# ### What differs from the paper's patients

# %%
male, print_male = (patients["sex"] == "male").mean(), lookup("table1.training.sex_male.percent")["printed"]
n_printed, share_2 = lookup("table1.total.n")["printed"], 100 * stage_2.mean()
beside = [
    ("patients", n_printed, len(patients)),
    ("hospitals", "three, China", "one, Toronto"),
    ("stage", "II only, 8th edition", f"all, 7th edition; {format_number(share_2, 0)} % are stage II"),
    ("images", "MRI", "CT, under controlled access, not used"),
    ("rENE, EBV DNA, LDH", "known", "not recorded"),
    ("cisplatin dose", "cumulative dose known", "chemotherapy yes or no"),
    ("time zero", "not stated", "start of radiotherapy"),
]
beside = pd.DataFrame(beside, columns=["what", "paper", "here"]).astype(str)
chapter.table("differences", beside, "How these patients differ from those of the paper.")

# %% [markdown]
# The editions draw the border between T2 and T4, and N3, in other places, so that even "T2" and "N1" are not
# wholly the same patients. What {term}`rENE` and {term}`EBV DNA` would explain is left in those of N and T.
#
# ## Method
#
# {term}`DMFS` counts {term}`distant metastasis`, a death without one is {term}`censored <censoring>`;
# {term}`OS` counts death from any cause. Rates are {term}`Kaplan–Meier <Kaplan–Meier curve>` estimates with
# log–log limits, comparisons {term}`log-rank tests <log-rank test>`, follow-up is reverse Kaplan–Meier.
# {term}`Cox models <Cox model>` are lifelines'. This book's own fit stands where a model is fitted hundreds
# of times; where a group has next to no event, {term}`Firth's penalty` gives a ratio with profile limits.
# {term}`Optimism` is by bootstrap, {term}`calibration` by risks {term}`out of fold`, so that no patient is
# predicted by a model that has seen that patient.
#
# A ratio printed by the paper, $h_p$, and one found here, $h$, are set against each other by their *ratio of
# hazard ratios*, with the standard error of its logarithm from those of the two,
#
# $$\log\frac{h}{h_p} \pm 1.96\sqrt{s^2 + s_p^2},$$
#
# where $s_p$ is read off the printed limits. If it holds 0 (the ratio 1), chance alone can explain the
# difference; that does not show that there is none.

# %%
chapter.methods(
    f"""Real patients. The clinical table of RADCURE (version 4, CC BY 4.0), nasopharynx: survival at
    {horizon_months} months by Kaplan-Meier, Cox models with age, sex, T and N category, optimism by
    {n_resamples} bootstrap samples, calibration by out-of-fold risks in {n_folds} folds."""
)

# %% [markdown]
# ## Result
#
# (real-print)=
# ### The paper's hazard ratios beside these patients'
#
# Four covariates of the paper's Table 2 exist here. *Univariable* is the covariate alone (T and N with all
# their levels, so that T2 is compared with T1 and N1 with N0), *multivariable* all of age, sex, T and N; the
# paper's multivariable model holds LDH, EBV DNA, rENE and chemotherapy besides.

# %%
shown = ratios[["model", "covariate (reference)"]].copy()
shown["printed HR (95 % CI)"] = [format_hr(*values) for values in ratios["print"]]
shown["HR here (95 % CI)"] = [format_hr(*values) for values in ratios["here"]]
shown["p here"] = ratios["p here"].map(format_p)
apart = [np.exp([test.difference, test.low, test.high]) for test in ratios["test"]]
shown["ratio of hazard ratios, here to print (95 % CI)"] = [format_hr(*values) for values in apart]
shown["p of the difference"] = [format_p(test.p_value) for test in ratios["test"]]
found_80 = [np.exp(test.detectable) for test in ratios["test"]]
shown["ratio found with 80 % power"] = [f"{format_number(x)} or {format_number(1 / x)}" for x in found_80]
chapter.table("hazard_ratios", shown, "Hazard ratios of distant metastasis, printed and in these patients.")

# %%
whole = ratios[ratios["model"] == "univariable"].set_index("key")
n_chance = sum(test.p_value >= 0.05 for test in ratios["test"])
furthest = ratios.loc[[test.p_value for test in ratios["test"]].index(min(t.p_value for t in ratios["test"]))]
least = min(ratio for ratio, key in zip(found_80, ratios["key"], strict=True) if key != "age")
chapter.takeaway(
    2,
    f"Furthest from print is {NAMES[furthest['key']]}, {furthest['model']}: {format_hr(*furthest['here'])}, "
    f"printed {format_hr(*furthest['print'])}; but for age, a ratio that is truly {format_number(least, 1)} "
    "times the printed one would be missed one time in five ([beside print](#real-print)).",
)

# %% [markdown]
# *How to read it.* The last column says what the comparison could have seen: a true ratio of hazard ratios as
# large as the first number, or as small as the second, is found four times in five. Where both ratios point
# the same way and their ratio's interval holds 1, these patients agree with print as far as they can; where
# the interval is that wide, they would agree with a good deal else.
#
# (real-stage-2)=
# ### Stage II alone
#
# The paper's own stage, among these patients. The ratios are Firth's, univariable; beside each the smallest
# ratio that so few events could show, and how often they would show the printed one, by Schoenfeld's formula:
# with $d$ events and a share $q$ of patients exposed, the logarithm of a ratio has the standard error
# $1/\sqrt{d\,q(1-q)}$.


# %%
def power(log_hr, n, share):
    """Return how often a log-rank test at 5 % sees a log hazard ratio with so many events (Schoenfeld)."""
    reach = abs(log_hr) * np.sqrt(n * share * (1 - share))
    return norm.cdf(reach - norm.isf(0.025))


rows, part = [], patients[stage_2]
n_2 = int(part[dm[1]].sum())
exposed = {"female": base.loc[part.index, "female"], "t2": (part["t_stage"] == "T2").astype(float)}
exposed["n1"] = (part["n_stage"] == "N1").astype(float)
for key, x in exposed.items():
    row = {"covariate (reference)": NAMES[key], "metastases / patients": ""}
    counts = [f"{int(part.loc[x == v, dm[1]].sum())} / {int((x == v).sum())}" for v in (1, 0)]
    row["metastases / patients"] = f"{counts[0]} (reference {counts[1]})"
    with chapter.noting(f"Stage II: {NAMES[key]}"):
        row["HR here (95 % CI)"] = str(fit_firth_cox(part[dm[0]], part[dm[1]], x.rename(key))[0])
    printed, share = lookup(f"table2.univariable.{key}")["value"], x.mean()
    least = np.exp((norm.isf(0.025) + norm.ppf(0.8)) / np.sqrt(n_2 * share * (1 - share)))
    row |= {"printed HR": printed, "HR found with 80 % power": format_hr(least)}
    rows.append(row | {"power for the printed HR": percent(power(np.log(printed), n_2, share), 0)})
small = pd.DataFrame(rows).reindex(columns=list(rows[0])).fillna(MISSING)
chapter.table("stage_2", small, f"Stage II alone: {len(part)} patients, {n_2} distant metastases.")

# %%
rate_2 = rate_at(*outcome(stage_2), horizon_months)
chapter.takeaway(
    3,
    f"Stage II alone, the paper's stage, is {len(part)} of these patients with {n_2} distant metastases: no "
    "ratio can be read from so few ([stage II](#real-stage-2)).",
)

# %% [markdown]
# *How to read it.* With so few events any ratio is possible: the comparison one would want cannot be made.
#
# (real-table-1)=
# ### Table 1
#
# The characteristics that both tables have; the paper's as printed.

# %%
CATEGORIES = {
    "Sex": ("sex", {"male": ("Male", "sex_male"), "female": ("Female", "sex_female")}),
    "Histopathology": ("who_type", {"I": ("WHO I", "who_i"), "II-III": ("WHO II-III", "who_ii_iii")}),
    "T": ("t_stage", {"T1": ("T1", "t1"), "T2": ("T2", "t2"), "T3": ("T3", ""), "T4": ("T4", "")}),
    "N": ("n_stage", {"N0": ("N0", "n0"), "N1": ("N1", "n1"), "N2": ("N2", ""), "N3": ("N3", "")}),
    "Chemotherapy": ("treated", {"no": ("Without", "chemotherapy_none"), "yes": ("With", "")}),
}
pooled = patients.assign(treated=np.where(patients["chemotherapy"] == "none", "no", "yes"))
pooled = pooled.replace({"who_type": {"II": "II-III", "III": "II-III"}})


def in_print(cohort, key):
    """Return a count of the paper's Table 1 with its per cent, as printed; nothing for what it has not."""
    if not key:
        return MISSING
    n, share = (lookup(f"table1.{cohort}.{key}.{part}")["printed"] for part in ("n", "percent"))
    return f"{n} ({share})"


# %% tags=["hide-output"]
age = patients["age"].quantile([0.5, 0.25, 0.75])
printed = {c: lookup(f"table1.{c}.age") for c in ("training", "validation")}
as_text = {c: f"{p['printed']} ({p['low_printed']}–{p['high_printed']})" for c, p in printed.items()}
rows = [("Age, years", "median (quartiles)", format_estimate(*age, 0), *as_text.values())]
for name, (column, codes) in CATEGORIES.items():
    for code, (text, key) in codes.items():
        n = int((pooled[column] == code).sum())
        counted = f"{n} ({100 * n / len(pooled):.1f})"
        rows.append((name, text, counted, *(in_print(c, key) for c in printed)))
table_1 = pd.DataFrame(rows, columns=["", "level", "here", "paper, training", "paper, validation"])
chapter.table("table_1", table_1, "Patients here and in the paper: counts with per cent, median of age.")

# %% [markdown]
# (real-follow-up)=
# ### Follow-up and survival

# %%
rows = []
for name, (time, event) in ENDPOINTS.items():
    followed = reverse_km(patients[time], patients[event])
    rate = rate_at(patients[time], patients[event], horizon_months)
    lifelines = KaplanMeierFitter().fit(patients[time], patients[event]).predict(horizon_months)
    row = {"outcome": name, "patients": len(patients), "events": n_events[name]}
    row["median follow-up, months (95 % CI)"] = f"{followed}"
    row |= {f"rate at {horizon_months} months, % (95 % CI)": f"{rate:1%}", "by lifelines, %": 100 * lifelines}
    key = f"{name.lower()}_5y"
    printed = [lookup(f"table1.{c}.{key}") for c in ("training", "validation")]
    row["printed at five years, training and validation, %"] = " and ".join(p["printed"] for p in printed)
    rows.append(row)
chapter.table("follow_up", pd.DataFrame(rows), "Follow-up (reverse Kaplan–Meier) and survival.")

# %% [markdown]
# *How to read it.* The paper's patients are of an earlier stage: rates differ for that reason alone.
#
# (real-groups)=
# ### By T, N and treatment

# %% tags=["hide-output"]
GROUPS = {"T": patients["t_stage"], "N": patients["n_stage"]}
GROUPS["treatment"] = pd.Series(
    np.where(patients["chemotherapy"] == "none", "radiotherapy alone", "chemoradiotherapy"), patients.index
)
rows, tests = [], {}
for what, group in GROUPS.items():
    for name, (time, event) in ENDPOINTS.items():
        tests[what, name] = multivariate_logrank_test(patients[time], group, patients[event]).p_value
    for level, part in patients.groupby(group):
        row = {"group": what, "level": level, "patients": len(part)}
        for name, (time, event) in ENDPOINTS.items():
            row[f"{name}: events"], rate = int(part[event].sum()), None
            with chapter.noting(f"{name}, {level}"):
                rate = rate_at(part[time], part[event], horizon_months)
            row[f"{name} at {horizon_months} months, % (95 % CI)"] = f"{rate:1%}" if rate else MISSING
            row[f"{name}: log-rank p"] = format_p(tests[what, name]) if level == min(group) else ""
        rows.append(row)
chapter.table("groups", pd.DataFrame(rows), "Survival by T, N and treatment; log-rank tests by lifelines.")

# %%
fig, axes = small_multiples(2, panel_height=5.6)
for ax, what in zip(axes, ("T", "N"), strict=True):
    options = {"horizon_months": horizon_months, "lowest": 0.5, "order": {"T": T, "N": N}[what], "ax": ax}
    plot_kaplan_meier(*outcome(), GROUPS[what].to_numpy(), **options)
    ax.set_title(f"Free of distant metastasis by {what} category", loc="left")
alt = "Kaplan–Meier curves of DMFS by T category, above, and by N category, below."
chapter.figure("dmfs", fig, alt)
chapter.say(
    f"*How to read it.* Log-rank p-values for DMFS: {format_p(tests['T', 'DMFS'])} between T categories, "
    f"{format_p(tests['N', 'DMFS'])} between N categories; none is corrected. The one of treatments is "
    "no comparison of their effects: who was given chemotherapy followed from the stage."
)

# %% [markdown]
# (real-competing)=
# ### Competing deaths
#
# One minus Kaplan–Meier is the risk of metastasis if nobody died of anything else. The share of patients who
# are seen with one, death being a {term}`competing risk`, is the Aalen–Johansen estimate.

# %%
rows = []
for text, index in {
    "all": patients.index,
    **{f"N: {n}": part.index for n, part in patients.groupby("n_stage")},
}.items():
    time, event = outcome(index)
    first = np.where(event == 1, 1, 2 * patients.loc[index, died[1]])
    row = {"patients": text, "metastases": int((first == 1).sum())}
    row["deaths without metastasis"] = int((first == 2).sum())
    with chapter.noting(f"Competing death: {text}"):
        row["1 − Kaplan–Meier"] = percent(1 - rate_at(time, event, horizon_months).value)
        seen = cumulative_incidence(time, first, at=[horizon_months])
        limits = (100 * float(x[0]) for x in (seen.incidence, seen.low, seen.high))
        row["cumulative incidence (95 % CI)"] = f"{format_estimate(*limits, 1)} %"
    rows.append(row)
competing = pd.DataFrame(rows).fillna(MISSING)
chapter.table("competing", competing, f"Risk of distant metastasis by {horizon_months} months.")

# %% [markdown]
# *How to read it.* The second column is what a patient asks; where many die of else the first is too high.
#
# (real-model)=
# ### A clinical model
#
# Of the paper's covariates four exist here: age, sex, T and N. T and N enter as steps, one coefficient each,
# because three levels each would spend eight coefficients on the events there are; the likelihood ratio test
# below says whether that loses anything.

# %%
model = CoxPHFitter().fit(survival.join(by_step), "time", "event")
summary = model.summary.rename_axis("covariate").reset_index()
summary["HR (95 % CI)"] = [format_hr(*v) for v in summary.filter(like="exp(coef)").to_numpy()]
summary["p"] = summary["p"].map(format_p)
rise = 2 * (together.log_likelihood_ - model.log_likelihood_)
chapter.table("model", summary[["covariate", "coef", "se(coef)", "HR (95 % CI)", "p"]],
              "Clinical model of distant metastasis, by lifelines; T and N per step.")  # fmt: skip
more = by_level.shape[1] - by_step.shape[1]
chapter.say(
    f"Levels instead of steps raise twice the log likelihood by {format_number(rise, 1)} with {more} "
    f"coefficients more, p {format_p(chi2.sf(rise, more))}."
)


# %%
class Predictor:
    """A Cox model by lifelines whose `risk` is the probability of metastasis by the horizon."""

    def __init__(self, design, time, event):
        self.model = CoxPHFitter().fit(design.assign(time=time, event=event), "time", "event")

    def risk(self, design):
        """Return each patient's probability of the event by the horizon."""
        return 1 - self.model.predict_survival_function(design, times=[horizon_months]).to_numpy()[0]


def fit_again(time, event, design):
    """Return the risk function of the model fitted to a bootstrap sample."""
    return fit_cox(time, event, design, on_monotone="report").risk


apparent = harrell_c(*outcome(), model.predict_log_partial_hazard(by_step).to_numpy())
rng = np.random.default_rng(seed)
optimism = optimism_corrected_c(*outcome(), by_step, fit_again, n_resamples=n_resamples, rng=rng)
predicted = out_of_fold_risk(Predictor, by_step, *outcome(), n_folds=n_folds, rng=np.random.default_rng(seed))
calibration = calibrate(*outcome(), predicted, horizon_months)

# %%
rows = [("C-index, apparent (95 % CI)", f"{apparent}"), ("optimism", format_number(optimism.optimism, 3))]
rows += [("C-index, corrected for optimism", format_number(optimism.corrected))]
rows += [("C-index, out of fold (95 % CI)", f"{harrell_c(*outcome(), predicted)}")]
rows += [("calibration slope, out of fold (95 % CI)", f"{calibration.slope}")]
rows += [("observed over expected (95 % CI)", f"{calibration.o_e}")]
rows += [("ICI, percentage points", format_number(100 * calibration.ici, 1))]
printed = " and ".join(lookup(f"table4.{c}.c_index.clinical")["printed"] for c in ("training", "validation"))
rows += [("C-index of the paper's clinical model (T, rENE, sex), training and validation", printed)]
chapter.table("worth", pd.DataFrame(rows, columns=["measure", "value"]), "What the clinical model is worth.")
fig, (ax,) = small_multiples(1, panel_height=4.6, width=5.0)
plot_calibration(calibration.groups.assign(cohort="out of fold"), horizon_months=horizon_months, ax=ax)
alt = "Observed against predicted risk of distant metastasis, fifths of the out-of-fold predictions."
chapter.figure("calibration", fig, alt)
chapter.takeaway(
    4,
    f"A clinical model of age, sex, T and N has a C-index of {apparent}, {format_number(optimism.corrected)} "
    f"after correction for optimism; its calibration slope out of fold is {calibration.slope} "
    "([clinical model](#real-model)).",
)

# %% [markdown]
# *How to read it.* The corrected value is what to expect in new patients of this hospital, not of another.
# Slopes below 1 mean predictions that are too far apart. Each point stands on few events.
#
# (real-score)=
# ### How many patients a score of print's strength would need
#
# By *simulation*. The patients keep their T and N and the coefficients of these; a score unrelated to both is
# added, of such strength that alone it reaches the wanted {term}`C-index` among them.
# Times to metastasis are drawn with a constant baseline hazard that gives the observed risk by the horizon,
# and are censored at the times at which patients left in whom nothing happened. From this population studies
# of growing size are drawn. A score *shows itself* if the likelihood ratio test beside T and N, or the
# difference of the C-indices with and without it ([compare_c](05_cox_models.ipynb)), has p < 0.05. Beside it
# Schoenfeld's *formula* for the first: $d = (1.96 + 0.84)^2 / b^2$ events for a coefficient $b$ per standard
# deviation.

# %%
stage = by_step[["T", "N"]]
clinical = (
    CoxPHFitter().fit(survival.join(stage), "time", "event").predict_log_partial_hazard(stage).to_numpy()
)
followed = patients.loc[(patients[dm[1]] == 0) & (patients[died[1]] == 0), dm[0]].to_numpy()
observed_risk = 1 - rate_at(*outcome(), horizon_months).value
rng = np.random.default_rng(seed)
many = {"x": rng.choice(clinical, 4000), "z": rng.normal(size=4000), "u": rng.exponential(size=4000)}
many["left"] = rng.choice(followed, 4000)


def baseline(linear):
    """Return the constant hazard that gives the observed risk by the horizon."""

    def gap(log_hazard):
        hazard = np.exp(log_hazard + linear)
        return np.mean(-np.expm1(-horizon_months * hazard)) - observed_risk

    return np.exp(brentq(gap, -40, 5))


# %%
def study(x, z, u, left, strength):
    """Return time and event of patients with clinical score x, new score z, chance u and follow-up."""
    linear = x + strength * z
    months = u / (hazards[strength] * np.exp(linear))
    return np.minimum(months, left), months <= left


def short_of(strength, wanted):
    """Return by how much a score of this strength misses the wanted C-index."""
    hazards[strength] = baseline(many["x"] + strength * many["z"])
    return harrell_c(*study(**many, strength=strength), many["z"]).c - wanted


hazards = {}
sought_c = score_c or lookup("table4.validation.c_index.dl_combined")["value"]
wanted = {"as printed": sought_c, "half as far from 0.5": 0.5 + (sought_c - 0.5) / 2}
strengths = {name: brentq(short_of, 0.05, 6, args=(c,), xtol=1e-3) for name, c in wanted.items()}
shares = {name: study(**many, strength=b)[1].mean() for name, b in strengths.items() if short_of(b, 0)}


# %%
def seen(strength, n, rng):
    """Return whether a study of n patients sees the score by either test, and the width of C's limits."""
    x, z, found = rng.choice(clinical, n), rng.normal(size=n), [False, False, np.nan]
    time, event = study(x, z, rng.exponential(size=n), rng.choice(followed, n), strength)
    with suppress(ValueError):  # too few events to compare anything: not seen
        alone = fit_cox(time, event, x[:, None], on_monotone="report")
        both = fit_cox(time, event, np.column_stack([x, z]), on_monotone="report")
        found[0] = chi2.sf(both.lr_statistic - alone.lr_statistic, 1) < 0.05
        found[1] = compare_c(time, event, x + strength * z, x).p_value < 0.05
        c = harrell_c(time, event, z)
        found[2] = c.high - c.low
    return found


rows, z80 = [], norm.isf(0.025) + norm.ppf(0.8)
for (name, b), d in product(strengths.items(), (5, 10, 20, 40, 80)):
    n, rng = round(d / shares[name]), np.random.default_rng(seed)
    results = np.array([seen(b, n, rng) for _ in range(n_simulations)], dtype=float)
    row = {"score": name, "C": wanted[name], "events": d, "patients": n, "formula": z80**2 / b**2}
    rows.append(row | {"added": results[:, 0].mean(), "apart": results[:, 1].mean()})
    rows[-1]["half"] = np.nanmedian(results[:, 2]) / 2
needed = pd.DataFrame(rows)

# %%
NAMED = {
    "score": "score", "C": "C-index of the score alone", "patients": "patients", "events": "events expected",
    "added": "seen beside T and N (likelihood ratio), %", "apart": "seen as a larger C-index, %",
    "half": "half-width of the limits of C", "formula": "events by the formula, 80 % power",
}  # fmt: skip
shown = needed.assign(added=100 * needed["added"], apart=100 * needed["apart"])[list(NAMED)]
caption = f"How often a score would show itself; {n_simulations} simulated studies a row."
chapter.table("score_needed", shown.rename(columns=NAMED), caption)

# %%
strong, enough = needed[needed["score"] == "as printed"], []
for test in ("added", "apart"):
    found = strong.loc[strong[test] >= 0.8, "events"].head(1)
    enough += [*found] or [f"more than {needed['events'].max()}"]
chapter.takeaway(
    1,
    f"**{n_chance} of the {len(ratios)} hazard ratios set beside print differ from it by no more than chance "
    f"can; a score as strong as the printed one would show itself with {enough[0]} metastases** "
    "([beside print](#real-print), [a score's strength](#real-score)).",
)
chapter.takeaway(
    5,
    f"That score, with a C-index of {format_number(sought_c)}, would show itself beside T and N by the "
    f"likelihood ratio, and by a larger C-index with {enough[1]} metastases, in four of five simulated "
    f"studies; here there are {n_events['DMFS']}, but no such score ([a score's strength](#real-score)).",
)

# %%
early = 1 - rate_2.value
chapter.say(
    f"In stage II {percent(early, 0)} of the patients here have a metastasis by {horizon_months} months, so "
    f"that each event takes about {format_number(1 / early, 0)} patients; the strong score's coefficient is "
    f"{format_number(strengths['as printed'])} per standard deviation."
)

# %% [markdown]
# *How to read it.* Showing that a strong score knows something takes few events; showing *how much* it is
# worth takes many: the half-width of its C-index falls with the square root of the events. The weaker score
# stands for one that loses half of its distance from chance in another hospital.
#
# What these data could not give, if anything, is listed here with the reason.

# %% tags=["hide-output"]
chapter.not_estimable()

# %% [markdown]
# ## Against the paper
#
# The paper's ratios stand [beside these patients'](#real-print) and nowhere else: other patients, another
# stage, other covariates in the model. *What agreement means.* That a risk factor known from the clinic
# points the same way in Toronto as in print. Nothing here bears on the network or on cisplatin dose.
#
# ```{admonition} Try this
# :class: tip
# - `horizon_months = 36`: more patients are followed so far, so that rates have narrower limits; ratios stay.
# - `score_c = 0.65`: a weaker score; the events it takes grow with one over the square of its coefficient.
# ```
#
# ## Limits and deviations
#
# - One hospital, and a collection for research: what made a patient enter it is not known.
# - The 7th edition's categories are taken for the paper's of the 8th as they are named.
# - Deaths are censored in DMFS, as in the paper, competing deaths shown beside. No p-value is corrected.
# - The simulated score is unrelated to T and N; one that repeats part of what they say needs more events.
#
# **Hands over** nothing: this chapter only compares.
