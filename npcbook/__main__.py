"""Command line: ``python -m npcbook``."""

import argparse
import errno
import hashlib
import inspect
import io
import logging
import math
import os
import signal
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import yaml

# Each command imports what it needs, so that --help and wrong arguments answer at once.

EXIT_CODES = (
    "exit codes: 0 done; 1 a chapter or the build failed, or something stored is damaged; 2 unusable "
    "arguments; 3 the cohort has problems; 130, 143 stopped"
)


def parser() -> argparse.ArgumentParser:
    """Return the parser; ``--help`` of each command explains itself, by the docstring of what it does."""
    main = argparse.ArgumentParser(
        prog="python -m npcbook",
        description="From MRI voxels to the treatment question in stage II nasopharyngeal carcinoma, as a "
        "book that runs. Everything is written below data/cohorts and data/runs.",
        epilog=EXIT_CODES,
    )
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    groups = {"": commands}
    for name, act in COMMANDS.items():
        group, _, last = name.partition("-")
        if group not in GROUPS:
            group, last = "", name
        if group not in groups:
            said = {"help": GROUPS[group], "description": GROUPS[group], "epilog": EXIT_CODES}
            below = commands.add_parser(group, **said)
            groups[group] = below.add_subparsers(dest="kind", required=True, metavar="KIND")
        summary, _, rest = inspect.cleandoc(act.__doc__).partition("\n\n")
        said = {"help": summary[0].lower() + summary[1:].rstrip("."), "description": rest or summary}
        command = groups[group].add_parser(last, **said, epilog=EXIT_CODES)
        for owners, flags, settings in OPTIONS:
            if name in owners.split():
                command.add_argument(*flags.split(), **settings)
        command.set_defaults(act=act)
    return main


def existing_folder(name: str, below: str | Path) -> Path:
    """Return a folder given as a path or as a name below ``data/cohorts`` or ``data/runs``."""
    folder = Path(name).resolve()
    if not folder.is_dir():
        from npcbook.store import project_path

        folder = project_path(Path(below) / name)
    if not folder.is_dir():
        kind = {"cohorts": "cohort", "runs": "run", "branches": "branch"}[Path(below).name]
        said = f"give its folder, or a name below {below}" + ", or simulate one" * (kind == "cohort")
        raise FileNotFoundError(f"There is no {kind} {folder}: {said}.")
    return folder


def synthetic_name(scenario: str, profile: str, seed: int | None) -> str:
    """Return the folder name of a synthetic cohort; what is not the default has a word in it."""
    words = ["synthetic", "" if scenario == "paper" else scenario, "" if seed is None else f"seed{seed}"]
    return "-".join([*filter(None, words), Path(profile).stem])


def run_name(profile: str, cohort: str | Path) -> str:
    """Return the name of a run: profile and cohort, without saying the profile twice.

    A folder elsewhere than below data/cohorts adds a hash of its place, as another may have the same name.
    """
    size, cohort = Path(profile).stem, Path(cohort)
    name = f"{size}-{cohort.name.removesuffix('-' + size)}"
    if cohort.parent == Path() or cohort.parent.parts[-2:] == ("data", "cohorts"):
        return name
    return f"{name}-{hashlib.blake2b(str(cohort).encode(), digest_size=3).hexdigest()}"


