"""The run folder: what chapters write is whole, labelled, and read back as it was."""

import json
from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import PIL.Image
import pytest

from npcbook.book.chapter import in_short, open_chapter, show_source, use_fonts
from npcbook.book.pages import finish_pages, fold_code, front_page, join_code, split_outputs, without_planted
from npcbook.book.run import write_absent
from npcbook.book.tables import show
from npcbook.words import PRINT_LABEL, SYNTHETIC_LABEL, format_ci


@pytest.fixture
def displayed(monkeypatch):
    """What is put out, in the order in which it is."""
    shown = []
    for name in ("display", "update_display"):
        monkeypatch.setattr(f"npcbook.book.chapter.{name}", lambda item, **options: shown.append(item))
    return shown


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


def test_a_figure_is_laid_out_once_and_shown_whole(chapter, displayed, monkeypatch):
    laid_out = []
    engine = "matplotlib.layout_engine.ConstrainedLayoutEngine.execute"
    monkeypatch.setattr(engine, lambda self, fig: laid_out.append(fig))
    fig, ax = plt.subplots(figsize=(2, 1), layout="constrained")
    ax.text(2, 0.5, "far out")
    chapter.figure("wide", fig, "A word beside the axes.")
    assert laid_out == [fig]
    with PIL.Image.open(chapter.folder / "figures" / "wide.png") as picture:
        assert picture.width > 300 * 3


def test_figures_and_tables_carry_the_label(chapter, displayed):
    fig, ax = plt.subplots()
    ax.plot([0, 1])
    chapter.figure("curve", fig, "A straight line.")
    assert any(text.get_text() == SYNTHETIC_LABEL for text in fig.texts)
    assert "</svg>" in (chapter.folder / "figures" / "curve.svg").read_text()
    assert (chapter.folder / "figures" / "curve.pdf").read_bytes().startswith(b"%PDF")
    assert not plt.fignum_exists(fig.number)
    chapter.table("t", pd.DataFrame({"a": [1]}), "A table.")
    assert SYNTHETIC_LABEL in displayed[-1].to_html()
    assert chapter.read("05_cox_models/shown")["caption"].tolist() == ["A straight line.", "A table."]


@pytest.mark.parametrize("columns", [[], ["model", "p"]])
def test_of_a_table_without_a_row_nothing_is_shown_or_kept(chapter, displayed, columns):
    before = len(displayed)
    chapter.table("t", pd.DataFrame(columns=columns), "A table.")
    assert len(displayed) == before
    assert not (chapter.folder / "tables" / "t.csv").exists()


def test_recording_an_unknown_number_or_track_is_an_error(chapter):
    with pytest.raises(ValueError, match=r"table4\.training\.c_index\.nonesuch"):
        chapter.record("table4.training.c_index.nonesuch", 0.5)
    with pytest.raises(ValueError, match="recommended"):
        chapter.record("table4.training.c_index.dc", 0.5, track="guessed")


def test_recording_twice_keeps_the_last(chapter):
    chapter.record("table4.training.c_index.dc", 0.5)
    chapter.record("table4.training.c_index.dc", 0.6)
    assert chapter.read("05_cox_models/values")["value"].tolist() == [0.6]


def test_takeaways_stand_in_order_and_sentences_where_they_are_said(chapter, displayed):
    in_short()
    chapter.takeaway(2, "C is 0.79.")
    chapter.takeaway(1, "120 patients.")
    chapter.say("*How to read it.* 0.5 is chance.")
    texts = [item.data for item in displayed]
    assert texts[-2:] == ["- 120 patients.\n- C is 0.79.", "*How to read it.* 0.5 is chance."]


def test_a_bullet_without_its_number_is_left_out_unless_it_is_the_first(chapter):
    chapter.takeaway(1, "**The ratio is –**.")
    chapter.takeaway(2, "It goes from 0.2–0.9 (Kaplan–Meier).")
    chapter.takeaway(2, "The best of – cut-offs.")
    chapter.takeaway(3, "The C-index is –, here 3.")
    chapter.takeaway(4, "It goes from 0.2–0.9 (Kaplan–Meier), or <0.01–>1000.")
    assert sorted(chapter.takeaways) == [1, 4]


def test_source_is_shown_whole(displayed):
    show_source(format_ci)
    text = displayed[0].data
    assert text.startswith("````python\n# npcbook.words\ndef format_ci(")
    assert text.endswith("\n````")


def test_figures_fall_back_on_a_font_with_chinese_characters_where_there_is_one(monkeypatch):
    monkeypatch.setitem(plt.rcParams, "font.family", ["sans-serif"])
    for names, family in (
        (["DejaVu Sans"], ["sans-serif"]),
        (["Noto Sans CJK SC", "DejaVu Sans"], ["sans-serif", "Noto Sans CJK SC"]),
    ):
        fonts = SimpleNamespace(ttflist=[SimpleNamespace(name=name) for name in names])
        monkeypatch.setattr("npcbook.book.chapter.font_manager.fontManager", fonts)
        for _ in range(2):  # a chapter may be opened again
            use_fonts()
        assert plt.rcParams["font.family"] == family


