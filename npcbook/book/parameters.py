"""What a chapter's parameters cell declares, and whether the values given are among what is declared.

The comment beside a parameter declares what it may be, in words that a reader needs anyway; what follows the
first semicolon is for the reader alone::

    min_fraction = 0.1  # 0.01 to 0.49; least share of patients on either side of a cut-off
    horizon_months = 60  # 1 to last follow-up, months
    seed = 2023  # 0 or more
    model = "clinical"  # one of MODELS or SCORES; names in `npcbook.words`, or of a score of one's own
    contours = "manual"  # "manual" or "predicted"
    covariates = "t2,n1"  # names of COVARIATES
    grid = "16, 48, 48"  # 3 whole numbers, 4 to 512
"""

import ast
import difflib
import io
import math
import os
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

# The faces and not what they hand out: no result of a chapter rests on how its parameters are checked.
import npcbook.cohort
import npcbook.imaging
from npcbook import words
from npcbook.store import project_path

NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
#: Limits that a cohort sets, by the words that stand for them in a declaration.
COHORT_LIMITS = {
    "last follow-up": lambda patients: (
        max([0.0, *patients.filter(regex="_months$").max().dropna()]) or math.inf
    ),
    "all patients": len,
}
RANGE = re.compile(rf"({NUMBER}) (?:to ({NUMBER}|{'|'.join(COHORT_LIMITS)})|or more)\b")
LISTED = re.compile(r"(?:(\d+) )?(whole )?numbers, ")
NAMED = re.compile(r"\b(one|names) of ([A-Z]+)")
FIELDS = re.compile(r"\bfields of (\w+)(?: but ([\w, ]+))?")
OWN_SCORES = "own_scores.csv"  # scores of one's own, beside the chapters of a run
INJECTED = "# Parameters"  # how papermill begins the cell that it puts in


class WrongParameter(ValueError):
    """A parameter that no chapter declares, or a value that it may not have; a line for each."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the sentence, without the library's way to it."""
        return [str(self)]


