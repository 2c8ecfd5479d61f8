"""The default estimators on the test sets of real tables, compared with scikit-learn's MLP.

Both run in this process, one after the other on each table. The figures are the geometric means of
(metric + 0.01) / (scikit-learn's metric + 0.01), and of the ratio of the training times. On each
table, the metrics and times are averaged over several seeds, because single fits vary.
"""

import warnings
from functools import partial

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._records import save
from benchmarks._tables import load_tables
from sknn_adam import MLPClassifier, MLPRegressor


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folder of tables with a realdata.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds for both packages")


def run(args):
    warnings.simplefilter("ignore")
    realdata = load_tables(args.data)

    def theirs(name, seed):
        if realdata.TASKS[name] == "classification":
            model = TheirClassifier(random_state=seed)
        else:
            regressor = TheirRegressor(random_state=seed)
            model = TransformedTargetRegressor(regressor, transformer=StandardScaler())
        return make_pipeline(realdata.preprocess(name), model)

    def ours(name, seed):
        kind = MLPClassifier if realdata.TASKS[name] == "classification" else MLPRegressor
        return make_pipeline(realdata.preprocess(name), kind(random_state=seed))

    rows = []
    for name in realdata.SETS:
        for seed in range(args.seed, args.seed + args.seeds):
            for side, make in (("scikit-learn here", theirs), ("sknn_adam", ours)):
                rows += realdata.run(name, partial(make, seed=seed), method=side)
        print(name, flush=True)
    failed = [row for row in rows if "exception" in row]
    if failed:
        raise SystemExit(f"Some fits failed: {failed}")
    summary = realdata.summary(rows, "scikit-learn here")["sknn_adam"]
    ratios = {metric: round(summary[metric][1], 3) for metric in ("error", "logloss", "nrmse")}
    by_side = {}
    for row in rows:
        by_side.setdefault(row["method"], {}).setdefault(row["set"], []).append(row["fit_s"])
    times = [
        np.mean(by_side["sknn_adam"][name]) / np.mean(by_side["scikit-learn here"][name])
        for name in realdata.SETS
    ]
    ratios["fit time"] = round(float(np.exp(np.mean(np.log(times)))), 3)
    recorded = realdata.summary([*realdata.recorded(), *rows])["sknn_adam"]
    ratios["to the recorded figures"] = {
        metric: round(recorded[metric][1], 3) for metric in ("error", "logloss", "nrmse")
    }
    print(ratios)
    print(save("tables", {"seed": args.seed, "seeds": args.seeds, "ratios": ratios, "rows": rows}))


def section(record: dict) -> list[str]:
    ratios, n_tables = record["ratios"], len({row["set"] for row in record["rows"]})
    return [
        "## The defaults on real tables",
        "Default estimators are compared with scikit-learn's MLP with its defaults, on the test "
        f"sets of {n_tables} tables, with the same preprocessing and in the same run. The "
        f"geometric means of the ratio of (metric + 0.01) are {ratios['error']:.2f} for the error, "
        f"{ratios['logloss']:.2f} for the log loss and {ratios['nrmse']:.2f} for the RMSE. The "
        f"geometric mean of the ratio of the training times is {ratios['fit time']:.2f}.",
    ]


def figures(record: dict) -> dict:
    return {name: record["ratios"][name] for name in ("error", "logloss", "nrmse", "fit time")}
