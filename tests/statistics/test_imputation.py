"""Multiple imputation recovers what complete cases lose, and pooling follows Rubin's rules."""

import numpy as np
import pandas as pd
import pytest

from npcbook.statistics.cox import fit_cox
from npcbook.statistics.imputation import impute_binary, pool


def cohort(seed, n=2500):
    rng = np.random.default_rng(seed)
    covariates = pd.DataFrame({"age": rng.normal(size=n), "marker": (rng.random(n) < 0.4).astype(float)})
    covariates["stage"] = (rng.random(n) < 0.3 + 0.3 * covariates["marker"]).astype(float)
    linear = covariates.to_numpy() @ [0.2, 0.9, 0.5]
    time, censoring = rng.exponential(100 * np.exp(-linear)), rng.uniform(20, 80, n)
    return np.minimum(time, censoring), time <= censoring, covariates, rng


def fitted(time, event, sets):
    fits = [fit_cox(time, event, data) for data in sets]
    return pool([fit.coef for fit in fits], [fit.se for fit in fits])


def test_values_missing_by_outcome_are_recovered():
    time, event, covariates, rng = cohort(1)
    # Markers go missing mostly in those with an early event: complete cases are misleading.
    lost = rng.random(len(time)) < np.where(event & (time < 20) & (covariates["stage"] == 1), 0.8, 0.1)
    observed = covariates.assign(marker=covariates["marker"].mask(lost))
    got = fitted(
        time, event, impute_binary(time, event, observed, n_imputations=10, rng=np.random.default_rng(0))
    )
    complete = fit_cox(time[~lost], event[~lost], covariates[~lost])
    full = fit_cox(time, event, covariates)
    assert got.coef == pytest.approx(full.coef, abs=0.12)
    assert (got.se > full.se).all()
    assert complete.coef[2] < 0.1  # the stage effect is lost among complete cases
    assert (got.missing_information > 0).all()
    assert got.missing_information[1] == got.missing_information.max()


def test_known_values_stay_and_missing_ones_become_zero_or_one():
    time, event, covariates, rng = cohort(2, 300)
    observed = covariates.copy()
    for name in ("marker", "stage"):
        observed.loc[rng.random(300) < 0.2, name] = np.nan
    sets = impute_binary(time, event, observed, n_imputations=3, rng=np.random.default_rng(0))
    again = impute_binary(time, event, observed, n_imputations=3, rng=np.random.default_rng(0))
    for data, same in zip(sets, again, strict=True):
        pd.testing.assert_frame_equal(data, same)
        assert set(np.unique(data[["marker", "stage"]])) == {0.0, 1.0}
        assert data.where(observed.notna()).equals(observed)
    assert not sets[0].equals(sets[1])
    complete = impute_binary(time, event, covariates, n_imputations=2, rng=rng)
    assert complete[0].equals(covariates)


def test_pooling_by_hand():
    got = pool([[1.0], [2.0], [3.0]], [[0.5], [0.5], [0.5]])
    total = 0.25 + (1 + 1 / 3) * 1.0
    assert got.coef.tolist() == [2.0]
    assert got.se[0] == pytest.approx(np.sqrt(total))
    assert got.missing_information[0] == pytest.approx((4 / 3) / total)
    same = pool([[1.0], [1.0]], [[0.5], [0.5]])
    assert (same.low[0], same.high[0]) == pytest.approx((1 - 0.98, 1 + 0.98), abs=1e-3)


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        (pd.DataFrame({"age": [1.0, np.nan, 3.0, 4.0]}), "age has missing values and is not binary"),
        (pd.DataFrame({"ebv": [np.nan] * 4}), "ebv is empty"),
        (pd.DataFrame({"age": [1.0, 2.0]}), "covariates has 2 rows and time has 4"),
    ],
)
def test_bad_input_is_named(covariates, message):
    with pytest.raises(ValueError, match=message):
        impute_binary([1, 2, 3, 4], [1, 0, 1, 0], covariates, rng=np.random.default_rng(0))


def test_pooling_needs_two_finite_sets():
    with pytest.raises(ValueError, match="with m 2 or more"):
        pool([[1.0]], [[1.0]])
    with pytest.raises(ValueError, match="must be finite"):
        pool([[1.0], [np.nan]], [[1.0], [1.0]])
