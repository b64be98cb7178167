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
# # The printed numbers
#
# **What can be checked of the paper without a single patient?** A published table is data: counts imply
# p-values, a {term}`confidence interval` implies a standard error, a standard error implies a number of
# events. This chapter recomputes what print allows {cite}`hu2023`, as a careful reviewer would.
#
# ## In short
#
# - {glue:text}`printed_checks` checks, of which {glue:text}`printed_reproduce` reproduce; every hazard ratio,
#   C-index and AUC lies in the middle of its interval ([intervals](printed-intervals)).
# - Two {term}`hazard ratios <hazard ratio>`, those of the RC model, cannot compare two groups of patients:
#   they would need at least {glue:text}`printed_rc_training` and {glue:text}`printed_rc_validation`
#   metastases, where the printed survival leaves at most {glue:text}`printed_most_training` and
#   {glue:text}`printed_most_validation` within five years ([events](printed-events)).
# - Six rows of Table 2 imply {glue:text}`printed_events_low` to {glue:text}`printed_events_high` metastases
#   in the training cohort over all follow-up ([events](printed-events)).
# - The limits and p of the two T2N0 hazard ratios come out with **one** event in each arm, and with no other
#   split ([Firth](printed-firth)): too little to say anything about these patients.
# - {glue:text}`printed_impossible` of {glue:text}`printed_pairs` pairwise p-values fits no correlation
#   between the two models, and {glue:text}`printed_negative` more only a strongly negative one between a
#   model and a part of itself ([pairs](printed-pairs)).
# - {glue:text}`printed_unsupported` of {glue:text}`printed_claims` claims of the paper are not, or only in
#   part, supported by a printed test ([claims](printed-claims)).
#
# **Reads** `data/published/*.csv`, the paper's numbers as transcribed. **Writes** the tables below, and
# `00_printed_numbers/checks.csv`, which the ledger counts. No cohort is used: this page is the same for every
# run.

# %% [markdown]
# ## Setup

# %%
import pandas as pd
from myst_nb import glue

from npcbook.book.chapter import open_chapter
from npcbook.paper.checks import (
    COLUMNS,
    benefit_arms,
    check_age,
    check_baseline_tests,
    check_correlations,
    check_counts,
    check_event_bounds,
    check_firth,
    check_intervals,
    check_missing,
    check_pooled_rates,
    check_rates,
    check_repeats,
    check_slips,
    check_subcohort,
    events_by_rate,
    events_by_row,
    firth_splits,
    high_risk_share,
    printed_interval,
    wald_check,
)
from npcbook.paper.implied import Interval, firth_two_arm, implied_correlation
from npcbook.paper.printed import lookup, read_claims, read_published
from npcbook.words import COHORTS, PRINT_LABEL, format_ci, format_number

# %% tags=["parameters"]
run_folder = "data/runs/laptop-synthetic"  # where the tables go
cohort_folder = "data/cohorts/synthetic-laptop"  # only names the run: nothing here comes from it
largest_arm = 4  # most events tried in each arm of the T2N0 subgroup (Fig. 4)
claimed_alpha = 0.05  # two-sided significance level (Statistical analysis)

# %%
chapter = open_chapter("00_printed_numbers", run_folder=run_folder, cohort_folder=cohort_folder)
chapter.label = PRINT_LABEL  # every number on this page comes from the paper

# %% [markdown]
# ## Data
#
# Every number of Tables 1–4, the summary, text, captions and methods has a row: as printed, with its limits
# and p, its place and the words around it. The forest plots, curves and supplement are pictures and are not
# transcribed.

# %%
published = read_published()
counts = published.groupby("source", sort=False).size().rename("numbers").reset_index()
glue("printed_numbers", f"{len(published)}", display=False)
chapter.table("sources", counts, "Transcribed numbers by place in the paper.")

