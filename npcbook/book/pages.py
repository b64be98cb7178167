"""Build the pages: a run's executed chapters as HTML that opens without a network."""

import ast
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import nbformat
import yaml

from npcbook.book.branches import link
from npcbook.book.chapter import FRONT, source_label
from npcbook.book.parameters import INJECTED
from npcbook.book.results import SUFFIXES, list_shown, write_results
from npcbook.book.run import plan_chapters
from npcbook.store import PARENT, files_fingerprint, is_kept, project_path, remove, stamp
from npcbook.words import PRINT_LABEL, SYNTHETIC_LABEL, as_html, as_markdown, without_html

DOWNLOADS = """# Results to take away

All tables and figures of this run, as files; each says where its data come from.

<ul>
<li><a href="results/tables.xlsx" download>All tables in one workbook (XLSX)</a></li>
<li><a href="results/methods.txt" download>The methods text below</a></li>
<li><a href="results/README.txt">What the folder holds</a></li>
<li><a href="results/manifest.json">Captions, hashes, versions and parameters (JSON)</a></li>
</ul>

## Methods, with the settings of this run
"""

WAITING = "The first pages: the other chapters are being computed, and their pages come when all are there."
#: Marks, in the text of a chapter, what holds for simulated patients only.
PLANTED = '<span class="planted">.*?</span>'
#: Tags that need not keep a code cell apart from the next.
LOOSE_TAGS = {"hide-input", "remove-stderr"}
#: Tags that go with a cell's outputs when these become cells of their own.
KEPT_TAGS = {"full-width", "hide-output", "filterable"}
# Jupyter Book, in a process that ends with the one that started it.
BUILD = "import npcbook.store; from jupyter_book.cli.main import main; main()"
FORMULA_SCRIPTS = re.compile(r'<script[^>]*(?:src="[^"]*mathjax/|>window\.MathJax).*?</script>')
#: The first cell of a row, and the cells above a table, of data frames and of Markdown.
ROW_CELLS = re.compile(r'(<tr(?: class="row-\w+")?>\s*)<td((?: class="data [^>]*)?>.*?)</td>', re.DOTALL)
TOP_CELLS = re.compile(r'<th(?= class="(?:col_)?head)')


class BuildFailed(RuntimeError):
    """Jupyter Book stopped, warned, or left a page out; the message holds its last lines."""


def toc_files() -> list[str]:
    """Return the files of the table of contents, in reading order, without suffix."""
    toc = yaml.safe_load(project_path("_toc.yml").read_text("utf-8"))
    chapters = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [toc["root"], *chapters]


def expected_pages() -> list[str]:
    """Return the HTML files that a built book must hold."""
    return [f"{name}.html" for name in toc_files()] + ["index.html", "search.html", "genindex.html"]


def contents(files: set[str] | None = None) -> str:
    """Return the table of contents (YAML), or what of it leads to some files."""
    toc = yaml.safe_load(project_path("_toc.yml").read_text("utf-8"))
    for part in toc["parts"]:
        part["chapters"] = [each for each in part["chapters"] if files is None or each["file"] in files]
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    return yaml.safe_dump(toc, sort_keys=False)


def stage(run_folder: Path, chapters: Sequence[str] = ()) -> Path:
    """Lay out what Jupyter Book reads: configuration, front page and the executed chapters.

    Parameters
    ----------
    run_folder : pathlib.Path
        A run in which the chapters have been executed.
    chapters : sequence of str, optional
        Names of those to lay out, apart from the whole book and without the library's reference; default all.

    Returns
    -------
    pathlib.Path
        The folder to build.

    Raises
    ------
    BuildFailed
        If a chapter has not been executed in this run.
    """
    source = run_folder / "pages" / ("first" if chapters else "")
    names = [plan.name for plan in plan_chapters() if not chapters or plan.name in chapters]
    missing = [name for name in names if not (run_folder / "notebooks" / f"{name}.ipynb").exists()]
    if missing:
        raise BuildFailed(f"The book needs every chapter; not yet run here: {', '.join(missing)}.")
    for old in source.glob("[!_]*/"):
        remove(old)
    _copy_pages(source, set(chapters))
    note = f"\n\n```{{note}}\n{WAITING}\n```\n" if chapters else "\n"
    (source / "README.md").write_text(front_page(run_folder).replace("\n", note, 1), "utf-8")
    (source / "downloads.md").write_text(downloads_page(run_folder), "utf-8")
    synthetic = is_synthetic(run_folder)
    for name in names:
        notebook = nbformat.read(run_folder / "notebooks" / f"{name}.ipynb", as_version=4)
        if not synthetic:
            leave_out_planted(notebook)
        add_notice(notebook, notice(run_folder, name))
        join_code(notebook)
        fold_code(notebook)
        split_outputs(notebook)
        nbformat.write(notebook, source / "notebooks" / f"{name}.ipynb")
    return source


