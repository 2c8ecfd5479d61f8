import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
from rows import ACTIVATIONS, load_golden
from scipy import sparse

from sknn_adam._nn import network as network_module
from sknn_adam._nn.network import build
from sknn_adam._training.batches import Batch
from sknn_adam._training.loop import Plan, Run, objective, step
from sknn_adam._training.penalty import Penalty
from sknn_adam.activations import Identity, ReLU, Tanh
from sknn_adam.initializers import Auto, GlorotNormal, VarianceScaling, Zeros
from sknn_adam.losses import LogLoss
from sknn_adam.normalization import BatchNorm
from sknn_adam.optimizers import SGD, Adam
from sknn_adam.schedules import Constant

GOLDEN = load_golden("network")


def make(widths=(5, 4), outputs=2, members=None, normalization=None, dtype=np.float64, seed=0):
    network = build(
        3,
        widths,
        outputs,
        [Tanh()] * len(widths),
        normalization=normalization,
        members=members,
        dtype=dtype,
    )
    network.initialize(GlorotNormal(), VarianceScaling(), np.random.default_rng(seed))
    network.prepare()
    return network


VARIANTS = [
    pytest.param({}, id="plain"),
    pytest.param({"widths": ()}, id="linear"),
    pytest.param({"members": 3}, id="members"),
    pytest.param({"normalization": BatchNorm()}, id="normalized"),
    pytest.param({"normalization": BatchNorm(), "members": 2}, id="normalized-members"),
    pytest.param({"dtype": np.float32}, id="float32"),
]


def arrays(network, prefix=""):
    """Return the arrays of the layers in the order of theta."""
    pairs = [
        (role, getattr(layer, prefix + name))
        for layer in network.layers
        for name, _, role in layer.parameters
    ]
    return sorted(pairs, key=lambda pair: ["weight", "bias", "norm"].index(pair[0]))


# -- comparison with torch -----------------------------------------------------------------------


def golden_network():
    network = build(5, (7, 6), 3, [Tanh(), ReLU()])
    network.prepare()
    for layer, W, b in zip(network.dense(), GOLDEN["weights"], GOLDEN["biases"], strict=True):
        layer.W[...], layer.b[...] = W, b
    return network


def golden_data(weighted=True):
    """Return features, class codes, and weights with mean 1."""
    weight = np.array(GOLDEN["sample_weight"])
    weight = weight / weight.mean() if weighted else None
    return np.array(GOLDEN["x"]), np.array(GOLDEN["y"]), weight


def test_outputs_match_torch():
    network, (x, y, _) = golden_network(), golden_data()
    z = network.predict(x)
    np.testing.assert_allclose(z, GOLDEN["raw_output"], rtol=1e-12)
    np.testing.assert_allclose(network.forward(x), z, rtol=1e-14)
    np.testing.assert_allclose(LogLoss().predict(z), GOLDEN["probabilities"], rtol=1e-12)
    np.testing.assert_allclose(LogLoss().value(y, z), GOLDEN["row_losses"], rtol=1e-12)


@pytest.mark.parametrize("weighted", [True, False])
def test_loss_and_gradients_match_torch(weighted):
    network, data = golden_network(), golden_data(weighted)
    expected = GOLDEN["weighted" if weighted else "unweighted"]
    value = objective(network, Plan(LogLoss(), SGD(), Constant()), Batch(*data))
    assert value == pytest.approx(expected["loss"], rel=1e-12)
    for i, layer in enumerate(network.dense()):
        for actual, name in ((layer.grad_W, "grad_weights"), (layer.grad_b, "grad_biases")):
            np.testing.assert_allclose(actual, expected[name][i], rtol=1e-10, atol=1e-14)


def test_ten_adam_steps_match_torch():
    network, data = golden_network(), golden_data()
    plan = Plan(LogLoss(), Adam(learning_rate=0.01), Constant())
    run = Run(network, np.random.default_rng(0))
    run.begin(plan)
    losses = [step(run, plan, Batch(*data), 1.0) for _ in range(10)]
    np.testing.assert_allclose(losses, GOLDEN["adam"]["loss_before_step"], rtol=1e-10)
    last = objective(network, plan, Batch(*data))
    assert last == pytest.approx(GOLDEN["adam"]["loss_after_last_step"], rel=1e-10)
    for i, layer in enumerate(network.dense()):
        np.testing.assert_allclose(layer.W, GOLDEN["adam"]["weights_after"][i], rtol=1e-9)
        np.testing.assert_allclose(layer.b, GOLDEN["adam"]["biases_after"][i], rtol=1e-9)


