"""Raw tables compared with the same tables cleaned by hand, and with skrub on the raw tables.

The tables are generated, see ``benchmarks/_dirty.py``. Each table has one split into 75 % training
and 25 % test samples. The metric is the log loss, or the RMSE divided by the standard deviation of
the test targets. Ratios are (metric + 0.01) / (metric of the other side + 0.01). The recipe is
"fast". skrub's pipeline has the same network. If skrub is not installed, it is left out.

``--explain`` examines each table on which the raw table is more than 3 % worse: it repeats the
comparison with two other random states, and replaces one column at a time by its cleaned version.
``--costs`` measures the time of the column steps instead, see ``benchmarks/_raw_costs.py``.
"""

import warnings
from importlib.util import find_spec

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from benchmarks._dirty import DATES, KINDS, dates, read_back, table, words
from benchmarks._page import interval, markdown_table
from benchmarks._raw_costs import costs, costs_section
from benchmarks._records import discard_unfinished, save, save_unfinished, unfinished
from benchmarks._report import add_clock, bootstrap
from sknn_adam import make_tabular_pipeline

try:
    import pandas as pd
# Records are shown without pandas, too.
except ImportError:
    pd = None

WORSE = 1.03
ALL_SIDES = "ours, raw;ours, cleaned;skrub, raw"
RATIOS = {
    "raw / cleaned": ("ours, raw", "ours, cleaned"),
    "skrub / ours": ("skrub, raw", "ours, raw"),
}
BUNDLED = (load_iris, load_breast_cancer, load_wine, load_digits, load_diabetes)


def add_arguments(parser):
    parser.add_argument("--first", type=int, default=200, help="number of generated tables")
    parser.add_argument("--seed", type=int, default=0, help="random state of the estimators")
    parser.add_argument("--sides", default=ALL_SIDES, help="sides to fit (default: all)")
    parser.add_argument("--explain", action="store_true", help="examine tables that are worse")
    parser.add_argument("--add", action="store_true", help="add to the results of the previous run")
    parser.add_argument("--costs", action="store_true", help="time of the column steps instead")
    parser.add_argument("--reference", help="commit to compare the time with")
    parser.add_argument("--repeats", type=int, default=7, help="repetitions of the timings")
    parser.add_argument("--smoke", action="store_true", help="two tables, no record")
    add_clock(parser)


# -- sides ---------------------------------------------------------------------------------------


def ours(task, seed):
    kind = "regressor" if task == "regression" else "classifier"
    return make_tabular_pipeline(kind, recipe="fast", random_state=seed)


def theirs(task, seed):
    """Return skrub's pipeline with the same network."""
    import skrub

    return skrub.tabular_pipeline(ours(task, seed)["model"])


def metric(task, model, X, y):
    if task == "regression":
        return float(np.sqrt(np.mean((model.predict(X) - y) ** 2)) / np.std(y))
    return float(log_loss(y, model.predict_proba(X), labels=model.classes_))


def split(y, task):
    stratify = None if task == "regression" else y
    return train_test_split(np.arange(len(y)), random_state=0, stratify=stratify)


def loss(make, data, X, seed):
    """Return the metric of one side on the test samples, and the fitted model."""
    train, test = split(data.y, data.task)
    model = make(data.task, seed).fit(X.iloc[train].reset_index(drop=True), data.y[train])
    return metric(data.task, model, X.iloc[test].reset_index(drop=True), data.y[test]), model


def ratio(one, other):
    return (one + 0.01) / (other + 0.01)


# -- generated tables ----------------------------------------------------------------------------


def compare(row, seed, wanted):
    """Add the losses of the wanted sides on a generated table, and the types that were found."""
    data = table(row["table"])
    row |= {"rows": len(data.y), "task": data.task, "informative": data.informative}
    row["columns"] = list(data.raw)
    sides = {
        "ours, raw": (ours, data.raw),
        "ours, cleaned": (ours, data.cleaned),
        "skrub, raw": (theirs, data.raw),
    }
    losses = row.setdefault("loss", {})
    for name, (make, X) in sides.items():
        if name not in wanted or name in losses:
            continue
        try:
            losses[name], model = loss(make, data, X, seed)
        except Exception as error:
            row.setdefault("errors", {})[name] = f"{type(error).__name__}: {error}"[:300]
            continue
        if name == "ours, raw":
            row["types"] = {n: t.type for n, t in model["columns"].column_types_.items()}


