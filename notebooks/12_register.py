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
# # The register of choices
#
# **Where do the paper, the script that its authors deposited, and this book differ, what switches each
# choice, and what does the switch do?**
#
# ## In short
#
# - {glue:text}`register_topics` topics are listed; on {glue:text}`register_both` of them paper and deposited
#   script can be compared, since both say something ([the register](register-table)).
# - {glue:text}`register_switchable` choices can be switched by a parameter of a chapter or an option of the
#   library ([by chapter](register-chapters)).
# - For {glue:text}`register_measured` choices the effect is measured on the cohort of this run: the same
#   patients, the same number, two settings ([measured](register-measured)).
# - The deposited script is described, never copied: it carries no licence, and it may not be the code behind
#   the paper.
#
# **Reads** `data/published/register.csv`, the cohort table (chapter 01), the scores of chapter 03, two tables
# of chapter 04 and the risk groups of chapter 06. **Writes** the tables below.

# %% [markdown]
# ## Setup

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown
from myst_nb import glue

from npcbook.book.chapter import open_chapter
from npcbook.book.tables import attempt
from npcbook.cohort.columns import code_covariates, covariate_names
from npcbook.paper.printed import read_published, read_register
from npcbook.statistics.concordance import harrell_c
from npcbook.statistics.cox import fit_cox
from npcbook.statistics.cutpoint import optimal_cutpoint
from npcbook.statistics.firth import fit_firth_cox
from npcbook.statistics.survival import kaplan_meier
from npcbook.words import MISSING, PRINT_LABEL, format_hr, format_number, format_p

# %% tags=["parameters"]
run_folder = "data/runs/laptop-synthetic"  # whose scores and groups are compared
cohort_folder = "data/cohorts/synthetic-laptop"  # the cohort that the run analysed
only_chapter = ""  # such as 04_radiomics, to show the topics of one chapter; empty shows all
clinical_covariates = "t2,rene_g1,rene_g2,female"  # of the Cox models measured; as in chapter 05
n_folds = 5  # of the scores out of fold
horizon_months = 60  # of the survival rates
seed = 2023  # of the division into folds

# %%
chapter = open_chapter("12_register", run_folder=run_folder, cohort_folder=cohort_folder)
REGISTER_LABEL = "This book's register"

# %% [markdown]
# ## Data
#
# One row per topic: what the paper says, what the deposited script does, what this book does, the parameter
# that switches it, the chapter, and what changing it does. The deposit is the public repository
# `Deeplearninghhh/MRI_ML` (three Python scripts, last changed in June 2022, without licence); its own history
# holds a draft script in R. The effects are measured on the patients and scores of this run.

# %%
patients = chapter.read("01_cohorts/cohort").set_index("patient_id")
covariates = code_covariates(patients)[covariate_names(clinical_covariates)]
time, event = patients["dmfs_months"], patients["dm_event"]
training = patients.index[patients["cohort"] == "training"]
validation = patients.index[patients["cohort"] == "validation"]


def read_combined(name):
    """Return the DL score, or risk group, of the combined sequences that an earlier chapter wrote."""
    return chapter.read(name).set_index("patient_id")["dl_combined"].reindex(patients.index)


# %% [markdown]
# ## Method
#
# The facts were read from the script and from the paper's text. "The deposited script" means that file and
# nothing more. Where a choice of this book follows neither, the last line says why.
#
# An effect is measured by computing one number twice. One choice differs, but for the prognosis head, whose
# features differ too. Estimates that the data do not allow stay empty.

# %%
not_estimable = {}


def c_index(index, risk):
    """Return Harrell's C of a risk in some patients as text."""
    known = [patient for patient in index if pd.notna(risk.get(patient))]
    c = attempt(not_estimable, "C-index", harrell_c, time[known], event[known], risk[known])
    return MISSING if c is None else format_number(c.c, 3)


def hazard_ratio(fit, index, values, **options):
    """Return the hazard ratio of the last column, with its limits, as text."""
    what, data = values.columns[-1], (time[index], event[index], values.loc[index])
    found = attempt(not_estimable, f"Hazard ratio of {what}", fit, *data, **options)
    return MISSING if found is None else format_hr(found.hr[-1], found.hr_low[-1], found.hr_high[-1])


