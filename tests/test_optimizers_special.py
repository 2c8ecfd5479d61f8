"""Properties of single optimizers, with numbers worked out by hand."""

import numpy as np
import pytest

from sknn_adam import optimizers
from sknn_adam.optimizers.muon import orthogonalize


def steps(optimizer, gradients, theta=0.0, layout=None):
    """Return theta after each step with the given gradients, and the state."""
    theta = np.array([theta]) if np.isscalar(theta) else theta.copy()
    state, path = optimizer.init(theta, layout), []
    for g in gradients:
        optimizer.step(theta, np.broadcast_to(np.asarray(g, theta.dtype), theta.shape), state)
        path.append(theta.copy())
    return np.array(path), state


def test_lion_steps_have_the_length_of_the_learning_rate():
    path, _ = steps(optimizers.Lion(learning_rate=0.25), [1e-9, 3.0, 1e5, 0.0])
    np.testing.assert_array_equal(path[:, 0], [-0.25, -0.5, -0.75, -1.0])


def test_adagrad_steps_decrease_as_one_over_the_square_root():
    path, _ = steps(optimizers.Adagrad(learning_rate=1.0), [4.0] * 9)
    np.testing.assert_allclose(-np.diff(path[:, 0], prepend=0), 1 / np.sqrt(np.arange(1, 10)))


def test_adagrad_starts_from_initial_accumulator_value():
    optimizer = optimizers.Adagrad(learning_rate=1.0, initial_accumulator_value=16.0)
    np.testing.assert_allclose(steps(optimizer, [3.0])[0], [[-0.6]])


def test_amsgrad_remembers_the_largest_gradient():
    gradients = [100.0] + [1.0] * 200
    adam, _ = steps(optimizers.Adam(beta_2=0.5), gradients)
    amsgrad, _ = steps(optimizers.AMSGrad(beta_2=0.5), gradients)
    assert abs(amsgrad[-1] - amsgrad[-2]) < 0.1 * abs(adam[-1] - adam[-2])


def test_radam_is_adaptive_from_the_sixth_step_on():
    small, _ = steps(optimizers.RAdam(learning_rate=1.0), [1.0] * 7)
    large, _ = steps(optimizers.RAdam(learning_rate=1.0), [1000.0] * 7)
    np.testing.assert_allclose(large[:5], 1000 * small[:5])
    np.testing.assert_allclose(np.diff(large, axis=0)[4:], np.diff(small, axis=0)[4:], rtol=1e-6)


@pytest.mark.parametrize("beta_2", [0.0, 0.5, 0.6])
def test_radam_with_small_beta_2_is_never_adaptive(beta_2):
    path, _ = steps(optimizers.RAdam(learning_rate=1.0, beta_2=beta_2), [2.0] * 20)
    np.testing.assert_allclose(np.diff(path[:, 0]), -2.0)


def test_schedule_free_predicts_with_the_mean_of_the_iterates():
    optimizer = optimizers.ScheduleFreeAdamW(learning_rate=0.5)
    path, state = steps(optimizer, [1.0, -1.0, 1.0, 1.0])
    # All g² are 1, so every step has the length of the learning rate.
    z = np.cumsum([-0.5, 0.5, -0.5, -0.5])
    np.testing.assert_allclose(path[-1] - state.gap, z[-1], atol=1e-7)
    np.testing.assert_allclose(optimizer.evaluation_point(path[-1], state), z.mean(), atol=1e-7)


def test_prodigy_starts_with_the_first_nonzero_gradient():
    path, state = steps(optimizers.Prodigy(), [0.0] * 3 + [1.0] * 300)
    assert np.isfinite(path).all()
    assert not path[:3].any()
    assert state.d > 1e-3


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_prodigy_estimates_the_distance(scale):
    target, optimizer = scale * np.array([3.0, -2.0, 0.5]), optimizers.Prodigy()
    theta = np.zeros(3)
    state = optimizer.init(theta)
    for _ in range(1000):
        optimizer.step(theta, theta - target, state)
    assert 0.1 * np.abs(target).max() < state.d < 10 * np.abs(target).max()


# -- Muon ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6), (1, 7), (7, 1), (3, 4, 9)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_orthogonalize_brings_singular_values_near_one(shape, dtype, rng):
    matrix = 10 * rng.normal(size=shape).astype(dtype)
    actual = orthogonalize(matrix, 1e-8)
    assert actual.dtype == dtype
    assert actual.shape == shape
    U, _, V = np.linalg.svd(matrix, full_matrices=False)
    rotated = (
        U.swapaxes(-1, -2) @ actual @ V.swapaxes(-1, -2)
    )  # diagonal, as the singular vectors are the same
    sizes = np.diagonal(rotated, axis1=-2, axis2=-1)
    assert (0.6 < sizes).all()
    assert (sizes < 1.3).all()
    np.testing.assert_allclose(rotated - sizes[..., None] * np.eye(sizes.shape[-1]), 0, atol=1e-4)


def test_muon_treats_members_separately(rng):
    members, shape = 3, (4, 6)
    theta, grad = rng.normal(size=(2, members, 24))
    grad[1] = 0
    optimizer = optimizers.Muon(learning_rate=0.1)
    together, _ = steps(
        optimizer, [grad.ravel()], theta.ravel(), [(slice(0, 72), (members, *shape), "weight")]
    )
    for i in range(members):
        alone, _ = steps(optimizer, [grad[i]], theta[i], [(slice(0, 24), shape, "weight")])
        np.testing.assert_allclose(together[0].reshape(members, 24)[i], alone[0], rtol=1e-12)


def test_muon_without_layout_equals_adamw():
    gradients = [1.0, -3.0, 0.5]
    muon, _ = steps(optimizers.Muon(weight_decay=0.1), gradients, 2.0)
    adamw, _ = steps(optimizers.AdamW(weight_decay=0.1), gradients, 2.0)
    np.testing.assert_array_equal(muon, adamw)