def explain(table_seed, seed):
    """Return the ratio for other random states, and with one column cleaned at a time."""
    data = table(table_seed)
    losses = {"raw": [], "cleaned": []}
    for other in range(seed, seed + 3):
        losses["raw"].append(loss(ours, data, data.raw, other)[0])
        losses["cleaned"].append(loss(ours, data, data.cleaned, other)[0])
    found = {"seeds": [round(ratio(*pair), 3) for pair in zip(*losses.values(), strict=True)]}
    for name, column in data.raw.items():
        if name in data.cleaned and column.equals(data.cleaned[name]):
            continue
        X = data.raw.drop(columns=name)
        if name in data.cleaned:
            X = data.raw.assign(**{name: data.cleaned[name]})
        cleaned = loss(ours, data, X, seed)[0]
        found.setdefault("one cleaned", {})[name] = round(ratio(cleaned, losses["cleaned"][0]), 3)
    return found


def of_rows(rows, name):
    """Return the ratio of two sides on each table that has both."""
    one, other = RATIOS[name]
    both = [row for row in rows if one in row["loss"] and other in row["loss"]]
    return {row["table"]: ratio(row["loss"][one], row["loss"][other]) for row in both}


def summary(rows):
    """Return the geometric means, medians and worst tables of the ratios, and the types found."""
    content = {}
    for name in RATIOS:
        ratios = of_rows(rows, name)
        if ratios:
            logs = np.log(list(ratios.values()))
            worst = sorted(ratios, key=ratios.get, reverse=True)[:10]
            content[name] = {
                "geometric mean": bootstrap(logs, np.random.default_rng(0)),
                "median": round(float(np.exp(np.median(logs))), 3),
                "above 1.03": sum(value > WORSE for value in ratios.values()),
                "tables": len(ratios),
                "worst": {t: round(ratios[t], 3) for t in worst},
            }
    counts: dict = {}
    for row in rows:
        for column, found in row.get("types", {}).items():
            kind = column.split(": ")[1]
            by_kind = counts.setdefault(kind, {"expected": KINDS[kind][0], "found": {}})["found"]
            by_kind[found] = by_kind.get(found, 0) + 1
    content["types"] = counts
    content["errors"] = {str(row["table"]): row["errors"] for row in rows if "errors" in row}
    return content


# -- special cases -------------------------------------------------------------------------------


def cases(seed, n=600):
    """Return the scores on tables with one difficult column: R², or the accuracy for text."""
    found = {}
    for name in DATES:
        rng = np.random.default_rng(seed)
        column = dates(name)(rng, n)
        days = (column.clean - column.clean.min()) / np.timedelta64(1, "D")
        y = days / days.max() + 0.5 * np.sin(2 * np.pi * days / 365.2425)
        y = y + 0.05 * rng.normal(size=n)
        frames = read_back({"date": column.cells}), pd.DataFrame({"date": column.clean})
        found[f"dates: {name}"] = scored("regression", *frames, y, seed)
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=n), 3)
    y = 3 * x + 0.1 * rng.normal(size=n)
    blanks = np.arange(n) % 200 == 7
    # read_csv skips lines that contain only blanks, so there must be another column.
    other = np.arange(n) % 7
    raw = read_back({"x": np.where(blanks, " ", x.astype(str)), "other": other})
    cleaned = pd.DataFrame({"x": np.where(blanks, np.nan, x), "other": other})
    found["numbers, one cell in 200 blank"] = scored("regression", raw, cleaned, y, seed)
    raw = pd.DataFrame({"x": x.astype(str).astype(object)})
    found["numbers as text, y = 3x"] = scored(
        "regression", raw, pd.DataFrame({"x": x}), 3 * x, seed
    )
    texts, y = texts_with_a_word(rng, n, n_values=468)
    X = pd.DataFrame({"text": texts})
    found["free text, 468 values, one word decides"] = scored("binary", X, X, y, seed)
    return found


def texts_with_a_word(rng, n, n_values):
    """Return n texts with n_values distinct ones, and whether each contains one word."""
    vocabulary, different = words(rng, 60), {}
    while len(different) < n_values:
        chosen = rng.choice(vocabulary[1:], rng.integers(4, 9), replace=False)
        if len(different) % 2:
            chosen[rng.integers(len(chosen))] = vocabulary[0]
        different[" ".join(chosen)] = len(different) % 2 == 1
    values = list(different)
    order = np.concatenate([np.arange(n_values), rng.integers(0, n_values, n - n_values)])
    texts = [values[i] for i in rng.permutation(order)]
    return texts, np.array(["yes" if different[text] else "no" for text in texts])


def scored(task, raw, cleaned, y, seed):
    """Return the R² or the accuracy of all sides."""
    train, test = split(y, task)
    sides = {"ours, raw": (ours, raw), "ours, cleaned": (ours, cleaned)}
    if find_spec("skrub"):
        sides["skrub, raw"] = (theirs, raw)
    scores = {}
    for name, (make, X) in sides.items():
        model = make(task, seed).fit(X.iloc[train].reset_index(drop=True), y[train])
        predicted = model.predict(X.iloc[test].reset_index(drop=True))
        function = r2_score if task == "regression" else accuracy_score
        scores[name] = round(float(function(y[test], predicted)), 4)
    return scores


