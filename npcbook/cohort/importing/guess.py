"""Guesses of which column and which word of a hospital's tables means what, written as a map to look at."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pandas as pd

from npcbook.cohort.columns import COLUMNS, Column
from npcbook.cohort.importing.convert import DMFS, OS
from npcbook.cohort.importing.dates import is_date_column, read_dates
from npcbook.cohort.importing.join import ROW, TABLE, Joined, join
from npcbook.cohort.importing.mapping import as_yaml
from npcbook.cohort.importing.tables import BELOW, Source, plain
from npcbook.cohort.importing.values import counted, dictionary, guess_level, legend, read_numbers, time_unit

MOST_LEVELS = 60
#: In the name of a column of upper limits of normal, one a patient or hospital; and of what is none.
LIMIT, NO_LIMIT = r"\buln\b|upper|limit|上限", r"low|inf[ée]r|unter|下限|ratio|fold|above|>|date|[/×x] ?uln"
EVENTS = ("metastasis", "death")
HEAD = """\
# The table's words. "?" asks you: write the answer in its place, or nothing for "not known". A question about
# patients who are left out needs none. What is impossible in the table is listed by the next run, and nothing
# is repaired. Also understood:
#   ids: letters (your own without signs) or new (P001, ...: best where the cohort is given away)
#   columns: {value: NAME} is one value for all; {from: COLUMN, unit: days}; {from: COLUMN, above: LIMIT} is a
#     class of numbers by a limit: a number, a column that holds it, or {hospital: number, ...}
#   exclude: those with one of 'values: [...]', with none of 'except: [...]', or 'below:' or 'above:' a number
#   times: last: a list is the latest of them; an event without 'event:' has happened where its date is there;
#     a death without 'when:' was at the end of follow-up
#   dates: {COLUMN: day-first or month-first}; also: {NAME: COLUMN} takes a column over as it is
#   licence: and source: say in the cohort's description where the table is from"""


def read_name(name: str) -> tuple[list[str], str]:
    """Return the forms in which a column's name is compared, and the unit of time in it.

    The forms are: as it is, without what stands in brackets, without its unit, without words that say little.
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain(name)).casefold()
    text = re.sub(r"^(cases|demographic|diagnoses|treatments|follow_ups)\.", "", text)  # groups of the GDC
    words = _words(re.sub(r"[(\[].*?[)\]]", " ", text))
    whole = "".join(words)
    named = [word for word in words[len(words) == 1 :] if len(word) > 1 and time_unit(word)]
    units = map(time_unit, [*re.findall(r"[(\[](.*?)[)\]]", text), *named])
    words, unit = [word for word in words if word not in named], next(filter(None, units), "")
    if not unit and (end := re.fullmatch(r"(.+?)(天数|天|月数|个月|月|周岁|岁|周|年)", "".join(words))):
        words, unit = [end[1]], time_unit(end[2])
    fillers = dictionary()["fillers"]
    short = "".join(word for word in words if word not in fillers)
    for filler in fillers:
        short = short if filler.isascii() else short.replace(filler, "")
    return ["".join(_words(text)), whole, "".join(words), short], unit


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", text) if word]


@cache
def same_words(name: str) -> str:
    """Return the words of a column's name, each as the dictionary writes it, in the order of letters."""
    text = plain(name).casefold().replace(">", " above ")
    words = _words(re.sub(r"[(\[].*?[)\]]|\byes ?/ ?no\b|\by ?/ ?n\b", " ", text))
    same = {other: word for word, others in dictionary()["same"].items() for other in others}
    return " ".join(sorted({same.get(word, word) for word in words} - {""}))


