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

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the cohort table (chapter 01) and the scores of chapter 05. **Writes** `cutoffs.csv`,
# `groups.csv` (high or low risk by each model) and `groups_recommended.csv`, for chapters 07 to 10.
#
# ## Setup

# %%
import numpy as np
import pandas as pd
from lifelines.statistics import logrank_test
from scipy.stats import norm

from npcbook.book import open_chapter, plot_kaplan_meier, plot_panels, show_source, small_multiples
from npcbook.cohort import judged_cohort, read_truth
from npcbook.paper import lookup
from npcbook.statistics import fit_cox_or_firth, fit_firth_cox, optimal_cutpoint, split_statistics
from npcbook.words import COHORTS, ENDPOINTS, LABELS, MISSING, MODELS, SUPPLIED, TRACKS, or_dash

# %% tags=["parameters"] needs="dmfs covariates"
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
horizon_months = 60  # 1 to last follow-up, months; where survival is read off the curves, as in the paper
min_fraction = 0.1  # 0.01 to 0.49; least share of patients on either side of a cut-off, as in survminer
permutations = 2000  # 1 or more; for the corrected p-value of the search
resamples = 200  # 1 or more; recommended track: bootstrap samples in which cut-offs are searched again
n_folds = 5  # 2 to 20; recommended track only: folds of the cross-validated cut-off
seed = 2023  # 0 or more; of the permutations and the folds

# %%
chapter = open_chapter("06_km", run_folder=run_folder, cohort_folder=cohort_folder)
TIME, EVENT = ENDPOINTS["DMFS"]
PUBLISHED, RECOMMENDED = TRACKS

# %% [markdown]
# ## Data
#
# Two outcomes: time to distant metastasis ({term}`DMFS`, deaths {term}`censored <censoring>`) and to death
# from any cause ({term}`OS`), in months. What the data cannot give is noted with the reason.

# %%
patients = chapter.read("01_cohorts/cohort").set_index("patient_id")
scores, scores_recommended = (
    chapter.read(f"05_cox_models/{name}").set_index("patient_id").loc[patients.index]
    for name in ("scores", "scores_recommended")
)
training = patients[patients["cohort"] == "training"]
OWN = [name for name in scores_recommended if name not in scores]  # one's own: nothing is searched for these
fitted = scores.dropna(axis=1, how="all") if OWN else scores  # which lead where no model could be fitted
MODELS = [model for model in dict.fromkeys([*MODELS, *fitted]) if model in fitted]
LABELS, ALL = LABELS | {name: f"{name} ({SUPPLIED})" for name in OWN}, [*MODELS, *OWN]
MAIN = next(model for model in ("dl_combined", *ALL) if model in ALL)  # what takeaways speak of
SCORE = "the DL score" if MAIN == "dl_combined" else LABELS[MAIN]
COHORTS = [name for name in COHORTS if (patients["cohort"] == name).any()]
JUDGED = judged_cohort(patients)  # validation, or training where validation has no metastasis
ENDPOINTS = {name: pair for name, pair in ENDPOINTS.items() if patients[pair[0]].notna().any()}
events = patients.groupby("cohort")[[pair[1] for pair in ENDPOINTS.values()]].sum().reset_index()
events = events.rename(columns={"dm_event": "distant metastases", "os_event": "deaths"})
chapter.table("events", events, "Events in each cohort.")

# %% [markdown]
# ## Method
#
# **The cut-off.** The paper takes, for each model, the cut-off that separates DMFS best (`surv_cutpoint`). It
# does not say in which patients that was looked for. Here they are those of the training cohort, and the cut
# is carried to the validation cohort. Had it been looked for among the validation patients too, a small
# p-value there would owe part of its size to the search, as in training. At a cut $c$ the
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
# **Recommended.** The scores in which no training patient is scored by a model that has seen that patient
# ({term}`out of fold`), cut at their training median. A median needs no outcome, so that nothing is searched
# on what is then compared; it can be fixed before the study; and with as many patients on either side no
# group is too small to be compared further. It claims nothing about where risk becomes high. Scores of one's
# own ([05b](05b_own_scores.ipynb)), *as supplied*, are cut so too (in all patients if none is for training).
#
# **The comparison.** As published, {term}`hazard ratios <hazard ratio>` of high against low risk are from a
# {term}`Cox model` with {term}`Efron`'s ties and Wald's limits, or the profile's where these fail. As
# recommended, and where a risk group has no events, they have {term}`Firth's penalty`, {term}`Breslow`'s ties
# and profile limits (†), which mean something in a group with one event. Kaplan–Meier curves have log–log
# limits. Censoring must tell nothing of metastasis; one ratio assumes {term}`proportional hazards`.
#
# lifelines and scikit-survival have no such search. The statistic at every cut, from the library's own
# source, given the patients' log-rank scores in the order of their risk and the number of patients at or
# below each cut:

# %%
show_source(split_statistics)
chapter.methods(
    "Risk groups. Risk groups were formed at the cut-off with the largest standardised log-rank statistic in "
    f"the training cohort, with at least {min_fraction:g} of the patients on either side; its p-value was "
    f"corrected for the search by {permutations} permutations. The recommended groups were formed at the "
    "training median of scores out of fold in the training cohort; hazard ratios between these groups have "
    "Firth's penalty (Breslow's ties) and profile likelihood limits."
)

# %% [markdown]
# ## Result
#
# First each model's cut-off is searched and the groups are formed; how the search went stands
# [further down](#km-cutoffs). Then, in every cohort, high risk is compared with low.


# %%
def search(risk, note, **options):
    """Return the best cut-off of the scores of some patients (those who have one), None if there is none."""
    risk = risk.dropna()
    rows = patients.loc[risk.index]
    with chapter.noting(note):
        return optimal_cutpoint(rows[TIME], rows[EVENT], risk, min_fraction, **options)
    return None


searches = {}
for model in MODELS:
    options = {"permutations": permutations, "rng": np.random.default_rng(seed)}
    searches[model] = search(scores.loc[training.index, model], f"Cut-off: {LABELS[model]}", **options)
cuts = {model: cut for model, cut in searches.items() if cut is not None}


# %%
def risk_groups(table, thresholds):
    """Return high or low for every patient and model (high: above the cut-off), nothing without a score."""
    high = {model: np.where(table[model] > cut, "high", "low") for model, cut in thresholds.items()}
    high = pd.DataFrame(high, index=table.index).where(table[list(high)].notna())
    return high.reindex(columns=ALL)


# %%
groups_by = {model: cut.value for model, cut in cuts.items()}
groups = risk_groups(scores, groups_by)
chapter.write("groups", groups.reset_index())
chapter.write("cutoffs", pd.DataFrame(groups_by.items(), columns=["model", "cutoff"]))
medians = scores_recommended.loc[training.index if len(training) else patients.index].median().dropna()
groups_recommended = risk_groups(scores_recommended, medians)
chapter.write("groups_recommended", groups_recommended.reset_index())
chapter.write("cutoffs_recommended", medians.rename_axis("model").rename("cutoff").reset_index())
GROUPS = {PUBLISHED: groups, RECOMMENDED: groups_recommended}


# %%
from npcbook.statistics import logrank


def high_against_low(table, cohort, model, outcome, fit=fit_firth_cox):
    """Return hazard ratio and log-rank test (None if there is none) and events of high against low risk."""
    rows = patients[(patients["cohort"] == cohort) & table[model].reindex(patients.index).notna()]
    time, event = (rows[column] for column in ENDPOINTS[outcome])
    group, where = table.loc[rows.index, model], f"{LABELS[model]}, {cohort}, {outcome}"
    high = group == "high"
    parts = {name: event[group == name] for name in ("high", "low")}
    result = {"fit": None, "hr": None, "test": None}
    result["events"] = {name: (int(part.sum()), len(part)) for name, part in parts.items()}
    with chapter.noting(f"HR: {where}"):
        data = time, event, high.astype(float).to_frame("high")
        result["fit"] = fit_cox_or_firth(*data)
        result["hr"] = fit(*data)["high"]
        with chapter.noting(f"log-rank: {where}"):
            result["test"] = logrank(time, event, high)
    return result


# %%
def record_hr(cohort, model, result, track):
    """Set a hazard ratio beside the printed one."""
    if hr := result["hr"]:
        p_value = result["test"] and result["test"].p_value
        limits = {"low": hr.hr_low, "high": hr.hr_high, "p_value": p_value, "track": track}
        chapter.record(f"text.{cohort}.km_hr.{model}", hr.hr, **limits)


