"""Coverage and width of prediction intervals and class sets on the test sets of real tables.

The network is the recipe ``"default"`` of `make_tabular_pipeline`, with three losses. MAPIE's CV+
is fitted around the same network without `cv`, once per fold. With ``--seed 1``, tables with
several splits use the second one, and the networks other random states.

The last part is about tables in the order of time: the models are fitted to the first three
quarters and predict the last one, with ordered and with random folds.
"""

import warnings
from time import process_time

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold, TimeSeriesSplit

from benchmarks._page import markdown_table, percent
from benchmarks._records import save
from benchmarks._report import bootstrap, run_on
from benchmarks._tables import load_tables
from sknn_adam import make_tabular_pipeline
from sknn_adam.conformal import ConformalClassifier, ConformalRegressor
from sknn_adam.losses import QuantileLoss

COVERAGE = 0.9
N_FOLDS = 8
LOSSES = {
    "squared error": "squared_error",
    "gaussian": "gaussian",
    "quantiles": QuantileLoss([0.05, 0.5, 0.95]),
}
RAW = "quantiles, not calibrated"
MAPIE = "squared error, MAPIE's CV+"
# Tables with their rows in the order of time, or the column by which to sort.
ORDERED = {"bikeshare": None, "chicago": None, "flights": "month"}


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folders of tables with a realdata.py")
    parser.add_argument("--tables", default="", help="comma-separated names; default: all")
    parser.add_argument("--seed", type=int, default=1)


def winkler(interval, y):
    """Return the interval score: the width plus a penalty for targets outside, over the std."""
    low, high = interval.T
    outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return float(np.mean(high - low + 2 / (1 - COVERAGE) * outside) / y.std())


def measured(interval, y, seconds=None):
    """Return coverage, interval score and width of intervals, and the seconds of the fit."""
    low, high = interval.T
    found = {
        "coverage": float(np.mean((low <= y) & (y <= high))),
        "winkler": winkler(interval, y),
        "width": float(np.mean(high - low) / y.std()),
    }
    return found if seconds is None else {**found, "seconds": seconds}


def allowed(n_train, n_test):
    """Return three standard deviations of the coverage of intervals with exact coverage."""
    return float(3 * np.sqrt(COVERAGE * (1 - COVERAGE) * (1 / n_train + 1 / n_test)))


def intervals(train, test, groups, seed):
    """Return the measures of each method for a regression table."""
    (X, y), (X_test, y_test), found = train, test, {}
    pipeline = make_tabular_pipeline("regressor", random_state=seed)
    for name, loss in LOSSES.items():
        start = process_time()
        model = ConformalRegressor(clone(pipeline), method="mean", random_state=seed)
        model.set_params(estimator__model__loss=loss).fit(X, y, groups=groups)
        seconds = process_time() - start
        for method in ("mean", "plus"):
            interval = model.set_params(method=method).predict_interval(X_test, COVERAGE)
            found[f"{name}, {method}"] = measured(interval, y_test, seconds)
        if name == "quantiles":
            found[RAW] = measured(model.predict(X_test)[:, [0, -1]], y_test)
    if groups is None:
        found[MAPIE] = measured(*mapie(pipeline, train, test, seed))
    return found


def mapie(pipeline, train, test, seed):
    """Return the intervals of MAPIE, the targets and the seconds of the fit."""
    from mapie.regression import CrossConformalRegressor

    start = process_time()
    model = CrossConformalRegressor(
        clone(pipeline).set_params(model__cv=None),
        confidence_level=COVERAGE,
        method="plus",
        cv=KFold(N_FOLDS, shuffle=True, random_state=seed),
    ).fit_conformalize(*train)
    seconds = process_time() - start
    return model.predict_interval(test[0])[1][:, :, 0], test[1], seconds


