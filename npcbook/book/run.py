"""Run the book: derive the notebooks, execute the chapters that need it, keep a record of what ran."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import filelock
import jupytext
import nbformat
import papermill
import yaml
from nbclient.exceptions import DeadKernelError

from npcbook.store import (
    NUMERICAL_PACKAGES,
    atomic_path,
    code_fingerprint,
    files_fingerprint,
    fingerprint,
    imported_modules,
    project_path,
)

# Names that simulate takes from a profile; every other name must be a parameter of some chapter.
SIMULATION_SETTINGS = ("patients", "grid")
# A figure changes with the version of the drawing library, and a caption with its wording; what a later
# chapter computes does not.
ONLY_SHOWN = {"figures", "shown.csv"}
# What a chapter keeps for itself, to be faster the next time.
KEPT = {"patients", "readings"}


class UnknownParameter(ValueError):
    """A parameter that no chapter declares."""


class ChapterFailed(RuntimeError):
    """A chapter stopped with an error; the message says where and how to look."""


@dataclass(frozen=True)
class ChapterPlan:
    """What a chapter needs before it can run.

    Attributes
    ----------
    name : str
        File name without suffix, such as ``05_cox_models``.
    reads : tuple of str
        Chapters whose tables it reads.
    reads_cohort : bool
        Whether it reads the cohort's own files.
    """

    name: str
    reads: tuple[str, ...] = ()
    reads_cohort: bool = False


# In the order in which they run; the ledger comes last because it reads what all others recorded.
CHAPTERS = (
    ChapterPlan("00_printed_numbers"),
    ChapterPlan("01_cohorts", reads_cohort=True),
    ChapterPlan("02_segmentation", ("01_cohorts",), reads_cohort=True),
    ChapterPlan("03_dl_training", ("01_cohorts", "02_segmentation"), reads_cohort=True),
    ChapterPlan("04_radiomics", ("01_cohorts", "02_segmentation"), reads_cohort=True),
    ChapterPlan("05_cox_models", ("01_cohorts", "03_dl_training", "04_radiomics"), reads_cohort=True),
    ChapterPlan("06_km", ("01_cohorts", "05_cox_models"), reads_cohort=True),
    ChapterPlan("07_subgroups", ("01_cohorts", "05_cox_models", "06_km"), reads_cohort=True),
    ChapterPlan("08_ccnd", ("01_cohorts", "05_cox_models", "06_km"), reads_cohort=True),
    ChapterPlan(
        "09_stress_tests",
        ("01_cohorts", "03_dl_training", "04_radiomics", "05_cox_models", "06_km"),
        reads_cohort=True,
    ),
    ChapterPlan("11_datasheet", ("01_cohorts",), reads_cohort=True),
    ChapterPlan("12_register", ("01_cohorts", "03_dl_training", "04_radiomics", "06_km"), reads_cohort=True),
    ChapterPlan("13_viewer", ("02_segmentation",), reads_cohort=True),
    ChapterPlan(
        "10_ledger",
        (
            "00_printed_numbers",
            "01_cohorts",
            "02_segmentation",
            "03_dl_training",
            "04_radiomics",
            "05_cox_models",
            "06_km",
            "07_subgroups",
            "08_ccnd",
        ),
        reads_cohort=True,
    ),
)


def notebook_source(name: str) -> Path:
    """Return the percent script that is the source of a chapter."""
    return project_path(f"notebooks/{name}.py")


def derive_notebook(name: str) -> str:
    """Return the notebook (JSON text) that a chapter's script stands for, without outputs.

    Parameters
    ----------
    name : str
        Chapter name.

    Returns
    -------
    str
        The ``.ipynb`` file's content; the same script always gives the same text.
    """
    notebook = jupytext.read(notebook_source(name))
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
    # The pairing is one-way, so the notebook must not carry the setting that would write back.
    notebook.metadata.pop("jupytext", None)
    return nbformat.writes(notebook) + "\n"


def stale_notebooks() -> list[Path]:
    """Return the notebooks that are missing or not what their scripts stand for."""
    paths = [notebook_source(plan.name).with_suffix(".ipynb") for plan in CHAPTERS]
    return [path for path in paths if not path.exists() or path.read_text() != derive_notebook(path.stem)]


def sync_notebooks() -> list[Path]:
    """Write the notebooks that are out of date beside their scripts, and return their paths."""
    stale = stale_notebooks()
    for path in stale:
        with atomic_path(path) as temporary:
            temporary.write_text(derive_notebook(path.stem))
    return stale


def read_profile(name: str) -> dict:
    """Return a profile's parameters.

    Parameters
    ----------
    name : str
        ``smoke``, ``laptop``, ``paper``, or the path of a YAML file of flat ``name: value`` lines.

    Returns
    -------
    dict
        Parameter names and values.

    Raises
    ------
    FileNotFoundError
        If there is no such profile; the message lists those there are.
    """
    folder = project_path("notebooks/profiles")
    path = Path(name) if name.endswith((".yml", ".yaml")) else folder / f"{name}.yml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yml")))
        raise FileNotFoundError(f"There is no profile {name!r}: choose one of {known}, or give a YAML file.")
    return yaml.safe_load(path.read_text()) or {}


def declared_parameters(name: str) -> set[str]:
    """Return the names that a chapter's parameters cell declares."""
    notebook = notebook_source(name).with_suffix(".ipynb")
    return set(papermill.inspect_notebook(str(notebook)))


