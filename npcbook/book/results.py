"""What a reader takes away from a run: every table and figure, and how they were made, in one folder."""

import hashlib
import json
import re
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from openpyxl import Workbook
from openpyxl.styles import Font

from npcbook import store
from npcbook.book.branches import link
from npcbook.book.chapter import FIGURE_METADATA, source_label
from npcbook.book.run import plan_chapters
from npcbook.words import SYNTHETIC_LABEL

#: Columns that name something: read as text, because a number has no leading zeros.
IDENTIFIERS = dict.fromkeys(("patient", "patient_id", "Patient", "center", "Center", "centre", "Centre"), str)
SUFFIXES = {"table": (".csv",), "figure": tuple(FIGURE_METADATA)}
SOURCE_COLUMN = "source of data"
BOLD = Font(bold=True)
README = Path(__file__).with_name("results_readme.txt").read_text("utf-8")


@dataclass(frozen=True)
class Shown:
    """A table or figure on a chapter's page.

    Attributes
    ----------
    chapter, kind, name : str
        Chapter, ``table`` or ``figure``, and file name without suffix.
    caption : str
        A sentence on what it shows.
    label : str
        Origin of its data.
    """

    chapter: str
    kind: str
    name: str
    caption: str
    label: str

    def sources(self, run_folder: Path) -> list[Path]:
        """Return the files that the chapter left in the run."""
        folder = run_folder / self.chapter / f"{self.kind}s"
        return [folder / f"{self.name}{suffix}" for suffix in SUFFIXES[self.kind]]

    def copies(self) -> list[str]:
        """Return the places of the same files within the results."""
        return [f"{self.kind}s/{self.chapter}/{self.name}{suffix}" for suffix in SUFFIXES[self.kind]]


def list_shown(run_folder: Path) -> list[Shown]:
    """Return what the chapters of a run show, in the order of chapters and pages."""
    found = []
    for chapter in sorted(plan.name for plan in plan_chapters()):
        # A chapter that shows nothing leaves no list.
        if (path := run_folder / chapter / "shown.csv").exists():
            rows = pd.read_csv(path, dtype=str, keep_default_na=False)
            found += [Shown(chapter=chapter, **row) for row in rows.to_dict("records")]
    return found


def write_results(run_folder: Path) -> Path:
    """Collect a run's tables, figures and methods in its folder ``results``, unless that is up to date.

    Parameters
    ----------
    run_folder : pathlib.Path
        A run in which every chapter has been executed.

    Returns
    -------
    pathlib.Path
        The folder. It is replaced as a whole, so that nothing of an earlier run stays in it.
    """
    target, shown = run_folder / "results", list_shown(run_folder)
    sources = [path for item in shown for path in item.sources(run_folder)]
    sources += [*run_folder.glob("*/shown.csv"), *run_folder.glob("*/methods.txt")]
    record = json.loads((run_folder / "manifest.json").read_text("utf-8"))
    key = store.fingerprint(
        store.files_fingerprint(sources, relative_to=run_folder), write_results, README, record
    )
    if store.is_kept(target, key):
        return target
    label = source_label(record["cohort"])
    with tempfile.TemporaryDirectory(dir=run_folder, prefix=store.unfinished_prefix()) as temporary:
        folder = Path(temporary) / "results"
        copy_files(shown, run_folder, folder)
        write_workbook(folder / "tables.xlsx", [item for item in shown if item.kind == "table"], run_folder)
        (folder / "methods.txt").write_text(methods_text(run_folder, label), "utf-8")
        said = {"label": label, "run": run_folder.name, "cohort": record["cohort"]["name"]}
        (folder / "README.txt").write_text(README.format(**said, column=SOURCE_COLUMN), "utf-8")
        record["files"] = [describe(item, folder) for item in shown]
        store.write_record(folder / "manifest.json", record)
        if target.exists():  # what is open in another program stays whole where it is
            store.replace_path(target, folder.with_name("earlier"))
        store.replace_path(folder, target)
    store.stamp(target, key)
    return target


def copy_files(shown: Iterable[Shown], run_folder: Path, folder: Path) -> None:
    """Copy figures as they are, and tables with a last column that says where their numbers come from."""
    for item in shown:
        for source, copy in zip(item.sources(run_folder), item.copies(), strict=True):
            (folder / copy).parent.mkdir(parents=True, exist_ok=True)
            if item.kind == "figure":
                link(source, folder / copy)
            else:
                # Read as text, so that no number changes its digits.
                table = pd.read_csv(source, dtype=str, keep_default_na=False)
                table.assign(**{SOURCE_COLUMN: item.label}).to_csv(folder / copy, index=False)


def describe(item: Shown, folder: Path) -> dict:
    """Return a table's or figure's entry in the manifest."""
    hashes = {copy: hashlib.sha256((folder / copy).read_bytes()).hexdigest() for copy in item.copies()}
    return {"chapter": item.chapter, "caption": item.caption, "source": item.label, "sha256": hashes}


def write_workbook(path: Path, tables: list[Shown], run_folder: Path) -> None:
    """Write tables into one workbook: a sheet of contents, then a sheet each with caption and label."""
    workbook = Workbook()
    contents = workbook.active
    contents.title = "Contents"
    contents.append(["sheet", "chapter", "what", SOURCE_COLUMN])
    for number, item in enumerate(tables, start=1):
        # A sheet's name has at most 31 characters.
        sheet = workbook.create_sheet(f"{number:03d} {item.name}"[:31])
        contents.append([sheet.title, item.chapter, item.caption, item.label])
        contents.cell(contents.max_row, 1).hyperlink = f"#'{sheet.title}'!A1"
        table = store.FORMATS[".csv"][0](*item.sources(run_folder), dtype=IDENTIFIERS)
        rows = table.astype(object).where(table.notna(), None).to_numpy().tolist()
        for line in ([item.caption], [item.label], [], list(table.columns), *rows):
            sheet.append(line)
        for cell in (sheet["A2"], *sheet[4]):
            cell.font = BOLD
        sheet.freeze_panes = "A5"
    for cell in contents[1]:
        cell.font = BOLD
    for column, width in zip("ABCD", (34, 22, 90, 44), strict=True):
        contents.column_dimensions[column].width = width
    workbook.save(path)
    remove_dates(path)


def remove_dates(path: Path) -> None:
    """Write a workbook anew without the time of its writing, so that the same tables give the same bytes."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            content = re.sub(rb"(<dcterms:\w+ [^>]*>)[^<]*", rb"\g<1>1980-01-01T00:00:00Z", content)
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def methods_text(run_folder: Path, label: str) -> str:
    """Return how a run computed its results, in the sentences that its chapters left.

    If the label of the data says that they are simulated, the text begins by saying so.
    """
    paths = [run_folder / plan.name / "methods.txt" for plan in plan_chapters()]
    versions = json.loads((run_folder / "manifest.json").read_text("utf-8"))["versions"]
    used = ", ".join(f"{name} {versions[name]}" for name in sorted(versions) if name != "platform")
    opening = f"{label}. The patients below are simulated.\n\n" if label == SYNTHETIC_LABEL else ""
    written = "".join(path.read_text("utf-8") for path in paths if path.exists())
    return f"{opening}{written}Software. npcbook with {used}.\n"
