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
# # Cisplatin dose
#
# **Do high-risk patients with T1-2N1 disease gain from a high {term}`cumulative cisplatin or nedaplatin dose`
# (CCND), and do low-risk patients not?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the cohort table (chapter 01), the scores (05) and the risk groups (06). **Writes** `rates.csv`
# (survival by risk and dose), `balance.csv` and the values set beside print.
#
# ## Setup

# %%
import warnings
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.exceptions import StatisticalWarning
from scipy.stats import norm

# %%
from npcbook.book import open_chapter, plot_kaplan_meier, show_source
from npcbook.cohort import read_truth
from npcbook.paper import lookup
from npcbook.statistics import (
    balance_table,
    continuous_interaction,
    e_value,
    fit_cox,
    fit_firth_cox,
    inverse_probability_weights,
    likelihood_ratio,
    logrank,
    rate_at,
    rate_difference,
    restricted_cubic_spline,
    weighted_rates,
)
from npcbook.words import ENDPOINTS, LABELS, MISSING, format_hr, format_number, format_p, style_of

# %% tags=["parameters"]
cohort_folder = "data/cohorts/synthetic-laptop"
run_folder = "data/runs/laptop-synthetic"
model = "dl_combined"  # whose risk groups; the paper uses the DL score of the combined sequences
threshold_mg_m2 = 160  # highest dose of the low-dose group; the paper's threshold, its median
horizon_months = 60  # 5-year rates
landmark_months = 6  # recommended track: after most chemotherapy; adjuvant cycles may last longer
n_bootstraps = 200  # recommended track: limits of the weighted rates
seed = 2023  # of the bootstrap

# %% [markdown]
# ## Data
#
# T1N1 and T2N1 patients of both cohorts with radiotherapy alone or with cisplatin or nedaplatin. Other drugs
# have no {term}`CCND` and are left out, as the paper must have done to arrive at its number. Risk groups are
# those of [chapter 06](06_km.ipynb); the continuous score, where it is used, is the recommended one (another
# head than the one behind the groups), {term}`out of fold` in training patients. Times are months; DMFS
# {term}`censors <censoring>` deaths.

# %%
chapter = open_chapter("08_ccnd", run_folder=run_folder, cohort_folder=cohort_folder)
patients = chapter.read("01_cohorts/cohort")
inputs = {
    "risk_group": chapter.read("06_km/groups"),
    "score": chapter.read("05_cox_models/scores_recommended"),
}
for column, table in inputs.items():
    table = table[["patient_id", model]].rename(columns={model: column})
    patients = patients.merge(table, on="patient_id", validate="one_to_one")
patients = patients.dropna(subset=["risk_group", "score", "ccnd_mg_m2"])
eligible = (patients["n_stage"] == "N1") & patients["chemotherapy"].isin(["none", "cisplatin_nedaplatin"])
patients = patients[eligible].reset_index(drop=True)

# %%
RISKS = ["low", "high"]
ARMS = ["radiotherapy", f"up_to_{threshold_mg_m2:g}", f"over_{threshold_mg_m2:g}"]
NAMES = {ARMS[0]: LABELS["radiotherapy"], ARMS[1]: f"CCND ≤ {threshold_mg_m2:g} mg/m²",
         ARMS[2]: f"CCND > {threshold_mg_m2:g} mg/m²"}  # fmt: skip
borders = [-np.inf, 0, threshold_mg_m2, np.inf]
patients["dose_group"] = pd.cut(patients["ccnd_mg_m2"], borders, labels=ARMS).astype(str)

# %%
by_arm = patients.groupby(["risk_group", "dose_group"])
table = by_arm[["dm_event", "os_event"]].sum().astype(int)
table.insert(0, "patients", by_arm.size())
arms = pd.MultiIndex.from_product([RISKS, ARMS], names=table.index.names)
table = table.reindex(arms, fill_value=0)
table = table.reset_index().replace({"dose_group": NAMES})
table.columns = ["risk group", "dose group", "patients", "distant metastases", "deaths"]
chapter.table("arms", table, "Patients and events by risk group and dose group, both cohorts together.")

