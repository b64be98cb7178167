"""Overlap, surface distance and volume error, against MONAI, the definitions and by hand."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from npcbook.imaging.overlap import measure_overlap
from npcbook.words import STRUCTURES

SPACING = (5.0, 2.0, 3.0)


def blob(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centre, radii = rng.uniform(6, 10, 3), rng.uniform(2, 5, 3)
    grid = np.moveaxis(np.indices((16, 18, 20)), 0, -1)
    return (((grid - centre) / radii) ** 2).sum(-1) < 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # raised inside MONAI
@pytest.mark.parametrize("seed", range(6))
def test_equal_to_monai_s_whole_distance_and_to_the_definitions(seed):
    predicted, reference = blob(seed), blob(seed + 100)
    ours = measure_overlap(predicted, reference, SPACING)
    assert ours.dice == pytest.approx(2 * (predicted & reference).sum() / (predicted.sum() + reference.sum()))
    tensors = [torch.as_tensor(mask)[None, None].float() for mask in (predicted, reference)]
    theirs = compute_hausdorff_distance(*tensors, percentile=95, spacing=list(SPACING)).item()
    assert ours.hd95_mm == pytest.approx(theirs, rel=1e-5)
    surfaces = [np.argwhere(mask & ~binary_erosion(mask)) * SPACING for mask in (predicted, reference)]
    between = cdist(*surfaces)
    by_definition = max(np.percentile(between.min(axis=axis), 95) for axis in (0, 1))
    assert ours.hd95_mm == pytest.approx(by_definition, rel=1e-5)


def test_by_hand():
    predicted, reference = np.zeros((2, 8, 8), bool), np.zeros((2, 8, 8), bool)
    predicted[0, 2, 2:6] = True
    reference[0, 2, 4:8] = True
    found = measure_overlap(predicted, reference, (5.0, 1.0, 1.0))
    assert found.dice == 0.5
    assert found.volume_error == 0
    assert found.hd95_mm == pytest.approx(1.85)  # of 2, 1, 0, 0


def test_symmetry_and_identity():
    predicted, reference = blob(1), blob(2)
    one, other = (
        measure_overlap(predicted, reference, SPACING),
        measure_overlap(reference, predicted, SPACING),
    )
    assert (one.dice, one.hd95_mm) == (other.dice, other.hd95_mm)
    same = measure_overlap(predicted, predicted, SPACING)
    assert (same.dice, same.hd95_mm, same.volume_error) == (1, 0, 0)


def test_nothing_to_compare():
    mask, empty = blob(0), np.zeros((16, 18, 20), bool)
    both = measure_overlap(empty, empty, SPACING)
    assert np.isnan([both.dice, both.hd95_mm, both.volume_error]).all()
    missed = measure_overlap(empty, mask, SPACING)
    assert (missed.dice, missed.volume_error) == (0, -1)
    assert np.isnan(missed.hd95_mm)
    invented = measure_overlap(mask, empty, SPACING)
    assert invented.dice == 0
    assert np.isnan(invented.volume_error)


def test_masks_on_other_voxels_are_refused():
    with pytest.raises(ValueError, match="shape"):
        measure_overlap(np.ones((2, 3, 4), bool), np.ones((2, 3, 5), bool), SPACING)


def test_every_structure_is_made_of_disease():
    assert {label for members in STRUCTURES.values() for label in members} == {1, 2}
