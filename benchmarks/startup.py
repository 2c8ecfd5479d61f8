"""What a new process pays: imports, a first fit, and Numba's first compilation.

Every figure is the wall time of a whole child process; the sides take turns.
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
    parser.add_argument("--smoke", action="store_true", help="one repetition, no file")


def child(code: str, folder: str, kernels: str = "auto"):
    """Return a function that runs this code in a new process, warnings left out."""
    env = {**os.environ, "SKNN_ADAM_KERNELS": kernels, "XDG_CACHE_HOME": folder}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return lambda: subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)


def run(args):
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = "sknn_adam", "sklearn.neural_network"
        digits = FIT.format(package=ours, **DIGITS)
        first = str(Path(folder) / "first")

        def first_fit():  # nothing is compiled yet
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
    "import": "`import sknn_adam`, beyond `import sklearn.neural_network`",
    "iris": "a process that fits iris, beyond one that fits it with scikit-learn",
    "cached": "first fit with Numba and a filled cache, beyond one without Numba",
    "first ever": "first fit with Numba and an empty cache, which compiles, beyond one without",
}


def section(found: dict) -> list[str]:
    rows = [[text, *(f"{v:.3f}" for v in found["extra"][name])] for name, text in LABELS.items()]
    return [
        "## Startup",
        "Seconds of whole processes: differences between two sides that take turns.",
        markdown_table(["", "minimum", "median", "maximum"], rows),
    ]


def figures(found: dict) -> dict:
    return {f"{name}, s": found["extra"][name][1] for name in LABELS}
