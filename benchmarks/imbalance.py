"""Class weights, tuned thresholds and calibration on two imbalanced tables.

The tables were chosen before any result was computed: they are the two of the collection that have
two classes, at least 4,000 different samples, at most 12 % of samples in class 1, and no groups.
All methods use the same network with the same seed, in repeated stratified cross-validation.
`CalibratedClassifierCV` has ``ensemble=False``: otherwise it would average five networks, and the
comparison would confuse averaging with calibration.

Each method is compared with the plain network on the same folds. The training sets overlap, so the
standard errors of the differences are those of Nadeau and Bengio (2003), with the variance
multiplied by 1 / repetitions + test samples / training samples.
"""

import warnings
from time import process_time

import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    make_scorer,
    roc_auc_score,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    RepeatedStratifiedKFold,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import make_pipeline

from benchmarks._page import markdown_table, percent
from benchmarks._records import save
from benchmarks._report import run_on
from benchmarks._tables import load_tables
from sknn_adam import MLPClassifier

TABLES = ("bank", "nass_crash")
# The cost of a missed positive, if a false alarm costs 1.
MISS = 10
# With correct probabilities, predicting class 1 is cheaper from this probability on.
THRESHOLD = 1 / (1 + MISS)
PLAIN = "nothing"
# Title and number of decimals of each measure.
MEASURES = {
    "log loss": 4,
    "Brier score": 4,
    "mean probability": 3,
    "ROC AUC": 3,
    "average precision": 3,
    "balanced accuracy": 3,
    "F1": 3,
    "cost": 1,
}


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folders of tables with a realdata.py")
    parser.add_argument("--tables", default=",".join(TABLES), help="comma-separated names")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)


def cost(y, predicted):
    """Return the cost per 100 samples."""
    (_, false_alarms), (misses, _) = confusion_matrix(y, predicted, labels=[0, 1])
    return float(100 * (MISS * misses + false_alarms) / len(y))


CHEAP = make_scorer(cost, greater_is_better=False)


def methods(network):
    """Return the estimators by name. Those with a fixed threshold are added by `fitted`."""
    weighted = clone(network).set_params(mlpclassifier__class_weight="balanced")
    return {
        PLAIN: network,
        "threshold tuned for balanced accuracy": TunedThresholdClassifierCV(network),
        "threshold tuned for F1": TunedThresholdClassifierCV(network, scoring="f1"),
        "threshold tuned for cost": TunedThresholdClassifierCV(network, scoring=CHEAP),
        "sigmoid calibration": CalibratedClassifierCV(network, ensemble=False),
        "isotonic calibration": CalibratedClassifierCV(network, method="isotonic", ensemble=False),
        "class_weight": weighted,
        "class_weight, threshold tuned for cost": TunedThresholdClassifierCV(
            weighted, scoring=CHEAP
        ),
        "class_weight, sigmoid calibration": CalibratedClassifierCV(weighted, ensemble=False),
    }


def fitted(network, X, y):
    """Yield the name of each method and its fitted estimator."""
    for name, model in methods(network).items():
        model = clone(model).fit(X, y)
        yield name, model
        if not isinstance(model, TunedThresholdClassifierCV):
            fixed = FixedThresholdClassifier(FrozenEstimator(model), threshold=THRESHOLD)
            yield f"{name}, threshold 1/{1 + MISS}", fixed.fit(X, y)


def scores(model, X, y):
    """Return the value of each measure on test samples."""
    probability, predicted = model.predict_proba(X)[:, 1], model.predict(X)
    values = (
        log_loss(y, np.clip(probability, 1e-7, 1 - 1e-7)),
        brier_score_loss(y, probability),
        probability.mean(),
        roc_auc_score(y, probability),
        average_precision_score(y, probability),
        balanced_accuracy_score(y, predicted),
        f1_score(y, predicted, zero_division=0.0),
        cost(y, predicted),
    )
    return dict(zip(MEASURES, map(float, values), strict=True))


def compare(source, table, args):
    """Return the description of a table and the values of each measure in each repetition."""
    X, y, _ = source.load(table)
    kept = ~X.assign(target=y).duplicated().to_numpy()
    X, y = X[kept].reset_index(drop=True), y[kept]
    folds = RepeatedStratifiedKFold(
        n_splits=args.folds, n_repeats=args.repeats, random_state=args.seed
    )
    values: dict = {}
    for i, (train, test) in enumerate(folds.split(X, y)):
        start = process_time()
        network = MLPClassifier(early_stopping=True, random_state=args.seed + i)
        network = make_pipeline(source.preprocess(table), network)
        X_test = X.iloc[test].reset_index(drop=True)
        for name, model in fitted(network, X.iloc[train].reset_index(drop=True), y[train]):
            for measure, value in scores(model, X_test, y[test]).items():
                values.setdefault(name, {}).setdefault(measure, []).append(round(value, 6))
        print(f"{table}, repetition {i + 1}: {process_time() - start:.0f} s", flush=True)
    return {"samples": len(y), "positive": round(float(y.mean()), 4), "values": values}


def difference(values, plain, folds):
    """Return the mean paired difference to the plain network and its corrected standard error."""
    differences = np.subtract(values, plain)
    # Each training set has folds - 1 times as many samples as its test set.
    variance = differences.var(ddof=1) * (1 / len(differences) + 1 / (folds - 1))
    return float(differences.mean()), float(variance**0.5)


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    source = load_tables(args.data)
    tables = {table: compare(source, table, args) for table in args.tables.split(",")}
    options = {"seed": args.seed, "folds": args.folds, "repeats": args.repeats, "miss": MISS}
    record = {**options, "tables": tables}
    print("\n\n".join(section(record)))
    print(save("imbalance", record))


# -- on the page ---------------------------------------------------------------------------------


def cells(result: dict, method: str, folds: int) -> list[str]:
    """Return the mean of each measure, and its paired difference to the plain network."""
    texts = []
    for measure, digits in MEASURES.items():
        values, plain = (result["values"][name][measure] for name in (method, PLAIN))
        text = f"{np.mean(values):.{digits}f}"
        if values != plain:
            change, error = difference(values, plain, folds)
            text += f" ({change:+z.{digits}f} ± {error:.{digits}f})"
        texts.append(text)
    return texts


def section(record: dict) -> list[str]:
    blocks = [
        "## Class imbalance",
        "Class weights, tuned thresholds and calibration are compared on two tables with a rare "
        "class, by stratified cross-validation with "
        f"{record['folds']} folds, repeated {record['repeats']} times. All methods use "
        "`MLPClassifier(early_stopping=True)` with the same preprocessing and the same seed. The "
        f"cost is that of 100 test samples, if a missed positive costs {record['miss']} and a "
        "false alarm 1. Without a threshold in its name, a method predicts class 1 from a "
        "probability of 0.5 on. Differences to the plain network on the same folds are given in "
        "parentheses, with their standard errors (corrected for overlapping training sets). "
        "[](class_imbalance.md) explains the methods.",
    ]
    for table, result in record["tables"].items():
        rows = [[name, *cells(result, name, record["folds"])] for name in result["values"]]
        size, positive = f"{result['samples']:,} samples", percent(result["positive"])
        blocks += [f"### {table}: {size}, {positive} positive"]
        blocks.append(markdown_table(["method", *MEASURES], rows))
    return blocks


def figures(record: dict) -> dict:
    names = (PLAIN, "class_weight", "threshold tuned for cost")
    return {
        f"{table}, {name}: {measure}": round(float(np.mean(result["values"][name][measure])), 3)
        for table, result in record["tables"].items()
        for name in names
        for measure in ("log loss", "cost")
    }
