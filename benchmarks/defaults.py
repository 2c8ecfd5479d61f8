"""Candidate default parameters, compared on the training sets of real tables.

Each training set is split again into 75 % and 25 %; the test sets are not used. The figures are
geometric means over the tables of (metric + 0.01) / (scikit-learn's metric + 0.01), so values below
1 are better than scikit-learn's MLP with its default parameters.
"""

import time
import warnings
from collections import defaultdict

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._page import TITLES, markdown_table
from benchmarks._records import save
from benchmarks._tables import load_tables
from sknn_adam import MLPClassifier, MLPRegressor

AS_THEIRS = {
    "hidden_layer_sizes": (100,),
    "initializer": "glorot_uniform",
    "batch_size": 200,
    "alpha": 1e-4 / 200,
    "max_iter": 200,
    "averaging": None,
    "l1_ratio": 0.0,
    "dtype": "float64",
}


def candidates() -> dict[str, dict]:
    """Return the parameters of each candidate: most change one default at a time."""
    params_by_name = {"like scikit-learn": AS_THEIRS, "the defaults": {}}
    for name, values in {
        "hidden_layer_sizes": ((100,), (200,), (300,), (100, 50), (100, 100), (200, 100)),
        "averaging": (None,),
        "batch_size": (32, 128, 200),
        "alpha": (1e-4, 1e-3, 1e-2),
        "l1_ratio": (0.0, 0.15, 0.5),
        "max_iter": (60, 200),
        "schedule": ("linear", "cosine"),
        "initializer": ("glorot_uniform", "he_uniform"),
        "activation": ("silu", "leaky_relu"),
        "normalization": ("layer",),
        "dropout": (0.1,),
        "dtype": ("float64",),
        "optimizer__learning_rate": (5e-4, 2e-3),
        "n_iter_no_change": (5, 20),
        "early_stopping": (True,),
        "learn_scales": (True,),
    }.items():
        params_by_name |= {f"{name}={value}": {name: value} for value in values}
    return params_by_name


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folder of tables with a realdata.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", default="", help="only candidates whose name contains one of these"
    )
    parser.add_argument("--tables", default="", help="comma-separated names (default: all)")


def theirs(task, seed):
    if task == "classification":
        return TheirClassifier(random_state=seed)
    return TransformedTargetRegressor(
        TheirRegressor(random_state=seed), transformer=StandardScaler()
    )


def ours(task, seed, params):
    kind = MLPClassifier if task == "classification" else MLPRegressor
    return kind(random_state=seed).set_params(**params)


def measure(realdata, task, model, fit_rows, held_rows, n_classes):
    (Xa, ya), (Xb, yb) = fit_rows, held_rows
    start = time.perf_counter()
    model.fit(Xa, ya)
    seconds = time.perf_counter() - start
    if task == "classification":
        scores = realdata.metrics(
            task, yb, model.predict(Xb), model.predict_proba(Xb), model.classes_, n_classes
        )
    else:
        scores = realdata.metrics(task, yb, model.predict(Xb))
    return {**scores, "seconds": seconds}


def compare(realdata, candidates, tables, seed):
    rows = defaultdict(lambda: defaultdict(dict))  # candidate -> metric -> table -> value
    for table in tables:
        X, y, task = realdata.load(table)
        n_classes = int(y.max()) + 1 if task == "classification" else None
        sums = defaultdict(lambda: defaultdict(list))
        for i, (train, _) in enumerate(realdata.splits(table)):
            a, b = train_test_split(
                train, random_state=seed + i, stratify=y[train] if n_classes else None
            )
            prepare = make_pipeline(realdata.preprocess(table))
            Xa, Xb = prepare.fit_transform(X.iloc[a]), prepare.transform(X.iloc[b])
            data = (Xa.astype(np.float64), y[a]), (Xb.astype(np.float64), y[b])
            models = {"sk_mlp": theirs(task, seed)}
            models |= {name: ours(task, seed, p) for name, p in candidates.items()}
            for name, model in models.items():
                for metric, value in measure(realdata, task, model, *data, n_classes).items():
                    sums[name][metric].append(value)
        for name, metrics in sums.items():
            for metric, values in metrics.items():
                rows[name][metric][table] = float(np.mean(values))
        print(f"{table} done", flush=True)
    return rows


def ratios(rows, metric, shift=0.01):
    base = rows["sk_mlp"][metric]
    return {
        name: float(
            np.exp(
                np.mean([np.log((by_metric[metric][t] + shift) / (base[t] + shift)) for t in base])
            )
        )
        for name, by_metric in rows.items()
        if by_metric[metric]
    }


def run(args):
    warnings.simplefilter("ignore")
    realdata = load_tables(args.data)
    tables = args.tables.split(",") if args.tables else realdata.SETS
    words = args.only.split(",")
    chosen = {n: p for n, p in candidates().items() if any(word in n for word in words)}
    rows = compare(realdata, chosen, tables, args.seed)
    metrics = ("error", "logloss", "nrmse", "seconds")
    table = {m: ratios(rows, m, 0.01 if m != "seconds" else 0.0) for m in metrics}
    print(f"{'candidate':<48}" + "".join(f"{m:>10}" for m in metrics))
    for name in rows:
        print(f"{name:<48}" + "".join(f"{table[m].get(name, np.nan):>10.3f}" for m in metrics))
    print(save("defaults", {"seed": args.seed, "ratios": table}))


def section(record: dict) -> list[str]:
    rows = []
    for name in record["ratios"]["error"]:
        cells = [f"{record['ratios'][metric][name]:.3f}" for metric in TITLES]
        rows.append([f"`{name}`" if "=" in name else name, *cells])
    return [
        "## How the defaults were chosen",
        "The table shows the same ratios on the training sets of the tables, each of which is "
        "split again. The candidates are the defaults, the defaults with one parameter changed, "
        "and scikit-learn's parameters.",
        markdown_table(["candidate", *TITLES.values()], rows),
    ]


def figures(record: dict) -> dict:
    ratios = record["ratios"]
    return {f"defaults: {text}": round(ratios[m]["the defaults"], 3) for m, text in TITLES.items()}
