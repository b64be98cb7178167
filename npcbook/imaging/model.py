"""Use of a trained model: from a new patient's images to masks, scores and risk groups.

`store_model` keeps a model's heads and what must be known to use them; `predict` applies it. A new image
passes the same steps as the model's own patients did: bias field and normalisation, the networks' grid, the
networks, the heads.
"""

import json
import os
import tempfile
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from platform import python_version
from statistics import multimode

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from npcbook.imaging import volumes
from npcbook.imaging.dicom import Series, find_series, is_dicom, read_series, the_series, write_segmentation
from npcbook.imaging.features import extract_features, features_table
from npcbook.imaging.grids import fit_grid, plane_field, restore_grid
from npcbook.imaging.heads import FARTHEST, LinearHead, SoftmaxHead, StagedHead, load_head, save_head
from npcbook.imaging.network import UNet3d
from npcbook.imaging.novelty import NEAR, intensity_levels, measure_distance
from npcbook.imaging.preprocessing import preprocess
from npcbook.imaging.prognosis import load_encoder, pooled_bottleneck
from npcbook.imaging.trained import load_network
from npcbook.store import FORMATS, atomic_path, fingerprint, replace_path, unfinished_prefix
from npcbook.words import DISPLAY_NAMES, MASK_COLOURS, MASK_LABELS, SEQUENCES, TRACKS

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
#: An image counts as unlike those of the training when it lies beyond nearly all of them by this factor.
MARGIN = 1.1
#: How masks may be written: the format, and what the file's name ends in.
MASK_FORMATS = {"nifti": ".nii.gz", "seg.nrrd": ".seg.nrrd", "dicom-seg": ".dcm"}


@dataclass(frozen=True)
class Model:
    """All that a prediction needs.

    Attributes
    ----------
    about : dict
        Content of ``model.json``: origin, preprocessing, geometry and number of the training patients.
    networks, encoders : dict of str to UNet3d
        One for each sequence: what segments, and what was trained on for metastasis, if that was done.
    heads : dict of (track, score) to (head, names of its features)
        Scores are the sequences and ``"combined"``.
    cutoffs : dict of str to float
        Of the combined score, by track, from the training patients; a track without one is left out.
    """

    about: dict
    networks: dict[str, UNet3d]
    encoders: dict[str, UNet3d]
    heads: dict[tuple[str, str], tuple[SoftmaxHead | LinearHead | StagedHead, list[str]]]
    cutoffs: dict[str, float]


@dataclass(frozen=True)
class SequenceResult:
    """What the network made of one image.

    Attributes
    ----------
    volume : Volume
        Preprocessed image and predicted mask, turned as the networks know them.
    given : Volume
        The image as it was given, with the same mask on its own voxels.
    features : pandas.Series
        Named as the heads know them.
    novelty : tuple of str
        In what the image differs from those that the networks learnt from.
    series : Series or None
        The DICOM series that the image came from.
    """

    volume: volumes.Volume
    given: volumes.Volume
    features: pd.Series
    novelty: tuple[str, ...] = ()
    series: Series | None = None


