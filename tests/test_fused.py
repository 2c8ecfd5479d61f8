"""The Numba backend: the same results as NumPy up to rounding, its choice, and its cache."""

import inspect
import os
import pickle
import stat
import subprocess
import sys
from math import inf
from types import SimpleNamespace

import numpy as np
import pytest
from copies import networks
from scipy import sparse
from sklearn.base import clone

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._backends import compilation as _compiled
from sknn_adam._backends import loops as _loops
from sknn_adam._backends import products as _products
from sknn_adam._backends.numba_backend import FusedKernels
from sknn_adam._backends.numpy_backend import NUMPY, NumpyKernels
from sknn_adam._backends.selection import FUSED_PAYS, choose, predicted_gain
from sknn_adam._nn.layers import Layer
from sknn_adam._nn.network import Network, build
from sknn_adam._training.batches import Data
from sknn_adam._training.loop import Plan, Run, train
from sknn_adam._training.members import Members
from sknn_adam._training.playing import Player
from sknn_adam.activations import ACTIVATIONS, Activation, ReLU
from sknn_adam.initializers import GlorotUniform, Zeros
from sknn_adam.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, LogLoss, SquaredError
from sknn_adam.optimizers import OPTIMIZERS, Adam, Optimizer
from sknn_adam.schedules import Constant

pytest.importorskip("numba")

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}


@pytest.fixture(params=DTYPES, ids=lambda dtype: dtype.__name__)
def dtype(request):
    return request.param


def assert_close(a, b, dtype, **options):
    options = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]} | options
    np.testing.assert_allclose(a, b, **options)


def test_moving_averages_do_not_become_subnormal(monkeypatch, dtype, rng):
    """After the first samples, a feature is always zero, and so are the gradients of its weights.

    The moving average of the gradients falls by a factor of 10 in 22 steps.
    """
    from sknn_adam._backends.intrinsics import ON_X86

    if not ON_X86:
        pytest.skip("other processors than x86 are left as they are")
    n_steps = 900 if dtype == np.float32 else 7100
    X, smallest = rng.normal(size=(n_steps, 2)).astype(dtype), {}
    X[10:, 0] = 0
    for kernels in ("fused", "numpy"):
        monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
        monkeypatch.setattr("sknn_adam._training.run.FLUSHED", 10**9)
        model = MLPRegressor((3,), batch_size=1, alpha=0.0, averaging=None, shuffle=False)
        model.set_params(dtype=dtype.__name__, random_state=0).partial_fit(X, X[:, 1])
        moments = np.abs(model._run.optimizer_state.m)
        smallest[kernels] = moments[moments > 0].min()
    assert smallest["numpy"] < np.finfo(dtype).tiny <= smallest["fused"]
    # Outside the loops, subnormal numbers remain as they are.
    assert np.array([1e-40], np.float32) * np.float32(0.5) > 0


# -- rules -----------------------------------------------------------------------------------------

