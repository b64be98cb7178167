"""Seeded damage to a valid cohort: every case is read as it was, or refused in one clear line, quickly.

``python tests/cohort/test_damage.py SEED CASES`` tries other cases and prints what came of each kind.
"""

import contextlib
import gzip
import io
import itertools
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from npcbook.__main__ import main
from npcbook.book import run
from npcbook.cohort import COLUMNS, image_path, mask_path, read_cohort
from npcbook.imaging import preprocess
from npcbook.synthetic import write_cohort

SEED, CASES, WORKERS = 16, 200, 2
#: Of the processor and of memory for one case; and of the clock, for what waits and does nothing.
SECONDS, MEGABYTES, HANGS = 5, 1000, 240
#: Where each field of a NIfTI-1 header lies, and its type.
FIELDS = {"sizeof_hdr": ("i", 0), "datatype": ("h", 70), "bitpix": ("h", 72), "vox_offset": ("f", 108)}
FIELDS |= {f"dim[{i}]": ("h", 40 + 2 * i) for i in range(5)}
FIELDS |= {f"pixdim[{i}]": ("f", 76 + 4 * i) for i in range(4)}
FIELDS |= {"scl_slope": ("f", 112), "scl_inter": ("f", 116), "xyzt_units": ("B", 123)}
FIELDS |= {"qform_code": ("h", 252), "sform_code": ("h", 254), "magic": ("i", 344)}
FIELDS |= {
    f"{name}[{i}]": ("f", at + 4 * i)
    for name, at, n in (("quatern", 256, 3), ("qoffset", 268, 3), ("srow", 280, 12))
    for i in range(n)
}
WHOLE = (0, -1, 1, 2, 3, 5, 7, 23, 25, 64, 255, 256, 512, 768, 1024, 2000, 32767, -32768)
REAL = (0.0, -1.0, 0.5, 2.0, 353.0, 368.0, 1e30, -1e30, np.nan, np.inf, 1e-30)
TEXTS = (
    "?",
    "-1",
    "1e999",
    "inf",
    "1,5",
    "0x10",
    "x" * 3000,
    "76\x000.26",
    "a\tb",
    '"',
    "\x07",
    "1e308",
)
DESCRIPTIONS = ("[]", "null", "3", "{", "", "[" * 100_000, '{"Name": 5, "synthetic": true}', "\ufeff", "\x00")
DESCRIPTIONS += (
    '{"Name": " ", "synthetic": false}',
    '{"Name": "x", "synthetic": "false"}',
    '{"Name": ["x"]}',
)
DESCRIPTIONS += (
    '{"Name": "x", "synthetic": true, "Complete": "no"}',
    '{"Name": "\\u0007", "synthetic": true}',
)


def table(folder):
    return folder / "participants.tsv"


def a_cell(folder, rng):
    data = pd.read_csv(table(folder), sep="\t", dtype=str, keep_default_na=False)
    # Others are free text, or have another word for what is unknown.
    named = [c.name for c in COLUMNS if not c.extra and (c.levels or c.is_number)]
    column, text = rng.choice(named), rng.choice(TEXTS)
    data.loc[rng.integers(len(data)), column] = text
    lines = ["\t".join(row) for row in [data.columns, *data.to_numpy()]]
    table(folder).write_text("\n".join(lines) + "\n")
    return f"{column} = {text[:20]!r}"


def the_rows(folder, rng):
    text = table(folder).read_text()
    lines = text.splitlines()
    cells = lines[1].split("\t")
    changes = {
        "too long": [lines[0], *(f"{line}\t1" for line in lines[1:])],
        "one too long": [*lines[:2], f"{lines[2]}\t1"],
        "too short": [*lines[:2], lines[2].rpartition("\t")[0]],
        "twice": [*lines, lines[1]],
        "a column twice": [f"{line}\t{line.split(chr(9))[3]}" for line in lines],
        "no header": lines[1:],
        "commas": [line.replace("\t", ",") for line in lines],
        "blank lines": [lines[0], "", *lines[1:], "", ""],
        "a long id": [lines[0], "\t".join([cells[0], "x" * 300, *cells[2:]]), *lines[2:]],
        "many columns": [lines[0] + "\tx" * 1_000_000, *lines[1:]],
        "many rows": [lines[0], *lines[1:2] * 200_000],
        "only a header": lines[:1],
    }
    name = rng.choice(list(changes))
    table(folder).write_text("\n".join(changes[name]) + "\n")
    return name


def the_encoding(folder, rng):
    content = table(folder).read_text()
    changes = {
        "utf-16": content.encode("utf-16"),
        "latin-1": content.replace("male", "mâle").encode("latin-1"),
        "byte order mark": content.encode("utf-8-sig"),
        "windows lines": content.replace("\n", "\r\n").encode(),
        "old lines": content.replace("\n", "\r").encode(),
        "random bytes": rng.bytes(5000),
        "a byte changed": content.encode()[:400] + b"\xff" + content.encode()[401:],
        "nothing": b"",
        "cut": content.encode()[: content.rindex("\t") - int(rng.integers(60))],
    }
    name = rng.choice(list(changes))
    table(folder).write_bytes(changes[name])
    return name