# %%
compared, FITS = {}, {PUBLISHED: fit_cox_or_firth, RECOMMENDED: fit_firth_cox}
for track, table in GROUPS.items():
    known = [model for model in ALL if table[model].notna().any()]
    keys = [(model, cohort, outcome) for outcome in ENDPOINTS for model in known for cohort in COHORTS]
    compared[track] = {(m, c, o): high_against_low(table, c, m, o, FITS[track]) for m, c, o in keys}
    for (model, cohort, outcome), result in compared[track].items():
        if outcome == "DMFS" and model in MODELS:
            record_hr(cohort, model, result, track)
results, results_recommended = compared[PUBLISHED], compared[RECOMMENDED]


# %%
def patients_of(cohort, model, outcome, track=PUBLISHED):
    """Return time, event and risk group of the patients of a cohort who have a group."""
    rows = patients[(patients["cohort"] == cohort) & GROUPS[track][model].notna()]
    return *(rows[column] for column in ENDPOINTS[outcome]), GROUPS[track].loc[rows.index, model]


# %% [markdown]
# (km-figure-3)=
# ### Distant metastasis-free survival (Fig. 3)
#
# The counterpart of the paper's Figure 3, lettered like it: A to E training, F to J validation; first as
# recommended, then as published. Bands are 95 % limits, ticks are censored patients; where fewer than ten are
# at risk a curve is thin and has no band. † marks a hazard ratio by {term}`Firth's penalty`.

# %%
from itertools import product
from string import ascii_lowercase, ascii_uppercase


def picture(outcome, track):
    """Draw the curves of all models, training beside validation, lettered cohort by cohort."""
    models = MODELS if track == PUBLISHED else ALL
    letters = dict(zip(product(COHORTS, models), ascii_uppercase + ascii_lowercase, strict=False))
    panels = {}
    for model, cohort in product(models, COHORTS):
        title = f"{letters.get((cohort, model), '')}  {LABELS[model]}, {cohort}"
        data = patients_of(cohort, model, outcome, track)
        found = compared[track].get((model, cohort, outcome))
        panels[title] = (*data, found["hr"]) if found and len(data[0]) else None
    alt = f"{outcome}, high against low risk by each model, scores and cut-offs {track}: Kaplan–Meier curves "
    alt += "with 95 % bands and numbers at risk, a row a model."
    fig = plot_panels(panels, horizon_months=horizon_months)
    chapter.figure(f"{outcome.lower()}_overview_{track.replace(' ', '_')}", fig, alt)


for track in TRACKS[::-1] if MODELS else [RECOMMENDED]:
    picture("DMFS", track)

# %% [markdown]
# *How to read it.* Compare the two panels of a row: what is wide at the left and narrow at the right belongs
# to the training patients and not to the model. Look at the vertical distance at the broken line, and at how
# many patients each curve still stands on there. That difference is what matters to a patient; the hazard
# ratio does not tell it: the same ratio means a large difference where metastasis is frequent and a small one
# where it is rare. Thin steps rest on fewer than ten patients: one more event would move them far.

# %%
from npcbook.statistics import rate_at

free = {}
for track, group in product(TRACKS, ("low", "high")):
    rows = (patients["cohort"] == JUDGED) & (GROUPS[track][MAIN] == group)
    free[track, group] = "a share that cannot be estimated"
    with chapter.noting(f"{LABELS[MAIN]} {track}, {JUDGED}, {group} risk: free of metastasis at the horizon"):
        free[track, group] = (
            f"{rate_at(patients.loc[rows, TIME], patients.loc[rows, EVENT], horizon_months):1%} %"
        )
apart = {t: f"{free[t, 'low']} of low-risk and {free[t, 'high']} of high-risk patients" for t in TRACKS}

# %% [markdown]
# One model with everything behind its curves: below each panel stand, for every twelfth month, the patients
# at risk and the events and censorings so far. `draw` does the same for any other model, outcome and track.


