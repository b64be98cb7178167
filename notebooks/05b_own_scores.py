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
# # Scores of one's own
#
# **How well does a risk score that somebody brings rank these patients, and does it know more than the
# clinical model?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# A score of one's own, from a table with a column of ids, goes through chapters 05 to 09b under its own name:
#
# ```
# python -m npcbook book --cohort COHORT --score FILE:COLUMN
# ```
#
# as often as there are scores; a file `scores.csv` in the cohort's folder does the same. Higher means worse.
#
# **Reads** the cohort table (chapter 01) and the scores of chapter 05, which holds one's own as well.
# **Writes** tables for the reader only.
#
# ## Setup

# %%
import pandas as pd
from scipy.stats import chi2

from npcbook.book import open_chapter, plot_roc, small_multiples
from npcbook.statistics import auc_at, compare_c, fit_cox, harrell_c
from npcbook.words import COHORTS, ENDPOINTS, LABELS, MISSING, MODELS, SUPPLIED, format_p

# %% tags=["parameters"] needs="dmfs covariates"
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
horizon_months = 60  # 1 to last follow-up, months; of the time-dependent AUC

# %%
chapter = open_chapter("05b_own_scores", run_folder=run_folder, cohort_folder=cohort_folder)
patients = chapter.read("01_cohorts/cohort").set_index("patient_id")
scores = chapter.read("05_cox_models/scores_recommended").set_index("patient_id").loc[patients.index]
OWN = [name for name in scores if name not in MODELS]
BESIDE = [name for name in ("clinical", "dl_combined") if name in scores]  # whom a score is compared with
COHORTS = [name for name in COHORTS if (patients["cohort"] == name).any()]

# %% [markdown]
# ## Data

# %%
known = pd.DataFrame({name: scores[name].notna().groupby(patients["cohort"]).sum() for name in OWN})
known = known.reindex(COHORTS).T.rename(columns=lambda name: f"{name}: patients with the score")
if OWN:
    chapter.table("known", known.reset_index(names="score"), "Scores of one's own, and who has one.")
else:
    text = f"This run was given no score to judge: its {scores.shape[1]} scores are the book's own models'"
    chapter.takeaway(1, f"**{text}** ([result](#own-scores)).")
    chapter.say(f"{text}.")

# %% [markdown]
# ## Method
#
# Nothing is fitted to the score and nothing is known of how it was made: it stands *as supplied*, apart from
# what this book makes as published and as recommended, and has no counterpart in print. If it was fitted on
# patients of the training cohort, what it shows there is {term}`apparent <optimism>`.
#
# Ranking is measured by Harrell's {term}`C-index` and the {term}`time-dependent AUC` of {term}`distant
# metastasis`, compared with the recommended scores of this book on the same patients as in [chapter
# 05](05_cox_models.ipynb). What it adds to the clinical model is tested by the likelihood ratio of Cox models
# with and without it. A C-index below 0.5 is said and never turned round: a score whose high values mean a
# low risk has to be supplied with its sign changed, by whoever knows that it is so.
#
# (own-scores)=
# ## Result


# %%
def outcome(index):
    """Return time and event (distant metastasis) of some patients."""
    return tuple(patients.loc[index, column].to_numpy() for column in ENDPOINTS["DMFS"])


def standing(name, cohort):
    """Return how a score does in a cohort, as a row of the table, and its C-index and AUC."""
    index = patients.index[(patients["cohort"] == cohort) & scores[name].notna()]
    time, event = outcome(index)
    row, c, auc = {"score": name, "cohort": cohort, "patients": len(index)}, None, None
    row["events"] = int(event.sum())
    with chapter.noting(f"C-index: {name}, {cohort}"):
        c = harrell_c(time, event, scores.loc[index, name])
        row["C-index (95 % CI)"] = f"{c}"
    with chapter.noting(f"AUC: {name}, {cohort}"):
        auc = auc_at(time, event, scores.loc[index, name], horizon_months)
        row[f"AUC at {horizon_months} months (95 % CI)"] = f"{auc}"
    return row, c, auc


