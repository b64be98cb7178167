"""The vocabulary: cohorts, sequences, models, tracks, what they are called and drawn in, numbers as text.

Also how text from outside (a hospital's or a cohort's name, a reason) is written so that it stays text: in
HTML, in Markdown and in spreadsheets.
"""

import html
import math
import re
from collections.abc import Iterable
from unicodedata import east_asian_width

import pandas as pd

SEQUENCES = {"t1w": "T1w", "t2w": "T2w", "cet1w": "ce-gadolinium_T1w"}
DISPLAY_NAMES = {"t1w": "T1W", "t2w": "T2W", "cet1w": "CET1W"}


#: Covariates as `code_covariates` gives them, in words, reference level in brackets.
COVARIATES = {
    "age": "Age, per year",
    "female": "Sex: female (male)",
    "t2": "T category: T2 (T1)",
    "t3": "T category: T3 (T1)",
    "t4": "T category: T4 (T1)",
    "n1": "N category: N1 (N0)",
    "n2": "N category: N2 (N0)",
    "n3": "N category: N3 (N0)",
    "ldh_abnormal": "LDH: abnormal (normal)",
    "ebv_detectable": "EBV DNA: detectable (undetectable)",
    "rene_g1": "rENE: G1 (without)",
    "rene_g2": "rENE: G2 (without)",
    "chemotherapy": "Chemotherapy: yes (no)",
}

#: The two parts of a cohort.
COHORTS = ("training", "validation")
#: Risk scores that are compared, in the order of the paper's Fig. 3.
MODELS = ("dl_combined", "radiomics_combined", "clinical", "rc", "dc")
#: Endpoints: columns of time (months) and event.
ENDPOINTS = {"DMFS": ("dmfs_months", "dm_event"), "OS": ("os_months", "os_event")}
SYNTHETIC_LABEL = "Synthetic cohort: not clinical evidence"
#: Two ways to a result, never mixed; and what a value can be: by one of them, or what was planted.
TRACKS = ("as published", "recommended")
SOURCES = (*TRACKS, "truth")
#: The way to a risk score of one's own: nothing was fitted here, and how it was made is not known.
SUPPLIED = "as supplied"

PRINT_LABEL = "From print: the paper's own numbers"

MASK_LABELS = {0: "background", 1: "primary tumour", 2: "lymph node"}
#: Which labels make up each structure that is measured.
STRUCTURES = {"tumour and nodes": (1, 2), "tumour": (1,), "nodes": (2,)}

# seaborn's palette "colorblind" (a test holds it to that): a ground room imports no drawing library.
PALETTE = "#0173b2 #de8f05 #029e73 #d55e00 #cc78bc #ca9161 #fbafe4 #949494 #ece133 #56b4e9".split()
BLUE, ORANGE, GREEN, VERMILION, PINK = PALETTE[:5]
GREY = "#595959"  # darker than the palette's, which is faint on white
SOLID, DASHED, DOTTED, DASH_DOT, LONG = "-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1, 1, 1)), (0, (9, 2))

# What a colour and a line mean, by the key under which chapters hold the thing.
STYLES = {
    "low": (BLUE, SOLID),
    "high": (VERMILION, DASHED),
    "radiotherapy": (GREY, SOLID),
    "up_to_160": (ORANGE, DASHED),
    "over_160": (GREEN, DASH_DOT),
    "chemoradiotherapy": (PINK, LONG),
    "training": (BLUE, SOLID),
    "validation": (ORANGE, DASHED),
    "clinical": (GREY, DOTTED),
    "radiomics_combined": (ORANGE, DASH_DOT),
    "dl_combined": (BLUE, SOLID),
    "rc": (PINK, LONG),
    "dc": (GREEN, DASHED),
    "truth": ("black", DOTTED),
    "as published": (VERMILION, DASHED),
    "recommended": (BLUE, SOLID),
}
STRONG = [BLUE, VERMILION, GREEN, GREY, "black"]  # for points of series without a meaning of their own
SPARE = [(PINK, SOLID), (PALETTE[5], DASHED), (PALETTE[9], DASH_DOT), (BLUE, DOTTED), (VERMILION, LONG)]
_LABELS = {
    "low": "Low risk",
    "high": "High risk",
    "radiotherapy": "Radiotherapy alone",
    "up_to_160": "CCND ≤ 160 mg/m²",
    "over_160": "CCND > 160 mg/m²",
    "chemoradiotherapy": "Chemoradiotherapy",
    "training": "Training",
    "validation": "Validation",
    "clinical": "Clinical",
    "radiomics_combined": "Radiomics (combined)",
    "dl_combined": "DL (combined)",
    "rc": "RC",
    "dc": "DC",
    "truth": "Planted truth",
}


