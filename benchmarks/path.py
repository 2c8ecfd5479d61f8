"""How many files a fit passes through before its first step, and which calls go up the ladder.

Every call of a function of the package is recorded while ``fit`` runs in several settings. Counted
are the files, components aside, whose functions run between ``fit`` and the training loop, and the
pairs of functions of which the lower one on the import ladder calls the higher one. Calls of
components are left out: a registry or a backend exists to call them.
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
ROOT = Path(os.environ.get("PATH_TREE", HERE))  # the tree that is counted
PACKAGE = ROOT / "sknn_adam"
LOOP = "train"  # the function that loops over epochs
COMPONENTS = (
    *("activations", "initializers", "losses", "optimizers", "schedules"),
    *("normalization", "clipping", "averaging", "_component", "_ranges"),
)
NOT_COMPONENTS = ("_component/layout.py",)  # where arrays lie in the flat vectors


def add_arguments(parser):
    parser.add_argument("--reference", help="a commit to count in as well")
    parser.add_argument("--smoke", action="store_true", help="no file")


def run(args):
    from benchmarks._records import save
    from benchmarks._reference import reference_tree

    results = {"now": _count_in(HERE)}
    if args.reference:
        with reference_tree(args.reference) as (tree, commit):
            results["before"] = {"commit": commit, **_count_in(tree)}
    for name, found in results.items():
        print(f"{name}: {found['n_files']} files before the training loop", *found["files"])
        print(f"  {found['n_upward']} upward calls", *found["upward"], sep="\n  ")
        print(f"  {found['n_lines']} lines of code", found["lines_by_folder"])
    if not args.smoke:
        save("path", results)


def _count_in(tree):
    """Return the counts of a tree, made in a process that imports the package from it."""
    env = {**os.environ, "PYTHONPATH": str(tree), "PATH_TREE": str(tree)}
    command = [sys.executable, __file__]
    found = subprocess.run(command, check=True, env=env, cwd=tree, stdout=subprocess.PIPE)
    return json.loads(found.stdout)


def count():
    """Return the counts of the tree ROOT."""
    files, upward = {}, set()
    for name, fit in settings():
        for backend in ("numpy", "fused"):
            os.environ["SKNN_ADAM_KERNELS"] = backend
            found = Recorder(ladder())
            found.record(fit)
            files[f"{name}, {backend}"] = found.files
            upward |= found.upward
    every = sorted(set().union(*files.values()))
    lines = Counter()
    for path in PACKAGE.rglob("*.py"):
        folder = path.relative_to(PACKAGE).parts[0]
        lines["(top)" if folder.endswith(".py") else folder] += lines_of_code(path)
    return {
        "files": every,
        "n_files": len(every),
        "n_files_by_setting": {name: len(found) for name, found in files.items()},
        "upward": sorted(" -> ".join(pair) for pair in upward),
        "n_upward": len(upward),
        "n_lines": sum(lines.values()),
        "lines_by_folder": dict(sorted(lines.items())),
    }


def lines_of_code(path):
    """Return the number of lines of a file without blank lines, comments and docstrings."""
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
    """Return the rung of every module and folder, counted from the bottom."""
    rungs = tomllib.loads((ROOT / "docs" / "ladder.toml").read_text())["rung"]
    if rungs[0]["modules"] == ["__main__"]:  # the file lists the rungs from the top down
        rungs.reverse()
    return {name: i for i, rung in enumerate(rungs) for name in rung["modules"]}


class Recorder:
    """Records the calls between functions of the package.

    Parameters
    ----------
    rungs : dict of str to int
        The rung of every module and folder of the package.

    Attributes
    ----------
    files : set of str
        Files whose functions ran before the training loop, components aside.
    upward : set of (str, str)
        Caller and callee of each call from a lower rung up to a higher one.
    """

    def __init__(self, rungs):
        self.rungs, self.files, self.upward, self.looping = rungs, set(), set(), False

    def record(self, function):
        """Call a function and record what runs."""
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
    """Return the module on the ladder, the file and the function of a frame of the package."""
    path = Path(frame.f_code.co_filename)
    function = frame.f_code.co_flags & inspect.CO_OPTIMIZED  # not the body of a module or class
    if not function or not path.is_relative_to(PACKAGE):
        return None
    file = path.relative_to(PACKAGE)
    return file.parts[0].removesuffix(".py"), str(file), frame.f_code.co_qualname


def settings():
    """Yield names and functions that fit a classifier in different ways."""
    from sklearn.datasets import load_iris

    from sknn_adam import MLPClassifier

    X, y = load_iris(return_X_y=True)
    labels, weight = np.c_[y == 0, y == 1].astype(int), np.linspace(0.5, 1.5, len(y))
    members = {"n_members": 3, "early_stopping": True}
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


def section(found: dict) -> list[str]:
    now = found["now"]
    return [
        "### Files and lines",
        f"{now['n_lines']:,} lines of code. Functions of {now['n_files']} files, components aside, "
        "run between `fit` and the training loop in seven settings together; "
        f"{now['n_upward']} calls go from a lower module to a higher one.",
    ]


def figures(found: dict) -> dict:
    now = found["now"]
    return {"lines": now["n_lines"], "files": now["n_files"], "upward calls": now["n_upward"]}


if __name__ == "__main__":
    print(json.dumps(count()))
