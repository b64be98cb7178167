"""Checks of print against print in chapter 00: known findings, and no finding that rounding explains."""

import numpy as np
import pandas as pd
import pytest

from npcbook.statistics import fit_firth_cox
from npcbook.words import COHORTS

COLUMNS = ["topic", "check", "printed", "recomputed", "verdict", "how sure"]
book = pytest.mark.book


@pytest.fixture(scope="module")
def read(smoke_run):
    """Return the function that reads a table of chapter 00, text as it stands."""
    folder = smoke_run / "00_printed_numbers"
    return lambda name, **options: pd.read_csv(folder / f"{name}.csv", keep_default_na=False, **options)


@book
def test_every_check_says_what_was_printed_what_was_found_and_how_sure(read):
    table = read("checks", dtype=str)
    assert list(table.columns) == COLUMNS
    assert (table != "").all(axis=None)
    assert table["verdict"].str.match(r"^(reproduces|does not reproduce|depends on .+)$").all()
    assert set(table["how sure"]) == {"certain", "high", "moderate"}
    assert table.groupby("topic")["verdict"].count().to_dict() == {
        "5-year rates": 4, "Counts": 21, "Estimate in the middle of its CI": 50, "Events behind a HR": 10,
        "Firth": 2, "Missing values": 2, "Percentages": 16, "Pooled rates": 3, "Printed twice": 54,
        "Settings": 3, "Sub-cohort": 5, "Table 1 p": 9, "Wald p": 28, "p of a pair": 24,
    }  # fmt: skip


@book
def test_table_1_was_tested_as_the_chapter_says(read):
    """By hand from the counts of N category: Pearson 0.31, where 0.32 is printed."""
    table = read("tables/table1_tests").set_index("check")
    assert table.at["Sex", "recomputed"] == "Pearson 0.28, Yates 0.31, Fisher 0.30"
    odd = table.index[table["verdict"] == "does not reproduce"]
    assert odd.tolist() == ["N category", "rENE"]
    assert table.at["LDH", "verdict"] == "depends on counting the unknown as a level"


@book
def test_every_estimate_lies_in_the_middle_of_its_interval(read):
    assert (read("tables/intervals_all")["verdict"] == "reproduces").all()


@book
def test_one_event_per_arm_and_nothing_else_explains_the_t2n0_hazard_ratios(read):
    splits = read("tables/firth_splits_all")
    fits = splits[splits["reproduces"]]
    assert fits[["cohort", "events high", "events low"]].to_numpy().tolist() == [[c, 1, 1] for c in COHORTS]
    assert not splits["wald limits reproduce"].any()


def test_firths_fit_of_64_patients_with_one_event_per_arm_is_the_printed_line():
    # 13 high-risk patients, of whom the one event comes late; 51 low-risk patients, four lost in between.
    time = np.repeat([30.0, 60, 10, 20, 60], [1, 12, 1, 4, 46])
    event = np.repeat([1, 0, 1, 0, 0], [1, 12, 1, 4, 46])
    high = np.repeat([1.0, 0.0], [13, 51])
    fit = fit_firth_cox(time, event, high)
    found = [float(np.ravel(value)[0]) for value in (fit.hr, fit.hr_low, fit.p_value)]
    assert [round(value, 2) for value in found] == [3.73, 0.30, 0.27]
    assert float(np.ravel(fit.hr_high)[0]) == pytest.approx(45.93, rel=0.001)


@book
def test_only_the_rc_hazard_ratios_need_more_events_than_there_can_be(read):
    table = read("tables/event_bounds")
    odd = table[table["verdict"] != "reproduces"]["check"]
    assert odd.str.startswith("RC").all()
    assert len(odd) == 2


@book
def test_rows_of_table_2_agree_on_the_events(read):
    table = read("tables/events_by_row")
    ends = table["events"].str.split(" to ", expand=True).astype(float)
    assert len(table) == 6
    assert ends.stack().between(38, 44).all()


@book
def test_events_by_five_years_follow_from_the_survival_rates(read):
    events = read("tables/events_by_rate").set_index(["cohort", "endpoint"])
    # Without any loss before five years, 6.5 % of 575 patients are 37.4 events.
    assert events.at[("training", "5-year DMFS"), "most"] == 37
    assert (events["fewest"] <= events["most"]).all()


@book
def test_one_p_value_fits_no_correlation_and_two_only_a_negative_one(read):
    table = read("tables/pairs_all", na_values={"r_low": "", "r_high": ""})
    assert table["r_low"].isna().sum() == 1
    assert table["verdict"].str.startswith("depends on a correlation of −").sum() == 2
    known = table.dropna(subset="r_low")
    assert known[["r_low", "r_high"]].stack().between(-1, 1).all()


@book
def test_the_sub_cohort_closes_only_with_radiotherapy_alone(read):
    verdicts = read("tables/subcohort")["verdict"].tolist()
    assert verdicts[:3] == ["does not reproduce", "reproduces", "reproduces"]
