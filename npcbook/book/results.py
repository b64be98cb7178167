"""What a reader takes away from a run: every table and figure, and how they were made, in one folder."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import papermill
from openpyxl import Workbook
from openpyxl.styles import Font

from npcbook.book.chapter import FIGURE_METADATA, source_label
from npcbook.book.run import CHAPTERS
from npcbook.cohort.columns import covariate_names
from npcbook.store import code_fingerprint, files_fingerprint, project_path
from npcbook.words import COVARIATES, SYNTHETIC_LABEL

#: Columns that name something: read as text, because a number has no leading zeros.
IDENTIFIERS = ("patient", "patient_id", "Patient", "center", "Center", "centre", "Centre")
SUFFIXES = {"table": (".csv",), "figure": tuple(FIGURE_METADATA)}
SOURCE_COLUMN = "source of data"
BOLD = Font(bold=True)
README = """{label}

Results of the run {run} on: {cohort}.

methods.txt    how they were computed, with this run's settings, to start a methods section from
tables.xlsx    all tables in one workbook; the first sheet lists them
tables/        the same tables as CSV (UTF-8), a folder a chapter
figures/       figures as SVG, PDF and PNG (300 dpi), a folder a chapter
manifest.json  every file with caption, origin and SHA-256; versions, parameters, fingerprint of the cohort

The last column of each CSV, "{column}", says where its numbers come from; a figure says so below its
lower right corner. Keep both when you pass a file on.
"""


START_OF_TRAINING = {
    True: "the network of the sequence before (the first from random weights)",
    False: "random weights",
}
METHODS = """
Patients. The training cohort had {training_patients} patients with {training_events} distant metastases,
the validation cohort {validation_patients} with {validation_events}. Distant metastasis-free survival
counts metastasis; deaths without one are censored. All models, cut-offs and scalings were fitted on the
training cohort.

Segmentation. T1-weighted (T1W), T2-weighted (T2W) and contrast-enhanced T1-weighted (CET1W) volumes were
{preprocessing}, and resampled to {02_network_grid} voxels (slices, rows, columns). One three-dimensional
U-Net a sequence (width "{02_network_width}") was trained on the reader's contours of tumour and nodes for
{02_epochs} epochs with batches of {02_batch_size}, the loss "{02_loss}" and a learning rate of at most
{02_learning_rate:g}, starting from {start}.

Deep-learning score. As published, a fully connected head with softmax and cross-entropy ({03_head_epochs}
steps, learning rate {03_head_learning_rate:g}) read metastasis, yes or no, from the globally pooled
bottleneck, and training patients were scored by the head that had seen them. As recommended, a Cox head
with a cross-validated ridge penalty was fitted, and training patients were scored out of fold ({03_n_folds}
folds).

Radiomics. Features of the contours "{04_contours}" of {04_region} were extracted with pyradiomics after
resampling, with a bin width of {04_bin_width:g} (hundredths of a standard deviation), from the original,
Laplacian-of-Gaussian and wavelet images. Features were standardised; of two strongly correlated ones the
one with the lower univariable Cox p-value was kept; a LASSO-Cox model with the penalty of the least
cross-validated error made the score.

