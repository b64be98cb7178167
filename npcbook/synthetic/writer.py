"""Write a synthetic cohort in the layout of a user's own, and make its patients again."""

import json
import os
import sys
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from npcbook import __version__, store
from npcbook.cohort import data_dictionary, image_path, mask_path, read_truth
from npcbook.imaging.volumes import Volume, to_sitk
from npcbook.synthetic import phantom
from npcbook.synthetic.patients import DEFAULT_SEED, SMALL_COHORT, TRAINING, simulate_table, specification
from npcbook.words import MASK_LABELS, SEQUENCES

MORE_EVENTS = "events were made more frequent than in print, so that there is something to fit"


def write_cohort(
    folder: str | os.PathLike,
    *,
    patients: int,
    grid: tuple[int, int, int],
    scenario: str = "paper",
    seed: int = DEFAULT_SEED,
    workers: int = -1,
    force: bool = False,
    dry: bool = False,
) -> Path:
    """Write a synthetic cohort in the layout of a user's own: table, images, contours, and the truth.

    A run that was stopped at any moment continues with the patients that are missing; a cohort that is there
    and would come out the same is left alone. A patient's files depend on the seed and the patient only.

    Parameters
    ----------
    folder : str or path
        Cohort folder, absolute or from the project's root.
    patients : int
        Patients in both cohorts. Below 300, metastasis is made four times as frequent, since there would
        otherwise be too few events for any model to be fitted.
    grid : tuple of int
        Voxels (Z, Y, X); the field of view is always the same.
    scenario : {"paper", "null", "shift"}
        See `specification`.
    seed : int
        Seed; with the default one the counts of Table 1 come out exactly, with others they are drawn.
    workers : int
        Processes; one per core if not given. The files do not depend on it.
    force : bool
        Write everything again even if nothing has changed.
    dry : bool
        Write nothing.

    Returns
    -------
    pathlib.Path
        The cohort folder.

    Raises
    ------
    ValueError
        If the scenario is unknown, or there are fewer than 30 patients.
    FileExistsError
        If the folder holds anything but a cohort that bears npcbook's mark; nothing is touched then.
    FileNotFoundError
        If the cohort would have to be written, and `dry` forbids it.

    Notes
    -----
    A second process that would write the same cohort waits for the first.

    The BIDS validator (1.15) finds no error in the folder. It warns that voxel sizes differ between patients,
    which is meant, since each hospital has its own, and that there is one author only.
    """
    folder = store.project_path(folder)
    spec = specification(scenario, exact_counts=seed == DEFAULT_SEED, **_sizes(patients))
    generator = {"scenario": scenario, "seed": seed, "grid": list(grid), "specification": asdict(spec)}
    generator["fingerprint"] = store.fingerprint(generator, data_dictionary(), _code())
    with store.locked(folder, reading=True):
        if not force and _is_there(folder, generator["fingerprint"], patients):
            return folder
    if dry:
        said = "is not there as it would be written today: run without --dry-run, or simulate one first"
        raise FileNotFoundError(f"The synthetic cohort {folder.name} {said}.")
    with store.locked(folder):
        # Another process may have written it meanwhile.
        if force or not _is_there(folder, generator["fingerprint"], patients):
            _write(folder, spec, generator, force=force, workers=workers)
    return folder


def _write(folder: Path, spec, generator: dict, *, force: bool, workers: int) -> None:
    """Write what is missing of a cohort, after all that belongs to another has gone."""
    _make_room(folder, generator["fingerprint"], force=force)
    seed, scenario = generator["seed"], generator["scenario"]
    participants, truth = simulate_table(spec, np.random.default_rng(seed))
    _write_description(folder, generator, complete=False)
    _write_tables(folder, participants, truth, _protocols(scenario))
    _write_images(folder, _traits(participants, truth), generator, workers)
    _write_description(folder, generator, complete=True)


def _is_there(folder: Path, key: str, patients: int) -> bool:
    """Return whether a folder holds the whole cohort of that fingerprint."""
    stored = _stored(folder) if store.is_own(folder) else {}
    same = stored.get("Complete") and stored["Generator"]["fingerprint"] == key
    return bool(same) and len(list(folder.glob("sub-*"))) == patients


def _sizes(patients: int) -> dict:
    if patients < 30:
        raise ValueError(f"patients is {patients}; at least 30 are needed to fill three hospitals.")
    return {"patients": patients, "event_rate_multiplier": 1.0 if patients >= SMALL_COHORT else 4.0}


def _protocols(scenario: str) -> dict:
    """Return the scanners of the hospitals; in ``shift`` those of the validation cohort are exchanged."""
    shifted = phantom.SHIFTED_PROTOCOLS if scenario == "shift" else phantom.PROTOCOLS
    return {**shifted, **{center: phantom.PROTOCOLS[center] for center, _ in TRAINING.centers}}


