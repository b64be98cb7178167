"""A run: the folder through which chapters hand tables, figures and values to one another.

Every chapter opens its own part of the run, reads what earlier chapters wrote and writes what later ones
read. Files appear whole or not at all, and everything shown carries the label of the cohort it came from.
"""

import inspect
import io
import json
import os
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import PIL.Image
from IPython.display import Image, Markdown, display, update_display
from matplotlib import font_manager, rc_context, rcParams
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from npcbook import words
from npcbook.book import branches
from npcbook.book.parameters import check_chapter
from npcbook.book.tables import show
from npcbook.cohort import read_description
from npcbook.paper.comparison import compare, read_run_values
from npcbook.paper.printed import check_id
from npcbook.store import FORMATS, atomic_path, claim, is_refusal, keep, project_path, remove

# Without dates and versions in the files, the same data give the same bytes.
FIGURE_METADATA = {
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}
FRONT = "front.json"  # what a chapter hands to the front page
HOSPITALS = "hospitals.json"  # what the codes of hospitals stand for, in the folder of one chapter
READS = ".reads"  # file that notes whom a chapter reads, to be held against what its script says
TAKEAWAYS = "takeaways.csv"  # the bullets of *In short*, to be held against those of another run
IN_SHORT = "in-short"  # id of the display that holds a chapter's takeaways
CHANGED = "changed"  # id of the display that holds what a branch changes
ABSENT = "absent.txt"  # why a chapter has nothing to say of a cohort, where it has not
KEPT = "kept"  # folder of what a chapter keeps for itself, to be faster the next time
LINK = re.compile(r" ?\(\[[^]]*\]\([^)]*\)\)|\*\*")  # a reference in brackets, or marks of bold type
LACKING = re.compile(rf"(?<!\w){words.MISSING}(?!\w)")  # not of a range, nor of a name
FILE_DPI = 300
CJK_FONTS = ("CJK", "Droid Sans Fallback", "WenQuanYi", "SimHei", "Microsoft YaHei", "PingFang", "Heiti")
SCREEN_DPI = 150  # enough for screens of high density and for print, at a quarter of the file's weight


def describe_cohort(cohort_folder: str | os.PathLike) -> dict:
    """Return what a reader has to know of a cohort: its folder, name, whether it is simulated, a remark.

    Raises
    ------
    FileNotFoundError, ValueError
        If the cohort is not there, or its description is wrong.
    """
    folder = project_path(cohort_folder)
    if not (folder / "dataset_description.json").exists():
        raise FileNotFoundError(
            f"There is no cohort in {folder} (no dataset_description.json): make the synthetic one with "
            f"'python -m npcbook simulate', or point cohort_folder at your own."
        )
    about = read_description(folder)
    wanted = {"name": "Name", "synthetic": "synthetic", "remark": "Remark"}
    return {"folder": folder.name} | {ours: about.get(theirs) for ours, theirs in wanted.items()}


def source_label(cohort: dict) -> str:
    """Return the words that all figures and tables made from a cohort carry (see `describe_cohort`)."""
    return words.SYNTHETIC_LABEL if cohort["synthetic"] else f"Cohort: {cohort['name']}"


