"""Figures: survival curves, ROC curves, forest plots and calibration, drawn one way throughout.

Every function takes its data first, draws on `ax` where it is one panel of several, returns the Axes, and
leaves titles and saving to the chapter. Groups are told apart by colour and by line style; a colour keeps its
meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter
from matplotlib.transforms import Transform, offset_copy
from numpy.typing import ArrayLike

from npcbook import words
from npcbook.imaging.volumes import Volume
from npcbook.statistics import survival

MIN_AT_RISK = 10  # where fewer patients are at risk a curve is thin and has no band
SMALL = 8  # points; the smallest text that can be read when a six-inch figure is 400 pixels wide
THIN = {"linewidth": 1.1, "alpha": 0.65}  # the part of a survival curve that rests on few patients
ROW = 10.0  # points between the lines of the table of numbers at risk
GAP = 0.2  # inches above and below a panel of a single column, so that a title stands nearer to its own axes
PAD = 10  # points between the labels of a forest plot and its axis, room for arrowheads
LEGEND = {"fontsize": SMALL, "title_fontsize": SMALL}
REFERENCE = {"color": "0.45", "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 1}


def small_multiples(
    n_panels: int, *, columns: int = 1, width: float = 6.0, panel_height: float = 3.6
) -> tuple[Figure, list[Axes]]:
    """Make a figure of equal panels.

    Parameters
    ----------
    n_panels : int
        Number of panels, 1 or more.
    columns : int, default 1
        Panels side by side; one column stays legible on a telephone.
    width, panel_height : float
        Width of the figure and height of a panel, inches.

    Returns
    -------
    fig : matplotlib.figure.Figure
        The figure, with constrained layout; panels in one column stand well apart.
    axes : list of matplotlib.axes.Axes
        One per panel, row by row.
    """
    rows = -(-n_panels // columns)
    stacked = columns == 1 and rows > 1
    height = rows * (panel_height + 2 * GAP * stacked)
    fig, grid = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)
    if stacked:
        fig.get_layout_engine().set(h_pad=GAP)
    for empty in grid.flat[n_panels:]:
        empty.remove()
    return fig, fig.axes


def _split(time, event, group, order: Sequence[str] | None = None) -> dict[str, tuple]:
    """Return times and events by group: in `order`, else those with a known meaning first, then by name."""
    time, event, group = np.asarray(time, float), np.asarray(event), np.asarray(group)
    present = pd.unique(group).tolist()
    if order is None:
        known = [name for name in words.STYLES if name in present]
        order = known + sorted((name for name in present if name not in known), key=str)
    if not set(order) & set(present):
        raise ValueError(f"group holds {present}, none of them in order {order}: name them.")
    return {name: (time[group == name], event[group == name]) for name in order if name in present}


def _draw_curve(ax: Axes, time, event, line: Mapping) -> None:
    """Draw a curve, with a band while enough are at risk and thin after that."""
    curve = survival.kaplan_meier(time, event)
    t = np.concatenate([[0.0], curve.time])
    values, low, high = (np.concatenate([[1.0], v]) for v in (curve.survival, curve.low, curve.high))
    # The last point with enough at risk ends the one part and begins the other.
    n_enough = int((curve.n_at_risk >= MIN_AT_RISK).sum())
    enough, few = slice(n_enough + 1 if n_enough else 0), slice(n_enough, None)
    # Before the first event the limits do not exist; the band begins with the first event.
    ax.fill_between(
        t[enough], low[enough], high[enough], step="post", color=line["color"], alpha=0.15, linewidth=0
    )
    for part, style in ((enough, {}), (few, THIN)):
        if len(t[part]) > 1:
            ax.step(t[part], values[part], where="post", **line | style)
    censored = np.concatenate([[False], curve.n_censored > 0])
    ax.plot(t[censored], values[censored], "|", color=line["color"], ms=4, mew=0.7, alpha=0.7)


def _line_of(key: str, position: int) -> dict:
    """Return how the line of a group or model is drawn (see `style_of`)."""
    color, line = words.style_of(key, position)
    return {"color": color, "linestyle": line, "linewidth": 1.8}


def _legend_entry(time, event, name: str, horizon_months: float, endpoint: str) -> str:
    """Return name, number of patients and the estimate at the horizon."""
    text = "not followed to the horizon"
    if np.max(time) >= horizon_months:
        text = f"{endpoint} at {horizon_months:g} months {survival.rate_at(time, event, horizon_months):1%} %"
    return f"{words.LABELS.get(name, name)} (n = {len(time)}): {text}"


def _draw_numbers(ax: Axes, parts: Mapping, ticks: np.ndarray, *, small: bool = False) -> Transform:
    """Write numbers at risk, and events and censorings so far, under each tick; return where they end.

    Where there is little room: numbers at risk alone, behind a piece of the group's line.
    """

    def below(base, row):
        return offset_copy(base, ax.figure, y=-((8 if small else 26) + ROW * row), units="points")

    def write(row, name, values, **style):
        text = partial(ax.text, va="center", fontsize=SMALL, **style)
        text(-0.035, 0, name, transform=below(ax.transAxes, row), ha="right")
        for tick, value in values.items():
            text(tick, 0, f"{value}", transform=below(ax.get_xaxis_transform(), row), ha="center")

    write(0, "months" if small else "Number at risk", {}, color="0.3")
    row = 1.3
    for position, (name, part) in enumerate(parts.items()):
        table = survival.at_risk_table(*part, ticks).set_index("tick")
        if small:
            write(row, "", table["at_risk"])
            line = _line_of(name, position) | {"transform": below(ax.transAxes, row), "clip_on": False}
            ax.plot([-0.15, -0.065], [0, 0], **line)
            row += 1
            continue
        write(row, words.LABELS.get(name, name), table["at_risk"], weight="bold")
        write(row + 1, "events", table["events"], color="0.3")
        write(row + 2, "censored", table["censored"], color="0.3")
        row += 3.3
    return below(ax.transAxes, row - 0.5)


def _comparison_text(parts: Mapping, hr, cut=None) -> str:
    """Return hazard ratio and log-rank p-values, a line each."""
    lines = [] if hr is None else [f"HR {hr}"]
    time, event = (np.concatenate(values) for values in zip(*parts.values(), strict=True))
    # Without an event, or with one group, there is nothing to test.
    if event.any() and len(parts) > 1:
        group = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts.values()])
        # A group that has left before the first event can be drawn, and not be tested.
        with suppress(ValueError):
            lines.append(f"log-rank p {words.format_p(survival.logrank(time, event, group).p_value)}")
    if cut is not None:
        lines.append(f"p corrected for the optimised cut-off {words.format_p(cut.p_corrected, cut.p_floor)}")
    return "\n".join(lines)


def plot_kaplan_meier(
    time: ArrayLike,
    event: ArrayLike,
    group: ArrayLike,
    *,
    horizon_months: float = 60,
    endpoint: str = "DMFS",
    order: Sequence[str] | None = None,
    hr: object | None = None,
    cut: object | None = None,
    lowest: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot Kaplan–Meier curves of groups with the numbers behind them.

    Parameters
    ----------
    time : array-like, shape (n,)
        Follow-up, months.
    event : array-like, shape (n,)
        1 = event, 0 = censored; a group, or all, may have none.
    group : array-like, shape (n,)
        Group of each patient, none missing: a key of `LABELS` (its colour and name are used), or any text.
    horizon_months : float, default 60
        Where survival is read off for the legend, months; marked by a line.
    endpoint : str
        What the curves show, such as ``"DMFS"``.
    order : sequence of str, optional
        Groups in the order of legend and table; groups left out are not drawn.
    hr : hazard ratio, or fit of one covariate, optional
        Hazard ratio to state, as it prints itself.
    cut : result of `npcbook.statistics.optimal_cutpoint`, optional
        Its p-value corrected for the choice of the cut-off is stated beside the log-rank p-value.
    lowest : float, optional
        Lower end of the survival axis, 0 to 1; by default 0.5 if that cuts nothing off, else 0. The legend
        says where it is not 0.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with 95 % bands (log-log), censor ticks, and below them numbers at risk aligned to the
        ticks, and the legend.

    Raises
    ------
    ValueError
        For bad survival data (see `npcbook.statistics.kaplan_meier`), or if no group in `order` has patients.
    """
    parts = _split(time, event, group, order)
    ax = ax or plt.subplots(figsize=(6.0, 4.0 + 0.65 * len(parts)), layout="constrained")[1]
    lowest = _axis_start(parts) if lowest is None else lowest
    ticks = _draw_curves(ax, parts, horizon_months, tick_months=12, lowest=lowest)
    lines = []
    for position, (name, part) in enumerate(parts.items()):
        text = _legend_entry(*part, name, horizon_months, endpoint)
        lines.append(Line2D([], [], label=text, **_line_of(name, position)))
    # Curves and bands may fill every corner of the axes: the legend stands below the numbers.
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": _draw_numbers(ax, parts, ticks)}
    note = f"{_comparison_text(parts, hr, cut)}\n{_reading_note(lowest)}".strip()
    ax.legend(handles=lines, title=note, alignment="left", frameon=False, borderpad=0, **place, **LEGEND)
    ax.set(xlabel="Months", ylabel=endpoint)
    return ax


