"""Batch sizes, epochs, averaging and penalties on small tables, beside the full batch.

Samples are drawn from the training parts of the tables, a new set for every draw; the networks are
scored on other samples of the training part, so no test sample is read. Figures are geometric means
over the tables of (metric + 0.01) / (metric of the full batch + 0.01): below 1 is better than the
full batch. Differences are paired by draw, and their standard errors are over tables, because the
draws of one table are not independent. A candidate is chosen on half of the tables and confirmed on
the other half.
"""

import warnings
from time import perf_counter

import numpy as np
from joblib import Parallel, delayed
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from benchmarks._page import markdown_table
from benchmarks._records import save
from benchmarks._tables import Bundled, load_tables
from sknn_adam import MLPClassifier, MLPRegressor

SIZES = (30, 60, 120)
FULL = "full batch"
FULL_BATCH = max(SIZES)  # a batch of at least n_samples is the whole table
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
MOST_COLUMNS, MOST_TEST_SAMPLES = 50, 1000  # keep the study short
FEWEST_TEST_SAMPLES = 30
SAMPLES_PER_CLASS = 5  # tables with fewer samples per class are left out
SHIFT = 0.01


def add_arguments(parser):
    parser.add_argument("--data", default="bundled", help="folders of tables, or 'bundled'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tables", default="", help="comma separated names; all by default")
    parser.add_argument("--only", default="", help="candidates whose name contains this")
    parser.add_argument("--smoke", action="store_true", help="one draw, no file")


def draw(X, labels, y, pool, columns, n_samples, rng):
    """Return X and y of a small training set and of a test set, or None if there are too few."""
    if labels is not None:
        found, counts = np.unique(y[pool], return_counts=True)
        if SAMPLES_PER_CLASS * len(found) > n_samples:
            return None
        pool = pool[np.isin(y[pool], found[counts > 1])]
    if len(pool) < n_samples + FEWEST_TEST_SAMPLES:
        return None
    some, others = train_test_split(
        pool,
        train_size=n_samples,
        stratify=None if labels is None else y[pool],
        random_state=int(rng.integers(2**31)),
    )
    if labels is not None:  # classes that no network could know
        others = others[np.isin(y[others], y[some])]
        if len(np.unique(y[some])) < 2:
            return None
    others = rng.permutation(others)[:MOST_TEST_SAMPLES]
    columns.fit(X.iloc[some])
    X_some, X_others = (
        np.asarray(columns.transform(X.iloc[rows]), np.float64) for rows in (some, others)
    )
    kept = rng.permutation(X_some.shape[1])[:MOST_COLUMNS]
    return (X_some[:, kept], y[some]), (X_others[:, kept], y[others])


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
    """Return a source of tables by name: those of `data`, and iris and wine."""
    source = load_tables(data)
    return dict.fromkeys(("iris", "wine"), Bundled()) | dict.fromkeys(source.TASKS, source)


def compare(data, candidates, name, draws, seed):
    """Return one row per size, draw and candidate of a table."""
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
                found = {"seconds": perf_counter() - start, **scores(task, model, *drawn[1])}
                rows.append({"table": name, "n": n_samples, "candidate": candidate, **found})
    return rows


def log_ratios(rows, n_samples, candidate, metric):
    """Return by table the mean logarithm of the ratios to the full batch."""

    def values(name):
        found = {}
        for row in rows:
            if row["n"] == n_samples and row["candidate"] == name and metric in row:
                found.setdefault(row["table"], []).append(row[metric])
        return {table: np.array(each) for table, each in found.items()}

    ours, full = values(candidate), values(FULL)
    shift = 0.0 if metric == "seconds" else SHIFT
    return {t: float(np.mean(np.log((ours[t] + shift) / (full[t] + shift)))) for t in full}


def summary(logs):
    """Return the geometric mean of the ratios, its standard error and the number of tables."""
    logs = np.asarray(logs)
    error = logs.std(ddof=1) / len(logs) ** 0.5 if len(logs) > 1 else np.nan
    return {"ratio": float(np.exp(logs.mean())), "se": float(error), "tables": len(logs)}


def told(cell):
    """Return a figure as text: of all tables, and in parentheses of either half."""
    first, second = (f"{half['ratio']:.3f} ± {half['se']:.3f}" for half in cell["halves"])
    return f"{cell['ratio']:.3f} ± {cell['se']:.3f} ({first}; {second})"


def tabulate(rows, candidates, task):
    """Return by size, candidate and metric the ratios: of all tables, and of either half."""
    found = {}
    for n_samples in SIZES:
        for candidate in candidates:
            cell = found.setdefault(str(n_samples), {}).setdefault(candidate, {})
            for metric in (*METRICS[task], "seconds"):
                logs = log_ratios(rows, n_samples, candidate, metric)
                if len(logs) < 2:
                    continue
                values = [logs[table] for table in sorted(logs)]
                halves = [summary(values[::2]), summary(values[1::2])]
                cell[metric] = {**summary(values), "halves": halves}
    return found


def run(args):
    sources = load(args.data)
    names = args.tables.split(",") if args.tables else list(sources)
    candidates = {n: p for n, p in CANDIDATES.items() if n == FULL or args.only in n}
    start = perf_counter()
    several = Parallel(n_jobs=args.jobs, verbose=5)(
        delayed(compare)(args.data, candidates, name, 1 if args.smoke else args.draws, args.seed)
        for name in names
    )
    tasks = {}
    for task in METRICS:
        own = [n for n in names if sources[n].TASKS[n] == task]
        rows = [row for each in several for row in each if row["table"] in own]
        if not rows:
            continue
        tasks[task] = tabulate(rows, candidates, task)
        for n_samples, found in tasks[task].items():
            print(f"\n{task}, {n_samples} samples: ratio ± standard error (either half of tables)")
            for candidate, cells in found.items():
                text = "  ".join(f"{metric} {told(cells[metric])}" for metric in cells)
                print(f"{candidate:<30}  {text}")
    print(f"{perf_counter() - start:.0f} seconds")
    if not args.smoke:
        print(save("small", {"seed": args.seed, "draws": args.draws, "tasks": tasks}))


TITLES = {"error": "error", "logloss": "log loss", "nrmse": "RMSE", "seconds": "time"}


def section(found: dict) -> list[str]:
    batches = found["tasks"]["classification"]["120"]["batch_size=32"]["error"]
    first, second = ("{ratio:.3f} ± {se:.3f}".format(**half) for half in batches["halves"])
    blocks = [
        "## Batches on small tables",
        "Default estimators with one or two parameters changed, on 30, 60 and 120 samples drawn "
        f"{found['draws']} times from the training set of each table and scored on other samples "
        "of that set: geometric means over the tables of (metric + 0.01) relative to a batch of "
        "all samples, with their standard errors over tables. In parentheses are the ratios on the "
        "two halves of the tables: a candidate is chosen on the first half and confirmed on the "
        "second.",
        "The default is a batch of 32 for classifiers and of all samples for regressors. The gain "
        f"of classifiers varies between tables: on 120 samples the ratio of the errors is {first} "
        f"on the first half of the tables and {second} on the second.",
    ]
    for task, sizes in found["tasks"].items():
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


def figures(found: dict) -> dict:
    cells = found["tasks"]["classification"]
    return {
        f"batch of 32, {n} samples: error": round(sizes["batch_size=32"]["error"]["ratio"], 3)
        for n, sizes in cells.items()
    }
