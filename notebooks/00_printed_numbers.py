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
# events. This chapter recomputes what the tables allow, as a careful reviewer would;
# [chapter 00b](00b_printed_sentences.ipynb) goes through the sentences, footnotes and methods.
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** `data/published/*.csv`, the paper's numbers as transcribed. **Writes** the tables below,
# `checks.csv` and `not_comparable.csv`, which the ledger reads, and `derived.csv` for chapter 00b. No cohort
# is used: every run has this same page.
#
# ## Setup

# %%
import math
from itertools import product

import pandas as pd
from scipy.stats import chi2_contingency, norm

from npcbook.book import open_chapter, show_source
from npcbook.paper import CHECK_COLUMNS, Interval, check, printed_interval, printed_wald, read_published
from npcbook.statistics import fisher_exact
from npcbook.words import COHORTS, MISSING, MODELS, format_ci

# %% tags=["parameters"]
run_folder = "data/runs/laptop-synthetic"  # where the tables go
largest_arm = 4  # 1 to 30; most events tried in each arm of the T2N0 subgroup (Fig. 4)

# %%
chapter = open_chapter("00_printed_numbers", run_folder=run_folder)

# %% [markdown]
# ## Data
#
# Every number of Tables 1–4, the summary, text, captions and methods has a row: as printed, with its limits
# and p, its place and the words around it. The forest plots, curves and supplement are pictures and are not
# transcribed.

# %% tags=["hide-output"]
published = read_published().set_index("id", drop=False)
number, as_printed, subject = (published[name] for name in ("value", "printed", "subject"))
places = published.groupby("source", sort=False).size().rename("numbers").reset_index()
chapter.table("sources", places, "Transcribed numbers by place in the paper.")

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

# %%
with_limits = as_printed + " (" + published["low_printed"] + "–" + published["high_printed"] + ")"

# %% [markdown]
# (printed-table-1)=
# ## Table 1: counts, percentages and p-values
#
# The levels of a characteristic must add up to the cohort, and percentages must follow from counts.

# %%
level = published["id"].str.extract(r"^table1\.training\.(\w+)\.n$")[0].dropna()
above = published["id"].str.extract(r"^table1\.p\.(\w+)$")[0].ffill()  # a p-value stands above its levels
LEVELS = level.groupby(above, sort=False).agg(list).to_dict()
ids = {cohort: [f"table1.{cohort}.{name}.n" for name in level] for cohort in COHORTS}
counts = pd.DataFrame({cohort: number[ids[cohort]].astype(int).to_numpy() for cohort in COHORTS}, index=level)
size = pd.Series({cohort: int(number[f"table1.{cohort}.n"]) for cohort in COHORTS})


# %%
rows = []


def check_total(what, total, parts, sign=" + ", combine=sum):
    """Check that numbers add up (or multiply) to a printed total."""
    values = [int(number[part]) for part in parts]
    text = f"{sign.join(map(str, values))} = {combine(values)}"
    rows.append(check("Counts", what, as_printed[total], text, combine(values) == number[total]))


for cohort, (name, levels) in product(COHORTS, LEVELS.items()):
    ids = [f"table1.{cohort}.{level}" for level in levels]
    what, percents = f"{subject[f'table1.p.{name}']}, {cohort}", [f"{i}.percent" for i in ids]
    check_total(what, f"table1.{cohort}.n", [f"{i}.n" for i in ids])
    shares = 100 * counts.loc[levels, cohort] / size[cohort]
    fits = [printed_interval(i).contains(share) for i, share in zip(percents, shares, strict=True)]
    adjusted = not all(fits) and abs(shares.round(1).sum() - 100) > 0.05
    verdict = "depends on adjusting them to a sum of 100" if adjusted else all(fits)
    texts = ", ".join(as_printed[percents]), ", ".join(f"{share:.1f}" for share in shares)
    rows.append(check("Percentages", what, *texts, verdict))

# %%
radiomics, methods, times = "text.radiomics.features", "text.methods.", (" × ", math.prod)
kinds = [f"text.radiomics.{kind}" for kind in ("first_order", "shape", "texture")]
images = [f"{methods}augmented.{part}" for part in ("patients", "slices", "versions")]
centers = [f"{methods}{center}.n" for center in ("center2", "center3")]
per_sequence = [f"{radiomics}_per_sequence", "text.discussion.sequences"]
check_total("Patients of both cohorts", "table1.total.n", [f"table1.{cohort}.n" for cohort in COHORTS])
check_total("Validation, centers 2 and 3", "table1.validation.n", centers)
check_total("Features per sequence", per_sequence[0], kinds)
check_total("Features, three sequences", radiomics, per_sequence, *times)
check_total("Images after augmentation", f"{methods}augmented.images", images, *times)
sums = pd.DataFrame(rows)
odd = sums[sums["verdict"] != "reproduces"].drop(columns="topic")
chapter.table("sums", odd, f"Sums and percentages that do not reproduce, of {len(sums)} checked.")

