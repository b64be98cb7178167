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
# **Reads** the `values.csv` of every chapter in the run, and `data/published`. **Writes** `ledger.csv`, every
# row, and the result on the book's front page.
#
# ## Setup

# %%
import html

import matplotlib.pyplot as plt

from npcbook.book import open_chapter
from npcbook.paper import ledger, printed_decimals, read_published
from npcbook.words import PRINT_LABEL, format_number

# %% tags=["parameters"]
run_folder = "data/runs/laptop-synthetic"  # the run whose values are compared
cohort_folder = "data/cohorts/synthetic-laptop"  # the cohort that the run analysed
absolute_limits = "auto"  # axis of the figure: "auto", or two numbers such as "0.4,1"

# %%
chapter = open_chapter("10_ledger", run_folder=run_folder, cohort_folder=cohort_folder)

# %% [markdown]
# ## Data
#
# Chapters record their values under the id of the printed number, on one of three tracks: **as published**
# (the paper's method on these data), **recommended** (what a careful statistician would do), and **truth**
# (what was planted, in a {term}`synthetic cohort` only).

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
# inside the printed confidence interval if it lies between the limits, rounding of the limits included. A
# number that the paper prints in two places takes the value recorded for either. P-values printed as "<0.001"
# have no difference.

# %%
rows = ledger(values)
chapter.write("ledger", rows)
result = rows["status"].isin(["compared", "not computed in this run"])
settings, compared = (~result).sum(), (rows["status"] == "compared").sum()
synthetic = """**These data are synthetic.** What was planted was either taken from print or set otherwise on
purpose, as chapter 11 tells. Agreement shows at most that the pipeline recovers what was planted, never that
the paper is right; a difference may have been planted too."""
real = """**These are other patients than the paper's.** A difference may come from case mix, treatment or
chance; a value inside the printed interval does not confirm the paper, one outside does not refute it."""
chapter.say(synthetic if chapter.is_synthetic else real)
chapter.takeaway(1, f"""The paper's {len(rows)} transcribed numbers: {compared} compared with this run,
{len(rows) - compared - settings} results not computed in it, {settings} settings and numbers from the
literature ([by chapter](#ledger-chapters), [row by row](#ledger-rows)).""")  # fmt: skip
chapter.takeaway(4, f"""What agreement of {len(values)} recorded values with print means depends on whose data
they are: a note says so beside the [method](#ledger-method).""")  # fmt: skip

# %% [markdown]
# (ledger-chapters)=
# ## Counts by chapter

# %%
by_chapter = rows[result].assign(chapter=rows["chapter"].replace("", "none"))
by_chapter = by_chapter.groupby(["chapter", "status"]).size().unstack(fill_value=0)
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


printed = read_published().set_index("id", drop=False)
with_ci = rows[rows["in printed CI"].isin(["yes", "no"])]
outside = with_ci[with_ci["in printed CI"] == "no"]
shown = in_print_digits(outside)[["what", "printed", "here", "difference", "recommended", "truth"]]
chapter.table("outside", shown, "Values of this run outside the printed interval.")
chapter.takeaway(2, f"""Of the {len(with_ci)} compared numbers that are printed with a confidence interval,
{len(with_ci) - len(outside)} have this run's value inside it
([intervals](#ledger-intervals)).""")  # fmt: skip

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
    other = recommended["value"].get(published_id)
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
# The checks of chapter 00 use no cohort; they are counted here because they say which printed numbers a
# comparison should trust.

# %%
checks = chapter.read("00_printed_numbers/checks")
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
# the rows inside or outside the printed interval, or type a word. Settings, and numbers that the paper takes
# from the literature, have nothing of a run beside them.

# %% tags=["full-width", "filterable"]
words = {"compared": "none printed", "not computed in this run": "not computed"}
interval = rows["in printed CI"].map({"yes": "inside", "no": "outside"})
rows["printed interval"] = interval.fillna(rows["status"].replace(words))
names = {"what": "printed number", "source": "place"}
columns = ["what", "printed", "here", "printed interval", "difference", "recommended", "truth", "chapter"]
every = in_print_digits(rows).assign(chapter=rows["chapter"].str[:2].replace("", "none"))
every = every[[*columns, "source"]].sort_values("chapter", kind="stable")
chapter.table("rows", every.rename(columns=names), "Every printed number beside this run's.")

# %% [markdown]
# ## The front page
#
# The book opens with the figure above and a few of these rows.

# %%
FRONT = [
    "table3.validation.cet1w",
    "table4.validation.c_index.clinical",
    "table4.validation.c_index.radiomics_combined",
    "table4.validation.c_index.dl_combined",
    "table4.validation.c_index.dc",
    "text.validation.km_hr.dl_combined",
    "text.ccnd.high.dmfs_5y.over_160",
    "text.ccnd.high.dmfs_5y.radiotherapy",
]
front = printed.loc[FRONT]
compares = front["id"].str.startswith("table4.") & (front["p_printed"] != "")
unit = (", " + front["unit"]).where(front["unit"] != "", "")
unit = unit.mask(compares & (front["unit"] == ""), "; p: against radiomics")
shown = rows.set_index("id").loc[FRONT, ["what", "printed", "here", "recommended", "truth"]]
shown["what"] += unit
head = ["number", "printed", "as published, here", "recommended, here", "planted truth"]
lines = [head, ["---"] * len(head), *shown.to_numpy().tolist()]
front_table = "\n".join(f"| {' | '.join(line)} |" for line in lines)

# %%
shown_as = html.escape(f"{alt} {chapter.label}.", quote=True)
image = f"results/figures/{chapter.name}/discrimination.png"
chapter.front_page(f"""<p><img src="{image}" alt="{shown_as}" width="620"></p>

**{chapter.label}.** Discrimination of every model: bars are the printed 95 % intervals, filled
dots what the paper's method gives on the patients of this run, hollow dots what the recommended one gives.
The table sets some of the numbers side by side; the [ledger](notebooks/10_ledger.ipynb) has them all.

{front_table}""")

# %% [markdown]
# ## Limits and deviations
#
# - Numbers in figures and in the supplement are not transcribed, so that they have no row.
# - The interval of the **printed** number is used. Whether the two estimates differ beyond chance needs the
#   interval of this run's as well; it stands in the chapter.
# - Several rows tell the same thing (a count and its percentage, a number and its repetition): counts of rows
#   are not counts of independent agreements.
#
# ```{admonition} Try this
# :class: tip
#
# - `absolute_limits = "0.4,1"`: the axis of the figure begins below chance, so that distances between models
#   can be compared with those of another run drawn on the same axis.
# - `run_folder` and `cohort_folder` of another run, such as the smoke profile's: with fewer patients more
#   dots leave the printed bars, by chance and because the networks are smaller and trained for less.
# ```
#
# ## Hand-over
#
# `ledger.csv` holds every row with its id, source, difference and status, for whatever comparison a reader
# wants to make.
