"""Use of a trained run: from a new patient's three images to masks, scores and risk groups.

Chapter 03 stores a run's model with `store_model`; `predict` applies it. A new image passes the same steps as
the run's own patients did: bias field and normalisation, the networks' grid, the networks, the heads.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import multimode

import numpy as np
import pandas as pd
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from npcbook.book.chapter import Chapter
from npcbook.imaging.features import extract_features, features_table
from npcbook.imaging.grids import plane_field, restore_grid, stack_on_grid
from npcbook.imaging.heads import FARTHEST, LinearHead, SoftmaxHead, load_head, save_head
from npcbook.imaging.network import UNet3d
from npcbook.imaging.preprocessing import load_volume, preprocess, store_volume
from npcbook.imaging.training import load_network
from npcbook.imaging.volumes import Volume, read_geometry, read_volume, write_mask
from npcbook.store import atomic_path, files_fingerprint
from npcbook.words import DISPLAY_NAMES, MASK_COLOURS, MASK_LABELS, SEQUENCES, TRACKS

SUFFIXES = ("", "_recommended")
PACKAGES = ("npcbook", "torch", "numpy", "scipy", "SimpleITK")
#: What a score says; in both tracks, higher is worse.
SCALES = {
    "as published": "softmax probability that a metastasis is seen (0 to 1)",
    "recommended": "log hazard ratio to the average training patient (0 = average)",
}
NOTICE = "Research software: not for clinical use"
OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}
#: How far an image's field may be from those that the networks learnt from.
FIELD_TOLERANCE = 1.33


@dataclass(frozen=True)
class Model:
    """All of a run that a prediction needs.

    Attributes
    ----------
    about : dict
        Content of ``model.json``: origin, preprocessing, geometry and number of the training patients.
    networks : dict of str to UNet3d
        One for each sequence.
    heads : dict of (track, score) to (head, names of its features)
        Scores are the sequences and ``"combined"``.
    cutoffs : dict of str to float
        Of the combined score, by track, from the run's training patients; a track without one is left out.
    """

    about: dict
    networks: dict[str, UNet3d]
    heads: dict[tuple[str, str], tuple[SoftmaxHead | LinearHead, list[str]]]
    cutoffs: dict[str, float]


@dataclass(frozen=True)
class SequenceResult:
    """What the network made of one image.

    Attributes
    ----------
    volume : Volume
        Preprocessed image and predicted mask, turned to the run's orientation.
    mask : SimpleITK.Image
        The mask on the voxels of the file that was given.
    features : pandas.Series
        Named as the heads know them.
    """

    volume: Volume
    mask: sitk.Image
    features: pd.Series


@dataclass(frozen=True)
class Prediction:
    """What a model says about one patient.

    Attributes
    ----------
    sequences : dict of str to SequenceResult
        Masks and features.
    scores : pandas.DataFrame
        One row for each track and score: ``track``, ``score``, ``value`` (higher = worse), ``cutoff`` and
        ``risk_group`` (high above the cut-off; both empty where the run has no cut-off).
    reading : tuple of str
        How to read the scores: scale, direction, cut-off, and which track where the two disagree.
    notes : tuple of str
        What else a reader of the scores should know.
    """

    sequences: dict[str, SequenceResult]
    scores: pd.DataFrame
    reading: tuple[str, ...]
    notes: tuple[str, ...]


def _head_path(folder: Path, track: str, name: str) -> Path:
    return folder / f"{track.split()[-1]}_{name}.safetensors"


def _network_files(run_folder: Path) -> list[Path]:
    return [run_folder / "02_segmentation" / "networks" / s / "network.safetensors" for s in SEQUENCES]


def store_model(
    chapter: Chapter,
    *,
    heads: Mapping[str, Mapping[str, SoftmaxHead | LinearHead]],
    columns: Mapping[str, Mapping[str, Sequence[str]]],
    patients: pd.DataFrame,
    training_images: Mapping[str, Iterable[Path]],
) -> dict:
    """Write the heads, and what must be known to use them with the run's networks.

    Parameters
    ----------
    chapter : Chapter
        The chapter that fitted the heads; they go into its ``model`` folder.
    heads : mapping of track to mapping of score to head
        Tracks are "as published" and "recommended".
    columns : mapping of track to mapping of score to sequence of str
        Names of the features of each head, ``sequence/feature``.
    patients : pandas.DataFrame
        ``cohort``, ``center`` and ``dm_event`` of the patients with images.
    training_images : mapping of sequence to paths
        The training patients' images as scanned, of which the geometry is noted.

    Returns
    -------
    dict
        What was written to ``model.json``.
    """
    folder, networks = chapter.folder / "model", _network_files(chapter.run_folder)
    for track, fitted in heads.items():
        for name, head in fitted.items():
            save_head(_head_path(folder, track, name), head, columns[track][name])
    by_center = patients.groupby(["cohort", "center"])["dm_event"].agg(patients="size", metastases="sum")
    about = {
        "label": chapter.label,
        "synthetic": chapter.is_synthetic,
        "run": chapter.run_folder.name,
        "input": json.loads(chapter.input_path("02_segmentation/input.json").read_text()),
        "network": load_network(networks[0].parent).network.settings.to_dict(),
        "networks": files_fingerprint(networks, relative_to=chapter.run_folder),
        "geometry": {sequence: _common_geometry(paths) for sequence, paths in training_images.items()},
        "patients": by_center.reset_index().to_dict("records"),
        "versions": {name: metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
    }
    with atomic_path(folder / "model.json") as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n")
    return about


def _common_geometry(paths: Iterable[Path]) -> dict:
    orientations, extents = zip(*map(read_geometry, paths), strict=True)
    low, high = np.min(extents, axis=0).tolist(), np.max(extents, axis=0).tolist()
    return {"orientation": min(multimode(orientations)), "low_mm": low, "high_mm": high}


def read_model(run_folder: str | os.PathLike) -> Model:
    """Read the model of a run.

    Parameters
    ----------
    run_folder : str or path
        The run.

    Returns
    -------
    Model
        Networks in evaluation mode on the CPU, heads, and cut-offs where chapter 06 has run.

    Raises
    ------
    FileNotFoundError
        If there is no trained model in the folder.
    ValueError
        If the networks are not those that the heads were fitted on.
    """
    run_folder = Path(run_folder)
    folder, paths = run_folder / "03_dl_training" / "model", _network_files(run_folder)
    networks = [load_network(path.parent) for path in paths]
    if None in networks or not (folder / "model.json").exists():
        raise FileNotFoundError(
            f"The run {run_folder} has no trained networks with heads: chapters 02 and 03 make them "
            "(python -m npcbook book)."
        )
    about = json.loads((folder / "model.json").read_text())
    if files_fingerprint(paths, relative_to=run_folder) != about["networks"]:
        raise ValueError(
            f"The networks of the run {run_folder} were trained anew after the heads were fitted: run "
            "chapter 03 again (python -m npcbook book)."
        )
    heads = {(t, n): load_head(_head_path(folder, t, n)) for t in TRACKS for n in (*SEQUENCES, "combined")}
    trained = {s: found.network for s, found in zip(SEQUENCES, networks, strict=True)}
    cutoffs = {
        track: _read_cutoff(run_folder, suffix) for track, suffix in zip(TRACKS, SUFFIXES, strict=True)
    }
    return Model(about, trained, heads, {t: value for t, value in cutoffs.items() if value is not None})


def _read_cutoff(run_folder: Path, suffix: str) -> float | None:
    """Return a track's cut-off of the combined score, or None if there is none for these heads."""
    names = (f"06_km/cutoffs{suffix}", f"06_km/groups{suffix}", f"03_dl_training/scores{suffix}")
    paths = [run_folder / f"{name}.csv" for name in names]
    if not all(path.exists() for path in paths):
        return None
    cutoffs, groups, scores = (pd.read_csv(path, dtype={"patient_id": str}) for path in paths)
    found = cutoffs.loc[cutoffs["model"] == "dl_combined", "cutoff"]
    # Cut-offs of earlier heads would not divide the stored scores into the stored groups.
    both = scores.merge(groups, on="patient_id", suffixes=("", "_group"))
    high = both["dl_combined_group"] == "high"
    fitting = [value for value in found if ((both["dl_combined"] > value) == high).all()]
    return float(fitting[0]) if fitting else None