@contextmanager
def yaml_errors(what: str, remedy: str):
    """Turn what YAML cannot read into a ValueError of one line."""
    try:
        yield
    except RecursionError as error:
        raise ValueError(f"{what} (it is nested too deeply): {remedy}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ValueError(f"{what} ({place}{said}): {remedy}") from error


def read_settings(profile: str) -> dict:
    """Return a profile's parameters; a file that holds none is a ValueError of one line."""
    from npcbook.book import run as book

    remedy = "write a line NAME: VALUE for each parameter."
    with yaml_errors(f"The profile {profile} is not valid YAML", remedy):
        settings = book.read_profile(profile)
    if not isinstance(settings, dict) or not all(isinstance(name, str) for name in settings):
        raise ValueError(f"The profile {profile} does not hold names with values: {remedy}")
    for name, value in settings.items():
        # A list of values or a group of settings is one part; no chapter takes anything deeper.
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if {*map(type, parts)} & {list, dict}:
            raise ValueError(f"The profile {profile} has a {name} of several parts: {remedy}")
    return as_number(settings)


def check_sizes(profile: str, patients: object, grid: object) -> None:
    """Raise ValueError unless a synthetic cohort can be made of so many patients and voxels."""
    from npcbook.store import LIMITS

    if type(patients) is not int or not 30 <= patients <= LIMITS["rows"]:
        raise ValueError(
            f"The profile {profile} has patients: {str(patients)[:60]}; a whole number from 30 to "
            f"{LIMITS['rows']:,} is needed."
        )
    sides = grid if isinstance(grid, list | tuple) and len(grid) == 3 else [None]
    if (
        not all(type(side) is int and 4 <= side <= 1024 for side in sides)
        or math.prod(sides) > LIMITS["voxels"]
    ):
        raise ValueError(
            f"The profile {profile} has grid: {str(grid)[:60]}; three whole numbers (z, y, x), 4 to 1024, "
            f"with at most {LIMITS['voxels']:,} voxels in all, are needed, such as [8, 32, 32]."
        )


def read_overrides(items: list[str]) -> dict:
    """Return the parameters that ``-p NAME=VALUE`` gives."""
    from npcbook.store import StrictYaml

    overrides = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not (name and equals):
            raise ValueError(f"The parameter {item!r} has no value or no name: write -p NAME=VALUE.")
        remedy = "write -p NAME=VALUE, and quotes around a text."
        with yaml_errors(f"The value of the parameter {item!r} cannot be read", remedy):
            overrides[name] = as_number(yaml.load(value, StrictYaml))
    return overrides


def as_number(value: object) -> object:
    """Return a number for the text 1e-4, which YAML takes for none; text that was quoted stays text."""
    if isinstance(value, dict):
        return {name: as_number(item) for name, item in value.items()}
    try:
        number = float(value) if isinstance(value, str) else math.nan
        unquoted = math.isfinite(number) and isinstance(yaml.safe_load(value), str)
    except (ValueError, yaml.YAMLError):
        return value
    return number if unquoted else value


def write_synthetic(profile: str, scenario: str, *, seed: int | None = None, **asked: bool) -> Path:
    """Write the synthetic cohort that a profile asks for, unless it is there, and return its folder."""
    from npcbook.book.run import SIMULATION_SETTINGS
    from npcbook.synthetic.patients import DEFAULT_SEED
    from npcbook.synthetic.writer import write_cohort

    settings = read_settings(profile)
    if missing := [name for name in SIMULATION_SETTINGS if name not in settings]:
        raise ValueError(
            f"The profile {profile} lacks {' and '.join(missing)}, which a synthetic cohort needs: add, say, "
            f"'patients: 120' and 'grid: [8, 32, 32]', or give a cohort of your own."
        )
    check_sizes(profile, settings["patients"], settings["grid"])
    if seed is not None and seed < 0:
        raise ValueError(f"--seed is {seed}; a whole number of 0 or more is needed.")
    return write_cohort(
        f"data/cohorts/{synthetic_name(scenario, profile, seed)}",
        scenario=scenario,
        seed=DEFAULT_SEED if seed is None else seed,
        patients=settings["patients"],
        grid=tuple(settings["grid"]),
        **asked,
    )


def run_book(arguments: argparse.Namespace) -> int:
    """Run the chapters that need it and build the pages.

    Run the chapters whose inputs, parameters or code changed, then build the pages. Stopped at any moment, it
    continues where it was. Where a parameter (-p) differs from what the stored run was made with, that run
    stays as it is, and a branch of it is run.
    """
    from npcbook.book import run as book
    from npcbook.cohort import read_scores
    from npcbook.store import claim, locked, project_path

    start = time.monotonic()
    overrides = read_overrides(arguments.parameter)
    parameters = read_settings(arguments.profile) | overrides
    book.sync_notebooks()
    book.check_parameters(parameters)
    book.select_chapters(arguments.chapters)
    cohort_folder = find_cohort(arguments)
    run_folder = project_path("data/runs") / run_name(arguments.profile, cohort_folder)
    with begun_or_gone(run_folder):
        with locked(cohort_folder, reading=True), locked(run_folder):
            # Whatever comes first into a run, the mark does before.
            claim(run_folder, "npcbook.book")
            if arguments.cohort and not check_once(cohort_folder, run_folder):
                return 3
            scores = read_scores(cohort_folder, arguments.score)
        for line in scores.attrs.get("said", ()):
            say(f"own score {line}")
        book.check_parameters(parameters, cohort_folder, list(scores))
        changed = {} if arguments.dry_run else overrides
        run_folder, settings = choose_branch(run_folder, arguments.branch, changed)
        given = {"parameters": parameters | settings | overrides}
        given["scores"] = "" if scores.empty else scores.to_csv()
        with locked(cohort_folder, reading=True), locked(run_folder):
            folders = {"run_folder": run_folder, "cohort_folder": cohort_folder}
            return make_book(arguments, folders, given, start)


@contextmanager
def begun_or_gone(run_folder: Path):
    """Remove a run that was not there before if it was refused, or only tried: no chapter may begin in it."""
    is_new = not run_folder.exists()
    try:
        yield
    finally:
        # Before the first chapter, a run is given its record.
        if is_new and run_folder.exists() and not (run_folder / "manifest.json").exists():
            remove_own(run_folder)


#: With more images than this a training takes minutes: some pages are built before it.
MANY_IMAGES = 500


def make_book(arguments: argparse.Namespace, folders: dict[str, Path], given: dict, start: float) -> int:
    """Run the chapters, collect the results and build the pages of a run that nobody else writes to."""
    from npcbook.book import run as book
    from npcbook.book.pages import BuildFailed, build_pages
    from npcbook.book.results import write_results

    run_folder = folders["run_folder"]
    given = folders | given | {"profile": Path(arguments.profile).stem, "say": say}
    asked = {"chapters": arguments.chapters, "force": arguments.force, "dry": arguments.dry_run}
    try:
        if not any(asked.values()):
            show_first_pages(given)
        book.run_chapters(**asked, **given)
        if arguments.chapters or arguments.dry_run:
            say(f"executed notebooks: {run_folder / 'notebooks'}")
            return 0
        results = write_results(run_folder)
        say("building the pages ...")
        index = build_pages(run_folder)
    except (book.ChapterFailed, BuildFailed) as error:
        print(error, file=sys.stderr)
        return 1
    say(f"tables, figures and methods: {results}")
    say(f"done in {time.monotonic() - start:.0f} s; open {index.as_uri()}")
    return 0


def show_first_pages(given: dict) -> None:
    """Run and show what needs no network before a first training that takes minutes."""
    from npcbook.book.pages import build_first_pages
    from npcbook.book.run import quick_chapters, run_chapters
    from npcbook.cohort import read_parts

    images = sum(read_parts(given["cohort_folder"]).images.values())
    if images > MANY_IMAGES and not (given["run_folder"] / "pages").exists():
        run_chapters(**given, chapters=quick_chapters())
        say(f"first pages, meanwhile: {build_first_pages(given['run_folder'], quick_chapters()).as_uri()}")


def choose_branch(run_folder: Path, name: str | None, overrides: dict) -> tuple[Path, dict]:
    """Return the run to work in (itself, a named branch, or one for `overrides`), and what it changes."""
    from npcbook.book import branches
    from npcbook.book.run import plan_chapters

    if name:
        run, run_folder = run_folder, existing_folder(name, run_folder / branches.BRANCHES)
        if run not in run_folder.parents or not branches.about_branch(run_folder):
            raise ValueError(f"{run_folder} is no branch of {run}: give the name of one.")
    changed = {p.name: branches.changed_parameters(run_folder, p.name, overrides) for p in plan_chapters()}
    if first := next(filter(changed.get, changed), None):
        changes = {key: value for each in changed.values() for key, value in each.items()}
        run_folder = branches.open_branch(run_folder, first, changes)
        say(f"the stored run stays as it is; its branch: {run_folder.name}")
    return run_folder, branches.branch_parameters(run_folder)


def say(line: str) -> None:
    """Print a line of progress at once."""
    print(line, flush=True)


def find_cohort(arguments: argparse.Namespace) -> Path:
    """Return the folder of the cohort to run on, writing the synthetic one if none is named."""
    if arguments.cohort:
        return existing_folder(arguments.cohort, "data/cohorts")
    if not arguments.dry_run:
        say("synthetic cohort ...")
    return write_synthetic(arguments.profile, "paper", dry=arguments.dry_run)


def check_once(cohort_folder: Path, run_folder: Path) -> bool:
    """Return whether a cohort is in order, printing what is wrong, or what is there and can run."""
    from npcbook.book.run import disk_space, is_in_order
    from npcbook.cohort import read_parts

    if not is_in_order(cohort_folder, run_folder):
        list_problems(cohort_folder, images=True)
        return False
    parts = read_parts(cohort_folder)
    for line in parts.reading():
        say(line)
    if not (run_folder / "manifest.json").exists():
        tell_doubts(cohort_folder)
    if parts.sequences and not (run_folder / "manifest.json").exists():
        say(disk_space(cohort_folder, parts))
    return True


def simulate(arguments: argparse.Namespace) -> int:
    """Write a synthetic cohort.

    Write a synthetic cohort with known truth, in the layout of a user's own.
    """
    folder = write_synthetic(
        arguments.profile, arguments.scenario, seed=arguments.seed, force=arguments.force
    )
    print(f"synthetic cohort: {folder}")
    return 0


def list_problems(folder: Path, *, images: bool, every: bool = False) -> int:
    """Print the problems of a cohort by kind, or every one; return 3 if there is any, else 0."""
    from npcbook.cohort.checking import check_cohort
    from npcbook.cohort.doubts import in_short

    problems = check_cohort(folder, images=images)
    for line in map(str, problems) if every else in_short(problems):
        print(line)
    tell_doubts(folder, images=images, every=every)
    if problems:
        rows = "; the table's header is row 1" if any(problem.row for problem in problems) else ""
        print(f"{len(problems)} problem{'s' * (len(problems) > 1)} in {folder}{rows}", file=sys.stderr)
    return 3 if problems else 0


def tell_doubts(folder: Path, *, images: bool = True, every: bool = False) -> None:
    """Print what is likely a mistake in a cohort, by kind or each."""
    from npcbook.cohort.doubts import find_doubts, in_short

    doubts = find_doubts(folder, images=images)
    for line in map(str, doubts) if every else in_short(doubts):
        say(f"look: {line}")


def check_cohort(arguments: argparse.Namespace) -> int:
    """List everything that is wrong with a cohort.

    List all problems of a cohort at once, one line a kind, with file, row and column of the first. A line
    that begins with "look:" is likely a mistake, but stops nothing. Without any problem, say what the cohort
    holds, what one of its size can show, and which chapters can run.
    """
    folder = existing_folder(arguments.cohort, "data/cohorts")
    status = list_problems(folder, images=not arguments.no_images, every=arguments.all)
    if not status:
        print(f"nothing is wrong with {folder}")
        print(*what_runs(folder), sep="\n")
    return status


def what_runs(folder: Path) -> list[str]:
    """Return what a cohort holds and can show, which chapters of the book can run, and why others cannot."""
    from npcbook.book.run import plan_chapters
    from npcbook.cohort import read_parts

    parts, runs, reasons = read_parts(folder), [], {}
    for plan in plan_chapters():
        if lacking := parts.missing(plan.needs):
            reasons.setdefault(lacking, []).append(plan.name)
        else:
            runs.append(plan.name)
    left = [f"cannot run, for want of {why}: {', '.join(names)}" for why, names in reasons.items()]
    return [*parts.reading(), f"can run: {', '.join(runs)}", *left]


@contextmanager
def alone_in(folder: str, *, again: bool = True):
    """Have a user's folder alone; unless others may wait to write `again`, nothing else is left beside it."""
    from npcbook.store import locked

    out = Path(folder).resolve()
    made = [place for place in out.parents if not place.exists()]
    try:
        with locked(out):
            try:
                yield out
            finally:
                if os.name != "nt" and not (again and out.exists()):  # Windows keeps what is open
                    out.with_name(f".{out.name[:200]}.lock").unlink(missing_ok=True)
    finally:
        for place in (folder for folder in made if folder.is_dir() and not any(folder.iterdir())):
            place.rmdir()


def import_table(arguments: argparse.Namespace) -> int:
    """Make a cohort's table of a hospital's own.

    The first run writes COHORT/map.yml, a commented guess of which column and which word of the tables means
    what, and stops for you to look. The same command given again converts as that file says. Tables are
    joined by their ids. Nothing is repaired in silence: what was changed stands in COHORT/import.md.
    """
    from npcbook.cohort import import_table

    with alone_in(arguments.out) as out:
        status, lines = import_table(arguments.files, out, map_file=arguments.map)
    print(*lines, sep="\n")
    return status


def import_images(arguments: argparse.Namespace) -> int:
    """Make a cohort's images and contours of a hospital's own.

    SOURCE holds DICOM series with RTSTRUCT or DICOM SEG, 3D Slicer's .nrrd and .seg.nrrd, nnU-Net's imagesTr
    and labelsTr, BIDS, or plain NIfTI. The first run writes the section images of COHORT/map.yml, a guess of
    which series and which structure is what, says what it would do, and stops for you to look. The same
    command given again imports as the map says: axes are turned, cropped masks pasted, one mask shared by
    all sequences on its voxels. Nothing is resampled unless the map asks for it. The last line names a
    contact sheet with every patient's outlines.
    """
    from npcbook.cohort.importing.images import import_images

    asked = {"dry_run": arguments.dry_run, "map_file": arguments.map}
    with alone_in(arguments.out) as out:
        status, lines = import_images(arguments.source, out, **asked)
    print(*lines, sep="\n")
    return status


def predict_patient(arguments: argparse.Namespace) -> int:
    """Apply a trained run to a new patient's images.

    Draw tumour and nodes on a new patient's T1W, T2W and contrast-enhanced T1W images, or on those of them
    that there are, and score the patient, with the networks and heads of a run. OUT receives one mask per
    sequence on the image's own voxels, scores.csv, prediction.json, and check.png to judge the masks by. The
    images are preprocessed as the run's own were: give them as scanned. What lies outside of what the
    networks saw is said. Research software: not for clinical use.
    """
    run_folder = existing_folder(arguments.run, "data/runs")
    given = {sequence: getattr(arguments, sequence) for sequence in ("t1w", "t2w", "cet1w")}
    files = {sequence: path for sequence, path in given.items() if path is not None}
    if missing := [path for path in files.values() if not Path(path).exists()]:
        raise FileNotFoundError(f"There is no image file or folder {missing[0]}.")
    from npcbook.imaging import check_empty, check_mask_format, predict, read_model, write_prediction
    from npcbook.store import locked

    try:
        with locked(run_folder, reading=True), alone_in(arguments.out, again=False) as out:
            check_empty(out)
            series = {name: not Path(path).is_file() for name, path in files.items()}
            check_mask_format(arguments.mask_format, series)
            check_model(run_folder)
            model = read_model(run_folder)
            prediction = predict(model, files)
            write_prediction(out, prediction, model, files, mask_format=arguments.mask_format)
    except PermissionError:
        check_empty(Path(arguments.out).resolve())  # who waited is refused by what is there then
        raise
    print(prediction.scores.to_string(index=False, na_rep="", float_format="{:.6g}".format))
    print(*prediction.reading, *prediction.notes, sep="\n")
    print(f"written to {arguments.out}")
    return 0


def check_model(run_folder: Path) -> None:
    """Raise ValueError if the heads or cut-offs of a run are not as its chapters left them."""
    from npcbook.store import check_kept

    models = [path.parents[1] for path in run_folder.glob("*/model/model.json")]
    for folder in {*models, *(path.parent for path in run_folder.glob("*/cutoffs*.csv"))}:
        wrong = [name for name, state in check_kept(folder).items() if state != "ok"]
        if wrong and folder.with_name(f"{folder.name}.key").exists():
            raise ValueError(
                f"In {folder} this was changed or removed since it was made: {', '.join(wrong[:3])}. Make it "
                "again: python -m npcbook book."
            )


def remove_results(arguments: argparse.Namespace) -> int:
    """Remove runs, built pages and synthetic cohorts.

    Remove what npcbook made below data/runs and data/cohorts, after showing it: folders that bear the mark
    that npcbook gave them when it made them. Everything else is kept, links are not followed, and what
    another process uses is left to it (exit code 2).
    """
    from npcbook.store import is_own, project_path

    folders = [path for below in ("runs", "cohorts") for path in project_path(f"data/{below}").glob("[!.]*")]
    own = [path for path in sorted(folders) if is_own(path)]
    for path in sorted(set(folders) - set(own)):
        why = "a link" if path.is_symlink() else "it bears no mark of npcbook, or another folder's"
        say(f"kept {path}: {why}")
    for path in own:
        say(f"{'would remove' if arguments.dry_run else 'to be removed:'} {path}")
    busy = [path for path in own if not arguments.dry_run and not remove_own(path)]
    return 2 if busy else 0


def remove_own(path: Path) -> bool:
    """Remove a folder that npcbook made, unless another process uses it; return whether it is gone."""
    import filelock

    from npcbook.store import MARK, is_own, locked, remove

    try:
        with locked(path, wait=False):
            if not is_own(path):  # another process has removed it meanwhile
                return True
            # The mark goes last: what was removed in part can still be removed.
            for part in sorted(path.iterdir(), key=lambda part: part.name == MARK):
                remove(part)
            path.rmdir()
    except filelock.Timeout:
        say(f"kept {path}: another process uses it")
        return False
    return True


def verify_run(arguments: argparse.Namespace) -> int:
    """Check that everything in a run is as it was made.

    List every table, figure, network, notebook and page of a run with ok, damaged, missing or added; exit
    with 1 if not all are ok. What is damaged is made again by the next book.
    """
    from npcbook.book.run import verify_run as check
    from npcbook.store import locked

    name = run_name(arguments.profile, synthetic_name("paper", arguments.profile, None))
    folder = existing_folder(arguments.run or name, "data/runs")
    with locked(folder, reading=True):
        found = check(folder)
    for place, state in found.items():
        print(f"{state:8}{place}")
    wrong = sum(state != "ok" for state in found.values())
    print(f"{folder}: {len(found) - wrong} ok, {wrong} not")
    return 1 if wrong else 0


def sync_notebooks(arguments: argparse.Namespace) -> int:
    """Derive the notebooks from their scripts.

    Write notebooks/*.ipynb from notebooks/*.py. A notebook that was changed by hand is not written over: say
    whether to keep the change (it goes into the script) or to discard it.
    """
    from npcbook.book import notebooks

    if arguments.keep:
        for path in notebooks.keep_edits():
            print(f"wrote {path.name}")
    if not arguments.check:
        for path in notebooks.sync_notebooks(discard=arguments.discard):
            print(f"wrote {path.name}")
        return 0
    stale = notebooks.stale_notebooks()
    for path in stale:
        print(f"{path.name} is not what its script says: run python -m npcbook sync", file=sys.stderr)
    return 1 if stale else 0


def open_lab(arguments: argparse.Namespace) -> int:
    """Open the chapters in JupyterLab.

    Lay out copies of the notebooks in data/lab, which are yours to change and which nothing writes over, and
    open JupyterLab on data, where runs and cohorts are too.
    """
    from npcbook.book import lay_out_lab

    folder, said = lay_out_lab()
    print(*said, sep="\n" if said else "")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.parent}"]
    return subprocess.call([*command, f"--LabApp.default_url=/lab/tree/{folder.name}", *arguments.options])