# %% [markdown]
# ## Method
#
# A printed number stands for every value that rounds to it: 0.27 for 0.265 to 0.275. These intervals are
# carried through each calculation, and only what **no** value within them explains counts as a finding. The
# verdicts are *reproduces*, *does not reproduce*, and *depends on* something that print does not tell; beside
# each stands how sure one can be: *certain* (arithmetic), *high* (one mild assumption) or *moderate* (an
# approximation).
#
# A number reproduces if at least one set of values that would have been printed so gives it. None of this
# is a significance test, so that the number of checks needs no correction.
#
# (printed-table-1)=
# ## Table 1: counts, percentages and p-values
#
# The levels of a characteristic must add up to the cohort, and percentages must follow from counts.

# %%
sums = check_counts()
odd = sums[sums["verdict"] != "reproduces"]
caption = f"Sums and percentages that do not reproduce, of {len(sums)} checked."
chapter.table("sums", odd.drop(columns="topic"), caption)

# %% [markdown]
# *How to read it.* Where the verdict speaks of adjusting, the percentages as rounded one by one would not
# add up to 100. Rounding percentages so that they do is common and harmless.
#
# The paper used "Pearson's chi-square or Fisher's exact tests"; both, and the chi-square with continuity
# correction (the default of R's `chisq.test` for two levels), are computed, with and without the *unknown*
# row.

# %%
tests = pd.concat([check_age(), check_baseline_tests()], ignore_index=True)
chapter.table("table1_tests", tests.drop(columns="topic"), "Table 1's p-values recomputed from its counts.")

# %% [markdown]
# *How to read it.* Most p-values are Pearson's, uncorrected. A p-value that does not reproduce was not made
# from these counts by any test tried here; a table updated after its tests were run would look like this. No
# conclusion of the paper changes with them. For {term}`LDH` the small p needs the unknown values counted as a
# level of their own: among known values the cohorts do not differ beyond chance, although the methods
# announce a complete-case analysis.
#
# (printed-missing)=
# ## Missing at random, against the counts
#
# "Missing data at complete random" would mean equal shares of missing values in both cohorts.

# %%
missing = check_missing()
chapter.table(
    "missing",
    missing.drop(columns="topic"),
    "Missing values by cohort, against missing completely at random.",
)

# %% [markdown]
# *How to read it.* Missing values depend on the centre, so they are not missing *completely* at random over
# the whole study. Within one centre they may be, and since models are fitted in one centre only, complete
# cases can still be right there. [Chapter 09](09_stress_tests) imputes them and looks at what changes.
#
# (printed-intervals)=
# ## Estimates and their intervals
#
# If an interval is estimate ± 1.96 standard errors (on the log scale for a hazard ratio), then
#
# $$\begin{aligned}
# \widehat{HR} &= \sqrt{HR_{low} HR_{high}}, \\
# SE &= \frac{\log HR_{high} - \log HR_{low}}{2 \times 1.96}, \\
# p &= 2\,\Phi\!\left(-\frac{|\log \widehat{HR}|}{SE}\right).
# \end{aligned}$$

# %%
intervals = check_intervals()
summary = intervals.groupby(["topic", "verdict"], sort=False).size().rename("rows").reset_index()
chapter.write("tables/intervals_all", intervals)
chapter.table("intervals", summary, "Hazard ratios, C-indexes and AUCs against their intervals.")

# %% [markdown]
# *How to read it.* Tables 2 and 4 and the hazard ratios of Figure 3 are of one piece: estimate, interval
# and p belong together. What does not fit
# below is therefore more likely a question of *which* quantity was printed.
#
# (printed-firth)=
# ## Two hazard ratios whose p is not Wald's
#
# The T2N0 subgroup was analysed with {term}`Firth's penalty` {cite}`firth1993,heinze2001`. Let $d_1, d_0$
# be the events in the high- and low-risk arm and $x$ the log hazard ratio plus the log ratio of those at
# risk. With constant shares at risk the penalised log likelihood is $(d_1 + \tfrac12)\,x - (d_1 + d_0 +
# 1)\log(1 + e^x)$: limits and p follow from the hazard ratio and the **events alone**, so print tells the
# events.

# %%
firth = check_firth()
chapter.table("firth", firth[COLUMNS[1:]], "The T2N0 hazard ratios against Firth's correction.")