# %% [markdown]
# *How to read it.* Where the verdict speaks of adjusting, the percentages as rounded one by one would not
# add up to 100. Rounding percentages so that they do is common and harmless.
#
# The paper used "Pearson's chi-square or Fisher's exact tests"; both, and the chi-square with continuity
# correction (the default of R's `chisq.test` for two levels), are computed, with and without the *unknown*
# row. Of age print has medians and quartiles $q$ only; were age normal, the test of two means would be
#
# $$z = \frac{m_1 - m_2}{\sqrt{s_1^2/n_1 + s_2^2/n_2}}, \qquad s = \frac{q_3 - q_1}{2\,\Phi^{-1}(0.75)} .$$

# %%
i, age = "table1.p.age", published.loc[[f"table1.{cohort}.age" for cohort in COHORTS]]
spread = (age["high"] - age["low"]) / (2 * norm.ppf(0.75))
z = age["value"].diff().iloc[1] / math.sqrt((spread**2 / age["n"]).sum())
p_age = Interval(*[2 * norm.sf(abs(z))] * 2)
agrees = p_age.overlaps(printed_interval(i))
rows = [check("Table 1 p", subject[i], as_printed[i], f"were age normal: {p_age:p}", agrees, "moderate")]


def count_tests(levels):
    """Return the p-values of tests that the levels are as frequent in both cohorts."""
    tests = {"Pearson": chi2_contingency(counts.loc[levels], correction=False).pvalue}
    if len(levels) == 2:
        tests["Yates"] = chi2_contingency(counts.loc[levels], correction=True).pvalue
    return tests | {"Fisher": fisher_exact(counts.loc[levels]).p_value}


# %% tags=["hide-output"]
for name, levels in LEVELS.items():
    i, variants, texts, agree = f"table1.p.{name}", {"": levels}, [], []
    if levels[-1].endswith("unknown"):  # a complete-case analysis would leave them out
        variants = {"with unknown: ": levels, "known only: ": levels[:-1]}
    for variant, kept in variants.items():
        tests = count_tests(kept)
        agree.append(any(printed_interval(i).contains(p) for p in tests.values()))
        texts.append(variant + ", ".join(f"{test} {Interval(p, p):p}" for test, p in tests.items()))
    verdict = "depends on counting the unknown as a level" if any(agree) and not all(agree) else all(agree)
    rows.append(check("Table 1 p", subject[i], as_printed[i], "; ".join(texts), verdict))
tests = pd.DataFrame(rows)
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
rows = []
for name, level in (("LDH", "ldh_unknown"), ("EBV DNA", "ebv_unknown")):
    p_value = fisher_exact([counts.loc[level], size - counts.loc[level]]).p_value
    shares = " and ".join(f"{counts.at[level, cohort]} of {size[cohort]}" for cohort in COHORTS)
    text = f"{shares} missing, Fisher p {Interval(p_value, p_value):p}"
    what = f"{name} missing completely at random"
    rows.append(check("Missing values", what, "asserted", text, p_value > 0.05, "high"))
missing = pd.DataFrame(rows)
caption = "Missing values by cohort, against missing completely at random."
chapter.table("missing", missing.drop(columns="topic"), caption)

# %% [markdown]
# *How to read it.* Missing values depend on the centre, so they are not missing *completely* at random over
# the whole study. Within one centre they may be, and since models are fitted in one centre only, complete
# cases can still be right there. [Chapter 09](09_stress_tests.ipynb) imputes them and looks at what changes.
#
# (printed-intervals)=
# ## Estimates and their intervals
#
# If an interval is estimate ± 1.96 standard errors (on the log scale for a hazard ratio), then
#
# $$\widehat{HR} = \sqrt{HR_{low} HR_{high}}, \quad
# SE = \frac{\log HR_{high} - \log HR_{low}}{2 \times 1.96},$$
#
# $$p = 2\,\Phi\!\left(-\frac{|\log \widehat{HR}|}{SE}\right).$$

# %%
ratios = published["quantity"] == "hazard ratio"
scores = published["quantity"].isin(["C-index", "5-year AUC"]) & published["low"].notna()
rows, middle = [], "Estimate in the middle of its CI"
for i, row in published[ratios | (scores & (published["repeats"] == ""))].iterrows():
    what, implied = f"{row['subject']}, {row['quantity']}, {row['cohort']}", printed_wald(i)
    agrees = implied.midpoint.overlaps(printed_interval(i))
    rows.append(check(middle, what, row["printed"], f"{implied.midpoint:.4g}", agrees))
    if ratios[i] and ".subgroup_hr." not in i:  # Firth's p is not Wald's: the next section
        agrees = implied.p_value.overlaps(printed_interval(i, "p_value"))
        rows.append(check("Wald p", what, row["p_printed"], f"{implied.p_value:p}", agrees, "high"))
