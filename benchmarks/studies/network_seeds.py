"""How much of the networks' results is the luck of one training: trained again with other seeds.

Reads the preprocessed images of a finished run, trains each sequence's network anew for every seed, fits
the recommended heads on its features, and prints Dice overlap (on the network's grid) and C-index in the
validation cohort, mean and standard deviation over the seeds. Trainings are kept in the run's folder.

    python benchmarks/studies/network_seeds.py RUN COHORT --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from npcbook.cohort.reading import mask_path
from npcbook.imaging.features import extract_features
from npcbook.imaging.grids import stack_on_grid
from npcbook.imaging.heads import fit_scaling
from npcbook.imaging.preprocessing import preprocessed_path
from npcbook.imaging.trained import load_network, network_path
from npcbook.imaging.training import TrainingSettings, train_segmentation
from npcbook.statistics.concordance import harrell_c
from npcbook.statistics.ridge import fit_ridge_cox
from npcbook.words import SEQUENCES

fit_ridge = partial(fit_ridge_cox, fit_scaling=fit_scaling)


def main() -> None:
    """Train, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    source = options.run / "02_segmentation"
    used = pd.read_parquet(source / "features_t1w.parquet", columns=["patient_id"])
    patients = pd.read_csv(options.run / "01_cohorts" / "cohort.csv", dtype={"patient_id": str}).merge(used)
    training = (patients["cohort"] == "training").to_numpy()
    seen = json.loads((source / "input.json").read_text("utf-8"))
    settings = TrainingSettings(**seen["training"])
    rows, features = [], {seed: [] for seed in options.seeds}
    networks = dict.fromkeys(options.seeds)
    for sequence in SEQUENCES:
        pictures, contours = _read(options, patients["patient_id"], sequence, seen)
        for seed in options.seeds:
            trained = train_segmentation(
                pictures[training],
                contours[training],
                network_settings=load_network(network_path(source, sequence)).network.settings,
                settings=replace(settings, seed=seed),
                path=network_path(options.run / "network_seeds" / str(seed), sequence),
                start=networks[seed] if seen["warm_start"] else None,
            )
            networks[seed] = trained.network
            found = extract_features(trained.network, pictures)
            features[seed].append(found.region.to_numpy())
            both = (found.labels > 0)[~training], (contours > 0)[~training]
            rows.append(
                (sequence, seed, _mean_dice(*both), _c_index(features[seed][-1:], patients, training))
            )
    for seed, parts in features.items():
        rows.append(("combined", seed, np.nan, _c_index(parts, patients, training)))
    table = pd.DataFrame(rows, columns=["score", "seed", "dice", "c_index"])
    print(table.to_string(index=False))
    print(table.groupby("score", sort=False)[["dice", "c_index"]].agg(["mean", "std"]).round(3).to_string())


def _read(options, patient_ids, sequence: str, seen: dict) -> tuple[np.ndarray, np.ndarray]:
    folder = options.run / "02_segmentation"
    files = [
        (preprocessed_path(folder, patient, sequence), mask_path(options.cohort, patient, sequence))
        for patient in patient_ids
    ]
    return stack_on_grid(files, tuple(seen["grid"]), plane_mm=seen["plane_mm"])


def _mean_dice(predicted: np.ndarray, drawn: np.ndarray) -> float:
    common, total = (
        a.reshape(len(predicted), -1).sum(axis=1) for a in (predicted & drawn, predicted * 1 + drawn)
    )
    return float((2 * common / np.maximum(total, 1)).mean())


def _c_index(features: list[np.ndarray], patients: pd.DataFrame, training: np.ndarray) -> float:
    inputs, time, event = np.hstack(features), patients["dmfs_months"], patients["dm_event"]
    head = fit_ridge(inputs[training], time[training], event[training], rng=np.random.default_rng(2023))
    return harrell_c(time[~training], event[~training], head.risk(inputs[~training])).c


if __name__ == "__main__":
    main()
