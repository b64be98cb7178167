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
# # Datasheet
#
# **What exactly is in the cohort that the book analyses by default, and what does real MRI have that it has
# not?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** the cohort's description and, where there is one, its truth; the pictures are drawn anew.
# **Writes** tables and figures for the reader only.
#
# A real cohort can be analysed with the same chapters; this page has nothing to say of it.
#
# ## Setup

# %%
import inspect
from dataclasses import asdict, fields, is_dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpydoc.docscrape import NumpyDocString
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# %%
from npcbook.book import open_chapter, plot_slice, show_source, widest_slice
from npcbook.cohort import read_description, read_truth
from npcbook.paper import lookup
from npcbook.store import project_path
from npcbook.synthetic import (
    ANATOMY,
    EFFECTS,
    LATENTS,
    PROTOCOLS,
    SHIFTED_PROTOCOLS,
    TISSUES,
    Traits,
    in_words,
    intensity_profile,
    probe_volumes,
    render_patient,
    specification,
    spin_echo_signal,
)
from npcbook.words import COHORTS, COVARIATES, MASK_LABELS, SYNTHETIC_LABEL, format_number

# %% tags=["parameters"] needs="planted"
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
drawn_slices = 28  # 4 to 64; slices of the pictures drawn here (print: 32)
drawn_voxels = 144  # 16 to 512; voxels of their rows and columns (print: 192)
probed_patients = 90  # 10 to 5000; patients drawn for the probes
seed = 1  # 0 or more; of the patients drawn here

# %% [markdown]
# ## Data
#
# Scenario and size are read from the cohort's own description; the rest of its specification is the library's
# object, so that what follows is what was done.

# %%
chapter = open_chapter("11_datasheet", run_folder=run_folder, cohort_folder=cohort_folder)
folder = project_path(cohort_folder)
description = read_description(folder)
made_with = description.get("Generator")
# Another program's word on itself is none on this generator.
made_with = made_with if isinstance(made_with, dict) and "specification" in made_with else {}
stored = made_with.get("specification", {})
sizes = ("patients", "exact_counts", "event_rate_multiplier")
spec = specification(
    made_with.get("scenario", "paper"), **{name: stored[name] for name in sizes if name in stored}
)
chapter.label = SYNTHETIC_LABEL  # every picture and number of this page is synthetic, whatever the cohort
grid = (drawn_slices, drawn_voxels, drawn_voxels)

# %%
facts = {
    "cohort described": description["Name"],
    "synthetic": "yes" if made_with else "no: the default synthetic cohort is shown instead",
    "scenario": spec.scenario,
    "seed": made_with.get("seed", "–"),
    "voxels (Z, Y, X)": made_with.get("grid", "–"),
    "licence": description.get("License", "–"),
}
facts = pd.DataFrame({"item": facts.keys(), "value": [str(value) for value in facts.values()]})
chapter.table("cohort", facts, "The cohort of this run.")

# %% [markdown]
# (datasheet-draw)=
# ### Where its draw lies
#
# The seed of the default cohort was found by a rule that sees Tables 1 and 2 and no score, no risk and no
# picture: of 200 draws of the table at full size, the first whose survival and follow-up lie near print and
# whose multivariable hazard ratios all lie in the middle 80 % (`benchmarks/studies/default_seed.py`).

# %% tags=["hide-output"]
draws = pd.read_csv(project_path("data/studies/default_seed.csv")).set_index("seed")
chosen, own = draws[draws["accepted"]].index, made_with.get("seed")
place = own if own in draws.index else chosen[0]
draws = draws.drop(columns=["accepted", "fewest metastases of 120"])
draws = draws.rename(columns={f"HR {name}": f"HR, {text}" for name, text in COVARIATES.items()})
draws = draws.rename(columns={f"univariable HR {name}": f"HR alone, {t}" for name, t in COVARIATES.items()})
shown = {"this draw": draws.loc[place], "median": draws.median()}
shown |= {f"{100 * share:.0f} % quantile": draws.quantile(share) for share in (0.1, 0.9)}
shown = pd.DataFrame(shown).map("{:.4g}".format)
below = 100 * draws.lt(draws.loc[place]).sum() / draws.notna().sum()
shown["draws below it"] = below.map("{:.0f} %".format)
words = f"The draw of seed {place} among the {len(draws)} (5y: survival at 5 years, %; follow-up: months)."
chapter.table("draw", shown.rename_axis("quantity").reset_index(), words)
chapter.say(
    f"Of the {len(draws)}, {len(chosen)} pass the rule; the first, {chosen[0]}, is the default. "
    f"The seed of this cohort is {'that one' if own == chosen[0] else own}."
)

