"""The paper's printed numbers: read them as data."""

import difflib
import math
from functools import cache

import pandas as pd

from npcbook.paper.implied import ImpliedCorrelation, Interval, WaldCheck, implied_correlation, wald_from_ci
from npcbook.store import project_path

FOLDER = project_path("data/published")
FILES = ("table1", "table2", "table3", "table4", "text", "methods")
NUMBER_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eighth": 8, "nine": 9}
CHECK_COLUMNS = ["topic", "check", "printed", "recomputed", "verdict", "how sure"]
EXACT = ("count", "setting", "cited")
ESTIMATE = ("value", "low", "high")
PARSED = {"printed": "value", "low_printed": "low", "high_printed": "high", "p_printed": "p_value"}


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
    word = NUMBER_WORDS.get(text.lower())
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
    return _published().set_index("id", drop=False).loc[published_id].copy()


def printed_interval(published_id: str, field: str = "value") -> Interval:
    """Return the values that a printed number stands for, given its rounding.

    Parameters
    ----------
    published_id : str
        Row of ``data/published``.
    field : {"value", "low", "high", "p_value"}
        Which number of the row.

    Returns
    -------
    Interval
        All values that round to what is printed, in the printed unit.
    """
    return Interval(*lookup(published_id)[[f"{field}_min", f"{field}_max"]])


def printed_wald(published_id: str) -> WaldCheck:
    """Return middle, standard error and p-value that an estimate's printed interval implies.

    Parameters
    ----------
    published_id : str
        Row with an estimate and its limits; taken on the log scale if it is a hazard ratio.

    Returns
    -------
    WaldCheck
        See `npcbook.paper.wald_from_ci`.
    """
    values = [printed_interval(published_id, field) for field in ESTIMATE]
    return wald_from_ci(*values, ratio=lookup(published_id)["quantity"] == "hazard ratio")


def pair_correlation(first: str, second: str, p_value: Interval) -> ImpliedCorrelation:
    """Return the correlation between two printed estimates that gives their difference this p-value.

    Parameters
    ----------
    first, second : str
        Rows with an estimate and its limits (C-indexes or AUCs of two models on the same patients).
    p_value : Interval
        Two-sided p-value of the difference.

    Returns
    -------
    ImpliedCorrelation
        See `npcbook.paper.implied_correlation`.
    """
    estimates = [[printed_interval(i, field) for field in ESTIMATE] for i in (first, second)]
    return implied_correlation(*map(tuple, estimates), p_value)


def check(topic: str, what: str, printed: str, recomputed: str, verdict, sure="certain", **more) -> dict:
    """Return a check of print as a row of a table.

    Parameters
    ----------
    topic, what, printed, recomputed : str
        What was checked, as printed, and what it was held against.
    verdict : bool or str
        Whether the number reproduces, or ``depends on`` something that print does not tell.
    sure : {"certain", "high", "moderate"}
        Whether it is arithmetic, rests on one mild assumption, or is an approximation.
    **more
        Further columns.

    Returns
    -------
    dict
        A value for each of `CHECK_COLUMNS`, and `more`.
    """
    if not isinstance(verdict, str):
        verdict = "reproduces" if verdict else "does not reproduce"
    return dict(zip(CHECK_COLUMNS, (topic, what, printed, recomputed, verdict, sure), strict=True)) | more


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
