"""The paper's printed numbers: read them, and set a run's values beside them."""

from __future__ import annotations

import difflib
import math
import os
from functools import cache
from pathlib import Path

import pandas as pd

from npcbook.tables import MISSING, format_estimate, format_hr, format_p

__all__ = [
    "check_id",
    "compare",
    "ledger",
    "lookup",
    "parse_number",
    "printed_decimals",
    "read_claims",
    "read_published",
    "read_register",
    "read_run_values",
]

FOLDER = Path(__file__).resolve().parents[1] / "data" / "published"
FILES = ("table1", "table2", "table3", "table4", "text", "methods")
WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eighth": 8, "nine": 9}
EXACT = ("count", "setting", "cited")
NOT_RESULTS = ("setting", "cited")
PARSED = {"printed": "value", "low_printed": "low", "high_printed": "high", "p_printed": "p_value"}
TRACKS = ("as published", "recommended", "truth")


def parse_number(printed: str, *, exact: bool = False) -> tuple[float, float, float]:
    """Return a printed number and the interval of values that would have been printed so.

    Parameters
    ----------
    printed : str
        Number as printed: an en dash may stand for minus, commas may separate thousands, small whole numbers
        may be words (``four``), and p-values may be one-sided (``<0.001``). Empty: nothing was printed.
    exact : bool, default False
        Whether the number is a count or a setting, which nobody rounded.

    Returns
    -------
    tuple of float
        Value, and the lowest and highest value that round to it. A one-sided p-value has no value (nan)
        and the interval it leaves: ``<0.001`` gives 0 to 0.001, ``>0.05`` gives 0.05 to 1. Text that is no
        number (a date, a version, a range) gives three nan.
    """
    text = printed.strip().replace("–", "-").replace(",", "")
    if text[:1] in ("<", ">"):
        bound = float(text[1:])
        return (math.nan, 0.0, bound) if text[0] == "<" else (math.nan, bound, 1.0)
    word = WORDS.get(text.lower())
    try:
        value = float(text if word is None else word)
    except ValueError:
        return math.nan, math.nan, math.nan
    half = 0.0 if exact or word is not None else 0.5 * 10.0 ** -len(text.partition(".")[2])
    return value, value - half, value + half


@cache
def _published() -> pd.DataFrame:
    tables = [pd.read_csv(FOLDER / f"{name}.csv", dtype=str, keep_default_na=False) for name in FILES]
    df = pd.concat(tables, ignore_index=True)
    exact = df["quantity"].isin(EXACT)
    for text, name in PARSED.items():
        parsed = [parse_number(p, exact=e) for p, e in zip(df[text], exact, strict=True)]
        df[[name, f"{name}_min", f"{name}_max"]] = pd.DataFrame(parsed, index=df.index)
    df["n"] = pd.to_numeric(df["n"])
    return df


def read_published() -> pd.DataFrame:
    """Read every number that the paper prints, one row each.

    Returns
    -------
    pandas.DataFrame
        Columns of the files in ``data/published`` (see ``data/README.md``), text as printed, and for the
        printed value, its two confidence limits (or quartiles) and its p-value the parsed numbers: ``value``,
        ``low``, ``high``, ``p_value``, each with ``_min`` and ``_max``, the interval of values that round to
        what is printed. What is not printed is nan.

    References
    ----------
    The paper's Tables 1–4, summary, text, captions and methods; its forest plots, curves and supplement are
    not transcribed.
    """
    return _published().copy()


def check_id(published_id: str) -> None:
    """Refuse an id that names no printed number.

    Parameters
    ----------
    published_id : str
        ``id`` of a row in ``data/published``, such as ``table4.training.c_index.dc``.

    Raises
    ------
    ValueError
        If there is no such row; the message gives the nearest ids.
    """
    ids = _published()["id"]
    if not (ids == published_id).any():
        near = difflib.get_close_matches(str(published_id), ids, n=4, cutoff=0.5)
        raise ValueError(
            f"No printed number has the id {published_id!r}; the nearest are {', '.join(near) or 'none'}. "
            f"The ids stand in data/published/*.csv."
        )


def lookup(published_id: str) -> pd.Series:
    """Return the row of one printed number.

    Parameters
    ----------
    published_id : str
        Its ``id``.

    Returns
    -------
    pandas.Series
        Columns as in `read_published`.

    Raises
    ------
    ValueError
        If there is no such row (see `check_id`).
    """
    check_id(published_id)
    df = _published()
    return df[df["id"] == published_id].iloc[0].copy()


def read_claims() -> pd.DataFrame:
    """Read the paper's claims and the printed tests that bear on them.

    Returns
    -------
    pandas.DataFrame
        Text columns ``claim``, ``source``, ``context`` (words of the paper), ``needs`` (the test that would
        support it), ``printed_tests`` (ids, separated by blanks) and ``finding``.
    """
    return pd.read_csv(FOLDER / "claims.csv", dtype=str, keep_default_na=False)


