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
# # The printed sentences
#
# **Can each sentence of the paper that holds a number or a comparison be so, and does it go with the
# others?** Chapter 00 recomputed the tables; this one goes through text, footnotes and methods from the first
# sentence to the last.
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** `data/published/*.csv`, and from [chapter 00](00_printed_numbers.ipynb) the number of metastases
# and the share of high-risk patients that print implies. **Writes** the tables below and `checks.csv`, which
# the ledger counts. No cohort is used: every run has this same page.
#
# ## Setup

# %%
import math
from itertools import product

import pandas as pd
from scipy.stats import norm

from npcbook.book import open_chapter
from npcbook.paper import (
    CHECK_COLUMNS,
    Interval,
    check,
    pair_correlation,
    printed_interval,
    printed_wald,
    read_claims,
    read_published,
    score_spread,
    two_rate_p,
)
from npcbook.words import COHORTS, LABELS, MISSING, MODELS, format_number

# %% tags=["parameters"]
run_folder = "data/runs/laptop-synthetic"  # where the tables go
claimed_alpha = 0.05  # 0.0001 to 0.5; two-sided significance level (Statistical analysis)
bytes_per_value = 4  # 1 to 8; of a number on the graphics card: 4 in single precision, 2 in half
min_fraction = 0.1  # 0.01 to 0.49; least share of patients on either side of a cut-off, as in chapter 06

# %%
chapter = open_chapter("00b_printed_sentences", run_folder=run_folder)

# %% [markdown]
# ## Data
#
# The transcribed numbers, and what chapter 00 derived from them.

# %%
published = read_published().set_index("id", drop=False)
number, as_printed, subject = (published[name] for name in ("value", "printed", "subject"))
derived = chapter.read("00_printed_numbers/derived").set_index("name")
events, high_risk = (Interval(*derived.loc[name]) for name in ("training events", "high-risk share"))

# %% [markdown]
# ## Method
#
# As in chapter 00: a printed number stands for every value that rounds to it, and the verdict is
# *reproduces*, *does not reproduce*, or *depends on* something that print does not tell. The last one is
# frequent here, because a sentence can be read in more than one way; what would have to hold is then said.
# Nothing of it is a reproach: methods are written short, and units get lost in typesetting.
#
# (printed-network)=
# ## Network, images, hardware
#
# Filters "doubled after each downsampling", by pooling of 2 × 2 × 2: of 32 slices one is left after five.
# With $f$ filters in the first level the bottleneck has $f\,2^k$ after $k$ poolings. For a gradient step the
# first level alone must keep the outputs of its two convolutions on the way down and of two on the way up,
# and their input, which joins both ways: $6f$ maps of full size for each volume.

# %%
settings = {name: int(number[f"text.methods.{name}"]) for name in (
    "network.bottleneck", "network.tensors", "network.input", "network.sequences", "augmented.slices",
    "augmented.versions", "training.batch", "training.gpus", "training.gpu_memory")}  # fmt: skip
poolings = int(math.log2(settings["augmented.slices"]))
each = settings["network.bottleneck"] / 2**poolings
together = each / settings["network.tensors"]
maps = 6 * settings["augmented.slices"] * settings["network.input"] ** 2 * settings["training.batch"]
gigabytes = {filters: maps * filters * bytes_per_value / 1e9 for filters in (each, together)}
memory = settings["training.gpus"] * settings["training.gpu_memory"]
texts = [f"{size:.0f} GB with {filters:g}" for filters, size in gigabytes.items()]
fits = min(gigabytes.values()) <= memory
overlap = (math.sqrt(17) - 3) / 4  # where 1 - 2J/(1+J) = 2J, with J the overlap as a share of the union

