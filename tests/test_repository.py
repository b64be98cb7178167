"""The repository agrees with itself: pins, notebooks, README, and nothing that does not belong in it."""

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from npcbook.__main__ import main
from npcbook.book import notebooks, run as book
from npcbook.book.pages import api_pages, toc_files

ROOT = Path(__file__).parents[1]
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split("\n")
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.S)
    for line in block.replace("\\\n", " ").splitlines()
    if line
]


def lock_pins():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_conda_and_pip_have_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip_pins,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    # pyradiomics needs numpy before it can be built, so the file's head says to install it second.
    (radiomics,) = lock_pins() - set(pip_pins)
    assert radiomics in (ROOT / "environment.yml").read_text()
    assert set(pip_pins) < lock_pins()
    assert all("==" in pin for pin in pip_pins)


def test_every_dependency_is_pinned():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["test"]
    normal = {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in lock_pins()}
    names = [re.split(r"[<>=]", name)[0] for name in wanted]
    assert [name for name in names if re.sub(r"[-_.]+", "-", name).lower() not in normal] == []


def test_notebooks_are_what_their_scripts_stand_for():
    assert notebooks.stale_notebooks() == []
    scripts = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert scripts == {plan.name for plan in book.plan_chapters()}
    assert {f"notebooks/{name}" for name in scripts} < set(toc_files())


@pytest.mark.parametrize("plan", book.plan_chapters(), ids=lambda plan: plan.name)
def test_a_chapter_has_the_parts_every_chapter_has(plan):
    notebook = json.loads((ROOT / "notebooks" / f"{plan.name}.ipynb").read_text())
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    text = "\n".join(sources)
    assert sources[0].startswith("# ")
    (parameters,) = [
        source
        for cell, source in zip(notebook["cells"], sources, strict=True)
        if "parameters" in cell["metadata"].get("tags", [])
    ]
    names = set(book.read_declared(plan.name))
    own_data = plan.name[:2] == "00" or plan.name == "09d_real_patients"
    assert {"cohort_folder", "run_folder"} - names <= ({"cohort_folder"} if own_data else set())
    assert len(names) <= 8
    assert len(parameters.splitlines()) <= 20
    assert re.search(r"^#+ In short", text, re.M)
    assert "if smoke" not in text
    assert not re.search(r"import \*|sys\.path|matplotlib\.use", text)


def test_profiles_name_parameters_that_exist():
    for profile in ("smoke", "laptop", "paper"):
        book.check_parameters(book.read_profile(profile))
    with pytest.raises(FileNotFoundError, match="laptop, paper, smoke"):
        book.read_profile("desktop")


def test_no_absolute_path_and_no_stored_output_is_tracked():
    texts = {}
    for name in TRACKED:
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".yml", ".toml", ".ipynb", ".cff", ".css", ".csv", ".json", ""}
            and path.is_file()
        ):
            texts[name] = path.read_text()
    hits = [
        n
        for n, t in texts.items()
        if n != "tests/test_repository.py" and re.search(r"/(root|home|work|tmp)/\w", t)
    ]
    assert hits == []
    assert [n for n, t in texts.items() if n.endswith(".ipynb") and '"output_type"' in t] == []


WINGS = {"statistics", "imaging", "cohort", "synthetic", "paper", "book"}


def test_the_library_has_six_wings_and_two_ground_rooms():
    package = ROOT / "npcbook"
    assert {path.stem for path in package.glob("*.py")} == {"__init__", "__main__", "store", "words"}
    assert {path.parent.name for path in package.glob("*/__init__.py")} == WINGS
    modules = list(package.rglob("*.py"))
    assert not [path.name for path in modules if re.search(r"\d", path.stem)]
    assert not [path.name for path in modules if "sys.path" in path.read_text()]


def test_text_has_an_encoding_of_its_own_wherever_it_is_read_or_written():
    """Elsewhere it would be the computer's, which on Windows is not that of the files."""
    scripts = [ROOT / name for name in TRACKED if name.endswith(".py") and not name.startswith("tests/")]
    calls = [
        (path.name, call.lineno)
        for path in scripts
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", "") in ("read_text", "write_text")
        and len(call.args) == (call.func.attr == "write_text")
        and not call.keywords
    ]
    assert calls == []


def test_no_chapter_number_in_the_library():
    names = "|".join(plan.name for plan in book.plan_chapters())
    said = re.compile(rf"{names}|[Cc]hapters? \d\d")
    hits = [path.name for path in (ROOT / "npcbook").rglob("*.py") if said.search(path.read_text())]
    assert hits == []


def test_each_face_names_what_is_there():
    for wing in WINGS:
        face = importlib.import_module(f"npcbook.{wing}")
        assert all(getattr(face, name).__name__ == name for name in face.__all__ if name[0].islower())


