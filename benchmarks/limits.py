"""Duration of a fit of `make_tabular_ensemble` with a time limit.

The tables are generated. The limits are in seconds of wall time, and all fits use one thread.
"""

import warnings
from time import monotonic

import numpy as np
from sklearn.datasets import make_classification, make_regression
from threadpoolctl import threadpool_limits

from benchmarks._page import markdown_table
from benchmarks._records import save
from sknn_adam.ensemble import make_tabular_ensemble

# Task, rows, numeric columns, and the scoring by which the weights are chosen.
FITS = (
    ("classifier", 8_000, 20, None),
    ("classifier", 20_000, 20, "roc_auc"),
    ("classifier", 20_000, 200, None),
    ("regressor", 8_000, 8, None),
    ("regressor", 50_000, 50, None),
    ("regressor", 5_000, 500, "neg_mean_absolute_error"),
)


def add_arguments(parser):
    parser.add_argument("--limits", default="30,60", help="seconds, comma-separated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="one small table, no record")


def table(task, n_rows, n_columns, seed):
    """Return a dataframe of numeric columns and one of six categories, and the targets."""
    import pandas as pd

    options = {"n_informative": min(8, n_columns), "random_state": seed}
    if task == "classifier":
        X, y = make_classification(n_rows, n_columns, n_redundant=0, **options)
    else:
        X, y = make_regression(n_rows, n_columns, **options)
    levels = np.random.default_rng(seed).integers(6, size=n_rows)
    names = np.array(list("abcdef"))
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(n_columns)])
    shift = levels * np.std(y) if task == "regressor" else 0
    return frame.assign(level=names[levels]).astype({"level": "category"}), y + shift


def measure(task, n_rows, n_columns, scoring, limit, seed):
    """Fit the ensemble once, and return its duration and how far it got."""
    X, y = table(task, n_rows, n_columns, seed)
    model = make_tabular_ensemble(
        task, include=["networks", "boosting"], time_limit=limit, random_state=seed
    )
    model.set_params(scoring=scoring)
    with threadpool_limits(1):
        start = monotonic()
        model.fit(X, y)
        seconds = monotonic() - start
    return {
        "task": task,
        "rows": n_rows,
        "columns": n_columns + 1,
        "scoring": scoring,
        "limit": limit,
        "seconds": round(seconds, 2),
        "fitted": int(np.isfinite(model.estimator_scores_).sum()),
        "estimators": len(model.estimators),
        "stop_reason": model.stop_reason_,
    }


def run(args):
    warnings.simplefilter("ignore")
    # Compiles the loops.
    for task in ("classifier", "regressor"):
        measure(task, 300, 5, None, 5, args.seed)
    if args.smoke:
        return
    rows = []
    for limit in map(float, args.limits.split(",")):
        for fit in FITS:
            rows.append(measure(*fit, limit, args.seed))
            print(rows[-1], flush=True)
    print(save("limits", {"seed": args.seed, "rows": rows}))


def section(record: dict) -> list[str]:
    keys = ("task", "rows", "columns")
    rows = [
        [
            *(row[key] for key in keys),
            row["scoring"] or "–",
            f"{row['limit']:g}",
            f"{row['seconds']:.1f}",
            f"{row['fitted']} of {row['estimators']}",
        ]
        for row in record["rows"]
    ]
    return [
        "## Time limit of `make_tabular_ensemble`",
        "Wall time of a fit with networks and boosting to generated tables, with one thread. Each "
        "estimator is cross-fitted to eight folds.",
        markdown_table([*keys, "scoring", "limit (s)", "duration (s)", "estimators fitted"], rows),
    ]


def figures(record: dict) -> dict:
    """Return the largest ratio of a duration to its limit."""
    return {"duration / limit, at most": max(r["seconds"] / r["limit"] for r in record["rows"])}