# -- tables of scikit-learn ----------------------------------------------------------------------


def bundled(seed):
    """Return the mean loss over five folds for both pipelines on scikit-learn's tables."""
    found = {}
    for load in BUNDLED if find_spec("skrub") else ():
        X, y = load(return_X_y=True, as_frame=True)
        y = y.to_numpy()
        task = "regression" if load is load_diabetes else "classification"
        folds = (KFold if task == "regression" else StratifiedKFold)(
            5, shuffle=True, random_state=0
        )
        losses: dict = {"ours": [], "skrub": []}
        for train, test in folds.split(X, y):
            for name, make in (("ours", ours), ("skrub", theirs)):
                model = make(task, seed).fit(X.iloc[train], y[train])
                losses[name].append(metric(task, model, X.iloc[test], y[test]))
        means = {name: round(float(np.mean(each)), 4) for name, each in losses.items()}
        means["skrub / ours"] = round(ratio(means["skrub"], means["ours"]), 3)
        found[load.__name__.removeprefix("load_")] = means
        print(load.__name__, means, flush=True)
    return found


def run(args):
    warnings.simplefilter("ignore")
    if args.costs:
        costs(args)
        return
    wanted = set(args.sides.split(";"))
    if not find_spec("skrub"):
        print("skrub is not installed and left out.")
        wanted.discard("skrub, raw")
    known = unfinished("raw_tables") if args.add else {}
    rows = known.get("rows", [])
    for table_seed in range(len(rows), 2 if args.smoke else args.first):
        rows.append({"table": table_seed})
    for row in rows:
        compare(row, args.seed, wanted)
        print(row["table"], row["loss"], row.get("errors", ""), flush=True)
        if not args.smoke:
            save_unfinished("raw_tables", {**known, "rows": rows})
    if args.sides != ALL_SIDES and not args.smoke:
        print("Fit the other sides with --add.")
        return
    content = {"seed": args.seed, **summary(rows)}
    print({name: content[name] for name in RATIOS if name in content})
    if args.smoke:
        return
    content["worse"] = known.get("worse", {})
    ratios = of_rows(rows, "raw / cleaned")
    for name in [str(t) for t in ratios if args.explain and ratios[t] > WORSE]:
        if name not in content["worse"]:
            content["worse"][name] = explain(int(name), args.seed)
            save_unfinished("raw_tables", {**known, "worse": content["worse"], "rows": rows})
        print(name, content["worse"][name], flush=True)
    content["cases"] = known.get("cases") or cases(args.seed)
    content["bundled"] = known.get("bundled") or bundled(args.seed)
    print(content["cases"])
    print(save("raw_tables", {**content, "rows": rows}))
    discard_unfinished("raw_tables")


# -- on the page ---------------------------------------------------------------------------------


def section(record: dict) -> list[str]:
    rows = []
    for name in RATIOS:
        if name in record:
            found = record[name]
            above = f"{found['above 1.03']} of {found['tables']}"
            mean = interval(*found["geometric mean"], 3)
            rows.append([name, mean, f"{found['median']:.3f}", above])
    sides = list(next(iter(record["cases"].values())))
    scores = [
        [name, *(f"{found[side]:.3f}" for side in sides)] for name, found in record["cases"].items()
    ]
    losses = [
        [name, f"{found['ours']:.3f}", f"{found['skrub']:.3f}", f"{found['skrub / ours']:.2f}"]
        for name, found in record["bundled"].items()
    ]
    blocks = [
        "## Raw tables",
        f"{len(record['rows'])} generated tables have dates, dirty numbers, booleans, free text, "
        "many levels and identifiers in text columns, as `read_csv` returns them. "
        '`make_tabular_pipeline` with the recipe "fast" is fitted to each raw table and to the '
        "same table cleaned by hand, and skrub's `tabular_pipeline` with the same network to the "
        "raw table. The figures are ratios of the log loss or RMSE on the test samples: the "
        "geometric mean with its 95 % interval over bootstrap samples of the tables, the median, "
        "and the number of tables with a ratio above 1.03.",
        markdown_table(["ratio", "geometric mean", "median", "above 1.03"], rows),
        "The next table shows the R² of tables with one column, and the accuracy for free text.",
        markdown_table(["column", *sides], scores),
    ]
    if losses:
        blocks += [
            "On the tables of scikit-learn, which contain only numbers, the mean losses over five "
            "folds are:",
            markdown_table(["table", "ours", "skrub", "ratio"], losses),
        ]
    return blocks


SECTIONS = {"raw_tables": section, "raw_tables_costs": costs_section}


def figures(record: dict) -> dict:
    # Records of the costs have none of these ratios.
    return {name: record[name]["geometric mean"][0] for name in RATIOS if name in record}
