"""The paper's printed numbers, and a run's values beside them."""

import math

import pandas as pd
import pytest

from npcbook.paper import (
    Interval,
    check_id,
    compare,
    ledger,
    lookup,
    pair_correlation,
    parse_number,
    printed_interval,
    printed_wald,
    read_claims,
    read_published,
    read_register,
)
from npcbook.store import project_path

FOLDER = project_path("data/published")
ROWS = {"table1": 108, "table2": 18, "table3": 12, "table4": 28, "text": 126, "methods": 86}
CHAPTERS = {
    "",
    "01_cohorts",
    "02_segmentation",
    "03_dl_training",
    "04_radiomics",
    "05_cox_models",
    "06_km",
    "07_subgroups",
    "08_ccnd",
}


@pytest.fixture
def df():
    return read_published().set_index("id", drop=False)


def values(*rows):
    return pd.DataFrame(rows, columns=["id", "track", "value", "low", "high", "p_value"])


def test_every_file_has_its_rows_and_every_id_is_used_once(df):
    counted = {name: len(pd.read_csv(FOLDER / f"{name}.csv", dtype=str)) for name in ROWS}
    assert counted == ROWS
    assert df["id"].is_unique
    assert df["id"].str.fullmatch(r"(table[1-4]|text)(\.[a-z0-9_]+)+").all()
    assert set(df["chapter"]) == CHAPTERS


def test_every_printed_number_stands_in_its_context(df):
    for column in ("printed", "low_printed", "high_printed", "p_printed"):
        for number, context in zip(df[column], df["context"], strict=True):
            assert number.lstrip("<>") in context
    assert (df["printed"] != "").all()
    assert (df["context"].str.len() <= 125).all()


def test_repeated_numbers_point_at_a_row_that_repeats_nothing(df):
    targets = df.loc[df.loc[df["repeats"] != "", "repeats"]]
    assert (targets["repeats"] == "").all()


@pytest.mark.parametrize("cohort", ["training", "validation"])
def test_table_1_adds_up(df, cohort):
    levels = df[df["id"].str.fullmatch(rf"table1\.{cohort}\.[a-z0-9_]+\.n")]
    assert len(levels) == 20
    groups = {"sex": 2, "who": 2, "t": 2, "n": 2, "ldh": 3, "ebv": 3, "rene": 3, "chemotherapy": 3}
    start = 0
    for size in groups.values():
        part = levels["value"].iloc[start : start + size]
        assert part.sum() == df.at[f"table1.{cohort}.n", "value"]
        assert df.loc[part.index.str.removesuffix(".n") + ".percent", "value"].sum() == pytest.approx(
            100, abs=0.11
        )
        start += size


def test_printed_limits_enclose_their_estimate(df):
    limited = df[df["low"].notna() & df["value"].notna()]
    assert len(limited) > 60
    assert (limited["low"] < limited["value"]).all()
    assert (limited["value"] < limited["high"]).all()


@pytest.mark.parametrize(
    ("printed", "exact", "expected"),
    [
        ("0.27", False, (0.27, 0.265, 0.275)),
        ("–5.245", False, (-5.245, -5.2455, -5.2445)),
        ("100", False, (100, 99.5, 100.5)),
        ("110,400", True, (110400, 110400, 110400)),
        ("four", False, (4, 4, 4)),
        ("1E-4", True, (1e-4, 1e-4, 1e-4)),
        ("80.0", False, (80, 79.95, 80.05)),
    ],
)
def test_a_printed_number_stands_for_all_that_rounds_to_it(printed, exact, expected):
    assert parse_number(printed, exact=exact) == pytest.approx(expected)


def test_one_sided_numbers_and_text_have_no_value():
    assert parse_number("<0.001")[1:] == (0, 0.001)
    assert parse_number(">0.05")[1:] == (0.05, 1)
    assert all(map(math.isnan, parse_number("3.6.1")))
    assert all(map(math.isnan, parse_number("")))


def test_printed_numbers_are_read_by_id_with_their_rounding():
    assert printed_interval("table4.training.c_index.dc") == Interval(0.885, 0.895)
    assert printed_interval("table1.p.dmfs_5y").contains(0.7)
    wald = printed_wald("text.training.km_hr.dl_combined")
    assert wald.midpoint.overlaps(printed_interval("text.training.km_hr.dl_combined"))
    pair = "table4.validation.c_index."
    p_value = printed_interval(f"{pair}clinical", "p_value")
    implied = pair_correlation(f"{pair}clinical", f"{pair}radiomics_combined", p_value)
    # 0.02 apart with p 0.97: no correlation does it.
    assert not implied.is_possible
    assert implied.value.high < -1


def test_an_unknown_id_is_refused_with_the_nearest_ones():
    with pytest.raises(ValueError, match=r"table1\.training\.sex_male\.n"):
        check_id("table1.training.male.n")
    assert lookup("table4.training.c_index.dc")["value"] == 0.89


