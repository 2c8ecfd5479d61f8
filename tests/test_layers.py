import pickle
from copy import copy

import numpy as np
import pytest
from rows import ACTIVATIONS, load_golden
from scipy import sparse

from sknn_adam._nn.layers import Activate, Dense, Dropout, Layer, Workspace
from sknn_adam._nn.network import Network, build
from sknn_adam.activations import SELU, Activation, PReLU, ReLU, Tanh
from sknn_adam.initializers import Constant, GlorotUniform, Zeros


def dense(fan_in, fan_out, members=None, dtype=np.float64):
    """Return a dense layer with random weights and its network as an attribute."""
    layer = Dense(fan_in, fan_out, "glorot_uniform")
    network = Network([layer], dtype, members)
    network.theta[...] = np.random.default_rng(3).normal(size=network.theta.size)
    network.prepare()
    layer.network = network
    return layer


class Shifted(Activation):
    """A user-defined activation whose derivative needs z."""

    def __call__(self, z):
        return np.exp(-z * z)

    def derivative(self, z, a):
        return -2 * z * a


# -- Workspace -----------------------------------------------------------------------------------


def test_workspace_reuses_buffers():
    ws = Workspace(training=True)
    one = ws.buffer("z", (2, 3), np.float32)
    assert (one.shape, one.dtype) == ((2, 3), np.float32)
    assert ws.buffer("z", (2, 3), np.float32) is one
    assert ws.buffer("a", (2, 3), np.float32) is not one
    assert (ws.training, Workspace().training) == (True, False)


# -- Dense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dense_passes_are_matrix_products(container, dtype, rng):
    layer = dense(4, 3, dtype=dtype)
    x, g = rng.normal(size=(6, 4)).astype(dtype), rng.normal(size=(6, 3)).astype(dtype)
    ws = Workspace(training=True)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12}
    np.testing.assert_allclose(layer.forward(container(x), ws), x @ layer.W + layer.b, **close)
    gx = layer.backward(g, ws)
    np.testing.assert_allclose(gx, g @ layer.W.T, **close)
    np.testing.assert_allclose(layer.grad_W, x.T @ g, **close)
    np.testing.assert_allclose(layer.grad_b, g.sum(axis=0), **close)
    assert gx.dtype == layer.grad_W.dtype == dtype


@pytest.mark.parametrize(
    ("container", "own_input"),
    # Only the first layer has sparse input, which its members share.
    [(np.asarray, False), (np.asarray, True), (sparse.csr_array, False)],
)
def test_dense_members_are_independent(container, own_input, rng):
    layer = dense(4, 3, members=2)
    x = rng.normal(size=(2, 6, 4) if own_input else (6, 4))
    g = rng.normal(size=(2, 6, 3))
    ws = Workspace(training=True)
    z = layer.forward(container(x), ws).copy()
    gx = layer.backward(g, ws)
    for k in range(2):
        own = x[k] if own_input else x
        np.testing.assert_allclose(z[k], own @ layer.W[k] + layer.b[k], rtol=1e-12)
        np.testing.assert_allclose(gx[k], g[k] @ layer.W[k].T, rtol=1e-12)
        np.testing.assert_allclose(layer.grad_W[k], own.T @ g[k], rtol=1e-12)
        np.testing.assert_allclose(layer.grad_b[k], g[k].sum(axis=0), rtol=1e-12)


def test_dense_can_skip_the_gradient_of_its_input(rng):
    layer, ws = dense(4, 3), Workspace(training=True)
    g = rng.normal(size=(6, 3))
    layer.forward(rng.normal(size=(6, 4)), ws)
    layer.backward(g, ws)
    expected = layer.grad_W.copy(), layer.grad_b.copy()
    layer.grad_W[...] = layer.grad_b[...] = np.nan
    assert layer.backward(g, ws, need_input=False) is None
    np.testing.assert_array_equal(layer.grad_W, expected[0])
    np.testing.assert_array_equal(layer.grad_b, expected[1])


