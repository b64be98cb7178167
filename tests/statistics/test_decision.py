"""Net benefit by hand and as the Kaplan–Meier curve of those treated; its limits hold the truth."""

import numpy as np
import pytest

from npcbook.statistics.decision import decision_curve, net_benefit
from npcbook.statistics.survival import kaplan_meier


def cohort(seed, n):
    rng = np.random.default_rng(seed)
    linear = rng.normal(size=n)
    time, censoring = rng.exponential(300 * np.exp(-linear)), rng.uniform(60, 140, n)
    return np.minimum(time, censoring), time <= censoring, linear


def risk_of(linear):
    return 1 - np.exp(-60 / 300 * np.exp(linear))


def test_net_benefit_by_hand():
    # Two of three treated have the event by 3, one untreated does not.
    got = net_benefit([1, 2, 4, 5], [1, 1, 0, 0], [0.9, 0.5, 0.4, 0.1], 3, [0.2, 0.95])
    assert got.tolist() == pytest.approx([2 / 4 - 1 / 4 * 0.2 / 0.8, 0])
    treat_all = net_benefit([1, 2, 4, 5], [1, 1, 0, 0], [1, 1, 1, 1], 3, [0.0, 0.5])
    assert treat_all.tolist() == pytest.approx([0.5, 0.0])
    with pytest.raises(ValueError, match="thresholds below 1"):
        net_benefit([1, 2], [1, 0], [0.1, 0.2], 1, [1.0])


def test_better_risks_are_of_more_benefit():
    time, event, linear = cohort(12, 4000)
    truth = risk_of(linear)
    thresholds = [0.1, 0.2, 0.3]
    informed = net_benefit(time, event, truth, 60, thresholds)
    assert (informed > net_benefit(time, event, np.ones(4000), 60, thresholds)).all()
    assert (informed > 0).all()


def test_net_benefit_is_that_of_the_kaplan_meier_curve_of_those_treated_with_ties():
    time, event, linear = cohort(1, 300)
    time, predicted = np.ceil(time / 10) * 10, risk_of(linear)
    for threshold in (0.05, 0.2, 0.5):
        treated = predicted >= threshold
        risk = 1 - kaplan_meier(time[treated], event[treated], at=[60]).survival[0]
        by_hand = treated.mean() * (risk - (1 - risk) * threshold / (1 - threshold))
        assert net_benefit(time, event, predicted, 60, [threshold])[0] == pytest.approx(by_hand, rel=1e-12)


def test_nobody_treated_is_worth_nothing_and_nobody_followed_has_no_value():
    got = net_benefit([1, 2, 3, 9], [1, 0, 0, 0], [0.5, 0.5, 0.5, 0.1], 5, [0.05, 0.3, 0.9])
    assert got[2] == 0
    assert np.isnan(got[1])
    assert got[0] > 0


def test_limits_hold_the_benefit_and_the_difference_of_a_policy_to_itself_is_none():
    time, event, linear = cohort(2, 500)
    predicted = {"all": np.ones(500), "model": risk_of(linear)}
    got = decision_curve(
        time, event, predicted, 60, [0.1, 0.3], against="all", n_resamples=200, rng=np.random.default_rng(0)
    )
    assert got["policy"].tolist() == ["all", "all", "model", "model"]
    assert ((got["low"] < got["benefit"]) & (got["benefit"] < got["high"])).all()
    same = got.loc[got["policy"] == "all", ["difference", "difference_low", "difference_high"]]
    assert not same.to_numpy().any()
    model = got[got["policy"] == "model"]
    np.testing.assert_allclose(model["benefit"], net_benefit(time, event, predicted["model"], 60, [0.1, 0.3]))
    assert model["difference_low"].iloc[1] > 0
    with pytest.raises(ValueError, match="one of all, model"):
        decision_curve(time, event, predicted, 60, [0.1], against="none", rng=np.random.default_rng(0))


@pytest.mark.slow
def test_limits_hold_the_true_net_benefit_about_as_often_as_they_claim():
    time, event, linear = cohort(3, 200_000)
    truth, held = net_benefit(time, event, risk_of(linear), 60, [0.2])[0], []
    for seed in range(100):
        time, event, linear = cohort(seed + 10, 400)
        got = decision_curve(
            time,
            event,
            {"model": risk_of(linear)},
            60,
            [0.2],
            against="model",
            n_resamples=200,
            rng=np.random.default_rng(seed),
        )
        held.append(got["low"][0] < truth < got["high"][0])
    assert 0.88 <= np.mean(held) <= 0.99
