"""Run the book: derive the notebooks, execute the chapters that need it, keep a record of what ran."""

import ast
import graphlib
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import jupytext
import nbformat
import papermill
import yaml

from npcbook import store
from npcbook.book.chapter import ABSENT, KEPT, describe_cohort
from npcbook.book.kernels import Kernel, Lane
from npcbook.book.notebooks import notebook_path, notebook_source, sync_notebooks
from npcbook.book.parameters import OWN_SCORES, check_names, check_values, read_declared
from npcbook.cohort import Parts, check_cohort, image_path, read_parts
from npcbook.imaging import read_volume

# Names that simulate takes from a profile; every other name must be a parameter of some chapter.
SIMULATION_SETTINGS = ("patients", "grid")
NEEDS_DECLARED = r'^# %%.*"parameters".* needs="([^"]*)"'
# A figure changes with the version of the drawing library, and a caption with its wording; what a later
# chapter computes does not.
ONLY_SHOWN = {"figures", "shown.csv", "takeaways.csv", "methods.txt", "front.json", "site"}
# The part of a chapter's turn that is done in a thread.
Work = Callable[[Kernel], None]


class ChapterFailed(RuntimeError):
    """A chapter stopped with an error; the message says where and how to look."""


@dataclass(frozen=True)
class ChapterPlan:
    """What a chapter needs before it can run.

    Attributes
    ----------
    name : str
        File name without suffix, such as ``NN_name``.
    reads : tuple of str
        Chapters whose tables it reads.
    reads_cohort : bool
        Whether it reads the cohort's own files.
    needs : tuple of str
        Parts of the cohort without which it has nothing to say, words of `npcbook.cohort.NEEDS`: its
        parameters cell declares them, as in ``needs="images contours"``.
    """

    name: str
    reads: tuple[str, ...] = ()
    reads_cohort: bool = False
    needs: tuple[str, ...] = ()


def plan_chapters() -> list[ChapterPlan]:
    """Return all chapters with what they read, each after those that it reads, else by number.

    What a chapter reads is found in its script: every text ``NN_name/…`` names a chapter's result, and one
    that asks for all recorded values reads every chapter that records any. Nothing is listed by hand.
    """
    paths = sorted(store.project_path("notebooks").glob("[0-9][0-9]*_*.py"))
    scripts = {path.stem: path.read_text("utf-8") for path in paths}
    reads = {name: _read_by(name, scripts) for name in scripts}
    sorter, ready, plans = graphlib.TopologicalSorter(reads), [], []
    sorter.prepare()
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        name = ready.pop(0)
        needs = tuple(" ".join(re.findall(NEEDS_DECLARED, scripts[name], re.MULTILINE)).split())
        plans.append(ChapterPlan(name, reads[name], "cohort_folder =" in scripts[name], needs))
        sorter.done(name)
    return plans


def quick_chapters() -> list[str]:
    """Return the names of the chapters about print and patients that no network has to be trained for."""
    slow = set()
    for plan in (plans := plan_chapters()):
        if {"contours", "planted"} & set(plan.needs) or slow & set(plan.reads):
            slow.add(plan.name)
    return [plan.name for plan in plans if plan.name not in slow]


def _read_by(name: str, scripts: dict[str, str]) -> tuple[str, ...]:
    nodes = list(ast.walk(ast.parse(scripts[name])))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    found = {text.split("/")[0] for text in texts if "/" in text}
    if any(isinstance(node, ast.Attribute) and node.attr == "recorded_values" for node in nodes):
        found |= {other for other, script in scripts.items() if ".record(" in script}
    return tuple(sorted((found & scripts.keys()) - {name}))


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
    folder = store.project_path("notebooks/profiles")
    path = Path(name) if name.endswith((".yml", ".yaml")) else folder / f"{name}.yml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yml")))
        raise FileNotFoundError(f"There is no profile {name!r}: choose one of {known}, or give a YAML file.")
    return yaml.load(store.read_outside_text(path, "bytes of a description"), store.StrictYaml) or {}


def check_parameters(
    parameters: dict, cohort_folder: Path | None = None, scores: Sequence[str] | None = None
) -> None:
    """Raise `WrongParameter` for a name or value that neither a chapter nor the simulation can take.

    Parameters
    ----------
    parameters : dict
        Values by name; each goes to every chapter that declares the name.
    cohort_folder : pathlib.Path, optional
        The cohort, which sets some limits.
    scores : sequence of str, optional
        Names of scores of one's own; None if they are not known yet.
    """
    declared = {plan.name: read_declared(plan.name) for plan in plan_chapters()}
    check_names(parameters, {*SIMULATION_SETTINGS, *chain(*declared.values())}, "The book")
    for each in declared.values():
        check_values(each, parameters, cohort_folder, scores)


