"""What is kept is whole, made once, and made again when anything that it rests on has changed."""

import linecache
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from npcbook.store import (
    atomic_path,
    code_fingerprint,
    files_fingerprint,
    fingerprint,
    imported_modules,
    is_kept,
    keep,
)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"


def test_fingerprints_see_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = files_fingerprint([tmp_path / "a"], relative_to=tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert files_fingerprint([tmp_path / "b"], relative_to=tmp_path) != first
    assert fingerprint({"x": 1, "y": 2}) == fingerprint({"y": 2, "x": 1})


def test_fingerprints_take_arrays_frames_dataclasses_files_and_functions(tmp_path):
    @dataclass(frozen=True)
    class Settings:
        epochs: int

    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    pairs = [
        (np.arange(3), np.arange(4)),
        (pd.DataFrame({"x": [1]}), pd.DataFrame({"x": [2]})),
        (Settings(1), Settings(2)),
        (tmp_path / "a", tmp_path / "b"),
        (tmp_path / "a", tmp_path / "absent"),
        (fingerprint, imported_modules),
        (partial(fingerprint, 1), partial(fingerprint, 2)),
    ]
    for one, other in pairs:
        assert fingerprint(one) == fingerprint(one)
        assert fingerprint(one) != fingerprint(other)
    assert fingerprint(np.arange(3), Settings(1)) == fingerprint(np.arange(3), Settings(1))


def test_what_a_chapter_imports_from_a_wing_counts_as_its_module():
    wings = "from npcbook.statistics import fit_cox, harrell_c\nfrom npcbook.imaging import training"
    text = f"{wings}\nimport numpy"
    assert imported_modules(text) == {
        "npcbook.statistics.cox",
        "npcbook.statistics.concordance",
        "npcbook.imaging.training",
    }
    assert code_fingerprint("npcbook.store") != code_fingerprint("npcbook.words")


def double(value):
    return {"x": np.full(3, 2 * value)}


MADE = []


def make(value):
    MADE.append(value)
    return pd.DataFrame({"patient_id": ["007"], "x": [value]})


def test_a_result_is_made_once_for_the_same_arguments(tmp_path):
    for value in (1, 1, 2, 2):
        kept = keep(tmp_path / "t.csv", make, value)
        assert kept.to_dict("records") == [{"patient_id": "007", "x": value}]
    assert MADE == [1, 2]


def test_what_a_function_encloses_counts(tmp_path):
    def times(factor):
        def multiply(value):
            return factor * value

        return multiply

    assert [keep(tmp_path / "t.json", times(factor), 2) for factor in (2, 2, 3)] == [4, 4, 6]
    for nameless in (lambda: 1, Path(".").exists):
        with pytest.raises(ValueError, match="give a function with a name"):
            fingerprint(nameless)


def test_values_that_a_chapters_function_names_count():
    source = "LIMIT = 5\n\n\ndef above(x):\n    y = [LIMIT for x in x]\n    return y\n"
    keys = []
    for limit, mine in ((5, 1), (5, 2), (6, 2)):
        text = source.replace("5", str(limit))
        module = {"__name__": "__main__", "x": mine, "y": mine}  # not those of the function
        name = f"<chapter {limit}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), module)
        keys.append(code_fingerprint(module["above"]))
    assert keys[0] == keys[1] != keys[2]


def test_a_damaged_or_replaced_result_is_made_again(tmp_path):
    path = tmp_path / "t.npz"
    for damage in (b"", b"rubbish", None):
        np.testing.assert_array_equal(keep(path, double, 2)["x"], 4)
        assert is_kept(path)
        path.unlink() if damage is None else path.write_bytes(damage)
        assert not is_kept(path)
    np.testing.assert_array_equal(keep(path, double, 2)["x"], 4)


def test_other_code_or_other_files_make_a_result_anew(tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("one")
    path = tmp_path / "t.json"

    def read(file):
        return file.read_text()

    assert keep(path, read, source) == "one"
    source.write_text("two")
    assert keep(path, read, source) == "two"