intervals = pd.DataFrame(rows)
chapter.write("tables/intervals_all", intervals)
summary = intervals.groupby(["topic", "verdict"], sort=False).size().rename("rows").reset_index()
chapter.table("intervals", summary, "Hazard ratios, C-indexes and AUCs against their intervals.")

# %% [markdown]
# *How to read it.* Tables 2 and 4 and the hazard ratios of Figure 3 are of one piece: estimate, interval
# and p belong together. What does not fit below is therefore more likely a question of *which* quantity was
# printed.
#
# (printed-firth)=
# ## Two hazard ratios whose p is not Wald's
#
# The T2N0 subgroup was analysed with {term}`Firth's penalty` ([Firth 1993](bibliography.md)). Let $d_1, d_0$
# be the events in the high- and low-risk arm and $x$ the log hazard ratio plus the log ratio of those at
# risk. With constant shares at risk the penalised log likelihood is $(d_1 + \tfrac12)\,x - (d_1 + d_0 +
# 1)\log(1 + e^x)$: limits and p follow from the hazard ratio and the **events alone**, so print tells the
# events. Beyond rounding, the limits get a hundredth of room, since real shares drift a little.

# %%
from npcbook.paper import firth_two_arm

T2N0 = {cohort: f"text.{cohort}.subgroup_hr.t2n0" for cohort in COHORTS}
arms_tried = [events for events in product(range(largest_arm + 1), repeat=2) if any(events)]
rows = []
for (cohort, i), (high, low) in product(T2N0.items(), arms_tried):
    hr, *limits, p_value = (printed_interval(i, field) for field in ("value", "low", "high", "p_value"))
    fits = [firth_two_arm(value, high, low) for value in (hr.low, hr.high)]
    found = {name: Interval(*sorted(getattr(fit, name) for fit in fits))
             for name in ("hr_low", "hr_high", "p_value", "wald_p_value")}  # fmt: skip
    ends = zip((found["hr_low"], found["hr_high"]), limits, strict=True)
    fit = all(end.widened(0.01).overlaps(limit) for end, limit in ends)
    row = {"events high": high, "events low": low} | {name: value.middle for name, value in found.items()}
    row["reproduces"] = fit and found["p_value"].overlaps(p_value)
    row["wald limits reproduce"] = printed_wald(i).se.widened(0.01).contains(fits[0].se)
    rows.append(row | {"cohort": cohort})
splits = pd.DataFrame(rows)
chapter.write("tables/firth_splits_all", splits)

# %%
found = splits[splits["reproduces"]]
ways = found["events high"].astype(str) + " + " + found["events low"].astype(str)
only = " or ".join(ways.unique())
rows = []
for cohort, i in T2N0.items():
    mine = ways[found["cohort"] == cohort]
    best = splits.loc[mine.index[0] if len(mine) else splits.index[splits["cohort"] == cohort][0]]
    text = (f"Wald p {printed_wald(i).p_value:p}; events high + low {' or '.join(mine) or MISSING}: "
            f"{best['hr_low']:.2f}–{best['hr_high']:.2f}, p {best['p_value']:.2f}")  # fmt: skip
    verdict = "depends on Firth's profile likelihood" if len(mine) else False
    printed = f"{with_limits[i]}, p {published.at[i, 'p_printed']}"
    rows.append(check("Firth", f"{subject[i]}, {cohort}", printed, text, verdict, "high"))
firth = pd.DataFrame(rows)
chapter.table("firth", firth.drop(columns="topic"), "The T2N0 hazard ratios against Firth's correction.")

# %% tags=["hide-output"]
limits = [format_ci(*pair) for pair in zip(found["hr_low"], found["hr_high"], strict=True)]
fitting = found[["cohort", "events high", "events low"]].assign(**{"limits of the HR": limits})
fitting["p"] = found["p_value"].map("{:.3f}".format)
caption = f"Of {len(arms_tried)} splits of events in each cohort, those that give the printed limits and p."
chapter.table("firth_splits", fitting, caption)
chapter.say(f"""*How to read it.* {splits["wald limits reproduce"].sum() or "No one"} of the splits would give
the printed limits as Wald limits instead. What else print tells of these events is [joined
below](#printed-t2n0). With equal events in both arms Firth's estimate is the ratio of the numbers at risk,
and the profile interval is symmetric on the log scale, which is why it passes for a Wald interval while its
p does not. The hazard ratio then only says how the model divides T2N0 patients, not how they fare.""")
fits = [firth_two_arm(number[i], 1, 1) for i in T2N0.values()]
one_each = pd.DataFrame({"cohort": COHORTS, "T2N0 patients": counts.loc["n0"].tolist()})
one_each["HR"] = as_printed[T2N0.values()].tolist()
one_each["high-risk share, %"] = [f"{100 / (1 + number[i]):.1f}" for i in T2N0.values()]
one_each["Firth p, 1 + 1"] = [f"{fit.p_value:.3f}" for fit in fits]
one_each["Wald p, 1 + 1"] = [f"{fit.wald_p_value:.3f}" for fit in fits]
chapter.table("firth_share", one_each, "What one event in each arm implies.")

