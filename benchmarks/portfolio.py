"""Choice of the portfolio of `make_tabular_ensemble`, with tables left out.

``--part screen`` cross-fits every configuration (4 folds, at most 2,000 training rows) to the
training set of each table, and stores its predictions of out-of-fold and test samples in a folder.
``--part choose`` reads the folder. The finalists are the 16 configurations that are best together
with the base. One after the other is added to a portfolio that begins with the base, each time the
one that lowers the mean loss of two weighted ensembles most, with and without boosting. To estimate
the gain on other tables, all of this is repeated ten times without a tenth of the tables, and
judged on that tenth. The random configurations are not candidates; the record also has the choice
with them. ``--part repeat`` repeats the choice from the predictions of the latest record.

The loss of a table is the mean of log((metric + 0.01) / (metric of the base + 0.01)) over its
metrics: error and log loss of classes, RMSE / standard deviation of numbers.
"""

import json
import warnings
import zlib
from functools import cache
from itertools import chain
from pathlib import Path
from time import process_time

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, train_test_split

from benchmarks._configurations import BASE, CHANGES, configurations
from benchmarks._forward import Tables
from benchmarks._page import interval, markdown_table
from benchmarks._records import RESULTS, save
from benchmarks._report import bootstrap
from benchmarks._tables import Bundled, load_tables
from benchmarks.score import groups_of_rows
from sknn_adam import MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam.ensemble.cross_fit import in_columns
from sknn_adam.ensemble.portfolio import NO_BINS

METRICS = {"error": "error", "logloss": "log loss", "nrmse": "RMSE"}
N_FOLDS, MOST_ROWS, MOST_TEST_ROWS = 4, 2000, 2000
# Only the predictions of this many samples and configurations are recorded, and used to choose.
RECORDED_ROWS, N_FINALISTS = 500, 16
N_CHOSEN, N_PARTS = 5, 10
# Longest time of a network in a portfolio, relative to the base.
MOST_TIME = 2
# The same networks are used without and with boosting.
COMPANIONS: dict = {"networks": (), "networks and boosting": ("boosting",)}


