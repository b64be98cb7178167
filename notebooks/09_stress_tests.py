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
# # Stress tests
#
# **What can the numbers of the chapters before bear, and how would one know that they could not?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the cohort table (chapter 01), the scores of chapter 05 and the risk groups of chapter 06.
# **Writes** tables for the reader only.
#
# ## Setup

# %%
from itertools import product

import numpy as np
import pandas as pd

from npcbook.book import open_chapter, show_source, small_multiples
from npcbook.cohort import code_covariates, covariate_names, judged_cohort
from npcbook.paper import lookup
from npcbook.statistics import fit_cox, harrell_c, rate_at, univariable_cox
from npcbook.words import COHORTS, COVARIATES, ENDPOINTS, LABELS, MISSING, MODELS

# %% tags=["parameters"] needs="dmfs covariates"
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
horizon_months = 60  # 1 to last follow-up, months; survival rates and Uno's C, as the paper's 5-year figures
clinical_covariates = "t2,rene_g1,rene_g2,female"  # names of COVARIATES; the paper's clinical model
n_repeats = 500  # 1 or more; random scores whose best cut-off is searched
n_resamples = 100  # 1 or more; bootstrap samples for optimism
n_permutations = 100  # 1 or more; of the outcomes
seed = 2023  # 0 or more; of all random numbers here

# %% [markdown]
# ## Data
#
# Scores as published, outcomes and the clinical covariates, coded as in [chapter 05](05_cox_models.ipynb).
# Unless a section says otherwise the event is {term}`distant metastasis`, deaths are
# {term}`censored <censoring>`, and times are months. Whether predicted risks are right and of use is
# [chapter 09b](09b_model_worth.ipynb).

# %%
chapter = open_chapter("09_stress_tests", run_folder=run_folder, cohort_folder=cohort_folder)
patients = chapter.read("01_cohorts/cohort").set_index("patient_id")
tables = ("05_cox_models/scores", "06_km/groups_recommended")
scores, groups = (chapter.read(t).set_index("patient_id").loc[patients.index] for t in tables)
COHORTS = [name for name in COHORTS if (patients["cohort"] == name).any()]
JUDGED = judged_cohort(patients)  # validation, or training where validation has no metastasis
cohort = {name: patients.index[patients["cohort"] == name] for name in COHORTS}
supplied = chapter.read("05_cox_models/scores_recommended").set_index("patient_id").loc[patients.index]
scores = scores.join(supplied[[name for name in supplied if name not in (*MODELS, *scores)]])  # one's own
MODELS = [model for model in dict.fromkeys([*MODELS, *scores]) if model in scores]
MAIN = [model for model in ("dl_combined", "dc") if model in MODELS] or MODELS[-1:]  # told in detail


def outcome(index, time="dmfs_months", event="dm_event"):
    """Return time and event (distant metastasis) of some patients."""
    return patients.loc[index, time].to_numpy(), patients.loc[index, event].to_numpy()


def scored(name, model):
    """Return the patients of a cohort who have a model's score."""
    return cohort[name][scores.loc[cohort[name], model].notna()]


# %%
candidates = code_covariates(patients)
clinical = covariate_names(clinical_covariates, candidates)
overview = pd.DataFrame({"cohort": COHORTS, "patients": [len(cohort[name]) for name in COHORTS]})
overview["distant metastases"] = [int(outcome(cohort[name])[1].sum()) for name in COHORTS]
chapter.table("events", overview, "Patients and events of the stress tests.")

# %% [markdown]
# ## Method
#
# A result is put under stress in three ways. **No effect**: the same analysis where there is nothing to
# find; what it finds then is what chance and the method add. **Again**: the same procedure on bootstrap
# samples, or in other patients. **Otherwise**: another defensible choice in place of the one made.
#
# No test of this kind is in the paper. They are those that textbooks and reporting guides ask of a prediction
# model ([Steyerberg 2009](bibliography.md)).
#
# {term}`Optimism` is measured as follows ([Harrell et al. 1996](bibliography.md)). In each bootstrap sample
# $b$ the whole procedure is repeated, selection included; the model's C-index there, $C_b$, less its C-index
# in the original patients, $C_b^0$, is how much it flatters itself:
#
# $$C_{\text{corrected}} = C_{\text{apparent}} - \frac1B \sum_{b=1}^{B} \left(C_b - C_b^0\right).$$

