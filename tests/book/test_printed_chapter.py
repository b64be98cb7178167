"""Checks of print against print in chapter 00: known findings, and no finding that rounding explains."""

import numpy as np
import pandas as pd
import pytest

from npcbook.statistics import fit_firth_cox
from npcbook.words import COHORTS

COLUMNS = ["topic", "check", "printed", "recomputed", "verdict", "how sure"]
book = pytest.mark.book


CHAPTERS = ("00_printed_numbers", "00b_printed_sentences")


@pytest.fixture(scope="module")
def read(smoke_run):
    """Return the function that reads a table of chapters 00 and 00b, text as it stands."""

    def read_table(name, chapter=CHAPTERS[0], **options):
        return pd.read_csv(smoke_run / chapter / f"{name}.csv", keep_default_na=False, **options)

    return read_table


@book
def test_every_check_says_what_was_printed_what_was_found_and_how_sure(read):
    table = pd.concat([read("checks", chapter, dtype=str) for chapter in CHAPTERS])
    assert list(table.columns) == COLUMNS
    assert (table != "").all(axis=None)
    assert table["verdict"].str.match(r"^(reproduces|does not reproduce|depends on .+)$").all()
    assert set(table["how sure"]) == {"certain", "high", "moderate"}
    assert table.groupby("topic")["verdict"].count().to_dict() == {
        "5-year rates": 4, "Comparisons": 20, "Counts": 21, "Cut-offs": 5,
        "Estimate in the middle of its CI": 50, "Events behind a HR": 10, "Firth": 2, "Missing values": 2,
        "Network": 8, "Percentages": 16, "Pooled rates": 5, "Printed twice": 54, "Sub-cohort": 5,
        "T2N0 together": 3, "Table 1 p": 9, "Units and dates": 11, "Unseen patients": 16, "Wald p": 28,
        "p of a pair": 24,
    }  # fmt: skip


@book
def test_findings_on_t2n0_are_joined(read):
    """By hand: 4 and 7 of 105 are 3.8 % and 6.7 %; N1 against N0 leaves 1/0.725² / 0.954 = 2.0 events."""
    table = read("tables/t2n0").set_index("check")["recomputed"]
    assert "2 in N0; Firth 2" in table.tolist()
    assert "arms 2 by 5 years, Firth 4 over all follow-up" in table.tolist()
    assert (
        "4 metastases and 7 deaths in 105" in table["Both pooled rates as shares of one number of patients"]
    )
    pooled = read("tables/rates").set_index("check").loc["T2N0, 5-year DMFS: pool of the two arms"]
    assert "at most 2 events together, leave the pool no less than 96.8" in pooled["recomputed"]
    assert pooled["how sure"] == "certain"


@book
def test_a_centred_radiomic_score_cannot_have_the_printed_cut_off(read):
    """By hand: C 0.66 is a spread of 0.64; 5.245 of them leave less than 2 % beyond (Cantelli)."""
    table = read("tables/cutoffs", CHAPTERS[1]).set_index("check")["verdict"]
    assert table.index[table != "reproduces"].tolist() == ["Radiomics (combined)", "DL (combined)"]


@book
def test_words_of_comparison_are_held_against_their_numbers(read):
    checks = read("checks", CHAPTERS[1]).set_index("check")
    compared = checks[checks["topic"] == "Comparisons"]["verdict"]
    assert compared.index[compared != "reproduces"].tolist() == [
        "T2N0 superior, 5-year OS, %", "EBV DNA detectable, limits 1000 and 500",
    ]  # fmt: skip
    assert checks.at["Channels of each of three tensors", "recomputed"].startswith(
        "after 5 doublings: 192 filters"
    )
    assert checks.at["28–33 fractions, five a week: weeks", "verdict"] == "reproduces"
    assert checks.at["Follow-up, months, training", "recomputed"] == "at most 162 by the calendar"


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
def test_three_p_values_fit_no_plausible_correlation(read):
    table = read("tables/pairs_all", na_values={"r_low": "", "r_high": ""})
    odd = table[table["verdict"] != "reproduces"]
    assert odd["r_low"].isna().tolist() == [True, False, False]
    # DC against DL: 0.865 to 0.87 and 0.84 in the middle of their limits.
    assert odd["r_high"].iloc[-1] == pytest.approx(-0.867, abs=0.002)
    known = table.dropna(subset="r_low")
    assert known[["r_low", "r_high"]].stack().between(-1, 1).all()


@book
def test_the_sub_cohort_closes_only_with_radiotherapy_alone(read):
    verdicts = read("tables/subcohort")["verdict"].tolist()
    assert verdicts[:3] == ["does not reproduce", "reproduces", "reproduces"]