def _reading_note(lowest: float) -> str:
    """Return what a reader of survival curves has to know of their drawing."""
    start = f"; the axis begins at {100 * lowest:g} %" if lowest else ""
    return f"thin line: fewer than {MIN_AT_RISK} at risk{start}"


def _draw_curves(ax: Axes, parts: Mapping, horizon_months, *, tick_months, lowest) -> np.ndarray:
    """Draw a curve for each group's times and events, set the axes, and return the ticks."""
    for position, (name, part) in enumerate(parts.items()):
        _draw_curve(ax, *part, _line_of(name, position))
    last = max(horizon_months, *(time.max() for time, _ in parts.values()))
    ticks = np.arange(0, last + tick_months, tick_months)
    ax.axvline(horizon_months, **REFERENCE)
    ax.set(xticks=ticks, xlim=(-2, ticks[-1] + 2), ylim=(lowest, 1.02))
    ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    ax.spines[["right", "top"]].set_visible(False)
    return ticks


def _axis_start(parts: Mapping) -> float:
    """Return where a survival axis may begin without cutting anything off: 0.5 or 0."""
    lowest = 1.0
    for part in parts.values():
        curve = survival.kaplan_meier(*part)
        band = curve.low[curve.n_at_risk >= MIN_AT_RISK]
        # Before the first event the limits do not exist.
        lowest = min(lowest, curve.survival.min(), np.nanmin(band, initial=1.0))
    return 0.5 if lowest > 0.5 else 0.0