Models. Cox models (Efron's treatment of ties) used the clinical covariates (reference in brackets)
{covariates}, alone and together with the radiomics or the deep-learning score. Discrimination was
measured by Harrell's C-index, compared between models by its covariance, and by the time-dependent area
under the ROC curve at {05_horizon_months} months with inverse probability of censoring weights. Risk
groups were formed at the cut-off with the largest standardised log-rank statistic in the training cohort,
with at least {06_min_fraction:g} of the patients on either side; its p-value was corrected for the search
by {06_permutations} permutations.

Subgroups and dose. Hazard ratios in subgroups of the risk groups by "{07_model}" are from Cox models with
Firth's penalty and profile likelihood limits. The cumulative cisplatin or nedaplatin dose was grouped as
none, up to, and above {08_threshold_mg_m2} mg/m² in patients with node-positive disease, compared as
treated and, as recommended, after weighting, from a landmark at {08_landmark_months} months, and with a
term for the interaction of risk and dose; limits of weighted rates are from {08_n_bootstraps} bootstrap
samples.

Software. npcbook with {versions}.
"""


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
        stem = run_folder / self.chapter / f"{self.kind}s" / self.name
        return [stem.parent / f"{stem.name}{suffix}" for suffix in SUFFIXES[self.kind]]

    def copies(self) -> list[str]:
        """Return the places of the same files within the results."""
        return [f"{self.kind}s/{self.chapter}/{self.name}{suffix}" for suffix in SUFFIXES[self.kind]]


def list_shown(run_folder: Path) -> list[Shown]:
    """Return what the chapters of a run show, in the order of chapters and pages."""
    found = []
    for chapter in sorted(plan.name for plan in CHAPTERS):
        # A chapter that shows nothing leaves no list.
        if (path := run_folder / chapter / "shown.csv").exists():
            rows = pd.read_csv(path, dtype=str, keep_default_na=False)
            found += [Shown(chapter=chapter, **row) for row in rows.to_dict("records")]
    return found


def write_results(run_folder: Path, *, cohort_folder: Path) -> Path:
    """Collect a run's tables, figures and methods in its folder ``results``, unless that is up to date.

    Parameters
    ----------
    run_folder : pathlib.Path
        A run in which every chapter has been executed.
    cohort_folder : pathlib.Path
        The cohort that it analysed.

    Returns
    -------
    pathlib.Path
        The folder. It is replaced as a whole, so that nothing of an earlier run stays in it.
    """
    target, shown = run_folder / "results", list_shown(run_folder)
    sources = [path for item in shown for path in item.sources(run_folder)]
    sources += run_folder.glob("*/shown.csv")
    record = json.loads((run_folder / "manifest.json").read_text())
    key = files_fingerprint(sources, relative_to=run_folder) + code_fingerprint(__name__)
    key += hashlib.blake2b(json.dumps(record, sort_keys=True).encode(), digest_size=16).hexdigest()
    written = target / "manifest.json"
    if written.exists() and json.loads(written.read_text())["key"] == key:
        return target
    label = source_label(cohort_folder)
    cohort = json.loads((project_path(cohort_folder) / "dataset_description.json").read_text())["Name"]
    with tempfile.TemporaryDirectory(dir=run_folder, prefix=".results-") as temporary:
        folder = Path(temporary) / "results"
        copy_files(shown, run_folder, folder)
        write_workbook(folder / "tables.xlsx", [item for item in shown if item.kind == "table"], run_folder)
        (folder / "methods.txt").write_text(methods_text(run_folder, synthetic=label == SYNTHETIC_LABEL))
        texts = {"label": label, "run": run_folder.name, "cohort": cohort, "column": SOURCE_COLUMN}
        (folder / "README.txt").write_text(README.format(**texts))
        record |= {"key": key, "files": [describe(item, folder) for item in shown]}
        (folder / "manifest.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    return target


def copy_files(shown: Iterable[Shown], run_folder: Path, folder: Path) -> None:
    """Copy figures as they are, and tables with a last column that says where their numbers come from."""
    for item in shown:
        for source, copy in zip(item.sources(run_folder), item.copies(), strict=True):
            (folder / copy).parent.mkdir(parents=True, exist_ok=True)
            if item.kind == "figure":
                shutil.copyfile(source, folder / copy)
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
        table = _read_table(*item.sources(run_folder))
        for line in ([item.caption], [item.label], [], list(table.columns)):
            sheet.append(line)
        for row in table.astype(object).where(table.notna(), None).itertuples(index=False):
            sheet.append(list(row))
        for cell in (sheet["A2"], *sheet[4]):
            cell.font = BOLD
        sheet.freeze_panes = "A5"
    for cell in contents[1]:
        cell.font = BOLD
    for column, width in zip("ABCD", (34, 22, 90, 44), strict=True):
        contents.column_dimensions[column].width = width
    workbook.save(path)
    remove_dates(path)


def _read_table(path: Path) -> pd.DataFrame:
    text = dict.fromkeys(IDENTIFIERS, str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])


def remove_dates(path: Path) -> None:
    """Write a workbook anew without the time of its writing, so that the same tables give the same bytes."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            content = re.sub(rb"(<dcterms:\w+ [^>]*>)[^<]*", rb"\g<1>1980-01-01T00:00:00Z", content)
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def used_parameters(run_folder: Path) -> dict[str, dict]:
    """Return the parameters with which each chapter of a run was executed, defaults included."""
    given = json.loads((run_folder / "manifest.json").read_text())["chapters"]
    used = {}
    for plan in CHAPTERS:
        declared = papermill.inspect_notebook(str(run_folder / "notebooks" / f"{plan.name}.ipynb"))
        defaults = {name: ast.literal_eval(entry["default"]) for name, entry in declared.items()}
        used[plan.name] = defaults | given[plan.name]["parameters"]
    return used


def methods_text(run_folder: Path, *, synthetic: bool) -> str:
    """Return how a run computed its results, in sentences with its own settings.

    Parameters
    ----------
    run_folder : pathlib.Path
        A run in which every chapter has been executed.
    synthetic : bool
        Whether the cohort is simulated; the text then begins by saying so.

    Returns
    -------
    str
        Paragraphs of plain text, to start a methods section from.
    """
    used = used_parameters(run_folder)
    values = {f"{chapter[:2]}_{name}": v for chapter, names in used.items() for name, v in names.items()}
    patients = pd.read_csv(run_folder / "01_cohorts" / "cohort.csv", dtype={"center": str})
    for cohort, rows in patients.groupby("cohort"):
        values |= {f"{cohort}_patients": len(rows), f"{cohort}_events": int(rows["dm_event"].sum())}
    first = values["02_preprocessing_order"].startswith("n4")
    steps = ["bias field corrected by N4", "normalised to mean 0 and standard deviation 1 of the head"]
    values["preprocessing"] = " and then ".join(steps if first else steps[::-1])
    chosen = covariate_names(values["05_clinical_covariates"])
    values["covariates"] = ", ".join(COVARIATES[name] for name in chosen) or "no covariate"
    values["start"] = START_OF_TRAINING[bool(values["02_warm_start"])]
    versions = json.loads((run_folder / "manifest.json").read_text())["versions"]
    values["versions"] = ", ".join(
        f"{name} {versions[name]}" for name in sorted(versions) if name != "platform"
    )
    opening = f"{SYNTHETIC_LABEL}. The patients below are simulated.\n\n" if synthetic else ""
    paragraphs = [" ".join(paragraph.split()) for paragraph in METHODS.split("\n\n")]
    return opening + "\n\n".join(paragraphs).format_map(values) + "\n"
