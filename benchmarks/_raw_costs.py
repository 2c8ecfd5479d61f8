"""Costs of the column steps: time on large tables and for one row, and facts on skrub."""

import json
import sys
import warnings
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

import numpy as np
from packaging.requirements import Requirement
from scipy.sparse import csr_array

from benchmarks._page import markdown_table
from benchmarks._records import ROOT, save
from benchmarks._reference import reference_tree, start
from benchmarks._report import CLOCKS, run_on, spread
from sknn_adam import make_tabular_pipeline

try:
    import pandas as pd
# Records are shown without pandas, too.
except ImportError:
    pd = None

N_ROWS, N_FITTED, CALLS = 100_000, 2_000, 20
TASKS = ("columns", "predict")


def frame(n, seed):
    """Return 20 numbers, 6 texts with few levels, 2 with many and 2 dates, with a target."""
    rng = np.random.default_rng(seed)
    X = {f"number {i}": rng.normal(size=n) for i in range(20)}
    X |= {f"few {i}": rng.choice([f"level {j}" for j in range(8)], n) for i in range(6)}
    X |= {f"many {i}": rng.choice([f"place {j}" for j in range(500)], n) for i in range(2)}
    start_of_all = np.datetime64("2015-01-01", "s")
    for i in range(2):
        X[f"date {i}"] = start_of_all + rng.integers(0, 10**8, n).astype("timedelta64[s]")
    return pd.DataFrame(X), X["number 0"] + rng.normal(size=n)


def pipelines(side, seed):
    """Return the column step and the whole pipeline of one side."""
    model = make_tabular_pipeline("regressor", recipe="fast", random_state=seed)
    # The network costs the same on both sides.
    model.set_params(model__max_iter=1)
    if side.startswith("skrub"):
        import skrub

        model = skrub.tabular_pipeline(model["model"])
    whole = side == "skrub, all steps"
    return model[:-1] if whole else model[0], model


def serve(clock, seed, n_rows):
    """Read pairs of side and task from standard input and write the seconds for each."""
    warnings.simplefilter("ignore")
    run_on(1)
    now, (X, y) = CLOCKS[clock], frame(n_rows, seed)
    fitted: dict = {}
    for line in sys.stdin:
        side, task = json.loads(line)
        columns, model = pipelines(side, seed)
        if task == "predict" and side not in fitted:
            fitted[side] = model.fit(X.iloc[:N_FITTED], y[:N_FITTED])
        begin = now()
        if task == "columns":
            columns.fit_transform(X, y)
            seconds = now() - begin
        else:
            for i in range(CALLS):
                fitted[side].predict(X.iloc[i : i + 1])
            seconds = (now() - begin) / CALLS
        print(seconds, flush=True)


def costs(args):
    checkout = reference_tree(args.reference) if args.reference else nullcontext((None, None))
    sides = {"ours": ROOT}
    if find_spec("skrub"):
        sides |= {"skrub, TableVectorizer": ROOT, "skrub, all steps": ROOT}
    n_rows, repeats = (N_FITTED, 1) if args.smoke else (N_ROWS, args.repeats)
    with checkout as (tree, commit):
        if tree:
            sides["reference"] = tree
        one = {"SKNN_ADAM_NUM_THREADS": "1"}
        call = f"serve({args.clock!r}, {args.seed}, {n_rows})"
        workers = {
            path: start(path, "benchmarks._raw_costs", call, **one) for path in set(sides.values())
        }
        try:
            seconds = _interleaved(sides, workers, repeats)
        finally:
            for worker in workers.values():
                worker.stdin.close()
                worker.wait()
    content = {"seed": args.seed, "repeats": repeats, "clock": args.clock, "reference": commit}
    for task, by_side in seconds.items():
        content[task] = {side: spread(each) for side, each in by_side.items()}
        print(task, content[task])
    content["facts"] = facts_on_skrub() if find_spec("skrub") else {}
    print(content["facts"])
    if not args.smoke:
        print(save("raw_tables_costs", content))


def _interleaved(sides, workers, repeats):
    """Return the seconds of all repetitions by task and side. The first of each only warms up."""
    seconds: dict = {task: {side: [] for side in sides} for task in TASKS}
    for task in TASKS:
        for repeat in range(-1, repeats):
            for side in list(sides)[:: 1 if repeat % 2 else -1]:
                worker = workers[sides[side]]
                worker.stdin.write(json.dumps([side, task]) + "\n")
                worker.stdin.flush()
                value = float(worker.stdout.readline())
                if repeat >= 0:
                    seconds[task][side].append(value)
    return seconds


# -- facts ---------------------------------------------------------------------------------------


def outcome(function):
    """Return "works", or the error of a call without arguments."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return "works"


def closure(*names):
    """Return the installed packages that packages require, directly or indirectly."""
    found, queue = set(), list(names)
    while queue:
        try:
            needed = [Requirement(text) for text in requires(queue.pop()) or ()]
        except PackageNotFoundError:
            continue
        active = [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
        new = {requirement.name.lower().replace("_", "-") for requirement in active} - found
        found |= new
        queue += new
    return found


def facts_on_skrub():
    """Return the input that skrub's TableVectorizer supports, its requirements and conversion."""
    import polars
    import skrub
    from skl2onnx import to_onnx

    from sknn_adam.onnx import register

    X, _ = frame(100, 0)
    mixed = X.iloc[:, 18:24].to_numpy(dtype=object)
    inputs = {
        "pandas dataframe": X,
        "polars dataframe": polars.DataFrame({name: X[name].tolist() for name in X}),
        "NumPy array of objects": mixed,
        "NumPy array of numbers": X.iloc[:, :20].to_numpy(),
        "list of lists": mixed.tolist(),
        "SciPy sparse matrix": csr_array(np.eye(100)),
    }
    inputs["pandas dataframe with a sparse column"] = X.iloc[:, :1].astype("Sparse[float]")
    numbers, y = X.iloc[:, :20].to_numpy(np.float32), np.arange(100.0)
    register()
    models = {"ours": pipelines("ours", 0)[1], "skrub": pipelines("skrub", 0)[1]}
    return {
        "input of skrub's TableVectorizer": {
            name: outcome(lambda t=t: skrub.TableVectorizer().fit_transform(t))
            for name, t in inputs.items()
        },
        "input of our column step": {
            name: outcome(lambda t=t: pipelines("ours", 0)[0].fit_transform(t, y))
            for name, t in inputs.items()
        },
        "conversion of a pipeline for numbers by skl2onnx": {
            name: outcome(lambda m=m: to_onnx(m.fit(numbers, y), numbers))
            for name, m in models.items()
        },
        "packages that skrub adds": sorted(closure("skrub") - closure("sknn-adam")),
    }


def costs_section(record: dict) -> list[str]:
    sides = list(record["columns"])
    rows = [
        [side, f"{record['columns'][side][1]:.2f}", f"{1000 * record['predict'][side][1]:.1f}"]
        for side in sides
    ]
    return [
        "### Cost of the column step",
        f"The table shows the seconds of `fit_transform` of the column step on {N_ROWS:,} rows and "
        "30 columns (20 numbers, 6 texts with few levels, 2 with 500, and 2 dates), and the "
        f"milliseconds of `predict` of the pipeline for one row. Both are medians of "
        f"{record['repeats']} interleaved repetitions. The reference is commit "
        f"{(record['reference'] or 'none')[:9]}.",
        markdown_table(["side", "columns, s", "one row, ms"], rows),
    ]
