"""Results print themselves, the same everywhere."""

import numpy as np
import pytest

from npcbook.statistics import compare_c, fit_cox, fit_firth_cox, harrell_c
from npcbook.statistics.printing import Difference


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 2))
    time = rng.exponential(30 * np.exp(-x[:, 0]))
    return np.minimum(time, 60), time < 60, x


def test_an_estimate_prints_itself_with_its_limits(cohort):
    time, event, x = cohort
    c = harrell_c(time, event, x[:, 0])
    assert f"{c}" == str(c) == f"{c.c:.2f} ({c.low:.2f}–{c.high:.2f})"
    assert f"{c:3}" == f"{c.c:.3f} ({c.low:.3f}–{c.high:.3f})"
    assert f"{c:1%}" == f"{100 * c.c:.1f} ({100 * c.low:.1f}–{100 * c.high:.1f})"
    difference = compare_c(time, event, x[:, 1], x[:, 0])
    assert str(difference).startswith("−")
    assert " to " in str(difference)


def test_a_limit_of_a_share_ends_at_one():
    assert str(harrell_c([1, 2, 3, 4, 5, 6], np.ones(6), [6, 5, 4, 3, 1, 2])).endswith("1.00)")


def test_a_fit_gives_its_hazard_ratios_by_name_and_number(cohort):
    time, event, x = cohort
    for fit, mark in ((fit_cox(time, event, x), ""), (fit_firth_cox(time, event, x), " †")):
        first = fit["x1"]
        assert first == fit[0]
        assert (first.hr, first.p_value) == (fit.hr[0], fit.p_value[0])
        assert str(first) == f"{first.hr:.2f} ({first.hr_low:.2f}–{first.hr_high:.2f}){mark}"
        assert str(fit) == f"{fit[0]}, {fit[1]}"
        assert fit.summary()["covariate"].tolist() == ["x1", "x2"]


def test_wald_test_of_a_difference_by_hand():
    got = Difference.of(0.2, 0.1)
    assert (got.z, got.low, got.high) == pytest.approx((2, 0.2 - 0.1959964, 0.2 + 0.1959964))
    assert got.p_value == pytest.approx(0.0455002639)
