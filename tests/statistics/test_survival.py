"""Survival curves, log-rank tests and follow-up equal R's `survival`."""

import json
from pathlib import Path

import lifelines
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from lifelines.statistics import multivariate_logrank_test

from npcbook.statistics.survival import (
    at_risk_table,
    kaplan_meier,
    logrank,
    rate_at,
    reverse_km,
    rmst,
)

STATISTICS = Path(__file__).parents[1] / "reference" / "statistics"


def cases(topic):
    return json.loads((STATISTICS / topic / "cases.json").read_text())["cases"]


def read(case, *columns):
    arguments = case["arguments"]
    df = pd.read_csv(STATISTICS / case["input"])
    df = df.dropna(subset=[arguments["time"], arguments["event"], *columns])
    return df[arguments["time"]], df[arguments["event"]], df


def numbers(values):
    """Return reference numbers as floats, null as NaN."""
    return np.array([np.nan if value is None else value for value in np.atleast_1d(values)], dtype=float)


def simulated(n=120, seed=0):
    rng = np.random.default_rng(seed)
    time = np.round(rng.exponential(40, n)) + 1
    return time, (rng.random(n) < 0.4).astype(int), rng.choice(["a", "b", "c"], n)


@pytest.mark.parametrize("ci", ["log", "log-log", "plain"])
@pytest.mark.parametrize("case", cases("km_logrank"), ids=lambda case: case["name"])
def test_kaplan_meier_equals_survfit(case, ci):
    arguments = case["arguments"]
    time, event, df = read(case, *([arguments["group"]] if arguments["group"] else []))
    for group in case["results"]["groups"]:
        rows = df[arguments["group"]].astype(str) == group["group"] if arguments["group"] else time > 0
        km = kaplan_meier(time[rows], event[rows], at=arguments["times"], ci=ci)
        expected, limits = group["survival"], group[f"ci_{ci}"]
        assert (km.n_patients, km.total_events) == (group["n"], group["events"])
        np.testing.assert_array_equal(km.n_at_risk, expected["n_risk"])
        for ours, theirs in (("survival", expected["surv"]), ("se", expected["se"])):
            np.testing.assert_allclose(getattr(km, ours), numbers(theirs), rtol=1e-9)
        for ours, theirs in (("low", "lower"), ("high", "upper")):
            np.testing.assert_allclose(getattr(km, ours), numbers(limits[theirs]), rtol=1e-9)
        for ours in ("median", "median_low", "median_high"):
            theirs = ours.replace("low", "lower").replace("high", "upper")
            np.testing.assert_allclose(getattr(km, ours), numbers(limits[theirs])[0], rtol=1e-9)


@pytest.mark.parametrize("case", cases("km_logrank"), ids=lambda case: case["name"])
def test_rmst_equals_survfit(case):
    arguments = case["arguments"]
    time, event, df = read(case, *([arguments["group"]] if arguments["group"] else []))
    for group in case["results"]["groups"]:
        rows = df[arguments["group"]].astype(str) == group["group"] if arguments["group"] else time > 0
        if (
            arguments["rmst_tau"] > time[rows].max()
            and kaplan_meier(time[rows], event[rows]).survival[-1] > 0
        ):
            # R goes on with the last value; here a horizon beyond follow-up is an error.
            with pytest.raises(ValueError, match="beyond the last observation"):
                rmst(time[rows], event[rows], arguments["rmst_tau"])
            continue
        mean = rmst(time[rows], event[rows], arguments["rmst_tau"])
        assert mean.value == pytest.approx(group["rmst"]["value"], rel=1e-9)
        assert mean.se == pytest.approx(group["rmst"]["se"], rel=1e-9)


@pytest.mark.parametrize(("rho", "name"), [(0, "logrank"), (1, "peto_peto_rho1")])
@pytest.mark.parametrize("case", [c for c in cases("km_logrank") if c["arguments"]["group"]],
                         ids=lambda case: case["name"])  # fmt: skip