# %% [markdown]
# (printed-events)=
# ## How many events?
#
# The paper prints no number of metastases. Three roads lead there.
#
# **From the survival rates.** A {term}`Kaplan–Meier curve` loses at least $1/n$ of its start at each event,
# and by Greenwood's formula few events cannot give a narrow interval. With $d$ events by the time of the rate
# $S$, whatever the censoring,
#
# $$d \le n\,(1 - S), \qquad \frac{SE^2}{S^2} \ge 2d\left(\cosh\frac{-\log S}{d} - 1\right) .$$

# %%
from npcbook.paper import events_from_hr, events_from_rate, fewest_events, rate_interval_kinds

rows, most = [], {}
for cohort, endpoint in product(COHORTS, ("dmfs_5y", "os_5y")):
    i = f"table1.{cohort}.{endpoint}"
    fractions = [printed_interval(i, field) * 0.01 for field in ("value", "low", "high")]
    events = events_from_rate(*fractions, size[cohort])
    most[cohort, endpoint] = events.most
    rows.append({
        "cohort": cohort, "endpoint": subject[i], "printed": with_limits[i],
        "fewest": events.fewest, "most": events.most, "effective size": f"{events.effective_n:.0f}",
        "kind of interval": " or ".join(rate_interval_kinds(*fractions)) or MISSING,
    })  # fmt: skip
caption = "Events by five years that the printed rates and intervals allow."
chapter.table("events_by_rate", pd.DataFrame(rows), caption)

# %% [markdown]
# *How to read it.* The effective size is that of a cohort without {term}`censoring` with the same standard
# error; near the full number of patients it says that few were lost before five years. Metastases after five
# years are not in this table: the curve is read at five years.
#
# **From Table 2.** The standard error of a two-level row is close to $1/\sqrt{d\,\pi(1-\pi)}$, where $\pi$ is
# the exposed share weighted by the hazard ratio; Table 1 has the shares. Each row then tells the number of
# events $d$ over all follow-up.

# %%
ROWS = {"female": "sex", "t2": "t", "n1": "n", "ldh_abnormal": "ldh", "ebv_detectable": "ebv",
        "chemotherapy": "chemotherapy"}  # fmt: skip
rows, implied = [], []
for name, characteristic in ROWS.items():
    i, known = f"table2.univariable.{name}", [v for v in LEVELS[characteristic] if not v.endswith("unknown")]
    sizes = counts.loc[known[1:], "training"].sum(), counts.at[known[0], "training"]
    se = printed_wald(i).se
    implied.append(events_from_hr(printed_interval(i), se, *sizes))
    rows.append([subject[i].removesuffix(", univariable"), *sizes, f"{se:.3f}", f"{implied[-1]:.1f}"])
by_row = pd.DataFrame(rows, columns=["row", "exposed", "reference", "se", "events"])
caption = "Events in the training cohort that each univariable row of Table 2 implies."
chapter.table("events_by_row", by_row, caption)
chapter.takeaway(3, f"""{len(by_row)} rows of Table 2 imply {Interval.around(*implied):.0f} metastases in the
training cohort over all follow-up ([events](#printed-events)).""")  # fmt: skip

# %% [markdown]
# *How to read it.* Rows that know nothing of each other agree closely, which speaks for the table. (EBV DNA
# rests on the patients with a known value.) This is the number that the whole study stands on. The network,
# the filter over all radiomic features and the search for the best cut-off all feed on it, and no number of
# images makes it larger. The estimate, from the library:

# %%
show_source(events_from_hr)

# %% [markdown]
# **A bound for any two groups.** With a binary covariate the information is a sum over events of $p(1-p)$,
# and the $p$ add up to the events of the high group, so that
#
# $$SE^2 \ge \frac{1}{d_{high}} + \frac{1}{d_{low}} \ge \frac{4}{d_{high} + d_{low}} .$$
#
# A hazard ratio does not reproduce as one of two groups if it needs more events after year five than there
# can be before.

# %% tags=["hide-output"]
SIMPLEST_FIRST = [*MODELS[2::-1], *MODELS[3:]]
rows = []
for cohort, model in product(COHORTS, SIMPLEST_FIRST):
    i, by_then = f"text.{cohort}.km_hr.{model}", most[cohort, "dmfs_5y"]
    fewest, in_an_arm = fewest_events(printed_wald(i).se)
    text = f"at least {fewest} events, {max(0, fewest - by_then)} of them after 5 years"
    agrees = fewest - by_then <= by_then
    row = check("Events behind a HR", f"{subject[i]}, {cohort}", with_limits[i], text, agrees, "high", id=i)
    rows.append(row | {"fewest events": fewest, "fewest in an arm": in_an_arm, "most by 5 years": by_then})