def test_dense_start_draws_each_member_separately(rng):
    layer = dense(50, 40, members=3)
    layer.start(GlorotUniform(), Constant(0.5), rng)
    assert len(np.unique(layer.W)) == layer.W.size
    assert (layer.b == 0.5).all()
    layer.start(Zeros(), Zeros(), rng)
    assert not layer.network.theta.any()


# -- Activate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [*ACTIVATIONS, pytest.param(Shifted(), id="user-defined")])
@pytest.mark.parametrize("shape", [(6, 4), (2, 6, 4)])
def test_activate_applies_its_activation(activation, shape, rng):
    layer, ws = Activate(activation), Workspace(training=True)
    z, g = rng.normal(size=shape), rng.normal(size=shape)
    value = activation(z.copy())
    slope = activation.derivative(z.copy(), value.copy())
    np.testing.assert_array_equal(layer.forward(z.copy(), ws), value)
    np.testing.assert_allclose(layer.backward(g.copy(), ws), g * slope, rtol=1e-14)


def test_activate_works_in_place_if_the_derivative_needs_no_input(rng):
    for activation, in_place in ((ReLU(), True), (Tanh(), True), (Shifted(), False)):
        z = rng.normal(size=(6, 4))
        a = Activate(activation).forward(z, Workspace(training=True))
        assert np.shares_memory(a, z) == in_place


# -- ActivateLearned -----------------------------------------------------------------------------


def test_learned_slopes_have_the_given_initial_value_and_differ_per_unit(rng):
    network = build(3, (4,), 2, [PReLU(0.1)])
    network.initialize(GlorotUniform(), Zeros(), rng)
    layer = network.layers[1]
    np.testing.assert_array_equal(layer.p, [0.1] * 4)
    # Neither the penalty nor weight decay applies to biases.
    assert network.layout[-1][2] == "bias"
    layer.p[...] = [0.0, 1.0, 0.5, -1.0]
    z = -np.ones((2, 4))
    np.testing.assert_array_equal(
        layer.forward(z, Workspace(training=True)), [[0, -1, -0.5, 1]] * 2
    )


def test_prelu_matches_torch():
    numbers = load_golden("activations")["activations"]["prelu"]
    x = np.array(numbers["x"])[:, None]
    network = build(1, (1,), 1, [PReLU(numbers["slope"][0])])
    network.initialize(GlorotUniform(), Zeros(), np.random.default_rng(0))
    network.prepare()
    layer, ws = network.layers[1], Workspace(training=True)
    np.testing.assert_allclose(layer.forward(x, ws)[:, 0], numbers["value"], rtol=1e-14)
    for i, expected in enumerate(numbers["derivative_slope"]):
        g = np.zeros_like(x)
        g[i] = 1.0
        gx = layer.backward(g, ws)
        assert gx[i, 0] == pytest.approx(numbers["derivative"][i], rel=1e-14)
        assert layer.grad_p[0] == pytest.approx(expected, rel=1e-14)


# -- Dropout -------------------------------------------------------------------------------------

ALPHA_DROPPED = SELU.dropped_value


def training(step=0, key=(1, 2), index=0):
    """Return a workspace for training with the draws of a step."""
    return Workspace(True, np.array([*key, step], np.uint64), index=index)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("dropped", [0.0, ALPHA_DROPPED])
def test_dropout_keeps_the_mean_and_drops_the_given_fraction(rate, dropped, rng):
    layer, ws = Dropout(rate, dropped), training()
    x = rng.normal(size=(2000, 100))
    y = layer.forward(x.copy(), ws)
    values, counts = np.unique(y.round(9), return_counts=True)
    # All dropped units have the same value.
    assert counts.max() / y.size == pytest.approx(rate, rel=0.02)
    assert dropped or values[counts.argmax()] == 0
    assert y.mean() == pytest.approx(0, abs=0.01)
    # Alpha dropout also keeps the variance.
    if dropped:
        assert y.var() == pytest.approx(1, rel=0.02)
    else:
        kept = y != 0
        # The rate is a multiple of 2^-16.
        np.testing.assert_allclose(y[kept], x[kept] / (1 - rate), rtol=2**-17 / (1 - rate))


