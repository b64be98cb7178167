"""The repository agrees with itself: pins, notebooks, README, and nothing that does not belong in it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from npcbook import main
from npcbook.book import run as book
from npcbook.book.pages import toc_files

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
    assert book.stale_notebooks() == []
    scripts = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert scripts == {plan.name for plan in book.CHAPTERS}
    assert {f"notebooks/{name}" for name in scripts} < set(toc_files())


@pytest.mark.parametrize("plan", book.CHAPTERS, ids=lambda plan: plan.name)
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
    names = book.declared_parameters(plan.name)
    assert {"cohort_folder", "run_folder"} <= names
    # Chapter 02 has most: every setting of the training in which paper, script and book differ.
    assert len(names) <= 14
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


def test_library_is_flat_and_thin():
    modules = list((ROOT / "npcbook").glob("*.py"))
    assert not [path for path in (ROOT / "npcbook").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert not [path.name for path in modules if re.search(r"\d", path.stem)]
    assert not [path.name for path in modules if "sys.path" in path.read_text()]


def test_readme_commands_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    makes = {command.split()[1] for command in COMMANDS if command.startswith("make ")}
    assert {"book", "test"} <= makes <= targets
    for word in re.findall(r"`make ([a-z]+)`", README):
        assert word in targets


def test_links_and_commands_of_readme_and_contributing_exist():
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", README + contributing):
        assert (ROOT / target).exists(), target
    (block,) = re.findall(r"```bash\n(.*?)```", contributing, re.S)
    assert len(block.splitlines()) == 5
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z]+)", contributing):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_module_has_its_place_in_the_api_reference():
    pages = "".join(path.read_text() for path in (ROOT / "notebooks").glob("api_*.md"))
    modules = {path.stem for path in (ROOT / "npcbook").glob("*.py")} - {"__init__", "__main__"}
    assert sorted(re.findall(r"automodule:: npcbook\.(\w+)", pages)) == sorted(modules)


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
    for command in ([], ["book"], ["simulate"], ["check"], ["predict"], ["clean"], ["sync"]):
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
