"""Time the extraction of the paper's features against the plain pyradiomics extractor on the same cases.

Usage: ``python benchmarks/radiomics_extraction.py [--patients 10] [--grid 16 64 64]``

The plain calls give the same 465 columns a sequence: one run for first-order features on all images, three
for shape, and one each for texture on the original, on the widest Laplacian of Gaussian and on the wavelet
images (the extractor cannot be asked for a single band, so it computes texture on eight). One process, CPU
time; values are compared too.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor

from npcbook import images, radiomics
from npcbook.phantom import Traits, render_patient

TEXTURE = {name: [] for name in radiomics.TEXTURES}
PLAIN_CALLS = [
    ({"Original": {}, "LoG": {}, "Wavelet": {}}, {"firstorder": []}),
    *[({"Original": {}}, {"shape": []})] * 3,
    ({"Original": {}}, TEXTURE),
    ({"LoG": {"sigma": [radiomics.SIGMAS_MM[-1]]}}, TEXTURE),
    ({"Wavelet": {}}, TEXTURE),
]


def plain_features(volume: images.Volume, settings: radiomics.Settings) -> dict[str, float]:
    """Compute the paper's blocks with the plain extractor, one call a block."""
    image = sitk.GetImageFromArray(volume.image * np.float32(settings.scale))
    image.SetSpacing([float(size) for size in reversed(volume.spacing)])
    mask = sitk.GetImageFromArray((volume.mask > 0).astype(np.uint8))
    mask.CopyInformation(image)
    values = {}
    for image_types, features in PLAIN_CALLS:
        extractor = RadiomicsFeatureExtractor(**settings.options)
        extractor.disableAllImageTypes()
        extractor.enableImageTypes(**image_types)
        extractor.disableAllFeatures()
        extractor.enableFeaturesByName(**features)
        values |= extractor.execute(image, mask)
    return values


def main() -> None:
    """Print CPU time per volume, the ratio, and the largest relative difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=10)
    parser.add_argument("--grid", type=int, nargs=3, default=(16, 64, 64))
    arguments = parser.parse_args()
    # One thread for both: with more, waiting threads would be counted as work of the plain calls.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    settings, layout = radiomics.Settings(), radiomics.feature_table("paper")
    names = np.where(layout["copy_of"] != "", layout["copy_of"], layout["column"])
    rng = np.random.default_rng(1)
    ours, plain, worst, n_volumes = 0.0, 0.0, 0.0, 0
    for number in range(arguments.patients):
        traits = Traits(str(number % 3 + 1), "T2", "N1", number % 3, *rng.standard_normal(3))
        for volume in render_patient(traits, tuple(arguments.grid), rng).values():
            scaled = images.normalise(volume)
            radiomics.extract_features(scaled, settings=settings) if n_volumes == 0 else None
            start = time.process_time()
            found = radiomics.extract_features(scaled, settings=settings).values
            middle = time.process_time()
            expected = plain_features(scaled, settings)
            ours, plain = ours + middle - start, plain + time.process_time() - middle
            reference = np.array([float(np.real(expected[name])) for name in names])
            worst = max(worst, np.nanmax(np.abs(found - reference) / np.maximum(np.abs(reference), 1e-12)))
            n_volumes += 1
    print(
        f"{n_volumes} volumes of {'×'.join(map(str, arguments.grid))} voxels, one process, CPU time a volume"
    )
    print(f"  npcbook {1e3 * ours / n_volumes:.0f} ms, plain calls {1e3 * plain / n_volumes:.0f} ms")
    print(f"  ratio {plain / ours:.1f}, largest relative difference {worst:.1g}")


if __name__ == "__main__":
    main()
