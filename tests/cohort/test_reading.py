"""Tables and descriptions that others wrote: any text is read as it stands, or refused in one line."""

import csv
import io
import os
import zipfile

import openpyxl
import pytest
from hypothesis import given, settings, strategies as st

from npcbook.__main__ import main
from npcbook.book.chapter import describe_cohort
from npcbook.cohort import check_cohort
from npcbook.cohort.importing.mapping import read_section
from npcbook.cohort.importing.tables import read_tables
from npcbook.cohort.reading import description_problems, read_description
from npcbook.cohort.table import _read_text, read_text_table
from npcbook.store import CONTROLS, LIMITS, read_json, read_outside_text

FEW = settings(max_examples=60, deadline=None)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=12)
NAMES = st.lists(TEXT.map(lambda text: " ".join(text.split())), min_size=2, max_size=5, unique=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("reading")


@FEW
@given(st.data())
def test_a_table_comes_back_as_it_was_written(place, data):
    header = data.draw(NAMES.filter(any))
    rows = data.draw(st.lists(st.lists(TEXT, min_size=len(header), max_size=len(header)), max_size=4))
    rows = [row for row in rows if any(map(str.strip, row))]
    text = io.StringIO()
    csv.writer(text, delimiter="\t").writerows([header, *rows])
    (place / "table.tsv").write_text(text.getvalue(), encoding="utf-8", newline="")
    table = read_text_table(place / "table.tsv", "\t")
    assert list(table) == header
    assert table.to_numpy().tolist() == [[" ".join(cell.split()) for cell in row] for row in rows]


def refusal(read) -> str | None:
    """Return what is said where something is refused; any other error than ValueError comes through."""
    try:
        read()
    except ValueError as error:
        return str(error)
    return None


@FEW
@given(
    st.one_of(
        st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
    )
)
def test_any_bytes_are_a_table_or_refused_in_one_line(place, content):
    path = place / "any.tsv"
    path.write_bytes(content)
    for read in (lambda: _read_text(path), lambda: read_json(path)):
        said = refusal(read)
        assert said is None or (str(path) in said and len(said) < 500)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=5,
)


@FEW
@given(
    st.fixed_dictionaries({}, optional={name: JSON for name in ("Name", "synthetic", "Remark", "Complete")})
)
def test_any_description_is_sound_or_said_to_be_wrong(description):
    problems = description_problems(description)
    sound = isinstance(description.get("synthetic"), bool) and isinstance(description.get("Name"), str)
    assert problems or sound
    assert all(problem[0].islower() and problem[-1] == "." for problem in problems)


BAD = {
    "[]": "an object",
    "null": "an object",
    "3": "an object",
    "[" * 100_000: "nested too deeply",
    "{": "not valid JSON",
    '{"Name": 5, "synthetic": true}': '"Name"',
    '{"Name": " ", "synthetic": true}': '"Name"',
    '{"Name": {"a": 1}, "synthetic": true}': '"Name"',
    '{"Name": "x", "synthetic": "false"}': '"synthetic"',
    '{"Name": "x", "synthetic": true, "Complete": "no"}': '"Complete"',
    '{"Name": "x\\u0007", "synthetic": true}': '"Name"',
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_a_description_is_refused_by_whoever_reads_it(tmp_path, text):
    path = tmp_path / "dataset_description.json"
    path.write_text(text)
    for read in (read_description, describe_cohort):
        with pytest.raises(ValueError, match=BAD[text]) as refused:
            read(tmp_path)
        assert len(str(refused.value).splitlines()) == 1
    assert any(BAD[text] in problem.message for problem in check_cohort(tmp_path))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"a\tb\n1\t2\t3\n", "row 2 has 3 cells and the header 2"),
        (b"a\tb\n1\n", "row 2 has 1 cells and the header 2"),
        (b"a\tb\ta\n1\t2\t3\n", "named twice"),
        (b"a\tb\n1\t2\x003\n", "control character .* line 2"),
        (b"a\tb\n1\t\x07\n", "control character"),
        (b"a\tb\n1\t\xe9\n", "not UTF-8 .line 2.: save it"),
        ("a\tb\n".encode("utf-16"), "not UTF-8"),
        (b'a\tb\n1\t"2\n', "close the quotes"),
        (b"", "is empty"),
        (b"a,b\n1,2\n", "one column"),
        (b"a\tb\n1\t" + b"x" * 3000, "3,000 letters in a cell, and at most"),
        (b"\t" * 10_000, "columns, and at most"),
        (b"a\tb\n" + b"1\t2\n" * 150_000, "rows, and at most"),
    ],
)
def test_a_table_that_would_be_guessed_at_is_refused_with_its_line(tmp_path, content, word):
    path = tmp_path / "participants.tsv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=word) as refused:
        _read_text(path)
    assert str(path) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_blank_lines_are_passed_over_and_rows_keep_their_numbers(tmp_path):
    (tmp_path / "t.tsv").write_text("a\tb\n\n1\t2\n\t\n  \n \t\u00a0\n3\t4\n")
    assert read_text_table(tmp_path / "t.tsv", "\t").index.tolist() == [1, 5]


