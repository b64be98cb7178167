"""The runner, on a project of three tiny chapters: reuse, failure, stopping and continuing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import psutil
import pytest

from npcbook import store
from npcbook.book import branches, chapter, notebooks, run as book
from npcbook.book.kernels import Lane
from npcbook.book.parameters import WrongParameter

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
    edit(project, "03_third", "[7]", "[len(chapter.read('02_second/sums'))]")  # else it runs beside the first
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
    notebooks.sync_notebooks()
    with pytest.raises(WrongParameter, match=r"'factro'.*factor"):
        run(project, parameters={"factro": 3})
    with pytest.raises(ValueError, match=r"no chapter '99'.*01_first"):
        run(project, chapters=["99"])


def content(folder):
    """Return every file of a run but its branches, by path."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {p: p.read_bytes() for p in paths if branches.BRANCHES not in p.relative_to(folder).parts}


@pytest.fixture
def opened(monkeypatch):
    """Open chapters as a notebook with these variables would; what is put out is in the list `shown`."""
    shown = []
    monkeypatch.setattr(chapter, "display", lambda item, **options: shown.append(item))
    monkeypatch.setattr(chapter, "update_display", lambda item, **options: shown.append(item))

    def open_with(name, **variables):
        variables |= {"open_chapter": chapter.open_chapter, "name": name}
        call = "open_chapter(name, run_folder=run_folder, cohort_folder=globals().get('cohort_folder'))"
        return eval(call, variables)

    open_with.shown = shown
    return open_with


@pytest.mark.book
def test_a_changed_parameter_makes_a_branch_and_leaves_the_run_as_it_is(project, opened):
    run(project)
    folder = project / "data/runs/r"
    before = content(folder)
    again = opened("02_second", run_folder="data/runs/r")
    assert again.run_folder == folder
    assert opened.shown == []
    again.write("sums", again.read("01_first/numbers") + 1)
    first = opened("01_first", run_folder="data/runs/r", cohort_folder="data/cohorts/c", factor=3)
    assert first.run_folder.parent == folder / "branches"
    assert "`factor` 2 → 3" in opened.shown[0].data
    assert first.run_folder.name in opened.shown[0].data
    first.write("numbers", first.read("02_second/sums") * 3)
    assert {path: text for path, text in content(folder).items() if path.name != ".reads"} == {
        path: text for path, text in before.items() if path.name != ".reads"
    }
    # A later chapter reads the stored run and says so, or the branch if that is its run.
    opened.shown.clear()
    assert opened("02_second", run_folder="data/runs/r").read("01_first/numbers")["x"].tolist() == [2]
    assert "reads the stored run `r`, not its branches (01_first-" in opened.shown[0].data
    second = opened("02_second", run_folder=first.run_folder)
    assert second.read("01_first/numbers")["x"].tolist() == [9]
    assert "This chapter reads and writes the branch `01_first-" in opened.shown[1].data
    # The same change finds the same branch; a run that has changed since is branched anew.
    assert opened("01_first", run_folder="data/runs/r", factor=3).run_folder == first.run_folder
    assert (first.folder / "numbers.csv").exists()
    book.Manifest(folder / "manifest.json").update(note=1)
    opened("01_first", run_folder="data/runs/r", factor=3)
    assert (first.folder / "numbers.csv").read_text() == "x\n2\n"


def test_a_wrong_parameter_changes_nothing(project, opened):
    edit(project, "01_first", "factor = 2", "factor = 2  # 1 to 9; of the numbers")
    with pytest.raises(
        WrongParameter, match=r"^factor is 10; it must be a whole number from 1 to 9, such as 2"
    ):
        opened("01_first", run_folder="data/runs/r", factor=10)
    with pytest.raises(WrongParameter, match="factor is '3'"):
        run(project, parameters={"factor": "3"})
    assert not (project / "data/runs").exists()