# %%
from npcbook.statistics import optimism_corrected_c

show_source(optimism_corrected_c)

# %% [markdown]
# ## Result
#
# (stress-cutpoint)=
# ### The best cut-off of a useless score
#
# The training cohort's own outcomes, and random scores, whose best {term}`cut-off` is searched, and whose
# p-value is corrected by permutations, as in [chapter 06](06_km.ipynb). Under no effect a p-value is below
# any $x$ in a share $x$ of analyses: its curve lies on the diagonal.

# %%
from npcbook.statistics import cutpoint_under_no_effect
from npcbook.words import format_estimate, format_hr, format_number, format_p, style_of

null = pd.DataFrame(columns=["p_naive", "p_corrected", "hr"], dtype=float)
with chapter.noting("Cut-off under no effect"):
    training, rng = outcome(cohort["training"]), np.random.default_rng(seed)
    null = cutpoint_under_no_effect(*training, n_repeats=n_repeats, rng=rng)
fig, (ax,) = small_multiples(1, panel_height=4.2, width=5.2)
shown = {"p_naive": ("as published", "naive: cut-off taken as given"),
         "p_corrected": ("recommended", "corrected for the search")}  # fmt: skip
for column, (track, name) in shown.items() if len(null) else ():
    color, line = style_of(track)
    ax.ecdf(null[column], label=name, color=color, linestyle=line)
ax.plot([0, 1], [0, 1], color="0.45", linewidth=0.9, linestyle=(0, (4, 3)), label="what a p-value must do")
ax.set(xlabel="p-value", ylabel="Share of random scores with a smaller one", xlim=(0, 1), ylim=(0, 1))
ax.legend(loc="lower right", fontsize=8)
alt = "Distribution of the naive and the corrected p-value when the score has no effect."
chapter.figure("cutpoint_under_no_effect", fig, alt)


# %%
def percent(share):
    """Return a share as text, in per cent."""
    return MISSING if np.isnan(share) else f"{100 * share:.1f} %"


naive, corrected = (percent((null[name].dropna() < 0.05).mean()) for name in ("p_naive", "p_corrected"))
middle = format_number(null["hr"].median())
upper = format_number(null["hr"].quantile(0.95, interpolation="lower"))
sentence = (
    f"Scores that have nothing to do with the outcome reach p < 0.05 in {naive} of searches for the best "
    f"cut-off when the search is ignored, and in {corrected} when it is corrected for; their median hazard "
    f"ratio is {middle} ([cut-off](#stress-cutpoint))."
)
first, last = sentence.split("; their")
first = first.replace("reach p < 0.05", "look significant")
chapter.takeaway(1, f"**A searched cut-off does not bear its p-value. {first}**; their{last}")
chapter.front_page(sentence, position=3)

# %%
printed_hr = lookup("text.training.km_hr.dl_combined")["printed"]
chapter.say(
    f"*How to read it.* A curve above the diagonal finds effects that are not there; one on or below it does "
    f"not. Of {n_repeats} random scores {naive} look significant at 5 % when the search is ignored, "
    f"{corrected} when it is corrected for. The hazard ratio is inflated with them: the median under no "
    f"effect is {middle} where the truth is 1, and one score in twenty passes {upper}. The paper's DL hazard "
    f"ratio in training, {printed_hr}, must be seen against this, not against 1. The simulation covers the "
    f"search only: a score that was fitted to the outcomes has a further advantage, which no random score "
    f"has."
)

