"""Does the synthetic cohort keep to print on average? Draw many cohorts and set their means beside print.

Run with ``python benchmarks/replicate_cohorts.py [COHORTS]``; 200 cohorts take about a minute and a half.
"""

import sys

import numpy as np
import pandas as pd

from npcbook.cohort.columns import code_covariates
from npcbook.paper.printed import lookup
from npcbook.statistics.concordance import harrell_c
from npcbook.statistics.cox import fit_cox
from npcbook.statistics.survival import kaplan_meier, reverse_km
from npcbook.synthetic.patients import simulate_table, specification

BANDS = {"linear_predictor": "0.88–0.93", "lp_clinical": "0.70–0.80", "heterogeneity": "0.62–0.72"}


def table_two(patients: pd.DataFrame) -> dict[str, float]:
    """Return the log hazard ratios of the model without images, fitted as print fits it."""
    known = patients[(patients["ldh"] != "missing") & (patients["ebv_dna"] != "missing")]
    covariates = code_covariates(known)
    fit = fit_cox(known["dmfs_months"], known["dm_event"], covariates, on_monotone="report")
    return {f"table2.multivariable.{name}": value for name, value in zip(covariates, fit.coef, strict=True)}


def replicate(seed: int) -> dict[str, float]:
    """Return what one drawn cohort gives, by the id of the printed number or the name of the planted risk."""
    patients, truth = simulate_table(specification(exact_counts=False), np.random.default_rng(seed))
    patients = patients.merge(truth, on="patient_id")
    found = {}
    for name, group in patients.groupby("cohort"):
        for endpoint, time, event in (("dmfs", "dmfs_months", "dm_event"), ("os", "os_months", "os_event")):
            rate = kaplan_meier(group[time], group[event], at=[60]).survival[0]
            found[f"table1.{name}.{endpoint}_5y"] = 100 * rate
        found[f"table1.{name}.follow_up"] = reverse_km(group["os_months"], group["os_event"]).median
        for subject, chosen in (
            ("sex_female", group["sex"] == "female"),
            ("t2", group["t_stage"] == "T2"),
            ("n1", group["n_stage"] == "N1"),
            ("ebv_detectable", group["ebv_dna"] == "detectable"),
            ("rene_g1", group["rene"] == 1),
            ("chemotherapy_none", group["chemotherapy"] == "none"),
        ):
            found[f"table1.{name}.{subject}.percent"] = 100 * chosen.mean()
        for risk in BANDS:
            found[f"C-index, {name}, {risk}"] = harrell_c(
                group["dmfs_months"], group["dm_event"], group[risk]
            ).c
    return found | table_two(patients[patients["cohort"] == "training"])


def main(cohorts: int) -> None:
    """Print means beside print; spread is half the central 68 %, of hazard ratios as logarithms."""
    drawn = pd.DataFrame([replicate(seed) for seed in range(cohorts)])
    rows = []
    for name in drawn:
        ratio = name.startswith("table2")
        target = BANDS[name.split(", ")[-1]] if name.startswith("C-index") else lookup(name)["printed"]
        # A cohort without an event in a rare level has no finite hazard ratio; the median bears that.
        value = np.exp(drawn[name].median()) if ratio else drawn[name].mean()
        low, high = drawn[name].quantile([0.16, 0.84])
        rows.append((name, target, round(value, 2), round((high - low) / 2, 2)))
    columns = ["quantity", "print or band", f"{cohorts} cohorts", "spread"]
    print(pd.DataFrame(rows, columns=columns).to_string(index=False))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