def plot_panels(
    panels: Mapping[str, tuple | None], *, horizon_months: float = 60, n_columns: int = 2
) -> Figure:
    """Plot Kaplan–Meier curves of many groups in one picture of small panels, side by side.

    Parameters
    ----------
    panels : mapping of str to tuple
        Title of each panel, row by row, to time, event and group of its patients, as for
        `plot_kaplan_meier`, and the hazard ratio to state (None: none); None where there are no groups.
    horizon_months : float, default 60
        Marked by a line, months.
    n_columns : int, default 2
        Panels side by side.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. All panels have one survival axis, and below it the numbers at risk, a row a group behind
        a piece of its line; the legend that names the lines stands at the bottom.
    """
    split = {title: _split(*data[:3]) for title, data in panels.items() if data is not None}
    lowest = min(map(_axis_start, split.values()), default=0.0)
    # Inches: an axis is 0.85 high, what stands above and below it needs `gap`, at its left 0.6.
    gap = 0.5 + ROW / 72 * max(map(len, split.values()), default=0)
    n_rows, width = -(-len(panels) // n_columns), 6.9 / n_columns - 0.6
    height = n_rows * (0.85 + gap) + 0.38
    fig, lines = plt.figure(figsize=(7, height)), {}
    edges = 0.6 / 7, (gap + 0.18) / height, 6.9 / 7, 1 - 0.2 / height
    fig.subplots_adjust(*edges, wspace=0.6 / width, hspace=gap / 0.85)
    for place, (title, data) in enumerate(panels.items(), start=1):
        ax = fig.add_subplot(n_rows, n_columns, place)
        ax.set_title(title, loc="left", fontsize=SMALL + 1)
        if data is None:
            ax.text(0.5, 0.5, "no groups", ha="center", transform=ax.transAxes)
            continue
        _draw_panel(ax, split[title], data[3], horizon_months, lowest)
        lines = {name: _line_of(name, i) for i, name in enumerate(split[title])} | lines
    named = [Line2D([], [], label=words.LABELS.get(name, name), **line) for name, line in lines.items()]
    note = f"Below each panel: numbers at risk; {_reading_note(lowest)}"
    # Anchored in the figure's own frame: that of a file is another.
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 0)}
    fig.legend(handles=named, title=note, ncols=4, frameon=False, **place, **LEGEND)
    return fig