@dataclass(frozen=True)
class _Guess:
    """What is guessed from: the joined table, and the columns that have been taken."""

    joined: Joined
    used: list[str] = field(default_factory=list)

    def find(self, names: list[str], fits: Callable[[str], bool] = bool) -> list[str]:
        """Return the columns that one of the names stands for and that fit, the likeliest first."""
        known = [{"".join(_words(plain(name).casefold())), same_words(name)} - {""} for name in names]
        found = []
        for column in filter(fits, self.joined.table):
            last = column.rpartition(BELOW)[2]
            forms = enumerate([*read_name(column)[0], same_words(column), *read_name(last)[0]])
            places = [(rank > 2, n) for rank, form in forms for n, name in enumerate(known) if form in name]
            if places and (self.joined.table[column] != "").any():
                found.append((*min(places), column))
        return [column for *_, column in sorted(found, key=lambda match: match[:2])]

    def take(self, found: list[str]) -> tuple[pd.Series, str]:
        """Return the cells of the likeliest column, and what else it might be."""
        self.used.append(found[0])
        return self.joined.table[found[0]], f"; or {', '.join(found[1:])}?" if found[1:] else ""

    def numbers(self, column: str) -> pd.Series:
        return read_numbers(self.joined.table[column], self.joined.decimal.get(column, ".")).values

    def told(self, column: str) -> pd.Series:
        """Return the cells of a column that say something."""
        text = self.joined.table[column]
        return text[~text.str.casefold().isin(["", *dictionary()["unknown"]])]

    def holds_dates(self, column: str) -> bool:
        return is_date_column(self.told(column), serials=True)

    def holds_numbers(self, column: str) -> bool:
        """Return whether most of a column are numbers, and more than the codes of a class."""
        numbers = self.numbers(column).dropna()
        told = self.told(column)
        coded = numbers.isin(range(6)).all() or told.isin(legend(column)).all()
        return len(numbers) > 0.5 * len(told) and not coded

    def holds_lengths(self, column: str) -> bool:
        return self.holds_numbers(column) and not self.holds_dates(column)

    def describe(self, column: str, *, dates: bool = True) -> str:
        """Return what a column holds, in a few words."""
        text = self.joined.table[column]
        if dates and self.holds_dates(column):
            dates = read_dates(text, today=pd.Timestamp.today())
            known = dates.values.dropna()
            years = f", {known.min():%Y} to {known.max():%Y}" if len(known) else ""
            order = f", {dates.order} ({dates.said})".replace(",  ", " ") if dates.said else ""
            return f"{len(self.told(column))} dates{years}{order}"
        numbers = self.numbers(column)
        if self.holds_numbers(column):
            return f"{numbers.count()} numbers, {numbers.min():g} to {numbers.max():g}"
        few = text.nunique() <= max(30, len(text) / 20)
        return counted(text, most=6) if few else f"{text.nunique()} values"


def guess_map(sources: list[Source], name: str) -> str:
    """Return the text of a map's section ``table``: a guess, the values and counts it rests on, questions.

    Parameters
    ----------
    sources : list of Source
        The hospital's tables.
    name : str
        The cohort's name.

    Raises
    ------
    ValueError
        If no table has a column that looks like ids.
    """
    chosen, files = {}, []
    for source in sources:
        ids = _Guess(Joined(source.table, {}, [])).find(dictionary()["id"])
        ids = ids or [ROW] * (len(sources) == 1)
        if not ids:
            files.append(f"    # {as_yaml(source.name)} is not used: no column looks like ids. {source.said}")
            continue
        rows = source.table.drop_duplicates().get(ids[0], pd.Series())
        several = rows[rows != ""].duplicated().any()
        chosen[source.name] = {"id": ids[0]} | ({"repeated": "first"} if several else {})
        asked = as_yaml(chosen[source.name]).replace("repeated: first", 'repeated: "?"')
        files.append(f"    {as_yaml(source.name)}: {asked}  # {source.said}")
    if not chosen:
        columns = "; ".join(f"{source.name} has {', '.join(source.table)}" for source in sources)
        raise ValueError(f"No column looks like patients' ids: call one patient_id in the file. {columns}.")
    guess = _Guess(join(sources, chosen))
    exclude, left = _exclude(guess)
    guess = _Guess(Joined(left, guess.joined.decimal, guess.joined.said), guess.used)
    columns = [line for c in COLUMNS if c.name not in OS + DMFS for line in _column(guess, c)]
    lines = [HEAD, "table:", f"  name: {as_yaml(name)}  # as the pages call the cohort", "  files:", *files]
    lines += [f"    # {said}" for said in guess.joined.said]
    lines += ["  ids: letters", "  eligibility: any  # or stage II: the others are left out, as in the paper"]
    lines += ["  exclude:  # the first that applies is the reason in the flow chart", *exclude]
    lines += [f"  columns:  # of the {len(left)} patients who are left", *columns]
    lines += ["  times:  # dates, or lengths with a unit", *_times(guess)]
    lines.append('  impossible: "?"  # asked only where there is something: missing, exclude or keep')
    return "\n".join([*lines, *_not_used(guess)]) + "\n"