# %%
splits = pd.concat([firth_splits(cohort, largest=largest_arm).assign(cohort=cohort) for cohort in COHORTS])
found = splits[splits["reproduces"]]
fitting = found[["cohort", "events high", "events low"]].assign(
    limits=[format_ci(low, high) for low, high in zip(found["hr_low"], found["hr_high"], strict=True)],
    p=found["p_value"].map("{:.3f}".format),
)
fitting = fitting.rename(columns={"limits": "limits of the HR"})
chapter.write("tables/firth_splits_all", splits)
glue("printed_wald_splits", f"{splits['wald limits reproduce'].sum() or 'None'}", display=False)
caption = f"Of {len(splits) // 2} splits of events in each cohort, those that give the printed limits and p."
chapter.table("firth_splits", fitting, caption)

# %% [markdown]
# *How to read it.* {glue:text}`printed_wald_splits` of the splits would give the printed limits as Wald
# limits instead. The pooled T2N0 rate and the bound from Table 2's N row tell of as few events. With equal
# events in both arms Firth's estimate is the ratio of the numbers at risk, and the profile interval is
# symmetric on the log scale, which is why it passes for a Wald interval while its p does not. The hazard
# ratio then only says how the model divides T2N0 patients, not how they fare.

# %%
rows = []
for cohort in COHORTS:
    row = lookup(f"text.{cohort}.subgroup_hr.t2n0")
    fit = firth_two_arm(row["value"], 1, 1)
    patients = int(lookup(f"table1.{cohort}.n0.n")["value"])
    share = 100 / (1 + row["value"])
    shown = (f"{share:.1f}", f"{fit.p_value:.3f}", f"{fit.wald_p_value:.3f}")
    rows.append((cohort, patients, row["printed"], *shown))
columns = ["cohort", "T2N0 patients", "HR", "high-risk share, %", "Firth p, 1 + 1", "Wald p, 1 + 1"]
chapter.table("firth_share", pd.DataFrame(rows, columns=columns), "What one event in each arm implies.")

# %% [markdown]
# (printed-events)=
# ## How many events?
#
# The paper prints no number of metastases. Three roads lead there.
#
# **From the survival rates.** A {term}`Kaplan–Meier curve` loses at least $1/n$ of its start at each event,
# and by Greenwood's formula few events cannot give a narrow interval. Both limits hold whatever the
# censoring.

# %%
by_rate = events_by_rate()
most = by_rate.set_index(["cohort", "endpoint"])["most"]
for cohort in COHORTS:
    glue(f"printed_most_{cohort}", str(most[cohort, "5-year DMFS"]), display=False)
shown = by_rate[["cohort", "endpoint", "printed", "fewest", "most"]].copy()
sizes = by_rate[["effective_n_low", "effective_n_high"]].round().astype(int).astype(str)
shown["effective size"] = sizes["effective_n_low"] + " to " + sizes["effective_n_high"]
shown["kind of interval"] = by_rate["interval"]
chapter.table("events_by_rate", shown, "Events by five years that the printed rates and intervals allow.")

# %% [markdown]
# *How to read it.* The effective size is that of a cohort without {term}`censoring` with the same standard
# error; near the full number of patients it says that few were lost before five years. Metastases after five
# years are not in this table: the curve is read at five years.
#
# **From Table 2.** The standard error of a two-level row is close to $1/\sqrt{d\,\pi(1-\pi)}$, where $\pi$ is
# the exposed share weighted by the hazard ratio; Table 1 has the shares. Each row then tells the number of
# events $d$ over all follow-up.

# %%
by_row = events_by_row()
glue("printed_events_low", f"{by_row['events_low'].min():.0f}", display=False)
glue("printed_events_high", f"{by_row['events_high'].max():.0f}", display=False)
shown = by_row[["row", "exposed", "reference"]].copy()
for name, decimals in (("se", 3), ("events", 1)):
    texts = [by_row[f"{name}_{end}"].map(f"{{:.{decimals}f}}".format) for end in ("low", "high")]
    shown[name] = texts[0] + " to " + texts[1]
