"""The same grid search over our MLP and over scikit-learn's, with 5-fold cross-validation.

The data set is digits. The 64 candidates differ in parameters that both packages have:
architecture, learning rate, batch size and penalty. Our MLP trains without weight averaging and
without an L1 penalty, because scikit-learn's MLP has neither.
"""

import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from benchmarks._page import markdown_table
from benchmarks._records import save
from benchmarks._report import spread, time_interleaved
from sknn_adam import MLPClassifier

HIDDEN = [(32,), (64,), (100,), (64, 64)]
RATES = [3e-4, 1e-3, 3e-3, 1e-2]
BATCHES = [32, 128]
ALPHAS = [1e-4, 1e-3]


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few candidates, no record")


def search(kind, rate, n_jobs, args):
    model = kind(
        max_iter=args.epochs, tol=0.0, n_iter_no_change=args.epochs, random_state=args.seed
    )
    if kind is MLPClassifier:
        model.set_params(averaging=None, l1_ratio=0.0)
    grid = {
        "hidden_layer_sizes": HIDDEN[:1] if args.smoke else HIDDEN,
        rate: RATES,
        "batch_size": BATCHES,
        "alpha": ALPHAS,
    }
    grid = {f"{kind.__name__.lower()}__{name}": values for name, values in grid.items()}
    search = GridSearchCV(make_pipeline(MinMaxScaler(), model), grid, cv=5, n_jobs=n_jobs)
    return lambda: search.fit(*load_digits(return_X_y=True))


def run(args):
    warnings.simplefilter("ignore")
    searches = {}
    for n_jobs in (1, 2):
        searches[f"sknn_adam, {n_jobs}"] = search(
            MLPClassifier, "optimizer__learning_rate", n_jobs, args
        )
        searches[f"scikit-learn, {n_jobs}"] = search(
            TheirClassifier, "learning_rate_init", n_jobs, args
        )
    timings = time_interleaved(searches, 1 if args.smoke else args.repeats)
    best = {name: round(call().best_score_, 4) for name, call in searches.items() if "1" in name}
    results = {
        "epochs": args.epochs,
        "seconds": {name: spread(values) for name, values in timings.items()},
        "faster": {
            n: spread(np.divide(timings[f"scikit-learn, {n}"], timings[f"sknn_adam, {n}"]), 3)
            for n in ("1", "2")
        },
        "best_score": best,
    }
    print(results)
    if not args.smoke:
        print(save("grid", {"seed": args.seed, "repeats": args.repeats, **results}))


def section(record: dict) -> list[str]:
    rows = []
    for n in ("1", "2"):
        seconds = [record["seconds"][f"{side}, {n}"][1] for side in ("sknn_adam", "scikit-learn")]
        rows.append([n, *(f"{value:.1f}" for value in seconds), f"{record['faster'][n][1]:.1f}"])
    return [
        "## Grid search",
        "The table shows the seconds of a `GridSearchCV` on digits, with 64 candidates that both "
        f"packages support, five folds and {record['epochs']} epochs.",
        markdown_table(["n_jobs", "sknn_adam", "scikit-learn", "speedup"], rows),
    ]


def figures(record: dict) -> dict:
    return {f"speedup, n_jobs={n}": record["faster"][n][1] for n in ("1", "2")}
