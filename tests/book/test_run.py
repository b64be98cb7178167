"""The runner, on a project of three tiny chapters: reuse, failure, stopping and continuing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from npcbook.book import run as book

ROOT = Path(__file__).parents[2]
HEADER = """\
# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""
PARAMETERS = '# %% tags=["parameters"]\nrun_folder = "r"\n'
OPEN = (
    "# %%\nimport time\nimport pandas as pd\nfrom npcbook.book import open_chapter\n"
    'chapter = open_chapter("NAME", run_folder=run_folder)\n'
)
CHAPTERS = {
    "01_first": 'factor = 2\ncohort_folder = "c"\n'
    '# %%\nchapter.write("numbers", pd.DataFrame({"x": [1 * factor]}))\n',
    "02_second": '# %%\nx = chapter.read("01_first/numbers")\ntime.sleep(1)\nchapter.write("sums", x + 1)\n',
    "03_third": '# %%\nchapter.write("own", pd.DataFrame({"x": [7]}))\n',
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("NPCBOOK_ROOT", str(tmp_path))
    (tmp_path / "notebooks").mkdir()
    for name, body in CHAPTERS.items():
        parameters, _, rest = body.partition("# %%")
        text = HEADER + PARAMETERS + parameters + OPEN.replace("NAME", name) + "\n# %%" + rest
        (tmp_path / "notebooks" / f"{name}.py").write_text(text)
    (tmp_path / "requirements.lock").write_text("")
    shutil.copytree(ROOT / "data" / "published", tmp_path / "data" / "published")
    cohort = tmp_path / "data" / "cohorts" / "c"
    cohort.mkdir(parents=True)
    (cohort / "dataset_description.json").write_text(json.dumps({"Name": "c", "synthetic": True}))
    return tmp_path


def run(project, **options):
    lines = []
    options.setdefault("parameters", {})
    done = book.run_chapters(
        run_folder=project / "data/runs/r",
        cohort_folder=project / "data/cohorts/c",
        say=lines.append,
        **options,
    )
    return done, lines


def edit(project, name, old, new):
    path = project / "notebooks" / f"{name}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def table(project, name):
    return (project / "data/runs/r" / f"{name}.csv").read_text()


@pytest.mark.book
def test_only_what_depends_on_a_change_runs_again(project):
    assert run(project)[0] == ["01_first", "02_second", "03_third"]
    assert run(project)[0] == []
    assert run(project, parameters={"factor": 3})[0] == ["01_first", "02_second"]
    assert table(project, "02_second/sums") == "x\n4\n"
    # A changed chapter whose tables come out the same leaves the later ones alone.
    edit(project, "01_first", "1 * factor", "factor * 1")
    assert run(project, parameters={"factor": 3})[0] == ["01_first"]
    (project / "data/runs/r/03_third/own.csv").write_text("x\n8\n")
    assert run(project, parameters={"factor": 3})[0] == ["03_third"]
    # What is only shown counts too, and sends no later chapter back to work.
    for shown in ("shown.csv", "figures/f.svg"):
        (project / "data/runs/r/01_first" / shown).parent.mkdir(exist_ok=True)
        (project / "data/runs/r/01_first" / shown).write_text("changed")
        assert run(project, parameters={"factor": 3})[0] == ["01_first"]
        (project / "data/runs/r/01_first" / shown).unlink(missing_ok=True)
        run(project, parameters={"factor": 3})
    (project / "data/cohorts/c/participants.tsv").write_text("patient_id\n")
    assert run(project, parameters={"factor": 3})[0] == ["01_first"]


@pytest.mark.book
def test_a_failing_chapter_stops_the_run_and_says_where(project):
    edit(project, "02_second", "x + 1", "x + missing_name")
    with pytest.raises(
        book.ChapterFailed, match=r"02_second.*cell In \[\d+\]: NameError: .*missing_name"
    ) as failure:
        run(project)
    partial = project / "data/runs/r/notebooks/02_second.partial.ipynb"
    assert str(partial) in str(failure.value)
    assert partial.exists()
    assert not (project / "data/runs/r/03_third").exists()
    edit(project, "02_second", "missing_name", "1")
    assert run(project)[0] == ["02_second", "03_third"]
    assert not partial.exists()


def test_the_order_follows_from_what_chapters_read(project):
    plans = {plan.name: plan for plan in book.plan_chapters()}
    assert list(plans) == ["01_first", "02_second", "03_third"]
    assert (plans["02_second"].reads, plans["03_third"].reads) == (("01_first",), ())
    assert [plan.name for plan in plans.values() if plan.reads_cohort] == ["01_first"]
    edit(project, "01_first", "1 * factor", "chapter.read('03_third/own')['x'][0]")
    assert [plan.name for plan in book.plan_chapters()] == ["03_third", "01_first", "02_second"]


@pytest.mark.book
def test_a_dry_run_says_what_would_run_and_why(project):
    assert all("would run (it has not run)" in line for line in run(project, dry=True)[1])
    run(project)
    edit(project, "01_first", "1 * factor", "factor * 1")
    lines = run(project, dry=True)[1]
    assert "would run (changed: its script)" in lines[0]
    assert "would run (if these come out otherwise: 01_first)" in lines[1]
    assert lines[2].endswith("unchanged")
    assert run(project)[0] == ["01_first"]


def test_unknown_parameters_and_chapters_are_errors(project):
    book.sync_notebooks()
    with pytest.raises(book.UnknownParameter, match=r"'factro'.*factor"):
        run(project, parameters={"factro": 3})
    with pytest.raises(ValueError, match=r"no chapter '99'.*01_first"):
        run(project, chapters=["99"])


@pytest.mark.book
def test_whatever_is_damaged_is_found_named_and_made_again(project, capsys):
    run(project)
    folder = project / "data/runs/r"
    wanted = {path: path.read_bytes() for path in folder.rglob("*.csv")}
    assert set(book.verify_run(folder).values()) == {"ok"}
    damages = {
        "01_first/numbers.csv": (lambda text: text.replace(b"2", b"3"), "01_first"),
        "notebooks/03_third.ipynb": (lambda text: text[: len(text) // 2], "03_third"),
        "02_second.key": (lambda text: b"", "02_second"),
        "03_third/own.csv": (None, "03_third"),
    }
    for name, (damage, chapter) in damages.items():
        (folder / name).unlink() if damage is None else (folder / name).write_bytes(
            damage((folder / name).read_bytes())
        )
        assert book.verify_run(folder)[name] == ("missing" if damage is None else "damaged")
        done, lines = run(project)
        assert done == [chapter]
        assert f"running ... (changed or removed: {name})" in "\n".join(lines)
        assert set(book.verify_run(folder).values()) == {"ok"}
    for text in ('{"chapters": {"01_fir', (folder / "manifest.json").read_text().replace("c", "d")):
        (folder / "manifest.json").write_text(text)
        capsys.readouterr()
        assert book.verify_run(folder)["manifest.json"] == "damaged"
        assert run(project)[0] == list(CHAPTERS)
    assert f"{folder / 'manifest.json'} is damaged or was altered" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*.csv")} == wanted


@pytest.mark.book
def test_nothing_is_computed_from_what_was_altered(project):
    run(project, chapters=["01", "02"])
    (project / "data/runs/r/01_first/numbers.csv").write_text("x\n9\n")
    with pytest.raises(book.ChapterFailed, match=r"02_second was not run.*01_first/numbers\.csv"):
        run(project, chapters=["02"])
    assert book.verify_run(project / "data/runs/r")["03_third"] == "missing"


@pytest.mark.book
def test_of_two_that_run_the_same_one_waits_and_both_end_well(project):
    driver = [sys.executable, "-c", DRIVER.format(tests=str(Path(__file__).parent), project=str(project))]
    options = {"env": os.environ | {"NPCBOOK_ROOT": str(project)}, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(driver, **options) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(text.count("waiting for another process that uses") for text in said) == 1
    assert table(project, "02_second/sums") == "x\n3\n"
    assert run(project)[0] == []


DRIVER = """
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path
import test_run
test_run.run(Path({project!r}))
"""


@pytest.mark.book
@pytest.mark.parametrize("after", [4.0, 7.0, 9.0])
def test_a_killed_run_continues_and_ends_the_same(project, after):
    driver = [sys.executable, "-c", DRIVER.format(tests=str(Path(__file__).parent), project=str(project))]
    process = subprocess.Popen(
        driver, env=os.environ | {"NPCBOOK_ROOT": str(project)}, start_new_session=True
    )
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run(project)
    assert table(project, "02_second/sums") == "x\n3\n"
    assert table(project, "03_third/own") == "x\n7\n"
    assert set(json.loads((project / "data/runs/r/manifest.json").read_text())["chapters"]) == set(CHAPTERS)
    assert run(project)[0] == []


def test_a_derived_notebook_has_no_outputs_and_no_way_back(project):
    book.sync_notebooks()
    notebook = json.loads((project / "notebooks/01_first.ipynb").read_text())
    assert "jupytext" not in notebook["metadata"]
    assert notebook["metadata"]["kernelspec"]["language"] == "python"
    assert all(not cell.get("outputs") for cell in notebook["cells"])
    assert book.stale_notebooks() == []
    edit(project, "01_first", "1 * factor", "5")
    assert [path.name for path in book.stale_notebooks()] == ["01_first.ipynb"]
