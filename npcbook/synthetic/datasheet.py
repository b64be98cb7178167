"""The datasheet of the synthetic cohort: its specification as tables, its pictures, and simple probes.

Everything is taken from the objects that make the cohort, so that the page cannot say something else than
what was done.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from npcbook.book.figures import TUMOUR
from npcbook.imaging.volumes import Volume
from npcbook.synthetic import phantom

# Parameters whose name does not read well with spaces for underscores. Units stand in brackets.
WORDS = {
    "centers": "patients by hospital",
    "age": "age, per year",
    "age_quartiles": "age, quartiles (years)",
    "female": "female sex",
    "who_i": "WHO type I",
    "t1n1": "T1 and N1",
    "t2n0": "T2 and N0",
    "t2n1": "T2 and N1",
    "t2": "T2",
    "n1": "N1",
    "ldh_abnormal": "LDH abnormal",
    "ldh_missing": "LDH unknown",
    "ebv_detectable": "EBV DNA detectable",
    "ebv_missing": "EBV DNA unknown",
    "rene_g1": "rENE grade 1",
    "rene_g2": "rENE grade 2",
    "chemo_none": "no chemotherapy",
    "chemo_other": "other chemotherapy",
    "chemo_other_n0": "other chemotherapy, N0",
    "missing_weight": "weight of missing values by hospital",
    "dmfs_5y": "5-year DMFS (%)",
    "os_5y": "5-year OS (%)",
    "follow_up_quartiles": "follow-up, quartiles (months)",
    "dose": "dose, per 100 mg/m²",
    "ebv_with_rene": "EBV DNA with rENE (log odds)",
    "ebv_with_n1": "EBV DNA with N1 (log odds)",
    "indication": "indication (log odds)",
    "chemotherapy_with_n1": "chemotherapy with N1 (log odds)",
    "early_stopping": "early stopping (log odds)",
    "shape": "Weibull shape",
    "survival_after_metastasis": "survival after metastasis (months)",
    "death_hr_age": "death, hazard ratio of age",
    "death_hr_frailty": "death, hazard ratio of frailty",
    "dropout_rate": "dropout rate (per month)",
    "follow_up_limits": "follow-up, limits (months)",
    "volume_ml": "tumour volume (ml)",
    "size_log_sd": "size (log volume per SD)",
    "necrosis_mean": "necrosis, mean",
    "necrosis_amplitude": "necrosis, amplitude",
    "heterogeneity_log_sd": "heterogeneity (log amplitude per SD)",
    "infiltration_fraction": "infiltration, fraction at the edge",
    "infiltration_reach_mm": "infiltration, reach (mm)",
    "infiltration_log_sd": "infiltration (log fraction per SD)",
    "nuisance_log_sd": "nuisance (SD of the log)",
    "contour_error_mm": "contour error (mm)",
    "motion_mm": "motion (mm)",
    "center": "centre",
    "field_t": "field (T)",
    "tr_ms": "TR (ms)",
    "te_ms": "TE (ms)",
    "contrast": "contrast agent",
    "resolution_mm": "resolution: slice, in plane (mm)",
    "extent_scale": "field of view (factor)",
    "snr": "signal-to-noise ratio",
    "coil": "coil profile (SD of the log)",
    "hr": "hazard ratio",
}


def in_words(name: str) -> str:
    """Return a parameter's name, or the dotted path of one, as a reader would say it.

    Parameters
    ----------
    name : str
        Such as ``"tr_ms"`` or ``"hr.who_i"``.

    Returns
    -------
    str
        Such as ``"TR (ms)"`` or ``"hazard ratio: WHO type I"``; names without an entry in ``WORDS`` have
        their underscores taken out.
    """
    return ": ".join(WORDS.get(part, part.replace("_", " ")) for part in name.split("."))


def parameter_table(instance) -> pd.DataFrame:
    """Return the fields of a frozen specification with what its docstring says of them.

    Parameters
    ----------
    instance : dataclass instance
        Its class documents every field under *Attributes*, numpydoc style.

    Returns
    -------
    pandas.DataFrame
        ``parameter``, ``value`` (text) and ``meaning``; fields that are specifications themselves are left
        out, because they have tables of their own.

    Raises
    ------
    ValueError
        If a field is not documented.
    """
    meanings = _attribute_meanings(type(instance))
    rows = []
    for field in fields(instance):
        value = getattr(instance, field.name)
        if field.name not in meanings:
            raise ValueError(
                f"{type(instance).__name__}.{field.name} is not documented: describe it under Attributes."
            )
        if not is_dataclass(value):
            rows.append((field.name, _as_text(value), meanings[field.name]))
    return pd.DataFrame(rows, columns=["parameter", "value", "meaning"])


def _attribute_meanings(kind: type) -> dict[str, str]:
    text = inspect.cleandoc(kind.__doc__).partition("Attributes\n")[2]
    meanings = {}
    for names, body in re.findall(
        r"^(\w[\w, ]*) : [^\n]*\n((?:    [^\n]*\n?|\n)+)", text, flags=re.MULTILINE
    ):
        for name in names.split(","):
            meanings[name.strip()] = " ".join(body.split())
    return meanings


def _as_text(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_as_text(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(
            f"{item[0]}: {_as_text(item[1])}" if isinstance(item, tuple) else _as_text(item) for item in value
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


def changed_parameters(base, other) -> pd.DataFrame:
    """Return the parameters in which two specifications of the same kind differ.

    Parameters
    ----------
    base, other : dataclass instance
        Specifications, nested ones included.

    Returns
    -------
    pandas.DataFrame
        ``parameter`` (dotted path), ``base`` and ``other`` as text; empty if they are equal.
    """
    first, second = _flat(asdict(base)), _flat(asdict(other))
    rows = [
        (name, _as_text(first[name]), _as_text(second[name])) for name in first if first[name] != second[name]
    ]
    return pd.DataFrame(rows, columns=["parameter", "base", "other"])


def _flat(tree: Mapping, prefix: str = "") -> dict:
    flat = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def tissue_table(protocols: Mapping[str, phantom.Protocol]) -> pd.DataFrame:
    """Return magnetic properties of all tissues, and the signal they give under one centre's protocols.

    Parameters
    ----------
    protocols : mapping of str to Protocol
        By sequence.

    Returns
    -------
    pandas.DataFrame
        One row a tissue: proton density, T1 and T2 in ms at 1.5 T and 3 T, uptake in mmol/l, texture, and
        the signal per sequence relative to fully relaxed water.
    """
    rows = []
    for name, tissue in phantom.TISSUES.items():
        row = {
            "tissue": name,
            "proton density": tissue.proton_density,
            "T1, 1.5 T (ms)": tissue.t1_ms[0],
            "T1, 3 T (ms)": tissue.t1_ms[1],
            "T2, 1.5 T (ms)": tissue.t2_ms[0],
            "T2, 3 T (ms)": tissue.t2_ms[1],
            "uptake (mmol/l)": tissue.uptake_mmol_l,
            "texture (SD)": tissue.texture,
        }
        for sequence, protocol in protocols.items():
            row[f"signal {sequence.upper()}"] = round(phantom.spin_echo_signal(tissue, protocol), 3)
        rows.append(row)
    return pd.DataFrame(rows)


def protocol_table(protocols: Mapping[str, Mapping[str, phantom.Protocol]]) -> pd.DataFrame:
    """Return all protocols, one row per centre and sequence.

    Parameters
    ----------
    protocols : mapping
        Protocols by centre and sequence.

    Returns
    -------
    pandas.DataFrame
        ``center``, ``sequence`` and the fields of `npcbook.synthetic.phantom.Protocol`, as text.
    """
    rows = [
        {"center": center, "sequence": sequence.upper()}
        | {name: _as_text(value) for name, value in asdict(protocol).items()}
        for center, sequences in protocols.items()
        for sequence, protocol in sequences.items()
    ]
    return pd.DataFrame(rows)


def anatomy_table() -> pd.DataFrame:
    """Return the parts of the phantom's anatomy, by tissue.

    Returns
    -------
    pandas.DataFrame
        ``tissue``, ``structures`` (their names; walls are counted with what they line) and ``count``, sides
        counted separately. Skin and the fat between the structures are not structures.
    """
    named = {}
    for structure in phantom.ANATOMY:
        if not structure.name.endswith(" wall"):
            named.setdefault(structure.tissue, []).append(structure)
    rows = [
        (tissue, ", ".join(s.name for s in parts), sum(2 if s.paired else 1 for s in parts))
        for tissue, parts in named.items()
    ]
    return pd.DataFrame(rows, columns=["tissue", "structures", "count"])


@dataclass(frozen=True)
class Probes:
    """What can be measured of the disease by hand, without a model.

    Attributes
    ----------
    volume_ml : float
        Volume within the tumour's contour on T2W.
    inside : float
        Logarithm of the coefficient of variation on T2W, one voxel in plane inside the contour.
    rim : float
        Mean logarithm of CET1W over T1W in tissue 1 to 9 mm outside the contour, less its median in tissue
        more than 25 mm away.
    """

    volume_ml: float
    inside: float
    rim: float


def probe_volumes(volumes: Mapping[str, Volume]) -> Probes:
    """Measure size, variation inside the contour and enhancement outside it.

    Parameters
    ----------
    volumes : mapping of str to Volume
        The three sequences of a patient, with contours, on grids of one shape.

    Returns
    -------
    Probes
        Plain measurements; NaN where the contour leaves nothing to measure.
    """
    t1w, t2w, cet1w = (volumes[name] for name in ("t1w", "t2w", "cet1w"))
    drawn = t2w.mask == TUMOUR
    core = ndimage.binary_erosion(drawn, np.ones((1, 3, 3)))
    values = t2w.image[core if core.sum() > 8 else drawn]
    inside = np.log(values.std() / values.mean()) if values.size > 1 else np.nan
    outside = ~((t1w.mask == TUMOUR) | (cet1w.mask == TUMOUR) | drawn)
    away = ndimage.distance_transform_edt(outside, sampling=t1w.spacing)
    tissue = t1w.image > np.percentile(t1w.image, 60)
    enhancement = np.log((cet1w.image + 1) / (t1w.image + 1))
    near, far = tissue & (away > 1) & (away < 9), tissue & (away > 25)
    rim = enhancement[near].mean() - np.median(enhancement[far]) if near.any() and far.any() else np.nan
    return Probes(float(drawn.sum() * np.prod(t2w.spacing) / 1000), float(inside), float(rim))


def intensity_profile(volumes: Mapping[str, Volume], *, standardise: bool = False) -> np.ndarray:
    """Return deciles of the intensities of all sequences: enough for a classifier to tell scanners apart.

    Parameters
    ----------
    volumes : mapping of str to Volume
        Sequences of a patient.
    standardise : bool
        Whether each image is first set to mean 0 and standard deviation 1.

    Returns
    -------
    numpy.ndarray, shape (9 * sequences,)
        Deciles, their logarithm if not standardised.
    """
    deciles = np.arange(10, 100, 10)
    profiles = []
    for volume in volumes.values():
        image = volume.image
        if standardise:
            profiles.append(np.percentile((image - image.mean()) / image.std(), deciles))
        else:
            profiles.append(np.log1p(np.percentile(image, deciles)))
    return np.concatenate(profiles)
