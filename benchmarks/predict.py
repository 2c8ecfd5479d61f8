"""Prediction time compared with scikit-learn, for a single sample and for 100,000 samples."""

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor

from benchmarks._page import markdown_table
from benchmarks._records import save
from benchmarks._report import run_on, spread, time_interleaved
from sknn_adam import MLPClassifier, MLPRegressor

CASES = {
    "classifier": (MLPClassifier, TheirClassifier, ("predict", "predict_proba")),
    "regressor": (MLPRegressor, TheirRegressor, ("predict",)),
}


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="few samples, no record")


def fitted(kind, n_features, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2000, n_features))
    y = X[:, :10].argmax(axis=1).astype(float if "Regressor" in kind.__name__ else int)
    return kind(random_state=seed, max_iter=3).fit(X, y)


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    rows, n_features = [], 50
    rng = np.random.default_rng(args.seed)
    for name, (ours, theirs, methods) in CASES.items():
        models = fitted(ours, n_features, args.seed), fitted(theirs, n_features, args.seed)
        for n_rows in (1, 1_000) if args.smoke else (1, 100_000):
            X = rng.normal(size=(n_rows, n_features))
            calls = 1000 if n_rows == 1 else 1
            for method in methods:

                def many(model, method=method, X=X, calls=calls):
                    predict = getattr(model, method)
                    return lambda: [predict(X) for _ in range(calls)]

                sides = {"sknn_adam": many(models[0]), "scikit-learn": many(models[1])}
                timings = time_interleaved(sides, 1 if args.smoke else args.repeats)
                ratio = np.divide(timings["sknn_adam"], timings["scikit-learn"])
                row = {"model": name, "method": method, "rows": n_rows, "ratio": spread(ratio, 3)}
                row["microseconds"] = {
                    side: spread(np.array(times) / calls * 1e6) for side, times in timings.items()
                }
                rows.append(row)
                print(row, flush=True)
    if not args.smoke:
        print(save("predict", {"seed": args.seed, "repeats": args.repeats, "rows": rows}))


def section(record: dict) -> list[str]:
    rows = []
    for row in record["rows"]:
        times = [f"{row['microseconds'][s][1]:,.4g}" for s in ("sknn_adam", "scikit-learn")]
        name = [row["model"], f"`{row['method']}`", f"{row['rows']:,}"]
        rows.append([*name, *times, f"{row['ratio'][1]:.2f}"])
    return [
        "## Predictions",
        "The table shows the microseconds per call of default estimators with 50 features, and the "
        "ratio to scikit-learn.",
        markdown_table(
            ["estimator", "method", "samples", "sknn_adam", "scikit-learn", "ratio"], rows
        ),
    ]


def figures(record: dict) -> dict:
    return {
        f"{row['model']}.{row['method']}, n={row['rows']:,}: ratio": row["ratio"][1]
        for row in record["rows"]
    }