bounds = pd.DataFrame(rows)
shown = bounds[["check", "printed", "fewest events", "fewest in an arm", "most by 5 years", "verdict"]]
chapter.table("event_bounds", shown, "Each high-against-low hazard ratio and the events it needs.")
beyond = bounds.loc[bounds["verdict"] != "reproduces", ["id"]]
chapter.write("not_comparable", beyond.assign(why="no ratio of two groups"))
rc = bounds[bounds["check"].str.startswith("RC")]
least, by_five = rc[["fewest events", "most by 5 years"]].iloc[0]
chapter.takeaway(2, f"""The two hazard ratios of the RC model cannot compare two groups of patients: that
would need at least {least} metastases in training, where the printed survival leaves at most {by_five} within
five years ([events](#printed-events)).""")  # fmt: skip

# %% [markdown]
# *How to read it.* The interval of the RC model is far too narrow for two groups. One reading fits: it may
# be the hazard ratio **per unit of the RC score**. A Cox model's linear predictor, fitted again on its own
# cohort, has coefficient 1 and hazard ratio $e$; the training value is close to that, not equal by rounding.

# %%
ids = [f"text.{cohort}.km_hr.rc" for cohort in COHORTS]
per_unit = pd.DataFrame({"cohort": COHORTS, "printed": as_printed[ids].tolist()})
per_unit["before rounding"] = [f"{printed_interval(i):.3f}" for i in ids]
per_unit["HR per unit in the fitting cohort"] = [f"{math.e:.3f}", "calibration slope decides"]
chapter.table("rc_per_unit", per_unit, "The RC model's hazard ratio, read as one per unit of its score.")

# %% [markdown]
# (printed-pairs)=
# ## Pairs of models
#
# For two estimates on the same patients $SE_\Delta^2 = SE_a^2 + SE_b^2 - 2\,r\,SE_a SE_b$. The intervals give
# $SE_a$ and $SE_b$, the p-value gives $SE_\Delta = |\Delta|/z$, and together they give the correlation $r$,
# which must lie between −1 and 1. Since estimates lie in the middle of their intervals, as the
# [section above](#printed-intervals) found, only sets of estimate and limits with that property are used. A
# model and one that contains it share what they know: they cannot plausibly be correlated below zero.

# %%
from npcbook.paper import pair_correlation

NESTED = {("dc", "dl_combined"), ("rc", "clinical"), ("rc", "radiomics_combined")}


def check_pair(stem, first, second, p_id, where):
    """Check the p-value of a pair of models against the intervals of the two."""
    field, text = ("p_value", "p_printed") if published.at[p_id, "p_printed"] else ("value", "printed")
    ids = [stem + first, stem + second]
    implied = pair_correlation(*ids, printed_interval(p_id, field))
    r, what = implied.within, f"{' against '.join(subject[ids])}, {where}"
    row = "p of a pair", what, published.at[p_id, text]
    if not implied.is_possible:
        impossible = f"no correlation does: it would have to be {implied.value:.3g}"
        return check(*row, impossible, False, "high", r_low=math.nan, r_high=math.nan)
    implausible = r.high < 0 and (first, second) in NESTED
    text = f"only at a correlation of −{-r.high:.2f} or less" if implausible else f"correlation {r:.2g}"
    return check(*row, text, not implausible, "high", r_low=r.low, r_high=r.high)


# %%
MEASURES = {"c_index": "C-index", "auc": "5-year AUC"}
rows = []
for cohort, (measure, name) in product(COHORTS, MEASURES.items()):
    stem, reference = f"table4.{cohort}.{measure}.", "radiomics_combined"
    tried = [(m, reference, stem + m) for m in SIMPLEST_FIRST if m != reference]
    tried += [(m, part, f"{stem}{m}_vs_{part}") for m, part in (("dc", "dl_combined"), ("rc", "clinical"))]
    rows += [check_pair(stem, *pair, f"{name}, {cohort}") for pair in tried]
pairs = pd.DataFrame(rows)
chapter.write("tables/pairs_all", pairs)
unusual = pairs.loc[pairs["verdict"] != "reproduces", CHECK_COLUMNS[1:]]
chapter.table("pairs", unusual, f"Pairwise p-values without a plausible correlation, of {len(pairs)}.")
chapter.takeaway(5, f"""{len(unusual)} of {len(pairs)} pairwise p-values do not reproduce at any plausible
correlation of the two models ([pairs](#printed-pairs)).""")  # fmt: skip

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
both = counts.sum(axis=1)
none, platinum, other = (both[level] for level in LEVELS["chemotherapy"])
n, n0, n1, total = int(number["text.ccnd.n"]), both["n0"], both["n1"], int(number["table1.total.n"])
excluded = n1 - n
rows = [
    ("As printed: T1-2N1 patients who received cisplatin/nedaplatin", n,
     f"at most {min(platinum, n1)} of all {total} received it", n <= min(platinum, n1), "certain"),
    ("Read as: T1-2N1, cisplatin/nedaplatin or radiotherapy alone", n,
     f"{n1} N1 less {excluded} with other drugs, of {other} in all", 0 <= excluded <= other, "high"),
    ("The same, counted from the T2N0 side", n0,
     f"{platinum + none - n} with cisplatin/nedaplatin or none, {other - excluded} with other drugs",
     platinum + none - n + other - excluded == n0, "high"),
]  # fmt: skip
for cohort in COHORTS:
    t1, t2, cohort_n0 = (counts.at[level, cohort] for level in ("t1", "t2", "n0"))
    text = f"T1N1 {t1}, T2N0 {cohort_n0}, T2N1 {t2 - cohort_n0}"
    what = f"Stage II has no T1N0: T2 must hold all N0, {cohort}"
    rows.append((what, f"{t2} and {cohort_n0}", text, cohort_n0 <= t2, "certain"))