@dataclass(frozen=True)
class Prediction:
    """What a model says about one patient.

    Attributes
    ----------
    sequences : dict of str to SequenceResult
        Masks and features.
    scores : pandas.DataFrame
        One row for each track and score: ``track``, ``score``, ``value`` (higher = worse), ``cutoff`` and
        ``risk_group`` (high above the cut-off; both empty where the model has no cut-off).
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


def store_model(
    folder: Path,
    *,
    heads: Mapping[tuple[str, str], tuple[SoftmaxHead | LinearHead | StagedHead, Sequence[str]]],
    networks: Mapping[str, Path],
    encoders: Mapping[str, Path] = {},
    seen: Mapping[str, object],
    training_images: Mapping[str, Iterable[Path]],
    cutoffs: Mapping[str, Mapping[str, Path]],
    typical: Mapping[str, Mapping[str, Mapping]] = {},
    **about,
) -> dict:
    """Write heads, and what must be known to use them with their networks.

    Parameters
    ----------
    folder : path
        Where to write; `read_model` looks for ``model/model.json`` in a run's folders.
    heads : mapping of (track, score) to (head, names of its features)
        Tracks are "as published" and "recommended"; a name is ``sequence/feature``.
    networks : mapping of sequence to path
        Files of the networks whose features the heads read.
    encoders : mapping of sequence to path
        Files of `train_on_metastasis`, whose pooled bottleneck the published heads read; empty if they read
        that of `networks`.
    seen : mapping
        What the networks see: ``order`` of preprocessing, ``grid``, ``plane_mm``; and how they were trained.
    training_images : mapping of sequence to paths
        The training patients' images as scanned, of which the geometry is noted.
    cutoffs : mapping of track to mapping of "cutoffs", "groups" and "scores" to path
        Tables (CSV) that will hold cut-offs, the groups that they make and the scores that they divide. They
        need not exist yet; a prediction makes groups if they do, and belong to these heads.
    typical : mapping of sequence to mapping of "features" and "intensities" to what `summarise` returns
        Of the training patients; a prediction says how far a new one lies from them.
    **about
        What else a user must know, as plain values: ``label`` (origin of the data), ``synthetic``, ``run``,
        ``patients`` …

    Returns
    -------
    dict
        What was written to ``model.json``.
    """
    for key, (head, columns) in heads.items():
        save_head(_head_path(folder, *key), head, columns)
    about |= {
        "input": dict(seen),
        "network": load_network(next(iter(networks.values()))).network.settings.to_dict(),
        "network_files": _relative(networks, folder),
        "encoder_files": _relative(encoders, folder),
        "networks_fingerprint": fingerprint([*networks.values(), *encoders.values()]),
        "cutoffs": {track: _relative(tables, folder) for track, tables in cutoffs.items()},
        "geometry": {sequence: _common_geometry(list(paths)) for sequence, paths in training_images.items()},
        "typical": typical,
        "versions": {name: metadata.version(name) for name in PACKAGES} | {"python": python_version()},
    }
    with atomic_path(folder / "model.json") as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    return about


def _relative(paths: Mapping[str, Path], folder: Path) -> dict[str, str]:
    return {name: os.path.relpath(path, folder) for name, path in paths.items()}


def _common_geometry(paths: Sequence[Path]) -> dict:
    orientations, extents, spacings = zip(*map(volumes.read_geometry, paths), strict=True)
    found = {"orientation": min(multimode(orientations))}
    for name, sizes in (("", extents), ("spacing_", spacings)):
        found |= {
            f"{name}low_mm": np.min(sizes, axis=0).tolist(),
            f"{name}high_mm": np.max(sizes, axis=0).tolist(),
        }
    return found


def read_model(run_folder: str | os.PathLike) -> Model:
    """Read the model of a run.

    Parameters
    ----------
    run_folder : str or path
        The run, in one of whose folders lies ``model/model.json``.

    Returns
    -------
    Model
        Networks in evaluation mode on the CPU, heads, and cut-offs where there are any for these heads.

    Raises
    ------
    FileNotFoundError
        If there is no trained model in the folder.
    ValueError
        If the networks are not those that the heads were fitted on.
    """
    for path in sorted(Path(run_folder).glob("*/model/model.json")):
        folder, about = path.parent, json.loads(path.read_text("utf-8"))
        own = ({**about.get(kind, {})} for kind in ("network_files", "encoder_files"))
        segments, encodes = ({s: folder / name for s, name in names.items()} for names in own)
        files = [*segments.values(), *encodes.values()]
        if files and all(file.exists() for file in files):
            break
    else:
        raise FileNotFoundError(
            f"The run {run_folder} has no trained networks with heads: make them first "
            "(python -m npcbook book)."
        )
    if fingerprint(files) != about["networks_fingerprint"]:
        raise ValueError(
            f"The networks of the run {run_folder} were trained anew after the heads were fitted: fit the "
            "heads again (python -m npcbook book)."
        )
    networks = {sequence: load_network(file).network for sequence, file in segments.items()}
    encoders = {sequence: load_encoder(file) for sequence, file in encodes.items()}
    names = [(track, name) for track in TRACKS for name in (*networks, "combined")]
    heads = {(t, n): load_head(_head_path(folder, t, n)) for t, n in names}
    cutoffs = {track: _read_cutoff(folder, tables) for track, tables in about["cutoffs"].items()}
    return Model(
        about, networks, encoders, heads, {t: value for t, value in cutoffs.items() if value is not None}
    )


def _read_cutoff(folder: Path, tables: Mapping[str, str]) -> float | None:
    """Return a track's cut-off of the combined score, or None if there is none for these heads."""
    paths = [folder / tables[name] for name in ("cutoffs", "groups", "scores")]
    if not all(path.exists() for path in paths):
        return None
    cutoffs, groups, scores = map(FORMATS[".csv"][0], paths)
    found = cutoffs.loc[cutoffs["model"] == "dl_combined", "cutoff"]
    # Cut-offs of earlier heads would not divide the stored scores into the stored groups.
    both = scores.merge(groups, on="patient_id", suffixes=("", "_group"))
    high = both["dl_combined_group"] == "high"
    fitting = [value for value in found if ((both["dl_combined"] > value) == high).all()]
    return float(fitting[0]) if fitting and len(both) else None