def execute(name: str, parameters: dict, run_folder: Path, kernel: Kernel) -> None:
    """Execute one chapter into the run's ``notebooks`` folder.

    Parameters
    ----------
    name : str
        Chapter name.
    parameters : dict
        Values for its parameters cell; all must be declared there.
    run_folder : pathlib.Path
        The run.
    kernel : Kernel
        A started one, which has run nothing yet.

    Raises
    ------
    ChapterFailed
        With chapter, cell, last line of the error, and the half-executed notebook's place.
    """
    target = executed_notebook(name, run_folder)
    partial = target.with_suffix(".partial.ipynb")
    target.parent.mkdir(parents=True, exist_ok=True)
    store.remove(target)
    try:
        papermill.execute_notebook(
            notebook_path(name),
            partial,
            parameters=parameters,
            progress_bar=False,
            stderr_file=sys.stderr,
            km=kernel,
            start_timeout=600,  # it may be loading the library for the first time, from a slow disk
        )
    except (papermill.PapermillExecutionError, RuntimeError) as error:
        said = f"{name} failed, {_what_failed(error)}\n  half-executed notebook: {partial}"
        raise ChapterFailed(said) from error
    store.replace_path(partial, target)
    store.stamp(target, name)


def _what_failed(error: RuntimeError | papermill.PapermillExecutionError) -> str:
    """Return what stopped a chapter; an error of another kind goes its way."""
    if isinstance(error, papermill.PapermillExecutionError):
        last = str(error.evalue).strip().splitlines()[-1:] or [""]
        # exec_count is the number shown beside the cell, which is what a reader looks for.
        return f"cell In [{error.exec_count}]: {error.ename}: {last[0]}"
    if "Kernel died" in str(error):  # before its first cell, with no class of its own
        return "its kernel died, often for want of memory; close other programs and run it again"
    raise error


def write_absent(name: str, lacking: str, run_folder: Path) -> None:
    """Write the page of a chapter that has nothing to say of a cohort, and the word of it for later chapters.

    Parameters
    ----------
    name : str
        Chapter name.
    lacking : str
        What the cohort lacks, in words.
    run_folder : pathlib.Path
        The run. What the chapter left there before is removed, but for what it keeps for itself.
    """
    folder = run_folder / name
    for path in folder.glob("*") if folder.exists() else ():
        if path.name != KEPT:
            store.remove(path)
    sentence = f"This chapter needs what the cohort does not have: {lacking}."
    script = jupytext.read(notebook_source(name))
    title, texts = script.cells[0].source.partition("\n")[0], [cell.source for cell in script.cells]
    # Other pages point to the sections of this one.
    targets = re.findall(r"^\([\w-]+\)=$", "\n".join(texts), re.MULTILINE)
    page = nbformat.v4.new_markdown_cell("\n\n".join([title, "\n".join([*targets, sentence])]), id="cell-000")
    script.cells = [page]
    for path, text in (
        (folder / ABSENT, sentence),
        (executed_notebook(name, run_folder), nbformat.writes(script)),
    ):
        with store.atomic_path(path) as temporary:
            temporary.write_text(f"{text}\n", "utf-8")
    store.stamp(executed_notebook(name, run_folder), name)


def executed_notebook(name: str, run_folder: Path) -> Path:
    """Return where a chapter's executed notebook lies in a run."""
    return run_folder / "notebooks" / f"{name}.ipynb"


