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
# **Where do the paper, the script that its authors deposited, and this book differ, and what switches each
# choice?**
#
# ## In short
#
# - {glue:text}`register_topics` topics are listed; on {glue:text}`register_both` of them paper and deposited
#   script can be compared, since both say something ([the register](register-table)).
# - {glue:text}`register_switchable` choices can be switched by a parameter of a chapter or an option of the
#   library ([by chapter](register-chapters)).
# - The deposited script is described, never copied: it carries no licence, and it may not be the code behind
#   the paper.
#
# **Reads** `data/published/register.csv`. **Writes** the tables below. It is the same for every cohort.

# %% [markdown]
# ## Setup

# %%
from IPython.display import Markdown
from myst_nb import glue

from npcbook.printed_checks import PRINT_LABEL
from npcbook.published import read_published, read_register
from npcbook.runs import open_chapter

# %% tags=["parameters"]
run_folder = "data/runs/laptop-synthetic"  # where the tables go
cohort_folder = "data/cohorts/synthetic-laptop"  # only names the run: nothing here comes from it
only_chapter = ""  # such as 04_radiomics, to show the topics of one chapter; empty shows all

# %%
chapter = open_chapter("12_register", run_folder=run_folder, cohort_folder=cohort_folder)
chapter.label = PRINT_LABEL  # nothing on this page comes from the cohort

# %% [markdown]
# ## Data
#
# One row per topic: what the paper says, what the deposited script does, what this book does, the parameter
# that switches it, the chapter, and what changing it does. The deposit is the public repository
# `Deeplearninghhh/MRI_ML` (three Python scripts, last changed in June 2022, without licence); its own history
# holds a draft script in R.
#
# ## Method
#
# The facts were read from the script and from the paper's text. "The deposited script" means that file and
# nothing more. Where a choice of this book follows neither, the last column says why.
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
chapter.write("tables/register", shown)
parts = {"paper": "Paper", "deposit": "Deposited script", "book": "This book", "parameter": "Switched by"}
parts |= {"chapter": "Chapter", "effect": "What changing it does"}
items = [
    f"**{row['topic']}**\n\n" + "\n".join(f"- *{name}*: {row[key]}" for key, name in parts.items())
    for _, row in shown.iterrows()
]
Markdown("\n\n".join(items))

# %% [markdown]
# (register-chapters)=
# ## By chapter

# %%
register["can be switched"] = switchable
by_chapter = register.groupby("chapter").agg(topics=("topic", "size"), switchable=("can be switched", "sum"))
chapter.table("by_chapter", by_chapter.reset_index(), "Topics and switchable choices by chapter.")

# %% [markdown]
# ## Against the paper
#
# The settings that the paper prints, as printed; the register says which of them this book follows by
# default.

# %%
published = read_published()
settings = published[(published["quantity"] == "setting") & (published["repeats"] == "")]
columns = ["source", "subject", "printed", "unit", "chapter"]
chapter.table("against_paper", settings[columns], "Settings printed in the paper.")

# %% [markdown]
# ## Limits and deviations
#
# - The script was read as it stands in the repository. Whether it made the paper's numbers cannot be known;
#   several of its settings contradict the text, which speaks for a different version.
# - Effects are described, not measured, here; the chapters measure those that a parameter switches.
#
# ## Hand-over
#
# To try a choice, run its chapter with another parameter: `papermill -p NAME VALUE`, or open it in
# JupyterLab.