caption = "Events in the training cohort that each univariable row of Table 2 implies."
chapter.table("events_by_row", shown, caption)

# %% [markdown]
# *How to read it.* Rows that know nothing of each other agree closely, which speaks for the table. (EBV DNA
# rests on the patients with a known value.) This is the number that the whole study stands on. The network,
# the filter over all radiomic features and the search for the best cut-off all feed on it, and no number of
# images makes it larger.
#
# ```{literalinclude} ../npcbook/reported.py
# :pyobject: events_from_hr
# ```
#
# **A bound for any two groups.** With a binary covariate the information is a sum over events of $p(1-p)$,
# and the $p$ add up to the events of the high group, so that
#
# $$SE^2 \ge \frac{1}{d_{high}} + \frac{1}{d_{low}} \ge \frac{4}{d_{high} + d_{low}} .$$

# %%
bounds = check_event_bounds()
for cohort in COHORTS:
    row = bounds[bounds["check"] == f"RC, high against low, DMFS, {cohort}"]
    glue(f"printed_rc_{cohort}", str(row["fewest events"].iloc[0]), display=False)
columns = ["check", "printed", "fewest events", "fewest in an arm", "most by 5 years", "verdict"]
chapter.table("event_bounds", bounds[columns], "Each high-against-low hazard ratio and the events it needs.")

# %% [markdown]
# *How to read it.* The interval of the RC model is far too narrow for two groups. One reading fits: it may
# be the hazard ratio **per unit of the RC score**. A Cox model's linear predictor, fitted again on its own
# cohort, has coefficient 1 and hazard ratio $e$; the training value is close to that, though not equal to
# it within rounding.

# %%
rows = []
for cohort in COHORTS:
    value = printed_interval(f"text.{cohort}.km_hr.rc")
    rows.append(
        (cohort, lookup(f"text.{cohort}.km_hr.rc")["printed"], f"{value.low:.3f} to {value.high:.3f}")
    )
per_unit = pd.DataFrame(rows, columns=["cohort", "printed", "before rounding"])
per_unit["HR per unit in the fitting cohort"] = ["2.718", "calibration slope decides"]
chapter.table("rc_per_unit", per_unit, "The RC model's hazard ratio, read as one per unit of its score.")

# %% [markdown]
# (printed-pairs)=
# ## Pairs of models
#
# For two estimates on the same patients $SE_\Delta^2 = SE_a^2 + SE_b^2 - 2\,r\,SE_a SE_b$. The intervals give
# $SE_a$ and $SE_b$, the p-value gives $SE_\Delta = |\Delta|/z$, and together they give the correlation $r$,
# which must lie between −1 and 1. A model and one that contains it should be correlated strongly and
# positively.

# %%
pairs = check_correlations()
unusual = pairs[pairs["verdict"] != "reproduces"]
chapter.write("tables/pairs_all", pairs)
glue("printed_pairs", str(len(pairs)), display=False)
glue("printed_impossible", str((pairs["verdict"] == "does not reproduce").sum()), display=False)
glue("printed_negative", str(pairs["verdict"].str.startswith("depends").sum()), display=False)
chapter.table(
    "pairs", unusual[COLUMNS[1:]], f"Pairwise p-values that need an odd correlation, of {len(pairs)}."
)

# %% [markdown]
# *How to read it.* All of them are {term}`C-indexes <C-index>` of the validation cohort; the
# {term}`AUCs <AUC>` of the same models give no such trouble. This assumes that interval and p-value rest on
# the same variance, as they do in R's `compareC` and `timeROC`; an interval from another program differs a
# little, never by the factor that is needed here.
#
# (printed-subcohort)=
# ## Which patients are the sub-cohort?
#
# Stage II is T1N1, T2N0 or T2N1, so Table 1's margins tell all three numbers, and with the chemotherapy rows
# who can be in the dose analysis.

# %%
subcohort = check_subcohort()
chapter.table("subcohort", subcohort.drop(columns="topic"), "The T1-2N1 sub-cohort against Table 1's counts.")

