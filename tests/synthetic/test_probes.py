"""Probes measure what they are named for."""

from dataclasses import replace

import numpy as np
import pytest

from npcbook.imaging import Volume
from npcbook.synthetic.probes import intensity_profile, probe_volumes


def ball(*, inside_sd=0.0, rim=0.0, gain=1.0):
    """Make a patient with a tumour of 15 mm radius in tissue of one brightness."""
    rng = np.random.default_rng(0)
    z, y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in (12, 40, 40)), indexing="ij")
    distance = np.sqrt((5 * z) ** 2 + (3 * y) ** 2 + (3 * x) ** 2)
    mask = (distance < 15).astype(np.uint8)
    t1w = (np.where(distance < 45, 100.0, 1.0)).astype(np.float32)
    t2w = (t1w + mask * inside_sd * rng.standard_normal(mask.shape)).astype(np.float32)
    near = (distance >= 15) & (distance < 24)
    cet1w = (gain * t1w * np.where(near, np.exp(rim), 1.0)).astype(np.float32)
    return {
        name: Volume(image, mask, (5.0, 3.0, 3.0))
        for name, image in zip(("t1w", "t2w", "cet1w"), (t1w, t2w, cet1w), strict=True)
    }


def test_probes_of_a_ball_by_hand():
    measured = probe_volumes(ball(inside_sd=10.0, rim=0.3))
    assert measured.volume_ml == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.1)
    assert measured.inside == pytest.approx(np.log(0.1), abs=0.15)
    assert measured.rim == pytest.approx(0.3, abs=0.03)


def test_the_rim_does_not_depend_on_the_gain():
    plain, louder = (probe_volumes(ball(rim=0.2, inside_sd=5, gain=gain)) for gain in (1.0, 3.0))
    assert plain.rim == pytest.approx(louder.rim, abs=0.01)


def test_probes_of_an_empty_contour_are_missing():
    empty = {name: replace(v, mask=np.zeros_like(v.mask)) for name, v in ball().items()}
    measured = probe_volumes(empty)
    assert measured.volume_ml == 0
    assert np.isnan(measured.inside)
    assert np.isnan(measured.rim)


def test_standardised_profiles_do_not_depend_on_the_gain():
    plain = ball(inside_sd=5)
    louder = {name: replace(v, image=v.image * 7) for name, v in plain.items()}
    first, second = (intensity_profile(v, standardise=True) for v in (plain, louder))
    np.testing.assert_allclose(first, second, atol=1e-4)
    assert not np.allclose(intensity_profile(plain), intensity_profile(louder))