# %%
subcohort = pd.DataFrame([check("Sub-cohort", what, str(printed), *rest) for what, printed, *rest in rows])
chapter.table("subcohort", subcohort.drop(columns="topic"), "The T1-2N1 sub-cohort against Table 1's counts.")

# %% [markdown]
# *How to read it.* The sub-cohort closes only if it holds patients with radiotherapy alone beside those with
# cisplatin or nedaplatin, that is if it leaves out other drugs. The sentence in print says otherwise; the
# comparison that follows it, in which radiotherapy alone is one of three groups, agrees with the counts.
#
# (printed-pooled)=
# ## Groups against the whole
#
# T2N0 patients had chemoradiotherapy or radiotherapy. A pooled {term}`Kaplan–Meier curve` need not lie
# between those of its arms, since one arm may be lost to follow-up sooner, but how far it can leave them has
# an exact limit. An arm of $n$ patients with $d$ events has $S \le 1 - d/n$, and so needs $n \ge d/(1-S)$
# patients; both together have Table 1's N0 patients. Where that leaves one event an arm, $S = 1 - 1/r$ tells
# the number $r$ at risk; at the earlier of the two events all $r$ of the other arm are still in the pool,
# hence
#
# $$S_{pool} \ge \left(1 - \frac{1}{r_a + r_b}\right)\left(1 - \frac{1}{\min(r_a, r_b)}\right);
# \qquad\text{in general}\quad S_{pool} \ge S_a\,S_b .$$

# %%
from npcbook.paper import mixing_share, pool_two_arms, two_rate_p

rows, t2n0, arms_of = [], {}, {}
for endpoint in ("dmfs", "os"):
    pool, *ids = (f"text.t2n0.{endpoint}_5y.{k}" for k in ("all", "chemoradiotherapy", "radiotherapy"))
    t2n0[endpoint], *arms = (printed_interval(i) * 0.01 for i in (pool, *ids))
    arms_of[endpoint] = bound = pool_two_arms(*arms, int(n0))
    text = f"arms {' and '.join(as_printed[ids])}, with at most {max(map(sum, bound.events))} events "
    text += f"together, leave the pool no less than {100 * bound.lowest:.1f}"
    possible = t2n0[endpoint].high >= bound.lowest
    verdict = possible or "depends on the pool not being these two arms at five years"
    what = f"T2N0, 5-year {endpoint.upper()}: pool of the two arms"
    rows.append(check("Pooled rates", what, as_printed[pool], text, verdict))
    t2n0[endpoint] = Interval.around(t2n0[endpoint], *arms)

# %% [markdown]
# The rate of all T1-2N1 patients is Table 1's less the T2N0 patients' (here anything from the arms to the
# pool), and it mixes those of the two risk groups, each as wide as its dose groups:
# $S = w\,S_{high} + (1 - w)\,S_{low}$. The high-risk share $w$ that DMFS implies and the one that OS implies
# must have a value in common. And the cumulative hazards $-\log S$ of the groups must allow the hazard ratio
# of Figure 3.

# %%
share, n0_share, doses = {}, n0 / total, ("radiotherapy", "up_to_160", "over_160")
for endpoint in ("os", "dmfs"):
    in_cohorts = [printed_interval(f"table1.{cohort}.{endpoint}_5y") * 0.01 for cohort in COHORTS]
    whole = (Interval.around(*in_cohorts) - t2n0[endpoint] * n0_share) * (1 / (1 - n0_share))
    ids = {risk: [f"text.ccnd.{risk}.{endpoint}_5y.{dose}" for dose in doses] for risk in ("high", "low")}
    high, low = (Interval.around(*(printed_interval(i) * 0.01 for i in group)) for group in ids.values())
    share[endpoint] = mixing_share(whole, high, low)
