"""Choice of the portfolio of `make_tabular_ensemble`, with tables left out.

``--part screen`` cross-fits every configuration (4 folds, at most 2,000 training rows) to the
training set of each table, and stores its out-of-fold predictions and its predictions of the test
set in a folder. ``--part choose`` reads the folder, or the predictions of the latest record, and
adds one configuration after the other to a portfolio: the one that lowers the loss of the weighted
ensemble most, on average over tables. To estimate the gain on other tables, the choice is repeated
ten times, each time without a tenth of the tables, and judged on that tenth.

The loss of a table is the mean of log((metric + 0.01) / (metric of the base + 0.01)) over its
metrics: error and log loss of classes, RMSE / standard deviation of numbers.
"""

import json
import warnings
import zlib
from functools import cache
from pathlib import Path
from time import process_time

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, train_test_split

from benchmarks._configurations import BASE, CHANGES, configurations
from benchmarks._page import interval, markdown_table
from benchmarks._records import RESULTS, newest, save
from benchmarks._tables import load_tables
from sknn_adam import MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam.ensemble.selection import NegativeLogLoss, NegativeSquaredError, greedy_weights

METRICS = {"error": "error", "logloss": "log loss", "nrmse": "RMSE"}
N_FOLDS, MOST_ROWS, MOST_TEST_ROWS = 4, 2000, 2000
# Only this many rows of the finalists' predictions are recorded.
RECORDED_ROWS, N_FINALISTS = 500, 16
LEFT_OUT, N_CHOSEN, N_ROUNDS = 10, 6, 50
NO_BINS = {"columns__numbers__bins": "passthrough", "columns__dates__bins": "passthrough"}


def add_arguments(parser):
    parser.add_argument("--data", help="folder of tables with a realdata.py")
    parser.add_argument("--store", help="folder of the predictions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("screen", "choose"), default="choose")
    parser.add_argument("--share", default="0/1", help="share of the tables, such as 1/2")


def run(args):
    warnings.simplefilter("ignore")
    if args.part == "screen":
        screen(load_tables(args.data), args)
    else:
        choose(args)


# -- fits ----------------------------------------------------------------------------------------


def screen(realdata, args):
    share, n_shares = map(int, args.share.split("/"))
    names = sorted(realdata.SETS, key=lambda name: zlib.crc32(name.encode()))[share::n_shares]
    store = Path(args.store)
    store.mkdir(parents=True, exist_ok=True)
    done = {(row["config"], row["set"]) for row in stored_rows(store)}
    load = cache(lambda name: encoded(realdata, name, args.seed))
    for config, changes in configurations().items():
        for name in names:
            if (config, name) not in done:
                row = fit(realdata, config, changes, name, load(name), store, args.seed)
                with open(store / f"rows_{share}_of_{n_shares}.jsonl", "a") as file:
                    file.write(json.dumps(row) + "\n")
        print(config, flush=True)


def stored_rows(store):
    paths = sorted(store.glob("rows*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def encoded(realdata, name, seed):
    """Return the rows of the first split of a table, encoded with and without bins."""
    X, y, task = realdata.load(name)
    classify, groups = task == "classification", realdata.groups(name)
    train, test = realdata.splits(name)[0]
    if len(train) > MOST_ROWS:
        labels = y[train] if classify and np.unique(y[train], return_counts=True)[1].min() > 1 else None
        options = {"train_size": MOST_ROWS, "random_state": seed, "stratify": labels}
        train, _ = train_test_split(train, **options)
    test = test[:MOST_TEST_ROWS]
    parts = {}
    for bins in (True, False):
        pipeline = make_tabular_pipeline("classifier" if classify else "regressor", random_state=seed)
        columns = pipeline.set_params(**({} if bins else NO_BINS))["columns"]
        a = columns.fit_transform(X.iloc[train].reset_index(drop=True), y[train])
        parts[bins] = dense(a), dense(columns.transform(X.iloc[test].reset_index(drop=True)))
    if groups is not None:
        cv = GroupKFold(N_FOLDS).split(train, groups=groups[train])
    elif classify:
        cv = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed).split(train, y[train])
    else:
        cv = KFold(N_FOLDS, shuffle=True, random_state=seed).split(train)
    return parts, y[train], y[test], list(cv), int(y.max()) + 1 if classify else None


def dense(X):
    return np.ascontiguousarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float32)


def fit(realdata, config, changes, name, data, store, seed):
    """Fit a configuration to a table, store its predictions, and return its metrics."""
    parts, y, y_test, cv, n_classes = data
    params = BASE | changes
    X, X_test = parts[params.pop("bins", True)]
    if not n_classes:
        params.pop("loss__label_smoothing", None)
    model = (MLPClassifier if n_classes else MLPRegressor)(cv=cv, random_state=seed)
    start = process_time()
    model.set_params(**params).fit(X, y)
    seconds = process_time() - start
    oof = model.oof_prediction_.reshape(len(y), -1)
    if n_classes:
        oof, test = (all_classes(p, model, n_classes) for p in (oof, model.predict_proba(X_test)))
        found = realdata.metrics("classification", y_test, test.argmax(1), test, range(n_classes), n_classes)
    else:
        test = model.predict(X_test).reshape(-1, 1)
        found = realdata.metrics("regression", y_test, test[:, 0])
    folder = store / name
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{config}.npz", oof=oof.astype(np.float32), test=test.astype(np.float32))
    np.savez(folder / "y.npz", oof=y, test=y_test)
    kind = "classification" if n_classes else "regression"
    return {"config": config, "set": name, "task": kind, "seconds": round(seconds, 3)} | found


def all_classes(probability, model, n_classes):
    """Return probabilities with a column for each class, also for those not in the training set."""
    full = np.zeros((len(probability), n_classes))
    full[:, model.classes_] = probability
    return full
