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
# # What the models are worth
#
# **Are the predicted risks right, does acting on them help, and for whom?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the cohort table (chapter 01), the scores of chapter 05 and, out of fold, those of chapter 03.
# **Writes** tables for the reader only.
#
# ## Setup

# %%
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import chi2

from npcbook.book import open_chapter, plot_calibration, show_source, small_multiples
from npcbook.cohort import judged_cohort
from npcbook.statistics import bootstrap_limits, brier_score, fit_cox, harrell_c

# %%
from npcbook.words import (
    COHORTS,
    ENDPOINTS,
    LABELS,
    MISSING,
    MODELS,
    SUPPLIED,
    TRACKS,
    as_markdown,
    format_estimate,
    format_number,
    format_p,
)

# %% tags=["parameters"] needs="dmfs metastases models"
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
horizon_months = 60  # 1 to last follow-up, months; by when risks are predicted, as the paper's 5-year figures
thresholds = "5,10,20"  # numbers, 0.1 to 99, per cent; predicted risks from which one might treat
local_events = "5,10,20,40,80"  # whole numbers, 1 to 10000; metastases at a centre, to update predictions by
n_resamples = 300  # 1 or more; bootstrap samples, and samples of a new centre
seed = 2023  # 0 or more; of all random numbers here

# %% [markdown]
# ## Data
#
# Scores and outcomes of [chapter 05](05_cox_models.ipynb): as published, and recommended, by which training
# patients are scored {term}`out of fold`. The event is {term}`distant metastasis`, deaths are
# {term}`censored <censoring>`, times are months. Everything below is judged in the validation cohort, in
# whose patients nothing is fitted unless a section says so.<span class="planted"> It is not wholly blind.
# While settings were chosen, by values of training patients, the validation values of the default synthetic
# cohort (seed 50) and of another (seed 101) stood on the screen; those of the cohorts of chapter 09c (seeds
# from 201) did not ([results](09c_other_cohorts.ipynb)).</span>

# %%
chapter = open_chapter("09b_model_worth", run_folder=run_folder, cohort_folder=cohort_folder)
patients = chapter.read("01_cohorts/cohort").set_index("patient_id")
tables = ("05_cox_models/scores", "05_cox_models/scores_recommended")
scores = (chapter.read(table).set_index("patient_id").loc[patients.index] for table in tables)
SCORES = dict(zip(TRACKS, scores, strict=True))
COHORTS = [name for name in COHORTS if (patients["cohort"] == name).any()]
cohort = {name: patients.index[patients["cohort"] == name] for name in COHORTS}
JUDGED = judged_cohort(patients)  # validation, or training where validation has no metastasis
MODELS = [model for model in MODELS if model in SCORES[TRACKS[0]]]
MAIN = next(model for model in ("dc", *MODELS[::-1]) if model in MODELS)  # the model told in detail
NAME = f"the {LABELS[MAIN]} model"

# %%
OWN = [name for name in SCORES[TRACKS[1]] if name not in MODELS]  # one's own, as supplied
LABELS = LABELS | {name: f"{name} ({SUPPLIED})" for name in OWN}
MODELS = [*MODELS, *OWN]
LOOKS = [(model, track) for model, track in product(MODELS, TRACKS) if model in SCORES[track]]
if JUDGED == "training":
    chapter.say(
        "This cohort has no validation patients with metastases. Training patients are judged instead: with "
        "recommended scores, each from models that had not seen the patient, honestly; with published ones "
        "not. The step from score to probability is fitted on the patients who are judged."
    )


def outcome(index):
    """Return time and event (distant metastasis) of some patients."""
    return tuple(patients.loc[index, column].to_numpy() for column in ENDPOINTS["DMFS"])


def percent(share, decimals=1):
    """Return a share as text, in per cent."""
    return f"{format_number(100 * share, decimals)} %" if np.isfinite(share) else MISSING


# %%
overview = pd.DataFrame({"cohort": COHORTS, "patients": [len(cohort[name]) for name in COHORTS]})
overview["distant metastases"] = [int(outcome(cohort[name])[1].sum()) for name in COHORTS]
chapter.table("events", overview, "Patients and events.")

