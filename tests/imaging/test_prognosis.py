"""A network is trained on for metastasis, out of fold, and read back as it was."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from npcbook.imaging.heads import merge_heads
from npcbook.imaging.network import NetworkSettings, UNet3d
from npcbook.imaging.prognosis import (
    PrognosisSettings,
    load_encoder,
    pooled_bottleneck,
    train_on_metastasis,
)
from npcbook.imaging.trained import TrainedNetwork, load_network, save_network

SETTINGS = PrognosisSettings(frozen_levels=1, epochs=6, batch_size=16, learning_rate=3e-3)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Return an untrained network, and pictures in which those with an event are brighter in the middle."""
    file = tmp_path_factory.mktemp("network") / "network.safetensors"
    torch.manual_seed(0)
    network = UNet3d(NetworkSettings(width="tiny", grid=(4, 16, 16)))
    save_network(file, TrainedNetwork(network, pd.DataFrame({"epoch": [1]})))
    rng = np.random.default_rng(1)
    event = (rng.random(120) < 0.3).astype(int)
    images = rng.normal(size=(120, 4, 16, 16)).astype(np.float32)
    images[:, :, 5:11, 5:11] += 2.0 * event[:, None, None, None]
    fold = np.where(np.arange(120) < 90, np.arange(120) % 3, -1)
    return file, images, event, fold


@pytest.fixture(scope="module")
def trained(given, tmp_path_factory):
    """Return the network after training, and where it is kept."""
    path = tmp_path_factory.mktemp("kept") / "t1w.safetensors"
    return train_on_metastasis(path, *given, settings=SETTINGS), path


def test_it_learns_what_shows_metastasis(given, trained):
    _, _, event, fold = given
    risk, held = trained[0].head.risk(trained[0].pooled), fold < 0
    assert risk[held & (event == 1)].mean() > risk[held & (event == 0)].mean() + 0.1
    seen = event[fold >= 0]
    assert trained[0].risk_out_of_fold[seen == 1].mean() > trained[0].risk_out_of_fold[seen == 0].mean()


def test_the_outermost_levels_stay_and_deeper_ones_do_not(given, trained):
    before, after = load_network(given[0]).network.state_dict(), trained[0].network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("down.0."))
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("down.1."))


def test_outcomes_of_other_patients_do_not_matter(given, trained, tmp_path):
    file, images, event, fold = given
    other = np.where(fold < 0, 1 - event, event)
    again = train_on_metastasis(tmp_path / "again.safetensors", file, images, other, fold, settings=SETTINGS)
    np.testing.assert_array_equal(again.pooled, trained[0].pooled)


@pytest.mark.parametrize("number", range(3))
def test_an_out_of_fold_risk_does_not_know_the_patients_own_outcome(given, tmp_path, number):
    file, images, event, fold = given
    settings = replace(SETTINGS, epochs=1)  # with several, outcomes choose among them
    pooled = []
    for name, outcome in (("as is", event), ("turned round", np.where(fold == number, 1 - event, event))):
        path = tmp_path / f"{name}.safetensors"
        found = train_on_metastasis(path, file, images, outcome, fold, settings=settings)
        pooled.append(found.pooled_by_fold)
    same = [np.array_equal(*pair) for pair in zip(*pooled, strict=True)]
    assert same == [other == number for other in range(3)]


def test_micro_batches_change_nothing_but_rounding(given, trained, tmp_path):
    settings = replace(SETTINGS, micro_batch=5)
    again = train_on_metastasis(tmp_path / "again.safetensors", *given, settings=settings)
    np.testing.assert_allclose(again.pooled, trained[0].pooled, atol=1e-3)


def test_it_is_read_back_as_it_was(given, trained):
    network, images = load_encoder(trained[1]), given[1]
    np.testing.assert_allclose(pooled_bottleneck(network, images), trained[0].pooled, atol=1e-5)


def test_at_least_one_level_must_learn(given, tmp_path):
    with pytest.raises(ValueError, match="3 levels"):
        train_on_metastasis(tmp_path / "x.safetensors", *given, settings=PrognosisSettings(frozen_levels=3))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, 0) for name in ("epochs", "batch_size", "micro_batch", "learning_rate")],
        *[(name, -1) for name in ("frozen_levels", "weight_decay", "seed")],
        *[("learning_rate", float(text)) for text in ("nan", "inf")],
        *[("device", text) for text in ("gpu", "")],
    ],
)
def test_settings_that_cannot_be_are_refused_in_a_sentence(name, value):
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}; it must be .*\.$"):
        PrognosisSettings(**{name: value})


def test_merged_heads_have_the_mean_log_odds(trained):
    head, pooled = trained[0].head, trained[0].pooled
    other = merge_heads([head, head])
    np.testing.assert_allclose(other.risk(np.hstack([pooled, pooled])), head.risk(pooled), rtol=1e-5)
