"""Tests of Table 1 equal R's `stats`."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from npcbook.statistics.group_tests import compare_groups, fisher_exact, pearson_chi2

STATISTICS = Path(__file__).parents[1] / "reference" / "statistics"
CASES = json.loads((STATISTICS / "baseline_tests" / "cases.json").read_text())["cases"]
CATEGORICAL = [case for case in CASES if case["arguments"]["kind"] == "categorical"]
CONTINUOUS = [case for case in CASES if case["arguments"]["kind"] == "continuous"]
# Twenty seconds of enumeration for a 3 x 3 table of a thousand patients; Table 1 has 2 groups.
LONG = [pytest.param(c, marks=pytest.mark.slow if c["name"] == "syn_n1072_e40__grade__by__subgroup" else (),
                     id=c["name"]) for c in CATEGORICAL]  # fmt: skip


@pytest.mark.parametrize("case", CATEGORICAL, ids=lambda case: case["name"])
def test_chi_square_equals_chisq_test(case):
    expected = case["results"]
    for continuity, name in ((False, "chisq_no_correction"), (True, "chisq_correction")):
        test = pearson_chi2(expected["table"], continuity=continuity)
        assert test.statistic == pytest.approx(expected[name]["stat"], rel=1e-9, abs=1e-12)
        assert test.p_value == pytest.approx(expected[name]["p"], rel=1e-9)
        assert test.degrees_of_freedom == expected[name]["df"]
    assert test.smallest_expected == pytest.approx(expected["expected_min"], rel=1e-12)


@pytest.mark.parametrize("case", LONG)
def test_fisher_equals_fisher_test(case):
    expected = case["results"]["fisher"]
    table = np.array(case["results"]["table"])
    assert fisher_exact(table).p_value == pytest.approx(expected["p"], rel=1e-7)
    assert fisher_exact(table.T).p_value == pytest.approx(expected["p"], rel=1e-7)


@pytest.mark.parametrize("case", CONTINUOUS, ids=lambda case: case["name"])
def test_continuous_tests_equal_r(case):
    a, expected = case["arguments"], case["results"]
    df = pd.read_csv(STATISTICS / case["input"]).dropna(subset=[a["variable"], a["group"]])
    # The first level comes first, as in R.
    group = df[a["group"]].astype(str).map({level: k for k, level in enumerate(expected["group_levels"])})
    test = compare_groups(df[a["variable"]], group, kind="continuous")
    if "wilcox_correction" in expected:
        assert test.method == "Mann-Whitney"
        assert test.statistic == expected["wilcox_correction"]["W"]
        assert test.p_value == pytest.approx(expected["wilcox_correction"]["p"], rel=1e-9)
    else:
        assert test.method == "Kruskal-Wallis"
        assert test.statistic == pytest.approx(expected["kruskal"]["stat"], rel=1e-9)
        assert test.p_value == pytest.approx(expected["kruskal"]["p"], rel=1e-9)


def test_fisher_by_hand():
    # Margins 3, 3 by 2, 2, 2: of 20 ways, 6 tables like [2 1 0; 0 1 2] have 2 each, [1 1 1; 1 1 1] has 8.
    assert fisher_exact([[2, 1, 0], [0, 1, 2]]).p_value == pytest.approx(12 / 20)
    assert fisher_exact([[1, 1, 1], [1, 1, 1]]).p_value == pytest.approx(1)


def test_the_test_follows_the_kind_of_value():
    group, rare = ["a"] * 30 + ["b"] * 30, np.arange(60) == 0
    assert compare_groups(np.arange(60), group, kind="continuous").method == "Mann-Whitney"
    assert compare_groups(np.arange(60), ["a", "b", "c"] * 20, kind="continuous").method == "Kruskal-Wallis"
    assert compare_groups(np.arange(60) % 2, group, kind="categorical").method == "Pearson chi-square"
    assert compare_groups(rare, group, kind="categorical").method == "Fisher exact"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pearson_chi2([[1, 2]]), "shape"),
        (lambda: pearson_chi2([[1, -2], [3, 4]]), "whole numbers"),
        (lambda: pearson_chi2([[1, 0.5], [3, 4]]), "whole numbers"),
        (lambda: fisher_exact([[1, 0], [3, 0]]), "without patients"),
        (lambda: pearson_chi2([["1", "2"], ["3", "4"]]), "must hold counts"),
        (lambda: pearson_chi2([[1, np.nan], [3, 4]]), "must hold counts"),
        (lambda: compare_groups([1, 2], ["a"], kind="continuous"), "equal lengths"),
        (lambda: compare_groups([1, 2], ["a", "a"], kind="continuous"), "group has one value"),
        (lambda: compare_groups([1, None], ["a", "b"], kind="continuous"), "missing"),
        (lambda: compare_groups([1, 2], ["a", "b"], kind="ordinal"), "kind is 'ordinal'"),
        (lambda: compare_groups(["x", "x"], ["a", "b"], kind="categorical"), "value has one value only"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_many_hospitals_do_not_hang():
    rng = np.random.default_rng(3)
    hospital, level = rng.integers(0, 12, 150), rng.integers(0, 4, 150)
    start = time.process_time()
    test = compare_groups(level, hospital, kind="categorical")
    assert test.method.endswith("(too large for Fisher)")
    assert time.process_time() - start < 40
    with pytest.raises(ValueError, match="too many cells"):
        fisher_exact(pd.crosstab(level, hospital))
