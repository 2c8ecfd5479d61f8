"""Learned factors of the features: layer, training, and everything that reads the weights."""

import copy

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._backends.numpy_backend import NumpyKernels
from sknn_adam._nn.layers import ScaledDense, Workspace
from sknn_adam._nn.network import Network, build
from sknn_adam.activations import ReLU
from sknn_adam.initializers import GlorotNormal, Zeros
from sknn_adam.persistence import load, save

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
NUMBERS = 5 * np.sin(X[:, 0]) + X[:, 1] + 20
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 1], [-1, 1])]
BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (6,), "max_iter": 15, "random_state": 0, "batch_size": 16}
    defaults |= {"optimizer__learning_rate": 0.02, "dtype": "float64", "learn_scales": True}
    return estimator().set_params(**defaults | params)


def layer_of(members, dtype):
    """Return a layer with random parameters and its network."""
    layer = ScaledDense(4, 3, "glorot_uniform")
    network = Network([layer], dtype, members)
    network.theta[...] = np.random.default_rng(3).normal(size=network.theta.size)
    network.prepare()
    return layer, network


def backend(name):
    if name == "numpy":
        return NumpyKernels()
    pytest.importorskip("numba")
    from sknn_adam._backends.numba_backend import FusedKernels

    return FusedKernels()


# -- layer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernels", ["numpy", "fused"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("members", [None, 1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_passes_scale_the_features(kernels, container, members, dtype, rng):
    layer, _network = layer_of(members, dtype)
    lead = () if members is None else (members,)
    x = rng.normal(size=(6, 4)).astype(dtype)
    g = rng.normal(size=(*lead, 6, 3)).astype(dtype)
    ws = Workspace(training=True, kernels=backend(kernels))
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-12}
    scales = (1 + 6 * layer.p)[..., None, :]
    z = (x * scales) @ layer.W + layer.b[..., None, :]
    np.testing.assert_allclose(layer.forward(container(x), ws), z, **close)
    gx = layer.backward(g.copy(), ws)
    back = g @ layer.W.swapaxes(-1, -2)
    np.testing.assert_allclose(gx, back * scales, **close)
    np.testing.assert_allclose(layer.grad_W, (x * scales).swapaxes(-1, -2) @ g, **close)
    np.testing.assert_allclose(layer.grad_b, g.sum(axis=-2), **close)
    np.testing.assert_allclose(layer.grad_p, 6 * (x * back).sum(axis=-2), **close)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("members", [None, 3])
def test_scaled_weights_have_the_same_bits_in_both_backends(members, dtype):
    layer, _network = layer_of(members, dtype)
    passes = [Workspace(training=True, kernels=backend(name)) for name in ("numpy", "fused")]
    for ws in passes:
        layer.forward(np.ones((2, 4), dtype), ws)
    np.testing.assert_array_equal(*[ws["W"] for ws in passes])
    np.testing.assert_array_equal(layer.weights(), passes[0]["W"])


