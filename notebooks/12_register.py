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

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** `data/published/register.csv`, the cohort table (chapter 01), the scores and values of chapter 03,
# a table each of chapters 04 and 04b, the values of chapter 05 and the risk groups of chapter 06. **Writes**
# the tables below.
#
# ## Setup

# %%
import pandas as pd
from lifelines import KaplanMeierFitter
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from npcbook.book import open_chapter
from npcbook.cohort import code_covariates, covariate_names
from npcbook.paper import read_published, read_register
from npcbook.statistics import fit_cox, fit_firth_cox, kaplan_meier, optimal_cutpoint
from npcbook.words import MISSING, PRINT_LABEL, format_hr, format_number, format_p

# %% tags=["parameters"]
run_folder = "data/runs/laptop-synthetic"  # whose scores and groups are compared
cohort_folder = "data/cohorts/synthetic-laptop"  # the cohort that the run analysed
only_chapter = ""  # "" or one of CHAPTERS; whose topics are shown, such as 04_radiomics; empty: all
clinical_covariates = "t2,rene_g1,rene_g2,female"  # names of COVARIATES; of the Cox models measured
horizon_months = 60  # 1 to last follow-up, months; of the survival rates

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
covariates = code_covariates(patients)
covariates = covariates[covariate_names(clinical_covariates, covariates)].dropna()
time, event = patients["dmfs_months"], patients["dm_event"]
training = patients["cohort"] == "training"
groups, score = chapter.find("06_km/groups"), chapter.find("03_dl_training/scores")
has_dl = score is not None and groups is not None and "dl_combined" in groups
if has_dl:
    tables = (table.set_index("patient_id")["dl_combined"] for table in (groups, score))
    groups, score = (column.reindex(patients.index) for column in tables)

# %% [markdown]
# ## Method
#
# The facts were read from the script and from the paper's text. "The deposited script" means that file and
# nothing more. Where a choice of this book follows neither, the last line says why.
#
# An effect is one number under two settings. One choice differs, but for the prognosis head, whose features
# differ too. What another chapter has computed is taken from its tables; the rest is computed here. Estimates
# that the data do not allow stay empty.

# %%
measured = []


def set_beside(topic, number, first, second):
    """Keep a number under two settings, each a pair of the setting and the value as text."""
    columns = ("setting", "value"), ("other setting", "value then")
    pairs = [
        dict(zip(names, pair, strict=True)) for names, pair in zip(columns, (first, second), strict=True)
    ]
    measured.append({"topic": topic, "number": number} | pairs[0] | pairs[1])


def recorded(values, published_id, track):
    """Return what a chapter recorded for a printed number on one track, as text."""
    found = values.loc[(values["id"] == published_id) & (values["track"] == track), "value"]
    return format_number(found.iloc[-1] if len(found) else None, 3)


# %% [markdown]
# (register-measured)=
# ## Result: what a switch does
#
# Heads, each with its features, as chapter 03 left them:

# %%
values = chapter.find("03_dl_training/values")
heads = {
    "softmax head on pooled features": "as published",
    "Cox head on features of the disease": "recommended",
}
if values is not None:
    what = "text.validation.c_index.dl_combined"
    found = [(name, recorded(values, what, track)) for name, track in heads.items()]
    set_beside("Prognosis head and its features", "C-index of the DL score, validation", *found)

# %% [markdown]
# Two cut-offs of the published score, that of chapter 06 and the training median, in the validation cohort
# (with Firth's penalty), and the p-value of the cut-off in the training cohort: as if the cut-off had been
# given, and corrected for the search.


# %%
def compare_cutoffs():
    """Set two cut-offs of the DL score beside each other, and both p-values of the searched one."""
    scored = ~training & score.notna()
    high_risk = {"largest statistic": groups == "high", "training median": score > score[training].median()}
    ratios = dict.fromkeys(high_risk, MISSING)
    for name, high in high_risk.items():
        with chapter.noting(f"Hazard ratio of high DL risk, cut-off by {name}"):
            fit = fit_firth_cox(time[scored], event[scored], high[scored].astype(float))
            ratios[name] = format_hr(fit.hr[0], fit.hr_low[0], fit.hr_high[0])
    set_beside("Cut-off", "HR of high DL risk, validation", *ratios.items())
    p_values, known = {"as if given": MISSING, "corrected": MISSING}, training & score.notna()
    with chapter.noting("Cut-off"):
        cut = optimal_cutpoint(time[known], event[known], score[known])
        p_values = {"as if given": format_p(cut.p_naive), "corrected": format_p(cut.p_corrected, cut.p_floor)}
    set_beside("Cut-off", "p-value of the cut-off, training", *p_values.items())


