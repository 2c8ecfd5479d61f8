"""Changes to the recipes of ``make_tabular_pipeline``, compared on training sets.

Each training set is split again into 75 % and 25 %, and one thing at a time is changed in a recipe.
The figures are geometric means of (metric + 0.01) / (metric of the recipe + 0.01), with intervals
over bootstrap samples of the tables. The test sets are not used; ``benchmarks score`` uses them.
"""

import warnings
from functools import partial
from time import process_time

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks._candidates import candidates, prototype
from benchmarks._page import TITLES, interval, markdown_table
from benchmarks._records import discard_unfinished, save, save_unfinished, unfinished
from benchmarks._tables import load_tables
from sknn_adam import make_tabular_pipeline
from sknn_adam.tabular.recipes import RECIPES

METRICS = ("error", "logloss", "nrmse")


def add_arguments(parser):
    parser.add_argument("--data", required=True, help="folder of tables with a realdata.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("choose",), default="choose", help="the only part")
    bases = (*RECIPES, "full")
    parser.add_argument("--base", choices=bases, default="default", help="recipe to change")
    parser.add_argument("--tables", default="", help="comma-separated names (default: all)")
    parser.add_argument(
        "--spoil", type=float, default=0.0, help="fraction of numbers to multiply by 1,000"
    )
    parser.add_argument("--splits", type=int, default=3, help="maximum number of splits per table")
    parser.add_argument(
        "--only", default="", help="only candidates whose name contains one of these"
    )
    parser.add_argument("--add", action="store_true", help="add to the results of the previous run")


def run(args):
    warnings.simplefilter("ignore")
    realdata = load_tables(args.data)
    tables = args.tables.split(",") if args.tables else list(realdata.SETS)
    choose(realdata, tables, args)


def scores(realdata, task, model, X, y, n_classes):
    if task == "regression":
        return realdata.metrics(task, y, model.predict(X))
    p = model.predict_proba(X)
    return realdata.metrics(task, y, model.predict(X), p, model.classes_, n_classes)


def spoiled(X, fraction, seed):
    """Return a table with a fraction of its numbers multiplied by 1,000, as by a wrong unit."""
    rng, X = np.random.default_rng(seed), X.copy()
    for name in X.select_dtypes("number") if fraction else ():
        X[name] = X[name] * np.where(rng.random(len(X)) < fraction, 1000.0, 1.0)
    return X


def compare(realdata, table, args):
    """Return the mean scores of each candidate on one table."""
    X, y, task = realdata.load(table)
    X = spoiled(X, args.spoil, args.seed)
    n_classes = int(y.max()) + 1 if task == "classification" else None
    kind = "classifier" if n_classes else "regressor"
    wanted = [word for word in args.only.split(",") if word]
    recipe = args.base if args.base in RECIPES else "default"
    sums: dict = {}
    for i, (train, _) in enumerate(realdata.splits(table)[: args.splits]):
        a, b = train_test_split(
            train, random_state=args.seed + i, stratify=y[train] if n_classes else None
        )
        Xa, Xb = X.iloc[a].reset_index(drop=True), X.iloc[b].reset_index(drop=True)
        for name, params in candidates(kind, args.base).items():
            if name != "recipe" and not any(word in name for word in wanted or [""]):
                continue
            model = make_tabular_pipeline(kind, recipe=recipe, random_state=args.seed)
            model.set_params(**params)
            start = process_time()
            try:
                with prototype(name):
                    model.fit(Xa, y[a])
            # SplineTransformer fails if its quantile knots coincide.
            except ValueError as error:
                print(f"{table}: {name}: {error}", flush=True)
                continue
            seconds = process_time() - start
            with prototype(name):
                result = scores(realdata, task, model, Xb, y[b], n_classes)
            result["seconds"] = seconds
            sums.setdefault(name, []).append(result)
    return {
        name: {key: float(np.mean([result[key] for result in each])) for key in each[0]}
        for name, each in sums.items()
    }


def bootstrap(logs, rng):
    """Return the ratio and its 95 % interval over bootstrap samples of the tables."""
    draws = rng.choice(logs, size=(4000, len(logs))).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return [round(float(np.exp(value)), 3) for value in (np.mean(logs), low, high)]


def choose(realdata, tables, args):
    rows: dict = {}
    file = "tabular_choice" + f"_{args.base}" * (args.base != "default")
    file += "_spoiled" * (args.spoil > 0)
    if args.add:
        rows = unfinished(file)["tables"]
    for table in tables:
        if table not in rows:
            rows[table] = compare(realdata, table, args)
            print(table, flush=True)
            save_unfinished(file, summary(rows, args))
    print(save(file, summary(rows, args)))
    discard_unfinished(file)
    for name, ratios in summary(rows, args)["ratios"].items():
        print(f"{name:<40}", *(f"{m} {f['ratio']}" for m, f in ratios.items()))


def summary(rows, args):
    """Return the content of the record."""
    names = list(dict.fromkeys(name for by_candidate in rows.values() for name in by_candidate))
    ratios: dict = {}
    for name in names:
        with_candidate = [by_candidate for by_candidate in rows.values() if name in by_candidate]
        for metric in (*METRICS, "seconds"):
            shift = 0.0 if metric == "seconds" else 0.01
            logs = [
                np.log(
                    (by_candidate[name][metric] + shift) / (by_candidate["recipe"][metric] + shift)
                )
                for by_candidate in with_candidate
                if metric in by_candidate[name]
            ]
            if logs:
                rng = np.random.default_rng(args.seed)
                ratio = {"ratio": bootstrap(logs, rng), "tables": len(logs)}
                ratios.setdefault(name, {})[metric] = ratio
    return {"seed": args.seed, "splits": args.splits, "ratios": ratios, "tables": rows}


# -- on the page ---------------------------------------------------------------------------------

CHOICES = {
    "tabular_choice": (
        '## Ablation of the recipe "default"',
        'Each row shows the recipe "default" with one change, on the training sets of {n} tables, '
        "each of which is split again. The figures are the ratio to the unchanged recipe (above 1 "
        "is worse) and its 95 % interval over bootstrap samples of the tables.",
    ),
    "tabular_choice_fast": (
        '### The recipe "fast"',
        'The table shows the same comparison for the recipe "fast", on {n} tables.',
    ),
    "tabular_choice_full": (
        "### A larger, earlier recipe",
        "This recipe also had dropout of 0.1, AdamW with weight decay, weight averaging and He "
        "initialization. The features that did not improve the results on the training sets of "
        "{n} tables were removed.",
    ),
    "tabular_choice_temperature": (
        "### An earlier recipe with a temperature",
        "This recipe scaled the probabilities by a temperature, which was removed after this "
        "comparison on {n} tables.",
    ),
    "tabular_choice_spoiled": (
        "### Numbers in a wrong unit",
        "In {n} tables, two in a thousand numbers are multiplied by 1,000, in both the training "
        "set and the held-out set.",
    ),
}


def section(record: dict) -> list[str]:
    """Render a record of test scores, which this benchmark made before ``score`` existed."""
    rows, n_tables = [], record["tables"]
    for method, ratios in record["ratios"].items():
        time = record["fit time"].get(f"{method} / scikit-learn")
        if len(ratios) < len(METRICS) or (time and time["tables"] != n_tables):
            # Only methods with results on all tables are shown.
            continue
        cells = [f"{ratios[metric]:.3f}" for metric in METRICS]
        rows.append([method, *cells, f"{time['ratio']:.2f}" if time else "–"])
    blocks = [
        "## The recipes of `make_tabular_pipeline`",
        f"The table compares the recipes and other methods on the test sets of {n_tables} real "
        "tables. The figures are geometric means of the ratio of (metric + 0.01) to that of "
        "scikit-learn's MLP with its defaults. Methods without a time were run earlier on the same "
        "splits.",
        markdown_table(["method", "error", "log loss", "RMSE", "training time"], rows),
    ]
    for pair, time in record["fit time"].items():
        if pair.endswith("/ RealMLP_TD") and not pair.startswith("scikit"):
            blocks.append(
                f"The CPU time of `{pair.partition(' ')[0]}` relative to RealMLP_TD (pytabkit "
                f"{record['pytabkit']}, one thread) on {time['tables']} tables is {time['ratio']}."
            )
    return blocks


def choice_section(name: str, record: dict) -> list[str]:
    heading, text = CHOICES[name]
    rows = []
    for changed, ratios in record["ratios"].items():
        if changed != "recipe":
            cells = [interval(*ratios[m]["ratio"], 3) if m in ratios else "–" for m in TITLES]
            rows.append([changed, *cells])
    blocks = [heading, text.format(n=len(record["tables"]))]
    blocks.append(markdown_table(["change", *TITLES.values()], rows))
    commands = ", ".join(f"`{command}`" for command in record.get("parts", ()))
    return [*blocks, f"Created by {commands}."] if commands else blocks


def figures(record: dict) -> dict:
    return {
        f"{recipe}: {TITLES[metric]}": record["ratios"][recipe][metric]
        for recipe in RECIPES
        for metric in METRICS
        if recipe in record["ratios"]
    }


SECTIONS = {"tabular": section} | {name: partial(choice_section, name) for name in CHOICES}
