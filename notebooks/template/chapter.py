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

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# Three to five takeaways appear above once the cells below have run, the first of them the answer to the
# question, in bold; each holds a number, at most three, and links to the section that supports it.
#
# **Reads** the cohort table (chapter 01). **Writes** nothing that another chapter reads.
#
# ## Setup
#
# One visible cell; every name is imported from the face of its wing. What only one section needs may be
# imported there.

# %%
import pandas as pd
from lifelines import KaplanMeierFitter

from npcbook.book import open_chapter, show_source, small_multiples
from npcbook.statistics import reverse_km
from npcbook.words import COHORTS, ENDPOINTS, LABELS, or_dash, style_of

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
endpoint = "dmfs"  # "dmfs" or "os"; what may be, then what it means, its unit and place in the paper

# %%
chapter = open_chapter("template", run_folder=run_folder, cohort_folder=cohort_folder)

# %% [markdown]
# ## Data
#
# What enters, and who is left out.

# %%
patients = chapter.read("01_cohorts/cohort")
time, event = ENDPOINTS[endpoint.upper()]

# %% [markdown]
# ## Method
#
# What the paper did, its equation, and the function that does it here, shown from the library's source if it
# is short enough to be read. The reverse Kaplan–Meier estimate takes the event for censored and censoring for
# the event, so that a death does not count as a short follow-up.

# %%
show_source(or_dash)
chapter.methods(f"Follow-up. The median follow-up for {endpoint.upper()} is by reverse Kaplan-Meier.")

# %% [markdown]
# (template-result)=
# ## Result
#
# Announce what comes, show it in one cell, then say what it means. An estimator is called in the open; where
# a small cohort may not bear it, `noting` keeps its reason for the list at the end. What is fitted once is
# fitted by a library that the reader knows, and set beside this book's own.

# %%
rows = []
for cohort in COHORTS:
    part = patients[patients["cohort"] == cohort]
    row = {"cohort": LABELS[cohort], "patients": len(part)}
    with chapter.noting(f"median follow-up, {cohort}"):
        row["median follow-up, months (95 % CI)"] = f"{reverse_km(part[time], part[event])}"
        row["by lifelines"] = KaplanMeierFitter().fit(part[time], 1 - part[event]).median_survival_time_
    rows.append(row)
table = pd.DataFrame(rows)
chapter.table("follow_up", table, "Follow-up by cohort.")

# %% [markdown]
# A sentence with a number is put out by the cell that knows the number; a result prints itself.

# %%
medians = [or_dash(row.get("median follow-up, months (95 % CI)")) for row in rows]
chapter.say(f"The median follow-up is {medians[0]} months in training and {medians[1]} in validation.")
chapter.takeaway(
    1,
    f"**The median follow-up is {medians[0]} months in training and {medians[1]} in validation** "
    "([result](#template-result)).",
)

# %%
fig, (ax,) = small_multiples(1, panel_height=2.6)
for cohort in COHORTS:
    colour, line = style_of(cohort)
    months = patients.loc[patients["cohort"] == cohort, time]
    ax.hist(months, bins=20, histtype="step", density=True, color=colour, linestyle=line, label=cohort)
ax.set(xlabel="Months", ylabel="Density")
ax.legend()
chapter.figure("months", fig, "Histograms of the months of follow-up, by cohort.")

# %% [markdown]
# Curves that end early say that late events could not be seen, not that there were none. If there is
# something that these data could not give, it is listed here with the reason.

# %%
chapter.not_estimable()

# %% [markdown]
# ## Against the paper
#
# `chapter.record(published_id, value)` sets a value beside the printed one of that id;
# `chapter.against_paper()` shows all of them. Here nothing is recorded.
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
