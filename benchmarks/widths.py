"""Bayesian search over width and depth as numbers, against the same sizes as categories.

Both searches choose the learning rate, dropout and the hidden layers, with equal budgets, folds and
seeds. Widths range from 64 to 512 and depths from 1 to 3: as two integers
(``hidden_layer_sizes__width`` and ``__depth``), or as twelve strings such as ``"128x2"``. The best
candidate of each search is fitted to all training samples and evaluated on the test samples.
Intervals are over tables, after averaging over seeds.
"""

import warnings

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import t
from sklearn.base import clone
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from benchmarks._page import markdown_table
from benchmarks._records import save
from benchmarks._tables import load_tables
from sknn_adam import Layers, MLPClassifier, MLPRegressor

REGRESSION = "auto_mpg,steel_fatigue,diabetes,mineral_hardness,car_prices,concrete"
CLASSIFICATION = "saheart,vehicle,vowel,german,contraceptive,segment"
BUDGETS = (10, 20)
FORMS = ("numbers", "categories")


def add_arguments(parser):
    parser.add_argument(
        "--data",
        default="bundled",
        help="'bundled' (with scikit-learn), IDs of OpenML data sets, or a folder of tables",
    )
    tables = f"{REGRESSION},{CLASSIFICATION}"
    parser.add_argument("--tables", default=tables, help="names (all tables if none exists)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2)


def space_of(form):
    """Return the search space with the hidden layers in one of the two forms."""
    from skopt.space import Categorical, Integer, Real

    name = "mlp__hidden_layer_sizes"
    sizes = {
        f"{name}__width": Integer(64, 512, prior="log-uniform"),
        f"{name}__depth": Integer(1, 3),
    }
    if form == "categories":
        sizes = {name: Categorical([f"{w}x{d}" for d in (1, 2, 3) for w in (64, 128, 256, 512)])}
    return {
        "mlp__optimizer__learning_rate": Real(1e-4, 1e-2, prior="log-uniform"),
        "mlp__dropout": Real(0.0, 0.5),
        **sizes,
    }


def one(table, form, seed, args):
    """Return the best score and the test loss of the best candidate after each budget."""
    from skopt import BayesSearchCV

    warnings.simplefilter("ignore")
    realdata = load_tables(args.data)
    X, y, task = realdata.load(table)
    train, test = realdata.splits(table)[0]
    classify = task == "classification"
    unit = 1.0 if classify else np.std(y[train])
    # The default of the regressor has a taper, which the categories do not have.
    options = {"max_iter": args.epochs, "random_state": seed}
    mlp = (MLPClassifier if classify else MLPRegressor)(Layers(), **options)
    model = Pipeline([("mlp", mlp)])
    columns = realdata.preprocess(table).fit(X.iloc[train])
    X_train, X_test = columns.transform(X.iloc[train]), columns.transform(X.iloc[test])
    search = BayesSearchCV(
        model,
        space_of(form),
        n_iter=args.candidates,
        cv=(StratifiedKFold if classify else KFold)(3, shuffle=True, random_state=0),
        scoring="neg_log_loss" if classify else "neg_root_mean_squared_error",
        optimizer_kwargs={"acq_optimizer": "sampling", "n_initial_points": 6},
        random_state=seed,
        refit=False,
    ).fit(X_train, y[train] / unit)
    scores = search.cv_results_["mean_test_score"]
    results = {}
    for budget in BUDGETS:
        best = int(np.argmax(scores[:budget]))
        chosen = clone(model).set_params(**search.cv_results_["params"][best])
        chosen.fit(X_train, y[train] / unit)
        if classify:
            loss = log_loss(y[test], chosen.predict_proba(X_test), labels=chosen.classes_)
        else:
            loss = root_mean_squared_error(y[test] / unit, chosen.predict(X_test))
        results[str(budget)] = [round(float(-scores[best]), 6), round(float(loss), 6)]
    return results


def summarize(runs, tables, n_seeds):
    """Return the relative differences of numbers to categories, with intervals over tables."""
    summary = {}
    for i, measure in enumerate(("validation", "test")):
        for budget in map(str, BUDGETS):
            logs = [
                [
                    np.log(runs[f"{table}/numbers/{s}"][budget][i])
                    - np.log(runs[f"{table}/categories/{s}"][budget][i])
                    for s in range(n_seeds)
                ]
                for table in tables
            ]
            per_table = np.mean(logs, axis=1)
            error = np.std(per_table, ddof=1) / np.sqrt(len(tables))
            half = t.ppf(0.975, len(tables) - 1) * error
            ratios = np.exp([per_table.mean(), per_table.mean() - half, per_table.mean() + half])
            summary[f"{measure} loss after {budget} candidates"] = {
                "ratio, lower and upper end of the 95 % interval": np.round(ratios, 4).tolist(),
                "tables where numbers are better": int(np.sum(per_table < 0)),
                "by table": dict(zip(tables, np.exp(per_table).round(4).tolist(), strict=True)),
            }
    return summary


def run(args):
    realdata = load_tables(args.data)
    tables = [name for name in args.tables.split(",") if name in realdata.TASKS]
    tables = tables or list(realdata.TASKS)
    keys = [(table, form, s) for table in tables for s in range(args.seeds) for form in FORMS]
    results = Parallel(args.jobs, verbose=1)(delayed(one)(*key, args) for key in keys)
    runs = {"/".join(map(str, key)): result for key, result in zip(keys, results, strict=True)}
    summary = summarize(runs, tables, args.seeds)
    for name, values in summary.items():
        print(name, values)
    options = {"seeds": args.seeds, "candidates": args.candidates, "epochs": args.epochs}
    print(save("widths", {**options, "tables": tables, "summary": summary, "runs": runs}))


# -- on the page ---------------------------------------------------------------------------------


def section(record: dict) -> list[str]:
    rows = []
    for name, values in record["summary"].items():
        ratio, low, high = values["ratio, lower and upper end of the 95 % interval"]
        wins = f"{values['tables where numbers are better']} of {len(record['tables'])}"
        rows.append([name, f"{ratio:.3f}", f"{low:.3f} to {high:.3f}", wins])
    return [
        "## Width and depth as numbers or as categories",
        f"Bayesian search on {len(record['tables'])} tables with {record['seeds']} seeds: the loss "
        "with `hidden_layer_sizes__width` and `__depth` as integers, divided by the loss with the "
        "same range of sizes as strings. Intervals are over tables.",
        markdown_table(["loss", "ratio", "95 % interval", "tables where numbers are better"], rows),
    ]


def figures(record: dict) -> dict[str, float]:
    return {
        name: values["ratio, lower and upper end of the 95 % interval"][0]
        for name, values in record["summary"].items()
    }
