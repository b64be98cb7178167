"""Parameters: what the comment beside one declares holds for what is given, before anything is written."""

import math

import pandas as pd
import pytest

from npcbook.book.parameters import (
    Declared,
    WrongParameter,
    check_chapter,
    check_names,
    check_values,
    read_declared,
)
from npcbook.book.run import check_parameters, plan_chapters, read_profile

PLACES = {"cohort_folder", "run_folder", "real_cohort"}
ALL = {plan.name: read_declared(plan.name) for plan in plan_chapters()}
ANY = {name: item for declared in ALL.values() for name, item in declared.items()}
BAD = [
    ("min_fraction", "abc", "a number from 0.01 to 0.49"),
    ("min_fraction", "0,2", "a number from 0.01 to 0.49"),
    ("min_fraction", 0.5, "a number from 0.01 to 0.49"),
    ("min_fraction", 0.7, "a number from 0.01 to 0.49"),
    ("min_fraction", math.nan, "a number from 0.01 to 0.49"),
    ("min_fraction", True, "a number from 0.01 to 0.49"),
    ("epochs", 2.0, "a whole number of 1 or more"),
    ("epochs", 0, "a whole number of 1 or more"),
    ("bin_width", "25 HU", "a number from 0.1 to 10000"),
    ("plane_mm", -1, "a number from 0 to 500"),
    ("seed", -1, "a whole number of 0 or more"),
    ("workers", 0, "a whole number from 1 to 256"),
    ("age_cut", 200, "a whole number from 0 to 120"),
    ("horizon_months", 0, "a whole number from 1 to"),
    ("horizon_months", -5, "a whole number from 1 to"),
    ("train_on", "false", "True or False"),
    ("model", "DC", "one of 'dl_combined', 'radiomics_combined', 'clinical', 'rc', 'dc'"),
    ("model", "clinicall", "one of 'dl_combined'"),
    ("contours", "both", "one of 'manual', 'predicted'"),
    ("only_chapter", "99", "'06_km'"),
    ("network_grid", [8, 32, 32], "3 whole numbers from 1 to 512 in one text, with commas between"),
    ("network_grid", "8x32x32", "3 whole numbers from 1 to 512"),
    ("network_grid", "8, 32", "3 whole numbers from 1 to 512"),
    ("network_grid", "8, 32, 1000", "3 whole numbers from 1 to 512"),
    ("thresholds", "5;10", "numbers from 0.1 to 99"),
    ("local_events", "5.5", "whole numbers from 1 to 10000"),
    ("absolute_limits", "low", "'auto' or 2 numbers from 0 to 1"),
    ("clinical_covariates", ["t2", "n1"], "names out of 'age', 'female'"),
    ("clinical_covariates", "", "names out of 'age', 'female'"),
    ("clinical_covariates", "t2,stage", "names out of 'age', 'female'"),
    (
        "training",
        {"batch_size": 2.5},
        'training["batch_size"] is 2.5; it must be a whole number of 1 or more',
    ),
    ("training", {"mirror": "false"}, "True or False"),
    ("training", {"learning_rate": "1e-3 "}, "a number from 1e-8 to 1"),
    ("training", {"loss": "focal"}, "one of 'dice', 'cross-entropy', 'dice and cross-entropy'"),
    ("training", {"device": "cuda"}, "training has no entry 'device'; it has batch_size"),
    ("training", {"blur_voxels": "no"}, "a number of 0 or more, such as 0.8"),
    ("training", {"micro_batch": 0}, "a whole number of 1 or more, such as 8"),
    ("training", 3, "a dictionary"),
    ("head", {"epochs": 2.5}, "a whole number"),
    ("outcome_training", {"device": "cuda"}, "has no entry 'device'; it has frozen_levels"),
    ("outcome_training", {"seed": -1}, "has no entry 'seed'"),
    (
        "outcome_training",
        {"micro_batch": 0},
        'outcome_training["micro_batch"] is 0; it must be a whole number',
    ),
    ("outcome_training", {"weight_decay": -0.1}, "a number of 0 or more, such as 0.01"),
    ("outcome_training", {"mirror": "no"}, "True or False"),
]


@pytest.mark.parametrize(("name", "value", "said"), BAD, ids=[f"{name}={value}" for name, value, _ in BAD])
def test_a_value_that_cannot_be_is_one_sentence(name, value, said):
    with pytest.raises(WrongParameter) as error:
        check_values(ANY, {name: value})
    (line,) = str(error.value).splitlines()
    assert name in line
    assert said in line
    assert line.endswith(".")
    assert error.value._render_traceback_() == [line]