# %%
per_level = number[[f"text.methods.network.{k}" for k in ("convolutions", "up_convolutions")]]
sequences = number["text.discussion.sequences"]
rows = [
    ("Channels of each of three tensors", "network.bottleneck",
     f"after {poolings} doublings: {each:g} filters in the first level; {together:g} if three make the sum",
     f"depends on a first level of {each:g} filters, or on the number being the sum of three", "certain"),
    ("Slices in the input", "network.sequences",
     f"{settings['augmented.slices']} slices a patient elsewhere; of three, one is left after one pooling",
     "depends on slices meaning sequences", "high"),
    ("Side of the convolution that upsamples", "network.up_kernel",
     "a convolution leaves the map as large or smaller, a transposed one doubles it",
     "depends on a transposed convolution being meant", "high"),
    ("Convolutions per level, decoder and encoder", "network.up_convolutions",
     as_printed["text.methods.network.convolutions"], len(set(per_level)) == 1, "certain"),
]  # fmt: skip

# %%
rows += [
    ("Sixfold images hold each sequence equally often", "augmented.versions",
     f"{settings['augmented.versions'] / sequences:g} of each of {sequences:g}",
     settings["augmented.versions"] % sequences == 0, "certain"),
    ("Frame buffer of a V100, TB", "training.gpu_memory", "made with 16 or 32 GB",
     "depends on TB standing for GB", "high"),
    (f"Batch in {memory} GB, if it counts volumes", "training.batch",
     f"first level alone: {', '.join(texts)} filters",
     fits or "depends on batches of something smaller, or on a narrower network", "moderate"),
]  # fmt: skip

# %% tags=["hide-output"]
network = [check("Network", what, as_printed[f"text.methods.{i}"], *rest) for what, i, *rest in rows]
what, text = (
    "Dice loss, Equation 1: both sides",
    f"equal at one overlap only, {overlap:.2f}; at a perfect one 0 and 2",
)
verdict = "depends on the last expression being a slip"
network.append(check("Network", what, "1 − 2 · product / sum = 2 · intersection / union", text, verdict))
network = pd.DataFrame(network)
chapter.table("network", network.drop(columns="topic"), "Architecture and hardware as printed.")

# %% [markdown]
# *How to read it.* Nothing here bears on the results, but each entry is a choice that whoever repeats the
# work has to make. The [register](12_register.ipynb) says what this book chose.
#
# (printed-units)=
# ## Units, signs and dates

# %%
limits = {name: as_printed[f"table1.{name}_threshold.center1"] for name in ("ldh", "ebv")}
scores = [printed_wald(f"text.{cohort}.km_hr.{model}").p_value for cohort, model in product(COHORTS, MODELS)]
weakest = max(p_value.high for p_value in scores)
bins = 8 / number["text.methods.radiomics.bin_width"]
rows = [
    ("Abnormal LDH and detectable EBV DNA, center 1", " and ".join(limits.values()),
     "the one is above its limit, the other below", limits["ldh"][0] == limits["ebv"][0]
     or "depends on < marking what is undetectable", "high"),
    ("Bin width, H", as_printed["text.methods.radiomics.bin_width"],
     f"MRI has no Hounsfield units; a normalised image, four SD either way, spans {bins:.1f} bins",
     "depends on a scale of the images that is not printed", "high"),
    ("Cut-offs with the lowest log-rank statistic", "lowest",
     f"all {len(scores)} groupings are far apart: largest p {Interval(weakest, weakest):p}",
     "depends on the lowest p-value being meant, that is the highest statistic", "high"),
]  # fmt: skip
for name in ("Python", "PyRadiomics"):
    version, link = (as_printed[f"text.methods.{name.lower()}_{part}"] for part in ("version", "link"))
    # The link to Python's release writes its version without dots.
    agrees = link == (version if "." in link else version.replace(".", ""))
    rows.append((f"{name} version and its link", version, f"link: {link}", agrees, "high"))

# %%
rt = published.loc[[f"text.methods.rt.{k}" for k in ("primary", "nodes", "high_risk", "low_risk")]]
rt = rt.set_axis(["primary", "nodes", "high_risk", "low_risk"])
others = Interval(rt["low"].min(), rt["high"].max())
verdict = others.contains(rt.at["high_risk", "value"]) or "depends on a dash lost from the text"
text = f"other volumes: {others:.0f} Gy"
rows.append(("Dose to the high-risk volume, Gy", rt.at["high_risk", "printed"], text, verdict, "high"))

# %%
fractions, weeks, usual = (published.loc[f"text.methods.{k}"] for k in (
    "rt.fractions", "rt.weeks", "concurrent.three_weekly"))  # fmt: skip