def predict(model: Model, files: Mapping[str, str | os.PathLike]) -> Prediction:
    """Segment a patient's images and score the patient.

    Parameters
    ----------
    model : Model
        Of a run.
    files : mapping of sequence to path
        Any of ``t1w``, ``t2w`` and ``cet1w``: images as scanned, each a folder with the DICOM files of one
        series, or a three-dimensional file of NIfTI, NRRD or another format that SimpleITK reads. Axes may
        run in any order and direction.

    Returns
    -------
    Prediction
        Masks, scores and notes; the combined score only where all three are given.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If no image is given or two are the same, or one is no image, holds no head, is not finite, or covers
        another field than the images that the networks learnt from; or if a score comes out as no number.

    Notes
    -----
    A run's own patient gets the score that the run stored, up to rounding; the recommended head's stored
    training scores are out of fold, and here a training patient gets the apparent one.
    """
    paths = {sequence: Path(files[sequence]) for sequence in SEQUENCES if sequence in files}
    known = [sequence for sequence in SEQUENCES if sequence in model.networks]
    if not paths or not set(paths) <= set(known):
        given = ", ".join(paths) or "no image"
        raise ValueError(f"Given is {given}: give one or more of {', '.join(known)}.")
    if len({fingerprint(path) if path.is_file() else path.resolve() for path in paths.values()}) < len(paths):
        raise ValueError("Two of the images are the same file: give one file for each sequence.")
    sequences = {sequence: _predict_sequence(model, sequence, path) for sequence, path in paths.items()}
    features = pd.concat([result.features for result in sequences.values()])
    rows = []
    for (track, name), (head, columns) in model.heads.items():
        if name not in sequences and not (name == "combined" and len(sequences) == len(model.networks)):
            continue
        value = float(head.risk(features[columns].to_numpy(float)[None])[0])
        if not np.isfinite(value):
            raise ValueError(f"The score {name}, {track}, is not a number ({value}): check the three images.")
        cutoff = model.cutoffs.get(track) if name == "combined" else None
        group = "" if cutoff is None else "high" if value > cutoff else "low"
        rows.append({"track": track, "score": name, "value": value, "cutoff": cutoff, "risk_group": group})
    scores = pd.DataFrame(rows).astype({"cutoff": float})
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


def _read_given(path: Path) -> tuple[volumes.Volume, Series | None]:
    """Return an image as it was given, and its DICOM series if it is one."""
    if path.is_dir():
        series = the_series(path)
    elif path.is_file() and is_dicom(path):
        series = next(iter(find_series([path])), None)
    else:
        return volumes.read_volume(path), None
    if series is None:
        raise ValueError("it is no DICOM image.")
    volume = volumes.from_sitk(read_series(series))
    if not np.isfinite(volume.image).all():
        raise ValueError("it has voxels that are not finite numbers.")
    return volume, series


def _predict_sequence(model: Model, sequence: str, path: Path) -> SequenceResult:
    seen, trained = model.about["input"], model.about["geometry"][sequence]
    try:
        given, series = _read_given(path)
        turned = volumes.orient(given, trained["orientation"])
        # Rounded, because the model's own patients were.
        volume = volumes.rounded(preprocess(turned, order=seen["order"]))
    # SimpleITK raises RuntimeError for whatever it cannot do.
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        help_ = "give a NIfTI image or the DICOM series of a head"
        raise ValueError(f"{path} cannot be used; {help_}: {reason}") from error
    _check_field(path, turned.extent, trained, seen["plane_mm"])
    field = plane_field(volume, seen["plane_mm"])
    pixels = fit_grid(volume, tuple(seen["grid"]), field_mm=field).image
    found = extract_features(model.networks[sequence], pixels[None])
    measured = features_table(found).iloc[0]
    novelty = _novelty(model, sequence, turned, pixels, measured)
    if encoder := model.encoders.get(sequence):
        found = replace(found, bottleneck=pooled_bottleneck(encoder, pixels[None]))
    volume = restore_grid(found.probability[0], volume, field_mm=field)
    back = volumes.orient(volume, given.orientation)
    features = features_table(found).iloc[0].add_prefix(f"{sequence}/")
    return SequenceResult(volume, replace(given, mask=back.mask), features, novelty, series)