def test_comparison_shows_own_values_with_the_printed_decimals():
    own = values(
        ("table4.training.c_index.dc", "as published", 0.87654, 0.8, 0.95, 0.00001),
        ("table4.training.c_index.dc", "truth", 0.9, None, None, None),
        ("table4.training.c_index.dc_vs_dl_combined", "as published", 0.01, None, None, 0.044),
    )
    table = compare(own, "05_cox_models").set_index("what")
    row = table.loc["DC: C-index, training"]
    assert row["printed"] == "0.89 (0.84–0.94), p <0.001"
    assert row["as published, here"] == "0.88 (0.80–0.95), p <0.001"
    assert row["recommended, here"] == "–"
    assert row["truth"] == "0.90"
    assert table.loc["DC against DL (combined), C-index: p-value, training", "as published, here"] == "0.044"


def test_hazard_ratios_without_bound_are_not_spelled_out():
    own = values(("text.training.km_hr.dl_combined", "as published", 1179.78, 167.7, 149292.5, 1e-9))
    table = ledger(own).set_index("id")
    assert table.at["text.training.km_hr.dl_combined", "here"] == ">1000 (168–>1000), p <0.001"


def test_comparison_without_values_lists_the_chapters_printed_results():
    table = compare(pd.DataFrame([]), "03_dl_training")
    assert len(table) == 6
    assert (table["as published, here"] == "–").all()


def test_a_number_printed_twice_takes_its_value_from_either_row():
    table = ledger(values(("text.training.c_index.dl_combined", "as published", 0.8, None, None, None)))
    table = table.set_index("id")
    for published_id in (
        "table4.training.c_index.dl_combined",
        "text.training.c_index.dc_vs_dl_combined.dl_combined",
    ):
        assert table.at[published_id, "here"] == "0.80"
        assert table.at[published_id, "difference"] == pytest.approx(-0.05)


def test_the_ledger_holds_every_row_and_says_what_lies_in_the_printed_interval():
    own = values(
        ("table4.training.c_index.dc", "as published", 0.839, None, None, None),
        ("table4.training.c_index.rc", "as published", 0.9, None, None, None),
        ("table1.training.age", "as published", 44, None, None, None),
    )
    table = ledger(own).set_index("id")
    assert len(table) == sum(ROWS.values())
    # 0.84 is printed, so that 0.839 may be the limit itself.
    assert table.at["table4.training.c_index.dc", "in printed CI"] == "yes"
    assert table.at["table4.training.c_index.rc", "in printed CI"] == "no"
    assert table.at["table1.training.age", "in printed CI"] == "–"
    assert set(table["status"]) == {"compared", "not computed in this run", "setting", "from the literature"}


def test_only_what_could_have_failed_is_counted_as_agreement():
    own = values(
        ("text.training.km_hr.rc", "as published", 2.7, None, None, None),
        ("text.training.km_hr.dl_combined", "as published", 16, None, None, None),
        ("text.training.c_index.dc", "as published", 0.89, None, None, None),
        ("table4.training.c_index.dc_vs_dl_combined", "as published", 0.03, None, None, None),
    )
    table = ledger(own, not_counted={"text.training.km_hr.rc": "not of two groups"}).set_index("id")
    assert table.at["text.training.km_hr.dl_combined", "in printed CI"] == "yes"
    assert table.at["text.training.km_hr.dl_combined", "not counted"] == ""
    assert table.at["text.training.km_hr.rc", "in printed CI"] == "–"
    assert table.at["text.training.km_hr.rc", "not counted"] == "not of two groups"
    # Of a number that stands in two places the first counts.
    assert table.at["table4.training.c_index.dc", "in printed CI"] == "yes"
    assert table.at["text.training.c_index.dc", "in printed CI"] == "–"
    p_value = table.loc["table4.training.c_index.dc_vs_dl_combined"]
    assert math.isnan(p_value["difference"])
    assert p_value["not counted"] == "p-value"


def test_print_is_not_made_to_say_more_than_it_does(df):
    """No cohort stands beside the cut-offs, no unit beside the batch; thresholds keep their sign."""
    assert (df.loc[df["quantity"] == "cut-off", "cohort"] == "").all()
    assert df.at["text.methods.training.batch", "unit"] == ""
    assert df.at["table1.ebv_threshold.center1", "printed"] == "<1000"
    assert df.at["table1.ldh_threshold.center1", "printed"] == ">245"


def test_an_unknown_id_among_the_values_is_refused():
    with pytest.raises(ValueError, match="No printed number"):
        compare(values(("table9.x", "truth", 1, None, None, None)))


def test_claims_and_register_are_complete():
    claims = read_claims()
    for ids in claims["printed_tests"]:
        for published_id in ids.split():
            check_id(published_id)
    assert (claims[["claim", "source", "context", "needs", "finding"]] != "").all(axis=None)
    register = read_register()
    assert len(register) >= 17
    assert (register[["topic", "paper", "deposit", "book", "chapter"]] != "").all(axis=None)
