"""Time the extraction of the paper's features against the deposited script's set of calls, on the same cases.

Usage: ``python benchmarks/radiomics_extraction.py [--patients 8] [--grid 16 64 64] [--workers 2]``

Every sequence of every patient is extracted from three masks: tumour and nodes, tumour, nodes. Both sides
get the region that pyradiomics resamples to 3 mm, with its padding, so that filters see the same voxels.

- *kept*: the calls whose results the script keeps: per-class calls for first-order features on twelve
  images, shape on three, texture on three, and two passes of the extractor for first-order features.
- *all*: besides, the calls whose results it discards: the extractor with texture on the original image and
  on fifteen images from further SimpleITK filters.

The script is described here, not copied; its bias-field correction is left out on both sides. One process
and one thread, CPU time; values are compared too. A second part times `extract_cohort` from files, with one
worker and with more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from radiomics import getFeatureClasses, imageoperations
from radiomics.featureextractor import RadiomicsFeatureExtractor

from npcbook.imaging import radiomics
from npcbook.imaging.preprocessing import normalise
from npcbook.imaging.volumes import Volume
from npcbook.synthetic.phantom import Traits, render_patient
from npcbook.words import STRUCTURES

# All but shape; the neighbourhood class is not in the settings file that the script reads.
DISCARDED_CLASSES = ("firstorder", "glcm", "glrlm", "glszm", "gldm")
DISCARDED_FILTERS = (
    "AdditiveGaussianNoise Bilateral BinomialBlur BoxMean BoxSigma CurvatureFlow DiscreteGaussian "
    "LaplacianSharpening Mean Median Normalize RecursiveGaussian ShotNoise SmoothingRecursiveGaussian "
    "SpeckleNoise"
).split()


def prepared_region(volume: Volume, mask: str, settings: radiomics.Settings):
    """Return image and mask of the resampled, padded region, or None if the patient has none."""
    inside = np.isin(volume.mask, STRUCTURES[mask])
    if not inside.any():
        return None
    image = sitk.GetImageFromArray(volume.image * np.float32(settings.scale))
    image.SetSpacing([float(size) for size in reversed(volume.spacing)])
    region = sitk.GetImageFromArray(inside.astype(np.uint8))
    region.CopyInformation(image)
    options = RadiomicsFeatureExtractor(**settings.options).settings
    for _ in range(2):  # resampled, then cut to what the extractor would keep of it
        image, region = RadiomicsFeatureExtractor.loadImage(image, region, None, **options)
    return image, region


def class_values(image_name: str, feature_class: str, image, mask, options) -> dict[str, float]:
    """Call one pyradiomics class on a cropped image."""
    calculator = getFeatureClasses()[feature_class](image, mask, **options)
    calculator.enableAllFeatures()
    return {f"{image_name}_{feature_class}_{name}": value for name, value in calculator.execute().items()}


def extractor_values(image, mask, classes, options) -> dict[str, float]:
    """Call the whole extractor on the unfiltered image."""
    extractor = RadiomicsFeatureExtractor(**options)
    extractor.disableAllFeatures()
    for feature_class in classes:
        extractor.enableFeatureClassByName(feature_class)
    return extractor.execute(image, mask)


def kept_calls(image, mask, options) -> dict[str, float]:
    """Make the calls whose results the deposited script keeps."""
    box, _ = imageoperations.checkMask(image, mask, label=1)
    values = {}
    filters = (imageoperations.getOriginalImage, imageoperations.getLoGImage, imageoperations.getWaveletImage)
    for make in filters:
        for filtered, name, _ in make(image, mask, **options):
            pair = imageoperations.cropToTumorMask(filtered, mask, box)
            if name != "original":
                values |= class_values(name, "firstorder", *pair, options)
        # The loop's variables outlive it: shape and texture meet its last image.
        for feature_class in ("shape", *radiomics.TEXTURES):
            values |= class_values(name, feature_class, *pair, options)
    for _ in range(2):
        values |= extractor_values(image, mask, ["firstorder"], options)
    return values


def discarded_calls(image, mask, options) -> None:
    """Make the calls whose results the deposited script throws away."""
    extractor_values(image, mask, DISCARDED_CLASSES, options)
    for name in DISCARDED_FILTERS:
        filtered = getattr(sitk, f"{name}ImageFilter")().Execute(image)
        extractor_values(filtered, mask, DISCARDED_CLASSES, options)


def our_values(image, mask, settings) -> pd.Series:
    """Return what the book's extractor gives for the same region."""
    arrays = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(mask).astype(np.uint8)
    volume = Volume(*arrays, image.GetSpacing()[::-1])
    return radiomics.extract_features(volume, settings=settings).values


