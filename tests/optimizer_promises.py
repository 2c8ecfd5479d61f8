"""Checks of the properties that every optimizer must have."""

import pickle
from copy import deepcopy

import numpy as np
from rows import load_golden, with_numpy_numbers
from sklearn.base import clone

GOLDEN = load_golden("optimizers")
START = np.array(GOLDEN["problem"]["theta0"])
N_WEIGHTS, N_BIASES = 24, 5
LAYOUT = [(slice(0, 24), (4, 6), "weight"), (slice(24, 29), (5,), "bias")]


def objective(x):
    """Return the objective of tests/golden/optimizers.json."""
    return (np.sin(2 * x) + x**2 / 2 + x**4 / 40).sum() + 0.3 * (x[:-1] * x[1:]).sum()


def gradient(x):
    """Return the gradient of the objective; neighbours outside of the vector count as 0."""
    padded = np.pad(x, 1)
    neighbours = padded[:-2] + padded[2:]
    return 2 * np.cos(2 * x) + x + x**3 / 10 + 0.3 * neighbours


def run(optimizer, n_steps, dtype=np.float64, layout=LAYOUT, lr_scale=1.0):
    """Return theta and the optimizer state after `n_steps` from the golden starting point."""
    theta = START.astype(dtype)
    state = optimizer.init(theta, layout)
    for _ in range(n_steps):
        optimizer.step(theta, gradient(theta), state, lr_scale)
    return theta, state


def follows_the_golden_trajectory(make, config):
    optimizer = make(**config["params"])
    layout = [(slice(0, 24), tuple(config["shape_W"]), "weight"), LAYOUT[1]]
    theta = START.copy()
    state = optimizer.init(theta, layout)
    t = compared = 0
    for i, (n_steps, expected) in enumerate(config["steps"].items()):
        while t < int(n_steps):
            optimizer.step(theta, gradient(theta), state)
            t += 1
        found = {"theta": theta}
        if "x_eval" in expected:
            found["x_eval"] = optimizer.evaluation_point(theta, state)
        for key, value in found.items():
            noise = config["noise"][key][i]
            # Where the trajectory is chaotic, two correct programs differ.
            if noise > 1e-7:
                continue
            error = np.abs(value - expected[key]).max()
            # The noise was measured with one random perturbation; others may have more.
            assert error <= 1e-12 + 5 * noise, f"{key} after {t} steps"
            assert error <= 1e-9 or noise > 2e-10, f"{key} after {t} steps"
            compared += 1
    # The trajectories are never chaotic up to step 10.
    assert compared >= 4


def dtype_is_that_of_theta(optimizer):
    for dtype in (np.float32, np.float64):
        theta, state = run(with_numpy_numbers(optimizer), 10, dtype)
        assert theta.dtype == dtype
        assert optimizer.evaluation_point(theta, state).dtype == dtype
        for slot in optimizer.slots:
            assert getattr(state, slot).dtype == dtype


def objective_decreases(optimizer):
    theta, state = run(optimizer, 200)
    point = optimizer.evaluation_point(theta, state)
    assert objective(point) < objective(START) - 1


def float32_follows_float64(optimizer):
    single, double = run(optimizer, 10, np.float32)[0], run(optimizer, 10)[0]
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-5)


def instance_is_unchanged_by_steps(optimizer):
    before = deepcopy(vars(optimizer))
    run(optimizer, 5)
    assert vars(optimizer) == before


def one_instance_can_serve_alternating_runs(optimizer):
    thetas = START.copy(), 2 * START
    alone = [theta.copy() for theta in thetas]
    states = [optimizer.init(theta, LAYOUT) for theta in thetas]
    for _ in range(5):
        for theta, state in zip(thetas, states, strict=True):
            optimizer.step(theta, gradient(theta), state)
    for theta, expected in zip(alone, thetas, strict=True):
        state = optimizer.init(theta, LAYOUT)
        for _ in range(5):
            optimizer.step(theta, gradient(theta), state)
        np.testing.assert_array_equal(theta, expected)


def schedule_factor_is_a_factor_on_the_learning_rate(optimizer):
    slower = clone(optimizer).set_params(learning_rate=optimizer.learning_rate * 0.25)
    scaled = run(optimizer, 6, lr_scale=0.25)[0]
    np.testing.assert_allclose(scaled, run(slower, 6)[0], rtol=1e-12)
    assert np.abs(scaled - run(optimizer, 6)[0]).max() > 1e-6


def state_starts_at_zero_in_the_shape_of_theta(optimizer):
    state = optimizer.init(START, LAYOUT)
    assert state.t == 0
    for slot in optimizer.slots:
        vector = getattr(state, slot)
        assert vector.shape == START.shape
        assert not vector.any()
        assert not np.shares_memory(vector, START)


def state_survives_pickling(optimizer):
    theta, state = run(optimizer, 3)
    copied_theta, copied = theta.copy(), pickle.loads(pickle.dumps(state))
    for _ in range(3):
        optimizer.step(theta, gradient(theta), state)
        optimizer.step(copied_theta, gradient(copied_theta), copied)
    np.testing.assert_array_equal(copied_theta, theta)


def step_changes_theta_in_place_and_leaves_the_gradient(optimizer):
    theta = START.copy()
    state = optimizer.init(theta, LAYOUT)
    grad = gradient(theta)
    grad.flags.writeable = False
    # Some rules do not move theta in their first step.
    for _ in range(3):
        before = theta.copy()
        assert optimizer.step(theta, grad, state) is None
    assert (theta != before).all()
    assert state.t == 3
    np.testing.assert_array_equal(grad, gradient(START))


def without_decay_nothing_moves_at_a_minimum(optimizer):
    theta = START.copy()
    state = optimizer.init(theta, LAYOUT)
    for _ in range(3):
        optimizer.step(theta, np.zeros_like(theta), state)
    np.testing.assert_array_equal(theta, START)


PROMISES = [
    dtype_is_that_of_theta,
    objective_decreases,
    float32_follows_float64,
    instance_is_unchanged_by_steps,
    one_instance_can_serve_alternating_runs,
    schedule_factor_is_a_factor_on_the_learning_rate,
    state_starts_at_zero_in_the_shape_of_theta,
    state_survives_pickling,
    step_changes_theta_in_place_and_leaves_the_gradient,
]
