"""Branches: a run with other parameters, beside the stored run, which stays as it is.

A branch is a run folder of its own, below ``branches`` in the one it leaves. It begins as that run, by hard
links that take no room: every file is replaced whole when it is written (`npcbook.store.atomic_path`), so
that what changes in the branch does not change in the run.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from npcbook.book.parameters import WrongParameter, read_declared
from npcbook.store import MARK, claim, fingerprint, locked, project_path, read_record, remove, write_record

BRANCHES, ABOUT, MANIFEST = "branches", "branch.json", "manifest.json"
#: What a branch does not take over: it makes its own.
LEFT_OUT = {BRANCHES, ABOUT, MARK, "pages", "results", "results.key"}
PLACES = {"run_folder", "cohort_folder"}  # where things lie, which no result depends on


def stored_parameters(run_folder: Path, chapter: str) -> dict:
    """Return the parameters of a chapter's stored result; empty if there is none."""
    entry = read_record(run_folder / MANIFEST).get("chapters", {}).get(chapter)
    defaults = {name: item.default for name, item in read_declared(chapter).items()}
    return {} if entry is None else defaults | entry["parameters"]


def changed_parameters(run_folder: Path, chapter: str, given: Mapping) -> dict:
    """Return the parameters given that a chapter's stored result was not made with, and their new values."""
    stored = stored_parameters(run_folder, chapter)
    known = given.keys() & stored.keys() - PLACES
    return {name: given[name] for name in sorted(known) if given[name] != stored[name]}


def check_same_cohort(run_folder: Path, cohort_folder: str | os.PathLike) -> None:
    """Raise `WrongParameter` if a run has analysed another cohort."""
    known = read_record(run_folder / MANIFEST).get("cohort", {}).get("folder")
    if known not in (None, project_path(cohort_folder).name):
        raise WrongParameter(
            f"The run in {run_folder} analysed the cohort {known!r}, and cohort_folder is "
            f"{os.fspath(cohort_folder)!r}: give that run's cohort, or as run_folder a run of this one."
        )


def open_branch(run_folder: Path, chapter: str, changes: Mapping) -> Path:
    """Return the branch of a run in which a chapter has other parameters, made if needed.

    Parameters
    ----------
    run_folder : pathlib.Path
        The run that is left.
    chapter : str
        Chapter that the branch is named after.
    changes : mapping
        New values of the parameters that change, by name.

    Returns
    -------
    pathlib.Path
        A run folder. Its own record lacks the chapter, which has not run yet; a branch that was made from an
        earlier state of the run is made again.
    """
    run_folder = Path(run_folder)
    folder = run_folder / BRANCHES / f"{chapter}-{fingerprint(dict(changes))[:6]}"
    chapters = read_record(run_folder / MANIFEST)["chapters"]
    stored = {k: v for each in [*chapters, chapter] for k, v in stored_parameters(run_folder, each).items()}
    was = {name: stored[name] for name in changes}
    about = {"of": run_folder.name, "parameters": dict(changes), "was": was}
    about["state"] = fingerprint(run_folder / MANIFEST)
    if read_record(folder / ABOUT) != about:
        with locked(run_folder, reading=True), locked(folder):
            remove(folder)
            claim(folder, "npcbook.book")
            options = {"copy_function": link, "ignore": _outside_chapters(run_folder), "dirs_exist_ok": True}
            shutil.copytree(run_folder, folder, **options)
            record = read_record(folder / MANIFEST)
            record["chapters"].pop(chapter, None)
            write_record(folder / MANIFEST, record)
            # Last, so that a branch that says of itself what it is was made whole.
            write_record(folder / ABOUT, about)
    return folder


def _outside_chapters(run_folder: Path):
    return lambda folder, names: LEFT_OUT & set(names) if Path(folder) == run_folder else set()


def link(source, target) -> None:
    """Give a file that is replaced whole, never changed, a second name; a copy where the disk knows none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def about_branch(run_folder: Path) -> dict:
    """Return what a branch says of itself: the run that it left, old and new parameters; empty for a run."""
    return read_record(Path(run_folder) / ABOUT)


def stored_run(run_folder: Path) -> Path | None:
    """Return the run that a branch left; None for a run that is no branch."""
    return Path(run_folder).parents[1] if about_branch(run_folder) else None


def branch_parameters(run_folder: Path) -> dict:
    """Return all parameters in which a branch differs from the run that it goes back to; none for a run."""
    run = stored_run(run_folder)
    return branch_parameters(run) | about_branch(run_folder)["parameters"] if run else {}


def describe_branch(run_folder: Path, chapter: str) -> str:
    """Return a paragraph (Markdown) on which run a chapter reads and writes; empty if that needs no word."""
    run_folder = Path(run_folder)
    if about := about_branch(run_folder):
        said = [f"`{key}` {about['was'][key]} → {new}" for key, new in about["parameters"].items()]
        name, of = run_folder.name, about["of"]
        return (
            f"**Changed against the stored run:** {', '.join(said)}. This chapter reads and writes the "
            f"branch `{name}`; the run `{of}` stays as it is, and every chapter reads that whose "
            f"`run_folder` is not this branch. `python -m npcbook book --branch {name}` runs what follows "
            f"from the change, too."
        )
    branches = sorted(path.parent.name for path in (run_folder / BRANCHES).glob(f"*/{ABOUT}"))
    if branches and stored_parameters(run_folder, chapter):
        return (
            f"This chapter reads the stored run `{run_folder.name}`, not its branches "
            f"({', '.join(branches)}); `run_folder` may name one of them."
        )
    return ""