# %% [markdown]
# ## Method
#
# **As published.** Within each risk group the three dose groups are compared by {term}`Kaplan–Meier curves
# <Kaplan–Meier curve>` and one {term}`log-rank test`, for DMFS and {term}`OS`. The threshold is the paper's
# median dose ([Hu et al. 2023](bibliography.md)); how much cisplatin is enough had been asked in trials of
# more advanced disease before ([Peng et al. 2016](bibliography.md)). One test of three groups asks whether
# *any* of them differs, not which.
#
# **As recommended.** Four questions that these curves leave open:
#
# 1. *Does the effect of dose differ between the risk groups?* Only then does one group gain relatively more:
#    the score would be {term}`predictive`, not merely {term}`prognostic`. With the same ratio in all, a
#    prognostic score still tells where treatment prevents more metastases, but not that anyone is without
#    benefit. A likelihood ratio test of {term}`Cox models <Cox model>` with and without risk × dose.
# 2. *Who was given how much?* Treatment followed the patient's condition
#    ({term}`confounding by indication`). By {term}`inverse probability weighting` each patient $i$ in dose
#    group $a_i$ with covariates $x_i$ is weighted by
#
#    $$w_i = \frac{\Pr(A = a_i)}{\Pr(A = a_i \mid x_i)},$$
#
#    so that the groups become alike in $x$. That removes confounding by $x$ if the model of
#    $\Pr(A \mid x)$ is right and every kind of patient could have been given any dose; what was not measured
#    stays as it was. The {term}`E-value` says how strong that would have to be.
# 3. *Was survival needed to receive the dose?* A high cumulative dose is only reached by those well
#    enough to go on, who are therefore certain to have lived so long. Seen from a {term}`landmark` after
#    most of the treatment, everybody has lived until then; cycles given later remain a matter of survival.
# 4. *How large is the effect?* Differences of rates in percentage points, and the dose as a curve instead
#    of three groups.
#
# Hazard ratios assume {term}`proportional hazards` between dose groups; differences of rates do not, which is
# one reason to show both. The library code of the weights, a penalised multinomial logistic regression:

# %%
show_source(inverse_probability_weights)
chapter.methods(
    f"""Dose. The cumulative cisplatin or nedaplatin dose was grouped as none, up to, and above
    {threshold_mg_m2} mg/m² in patients with node-positive disease, compared as treated and, as recommended,
    after weighting, from a landmark at {landmark_months} months, and with a term for the interaction of risk
    and dose; limits of weighted rates are from {n_bootstraps} bootstrap samples."""
)

# %% [markdown]
# ## Result
#
# (ccnd-km)=
# ### Survival by dose (Fig. 5C to F)
#
# The counterparts of the paper's Figure 5C and D (low risk, DMFS and OS) and E and F (high risk). Where few
# patients have an event the axis does not begin at 0, and says so.


# %% tags=["hide-input"]
def plot_risk_group(risk, endpoint):
    """Draw the dose groups of one risk group."""
    part, (time, event) = patients[patients["risk_group"] == risk], ENDPOINTS[endpoint]
    # Figures know the paper's groups by their keys.
    arms = part["dose_group"].replace({} if threshold_mg_m2 == 160 else NAMES)
    # Where few have an event, an axis from 0 would hide what there is to see.
    shown = {"endpoint": endpoint, "lowest": 0.5 if part[event].mean() < 0.15 else 0.0}
    ax = plot_kaplan_meier(part[time], part[event], arms, horizon_months=horizon_months, **shown)
    ax.set_title(f"{LABELS[risk]}, {endpoint}", loc="left")
    alt = f"Kaplan–Meier curves of {endpoint} by dose group, {LABELS[risk].lower()} patients."
    chapter.figure(f"{risk}_{endpoint.lower()}", ax.figure, alt)


for risk, endpoint in product(RISKS, ENDPOINTS):
    if (patients["risk_group"] == risk).any():
        plot_risk_group(risk, endpoint)

# %% [markdown]
# *How to read it.* Compare the curves with their numbers at risk: a dose group of a few dozen high-risk
# patients moves by several points with one event more or less. Kaplan–Meier curves describe who did how well;
# they do not say what the same patients would have done with another dose. Where fewer than ten patients are
# at risk a curve is thin and has no band; a rate read off it, in the legend, rests on those few. A curve of
# low doses that lies below radiotherapy alone is a warning that the groups were not alike to begin with.
#
# (ccnd-rates)=
# ### Rates at the horizon
#
# Kaplan–Meier estimates with log–log limits. The log-rank tests are not corrected for their number.

# %%
observed, logrank_p = {}, {}
for risk, (endpoint, (time, event)) in product(RISKS, ENDPOINTS.items()):
    part = patients[patients["risk_group"] == risk]
    with chapter.noting(f"{LABELS[risk]}, {endpoint}, log-rank"):
        logrank_p[risk, endpoint] = logrank(part[time], part[event], part["dose_group"]).p_value
    for arm in ARMS:
        in_arm = part[part["dose_group"] == arm]
        with chapter.noting(f"{LABELS[risk]}, {endpoint}, {NAMES[arm]}, rate"):
            observed[risk, endpoint, arm] = rate_at(in_arm[time], in_arm[event], horizon_months)


