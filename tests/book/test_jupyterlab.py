"""A chapter as JupyterLab shows it: every role and directive drawn, every takeaway with its number."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest

from npcbook.book.run import plan_chapters

SETTINGS = {
    # All cells at once in the document, not only those in view.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}
# Markup that a reader must not see; what stood in backticks after a role is left out as code.
RAW = re.compile(
    r"\{[a-z:-]{3,}\}|^:[a-z-]+: |[`:]{3}|^\([a-z0-9-]+\)=|\]\(#?[a-z]|\w <[\w –-]+>", re.MULTILINE
)
# What JupyterLab's extension drops or shows as a bare word: it has the notebook, not the book around it.
LOST = re.compile(r"\{(glue|literalinclude|doc|numref|download|py|bibliography)[a-z:-]*\}")
SEEN = """() => {
    document.querySelectorAll('.jp-Notebook :is(pre, code, .katex)').forEach(element => element.remove());
    return [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map(cell => {
        const shown = [...cell.querySelectorAll('.myst, .jp-OutputArea-output')];
        return {
            code: cell.classList.contains('jp-CodeCell'),
            text: shown.map(part => part.innerText).join('\\n'),
            bullets: shown.flatMap(part => [...part.querySelectorAll('li')].map(item => item.innerText)),
        };
    });
}"""
# Every cell is there, and all Markdown, of cells and of outputs, is drawn by the extension.
DRAWN = """count => document.querySelectorAll('.jp-Notebook .jp-Cell').length == count
    && [...document.querySelectorAll('.jp-MarkdownCell')].every(c => c.querySelector('.myst')?.innerText)
    && !document.querySelector('.jp-Notebook .jp-RenderedMarkdown')"""
PLACEHOLDER = "Run all cells: the numbers are put in by the cells that compute them."
TINY = f"""\
# %% [markdown]
# # Tiny
#
# **Who is above the {{term}}`cut-off`?** See {{cite}}`hu2023`, [result](#tiny-result), $x_1$.
#
# ## In short

# %%
from IPython.display import Markdown, display, update_display

handle = display(Markdown("{PLACEHOLDER}"), display_id="in-short")

# %% [markdown]
# (tiny-result)=
# ## Result
#
# ```{{admonition}} Try this
# :class: tip
# Another `endpoint`.
# ```

# %%
display(Markdown("C **0.79**; {{term}}`cut-off`; [above](#tiny-result).\\n\\n```python\\nx = 1\\n```"))

# %%
update_display(Markdown("- C is **0.79** ([result](#tiny-result)).\\n- One of 3."), display_id="in-short")
"""
N_CELLS = TINY.count("# %%")
pytestmark = pytest.mark.book


@contextmanager
def jupyter_lab(notebooks, home):
    """Serve a copy of a folder of notebooks with JupyterLab; yield its address. `home` is an empty folder."""
    shutil.copytree(notebooks, home / "root")
    (home / "settings").mkdir()
    (home / "settings" / "overrides.json").write_text(json.dumps(SETTINGS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).parent / "jupyter-lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    command += [f"--ServerApp.root_dir={home / 'root'}", f"--LabApp.app_settings_dir={home / 'settings'}"]
    own = {"JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data")}
    with (home / "log").open("w") as log:
        server = subprocess.Popen(list(map(str, command)), env=os.environ | own, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                break
            except (urllib.error.URLError, TimeoutError):
                assert server.poll() is None, (home / "log").read_text()[-3000:]
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def opened(browser, address, notebook, n_cells):
    """Open a notebook in JupyterLab, and yield the page once all its cells are drawn."""
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.outside = []
    page.on("request", lambda request: None if address in request.url else page.outside.append(request.url))
    page.goto(f"{address}/lab/tree/{notebook}?reset")  # without the tabs of the test before
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    page.wait_for_function(DRAWN, arg=n_cells, timeout=60_000)
    page.wait_for_timeout(1000)
    yield page
    page.close()


def see(page):
    """Return for each cell whether it is code, the text it shows (without code, formulas) and its bullets."""
    return page.evaluate(SEEN)


def in_short(cells):
    """Return the bullets of the first code cell below the heading *In short*."""
    below = next(n for n, cell in enumerate(cells) if re.search(r"^In short", cell["text"], re.MULTILINE))
    return next(cell["bullets"] for cell in cells[below:] if cell["code"])


def raw_markup(cells):
    """Return the markup that is seen raw, with what stands around it."""
    return [
        cell["text"][max(0, m.start() - 30) : m.end() + 30]
        for cell in cells
        for m in RAW.finditer(cell["text"])
    ]


def lost_markup(path):
    """Return the roles and directives in a notebook's text that JupyterLab cannot show."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    return [match.group() for cell in cells for match in LOST.finditer(cell.source)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    notebook = jupytext.reads(TINY, fmt="py:percent")
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "fresh.ipynb")
    papermill.execute_notebook(
        str(folder / "fresh.ipynb"),
        str(folder / "executed.ipynb"),
        progress_bar=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    return folder


@pytest.fixture(scope="module")
def tiny_lab(tiny, tmp_path_factory):
    with jupyter_lab(tiny, tmp_path_factory.mktemp("lab")) as address:
        yield address


@pytest.fixture(scope="module")
def lab(smoke_run, tmp_path_factory):
    with jupyter_lab(smoke_run / "notebooks", tmp_path_factory.mktemp("lab")) as address:
        yield address


def test_a_later_cell_fills_in_an_earlier_ones_output(tiny):
    cells = nbformat.read(tiny / "executed.ipynb", as_version=4).cells
    assert [o.data["text/markdown"] for o in cells[1].outputs] == [
        "- C is **0.79** ([result](#tiny-result)).\n- One of 3."
    ]
    assert cells[-1].outputs == []


def test_an_executed_notebook_is_drawn_without_markup(browser, tiny, tiny_lab):
    with opened(browser, tiny_lab, "executed.ipynb", N_CELLS) as page:
        cells = see(page)
        assert page.outside == []
    assert raw_markup(cells) == []
    assert in_short(cells) == ["C is 0.79 (result).", "One of 3."]
    assert "Try this" in cells[2]["text"]
    assert cells[3]["text"].strip() == "C 0.79; cut-off; above."
    assert lost_markup(tiny / "executed.ipynb") == []


def test_the_takeaways_fill_in_when_cells_are_run(browser, tiny_lab):
    with opened(browser, tiny_lab, "fresh.ipynb", N_CELLS) as page:
        page.get_by_text("| Idle", exact=False).wait_for(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.locator(".jp-OutputArea-output", has_text="One of 3.").wait_for(timeout=60_000)
        assert PLACEHOLDER not in page.locator(".jp-OutputArea-output").all_inner_texts()
        page.locator(".jp-OutputArea-output a", has_text="result").first.click()
        page.wait_for_url("**/fresh.ipynb#tiny-result")


def test_raw_markup_would_be_found():
    shown = [
        "a {term}`x`",
        "b {cite:p} y",
        ":pyobject: f",
        "```{tip}",
        "(a-b)=",
        ":::{note}",
        "[x](#y)",
        "[x](y-z)",
    ]
    assert all(raw_markup([{"text": f"before\n{text}"}]) for text in shown)
    assert raw_markup([{"text": "C = 0.79 (0.73–0.86): see [1], {a, b} and f(x)=2"}]) == []


@pytest.mark.parametrize("chapter", [plan.name for plan in plan_chapters()])
def test_a_chapter_reads_in_jupyterlab(browser, lab, smoke_run, chapter):
    path = smoke_run / "notebooks" / f"{chapter}.ipynb"
    assert lost_markup(path) == []
    with opened(browser, lab, path.name, len(nbformat.read(path, as_version=4).cells)) as page:
        cells = see(page)
        assert page.outside == []
    assert raw_markup(cells) == []
    takeaways = in_short(cells)
    assert takeaways
    assert [text for text in takeaways if not re.search(r"\d", text)] == []
