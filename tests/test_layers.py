import pickle
from copy import copy

import numpy as np
import pytest
from rows import ACTIVATIONS
from scipy import sparse

from sknn_adam import layers
from sknn_adam.activations import Activation, ReLU, Tanh
from sknn_adam.initializers import Constant, GlorotUniform, Zeros
from sknn_adam.layers import Activate, Dense, Layer, Workspace
from sknn_adam.network import Network, build


def dense(fan_in, fan_out, members=None, dtype=np.float64):
    """Return a dense layer with random weights; the network owns the arrays it views."""
    layer = Dense(fan_in, fan_out, "glorot_uniform")
    network = Network([layer], dtype, members)
    network.theta[...] = np.random.default_rng(3).normal(size=network.theta.size)
    network.prepare()
    layer.network = network
    return layer


class Shifted(Activation):
    """A user's own activation whose derivative needs z."""

    def __call__(self, z):
        return np.exp(-z * z)

    def derivative(self, z, a):
        return -2 * z * a


# -- Workspace -----------------------------------------------------------------------------------


def test_workspace_makes_a_buffer_once():
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


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("own_input", [False, True])
def test_dense_members_are_separate(container, own_input, rng):
    if own_input and container is sparse.csr_array:
        pytest.skip("only the first layer meets sparse input, which all members share")
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


def test_dense_without_input_gradient_does_no_work_for_it(monkeypatch, rng):
    shapes = []
    real = layers.product

    def counting(a, b, out):
        shapes.append(out.shape)
        return real(a, b, out=out)

    monkeypatch.setattr(layers, "product", counting)
    layer, ws = dense(4, 3), Workspace(training=True)
    layer.forward(rng.normal(size=(6, 4)), ws)
    assert layer.backward(rng.normal(size=(6, 3)), ws, need_input=False) is None
    assert shapes == [(6, 3), (4, 3)]
    assert layer.grad_W.any()


def test_dense_start_draws_each_member_and_follows_the_activation(rng):
    layer = dense(50, 40, members=3)
    layer.start(GlorotUniform(), Constant(0.5), rng)
    assert len(np.unique(layer.W)) == layer.W.size
    assert (layer.b == 0.5).all()
    layer.start(Zeros(), Zeros(), rng)
    assert not layer.network.theta.any()


# -- Activate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [*ACTIVATIONS, pytest.param(Shifted(), id="a user's own")])
@pytest.mark.parametrize("shape", [(6, 4), (2, 6, 4)])
def test_activate_follows_its_activation(activation, shape, rng):
    layer, ws = Activate(activation), Workspace(training=True)
    z, g = rng.normal(size=shape), rng.normal(size=shape)
    value = activation(z.copy())
    slope = activation.derivative(z.copy(), value.copy())
    np.testing.assert_array_equal(layer.forward(z.copy(), ws), value)
    np.testing.assert_allclose(layer.backward(g.copy(), ws), g * slope, rtol=1e-14)


def test_activate_in_place_only_where_the_derivative_needs_no_input(rng):
    for activation, in_place in ((ReLU(), True), (Tanh(), True), (Shifted(), False)):
        z = rng.normal(size=(6, 4))
        a = Activate(activation).forward(z, Workspace(training=True))
        assert np.shares_memory(a, z) == in_place


# -- what every layer promises -------------------------------------------------------------------


def test_state_leaves_out_views_and_gradients():
    layer = dense(4, 3)
    layer.network = None
    for copied in (copy(layer), pickle.loads(pickle.dumps(layer))):
        assert (copied.fan_in, copied.fan_out) == (4, 3)
        for name in ("W", "b", "grad_W", "grad_b"):
            assert name not in vars(copied)
            assert name in vars(layer)


def test_a_layer_folds_to_itself_unless_it_says_otherwise(rng):
    W, b = rng.normal(size=(4, 3)), rng.normal(size=3)
    folded = Layer().fold(W, b)
    assert folded[0] is W
    assert folded[1] is b


def test_users_activation_trains_inside_a_network(rng):
    network = build(3, (4,), 1, [Shifted()])
    network.initialize(GlorotUniform(), Zeros(), rng)
    network.prepare()
    x = rng.normal(size=(5, 3))
    np.testing.assert_allclose(network.forward(x), network.predict(x), rtol=1e-14)
    assert np.isfinite(network.backward(np.ones((5, 1)))).all()
