"""Text of a cohort stays text: nothing in a name, a hospital or a reason runs, counts or stops a chapter."""

import csv
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import openpyxl
import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt

from npcbook.book import pages
from npcbook.book.chapter import show_dollars
from npcbook.book.results import list_shown, write_results
from npcbook.book.run import read_profile, run_chapters
from npcbook.cohort import check_cohort
from npcbook.store import project_path
from npcbook.synthetic import write_cohort
from npcbook.words import as_cell, as_markdown, without_html

#: The word by which what came from outside is found again.
WORD = "quokka"
HOSTILE = (
    f"<script>{WORD}()</script>",
    f"<img src=x onerror={WORD}()>",
    f"![{WORD}](http://localhost/{WORD}.png)",
    f'=HYPERLINK("http://localhost/{WORD}";"see")',
    f"@SUM({WORD})",
    f"-2+3+cmd|' /C {WORD}'!A0",
    f"{WORD} $\\foo{{$ and $x^",
    f"{WORD} {{term}}`no such` {{{{ {WORD} }}}}",
    f"[{WORD}](no-such-page.md) | `{WORD} | *{WORD}",
    f"# {WORD} \\href{{javascript:{WORD}()}}{{x}} \\({WORD}\\)",
    f"{WORD}, Żółć ± “quoted” 'one'",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Folder of a cohort whose every free text is hostile; a table only."""
    place = tmp_path_factory.mktemp("hostile")
    source = write_cohort(place / "sound", patients=120, grid=(6, 24, 24), workers=2)
    folder = place / "cohort"
    folder.mkdir()
    table = pd.read_csv(source / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    texts = pd.Series([HOSTILE[i % len(HOSTILE)] for i in range(len(table))])
    table = table.assign(center=texts, scanner=texts, exclusion=texts.where(table.index < 22, ""))
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)
    about = {"Name": " ".join(HOSTILE)[:200], "Remark": HOSTILE[0], "License": HOSTILE[1], "synthetic": False}
    (folder / "dataset_description.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="module")
def hostile_run(hostile):
    """Folder of a run of the chapters that describe a cohort."""
    run_folder = hostile.parent / "run"
    folders = {"run_folder": run_folder, "cohort_folder": hostile}
    run_chapters(**folders, parameters=read_profile("smoke"), chapters=["01", "11"])
    return run_folder


class Found(HTMLParser):
    """What of a page would run or be fetched, with the word in it."""

    def __init__(self, text):
        super().__init__()
        self.live, self.inside, self.seen = [], "", text.count(WORD)
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        # An address alone is where a link leads; what a page fetches or runs by itself is meant.
        runs = [f"{n}={v}" for n, v in attrs if n.startswith("on") or n in ("src", "href", "style")]
        self.live += [f"<{tag} {text}>" for text in runs if WORD in text]

    def handle_data(self, data):
        if self.inside == "script" and WORD in data:
            self.live.append(data)


def test_the_hostile_cohort_is_in_order(hostile):
    assert check_cohort(hostile) == []


@pytest.mark.slow
@pytest.mark.book
def test_nothing_of_a_cohorts_text_runs_in_its_pages(hostile_run, tmp_path):
    write_results(hostile_run)
    names = ["01_cohorts", "11_datasheet"]
    (tmp_path / "notebooks").mkdir()
    for name in names:
        notebook = nbformat.read(hostile_run / "notebooks" / f"{name}.ipynb", as_version=4)
        pages.add_notice(notebook, pages.notice(hostile_run, name))
        pages.split_outputs(notebook)
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    for name in ("glossary.md", "references.bib", "_static"):
        source, target = project_path(f"notebooks/{name}"), tmp_path / "notebooks" / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    shutil.copyfile(project_path("_config.yml"), tmp_path / "_config.yml")
    (tmp_path / "README.md").write_text(pages.front_page(hostile_run))
    (tmp_path / "downloads.md").write_text(pages.downloads_page(hostile_run))
    chapters = [{"file": f"notebooks/{name}"} for name in [*names, "glossary"]] + [{"file": "downloads"}]
    toc = {"format": "jb-book", "root": "README", "parts": [{"caption": "x", "chapters": chapters}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc))
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not re.search(f"(WARNING|ERROR).*({WORD}|no such|substitution)", said.stdout + said.stderr)
    found = [Found(path.read_text()) for path in (tmp_path / "_build/html").rglob("*.html")]
    assert sum(page.seen for page in found) > 100
    assert [live for page in found for live in page.live] == []


@pytest.mark.slow
@pytest.mark.book
def test_no_cell_of_the_results_is_a_formula(hostile_run):
    results = write_results(hostile_run)
    cells = 0
    for path in [*results.rglob("*.csv"), *hostile_run.glob("*/tables/*.csv")]:
        with path.open() as file:
            texts = [cell for row in csv.reader(file) for cell in row if WORD in cell]
        assert [text for text in texts if text.startswith(("=", "@", "+", "-", "\t", "\r"))] == []
        cells += len(texts)
    workbook = openpyxl.load_workbook(results / "tables.xlsx")
    kinds = [cell.data_type for sheet in workbook for row in sheet.iter_rows() for cell in row]
    assert "f" not in kinds
    assert cells > 20


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_as_it_is(text):
    (paragraph,) = (
        t for t in MarkdownIt("commonmark", {"html": False}).parse(as_markdown(text)) if t.type == "inline"
    )
    assert {child.type for child in paragraph.children} <= {"text", "text_special"}
    assert "".join(child.content for child in paragraph.children) == " ".join(text.split())
    assert not re.search("<[A-Za-z/]|!\\[", without_html(text))


@pytest.mark.parametrize("value", ["-0.5", "+3", "-", "−0.2", "a=b", -1.5, None, "1e-3", "-inf"])
def test_numbers_and_plain_text_stay_as_they_are_in_a_spreadsheet(value):
    assert as_cell(value) == value


@pytest.mark.parametrize("text", HOSTILE)
def test_a_figure_shows_any_text(text, tmp_path):
    fig, ax = plt.subplots()
    ax.set(title=text, xlabel=text, xscale="log", xlim=(1, 1e4))
    ax.barh([text], [10], label=text)
    ax.legend(title=text)
    show_dollars(fig)
    fig.savefig(tmp_path / "figure.svg")
    plt.close(fig)
    # Powers of ten are still set as such.
    assert "\\mathdefault" not in re.sub("<!--.*?-->", "", (tmp_path / "figure.svg").read_text())
    assert list_shown(tmp_path) == []
