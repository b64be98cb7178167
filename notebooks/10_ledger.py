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
# # The ledger
#
# **How does every number that the paper prints compare with this run?** Each transcribed number has a row
# here, whether or not this run computed it.
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the `values.csv` of every chapter in the run, `data/published`, and what chapters 00 and 00b found
# of print. **Writes** `ledger.csv`, every row, and the figure on the book's front page.
#
# ## Setup

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm

from npcbook.book import open_chapter
from npcbook.paper import ledger, printed_decimals, read_published
from npcbook.words import LABELS, PRINT_LABEL, format_number

# %% tags=["parameters"]
run_folder = "data/runs/laptop-synthetic"  # the run whose values are compared
cohort_folder = "data/cohorts/synthetic-laptop"  # the cohort that the run analysed
absolute_limits = "auto"  # "auto" or 2 numbers, 0 to 1, such as 0.4,1; axis of the figure

# %%
chapter = open_chapter("10_ledger", run_folder=run_folder, cohort_folder=cohort_folder)

# %% [markdown]
# ## Data
#
# Chapters record their values under the id of the printed number, on a track: **as published** (the paper's
# method on these data), **recommended** (what a careful statistician would do)<span class="planted">, and
# **truth** (what was planted in this {term}`synthetic cohort`)</span>.

# %%
values = chapter.recorded_values()
by_track = values.rename(columns={"recorded_by": "chapter"}).groupby(["chapter", "track"], sort=False)
recorded = by_track.size().unstack(fill_value=0).reset_index()
chapter.table("recorded", recorded, "Values that each chapter of this run recorded, by track.")

# %% [markdown]
# (ledger-method)=
# ## Method
#
# The difference is this run's value as published minus the printed one, in the printed unit. A value is
# inside the printed confidence interval if it lies between the limits, rounding of the limits included.
#
# **Agreement counts only where it could have failed.** P-values have no distance: that two are alike says
# nothing of the effects behind them. A number printed in two places counts once. A printed number that
# [chapter 00](#printed-events) shows not to be what its name says is compared with nothing.
# <span class="planted">And in a synthetic cohort the counts of Table 1 and the frequency of events were set
# from print, and the layout of the features was built from it: that they agree was decided
# beforehand.</span>

# %%
printed = read_published().set_index("id", drop=False)
apart = chapter.read("00_printed_numbers/not_comparable").set_index("id")["why"].to_dict()
counts = printed["quantity"].isin(["count", "percent"]) & ~printed["id"].str.contains(
    ".selected.", regex=False
)
table1 = printed["id"].str.fullmatch(r"table1\.(training|validation)\.(dmfs_5y|os_5y|age|follow_up)")
if chapter.is_synthetic:
    apart |= dict.fromkeys(printed.index[counts | table1], "set from print")
rows = ledger(values, not_counted=apart)
chapter.write("ledger", rows)
result = rows["status"].isin(["compared", "not computed in this run"])
settings, compared = (~result).sum(), (rows["status"] == "compared").sum()
why = rows.loc[rows["status"] == "compared", "not counted"].replace("", "counted: it could have failed")
why = why.value_counts().rename_axis("as agreement").rename("numbers").reset_index()
chapter.table("counted", why, "The compared numbers: whether their agreement counts, and why not.")

# %%
synthetic = """**These data are synthetic.** Agreement mainly reflects how much signal the phantoms hold and
how small the network is, never that the paper is right; a difference may have been planted, too
(chapter 11)."""
real = """**These are other patients than the paper's.** A difference may come from case mix, treatment or
chance; a value inside the printed interval does not confirm the paper, one outside does not refute it."""
chapter.say(synthetic if chapter.is_synthetic else real)
chapter.takeaway(2, f"""Of the paper's {len(rows)} transcribed numbers {compared} are compared with this run,
and {len(rows) - compared - settings} results are not computed in it; the rest are settings and numbers from
the literature ([by chapter](#ledger-chapters), [row by row](#ledger-rows)).""")  # fmt: skip

# %% [markdown]
# (ledger-chapters)=
# ## Counts by chapter

# %%
by_chapter = rows[result].groupby(["chapter", "status"]).size().unstack(fill_value=0)
inside = rows[rows["in printed CI"].isin(["yes", "no"])]
inside = inside.groupby(["chapter", "in printed CI"]).size().unstack(fill_value=0)
inside = inside.reindex(columns=["yes", "no"], fill_value=0).add_prefix("in printed CI: ")
counts = by_chapter.join(inside).fillna(0).astype(int).reset_index()
chapter.table("counts", counts, "Printed results by the chapter that reproduces them.")

# %% [markdown]
# (ledger-intervals)=
# ## Inside the printed intervals
#
# Where a hazard ratio cannot be told from infinity, its difference stays empty.


# %%
def in_print_digits(table):
    """Return the rows with the difference as text, to as many decimals as the paper prints."""
    runaway = table["id"].map(printed["quantity"]).eq("hazard ratio") & table["here"].str.startswith(">")
    known = table["difference"].mask(runaway)
    pairs = zip(known, table["id"].map(printed["printed"]), strict=True)
    return table.assign(difference=[format_number(value, printed_decimals(text)) for value, text in pairs])