# %%
def rates_table(rates):
    """Return rates in per cent: a row per risk group and endpoint, a column per dose group."""
    rows = []
    for risk, endpoint in product(RISKS[::-1], ENDPOINTS):
        of_arm = {NAMES[arm]: rates.get((risk, endpoint, arm)) for arm in ARMS}
        texts = {name: f"{rate:1%}" if rate else MISSING for name, rate in of_arm.items()}
        rows.append({"risk group": risk, "endpoint": endpoint} | texts)
    return pd.DataFrame(rows)


table = rates_table(observed)
p_values = [logrank_p.get((row["risk group"], row["endpoint"])) for row in table.to_dict("records")]
table["log-rank p"] = [format_p(p) for p in p_values]
chapter.table("rates", table, f"Rates in per cent at {horizon_months} months (95 % CI), as published.")

# %%
counts = patients.groupby(["risk_group", "dose_group"]).size()
free = {}
for risk, arm in product(RISKS, ARMS):
    rate = observed.get((risk, "DMFS", arm))
    text = f"{100 * rate.value:.1f} %" if rate else "not estimable"
    free[risk, arm] = f"{text} (n = {counts.get((risk, arm), 0)})"
p_of = {risk: format_p(logrank_p.get((risk, "DMFS"))) for risk in RISKS}
chapter.takeaway(
    1,
    f"High risk: DMFS at {horizon_months} months is {free['high', ARMS[2]]} with a high dose, "
    f"{free['high', ARMS[1]]} with a low dose and {free['high', ARMS[0]]} with radiotherapy alone, "
    f"log-rank p {p_of['high']} ([rates](#ccnd-rates)).",
)
chapter.takeaway(
    2,
    f"Low risk: {free['low', ARMS[2]]}, {free['low', ARMS[1]]} and {free['low', ARMS[0]]}, "
    f"p {p_of['low']} ([rates](#ccnd-rates)).",
)

# %%
chapter.say(
    f"*How to read it.* Along a row the three doses of one risk group; between rows of one endpoint the two "
    f"risk groups. The log-rank p-value is {p_of['high']} in high-risk and {p_of['low']} in low-risk "
    f"patients for DMFS. Two such p-values must not be compared with each other, whichever is smaller. A "
    f"small one may come from one dose group alone, and where metastases among low-risk training patients "
    f"are few or none, that is what score and cut-off were chosen for."
)

# %% [markdown]
# (ccnd-interaction)=
# ### Recommended: does the effect of dose depend on risk?
#
# The claim "high-risk patients benefit, low-risk patients do not" is a statement about a difference of
# effects. These are its tests: dose in the three groups, dose per 100 mg/m², and dose with the recommended
# score instead of the risk group; then the first of them again in the validation patients alone; DMFS.

# %%
high = (patients["risk_group"] == "high").astype(float).rename("high")
dose = (patients["ccnd_mg_m2"] / 100).rename("dose")
in_groups = pd.DataFrame({arm: (patients["dose_group"] == arm).astype(float) for arm in ARMS[1:]})
outcome = patients["dmfs_months"], patients["dm_event"]
new = patients["cohort"] == "validation"
GROUPS, LINE = "risk group × dose group", "risk group × dose per 100 mg/m²"
SCORE, NEW = "recommended score × dose per 100 mg/m²", f"{GROUPS}, validation patients only"
tests = dict.fromkeys((GROUPS, LINE, SCORE, NEW))
with chapter.noting("interaction, dose groups"):
    tests[GROUPS] = likelihood_ratio(*outcome, in_groups, high)
with chapter.noting("interaction, dose per 100 mg/m²"):
    tests[LINE] = likelihood_ratio(*outcome, dose, high)
with chapter.noting("interaction, dose and score"):
    tests[SCORE] = continuous_interaction(*outcome, dose, patients["score"])
with chapter.noting("interaction, dose groups, validation patients only"):
    tests[NEW] = likelihood_ratio(*(column[new] for column in (*outcome, in_groups, high)))