# %%
def against(name, cohort):
    """Return the columns that set a score against this book's: differences of C, and what it adds."""
    found = {}
    for other in BESIDE:
        index = patients.index[(patients["cohort"] == cohort) & scores[[name, other]].notna().all(axis=1)]
        with chapter.noting(f"C-index: {name} against {LABELS[other]}, {cohort}"):
            test = compare_c(*outcome(index), scores.loc[index, name], scores.loc[index, other])
            found[f"less {LABELS[other]}, C (95 % CI); p"] = f"{test:3}; {format_p(test.p_value)}"
    if "clinical" in BESIDE:
        both = scores.loc[patients["cohort"] == cohort, ["clinical", name]].dropna()
        index = both.index
        with chapter.noting(f"Added value: {name}, {cohort}"):
            both = (both - both.mean()) / both.std()
            alone, fit = fit_cox(*outcome(index), both[["clinical"]]), fit_cox(*outcome(index), both)
            p = format_p(chi2.sf(fit.lr_statistic - alone.lr_statistic, 1))
            found["beside the clinical model, HR per SD (95 % CI); p"] = f"{fit[1]}; {p}"
    return found


# %%
looked = {(name, cohort): standing(name, cohort) for name in OWN for cohort in COHORTS}
if OWN:
    rows = [row | against(*place) for place, (row, _, _) in looked.items()]
    caption = f"One's own scores, {SUPPLIED}: ranking of distant metastasis, and what they add."
    chapter.table("own_scores", pd.DataFrame(rows).fillna(MISSING), caption)
judged = COHORTS[-1]
for place, name in enumerate(OWN[:4], start=1):
    row = next(row for row in rows if (row["score"], row["cohort"]) == (name, judged))
    more = next((row[column] for column in row if column.startswith("beside")), MISSING)
    more = f"; what it knows beside the clinical model, as hazard ratio per SD and its p: {more}"
    ranks = f"ranks the {row['patients']} {judged} patients with a C-index of "
    told = f"{name}, {SUPPLIED}, {ranks}{row.get('C-index (95 % CI)', MISSING)}"
    told, bold = told + more * (MISSING not in more.split()), "**" if place == 1 else ""
    chapter.takeaway(place, f"{bold}{told}{bold} ([result](#own-scores)).")
    if place == 1:
        link = "[chapter 05b](notebooks/05b_own_scores.ipynb)"
        chapter.front_page(f"**A score of one's own.** {told} ({link}).", position=4)

# %%
for (name, cohort), (_, c, _) in looked.items():
    if c is not None and c.c < 0.5:
        limit = "so is its upper limit" if c.high < 0.5 else "its limits hold 0.5, so that it may be chance"
        chapter.say(
            f"**{name} ranks the wrong way in {cohort}**: its C-index is {c}, below 0.5; {limit}. "
            "It was not turned round: if its high values mean low risk, supply it with its sign changed."
        )

# %%
if OWN:
    fig, axes = small_multiples(len(COHORTS), panel_height=5.0, width=5.4)
    for ax, cohort in zip(axes, COHORTS, strict=True):
        shown = [*BESIDE[:1], *OWN[:5]]
        curves = {name: standing(name, cohort)[2] for name in shown}
        if curves := {name: auc for name, auc in curves.items() if auc is not None}:
            plot_roc(curves, horizon_months=horizon_months, ax=ax)
        ax.set_title(f"{LABELS[cohort]} cohort", loc="left")
    alt = "Time-dependent ROC curves of one's own scores and of the clinical model, one panel a cohort."
    chapter.figure("roc", fig, alt)
    chapter.methods(
        f"""Own scores. Scores as supplied ({", ".join(OWN)}), higher meaning worse, were compared with this
        book's by C-index, time-dependent AUC at {horizon_months} months and likelihood ratio; their risk
        groups were cut at the training median."""
    )

# %% [markdown]
# *How to read it.* A difference of C-indices whose limits hold 0 leaves open which score is better; the
# likelihood ratio has more power to see whether a score knows something that the clinical model does not.
# Its risk groups stand in [chapter 06](06_km.ipynb), whether predicted risks are right in [chapter
# 09b](09b_model_worth.ipynb).

# %% tags=["hide-output"]
chapter.not_estimable()

# %% [markdown]
# ## Against the paper
#
# The paper prints nothing about a score of one's own. If it was made to do what the paper's does, the
# printed C-indices in [chapter 05](#cox-table-4) say what was reached elsewhere, in other patients.
#
# ```{admonition} Try this
# :class: tip
#
# - `horizon_months = 36`: the AUC counts metastases by then; the C-index has no horizon and stays.
# - `python -m npcbook book … -p model=NAME`: its risk groups in subgroups and by dose (chapters 07 and 08).
# ```
#
# ## Limits and deviations
#
# - Who has no score is left out of its row; if that has to do with the outcome, the row is wrong.
# - Whether training patients were used to make the score is not known here.
#
# **Hands over** nothing: chapter 05 hands one's own scores on.