def predict(model: Model, files: Mapping[str, str | os.PathLike]) -> Prediction:
    """Segment a patient's three images and score the patient.

    Parameters
    ----------
    model : Model
        Of a run.
    files : mapping of sequence to path
        ``t1w``, ``t2w`` and ``cet1w``: images as scanned, three-dimensional, NIfTI or another format that
        SimpleITK reads. Axes may run in any order and direction.

    Returns
    -------
    Prediction
        Masks, scores and notes.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If two files are the same, or one is no image, holds no head, is not finite, or covers another field
        than the images that the networks learnt from.

    Notes
    -----
    A run's own patient gets the score that the run stored, up to rounding; the recommended head's stored
    training scores are out of fold, and here a training patient gets the apparent one.
    """
    paths = {sequence: Path(files[sequence]) for sequence in SEQUENCES}
    if len({path.resolve() for path in paths.values()}) < len(paths):
        raise ValueError("Two of the three images are the same file: give one file for each sequence.")
    if missing := [path for path in paths.values() if not path.is_file()]:
        raise FileNotFoundError(f"There is no image file {missing[0]}.")
    sequences = {sequence: _predict_sequence(model, sequence, path) for sequence, path in paths.items()}
    features = pd.concat([result.features for result in sequences.values()])
    rows = []
    for (track, name), (head, columns) in model.heads.items():
        value = float(head.risk(features[columns].to_numpy(float)[None])[0])
        cutoff = model.cutoffs.get(track) if name == "combined" else None
        group = "" if cutoff is None else "high" if value > cutoff else "low"
        rows.append({"track": track, "score": name, "value": value, "cutoff": cutoff, "risk_group": group})
    scores = pd.DataFrame(rows)
    return Prediction(sequences, scores, _reading(scores), _notes(model, sequences, features))


