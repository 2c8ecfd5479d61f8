"""Batch sizes, epochs, averaging and penalties on small tables, compared with the full batch.

Each draw takes new samples from the training set of a table. The networks are scored on other
samples of the training set, so the test set is not used. Figures are geometric means over the
tables of (metric + 0.01) / (metric of the full batch + 0.01); values below 1 are better than the
full batch. Differences are paired by draw. Their standard errors are over tables, because the draws
of one table are not independent. A candidate is chosen on half of the tables and confirmed on the
other half.
"""

import warnings
from time import perf_counter

import numpy as np
from joblib import Parallel, delayed
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from benchmarks._page import TITLES, markdown_table
from benchmarks._records import save
from benchmarks._tables import Bundled, load_tables
from sknn_adam import MLPClassifier, MLPRegressor

SIZES = (30, 60, 120)
FULL = "full batch"
# A batch size of at least n_samples is a full batch.
FULL_BATCH = max(SIZES)
CANDIDATES = {
    FULL: {},
    "batch_size=64": {"batch_size": 64},
    "batch_size=32": {"batch_size": 32},
    "batch_size=16": {"batch_size": 16},
    "batch_size=8": {"batch_size": 8},
    "full batch, max_iter=200": {"max_iter": 200},
    "full batch, averaging=None": {"averaging": None},
    "batch_size=32, averaging=None": {"batch_size": 32, "averaging": None},
    "full batch, alpha=0.01": {"alpha": 0.01},
    "batch_size=32, alpha=0.01": {"batch_size": 32, "alpha": 0.01},
    "batch_size=16, alpha=0.01": {"batch_size": 16, "alpha": 0.01},
}
METRICS = {"classification": ("error", "logloss"), "regression": ("nrmse",)}
# These limits keep the study short.
MOST_COLUMNS, MOST_TEST_SAMPLES = 50, 1000
FEWEST_TEST_SAMPLES = 30
# Tables with fewer samples per class, on average, are skipped.
SAMPLES_PER_CLASS = 5
SHIFT = 0.01


def add_arguments(parser):
    parser.add_argument("--data", default="bundled", help="folders of tables, or 'bundled'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tables", default="", help="comma-separated names (default: all)")
    parser.add_argument("--only", default="", help="only candidates whose name contains this")
    parser.add_argument("--smoke", action="store_true", help="one draw, no record")


def draw(X, labels, y, pool, columns, n_samples, rng):
    """Return X and y of a small training set and of a test set, or None if samples are too few."""
    if labels is not None:
        classes, counts = np.unique(y[pool], return_counts=True)
        if SAMPLES_PER_CLASS * len(classes) > n_samples:
            return None
        pool = pool[np.isin(y[pool], classes[counts > 1])]
    if len(pool) < n_samples + FEWEST_TEST_SAMPLES:
        return None
    train, test = train_test_split(
        pool,
        train_size=n_samples,
        stratify=None if labels is None else y[pool],
        random_state=int(rng.integers(2**31)),
    )
    # Drop test samples of classes that are missing from the training set.
    if labels is not None:
        test = test[np.isin(y[test], y[train])]
        if len(np.unique(y[train])) < 2:
            return None
    test = rng.permutation(test)[:MOST_TEST_SAMPLES]
    columns.fit(X.iloc[train])
    X_train, X_test = (
        np.asarray(columns.transform(X.iloc[rows]), np.float64) for rows in (train, test)
    )
    kept = rng.permutation(X_train.shape[1])[:MOST_COLUMNS]
    return (X_train[:, kept], y[train]), (X_test[:, kept], y[test])


def scores(task, model, X, y):
    """Return the metrics of a fitted model."""
    if task == "regression":
        return {"nrmse": float(np.sqrt(np.mean((model.predict(X) - y) ** 2)) / np.std(y))}
    proba = np.clip(model.predict_proba(X), 1e-7, 1)
    proba /= proba.sum(axis=1, keepdims=True)
    return {
        "error": float(np.mean(model.predict(X) != y)),
        "logloss": float(log_loss(y, proba, labels=model.classes_)),
    }


def load(data):
    """Return the source of each table: the tables of `data`, and iris and wine."""
    source = load_tables(data)
    return dict.fromkeys(("iris", "wine"), Bundled()) | dict.fromkeys(source.TASKS, source)


def compare(data, candidates, name, draws, seed):
    """Return one row per size, draw and candidate for one table."""
    warnings.simplefilter("ignore")
    source = load(data)[name]
    (X, y, task), rows = source.load(name), []
    pool, columns = source.splits(name)[0][0], source.preprocess(name)
    labels = y if task == "classification" else None
    estimator = MLPClassifier if task == "classification" else MLPRegressor
    for n_samples in SIZES:
        for i in range(draws):
            rng = np.random.default_rng([seed, n_samples, i])
            drawn = draw(X, labels, y, pool, columns, n_samples, rng)
            if drawn is None:
                continue
            for candidate, params in candidates.items():
                model = estimator(random_state=seed + i, **{"batch_size": FULL_BATCH} | params)
                start = perf_counter()
                model.fit(*drawn[0])
                result = {"seconds": perf_counter() - start, **scores(task, model, *drawn[1])}
                rows.append({"table": name, "n": n_samples, "candidate": candidate, **result})
    return rows


