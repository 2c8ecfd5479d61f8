"""Search strategies with equal budgets: grid, random, Bayesian, Optuna and halving search.

All searches use the same small real tables, seeds, space, folds and number of candidates. As
exceptions, the grid has only 48 candidates, and halving starts with 128 candidates that train for a
sixteenth of the epochs. Regret is the difference between the best score that any search found on
the table and the best score so far, in units of the standard deviation of the scores of random
candidates.
"""

import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    ParameterGrid,
    RandomizedSearchCV,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline

from benchmarks._page import markdown_table, save_figure
from benchmarks._records import save
from benchmarks._tables import load_tables
from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.search import compare_searches, search_space

TABLES = "sonar,hearts,saheart,vehicle,german,auto_mpg,diabetes,concrete"
BUDGETS = (8, 16, 32, 64)
STRATEGIES = ("grid", "random", "bayes", "optuna", "halving")
IN_GRID = ["hidden_layer_sizes", "learning_rate", "dropout", "batch_size"]


def add_arguments(parser):
    parser.add_argument(
        "--data",
        default="bundled",
        help="'bundled' (with scikit-learn), IDs of OpenML data sets, or a folder of tables",
    )
    parser.add_argument("--tables", default=TABLES, help="names (all tables if none exists)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)


def make(strategy, model, options, n_candidates, seed):
    """Return the unfitted search."""
    skip = "max_iter"  # the resource of halving
    if strategy == "grid":
        grid = list(ParameterGrid(search_space(model, "grid", include=IN_GRID)))
        # Shuffle the grid, because its order would determine the best score after few candidates.
        np.random.default_rng(seed).shuffle(grid)
        single_points = [
            {name: [value] for name, value in point.items()} for point in grid[:n_candidates]
        ]
        return GridSearchCV(model, single_points, **options)
    if strategy == "random":
        space = search_space(model, exclude=skip)
        return RandomizedSearchCV(model, space, n_iter=n_candidates, random_state=seed, **options)
    if strategy == "bayes":
        from skopt import BayesSearchCV

        space = search_space(model, "bayes", exclude=skip)
        settings = {"acq_optimizer": "sampling", "n_initial_points": 10}
        options = {**options, "optimizer_kwargs": settings, "random_state": seed}
        return BayesSearchCV(model, space, n_iter=n_candidates, **options)
    if strategy == "optuna":
        import optuna
        from optuna_integration import OptunaSearchCV

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        space = search_space(model, "optuna", exclude=skip)
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
        )
        return OptunaSearchCV(model, space, n_trials=n_candidates, study=study, **options)
    epochs = model[-1].max_iter
    return HalvingRandomSearchCV(
        model,
        search_space(model, exclude=skip),
        resource=f"{model.steps[-1][0]}__max_iter",
        n_candidates=2 * n_candidates,
        min_resources=max(1, epochs // 16),
        max_resources=epochs,
        factor=4,
        random_state=seed,
        **options,
    )


def one(table, strategy, seed, args):
    warnings.simplefilter("ignore")
    realdata = load_tables(args.data)
    X, y, task = realdata.load(table)
    train, _ = realdata.splits(table)[0]
    classify = task == "classification"
    kind = MLPClassifier if classify else MLPRegressor
    mlp = kind(max_iter=args.epochs, random_state=0)
    options = {
        "scoring": "neg_log_loss" if classify else "neg_root_mean_squared_error",
        "cv": (StratifiedKFold if classify else KFold)(3, shuffle=True, random_state=0),
        "refit": False,
    }
    prepared = realdata.preprocess(table).fit_transform(X.iloc[train])
    target = y[train] if classify else y[train] / np.std(y[train])
    search = make(strategy, make_pipeline(mlp), options, args.candidates, seed)
    history = compare_searches({strategy: search.fit(prepared, target)})
    return history[["candidate", "elapsed", "score", "best"]].to_numpy(float)


def best_after(run, n_candidates=None, seconds=None):
    """Return the best score of a fully trained candidate within a budget, or NaN."""
    inside = run[:, 0] <= n_candidates if seconds is None else run[:, 1] <= seconds
    best = run[inside, 3]
    return best[-1] if len(best) else np.nan


def number(value, digits):
    """Return a rounded number, or None if it is not finite and has no JSON literal."""
    return round(float(value), digits) if np.isfinite(value) else None


def summarize(runs, tables, seeds):
    """Return the mean regrets at equal numbers of candidates and at equal times."""
    at, in_time, wins = {}, {}, {}
    for table in tables:
        mine = {key: run for key, run in runs.items() if key[0] == table}
        top = max(np.nanmax(run[:, 3]) for run in mine.values())
        unit = np.nanstd([s for key, run in mine.items() if key[1] == "random" for s in run[:, 2]])
        total = np.median([run[-1, 1] for key, run in mine.items() if key[1] == "random"])
        for (_, strategy, seed), run in mine.items():
            for budget in BUDGETS:
                value = (top - best_after(run, n_candidates=budget)) / unit
                at.setdefault(strategy, {}).setdefault(budget, []).append(value)
                time = (top - best_after(run, seconds=total * budget / BUDGETS[-1])) / unit
                in_time.setdefault(strategy, {}).setdefault(budget, []).append(time)
            other = best_after(mine[table, "random", seed], n_candidates=32)
            wins.setdefault(strategy, []).append(best_after(run, n_candidates=32) > other)

    def means(regrets):
        return {
            strategy: {
                str(budget): [
                    number(np.nanmean(values), 3),
                    number(np.nanstd(values) / np.sqrt(len(values)), 3),
                    int(np.isfinite(values).sum()),
                ]
                for budget, values in by_budget.items()
            }
            for strategy, by_budget in regrets.items()
        }

    return {
        "regret at candidates: mean, standard error, runs": means(at),
        "regret at the seconds of so many random candidates": means(in_time),
        "share of runs ahead of random at 32": {
            k: round(float(np.mean(v)), 2) for k, v in wins.items()
        },
    }


def run(args):
    realdata = load_tables(args.data)
    tables = [t for t in args.tables.split(",") if t in realdata.TASKS] or list(realdata.TASKS)
    keys = [(t, s, seed) for t in tables for seed in range(args.seeds) for s in STRATEGIES]
    results = Parallel(args.jobs, verbose=1)(delayed(one)(*key, args) for key in keys)
    runs = dict(zip(keys, results, strict=True))
    summary = summarize(runs, tables, args.seeds)
    for title, by_strategy in summary.items():
        print(title)
        for strategy, values in by_strategy.items():
            print(f"  {strategy:<10}{values}")
    curves = {
        "/".join(map(str, key)): [[number(v, 5) for v in (row[1], row[3])] for row in run]
        for key, run in runs.items()
    }
    options = {"seeds": args.seeds, "candidates": args.candidates, "epochs": args.epochs}
    print(save("search", {**options, "tables": tables, **summary, "elapsed and best": curves}))


# -- on the page ---------------------------------------------------------------------------------


def section(record: dict) -> list[str]:
    at = record["regret at candidates: mean, standard error, runs"]
    in_time = record["regret at the seconds of so many random candidates"]
    ahead = record["share of runs ahead of random at 32"]
    budgets, n_runs = list(at["random"]), record["seeds"] * len(record["tables"])

    def cell(mean, error, runs):
        few = "" if runs == n_runs else f" ({runs})"
        return f"{mean:.2f} ± {error:.2f}{few}" if runs else "–"

    by_candidates = [
        [name, *(cell(*row[b]) for b in budgets), "" if name == "random" else f"{ahead[name]:.0%}"]
        for name, row in at.items()
        if name != "halving"
    ]
    by_time = [[name, *(cell(*row[b]) for b in budgets)] for name, row in in_time.items()]
    return [
        "## Search strategies with equal budgets",
        f"The strategies search on {len(record['tables'])} small tables with {record['seeds']} "
        f"seeds each, {record['candidates']} candidates, three folds and {record['epochs']} "
        "epochs. Regret is the difference between the best score that any search found on the "
        "table and the best score so far, in standard deviations of the scores of random "
        "candidates. The tables show its mean and standard error. Halving is compared by time "
        "only, because only its fully trained candidates count. If some runs of halving have no "
        "such candidate yet, the number of the other runs is given in parentheses. The last column "
        "of the first table is the fraction of runs whose best score after 32 candidates is higher "
        "than that of random search with the same seed.",
        markdown_table(
            ["", *(f"after {b} candidates" for b in budgets), "better than random"], by_candidates
        ),
        markdown_table(["", *(f"in the time of {b} random candidates" for b in budgets)], by_time),
        "![regret against candidates and time](benchmarks_searches.png)",
        "[](hyperparameter_search.md) compares these figures with the claims of the literature.",
    ]


def figures(record: dict) -> dict:
    regret = record["regret at candidates: mean, standard error, runs"]
    return {f"regret, {s}": row["64"][0] for s, row in regret.items() if s != "halving"}


def draw_figure(record: dict) -> None:
    """Plot the mean regret of the strategies with a band of one standard error on either side.

    1 is the mean score of one random candidate, and 0 is the best score that any search found.
    """
    import matplotlib.pyplot as plt

    runs = {tuple(k.split("/")): np.array(v, float) for k, v in record["elapsed and best"].items()}
    places = {"candidates": np.arange(1, record["candidates"] + 1), "time": np.linspace(0.02, 1)}
    curves: dict = {name: {} for name in places}
    for table in record["tables"]:
        mine = {key: run for key, run in runs.items() if key[0] == table}
        top = max(np.nanmax(run[:, 1]) for run in mine.values())
        random = [run for key, run in mine.items() if key[1] == "random"]
        unit = top - np.mean([run[0, 1] for run in random])
        total = np.median([run[-1, 0] for run in random])
        for (_, strategy, _), run in mine.items():
            regret = np.append(np.nan, (top - run[:, 1]) / unit)
            if strategy != "halving":
                after = regret[np.minimum(places["candidates"], len(run))]
                curves["candidates"].setdefault(strategy, []).append(after)
            after = regret[np.searchsorted(run[:, 0], places["time"] * total, side="right")]
            curves["time"].setdefault(strategy, []).append(after)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
    styles = {
        "grid": ("#999999", "-"),
        "random": ("#0072B2", "--"),
        "bayes": ("#D55E00", "-."),
        "optuna": ("#009E73", ":"),
        "halving": ("#CC79A7", "-"),
    }
    for axis, (budget, by_strategy) in zip(axes, curves.items(), strict=True):
        for strategy, rows in by_strategy.items():
            color, dash = styles[strategy]
            rows = np.array(rows)
            complete = np.isfinite(rows).mean(axis=0) > 0.9
            middle = np.nanmean(rows[:, complete], axis=0)
            error = np.nanstd(rows[:, complete], axis=0) / np.sqrt(len(rows))
            axis.plot(places[budget][complete], middle, color=color, ls=dash, label=strategy)
            axis.fill_between(
                places[budget][complete],
                middle - error,
                middle + error,
                color=color,
                alpha=0.15,
                lw=0,
            )
        axis.set(yscale="log", xlabel=budget)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("mean regret (1: one random candidate)")
    axes[1].set_xlabel(f"time (1: that of {record['candidates']} random candidates)")
    axes[1].legend(fontsize="small")
    save_figure(figure, "benchmarks_searches.png")
