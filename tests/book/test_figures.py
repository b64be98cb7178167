"""Figures: what is drawn agrees with the estimators, and hard cases are drawn without complaint."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from npcbook.book.figures import (
    NODE,
    forest_limits,
    plot_calibration,
    plot_forest,
    plot_kaplan_meier,
    plot_panels,
    plot_roc,
    plot_slice,
    small_multiples,
    widest_slice,
)
from npcbook.imaging import Volume
from npcbook.statistics import survival
from npcbook.statistics.cox import fit_cox
from npcbook.statistics.cutpoint import optimal_cutpoint
from npcbook.statistics.timeroc import auc_at
from npcbook.words import format_p, hospital_codes, style_of


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    n = 200
    high = rng.random(n) < 0.3
    time, stop = rng.exponential(np.where(high, 80, 400)), rng.uniform(40, 110, n)
    return pd.DataFrame(
        {
            "time": np.minimum(time, stop),
            "event": (time <= stop).astype(int),
            "group": np.where(high, "high", "low"),
            "risk": high + rng.normal(size=n),
        }
    )


def texts(ax):
    legend = ax.get_legend()
    parts = [*ax.texts, *(legend.get_texts() if legend else []), *([legend.get_title()] if legend else [])]
    return "\n".join(text.get_text() for text in parts)


def curves(ax):
    return [line for line in ax.lines if line.get_drawstyle() == "steps-post"]


def test_curves_equal_the_estimator_and_are_thin_below_ten_at_risk(data):
    ax = plot_kaplan_meier(data["time"], data["event"], data["group"])
    for i, name in enumerate(["low", "high"]):
        part, (firm, thin) = data[data["group"] == name], curves(ax)[2 * i : 2 * i + 2]
        end = firm.get_xdata()[-1]
        assert (part["time"] >= end).sum() == 10
        assert thin.get_linewidth() < firm.get_linewidth()
        assert thin.get_xdata()[[0, -1]].tolist() == [end, part["time"].max()]
        for line in (firm, thin):
            at = survival.kaplan_meier(part["time"], part["event"], at=line.get_xdata()[1:])
            np.testing.assert_allclose(line.get_ydata()[1:], at.survival)
            assert to_hex(line.get_color()) == to_hex(style_of(name)[0])


def test_a_group_of_fewer_than_ten_is_thin_from_the_start(data):
    part = data.head(9)
    ax = plot_kaplan_meier(part["time"], part["event"], np.repeat("low", 9))
    (line,) = curves(ax)
    assert line.get_linewidth() < 1.5
    assert line.get_xdata()[[0, -1]].tolist() == [0, part["time"].max()]
    assert all(len(path.vertices) == 0 for band in ax.collections for path in band.get_paths())


def test_the_legend_covers_neither_curves_nor_numbers(data):
    ax = plot_kaplan_meier(data["time"], data["event"], data["group"])
    ax.figure.canvas.draw()
    top = ax.get_legend().get_window_extent().y1
    assert all(text.get_window_extent().y0 >= top for text in ax.texts)


def test_numbers_at_risk_stand_under_their_ticks(data):
    ax = plot_kaplan_meier(data["time"], data["event"], data["group"], order=["high"])
    np.testing.assert_array_equal(np.diff(ax.get_xticks()), 12)
    table = survival.at_risk_table(*(data.loc[data["group"] == "high", c] for c in ("time", "event")), [24.0])
    under = [text.get_text() for text in ax.texts if text.get_position()[0] == 24.0]
    assert under == [str(n) for n in table[["at_risk", "events", "censored"]].iloc[0]]


def test_tests_and_estimates_are_stated(data):
    fit = fit_cox(data["time"], data["event"], (data["group"] == "high").astype(float))
    cut = optimal_cutpoint(data["time"], data["event"], data["risk"])
    text = texts(
        plot_kaplan_meier(data["time"], data["event"], data["group"], hr=fit, cut=cut, endpoint="OS")
    )
    assert f"HR {fit.hr[0]:.2f}" in text
    p_value = survival.logrank(data["time"], data["event"], data["group"]).p_value
    assert f"log-rank p {p_value:.3f}" in text
    assert f"corrected for the optimised cut-off {format_p(cut.p_corrected)}" in text
    assert "OS at 60 months" in text


@pytest.mark.parametrize("rows", [1, 2, 12])
def test_small_groups_without_events_are_drawn(data, rows):
    part = data.head(rows)
    ax = plot_kaplan_meier(part["time"], np.zeros(rows), part["group"])
    assert len({line.get_color() for line in curves(ax)}) == part["group"].nunique()
    assert "log-rank" not in texts(ax)
    ax.figure.canvas.draw()


def test_an_order_without_patients_is_refused(data):
    with pytest.raises(ValueError, match="none of them in order"):
        plot_kaplan_meier(data["time"], data["event"], data["group"], order=["medium"])


def test_unknown_groups_get_styles_of_their_own(data):
    ax = plot_kaplan_meier(data["time"], data["event"], np.where(data["risk"] > 0, "b", "a"))
    assert len({(line.get_color(), str(line.get_linestyle())) for line in curves(ax)}) == 2


def test_roc_states_areas_cases_and_controls(data):
    result = auc_at(data["time"], data["event"], data["risk"], 36)
    ax = plot_roc({"dl_combined": result}, horizon_months=36, ax=plt.gca())
    text = texts(ax)
    assert f"DL (combined): {result.auc:.2f}" in text
    assert f"{result.n_cases} cases, {result.n_controls} controls" in text
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 0], [1, 1]])


def forest_table():
    return pd.DataFrame(
        {
            "subgroup": ["All patients", "Sex", "Sex"],
            "level": ["", "male", "female"],
            "n_high": [30, 20, 10],
            "events_high": [9, 9, 0],
            "n_low": [70, 40, 30],
            "events_low": [3, 3, 0],
            "hr": [8.0, 9.0, np.nan],
            "hr_low": [3.0, 0.05, np.nan],
            "hr_high": [9.9, 900.0, np.nan],
            "p_interaction": [np.nan, 0.4, 0.4],
        }
    )


def test_forest_shows_events_clipped_intervals_and_missing_estimates():
    ax = plot_forest(forest_table())
    labels = "\n".join(label.get_text() for label in ax.get_yticklabels())
    assert "high 9/30, low 3/70" in labels
    assert [line.get_marker() for line in ax.lines].count(">") == 1
    assert [line.get_marker() for line in ax.lines].count("<") == 1
    text = texts(ax)
    assert "no estimate" in text
    assert text.count("interaction p 0.40") == 1
    assert ax.get_xscale() == "log"


def test_calibration_leaves_out_groups_without_an_observed_risk():
    groups = pd.DataFrame(
        {
            "predicted": [0.02, 0.1, 0.3],
            "observed": [0.01, 0.12, np.nan],
            "low": [0.0, 0.05, np.nan],
            "high": [0.05, 0.2, np.nan],
            "n_patients": [50, 50, 2],
            "cohort": "validation",
        }
    )
    ax = plot_calibration(groups, horizon_months=60, ax=plt.gca())
    assert "Validation (n = 100)" in texts(ax)
    assert ax.get_xlim()[1] < 0.3
    ax.figure.canvas.draw()


def test_the_axis_starts_higher_only_where_nothing_is_cut_off_and_says_so(data):
    outcome = [data[name] for name in ("time", "event", "group")]
    cases = {0.0: outcome, 0.5: [outcome[0], np.zeros(len(data)), outcome[2]]}
    for start, (time, event, group) in cases.items():
        ax = plot_kaplan_meier(time, event, group)
        assert ax.get_ylim()[0] == start
        assert ("the axis begins at 50 %" in texts(ax)) == (start == 0.5)
        assert ax.get_xlabel() == "Months"
        plt.close("all")


def test_panels_share_an_axis_and_hold_curves_ratio_and_numbers_at_risk(data):
    fit = fit_cox(data["time"], data["event"], (data["group"] == "high").astype(float))
    outcome = [data[name] for name in ("time", "event", "group")]
    free = [outcome[0], np.zeros(len(data)), outcome[2]]
    fig = plot_panels({"A": (*outcome, fit), "B": (*free, None), "C": None})
    assert [ax.get_title("left") for ax in fig.axes] == ["A", "B", "C"]
    assert {ax.get_ylim()[0] for ax in fig.axes[:2]} == {0.0}
    assert fig.axes[2].texts[0].get_text() == "no groups"
    ax = fig.axes[0]
    assert f"HR {fit.hr[0]:.2f}" in texts(ax)
    assert {to_hex(line.get_color()) for line in curves(ax)} == {
        to_hex(style_of(k)[0]) for k in ("low", "high")
    }
    for name in ("low", "high"):
        part = data[data["group"] == name]
        table = survival.at_risk_table(part["time"], part["event"], [48.0])
        assert str(table["at_risk"].iloc[0]) in [t.get_text() for t in ax.texts if t.get_position()[0] == 48]
    (legend,) = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Low risk", "High risk"]


@pytest.mark.parametrize(
    ("ratios", "expected"), [([1.2, np.nan], (0.1, 10)), ([0.05, 20], (0.01, 100)), ([5e4], (0.1, 10_000)),
                             ([np.nan, np.inf], (0.1, 10))],
)  # fmt: skip
def test_forest_limits_hold_the_estimates(ratios, expected):
    np.testing.assert_allclose(forest_limits(pd.DataFrame({"hr": ratios})), expected)


def test_forest_titles_stand_nearer_to_their_own_rows():
    ax = plot_forest(forest_table())
    title = next(text.get_position()[1] for text in ax.texts if text.get_text() == "Sex")
    above, own = ax.get_yticks()[:2]
    assert above - title > title - own


def test_calibration_points_are_whole_on_the_edge_and_never_moved():
    groups = pd.DataFrame({"predicted": 0.0, "observed": 0.02, "low": 0.0, "high": 0.1, "n_patients": 9,
                           "cohort": ["A", "B"]})  # fmt: skip
    ax = plot_calibration(groups, horizon_months=60, ax=plt.gca())
    points = [line for line in ax.lines if line.get_marker() in ("o", "s")]
    assert [float(line.get_xdata()[0]) for line in points] == [0.0, 0.0]
    assert all(line.get_alpha() < 1 for line in points)
    assert not any(line.get_clip_on() for line in points)
    assert ax.get_xlim()[0] < 0


def test_calibration_shows_its_smooth_curve_with_a_band():
    groups = pd.DataFrame({"predicted": [0.1, 0.3], "observed": 0.2, "low": 0.1, "high": 0.4,
                           "n_patients": 9, "cohort": "A"})  # fmt: skip
    curve = pd.DataFrame({"predicted": [0.1, 0.3], "observed": [0.1, 0.2], "low": 0.0, "high": 0.4})
    ax = plot_calibration(groups, horizon_months=60, curve=curve, ax=plt.gca())
    assert "smooth, 95 % band" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(ax.collections) > 1


def test_small_multiples_removes_what_is_not_used():
    fig, axes = small_multiples(3, columns=2)
    assert len(axes) == len(fig.axes) == 3


def test_widest_slice_and_its_picture():
    z, y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in (12, 40, 40)), indexing="ij")
    mask = ((5 * z) ** 2 + (3 * y) ** 2 + (3 * x) ** 2 < 15**2).astype(np.uint8)
    volume = Volume(mask + np.float32(1), mask, (5.0, 3.0, 3.0))
    assert mask[widest_slice(volume)].sum() == mask.sum((1, 2)).max()
    assert widest_slice(volume, NODE) == 6  # the middle one: there is none
    ax = plot_slice(volume, 6, title="T1W", half_mm=30, ax=plt.gca())
    assert ax.get_title() == "T1W"
    top, bottom = ax.get_ylim()[1], ax.get_ylim()[0]
    assert top < bottom  # the front is up


def test_names_of_five_hospitals_leave_a_calibration_plot_its_size():
    widths = []
    for name in ("H{}", "Universitas{}", "Department of Radiation Oncology, Hospital of Somewhere {}"):
        names = [name.format(i) for i in range(5)]
        groups = pd.DataFrame({"predicted": [0.05, 0.1, 0.15, 0.2, 0.25], "observed": 0.2, "low": 0.1})
        codes = hospital_codes(names)
        groups = groups.assign(high=0.4, n_patients=9, cohort=[codes[name] for name in names])
        _, ax = plt.subplots(figsize=(5, 5), layout="constrained")
        plot_calibration(groups, horizon_months=60, ax=ax).figure.canvas.draw()
        widths.append(ax.get_window_extent().width)
    assert min(widths) > 0.9 * widths[0] > 0.5 * ax.figure.bbox.width
