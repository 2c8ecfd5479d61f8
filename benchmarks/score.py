"""All methods on the test sets of real tables, in one run: scores, and times of fit and predict.

The methods are the recipes and ensembles of this package, its default estimators, scikit-learn's
MLP and histogram gradient boosting, and, where they are installed, LightGBM, CatBoost,
ChimeraBoost, RealMLP_TD and TabM_D. All have their default parameters and use one thread. Seed s is
the random state of the estimators. It also selects a split of the table, if it has several.

Each fit is saved to an unfinished file, from which ``--add`` continues. Two processes share the
work with ``--part 0/2`` and ``--part 1/2``; then ``--merge`` joins their files into a record.
"""

import warnings
from time import process_time

import numpy as np
from sklearn.metrics import log_loss, root_mean_squared_error
from threadpoolctl import threadpool_limits

from benchmarks._methods import (
    ENSEMBLES,
    GROUPS,
    METHODS,
    OURS,
    installed,
    networks_fitted_once,
    problem,
    warm_up,
)
from benchmarks._page import origin
from benchmarks._records import (
    discard_unfinished,
    facts,
    newest,
    save,
    save_unfinished,
    unfinished,
    unfinished_names,
)
from benchmarks._score_page import draw_figure, large_section, section
from benchmarks._score_summary import results
from benchmarks._tables import load_tables

__all__ = ["SECTIONS", "draw_figure", "figures", "section"]

SECTIONS = {"score": section, "large": large_section}


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folders of tables, or 'bundled'")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated names")
    parser.add_argument("--tables", default="", help="comma-separated names (default: all)")
    parser.add_argument("--part", default="0/1", help="I/N: every N-th table, from number I")
    parser.add_argument("--add", action="store_true", help="continue an interrupted or earlier run")
    parser.add_argument(
        "--replace", action="store_true", help="with --add: fit the methods of the record again"
    )
    parser.add_argument(
        "--uncapped", action="store_true", help="all training rows; the record is called 'large'"
    )
    parser.add_argument("--merge", action="store_true", help="save the unfinished files, no fits")


def run(args):
    warnings.simplefilter("ignore")
    realdata = load_tables(args.data)
    selected = args.methods.split(",")
    if unknown := set(selected) - set(METHODS):
        raise SystemExit(f"Unknown methods {sorted(unknown)}. Known methods: {', '.join(METHODS)}.")
    kind = "score"
    if args.uncapped:
        kind, realdata.MAX_ROWS = "large", 10**9
    before = recorded(kind) if args.add else {}
    if args.merge:
        finish(realdata, kind, before, unfinished_names(f"{kind}*"))
        return
    part, n_parts = (int(number) for number in args.part.split("/"))
    name = kind if n_parts == 1 else f"{kind}_{part}_of_{n_parts}"
    content = so_far(name, args.add)
    rows = content["rows"]
    done = {key(row) for row in rows if "exception" not in row}
    if not args.replace:
        done |= {key(row) for row in before.get("rows", ()) if "exception" not in row}
    selected, tables = installed(selected), list(realdata.TASKS)
    chosen = args.tables.split(",") if args.tables else tables
    warm: set = set()
    for seed in range(args.seeds):
        for table in chosen:
            wanted = [method for method in selected if (method, table, seed) not in done]
            if wanted and (tables.index(table) + seed) % n_parts == part:
                for row in measure(realdata, table, seed, wanted, warm):
                    # A failed fit is tried again.
                    rows[:] = [other for other in rows if key(other) != key(row)] + [row]
                    save_unfinished(name, content)
                    show(row)
    if n_parts == 1:
        finish(realdata, kind, before, [name])
    else:
        print(f"Part {args.part} is complete. If all are, run the command again with --merge.")


def recorded(kind):
    """Return the latest record of a kind, or an empty dict if there is none."""
    try:
        return newest(kind)
    except FileNotFoundError:
        return {}


def so_far(name, add):
    """Return the rows of the unfinished file of this run, and the commands that made them."""
    content = {"rows": [], "commands": []}
    if name in unfinished_names(f"{name}*"):
        if not add:
            raise SystemExit(
                f"{name}.unfinished has results: pass --add to continue, or remove it."
            )
        content = unfinished(name)
    this = facts()
    content["commands"].append(f"{this['command']} ({this['date']}, commit {this['commit']})")
    return content


def key(row):
    return row["method"], row["table"], row["seed"]


def finish(realdata, kind, before, names):
    """Save the rows of unfinished files and of an earlier record as a new record."""
    by_key = {key(row): row for row in before.get("rows", ())}
    commands = list(before.get("commands", ()))
    for name in [name for name in unfinished_names(f"{kind}*") if name in names]:
        by_key |= {key(row): row for row in unfinished(name)["rows"]}
        commands += unfinished(name)["commands"]
    if not by_key:
        raise SystemExit("There are no results to save.")
    order = {name: i for i, name in enumerate(METHODS)}
    rows = sorted(
        by_key.values(), key=lambda row: (order[row["method"]], row["table"], row["seed"])
    )
    tables = {name: size(realdata, name) for name in dict.fromkeys(row["table"] for row in rows)}
    record = {"seeds": len({row["seed"] for row in rows}), "commands": sorted(commands)}
    record |= results(rows, tables)
    if before:
        record["before"] = [origin(before), *before.get("before", ())]
    print(save(kind, {**record, "tables": tables, "rows": rows}))
    for name in names:
        discard_unfinished(name)
    print(record["formula"])
    for reference, by_method in record["ratios"].items():
        for method, ratios in by_method.items():
            cells = (f"{metric} {each['ratio']}" for metric, each in ratios.items())
            print(f"{method} / {reference}:", *cells)
    for method, times in record["times"].items():
        print(method, times)
    print(record["out_of_fold"])
    for row in rows:
        if "exception" in row:
            show(row)