# %% [markdown]
# (stress-optimism)=
# ### Optimism of the training C-index
#
# Four procedures: the clinical model with its covariates chosen by p < 0.05 in univariable and
# multivariable analysis, the same with the covariates given, and the RC and DC models as published, whose
# scores enter as fixed. Patients with an unknown covariate are left out of the first (complete cases).


# %%
def fit_given(time, event, table):
    """Fit all columns that vary."""
    varying = table.loc[:, table.nunique() > 1]
    return fit_cox(time, event, varying, on_monotone="report").risk


def fit_selected(time, event, table):
    """Choose covariates as the paper did, by both kinds of p-value, and fit those."""
    varying = table.loc[:, table.nunique() > 1]
    together = fit_cox(time, event, varying, on_monotone="report")
    alone = univariable_cox(time, event, varying)["p_value"].to_numpy()
    chosen = varying.columns[(together.p_value < 0.05) & (alone < 0.05)]
    if chosen.empty:
        raise ValueError("no covariate has p < 0.05 in both analyses, so there is no model: use given ones.")
    return fit_given(time, event, varying[chosen])


PROCEDURES = {
    "Clinical, covariates selected": (fit_selected, candidates),
    "Clinical, covariates given": (fit_given, candidates[clinical]),
}
WITH_SCORE = {"radiomics_combined": "RC, radiomics score fixed", "dl_combined": "DC, DL score fixed"}
for name in (name for name in WITH_SCORE if name in scores):
    PROCEDURES[WITH_SCORE[name]] = fit_given, candidates[clinical].join(scores[name])

# %%
rows = []
for name, (fit, table) in PROCEDURES.items():
    known = {c: table.loc[cohort[c]].dropna() for c in COHORTS}
    data = (*outcome(known["training"].index), known["training"])
    row = {"procedure": name, "patients": len(known["training"]), "events": int(data[1].sum())}
    row |= dict.fromkeys(("apparent", "optimism", "corrected", "samples with a model"), MISSING)
    row["validation (95 % CI)"] = MISSING
    with chapter.noting(f"Optimism: {name}"):
        rng = np.random.default_rng(seed)
        result = optimism_corrected_c(*data, fit, n_resamples=n_resamples, rng=rng)
        row |= {"apparent": format_number(result.apparent), "optimism": format_number(result.optimism, 3)}
        row |= {"corrected": format_number(result.corrected), "samples with a model": result.n_resamples}
        with chapter.noting(f"Validation: {name}"):
            new = known.get("validation", known["training"][:0])
            row["validation (95 % CI)"] = str(harrell_c(*outcome(new.index), fit(*data)(new)))
    rows.append(row)
optimism = pd.DataFrame(rows)
chapter.table("optimism", optimism, "Harrell's C: apparent, corrected for optimism, and external.")

# %%
selected = optimism.iloc[0]
held = (
    f"has a training C-index of {selected['apparent']}, and of {selected['corrected']} after correction by "
)
held += f"{n_resamples} bootstrap samples that repeat the choice too"
if selected["apparent"] == MISSING:
    held = f"has none here: these {selected['events']} events bear no such choice"
chapter.takeaway(
    2,
    f"A clinical model whose covariates are chosen by p-value in these patients, as the paper chose its own, "
    f"{held} ([optimism](#stress-optimism)).",
)

# %% [markdown]
# *How to read it.* From *apparent* to *corrected* is what a model owes to being judged on its own patients,
# as far as it can be known without others; from *corrected* to *validation* is what other hospitals change
# beyond that. The correction covers the steps that are repeated, and no others. Selecting covariates is one
# of them in the first row; making the radiomics and the DL score is not in the last two, so these stay too
# good: there only the validation column is honest<span class="planted">, and not wholly, as settings were
# chosen [in sight of it](09c_other_cohorts.ipynb)</span>.
#
# (stress-permuted)=
# ### Outcomes dealt to the wrong patients
#
# Within each cohort, follow-up and event are dealt out anew, and the clinical model (covariates given) is
# fitted and validated. Nothing can be learned, so the validation C-index must centre on 0.5. This checks the
# code of this page and shows how far chance moves a C-index. It cannot find a leak in the chapters before,
# whose scores are not made anew; that fits do not use validation data is for the library's tests to show. The
# training row shows what fitting alone adds.