RULES = {
    name: optimizer()
    for name, optimizer in OPTIMIZERS.entries.items()
    if hasattr(optimizer(), "rule") and type(optimizer()).step is Optimizer.step
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_compiled_and_steps_like_numpy(name, dtype, rng):
    optimizer = RULES[name]
    start, *gradients = rng.normal(size=(6, 1003)).astype(dtype)
    results = {}
    for kernels in (NumpyKernels(), FusedKernels()):
        theta = start.copy()
        state = optimizer.init(theta)
        state.kernels = kernels
        for gradient in gradients:
            optimizer.step(theta, gradient, state)
        results[kernels.name] = [theta, *[getattr(state, slot) for slot in optimizer.slots]]
    assert any(kernel is not None for kernel in kernels._kernels.values())
    for a, b in zip(results["numpy"], results["fused"], strict=True):
        assert_close(a, b, dtype)
        assert b.dtype == dtype


def test_custom_rule_is_compiled_if_it_is_elementwise(dtype, rng):
    class Mine(Adam):
        """An optimizer whose rule uses many functions."""

        slots = ("m",)

        @staticmethod
        def rule(g, m, lr):
            bounded = m / (1 + np.abs(m))
            m = np.where(np.abs(g) > 0.5, bounded + g**2, np.minimum(m, 1 / (1 + g * g)))
            return lr * np.sign(m) * np.sqrt(np.abs(m)) + lr / (1 + np.square(g)), m

        def scalars(self, t, lr):
            return (lr,)

    class Sorted(Mine):
        """A rule that is not elementwise."""

        @staticmethod
        def rule(g, m, lr):
            return lr * np.sort(g), m

    for optimizer, fused in ((Mine(0.1), True), (Sorted(0.1), False)):
        start, gradient = rng.normal(size=(2, 500)).astype(dtype)
        results = []
        for kernels in (NumpyKernels(), FusedKernels()):
            theta, state = start.copy(), optimizer.init(start)
            state.kernels = kernels
            optimizer.step(theta, gradient, state)
            optimizer.step(theta, gradient, state)
            results.append(theta)
        assert_close(*results, dtype)
        assert (next(iter(kernels._kernels.values())) is not None) == fused


def test_rule_can_return_old_slots(dtype):
    def swap(g, a, b, lr):
        return lr * g, b, a

    slots = [np.full(4, 2, dtype), np.full(4, 3, dtype)]
    FusedKernels().update(swap, np.zeros(4, dtype), np.ones(4, dtype), slots, (0.5,))
    np.testing.assert_array_equal(slots, [[3] * 4, [2] * 4])


# -- activations -----------------------------------------------------------------------------------

# The other activations call functions that are faster in NumPy.
FUSED = {"identity", "relu", "leaky_relu"}
VALUES = [-np.inf, -1e30, -3.0, -0.0, 0.0, 1e-30, 0.5, 3.0, np.inf, np.nan]


@pytest.mark.parametrize("name", [n for n, a in ACTIVATIONS.entries.items() if not a().learned])
def test_activations_equal_numpy_forward_and_backward(name, dtype, rng):
    activation = ACTIVATIONS.make(name)
    z, g = rng.normal(size=(2, 37, 10)).astype(dtype)
    z[3] = VALUES
    b = rng.normal(size=10).astype(dtype)
    results = []
    with np.errstate(all="ignore"):
        for kernels in (NUMPY, FusedKernels()):
            x, back = z.copy(), g.copy()
            out = np.empty_like(x) if activation.needs_z else x
            sums = np.empty(10, dtype)
            kernels.activate(activation, x, b, out)
            kernels.chain(activation.derivative, back, x if activation.needs_z else None, out, sums)
            results.append((x, out, back, sums))
    for a, b in zip(*results, strict=True):
        assert_close(a, b, dtype, atol=1e-5 if dtype == np.float32 else 1e-13)
    if name in FUSED:
        assert kernels._kernels[activation, not activation.needs_z, z.dtype] is not None


def test_nan_propagates_through_maxima(dtype):
    z = np.full((2, 3), np.nan, dtype)
    FusedKernels().activate(ACTIVATIONS.make("relu"), z, np.zeros(3, dtype), z)
    assert np.isnan(z).all()
    slot = [np.full(3, np.nan, dtype)]
    FusedKernels().update(
        lambda g, v: (g, np.maximum(v, g)), np.zeros(3, dtype), np.ones(3, dtype), slot, ()
    )
    assert np.isnan(slot[0]).all()
    slot = [np.ones(3, dtype)]
    nan = np.full(3, np.nan, dtype)
    FusedKernels().update(lambda g, v: (g, np.minimum(v, g)), np.zeros(3, dtype), nan, slot, ())
    assert np.isnan(slot[0]).all()


def test_changed_constant_changes_the_formula(dtype):
    class Steep(Activation):
        """A user-defined activation with a constant."""

        needs_z = False

        def __init__(self, slope):
            self.slope = slope

        def __call__(self, z):
            return self.slope * z

        def derivative(self, z, a):
            return np.where(a > 0, self.slope, self.slope)

    for slope in (2.0, 5.0):
        z = np.ones((3, 2), dtype)
        FusedKernels().activate(Steep(slope), z, np.ones(2, dtype), z)
        np.testing.assert_array_equal(z, 2 * slope)


# -- losses ----------------------------------------------------------------------------------------


def losses():
    for table in (CLASSIFICATION_LOSSES, REGRESSION_LOSSES):
        for name in table.entries:
            yield table.make(name)
    yield LogLoss(label_smoothing=0.2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", losses(), ids=repr)
@pytest.mark.parametrize("n_raw", [1, 3])
def test_losses_equal_numpy(loss, n_raw, weighted, dtype, rng):
    if loss.n_raw(n_raw) != n_raw:
        pytest.skip("the loss has another number of raw outputs")
    z = (20 * rng.normal(size=(41, n_raw))).astype(dtype)
    weight = rng.random(41).astype(dtype) if weighted else None
    if loss.task == "classification":
        targets = [rng.integers(max(2, n_raw), size=41), rng.integers(2, size=(41, n_raw))]
    else:
        targets = [(1 + rng.random((41, n_raw))).astype(dtype)]
        z /= 20
    for y in targets:
        expected = loss.mean_and_gradient(y, z.copy(), weight)
        value, gradient = FusedKernels().mean_and_gradient(loss, y, z.copy(), weight)
        assert_close(value, expected[0], dtype, rtol=1e-5 if dtype == np.float32 else 1e-12)
        assert_close(gradient, expected[1], dtype)


def test_huge_outputs_are_finite_and_nan_outputs_stay_nan(dtype):
    kernels, y = FusedKernels(), np.array([0, 1])
    for n_raw in (1, 3):
        z = np.full((2, n_raw), 1e30, dtype)
        z[:, -1] = -1e30
        value, gradient = kernels.mean_and_gradient(LogLoss(), y, z, None)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        z[0, 0] = np.nan
        assert np.isnan(kernels.mean_and_gradient(LogLoss(), y, z, None)[0])


def test_subclass_of_a_loss_keeps_its_own_formula(dtype):
    class Twice(LogLoss):
        """A user-defined loss."""

        def value_and_gradient(self, y, z):
            value, gradient = super().value_and_gradient(y, z)
            return 2 * value, 2 * gradient

    y, z = np.array([0, 1]), np.ones((2, 1), dtype)
    once, twice = (
        FusedKernels().mean_and_gradient(loss(), y, z, None) for loss in (LogLoss, Twice)
    )
    assert_close(2 * once[0], twice[0], dtype)


# -- other loops, compiled and as plain Python ---------------------------------------------------


def test_loops_equal_numpy(dtype, rng):
    kernels = FusedKernels()
    z, g = rng.normal(size=(2, 9, 4)).astype(dtype)
    b, out = rng.normal(size=(2, 4)).astype(dtype)
    expected = z + b
    kernels.add_bias(z, b)
    np.testing.assert_array_equal(z, expected)
    kernels.column_sums(g, out)
    assert_close(out, g.sum(axis=0), dtype)
    out[0] = 0
    expected = b + dtype(0.5) * out + dtype(0.25) * np.sign(out)
    penalty = kernels.penalize(0.0, out, None, b, 0.5, 0.25)
    assert_close(b, expected, dtype)
    assert penalty == pytest.approx(0.25 * (out**2).sum() + 0.25 * abs(out).sum(), rel=1e-5)
    expected = dtype(0.25) * b + dtype(0.75) * out
    kernels.blend(b, out, 0.25, 0.75)
    assert_close(b, expected, dtype)
    rows = np.array([3, 0, 3])
    tables = [rng.normal(size=(5, 4)), rng.normal(size=(5, 4)).astype(np.float32)]
    tables += [np.asfortranarray(X) for X in tables] + [rng.normal(size=(5, 8))[:, ::2]]
    for X in tables:
        X.setflags(write=False)
        gathered = kernels.gather(X, rows, np.empty((3, 4), X.dtype), np.empty((3, 4), dtype))
        np.testing.assert_array_equal(gathered, X[rows].astype(dtype))
    X = rng.integers(9, size=(5, 4)).T
    gathered = kernels.gather(X, rows, np.empty((3, 5), X.dtype), np.empty((3, 5), dtype))
    np.testing.assert_array_equal(gathered, X[rows])
    y = np.array([0, 2, 1] * 3)
    for weight in (None, np.arange(9).astype(dtype)):
        expected = LogLoss(0.1).mean_and_gradient(y, z, weight)
        results = kernels.mean_and_gradient(LogLoss(0.1), y, z, weight)
        for a, b_ in zip(results, expected, strict=True):
            assert_close(a, b_, dtype, rtol=1e-5)


def test_members_equal_numpy(dtype, rng):
    z, g = rng.normal(size=(2, 3, 5, 4)).astype(dtype)
    b, sums = rng.normal(size=(2, 3, 4)).astype(dtype)
    relu = ACTIVATIONS.make("relu")
    x, y = z.copy(), z.copy()
    FusedKernels().activate(relu, x, b, x)
    NUMPY.activate(relu, y, b, y)
    np.testing.assert_array_equal(x, y)
    FusedKernels().chain(relu.derivative, g, None, x, sums)
    assert_close(sums, g.sum(axis=-2), dtype)


def test_products_of_columns_and_penalties_of_members_equal_numpy(dtype, rng):
    # Two members, each with 2 x 2 and 5 x 1 weights.
    theta, start = rng.normal(size=(2, 18)).astype(dtype)
    bounds, values = np.array([0, 4, 8, 13, 18]), np.array([1.0, 2.0])
    of_first, of_second = np.r_[0:4, 8:13], np.r_[4:8, 13:18]
    kernels = FusedKernels()
    columns, rows = rng.normal(size=(2, 5, 1)).astype(dtype), rng.normal(size=(2, 3, 1))
    rows = rows.astype(dtype).swapaxes(-1, -2)
    for a in (columns, columns[0], columns[:, ::-1]):
        out = np.empty((2, 5, 3), dtype)
        kernels.product(a, rows, out)
        np.testing.assert_array_equal(out, a * rows)
    grad = start.copy()
    results = kernels.penalize(values, theta, bounds, grad, 0.5, 0.25)
    assert_close(grad, start + dtype(0.5) * theta + dtype(0.25) * np.sign(theta), dtype)
    for value, before, own in zip(results, values, (of_first, of_second), strict=True):
        w = theta[own].astype(np.float64)
        assert value == pytest.approx(before + 0.25 * w @ w + 0.25 * abs(w).sum(), rel=1e-5)
    np.testing.assert_array_equal(values, [1.0, 2.0])


# -- products in blocks --------------------------------------------------------------------------

# (shape of a, shape of b, whether a is transposed in memory, number of blocks)
PRODUCTS = [
    ((128, 128), (128, 128), False, 4),  # 2.1 million multiplications
    ((128, 128), (128, 128), True, 4),  # the gradient of weights
    ((2, 128, 128), (2, 128, 128), True, 4),  # members
    ((90, 120), (3, 120, 100), False, 2),  # members that share a table
    ((30, 400), (2, 400, 100), True, 2),
    ((100, 100), (100, 100), False, None),  # a million multiplications are not split
    ((101, 100), (100, 110), False, None),  # cannot be split into equal blocks
    ((28, 400), (400, 100), True, None),  # too few rows per block
    ((400, 300), (300, 200), False, None),  # too many blocks
    ((1100, 1), (1, 1000), False, None),  # vectors
    ((1100, 1000), (1000, 1), False, None),
    ((1100, 2), (2, 1000), True, 4),
    ((64, 784), (784, 20), False, 2),
]


@pytest.mark.parametrize(("a_shape", "b_shape", "transposed", "n_blocks"), PRODUCTS)
def test_products_in_blocks_equal_products_at_once(
    monkeypatch, a_shape, b_shape, transposed, n_blocks, dtype, rng
):
    monkeypatch.setattr(_products, "_small_is_fast", lambda: True)
    a, b = (rng.normal(size=shape).astype(dtype) for shape in (a_shape, b_shape))
    a = np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2) if transposed else a
    expected = a.astype(np.longdouble) @ b.astype(np.longdouble)
    out = np.full(expected.shape, np.nan, dtype)
    assert _products.n_blocks(a, b) == (n_blocks or 1)
    FusedKernels().product(a, b, out)
    assert_close(out, expected.astype(np.float64), dtype, atol=100 * TOLERANCE[dtype])


def test_products_with_transposed_weights_are_not_split(monkeypatch, rng):
    monkeypatch.setattr(_products, "_small_is_fast", lambda: True)
    a, b = rng.normal(size=(2, 128, 128))
    assert _products.n_blocks(a, b.T) == 1


MATRICES = {
    "rows": lambda a: a,
    "columns": lambda a: np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2),
    "part of a matrix": lambda a: np.concatenate([a, a], axis=-1)[..., : a.shape[-1]],
    "every other row": lambda a: np.repeat(a, 2, axis=-2)[..., ::2, :],
    "reversed": lambda a: a[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
}


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 3), (4, 1, 3), (4, 5, 1), (7, 2, 3)])
@pytest.mark.parametrize("of_b", MATRICES)
@pytest.mark.parametrize("of_a", MATRICES)
def test_products_do_not_depend_on_the_memory_order(of_a, of_b, shape, dtype, rng):
    n, inner, width = shape
    for members_a, members_b in (((), ()), ((), (3,)), ((3,), (3,))):
        a = rng.integers(-9, 9, size=(*members_a, n, inner)).astype(dtype)
        b = rng.integers(-9, 9, size=(*members_b, inner, width)).astype(dtype)
        out = np.full((*members_b, n, width), np.nan, dtype)
        FusedKernels().product(MATRICES[of_a](a), MATRICES[of_b](b), out)
        np.testing.assert_array_equal(out, a @ b)


