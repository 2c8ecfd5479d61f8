import numpy as np
import pytest
from rows import INITIALIZERS
from scipy.stats import truncnorm

from sknn_adam import initializers
from sknn_adam._nn.layers import Workspace
from sknn_adam._nn.network import build
from sknn_adam.activations import ReLU, Tanh
from sknn_adam.initializers import (
    LSUV,
    Auto,
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)

RANDOM = [row for row in INITIALIZERS if not isinstance(row.values[0], Constant)]
FANS = [(1000, 1000), (250, 4000), (4000, 250)]

# The variances and, for uniform weights, the bounds at each of these fans.
MOMENTS = [
    (VarianceScaling(), (1 / 1000, 1 / 250, 1 / 4000)),
    (VarianceScaling(0.5, "out"), (1 / 2000, 1 / 8000, 1 / 500)),
    (VarianceScaling(3.0, "average"), (3 / 1000, 3 / 2125, 3 / 2125)),
    (GlorotUniform(), (1 / 1000, 1 / 2125, 1 / 2125)),
    (GlorotNormal(), (1 / 1000, 1 / 2125, 1 / 2125)),
    (HeUniform(), (2 / 1000, 2 / 250, 2 / 4000)),
    (HeNormal(), (2 / 1000, 2 / 250, 2 / 4000)),
    (LecunUniform(), (1 / 1000, 1 / 250, 1 / 4000)),
    (LecunNormal(), (1 / 1000, 1 / 250, 1 / 4000)),
    (RandomNormal(0.3), (0.09, 0.09, 0.09)),
    (RandomUniform(0.3), (0.03, 0.03, 0.03)),
    (Auto(), (1 / 1000, 1 / 2125, 1 / 2125)),
]
BOUNDS = [
    (GlorotUniform(), ((6 / 2000) ** 0.5, (6 / 4250) ** 0.5, (6 / 4250) ** 0.5)),
    (HeUniform(), ((6 / 1000) ** 0.5, (6 / 250) ** 0.5, (6 / 4000) ** 0.5)),
    (LecunUniform(), ((3 / 1000) ** 0.5, (3 / 250) ** 0.5, (3 / 4000) ** 0.5)),
    (RandomUniform(0.3), (0.3, 0.3, 0.3)),
    (VarianceScaling(2.0, "out", "uniform"), (0.006**0.5, 0.0015**0.5, 0.024**0.5)),
]


def cases(table):
    return [
        pytest.param(initializer, fans, number, id=f"{initializer!r}-{fans[0]}-{fans[1]}")
        for initializer, numbers in table
        for fans, number in zip(FANS, numbers, strict=True)
    ]


@pytest.mark.parametrize(("initializer", "fans", "variance"), cases(MOMENTS))
def test_weights_have_the_expected_moments(initializer, fans, variance, rng):
    W = initializer(*fans, rng)
    assert W.var() == pytest.approx(variance, rel=0.01)
    assert abs(W.mean()) < 0.01 * variance**0.5


@pytest.mark.parametrize(("initializer", "fans", "bound"), cases(BOUNDS))
def test_uniform_weights_fill_their_bounds(initializer, fans, bound, rng):
    W = initializer(*fans, rng)
    assert np.abs(W).max() <= bound
    assert np.abs(W).max() > 0.9999 * bound
    assert (np.abs(W) < bound / 4).mean() == pytest.approx(0.25, rel=0.01)


@pytest.mark.parametrize("initializer", [GlorotNormal(), HeNormal(), VarianceScaling()])
def test_normal_weights_have_the_tails_of_a_normal_distribution(initializer, rng):
    W = initializer(1000, 1000, rng)
    assert (np.abs(W) < W.std()).mean() == pytest.approx(0.6827, rel=0.01)
    assert (np.abs(W) > 3 * W.std()).mean() == pytest.approx(0.0027, rel=0.1)


@pytest.mark.parametrize("initializer", INITIALIZERS)
@pytest.mark.parametrize("fans", [(1, 1), (3, 7), (7, 3)])
def test_weights_and_biases_have_the_right_shape(initializer, fans, rng):
    W, b = initializer(*fans, rng), initializer.bias(*fans, rng)
    assert (W.shape, W.dtype) == (fans, np.float64)
    assert (b.shape, b.dtype) == ((fans[1],), np.float64)
    assert np.isfinite(W).all()
    assert np.isfinite(b).all()


