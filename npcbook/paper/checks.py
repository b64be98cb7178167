"""Checks of the paper's printed numbers against one another, one row per check.

Every check returns the same columns: ``topic``, ``check``, ``printed``, ``recomputed``, ``verdict`` and
``how sure``. A verdict is ``reproduces``, ``does not reproduce``, or ``depends on`` followed by what.
"""

from __future__ import annotations

import math

import pandas as pd
from scipy import stats

from npcbook.paper.implied import (
    Interval,
    WaldCheck,
    events_from_hr,
    events_from_rate,
    fewest_events,
    firth_two_arm,
    implied_correlation,
    mixing_share,
    rate_interval_kinds,
    table_tests,
    two_rate_p,
    wald_from_ci,
)
from npcbook.paper.printed import read_published
from npcbook.words import COHORTS

COLUMNS = ["topic", "check", "printed", "recomputed", "verdict", "how sure"]
REPRODUCES, DOES_NOT = "reproduces", "does not reproduce"

# Table 1: characteristic, and the ids of its levels.
LEVELS = {
    "sex": ("sex_male", "sex_female"),
    "who": ("who_i", "who_ii_iii"),
    "t": ("t1", "t2"),
    "n": ("n0", "n1"),
    "ldh": ("ldh_normal", "ldh_abnormal", "ldh_unknown"),
    "ebv": ("ebv_undetectable", "ebv_detectable", "ebv_unknown"),
    "rene": ("rene_none", "rene_g1", "rene_g2"),
    "chemotherapy": ("chemotherapy_none", "chemotherapy_ddp_ndp", "chemotherapy_other"),
}
# Two-level rows of Table 2 with the levels of Table 1 that they compare: exposed, reference.
EXPOSED = {
    "female": (("sex_female",), ("sex_male",)),
    "t2": (("t2",), ("t1",)),
    "n1": (("n1",), ("n0",)),
    "ldh_abnormal": (("ldh_abnormal",), ("ldh_normal",)),
    "ebv_detectable": (("ebv_detectable",), ("ebv_undetectable",)),
    "chemotherapy": (("chemotherapy_ddp_ndp", "chemotherapy_other"), ("chemotherapy_none",)),
}
MODELS = ("clinical", "radiomics_combined", "dl_combined", "rc", "dc")
NESTED = {("dc", "dl_combined"), ("rc", "clinical"), ("rc", "radiomics_combined")}


def _rows() -> pd.DataFrame:
    return read_published().set_index("id", drop=False)


def printed_interval(published_id: str, field: str = "value", *, scale: float = 1.0) -> Interval:
    """Return the values that a printed number stands for, given its rounding.

    Parameters
    ----------
    published_id : str
        Row of ``data/published``.
    field : {"value", "low", "high", "p_value"}
        Which number of the row.
    scale : float, default 1
        Divides the number; 100 turns percent into fractions.

    Returns
    -------
    Interval
        All values that round to what is printed.
    """
    row = _rows().loc[published_id]
    return Interval(row[f"{field}_min"] / scale, row[f"{field}_max"] / scale)


def _count(cohort: str, level: str) -> int:
    return int(_rows().at[f"table1.{cohort}.{level}.n", "value"])


def _verdict(agrees: bool) -> str:
    return REPRODUCES if agrees else DOES_NOT


