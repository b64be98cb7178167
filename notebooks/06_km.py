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
# # Risk groups and Kaplan–Meier curves
#
# **How far apart are patients whom a model calls high risk and low risk, once the search for the
# {term}`cut-off` is accounted for?**
#
# ## In short
#
# - By the DL score, high-risk patients have a hazard of distant metastasis {glue:text}`km_hr_validation`
#   times that of low-risk patients in the validation cohort. In training it is {glue:text}`km_hr_training`,
#   a number without meaning for new patients, since score and cut-off were fitted to these outcomes († marks
#   a group without events; [hazard ratios](km-hazard-ratios)).
# - In validation {glue:text}`km_rate_low` of low-risk and {glue:text}`km_rate_high` of high-risk patients
#   are free of metastasis at {glue:text}`km_horizon` months ([Fig. 3](km-figure-3)).
# - The DL score's cut-off is the best of {glue:text}`km_candidates` that were tried; the p-value is
#   {glue:text}`km_p_naive` as if the cut had been given, {glue:text}`km_p_corrected` when corrected for
#   the search; neither allows for the score having been fitted to the same outcomes
#   ([cut-offs](km-cutoffs)).
# - The smallest number of metastases in any risk group of Fig. 3 is {glue:text}`km_fewest_events`: a
#   ratio cannot be firmer than its events ([hazard ratios](km-hazard-ratios)).
# - Split at the training median instead, with scores from models that have not seen the patient, the DL
#   hazard ratio is {glue:text}`km_median_training` in training and {glue:text}`km_median_validation` in
#   validation ([recommended](km-recommended)).
#
# **Reads** the cohort table (chapter 01) and the scores of chapter 05. **Writes** `cutoffs.csv`,
# `groups.csv` (high or low risk by each model) and `groups_recommended.csv`, for chapters 07 to 10.

# %% [markdown]
# ## Setup

# %%
import numpy as np
import pandas as pd
from myst_nb import glue
from scipy.stats import norm

from npcbook.book.chapter import open_chapter
from npcbook.book.figures import axis_start, plot_curves, plot_cutpoint, plot_kaplan_meier, small_multiples
from npcbook.book.tables import attempt, list_reasons
from npcbook.paper.printed import lookup
from npcbook.statistics.cutpoint import optimal_cutpoint
from npcbook.statistics.firth import fit_cox_or_firth
from npcbook.statistics.resampling import stratified_folds
from npcbook.statistics.survival import kaplan_meier, logrank, rmst
from npcbook.words import LABELS, MISSING, format_estimate, format_hr, format_number, format_p, style_of

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
horizon_months = 60  # where survival is read off the curves, as in the paper
min_fraction = 0.1  # least share of patients on either side of a cut-off, as in survminer
permutations = 2000  # for the corrected p-value of the search
resamples = 200  # recommended track only: bootstrap samples in which the cut-offs are searched again
n_folds = 5  # recommended track only: folds of the cross-validated cut-off
seed = 2023  # of the permutations and the folds

# %% [markdown]
# ## Data
#
# Two outcomes: time to distant metastasis ({term}`DMFS`, deaths {term}`censored <censoring>`) and to death
# from any cause ({term}`OS`), in months. `not_estimable` collects what the data cannot give, with the reason.

# %%
chapter = open_chapter("06_km", run_folder=run_folder, cohort_folder=cohort_folder)
COHORTS = ["training", "validation"]
MODELS = ["dl_combined", "radiomics_combined", "clinical", "rc", "dc"]
OUTCOMES = {"DMFS": ("dmfs_months", "dm_event"), "OS": ("os_months", "os_event")}
not_estimable = {}
patients = chapter.read("01_cohorts/cohort").set_index("patient_id")
scores = chapter.read("05_cox_models/scores").set_index("patient_id").loc[patients.index]
scores_recommended = (
    chapter.read("05_cox_models/scores_recommended").set_index("patient_id").loc[patients.index]
)
training = patients[patients["cohort"] == "training"]
events = patients.groupby("cohort")[["dm_event", "os_event"]].sum().reset_index()
events.columns = ["cohort", "distant metastases", "deaths"]
chapter.table("events", events, "Events in each cohort.")

