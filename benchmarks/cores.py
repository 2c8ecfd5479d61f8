"""Gain from two threads: two fits at the same time, and the members of one fit.

Two fits in two Python threads are compared with the same two fits one after the other, and a fit of
several members on two threads with the same fit on one. Two loops of matrix products, which hold
the GIL only between products, show the gain that the machine allows; they are timed in the same
repetitions. BLAS uses one thread. The figures are medians of paired ratios with 95 % intervals.
"""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks._page import markdown_table, paired_cell
from benchmarks._records import save
from benchmarks._report import PROCESSORS, paired, spread, time_interleaved
from benchmarks.fit import ALPHA, SIZES, table
from benchmarks.pairs import OF_SEVERAL
from benchmarks.peers import N_MEMBERS, our_fit

N = 2
THREADS = "SKNN_ADAM_NUM_THREADS"
WIDTH, N_PRODUCTS = 128, 2000


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only tables whose name contains this")
    parser.add_argument("--smoke", action="store_true", help="one short repetition, no record")


def product_loop():
    """Return a function that multiplies the same two float32 matrices many times."""
    rng = np.random.default_rng(0)
    a, b, out = (rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) for _ in range(3))

    def loop():
        for _ in range(N_PRODUCTS):
            np.dot(a, b, out=out)

    return loop


def on_threads(n_threads, call):
    """Return a function that makes a call with a number of threads for members."""

    def side():
        os.environ[THREADS] = str(n_threads)
        call()

    return side


def gains(one_after_the_other, at_the_same_time, pool, repeats):
    """Return the gain of the second function over the first, and that of the product loops.

    The gains are summaries of paired ratios. The seconds of the two functions follow.
    """
    loops = [product_loop() for _ in range(N)]
    sides = {
        "products, 1": lambda: [loop() for loop in loops],
        "products, 2": lambda: list(pool.map(_call, loops)),
        "1": one_after_the_other,
        "2": at_the_same_time,
    }
    times = time_interleaved(sides, repeats)
    return {
        "gain": paired(np.divide(times["1"], times["2"])),
        "limit": paired(np.divide(times["products, 1"], times["products, 2"])),
        "seconds": {side: spread(times[side]) for side in ("1", "2")},
    }


def _call(function):
    return function()


def two_fits(size, pool, repeats, seed):
    """Return the gain of two fits in two threads over the same fits one after the other."""
    name, hidden, batch, epochs = size
    X, y = table(name, seed)
    fits = [our_fit(X, y, hidden, batch, epochs, ALPHA, seed + i) for i in range(N)]
    one_after_the_other = on_threads(1, lambda: [fit() for fit in fits])
    at_the_same_time = on_threads(1, lambda: list(pool.map(_call, fits)))
    measured = gains(one_after_the_other, at_the_same_time, pool, repeats)
    return {"what": "two fits", "size": name, "hidden": hidden, "batch": batch, **measured}


def members(size, pool, repeats, seed):
    """Return the gain of a fit of several members on two threads over the same fit on one."""
    name, hidden, batch, epochs = size
    X, y = table(name, seed)
    fit = our_fit(X, y, hidden, batch, epochs, ALPHA, seed, n_members=N_MEMBERS)
    measured = gains(on_threads(1, fit), on_threads(N, fit), pool, repeats)
    what = f"{N_MEMBERS} members"
    return {"what": what, "size": name, "hidden": hidden, "batch": batch, **measured}


def run(args):
    warnings.simplefilter("ignore")
    if len(PROCESSORS or range(os.cpu_count() or 1)) < N:
        raise SystemExit(f"This benchmark needs {N} cores.")
    os.environ["SKNN_ADAM_KERNELS"] = "fused"
    # Other processes reduce the gains and the limit.
    load = os.getloadavg()[0]
    rows = []
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(N) as pool:
        if args.smoke:
            print(two_fits(("150x4", (10,), 32, 2), pool, 1, args.seed))
            print(members(("150x4", (10,), 32, 2), pool, 1, args.seed))
            return
        for measure, sizes in ((two_fits, SIZES), (members, OF_SEVERAL)):
            for size in sizes:
                if args.only in size[0]:
                    rows.append(measure(size, pool, args.repeats, args.seed))
                    cells = [paired_cell(rows[-1][key]) for key in ("gain", "limit")]
                    print("{what} {size} {hidden}".format(**rows[-1]), *cells, flush=True)
    name = "cores_only" if args.only else "cores"
    print(save(name, {"seed": args.seed, "repeats": args.repeats, "load": load, "rows": rows}))


def section(record: dict) -> list[str]:
    rows = [
        [row["what"], row["size"], tuple(row["hidden"]), row["batch"]]
        + [paired_cell(row[key]) for key in ("gain", "limit")]
        for row in record["rows"]
    ]
    return [
        "## Two threads",
        "The table shows the gain of two fits in two Python threads over the same fits one after "
        f"the other, and of one fit of {N_MEMBERS} members on two threads over one thread, each "
        "as the median over interleaved repetitions with its 95 % interval. BLAS uses one thread. "
        "The limit is the gain of two loops of matrix products, measured in the same repetitions. "
        f"When the benchmark started, the load of the machine was {record['load']:.1f}.",
        markdown_table(["fits", "table", "hidden", "batch", "gain", "limit"], rows),
    ]


def figures(record: dict) -> dict:
    two = [row["gain"]["ratio"] for row in record["rows"] if row["what"] == "two fits"]
    several = [row["gain"]["ratio"] for row in record["rows"] if row["what"] != "two fits"]
    return {"smallest gain, two fits": min(two), "smallest gain, members": min(several)}
