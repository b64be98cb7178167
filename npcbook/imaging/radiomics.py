"""Radiomics: the paper's 465 features a sequence, what they are, and their extraction from many patients.

The features are those of pyradiomics, computed by its own classes. What is added here is the layout in
which the deposited script kept them (the number 1395 comes from that layout, copies included), and an
order of work in which nothing is computed twice: an image is filtered, cropped and discretised once, and
only the features asked for are evaluated.
"""

import logging
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from radiomics import getFeatureClasses, imageoperations
from radiomics.featureextractor import RadiomicsFeatureExtractor
from scipy import ndimage, stats

from npcbook.imaging.volumes import Volume, read_volume, to_sitk
from npcbook.store import keep, project_path, spread
from npcbook.words import STRUCTURES

# What an unusable file or contour raises: pyradiomics and numpy, the file system, SimpleITK.
FAILURES = (ValueError, OSError, RuntimeError)
FOLDERS = re.compile(r"[^\s'\"]*/")
SIGMAS_MM = (1.0, 3.0, 5.0)
WAVELET_BANDS = ("LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH", "LLL")
LOG_IMAGES = tuple(f"log-sigma-{sigma:.1f}-mm-3D".replace(".", "-") for sigma in SIGMAS_MM)
WAVELET_IMAGES = tuple(f"wavelet-{band}" for band in WAVELET_BANDS)
IMAGES = ("original", *LOG_IMAGES, *WAVELET_IMAGES)
# The deposited script reuses its loop variables after their loops, so that shape and texture meet only the
# last Laplacian-of-Gaussian and the last wavelet image.
LAST_IMAGES = ("original", LOG_IMAGES[-1], WAVELET_IMAGES[-1])
# In the order in which the deposited script writes them: of two equal names the later one is kept.
TEXTURES = ("glcm", "glrlm", "glszm", "gldm", "ngtdm")
IBSI = project_path("data/ibsi")

# pyradiomics announces each step; what fails is reported by `extract_cohort`, in the row it concerns.
logging.getLogger("radiomics").setLevel(logging.CRITICAL)


@cache
def _features_of(feature_class: str) -> tuple[str, ...]:
    names = getFeatureClasses()[feature_class].getFeatureNames()
    return tuple(name for name, deprecated in names.items() if not deprecated)


def _all_textures() -> pd.DataFrame:
    rows = [(feature_class, feature) for feature_class in TEXTURES for feature in _features_of(feature_class)]
    return pd.DataFrame(rows, columns=["feature_class", "feature"])


def lost_names() -> pd.DataFrame:
    """Return the texture features that one image loses when results are kept under bare names.

    Returns
    -------
    pandas.DataFrame
        One row per lost feature: ``feature``, ``lost`` (the class it was computed by), ``kept`` (the class
        that wrote the same name last and so is what the name means).

    Notes
    -----
    Classes write in the order of `TEXTURES`. The names come from the installed pyradiomics, so the count of
    69 = 75 - 6 is derived, not typed in.
    """
    textures = _all_textures()
    last = textures.groupby("feature")["feature_class"].transform("last")
    lost = textures.assign(kept=last)[textures["feature_class"] != last]
    return lost.rename(columns={"feature_class": "lost"})[["feature", "lost", "kept"]].reset_index(drop=True)