begun = [math.ceil(fractions[end] / number["text.methods.rt.fractions_per_week"]) for end in ("low", "high")]
what, agrees = f"{fractions['printed']} fractions, five a week: weeks", begun == [weeks["low"], weeks["high"]]
rows.append((what, weeks["printed"], f"{begun[0]}–{begun[1]} begun weeks", agrees, "certain"))
cycles, dose = number["text.discussion.ccnd_cycles"], number["text.discussion.ccnd_per_cycle"]
threshold, text = published.loc["text.ccnd.threshold"], f"{cycles:g} × {dose:g}"
agrees = cycles * dose == threshold["value"]
rows.append((f"Dose of {cycles:g} cycles, mg/m²", threshold["printed"], text, agrees, "certain"))
text, agrees = f"concurrent, three-weekly: {usual['printed']}", usual["low"] <= dose <= usual["high"]
rows.append(("Dose of a cycle, mg/m²", f"{dose:g}", text, agrees, "certain"))

# %% [markdown]
# Patients were treated "between April 2008 and July 2017" and followed "until October 1, 2021": nobody can
# have been followed for longer than from the first to the last of these dates.

# %%
first, last, until = (
    pd.Timestamp(as_printed[f"text.methods.{k}"]) for k in ("first_treated", "last_treated", "followed_until")
)
month = 365.25 / 12
longest, shortest = ((until - day).days / month for day in (first, last + pd.offsets.MonthEnd()))
for cohort in COHORTS:
    follow_up, text = published.loc[f"table1.{cohort}.follow_up"], f"at most {longest:.0f} by the calendar"
    printed = f"{follow_up['printed']} ({follow_up['low_printed']}–{follow_up['high_printed']})"
    agrees = follow_up["high"] <= longest
    rows.append((f"Follow-up, months, {cohort}", printed, text, agrees, "certain"))
units = pd.DataFrame([check("Units and dates", *row) for row in rows])
caption = "Units, signs, doses and dates against what stands beside them."
chapter.table("units", units.drop(columns="topic"), caption)
late = (last - (until - pd.DateOffset(years=5))).days / month
chapter.say(f"""*How to read it.* A patient treated in the last {late + 1:.0f} months of recruitment cannot
have been followed for five years, the last one for {shortest:.0f} months at most; Kaplan–Meier curves allow
for that.""")

# %% [markdown]
# (printed-cutoffs)=
# ## Cut-offs that a score can have
#
# Cut-offs are printed without the cohort in which they were found. The radiomic score is a weighted sum of
# features standardised by z-score, so that its mean is zero where it was standardised; the linear predictor
# that R gives for a {term}`Cox model` is centred, too. A score that is normal with standard deviation
# $\sigma$ has a {term}`C-index` that follows from $\sigma$, so that the printed one tells it. Whatever the
# distribution, at most a share $1/(1 + c^2/\sigma^2)$ of the patients can lie beyond a cut-off $c$ from the
# mean
# (Cantelli's inequality), and `surv_cutpoint` leaves a tenth on either side unless told otherwise.

# %%
rows = []
for model in ("clinical", "radiomics_combined", "rc", "dc"):
    cut, c_index = published.loc[f"text.cutoff.{model}"], printed_interval(f"table4.training.c_index.{model}")
    spread = Interval(*map(score_spread, (c_index.low, c_index.high)))
    share = 1 / (1 + (cut["value"] / spread.high) ** 2)
    text = f"σ {spread:.2f}: at most {100 * share:.1f} % of patients beyond it, were the mean zero"
    verdict = share >= min_fraction or "depends on a score whose mean is not zero"
    rows.append(check("Cut-offs", LABELS[model], cut["printed"], text, verdict, "moderate"))
doses = [f"text.ccnd.high.dmfs_5y.{dose}" for dose in ("over_160", "radiotherapy", "up_to_160")]
risks = Interval(100 - number[doses].max(), 100 - number[doses].min())
cut = published.loc["text.cutoff.dl_combined"]
text = f"as a probability {100 * cut['value']:.1f} % or more; printed 5-year risks there: {risks:.1f} %"
verdict = risks.high >= 100 * cut["value"] or "depends on a score that is not a calibrated probability"
rows.append(check("Cut-offs", LABELS["dl_combined"], cut["printed"], text, verdict, "moderate"))

