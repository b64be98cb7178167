"""A data dictionary among the tables: what columns are called in words, and what their codes mean."""

import re
from dataclasses import replace

from npcbook.cohort.importing.tables import Source, plain
from npcbook.cohort.importing.values import dictionary, legend

#: Words without the brackets and strokes that would end them where a column's name is read.
_WORD = re.compile(r"[\w,.<>≤≥+-]+")


def explain(sources: list[Source]) -> list[Source]:
    """Call columns by the labels and codes that a data dictionary has for them, and leave that table out.

    Parameters
    ----------
    sources : list of Source
        Tables. A data dictionary is one with a row a column: its name, and its label or codes (REDCap's, or
        columns called *variable*, *label* and *values*).

    Returns
    -------
    list of Source
        The others; columns are called ``label (1=word; 2=word)`` where the dictionary has such.
    """
    names, others, known = {}, [], {column for source in sources for column in source.table}
    for source in sources:
        columns = {name.casefold(): cells.tolist() for name, cells in source.table.items()}
        none = [""] * len(source.table)
        parts = dictionary()["dictionary"].values()
        name, *told = [next((columns[word] for word in words if word in columns), none) for words in parts]
        if set(name) & known and told != [none, none]:
            names |= {row[0]: _describe(*row) for row in zip(name, *told, strict=True)}
        else:
            others.append(source)
    return [_rename(source, names) for source in others]


def _describe(name: str, label: str, codes: str) -> str:
    """Return a column's label with its codes: ``1, Male | 2, Female`` (REDCap) or ``1=male; 2=female``."""
    label = plain(re.sub("<.*?>", " ", label)) or name
    pairs = [part.partition(",")[::2] for part in codes.split("|")] if "|" in codes else legend(codes).items()
    said = "; ".join(f"{code.strip()}={' '.join(_WORD.findall(word))}" for code, word in pairs)
    return f"{label} ({said})" if said else label


def _rename(source: Source, names: dict[str, str]) -> Source:
    """Return a table with its columns called by other names, where each is the name of one column only."""
    called = [names.get(column, column) for column in source.table]
    called = [new if called.count(new) == 1 else old for old, new in zip(source.table, called, strict=True)]
    said = f"{source.said}{', columns called as a data dictionary says' * (called != list(source.table))}"
    return replace(source, table=source.table.set_axis(called, axis=1), said=said)
