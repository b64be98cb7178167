"""Build the pages: a run's executed chapters as HTML that opens without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from npcbook.book import CHAPTERS
from npcbook.fingerprints import files_fingerprint
from npcbook.runs import atomic_path, project_path

__all__ = ["BuildFailed", "build_pages", "expected_pages"]


class BuildFailed(RuntimeError):
    """Jupyter Book stopped, warned, or left a page out; the message holds its last lines."""


def toc_files() -> list[str]:
    """Return the files of the table of contents, in reading order, without suffix."""
    toc = yaml.safe_load(project_path("_toc.yml").read_text())
    chapters = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [toc["root"], *chapters]


def expected_pages() -> list[str]:
    """Return the HTML files that a built book must hold."""
    return [f"{name}.html" for name in toc_files()] + ["index.html", "search.html", "genindex.html"]


def stage(run_folder: Path) -> Path:
    """Lay out what Jupyter Book reads: configuration, front page and the executed chapters.

    Parameters
    ----------
    run_folder : pathlib.Path
        A run in which every chapter has been executed.

    Returns
    -------
    pathlib.Path
        The folder to build.

    Raises
    ------
    BuildFailed
        If a chapter has not been executed in this run.
    """
    source = run_folder / "pages"
    missing = [p.name for p in CHAPTERS if not (run_folder / "notebooks" / f"{p.name}.ipynb").exists()]
    if missing:
        raise BuildFailed(f"The book needs every chapter; not yet run here: {', '.join(missing)}.")
    for old in source.glob("[!_]*/"):
        shutil.rmtree(old)
    for name in ("_config.yml", "_toc.yml", "README.md", "data/README.md"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project_path(name), source / name)
    shutil.copytree(project_path("notebooks/_static"), source / "notebooks" / "_static")
    # Chapters show the library's own source.
    shutil.copytree(project_path("npcbook"), source / "npcbook", ignore=shutil.ignore_patterns("__pycache__"))
    for plan in CHAPTERS:
        shutil.copy(run_folder / "notebooks" / f"{plan.name}.ipynb", source / "notebooks")
    return source


def build_pages(run_folder: Path) -> Path:
    """Build the HTML of a run, unless nothing changed since it was built.

    Parameters
    ----------
    run_folder : pathlib.Path
        A run in which every chapter has been executed.

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
    inputs = [p for p in source.rglob("*") if p.is_file() and "_build" not in p.relative_to(source).parts]
    key = files_fingerprint(inputs, relative_to=source)
    stamp = source / "_build" / "inputs.key"
    if stamp.exists() and stamp.read_text() == key and not missing_pages(html):
        return html / "index.html"
    # Sphinx's own notion of what changed has missed changes of the theme's options before.
    shutil.rmtree(source / "_build", ignore_errors=True)
    command = [Path(sys.executable).parent / "jupyter-book", "build", source, "-W", "-n", "--keep-going"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    (source / "build.log").write_text(result.stdout + result.stderr)
    if result.returncode or missing_pages(html):
        raise BuildFailed(_explain(result, missing_pages(html), source / "build.log"))
    with atomic_path(stamp) as temporary:
        temporary.write_text(key)
    return html / "index.html"


def missing_pages(html: Path) -> list[str]:
    """Return the expected pages that a built book does not have."""
    return [page for page in expected_pages() if not (html / page).exists()]


def _explain(result: subprocess.CompletedProcess, missing: list[str], log: Path) -> str:
    output = (result.stdout + result.stderr).splitlines()
    warnings = [line for line in output if "WARNING" in line or "ERROR" in line]
    lines = warnings[:20] or output[-15:]
    absent = [f"missing pages: {', '.join(missing)}"] if missing else []
    return "\n".join(["Jupyter Book did not build cleanly:", *lines, *absent, f"whole log: {log}"])