# %%
def draw(model, outcome, track):
    """Draw the curves of both cohorts with what was estimated from them, training above validation."""
    fig, axes = small_multiples(len(COHORTS), panel_height=4.6)
    for ax, cohort in zip(axes, COHORTS, strict=True):
        ax.set_title(f"{cohort.capitalize()}: {LABELS[model]} {'' if model in OWN else track}", loc="left")
        data = patients_of(cohort, model, outcome, track)
        if (model, cohort, outcome) not in compared[track] or data[0].empty:
            ax.text(0.5, 0.5, "no groups", ha="center", transform=ax.transAxes)
            continue
        cut = cuts[model] if (outcome, cohort, track) == ("DMFS", "training", PUBLISHED) else None
        shown = {"hr": compared[track][model, cohort, outcome]["hr"], "cut": cut, "endpoint": outcome}
        plot_kaplan_meier(*data, **shown, horizon_months=horizon_months, ax=ax)
    suffix = "" if track == PUBLISHED else f"_{track}"
    alt = f"Kaplan–Meier curves of {outcome}, high against low risk by {LABELS[model]} {track}, both cohorts."
    chapter.figure(f"{outcome.lower()}_{model}{suffix}", fig, alt)


# %% tags=["hide-output"]
for model in dict.fromkeys([MAIN, *OWN]):
    draw(model, "DMFS", RECOMMENDED)

# %% [markdown]
# (km-hazard-ratios)=
# ### Hazard ratios of high against low risk
#
# The recommended groups, then the published ones. The corrected p-value belongs to DMFS in the training
# cohort and to the published groups only: elsewhere no cut-off was chosen.
# <span class="planted">*Planted* (synthetic cohort only) is what a study of endless size would find in
# groups like these: the ratio of the logarithms of their mean planted shares free of metastasis at five
# years.</span>


# %%
from npcbook.words import format_estimate, format_number, format_p

truth = read_truth(cohort_folder)
free_planted = None if truth is None else 1 - truth["dm_probability_5y"].reindex(patients.index)


def ratio_row(track, model, cohort, outcome, result):
    """Return a row of the table of hazard ratios."""
    row = {"model": LABELS[model], "cohort": cohort}
    for name, (n_events, n_patients) in result["events"].items():
        row[f"{name} risk: events / patients"] = f"{n_events} / {n_patients}"
    row["HR (95 % CI)"] = or_dash(result["hr"])
    row["log-rank p"] = format_p(result["test"] and result["test"].p_value)
    if outcome == "DMFS" and free_planted is not None:
        rows = patients.index[patients["cohort"] == cohort]
        mean = np.log(free_planted[rows].groupby(GROUPS[track].loc[rows, model]).mean())
        row["planted"] = format_number(mean["high"] / mean["low"] if len(mean) == 2 else None)
    if outcome == "DMFS" and cohort == "training" and track == PUBLISHED:
        row["corrected p"] = format_p(cuts[model].p_corrected, cuts[model].p_floor)
    if result["fit"] and result["fit"].method == "Cox":
        row["proportional hazards p"] = format_p(result["fit"].ph_p_value[0])
    return row


# %%
columns = ["model", "cohort", *(f"{g} risk: events / patients" for g in ("high", "low"))]
columns += ["HR (95 % CI)", "planted", "log-rank p", "corrected p", "proportional hazards p"]


def show_ratios(outcome, track):
    """Show the table of hazard ratios of an outcome by the groups of a track."""
    keys = [key for key in compared[track] if key[2] == outcome]
    shown = pd.DataFrame([ratio_row(track, *key, compared[track][key]) for key in keys])
    name = {PUBLISHED: "hazard_ratios", RECOMMENDED: "hazard_ratios_recommended"}[track]
    shown = shown.reindex(columns=[c for c in columns if c in shown]).fillna(MISSING)
    caption = f"{outcome}, high against low risk, scores and cut-offs {track}."
    chapter.table(name + f"_{outcome.lower()}" * (outcome != "DMFS"), shown, caption)


show_ratios("DMFS", RECOMMENDED)

# %% tags=["hide-output"]
for outcome, track in list(product(ENDPOINTS, TRACKS[::-1]))[1:]:
    show_ratios(outcome, track)

# %% [markdown]
# *How to read it.* An event counts where it happened: a ratio from a group with a handful of events has an
# interval to match, whatever its p-value. A ratio from a group without any event mostly tells the number of
# patients; published, only such a one has †. The step from the training to the validation row of a model is
# what it loses on new patients. The log-rank tests are not corrected for number; the models are variants
# of one another, and tend to be significant together. A small p-value of proportional hazards says that the
# ratio changes over time, and is an average.

