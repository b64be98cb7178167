"""A run's values beside the printed ones."""

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from npcbook.paper.printed import check_id, read_published
from npcbook.store import FORMATS
from npcbook.words import MISSING, SOURCES, TRACKS, format_estimate, format_hr, format_p

NUMBERS = ["value", "low", "high", "p_value"]
#: Rows that no run computes, and their status in the ledger.
NOT_RESULTS = {"setting": "setting", "cited": "from the literature"}


def read_run_values(run_folder: str | os.PathLike) -> pd.DataFrame:
    """Read the values that the chapters of a run recorded beside printed numbers.

    Parameters
    ----------
    run_folder : str or path
        The run; every ``<chapter>/values.csv`` in it is read, in the order of the chapters' names.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``track``, ``value``, ``low``, ``high``, ``p_value`` and ``recorded_by``, the chapter.

    Raises
    ------
    FileNotFoundError
        If no chapter of this run has recorded a value.
    """
    files = sorted(Path(run_folder).glob("*/values.csv"))
    if not files:
        raise FileNotFoundError(
            f"No chapter has recorded a value in {run_folder}: run the chapters of the analysis first "
            f"(python -m npcbook book runs them all)."
        )
    return pd.concat([FORMATS[".csv"][0](file).assign(recorded_by=file.parent.name) for file in files])


def printed_decimals(printed: str) -> int:
    """Return the digits after the point of a number as printed; 2 where nothing is printed."""
    return len(printed.strip().partition(".")[2]) if printed else 2


def _p_text(p_value: str) -> str:
    return f"p {p_value}" if p_value[0] in "<>" else f"p = {p_value}"


def _printed_text(row: pd.Series) -> str:
    text = row["printed"]
    if row["low_printed"]:
        text += f" ({row['low_printed']}–{row['high_printed']})"
    return f"{text}, {_p_text(row['p_printed'])}" if row["p_printed"] else text


def _run_text(row: pd.Series, track: str) -> str:
    value, low, high, p_value = (row[f"{name} {track}"] for name in NUMBERS)
    if row["quantity"] == "p-value":
        return format_p(p_value if pd.notna(p_value) else value)
    if row["quantity"] == "hazard ratio":
        text = format_hr(value, low, high)
    else:
        text = format_estimate(value, low, high, printed_decimals(row["printed"]))
    return f"{text}, {_p_text(format_p(p_value))}" if pd.notna(p_value) else text


def _with_values(values: pd.DataFrame) -> pd.DataFrame:
    """Return all printed rows, with the run's values in columns ``value as published`` and so on.

    A number that the paper prints twice is one number: the value recorded for either row serves both, unless
    the row has its own.
    """
    df, values = read_published(), values.reindex(columns=["id", "track", *NUMBERS])
    for published_id in values["id"]:
        check_id(published_id)
    first = df["repeats"].where(df["repeats"] != "", df["id"]).set_axis(df["id"])
    for track in SOURCES:
        own = values[values["track"] == track].drop_duplicates("id", keep="last").set_index("id")
        own = own[NUMBERS].astype(float)
        numbers = own.groupby(first.reindex(own.index)).last().reindex(first).set_axis(first.index)
        numbers.loc[own.index] = own
        df[[f"{name} {track}" for name in NUMBERS]] = numbers.to_numpy()
    return df


def _texts(df: pd.DataFrame) -> pd.DataFrame:
    """Return what each row is, as printed, and by source as this run has it."""
    rows = [row for _, row in df.iterrows()]
    table = pd.DataFrame({"what": map(_what, rows), "printed": map(_printed_text, rows)}, index=df.index)
    return table.assign(**{track: [_run_text(row, track) for row in rows] for track in SOURCES})


def compare(values: pd.DataFrame, chapter: str | None = None) -> pd.DataFrame:
    """Set a run's values beside the printed numbers, as text ready to read.

    Parameters
    ----------
    values : pandas.DataFrame
        Columns ``id``, ``track`` (``as published``, ``recommended`` or ``truth``), ``value``, ``low``,
        ``high`` and ``p_value``, in printed units; may be empty.
    chapter : str, optional
        Show the printed results that this chapter reproduces, and whatever `values` has; without it, all.

    Returns
    -------
    pandas.DataFrame
        ``what``, ``printed``, ``as published, here``, ``recommended, here``, ``truth``; a dash where the run
        has no value. Own numbers have as many decimals as the printed one, but hazard ratios are
        written as `npcbook.words.format_hr` writes them.

    Raises
    ------
    ValueError
        If an id in `values` names no printed number.
    """
    df = _with_values(values)
    recorded = df["id"].isin(set(values["id"]) if "id" in values else set())
    result = ~df["quantity"].isin(NOT_RESULTS) & (df["repeats"] == "")
    df = df[recorded | (result & (True if chapter is None else df["chapter"] == chapter))]
    return _texts(df).rename(columns={track: f"{track}, here" for track in TRACKS}).reset_index(drop=True)


def _what(row: pd.Series) -> str:
    cohort = {"": "", "both": ", both cohorts"}.get(row["cohort"], f", {row['cohort']}")
    return f"{row['subject']}: {row['quantity']}{cohort}"


def ledger(values: pd.DataFrame, *, not_counted: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Set every printed number beside a run's value: the difference, and whether print's interval holds it.

    Parameters
    ----------
    values : pandas.DataFrame
        As for `compare`, from all chapters of a run; a column ``recorded_by`` may name the chapter.
    not_counted : mapping of str to str, optional
        Numbers (by id) whose agreement would say nothing, and why. P-values, which have no distance, and
        repetitions of a number are added to them.

    Returns
    -------
    pandas.DataFrame
        One row per printed number: ``id``, ``source``, ``chapter``, ``what``, ``printed``, ``here`` (as
        published), ``recommended``, ``truth``, ``difference`` (here minus printed, in the printed unit; none
        for p-values), ``in printed CI`` (yes, no, or a dash where the paper prints no interval, the run has
        no value, or the number is not counted), ``not counted`` (why, or empty) and ``status`` (compared, not
        computed in this run, setting, from the literature).
    """
    df = _with_values(values)
    here, is_p = df["value as published"], df["quantity"] == "p-value"
    reasons = df["repeats"].where(df["repeats"] != "", df["id"]).map(dict(not_counted or {}))
    reasons = reasons.mask(df["repeats"] != "", "printed elsewhere, too").mask(is_p, "p-value").fillna("")
    table = df[["id", "source", "chapter"]].join(_texts(df).rename(columns={"as published": "here"}))
    table["difference"] = (here - df["value"]).mask(is_p)
    table["in printed CI"] = _inside(df, here).mask(reasons != "", MISSING)
    computed = table[["here", "recommended", "truth"]].ne(MISSING).any(axis=1)
    table["not counted"] = reasons
    status = df["quantity"].map(NOT_RESULTS)
    table["status"] = status.fillna(computed.map({True: "compared", False: "not computed in this run"}))
    return table


def _inside(df: pd.DataFrame, here: pd.Series) -> pd.Series:
    interval = df[["low", "high"]].notna().all(axis=1) & ~df["quantity"].str.startswith("median")
    inside = here.between(df["low_min"], df["high_max"]).map({True: "yes", False: "no"})
    return inside.where(interval & here.notna(), MISSING)
