"""The command line: parameters and profiles are understood, or refused in one line that says what to do."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from npcbook import __main__ as command_line
from npcbook.__main__ import (
    as_number,
    check_model,
    choose_branch,
    main,
    read_overrides,
    read_settings,
    remove_own,
)
from npcbook.book import notebooks, pages, results, run as book
from npcbook.store import MARK, claim, stamp


@pytest.fixture
def nothing_runs(monkeypatch):
    """Keep what a chapter run would start with; write nothing."""
    given = []

    def stop(parameters):
        given.append(parameters)
        raise FileNotFoundError("stopped before any chapter")

    monkeypatch.setattr(book, "sync_notebooks", list)
    monkeypatch.setattr(book, "check_parameters", stop)
    return given


def test_a_number_with_an_exponent_is_a_number(nothing_runs, tmp_path):
    profile = tmp_path / "my.yml"
    profile.write_text("network_width: tiny\nlearning_rate: 1e-3\n")
    assert main(["book", "--profile", str(profile), "-p", "learning_rate=1e-4", "-p", "epochs=5"]) == 2
    assert main(["book", "--profile", str(profile)]) == 2
    assert nothing_runs == [
        {"network_width": "tiny", "learning_rate": 1e-4, "epochs": 5},
        {"network_width": "tiny", "learning_rate": 1e-3},
    ]


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("1e-4", 1e-4),
        ("5", 5),
        ("0.5", 0.5),
        ("'5'", "5"),
        ("small", "small"),
        ("8, 32, 32", "8, 32, 32"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1e999", "1e999"),
        ("a=b", "a=b"),
        ("true", True),
        ("-2", -2),
        ("010", 10),
        ("1:30", "1:30"),
    ],
)
def test_values_are_taken_as_they_are_written(value, meant):
    (found,) = read_overrides([f"name={value}"]).values()
    assert found == meant
    assert type(found) is type(meant)
    assert as_number(meant) == meant


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["-p", "epochs"], ("'epochs'", "write -p NAME=VALUE")),
        (["-p", "=5"], ("'=5'", "write -p NAME=VALUE")),
        (["-p", "grid=[8, 32"], ("'grid=[8, 32'", "write -p NAME=VALUE")),
        (["-p", "x=[&a [1, 1], *a]"], ("a reference (*) stands here", "write -p NAME=VALUE")),
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused_in_one_line(nothing_runs, capsys, given, words):
    assert main(["book", "--profile", "smoke", *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words)
    assert nothing_runs == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs: 5\n", ("lacks patients and grid", "my.yml")),
        ("patients: 60\nepochs: 5\n", ("lacks grid", "my.yml")),
        ("", ("lacks patients and grid", "my.yml")),
        ("patients: 60\ngrid: [8, 32\nepochs: 5\n", ("not valid YAML (line", "my.yml")),
        ("- patients\n- grid\n", ("NAME: VALUE", "my.yml")),
        ("patients: 60\npatients: 30\ngrid: [8, 32, 32]\n", ("'patients' stands twice", "my.yml")),
        ("training: {yes: 1, true: 2}\n", ("'yes' stands twice", "line 1")),
        ("training: {1: 2, 1.0: 3}\n", ("'1' stands twice", "line 1")),
        ("training: {2020-13-45: 1}\n", ("'2020-13-45' cannot be read", "line 1")),
        ("training: {!!seq a: 1}\n", ("found unhashable key", "line 1")),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_in_one_line(tmp_path, capsys, text, words):
    (tmp_path / "my.yml").write_text(text)
    assert main(["simulate", "--profile", str(tmp_path / "my.yml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words)


def test_the_profiles_of_the_book_are_read():
    for name in ("smoke", "laptop", "paper"):
        settings = read_settings(name)
        assert settings == book.read_profile(name)
        assert {"patients", "grid"} <= set(settings)


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """Data that lie apart from the project, in a place with an odd name: one run, one cohort, both marked."""
    root = tmp_path / '-o\'dd "root" 数据'
    monkeypatch.setenv("NPCBOOK_ROOT", str(root))
    claim(root / "data", "npcbook")
    for name in ("runs/made", "cohorts/made"):
        claim(root / "data" / name, "test")
        (root / "data" / name / "table.csv").write_text("x")
    return root / "data"


def names(folder):
    return sorted(path.name for path in folder.glob("[!.]*"))


def test_clean_removes_what_npcbook_made_and_nothing_else(apart, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "scan").write_text("x")
    for below in ("runs", "cohorts"):
        (apart / below / "link").symlink_to(tmp_path / "elsewhere")
        (apart / below / "made" / "inner").symlink_to(tmp_path / "elsewhere")
        shutil.copytree(apart / below / "made", apart / below / "copy", symlinks=True)
        (apart / below / "file").write_text("x")
        for name, text in (
            ("mine", '{"Name": "m", "synthetic": "false"}'),
            ("theirs", '{"synthetic": true}'),
        ):
            (apart / below / name).mkdir()
            (apart / below / name / "dataset_description.json").write_text(text)
    (apart / "cohorts" / "mine" / "dataset_description.json").write_text("[]")
    assert main(["clean", "--dry-run"]) == 0
    assert names(apart / "runs") == ["copy", "file", "link", "made", "mine", "theirs"]
    assert main(["clean"]) == 0
    said = capsys.readouterr().out
    for below in ("runs", "cohorts"):
        assert names(apart / below) == ["copy", "file", "link", "mine", "theirs"]
        assert f"to be removed: {apart / below / 'made'}\n" in said
        assert all(f"kept {apart / below / name}: " in said for name in names(apart / below))
    assert names(tmp_path / "elsewhere") == ["scan"]


def test_clean_leaves_what_another_process_uses(apart, capsys):
    hold = f"""