GOOD = {"min_fraction": 0.2, "plane_mm": 0, "network_grid": "8,32,32", "thresholds": "2,5,30"}
GOOD |= {
    "local_events": "3",
    "absolute_limits": "0.4,1",
    "clinical_covariates": "t2, n1",
    "model": "clinical",
}
GOOD |= {"outcome_training": {"micro_batch": 8, "weight_decay": 0, "mirror": False}}
GOOD |= {"training": {"loss": "dice", "rotation_degrees": 5.0}, "only_chapter": "04_radiomics", "seed": 0}


@pytest.mark.parametrize("name", GOOD)
def test_a_value_that_can_be_passes(name):
    check_values(ANY, {name: GOOD[name]})


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(WrongParameter) as error:
        check_values(ANY, {"seed": -1, "training": {"loss": 1, "mirror": 1}, "model": "DC"})
    assert len(str(error.value).splitlines()) == 4


@pytest.mark.parametrize("chapter", ALL)
def test_every_parameter_declares_what_it_may_be(chapter):
    named = {name: item for name, item in ALL[chapter].items() if name not in PLACES}
    flat = [entry for item in named.values() for entry in (item.entries.values() or [item])]
    open_ = [i for i in flat if not (i.limits or i.choices or i.entries or isinstance(i.default, bool))]
    assert [item.name for item in open_] == []
    # What is declared allows the chapter's own value.
    limits = {"last follow-up": 60, "all patients": 120}
    assert [said for item in named.values() for said in item.problems(item.default, limits)] == []


@pytest.mark.parametrize("profile", ["smoke", "laptop", "paper"])
def test_profiles_give_what_chapters_declare(profile):
    check_parameters(read_profile(profile))


def test_a_name_that_nobody_declares_is_refused_with_the_nearest():
    with pytest.raises(
        WrongParameter, match=r"The book has no parameter 'min_fracton' \(is min_fraction meant\?\)"
    ):
        check_parameters({"min_fracton": 0.2})
    with pytest.raises(WrongParameter, match="06_km has no parameter 'x'; it has min_fraction"):
        check_names({"x"}, ["min_fraction"], "06_km")


def test_a_cohort_sets_limits_for_what_is_changed_and_not_for_defaults(monkeypatch):
    patients = pd.DataFrame({"dmfs_months": [10.0, 30.0], "os_months": [20.0, 40.0]})
    monkeypatch.setattr("npcbook.cohort.read_cohort", lambda folder: type("C", (), {"patients": patients}))
    declared = {
        "h": Declared("h", 60, "1 to last follow-up, months"),
        "n": Declared("n", 3, "1 to all patients"),
    }
    check_values(declared, {"h": 60, "n": 3}, "cohort")
    check_values(declared, {"h": 40, "n": 2}, "cohort")
    with pytest.raises(WrongParameter, match=r"h is 41; it must be a whole number from 1 to 40\.0"):
        check_values(declared, {"h": 41}, "cohort")
    with pytest.raises(WrongParameter, match="n is 4; it must be a whole number from 1 to 2"):
        check_values(declared, {"n": 4}, "cohort")


def test_scores_of_ones_own_do_where_they_are_declared(tmp_path):
    declared = {"model": Declared("model", "dc", "one of MODELS or SCORES; whose groups")}
    check_values(declared, {"model": "mine"}, scores=["mine"])
    check_values(declared, {"model": "not known yet"}, scores=None)
    with pytest.raises(WrongParameter, match="model is 'yours'"):
        check_values(declared, {"model": "yours"}, scores=["mine"])
    (tmp_path / "own_scores.csv").write_text("patient_id,mine\n1,0.5\n")
    assert check_chapter("07_subgroups", {"run_folder": str(tmp_path), "model": "mine"})["model"] == "mine"


def test_the_cells_of_a_notebook_are_looked_at_for_names():
    cells = ["import x", 'run_folder = "r"\nmin_fracton = 1', "%oops", 'run_folder = "r"\nmin_fraction = 0.2']
    ran = {"run_folder": "r", "min_fraction": 0.2, "own": 1, "In": [*cells, "own = 1"]}
    # The parameters cell counts as it was last run; what a reader makes elsewhere is the reader's.
    assert check_chapter("06_km", ran) == {"run_folder": "r", "min_fraction": 0.2}
    with pytest.raises(WrongParameter, match="06_km has no parameter 'min_fracton'"):
        check_chapter("06_km", ran | {"In": cells[:3]})
    with pytest.raises(WrongParameter, match="06_km has no parameter 'x'"):
        check_chapter("06_km", ran | {"In": [*cells, '# Parameters\nrun_folder = "q"\nx = 3\n']})
    assert check_chapter("a script of one's own", {"x": 1, "In": ["x = 1"]}) == {}