def _draw_panel(ax: Axes, parts: Mapping, hr, horizon_months: float, lowest: float) -> None:
    """Draw one of many panels: curves, what compares them, and the numbers at risk."""
    last = max(horizon_months, *(time.max() for time, _ in parts.values()))
    ticks = _draw_curves(ax, parts, horizon_months, tick_months=24, lowest=lowest)
    _draw_numbers(ax, parts, ticks[ticks <= last], small=True)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
    place = {"va": "bottom", "transform": ax.transAxes, "bbox": box}
    ax.text(0.02, 0.03, _comparison_text(parts, hr), fontsize=SMALL, **place)
    ax.set_xlim(-2, last + 2)
    ax.tick_params(labelsize=SMALL)


def plot_roc(curves: Mapping[str, object], *, horizon_months: float, ax: Axes) -> Axes:
    """Plot time-dependent ROC curves with their areas.

    Parameters
    ----------
    curves : mapping of str to result of `npcbook.statistics.auc_at`
        Model key (or name) to its result at one horizon, on the same patients; drawn in that order.
    horizon_months : float
        Horizon of the results, months; for the title of the legend.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with the diagonal of chance, AUC (95 % CI) per model and the numbers of cases and controls.
    """
    ax.plot([0, 1], [0, 1], **REFERENCE)
    for position, (key, curve) in enumerate(curves.items()):
        area = words.format_estimate(curve.auc, curve.low, min(curve.high, 1.0))
        label = f"{words.LABELS.get(key, key)}: {area}"
        ax.plot(curve.fpr, curve.tpr, label=label, **_line_of(key, position))
    first = next(iter(curves.values()))
    title = f"AUC (95 % CI) at {horizon_months:g} months\n{first.n_cases} cases, {first.n_controls} controls"
    ax.legend(loc="lower right", title=title, alignment="left", framealpha=0.9, **LEGEND)
    ax.set(xlabel="1 − specificity (false positives)", ylabel="Sensitivity (true positives)")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    return ax


def _draw_risks(ax: Axes, part: pd.DataFrame, key: str, position: int) -> None:
    """Draw one series of a calibration plot."""
    color = words.STYLES[key][0] if key in words.STYLES else words.STRONG[position % len(words.STRONG)]
    name = f"{words.LABELS.get(key, key)} (n = {part['n_patients'].sum()})"
    errors = np.clip([part["observed"] - part["low"], part["high"] - part["observed"]], 0, None)
    # Where points share a place they show through one another: none is moved along an axis of numbers.
    drawn = ax.errorbar(
        part["predicted"],
        part["observed"],
        errors,
        color=color,
        linestyle="none",
        capsize=2,
        elinewidth=1,
        marker="os^Dv"[position % 5],
        markersize=7 - position,
        alpha=0.65,
        label=name,
    )
    # A risk of 0 lies on the edge of the axes, where half of its point would be cut off.
    for artist in drawn.get_children():
        artist.set_clip_on(False)


def plot_calibration(
    groups: pd.DataFrame, *, horizon_months: float, curve: pd.DataFrame | None = None, ax: Axes
) -> Axes:
    """Plot observed against predicted risk.

    Parameters
    ----------
    groups : pandas.DataFrame
        One row per risk group: ``predicted`` and ``observed`` risk of the event by the horizon (0 to 1),
        limits ``low`` and ``high`` of the observed one, ``n_patients``, and ``cohort``, or another key that
        tells series apart. Rows without an observed risk are left out.
    horizon_months : float
        Horizon, months.
    curve : pandas.DataFrame, optional
        Smooth observed risk (see `npcbook.statistics.calibration_curve`), drawn below the points.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        The axes: points with 95 % limits about the line of identity, each at its own place, and the curve
        with its band, which may leave the axes.
    """
    groups = groups.dropna(subset=["predicted", "observed"])
    highest = groups[["predicted", "observed", "high"]].max().max() if len(groups) else 1.0
    top = min(1.05 * max(highest, 0.05), 1.0)
    if curve is not None:
        band = curve["predicted"], curve["low"], curve["high"]
        ax.fill_between(*band, color="0.5", alpha=0.2, linewidth=0)
        ax.plot(curve["predicted"], curve["observed"], color="0.25", linewidth=1.6, label="smooth, 95 % band")
    for position, (key, part) in enumerate(groups.groupby("cohort", sort=False)):
        _draw_risks(ax, part, key, position)
    ax.plot([0, 1], [0, 1], **REFERENCE)
    ax.set(xlabel=f"Predicted risk by {horizon_months:g} months", ylabel="Observed risk (Kaplan–Meier)")
    ax.set(xlim=(-0.03 * top, top), ylim=(-0.03 * top, top), aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0 if top > 0.1 else 1, symbol=" %"))
        axis.set_major_locator(MaxNLocator(5))
    if ax.get_legend_handles_labels()[1]:
        # Limits of observed risks may fill every corner of the axes.
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=SMALL, frameon=False)
    return ax