def the_description(folder, rng):
    text = rng.choice(DESCRIPTIONS)
    (folder / "dataset_description.json").write_text(text)
    return text[:40]


def a_file(folder, rng):
    patient = read_cohort(folder).patients["patient_id"][0]
    files = [table(folder), folder / "dataset_description.json", image_path(folder, patient, "t1w")]
    path = rng.choice([*files, mask_path(folder, patient, "t2w")])
    path.unlink()
    kind = rng.choice(["pipe", "folder", "loop", "device", "nothing", "absent"])
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "nothing":
        path.touch()
    elif kind != "absent":
        path.symlink_to("/dev/zero" if kind == "device" else path.name)
    return f"{path.name.rpartition('_')[2]} is {kind}"


def an_image(folder, rng):
    """Return a path, what unpacks from it, and whether it is a mask."""
    patient, is_mask = read_cohort(folder).patients["patient_id"][0], rng.random() < 0.3
    path = (mask_path if is_mask else image_path)(folder, patient, rng.choice(["t1w", "t2w", "cet1w"]))
    return path, bytearray(gzip.decompress(path.read_bytes())), is_mask


def the_header(folder, rng):
    path, content, _ = an_image(folder, rng)
    field = rng.choice(list(FIELDS))
    kind, at = FIELDS[field]
    value = float(rng.choice(REAL)) if kind == "f" else int(rng.choice(WHOLE))
    value = value % 256 if kind == "B" else value
    struct.pack_into(f"<{kind}", content, at, value)
    path.write_bytes(gzip.compress(bytes(content)) if rng.random() < 0.8 else content)
    return f"{path.name.rpartition('_')[2]} {field} = {value}"


def a_few_header_bits(folder, rng):
    path, content, _ = an_image(folder, rng)
    at = rng.choice(
        [*range(4), *range(40, 56), *range(70, 74), *range(76, 92), *range(108, 112), *range(252, 348)]
    )
    content[at] ^= 1 << rng.integers(8)
    path.write_bytes(gzip.compress(bytes(content)))
    return f"byte {at}"