def _reading(scores: pd.DataFrame) -> tuple[str, ...]:
    groups = scores[scores["score"] == "combined"].set_index("track")["risk_group"]
    lines = [f"Score {track}: {scale}." for track, scale in SCALES.items()]
    lines.append(
        "Higher = worse in both; their scales differ. A cut-off is this run's own, from its training "
        "patients, and holds for no other run."
    )
    if all(groups) and groups.nunique() > 1:
        said = ", ".join(f"{groups[track]} risk {track}" for track in TRACKS)
        lines.append(
            f"The two disagree: {said}. Read the recommended one: it knows the length of follow-up, and its "
            "cut-off comes from out-of-fold scores. The published one knows only whether a metastasis was "
            "seen, and its cut-off comes from scores of the patients it was fitted to."
        )
    return tuple(lines)


def _predict_sequence(model: Model, sequence: str, path: Path) -> SequenceResult:
    given, grid = model.about["input"], tuple(model.about["input"]["grid"])
    with tempfile.TemporaryDirectory() as folder:
        turned, stored = Path(folder) / "turned.nii", Path(folder) / "preprocessed.npz"
        original = _turn_image(model, sequence, path, turned)
        try:
            volume = preprocess(read_volume(turned), order=given["order"])
        # SimpleITK raises RuntimeError for whatever it cannot do.
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1].replace(os.fspath(turned), "it")
            raise ValueError(f"{path} cannot be used: {reason}") from error
        # Through the file, because the run's own patients were rounded on this way.
        store_volume(stored, volume)
        volume = load_volume(stored)
        pixels, _ = stack_on_grid([(stored, None)], grid, plane_mm=given["plane_mm"])
        found = extract_features(model.networks[sequence], pixels)
        field = plane_field(volume, given["plane_mm"])
        mask = restore_grid(found.labels[0], volume.image.shape, volume.spacing, field_mm=field)
        write_mask(turned, mask, like=turned)
        back = sitk.DICOMOrient(sitk.ReadImage(os.fspath(turned), sitk.sitkUInt8), read_geometry(path)[0])
    back.CopyInformation(original)
    features = features_table(found).iloc[0].add_prefix(f"{sequence}/")
    return SequenceResult(Volume(volume.image, mask, volume.spacing), back, features)


