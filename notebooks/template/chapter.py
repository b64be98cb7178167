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
# # A noun phrase: what the chapter is about
#
# **The one question that it answers: were both cohorts followed for equally long?**
#
# ## In short
#
# - Three to five takeaways, each with a number put there by the computation and a link to the section that
#   supports it: the median follow-up is {glue:text}`template_training` months in the training and
#   {glue:text}`template_validation` in the validation cohort ([result](template-result)).
#
# **Reads** the cohort table (chapter 01). **Writes** nothing that another chapter reads.

# %% [markdown]
# ## Setup
#
# One visible cell; every name is imported from where it lives.

# %%
from myst_nb import glue

from npcbook.book.chapter import open_chapter
from npcbook.book.figures import small_multiples
from npcbook.statistics.survival import reverse_km
from npcbook.words import format_number, style_of

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
endpoint = "dmfs"  # "dmfs" or "os"; at most eight flat values, each with unit and place in the paper

# %%
chapter = open_chapter("template", run_folder=run_folder, cohort_folder=cohort_folder)

# %% [markdown]
# ## Data
#
# What enters, and who is left out.

# %%
patients = chapter.read("01_cohorts/cohort")
events = {"dmfs": "dm_event", "os": "os_event"}

# %% [markdown]
# ## Method
#
# What the paper did, its equation, and the function that does it here, shown from the library's source. The
# reverse Kaplan–Meier estimate takes the event for censored and censoring for the event, so that a death does
# not count as a short follow-up.
#
# (template-result)=
# ## Result
#
# Announce what comes, show it in one cell, then say what it means.

# %%
rows = []
for name, part in patients.groupby("cohort"):
    median = reverse_km(part[f"{endpoint}_months"], part[events[endpoint]]).median
    rows.append({"cohort": name, "patients": len(part), "median follow-up, months": median})
    glue(f"template_{name}", format_number(median, 1), display=False)
table = type(patients)(rows)
chapter.table("follow_up", table, "Follow-up by cohort.")

# %%
fig, (ax,) = small_multiples(1, panel_height=2.6)
for name, part in patients.groupby("cohort"):
    colour, line = style_of(name)
    months = part[f"{endpoint}_months"]
    ax.hist(months, bins=20, histtype="step", density=True, color=colour, linestyle=line, label=name)
ax.set(xlabel="Months", ylabel="Density")
ax.legend()
chapter.figure("months", fig, "Histograms of the months of follow-up, by cohort.")

# %% [markdown]
# Curves that end early say that late events could not be seen, not that there were none.
#
# ## Against the paper
#
# `chapter.record(published_id, value)` sets a value beside the printed one of that id; as the last value of a
# cell, `chapter.against_paper()` shows all of them. Here nothing is recorded.
#
# ## Limits and deviations
#
# - What the chapter cannot show, and where it leaves the paper's way.
#
# ## Try this
#
# - `endpoint = "os"`: the medians hardly move, because the reverse estimate sets events aside; the histograms
#   shift to the right where patients lived on after a metastasis.
# - `cohort_folder`, `run_folder`: another run, such as the smoke profile's; fewer patients, rougher curves.
#
# ## Hand-over
#
# What the next chapter finds, and under which name.
