"""Risk scores of one's own: matched by id whatever the file, refused in a line where they cannot be used."""

import json

import numpy as np
import pandas as pd
import pytest

from npcbook.__main__ import main
from npcbook.book import run as book
from npcbook.cohort import read_scores
from npcbook.words import LABELS

N = 12


@pytest.fixture
def cohort(tmp_path):
    """Return the folder of a cohort that is a table only."""
    folder = tmp_path / "ward"
    folder.mkdir()
    n = np.arange(N)
    pd.DataFrame({
        "patient_id": [f"P{i:03d}" for i in n], "center": "a",
        "cohort": np.where(n < 8, "training", "validation"),
        "age": 50, "sex": "male", "who_type": "III", "t_stage": "T2", "n_stage": "N1", "ldh": "normal",
        "ebv_dna": "detectable", "rene": 0, "chemotherapy": "none", "ccnd_mg_m2": 0,
        "dmfs_months": 10.0 + n, "dm_event": n % 2, "os_months": 30.0 + n, "os_event": 0,
    }).to_csv(folder / "participants.csv", index=False)  # fmt: skip
    description = {"Name": "Ward", "synthetic": False}
    (folder / "dataset_description.json").write_text(json.dumps(description))
    return folder


def table(**columns):
    return pd.DataFrame({"id": [f"P{i:03d}" for i in range(N)], "risk": np.linspace(-1, 2, N)} | columns)


def test_scores_come_from_csv_tsv_and_workbooks_under_their_own_names(cohort, tmp_path):
    table().to_csv(tmp_path / "a.csv", sep=";", decimal=",", index=False)
    table(other=range(N)).iloc[::-1].to_csv(tmp_path / "b.tsv", sep="\t", index=False)
    table(deep=np.arange(N) / 7).to_excel(tmp_path / "c.xlsx", index=False)
    found = read_scores(
        cohort, [f"{tmp_path}/a.csv:risk", f"{tmp_path}/b.tsv:other", f"{tmp_path}/c.xlsx:deep"]
    )
    assert list(found) == ["risk", "other", "deep"]
    assert found.index.tolist() == table()["id"].tolist()
    assert found["risk"].tolist() == np.linspace(-1, 2, N).tolist()
    assert found["other"].tolist() == list(range(N))
    assert LABELS["deep"] == "deep"
    assert "deep" not in LABELS


def test_the_cohort_s_own_file_is_read_and_one_that_is_given_takes_its_place(cohort, tmp_path):
    table(second=range(N)).to_csv(cohort / "scores.csv", index=False)
    assert list(read_scores(cohort)) == ["risk", "second"]
    table(risk=range(N)).to_csv(tmp_path / "a.csv", index=False)
    assert read_scores(cohort, [f"{tmp_path}/a.csv:risk"])["risk"].tolist() == list(range(N))


def test_scores_are_read_to_the_last_bit(cohort, tmp_path):
    risk = np.random.default_rng(1).normal(size=(N, 40))
    names = [f"s{i}" for i in range(40)]
    pd.DataFrame(risk, columns=names).assign(id=table()["id"]).to_csv(tmp_path / "a.csv", index=False)
    found = read_scores(cohort, [tmp_path / "a.csv"])
    assert (found[names].to_numpy() == risk).all()
    # As a run keeps them, and a chapter reads them back.
    book.write_scores(tmp_path, found.to_csv())
    again = read_scores(cohort, [tmp_path / book.OWN_SCORES])
    assert (again[names].to_numpy() == risk).all()


def test_ids_match_with_their_prefix_and_by_the_hospital_s_own(cohort, tmp_path):
    key = pd.DataFrame(
        {"patient_id": [f"P{i:03d}" for i in range(N)], "hospital_id": [f"张-{i}" for i in range(N)]}
    )
    key.to_csv(cohort.with_name("ward.key.csv"), index=False)
    for ids in ([f"sub-p{i:03d}" for i in range(N)], [f"张-{i}" for i in range(N)]):
        table(id=ids).to_csv(tmp_path / "a.csv", index=False)
        assert read_scores(cohort, [f"{tmp_path}/a.csv:risk"])["risk"].notna().all()


