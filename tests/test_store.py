"""What is kept is whole, made once, and made again when anything that it rests on has changed."""

import linecache
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import psutil
import pytest

from npcbook.store import (
    FORMATS,
    MARK,
    UNFINISHED,
    atomic_path,
    check_kept,
    check_root,
    claim,
    code_fingerprint,
    files_fingerprint,
    fingerprint,
    imported_modules,
    is_kept,
    is_own,
    is_refusal,
    keep,
    locked,
    project_path,
    read_outside_text,
    read_record,
    read_sealed,
    remove,
    remove_unfinished,
    stamp,
    write_record,
    write_sealed,
)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"


def test_what_only_its_owner_may_read_is_so_from_the_start(tmp_path):
    seen = []
    for _ in range(2):
        with atomic_path(tmp_path / "key", mode=0o600) as temporary:
            seen.append(temporary)
            temporary.write_text("secret")
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(PermissionError, match=r"t\.csv cannot be replaced.*move it away"):
        write_record(tmp_path / "t.csv", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_fingerprints_see_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = files_fingerprint([tmp_path / "a"], relative_to=tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert files_fingerprint([tmp_path / "b"], relative_to=tmp_path) != first
    assert fingerprint({"x": 1, "y": 2}) == fingerprint({"y": 2, "x": 1})


def test_fingerprints_take_arrays_frames_dataclasses_files_and_functions(tmp_path):
    @dataclass(frozen=True)
    class Settings:
        epochs: int

    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    pairs = [
        (np.arange(3), np.arange(4)),
        (pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [2]})),
        (Settings(1), Settings(2)),
        (tmp_path / "a", tmp_path / "b"),
        (tmp_path / "a", tmp_path / "absent"),
        (fingerprint, imported_modules),
        (partial(fingerprint, 1), partial(fingerprint, 2)),
    ]
    for one, other in pairs:
        assert fingerprint(one) == fingerprint(one)
        assert fingerprint(one) != fingerprint(other)
    assert fingerprint(np.arange(3), Settings(1)) == fingerprint(np.arange(3), Settings(1))


def test_what_a_chapter_imports_from_a_wing_counts_as_its_module():
    wings = "from npcbook.statistics import fit_cox, harrell_c\nfrom npcbook.imaging import training"
    text = f"{wings}\nimport numpy"
    assert imported_modules(text) == {
        "npcbook.statistics.cox",
        "npcbook.statistics.concordance",
        "npcbook.imaging.training",
    }
    assert code_fingerprint("npcbook.store") != code_fingerprint("npcbook.words")


def double(value):
    return {"x": np.full(3, 2 * value)}


MADE = []


def make(value):
    MADE.append(value)
    return pd.DataFrame({"patient_id": ["007"], "x": [value]})


def test_a_result_is_made_once_for_the_same_arguments(tmp_path):
    for value in (1, 1, 2, 2):
        kept = keep(tmp_path / "t.csv", make, value)
        assert kept.to_dict("records") == [{"patient_id": "007", "x": value}]
    assert MADE == [1, 2]


def test_what_a_function_encloses_counts(tmp_path):
    def times(factor):
        def multiply(value):
            return factor * value

        return multiply

    assert [keep(tmp_path / "t.json", times(factor), 2) for factor in (2, 2, 3)] == [4, 4, 6]
    for nameless in (lambda: 1, Path(".").exists):
        with pytest.raises(ValueError, match="give a function with a name"):
            fingerprint(nameless)


def test_values_that_a_chapters_function_names_count():
    source = "LIMIT = 5\n\n\ndef above(x):\n    y = [LIMIT for x in x]\n    return y\n"
    keys = []
    for limit, mine in ((5, 1), (5, 2), (6, 2)):
        text = source.replace("5", str(limit))
        module = {"__name__": "__main__", "x": mine, "y": mine}  # not those of the function
        name = f"<chapter {limit}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), module)
        keys.append(code_fingerprint(module["above"]))
    assert keys[0] == keys[1] != keys[2]


