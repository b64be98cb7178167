"""Optimism, calibration, sample size and chance: by hand, against print, and on planted truth."""

import numpy as np
import pandas as pd
import pytest
from sksurv.linear_model.coxph import BreslowEstimator
from sksurv.nonparametric import cumulative_incidence_competing_risks

from npcbook.statistics.calibration import (
    calibrate,
    calibration_curve,
    cumulative_incidence,
    fit_absolute_risk,
    minimum_sample_size,
    recalibrate,
    recalibration_error,
)
from npcbook.statistics.cox import fit_cox
from npcbook.statistics.cutpoint import optimal_cutpoint
from npcbook.statistics.resampling import cutpoint_under_no_effect, optimism_corrected_c, permuted_c
from npcbook.statistics.survival import kaplan_meier


def cohort(seed, n, *, effects, scale=300.0):
    rng = np.random.default_rng(seed)
    covariates = pd.DataFrame(
        rng.normal(size=(n, len(effects))), columns=[f"x{k}" for k in range(len(effects))]
    )
    linear = covariates.to_numpy() @ np.array(effects)
    time, censoring = rng.exponential(scale * np.exp(-linear)), rng.uniform(60, 140, n)
    return np.minimum(time, censoring), time <= censoring, covariates, linear


def fit(time, event, covariates):
    return fit_cox(time, event, covariates).risk


def test_sample_size_equals_the_published_example():
    # Riley et al. 2019: R² 0.051, 30 parameters, 0.065 events a year over 2.07 years: 5143 patients.
    n_events = round(0.065 * 2.07 * 10_000)
    rate = n_events / 10_000
    maximum = 1 - np.exp(2 * (rate * np.log(rate) - rate))
    got = minimum_sample_size(30, 10_000, n_events, share_of_maximum=0.051 / maximum)
    assert got.r2_cox_snell == pytest.approx(0.051)
    assert got.n_shrinkage == got.n_patients == 5143
    assert got.n_optimism == 1039
    assert got.expected_shrinkage > 0.9


def test_sample_size_grows_with_parameters_and_shrinkage_falls():
    sizes = [minimum_sample_size(p, 575, 38) for p in (3, 9, 1395)]
    assert [s.n_shrinkage for s in sizes] == sorted(s.n_shrinkage for s in sizes)
    assert sizes[0].expected_shrinkage > sizes[1].expected_shrinkage > sizes[2].expected_shrinkage
    assert sizes[2].expected_shrinkage < 0.1
    with pytest.raises(ValueError, match="n_events 10, n_patients 5"):
        minimum_sample_size(3, 5, 10)


def test_absolute_risk_of_a_useless_score_is_the_average():
    time, event, _, _ = cohort(1, 2000, effects=[0.0])
    risk = np.random.default_rng(2).normal(size=2000)
    predicted = fit_absolute_risk(time, event, risk, 60).predict(risk)
    observed = 1 - kaplan_meier(time, event, at=[60]).survival[0]
    assert predicted.mean() == pytest.approx(observed, rel=0.01)


@pytest.mark.parametrize("decimals", [0, 8])
def test_baseline_hazard_is_breslows_with_and_without_ties(decimals):
    time, event, _, linear = cohort(3, 400, effects=[0.7])
    time, event = np.round(time, decimals) + 1, np.asarray(event)
    model = fit_absolute_risk(time, event, linear, 60)
    baseline = BreslowEstimator().fit(model.coef * linear, event, time).cum_baseline_hazard_(60)
    assert model.baseline_hazard == pytest.approx(baseline, rel=1e-10)


def test_absolute_risk_is_recovered():
    time, event, _, linear = cohort(3, 20_000, effects=[0.7])
    model = fit_absolute_risk(time, event, 3 * linear + 50, 60)
    assert model.coef == pytest.approx(1 / 3, abs=0.01)
    assert model.predict([50.0])[0] == pytest.approx(1 - np.exp(-60 / 300), abs=0.01)