@dataclass(frozen=True)
class Manifest:
    """Record of a run, kept in ``manifest.json``: what ran, on what, with which result."""

    path: Path

    def read(self) -> dict:
        """Return the record; an empty one if there is none, or it is not what was written."""
        return {"chapters": {}} | store.read_record(self.path)

    def update(self, **entries) -> None:
        """Merge entries into the record and write it whole."""
        store.write_record(self.path, self.read() | entries)

    def update_chapter(self, name: str, entry: dict | None) -> None:
        """Set, or with None remove, one chapter's entry."""
        chapters = {k: v for k, v in self.read()["chapters"].items() if k != name}
        self.update(chapters=chapters if entry is None else chapters | {name: entry})


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers depend on."""
    return store.package_versions() | {"python": platform.python_version(), "platform": platform.platform()}


def left_behind(run_folder: Path, name: str, *, without: set[str] = frozenset()) -> str:
    """Return a fingerprint of what a chapter left, except for what it keeps for itself and `without`."""
    folder = run_folder / name
    files = [
        path
        for path in _files_below(folder)
        if path.suffix != ".key" and path.relative_to(folder).parts[0] not in {KEPT} | without
    ]
    return store.files_fingerprint(files, relative_to=run_folder)


def cohort_fingerprint(cohort_folder: Path, run_folder: Path | None = None) -> str:
    """Return a fingerprint of every file of a cohort; with a run, read once while no file is touched."""
    if run_folder is None:
        return store.files_fingerprint(_files_below(cohort_folder), relative_to=cohort_folder)
    seen = os.fspath(cohort_folder), listing(cohort_folder)
    return store.keep(run_folder / "cohort.json", _fingerprint_of, *seen)["fingerprint"]


def _fingerprint_of(cohort_folder: str, listed: list) -> dict[str, str]:
    return {"fingerprint": cohort_fingerprint(Path(cohort_folder))}


def listing(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return name, size and times of change (ns) of every file below a folder."""
    states = ((path.relative_to(folder), path.stat()) for path in _files_below(folder))
    # A copy may keep the one time, and never the other.
    return sorted((str(place), s.st_size, s.st_mtime_ns, s.st_ctime_ns) for place, s in states)


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def is_in_order(cohort_folder: Path, run_folder: Path) -> bool:
    """Return whether nothing is wrong with a cohort; images are read once while no file is touched."""
    seen = os.fspath(cohort_folder), listing(cohort_folder)
    return store.keep(run_folder / "checked.json", _count_problems, *seen)["problems"] == 0


def _count_problems(cohort_folder: str, listed: list) -> dict[str, int]:
    return {"problems": len(check_cohort(cohort_folder))}