with_ci = rows[rows["in printed CI"].isin(["yes", "no"])]
outside = with_ci[with_ci["in printed CI"] == "no"]
shown = in_print_digits(outside)[["what", "printed", "here", "difference", "recommended", "truth"]]
chapter.table("outside", shown, "Values of this run outside the printed interval.")
n_inside = len(with_ci) - len(outside)
chapter.takeaway(1, f"""**Of {len(with_ci)} compared numbers that have a printed confidence interval, and
could have failed to lie in it, {n_inside} lie in it** ([intervals](#ledger-intervals)).""")  # fmt: skip
by_chance = 2 * norm.cdf(norm.ppf(0.975) / 2**0.5) - 1
chapter.say(f"""*How to read it.* Were print and this run two samples of one truth and equally precise,
{100 * by_chance:.0f} % of this run's values would lie inside. Many of these numbers rest on the same patients
and events, so that they agree or differ together.""")

# %% [markdown]
# In the figure bars are the printed 95 % intervals of {term}`C-indexes <C-index>` and {term}`AUCs <AUC>`.
# Filled dots are this run's values by the paper's method, hollow ones by the recommended one.

# %%
MEASURES = {"c_index": "C-index", "auc": "AUC at 5 years"}
recommended = values[values["track"] == "recommended"].drop_duplicates("id", keep="last").set_index("id")
drawn = with_ci[with_ci["id"].str.match(r"table4\..*\.(c_index|auc)\.")].set_index("id")


def draw_row(ax, height, published_id):
    """Draw a printed interval and this run's two values on one line."""
    row = printed.loc[published_id]
    here = row["value"] + drawn.at[published_id, "difference"]
    other = recommended["value"].get(published_id, np.nan)
    ax.plot([row["low"], row["high"]], [height, height], color="0.75", linewidth=6, solid_capstyle="butt",
            label="printed 95 % interval")  # fmt: skip
    ax.plot(row["value"], height, "|", color="black", markersize=9, label="printed value")
    ax.plot(here, height, "o", color="#0173b2", label="this run, as published")
    ax.plot(other, height, "o", markerfacecolor="none", color="#b35900", label="this run, recommended")


# %%
groups = {name: drawn.index[drawn.index.str.contains(f".{key}.", regex=False)]
          for key, name in MEASURES.items()}  # fmt: skip
groups = {name: ids for name, ids in groups.items() if len(ids)} or {"no value in this run": drawn.index}
fig, axes = plt.subplots(len(groups), sharex=True, squeeze=False, figsize=(6.5, 0.26 * len(drawn) + 1.6),
                         layout="constrained", height_ratios=[len(ids) + 1 for ids in groups.values()],
                         )  # fmt: skip
for ax, (name, ids) in zip(axes[:, 0], groups.items(), strict=True):
    for height, published_id in enumerate(reversed(ids)):
        draw_row(ax, height, published_id)
    whose = [f"{printed.at[i, 'subject']}, {printed.at[i, 'cohort']}" for i in reversed(ids)]
    ax.set_yticks(range(len(ids)), whose, fontsize=8)
    ax.set_title(name, loc="left", fontsize=10)
    ax.axvline(0.5, color="0.4", linestyle=":", label="chance")
if absolute_limits != "auto":
    ax.set_xlim(*map(float, absolute_limits.split(",")))
legend = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
fig.legend(legend.values(), legend.keys(), loc="outside upper center", ncols=3, fontsize=8, frameon=False)
alt = ("Printed interval of each C-index, then of each AUC, with this run's value as published (filled dot) "
       "and as recommended (hollow dot) on the same line.")  # fmt: skip
chapter.figure("discrimination", fig, alt)

# %% [markdown]
# (ledger-print)=
# ## Print against print
#
# The checks of chapters 00 and 00b use no cohort; they are counted here because they say which printed
# numbers a comparison should trust.

# %%
checks = pd.concat([chapter.read("00_printed_numbers/checks"), chapter.read("00b_printed_sentences/checks")])
kind = checks["verdict"].str.split(" on ").str[0]
verdicts = kind.value_counts().rename_axis("verdict").rename("checks").reset_index()
caption = "Checks of printed numbers against one another."
chapter.table("print_checks", verdicts, caption, label=PRINT_LABEL)
chapter.takeaway(3, f"""{(kind != "reproduces").sum()} of {len(checks)} checks of print against print do not
simply reproduce ([print](#ledger-print)).""")  # fmt: skip

# %% [markdown]
# (ledger-rows)=
# ## Against the paper
#
# Every row, in the order of the chapters, whose number stands first. Above the table, choose a chapter, or
# the rows inside or outside the printed interval (or why neither counts), or type words such as *DL C-index*,
# all of which a row then has to hold. Settings, and numbers that the paper takes from the literature, have
# nothing of a run beside them.