def test_true_risks_are_calibrated_and_exaggerated_ones_are_not():
    time, event, _, linear = cohort(4, 8000, effects=[0.7])
    truth = 1 - np.exp(-60 / 300 * np.exp(linear))
    good = calibrate(time, event, truth, 60)
    assert good.slope.value == pytest.approx(1, abs=0.06)
    assert good.slope.low < 1 < good.slope.high
    assert good.o_e.value == pytest.approx(1, abs=0.06)
    assert good.ici < 0.015
    assert (good.groups["observed"] - good.groups["predicted"]).abs().max() < 0.04
    assert good.groups["n_patients"].sum() == 8000

    extreme = calibrate(time, event, 1 - np.exp(-60 / 300 * np.exp(2 * linear)), 60)
    assert extreme.slope.value == pytest.approx(good.slope.value / 2)
    assert extreme.ici > 3 * good.ici

    doubled = calibrate(time, event, 1 - np.exp(-120 / 300 * np.exp(linear)), 60)
    assert doubled.o_e.value < 0.65
    assert doubled.slope.value == pytest.approx(good.slope.value)


def test_few_distinct_predictions_are_grouped_by_value():
    time, event, _, linear = cohort(5, 600, effects=[0.7])
    got = calibrate(time, event, np.where(linear > 0, 0.3, 0.1), 60)
    assert got.groups["predicted"].tolist() == pytest.approx([0.1, 0.3])


def test_optimism_is_found_where_there_is_nothing_but():
    found = []
    for seed in range(6):
        time, event, covariates, _ = cohort(seed, 200, effects=[0.0] * 12)
        got = optimism_corrected_c(time, event, covariates, fit, n_resamples=20, rng=np.random.default_rng(0))
        assert got.corrected == got.apparent - got.optimism
        found.append((got.apparent, got.corrected))
    apparent, corrected = np.mean(found, axis=0)
    assert apparent > 0.58
    assert corrected == pytest.approx(0.5, abs=0.035)


def test_fits_that_fail_are_counted_and_too_many_are_an_error():
    time, event, covariates, _ = cohort(7, 100, effects=[0.5])
    calls = iter(range(100))

    def sometimes(time, event, covariates):
        if next(calls) % 3 == 1:
            raise ValueError("nothing selected")
        return fit(time, event, covariates)

    got = optimism_corrected_c(
        time, event, covariates, sometimes, n_resamples=30, rng=np.random.default_rng(0)
    )
    assert got.n_resamples == 20

    def first_only(time, event, covariates, seen=[]):  # noqa: B006 (remembers the calls on purpose)
        seen.append(1)
        if len(seen) > 1:
            raise ValueError("nothing selected")
        return fit(time, event, covariates)

    with pytest.raises(ValueError, match="fit failed in 10 of 10"):
        optimism_corrected_c(
            time, event, covariates, first_only, n_resamples=10, rng=np.random.default_rng(0)
        )


def test_permuted_outcomes_are_predicted_at_chance():
    training, validation = (cohort(seed, 200, effects=[0.8] * 5)[:3] for seed in (8, 9))
    got = permuted_c(training, validation, fit, n_permutations=60, rng=np.random.default_rng(0))
    assert got["validation"].mean() == pytest.approx(0.5, abs=0.02)
    assert got["training"].mean() > 0.54


@pytest.mark.slow
def test_searching_a_cut_without_effect_finds_one_in_two_cohorts():
    time, event, _, _ = cohort(10, 575, effects=[0.0], scale=1000)
    got = cutpoint_under_no_effect(time, event, n_repeats=400, rng=np.random.default_rng(0))
    assert 0.38 < (got["p_naive"] < 0.05).mean() < 0.52
    assert 0.01 < (got["p_corrected"] < 0.05).mean() < 0.08
    assert 1.5 < got["hr"].median() < 2.2