def test_a_run_of_another_cohort_is_noticed_at_once(project, opened):
    folder = project / "data/runs/r"
    folder.mkdir(parents=True)
    book.Manifest(folder / "manifest.json").update(cohort={"folder": "b"})
    with pytest.raises(
        WrongParameter, match="analysed the cohort 'b', and cohort_folder is 'data/cohorts/c'"
    ):
        opened("01_first", run_folder="data/runs/r", cohort_folder="data/cohorts/c")
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


def test_recorded_numbers_and_takeaways_stand_beside_those_of_the_stored_run(tmp_path, opened, monkeypatch):
    monkeypatch.setenv("NPCBOOK_ROOT", str(tmp_path))
    numbers = {"table4.training.c_index.dc": 0.9, "table4.validation.c_index.dc": 0.8}
    stored = chapter.Chapter("a", tmp_path / "r", "label")
    for published_id, value in numbers.items():
        stored.record(published_id, value)
    stored.takeaway(1, "C is **0.9** ([table](#t)).")
    for name in ("c", "d"):
        stored.table(name, pd.DataFrame({"C": ["0.9", "0.8"]}), "C by cohort.")
    book.Manifest(tmp_path / "r" / "manifest.json").update_chapter("a", {"parameters": {"x": 1}})
    branch = chapter.Chapter("a", branches.open_branch(tmp_path / "r", "a", {"x": 2}), "label")
    opened.shown.clear()
    branch.record("table4.training.c_index.dc", 0.7, low=0.6, high=0.8)
    branch.record("table4.validation.c_index.dc", 0.8)
    branch.record("table4.training.c_index.dc", 0.95, track="truth")
    branch.takeaway(1, "C is **0.7** ([table](#t)).")
    branch.table("c", pd.DataFrame({"C": ["0.7", "0.8", "0.6"]}), "C by cohort.")
    table = opened.shown[-1].data
    branch.table("d", pd.DataFrame({"C": ["0.9", "0.8"]}), "C by cohort.")  # the same as stored: no row
    assert len(branch.changes) == len(table)
    about = ["DC: C-index, training", "DC: C-index, training", "In short, 1", "Table: C by cohort."]
    assert table["what"].tolist() == about
    assert table["track"].tolist()[:2] == ["as published", "truth"]
    assert table["stored run"].tolist() == ["0.90", "–", "C is 0.9.", "2 rows"]
    assert table["here"].tolist() == ["0.70 (0.60–0.80)", "0.95", "C is 0.7.", "3 rows, 2 of them other"]


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
    for name, (damage, again) in damages.items():
        (folder / name).unlink() if damage is None else (folder / name).write_bytes(
            damage((folder / name).read_bytes())
        )
        assert book.verify_run(folder)[name] == ("missing" if damage is None else "damaged")
        done, lines = run(project)
        assert done == [again]
        assert f"running ... (changed or removed: {name})" in "\n".join(lines)
        assert set(book.verify_run(folder).values()) == {"ok"}
    for text in ('{"chapters": {"01_fir', (folder / "manifest.json").read_text().replace("c", "d")):
        (folder / "manifest.json").write_text(text)
        store._say_changed.cache_clear()  # one command says it once
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
    notebooks.sync_notebooks()
    notebook = json.loads((project / "notebooks/01_first.ipynb").read_text())
    assert "jupytext" not in notebook["metadata"]
    assert notebook["metadata"]["kernelspec"]["language"] == "python"
    assert all(not cell.get("outputs") for cell in notebook["cells"])
    assert notebooks.stale_notebooks() == []
    edit(project, "01_first", "1 * factor", "5")
    assert [path.name for path in notebooks.stale_notebooks()] == ["01_first.ipynb"]


def change(path, old, new, output=None):
    """Change a notebook as JupyterLab would save it."""
    notebook = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in notebook.cells if old in cell.source]
    cell.source = cell.source.replace(old, new)
    if output:
        cell.outputs = [nbformat.v4.new_output("stream", text=output)]
    nbformat.write(notebook, path)