# %% [markdown]
# ## Method
#
# Four questions, in the order in which they matter to a patient. Is the predicted probability right
# ({term}`calibration`)? How near do predictions come to what happens (Brier score)? Does acting on
# them help ({term}`net benefit`)? And is it so for everybody, at every hospital? None of them is answered by
# a {term}`C-index`, which knows ranks only, and the paper answers none of them. Limits are those of the
# bootstrap, all patients being drawn: samples that hold the number of events, as is sometimes done, give
# limits that are too narrow for anything that depends on it.

# %%
show_source(bootstrap_limits)

# %% [markdown]
# ## Result
#
# (worth-calibration)=
# ### Calibration by the horizon
#
# A score ranks patients; a decision needs a probability. Each score is turned into one by a {term}`Cox model`
# of that score in the training cohort: as published, of patients whom a model had seen; as recommended, of
# patients whom it had not, the DL score being that of another head on other features. The probability is then
# tried on the validation cohort, where nothing is fitted. Slope (over all follow-up): below 1, high risks are
# overstated and low ones understated. O/E: observed over expected metastases, above 1 if risk is understated
# on the whole. ICI: mean distance between predicted and (smoothed) observed risk; the smooth curve is a
# straight line unless there are ten metastases for each coefficient of a bent one. Observed risks are one
# minus {term}`Kaplan–Meier <Kaplan–Meier curve>`.

# %%
from npcbook.statistics import calibrate, calibration_curve, fit_absolute_risk


def scored(track, model, index):
    """Return the patients who have a model's score."""
    return index[SCORES[track].loc[index, model].notna()]


absolute = {}
for model, track in LOOKS:
    with chapter.noting(f"Absolute risk: {LABELS[model]}, {track}"):
        index = scored(track, model, cohort["training"])
        data = (*outcome(index), SCORES[track].loc[index, model])
        absolute[track, model] = fit_absolute_risk(*data, horizon_months)


def predicted_risk(track, model, index):
    """Return predicted risks of some patients by the horizon, by a model's scores of a track."""
    if (track, model) not in absolute:
        raise ValueError("the training patients bear no absolute risk.")
    return absolute[track, model].predict(SCORES[track].loc[index, model])


# %%
places = {JUDGED: cohort[JUDGED]}
for center, part in patients.loc[cohort[JUDGED]].groupby("center"):
    places[f"{JUDGED}, centre {center}"] = part.index
calibrations = {}
for (model, track), (place, index) in product(LOOKS, places.items()):
    if (track, model) in absolute and len(index := scored(track, model, index)):
        data = (*outcome(index), predicted_risk(track, model, index), horizon_months)
        with chapter.noting(f"Calibration: {LABELS[model]}, {track}, {place}"):
            calibrations[track, model, place] = calibrate(*data)


# %%
def calibration_table(models, places):
    """Return one row per model, track and place; dashes where the data allow no calibration."""
    columns, rows = ["slope (95 % CI)", "expected", "observed", "O/E (95 % CI)", "ICI"], []
    for (model, track), place in product((look for look in LOOKS if look[0] in models), places):
        row = {"model": LABELS[model], "scores": track, "patients of": place}
        row |= dict.fromkeys(columns, MISSING)
        if result := calibrations.get((track, model, place)):
            row |= {"slope (95 % CI)": str(result.slope), "O/E (95 % CI)": str(result.o_e)}
            row |= {name: percent(getattr(result, name.lower())) for name in ("expected", "observed", "ICI")}
        rows.append(row)
    return pd.DataFrame(rows)


whole, *centres = places
caption = f"Calibration of the risk of metastasis by {horizon_months} months, {JUDGED} cohort."
chapter.table("calibration", calibration_table(MODELS, [whole]).drop(columns="patients of"), caption)
caption = f"Calibration of {NAME} in each {JUDGED} centre."
chapter.table("calibration_centres", calibration_table([MAIN], centres), caption)

# %%
DL, steps = "dl_combined", {}
kept = chapter.run_folder / "03_dl_training/scores_out_of_fold.csv"  # not there for scores of one's own
with chapter.noting("Calibration: DL, the published head out of fold"):
    if kept.exists() and ("as published", DL) in absolute:
        unseen = chapter.read("03_dl_training/scores_out_of_fold").set_index("patient_id")[DL]
        known = [unseen.reindex(cohort[name]).dropna() for name in ("training", JUDGED)]
        risks = fit_absolute_risk(*outcome(known[0].index), known[0], horizon_months).predict(known[1])
        steps["kept"] = calibrate(*outcome(known[1].index), risks, horizon_months).slope