def the_voxels(folder, rng):
    path, content, _ = an_image(folder, rng)
    kind = {2: "u1", 4: "<i2", 16: "<f4"}[struct.unpack_from("<h", content, 70)[0]]
    voxels = np.frombuffer(content, kind, offset=352).copy()
    ends = (
        (3, 255)
        if kind == "u1"
        else (-32768, 32767)
        if kind == "<i2"
        else (-1e38, 1e38, 1e6, 65535, np.nan, np.inf)
    )
    value, n = rng.choice(ends), int(rng.choice([1, 1, 2, 5, len(voxels) // 3]))
    where = rng.choice(len(voxels), n, replace=False)
    if n > 5:  # padding, around the picture
        where = np.flatnonzero(voxels <= np.quantile(voxels, 0.2))
    voxels[where] = value
    path.write_bytes(gzip.compress(bytes(content[:352]) + voxels.tobytes()))
    return f"{path.name.rpartition('_')[2]} {n} voxels = {value}"


def the_length(folder, rng):
    path, content, _ = an_image(folder, rng)
    packed, n = path.read_bytes(), int(rng.integers(1, len(content) - 352))
    changes = {
        "packed, cut": packed[: int(rng.integers(1, len(packed)))],
        "cut, packed again": gzip.compress(bytes(content[:-n])),
        "longer": gzip.compress(bytes(content) + rng.bytes(n)),
        "not packed, cut": content[:-n],
        "rubbish behind": packed + rng.bytes(100),
        "a bit changed": packed[:-n] + bytes([packed[-n] ^ 16]) + packed[len(packed) - n + 1 :]
        if n < len(packed)
        else b"",
        "two files": packed + packed,
        "unpacks to much": gzip.compress(bytes(content) + bytes(400_000_000), 1)
        if rng.random() < 0.2
        else packed[:-1],
    }
    name = rng.choice(list(changes))
    path.write_bytes(changes[name])
    return name


def a_bomb(folder, rng):
    path, content, _ = an_image(folder, rng)
    struct.pack_into("<3h", content, 42, *(int(n) for n in rng.choice([400, 1500, 3000, 32767], 3)))
    path.write_bytes(gzip.compress(bytes(content)))
    return "claims to be large"


KINDS = (
    a_cell,
    the_rows,
    the_encoding,
    the_description,
    a_file,
    the_header,
    a_few_header_bits,
    the_voxels,
    the_length,
    a_bomb,
)
WEIGHTS = np.array([3, 3, 2, 2, 2, 6, 3, 4, 3, 1]) / 29


def reading(folder):
    """Return what the cohort's reader makes of it: patients, and preprocessed images with contours."""
    cohort = read_cohort(folder)
    found = []
    for patient, sequence in itertools.product(cohort.patients["patient_id"], ["t1w", "t2w", "cet1w"]):
        volume = cohort.read_volume(patient, sequence)
        found.append((preprocess(volume).image, volume))
    return cohort.patients, found


def differs(found, wanted) -> str:
    """Return what is read otherwise than it was; a few voxels may differ, not what is made of others."""
    if not found[0].equals(wanted[0]):
        return "the table is read otherwise"
    for (image, volume), (sound_image, sound) in zip(found[1], wanted[1], strict=True):
        place = [(v.spacing, v.origin, v.direction) for v in (volume, sound)]
        if volume.image.shape != sound.image.shape or any(
            np.abs(np.subtract(a, b)).max() > 0.01 for a, b in zip(*place, strict=True)
        ):
            return "an image lies elsewhere"
        if (np.abs(image - sound_image) > 0.25).mean() > 0.02 + 1.05 * (volume.image != sound.image).mean():
            return "voxels that were not touched came out otherwise"
        # Contours may be missing, and the check counts those that there are.
        if volume.mask is not None and (volume.mask != sound.mask).mean() > 0.02:
            return "contours are read otherwise"
    return ""


def _peak_kilobytes() -> int:
    """Return the most memory that this process has held; getrusage counts its parent's as well."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.read_text().partition("VmHWM:")[2].split()[0])


def outcome(folder, wanted) -> tuple[str, str]:
    """Return how a damaged cohort fares (read, refused, or a fault) and what is said."""
    said, start = io.StringIO(), time.process_time()
    signal.alarm(HANGS)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main(["check", str(folder)])
    except BaseException as error:
        return "traceback", repr(error)[:300]
    finally:
        signal.alarm(0)
    seconds, lines = time.process_time() - start, said.getvalue().splitlines()
    if seconds > SECONDS:
        return "slow", f"{seconds:.1f} s"
    if _peak_kilobytes() > MEGABYTES * 1024:
        return "large", ""
    if status == 0:
        wrong = differs(reading(folder), wanted)
        return ("silently wrong", wrong) if wrong else ("read", "")
    if status not in (2, 3) or len(lines) > 30 or re.search("Traceback|0x[0-9a-f]{6}|/ITK/", said.getvalue()):
        return "unclear", said.getvalue()[:500]
    if max(map(len, lines)) > 700:
        return "unclear", max(lines, key=len)[:500]
    return "refused", lines[0]


def hanging(*_):
    raise TimeoutError(f"nothing after {HANGS} s")


def try_cases(folder: str, seeds) -> list[tuple]:
    """Damage copies of a cohort and return seed, kind, what was done, outcome, and what was said."""
    signal.signal(signal.SIGALRM, hanging)
    # What the chapters need is the same in each case, and takes long to find.
    run.plan_chapters = partial(list, run.plan_chapters())
    wanted, found = reading(Path(folder)), []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        with tempfile.TemporaryDirectory() as place:
            copy = Path(shutil.copytree(folder, Path(place) / "cohort"))
            damage = rng.choice(KINDS, p=WEIGHTS)
            done = damage(copy, rng)
            found.append((seed, damage.__name__, done, *outcome(copy, wanted)))
    return found


def try_all(folder, seed: int, cases: int) -> list[tuple]:
    """Try cases in fresh processes; one that hangs or dies fails the whole."""
    seeds = [(seed, number) for number in range(cases)]
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        parts = [pool.apply_async(try_cases, (str(folder), seeds[i::WORKERS])) for i in range(WORKERS)]
        return [case for part in parts for case in part.get(timeout=1800)]


def make_cohort(place) -> Path:
    """Write three patients of a synthetic cohort."""
    folder = write_cohort(place, patients=30, grid=(6, 24, 24), workers=1)
    keep = table(folder).read_text().splitlines(keepends=True)[:4]
    table(folder).write_text("".join(keep))
    kept = {line.split("\t")[1] for line in keep[1:]}
    for part in (*folder.glob("sub-*"), *folder.glob("derivatives/masks/sub-*")):
        if part.name.removeprefix("sub-") not in kept:
            shutil.rmtree(part)
    return folder


FAULTS = {"traceback", "slow", "large", "silently wrong", "unclear"}


@pytest.mark.slow
def test_damage_is_found_or_does_no_harm(tmp_path):
    found = try_all(make_cohort(tmp_path / "sound"), SEED, CASES)
    assert [case for case in found if case[3] in FAULTS] == []
    # The damage is real: most of it is refused, and what is read is not for want of looking.
    assert Counter(case[3] for case in found)["refused"] > CASES / 2


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        cases = try_all(make_cohort(Path(place) / "sound"), *map(int, sys.argv[1:3]))
    for case in sorted(cases, key=lambda case: case[3]):
        sys.stdout.write(" | ".join(map(str, case)) + "\n")
    sys.stdout.write(json.dumps(Counter(case[3] for case in cases)) + "\n")
