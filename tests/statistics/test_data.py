import numpy as np
import pandas as pd
import pytest

from npcbook.statistics.data import (
    RiskSets,
    check_column,
    check_risks,
    check_survival,
    estimable_columns,
    event_table,
    read_design,
    survival_before,
)

TIME, EVENT, RISK = [1.0, 2.0, 3.0], [1, 0, 1], [0.2, 0.1, 0.3]


def test_arrays_come_back_typed_and_in_order():
    time, event, risk, other = check_survival(
        pd.Series(TIME, index=[7, 8, 9]),
        [True, False, True],
        risk=RISK,
        other=pd.Series([1, 2, 3], dtype="Int64"),
    )
    assert time.dtype == risk.dtype == other.dtype == np.float64
    assert event.dtype == bool
    assert time.tolist() == TIME
    assert other.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": [1, 2]}, "time has 2, event has 3, risk has 3"),
        ({"time": [1, 0, 2]}, r"time has values down to 0 \(row 1\)"),
        ({"time": [1, -3, 2]}, "time has values down to -3"),
        ({"time": [1, np.nan, 2]}, r"time has 1 missing or infinite value\(s\), the first at row 1"),
        ({"event": [0, 0, 0]}, "event is 0 for all 3 patients"),
        ({"event": [0, 2, 1]}, "event has the value 2"),
        ({"risk": [1, np.inf, 2]}, "risk has 1 missing or infinite"),
        ({"risk": pd.Series([1, None, 2], dtype="Int64")}, "risk has 1 missing"),
        ({"risk": ["a", "b", "c"]}, "risk must be a one-dimensional list of numbers"),
        ({"risk": np.zeros((3, 2))}, "risk must be a one-dimensional list of numbers"),
        ({"time": [], "event": [], "risk": []}, "time is empty"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        check_survival(**({"time": TIME, "event": EVENT, "risk": RISK} | change))


def test_data_without_event_pass_where_none_is_needed():
    assert not check_survival(TIME, [0, 0, 0], need_event=False)[1].any()


def test_check_column_takes_booleans():
    assert check_column("group", [True, False]).tolist() == [1.0, 0.0]


def test_a_constant_score_is_named():
    assert check_risks(TIME, EVENT, risk=RISK)[2].tolist() == RISK
    with pytest.raises(ValueError, match="risk is 3 for all 3 patients"):
        check_risks(TIME, EVENT, risk=[3, 3, 3])


def test_counts_and_sums_over_those_at_risk_by_hand():
    # At 2 an event and a censoring: the event leaves first.
    time, event = np.array([1.0, 2, 2, 4]), np.array([True, True, False, True])
    times, at_risk, events, censored = event_table(time, event)
    assert (times.tolist(), at_risk.tolist()) == ([1, 2, 4], [4, 3, 1])
    assert (events.tolist(), censored.tolist()) == ([1, 1, 1], [0, 1, 0])
    assert survival_before(time, event, [1, 2, 4]) == pytest.approx([1, 3 / 4, 1 / 2])
    assert survival_before(time, event, [2, 3], of_censoring=True) == pytest.approx([1, 1 / 2])
    relative = np.array([1.0, 2, 1, 4])
    assert RiskSets(time, event, relative).over_steps(relative).tolist() == [8, 7, 4]


def test_estimable_columns_are_those_that_a_design_takes():
    a, b = np.array([0, 1, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    table = pd.DataFrame({"a": a, "same": 1, "b": b, "sum": a + b, "twice": 2 * a, "c": [3, 1, 4, 1, 5]})
    kept = estimable_columns(table)
    assert kept == ["a", "b", "c"]
    assert read_design([1, 2, 3, 4, 5], [1, 0, 1, 1, 0], table[kept])[3] == ("a", "b", "c")
    assert estimable_columns(table[["same"]]) == []
    assert estimable_columns(table.head(0)) == []
    # Two patients are at risk when the one event happens: what varies between them is one contrast.
    assert estimable_columns(table, [1, 2, 4, 3, 5], [0, 0, 1, 0, 0]) == ["a"]
    assert estimable_columns(table, [1, 2, 4, 3, 5], [0, 0, 0, 0, 0]) == []