def test_what_cannot_be_estimated_is_noted_and_listed(chapter):
    with chapter.noting("a number"):
        float("no number")
    assert list(chapter.notes) == ["a number"]
    chapter.not_estimable()
    assert "no number" in chapter.read("05_cox_models/tables/not_estimable")["why there is none"][0]
    with pytest.raises(ZeroDivisionError), chapter.noting("a fault is no gap"):
        raise ZeroDivisionError


def test_nothing_is_listed_if_everything_could_be_had(chapter):
    chapter.not_estimable()
    assert not (chapter.folder / "tables").exists()


def test_paragraphs_for_the_methods_are_forgotten_when_the_chapter_opens_again(chapter):
    chapter.methods("One\n  paragraph.")
    assert (chapter.folder / "methods.txt").read_text() == "One paragraph.\n\n"
    again = open_chapter("05_cox_models", run_folder=chapter.run_folder)
    assert again.label == PRINT_LABEL
    assert not (again.folder / "methods.txt").exists()


def test_the_front_page_takes_sentences_by_place_under_the_label_of_their_data(
    chapter, tmp_path, monkeypatch
):
    chapter.front_page("Of a\n  cohort.", position=3)
    chapter.front_page("Later.")
    printed = open_chapter("00_printed_numbers", run_folder=chapter.run_folder)
    printed.front_page("Second of print.", position=2)
    printed.front_page("First, replaced.", position=1)
    printed.front_page("First of print.", position=1)
    monkeypatch.setattr("npcbook.book.pages.notice", lambda folder: f"{SYNTHETIC_LABEL}. A trial.")
    page = front_page(chapter.run_folder)
    assert f"**{PRINT_LABEL}.** No patient data.\n\n- First of print.\n- Second of print.\n" in page
    assert f"**{SYNTHETIC_LABEL}.** A trial.\n\n- Of a cohort.\n- Later.\n" in page
    assert page.index("## What was found") < page.index("## Chapters") < page.index("## Two commands")
    open_chapter("00_printed_numbers", run_folder=chapter.run_folder)
    assert PRINT_LABEL not in front_page(chapter.run_folder)


def test_what_has_lost_its_number_is_shown_no_longer(chapter, displayed):
    chapter.front_page("The ratio is 2.", position=3)
    chapter.takeaway(1, "First.")
    chapter.takeaway(2, "The ratio is 2.")
    with chapter.noting("a ratio"):
        raise ValueError("no events")
    chapter.not_estimable()
    # The same cells once more, with other parameters.
    chapter.front_page("The ratio is \u2013.", position=3)
    chapter.takeaway(2, "The ratio is \u2013.")
    with chapter.noting("a ratio"):
        pass
    chapter.not_estimable()
    assert json.loads((chapter.folder / "front.json").read_text()) == {"label": SYNTHETIC_LABEL}
    assert displayed[-1].data == "- First."
    assert list(chapter.read("05_cox_models/takeaways")["text"]) == ["First."]
    assert not (chapter.folder / "tables" / "not_estimable.csv").exists()
    assert chapter.read("05_cox_models/shown").empty


def test_a_figure_on_the_front_page_says_what_it_shows_and_of_whom(chapter, displayed, monkeypatch):
    chapter.figure("dots", plt.figure(), "Dots.")
    chapter.front_figure("dots", "A *sentence*.")
    monkeypatch.setattr("npcbook.book.pages.notice", lambda folder: "")
    page = front_page(chapter.run_folder)
    assert f'figures/05_cox_models/dots.svg" alt="Dots. {SYNTHETIC_LABEL}."' in page
    assert "</figure>\n\nA *sentence*.\n" in page


def test_the_script_for_formulas_stays_where_there_are_formulas(tmp_path):
    script = '<p><script defer src="../_static/mathjax/tex.js"></script><script>window.MathJax = {}</script>'
    for name, text in (("with", '<span class="math notranslate">'), ("without", "")):
        (tmp_path / f"{name}.html").write_text(f"<script>1</script>{script}{text}")
    finish_pages(tmp_path)
    assert script in (tmp_path / "with.html").read_text()
    assert (tmp_path / "without.html").read_text() == "<script>1</script><p>"


def test_pages_of_real_patients_lose_what_is_marked_and_nothing_else():
    marked = """(a-target)=
### What was planted

<span class="planted">For a synthetic cohort the risk
is known.</span> A digital phantom stays,<span class="planted"> as may
be planted,</span> whole.

- First item.
- <span class="planted">An item,
  over two lines.</span>
- Last item.

| a | b |
| --- | --- |
| 1 | <span class="planted">gone</span> |
| 2 | 3 |"""
    assert without_planted(marked) == (
        "(a-target)=\n### What was planted\n\n A digital phantom stays, whole.\n\n"
        "- First item.\n- Last item.\n\n| a | b |\n| --- | --- |\n| 2 | 3 |"
    )
    plain = "A simulated score.\n\n- One.\n- Two.\n\n---\n\n| - |"
    assert without_planted(plain) == plain


