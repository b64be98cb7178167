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
# # Segmentation
#
# **How well does a 3D U-Net draw tumour and nodes on patients, centres and scanners that it has not seen?**
#
# ## In short

# %%
from npcbook.book import in_short

in_short()

# %% [markdown]
# **Reads** `01_cohorts/cohort`, and images and contours of the cohort. **Writes** preprocessed images, one
# network per sequence, predicted masks, `dice.csv`, and the networks' features of every patient, for
# chapters 03, 04 and 04b.
#
# ## Setup

# %%
import json
from dataclasses import asdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import SimpleITK as sitk
import torch
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from npcbook.book import KEPT, open_chapter, show_source
from npcbook.cohort import image_path, mask_path, read_parts, read_truth
from npcbook.store import atomic_path, keep, project_path, spread
from npcbook.synthetic import rebuild_anatomy
from npcbook.words import COHORTS, DISPLAY_NAMES, MASK_COLOURS, SEQUENCES, STRUCTURES, format_number

# %% tags=["parameters"] needs="images contours"
cohort_folder = "data/cohorts/synthetic-laptop"  # a cohort in the book's format
run_folder = "data/runs/laptop-synthetic"  # where chapters leave their results
preprocessing_order = "n4-normalise"  # "n4-normalise" or "normalise-n4", the paper's
network_width = "small"  # "tiny", "small", "deposit" or "paper"; filters per level, paper: 64 to 2048
network_grid = "16, 48, 48"  # 3 whole numbers, 1 to 512; voxels (Z, Y, X) it sees; paper: 32, 192, 192
plane_mm = 144.0  # 0 to 500; how much of each slice it sees, about its middle; 0, as in the paper: all
epochs = 30  # 1 or more; at most, where training ends once the segmentation is stable; paper: 500
training = {  # fields of TrainingSettings but epochs, device, devices; what is left out is as in the paper
    "batch_size": 2,  # 1 or more; paper: 64
    "learning_rate": 3e-3,  # 1e-8 to 1; until it falls; paper: 1e-4
    "schedule": "until stable",  # "until stable", "one cycle" or "constant"; paper: constant, until stable
    "loss": "dice and cross-entropy",  # "dice" (paper), "cross-entropy" (deposit), "dice and cross-entropy"
    "mirror": True,  # exchange left and right of some images; paper: rotation and blurring only
    "warm_start": True,  # start from the network of the sequence before; paper: says nothing of it
}

# %%
from npcbook.book import check_chapter
from npcbook.imaging import NetworkSettings, TrainingSettings

# Before the settings, which look at how parameters go together, each by itself.
check_chapter("02_segmentation", globals(), cohort_folder)
batches = training.get("batch_size", TrainingSettings.batch_size) // TrainingSettings.micro_batch
training_settings = TrainingSettings(
    epochs=epochs,
    device="cuda" if torch.cuda.is_available() else "cpu",
    devices=max(1, min(torch.cuda.device_count(), batches)),
    **{name: value for name, value in training.items() if name != "warm_start"},
)
grid, plane = tuple(int(size) for size in network_grid.split(",")), plane_mm or None
network_settings = NetworkSettings(width=network_width, grid=grid)
warm_start = training.get("warm_start", False)
chapter = open_chapter("02_segmentation", run_folder=run_folder, cohort_folder=cohort_folder)

# %% [markdown]
# ## Data
#
# Patients take part if all sequences of the cohort could be preprocessed. Contours mark the primary tumour
# and the lymph nodes, on each sequence separately, as in the paper; the networks learn from the training
# patients who have them, and draw on all others.

