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
# # Cohorts that nobody had looked at
#
# **Does the chain, as it stands, find as much in other synthetic cohorts as in the default one, and nothing
# where nothing is planted?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** `data/studies/other_cohorts.csv`, which one command computes and no hand writes, and of chapter 05
# one number to set beside them. **Writes** tables for the reader.
#
# ## Setup

# %%
import pandas as pd

from npcbook.book import open_chapter
from npcbook.store import project_path
from npcbook.words import DISPLAY_NAMES, LABELS, format_number

# %% tags=["parameters"] needs="planted"
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results

# %%
chapter = open_chapter("09c_other_cohorts", run_folder=run_folder, cohort_folder=cohort_folder)

# %% [markdown]
# ## Data
#
# While settings were chosen, by values of training patients, the validation values of the default synthetic
# cohort (seed 50) and of another (seed 101) stood on the screen; those of the cohorts of chapter 09c (seeds
# from 201) did not. A fair answer comes from these: drawn with other seeds, images and all, with chapters 01
# to 05 run on them as they stand; and from cohorts of the scenario `null`, in which nothing is related to the
# outcome. Their results were computed by
#
# ```
# python benchmarks/studies/other_cohorts.py --seeds 201 202 203 204 205 --null 202 203 204 205
# ```
#
# which takes about a quarter of an hour a cohort, and are kept in `data/studies/other_cohorts.csv`. They are
# synthetic, like the default cohort, and have the size of the profile `laptop`.

# %%
path = project_path("data/studies/other_cohorts.csv")
columns = ["quantity", "cohort", "track", "value", "scenario", "seed", "profile", "version"]
found = pd.read_csv(path, keep_default_na=False) if path.exists() else pd.DataFrame(columns=columns)
seeds = found[["scenario", "seed", "profile", "version"]].drop_duplicates()
chapter.table("cohorts", seeds, f"Synthetic cohorts of this page: {len(seeds)}.")

# %% [markdown]
# (other-cohorts)=
# ## Result
#
# Each number is the mean over the cohorts, with the lowest and the highest. In training, *recommended* is
# out of fold and *as published* is apparent. "All that is visible, fitted" is a Cox model on the planted
# traits and the stage, fitted to the same training patients: what a perfect reader of the pictures could
# reach.


# %%
SINGLE = {f"dl_{name}": f"DL ({shown})" for name, shown in DISPLAY_NAMES.items()}
tracked = found["track"].isin(["as published", "recommended"])
of_model = found["quantity"].str.removeprefix("C-index, ").isin([*LABELS, *SINGLE])


def summary(rows: pd.DataFrame) -> str:
    """Return mean, lowest and highest as text."""
    lowest, highest = (format_number(x) for x in (rows.min(), rows.max()))
    return format_number(rows.mean()) + (f" ({lowest} to {highest})" if len(rows) > 1 else "")


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a quantity, a column a cohort and track."""
    rows = rows.assign(column=(rows["cohort"] + ", " + rows["track"]).str.rstrip(", "))
    table = rows.groupby(["quantity", "column"], sort=False)["value"].agg(summary).unstack()
    words = {f"C-index, {key}": f"C-index, {label}" for key, label in (LABELS | SINGLE).items()}
    return table.rename(index=words).reset_index().fillna("–")


# %%
NAMES = {"paper": "As printed, other seeds", "null": "Nothing planted"}
for scenario, name in NAMES.items():
    mine, said = found["scenario"] == scenario, "mean (lowest to highest) over the cohorts"
    chapter.table(scenario, table_of(found[mine & tracked]), f"{name}: {said}.")
    seen = found[mine & ~tracked & ~of_model].assign(track="")
    chapter.table(
        f"{scenario}_ceiling", table_of(seen), f"{name}, overlap and what could be reached: {said}."
    )


# %% [markdown]
# (other-cohorts-order)=
# ### Which model is above which
#
# In print the DL score discriminates better than radiomics, and adds to the clinical model. Here, with
# recommended scores of the same validation patients, cohort by cohort:

# %%
SEEN = "all that is visible, fitted"
shown = found[(found["scenario"] == "paper") & (found["cohort"] == "validation")]
shown = shown[(shown["track"] == "recommended") | (shown["quantity"] == f"C-index, {SEEN}")]
shown = shown.pivot(index="seed", columns="quantity", values="value")
pairs = [("dl_combined", "radiomics_combined"), ("dc", "clinical"), ("rc", "clinical")]
pairs += [(SEEN, "dl_combined"), (SEEN, "radiomics_combined")]
order = []
for one, other in pairs if len(shown) else ():
    difference = (shown[f"C-index, {one}"] - shown[f"C-index, {other}"]).dropna()
    row = {"C-index of": LABELS.get(one, one), "less that of": LABELS.get(other, other)}
    row |= {"difference, mean (lowest to highest)": summary(difference), "cohorts": len(difference)}
    order.append(row | {"above 0 in": int((difference > 0).sum())})
chapter.table("order", pd.DataFrame(order), "Recommended models in validation, side by side.")

# %% [markdown]
# *How to read it.* The three traits that are planted in the pictures (size, infiltration, heterogeneity) are
# things that radiomics measures by name and the network has to find. All that is visible is fitted to the
# same few metastases, so what is left between it and either is lost in reading the traits from pictures. How
# the two stand to each other is then decided by differences that a single validation cohort cannot tell from
# none (chapter 05 gives their intervals). That a network finds *more* than radiomics in real pictures is
# neither shown nor denied here.


# %%
def mean_of(scenario: str, quantity: str, track: str, cohort: str = "validation") -> float:
    """Return the mean over a scenario's cohorts."""
    chosen = found[(found["scenario"] == scenario) & (found["quantity"] == quantity)]
    return chosen[(chosen["cohort"] == cohort) & (chosen["track"] == track)]["value"].mean()