# %% [markdown]
# ## How a patient is made
#
# 1. **Covariates** are allotted so that each cohort has the counts that the specification sets (in the
#    scenario `paper`, those printed), exactly or on average (*exact counts*); rENE needs N1, a missing
#    laboratory value depends on the hospital, EBV DNA is likelier detectable with N1 and rENE.
# 2. **Latent variables** are standard normal and independent of the covariates and of one another.
# 3. **Chemotherapy** goes preferentially to patients at high risk (confounding by indication), unless the
#    scenario sets *indication* to 0; the frail stop early, so that a low cumulative dose is partly a sign of
#    frailty.
# 4. **Metastasis, death and follow-up** are drawn. The baseline hazards are solved for, such that survival
#    at 60 months is on average what the specification sets (in the scenario `paper`, what is printed); an
#    *event rate multiplier* above 1, for small cohorts, then makes metastasis more frequent.
# 5. **Anatomy**: structures in millimetres are moved, scaled, tilted and bent for each patient, then
#    rasterised to the fraction of each tissue in each voxel, so that partial volume is right on any grid.
# 6. **Disease** replaces tissue: a growth front from the pharyngeal recess that bone and fascia hold back,
#    stopped at the volume that the size asks for; poorly perfused areas within; infiltrated strands
#    outside; nodes in the neck.
# 7. **Acquisition**: signal of each tissue, blurring to the acquired resolution, displacement between
#    sequences, receive coil, noise in both channels of the receiver, gain.
# 8. **Contours** are the true edges with a smooth error, for each sequence.
#
# ### Covariates, as specified
#
# Counts unless said otherwise; what print leaves open says so.


