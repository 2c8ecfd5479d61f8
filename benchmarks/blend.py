"""Weighted ensembles for raw tables compared with their estimators, on a folder of tables.

The estimators of `make_tabular_ensemble` are cross-fitted to the training set of each table, and
weights are chosen for several subsets of them. All are scored on the test set. The figures are
geometric means over tables of (metric + 0.01) / (metric of the reference + 0.01), with 95 %
intervals over bootstrap samples of the tables. The portfolio was not tuned on any table. The
nested out-of-fold score is compared with the test score of the same ensemble.
"""

import warnings
from time import process_time

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from benchmarks._page import interval, markdown_table
from benchmarks._records import discard_unfinished, save, save_unfinished, unfinished
from benchmarks._tables import load_tables
from sknn_adam.ensemble import make_tabular_ensemble
from sknn_adam.ensemble.portfolio import PORTFOLIO
from sknn_adam.ensemble.selection import (
    NegativeLogLoss,
    NegativeSquaredError,
    greedy_weights,
    nested_score,
)

METRICS = {"error": "error", "logloss": "log loss", "nrmse": "RMSE"}
SUBSETS = {
    "networks, weighted": list(PORTFOLIO),
    '"default" and boosting, weighted': ["default", "boosting"],
    "networks and boosting, weighted": [*PORTFOLIO, "boosting"],
}


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folder of tables with a realdata.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tables", default="", help="comma-separated names (default: all)")
    parser.add_argument("--rows", type=int, default=8000, help="largest number of training rows")
    parser.add_argument("--add", action="store_true", help="continue an interrupted run")


def run(args):
    warnings.simplefilter("ignore")
    realdata = load_tables(args.data)
    tables = args.tables.split(",") if args.tables else list(realdata.SETS)
    rows = unfinished("blend")["tables"] if args.add else []
    done = {row["table"] for row in rows}
    for name in tables:
        if name not in done:
            rows.append(measure(realdata, name, args))
            save_unfinished("blend", {"tables": rows})
            show(rows[-1])
    record = {"seed": args.seed, "largest_training_set": args.rows, "tables": rows}
    record |= {"ratios": ratios(rows), "nested_score": differences(rows)}
    for side, metrics in record["ratios"].items():
        print(side, metrics)
    print(save("blend", record))
    discard_unfinished("blend")


def measure(realdata, name, args):
    """Return the metrics of all sides on the first split of a table."""
    X, y, task = realdata.load(name)
    train, test = realdata.splits(name)[0]
    if len(train) > args.rows:
        train = np.random.default_rng(args.seed).choice(train, args.rows, replace=False)
    X_train, X_test = (X.iloc[rows].reset_index(drop=True) for rows in (train, test))
    n_classes = int(y.max()) + 1 if task == "classification" else None
    kind = "classifier" if n_classes else "regressor"
    cv = (StratifiedKFold if n_classes else KFold)(8, shuffle=True, random_state=args.seed)
    options = {"cv": cv, "random_state": args.seed}
    model = make_tabular_ensemble(kind, include=("networks", "boosting"), **options)
    held = [rows for _, rows in cv.split(X_train, y[train])]
    fits, seconds = {}, {}
    for each in model.estimators:
        start = process_time()
        fits[each[0]] = clone(model).set_params(estimators=[each]).fit(X_train, y[train])
        seconds[each[0]] = process_time() - start
    oof = {each: fit.oof_prediction_.reshape(len(train), -1) for each, fit in fits.items()}
    predict = "predict_proba" if n_classes else "predict"
    values = {
        each: getattr(fit, predict)(X_test).reshape(len(test), -1) for each, fit in fits.items()
    }
    classes = fits["default"].classes_ if n_classes else None
    if n_classes:
        criterion = NegativeLogLoss(np.searchsorted(classes, y[train]), None)
    else:
        criterion = NegativeSquaredError(y[train][:, None], None)

    def metrics(value):
        if not n_classes:
            found = realdata.metrics(task, y[test], value[:, 0])
            return found | {"rmse": float(np.mean((value[:, 0] - y[test]) ** 2) ** 0.5)}
        predicted = classes[value.argmax(axis=1)]
        return realdata.metrics(task, y[test], predicted, value, classes, n_classes)

    sides = {each: metrics(value) for each, value in values.items()}
    networks = [values[each] for each in PORTFOLIO]
    sides["networks, mean"] = metrics(np.mean(networks, axis=0))
    # The folder has metrics of CatBoost on the same split, with all training rows.
    for row in realdata.recorded():
        if (row["set"], row["split"], args.rows >= 8000) == (name, 0, True):
            if row["method"] == "catboost" and "exception" not in row:
                sides["CatBoost, recorded"] = {m: row[m] for m in METRICS if m in row}
    weights, nested = {}, {}
    for side, members in SUBSETS.items():
        relevant = criterion.relevant(np.stack([oof[each] for each in members]))
        chosen = greedy_weights(relevant, criterion, model.n_rounds)
        weights[side] = dict(zip(members, chosen.round(4).tolist(), strict=True))
        value = np.tensordot(chosen, np.stack([values[each] for each in members]), axes=1)
        sides[side] = metrics(value)
        nested[side] = nested_score(relevant, criterion, held, model.n_rounds)
    return {
        "table": name,
        "task": task,
        "rows": len(train),
        "seconds": {each: round(value, 2) for each, value in seconds.items()},
        "sides": sides,
        "weights": weights,
        "nested": nested,
    }


def show(row):
    shown = {side: row["sides"][side] for side in ("default", *SUBSETS)}
    metric = "logloss" if row["task"] == "classification" else "nrmse"
    print(
        row["table"], {side: round(values[metric], 4) for side, values in shown.items()}, flush=True
    )


def ratios(rows):
    """Return the ratios to the recipe "default", with intervals, for each side and metric."""
    rng = np.random.default_rng(0)
    out = {}
    for side in dict.fromkeys(side for row in rows for side in row["sides"]):
        out[side] = {}
        for metric in METRICS:
            logs = [
                np.log(
                    (row["sides"][side][metric] + 0.01) / (row["sides"]["default"][metric] + 0.01)
                )
                for row in rows
                if metric in row["sides"][side]
            ]
            if logs:
                means = rng.choice(logs, (2000, len(logs))).mean(axis=1)
                values = [np.mean(logs), *np.quantile(means, [0.025, 0.975])]
                out[side][metric] = [round(float(np.exp(value)), 4) for value in values]
    return out


def differences(rows):
    """Return the median absolute difference and the bias of the nested scores, relative to tests.

    The scores are log losses and root mean squared errors.
    """
    out = {}
    for side in SUBSETS:
        relative = []
        for row in rows:
            found, nested = row["sides"][side], -row["nested"][side]
            tested = found["logloss"] if "logloss" in found else found["rmse"]
            relative.append((nested if "logloss" in found else nested**0.5) / tested - 1)
        absolute = float(np.median(np.abs(relative)))
        out[side] = {"median_absolute": absolute, "median": float(np.median(relative))}
    return out


def section(record: dict) -> list[str]:
    rows = []
    for side, found in record["ratios"].items():
        cells = [interval(*found[metric], 3) if metric in found else "–" for metric in METRICS]
        rows.append([side, *cells])
    return [
        "## Weighted ensembles of pipelines",
        f"`make_tabular_ensemble` on {len(record['tables'])} tables with at most "
        f"{record['largest_training_set']:,} training rows: ratios of test metrics to those of the "
        'recipe "default", with 95 % intervals over bootstrap samples of the tables. The portfolio '
        "was not tuned on any table.",
        markdown_table(["estimator", *METRICS.values()], rows),
    ]