# %% [markdown]
# ## Method
#
# **The cut-off.** The paper takes, for each model, the cut-off that separates DMFS best in the training
# cohort (`surv_cutpoint`), and carries it to the validation cohort. At a cut $c$ the
# {term}`log-rank <log-rank test>` scores $a_i$ of the patients at or below it are summed and standardised,
#
# $$M = \max_c \frac{\left|\sum_{i:\,x_i \le c} a_i - \mathrm{E}\right|}{\sqrt{\mathrm{Var}}},$$
#
# over all cuts that leave at least a share `min_fraction` of the patients on either side. (The paper says
# that the cut gives the lowest statistic; the program it names takes the highest, as here.) The largest
# of many statistics is large by chance alone, as the best of many throws of a die is a six. The *naive*
# p-value ignores that; the *corrected* one permutes the outcomes and repeats the whole search each time: it
# is the share of permutations whose best cut is at least as good. In the validation cohort the cut is fixed
# beforehand, and the log-rank p-value needs no correction.
#
# **The comparison.** {term}`Hazard ratios <hazard ratio>` of high against low risk are from a
# {term}`Cox model` with {term}`Efron`'s ties; where a risk group has no events, from
# {term}`Firth's penalty`, marked † ([chapter 05](05_cox_models) shows the function). Curves are
# {term}`Kaplan–Meier <Kaplan–Meier curve>` estimates with log–log limits. All of this assumes that censoring
# tells nothing about the risk of metastasis, and one hazard ratio assumes
# {term}`proportional hazards`, tested in the table below.
#
# The statistic at every cut, from the library's own source:
#
# ```{literalinclude} ../npcbook/cutpoint.py
# :pyobject: _statistics
# ```
#
# ## Result
#
# (km-cutoffs)=
# ### Cut-offs
#
# The search, model by model: each dot is one cut-off that was tried, the ring is the one taken.


# %%
def search(risk, note, **options):
    """Return the best cut-off of the scores of some patients (those who have one), None if there is none."""
    risk = risk.dropna()
    rows = patients.loc[risk.index]
    data = (rows["dmfs_months"], rows["dm_event"], risk, min_fraction)
    return attempt(not_estimable, note, optimal_cutpoint, *data, **options)


cuts = {}
for model in MODELS:
    options = {"permutations": permutations, "rng": np.random.default_rng(seed)}
    cut = search(scores.loc[training.index, model], f"Cut-off: {LABELS[model]}", **options)
    if cut is not None:
        cuts[model] = cut
fig, axes = small_multiples(max(len(cuts), 1), panel_height=2.3)
for ax, (model, cut) in zip(axes, cuts.items(), strict=False):
    plot_cutpoint(cut, ax=ax)
    ax.set_title(LABELS[model], loc="left", fontsize=10)
alt = "Standardised log-rank statistic of every cut-off tried, one panel a model; the largest is ringed."
chapter.figure("cutoffs", fig, alt)

# %% [markdown]
# *How to read it.* From left to right fewer patients are called high risk; the height is how well the two
# groups part. The broken line is where a cut fixed beforehand would be significant at 5 %. A flat top means
# that many cut-offs do almost equally well; which of them wins is then chance. A maximum at the very edge
# says that the best division may lie beyond what `min_fraction` allows. Scores of few distinct values, like
# the clinical one, offer few cuts.

# %%
rows = []
for model in MODELS:
    row = {"model": LABELS[model]}
    if model in cuts:
        cut = cuts[model]
        row |= {"cut-off": format_number(cut.value, 3), "cut-offs tried": len(cut.candidates)}
        row |= {"high risk: events / patients": f"{cut.events_high} / {cut.n_high}"}
        row |= {"low risk: events / patients": f"{cut.events_low} / {cut.n_low}"}
        row |= {"naive p": format_p(cut.p_naive), "corrected p": format_p(cut.p_corrected, cut.p_floor)}
        chapter.record(f"text.cutoff.{model}", cut.value)
    rows.append(row)
cutoffs = pd.DataFrame([{"model": model, "cutoff": cut.value} for model, cut in cuts.items()])
chapter.write("cutoffs", cutoffs.reindex(columns=["model", "cutoff"]))
chapter.table("cutoffs_shown", pd.DataFrame(rows).fillna(MISSING), "Cut-offs found in the training cohort.")