# %%
cutoffs = pd.DataFrame(rows)
chapter.table("cutoffs", cutoffs.drop(columns="topic"), "Cut-offs against what their scores can be.")
off = cutoffs["verdict"] != "reproduces"
chapter.takeaway(3, f"""{off.sum()} of {len(cutoffs)} printed cut-offs do not go with what the methods say of
their scores: {" and ".join(cutoffs.loc[off, "check"])} ([cut-offs](#printed-cutoffs)).""")  # fmt: skip

# %% [markdown]
# *How to read it.* A radiomic score on features that were not standardised, or with a constant, may have any
# cut-off. The clinical score takes no more values than T category, rENE and sex have combinations, so that
# its cut-off stands for a gap between two of them. The output of the network is called "the predicted
# probability value of DM": were it calibrated, more than half of those above the cut-off would have a
# metastasis.
#
# (printed-orderings)=
# ## Comparisons and orders
#
# "Higher", "lowest", "in both cohorts", "superior": each such word against the numbers it speaks of.

# %%
table2 = published[published["source"] == "Table 2"]
below = table2["p_value_max"].le(claimed_alpha).groupby(table2["id"].str.split(".").str[2], sort=False).all()
found = below.index[below].tolist()
same = set(found) == {"female", "t2", "rene_g1", "rene_g2"}
rows = [("Significant in both analyses of Table 2", "T category, rENE, and sex", ", ".join(found), same)]
for cohort, kind in product(COHORTS, ("dl", "radiomics")):
    parts = [as_printed[f"text.{cohort}.c_index.{kind}_{s}"] for s in ("combined", "t1w", "t2w", "cet1w")]
    agrees = max(parts[1:], key=float) < parts[0]
    rows.append((f"{kind.upper() if kind == 'dl' else 'Radiomics'}: combined above each sequence, {cohort}",
                 parts[0], ", ".join(parts[1:]), agrees))  # fmt: skip
MEASURES = {"c_index": "C-index", "auc": "5-year AUC"}
for cohort, (measure, name) in product(COHORTS, MEASURES.items()):
    values = {model: float(as_printed[f"table4.{cohort}.{measure}.{model}"]) for model in MODELS}
    order = ", ".join(f"{LABELS[model]} {value:.2f}" for model, value in values.items())
    agrees = min(values, key=values.get) == "radiomics_combined" and max(values, key=values.get) == "dc"
    rows.append((f"Radiomics lowest and DC highest, {name}, {cohort}", "as said", order, agrees))

# %%
for pair, expected in (("dc_vs_dl_combined", ("yes", "no")), ("rc_vs_clinical", ("no", "no"))):
    for cohort, said in zip(COHORTS, expected, strict=True):
        p_values = [printed_interval(f"table4.{cohort}.{measure}.{pair}") for measure in MEASURES]
        agrees = all((p_value.high < claimed_alpha) == (said == "yes") for p_value in p_values)
        text = "p " + " and ".join(as_printed[f"table4.{cohort}.{measure}.{pair}"] for measure in MEASURES)
        what = subject[f"table4.{cohort}.c_index.{pair}"].removesuffix(", C-index")
        rows.append((f"{what}: significant, {cohort}", said, text, agrees))
rates = [f"table1.{cohort}.{endpoint}_5y" for endpoint, cohort in product(("dmfs", "os"), COHORTS)]
over = number["text.introduction.survival_5y"]
agrees = all(number[rates] > over)
rows.append(("5-year rates over those of the introduction, %", as_printed["text.introduction.survival_5y"],
             ", ".join(as_printed[rates]), agrees))  # fmt: skip
incidence = Interval(*number[[f"text.introduction.rene_incidence_{end}" for end in ("low", "high")]])
for cohort in COHORTS:
    share = 100 - number[f"table1.{cohort}.rene_none.percent"]
    rows.append((f"rENE within the range of the literature, %, {cohort}", f"{incidence:.1f}", f"{share:.1f}",
                 incidence.contains(share)))  # fmt: skip