def _column(guess: _Guess, column: Column) -> list[str]:
    """Return the lines for one column of a cohort; none where the tables have nothing for it."""
    entry, name = dictionary()["columns"].get(column.name, {}), column.name
    found = guess.find([*entry.get("names", []), name])
    if number_of := entry.get("number_of"):
        names = dictionary()["columns"][number_of]["names"]
        found = found or guess.find(names, guess.holds_numbers)
    if name == "center":  # a site may be a hospital, or where the tumour is
        own = guess.joined.table.drop(columns=guess.used, errors="ignore")
        found = [column for column in [*found, TABLE] if column in own and (own[column] != "").mean() > 0.5]
    if not found:
        value = {"center": "1", "cohort": "training"}.get(name)
        return [f"    {name}: {{value: {as_yaml(value)}}}  # no column looks like it"] if value else []
    text, others = guess.take(found)
    # Ages in days look like Excel's dates; a column of birthdays has another name.
    days = re.search("age|alter|年龄", found[0], re.I) and guess.numbers(found[0]).min() > 150
    said = guess.describe(found[0], dates=not days and column.unit in ("years", "months"))
    start, said = f"    {name}: {{from: {as_yaml(found[0])}", f"# {said}{others}"
    if "above" in entry and guess.holds_numbers(found[0]):
        words = text[guess.numbers(found[0]).isna() & (text != "")].unique()
        levels = {word: guess_level(word, entry["levels"], {}) for word in words}
        words = f", levels: {as_yaml(levels)}" if levels else ""
        return [f"{start}, above: {_limits(guess, name[:3])}{words}}}  {said}; the limit?"]
    if not column.levels:
        codes, known = legend(found[0]), {}
        for value in filter(None, text.unique()):
            level = guess_level(value, entry.get("levels", {}), codes)
            known |= {value: level} if level != "?" else {value: codes[value]} if value in codes else {}
        explained = f", levels: {as_yaml(known)}" if known and ("levels" in entry or codes) else ""
        return [f"{start}{', unit: days' if days and name == 'age' else ''}{explained}}}  {said}"]
    allowed = ", ".join(filter(None, entry["levels"]))
    return [f"    {name}:  # {allowed}{others}", *_levels(found[0], text, entry["levels"], "from")]


def _limits(guess: _Guess, word: str) -> str:
    """Return the one column of upper limits of what has that word, as the map has it; else a question."""
    named = {column: column.casefold().replace("_", " ") for column in guess.joined.table}
    named = {
        column: name for column, name in named.items() if re.search(word, name) and column not in guess.used
    }
    found = [c for c, name in named.items() if re.search(LIMIT, name) and not re.search(NO_LIMIT, name)]
    # Neither ranges nor dates nor times above a limit.
    found = [
        c for c in found if (told := guess.told(c).str.fullmatch(r"\d{2,4}([.,]\d+)?")).all() and len(told)
    ]
    guess.used.extend(found if len(found) == 1 else [])
    return as_yaml(found[0]) if len(found) == 1 else '"?"'


def _levels(column: str, text: pd.Series, patterns: dict[str, str], key: str) -> list[str]:
    """Return the lines that say what each word of a column means."""
    lines, codes = [f"      {key}: {as_yaml(column)}", "      levels:"], legend(column)
    counts = text[text != ""].value_counts()
    levels = {value: guess_level(value, patterns, codes) for value in counts.index}
    digits = {value: level for value, level in levels.items() if value.isdigit() and value not in codes}
    # To be censored, or alive, is the opposite of an event, and who wrote 1 may have meant either; so may who
    # wrote 1 and 2.
    turned = re.search("censor|free|alive|living|surviv(?!al)|生存|存活", column.casefold())
    if (turned and not codes) or ("?" in digits.values() and guess_level("2", patterns, {}) == "?"):
        levels |= dict.fromkeys(digits, "?")
    for value, n in counts.head(MOST_LEVELS).items():
        lines.append(f"        {as_yaml(value)}: {as_yaml(levels[value])}  # {n}".replace("'?'", '"?"'))
    return lines


