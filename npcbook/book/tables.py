"""Tables for readers: data frames as captioned, labelled HTML."""

import hashlib
import math
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_numeric_dtype
from pandas.io.formats.style import Styler

from npcbook.words import MISSING, _is_missing, as_html, format_number

TABLE_STYLE = "table-layout: auto; width: auto; margin-inline: 0 auto; font-size: 0.9em;"
# Spaces within a number, an estimate with its limits, or a comparison with a number: no line ends there.
WITHIN_NUMBERS = re.compile(r"(?<=[\d)±×/–≤≥<>=o]) (?=[\d−±×/–%>]|\([\d−>]|to [\d−])")
# The caption stays in view while a wide table is scrolled sideways.
CAPTION_STYLE = "position: sticky; left: 0; display: inline-block; max-width: min(42em, 85vw);"
STYLES = [
    {"selector": "caption", "props": "caption-side: top; text-align: left; padding-bottom: 0.5em;"},
    {"selector": "th, td", "props": "text-align: left; vertical-align: top; padding: 0.2em 0.55em;"},
    {"selector": "tbody th", "props": "font-weight: normal;"},
    # Named once, rows are seen as a group; whoever listens, or searches, has the name in each.
    {"selector": "tbody .repeated", "props": "font-size: 0;"},
]


class Table(Styler):
    """A data frame as HTML whose plain-text form is the table too, so that two runs print the same text."""

    def __repr__(self) -> str:
        """Return the table as plain text (the inherited form would show a memory address)."""
        return self.plain_text

    def _repr_mimebundle_(self, include=None, exclude=None):
        """Return the forms of the table, marked for the page with the name of its file and its caption."""
        return {"text/html": self._repr_html_(), "text/plain": self.plain_text}, {"text/html": self.marks}


def _format_text(value) -> str:
    """Return a cell as HTML: escaped, words in backticks as code, missing or empty ones as a dash."""
    if _is_missing(value) or value == "":
        return MISSING
    text = re.sub("`([^`]+)`", r"<code>\1</code>", _heading(value))
    # A word joiner after the dash keeps a range such as 2.00–6.88, and 1e-5, on one line.
    return re.sub("(?<=[0-9e])([–-])(?=[0-9]|&gt;)", "\\1\u2060", text)


def _heading(value) -> str:
    """Return a heading as HTML: escaped, its numbers on one line each."""
    return as_html(WITHIN_NUMBERS.sub("\N{NO-BREAK SPACE}", str(value)))


def _repeated(df: pd.DataFrame) -> pd.DataFrame:
    """Return a class for cells of the leading columns of text that repeat, with all before, the row above."""
    text = [not is_numeric_dtype(kind) for kind in df.dtypes]
    return (df.eq(df.shift()) & text).astype(int).cummin(axis=1).map(["", "repeated"].__getitem__)


def _column_decimals(values: pd.Series) -> int:
    """Return the decimals of a column: three digits of its typical value, none that no value has."""
    sizes = [abs(float(value)) for value in values if value and math.isfinite(value)]
    needed = max((len(f"{size:.3f}".rstrip("0").partition(".")[2]) for size in sizes), default=0)
    typical = float(np.median(sizes)) if sizes else 1.0
    return min(needed, max(0, min(3, 2 - math.floor(math.log10(typical)))))


def _cell_format(column: pd.Series) -> Callable[[object], str]:
    """Return the function that makes a column's cells text: numbers alike, anything else cell by cell."""
    known = column.dropna()
    if infer_dtype(known) not in ("integer", "floating", "mixed-integer-float"):
        return _format_text
    decimals, commas = _column_decimals(known), bool((known.astype(float).abs() >= 10_000).any())

    def format_cell(value) -> str:
        text = format_number(value, decimals)
        whole, point, rest = text.partition(".")
        return f"{int(whole):,}{point}{rest}" if commas and whole.isdigit() else text

    return format_cell


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
        Chapter and file name of a stored table, such as ``NN_name/cutoffs``.

    Returns
    -------
    Table
        Styled data frame. Its identifiers derive from the caption, so the same table gives the same HTML.

    Notes
    -----
    Numbers of a column have the same decimals: three digits of its median, three decimals at most. Columns
    without any entry, or of dashes alone, are left out. What stands between backticks is set as code. Colours
    are left to the page, whose theme styles the ``dataframe`` class for light and dark alike.
    """
    df = df.reset_index(drop=True)
    df = df.loc[:, (df.notna() & ~df.isin(["", MISSING])).any()] if len(df) else df
    digest = hashlib.blake2b(f"{caption}|{label}".encode(), digest_size=5).hexdigest()
    # The scripts that draw formulas leave a table's dollar signs alone.
    attributes = f'class="dataframe tex2jax_ignore mathjax_ignore" style="{TABLE_STYLE}"'
    title = f"{as_html(caption)} <strong>{as_html(label)}</strong>"
    table = Table(df, uuid=digest, cell_ids=False, table_attributes=attributes)
    table.marks = {"table": name, "alt": caption} if name else {}
    table.plain_text = f"{caption} [{label}]\n{df.to_string(index=False, na_rep=MISSING)}"
    numeric = [c for c in df.columns if is_numeric_dtype(df[c])]
    number = [{"selector": "", "props": "text-align: right; font-variant-numeric: tabular-nums;"}]
    return (
        table.hide(axis="index")
        .format({name: _cell_format(df[name]) for name in df.columns})
        .format_index(_heading, axis="columns")
        .set_td_classes(_repeated(df))
        .set_table_styles(STYLES)
        .set_table_styles(dict.fromkeys(numeric, number), overwrite=False)
        .set_caption(f'<span style="{CAPTION_STYLE}">{title}</span>')
    )