@pytest.mark.parametrize("members", [None, 2])
@pytest.mark.parametrize("widths", [(), (5, 4)])
def test_initial_network_equals_one_without_scales(members, widths, rng):
    networks = [
        build(3, widths, 2, [ReLU()] * len(widths), learn_scales=learn, members=members)
        for learn in (False, True)
    ]
    for network in networks:
        network.initialize(GlorotNormal(), Zeros(), np.random.default_rng(0))
    plain, scaled = networks
    assert [type(layer) is ScaledDense for layer in scaled.dense()] == [True] + [False] * len(
        widths
    )
    assert scaled.n_weights == plain.n_weights
    assert scaled.theta.size == plain.theta.size + 3 * (members or 1)
    assert [role for *_, role in scaled.layout].count("norm") == 1
    x = rng.normal(size=(7, 3))
    np.testing.assert_array_equal(scaled.predict(x), plain.predict(x))
    for a, b in zip(scaled.folded()[0], plain.folded()[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_that_overflow_are_clipped():
    layer, network = layer_of(None, np.float32)
    layer.W[...], layer.p[...] = 1e30, 1e30
    layer.p[1] = -1e30
    (W,), _ = network.folded()
    assert W.tolist() == np.outer([1, -1, 1, 1], np.full(3, np.finfo(np.float32).max)).tolist()


# -- training --------------------------------------------------------------------------------------


def test_adam_changes_factors_at_six_times_the_learning_rate():
    rate = 0.01
    params = {"averaging": None, "max_iter": 1, "batch_size": 60}
    model = small(MLPRegressor, optimizer__learning_rate=rate, **params).fit(X, NUMBERS)
    # The first step of Adam is the learning rate, with the sign of the gradient.
    ratio = model.coefs_[0] / model._network.layers[0].W
    np.testing.assert_allclose(np.abs(ratio - 1), 6 * rate, rtol=1e-4)


def test_factors_of_useless_features_become_smaller(rng):
    features = rng.normal(size=(400, 22))
    y = features[:, 0] + 2 * features[:, 0] * features[:, 1]
    model = small(MLPRegressor, hidden_layer_sizes=(32,), max_iter=60).fit(features, y)
    scales = np.abs(1 + 6 * model._network.layers[0].p)
    assert scales[:2].min() > scales[2:].max()
    assert np.median(scales[2:]) < 1


def test_penalty_and_weight_decay_do_not_apply_to_factors():
    """Without a gradient of the loss, only penalty and decay could change the factors."""
    inputs = X.copy()
    inputs[:, 2] = 0
    params = {"alpha": 0.1, "optimizer": "adamw", "optimizer__weight_decay": 0.1}
    model = small(MLPRegressor, **params).partial_fit(inputs, NUMBERS)
    layer = model._network.layers[0]
    layer.p[2] = 0.5
    before = layer.W[2].copy()
    model.partial_fit(inputs, NUMBERS)
    layer = model._run.network.layers[0]
    assert np.abs(layer.W[2]).sum() < np.abs(before).sum()
    assert layer.p[2] == 0


@pytest.mark.parametrize(
    "params",
    [{}, {"optimizer": "lbfgs", "batch_size": "auto"}, {"hidden_layer_sizes": ()}],
    ids=str,
)
@BOTH
def test_sparse_samples_give_the_same_network(estimator, y, params):
    inputs = np.where(np.abs(X) > 0.5, X, 0)
    dense = estimator(**{"learn_scales": True, "random_state": 0, "max_iter": 10} | params)
    one, other = clone(dense).fit(inputs, y), dense.fit(sparse.csr_array(inputs), y)
    for a, b in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("changed", [True, False])
@BOTH
def test_training_cannot_continue_with_or_without_scales(estimator, y, changed):
    model = small(estimator, warm_start=True, learn_scales=not changed).fit(X, y)
    model.set_params(learn_scales=changed)
    for train in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="resumed with another learn_scales: it was"):
            train(X, y)
    model.set_params(learn_scales=np.bool_(not changed), max_iter=20).fit(X, y)
    assert model.n_iter_ > 15


@BOTH
def test_other_values_raise(estimator, y):
    with pytest.raises(ValueError, match="The 'learn_scales' parameter of MLP"):
        small(estimator, learn_scales="yes").fit(X, y)


@pytest.mark.parametrize("members", [None, 2])
def test_data_dependent_initialization_accounts_for_factors(members):
    network = build(5, (6,), 2, [ReLU()], learn_scales=True, members=members)
    network.initialize(GlorotNormal(), Zeros(), np.random.default_rng(0))
    network.layers[0].p[...] = np.linspace(-0.4, 0.4, 5)
    network.unit_variance(X)
    outputs = X @ network.folded()[0][0]
    np.testing.assert_allclose(outputs.std(axis=(-1, -2)), 1, rtol=1e-2)


# -- weights ---------------------------------------------------------------------------------------


def by_hand(model, inputs):
    *hidden, last = zip(model.coefs_, model.intercepts_, strict=True)
    for W, b in hidden:
        inputs = np.maximum(inputs @ W + b, 0)
    return inputs @ last[0] + last[1]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"normalization": "batch"},
        {"early_stopping": True},
        {"averaging": None, "hidden_layer_sizes": (6, 4)},
        {"hidden_layer_sizes": ()},
        {"optimizer": "lbfgs", "batch_size": "auto"},
        {"optimizer": "schedule_free_adamw"},
        {"n_members": 3},
        {"cv": 3, "early_stopping": True},
    ],
    ids=str,
)
def test_published_weights_reproduce_predictions(params):
    params = {"optimizer__learning_rate": 0.02} | params
    if params.get("optimizer") == "lbfgs":
        del params["optimizer__learning_rate"]
    model = MLPRegressor((6,), learn_scales=True, dtype="float64", max_iter=15, random_state=0)
    model.set_params(**params).fit(X, NUMBERS)
    learned = model._network.layers[0].p
    assert np.abs(learned).min() > 1e-5
    networks = getattr(model, "members_", [model])
    each = [by_hand(network, X).ravel() for network in networks]
    np.testing.assert_allclose(np.mean(each, axis=0), model.predict(X), rtol=1e-10)
    for network, expected in zip(networks, each, strict=True):
        np.testing.assert_allclose(network.predict(X), expected, rtol=1e-10)


@pytest.mark.parametrize("params", [{}, {"n_members": 2}, {"cv": 3}], ids=str)
@BOTH
def test_archives_and_copies_restore_factors(estimator, y, params, tmp_path):
    pytest.importorskip("skops")
    model = small(estimator, warm_start=True, **params).fit(X, y)
    save(model, tmp_path / "model.skops")
    model.set_params(max_iter=20)
    others = [load(tmp_path / "model.skops").set_params(max_iter=20), copy.deepcopy(model)]
    np.testing.assert_array_equal(others[0].predict(X), model.predict(X))
    model.fit(X, y)
    for other in others:
        other.fit(X, y)
        np.testing.assert_array_equal(other._network.theta, model._network.theta)


def test_view_names_the_layer_and_counts_factors():
    html = small(MLPClassifier).fit(X, LABELS)._repr_html_()
    assert "<div>Scaled dense 5 → 6, ReLU()</div>" in html
    assert f"{5 * 6 + 6 + 5} parameters" in html
    assert "<div>Dense 6 → 3</div>" in html