def rendered(patients: int, grid: tuple[int, int, int]):
    """Yield number, sequence and normalised volume of simulated patients."""
    rng = np.random.default_rng(1)
    for number in range(patients):
        traits = Traits(str(number % 3 + 1), "T2", "N1", number % 3, *rng.standard_normal(3))
        for sequence, volume in render_patient(traits, grid, rng).items():
            yield number, sequence, normalise(volume)


def compare_calls(volumes) -> tuple[np.ndarray, float, int]:
    """Return CPU seconds (ours, kept, discarded), the largest relative difference, the number of cases."""
    settings, layout = radiomics.Settings(), radiomics.feature_table()
    ours = radiomics.Settings(scale=1.0)
    options = settings.options
    names = np.where(layout["copy_of"] != "", layout["copy_of"], layout["column"])
    seconds, worst, cases = np.zeros(3), 0.0, 0
    for _, _, volume in volumes:
        for mask in STRUCTURES:
            region = prepared_region(volume, mask, settings)
            if region is None:
                continue
            if cases == 0:
                our_values(*region, ours)
            clock = [time.process_time()]
            found = our_values(*region, ours)
            clock.append(time.process_time())
            expected = kept_calls(*region, options)
            clock.append(time.process_time())
            discarded_calls(*region, options)
            seconds += np.diff([*clock, time.process_time()])
            reference = np.array([float(np.real(expected[name])) for name in names])
            worst = max(worst, np.nanmax(np.abs(found - reference) / np.maximum(np.abs(reference), 1e-12)))
            cases += 1
    return seconds, worst, cases


def time_batch(volumes, workers: int) -> tuple[float, float]:
    """Return seconds on the clock per case of `extract_cohort`, from files, with one worker and with more."""
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for number, sequence, volume in volumes:
            row = {"patient_id": f"p{number}", "sequence": sequence}
            for which in ("image", "mask"):
                picture = sitk.GetImageFromArray(getattr(volume, which))
                picture.SetSpacing([float(size) for size in reversed(volume.spacing)])
                row[f"{which}_path"] = Path(folder, f"{number}_{sequence}_{which}.nii.gz")
                sitk.WriteImage(picture, str(row[f"{which}_path"]))
            rows.append(row)
        cases, seconds = pd.DataFrame(rows), []
        for count in (1, workers):
            # Processes are started, and code is loaded, before the clock is.
            radiomics.extract_cohort(cases[:12], folder=Path(folder, f"warm{count}"), workers=count)
            start = time.perf_counter()
            radiomics.extract_cohort(cases, folder=Path(folder, str(count)), workers=count)
            seconds.append((time.perf_counter() - start) / len(cases))
    return tuple(seconds)


def main() -> None:
    """Print CPU time per case, the ratios, the largest relative difference, and the gain from processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=8)
    parser.add_argument("--grid", type=int, nargs=3, default=(16, 64, 64))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    # One thread for both: with more, waiting threads would be counted as work of the described calls.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    volumes = list(rendered(arguments.patients, tuple(arguments.grid)))
    (ours, kept, discarded), worst, cases = compare_calls(volumes)
    print(f"{cases} regions in {len(volumes)} volumes of {'×'.join(map(str, arguments.grid))} voxels")
    print(f"  npcbook {1e3 * ours / cases:.0f} ms a region, one process, CPU time")
    print(f"  kept calls {1e3 * kept / cases:.0f} ms, ratio {kept / ours:.1f}")
    print(f"  all calls {1e3 * (kept + discarded) / cases:.0f} ms, ratio {(kept + discarded) / ours:.1f}")
    print(f"  largest relative difference {worst:.1g}")
    one, more = time_batch(volumes, arguments.workers)
    print(f"extract_cohort from files: {1e3 * one:.0f} ms a volume with one worker,")
    print(f"  {1e3 * more:.0f} ms with {arguments.workers}: {one / more:.2f} times as fast")


if __name__ == "__main__":
    main()
