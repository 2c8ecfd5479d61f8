"""Files between ``fit`` and the training loop, upward calls, and lines of code.

All calls of the package's functions are recorded while ``fit`` runs in several settings. The
benchmark counts the files, other than components, whose functions run before the training loop, and
the calls from a lower rung of the import ladder to a higher one. Calls of components are not
counted, because registries and backends exist to call them.
"""

import ast
import inspect
import io
import json
import os
import subprocess
import sys
import tokenize
import tomllib
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[1]
ROOT = Path(os.environ.get("PATH_TREE", HERE))  # the tree to analyse
PACKAGE = ROOT / "sknn_adam"
LOOP = "train"  # the function that loops over epochs
COMPONENTS = (
    *("activations", "initializers", "losses", "optimizers", "schedules"),
    *("normalization", "clipping", "averaging", "_component", "_ranges"),
)
NOT_COMPONENTS = ("_component/layout.py",)  # positions of arrays in the flat vectors


def add_arguments(parser):
    parser.add_argument("--reference", help="commit to analyse as well")
    parser.add_argument("--smoke", action="store_true", help="no record")


def run(args):
    from benchmarks._records import save
    from benchmarks._reference import reference_tree

    results = {"now": _count_in(HERE)}
    if args.reference:
        with reference_tree(args.reference) as (tree, commit):
            results["before"] = {"commit": commit, **_count_in(tree)}
    for name, counts in results.items():
        print(f"{name}: {counts['n_files']} files before the training loop", *counts["files"])
        print(f"  {counts['n_upward']} upward calls", *counts["upward"], sep="\n  ")
        print(f"  {counts['n_lines']} lines of code", counts["lines_by_folder"])
    if not args.smoke:
        save("path", results)


def _count_in(tree):
    """Return the counts for a tree, from a process that imports the package from it."""
    env = {**os.environ, "PYTHONPATH": str(tree), "PATH_TREE": str(tree)}
    command = [sys.executable, __file__]
    completed = subprocess.run(command, check=True, env=env, cwd=tree, stdout=subprocess.PIPE)
    return json.loads(completed.stdout)


def count():
    """Return the counts for the tree ROOT."""
    files, upward = {}, set()
    for name, fit in settings():
        for backend in ("numpy", "fused"):
            os.environ["SKNN_ADAM_KERNELS"] = backend
            recorder = Recorder(ladder())
            recorder.record(fit)
            files[f"{name}, {backend}"] = recorder.files
            upward |= recorder.upward
    all_files = sorted(set().union(*files.values()))
    lines = Counter()
    for path in PACKAGE.rglob("*.py"):
        folder = path.relative_to(PACKAGE).parts[0]
        lines["(top)" if folder.endswith(".py") else folder] += lines_of_code(path)
    return {
        "files": all_files,
        "n_files": len(all_files),
        "n_files_by_setting": {name: len(paths) for name, paths in files.items()},
        "upward": sorted(" -> ".join(pair) for pair in upward),
        "n_upward": len(upward),
        "n_lines": sum(lines.values()),
        "lines_by_folder": dict(sorted(lines.items())),
    }


def lines_of_code(path):
    """Count the lines of a file, without blank lines, comments and docstrings."""
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    text, lines = path.read_text(), set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (*layout, tokenize.ENDMARKER):
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def ladder() -> dict[str, int]:
    """Return the rung of each module and folder, counted from the bottom."""
    rungs = tomllib.loads((ROOT / "docs" / "ladder.toml").read_text())["rung"]
    # ladder.toml lists the rungs from the top down; older commits may not.
    if rungs[0]["modules"] == ["__main__"]:
        rungs.reverse()
    return {name: i for i, rung in enumerate(rungs) for name in rung["modules"]}


class Recorder:
    """Recorder of the calls between functions of the package.

    Parameters
    ----------
    rungs : dict of str to int
        The rung of each module and folder of the package.

    Attributes
    ----------
    files : set of str
        Files whose functions ran before the training loop, except components.
    upward : set of (str, str)
        Caller and callee of each call from a lower rung to a higher one.
    """

    def __init__(self, rungs):
        self.rungs, self.files, self.upward, self.looping = rungs, set(), set(), False

    def record(self, function):
        """Call a function and record the calls in it."""
        sys.setprofile(self._profile)
        try:
            function()
        finally:
            sys.setprofile(None)

    def _profile(self, frame, event, argument):
        place = _place(frame)
        if event != "call" or place is None:
            return
        module, file, name = place
        if name == LOOP:
            self.looping = True
        if not self.looping and (module not in COMPONENTS or file in NOT_COMPONENTS):
            self.files.add(file)
        caller = _place(frame.f_back) if frame.f_back is not None else None
        if caller is None or module in COMPONENTS:
            return
        if self.rungs[caller[0]] < self.rungs[module]:
            self.upward.add((f"{caller[1]}:{caller[2]}", f"{file}:{name}"))


def _place(frame):
    """Return the module, file and function of a frame, or None outside the package."""
    path = Path(frame.f_code.co_filename)
    # The code of a module or class body does not have this flag.
    function = frame.f_code.co_flags & inspect.CO_OPTIMIZED
    if not function or not path.is_relative_to(PACKAGE):
        return None
    file = path.relative_to(PACKAGE)
    return file.parts[0].removesuffix(".py"), str(file), frame.f_code.co_qualname


def settings():
    """Yield the names of settings and functions that fit a classifier in them."""
    from sklearn.datasets import load_iris

    from sknn_adam import MLPClassifier

    X, y = load_iris(return_X_y=True)
    labels, weight = np.c_[y == 0, y == 1].astype(int), np.linspace(0.5, 1.5, len(y))
    members = {"cv": 3, "early_stopping": True}
    minimizer = {"optimizer": "lbfgs", "activation": "prelu", "initializer": "lsuv"}
    for name, params, target, arguments in (
        ("plain", {}, y, {}),
        ("labels", {}, labels, {}),
        (
            "weights",
            {"early_stopping": True, "class_weight": "balanced"},
            y,
            {"sample_weight": weight},
        ),
        ("scorer", {"early_stopping": True, "scoring": "accuracy"}, y, {}),
        ("members", members, y, {"groups": np.arange(len(y)) // 2}),
        ("validation", {"normalization": "batch"}, y, {"X_val": X[::3], "y_val": y[::3]}),
        ("minimizer", minimizer, y, {}),
    ):
        model = MLPClassifier((8, 8), max_iter=3, random_state=0).set_params(**params)

        def fit(model=model, target=target, arguments=arguments):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(X, target, **arguments)

        yield name, fit


def section(record: dict) -> list[str]:
    now = record["now"]
    n_settings = len(now["n_files_by_setting"])
    return [
        "### Files and lines",
        f"The package has {now['n_lines']:,} lines of code. In {n_settings} settings together, "
        f"functions of {now['n_files']} files run between `fit` and the training loop, without "
        f"components. Calls from a lower module to a higher one: {now['n_upward']}.",
    ]


def figures(record: dict) -> dict:
    now = record["now"]
    return {"lines": now["n_lines"], "files": now["n_files"], "upward calls": now["n_upward"]}


if __name__ == "__main__":
    print(json.dumps(count()))
