"""A thousand damaged archives of each type raise a clear error and never crash or run code.

    RECORD_RESULTS=1 python -m pytest -s -m slow tests/heavy/test_damaged.py

The checksum reveals damaged files. "Sealed" archives have a valid checksum, which any forger can
compute, so they reach the readers of the zip file, the JSON schema and the arrays. They may load if
the damage is harmless (a date, a digit of a weight). Anything but an estimator or an ArchiveError
fails the test.
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
