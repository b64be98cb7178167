"""Numbers as text and tables as HTML."""

import re

import numpy as np
import pandas as pd
import pytest

from npcbook.book.tables import attempt, list_reasons, show
from npcbook.words import format_ci, format_count, format_estimate, format_hr, format_number, format_p


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
    assert format_number(-0.001) == "0.00"
    assert format_number(-np.inf) == "−∞"
    assert format_count(0, 0) == "0"
    assert format_count(395, 575) == "395 (68.7 %)"


@pytest.fixture
def df():
    return pd.DataFrame({"name": ["<b>a</b>", None], "value": [1.23456, np.nan], "n": [3, 40]}, index=[7, 7])


def test_a_table_carries_caption_and_label_and_escapes_its_cells(df):
    text = show(df, caption="Events & arms.", label="Synthetic cohort")._repr_html_()
    assert "Events &amp; arms. <strong>Synthetic cohort</strong></span></caption>" in text
    assert "&lt;b&gt;a&lt;/b&gt;" in text
    assert "<b>" not in text
    assert ">1.23<" in text
    assert text.count(">–<") == 2


def test_ranges_stay_on_one_line_in_the_page_only():
    table = show(pd.DataFrame({"hr": ["3.71 (2.00–6.88)", "5 (1–>1000)"]}), caption="C.", label="L")
    assert table._repr_html_().count("–\u2060") == 2
    assert "\u2060" not in repr(table)


def cells(column):
    html = show(pd.DataFrame({"x": column}), caption="C.", label="L")._repr_html_()
    return re.findall(r"<td[^>]*>([^<]*)</td>", html)


def test_numbers_of_a_column_have_the_same_decimals():
    assert cells([0.92, 0.81, 0.6]) == ["0.92", "0.81", "0.60"]
    assert cells([0.89, 0.881204]) == ["0.890", "0.881"]
    assert cells([46.0044, 45.9, np.nan]) == ["46.0", "45.9", "–"]
    assert cells([4.0, 15.0, 0.0]) == ["4", "15", "0"]
    assert cells([1395, 205451]) == ["1,395", "205,451"]
    assert cells([-0.00096, 0.0024]) == ["−0.001", "0.002"]


def test_empty_cells_are_dashes_and_empty_columns_are_left_out():
    assert cells(["a", "", None]) == ["a", "–", "–"]
    table = show(pd.DataFrame({"n": [1, 2], "note": ["", None]}), caption="C.", label="L")
    assert "note" not in table._repr_html_() + repr(table)


def test_backticks_are_code():
    table = show(pd.DataFrame({"set by": ["`grid` <b>"]}), caption="C.", label="L")
    assert "<code>grid</code> &lt;b&gt;" in table._repr_html_()


def test_the_same_table_gives_the_same_html_and_plain_text(df):
    first, second = (show(df, caption="C.", label="L") for _ in range(2))
    assert first._repr_html_() == second._repr_html_()
    assert repr(first) == repr(second)
    assert "0x" not in repr(first)
    assert show(df, caption="D.", label="L")._repr_html_() != first._repr_html_()


def test_an_empty_table_still_shows_its_columns():
    assert "value" in show(pd.DataFrame({"value": []}), caption="None.", label="L")._repr_html_()


def test_what_has_no_estimate_is_listed_with_its_reason():
    assert list_reasons({}).iloc[0].tolist() == ["none", "every estimate could be had"]
    notes = {}
    assert attempt(notes, "a number", float, "no number") is None
    assert list_reasons(notes)["estimate"].tolist() == ["a number"]
    assert "no number" in list_reasons(notes)["why there is none"].iloc[0]
