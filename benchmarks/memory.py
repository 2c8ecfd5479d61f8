"""Peak memory of a fit, in addition to the memory of a process that has loaded the data.

Each fit runs in a child process, which reads its own peak memory from the system (Linux only). The
bound is the sum of four arrays per layer for one batch, (3 + slots) vectors of the size of the
parameters, and 60 MB.
"""

import os
import subprocess
import sys
from itertools import pairwise

from benchmarks._page import markdown_table
from benchmarks._records import save

# Samples, features, hidden layers, batch size and dtype of X.
CASES = [
    (10_000, 50, (100,), 200, "float32"),
    (10_000, 50, (64, 64), 64, "float64"),
    (20_000, 784, (256,), 200, "float64"),
    (100_000, 500, (100,), 256, "float32"),
    (5_000, 784, (2048, 2048), 256, "float32"),
]
CHILD = """
import sys, warnings
import numpy as np
from sknn_adam import MLPClassifier
warnings.simplefilter("ignore")
n, d, dtype, batch, hidden = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5], sys.argv[5]
X = np.random.default_rng(0).random((n, d), dtype=dtype)
y = X[:, :10].argmax(axis=1)
def memory(name):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024
model = MLPClassifier(hidden, batch_size=int(batch), max_iter=1, dtype="float32", random_state=0)
open("/proc/self/clear_refs", "w").write("5")  # reset the peak
before = memory("VmRSS")
model.fit(X, y)
print(memory("VmHWM") - before)
"""


def add_arguments(parser):
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="only the first case, no record")


def peak(case, kernels):
    """Return the peak memory of a fit in bytes."""
    n_rows, n_features, hidden, batch, dtype = case
    arguments = [str(a) for a in (n_rows, n_features, dtype, batch, "-".join(map(str, hidden)))]
    env = {**os.environ, "SKNN_ADAM_KERNELS": kernels}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    return int(done.stdout)


def run(args):
    rows = []
    for case in CASES[:1] if args.smoke else CASES:
        n_rows, n_features, hidden, batch, dtype = case
        widths = [n_features, *hidden, 10]
        n_parameters = sum((a + 1) * b for a, b in pairwise(widths))
        bound = 4 * 4 * batch * sum(widths) + (3 + 2) * 4 * n_parameters + 60e6
        by_backend = {kernels: peak(case, kernels) / 1e6 for kernels in ("fused", "numpy")}
        row = {"rows": n_rows, "features": n_features, "hidden": hidden, "dtype": dtype}
        row |= {"megabytes": {k: round(v, 1) for k, v in by_backend.items()}}
        row["bound"] = round(bound / 1e6, 1)
        rows.append(row)
        print(row, flush=True)
    if not args.smoke:
        print(save("memory", {"seed": args.seed, "rows": rows}))


def section(record: dict) -> list[str]:
    rows = []
    for row in record["rows"]:
        megabytes = row["megabytes"]
        name = [f"{row['rows']}x{row['features']}", row["dtype"], tuple(row["hidden"])]
        rows.append([*name, megabytes["fused"], megabytes["numpy"], row["bound"]])
    return [
        "## Memory",
        "The table shows the peak memory of a fit in megabytes, in addition to the memory of a "
        "process that has loaded the data. The bound is the sum of four arrays per layer for one "
        "batch, five vectors of the size of the parameters (two of them for Adam), and 60 MB. The "
        "figures with Numba include Numba itself.",
        markdown_table(["table", "dtype", "hidden", "with Numba", "NumPy", "bound"], rows),
    ]


def figures(record: dict) -> dict:
    used = [max(row["megabytes"].values()) / row["bound"] for row in record["rows"]]
    return {"largest fraction of the bound": round(max(used), 2)}