def log_ratios(rows, n_samples, candidate, metric):
    """Return the mean log ratio to the full batch for each table."""

    def values(name):
        by_table = {}
        for row in rows:
            if row["n"] == n_samples and row["candidate"] == name and metric in row:
                by_table.setdefault(row["table"], []).append(row[metric])
        return {table: np.array(each) for table, each in by_table.items()}

    ours, full = values(candidate), values(FULL)
    shift = 0.0 if metric == "seconds" else SHIFT
    return {t: float(np.mean(np.log((ours[t] + shift) / (full[t] + shift)))) for t in full}


def summary(logs):
    """Return the geometric mean of the ratios, its standard error and the number of tables."""
    logs = np.asarray(logs)
    error = logs.std(ddof=1) / len(logs) ** 0.5 if len(logs) > 1 else np.nan
    return {"ratio": float(np.exp(logs.mean())), "se": float(error), "tables": len(logs)}


def formatted(cell):
    """Format the ratio over all tables, with those over the two halves in parentheses."""
    first, second = (f"{half['ratio']:.3f} ± {half['se']:.3f}" for half in cell["halves"])
    return f"{cell['ratio']:.3f} ± {cell['se']:.3f} ({first}; {second})"


def tabulate(rows, candidates, task):
    """Return the ratios by size, candidate and metric, over all tables and over each half."""
    ratios = {}
    for n_samples in SIZES:
        for candidate in candidates:
            cell = ratios.setdefault(str(n_samples), {}).setdefault(candidate, {})
            for metric in (*METRICS[task], "seconds"):
                logs = log_ratios(rows, n_samples, candidate, metric)
                if len(logs) < 2:
                    continue
                values = [logs[table] for table in sorted(logs)]
                halves = [summary(values[::2]), summary(values[1::2])]
                cell[metric] = {**summary(values), "halves": halves}
    return ratios


def run(args):
    sources = load(args.data)
    names = args.tables.split(",") if args.tables else list(sources)
    candidates = {n: p for n, p in CANDIDATES.items() if n == FULL or args.only in n}
    start = perf_counter()
    rows_by_table = Parallel(n_jobs=args.jobs, verbose=5)(
        delayed(compare)(args.data, candidates, name, 1 if args.smoke else args.draws, args.seed)
        for name in names
    )
    tasks = {}
    for task in METRICS:
        own = [n for n in names if sources[n].TASKS[n] == task]
        rows = [row for each in rows_by_table for row in each if row["table"] in own]
        if not rows:
            continue
        tasks[task] = tabulate(rows, candidates, task)
        for n_samples, by_candidate in tasks[task].items():
            print(
                f"\n{task}, {n_samples} samples: ratio ± standard error (each half of the tables)"
            )
            for candidate, cells in by_candidate.items():
                text = "  ".join(f"{metric} {formatted(cells[metric])}" for metric in cells)
                print(f"{candidate:<30}  {text}")
    print(f"{perf_counter() - start:.0f} seconds")
    if not args.smoke:
        print(save("small", {"seed": args.seed, "draws": args.draws, "tasks": tasks}))


def section(record: dict) -> list[str]:
    batches = record["tasks"]["classification"]["120"]["batch_size=32"]["error"]
    first, second = ("{ratio:.3f} ± {se:.3f}".format(**half) for half in batches["halves"])
    blocks = [
        "## Batch sizes on small tables",
        "The candidates are default estimators with one or two parameters changed. They are "
        f"trained on 30, 60 and 120 samples, drawn {record['draws']} times from the training set "
        "of each table, and scored on other samples of that set. The figures are the ratios of "
        "(metric + 0.01) to its value with a full batch, as geometric means over the tables with "
        "standard errors. The means over each half of the tables are given in parentheses: a "
        "candidate is chosen on the first half and confirmed on the second.",
        "The default is a batch of 32 samples for classifiers and a full batch for regressors. The "
        "gain for classifiers varies between tables: with 120 samples, the error relative to the "
        f"full batch is {first} on the first half of the tables and {second} on the second half.",
    ]
    for task, sizes in record["tasks"].items():
        metrics = [*METRICS[task], "seconds"]
        for n_samples, candidates in sizes.items():
            n_tables = candidates[FULL][metrics[0]]["tables"]
            rows = [
                [candidate, *(_with_halves(cells[metric]) for metric in metrics)]
                for candidate, cells in candidates.items()
            ]
            blocks.append(f"### {task.capitalize()}, {n_samples} samples, {n_tables} tables")
            titles = [TITLES[metric] for metric in metrics]
            blocks.append(markdown_table(["candidate", *titles], rows))
    return blocks


def _with_halves(cell: dict) -> str:
    first, second = (f"{half['ratio']:.3f}" for half in cell["halves"])
    return f"{cell['ratio']:.3f} ± {cell['se']:.3f} ({first}, {second})"


def figures(record: dict) -> dict:
    cells = record["tasks"]["classification"]
    return {
        f"batch of 32, {n} samples: error": round(sizes["batch_size=32"]["error"]["ratio"], 3)
        for n, sizes in cells.items()
    }
