"""Startup time of new processes: imports, the first fit and Numba's compilation.

The figures are wall times of complete child processes. The processes are interleaved.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks._page import markdown_table
from benchmarks._records import save
from benchmarks._report import spread, time_interleaved

FIT = (
    "from sklearn.datasets import load_{data} as load; from {package} import MLPClassifier; "
    "MLPClassifier({params}).fit(*load(return_X_y=True))"
)
IRIS = {"data": "iris", "params": "random_state=0, max_iter=100, tol=0"}
DIGITS = {"data": "digits", "params": "random_state=0, max_iter=2, tol=0"}


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="one repetition, no record")


def child(code: str, folder: str, kernels: str = "auto"):
    """Return a function that runs `code` in a new process without warnings."""
    env = {**os.environ, "SKNN_ADAM_KERNELS": kernels, "XDG_CACHE_HOME": folder}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return lambda: subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)


def run(args):
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = "sknn_adam", "sklearn.neural_network"
        digits = FIT.format(package=ours, **DIGITS)
        first = str(Path(folder) / "first")

        # Without a cache, Numba compiles in each call.
        def first_fit():
            shutil.rmtree(first, ignore_errors=True)
            child(digits, first, "fused")()

        sides = {
            "import scikit-learn": child(f"import {theirs}", folder),
            "import": child(f"import {ours}", folder),
            "iris, scikit-learn": child(FIT.format(package=theirs, **IRIS), folder),
            "iris": child(FIT.format(package=ours, **IRIS), folder),
            "fit, NumPy": child(digits, folder, "numpy"),
            "fit, cached": child(digits, folder, "fused"),
            "fit, first ever": first_fit,
        }
        seconds = time_interleaved(sides, 1 if args.smoke else args.repeats)
    extra = {
        "import": np.subtract(seconds["import"], seconds["import scikit-learn"]),
        "iris": np.subtract(seconds["iris"], seconds["iris, scikit-learn"]),
        "cached": np.subtract(seconds["fit, cached"], seconds["fit, NumPy"]),
        "first ever": np.subtract(seconds["fit, first ever"], seconds["fit, NumPy"]),
    }
    results = {
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "extra": {name: spread(values, 3) for name, values in extra.items()},
    }
    print(results)
    if not args.smoke:
        print(save("startup", {"seed": args.seed, "repeats": args.repeats, **results}))


LABELS = {
    "import": "`import sknn_adam`, minus `import sklearn.neural_network`",
    "iris": "fit on iris, minus the same fit with scikit-learn",
    "cached": "first fit on digits with Numba and a filled cache, minus a fit without Numba",
    "first ever": "first fit on digits with Numba and an empty cache, minus a fit without Numba",
}


def section(record: dict) -> list[str]:
    rows = [[text, *(f"{v:.3f}" for v in record["extra"][name])] for name, text in LABELS.items()]
    return [
        "## Startup",
        "The table shows differences in seconds between the times of two interleaved processes. "
        "With an empty cache, Numba compiles.",
        markdown_table(["", "minimum", "median", "maximum"], rows),
    ]


def figures(record: dict) -> dict:
    return {f"{name}, s": record["extra"][name][1] for name in LABELS}