# %%
def risk_groups(table, thresholds):
    """Return high or low for every patient and model (high: above the cut-off), nothing without a score."""
    high = {model: np.where(table[model] > cut, "high", "low") for model, cut in thresholds.items()}
    high = pd.DataFrame(high, index=table.index).where(table[list(high)].notna())
    return high.reindex(columns=MODELS)


groups = risk_groups(scores, {model: cut.value for model, cut in cuts.items()})
chapter.write("groups", groups.reset_index())
dl_cut = cuts.get("dl_combined")
glue("km_p_naive", format_p(dl_cut and dl_cut.p_naive), display=False)
p_corrected = format_p(dl_cut.p_corrected, dl_cut.p_floor) if dl_cut else MISSING
glue("km_p_corrected", p_corrected, display=False)
glue("km_candidates", len(dl_cut.candidates) if dl_cut else MISSING, display=False)

# %% [markdown]
# *How to read it.* The naive p-value of the DL score is {glue:text}`km_p_naive`, the corrected one
# {glue:text}`km_p_corrected`. It can be no smaller than one over the number of permutations plus one; a value
# at that floor is a bound and marked ≤. A score that truly separates survives it, and one that separates only
# by the search usually fails. It does not undo that the score itself was fitted to these patients' outcomes:
# a network that has learnt its training patients by heart passes this test with ease.
#
# (km-spread)=
# ### Where the cut would fall in other patients
#
# The search is repeated in bootstrap samples of the training patients. Printed cut-offs have no interval. The
# middle 95 % of these cuts gives an idea of one (for the place of a maximum the bootstrap promises no 95 %
# coverage), and the share of patients called high risk says what it means for them.


# %%
def search_again(model, drawn):
    """Return the cut-off found in a sample of the training patients, None if there is none."""
    sample = scores.loc[training.index[drawn], model]
    found = search(sample, f"Cut-off in a bootstrap sample: {LABELS[model]}")
    return None if found is None else found.value


draws = np.random.default_rng(seed).integers(len(training), size=(resamples, len(training)))
rows = []
for model, cut in cuts.items():
    risk = scores.loc[training.index, model].dropna().to_numpy()
    found = [value for drawn in draws if (value := search_again(model, drawn)) is not None]
    high = [100 * (risk > value).mean() for value in found]
    middle = [np.percentile(values, [2.5, 97.5]) if found else (None, None) for values in (found, high)]
    row = {"model": LABELS[model], "samples": len(found)}
    row["cut-off (middle 95 % of samples)"] = format_estimate(cut.value, *middle[0], 3)
    row["high risk, % (the same)"] = format_estimate(100 * (risk > cut.value).mean(), *middle[1], 0)
    rows.append(row)
by_model = {row["model"]: row["high risk, % (the same)"] for row in rows}
glue("km_spread_high", by_model.get(LABELS["dl_combined"], MISSING), display=False)
caption = "Cut-offs searched again in bootstrap samples of the training patients."
chapter.table("cutoff_spread", pd.DataFrame(rows), caption)

# %% [markdown]
# *How to read it.* By the DL score's cut-off {glue:text}`km_spread_high` per cent of the training patients
# are at high risk: so far does the group itself depend on who was in the sample, before anything is
# compared. The spread is of the search alone; scores that were fitted again would move too.
#
# (km-hazard-ratios)=
# ### Hazard ratios of high against low risk
#
# The corrected p-value belongs to DMFS in the training cohort only: elsewhere the cut-off was not chosen.


# %%
def compare_groups(table, cohort, model, outcome):
    """Return hazard ratio (None if there is none), log-rank test and events of high against low risk."""
    rows = patients[(patients["cohort"] == cohort) & table[model].reindex(patients.index).notna()]
    time, event = (rows[column] for column in OUTCOMES[outcome])
    high, where = table.loc[rows.index, model] == "high", f"{LABELS[model]}, {cohort}, {outcome}"
    table_high = high.astype(float).to_frame("high")
    fit = attempt(not_estimable, f"HR: {where}", fit_cox_or_firth, time, event, table_high)
    test = attempt(not_estimable, f"log-rank: {where}", logrank, time, event, high) if fit else None
    counts = {
        name: (int(event[part].sum()), int(part.sum())) for name, part in (("high", high), ("low", ~high))
    }
    return {"fit": fit, "test": test, "events": counts}


