"""Training time per row and epoch for tables with 100,000 to 10,000,000 rows.

The networks have two hidden layers of 128 units and are trained for one epoch with batches of 256.
Histogram gradient boosting and CatBoost grow 20 trees. The table has 20 columns and two classes, is
float32 and is in memory. All methods use one thread, and compile and import before the first fit.
"""

import warnings
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks._page import markdown_table, save_figure
from benchmarks._records import save
from benchmarks._report import run_on, spread
from benchmarks.fit import ALPHA
from benchmarks.peers import PEERS

SIZES = {100_000: 7, 1_000_000: 3, 10_000_000: 1}  # the repetitions of each
NETWORKS = ("sknn_adam", "scikit-learn", "JAX")
HIDDEN, BATCH, N_TREES = (128, 128), 256, 20


def add_arguments(parser):
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="2,000 rows, two methods, no record")


def table(n_rows, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 20)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] * X[:, 2] + rng.normal(size=n_rows) > 0).astype(int)


def boosting(X, y, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=N_TREES, early_stopping=False, random_state=seed
    )
    return lambda: model.fit(X, y)


def catboost(X, y, seed):
    from catboost import CatBoostClassifier

    params = {"iterations": N_TREES, "thread_count": 1, "random_seed": seed, "verbose": 0}
    return lambda: CatBoostClassifier(**params, allow_writing_files=False).fit(X, y)


def fits(X, y, seed, names):
    """Return the fits by name; without the peers that are not installed."""
    prepared = {}
    for name in names:
        try:
            if name in TREES:
                prepared[name] = TREES[name](X, y, seed)
            else:
                prepared[name] = PEERS[name](X, y, HIDDEN, BATCH, 1, ALPHA, seed)
        except ImportError as error:
            print(f"{name} is left out: {error}")
    return prepared


TREES = {"HistGradientBoosting": boosting, "CatBoost": catboost}


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    sizes = {2_000: 1} if args.smoke else SIZES
    names = ("sknn_adam", "HistGradientBoosting") if args.smoke else (*NETWORKS, *TREES)
    for call in fits(*table(2_000, args.seed), args.seed, names).values():
        call()
    rows = []
    for n_rows, repeats in sizes.items():
        sides = fits(*table(n_rows, args.seed), args.seed, names)
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(repeats):
            for name, call in sides.items():
                start = perf_counter()
                call()
                seconds[name].append(perf_counter() - start)
        for name, times in seconds.items():
            row = {"method": name, "rows": n_rows, "seconds": spread(times)}
            rows.append({**row, "microseconds": round(1e6 * median(times) / n_rows, 3)})
            print(rows[-1], flush=True)
    if not args.smoke:
        print(save("per_row", {"seed": args.seed, "rows": rows}))


def by_method(record) -> dict[str, dict[int, float]]:
    """Return the microseconds per row of each method and number of rows."""
    found: dict[str, dict[int, float]] = {}
    for row in record["rows"]:
        found.setdefault(row["method"], {})[row["rows"]] = row["microseconds"]
    return found


def section(record: dict) -> list[str]:
    found = by_method(record)
    sizes = list(next(iter(found.values())))
    return [
        "## Time per row of large tables",
        "Microseconds per row of one epoch (networks with two hidden layers of 128 units, batches "
        f"of 256) or of {N_TREES} trees, on one thread. The table has 20 columns.",
        markdown_table(
            ["method", *(f"{n:,} rows" for n in sizes)],
            [[name, *values.values()] for name, values in found.items()],
        ),
        "![microseconds per row against the number of rows](benchmarks_per_row.png)",
    ]


def figures(record: dict) -> dict:
    ours = by_method(record)["sknn_adam"].values()
    return {"largest / smallest time per row": round(max(ours) / min(ours), 3)}


def draw_figure(record: dict) -> None:
    """Plot the time per row against the number of rows."""
    import matplotlib.pyplot as plt

    colors = ("#0072B2", "#D55E00", "#CC79A7", "#777777", "#E69F00")
    figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for (name, values), color in zip(by_method(record).items(), colors, strict=True):
        style = "s:" if name in TREES else "o-"
        label = f"{name}, {N_TREES} trees" if name in TREES else name
        axis.loglog(list(values), list(values.values()), style, color=color, ms=4, label=label)
    axis.set(xlabel="rows", ylabel="µs per row and epoch", ylim=(0.1, 50))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize="small", ncols=2)
    save_figure(figure, "benchmarks_per_row.png")