# -- theta, grad and their views -----------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_layout_covers_theta_once_with_weights_first(variant):
    network = make(**variant)
    stop = 0
    for block, shape, _ in network.layout:
        assert block.start == stop
        assert block.stop - block.start == np.prod(shape)
        stop = block.stop
    assert stop == network.theta.size == network.grad.size
    roles = [role for _, _, role in network.layout]
    assert roles == sorted(roles, key=["weight", "bias", "norm"].index)
    weights = sum(layer.W.size for layer in network.dense())
    assert network.n_weights == weights
    assert all((block.stop <= weights) == (role == "weight") for block, _, role in network.layout)


@pytest.mark.parametrize("variant", VARIANTS)
def test_arrays_of_the_layers_are_views_of_theta(variant):
    network = make(**variant)
    network.theta[...] = np.arange(network.theta.size)
    network.grad[...] = -np.arange(network.theta.size)
    for prefix, sign in (("", 1), ("grad_", -1)):
        pieces = arrays(network, prefix)
        assert [role for role, _ in pieces] == [role for _, _, role in network.layout]
        assert [piece.shape for _, piece in pieces] == [shape for _, shape, _ in network.layout]
        together = np.concatenate([piece.ravel() for _, piece in pieces])
        np.testing.assert_array_equal(together, sign * np.arange(network.theta.size))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("copying", [deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies_are_independent_and_have_their_own_views(variant, copying, rng):
    network = make(**variant)
    x = rng.normal(size=(6, 3)).astype(network.dtype)
    network.backward(np.ones_like(network.forward(x)))
    copied = copying(network)
    np.testing.assert_array_equal(copied.predict(x), network.predict(x))
    kept = network.theta.copy()
    copied.theta[...] = np.arange(copied.theta.size)
    copied.statistics += 1
    np.testing.assert_array_equal(network.theta, kept)
    together = np.concatenate([piece.ravel() for _, piece in arrays(copied)])
    np.testing.assert_array_equal(together, np.arange(copied.theta.size))
    copied.prepare()
    # The copy can continue training.
    copied.backward(np.ones_like(copied.forward(x)))
    assert copied.grad.any()


def test_pickle_stores_the_parameters_once(rng):
    network = make(widths=(100, 100), normalization=BatchNorm())
    network.backward(np.ones_like(network.forward(rng.normal(size=(500, 3)))))
    size = len(pickle.dumps(network))
    assert size < network.theta.nbytes + network.statistics.nbytes + 4000


def test_released_network_has_no_gradient_and_still_predicts(rng):
    network = make()
    x = rng.normal(size=(6, 3))
    z = network.forward(x).copy()
    network.release()
    assert network.grad.size == 0
    assert not any(name.startswith("grad_") for layer in network.dense() for name in vars(layer))
    np.testing.assert_allclose(network.predict(x), z, rtol=1e-14)


def test_initialization_is_reproducible_and_resets_statistics(rng):
    one, other = make(normalization=BatchNorm()), make(normalization=BatchNorm(), seed=1)
    assert (one.theta != other.theta).any()
    other.forward(rng.normal(size=(6, 3)))
    other.initialize(GlorotNormal(), VarianceScaling(), np.random.default_rng(0))
    np.testing.assert_array_equal(other.theta, one.theta)
    np.testing.assert_array_equal(other.statistics, one.statistics)


def test_at_shares_statistics_but_not_parameters(rng):
    network = make(normalization=BatchNorm())
    network.forward(rng.normal(size=(20, 3)))
    x, kept = rng.normal(size=(6, 3)), network.theta.copy()
    expected = network.predict(x)
    theta = 0.5 * network.theta
    other = network.at(theta)
    assert other.theta is theta
    assert np.shares_memory(other.statistics, network.statistics)
    assert network.at(network.theta) is network
    np.testing.assert_array_equal(network.predict(x), expected)
    np.testing.assert_array_equal(network.theta, kept)
    network.theta[...] = theta
    np.testing.assert_array_equal(other.predict(x), network.predict(x))
    assert network.grad is not None


# -- passes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_and_prediction_agree_without_normalization(activation, dtype, rng):
    network = build(3, (5, 4), 2, [activation] * 2, dtype=dtype)
    network.initialize(Auto(), VarianceScaling(), rng)
    x = rng.normal(size=(6, 3)).astype(dtype)
    kept = x.copy()
    z = network.forward(x)
    assert (z.shape, z.dtype) == ((6, 2), dtype)
    np.testing.assert_allclose(network.predict(x), z, rtol=1e-6 if dtype == np.float32 else 1e-14)
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("widths", [(), (5,), (5, 4)])
def test_members_equal_separate_networks(widths, rng):
    """Compare forward and backward passes, penalties, and predictions."""
    k = 3
    network = make(widths, members=k)
    x, g = rng.normal(size=(6, 3)), rng.normal(size=(k, 6, 2))
    z = network.forward(x).copy()
    network.backward(g.copy())
    block = slice(0, network.n_weights)
    value = Penalty(0.3, 0.4).add(0.0, network.theta[block], network.grad[block])
    values = 0.0
    for i in range(k):
        alone = make(widths)
        for layer, all_of in zip(alone.dense(), network.dense(), strict=True):
            assert all_of.W.shape == (k, layer.fan_in, layer.fan_out)
            layer.W[...], layer.b[...] = all_of.W[i], all_of.b[i]
        np.testing.assert_allclose(alone.forward(x), z[i], rtol=1e-12)
        np.testing.assert_allclose(alone.predict(x), network.predict(x)[i], rtol=1e-12)
        alone.backward(g[i].copy())
        block = slice(0, alone.n_weights)
        values += Penalty(0.3, 0.4).add(0.0, alone.theta[block], alone.grad[block])
        for layer, all_of in zip(alone.dense(), network.dense(), strict=True):
            np.testing.assert_allclose(layer.grad_W, all_of.grad_W[i], rtol=1e-10)
            np.testing.assert_allclose(layer.grad_b, all_of.grad_b[i], rtol=1e-10)
    assert value == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_input_equals_dense_input(variant, container, rng):
    x = rng.normal(size=(8, 3)) * (rng.random((8, 3)) < 0.6)
    x = x.astype(variant.get("dtype", np.float64))
    one, other = make(**variant), make(**variant)
    close = {"rtol": 1e-5, "atol": 1e-6} if one.dtype == np.float32 else {"rtol": 1e-12}
    z = one.forward(x)
    np.testing.assert_allclose(other.forward(container(x)), z, **close)
    g = rng.normal(size=z.shape).astype(one.dtype)
    one.backward(g.copy())
    other.backward(g.copy())
    size = np.abs(one.grad).max()
    np.testing.assert_allclose(other.grad, one.grad, rtol=1e-5, atol=1e-5 * size)
    np.testing.assert_allclose(other.predict(container(x)), one.predict(x), **close)


def test_gradient_of_the_input_is_not_stored(rng):
    x = rng.normal(size=(100, 5_000))
    network = build(5_000, (2,), 1, [Tanh()], normalization=BatchNorm())
    network.initialize(GlorotNormal(), Zeros(), rng)
    network.prepare()
    tracemalloc.start()
    try:
        network.backward(np.ones_like(network.forward(x)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert network.grad[: network.n_weights].all()
    assert peak < x.nbytes / 4


def test_batches_of_changing_size_are_independent(rng):
    network = make()
    for n_samples in (6, 2, 6, 3, 1, 2, 6):
        x, g = rng.normal(size=(n_samples, 3)), rng.normal(size=(n_samples, 2))
        z = network.forward(x).copy()
        network.backward(g.copy())
        fresh = make()
        np.testing.assert_array_equal(fresh.forward(x), z)
        fresh.backward(g.copy())
        np.testing.assert_array_equal(fresh.grad, network.grad)


def test_backward_overwrites_the_last_gradient(rng):
    network = make()
    x = rng.normal(size=(6, 3))
    network.forward(x)
    first = network.backward(np.ones((6, 2))).copy()
    network.forward(x)
    np.testing.assert_array_equal(network.backward(np.ones((6, 2))), first)
    assert network.backward.__self__.grad is network.grad


# -- prediction ----------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("per_block", [1, 7, 20, 100])
def test_prediction_in_blocks_equals_prediction_at_once(
    variant, container, per_block, monkeypatch, rng
):
    network = make(**variant)
    x = rng.normal(size=(41, 3)).astype(network.dtype)
    expected = network.predict(x)
    width = max(max(layer.fan_in, layer.fan_out) for layer in network.dense())
    monkeypatch.setattr(network_module, "FEWEST_AT_ONCE", 1)
    monkeypatch.setattr(network_module, "PREDICTED_AT_ONCE", per_block * width)
    actual = network.predict(container(x))
    assert actual.shape == expected.shape
    tolerance = 1e-5 if network.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("per_block", [3, 100])
def test_prediction_of_a_subset_equals_that_of_its_samples(
    variant, container, per_block, monkeypatch, rng
):
    network = make(**variant)
    x = rng.normal(size=(41, 3)).astype(network.dtype)
    index = rng.permutation(41)[:17]
    expected = network.predict(x[index])
    width = max(max(layer.fan_in, layer.fan_out) for layer in network.dense())
    monkeypatch.setattr(network_module, "FEWEST_AT_ONCE", 1)
    monkeypatch.setattr(network_module, "PREDICTED_AT_ONCE", per_block * width)
    tolerance = 1e-5 if network.dtype == np.float32 else 1e-12
    actual = network.predict(container(x), index)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def test_prediction_is_thread_safe(rng, monkeypatch):
    monkeypatch.setattr(network_module, "FEWEST_AT_ONCE", 1)
    monkeypatch.setattr(network_module, "PREDICTED_AT_ONCE", 64)
    network = make(normalization=BatchNorm())
    network.forward(rng.normal(size=(20, 3)))
    batches = [rng.normal(size=(200, 3)) for _ in range(12)]
    expected = [network.predict(x) for x in batches]
    with ThreadPoolExecutor(6) as pool:
        for actual, z in zip(pool.map(network.predict, batches), expected, strict=True):
            np.testing.assert_array_equal(actual, z)


def test_prediction_does_not_affect_a_training_pass(rng):
    network = make(normalization=BatchNorm())
    x = rng.normal(size=(6, 3))
    z = network.forward(x)
    kept = z.copy()
    network.predict(rng.normal(size=(6, 3)))
    np.testing.assert_array_equal(z, kept)
    expected = make(normalization=BatchNorm())
    expected.forward(x)
    np.testing.assert_array_equal(
        network.backward(np.ones((6, 2))), expected.backward(np.ones((6, 2)))
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prediction_has_the_dtype_of_the_network(dtype, rng):
    network = make(dtype=dtype)
    x = rng.normal(size=(6, 3))
    for other in (np.float32, np.float64):
        assert network.predict(x.astype(other)).dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prediction_is_finite_even_if_it_overflows(dtype):
    network = build(2, (3,), 2, [Identity()], dtype=dtype)
    network.initialize(GlorotNormal(), Zeros(), np.random.default_rng(0))
    network.theta *= 1e30
    x = np.array([[1e300, -1e300], [1e200, 1e200], [0.0, 0.0]])
    assert np.isfinite(network.predict(x)).all()
    z = build(1, (), 1, [], dtype=dtype)
    z.theta[...] = 10, 0
    largest = np.finfo(dtype).max
    actual = z.predict(np.array([[largest], [-largest]], dtype))
    assert actual[0, 0] > 1e15
    assert actual[0, 0] == -actual[1, 0]
    # So is a squared error of the predictions.
    assert np.isfinite(1e4 * actual**2).all()


def test_prediction_of_no_samples_has_the_right_shape():
    assert make().predict(np.empty((0, 3))).shape == (0, 2)


# -- folding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_folded_weights_predict_like_the_network(variant, rng):
    network = make(**variant)
    for _ in range(3):
        network.forward(1 + 2 * rng.normal(size=(9, 3)).astype(network.dtype))
    x = rng.normal(size=(6, 3)).astype(network.dtype)
    (*hidden, last), (*shifts, shift) = network.folded()
    a = x
    for W, b in zip(hidden, shifts, strict=True):
        a = np.tanh(a @ W + b[..., None, :])
    z = a @ last + shift[..., None, :]
    tolerance = 1e-5 if network.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(z, network.predict(x), rtol=tolerance, atol=tolerance)


def test_folding_without_normalization_gives_views_of_theta():
    network = make()
    coefs, intercepts = network.folded()
    assert all(np.shares_memory(array, network.theta) for array in coefs + intercepts)
