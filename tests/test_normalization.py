from copy import deepcopy

import numpy as np
import pytest
from rows import NORMALIZATIONS, load_golden
from sklearn.datasets import load_digits

from sknn_adam import MLPClassifier
from sknn_adam._nn.layers import Workspace
from sknn_adam._nn.network import build
from sknn_adam.activations import Identity, ReLU, Tanh
from sknn_adam.initializers import GlorotNormal, VarianceScaling
from sknn_adam.normalization import BatchNorm, LayerNorm, RMSNorm

GOLDEN = load_golden("normalization")

# In prediction, batch normalization does not depend on the batch, so it is an affine map.
FOLDING = [row for row in NORMALIZATIONS if isinstance(row.values[0], BatchNorm)]


def network_of(normalization, members=None, widths=(5, 4), activation=None, dtype=np.float64):
    """Return a network with random weights and a normalization that is not the identity."""
    rng = np.random.default_rng(1)
    network = build(
        3,
        widths,
        2,
        [activation or Tanh()] * len(widths),
        normalization=normalization,
        members=members,
        dtype=dtype,
    )
    network.initialize(GlorotNormal(), VarianceScaling(), rng)
    for block, _, role in network.layout:
        if role == "norm":
            network.theta[block] += rng.uniform(-0.5, 0.5, block.stop - block.start)
    network.prepare()
    return network


def bare(normalization, width=1, dtype=np.float64):
    """Return a normalization layer and the network that contains it."""
    network = build(width, (width,), 1, [Identity()], normalization=normalization, dtype=dtype)
    network.initialize(GlorotNormal(), VarianceScaling(), np.random.default_rng(0))
    network.prepare()
    return network.layers[1], network


# -- every normalization -------------------------------------------------------------------------


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_instance_does_not_store_learned_state(normalization, rng):
    before = deepcopy(vars(normalization))
    network = network_of(normalization)
    network.forward(rng.normal(size=(8, 3)))
    network.backward(rng.normal(size=(8, 2)))
    assert vars(normalization) == before


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_parameters_are_neither_weights_nor_biases(normalization):
    network, plain = network_of(normalization), network_of(None)
    assert network.n_weights == plain.n_weights
    roles = [role for _, _, role in network.layout]
    assert roles.count("bias") == 3
    assert "norm" in roles
    assert network.statistics.size == 0 or network.statistics is not network.theta


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_initial_normalization_standardizes(normalization, rng):
    layer, _ = bare(normalization, width=6)
    x = 7 + 3 * rng.normal(size=(400, 6))
    y = layer.forward(x.copy(), Workspace(training=True))
    assert np.mean(y**2) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_input_is_not_modified_and_dtype_is_kept(normalization, rng):
    for dtype in (np.float32, np.float64):
        layer, _ = bare(normalization, width=4, dtype=dtype)
        x = rng.normal(size=(9, 4)).astype(dtype)
        for training in (True, False):
            kept = x.copy()
            assert layer.forward(x, Workspace(training=training)).dtype == dtype
            np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_members_equal_separate_networks(normalization, rng):
    network = network_of(normalization, members=3)
    x, g = rng.normal(size=(8, 3)), rng.normal(size=(3, 8, 2))
    z = network.forward(x).copy()
    network.backward(g.copy())
    for k in range(3):
        alone = network_of(normalization)
        for (own, _, _), (all_of, shape, _) in zip(alone.layout, network.layout, strict=True):
            alone.theta[own] = network.theta[all_of].reshape(shape)[k].ravel()
        np.testing.assert_allclose(alone.forward(x), z[k], rtol=1e-12)
        alone.backward(g[k].copy())
        for (own, _, _), (all_of, shape, _) in zip(alone.layout, network.layout, strict=True):
            np.testing.assert_allclose(
                alone.grad[own],
                network.grad[all_of].reshape(shape)[k].ravel(),
                rtol=1e-10,
                atol=1e-12,
            )
    assert network.predict(x).shape == (3, 8, 2)


