"""LASSO-Cox equals R's `glmnet` on given folds; the selection does what the paper describes."""

import json
import time as clock
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings, strategies as st

from npcbook.statistics.cox import fit_cox
from npcbook.statistics.lasso import fit_lasso_cox, select_features, uncorrelated_features
from npcbook.statistics.resampling import bootstrap_selection, stratified_folds

STATISTICS = Path(__file__).parents[1] / "reference" / "statistics"
CASES = json.loads((STATISTICS / "cox_lasso" / "cases.json").read_text())["cases"]


def simulated(n=300, p=40, seed=0):
    """Return correlated features of which two matter."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) + rng.normal(size=(n, 1)) * 0.5
    x[:, -1] = x[:, 0] + rng.normal(size=n) * 0.1
    features = pd.DataFrame(x, columns=[f"f{j}" for j in range(p)], index=[f"p{i}" for i in range(n)])
    time = rng.exponential(100 * np.exp(-0.9 * x[:, 0] + 0.7 * x[:, 1]))
    event = (time < 60).astype(int)
    return features, np.minimum(time, 60 + rng.random(n)), event, stratified_folds(event, 5, rng=rng)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_path_and_choice_equal_glmnet(case):
    a, expected = case["arguments"], case["results"]
    df = pd.read_csv(STATISTICS / case["input"]).dropna(subset=[a["time"], a["event"], *a["covariates"]])
    arguments = (df[a["covariates"]], df[a["time"]], df[a["event"]], df[a["foldid_column"]])
    fit = fit_lasso_cox(*arguments, lambdas=expected["lambda"], l1_ratio=a["alpha"])
    sd = df[a["covariates"]].std(ddof=0).to_numpy()
    assert np.abs((fit.path.to_numpy() - expected["coef_by_lambda"]) * sd).max() < 1e-6
    np.testing.assert_array_equal((fit.path != 0).sum(axis=1), expected["nonzero"])
    cv = expected["cv_deviance"]
    np.testing.assert_allclose(fit.cv_mean, cv["cvm"], rtol=1e-6)
    np.testing.assert_allclose(fit.cv_se, cv["cvsd"], rtol=1e-5)
    assert (fit.lambda_min, fit.lambda_1se) == (cv["lambda_min"], cv["lambda_1se"])
    default = fit_lasso_cox(*arguments, l1_ratio=a["alpha"], tolerance=1e-7)
    assert default.path.index[0] == pytest.approx(expected["lambda_max"], rel=1e-9)


def test_without_penalty_it_is_cox_regression():
    features, time, event, folds = simulated(p=4)
    lasso = fit_lasso_cox(features, time, event, folds, lambdas=[1e-8])
    np.testing.assert_allclose(lasso.coef, fit_cox(time, event, features, ties="breslow").coef, rtol=1e-4)


def test_risk_uses_names_and_original_units():
    features, time, event, folds = simulated()
    fit = fit_lasso_cox(features, time, event, folds)
    assert {"f0", "f1"} <= set(fit.coef.index)
    expected = features[fit.coef.index].to_numpy() @ fit.coef.to_numpy()
    np.testing.assert_allclose(fit.risk(features[features.columns[::-1]]), expected)
    with pytest.raises(ValueError, match="lack"):
        fit.risk(features[["f2"]])


def test_correlation_filter_keeps_the_lower_p_value():
    features = simulated()[0]
    features["copy"] = features["f7"]
    features["negative"] = -features["f8"]
    p_value = pd.Series(np.linspace(0.5, 0.9, features.shape[1]), index=features.columns)
    p_value[["f39", "negative"]] = [0.01, 0.02]
    kept = uncorrelated_features(features, p_value, 0.85)
    assert kept[:2] == ["f39", "negative"]
    assert "f0" not in kept  # 0.99 correlated with f39, and less significant
    assert "f7" in kept
    assert "copy" not in kept
    assert "f8" not in kept
    correlation = features[kept].corr().abs().to_numpy()
    assert (correlation[~np.eye(len(kept), dtype=bool)] <= 0.85).all()


def test_selection_counts_and_applies_the_training_z_score():
    features, time, event, folds = simulated()
    features["constant"] = 3.0
    result = select_features(features * 7 + 2, time, event, folds=folds)
    assert result.counts.to_dict() == {
        "given": 41, "varying": 40, "uncorrelated": len(result.uncorrelated), "selected": len(result.selected)
    }  # fmt: skip
    assert {"f0", "f39"} & set(result.selected)
    assert not {"f0", "f39"} <= set(result.uncorrelated)
    chosen = list(result.selected)
    scaled = (features[chosen] - features[chosen].mean()) / features[chosen].std(ddof=0)
    np.testing.assert_allclose(result.risk(features * 7 + 2), scaled @ result.coef[chosen], atol=1e-9)
    # One patient's score does not depend on who else is scored.
    assert result.risk((features * 7 + 2).iloc[:1])[0] == pytest.approx(result.risk(features * 7 + 2)[0])


@given(seed=st.integers(0, 100), scale=st.floats(-9, 9).map(lambda power: 10**power))
@example(seed=0, scale=1e-9)
@example(seed=0, scale=1e9)
@settings(max_examples=3, deadline=None)
def test_units_and_row_order_do_not_matter(seed, scale):
    features, time, event, folds = simulated(150, 8, seed)
    lambdas = np.geomspace(0.5, 5e-5, 15)
    fit = fit_lasso_cox(features, time, event, folds, lambdas=lambdas)
    order = np.random.default_rng(seed).permutation(150)
    again = fit_lasso_cox(
        (features * scale + 1).iloc[order], time[order], event[order], folds[order], lambdas=lambdas
    )
    np.testing.assert_allclose(again.path * scale, fit.path, atol=1e-5)
    np.testing.assert_allclose(again.cv_mean, fit.cv_mean, rtol=1e-5)


def test_folds_share_out_the_events():
    event = np.arange(100) < 13
    folds = stratified_folds(event, 5, rng=np.random.default_rng(0))
    assert set(np.bincount(folds[event])) <= {2, 3}
    assert set(np.bincount(folds)) == {20}
    np.testing.assert_array_equal(folds, stratified_folds(event, 5, rng=np.random.default_rng(0)))
    two_events = np.arange(10) < 2
    assert set(stratified_folds(two_events, 5, rng=np.random.default_rng(0))[two_events]) == {0, 1}
    with pytest.raises(ValueError, match="n_folds is 1"):
        stratified_folds(event, 1, rng=np.random.default_rng(0))


def test_permuted_outcomes_leave_next_to_nothing():
    features, time, event, _ = simulated()
    selected = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(time))
        folds = stratified_folds(event[order], 5, rng=rng)
        lasso = fit_lasso_cox(features, time[order], event[order], folds, tolerance=1e-7)
        selected.append(int((lasso.path.loc[lasso.lambda_1se] != 0).sum()))
    assert np.median(selected) <= 1


@pytest.mark.slow
def test_paper_size_takes_less_than_half_a_minute():
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.normal(size=(575, 1395))).rename(columns=str)
    time = rng.exponential(700, 575)
    event = time < 60
    start = clock.process_time()
    fit_lasso_cox(features, np.minimum(time, 60), event, stratified_folds(event, 10, rng=rng))
    assert clock.process_time() - start < 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": np.ones((300, 2))}, "features is ndarray"),
        ({"features": pd.DataFrame({"f": [np.nan] * 300})}, "missing or infinite"),
        ({"features": pd.DataFrame(np.ones((300, 1)), columns=["f"])}, "nothing that varies"),
        ({"event": np.zeros(300)}, "event is 0 for all 300"),
        ({"folds": np.zeros(300)}, "1 fold"),
        ({"folds": np.zeros(3)}, "folds has shape"),
        ({"l1_ratio": 0}, "l1_ratio is 0"),
    ],
)
def test_bad_input_is_named(changes, message):
    features, time, event, folds = simulated()
    arguments = {"features": features, "time": time, "event": event, "folds": folds} | changes
    with pytest.raises(ValueError, match=message):
        fit_lasso_cox(**arguments)


def test_bad_input_of_the_selection():
    features, time, event, folds = simulated()
    with pytest.raises(ValueError, match="max_correlation is 2"):
        select_features(features, time, event, 2, folds=folds)
    with pytest.raises(ValueError, match="none of which varies"):
        select_features(features * 0, time, event, folds=folds)
    with pytest.raises(ValueError, match="unique names"):
        select_features(features[["f0", "f0"]], time, event, folds=folds)


def test_bootstrap_finds_signal_again_and_corrects_its_apparent_c():
    features, time, event, _ = simulated(n=150, p=20)
    draws = np.random.default_rng(5).choice(150, (6, 150))
    table = bootstrap_selection(features, time, event, draws, n_folds=3, workers=1)
    # f19 is nearly a copy of f0: either may stand for it.
    assert all({"f0", "f19"} & set(names.split()) for names in table["selected"])
    assert table["c_original"].between(0.7, 1).all()
    assert 0 < (table["c_sample"] - table["c_original"]).mean() < 0.1
    shuffled = features.sample(frac=1, random_state=1).set_axis(features.index)
    nothing = bootstrap_selection(shuffled, time, event, draws, n_folds=3, workers=1)
    assert nothing["c_original"].mean() < 0.6
    assert (nothing.loc[nothing["selected"] == "", ["c_sample", "c_original"]] == 0.5).all(axis=None)


def test_a_bootstrap_sample_without_events_says_so_and_the_others_stay():
    features, time, event, _ = simulated(n=150, p=5)
    draws = np.vstack([np.flatnonzero(event == 0)[np.arange(150) % (event == 0).sum()], np.arange(150)])
    table = bootstrap_selection(features, time, event, draws, n_folds=3, workers=1)
    assert table["reason"].ne("").tolist() == [True, False]
    assert np.isnan(table["c_sample"][0])
    assert table["c_sample"][1] == table["c_original"][1]


@pytest.mark.parametrize("seed", [8, 17])
def test_a_path_that_runs_away_ends_where_numbers_do(seed):
    rng = np.random.default_rng(seed)
    features = pd.DataFrame(rng.normal(size=(80, 6)), columns=list("abcdef"))
    time, event = rng.exponential(size=80) * np.exp(-3 * features["a"].to_numpy()) + 0.01, np.zeros(80, int)
    event[np.argsort(time)[:8]] = 1
    fit = select_features(features, time, event, folds=stratified_folds(event, 10, rng=rng))
    assert "a" in fit.coef
    assert np.isfinite(fit.lasso.path.to_numpy()).all()
