"""Time of one optimizer step compared with the memory bandwidth, by number of parameters.

A step reads the gradient, and reads and writes the parameters and the optimizer's slots. The bytes
per second are compared with the fastest of three plain loops over arrays of the same size: a copy,
a sum and an in-place update.
"""

from itertools import pairwise

import numpy as np

from benchmarks._page import markdown_table
from benchmarks._records import save
from benchmarks._report import run_on, spread, time_interleaved
from sknn_adam import optimizers
from sknn_adam._backends.numpy_backend import NumpyKernels

SIZES = (1_000, 100_000, 10_000_000)
RULES = ("SGD", "Adam", "AdamW", "Lion")


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="small vectors, no record")


def plain_loops():
    """Return three loops that Numba compiles: a copy, an addition, and one in place."""
    import numba

    @numba.njit(["void(f4[::1], f4[::1])"])
    def copy(a, b):
        for i in range(a.size):
            a[i] = b[i]

    @numba.njit(["void(f4[::1], f4[::1], f4[::1])"])
    def add(a, b, c):
        for i in range(a.size):
            a[i] = b[i] + c[i]

    @numba.njit(["void(f4[::1], f4[::1])"])
    def add_in_place(a, b):
        for i in range(a.size):
            a[i] += b[i]

    return copy, add, add_in_place


def layout_of(n):
    """Return a layout in which the last hundredth of the parameters are biases."""
    cuts = [0, n - n // 100, n]
    roles = "weight", "bias"
    return [
        (slice(*ends), (ends[1] - ends[0],), k)
        for ends, k in zip(pairwise(cuts), roles, strict=True)
    ]


def measure(n, repeats, seed):
    from sknn_adam._backends.numba_backend import FusedKernels

    rng = np.random.default_rng(seed)
    theta, grad, third = (rng.normal(size=n).astype(np.float32) for _ in range(3))
    calls = max(1, 2_000_000 // n)
    copy, add, add_in_place = plain_loops()
    streams = {"copy": 2, "add": 3, "add in place": 3}
    sides = {
        "copy": lambda: copy(third, grad),
        "add": lambda: add(third, theta, grad),
        "add in place": lambda: add_in_place(third, grad),
    }
    for name in RULES:
        for kernels in (FusedKernels(), NumpyKernels()):
            optimizer = getattr(optimizers, name)().set_params(learning_rate=1e-6)
            state = optimizer.init(theta, layout_of(n))
            state.kernels = kernels
            key = f"{name}, {kernels.name}"
            streams[key] = 3 + 2 * len(optimizer.slots)
            sides[key] = lambda o=optimizer, s=state: o.step(theta, grad, s)

    def many(call):
        return lambda: [call() for _ in range(calls)]

    timings = time_interleaved({name: many(call) for name, call in sides.items()}, repeats)
    rates = {  # gigabytes per second
        name: spread(np.divide(streams[name] * n * 4e-9 * calls, seconds))
        for name, seconds in timings.items()
    }
    bandwidth = max(rates[name][1] for name in ("copy", "add", "add in place"))
    row = {"parameters": n, "bandwidth": bandwidth, "rates": rates}
    row["share"] = {k: round(v[1] / bandwidth, 3) for k, v in rates.items() if "," in k}
    row["nanoseconds"] = {
        k: spread(np.array(v) / calls / n * 1e9) for k, v in timings.items() if "," in k
    }
    return row


def run(args):
    run_on(1)
    if args.smoke:
        print(measure(2_000, 1, args.seed))
        return
    rows = []
    for n in SIZES:
        rows.append(measure(n, args.repeats, args.seed))
        print(n, f"{rows[-1]['bandwidth']:.1f} GB/s", rows[-1]["share"], flush=True)
    print(save("step", {"seed": args.seed, "repeats": args.repeats, "rows": rows}))


def section(record: dict) -> list[str]:
    rows = []
    for row in record["rows"]:
        cells = [f"{row['parameters']:,}", f"{row['bandwidth']:.1f}"]
        for rule in RULES:
            fused, plain = (row["nanoseconds"][f"{rule}, {k}"][1] for k in ("fused", "numpy"))
            # Smaller vectors fit into a cache.
            large = row["parameters"] > 1e6
            used = f" ({row['share'][f'{rule}, fused']:.0%})" if large else ""
            cells.append(f"{fused:.3g}{used} / {plain:.3g}")
        rows.append(cells)
    return [
        "## One optimizer step",
        "The table shows nanoseconds per parameter in float32, with Numba / without. For vectors "
        "that do not fit into a cache, the fraction of the memory bandwidth in use is given in "
        "parentheses. The bandwidth is that of the fastest of three plain loops over vectors of "
        "the same size.",
        markdown_table(["parameters", "GB/s", *RULES], rows),
    ]


def figures(record: dict) -> dict:
    used = record["rows"][-1]["share"]
    return {f"{rule}: fraction of the bandwidth": used[f"{rule}, fused"] for rule in RULES}