def test_products_of_unequal_sizes_are_refused():
    with pytest.raises(ValueError, match=r"matching shapes. Got \(4, 3\) and \(2, 5\)"):
        FusedKernels().product(np.ones((4, 3)), np.ones((2, 5)), np.ones((4, 5)))


def test_unknown_signature_of_blas_runs_products_in_numpy(monkeypatch, rng):
    monkeypatch.setattr(_products, "gemm_address", lambda dtype: None)
    a, b = rng.normal(size=(2, 4, 4))
    out = np.empty((4, 4))
    kernels = FusedKernels()
    kernels.product(a, b, out)
    np.testing.assert_array_equal(out, a @ b)


SKYLAKE = {"user_api": "blas", "architecture": "SkylakeX"}


@pytest.mark.parametrize(
    ("pools", "fast"),
    [
        ([SKYLAKE], True),
        ([SKYLAKE | {"architecture": "SAPPHIRERAPIDS"}, SKYLAKE, {"user_api": "openmp"}], True),
        ([SKYLAKE | {"architecture": "Haswell"}], False),
        ([SKYLAKE, SKYLAKE | {"architecture": "Haswell"}], False),
        ([SKYLAKE, SKYLAKE | {"architecture": None}], False),  # unknown architecture
        ([SKYLAKE, {"user_api": "blas"}], False),
        ([{"user_api": "openmp"}], False),
    ],
)
def test_only_some_libraries_have_fast_small_products(monkeypatch, pools, fast):
    monkeypatch.setattr(_products, "libraries", lambda: SimpleNamespace(info=lambda: pools))
    _products._small_is_fast.cache_clear()
    try:
        assert _products._small_is_fast() is fast
        assert (_products.n_blocks(*np.zeros((2, 128, 128))) > 1) is fast
    finally:
        _products._small_is_fast.cache_clear()