def sets(train, test, groups, seed):
    """Return coverage and mean size of each kind of class sets for a table."""
    (X, y), (X_test, y_test), found = train, test, {}
    pipeline = make_tabular_pipeline("classifier", random_state=seed)
    for score in ("aps", "lac"):
        model = ConformalClassifier(pipeline, conformity_score=score, random_state=seed)
        model.fit(X, y, groups=groups)
        codes = np.searchsorted(model.classes_, y_test)
        for method in ("mean", "plus"):
            for empty in (True, False):
                chosen = model.set_params(method=method, allow_empty=empty)
                inside = chosen.predict_set(X_test, COVERAGE)
                found[f"{score}, {method}{', never empty' * (not empty)}"] = {
                    "coverage": float(inside[np.arange(len(codes)), codes].mean()),
                    "size": float(inside.sum(axis=1).mean()),
                }
    accuracy = float(np.mean(model.predict(X_test) == y_test))
    return found | {"accuracy": {"coverage": accuracy}}


def in_order(X, y, seed):
    """Return coverage and errors on later samples, for ordered and random folds."""
    first, found = int(0.75 * len(y)), {}
    past, later = slice(0, first), slice(first, None)
    for name, cv in (
        ("ordered", TimeSeriesSplit(5)),
        ("random", KFold(5, shuffle=True, random_state=0)),
    ):
        pipeline = make_tabular_pipeline("regressor", random_state=seed).set_params(model__cv=cv)
        model = ConformalRegressor(pipeline).fit(X.iloc[past], y[past])
        interval = model.predict_interval(X.iloc[later], COVERAGE)
        scale = y[past].std()
        error = model.predict(X.iloc[later]) - y[later]
        found[name] = {
            **measured(interval, y[later]),
            "oof": float(np.sqrt(np.nanmean(model.conformity_scores_**2)) / scale),
            "forward": float(np.sqrt(np.mean(error**2)) / scale),
        }
    return found