def use_fonts() -> None:
    """Let figures fall back on a font with Chinese characters, where the computer has one."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    there = [name for name in sorted(installed) if any(word in name for word in CJK_FONTS)]
    rcParams["font.family"] = [*(name for name in rcParams["font.family"] if name not in there), *there[:3]]


@contextmanager
def drawn_characters(say: Callable[[str], None]):
    """Say in one line, instead of a warning each, that characters have no glyph in any font."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lacking = {str(w.message).split("(")[0] for w in caught if "missing from font" in str(w.message)}
    for warning in (w for w in caught if "missing from font" not in str(w.message)):
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if lacking:
        say(
            f"{len(lacking)} characters are drawn as boxes: no font of this computer has them: install one, "
            "such as fonts-noto-cjk or fonts-droid-fallback, and run the chapter again."
        )


def in_short() -> None:
    """Show the place of the chapter's takeaways; `Chapter.takeaway` fills it in as numbers are computed."""
    waiting = "*Each takeaway appears here once its number has been computed: run all cells.*"
    display(Markdown(waiting), display_id=IN_SHORT)


def show_source(*code: Callable) -> None:
    """Show library functions or classes as they are written, under the name of their module."""
    for item in code:
        text = f"# {item.__module__}\n{inspect.getsource(inspect.unwrap(item)).rstrip()}"
        # Four marks, because a docstring may hold a block of three. The page folds it under its name.
        display(Markdown(f"````python\n{text}\n````"), metadata={"source": item.__qualname__})


def screen_image(path: Path, colours: int) -> tuple[bytes, int]:
    """Return a saved figure as a light PNG of few colours for the page, and its width in CSS pixels."""
    picture = PIL.Image.open(path).convert("RGB").reduce(FILE_DPI // SCREEN_DPI)
    buffer = io.BytesIO()
    # A palette makes a page of twenty figures a fifth as heavy; the files on offer keep all colours.
    picture.quantize(colours, dither=PIL.Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    # A hundred pixels an inch: a six-inch figure is as wide as a column of text.
    return buffer.getvalue(), round(picture.width * 100 / SCREEN_DPI)


def lay_out(fig: Figure) -> Bbox:
    """Lay a figure out, once for all of its files, and return the frame of all that it shows, inches."""
    if fig.get_layout_engine():
        fig.draw_without_rendering()
        fig.set_layout_engine("none")
    return fig.get_tightbbox().padded(rcParams["savefig.pad_inches"])


def show_dollars(fig: Figure) -> None:
    """Let a figure show a ``$`` as it is: the book's labels hold no formulas, and a hospital's name may."""
    for ax in fig.axes:
        # Labels of ticks get their text when they are asked for.
        ax.get_xticklabels(), ax.get_yticklabels()
    for text in fig.findobj(Text):
        # Of a scale's own labels, powers of ten are formulas.
        if "$" in text.get_text() and "\\mathdefault" not in text.get_text():
            text.set_parse_math(False)


@dataclass
class Chapter:
    """One chapter's part of a run: what it reads, and what it leaves behind.

    Attributes
    ----------
    name : str
        Chapter name, such as ``NN_name``.
    run_folder : pathlib.Path
        The run; this chapter writes into the subfolder of its own name only.
    label : str
        Words that mark every figure and table with the origin of its data.
    values : list of dict
        Recorded results, one row each, for the comparison with print.
    shown : list of dict
        Tables and figures shown so far: kind, name, caption and label.
    takeaways : dict of int to str
        Bullets of *In short* (Markdown), by position.
    notes : dict of str to str
        Why an estimate could not be had, by the estimate.
    paragraphs : dict of str to str
        Paragraphs for the methods text, by subject.
    front : dict of str to object
        What the front page shows of this chapter: label, sentences by place, a figure.
    changes : dict
        What this branch of a run changes, a row each: what it is, in the stored run, here.
    """

    name: str
    run_folder: Path
    label: str
    values: list[dict] = field(default_factory=list)
    shown: list[dict] = field(default_factory=list)
    takeaways: dict[int, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    paragraphs: dict[str, str] = field(default_factory=dict)
    front: dict[str, object] = field(default_factory=dict)
    changes: dict = field(default_factory=dict)

    @property
    def is_synthetic(self) -> bool:
        """Whether the data of this run are simulated."""
        return self.label == words.SYNTHETIC_LABEL

    @property
    def folder(self) -> Path:
        """The chapter's own folder in the run."""
        return self.run_folder / self.name

    def read(self, table: str) -> pd.DataFrame:
        """Read a table that an earlier chapter wrote.

        Parameters
        ----------
        table : str
            ``chapter/name`` without suffix, such as ``NN_name/cohort``.

        Returns
        -------
        pandas.DataFrame
            The table; ``patient_id`` and ``center`` are text.

        Raises
        ------
        FileNotFoundError
            If the chapter that writes it has not run; the message names that chapter.
        """
        path = self.input_path(table, suffixes=(".csv", ".parquet"))
        return FORMATS[path.suffix][0](path)

    def find(self, table: str) -> pd.DataFrame | None:
        """Return a table as `read` does; None if its chapter had nothing to say of this cohort."""
        writer = table.split("/")[0]
        if (self.run_folder / writer / ABSENT).exists():
            with (self.folder / READS).open("a", encoding="utf-8") as file:
                file.write(f"{writer}\n")
            return None
        return self.read(table)

    def input_path(self, name: str, suffixes: tuple[str, ...] = ("",)) -> Path:
        """Return the path of a file or folder that an earlier chapter wrote (see `read` for errors)."""
        writer = name.split("/")[0]
        with (self.folder / READS).open("a", encoding="utf-8") as file:
            file.write(f"{writer}\n")
        for suffix in suffixes:
            path = self.run_folder / f"{name}{suffix}"
            if path.exists():
                return path
        raise FileNotFoundError(
            f"{self.name} needs '{name}', which chapter {writer} writes, and the run in {self.run_folder} "
            f"has none: run {writer} first (python -m npcbook book --chapters {writer} runs it)."
        )

    def write(self, name: str, table: pd.DataFrame, *, suffix: str = ".csv") -> None:
        """Write a table for later chapters: CSV, or parquet (``suffix=".parquet"``) for wide ones."""
        with atomic_path(self.folder / f"{name}{suffix}") as temporary:
            FORMATS[suffix][1](temporary, table)

    def name_hospitals(self, names: Iterable[str]) -> dict[str, str]:
        """Return what each hospital is called from here on (`hospital_codes`); pages show the key."""
        codes = words.hospital_codes(names)
        key = {code: name for name, code in codes.items() if code != name}
        with atomic_path(self.folder / HOSPITALS) as temporary:
            temporary.write_text(json.dumps(key, ensure_ascii=False), "utf-8")
        return codes

    def _with_key(self, caption: str, texts: Iterable[str]) -> str:
        """Return a caption with the names of the hospitals whose codes stand in some texts."""
        path = next(self.run_folder.glob(f"*/{HOSPITALS}"), None)
        key = json.loads(path.read_text("utf-8")) if path else {}
        standing = {word for text in texts for word in re.findall(r"\w+", str(text))} if key else set()
        named = ", ".join(f"{code} {name}" for code, name in key.items() if code in standing)
        return f"{caption} Hospitals: {named}." if named else caption

    def _list(self, kind: str, name: str, caption: str, label: str) -> None:
        """List what is shown, from which `npcbook.book.results` collects; without a caption, no longer."""
        row = {"kind": kind, "name": name, "caption": caption, "label": label}
        self.shown = [r for r in self.shown if (r["kind"], r["name"]) != (kind, name)] + [row] * bool(caption)
        self.write("shown", pd.DataFrame(self.shown, columns=[*row]))

    def table(self, name: str, table: pd.DataFrame, caption: str, *, label: str | None = None) -> None:
        """Save a table for the reader as CSV and show it, captioned and labelled.

        Parameters
        ----------
        name : str
            File name without suffix; also what a page links to.
        table : pandas.DataFrame
            The table as it is to be read; its index is not shown. Of one without a row nothing is shown, and
            an earlier one of that name is forgotten.
        caption : str
            One sentence; the label of the data is added to it.
        label : str, optional
            Origin of this table's data where it is not the chapter's.
        """
        if table.empty:
            if (earlier := self.folder / "tables" / f"{name}.csv").exists():
                self._list("table", name, "", "")
                remove(earlier)
            return
        label = label or self.label
        cells = table.select_dtypes(exclude="number").to_numpy().ravel()
        caption = self._with_key(caption, [*map(str, table.columns), *cells])
        # What a chapter reads again stays as it is; what a reader opens in a spreadsheet holds no formula.
        self.write(f"tables/{name}", table.rename(columns=words.as_cell).map(words.as_cell))
        self._list("table", name, caption, label)
        display(show(table, caption=caption, label=label, name=f"{self.name}/{name}"))
        self._compare_table(name, caption)

    def figure(self, name: str, fig: Figure, alt: str) -> None:
        """Label a figure with the origin of its data, save it as SVG, PDF and PNG, and show it.

        Parameters
        ----------
        name : str
            File name without suffix.
        fig : matplotlib.figure.Figure
            The figure; pyplot lets go of it, so that a notebook does not show it twice.
        alt : str
            What the figure shows, in a sentence, for readers who cannot see it; the label is added.
        """
        written = [text.get_text() for text in fig.findobj(Text) if text.get_visible()]
        alt = self._with_key(alt, written)
        label = textwrap.fill(self.label, 110)
        fig.text(0.995, -0.005, label, ha="right", va="top", fontsize=7, color="#b02a2a", zorder=10)
        name = re.sub(r"[^\w-]+", "_", name)  # a model may have any name
        show_dollars(fig)
        target = self.folder / "figures" / name
        with drawn_characters(self.say):
            frame = lay_out(fig)
            for suffix, metadata in FIGURE_METADATA.items():
                # Ids in the SVG are random unless salted; type 42 keeps the text of a PDF editable.
                style = {"svg.hashsalt": name, "pdf.fonttype": 42}
                with atomic_path(target.with_suffix(suffix)) as temporary, rc_context(style):
                    fig.savefig(temporary, bbox_inches=frame, dpi=FILE_DPI, metadata=metadata)
        plt.close(fig)
        self._list("figure", name, alt, self.label)
        # Pictures show steps of grey that lines and areas do not have.
        colours = 256 if any(ax.images for ax in fig.axes) else 64
        pixels, width = screen_image(target.with_suffix(".png"), colours)
        marks = {"figure": f"{self.name}/{name}"}
        display(Image(pixels, width=width, alt=f"{alt} {self.label}.", metadata=marks))

    def record(
        self,
        published_id: str,
        value: float,
        *,
        low: float | None = None,
        high: float | None = None,
        p_value: float | None = None,
        track: str = "as published",
    ) -> None:
        """Set one of this run's values beside the printed number it corresponds to.

        Parameters
        ----------
        published_id : str
            ``id`` of the row in ``data/published``.
        value : float
            This run's value, in the printed unit.
        low, high : float, optional
            95 % confidence limits.
        p_value : float, optional
            Its p-value.
        track : {"as published", "recommended", "truth"}
            Whether the value comes from the paper's method, the recommended one, or what was planted.

        Raises
        ------
        ValueError
            If the track or the id is unknown.
        """
        if track not in words.SOURCES:
            raise ValueError(f"track is {track!r}; it must be one of {', '.join(words.SOURCES)}.")
        check_id(published_id)
        row = {"id": published_id, "track": track, "value": value}
        row |= {"low": low, "high": high, "p_value": p_value}
        self.values = [r for r in self.values if (r["id"], r["track"]) != (published_id, track)] + [row]
        self.write("values", pd.DataFrame(self.values))
        self._compare_number(row)

    @cached_property
    def _stored(self) -> dict[str, pd.DataFrame]:
        """Recorded values and takeaways of the stored run, where this is a branch of one."""
        run = branches.stored_run(self.run_folder)
        paths = {name: run / self.name / name for name in ("values.csv", TAKEAWAYS)} if run else {}
        return {name: FORMATS[".csv"][0](path) for name, path in paths.items() if path.exists()}

    def _compare_number(self, row: dict) -> None:
        """Set a recorded value beside that of the stored run, if it reads otherwise."""
        if "values.csv" not in self._stored:
            return
        stored = self._stored["values.csv"]
        before = stored[(stored["id"] == row["id"]) & (stored["track"] == row["track"])]
        rows = [compare(pd.DataFrame(values), "") for values in (before, [row])]
        column = next(name for name in rows[1].columns if name.startswith(row["track"]))
        texts = [table[column].iloc[0] if len(table) else words.MISSING for table in rows]
        about = {"what": rows[1]["what"][0], "printed": rows[1]["printed"][0], "track": row["track"]}
        self._compare((row["id"], row["track"]), about, *texts)

    def _compare_table(self, name: str, caption: str) -> None:
        """Say of a table how many of its rows the stored run has not, if any."""
        run, place = branches.stored_run(self.run_folder), f"{self.name}/tables/{name}.csv"
        if run and (run / place).exists():
            texts = [(r / place).read_text("utf-8").splitlines()[1:] for r in (run, self.run_folder)]
            before, here = (f"{len(rows)} rows" for rows in texts)
            if new := sum(row not in texts[0] for row in texts[1]):
                here = f"{here}, {new} of them other"
            self._compare(("table", name), {"what": f"Table: {caption}"}, before, here)

    def _compare(self, key, about: dict, before: str, here: str) -> None:
        """Show what a branch changes, where `open_chapter` made place."""
        self.changes.pop(key, None)
        if before != here:
            self.changes[key] = about | {"stored run": before, "here": here}
            table = pd.DataFrame(self.changes.values())
            table = table.filter(["what", "printed", "track", "stored run", "here"])
            caption = f"Changed against the stored run: {len(table)} so far."
            update_display(show(table, caption=caption, label=self.label), display_id=CHANGED)

    def against_paper(self, caption: str = "Printed numbers beside this run's.") -> None:
        """Show the chapter's printed numbers beside this run's values."""
        self.table("against_paper", compare(pd.DataFrame(self.values), chapter=self.name), caption)

    def recorded_values(self) -> pd.DataFrame:
        """Return the values that the run's chapters have recorded (see `npcbook.paper.read_run_values`)."""
        return read_run_values(self.run_folder)

    def say(self, text: str) -> None:
        """Show a sentence with numbers (Markdown) where it was computed: in JupyterLab and on the page."""
        display(Markdown(words.without_html(text)))

    def takeaway(self, position: int, text: str) -> None:
        """Put a bullet (Markdown) into *In short*, where `in_short` made place, in order of `position`.

        A bullet after the first is left out if a dash stands in it for a number that could not be had.
        """
        if position > 1 and LACKING.search(text):
            if self.takeaways.pop(position, None) is None:
                return
        else:
            self.takeaways[position] = words.without_html(" ".join(text.split()))
        bullets = "\n".join(f"- {self.takeaways[number]}" for number in sorted(self.takeaways))
        update_display(Markdown(bullets), display_id=IN_SHORT)
        said = pd.DataFrame(self.takeaways.items(), columns=["position", "text"])
        self.write(TAKEAWAYS.removesuffix(".csv"), said)
        if TAKEAWAYS in self._stored:
            stored = self._stored[TAKEAWAYS]
            before = stored.loc[stored["position"] == position, "text"]
            texts = [
                LINK.sub("", text)
                for text in (*before, words.MISSING, self.takeaways.get(position, words.MISSING))
            ]
            self._compare(position, {"what": f"In short, {position}"}, texts[0], texts[-1])

    @contextmanager
    def noting(self, estimate: str):
        """Run a block in which an estimator may say that the data cannot bear the estimate.

        Small or real cohorts may not allow every cell of a table: the estimator's `ValueError` is kept in
        `notes` under `estimate` (in the reader's words), and the block ends there. Put one estimator in it.
        """
        self.notes.pop(estimate, None)
        try:
            yield
        except ValueError as error:
            fault = (
                "" if is_refusal(error) else "an error in the program, not in the data, please report it: "
            )
            self.notes[estimate] = f"{fault}{error}"

    def not_estimable(self) -> None:
        """Show which estimates the data did not allow, and why; nothing if there are none."""
        reasons = pd.DataFrame(self.notes.items(), columns=["estimate", "why there is none"])
        self.table("not_estimable", reasons, "Estimates that the data do not allow.")

    def methods(self, text: str) -> None:
        """Hand a paragraph on what was done, with this run's settings, to the methods of the results.

        It begins with its subject and a full stop ("Models. …"), and replaces an earlier one on that.
        """
        self.paragraphs[text.split(".")[0].strip()] = " ".join(text.split())
        with atomic_path(self.folder / "methods.txt") as temporary:
            temporary.write_text("".join(f"{text}\n\n" for text in self.paragraphs.values()), "utf-8")

    def front_page(self, text: str, *, position: int = 9) -> None:
        """Hand a sentence (Markdown) to the book's front page, under the label of this chapter's data.

        Parameters
        ----------
        text : str
            One sentence that can be read by itself; it may link to targets of the chapter. It is left out
            if a dash stands in it for a number that could not be had, and so is an earlier one for its place.
        position : int
            Its place among the sentences of all chapters (equal places: by chapter); a later sentence of
            this chapter for the same place replaces the earlier.
        """
        said = None if LACKING.search(text) else words.without_html(" ".join(text.split()))
        self._hand_over(f"sentence {position}", said)

    def front_figure(self, name: str, text: str) -> None:
        """Hand one of the chapter's figures to the front page, with the sentence to stand below it."""
        (alt,) = (r["caption"] for r in self.shown if (r["kind"], r["name"]) == ("figure", name))
        self._hand_over("figure", {"file": f"{self.name}/{name}", "alt": alt, "text": " ".join(text.split())})

    def _hand_over(self, key: str, content) -> None:
        """Keep what the front page shows in one place; None takes away what stood there before."""
        self.front |= {"label": self.label, key: content}
        self.front = {place: kept for place, kept in self.front.items() if kept is not None}
        with atomic_path(self.folder / FRONT) as temporary:
            temporary.write_text(json.dumps(self.front, indent=1) + "\n", "utf-8")

    def keep(self, name: str, make: Callable, *arguments, **options):
        """Return what `make` makes of its arguments, kept in the folder ``kept`` by `npcbook.store.keep`."""
        return keep(self.folder / KEPT / name, make, *arguments, **options)


def open_chapter(
    name: str, *, run_folder: str | os.PathLike, cohort_folder: str | os.PathLike | None = None
) -> Chapter:
    """Open a chapter's part of a run, making its folder if needed; what it recorded before is forgotten.

    The parameters, as the calling notebook has them, are checked before anything is written. Where the run
    holds a result of this chapter with other parameters, that stays, and a branch of the run is opened.

    Parameters
    ----------
    name : str
        Chapter name, such as ``NN_name``.
    run_folder : str or path
        The run, absolute or from the project's root.
    cohort_folder : str or path, optional
        The cohort that the run analyses; gives the label. Without one, all numbers are the paper's own.

    Returns
    -------
    Chapter
        Ready to read and write.

    Raises
    ------
    FileNotFoundError
        If the cohort is not there.
    WrongParameter
        If a parameter is unknown, a value is not what the chapter declares, or the run is another cohort's.
    """
    use_fonts()
    label = words.PRINT_LABEL if cohort_folder is None else source_label(describe_cohort(cohort_folder))
    folder, variables = project_path(run_folder), sys._getframe(1).f_globals
    given = check_chapter(name, variables, cohort_folder)
    if "cohort_folder" in given:  # else the chapter brings patients of its own
        branches.check_same_cohort(folder, given["cohort_folder"])
    if changes := branches.changed_parameters(folder, name, given):
        folder = branches.open_branch(folder, name, changes)
    chapter = Chapter(name, folder, label)
    if said := branches.describe_branch(folder, name):
        display(Markdown(said))
    if branches.stored_run(folder):
        display(Markdown("*So far no table, recorded number or takeaway differs.*"), display_id=CHANGED)
    claim(chapter.run_folder, "npcbook.book")
    chapter.folder.mkdir(exist_ok=True)
    for earlier in ("values.csv", "shown.csv", "methods.txt", TAKEAWAYS, FRONT, READS, "tables", "figures"):
        remove(chapter.folder / earlier)
    return chapter
