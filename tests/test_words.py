"""The vocabulary: numbers as text, and colours that are those of the drawing library."""

import numpy as np
import pytest
import seaborn as sns

from npcbook.words import (
    LABELS,
    MODELS,
    PALETTE,
    STYLES,
    format_ci,
    format_estimate,
    format_hr,
    format_number,
    format_p,
    or_dash,
)


@pytest.mark.parametrize(
    ("p_value", "text"),
    [
        (0.0004, "<0.001"),
        (0.0496, "0.050"),
        (0.0123, "0.012"),
        (0.28, "0.28"),
        (0.996, ">0.99"),
        (None, "–"),
        (np.nan, "–"),
    ],
)
def test_p_values_keep_their_digits_where_decisions_are_taken(p_value, text):
    assert format_p(p_value) == text


def test_an_impossible_p_value_is_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1"):
        format_p(1.2)


def test_a_p_value_at_its_floor_is_a_bound():
    assert format_p(1 / 401, floor=1 / 401) == "≤0.003"
    assert format_p(1 / 2001, floor=1 / 2001) == "<0.001"
    assert format_p(2 / 401, floor=1 / 401) == "0.005"


def test_hazard_ratios_read_as_in_print_and_lose_empty_digits():
    assert format_hr(3.71, 2.0, 6.88) == "3.71 (2.00–6.88)"
    assert format_hr(16.05) == "16.05"
    assert format_hr(152.3, 12.5, np.inf) == "152 (12.50–>1000)"
    assert format_hr(np.nan) == "–"


def test_intervals_with_negative_limits_avoid_two_dashes():
    assert format_ci(-0.1, 0.2) == "−0.10 to 0.20"
    assert format_estimate(0.85, 0.78, 0.92) == "0.85 (0.78–0.92)"
    assert format_estimate(0.85, None, None) == "0.85"
    assert format_number(-np.inf) == "−∞"


def test_no_sign_is_lost_by_rounding_at_zero():
    assert format_number(-0.001) == "−0.001"
    assert format_number(-0.005) == "−0.01"  # not rounded to 0, so no further decimals
    assert format_ci(-0.0049, 0.06) == "−0.005 to 0.06"
    assert format_estimate(0.03, -0.0004, 0.06) == "0.03 (−0.0004 to 0.06)"
    assert format_number(-0.3, 0) == "−0.3"
    assert format_number(-1e-17) == format_number(-0.0) == "0.00"


def test_the_palette_is_seaborns_for_the_colour_blind():
    assert list(PALETTE) == sns.color_palette("colorblind").as_hex()


def test_every_model_has_a_name_and_a_style_of_its_own():
    assert set(MODELS) <= set(LABELS) & set(STYLES)
    assert len({STYLES[model] for model in MODELS}) == len(MODELS)


def test_no_result_is_a_dash():
    assert or_dash(None) == "–"
    assert or_dash(0.5) == "0.5"
