"""Compilation in a random search and in fits with random slopes, compared with another commit.

``python -m benchmarks candidates --reference COMMIT`` searches over optimizers, depths and
activations on digits, in a new process with an empty cache and in another one with the filled
cache. In further processes with an empty cache, networks with random slopes of LeakyReLU are
fitted one after the other. The processes of both commits are interleaved. The figures are seconds,
the number of compiled files in the cache, and the growth of the memory of the process. Those of a
search include the import of Numba; those of the slopes exclude the first fit.
"""

import json
import os
import tempfile
import warnings
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import RandomizedSearchCV, ShuffleSplit

from benchmarks._page import markdown_table, paired_cell
from benchmarks._records import ROOT, save
from benchmarks._reference import reference_tree, start
from benchmarks._report import CLOCKS, add_clock, paired, run_on

# Names that both commits must have.
SPACE = {
    "optimizer": [
        *("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw"),
        *("nadam", "radam", "adamax", "amsgrad", "lion"),
    ],
    "hidden_layer_sizes": [(64,) * depth for depth in (1, 2, 3, 4)],
    "activation": [
        *("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh"),
        "logistic",
    ],
}
TASKS = ("search, empty cache", "search, filled cache", "slopes, empty cache")


def add_arguments(parser):
    parser.add_argument("--reference", default="HEAD", help="commit to compare with")
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--slopes", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    add_clock(parser)
    parser.add_argument("--smoke", action="store_true", help="few candidates, no record")


# -- in the processes ----------------------------------------------------------------------------


def search(n_candidates, epochs, seed, clock):
    """Print the costs of a random search."""
    from sknn_adam import MLPClassifier

    X, y = load_digits(return_X_y=True)
    model = MLPClassifier(max_iter=epochs, n_iter_no_change=np.inf, random_state=seed)
    split = ShuffleSplit(1, test_size=0.25, random_state=seed)
    common = {"n_iter": n_candidates, "cv": split, "random_state": seed, "refit": False}
    _print_costs(clock, RandomizedSearchCV(model, SPACE, **common).fit, X / 16, y)


def slopes(n_slopes, epochs, seed, clock):
    """Print the costs of fits with random slopes, after a first fit."""
    from sknn_adam import MLPClassifier
    from sknn_adam.activations import LeakyReLU

    X, y = load_digits(return_X_y=True)
    model = MLPClassifier((64,), max_iter=epochs, n_iter_no_change=np.inf, random_state=seed)
    values = np.random.default_rng(seed).uniform(0.001, 0.5, n_slopes + 1)

    def fit(slope):
        model.set_params(activation=LeakyReLU(slope=float(slope))).fit(X / 16, y)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(values[0])
    _print_costs(clock, lambda: [fit(value) for value in values[1:]])


def _print_costs(clock, call, *arguments):
    run_on(1)
    now = CLOCKS[clock]
    files, memory, begin = _n_compiled(), _memory(), now()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call(*arguments)
    seconds = now() - begin
    costs = {"seconds": seconds, "compiled": _n_compiled() - files}
    print(json.dumps({**costs, "megabytes": _memory() - memory}))


def _n_compiled() -> int:
    return sum(1 for _ in Path(os.environ["XDG_CACHE_HOME"]).rglob("*.nbc"))


def _memory() -> float:
    """Return the memory of this process in megabytes (Linux only)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


# -- the comparison ------------------------------------------------------------------------------


def run(args):
    n_candidates, n_slopes = (4, 2) if args.smoke else (args.candidates, args.slopes)
    repeats = 1 if args.smoke else args.repeats
    common = f"{args.epochs}, {args.seed}, {args.clock!r}"
    calls = [f"search({n_candidates}, {common})"] * 2 + [f"slopes({n_slopes}, {common})"]
    costs = {side: {task: [] for task in TASKS} for side in ("now", "before")}
    with reference_tree(args.reference) as (tree, commit):
        trees = {"now": ROOT, "before": tree}
        for repeat in range(repeats):
            for side in list(trees)[:: 1 if repeat % 2 else -1]:
                with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
                    for task, call, cache in zip(TASKS, calls, (one, one, other), strict=True):
                        costs[side][task].append(_child(trees[side], call, cache))
                        print(side, task, costs[side][task][-1], flush=True)
    rows = []
    for task in TASKS:
        now, before = (costs[side][task] for side in ("now", "before"))
        ratio = paired([a["seconds"] / b["seconds"] for a, b in zip(now, before, strict=True)])
        rows.append({"task": task, "now": _medians(now), "before": _medians(before), **ratio})
        print(rows[-1])
    if not args.smoke:
        facts = {"seed": args.seed, "reference": commit, "repeats": repeats}
        facts |= {"candidates": n_candidates, "slopes": n_slopes, "epochs": args.epochs}
        facts["clock"] = args.clock
        print(save("candidates", {**facts, "rows": rows}))


def _child(tree, call, cache):
    """Return the costs that a new process prints."""
    variables = {"XDG_CACHE_HOME": cache, "SKNN_ADAM_NUM_THREADS": "1"}
    process = start(tree, "benchmarks.candidates", call, **variables)
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"The process with {call} failed.")
    return json.loads(output)


def _medians(costs):
    return {name: round(median(cost[name] for cost in costs), 3) for name in costs[0]}


def section(record: dict) -> list[str]:
    rows = []
    for row in record["rows"]:
        cells = [row["task"]]
        for side in ("now", "before"):
            costs = row[side]
            cells += [
                f"{costs['seconds']:.1f}",
                *(round(costs[k]) for k in ("compiled", "megabytes")),
            ]
        rows.append([*cells, paired_cell(row)])
    header = [
        "",
        *("seconds", "compiled", "MB"),
        *("seconds before", "compiled before", "MB before"),
    ]
    return [
        "### Compilation in searches",
        f"The table compares this tree with commit {record['reference'][:9]} in new processes on "
        f"digits, with {record['epochs']} epochs: a random search of {record['candidates']} "
        "candidates over optimizers, depths and activations with an empty and a filled cache, and "
        f"fits with {record['slopes']} random slopes of LeakyReLU. The figures are medians over "
        f"{record['repeats']} pairs of processes. `compiled` is the number of compiled files that "
        "are added to the cache, and MB the growth of the memory of the process. The last column "
        "is the median of the paired ratios of the times with its 95 % interval, or their range "
        "with fewer than six pairs.",
        markdown_table([*header, "relative time"], rows),
    ]


def figures(record: dict) -> dict:
    relative = {f"relative time, {row['task']}": row["ratio"] for row in record["rows"]}
    return {"reference": record["reference"][:9], **relative}