# %%
def hr_text(result):
    """Return a hazard ratio as text, marked where it is Firth's."""
    fit = result and result["fit"]
    if fit is None:
        return MISSING
    mark = " †" if fit.method == "Firth" else ""
    return format_hr(fit.hr[0], fit.hr_low[0], fit.hr_high[0]) + mark


def record_hr(cohort, model, result, track):
    """Set a hazard ratio beside the printed one."""
    fit, test = result["fit"], result["test"]
    if fit is not None:
        limits = {"low": fit.hr_low[0], "high": fit.hr_high[0], "p_value": test.p_value if test else None}
        chapter.record(f"text.{cohort}.km_hr.{model}", fit.hr[0], **limits, track=track)


# %%
results = {(m, c, o): compare_groups(groups, c, m, o) for o in OUTCOMES for m in cuts for c in COHORTS}
rows = []
for (model, cohort, outcome), result in results.items():
    row = {"model": LABELS[model], "cohort": cohort, "outcome": outcome}
    for name, (n_events, n_patients) in result["events"].items():
        row[f"{name} risk: events / patients"] = f"{n_events} / {n_patients}"
    row |= {
        "HR (95 % CI)": hr_text(result),
        "log-rank p": format_p(result["test"] and result["test"].p_value),
    }
    searched = outcome == "DMFS" and cohort == "training"
    cut = cuts[model]
    row["corrected p"] = format_p(cut.p_corrected, cut.p_floor) if searched else MISSING
    tested = result["fit"] is not None and result["fit"].method == "Cox"
    row["proportional hazards p"] = format_p(result["fit"].ph_p_value[0]) if tested else MISSING
    rows.append(row)
    if outcome == "DMFS":
        record_hr(cohort, model, result, "as published")
chapter.table("hazard_ratios", pd.DataFrame(rows), "High against low risk, cut-offs as published.")

# %% [markdown]
# *How to read it.* An event counts where it happened: a ratio from a group with a handful of events has an
# interval to match, whatever its p-value. Ratios marked † come from a group without any event; their size
# then mostly tells the number of patients and is no measure of effect. The step from the training to the
# validation row of a model is what it loses on new patients. The {glue:text}`km_tests` log-rank tests of this
# table are not corrected for their number; the models are variants of one another, so that they tend to be
# significant together. A small p-value of proportional hazards says that the ratio changes over time and that
# the one number is an average.

# %%
in_figure = [n for (_, _, o), result in results.items() if o == "DMFS" for n, _ in result["events"].values()]
glue("km_fewest_events", min(in_figure, default=MISSING), display=False)
os_tests = [result["test"] for (_, _, outcome), result in results.items() if outcome == "OS"]
if os_tests and all(os_tests):
    # The paper prints one bound for all: it holds if the largest p-value lies below it.
    chapter.record("text.both.km_os_p", max(test.p_value for test in os_tests))
for cohort in COHORTS:
    glue(f"km_hr_{cohort}", hr_text(results.get(("dl_combined", cohort, "DMFS"))), display=False)
    glue(f"km_hr_printed_{cohort}", lookup(f"text.{cohort}.km_hr.dl_combined")["printed"], display=False)
glue("km_tests", sum(result["test"] is not None for result in results.values()), display=False)
glue("km_horizon", horizon_months, display=False)
for group in ("low", "high"):
    part = patients[(patients["cohort"] == "validation") & (groups["dl_combined"] == group)]
    rate = None
    if len(part) and part["dmfs_months"].max() >= horizon_months:
        rate = kaplan_meier(part["dmfs_months"], part["dm_event"], at=[horizon_months])
    limits = (100 * value[0] for value in (rate.survival, rate.low, rate.high)) if rate else ()
    text = f"{format_estimate(*limits, 1)} %" if rate else "a share that cannot be estimated"
    glue(f"km_rate_{group}", text, display=False)

# %% [markdown]
# (km-figure-3)=
# ### Distant metastasis-free survival (Fig. 3)
#
# The counterpart of the paper's Figure 3, panels A to E above F to J: training above validation, first all
# models at a glance, then a figure for each. Bands are 95 % limits, ticks are censored patients; where fewer
# than ten patients are at risk a curve is thin and has no band, whatever the size of its group. Where all
# curves and bands stay in the upper half, the axis begins there and says so; † marks a hazard ratio by
# {term}`Firth's penalty`.