if has_dl:
    compare_cutoffs()

# %% [markdown]
# The penalty of the radiomic signature and its bin width, as chapters 04 and 04b tried them:


# %%
def as_text(value):
    """Return a value that was read from a table as text; a column of mere numbers is read as numbers."""
    return value if isinstance(value, str) else format_number(value, 2)


if (penalties := chapter.find("04_radiomics/tables/penalties")) is not None:
    penalties = penalties.set_index("signature").loc["Combined"]
    rules = {"lowest deviance": "C in validation, lowest", "one SE above": "C in validation, one SE"}
    rules = {name: as_text(penalties[column]) for name, column in rules.items()}
    set_beside("Penalty of the LASSO", "C-index of the radiomic signature, validation", *rules.items())
if (bins := chapter.find("04b_radiomics_worth/tables/bins")) is not None:
    bins = bins.set_index("bins")["C, validation sample"]
    widths = {name: as_text(bins[name]) for name in ("this run", "four times coarser")}
    set_beside("Resampling and bin width", "C-index, CET1W, sample of validation", *widths.items())

# %% [markdown]
# A model judged by the patients it was fitted on, or by patients it has not seen ({term}`out of fold`): the
# clinical Cox model, as chapter 05 left it:

# %%
left = (chapter.run_folder / "05_cox_models/values.csv").exists()  # not of a score of one's own alone
if left and (values := chapter.find("05_cox_models/values")) is not None:
    i, tracks = "table4.training.c_index.clinical", {"apparent": "as published", "out of fold": "recommended"}
    found = {name: recorded(values, i, track) for name, track in tracks.items()}
    set_beside("Scores of training patients", "C-index of the clinical model, training", *found.items())

# %% [markdown]
# Ties ({term}`Efron`, {term}`Breslow`) and penalty ({term}`Firth`, both times with Breslow's ties) in the
# clinical {term}`Cox model`:

# %%
fits = {}
fitted = training[training].index.intersection(covariates.index)
varying = covariates.loc[fitted, covariates.loc[fitted].nunique() > 1]
data = time[fitted], event[fitted], varying
for name, fit, options in (
    ("Efron", fit_cox, {"ties": "efron"}),
    ("Breslow", fit_cox, {"ties": "breslow"}),
    ("Firth", fit_firth_cox, {}),
):
    with chapter.noting(f"Hazard ratio in the clinical model, {name}"):
        fits[name] = fit(*data, **options)
ratios = dict.fromkeys(("Efron", "Breslow", "Firth"), MISSING)
ratios |= {name: format_hr(fit.hr[-1], fit.hr_low[-1], fit.hr_high[-1]) for name, fit in fits.items()}
last = varying.columns[-1] if len(varying.columns) else "no covariate"
what = f"HR of {last}, clinical model, training"
set_beside("Ties of event times", what, ("Efron", ratios["Efron"]), ("Breslow", ratios["Breslow"]))
set_beside("Cox models with few events", what, ("Cox", ratios["Breslow"]), ("Firth", ratios["Firth"]))

# %% [markdown]
# The two definitions of {term}`DMFS`: a death without metastasis ends the follow-up, or counts as an event.

# %%
both = (event == 1) | (patients["os_event"] == 1)
DEFINITIONS = {}
if training.any() and time.notna().all():
    DEFINITIONS["deaths censored"] = time[training], event[training]
if DEFINITIONS and patients["os_months"].notna().all():
    later = time.where(event == 1, patients["os_months"])
    DEFINITIONS["deaths count"] = later[training], both[training].astype(int)
rates = {}
for name, (months, happened) in DEFINITIONS.items():
    rates[name] = KaplanMeierFitter().fit(months, happened).predict(horizon_months)
shown = [(name, f"{format_number(100 * rate, 1)} %") for name, rate in rates.items()]
if len(shown) == 2:
    set_beside("DMFS", f"rate at {horizon_months} months, training", *shown)

# %% [markdown]
# scikit-survival fits the same Cox models under both rules for ties, but gives no limits and no Firth's
# penalty, which is why the models above are this book's; lifelines knows Efron's rule only, and needs
# shorter steps where a level is rare ([chapter 05](#cox-lifelines)). Where both can fit, they agree:

# %%
kernel = {name: kaplan_meier(*data, at=[horizon_months]).survival[0] for name, data in DEFINITIONS.items()}
gaps = {"Kaplan–Meier rates (lifelines)": [abs(kernel[name] - rates[name]) for name in rates] or [0.0]}
outcome, given = Surv.from_arrays(event[fitted] == 1, time[fitted]) if fits else None, varying
for name in fits.keys() - {"Firth"}:
    if fits[name].wald_fails:
        continue  # the likelihood is all but flat, and steps that are not shortened run away on it
    theirs = CoxPHSurvivalAnalysis(ties=name.lower()).fit(given, outcome)
    gaps[f"log hazard ratios, {name} (scikit-survival)"] = abs(theirs.coef_ - fits[name].coef)
listed = "; ".join(f"{what} {max(values):.0e}" for what, values in sorted(gaps.items()))
chapter.say(f"Largest difference from this book's own: {listed}.")

# %%
effects = pd.DataFrame(measured)
chapter.table("effects", effects, "The same number under two settings.")
chapter.not_estimable()
chapter.takeaway(2, f"""The {effects["topic"].nunique()} effects are measured on the cohort of this run: the
same patients, the same number, two settings ([measured](#register-measured)).""")  # fmt: skip

# %% [markdown]
# Whether a difference is more than chance is seen against the confidence intervals in the chapters: with few
# events, a choice can move an estimate far without being right or wrong.
#
# (register-table)=
# ## Result: the register

# %%
register = read_register().replace(r"^None(?:: )?", "", regex=True)
shown = register[register["chapter"] == only_chapter] if only_chapter else register
if shown.empty:
    known = ", ".join(sorted(register["chapter"].unique()))
    raise ValueError(f"only_chapter is {only_chapter!r}; it must be empty or one of {known}.")
both_say, switchable = register["deposit"] != "", register["parameter"].str.contains("`")
chapter.takeaway(1, f"""**Paper, deposited script and book are set side by side on {len(register)} topics;
{switchable.sum()} choices can be switched, and of {effects["topic"].nunique()} the effect is measured here**
([the register](#register-table), [by chapter](#register-chapters)).""")  # fmt: skip
chapter.takeaway(3, f"""On {both_say.sum()} topics paper and deposited script can be compared, since both say
something. The script is described, never copied: it carries no licence, and it may not be the code behind the
paper ([the register](#register-table)).""")  # fmt: skip


# %%
parts = {"paper": "Paper", "deposit": "Deposited script", "book": "This book", "parameter": "Switched by"}
parts |= {"effect": "What changing it does"}


def as_section(row):
    """Return a topic as text with a heading."""
    lines = [f"- *{name}*: {row[key]}" for key, name in parts.items() if row[key]]
    return "\n".join([f"#### {row['topic']}\n", *lines, ""])


# %% tags=["text"]
sections = []
for name, topics in shown.groupby("chapter"):
    sections.append(f"### Chapter {name[:2]}\n")
    sections.append(f"Shown in [chapter {name[:2]}]({name}.ipynb).\n")
    sections += [as_section(row) for _, row in topics.iterrows()]
chapter.say("\n".join(sections))

# %% [markdown]
# ### As one table

# %% tags=["full-width", "filterable", "hide-output"]
chapter.table("register", shown, "The register as a table, to filter and to download.", label=REGISTER_LABEL)

# %% [markdown]
# (register-chapters)=
# ## By chapter

# %% tags=["hide-output"]
register["can be switched"] = switchable
by_chapter = register.groupby("chapter").agg(topics=("topic", "size"), switchable=("can be switched", "sum"))
caption = "Topics and switchable choices by chapter."
chapter.table("by_chapter", by_chapter.reset_index(), caption, label=REGISTER_LABEL)

# %% [markdown]
# ## Against the paper
#
# The settings that the paper prints, as printed; the register says which of them this book follows by
# default.

# %% tags=["hide-output"]
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
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `clinical_covariates = "t2,n1,age"`: the last one named is the one whose hazard ratio is compared.
# - `horizon_months = 36`: the two definitions of DMFS are then compared at three years, where fewer patients
#   have died.
# ```
#
# ## Hand-over
#
# To try a choice, run its chapter with another parameter: `papermill -p NAME VALUE`, or open it in
# JupyterLab. What stands in the mapping `training` of chapter 02 is set there by a line at the end of the
# parameters cell, such as `training["loss"] = "dice"`; `papermill -y "training: {loss: dice}"` replaces the
# whole mapping, and what it leaves out is then as in the paper.