import time
from npcbook.store import locked
with locked({str(apart / "runs" / "made")!r}), locked({str(apart / "cohorts" / "made")!r}, reading=True):
    print(flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert main(["clean"]) == 2
        process.kill()
    assert capsys.readouterr().out.count("another process uses it") == 2
    assert (apart / "runs" / "made" / MARK).exists()
    assert main(["clean"]) == 0
    assert names(apart / "runs") == names(apart / "cohorts") == []


ASK = """
import sys, filelock
from npcbook.store import locked
for folder in sys.stdin:
    try:
        with locked(folder.rstrip("\\n"), wait=False):
            print("free", flush=True)
    except filelock.Timeout:
        print("held", flush=True)
"""


def test_a_run_is_its_own_from_the_first_page_to_the_last(apart, tmp_path, monkeypatch):
    folders = [apart / "runs" / "smoke-made", apart / "cohorts" / "made"]
    found, options = {}, {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", ASK], **options) as other:

        def ask(name):
            def answer(*arguments, **options):
                print(*folders, sep="\n", file=other.stdin, flush=True)
                found[name] = [other.stdout.readline().strip() for _ in folders]
                return tmp_path

            return answer

        for module, name in (
            (command_line, "check_once"),
            (command_line, "show_first_pages"),
            (book, "run_chapters"),
            (results, "write_results"),
            (pages, "build_pages"),
        ):
            monkeypatch.setattr(module, name, ask(name))
        monkeypatch.setattr(book, "sync_notebooks", list)
        monkeypatch.setattr(book, "check_parameters", lambda *arguments: None)
        assert main(["book", "--profile", "smoke", "--cohort", "made"]) == 0
        assert len(found) == 5
        assert all(answers == ["held", "held"] for answers in found.values()), found
        ask("afterwards")()
        other.stdin.close()
    assert found["afterwards"] == ["free", "free"]


@pytest.fixture
def a_table(apart):
    """A cohort of thirty patients, of whom a table is all that there is."""
    folder = apart / "cohorts" / "table"
    folder.mkdir()
    (folder / "dataset_description.json").write_text('{"Name": "t", "synthetic": false}')
    rows = ["patient_id\tdmfs_months\tdm_event", *(f"{n}\t{10 + n}\t{n % 2}" for n in range(30))]
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (["--score", "absent.csv:risk"], 2),
        (["--score", "names.csv:name"], 2),
        (["--chapters", "99"], 2),
        (["--branch", "none"], 2),
        (["--dry-run"], 0),
        ([], 3),
    ],
)
def test_of_a_run_that_is_refused_or_only_tried_nothing_is_left(
    apart, a_table, tmp_path, monkeypatch, given, status
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.csv").write_text("patient_id,name\n0,a\n1,b\n")
    if status == 3:
        (a_table / "participants.tsv").write_text("patient_id\tdmfs_months\tdm_event\n1\t-5\t1\n")
    before = sorted(path for path in apart.rglob("[!.]*"))
    assert main(["book", "--profile", "smoke", "--cohort", "table", *given]) == status
    assert sorted(path for path in apart.rglob("[!.]*")) == before


def test_a_dry_run_writes_no_synthetic_cohort(apart, capsys):
    assert main(["book", "--profile", "smoke", "--dry-run"]) == 2
    assert "is not there as it would be written today" in capsys.readouterr().err
    assert names(apart / "cohorts") == ["made"]


@pytest.mark.parametrize("what", [["table", "absent.csv"], ["images", "absent"]])
def test_of_an_import_that_is_refused_nothing_is_left(apart, tmp_path, monkeypatch, what):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["import", *what, "--out", "new/cohort"]) == 2
    assert list((tmp_path / "here").iterdir()) == []