for track in TRACKS:
    if result := calibrations.get((track, DL, whole)):
        steps[track] = result.slope

# %%
slopes = calibration_table([MAIN], [whole]).set_index("scores")["slope (95 % CI)"]
HEAD = "another head, and " if MAIN in ("dc", DL) else ""  # what else differs between the tracks
chapter.say(
    f"In the {JUDGED} cohort the calibration slope of {NAME} is {slopes['as published']} as published and "
    f"{slopes['recommended']} as recommended ({HEAD}training patients scored out of fold); 1 is right."
)
if len(steps) > 2:
    chapter.say(
        f"One change at a time, for the DL score: {steps['as published']} as published; {steps['kept']} with "
        f"that head kept and training patients scored out of fold; {steps['recommended']} with the "
        "recommended head and features, out of fold too."
    )

# %%
fig, axes = small_multiples(2, panel_height=5.0, width=5.0)
for ax, track in zip(axes, TRACKS, strict=True):
    found, curve = {place: calibrations.get((track, MAIN, place)) for place in centres}, None
    parts = [result.groups.assign(cohort=place) for place, result in found.items() if result]
    with chapter.noting(f"Smooth calibration: {LABELS[MAIN]}, {track}"):
        index = scored(track, MAIN, cohort[JUDGED])
        risk, rng = predicted_risk(track, MAIN, index), np.random.default_rng(seed)
        at = np.quantile(risk, np.linspace(0.025, 0.975, 30))
        data = (*outcome(index), risk, horizon_months)
        curve = calibration_curve(*data, at=np.unique(at), n_resamples=n_resamples, rng=rng)
    if parts:
        plot_calibration(pd.concat(parts), horizon_months=horizon_months, curve=curve, ax=ax)
    ax.set_title(f"{LABELS[MAIN]}, scores {track}" + ("" if parts else ": not estimable"), loc="left")
alt = (
    "Observed against predicted risk of metastasis: smooth curve with band, and fifths of predicted risk by "
)
chapter.figure("calibration", fig, alt + "centre.")

# %%
lowest = {track: calibrations.get((track, MAIN, whole)) for track in TRACKS}
texts = (f"{percent(r.groups['predicted'].min(), 2)} {track}" for track, r in lowest.items() if r)
chapter.say(
    "*How to read it.* On the dashed line predictions are right, above it risk is understated. The grey line "
    "is all validation patients together, with its 95 % band, between the lowest and the highest fortieth of "
    "predictions; points are fifths of predicted risk within a centre, each at its own place and so one over "
    "another where predictions hardly differ. The lowest fifth is told a risk of "
    f"{' and '.join(texts) or MISSING}. A model can rank well and still be far from the line, if it learnt "
    "what a score is worth from patients in whom the score looked better than it was. Scoring "
    "out of fold alone does not put a slope right: training patients are then scored by the models of the "
    "folds, whose scores may rank less well than the whole model's, which moves the slope above 1, or spread "
    "less, which moves it below. Each fifth holds few events, so a single point says little; band, slope and "
    "O/E say more."
)

# %% [markdown]
# (worth-brier)=
# ### Prediction error
#
# The Brier score is the mean squared distance between predicted probability and what happened, 0 or 1,
# weighted for censoring. The index of prediction accuracy (IPA) sets it beside the score of who predicts the
# average for everybody:
#
# $$\mathrm{IPA} = 1 - \frac{\text{Brier score of the model}}{\text{Brier score of the average}}.$$
#
# 0 is no better than the average, below 0 is worse. Ranking and calibration both count.


# %%
def accuracy(track, model, index):
    """Return the Brier score of a model's risks in some patients, and the IPA with bootstrap limits."""
    survival, (time, event) = 1 - predicted_risk(track, model, index), outcome(index)

    def ipa(rows):
        return brier_score(time[rows], event[rows], survival[rows], horizon_months).ipa

    whole = brier_score(time, event, survival, horizon_months)
    rng = np.random.default_rng(seed)
    return whole, bootstrap_limits(ipa, len(index), n_resamples=n_resamples, rng=rng)