def _novelty(
    model: Model, sequence: str, turned: volumes.Volume, pixels: np.ndarray, measured: pd.Series
) -> tuple[str, ...]:
    """Return in what an image differs from those that the networks learnt from, in sentences."""
    shown, trained = DISPLAY_NAMES[sequence], model.about["geometry"][sequence]
    typical, said = model.about.get("typical", {}).get(sequence, {}), []
    low, high = (trained.get(f"spacing_{end}_mm", turned.spacing) for end in ("low", "high"))
    sizes = np.array(turned.spacing)
    if (sizes < np.divide(low, FIELD_TOLERANCE)).any() or (sizes > np.multiply(high, FIELD_TOLERANCE)).any():
        as_text = [" × ".join(f"{size:.2g}" for size in sizes) for sizes in (turned.spacing, low, high)]
        said.append(
            f"{shown} has voxels of {as_text[0]} mm (z, y, x); the networks learnt from {as_text[1]} to "
            f"{as_text[2]} mm."
        )
    values = {"intensities": intensity_levels(pixels[None]).iloc[0], "features": measured}
    for name, summary in typical.items():
        distance, limit = measure_distance(values[name], summary), summary["limit"]
        if distance > MARGIN * limit:
            said.append(
                f"{shown} lies outside what the network saw: its {name} are {distance:.1f} typical "
                f"deviations from the training patients' middle; {NEAR:.0%} of these are within {limit:.1f}."
            )
    return tuple(said)


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
        if stray := result.volume.extremes:
            notes.append(
                f"{stray} voxels of {DISPLAY_NAMES[sequence]} are padding or lie far outside all others, and "
                "count as the nearest that do not: look at the image."
            )
        notes += result.novelty
    whole = len(sequences) == len(model.networks)
    if not whole:
        given = " and ".join(DISPLAY_NAMES[sequence] for sequence in sequences)
        notes.append(f"Given is only {given}: there is no combined score, and so no risk group.")
    notes += [
        said for name in (("combined",) if whole else sequences) if (said := _far(model, name, features))
    ]
    if whole and (missing := [track for track in TRACKS if track not in model.cutoffs]):
        notes.append(f"The run has no cut-off {' or '.join(missing)} for these heads.")
    return (*notes, NOTICE)


def _far(model: Model, name: str, features: pd.Series) -> str:
    """Return a sentence on features that lie far from the training patients'; empty if none does."""
    head, columns = model.heads["recommended", name]
    scaled = (features[columns].to_numpy(float) - head.scaling.mean) / head.scaling.sd
    far = int((np.abs(scaled) > FARTHEST).sum())
    said = (
        f"{far} of {len(columns)} features lie more than {FARTHEST:g} standard deviations from the training "
        f"patients' mean, and count as {FARTHEST:g}: these images differ from what the run has learnt from."
    )
    return said if far else ""


def write_prediction(
    folder: str | os.PathLike,
    prediction: Prediction,
    model: Model,
    files: Mapping[str, str | os.PathLike],
    *,
    mask_format: str = "nifti",
) -> None:
    """Write a prediction: masks, scores, a picture to check them by; all of it or nothing.

    Parameters
    ----------
    folder : str or path
        Is made, and must not exist or be empty.
    prediction : Prediction
        To write: ``<sequence>_dseg`` on the voxels of each image, ``scores.csv``, ``prediction.json`` and
        ``check.png``.
    model : Model
        That made it.
    files : mapping of sequence to path
        The images; the names of the files are noted.
    mask_format : {"nifti", "seg.nrrd", "dicom-seg"}
        Of the masks; ``seg.nrrd`` opens in 3D Slicer as a segmentation with names, and ``dicom-seg`` files in
        an archive under patient and study of the series, whose identity it carries.

    Raises
    ------
    FileExistsError
        If the folder holds anything.
    ValueError
        If DICOM SEG is asked for an image that is no DICOM series, or the format is another.
    """
    folder = Path(folder)
    check_empty(folder)
    check_mask_format(mask_format, {name: result.series for name, result in prediction.sequences.items()})
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=unfinished_prefix()) as temporary:
        part = Path(temporary) / "whole"
        part.mkdir()
        for sequence, result in prediction.sequences.items():
            _write_labels(part / f"{sequence}_dseg{MASK_FORMATS[mask_format]}", result)
        prediction.scores.to_csv(part / "scores.csv", index=False)
        content = {
            "images": {sequence: Path(path).name for sequence, path in files.items()},
            "scores": json.loads(prediction.scores.to_json(orient="records", double_precision=15)),
            "volumes_ml": {sequence: _volumes(r.given) for sequence, r in prediction.sequences.items()},
            "how_to_read": prediction.reading,
            "notes": prediction.notes,
            "model": {key: model.about[key] for key in ("run", "label", "synthetic", "versions")},
        }
        written = json.dumps(content, indent=1, ensure_ascii=False)
        (part / "prediction.json").write_text(f"{written}\n", "utf-8")
        plot_check(prediction, model).savefig(part / "check.png", dpi=150)
        replace_path(part, folder)