# %%
texts = [format_p(test and test.p_value) for test in tests.values()]
p_of |= {"interaction": texts[0], "validation": texts[-1]}
everybody, in_validation = (int(patients.loc[rows, "dm_event"].sum()) for rows in (slice(None), new))
table = pd.DataFrame({"interaction": list(tests), "p": texts})
table["distant metastases"] = [everybody, everybody, everybody, in_validation]
chapter.table("interaction", table, "Interaction of risk and dose, DMFS; the paper reports no such test.")
chapter.takeaway(
    3,
    f'"Significant here, not significant there" is not a test of difference. The interaction of risk and '
    f"dose has p {p_of['interaction']} ([interaction](#ccnd-interaction)). The risk groups of training "
    f"patients were cut on the outcomes that are compared here, so no p-value of this page that counts them "
    f"may be taken at its word; in validation patients alone p is {p_of['validation']}.",
)

# %%
degrees = tests[GROUPS].degrees_of_freedom if tests[GROUPS] else MISSING
chapter.say(
    f"*How to read it.* The first row has {degrees} degrees of "
    f"freedom and is the test of the published claim; the second assumes that the log hazard changes in a "
    f"straight line with dose; the third takes another score (the recommended one) and no cut-off. They are "
    f"three related tests and not three findings."
)

# %% [markdown]
# A p-value that is not small does not show that the effect is the same for all: tests of interaction need
# several times as many events as tests of an effect. It shows that the claim "only these patients benefit"
# has no support here. A small p-value does not establish the claim either: it does not say which dose differs
# or in which direction, and the groups of the training patients were formed from these outcomes. The row of
# validation patients alone is free of that, at the price of fewer events; where one risk group has none
# there, the test has nothing to compare and its p-value is near 1. On the scale of the hazard, equal ratios
# in both groups still mean a larger absolute benefit where risk is higher.
#
# (ccnd-balance)=
# ### Recommended: who was given how much?
#
# The largest standardised difference of each covariate between two dose groups, before and after
# weighting. Beyond 0.1 groups are usually called unlike. The weights come from one model for all
# patients, with the recommended DL score among the covariates.

# %%
covariates = pd.DataFrame({
    "Age": patients["age"], "Female": patients["sex"] == "female", "T2": patients["t_stage"] == "T2",
    "LDH abnormal": patients["ldh"] == "abnormal", "EBV DNA detectable": patients["ebv_dna"] == "detectable",
    "EBV DNA unknown": patients["ebv_dna"] == "missing", "rENE G1": patients["rene"] == 1,
    "rENE G2": patients["rene"] == 2, "DL score": patients["score"],
}).astype(float)  # fmt: skip
covariates = covariates.join(pd.get_dummies(patients["center"], prefix="Centre", prefix_sep=" ", dtype=float))
covariates = covariates.loc[:, covariates.nunique() > 1]
weights = inverse_probability_weights(patients["dose_group"], covariates, penalty=1.0, truncate=0.01)

# %%
balance = balance_table(covariates, patients["dose_group"]).rename(columns={"largest_difference": "before"})
balance["after"] = balance_table(covariates, patients["dose_group"], weights.weight)["largest_difference"]
balance = balance[["covariate", *(arm for arm in ARMS if arm in balance), "before", "after"]]
chapter.write("balance", balance)
shown = balance.set_index("covariate").map(format_number)
if "Age" in shown.index:
    in_arms = [arm for arm in ARMS if arm in shown]
    shown.loc["Age", in_arms] = [
        format_number(age, 1) for age in balance.set_index("covariate").loc["Age", in_arms]
    ]
titles = {"covariate": "mean of", "before": "largest difference", "after": "weighted"}
shown = shown.reset_index().rename(columns=NAMES | titles)
chapter.table("balance", shown, "Covariates by dose group; differences in standard deviations.")

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6, 0.3 * len(balance) + 1.4), layout="constrained")
ordered = balance.sort_values("before")
ax.plot(ordered["before"], ordered["covariate"], "o", color=style_of("as published")[0], label="as treated")
weighted_style = {"color": style_of("recommended")[0], "mfc": "none"}
ax.plot(ordered["after"], ordered["covariate"], "s", label="weighted", **weighted_style)
ax.axvline(0.1, color="0.45", linewidth=0.9, linestyle=(0, (4, 3)))
ax.set(xlabel="Largest standardised difference between dose groups", xlim=(0, None))
ax.spines[["right", "top"]].set_visible(False)
ax.legend(loc="lower right", fontsize=8)
alt = "Largest standardised difference between dose groups, before and after weighting, by covariate."
chapter.figure("balance", fig, alt)

# %% [markdown]
# *How to read it.* Filled points beyond the broken line are covariates in which the dose groups differ as
# they were treated; open squares show what is left after weighting. Squares near 0 say that the weights
# balance the covariates listed over all patients together; within one risk group, above all the smaller one,
# imbalance may remain, and nothing is said about what nobody wrote down (general condition, kidney function,
# consent).