# %%
from npcbook.statistics import permuted_c

known = {c: candidates.loc[cohort[c], clinical].dropna() for c in COHORTS}
data = [(*outcome(table.index), table) for table in (known["training"], known[JUDGED])]
rows = []
with chapter.noting("Permuted outcomes"):
    rng = np.random.default_rng(seed)
    permuted = permuted_c(*data, fit_given, n_permutations=n_permutations, rng=rng)
    for name in dict.fromkeys(["training", *COHORTS]):
        low, median, high = permuted[name].quantile([0.025, 0.5, 0.975])
        rows.append({"C-index in": name, "mean": format_number(permuted[name].mean(), 3)})
        rows[-1] |= {"median (95 % of permutations)": format_estimate(median, low, high)}
        rows[-1] |= {"permutations": len(permuted)}
chance = pd.DataFrame(rows or [{"C-index in": "not estimable"}])
chapter.table("permuted", chance, "C-index of the clinical model after permuting the outcomes.")

# %%
mean = rows[-1]["mean"] if rows else MISSING
chapter.say(
    "*How to read it.* The validation row, where there is one, should hold 0.5 in its middle: the mean of "
    f"the last row is {mean}, of "
    f"{n_permutations} permutations. The width of its range is what chance alone does to a C-index with this "
    f"many events; a model inside it cannot be told from chance by this measure. The training row lies above "
    f"0.5 because fitting finds something in any data."
)
chapter.takeaway(
    3,
    f"With outcomes dealt to the wrong patients the {JUDGED} C-index of the clinical model is {mean} on "
    f"average; chance is 0.5 ([chance](#stress-permuted)).",
)

# %% [markdown]
# (stress-sample-size)=
# ### Events per parameter
#
# Riley's criteria ask for an expected shrinkage of at least 0.9 and an {term}`optimism` of at most 0.05 in R²
# relative to its maximum; R² is assumed to be 15 % of that maximum. Parameters are all those that were
# tried, not those kept.

# %%
from npcbook.statistics import minimum_sample_size

n, events = len(cohort["training"]), int(outcome(cohort["training"])[1].sum())
tried = {
    "clinical model, covariates given": len(clinical),
    "clinical candidates": candidates.shape[1],
    "radiomic features": int(float(lookup("text.radiomics.features")["printed"])),
}
tried = {name: p for name, p in tried.items() if p}  # patients may be ranked by a score alone
sizes = {name: minimum_sample_size(p, n, events, share_of_maximum=0.15) for name, p in tried.items()}
needs = pd.DataFrame({
    "model": list(tried),
    "parameters": [f"{p:,}" for p in tried.values()],
    "events per parameter": [format_number(events / p, 2) for p in tried.values()],
    "patients needed": [f"{size.n_patients:,}" for size in sizes.values()],
    "events needed": [f"{size.n_events:,}" for size in sizes.values()],
    "shrinkage expected here": [format_number(size.expected_shrinkage) for size in sizes.values()],
})  # fmt: skip
chapter.table("sample_size", needs, f"Sample size for {events} events among {n} training patients.")

# %%
what = [*tried][-2:][0]  # the clinical candidates, if there are any
chapter.takeaway(
    4,
    f"Estimating the {tried[what]} {what} with little overfitting takes about "
    f"{needs['patients needed'].iloc[-2:].iloc[0]} patients at this event rate; the training cohort has {n} "
    f"([sample size](#stress-sample-size)).",
)