def read_register() -> pd.DataFrame:
    """Read the register of choices: what the paper says, what its deposited script does, what this book does.

    Returns
    -------
    pandas.DataFrame
        Text columns ``topic``, ``paper``, ``deposit``, ``book``, ``parameter``, ``chapter``, ``effect``.
    """
    return pd.read_csv(FOLDER / "register.csv", dtype=str, keep_default_na=False)


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
            f"No chapter has recorded a value in {run_folder}: run chapters 01_cohorts to 08_ccnd first "
            f"(python -m npcbook book runs them all)."
        )
    return pd.concat([pd.read_csv(file).assign(recorded_by=file.parent.name) for file in files])


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
    value, low, high, p_value = (row[f"{name} {track}"] for name in ("value", "low", "high", "p_value"))
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
    df = _published().copy()
    columns = ["id", "track", "value", "low", "high", "p_value"]
    values = values.reindex(columns=columns)
    for published_id in values["id"]:
        check_id(published_id)
    first = (
        df.set_index("id")["repeats"].replace("", pd.NA).fillna(pd.Series(df["id"].values, index=df["id"]))
    )
    for track in TRACKS:
        own = values[values["track"] == track].drop_duplicates("id", keep="last").set_index("id")
        shared = own.groupby(first.reindex(own.index)).last()
        for name in columns[2:]:
            through = df["id"].map(first).map(shared[name])
            df[f"{name} {track}"] = pd.to_numeric(
                df["id"].map(own[name]).where(df["id"].isin(own.index), through)
            )
    return df


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
        written as `npcbook.tables.format_hr` writes them.

    Raises
    ------
    ValueError
        If an id in `values` names no printed number.
    """
    df = _with_values(values)
    recorded = df["id"].isin(set(values["id"]) if "id" in values else set())
    result = ~df["quantity"].isin(NOT_RESULTS) & (df["repeats"] == "")
    df = df[recorded | (result & (True if chapter is None else df["chapter"] == chapter))]
    table = pd.DataFrame({"what": [_what(row) for _, row in df.iterrows()]})
    table["printed"] = [_printed_text(row) for _, row in df.iterrows()]
    for track in TRACKS:
        name = track if track == "truth" else f"{track}, here"
        table[name] = [_run_text(row, track) for _, row in df.iterrows()]
    return table


def _what(row: pd.Series) -> str:
    cohort = {"": "", "both": ", both cohorts"}.get(row["cohort"], f", {row['cohort']}")
    return f"{row['subject']}: {row['quantity']}{cohort}"


def ledger(values: pd.DataFrame) -> pd.DataFrame:
    """Set every printed number beside a run's value: the difference, and whether print's interval holds it.

    Parameters
    ----------
    values : pandas.DataFrame
        As for `compare`, from all chapters of a run; a column ``recorded_by`` may name the chapter.

    Returns
    -------
    pandas.DataFrame
        One row per printed number: ``id``, ``source``, ``chapter``, ``what``, ``printed``, ``here`` (as
        published), ``recommended``, ``truth``, ``difference`` (here minus printed, in the printed unit),
        ``in printed CI`` (yes, no, or a dash where the paper prints no interval or the run has no value) and
        ``status`` (compared, not computed in this run, setting, from the literature).
    """
    df = _with_values(values)
    here = df["value as published"]
    # A p-value may be recorded as the value of its row or as the row's p-value.
    p_row = df["quantity"] == "p-value"
    here = here.where(~p_row | df["p_value as published"].isna(), df["p_value as published"])
    table = df[["id", "source", "chapter"]].copy()
    table["what"] = [_what(row) for _, row in df.iterrows()]
    table["printed"] = [_printed_text(row) for _, row in df.iterrows()]
    for name, track in (("here", "as published"), ("recommended", "recommended"), ("truth", "truth")):
        table[name] = [_run_text(row, track) for _, row in df.iterrows()]
    table["difference"] = here - df["value"]
    table["in printed CI"] = _inside(df, here)
    computed = table[["here", "recommended", "truth"]].ne(MISSING).any(axis=1)
    status = df["quantity"].map({"setting": "setting", "cited": "from the literature"})
    table["status"] = status.fillna(computed.map({True: "compared", False: "not computed in this run"}))
    return table


def _inside(df: pd.DataFrame, here: pd.Series) -> pd.Series:
    interval = (
        df["low"].notna() & df["high"].notna() & ~df["quantity"].str.startswith("median") & here.notna()
    )
    inside = here.between(df["low_min"], df["high_max"]).map({True: "yes", False: "no"})
    return inside.where(interval, MISSING)