# %%
chapter.say(
    f"Weighting costs precision: over both risk groups together the smallest dose group is worth "
    f"{weights.effective_n.min():.0f} patients after it, and {weights.n_truncated} weights were cut off at "
    f"the ends."
)

# %% [markdown]
# (ccnd-weighted)=
# ### Recommended: rates after weighting
#
# Rates of the weighted groups, with percentile limits from a bootstrap of patients that estimates the
# weights anew each time.


# %%
outcomes = {name: (patients[time], patients[event]) for name, (time, event) in ENDPOINTS.items()}
resampled = weighted_rates(
    outcomes, patients["dose_group"], covariates, horizon_months, within=patients["risk_group"],
    n_bootstraps=n_bootstraps, rng=np.random.default_rng(seed),
)  # fmt: skip
weighted = {
    (risk, endpoint, arm): resampled[endpoint, risk, arm]
    for risk, arm, endpoint in product(RISKS, ARMS, ENDPOINTS)
    if (endpoint, risk, arm) in resampled.rate.index
}
caption = f"Rates in per cent at {horizon_months} months after weighting (95 % CI)."
chapter.table("weighted_rates", rates_table(weighted), caption)


# %%
def in_per_cent(estimate):
    """Return an estimate and its limits in per cent, NaN for what is missing."""
    return [100 * getattr(estimate, name, np.nan) for name in ("value", "low", "high")]


rows = []
for risk, (endpoint, (_, event)), arm in product(RISKS, ENDPOINTS.items(), ARMS):
    had_event = patients.loc[(patients["risk_group"] == risk) & (patients["dose_group"] == arm), event]
    rates = in_per_cent(observed.get((risk, endpoint, arm))), in_per_cent(weighted.get((risk, endpoint, arm)))
    rows.append((risk, endpoint.lower(), arm, len(had_event), int(had_event.sum()), *rates[0], *rates[1]))
columns = ["risk_group", "endpoint", "dose_group", "n", "events", "rate", "low", "high"]
columns += ["rate_weighted", "low_weighted", "high_weighted"]
chapter.write("rates", pd.DataFrame(rows, columns=columns))

# %% [markdown]
# *How to read it.* Beside the table of observed rates: a change shows what these weights removed; no change
# does not show that there was no confounding, only none that they could remove. Where a weighted rate has no
# limits, no patient of that group had an event by the horizon, and resampling cannot invent one.
#
# (ccnd-methods)=
# ### Recommended: one comparison, several methods
#
# DMFS with a dose above the threshold against radiotherapy alone. Cox models with {term}`Firth's penalty`
# and profile limits, except where weights enter (then Cox with {term}`Efron`'s ties and robust standard
# errors, which allow for the weights).

# %%
late = patients[patients["dmfs_months"] > landmark_months]
late = late.assign(dmfs_months=late["dmfs_months"] - landmark_months)
METHODS = {"as observed": patients, "adjusted for age, T and DL score": patients, "weighted": patients}
METHODS |= {f"from month {landmark_months}{how}": late for how in ("", ", weighted")}


def compare_high_dose(df, method, risk):
    """Return the hazard ratio of over-threshold dose against radiotherapy alone in one risk group."""
    df = df[(df["risk_group"] == risk) & df["dose_group"].isin([ARMS[2], ARMS[0]])]
    x = pd.DataFrame({"a dose above the threshold": (df["dose_group"] == ARMS[2]).astype(float)})
    if "adjusted" in method:
        x = x.join(covariates.loc[df.index, ["Age", "T2", "DL score"]])
    if "weighted" in method:
        w = weights.weight[df.index]
        return fit_cox(df["dmfs_months"], df["dm_event"], x, weights=w, robust=True)[0]
    return fit_firth_cox(df["dmfs_months"], df["dm_event"], x)[0]


# %%
ratios, rows = {}, []
for method, df in METHODS.items():
    row = {"method": method}
    for risk in RISKS:
        row[LABELS[risk]] = MISSING
        with chapter.noting(f"{LABELS[risk]}, high dose against none, {method}"):
            ratio = ratios[risk, method] = compare_high_dose(df, method, risk)
            row[LABELS[risk]] = (
                f"{format_hr(ratio.hr, ratio.hr_low, ratio.hr_high)}, p {format_p(ratio.p_value)}"
            )
    rows.append(row)
