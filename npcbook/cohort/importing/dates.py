"""Dates as hospitals write them."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

DAYS_PER_MONTH = 365.25 / 12
#: Days from which Excel's numbers of a day count, and the numbers of 1930 to 2069.
EXCEL_ZERO, EXCEL_DAYS = pd.Timestamp("1899-12-30"), (10959, 62092)
MONTHS = {
    name: number
    for number, names in enumerate(
        "jan,feb,mar mär mrz,apr,may mai,jun,jul,aug,sep,oct okt,nov,dec dez".split(","), start=1
    )
    for name in names.split()
}
_CLOCK = r"(?:[ T]\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:[ap]m)?(?:Z|[+-]\d{2}:?\d{2})?)?"
#: Ways to write a date; a and b are day and month in an order of the column's own.
FORMS = [
    re.compile(form + _CLOCK, re.IGNORECASE)
    for form in (
        r"(?P<y>\d{4})\s*[-/.年]\s*(?P<m>\d{1,2})\s*[-/.月]\s*(?P<d>\d{1,2})\s*日?",
        r"(?P<y>(?:19|20)\d{2})(?P<m>[01]\d)(?P<d>[0-3]\d)",
        r"(?P<a>\d{1,2})\s*[-/.]\s*(?P<b>\d{1,2})\s*[-/.]\s*(?P<y>\d{4}|\d{2})",
        r"(?P<d>\d{1,2})[-/. ]+(?P<name>[a-zä]{3,9})[-/., ]+(?P<y>\d{4}|\d{2})",
        r"(?P<name>[a-zä]{3,9})[-/. ]+(?P<d>\d{1,2})(?:st|nd|rd|th)?[-/., ]+(?P<y>\d{4}|\d{2})",
        r"(?P<y>\d{4})[-/. ](?P<name>[a-zä]{3,9})[-/. ](?P<d>\d{1,2})",
        r"(?P<y>(?:19|20)\d{2})\s*[-/.年]\s*(?P<m>\d{1,2})\s*月?",
    )
]
#: Day of a month that is given without one.
MIDDLE = 15
ORDERS = ("day-first", "month-first")


@dataclass(frozen=True)
class Dates:
    """A column read as dates.

    Attributes
    ----------
    values : pandas.Series of datetime64
        NaT where the cell is empty or holds no date.
    unreadable : pandas.Series of bool
        Cells that hold something else.
    order : str
        ``day-first`` or ``month-first``; ``"?"`` where either may be meant, empty where the question is none.
    said : str
        How the order was found, and how many dates lack their day.
    """

    values: pd.Series
    unreadable: pd.Series
    order: str
    said: str


def read_dates(text: pd.Series, *, order: str = "", today: pd.Timestamp) -> Dates:
    """Read a column of text as dates.

    Parameters
    ----------
    text : pandas.Series of str
        Cells, empty where nothing is known. Understood are 2012-03-25, 20120325, 2012年3月25日, 25.3.2012,
        3/25/2012, 25-Mar-12, March 25, 2012, and the numbers in which Excel counts days; a time of day is
        dropped, and a month without a day is its 15th.
    order : str
        Order of day and month where both are numbers before the year; empty: as `order_of` finds it.
    today : pandas.Timestamp
        A year of two digits lies at most this far ahead.

    Returns
    -------
    Dates
    """
    parts = [_parts(cell) for cell in text]
    found, said = order_of(parts)
    order = order if order in ORDERS and found else found
    if bare := sum("m" in part and "d" not in part for part in parts):
        said = f"{said}; {bare} dates without a day, taken as the 15th".removeprefix("; ")
    dates = pd.Series([_date(part, order, today) for part in parts], index=text.index, dtype="datetime64[ns]")
    return Dates(dates, dates.isna() & (text != ""), order, said)


def is_date_column(text: pd.Series, *, serials: bool = False) -> bool:
    """Return whether most cells that are filled hold a date; Excel's numbers count where asked for."""
    parts = [_parts(cell) for cell in text if cell]
    return len(parts) > 0 and np.mean([bool(p) and (serials or "serial" not in p) for p in parts]) > 0.8


def order_of(parts: list[dict]) -> tuple[str, str]:
    """Return the order of day and month that the dates of a column prove, and how it was found."""
    both = [part for part in parts if "a" in part]
    if not both:
        return "", ""
    day, month = (sum(int(part[letter]) > 12 for part in both) for letter in "ab")
    if day and month:
        return "?", f"{day} dates can only be day-first and {month} only month-first"
    if day or month:
        return ORDERS[bool(month)], f"{day or month} of {len(both)} dates can be nothing else"
    if all("." in part["written"] for part in both):
        return "day-first", "no date proves it, but points between the numbers are written that way"
    return "?", f"each of {len(both)} dates could be either"


def _parts(cell: str) -> dict:
    """Return year, month, day and the like as written; empty for what is no date."""
    for form in FORMS:
        if match := form.fullmatch(cell):
            return {k: v for k, v in match.groupdict().items() if v} | {"written": cell}
    if re.fullmatch(r"\d{5}(\.\d+)?", cell) and EXCEL_DAYS[0] <= float(cell) <= EXCEL_DAYS[1]:
        return {"serial": cell}
    return {}


def _date(part: dict, order: str, today: pd.Timestamp) -> pd.Timestamp:
    if "serial" in part:
        return EXCEL_ZERO + pd.Timedelta(days=int(float(part["serial"])))
    if not part or ("a" in part and order not in ORDERS):
        return pd.NaT
    year, month, day = int(part["y"]), part.get("m"), part.get("d", MIDDLE)
    if "a" in part:
        day, month = (part["a"], part["b"]) if order == "day-first" else (part["b"], part["a"])
    if "name" in part:
        month = MONTHS.get(part["name"].lower()[:3], 0)
    if len(part["y"]) == 2:
        year += 2000 if 2000 + year <= today.year else 1900
    try:
        return pd.Timestamp(year, int(month), int(day))
    except ValueError:
        return pd.NaT