def check_parameters(parameters: dict) -> None:
    """Raise `UnknownParameter` for a name that neither a chapter nor the simulation knows."""
    known = set(SIMULATION_SETTINGS).union(*(declared_parameters(plan.name) for plan in CHAPTERS))
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise UnknownParameter(
            f"No chapter has a parameter named {', '.join(map(repr, unknown))}; "
            f"known are: {', '.join(sorted(known))}."
        )


def check_execution(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what is wrong with an executed notebook: cells that did not run, or that hold an error.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        An executed notebook.

    Returns
    -------
    list of str
        One sentence a problem; empty if every code cell ran to its end.
    """
    problems = []
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if cell.execution_count is None:
            problems.append(f"cell {number} did not run")
        problems += [
            f"cell {number}: {output.ename}: {str(output.evalue).splitlines()[-1] if output.evalue else ''}"
            for output in cell.outputs
            if output.output_type == "error"
        ]
    return problems


def execute(name: str, parameters: dict, run_folder: Path) -> None:
    """Execute one chapter into the run's ``notebooks`` folder.

    Parameters
    ----------
    name : str
        Chapter name.
    parameters : dict
        Values for its parameters cell; all must be declared there.
    run_folder : pathlib.Path
        The run.

    Raises
    ------
    ChapterFailed
        With chapter, cell, last line of the error, and the half-executed notebook's place.
    """
    target = run_folder / "notebooks" / f"{name}.ipynb"
    partial = run_folder / "notebooks" / f"{name}.partial.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    source = notebook_source(name).with_suffix(".ipynb")
    try:
        papermill.execute_notebook(
            str(source),
            str(partial),
            parameters=parameters,
            cwd=str(project_path(".")),
            progress_bar=False,
            stderr_file=sys.stderr,
            # The kernel talks to this process only; its note on unencrypted sockets is noise here.
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
        problems = check_execution(nbformat.read(partial, as_version=4))
    except papermill.PapermillExecutionError as error:
        last = str(error.evalue).strip().splitlines()[-1:] or [""]
        # exec_count is the number shown beside the cell, which is what a reader looks for.
        problems = [f"cell In [{error.exec_count}]: {error.ename}: {last[0]}"]
    except DeadKernelError:
        problems = ["its kernel died, often for want of memory; close other programs and run it again"]
    if problems:
        raise ChapterFailed(f"{name} failed, {'; '.join(problems)}\n  half-executed notebook: {partial}")
    partial.replace(target)


@dataclass(frozen=True)
class Manifest:
    """Record of a run, kept in ``manifest.json``: what ran, on what, with which result."""

    path: Path

    def read(self) -> dict:
        """Return the record, empty if there is none."""
        return json.loads(self.path.read_text()) if self.path.exists() else {"chapters": {}}

    def update(self, **entries) -> None:
        """Merge entries into the record and write it whole."""
        record = self.read() | entries
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(record, indent=1, sort_keys=True, default=str) + "\n")

    def update_chapter(self, name: str, entry: dict | None) -> None:
        """Set, or with None remove, one chapter's entry."""
        chapters = {k: v for k, v in self.read()["chapters"].items() if k != name}
        self.update(chapters=chapters if entry is None else chapters | {name: entry})


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers depend on."""
    found = {package: metadata.version(package) for package in NUMERICAL_PACKAGES}
    return found | {"python": platform.python_version(), "platform": platform.platform()}


def left_behind(run_folder: Path, name: str, *, without: set[str] = frozenset()) -> str:
    """Return a fingerprint of what a chapter left, except for what it keeps for itself and `without`."""
    folder = run_folder / name
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not path.name.startswith(".")
        and path.suffix != ".key"
        and path.relative_to(folder).parts[0] not in KEPT | without
    ]
    return files_fingerprint(files, relative_to=run_folder)


def cohort_fingerprint(cohort_folder: Path) -> str:
    """Return a fingerprint of every file of a cohort."""
    files = [path for path in cohort_folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return files_fingerprint(files, relative_to=cohort_folder)


def chapter_key(plan: ChapterPlan, parameters: dict, run_folder: Path, cohort: str) -> str:
    """Return a fingerprint of all that a chapter's result depends on.

    Parameters
    ----------
    plan : ChapterPlan
        The chapter.
    parameters : dict
        Its parameters.
    run_folder : pathlib.Path
        The run, holding what earlier chapters wrote.
    cohort : str
        The cohort's fingerprint.

    Returns
    -------
    str
        Equal keys mean: same source, parameters, library code, pinned packages, data and inputs.
    """
    source = notebook_source(plan.name).read_text()
    return fingerprint(
        source,
        parameters,
        code_fingerprint(*imported_modules(source)),
        files_fingerprint(_reference_files(plan.name), relative_to=project_path(".")),
        project_path("requirements.lock").read_text(),
        cohort if plan.reads_cohort else "",
        [left_behind(run_folder, name, without=ONLY_SHOWN) for name in plan.reads],
    )


def _reference_files(name: str) -> list[Path]:
    """Return the printed numbers and other references that a chapter reads; three are one chapter's own."""
    owners = {"claims": "00_printed_numbers", "register": "12_register", "digital_phantom": "04_radiomics"}
    files = [
        path for folder in ("published", "ibsi") for path in project_path(f"data/{folder}").glob("*.csv")
    ]
    return [path for path in files if owners.get(path.stem, name) == name]


def is_current(manifest: Manifest, plan: ChapterPlan, key: str, run_folder: Path) -> bool:
    """Tell whether a chapter's stored result still belongs to this key and is still all there."""
    entry = manifest.read()["chapters"].get(plan.name, {})
    executed = run_folder / "notebooks" / f"{plan.name}.ipynb"
    return (
        entry.get("key") == key
        and executed.exists()
        and entry["outputs"] == left_behind(run_folder, plan.name)
    )


def select_chapters(names: Sequence[str] | None) -> list[ChapterPlan]:
    """Return the plans of the named chapters, in running order; a leading number is enough.

    Raises
    ------
    ValueError
        If a name fits no chapter.
    """
    if not names:
        return list(CHAPTERS)
    for name in names:
        if not any(plan.name == name or plan.name.split("_")[0] == name for plan in CHAPTERS):
            raise ValueError(
                f"There is no chapter {name!r}; there are: {', '.join(p.name for p in CHAPTERS)}."
            )
    return [plan for plan in CHAPTERS if plan.name in names or plan.name.split("_")[0] in names]


def run_chapters(
    *,
    run_folder: Path,
    cohort_folder: Path,
    parameters: dict,
    chapters: Sequence[str] | None = None,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Run the chapters whose stored result is missing or out of date.

    Parameters
    ----------
    run_folder, cohort_folder : pathlib.Path
        The run, and the cohort it analyses.
    parameters : dict
        Flat parameters; each chapter takes those it declares.
    chapters : sequence of str, optional
        Names or leading numbers; all chapters if not given.
    force : bool, default False
        Run also what is up to date.
    say : callable, default print
        Takes one line of progress.

    Returns
    -------
    list of str
        Names of the chapters that were run.

    Raises
    ------
    UnknownParameter, ValueError
        If a parameter or chapter does not exist.
    ChapterFailed
        If a chapter stops; later ones are not run.
    filelock.Timeout
        If another process is running the same run.
    """
    sync_notebooks()
    plans = select_chapters(chapters)
    check_parameters(parameters)
    run_folder.mkdir(parents=True, exist_ok=True)
    done = []
    with filelock.FileLock(run_folder / ".lock", timeout=0):
        manifest = Manifest(run_folder / "manifest.json")
        cohort = cohort_fingerprint(cohort_folder)
        manifest.update(versions=versions(), cohort={"folder": cohort_folder.name, "fingerprint": cohort})
        common = {"run_folder": _as_parameter(run_folder), "cohort_folder": _as_parameter(cohort_folder)}
        for number, plan in enumerate(plans, start=1):
            own = {k: v for k, v in parameters.items() if k in declared_parameters(plan.name)} | common
            key = chapter_key(plan, own, run_folder, cohort)
            position = f"[{number}/{len(plans)}] {plan.name}"
            if not force and is_current(manifest, plan, key, run_folder):
                say(f"{position}: unchanged")
                continue
            say(f"{position}: running ...")
            _run_one(plan, own, key, run_folder, manifest)
            say(f"{position}: {manifest.read()['chapters'][plan.name]['seconds']:.0f} s")
            done.append(plan.name)
    return done


def _as_parameter(folder: Path) -> str:
    """Return a folder as chapters are given it: from the project's root where it lies below that."""
    root = project_path(".")
    return os.fspath(folder.relative_to(root) if folder.is_relative_to(root) else folder)


def _run_one(plan: ChapterPlan, parameters: dict, key: str, run_folder: Path, manifest: Manifest) -> None:
    # Without an entry, a run killed from here on finds this chapter undone.
    manifest.update_chapter(plan.name, None)
    start = time.monotonic()
    execute(plan.name, parameters, run_folder)
    entry = {
        "key": key,
        "parameters": parameters,
        "outputs": left_behind(run_folder, plan.name),
        "seconds": round(time.monotonic() - start, 1),
    }
    manifest.update_chapter(plan.name, entry)