# %% [markdown]
# *How to read it.* Shrinkage is the factor by which the fitted coefficients should be multiplied to hold in
# new patients; 0.9 or more means little {term}`overfitting`. What counts is events, not patients: adding
# patients without metastasis hardly helps. The criteria are for models without penalty: the {term}`LASSO`
# shrinks, but what it selects from so many features is as uncertain as the last row says. For a network no
# such count exists; it has more coefficients than there are features.
#
# (stress-uno)=
# ### Uno's C beside Harrell's
#
# Harrell's {term}`C <C-index>` averages over the pairs that censoring happened to leave; Uno's ([Uno et al.
# 2011](bibliography.md)) weighs them so that follow-up no longer matters, if censoring has nothing to do with
# the covariates. Both use events up to the horizon, and the scores as published.

# %%
from npcbook.statistics import uno_c

rows = []
for model in MODELS:
    row = {"model": LABELS[model]}
    for name in COHORTS:
        found, index = {}, scored(name, model)
        data = (*outcome(index), scores.loc[index, model])
        for label, estimate in {"Harrell": harrell_c, "Uno": uno_c}.items():
            with chapter.noting(f"{label}'s C: {LABELS[model]}, {name}"):
                found[label] = estimate(*data, tau=horizon_months)
            row[f"{name}, {label}"] = str(found.get(label, MISSING))
        row[f"{name}, difference"] = found["Uno"].c - found["Harrell"].c if len(found) == 2 else np.nan
    rows.append(row)

# %%
uno = pd.DataFrame(rows)
chapter.table("uno", uno, f"C-index up to {horizon_months} months by Harrell and by Uno.")

# %%
largest = uno[[f"{name}, difference" for name in COHORTS]].abs().max().max()
chapter.say(
    f"*How to read it.* The largest difference between the two is {format_number(largest, 3)}. Small ones "
    f"say that the pattern of follow-up is not what made a C-index high or low; they say nothing about "
    f"overfitting, which both share."
)

# %% [markdown]
# Uno's C is scikit-survival's too. The kernel of this book stands here for its standard error, which
# `concordance_index_ipcw` does not give.

# %%
from sksurv.metrics import concordance_index_ipcw
from sksurv.util import Surv

differences = []
for name, model in product(COHORTS, MODELS):
    (time, event), risk = outcome(scored(name, model)), scores.loc[scored(name, model), model].to_numpy()
    if not event.any():
        continue
    survival, library = Surv.from_arrays(event == 1, time), np.nan
    with chapter.noting(f"scikit-survival's C: {LABELS[model]}, {name}"):
        library = concordance_index_ipcw(survival, survival, risk, tau=horizon_months)[0]
    with chapter.noting(f"Uno's C: {LABELS[model]}, {name}"):
        differences.append(abs(library - uno_c(time, event, risk, tau=horizon_months).c))
if np.isfinite(differences).any():
    chapter.say(f"The largest difference over models and cohorts is {np.nanmax(differences):.0e}.")

# %% [markdown]
# (stress-definition)=
# ### What counts as an event
#
# The paper does not say whether a death without metastasis is an event of {term}`DMFS`. Counting metastasis
# only (the default here, for the reason given in [chapter 01](01_cohorts.ipynb)) estimates something other
# than counting both, as most trials do.

# %%
happened, has_os = patients["dm_event"] == 1, patients["os_months"].notna().any()
later = patients["os_months"] if has_os else patients["dmfs_months"]
patients["either_months"] = patients["dmfs_months"].where(happened, later)
patients["either_event"] = (happened | (patients["os_event"] == 1)).astype(int)
EITHER = "either_months", "either_event"
DEFINITIONS = {"metastasis, deaths censored": ENDPOINTS["DMFS"]}
DEFINITIONS |= {"metastasis or death": EITHER} if has_os else {}

