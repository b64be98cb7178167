"""``map.yml``: one section a command, each as its user left it."""

import json
import re
from itertools import pairwise
from pathlib import Path

import yaml

from npcbook.store import StrictYaml, atomic_path, read_outside_text, whole

TOP = """\
# How the hospital's own words and files become a cohort: one section for each import command. What the
# command guessed stands beside what it was guessed from. Correct it, then give the same command again.
"""


class _Loader(StrictYaml):
    """Reads scalars as text, and 1.0 as 1, as the cells of tables are read."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        if isinstance(node, yaml.ScalarNode):
            return whole(node.value)
        if isinstance(node, yaml.MappingNode):
            return {whole(str(key.value)): self.construct_object(value) for key, value in node.value}
        return [self.construct_object(item) for item in node.value]


def read_section(path: Path, name: str) -> dict | None:
    """Read a command's section of ``map.yml``.

    Parameters
    ----------
    path : pathlib.Path
        The file; it need not exist.
    name : str
        Section, such as ``table``.

    Returns
    -------
    dict or None
        Every scalar as text, as it is written (``Yes``, ``01``; nothing is the empty text; but ``1.0`` is
        ``1``), so that no code of the hospital turns into something else; None where there is no such section
        yet.

    Raises
    ------
    ValueError
        If the file is no valid YAML, or the section holds no names with values.
    """
    if not path.exists():
        return None
    try:
        sections = yaml.load(read_outside_text(path, "bytes of a description"), _Loader) or {}
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise ValueError(
            f"{path}{place} is not valid YAML ({getattr(error, 'problem', None) or 'too deep'}): correct it "
            "(a text with a colon or # needs quotes), or delete the file to begin anew."
        ) from error
    section = sections.get(name) if isinstance(sections, dict) else sections
    if section is not None and not isinstance(section, dict):
        raise ValueError(f"{path}: {name} must hold lines 'key: value': delete the file to begin anew.")
    return section


def write_section(path: Path, name: str, text: str) -> None:
    """Write one section of ``map.yml``, whole or not at all; the text of all others stays as it is.

    Parameters
    ----------
    path : pathlib.Path
        The file; made where it is missing.
    name : str
        Section, such as ``table``.
    text : str
        The section with its comments; its first line that is no comment is ``<name>:``.
    """
    before = path.read_text("utf-8") if path.exists() else TOP
    with atomic_path(path) as temporary:
        temporary.write_text(replace_section(before, name, text), "utf-8")


def replace_section(before: str, name: str, text: str) -> str:
    """Return the text of ``map.yml`` with one section replaced, or put at its end where it is new.

    A section begins with the comments that stand directly above its name, from the margin, without an empty
    line between, and reaches to the beginning of the next.
    """
    begin = re.compile(r"(?:^#[^\n]*\n)*^[\"']?([A-Za-z_]\w*)[\"']?:(?=\s|$)", re.MULTILINE)
    starts = [(match.group(1), match.start()) for match in begin.finditer(before)]
    text = text.strip("\n") + "\n"
    for (section, start), (_, end) in pairwise([*starts, ("", len(before))]):
        if section == name:
            return before[:start] + text + ("\n" + before[end:] if before[end:].strip() else "")
    return f"{before.rstrip()}\n\n{text}" if before.strip() else text


def as_yaml(value: object) -> str:
    """Return a value as YAML in one line, quoted where it must be."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False)
    text = text.strip().removesuffix("...").strip()
    return json.dumps(value, ensure_ascii=False) if "\n" in text else text  # which is YAML, too
