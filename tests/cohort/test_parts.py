"""A cohort may lack any part: what it has is told, and what is unknown stays unknown."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from npcbook.__main__ import main, run_name
from npcbook.cohort import NEEDS, check_cohort, code_covariates, covariate_names, read_cohort, read_parts
from npcbook.cohort.parts import c_half_width, found_hr
from npcbook.words import hospital_codes

spec = importlib.util.spec_from_file_location("realistic", Path(__file__).with_name("realistic.py"))
realistic = importlib.util.module_from_spec(spec)
spec.loader.exec_module(realistic)


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    """Return a function that writes a cohort of a name once and returns its folder."""
    folder, written = tmp_path_factory.mktemp("cohorts"), {}

    def write(name):
        if name not in written:
            written[name] = realistic.write(folder, name)
        return written[name]

    return write


@pytest.mark.parametrize("name", realistic.COHORTS)
def test_nothing_is_wrong_with_what_hospitals_have(cohorts, name):
    assert check_cohort(cohorts(name)) == []
    parts = read_parts(cohorts(name))
    assert "planted" not in parts.has  # a file truth.csv of one's own is none
    assert not parts.sequences
    assert parts.has <= set(NEEDS)


FITTED = ("covariates", "models", "subgroups")
WITHOUT = {
    "registry": {"metastases", "dmfs", *FITTED},
    "t2n0": {"dmfs", "metastases", *FITTED},
    "no-chemotherapy": {"dmfs", "metastases", *FITTED},
    "two-events": {"dmfs", *FITTED, "dose"},
    "validation-only": {"dose"},
    "os-only": {*FITTED, "dose"},
    "least": {"dmfs", "metastases"},
    "score-alone": {"dmfs", "metastases", "covariates"},
    "chinese": {"dmfs", "metastases", *FITTED, "dose"},
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_cohort_meets_the_needs_that_it_meets(cohorts, name):
    parts = read_parts(cohorts(name))
    assert parts.has == WITHOUT[name]
    assert "MR images" in parts.missing(["images", "contours"])
    assert "contours" not in parts.missing(["images", "contours"])
    assert parts.missing(parts.has) == ""


def test_what_one_of_its_size_can_show_is_told(cohorts):
    lines = read_parts(cohorts("registry")).reading()
    assert lines[0].startswith("training: 2960 patients")
    assert "no validation cohort" in lines
    assert any(line.startswith("unknown: ") and "rene 2960" in line for line in lines)
    assert "no model can be judged" in read_parts(cohorts("five-and-none")).reading()[1]
    # Hanley and McNeil 1982, table: an area of 0.75 from 50 and 50 has a standard error of 0.049.
    assert c_half_width(50, 100) == pytest.approx(1.96 * 0.0485, abs=0.002)
    # Schoenfeld 1981: 66 events for a ratio of 2 at 80 % power.
    assert found_hr(66) == pytest.approx(2.0, abs=0.01)


def test_patients_who_are_left_out_need_an_id_and_a_reason_only(cohorts):
    cohort = read_cohort(cohorts("registry"))
    assert (len(cohort.patients), len(cohort.analysed)) == (3000, 2960)
    assert cohort.analysed["dm_event"].dtype.kind == "i"
    assert cohort.patients["dm_event"].isna().sum() == 40


def test_stages_beyond_ii_are_analysed_or_left_out_as_the_cohort_says(cohorts):
    assert set(read_cohort(cohorts("registry")).analysed["t_stage"]) == {"T1", "T2", "T3", "T4"}
    cohort = read_cohort(cohorts("stage2-of-registry"))
    kept = cohort.analysed["t_stage"] + cohort.analysed["n_stage"]
    assert set(kept) == {"T1N1", "T2N0", "T2N1"}
    reasons = set(cohort.patients["exclusion"])
    assert {"", "small-cell carcinoma", "not stage II: T4N3", "not stage II: T1N0"} <= reasons


def test_another_cohort_is_left_out_where_the_description_speaks_of_eligibility(tmp_path):
    table = realistic.patients().assign(cohort=lambda t: t["cohort"].mask(t.index < 20, "second test"))
    table.to_csv(tmp_path / "participants.tsv", sep="\t", index=False)
    description = {"Name": "Three", "synthetic": False, "eligibility": "stage II"}
    (tmp_path / "dataset_description.json").write_text(json.dumps(description))
    assert check_cohort(tmp_path) == []
    assert (read_cohort(tmp_path).patients["exclusion"] == "cohort second test").sum() == 20
    (tmp_path / "dataset_description.json").write_text(json.dumps(description | {"eligibility": "all"}))
    assert '"stage II" or "any"' in check_cohort(tmp_path)[0].message


def test_an_unknown_dose_is_none_but_that_of_patients_without_chemotherapy(tmp_path):
    table = realistic.patients().assign(ccnd_mg_m2="")
    table.to_csv(tmp_path / "participants.tsv", sep="\t", index=False)
    (tmp_path / "dataset_description.json").write_text('{"Name": "Doses", "synthetic": false}')
    patients = read_cohort(tmp_path).analysed
    without = patients["chemotherapy"].isin(["none", "other"])
    assert (patients.loc[without, "ccnd_mg_m2"] == 0).all()
    assert patients.loc[~without, "ccnd_mg_m2"].isna().all()
    assert "dose" not in read_parts(tmp_path).has


def test_an_endpoint_is_known_of_all_or_of_none(tmp_path):
    table = realistic.patients().astype(object)
    table.loc[3, "os_months"] = ""
    table.to_csv(tmp_path / "participants.tsv", sep="\t", index=False)
    (tmp_path / "dataset_description.json").write_text('{"Name": "Gap", "synthetic": false}')
    (problem,) = check_cohort(tmp_path)
    assert (problem.row, problem.column) == (5, "os_months")
    table.drop(columns=list(realistic.ALL)).to_csv(tmp_path / "participants.tsv", sep="\t", index=False)
    (problem,) = check_cohort(tmp_path)
    assert "holds no follow-up" in problem.message


def test_covariates_are_those_that_training_patients_have(cohorts):
    patients = read_cohort(cohorts("no-ebv-in-training")).analysed
    coded = code_covariates(patients)
    assert "ebv_detectable" not in coded
    assert covariate_names("t2,ebv_detectable,female", coded) == ["t2", "female"]
    assert covariate_names("ebv_detectable", coded) == list(coded)
    advanced = code_covariates(read_cohort(cohorts("registry")).analysed)
    assert covariate_names("t2,rene_g1", advanced) == ["t2", "t3", "t4"]
    assert advanced[["t2", "t3", "t4"]].sum(axis=1).max() == 1


def test_unknown_is_no_level(cohorts):
    patients = read_cohort(cohorts("unknown")).analysed
    coded = code_covariates(patients)
    for name, column in {"female": "sex", "t2": "t_stage", "rene_g1": "rene", "age": "age"}.items():
        assert coded[name].isna().equals(patients[column].isna())
        assert coded[name].isna().any()


def test_images_contours_and_sequences_are_counted_by_patient(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    realistic.patients().to_csv(source / "participants.tsv", sep="\t", index=False)
    for patient in realistic.patients()["patient_id"]:
        for sequence in ("t1w", "cet1w"):
            for path in (realistic.image_path, realistic.mask_path):
                path(source, patient, sequence).parent.mkdir(parents=True, exist_ok=True)
                path(source, patient, sequence).touch()
    parts = read_parts(realistic.with_images(source, tmp_path))
    assert parts.sequences == ("t1w", "cet1w")
    assert parts.images == {"t1w": 114, "t2w": 0, "cet1w": 114}
    assert parts.contours["t1w"] < 114
    assert {"images", "contours"} <= parts.has
    assert "tested" not in parts.has
    shutil.rmtree(tmp_path / "images" / "derivatives")
    parts = read_parts(tmp_path / "images")
    assert "images" in parts.has
    assert parts.missing(["images", "contours"]).startswith("contours of tumour and nodes")


def test_check_ends_with_what_can_run_and_what_cannot(cohorts, capsys):
    assert main(["check", str(cohorts("registry"))]) == 0
    said = capsys.readouterr().out
    assert "training: 2960 patients" in said
    can, *cannot = [line for line in said.splitlines() if "run" in line.split(":")[0]]
    assert "05_" in can
    assert not any("05_" in line for line in cannot)
    assert any("MR images" in line and "02_" in line for line in cannot)


def test_cohorts_of_one_name_in_different_places_have_runs_of_their_own(tmp_path):
    names = {run_name("smoke", tmp_path / place / "hospital") for place in "ab"}
    assert len(names) == 2
    assert all(name.startswith("smoke-hospital-") for name in names)
    assert run_name("smoke", Path("/p/data/cohorts/hospital")) == "smoke-hospital"
    assert run_name("smoke", Path("/p/data/cohorts/synthetic-smoke")) == "smoke-synthetic"


def test_hospitals_of_long_names_have_codes_and_short_names_stay():
    assert hospital_codes(["2", "1", "2"]) == {"1": "1", "2": "2"}
    codes = hospital_codes(np.repeat([realistic.LONG, *realistic.CHINESE], 3))
    assert sorted(codes.values()) == [f"H{number}" for number in range(1, 7)]
    assert hospital_codes(["香港玛丽医院"]) == {"香港玛丽医院": "香港玛丽医院"}
    assert pd.Series(codes).is_unique