# %% [markdown]
# *How to read it.* The sub-cohort closes only if it holds patients with radiotherapy alone beside those with
# cisplatin or nedaplatin, that is if it leaves out other drugs. The sentence in print says otherwise; the
# comparison that follows it in the paper, in which radiotherapy alone is one of three groups, agrees with the
# counts.
#
# (printed-pooled)=
# ## Groups against the whole
#
# A pooled rate lies between the rates of its groups. (With unequal censoring a Kaplan–Meier curve of the pool
# may leave that range by a hair, not by a whole per cent.)

# %%
rates = pd.concat([check_pooled_rates(), check_rates()], ignore_index=True)
chapter.table("rates", rates.drop(columns="topic"), "Five-year rates of groups against those of the whole.")

# %% [markdown]
# *How to read it.* If {term}`DMFS` is above {term}`OS`, some who died had no event of DMFS: deaths without
# metastasis must be censored. This book uses that definition by default.
#
# (printed-dose)=
# ## What the dose groups could show
#
# The numbers of patients per dose group are in a picture only. From the printed rates one can say how many
# patients each of two groups would need for a difference to reach significance.

# %%
rows = []
for reference in ("radiotherapy", "up_to_160"):
    ids = [f"text.ccnd.high.dmfs_5y.{arm}" for arm in ("over_160", reference)]
    rates_printed = [lookup(published_id)["printed"] for published_id in ids]
    rows.append((reference.replace("_", " "), *rates_printed, round(benefit_arms("over_160", reference))))
share, patients = high_risk_share("dmfs"), lookup("text.ccnd.n")["value"]
glue("printed_high_low", f"{patients * share.low:.0f}", display=False)
glue("printed_high_high", f"{patients * share.high:.0f}", display=False)
columns = ["over 160 mg/m² against", "5-year DMFS, %", "of the other, %", "patients needed in each"]
chapter.table("dose_arms", pd.DataFrame(rows, columns=columns), "High risk: arms needed for p < 0.05.")

# %% [markdown]
# *How to read it.* All **three** groups together hold {glue:text}`printed_high_low` to
# {glue:text}`printed_high_high` high-risk patients, by the share that the pooled DMFS implies (above). The
# printed p is one test of three groups; it may rest on the group of 160 mg/m² or less, which did worse than
# radiotherapy alone.
#
# (printed-dl-clinical)=
# ## The deep-learning model against the clinical one
#
# The summary says that the model outperformed the clinical model; no p-value for that pair is printed. How
# strongly would the two have to be correlated for the printed difference to be significant?

# %%
rows = []
for cohort in COHORTS:
    for measure, name in (("c_index", "C-index"), ("auc", "5-year AUC")):
        stem = f"table4.{cohort}.{measure}."
        a, b = (printed_interval(stem + model) for model in ("dl_combined", "clinical"))
        ses = [wald_check(stem + model, ratio=False).se for model in ("dl_combined", "clinical")]
        gap, alpha = Interval(a.low - b.high, a.high - b.low), Interval(claimed_alpha, claimed_alpha)
        needed = implied_correlation(gap, *ses, alpha).value
        texts = [lookup(stem + model)["printed"] for model in ("dl_combined", "clinical")]
        thresholds = [format_number(r) for r in (max(-1, needed.low), min(1, needed.high))]
        rows.append((f"{name}, {cohort}", *texts, *thresholds))
columns = ["measure", "DL (combined)", "Clinical", "threshold, lowest", "threshold, highest"]
chapter.table("dl_against_clinical", pd.DataFrame(rows, columns=columns), "Correlation from which p < 0.05.")

# %% [markdown]
# *How to read it.* The two columns are the ends of what rounding leaves: with a correlation above the
# second the difference is significant, below the first it is not, and in between print cannot tell. Scores
# that share information, as images and stage do, are usually correlated; how strongly these were is not
# printed.
#
# (printed-repeats)=
# ## Numbers printed twice, and settings
#
# What is printed in two places should agree, and versions should agree with the links beside them.

