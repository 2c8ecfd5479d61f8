"""What a second processor brings a fit: one and two take turns in one process."""

import os
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks._page import interval, markdown_table
from benchmarks._records import save
from benchmarks._report import PROCESSORS, run_on, spread, time_interleaved
from benchmarks.fit import ALPHA, LARGE, SIZES, table
from benchmarks.peers import ours

N = 2


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="sizes whose name contains this")
    parser.add_argument("--smoke", action="store_true", help="one short fit, no file")


def measure(size, repeats, seed):
    name, hidden, batch, epochs = size
    X, y = table(name, seed)
    fit = ours("fused")(X, y, hidden, batch, epochs, ALPHA, seed)

    def on(n_threads):
        def side():
            run_on(n_threads)
            with threadpool_limits(n_threads):
                fit()
            run_on(len(PROCESSORS))

        return side

    found = time_interleaved({"1": on(1), "2": on(N)}, repeats)
    gains = np.divide(found["1"], found["2"])
    seconds = {side: spread(times) for side, times in found.items()}
    return {"size": name, "hidden": hidden, "gain": spread(gains, 3), "seconds": seconds}


def run(args):
    warnings.simplefilter("ignore")
    if len(PROCESSORS) < N or not hasattr(os, "sched_setaffinity"):
        raise SystemExit(f"This benchmark needs {N} processors, and Linux to choose them.")
    if args.smoke:
        print(measure(("150x4", (10,), 32, 2), 1, args.seed))
        return
    rows = []
    for size in SIZES + LARGE:
        if args.only in size[0]:
            rows.append(measure(size, args.repeats, args.seed))
            print(rows[-1], flush=True)
    print(save("threads", {"seed": args.seed, "repeats": args.repeats, "rows": rows}))


def section(found: dict) -> list[str]:
    rows = []
    for row in found["rows"]:
        low, middle, high = row["gain"]
        rows.append([row["size"], tuple(row["hidden"]), interval(middle, low, high)])
    return [
        "## A second processor",
        "Speedup of whole fits with Numba on two processors over one, in turns: the median, with "
        "minimum and maximum in parentheses. BLAS uses one thread for small networks in both "
        "cases.",
        markdown_table(["table", "hidden", "speedup"], rows),
    ]


def figures(found: dict) -> dict:
    return {"largest speedup": max(row["gain"][1] for row in found["rows"])}