caption = f"DMFS, {NAMES[ARMS[2]]} against radiotherapy alone: HR (95 % CI)."
chapter.table("methods", pd.DataFrame(rows), caption)
found = [ratios.get(("high", method)) for method in ("as observed", "weighted")]
crude, after = (format_hr(r.hr, r.hr_low, r.hr_high) if r else "not estimable" for r in found)
chapter.takeaway(
    4,
    f"High against no dose in high-risk patients: HR {crude} as observed and {after} after weighting for who "
    f"was given what ([by method](#ccnd-methods)).",
)

# %%
chapter.say(
    f"*How to read it.* Down a column only the method changes. A ratio below 1 favours the high dose. If the "
    f"estimates stay put while intervals widen, the methods agree and the data are few; if they move across "
    f"1, the method is part of the answer. The step to the landmark (month {landmark_months}) leaves out "
    f"patients with metastasis or censoring before it, so it answers the question for those still well then."
)

# %% [markdown]
# The weighted fits are what lifelines does too. The kernels of this book stand here because they refuse a
# ratio that has no finite estimate, and because the bootstrap calls them hundreds of times.

# %%
rates, hazards = [], []
data = patients[["dmfs_months", "dm_event"]].assign(weight=weights.weight)
data["high_dose"] = (patients["dose_group"] == ARMS[2]).astype(float)
for (risk, arm), rows in patients.groupby(["risk_group", "dose_group"]).groups.items():
    time, event, weight = (data.loc[rows, name] for name in ("dmfs_months", "dm_event", "weight"))
    with warnings.catch_warnings():
        # It warns that its variance is wrong for weights that are not counts; only the rate is taken.
        warnings.simplefilter("ignore", StatisticalWarning)
        curve = KaplanMeierFitter().fit(time, event, weights=weight)
    rates.append(abs(curve.predict(horizon_months) - resampled.rate["DMFS", risk, arm]))
for risk in (risk for risk in RISKS if (risk, "weighted") in ratios):
    part = data[(patients["risk_group"] == risk) & patients["dose_group"].isin([ARMS[2], ARMS[0]])]
    cox = CoxPHFitter().fit(part, "dmfs_months", "dm_event", weights_col="weight", robust=True)
    limits = cox.confidence_intervals_.loc["high_dose"].to_numpy()
    ours = ratios[risk, "weighted"]
    hazards.append(np.abs(limits - np.log([ours.hr_low, ours.hr_high])).max())

# %%
compared = {"a weighted rate": rates, "the limits of a log hazard ratio": hazards}
texts = [f"{np.nanmax(gaps):.0e} in {what}" for what, gaps in compared.items() if np.isfinite(gaps).any()]
if texts:
    chapter.say(f"Largest difference between the two, over dose and risk groups: {', '.join(texts)}.")

# %% [markdown]
# The E-value of the weighted hazard ratio: an unmeasured confounder would have to multiply both the
# chance of a high dose and the risk of metastasis by that much to explain the estimate away, or to move
# the limit to 1.

# %%
rows = []
for risk in RISKS:
    if ratio := ratios.get((risk, "weighted")):
        limits = ratio.hr, ratio.hr_low, ratio.hr_high
        rare = patients.loc[patients["risk_group"] == risk, "dm_event"].mean() < 0.15
        e = e_value(*limits, rare=rare)
        texts = {"E-value, estimate": format_number(e.estimate), "E-value, limit": format_number(e.limit)}
        rows.append({"risk group": risk, "HR, weighted": format_hr(*limits)} | texts)
chapter.table("e_values", pd.DataFrame(rows), "How strong unmeasured confounding would have to be.")

# %% [markdown]
# *How to read it.* An E-value of 1 for the limit says that the interval holds 1 already: nothing need be
# explained away. Large values are no proof against confounding, only a price tag on it.
#
# (ccnd-differences)=
# ### Recommended: how large is the difference?
#
# Percentage points free of metastasis at the horizon, high dose less radiotherapy alone, as observed and
# weighted.

# %%
rows = []
for risk in RISKS:
    part, row = patients[patients["risk_group"] == risk], {"risk group": risk}
    row |= {"as observed": MISSING, "weighted": MISSING}
    outcome = part["dmfs_months"], part["dm_event"], part["dose_group"]
    with chapter.noting(f"{LABELS[risk]}, difference of rates"):
        gap = rate_difference(*outcome, horizon_months, first=ARMS[2], second=ARMS[0])
        row["as observed"] = f"{gap:1%}"
    with chapter.noting(f"{LABELS[risk]}, difference of weighted rates"):
        gap = resampled.difference(("DMFS", risk, ARMS[2]), ("DMFS", risk, ARMS[0]))
        row["weighted"] = f"{gap:1%}"
    rows.append(row)
