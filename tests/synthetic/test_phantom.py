"""The phantom: physics by hand, anatomy and stage by their definitions, latent variables by simple probes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from npcbook.synthetic import phantom
from npcbook.synthetic.phantom import (
    PROTOCOLS,
    SHIFTED_PROTOCOLS,
    TISSUES,
    Traits,
    build_anatomy,
    render_patient,
)
from npcbook.synthetic.probes import intensity_profile, probe_volumes

GRID = (16, 48, 48)
COARSE = (8, 32, 32)
TYPICAL = Traits("1", "T1", "N0", 0, size=0.0, heterogeneity=0.0, infiltration=0.0)


def anatomy_of(seed=0, grid=GRID, **changes):
    return build_anatomy(replace(TYPICAL, **changes), grid, np.random.default_rng(seed))


def volumes_of(seed=0, grid=GRID, **changes):
    return render_patient(replace(TYPICAL, **changes), grid, np.random.default_rng(seed))


def volume_ml(inside, spacing):
    return inside.sum() * np.prod(spacing) / 1000


# Physics


def test_spin_echo_signal_equals_the_equation_by_hand():
    tissue = phantom.Tissue("x", 0.8, (1000, 1400), (50, 40), 0.5, 0.0)
    plain = phantom.Protocol(1.5, 500, 10)
    assert phantom.spin_echo_signal(tissue, plain) == pytest.approx(0.8 * (1 - np.exp(-0.5)) * np.exp(-0.2))
    relax_1, relax_2 = phantom.RELAXIVITY[1.5]
    t1, t2 = 1 / (1 / 1000 + relax_1 * 0.5e-3), 1 / (1 / 50 + relax_2 * 0.5e-3)
    expected = 0.8 * (1 - np.exp(-500 / t1)) * np.exp(-10 / t2)
    assert phantom.spin_echo_signal(tissue, replace(plain, contrast=True)) == pytest.approx(expected)


def test_signal_uses_the_relaxation_times_of_the_field():
    tissue = phantom.Tissue("x", 0.8, (1000, 1400), (50, 40), 0.5, 0.0)
    at_3 = phantom.spin_echo_signal(tissue, phantom.Protocol(3.0, 500, 10))
    assert at_3 == pytest.approx(0.8 * (1 - np.exp(-500 / 1400)) * np.exp(-10 / 40))


def test_fat_suppression_darkens_fat_only():
    plain, suppressed = PROTOCOLS["1"]["t2w"], replace(PROTOCOLS["1"]["t2w"], fat_suppression=0.8)
    ratio = {
        name: phantom.spin_echo_signal(TISSUES[name], suppressed)
        / phantom.spin_echo_signal(TISSUES[name], plain)
        for name in ("fat", "muscle")
    }
    assert ratio == pytest.approx({"fat": 0.2, "muscle": 1.0})


@pytest.mark.parametrize("center", PROTOCOLS)
def test_contrast_is_what_a_radiologist_expects(center):
    signal = {
        sequence: {name: phantom.spin_echo_signal(tissue, protocol) for name, tissue in TISSUES.items()}
        for sequence, protocol in PROTOCOLS[center].items()
    }
    t1w, t2w, cet1w = (signal[name] for name in ("t1w", "t2w", "cet1w"))
    assert max(t1w, key=t1w.get) == "fat"
    assert t1w["csf"] < t1w["muscle"]
    assert max(t2w, key=t2w.get) in ("csf", "vitreous", "fluid")
    assert t2w["muscle"] < t2w["tumour"] < t2w["csf"]
    assert cet1w["tumour"] / t1w["tumour"] > 1.6 > 1.3 > cet1w["muscle"] / t1w["muscle"]
    assert cet1w["poorly perfused tumour"] < cet1w["tumour"]


@pytest.mark.parametrize("center", PROTOCOLS)
def test_rendered_images_show_that_contrast(center):
    traits = replace(TYPICAL, center=center)
    flat = {center: {name: replace(p, coil=0.0) for name, p in PROTOCOLS[center].items()}}
    scale = PROTOCOLS[center]["t1w"].extent_scale
    anatomy = build_anatomy(traits, GRID, np.random.default_rng(2), extent_scale=scale)
    volumes = render_patient(traits, GRID, np.random.default_rng(2), protocols=flat)

    def median(sequence, name):
        pure = anatomy.fractions[phantom.TISSUE_NAMES.index(name)] > 0.9
        return np.median(volumes[sequence].image[pure])

    assert median("t1w", "fat") > 1.5 * median("t1w", "muscle")
    assert median("t2w", "csf") > 1.2 * median("t2w", "fat")
    # The receiver's gain may differ between the two; muscle, which hardly enhances, is the yardstick.
    uptake = {name: median("cet1w", name) / median("t1w", name) for name in ("tumour", "muscle")}
    assert uptake["tumour"] > 1.2 * uptake["muscle"]


def test_noise_in_air_is_rician():
    # With no signal the magnitude is Rayleigh: mean over standard deviation is 1.91.
    corner = volumes_of(1)["t2w"].image[:, :4, :4]
    assert corner.mean() / corner.std() == pytest.approx(1.913, rel=0.08)


# Anatomy and files


def test_tissue_fractions_are_fractions():
    anatomy = anatomy_of(t_stage="T2", n_stage="N1", rene=2)
    np.testing.assert_allclose(anatomy.fractions.sum(0), 1, atol=1e-4)
    assert anatomy.fractions.min() > -1e-5


def test_every_tissue_but_fluid_occurs_in_a_patient_with_nodes():
    total = anatomy_of(t_stage="T2", n_stage="N1", rene=1, grid=(32, 96, 96)).fractions.sum((1, 2, 3))
    missing = {name for name, amount in zip(TISSUES, total, strict=True) if amount < 1}
    assert missing <= {"fluid"}


def test_partial_volume_keeps_volumes_on_a_coarse_grid():
    def white_matter(grid):
        anatomy = anatomy_of(grid=grid)
        return volume_ml(anatomy.fractions[phantom.TISSUE_NAMES.index("white matter")], anatomy.spacing)

    assert white_matter(GRID) == pytest.approx(white_matter((40, 128, 128)), rel=0.05)


def test_same_state_gives_the_same_volumes_and_another_does_not():
    first, again, other = volumes_of(4), volumes_of(4), volumes_of(5)
    for name in first:
        np.testing.assert_array_equal(first[name].image, again[name].image)
        np.testing.assert_array_equal(first[name].mask, again[name].mask)
        assert not np.array_equal(first[name].image, other[name].image)


def test_volumes_are_as_the_reader_gives_them():
    for volume in volumes_of(n_stage="N1").values():
        assert (volume.image.dtype, volume.mask.dtype) == (np.float32, np.uint8)
        assert volume.image.shape == volume.mask.shape == GRID
        assert (volume.image >= 0).all()
        np.testing.assert_allclose(np.array(volume.spacing) * GRID, phantom.EXTENT_MM)


def test_a_finer_grid_shows_the_same_patient():
    coarse, fine = (anatomy_of(6, grid, t_stage="T2", n_stage="N1") for grid in (GRID, (32, 96, 96)))
    for name in ("tumour_mm", "node_mm"):
        inside, within = getattr(coarse, name) < 0, getattr(fine, name) < 0
        centre = [np.mean(np.nonzero(m), axis=1) / m.shape for m in (inside, within)]
        np.testing.assert_allclose(*centre, atol=0.025)
        assert volume_ml(inside, coarse.spacing) == pytest.approx(volume_ml(within, fine.spacing), rel=0.25)


def test_anatomy_differs_between_patients_but_stays_anatomy():
    heads = [anatomy_of(seed, COARSE).fractions[phantom.TISSUE_NAMES.index("air")] < 0.5 for seed in range(8)]
    sizes = [head.sum() for head in heads]
    assert len(set(sizes)) == len(sizes)
    assert np.std(sizes) / np.mean(sizes) < 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t_stage": "T3"}, "t_stage is 'T3'; allowed are T1, T2"),
        ({"n_stage": "N2"}, "n_stage is 'N2'; allowed are N0, N1"),
        ({"rene": 1}, "rene is 1 with N0"),
        ({"center": "9"}, "center is '9'; protocols exist for 1, 2, 3"),
    ],
)
def test_impossible_patients_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        volumes_of(**changes)


# Disease


@pytest.mark.parametrize("t_stage", ["T1", "T2"])
def test_tumour_has_the_volume_of_its_size(t_stage):
    volumes = []
    for size in (-2, -1, 0, 1, 2):
        anatomy = anatomy_of(3, t_stage=t_stage, size=size)
        volumes.append(volume_ml(anatomy.tumour_mm < 0, anatomy.spacing))
    asked = phantom.EFFECTS.volume_ml[t_stage] * np.exp(phantom.EFFECTS.size_log_sd * np.arange(-2, 3))
    np.testing.assert_allclose(volumes, asked, rtol=0.05)


def test_t2_reaches_the_parapharyngeal_space_and_t1_does_not():
    def reach_mm(seed, t_stage):
        anatomy = anatomy_of(seed, t_stage=t_stage)
        columns = np.nonzero(anatomy.tumour_mm < 0)[2] - (GRID[2] - 1) / 2
        return np.abs(columns).max() * anatomy.spacing[2]

    confined = [reach_mm(seed, "T1") for seed in range(8)]
    extended = [reach_mm(seed, "T2") for seed in range(8)]
    assert max(confined) < 33
    assert min(extended) > max(20, np.median(confined))
    assert np.mean(extended) > np.mean(confined) + 6


def test_tumour_lies_at_the_nasopharynx():
    for seed in range(6):
        anatomy = anatomy_of(seed)
        centre = (
            np.mean(np.nonzero(anatomy.tumour_mm < 0), axis=1) - (np.array(GRID) - 1) / 2
        ) * anatomy.spacing
        assert np.abs(centre - (4, -8, 0)).max() < 20


def test_only_n1_has_nodes():
    for seed in range(4):
        assert all((v.mask != 2).all() for v in volumes_of(seed, COARSE).values())
        assert all((v.mask == 2).any() for v in volumes_of(seed, n_stage="N1").values())


def test_coalescent_nodes_are_one_mass():
    for seed in range(4):
        anatomy = anatomy_of(seed, grid=(32, 96, 96), n_stage="N1", rene=1)
        cervical = anatomy.node_mm < 0
        cervical[:, :, 36:60] = False  # retropharyngeal nodes are separate
        sizes = np.bincount(ndimage.label(cervical)[0].ravel())[1:]
        assert sizes.max() / sizes.sum() > 0.95


def test_g2_nodes_infiltrate_what_lies_around_them():
    def around(rene):
        total = 0
        for seed in range(4):
            anatomy = anatomy_of(seed, n_stage="N1", rene=rene)
            near = (anatomy.node_mm > 2) & (anatomy.node_mm < 6) & (anatomy.tumour_mm > 25)
            total += anatomy.fractions[phantom.TISSUE_NAMES.index("infiltrated tissue")][near].mean()
        return total / 4

    assert around(2) > 0.1 > around(1)


def test_contours_are_imperfect_by_the_error_asked_for(monkeypatch):
    def dice(error):
        effects = replace(phantom.EFFECTS, contour_error_mm=error, motion_mm=0.0)
        monkeypatch.setattr(phantom, "EFFECTS", effects)
        traits = replace(TYPICAL, t_stage="T2")
        truth = build_anatomy(traits, GRID, np.random.default_rng(1)).tumour_mm < 0
        drawn = render_patient(traits, GRID, np.random.default_rng(1))["t2w"].mask == 1
        return 2 * (truth & drawn).sum() / (truth.sum() + drawn.sum())

    assert dice(0.0) == 1
    assert 0.8 < dice(1.0) < 1
    assert dice(3.0) < dice(1.0)


def test_infiltration_lies_outside_the_contour():
    for seed in range(4):
        anatomy = anatomy_of(seed, t_stage="T2", infiltration=1.0)
        drawn = volumes_of(seed, t_stage="T2", infiltration=1.0)["cet1w"].mask == 1
        assert anatomy.infiltration[drawn].sum() < 0.1 * anatomy.infiltration.sum()
        assert (anatomy.infiltration[anatomy.tumour_mm < -anatomy.spacing[1] / 2] == 0).all()


def test_infiltration_and_heterogeneity_change_nothing_but_their_own_region():
    base = anatomy_of(2)
    spread, coarser = anatomy_of(2, infiltration=2.0), anatomy_of(2, heterogeneity=2.0)
    deep, far = base.tumour_mm < -3, base.tumour_mm > 3
    np.testing.assert_allclose(base.fractions[:, deep], spread.fractions[:, deep], atol=1e-5)
    np.testing.assert_allclose(base.fractions[:, far], coarser.fractions[:, far], atol=1e-5)
    assert spread.infiltration.sum() > 2 * base.infiltration.sum()


# What the picture carries of the latent variables: simple probes, by hand


@pytest.fixture(scope="module")
def probes():
    rng = np.random.default_rng(11)
    rows = []
    for seed in range(100):
        size, heterogeneity, infiltration = rng.standard_normal(3)
        traits = Traits("1", rng.choice(["T1", "T2"]), "N0", 0, size, heterogeneity, infiltration)
        measured = probe_volumes(render_patient(traits, (16, 64, 64), np.random.default_rng([seed, 1])))
        rows.append((heterogeneity, infiltration, measured.inside, measured.rim))
    return np.corrcoef(np.array(rows).T)


def test_variation_inside_the_contour_shows_heterogeneity(probes):
    assert 0.45 < probes[0, 2] < 0.9
    assert abs(probes[1, 2]) < 0.35


def test_enhancement_outside_the_contour_shows_infiltration(probes):
    assert 0.5 < probes[1, 3] < 0.9
    assert abs(probes[0, 3]) < 0.35


# Centres


def histograms(centers_of, protocols=PROTOCOLS, patients=10):
    features = []
    for center in centers_of:
        for seed in range(patients):
            rng = np.random.default_rng([seed, int(center)])
            volumes = render_patient(replace(TYPICAL, center=center), COARSE, rng, protocols=protocols)
            features.append(intensity_profile(volumes))
    return np.array(features)


def test_raw_histograms_tell_the_centre():
    features = histograms(PROTOCOLS)
    features = (features - features.mean(0)) / features.std(0)
    center = np.repeat(list(PROTOCOLS), 10)
    assert cross_val_score(LogisticRegression(), features, center, cv=5).mean() > 0.9


def test_the_shifted_scanner_is_another_scanner():
    usual, shifted = histograms(["2"], patients=4), histograms(["2"], SHIFTED_PROTOCOLS, patients=4)
    assert np.abs(usual.mean(0) - shifted.mean(0)).min() > 0
    assert (shifted.mean(0) < usual.mean(0)).all()
