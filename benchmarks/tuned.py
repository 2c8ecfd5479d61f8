"""Random search over ``search_space(model)``, compared with the defaults on real tables.

On each training set, random candidates (30 by default) are compared by cross-validation (log loss
or RMSE), and the best one is refitted. The refitted and the default estimator are scored on the
test set, which the search does not use.
"""

import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.model_selection import KFold, RandomizedSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from benchmarks._page import TITLES, markdown_table
from benchmarks._records import save
from benchmarks._tables import load_tables
from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.search import search_space


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folder of tables with a realdata.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--candidates", type=int, default=30)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)


def compare(table, args):
    warnings.simplefilter("ignore")
    realdata = load_tables(args.data)
    classify = realdata.TASKS[table] == "classification"

    def default(name):
        kind = MLPClassifier if classify else MLPRegressor
        return make_pipeline(realdata.preprocess(name), kind(random_state=args.seed))

    def tuned(name):
        model = default(name)
        return RandomizedSearchCV(
            model,
            search_space(model),
            n_iter=args.candidates,
            scoring="neg_log_loss" if classify else "neg_root_mean_squared_error",
            cv=(StratifiedKFold if classify else KFold)(args.folds, shuffle=True, random_state=0),
            random_state=args.seed,
            error_score="raise",
        )

    rows = realdata.run(table, default, "default") + realdata.run(table, tuned, "tuned")
    print(table, flush=True)
    return rows


def run(args):
    realdata = load_tables(args.data)
    by_table = Parallel(args.jobs)(delayed(compare)(table, args) for table in realdata.SETS)
    rows = [row for table_rows in by_table for row in table_rows]
    failed = [row for row in rows if "exception" in row]
    if failed:
        raise SystemExit(f"Some fits failed: {failed}")
    table = {}
    for name, task in realdata.TASKS.items():
        metrics = ("logloss", "error") if task == "classification" else ("nrmse",)
        means = {
            (method, metric): float(
                np.mean([r[metric] for r in rows if (r["set"], r["method"]) == (name, method)])
            )
            for method in ("default", "tuned")
            for metric in metrics
        }
        table[name] = {
            metric: {
                "default": round(means["default", metric], 4),
                "tuned": round(means["tuned", metric], 4),
                "ratio": round(
                    (means["tuned", metric] + 0.01) / (means["default", metric] + 0.01), 3
                ),
            }
            for metric in metrics
        }
        print(f"{name:<20}", table[name])
    searched = [next(iter(metrics.values()))["ratio"] for metrics in table.values()]
    errors = [metrics["error"]["ratio"] for metrics in table.values() if "error" in metrics]
    summary = {
        "mean ratio": round(float(np.mean(searched)), 3),
        "geometric mean ratio": round(float(np.exp(np.mean(np.log(searched)))), 3),
        "better on": int(np.sum(np.array(searched) < 1)),
        "tables": len(searched),
        "geometric mean ratio of the errors": round(float(np.exp(np.mean(np.log(errors)))), 3),
    }
    print(summary)
    options = {"seed": args.seed, "candidates": args.candidates, "folds": args.folds}
    print(save("tuned", {**options, "summary": summary, "tables": table, "rows": rows}))


def section(record: dict) -> list[str]:
    summary, rows = record["summary"], []
    for name, metrics in record["tables"].items():
        metric, row = next(iter(metrics.items()))
        error = f"{metrics['error']['ratio']:.2f}" if "error" in metrics else "–"
        cells = [f"{row[key]:.3f}" for key in ("default", "tuned", "ratio")]
        rows.append([f"{name} ({TITLES[metric]})", *cells, error])
    return [
        "## Random search over the default space",
        f"On each training set, {record['candidates']} random candidates from "
        "`search_space(model)` are compared by the log loss or RMSE of "
        f"{record['folds']}-fold cross-validation. The best one is refitted and compared with the "
        "default estimator on the test set. The ratio is that of (metric + 0.01); below 1, the "
        "search is better. The mean ratio is "
        f"{summary['mean ratio']:.3f}, and the search is better on {summary['better on']} of "
        f"{summary['tables']} tables. The last column is the ratio of the errors, which the search "
        "did not optimize.",
        markdown_table(["table", "default", "tuned", "ratio", "ratio of errors"], rows),
    ]


def figures(record: dict) -> dict:
    return {name: record["summary"][name] for name in ("mean ratio", "better on")}
