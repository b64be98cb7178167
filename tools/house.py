"""Measure the house: code lines per wing, long functions, long cells; exit 1 where a limit is passed.

Code lines are lines that hold code: no docstrings, comments or blank lines.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

import jupytext

ROOT = Path(__file__).parents[1]
# Lines at most. The library had 6,494 when it moved into its wings. On top came a network trained on for the
# outcome, cohorts with parts missing, suspicion in reading, locks and seals, branches of a run, kernels that
# load ahead, and chapters side by side; what reads a hospital's own files is counted on its own.
LIBRARY, IMPORTING, FUNCTION, USUAL, CELL, SCRIPT = 9865, 2205, 40, 25, 20, 700
NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(text: str) -> set[int]:
    """Return the numbers of the lines that hold code."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOT_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, *DEFINITIONS)) and ast.get_docstring(
            node, clean=False
        ):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def main() -> int:
    """Print the measures and return whether any limit is passed."""
    wings, functions, problems = Counter(), {}, []
    for path in sorted((ROOT / "npcbook").rglob("*.py")):
        text = path.read_text("utf-8")
        lines = code_lines(text)
        # Lines are counted as the formatter lays them out.
        problems += [f"{path.name}: fmt: {word}" for word in ("skip", "off") if f"# fmt: {word}" in text]
        parts = path.relative_to(ROOT / "npcbook").parts
        wings["importing" if "importing" in parts else parts[0]] += len(lines)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, DEFINITIONS):
                functions[f"{'/'.join(parts)}:{node.lineno} {node.name}"] = len(
                    lines & set(range(node.lineno, node.end_lineno + 1))
                )
    total = sum(wings.values()) - wings["importing"]
    print(", ".join(f"{name} {n}" for name, n in wings.items()), f"= {total} code lines (limit {LIBRARY})")
    long = [name for name, n in functions.items() if n > USUAL]
    print(f"{len(functions)} functions, {len(long)} above {USUAL} lines, longest {max(functions.values())}")
    problems += [f"{total} code lines"] * (total > LIBRARY)
    problems += [f"importing: {wings['importing']} code lines"] * (wings["importing"] > IMPORTING)
    problems += [f"{name} has {n} lines" for name, n in functions.items() if n > FUNCTION]
    problems += [f"{len(long)} functions above {USUAL} lines: {', '.join(long)}"] * (
        len(long) > 0.02 * len(functions)
    )
    for path in sorted((ROOT / "notebooks").glob("*.py")):
        problems += measure_chapter(path)
    print(*problems, sep="\n")
    return bool(problems)


def measure_chapter(path: Path) -> list[str]:
    """Return what is too long in a chapter."""
    cells = jupytext.read(path).cells
    sizes = [
        sum(bool(line.strip()) for line in cell.source.splitlines())
        for cell in cells
        if cell.cell_type == "code"
    ]
    length = len(path.read_text("utf-8").splitlines())
    return [f"{path.stem}: a cell of {size} lines" for size in sizes if size > CELL] + [
        f"{path.stem}: {length} lines"
    ] * (length > SCRIPT)


if __name__ == "__main__":
    sys.exit(main())
