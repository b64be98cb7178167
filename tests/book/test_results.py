"""What a run leaves to take away: complete, labelled, the same bytes twice, and nothing of an earlier run."""

import hashlib
import json
import shutil
import time
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
import yaml

from npcbook.book.pages import WAITING, front_page, notice, stage
from npcbook.book.results import (
    SOURCE_COLUMN,
    Shown,
    list_shown,
    write_results,
    write_workbook,
)
from npcbook.book.run import quick_chapters
from npcbook.store import UNFINISHED
from npcbook.words import SYNTHETIC_LABEL


@pytest.fixture(scope="session")
def results(smoke_run):
    return smoke_run / "results"


@pytest.mark.book
def test_every_file_shown_is_there_and_listed_with_its_hash(smoke_run, results):
    listed = json.loads((results / "manifest.json").read_text())["files"]
    hashes = {path: sha for entry in listed for path, sha in entry["sha256"].items()}
    shown = [copy for item in list_shown(smoke_run) for copy in item.copies()]
    assert set(hashes) == set(shown)
    on_disk = [p for folder in ("tables", "figures") for p in (results / folder).rglob("*.*")]
    assert {path.relative_to(results).as_posix() for path in on_disk} == set(shown)
    for path, sha in hashes.items():
        assert hashlib.sha256((results / path).read_bytes()).hexdigest() == sha


@pytest.mark.book
def test_every_file_says_where_its_numbers_come_from(results):
    for path in (results / "tables").rglob("*.csv"):
        labels = pd.read_csv(path, dtype=str)[SOURCE_COLUMN]
        assert labels.notna().all(), path
    assert SYNTHETIC_LABEL in (results / "README.txt").read_text().splitlines()[0]
    assert (results / "methods.txt").read_text().startswith(SYNTHETIC_LABEL)
    for path in (results / "figures" / "06_km").glob("*.svg"):
        assert f"<!-- {SYNTHETIC_LABEL} -->" in path.read_text(), path


@pytest.mark.book
def test_the_workbook_has_a_sheet_for_each_table(smoke_run, results):
    workbook = openpyxl.load_workbook(results / "tables.xlsx")
    tables = [item for item in list_shown(smoke_run) if item.kind == "table"]
    assert len(workbook.sheetnames) == len(tables) + 1
    for sheet, item in zip(workbook.worksheets[1:], tables, strict=True):
        assert (sheet["A1"].value, sheet["A2"].value) == (item.caption, item.label)


@pytest.mark.book
def test_the_methods_hold_this_runs_settings(smoke_run, results):
    text = (results / "methods.txt").read_text()
    used = json.loads((smoke_run / "manifest.json").read_text())["chapters"]
    assert f"{used['06_km']['parameters']['permutations']} permutations" in text
    assert "{" not in text
    assert "T category: T2 (T1), rENE: G1 (without)" in text
    assert "starting from the network of the sequence before" in text
    patients = pd.read_csv(smoke_run / "01_cohorts" / "cohort.csv")
    assert f"had {(patients['cohort'] == 'training').sum()} patients" in text


@pytest.mark.book
def test_the_same_tables_give_the_same_workbook(smoke_run, results, tmp_path):
    tables = [item for item in list_shown(smoke_run) if item.kind == "table"]
    write_workbook(tmp_path / "again.xlsx", tables, smoke_run)
    assert (tmp_path / "again.xlsx").read_bytes() == (results / "tables.xlsx").read_bytes()


