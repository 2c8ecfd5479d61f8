"""Training time of several members relative to one, and out-of-fold scores on pure noise.

Fits of one member and of many are interleaved, on one core and with a fixed number of epochs. They
are repeated in several processes, because the median ratio differs between processes by a few
tenths. The figure is the median ratio of the CPU times over all pairs of fits. On pure noise,
unbiased out-of-fold scores are at chance level.
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
    parser.add_argument("--repeats", type=int, default=11, help="pairs of fits in each process")
    parser.add_argument("--processes", type=int, default=9)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)


def seconds(n_members, repeats, seed, params, _):
    """Return the CPU seconds of interleaved fits with one member and with many."""
    warnings.simplefilter("ignore")
    run_on(1)
    X, y = make_classification(5000, 30, n_informative=10, random_state=seed)
    common = {"hidden_layer_sizes": (128, 128), "batch_size": 128, "max_iter": 10}
    common |= {"n_iter_no_change": np.inf, "random_state": seed}
    times = {1: [], n_members: []}
    for i in range(repeats + 1):
        for n in list(times)[:: 1 if i % 2 else -1]:
            model = MLPClassifier(**common, n_members=n, **params)
            start = process_time()
            model.fit(X, y)
            times[n].append(process_time() - start)
    # The first fit of each warms up.
    return [values[1:] for values in times.values()]


def cost(args, **params):
    """Return the seconds in new processes, and the median ratio over all pairs of fits."""
    work = partial(seconds, args.members, args.repeats, args.seed, params)
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        times_by_process = list(pool.map(work, range(args.processes)))
    ratios = [[b / a for a, b in zip(*pair, strict=True)] for pair in times_by_process]
    ratio = median(value for row in ratios for value in row)
    by_process = sorted(round(median(row), 2) for row in ratios)
    names = {name: str(value) for name, value in params.items()}
    print(
        f"{names or 'defaults'}: {args.members} members take {ratio:.2f} times as long as one "
        f"(medians of the processes: {by_process[0]} to {by_process[-1]})",
        flush=True,
    )
    one, many = (spread([t for pair in times_by_process for t in pair[i]]) for i in (0, 1))
    times = {"1": one, str(args.members): many}
    return {
        "params": names,
        "seconds": times,
        "ratio": round(ratio, 3),
        "ratios of processes": by_process,
    }


def noise(args, n_rows):
    """Return the mean out-of-fold accuracy and R^2 on noise with their standard errors."""
    scores = {"accuracy": [], "r2": []}
    for draw in range(args.draws):
        rng = np.random.default_rng([args.seed, draw])
        X, number = rng.normal(size=(n_rows, 10)), rng.normal(size=n_rows)
        label = rng.integers(2, size=n_rows)
        common = {"cv": args.members, "early_stopping": True, "random_state": draw}
        scores["accuracy"].append(MLPClassifier(**common).fit(X, label).oof_score_)
        scores["r2"].append(MLPRegressor(**common).fit(X, number).oof_score_)
    result = {"rows": n_rows}
    for name, values in scores.items():
        mean, error = np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5
        result[name] = [round(float(mean), 4), round(float(error), 4)]
        print(f"noise, {n_rows} samples: {name} {mean:.4f} +- {error:.4f}", flush=True)
    return result


def run(args):
    warnings.simplefilter("ignore")
    run_on(1)
    costs = [cost(args), cost(args, dropout=0.1, optimizer="adamw"), cost(args, averaging=None)]
    costs.append(cost(args, early_stopping=True))
    content = {"seed": args.seed, "repeats": args.repeats, "processes": args.processes}
    content |= {"members": args.members, "cost": costs}
    content |= {"draws": args.draws, "noise": [noise(args, 200)]}
    print(save("members", content))


def section(record: dict) -> list[str]:
    n_members = str(record["members"])
    rows = []
    for row in record["cost"]:
        params = ", ".join(f"{name}={value}" for name, value in row["params"].items())
        seconds = [f"{row['seconds'][n][1]:.3f}" for n in ("1", n_members)]
        by_process = row["ratios of processes"]
        ratio = interval(row["ratio"], by_process[0], by_process[-1])
        rows.append([params or "defaults", *seconds, ratio])
    blocks = [
        "## Several members",
        "The table shows the CPU time, in seconds, of fits with 5,000 samples, 30 features, hidden "
        "layers (128, 128), batches of 128 and ten epochs, as medians over interleaved fits in "
        f"{record['processes']} processes. The ratio is the median over pairs of fits, with the "
        "smallest and the largest median of a single process in parentheses. Repeated runs of "
        "this benchmark differ by about 10 %.",
        markdown_table(["parameters", "1 member", f"{n_members} members", "ratio"], rows),
    ]
    for row in record["noise"]:
        accuracy, r2 = ("{:.3f} ± {:.3f}".format(*row[name]) for name in ("accuracy", "r2"))
        blocks.append(
            f"On {record['draws']} tables of pure noise ({row['rows']} samples, 10 features), the "
            f"mean and standard error of `oof_score_` are {accuracy} for the accuracy (chance "
            f"level is 0.5) and {r2} for R² (chance level is at most 0)."
        )
    return blocks


def figures(record: dict) -> dict:
    names = [", ".join(f"{n}={v}" for n, v in row["params"].items()) for row in record["cost"]]
    ratios = [row["ratio"] for row in record["cost"]]
    return {f"ratio, {n or 'defaults'}": r for n, r in zip(names, ratios, strict=True)}
