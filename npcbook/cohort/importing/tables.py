"""A hospital's tables as text, whatever program wrote them."""

import csv
import io
import re
import unicodedata
import zipfile
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import openpyxl
import pandas as pd

from npcbook.store import CONTROLS, check_limit, check_regular, whole

#: What leaves a cell empty, whatever the column; compared without regard to case.
NOT_GIVEN = {
    *"na n/a n.a. nan null . #n/a #na #ref! #value! #div/0! #name? #num! #null! <na> nat".split(),
    "[not available]",
}
#: Between the name of a group of columns and that of one of them, where no other has that name.
BELOW = " | "
ENCODINGS = ["gb18030", "big5", "shift_jis", "cp1252"]


@dataclass(frozen=True)
class Source:
    """One table as it was read.

    Attributes
    ----------
    name : str
        File name, with ``#sheet`` where the file has several.
    table : pandas.DataFrame
        Cells as text, trimmed, full-width letters made plain, 1.0 as 1, empty where nothing is known.
    decimal : str
        ``","`` or ``"."``: what stands before the decimals.
    said : str
        How it was read: encoding, separator, rows.
    """

    name: str
    table: pd.DataFrame
    decimal: str
    said: str


def read_tables(files: list) -> list[Source]:
    """Read every table of the files.

    Parameters
    ----------
    files : list of str or path
        ``.xlsx`` (each sheet is a table), or text with any separator, encoding and decimal sign.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a file holds no table that can be read.
    """
    sources = [source for file in files for source in _read_file(Path(file))]
    names = [source.name for source in sources]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"Two files are called {', '.join(sorted(twice))}: give each its own name.")
    return sources


def plain(text: object) -> str:
    """Return text without what only looks different: full-width letters, hard spaces, breaks, controls."""
    text = unicodedata.normalize("NFKC", CONTROLS.sub(" ", str(text)))
    return " ".join(text.replace("\u200b", "").split())


def _read_file(path: Path) -> list[Source]:
    check_regular(path)
    check_limit("bytes of a table", path.stat().st_size, path)
    data = path.read_bytes()
    if data.startswith(b"PK\x03\x04"):
        return _read_workbook(path)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise ValueError(f"{path.name} is a workbook of Excel before 2007: save it as .xlsx or .csv.")
    text, encoding = _decode(data, path.name)
    try:
        separator = _separator(text)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise ValueError(f"{path.name} cannot be read as a table: {error}.") from error
    spoken = {"\t": "tab", " ": "space"}.get(separator, separator)
    return [_source(path.name, rows, f"text ({encoding}), cells separated by {spoken}", separator == ";")]


def _decode(data: bytes, name: str) -> tuple[str, str]:
    """Return a file's text and its encoding: Unicode if it is any, else what its characters look like."""
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encoding = next((marks[mark] for mark in marks if data.startswith(mark)), "")
    if not encoding and (zeros := data[:2000].count(0)) > len(data[:2000]) / 4:
        encoding = "utf-16-le" if data[1:2000:2].count(0) > zeros / 2 else "utf-16-be"
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes  # costs a tenth of a second, seldom needed

        best = from_bytes(data, cp_isolation=ENCODINGS).best()
        if best is None:
            said = f"The characters of {name} are in no encoding that is known here"
            raise ValueError(f"{said}: save it as UTF-8 or .xlsx.") from None
        text, encoding = str(best), best.encoding
    if "\0" in text:
        raise ValueError(f"{name} is no text: give a table as .xlsx, .csv or .tsv.")
    return text, encoding or "utf-8"


def _separator(text: str) -> str:
    """Return the separator that cuts most of the first lines into the same number of cells, above one."""
    lines = [line for line in text.splitlines()[:50] if line.strip() and not line.startswith("#")]

    def fits(separator: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator)]
        usual = max(set(counts), key=lambda count: (counts.count(count), count), default=1)
        return (counts.count(usual), usual) if usual > 1 else (0, 0)

    return max("\t;,|", key=fits)


#: A cell with a formula: what its tag says, whether a result follows, and the result.
FORMULA = re.compile(
    rb"<(?:\w+:)?c\b([^<>]*+)>\s*+<(?:\w+:)?f\b[^<>]*+>(?:[^<]*+</(?:\w+:)?f>)?\s*+(<(?:\w+:)?v\b[^<>]*+>)?([^<]*+)"
)


def _not_computed(archive: zipfile.ZipFile) -> str:
    """Return where a workbook has a formula without its result, in words; "" if nowhere."""
    names = archive.namelist()
    book = archive.read("xl/workbook.xml") if "xl/workbook.xml" in names else b""
    # Programs that write formulas without computing them leave that, and 0 for results, to the next reader.
    later = re.search(rb'fullCalcOnLoad="(?:1|true)"', book)
    for name in names:
        sheet = archive.read(name) if name.startswith("xl/worksheets/") else b""
        for tag, value, result in (cell.groups() for cell in FORMULA.finditer(sheet)):
            empty_text = value is not None and b't="str"' in tag
            if later or not (result.strip() or empty_text):
                place = re.search(rb'\br="(\w+)"', tag)
                return f"cell {place[1].decode() if place else ''} of {Path(name).stem}"
    return ""


