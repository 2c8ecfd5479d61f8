from copy import deepcopy

import numpy as np
import pytest
from rows import AVERAGINGS, with_numpy_numbers
from sklearn.base import clone

from sknn_adam import MLPRegressor
from sknn_adam._nn.network import build
from sknn_adam._training.batches import Data
from sknn_adam._training.loop import Plan, Run, train
from sknn_adam.activations import Tanh
from sknn_adam.averaging import EMA
from sknn_adam.initializers import GlorotNormal, Zeros
from sknn_adam.losses import SquaredError
from sknn_adam.optimizers import SGD
from sknn_adam.schedules import Constant


def averaged(averaging, path):
    # The first update overwrites the initial value.
    average = np.full_like(path[0], 123.0)
    for t, theta in enumerate(path, start=1):
        averaging.update(average, theta, t)
    return average


@pytest.mark.parametrize("n_steps", [1, 2, 100])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_average_matches_the_closed_form(n_steps, decay, rng):
    path = rng.normal(size=(n_steps, 7))
    weights = decay ** np.arange(n_steps)[::-1]
    expected = np.average(path, axis=0, weights=weights)
    np.testing.assert_allclose(averaged(EMA(decay), path), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("averaging", AVERAGINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_average_of_constant_weights_is_those_weights(averaging, dtype):
    before = deepcopy(vars(averaging))
    theta = np.array([1.0, -2.0, 3.0], dtype)
    kept = theta.copy()
    average = averaged(with_numpy_numbers(averaging), [theta] * 50)
    assert average.dtype == dtype
    np.testing.assert_allclose(average, theta, rtol=1e-5)
    np.testing.assert_array_equal(theta, kept)
    assert vars(averaging) == before


class Watched(SGD):
    """SGD that records theta after every step."""

    def init(self, theta, layout=None):
        state = super().init(theta, layout)
        state.path = []
        return state

    def step(self, theta, grad, state, lr_scale=1.0):
        super().step(theta, grad, state, lr_scale)
        state.path.append(theta.copy())


def trained(averaging, rng):
    """Return the run, its plan, and the weights that were validated."""
    x = rng.normal(size=(20, 3))
    network = build(3, (4,), 1, [Tanh()])
    network.initialize(GlorotNormal(), Zeros(), np.random.default_rng(0))
    run = Run(network, np.random.default_rng(0))
    plan = Plan(SquaredError(), Watched(0.1), Constant(), batch_size=5, averaging=averaging)
    run.begin(plan)
    seen = []
    data = Data(x, x[:, :1] ** 2, None, 5, np.float64)
    train(run, plan, data, 2, lambda network: seen.append(network.theta.copy()) or 0.0)
    return run, plan, seen


def test_average_is_used_for_validation_only():
    plain, *_ = trained(None, np.random.default_rng(5))
    run, plan, seen = trained(EMA(0.8), np.random.default_rng(5))
    path = run.optimizer_state.path
    np.testing.assert_array_equal(path, plain.optimizer_state.path)
    for epoch, n_steps in ((0, 4), (1, 8)):
        weights = 0.8 ** np.arange(n_steps)[::-1]
        expected = np.average(path[:n_steps], axis=0, weights=weights)
        np.testing.assert_allclose(seen[epoch], expected, rtol=1e-10)
    np.testing.assert_array_equal(run.point(plan), seen[-1])
    np.testing.assert_array_equal(run.network.theta, path[-1])


@pytest.mark.parametrize("averaging", ["auto", "ema", None])
def test_published_averaging_is_the_one_used(averaging):
    X = np.arange(40.0).reshape(20, 2) / 20
    model = MLPRegressor((3,), averaging=averaging, max_iter=3, warm_start=True)
    for optimizer in ("adam", "schedule_free_adamw", "lbfgs"):
        fitted = clone(model).set_params(optimizer=optimizer).fit(X, X[:, 0])
        assert (fitted.averaging_ is None) == (fitted._run.average is None)
