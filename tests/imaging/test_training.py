"""Training: the loss, augmentation, learning, and ending the same after being killed."""

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from npcbook.imaging import features as features_module, training
from npcbook.imaging.features import extract_features, features_table, region_features, segment_patients
from npcbook.imaging.grids import restore_grid
from npcbook.imaging.network import NetworkSettings, UNet3d
from npcbook.imaging.trained import TrainedNetwork, save_network
from npcbook.imaging.training import (
    TrainingSettings,
    augment,
    dice_loss,
    segmentation_loss,
    stable_after,
    train_segmentation,
)
from npcbook.imaging.volumes import STEPS, Volume, load_volume, read_mask, store_volume
from npcbook.store import write_sealed

NETWORK = NetworkSettings(width="tiny", grid=(8, 16, 16))
NAME = "network.safetensors"
SETTINGS = TrainingSettings(
    epochs=3,
    batch_size=4,
    learning_rate=5e-3,
    schedule="one cycle",
    loss="dice and cross-entropy",
    rotation_degrees=5,
    blur_voxels=0.3,
    monitor_fraction=0.2,
    seed=3,
)


def patients(n=20, seed=0):
    """Return noisy pictures with a bright tumour and a less bright node, and their contours."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((n, 8, 16, 16), np.uint8)
    for mask in labels:
        z, y, x = 1 + rng.integers(0, 4, 3)
        mask[z : z + 4, y : y + 6, x : x + 6] = 1
        mask[z : z + 2, y + 7 : y + 11, x + 7 : x + 10] = 2
    images = rng.normal(size=labels.shape) * 0.3 + np.array([0, 3, 1.5])[labels]
    return images.astype(np.float32), labels


def test_dice_loss_by_hand():
    labels = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    labels[0, 0, 0] = torch.tensor([1, 2])
    logits = torch.full((1, 3, 1, 2, 2), -50.0)
    logits[0, 0, 0, 1] = logits[0, 1, 0, 0, 0] = logits[0, 2, 0, 0, 1] = 50.0
    assert dice_loss(logits, labels).item() == pytest.approx(0, abs=1e-4)
    even = torch.zeros(1, 3, 1, 2, 2)
    # A third everywhere: 2 * 1/3 / (1 + 4/3) for either structure, 2 * 4/3 / (2 + 8/3) for both.
    expected = 1 - (2 * (2 / 3) / (7 / 3) + (8 / 3) / (14 / 3)) / 3
    assert dice_loss(even, labels).item() == pytest.approx(expected, abs=1e-4)


def test_dice_loss_equals_its_formula():
    logits, labels = torch.randn(3, 3, 4, 8, 8), torch.randint(0, 3, (3, 4, 8, 8), dtype=torch.uint8)
    overlaps = []
    for members in ([1], [2], [1, 2]):
        predicted = logits.softmax(dim=1)[:, members].sum(dim=1)
        target = torch.isin(labels, torch.tensor(members)).float()
        overlaps.append((2 * (predicted * target).sum() + 1e-5) / ((predicted + target).sum() + 1e-5))
    expected = 1 - torch.stack(overlaps).mean().item()
    assert dice_loss(logits, labels).item() == pytest.approx(expected, abs=1e-6)
    both = segmentation_loss("dice and cross-entropy", logits, labels).item()
    entropy = torch.nn.functional.cross_entropy(logits, labels.long()).item()
    assert both == pytest.approx(expected + entropy, abs=1e-6)


def test_rotation_turns_picture_and_mask_together():
    labels = torch.zeros(1, 2, 20, 30, dtype=torch.uint8)
    labels[:, :, 5:15, 10:14] = 1
    images = labels[:, None].float()
    settings = TrainingSettings(rotation_degrees=30, blur_voxels=0)
    turned, mask = augment(images, labels, settings, rng=torch.Generator().manual_seed(2))
    assert not torch.equal(mask, labels)
    assert mask.sum().item() == pytest.approx(labels.sum().item(), rel=0.1)
    assert ((turned[:, 0] > 0.5) == (mask == 1)).float().mean() > 0.98


def test_rotation_by_a_known_angle_keeps_shape(monkeypatch):
    # A quarter turn of a rectangle in a non-square picture must come out as the rectangle on its side.
    labels = torch.zeros(1, 1, 21, 31, dtype=torch.uint8)
    labels[:, :, 8:13, 11:20] = 1
    monkeypatch.setattr(torch, "rand", lambda *size, generator: torch.ones(*size))
    settings = TrainingSettings(rotation_degrees=90, blur_voxels=0)
    _, mask = augment(labels[:, None].float(), labels, settings, rng=None)
    rows, columns = torch.where(mask[0, 0] == 1)
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (9, 5)


def test_mirroring_exchanges_left_and_right_of_some_patients():
    labels = torch.zeros(16, 2, 8, 12, dtype=torch.uint8)
    labels[:, :, 2:5, 1:4] = 1
    images = labels[:, None].float()
    rng = torch.Generator().manual_seed(5)
    settings = TrainingSettings(rotation_degrees=0, blur_voxels=0, mirror=True)
    seen, mask = augment(images, labels, settings, rng=rng)
    is_mirrored = torch.tensor([torch.equal(m, labels[0].flip(-1)) for m in mask])
    assert 0 < is_mirrored.sum() < len(mask)
    assert torch.equal(mask[~is_mirrored], labels[~is_mirrored])
    torch.testing.assert_close(seen[:, 0], mask.float(), atol=1e-4, rtol=0)


def test_blur_keeps_the_mean_and_lowers_the_noise():
    images = torch.randn(2, 1, 4, 32, 32)
    labels = torch.zeros(2, 4, 32, 32, dtype=torch.uint8)
    settings = TrainingSettings(rotation_degrees=0, blur_voxels=2.0)
    blurred, same = augment(images, labels, settings, rng=torch.Generator().manual_seed(1))
    assert torch.equal(same, labels)
    assert blurred.std() < 0.8 * images.std()
    assert blurred.mean().item() == pytest.approx(images.mean().item(), abs=0.02)


def test_learns_and_sees_new_patients(tmp_path):
    images, labels = patients(40)
    settings = replace(SETTINGS, epochs=12)
    trained = train_segmentation(
        images, labels, network_settings=NETWORK, settings=settings, path=tmp_path / NAME
    )
    assert trained.history["monitor_dice"].iloc[-1] > 0.7
    features = extract_features(trained.network, patients(6, seed=9)[0])
    assert features.labels.shape == (6, 8, 16, 16)
    assert features.bottleneck.shape == (6, 16)
    assert np.isfinite(features.region.to_numpy()).all()


def test_a_network_that_starts_from_another_is_ahead_and_is_stored_as_its_own(tmp_path):
    data, options = patients(40), {"network_settings": NETWORK}
    first = train_segmentation(
        *data, settings=replace(SETTINGS, epochs=8), path=tmp_path / "first" / NAME, **options
    )
    before = {name: tensor.clone() for name, tensor in first.network.state_dict().items()}
    # Another sequence: the same patients with other contrast.
    other, settings = (0.5 * data[0] + 0.2, data[1]), replace(SETTINGS, epochs=2)
    cold = train_segmentation(*other, settings=settings, path=tmp_path / "other" / NAME, **options)
    warm = train_segmentation(
        *other, settings=settings, path=tmp_path / "other" / NAME, start=first.network, **options
    )
    assert warm.history["loss"].iloc[0] < cold.history["loss"].iloc[0]
    assert warm.history["monitor_dice"].iloc[-1] > cold.history["monitor_dice"].iloc[-1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in first.network.state_dict().items())
    wider = UNet3d(replace(NETWORK, width="small"))
    with pytest.raises(ValueError, match="start was built from"):
        train_segmentation(*other, settings=settings, path=tmp_path / NAME, start=wider, **options)


def test_features_are_kept_and_only_made_anew_for_other_images_or_a_damaged_file(tmp_path, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    torch.manual_seed(0)  # weights of their own at every call left rounding at the edge of the tolerance
    network, kept = UNet3d(NETWORK).eval(), tmp_path / "kept"
    save_network(tmp_path / NAME, TrainedNetwork(network, pd.DataFrame()))
    images = np.round(patients(10)[0] * STEPS) / STEPS
    files = [(tmp_path / f"{n}.npz", tmp_path / "masks" / f"{n}.nii.gz") for n in range(len(images))]
    for image, (path, _) in zip(images, files, strict=True):
        store_volume(path, Volume(image, None, (5.0, 2.0, 2.0)))
    made, again = [], features_module.extract_features
    monkeypatch.setattr(features_module, "extract_features", lambda *a, **k: made.append(1) or again(*a, **k))
    first = segment_patients(files, tmp_path / NAME, kept, plane_mm=None)
    seen = again(network, images)
    pd.testing.assert_frame_equal(first, features_table(seen), atol=1e-5)
    drawn = restore_grid(seen.probability[9], Volume(images[9], None, (5.0, 2.0, 2.0))).mask
    np.testing.assert_array_equal(read_mask(files[9][1]), drawn)
    assert len(made) == 2  # eight at once, and two
    files[9][1].unlink()
    found = segment_patients(files, tmp_path / NAME, kept, plane_mm=None)
    pd.testing.assert_frame_equal(found, first, check_exact=True)
    assert len(made) == 2
    assert files[9][1].exists()
    path = kept / "0.npz"
    path.write_bytes(path.read_bytes()[:-50])
    found = segment_patients(files, tmp_path / NAME, kept, plane_mm=None)
    pd.testing.assert_frame_equal(found, first, check_exact=True)
    store_volume(files[9][0], Volume(images[9] + 1, None, (5.0, 2.0, 2.0)))
    segment_patients(files, tmp_path / NAME, kept, plane_mm=None)
    assert len(made) == 4


def stop_in(monkeypatch, last: int):
    """Stop a training as the keyboard does, once an epoch has been stored."""
    save = training._save_checkpoint

    def stop(path, key, network, optimiser, history):
        save(path, key, network, optimiser, history)
        if len(history) == last:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save_checkpoint", stop)


def test_stopped_and_resumed_is_the_same_as_undisturbed(tmp_path, monkeypatch):
    data, options = patients(), {"network_settings": NETWORK, "settings": SETTINGS}
    whole = train_segmentation(*data, **options, path=tmp_path / "whole" / NAME)
    for last in (1, 2):
        with monkeypatch.context() as patch:
            stop_in(patch, last)
            with pytest.raises(KeyboardInterrupt):
                train_segmentation(*data, **options, path=tmp_path / "parts" / NAME)
    parts = train_segmentation(*data, **options, path=tmp_path / "parts" / NAME)
    pd.testing.assert_frame_equal(parts.history, whole.history)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, parts.network.state_dict()[name])
    assert not (tmp_path / "parts" / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    "damage", [lambda old: b"rubbish", lambda old: old[:-99], lambda old: old[:-9] + old[:9]]
)
def test_a_damaged_checkpoint_is_named_and_the_training_begins_anew(tmp_path, monkeypatch, capsys, damage):
    data, options = patients(), {"network_settings": NETWORK, "settings": replace(SETTINGS, epochs=2)}
    whole = train_segmentation(*data, **options, path=tmp_path / "whole" / NAME)
    with monkeypatch.context() as patch:
        stop_in(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train_segmentation(*data, **options, path=tmp_path / "parts" / NAME)
    checkpoint = tmp_path / "parts" / "checkpoint.pt"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    parts = train_segmentation(*data, **options, path=tmp_path / "parts" / NAME)
    assert f"{checkpoint} is damaged or was altered" in capsys.readouterr().err
    pd.testing.assert_frame_equal(parts.history, whole.history)


class Bomb:
    """What makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (os.fspath(self.path),)


