"""What each *Try this* box promises comes true on the trial run, in a branch of it."""

import ast
import re
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from npcbook.book.branches import BRANCHES
from npcbook.book.parameters import check_values, read_declared
from npcbook.book.run import plan_chapters, read_profile
from npcbook.store import project_path
from npcbook.synthetic import write_cohort

BOX = re.compile(r"# ```\{admonition\} Try this\n(.*?)# ```\n", re.S)
BULLET = re.compile(r"^# - (.*?)(?=^# - |^#\n|\Z)", re.M | re.S)
ITEM = re.compile(r"^# - `(\w+(?:\[\"\w+\"\])?) = ([^`]+)`", re.M)
CHAPTERS = [plan.name for plan in plan_chapters()]


def box(chapter):
    found = BOX.search(project_path(f"notebooks/{chapter}.py").read_text())
    return found[1] if found else ""


def bullets(chapter):
    """Return the suggestions of a chapter's box, each as one line."""
    texts = (re.sub(r"\s*\n#\s*", " ", text).strip() for text in BULLET.findall(box(chapter)))
    return [re.sub("</?span[^>]*>", "", text) for text in texts]


def suggested(chapter):
    """Return the parameters and values that a chapter's box suggests."""
    return ITEM.findall(box(chapter))


class Run:
    """Tables of a chapter in a run, and the figures that a branch drew."""

    def __init__(self, folder, drawn=None):
        self.folder, self.drawn = folder, drawn

    def __call__(self, name, **options):
        path = self.folder / f"{name}.csv"
        path = path if path.exists() else self.folder / "tables" / f"{name}.csv"
        return pd.read_csv(path, **options) if path.exists() else pd.DataFrame()

    def values(self):
        return self("values").set_index(["id", "track"])["value"]


def numbers(texts):
    """Return the number that each text begins with, such as 0.93 of 0.93 (0.87–0.98)."""
    return pd.Series(texts).str.extract(r"^([\d.]+)")[0].astype(float)


def signed(texts):
    return texts.astype(str).str.replace("−", "-").astype(float)


def first_c(run):
    """Return the C-index of the combined recommended score in training, and the width of its limits."""
    text = run("c_index").set_index("Score").loc["Combined", "Training, recommended"]
    c, low, high = map(float, re.findall(r"[\d.]+", text))
    return c, high - low


def unsure(run):
    """Return by how much the lower limit of stability stays below the ICC, mean over families."""
    table = run("stability")
    return (signed(table["median ICC"]) - signed(table["median lower limit"])).mean()


def width(texts):
    """Return the width, as a ratio, of the limits in texts such as 1.20 (0.80–1.90); none for no limits."""
    limits = pd.Series(texts).str.extract(r"\(([\d.]+)–>?([\d.]+)\)").astype(float)
    return limits[1] / limits[0]


def lost(run):
    """Return by how much the rate falls if deaths count, in per cent."""
    rate = (
        run("effects").set_index("topic").loc["DMFS", ["value", "value then"]].str.rstrip(" %").astype(float)
    )
    return rate.iloc[0] - rate.iloc[1]


def run_chapter(chapter, run_folder, monkeypatch, *changed, cohort="data/cohorts/synthetic-smoke"):
    """Run a chapter's code in this process, lines of parameters changed; return its run and its figures."""
    drawn = {}
    monkeypatch.setattr(
        "npcbook.book.chapter.Chapter.figure", lambda _, name, fig, alt: drawn.update({name: fig})
    )
    monkeypatch.setattr("npcbook.book.chapter.Chapter.front_figure", lambda *args: None)
    for shown in ("display", "update_display"):
        monkeypatch.setattr(f"npcbook.book.chapter.{shown}", lambda *args, **options: None)
    given = read_profile("smoke") | {"run_folder": str(run_folder), "cohort_folder": str(cohort)}
    lines = [f"{n} = {v!r}" for n, v in given.items() if n in read_declared(chapter)]
    script = project_path(f"notebooks/{chapter}.py").read_text()
    end = script.index("\n# %%", script.index('tags=["parameters"]'))
    script = "\n".join([script[:end], *lines, *changed, script[end:]])
    variables = {"__name__": chapter}
    exec(compile(script, f"{chapter}.py", "exec"), variables)
    plt.close("all")
    return variables["chapter"].run_folder, drawn


def side(fig):
    """Return the voxels along the rows of a figure's first picture."""
    return fig.axes[0].images[0].get_array().shape[1]


def far(run, other):
    """Return by how many standard errors each planted trait's own probe differs between two runs, at most."""
    own = [("variation inside", "heterogeneity"), ("enhancement around", "infiltration")]
    found = [[np.arctanh(signed(r("probes").set_index("probe")[c])[p]) for p, c in own] for r in (run, other)]
    return np.abs(np.subtract(*found)).max() / np.hypot(1 / np.sqrt(90 - 3), 1 / np.sqrt(45 - 3))


def older(run):
    table = run("subgroups_both")
    return width(table["recommended: HR (95 % CI)"])[table["subgroup"].str.startswith("Age >")].iloc[0]