# %%
cohort_path, parts = project_path(cohort_folder), read_parts(cohort_folder)
SEQUENCES = {name: suffix for name, suffix in SEQUENCES.items() if name in parts.sequences}
patients = chapter.read("01_cohorts/cohort").set_index("patient_id")[["cohort", "center"]]
have = [all(image_path(cohort_path, patient, s).exists() for s in SEQUENCES) for patient in patients.index]
contoured = {s: [mask_path(cohort_path, p, s).exists() for p in patients.index] for s in SEQUENCES}
contoured = pd.DataFrame(contoured, patients.index)[have]
counts = patients.assign(
    images=have, contours=contoured.all(axis=1).reindex(patients.index, fill_value=False)
)
counts = counts.groupby(["cohort", "center"])[["images", "contours"]].agg(["size", "sum"])
counts = counts.droplevel(0, axis=1).iloc[:, [0, 1, 3]].reset_index()
counts.columns = ["cohort", "centre", "patients", "with all sequences", "with contours on all"]
chapter.table("patients", counts, f"Patients; sequences: {', '.join(DISPLAY_NAMES[s] for s in SEQUENCES)}.")
patients = patients[have]

# %% [markdown]
# (segmentation-preprocessing)=
# ## Preprocessing
#
# The receive coil multiplies the signal by a {term}`bias field` that varies slowly over the head, and each
# scanner has its own scale. The paper normalises first and corrects the field ({term}`N4`) afterwards. A
# field that multiplies must be divided out *before* a mean is subtracted, and z-scores are negative in half
# the head, where N4's logarithm does not exist; so the default here is N4 first, and `preprocessing_order`
# switches. N4 is fitted to a copy shrunk within the slices, and its field evaluated at full resolution:

# %%
from npcbook.imaging import bias_field, preprocess_files, preprocessed_path

show_source(bias_field)

# %%
keys = [(patient, sequence) for patient in patients.index for sequence in SEQUENCES]
files = [(image_path(cohort_path, *key), preprocessed_path(chapter.folder, *key)) for key in keys]
report = preprocess_files(files, order=preprocessing_order, workers=-1)
report.insert(0, "patient_id", [patient for patient, _ in keys])
failed = report[report["problem"] != ""]
patients = patients.drop(failed["patient_id"].unique())
contoured = contoured.loc[patients.index]
JUDGED = "validation" if contoured[patients["cohort"] == "validation"].any(axis=None) else "training"
prepared = {"images": len(report), "failed": len(failed), "patients that take part": len(patients)}
prepared["first reason"] = failed["problem"].iloc[0] if len(failed) else ""
prepared["with padding or stray voxels set aside"] = int((report["extremes"] > 0).sum())
prepared["head, smallest share of an image"] = report["share"].min()
prepared["fewest grey levels of a head (0.1 SD)"] = report["levels"].where(report["problem"] == "").min()
chapter.table("preprocessing", pd.DataFrame([prepared]), "Images preprocessed.")

# %% [markdown]
# The steps with their parameters, in the order taken, are kept beside the results:

# %%
steps = {
    "n4": [("bias field (N4, in Otsu's mask)", *pair) for pair in bias_field.__kwdefaults__.items()],
    "normalise": [("normalisation", "mean and SD from", "Otsu's mask")],
}
taken = [step for name in preprocessing_order.split("-") for step in steps[name]]
taken = pd.DataFrame(taken, columns=["step", "parameter", "value"]).astype(str)
chapter.write("preprocessing_steps", taken)

# %% [markdown]
# The same slice as scanned, the field that N4 finds in it, and the result of either order. Grey values of
# the results are standard deviations from the mean of the head.


# %%
from npcbook.imaging import ORDERS, preprocess, read_volume


def steps_of(volume) -> dict[str, np.ndarray]:
    """Return an image as scanned, the field in it, and the result of either order."""
    field = np.exp(bias_field(volume.image))
    one, other = (preprocess(volume, order=order).image for order in ORDERS)
    results = {"N4, then normalised": one, "normalised, then N4": other}
    return {"as scanned": volume.image, "N4's field": field} | results