# %%
def as_text(value) -> str:
    """Return a parameter's value as text: pairs as "key: value", numbers short."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = tuple(value.items())
    if isinstance(value, tuple):
        pairs = (": ".join(map(as_text, v)) if isinstance(v, tuple) else as_text(v) for v in value)
        return ", ".join(pairs)
    return f"{value:g}" if isinstance(value, float) else str(value)


def parameter_table(instance) -> pd.DataFrame:
    """Return the parameters of a specification with what its docstring says of each."""
    listed = NumpyDocString(inspect.getdoc(type(instance)))["Attributes"]
    meaning = {name.strip(): " ".join(part.desc) for part in listed for name in part.name.split(",")}
    values = {field.name: getattr(instance, field.name) for field in fields(instance)}
    rows = [(in_words(n), as_text(v), meaning[n]) for n, v in values.items() if not is_dataclass(v)]
    return pd.DataFrame(rows, columns=["parameter", "value", "meaning"])


# %% tags=["hide-output"]
margins = parameter_table(spec.training).rename(columns={"value": "training"})
margins.insert(2, "validation", parameter_table(spec.validation)["value"])
chapter.table("margins", margins, "What Table 1 fixes, as the generator has it.")

# %% [markdown]
# ### What print leaves open

# %% tags=["hide-output"]
chapter.table("parameters", parameter_table(spec), "Parameters of the table and of the outcomes.")

# %% [markdown]
# (datasheet-effects)=
# ## Effects on distant metastasis
#
# The hazard of patient $i$ at month $t$ is
#
# $$h_i(t) = h_0(t)\,\exp\Big(\kappa \sum_k \beta_k x_{ik} + \sum_l \gamma_l z_{il} + \delta_i\Big)$$
#
# with clinical covariates $x$ and their log hazard ratios $\beta$ (in the scenario `paper`, those printed),
# latent variables $z$, and the effect $\delta$ of treatment. A Cox model that leaves strong predictors out
# finds smaller effects than were planted; $\kappa$ (*omitted effects*) undoes this for the model of Table 2,
# which does not see the images.

# %%
seen_in = {
    "size": "picture: volume of the tumour",
    "heterogeneity": "picture: texture inside the contour",
    "infiltration": "picture: signal outside the contour",
    "frailty": "nothing; it stops chemotherapy early",
    "dose": "table, only with N1 at high risk",
    "chemotherapy": "table",
}
planted = pd.Series(asdict(spec.hr))
clinical = ~planted.index.isin(list(seen_in))  # only these are planted larger than they are set
in_print = clinical | (planted.index == "chemotherapy")

# %%
effects = pd.DataFrame({"factor": planted.index.map(in_words), "printed": "–"})
effects.loc[in_print, "printed"] = [
    lookup(f"table2.multivariable.{name}")["printed"] for name in planted.index[in_print]
]
effects["hazard ratio set"] = planted.map(format_number).to_numpy()
larger = planted ** np.where(clinical, spec.omitted_effects, 1.0)
effects["hazard ratio planted"] = larger.map(format_number).to_numpy()
effects["where it shows"] = [seen_in.get(name, "table") for name in planted.index]
chapter.table("effects", effects, "Hazard ratios of distant metastasis: printed, set, planted.")
size, heterogeneity, infiltration, _ = planted[list(LATENTS)].map(format_number)
chapter.takeaway(
    2,
    "Three latent variables shape the picture: size, heterogeneity inside the contour, and infiltration "
    f"outside it. Per standard deviation they multiply the hazard by {size}, {heterogeneity} and "
    f"{infiltration}. A fourth, frailty, is not in the picture ([effects](#datasheet-effects)).",
)

# %% [markdown]
# Latent variables as they fell in the cohort of this run, where it has a truth:

# %%
truth = read_truth(folder)
if truth is None:
    realised = pd.DataFrame({"latent variable": LATENTS, "mean": "no truth"})
else:
    summary = truth[list(LATENTS)].agg(["mean", "std", "min", "max"]).T
    realised = summary.map(format_number).rename_axis("latent variable").reset_index()
    realised = realised.rename(columns={"std": "SD", "min": "lowest", "max": "highest"})
chapter.table("latents", realised, "Latent variables of the cohort; specified: mean 0, SD 1.")

# %% [markdown]
# ### Effects on the picture
#
# Besides its latent variable, chance moves each visible effect, and every effect passes through anatomy,
# blurring and noise before anyone sees it.

# %% tags=["hide-output"]
visible = parameter_table(EFFECTS)
chapter.table("visible_effects", visible, "How strongly disease shows, and what hides it.")

# %% [markdown]
# (datasheet-tissues)=
# ## Physics
#
# The signal of a spin echo is
#
# $$S = \rho\,\big(1 - e^{-TR/T_1}\big)\,e^{-TE/T_2}, \qquad \frac{1}{T_i} = \frac{1}{T_{i0}} + r_i C$$
#
# with proton density $\rho$, relaxivities $r_i$ and the concentration $C$ of gadolinium. Relaxation times
# are rounded, within the range of published relaxometry; T1 rises with the field and T2 hardly changes
# [^stanisz]. T2 of fat is the longer one that trains of spin echoes show.
#
# [^stanisz]: Stanisz G, et al. Quantitative magnetization transfer and relaxation in tissues at 3T. *Proc.
#     ISMRM* 2006; 2494.

# %%
show_source(spin_echo_signal)

# %% tags=["hide-output"]
rows = [
    {
        "tissue": tissue.name,
        "proton density": tissue.proton_density,
        **{f"T1, {field} (ms)": t1 for field, t1 in zip(("1.5 T", "3 T"), tissue.t1_ms, strict=True)},
        **{f"T2, {field} (ms)": t2 for field, t2 in zip(("1.5 T", "3 T"), tissue.t2_ms, strict=True)},
        "uptake (mmol/l)": tissue.uptake_mmol_l,
        "texture (SD)": tissue.texture,
        **{f"signal {s.upper()}": round(spin_echo_signal(tissue, p), 3) for s, p in PROTOCOLS["1"].items()},
    }
    for tissue in TISSUES.values()
]
tissues = pd.DataFrame(rows)
chapter.table("tissues", tissues, "Tissues, and their signal under the protocols of centre 1.")

# %% [markdown]
# The supplement's scanner tables are not in the printed paper, so the protocols are inventions of an ordinary
# kind: other field strengths, echo times, slice thickness, noise, coil and gain in each centre.

# %% tags=["hide-output"]
rows = [
    {"center": center, "sequence": sequence.upper()}
    | {name: as_text(value) for name, value in asdict(protocol).items()}
    for center, sequences in PROTOCOLS.items()
    for sequence, protocol in sequences.items()
]
protocols = pd.DataFrame(rows).rename(columns=in_words)
chapter.table("protocols", protocols, "Protocols by centre and sequence.")

# %% [markdown]
# ## Anatomy
#
# Published descriptions give the nasopharynx a roof of sphenoid and occipital bone in front of the clivus
# and the first two vertebrae, side walls of constrictor muscle and pharyngobasilar fascia with the
# pharyngeal recess and the torus of the auditory tube, a floor at the level of the hard palate, and an open
# front, the choanae [^yamashiro]. Carcinoma blunts the recess, thickens the levator of the palate, and
# effaces the parapharyngeal fat once it is through the fascia [^hoe]. The phantom follows these
# descriptions with the structures below; skin and the fat between structures fill the rest.
#
# [^yamashiro]: Yamashiro I, Souza RP. Imaging diagnosis of nasopharyngeal tumors. *Radiol Bras* 2007;
#     40(1): 45–52.
# [^hoe]: Hoe J. CT of nasopharyngeal carcinoma: significance of widening of the preoccipital soft tissue on
#     axial scans. *AJNR* 1989; 10: 839–844.

# %% tags=["hide-output"]
# Walls are counted with what they line.
structures = pd.DataFrame([asdict(structure) for structure in ANATOMY if not structure.wall_mm])
structures["count"] = 1 + structures["paired"]
anatomy = structures.groupby("tissue", sort=False).agg(structures=("name", ", ".join), count=("count", "sum"))
chapter.table("anatomy", anatomy.reset_index(), "Structures by tissue; both sides counted.")
chapter.takeaway(
    3,
    f"The picture is physics: {anatomy['count'].sum()} structures filled with {len(TISSUES)} tissues, the "
    "spin-echo equation, contrast uptake, receive coil and noise ([tissues](#datasheet-tissues)).",
)

# %% [markdown]
# Slices from the neck (left) to the base of the skull (right). Fat is bright on T1W, fluid on T2W; tumour
# and mucosa enhance on CET1W. The solid line is the contour of the tumour, the dashed one that of nodes.

# %%
patient = Traits("1", "T2", "N1", 1, size=0.5, heterogeneity=0.5, infiltration=0.5)
volumes = render_patient(patient, grid, np.random.default_rng(seed))
levels = np.linspace(0.1, 0.92, 5) * drawn_slices
fig, axes = plt.subplots(3, len(levels), figsize=(11, 6.9), layout="constrained")
for row, (name, volume) in zip(axes, volumes.items(), strict=True):
    for ax, level in zip(row, levels.astype(int), strict=True):
        height = (level - (drawn_slices - 1) / 2) * volume.spacing[0]
        plot_slice(volume, level, title=f"{name.upper()}, z = {height:+.0f} mm", ax=ax)
chapter.figure("levels", fig, "Axial slices of a synthetic patient at several heights in three sequences.")

# %% [markdown]
# ### Stage and extranodal extension
#
# T1 stays in the nasopharynx, T2 reaches the parapharyngeal space. Without extranodal extension (grade 0)
# nodes are apart; in grade 1 they coalesce; in grade 2 the mass is irregular and what lies around it, muscle
# and fat, is infiltrated. These panels stand in for the examples of the paper's Figure S3.

# %%
LABEL = {name: label for label, name in MASK_LABELS.items()}
cases = [("T1, tumour", Traits("1", "T1", "N0", 0, 0, 0, 0), LABEL["primary tumour"])]
cases += [("T2, tumour", Traits("1", "T2", "N0", 0, 0, 0, 0), LABEL["primary tumour"])]
for grade in (0, 1, 2):
    cases.append((f"rENE {grade}, nodes", Traits("1", "T1", "N1", grade, 0, 0, 0), LABEL["lymph node"]))
fig, axes = plt.subplots(2, len(cases), figsize=(11, 4.8), layout="constrained")
for column, (title, traits, label) in zip(axes.T, cases, strict=True):
    volumes = render_patient(traits, grid, np.random.default_rng(seed + 4))
    for ax, name in zip(column, ("t2w", "cet1w"), strict=True):
        at = widest_slice(volumes[name], label)
        plot_slice(volumes[name], at, title=f"{title}, {name.upper()}", half_mm=70, ax=ax)
alt = "Synthetic patients by stage and by grade of extranodal extension, T2W above CET1W."
chapter.figure("grades", fig, alt)

# %% [markdown]
# ### Latent variables
#
# The same patient with one latent variable two standard deviations below and above its mean. Infiltration
# lies outside the contour: dark in the fat on T1W, bright in muscle on T2W.

# %%
fig, axes = plt.subplots(3, 6, figsize=(11, 5.9), layout="constrained")
pairs = [(name, value) for name in ("size", "heterogeneity", "infiltration") for value in (-2.0, 2.0)]
for column, (name, value) in zip(axes.T, pairs, strict=True):
    average = {"size": 0.0, "heterogeneity": 0.0, "infiltration": 0.0}
    traits = Traits("1", "T2", "N0", 0, **average | {name: value})
    volumes = render_patient(traits, grid, np.random.default_rng(seed + 6))
    for ax, (sequence, volume) in zip(column, volumes.items(), strict=True):
        title = f"{name} {value:+.0f}, {sequence.upper()}"
        plot_slice(volume, widest_slice(volume), title=title, half_mm=55, ax=ax)
alt = "The same synthetic patient with each latent variable below and above its mean."
chapter.figure("latents", fig, alt)

# %% [markdown]
# (datasheet-probes)=
# ## What the picture carries of the latent variables
#
# Three measurements by hand: volume of the contour, variation inside it (logarithm of the coefficient of
# variation on T2W, a voxel away from the edge), and enhancement around it (CET1W over T1W in tissue 1 to 9
# mm outside, against tissue far away). No model is involved, and the generator was set with these probes
# only. Patients are drawn for this page, on the grid of the default profile and from all centres.

# %%
show_source(probe_volumes)

# %%
rng, centers = np.random.default_rng(seed), list(PROTOCOLS)
rows, profiles = [], {"raw": [], "each image standardised": []}
for number in range(probed_patients):
    center, t_stage = centers[number % len(centers)], str(rng.choice(["T1", "T2"]))
    traits = Traits(center, t_stage, "N0", 0, *rng.standard_normal(3))
    volumes = render_patient(traits, (16, 64, 64), np.random.default_rng([seed, number]))
    rows.append(asdict(traits) | asdict(probe_volumes(volumes)))
    for kind, collected in profiles.items():
        collected.append(intensity_profile(volumes, standardise=kind != "raw"))
probed = pd.DataFrame(rows).assign(volume=lambda df: np.log(df["volume_ml"]))

# %%
probes = {"volume": "volume", "inside": "variation inside", "rim": "enhancement around"}
in_picture = list(LATENTS[:3])
correlation = probed[[*in_picture, *probes]].corr().loc[list(probes), in_picture].map(format_number)
shown = correlation.rename(index=probes).rename_axis("probe").reset_index()
chapter.table("probes", shown, "Correlation of hand-made probes (rows) with latent variables.")
chapter.takeaway(
    4,
    "Measured by hand, variation inside the contour correlates with heterogeneity at "
    f"{correlation.loc['inside', 'heterogeneity']} and enhancement around it with infiltration at "
    f"{correlation.loc['rim', 'infiltration']} ([probes](#datasheet-probes)).",
)

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
markers = dict(zip(centers, "o^s", strict=False))
for ax, (latent, probe) in zip(axes, (("heterogeneity", "inside"), ("infiltration", "rim")), strict=True):
    for center, part in probed.groupby("center"):
        ax.plot(part[latent], part[probe], markers[center], markersize=4, alpha=0.8, label=f"centre {center}")
    ax.set(xlabel=f"{latent} (SD)", ylabel=f"{probes[probe]} (log)")
axes[0].legend(frameon=False)
alt = "Scatter plots of each hand-made measurement against its latent variable, by centre."
chapter.figure("probes", fig, alt)

# %% [markdown]
# (datasheet-centres)=
# ## Centres
#
# The same patient in each centre, and in centre 2 after the exchange of scanners that the `shift` scenario
# makes (fat suppressed on T2W and CET1W, more noise, a stronger coil profile).

# %%
settings = [(f"centre {center}", center, PROTOCOLS) for center in PROTOCOLS]
settings.append(("centre 2, shifted", "2", SHIFTED_PROTOCOLS))
fig, axes = plt.subplots(3, len(settings), figsize=(9, 6.9), layout="constrained")
for column, (title, center, protocol) in zip(axes.T, settings, strict=True):
    traits = Traits(center, "T2", "N1", 0, 0.0, 0.0, 0.0)
    volumes = render_patient(traits, grid, np.random.default_rng(seed + 2), protocols=protocol)
    for ax, (name, volume) in zip(column, volumes.items(), strict=True):
        plot_slice(volume, int(0.55 * drawn_slices), title=f"{title}, {name.upper()}", ax=ax)
chapter.figure("centres", fig, "The same synthetic patient as the scanners of each centre would show it.")

# %% [markdown]
# Whether scanners can be told apart: a logistic regression on deciles of intensity, cross-validated, on the
# patients of the probes. Setting each image to mean 0 and standard deviation 1 removes gain, but not
# contrast, coil or noise.

# %%
classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
found = {
    kind: cross_val_score(classifier, np.array(values), probed["center"], cv=5).mean()
    for kind, values in profiles.items()
} | {"chance": 1 / len(centers)}
site = pd.DataFrame(
    {
        "intensities": found.keys(),
        "centre named correctly": [f"{100 * share:.0f} %" for share in found.values()],
    }
)
chapter.table("site", site, "How often deciles of intensity name the centre.")
chapter.takeaway(
    5,
    f"Deciles of raw intensities name the centre in {100 * found['raw']:.0f} % of patients "
    "([centres](#datasheet-centres)).",
)

# %% [markdown]
# ## Scenarios
#
# `null` plants nothing: every model must come out at chance in patients it has not seen; in its own it still
# looks good. `shift` gives the validation hospitals other scanners and more advanced disease.


# %% tags=["hide-output"]
def flat(scenario: str) -> pd.Series:
    """Return all parameters of a scenario as text, those of its parts by dotted names."""
    values = {}
    for name, value in asdict(specification(scenario)).items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        values |= {f"{name}.{part}".rstrip("."): as_text(item) for part, item in parts}
    return pd.Series(values).drop("scenario")


paper, changes = flat("paper"), []
for name in ("null", "shift"):
    here = flat(name)
    here = here[here != paper]
    changed = {"parameter": here.index.map(in_words), "paper": paper[here.index], "here": here}
    changes.append(pd.DataFrame({"scenario": name, **changed}))
chapter.table("scenarios", pd.concat(changes), "What the scenarios change in the specification.")

# %% [markdown]
# (datasheet-against-paper)=
# ## Against the paper
#
# What the specification sets, beside print. Agreement says that the specification was copied faithfully,
# nothing more.

# %%
ids = {
    "female": "sex_female.n",
    "who_i": "who_i.n",
    "t1n1": "t1.n",
    "t2n0": "n0.n",
    "ldh_abnormal": "ldh_abnormal.n",
    "ldh_missing": "ldh_unknown.n",
    "ebv_detectable": "ebv_detectable.n",
    "ebv_missing": "ebv_unknown.n",
    "rene_g1": "rene_g1.n",
    "rene_g2": "rene_g2.n",
    "chemo_none": "chemotherapy_none.n",
    "chemo_other": "chemotherapy_other.n",
    "dmfs_5y": "dmfs_5y",
    "os_5y": "os_5y",
}

# %% tags=["hide-output"]
rows = []
for cohort in COHORTS:
    for name, printed_id in ids.items():
        printed = lookup(f"table1.{cohort}.{printed_id}")["printed"]
        specified = getattr(getattr(spec, cohort), name)
        equal = "yes" if float(printed) == specified else "no"
        rows.append((cohort, in_words(name), printed, f"{specified:g}", equal))
against = pd.DataFrame(rows, columns=["cohort", "parameter", "printed", "specified", "equal"])
chapter.table("against_paper", against, "Table 1 in print and in the specification of this scenario.")
chapter.takeaway(
    1,
    f"**Simulated patients, of whom {(against['equal'] == 'yes').sum()} of {len(against)} counts and rates "
    "equal print, pictured by physics without the motion, the artefacts and the variety of real MRI** "
    "([against the paper](#datasheet-against-paper), [what is missing](#datasheet-missing)).",
)

# %% [markdown]
# (datasheet-missing)=
# ## What real MRI has that this has not
#
# In each line: what real images have, *what stands for it here*, and what the difference may hide.
#
# - Swallowing, breathing, pulsation; *rigid displacement between sequences*; ghosts and blurring that a
#   network may take for disease.
# - Susceptibility at air, bone, dental metal; *none*; local loss of signal, next to the skull base above
#   all.
# - Gibbs ringing, wrap-around, parallel imaging; *none; noise is white and equal everywhere*; noise that
#   varies over the image and correlates.
# - Trains of echoes, magnetisation transfer, inflow; *one echo; vessels have a fixed signal*; contrast that
#   no single TR and TE describe.
# - Uptake of contrast over time; *one moment, one factor a patient*; wash-in and necrosis that depend on the
#   time of the scan.
# - Other disease, surgery, age, teeth; *opaque sinuses and normal nodes only*; everything that makes a
#   reader hesitate.
# - Nerves, ligaments, thin fascia, small vessels; *none*; perineural spread, and the fascia itself as a dark
#   line.
# - Tumours of any shape, bilateral or exophytic; *one growth front of smooth shape on one side*; shape as a
#   predictor.
# - Infiltration as a matter of degree that readers see and contour; *always outside the contour*; how much
#   of it a real contour already includes.
# - Latent biology with unknown traces in the image; *three variables, independent and normal*; whether such
#   traces exist at all.
# - Readers who differ in habit; *one smooth error*; systematic differences between readers and centres.
# - Protocols that drift, several scanners in a hospital; *one protocol a centre, gain varies*; the true
#   scanner effect, which is larger.
# - Laboratory values that depend on image findings; *independent of the latent variables*; redundancy of
#   clinical and imaging predictors.
#
# ## Limits and deviations
#
# - The strength of the planted effects is a choice. That a network could have an advantage over radiomics
#   here follows from where infiltration was put; whether it has one in a given run is told in
#   [chapter 05](05_cox_models.ipynb), and whether for patients, these data cannot answer.
# - Contrast uptake, texture and the appearance of infiltration were set by what a radiologist expects to see,
#   not fitted to patients' images.
# - Sharing of scanners, fields and protocols among the real hospitals is not printed.
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `probed_patients = 45`: the estimates of how well a planted trait can be read off the image become less
#   certain, not lower.
# - `drawn_voxels = 72`: the montage shows what a network sees whose grid is as coarse; look for the smallest
#   node that can still be told from a vessel.
# ```
#
# **Hand-over.** How the drawn cohort compares with print, and how hard its truth is to find, is told in
# [the cohorts](01_cohorts.ipynb). No chapter uses what is on this page as input.
