"""Training time of several members with other activations, batch normalization or dropout.

Each variant is compared with the same fit with ReLU, on one thread. The fits are interleaved in
several processes. The figure is the median of the paired ratios with its 95 % interval.
"""

import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
from sklearn.datasets import make_classification

from benchmarks._page import markdown_table, paired_cell
from benchmarks._records import save
from benchmarks._report import add_clock, paired, run_on, spread, time_interleaved
from sknn_adam import MLPClassifier

RELU = "ReLU"
VARIANTS = {
    RELU: {},
    "Mish": {"activation": "mish"},
    "SiLU": {"activation": "silu"},
    "GELU": {"activation": "gelu"},
    "batch normalization": {"normalization": "batch"},
    "dropout 0.1": {"dropout": 0.1},
}


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=7, help="fits in each process")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    add_clock(parser)
    parser.add_argument("--smoke", action="store_true", help="one short repetition, no record")


def seconds(n_members, epochs, n_rows, repeats, seed, clock, _):
    """Return the seconds of the interleaved fits of each variant."""
    warnings.simplefilter("ignore")
    run_on(1)
    os.environ["SKNN_ADAM_NUM_THREADS"] = "1"
    X, y = make_classification(n_rows, 30, n_informative=10, random_state=seed)
    common = {"hidden_layer_sizes": (128, 128), "batch_size": 32, "n_members": n_members}
    common |= {"max_iter": epochs, "n_iter_no_change": np.inf, "random_state": seed}
    models = {name: MLPClassifier(**common, **params) for name, params in VARIANTS.items()}
    fits = {name: partial(model.fit, X, y) for name, model in models.items()}
    return time_interleaved(fits, repeats, clock=clock)


def run(args):
    n_rows, repeats, processes = (200, 1, 1) if args.smoke else (5000, args.repeats, args.processes)
    work = partial(seconds, args.members, args.epochs, n_rows, repeats, args.seed, args.clock)
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        timings = list(pool.map(work, range(processes)))
    rows = []
    for name in VARIANTS:
        ratios = [np.divide(by_name[name], by_name[RELU]) for by_name in timings]
        times = spread(np.concatenate([by_name[name] for by_name in timings]))
        rows.append({"variant": name, "seconds": times, **paired(ratios)})
        print("{variant:20} {seconds[1]:.3f} s, {ratio:.3f} {interval}".format(**rows[-1]))
    if not args.smoke:
        facts = {"seed": args.seed, "repeats": repeats, "processes": processes}
        facts |= {"members": args.members, "epochs": args.epochs, "clock": args.clock}
        print(save("variants", {**facts, "rows": rows}))


def section(record: dict) -> list[str]:
    rows = [
        [row["variant"], f"{row['seconds'][1]:.3f}", paired_cell(row)] for row in record["rows"]
    ]
    return [
        "## Activations, normalization and dropout in several members",
        f"The table shows the seconds of fits of {record['members']} members with 5,000 samples, "
        "30 features, hidden layers (128, 128), batches of 32 and "
        f"{record['epochs']} epochs on one thread. The ratio is the time relative to the same fit "
        "with ReLU, without normalization and without dropout: the median over interleaved fits "
        "with its 95 % interval.",
        markdown_table(["variant", "seconds", "ratio"], rows),
    ]


def figures(record: dict) -> dict:
    return {row["variant"]: row["ratio"] for row in record["rows"] if row["variant"] != RELU}