# %%
tests = {key: result["test"] for key, result in results.items()}
hr_of = {c: or_dash(results.get((MAIN, c, "DMFS"), {}).get("hr")) for c in COHORTS}
in_figure = [n for (_, _, o), result in results.items() if o == "DMFS" for n, _ in result["events"].values()]
os_p = [test and test.p_value for (_, _, outcome), test in tests.items() if outcome == "OS"]
if len(MODELS) > 1 and os_p and None not in os_p:
    chapter.record("text.both.km_os_p", max(os_p))

# %%
ours = {c: results_recommended.get((MAIN, c, "DMFS"), {}).get("hr") for c in COHORTS}
honest = {cohort: or_dash(ratio).removesuffix(" †") for cohort, ratio in ours.items()}
seen = results.get((MAIN, "training", "DMFS"), {}).get("events", {"high": (MISSING,)})["high"][0]
chapter.takeaway(
    1,
    f"**Without a search, {apart[RECOMMENDED]} by {SCORE} are free of metastasis at the horizon "
    f"in {JUDGED}: hazard ratio {honest[JUDGED]}.** Groups are cut at the training median, and no patient is "
    "scored by a model that has seen that patient ([Fig. 3](#km-figure-3)).",
)
chapter.takeaway(
    2,
    f"With the searched cut-off and the published score {apart[PUBLISHED]} are, in the same patients: hazard "
    f"ratio {hr_of[JUDGED]} ([hazard ratios](#km-hazard-ratios)).",
)
if seen != MISSING:
    chapter.say(
        f"*What is being seen in training.* A published score was fitted to these very outcomes: its "
        f"high-risk group holds {seen} of the {training[EVENT].sum()} metastases."
    )

# %%
chapter.takeaway(
    3,
    f"In training the ratio is {hr_of['training']} as published, without meaning for new patients, since "
    "score and cut-off were fitted to these outcomes, and "
    f"{honest['training']} out of fold ([hazard ratios](#km-hazard-ratios)).",
)
chapter.takeaway(
    5,
    f"The smallest number of metastases in any published risk group of Fig. 3 is "
    f"{min(in_figure, default=MISSING)}: a ratio cannot be firmer than its events "
    "([hazard ratios](#km-hazard-ratios)).",
)

# %% [markdown]
# (km-figure-s1)=
# ### Overall survival (Fig. S1)
#
# The paper's supplementary Figure S1: the same groups, cut for metastasis, compared for death from any cause.
# As recommended, then, folded, as published; the letters are those of Fig. 3.

# %%
if "OS" in ENDPOINTS:
    picture("OS", RECOMMENDED)

# %% tags=["hide-output"]
if "OS" in ENDPOINTS and MODELS:
    picture("OS", PUBLISHED)
died = patients["os_event"] == 1
chapter.say(
    "*How to read it.* Deaths without metastasis count here too, so that a model which has learnt metastasis "
    "need not part these curves as far. Nor is OS a second, independent witness: of "
    f"{died.sum()} deaths, {(died & (patients['dm_event'] == 1)).sum()} are of patients whose metastasis was "
    "counted already. The groups were cut for metastasis; no p-value here is corrected."
)

# %% [markdown]
# (km-rmst)=
# ### The same in months
#
# The {term}`restricted mean survival time` is the area under a curve of Fig. 3 up to the horizon: the
# months of it that an average patient of the group spends free of metastasis. Their difference needs no
# {term}`proportional hazards` and no Cox model, and is in a unit that a patient knows.


# %%
from npcbook.statistics import rmst


def restricted_means(cohort, model, track):
    """Return the mean months free of metastasis up to the horizon in each group that has one."""
    mean = {}
    for group in ("high", "low"):
        rows = patients[(patients["cohort"] == cohort) & (GROUPS[track][model] == group)]
        with chapter.noting(f"Restricted mean: {LABELS[model]} {track}, {cohort}, {group} risk"):
            mean[group] = rmst(rows[TIME], rows[EVENT], horizon_months)
    return mean


