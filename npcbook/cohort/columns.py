"""The columns of a cohort's table: what they mean, what they may hold, how models code them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from npcbook.words import COVARIATES


@dataclass(frozen=True)
class Column:
    """What a column of the participants table means and may hold.

    Attributes
    ----------
    name : str
        Column name.
    description : str
        Meaning.
    unit : str
        Unit, or empty.
    levels : tuple of (str, str)
        Allowed codes and what they mean; empty for numbers and free text.
    low, high : float
        Allowed range of a number, both ends included; ``low`` is NaN for text.
    required : bool
        Whether the column must be there and filled in every row.
    beyond : tuple of (str, str)
        Codes of patients beyond the paper's stage II, and what they mean.
    extra : bool
        Whether a cohort without the column goes without it; others are handed on empty.
    """

    name: str
    description: str
    unit: str = ""
    levels: tuple[tuple[str, str], ...] = ()
    low: float = np.nan
    high: float = np.inf
    required: bool = False
    beyond: tuple[tuple[str, str], ...] = ()
    extra: bool = False

    @property
    def is_number(self) -> bool:
        """Whether the column holds numbers."""
        return not np.isnan(self.low)

    @property
    def kind(self) -> type:
        """Type of what it holds: float for numbers, int where all codes are digits, else str."""
        if self.is_number:
            return float
        return int if self.levels and all(code.isdigit() for code, _ in self.levels) else str


TINY = np.finfo(float).tiny  # the smallest number that is not zero: times must be longer than nothing


def _read_column(name: str, entry: dict) -> Column:
    low = TINY if "above" in entry else entry.get("from", np.nan)
    levels, beyond = (tuple(entry.get(which, {}).items()) for which in ("levels", "beyond"))
    required, extra = (bool(entry.get(which)) for which in ("required", "extra"))
    unit, high = entry.get("unit", ""), entry.get("to", np.inf)
    return Column(name, entry["description"], unit, levels, low, high, required, beyond, extra)


#: Column and level behind each covariate of two levels.
CODES = {
    "female": ("sex", "female"),
    **{name: ("t_stage", name.upper()) for name in ("t2", "t3", "t4")},
    **{name: ("n_stage", name.upper()) for name in ("n1", "n2", "n3")},
    "ldh_abnormal": ("ldh", "abnormal"),
    "ebv_detectable": ("ebv_dna", "detectable"),
    "rene_g1": ("rene", 1),
    "rene_g2": ("rene", 2),
}

_ENTRIES = yaml.safe_load(Path(__file__).with_name("columns.yml").read_text("utf-8"))
COLUMNS = tuple(_read_column(name, entry) for name, entry in _ENTRIES.items())


def data_dictionary() -> dict:
    """Return the meaning of every column in the form of BIDS's ``participants.json``."""
    dictionary = {"participant_id": {"Description": "Patient, as BIDS writes it: sub-<patient_id>"}}
    for column in COLUMNS:
        levels = dict(column.levels + column.beyond)
        said = {"Description": column.description, "Units": column.unit, "Levels": levels}
        dictionary[column.name] = {what: value for what, value in said.items() if value}
    return dictionary


#: A category stands for the higher ones too, where a cohort has such patients.
HIGHER = {"t2": ("t3", "t4"), "n1": ("n2", "n3")}


def covariate_names(text: str, coded: pd.DataFrame | None = None) -> list[str]:
    """Return the covariates that a parameter names, such as ``"t2, n1"``.

    Parameters
    ----------
    text : str
        Names of `COVARIATES`, with commas between them.
    coded : pandas.DataFrame, optional
        Covariates of the patients at hand (`code_covariates`): only those that it holds are returned, ``t2``
        with T3 and T4, ``n1`` with N2 and N3; if it holds none of those named, all that it holds.

    Raises
    ------
    ValueError
        If a name is not one of `COVARIATES`.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in COVARIATES]:
        raise ValueError(f"{', '.join(unknown)}: no such covariate; there are {', '.join(COVARIATES)}.")
    if coded is None:
        return names
    wanted = dict.fromkeys(part for name in names for part in (name, *HIGHER.get(name, ())))
    return [name for name in wanted if name in coded] or (list(coded) if names else [])


def judged_cohort(patients: pd.DataFrame) -> str:
    """Return the cohort in which models are judged: validation, or training where no metastasis is in it.

    Training patients are then judged by scores of models that had not seen them.
    """
    new = patients["cohort"] == "validation"
    return "validation" if (patients.loc[new, "dm_event"] == 1).any() else "training"


def code_covariates(patients: pd.DataFrame) -> pd.DataFrame:
    """Code the candidate covariates of the paper's Table 2 against its reference levels.

    Parameters
    ----------
    patients : pandas.DataFrame
        Columns as in `COLUMNS`; its index is kept.

    Returns
    -------
    pandas.DataFrame of float
        Columns of `COVARIATES`: ``age`` in years, the others 0 or 1; NaN where unknown. What is unknown in
        all training patients is left out, and so are T3, T4, N2 and N3 where nobody has them.
    """
    given = patients.reindex(columns=[column.name for column in COLUMNS])
    coded = {"age": given["age"]} | {
        name: (given[column] == level).where(given[column].notna() & (given[column] != "missing"))
        for name, (column, level) in CODES.items()
    }
    coded["chemotherapy"] = (given["chemotherapy"] != "none").where(given["chemotherapy"].notna())
    table = pd.DataFrame(coded)[list(COVARIATES)].astype(float)
    training = table[given["cohort"] == "training"] if (given["cohort"] == "training").any() else table
    known = training.notna().any()
    beyond = [name for names in HIGHER.values() for name in names]
    return table.loc[:, known & ((table == 1).any() | ~table.columns.isin(beyond))]
