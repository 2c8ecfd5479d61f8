"""Training that is killed at any moment resumes from its checkpoint and ends with the same bits.

python -m pytest -m slow tests/heavy/test_kill.py
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from recording import record

from sknn_adam.callbacks import Checkpoint

pytestmark = pytest.mark.slow

N_KILLS = 20
SEED = 20261122

# Train, from the checkpoint if there is one. Every epoch writes a checkpoint of about 12 MB.
CHILD = """
import sys
import numpy as np
from sknn_adam import MLPClassifier
from sknn_adam.callbacks import Checkpoint

checkpoint, done = sys.argv[1:]
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 300))
y = (X[:, 0] * X[:, 1] > 0).astype(int)
try:
    model = Checkpoint.load(checkpoint)
except FileNotFoundError:
    model = MLPClassifier(
        (300, 300), normalization="batch", dropout=0.2, schedule="cosine", averaging="ema",
        max_iter=40, n_iter_no_change=np.inf, batch_size=100, dtype="float64", random_state=0,
    )
model.set_callbacks(Checkpoint(checkpoint, every=1))
print("ready", flush=True)
model.fit(X, y)
np.savez(
    done, theta=model._network.theta, statistics=model._network.statistics,
    loss=model.loss_curve_, p=model.predict_proba(X), n_iter=model.n_iter_, t=model.n_steps_,
)
"""


def start(checkpoint, done):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(checkpoint), str(done)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with child.stdout:
        assert child.stdout.readline() == "ready\n"
    return child


def finish(checkpoint, done):
    """Train to the end; return the duration in seconds and the results."""
    child = start(checkpoint, done)
    began = time.monotonic()
    assert child.wait(timeout=600) == 0
    seconds = time.monotonic() - began
    with np.load(done) as content:
        return seconds, {name: content[name] for name in content.files}


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_killed_training_resumes_with_the_same_bits(tmp_path):
    pytest.importorskip("sklearn.callback")
    rng = np.random.default_rng(SEED)
    seconds, expected = finish(tmp_path / "whole.checkpoint", tmp_path / "whole.npz")
    size = (tmp_path / "whole.checkpoint").stat().st_size
    assert expected["n_iter"] == 40

    # Kill each training at a random moment, then resume it to the end.
    epochs, before_the_first = [], 0
    for k in range(N_KILLS):
        folder = Path(tmp_path / f"{k}")
        folder.mkdir()
        checkpoint = folder / "run.checkpoint"
        child = start(checkpoint, folder / "killed.npz")
        time.sleep(rng.uniform(0, seconds))
        child.kill()
        child.wait()
        if checkpoint.exists():
            # The checkpoint must always be readable.
            epochs.append(Checkpoint.load(checkpoint).n_iter_)
        else:
            before_the_first += 1
        same(finish(checkpoint, folder / "end.npz")[1], expected)

    # Kill one training repeatedly.
    checkpoint = tmp_path / "chain.checkpoint"
    seen, kills = [0], 0
    while kills < N_KILLS:
        child = start(checkpoint, tmp_path / "chain.npz")
        # Starting the process takes about a third of the time.
        time.sleep(rng.uniform(0, seconds / 2))
        child.kill()
        # The child may have finished before it was killed.
        if child.wait() == 0:
            break
        kills += 1
        if checkpoint.exists():
            seen.append(Checkpoint.load(checkpoint).n_iter_)
    assert seen == sorted(seen)
    assert seen[-1] > 0
    same(finish(checkpoint, tmp_path / "chain.npz")[1], expected)
    left = [path for path in tmp_path.rglob("*.checkpoint?*")]
    record(
        "kill",
        seed=SEED,
        kills=N_KILLS,
        unreadable_checkpoints=0,
        other_bits=0,
        killed_after_epochs=epochs,
        killed_before_the_first_checkpoint=before_the_first,
        kills_of_one_training=kills,
        epochs_after_each_of_them=seen[1:],
        checkpoint_bytes=size,
        unfinished_files_left_behind=len(left),
    )