# %%
example = contoured.all(axis=1).idxmax()
size = {"figsize": (9, 2.4 * len(SEQUENCES)), "squeeze": False}
fig, axes = plt.subplots(len(SEQUENCES), 4, layout="constrained", **size)
for row, sequence in zip(axes, SEQUENCES, strict=True):
    files = image_path(cohort_path, example, sequence), mask_path(cohort_path, example, sequence)
    volume = read_volume(*files) if files[1].exists() else read_volume(files[0])
    drawn = np.zeros_like(volume.image) if volume.mask is None else volume.mask
    middle = int(np.argmax((drawn > 0).sum(axis=(1, 2)))) or len(drawn) // 2
    for ax, (title, panel) in zip(row, steps_of(volume).items(), strict=True):
        limits = {"vmin": -2, "vmax": 3} if panel.min() < 0 else {}
        picture = ax.imshow(panel[middle], cmap="viridis" if title == "N4's field" else "gray", **limits)
        ax.set(xticks=[], yticks=[], title=title if ax in axes[0] else "")
        fig.colorbar(picture, ax=ax, shrink=0.7)
    row[0].set_ylabel(DISPLAY_NAMES[sequence])
alt = "One slice in each sequence: as scanned, the field that N4 finds, and the result of either order."
chapter.figure("preprocessing", fig, alt)

# %% [markdown]
# (segmentation-network)=
# ## Network
#
# Down the left side, each level has two 3×3×3 convolutions and a 2×2×2 max pooling, and the number of
# filters grows; up the right side, a 2×2×2 transposed convolution halves the channels and the features of
# the same level are put beside them. The paper says "doubled after each downsampling" and prints no
# number of filters; `network_width` offers the deposited script's and a reading of the paper's in which
# three pooled bottlenecks make its vector of 6144. Slices are few and thick: once their number is odd,
# only the plane is halved. The blocks are MONAI's. What the network does with a picture, from the library:

# %%
from npcbook.imaging import UNet3d

show_source(UNet3d.encode, UNet3d.decode, UNet3d.forward)

# %% tags=["hide-output"]
network = UNet3d(network_settings)
levels = pd.DataFrame(network_settings.shapes, columns=["filters", "slices", "rows", "columns"])
levels.insert(0, "level", range(len(levels)))
steps = ["×".join(map(str, step)) for step in network_settings.poolings]
levels["pooling to the next"] = [*steps, "(bottleneck)"]
levels["parameters, down"] = [sum(p.numel() for p in block.parameters()) for block in network.down]
upward = zip(network.widen, network.up, strict=True)
up = [sum(p.numel() for part in pair for p in part.parameters()) for pair in upward]
levels["parameters, up"] = [*up[::-1], 0]
total = sum(p.numel() for p in network.parameters())
chapter.table("network", levels, f"Levels of the network; {total:,} parameters in all.")

# %% [markdown]
# The network as it was built: width of a box, filters; height, voxels of a side of the plane.

# %%
depth = len(network_settings.shapes)


def draw_level(ax, column: int) -> None:
    """Draw one level of the network as a box; on the way down, with its skip connection."""
    level = min(column, 2 * (depth - 1) - column)
    filters, slices, rows, _ = network_settings.shapes[level]
    width, height = 0.12 + 0.1 * np.log2(filters), rows / grid[1]
    blue = sns.color_palette("colorblind")[0]
    ax.add_patch(Rectangle((column - width / 2, -height / 2), width, height, color=blue))
    said, place = f"{filters}\n{slices}×{rows}×{rows}", (column, -height / 2 - 0.03)
    ax.text(*place, said, ha="center", va="top", fontsize=8)
    if column < depth - 1:
        y, arrow = 0.56 + 0.05 * (depth - level), {"arrowstyle": "->", "color": "0.5"}
        ax.annotate("", (2 * (depth - 1) - column, y), (column, y), arrowprops=arrow)


# %%
fig, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
for column in range(2 * depth - 1):
    draw_level(ax, column)
style = {"ha": "center", "va": "bottom", "fontsize": 8, "color": "0.4"}
ax.text(depth - 1, 0.56 + 0.05 * (depth + 1), "skip connections", **style)
ax.set(xlim=(-0.8, 2 * depth - 1.2), ylim=(-0.85, 1.0))
ax.axis("off")
alt = "The U-Net as a row of boxes: filters grow towards the bottleneck and shrink after it."
chapter.figure("network", fig, alt)

# %% [markdown]
# (segmentation-training)=
# ## Training
#
# The paper's loss is one minus the overlap of prediction $P$ and contour $T$,
#
# $$L = 1 - \frac{2 \sum_i T_i P_i}{\sum_i (T_i + P_i)} .$$
#
# Its Equation 1 goes on with a right-hand side that lacks the "1 −" and divides by the union: read
# literally it would be largest when the contours agree. Here the overlap is taken for the tumour, for the
# nodes and for both together, over all patients of a batch, and averaged; `loss` (in `training`) says whether
# cross-entropy, which the deposited script uses, is added. With a few epochs and small nodes, the overlap
# alone can settle on drawing no node at all.

# %%
from npcbook.imaging import dice_loss, train_epoch, train_segmentation

show_source(dice_loss)

# %% [markdown]
# Training images are rotated in-plane and blurred by random amounts, as in the paper; `mirror` says whether
# left and right are exchanged in some besides. One tenth of the training patients is kept out of the steps
# to watch the Dice overlap on new patients; no step and no choice of this run uses the validation cohort.
# <span class="planted">The default rate, batch and loss, mirroring and warm start were set on kept-out
# patients. While settings were chosen, by values of training patients, the validation values of the default
# synthetic cohort (seed 50) and of another (seed 101) stood on the screen; those of the cohorts of chapter
# 09c (seeds from 201) did not ([results](09c_other_cohorts.ipynb)).</span>
#
# With `warm_start` each network but the first begins with the weights of the one before. Head and neck look
# alike on the three sequences, and the first epochs of a network with random weights go into finding them:
# some spend several epochs on calling everything background.
#
# The paper goes on to metastasis "after the segmentation achieved stable performance" and does not say when
# that is. Here it is a rule: once some epochs in a row have not raised the best overlap of the
# kept-out patients by more than a margin, the learning rate falls to zero over a few more and the training
# ends. From the library, the rule; its numbers are `PATIENCE`, `MARGIN` and `COOL_DOWN`:
#
# Lightning Fabric (`fabric` below) provides the device: a CPU in single precision, or a GPU in bfloat16 where
# that is safe. Several GPUs deal the parts of each batch among themselves and add up their gradients, so that
# their number changes the result by rounding only.

# %%
from npcbook.imaging import stable_after

show_source(stable_after, train_epoch)

# %%
seen_by_network = {"order": preprocessing_order, "grid": grid, "plane_mm": plane}
seen_by_network |= {"training": asdict(training_settings), "warm_start": warm_start}
with atomic_path(chapter.folder / "input.json") as temporary:
    temporary.write_text(json.dumps(seen_by_network), "utf-8")

# %% [markdown]
# One network for each sequence, "the same network structure and training strategy". A training that was
# interrupted goes on from its last epoch; one that was done before, on the same data with the same
# settings and code, is read back. Then each network segments every patient, and its features are stored
# for chapter 03.

# %%
from npcbook.imaging import network_path, predicted_mask_path, segment_patients, stack_on_grid

is_training = (patients["cohort"] == "training").to_numpy()
options = {"network_settings": network_settings, "settings": training_settings}
history, trained = [], None
for sequence in SEQUENCES:
    pictures = {patient: preprocessed_path(chapter.folder, patient, sequence) for patient in patients.index}
    teachers = patients.index[is_training & contoured[sequence].to_numpy()]
    files = [(pictures[patient], mask_path(cohort_path, patient, sequence)) for patient in teachers]
    start, path = trained.network if trained and warm_start else None, network_path(chapter.folder, sequence)
    given = stack_on_grid(files, grid, plane_mm=plane)
    trained = train_segmentation(*given, path=path, start=start, **options)
    history.append(trained.history.assign(sequence=sequence))
    kept = chapter.folder / KEPT / f"features_{sequence}"
    files = [(file, predicted_mask_path(chapter.folder, who, sequence)) for who, file in pictures.items()]
    features = segment_patients(files, path, kept, plane_mm=plane)
    features.insert(0, "patient_id", patients.index)
    chapter.write(f"features_{sequence}", features, suffix=".parquet")
