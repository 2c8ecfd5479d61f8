"""Generated tables with up to a million rows: time, memory and scores on all threads.

Each fit runs in a child process, which generates the table and samples its anonymous memory. The
memory is the increase over that of the process before the fit. The targets have two classes, whose
log-odds are a known function of ten of the twenty columns.
"""

import json
import os
import subprocess
import sys

from benchmarks._page import markdown_table
from benchmarks._records import save

METHODS = ("default", "fast", "CatBoost", "HistGradientBoosting")
CHILD = """
import json, sys, threading, time, warnings
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss
warnings.simplefilter("ignore")
method, n_rows, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
largest = 0
def memory():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024
def watch():
    global largest
    while True:
        largest = max(largest, memory())
        time.sleep(0.02)
def table(n, rng):
    X = rng.normal(size=(n, 20))
    odds = 2 * np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + np.abs(X[:, 3]) - (X[:, 4] > 0.5)
    odds += 0.5 * X[:, 5:10].sum(axis=1)
    probability = 1 / (1 + np.exp(-odds))
    y = (rng.random(n) < probability).astype(int)
    names = [f"x{i}" for i in range(20)]
    return pd.DataFrame(X, columns=names), y, probability
rng = np.random.default_rng(seed)
X, y, _ = table(n_rows, rng)
X_test, y_test, probability = table(50_000, rng)
if method in ("default", "fast"):
    from sknn_adam import make_tabular_pipeline
    model = make_tabular_pipeline("classifier", recipe=method, random_state=seed)
elif method == "CatBoost":
    from catboost import CatBoostClassifier
    model = CatBoostClassifier(verbose=0, random_seed=seed, allow_writing_files=False)
else:
    from sklearn.ensemble import HistGradientBoostingClassifier
    model = HistGradientBoostingClassifier(random_state=seed)
model.fit(X[:500], y[:500])  # imports and compiles
before = memory()
threading.Thread(target=watch, daemon=True).start()
start, used = time.perf_counter(), time.process_time()
model.fit(X, y)
seconds, used = time.perf_counter() - start, time.process_time() - used
loss = log_loss(y_test, model.predict_proba(X_test))
least = log_loss(y_test, np.column_stack([1 - probability, probability]))
print(json.dumps([seconds, used, (largest - before) / 1e6, loss, least]))
"""


def add_arguments(parser):
    parser.add_argument("--rows", default="100000,1000000", help="comma-separated numbers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="2,000 rows, no record")


def measure(method, n_rows, seed, n_threads):
    """Fit a method once in a child process."""
    numbers = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SKNN_ADAM_NUM_THREADS"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, method, str(n_rows), str(seed)],
        capture_output=True,
        text=True,
        env={**os.environ, **dict.fromkeys(numbers, str(n_threads))},
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds, used, megabytes, loss, least = json.loads(done.stdout)
    return {
        "method": method,
        "rows": n_rows,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used, 2),
        "megabytes": round(megabytes),
        "logloss": round(loss, 5),
        "least_logloss": round(least, 5),
    }


def run(args):
    rows = []
    for n_rows in [2000] if args.smoke else map(int, args.rows.split(",")):
        for method in METHODS:
            if method == "CatBoost" and args.smoke:
                continue
            rows.append(measure(method, n_rows, args.seed, args.threads))
            print(rows[-1], flush=True)
    if not args.smoke:
        print(save("million", {"seed": args.seed, "threads": args.threads, "rows": rows}))


def section(record: dict) -> list[str]:
    names = ("method", "seconds", "cpu_seconds", "megabytes", "logloss", "least_logloss")
    rows = [[f"{row['rows']:,}", *(row[name] for name in names)] for row in record["rows"]]
    return [
        "## Generated tables with up to a million rows",
        "The tables have 20 numeric columns and two classes. Each fit runs in a process of its own "
        f"on {record['threads']} threads. The memory is the increase during the fit. The lowest "
        "possible log loss is that of the true probabilities; the test set has 50,000 rows.",
        markdown_table(
            [
                *("rows", "method", "seconds", "CPU seconds", "megabytes", "log loss"),
                "lowest possible",
            ],
            rows,
        ),
    ]


def figures(record: dict) -> dict:
    largest = max(row["rows"] for row in record["rows"])
    found = {row["method"]: row for row in record["rows"] if row["rows"] == largest}
    return {f"{method}: seconds": found[method]["seconds"] for method in ("default", "fast")}
