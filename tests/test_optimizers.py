from copy import deepcopy

import numpy as np
import pytest
from optimizer_promises import (
    GOLDEN,
    LAYOUT,
    N_WEIGHTS,
    PROMISES,
    START,
    follows_the_golden_trajectory,
    gradient,
    objective,
    without_decay_nothing_moves_at_a_minimum,
)
from rows import MINIMIZERS, OPTIMIZERS, with_numpy_numbers

from sknn_adam import optimizers
from sknn_adam._backends.numpy_backend import NumpyKernels

CONFIGS = [
    pytest.param(config, id=config["name"])
    for config in GOLDEN["configs"]
    if hasattr(optimizers, config["class"])
    # Our Muon does not apply Nesterov momentum to biases; the golden file has both variants.
    if config.get("b_by", "Adam") == "Adam"
]
DECAYING = [row for row in OPTIMIZERS if row.values[0].weight_decay]


# -- comparison with other libraries -------------------------------------------------------------


def test_problem_matches_the_golden_file():
    np.testing.assert_allclose(gradient(START), GOLDEN["problem"]["gradient0"], rtol=1e-14)
    assert objective(START) == pytest.approx(GOLDEN["problem"]["f0"], rel=1e-14)


@pytest.mark.parametrize("config", CONFIGS)
def test_trajectory_matches_other_libraries(config):
    follows_the_golden_trajectory(getattr(optimizers, config["class"]), config)


# -- properties of every optimizer ---------------------------------------------------------------


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_has_the_properties_of_every_optimizer(optimizer, promise):
    promise(optimizer)


@pytest.mark.parametrize("optimizer", [row for row in OPTIMIZERS if not row.values[0].weight_decay])
def test_minimum_is_a_fixed_point_without_decay(optimizer):
    without_decay_nothing_moves_at_a_minimum(optimizer)


class Strict(NumpyKernels):
    """Kernels that require rules to compute in the precision of theta."""

    def update(self, rule, theta, grad, slots, scalars, keep=1.0):
        # A NumPy float would promote float32 to float64.
        assert type(keep) is float
        assert all(value.dtype == theta.dtype for value in rule(grad, *slots, *scalars))
        super().update(rule, theta, grad, slots, scalars, keep)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_rules_compute_in_the_precision_of_theta(optimizer):
    optimizer, theta = with_numpy_numbers(optimizer), START.astype(np.float32)
    state = optimizer.init(theta, LAYOUT)
    state.kernels = Strict()
    for _ in range(2):
        optimizer.step(theta, gradient(theta), state)
    assert state.t == 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("size", [0.0, 1e-12, 1e12])
def test_extreme_gradients_keep_theta_finite(optimizer, size):
    theta = START.astype(np.float32)
    state = optimizer.init(theta, LAYOUT)
    for _ in range(3):
        optimizer.step(theta, np.full_like(theta, size), state)
    assert np.isfinite(theta).all()


# -- decoupled decay -----------------------------------------------------------------------------


class Decayed(optimizers.SGD):
    def __init__(self, learning_rate=0.1, momentum=0.0, nesterov=False, weight_decay=0.5):
        super().__init__(learning_rate, momentum, nesterov)
        self.weight_decay = weight_decay


DECAYING.append(pytest.param(Decayed(), id="user-defined"))


@pytest.mark.parametrize("optimizer", DECAYING)
def test_decay_shrinks_weights_but_not_biases(optimizer):
    theta = START.copy()
    state = optimizer.init(theta, LAYOUT)
    for _ in range(3):
        optimizer.step(theta, np.zeros_like(theta), state)
    assert (np.abs(theta[:N_WEIGHTS]) < np.abs(START[:N_WEIGHTS])).all()
    np.testing.assert_array_equal(theta[N_WEIGHTS:], START[N_WEIGHTS:])


@pytest.mark.parametrize("optimizer", DECAYING)
def test_decay_without_layout_shrinks_all_of_theta(optimizer):
    theta = START.copy()
    state = optimizer.init(theta)
    for _ in range(3):
        optimizer.step(theta, np.zeros_like(theta), state)
    assert (np.abs(theta) < np.abs(START)).all()


def test_decay_compounds_over_the_steps():
    theta = START.copy()
    optimizer = Decayed(learning_rate=0.1, weight_decay=0.5)
    state = optimizer.init(theta)
    for lr_scale in (1.0, 1.0, 2.0):
        optimizer.step(theta, np.zeros_like(theta), state, lr_scale)
    np.testing.assert_allclose(theta, START * 0.95 * 0.95 * 0.9, rtol=1e-14)


# -- hand-computed steps -------------------------------------------------------------------------


def test_first_adam_step_has_the_length_of_the_learning_rate():
    theta = np.zeros(3)
    optimizer = optimizers.Adam(learning_rate=0.1)
    optimizer.step(theta, np.array([1e-3, -5.0, 2e6]), optimizer.init(theta))
    np.testing.assert_allclose(theta, [-0.1, 0.1, -0.1], rtol=2e-5)


def test_first_rmsprop_step_has_no_bias_correction():
    theta = np.zeros(2)
    optimizer = optimizers.RMSprop(learning_rate=0.1, rho=0.75)
    optimizer.step(theta, np.array([3.0, -4e5]), optimizer.init(theta))
    # 1 / sqrt(1 - rho) = 2
    np.testing.assert_allclose(theta, [-0.2, 0.2], rtol=1e-7)


def test_momentum_accumulates_past_gradients():
    theta = np.zeros(1)
    optimizer = optimizers.SGD(learning_rate=1.0, momentum=0.5)
    state = optimizer.init(theta)
    path = []
    for g in (8.0, 0.0, 4.0):
        optimizer.step(theta, np.array([g]), state)
        path.append(theta[0])
    # The velocities are 8, 4 and 2 + 4.
    assert path == [-8.0, -12.0, -18.0]


# -- minimizers ----------------------------------------------------------------------------------


def value_and_gradient(x):
    return objective(x), gradient(x)


@pytest.mark.parametrize("optimizer", MINIMIZERS)
def test_minimizer_stops_where_the_gradient_vanishes(optimizer):
    before, start = deepcopy(vars(optimizer)), START.copy()
    start.flags.writeable = False
    result = optimizer.minimize(value_and_gradient, start, max_iter=200, tol=1e-4)
    assert result.status == 0
    assert np.abs(gradient(result.x)).max() <= 1e-4
    assert objective(result.x) < objective(START) - 1
    assert vars(optimizer) == before


@pytest.mark.parametrize("optimizer", MINIMIZERS)
def test_minimizer_solves_linear_equations(optimizer, rng):
    A = rng.normal(size=(6, 4))
    b = rng.normal(size=6)

    def squares(x):
        residual = A @ x - b
        return residual @ residual, 2 * A.T @ residual

    x = optimizer.minimize(squares, np.zeros(4), tol=1e-9).x
    np.testing.assert_allclose(x, np.linalg.lstsq(A, b, rcond=None)[0], rtol=1e-4)


@pytest.mark.parametrize("optimizer", MINIMIZERS)
def test_minimizer_counts_iterations_and_can_be_stopped(optimizer):
    seen = []
    result = optimizer.minimize(value_and_gradient, START, 3, 1e-12, seen.append)
    assert result.status == 1
    assert len(seen) == 3
    values = [objective(START)] + [one.fun for one in seen]
    assert values == sorted(values, reverse=True)

    def stop(_):
        seen.append(None)
        raise StopIteration

    seen.clear()
    optimizer.minimize(value_and_gradient, START, 3, 1e-12, stop)
    assert len(seen) == 1