def size(realdata, table):
    """Return the numbers of rows, columns and classes of a table."""
    X, y, task = realdata.load(table)
    return {
        "training rows": len(realdata.splits(table)[0][0]),
        "columns": X.shape[1],
        "categorical": X.select_dtypes(exclude="number").shape[1],
        "classes": int(y.max()) + 1 if task == "classification" else 0,
        "groups": groups_of_rows(realdata, table) is not None,
    }


def groups_of_rows(realdata, table):
    return realdata.groups(table) if hasattr(realdata, "groups") else None


# -- one table -----------------------------------------------------------------------------------


def measure(realdata, table, seed, methods, warm):
    """Yield one row per method; that of a failed fit has an "exception"."""
    X, y, task = realdata.load(table)
    splits = realdata.splits(table)
    split = seed % len(splits)
    train, test = splits[split]
    n_classes = int(y.max()) + 1 if task == "classification" else 0
    target = "regression" if not n_classes else "binary" if n_classes == 2 else "multiclass"
    groups = groups_of_rows(realdata, table)
    X_train, X_test = (X.iloc[rows].reset_index(drop=True) for rows in (train, test))
    networks: dict = {}
    for method in methods:
        row = {"method": method, "table": table, "seed": seed, "split": split}
        try:
            if (method, target) not in warm:
                warm_up(method, target)
                warm.add((method, target))
            params = {}
            if groups is not None and method in GROUPS:
                params[GROUPS[method]] = groups[train]
            model = METHODS[method](problem(X, task, seed, realdata.preprocess(table)))
            # Libraries that were loaded after an earlier call are limited, too.
            with threadpool_limits(1), networks_fitted_once(networks) as saved:
                start = process_time()
                model.fit(X_train, y[train], **params)
                row["fit_seconds"] = round(process_time() - start + sum(saved), 4)
                row |= scores(model, X_test, y[test], n_classes)
            if method in ENSEMBLES:
                row |= out_of_fold_scores(model, X_test, y[train], y[test])
        # A failure of one method is recorded. It does not end the run.
        except Exception as error:
            row["exception"] = f"{type(error).__name__}: {error}"[:300]
        yield row


def scores(model, X, y, n_classes):
    """Return the metrics on a test set and the CPU seconds of predict."""
    start = process_time()
    predicted = np.ravel(model.predict(X))
    seconds = {"predict_seconds": round(process_time() - start, 4)}
    if not n_classes:
        return {"nrmse": float(root_mean_squared_error(y, predicted) / np.std(y)), **seconds}
    # A small training set can lack a class.
    probability = np.zeros((len(y), n_classes))
    probability[:, np.asarray(model.classes_, dtype=int)] = model.predict_proba(X)
    probability = np.clip(probability, 1e-7, 1 - 1e-7)
    probability /= probability.sum(axis=1, keepdims=True)
    return {
        "error": float(np.mean(predicted.astype(int) != y)),
        "logloss": float(log_loss(y, probability, labels=np.arange(n_classes))),
        **seconds,
    }


def out_of_fold_scores(model, X, y, y_test):
    """Return the out-of-fold scores of an ensemble on the scale of the test score.

    The "sampling_error" is the standard error of (out-of-fold score) / (test score) that follows
    from the finite numbers of samples alone.
    """
    found = {
        "nested_oof_score": -float(model.nested_oof_score_),
        "oof_score": -float(model.oof_score_),
    }
    classes = getattr(model, "classes_", None)
    if classes is None:
        found = {name: value**0.5 / float(np.std(y_test)) for name, value in found.items()}
    predicted = (model.predict if classes is None else model.predict_proba)(X)
    errors = [
        relative_error(losses(model.oof_prediction_, y, classes)),
        relative_error(losses(predicted, y_test, classes)),
    ]
    # A relative error of the mean squared error is half as large for its root.
    scale = 0.5 if classes is None else 1.0
    return {**found, "sampling_error": scale * float(np.hypot(*errors))}


def losses(predicted, y, classes):
    """Return the log loss or squared error of each sample."""
    if classes is None:
        return (np.ravel(predicted) - y) ** 2
    probability = np.where(classes[None, :] == y[:, None], predicted, 0).sum(axis=1)
    return -np.log(np.clip(probability, 1e-7, 1))


def relative_error(values):
    """Return the standard error of a mean, relative to the mean."""
    return values.std(ddof=1) / np.sqrt(len(values)) / max(values.mean(), 1e-12)


def show(row):
    head = f"{row['method']:<20} {row['table']:<20} seed {row['seed']}"
    values = (f"{name} {row[name]:.4g}" for name in row if isinstance(row[name], float))
    print(head, row.get("exception") or ", ".join(values), flush=True)


def figures(record: dict) -> dict:
    """Return the ratios of the loss of this package's methods to the first reference."""
    reference, by_method = next(iter(record["ratios"].items()))
    return {
        f"{method} / {reference}: loss": by_method[method]["loss"]["ratio"][0]
        for method in OURS
        if method in by_method
    }