history = pd.concat(history, ignore_index=True)
chapter.write("history", history)

# %%
first = "bias field corrected by N4", "normalised to mean 0 and standard deviation 1 of the head"
prepared = " and then ".join(first if preprocessing_order.startswith("n4") else first[::-1])
other = "the network of the sequence before (the first from random weights)"
chapter.methods(f"""
Segmentation. T1-weighted (T1W), T2-weighted (T2W) and contrast-enhanced T1-weighted (CET1W) volumes were
{prepared}, and resampled to {network_grid} voxels (slices, rows, columns). One three-dimensional U-Net a
sequence (width "{network_width}") was trained on the reader's contours of tumour and nodes for at most
{epochs} epochs, schedule "{training_settings.schedule}", with batches of {training_settings.batch_size}, the
loss "{training_settings.loss}" and a learning rate of at most {training_settings.learning_rate:g}, starting
from {other if warm_start else "random weights"}.
""")

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for (sequence, rows), style in zip(history.groupby("sequence", sort=False), ("-", "--", ":"), strict=False):
    axes[0].plot(rows["epoch"], rows["loss"], style, label=DISPLAY_NAMES[sequence])
    axes[1].plot(rows["epoch"], rows["monitor_dice"], style, label=DISPLAY_NAMES[sequence])
axes[0].set(xlabel="epoch", ylabel=f"loss ({training_settings.loss})")
axes[1].set(xlabel="epoch", ylabel="mean Dice, kept-out\ntraining patients", ylim=(0, 1))
for ax in axes:
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
axes[0].legend()
alt = "Loss in training, and Dice overlap in patients kept out, by epoch, for each sequence."
chapter.figure("training", fig, alt)

# %% [markdown]
# ## Result
#
# Predictions are brought back to the voxels of each image and compared with the contours there: Dice
# overlap, the 95th percentile of the distance between the surfaces (HD95), and the error of the volume. A
# patient without nodes has no overlap of nodes; where the network draws some none the less, the overlap
# is 0.


# %%
from npcbook.imaging import TORCH_WORKERS, measure_overlap


def compare_masks(predicted: Path, contours: Path) -> list[dict]:
    """Compare a predicted mask with the contours on the same voxels, structure by structure."""
    both, rows = read_volume(predicted, contours), []
    for structure, labels in STRUCTURES.items():
        pair = np.isin(both.image, labels), np.isin(both.mask, labels)
        rows.append({"structure": structure} | asdict(measure_overlap(*pair, both.spacing)))
    return rows


def measure(masks: list[tuple], patients: pd.DataFrame) -> pd.DataFrame:
    """Compare predicted masks with contours, patient by patient and sequence by sequence."""
    # As the masks were drawn: by processes that have loaded PyTorch.
    measured = spread(compare_masks, [pair[2:] for pair in masks], **TORCH_WORKERS)
    named = [{"patient_id": patient, "sequence": sequence} for patient, sequence, *_ in masks]
    rows = [name | row for name, many in zip(named, measured, strict=True) for row in many]
    columns = ["patient_id", "cohort", "center", "sequence", *rows[0]]
    table = pd.DataFrame(rows).merge(patients, on="patient_id")
    return table[list(dict.fromkeys(columns))]


