"""Cohorts that nobody had looked at: the whole chain on other seeds, and on a cohort without any effect.

    python benchmarks/studies/other_cohorts.py --seeds 201 202 203 204 205 --null 202 203 204 205

Writes each cohort in full, images included, runs chapters 01 to 05 on it as they stand, and notes what comes
out. Nothing is chosen here. A cohort takes about a quarter of an hour on two cores; one that is done is not
done again, and its large files are removed. A seed's cohort without any effect has the same pictures as its
cohort with effects, and other outcomes: what was learnt from the pictures alone serves both. Adds its rows to
`data/studies/other_cohorts.csv`.
"""

import argparse

import numpy as np
import pandas as pd

from npcbook import __version__
from npcbook.book.run import read_profile, run_chapters, sync_notebooks
from npcbook.cohort import read_truth
from npcbook.imaging import fit_scaling
from npcbook.statistics import fit_ridge_cox, harrell_c
from npcbook.store import atomic_path, project_path, remove
from npcbook.synthetic import write_cohort

CHAPTERS = ["01", "02", "03", "04", "05"]
TABLE = project_path("data/studies/other_cohorts.csv")
VISIBLE = ["size", "heterogeneity", "infiltration"]


def run(scenario: str, seed: int, profile: str) -> pd.DataFrame:
    """Run the chain on one cohort and return what comes out, a row a number."""
    settings = read_profile(profile)
    name = f"study-{scenario}-seed{seed}-{profile}"
    sizes = {"patients": settings["patients"], "grid": tuple(settings["grid"])}
    cohort = write_cohort(f"data/cohorts/{name}", scenario=scenario, seed=seed, **sizes)
    folder = project_path(f"data/runs/study-seed{seed}-{profile}")
    run_chapters(run_folder=folder, cohort_folder=cohort, parameters=settings, chapters=CHAPTERS)
    rows = [*recorded(folder), *overlap(folder), *ceiling(folder, cohort)]
    remove(cohort)
    for outcome_dependent in folder.glob("0[!2]_*"):
        remove(outcome_dependent)
    columns = ["quantity", "cohort", "track", "value"]
    about = {"scenario": scenario, "seed": seed, "profile": profile, "version": __version__}
    return pd.DataFrame(rows, columns=columns).assign(**about)


def recorded(folder):
    """Yield the C-indices that chapters 03 and 05 recorded (training, recommended: out of fold)."""
    tables = [pd.read_csv(folder / name / "values.csv") for name in ("03_dl_training", "05_cox_models")]
    values = pd.concat(tables).dropna(subset="value")
    values = values[values["id"].str.contains(".c_index.", regex=False)]
    parts = values["id"].str.split(".", expand=True)
    values = values.assign(cohort=parts[1], model=parts[3]).drop_duplicates(["cohort", "model", "track"])
    for row in values[~values["model"].str.contains("_vs_")].itertuples():
        yield f"C-index, {row.model}", row.cohort, row.track, row.value


def overlap(folder):
    """Yield the mean Dice overlap in validation, by structure."""
    dice = pd.read_csv(folder / "02_segmentation" / "dice.csv").query("cohort == 'validation'")
    for structure, values in dice.groupby("structure")["dice"]:
        yield f"Dice, {structure}", "validation", "", values.mean()


def ceiling(folder, cohort):
    """Yield the C-index of all that a picture shows, fitted on the same training patients."""
    patients = pd.read_csv(folder / "01_cohorts" / "cohort.csv", dtype={"patient_id": str})
    truth = read_truth(cohort)
    seen = truth[VISIBLE].reindex(patients["patient_id"]).to_numpy()
    stage = [patients["t_stage"] == "T2", patients["n_stage"] == "N1"]
    stage += [patients["rene"] >= grade for grade in (1, 2)]
    seen = np.column_stack([seen, *stage]).astype(float)
    training = (patients["cohort"] == "training").to_numpy()
    time, event = (patients[name].to_numpy() for name in ("dmfs_months", "dm_event"))
    given, rng = (seen[training], time[training], event[training]), np.random.default_rng(0)
    risk = fit_ridge_cox(*given, fit_scaling=fit_scaling, rng=rng).risk(seen)
    planted = truth["linear_predictor"].reindex(patients["patient_id"]).to_numpy()
    for name, score in (("all that is visible, fitted", risk), ("planted risk", planted)):
        if np.ptp(score) > 0:
            c = harrell_c(time[~training], event[~training], score[~training]).c
            yield f"C-index, {name}", "validation", "truth", c


def main() -> None:
    """Run what is asked for and is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="of cohorts as printed")
    parser.add_argument("--null", type=int, nargs="*", default=[], help="of cohorts without any effect")
    parser.add_argument("--profile", default="laptop")
    arguments = parser.parse_args()
    sync_notebooks()
    asked = [(seed, "paper") for seed in arguments.seeds] + [(seed, "null") for seed in arguments.null]
    for seed, scenario in sorted(asked, key=lambda one: (one[0], one[1] == "null")):
        known = pd.DataFrame(columns=["scenario", "seed", "profile"])
        # "null" is a scenario here, and no missing value.
        known = pd.read_csv(TABLE, keep_default_na=False) if TABLE.exists() else known
        wanted = f"scenario == {scenario!r} and seed == {seed} and profile == {arguments.profile!r}"
        if len(known.query(wanted)):
            continue
        found = run(scenario, seed, arguments.profile)
        with atomic_path(TABLE) as temporary:
            pd.concat([known, found]).to_csv(temporary, index=False)
        print(found.to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