# %% tags=["hide-output"]
rows = []
for track, model, cohort in product(TRACKS[::-1], ALL, COHORTS):
    if (model, cohort, "DMFS") not in compared[track]:
        continue
    mean = restricted_means(cohort, model, track)
    text = {g: f"{m:1}" if m.se > 0 else format_number(m.value, 1) for g, m in mean.items()}
    row = {"track": SUPPLIED if model in OWN else track, "model": LABELS[model], "cohort": cohort}
    row |= {f"{group} risk, months": text.get(group, MISSING) for group in ("high", "low")}
    row["difference"] = MISSING
    if len(mean) == 2:
        difference, errors = mean["low"].value - mean["high"].value, [m.se for m in mean.values()]
        reach = norm.isf(0.025) * np.hypot(*errors) if min(errors) > 0 else np.nan
        row["difference"] = format_estimate(difference, difference - reach, difference + reach, 1)
    rows.append(row)
caption = f"Mean months free of metastasis within {horizon_months}, by risk group (95 % CI)."
chapter.table("rmst", pd.DataFrame(rows), caption)
for row in (row for row in rows if (row["model"], row["cohort"]) == (LABELS[MAIN], JUDGED)):
    chapter.say(f"By {SCORE} {row['track']}, low risk has {row['difference']} months more in {JUDGED}.")

# %% [markdown]
# *How to read it.* Most patients of either group spend the whole period without metastasis, so that the
# difference is small beside any hazard ratio. A mean without limits has nobody with an event.
#
# (km-cutoffs)=
# ### Cut-offs
#
# The search, model by model: each dot is one cut-off that was tried, the ring is the one taken.


# %%
from npcbook.words import BLUE, VERMILION


def plot_search(cut, ax):
    """Plot the standardised log-rank statistic of all cut-offs that were tried, and the one taken."""
    ax.plot(cut.candidates, cut.statistics, ".", color=BLUE, markersize=3.5)
    ax.axhline(1.96, color="0.45", linewidth=0.9, linestyle=(0, (4, 3)))
    ax.plot(cut.value, cut.statistic, "o", color=VERMILION, ms=7, fillstyle="none", mew=1.8)
    ax.set(xlabel="Cut-off of the score", ylabel="|log-rank statistic|")
    ax.set_ylim(0, max(2.2, 1.1 * cut.statistic))


# %% tags=["hide-output"]
if cuts:
    fig, axes = small_multiples(len(cuts), columns=2, width=7.0, panel_height=1.8)
    for ax, (model, cut) in zip(axes, cuts.items(), strict=False):
        plot_search(cut, ax)
        ax.set_title(LABELS[model], loc="left", fontsize=10)
    chapter.figure("cutoffs", fig, "Log-rank statistic of each cut-off tried, by model; the largest ringed.")

# %% [markdown]
# *How to read it.* From left to right fewer patients are called high risk; the height is how well the two
# groups part. The broken line is where a cut fixed beforehand would be significant at 5 %. A flat top means
# that many cut-offs do almost equally well; which of them wins is then chance. A maximum at the very edge
# says that the best division may lie beyond what `min_fraction` allows.

# %% tags=["hide-output"]
rows = []
for model, cut in cuts.items():
    row = {"model": LABELS[model], "cut-off": format_number(cut.value, 3)}
    row["cut-offs tried"] = len(cut.candidates)
    row["high risk: events / patients"] = f"{cut.events_high} / {cut.n_high}"
    row["low risk: events / patients"] = f"{cut.events_low} / {cut.n_low}"
    row |= {"naive p": format_p(cut.p_naive), "corrected p": format_p(cut.p_corrected, cut.p_floor)}
    rows.append(row)
    chapter.record(f"text.cutoff.{model}", cut.value)
rows = pd.DataFrame([*rows, *({"model": LABELS[model]} for model in MODELS if model not in cuts)])
chapter.table("cutoffs_shown", rows.fillna(MISSING), "Cut-offs found in the training cohort.")

# %%
tried = naive = corrected = MISSING
if dl_cut := cuts.get(MAIN):
    tried, naive = len(dl_cut.candidates), format_p(dl_cut.p_naive)
    corrected = format_p(dl_cut.p_corrected, dl_cut.p_floor)
chapter.takeaway(
    4,
    f"The cut-off of {SCORE} is the best of {tried} that were tried; the p-value is {naive} as if the cut "
    f"had been given, {corrected} when corrected for the search; neither allows for the score having been "
    "fitted to the same outcomes ([cut-offs](#km-cutoffs)).",
)