def test_a_folded_table_or_figure_says_what_it_is_and_source_its_name():
    shown = show(pd.DataFrame({"n": [1]}), caption="A [long] table.", label="L", name="00_a/b")
    data, marks = shown._repr_mimebundle_()
    outputs = [
        nbformat.v4.new_output("display_data", {"text/markdown": "Said."}),
        nbformat.v4.new_output("display_data", data, metadata=marks),
        nbformat.v4.new_output(
            "display_data", {"text/markdown": "````python\n1\n````"}, metadata={"source": "one"}
        ),
    ]
    cell = nbformat.v4.new_code_cell("1", outputs=outputs, metadata={"tags": ["hide-output"]})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    split_outputs(notebook)
    code, said, table, source = notebook.cells
    assert (code.outputs, said.source) == ([], "Said.")
    assert set(table.metadata["mystnb"].values()) == {"A [long] table."}
    assert "hide-output" in table.metadata["tags"]
    assert source.source.startswith(":::::{dropdown} Source: `one`\n````python")


def test_on_a_page_cells_say_what_they_head(tmp_path):
    table = show(pd.DataFrame({"model": ["a", "a"], "n": [1, 2]}), caption="C.", label="L")._repr_html_()
    written = (
        '<tr class="row-odd"><th class="head"><p>x</p></th></tr>\n<tr class="row-even"><td><p>1</p></td>'
    )
    (tmp_path / "page.html").write_text(f"{table}{written}<tr><td style='width: 33%'><ul></ul></td></tr>")
    finish_pages(tmp_path)
    page = (tmp_path / "page.html").read_text()
    assert page.count('scope="col"') == 3
    assert page.count('scope="row"') == 3
    assert page.count("repeated") == 2  # the rule, and the second row's name
    assert "<td style='width: 33%'>" in page


def test_a_code_of_a_hospital_has_its_name_beside_it(chapter, displayed):
    codes = chapter.name_hospitals(["Department of Radiation Oncology", "中山大学肿瘤防治中心"])
    fig, ax = plt.subplots()
    ax.set_title(f"hospital {codes['中山大学肿瘤防治中心']}")
    chapter.figure("one", fig, "One hospital.")
    chapter.table("both", pd.DataFrame({"hospital": list(codes.values()), "n": [1, 2]}), "Both.")
    chapter.table("none", pd.DataFrame({"n": [1, 2]}), "None.")
    captions = chapter.read("05_cox_models/shown")["caption"].tolist()
    assert captions[0] == "One hospital. Hospitals: H2 中山大学肿瘤防治中心."
    assert captions[1].endswith("H1 Department of Radiation Oncology, H2 中山大学肿瘤防治中心.")
    assert captions[2] == "None."
    assert chapter.name_hospitals(["1", "2"]) == {"1": "1", "2": "2"}


def test_characters_that_no_font_has_are_told_in_one_line(chapter, displayed, monkeypatch):
    monkeypatch.setitem(plt.rcParams, "font.family", ["DejaVu Sans"])
    fig, ax = plt.subplots()
    ax.set_title("中山")
    chapter.figure("boxes", fig, "Boxes.")
    (said,) = [item.data for item in displayed if "fonts-noto-cjk" in str(getattr(item, "data", ""))]
    assert said.startswith("2 characters")


def test_a_chapter_without_its_part_leaves_a_page_of_one_sentence_with_its_targets(chapter):
    run = chapter.run_folder
    (run / "06_km" / "tables").mkdir(parents=True)
    (run / "06_km" / "groups.csv").write_text("old")
    write_absent("06_km", "distant metastases", run)
    notebook = nbformat.read(run / "notebooks" / "06_km.ipynb", as_version=4)
    (cell,) = notebook.cells
    assert cell.source.startswith("# ")
    assert "(km-hazard-ratios)=" in cell.source
    assert cell.source.rstrip().endswith(
        "This chapter needs what the cohort does not have: distant metastases."
    )
    assert not (run / "06_km" / "groups.csv").exists()
    assert chapter.find("06_km/groups") is None
    with pytest.raises(FileNotFoundError, match="run 07_subgroups first"):
        chapter.find("07_subgroups/x")


def test_a_page_shows_what_a_run_was_given_beside_the_defaults():
    sources = {
        "parameters": "seed = 1  # 0 or more",
        "injected-parameters": "# Parameters\nseed = 2\n",
        "": "seed",
    }
    cells = [
        nbformat.v4.new_code_cell(source, metadata={"tags": [tag] if tag else []})
        for tag, source in sources.items()
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    join_code(notebook)
    fold_code(notebook)
    defaults, given, code = notebook.cells
    assert (defaults.source, given.source) == (sources["parameters"], "# Given in this run:\nseed = 2\n")
    folded = ["hide-input" in cell.metadata["tags"] for cell in (defaults, given, code)]
    assert folded == [False, False, True]
