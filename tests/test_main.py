"""The command line: parameters and profiles are understood, or refused in one line that says what to do."""

import pytest

from npcbook.__main__ import as_number, main, read_overrides, read_settings
from npcbook.book import run as book


@pytest.fixture
def nothing_runs(monkeypatch):
    """Keep what a chapter run would start with; write nothing."""
    given = []

    def stop(parameters):
        given.append(parameters)
        raise FileNotFoundError("stopped before any chapter")

    monkeypatch.setattr(book, "sync_notebooks", list)
    monkeypatch.setattr(book, "check_parameters", stop)
    return given


def test_a_number_with_an_exponent_is_a_number(nothing_runs, tmp_path):
    profile = tmp_path / "my.yml"
    profile.write_text("network_width: tiny\nlearning_rate: 1e-3\n")
    assert main(["book", "--profile", str(profile), "-p", "learning_rate=1e-4", "-p", "epochs=5"]) == 2
    assert main(["book", "--profile", str(profile)]) == 2
    assert nothing_runs == [
        {"network_width": "tiny", "learning_rate": 1e-4, "epochs": 5},
        {"network_width": "tiny", "learning_rate": 1e-3},
    ]


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("1e-4", 1e-4),
        ("5", 5),
        ("0.5", 0.5),
        ("'5'", "5"),
        ("small", "small"),
        ("8, 32, 32", "8, 32, 32"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1e999", "1e999"),
        ("a=b", "a=b"),
        ("true", True),
    ],
)
def test_values_are_taken_as_they_are_written(value, meant):
    (found,) = read_overrides([f"name={value}"]).values()
    assert found == meant
    assert type(found) is type(meant)
    assert as_number(meant) == meant


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["-p", "epochs"], ("'epochs'", "write -p NAME=VALUE")),
        (["-p", "=5"], ("'=5'", "write -p NAME=VALUE")),
        (["-p", "grid=[8, 32"], ("'grid=[8, 32'", "write -p NAME=VALUE")),
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused_in_one_line(nothing_runs, capsys, given, words):
    assert main(["book", "--profile", "smoke", *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words)
    assert nothing_runs == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs: 5\n", ("lacks patients and grid", "my.yml")),
        ("patients: 60\nepochs: 5\n", ("lacks grid", "my.yml")),
        ("", ("lacks patients and grid", "my.yml")),
        ("patients: 60\ngrid: [8, 32\nepochs: 5\n", ("not valid YAML (line", "my.yml")),
        ("- patients\n- grid\n", ("NAME: VALUE", "my.yml")),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_in_one_line(tmp_path, capsys, text, words):
    (tmp_path / "my.yml").write_text(text)
    assert main(["simulate", "--profile", str(tmp_path / "my.yml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words)


def test_the_profiles_of_the_book_are_read():
    for name in ("smoke", "laptop", "paper"):
        settings = read_settings(name)
        assert settings == book.read_profile(name)
        assert {"patients", "grid"} <= set(settings)