# %%
rows, ipa_of, null = [], {}, {}
for model, track in LOOKS:
    row = {"model": LABELS[model], "scores": track}
    for name in COHORTS if (track, model) in absolute else ():
        with chapter.noting(f"Prediction error: {LABELS[model]}, {track}, {name}"):
            found, limits = accuracy(track, model, scored(track, model, cohort[name]))
            row[f"{name}, Brier score"] = found.brier
            ipa_of[track, model, name] = f"{format_estimate(100 * found.ipa, *(100 * limits), 1)}"
            row[f"{name}, IPA, % (95 % CI)"] = ipa_of[track, model, name]
            null[name] = f"{name} {format_number(found.null, 3)}"
    rows.append(row)

# %%
columns = [f"{c}, {part}" for c in COHORTS for part in ("Brier score", "IPA, % (95 % CI)")]
errors = pd.DataFrame(rows).reindex(columns=["model", "scores", *columns])
caption = (
    f"Prediction error by {horizon_months} months; Brier score of the average: {', '.join(null.values())}."
)
chapter.table("prediction_error", errors, caption)
main_ipa = [ipa_of.get((track, MAIN, JUDGED), MISSING) for track in TRACKS]
chapter.takeaway(
    2,
    f"As published ({HEAD}scores of patients it had seen) its slope is {slopes['as published']} "
    f"([calibration](#worth-calibration)). Against predicting the average, the error in {JUDGED} "
    f"is smaller by {main_ipa[0]} % as published and by {main_ipa[1]} % as recommended (negative: larger) "
    "([prediction error](#worth-brier)).",
)

# %% [markdown]
# *How to read it.* With a rare event even a good model removes only a small part of the error, because most
# of it is chance; what counts is the sign, and which of two models removes more. A model that ranks well but
# is wrong about how much a score is worth can lie below 0. In training the published row is *apparent*.
#
# (worth-decision)=
# ### Decision curve
#
# Whether to act on a probability depends on how many patients one would treat in vain to treat one rightly: a
# threshold of $p$ means $(1-p)/p$ of them. The {term}`net benefit` counts those treated rightly less those in
# vain at that rate,
#
# $$B(p) = \frac{TP}{n} - \frac{FP}{n}\,\frac{p}{1-p},$$
#
# with $TP$ patients above the threshold who have the event, and $FP$ who have not, of $n$. A model is of
# use at a threshold where its curve lies above both treating all and treating none.

# %%
from npcbook.statistics import decision_curve
from npcbook.words import style_of

grid, wanted = np.linspace(0.01, 0.4, 40), [float(number) / 100 for number in thresholds.split(",")]
curves = {}
for track in TRACKS:
    shown = [m for m in dict.fromkeys(("clinical", "dl_combined", MAIN, *OWN)) if (track, m) in absolute]
    index = cohort[JUDGED][SCORES[track].loc[cohort[JUDGED], shown].notna().all(axis=1)]
    policies = {"Treat all": np.ones(len(index))}
    policies |= {model: predicted_risk(track, model, index) for model in shown}
    options = {
        "against": "clinical" if (track, "clinical") in absolute else "Treat all",
        "n_resamples": n_resamples,
        "rng": np.random.default_rng(seed),
    }
    with chapter.noting(f"Net benefit, {track}"):
        at = np.unique(np.round([*grid, *wanted], 6))
        curves[track] = decision_curve(*outcome(index), policies, horizon_months, at, **options)

# %%
fig, axes = small_multiples(2, columns=2, panel_height=3.4, width=7.0)
for ax, track in zip(axes, TRACKS, strict=True):
    for name, part in curves[track].groupby("policy", sort=False) if track in curves else ():
        color, line = style_of(name) if name in LABELS else ("black", (0, (5, 1.5)))
        x = 100 * part["threshold"]
        ax.plot(x, 100 * part["benefit"], color=color, linestyle=line, label=LABELS.get(name, name))
        if name in (MAIN, "clinical"):
            ax.fill_between(x, 100 * part["low"], 100 * part["high"], color=color, alpha=0.12, linewidth=0)
    ax.axhline(0, color="black", linewidth=0.9, label="Treat none")
    top = 100 * max(curves[track]["high"].max(), 0.01) if track in curves else 1
    ax.set(ylabel="Net benefit, per 100 patients", ylim=(-0.3 * top, 1.05 * top), title=f"Scores {track}")
    ax.legend(fontsize=8)
    ax.set_xlabel("Threshold probability, %")
