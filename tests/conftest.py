import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def plain_numpy(monkeypatch):
    """Have fits run by NumPy alone: for tests that count calls or compare bits with own losses."""
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "numpy")
