"""The book as it is read: every chapter executed, every page built, nothing fetched from outside."""

import json
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import sync_playwright

from npcbook import book, cohort
from npcbook.pages import expected_pages
from npcbook.runs import SYNTHETIC_LABEL

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.book


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing: the tests look at the browser's side."""


@pytest.fixture(scope="session")
def html(smoke_run):
    return smoke_run / "pages" / "_build" / "html"


@pytest.fixture(scope="session")
def site(html):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=html))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
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


@pytest.fixture(scope="session")
def visits(browser, site):
    """Visit every page once, outside requests blocked and counted, and keep what was seen."""
    seen = {}
    for name in expected_pages():
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        log = {"outside": [], "console": [], "failed": []}
        page.route(lambda url, site=site: not url.startswith((site, "data:", "blob:")), _block(log))
        page.on(
            "console",
            lambda message, log=log: log["console"].append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error, log=log: log["console"].append(str(error)))
        page.on("requestfailed", lambda request, log=log: log["failed"].append(request.url))
        page.goto(f"{site}/{name}", wait_until="load")
        page.wait_for_timeout(200)
        log["formulas"] = page.locator("mjx-container").count()
        log["raw"] = page.locator("span.math, div.math").count()
        log["text"] = page.inner_text("body")
        log["no_alt"] = page.locator("main img:not([alt]), main img[alt='']").count()
        log["links"] = page.eval_on_selector_all(
            "a[href]", "links => links.map(link => link.getAttribute('href'))"
        )
        log["broken_images"] = page.evaluate(
            "[...document.images].filter(i => i.complete && !i.naturalWidth).length"
        )
        seen[name] = log
        page.close()
    return seen


def _block(log):
    def handle(route):
        log["outside"].append(route.request.url)
        route.abort()

    return handle


def test_every_chapter_ran_to_its_end(smoke_run):
    for plan in book.CHAPTERS:
        notebook = nbformat.read(smoke_run / "notebooks" / f"{plan.name}.ipynb", as_version=4)
        assert book.check_execution(notebook) == [], plan.name


def test_no_chapter_warned(smoke_run):
    for plan in book.CHAPTERS:
        notebook = nbformat.read(smoke_run / "notebooks" / f"{plan.name}.ipynb", as_version=4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        heard = "".join(output.text for output in outputs if output.get("name") == "stderr")
        assert "Warning" not in heard, (plan.name, heard[:2000])


def test_every_page_is_there(html):
    assert [page for page in expected_pages() if not (html / page).exists()] == []


def test_no_page_asks_for_anything_outside(visits):
    assert {name: log["outside"] for name, log in visits.items() if log["outside"]} == {}


def test_no_page_has_an_error(visits):
    assert {name: log["console"] for name, log in visits.items() if log["console"]} == {}
    assert {name: log["failed"] for name, log in visits.items() if log["failed"]} == {}
    assert {name: log["broken_images"] for name, log in visits.items() if log["broken_images"]} == {}


def test_formulas_are_typeset_without_a_network(visits):
    assert sum(log["formulas"] for log in visits.values()) > 5
    for name, log in visits.items():
        assert log["formulas"] >= log["raw"], name


def test_internal_links_resolve(visits, html):
    broken = []
    for name, log in visits.items():
        for link in log["links"]:
            target = link.split("#")[0].split("?")[0]
            if (
                target
                and not re.match(r"[a-z]+:", target)
                and not (html / name).parent.joinpath(target).exists()
            ):
                broken.append((name, link))
    assert broken == []


def test_no_page_shows_a_path_of_the_machine_it_ran_on(visits):
    # Parameters are given from the project's root, so nothing has a reason to name what lies above it.
    above = str(ROOT.parent) + "/"
    assert [name for name, log in visits.items() if above in log["text"]] == []


def test_every_result_page_is_labelled_synthetic(visits):
    for plan in book.CHAPTERS:
        if plan.reads_cohort:
            assert SYNTHETIC_LABEL in visits[f"notebooks/{plan.name}.html"]["text"], plan.name


def test_the_ledger_covers_every_printed_number(smoke_run):
    from npcbook.published import read_published

    values = [path for path in smoke_run.glob("*/values.csv")]
    assert len(values) >= 7
    manifest = json.loads((smoke_run / "manifest.json").read_text())
    assert set(manifest["chapters"]) == {plan.name for plan in book.CHAPTERS}
    assert len(read_published()) >= 300


def test_an_unchanged_book_runs_nothing(smoke_run):
    result = subprocess.run(
        [sys.executable, "-m", "npcbook", "book", "--profile", "smoke"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    assert "running ..." not in result.stdout


def test_a_chapter_runs_alone_with_plain_papermill(smoke_run, smoke_cohort, tmp_path):
    run = tmp_path / "run"
    for name in ("01_cohorts", "05_cox_models"):
        shutil.copytree(smoke_run / name, run / name)
    command = [Path(sys.executable).parent / "papermill", "notebooks/06_km.ipynb", tmp_path / "km.ipynb"]
    options = ["-p", "run_folder", run, "-p", "cohort_folder", smoke_cohort, "-p", "min_fraction", "0.2"]
    subprocess.run(list(map(str, command + options)), cwd=ROOT, check=True, capture_output=True)
    assert (run / "06_km" / "cutoffs.csv").exists()


def test_the_readme_checks_a_cohort(smoke_cohort):
    command = [sys.executable, "-m", "npcbook", "check", str(smoke_cohort)]
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0
    assert cohort.read_cohort(smoke_cohort).is_synthetic