def _turn_image(model: Model, sequence: str, path: Path, target: Path) -> sitk.Image:
    """Write an image turned to the run's orientation, and return it as it was given."""
    try:
        original = sitk.ReadImage(os.fspath(path))
    except RuntimeError as error:
        raise ValueError(f"{path} is not an image that can be read: give a NIfTI file.") from error
    if original.GetDimension() == 3 and original.GetNumberOfComponentsPerPixel() == 1:
        trained = model.about["geometry"][sequence]
        sitk.WriteImage(sitk.DICOMOrient(original, trained["orientation"]), os.fspath(target))
        _check_field(path, read_geometry(target)[1], trained, model.about["input"]["plane_mm"])
    else:
        read_volume(path)  # refuses it, and says why
    return original


def _check_field(path: Path, extent: Sequence[float], trained: dict, plane_mm: float | None) -> None:
    # The networks look at all slices and, of each, at the middle; what lies around that does not matter.
    low, high = np.array(trained["low_mm"]) / FIELD_TOLERANCE, np.array(trained["high_mm"]) * FIELD_TOLERANCE
    if plane_mm is not None:
        low[1:], high[1:] = plane_mm / FIELD_TOLERANCE, np.inf
    if (extent < low).any() or (extent > high).any():
        as_text = [" × ".join(f"{size:.0f}" for size in sizes) for sizes in (extent, low, high)]
        raise ValueError(
            f"{path} covers {as_text[0]} mm (z, y, x) and this run's networks need from {as_text[1]} to "
            f"{as_text[2]} mm: crop it, or give an image of a field like theirs."
        )


def _notes(model: Model, sequences: dict[str, SequenceResult], features: pd.Series) -> tuple[str, ...]:
    notes = [model.about["label"]] if model.about["synthetic"] else []
    for sequence, result in sequences.items():
        if not (result.volume.mask == 1).any():
            shown = DISPLAY_NAMES[sequence]
            notes.append(f"No tumour was found on {shown}; its features are those of the whole picture.")
    head, columns = model.heads["recommended", "combined"]
    scaled = (features[columns].to_numpy(float) - head.scaling.mean) / head.scaling.sd
    if far := int((np.abs(scaled) > FARTHEST).sum()):
        notes.append(
            f"{far} of {len(columns)} features lie more than {FARTHEST:g} standard deviations from the "
            f"training patients' mean, and count as {FARTHEST:g}: these images differ from what the run has "
            "learnt from."
        )
    if missing := [track for track in TRACKS if track not in model.cutoffs]:
        notes.append(f"The run has no cut-off {' or '.join(missing)} for these heads: chapter 06 makes them.")
    return (*notes, NOTICE)


