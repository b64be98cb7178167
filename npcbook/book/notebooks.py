"""Notebooks: derived from the chapters' scripts, and never written over what a reader has changed."""

import shutil
from pathlib import Path

import jupytext
import nbformat

from npcbook.store import atomic_path, fingerprint, project_path, root_folder

LAB = "data/lab"  # copies to work on in JupyterLab; nothing in it is tracked
DERIVED = "npcbook_derived"  # metadata of a notebook: what its cells were when they were derived
END_OF_HEAD = "\n# ---\n"
BESIDE = ("*.md", "_static")  # what chapters link to


class EditedNotebook(ValueError):
    """A notebook that would be written over holds changes of its own."""


def notebook_source(name: str) -> Path:
    """Return the percent script that is the source of a chapter."""
    return project_path(f"notebooks/{name}.py")


def notebook_path(name: str) -> Path:
    """Return where the notebook derived from a chapter's script lies: beside it, or where data lie apart."""
    return root_folder() / "notebooks" / f"{name}.ipynb"


def _scripts() -> list[Path]:
    return sorted(project_path("notebooks").glob("[0-9][0-9]*_*.py"))


def _cells(notebook: nbformat.NotebookNode) -> str:
    """Return a fingerprint of a notebook's cells without their outputs."""
    cells = [(c.cell_type, c.source.rstrip(), c.metadata.get("tags", [])) for c in notebook.cells]
    return fingerprint([cell for cell in cells if cell[1]])


def derive_notebook(name: str) -> str:
    """Return the notebook (JSON text) that a chapter's script stands for, without outputs.

    Parameters
    ----------
    name : str
        Chapter name.

    Returns
    -------
    str
        The ``.ipynb`` file's content; the same script always gives the same text.
    """
    notebook = jupytext.read(notebook_source(name))
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
    # The pairing is one-way, so the notebook must not carry the setting that would write back.
    notebook.metadata.pop("jupytext", None)
    notebook.metadata[DERIVED] = _cells(notebook)
    return nbformat.writes(notebook) + "\n"


def stale_notebooks() -> list[Path]:
    """Return the notebooks that are missing or not what their scripts stand for."""
    paths = [notebook_path(script.stem) for script in _scripts()]
    return [p for p in paths if not p.exists() or p.read_text("utf-8") != derive_notebook(p.stem)]


def is_edited(path: Path) -> bool:
    """Return whether the cells of a notebook are neither as derived then nor as its script has them now."""
    if not path.exists():
        return False
    notebook = nbformat.read(path, as_version=4)
    now = nbformat.reads(derive_notebook(path.stem), as_version=4).metadata[DERIVED]
    return _cells(notebook) not in (now, notebook.metadata.get(DERIVED, _cells(notebook)))


def sync_notebooks(*, discard: bool = False) -> list[Path]:
    """Write the notebooks that are out of date beside their scripts, and return their paths.

    Parameters
    ----------
    discard : bool, default False
        Write also over what was changed in a notebook. Outputs alone are no change.

    Raises
    ------
    EditedNotebook
        If a notebook was changed; then none is written.
    """
    stale = stale_notebooks()
    if edited := [path.name for path in stale if not discard and is_edited(path)]:
        raise EditedNotebook(
            f"Changed by hand, and so not written over: {', '.join(edited)}. 'python -m npcbook sync --keep' "
            f"puts the changes into the chapters' scripts, 'python -m npcbook sync --discard' drops them."
        )
    for path in stale:
        _derive(path)
    return stale


def _derive(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(derive_notebook(path.stem), "utf-8")


def keep_edits() -> list[Path]:
    """Put what was changed in notebooks, or in copies of them in `LAB`, into their scripts; return these.

    Raises
    ------
    EditedNotebook
        If a chapter was changed in both places.
    """
    changed = [path for folder in ("notebooks", LAB) for path in _edited_in(folder)]
    if twice := sorted({p.name for p in changed if [other.name for other in changed].count(p.name) > 1}):
        raise EditedNotebook(
            f"Changed both in notebooks and in {LAB}: {', '.join(twice)}; remove one of them."
        )
    for path in changed:
        script = notebook_source(path.stem)
        head = script.read_text("utf-8").partition(END_OF_HEAD)[0]
        body = jupytext.writes(nbformat.read(path, as_version=4), fmt="py:percent").partition(END_OF_HEAD)[2]
        with atomic_path(script) as temporary:
            temporary.write_text(head + END_OF_HEAD + body, "utf-8")
        _derive(path)
    return [notebook_source(path.stem) for path in changed]


def _edited_in(folder: str) -> list[Path]:
    return [p for s in _scripts() if is_edited(p := root_folder() / folder / f"{s.stem}.ipynb")]


def lay_out_lab() -> tuple[Path, list[str]]:
    """Lay out copies of the notebooks to work on, and return their folder and what has to be said of them.

    A copy that was changed stays; one that was only run stays while its chapter is the same.
    """
    folder, said = root_folder() / LAB, []
    for script in _scripts():
        path = folder / f"{script.stem}.ipynb"
        derived = nbformat.reads(derive_notebook(script.stem), as_version=4).metadata[DERIVED]
        known = nbformat.read(path, as_version=4).metadata.get(DERIVED) if path.exists() else ""
        if is_edited(path):
            news = "" if known == derived else "; its chapter is another now: remove the copy to get that"
            said.append(f"{path.name} keeps your changes{news}")
        elif known != derived:
            _derive(path)
    for pattern in BESIDE:
        for source in project_path("notebooks").glob(pattern):
            copy = shutil.copytree if source.is_dir() else shutil.copyfile
            copy(source, folder / source.name, **({"dirs_exist_ok": True} if source.is_dir() else {}))
    return folder, said