@pytest.mark.book
def test_results_that_are_current_are_left_alone(smoke_run, results):
    before = (results / "manifest.json").stat().st_mtime_ns
    write_results(smoke_run)
    assert (results / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.book
def test_what_an_earlier_run_left_is_gone(smoke_run, tmp_path):
    run = tmp_path / "run"
    heavy = shutil.ignore_patterns("pages", "preprocessed", "predicted", "networks", "patients-*")
    shutil.copytree(smoke_run, run, ignore=heavy)
    # The chapter no longer shows its last table.
    listed = pd.read_csv(run / "06_km" / "shown.csv")
    listed.iloc[:-1].to_csv(run / "06_km" / "shown.csv", index=False)
    gone = listed.iloc[-1]
    write_results(run)
    assert not list((run / "results" / f"{gone['kind']}s" / "06_km").glob(f"{gone['name']}.*"))
    assert list(run.glob(f"{UNFINISHED}*")) == []


def test_results_that_are_open_elsewhere_stay_whole_until_they_are_closed(tmp_path, monkeypatch):
    run = tmp_path / "run"
    for name in ("flow", "tests"):
        (run / "01_cohorts" / "tables").mkdir(parents=True, exist_ok=True)
        (run / "01_cohorts" / "tables" / f"{name}.csv").write_text("n\n1\n")
    shown = "kind,name,caption,label\ntable,flow,Flow.,Cohort: mine\n"
    (run / "01_cohorts" / "shown.csv").write_text(shown)
    record = {"cohort": {"name": "mine", "synthetic": False}, "chapters": {}, "versions": {}}
    (run / "manifest.json").write_text(json.dumps(record))
    write_results(run)

    def left():
        return {p.relative_to(run): p.read_bytes() for p in (run / "results").rglob("*") if p.is_file()}

    before = left()
    assert Path("results/tables.xlsx") in before
    (run / "01_cohorts" / "shown.csv").write_text(f"{shown}table,tests,Tests.,Cohort: mine\n")
    really = Path.replace

    def held(source, target):
        if source in (run / "results", run / "results" / "tables.xlsx"):
            raise PermissionError(13, "held open")
        return really(source, target)

    with monkeypatch.context() as windows:
        windows.setattr(time, "sleep", lambda seconds: None)
        windows.setattr(Path, "replace", held)
        with pytest.raises(PermissionError, match=r"results cannot be replaced.*close it where it is open"):
            write_results(run)
    assert left() == before
    assert list(run.glob(f"{UNFINISHED}*")) == []
    write_results(run)
    assert Path("results/tables/01_cohorts/tests.csv") in left()
    assert list(run.glob(f"{UNFINISHED}*")) == []


def test_identifiers_in_the_workbook_keep_their_leading_zeros(tmp_path):
    folder = tmp_path / "01_cohorts" / "tables"
    folder.mkdir(parents=True)
    text = "patient_id,center,Centre,age\n007,01,02,46.5\n010,02,,\n"
    (folder / "flow.csv").write_text(text)
    item = Shown("01_cohorts", "table", "flow", "Flow.", "Cohort: mine")
    write_workbook(tmp_path / "tables.xlsx", [item], tmp_path)
    sheet = openpyxl.load_workbook(tmp_path / "tables.xlsx").worksheets[1]
    rows = list(sheet.iter_rows(min_row=5, values_only=True))
    assert rows == [("007", "01", "02", 46.5), ("010", "02", None, None)]


@pytest.mark.parametrize(
    ("cohort", "said"),
    [
        ({"name": "mine", "synthetic": False}, "Cohort: mine."),
        ({"name": "mine", "synthetic": False, "profile": "laptop"}, "Cohort: mine. Profile laptop."),
        ({"name": "s", "synthetic": True}, f"{SYNTHETIC_LABEL}."),
        ({"name": "s", "synthetic": True, "remark": "more events"}, f"{SYNTHETIC_LABEL}. This is a trial"),
    ],
)
def test_a_page_says_first_where_its_data_come_from(tmp_path, cohort, said):
    (tmp_path / "manifest.json").write_text(json.dumps({"cohort": cohort, "chapters": {}}))
    assert notice(tmp_path).startswith(said)
    assert notice(tmp_path).endswith(cohort.get("remark", said[:-1]) + "." if said else "")


def test_first_pages_hold_the_quick_chapters_and_say_that_others_come(smoke_run, tmp_path):
    quick, heavy = quick_chapters(), ("pages", "branches", "kept", "preprocessed", "predicted", "model")
    assert "01_cohorts" in quick
    assert not {"02_segmentation", "05_cox_models", "11_datasheet"} & set(quick)
    # Beside the run's own pages, which other tests read meanwhile.
    run = shutil.copytree(smoke_run, tmp_path / "run", ignore=shutil.ignore_patterns(*heavy))
    source = stage(run, quick)
    assert {path.stem for path in source.glob("notebooks/*.ipynb")} == set(quick)
    assert WAITING in (source / "README.md").read_text()
    toc = yaml.safe_load((source / "_toc.yml").read_text())
    listed = {each["file"] for part in toc["parts"] for each in part["chapters"]}
    assert {f"notebooks/{name}" for name in quick} < listed
    assert all(list(source.glob(f"{file}.*")) for file in listed)


def test_the_front_page_of_real_patients_names_their_cohort_and_speaks_of_no_simulated_one(tmp_path):
    cohort = {"name": "Our patients", "synthetic": False, "profile": "laptop"}
    (tmp_path / "manifest.json").write_text(json.dumps({"cohort": cohort, "chapters": {}}))
    page = front_page(tmp_path)
    assert f"```{{warning}}\n{notice(tmp_path)}\n```" in page
    assert "Our patients" in notice(tmp_path)
    assert "every result" not in page.lower()
    made = {"cohort": cohort | {"synthetic": True}, "chapters": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(made))
    assert "Our patients" not in front_page(tmp_path)