# %% [markdown]
# *How to read it.* The corrected p-value can be no smaller than one over the number of permutations plus one;
# a value at that floor is a bound and marked ≤. A score that truly separates survives it, and one that
# separates only by the search usually fails. It does not undo that the score itself was fitted to these
# patients' outcomes: a network that has learnt its training patients by heart passes this test with ease.
#
# (km-spread)=
# ### Where the cut would fall in other patients
#
# The search is repeated in bootstrap samples of the training patients. Printed cut-offs have no interval. The
# middle 95 % of these cuts gives an idea of one (for the place of a maximum the bootstrap promises no 95 %
# coverage), and the share of patients called high risk says what it means for them.


# %%
def search_again(model):
    """Return the cut-offs found in samples of the training patients, as many as allow one."""
    note = f"Cut-off in a bootstrap sample: {LABELS[model]}"
    draws = np.random.default_rng(seed).integers(len(training), size=(resamples, len(training)))
    found = [search(scores.loc[training.index[drawn], model], note) for drawn in draws]
    return [cut.value for cut in found if cut is not None]


again = {model: search_again(model) for model in cuts}

# %% tags=["hide-output"]
rows = []
for model, found in again.items():
    risk = scores.loc[training.index, model].dropna().to_numpy()
    high = [100 * (risk > value).mean() for value in (cuts[model].value, *found)]
    middle = [np.percentile(v, [2.5, 97.5]) if found else (None, None) for v in (found, high[1:])]
    row = {"model": LABELS[model], "samples": len(found)}
    row["cut-off (middle 95 % of samples)"] = format_estimate(cuts[model].value, *middle[0], 3)
    row["high risk, % (the same)"] = format_estimate(high[0], *middle[1], 0)
    rows.append(row)
caption = "Cut-offs searched again in bootstrap samples of the training patients."
chapter.table("cutoff_spread", pd.DataFrame(rows), caption)
# %% [markdown]
# *How to read it.* The last column says how far the group itself depends on who was in the sample. The spread
# is of the search alone; scores that were fitted again would move too.
#
# (km-lifelines)=
# ### The same by lifelines
#
# Log-rank tests are those of any program. This book's own stands behind tables and figures because it is
# needed thousands of times, in every search for a cut-off and every resampled cohort.


# %% tags=["hide-output"]
rows = []
for (model, cohort, outcome), test in tests.items():
    if outcome == "DMFS" and test is not None:
        time, event, group = patients_of(cohort, model, outcome)
        high = group == "high"
        theirs = logrank_test(time[high], time[~high], event[high], event[~high])
        row = {"model": LABELS[model], "cohort": cohort, "χ², lifelines": theirs.test_statistic}
        rows.append(row | {"χ², here": test.statistic, "p, lifelines": format_p(theirs.p_value)})
if rows:
    by_lifelines = pd.DataFrame(rows)
    off = (by_lifelines["χ², lifelines"] - by_lifelines["χ², here"]).abs().max()
    caption = f"Log-rank tests of DMFS by lifelines, published groups; the χ² differ by {off:.1g} at most."
    chapter.table("lifelines", by_lifelines, caption)

# %% [markdown]
# (km-recommended)=
# ### Recommended: a cut-off that was not optimised on the patients it is judged on
#
# Three ways to divide the training patients: published scores at the optimised cut; recommended scores at
# the optimised cut of the other folds, so that nobody takes part in choosing the cut that divides them; and
# these at the training median, which needs no search. Recommended scores of training patients are
# {term}`out of fold` ([chapter 04](#radiomics-out-of-fold) has the exception), DL's and DC's by another head.


# %%
from npcbook.statistics import stratified_folds


def cross_validated_groups(table):
    """Return groups of the training patients, each by a cut-off found without that patient's fold."""
    fold = stratified_folds(training[EVENT], n_folds, rng=np.random.default_rng(seed))
    parts = []
    for k in range(fold.max() + 1):
        kept, out = training.index[fold != k], training.index[fold == k]
        note = f"Cut-off without fold {k + 1}"
        found = {model: search(table.loc[kept, model], f"{note}: {LABELS[model]}") for model in MODELS}
        thresholds = {model: cut.value for model, cut in found.items() if cut is not None}
        parts.append(risk_groups(table.loc[out], thresholds))
    return pd.concat(parts)


