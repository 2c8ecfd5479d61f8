import signal

import numpy as np
import pytest

pytest.register_assert_rewrite("copies", "optimizer_promises")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def plain_numpy(monkeypatch):
    """Fit with NumPy kernels, for tests of custom losses that count steps or compare bits."""
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "numpy")


@pytest.fixture
def python_handles_interrupts():
    """Make Ctrl-C raise as usual, because it is ignored in tests started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)
