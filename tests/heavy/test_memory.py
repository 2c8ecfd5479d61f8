"""Memory use of training and prediction, measured in a separate process.

    python -m pytest -m slow tests/heavy/test_memory.py

The memory-mapped file is sparse. It has a size of 4 GB but takes only a few megabytes on disk.
"""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from recording import record

from sknn_adam import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

N_ROWS, N_COLUMNS = 1_000_000, 1_000

WATCH = """
import json, sys, threading, time
import numpy as np
from scipy import sparse
from sknn_adam import MLPClassifier, MLPRegressor

def resident(kind):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(kind + ":")) / 1024

class Peak:
    '''Maximum of a memory figure in /proc, in MB, sampled every 2 ms.'''
    def __init__(self, kind):
        self.kind, self.done = kind, threading.Event()
    def __enter__(self):
        self.start = self.peak = resident(self.kind)
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self
    def watch(self):
        while not self.done.wait(0.002):
            self.peak = max(self.peak, resident(self.kind))
    def __exit__(self, *_):
        self.peak = max(self.peak, resident(self.kind))
        self.done.set()
        self.thread.join()

# Libraries and threads allocate memory on first use, which must not count in the measurement.
small = np.random.default_rng(0).normal(size=(300, 20)).astype(np.float32)
MLPRegressor((8,), max_iter=2, early_stopping=True).fit(small, small[:, 0])
MLPClassifier((8,), max_iter=2).fit(sparse.csr_matrix(small), small[:, 0] > 0)
"""

MAPPED = """
path, n_rows, n_columns, params, weighted = sys.argv[1:]
n_rows, n_columns = int(n_rows), int(n_columns)
X = np.memmap(path, np.float32, "r", shape=(n_rows, n_columns))
rng = np.random.default_rng(0)
y = rng.normal(size=n_rows)
weight = None
if weighted == "True":
    weight = rng.uniform(0.5, 2, n_rows)
    weight[::7] = 0
model = MLPRegressor((16,), batch_size=1000, max_iter=1, random_state=0, **json.loads(params))
with Peak("RssAnon") as memory:
    began = time.monotonic()
    model.fit(X, y, weight)
    seconds = time.monotonic() - began
steps = model.n_steps_
with Peak("RssAnon") as prediction:
    assert np.isfinite(model.predict(X)).all()
print(json.dumps({"rise": memory.peak - memory.start, "seconds": seconds, "steps": steps,
                  "prediction": prediction.peak - prediction.start}))
"""

SPARSE = """
n_rows, n_columns, per_row = 200_000, 50_000, 50
rng = np.random.default_rng(0)
X = sparse.csr_matrix(
    (np.ones(n_rows * per_row, np.float32),
     rng.integers(0, n_columns, n_rows * per_row, dtype=np.int32),
     np.arange(0, n_rows * per_row + 1, per_row, dtype=np.int32)),
    shape=(n_rows, n_columns),
)
y = rng.integers(0, 2, n_rows)
model = MLPClassifier((32,), batch_size=1000, max_iter=1, random_state=0)
with Peak("VmRSS") as memory:
    began = time.monotonic()
    model.fit(X, y)
    seconds = time.monotonic() - began
with Peak("VmRSS") as prediction:
    model.predict(X)
print(json.dumps({"rise": memory.peak - memory.start, "seconds": seconds, "steps": model.n_steps_,
                  "prediction": prediction.peak - prediction.start}))
"""


def measured(code, *args):
    """Run code in a new process; return the figures that it prints."""
    command = [sys.executable, "-c", WATCH + code, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return {name: round(value, 1) for name, value in json.loads(done.stdout).items()}


@pytest.fixture
def table(tmp_path):
    """Return the path of a 4 GB file that is zero except for some rows of noise."""
    path, rng = tmp_path / "table.float32", np.random.default_rng(0)
    with open(path, "wb") as file:
        file.truncate(4 * N_ROWS * N_COLUMNS)
        for row in range(0, N_ROWS, 1000):
            file.seek(4 * N_COLUMNS * row)
            file.write(rng.normal(size=N_COLUMNS).astype(np.float32).tobytes())
    return path


def test_memory_of_a_mapped_file(table):
    cases = {
        "plain": ({}, False, 1000),
        "early stopping": ({"early_stopping": True}, False, 900),
        "rows of weight zero": ({}, True, 858),
        "both": ({"early_stopping": True}, True, 772),
    }
    figures = {}
    for name, (params, weighted, steps) in cases.items():
        found = measured(MAPPED, table, N_ROWS, N_COLUMNS, json.dumps(params), weighted)
        assert found["steps"] == steps
        figures[name] = found
    record(
        "memory_of_a_mapped_file",
        rows=N_ROWS,
        columns=N_COLUMNS,
        file_gb=4.0,
        rise_is="MB of anonymous memory (RssAnon) above that before fit",
        cases=figures,
    )
    for name, found in figures.items():
        assert found["rise"] < 300, name
        assert found["prediction"] < 300, name


def test_memory_of_a_sparse_matrix():
    found = measured(SPARSE)
    record(
        "memory_of_a_sparse_matrix",
        rows=200_000,
        columns=50_000,
        stored_per_row=50,
        dense_gb=40.0,
        rise_is="MB of resident memory (VmRSS) above that before fit, with X in memory",
        **found,
    )
    assert found["rise"] < 1000
    assert found["prediction"] < 1000


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_a_pickle_is_hardly_larger_than_the_weights(estimator):
    X = np.random.default_rng(0).normal(size=(500, 800)).astype(np.float32)
    params = {"normalization": "batch", "averaging": "ema", "max_iter": 3, "early_stopping": True}
    model = estimator((700, 600), **params).fit(X, X[:, 0] > 0)
    weights = sum(array.nbytes for array in model.coefs_ + model.intercepts_)
    assert weights > 3e6
    assert len(pickle.dumps(model)) <= 1.05 * weights + 20_000
