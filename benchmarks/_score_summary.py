"""Ratios of scores and times over tables, for ``benchmarks score``."""

from collections import defaultdict

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from benchmarks._methods import ENSEMBLES
from benchmarks._report import bootstrap

REFERENCES = ("CatBoost", "scikit-learn MLP")
METRICS = ("error", "logloss", "nrmse", "loss")
FORMULA = (
    "exp(mean over tables of log((a + 0.01) / (b + 0.01))), with a and b the means over the seeds "
    "of the metric of the method and of the reference; metrics: error, log loss, RMSE / standard "
    "deviation of the target; 'loss' is the log loss of classifiers and the RMSE of regressors"
)
CLASSES = ("2 classes", "3 to 9 classes", "10 classes or more")


def groups_of(facts: dict) -> list[str]:
    """Return the names of the groups that a table belongs to."""
    n, columns, classes = facts["training rows"], facts["columns"], facts["classes"]
    fraction = facts["categorical"] / columns
    names = [
        _choose(n, (1000, 8000), ("< 1,000 rows", "1,000 to 7,999 rows", "8,000 rows")),
        _choose(columns, (10, 51), ("< 10 columns", "10 to 50 columns", "> 50 columns")),
    ]
    if fraction == 0:
        names.append("no categorical column")
    else:
        names.append("< 50 % categorical" if fraction < 0.5 else "50 % categorical or more")
    return [*names, _choose(classes, (3, 10), CLASSES)] if classes else names


# The order in which the groups are shown.
GROUPS = (
    *("< 1,000 rows", "1,000 to 7,999 rows", "8,000 rows"),
    *("< 10 columns", "10 to 50 columns", "> 50 columns"),
    *("no categorical column", "< 50 % categorical", "50 % categorical or more"),
    *CLASSES,
)


def _choose(value, bounds, names):
    return names[int(np.searchsorted(bounds, value, side="right"))]


def results(rows: list[dict], facts: dict) -> dict:
    """Return the content of the record without the rows.

    Parameters
    ----------
    rows : list of dict
        One fit each; failed fits have an "exception".
    facts : dict
        For each table, its numbers of training rows, columns, categorical columns and classes.
    """
    fits: dict = defaultdict(dict)
    for row in rows:
        if "exception" not in row:
            fits[row["method"], row["table"]][row["seed"]] = row
    groups = {}
    for group in GROUPS:
        if tables := [name for name in facts if group in groups_of(facts[name])]:
            groups[group] = summary(fits, tables)
    return {
        "formula": FORMULA,
        **summary(fits, list(facts)),
        "groups": groups,
        "out_of_fold": out_of_fold(rows),
    }


def summary(fits: dict, tables: list[str]) -> dict:
    """Return the ratios of metrics to all references and of times to the first, over some tables.

    `fits` has the row of each seed, by method and table.
    """
    methods = list(dict.fromkeys(method for method, _ in fits))
    references = [name for name in REFERENCES if name in methods]
    ratios: dict = {}
    times: dict = {}
    for reference in references:
        for method in methods:
            found = ratios.setdefault(reference, {}).setdefault(method, {})
            for metric in METRICS:
                logs = [
                    np.log((one + 0.01) / (other + 0.01))
                    for one, other in pairs(fits, tables, method, reference, metric)
                ]
                if logs:
                    ratio = bootstrap(logs, np.random.default_rng(0))
                    found[metric] = {"ratio": ratio, "tables": len(logs)}
    for method in methods if references else ():
        for metric in ("fit_seconds", "predict_seconds"):
            each = [
                one / max(other, 1e-9)
                for one, other in pairs(fits, tables, method, references[0], metric)
            ]
            if each:
                times.setdefault(method, {})[metric] = {
                    "mean": float(f"{np.exp(np.mean(np.log(each))):.4g}"),
                    "maximum": float(f"{np.max(each):.4g}"),
                    "tables": len(each),
                }
    return {"n_tables": len(tables), "ratios": ratios, "times": times}


def pairs(fits, tables, method, reference, metric):
    """Yield the metric of both methods on each table, averaged over the seeds that both have."""
    for table in tables:
        ours, theirs = fits.get((method, table), {}), fits.get((reference, table), {})
        values = [
            (value_of(ours[seed], metric), value_of(theirs[seed], metric))
            for seed in sorted(set(ours) & set(theirs))
        ]
        if values and values[0][0] is not None:
            yield tuple(np.mean(values, axis=0))


def value_of(row, metric):
    if metric == "loss":
        return row["logloss"] if "logloss" in row else row["nrmse"]
    return row.get(metric)


def out_of_fold(rows) -> dict:
    """Compare the out-of-fold scores of ensembles with their test scores, fit by fit.

    Both are log losses or RMSE. The figures are medians over all fits of (out-of-fold score) /
    (test score) - 1, of its absolute value, and of the absolute value that is expected for an
    unbiased score, because the samples are finitely many: the median of the absolute values of
    normal variables with the standard errors of the fits.
    """
    found: dict = {}
    for method in ENSEMBLES:
        for name in ("nested_oof_score", "oof_score"):
            fits = [
                row
                for row in rows
                if row["method"] == method and name in row and value_of(row, "loss") > 0
            ]
            if fits:
                relative = [row[name] / value_of(row, "loss") - 1 for row in fits]
                errors = np.array([row["sampling_error"] for row in fits])
                found.setdefault(method, {})[name] = {
                    "median_absolute": round(float(np.median(np.abs(relative))), 4),
                    "expected_absolute": round(_median_size(errors), 4),
                    "median": round(float(np.median(relative)), 4),
                    "fits": len(fits),
                }
    return found


def _median_size(deviations):
    """Return the median of the absolute values of normal variables with these deviations."""

    def excess(size):
        return np.mean(2 * ndtr(size / deviations) - 1) - 0.5

    return float(brentq(excess, 0, deviations.max()))