@pytest.mark.parametrize("rate", [1e-9, 0.3, 1 - 1e-9])
def test_dropout_with_any_rate_keeps_the_mean(rate):
    """The factor of kept units is that of the rounded rate, even where rounding changes it most."""
    layer, ws = Dropout(rate), training()
    layer.forward(np.ones((4000, 1000), np.float32), ws)
    kept = ws["kept"] > 0
    assert kept.mean() * layer.scale == pytest.approx(1, abs=4 * (layer.scale / kept.size) ** 0.5)
    assert kept.any()


@pytest.mark.parametrize("dropped", [0.0, ALPHA_DROPPED])
def test_dropout_passes_gradients_to_kept_units(dropped, rng):
    """For a given mask, the output is affine in the input."""
    layer, ws = Dropout(0.4, dropped), training()
    x, g = rng.normal(size=(50, 20)), rng.normal(size=(50, 20))
    y = layer.forward(x.copy(), ws).copy()
    slope = layer.backward(np.ones_like(x), ws).copy()
    again = training()
    moved = layer.forward(x + 0.5, again)
    np.testing.assert_allclose(moved - y, 0.5 * slope, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.backward(g.copy(), again), g * slope, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_differs_between_steps_and_is_off_in_prediction(dtype):
    layer, ws = Dropout(0.5), training()
    x = np.ones((20, 10), dtype)
    first = layer.forward(x, ws).copy()
    assert first.dtype == dtype
    np.testing.assert_array_equal(layer.forward(x, ws), first)
    ws.draws[2] += 1
    assert (layer.forward(x, ws) != first).any()
    np.testing.assert_array_equal(layer.forward(x, Workspace()), x)
    np.testing.assert_array_equal(x, 1)


def test_dropout_differs_between_keys_layers_and_members():
    masks = [
        mask
        for options in ({}, {"key": (1, 3)}, {"key": (2, 2)}, {"index": 1})
        for mask in Dropout(0.5).forward(np.ones((2, 30, 10)), training(**options))
    ]
    # Two independent masks of 300 units agree in about half of them.
    for i, one in enumerate(masks):
        for other in masks[:i]:
            assert 0.35 < (one == other).mean() < 0.65


def test_network_has_a_dropout_layer_for_each_positive_rate(rng):
    network = build(3, (4, 5, 6), 1, [Tanh(), SELU(), Tanh()], dropout=(0.2, 0.3, 0.0))
    dropouts = [
        (layer.rate, layer.dropped_value) for layer in network.layers if isinstance(layer, Dropout)
    ]
    assert dropouts == [(0.2, 0.0), (0.3, ALPHA_DROPPED)]
    network.initialize(GlorotUniform(), Zeros(), rng)
    x, draws = rng.normal(size=(7, 3)), np.array([1, 2, 0], np.uint64)
    one, other = (network.forward(x, draws.copy()).copy() for _ in range(2))
    np.testing.assert_array_equal(one, other)
    draws[2] = 1
    assert (network.forward(x, draws) != one).any()
    np.testing.assert_array_equal(network.predict(x), network.predict(x))


# -- properties of every layer -------------------------------------------------------------------


def test_state_excludes_views_and_gradients():
    layer = dense(4, 3)
    layer.network = None
    for copied in (copy(layer), pickle.loads(pickle.dumps(layer))):
        assert (copied.fan_in, copied.fan_out) == (4, 3)
        for name in ("W", "b", "grad_W", "grad_b"):
            assert name not in vars(copied)
            assert name in vars(layer)


def test_fold_returns_the_given_arrays_by_default(rng):
    W, b = rng.normal(size=(4, 3)), rng.normal(size=3)
    folded = Layer().fold(W, b)
    assert folded[0] is W
    assert folded[1] is b


def test_user_defined_activation_works_in_a_network(rng):
    network = build(3, (4,), 1, [Shifted()])
    network.initialize(GlorotUniform(), Zeros(), rng)
    network.prepare()
    x = rng.normal(size=(5, 3))
    np.testing.assert_allclose(network.forward(x), network.predict(x), rtol=1e-14)
    assert np.isfinite(network.backward(np.ones((5, 1)))).all()
