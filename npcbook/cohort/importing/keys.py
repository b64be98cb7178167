"""Safe ids, and the file that says whose they are, which stays outside what is shared."""

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from npcbook.store import atomic_path, whole


def key_path(folder: Path) -> Path:
    """Return where the key of a cohort lies: beside its folder, never in it."""
    return folder.with_name(f"{folder.name}.key.csv")


def read_key(folder: Path) -> dict[str, str]:
    """Return the ``patient_id`` of each of the hospital's ids; empty where no table has been imported."""
    path = key_path(folder)
    if not path.exists():
        return {}
    try:
        key = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        return dict(zip(key["hospital_id"], key["patient_id"], strict=True))
    except (KeyError, ValueError) as error:
        said = "is not as it was written (columns patient_id, hospital_id; commas; UTF-8): restore it."
        raise ValueError(f"{path} {said}") from error


def write_key(folder: Path, key: dict[str, str]) -> Path:
    """Write the key so that only its owner may read it, and return its path."""
    path = key_path(folder)
    with atomic_path(path, mode=0o600) as temporary:
        table = pd.DataFrame({"patient_id": key.values(), "hospital_id": key.keys()})
        table.to_csv(temporary, index=False, encoding="utf-8-sig")
    return path


def safe_ids(ids: list[str], known: dict[str, str], *, new: bool = False) -> dict[str, str]:
    """Return a ``patient_id`` of letters and digits for each id of a hospital.

    Parameters
    ----------
    ids : list of str
        Unique ids, in the order of the table.
    known : dict
        Ids that have theirs already (`read_key`) and keep it, also where signs or zeros before them differ.
    new : bool
        Whether all get new ones (P001, …), which say nothing to whom the cohort is given. Otherwise an id
        keeps its letters and digits, as long as these differ, without the ``sub-`` of BIDS before them.
    """
    letters = {given: re.sub(r"(?i)^sub-(?=.)|[^a-z0-9]", "", given) for given in ids}
    distinct = len({safe.lower() for safe in letters.values()}) == len(ids) and all(letters.values())
    if not new and not known and distinct and all(given.isascii() for given in ids):
        return letters
    times, taken = Counter(map(alike, ids)), set(known.values())
    # Two ids of one table that look alike are two patients.
    others = {alike(given): safe for given, safe in known.items() if times[alike(given)] == 1}
    free = (f"P{n:0{max(3, len(str(len(ids))))}d}" for n in range(1, 10**9))
    made = {given: known.get(given, others.get(alike(given))) for given in ids}
    return {given: safe or next(new for new in free if new not in taken) for given, safe in made.items()}


def alike(given: str) -> str:
    """Return an id without signs, the case of letters, zeros and ``sub-`` before it, and decimals of zero."""
    return "".join(filter(str.isalnum, whole(given.lower().removeprefix("sub-")))).lstrip("0")