def test_a_wheel_holds_every_wing(tmp_path):
    source, installed = tmp_path / "source", tmp_path / "installed"
    tracked = [name for name in TRACKED if name.startswith("npcbook/")]
    for name in [*tracked, "pyproject.toml", "README.md", "LICENSE"]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    options = ["-q", "--no-deps", "--no-build-isolation", "-w", tmp_path]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, source], check=True)
    (wheel,) = tmp_path.glob("npcbook-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    assert [name for name in tracked if not (installed / name).exists()] == []
    check = "import npcbook.statistics as s; print(s.__file__); s.harrell_c, s.fit_cox"
    command, options = [sys.executable, "-c", check], {"capture_output": True, "text": True, "check": True}
    environment = os.environ | {"PYTHONPATH": str(installed)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, **options)
    assert str(installed) in result.stdout


def test_the_reference_has_a_page_a_wing_and_nothing_else():
    (ROOT / "npcbook" / "__pycache__").mkdir(exist_ok=True)
    assert set(api_pages()) == {f"api_{name}.md" for name in (*WINGS, "ground")}
    assert {f"notebooks/api_{name}" for name in (*WINGS, "ground")} < set(toc_files())


def test_readme_commands_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    makes = {command.split()[1] for command in COMMANDS if command.startswith("make ")}
    assert {"book", "test"} <= makes <= targets
    for word in re.findall(r"`make ([a-z]+)`", README):
        assert word in targets


@pytest.mark.parametrize("value", ["a b", "it's", "; echo $$HOME `id` > x", '-o "q" *'])
def test_make_hands_on_any_profile_and_python_as_one_word(value):
    given = [f"PROFILE={value}", f"PYTHON=/{value}/python3"]
    lines = subprocess.run(
        ["make", "-nB", "book", *given], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    value = value.replace("$$", "$")
    (book_line,) = [line for line in lines if "-m npcbook book" in line]
    assert shlex.split(book_line)[-1] == f"--profile={value}"
    used = [shlex.split(line) for line in lines if "system-packages" in line or "-m venv" in line]
    assert used[0][0] == f"PYTHON=/{value}/python3"
    assert f"/{value}/python3" in used[1]


def test_links_and_commands_of_readme_and_contributing_exist():
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", README + contributing):
        assert (ROOT / target).exists(), target
    (block,) = re.findall(r"```bash\n(.*?)```", contributing, re.S)
    assert len(block.splitlines()) == 5
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z]+)", contributing):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_what_was_seen_while_settings_were_chosen_is_told_alike_everywhere():
    told = """While settings were chosen, by values of training patients, the validation values of the default
    synthetic cohort (seed 50) and of another (seed 101) stood on the screen; those of the cohorts of chapter
    09c (seeds from 201) did not"""
    chapters = ("02_segmentation", "03_dl_training", "05_cox_models", "09b_model_worth", "09c_other_cohorts")
    files = [f"notebooks/{name}.py" for name in chapters]
    for file in (*files, "notebooks/glossary.md", "benchmarks/README.md"):
        text = re.sub(r"^# ", "", (ROOT / file).read_text(), flags=re.M)
        assert " ".join(told.split()) in " ".join(text.split()), file


def test_the_glossary_has_each_term_once():
    text = (ROOT / "notebooks" / "glossary.md").read_text()
    blocks = re.findall(r"```{glossary}\n(.*?)```", text, re.S)
    terms = [line for block in blocks for line in block.splitlines() if line and not line.startswith(" ")]
    assert len(terms) == len(set(terms)) >= 40


def test_the_viewers_library_comes_with_its_licences():
    folder = ROOT / "notebooks" / "viewer"
    (packed,) = folder.glob("niivue-*.js.xz")
    assert packed.stat().st_size < 1e6
    assert packed.name.removesuffix(".xz") in (folder / "LICENSES.txt").read_text()


def test_help_of_every_command_explains_itself(capsys):
    one = ["book", "simulate", "check", "predict", "verify-run", "clean", "sync", "lab"]
    for command in ([], *([name] for name in one), ["import", "table"], ["import", "images"]):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--help"])
        assert stop.value.code == 0
        assert "usage" in capsys.readouterr().out


def test_wrong_arguments_end_with_two_and_one_clear_line(capsys):
    assert main(["check", "no/such/folder"]) == 2
    assert main(["book", "--profile", "desktop"]) == 2
    assert main(["book", "--profile", "smoke", "-p", "min_fracton=0.2"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "no/such/folder" in lines[0]
    assert "laptop" in lines[1]
    assert "min_fraction" in lines[2]
    with pytest.raises(SystemExit) as stop:
        main(["bok"])
    assert stop.value.code == 2


def test_the_command_runs_as_a_module():
    result = subprocess.run([sys.executable, "-m", "npcbook", "sync", "--check"], cwd=ROOT, check=False)
    assert result.returncode == 0