def test_nothing_in_a_checkpoint_or_a_stored_image_is_executed(tmp_path):
    torch.save(Bomb(tmp_path / "made"), tmp_path / "c.pt")
    write_sealed(tmp_path / "c.pt", (tmp_path / "c.pt").read_bytes())
    with pytest.raises(pickle.UnpicklingError, match="Weights only"):
        training._resume(tmp_path / "c.pt", "key", None)
    store_volume(tmp_path / "v.npz", Volume(np.zeros((2, 3, 4), np.float32), None, (1.0, 1.0, 1.0)))
    with np.load(tmp_path / "v.npz") as stored:
        arrays = dict(stored) | {"spacing": np.array([Bomb(tmp_path / "made")], dtype=object)}
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_volume(tmp_path / "v.npz")
    assert not (tmp_path / "made").exists()


def test_a_damaged_network_is_trained_again(tmp_path):
    options = {"network_settings": NETWORK, "settings": replace(SETTINGS, epochs=1), "path": tmp_path / NAME}
    whole = train_segmentation(*patients(10), **options).network.state_dict()
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:-100])
    again = train_segmentation(*patients(10), **options).network.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_a_batch_in_parts_is_a_batch(tmp_path):
    data = patients(10)
    still = replace(SETTINGS, epochs=1, rotation_degrees=0, blur_voxels=0, loss="cross-entropy", batch_size=8)
    losses = [
        train_segmentation(
            *data,
            network_settings=NETWORK,
            settings=replace(still, micro_batch=size),
            path=tmp_path / str(size) / NAME,
        ).history["loss"]
        for size in (8, 2)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.slow
def test_two_devices_train_as_one_does(tmp_path):
    # 16 patients learn: parts of 2 in batches of 6, 6 and 4, so that the devices have unequal shares.
    settings = replace(SETTINGS, epochs=2, batch_size=6, micro_batch=2)
    one, two = (
        train_segmentation(
            *patients(),
            network_settings=NETWORK,
            settings=replace(settings, devices=n),
            path=tmp_path / str(n) / NAME,
        )
        for n in (1, 2)
    )
    np.testing.assert_allclose(two.history["loss"], one.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(two.history["monitor_dice"], one.history["monitor_dice"], atol=1e-3)
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(two.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_region_features_are_those_stored_and_lead_back_to_the_picture():
    torch.manual_seed(0)
    network = training.UNet3d(NETWORK).eval()
    images, _ = patients(3)
    features = extract_features(network, images)
    picture = torch.from_numpy(images)[:, None].requires_grad_()
    labels = torch.from_numpy(features.labels)
    names, values = region_features(network, picture, labels)
    assert names == features.region.columns.tolist()
    np.testing.assert_allclose(values.detach(), features.region, rtol=1e-4, atol=1e-4)
    # With a mask that holds nothing, too.
    for mask in (labels, torch.zeros_like(labels)):
        values = region_features(network, picture, mask)[1]
        gradient = torch.autograd.grad(values[0].sum(), picture)[0]
        assert torch.isfinite(gradient).all()
        assert gradient[0].abs().sum() > 0
        assert gradient[1:].abs().sum() == 0  # a patient's features are that patient's alone


def test_done_before_is_read_back_unless_anything_changed(tmp_path):
    data = patients(10)
    options = {"network_settings": NETWORK, "path": tmp_path / NAME}
    settings = replace(SETTINGS, epochs=1)
    train_segmentation(*data, settings=settings, **options)
    made = (tmp_path / NAME).stat().st_mtime_ns
    train_segmentation(*data, settings=settings, **options)
    assert (tmp_path / NAME).stat().st_mtime_ns == made
    train_segmentation(*data, settings=replace(settings, seed=4), **options)
    again = (tmp_path / NAME).stat().st_mtime_ns
    assert again > made
    train_segmentation(data[0] * 1.01, data[1], settings=replace(settings, seed=4), **options)
    assert (tmp_path / NAME).stat().st_mtime_ns > again


def test_a_loss_that_is_not_finite_stops_with_a_clear_message(tmp_path):
    images, labels = patients(8)
    images[:] = np.nan
    with pytest.raises(FloatingPointError, match="epoch 1, step 1"):
        train_segmentation(images, labels, network_settings=NETWORK, settings=SETTINGS, path=tmp_path / NAME)


def test_wrong_settings_and_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match="cross-entropy"):
        TrainingSettings(loss="mse")
    with pytest.raises(ValueError, match="epochs is 0; it must be a number of 1 or more"):
        TrainingSettings(epochs=0)
    with pytest.raises(ValueError, match="below 1"):
        TrainingSettings(monitor_fraction=1.0)
    with pytest.raises(ValueError, match="cpu, cuda"):
        TrainingSettings(device="gpu")
    with pytest.raises(ValueError, match="idle"):
        TrainingSettings(devices=2, batch_size=8, micro_batch=8)
    images, labels = patients(4)
    with pytest.raises(ValueError, match="8, 16, 16"):
        train_segmentation(
            images[:, :4], labels[:, :4], network_settings=NETWORK, settings=SETTINGS, path=tmp_path / NAME
        )


KILLED = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[2])
from dataclasses import replace
from pathlib import Path
import test_training as t
t.training.train_segmentation(
    *t.patients(60), network_settings=t.NETWORK, settings=replace(t.SETTINGS, epochs=8),
    path=Path(sys.argv[1]) / t.NAME)
"""


@pytest.mark.slow
def test_killed_and_resumed_is_the_same_as_undisturbed(tmp_path):
    here, checkpoint = str(Path(__file__).parent), tmp_path / "killed" / "checkpoint.pt"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

    def start(folder: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / folder), here], env=environment)

    process = start("killed")
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "network.safetensors").exists()
    assert start("killed").wait() == 0
    assert start("whole").wait() == 0
    killed, whole = (load_file(tmp_path / name / "network.safetensors") for name in ("killed", "whole"))
    assert all(torch.equal(killed[name], whole[name]) for name in whole)


def test_a_segmentation_is_stable_when_two_epochs_bring_no_more_than_the_margin():
    assert stable_after([0.2, 0.5, 0.7]) is None
    assert stable_after([0.2, 0.5, 0.7, 0.705, 0.709]) == 5
    assert stable_after([0.2, 0.7, 0.5, 0.69, 0.8]) == 4
    assert stable_after([0.2, 0.7, 0.5, 0.72]) is None


def test_training_until_stable_ends_with_a_rate_of_zero(monkeypatch):
    settings = TrainingSettings(epochs=20, schedule="until stable", learning_rate=1.0)
    done = [{"monitor_dice": dice} for dice in (0.5, 0.7, 0.7, 0.7)]
    assert training._last_epoch(settings, done[:2]) == 20
    assert training._last_epoch(settings, done) == 4 + training.COOL_DOWN
    rates = [
        training._rate(settings, done + [{"monitor_dice": 0.9}] * n, 0.5) for n in range(training.COOL_DOWN)
    ]
    assert 1 > rates[0] > rates[1] > rates[2] > 0
    assert training._rate(settings, done[:3], 0.0) == 1.0


def test_training_until_stable_watches_somebody():
    with pytest.raises(ValueError, match="kept out"):
        TrainingSettings(schedule="until stable", monitor_fraction=0)
