"""Attribution of a score to voxels."""

import numpy as np
import pytest
import torch

from npcbook.imaging.attribution import integrated_gradients, randomise, score_function, share_within
from npcbook.imaging.features import extract_features, region_features
from npcbook.imaging.heads import LinearHead, StagedHead, fit_scaling
from npcbook.imaging.network import NetworkSettings

SETTINGS = NetworkSettings(width="tiny", grid=(4, 16, 16))


@pytest.fixture
def patients():
    """Eight pictures on the network's grid."""
    return np.random.default_rng(0).normal(size=(8, *SETTINGS.grid)).astype(np.float32)


@pytest.fixture
def labels():
    """A mask with a tumour and a node."""
    mask = np.zeros(SETTINGS.grid, np.uint8)
    mask[1:3, 5:9, 5:9], mask[2, 12:14, 12:14] = 1, 2
    return mask


def test_a_linear_score_is_attributed_to_its_weights():
    picture = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    weights = torch.linspace(-1, 1, 24).reshape(2, 3, 4)
    found = integrated_gradients(
        lambda p: (p[:, 0] * weights).sum(dim=(1, 2, 3)), picture, baseline=0 * picture, steps=1
    )
    np.testing.assert_allclose(found.values, picture * weights.numpy(), rtol=1e-5)
    assert found.gap == pytest.approx(0, abs=1e-5)


def test_only_what_a_score_looks_at_is_attributed(patients):
    picture = patients[0]
    found = integrated_gradients(lambda p: p[:, 0, 1].square().sum(dim=(1, 2)), picture, baseline=0 * picture)
    assert np.abs(found.values[[0, 2, 3]]).max() == 0
    np.testing.assert_allclose(found.values[1], patients[0, 1] ** 2, rtol=1e-4)


def test_contributions_add_up_to_the_difference_of_the_scores(patients, labels):
    network = randomise(SETTINGS, seed=3)
    names, features = region_features(
        network, torch.from_numpy(patients)[:, None], torch.from_numpy(labels).expand(8, -1, -1, -1)
    )
    coef = np.random.default_rng(2).normal(size=len(names)) / 100
    inputs = features.detach().numpy()
    head = LinearHead(coef, fit_scaling(inputs))
    score = score_function(network, labels, head, features=inputs[0], columns=slice(0, len(names)))
    found = integrated_gradients(score, patients[0], baseline=patients[1], steps=500)
    assert found.gap == pytest.approx(0, abs=0.05 * abs(found.score - found.baseline_score))
    mirrored = integrated_gradients(score, patients[0], steps=200)
    flipped = torch.from_numpy(patients[:1, None, ..., ::-1].copy())
    assert mirrored.baseline_score == pytest.approx(score(flipped)[0].item())
    assert mirrored.gap == pytest.approx(0, abs=0.05 * abs(mirrored.score - mirrored.baseline_score))
    # From an even grey there is no way that the sum could see, as the docstring says.
    grey = integrated_gradients(score, patients[0], baseline=0 * patients[0], steps=200)
    assert abs(grey.gap) > 0.5 * abs(grey.score - grey.baseline_score)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("kind", ["linear", "staged"])
def test_the_score_function_is_the_heads_risk(patients, kind, place):
    network, rng = randomise(SETTINGS, seed=3), np.random.default_rng(2)
    stored = extract_features(network, patients)
    own = stored.region.to_numpy()
    inputs = np.hstack([own, rng.normal(size=own.shape)][:: -1 if place else 1])
    coef = rng.normal(size=inputs.shape[1])
    head = LinearHead(coef, fit_scaling(inputs))
    if kind == "staged":
        weights, measured = rng.normal(size=(len(coef), 2)) / 10, np.array([0, 5])
        last = LinearHead(rng.normal(size=4), fit_scaling(rng.normal(size=(9, 4))))
        head = StagedHead(fit_scaling(inputs), weights, np.zeros(2), measured, last)
    columns = slice(place * own.shape[1], (place + 1) * own.shape[1])
    score = score_function(network, stored.labels[2], head, features=inputs[2], columns=columns)
    found = float(score(torch.from_numpy(patients[2])[None, None])[0].detach())
    assert found == pytest.approx(head.risk(inputs)[2], abs=1e-3)


def test_share_within_a_region():
    attribution = np.array([[[1.0, -1.0, 2.0]]])
    assert share_within(attribution, np.array([[[0, 1, 1]]])) == pytest.approx(0.75)
    assert np.isnan(share_within(np.zeros((1, 1, 3)), np.ones((1, 1, 3))))
