"""Cells of a hospital's table as numbers, and its words as the cohort's."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from npcbook.cohort.importing.dates import DAYS_PER_MONTH
from npcbook.cohort.importing.tables import plain

#: Months in a unit of time.
IN_MONTHS = {"days": 1 / DAYS_PER_MONTH, "weeks": 7 / DAYS_PER_MONTH, "months": 1.0, "years": 12.0}
_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+|\s*[x×*]\s*10\s*\^?\s*[+-]?\d+)?"
_CELL = re.compile(rf"([<>≤≥]?=?)\s*({_NUMBER})(?:\s*[-–~]\s*({_NUMBER}))?\s*(\+?)\s*(.*)", re.IGNORECASE)
#: What stands before a word to number or name it (1., a), T:); a digit behind another is a number's decimal.
_NUMBERED = re.compile(r"^(?:[^\W\d]{1,2}\s*[:=.、)]\s*(?=.)|\w{1,2}\s*[:=.、)]\s*(?=[^\d\s]))")
_GROUPED = {
    ".": re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d,])"),
    ",": re.compile(r"(?<![\d,])\d{1,3}(?:\.\d{3})+(?![\d.])"),
}


@cache
def dictionary() -> dict:
    """Return the words of hospitals (``dictionary.yml``)."""
    return yaml.safe_load(Path(__file__).with_name("dictionary.yml").read_text("utf-8"))


@dataclass(frozen=True)
class Numbers:
    """A column read as numbers.

    Attributes
    ----------
    values : pandas.Series of float
        NaN where the cell is empty, says that nothing is known, or holds no number.
    sign : pandas.Series of str
        ``<`` or ``>`` where the cell only gives a limit, else empty.
    unreadable : pandas.Series of bool
        Cells that hold something else.
    unit : str
        What stands behind the numbers; empty if nothing does.
    said : list of str
        What was done to read them.
    """

    values: pd.Series
    sign: pd.Series
    unreadable: pd.Series
    unit: str
    said: list[str]


def read_numbers(text: pd.Series, decimal: str) -> Numbers:
    """Read a column of text as numbers.

    Parameters
    ----------
    text : pandas.Series of str
        Cells. Understood are 1,200 and 1.200,5 by the table's decimal sign, 1.2e3, 1.2×10^3, 45 years, 90+,
        <500, and 65-69 (the middle). One unit may stand behind the numbers; where there are several, what the
        rarer ones stand behind cannot be read.
    decimal : {".", ","}
        What stands before the decimals.

    Returns
    -------
    Numbers
    """
    grouped = text.str.contains(_GROUPED[decimal])
    bare = text.str.replace(_GROUPED[decimal], lambda m: re.sub(r"\D", "", m.group()), regex=True)
    if decimal == ",":
        bare = bare.str.replace(r"(?<=\d),(?=\d)", ".", regex=True)
    parts = bare.str.extract(_CELL.pattern, flags=re.IGNORECASE).fillna("")
    parts = parts.where(bare.str.fullmatch(_CELL), "")
    sign, low, high, plus, tail = (parts[i] for i in range(5))
    tails = tail[low != ""].str.casefold()
    unit = next(iter(tails[tails != ""].mode()), "")
    values = low.map(_number)
    values = values.where(high == "", (values + high.map(_number)) / 2)
    values = values.where(tail.str.casefold().isin(["", unit]) & ~unit.startswith(tuple("0123456789.,/")))
    unknown = text.str.casefold().isin(dictionary()["unknown"])
    done = {
        "with a comma or point between thousands": grouped & values.notna(),
        "ranges taken as their middle": (high != "") & values.notna(),
        "with a + taken as the number before it": (plus != "") & values.notna(),
    }
    said = [f"{mask.sum()} {what}" for what, mask in done.items() if mask.any()]
    unreadable = values.isna() & (text != "") & ~unknown
    return Numbers(values, sign.str[:1].replace({"≤": "<", "≥": ">"}), unreadable, unit, said)


def _number(text: str) -> float:
    if not text:
        return np.nan
    base, _, power = re.sub(r"\s*[x×*]\s*10\s*\^?\s*", "e", text.lower()).partition("e")
    return float(base) * 10.0 ** float(power or 0)


def time_unit(text: str) -> str:
    """Return the unit of time that a word stands for; empty if it stands for none."""
    return next((unit for unit, words in dictionary()["units"].items() if text.casefold() in words), "")


def legend(name: str) -> dict[str, str]:
    """Return the codes that a column's name explains: ``Sex (1=male, 2=female)``, ``性别(1男2女)``."""
    # A comma may stand within a word: it ends where the next code begins.
    word = r"([^;、)\]/|=:]+?)(?=\s*(?:[;、)\]/|]|,?\s*\w+(?:\.0+)?\s*[=:]|$))"
    pairs = re.findall(rf"(\w+)(?:\.0+)?\s*[=:]\s*{word}", plain(name))
    bare = re.findall(r"(\d)(?:\.0+)?([一-鿿]+)", plain(name))
    return dict(pairs or bare * (len(bare) > 1))


def guess_level(value: str, patterns: dict[str, str], codes: dict[str, str]) -> str:
    """Return the level that a hospital's word stands for; empty if it says that nothing is known, else ``?``.

    Parameters
    ----------
    value : str
        The word or code.
    patterns : dict
        A regular expression for each level, which the whole word must match.
    codes : dict
        What codes stand for (`legend`).
    """
    word = codes.get(value, value).casefold()
    for candidate in dict.fromkeys([word, _NUMBERED.sub("", word)]):
        for level, pattern in patterns.items():
            if candidate and re.fullmatch(pattern, candidate, re.IGNORECASE):
                return level
        if candidate in ("", *dictionary()["unknown"]):
            return ""
    return "?"


def counted(values: pd.Series, most: int = 12) -> str:
    """Return values and how often each stands, the most frequent first."""
    counts = values.value_counts()
    shown = [f"{value or '(empty)'} {n}" for value, n in counts.items()]
    return ", ".join(shown[:most]) + (f", … {len(shown) - most} more" if len(shown) > most else "")