# %%
keys = [(patient, s) for s in SEQUENCES for patient in patients.index if contoured.loc[patient, s]]
masks = [(*key, predicted_mask_path(chapter.folder, *key), mask_path(cohort_path, *key)) for key in keys]
dice = keep(chapter.folder / "dice.csv", measure, masks, patients.reset_index())
words = {"count": "masks", "std": "SD", "min": "lowest", "25%": "lower quartile", "50%": "median"}
words |= {"75%": "upper quartile", "max": "highest"}
overview = dice.groupby("structure", sort=False)["dice"].describe().reset_index().rename(columns=words)
overview = overview.astype({"masks": int}).round(2)
chapter.table("dice_overview", overview, "Dice overlap in all patients and sequences with contours.")

# %% [markdown]
# SimpleITK, which many readers know, measures the same overlap:

# %%
theirs, differences = sitk.LabelOverlapMeasuresImageFilter(), []
both = dice[dice["structure"] == "tumour and nodes"]
for row in both[(both["cohort"] == JUDGED) & both["dice"].notna()].head(60).itertuples():
    key = row.patient_id, row.sequence
    files = mask_path(cohort_path, *key), predicted_mask_path(chapter.folder, *key)
    theirs.Execute(*(sitk.ReadImage(str(file)) > 0 for file in files))
    differences.append(abs(theirs.GetDiceCoefficient() - row.dice))
chapter.say(
    f"Largest difference of the Dice overlap from SimpleITK's `LabelOverlapMeasuresImageFilter`, over "
    f"{len(differences)} masks: {max(differences, default=0):.1g}."
)

# %% [markdown]
# (segmentation-table-3)=
# ### Table 3
#
# Tumour and nodes together, as printed. A training patient's mask is flattered by the network having learnt
# from it.


# %%
def mean_sd(values: pd.Series) -> str:
    """Return mean and standard deviation as the paper prints them."""
    return f"{format_number(values.mean(), 2)} ± {format_number(values.std(), 2)}"


# %%
groups = {key: values for key, values in both.groupby(["cohort", "sequence"])["dice"]}
table_3 = pd.DataFrame({"Sequence": [DISPLAY_NAMES[s] for s in ("cet1w", "t1w", "t2w") if s in SEQUENCES]})
none = pd.Series(dtype=float)  # where nobody drew, a dash
for name in COHORTS:
    table_3[name.capitalize()] = [mean_sd(groups.get((name, s.lower()), none)) for s in table_3["Sequence"]]
chapter.table("table_3", table_3, "Dice overlap of tumour and nodes together, mean ± standard deviation.")

# %%
for (name, sequence), values in groups.items():
    chapter.record(f"table3.{name}.{sequence}", values.mean())
    chapter.record(f"table3.{name}.{sequence}.sd", values.std())
means = both.groupby(["cohort", "sequence"])["dice"].mean()
chapter.record("text.dice_low", means.min())
chapter.record("text.dice_high", means.max())
texts = (f"{format_number(means.get((JUDGED, s)))} ({DISPLAY_NAMES[s]})" for s in SEQUENCES)
chapter.takeaway(
    1,
    f"**In the {JUDGED} cohort the network's tumour and nodes, taken together, have a mean Dice overlap with "
    f"the reader's of {', '.join(texts)}** ([Table 3](#segmentation-table-3)).",
)

# %% [markdown]
# (segmentation-structures)=
# ### By structure and centre
#
# Validation centres have other scanners than the training centre. HD95 needs both a contour and a
# prediction.

# %%
by = dice.groupby(["structure", "sequence", "cohort", "center"], sort=False)
summary = by.agg(
    masks=("dice", "count"),
    dice=("dice", mean_sd),
    not_found=("dice", lambda values: int((values == 0).sum())),
    hd95=("hd95_mm", mean_sd),
    volume=("volume_error", lambda values: format_number(100 * values.median(), 0)),
).reset_index()
summary = summary.sort_values("structure", key=lambda names: names.map(list(STRUCTURES).index), kind="stable")
summary["sequence"] = summary["sequence"].map(DISPLAY_NAMES)
names = ["Structure", "Sequence", "Cohort", "Centre", "Masks", "Dice", "Dice = 0", "HD95 (mm)"]
summary.columns = [*names, "Volume error, median (%)"]
chapter.table("structures", summary, "Agreement of predicted and drawn masks, mean ± standard deviation.")