@pytest.mark.parametrize("normalization", FOLDING)
@pytest.mark.parametrize("members", [None, 2])
def test_folded_weights_predict_in_a_plain_forward_pass(normalization, members, rng):
    network = network_of(normalization, members, activation=ReLU())
    for _ in range(5):
        network.forward(2 + 3 * rng.normal(size=(20, 3)))
    x = rng.normal(size=(6, 3))
    a = x
    coefs, intercepts = network.folded()
    for W, b in zip(coefs[:-1], intercepts[:-1], strict=True):
        a = np.maximum(a @ W + b[..., None, :], 0)
    z = a @ coefs[-1] + intercepts[-1][..., None, :]
    np.testing.assert_allclose(z, network.predict(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("normalization", "name"),
    [
        (BatchNorm(epsilon=1e-5), "batch_norm"),
        (LayerNorm(epsilon=1e-5), "layer_norm"),
        (RMSNorm(epsilon=1e-5), "rms_norm"),
    ],
)
def test_passes_match_torch(normalization, name):
    x, upstream = np.array(GOLDEN["x"]), np.array(GOLDEN["upstream"])
    expected = GOLDEN[name]
    layer, _ = bare(normalization, width=x.shape[1])
    learned = [name for name, _, _ in layer.parameters]
    layer.gamma[...] = GOLDEN["weight"]
    if "beta" in learned:
        layer.beta[...] = GOLDEN["bias"]
    ws = Workspace(training=True)
    close = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(layer.forward(x, ws), expected["output"], **close)
    np.testing.assert_allclose(layer.backward(upstream.copy(), ws), expected["grad_x"], **close)
    np.testing.assert_allclose(layer.grad_gamma, expected["grad_weight"], **close)
    assert ("beta" in learned) == ("grad_bias" in expected)
    if "beta" in learned:
        np.testing.assert_allclose(layer.grad_beta, expected["grad_bias"], **close)


@pytest.mark.parametrize("normalization", [LayerNorm(), RMSNorm()])
def test_layer_and_rms_norm_do_not_depend_on_other_samples(normalization, rng):
    network = network_of(normalization)
    x = rng.normal(size=(6, 3))
    together = network.predict(x)
    np.testing.assert_allclose(network.forward(x), together, rtol=1e-12)
    one_by_one = np.vstack([network.forward(x[i : i + 1]).copy() for i in range(6)])
    np.testing.assert_allclose(together, one_by_one, rtol=1e-12)
    assert network.statistics.size == 0


# -- batch normalization -------------------------------------------------------------------------


def test_batch_norm_predicts_like_torch_with_running_statistics():
    x, expected = np.array(GOLDEN["x"]), GOLDEN["batch_norm"]
    layer, _ = bare(BatchNorm(epsilon=1e-5), width=x.shape[1])
    layer.gamma[...], layer.beta[...] = GOLDEN["weight"], GOLDEN["bias"]
    layer.mean[...] = expected["running_mean_after"]
    layer.variance[...] = expected["running_var_after"]
    actual = layer.forward(x, Workspace(training=False))
    np.testing.assert_allclose(actual, expected["output_eval_after"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_steps", [1, 2, 100])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
def test_running_statistics_match_the_closed_form(n_steps, momentum, rng):
    layer, _ = bare(BatchNorm(momentum=momentum), width=2)
    batches = 5 + 2 * rng.normal(size=(n_steps, 7, 2))
    for x in batches:
        layer.forward(x, Workspace(training=True))
    age = np.arange(n_steps)[::-1]
    weights = momentum**age
    for actual, each in (
        (layer.mean, batches.mean(axis=1)),
        (layer.variance, batches.var(axis=1)),
    ):
        np.testing.assert_allclose(actual, np.average(each, axis=0, weights=weights), rtol=1e-10)


@pytest.mark.parametrize("momentum", [0.9, 0.999, 0.99999])
def test_running_statistics_are_accurate_in_float32(momentum, rng):
    layer, _ = bare(BatchNorm(momentum=momentum), width=1, dtype=np.float32)
    x = (3 + rng.normal(size=(50, 1))).astype(np.float32)
    # All batches are equal, so every average is that of one batch.
    for _ in range(20):
        layer.forward(x, Workspace(training=True))
        np.testing.assert_allclose(layer.mean, x.mean(), rtol=1e-5)
        np.testing.assert_allclose(layer.variance, x.var(), rtol=1e-5)


def test_prediction_uses_and_keeps_running_statistics(rng):
    network = network_of(BatchNorm())
    network.forward(5 + rng.normal(size=(50, 3)))
    kept = network.statistics.copy()
    x = rng.normal(size=(6, 3))
    together = network.predict(x)
    one_by_one = np.vstack([network.predict(x[i : i + 1]) for i in range(6)])
    np.testing.assert_allclose(together, one_by_one, rtol=1e-12)
    np.testing.assert_array_equal(network.statistics, kept)


def test_batch_of_one_sample_uses_and_keeps_running_statistics(rng):
    network = network_of(BatchNorm())
    network.forward(rng.normal(size=(50, 3)))
    kept = network.statistics.copy()
    x = rng.normal(size=(1, 3))
    z = network.forward(x).copy()
    network.backward(np.ones((1, 2)))
    np.testing.assert_allclose(z, network.predict(x), rtol=1e-12)
    np.testing.assert_array_equal(network.statistics, kept)
    assert np.isfinite(network.grad).all()
    assert network.grad.any()


@pytest.mark.parametrize("n_samples", [2, 12])
def test_relatively_small_batch_uses_and_keeps_running_statistics(n_samples, rng):
    network = network_of(BatchNorm())
    for _ in range(40):
        network.forward(rng.normal(size=(50, 3)))
    kept = network.statistics.copy()
    x = rng.normal(size=(n_samples, 3))
    np.testing.assert_allclose(network.forward(x).copy(), network.predict(x), rtol=1e-12)
    np.testing.assert_array_equal(network.statistics, kept)
    # A quarter of the samples is enough.
    network.forward(rng.normal(size=(13, 3)))
    assert not np.array_equal(network.statistics, kept)


def test_running_statistics_are_weighted_by_batch_size(rng):
    layer, _ = bare(BatchNorm(momentum=0.75), width=1)
    x, y = rng.normal(size=(8, 1)), rng.normal(size=(4, 1))
    layer.forward(x, Workspace(training=True))
    layer.forward(y, Workspace(training=True))
    expected = (0.75 * 8 * x.mean() + 4 * y.mean()) / (0.75 * 8 + 4)
    np.testing.assert_allclose(layer.mean, expected, rtol=1e-12)


def test_small_last_batch_does_not_harm_a_deep_network():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    common = {"normalization": "batch", "batch_size": 64, "max_iter": 15, "random_state": 0}
    scores = [
        MLPClassifier((64,) * 8, **common).fit(X[:n], y[:n]).score(X[1347:], y[1347:])
        for n in (1344, 1347)  # 21 batches, without and with three more samples
    ]
    assert min(scores) > 0.84
    assert abs(scores[0] - scores[1]) < 0.07


def test_constant_column_gives_finite_results():
    layer, _ = bare(BatchNorm(), width=2)
    ws = Workspace(training=True)
    x = np.array([[4.0, 1.0], [4.0, 3.0], [4.0, 2.0]])
    y = layer.forward(x, ws)
    np.testing.assert_array_equal(y[:, 0], 0)
    assert np.isfinite(layer.backward(np.ones((3, 2)), ws)).all()


def test_batch_norm_is_invariant_to_scale_and_shift_of_its_input(rng):
    layer, _ = bare(BatchNorm(epsilon=1e-12), width=4)
    x = rng.normal(size=(30, 4))
    y = layer.forward(x, Workspace(training=True)).copy()
    moved = layer.forward(100 * x - 7, Workspace(training=True))
    np.testing.assert_allclose(y, moved, rtol=1e-7, atol=1e-9)