@dataclass(frozen=True)
class Declared:
    """A parameter as a chapter declares it.

    Attributes
    ----------
    name : str
        Its name; an entry of a dictionary is called ``name["entry"]``.
    default : object
        Value in the chapter; its type is the parameter's.
    said : str
        The comment beside it.
    entries : dict of str to Declared
        Entries of a dictionary.
    """

    name: str
    default: object
    said: str = ""
    entries: dict[str, "Declared"] = field(default_factory=dict)

    @cached_property
    def _rule(self) -> str:
        return self.said.partition(";")[0]

    @cached_property
    def limits(self) -> tuple[str, str] | None:
        """Lowest and highest value, as written (a number or a word of `COHORT_LIMITS`); None for any."""
        found = RANGE.search(self._rule)
        return found and (found[1], found[2] or "inf")

    @cached_property
    def choices(self) -> list[str]:
        """Texts that it may be, or be made of; none for any."""
        found = NAMED.search(self._rule)
        named = list(_vocabulary(found[2])) if found else []
        return re.findall(r'"([^"]*)"', self._rule) + named

    @property
    def parts(self) -> re.Match | None:
        """How the text is made of numbers (how many, whole or not), if it is."""
        return LISTED.search(self._rule)

    @property
    def takes_scores(self) -> bool:
        """Whether the name of a score of one's own will do, too."""
        return "or SCORES" in self._rule

    def known(self) -> dict[str, "Declared"]:
        """Return the entries that a dictionary may have: those declared, and fields of the settings named."""
        found = FIELDS.search(self.said)
        fields = getattr(npcbook.imaging, found[1]).__dataclass_fields__ if found else {}
        names = fields.keys() - set(((found and found[2]) or "").split(", "))
        about = {n: (fields[n].default, f"{npcbook.imaging.LOWEST.get(n, 0)} or more") for n in sorted(names)}
        others = {name: Declared(f'{self.name}["{name}"]', *item) for name, item in about.items()}
        return self.entries | others | self.entries

    def problems(self, value, limits: Mapping[str, float]) -> list[str]:
        """Return what is wrong with a value, a sentence each; `limits` are a cohort's, by word."""
        if isinstance(self.default, dict) and isinstance(value, dict):
            # The settings' own fields are looked up, network library and all, where a chapter's do not do.
            known = self.entries if value.keys() <= self.entries.keys() else self.known()
            shown = sorted(value, key=str)
            unknown = [key for key in shown if key not in known]
            said = [f"{self.name} has no entry {key!r}; it has {', '.join(known)}." for key in unknown]
            return said + [
                p for key in shown if key in known for p in known[key].problems(value[key], limits)
            ]
        low, high = (limits.get(limit, limit) for limit in self.limits or ("-inf", "inf"))
        if self._is_allowed(value, float(low), float(high)):
            return []
        about = self.said.partition(";")[2].strip() if self.limits or self.choices else self.said
        meaning = f" ({about})" if about else ""
        wanted = f"{self._wanted(low, high)}, such as {self.default!r}"
        return [f"{self.name} is {value!r}; it must be {wanted}{meaning}."]

    def _is_allowed(self, value, low: float, high: float) -> bool:
        if isinstance(self.default, str):
            value = os.fspath(value) if isinstance(value, os.PathLike) else value
            return isinstance(value, str) and self._is_text(value, low, high)
        return _is_like(self.default, value) and (isinstance(value, (bool, dict)) or low <= value <= high)

    def _is_text(self, text: str, low: float, high: float) -> bool:
        parts = [part.strip() for part in text.split(",")]
        if text in self.choices or not (self.choices or self.parts):
            return True
        if self.parts:
            count, whole = self.parts.groups()
            values = [_number(part, int if whole else float) for part in parts]
            return len(values) == int(count or len(values)) and all(low <= value <= high for value in values)
        return "names of " in self._rule and set(parts) <= set(self.choices)

    def _wanted(self, low, high) -> str:
        within = f" from {low} to {high}" if high != "inf" else f" of {low} or more" if low != "-inf" else ""
        if not isinstance(self.default, str):
            return {bool: "True or False", dict: "a dictionary"}.get(type(self.default)) or (
                f"a {'whole ' * isinstance(self.default, int)}number{within}"
            )
        allowed = ", ".join(repr(choice) for choice in self.choices)
        if self.parts:
            count, whole = self.parts.groups("")
            listed = f"{count} {whole}numbers{within} in one text, with commas between"
            return f"{allowed} or {listed}" if allowed else " ".join(listed.split())
        if "names of " in self._rule:
            return f"names out of {allowed}, in one text with commas between"
        return f"one of {allowed}" if allowed else "a text"


def _number(text: str, kind: type) -> float:
    try:
        return kind(text)
    except ValueError:
        return math.nan


def _is_like(default, value) -> bool:
    """Return whether a value is of a default's type; a whole number will do for any number."""
    kinds = (int, float) if isinstance(default, float) else type(default)
    return isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)


def _is_same(value, other) -> bool:
    return type(value) is type(other) and value == other


def _vocabulary(name: str) -> list[str]:
    if name == "CHAPTERS":
        return sorted(path.stem for path in project_path("notebooks").glob("[0-9]*_*.py"))
    return list(getattr(words, name))


def read_declared(name: str) -> dict[str, Declared]:
    """Return the parameters that a chapter's script declares, by name; none if there is no such script."""
    path = project_path(f"notebooks/{name}.py")
    script = path.read_text(encoding="utf-8") if path.exists() else ""
    # The rest of the cell's own line is metadata.
    cell = script.partition('\n# %% tags=["parameters"]')[2].partition("\n# %%")[0].partition("\n")[2] + "\n"
    tokens = tokenize.generate_tokens(io.StringIO(cell).readline)
    comments = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    nodes = [node for node in ast.parse(cell).body if isinstance(node, ast.Assign)]
    return {node.targets[0].id: _declare(node.targets[0].id, node.value, comments) for node in nodes}