orders = [check("Comparisons", *row) for row in rows]

# %% [markdown]
# T2N0 patients "had superior survival outcomes". Superior to whom is not said; the whole study is both
# cohorts of Table 1, weighted by their size. And EBV DNA is called detectable at half the load in centers 2
# and 3, which should find it more often.

# %%
sizes = number[[f"table1.{cohort}.n" for cohort in COHORTS]].tolist()
for endpoint in ("dmfs", "os"):
    parts = [printed_interval(f"table1.{cohort}.{endpoint}_5y") for cohort in COHORTS]
    low, high = (sum(n * end for n, end in zip(sizes, ends, strict=True)) / sum(sizes)
                 for ends in ([p.low for p in parts], [p.high for p in parts]))  # fmt: skip
    i, what = f"text.t2n0.{endpoint}_5y.all", f"T2N0 superior, 5-year {endpoint.upper()}, %"
    text, agrees = f"all patients: {Interval(low, high):.1f}", printed_interval(i).low > high
    orders.append(check("Comparisons", what, as_printed[i], text, agrees, "moderate"))

# %%
for name, known, others in (("ebv", ("ebv_detectable", "ebv_undetectable"), "center2"),
                            ("ldh", ("ldh_abnormal", "ldh_normal"), "center2_3")):  # fmt: skip
    counts = [number[[f"table1.{cohort}.{level}.n" for level in known]].tolist() for cohort in COHORTS]
    shares = [100 * found / (found + rest) for found, rest in counts]
    cuts = [float(as_printed[f"table1.{name}_threshold.{center}"][1:]) for center in ("center1", others)]
    agrees = (shares[0] > shares[1]) == (cuts[0] < cuts[1])
    verdict = agrees or "depends on other patients or assays: the lower limit found fewer"
    what = f"{subject[f'table1.training.{known[0]}.n']}, limits {cuts[0]:g} and {cuts[1]:g}"
    text = f"{shares[0]:.1f} and {shares[1]:.1f} % of those known"
    orders.append(check("Comparisons", what, "the lower should find more", text, verdict, "moderate"))

# %% [markdown]
# (printed-unseen)=
# ### Better in patients it has not seen?
#
# A model fitted on the training patients should do at least as well there as elsewhere. The two cohorts are
# different patients, so that a difference has the standard error $\sqrt{SE_1^2 + SE_2^2}$. Single sequences
# have no printed interval; they borrow that of the combined model.

# %%
compared = {f"text.{{}}.c_index.{kind}_{s}": f"table4.{{}}.c_index.{kind}_combined"
            for kind, s in product(("dl", "radiomics"), ("t1w", "t2w", "cet1w"))}  # fmt: skip
compared |= {f"table4.{{}}.{m}.{model}": f"table4.{{}}.{m}.{model}" for m, model in product(MEASURES, MODELS)}
unseen = []
for i, borrowed in compared.items():
    ids = [i.format(cohort) for cohort in COHORTS]
    (first, se_first), (second, se_second) = (
        (printed_interval(i.format(cohort)), printed_wald(borrowed.format(cohort)).se) for cohort in COHORTS
    )
    p_value = two_rate_p(first, se_first, second, se_second)
    gain = number[ids[1]] - number[ids[0]]
    verdict = gain <= 0 or p_value.high >= claimed_alpha or "depends on validation being easier to rank"
    what, sure = ", ".join(published.loc[ids[0], ["subject", "quantity"]]), "high"
    if i != borrowed:
        sure = "moderate"
    text = f"{gain:+.2f} in validation, p {p_value:p}".replace("-", "−")
    row = check("Unseen patients", what, " and ".join(as_printed[ids]), text, verdict, sure, gain=gain)
    unseen.append(row)

