"""Checks of print against print: known findings, and no finding that rounding explains."""

import numpy as np
import pytest

from npcbook.paper import checks as printed_checks
from npcbook.paper.checks import (
    COLUMNS,
    check_correlations,
    check_event_bounds,
    check_firth,
    check_intervals,
    check_subcohort,
    events_by_rate,
    events_by_row,
    firth_splits,
)
from npcbook.statistics.firth import fit_firth_cox
from npcbook.words import COHORTS

CHECKS = [name for name in printed_checks.__all__ if name.startswith("check_")]


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_says_what_was_printed_what_was_found_and_how_sure(name):
    table = getattr(printed_checks, name)()
    assert list(table.columns)[:6] == COLUMNS
    assert (table[COLUMNS] != "").all(axis=None)
    assert table["verdict"].str.match(r"^(reproduces|does not reproduce|depends on .+)$").all()
    assert set(table["how sure"]) <= {"certain", "high", "moderate"}


def test_every_estimate_lies_in_the_middle_of_its_interval():
    table = check_intervals()
    assert (table["verdict"] == "reproduces").all()


def test_one_event_per_arm_and_nothing_else_explains_the_t2n0_hazard_ratios():
    table = check_firth()
    assert table[["events high", "events low"]].to_numpy().tolist() == [[1, 1], [1, 1]]
    for cohort in COHORTS:
        splits = firth_splits(cohort)
        assert splits["reproduces"].sum() == 1
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


def test_only_the_rc_hazard_ratios_need_more_events_than_there_can_be():
    table = check_event_bounds()
    odd = table[table["verdict"] != "reproduces"]["check"]
    assert odd.str.startswith("RC").all()
    assert len(odd) == 2


def test_rows_of_table_2_agree_on_the_events():
    events = events_by_row()
    assert events["events_low"].between(38, 44).all()
    assert (events["fewest"] <= events["events_high"]).all()


def test_events_by_five_years_follow_from_the_survival_rates():
    events = events_by_rate().set_index(["cohort", "endpoint"])
    # Without any loss before five years, 6.5 % of 575 patients are 37.4 events.
    assert events.at[("training", "5-year DMFS"), "most"] == 37
    assert (events["fewest"] <= events["most"]).all()


def test_one_p_value_fits_no_correlation_and_two_only_a_negative_one():
    table = check_correlations()
    assert table["r_low"].isna().sum() == 1
    assert table["verdict"].str.startswith("depends on a correlation of −").sum() == 2
    known = table.dropna(subset="r_low")
    assert known["r_low"].between(-1, 1).all()
    assert known["r_high"].between(-1, 1).all()


def test_the_sub_cohort_closes_only_with_radiotherapy_alone():
    verdicts = check_subcohort()["verdict"].tolist()
    assert verdicts[:3] == ["does not reproduce", "reproduces", "reproduces"]