# %%
def cohort_curves(cohort, model, outcome):
    """Return time, event and risk group of the patients of a cohort who have a group."""
    rows = patients[(patients["cohort"] == cohort) & groups[model].notna()]
    return *(rows[column] for column in OUTCOMES[outcome]), groups.loc[rows.index, model]


# %% tags=["hide-input"]
fig, axes = small_multiples(2 * len(MODELS), columns=len(MODELS), width=9.5, panel_height=2.4)
for i, cohort in enumerate(COHORTS):
    row = dict(zip(MODELS, axes[i * len(MODELS) :], strict=False))
    lowest = min((axis_start(*cohort_curves(cohort, model, "DMFS")) for model in cuts), default=0.0)
    for model in cuts:
        fit = results[model, cohort, "DMFS"]["fit"]
        shown = {"horizon_months": horizon_months, "hr": fit, "lowest": lowest, "ax": row[model]}
        plot_curves(*cohort_curves(cohort, model, "DMFS"), **shown)
    for model, ax in row.items():
        ax.set_title(LABELS[model] if i == 0 else "", fontsize=9)
        ax.set_xlabel("Months" if i == 1 else "", fontsize=9)
    note = f"\n(axis from {100 * lowest:g} %)" if lowest else ""
    axes[i * len(MODELS)].set_ylabel(f"{cohort.capitalize()}, DMFS{note}", fontsize=9)
for group in ("low", "high"):
    axes[0].plot([], [], color=style_of(group)[0], linestyle=style_of(group)[1], label=LABELS[group])
fig.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
alt = "Kaplan–Meier curves of DMFS by risk group: five models side by side, training above validation."
chapter.figure("dmfs_overview", fig, alt)

# %% [markdown]
# *How to read it.* Compare the distance of the curves in a column: what is wide above and narrow below
# belongs to the training patients and not to the model. The axes of the two rows may differ.
#
# The same curves with the numbers behind them, model by model. Below each panel stand, for every twelfth
# month, the patients at risk and the events and censorings so far.


# %%
def draw(model, outcome):
    """Draw one model's curves in both cohorts and save the figure."""
    fig, axes = small_multiples(len(COHORTS), panel_height=5.4)
    for ax, cohort in zip(axes, COHORTS, strict=True):
        ax.set_title(f"{cohort.capitalize()}: {LABELS[model]} model", loc="left")
        if model not in cuts:
            ax.text(0.5, 0.5, "no cut-off, hence no groups", ha="center", transform=ax.transAxes)
            continue
        data = cohort_curves(cohort, model, outcome)
        searched = outcome == "DMFS" and cohort == "training"
        tests = {"hr": results[model, cohort, outcome]["fit"]}
        tests["cut"] = cuts[model] if searched else None
        shown = {"horizon_months": horizon_months, "endpoint": outcome, "lowest": axis_start(*data)}
        plot_kaplan_meier(*data, **tests, **shown, ax=ax)
    alt = f"Kaplan–Meier curves of {outcome}, high against low risk by {LABELS[model]}, in both cohorts."
    chapter.figure(f"{outcome.lower()}_{model}", fig, alt)


draw("dl_combined", "DMFS")

# %%
draw("radiomics_combined", "DMFS")

# %%
draw("clinical", "DMFS")

# %%
draw("rc", "DMFS")

# %%
draw("dc", "DMFS")

# %% [markdown]
# *How to read it.* Look at the vertical distance at the broken line, and at how many patients each curve
# still stands on there. The absolute difference at the horizon, in the legend, is what matters to a patient;
# the hazard ratio does not tell it: the same ratio means a large difference where metastasis is frequent and
# a small one where it is rare. Thin steps rest on fewer than ten patients: one more event would move them
# far, and a rate in the legend that is read off a thin curve is no firmer. In training the curves show how
# well the model describes the patients that it and its cut-off were fitted to; only the lower panels speak of
# others.
#
# (km-rmst)=
# ### The same in months
#
# The {term}`restricted mean survival time` is the area under a curve of Fig. 3 up to the horizon: the
# months of it that an average patient of the group spends free of metastasis. Their difference needs no
# {term}`proportional hazards` and no Cox model, and is in a unit that a patient knows.