# %%
palette = sns.color_palette("colorblind", len(SEQUENCES))
fig, axes = plt.subplots(1, 3, figsize=(9, 3.4), sharey=True, layout="constrained")
for ax, structure in zip(axes, STRUCTURES, strict=True):
    part = dice[dice["structure"] == structure].assign(Sequence=lambda df: df["sequence"].map(DISPLAY_NAMES))
    sns.boxplot(
        part, x="center", y="dice", hue="Sequence", ax=ax, palette=palette, fliersize=1.5, linewidth=0.8,
        legend="brief" if structure == "tumour and nodes" else False,
    )  # fmt: skip
    ax.set(title=structure, xlabel="centre", ylabel="Dice overlap", ylim=(0, 1))
alt = "Box plots of the Dice overlap by centre and sequence, one panel a structure."
chapter.figure("structures", fig, alt)

# %%
apart = dice[dice["cohort"] == JUDGED].groupby("structure")["dice"].mean().map(format_number)
chapter.takeaway(
    2,
    f"Taken apart, it is {apart['tumour']} for the tumour and {apart['nodes']} for the nodes, over "
    "all sequences; the paper prints both together only ([by structure](#segmentation-structures)).",
)
by_center = both.groupby("center")["dice"].mean()
chapter.takeaway(
    3,
    "From the best to the worst centre the mean differs by "
    f"{format_number(by_center.max() - by_center.min())} ([by centre](#segmentation-structures)).",
)

# %% [markdown] tags=["planted"]
# (segmentation-ceiling)=
# ### What a contour is worth
#
# A reader does not meet the edge of a tumour exactly, and no network can agree with the reader better than
# that error allows. Of synthetic patients the planted edge is known: below, how well the reader's contours
# meet it in some validation patients, and how well the network's masks do. The first is what a network that
# finds every edge would reach in Table 3.


# %% tags=["planted"]
from npcbook.imaging import read_mask


def meeting(patient: str, anatomy) -> list[tuple]:
    """Return how well reader and network meet the planted edges and one another, by structure."""
    edges = {"tumour": anatomy.tumour_mm < 0, "nodes": anatomy.node_mm < 0}
    edges["tumour and nodes"] = edges["tumour"] | edges["nodes"]
    met = []
    for sequence in SEQUENCES:
        drawn = read_mask(mask_path(cohort_path, patient, sequence))
        predicted = read_mask(predicted_mask_path(chapter.folder, patient, sequence))
        for structure, labels in STRUCTURES.items():
            network, reader = np.isin(predicted, labels), np.isin(drawn, labels)
            pairs = ((reader, edges[structure]), (network, edges[structure]), (network, reader))
            met.append((structure, *(measure_overlap(*pair, anatomy.spacing).dice for pair in pairs)))
    return met