# %% tags=["full-width", "filterable"]
words = {"compared": "not printed", "not computed in this run": "not computed"}
interval = rows["in printed CI"].map({"yes": "inside", "no": "outside"})
why_not = rows["not counted"].mask((rows["not counted"] == "") | (rows["status"] != "compared"))
rows["printed interval"] = interval.fillna(why_not).fillna(rows["status"].replace(words))
names = {"what": "printed number", "source": "place"}
columns = ["what", "printed", "here", "printed interval", "difference", "recommended", "truth", "chapter"]
every = in_print_digits(rows).assign(chapter=rows["chapter"].str[:2])
every = every[[*columns, "source"]].sort_values("chapter", kind="stable")
chapter.table("rows", every.rename(columns=names), "Every printed number beside this run's.")

# %% [markdown]
# (ledger-front)=
# ## The front page
#
# The book opens with sentences that the chapters hand over, and with one figure: the C-index of each model in
# the validation cohort, in patients that no model was fitted on. Bars are the printed intervals.
# <span class="planted">Settings were chosen [in sight of such values](09c_other_cohorts.ipynb). The dotted
# line is the C-index of the planted risk itself, which no model can beat but by chance.</span>

# %%
FRONT = ["clinical", "radiomics_combined", "dl_combined", "rc", "dc"]
front = values[values["id"].str.startswith("table4.validation.c_index.")].drop_duplicates(
    ["id", "track"], keep="last").set_index(["id", "track"])  # fmt: skip
front = front.reindex(columns=["value", "low", "high"]).astype(float)
DOTS = {
    "as published": {"color": "#d55e00", "marker": "o"},
    "recommended": {"color": "#0173b2", "marker": "D"},
}


def draw_model(ax, height, model):
    """Draw a model's printed interval and this run's values with theirs on one line."""
    i = f"table4.validation.c_index.{model}"
    row, bar = printed.loc[i], {"color": "0.8", "linewidth": 17, "solid_capstyle": "butt"}
    ax.plot([row["low"], row["high"]], [height, height], label="print, 95 % interval", **bar)
    ax.plot(row["value"], height, "|", color="black", markersize=17)
    for (track, style), shift in zip(DOTS.items(), (0.13, -0.13), strict=True):
        if (i, track) in front.index:
            value, low, high = front.loc[(i, track)]
            ax.plot([low, high], [height + shift] * 2, color=style["color"], linewidth=1.5)
            ax.plot(value, height + shift, linestyle="none", markersize=7, label=f"{track}, here", **style)


# %%
fig, ax = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
for height, model in enumerate(reversed(FRONT)):
    draw_model(ax, height, model)
ax.axvline(0.5, color="0.5", linewidth=1)
planted = front[front.index.get_level_values("track") == "truth"]["value"].max()
ax.axvline(planted, color="black", linestyle=":", label="planted risk")
ax.set_yticks(range(len(FRONT)), [LABELS[model] for model in reversed(FRONT)], fontsize=11)
ax.set_ylim(-0.6, len(FRONT) - 0.4)
ax.set_xlabel("C-index in validation", fontsize=11)
ax.tick_params(axis="x", labelsize=10)
ax.spines[["top", "right"]].set_visible(False)
legend = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
if planted != planted:  # no truth is known
    legend.pop("planted risk")
fig.legend(legend.values(), legend.keys(), loc="outside upper left", ncols=2, fontsize=10, frameon=False)
alt = "C-index of each model in validation: printed interval, this run's values with theirs"
alt += "." if planted != planted else ", and that of the planted risk."
chapter.figure("front", fig, alt)

# %%
of_whom, seen = "this cohort's patients", ""
if chapter.is_synthetic:
    of_whom = "simulated patients"
    seen = ", though settings were chosen [in sight of their values](notebooks/09c_other_cohorts.ipynb)"
marks = f"Marks: {of_whom}, none of whom a model was fitted on{seen}. " if len(front) else ""
caption = f"""*Bars: the paper's intervals, from print. {marks}The grey line is chance. All {len(rows)}
printed numbers are in the [ledger](notebooks/10_ledger.ipynb).*"""
chapter.front_figure("front", caption)

# %% [markdown]
# ## Limits and deviations
#
# - Numbers in figures and in the supplement are not transcribed, so that they have no row.
# - The interval of the **printed** number is used. Whether the two estimates differ beyond chance needs the
#   interval of this run's as well; it stands in the chapter.
# - <span class="planted">The effects of Table 2, of the risk groups and of the dose were planted with print
#   in view. Agreement could still fail, by chance and by what the models make of the pictures, and so it is
#   counted.</span>
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `absolute_limits = "0.4,1"`: the axis of the figure begins below chance, so that distances between models
#   can be compared with those of another run drawn on the same axis.
# - `run_folder` and `cohort_folder` of another run, such as the smoke profile's: its values beside print.
# ```
#
# ## Hand-over
#
# `ledger.csv` holds every row with its id, source, difference and status, for whatever comparison a reader
# wants to make.
