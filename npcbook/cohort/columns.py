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
    """

    name: str
    description: str
    unit: str = ""
    levels: tuple[tuple[str, str], ...] = ()
    low: float = np.nan
    high: float = np.inf
    required: bool = True

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
    levels, required = tuple(entry.get("levels", {}).items()), not entry.get("optional", False)
    unit, high = entry.get("unit", ""), entry.get("to", np.inf)
    return Column(name, entry["description"], unit, levels, low, high, required)


_ENTRIES = yaml.safe_load(Path(__file__).with_name("columns.yml").read_text())
COLUMNS = tuple(_read_column(name, entry) for name, entry in _ENTRIES.items())


def data_dictionary() -> dict:
    """Return the meaning of every column in the form of BIDS's ``participants.json``."""
    dictionary = {"participant_id": {"Description": "Patient, as BIDS writes it: sub-<patient_id>"}}
    for column in COLUMNS:
        said = {"Description": column.description, "Units": column.unit, "Levels": dict(column.levels)}
        dictionary[column.name] = {what: value for what, value in said.items() if value}
    return dictionary


def covariate_names(text: str) -> list[str]:
    """Return the covariates that a parameter names, such as ``"t2, n1"``.

    Raises
    ------
    ValueError
        If a name is not one of `COVARIATES`.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in COVARIATES]:
        raise ValueError(f"{', '.join(unknown)}: no such covariate; there are {', '.join(COVARIATES)}.")
    return names


def code_covariates(patients: pd.DataFrame) -> pd.DataFrame:
    """Code the candidate covariates of the paper's Table 2 against its reference levels.

    Parameters
    ----------
    patients : pandas.DataFrame
        Columns as in `COLUMNS`; its index is kept.

    Returns
    -------
    pandas.DataFrame of float
        Columns of `COVARIATES`: ``age`` in years, the others 0 or 1. NaN where LDH or EBV DNA is unknown.
    """
    known_ldh, known_ebv = patients["ldh"] != "missing", patients["ebv_dna"] != "missing"
    coded = {
        "age": patients["age"],
        "female": patients["sex"] == "female",
        "t2": patients["t_stage"] == "T2",
        "n1": patients["n_stage"] == "N1",
        "ldh_abnormal": (patients["ldh"] == "abnormal").where(known_ldh),
        "ebv_detectable": (patients["ebv_dna"] == "detectable").where(known_ebv),
        "rene_g1": patients["rene"] == 1,
        "rene_g2": patients["rene"] == 2,
        "chemotherapy": patients["chemotherapy"] != "none",
    }
    return pd.DataFrame(coded).astype(float)
