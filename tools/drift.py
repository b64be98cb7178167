"""Run a trial book with other parameters or on another cohort; hold its ledger's counts against the stored.

    python tools/drift.py --case horizon-36 -- -p horizon_months=36
    python tools/drift.py --case null-scenario --write -- --scenario null

What follows ``--`` goes to the cohort (--scenario, --seed) and to the chapters (-p NAME=VALUE). Exit code 1
says that a count is not as stored in tools/drift.json; a change that is meant is stored anew with --write.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from npcbook.__main__ import read_overrides, read_settings, write_synthetic
from npcbook.book.run import plan_chapters, run_chapters
from npcbook.store import project_path

STORED = Path(__file__).with_name("drift.json")
LEDGER = "10_ledger"
#: How far a count may be off: which values lie within printed limits turns on the last digits of a training.
TOLERANCE = {"in printed CI": 5}


def chapters_before(name: str) -> list[str]:
    """Return the chapters that one rests on, and itself."""
    reads, found, waiting = {plan.name: plan.reads for plan in plan_chapters()}, set(), [name]
    while waiting:
        found.add(chapter := waiting.pop())
        waiting += [other for other in reads[chapter] if other not in found]
    return sorted(found)


def count(run_folder: Path) -> dict[str, dict[str, int]]:
    """Return the ledger's rows by status, by print's interval, and values by chapter and track."""
    ledger = pd.read_csv(run_folder / LEDGER / "ledger.csv", keep_default_na=False)
    values = pd.concat([pd.read_csv(p).assign(by=p.parent.name) for p in run_folder.glob("*/values.csv")])
    counted = {name: ledger[name].value_counts() for name in ("status", "in printed CI")}
    counted["recorded"] = (values["by"] + ", " + values["track"]).value_counts()
    return {kind: {str(k): int(n) for k, n in sorted(counts.items())} for kind, counts in counted.items()}


def differences(stored: dict, found: dict) -> list[str]:
    """Return the counts that are not as stored, a line each."""
    lines = []
    for kind in sorted(stored.keys() | found.keys()):
        before, now = stored.get(kind, {}), found.get(kind, {})
        for name in sorted(before.keys() | now.keys()):
            was, is_ = before.get(name, 0), now.get(name, 0)
            if abs(is_ - was) > TOLERANCE.get(kind, 0):
                lines.append(f"{kind}: {name}: {was} stored, {is_} now")
    return lines


def main() -> int:
    """Run a case; return 1 if its counts are not as stored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--case", required=True)
    parser.add_argument("--write", action="store_true", help="store the counts")
    parser.add_argument("--scenario", default="paper")
    parser.add_argument("--seed", type=int)
    parser.add_argument("-p", "--parameter", action="append", default=[])
    given = parser.parse_args([argument for argument in sys.argv[1:] if argument != "--"])
    cohort = write_synthetic("smoke", given.scenario, seed=given.seed)
    run_folder = project_path(f"data/runs/drift-{given.case}")
    parameters = read_settings("smoke") | read_overrides(given.parameter)
    chapters = chapters_before(LEDGER)
    run_chapters(run_folder=run_folder, cohort_folder=cohort, parameters=parameters, chapters=chapters)
    stored, found = json.loads(STORED.read_text("utf-8")), count(run_folder)
    if given.write:
        STORED.write_text(json.dumps(stored | {given.case: found}, indent=1, sort_keys=True) + "\n", "utf-8")
        return 0
    if given.case not in stored:
        print(f"Nothing is stored for {given.case}: store it with --write.", file=sys.stderr)
        return 1
    lines = differences(stored[given.case], found)
    print(*(lines or [f"{given.case}: counts as stored"]), sep="\n")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
