"""Command line: ``python -m npcbook``."""

import argparse
import inspect
import json
import math
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import filelock
import yaml

# Each command imports what it needs, so that --help and wrong arguments answer at once.

EXIT_CODES = (
    "exit codes: 0 done; 1 a chapter or the build failed; 2 unusable arguments; 3 the cohort has problems; "
    "130 stopped"
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
    for name, act in COMMANDS.items():
        summary, _, rest = inspect.cleandoc(act.__doc__).partition("\n\n")
        said = {"help": summary[0].lower() + summary[1:].rstrip("."), "description": rest or summary}
        command = commands.add_parser(name, **said, epilog=EXIT_CODES)
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
        kind = Path(below).name.removesuffix("es" if str(below).endswith("branches") else "s")
        raise FileNotFoundError(f"There is no {kind} {folder}: give its folder, or a name below {below}.")
    return folder


def synthetic_name(scenario: str, profile: str, seed: int | None) -> str:
    """Return the folder name of a synthetic cohort; what is not the default has a word in it."""
    words = ["synthetic", "" if scenario == "paper" else scenario, "" if seed is None else f"seed{seed}"]
    return "-".join([*filter(None, words), Path(profile).stem])


def run_name(profile: str, cohort: str) -> str:
    """Return the name of a run: profile and cohort, without saying the profile twice."""
    size = Path(profile).stem
    return f"{size}-{cohort.removesuffix('-' + size)}"


@contextmanager
def yaml_errors(what: str, remedy: str):
    """Turn what YAML cannot read into a ValueError of one line."""
    try:
        yield
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
    if not isinstance(settings, dict):
        raise ValueError(f"The profile {profile} holds {settings!r}: {remedy}")
    return as_number(settings)


def read_overrides(items: list[str]) -> dict:
    """Return the parameters that ``-p NAME=VALUE`` gives."""
    overrides = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not (name and equals):
            raise ValueError(f"The parameter {item!r} has no value or no name: write -p NAME=VALUE.")
        remedy = "write -p NAME=VALUE, and quotes around a text."
        with yaml_errors(f"The value of the parameter {item!r} cannot be read", remedy):
            overrides[name] = as_number(yaml.safe_load(value))
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


def write_synthetic(profile: str, scenario: str, *, seed: int | None = None, force: bool = False) -> Path:
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
    return write_cohort(
        f"data/cohorts/{synthetic_name(scenario, profile, seed)}",
        scenario=scenario,
        seed=DEFAULT_SEED if seed is None else seed,
        patients=settings["patients"],
        grid=tuple(settings["grid"]),
        force=force,
    )


def run_book(arguments: argparse.Namespace) -> int:
    """Run the chapters that need it and build the pages.

    Run the chapters whose inputs, parameters or code changed, then build the pages. Stopped at any moment, it
    continues where it was. Where a parameter (-p) differs from what the stored run was made with, that run
    stays as it is, and a branch of it is run.
    """
    from npcbook.book import run as book
    from npcbook.book.pages import BuildFailed, build_pages
    from npcbook.book.results import write_results
    from npcbook.store import project_path

    start = time.monotonic()
    overrides = read_overrides(arguments.parameter)
    parameters = read_settings(arguments.profile) | overrides
    book.sync_notebooks()
    book.check_parameters(parameters)
    cohort_folder = choose_cohort(arguments)
    if cohort_folder is None:
        return 3
    book.check_parameters(parameters, cohort_folder)
    run_folder = project_path("data/runs") / run_name(arguments.profile, cohort_folder.name)
    given = {} if arguments.dry_run else overrides
    run_folder, settings = choose_branch(run_folder, arguments.branch, given)
    parameters = parameters | settings | overrides
    folders = {"run_folder": run_folder, "cohort_folder": cohort_folder}
    asked = {"chapters": arguments.chapters, "force": arguments.force, "dry": arguments.dry_run}
    try:
        book.run_chapters(**folders, **asked, parameters=parameters, say=say)
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


def choose_branch(run_folder: Path, name: str | None, overrides: dict) -> tuple[Path, dict]:
    """Return the run to work in (itself, a named branch, or one for `overrides`), and what it changes."""
    from npcbook.book import branches
    from npcbook.book.run import plan_chapters

    if name:
        run_folder = existing_folder(name, run_folder / branches.BRANCHES)
    changed = {p.name: branches.changed_parameters(run_folder, p.name, overrides) for p in plan_chapters()}
    if first := next(filter(changed.get, changed), None):
        changes = {key: value for each in changed.values() for key, value in each.items()}
        run_folder = branches.open_branch(run_folder, first, changes)
        say(f"the stored run stays as it is; its branch: {run_folder.name}")
    return run_folder, branches.branch_parameters(run_folder)


def say(line: str) -> None:
    """Print a line of progress at once."""
    print(line, flush=True)


def choose_cohort(arguments: argparse.Namespace) -> Path | None:
    """Return the folder of the cohort to run on; None, its problems printed, if it has any."""
    if arguments.cohort is None:
        say("synthetic cohort ...")
        return write_synthetic(arguments.profile, "paper")
    folder = existing_folder(arguments.cohort, "data/cohorts")
    return None if list_problems(folder, images=True) else folder


def simulate(arguments: argparse.Namespace) -> int:
    """Write a synthetic cohort.

    Write a synthetic cohort with known truth, in the layout of a user's own.
    """
    folder = write_synthetic(
        arguments.profile, arguments.scenario, seed=arguments.seed, force=arguments.force
    )
    print(f"synthetic cohort: {folder}")
    return 0


def list_problems(folder: Path, *, images: bool) -> int:
    """Print every problem of a cohort; return 3 if there is any, else 0."""
    from npcbook.cohort.checking import check_cohort

    problems = check_cohort(folder, images=images)
    for problem in problems:
        print(problem)
    if problems:
        rows = "; the table's header is row 1" if any(problem.row for problem in problems) else ""
        print(f"{len(problems)} problem{'s' * (len(problems) > 1)} in {folder}{rows}", file=sys.stderr)
    return 3 if problems else 0


def check_cohort(arguments: argparse.Namespace) -> int:
    """List everything that is wrong with a cohort.

    List all problems of a cohort at once, each with file, row and column.
    """
    folder = existing_folder(arguments.cohort, "data/cohorts")
    status = list_problems(folder, images=not arguments.no_images)
    if not status:
        print(f"nothing is wrong with {folder}")
    return status


def predict_patient(arguments: argparse.Namespace) -> int:
    """Apply a trained run to a new patient's three images.

    Draw tumour and nodes on a new patient's T1W, T2W and contrast-enhanced T1W images, and score the patient,
    with the networks and heads of a run. OUT receives one mask per sequence on the image's own voxels,
    scores.csv, prediction.json, and check.png to judge the masks by. The images are preprocessed as the run's
    own were: give them as scanned. Research software: not for clinical use.
    """
    run_folder = existing_folder(arguments.run, "data/runs")
    files = {sequence: getattr(arguments, sequence) for sequence in ("t1w", "t2w", "cet1w")}
    if missing := [path for path in files.values() if not Path(path).is_file()]:
        raise FileNotFoundError(f"There is no image file {missing[0]}.")
    from npcbook.imaging import check_empty, predict, read_model, write_prediction

    check_empty(Path(arguments.out))
    model = read_model(run_folder)
    prediction = predict(model, files)
    write_prediction(arguments.out, prediction, model, files)
    print(prediction.scores.to_string(index=False, na_rep="", float_format="{:.6g}".format))
    print(*prediction.reading, *prediction.notes, sep="\n")
    print(f"written to {arguments.out}")
    return 0


def remove_results(arguments: argparse.Namespace) -> int:
    """Remove runs, built pages and synthetic cohorts.

    Remove data/runs and the synthetic cohorts. A cohort of your own is never touched.
    """
    from npcbook.store import project_path

    runs = [path for path in project_path("data/runs").glob("*") if path.is_dir()]
    descriptions = project_path("data/cohorts").glob("*/dataset_description.json")
    # A name proves nothing, and a cohort that is only half written has no table yet.
    cohorts = [path.parent for path in descriptions if json.loads(path.read_text()).get("synthetic")]
    for path in runs + cohorts:
        shutil.rmtree(path)
        print(f"removed {path}")
    return 0


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
        print(
            f"{path.name} is not what {path.stem}.py stands for: run python -m npcbook sync", file=sys.stderr
        )
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
IMAGE = {"required": True, "metavar": "FILE"}
RUN = {"required": True, "help": "the run's folder, or its name below data/runs"}
OUT = {"required": True, "help": "folder to make; all of the result appears there, or none"}
PART = {"nargs": "+", "metavar": "NN", "help": "only these, by number or name; no pages"}
PARAMETER = {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": "change a parameter"}
SWITCH = {"action": "store_true"}
#: What each command does.
COMMANDS = {
    "book": run_book,
    "simulate": simulate,
    "check": check_cohort,
    "predict": predict_patient,
    "clean": remove_results,
    "sync": sync_notebooks,
    "lab": open_lab,
}
#: Options: the commands that have it, its flags, and what argparse is told of it.
OPTIONS = (
    ("book simulate", "--profile", {"default": "laptop", "help": PROFILES}),
    ("book", "--cohort", {"help": f"your own cohort: {COHORT} (default: the synthetic one)"}),
    ("book", "--chapters", PART),
    ("book", "-p --parameter", PARAMETER),
    ("book", "--branch", {"metavar": "NAME", "help": "run this branch of the run (data/runs/RUN/branches)"}),
    ("book", "--dry-run", SWITCH | {"help": "run nothing: say what would run, and why"}),
    ("simulate", "--scenario", SCENARIOS),
    ("simulate", "--seed", {"type": int, "help": "default: the one that meets Table 1 exactly"}),
    ("book simulate", "--force", SWITCH | {"help": "do also what is up to date"}),
    ("check", "cohort", {"metavar": "COHORT", "help": COHORT}),
    ("check", "--no-images", SWITCH | {"help": "check the table only"}),
    ("predict", "--run", RUN),
    ("predict", "--t1w", IMAGE | {"help": "T1-weighted image, 3D NIfTI"}),
    ("predict", "--t2w", IMAGE | {"help": "T2-weighted image, 3D NIfTI"}),
    ("predict", "--cet1w", IMAGE | {"help": "contrast-enhanced T1 image, 3D NIfTI"}),
    ("predict", "--out", OUT),
    (
        "sync",
        "--keep",
        SWITCH | {"help": "put what was changed in notebooks (or data/lab) into their scripts"},
    ),
    ("sync", "--discard", SWITCH | {"help": "drop what was changed in notebooks"}),
    ("lab", "options", {"nargs": "*", "metavar": "OPTION", "help": "for JupyterLab; write -- before them"}),
    ("sync", "--check", SWITCH | {"help": "change nothing; exit 1 if a notebook is out of date"}),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = parser().parse_args(arguments)
    try:
        return given.act(given)
    except filelock.Timeout as error:
        print(f"Another process is running this run ({error.lock_file}): wait for it.", file=sys.stderr)
    except (FileNotFoundError, FileExistsError, ValueError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped; the same command continues from here", file=sys.stderr)
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