def check_mask_format(mask_format: str, series: Mapping[str, object | None]) -> None:
    """Raise ValueError if masks cannot be written so; `series` tells which images are DICOM series."""
    if mask_format not in MASK_FORMATS:
        raise ValueError(f"mask_format is {mask_format!r}; it must be one of {', '.join(MASK_FORMATS)}.")
    files = [DISPLAY_NAMES[name] for name, one in series.items() if not one]
    if mask_format == "dicom-seg" and files:
        raise ValueError(
            f"DICOM SEG refers to the slices of a DICOM series, and {' and '.join(files)} is a file: give "
            "its series' folder, or choose another format."
        )


def _write_labels(path: Path, result: SequenceResult) -> None:
    labels = [name for label, name in MASK_LABELS.items() if label]
    if path.name.endswith(".seg.nrrd"):
        volumes.write_segments(path, result.given, labels, list(MASK_COLOURS.values()))
    elif path.suffix == ".dcm":
        write_segmentation(path, result.given.mask, result.series, labels, maker=f"npcbook. {NOTICE}")
    else:
        volumes.write_mask(path, result.given)


def check_empty(folder: Path) -> None:
    """Raise FileExistsError if a folder holds anything, or is a file."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already, and not empty: name a folder that does not exist.")


def _volumes(given: volumes.Volume) -> dict[str, float]:
    ml = float(np.prod(given.spacing)) / 1000
    return {name: float((given.mask == label).sum()) * ml for label, name in MASK_LABELS.items() if label}


def plot_check(prediction: Prediction, model: Model) -> Figure:
    """Draw each image where the predicted tumour and nodes are largest, outlined, to be judged by eye."""
    fig = Figure(figsize=(10, 8.8), layout="constrained")
    axes = fig.subplots(2, len(prediction.sequences), squeeze=False)
    for column, (sequence, result) in zip(axes.T, prediction.sequences.items(), strict=True):
        toward = model.about["geometry"][sequence]["orientation"][0]
        for ax, label, name in zip(column, (1, 2), ("tumour", "nodes"), strict=True):
            areas, said = (result.volume.mask == label).sum(axis=(1, 2)), f"no {name} found"
            ax.set(xticks=[], yticks=[], frame_on=areas.any())
            if areas.any():
                shown = int(areas.argmax())
                _draw_slice(ax, result.volume, shown, toward)
                said = f"largest {name}, slice {shown + 1} of {len(areas)}"
            ax.set_title(f"{DISPLAY_NAMES[sequence]}: {said}", fontsize=10)
    shown = prediction.scores[prediction.scores["score"] == prediction.scores["score"].iloc[-1]]
    groups = [f" ({group} risk)" if group else "" for group in shown["risk_group"]]
    said = map("{}: {:.3g}{}".format, shown["track"], shown["value"], groups)
    name = DISPLAY_NAMES.get(shown["score"].iloc[0], "Combined")
    heading = f"Orange, tumour; blue, nodes; R and L, the patient's. {name} score, {'; '.join(said)}"
    lines = (textwrap.fill(line, 150) for line in (heading, *prediction.reading))
    fig.suptitle("\n".join(lines), fontsize=8)
    fig.supxlabel(f"Model: {model.about['label']}. {NOTICE}.", fontsize=8, color="#b02a2a")
    return fig


def _draw_slice(ax: Axes, volume: volumes.Volume, shown: int, toward: str) -> None:
    """Draw a slice with its outlines; `toward` is the patient's side that x runs to."""
    aspect = volume.spacing[1] / volume.spacing[2]
    ax.imshow(volume.image[shown], cmap="gray", vmin=-2, vmax=3, aspect=aspect)
    for label, color in enumerate(MASK_COLOURS.values(), start=1):
        if (volume.mask[shown] == label).any():
            ax.contour(volume.mask[shown] == label, [0.5], colors=color, linewidths=1.2)
    style = {"color": "white", "transform": ax.transAxes, "va": "center", "weight": "bold"}
    ax.text(0.02, 0.5, OPPOSITE[toward], ha="left", **style)
    ax.text(0.98, 0.5, toward, ha="right", **style)