def test_who_has_no_score_and_who_is_no_patient_is_counted(cohort, tmp_path):
    rows = table().iloc[3:].assign(risk=lambda df: df["risk"].where(df["id"] != "P005"))
    rows.loc[99] = ["X9", 0.5]
    rows.to_csv(tmp_path / "a.csv", index=False)
    found = read_scores(cohort, [f"{tmp_path}/a.csv"])
    assert found["risk"].isna().sum() == 4
    (said,) = found.attrs["said"]
    assert said == "risk: 8 of 12 patients have one; 1 rows of the file are of nobody in the cohort"


@pytest.mark.parametrize(
    ("change", "spec", "words"),
    [
        ({}, "none.csv:risk", ("no file", "none.csv")),
        ({}, "a.csv:rosk", ("no column 'rosk'", "it has id, risk")),
        ({"id": [f"Q{i}" for i in range(N)]}, "a.csv:risk", ("none of its 12 rows", "12 patients", "'P000'")),
        ({"id": ["P000"] * N}, "a.csv:risk", ("11 ids stand twice", "P000")),
        ({"risk": [*range(N - 1), "inf"]}, "a.csv:risk", ("1 of 12 values", "'inf'")),
        ({"risk": [*range(N - 2), "high", "low"]}, "a.csv:risk", ("2 of 12 values", "'high'")),
        ({"risk": 1.5}, "a.csv:risk", ("12 values do not differ",)),
        ({"dc": range(N)}, "a.csv:dc", ("cannot have this name",)),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line_before_anything_runs(
    cohort, tmp_path, capsys, monkeypatch, change, spec, words
):
    table(**change).to_csv(tmp_path / "a.csv", index=False)
    monkeypatch.setenv("NPCBOOK_ROOT", str(tmp_path / "data"))
    monkeypatch.setattr(book, "sync_notebooks", list)
    monkeypatch.setattr(book, "check_parameters", lambda parameters: None)
    monkeypatch.setattr(book, "run_chapters", lambda **_: pytest.fail("a chapter ran"))
    assert main(["book", "--profile", "smoke", "--cohort", str(cohort), "--score", f"{tmp_path}/{spec}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words), line


def test_all_problems_of_all_scores_are_said_at_once(cohort, tmp_path):
    table(flat=1.0).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match=r"no column 'x'.*\n.*do not differ"):
        read_scores(cohort, [f"{tmp_path}/a.csv:x", f"{tmp_path}/a.csv:flat"])
    with pytest.raises(ValueError, match="given twice"):
        read_scores(cohort, [f"{tmp_path}/a.csv:risk", f"{tmp_path}/a.csv:risk"])


def test_scores_stay_with_the_run_that_was_given_them(cohort, tmp_path):
    scores = read_scores(cohort)
    book.write_scores(tmp_path, table().set_index("id").to_csv())
    assert (tmp_path / book.OWN_SCORES).exists()
    book.write_scores(tmp_path, "" if scores.empty else scores.to_csv())
    assert not (tmp_path / book.OWN_SCORES).exists()


@pytest.mark.parametrize(
    ("columns", "spec", "said"),
    [
        ({}, "a.csv:id", "no score 'id' beside its ids"),
        ({"risk": ""}, "b.csv", "no score beside its ids"),
        ({"age": range(N)}, "a.csv:age", "cannot have this name"),
        ({"risk": [1e308, *range(N - 1)]}, "a.csv:risk", "no finite number"),
        ({"twice": range(N)}, "a.csv:risk", "several columns 'risk'"),
    ],
)
def test_what_is_no_score_is_refused_in_a_line(cohort, tmp_path, monkeypatch, columns, spec, said):
    monkeypatch.chdir(tmp_path)
    table(**columns).rename(columns={"twice": "risk"}).to_csv("a.csv", index=False)
    table().iloc[:, :1].to_csv("b.csv", index=False)
    with pytest.raises(ValueError, match=said) as refused:
        read_scores(cohort, [spec])
    assert len(str(refused.value).splitlines()) == 1


def test_scores_that_the_book_would_refuse_are_a_problem_of_their_cohort(cohort, capsys):
    table(risk="x").to_csv(cohort / "scores.csv", index=False)
    assert main(["check", str(cohort)]) == 3
    assert "scores.csv: risk: 12 of 12 values are no finite number" in capsys.readouterr().out.replace(
        ", ", ": "
    )