def _declare(name: str, value: ast.expr, comments: Mapping[int, str]) -> Declared:
    entries = {}
    if isinstance(value, ast.Dict):
        # Entries on the dictionary's own line share its comment, which is not theirs.
        own = {line: text for line, text in comments.items() if line > value.lineno}
        pairs = zip(value.keys, value.values, strict=True)
        entries = {key.value: _declare(f'{name}["{key.value}"]', item, own) for key, item in pairs}
    return Declared(name, ast.literal_eval(value), comments.get(value.lineno, ""), entries)


def check_values(
    declared: Mapping[str, Declared],
    given: Mapping,
    cohort_folder: str | os.PathLike | None = None,
    scores: Iterable[str] | None = (),
) -> None:
    """Raise `WrongParameter` if a value given is not what is declared; names not declared are left alone.

    Parameters
    ----------
    declared : mapping of str to Declared
        See `read_declared`.
    given : mapping
        Values by name.
    cohort_folder : str or path, optional
        The cohort that sets the limits of `COHORT_LIMITS`; without one, these are not looked at, and neither
        are they for a value that is the chapter's own.
    scores : iterable of str, optional
        Names of scores of one's own, which do where ``or SCORES`` is declared; None if they are not known
        yet, when no name is refused there.
    """
    changed = [(declared[name], given[name]) for name in given.keys() & declared.keys()]
    # A default has been thought of for any cohort, and is not held against the one at hand.
    changed = [(item, value) for item, value in changed if not _is_same(value, item.default)]
    changed = [(i, v) for i, v in changed if not (i.takes_scores and (scores is None or v in tuple(scores)))]
    changed.sort(key=lambda pair: pair[0].name)
    limits = dict.fromkeys(COHORT_LIMITS, math.inf)
    if cohort_folder and any(item.limits and item.limits[1] in limits for item, _ in changed):
        patients = npcbook.cohort.read_cohort(cohort_folder).patients
        limits = {word: limit(patients) for word, limit in COHORT_LIMITS.items()}
    if problems := [said for item, value in changed for said in item.problems(value, limits)]:
        raise WrongParameter("\n".join(dict.fromkeys(problems)))


def check_names(given, known, where: str) -> None:
    """Raise `WrongParameter` for a name that is not known, with the known ones and the nearest of them."""
    for name in sorted(set(given) - set(known)):
        near = difflib.get_close_matches(name, known, n=1)
        meant = f" (is {near[0]} meant?)" if near else ""
        raise WrongParameter(f"{where} has no parameter {name!r}{meant}; it has {', '.join(sorted(known))}.")


def check_chapter(name: str, variables: Mapping, cohort_folder: str | os.PathLike | None = None) -> dict:
    """Check a chapter's parameters as they stand in a notebook, and return them by name.

    Parameters
    ----------
    name : str
        Chapter name.
    variables : mapping
        The notebook's variables: ``globals()``.
    cohort_folder : str or path, optional
        The cohort that the chapter reads.

    Raises
    ------
    WrongParameter
        If the parameters cell, or the one that papermill puts in, sets a name that the chapter's script does
        not declare, or a value is not what is declared.
    """
    declared = read_declared(name)
    check_names(_set_in_cells(variables.get("In", [])) if declared else (), declared, name)
    given = {parameter: variables[parameter] for parameter in declared if parameter in variables}
    check_values(declared, given, cohort_folder, _own_scores(given.get("run_folder")))
    return given


def _own_scores(run_folder: str | os.PathLike | None) -> list[str]:
    path = project_path(run_folder or ".") / OWN_SCORES
    return path.read_text(encoding="utf-8").partition("\n")[0].split(",") if path.exists() else []


def _set_in_cells(cells: list[str]) -> set[str]:
    """Return the names that the parameters cell last run, and papermill's after it, have set."""
    found = set()
    for cell in cells:
        names = _assigned(cell)
        if cell.startswith(INJECTED):
            found |= names
        elif "run_folder" in names:
            found = names
    return found


def _assigned(cell: str) -> set[str]:
    try:
        body = ast.parse(cell).body
    except SyntaxError:
        return set()
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)}
