"""Ctrl-C at any point is raised again and leaves the estimator fitted and consistent."""

import copy
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.clipping import Clipping
from sknn_adam.losses import LogLoss, SquaredError
from sknn_adam.optimizers import SGD

pytestmark = pytest.mark.usefixtures("python_handles_interrupts")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
LABELS = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, 2.0, 0.0, -1.0], [-1, 1])]
NUMBERS = 10 * np.sin(X[:, 0]) + 3 * X[:, 1] ** 2 + 100

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


class CountedClip(Clipping):
    """A clipping that only presses Ctrl-C in one step, counted from 1."""

    def __init__(self, steps=()):
        self.steps = steps

    def __call__(self, grad, layout=None):
        self.steps[0] -= 1
        if self.steps[0] == 0:
            press_ctrl_c()
        return grad


class Scorer:
    """A scorer that returns the given scores and presses Ctrl-C in one of its calls."""

    def __init__(self, scores, at):
        self.scores, self.at, self.calls = scores, at, 0

    def __call__(self, estimator, X, y, sample_weight=None):
        self.calls += 1
        if self.calls == self.at:
            press_ctrl_c()
        return self.scores[self.calls - 1]


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (5,), "batch_size": 16, "max_iter": 8, "random_state": 0}
    return estimator(**defaults | params)


def outputs(model):
    return model.decision_function(X) if hasattr(model, "classes_") else model.predict(X)


def check_consistent(model):
    """Check that the estimator predicts, has consistent attributes, and can be copied."""
    assert np.isfinite(outputs(model)).all()
    n_epochs = len(model.loss_curve_)
    assert {len(column) for column in model.history_.columns.values()} <= {n_epochs}
    assert model.n_iter_ == n_epochs
    assert model.best_iter_ <= n_epochs
    assert np.isfinite([array.sum() for array in model.coefs_ + model.intercepts_]).all()
    np.testing.assert_array_equal(outputs(copy.deepcopy(model)), outputs(model))


@BOTH
@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.parametrize("step", [1, 6, 8])
def test_interrupt_in_a_step(estimator, y, normalization, step):
    params = {"normalization": normalization, "hidden_layer_sizes": (5, 4)}
    model = small(estimator, gradient_clip=CountedClip([step]), **params)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    check_consistent(model)
    assert (model.n_steps_, model.stop_reason_, model.converged_) == (step, None, False)


@BOTH
def test_interrupt_in_partial_fit(estimator, y):
    model = small(estimator).partial_fit(X, y)
    model.set_params(gradient_clip=CountedClip([2]))
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, y)
    check_consistent(model)
    # The next call begins with its first sample.
    model.set_params(gradient_clip=None).partial_fit(X, y)
    assert (model.n_iter_, model.n_steps_) == (2, 4 + 2 + 4)


@BOTH
@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupt_in_a_scorer_completes_the_epoch(estimator, y, early_stopping):
    scorer = Scorer(range(8), at=3)
    model = small(estimator, scoring=scorer, early_stopping=early_stopping)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, X_val=X, y_val=y)
    check_consistent(model)
    assert scorer.calls == model.n_iter_ == 3


@BOTH
def test_interrupt_in_the_last_epoch_can_be_resumed(estimator, y):
    """Resumed training stops in the same epoch with the same best weights."""
    scores = [1, 3, 2, 2, 2, 9, 9, 9]
    params = {"early_stopping": True, "n_iter_no_change": 2, "tol": 0.0, "warm_start": True}
    uninterrupted = small(estimator, scoring=Scorer(scores, None), **params)
    uninterrupted.fit(X, y, X_val=X, y_val=y)
    assert (uninterrupted.n_iter_, uninterrupted.stop_reason_) == (5, "early_stopping")
    model = small(estimator, scoring=Scorer(scores, 5), **params)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, X_val=X, y_val=y)
    check_consistent(model)
    assert model.stop_reason_ is None
    model.fit(X, y, X_val=X, y_val=y)
    assert (model.n_iter_, model.stop_reason_, model.best_iter_) == (5, "early_stopping", 2)
    np.testing.assert_array_equal(outputs(model), outputs(uninterrupted))


