"""The same seed gives the same tables, also when the run is killed on the way, or made elsewhere."""

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


def tables(run_folder):
    """Return the content of every table of a run by its path."""
    paths = [path for suffix in ("csv", "parquet") for path in run_folder.glob(f"[0-9]*/**/*.{suffix}")]
    return {str(path.relative_to(run_folder)): path.read_bytes() for path in paths}


@pytest.mark.nightly
@pytest.mark.book
def test_a_run_killed_twice_in_another_environment_ends_with_the_tables_of_one_that_was_not(
    request, tmp_path
):
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in tracked.stdout.split("\0"):
        if name and (ROOT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    names = [plan.name for plan in book.plan_chapters()]
    command = [sys.executable, "-O", "-m", "npcbook", "book", "--profile", "smoke", "--chapters", *names]
    elsewhere = {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7"}
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | elsewhere
    # Text output is kept in files: a pipe nobody reads would stop the run.
    options = {
        "cwd": tmp_path,
        "env": environment | {"NPCBOOK_ROOT": str(tmp_path)},
        "umask": 0o077,
        "start_new_session": True,
    }
    for seconds in (25, 50):
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, **options)
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    with (tmp_path / "log").open("w") as log:
        status = subprocess.run(command, stdout=log, stderr=log, check=False, **options).returncode
    assert status == 0, (tmp_path / "log").read_text()[-4000:]
    # Asked for only now, so that the other worker makes the trial run in the meantime.
    wanted = tables(request.getfixturevalue("smoke_run"))
    found = tables(tmp_path / "data" / "runs" / "smoke-synthetic")
    assert set(found) == set(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []
