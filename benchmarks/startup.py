"""Startup time of new processes: imports, the first fit and Numba's compilation.

The figures are wall times of complete child processes. The processes are interleaved. With
``--reference COMMIT``, the first fits are compared with those of another commit.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from benchmarks._page import markdown_table, paired_cell
from benchmarks._records import ROOT, save
from benchmarks._reference import reference_tree
from benchmarks._report import paired, spread, time_interleaved

FIT = (
    "from sklearn.datasets import load_{data} as load; from {package} import MLPClassifier; "
    "MLPClassifier({params}).fit(*load(return_X_y=True))"
)
IRIS = {"data": "iris", "params": "random_state=0, max_iter=100, tol=0"}
DIGITS = {"data": "digits", "params": "random_state=0, max_iter=2, tol=0"}


def add_arguments(parser):
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--reference", help="commit to compare with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="one repetition, no record")


def child(code: str, folder: str, kernels: str = "auto", tree: Path = ROOT):
    """Return a function that runs `code` in a new process without warnings."""
    env = {**os.environ, "SKNN_ADAM_KERNELS": kernels, "XDG_CACHE_HOME": folder}
    env["PYTHONPATH"] = str(tree)
    command = [sys.executable, "-W", "ignore", "-c", code]
    options = {"check": True, "env": env, "cwd": tree, "stdout": subprocess.DEVNULL}
    return lambda: subprocess.run(command, **options)


def first_fits(folder: Path, tree: Path = ROOT) -> dict:
    """Return functions for a first fit with a filled cache and with an empty one."""
    digits = FIT.format(package="sknn_adam", **DIGITS)
    empty = folder / "empty"

    # Without a cache, Numba compiles in each call.
    def first_fit():
        shutil.rmtree(empty, ignore_errors=True)
        child(digits, str(empty), "fused", tree)()

    filled = child(digits, str(folder / "filled"), "fused", tree)
    return {"fit, cached": filled, "fit, first ever": first_fit}


def run(args):
    checkout = reference_tree(args.reference) if args.reference else nullcontext((None, None))
    with tempfile.TemporaryDirectory() as folder, checkout as (tree, commit):
        ours, theirs = "sknn_adam", "sklearn.neural_network"
        digits = FIT.format(package=ours, **DIGITS)
        sides = {
            "import scikit-learn": child(f"import {theirs}", folder),
            "import": child(f"import {ours}", folder),
            "iris, scikit-learn": child(FIT.format(package=theirs, **IRIS), folder),
            "iris": child(FIT.format(package=ours, **IRIS), folder),
            "fit, NumPy": child(digits, folder, "numpy"),
            **first_fits(Path(folder)),
        }
        if tree:
            before = first_fits(Path(folder) / "reference", tree)
            sides |= {f"{name}, reference": call for name, call in before.items()}
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
    if commit:
        results["reference"] = commit
        results["relative"] = {
            name: paired(np.divide(seconds[name], seconds[f"{name}, reference"]))
            for name in ("fit, cached", "fit, first ever")
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
        *_relative(record),
    ]


def _relative(record):
    """Return a sentence about the reference, if there was one."""
    if "reference" not in record:
        return []
    filled, empty = (paired_cell(record["relative"][f"fit, {k}"]) for k in ("cached", "first ever"))
    return [
        f"The time of the process with the first fit relative to commit {record['reference'][:9]} "
        f"is {filled} with a filled cache and {empty} with an empty one: medians of paired ratios "
        "with 95 % intervals."
    ]


def figures(record: dict) -> dict:
    return {f"{name}, s": record["extra"][name][1] for name in LABELS}