def test_a_notebook_changed_by_hand_is_not_written_over(project):
    notebooks.sync_notebooks()
    path, script = (project / f"notebooks/01_first.{suffix}" for suffix in ("ipynb", "py"))
    # Having been run is no change.
    change(path, "1 * factor", "1 * factor", output="8")
    edit(project, "01_first", "1 * factor", "factor * 1")
    assert notebooks.sync_notebooks() == [path]
    change(path, "factor * 1", "factor * 5")
    edit(project, "01_first", "import time\n", "import time  # of day\n")
    with pytest.raises(notebooks.EditedNotebook, match=r"01_first\.ipynb.* sync --keep.* sync --discard"):
        run(project)
    assert "factor * 5" in path.read_text()
    assert notebooks.sync_notebooks(discard=True) == [path]
    assert "factor * 5" not in path.read_text()
    change(path, "factor * 1", "factor * 5")
    before = script.read_text()
    assert notebooks.keep_edits() == [script]
    assert script.read_text() == before.replace("factor * 1", "factor * 5")
    assert notebooks.stale_notebooks() == []


def test_copies_for_jupyterlab_keep_what_a_reader_changed(project):
    folder, said = notebooks.lay_out_lab()
    assert said == []
    assert {path.name for path in folder.glob("*.ipynb")} == {f"{name}.ipynb" for name in CHAPTERS}
    change(folder / "01_first.ipynb", "factor = 2", "factor = 3", output="3")
    change(folder / "02_second.ipynb", "x + 1", "x + 1", output="4")
    assert notebooks.lay_out_lab()[1] == ["01_first.ipynb keeps your changes"]
    assert '"4"' in (folder / "02_second.ipynb").read_text()
    for name, old in (("01_first", "1 * factor"), ("02_second", "x + 1"), ("03_third", "[7]")):
        edit(project, name, old, f"{old} ")
    (said,) = notebooks.lay_out_lab()[1]
    assert "01_first.ipynb keeps your changes; its chapter is another now" in said
    assert "factor = 3" in (folder / "01_first.ipynb").read_text()
    assert '"4"' not in (folder / "02_second.ipynb").read_text()
    notebooks.sync_notebooks()
    assert [path.name for path in notebooks.keep_edits()] == ["01_first.py"]
    assert "factor = 3" in (project / "notebooks/01_first.py").read_text()


def test_a_cohort_is_read_again_only_when_a_file_is_touched(tmp_path, monkeypatch):
    cohort, read = tmp_path / "c", []
    (cohort / "sub-1").mkdir(parents=True)
    (cohort / "sub-1" / "image.nii.gz").write_bytes(b"voxels")
    monkeypatch.setattr(book, "check_cohort", lambda folder: read.append("check") or [])
    prints = book.store.files_fingerprint

    def counted(paths, *, relative_to):
        read.extend(["print"] if relative_to == cohort else [])  # the library's code has one too
        return prints(paths, relative_to=relative_to)

    monkeypatch.setattr(book.store, "files_fingerprint", counted)

    def look():
        return book.is_in_order(cohort, tmp_path / "r"), book.cohort_fingerprint(cohort, tmp_path / "r")

    first = look()
    assert look() == first
    assert first[0]
    assert read == ["check", "print"]
    os.utime(cohort / "sub-1" / "image.nii.gz", (1, 1))
    assert look() == first  # the same content
    assert read == ["check", "print"] * 2
    (cohort / "sub-1" / "image.nii.gz").write_bytes(b"others")
    assert look()[1] != first[1]