def test_logrank_equals_survdiff(case, rho, name):
    group = case["arguments"]["group"]
    time, event, df = read(case, group)
    test, expected = logrank(time, event, df[group], rho=rho), case["results"][name]
    assert test.statistic == pytest.approx(expected["chisq"], rel=1e-9)
    assert test.p_value == pytest.approx(expected["p"], rel=1e-7)
    assert test.degrees_of_freedom == expected["df"]
    order = [[str(g) for g in test.groups].index(g["group"]) for g in case["results"]["groups"]]
    np.testing.assert_allclose(test.observed[order], expected["observed"], rtol=1e-9)
    np.testing.assert_allclose(test.expected[order], expected["expected"], rtol=1e-9)


@pytest.mark.parametrize("case", [c for c in cases("km_logrank") if c["arguments"]["group"]],
                         ids=lambda case: case["name"])  # fmt: skip
def test_logrank_of_every_pair_equals_survminer(case):
    group = case["arguments"]["group"]
    time, event, df = read(case, group)
    for expected in case["results"]["pairwise"]:
        pair = df[group].astype(str).isin([str(label) for label in expected["pair"]])
        test = logrank(time[pair], event[pair], df.loc[pair, group])
        assert test.statistic == pytest.approx(expected["chisq"], rel=1e-9)


@pytest.mark.parametrize("case", cases("followup_reverse_km"), ids=lambda case: case["name"])
def test_reverse_km_equals_survfit(case):
    time, event, _ = read(case)
    expected = case["results"]
    for ci in ("log", "log-log", "plain"):
        follow_up, theirs = reverse_km(time, event, ci=ci), expected[f"survfit_flipped_status_{ci}"]
        for ours, name in (("median", "median"), ("median_low", "lower"), ("median_high", "upper")):
            np.testing.assert_allclose(getattr(follow_up, ours), numbers(theirs[name])[0], rtol=1e-9)
    quartiles = [follow_up.q1, follow_up.median, follow_up.q3]
    np.testing.assert_allclose(quartiles, numbers(expected["survfit_quartiles"]), rtol=1e-9)


def test_by_hand():
    # Four patients: events at 2 and 6, censored at 4 and 8: 3/4 after 2, 3/8 after 6.
    km = kaplan_meier([2, 4, 6, 8], [1, 0, 1, 0])
    np.testing.assert_allclose(km.survival, [0.75, 0.75, 0.375, 0.375])
    np.testing.assert_array_equal(km.n_at_risk, [4, 3, 2, 1])
    np.testing.assert_array_equal(km.n_censored, [0, 1, 0, 1])
    assert km.median == 6
    assert rmst([2, 4, 6, 8], [1, 0, 1, 0], 8).value == pytest.approx(2 + 4 * 0.75 + 2 * 0.375)
    # Expected events of the group {2, 6}: 2/4 at the first event, 1/2 at the second.
    test = logrank([2, 4, 6, 8], [1, 0, 1, 0], ["x", "y", "x", "y"])
    np.testing.assert_allclose(test.expected, [1, 1])
    np.testing.assert_allclose(test.observed, [2, 0])


def test_agrees_with_lifelines():
    time, event, group = simulated()
    theirs = lifelines.KaplanMeierFitter().fit(time, event)
    at = np.array([12.0, 30, 60])
    km = kaplan_meier(time, event, at=at)
    np.testing.assert_allclose(km.survival, theirs.predict(at), rtol=1e-12)
    limits = theirs.confidence_interval_.loc[: at[1]].iloc[-1]
    np.testing.assert_allclose([km.low[1], km.high[1]], limits, rtol=1e-9)
    expected = multivariate_logrank_test(time, group, event).test_statistic
    assert logrank(time, event, group).statistic == pytest.approx(expected, rel=1e-9)


def test_integer_weights_are_counts():
    time, event, _ = simulated(60)
    weight = np.random.default_rng(1).integers(1, 4, 60)
    weighted = kaplan_meier(time, event, at=[20, 40], weights=weight)
    repeated = kaplan_meier(np.repeat(time, weight), np.repeat(event, weight), at=[20, 40])
    np.testing.assert_allclose(weighted.survival, repeated.survival)


def test_without_events_there_are_no_limits():
    km = kaplan_meier([10, 20, 30], [0, 0, 0], at=[0, 15])
    np.testing.assert_array_equal(km.survival, 1)
    assert np.isnan(km.low[1])
    assert np.isnan(km.median)


