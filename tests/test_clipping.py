from copy import deepcopy

import numpy as np
import pytest
from rows import CLIPPINGS

from sknn_adam._nn.network import build
from sknn_adam._training.batches import Batch
from sknn_adam._training.loop import Plan, Run, step
from sknn_adam.activations import Tanh
from sknn_adam.clipping import ClipByLayerNorm, ClipByNorm, ClipByValue
from sknn_adam.initializers import GlorotUniform, Zeros
from sknn_adam.losses import SquaredError
from sknn_adam.optimizers import SGD
from sknn_adam.schedules import Constant

LAYOUT = [(slice(0, 6), (2, 3), "weight"), (slice(6, 9), (3,), "bias")]


@pytest.mark.parametrize("clip", CLIPPINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_works_in_place_and_keeps_signs(clip, dtype, rng):
    before = deepcopy(vars(clip))
    grad = 10 * rng.normal(size=9).astype(dtype)
    given = grad.copy()
    assert clip(grad, LAYOUT) is grad
    assert grad.dtype == dtype
    assert (np.sign(grad) == np.sign(given)).all()
    assert (np.abs(grad) <= np.abs(given)).all()
    assert (grad != given).any()
    assert vars(clip) == before


@pytest.mark.parametrize("clip", CLIPPINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_gradients_pass_unchanged(clip, dtype, rng):
    for size in (0.0, 1e-30, 1e-3):
        given = (size * rng.normal(size=9)).astype(dtype)
        np.testing.assert_array_equal(clip(given.copy(), LAYOUT), given)


@pytest.mark.parametrize("clip", CLIPPINGS)
@pytest.mark.parametrize(
    ("dtype", "huge"), [(np.float32, 1e30), (np.float32, 3e38), (np.float64, 1e200)]
)
def test_huge_gradients_become_small(clip, dtype, huge):
    grad = np.array([huge, -huge, 0, 0, huge / 4, 0, 0, 0, 1], dtype)
    clip(grad, LAYOUT)
    assert np.isfinite(grad).all()
    assert 0 < np.abs(grad).max() <= 1
    assert grad[0] == -grad[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1, 1e25, 1e-25])
def test_clip_by_norm_keeps_the_direction(dtype, scale, rng):
    given = (scale * rng.normal(size=1000)).astype(dtype)
    grad = ClipByNorm(0.5 * scale)(given.copy())
    size = np.linalg.norm(grad.astype(np.float64))
    assert size == pytest.approx(0.5 * scale, rel=1e-5)
    # parallel, in the same direction
    ratio = grad.astype(np.float64) / given
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    assert ratio[0] > 0


def test_clip_by_layer_norm_clips_each_array_separately(rng):
    given = np.concatenate([np.full(6, 10.0), np.full(3, 0.01)])
    grad = ClipByLayerNorm(0.5)(given.copy(), LAYOUT)
    assert np.linalg.norm(grad[:6]) == pytest.approx(0.5, rel=1e-14)
    np.testing.assert_array_equal(grad[6:], given[6:])
    actual = ClipByLayerNorm(0.5)(given.copy())
    np.testing.assert_array_equal(actual, ClipByNorm(0.5)(given.copy()))


def test_clipping_matches_hand_computed_values():
    np.testing.assert_allclose(ClipByNorm(2.0)(np.array([6.0, -8.0])), [1.2, -1.6], rtol=1e-15)
    np.testing.assert_array_equal(ClipByNorm(10.0)(np.array([6.0, -8.0])), [6, -8])
    np.testing.assert_array_equal(ClipByValue(2.0)(np.array([6.0, -8.0, 1.5])), [2, -2, 1.5])


@pytest.mark.parametrize(
    ("clip", "order"), [(ClipByNorm(0.01), 2), (ClipByValue(0.01), np.inf)], ids=["norm", "value"]
)
def test_clipping_bounds_the_training_step(clip, order, rng):
    """The optimizer receives the clipped gradient, which includes the penalty."""
    network = build(3, (4,), 1, [Tanh()])
    network.initialize(GlorotUniform(), Zeros(), rng)
    network.prepare()
    run = Run(network, rng)
    x, y = rng.normal(size=(8, 3)), 100 * rng.normal(size=(8, 1))
    for clipping, longest in ((clip, 0.5 * 0.01), (None, np.inf)):
        plan = Plan(SquaredError(), SGD(learning_rate=0.5), Constant(), clipping, alpha=10.0)
        run.begin(plan)
        before = network.theta.copy()
        step(run, plan, Batch(x, y), 1.0)
        moved = np.linalg.norm(network.theta - before, order)
        assert moved <= longest * (1 + 1e-12)
        assert moved > 0.999 * 0.5 * 0.01
    # The last step was not clipped.
    assert moved > 1
