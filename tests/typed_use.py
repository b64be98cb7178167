"""A program as a user of the library would write it: mypy holds the faces' types against it; never run."""

from pathlib import Path
from typing import assert_type

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from npcbook import book, cohort, imaging, paper, statistics, synthetic

table = cohort.read_cohort("data/cohorts/mine").patients
time, event, risk = (table[name].to_numpy() for name in ("dmfs_months", "dm_event", "age"))
rng = np.random.default_rng(1)

# statistics: arrays in, frozen results out
c = statistics.harrell_c(time, event, risk)
assert_type(c, statistics.Concordance)
assert_type((c.c, c.low, c.high), tuple[float, float, float])
assert_type(statistics.compare_c(time, event, risk, risk).p_value, float)
assert_type(statistics.auc_at(time, event, risk, 60).auc, float)
assert_type(statistics.optimal_cutpoint(time, event, risk, min_fraction=0.2).value, float)
firth = statistics.fit_firth_cox(time, event, table[["age"]])
assert_type(firth, statistics.FirthFit)
assert_type(firth.hr_low, np.ndarray)
assert_type(statistics.fit_cox(time, event, table[["age"]]), statistics.CoxFit)
assert_type(statistics.logrank(time, event, risk > 50).p_value, float)
assert_type(statistics.gail_simon(risk, risk).p_value, float)

# cohorts on disk, real and synthetic
assert_type(table, pd.DataFrame)
assert_type(cohort.covariate_names("t2, n1"), list[str])
assert_type(cohort.read_truth("data/cohorts/mine"), pd.DataFrame | None)
assert_type(synthetic.simulate_table(synthetic.specification(), rng)[0], pd.DataFrame)

# images and trained models
assert_type(imaging.read_model("data/runs/mine"), imaging.Model)
assert_type(imaging.NetworkSettings(width="tiny", grid=(8, 32, 32)), imaging.NetworkSettings)

# print, and a chapter's part of a run
assert_type(paper.read_published(), pd.DataFrame)
chapter = book.open_chapter("06_km", run_folder=Path("data/runs/mine"), cohort_folder="data/cohorts/mine")
assert_type(chapter, book.Chapter)
assert_type(chapter.read("05_cox_models/scores"), pd.DataFrame)
chapter.figure("empty", plt.figure(), "An empty figure.")
chapter.record("text.cutoff.dc", c.c, low=c.low, high=c.high)