def above(run):
    """Return the patients above the threshold, by risk group and track."""
    arms = run("arms")
    above = arms[arms["dose group"].str.contains(">")].filter(like="metastases / patients")
    return above.apply(lambda texts: texts.str.split(" / ").str[1].astype(int)).to_numpy()


def falls(table):
    by = ["centre", "scores"]
    errors = table.assign(error=table["baseline and slope"].str.rstrip(" %").astype(float))
    return errors.groupby(by)["error"].apply(lambda values: values.is_monotonic_decreasing).all()


def recorded(run, part):
    return any(part in published_id for published_id, track in run.values().index if track == "as published")


# What has to hold between the chapter in the stored run and in the branch.
QUICK = {
    ("00b_printed_sentences", "claimed_alpha"): lambda old, new: (
        signed(new("dl_against_clinical")["threshold, lowest"])
        > signed(old("dl_against_clinical")["threshold, lowest"])
    ).all(),
    # Half the memory: a batch of which print says that it fits is no finding any more.
    ("00b_printed_sentences", "bytes_per_value"): lambda old, new: (
        len(new("network")) < len(old("network")) or not new("network").equals(old("network"))
    ),
    ("06_km", "min_fraction"): lambda old, new: (
        (new("cutoffs_shown")["cut-offs tried"] <= old("cutoffs_shown")["cut-offs tried"]).all()
        and new("cutoffs_shown")["cut-offs tried"].sum() < old("cutoffs_shown")["cut-offs tried"].sum()
        and (new("lifelines")["χ², here"] <= old("lifelines")["χ², here"] + 1e-9)[
            old("lifelines")["cohort"] == "training"
        ].all()
    ),
    ("07_subgroups", "model"): lambda old, new: (
        recorded(old, "t2n0.dmfs_5y") and not recorded(new, "subgroup_hr")
    ),
    ("10_ledger", "absolute_limits"): lambda old, new: (
        new("ledger").equals(old("ledger")) and new.drawn["discrimination"].axes[0].get_xlim() == (0.4, 1.0)
    ),
    ("12_register", "clinical_covariates"): lambda old, new: (
        new("effects")["number"].str.contains("HR of age").sum() == 2
    ),
    ("12_register", "horizon_months"): lambda old, new: lost(new) < lost(old),
    ("13_viewer", "patients_shown"): lambda old, new: len(new("patients")) in (1, 5),
}
NIGHTLY = {
    ("00_printed_numbers", "largest_arm"): lambda old, new: (
        len(new("firth_splits_all")) > len(old("firth_splits_all"))
        and new("firth_splits").equals(old("firth_splits"))
    ),
    ("01_cohorts", "horizon_months"): lambda old, new: (
        recorded(old, "dmfs_5y")
        and not recorded(new, "dmfs_5y")
        and (numbers(new("lifelines")["npcbook, %"]) < numbers(old("lifelines")["npcbook, %"])).all()
    ),
    ("02_segmentation", "epochs"): lambda old, new: (
        new("dice_overview")["mean"] < old("dice_overview")["mean"]
    ).all(),
    ("02_segmentation", 'training["loss"]'): lambda old, new: not new("history").equals(old("history")),
    ("02_segmentation", "preprocessing_order"): lambda old, new: not new("history").equals(old("history")),
    ("03_dl_training", "train_on"): lambda old, new: (
        numbers(new("c_index")["Training, as published"]).iloc[-1]
        >= numbers(old("c_index")["Training, as published"]).iloc[-1]
    ),
    ("03_dl_training", "seed"): lambda old, new: (
        0 < abs(first_c(new)[0] - first_c(old)[0]) < max(first_c(old)[1], first_c(new)[1])
    ),
    ("03b_dl_insight", "explained_patients"): lambda old, new: (
        (new("attribution")["predicted tumour"] - old("attribution")["predicted tumour"]).abs().max() < 0.2
    ),
    ("03b_dl_insight", "seed"): lambda old, new: (
        new("attribution")
        .filter(regex="^predicted|^planted")
        .equals(old("attribution").filter(regex="^predicted|^planted"))
        and not new("attribution").filter(like="random").equals(old("attribution").filter(like="random"))
    ),
    ("04_radiomics", "region"): lambda old, new: not new("latents").equals(old("latents")),
    ("04_radiomics", 'region = "nodes"'): lambda old, new: (
        new("extraction")["failed"].sum() == new("problems")["images"].sum() > 0
        and set(new("problems")["features"]) == {"failed"}
    ),
    ("04b_radiomics_worth", "stability_patients"): lambda old, new: unsure(new) < unsure(old),
    ("04_radiomics", "bin_width"): lambda old, new: new("count").equals(old("count")),
    ("05_cox_models", "clinical_covariates"): lambda old, new: (
        len(new("coefficients_shown")) == len(old("coefficients_shown")) + 3
        and (
            numbers(new("table_4_c_index")["training (95 % CI)"])
            - numbers(old("table_4_c_index")["training (95 % CI)"])
        )
        .abs()
        .max()
        < 0.05
    ),
    ("07_subgroups", "age_cut"): lambda old, new: not older(new) < older(old),
    ("08_ccnd", "threshold_mg_m2"): lambda old, new: (
        (above(new) <= above(old)).all() and above(new).sum() < above(old).sum()
    ),
    ("08_ccnd", "landmark_months"): lambda old, new: "from month 12" in set(new("methods")["method"]),
    ("09_stress_tests", "clinical_covariates"): lambda old, new: (
        new("optimism")["optimism"].iloc[1] > old("optimism")["optimism"].iloc[1]
    ),
    ("09_stress_tests", "horizon_months"): lambda old, new: (
        numbers(new("definition").iloc[:, 3]) > numbers(old("definition").iloc[:, 3])
    ).all(),
    ("09b_model_worth", "thresholds"): lambda old, new: (
        set(new("net_benefit")["threshold"]) == {"2 %", "5 %", "30 %"}
    ),
    ("09b_model_worth", "local_events"): lambda old, new: falls(new("recalibration")),
    ("09d_real_patients", "horizon_months"): lambda old, new: (
        (width(new("follow_up").iloc[:, 4]) < width(old("follow_up").iloc[:, 4])).all()
        and new("hazard_ratios").equals(old("hazard_ratios"))
    ),
    ("09d_real_patients", "score_c"): lambda old, new: (
        new("score_needed").iloc[0, -1] > old("score_needed").iloc[0, -1]
    ),
    ("11_datasheet", "probed_patients"): lambda old, new: far(old, new) < 2,
    ("11_datasheet", "drawn_voxels"): lambda old, new: side(new.drawn["levels"]) == 72,
}
PROMISES = QUICK | NIGHTLY
# What a box says of other cohorts, other runs or the command line, and where that is tested.
ELSEWHERE = {
    "`cohort_folder`: point it at another cohort": "test_a_shifted_cohort_differs_more_between_its_parts",
    '`region = "tumour"` or `"nodes"` in [chapter 04]': "here, of chapter 04",
    "`horizon_months = 36`: the AUC counts metastases by then; the C-index": "test_chapters.py",
    "`python -m npcbook book … -p model=NAME`": "test_chapters.py: one's own score alone",
    "`run_folder` and `cohort_folder` of another run": "the trial run is not the one that chapters name",
}
ITEMS = [
    (chapter, *ITEM.match(f"# - {text}").groups())
    for chapter in CHAPTERS
    for text in bullets(chapter)
    if not text.startswith(tuple(ELSEWHERE))
]


