"""Fixtures that several test files share."""

import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import matplotlib as mpl
import pytest
from playwright.sync_api import sync_playwright

mpl.use("Agg")
ROOT = Path(__file__).parents[1]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own
def pytest_collection_modifyitems(config, items):
    """Leave what needs the trial run or the browser to one worker of pytest-xdist, the rest to the other.

    What is marked nightly runs only when it is asked for.
    """
    if "nightly" not in config.option.markexpr:
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]
    for item in items:
        # What starts kernels stays together, too: two that look for a free port at once may find the same.
        kernels = item.get_closest_marker("book") and not item.get_closest_marker("slow")
        if kernels or {"smoke_run", "browser"} & set(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group("book"))


@pytest.fixture(scope="session")
def smoke_run():
    """Run every chapter in the smoke profile and build the book, as `make book PROFILE=smoke` does."""
    command = [sys.executable, "-m", "npcbook", "book", "--profile", "smoke"]
    # The second worker to ask waits, and then finds that nothing has to run.
    with filelock.FileLock(ROOT / "data" / "runs" / ".tests.lock"):
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
    return ROOT / "data" / "runs" / "smoke-synthetic"


@pytest.fixture(scope="session")
def smoke_cohort(smoke_run):
    """Folder of the synthetic cohort that the smoke run analysed."""
    return ROOT / "data" / "cohorts" / "synthetic-smoke"


@pytest.fixture(scope="session")
def browser():
    """Chromium without a screen; one for the session, since playwright starts only once in a process."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "The browser tests need Chromium: apt-get install chromium."
    options = [
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()