def as_text(value):
    """Return a value that was read from a table as text; a column of mere numbers is read as numbers."""
    return value if isinstance(value, str) else format_number(value, 2)


# %% [markdown]
# (register-measured)=
# ## Result: what a switch does
#
# Heads, each with its features, as chapter 03 left them, and two cut-offs of the published score: that of
# chapter 06 and the training median.

# %%
DL = "C-index of the DL score, validation"
published_score = read_combined("03_dl_training/scores")
measured = [("Prognosis head and its features", DL, {
    "softmax head on pooled features": c_index(validation, published_score),
    "Cox head on features of the disease": c_index(
        validation, read_combined("03_dl_training/scores_recommended")),
})]  # fmt: skip
scored = validation[published_score[validation].notna()]
high_risk = {
    "largest statistic": read_combined("06_km/groups") == "high",
    "training median": published_score > published_score[training].median(),
}
ratios = {
    name: hazard_ratio(fit_firth_cox, scored, high.astype(float).to_frame("high DL risk"))
    for name, high in high_risk.items()
}
measured.append(("Cut-off", "HR of high DL risk, validation", ratios))
searched = (time[training], event[training], published_score[training])
cut = attempt(not_estimable, "Cut-off", optimal_cutpoint, *searched)
p_values = {
    "as if given": cut and format_p(cut.p_naive),
    "corrected": cut and format_p(cut.p_corrected, cut.p_floor),
}
measured.append(("Cut-off", "p-value of the cut-off, training", p_values))

# %% [markdown]
# The penalty of the radiomic signature and its bin width, as chapter 04 tried them:

# %%
penalties = chapter.read("04_radiomics/tables/penalties").set_index("signature").loc["Combined"]
rules = {"lowest deviance": "C in validation, lowest", "one SE above": "C in validation, one SE"}
rules = {name: as_text(penalties[column]) for name, column in rules.items()}
measured.append(("Penalty of the LASSO", "C-index of the radiomic signature, validation", rules))
bins = chapter.read("04_radiomics/tables/bins").set_index("bins")["C, validation sample"]
widths = {name: as_text(bins[name]) for name in ("this run", "four times coarser")}
measured.append(("Resampling and bin width", "C-index, CET1W, sample of validation", widths))

# %% [markdown]
# A model judged by the patients it was fitted on, or by patients it has not seen ({term}`out of fold`): the
# clinical Cox model
# (with Firth's penalty, so that a fold without some event can be fitted).

# %%
fold = pd.Series(np.random.default_rng(seed).permutation(len(training)) % n_folds, index=training)


def fitted_risk(kept, scored):
    """Return the risk of some patients by the clinical model fitted on others."""
    data = (time[kept], event[kept], covariates.loc[kept])
    model = attempt(not_estimable, "Clinical model", fit_firth_cox, *data)
    coefficients = np.full(covariates.shape[1], np.nan) if model is None else model.coef
    return covariates.loc[scored] @ coefficients


crossed = pd.concat([fitted_risk(training[fold != k], training[fold == k]) for k in range(n_folds)])
judged = {
    "apparent": c_index(training, fitted_risk(training, training)),
    "out of fold": c_index(training, crossed),
}
measured.append(("Scores of training patients", "C-index of the clinical model, training", judged))

# %% [markdown]
# Ties ({term}`Efron`, {term}`Breslow`) and penalty ({term}`Firth`, both times with Breslow's ties) in the
# clinical {term}`Cox model`, and the two definitions of {term}`DMFS`:

# %%
last = covariates.columns[-1]
what = f"HR of {last}, clinical model, training"
ties = {t.capitalize(): hazard_ratio(fit_cox, training, covariates, ties=t) for t in ("efron", "breslow")}
measured.append(("Ties of event times", what, ties))
penalty = {"Cox": ties["Breslow"], "Firth": hazard_ratio(fit_firth_cox, training, covariates)}
measured.append(("Cox models with few events", what, penalty))
both = (event == 1) | (patients["os_event"] == 1)
definitions = {"deaths censored": (time, event), "deaths count": (
    time.where(event == 1, patients["os_months"]), both.astype(int))}  # fmt: skip
rates = {}
for name, (months, happened) in definitions.items():
    km = kaplan_meier(months[training], happened[training], at=[horizon_months])
    rates[name] = f"{format_number(100 * km.survival[0], 1)} %"
measured.append(("DMFS", f"rate at {horizon_months} months, training", rates))

# %%
rows = []
for topic, number, values in measured:
    (one, first), (other, second) = values.items()
    rows.append({"topic": topic, "number": number, "setting": one, "value": first or MISSING,
                 "other setting": other, "value then": second or MISSING})  # fmt: skip
effects = pd.DataFrame(rows)
glue("register_measured", f"{effects['topic'].nunique()}", display=False)
chapter.table("effects", effects, "The same number under two settings.")

# %% [markdown]
# Whether a difference is more than chance is seen against the confidence intervals in the chapters: with few
# events, a choice can move an estimate far without being right or wrong.
#
# (register-table)=
# ## Result: the register

# %%
register = read_register()
shown = register[register["chapter"] == only_chapter] if only_chapter else register
if shown.empty:
    known = ", ".join(sorted(register["chapter"].unique()))
    raise ValueError(f"only_chapter is {only_chapter!r}; it must be empty or one of {known}.")
glue("register_topics", f"{len(register)}", display=False)
glue("register_both", f"{(register['deposit'] != 'None').sum()}", display=False)
switchable = register["parameter"].str.contains("`")
glue("register_switchable", f"{switchable.sum()}", display=False)
parts = {"paper": "Paper", "deposit": "Deposited script", "book": "This book", "parameter": "Switched by"}
parts |= {"effect": "What changing it does"}


def as_section(row):
    """Return a topic as text with a heading."""
    lines = [f"- *{name}*: {row[key]}" for key, name in parts.items()]
    return "\n".join([f"#### {row['topic']}\n", *lines, ""])


# %% tags=["text"]
sections = []
for name, topics in shown.groupby("chapter"):
    sections.append(f"### Chapter {name[:2]}\n")
    sections.append(f"Shown in [chapter {name[:2]}]({name}).\n")
    sections += [as_section(row) for _, row in topics.iterrows()]
Markdown("\n".join(sections))

# %% [markdown]
# ### As one table

# %% tags=["full-width", "filterable"]
chapter.table("register", shown, "The register as a table, to filter and to download.", label=REGISTER_LABEL)

# %% [markdown]
# (register-chapters)=
# ## By chapter

# %%
register["can be switched"] = switchable
by_chapter = register.groupby("chapter").agg(topics=("topic", "size"), switchable=("can be switched", "sum"))
caption = "Topics and switchable choices by chapter."
chapter.table("by_chapter", by_chapter.reset_index(), caption, label=REGISTER_LABEL)

# %% [markdown]
# ## Against the paper
#
# The settings that the paper prints, as printed; the register says which of them this book follows by
# default.

# %%
published = read_published()
settings = published[(published["quantity"] == "setting") & (published["repeats"] == "")]
columns = ["source", "subject", "printed", "unit", "chapter"]
chapter.table("against_paper", settings[columns], "Settings printed in the paper.", label=PRINT_LABEL)

# %% [markdown]
# ## Limits and deviations
#
# - The script was read as it stands in the repository. Whether it made the paper's numbers cannot be known;
#   several of its settings contradict the text, which speaks for a different version.
# - An effect measured here holds for this cohort. In another it may be larger, or absent.
# - Choices made before any patient is scored (grid, network, loss, features) take a run of their own; the
#   chapters show what they did to theirs.
#
# ```{admonition} Try this
# :class: tip
#
# - `clinical_covariates = "t2,n1,age"`: the last one named is the one whose hazard ratio is compared.
# - `n_folds = 10`: out of fold the clinical model is then fitted on more patients; its C-index moves towards
#   the apparent one, or by chance.
# ```
#
# ## Hand-over
#
# To try a choice, run its chapter with another parameter: `papermill -p NAME VALUE`, or open it in
# JupyterLab.