alt = "Net benefit of treating by each model, all or none, by threshold, bands for two models; one panel a "
chapter.figure("decision_curve", fig, alt + "track.")


# %%
def per_hundred(row, *columns):
    """Return a net benefit or a difference with its limits, per 100 patients."""
    return format_estimate(*(100 * row[name] for name in columns), 1)


rows, LESS = [], f"{LABELS[MAIN]} less clinical"
for track, threshold in product(curves, wanted):
    at = curves[track][np.isclose(curves[track]["threshold"], threshold)].set_index("policy")
    row = {"scores": track, "threshold": percent(threshold, 0)}
    for name, values in at.iterrows():
        row[LABELS.get(name, name)] = per_hundred(values, "benefit", "low", "high")
    if MAIN in at.index and MAIN != "clinical":
        less = per_hundred(at.loc[MAIN], "difference", "difference_low", "difference_high")
        row[LESS] = less
    rows.append(row)
caption = f"Net benefit per 100 patients (95 % CI), {JUDGED} cohort."
benefit = pd.DataFrame(rows).fillna(MISSING) if rows else pd.DataFrame({"scores": [MISSING]})
chapter.table("net_benefit", benefit, caption)

# %%
act = percent(wanted[len(wanted) // 2], 0)
middle = benefit[benefit["threshold"] == act] if LESS in benefit else benefit[:0]
texts = [f"{row[LESS]} with scores {row['scores']}" for _, row in middle.iterrows()]
chapter.takeaway(
    3,
    f"Treating from a predicted risk of {act}, the net benefit per hundred patients of {NAME} less the "
    f"clinical one's is {' and '.join(texts) or MISSING}; with both signs in it, either may be better "
    "([decision curve](#worth-decision)).",
)

# %% [markdown]
# *How to read it.* Choose the threshold at which you would act, and go up: of two curves the higher is the
# better policy, as far as the limits of their *difference* in the table exclude 0; the bands of two models
# overlap even where they do, because both rest on the same patients. A curve at the height of *treat none*
# marks thresholds at which a model changes nothing for the better; it has a gap where nobody above was
# followed to the horizon. A wrong calibration costs benefit even where the ranking is right. "Treat" assumes
# a treatment that works and does equal good to all who will have the event, which [chapter
# 08](08_ccnd.ipynb) leaves open.
#
# (worth-added)=
# ### What the DL score adds, and to what
#
# A comparison of C-indices has little power and asks for ranks only. The likelihood ratio asks more: in
# validation, with the score of the clinical model in a {term}`Cox model`, how much does the likelihood rise
# if the DL score enters too? Both coefficients are estimated there, so that a wrong scale of a score costs
# nothing; what is tested is information. Its share is one less the ratio of the two models' likelihood ratio
# statistics.

# %%
ALL_QUESTIONS = {
    "DL score beside the clinical model": ("clinical", "dl_combined"),
    "clinical model beside the DL score": ("dl_combined", "clinical"),
    "radiomics score beside the clinical model": ("clinical", "radiomics_combined"),
}
ALL_QUESTIONS |= {f"{LABELS[name]} beside the clinical model": ("clinical", name) for name in OWN}
QUESTIONS = {question: pair for question, pair in ALL_QUESTIONS.items() if {*pair} <= {*MODELS}}

# %%
rows, added = [], {}
for (question, pair), track in product(QUESTIONS.items(), TRACKS):
    if not {*pair} <= {*SCORES[track]}:
        continue
    table = SCORES[track].loc[cohort[JUDGED], [*pair]].dropna()
    data, table = outcome(table.index), (table - table.mean()) / table.std()
    with chapter.noting(f"Added value: {question}, {track}"):
        alone, both = fit_cox(*data, table[[pair[0]]]), fit_cox(*data, table, limits="profile")
        rise = both.lr_statistic - alone.lr_statistic
        row = {"question": question, "scores": track, "LR χ² alone": alone.lr_statistic, "rise": rise}
        row["p"], share = format_p(chi2.sf(rise, 1)), percent(rise / both.lr_statistic, 0)
        row["share of the information"], row["HR per standard deviation (95 % CI)"] = share, str(both[1])
        added[question, track] = f"{both[1]} with scores {track}"
        rows.append(row)
rows = rows or [{"question": "no score stands beside the clinical model's"}]
chapter.table("added_value", pd.DataFrame(rows), f"Likelihood ratio of a score beside another, {JUDGED}.")

# %%
texts = [added[key] for key in product(list(QUESTIONS)[:1], TRACKS) if key in added]
chapter.takeaway(
    4,
    f"In {JUDGED}, beside the clinical model, the DL score's hazard ratio per standard deviation is "
    f"{' and '.join(texts) or 'not estimable'} ([added value](#worth-added)).",
)

# %% [markdown]
# *How to read it.* A small p says that the score knows something about these patients which the other does
# not. A large one does not show that it knows nothing: the interval of its hazard ratio says how much is
# possible. Information is not benefit; whether it changes what one would do is the decision curve's
# question.
#
# (worth-groups)=
# ### By centre and by sex
#
# A model that ranks well on the whole may do so in one hospital, or one sex, only; and a C-index of all
# centres together also ranks patients of different hospitals against one another. Recommended scores.

# %%
judged = patients.loc[cohort[JUDGED]]
GROUPS = {f"centre {name}": part.index for name, part in judged.groupby("center")}
GROUPS |= {str(name): part.index for name, part in judged.groupby("sex")}
rows, c_by = [], {}
for name, index in GROUPS.items():
    row = {f"patients of {JUDGED}": name, "patients": len(index), "events": int(outcome(index)[1].sum())}
    for model in [model for model in MODELS if model != "rc"]:
        with chapter.noting(f"C-index: {LABELS[model]}, {name}"):
            known = SCORES["recommended"].loc[index, model].dropna()
            c_by[name, model] = harrell_c(*outcome(known.index), known)
            row[f"{LABELS[model]}, C (95 % CI)"] = str(c_by[name, model])
    rows.append(row)
chapter.table(
    "by_group", pd.DataFrame(rows).fillna(MISSING), "C-index by centre and by sex, recommended scores."
)

# %%
from itertools import combinations

from npcbook.statistics import Difference

same = [(a, b) for a, b in combinations(GROUPS, 2) if a.startswith("centre") == b.startswith("centre")]
texts, unlike = [], "not shown"
for a, b in same:
    if (a, MAIN) in c_by and (b, MAIN) in c_by:
        first, second = c_by[a, MAIN], c_by[b, MAIN]
        test = Difference.of(first.c - second.c, np.hypot(first.se, second.se))
        unlike = "shown for a pair of them" if test.p_value * len(same) < 0.05 else unlike
        text = f"{as_markdown(a)} less {as_markdown(b)}: {test:3}, p {format_p(test.p_value)}"
        texts.append(f"{text}; a true difference of {test.detectable:.2f} is found with a power of 80 %")
chapter.say(f"Differences of the C-index of {NAME}. {'. '.join(texts) or 'None could be estimated'}.")

# %%
result = calibrations.get(("recommended", MAIN, whole))
right = "cannot be judged"
if result:
    off = "too extreme" if result.slope.high < 1 else "too moderate" if result.slope.low > 1 else ""
    right = f"are {off or 'right as far as can be told'}, slope {result.slope}"
helps = "cannot be told"
for _, row in middle[middle["scores"] == "recommended"].iterrows():
    at = curves["recommended"].query("policy == @MAIN")
    row_at = at[np.isclose(at["threshold"], wanted[len(wanted) // 2])].iloc[0]
    sure = row_at["difference_low"] > 0 or row_at["difference_high"] < 0
    more = "more" if row_at["difference"] > 0 else "less"
    helps = (
        f"{f'is {more} than' if sure else 'may be more or less than'} by the clinical model, by {row[LESS]}"
    )
chapter.takeaway(
    1,
    f"**By recommended scores, risks of {NAME} {right}; the net benefit per hundred patients of treating "
    f"from {act} on {helps}; that ranking differs between centres or sexes is {unlike}** "
    "([calibration](#worth-calibration), [decisions](#worth-decision), [groups](#worth-groups)).",
)

# %% [markdown]
# *How to read it.* With so few events a group only large differences could be found: the last number of each
# difference says how large. That none is found does not show that the model is fair.
#
# (worth-local)=
# ### A new centre: how many local events it takes
#
# Predicted risks that are off on the whole can be moved (a new baseline hazard), and stretched as well (a
# new slope), by patients of the place. Each needs local metastases. Here, for each validation centre, so
# many are drawn from it (with replacement, other patients in proportion), the DC model's risks are updated
# from them, and compared with the risks after both updates from all of the centre's patients, as if these
# were its truth.

# %%
from npcbook.statistics import recalibrate, recalibration_error

show_source(recalibrate)

# %% tags=["hide-output"]
wanted, parts = [int(number) for number in local_events.split(",")], []
for (name, index), track in product(GROUPS.items(), TRACKS):
    if name.startswith("centre") and (track, MAIN) in absolute:
        index = scored(track, MAIN, index)
        data = (*outcome(index), predicted_risk(track, MAIN, index), horizon_months)
        with chapter.noting(f"Recalibration: {name}, {track}"):
            rng = np.random.default_rng(seed)
            found = recalibration_error(*data, wanted, n_repeats=n_resamples // 3, rng=rng)
            parts.append(found.assign(centre=name, scores=track))
update = (
    pd.concat(parts) if parts else pd.DataFrame(columns=["centre", "scores", "n_events", "update", "error"])
)
local = update.pivot_table(index=["centre", "scores", "n_events"], columns="update", values="error")
local = local.reset_index().rename(columns={"n_events": "local metastases"})
for column in [name for name in local if name in ("none", "baseline", "baseline and slope")]:
    local[column] = [percent(error) for error in local[column]]
caption = "Mean error of predicted risk after an update from local patients."
chapter.table("recalibration", local, caption)

# %%
texts = []
for (centre, track), part in update.groupby(["centre", "scores"]):
    error = part.pivot_table(index="n_events", columns="update", values="error")
    enough = {name: error.index[error[name] < error["none"]] for name in error if name != "none"}
    said = (
        f"{name} {f'from {found[0]} events' if len(found) else 'never'}" for name, found in enough.items()
    )
    texts.append(f"{as_markdown(centre)}, scores {track}: {', '.join(said)}")
chapter.say(f"An update is better than none, on average: {'; '.join(texts) or 'not estimable'}.")

# %% [markdown]
# *How to read it.* Going down, the columns of updates fall with the number of local events, that of none
# stays. Where an update's number is above that of none, local data did more harm than good. A new baseline
# needs few events and mends what is off on the whole, but where the slope is wrong it may harm; a new slope
# needs more. What is taken for a centre's truth is itself an estimate from its few events: the table says
# what local data add, not how good predictions are there.
#
# (worth-precision)=
# ### How many events a validation needs
#
# Limits shrink with the square root of the number of events. From those of the DC model (recommended scores)
# follows how many a validation needs for limits that a clinician could use, which is a choice.

# %%
from npcbook.statistics import compare_c

WANTED = {
    "C-index, ± 0.05": 0.05,
    "calibration slope, ± 0.2": 0.2,
    "O/E, within a factor of 1.25": np.log(1.25),
}
WANTED |= {f"{LESS}, C: 0.05 found with 80 % power": 0.05} if MAIN != "clinical" else {}
pair = SCORES["recommended"].loc[cohort[JUDGED], list(dict.fromkeys([MAIN, "clinical"]))].dropna()
n_events, half = int(outcome(pair.index)[1].sum()), dict.fromkeys(WANTED, np.nan)
with chapter.noting("Precision of the C-index"):
    data = *outcome(pair.index), pair[MAIN]
    c = harrell_c(*data)
    half[next(iter(WANTED))] = (c.high - c.low) / 2
    if MAIN != "clinical":
        half[list(WANTED)[3]] = compare_c(*data, pair["clinical"]).detectable
if found := calibrations.get(("recommended", MAIN, JUDGED)):
    widths = (found.slope.high - found.slope.low) / 2, np.log(found.o_e.high / found.o_e.low) / 2
    half |= dict(zip(list(WANTED)[1:3], widths, strict=True))

# %%
precision = pd.DataFrame({"what": list(WANTED), "wanted": list(WANTED.values()), "here": list(half.values())})
precision["events here"] = n_events
precision["events needed"] = np.ceil(n_events * (precision["here"] / precision["wanted"]) ** 2)
chapter.table("precision", precision.round(3), "Half-width of limits (last row: difference that is found).")
needed = precision["events needed"].dropna()
chapter.takeaway(
    5,
    f"A validation that places C-index, slope and O/E of {NAME} as narrowly as wanted below needs about "
    f"{format_number(needed.iloc[:3].max() if len(needed) else None, 0)} metastases; here there are "
    f"{n_events} ([precision](#worth-precision)).",
)

# %% [markdown]
# *How to read it.* A validation with fewer events than the last column can agree with nearly anything. The
# factor of an interval of O/E is that of either limit to its middle.
#
# (worth-tripod)=
# ### Reporting, item by item
#
# TRIPOD+AI asks that a prediction model be reported so that others can judge it. Where each item stands
# here, and whether the paper's main text has it, in this book's words and reading.

# %%
ITEMS = {
    "1–4 title, abstract, background, objectives": ("00_printed_numbers", "yes"),
    "5–6 data, participants, treatments": ("01_cohorts", "yes"),
    "7 preparation of data": ("02_segmentation", "in part: not how slices were chosen"),
    "8 outcome": ("09_stress_tests", "in part: not what becomes of deaths"),
    "9 predictors": ("04_radiomics", "in part: features selected are not named"),
    "10 sample size": ("09_stress_tests", "no"),
    "11 missing data": ("09_stress_tests", "yes"),
    "12 analytical methods": ("05_cox_models", "in part: no calibration, choice of cut-offs not told"),
    "13 class imbalance": ("03_dl_training", "no"),
    "14 fairness": ("09b_model_worth", "no"),
    "15 model output": ("06_km", "in part: the scale of scores is not told"),
    "16 training against evaluation": ("03_dl_training", "yes"),
}
# %%
ITEMS |= {
    "17 ethics": ("11_datasheet", "yes"),
    "18 open science": ("12_register", "in part: no protocol, no registration; data on request"),
    "19 patients and public": ("", "no"),
    "20 participants, by centre": ("01_cohorts", "in part: by cohort only"),
    "21 model development": ("05_cox_models", "in part: no number of metastases"),
    "22 model specification": ("05_cox_models", "in part: code, no coefficients"),
    "23 performance, also in groups": ("09b_model_worth", "in part: ranking only"),
    "24 updating": ("09b_model_worth", "no"),
    "25–26 interpretation, limitations": ("12_register", "yes"),
    "27 usability": ("13_viewer", "in part: next steps only"),
}
links = {name: f"[{name.replace('_', ' ')}]({name}.ipynb)" for name, _ in ITEMS.values()}
links[""] = "not done: no patients took part"
lines = "\n".join(f"| {item} | {links[name]} | {text} |" for item, (name, text) in ITEMS.items())
chapter.say(f"| item | here | in print |\n| --- | --- | --- |\n{lines}")

# %% tags=["hide-output"]
chapter.not_estimable()

# %% [markdown]
# ## Against the paper
#
# The paper prints no calibration, no prediction error, no net benefit, and no result by centre, so that
# nothing stands beside these tables. <span class="planted">{term}`Truth <planted truth>` is not shown
# because each table holds its own: risks are right if they happen, and a policy helps if it does more good
# than harm.</span>
#
# *What agreement means.* That DC is well calibrated, or not, in this <span class="planted">synthetic </span>
# validation cohort says how the paper's way of making a model behaves, never how the paper's model would do.
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `thresholds = "2,5,30"`: other risks from which one might treat, in the table of net benefit.
# - `local_events = "3,30,300"`: the error after an update of baseline and slope falls with the number of
#   local events, at every centre; that of the baseline alone stops falling where the slope is wrong.
# ```
#
# ## Limits and deviations
#
# - Limits hold the chance of the validation patients, not that of the training patients on whom models were
#   fitted, nor that of choosing settings.
# - Calibration rests on few events per fifth of predicted risk, per centre most of all: see the limits.
# - Net benefit takes a treatment for granted that works alike for all who would have the event.
# - Events needed are read off the limits here, which are themselves uncertain: an order of size.
# - No p-value on this page is corrected for the number of checks; they are descriptions, not findings.
#
# **Hands over** nothing: this chapter only judges.
