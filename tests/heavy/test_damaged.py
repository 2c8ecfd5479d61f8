"""A thousand damaged archives of each kind: one clear error, never a crash, no code run.

    RECORD_RESULTS=1 python -m pytest -s -m slow tests/heavy/test_damaged.py

A damaged file is refused by its checksum. Those that are "sealed" have a right checksum, as
somebody who forges an archive can write it: they reach the readers of zip, JSON, NumPy and skops.
They may load where the damage does no harm (a date, a digit of a weight); anything but an estimator
or an ArchiveError fails the test.
"""

import os
import random
import time
import warnings

import pytest
from recording import record
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytest.importorskip("skops")

from archives import damage
from copies import LABELS, X, small

from sknn_adam import MLPClassifier
from sknn_adam.persistence import save

pytestmark = pytest.mark.slow


def test_damaged(tmp_path, monkeypatch):
    executed = []
    for name in ("system", "popen", "execv"):
        monkeypatch.setattr(os, name, lambda *args: executed.append(args))
    seed, n = int(os.environ.get("DAMAGE_SEED", random.randrange(10**6))), 1000
    print(f"DAMAGE_SEED={seed}")
    model = make_pipeline(
        StandardScaler(), small(MLPClassifier, warm_start=True, normalization="batch")
    ).fit(X, LABELS)
    save(model, tmp_path / "whole.skops")
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions, and of what flipped numbers overflow
        counts = damage(
            (tmp_path / "whole.skops").read_bytes(), tmp_path / "damaged.skops", seed, n
        )
    seconds = round(time.monotonic() - began)
    record("damaged", seed=seed, each=n, outcomes=counts, crashes=0, seconds=seconds)
    assert counts["flipped"] == counts["cut off"] == {"refused": n, "loaded": 0}
    assert not executed
