"""The datasheet says what the specification objects say, and its probes measure what they are named for."""

from dataclasses import dataclass, fields, is_dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from npcbook.book.figures import NODE, plot_slice, widest_slice
from npcbook.imaging.volumes import Volume
from npcbook.synthetic import phantom
from npcbook.synthetic.datasheet import (
    anatomy_table,
    changed_parameters,
    intensity_profile,
    parameter_table,
    probe_volumes,
    protocol_table,
    tissue_table,
)
from npcbook.synthetic.patients import TRAINING, HazardRatios, specification

SPECIFICATIONS = [
    specification(),
    TRAINING,
    HazardRatios(),
    phantom.EFFECTS,
    phantom.PROTOCOLS["1"]["t1w"],
]


@pytest.mark.parametrize("instance", SPECIFICATIONS, ids=lambda instance: type(instance).__name__)
def test_every_parameter_is_listed_with_its_meaning(instance):
    table = parameter_table(instance)
    plain = [f.name for f in fields(instance) if not is_dataclass(getattr(instance, f.name))]
    assert table["parameter"].tolist() == plain
    assert (table["meaning"].str.len() > 10).all()


def test_an_undocumented_parameter_is_an_error():
    @dataclass
    class Bare:
        """Nothing said.

        Attributes
        ----------
        first : float
            Said.
        """

        first: float = 1.0
        second: float = 2.0

    with pytest.raises(ValueError, match=r"Bare\.second is not documented"):
        parameter_table(Bare())


def test_changed_parameters_are_those_that_changed():
    base = specification()
    assert changed_parameters(base, base).empty
    other = replace(base, stopping=0.5, hr=replace(base.hr, size=1.0))
    changed = changed_parameters(base, other).set_index("parameter")
    assert changed.to_dict("index") == {
        "stopping": {"base": "0.28", "other": "0.5"},
        "hr.size": {"base": "1.25", "other": "1"},
    }


def test_tables_of_the_phantom_leave_nothing_out():
    assert tissue_table(phantom.PROTOCOLS["1"])["tissue"].tolist() == list(phantom.TISSUES)
    protocols = protocol_table(phantom.PROTOCOLS)
    assert len(protocols) == sum(len(sequences) for sequences in phantom.PROTOCOLS.values())
    listed = ", ".join(anatomy_table()["structures"]).split(", ")
    assert {s.name for s in phantom.ANATOMY if not s.name.endswith(" wall")} == set(listed)


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


def test_widest_slice_and_its_picture():
    volume = ball()["t1w"]
    assert volume.mask[widest_slice(volume)].sum() == volume.mask.sum((1, 2)).max()
    assert widest_slice(volume, NODE) == 6  # the middle one: there is none
    ax = plot_slice(volume, 6, title="T1W", half_mm=30)
    assert ax.get_title() == "T1W"
    top, bottom = ax.get_ylim()[1], ax.get_ylim()[0]
    assert top < bottom  # the front is up
    plt.close("all")
