"""Numbers as text and tables as HTML."""

import re

import numpy as np
import pandas as pd
import pytest

from npcbook.book.tables import show


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


def test_no_line_ends_within_a_number():
    whole = ["0.83 ± 0.06", "−0.10 to 0.20", "3.7 (2.0–6.9) %", "49 / 351", "p < 0.05", "12 %", "up to 160"]
    (html,) = {show(pd.DataFrame({"x": whole}), caption="C.", label="L")._repr_html_()}
    assert " " not in "".join(re.findall(r"<td[^>]*>([^<]*)</td>", html)).replace("p ", "").replace("up ", "")
    assert (
        ">T2 (T1), 3 of 4<"
        in show(pd.DataFrame({"x": ["T2 (T1), 3 of 4"]}), caption="C.", label="L").to_html()
    )


def test_a_name_that_repeats_those_before_it_is_marked_in_the_leading_columns_only():
    df = pd.DataFrame({"cohort": list("aab"), "model": list("xxx"), "n": [1, 1, 1], "said": list("yyy")})
    html = show(df, caption="C.", label="L")._repr_html_()
    assert re.findall(r"(row\d) (col\d) repeated", html) == [("row1", "col0"), ("row1", "col1")]


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