def test_useless_scores_are_corrected_by_the_permutations_of_the_search_itself():
    time, event, _, _ = cohort(11, 150, effects=[0.0], scale=400)
    got = cutpoint_under_no_effect(time, event, n_repeats=3, rng=np.random.default_rng(0))
    rng = np.random.default_rng(0)
    rng.permuted(np.tile(np.zeros(150), (2000, 1)), axis=1)  # what the random orders took
    for p_corrected in got["p_corrected"]:
        risk = rng.normal(size=150)
        cut = optimal_cutpoint(time, event, risk, permutations=2000, rng=np.random.default_rng(1))
        assert p_corrected == pytest.approx(cut.p_corrected, abs=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predicted": [0, 0.2, 0.3, 0.1]}, "predicted goes from 0 to 0.3"),
        ({"horizon": 9}, "horizon is 9, but follow-up ends at 4"),
        ({"horizon": 0.5}, "the first event is at 1"),
        ({"predicted": [0.1, 0.2]}, "predicted has 2"),
    ],
)
def test_bad_input_is_named(change, message):
    data = {"time": [1, 2, 3, 4], "event": [1, 0, 1, 1], "predicted": [0.1, 0.2, 0.3, 0.1], "horizon": 3}
    with pytest.raises(ValueError, match=message):
        calibrate(**(data | change))


def test_absolute_risk_needs_an_event_by_the_horizon():
    with pytest.raises(ValueError, match="no event was seen by then"):
        fit_absolute_risk([1, 2, 3], [0, 1, 1], [1, 2, 1], 1.5)


def test_cumulative_incidence_by_hand():
    # At 1: 1/4 of interest. At 2: competing. At 3: one of the two left, of whom ½ were still free.
    got = cumulative_incidence([1, 2, 3, 4], [1, 2, 1, 0])
    assert got.time.tolist() == [1, 2, 3, 4]
    assert got.incidence == pytest.approx([1 / 4, 1 / 4, 1 / 4 + 1 / 2 * 1 / 2, 1 / 2])
    assert cumulative_incidence([1, 2, 3, 4], [1, 2, 1, 0], at=[0.5, 3]).incidence == pytest.approx(
        [0, 1 / 2]
    )
    with pytest.raises(ValueError, match="cause has the value 3"):
        cumulative_incidence([1, 2], [3, 0])
    with pytest.raises(ValueError, match="follow-up ends at 2"):
        cumulative_incidence([1, 2], [1, 0], at=[3])


def test_cumulative_incidence_equals_scikit_survival_with_ties_and_kaplan_meier_without_competition():
    rng = np.random.default_rng(0)
    time, cause = rng.integers(1, 20, 300).astype(float), rng.integers(0, 3, 300)
    times, expected = cumulative_incidence_competing_risks(cause, time)
    got = cumulative_incidence(time, cause)
    np.testing.assert_array_equal(got.time, times)
    np.testing.assert_allclose(got.incidence, expected[1], rtol=1e-12)
    alone = np.where(cause == 2, 0, cause)
    survival = kaplan_meier(time, alone, at=[7, 12]).survival
    np.testing.assert_allclose(
        cumulative_incidence(time, alone, at=[7, 12]).incidence, 1 - survival, rtol=1e-12
    )
    assert not cumulative_incidence(time, np.where(cause == 1, 2, 0)).incidence.any()


def test_limits_of_the_cumulative_incidence_are_scikit_survivals_and_those_of_kaplan_meier():
    rng = np.random.default_rng(1)
    time, cause = rng.integers(1, 20, 200).astype(float), rng.integers(0, 3, 200)
    _, _, limits = cumulative_incidence_competing_risks(cause, time, conf_type="log-log")
    got = cumulative_incidence(time, cause)
    np.testing.assert_allclose([got.low[5:], got.high[5:]], limits[1][:, 5:], rtol=1e-12)
    alone = np.where(cause == 2, 0, cause)
    curve = kaplan_meier(time, alone, at=[7, 12])
    got = cumulative_incidence(time, alone, at=[7, 12])
    np.testing.assert_allclose(got.low, 1 - curve.high)
    assert (got.low < got.incidence).all()
    assert np.isnan(cumulative_incidence([1, 2, 3, 4], [2, 1, 1, 0], at=[1]).low[0])


