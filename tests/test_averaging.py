from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from rows import AVERAGINGS, with_numpy_numbers

from sknn_adam.activations import Tanh
from sknn_adam.averaging import EMA
from sknn_adam.initializers import GlorotNormal, Zeros
from sknn_adam.losses import SquaredError
from sknn_adam.network import build
from sknn_adam.optimizers import SGD
from sknn_adam.schedules import Constant
from sknn_adam.training import Data, Plan, Run, train


def averaged(averaging, path):
    average = np.full_like(path[0], 123.0)  # the start is forgotten at the first step
    for t, theta in enumerate(path, start=1):
        averaging.update(average, theta, t)
    return average


@pytest.mark.parametrize("n_steps", [1, 2, 100])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_average_in_closed_form(n_steps, decay, rng):
    path = rng.normal(size=(n_steps, 7))
    weights = decay ** np.arange(n_steps)[::-1]
    expected = np.average(path, axis=0, weights=weights)
    np.testing.assert_allclose(averaged(EMA(decay), path), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("averaging", AVERAGINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_stands_still_is_its_own_average(averaging, dtype):
    before = deepcopy(vars(averaging))
    theta = np.array([1.0, -2.0, 3.0], dtype)
    kept = theta.copy()
    average = averaged(with_numpy_numbers(averaging), [theta] * 50)
    assert average.dtype == dtype
    np.testing.assert_allclose(average, theta, rtol=1e-5)
    np.testing.assert_array_equal(theta, kept)
    assert vars(averaging) == before


def test_training_validates_with_the_average_and_goes_on_without_it(rng):
    x = rng.normal(size=(20, 3))
    y = x[:, :1] ** 2
    plan = Plan(
        SquaredError(), SGD(learning_rate=0.1), Constant(), batch_size=5, averaging=EMA(0.8)
    )
    paths = {}
    for averaging in (None, EMA(0.8)):
        network = build(3, (4,), 1, [Tanh()])
        network.initialize(GlorotNormal(), Zeros(), np.random.default_rng(0))
        run = Run(network, np.random.default_rng(0))
        plan = replace(plan, averaging=averaging)
        run.begin(plan)
        seen, path = [], []
        real = plan.optimizer.step

        class Watched(SGD):
            def step(self, theta, *args):
                super().step(theta, *args)
                path.append(theta.copy())  # noqa: B023

        plan = replace(plan, optimizer=Watched(learning_rate=0.1))
        train(
            run,
            plan,
            Data(x, y, None, 5, np.float64),
            2,
            lambda n: seen.append(n.theta.copy()) or 0.0,
        )
        paths[averaging is None] = path
    np.testing.assert_array_equal(paths[True], paths[False])
    weights = 0.8 ** np.arange(8)[::-1]
    expected = np.average(paths[False], axis=0, weights=weights)
    np.testing.assert_allclose(seen[-1], expected, rtol=1e-10)
    np.testing.assert_allclose(run.point(plan), expected, rtol=1e-10)
