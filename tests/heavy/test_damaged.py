"""Damaged archives raise a clear error, without a crash or the execution of code.

    RECORD_RESULTS=1 python -m pytest -s -m slow tests/heavy/test_damaged.py

A thousand archives are damaged in each way. The checksum reveals the damage, except in "sealed"
archives, which have a valid checksum, as any forger can compute it. These reach the readers of the
zip file, the JSON schema and the arrays. They may load if the damage is harmless (in a date, or a
digit of a weight). The test fails unless the result is an estimator or an ArchiveError.
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


def test_damaged_archives_raise_a_clear_error(tmp_path, monkeypatch):
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
        # Flipped bits may cause warnings about versions and overflow.
        warnings.simplefilter("ignore")
        counts = damage(
            (tmp_path / "whole.skops").read_bytes(), tmp_path / "damaged.skops", seed, n
        )
    seconds = round(time.monotonic() - began)
    record("damaged", seed=seed, each=n, outcomes=counts, crashes=0, seconds=seconds)
    assert counts["flipped"] == counts["cut off"] == {"refused": n, "loaded": 0}
    assert not executed