def feature_table() -> pd.DataFrame:
    """Return the paper's columns for one sequence, in their fixed order.

    Returns
    -------
    pandas.DataFrame
        ``column`` (``image_class_feature``), ``image``, ``feature_class``, ``feature``, ``block``
        ("first-order", "shape", "texture") and ``copy_of`` (the column that this one repeats, else empty):
        216 first-order, 42 shape and 207 texture columns, as the paper counts them, copies included.

    Notes
    -----
    Shape does not depend on grey levels: computed beside three images it gives the same 14 numbers three
    times, and the second and third time are marked.

    References
    ----------
    Paper, "Construction of the radiomics model"; layout of the deposited script, described in the register.
    """
    textures = _all_textures().drop_duplicates("feature", keep="last").to_numpy().tolist()
    rows = [(image, "firstorder", feature) for image in IMAGES for feature in _features_of("firstorder")]
    rows += [(image, "shape", feature) for image in LAST_IMAGES for feature in _features_of("shape")]
    rows += [(image, *texture) for image in LAST_IMAGES for texture in textures]
    table = pd.DataFrame(rows, columns=["image", "feature_class", "feature"])
    table.insert(0, "column", table["image"] + "_" + table["feature_class"] + "_" + table["feature"])
    blocks = {"firstorder": "first-order", "shape": "shape"}
    table["block"] = table["feature_class"].map(blocks).fillna("texture")
    copies = (table["feature_class"] == "shape") & (table["image"] != "original")
    table["copy_of"] = np.where(copies, "original_shape_" + table["feature"], "")
    return table


@cache
def _sources() -> pd.Series:
    """Return, by column, the column that its value is computed as: the first of copies."""
    table = feature_table()
    return table["copy_of"].where(table["copy_of"] != "", table["column"]).set_axis(table["column"].to_list())