def forest_limits(table: pd.DataFrame) -> tuple[float, float]:
    """Return ends of a forest plot's axis: full decades that hold the estimates, not every interval.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``hr``, missing or infinite where there is no estimate.

    Returns
    -------
    tuple of float
        From 0.1 to 10, or further, at most from 0.0001 to 10 000.
    """
    hr = table["hr"].to_numpy(float)
    exponents = np.log10(hr[np.isfinite(hr) & (hr > 0)])
    lowest, highest = np.min(exponents, initial=-1), np.max(exponents, initial=1)
    return 10.0 ** max(np.floor(lowest), -4), 10.0 ** min(np.ceil(highest), 4)


def plot_forest(table: pd.DataFrame) -> Axes:
    """Plot hazard ratios of high against low risk by subgroup.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per level, top to bottom: ``subgroup`` and ``level`` (text); ``n_high``, ``events_high``,
        ``n_low``, ``events_low`` (patients and events per arm); ``hr``, ``hr_low``, ``hr_high``, missing
        where there is no estimate; optionally ``p_interaction``, of which the first of a subgroup is shown.
        A subgroup of one row with an empty level (all patients) takes one line.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of a new figure whose height suits the number of rows: events/patients per arm under each
        level, HR (95 % CI) at the right. The axis ends as `forest_limits` says; intervals beyond end in an
        arrow.
    """
    limits, subgroups = forest_limits(table), list(table.groupby("subgroup", sort=False))
    height = 1.0 + 0.38 * len(table) + 0.36 * len(subgroups)
    _, ax = plt.subplots(figsize=(6.0, height), layout="constrained")
    y, ticks, names = 0.0, [], []
    for name, part in subgroups:
        one_line = len(part) == 1 and not part["level"].iloc[0]
        _title_subgroup(ax, y, name, part, "bottom" if one_line else "center")
        # A title stands nearer to its own rows than to the row above.
        y += 0 if one_line else 0.2
        for _, row in part.iterrows():
            y -= 0 if one_line else 1.0
            _draw_row(ax, y, row, limits)
            ticks.append(y)
            arms = (f"{arm} {row[f'events_{arm}']:.0f}/{row[f'n_{arm}']:.0f}" for arm in ("high", "low"))
            names.append(f"{row['level']}\n{', '.join(arms)}")
        y -= 1.2
    return _finish_forest(ax, ticks, names, limits, y)


def _title_subgroup(ax: Axes, y: float, name: str, part: pd.DataFrame, va: str) -> None:
    """Write a subgroup's name at the left and the p-value of its interaction at the right."""
    _write_left(ax, y, name, va=va, fontsize=SMALL + 1, weight="bold")
    p_interaction = part["p_interaction"].dropna() if "p_interaction" in part else []
    if len(p_interaction):
        _write_right(ax, y, f"interaction p {words.format_p(p_interaction.iloc[0])}", style="italic")


def _write_left(ax: Axes, y: float, text: str, **style) -> None:
    aside = offset_copy(ax.get_yaxis_transform(), ax.figure, x=-PAD, units="points")
    ax.text(0, y, text, transform=aside, ha="right", **style)


def _write_right(ax: Axes, y: float, text: str, **style) -> None:
    ax.text(1.045, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=SMALL, **style)


