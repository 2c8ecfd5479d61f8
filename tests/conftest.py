import signal

import numpy as np
import pytest

pytest.register_assert_rewrite("copies", "optimizer_promises")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def plain_numpy(monkeypatch):
    """Fit with NumPy alone: for tests of custom losses that count steps or compare bits."""
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "numpy")


@pytest.fixture
def python_handles_interrupts():
    """Have Ctrl-C raise as usual: who starts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)