def disk_space(cohort_folder: Path, parts: Parts) -> str:
    """Return in words how many images a first run prepares, and the space that their copies take."""
    total, found = 0.0, 0
    for sequence in parts.sequences:
        folders = sorted(cohort_folder.glob("sub-*"))
        files = [image_path(cohort_folder, path.name.removeprefix("sub-"), sequence) for path in folders]
        files = [path for path in files if path.exists()]
        voxels = [read_volume(path).image.size for path in files[:: max(1, len(files) // 3)][:3]]
        total, found = total + len(files) * sum(voxels) / max(1, len(voxels)), found + len(files)
    free = shutil.disk_usage(cohort_folder).free
    return (
        f"{found} images: prepared copies take about {1.2 * total / 1e9:.1f} GB of the {free / 1e9:.0f} GB "
        f"that are free, and about {found / (os.cpu_count() or 1) / 60:.0f} minutes once"
    )


def chapter_state(
    plan: ChapterPlan, parameters: dict, run_folder: Path, cohort: str, scores: str = ""
) -> dict[str, str]:
    """Return a fingerprint of each thing that a chapter's result depends on.

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
    scores : str
        Own risk scores as text, which count for the chapters that name their file.

    Returns
    -------
    dict
        By name, as `explain` says it: the same values mean that the stored result still belongs.
    """
    script = notebook_source(plan.name).read_text("utf-8")
    folders = ["published", "ibsi", *(name for name in ("real", "studies") if f"data/{name}" in script)]
    references = [p for folder in folders for p in store.project_path(f"data/{folder}").rglob("*.*")]
    state = {
        "its script": store.fingerprint(script),
        "its parameters": store.fingerprint(parameters),
        "library code": store.code_fingerprint(*store.imported_modules(script)),
        "reference data": store.files_fingerprint(references, relative_to=store.project_path(".")),
        "packages": store.fingerprint(store.project_path("requirements.lock"), store.package_versions()),
        "the cohort": cohort if plan.reads_cohort else "",
    }
    if OWN_SCORES in script:
        state["own risk scores"] = store.fingerprint(scores)
    return state | {
        f"what {name} wrote": left_behind(run_folder, name, without=ONLY_SHOWN) for name in plan.reads
    }


def explain(manifest: Manifest, plan: ChapterPlan, state: dict[str, str], run_folder: Path) -> str:
    """Return why a chapter has to run, in words; empty if its stored result belongs and is all there."""
    entry = manifest.read()["chapters"].get(plan.name)
    if entry is None or "state" not in entry:
        return "it has not run"
    changed = [what for what in state | entry["state"] if state.get(what) != entry["state"].get(what)]
    if changed:
        return f"changed: {', '.join(changed)}"
    return f"changed or removed: {wrong}" if (wrong := _damages(run_folder, plan.name)) else ""


def check_chapter(run_folder: Path, name: str) -> dict[str, str]:
    """Return of every file that a chapter left, by its place in the run, whether it is as it was."""
    executed = store.check_kept(run_folder / "notebooks" / f"{name}.ipynb")
    said = {f"notebooks/{file}": state for file, state in executed.items()}
    # Before any chapter's folder has a seal, its seal is missing.
    left = store.check_kept(run_folder / name)
    return said | {f"{name}/{file}" if file != f"{name}.key" else file: state for file, state in left.items()}


def _damages(run_folder: Path, name: str) -> str:
    wrong = [file for file, state in check_chapter(run_folder, name).items() if state != "ok"]
    return ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")


def verify_run(run_folder: Path) -> dict[str, str]:
    """Return of every artefact of a run, by its place there, whether it is as it was made.

    Parameters
    ----------
    run_folder : pathlib.Path
        The run.

    Returns
    -------
    dict
        See `npcbook.store.check_kept`; a chapter that has not run is ``missing``.
    """
    record = store.read_record(run_folder / "manifest.json")
    there = (run_folder / "manifest.json").exists()
    said = {"manifest.json": "ok" if record else "damaged" if there else "missing"}
    for plan in plan_chapters():
        ran = plan.name in record.get("chapters", {})
        said |= check_chapter(run_folder, plan.name) if ran or not record else {plan.name: "missing"}
    for place in ("results", "pages/_build/html"):
        if (run_folder / place).exists() or (run_folder / f"{place}.key").exists():
            said |= {f"{place}/{file}": state for file, state in store.check_kept(run_folder / place).items()}
    return said


def select_chapters(names: Sequence[str] | None) -> list[ChapterPlan]:
    """Return the plans of the named chapters, in running order; a leading number is enough.

    Raises
    ------
    ValueError
        If a name fits no chapter.
    """
    plans = plan_chapters()
    if not names:
        return plans
    called = {plan.name: {plan.name, plan.name.split("_")[0]} for plan in plans}
    for name in names:
        if not any(name in ways for ways in called.values()):
            raise ValueError(f"There is no chapter {name!r}; there are: {', '.join(called)}.")
    return [plan for plan in plans if called[plan.name] & set(names)]


def run_chapters(
    *,
    run_folder: Path,
    cohort_folder: Path,
    parameters: dict,
    chapters: Sequence[str] | None = None,
    force: bool = False,
    dry: bool = False,
    scores: str = "",
    profile: str = "",
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
    dry : bool, default False
        Run nothing: say what would run, and why.
    scores : str
        Own risk scores (`npcbook.cohort.read_scores`) as CSV; `OWN_SCORES` of the run holds them for others.
    profile : str
        Name of the profile that the parameters are from, for the pages.
    say : callable, default print
        Takes one line of progress.

    Returns
    -------
    list of str
        Names of the chapters that were run.

    Raises
    ------
    ValueError
        If a chapter does not exist, or a parameter cannot be what was given (`WrongParameter`).
    ChapterFailed
        If a chapter stops; so does one that runs beside it, and later ones are not run.

    Notes
    -----
    Two chapters run at once where neither reads the other nor goes through images. Another process that runs
    the same run, or writes the cohort, is waited for.
    """
    sync_notebooks()
    plans = select_chapters(chapters)
    check_parameters(parameters, cohort_folder, scores.partition("\n")[0].split(","))
    given = parameters | _as_parameters(run_folder=run_folder, cohort_folder=cohort_folder)
    with store.locked(cohort_folder, reading=True), store.locked(run_folder):
        store.claim(run_folder, "npcbook.book")
        manifest, done = Manifest(run_folder / "manifest.json"), []
        parts = read_parts(cohort_folder, scored=bool(scores)) if any(plan.needs for plan in plans) else None
        cohort = cohort_fingerprint(cohort_folder, run_folder)
        if not dry:
            about = describe_cohort(cohort_folder) | {"fingerprint": cohort, "profile": profile}
            manifest.update(versions=versions(), cohort=about)
            write_scores(run_folder, scores)

        def turn(plan: ChapterPlan) -> Iterator[Work]:
            own = {name: given[name] for name in read_declared(plan.name).keys() & given.keys()}
            state = chapter_state(plan, own, run_folder, cohort, scores)
            why = "asked for" if force else explain(manifest, plan, state, run_folder)
            if dry and not why and (later := set(plan.reads) & set(done)):
                why = f"if these come out otherwise: {', '.join(sorted(later))}"
            lacking = parts.missing(plan.needs) if plan.needs else ""
            place = f"[{plans.index(plan) + 1}/{len(plans)}] {plan.name}:"
            say(f"{place} {_announced(why, lacking, dry)}")
            done.extend([plan.name] if why else [])
            if why and not dry:
                took = yield from _run_one(plan, own, state, run_folder, manifest, lacking)
                say(f"{place} {took:.0f} s")

        _take_turns(plans, turn)
    return [plan.name for plan in plans if plan.name in done]


def _take_turns(plans: list[ChapterPlan], turn: Callable[[ChapterPlan], Iterator[Work]]) -> None:
    """Give each chapter its turn, after those that it reads: the work of two at once, all else one by one.

    A turn yields its work, if there is any. An error, or the end of the program, ends what runs.
    """
    with closing(Lane()) as one, closing(Lane()) as other:
        left, running, free = plans.copy(), {}, [one, other]
        while left or running:
            beside = [plan for plan, _, _ in running.values()]
            plan = next((plan for plan in left if _may_begin(plan, left, beside)), None)
            if plan and free:
                left.remove(plan)
                if work := next(steps := turn(plan), None):
                    lane = free.pop(0)
                    running[lane.begin(work, left)] = plan, steps, lane
                continue
            # On Windows, waiting without end cannot be interrupted.
            for future in wait(running, timeout=1, return_when=FIRST_COMPLETED).done:
                _, steps, lane = running.pop(future)
                future.result()
                next(steps, None)
                free.append(lane)


def _may_begin(plan: ChapterPlan, left: list[ChapterPlan], beside: list[ChapterPlan]) -> bool:
    """Return whether a chapter's turn has come, while others are left and run beside it.

    One that goes through images runs alone: it uses all cores, and a network whose threads have to wait for
    one another learns at a quarter of its pace beside anything else.
    """
    unfinished = {other.name for other in (*left, *beside)}
    alone = any("images" in other.needs for other in (plan, *beside))
    return not unfinished & set(plan.reads) and not (beside and alone)


def write_scores(run_folder: Path, scores: str) -> None:
    """Write own risk scores (CSV as text) into a run; without any, remove those of an earlier time."""
    if not scores:
        store.remove(run_folder / OWN_SCORES)
        return
    with store.atomic_path(run_folder / OWN_SCORES) as temporary:
        temporary.write_text(scores, "utf-8")


def _announced(why: str, lacking: str, dry: bool) -> str:
    if lacking:
        return f"left out, for want of {lacking}"
    damage = f" ({why})" if why.startswith("changed or removed") else ""
    return f"would run ({why})" if why and dry else f"running ...{damage}" if why else "unchanged"


def _as_parameters(**folders: Path) -> dict[str, str]:
    """Return folders as chapters are given them: from the project's root where they lie below that."""
    root = store.root_folder()
    return {
        name: os.fspath(folder.relative_to(root) if folder.is_relative_to(root) else folder)
        for name, folder in folders.items()
    }


def _run_one(
    plan: ChapterPlan,
    parameters: dict,
    state: dict,
    run_folder: Path,
    manifest: Manifest,
    lacking: str,
) -> Generator[Work, None, float]:
    for name in plan.reads:
        # A chapter that has not run says so itself, in words of what is missing.
        if (run_folder / f"{name}.key").exists() and (wrong := _damages(run_folder, name)):
            raise ChapterFailed(
                f"{plan.name} was not run: of what {name} left for it, something was changed or removed "
                f"({wrong}). Make it again first: add {name} to --chapters."
            )
    # Without an entry, a run killed from here on finds this chapter undone.
    manifest.update_chapter(plan.name, None)
    start = time.monotonic()
    if lacking:
        write_absent(plan.name, lacking, run_folder)
    else:
        store.remove(run_folder / plan.name / ABSENT)
        yield lambda kernel: execute(plan.name, parameters, run_folder, kernel)
    store.stamp(run_folder / plan.name, store.fingerprint(state))
    entry = {
        "state": state,
        "parameters": {name: item.default for name, item in read_declared(plan.name).items()} | parameters,
        "seconds": round(time.monotonic() - start, 1),
    }
    manifest.update_chapter(plan.name, entry)
    return entry["seconds"]