def test_the_calibration_curve_is_the_truth_s_and_the_index_s_own():
    time, event, _, linear = cohort(13, 4000, effects=[0.7])
    truth = 1 - np.exp(-60 / 300 * np.exp(linear))
    doubled = 1 - np.exp(-120 / 300 * np.exp(linear))
    at = np.quantile(doubled, [0.1, 0.5, 0.9])
    got = calibration_curve(time, event, doubled, 60, at=at, n_resamples=60, rng=np.random.default_rng(0))
    assert got["observed"].to_numpy() == pytest.approx(np.quantile(truth, [0.1, 0.5, 0.9]), abs=0.03)
    everyone = calibration_curve(
        time, event, doubled, 60, at=doubled, n_resamples=2, rng=np.random.default_rng(0)
    )
    gaps = (everyone["observed"] - doubled).abs()
    assert gaps.mean() == pytest.approx(calibrate(time, event, doubled, 60).ici, rel=1e-9)


@pytest.mark.slow
def test_the_band_holds_the_true_risk_about_as_often_as_it_claims():
    held, at = [], np.array([0.12, 0.25, 0.4])
    for seed in range(20, 36):
        time, event, _, linear = cohort(seed, 500, effects=[0.7])
        predicted = 1 - np.exp(-60 / 300 * np.exp(linear))
        got = calibration_curve(
            time, event, predicted, 60, at=at, n_resamples=60, rng=np.random.default_rng(seed)
        )
        held += [*((got["low"] < at) & (at < got["high"]))]
    assert 0.85 <= np.mean(held) <= 1


def test_recalibration_brings_wrong_risks_back():
    time, event, _, linear = cohort(14, 8000, effects=[0.7])
    truth = 1 - np.exp(-60 / 300 * np.exp(linear))
    halved = 1 - np.exp(-30 / 300 * np.exp(linear))
    stretched = 1 - np.exp(-30 / 300 * np.exp(2 * linear))
    data = time, event
    assert recalibrate(*data, halved, 60, "none")(halved) == pytest.approx(halved)
    assert np.abs(recalibrate(*data, halved, 60, "baseline")(halved) - truth).mean() < 0.01
    assert np.abs(recalibrate(*data, stretched, 60, "baseline")(stretched) - truth).mean() > 0.03
    both = recalibrate(*data, stretched, 60, "baseline and slope")
    assert np.abs(both(stretched) - truth).mean() < 0.01
    # A place whose risks are already right is left alone, to chance.
    assert np.abs(recalibrate(*data, truth, 60, "baseline and slope")(truth) - truth).mean() < 0.01
    with pytest.raises(ValueError, match="one of none, baseline"):
        recalibrate(*data, truth, 60, "slope")


def test_few_local_events_serve_a_baseline_and_many_a_slope():
    time, event, _, linear = cohort(15, 1500, effects=[0.7])
    stretched = 1 - np.exp(-30 / 300 * np.exp(2 * linear))
    rng = np.random.default_rng(0)
    got = recalibration_error(time, event, stretched, 60, [5, 400], n_repeats=30, rng=rng)
    error = got.set_index(["update", "n_events"])["error"]
    assert error["none", 5] == error["none", 400]
    assert error["baseline and slope", 400] < error["baseline", 400] < error["none", 400]
    assert error["baseline and slope", 5] > 3 * error["baseline and slope", 400]
    assert got.set_index("n_events")["n_patients"][400].iloc[0] == pytest.approx(
        400 * 1500 / event.sum(), abs=1
    )