def test_a_damaged_or_replaced_result_is_made_again(tmp_path):
    path = tmp_path / "t.npz"
    for damage in (b"", b"rubbish", None):
        np.testing.assert_array_equal(keep(path, double, 2)["x"], 4)
        assert is_kept(path)
        path.unlink() if damage is None else path.write_bytes(damage)
        assert not is_kept(path)
    np.testing.assert_array_equal(keep(path, double, 2)["x"], 4)


def test_other_code_or_other_files_make_a_result_anew(tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("one")
    path = tmp_path / "t.json"

    def read(file):
        return file.read_text()

    assert keep(path, read, source) == "one"
    source.write_text("two")
    assert keep(path, read, source) == "two"


def test_a_flipped_byte_is_found_named_and_made_again(tmp_path, capsys):
    path = tmp_path / "t.npz"
    keep(path, double, 2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert check_kept(path) == {"t.npz": "damaged"}
    np.testing.assert_array_equal(keep(path, double, 2)["x"], 4)
    assert f"{path} is damaged or was altered" in capsys.readouterr().err
    assert check_kept(path) == {"t.npz": "ok"}


def test_every_file_of_a_folder_is_told_from_what_it_was(tmp_path):
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (folder / name).write_text(name)
    assert check_kept(folder) == {"f.key": "missing"}
    stamp(folder, "key")
    (folder / "a").write_text("x")
    (folder / "b").unlink()
    (folder / "d").write_text("d")
    assert check_kept(folder) == {"a": "damaged", "b": "missing", "d": "added", "sub/c": "ok"}
    (tmp_path / "f.key").write_text((tmp_path / "f.key").read_text().replace("key", "kex", 1))
    assert check_kept(folder) == {"f.key": "damaged"}
    write_record(tmp_path / "f.key", {"key": "key", "files": ["a", "b"]})  # a hash of its own can be forged
    assert check_kept(folder) == {"f.key": "damaged"}


@pytest.mark.parametrize(
    "damage", [b"", b'{"a": 1', b'{"a": 2, "hash": "0"}', b"[]", b"\xff\x00", b"null", b"[" * 100_000, "pipe"]
)
def test_a_damaged_record_or_checkpoint_counts_as_none_and_is_named(tmp_path, capsys, damage):
    write_record(tmp_path / "r.json", {"a": 1})
    write_sealed(tmp_path / "c.pt", b"state")
    assert read_record(tmp_path / "r.json") == {"a": 1}
    assert read_sealed(tmp_path / "c.pt") == b"state"
    for name, read, nothing in (("r.json", read_record, {}), ("c.pt", read_sealed, b"")):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name) if damage == "pipe" else (tmp_path / name).write_bytes(damage)
        assert read(tmp_path / name) == nothing
        assert name in capsys.readouterr().err
        assert read(tmp_path / f"no {name}") == nothing


def test_numbers_come_back_to_the_last_bit(tmp_path):
    numbers = np.random.default_rng(1).lognormal(size=1000)
    FORMATS[".csv"][1](tmp_path / "t.csv", pd.DataFrame({"x": numbers}))
    assert (FORMATS[".csv"][0](tmp_path / "t.csv")["x"].to_numpy() == numbers).all()


HOLD = """
import sys, time
from npcbook.store import atomic_path, locked
with locked(sys.argv[1], reading=sys.argv[2] == "read"), atomic_path(sys.argv[1] + "/file"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", ["read", "write"])
def test_who_writes_is_alone_and_a_killed_process_holds_nothing(tmp_path, how):
    folder = tmp_path / "it's a run"
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder, how], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(filelock.Timeout), locked(folder, wait=False):
        pass
    if how == "read":
        with locked(folder, reading=True, wait=False):
            assert len(list(folder.iterdir())) == 1
    process.kill()
    process.communicate()
    with locked(folder, wait=False), locked(folder):
        assert list(folder.iterdir()) == []  # what the other left half written


def test_a_wait_is_said_once(tmp_path, capsys):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "r", "write"], stdout=subprocess.PIPE)
    process.stdout.readline()
    threading.Timer(1.5, process.kill).start()
    with locked(tmp_path / "r"):
        process.communicate()
    assert capsys.readouterr().err == f"waiting for another process that uses {tmp_path / 'r'} ...\n"


@pytest.mark.parametrize(
    "error",
    [PermissionError(13, "Permission denied"), sqlite3.OperationalError("unable to open database file")],
)
def test_where_nobody_may_write_is_read_and_named_to_who_would_write(tmp_path, monkeypatch, error):
    def refuse(path):
        raise error

    monkeypatch.setattr(filelock, "ReadWriteLock", refuse)
    with locked(tmp_path / "run", reading=True):
        pass
    with (
        pytest.raises(PermissionError, match=r"run cannot be written: .*Name another place"),
        locked(tmp_path / "run"),
    ):
        pass


@pytest.mark.parametrize("refusing", ["stat", "read_bytes"])
def test_what_may_not_be_read_is_one_sentence(tmp_path, monkeypatch, refusing):
    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "t.tsv").write_text("a")
    monkeypatch.setattr(Path, refusing, refuse)
    with pytest.raises(ValueError, match=r"t\.tsv cannot be read: Permission denied\.$"):
        read_outside_text(tmp_path / "t.tsv", "bytes of a table")


class Bomb:
    """What makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (os.fspath(self.path),)


def test_nothing_in_a_file_of_arrays_is_executed(tmp_path):
    np.savez(tmp_path / "t.npz", x=np.array([Bomb(tmp_path / "made")], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        FORMATS[".npz"][0](tmp_path / "t.npz")
    assert not (tmp_path / "made").exists()


def test_a_file_held_open_for_a_moment_is_replaced_and_one_held_for_good_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    really, refusals = Path.replace, [2]

    def held(source, target):
        if refusals[0]:
            refusals[0] -= 1
            raise PermissionError(13, "held open")
        return really(source, target)

    monkeypatch.setattr(Path, "replace", held)
    with atomic_path(tmp_path / "t.csv") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "t.csv").read_text() == "new"
    refusals[0] = 99
    with (
        pytest.raises(PermissionError, match=r"t\.csv cannot be replaced.*close it"),
        atomic_path(tmp_path / "t.csv") as temporary,
    ):
        temporary.write_text("newer")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def hold_open(monkeypatch, path):
    """Let a file be neither moved nor removed, nor any folder around it, as one that is open on Windows."""
    really, unlink = Path.replace, os.unlink
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def replace(source, target):
        if source in (path, *path.parents):
            raise PermissionError(13, "held open")
        return really(source, target)

    def remove_file(given, *, dir_fd=None):
        if Path(given).name == path.name:
            raise PermissionError(13, "held open")
        unlink(given, dir_fd=dir_fd)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(os, "unlink", remove_file)


def test_what_is_removed_goes_whole_or_stays_whole(tmp_path, monkeypatch):
    folder, file = tmp_path / "results", tmp_path / "results" / "tables" / "tables.xlsx"
    for place in (folder / "a.csv", file, folder / "z.csv", tmp_path / "target" / "mine"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "alone").touch()
    with monkeypatch.context() as held:
        hold_open(held, file)
        for path in (folder, file):
            with pytest.raises(PermissionError, match=rf"{path.name} cannot be .*removed.*close it"):
                remove(path)
        for name in ("alone", "link", "not there"):
            remove(tmp_path / name)
        assert sorted(path.name for path in tmp_path.rglob("*")) == [
            *("a.csv", "mine", "results", "tables", "tables.xlsx", "target", "z.csv")
        ]
    remove(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_what_is_held_open_for_a_moment_is_removed_and_leftovers_hinder_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    really, refusals = shutil.rmtree, [2]

    def held(path):
        if refusals[0]:
            refusals[0] -= 1
            raise PermissionError(13, "held open")
        really(path)

    monkeypatch.setattr(shutil, "rmtree", held)
    (tmp_path / "a" / "b").mkdir(parents=True)
    remove(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    left = tmp_path / f"{UNFINISHED}999999999-x"
    for refusals[0], remaining in ((99, 1), (0, 0)):
        left.mkdir(exist_ok=True)
        remove_unfinished(tmp_path)
        assert len(list(tmp_path.iterdir())) == remaining
        for path in tmp_path.iterdir():
            path.rename(left)


def test_only_what_bears_a_mark_under_its_own_name_is_npcbooks(tmp_path):
    claim(tmp_path / "made", "test")
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "scan").write_text("x")
    claim(tmp_path / "users", "test")
    shutil.copytree(tmp_path / "made", tmp_path / "copy")
    (tmp_path / "link").symlink_to(tmp_path / "made")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / MARK).write_text("[]")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / MARK).write_text("[" * 100_000)
    for name in ("pipe", "device"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe" / MARK)
    (tmp_path / "device" / MARK).symlink_to("/dev/zero")
    names = "made users copy link odd deep pipe device no".split()
    assert [name for name in names if is_own(tmp_path / name)] == ["made"]


WORKERS = """
import os, sys, time
from joblib import Parallel, delayed
from npcbook.store import atomic_path, locked, unfinished_prefix
from npcbook import store
def work(folder):
    store.atomic_path
    open(f"{folder}/{os.getpid()}", "w").close()
    time.sleep(60)
if __name__ == "__main__":
    Parallel(n_jobs=2)(delayed(work)(sys.argv[1]) for _ in range(2))
"""


def test_worker_processes_end_with_the_one_that_started_them(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "workers.py").write_text(WORKERS)
    process = subprocess.Popen([sys.executable, tmp_path / "workers.py", tmp_path / "work"])
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "work").iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = [int(path.name) for path in (tmp_path / "work").iterdir()]
    assert len(workers) == 2
    process.kill()
    process.wait()
    _, left = psutil.wait_procs([psutil.Process(n) for n in workers if psutil.pid_exists(n)], timeout=10)
    assert left == []


def test_what_a_killed_process_left_goes_though_it_is_still_listed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    left = tmp_path / f"{UNFINISHED}{process.pid}-x"
    left.touch()
    remove_unfinished(tmp_path)
    assert left.exists()
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    remove_unfinished(tmp_path)
    assert not left.exists()
    process.wait()


@pytest.mark.parametrize(
    ("code", "on_purpose"),
    [
        ("import npcbook.store as s; s.fingerprint(lambda: 1)", True),
        ("import numpy as np; np.zeros(2) + np.zeros(3)", False),
        ("import pandas as pd; pd.DataFrame({'x': [1, 2, 3]}, index=[1, 2])", False),
        ("import numpy as np; np.linalg.svd(np.full((2, 2), np.nan))", True),
        ("a, b = 1, 2, 3", False),
    ],
)
def test_an_error_on_purpose_is_told_from_one_of_the_program(code, on_purpose):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (many kinds are meant)
        exec(code, {})
    assert is_refusal(raised.value) is on_purpose


def test_an_empty_root_is_refused_and_data_may_lie_apart_from_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv("NPCBOOK_ROOT", "")
    with pytest.raises(ValueError, match="unset it, or name the folder"):
        project_path("data/runs")
    monkeypatch.setenv("NPCBOOK_ROOT", str(tmp_path / "a b"))
    with pytest.raises(FileNotFoundError, match="neither the project"):
        check_root(make=False)
    check_root(make=True)
    check_root(make=False)
    assert project_path("data/runs/r") == tmp_path / "a b/data/runs/r"
    assert project_path("data/published").is_dir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.doc").write_text("")
    monkeypatch.setenv("NPCBOOK_ROOT", str(tmp_path / "theirs"))
    with pytest.raises(FileNotFoundError, match="neither the project"):
        check_root(make=True)