# %%
rows, rate_name = [], f"{horizon_months}-month rate, % (95 % CI)"
for (text, columns), name in product(DEFINITIONS.items(), COHORTS):
    time, event = outcome(cohort[name], *columns)
    row = {"event": text, "cohort": name, "events": int(event.sum()), rate_name: MISSING}
    with chapter.noting(f"Rate: {name}, {text}"):
        row[rate_name] = f"{rate_at(time, event, horizon_months):1%}"
    for model in MAIN:
        row[f"C-index, {LABELS[model]}"] = MISSING
        with chapter.noting(f"C-index: {LABELS[model]}, {name}, {text}"):
            index = scored(name, model)
            c = harrell_c(*outcome(index, *columns), scores.loc[index, model])
            row[f"C-index, {LABELS[model]}"] = str(c)
    rows.append(row)

# %%
definitions = pd.DataFrame(rows)
chapter.table("definition", definitions, "DMFS by two definitions of its event.")

# %%
counted = definitions.loc[definitions["cohort"] == "training", "events"].astype(str)
chapter.say(
    f"*How to read it.* Events in the training cohort, by definition: {' and '.join(counted)}. A score "
    f"made to predict metastasis says less about deaths from other causes, so its C-index usually falls when "
    "these count."
)

# %% [markdown]
# (stress-competing)=
# ### Death as a competing event
#
# One minus Kaplan–Meier is the risk of metastasis if nobody died of anything else, and if those who died
# would have had the same risk as those who lived. The share of patients who will actually be seen with
# metastasis, death being a {term}`competing risk`, is the cumulative incidence (Aalen–Johansen; from
# scikit-survival, and one minus Kaplan–Meier where only one kind of event occurred). Groups by the
# recommended DL score.


# %%
from npcbook.statistics import cumulative_incidence


def first_event(name, group):
    """Return time and kind of the first event (1 metastasis, 2 death without) of a risk group of a cohort."""
    index = cohort[name][groups.loc[cohort[name], MAIN[0]] == group]
    time, event = outcome(index)
    return time, np.where(event == 1, 1, 2 * patients.loc[index, "os_event"].fillna(0).astype(int))


def draw_incidence(ax, name, group, kind):
    """Draw the cumulative incidence of a kind of event in a risk group of a cohort."""
    color, line = style_of(group)
    time, cause = first_event(name, group)
    curve = cumulative_incidence(time, np.where(cause > 0, np.where(cause == kind, 1, 2), 0))
    label = f"{LABELS[group]}: {'metastasis' if kind == 1 else 'death without'}"
    style = {"color": color, "linestyle": line if kind == 1 else (0, (1, 2)), "label": label}
    ax.step(curve.time, 100 * curve.incidence, where="post", **style)
    if kind == 1:
        limits = 100 * curve.low, 100 * curve.high
        ax.fill_between(curve.time, *limits, step="post", color=color, alpha=0.15, linewidth=0)


# %%
fig, axes = small_multiples(len(COHORTS), panel_height=3.6, width=5.6)
for ax, name in zip(axes, COHORTS, strict=True):
    for group, kind in product(("high", "low"), (1, 2)):
        with chapter.noting(f"Cumulative incidence: {name}, {group} risk, event {kind}"):
            draw_incidence(ax, name, group, kind)
    ax.set(xlabel="Months", ylabel="Cumulative incidence, %", ylim=(0, None))
    ax.set_title(f"{LABELS[name]} cohort", loc="left")
    ax.legend(fontsize=8, loc="upper left")
alt = "Cumulative incidence of metastasis, and of death without it, by DL risk group and cohort."
chapter.figure("cumulative_incidence", fig, alt)

# %%
rows = []
for name, group in product(COHORTS, ("high", "low")):
    time, cause = first_event(name, group)
    event, index = (cause == 1).astype(int), time
    row = {"cohort": name, "risk": group, "patients": len(index)}
    row |= dict.fromkeys(("1 − Kaplan–Meier", "cumulative incidence", "deaths without metastasis"), MISSING)
    with chapter.noting(f"Death ignored: {name}, {group} risk"):
        row["1 − Kaplan–Meier"] = percent(1 - rate_at(time, event, horizon_months).value)
    with chapter.noting(f"Competing death: {name}, {group} risk"):
        found = cumulative_incidence(time, cause, at=[horizon_months])
        limits = (100 * found.incidence[0], 100 * found.low[0], 100 * found.high[0])
        row["cumulative incidence"] = f"{format_estimate(*limits, 1)} %"
        row["deaths without metastasis"] = int((cause == 2).sum())
    rows.append(row)