def _frame(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def _span(interval: Interval, digits: int = 3) -> str:
    """Return an interval as text, one number where both ends read the same."""
    low, high = (f"{v:.{digits}g}".replace("-", "−") for v in (interval.low, interval.high))
    return low if low == high else f"{low} to {high}"


def _p_span(interval: Interval) -> str:
    if interval.high < 0.001:
        return "below 0.001"
    low, high = (f"{v:.3f}" if v < 0.1 else f"{v:.2f}" for v in (interval.low, interval.high))
    return low if low == high else f"{low} to {high}"


def check_counts() -> pd.DataFrame:
    """Check that counts add up to their totals and percentages follow from the counts.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: a row per characteristic and cohort of Table 1, then the other totals.
    """
    df, rows = _rows(), []
    for cohort in COHORTS:
        total = int(df.at[f"table1.{cohort}.n", "value"])
        for name, levels in LEVELS.items():
            subject, counts = (
                df.at[f"table1.p.{name}", "subject"],
                [_count(cohort, level) for level in levels],
            )
            sums = " + ".join(map(str, counts)) + f" = {sum(counts)}"
            rows.append(
                (
                    "Counts",
                    f"{subject}, {cohort}",
                    str(total),
                    sums,
                    _verdict(sum(counts) == total),
                    "certain",
                )
            )
            shares = [100 * count / total for count in counts]
            fits = [
                printed_interval(f"table1.{cohort}.{level}.percent").overlaps(Interval(share, share))
                for level, share in zip(levels, shares, strict=True)
            ]
            printed = ", ".join(df.at[f"table1.{cohort}.{level}.percent", "printed"] for level in levels)
            text = ", ".join(f"{share:.1f}" for share in shares)
            verdict = _verdict(all(fits))
            if not all(fits) and abs(sum(round(share, 1) for share in shares) - 100) > 0.05:
                verdict = "depends on adjusting them to a sum of 100"
            rows.append(("Percentages", f"{subject}, {cohort}", printed, text, verdict, "certain"))
    return pd.concat([_frame(rows), _check_totals()], ignore_index=True)


def _check_totals() -> pd.DataFrame:
    methods, radiomics = "text.methods.", "text.radiomics."
    sums = [
        ("Patients of both cohorts", "table1.total.n", ["table1.training.n", "table1.validation.n"]),
        (
            "Validation, centers 2 and 3",
            "table1.validation.n",
            [methods + "center2.n", methods + "center3.n"],
        ),
        (
            "Features per sequence",
            radiomics + "features_per_sequence",
            [radiomics + part for part in ("first_order", "shape", "texture")],
        ),
    ]
    products = [
        (
            "Features, three sequences",
            radiomics + "features",
            [radiomics + "features_per_sequence", methods + "network.sequences"],
        ),
        (
            "Images after augmentation",
            methods + "augmented.images",
            [methods + f"augmented.{part}" for part in ("patients", "slices", "versions")],
        ),
    ]
    df, rows = _rows(), []
    for checks, sign, combine in ((sums, " + ", sum), (products, " × ", math.prod)):
        for what, total, parts in checks:
            values = [int(df.at[part, "value"]) for part in parts]
            text = sign.join(map(str, values)) + f" = {combine(values)}"
            agrees = combine(values) == df.at[total, "value"]
            rows.append(("Counts", what, df.at[total, "printed"], text, _verdict(agrees), "certain"))
    return _frame(rows)


def check_repeats() -> pd.DataFrame:
    """Check that numbers printed in two places are the same in both.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, a row per repeated number; limits are compared where both places print them.
    """
    df, rows = _rows(), []
    for _, row in df[df["repeats"] != ""].iterrows():
        first = df.loc[row["repeats"]]
        agrees = row["value"] == first["value"] or row["printed"] == first["printed"]
        for limit in ("low", "high"):
            agrees &= pd.isna(row[limit]) or row[limit] == first[limit]
        where = f"{row['subject']}, {row['quantity']} {row['cohort']}: {first['source']} and {row['source']}"
        rows.append(
            ("Printed twice", where, first["printed"], row["printed"], _verdict(bool(agrees)), "certain")
        )
    return _frame(rows)


def check_baseline_tests() -> pd.DataFrame:
    """Check Table 1's p-values against Pearson's, Yates's and Fisher's tests of its counts.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, a row per characteristic. Characteristics with an unknown row are tested with
        and without it, since a complete-case analysis would leave it out.
    """
    df, rows = _rows(), []
    for name, levels in LEVELS.items():
        printed = printed_interval(f"table1.p.{name}")
        variants = {"": levels}
        if levels[-1].endswith("unknown"):
            variants = {"with unknown": levels, "known only": levels[:-1]}
        texts, matches = [], {}
        for variant, kept in variants.items():
            tests = table_tests([[_count(cohort, level) for cohort in COHORTS] for level in kept])
            values = {"Pearson": tests.pearson, "Yates": tests.yates, "Fisher": tests.fisher}
            values = {test: p for test, p in values.items() if not math.isnan(p)}
            matches[variant] = [test for test, p in values.items() if printed.overlaps(Interval(p, p))]
            listed = ", ".join(f"{test} {_p_span(Interval(p, p))}" for test, p in values.items())
            texts.append(f"{variant}: {listed}" if variant else listed)
        verdict = _baseline_verdict(matches)
        row = df.loc[f"table1.p.{name}"]
        rows.append(("Table 1 p", row["subject"], row["printed"], "; ".join(texts), verdict, "certain"))
    return _frame(rows)


def _baseline_verdict(matches: dict[str, list[str]]) -> str:
    if not any(matches.values()):
        return DOES_NOT
    if all(matches.values()):
        return REPRODUCES
    return "depends on counting the unknown as a level"


def check_age() -> pd.DataFrame:
    """Check Table 1's p-value for age against the medians and quartiles, as far as these tell it.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, one row: the z-test of two means, taking age as normal with the printed quartiles.
    """
    df = _rows()
    rows = [df.loc[f"table1.{cohort}.age"] for cohort in COHORTS]
    iqr = 2 * stats.norm.ppf(0.75)
    se = math.sqrt(sum(((row["high"] - row["low"]) / iqr) ** 2 / row["n"] for row in rows))
    p_value = float(2 * stats.norm.sf(abs(rows[0]["value"] - rows[1]["value"]) / se))
    text = f"were age normal: {_p_span(Interval(p_value, p_value))}"
    agrees = printed_interval("table1.p.age").contains(p_value)
    printed = df.at["table1.p.age", "printed"]
    return _frame([("Table 1 p", "Age", printed, text, _verdict(agrees), "moderate")])


def wald_check(published_id: str, *, ratio: bool = True) -> WaldCheck:
    """Return what the printed interval of an estimate implies.

    Parameters
    ----------
    published_id : str
        Row of ``data/published`` with an estimate and its limits.
    ratio : bool, default True
        True for a hazard ratio, False for a C-index or an AUC.

    Returns
    -------
    WaldCheck
        Midpoint, standard error and Wald p-value, as intervals.
    """
    intervals = [printed_interval(published_id, field) for field in ("value", "low", "high")]
    return wald_from_ci(*intervals, ratio=ratio, null=1.0 if ratio else 0.5)


def check_intervals() -> pd.DataFrame:
    """Check that estimates lie in the middle of their intervals, and that hazard ratios' p-values are Wald's.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: every hazard ratio (geometric middle, Wald p), C-index and AUC (middle).
    """
    df, rows = _rows(), []
    ratios = df["quantity"] == "hazard ratio"
    scores = (
        df["quantity"].isin(["C-index", "5-year AUC"]) & (df["low_printed"] != "") & (df["repeats"] == "")
    )
    for published_id, row in df[ratios | scores].iterrows():
        ratio, what = bool(ratios[published_id]), f"{row['subject']}, {row['quantity']}, {row['cohort']}"
        wald, printed = wald_check(published_id, ratio=ratio), printed_interval(published_id)
        agrees = wald.midpoint.overlaps(printed)
        topic = "Estimate in the middle of its CI"
        rows.append((topic, what, row["printed"], _span(wald.midpoint, 4), _verdict(agrees), "certain"))
        if ratio and ".subgroup_hr." not in published_id:  # Firth's p is not Wald's: see check_firth
            agrees = wald.p_value.overlaps(printed_interval(published_id, "p_value"))
            rows.append(("Wald p", what, row["p_printed"], _p_span(wald.p_value), _verdict(agrees), "high"))
    return _frame(rows)


def firth_splits(cohort: str, *, largest: int = 4, tolerance: float = 0.01) -> pd.DataFrame:
    """Return what Firth's correction gives for the T2N0 hazard ratio under every split of a few events.

    Parameters
    ----------
    cohort : {"training", "validation"}
        Which of the two printed subgroup hazard ratios.
    largest : int, default 4
        Most events tried in each arm.
    tolerance : float, default 0.01
        Relative room for the limits beyond rounding, since the shares at risk drift a little in real data.

    Returns
    -------
    pandas.DataFrame
        ``events high``, ``events low``, ``hr_low``, ``hr_high``, ``p_value``, ``wald_p_value``,
        ``reproduces`` (whether profile limits and p agree with print) and ``wald limits reproduce`` (whether
        Wald limits from the same fit would).
    """
    published_id = f"text.{cohort}.subgroup_hr.t2n0"
    hr, low, high, p_value = (printed_interval(published_id, f) for f in ("value", "low", "high", "p_value"))
    printed_se, rows = wald_check(published_id).se, []
    printed_se = Interval(printed_se.low * (1 - tolerance), printed_se.high * (1 + tolerance))
    for events in ((a, b) for a in range(largest + 1) for b in range(largest + 1) if a + b):
        fits = [firth_two_arm(value, *events) for value in (hr.low, hr.high)]
        spans = {
            name: Interval(*sorted(getattr(fit, name) for fit in fits))
            for name in ("hr_low", "hr_high", "p_value", "wald_p_value")
        }
        agrees = spans["p_value"].overlaps(p_value) and all(
            Interval(span.low * (1 - tolerance), span.high * (1 + tolerance)).overlaps(limit)
            for span, limit in ((spans["hr_low"], low), (spans["hr_high"], high))
        )
        wald = printed_se.contains(fits[0].se)
        rows.append((*events, *(span.middle for span in spans.values()), agrees, wald))
    names = ["hr_low", "hr_high", "p_value", "wald_p_value", "reproduces", "wald limits reproduce"]
    return pd.DataFrame(rows, columns=["events high", "events low", *names])


def check_firth() -> pd.DataFrame:
    """Check the T2N0 hazard ratios' limits and p against Firth's correction, and say with which events.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, a row per cohort, and ``events high``, ``events low`` of the first split that fits.
    """
    rows = []
    for cohort in COHORTS:
        splits = firth_splits(cohort)
        fits = splits[splits["reproduces"]]
        row, best = _rows().loc[f"text.{cohort}.subgroup_hr.t2n0"], (fits if len(fits) else splits).iloc[0]
        printed = f"{row['printed']} ({row['low_printed']}–{row['high_printed']}), p {row['p_printed']}"
        wald = wald_check(row["id"]).p_value
        ways = " or ".join(f"{a} + {b}" for a, b in zip(fits["events high"], fits["events low"], strict=True))
        text = (
            f"Wald p {_p_span(wald)}; events high + low {ways or 'none'}: "
            f"{best['hr_low']:.2f}–{best['hr_high']:.2f}, p {best['p_value']:.2f}"
        )
        verdict = "depends on Firth's profile likelihood" if len(fits) else DOES_NOT
        rows.append(
            ("Firth", f"{row['subject']}, {cohort}", printed, text, verdict, "high", *best[:2].astype(int))
        )
    return pd.DataFrame(rows, columns=[*COLUMNS, "events high", "events low"])


def events_by_rate() -> pd.DataFrame:
    """Return how many events by five years Table 1's survival rates and their intervals allow.

    Returns
    -------
    pandas.DataFrame
        ``cohort``, ``endpoint``, ``printed``, ``fewest``, ``most`` (both hold whatever the censoring),
        ``effective_n_low``, ``effective_n_high`` and ``interval`` (the kinds of interval that fit).
    """
    df, rows = _rows(), []
    for cohort in COHORTS:
        for endpoint in ("dmfs_5y", "os_5y"):
            published_id = f"table1.{cohort}.{endpoint}"
            intervals = [
                printed_interval(published_id, field, scale=100) for field in ("value", "low", "high")
            ]
            events = events_from_rate(*intervals, int(df.at[f"table1.{cohort}.n", "value"]))
            row = df.loc[published_id]
            printed = f"{row['printed']} ({row['low_printed']}–{row['high_printed']})"
            kinds = " or ".join(rate_interval_kinds(*intervals)) or "none"
            size = events.effective_n
            rows.append(
                (cohort, row["subject"], printed, events.fewest, events.most, size.low, size.high, kinds)
            )
    names = [
        "cohort",
        "endpoint",
        "printed",
        "fewest",
        "most",
        "effective_n_low",
        "effective_n_high",
        "interval",
    ]
    return pd.DataFrame(rows, columns=names)


def events_by_row() -> pd.DataFrame:
    """Return how many events over all follow-up Table 2's two-level univariable rows rest on.

    Returns
    -------
    pandas.DataFrame
        ``row``, ``exposed`` and ``reference`` (patients), ``se_low``, ``se_high``, ``events_low`` and
        ``events_high`` (see `npcbook.paper.events_from_hr`), ``fewest`` (holds whatever the censoring).
    """
    rows = []
    for name, (exposed, reference) in EXPOSED.items():
        published_id = f"table2.univariable.{name}"
        sizes = [sum(_count("training", level) for level in levels) for levels in (exposed, reference)]
        se = wald_check(published_id).se
        events = events_from_hr(printed_interval(published_id), se, *sizes)
        subject = _rows().at[published_id, "subject"].removesuffix(", univariable")
        rows.append((subject, *sizes, se.low, se.high, events.low, events.high, fewest_events(se)[0]))
    names = ["row", "exposed", "reference", "se_low", "se_high", "events_low", "events_high", "fewest"]
    return pd.DataFrame(rows, columns=names)


def check_event_bounds() -> pd.DataFrame:
    """Check each model's high-against-low hazard ratio against the events that its standard error needs.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS` and ``fewest events``, ``fewest in an arm``, ``most by 5 years``. A hazard ratio
        does not reproduce as one of two groups if it needs more events after year five than there can be
        before.
    """
    df, rows = _rows(), []
    by_rate = events_by_rate().set_index(["cohort", "endpoint"])["most"]
    for cohort in COHORTS:
        most = int(by_rate[cohort, "5-year DMFS"])
        for model in MODELS:
            published_id = f"text.{cohort}.km_hr.{model}"
            row, se = df.loc[published_id], wald_check(published_id).se
            fewest, arm = fewest_events(se)
            printed = f"{row['printed']} ({row['low_printed']}–{row['high_printed']})"
            text = f"at least {fewest} events, {max(0, fewest - most)} of them after 5 years"
            verdict = _verdict(fewest - most <= most)
            rows.append(
                (
                    "Events behind a HR",
                    f"{row['subject']}, {cohort}",
                    printed,
                    text,
                    verdict,
                    "high",
                    fewest,
                    arm,
                    most,
                )
            )
    return pd.DataFrame(rows, columns=[*COLUMNS, "fewest events", "fewest in an arm", "most by 5 years"])


def check_correlations() -> pd.DataFrame:
    """Check pairwise p-values of C-indexes and AUCs against the intervals of the two estimates.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`, and ``r_low``, ``r_high``: the correlations within -1 to 1 that the p-value implies
        (nan where none does). A model and one that contains it must be correlated positively, so that a
        negative correlation is named in the verdict.
    """
    rows = []
    for cohort in COHORTS:
        for measure, name in (("c_index", "C-index"), ("auc", "5-year AUC")):
            stem = f"table4.{cohort}.{measure}."
            pairs = [
                (m, "radiomics_combined", stem + m, "p_value") for m in MODELS if m != "radiomics_combined"
            ]
            pairs += [("dc", "dl_combined", f"{stem}dc_vs_dl_combined", "value")]
            pairs += [("rc", "clinical", f"{stem}rc_vs_clinical", "value")]
            rows += [_correlation_row(stem, pair, f"{name}, {cohort}") for pair in pairs]
    return pd.DataFrame(rows, columns=[*COLUMNS, "r_low", "r_high"])


def _correlation_row(stem: str, pair: tuple[str, str, str, str], where: str) -> tuple:
    first, second, p_id, field = pair
    df = _rows()
    a, b = printed_interval(stem + first), printed_interval(stem + second)
    se_a, se_b = (wald_check(stem + model, ratio=False).se for model in (first, second))
    implied = implied_correlation(
        Interval(a.low - b.high, a.high - b.low), se_a, se_b, printed_interval(p_id, field)
    )
    low, high = max(-1.0, implied.value.low), min(1.0, implied.value.high)
    printed = df.at[p_id, "p_printed" if field == "p_value" else "printed"]
    names = [df.at[stem + model, "subject"] for model in (first, second)]
    check = f"{names[0]} against {names[1]}, {where}"
    if not implied.is_possible:
        text = f"no correlation does: it would have to be {_span(implied.value)}"
        return ("p of a pair", check, printed, text, DOES_NOT, "high", math.nan, math.nan)
    needs_negative = high < 0 and (first, second) in NESTED
    verdict = (
        f"depends on a correlation of {high:.2f} or less".replace("-", "−") if needs_negative else REPRODUCES
    )
    sure = "moderate" if needs_negative else "high"
    return (
        "p of a pair",
        check,
        printed,
        f"correlation {_span(Interval(low, high), 2)}",
        verdict,
        sure,
        low,
        high,
    )


def check_rates() -> pd.DataFrame:
    """Check Table 1's p-values for 5-year survival against the difference of the two printed rates.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. The log-rank test compares whole curves, so disagreement is no error; training DMFS
        above training OS shows that deaths are not counted as events.
    """
    df, rows = _rows(), []
    for endpoint in ("dmfs_5y", "os_5y"):
        rates, ses = [], []
        for cohort in COHORTS:
            rate, low, high = (
                printed_interval(f"table1.{cohort}.{endpoint}", field, scale=100)
                for field in ("value", "low", "high")
            )
            rates.append(rate)
            ses.append(wald_from_ci(rate, low, high, ratio=False, null=0.0).se)
        p_value = two_rate_p(rates[0], ses[0], rates[1], ses[1])
        row = df.loc[f"table1.p.{endpoint}"]
        agrees = p_value.overlaps(printed_interval(row["id"]))
        verdict = REPRODUCES if agrees else "depends on the curves beyond the 5-year rate"
        text = f"z-test of the two rates: {_p_span(p_value)}"
        rows.append(("5-year rates", f"{row['subject']}, p", row["printed"], text, verdict, "moderate"))
    for cohort in COHORTS:
        dmfs, os_ = (printed_interval(f"table1.{cohort}.{e}") for e in ("dmfs_5y", "os_5y"))
        printed = " and ".join(df.at[f"table1.{cohort}.{e}", "printed"] for e in ("dmfs_5y", "os_5y"))
        above = dmfs.low > os_.high
        text = "DMFS above OS" if above else "DMFS not above OS: deaths may or may not be events"
        verdict = "depends on DMFS not counting deaths as events" if above else REPRODUCES
        rows.append(("5-year rates", f"DMFS and OS, {cohort}", printed, text, verdict, "certain"))
    return _frame(rows)


def check_subcohort() -> pd.DataFrame:
    """Check which patients the printed T1-2N1 sub-cohort can be, from Table 1's counts.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`.
    """
    df = _rows()
    n, total = int(df.at["text.ccnd.n", "value"]), int(df.at["table1.total.n", "value"])
    both = {
        level: sum(_count(cohort, level) for cohort in COHORTS)
        for levels in LEVELS.values()
        for level in levels
    }
    platinum, other, none = (both[f"chemotherapy_{k}"] for k in ("ddp_ndp", "other", "none"))
    n1, n0 = both["n1"], both["n0"]
    topic, printed = "Sub-cohort", str(n)
    excluded = n1 - n
    rows = [
        (
            topic,
            "As printed: T1-2N1 patients who received cisplatin/nedaplatin",
            printed,
            f"at most {min(platinum, n1)} of all {total} received it",
            _verdict(n <= min(platinum, n1)),
            "certain",
        ),
        (
            topic,
            "Read as: T1-2N1, cisplatin/nedaplatin or radiotherapy alone",
            printed,
            f"{n1} N1 less {excluded} with other drugs, of {other} in all",
            _verdict(0 <= excluded <= other),
            "high",
        ),
        (
            topic,
            "The same, counted from the T2N0 side",
            str(n0),
            f"{platinum + none - n} with cisplatin/nedaplatin or none, {other - excluded} with other drugs",
            _verdict(platinum + none - n + other - excluded == n0),
            "high",
        ),
    ]
    for cohort in COHORTS:
        t1, t2, cohort_n0 = (_count(cohort, level) for level in ("t1", "t2", "n0"))
        text = f"T1N1 {t1}, T2N0 {cohort_n0}, T2N1 {t2 - cohort_n0}"
        rows.append(
            (
                topic,
                f"Stage II has no T1N0: T2 must hold all N0, {cohort}",
                f"{t2} and {cohort_n0}",
                text,
                _verdict(cohort_n0 <= t2),
                "certain",
            )
        )
    return _frame(rows)


def check_pooled_rates() -> pd.DataFrame:
    """Check pooled 5-year rates against the rates of the groups that they pool.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`. T2N0 patients had chemoradiotherapy or radiotherapy, so their rate lies between the
        two; the high-risk share implied by DMFS and that implied by OS must have a value in common.
    """
    df, rows = _rows(), []
    for endpoint in ("dmfs", "os"):
        stem = f"text.t2n0.{endpoint}_5y."
        pooled, *arms = (printed_interval(stem + k) for k in ("all", "chemoradiotherapy", "radiotherapy"))
        between = Interval(min(a.low for a in arms), max(a.high for a in arms))
        names = " and ".join(df.at[stem + k, "printed"] for k in ("chemoradiotherapy", "radiotherapy"))
        n0 = sum(_count(cohort, "n0") for cohort in COHORTS)
        # No curve can have had more events than this: each lowers it by at least one patient's share.
        most = [math.floor(n0 * (1 - rate / 100)) for rate in (between.low, pooled.low)]
        text = f"arms {names}; at most {most[0]} events in the arms, up to {most[1]} in the pool"
        outside = "depends on the arms being other patients than the pool"
        verdict = REPRODUCES if pooled.overlaps(between) else outside
        what = f"T2N0, 5-year {endpoint.upper()}: pooled rate between the two arms"
        rows.append(("Pooled rates", what, df.at[stem + "all", "printed"], text, verdict, "high"))
    shares = {endpoint: high_risk_share(endpoint) for endpoint in ("dmfs", "os")}
    verdict = _verdict(shares["dmfs"].overlaps(shares["os"]))
    spans = {e: _span(Interval(100 * share.low, 100 * share.high), 2) for e, share in shares.items()}
    text = "; ".join(f"from {e.upper()} {span} %" for e, span in spans.items())
    what = "T1-2N1: high-risk share that mixes the groups to the whole"
    rows.append(("Pooled rates", what, "–", text, verdict, "moderate"))
    return _frame(rows)


def high_risk_share(endpoint: str) -> Interval:
    """Return the high-risk share of T1-2N1 patients that their printed 5-year rates imply.

    Parameters
    ----------
    endpoint : {"dmfs", "os"}
        Endpoint; the rate of all T1-2N1 patients is Table 1's less the T2N0 patients'.

    Returns
    -------
    Interval
        Share, as wide as the rates of the dose groups within each risk group allow.
    """
    whole = [printed_interval(f"table1.{cohort}.{endpoint}_5y") for cohort in COHORTS]
    t2n0 = printed_interval(f"text.t2n0.{endpoint}_5y.all")
    n0 = sum(_count(cohort, "n0") for cohort in COHORTS) / _rows().at["table1.total.n", "value"]
    pooled = Interval(
        (min(w.low for w in whole) - n0 * t2n0.high) / (1 - n0),
        (max(w.high for w in whole) - n0 * t2n0.low) / (1 - n0),
    )
    groups = []
    for risk in ("high", "low"):
        rates = [
            printed_interval(f"text.ccnd.{risk}.{endpoint}_5y.{d}")
            for d in ("radiotherapy", "up_to_160", "over_160")
        ]
        groups.append(Interval(min(r.low for r in rates), max(r.high for r in rates)))
    return mixing_share(pooled, *groups)


def check_missing() -> pd.DataFrame:
    """Check whether missing LDH and EBV DNA values are spread over the cohorts as chance would.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; values missing completely at random would be equally frequent in both cohorts.
    """
    rows = []
    for name, level in (("LDH", "ldh_unknown"), ("EBV DNA", "ebv_unknown")):
        missing = [_count(cohort, level) for cohort in COHORTS]
        totals = [int(_rows().at[f"table1.{cohort}.n", "value"]) for cohort in COHORTS]
        p_value = table_tests([missing, [t - m for t, m in zip(totals, missing, strict=True)]]).fisher
        shares = " and ".join(f"{m} of {t}" for m, t in zip(missing, totals, strict=True))
        text = f"{shares} missing, Fisher p {_p_span(Interval(p_value, p_value))}"
        rows.append(
            (
                "Missing values",
                f"{name} missing completely at random",
                "asserted",
                text,
                _verdict(p_value > 0.05),
                "high",
            )
        )
    return _frame(rows)


def check_slips() -> pd.DataFrame:
    """Check versions against the links printed beside them, and a dose against the other dose levels.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`.
    """
    df, rows = _rows(), []
    for what, shown, link in (
        ("Python version and its link", "python_version", "python_link"),
        ("PyRadiomics version and its link", "pyradiomics_version", "pyradiomics_link"),
    ):
        version, target = (df.at[f"text.methods.{key}", "printed"] for key in (shown, link))
        # The link to Python's release writes its version without dots.
        agrees = target == (version if "." in target else version.replace(".", ""))
        rows.append(("Settings", what, version, f"link: {target}", _verdict(agrees), "high"))
    doses = [printed_interval(f"text.methods.rt.{k}", "low").low for k in ("primary", "nodes", "low_risk")]
    doses += [printed_interval(f"text.methods.rt.{k}", "high").high for k in ("primary", "nodes", "low_risk")]
    dose = df.loc["text.methods.rt.high_risk"]
    text = f"other volumes: {min(doses):.0f} to {max(doses):.0f} Gy"
    within = min(doses) <= dose["value"] <= max(doses)
    verdict = REPRODUCES if within else "depends on a dash lost from the text"
    what = "Dose to the high-risk volume, Gy"
    rows.append(("Settings", what, dose["printed"], text, verdict, "high"))
    return _frame(rows)


def benefit_arms(arm: str, reference: str, *, risk: str = "high", endpoint: str = "dmfs") -> float:
    """Return how many patients per arm two printed 5-year rates would need to differ with p < 0.05.

    Parameters
    ----------
    arm, reference : {"over_160", "up_to_160", "radiotherapy"}
        The two dose groups.
    risk : {"high", "low"}
        Risk group.
    endpoint : {"dmfs", "os"}
        Endpoint.

    Returns
    -------
    float
        Patients in each of two equal arms, none lost to follow-up (losses need more); the rates as printed.
    """
    df = _rows()
    first, second = (df.at[f"text.ccnd.{risk}.{endpoint}_5y.{k}", "value"] / 100 for k in (arm, reference))
    variance = first * (1 - first) + second * (1 - second)
    return stats.norm.ppf(0.975) ** 2 * variance / (first - second) ** 2