# %%
def restricted_mean(cohort, model, group):
    """Return the mean months free of metastasis up to the horizon in one group, None if there is none."""
    rows = patients[(patients["cohort"] == cohort) & (groups[model] == group)]
    note = f"Restricted mean: {LABELS[model]}, {cohort}, {group} risk"
    return attempt(not_estimable, note, rmst, rows["dmfs_months"], rows["dm_event"], horizon_months)


rows = []
for model, cohort in ((m, c) for m in cuts for c in COHORTS):
    mean = {group: restricted_mean(cohort, model, group) for group in ("high", "low")}
    row = {"model": LABELS[model], "cohort": cohort}
    for group, found in mean.items():
        # Without an event there is nothing from which to tell how far the mean may be off.
        limits = (found.low, found.high) if found and found.se > 0 else (None, None)
        row[f"{group} risk, months"] = format_estimate(found and found.value, *limits, 1)
    row["difference"] = MISSING
    if all(mean.values()):
        difference, errors = mean["low"].value - mean["high"].value, [found.se for found in mean.values()]
        reach = norm.isf(0.025) * np.hypot(*errors) if min(errors) > 0 else np.nan
        row["difference"] = format_estimate(difference, difference - reach, difference + reach, 1)
    rows.append(row)
by_group = {(row["model"], row["cohort"]): row["difference"] for row in rows}
glue("km_rmst", by_group.get((LABELS["dl_combined"], "validation"), MISSING), display=False)
caption = f"Mean months free of metastasis within {horizon_months}, by risk group (95 % CI)."
chapter.table("rmst", pd.DataFrame(rows), caption)

# %% [markdown]
# *How to read it.* In validation the DL score's groups differ by {glue:text}`km_rmst` months out of
# {glue:text}`km_horizon`. Where metastasis is rare this is small beside any hazard ratio: most patients of
# either group spend the whole period without it. A mean without limits has nobody with an event.
#
# (km-figure-s1)=
# ### Overall survival (Fig. S1)
#
# The counterpart of the paper's supplementary Figure S1: the same groups, cut for metastasis, compared for
# death from any cause.

# %%
draw("dl_combined", "OS")

# %%
draw("radiomics_combined", "OS")

# %%
draw("clinical", "OS")

# %%
draw("rc", "OS")

# %%
draw("dc", "OS")
died = patients["os_event"] == 1
glue("km_deaths", int(died.sum()), display=False)
glue("km_deaths_counted", int((died & (patients["dm_event"] == 1)).sum()), display=False)

# %% [markdown]
# *How to read it.* Deaths without metastasis count here too, so that a model which has learnt metastasis need
# not part these curves as far. Nor is OS a second, independent witness: of {glue:text}`km_deaths` deaths,
# {glue:text}`km_deaths_counted` are of patients whose metastasis was counted above. The groups were cut for
# metastasis; no p-value here is corrected.
#
# (km-recommended)=
# ### Recommended: a cut-off that was not optimised on the patients it is judged on
#
# Three ways to divide the training patients by the same kind of score: the optimised cut; the optimised
# cut of the other folds, so that no patient takes part in choosing the cut that divides them; and the
# training median, which needs no search. The last two use the recommended scores, in which training
# patients are scored {term}`out of fold`: the DL head is fitted, radiomics' selection repeated and each Cox
# model fitted without the patient's fold (the selection where there are events enough to repeat it,
# [chapter 04](radiomics-out-of-fold)).


# %%
def cross_validated_groups(table):
    """Return groups of the training patients, each by a cut-off found without that patient's fold."""
    fold = stratified_folds(training["dm_event"], n_folds, rng=np.random.default_rng(seed))
    parts = []
    for k in range(fold.max() + 1):
        kept, out = training.index[fold != k], training.index[fold == k]
        note = f"Cut-off without fold {k + 1}"
        found = {model: search(table.loc[kept, model], f"{note}: {LABELS[model]}") for model in MODELS}
        parts.append(
            risk_groups(table.loc[out], {m: cut.value for m, cut in found.items() if cut is not None})
        )
    return pd.concat(parts)


medians = scores_recommended.loc[training.index].median()
groups_recommended = risk_groups(scores_recommended, medians)
groups_crossed = cross_validated_groups(scores_recommended)