def add_arguments(parser):
    parser.add_argument("--data", help="folder of tables with a realdata.py")
    parser.add_argument("--store", help="folder of the predictions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("screen", "choose", "repeat"), default="repeat")
    parser.add_argument("--share", default="0/1", help="share of the tables, such as 1/2")


def run(args):
    warnings.simplefilter("ignore")
    if args.part == "screen":
        screen(load_tables(args.data), args)
    elif args.part == "choose":
        choose(Path(args.store), args.seed)
    else:
        predictions = recorded_predictions()
        for title, found in portfolios(predictions, args.seed)[0].items():
            print(title, found)


# -- fits ----------------------------------------------------------------------------------------


def screen(realdata, args):
    share, n_shares = map(int, args.share.split("/"))
    names = sorted(realdata.TASKS, key=lambda name: zlib.crc32(name.encode()))[share::n_shares]
    store = Path(args.store)
    store.mkdir(parents=True, exist_ok=True)
    done = {(row["config"], row["set"]) for row in stored_rows(store)}
    load = cache(lambda name: encoded(realdata, name, args.seed))
    # The first fits compile the loops.
    bundled = Bundled()
    for name in ("breast_cancer", "iris", "diabetes"):
        parts, y, _, cv, n_classes = encoded(bundled, name, args.seed)
        fit_network(parts, {"max_iter": 1}, y, cv, n_classes, args.seed)
    for config, changes in {"boosting": None, **configurations()}.items():
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
    """Return the samples of the first split of a table, encoded with and without bins."""
    X, y, task = realdata.load(name)
    classify, groups = task == "classification", groups_of_rows(realdata, name)
    train, test = realdata.splits(name)[0]
    if len(train) > MOST_ROWS:
        labels = (
            y[train] if classify and np.unique(y[train], return_counts=True)[1].min() > 1 else None
        )
        options = {"train_size": MOST_ROWS, "random_state": seed, "stratify": labels}
        train, _ = train_test_split(train, **options)
    test = test[:MOST_TEST_ROWS]
    parts = {}
    for bins in (True, False):
        pipeline = make_tabular_pipeline(
            "classifier" if classify else "regressor", random_state=seed
        )
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
    start = process_time()
    if config == "boosting":
        oof, test = fit_boosting(parts[False], y, cv, n_classes, seed)
    else:
        oof, test = fit_network(parts, changes, y, cv, n_classes, seed)
    seconds = process_time() - start
    folder = store / name
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{config}.npz", oof=oof.astype(np.float32), test=test.astype(np.float32))
    np.savez(folder / "y.npz", oof=y, test=y_test)
    row = {"config": config, "set": name, "seconds": round(seconds, 3)}
    return row | metrics(y_test, test, float(np.std(y_test)))


def fit_network(parts, changes, y, cv, n_classes, seed):
    params = BASE | changes
    X, X_test = parts[params.pop("bins", True)]
    if not n_classes:
        params.pop("loss__label_smoothing", None)
    folds = params.pop("folds", None)
    if folds:
        jobs = [
            ([split], params | fold, seed + i)
            for i, (split, fold) in enumerate(zip(cv, folds, strict=True))
        ]
    else:
        jobs = [(cv, params, seed)]
    oof, tests, classes = np.zeros((len(y), n_classes or 1)), [], np.arange(n_classes or 0)
    for splits, chosen, random_state in jobs:
        model = (MLPClassifier if n_classes else MLPRegressor)(cv=splits, random_state=random_state)
        model.set_params(**chosen).fit(X, y)
        held = np.concatenate([rows for _, rows in splits])
        predicted = model.oof_prediction_.reshape(len(y), -1)[held]
        if n_classes:
            oof[held] = in_columns(predicted, model.classes_, classes)
            tests.append(in_columns(model.predict_proba(X_test), model.classes_, classes))
        else:
            oof[held] = predicted
            tests.append(model.predict(X_test)[:, None])
    return oof, np.mean(tests, axis=0)


def fit_boosting(part, y, cv, n_classes, seed):
    (X, X_test), folds = part, []
    model = (HistGradientBoostingClassifier if n_classes else HistGradientBoostingRegressor)()
    model.set_params(random_state=seed)
    oof, classes = np.zeros((len(y), n_classes or 1)), np.arange(n_classes or 0)
    for train, held in cv:
        fold = clone(model).fit(X[train], y[train])
        for rows, table in ((held, X), (None, X_test)):
            Z = table if rows is None else table[rows]
            if n_classes:
                predicted = in_columns(fold.predict_proba(Z), fold.classes_, classes)
            else:
                predicted = fold.predict(Z)[:, None]
            if rows is None:
                folds.append(predicted)
            else:
                oof[rows] = predicted
    return oof, np.mean(folds, axis=0)


def metrics(y, predicted, deviation):
    """Return the metrics of predictions of shape (n_rows, n_columns)."""
    if predicted.shape[1] == 1:
        return {"nrmse": root_mean_squared_error(y, predicted[:, 0]) / deviation}
    p = np.clip(predicted, 1e-7, None)
    p /= p.sum(axis=1, keepdims=True)
    error = float(np.mean(predicted.argmax(axis=1) != y))
    return {"error": error, "logloss": log_loss(y, p, labels=range(p.shape[1]))}


# -- choice --------------------------------------------------------------------------------------


def choose(store, seed):
    rows = stored_rows(store)
    tables, single = sorted({row["set"] for row in rows}), singles(rows)
    # A portfolio cannot have different parameters for the folds.
    candidates = [
        name
        for name, changes in configurations().items()
        if name in single and single[name]["seconds"][0] <= MOST_TIME and "folds" not in changes
    ]
    predictions = {}
    for table in tables:
        with np.load(store / table / "y.npz") as y:
            rng = np.random.default_rng(seed)
            picked = [subset(rng, len(y["oof"])), subset(rng, len(y["test"]))]
            targets = [y["oof"][picked[0]], y["test"][picked[1]]]
            # Standardized numbers fit into float16.
            center, scale = (
                (0, 1) if y["oof"].dtype.kind == "i" else (y["oof"].mean(), y["oof"].std())
            )
            predictions[table] = {"y": [(each - center) / scale for each in targets]}
        for name in ("boosting", *candidates):
            with np.load(store / table / f"{name}.npz") as z:
                pair = [z["oof"][picked[0]], z["test"][picked[1]]]
                predictions[table][name] = [((p - center) / scale).astype(np.float16) for p in pair]
    with_random, _ = portfolios(predictions, seed)
    designed = {"y", "boosting", *CHANGES}
    predictions = {
        t: {name: pair for name, pair in each.items() if name in designed}
        for t, each in predictions.items()
    }
    found, finalists = portfolios(predictions, seed)
    kept = {t: {name: each[name] for name in ("y", *finalists)} for t, each in predictions.items()}
    content = {"seed": seed, "fits": rows, "single": single, "finalists": finalists}
    path = save("portfolio", content | {"portfolios": found, "with random": with_random})
    flat = {
        f"{table}/{name}/{side}": array
        for table, each in kept.items()
        for name, pair in each.items()
        for side, array in zip(("oof", "test"), pair, strict=True)
    }
    np.savez_compressed(path.with_suffix(".npz"), **flat)
    print(path)


def subset(rng, n_rows):
    return np.sort(rng.permutation(n_rows)[:RECORDED_ROWS])


def recorded_predictions():
    """Return the predictions that were saved with the latest record."""
    path = sorted((RESULTS / "portfolio").glob("*.npz"))[-1]
    predictions: dict = {}
    with np.load(path) as flat:
        for key, array in flat.items():
            table, name, _ = key.split("/")
            predictions.setdefault(table, {}).setdefault(name, []).append(array)
    return predictions


def tables_of(predictions, companions=((),)):
    # Deviations of the recorded rows, so that the choice can be repeated from them alone.
    deviations = {table: float(np.std(each["y"][1])) for table, each in predictions.items()}

    def judge(table, y, predicted):
        return metrics(y, predicted, deviations[table])

    return Tables(predictions, judge, "base", companions)


def portfolios(predictions, seed):
    """Return the best network and the best portfolio, with their gains, and all finalists."""
    tables, names = tables_of(predictions, COMPANIONS.values()), list(predictions)
    alone = tables_of(predictions)
    networks = sorted(set(next(iter(predictions.values()))) - {"y", "boosting", "base"})
    finalists: dict = {}

    def choose(some):
        single = min(["base", *networks], key=lambda name: alone.loss(some, [name]))
        best = tables.finalists(some, networks, N_FINALISTS)
        finalists.update(dict.fromkeys([*best, *({single} - {"base"})]))
        return [[single], *(chosen for chosen, _ in tables.choose(some, best, N_CHOSEN))]

    steps, order = choose(names), np.random.default_rng(seed).permutation(len(names))
    held = [[names[i] for i in order[part::N_PARTS]] for part in range(N_PARTS)]
    without = [choose([name for name in names if name not in part]) for part in held]

    def gains(step, extra):
        def logs(chosen, some):
            return [tables.logs(name, tuple(sorted({*chosen, *extra}))) for name in some]

        left_out = [logs(each[step], part) for each, part in zip(without, held, strict=True)]
        return {
            "portfolio": [*steps[step], *extra],
            "tables that chose": by_metric(logs(steps[step], names), seed),
            "tables left out": by_metric(list(chain.from_iterable(left_out)), seed),
        }

    found = {"one network": {"steps": [gains(0, ())]}}
    for title, extra in COMPANIONS.items():
        found[title] = {"steps": [gains(step, extra) for step in range(1, len(steps))]}
    found["networks"]["chosen without a tenth"] = [each[-1] for each in without]
    return found, ["base", *finalists, "boosting"]


def by_metric(logs, seed):
    """Return ratios and intervals for each metric."""
    return {
        metric: bootstrap(
            [each[metric] for each in logs if metric in each], np.random.default_rng(seed)
        )
        for metric in METRICS
        if any(metric in each for each in logs)
    }


def singles(rows):
    """Return the ratios of each configuration alone to the base, and of their times."""
    by_config: dict = {}
    for row in rows:
        by_config.setdefault(row["config"], {})[row["set"]] = row
    base, found = by_config["base"], {}
    for name, fits in by_config.items():
        if set(fits) != set(base):
            continue
        found[name] = {}
        for metric, shift in (*((m, 0.01) for m in METRICS), ("seconds", 0.001)):
            logs = [
                np.log((row[metric] + shift) / (base[table][metric] + shift))
                for table, row in fits.items()
                if metric in row
            ]
            found[name][metric] = bootstrap(logs, np.random.default_rng(0))
    return found


# -- page ----------------------------------------------------------------------------------------


def section(record: dict) -> list[str]:
    titles = METRICS | {"seconds": "time"}
    single = [
        [name, *(interval(*found[metric], 3) for metric in titles)]
        for name, found in record["single"].items()
        if name != "base"
    ]

    def chosen(portfolios):
        rows = [
            [", ".join(step["portfolio"]), side, *(interval(*step[side][m], 3) for m in METRICS)]
            for found in portfolios
            for step in found["steps"]
            for side in ("tables that chose", "tables left out")
        ]
        return markdown_table(["portfolio", "tables", *METRICS.values()], rows)

    last = [{"steps": each["steps"][-1:]} for each in record["with random"].values()]
    n_tables = len({row["set"] for row in record["fits"]})
    return [
        "## The portfolio of `make_tabular_ensemble`",
        f"Configurations of the network were cross-fitted to {n_tables} tables (4 folds, at most "
        "2,000 training rows). The figures are ratios to the base, with 95 % intervals over "
        "bootstrap samples of the tables: geometric means of (metric + 0.01) / (metric of the base "
        "+ 0.01) on the test sets.",
        markdown_table(["configuration", *titles.values()], single),
        "The best single configuration, and weighted ensembles of several. Each row adds the "
        "configuration that lowers the mean loss of the ensembles with and without boosting most; "
        f"those that take more than {MOST_TIME} times as long as the base are not considered. For "
        "the tables left out, the choice was repeated ten times without a tenth of the tables, and "
        "judged on that tenth.",
        chosen(record["portfolios"].values()),
        "The same if the random configurations are candidates, too:",
        chosen(last),
    ]
