"""Thresholds from out-of-fold predictions compared with those of scikit-learn, which fits again.

The network is the recipe ``"default"`` of `make_tabular_pipeline`. Random stratified splits of each
table give the training and test samples.
"""

import warnings
from time import process_time

import numpy as np
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedShuffleSplit, TunedThresholdClassifierCV

from benchmarks._page import markdown_table
from benchmarks._records import save
from benchmarks._report import run_on
from benchmarks._tables import load_tables
from sknn_adam import make_tabular_pipeline
from sknn_adam.threshold import tune_threshold

# Tables with two classes, of which the second has at most 25 % of the samples, without groups.
TABLES = "adult,credit_default,bank,mlc_churn,nass_crash"
SCORES = ("balanced_accuracy", "f1")


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folders of tables with a realdata.py")
    parser.add_argument("--tables", default=TABLES, help="comma-separated names")
    parser.add_argument("--splits", type=int, default=4, help="number of splits of each table")
    parser.add_argument("--rows", type=int, default=3000, help="number of training samples")
    parser.add_argument("--seed", type=int, default=0)


def one_split(X, y, train, test, seed):
    """Return the test scores of each method, and the seconds beyond a single fit."""
    X_train, X_test = X.iloc[train], X.iloc[test]
    pipeline = make_tabular_pipeline("classifier", random_state=seed)
    start = process_time()
    model = clone(pipeline).fit(X_train, y[train])
    fit = process_time() - start
    row = {"fit": fit}
    for name in SCORES:
        score = get_scorer(name)
        row[f"{name}, 0.5"] = float(score(model, X_test, y[test]))
        start = process_time()
        ours = tune_threshold(model, y[train], name)
        row["seconds, out-of-fold"] = process_time() - start
        row[f"{name}, out-of-fold"] = float(score(ours, X_test, y[test]))
        start = process_time()
        theirs = TunedThresholdClassifierCV(clone(pipeline), scoring=name, random_state=seed)
        theirs.fit(X_train, y[train])
        row["seconds, scikit-learn"] = process_time() - start - fit
        row[f"{name}, scikit-learn"] = float(score(theirs, X_test, y[test]))
    return {name: round(value, 5) for name, value in row.items()}


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    source, tables = load_tables(args.data), {}
    for table in args.tables.split(","):
        X, y, _ = source.load(table)
        n_test = min(8000, len(y) - args.rows)
        splits = StratifiedShuffleSplit(
            args.splits, train_size=args.rows, test_size=n_test, random_state=args.seed
        )
        rows = [
            one_split(X, y, train, test, args.seed + i)
            for i, (train, test) in enumerate(splits.split(X, y))
        ]
        tables[table] = {"positive": round(float(np.mean(y)), 4), "splits": rows}
        print(table, rows, flush=True)
    options = {"rows": args.rows, "splits": args.splits, "seed": args.seed}
    record = {**options, "tables": tables}
    print("\n\n".join(section(record)))
    print(save("threshold", record))


def difference(record: dict, name: str) -> tuple[float, float]:
    """Return the mean difference of both methods over all splits, and its standard error."""
    splits = [row for table in record["tables"].values() for row in table["splits"]]
    values = [row[f"{name}, out-of-fold"] - row[f"{name}, scikit-learn"] for row in splits]
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)


def section(record: dict) -> list[str]:
    methods, rows = ("0.5", "out-of-fold", "scikit-learn"), []
    for table, result in record["tables"].items():
        means = {
            name: np.mean([row[name] for row in result["splits"]]) for name in result["splits"][0]
        }
        scores = [f"{means[f'{name}, {method}']:.4f}" for name in SCORES for method in methods]
        seconds = [f"{means[name]:.2f}" for name in means if "seconds" in name]
        rows.append([table, f"{result['positive']:.3f}", *scores, f"{means['fit']:.2f}", *seconds])
    heads = [f"{name.replace('_', ' ')}: {method}" for name in SCORES for method in methods]
    seconds = ["seconds of a fit", "out-of-fold: more seconds", "scikit-learn: more seconds"]
    parts = []
    for name in SCORES:
        mean, error = difference(record, name)
        parts.append(f"{name.replace('_', ' ')} {mean:+.4f} ± {error:.4f}")
    n_splits = sum(len(table["splits"]) for table in record["tables"].values())
    return [
        "## Decision thresholds",
        "`tune_threshold` chooses the threshold by the out-of-fold predictions of the recipe "
        "`default`, scikit-learn's `TunedThresholdClassifierCV` by five more fits. Scores are "
        f"means over the test sets of random splits of tables with a rare class, with "
        f"{record['rows']:,} training samples.",
        markdown_table(["table", "positive", *heads, *seconds], rows),
        f"Out-of-fold minus scikit-learn, mean over {n_splits} splits with its standard error: "
        f"{'; '.join(parts)}.",
    ]


def figures(record: dict) -> dict:
    return {f"{name}: difference": round(difference(record, name)[0], 4) for name in SCORES}