class Labels(dict):
    """What is called how; what has no entry, as a risk score of one's own, by its own name."""

    def __missing__(self, key: str) -> str:
        """Return the key."""
        return key


LABELS = Labels(_LABELS)
# Contours of masks on images: light enough for a grey picture, and apart for the colour-blind.
MASK_COLOURS = {"tumour": VERMILION, "nodes": PALETTE[9]}


def style_of(key: str, position: int = 0) -> tuple[str, object]:
    """Return colour and line style of a group or model; unknown keys take the palette's by position."""
    return STYLES.get(key, SPARE[position % len(SPARE)])


def as_html(text: object) -> str:
    """Return text from outside as HTML, which may stand on a page of Markdown with its substitutions."""
    return html.escape(str(text), quote=True).replace("{", "&#123;").replace("}", "&#125;")


def as_markdown(text: object) -> str:
    """Return text from outside as Markdown that shows it as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>()#!|$~^&])", r"\\\1", " ".join(str(text).split()))


def without_html(markdown: str) -> str:
    """Return Markdown of the book without tags and pictures, which no sentence of the book has."""
    return re.sub("<(?=[A-Za-z/!?])", "&lt;", markdown).replace("![", r"!\[")


def as_cell(value: object) -> object:
    """Return a cell for a spreadsheet: text that one would take for a formula begins with ``'``."""
    if not isinstance(value, str) or not value.lstrip().startswith(("=", "+", "-", "@", "|", "%")):
        return value
    try:
        float(value)
    except ValueError:
        return value if len(value.strip()) == 1 else f"'{value}"
    return value


MISSING = "–"
HR_LIMIT = 1000
ARITHMETIC = 1e-9  # below this a number is 0, computed


def _is_missing(value: float | None) -> bool:
    return value is None or bool(pd.isna(value))


def or_dash(result: object | None) -> str:
    """Return a result as it prints itself, a dash where there is none."""
    return MISSING if result is None else str(result)


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
        Such as ``"0.85"``. A negative number that would round to 0 keeps its sign by further decimals
        (``"−0.005"``), unless it is 0 but for the rounding of arithmetic. An infinite value gives ``"∞"``.
    """
    if _is_missing(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) < ARITHMETIC:
        value = 0.0
    text = f"{value:.{decimals}f}"
    while value < 0 and float(text) == 0:
        decimals += 1
        text = f"{value:.{decimals}f}"
    return text.replace("-", "−")


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


LONGEST_NAME = 12  # columns of text that a hospital's name may take beside the axes of a figure


def hospital_codes(names: Iterable[str]) -> dict[str, str]:
    """Return by name what a hospital is called in figures and tables: its name if all are short, else a code.

    Parameters
    ----------
    names : iterable of str
        Names of any length and script; a Chinese character takes two columns.

    Returns
    -------
    dict of str to str
        In alphabetical order; the codes are ``H1``, ``H2``, ...
    """
    names = sorted(set(names))
    widths = (sum(1 + (east_asian_width(letter) in "WF") for letter in name) for name in names)
    if max(widths, default=0) <= LONGEST_NAME:
        return {name: name for name in names}
    return {name: f"H{number}" for number, name in enumerate(names, start=1)}