def _copy_pages(source: Path, chapters: set[str]) -> None:
    """Lay out what no run changes; without the library's reference if only some chapters are wanted."""
    pages = [f"{name}.md" for name in toc_files() if project_path(f"{name}.md").exists()]
    for name in ("_config.yml", "notebooks/references.bib", *pages):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project_path(name), source / name)
    wanted = {f"notebooks/{name}" for name in chapters} | {page.removesuffix(".md") for page in pages}
    (source / "_toc.yml").write_text(contents(wanted | {"downloads"} if chapters else None), "utf-8")
    for name in ("_static", "template"):  # contributors are shown the template
        copy_tree(project_path(f"notebooks/{name}"), source / "notebooks" / name)
    for name, text in ({} if chapters else api_pages()).items():
        (source / "notebooks" / name).write_text(text, "utf-8")


def copy_tree(source: Path, target: Path, copy_file: Callable = shutil.copyfile) -> None:
    """Copy a folder's files; unlike by shutil, the copies of what nobody may write to may be written to."""
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy_file(path, copy)


def api_pages() -> dict[str, str]:
    """Return the library's reference (MyST) by file name: a page a wing, and one for the ground rooms.

    Each module says in a line what it is for; its functions and classes are folded below.
    """
    package = project_path("npcbook")
    wings = sorted(face.parent for face in package.glob("*/__init__.py"))
    rooms = {wing.name: sorted(wing.glob("[a-z]*.py")) for wing in wings}
    rooms["ground"] = [package / "store.py", package / "words.py"]
    pages = {}
    for wing, paths in rooms.items():
        parts = [f"# API: {wing}\n\n```{{contents}}\n:local:\n:depth: 1\n```"]
        for path in paths:
            module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
            about = ast.get_docstring(ast.parse(path.read_text("utf-8"))).partition("\n")[0]
            listed = f"```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```"
            fold = f"````{{dropdown}} Functions and classes\n{listed}\n````"
            parts.append(f"## `{module}`\n\n{about}\n\n{fold}")
        pages[f"api_{wing}.md"] = "\n\n".join(parts) + "\n"
    return pages


def front_page(run_folder: Path) -> str:
    """Return README.md with what the chapters of the run handed over, in its place.

    Sentences stand in their order, each under the label of its data: what print alone shows apart from what
    a cohort showed. A chapter that handed nothing over leaves nothing out of place. Where the file is read
    outside the book, a comment stands there.
    """
    page, found = project_path("README.md").read_text("utf-8"), _found(run_folder)
    if not is_synthetic(run_folder):
        said = f"```{{warning}}\n{notice(run_folder)}\n```"
        page = re.sub(r"```{warning}\n.*?```", lambda _: said, page, count=1, flags=re.DOTALL)
        page = without_planted(page)
    return page.replace("<!-- result -->", found)


def _found(run_folder: Path) -> str:
    """Return the section of the front page that the chapters hand over, as Markdown."""
    handed = [json.loads(path.read_text("utf-8")) for path in sorted(run_folder.glob(f"*/{FRONT}"))]
    sentences = [
        (int(place.removeprefix("sentence ")), front["label"], text)
        for front in handed
        for place, text in front.items()
        if place.startswith("sentence ")
    ]
    parts = ["## What was found"]
    for label, group in groupby(sorted(sentences, key=lambda s: s[0]), key=lambda s: s[1]):
        remark = (
            "No patient data."
            if label == PRINT_LABEL
            else notice(run_folder).removeprefix(f"{as_markdown(label)}.")
        )
        parts += [
            f"**{as_markdown(label)}.** {remark.strip()}".strip(),
            "\n".join(f"- {text}" for _, _, text in group),
        ]
    parts += [as_front_figure(front["figure"], front["label"]) for front in handed if "figure" in front]
    return "\n\n".join(parts)