def write_prediction(
    folder: str | os.PathLike, prediction: Prediction, model: Model, files: Mapping[str, str | os.PathLike]
) -> None:
    """Write a prediction: masks, scores, a picture to check them by; all of it or nothing.

    Parameters
    ----------
    folder : str or path
        Is made, and must not exist or be empty.
    prediction : Prediction
        To write: ``<sequence>_dseg.nii.gz`` on the voxels of each image, ``scores.csv``,
        ``prediction.json`` and ``check.png``.
    model : Model
        That made it.
    files : mapping of sequence to path
        The images; the names of the files are noted.

    Raises
    ------
    FileExistsError
        If the folder holds anything.
    """
    folder = Path(folder)
    check_empty(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        part = Path(temporary) / "whole"
        part.mkdir()
        for sequence, result in prediction.sequences.items():
            sitk.WriteImage(result.mask, os.fspath(part / f"{sequence}_dseg.nii.gz"), useCompression=True)
        prediction.scores.to_csv(part / "scores.csv", index=False)
        content = {
            "images": {sequence: Path(path).name for sequence, path in files.items()},
            "scores": json.loads(prediction.scores.to_json(orient="records", double_precision=15)),
            "volumes_ml": {sequence: _volumes(r.mask) for sequence, r in prediction.sequences.items()},
            "how_to_read": prediction.reading,
            "notes": prediction.notes,
            "model": {key: model.about[key] for key in ("run", "label", "synthetic", "versions")},
        }
        (part / "prediction.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        plot_check(prediction, model).savefig(part / "check.png", dpi=150)
        part.replace(folder)


def check_empty(folder: Path) -> None:
    """Raise FileExistsError if a folder holds anything, or is a file."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already, and not empty: name a folder that does not exist.")


def _volumes(mask: sitk.Image) -> dict[str, float]:
    voxel_ml = float(np.prod(mask.GetSpacing())) / 1000
    labels = sitk.GetArrayViewFromImage(mask)
    return {name: float((labels == label).sum()) * voxel_ml for label, name in MASK_LABELS.items() if label}


def plot_check(prediction: Prediction, model: Model) -> Figure:
    """Draw each image where the predicted tumour and nodes are largest, outlined, to be judged by eye."""
    fig = Figure(figsize=(10, 8.8), layout="constrained")
    axes = fig.subplots(2, 3)
    for column, (sequence, result) in zip(axes.T, prediction.sequences.items(), strict=True):
        toward = model.about["geometry"][sequence]["orientation"][0]
        for ax, label, name in zip(column, (1, 2), ("tumour", "nodes"), strict=True):
            ax.set(xticks=[], yticks=[])
            areas = (result.volume.mask == label).sum(axis=(1, 2))
            if areas.any():
                shown = int(areas.argmax())
                _draw_slice(ax, result.volume, shown, toward)
                said = f"largest {name}, slice {shown + 1} of {len(areas)}"
            else:
                ax.set_frame_on(False)
                said = f"no {name} found"
            ax.set_title(f"{DISPLAY_NAMES[sequence]}: {said}", fontsize=10)
    combined = prediction.scores[prediction.scores["score"] == "combined"]
    said = [
        f"{row.track}: {row.value:.3g}" + (f" ({row.risk_group} risk)" if row.risk_group else "")
        for row in combined.itertuples()
    ]
    heading = f"Orange, tumour; blue, nodes; R and L, the patient's. Combined score, {'; '.join(said)}"
    lines = (textwrap.fill(line, 150) for line in (heading, *prediction.reading))
    fig.suptitle("\n".join(lines), fontsize=8)
    fig.supxlabel(f"Model: {model.about['label']}. {NOTICE}.", fontsize=8, color="#b02a2a")
    return fig


def _draw_slice(ax: Axes, volume: Volume, shown: int, toward: str) -> None:
    """Draw a slice with its outlines; `toward` is the patient's side that x runs to."""
    aspect = volume.spacing[1] / volume.spacing[2]
    ax.imshow(volume.image[shown], cmap="gray", vmin=-2, vmax=3, aspect=aspect)
    for label, color in enumerate(MASK_COLOURS.values(), start=1):
        if (volume.mask[shown] == label).any():
            ax.contour(volume.mask[shown] == label, [0.5], colors=color, linewidths=1.2)
    style = {"color": "white", "transform": ax.transAxes, "va": "center", "weight": "bold"}
    ax.text(0.02, 0.5, OPPOSITE[toward], ha="left", **style)
    ax.text(0.98, 0.5, toward, ha="right", **style)


def model_card(about: dict, dice: pd.DataFrame, c_index: pd.DataFrame) -> pd.DataFrame:
    """Return what a user of the model must know.

    Parameters
    ----------
    about : dict
        As `store_model` returns it.
    dice : pandas.DataFrame
        Chapter 02's ``dice.csv``.
    c_index : pandas.DataFrame
        Chapter 03's table of C-indices: ``Score``, and one column for each cohort and track, as text.

    Returns
    -------
    pandas.DataFrame
        ``section``, ``item``, ``content``.
    """
    rows = [*_card_of_model(about), *_card_of_patients(about)]
    both = dice[(dice["structure"] == "tumour and nodes") & (dice["cohort"] == "validation")]
    for (sequence, center), values in both.groupby(["sequence", "center"], sort=False)["dice"]:
        item = f"Dice overlap, {DISPLAY_NAMES[sequence]}, validation, centre {center}"
        said = f"{values.mean():.2f} ± {values.std():.2f} ({values.count()} patients)"
        rows.append(("Performance", item, said))
    for _, row in c_index[c_index["Score"] != "Planted"].iterrows():
        for track in TRACKS:
            item = f"C-index, {row['Score']}, validation, {track}"
            rows.append(("Performance", item, row[f"Validation, {track}"]))
    rows += [
        ("Use", "intended", "Research on the method, and teaching."),
        ("Use", "not intended", f"Any decision about a patient. {NOTICE}."),
        ("Limits", "scores", "Order patients by risk; they are not probabilities at a given time."),
        ("Limits", "inputs", "Other scanners, protocols and diseases than in training were not tested."),
    ]
    if about["synthetic"]:
        made_up = "Learnt from simulated images and outcomes: says nothing about real patients."
        rows.append(("Limits", "synthetic data", made_up))
    rows += [("Versions", name, version) for name, version in about["versions"].items()]
    return pd.DataFrame(rows, columns=["section", "item", "content"])


def _card_of_model(about: dict) -> list[tuple[str, str, str]]:
    given, sequences = about["input"], ", ".join(DISPLAY_NAMES.values())
    middle = "" if given["plane_mm"] is None else f", of each the middle {given['plane_mm']:g} mm"
    grid = " × ".join(map(str, given["grid"]))
    order = "N4, then z-scores" if given["order"] == "n4-normalise" else "z-scores, then N4"
    network = f"one 3D U-Net a sequence, width {about['network']['width']!r}, GroupNorm"
    rows = [
        ("Inputs", "images", f"{sequences} MRI of the head and neck, as scanned, 3D NIfTI"),
        ("Inputs", "preprocessing", f"{order} of the head"),
        ("Inputs", "seen by the network", f"all slices{middle}, on {grid} voxels (z, y, x)"),
        ("Architecture", "segmentation", network),
        ("Architecture", "head, as published", "pooled bottleneck, fully connected layer, softmax"),
        ("Architecture", "head, recommended", "features of predicted disease, penalised Cox model"),
    ]
    return rows + [("Training", name.replace("_", " "), str(x)) for name, x in given["training"].items()]


def _card_of_patients(about: dict) -> list[tuple[str, str, str]]:
    rows = [("Patients", "origin", about["label"])]
    for group in about["patients"]:
        item = f"{group['cohort']}, centre {group['center']}"
        rows.append(("Patients", item, f"{group['patients']} ({group['metastases']} with metastasis)"))
    return rows


def write_model_card(path: str | os.PathLike, card: pd.DataFrame, label: str) -> None:
    """Write a model card as Markdown, headed by the origin of the data."""
    lines = ["# Model card", "", f"**{label}. {NOTICE}.**"]
    for section, rows in card.groupby("section", sort=False):
        lines += ["", f"## {section}", "", *(f"- {row.item}: {row.content}" for row in rows.itertuples())]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")
