"""The chapter that describes a cohort has print's numbers where the cohort has, and bears what is missing."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from npcbook.store import project_path
from npcbook.synthetic import DEFAULT_SEED, simulate_table, specification

pytestmark = pytest.mark.book


def described(folder, patients):
    """Run the chapter's code on a cohort that is a table only; return its tables by name."""
    (folder / "cohort").mkdir()
    patients.to_csv(folder / "cohort" / "participants.tsv", sep="\t", index=False)
    description = json.dumps({"Name": "Test", "synthetic": False})
    (folder / "cohort" / "dataset_description.json").write_text(description)
    script = project_path("notebooks/01_cohorts.py").read_text()
    script = script.replace("data/cohorts/synthetic-laptop", str(folder / "cohort"))
    script = script.replace("data/runs/laptop-synthetic", str(folder / "run"))
    exec(compile(script, "01_cohorts.py", "exec"), {"__name__": "chapter"})
    plt.close("all")
    return {
        path.stem: pd.read_csv(path, dtype=str, keep_default_na=False)
        for path in (folder / "run" / "01_cohorts").rglob("*.csv")
    }


@pytest.fixture(scope="module")
def patients():
    return simulate_table(specification(), np.random.default_rng(DEFAULT_SEED))[0]


def test_table_1_of_the_default_cohort_is_that_of_print(patients, tmp_path):
    tables = described(tmp_path, patients)
    rows = tables["table_1"].set_index(["characteristic", "level"])
    male = rows.loc[("Sex", "Male")]
    assert male.tolist() == ["395 (68.7)", "326 (65.6)", "0.28", "Pearson chi-square", "0.07"]
    assert rows.loc[("Age, years", "median (quartiles)")].tolist()[:2] == ["44 (38–51)", "48 (40–56)"]
    assert rows.loc["EBV DNA", "test"].tolist() == ["Pearson chi-square", "", ""]
    against = tables["values"].set_index(["id", "track"])["value"].astype(float)
    assert against["table1.training.ebv_unknown.n", "as published"] == 26
    assert against["table1.training.dmfs_5y", "as published"] == pytest.approx(93.5, abs=0.8)
    assert "not_estimable" not in tables


def test_what_a_small_cohort_cannot_give_is_listed_with_the_reason(patients, tmp_path):
    few = patients[patients["dm_event"] == 0].groupby("cohort").head(8).assign(exclusion="")
    few.iloc[0, few.columns.get_loc("exclusion")] = "stage I"
    tables = described(tmp_path, few)
    assert tables["flow"]["patients"].tolist() == ["read", "excluded: stage I", "analysed"]
    assert tables["flow"]["all"].tolist() == ["16", "1", "15"]
    assert len(tables["cohort"]) == 15
    assert "test of 5-year DMFS by cohort" in tables["not_estimable"]["estimate"].tolist()


def test_one_cohort_alone_is_described_and_not_compared(patients, tmp_path):
    rows = described(tmp_path, patients[patients["cohort"] == "training"])["table_1"]
    assert rows.columns.tolist() == ["characteristic", "level", "training (n = 575)", "p", "test"]
    assert set(rows["p"]) <= {"", "–"}