DL = "C-index, dl_combined"
recommended, ceiling = mean_of("paper", DL, "recommended"), mean_of("paper", f"C-index, {SEEN}", "truth")
way = format_number(100 * (recommended - 0.5) / (ceiling - 0.5), 0)
n = {scenario: seeds["scenario"].eq(scenario).sum() for scenario in NAMES}
several = {scenario: "one cohort" if k == 1 else f"{k} cohorts" for scenario, k in n.items()}

# %% [markdown]
# (other-cohorts-nothing)=
# ### Is 0.5 what out-of-fold scores have where there is nothing to find?
#
# A few cohorts with images cannot tell; many without can, by
# `python benchmarks/studies/coverage.py --nothing-planted`. They are drawn as tables in which nothing bears
# on the outcome, and a score is learnt from readings of pictures as in chapter 03:

# %%
drawn = pd.read_csv(project_path("data/studies/nothing_planted.csv")).drop(columns=["command", "version"])
caption = f"95 % intervals where nothing is planted (seeds {drawn.pop('seeds')[0]})."
chapter.table("nothing_planted", drawn.drop(columns=["quantity", "track", "limits"]), caption)

# %%
mean, held = (drawn.set_index("patients")[name] for name in ("mean estimate", "holds the truth, %"))
OUT, NEW = "training, out of fold", "validation"
chapter.say(
    f"Out of fold the mean C-index is {format_number(mean[OUT], 3)}, in validation "
    f"{format_number(mean[NEW], 3)}, and intervals hold 0.5 in {held[OUT]:.0f} and {held[NEW]:.0f} %. Out of "
    "fold, scores of five models, each without a fifth of the patients, stand in one row: one that chance "
    "has favoured in its four fifths is surer of itself, and its left-out fifth pays for it. A C-index "
    "somewhat below 0.5 is therefore what no skill looks like there; a leak would lift it above. Where there "
    "is something to find the shift is gone; intervals stay a little narrow ([chapter 08](08_ccnd.ipynb))."
)

# %%
values = chapter.read("05_cox_models/values").set_index(["id", "track"])["value"]
here = format_number(values.get(("table4.validation.c_index.dl_combined", "recommended")))
null = format_number(mean_of("null", DL, "recommended"))
nothing = f"; where nothing is planted it is {null} (chance: 0.5)" if n["null"] else ""
chapter.takeaway(
    1,
    f"**The recommended DL score's C-index in validation is {format_number(recommended)} on average in "
    f"cohorts drawn with other seeds, {here} in this run's{nothing}** ([results](#other-cohorts)).",
)

# %%
if n["paper"]:
    above = [row["above 0 in"] for row in order[:2]]
    chapter.takeaway(
        2,
        f"That mean, of {several['paper']}, is {way} % of the way from chance to what all that is visible "
        f"allows, {format_number(ceiling)} ([results](#other-cohorts)).",
    )
    chapter.takeaway(
        3,
        f"The published score's is {format_number(mean_of('paper', DL, 'as published'))} "
        "([results](#other-cohorts)).",
    )
    chapter.takeaway(
        4,
        f"Of {several['paper']}, the DL score's C-index is above that of radiomics in {above[0]}, and DC's "
        f"above that of the clinical model in {above[1]} ([order](#other-cohorts-order)).",
    )

# %%
if n["null"]:
    chapter.takeaway(
        5,
        f"Where nothing is planted ({several['null']}) the same C-index out of fold in training is "
        f"{format_number(mean_of('null', DL, 'recommended', 'training'))} ([results](#other-cohorts)), where "
        f"no skill at all comes out at {format_number(mean[OUT])} ([why](#other-cohorts-nothing)).",
    )

# %% [markdown]
# *How to read it.* The scatter between cohorts is what a single validation cohort of some forty metastases
# leaves open; it is as wide as most differences between models. What differs between the default cohort and
# the mean of these is chance, or choice: the table cannot tell which.
#
# ## Limits and deviations
#
# - All cohorts come from one generator, with its phantoms and its protocols: this is a test of the chain's
#   honesty, not of its use elsewhere.
# - The table is computed by a command, not by `make book`, and keeps the version that it was computed with.
