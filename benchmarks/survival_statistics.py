"""Time the survival statistics against plain all-pairs code and, where installed, against R.

Usage: ``python benchmarks/survival_statistics.py [--sizes 1000 10000 100000] [--r-limit 1000] [--update]``
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
import time as clock
import tracemalloc
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from npcbook.statistics.concordance import compare_c, harrell_c, uno_c
from npcbook.statistics.cox import fit_cox
from npcbook.statistics.cutpoint import optimal_cutpoint
from npcbook.statistics.firth import fit_firth_cox
from npcbook.statistics.lasso import fit_lasso_cox
from npcbook.statistics.resampling import stratified_folds
from npcbook.statistics.timeroc import auc_at, censoring_survival, compare_auc

HERE = Path(__file__).parent
HORIZON = 60.0
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

# Each R expression is timed alone; `d` holds the data. A package that is not installed is left out.
R_CALLS = {
    "harrell_c": ("survival", "survival::concordance(survival::Surv(time, event) ~ a, d, reverse = TRUE)"),
    "uno_c": (
        "survival",
        "survival::concordance(survival::Surv(time, event) ~ a, d, reverse = TRUE, timewt = 'n/G2')",
    ),
    "compare_c": ("compareC", "compareC::compareC(d$time, d$event, -d$a, -d$b)"),
    "auc_at": (
        "timeROC",
        "roc_a <- timeROC::timeROC(d$time, d$event, d$a, cause = 1, times = 60, iid = TRUE)",
    ),
    "compare_auc": (
        "timeROC",
        "timeROC::compare(timeROC::timeROC(d$time, d$event, d$a, cause = 1, times = 60, iid = TRUE), "
        "timeROC::timeROC(d$time, d$event, d$b, cause = 1, times = 60, iid = TRUE))",
    ),
    "optimal_cutpoint": (
        "maxstat",
        "maxstat::maxstat.test(survival::Surv(time, event) ~ a, d, smethod = 'LogRank', pmethod = 'Lau92')",
    ),
    "fit_cox": ("survival", "survival::coxph(survival::Surv(time, event) ~ x1 + x2 + x3 + x4 + x5 + x6, d)"),
    "fit_lasso_cox": (
        "glmnet",
        "glmnet::cv.glmnet(as.matrix(d[, grep('^f[0-9]', names(d))]), survival::Surv(d$time, d$event), "
        "family = 'cox', foldid = d$fold, nlambda = 100, lambda.min.ratio = 0.05)",
    ),
    "fit_firth_cox": (
        "coxphf",
        "coxphf::coxphf(survival::Surv(time, event) ~ x1 + x2 + x3 + x4 + x5 + x6, d)",
    ),
}
# Where a package is not there, another that computes nearly the same: survival's C of two scores at once has
# their covariance by the jackknife.
R_OTHERWISE = {
    "compare_c": (
        "survival",
        "vcov(survival::concordance("
        "survival::coxph(survival::Surv(time, event) ~ a, d, init = 1, iter.max = 0), "
        "survival::coxph(survival::Surv(time, event) ~ b, d, init = 1, iter.max = 0)))",
    ),
}
#: Features of the LASSO in groups of five that go together, and most patients that it is timed with.
N_FEATURES, LASSO_LIMIT = 60, 10_000
R_SCRIPT = """
arguments <- commandArgs(trailingOnly = TRUE)
d <- read.csv(arguments[1])
if (!requireNamespace(arguments[2], quietly = TRUE)) quit(status = 3)
library(survival)
expression <- parse(text = arguments[3])
invisible(gc(reset = TRUE))
before <- sum(gc()[, 2])
seconds <- sum(system.time(suppressWarnings(eval(expression)))[c("user.self", "sys.self")])
cat(seconds, sum(gc()[, 6]) - before, as.character(packageVersion(arguments[2])))
"""


def simulate(n: int, seed: int = 575) -> pd.DataFrame:
    """Return a cohort with about 4.6 % events, two scores and six covariates."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    time = rng.exponential(3300 * np.exp(-x[:, 0] - 0.5 * x[:, 1]))
    censoring = rng.uniform(60, 140, n) * rng.beta(8, 1, n)
    df = pd.DataFrame(x, columns=[f"x{k}" for k in range(1, 7)]).assign(
        time=np.minimum(time, censoring).clip(0.01), event=(time <= censoring).astype(int)
    )
    group = np.repeat(rng.normal(size=(n, N_FEATURES // 5)), 5, axis=1)
    features = 0.7 * group + 0.7 * rng.normal(size=group.shape) + 0.3 * x[:, :1]
    df[[f"f{k}" for k in range(N_FEATURES)]] = features
    df["fold"] = 1 + stratified_folds(df["event"].to_numpy(), 10, rng=rng)
    df["a"], df["b"] = x[:, 0] + rng.normal(size=n), x[:, 1] + x[:, 0] + rng.normal(size=n)
    return df.round(6)


def calls(df: pd.DataFrame) -> dict:
    """Return the functions to time, as calls without arguments."""
    time, event, a, b = (df[name].to_numpy() for name in ("time", "event", "a", "b"))
    covariates = df[[f"x{k}" for k in range(1, 7)]]
    lasso = {"fit_lasso_cox": lambda: fit_lasso_cox(df.filter(regex="^f\\d"), time, event, df["fold"])}
    return {
        "harrell_c": lambda: harrell_c(time, event, a),
        "uno_c": lambda: uno_c(time, event, a),
        "compare_c": lambda: compare_c(time, event, a, b),
        "auc_at": lambda: auc_at(time, event, a, HORIZON),
        "compare_auc": lambda: compare_auc(time, event, a, b, HORIZON),
        "optimal_cutpoint": lambda: optimal_cutpoint(time, event, a),
        "fit_cox": lambda: fit_cox(time, event, covariates),
        "fit_firth_cox": lambda: fit_firth_cox(time, event, covariates),
    } | (lasso if len(df) <= LASSO_LIMIT else {})


def plain_calls(df: pd.DataFrame) -> dict:
    """Return the same quantities from tables of all pairs: the obvious way, vectorised."""
    time, event, a, b = (df[name].to_numpy() for name in ("time", "event", "a", "b"))
    return {
        "harrell_c": lambda: plain_harrell_c(time, event == 1, a),
        "compare_c": lambda: plain_compare_c(time, event == 1, a, b),
        "auc_at": lambda: plain_auc(time, event == 1, a),
    }


def plain_signs(time, event, risk) -> np.ndarray:
    """Return 1 for a concordant, −1 for a discordant pair and 0 for others (n, n)."""
    after = event[:, None] & ((time > time[:, None]) | ((time == time[:, None]) & ~event))
    return np.where(after, np.sign(risk[:, None] - risk), 0.0) + np.where(
        after.T, np.sign(risk - risk[:, None]), 0.0
    )


def plain_harrell_c(time, event, risk) -> tuple[float, float]:
    """Return C and its jackknife standard error."""
    signs, ones = plain_signs(time, event, risk), plain_signs(time, event, -time)
    c = (signs.sum() / ones.sum() + 1) / 2
    influence = (signs.sum(axis=1) + (1 - 2 * c) * ones.sum(axis=1)) / ones.sum()
    return c, np.sqrt(influence @ influence)


def plain_compare_c(time, event, a, b) -> float:
    """Return z of the difference of two C indices."""
    n = len(time)
    tables = [
        np.abs(plain_signs(time, event, -time - 1e-9 * event)),
        plain_signs(time, event, a),
        plain_signs(time, event, b),
    ]
    rows = np.array([table.sum(axis=1) for table in tables])
    sums = rows.sum(axis=1)
    products = np.array([[np.vdot(one, other) for other in tables] for one in tables])
    covariance = 4 * rows @ rows.T - 2 * products - 2 * (2 * n - 3) / (n * (n - 1)) * np.outer(sums, sums)
    covariance /= n * (n - 1.0) * (n - 2) * (n - 3)
    ratio = sums[1:] / sums[0]
    slope = np.column_stack([-ratio, np.eye(2)]) * (n * (n - 1) / (2 * sums[0]))
    covariance = slope @ covariance @ slope.T
    return (ratio[0] - ratio[1]) / 2 / np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])


def plain_auc(time, event, risk) -> tuple[float, float]:
    """Return the AUC at the horizon and its standard error, the censoring martingale as a table."""
    n, case, control = len(time), event & (time < HORIZON), time > HORIZON
    weight = np.where(case, 1 / censoring_survival(time, event), 0.0)
    wins = np.where(control, (risk[:, None] > risk) + 0.5 * (risk[:, None] == risk), 0.0)
    u = (weight[:, None] * wins).sum() / n**2
    p, q = weight.mean(), control.mean()
    at_risk = ((time > time[:, None]) | ((time == time[:, None]) & ~event)).sum(axis=1)
    hazard = ~event / np.maximum(at_risk, 1)
    # Row i, column k: martingale of i up to the time of k.
    jump = np.where(~event[:, None] & (time[:, None] < time), (n / np.maximum(at_risk, 1))[:, None], 0.0)
    order = np.argsort(time)
    compensator = np.append(0.0, np.cumsum((hazard * n / np.maximum(at_risk, 1))[order]))
    ends = np.minimum(
        np.searchsorted(time[order], time, side="right")[:, None], np.searchsorted(time[order], time)
    )
    martingale = jump - compensator[ends]
    as_case = weight * wins.sum(axis=1) / n
    u_term = as_case + np.where(control, weight @ wins / n, 0.0) + martingale @ as_case / n
    p_term = weight + martingale @ weight / n
    influence = u_term / (p * q) - u / (p * q) * (p_term / p + control / q)
    return u / (p * q), influence.std(ddof=1) / np.sqrt(n)


def measure(call) -> tuple[float, float]:
    """Return the median CPU time (s) of up to five calls, and the peak of newly allocated memory in MB."""
    seconds = []
    while len(seconds) < 5 and sum(seconds) < 3:
        start = clock.process_time()
        call()
        seconds.append(clock.process_time() - start)
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return float(np.median(seconds)), peak


def measure_in_r(df: pd.DataFrame, name: str, otherwise: bool = False) -> tuple[float, float, str] | None:
    """Return seconds, MB and package version of the R counterpart, or None where it is not installed."""
    if shutil.which("Rscript") is None:
        return None
    package, expression = R_OTHERWISE[name] if otherwise else R_CALLS[name]
    with tempfile.TemporaryDirectory() as folder:
        df.to_csv(f"{folder}/data.csv", index=False)
        Path(folder, "time.R").write_text(R_SCRIPT, "utf-8")
        command = ["Rscript", "--vanilla", f"{folder}/time.R", f"{folder}/data.csv", package, expression]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        return measure_in_r(df, name, True) if name in R_OTHERWISE and not otherwise else None
    if done.returncode:
        raise RuntimeError(f"R failed on {expression}:\n{done.stderr}")
    seconds, peak, release = done.stdout.split()
    return float(seconds), float(peak), f"{package} {release}"


def run(sizes: list[int], pairs_limit: int, r_limit: int, r_skip: list[str]) -> pd.DataFrame:
    """Measure everything at every size, tables of pairs and R only up to their limits."""
    rows = []
    for n in sizes:
        df = simulate(n)
        plain = plain_calls(df) if n <= pairs_limit else {}
        for name, call in calls(df).items():
            row = {"function": name, "n": n, "events": int(df["event"].sum())}
            row["seconds"], row["MB"] = measure(call)
            if name in plain:
                row["all pairs, seconds"], row["all pairs, MB"] = measure(plain[name])
            if n <= (min(sizes) if name in r_skip else r_limit) and (in_r := measure_in_r(df, name)):
                row["R, seconds"], row["R, MB"], row["R package"] = in_r
            rows.append(row)
            print(row, flush=True)
    return pd.DataFrame(rows)


def as_markdown(results: pd.DataFrame) -> str:
    """Return the measurements as a Markdown table with the ratios."""

    def number(value: float) -> str:
        return "–" if not np.isfinite(value) else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

    columns = ["seconds", "MB", "all pairs, seconds", "all pairs, MB", "R, seconds", "R, MB"]
    results = results.reindex(columns=["function", "n", "events", *columns, "R package"])
    shown = results.assign(**{c: results[c].map(number) for c in columns})
    for reference in ("all pairs", "R"):
        shown[f"{reference} / ours"] = (results[f"{reference}, seconds"] / results["seconds"]).map(number)
    shown["R package"] = shown["R package"].fillna("–")
    shown["n"] = shown["n"].map("{:,}".format)
    lines = [shown.columns, ["---"] * shown.shape[1], *shown.astype(str).to_numpy()]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "pandas"))
    machine = f"{os.cpu_count()} processor cores, one used"
    return f"Python {platform.python_version()}, {versions}; {machine}.\n\n{table}"


def main() -> None:
    """Measure, print, and with ``--update`` put the table into README.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--pairs-limit", type=int, default=1000, help="largest n for tables of all pairs")
    parser.add_argument("--r-limit", type=int, default=1000, help="largest n for R")
    parser.add_argument(
        "--r-skip", nargs="*", default=[], help="functions to time in R at the smallest n only"
    )
    parser.add_argument("--update", action="store_true", help="replace the table in benchmarks/README.md")
    options = parser.parse_args()
    table = as_markdown(run(options.sizes, options.pairs_limit, options.r_limit, options.r_skip))
    print(table)
    if options.update:
        readme = HERE / "README.md"
        start, rest = readme.read_text("utf-8").split(BEGIN)
        readme.write_text(f"{start}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", "utf-8")


if __name__ == "__main__":
    main()