def _exclude(guess: _Guess) -> tuple[list[str], pd.DataFrame]:
    """Return the lines of the filters that a study of the nasopharynx needs, and the rows that are left."""
    words, left, lines = dictionary(), guess.joined.table, []
    rules = [
        ("except", words["site"], words["site"]["names"]),
        ("values", words["metastatic"], words["metastatic"]["names"]),
        ("values", words["others"], words["columns"]["who_type"]["names"]),
    ]
    for key, entry, names in rules:
        for column in guess.find(names)[:1]:
            text = left[column]
            values = [v for v in text.unique() if v and re.fullmatch(entry["words"], v, re.IGNORECASE)]
            out = text.isin(values) if key == "values" else ~text.isin(values)
            guess.used.extend([column] * bool(values))
            if values and out.any() and not out.all():
                rule = as_yaml({"reason": entry["reason"], "column": column, key: values})
                lines.append(f"    - {rule}  # {out.sum()} of {len(text)}: {counted(text[out], 5)}")
                left = left[~out]
    return lines, left


def _times(guess: _Guess) -> list[str]:
    """Return the lines for time zero, the end of follow-up and the two events."""
    words, lines = dictionary()["times"], []
    zero = guess.find(words["zero"], guess.holds_dates)
    if zero:
        _, others = guess.take(zero)
        lines.append(f"    zero: {as_yaml(zero[0])}  # {guess.describe(zero[0])}{others}")

    def when(names: list[str]) -> list[str]:
        dates = guess.find(names, guess.holds_dates) if zero else []
        return [*dates, *guess.find(names, guess.holds_lengths)]

    if last := when(words["last"]):
        lines += ["    last:", *_when(guess, last, as_yaml(last[:1]))]
    for event in EVENTS:
        times = when([*words[event]["when"], *words[event]["event"]])
        lines += _event(guess, event, words[event], times, bool(last))
    if not any(line.strip().startswith(EVENTS) for line in lines):
        lines.append("    # No column looks like metastasis or death: one of the two is needed.")
    return lines


def _of_any(column: str) -> bool:
    return bool(re.search(r"^(?!.*(dist|metas)).*(failure|recurrence)", column.casefold()))


def _event(guess: _Guess, event: str, entry: dict, times: list[str], has_last: bool) -> list[str]:
    """Return the lines for an event: its time, and the words that say whether it happened."""

    def holds_words(column: str) -> bool:
        return not guess.holds_dates(column) and not guess.holds_lengths(column)

    codes, lines = guess.find(entry["event"], holds_words), [f"    {event}:"]
    # The date of any failure is that of a metastasis only where the kind of failure stands beside it.
    times = [column for column in times if not _of_any(column) or any(map(_of_any, codes[:1]))]
    if not times and not codes:
        return []
    if times:
        lines += _when(guess, times, as_yaml(times[0]))
    elif event == "metastasis" or not has_last:
        lines.append('      when: "?"  # no column looks like its time')
    if codes:
        text, others = guess.take(codes)
        patterns = entry.get("levels", {}) | {
            level: "|".join(filter(None, [entry.get("levels", {}).get(level), pattern]))
            for level, pattern in dictionary()["events"].items()
        }
        found = _levels(codes[0], text, patterns, "event")
        said = any(line.partition("  #")[0].endswith(("'0'", '"?"')) for line in found)
        empty = f"        '': {'' if said else 0}  # {(text == '').sum()} empty"
        lines += [f"{found[0]}  # 1 it happened, 0 it did not{others}", *found[1:]]
        lines += [empty] if (text == "").any() else []
    elif any(line.startswith("      unit:") for line in lines):
        lines.append('      event: "?"  # no column looks like it: which says whether it happened?')
    return lines


def _when(guess: _Guess, found: list[str], shown: str) -> list[str]:
    """Return the lines for a time: its column and, for a length, the unit by name, cells or size."""
    column, (text, others) = found[0], guess.take(found)
    lines = [f"      when: {shown}  # {guess.describe(column)}{others}"]
    if not guess.holds_dates(column):
        numbers = read_numbers(text, guess.joined.decimal.get(column, "."))
        unit, how = read_name(column)[1] or time_unit(numbers.unit), ""
        if not unit:
            largest, how = numbers.values.max(), "  # guessed by its size"
            unit = "days" if largest > 400 else "months" if largest > 40 else '"?"'
        lines.append(f"      unit: {unit}{how}")
    return lines


def _not_used(guess: _Guess) -> list[str]:
    """Return comments on the columns that are left; what people are called is not shown."""
    personal = guess.find(dictionary()["personal"])
    left = [c for c in guess.joined.table if c not in guess.used and c not in personal]
    return ["  # not used:", *(f"  #   {c}: {guess.describe(c)}" for c in left)] if left else []