# %%
chapter.write("groups_recommended", groups_recommended.reset_index())
chapter.write("cutoffs_recommended", medians.rename_axis("model").rename("cutoff").reset_index())
rows = []
for model in MODELS:
    median = {c: compare_groups(groups_recommended, c, model, "DMFS") for c in COHORTS}
    # Not if some fold gave no cut-off.
    is_whole = (
        groups_crossed[model].notna().sum() == scores_recommended.loc[training.index, model].notna().sum()
    )
    crossed = is_whole and compare_groups(groups_crossed, "training", model, "DMFS")
    rows.append({
        "model": LABELS[model],
        "training, optimised cut": hr_text(results.get((model, "training", "DMFS"))),
        "training, cross-validated cut": hr_text(crossed or None),
        "training, median": hr_text(median["training"]),
        "validation, optimised in training": hr_text(results.get((model, "validation", "DMFS"))),
        "validation, training median": hr_text(median["validation"]),
    })  # fmt: skip
    for cohort, result in median.items():
        record_hr(cohort, model, result, "recommended")
        if model == "dl_combined":
            glue(f"km_median_{cohort}", hr_text(result), display=False)
chapter.table("recommended", pd.DataFrame(rows), "Hazard ratios (DMFS) by how the cut-off was chosen.")

# %% [markdown]
# *How to read it.* The first two columns differ by what the search for the cut-off, and scoring patients
# whom the model has seen, add in training. A median cut divides differently from an optimised one that puts
# few patients at high risk, so its ratio need not be the same even without any {term}`optimism`. If the
# cross-validated column comes near the validation columns, it would have told beforehand what validation
# found. A better answer than any cut-off is to keep the score as it is: [chapter 05](05_cox_models) judges it
# so, because a cut treats a patient just above it like the worst, and one just below like the best.
#
# What these data could not give, with the reason:

# %%
chapter.table("not_estimable", list_reasons(not_estimable), "Estimates that the data do not allow.")

# %% [markdown]
# ## Against the paper
#
# Printed cut-offs are on the scale of the paper's own scores, whose centring it does not state; only the DL
# score, a probability, is on the same scale as here. p-values are log-rank; for {term}`OS` the paper prints
# one bound for all models and cohorts, and the largest p-value of this run stands beside it. A planted
# hazard ratio between groups does not exist (it depends on the cut-off), hence no truth.

# %%
chapter.against_paper("Cut-offs and hazard ratios as printed, and in this run.")

# %% [markdown]
# *What agreement means.* For the DL score the paper prints a hazard ratio of
# {glue:text}`km_hr_printed_training` in training and {glue:text}`km_hr_printed_validation` in validation;
# here it is {glue:text}`km_hr_training` and {glue:text}`km_hr_validation`. Ratios of this kind depend on the
# score, on the cut and on the share of patients above it, so that agreement would be a coincidence of three
# things, and disagreement has no single cause. What carries over is the pattern: how a ratio changes from
# the patients in whom the cut was chosen to those in whom it was not. A searched cut is expected to lose in
# new patients, so a printed ratio that is nearly the same in both calls for an explanation.
# [Chapter 09](09_stress_tests) shows how large a training ratio becomes by search alone.
#
# ```{admonition} Try this
# :class: tip
# Change one line of the parameters cell and run all cells; `make book` afterwards restores the run.
#
# - `min_fraction = 0.3`: the search may no longer isolate a small extreme group. Hazard ratios usually
#   shrink, intervals narrow, and naive and corrected p-values come closer, because fewer cuts are tried.
# - `seed = 1`: other permutations and folds. Corrected p-values move in their last digit only; if the
#   cross-validated hazard ratio moves much, it rests on too few events to be quoted.
# ```
#
# ## Limits and deviations
#
# - The corrected p-value covers the search for the cut-off, not the fitting of the score on the same
#   patients.
# - Hazard ratios of optimised groups in training are not corrected: no simple correction exists.
#   [Chapter 09](09_stress_tests) shows how large they become without any effect.
# - A patient's group is taken as known. The cut-off would be another in another sample
#   ([by how much](km-spread)), and no interval of a hazard ratio includes that.
# - Deaths without metastasis are censored, so one minus DMFS is not the share of patients who will be seen
#   with metastasis where death is frequent ([competing events](stress-competing)).
# - `surv_cutpoint` takes cuts as *above* and *not above*; a patient exactly at the cut-off is low risk.
# - Printed numbers at risk are read from figures and are not transcribed.
#
# **Hands over** `cutoffs.csv`, `groups.csv` and `groups_recommended.csv` to chapters 07 to 10.
