"""A table larger than memory: Parquet files are encoded and then train a network for one epoch.

The files are generated. Each step runs in a child process, which samples its anonymous memory; the
pages of files that it reads or writes are not counted, because the system can release them at any
time. The first process that encodes the files is killed, and a second one continues. A third one
encodes the files without interruption to another directory, and the contents are compared.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._page import markdown_table
from benchmarks._records import save

N_FILES = 8
N_NUMBERS = 17
ROWS_AT_ONCE = 125_000
CHILD = """
import json, sys, threading, time, warnings
import numpy as np
from sknn_adam import make_tabular_pipeline
from sknn_adam.arrow import encode_dataset
warnings.simplefilter("ignore")
task, source, directory = sys.argv[1:]
largest = 0
def watch():
    global largest
    while True:
        lines = open("/proc/self/status").read().splitlines()
        size = int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024
        largest = max(largest, size)
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
start = time.perf_counter()
model = make_tabular_pipeline("regressor", random_state=0)
data = encode_dataset(source, model, target="y", directory=directory, random_state=0)
if task == "epoch":
    start = time.perf_counter()
    model[-1].set_params(cv=None, early_stopping=False, max_iter=1).fit(data.X, data.y)
print(json.dumps([time.perf_counter() - start, largest]))
"""


def add_arguments(parser):
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="40,000 rows, no record")


def generate(folder, n_rows, seed):
    """Write the files, and return the sum of the targets."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, total = np.random.default_rng(seed), 0.0
    weights = rng.normal(size=N_NUMBERS)
    for i, share in enumerate(np.array_split(np.arange(n_rows), N_FILES)):
        writer, left = None, len(share)
        while left:
            n = min(left, ROWS_AT_ONCE)
            x = rng.normal(size=(n, N_NUMBERS))
            levels, count = rng.integers(6, size=(2, n)), rng.poisson(3, size=n)
            y = np.tanh(x) @ weights + levels[0] + np.sqrt(count) + x[:, 0] * x[:, 1]
            y += rng.normal(size=n)
            columns = {f"x{j}": column for j, column in enumerate(x.T)}
            columns |= {f"level_{j}": np.array(list("abcdef"))[levels[j]] for j in range(2)}
            columns |= {"count": count, "y": y}
            table = pa.table({name: pa.array(values) for name, values in columns.items()})
            if writer is None:
                writer = pq.ParquetWriter(folder / f"part_{i}.parquet", table.schema)
            writer.write_table(table)
            total, left = total + y.sum(), left - n
        writer.close()
    return float(total)


def start_child(task, source, directory):
    environment = {**os.environ, "SKNN_ADAM_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, task, str(source), str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


def measure(task, source, directory):
    """Return seconds and the largest anonymous memory in megabytes."""
    with start_child(task, source, directory) as process:
        output = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"The step {task!r} failed.")
    seconds, largest = json.loads(output)
    return {"seconds": round(seconds, 1), "megabytes": round(largest / 1e6)}


def kill_halfway(source, directory, n_rows):
    """Encode the files, kill the process, and return the number of rows so far."""
    progress = directory / "progress.json"
    with start_child("encode", source, directory) as process:
        while process.poll() is None:
            if progress.exists() and json.loads(progress.read_text())["n_rows"] > 0.4 * n_rows:
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.01)
    if process.returncode != -signal.SIGKILL:
        raise SystemExit("The process ended before it was killed.")
    return json.loads(progress.read_text())["n_rows"]


def equal_contents(one, other):
    """Return whether the files of two directories have the same bytes."""
    for name in ("X.npy", "y.npy"):
        with open(one / name, "rb") as a, open(other / name, "rb") as b:
            while block := a.read(2**24):
                if block != b.read(2**24):
                    return False
    return True


def run(args):
    n_rows = 40_000 if args.smoke else args.rows
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "files").mkdir()
        total = generate(folder / "files", n_rows, args.seed)
        size = sum(path.stat().st_size for path in (folder / "files").iterdir())
        done = kill_halfway(folder / "files", folder / "one", n_rows)
        steps = {
            "encode the rest": measure("encode", folder / "files", folder / "one"),
            "encode all": measure("encode", folder / "files", folder / "two"),
        }
        y = np.load(folder / "one" / "y.npy", "r")
        result = {
            "rows": n_rows,
            "columns": N_NUMBERS + 3,
            "megabytes_of_files": round(size / 1e6),
            "encoded_columns": int(np.load(folder / "one" / "X.npy", "r").shape[1]),
            "rows_before_kill": done,
            "relative_error_of_the_sum_of_y": abs(float(y.sum()) / total - 1),
            "same_bytes_after_kill": equal_contents(folder / "one", folder / "two"),
        }
        shutil.rmtree(folder / "two")
        steps["one epoch"] = measure("epoch", folder / "files", folder / "one")
        print(result, steps, sep="\n")
        if not args.smoke:
            print(save("parquet", {"seed": args.seed, **result, "steps": steps}))
    finally:
        shutil.rmtree(folder)


def section(record: dict) -> list[str]:
    rows = [[name, *step.values()] for name, step in record["steps"].items()]
    same = "the same" if record["same_bytes_after_kill"] else "not the same"
    return [
        "## A table larger than memory",
        f"`encode_dataset` encodes {record['rows']:,} rows of {record['columns']} columns "
        f"({record['megabytes_of_files']:,} MB of Parquet files) as {record['encoded_columns']} "
        "columns of float32. Then the network of the recipe `default`, without cross-fitting, is "
        "trained for one epoch. The table shows the seconds on one thread and the largest "
        "anonymous memory of the process in megabytes. The first process was killed after "
        f"{record['rows_before_kill']:,} rows, and the bytes after another one had continued are "
        f"{same} as those of a process without interruption.",
        markdown_table(["step", "seconds", "memory"], rows),
    ]


def figures(record: dict) -> dict:
    largest = max(step["megabytes"] for step in record["steps"].values())
    return {"largest memory in megabytes": largest}
