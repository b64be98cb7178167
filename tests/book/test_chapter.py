"""The run folder: what chapters write is whole, labelled, and read back as it was."""

import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from npcbook.book.chapter import open_chapter
from npcbook.store import atomic_path, code_fingerprint, files_fingerprint, fingerprint, imported_modules
from npcbook.words import SYNTHETIC_LABEL


@pytest.fixture
def chapter(tmp_path):
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    (cohort / "dataset_description.json").write_text(json.dumps({"Name": "x", "synthetic": True}))
    return open_chapter("05_cox_models", run_folder=tmp_path / "run", cohort_folder=cohort)


def test_a_table_comes_back_as_it_was_written(chapter):
    table = pd.DataFrame(
        {"patient_id": ["001", "002"], "center": ["1", "2"], "ldh": ["normal", "missing"], "x": [0.1, None]}
    )
    chapter.write("scores", table)
    pd.testing.assert_frame_equal(chapter.read("05_cox_models/scores"), table)


def test_missing_input_names_the_chapter_that_writes_it(chapter):
    with pytest.raises(FileNotFoundError, match="run 01_cohorts first"):
        chapter.read("01_cohorts/cohort")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"


def test_figures_and_tables_carry_the_label(chapter):
    fig, ax = plt.subplots()
    ax.plot([0, 1])
    chapter.figure("curve", fig, "A straight line.")
    assert any(text.get_text() == SYNTHETIC_LABEL for text in fig.texts)
    assert "</svg>" in (chapter.folder / "figures" / "curve.svg").read_text()
    assert (chapter.folder / "figures" / "curve.pdf").read_bytes().startswith(b"%PDF")
    assert not plt.fignum_exists(fig.number)
    assert SYNTHETIC_LABEL in chapter.table("t", pd.DataFrame({"a": [1]}), "A table.").to_html()
    assert chapter.read("05_cox_models/shown")["caption"].tolist() == ["A straight line.", "A table."]


def test_recording_an_unknown_number_or_track_is_an_error(chapter):
    with pytest.raises(ValueError, match=r"table4\.training\.c_index\.nonesuch"):
        chapter.record("table4.training.c_index.nonesuch", 0.5)
    with pytest.raises(ValueError, match="recommended"):
        chapter.record("table4.training.c_index.dc", 0.5, track="guessed")


def test_recording_twice_keeps_the_last(chapter):
    chapter.record("table4.training.c_index.dc", 0.5)
    chapter.record("table4.training.c_index.dc", 0.6)
    assert chapter.read("05_cox_models/values")["value"].tolist() == [0.6]


def test_a_cached_table_is_made_once_for_a_key(chapter):
    made = []

    def make():
        made.append(1)
        return pd.DataFrame({"a": [len(made)]})

    assert chapter.cached("t", "key 1", make)["a"].tolist() == [1]
    assert chapter.cached("t", "key 1", make)["a"].tolist() == [1]
    assert chapter.cached("t", "key 2", make)["a"].tolist() == [2]


def test_fingerprints_see_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = files_fingerprint([tmp_path / "a"], relative_to=tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert files_fingerprint([tmp_path / "b"], relative_to=tmp_path) != first
    assert fingerprint({"x": 1, "y": 2}) == fingerprint({"y": 2, "x": 1})


def test_code_fingerprint_follows_imports():
    assert imported_modules("from npcbook.cox import fit_cox\nfrom npcbook import plots\nimport numpy") == {
        "cox",
        "plots",
    }
    assert code_fingerprint("runs") != code_fingerprint("fingerprints")