# %%
comparisons, unseen = pd.DataFrame(orders), pd.DataFrame(unseen)
odd = comparisons[comparisons["verdict"] != "reproduces"].drop(columns="topic")
chapter.table(
    "comparisons", odd, f"Comparisons in words that their numbers do not bear, of {len(comparisons)}."
)
chapter.table(
    "unseen", unseen[CHECK_COLUMNS[1:]], "Training and validation: who does better in unseen patients."
)
gains = unseen[unseen["check"].str.endswith("C-index")]
radiomic = gains["check"].str.startswith("Radiomics")
better = gains["gain"] > 0
chapter.say(f"""*How to read it.* {better.sum()} of {len(gains)} printed C-indexes are higher in validation
than in the patients that the model was fitted on, among them {better[radiomic].sum()} of the {radiomic.sum()}
radiomic ones. One at a time that is within chance. It is the reverse of optimism, which a model fitted on so
few events would show; easier patients in validation would explain it.""")

# %% [markdown]
# (printed-epv)=
# ## Events for each variable
#
# By the number of training metastases that print implies: how many there are for each coefficient or feature.

# %%
selected, features = number["text.radiomics.selected.combined"], number["text.radiomics.features"]
n_multivariable = table2["id"].str.startswith("table2.multivariable").sum()
counts = {"Multivariable model of Table 2": n_multivariable, "Clinical model": len(found),
          "RC and DC models": len(found) + 1, "Radiomics: features kept": selected,
          "Radiomics: features tried": features}  # fmt: skip
per_variable = [
    (name, int(n), format_number(events.low / n, 2), format_number(events.high / n, 2))
    for name, n in counts.items()
]
per_variable = pd.DataFrame(
    per_variable, columns=["model", "coefficients", "events each, least", "events each, most"]
)
chapter.table("events_per_variable", per_variable, "Training metastases for each coefficient.")

# %% [markdown]
# *How to read it.* Ten or twenty events for each *candidate* is a common rule of thumb; what is needed is
# worked out in [chapter 09](09_stress_tests.ipynb). Complete cases of EBV DNA have fewer events than all.
#
# (printed-dose)=
# ## What the dose groups could show
#
# The numbers of patients per dose group are in a picture only. From the printed rates one can say how many
# patients each of two groups, none lost to follow-up, would need for a difference to reach significance:
#
# $$n = 1.96^2 \; \frac{S_1(1 - S_1) + S_2(1 - S_2)}{(S_1 - S_2)^2} .$$

# %%
rows, n = [], number["text.ccnd.n"]
for reference in ("radiotherapy", "up_to_160"):
    ids = [f"text.ccnd.high.dmfs_5y.{arm}" for arm in ("over_160", reference)]
    shares = number[ids] / 100
    needed = norm.ppf(0.975) ** 2 * (shares * (1 - shares)).sum() / shares.diff().iloc[1] ** 2
    rows.append((reference.replace("_", " "), *as_printed[ids], round(needed)))
columns = ["over 160 mg/m² against", "5-year DMFS, %", "of the other, %", "patients needed in each"]
chapter.table("dose_arms", pd.DataFrame(rows, columns=columns), "High risk: arms needed for p < 0.05.")
chapter.say(f"""*How to read it.* All **three** groups together hold {high_risk * n:.0f} high-risk
patients, by the share that the pooled DMFS implies ([chapter 00](#printed-pooled)). The printed p is one test
of three groups; it may rest on the group of 160 mg/m² or less, which did worse than radiotherapy alone.""")

# %% [markdown]
# (printed-dl-clinical)=
# ## The deep-learning model against the clinical one
#
# The summary says that the model outperformed the clinical model; no p-value for that pair is printed. How
# strongly would the two have to be correlated for the printed difference to be significant?

# %%
rows, alpha = [], Interval(claimed_alpha, claimed_alpha)
for cohort, (measure, name) in product(COHORTS, MEASURES.items()):
    ids = [f"table4.{cohort}.{measure}.{model}" for model in ("dl_combined", "clinical")]
    r = pair_correlation(*ids, alpha).within
    rows.append((f"{name}, {cohort}", *as_printed[ids], format_number(r.low), format_number(r.high)))
columns = ["measure", "DL (combined)", "Clinical", "threshold, lowest", "threshold, highest"]
chapter.table("dl_against_clinical", pd.DataFrame(rows, columns=columns), "Correlation from which p < 0.05.")