def without_planted(text: str) -> str:
    """Return Markdown without what is marked as true of simulated patients only, for other patients' pages.

    Marked is what stands in ``<span class="planted">``: a sentence, a whole item of a list, or one cell of a
    table, of which the row goes.
    """
    text = re.sub(rf"^\|.*{PLANTED}.*\n?", "", text, flags=re.MULTILINE)
    kept = re.sub(rf"[ \t]*{PLANTED}", "", text, flags=re.DOTALL)
    return re.sub(r"^- *(?:\n|$)", "", kept, flags=re.MULTILINE)


def leave_out_planted(notebook: nbformat.NotebookNode) -> None:
    """Leave out of an executed chapter what is about simulated data: cells tagged so, and marked sentences.

    What a cell says was written for the cohort at hand, and stays.
    """
    for cell in notebook.cells:
        if "planted" in cell.metadata.get("tags", []):
            # Takeaways and other pages may point to the section.
            cell.source = "\n".join(re.findall(r"^\([\w-]+\)=$", cell.source, re.MULTILINE))
            if cell.cell_type == "code":
                cell.outputs, cell.metadata["tags"] = [], ["remove-cell"]
        elif cell.cell_type == "markdown":
            cell.source = without_planted(cell.source)


def as_front_figure(figure: dict[str, str], label: str) -> str:
    """Return a figure that a chapter handed over as HTML, small enough for a telephone."""
    alt = as_html(f"{figure['alt']} {label}.")
    image = f'<img src="results/figures/{figure["file"]}.svg" alt="{alt}">'
    return f'<figure class="front">{image}</figure>\n\n{without_html(figure["text"])}'


def is_synthetic(run_folder: Path) -> bool:
    """Return whether a run analysed simulated patients; one without a manifest counts as such."""
    path = run_folder / "manifest.json"
    record = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return record.get("cohort", {}).get("synthetic", True)


def notice(run_folder: Path, chapter: str = "") -> str:
    """Return what a reader of a run's page has to know first: whose data, and by which profile."""
    own = {item.label for item in list_shown(run_folder) if item.chapter == chapter}
    if own == {PRINT_LABEL}:
        return f"{PRINT_LABEL}; no patient data."
    cohort = json.loads((run_folder / "manifest.json").read_text("utf-8"))["cohort"]
    if own and source_label(cohort) not in own:
        return ""  # a page of other data than the run's
    trial = "This is a trial run, too small for any result to mean much"
    if not cohort["synthetic"]:
        profile = cohort.get("profile")
        said = [f"{as_markdown(source_label(cohort))}."]
        said += [f"Profile {as_markdown(profile)}."] if profile else []
        return " ".join([*said, f"{trial}."] if profile == "smoke" else said)
    remark = f" {trial}; {as_markdown(cohort['remark'])}." if cohort.get("remark") else ""
    return f"{SYNTHETIC_LABEL}.{remark}"


def add_notice(notebook: nbformat.NotebookNode, text: str) -> None:
    """Put a notice, if there is one, below the title of an executed chapter."""
    title, _, rest = notebook.cells[0].source.partition("\n")
    if text:
        notebook.cells[0].source = f"{title}\n\n```{{warning}}\n{text}\n```\n{rest}"


def join_code(notebook: nbformat.NotebookNode) -> None:
    """Join code cells in a row of which all but the last show nothing: a page then folds one, not five."""
    cells = []
    for cell in notebook.cells:
        pair = [*cells[-1:], cell]
        first, last = (set(c.metadata.get("tags", [])) for c in (pair[0], cell))
        plain = first <= LOOSE_TAGS | last and not last & {"parameters", "remove-cell"}
        if len(pair) == 2 and plain and all(c.cell_type == "code" for c in pair) and not pair[0].outputs:
            cell.source = f"{pair[0].source}\n\n\n{cell.source}"
            cells.pop()
        cells.append(cell)
    notebook.cells = cells


