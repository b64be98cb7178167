"""How often do the book's 95 % intervals hold the truth? Ask simulated cohorts, whose truth is known.

Draws cohorts as tables, without pictures. A score is learnt as chapter 03 learns its recommended one: a ridge
Cox model, its penalty chosen by cross-validation, training patients scored out of fold. Its features are what
pictures show: readings of the planted traits, as noisy as those of the region features are in the default
cohort, and T, N and rENE. Groups are cut at the training median of the scores. Each interval is then held
against its truth: for the dose, the planted probabilities of the very patients compared; for hazard ratio and
C-index, the value of that score, and cut, in a large population.

    python benchmarks/studies/coverage.py --cohorts 300 --seed 13000
    python benchmarks/studies/coverage.py --cohorts 600 --seed 20000 --nothing-planted

The first takes about half an hour on two idle cores, and writes data/studies/coverage.csv. How limits are
found was chosen with seeds 1000 to 1199, 5000 to 5199 and 7000 to 7199; what the book shows comes from
others. The second takes five minutes: C-indices alone, of cohorts in which nothing bears on the outcome.
"""

from __future__ import annotations

import argparse
from functools import partial
from importlib.metadata import version

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from npcbook.imaging.heads import fit_scaling
from npcbook.statistics import (
    fit_cox_or_firth,
    fit_firth_cox,
    fit_ridge_cox,
    harrell_c,
    optimal_cutpoint,
    out_of_fold_risk,
    rate_difference,
    weighted_rates,
)
from npcbook.statistics.printing import Estimate
from npcbook.store import atomic_path, project_path
from npcbook.synthetic import simulate_table, specification

#: Correlation of a reading with the planted trait, as in the default cohort's region features.
READ = {"size": 0.90, "heterogeneity": 0.53, "infiltration": 0.85}
RENE_NOISE = 0.5  # standard deviation of a reading of the grade: G1 against G0 has an AUC of about 0.9
#: Of 60,000, 238 metastases at low risk made the truth itself uncertain by 7 %, and 0.08 too high.
POPULATION, POPULATION_SEED = 400_000, 1
HORIZON = 60
#: More than 160 mg/m² less radiotherapy alone, five-year DMFS.
DOSE = "dose effect, high risk, points"
RECOMMENDED, PUBLISHED = "recommended", "as published"
BOOKS = "the book's"  # Firth's as recommended; as published Wald's, or the profile's where these fail
spec = partial(specification, exact_counts=False)  # cohorts that are drawn, as intervals suppose