@BOTH
@pytest.mark.usefixtures("plain_numpy")
def test_interrupt_in_a_diverging_step(estimator, y):
    class Bad(LogLoss if estimator is MLPClassifier else SquaredError):
        """A loss that presses Ctrl-C and is NaN in its sixth batch."""

        def value_and_gradient(self, y, z):
            value, gradient = super().value_and_gradient(y, z)
            self.calls.append(1)
            if len(self.calls) == 6:
                press_ctrl_c()
                value = value * np.nan
            return value, gradient

    Bad.calls = []
    model = small(estimator, loss=Bad(), normalization="batch")
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    check_consistent(model)
    assert model.stop_reason_ == "diverged"
    # The first epoch is the best one.
    kept = small(estimator, normalization="batch", max_iter=1).fit(X, y)
    np.testing.assert_array_equal(outputs(model), outputs(kept))


@BOTH
@pytest.mark.parametrize("normalization", [None, "batch"])
def test_interrupt_in_a_minimizer_discards_the_trial_point(estimator, y, normalization):
    """Neither the weights nor the statistics of a trial point are kept."""

    class Bad(LogLoss if estimator is MLPClassifier else SquaredError):
        def value_and_gradient(self, y, z):
            self.calls.append(1)
            if len(self.calls) == self.at:
                raise KeyboardInterrupt
            return super().value_and_gradient(y, z)

    Bad.calls, Bad.at = [], None
    params = {"optimizer": "lbfgs", "batch_size": "auto", "normalization": normalization}
    # The first fit of a process calls the loss once more, to verify the recorded layers.
    small(estimator, loss=Bad(), **params, max_iter=1).fit(X, y)
    Bad.calls = []
    uninterrupted = small(estimator, loss=Bad(), **params, max_iter=3).fit(X, y)
    n_calls = len(Bad.calls)
    # The first trial point of the fourth iteration.
    Bad.calls, Bad.at = [], n_calls + 1
    model = small(estimator, loss=Bad(), **params)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    check_consistent(model)
    assert model.n_iter_ == 3
    np.testing.assert_allclose(outputs(model), outputs(uninterrupted), rtol=1e-10)


@BOTH
def test_error_of_a_component_leaves_the_estimator_unfitted(estimator, y):
    class Broken(SGD):
        def step(self, theta, grad, state, lr_scale=1.0):
            raise RuntimeError("a bug of the user")

    model = small(estimator, optimizer=Broken())
    with pytest.raises(RuntimeError, match="a bug of the user"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


@BOTH
def test_custom_signal_handler_is_kept(estimator, y):
    """A custom handler decides how Ctrl-C affects a fit."""
    calls = []
    signal.signal(signal.SIGINT, lambda *_: calls.append(1))
    try:
        model = small(estimator, gradient_clip=CountedClip([3])).fit(X, y)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert calls == [1]
    assert model.n_iter_ == 8


@BOTH
def test_fits_in_threads_do_not_change_the_handler(estimator, y):
    seen = []

    def fit():
        model = small(estimator, scoring=lambda *_: seen.append(signal.getsignal(2)) or 0.0)
        model.fit(X, y, X_val=X, y_val=y)

    worker = threading.Thread(target=fit)
    worker.start()
    worker.join(30)
    assert seen == [signal.default_int_handler] * 8


def test_script_exits_as_after_any_ctrl_c():
    """The signal arrives in the middle of a long fit; Python's handler is restored afterwards."""
    code = """
        import signal, sys
        import numpy as np
        from sknn_adam import MLPRegressor

        X = np.random.default_rng(0).normal(size=(200, 4))
        def report(estimator, X, y):
            print("epoch", flush=True)
            return 0.0
        model = MLPRegressor((8,), max_iter=10**9, n_iter_no_change=np.inf, scoring=report)
        try:
            model.fit(X, X[:, 0], X_val=X, y_val=X[:, 0])
        except KeyboardInterrupt:
            assert np.isfinite(model.predict(X)).all()
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            print("stopped", model.n_iter_ > 0, flush=True)
            raise
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "epoch\n"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert out.endswith("stopped True\n")
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert child.returncode == -signal.SIGINT