def fold_code(notebook: nbformat.NotebookNode) -> None:
    """Fold the code of an executed chapter away, but for its parameters: the page reads without it."""
    for cell in notebook.cells:
        tags = cell.metadata.setdefault("tags", [])
        if "injected-parameters" in tags:  # beside the defaults, which are another cohort's
            cell.source = cell.source.replace(INJECTED, "# Given in this run:", 1)
        elif cell.cell_type == "code" and not {"parameters", "hide-input"} & set(tags):
            is_place = cell.source.rstrip().endswith("in_short()")
            tags.append("remove-input" if is_place else "hide-input")


def file_links(kind: str, name: str, *, root: str) -> str:
    """Return links (HTML) to a table's or figure's files; `name` is ``chapter/name``, `root` the book's."""
    links = [
        f'<a href="{root}results/{kind}s/{name}{suffix}" download>{suffix[1:].upper()}</a>'
        for suffix in SUFFIXES[kind]
    ]
    return f"{kind.capitalize()} as {', '.join(links)}"


def split_outputs(notebook: nbformat.NotebookNode) -> None:
    """Lay an executed chapter out for the page.

    Markdown that a cell puts out becomes a cell of its own, so that pages list its headings and resolve its
    links; a figure gets its alternative text, a caption and, as tables do, links to its files. Folded under
    their names are the library's source and, in a cell with the tag ``hide-output``, figures and tables.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Changed in place; outputs keep their order. `npcbook.book.Chapter` left the marks that are read here
        in the outputs' metadata.
    """
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type != "code":
            continue
        outputs, cell["outputs"] = cell.outputs, []
        tags = set(cell.metadata.get("tags", []))
        for output in outputs:
            if "text/markdown" in output.get("data", {}):
                text, named = output.data["text/markdown"], output.metadata.get("source")
                text = f":::::{{dropdown}} Source: `{named}`\n{text}\n:::::" if named else text
                cells.append(nbformat.v4.new_markdown_cell(text))
                continue
            marks = {k: v for part in output.get("metadata", {}).values() for k, v in dict(part).items()}
            # The alternative text belongs to a cell, hence one figure a cell, and a fold holds one thing.
            folds = "hide-output" in tags and bool(SUFFIXES.keys() & marks.keys())
            if cells[-1].cell_type != "code" or folds or ("figure" in marks and cells[-1].outputs):
                # A cell without source would be left out, with all that it shows.
                kept = ["remove-input", *sorted(tags & KEPT_TAGS)]
                cells.append(nbformat.v4.new_code_cell("#", metadata={"tags": kept}))
            options = {f"code_prompt_{way}": marks["alt"] for way in ("show", "hide") if folds}
            options |= {"image": {"alt": marks["alt"]}} if "figure" in marks else {}
            if options:
                cells[-1].metadata["mystnb"] = options
            cells[-1].outputs += [output, *beside(marks)]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # not at random: what is unchanged is not built again
    notebook.cells = cells


def beside(marks: dict) -> list[nbformat.NotebookNode]:
    """Return what stands below a figure or table on the page: its caption, and links to its files."""
    lines = [f'<p class="caption">{as_html(marks["alt"])}</p>'] if "figure" in marks else []
    lines += [
        f'<p class="downloads">{file_links(kind, marks[kind], root="../")}</p>'
        for kind in set(SUFFIXES) & set(marks)
    ]
    return [nbformat.v4.new_output("display_data", {"text/html": line}) for line in lines]


def downloads_page(run_folder: Path) -> str:
    """Return the page (MyST) that offers everything in a run's results."""
    # The file is plain text, and reasons of exclusion stand in it.
    paragraphs = (run_folder / "results" / "methods.txt").read_text("utf-8").split("\n\n")
    parts = [DOWNLOADS, *map(as_markdown, paragraphs)]
    for chapter, items in groupby(list_shown(run_folder), key=lambda item: item.chapter):
        entries = [
            f"<li>{as_html(item.caption)} <em>{as_html(item.label)}.</em> "
            f"{file_links(item.kind, f'{chapter}/{item.name}', root='')}</li>"
            for item in items
        ]
        parts.append("\n".join([f"## Chapter {chapter.replace('_', ' ')}\n", "<ul>", *entries, "</ul>\n"]))
    return "\n\n".join(parts)


