"""A hospital's table, with most parts missing, goes through all chapters that can run on it."""

import importlib.util
import re
from unittest.mock import MagicMock

import jupytext
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from IPython.display import Markdown

from npcbook.book.pages import without_planted
from npcbook.book.run import notebook_source, plan_chapters, write_absent
from npcbook.cohort import read_parts
from npcbook.store import project_path

pytestmark = pytest.mark.book
spec = importlib.util.spec_from_file_location("realistic", project_path("tests/cohort/realistic.py"))
realistic = importlib.util.module_from_spec(spec)
spec.loader.exec_module(realistic)
#: Words about patients who were made, not met; studies may be simulated from real ones.
SIMULATED = re.compile(r"synthetic|planted|phantoms|simulated (?:patient|cohort|data|image)", re.IGNORECASE)
#: As little resampling as shows that a chapter runs.
LITTLE = {"permutations": 50, "resamples": 5, "n_bootstraps": 10, "n_repeats": 10, "n_resamples": 10}
LITTLE |= {"n_permutations": 10}


@pytest.mark.parametrize("plan", plan_chapters(), ids=lambda plan: plan.name)
def test_what_a_chapter_says_of_simulated_patients_is_marked(plan):
    cells = jupytext.read(notebook_source(plan.name)).cells
    texts = [
        without_planted(cell.source)
        for cell in cells
        if cell.cell_type == "markdown" and "planted" not in cell.metadata.get("tags", [])
    ]
    made = [text for text in texts if SIMULATED.search(text)]
    assert made == [] or plan.needs == ("planted",) or plan.name.startswith("09d")  # of real patients always


@pytest.fixture
def drawn(monkeypatch):
    """Draw nothing and show nothing, as other tests do; return what is said."""
    said = []
    monkeypatch.setattr("npcbook.book.chapter.Chapter.figure", lambda *args: plt.close("all"))
    for name in ("display", "update_display"):
        monkeypatch.setattr(f"npcbook.book.chapter.{name}", lambda shown, **options: said.append(shown))
    for place in ("npcbook.book", "npcbook.book.figures"):
        for name in ("plot_kaplan_meier", "plot_panels"):
            monkeypatch.setattr(f"{place}.{name}", MagicMock())
    return said


def run(name, given):
    """Run a chapter's code in this process."""
    script = notebook_source(name).read_text()
    for parameter, value in given.items():
        script = re.sub(rf"(?m)^{parameter} = .*$", f"{parameter} = {value!r}", script)
    exec(compile(script, f"{name}.py", "exec"), {"__name__": name})


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the libraries, on few events
def test_a_table_without_validation_os_and_images_goes_through_the_book(tmp_path, monkeypatch, drawn):
    table = realistic.unknown_here_and_there().query("cohort == 'training'")
    table["center"] = [realistic.CHINESE[i % 3] for i in range(len(table))]
    table = table.drop(columns=["cohort", "os_months", "os_event", "ldh"])
    monkeypatch.setitem(realistic.COHORTS, "own", (lambda: table, {}))
    cohort, folder = realistic.write(tmp_path, "own"), tmp_path / "run"
    parts, given = read_parts(cohort), LITTLE | {"cohort_folder": str(cohort), "run_folder": str(folder)}
    ran = []
    for plan in plan_chapters():
        if plan.needs and (lacking := parts.missing(plan.needs)):
            write_absent(plan.name, lacking, folder)
        elif plan.needs or plan.name.startswith("01_"):
            run(plan.name, given)
            ran.append(plan.name.split("_")[0])
    assert {"01", "05", "06", "07", "08", "09", "09b"} <= set(ran)
    texts = [shown.data for shown in drawn if isinstance(shown, Markdown)]
    assert len(texts) > 30
    assert [text for text in texts if SIMULATED.search(text)] == []
    scores = pd.read_csv(folder / "05_cox_models/scores_recommended.csv")
    assert list(scores.columns) == ["patient_id", "clinical"]
    assert scores["clinical"].notna().any()
    groups = pd.read_csv(folder / "06_km/groups_recommended.csv")
    assert {"low", "high"} <= set(groups["clinical"])
    assert (folder / "03_dl_training/absent.txt").read_text().startswith("This chapter needs")
    said = (folder / "01_cohorts/methods.txt").read_text()
    assert realistic.CHINESE[0] in said
    assert "Of 64 patients read 64 were analysed" in " ".join(said.split())
    shown = pd.read_csv(folder / "01_cohorts/shown.csv")["caption"]
    assert shown.str.contains(f"H1 {sorted(realistic.CHINESE[:3])[0]}").any()
    flow = pd.read_csv(folder / "01_cohorts/tables/flow.csv")
    assert "hospital H3" in flow.columns
