"""Several members: what they cost beside one, and whether out-of-fold scores are honest.

Whole fits of one member and of many, in turns, at a fixed number of epochs on one processor, in
several processes, whose medians differ by a few tenths; the figure is the median of the ratios of
their processor times. Then out-of-fold scores on tables of pure noise: chance is what they must
give.
"""

import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import median
from time import process_time

import numpy as np
from sklearn.datasets import make_classification

from benchmarks._page import interval, markdown_table
from benchmarks._records import save
from benchmarks._report import run_on, spread
from sknn_adam import MLPClassifier, MLPRegressor


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=11, help="in every process")
    parser.add_argument("--processes", type=int, default=9)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)


def seconds(n_members, repeats, seed, params, _):
    """Return the seconds of fits with one member and with many, in turns."""
    warnings.simplefilter("ignore")
    run_on(1)
    X, y = make_classification(5000, 30, n_informative=10, random_state=seed)
    common = {"hidden_layer_sizes": (128, 128), "batch_size": 128, "max_iter": 10}
    common |= {"n_iter_no_change": np.inf, "random_state": seed}
    found = {1: [], n_members: []}
    for i in range(repeats + 1):
        for n in list(found)[:: 1 if i % 2 else -1]:
            model = MLPClassifier(**common, n_members=n, **params)
            start = process_time()
            model.fit(X, y)
            found[n].append(process_time() - start)
    return [values[1:] for values in found.values()]  # the first one warms up


def cost(args, **params):
    """Return the seconds in new processes, and the median ratio of all pairs of fits."""
    work = partial(seconds, args.members, args.repeats, args.seed, params)
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        found = list(pool.map(work, range(args.processes)))
    ratios = [[b / a for a, b in zip(*pair, strict=True)] for pair in found]
    ratio = median(value for row in ratios for value in row)
    by_process = sorted(round(median(row), 2) for row in ratios)
    names = {name: str(value) for name, value in params.items()}
    print(
        f"{names or 'defaults'}: {args.members} members cost {ratio:.2f} times one, in processes "
        f"{by_process[0]} to {by_process[-1]}",
        flush=True,
    )
    one, many = (spread([t for pair in found for t in pair[i]]) for i in (0, 1))
    times = {"1": one, str(args.members): many}
    return {
        "params": names,
        "seconds": times,
        "ratio": round(ratio, 3),
        "ratios of processes": by_process,
    }


def noise(args, n_rows):
    """Return the mean out-of-fold accuracy and R^2 on noise, each with its standard error."""
    scores = {"accuracy": [], "r2": []}
    for draw in range(args.draws):
        rng = np.random.default_rng([args.seed, draw])
        X, number = rng.normal(size=(n_rows, 10)), rng.normal(size=n_rows)
        label = rng.integers(2, size=n_rows)
        common = {"n_members": args.members, "early_stopping": True, "random_state": draw}
        scores["accuracy"].append(MLPClassifier(**common).fit(X, label).oof_score_)
        scores["r2"].append(MLPRegressor(**common).fit(X, number).oof_score_)
    found = {"rows": n_rows}
    for name, values in scores.items():
        mean, error = np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5
        found[name] = [round(float(mean), 4), round(float(error), 4)]
        print(f"noise, {n_rows} rows: {name} {mean:.4f} +- {error:.4f}", flush=True)
    return found


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    costs = [cost(args), cost(args, dropout=0.1, optimizer="adamw"), cost(args, averaging=None)]
    costs.append(cost(args, early_stopping=True))
    content = {"seed": args.seed, "repeats": args.repeats, "processes": args.processes}
    content |= {"members": args.members, "cost": costs}
    content |= {"draws": args.draws, "noise": [noise(args, 200)]}
    print(save("members", content))


def section(found: dict) -> list[str]:
    n_members = str(found["members"])
    rows = []
    for row in found["cost"]:
        params = ", ".join(f"{name}={value}" for name, value in row["params"].items())
        seconds = [f"{row['seconds'][n][1]:.3f}" for n in ("1", n_members)]
        by_process = row["ratios of processes"]
        ratio = interval(row["ratio"], by_process[0], by_process[-1])
        rows.append([params or "defaults", *seconds, ratio])
    blocks = [
        "## Several members",
        "Processor time in seconds of whole fits on 5,000 samples of 30 features, hidden "
        f"(128, 128), batches of 128, ten epochs; medians over alternating repetitions in "
        f"{found['processes']} processes. The ratio is the median over pairs of fits; in "
        "parentheses are the smallest and the largest median of one process. Runs of the whole "
        "benchmark differ by about 10 %.",
        markdown_table(["parameters", "1 member", f"{n_members} members", "ratio"], rows),
    ]
    for row in found["noise"]:
        accuracy, r2 = ("{:.3f} ± {:.3f}".format(*row[name]) for name in ("accuracy", "r2"))
        blocks.append(
            f"Mean and standard error of `oof_score_` on {found['draws']} tables of pure noise "
            f"({row['rows']} samples, 10 features): accuracy {accuracy} (chance is 0.5), R² {r2} "
            "(chance is at most 0)."
        )
    return blocks


def figures(found: dict) -> dict:
    names = [", ".join(f"{n}={v}" for n, v in row["params"].items()) for row in found["cost"]]
    ratios = [row["ratio"] for row in found["cost"]]
    return {f"ratio, {n or 'defaults'}": r for n, r in zip(names, ratios, strict=True)}