@pytest.mark.parametrize("name", ["participants.tsv", "dataset_description.json"])
def test_what_is_no_file_is_said_at_once(tmp_path, name, capsys):
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "synthetic": false}')
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    assert main(["check", str(tmp_path)]) == 3
    assert f"{name}: is no file but a folder, pipe or device" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["table.csv", "table.xlsx", "pipe.csv"])
def test_what_is_imported_is_looked_at_first(tmp_path, monkeypatch, file):
    path, about = tmp_path / file, "no file but a folder, pipe or device"
    if file == "pipe.csv":
        os.mkfifo(path)
    else:
        monkeypatch.setitem(LIMITS, "bytes of a table", 10_000)
        about = "bytes of a table, and at most 10,000"
        path.write_text("a,b\n" * 3000)
    if file == "table.xlsx":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet1.xml", bytes(1_000_000))
    with pytest.raises(ValueError, match=about):
        read_tables([path])


@pytest.mark.parametrize(
    ("far", "words"), [("A150000", ""), ("XFD2", "columns, and at most"), ("XFD300", "columns, and at most")]
)
def test_a_cell_far_from_all_others_takes_no_memory(tmp_path, far, words):
    book = openpyxl.Workbook()
    for row in (["id", "age"], ["A", 50], ["B", 60.5]):
        book.active.append(row)
    book.active[far] = "x"
    book.save(tmp_path / "t.xlsx")
    said = refusal(lambda: read_tables([tmp_path / "t.xlsx"])) or ""
    assert words in said if words else said == ""


def test_many_columns_are_refused_at_once(tmp_path):
    for n, words in ((20_000, "columns, and at most"), (1_000_000, "cannot be read as a table")):
        (tmp_path / "t.csv").write_text(",".join(map(str, range(n))) + "\n1,2\n")
        with pytest.raises(ValueError, match=words):
            read_tables([tmp_path / "t.csv"])


def test_a_limit_can_be_raised(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    monkeypatch.setitem(LIMITS, "bytes of a table", 5)
    with pytest.raises(ValueError, match="NPCBOOK_LIMITS=2 in the environment"):
        read_outside_text(tmp_path / "t.csv", "bytes of a table")
    monkeypatch.setenv("NPCBOOK_LIMITS", "2")
    assert read_text_table(tmp_path / "t.csv", ",").shape == (1, 2)


def test_no_control_character_is_taken_for_text():
    assert all(CONTROLS.search(chr(code)) for code in range(32) if chr(code) not in "\t\n\r")
    assert not CONTROLS.search("Żółć 中文 – “x”\t\r\n")


@pytest.mark.parametrize(
    "line",
    [
        *(f"patients: {value}" for value in ("many", "40.5", "1e9", ".nan", "[]", "-1", "true", "5")),
        *(
            f"grid: {value}"
            for value in ("8", "[0, 0, 0]", "[8, 99999, 99999]", "[8, 32]", "[a, b, c]", "[8.5, 32, 32]")
        ),
        "epochs: {a: {b: 1}}",
        "1: 2",
        "seed: [[1]]",
    ],
)
def test_a_profile_with_nonsense_values_is_refused_in_one_line(tmp_path, capsys, line, monkeypatch):
    monkeypatch.setenv("NPCBOOK_ROOT", str(tmp_path / "root"))
    (tmp_path / "my.yml").write_text(f"patients: 60\ngrid: [8, 32, 32]\n{line}\n")
    assert main(["simulate", "--profile", str(tmp_path / "my.yml")]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "my.yml" in said
    assert not any((tmp_path / "root/data").glob("[!.]*"))


def test_no_tag_of_yaml_runs_anything(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NPCBOOK_ROOT", str(tmp_path / "root"))
    call, made = f"!!python/object/apply:os.mkdir ['{tmp_path / 'made'}']", tmp_path / "made"
    (tmp_path / "my.yml").write_text(f"patients: 60\ngrid: [8, 32, 32]\nepochs: {call}\n")
    (tmp_path / "map.yml").write_text(f"table:\n  name: {call}\n")
    assert main(["simulate", "--profile", str(tmp_path / "my.yml")]) == 2
    assert main(["book", "--profile", "smoke", "-p", f"epochs={call}"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all("python/object/apply:os.mkdir" in line for line in said)
    assert read_section(tmp_path / "map.yml", "table") == {"name": [str(made)]}
    assert not made.exists()