def test_the_space_that_copies_take_is_told_by_the_voxels_of_some_images(tmp_path, monkeypatch):
    sizes = {"T1w": 10**9, "T2w": 3 * 10**9}
    for number in range(4):
        for suffix in sizes:
            path = tmp_path / f"sub-{number}" / "anat" / f"sub-{number}_{suffix}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def volume(path):
        return SimpleNamespace(image=SimpleNamespace(size=sizes[path.name.split("_")[1].split(".")[0]]))

    monkeypatch.setattr(book, "read_volume", volume)
    monkeypatch.setattr(book.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(book.shutil, "disk_usage", lambda folder: SimpleNamespace(free=7e9))
    said = book.disk_space(tmp_path, SimpleNamespace(sequences=("t1w", "t2w")))
    assert said.startswith("8 images: prepared copies take about 19.2 GB of the 7 GB that are free")


def test_a_kernel_loads_while_the_chapter_before_it_runs(project):
    found, said = [], []

    def first(kernel):
        found.extend([kernel, kernel.provisioner.process, one.waiting])
        assert one.waiting.provisioner.process.poll() is None

    def second(kernel):
        assert kernel is found[2]
        assert one.waiting is None
        client = kernel.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=120)
        # What is loaded leaves no name behind that a chapter might lean on unknowingly.
        asked = "'npcbook.book.chapter' in sys.modules, 'in_short' in globals()"
        client.execute_interactive(f"import sys; print({asked})", output_hook=said.append)
        client.stop_channels()

    with closing(Lane()) as one:
        one.begin(first, ["02_second"]).result()
        assert found[1].poll() is not None
        one.begin(second, []).result()
    assert [text for each in said if (text := each["content"].get("text"))] == ["True False\n"]
    assert not found[2].has_kernel


def test_a_kernel_that_the_system_stopped_is_not_handed_out(project):
    def first(kernel):
        one.waiting.provisioner.process.kill()
        one.waiting.provisioner.process.wait()

    alive = []
    with closing(Lane()) as one:
        one.begin(first, ["later"]).result()
        one.begin(lambda kernel: alive.append(kernel.provisioner.process.poll()), []).result()
    assert alive == [None]


def test_two_chapters_run_at_once_and_one_that_goes_through_images_alone(monkeypatch):
    def planned(name, reads="", *, images=False):
        return book.ChapterPlan(name, tuple(reads), needs=("images",) if images else ())

    plans = [planned("1"), planned("2", "1", images=True), planned("3", "1"), planned("4", "2")]
    plans += [planned("5"), planned("6", "45"), planned("7", "5", images=True)]
    met, ended, beside = threading.Barrier(2), [], {}
    monkeypatch.setattr(Lane, "_do", lambda self, work, later: work(None))

    def turn(plan):
        assert set(plan.reads) <= set(ended)
        running = {name for name in beside if name not in ended}
        beside[plan.name] = running
        for name in running:
            beside[name].add(plan.name)
        if plan.name != "3":  # whose stored result belongs
            yield lambda kernel: met.wait(timeout=60) if plan.name in "15" else None
        ended.append(plan.name)

    book._take_turns(plans, turn)
    assert sorted(ended) == list("1234567")
    assert beside["1"] == {"5"}
    assert beside["2"] == beside["7"] == set()


@pytest.mark.book
@pytest.mark.parametrize("ends", ["fails", "is interrupted"])
def test_what_ends_one_chapter_ends_the_one_beside_it(project, ends):
    edit(project, "03_third", "# %%\nchapter.write", "# %%\ntime.sleep(600)\nchapter.write")
    interrupt = "(time.sleep(3), __import__('os').kill(__import__('os').getppid(), 2))[0]"
    wrong = "missing_name" if ends == "fails" else interrupt
    edit(project, "02_second", "x + 1", wrong)
    with pytest.raises(book.ChapterFailed if ends == "fails" else KeyboardInterrupt):
        run(project)
    assert not [p for p in psutil.Process().children(recursive=True) if "ipykernel" in " ".join(p.cmdline())]
    assert not (project / "data/runs/r/03_third.key").exists()
    edit(project, "03_third", "time.sleep(600)\n", "")
    edit(project, "02_second", wrong, "x + 1")
    assert run(project)[0] == ["02_second", "03_third"]
