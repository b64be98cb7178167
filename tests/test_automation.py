"""What runs elsewhere is at least well formed: workflows, templates, containers, hooks, what they call."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from npcbook.__main__ import parser

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
NIGHTLY = ".github/workflows/nightly.yml"
YAML = [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"]
SCRIPTS = [ROOT / ".binder/postBuild", ROOT / "Dockerfile", ROOT / ".devcontainer/devcontainer.json"]


def tool(name):
    """Import a script from tools."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_every_file_can_be_read():
    assert len(WORKFLOWS) >= 6
    assert all(isinstance(yaml.safe_load(path.read_text()), dict) for path in YAML)
    assert json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())["postCreateCommand"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_pinned_limited_and_may_do_no_more_than_it_needs(path):
    workflow = yaml.safe_load(path.read_text())
    assert {"name", True, "permissions", "jobs"} <= workflow.keys()  # YAML reads the key `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "latest" not in str(job["runs-on"])
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    text = path.read_text() + (ROOT / ".github/actions/setup/action.yml").read_text()
    for used in re.findall(r"uses: (\S+.*)", text):
        assert used.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", used), used
        assert not used.startswith("./") or (ROOT / used / "action.yml").exists()


@pytest.mark.parametrize("path", [*WORKFLOWS, *SCRIPTS], ids=lambda path: path.name)
def test_what_is_called_exists(path):
    text = path.read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z.][\w./]*)", text.replace("$(READY)", ".venv/.ready")):
        assert re.search(rf"^{re.escape(target)}:", makefile.replace("$(READY)", ".venv/.ready"), re.M), (
            target
        )
    for command in re.findall(r"-m npcbook ([^\"\n]+)", text):
        parser().parse_args(shlex.split(command))
    for script in re.findall(r"\b(?:tools|tests)/[\w/]+\.py|\.ci/run", text):
        assert (ROOT / script).exists()


def test_every_nightly_script_runs_every_night_with_options_that_it_has():
    runs = [step.get("run", "") for step in steps(yaml.safe_load((ROOT / NIGHTLY).read_text()))]
    scripts = [path for path in (ROOT / "tests/nightly").glob("*.py") if "def test_" not in path.read_text()]
    assert scripts
    for path in scripts:
        (command,) = [run for run in runs if str(path.relative_to(ROOT)) in run]
        assert command.startswith(f"python {path.relative_to(ROOT).as_posix()} ")
        known = set(re.findall(r'add_argument\("(--\w+)"', path.read_text()))
        assert set(re.findall(r" (--\w+)", command)) <= known


def test_actionlint_finds_nothing():
    program = shutil.which("actionlint")
    if not program:
        pytest.skip("actionlint is not installed; the workflow Tests runs it")
    found = subprocess.run([program, *WORKFLOWS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_the_weekly_cases_are_stored():
    stored = json.loads((ROOT / "tools/drift.json").read_text())
    workflow = yaml.safe_load((ROOT / ".github/workflows/drift.yml").read_text())
    cases = [case["case"] for case in workflow["jobs"]["ledger"]["strategy"]["matrix"]["include"]]
    assert set(cases) == set(stored)
    counts = list(stored.values())
    assert all(case["status"]["compared"] > 100 for case in counts)


def test_a_count_that_drifts_is_named():
    drift = tool("drift")
    stored = {"status": {"compared": 3}, "in printed CI": {"yes": 10}, "recorded": {"a, truth": 1}}
    assert drift.differences(stored, stored | {"in printed CI": {"yes": 12}}) == []
    lines = drift.differences(stored, {"status": {"compared": 4}, "in printed CI": {"yes": 3}})
    assert lines == [
        "in printed CI: yes: 10 stored, 3 now",
        "recorded: a, truth: 1 stored, 0 now",
        "status: compared: 3 stored, 4 now",
    ]


def test_all_files_name_the_same_version(capsys):
    release = tool("release")
    (version,) = set(release.versions().values())
    assert release.main(f"v{version}") == 0
    assert capsys.readouterr().out.startswith("- ")
    assert release.main("v99") == 1
    assert "The tag is v99, but npcbook/__init__.py has" in capsys.readouterr().err