def test_rate_at_a_horizon_is_the_curve_there_and_prints_itself():
    time, event, _ = simulated()
    rate, curve = rate_at(time, event, 30), kaplan_meier(time, event, at=[30])
    assert (rate.value, rate.low, rate.high) == (curve.survival[0], curve.low[0], curve.high[0])
    assert (rate.n_patients, rate.n_events) == (len(time), event[time <= 30].sum())
    assert f"{rate:1%}" == f"{100 * rate.value:.1f} ({100 * rate.low:.1f}–{100 * rate.high:.1f})"
    assert str(rate_at([2, 4, 6, 8], [0, 0, 0, 1], 5)) == "1.00"
    assert f"{reverse_km(time, event)}".startswith(f"{reverse_km(time, event).median:.1f} (")


def test_table_of_numbers_at_risk_adds_up():
    time, event, _ = simulated()
    table = at_risk_table(time, event, [0, 12, 24, 500])
    assert (table[["at_risk", "events", "censored"]].sum(axis=1) == len(time)).all()
    assert table["at_risk"].tolist() == [(time >= tick).sum() for tick in (0, 12, 24, 500)]
    assert table["events"].iloc[-1] == event.sum()


@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
@settings(max_examples=25, deadline=None)
def test_row_order_units_and_labels(seed, scale):
    time, event, group = simulated(60, seed)
    order = np.random.default_rng(seed).permutation(60)
    test = logrank(time, event, group)
    swapped = pd.Series(group[order]).map({"a": "z", "b": "y", "c": "x"})
    assert logrank(time[order] * scale, event[order], swapped).statistic == pytest.approx(
        test.statistic, rel=1e-8
    )
    km, again = kaplan_meier(time, event), kaplan_meier(time[order] * scale, event[order])
    np.testing.assert_allclose(again.survival, km.survival)
    twice = kaplan_meier(np.tile(time, 2), np.tile(event, 2))
    np.testing.assert_allclose(twice.survival, km.survival)
    if event.any():
        horizon = time.max() / 2
        mean = rmst(time[order] * scale, event[order], horizon * scale).value
        assert mean == pytest.approx(scale * rmst(time, event, horizon).value, rel=1e-9)


def test_logrank_rejects_a_true_null_hypothesis_at_its_level():
    rng = np.random.default_rng(7)
    p_values = []
    for _ in range(1000):
        time = rng.exponential(800, 575)
        group = np.arange(575) % 2
        p_values.append(logrank(np.minimum(time, 60 - 10 * rng.random(575)), time < 50, group).p_value)
    assert 0.035 < np.mean(np.array(p_values) < 0.05) < 0.065


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kaplan_meier([1, 2], [1, 0], ci="exact"), "ci is 'exact'"),
        (lambda: kaplan_meier([1, 2], [1, 0], at=[5, 1]), "ascending"),
        (lambda: kaplan_meier([1, 2], [1, 0], at=[-1]), "0 or later"),
        (lambda: kaplan_meier([1, 2], [1, 0], weights=[0, 1]), "weights go down to 0"),
        (lambda: kaplan_meier([1, -2], [1, 0]), "time has values down to -2"),
        (lambda: logrank([1, 2], [1, 0], ["a", "a"]), "group has the one value 'a'"),
        (lambda: logrank([1, 2], [1, 0], ["a"]), "group has 1 values"),
        (lambda: logrank([1, 2], [1, 0], ["a", None]), "missing"),
        (lambda: logrank([1, 2], [0, 0], ["a", "b"]), "event is 0 for all 2"),
        (lambda: logrank([1, 2, 3], [0, 0, 1], ["a", "b", "a"]), "cannot be compared"),
        (lambda: rate_at([1, 2], [1, 0], 3), "horizon is 3, but follow-up ends at 2"),
        (lambda: reverse_km([1, 2], [1, 1]), "event is 1 for all 2"),
        (lambda: rmst([1, 2], [1, 0], 3), "horizon is 3"),
        (lambda: rmst([1, 2], [1, 0], 0), "horizon is 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
