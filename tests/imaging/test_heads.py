"""Heads: the Cox loss against reference programs, choices made inside training, nothing from elsewhere."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from npcbook.imaging import heads
from npcbook.imaging.heads import fit_scaling, fit_softmax_head, fit_staged_head, load_head, save_head
from npcbook.statistics.concordance import harrell_c
from npcbook.statistics.resampling import out_of_fold_risk, stratified_folds
from npcbook.statistics.ridge import cox_loss, fit_ridge_cox

fit_ridge = partial(fit_ridge_cox, fit_scaling=fit_scaling)


@pytest.fixture(scope="module")
def cohort():
    """Return 300 patients of whom about an eighth have an event, and ten features of which one matters."""
    rng = np.random.default_rng(4)
    features = rng.normal(size=(300, 10)) * np.arange(1, 11) + 3
    risk = 1.2 * (features[:, 4] - 3) / 5
    time = rng.exponential(400 / np.exp(risk))
    event = time < 60
    return features, np.where(event, np.ceil(time), 60.0), event.astype(int)


def test_cox_loss_by_hand():
    time, event, risk = np.array([1.0, 2, 2, 3]), np.array([1, 1, 0, 0]), np.log([2.0, 3, 1, 4])
    loss, _ = cox_loss(risk, time, event)
    assert loss == pytest.approx(-(np.log(2 / 10) + np.log(3 / 8)) / 2)


def test_gradient_of_the_cox_loss(cohort):
    _, time, event = cohort
    risk = np.random.default_rng(0).normal(size=len(time))
    error = check_grad(lambda r: cox_loss(r, time, event)[0], lambda r: cox_loss(r, time, event)[1], risk)
    assert error < 1e-5


@pytest.mark.parametrize("penalty", [0.001, 0.1, 2.0])
def test_cox_head_equals_scikit_survival(cohort, penalty):
    features, time, event = cohort
    head = fit_ridge(features, time, event, penalties=(penalty,), rng=np.random.default_rng(0))
    scaled = head.scaling.apply(features)
    # scikit-survival adds the penalty to the whole log-likelihood, not to its share per event.
    reference = CoxPHSurvivalAnalysis(alpha=penalty * event.sum(), ties="breslow", tol=1e-12, n_iter=200)
    reference.fit(scaled, Surv.from_arrays(event.astype(bool), time))
    np.testing.assert_allclose(head.coef, reference.coef_, atol=2e-4)


def test_risk_is_higher_for_worse_and_does_not_depend_on_order(cohort):
    features, time, event = cohort
    head = fit_ridge(features, time, event, penalties=(0.1,), rng=np.random.default_rng(0))
    assert harrell_c(time, event, head.risk(features)).c > 0.65
    shuffled = np.random.default_rng(1).permutation(len(time))
    again = fit_ridge(
        features[shuffled], time[shuffled], event[shuffled], penalties=(0.1,), rng=np.random.default_rng(0)
    )
    np.testing.assert_allclose(again.coef, head.coef, atol=1e-4)


def test_the_penalty_grows_when_there_is_nothing_to_learn(cohort):
    features, time, event = cohort
    informed = fit_ridge(features, time, event, rng=np.random.default_rng(0))
    permuted = np.random.default_rng(3).permutation(len(time))
    blind = fit_ridge(features, time[permuted], event[permuted], rng=np.random.default_rng(0))
    assert informed.penalty < blind.penalty


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("events", [1, 2])
def test_one_or_two_events_give_a_finite_head_without_a_warning(cohort, events):
    features, time, event = (part[:40] for part in cohort)
    event = np.where(np.cumsum(event) <= events, event, 0)
    assert event.sum() == events
    head = fit_ridge(features, time, event, rng=np.random.default_rng(0))
    assert np.isfinite(head.risk(features)).all()


def test_out_of_fold_risk_of_noise_is_chance():
    rng = np.random.default_rng(8)
    found = []
    for _ in range(6):
        features, time = rng.normal(size=(240, 40)), rng.exponential(size=240)
        event = (rng.random(240) < 0.25).astype(int)
        fit = partial(fit_ridge, penalties=(0.1,), rng=rng)
        apparent = fit(features, time, event).risk(features)
        honest = out_of_fold_risk(fit, features, time, event, rng=rng)
        found.append([harrell_c(time, event, risk).c for risk in (apparent, honest)])
    flattered, chance = np.mean(found, axis=0)
    assert flattered > 0.7
    assert chance == pytest.approx(0.5, abs=0.06)


def test_out_of_fold_risk_ignores_a_patient_s_own_outcome(cohort):
    features, time, event = cohort
    fit = partial(fit_ridge, penalties=(0.5,), rng=np.random.default_rng(0))

    def score(time: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(2)
        return out_of_fold_risk(fit, features, time, event, n_folds=3, rng=rng)

    before = score(time)
    fold = stratified_folds(event, 3, rng=np.random.default_rng(2))
    changed = time.copy()
    changed[fold == 0] = np.random.default_rng(5).permutation(time[fold == 0])
    after = score(changed)
    np.testing.assert_allclose(after[fold == 0], before[fold == 0], atol=1e-6)
    assert np.abs(after[fold != 0] - before[fold != 0]).max() > 1e-3


def test_silent_and_wild_channels_do_not_decide():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 5))
    features[:, 0] = 1e-7 * rng.normal(size=200)
    features[0, 1] = 1e4
    scaled = fit_scaling(features).apply(features)
    assert np.abs(scaled).max() <= 5
    assert np.abs(scaled[:, 0]).max() < 1e-3


def test_softmax_head_learns_and_repeats_itself(cohort):
    features, time, event = cohort
    one = fit_softmax_head(features, event, epochs=200, learning_rate=1e-2, seed=1)
    two = fit_softmax_head(features, event, epochs=200, learning_rate=1e-2, seed=1)
    np.testing.assert_array_equal(one.risk(features), two.risk(features))
    assert one.losses[-1] < 0.7 * one.losses[0]
    assert harrell_c(time, event, one.risk(features)).c > 0.7
    assert ((one.risk(features) >= 0) & (one.risk(features) <= 1)).all()


def test_the_order_in_which_penalties_are_named_does_not_matter(cohort):
    given = ((10.0, 1.0, 0.1), (0.1, 10.0, 1.0))
    heads = [fit_ridge(*cohort, penalties=penalties, rng=np.random.default_rng(0)) for penalties in given]
    assert heads[0].penalty == heads[1].penalty
    np.testing.assert_array_equal(heads[0].coef, heads[1].coef)


def test_out_of_fold_risk_takes_tables_of_named_columns(cohort):
    features, time, event = cohort
    named = pd.DataFrame(features, columns=[f"f{n}" for n in range(10)])
    scores = [
        out_of_fold_risk(
            partial(fit_ridge, penalties=(0.1,), rng=np.random.default_rng(1)),
            given, time, event, rng=np.random.default_rng(2),
        )
        for given in (features, named)
    ]  # fmt: skip
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-9)
    assert harrell_c(time, event, scores[0]).c > 0.6


@pytest.fixture
def staged():
    """Features that show two labels of the stage and one measured trait; the hazard rests on all three."""
    rng, n = np.random.default_rng(8), 500
    labels = (rng.random((n, 2)) < (0.5, 0.2)).astype(int)
    trait = rng.normal(size=n)
    shown = labels @ rng.normal(size=(2, 40)) + rng.normal(size=(n, 40))
    hazard = np.exp(1.5 * labels[:, 0] + 2 * labels[:, 1] + trait)
    time = rng.exponential(size=n) / hazard
    event = (time < np.quantile(time, 0.15)).astype(int)
    features = np.column_stack([trait + 0.3 * rng.normal(size=n), shown])
    return features, labels, np.minimum(time, np.quantile(time, 0.15)), event


def fit_staged(features, labels, *outcome, **options):
    fit = partial(fit_ridge_cox, rng=np.random.default_rng(0))
    return fit_staged_head(features, labels, *outcome, measured=np.array([0]), fit=fit, **options)


def test_a_staged_head_reads_the_stage_and_what_is_measured(staged):
    features, labels, time, event = staged
    half = np.arange(len(time)) < 250
    head = fit_staged(features[half], labels[half], time[half], event[half])
    read = head.read(torch.as_tensor(features[~half])).numpy()
    for column in (0, 1):
        means = pd.Series(read[:, column]).groupby(labels[~half, column]).mean()
        assert means[1] > means[0] + 0.5
    assert np.corrcoef(read[:, 2], features[~half, 0])[0, 1] == pytest.approx(1)
    assert harrell_c(time[~half], event[~half], head.risk(features[~half])).c > 0.75
    assert (head.last.coef > 0).all()


def test_penalties_are_judged_as_scikit_learn_judges_them(staged):
    features, labels, *_ = staged
    model = LogisticRegression().fit(features[:250], labels[:250, 0])
    for sure in (1, 1e4):  # so sure that a probability is zero
        model.coef_ = model.coef_ * sure
        given = model, features[250:], labels[250:, 0]
        assert heads._log_likelihood(*given) == pytest.approx(get_scorer("neg_log_loss")(*given), rel=1e-12)


def test_a_staged_head_beats_a_ridge_on_all_features_where_events_are_few(staged):
    features, labels, time, event = staged
    half = np.arange(len(time)) < 250
    ridge = fit_ridge_cox(
        features[half], time[half], event[half], fit_scaling=fit_scaling, rng=np.random.default_rng(0)
    )
    head = fit_staged(features[half], labels[half], time[half], event[half])
    c = [harrell_c(time[~half], event[~half], model.risk(features[~half])).c for model in (head, ridge)]
    assert c[0] > c[1]


def test_a_staged_head_does_without_labels_that_hardly_vary(staged):
    features, labels, *outcome = staged
    rare = np.column_stack([labels, np.arange(len(labels)) < 3]).astype(int)
    assert fit_staged(features, rare, *outcome).weights.shape == (41, 2)
    alone = fit_staged(features, labels[:, :0], *outcome)
    assert alone.weights.shape == (41, 0)
    assert np.isfinite(alone.risk(features)).all()


def test_a_staged_head_is_read_back_as_it_was_written(staged, tmp_path):
    features, labels, *outcome = staged
    head = fit_staged(features, labels, *outcome)
    names = [f"t1w/{number}" for number in range(41)]
    save_head(tmp_path / "head.safetensors", head, names)
    again, columns = load_head(tmp_path / "head.safetensors")
    assert columns == names
    np.testing.assert_array_equal(again.risk(features), head.risk(features))