def rounded(found):
    return {
        name: {key: round(value, 5) for key, value in row.items()} for name, row in found.items()
    }


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    source = load_tables(args.data)
    results: dict = {"regression": {}, "classification": {}, "ordered": {}}
    for table in args.tables.split(",") if args.tables else source.TASKS:
        X, y, task = source.load(table)
        splits = source.splits(table)
        train, test = splits[args.seed if args.seed < len(splits) else 0]
        groups = source.groups(table) if hasattr(source, "groups") else None
        groups = None if groups is None else groups[train]
        data = (X.iloc[train], y[train]), (X.iloc[test], y[test])
        measure = intervals if task == "regression" else sets
        results[task][table] = {
            "n_train": len(train),
            "n_test": len(test),
            "groups": groups is not None,
            "allowed": round(allowed(len(train), len(test)), 4),
            "methods": rounded(measure(*data, groups, args.seed)),
        }
        print(table, results[task][table], flush=True)
        if table in ORDERED:
            order = np.argsort(X[ORDERED[table]], kind="stable") if ORDERED[table] else slice(None)
            rows = np.arange(len(y))[order][:: max(1, len(y) // 10_000)]
            results["ordered"][table] = rounded(in_order(X.iloc[rows], y[rows], args.seed))
            print(table, results["ordered"][table], flush=True)
    record = {"seed": args.seed, "coverage": COVERAGE, **results, **summaries(results)}
    print("\n\n".join(section(record)))
    print(save("intervals", record))


def summaries(results):
    """Return the means over tables, and the ratios of interval scores with their intervals."""
    rng = np.random.default_rng(0)
    means: dict = {"regression": {}, "classification": {}}
    ratios: dict = {}
    for task, methods in means.items():
        tables = results[task].values()
        for name in dict.fromkeys(name for table in tables for name in table["methods"]):
            # Tables with groups are judged apart: their test sets have other groups.
            pairs = [(t, t["methods"][name]) for t in tables if name in t["methods"]]
            plain = [(t, row) for t, row in pairs if not t["groups"]]
            if not plain:
                continue
            outside = [abs(row["coverage"] - COVERAGE) > t["allowed"] for t, row in plain]
            methods[name] = {
                key: round(float(np.mean([row[key] for _, row in plain])), 4)
                for key in plain[0][1]
                if key != "seconds"
            }
            methods[name] |= {"tables": len(plain), "outside": int(np.sum(outside))}
            for other in (RAW, MAPIE):
                both = [
                    row["winkler"] / t["methods"][other]["winkler"]
                    for t, row in plain
                    if task == "regression" and other in t["methods"]
                ]
                if both:
                    ratios.setdefault(other, {})[name] = bootstrap(np.log(both), rng)
    return {"means": means, "ratios": ratios}


# -- on the page ---------------------------------------------------------------------------------


def with_interval(values):
    return "{:.3f} ({:.3f} to {:.3f})".format(*values)


def section(record: dict) -> list[str]:
    means, ratios = record["means"], record["ratios"]
    goal = percent(record["coverage"])
    blocks = [
        "## Prediction intervals and class sets",
        f"`ConformalRegressor` and `ConformalClassifier` with a stated coverage of {goal} around "
        "the recipe `default`, on the test sets of real tables. Outside: tables whose coverage "
        "differs from the stated one by more than three standard deviations of the coverage of "
        "exact intervals, which allows for the numbers of training and test samples. The interval "
        "score is the width plus 20 times the distance of targets outside; its ratios are "
        "geometric means with 95 % intervals over bootstrap samples of the tables. Tables with "
        "groups are not included. [](intervals.md) explains the methods.",
    ]
    rows = [
        [name, f"{row['coverage']:.3f}", row["outside"], f"{row['width']:.2f}"]
        + [with_interval(ratios[other][name]) for other in (RAW, MAPIE)]
        for name, row in means["regression"].items()
    ]
    head = ["loss, method", "coverage", "outside", "width / std"]
    heads = ["score / quantiles, not calibrated", "score / MAPIE's CV+"]
    n_tables = max(row["tables"] for row in means["regression"].values())
    blocks += [f"Intervals on {n_tables} regression tables:", markdown_table([*head, *heads], rows)]
    rows = [
        [name, f"{row['coverage']:.3f}", row["outside"], f"{row['size']:.2f}"]
        for name, row in means["classification"].items()
        if "size" in row
    ]
    n_tables = max((row["tables"] for row in means["classification"].values()), default=0)
    blocks += [
        f"Class sets on {n_tables} classification tables:",
        markdown_table(["score, method", "coverage", "outside", "mean size"], rows),
        by_table(record),
        "Tables with groups of rows that belong together, whose test sets have other groups "
        "(folds by groups):",
        with_groups(record),
        "Fitted to the first three quarters in the order of time, for the last quarter. RMSE is "
        "relative to the standard deviation of the training targets:",
    ]
    rows = [
        [table, name, f"{row['coverage']:.3f}", f"{row['oof']:.3f}", f"{row['forward']:.3f}"]
        for table, folds in record["ordered"].items()
        for name, row in folds.items()
    ]
    head = ["table", "folds", "coverage", "out-of-fold RMSE", "RMSE on later samples"]
    return [*blocks, markdown_table(head, rows)]


def by_table(record):
    rows = []
    for table, result in record["regression"].items():
        methods = result["methods"]
        cells = [
            f"{methods[f'{loss}, {which}']['coverage']:.3f}"
            for loss in LOSSES
            for which in ("plus", "mean")
        ]
        other = methods.get(MAPIE)
        cells.append("–" if other is None else f"{other['coverage']:.3f}")
        bound = f"{COVERAGE - result['allowed']:.3f} to {COVERAGE + result['allowed']:.3f}"
        rows.append([table, f"{result['n_train']:,}", bound, *cells])
    heads = [f"{loss}, {which}" for loss in LOSSES for which in ("plus", "mean")]
    return markdown_table(["table", "training rows", "allowed", *heads, "MAPIE's CV+"], rows)


def with_groups(record):
    rows = []
    for task in ("regression", "classification"):
        for table, result in record[task].items():
            if result["groups"]:
                cells = [
                    f"{name}: {row['coverage']:.3f}"
                    for name, row in result["methods"].items()
                    if "plus" in name and "empty" not in name
                ]
                rows.append([table, f"{result['n_train']:,}", "; ".join(cells)])
    return markdown_table(["table", "training rows", "coverage"], rows)


def figures(record: dict) -> dict:
    means = record["means"]
    return {
        f"{name}: coverage": means[task][name]["coverage"]
        for task, name in (
            ("regression", "squared error, plus"),
            ("regression", "quantiles, mean"),
            ("classification", "aps, plus"),
        )
        if name in means[task]
    }
