"""Tables for readers: numbers as text, and data frames as captioned, labelled HTML."""

from __future__ import annotations

import hashlib
import html
import math
import numbers
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

__all__ = [
    "MISSING",
    "Table",
    "attempt",
    "format_ci",
    "format_count",
    "format_estimate",
    "format_hr",
    "format_number",
    "format_p",
    "list_reasons",
    "show",
]

MISSING = "–"
HR_LIMIT = 1000
TABLE_STYLE = "table-layout: auto; width: auto; margin-inline: 0 auto; font-size: 0.9em;"
# The caption stays in view while a wide table is scrolled sideways.
CAPTION_STYLE = "position: sticky; left: 0; display: inline-block; max-width: min(42em, 85vw);"


class Table(Styler):
    """A data frame as HTML whose plain-text form is the table too, so that two runs print the same text."""

    def __repr__(self) -> str:
        """Return the table as plain text (the inherited form would show a memory address)."""
        return self.plain_text

    def _repr_mimebundle_(self, include=None, exclude=None):
        """Return the forms of the table, marked with its name so that a page can offer the file."""
        marks = {"text/html": {"table": self.name}} if self.name else {}
        return {"text/html": self._repr_html_(), "text/plain": self.plain_text}, marks


def _is_missing(value: float | None) -> bool:
    return value is None or bool(pd.isna(value))


def format_number(value: float | None, decimals: int = 2) -> str:
    """Return a number as text with a fixed number of decimals.

    Parameters
    ----------
    value : float or None
        The number; None and NaN give a dash.
    decimals : int, default 2
        Digits after the point.

    Returns
    -------
    str
        Such as ``"0.85"``; never ``"-0.00"``. An infinite value gives ``"∞"``.
    """
    if _is_missing(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def format_p(p_value: float | None, floor: float = 0.0) -> str:
    """Return a p-value as text.

    Parameters
    ----------
    p_value : float or None
        Between 0 and 1; None and NaN give a dash.
    floor : float, default 0
        Smallest p-value that the test can give, as where permutations are counted; 0 for none.

    Returns
    -------
    str
        Three decimals below 0.1, where decisions are taken, two above; ``"<0.001"`` and ``">0.99"`` at
        the ends. At the floor ``"≤0.003"``, rounded up, since only a bound is known.

    Raises
    ------
    ValueError
        If the value lies outside 0 to 1.
    """
    if _is_missing(p_value):
        return MISSING
    if not 0 <= p_value <= 1:
        raise ValueError(f"p_value is {p_value}; a p-value lies between 0 and 1.")
    if p_value < 0.001:
        return "<0.001"
    if p_value <= floor:
        return f"≤{math.ceil(1000 * floor) / 1000:.3f}"
    if p_value > 0.99:
        return ">0.99"
    return f"{p_value:.{3 if p_value < 0.1 else 2}f}"


def format_ci(low: float | None, high: float | None, decimals: int = 2) -> str:
    """Return a confidence interval as text.

    Parameters
    ----------
    low, high : float or None
        Limits; if either is missing the result is a dash.
    decimals : int, default 2
        Digits after the point.

    Returns
    -------
    str
        ``"0.78–0.92"``, or ``"−0.10 to 0.20"`` where a limit is negative.
    """
    if _is_missing(low) or _is_missing(high):
        return MISSING
    texts = format_number(low, decimals), format_number(high, decimals)
    return " to ".join(texts) if low < 0 else "–".join(texts)


def format_estimate(value: float | None, low: float | None, high: float | None, decimals: int = 2) -> str:
    """Return an estimate with its confidence interval, such as ``"0.85 (0.78–0.92)"``.

    Parameters
    ----------
    value, low, high : float or None
        Estimate and limits; without an estimate the result is a dash, without limits the estimate alone.
    decimals : int, default 2
        Digits after the point.

    Returns
    -------
    str
        The text.
    """
    if _is_missing(value) or _is_missing(low) or _is_missing(high):
        return format_number(value, decimals)
    return f"{format_number(value, decimals)} ({format_ci(low, high, decimals)})"


def _format_ratio(value: float) -> str:
    if value > HR_LIMIT:
        return f">{HR_LIMIT}"
    return format_number(value, 0 if value >= 100 else 2)


def format_hr(hr: float | None, hr_low: float | None = None, hr_high: float | None = None) -> str:
    """Return a hazard ratio with its confidence interval, such as ``"3.71 (2.00–6.88)"``.

    Parameters
    ----------
    hr, hr_low, hr_high : float or None
        Hazard ratio and limits, not their logarithms; missing ones are left out.

    Returns
    -------
    str
        Two decimals, none from 100 on, and ``">1000"`` beyond, where digits carry no information.
    """
    if _is_missing(hr):
        return MISSING
    if _is_missing(hr_low) or _is_missing(hr_high):
        return _format_ratio(hr)
    return f"{_format_ratio(hr)} ({_format_ratio(hr_low)}–{_format_ratio(hr_high)})"


def format_count(count: int, total: int) -> str:
    """Return a count with its percentage of a total, such as ``"395 (68.7 %)"``; no percentage of nothing."""
    return f"{count} ({100 * count / total:.1f} %)" if total else f"{count}"


def attempt(notes: dict[str, str], what: str, function: Callable, *args, **kwargs):
    """Return what an estimator returns, or None and the estimator's reason in `notes`.

    Small or real cohorts may not allow every cell of a table; the table then shows a dash and the chapter
    shows `notes`. Only `ValueError` counts: the estimators raise it for data that cannot bear the estimate.

    Parameters
    ----------
    notes : dict of str to str
        Gets the reason under `what`; changed in place.
    what : str
        Which cell it is, in the reader's words.
    function : callable
        The estimator.
    *args, **kwargs
        Its arguments.

    Returns
    -------
    object or None
        The estimator's result.
    """
    try:
        return function(*args, **kwargs)
    except ValueError as error:
        notes[what] = str(error)
        return None


def list_reasons(notes: dict[str, str]) -> pd.DataFrame:
    """Return what `attempt` noted as a table for the reader.

    Parameters
    ----------
    notes : dict of str to str
        Which cell has no estimate, and why; may be empty.

    Returns
    -------
    pandas.DataFrame
        ``estimate`` and ``why there is none``, one row a note; one row that says so if there are none.
    """
    rows = notes or {"none": "every estimate could be had"}
    return pd.DataFrame(rows.items(), columns=["estimate", "why there is none"])


def _format_text(value) -> str:
    """Return a cell as HTML: escaped, words in backticks as code, missing or empty ones as a dash."""
    if _is_missing(value) or value == "":
        return MISSING
    text = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(str(value), quote=False))
    # A word joiner after the dash keeps a range such as 2.00–6.88 on one line.
    return re.sub("(?<=[0-9])–(?=[0-9]|&gt;)", "–\u2060", text)


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def _column_decimals(values: pd.Series) -> int:
    """Return the decimals of a column: three digits of its typical value, none that no value has."""
    sizes = [abs(float(value)) for value in values if value and math.isfinite(value)]
    needed = max((len(f"{size:.3f}".rstrip("0").partition(".")[2]) for size in sizes), default=0)
    typical = float(np.median(sizes)) if sizes else 1.0
    return min(needed, max(0, min(3, 2 - math.floor(math.log10(typical)))))