def _code() -> str:
    """Return a hash of the code and the tables that decide what is written.

    Of the other wings only containers, file names and the coding of covariates are used: a change there, or
    in what they import, must not cost every user a new cohort.
    """
    here = Path(__file__).parent
    files = (path for path in here.iterdir() if path.suffix in (".py", ".csv", ".yml", ".txt"))
    return store.files_fingerprint(files, relative_to=here)


def _stored(folder: Path) -> dict:
    """Return a cohort's description; nothing if there is none, or none that npcbook can have written."""
    try:
        stored = json.loads((folder / "dataset_description.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _make_room(folder: Path, key: str, *, force: bool) -> None:
    """Empty the folder unless what is there belongs to the same cohort; refuse to touch anything else."""
    store.claim(folder, "npcbook.synthetic")
    if not store.is_own(folder):
        _move_unmarked(folder)
        store.claim(folder, "npcbook.synthetic")
    if force or _stored(folder).get("Generator", {}).get("fingerprint") != key:
        # The mark stays: an interrupted removal is still known as npcbook's.
        for path in folder.iterdir():
            if path.name != store.MARK:
                store.remove(path)


def _move_unmarked(folder: Path) -> None:
    """Move aside what a version without marks may have made; what says nothing of that kind is refused."""
    made = str(_stored(folder).get("GeneratedBy"))
    if "npcbook.synthetic" not in made or folder.is_symlink():
        raise FileExistsError(
            f"{folder} is not empty and holds no synthetic cohort that npcbook marked as its own: give "
            "another folder, or empty it yourself."
        )
    names = (folder.with_name(f"{folder.name}-unmarked{number}") for number in range(1, 1000))
    aside = next(name for name in names if not name.exists())
    store.replace_path(folder, aside)
    sys.stderr.write(
        f"{folder} bears no mark of npcbook: moved to {aside}, remove it if you do not need it\n"
    )


def _traits(participants: pd.DataFrame, truth: pd.DataFrame) -> dict[str, phantom.Traits]:
    """Return what the pictures of each patient are made from."""
    people = participants.merge(truth, on="patient_id", validate="one_to_one").set_index("patient_id")
    rows = people[[field.name for field in fields(phantom.Traits)]].to_dict("index")
    return {patient_id: phantom.Traits(**row) for patient_id, row in rows.items()}


def _patient_rng(seed: int, patient_id: str) -> np.random.Generator:
    """Return the source of chance of one patient's images, the same whoever else is in the cohort."""
    return np.random.default_rng([seed, zlib.crc32(patient_id.encode())])


def _write_images(folder: Path, traits: dict, generator: dict, workers: int) -> None:
    """Write the images of all patients whose folder is not there yet."""
    missing = [(folder, *job, generator) for job in traits.items() if not (folder / f"sub-{job[0]}").exists()]
    said = f"simulating patients of {folder.name}"
    for _ in store.spread(_write_patient, missing, description=said, n_jobs=workers):
        pass


def _write_patient(folder: Path, patient_id: str, traits: phantom.Traits, generator: dict) -> None:
    """Write one patient's images and contours; the patient's folder appears last, and whole."""
    rng, protocols = _patient_rng(generator["seed"], patient_id), _protocols(generator["scenario"])
    volumes = phantom.render_patient(traits, generator["grid"], rng, protocols=protocols)
    partial = Path(tempfile.mkdtemp(prefix=store.unfinished_prefix(), dir=folder))
    for sequence in SEQUENCES:
        volume, protocol = volumes[sequence], protocols[traits.center][sequence]
        path = image_path(partial, patient_id, sequence)
        intensities = np.clip(np.rint(volume.image), 0, np.iinfo(np.int16).max).astype(np.int16)
        _write_nifti(path, intensities, volume)
        _write_nifti(mask_path(partial, patient_id, sequence), volume.mask, volume)
        _write_json(path.with_name(path.name.replace(".nii.gz", ".json")), _sidecar(protocol))
    for part in (Path("derivatives") / "masks" / f"sub-{patient_id}", Path(f"sub-{patient_id}")):
        target = folder / part
        store.remove(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        store.replace_path(partial / part, target)
    store.remove(partial)


def rebuild_anatomy(folder: str | os.PathLike, patient_ids: Sequence[str]) -> dict[str, phantom.Anatomy]:
    """Return what was planted, voxel by voxel, in the images of patients of a synthetic cohort.

    Parameters
    ----------
    folder : str or path
        A synthetic cohort, absolute or from the project's root.
    patient_ids : sequence of str
        Of its patients.

    Returns
    -------
    dict of str to Anatomy
        On the voxels of the patient's images, before the displacement between sequences: the draw that made
        the images, made again.

    Raises
    ------
    FileNotFoundError
        If the cohort has no truth: nothing is planted in real patients.
    """
    generator, protocols, traits = _planted(folder)
    anatomies = {}
    for name in patient_ids:
        scale = protocols[traits[name].center]["t1w"].extent_scale
        rng = _patient_rng(generator["seed"], name)
        anatomies[name] = phantom.build_anatomy(traits[name], generator["grid"], rng, extent_scale=scale)
    return anatomies


def render_again(folder: str | os.PathLike, patient_id: str, **latents: float) -> dict[str, Volume]:
    """Return a synthetic patient's images as they would be with other latent variables, all else equal.

    Parameters
    ----------
    folder : str or path
        A synthetic cohort, absolute or from the project's root.
    patient_id : str
        One of its patients.
    **latents : float
        New values of ``size``, ``heterogeneity`` or ``infiltration``; none gives the patient's own images.

    Returns
    -------
    dict of str to Volume
        By sequence; the draws of anatomy, scanner, noise and reader are the patient's own.

    Raises
    ------
    FileNotFoundError
        If the cohort has no truth.
    """
    generator, protocols, traits = _planted(folder)
    rng, changed = _patient_rng(generator["seed"], patient_id), replace(traits[patient_id], **latents)
    return phantom.render_patient(changed, generator["grid"], rng, protocols=protocols)


def _planted(folder: str | os.PathLike) -> tuple[dict, dict, dict[str, phantom.Traits]]:
    """Return how a cohort was made, its protocols, and the traits of its patients."""
    folder, truth = store.project_path(folder), read_truth(folder)
    if truth is None:
        raise FileNotFoundError(f"{folder} has no truth.csv: only a synthetic cohort has a planted anatomy.")
    generator = _stored(folder)["Generator"]
    table = pd.read_csv(folder / "participants.tsv", sep="\t", dtype={"patient_id": str, "center": str})
    return generator, _protocols(generator["scenario"]), _traits(table, truth.reset_index())


def _write_nifti(path: Path, array: np.ndarray, volume: Volume) -> None:
    """Write an array on the voxels of a volume, the middle of whose field of view is the origin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = zip(volume.spacing[::-1], array.shape[::-1], strict=True)
    picture = to_sitk(array, replace(volume, origin=[-float(size) * (n - 1) / 2 for size, n in steps]))
    sitk.WriteImage(picture, path, useCompression=True, compressionLevel=1)


def _sidecar(protocol: phantom.Protocol) -> dict:
    return {
        "Modality": "MR",
        "MagneticFieldStrength": protocol.field_t,
        "RepetitionTime": protocol.tr_ms / 1000,
        "EchoTime": protocol.te_ms / 1000,
        "ContrastBolusIngredient": "GADOLINIUM" if protocol.contrast else "NONE",
    }


def _write_text(path: Path, text: str) -> None:
    with store.atomic_path(path) as temporary:
        temporary.write_text(text, "utf-8")


def _write_json(path: Path, content: dict) -> None:
    _write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write_tables(folder: Path, participants: pd.DataFrame, truth: pd.DataFrame, protocols: dict) -> None:
    field = {center: sequences["t1w"].field_t for center, sequences in protocols.items()}
    table = participants.assign(field_t=participants["center"].map(field))
    table.insert(0, "participant_id", "sub-" + table["patient_id"])
    _write_text(folder / "participants.tsv", table.to_csv(sep="\t", index=False))
    _write_text(folder / "truth.csv", truth.to_csv(index=False, float_format="%.6g"))
    _write_json(folder / "participants.json", data_dictionary())


def _write_description(folder: Path, generator: dict, *, complete: bool) -> None:
    maker = [{"Name": "npcbook", "Version": __version__, "Description": "npcbook.synthetic"}]
    common = {"BIDSVersion": "1.10.0", "License": "CC0", "Authors": ["npcbook"], "GeneratedBy": maker}
    masks = {"Name": "Contours of the synthetic cohort", **common, "DatasetType": "derivative"}
    labels = "".join(f"{index}\t{name}\n" for index, name in MASK_LABELS.items())
    _write_text(folder / "README", Path(__file__).with_name("cohort_readme.txt").read_text("utf-8"))
    _write_text(folder / ".bidsignore", f"truth.csv\n{store.MARK}\n")
    _write_text(folder / "derivatives" / "masks" / "dseg.tsv", f"index\tname\n{labels}")
    _write_json(folder / "derivatives" / "masks" / "dataset_description.json", masks)
    name = f"Synthetic stage II nasopharyngeal carcinoma, scenario {generator['scenario']}"
    own = {"synthetic": True, "Complete": complete, "Generator": generator}
    if generator["specification"]["event_rate_multiplier"] != 1:
        own["Remark"] = MORE_EVENTS
    _write_json(folder / "dataset_description.json", {"Name": name, **common, "DatasetType": "raw", **own})