caption = "DMFS, high dose less radiotherapy alone, percentage points (95 % CI)."
chapter.table("differences", pd.DataFrame(rows), caption)

# %% [markdown]
# *How to read it.* One hundred divided by a difference in points is the number of patients who must be
# treated for one of them to stay free of metastasis because of it, if the difference is due to the dose. An
# interval that holds 0 and also a difference worth having leaves the question open; that is a different
# statement from "no benefit". A difference without limits has an arm in which nobody has had a metastasis by
# the horizon, or everybody: how far it may be from the truth cannot be read off such data.
#
# (ccnd-curve)=
# ### Recommended: dose as a curve
#
# A threshold makes two doses next to each other different drugs. Here the log hazard is a restricted cubic
# spline of the dose, with knots at 0 and at quantiles of the doses given; 95 % bands against radiotherapy
# alone, DMFS, unadjusted.

# %%
given = patients.loc[patients["ccnd_mg_m2"] > 0, "ccnd_mg_m2"]
knots = np.unique([0.0, *given.quantile([0.25, 0.9])])
grid = np.linspace(0, given.quantile(0.95), 60)
basis, curves = None, {}
with chapter.noting("Spline of the dose"):
    basis, x = (restricted_cubic_spline(d / 100, knots / 100) for d in (patients["ccnd_mg_m2"], grid))
for risk in RISKS if basis is not None else ():
    rows = patients["risk_group"] == risk
    with chapter.noting(f"{LABELS[risk]}, dose curve"):
        fit = fit_cox(patients.loc[rows, "dmfs_months"], patients.loc[rows, "dm_event"], basis[rows])
        half = norm.isf(0.025) * np.sqrt(np.einsum("ij,jk,ik->i", x, fit.covariance, x))
        curves[risk] = np.exp(x @ fit.coef + np.array([[-1], [0], [1]]) * half)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for risk, (low_hr, middle_hr, high_hr) in curves.items():
    color, line = style_of(risk)
    ax.plot(grid, middle_hr, color=color, linestyle=line, label=LABELS[risk])
    ax.fill_between(grid, low_hr, high_hr, color=color, alpha=0.15, linewidth=0)
    ax.legend(loc="lower left", fontsize=8)
ax.axhline(1, color="0.45", linewidth=0.9, linestyle=(0, (4, 3)))
ax.set(xlabel="CCND (mg/m²)", ylabel="Hazard ratio against radiotherapy alone", yscale="log", ylim=(0.05, 20))
ax.yaxis.set_major_formatter("{x:g}")
ax.set_title("Hazard of metastasis by dose, both cohorts", loc="left")
ax.spines[["right", "top"]].set_visible(False)
alt = "Hazard ratio of metastasis against radiotherapy alone by cumulative dose, as a smooth curve."
chapter.figure("dose_curve", fig, alt)

# %% [markdown]
# *How to read it.* A band that holds 1 throughout is compatible with no effect of any dose. A curve that
# rises before it falls would mean harm by a low dose, which is hard to believe of a drug and easy to
# believe of patients who stop treatment because they do badly: what looks like a response to dose is then a
# record of who could bear it. Between the knots the shape is the spline's as much as the data's.
#
# If there is something that these data could not give, it is listed here with the reason.

# %%
chapter.not_estimable()

# %% [markdown]
# (ccnd-against)=
# ## Against the paper
#
# As published: rates as observed. Recommended: rates after weighting. Truth (synthetic cohort only): the
# mean planted probability of no metastasis had *all* patients of the risk group received radiotherapy
# alone, or 240 mg/m² (shown in the row of the high dose). The difference between these two is the effect
# that a perfect analysis would find.

# %%
chapter.record("text.ccnd.n", len(patients))
chapter.record("text.ccnd.threshold", given.median())
KEYS = dict(zip(ARMS, ["radiotherapy", "up_to_160", "over_160"], strict=True))
# Print has these groups at five years only.
as_printed = (threshold_mg_m2, horizon_months, model) == (160, 60, "dl_combined")
tracks = {"as published": observed, "recommended": weighted}
for track, rates in tracks.items() if as_printed else ():
    for (risk, endpoint, arm), rate in rates.items():
        value, low, high = in_per_cent(rate)
        if np.isfinite(value):
            printed_id = f"text.ccnd.{risk}.{endpoint.lower()}_5y.{KEYS[arm]}"
            chapter.record(printed_id, value, low=low, high=high, track=track)