@dataclass(frozen=True)
class Settings:
    """How features are extracted.

    Attributes
    ----------
    mask : {"tumour and nodes", "tumour", "nodes"}
        Labelled voxels that make the region.
    spacing_mm : float
        Edge of the cubic voxel that image (linear) and mask (nearest neighbour) are resampled to.
    bin_width : float
        Width of a grey level after `scale`.
    scale : float
        Factor on the intensities. Images in units of one standard deviation need about 100: a bin of 25 is
        made for raw intensities, and would leave some two grey levels otherwise.
    images : tuple of str
        Images to compute, of `IMAGES`; the columns of the others stay empty.
    """

    mask: str = "tumour and nodes"
    spacing_mm: float = 3.0
    bin_width: float = 25.0
    scale: float = 100.0
    images: tuple[str, ...] = IMAGES

    def __post_init__(self):
        """Refuse settings that have no meaning."""
        if self.mask not in STRUCTURES:
            raise ValueError(f"mask is {self.mask!r}; it must be one of {', '.join(STRUCTURES)}.")
        if unknown := set(self.images) - set(IMAGES):
            raise ValueError(f"images has {sorted(unknown)}; they must be among {', '.join(IMAGES)}.")
        for name in ("spacing_mm", "bin_width", "scale"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0.")

    @property
    def options(self) -> dict:
        """The settings under pyradiomics' own names, as `RadiomicsFeatureExtractor` takes them."""
        return {
            "resampledPixelSpacing": [self.spacing_mm] * 3,
            "interpolator": "sitkLinear",
            "binWidth": self.bin_width,
            "sigma": list(SIGMAS_MM),
            "additionalInfo": False,
        }


@dataclass(frozen=True)
class CaseFeatures:
    """Features of one region in one image.

    Attributes
    ----------
    values : pandas.Series
        Feature values by column name, in the order of `feature_table`; NaN where undefined.
    n_voxels : int
        Voxels of the region after resampling.
    grey_levels : int
        Distinct grey levels in the region of the unfiltered image.
    undefined : tuple of str
        Columns without a finite value, though their image was asked for.
    """

    values: pd.Series
    n_voxels: int
    grey_levels: int
    undefined: tuple[str, ...]


@dataclass(frozen=True)
class _Region:
    """A cropped region with its intensities and grey levels, made once for all classes."""

    image: np.ndarray
    mask: np.ndarray
    levels: np.ndarray
    present: np.ndarray


class _SharedRegion:
    """Lets a pyradiomics class take its arrays from a `_Region` instead of making its own."""

    @classmethod
    def getFeatureNames(cls):
        return {}

    def _initSegmentBasedCalculation(self):
        self.imageArray, self.maskArray = self.settings["region"].image, self.settings["region"].mask

    def _applyBinning(self, matrix):
        region = self.settings["region"]
        self.coefficients["grayLevels"] = region.present
        self.coefficients["Ng"] = int(region.present.max())
        return region.levels


class _SharedPercentiles(_SharedRegion):
    """Takes all percentiles of the first-order class at once; it would sort the region for each of them."""

    def _initCalculation(self, voxelCoordinates=None):
        super()._initCalculation(voxelCoordinates)
        levels = (10, 25, 50, 75, 90)
        self.percentile = dict(zip(levels, np.percentile(self.targetVoxelArray, levels, axis=1), strict=True))

    def get10PercentileFeatureValue(self):
        return self.percentile[10]

    def get90PercentileFeatureValue(self):
        return self.percentile[90]

    def getMedianFeatureValue(self):
        return self.percentile[50]

    def getInterquartileRangeFeatureValue(self):
        return self.percentile[75] - self.percentile[25]


@cache
def _calculator(feature_class: str) -> type:
    base = getFeatureClasses()[feature_class]
    if feature_class == "shape":
        return base
    shared = _SharedPercentiles if feature_class == "firstorder" else _SharedRegion
    # The module's name decides which logger the class writes to: pyradiomics' own, which is quiet.
    return type(f"Shared{base.__name__}", (shared, base), {"__module__": base.__module__})


def _region(image: sitk.Image, mask: sitk.Image, box: np.ndarray, options: Mapping) -> _Region:
    inside = tuple(slice(low, high + 1) for low, high in reversed(box.reshape(3, 2).tolist()))
    cropped = np.ascontiguousarray(sitk.GetArrayViewFromImage(image)[inside])
    labelled = sitk.GetArrayViewFromImage(mask)[inside] == options["label"]
    levels, _ = imageoperations.binImage(cropped, labelled, **options)
    return _Region(cropped, labelled, levels, np.unique(levels[labelled]))


def _class_values(calculator, features: Iterable[str]) -> dict[str, float]:
    # Flat regions and angles without neighbours divide by zero inside pyradiomics, which then sets or skips
    # these terms itself; what stays undefined is NaN in the result and named in `CaseFeatures.undefined`.
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        calculator._initCalculation()
        values = {feature: getattr(calculator, f"get{feature}FeatureValue")() for feature in features}
    return {feature: np.real(np.squeeze(value)).item() for feature, value in values.items()}


def _filtered(image: sitk.Image, mask: sitk.Image, names: set[str], options: Mapping):
    makers = [imageoperations.getOriginalImage]
    makers += [imageoperations.getLoGImage] * any(name.startswith("log") for name in names)
    makers += [imageoperations.getWaveletImage] * any(name.startswith("wavelet") for name in names)
    made = chain.from_iterable(make(image, mask, **options) for make in makers)
    return ((filtered, name) for filtered, name, _ in made if name in names)


def _prepare(image: sitk.Image, mask: sitk.Image, options: Mapping):
    """Load, normalise, resample and resegment as `RadiomicsFeatureExtractor.execute` does."""
    image, mask = RadiomicsFeatureExtractor.loadImage(image, mask, None, **options)
    box, corrected = imageoperations.checkMask(image, mask, **options)
    mask = mask if corrected is None else corrected
    whole = imageoperations.cropToTumorMask(image, mask, box)
    if options["resegmentRange"] is not None:
        mask = imageoperations.resegmentMask(image, mask, **options)
        box, _ = imageoperations.checkMask(image, mask, **options)
    return image, mask, box, whole


def extract_images(
    image: sitk.Image, mask: sitk.Image, wanted: Mapping[str, Mapping[str, Iterable[str]]], options: Mapping
) -> tuple[dict[tuple[str, str, str], float], _Region]:
    """Compute chosen features of chosen filtered images, each image and each grey-level array once.

    Parameters
    ----------
    image, mask : SimpleITK.Image
        On the same voxels; the region is where the mask has ``options["label"]`` (1 unless given).
    wanted : mapping
        Image name → class → feature names. Shape is taken under ``original``.
    options : mapping
        pyradiomics settings by pyradiomics' names; its defaults hold for the rest.

    Returns
    -------
    dict
        Value by (image, class, feature); a name missing from it belongs to a filter that could not run.
    _Region
        Mask and grey levels of the unfiltered image.

    Raises
    ------
    ValueError
        If pyradiomics refuses the mask (label absent, a single voxel, fewer than two dimensions).

    Notes
    -----
    Equals ``RadiomicsFeatureExtractor.execute`` of pyradiomics 3.0.1 for the same settings: filters see the
    same crop (region and ``padDistance`` voxels), because recursive filters depend on where the crop ends.
    """
    options = {**RadiomicsFeatureExtractor._getDefaultSettings(), **options}
    image, mask, box, whole = _prepare(image, mask, options)
    values, original = {}, None
    for filtered, name in _filtered(image, mask, {"original", *wanted}, options):
        region = _region(filtered, mask, box, options)
        original = region if name == "original" else original
        for feature_class, features in wanted.get(name, {}).items():
            # But for shape, a class asks the picture itself only for its spacing: the smallest will do.
            calculator = _calculator(feature_class)(*whole, **options, region=region)
            found = _class_values(calculator, features)
            values |= {(name, feature_class, feature): value for feature, value in found.items()}
    return values, original


@cache
def _wanted(images: tuple[str, ...]) -> dict[str, dict[str, list[str]]]:
    table, wanted = feature_table(), {}
    table = table[(table["copy_of"] == "") & table["image"].isin(images)]
    for (image, feature_class), features in table.groupby(["image", "feature_class"])["feature"]:
        wanted.setdefault(image, {})[feature_class] = features.to_list()
    return wanted


def compare_with_ibsi() -> pd.DataFrame:
    """Compute the features of the IBSI digital phantom and set them beside the consensus values.

    Returns
    -------
    pandas.DataFrame
        One row a feature: ``feature_class``, ``feature``, ``ibsi_tag``, ``value`` (consensus, three
        significant digits), ``tolerance``, ``found`` and ``agrees`` (within the tolerance, or to the digits
        given).

    References
    ----------
    Image Biomarker Standardisation Initiative, reference manual; the values stand in ``data/ibsi``.
    """
    table = pd.read_csv(IBSI / "digital_phantom.csv")
    rows = (IBSI / "digital_phantom.txt").read_text("utf-8").split()
    image = sitk.GetImageFromArray(np.array([list(row) for row in rows], dtype=float).reshape(4, 4, 5))
    image.SetSpacing((2.0, 2.0, 2.0))
    wanted = table.groupby("feature_class")["feature"].apply(list).to_dict()
    with _one_itk_thread():
        values, _ = extract_images(image, image > 0, {"original": wanted}, {"binWidth": 1})
    rows = zip(table["feature_class"], table["feature"], strict=True)
    table["found"] = [values["original", feature_class, feature] for feature_class, feature in rows]
    # Half a unit of the third digit, and a hair for values that end in 5.
    digit = 0.501 * 10 ** (np.floor(np.log10(table["value"].abs())) - 2)
    table["agrees"] = (table["found"] - table["value"]).abs() <= np.maximum(table["tolerance"], digit)
    return table


@contextmanager
def _one_itk_thread():
    # A region has some ten thousand voxels: starting threads costs more than it saves, and patients already
    # run side by side.
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def extract_features(volume: Volume, *, settings: Settings | None = None) -> CaseFeatures:
    """Compute the features of one sequence of one patient.

    Parameters
    ----------
    volume : Volume
        Preprocessed image with a mask; units of one standard deviation (see `Settings.scale`).
    settings : Settings, optional
        Mask, voxel size and bin width; the paper's if not given.

    Returns
    -------
    CaseFeatures
        Values in the fixed column order.

    Raises
    ------
    ValueError
        If there is no mask, if it lacks the labels asked for, or if the region is a single voxel or line.

    References
    ----------
    pyradiomics 3.0.1, which it equals to rounding; paper, "Construction of the radiomics model".
    """
    settings = settings or Settings()
    if volume.mask is None:
        raise ValueError("volume has no mask: radiomics needs a contour; give the mask's path when reading.")
    inside = np.isin(volume.mask, STRUCTURES[settings.mask])
    if not inside.any():
        raise ValueError(f"the mask has no voxel of {settings.mask!r} (labels {STRUCTURES[settings.mask]}).")
    # Without its place in the scanner: features do not depend on it but for rounding.
    here = Volume(volume.image, None, volume.spacing)
    image = to_sitk(np.asarray(volume.image, dtype=np.float32) * np.float32(settings.scale), here)
    mask = to_sitk(inside.astype(np.uint8), here)
    with _one_itk_thread():
        found, region = extract_images(image, mask, _wanted(settings.images), settings.options)
    sources = _sources()
    values = pd.Series({"_".join(key): value for key, value in found.items()}, dtype=float)
    values = values.where(np.isfinite(values)).reindex(sources).set_axis(sources.index)
    is_asked = sources.str.partition("_")[0].isin(settings.images)
    undefined = tuple(values.index[values.isna() & is_asked])
    return CaseFeatures(values, int(region.mask.sum()), int(region.present.size), undefined)


@dataclass(frozen=True)
class Extraction:
    """Features of many patients.

    Attributes
    ----------
    features : pandas.DataFrame
        Index ``patient_id``, columns ``<sequence>_<image>_<class>_<feature>``; one row per patient asked
        for, in that order, NaN where a case failed.
    report : pandas.DataFrame
        One row per case: ``patient_id``, ``sequence``, ``status`` ("ok", "partly", "failed"), ``reason``,
        ``n_voxels``, ``grey_levels``.
    """

    features: pd.DataFrame
    report: pd.DataFrame


def extract_cohort(
    cases: pd.DataFrame, *, folder: Path, settings: Settings | None = None, workers: int = 2
) -> Extraction:
    """Extract features of many patients, side by side, keeping what is done.

    Parameters
    ----------
    cases : pandas.DataFrame
        One row per patient and sequence: ``patient_id``, ``sequence``, ``image_path``, ``mask_path``.
    folder : path
        Where each patient's result is kept (one small file, written whole or not at all). A result is used
        again if images, masks, settings, code and versions are unchanged.
    settings : Settings, optional
        The paper's if not given.
    workers : int, optional
        Processes, as in `npcbook.store.spread`.

    Returns
    -------
    Extraction
        Every patient and every column, whatever failed.

    Raises
    ------
    ValueError
        If a column is missing or a case appears twice.

    Notes
    -----
    A case that cannot be extracted (no mask, no lymph node where nodes were asked for, unreadable file)
    becomes a row of NaN with its reason in the report: no patient is dropped here.
    """
    settings = settings or Settings()
    _check_cases(cases)
    cases = cases.assign(**{name: cases[name].map(Path) for name in ("image_path", "mask_path")})
    patients = {name: group.to_dict("records") for name, group in cases.groupby("patient_id", sort=False)}
    jobs = [
        (Path(folder) / f"{patient}.json.gz", _patient_features, rows, settings)
        for patient, rows in patients.items()
    ]
    rows = list(spread(keep, jobs, description="radiomics, patients", n_jobs=workers))
    sequences = list(dict.fromkeys(cases["sequence"]))
    columns = [f"{s}_{c}" for s in sequences for c in _sources().index]
    features = pd.DataFrame([row["values"] for row in rows], index=pd.Index(patients, name="patient_id"))
    report = pd.DataFrame([case for row in rows for case in row["report"]])
    return Extraction(features.reindex(columns=columns).astype(float), report)


def _check_cases(cases: pd.DataFrame) -> None:
    missing = {"patient_id", "sequence", "image_path", "mask_path"} - set(cases.columns)
    if missing or cases.empty:
        raise ValueError(f"cases has {len(cases)} rows and lacks {sorted(missing)}: give one row per case.")
    twice = cases[cases.duplicated(["patient_id", "sequence"])]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(f"cases has {first.patient_id} {first.sequence} twice: keep one row of each case.")


def _patient_features(rows: list[dict], settings: Settings) -> dict:
    """Return one patient's values by column and one report row per case."""
    found = [_case_features(row, settings) for row in rows]
    values = {f"{case['sequence']}_{name}": x for values, case in found for name, x in values.items()}
    return {"values": values, "report": [case for _, case in found]}


def _case_features(row: dict, settings: Settings) -> tuple[dict[str, float], dict]:
    report = {"patient_id": row["patient_id"], "sequence": row["sequence"], "status": "failed", "reason": ""}
    report |= {"n_voxels": 0, "grey_levels": 0}
    try:
        volume = read_volume(row["image_path"], row["mask_path"])
        volume = row["prepare"](volume) if "prepare" in row else volume
        case = extract_features(volume, settings=settings)
    except FAILURES as error:
        return {}, report | {"reason": _reason(error)}
    report |= {"status": "ok", "n_voxels": case.n_voxels, "grey_levels": case.grey_levels}
    if case.undefined:
        report |= {"status": "partly", "reason": f"undefined: {', '.join(case.undefined[:5])}"}
    return case.values.dropna().to_dict(), report


def perturb_mask(
    mask: np.ndarray, spacing: Sequence[float], *, amplitude_mm: float = 1.5, rng: np.random.Generator
) -> np.ndarray:
    """Redraw a contour as a second reader might: its surface moved in and out by a smooth random amount.

    Parameters
    ----------
    mask : numpy.ndarray, shape (Z, Y, X)
        Labels; 0 is background.
    spacing : tuple of float
        Voxel size (z, y, x), mm.
    amplitude_mm : float, optional
        Standard deviation of the surface's displacement, mm.
    rng : numpy.random.Generator
        Source of the random surface.

    Returns
    -------
    numpy.ndarray, shape (Z, Y, X)
        Labels of the new contour; voxels that are new take the label of the nearest old one.

    Raises
    ------
    ValueError
        If the mask is empty.

    Notes
    -----
    The region is where signed distance to the old surface plus a Gaussian random field (smoothed over 6 mm)
    is positive. A contour that would vanish is returned unchanged.
    """
    inside = mask > 0
    if not inside.any():
        raise ValueError("mask is empty: there is no contour to move.")
    outside_mm, nearest = ndimage.distance_transform_edt(~inside, sampling=spacing, return_indices=True)
    distance = ndimage.distance_transform_edt(inside, sampling=spacing) - outside_mm
    noise = ndimage.gaussian_filter(rng.standard_normal(mask.shape), [6.0 / size for size in spacing])
    # Distances are counted to voxel centres on the other side, so the surface itself lies half a voxel in.
    moved = distance + amplitude_mm * noise / noise.std() > -min(spacing) / 2
    return np.where(moved, mask[tuple(nearest)], 0).astype(mask.dtype) if moved.any() else mask.copy()


def _reason(error: Exception) -> str:
    """Return one line without folders: SimpleITK puts what matters last, and a report should travel."""
    line = str(error).strip().splitlines()[-1] if str(error).strip() else "no message"
    return f"{type(error).__name__}: {FOLDERS.sub('', line)}"


def extract_readings(
    readings: Sequence[pd.DataFrame], *, folder: Path, settings: Settings | None = None, workers: int = 2
) -> pd.DataFrame:
    """Compute features of the same cases under several contours, or after several preparations.

    Parameters
    ----------
    readings : sequence of pandas.DataFrame
        Cases as for `extract_cohort`, of one sequence, once per reading; they differ in their paths, or in a
        column ``prepare``: what is done to the volume before, a function of it that can be pickled (as in
        `redrawn_cases`).
    folder : path
        Where each reading is kept; used again as in `extract_cohort`, if `prepare` is unchanged too.
    settings : Settings, optional
        The paper's if not given.
    workers : int, optional
        Processes.

    Returns
    -------
    pandas.DataFrame
        Index ``patient_id`` and ``reading`` (0, 1, …), columns of `feature_table`; a case that cannot be
        extracted is a row of NaN.
    """
    read = []
    for number, cases in enumerate(readings):
        place = Path(folder) / str(number)
        cases = cases.reset_index(drop=True)
        found = extract_cohort(cases, folder=place, settings=settings, workers=workers).features
        read.append(found.set_axis(_sources().index, axis="columns"))
    return pd.concat(read, keys=range(len(read)), names=["reading"]).swaplevel()


def redrawn_cases(
    cases: pd.DataFrame, readings: int = 3, *, amplitude_mm: float = 1.5, rng: np.random.Generator
) -> list[pd.DataFrame]:
    """Return cases once with their own contour and then with redrawn ones, for `extract_readings`.

    Parameters
    ----------
    cases : pandas.DataFrame
        As for `extract_cohort`.
    readings : int, optional
        Contours a case, its own included.
    amplitude_mm : float, optional
        See `perturb_mask`.
    rng : numpy.random.Generator
        Source of the redrawn contours.

    Returns
    -------
    list of pandas.DataFrame
        One table per reading.
    """
    draws = rng.integers(2**32, size=(readings - 1, len(cases)))
    redraw = [[partial(_redrawn, amplitude_mm=amplitude_mm, seed=seed) for seed in row] for row in draws]
    return [cases, *(cases.assign(prepare=prepare) for prepare in redraw)]


def _redrawn(volume: Volume, *, amplitude_mm: float, seed: int) -> Volume:
    rng = np.random.default_rng(seed)
    moved = perturb_mask(volume.mask, volume.spacing, amplitude_mm=amplitude_mm, rng=rng)
    return replace(volume, mask=moved)


@dataclass(frozen=True)
class Icc:
    """Intraclass correlation with its one-sided lower limit."""

    icc: float
    low: float


def icc_one_way(readings) -> Icc:
    """Share of a feature's variance that lies between patients rather than between readings of one patient.

    Parameters
    ----------
    readings : array_like, shape (n_patients, n_readings)
        The feature's value in each reading; rows with a missing value are left out.

    Returns
    -------
    Icc
        ICC(1,1) and its one-sided lower 95 % limit; both NaN with fewer than two patients or no variance.

    Raises
    ------
    ValueError
        If there are not at least two readings.

    Notes
    -----
    One-way random effects, because reading 2 of one patient has nothing in common with reading 2 of
    another: ``(MSB - MSW) / (MSB + (k - 1) MSW)``, limit from the F distribution.

    References
    ----------
    Shrout and Fleiss (1979), ICC(1,1).
    """
    readings = np.asarray(readings, dtype=float)
    if readings.ndim != 2 or readings.shape[1] < 2:
        raise ValueError(f"readings has shape {readings.shape}; it must be (patients, at least 2 readings).")
    readings = readings[np.isfinite(readings).all(axis=1)]
    n, k = readings.shape
    if n < 2 or np.ptp(readings) == 0:
        return Icc(np.nan, np.nan)
    between = k * readings.mean(axis=1).var(ddof=1)
    within = readings.var(axis=1, ddof=1).mean()
    if within == 0:
        return Icc(1.0, 1.0)
    ratio = between / within
    limit = ratio / stats.f.ppf(0.95, n - 1, n * (k - 1))
    return Icc(float((ratio - 1) / (ratio + k - 1)), float((limit - 1) / (limit + k - 1)))


def feature_icc(readings: pd.DataFrame) -> pd.DataFrame:
    """Compute the ICC of every feature over repeated readings.

    Parameters
    ----------
    readings : pandas.DataFrame
        Two index levels, patient and ``reading``; one column per feature (see `extract_readings`).

    Returns
    -------
    pandas.DataFrame
        ``column``, ``icc``, ``low``, ``n_patients`` with all readings.
    """
    rows = []
    for column, values in readings.items():
        wide = values.unstack("reading")
        found = icc_one_way(wide)
        rows.append({"column": column, "icc": found.icc, "low": found.low, "n_patients": len(wide.dropna())})
    return pd.DataFrame(rows)
