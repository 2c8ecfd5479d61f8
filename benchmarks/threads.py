"""Speedup of a fit from a second core, with interleaved fits on one and two cores."""

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
    parser.add_argument("--only", default="", help="only tables whose name contains this")
    parser.add_argument("--smoke", action="store_true", help="one short fit, no record")


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

    timings = time_interleaved({"1": on(1), "2": on(N)}, repeats)
    gains = np.divide(timings["1"], timings["2"])
    seconds = {side: spread(times) for side, times in timings.items()}
    return {"size": name, "hidden": hidden, "gain": spread(gains, 3), "seconds": seconds}


def run(args):
    warnings.simplefilter("ignore")
    if len(PROCESSORS) < N or not hasattr(os, "sched_setaffinity"):
        raise SystemExit(f"This benchmark needs {N} cores and a system with sched_setaffinity.")
    if args.smoke:
        print(measure(("150x4", (10,), 32, 2), 1, args.seed))
        return
    rows = []
    for size in SIZES + LARGE:
        if args.only in size[0]:
            rows.append(measure(size, args.repeats, args.seed))
            print(rows[-1], flush=True)
    print(save("threads", {"seed": args.seed, "repeats": args.repeats, "rows": rows}))


def section(record: dict) -> list[str]:
    rows = []
    for row in record["rows"]:
        low, middle, high = row["gain"]
        rows.append([row["size"], tuple(row["hidden"]), interval(middle, low, high)])
    return [
        "## Speedup from a second core",
        "The table shows the speedup of fits with Numba on two cores relative to one core, as the "
        "median over interleaved fits with the minimum and maximum in parentheses. For small "
        "networks, BLAS uses one thread in both cases.",
        markdown_table(["table", "hidden", "speedup"], rows),
    ]


def figures(record: dict) -> dict:
    return {"largest speedup": max(row["gain"][1] for row in record["rows"])}