def build_pages(run_folder: Path) -> Path:
    """Build the HTML of a run, unless nothing changed since it was built.

    Parameters
    ----------
    run_folder : pathlib.Path
        A run in which every chapter has been executed and the results were collected.

    Returns
    -------
    pathlib.Path
        The front page, ``index.html``.

    Raises
    ------
    BuildFailed
        If Jupyter Book fails or warns, or an expected page is missing.
    """
    source = stage(run_folder)
    html = source / "_build" / "html"
    built = {"_build", "build.log"}
    inputs = [p for p in source.rglob("*") if p.is_file() and not built & {*p.relative_to(source).parts}]
    inputs += [p for name in ("results", "*/site") for p in run_folder.glob(f"{name}/**/*") if p.is_file()]
    own = [p for name in ("npcbook", "notebooks/viewer") for p in project_path(name).rglob("*.*")]
    own = [p for p in own if p.is_file() and p.suffix != ".pyc"] + [project_path("requirements.lock")]
    key = files_fingerprint(inputs, relative_to=run_folder)
    key += files_fingerprint(own, relative_to=project_path("."))
    if is_kept(html, key):
        return html / "index.html"
    result = _build(source, "-W", "-n", "--keep-going")
    if result.returncode or missing_pages(html):
        raise BuildFailed(_explain(result, missing_pages(html), source / "build.log"))
    finish_pages(html)
    copy_beside(run_folder, html)
    stamp(html, key)
    return html / "index.html"


def build_first_pages(run_folder: Path, chapters: Sequence[str]) -> Path:
    """Build the HTML of some chapters, for who waits for the others; links to those are plain text.

    They lie below the pages of the run, and go when all are built.

    Returns
    -------
    pathlib.Path
        The front page, with what these chapters handed over.

    Raises
    ------
    BuildFailed
        If Jupyter Book fails.
    """
    write_results(run_folder)
    source = stage(run_folder, chapters)
    html = source / "_build" / "html"
    result = _build(source)
    if result.returncode:
        raise BuildFailed(_explain(result, [], source / "build.log"))
    finish_pages(html)
    copy_beside(run_folder, html)
    return html / "index.html"


def _build(source: Path, *options: str) -> subprocess.CompletedProcess:
    """Call Jupyter Book on what is laid out, and leave its words beside it."""
    # Sphinx's own notion of what changed has missed changes of the theme's options before.
    remove(source / "_build")
    command = [sys.executable, "-c", BUILD, "build", str(source), *options]
    environment = os.environ | {PARENT: str(os.getpid()), "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    (source / "build.log").write_text(result.stdout + result.stderr, "utf-8")
    return result


def copy_beside(run_folder: Path, html: Path) -> None:
    """Put a run's results and the viewer into the built book, so that its pages can be moved with them."""
    copy_tree(run_folder / "results", html / "results", link)
    copy_tree(project_path("notebooks/viewer"), html / "viewer")
    for site in run_folder.glob("*/site"):
        copy_tree(site, html)
    (packed,) = (html / "viewer").glob("niivue-*.js.xz")
    (html / "viewer" / "niivue.js").write_bytes(lzma.decompress(packed.read_bytes()))
    packed.unlink()


def finish_pages(html: Path) -> None:
    """Take the script that draws formulas off pages without any, say what cells head, remove what is left."""
    for page in html.rglob("*.html"):
        text = ROW_CELLS.sub(r'\1<th scope="row"\2</th>', page.read_text("utf-8"))
        text = TOP_CELLS.sub('<th scope="col"', text)
        page.write_text(text if "math notranslate" in text else FORMULA_SCRIPTS.sub("", text), "utf-8")
    other_ways = set(html.glob("_static/mathjax/*-*.js")) - {html / "_static/mathjax/tex-chtml.js"}
    for path in (*other_ways, html.parent / ".doctrees", html.parent / "jupyter_execute"):
        remove(path)


def missing_pages(html: Path) -> list[str]:
    """Return the expected pages that a built book does not have."""
    return [page for page in expected_pages() if not (html / page).exists()]


def _explain(result: subprocess.CompletedProcess, missing: list[str], log: Path) -> str:
    output = (result.stdout + result.stderr).splitlines()
    warnings = [line for line in output if "WARNING" in line or "ERROR" in line]
    lines = warnings[:20] or output[-15:]
    absent = [f"missing pages: {', '.join(missing)}"] if missing else []
    return "\n".join(["Jupyter Book did not build cleanly:", *lines, *absent, f"whole log: {log}"])