chapter.table("competing", pd.DataFrame(rows), f"Risk of metastasis by {horizon_months} months.")

# %% [markdown]
# *How to read it.* Where few die without metastasis by the horizon the two columns agree; in an older cohort
# they would not, and the first would be too high. A hazard ratio of the Cox model is *cause-specific*: it
# holds among those still free of either event. Fine and Gray's regression, of the cumulative incidence, and
# Gray's test are not here: no library of this book has them, the paper prints neither, and they differ from
# Cox model and log-rank test as far as the two columns do.
#
# (stress-missing)=
# ### Missing laboratory values
#
# The paper leaves out patients with unknown {term}`LDH` or {term}`EBV DNA`, which assumes that values are
# missing by chance alone. First, where they are missing:

# %%
LABORATORY = {"ldh_abnormal": "LDH", "ebv_detectable": "EBV DNA"}
unknown = candidates.reindex(columns=list(LABORATORY)).isna()
known_event = patients["dm_event"] == 1
rows = []
for center, part in patients.groupby("center"):
    row = {"centre": center, "patients": len(part)}
    for column, name in LABORATORY.items():
        lost = unknown.loc[part.index, column]
        row[f"{name} unknown"] = percent(lost.mean())
        row[f"{name} unknown, with metastasis"] = f"{(lost & known_event[part.index]).sum()} / {lost.sum()}"
    rows.append(row)
chapter.table("missing", pd.DataFrame(rows), "Unknown laboratory values by centre; metastases among them.")

# %% [markdown]
# Second, the multivariable model in the training cohort by complete cases and by {term}`multiple imputation`
# ([Jakobsen et al. 2017](bibliography.md)): each unknown value is drawn from a model of all other covariates
# and of the outcome (event and cumulative hazard), twenty times, and the fits are pooled by Rubin's rules.


# %%
from npcbook.statistics import impute_binary, pool


def pooled_cox(time, event, table):
    """Return the multivariable model pooled over imputed data sets."""
    sets = impute_binary(time, event, table, n_imputations=20, rng=np.random.default_rng(seed))
    fits = [fit_cox(time, event, data) for data in sets]
    return pool([fit.coef for fit in fits], [fit.se for fit in fits])


table = candidates.loc[cohort["training"]]
table = table.loc[:, table.nunique() > 1]
kept, shown = table.dropna(), pd.DataFrame({"covariate": table.columns.map(COVARIATES)})
with chapter.noting("Complete cases"):
    complete = fit_cox(*outcome(kept.index), kept)
    shown[f"complete cases (n = {len(kept)}), HR (95 % CI)"] = [str(complete[name]) for name in table]
with chapter.noting("Multiple imputation"):
    imputed = pooled_cox(*outcome(table.index), table)
    ratios = np.exp([imputed.coef, imputed.low, imputed.high]).T
    shown[f"imputed (n = {len(table)}), HR (95 % CI)"] = [format_hr(*ratio) for ratio in ratios]
    shown["p, imputed"] = [format_p(p) for p in imputed.p_value]
    shown["variance due to missing values"] = [percent(share) for share in imputed.missing_information]
if len(shown.columns) > 1:
    chapter.table("imputation", shown, "Multivariable model of distant metastasis, training cohort.")

# %% [markdown]
# *How to read it.* Where the two columns differ by much of an interval, leaving patients out was not
# harmless. The last column is the share of an estimate's uncertainty that comes from not knowing the
# values. Imputation in turn assumes that what is missing can be told from what is known: if, say, EBV DNA
# was measured in those who looked ill, and this is not in the table, both columns are wrong.