# %%
repeats, slips = check_repeats(), check_slips()
glue("printed_repeats", f"{len(repeats)}", display=False)
differing = repeats[repeats["verdict"] != "reproduces"]
said = f"{len(differing)} differ and are listed, too" if len(differing) else "none differ"
chapter.table(
    "slips",
    pd.concat([slips, differing]).drop(columns="topic"),
    f"Settings against what stands beside them. Of {len(repeats)} numbers printed twice, {said}.",
)

# %% [markdown]
# (printed-claims)=
# ## Claims and the tests that bear on them
#
# A reading of the text, not a computation: each claim, the test that would support it, and what is printed. A
# claim without its test may still be true.

# %%
claims = read_claims()
printed_as = {row["id"]: row["p_printed"] or row["printed"] for _, row in published.iterrows()}
claims["printed p"] = [
    ", ".join(printed_as[i] for i in ids.split()) or "none" for ids in claims["printed_tests"]
]
shown = claims[["claim", "source", "needs", "printed p", "finding"]]
unsupported = ~claims["finding"].str.startswith("supported")
glue("printed_claims", f"{len(claims)}", display=False)
glue("printed_unsupported", f"{unsupported.sum()}", display=False)
chapter.table("claims", shown, "Claims of the paper, what each would need, and what is printed.")

# %% [markdown]
# ## Against the paper
#
# All checks together. First how many of each topic reproduce, then every one that does not, or that depends
# on something.

# %%
everything = [sums, tests, missing, intervals, firth, bounds, pairs, subcohort, rates, repeats, slips]
result = pd.concat([table[COLUMNS] for table in everything], ignore_index=True)
chapter.write("checks", result)
kind = result["verdict"].str.split(" on ").str[0]
glue("printed_checks", f"{len(result)}", display=False)
glue("printed_reproduce", f"{(kind == 'reproduces').sum()}", display=False)
totals = pd.crosstab(result["topic"], kind).rename_axis(columns=None).reset_index()
chapter.table("verdicts", totals, "Verdicts by topic.")

# %%
notable = result[result["verdict"] != "reproduces"].copy()
notable["check"] = notable.pop("topic") + ": " + notable["check"]
chapter.table("against_paper", notable, "Printed numbers that do not reproduce, or only under a condition.")

# %% [markdown]
# *What reproducing means.* That a number reproduces says that it belongs to the others beside it, never
# that it is right about patients: a perfectly computed analysis of an unlucky sample reproduces in every
# digit. That one does not says that something is missing between data and print. The findings that matter
# for what a reader may conclude are few: the number of metastases behind everything
# ([events](printed-events)), what the T2N0 subgroup rests on ([Firth](printed-firth)), the hazard ratios of
# the RC model, and the comparisons that a claim needs and print does not hold ([claims](printed-claims)).
#
# ```{admonition} Try this
# :class: tip
# Change one line of the parameters cell and run all cells; `make book` afterwards restores the run.
#
# - `largest_arm = 8`: more splits of T2N0 events are tried. Look whether any other than the one found gives
#   the printed limits and p.
# - `claimed_alpha = 0.01`: the correlation that DL and clinical scores would need for a difference at this
#   stricter level. The thresholds rise.
# ```
#
# ## Limits and deviations
#
# - Print was read from the text of the article. A dash lost in that text, as may have happened to a dose, is
#   not held against the paper.
# - Events from Table 2 assume that the exposed share of patients at risk stays as in Table 1. The bound for
#   two groups assumes nothing but a Cox model with one binary covariate.
# - The closed form for Firth's correction takes the shares at risk as constant; limits may move by about a
#   hundredth when they drift, p hardly at all. It agrees with the full fit where shares are constant
#   (tested).
# - A number that does not reproduce is a question to the authors, not an answer: the reason may be a table
#   updated after a test, a subset not named, or a slip of the pen.
# - Nothing here says whether the model works. It says which printed numbers carry weight.
#
# ## Hand-over
#
# `checks.csv` goes to the ledger. The number of training events that this page derives is what chapters 5 to
# 8 should be read with: a few dozen, whatever the number of patients, images or features.