# %% tags=["planted"]
held_out = patients.index[patients["cohort"] == "validation"]
sampled = held_out[:: max(1, len(held_out) // 40)]
anatomies = {} if read_truth(cohort_path) is None else rebuild_anatomy(cohort_folder, sampled)
met = [row for pair in anatomies.items() for row in meeting(*pair)]
names = ["Structure", "reader and planted edge", "network and planted edge", "network and reader"]
ceiling = pd.DataFrame(met, columns=names).groupby("Structure", sort=False).mean().reset_index()
caption = f"Mean Dice overlap in {len(anatomies)} validation patients, all sequences."
if len(ceiling):
    chapter.table("ceiling", ceiling, caption)

# %% [markdown]
# (segmentation-cases)=
# ### Best, median and worst
#
# Validation patients by the mean over their three sequences, in the slice with the largest contour. Solid
# lines are the reader's contours, dashed ones the network's; orange is tumour, blue is node.


# %%
from npcbook.imaging import load_volume


def draw_case(ax, patient: str, sequence: str) -> None:
    """Draw the slice with the largest contour, the reader's outlines and the network's."""
    drawn = read_mask(mask_path(cohort_path, patient, sequence))
    predicted = read_mask(predicted_mask_path(chapter.folder, patient, sequence))
    middle = int(np.argmax((drawn > 0).sum(axis=(1, 2))))
    pixels = load_volume(preprocessed_path(chapter.folder, patient, sequence)).image[middle]
    ax.imshow(pixels, cmap="gray", vmin=-2, vmax=3)
    for mask, style in ((drawn, "solid"), (predicted, "dashed")):
        for label, color in enumerate(MASK_COLOURS.values(), start=1):
            if (mask[middle] == label).any():
                ax.contour(mask[middle] == label, [0.5], colors=color, linestyles=style, linewidths=1.2)
    ax.set(xticks=[], yticks=[])


# %%
ranked = both[both["cohort"] == JUDGED].groupby("patient_id")["dice"].mean().sort_values()
cases = {"best": ranked.index[-1], "median": ranked.index[len(ranked) // 2], "worst": ranked.index[0]}
size = {"figsize": (2.7 * len(SEQUENCES), 8), "squeeze": False}
fig, axes = plt.subplots(3, len(SEQUENCES), layout="constrained", **size)
for row, (name, patient) in zip(axes, cases.items(), strict=True):
    for ax, sequence in zip(row, SEQUENCES, strict=True):
        if contoured.loc[patient, sequence]:
            draw_case(ax, patient, sequence)
        ax.set_title(DISPLAY_NAMES[sequence] if name == "best" else "")
    row[0].set_ylabel(f"{name}: {patient}, mean Dice {format_number(ranked[patient], 2)}")
alt = f"Best, median and worst {JUDGED} patient: drawn and predicted contours on three sequences."
chapter.figure("cases", fig, alt)
chapter.takeaway(
    4,
    f"One patient's mean over sequences is {format_number(ranked.iloc[0])} at worst: the mean of a cohort "
    "says little about a single contour ([cases](#segmentation-cases)).",
)

# %% [markdown]
# ## Against the paper

# %%
chapter.against_paper("Dice overlap of tumour and nodes together: printed, and of this run.")

# %% [markdown]
# ## Limits and deviations
#
# - Width, grid, epochs, rate and batch are parameters; the values above are set beside the paper's in
#   their comments. A normalisation after each convolution is added (GroupNorm, as in the deposited
#   script): the paper names none.
# - The printed standard deviations are small. A standard deviation over patients of overlap, where nodes
#   are a few voxels in some, is rarely that small; the paper does not say over what it was taken.
# - The network sees the middle of each slice only; contours beyond it are missed, and count as missed.
# - One reader's contours are the truth here, in the paper and in this run. The paper gives no agreement
#   between readers to measure a network by.
#
# ```{admonition} Try this
# :class: tip
# Change a line of the parameters cell and run all cells: the stored run stays, and what differs is listed.
#
# - `epochs = 2`: every training ends early, and less overlaps. Compare by how much for the tumour and for the
#   nodes: small structures are learnt last.
# - `training["loss"] = "dice"`, the paper's, as a line of its own at the end of the parameters cell (what is
#   left out of `training` itself falls back to the paper's values): with few epochs, look at *Dice = 0* for
#   the nodes in the table by structure.
# - `preprocessing_order = "normalise-n4"`, the paper's order: compare the histories of training.
#
# A training takes minutes. The stored networks stay; the new ones lie in the branch that the chapter names.
# ```
#
# ## Hand-over
#
# Chapter 03 reads `features_*.parquet` (what each network makes of each patient). Chapters 04 and 04b
# read the preprocessed images and the predicted masks: 04 the masks only if asked, 04b always.
