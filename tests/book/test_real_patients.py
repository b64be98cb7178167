"""The chapter on real patients: counts by hand from the published table, one seed giving one number."""

import csv
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from npcbook.statistics import fit_cox, optimism_corrected_c
from npcbook.store import project_path
from npcbook.words import SYNTHETIC_LABEL

pytestmark = pytest.mark.book
NAME = "09d_real_patients"
GIVEN = {"n_simulations": 4, "n_resamples": 20}


@pytest.fixture(scope="module")
def published():
    """Return the nasopharynx patients of the table as it was published."""
    (path,) = project_path("data/real/radcure").glob("*.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row for row in csv.DictReader(file) if row["Ds Site"] == "Nasopharynx"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Run the chapter's code cells in this process; return its variables and what it said."""
    given = GIVEN | {"run_folder": str(tmp_path_factory.mktemp("run"))}
    lines = project_path(f"notebooks/{NAME}.py").read_text().splitlines()
    for number, line in enumerate(lines):
        if (parameter := line.partition(" = ")[0]) in given:
            lines[number] = f"{parameter} = {given[parameter]!r}"
    variables = {"__name__": NAME}
    with pytest.MonkeyPatch.context() as patch:
        for shown in ("display", "update_display"):
            patch.setattr(f"npcbook.book.chapter.{shown}", lambda *args, **options: None)
        patch.setattr("npcbook.book.chapter.Chapter.figure", lambda *args: None)
        exec(compile("\n".join(lines), f"{NAME}.py", "exec"), variables)
    plt.close("all")
    return variables


def table(page, name):
    return pd.read_csv(page["chapter"].folder / "tables" / f"{name}.csv")


def test_the_published_table_holds_what_is_known_of_it_by_hand(published):
    assert len(published) == 355
    assert sum(row["Sex"] == "Male" for row in published) == 255
    assert sum(row["Distant"] == "Yes" for row in published) == 50
    assert sum(row["Status"] == "Dead" for row in published) == 55


def test_the_page_counts_the_same_patients_and_says_why_some_are_left_out(page, published):
    flow = table(page, "flow").set_index("patients")["number"]
    left = flow[flow.index.str.startswith("left out")]
    (elsewhere,) = left[left.index.str.contains("outside the nasopharynx")]
    assert flow["read"] - elsewhere == len(published) == 355
    assert sorted(left) == [1, 1, 2, elsewhere]
    assert any("RADCURE" in line for line in page["impossible"])
    kept = [row for row in published if not row["Path"].startswith("Neuroendocrine") and row["M "] == "M0"]
    kept = [row for row in kept if row["Date Distant"] != row["RT Start"]]  # the one impossible date
    patients = page["patients"]
    assert flow["analysed"] == len(kept) == 351
    assert (patients["sex"] == "male").sum() == sum(row["Sex"] == "Male" for row in kept)
    assert patients["dm_event"].sum() == sum(row["Distant"] == "Yes" for row in kept) == 49
    assert patients["os_event"].sum() == sum(row["Status"] == "Dead" for row in kept) == 54
    assert patients["n_stage"].value_counts().to_dict() == {"N2": 175, "N1": 88, "N3": 45, "N0": 43}


def test_months_are_days_from_the_start_of_radiotherapy(page, published):
    ids = {re.sub("[^A-Za-z0-9]", "", row["patient_id"]): row for row in published}
    for patient, months in page["patients"]["os_months"].head(20).items():
        start, end = (pd.to_datetime(ids[patient][c], format="%m/%d/%Y") for c in ("RT Start", "Last FU"))
        assert months == pytest.approx((end - start).days / 30.4375, abs=0.02)


def test_hazard_ratios_stand_beside_the_printed_ones_with_the_difference(page):
    shown = table(page, "hazard_ratios")
    assert len(shown) == 8
    female = shown[
        (shown["model"] == "univariable") & shown["covariate (reference)"].eq("female (male)")
    ].iloc[0]
    assert female["printed HR (95 % CI)"] == "0.29 (0.11–0.74)"
    ours, ratio = (float(female[c].split()[0]) for c in ("HR here (95 % CI)", shown.columns[5]))
    assert ratio == pytest.approx(ours / 0.29, abs=0.03)
    data, x = page["survival"], page["base"][["female"]]
    assert ours == pytest.approx(fit_cox(data["time"], data["event"], x)["female"].hr, abs=0.005)


def test_the_same_seed_gives_the_same_optimism(page):
    def fit(time, event, design):
        return fit_cox(time, event, design, on_monotone="report").risk

    data, rng = page["outcome"](), np.random.default_rng(page["seed"])
    again = optimism_corrected_c(*data, page["by_step"], fit, n_resamples=GIVEN["n_resamples"], rng=rng)
    assert again == page["optimism"]
    assert again.corrected < again.apparent


def test_takeaways_hold_numbers_and_no_label_is_synthetic(page):
    chapter = page["chapter"]
    assert sorted(chapter.takeaways) == [1, 2, 3, 4, 5]
    assert all(re.search(r"\d", text.split("(#")[0]) for text in chapter.takeaways.values())
    assert {row["label"] for row in chapter.shown} != set()
    assert not [row for row in chapter.shown if SYNTHETIC_LABEL in row["label"]]


def test_a_strong_score_needs_few_events_and_a_weak_one_more(page):
    needed = page["needed"].set_index(["score", "events"])
    assert needed.loc[("as printed", 80), "added"] == 1.0
    assert (
        needed.loc["as printed", "formula"].iloc[0]
        < needed.loc["half as far from 0.5", "formula"].iloc[0] / 3
    )