def _read_workbook(path: Path) -> list[Source]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
        # A tenth or so of what a sheet unpacks to is text.
        check_limit("bytes of a table", unpacked // 8, path)
    try:
        with zipfile.ZipFile(path) as archive:
            blank = _not_computed(archive)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        sheets = {sheet.title: _rows(sheet, path) for sheet in book.worksheets if not blank}
    except Exception as error:  # a zip file that is no workbook fails in any of five libraries' ways
        raise ValueError(f"{path.name} cannot be read as a workbook of Excel: {error}.") from error
    if blank:
        said = f"{path.name} holds a formula whose result is not stored ({blank})"
        raise ValueError(f"{said}: open it in a spreadsheet program, save it there, and give it again.")
    filled = {name: rows for name, rows in sheets.items() if sum(map(any, rows)) > 1}  # a note is no table
    if not filled:
        raise ValueError(f"{path.name} holds no table.")
    found = []
    for name, rows in filled.items():
        title = f"{path.name}#{name}" if len(filled) > 1 else path.name
        found.append(_source(title, rows, f"sheet {name}", comma=False))
    return found


def _rows(sheet: object, path: Path) -> list[list[str]]:
    """Return the rows of a sheet up to their last cell that is filled: it may lie a million cells away."""
    sheet.reset_dimensions()
    rows, cells = [], 0
    for row in sheet.iter_rows(values_only=True):
        filled = [place for place, value in enumerate(row, start=1) if value is not None]
        rows.append([_cell(value) for value in row[: max(filled, default=0)]])
        check_limit("cells", cells := cells + len(rows[-1]), path)
    return rows


def _cell(value: object) -> str:
    """Return a cell of a workbook as text: a date in its ISO form, 3.0 as 3, nothing as empty."""
    if value is None:
        return ""
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d}" if hasattr(value, "year") else str(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _source(name: str, rows: list[list[str]], said: str, comma: bool) -> Source:
    rows = [[plain(cell) for cell in row] for row in rows if not (row and row[0].startswith("#"))]
    rows = [row for row in rows if any(row)]
    if len(rows) < 2:
        raise ValueError(f"{name} holds no table: it needs a line of column names and a row a patient.")
    # A title, or who exported it and when, stands above the column names in few cells.
    filled = [sum(cell != "" for cell in row) for row in rows[:20]]
    top = next(i for i, count in enumerate(filled) if count > 0.6 * max(filled))
    width = max(map(len, rows))
    for what, found in (("rows", len(rows)), ("columns", width), ("cells", len(rows) * width)):
        check_limit(what, found, name)
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    names, end = _names(rows, top)
    names, cells = _unique([*map(whole, names)]), rows[end:]
    table = pd.DataFrame(cells, columns=names, dtype=str)
    # A header may stand again below, and under it what its columns are called elsewhere.
    again = table.apply(lambda column: (column == column.name) | column.str.startswith("CDE_ID:"))
    table = table[again.mean(axis=1) < 0.5]
    table = table.mask(table.apply(lambda column: column.str.lower().isin(NOT_GIVEN)), "")
    table = table.loc[(table != "").any(axis=1), [c for c in table if c or (table[c] != "").any()]]
    decimal = "," if comma or _decimal_commas(table) else "."
    above = f", {top} line(s) above the column names left out" if top else ""
    written = f"decimals after a {'comma' if decimal == ',' else 'point'}"
    said = f"{said}; {len(table)} rows, {table.shape[1]} columns, {written}{above}"
    return Source(name, table.map(whole, decimal=decimal).reset_index(drop=True), decimal, said)


#: A cell of a line that names no columns: a number, a date, a time.
VALUE = re.compile(r"[-+]?\d[\d.,:/ -]*")


def _names(rows: list[list[str]], top: int) -> tuple[list[str], int]:
    """Return the column names and the row behind them; groups of columns may have names above theirs."""
    here, below = rows[top], [*rows, [""]][top + 1]
    upper, lower, end = rows[top - 1] if top else [], here, top + 1
    upper, below = ([] if any(map(VALUE.fullmatch, line)) else line for line in (upper, below))
    # Under a cell that reaches over two lines the second is empty, and names stand below those of groups.
    if "" in here and below and not below[0] and all(map(max, here, below)):
        upper, lower, end = here, below, top + 2
    elif sum(map(bool, upper)) < 2:
        return here, end
    groups = accumulate(upper, lambda before, new: new or before)
    joint = [" " if lower.count(name) > 1 else BELOW for name in lower]
    pairs = zip(groups, joint, lower, strict=True)
    return [f"{group}{with_}{name}" if group and name else group or name for group, with_, name in pairs], end


def _unique(names: list[str]) -> list[str]:
    """Return column names of which none is empty or stands twice."""
    found = []
    for place, name in enumerate(names, start=1):
        name, n = name or f"column {place}", 2
        given = name
        while name in found:
            name, n = f"{given} ({n})", n + 1
        found.append(name)
    return found


def _decimal_commas(table: pd.DataFrame) -> bool:
    """Return whether numbers of a table carry a decimal comma: one that thousands would not have."""
    cells = table.stack()
    comma = cells.str.fullmatch(r"[<>≤≥]?\s*[+-]?\d+,(\d{1,2}|\d{4,})|[<>]?\d{1,3}(\.\d{3})+,\d+").sum()
    point = cells.str.fullmatch(r"[<>≤≥]?\s*[+-]?\d+\.(\d{1,2}|\d{4,})|[<>]?\d{1,3}(,\d{3})+\.\d+").sum()
    return comma > point
