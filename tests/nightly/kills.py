"""Kill the smoke book at random moments, again and again, and compare its end with an undisturbed one.

    python tests/nightly/kills.py [--kills 50] [--seed 1] [--longest 90] [--folder DIR]

Exit 1 if a file of the cohort, or a table, figure or network of the run, differs; if a process is left
behind; or if a stopped run says more than it should. Both runs lie in DIR (default: a new temporary folder),
apart from the project; an undisturbed one that is there is used again.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "npcbook", "book", "--profile", "smoke"]
# Records with times or paths of their own; pages are built from what is compared.
OWN = {"manifest.json", "build.log"}
WAYS = ("KILL", "KILL", "KILL all", "KILL a child", "TERM", "INT")


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
    folders = [root / "data/cohorts", *root.glob("data/runs/*/[0-9]*"), *root.glob("data/runs/*/results")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    kept = [p for p in files if not p.name.startswith(".") and p.suffix != ".key" and p.name not in OWN]
    return {str(p.relative_to(root)): hashlib.md5(p.read_bytes()).hexdigest() for p in kept}


def strike(process: subprocess.Popen, way: str, chance: random.Random) -> None:
    """End the book in one of the `WAYS`."""
    children = psutil.Process(process.pid).children(recursive=True)
    if way == "KILL a child" and children:
        chance.choice(children).kill()
    elif way == "KILL all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.send_signal(getattr(signal, f"SIG{way.split()[0]}"))


def kill_once(root: Path, way: str, seconds: float, chance: random.Random, log) -> list[str]:
    """Start the book, strike after some seconds, and return what went wrong; "finished" if it was faster."""
    offset = log.tell()
    process = start(root, log)
    try:
        process.wait(seconds)
        return ["finished"] if process.returncode == 0 else [f"ended by itself with {process.returncode}"]
    except subprocess.TimeoutExpired:
        family = psutil.Process(process.pid).children(recursive=True)
        strike(process, way, chance)
    # A worker or kernel that is killed takes its chapter with it, and the book ends of itself.
    process.wait(600)
    _, left = psutil.wait_procs(family, timeout=20)
    wrong = [f"left behind: {' '.join(p.cmdline())[:120]}" for p in left if p.is_running()]
    expected = {"TERM": {143}, "INT": {130}, "KILL": {-9}, "KILL all": {-9}, "KILL a child": {0, 1}}[way]
    log.flush()
    with open(log.name) as text:
        text.seek(offset)
        said = text.read()
    if process.returncode not in expected:
        wrong.append(f"exit code {process.returncode} after {way}")
    if way in ("TERM", "INT") and "Traceback" in said:
        wrong.append(f"a traceback after {way}")
    return wrong


def main() -> int:
    """Run both books, compare them, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=90, help="seconds between start and strike, at most")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="npcbook-kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    whole, killed, chance, wrong, kills = (
        folder / "whole",
        folder / "killed",
        random.Random(given.seed),
        [],
        0,
    )
    with (folder / "log").open("a") as log:
        finish(whole, log)
        wanted = contents(whole)
        while kills < given.kills:
            way, seconds = chance.choice(WAYS), chance.uniform(1, given.longest)
            found = kill_once(killed, way, seconds, chance, log)
            if found == ["finished"]:
                # From the start again: the next strikes meet other stages.
                command = [*COMMAND[:3], "clean"]
                subprocess.run(command, env=os.environ | {"NPCBOOK_ROOT": str(killed)}, check=True)
                continue
            kills += 1
            wrong += found
            print(f"{kills}: {way} after {seconds:.0f} s", *found, sep="; ", flush=True)
            time.sleep(1)
        finish(killed, log)
    found = contents(killed)
    wrong += [f"differs: {name}" for name in sorted(wanted | found) if wanted.get(name) != found.get(name)]
    print(*wrong, sep="\n")
    print(f"{kills} kills, {len(wanted)} files, {len(wrong)} things wrong; all of it in {folder}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