# -- complete fits ---------------------------------------------------------------------------------

PARAMS = [
    {},
    {"activation": "gelu", "optimizer": "adamw", "gradient_clip": 1.0},
    {"normalization": "batch", "dropout": 0.2, "optimizer": "sgd", "schedule": "cosine"},
    {"learn_scales": True},
    {"learn_scales": True, "n_members": 3, "normalization": "batch"},
    {"normalization": "layer", "activation": "leaky_relu", "optimizer": "lion"},
    {"averaging": "ema", "activation": "tanh", "l1_ratio": 0.5, "alpha": 0.01},
    {"optimizer": "schedule_free_adamw", "activation": "prelu"},
    {"optimizer": "muon", "activation": ["relu", "sigmoid"]},
]


@pytest.fixture
def fused(monkeypatch):
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "fused")


@pytest.mark.parametrize("params", PARAMS, ids=lambda params: "-".join(params) or "defaults")
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_fit_equals_numpy_up_to_rounding(monkeypatch, estimator, params, rng):
    X = rng.normal(size=(120, 6))
    y = (X @ rng.normal(size=(6, 3))).argmax(axis=1)
    results = []
    for kernels in ("numpy", "fused"):
        monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
        model = estimator((8, 5), max_iter=12, batch_size=32, random_state=0, dtype="float64")
        model.set_params(warm_start=True, **params).fit(X, y)
        assert model._run.network.kernels.name == kernels
        results.append(model)
    np.testing.assert_allclose(results[0].loss_curve_, results[1].loss_curve_, rtol=1e-9)
    for one, other in zip(*map(networks, results), strict=True):
        for a, b in zip(one.coefs_, other.coefs_, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


def count_replays(monkeypatch):
    """Return a list that receives the numbers of steps that are replayed or played."""
    done, replay, play = [], FusedKernels.replay, Player._run

    def counted(*args):
        n_steps, losses = play(*args)
        done.append(n_steps)
        return n_steps, losses

    monkeypatch.setattr(FusedKernels, "replay", lambda *args: done.append(1) or replay(*args))
    monkeypatch.setattr(Player, "_run", counted)
    return done


TARGETS = {
    "classes": lambda rng, n: rng.integers(3, size=n),
    "two classes": lambda rng, n: rng.integers(2, size=n),
    "labels": lambda rng, n: rng.integers(2, size=(n, 3)),
    "columns": lambda rng, n: rng.integers(3, size=(n, 2)),
    "numbers": lambda rng, n: rng.normal(size=n),
}


LAYOUTS = {
    "by column": (np.asfortranarray, {}),
    "strided": (lambda X: np.repeat(X, 2, axis=1)[:, ::2], {}),
    "one batch": (np.asfortranarray, {"batch_size": 90}),
    "in order": (np.asfortranarray, {"shuffle": False}),
}


@pytest.mark.parametrize("kernels", ["numpy", "fused"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_of_a_table_is_irrelevant(layout, kernels, monkeypatch, rng):
    monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
    X, y = rng.normal(size=(90, 5)), rng.integers(3, size=90)
    arrange, params = LAYOUTS[layout]
    model = MLPClassifier((8, 5), max_iter=6, batch_size=32, record=False, random_state=0)
    model.set_params(**params).fit(X, y)
    expected = model._network.theta
    done = count_replays(monkeypatch)
    model.fit(arrange(X), y)
    # Products with a column-major table round differently.
    if layout == "one batch":
        np.testing.assert_allclose(model._network.theta, expected, rtol=1e-4, atol=1e-6)
    else:
        np.testing.assert_array_equal(model._network.theta, expected)
    if kernels == "fused":
        assert sum(done) == (6 - 1 if layout == "one batch" else 18 - 2)


@pytest.mark.parametrize("kernels", ["numpy", "fused"])
@pytest.mark.parametrize(
    "params", [{}, {"batch_size": 90}, {"shuffle": False}, {"optimizer": "lbfgs"}], ids=str
)
def test_column_major_targets_give_the_same_predictions(params, kernels, monkeypatch, rng):
    monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
    X, y = rng.normal(size=(90, 5)), rng.normal(size=(90, 2))
    for table in (X, sparse.csr_array(X)):
        model = MLPRegressor((8, 5), max_iter=4, batch_size=32, random_state=0)
        expected = model.set_params(**({"batch_size": "auto"} | params)).fit(table, y).predict(X)
        results = model.fit(table, np.asfortranarray(y)).predict(X)
        np.testing.assert_allclose(results, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("target_type", TARGETS)
@pytest.mark.parametrize(
    "params",
    [*PARAMS, {"shuffle": False}, {"alpha": 0.0}, {"n_members": 3}, {"dropout": 0.3}],
    ids=str,
)
def test_replayed_calls_equal_those_of_the_layers(params, target_type, weighted, monkeypatch, rng):
    X, y = rng.normal(size=(90, 5)), TARGETS[target_type](rng, 90)
    weight = rng.random(90) if weighted else None
    estimator = MLPRegressor if target_type == "numbers" else MLPClassifier
    model = estimator((8, 5), max_iter=4, batch_size=32, record=False, random_state=0, **params)
    done = count_replays(monkeypatch)
    model.fit(X, y, sample_weight=weight)
    assert done
    monkeypatch.setattr(FusedKernels, "begin", NumpyKernels.begin)
    plain = clone(model).fit(X, y, sample_weight=weight)
    assert plain.loss_curve_ == model.loss_curve_
    np.testing.assert_array_equal(plain._network.theta, model._network.theta)


@pytest.mark.usefixtures("fused")
def test_resumption_from_a_pickle_is_exact(rng):
    X, y = rng.normal(size=(90, 4)), rng.integers(3, size=90)
    common = {"batch_size": 32, "random_state": 0, "tol": 0.0}
    one_fit = MLPClassifier((7,), max_iter=6, **common).fit(X, y)
    parts = MLPClassifier((7,), max_iter=6, **common)
    for _ in range(3):
        parts.partial_fit(X, y)
    assert parts._run.network.kernels.name == "fused"
    parts = pickle.loads(pickle.dumps(parts))
    for _ in range(3):
        parts.partial_fit(X, y)
    for a, b in zip(one_fit.coefs_, parts.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


# -- choice of the backend, and its cache --------------------------------------------------------


def test_backend_depends_on_predicted_work_and_environment(monkeypatch):
    monkeypatch.delenv("SKNN_ADAM_KERNELS", raising=False)
    assert choose(0.0).name == "numpy"
    assert choose(inf).name == "fused"
    assert predicted_gain(100, 10**4, 10**4) > FUSED_PAYS > predicted_gain(3, 100, 100)
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "numpy")
    assert choose(inf).name == "numpy"
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "fused")
    assert choose(0.0).name == "fused"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose(0.0).name == "numpy"


SMALL_FIT = """
import sys
import numpy as np
from sknn_adam import MLPClassifier
X = np.random.default_rng(0).normal(size=(60, 4))
model = MLPClassifier((5,), max_iter={epochs}, random_state=0, warm_start=True).fit(X, X[:, 0] > 0)
kernels = model._run.network.kernels
print("numba" in sys.modules, kernels.name, sum(map(abs, model.coefs_[0].ravel())))
"""


def run(epochs, **environment):
    environment = {k: v for k, v in os.environ.items() if k != "SKNN_ADAM_KERNELS"} | environment
    script = SMALL_FIT.format(epochs=epochs)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_numba_is_not_imported_for_small_epochs():
    assert run(2)[:2] == ["False", "numpy"]


@pytest.mark.parametrize("n_samples", [60, 400, 1347])
def test_backend_does_not_depend_on_the_number_of_epochs(n_samples, monkeypatch, rng):
    monkeypatch.delenv("SKNN_ADAM_KERNELS", raising=False)
    X, y = rng.normal(size=(n_samples, 64)).astype(np.float32), rng.integers(10, size=n_samples)
    one_fit = MLPClassifier(max_iter=12, random_state=0).fit(X, y)
    parts = MLPClassifier(max_iter=1, warm_start=True, random_state=0).fit(X, y)
    parts.set_params(max_iter=11).fit(X, y)
    np.testing.assert_array_equal(one_fit.coefs_[0], parts.coefs_[0])


def test_cache_is_reused_and_damaged_files_are_replaced(tmp_path):
    environment = {"SKNN_ADAM_KERNELS": "fused", "XDG_CACHE_HOME": str(tmp_path)}
    first = run(2, **environment)
    assert first[:2] == ["True", "fused"]
    folder = tmp_path / "sknn_adam"
    sources = sorted(folder.glob("kernel_*.py"))
    machine_code = sorted(folder.rglob("kernel_*.nb?"))
    assert sources
    assert machine_code
    assert not list(folder.glob("*.part"))
    stamps = [path.stat().st_mtime_ns for path in sources + machine_code]
    assert run(2, **environment) == first
    assert [path.stat().st_mtime_ns for path in sources + machine_code] == stamps
    for path in machine_code:
        path.write_bytes(b"damaged")
    assert run(2, **environment) == first
    for path in sources:
        path.write_text("damaged")
    assert run(2, **environment) == first


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can write anywhere"
)
def test_read_only_cache_directory_is_ignored(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert run(2, SKNN_ADAM_KERNELS="fused", XDG_CACHE_HOME=str(tmp_path))[1] == "fused"


def test_cache_directory_that_is_a_file_is_ignored(tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert run(2, SKNN_ADAM_KERNELS="fused", XDG_CACHE_HOME=str(file))[1] == "fused"


@pytest.mark.usefixtures("fused")
def test_compilation_is_announced_once_if_verbose(tmp_path, monkeypatch, capsys, rng):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    X, messages = rng.normal(size=(60, 4)), []
    for _ in range(2):
        # As in another process, no loop is loaded.
        monkeypatch.setattr(_compiled, "_loaded", {})
        MLPRegressor((5,), max_iter=2, random_state=0, verbose=True).fit(X, X[:, 0])
        messages.append(capsys.readouterr().out.count("Numba compiles the loops of this fit"))
    assert messages == [1, 0]
    monkeypatch.setattr(_compiled, "_loaded", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    MLPRegressor((5,), max_iter=2, random_state=0).fit(X, X[:, 0])
    assert not capsys.readouterr().out


def test_every_loop_is_compiled_for_both_dtypes():
    names = [name for name, f in vars(_loops).items() if inspect.isfunction(f)]
    for name in set(names) & set(_loops.__all__):
        for dtype in map(np.dtype, DTYPES):
            assert _compiled.loop_kernel(name, dtype) is not None, name


# -- user-defined layers -------------------------------------------------------------------------


class Recordable(Layer):
    """A layer that doubles its input by recordable calls."""

    replayable = True

    def forward(self, x, ws):
        y = ws.buffer("y", x.shape, x.dtype)
        ws.kernels.do(np.multiply, x, 2, y)
        return y

    def backward(self, g, ws, need_input=True):
        ws.kernels.do(np.multiply, g, 2, g)
        return g


class Direct(Recordable):
    """A layer whose forward pass computes on arrays directly."""

    def forward(self, x, ws):
        return np.multiply(x, 2, out=ws.buffer("y", x.shape, x.dtype))


class Counting(Recordable):
    """A layer whose factor depends on the number of passes."""

    passes = 0

    def forward(self, x, ws):
        self.passes += 1
        y = ws.buffer("y", x.shape, x.dtype)
        ws.kernels.do(np.multiply, x, 1 + 1 / self.passes, y)
        return y


class Later(Recordable):
    """A layer that is the identity at first and does not declare itself replayable."""

    replayable = False
    passes = 0

    def forward(self, x, ws):
        self.passes += 1
        return x if self.passes < 9 else super().forward(x, ws)


class Backwards(Recordable):
    """A layer whose backward pass computes on arrays directly."""

    def backward(self, g, ws, need_input=True):
        g *= 2
        return g


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("batch_size", [20, 60], ids=["batches", "one batch"])
@pytest.mark.parametrize("members", [None, 2])
@pytest.mark.parametrize("layer", [Recordable, Direct, Counting, Later, Backwards])
def test_layer_that_cannot_be_replayed_is_detected(layer, members, batch_size, monkeypatch, rng):
    x, results = rng.normal(size=(60, 4)), []
    y = x[:, :1] ** 2
    plan = Plan(SquaredError(), Adam(), Constant(), alpha=0.1, tol=0.0, record=False)
    done = count_replays(monkeypatch)
    for _ in range(2):
        inner = build(4, (5,), 1, [ReLU()]).layers
        network = Network([inner[0], inner[1], layer(), inner[2]], np.float64, members)
        network.initialize(GlorotUniform(), Zeros(), np.random.default_rng(0))
        run = (Run if members is None else Members)(network, np.random.default_rng(0))
        run.begin(plan)
        train(run, plan, Data(x, y, None, batch_size, np.float64), 10)
        results.append((run.history["loss"], network.theta))
        n_replayed = sum(done)
        monkeypatch.setattr(FusedKernels, "begin", NumpyKernels.begin)
    # The other layers are replayed at most once, to check them.
    assert (n_replayed > 1) == (layer is Recordable)
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