# %% [markdown]
# *How to read it.* The two columns are the ends of what rounding leaves: with a correlation above the
# second the difference is significant, below the first it is not, and in between print cannot tell. Scores
# that share information, as images and stage do, are usually correlated; how strongly is not printed.
#
# (printed-repeats)=
# ## Numbers printed twice
#
# What is printed in two places should agree.

# %%
again = published[published["repeats"] != ""]
first = published.loc[again["repeats"]].set_axis(again.index)
agree = (again["value"] == first["value"]) | (again["printed"] == first["printed"])
for limit in ("low", "high"):  # compared where both places print them
    agree &= again[limit].isna() | (again[limit] == first[limit])
where = again["subject"] + ", " + again["quantity"] + " " + again["cohort"] + ": "
where += first["source"] + " and " + again["source"]
parts = zip(where, first["printed"], again["printed"], agree, strict=True)
repeats = pd.DataFrame([check("Printed twice", *row) for row in parts])
differing = repeats[repeats["verdict"] != "reproduces"].drop(columns="topic")
caption = f"Numbers printed twice that differ, of {len(repeats)}."
if len(differing):
    chapter.table("repeats", differing, caption)
else:
    chapter.say(f"All {len(repeats)} numbers that are printed twice agree.")

# %% [markdown]
# (printed-claims)=
# ## Claims and the tests that bear on them
#
# A reading of the text, not a computation: each claim, the test that would support it, and what is printed. A
# claim without its test may still be true.

# %%
claims = read_claims()
tested_by = published["p_printed"].where(published["p_printed"] != "", as_printed)
claims["printed p"] = [", ".join(tested_by[ids.split()]) or MISSING for ids in claims["printed_tests"]]
shown = claims[["claim", "source", "needs", "printed p", "finding"]]
chapter.table("claims", shown, "Claims of the paper, what each would need, and what is printed.")
unsupported = (~claims["finding"].str.startswith("supported")).sum()
sentence = f"""Of {len(claims)} claims in the paper's text, {unsupported} are not, or only in part, supported
by a printed test: among them that the network beats the clinical model and that it tells who gains from
chemotherapy ([claims](#printed-claims))."""
chapter.takeaway(2, sentence)
chapter.front_page(sentence, position=1)

# %% [markdown]
# (printed-sentences-against)=
# ## Against the paper
#
# All checks of this page together: how many of each topic reproduce, then every one that does not, or that
# depends on something.

# %%
result = pd.concat([t[CHECK_COLUMNS] for t in (network, units, cutoffs, comparisons, unseen, repeats)])
chapter.write("checks", result)
kind = result["verdict"].str.split(" on ").str[0]
totals = pd.crosstab(result["topic"], kind).rename_axis(columns=None).reset_index()
chapter.table("verdicts", totals, "Verdicts by topic.")

# %% tags=["hide-output"]
notable = result[result["verdict"] != "reproduces"].copy()
notable["check"] = notable.pop("topic") + ": " + notable["check"]
chapter.table("against_paper", notable, "Sentences that do not reproduce, or only under a condition.")
chapter.takeaway(1, f"""**Of {len(result)} checks of sentences, footnotes and methods
{(kind == "reproduces").sum()} reproduce, and {(kind == "depends").sum()} depend on a reading that print
leaves open** ([all](#printed-sentences-against)).""")  # fmt: skip
better = unseen.loc[unseen["gain"] > 0, "check"]
chapter.takeaway(4, f"""{len(better)} of {len(unseen)} printed results are better in validation than in the
patients that the model was fitted on ([unseen](#printed-unseen)).""")  # fmt: skip

# %% [markdown]
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `claimed_alpha = 0.01`: the correlation that DL and clinical scores would need for a difference at this
#   stricter level. The thresholds rise.
# - `bytes_per_value = 2`: half precision halves what a batch takes.
# ```
#
# ## Limits and deviations
#
# - Print was read from the text of the article; what typesetting or its conversion lost (a dash, a letter of
#   a unit) is not held against the paper.
# - The standard deviation of a score from its C-index assumes a normal score, no censoring and a model that
#   is right about itself; the share beyond the cut-off assumes no shape.
# - That a claim has no printed test says nothing about its truth.
#
# ## Hand-over
#
# `checks.csv` goes to the ledger, the reading of the claims to the front page.