COHORT = "a folder, or a name below data/cohorts"
PROFILES = "smoke, laptop (default), paper, or a YAML file"
SCENARIOS = {"default": "paper", "choices": ("paper", "null", "shift"), "help": "default: paper"}
IMAGE = {"metavar": "PATH"}
IMAGE_HELP = "file (NIfTI, NRRD), or folder of its DICOM series"
MASKS = {"default": "nifti", "choices": ("nifti", "seg.nrrd", "dicom-seg"), "help": "default: nifti"}
A_RUN = {"nargs": "?", "metavar": "RUN", "help": "the run's folder, or its name below data/runs"}
RUN = {"required": True, "help": "the run's folder, or its name below data/runs"}
OUT = {"required": True, "help": "folder to make; all of the result appears there, or none"}
INTO = {"required": True, "metavar": "COHORT", "help": "the cohort's folder"}
PART = {"nargs": "+", "metavar": "NN", "help": "only these, by number or name; no pages"}
PARAMETER = {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": "change a parameter"}
SWITCH = {"action": "store_true"}
SCORE = {"action": "append", "default": [], "metavar": "FILE:COLUMN", "help": "a risk score of your own"}
SHARED = "share work out to this Dask scheduler, or local:N, to N processes of this computer"
#: Packages that not everybody needs, and what to install for them.
OPTIONAL = dict.fromkeys(("pydicom", "highdicom"), "pydicom highdicom")
OPTIONAL |= dict.fromkeys(("dask", "distributed"), "distributed")
#: Commands of two words, such as ``import table``: what the first of them is about.
GROUPS = {"import": "make a cohort of a hospital's own tables or images"}
#: What each command does; a hyphen stands behind the first of two words that `GROUPS` has.
COMMANDS = {
    "book": run_book,
    "simulate": simulate,
    "check": check_cohort,
    "import-table": import_table,
    "import-images": import_images,
    "predict": predict_patient,
    "verify-run": verify_run,
    "clean": remove_results,
    "sync": sync_notebooks,
    "lab": open_lab,
}
#: Options: the commands that have it, its flags, and what argparse is told of it.
OPTIONS = (
    ("book simulate verify-run", "--profile", {"default": "laptop", "help": PROFILES}),
    ("book", "--cohort", {"help": f"your own cohort: {COHORT} (default: the synthetic one)"}),
    ("book", "--chapters", PART),
    ("book", "-p --parameter", PARAMETER),
    ("book", "--score", SCORE),
    ("book", "--branch", {"metavar": "NAME", "help": "run this branch of the run (data/runs/RUN/branches)"}),
    ("import-images", "--dry-run", SWITCH | {"help": "write nothing but the map: say what would be done"}),
    ("book clean", "--dry-run", SWITCH | {"help": "do nothing: say what would be done"}),
    ("verify-run", "run", A_RUN),
    ("simulate", "--scenario", SCENARIOS),
    ("simulate", "--seed", {"type": int, "help": "default: the one that meets Table 1 exactly"}),
    ("book simulate", "--cluster", {"metavar": "ADDRESS", "help": SHARED}),
    ("book simulate", "--force", SWITCH | {"help": "do also what is up to date"}),
    ("check", "cohort", {"metavar": "COHORT", "help": COHORT}),
    ("check", "--no-images", SWITCH | {"help": "check the table only"}),
    ("check", "--all", SWITCH | {"help": "a line for each problem"}),
    ("import-table", "files", {"nargs": "+", "metavar": "FILE", "help": "csv, tsv, txt or xlsx"}),
    ("import-images", "source", {"metavar": "SOURCE", "help": "the folder with the images"}),
    ("import-table import-images", "--out", INTO),
    ("import-table import-images", "--map", {"metavar": "FILE", "help": "another map than COHORT/map.yml"}),
    ("predict", "--run", RUN),
    ("predict", "--t1w", IMAGE | {"help": f"T1-weighted image: {IMAGE_HELP}"}),
    ("predict", "--t2w", IMAGE | {"help": f"T2-weighted image: {IMAGE_HELP}"}),
    ("predict", "--cet1w", IMAGE | {"help": f"contrast-enhanced T1 image: {IMAGE_HELP}"}),
    ("predict", "--mask-format", MASKS),
    ("predict", "--out", OUT),
    ("sync", "--keep", SWITCH | {"help": "put changes of notebooks (or data/lab) into their scripts"}),
    ("sync", "--discard", SWITCH | {"help": "drop what was changed in notebooks"}),
    ("lab", "options", {"nargs": "*", "metavar": "OPTION", "help": "for JupyterLab; write -- before them"}),
    ("sync", "--check", SWITCH | {"help": "change nothing; exit 1 if a notebook is out of date"}),
)


def speak_utf8(arguments: list[str] | None) -> None:
    """Let all that is started from here take names of files for UTF-8, as what they were given by did.

    A process that was told another encoding, such as ASCII, cannot even open them: it begins again.
    """
    told, os.environ["PYTHONUTF8"] = os.environ.get("PYTHONUTF8"), "1"
    if arguments is None and told != "1" and sys.getfilesystemencoding() != "utf-8":
        # What is shown stays in the terminal's own encoding.
        os.environ["PYTHONIOENCODING"] = f"{sys.stdout.encoding}:backslashreplace"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    speak_utf8(arguments)
    given = parser().parse_args(arguments)
    from npcbook.store import Interrupted, check_file_names, check_root, cluster

    def stop(number: int, frame: object) -> None:
        raise Interrupted

    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack the letters of a name
        sys.stdout.reconfigure(errors="backslashreplace")
    before = signal.signal(signal.SIGTERM, stop)
    try:
        values = [v for value in vars(given).values() for v in (value if type(value) is list else [value])]
        if "" in values:
            raise ValueError("An argument is empty: give a name or a value, or leave the option out.")
        check_file_names([*(value for value in values if isinstance(value, str)), os.getcwd()])
        check_root(make=given.command in ("book", "simulate", "import"))
        with cluster(getattr(given, "cluster", None)):
            return given.act(given)
    except KeyboardInterrupt as error:
        logging.disable()  # what was left half done would say so as it is cleared away
        print("stopped; the same command continues from here", file=sys.stderr)
        return 143 if isinstance(error, Interrupted) else 130
    except (ModuleNotFoundError, MemoryError, OSError, ValueError) as error:
        return explain(error)
    finally:
        signal.signal(signal.SIGTERM, before)


#: Errors that what was given causes.
OF_INPUT = (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)


def explain(error: Exception) -> int:
    """Print what is wrong with the input or the machine in a sentence, and return the exit code.

    An error of the program itself is shown with the place where it occurred, to be reported.
    """
    from npcbook.store import is_refusal

    if isinstance(error, ModuleNotFoundError):
        if error.name not in OPTIONAL:
            raise error
        print(f"This needs {error.name}: python -m pip install {OPTIONAL[error.name]}", file=sys.stderr)
        return 2
    if isinstance(error, MemoryError):
        print("There is not enough memory: close other programs, and go on.", file=sys.stderr)
        return 1
    if isinstance(error, ValueError) and not is_refusal(error):
        traceback.print_exception(error)
        print(
            "This is an error in npcbook, not in what you gave it: please report the lines above.",
            file=sys.stderr,
        )
        return 1
    said = str(error)
    if isinstance(error, OSError) and error.strerror:
        said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, UnicodeEncodeError):
        said = f"{error.object[error.start : error.end]!r} is not {error.encoding}: rename what is called so."
    full = getattr(error, "errno", None) == errno.ENOSPC
    print(f"{said}{'; make room, and run the same command again: it continues' * full}", file=sys.stderr)
    return 2 if isinstance(error, OF_INPUT) else 1


if __name__ == "__main__":
    sys.exit(main())