def _draw_row(ax: Axes, y: float, row: Mapping, limits: tuple[float, float]) -> None:
    """Draw a level's hazard ratio and write it at the right; an arrow where its interval leaves the axis."""
    if not np.isfinite([row["hr"], row["hr_low"]]).all():
        _write_right(ax, y, "no estimate")
        return
    _write_right(ax, y, words.format_hr(row["hr"], row["hr_low"], row["hr_high"]))
    shown = np.clip([row["hr_low"], row["hr_high"]], *limits)
    ax.plot(shown, [y, y], color=words.BLUE, linewidth=1.6, solid_capstyle="butt")
    if limits[0] <= row["hr"] <= limits[1]:
        ax.plot(row["hr"], y, marker="s", color=words.BLUE, markersize=5.5)
    if row["hr_low"] < limits[0]:
        ax.plot(limits[0], y, marker="<", color=words.BLUE, markersize=6, clip_on=False)
    if row["hr_high"] > limits[1]:
        ax.plot(limits[1], y, marker=">", color=words.BLUE, markersize=6, clip_on=False)


def _finish_forest(ax: Axes, ticks: list[float], names: list[str], limits, bottom: float) -> Axes:
    """Set the axes of a forest plot."""
    ax.axvline(1, **REFERENCE)
    ax.set(xscale="log", xlim=limits, ylim=(bottom + 0.55, 0.6))
    ax.set_xlabel("Hazard ratio, high against low risk (95 % CI)\nlow risk worse ←  → high risk worse")
    ax.xaxis.set_major_locator(LogLocator(numticks=9))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    ax.set_yticks(ticks, names, fontsize=SMALL)
    ax.tick_params(axis="y", length=0, pad=PAD)
    ax.spines[["left", "right", "top"]].set_visible(False)
    head = {"va": "bottom", "fontsize": SMALL, "color": "0.35"}
    _write_left(ax, ax.get_ylim()[1], "events/patients\nper risk group", **head)
    ax.text(1.045, 1.0, "HR (95 % CI)", transform=ax.transAxes, **head)
    return ax


TUMOUR, NODE = 1, 2
CONTOUR_STYLES = {TUMOUR: (words.MASK_COLOURS["tumour"], "-"), NODE: (words.MASK_COLOURS["nodes"], "--")}


def widest_slice(volume: Volume, label: int = TUMOUR) -> int:
    """Return the index of the slice in which a label covers most voxels; the middle one if it has none."""
    areas = np.zeros(len(volume.image)) if volume.mask is None else (volume.mask == label).sum((1, 2))
    return int(areas.argmax()) if areas.any() else len(areas) // 2


def plot_slice(
    volume: Volume,
    slice_index: int,
    *,
    compared: np.ndarray | None = None,
    title: str = "",
    half_mm: float | None = None,
    ax: Axes,
) -> Axes:
    """Draw one axial slice with its contours, front up and the patient's right on the left.

    Parameters
    ----------
    volume : Volume
        Image, and mask if there is one.
    slice_index : int
        Position along the first axis.
    compared : numpy.ndarray, optional
        Another mask on the same voxels, such as a network's; style then tells the masks apart.
    title : str
        Words above the picture.
    half_mm : float, optional
        Half the width shown, about the middle of the field of view; everything if not given.
    ax : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
        Tumour outlined in a solid, lymph nodes in a dashed line of another colour; with `compared`, both
        solid in the mask of `volume` and both dashed in the other.
    """
    image, masks = volume.image[slice_index], {}
    if volume.mask is not None:
        masks = {"": volume.mask[slice_index]}
    if compared is not None:
        masks = {"-": volume.mask[slice_index], "--": compared[slice_index]}
    down, across = volume.spacing[1:]
    height, width = image.shape[0] * down, image.shape[1] * across
    pixels = {"origin": "upper", "extent": (-width / 2, width / 2, height / 2, -height / 2)}
    ax.imshow(image, cmap="gray", vmin=0, vmax=np.percentile(volume.image, 99.4), **pixels)
    _outline(ax, masks, pixels)
    ax.set(xlim=((across - width) / 2, (width - across) / 2), ylim=((height - down) / 2, (down - height) / 2))
    if half_mm is not None:
        ax.set(xlim=(-half_mm, half_mm), ylim=(half_mm - 8, -half_mm - 8))
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()
    return ax


def _outline(ax: Axes, masks: Mapping[str, np.ndarray], pixels: Mapping) -> None:
    """Draw the contours of masks in the line styles that are their keys, or in those of the structures."""
    for label, (colour, usual) in CONTOUR_STYLES.items():
        for style, mask in masks.items():
            if (mask == label).any():
                line = {"colors": colour, "linestyles": style or usual, "linewidths": 1}
                ax.contour(mask == label, [0.5], **line, **pixels)