text = "; ".join(f"from {endpoint.upper()} {w * 100:.2g} %" for endpoint, w in share.items())
what = "T1-2N1: high-risk share that mixes the groups to the whole"
rows.append(check("Pooled rates", what, "–", text, share["dmfs"].overlaps(share["os"]), "moderate"))
logs = [[math.log(group.low), math.log(group.high)] for group in (high, low)]  # of DMFS, the last endpoint
hazard_ratio = Interval(logs[0][1] / logs[1][0], logs[0][0] / logs[1][1])
for cohort in COHORTS:
    i = f"text.{cohort}.km_hr.dl_combined"
    agrees, text = hazard_ratio.overlaps(printed_interval(i)), f"dose groups' rates: {hazard_ratio:.3g}"
    rows.append(check("Pooled rates", f"{subject[i]}, {cohort}", as_printed[i], text, agrees, "moderate"))

# %% [markdown]
# Table 1 gives a p-value for the 5-year rates of the two cohorts. Two rates differ by a z-test of
# $z = (S_1 - S_2) / \sqrt{SE_1^2 + SE_2^2}$; the {term}`log-rank test`, of whole curves, may disagree.

# %% tags=["hide-output"]
for endpoint in ("dmfs_5y", "os_5y"):
    ids, p_id = [f"table1.{cohort}.{endpoint}" for cohort in COHORTS], f"table1.p.{endpoint}"
    p_value = two_rate_p(*(part for i in ids for part in (printed_interval(i), printed_wald(i).se)))
    verdict = p_value.overlaps(printed_interval(p_id)) or "depends on the curves beyond the 5-year rate"
    what, text = f"{subject[p_id]}, p", f"z-test of the two rates: {p_value:p}"
    rows.append(check("5-year rates", what, as_printed[p_id], text, verdict, "moderate"))
for cohort in COHORTS:
    ids = [f"table1.{cohort}.{endpoint}" for endpoint in ("dmfs_5y", "os_5y")]
    above = printed_interval(ids[0]).low > printed_interval(ids[1]).high
    text = "DMFS above OS" if above else "DMFS not above OS: deaths may or may not be events"
    verdict = "depends on DMFS not counting deaths as events" if above else True
    rows.append(check("5-year rates", f"DMFS and OS, {cohort}", " and ".join(as_printed[ids]), text, verdict))
rates = pd.DataFrame(rows)
chapter.table("rates", rates.drop(columns="topic"), "Five-year rates of groups against those of the whole.")

# %% [markdown]
# *How to read it.* If {term}`DMFS` is above {term}`OS`, some who died had no event of DMFS: deaths without
# metastasis must be censored. This book uses that definition by default.
#
# (printed-t2n0)=
# ## What print says about T2N0, taken together
#
# Four places tell how many T2N0 patients had a metastasis: the arms and the pool by five years, Firth's
# limits and Table 2's N row (all N0 patients of stage II are T2N0) over all follow-up. For the reference arm
# of a hazard ratio $1/SE^2 = d_0\,\pi$, with $\pi$ the exposed share as above.

# %%
i, n_exposed, n_reference = "table2.univariable.n1", *counts.loc[["n1", "n0"], "training"]
hr, se = printed_interval(i), printed_wald(i).se
exposed = [n_exposed * value / (n_exposed * value + n_reference) for value in (hr.low, hr.high)]
in_n0 = Interval(1 / (se.high**2 * exposed[1]), 1 / (se.low**2 * exposed[0]))
by_firth = found.set_index("cohort")[["events high", "events low"]].sum(axis=1).groupby(level=0).max()
in_all, in_arms = by_firth.sum(), max(map(sum, arms_of["dmfs"].events))
text = f"{in_n0:.2g} in N0; Firth {by_firth['training']}"
agrees = in_n0.widened(0.05).contains(by_firth["training"])
what = "Metastases over all follow-up, training: Table 2's N row and Firth"
rows = [check("T2N0 together", what, with_limits[i], text, agrees, "high")]
text = f"arms {in_arms} by 5 years, Firth {in_all} over all follow-up"
rows.append(check("T2N0 together", "Metastases: arms and Firth", "–", text, in_arms <= in_all, "high"))

# %%
pools = [f"text.t2n0.{endpoint}_5y.all" for endpoint in ("dmfs", "os")]
rates_of_pools = [printed_interval(i) for i in pools]
fits = {}
for patients in range(arms_of["dmfs"].fewest_patients, int(n0) + 1):
    events = [
        [d for d in range(patients) if rate.contains(100 - 100 * d / patients)] for rate in rates_of_pools
    ]
    if all(events):
        fits[patients] = [events_of_one[0] for events_of_one in events]
kept = platinum + none - n  # T2N0 patients that the sub-cohort leaves, other drugs aside
text = "; ".join(f"{dm} metastases and {dead} deaths in {patients}" for patients, (dm, dead) in fits.items())
verdict = "depends on being plain shares, of fewer patients than all N0" if kept in fits else False
what = "Both pooled rates as shares of one number of patients"
rows.append(check("T2N0 together", what, " and ".join(as_printed[pools]), text, verdict, "moderate"))
together = pd.DataFrame(rows)
caption = f"T2N0, {n0} patients: what four places of the paper say of their metastases."
chapter.table("t2n0", together.drop(columns="topic"), caption)

