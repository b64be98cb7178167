"""Kill the smoke book in random stages at random moments, and compare its end with an undisturbed one.

    python tests/nightly/kills.py [--kills 50] [--seed 1] [--folder DIR]

Before each strike a stage (the cohort, a chapter, results and pages) is undone; the book is started and
struck at a random moment of that stage. Exit 1 if in the end a file of the cohort, or a table, figure or
network of the run, differs; if a process is left behind; if an exit code is another, or a stopped run shows a
traceback. Both runs lie in DIR (default: a new temporary folder), apart from the project; an undisturbed one
that is there is used again.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "npcbook", "book", "--profile", "smoke"]
COHORT, RUN = "data/cohorts/synthetic-smoke", "data/runs/smoke-synthetic"
# Records with times or paths of their own; pages are built from what is compared.
OWN = {"manifest.json", "build.log", "cohort.json", "checked.json"}
WAYS = ("KILL", "KILL", "KILL all", "KILL a child", "TERM", "INT")
CODES = {"TERM": {143}, "INT": {130}, "KILL": {-9}, "KILL all": {-9}, "KILL a child": {0, 1}}


def start(root: Path, log) -> subprocess.Popen:
    """Start the book on data below `root`."""
    paths = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"NPCBOOK_ROOT": str(root), "PYTHONPATH": paths}
    return subprocess.Popen(COMMAND, env=environment, stdout=log, stderr=log, start_new_session=True)


def finish(root: Path, log) -> None:
    """Let the book run to its end, or stop here."""
    if status := start(root, log).wait():
        sys.exit(f"the book ended with {status}: see {log.name}")


def contents(root: Path) -> dict[str, str]:
    """Return a hash of what must come out the same, by its place: the cohort, and what chapters left."""
    folders = [root / COHORT, *(root / RUN).glob("[0-9]*"), root / RUN / "results"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    kept = [p for p in files if not p.name.startswith(".") and p.suffix != ".key" and p.name not in OWN]
    return {str(p.relative_to(root)): hashlib.md5(p.read_bytes()).hexdigest() for p in kept}


def stages(root: Path) -> dict[str, tuple[str, float, list[str]]]:
    """Return of each stage the line that announces it, its seconds, and what is removed to undo it."""
    chapters = json.loads((root / RUN / "manifest.json").read_text())["chapters"]
    found = {
        name: (f"] {name}: running", entry["seconds"], [name, f"{name}.key", f"notebooks/{name}.ipynb"])
        for name, entry in chapters.items()
    }
    found["cohort"] = ("synthetic cohort ...", 30.0, [f"../../../{COHORT}"])
    found["pages"] = (f"/{len(chapters)}] ", 90.0, ["results", "results.key", "pages"])
    return found


def strike(process: subprocess.Popen, way: str, chance: random.Random) -> None:
    """End the book in one of the `WAYS`."""
    children = psutil.Process(process.pid).children(recursive=True)
    if way == "KILL a child" and children:
        chance.choice(children).kill()
    elif way == "KILL all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.send_signal(getattr(signal, f"SIG{way.split()[0]}"))


def kill_once(root: Path, way: str, line: str, seconds: float, chance: random.Random, log) -> list[str]:
    """Start the book, strike some seconds after a line of progress, and return what went wrong."""
    log.flush()
    begin = Path(log.name).stat().st_size

    def said() -> str:
        return Path(log.name).read_bytes()[begin:].decode()

    process = start(root, log)
    while line not in said() and process.poll() is None:
        time.sleep(0.1)
    try:
        process.wait(seconds)
        return [] if process.returncode == 0 else [f"ended by itself with {process.returncode}"]
    except subprocess.TimeoutExpired:
        family = psutil.Process(process.pid).children(recursive=True)
        strike(process, way, chance)
    # A worker or kernel that is killed takes its chapter with it, and the book ends of itself.
    process.wait()
    _, left = psutil.wait_procs(family, timeout=20)
    wrong = [f"left behind: {' '.join(p.cmdline())[:120]}" for p in left if p.is_running()]
    if process.returncode not in CODES[way]:
        wrong.append(f"exit code {process.returncode} after {way}")
    if way in ("TERM", "INT") and "Traceback" in said():
        wrong.append(f"a traceback after {way}")
    return wrong


def main() -> int:
    """Run both books, compare them, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    # A shell that starts this in the background lets it ignore interruptions, and what it starts would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="npcbook-kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    whole, killed, chance, wrong = folder / "whole", folder / "killed", random.Random(given.seed), []
    with (folder / "log").open("a") as log:
        finish(whole, log)
        wanted, known = contents(whole), stages(whole)
        for place in (COHORT, RUN, "data/.npcbook.json"):
            copy = shutil.copytree if (whole / place).is_dir() else shutil.copy2
            if (whole / place).exists() and not (killed / place).exists():
                (killed / place).parent.mkdir(parents=True, exist_ok=True)
                copy(whole / place, killed / place)
        for number in range(1, given.kills + 1):
            stage, way = chance.choice(sorted(known)), chance.choice(WAYS)
            line, seconds, parts = known[stage]
            for part in parts:
                path = killed / RUN / part
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            seconds = chance.uniform(0, seconds)
            found = kill_once(killed, way, line, seconds, chance, log)
            print(f"{number}: {stage}, {way} after {seconds:.0f} s", *found, sep="; ", flush=True)
            wrong += found
        finish(killed, log)
    found = contents(killed)
    wrong += [f"differs: {name}" for name in sorted(wanted | found) if wanted.get(name) != found.get(name)]
    print(*wrong, sep="\n")
    print(f"{given.kills} kills, {len(wanted)} files, {len(wrong)} things wrong; all of it in {folder}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
