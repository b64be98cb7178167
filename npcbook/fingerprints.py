"""Fingerprints: has anything changed that a stored result depends on."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

__all__ = [
    "NUMERICAL_PACKAGES",
    "code_fingerprint",
    "files_fingerprint",
    "fingerprint",
    "imported_modules",
    "packages_fingerprint",
]

PACKAGE = Path(__file__).parent
#: Packages whose version a number may depend on.
NUMERICAL_PACKAGES = (
    "matplotlib",
    "monai",
    "numpy",
    "pandas",
    "pyradiomics",
    "scikit-learn",
    "scikit-survival",
    "scipy",
    "SimpleITK",
    "statsmodels",
    "torch",
)


def fingerprint(*parts) -> str:
    """Return a short hash of plain values (text, numbers, lists, dicts), independent of dict order."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def packages_fingerprint(*packages: str) -> str:
    """Return a hash of the installed versions of packages; without names, of all `NUMERICAL_PACKAGES`."""
    return fingerprint({package: version(package) for package in packages or NUMERICAL_PACKAGES})


def files_fingerprint(paths: Iterable[Path], *, relative_to: Path) -> str:
    """Return a hash of the names and contents of files.

    Parameters
    ----------
    paths : iterable of path
        Files; order does not matter.
    relative_to : path
        Folder that names are taken from, so that a moved project keeps its fingerprints.

    Returns
    -------
    str
        Hexadecimal digest.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(paths):
        digest.update(str(path.relative_to(relative_to)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())
    return digest.hexdigest()


def imported_modules(source: str) -> set[str]:
    """Return the names of the npcbook modules that Python source text imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "npcbook":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("npcbook."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("npcbook.")}
    return {name for name in found if (PACKAGE / f"{name}.py").exists()}


@cache
def _closure(modules: frozenset[str]) -> frozenset[str]:
    """Return the modules together with every npcbook module they import, directly or not."""
    reached, waiting = set(), set(modules)
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= imported_modules((PACKAGE / f"{module}.py").read_text()) - reached
    return frozenset(reached)


def code_fingerprint(*modules: str) -> str:
    """Return a hash of library modules and of all library modules that they import.

    Parameters
    ----------
    *modules : str
        Module names within npcbook, such as ``"training"``.

    Returns
    -------
    str
        Hexadecimal digest; it changes when any of that code does.
    """
    paths = [PACKAGE / f"{module}.py" for module in _closure(frozenset(modules))]
    return files_fingerprint(paths, relative_to=PACKAGE)