def test_names_in_another_script_are_read_where_the_computer_s_encoding_is_ascii(apart, a_table):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    own = a_table.rename(a_table.with_name("\u75c5\u4f8b"))
    command = [sys.executable, "-m", "npcbook", "check", own]
    done = subprocess.run(command, env=os.environ | ascii_only, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert b"cohorts/\\u75c5\\u4f8b\n" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names as text")
@pytest.mark.parametrize("what", [["check", "x\udce9"], ["import", "images", "scans", "--out", "new"]])
def test_a_name_that_is_no_text_is_refused_in_one_sentence(apart, tmp_path, monkeypatch, capsys, what):
    (tmp_path / "here" / "scans" / "1").mkdir(parents=True)
    (tmp_path / "here" / "scans" / "1" / "T1_\udce9.nii.gz").touch()
    monkeypatch.chdir(tmp_path / "here")
    assert main(what) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "not UTF-8: rename" in line
    assert names(tmp_path / "here") == ["scans"]


@pytest.mark.parametrize("root", ["", " ", "theirs"])
@pytest.mark.parametrize("command", [["clean"], ["simulate", "--profile", "smoke"]])
def test_a_root_that_is_not_npcbooks_is_refused(tmp_path, monkeypatch, capsys, root, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs" / "data" / "runs" / "r").mkdir(parents=True)
    monkeypatch.setenv("NPCBOOK_ROOT", root)
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "NPCBOOK_ROOT" in line
    assert names(tmp_path) == ["theirs"]
    assert names(tmp_path / "theirs/data") == ["runs"]
    assert names(tmp_path / "theirs/data/runs") == ["r"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["import", "table", "t.csv", "--out", ""], "argument is empty"),
        (["import", "table", "", "--out", "x"], "argument is empty"),
        (["check", ""], "argument is empty"),
        (["verify-run", ""], "argument is empty"),
        (["book", "--profile", "smoke", "--score", ""], "argument is empty"),
        (["simulate", "--profile", "smoke", "--seed", "-1"], "--seed is -1"),
    ],
)
def test_an_empty_or_impossible_argument_is_refused_before_anything_is_done(
    apart, tmp_path, monkeypatch, capsys, given, words
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert list((tmp_path / "here").iterdir()) == []
    assert names(apart / "cohorts") == ["made"]


def test_of_two_that_clean_the_second_finds_nothing_left(apart):
    shutil.rmtree(apart / "runs" / "made")
    assert remove_own(apart / "runs" / "made")


@pytest.mark.parametrize("name", ["06_km/cutoffs.csv", "03_dl_training/model/model.json"])
def test_no_group_is_told_by_a_cut_off_or_model_that_was_altered(apart, name):
    folder = apart / "runs" / "made"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("as it was")
    stamp(folder / name.split("/")[0], "key")
    check_model(folder)
    (folder / name).write_text("altered")
    with pytest.raises(ValueError, match="changed or removed since it was made"):
        check_model(folder)


def test_a_folder_that_is_no_branch_is_not_worked_in(apart, tmp_path):
    (tmp_path / "thesis" / "results").mkdir(parents=True)
    for name in (str(tmp_path / "thesis"), "../../made", str(apart / "runs" / "made")):
        with pytest.raises((ValueError, FileNotFoundError), match="no branch"):
            choose_branch(apart / "runs" / "made", name, {})


def test_a_run_is_verified_file_by_file(apart, capsys):
    folder = apart / "runs" / "made"
    (folder / "results").mkdir()
    (folder / "results" / "t.csv").write_text("x")
    stamp(folder / "results", "key")
    assert main(["verify-run", "made"]) == 1
    said = capsys.readouterr().out
    assert "ok      results/t.csv\n" in said
    assert "missing manifest.json\n" in said
    assert main(["verify-run", "absent"]) == 2


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stopped_simulation_says_one_sentence_and_continues(tmp_path, sent, code):
    (tmp_path / "my profile.yml").write_text("patients: 30\ngrid: [8, 64, 64]\n")
    command = [sys.executable, "-m", "npcbook", "simulate", "--profile", str(tmp_path / "my profile.yml")]
    options = {"env": os.environ | {"NPCBOOK_ROOT": str(tmp_path / "a root")}, "stderr": subprocess.PIPE}
    cohort = tmp_path / "a root/data/cohorts/synthetic-my profile"
    process, deadline = subprocess.Popen(command, **options), time.monotonic() + 60
    while not list(cohort.glob("sub-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sent)
    said = process.communicate()[1].decode()
    assert process.returncode == code
    # A helper of joblib's tidies up after a killed process, and says so.
    assert code < 0 or said == "stopped; the same command continues from here\n"
    assert subprocess.run(command, **options, check=False).returncode == 0
    assert len(list(cohort.glob("sub-*"))) == 30
    assert [path for path in cohort.rglob("*") if path.name.startswith(".unfinished")] == []


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            OSError(28, "No space left on device", "/d/t.csv"),
            1,
            "/d/t.csv: No space left on device; make room",
        ),
        (PermissionError(13, "Permission denied", "/data"), 1, "/data: Permission denied"),
        (MemoryError(), 1, "not enough memory"),
        (FileNotFoundError("There is no run x."), 2, "There is no run x."),
    ],
)
def test_what_the_machine_refuses_is_one_sentence(monkeypatch, capsys, error, code, words):
    def fail():
        raise error

    monkeypatch.setattr(notebooks, "stale_notebooks", fail)
    assert main(["sync", "--check"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_an_error_of_the_program_is_shown_with_its_place(monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "stale_notebooks", lambda: int("x"))
    assert main(["sync", "--check"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "please report" in said.splitlines()[-1]