groups_crossed = cross_validated_groups(scores_recommended)

# %%
median = {(m, c): r["hr"] for (m, c, outcome), r in results_recommended.items() if outcome == "DMFS"}
crossed = {}
for model in MODELS:
    if groups_crossed[model].notna().equals(scores_recommended.loc[groups_crossed.index, model].notna()):
        crossed[model] = high_against_low(groups_crossed, "training", model, "DMFS")["hr"]
best = {(m, c): result["hr"] for (m, c, outcome), result in results.items() if outcome == "DMFS"}
rows = []
for model in ALL:
    rows.append({
        "model": LABELS[model],
        "training, optimised cut": or_dash(best.get((model, "training"))),
        "training, cross-validated cut": or_dash(crossed.get(model)),
        "training, median": or_dash(median.get((model, "training"))),
    })  # fmt: skip
    if JUDGED == "validation":
        rows[-1]["validation, optimised in training"] = or_dash(best.get((model, "validation")))
        rows[-1]["validation, training median"] = or_dash(median.get((model, "validation")))
chapter.table("recommended", pd.DataFrame(rows), "Hazard ratios (DMFS) by how the cut-off was chosen.")

# %% [markdown]
# *How to read it.* The first two columns differ by the search for the cut-off, by Firth's penalty, by scoring
# patients whom the model has seen and, for DL and DC, by head and features: not by the search alone
# ([chapter 05](#cox-recommended) parts the steps). A median divides differently from a cut that puts few
# patients at high risk, so its ratio may differ without any {term}`optimism`. Better than any cut-off is the
# score as it is: a cut treats a patient just above it like the worst, and one just below like the best.

# %% tags=["hide-output"]
chapter.not_estimable()

# %% [markdown]
# ## Against the paper
#
# Printed cut-offs are on the scale of the paper's own scores, whose centring it does not state; only the DL
# score, a probability, is on the same scale as here. p-values are log-rank; for {term}`OS` the paper prints
# one bound for all models and cohorts, and the largest p-value of this run stands beside it.
# <span class="planted">What was planted depends on score and cut-off, and stands with the [hazard
# ratios](#km-hazard-ratios).</span>

# %%
chapter.against_paper("Cut-offs and hazard ratios as printed, and in this run.")
printed = {c: lookup(f"text.{c}.km_hr.dl_combined")["printed"] for c in ("training", "validation")}
chapter.say(
    f"For the DL score the paper prints a hazard ratio of {printed['training']} in training and "
    f"{printed['validation']} in validation; here, by {SCORE}, it is {' and '.join(hr_of.values())}."
)

# %% [markdown]
# *What agreement means.* Ratios of this kind depend on the score, on the cut and on the share of patients
# above it, so that agreement would be a coincidence of three things. What carries over is how a ratio changes
# from the patients in whom the cut was chosen to those in whom it was not. A searched cut is expected to lose
# in new patients. A printed ratio nearly the same in both has a plain explanation, which print leaves open:
# the cut was searched in both. [Chapter 09](09_stress_tests.ipynb) shows what search alone does to a ratio.
#
# ```{admonition} Try this
# :class: tip
# - `min_fraction = 0.3`: the search may no longer isolate a small extreme group. It tries fewer cuts where a
#   score has many values, so that its largest statistic in training falls or stays. Hazard ratios may rise
#   all the same, and in validation p-values come or go: what does rested on the choice of this number.
# ```
#
# ## Limits and deviations
#
# - The corrected p-value covers the search for the cut-off, not the fitting of the score.
# - Hazard ratios of optimised groups in training are not corrected: no simple correction exists.
#   [Chapter 09](09_stress_tests.ipynb) shows how large they become without any effect.
# - A patient's group is taken as known; no interval says that the cut-off would [differ](#km-spread).
# - <span class="planted">Settings were chosen [seeing validation values](09c_other_cohorts.ipynb).</span>
# - `surv_cutpoint` takes cuts as *above* and *not above*; a patient exactly at the cut-off is low risk.
#
# **Hands over** `cutoffs.csv`, `groups.csv` and `groups_recommended.csv` to chapters 07 to 10.