@pytest.mark.parametrize("initializer", RANDOM)
def test_generator_is_advanced_and_never_stored(initializer):
    before = dict(vars(initializer))
    rng = np.random.default_rng(7)
    first, second = initializer(5, 4, rng), initializer(5, 4, rng)
    assert (first != second).any()
    np.testing.assert_array_equal(initializer(5, 4, np.random.default_rng(7)), first)
    assert vars(initializer) == before


@pytest.mark.parametrize("initializer", RANDOM)
def test_random_biases_are_small_and_differ(initializer, rng):
    b = initializer.bias(400, 50, rng)
    assert len(np.unique(b)) == 50
    assert np.abs(b).max() < 1


def test_truncated_normal_matches_scipy(rng):
    W = TruncatedNormal(0.3)(1000, 1000, rng)
    assert np.abs(W).max() <= 0.6
    assert np.abs(W).max() > 0.599
    assert W.std() == pytest.approx(0.3 * truncnorm.std(-2, 2), rel=0.005)
    assert (np.abs(W) < 0.3).mean() == pytest.approx(2 * truncnorm.cdf(1, -2, 2) - 1, rel=0.005)


@pytest.mark.parametrize("fans", [(5, 5), (7, 3), (3, 7), (1, 4)])
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_orthogonal_gives_orthogonal_columns_or_rows(fans, gain, rng):
    W = Orthogonal(gain)(*fans, rng)
    short = min(fans)
    gram = W.T @ W if fans[1] == short else W @ W.T
    np.testing.assert_allclose(gram, gain**2 * np.eye(short), atol=1e-12)


def test_orthogonal_matrices_are_uniformly_distributed():
    """Every element has mean 0 and variance 1/n, which requires a correction of signs."""
    rng = np.random.default_rng(0)
    draws = np.stack([Orthogonal()(3, 3, rng) for _ in range(4000)])
    assert np.abs(draws.mean(axis=0)).max() < 0.04
    np.testing.assert_allclose(draws.var(axis=0), 1 / 3, rtol=0.06)


@pytest.mark.parametrize("biases", [Zeros(), RandomNormal(0.3)], ids=["zeros", "random"])
@pytest.mark.parametrize("members", [None, 2])
def test_lsuv_gives_every_layer_unit_variance(members, biases, rng):
    network = build(6, (20, 10, 20), 3, [Tanh(), ReLU(), Tanh()], members=members)
    initializer = LSUV()
    assert initializer.unit_variance
    network.initialize(initializer, biases, rng)
    x = 50 + 7 * rng.normal(size=(300, 6))
    network.unit_variance(x)
    for layer in network.layers:
        if layer in network.dense():
            z = x @ layer.W + layer.b[..., None, :]
            np.testing.assert_allclose(z.std(axis=(-1, -2)), 1, rtol=2e-3)
        x = layer.forward(x, Workspace())


def test_constant_fills_weights_and_biases(rng):
    assert (Constant(0.3)(2, 3, rng) == 0.3).all()
    assert (Constant(0.3).bias(2, 3, rng) == 0.3).all()
    assert not Zeros()(2, 3, rng).any()
    assert Zeros().get_params() == {}


@pytest.mark.parametrize(("activation", "hidden_scale"), [(ReLU(), 2), (Tanh(), 1)])
def test_auto_follows_the_activation_inside_a_network(activation, hidden_scale, rng):
    network = build(1000, (1000, 1000), 1000, [activation] * 2)
    network.initialize(Auto(), Zeros(), rng)
    first, hidden, last = (layer.W for layer in network.dense())
    assert first.var() == pytest.approx(1 / 1000, rel=0.01)
    assert hidden.var() == pytest.approx(hidden_scale / 1000, rel=0.01)
    assert last.var() == pytest.approx(1 / 1000, rel=0.01)
    assert not any(layer.b.any() for layer in network.dense())


def test_layers_of_a_network_get_different_weights(rng):
    network = build(4, (4, 4), 4, [Tanh()] * 2)
    network.initialize(GlorotUniform(), VarianceScaling(), rng)
    first, second, third = network.dense()
    assert (first.W != second.W).any()
    assert (second.W != third.W).any()
    assert (first.b != second.b).any()


def test_he_normal_preserves_the_size_of_signals_through_relu(rng):
    """He's argument: the mean square of a ReLU layer's output equals that of its input."""
    x = rng.normal(size=(2000, 400))
    a = np.maximum(x @ initializers.HeNormal()(400, 400, rng), 0)
    assert (a**2).mean() == pytest.approx((x**2).mean(), rel=0.05)