for (risk, endpoint), p in logrank_p.items() if as_printed else ():
    chapter.record(f"text.ccnd.{risk}.{endpoint.lower()}_p", p)

# %%
PLANTED = {"radiotherapy": "dm_probability_5y_radiotherapy", "over_160": "dm_probability_5y_240"}
truth, effect = read_truth(cohort_folder), {}
if truth is not None:
    planted = truth.loc[patients["patient_id"]].groupby(patients["risk_group"].to_numpy())
    for arm, column in PLANTED.items():
        for risk, probability in planted[column].mean().items():
            effect[risk, arm] = 100 * (1 - probability)
            if as_printed:
                chapter.record(f"text.ccnd.{risk}.dmfs_5y.{arm}", effect[risk, arm], track="truth")
chapter.against_paper()

# %%
gains = {
    risk: effect[risk, "over_160"] - effect[risk, "radiotherapy"]
    for risk in RISKS
    if (risk, "over_160") in effect
}
gain = " and ".join(f"{format_number(gain, 1)} in {risk}-risk patients" for risk, gain in gains.items())
contrast = "all with 240 mg/m² less all with radiotherapy alone"
takeaway = comparison = f"No effect was planted in the {len(patients)} patients of this cohort"
if gains:
    takeaway = f"The effect that was planted, {contrast}, in percentage points of DMFS: {gain}"
    comparison = f"The instructive comparison is with the truth: the planted effect, {contrast}, is {gain} "
    comparison += "(percentage points), and each track can be judged by how near it comes"
chapter.say(
    f"*What agreement means.* On a synthetic cohort the overall frequency of metastasis was set beforehand; "
    f"rates by risk group and dose follow from planted effects, the cut and chance. Neither agreement nor "
    f"disagreement with print says anything about patients. {comparison}."
)
chapter.takeaway(5, f"{takeaway} ([against the paper](#ccnd-against)).")

# %% [markdown]
# Where the recommended column is no nearer than the published one, confounding was small beside chance, which
# weighting cannot mend. Where the observed rates of the two risk groups lie farther apart than the planted
# ones, a likely reason is that the groups of the training patients were cut on their own outcomes. On a real
# cohort there is no such column, and no table can tell which track is right.
#
# *What would settle it.* A randomised comparison of doses with the score measured beforehand. For patients of
# low risk by the clinic there is one of radiotherapy with and without concurrent chemotherapy, without such a
# score ([Tang et al. 2022](bibliography.md)).
#
# ```{admonition} Try this
# :class: tip
# Change one line of the parameters cell and run all cells; `make book` afterwards restores the run.
#
# - `threshold_mg_m2 = 200`: fewer patients above the threshold, so that their rate becomes less certain and
#   may jump. If conclusions depend on the threshold, it was part of the finding; the curve has none.
# - `landmark_months = 12`: more early metastases fall before the landmark. Intervals widen; a ratio that
#   moves towards 1 owed part of its size to the first year.
# ```
#
# ## Limits and deviations
#
# - The paper describes its patients as those "who received cisplatin/nedaplatin", yet compares them with
#   radiotherapy alone; its number must include both, and so it is done here.

# %%
low_dose, none = (lookup(f"text.ccnd.high.dmfs_5y.{arm}")["printed"] for arm in ("up_to_160", "radiotherapy"))
chapter.say(
    f"- The printed dose response is not monotonic: among high-risk patients DMFS is {low_dose} % with a low "
    f"dose and {none} % with radiotherapy alone. Patients who stop early because they do badly would give "
    f"this picture. Weights cannot mend that unless the reason was measured."
)

# %% [markdown]
# - Training and validation patients are analysed together, as in the paper. The risk groups of the
#   training patients come from a score and a cut-off fitted to their own outcome, those of the validation
#   patients do not. Apart from the last row of the interactions, this page mixes the two.
# - A score that predicts outcome (prognostic) need not predict who gains relatively more from treatment
#   (predictive). Only an interaction, best in a randomised trial, shows the latter.
# - Adjuvant cycles may be given after the landmark. The dose then still tells of what came later.
# - Unknown EBV DNA is a level of its own in the weights, so that no patient is lost; that balances how
#   often it is unknown, not what it would have been. Bootstrap limits take the risk group of each patient
#   as given.
# - Weights assume that no patient was certain to be given, or not given, a dose; the ridge penalty and the
#   cut at extreme weights hide some violations of that.
#
# Next: [stress tests](09_stress_tests.ipynb).