def read_pictures(table: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Return what is read of every patient's pictures."""
    noise = rng.standard_normal((len(table), len(READ) + 1))
    traits = [
        r * table[name] + np.sqrt(1 - r**2) * e for (name, r), e in zip(READ.items(), noise.T, strict=False)
    ]
    stage = [table["t_stage"] == "T2", table["n_stage"] == "N1", table["rene"] + RENE_NOISE * noise[:, -1]]
    return np.column_stack([*traits, *stage]).astype(float)


def draw(rng: np.random.Generator, **changes) -> tuple[pd.DataFrame, np.ndarray]:
    """Return patients with their truth, and what is read of their pictures."""
    patients, truth = simulate_table(spec(**changes), rng)
    table = patients.merge(truth, on="patient_id")
    return table, read_pictures(table, rng)


def learn(table: pd.DataFrame, features: np.ndarray, rng: np.random.Generator):
    """Return the model of all training patients, those of the folds, and scores (apparent, recommended)."""
    models, training = [], (table["cohort"] == "training").to_numpy()

    def fit(*data):
        models.append(fit_ridge_cox(*data, fit_scaling=fit_scaling, rng=rng))
        return models[-1]

    inside = features[training], *(table.loc[training, c].to_numpy() for c in ("dmfs_months", "dm_event"))
    whole = fit(*inside)
    apparent = whole.risk(features)
    recommended = apparent.copy()
    recommended[training] = out_of_fold_risk(fit, *inside, rng=rng)
    return whole, models[1:], apparent, recommended


def hazard_ratio(table: pd.DataFrame, high: np.ndarray, fit=fit_firth_cox) -> Estimate:
    """Return the log hazard ratio of high against low risk, with limits as chapter 06 takes them."""
    fit = fit(table["dmfs_months"], table["dm_event"], high.astype(float))[0]
    return Estimate(*np.log([fit.hr, fit.hr_low, fit.hr_high]))


def concordance(table: pd.DataFrame, risk: np.ndarray):
    """Return Harrell's C."""
    return harrell_c(table["dmfs_months"], table["dm_event"], risk)


def wald(found) -> Estimate:
    """Return a C-index with the limits that R gives it."""
    return Estimate(found.c, found.low, found.high)


def dosed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the patients of chapter 08, with dose group and the covariates that are balanced there."""
    table = table[(table["n_stage"] == "N1") & table["chemotherapy"].isin(["none", "cisplatin_nedaplatin"])]
    dose = pd.cut(table["ccnd_mg_m2"], [-np.inf, 0, 160, np.inf], labels=["none", "low", "high"]).astype(str)
    return table.assign(dose=dose).reset_index(drop=True)


def covariates_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return what weights balance: the patient's condition, the score, the centre."""
    columns = {"age": table["age"], "female": table["sex"] == "female", "t2": table["t_stage"] == "T2"}
    columns |= {f"ldh {level}": table["ldh"] == level for level in ("abnormal", "missing")}
    columns |= {f"ebv {level}": table["ebv_dna"] == level for level in ("detectable", "missing")}
    columns |= {f"rene {grade}": table["rene"] == grade for grade in (1, 2)} | {"score": table["score"]}
    centers = pd.get_dummies(table["center"], prefix="centre")
    return pd.DataFrame(columns).join(centers).astype(float)


def gain(table: pd.DataFrame) -> float:
    """Return the truth: what 240 mg/m² instead of radiotherapy alone gives these very patients, points."""
    return 100 * (table["dm_probability_5y_radiotherapy"] - table["dm_probability_5y_240"]).mean()


def weighted_gain(table: pd.DataFrame, n_bootstraps: int, rng) -> dict[str, Estimate]:
    """Return the weighted difference of rates, in points, by how its limits are found."""
    outcomes = {"DMFS": (table["dmfs_months"], table["dm_event"])}
    within, options = np.zeros(len(table)), {"n_bootstraps": n_bootstraps, "rng": rng}
    found = weighted_rates(outcomes, table["dose"], covariates_of(table), HORIZON, within=within, **options)
    first, second = ("DMFS", 0, "high"), ("DMFS", 0, "none")
    estimate, drawn = found.difference(first, second), found.samples[first] - found.samples[second]
    limits = {
        "log-log, combined (the book's)": (estimate.low, estimate.high),
        "percentiles of the bootstrap": tuple(drawn.quantile([0.025, 0.975])),
        "1.96 bootstrap standard errors": (estimate.value + k * 1.96 * drawn.std() for k in (-1, 1)),
    }
    return {name: Estimate(*(100 * v for v in (estimate.value, *ends))) for name, ends in limits.items()}


def dose_rows(table: pd.DataFrame, high: np.ndarray, n_bootstraps: int, rng) -> list[tuple]:
    """Return estimates of the dose effect in high-risk patients, with their truth."""
    patients, rows = dosed(table[high]), []
    new = patients[patients["cohort"] == "validation"].reset_index(drop=True)
    for whose, part in {"both cohorts": patients, "validation": new}.items():
        for how, estimate in weighted_gain(part, n_bootstraps, rng).items():
            rows.append((DOSE, whose, RECOMMENDED, how, estimate, gain(part)))
    return rows


def published_rows(table: pd.DataFrame, apparent: np.ndarray, everybody: tuple, whole) -> list[tuple]:
    """Return what the published way gives: scores of patients seen, a searched cut, no weights."""
    training = (table["cohort"] == "training").to_numpy()
    seen, population, features = table[training], *everybody
    cut = optimal_cutpoint(seen["dmfs_months"], seen["dm_event"], apparent[training]).value
    risk = whole.risk(features[0])
    rows = [
        ("hazard ratio, high against low risk", "training", PUBLISHED, BOOKS,
         hazard_ratio(seen, apparent[training] > cut, fit_cox_or_firth),
         hazard_ratio(population[0], risk > cut).value),
        ("C-index", "training", PUBLISHED, "Wald",
         wald(concordance(seen, apparent[training])), concordance(population[0], risk).c),
    ]  # fmt: skip
    patients = dosed(table[apparent > cut])
    outcome = patients["dmfs_months"], patients["dm_event"], patients["dose"]
    found = rate_difference(*outcome, HORIZON, first="high", second="none")
    crude = Estimate(*(100 * v for v in (found.value, found.low, found.high)))
    return [*rows, (DOSE, "both cohorts", PUBLISHED, "Greenwood", crude, gain(patients))]


def replicate(seed: int, everybody: tuple, n_bootstraps: int) -> pd.DataFrame:
    """Return all estimates of one cohort with their truths."""
    rng = np.random.default_rng(seed)
    table, features = draw(rng)
    whole, folds, apparent, score = learn(table, features, rng)
    table, training = table.assign(score=score), (table["cohort"] == "training").to_numpy()
    cut = np.median(score[training])
    rows = dose_rows(table, score > cut, n_bootstraps, rng)
    (_, new), (seen_features, new_features) = everybody
    old = everybody[0][0]
    for whose, models, people, read in (
        ("training, out of fold", folds, old, seen_features),
        ("validation", [whole], new, new_features),
    ):
        inside = training if whose != "validation" else ~training
        risks = [model.risk(read) for model in models]
        ratio = np.mean([hazard_ratio(people, risk > cut).value for risk in risks])
        c = np.mean([concordance(people, risk).c for risk in risks])
        part, own = table[inside], score[inside]
        kind, found = (whose, RECOMMENDED), concordance(part, own)
        ratio_here = hazard_ratio(part, own > cut)
        rows.append(("hazard ratio, high against low risk", *kind, BOOKS, ratio_here, ratio))
        rows.append(("C-index", *kind, "Wald", wald(found), c))
        rows.append(("C-index", *kind, "log odds, Student's t", found.for_few_events(), c))
    rows += published_rows(table, apparent, everybody, whole)
    names = ["quantity", "patients", "track", "limits"]
    return pd.DataFrame([
        dict(zip(names, row, strict=False)) | {"value": row[4].value, "low": row[4].low, "high": row[4].high}
        | {"truth": row[5], "seed": seed} for row in rows
    ])  # fmt: skip


def replicate_nothing(seed: int) -> pd.DataFrame:
    """Return the C-indices of one cohort in which nothing bears on the outcome; their truth is 0.5."""
    rng, rows = np.random.default_rng(seed), []
    table, features = draw(rng, scenario="null")
    *_, score = learn(table, features, rng)
    training = (table["cohort"] == "training").to_numpy()
    for whose, inside in {"training, out of fold": training, "validation": ~training}.items():
        found = concordance(table[inside], score[inside]).for_few_events()
        row = {"quantity": "C-index", "patients": whose, "track": RECOMMENDED, "limits": BOOKS}
        rows.append(row | {"value": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows).assign(truth=0.5, seed=seed)


def summarise(found: pd.DataFrame) -> pd.DataFrame:
    """Return how often each kind of interval holds its truth, and on which side it misses."""
    found = found.dropna(subset=["low", "high"])
    found = found.assign(
        held=(found["low"] <= found["truth"]) & (found["truth"] <= found["high"]),
        truth_below=found["truth"] < found["low"],
        truth_above=found["truth"] > found["high"],
        width=found["high"] - found["low"],
    )
    kinds = found.groupby(["quantity", "patients", "track", "limits"], sort=False)
    table = pd.DataFrame({"cohorts": kinds.size()})
    shares = {"held": "holds the truth", "truth_below": "truth below", "truth_above": "truth above"}
    for column, name in shares.items():
        table[f"{name}, %"] = (100 * kinds[column].mean()).round(1)
    names = {"value": "mean estimate", "truth": "mean truth", "width": "mean width"}
    for column, name in names.items():
        table[name] = kinds[column].mean().round(3)
    return table.reset_index()


def population() -> tuple:
    """Return the outcomes of a large population, and what is read of its pictures, each by cohort."""
    table, features = draw(np.random.default_rng(POPULATION_SEED), patients=POPULATION)
    training = (table["cohort"] == "training").to_numpy()
    table = table[["dmfs_months", "dm_event"]]
    return (table[training], table[~training]), (features[training], features[~training])


def main() -> None:
    """Draw the cohorts, hold the intervals against the truth, write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=13000, help="of the first cohort; the others follow on")
    parser.add_argument("--bootstraps", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nothing-planted", action="store_true", help="C-indices of the scenario null")
    options = parser.parse_args()
    out = project_path(f"data/studies/{'nothing_planted' if options.nothing_planted else 'coverage'}.csv")
    seeds, job = range(options.seed, options.seed + options.cohorts), replicate_nothing
    if not options.nothing_planted:
        job = partial(replicate, everybody=population(), n_bootstraps=options.bootstraps)
    found = summarise(pd.concat(Parallel(options.workers)(delayed(job)(seed) for seed in seeds)))
    command = f"python benchmarks/studies/coverage.py --cohorts {options.cohorts} --seed {options.seed}"
    command += " --nothing-planted" * options.nothing_planted
    found = found.assign(seeds=f"{seeds[0]} to {seeds[-1]}", version=version("npcbook"), command=command)
    with atomic_path(out) as temporary:
        found.to_csv(temporary, index=False)
    print(found.drop(columns=["seeds", "version", "command"]).to_string(index=False))


if __name__ == "__main__":
    main()