# %%
left, (dm, dead) = int(n0) - arms_of["dmfs"].fewest_patients, fits[kept]
chapter.say(f"""*How to read it.* By five years the two arms had **{in_arms}** metastases; over all follow-up
Firth's limits tell of **{in_all}** ({only} in each cohort), and Table 2 of as many in training. The pooled
DMFS, as a 5-year rate of these two arms, does not go with either. Two readings would join everything. The
pooled rates may be plain shares: {dm} of {kept} with a metastasis and {dead} of {kept} dead give
what is printed, and {kept} is the number of T2N0 patients that the [sub-cohort](#printed-subcohort) leaves
once other drugs are set aside. Or the missing metastases fell among the at most {left} patients in neither
arm. Print does not say which. Either way every T2N0 comparison, of risk groups and of treatments, rests on
{in_all} metastases or fewer.""")
chapter.takeaway(4, f"""Print taken together tells of {in_all} metastases in {n0} T2N0 patients
([Firth](#printed-firth)); their two treatment arms cannot have the pooled DMFS of {as_printed[pools[0]]} %
([joined](#printed-t2n0)).""")  # fmt: skip

# %% [markdown]
# ## Against the paper
#
# All checks together. First how many of each topic reproduce, then every one that does not, or that depends
# on something.

# %%
everything = [sums, tests, missing, intervals, firth, bounds, pairs, subcohort, rates, together]
result = pd.concat([table[CHECK_COLUMNS] for table in everything], ignore_index=True)
chapter.write("checks", result)
derived = {"training events": Interval.around(*implied), "high-risk share": share["dmfs"]}
chapter.write("derived", pd.DataFrame([(name, i.low, i.high) for name, i in derived.items()],
                                      columns=["name", "low", "high"]))  # fmt: skip
kind = result["verdict"].str.split(" on ").str[0]
totals = pd.crosstab(result["topic"], kind).rename_axis(columns=None).reset_index()
chapter.table("verdicts", totals, "Verdicts by topic.")

# %% tags=["hide-output"]
notable = result[result["verdict"] != "reproduces"].copy()
notable["check"] = notable.pop("topic") + ": " + notable["check"]
chapter.table("against_paper", notable, "Printed numbers that do not reproduce, or only under a condition.")
chapter.takeaway(1, f"""**Without a patient {len(result)} checks of print against print can be made, of which
{(kind == "reproduces").sum()} reproduce.** Every hazard ratio, C-index and AUC lies in the middle of its
interval ([intervals](#printed-intervals)).""")  # fmt: skip

# %% [markdown]
# *What reproducing means.* That a number reproduces says that it belongs to the others beside it, never
# that it is right about patients: a perfectly computed analysis of an unlucky sample reproduces in every
# digit. That one does not says that something is missing between data and print. The findings that matter
# for what a reader may conclude are few: the number of metastases behind everything
# ([events](#printed-events)), what the T2N0 subgroup rests on ([joined](#printed-t2n0)), and the hazard
# ratios of the RC model. Claims that lack their test are in [chapter 00b](#printed-claims).

# %%
sentence = f"""The study rests on {derived["training events"]:.0f} metastases among {size["training"]}
training patients ([Table 2](#printed-events)), its T2N0 comparisons on {in_all} among {n0}
([T2N0](#printed-t2n0)); its dose analysis is of {int(number["text.ccnd.n"])} said to have received
cisplatin or nedaplatin, as at most {min(platinum, n1)} did ([sub-cohort](#printed-subcohort)); the RC model's
hazard ratio in training would need {least} metastases."""
chapter.front_page(sentence, position=2)
chapter.say(f"In one sentence: {sentence}")

# %% [markdown]
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `largest_arm = 8`: more splits of T2N0 events are tried. Look whether any other than the one found gives
#   the printed limits and p.
# ```
#
# ## Limits and deviations
#
# - Print was read from the text of the article. A dash lost in that text, as may have happened to a dose, is
#   not held against the paper.
# - Events from Table 2 assume that the exposed share of patients at risk stays as in Table 1. The bound for
#   two groups assumes nothing but a Cox model with one binary covariate.
# - The closed form for Firth's correction takes the shares at risk as constant; limits may move by about a
#   hundredth when they drift, p hardly at all. It equals the full fit where shares are constant (tested).
# - A number that does not reproduce is a question to the authors, not an answer: the reason may be a table
#   updated after a test, a subset not named, or a slip of the pen.
# - Nothing here says whether the model works. It says which printed numbers carry weight.
#
# ## Hand-over
#
# `checks.csv` goes to the ledger, and with it the two hazard ratios that no comparison should use. The number
# of training events that this page derives is what chapters 5 to 8 should be read with: a few dozen, whatever
# the number of patients, images or features.