# %% tags=["hide-output"]
chapter.not_estimable()

# %% [markdown]
# ## Against the paper
#
# The paper prints none of these checks. What it prints that they bear on stands beside them; the values
# here are for this run's patients, so that only the kind of change carries over, not its size.


# %%
def printed(published_id):
    """Return a printed number with its interval, as printed."""
    row = lookup(published_id)
    interval = f" ({row['low_printed']}–{row['high_printed']})" if row["low_printed"] else ""
    return f"{row['printed']}{interval}"


def here(writer, published_id, as_text):
    """Return the value that an earlier chapter set beside a printed number, as text; else a dash."""
    if not (chapter.run_folder / writer / "values.csv").exists():
        return MISSING  # there, nothing could be set beside print: scores of one's own have no counterpart
    rows = chapter.read(f"{writer}/values").set_index(["id", "track"])
    if (published_id, "as published") not in rows.index:
        return MISSING
    return as_text(*rows.loc[(published_id, "as published"), ["value", "low", "high"]])


# %%
def if_counted(column, name):
    """Return a cell of the table of definitions: deaths counted, of a cohort; a dash where there is none."""
    rows = definitions[(definitions["cohort"] == name) & (definitions["event"] == "metastasis or death")]
    return rows[column].iloc[0] if len(rows) else MISSING


# %%
HR, C = "text.training.km_hr.dl_combined", "table4.validation.c_index.dc"
beside = pd.DataFrame(
    [
        ("C-index of the clinical model (covariates selected anew), training",
         printed("table4.training.c_index.clinical"),
         optimism["apparent"].iloc[0], f"{optimism['corrected'].iloc[0]} corrected for optimism"),
        ("DL hazard ratio at the best cut-off, training", printed(HR), here("06_km", HR, format_hr),
         f"a useless score's best cut-off gives {middle} (median)"),
        ("C-index of DC, validation", printed(C), here("05_cox_models", C, format_estimate),
         f"{if_counted(f'C-index, {LABELS[MAIN[-1]]}', JUDGED)} if deaths count"),
        ("5-year DMFS, training, %" + ("" if horizon_months == 60 else f" (here {horizon_months} months)"),
         printed("table1.training.dmfs_5y"), definitions[rate_name].iloc[0],
         f"{if_counted(rate_name, 'training')} if deaths count"),
    ],
    columns=["what", "printed", "as published, here", "what the printed number leaves out"],
).fillna(MISSING)  # fmt: skip
chapter.table("against_paper", beside, "Printed numbers that these checks bear on.")

# %% [markdown]
# *What agreement means.* There is nothing to agree with: the last column holds what the printed number
# leaves out. The checks do not show that the paper's results are wrong. They show how large a result of that
# kind can become without an effect, with these numbers of patients and events, and therefore which of the
# printed ones would need the missing check before anybody acts on them. <span class="planted">
# {term}`Truth <planted truth>` is not shown because each check is its own comparison: with chance, other
# patients, or another choice.</span>
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `clinical_covariates = "t2,rene_g1,rene_g2,female,age,n1"`: more coefficients that need not matter. The
#   optimism of the model with given covariates usually grows, its validation C-index usually does not.
# - `horizon_months = 36`: fewer events by then, so that rates rise and both kinds of C-index rest on fewer
#   pairs.
# ```
#
# ## Limits and deviations
#
# - Random scores are continuous. A score with few values, like the clinical one, offers fewer cuts and
#   inflates less.
# - The bootstrap cannot repeat the training of the networks or the radiomics selection in the time of a
#   page; their optimism is part of the step from the training to the validation column. What scoring out of
#   fold takes off is in [chapter 05](#cox-recommended).
# - No p-value on this page is corrected for the number of checks; they are descriptions, not findings.
# - Riley's criteria assume a share of explainable variation; the numbers needed are roughly inversely
#   proportional to it: half the share, about twice the patients.
#
# **Hands over** nothing: this chapter only judges.
