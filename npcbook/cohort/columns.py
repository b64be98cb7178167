"""The columns of a cohort's table: what they mean, what they may hold, how models code them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

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
    levels : dict of str to str
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


def _levels(**meanings: str) -> tuple[tuple[str, str], ...]:
    return tuple(meanings.items())


TINY = np.finfo(float).tiny  # the smallest number that is not zero: times must be longer than nothing
EVENT = (("0", "no"), ("1", "yes"))
COLUMNS = (
    Column("patient_id", "Patient, as in the folder name sub-<patient_id>; letters and digits only"),
    Column("center", "Hospital"),
    Column(
        "cohort",
        "Part of the analysis",
        levels=_levels(training="models are fitted here", validation="models are only tested here"),
    ),
    Column("age", "Age at diagnosis", "years", low=1, high=110),
    Column("sex", "Sex assigned at birth", levels=_levels(male="male", female="female")),
    Column(
        "who_type",
        "Histopathology by the World Health Organization",
        levels=(
            ("I", "keratinising"),
            ("II", "non-keratinising, differentiated"),
            ("III", "non-keratinising, undifferentiated"),
            ("II-III", "II or III, not told apart"),
        ),
    ),
    Column(
        "t_stage",
        "T category, AJCC/UICC 8th edition",
        levels=_levels(T1="nasopharynx, oropharynx, nasal cavity", T2="parapharyngeal extension"),
    ),
    Column(
        "n_stage",
        "N category, AJCC/UICC 8th edition",
        levels=_levels(N0="no regional node", N1="unilateral cervical or retropharyngeal nodes"),
    ),
    Column(
        "ldh",
        "Serum lactate dehydrogenase before treatment, by the hospital's limit",
        levels=_levels(normal="normal", abnormal="above the limit", missing="not measured"),
    ),
    Column(
        "ebv_dna",
        "Plasma Epstein-Barr virus DNA before treatment, by the hospital's limit",
        levels=_levels(undetectable="below the limit", detectable="above the limit", missing="not measured"),
    ),
    Column(
        "rene",
        "Radiologic extranodal extension",
        levels=(("0", "none"), ("1", "G1: coalescent nodes"), ("2", "G2: adjacent structures infiltrated")),
    ),
    Column(
        "chemotherapy",
        "Chemotherapy beside radiotherapy",
        levels=_levels(
            none="radiotherapy alone",
            cisplatin_nedaplatin="with cisplatin or nedaplatin",
            other="with other drugs only",
        ),
    ),
    Column(
        "ccnd_mg_m2",
        "Cumulative cisplatin/nedaplatin dose received; 0 without these drugs",
        "mg/m^2",
        low=0,
        high=2000,
    ),
    Column("dmfs_months", "Time to distant metastasis, death or end of follow-up", "months", low=TINY),
    Column("dm_event", "Distant metastasis at dmfs_months; a death without it is 0", levels=EVENT),
    Column("os_months", "Time to death or end of follow-up", "months", low=TINY),
    Column("os_event", "Death from any cause at os_months", levels=EVENT),
    Column("scanner", "Scanner model", required=False),
    Column("field_t", "Field strength", "T", low=0.01, high=20, required=False),
    Column("rt_end_months", "End of radiotherapy, from time zero", "months", low=0, required=False),
    Column("ldh_u_l", "Serum lactate dehydrogenase", "U/L", low=0, required=False),
    Column("ebv_copies_ml", "Plasma Epstein-Barr virus DNA", "copies/mL", low=0, required=False),
    Column("exclusion", "Why the patient was read but not analysed; empty when analysed", required=False),
)
INTEGERS = ("rene", "dm_event", "os_event")


def data_dictionary() -> dict:
    """Return the meaning of every column in the form of BIDS's ``participants.json``."""
    dictionary = {"participant_id": {"Description": "Patient, as BIDS writes it: sub-<patient_id>"}}
    for column in COLUMNS:
        entry = {"Description": column.description}
        if column.unit:
            entry["Units"] = column.unit
        if column.levels:
            entry["Levels"] = dict(column.levels)
        dictionary[column.name] = entry
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
    coded = pd.DataFrame(
        {
            "age": patients["age"],
            "female": patients["sex"] == "female",
            "t2": patients["t_stage"] == "T2",
            "n1": patients["n_stage"] == "N1",
            "ldh_abnormal": patients["ldh"] == "abnormal",
            "ebv_detectable": patients["ebv_dna"] == "detectable",
            "rene_g1": patients["rene"] == 1,
            "rene_g2": patients["rene"] == 2,
            "chemotherapy": patients["chemotherapy"] != "none",
        }
    ).astype(float)
    coded["ldh_abnormal"] = coded["ldh_abnormal"].mask(patients["ldh"] == "missing")
    coded["ebv_detectable"] = coded["ebv_detectable"].mask(patients["ebv_dna"] == "missing")
    return coded
