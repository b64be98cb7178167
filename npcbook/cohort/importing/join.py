"""Several tables as one, by the patients' ids."""

from dataclasses import dataclass

import pandas as pd

from npcbook.cohort.importing.tables import Source

#: Name of the column that says which of several tables of the same columns a row stood in.
TABLE = "(table)"
#: What stands for ids where a table has none: the rows' numbers.
ROW = "(row)"
#: Ways to compare ids of two tables, the strictest first.
ID_FORMS = {
    "as they stand": lambda ids: ids,
    "by letters and digits alone": lambda ids: ids.str.replace(r"[\W_]", "", regex=True).str.lower(),
    "without zeros at their beginning": lambda ids: ids.str.lower().str.lstrip("0"),
}


@dataclass(frozen=True)
class Joined:
    """Tables joined.

    Attributes
    ----------
    table : pandas.DataFrame of str
        One row a patient, by the hospital's id (the index).
    decimal : dict
        What stands before the decimals, by column.
    said : list of str
        How they were joined, and who stands in only some of them.
    """

    table: pd.DataFrame
    decimal: dict[str, str]
    said: list[str]


def join(sources: list[Source], chosen: dict[str, dict]) -> Joined:
    """Join the chosen tables: below one another where their columns are the same, else by id.

    Parameters
    ----------
    sources : list of Source
        All tables.
    chosen : dict
        For the name of each table to use ``id``, the column of ids, and where ids stand in several rows
        ``repeated``: ``first`` or ``last``, the row to take.

    Raises
    ------
    ValueError
        If a table or column is not there, an id stands twice, or no id of one table stands in another.
    """
    found = {source.name: source for source in sources}
    if missing := [name for name in chosen if name not in found]:
        raise ValueError(f"files: there is no table {', '.join(missing)}; given were {', '.join(found)}.")
    said, decimal, stacks = [], {}, []
    for name, options in chosen.items():
        table = _by_id(found[name], options, said)
        decimal = dict.fromkeys(table, found[name].decimal) | decimal
        same = next((stack for stack in stacks if _alike(stack[0][1], table)), None)
        stacks.append([(name, table)]) if same is None else same.append((name, table))
    tables = [_stack(stack, said) for stack in stacks]
    joined = tables[0]
    for stack, table in zip(stacks[1:], tables[1:], strict=True):
        table = table.rename(columns={c: f"{c} [{stack[0][0]}]" for c in table if c in joined})
        decimal |= {c: found[stack[0][0]].decimal for c in table}
        joined = _add(joined, table, stack[0][0], said)
    return Joined(joined.fillna(""), decimal, said)


def _by_id(source: Source, options: dict, said: list[str]) -> pd.DataFrame:
    """Return a table by id, each standing once."""
    column, table, place = options.get("id", ""), source.table, f"files, {source.name}"
    if column == ROW:
        table = table.assign(**{ROW: [str(number) for number in range(1, len(table) + 1)]})
    if column not in table:
        raise ValueError(f"{place}: there is no column {column!r} for id; there are {', '.join(table)}.")
    if (nameless := table[column] == "").any():
        said.append(f"{source.name}: {nameless.sum()} row(s) without an id left out.")
    table, which = table[~nameless].drop_duplicates(), options.get("repeated")
    twice = table[column][table[column].duplicated(keep=False)].unique()
    if len(twice) and which not in ("first", "last"):
        raise ValueError(
            f"{place}: {len(twice)} id(s) stand in several rows ({', '.join(twice[:3])}, …): write "
            f"'repeated: first' or 'repeated: last' beside id to take one of them."
        )
    if len(twice):
        said.append(f"{source.name}: {len(twice)} id(s) stand in several rows; the {which} was taken.")
    return table.drop_duplicates(column, keep=which or "first").set_index(column)


def _alike(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Return whether two tables hold the same columns of different patients."""
    common = one.columns.intersection(other.columns)
    return len(common) > 0.7 * max(one.shape[1], other.shape[1]) and one.index.intersection(other.index).empty


def _stack(stack: list[tuple[str, pd.DataFrame]], said: list[str]) -> pd.DataFrame:
    if len(stack) == 1:
        return stack[0][1]
    names = ", ".join(name for name, _ in stack)
    said.append(f"{names} hold the same columns of different patients: put below one another.")
    parts = [table.assign(**{TABLE: name.rpartition("#")[2]}) for name, table in stack]
    whole = pd.concat(parts)
    return whole.rename_axis(parts[0].index.name)


def _add(joined: pd.DataFrame, table: pd.DataFrame, name: str, said: list[str]) -> pd.DataFrame:
    """Return the table with another's columns, ids compared in the strictest way that finds most of them."""
    tried = []
    for how, form in ID_FORMS.items():
        here, there = (form(t.index.to_series()) for t in (joined, table))
        if here.is_unique and there.is_unique:
            tried.append((there.isin(here).sum(), how, here, there))
    common, how, here, there = max(tried, key=lambda item: item[0])
    if not common:
        raise ValueError(
            f"files, {name}: none of its ids ({there.index[0]}, …) stands in the tables before it "
            f"({here.index[0]}, …): give another column as id, or take the table out of files."
        )
    own = dict(zip(here, here.index, strict=True))
    whole = joined.join(
        table.set_axis([own.get(key, given) for key, given in there.items()], axis=0), how="outer"
    )
    whole = whole.reindex([*joined.index, *whole.index.difference(joined.index, sort=False)])
    said.append(
        f"{name} joined by id ({how}): {common} patients in both, {len(here) - common} only before, "
        f"{len(there) - common} only in it."
    )
    return whole.rename_axis(joined.index.name)