def promise(chapter, name, value):
    """Return the key of what is promised of a value, or of every value of a parameter."""
    return next(key for key in ((chapter, f"{name} = {value}"), (chapter, name)) if key in PROMISES)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_box_suggests_values_that_may_be_and_each_has_its_promise(chapter):
    assert box(chapter) or not set(read_declared(chapter)) - {"run_folder", "cohort_folder"}
    for name, value in suggested(chapter):
        declared = read_declared("04_radiomics" if name == "region" else chapter)
        name, _, entry = name.rstrip('"]').partition('["')
        given = ast.literal_eval(value)
        check_values(declared, {name: {entry: given} if entry else given})
        assert name in declared
    assert {promise(*item) for item in ITEMS if item[0] == chapter} == {
        key for key in PROMISES if key[0] == chapter
    }


@pytest.mark.book
@pytest.mark.filterwarnings("ignore:vert. bool was deprecated")  # seaborn's, of Matplotlib 3.11
@pytest.mark.parametrize(
    ("chapter", "name", "value"),
    [pytest.param(*i, marks=pytest.mark.nightly if promise(*i) in NIGHTLY else ()) for i in ITEMS],
)
def test_what_a_box_promises_comes_true(smoke_run, monkeypatch, chapter, name, value):
    branch, drawn = run_chapter(chapter, smoke_run, monkeypatch, f"{name} = {value}")
    try:
        assert branch.parent == smoke_run / BRANCHES
        old, new = Run(smoke_run / chapter), Run(branch / chapter, drawn)
        assert PROMISES[promise(chapter, name, value)](old, new)
    finally:
        shutil.rmtree(branch)


@pytest.mark.book
@pytest.mark.nightly
def test_a_shifted_cohort_differs_more_between_its_parts(smoke_run, tmp_path, monkeypatch):
    write_cohort(tmp_path / "shift", scenario="shift", patients=120, grid=(8, 32, 32))
    run_chapter("01_cohorts", tmp_path / "run", monkeypatch, cohort=tmp_path / "shift")
    old, new = (Run(folder / "01_cohorts") for folder in (smoke_run, tmp_path / "run"))
    by = [run("table_1").groupby("characteristic")["standardised difference"].max() for run in (old, new)]
    assert (by[1] > by[0])[["T", "rENE"]].all()
    planted = ("table1.validation.dmfs_5y", "truth")
    assert new.values()[planted] < old.values()[planted]