def _cell_format(column: pd.Series) -> Callable[[object], str]:
    """Return the function that makes a column's cells text: numbers alike, anything else cell by cell."""
    known = column.dropna()
    if not len(known) or not known.map(_is_number).all():
        return _format_text
    decimals, commas = _column_decimals(known), bool((known.astype(float).abs() >= 10_000).any())

    def format_cell(value) -> str:
        text = format_number(value, decimals)
        whole, point, rest = text.partition(".")
        return f"{int(whole):,}{point}{rest}" if commas and whole.isdigit() else text

    return format_cell


def _without_empty_columns(df: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the columns that are empty in every row; a table without rows as it is."""
    filled = [bool((df[name].notna() & df[name].ne("")).any()) for name in df.columns]
    return df.loc[:, filled] if len(df) else df


def show(df: pd.DataFrame, *, caption: str, label: str, name: str = "") -> Table:
    """Return a data frame as HTML that says what it shows and where its data come from.

    Parameters
    ----------
    df : pandas.DataFrame
        The table; its index is not shown, missing and empty cells appear as a dash. Column names differ.
    caption : str
        One sentence above the table.
    label : str
        Origin of the data, set in bold after the caption, within the table.
    name : str, optional
        Chapter and file name of a stored table, such as ``06_km/cutoffs``.

    Returns
    -------
    Table
        Styled data frame. Its identifiers derive from the caption, so the same table gives the same HTML.

    Notes
    -----
    Numbers of a column have the same decimals: three digits of its median, three decimals at most. Columns
    without any entry are left out. What stands between backticks is set as code. Colours are left to the
    page, whose theme styles the ``dataframe`` class for light and dark alike.
    """
    df = _without_empty_columns(df.reset_index(drop=True))
    digest = hashlib.blake2b(f"{caption}|{label}".encode(), digest_size=5).hexdigest()
    attributes = f'class="dataframe" style="{TABLE_STYLE}"'
    title = f"{html.escape(caption)} <strong>{html.escape(label)}</strong>"
    table = Table(df, uuid=digest, cell_ids=False, table_attributes=attributes)
    table.name = name
    table.plain_text = f"{caption} [{label}]\n{df.to_string(index=False, na_rep=MISSING)}"
    numeric = [c for c in df.columns if pd.api.types.is_numeric_dtype(df[c])]
    styles = [
        {"selector": "caption", "props": "caption-side: top; text-align: left; padding-bottom: 0.5em;"},
        {"selector": "th, td", "props": "text-align: left; vertical-align: top; padding: 0.2em 0.55em;"},
    ]
    number = [{"selector": "", "props": "text-align: right; font-variant-numeric: tabular-nums;"}]
    return (
        table.hide(axis="index")
        .format({name: _cell_format(df[name]) for name in df.columns})
        .format_index(lambda name: html.escape(str(name)), axis="columns")
        .set_table_styles(styles)
        .set_table_styles(dict.fromkeys(numeric, number), overwrite=False)
        .set_caption(f'<span style="{CAPTION_STYLE}">{title}</span>')
    )
