from inspect import isfunction
from threading import Event, Thread

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from sknn_adam._backends.numba_backend import FusedKernels
from sknn_adam._backends.numpy_backend import (
    BLOCK,
    NUMPY,
    Backend,
    NumpyKernels,
    product,
)
from sknn_adam._backends.threads import one_blas_thread
from sknn_adam.activations import Activation, Tanh

SIZES = [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 17]


# -- computation in blocks -----------------------------------------------------------------------


def rule(g, m, v, rate, keep):
    """Compute an elementwise update from every argument."""
    m = keep * m + g
    v = np.maximum(v, g * g)
    return rate * m / (1 + v), m, v


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_update_in_blocks_equals_the_formula_at_once(size, dtype, rng):
    theta, g, m, v = rng.normal(size=(4, size)).astype(dtype)
    scalars = dtype(0.25), dtype(0.5)
    step, new_m, new_v = rule(g, m, v, *scalars)
    expected, kept = theta - step, g.copy()
    NumpyKernels().update(rule, theta, g, [m, v], scalars)
    np.testing.assert_array_equal(theta, expected)
    np.testing.assert_array_equal(m, new_m)
    np.testing.assert_array_equal(v, new_v)
    np.testing.assert_array_equal(g, kept)
    assert theta.dtype == dtype


def test_update_passes_at_most_one_block_to_the_rule():
    seen = []

    def plain(g, rate):
        seen.append(g.size)
        return (rate * g,)

    NUMPY.update(plain, np.zeros(3 * BLOCK + 1), np.ones(3 * BLOCK + 1), [], (1.0,))
    assert max(seen) <= BLOCK
    assert sum(seen) == 3 * BLOCK + 1


SHAPES = [
    (1, 1),
    (3, BLOCK + 1),  # a row is larger than a block
    (BLOCK, 1),
    (BLOCK // 16 + 1, 16),
    (3, 1000, 17),  # members
    (2, 2, 300, 40),
]


class Sine(Activation):
    """A user-defined activation without ``apply``."""

    def __call__(self, z):
        assert z.size <= max(BLOCK, z[..., :1, :].size)
        return np.sin(z)

    def derivative(self, z, a):
        return np.cos(z)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("activation", "formula"), [(Tanh(), np.tanh), (Sine(), np.sin)])
def test_activate_works_in_blocks_and_in_place(shape, activation, formula, rng):
    z = rng.normal(size=shape)
    expected, out = formula(z), np.empty_like(z)
    NUMPY.activate(activation, z, None, out=out)
    np.testing.assert_allclose(out, expected, rtol=1e-15)
    NUMPY.activate(activation, z, None, out=z)
    np.testing.assert_array_equal(z, out)


@pytest.mark.parametrize("shape", SHAPES)
def test_chain_multiplies_by_the_derivative(shape, rng):
    g, z, a = rng.normal(size=(3, *shape))
    expected = g * (z - 2 * a)
    NUMPY.chain(lambda z, a: z - 2 * a, g, z, a)
    np.testing.assert_array_equal(g, expected)
    expected = g * a**2
    NUMPY.chain(lambda z, a: a**2 if z is None else None, g, None, a)
    np.testing.assert_array_equal(g, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_column_sums_equal_products_with_ones(shape, rng):
    g = rng.normal(size=shape)
    out = np.empty((*shape[:-2], shape[-1]))
    NUMPY.column_sums(g, out=out)
    np.testing.assert_allclose(out, np.ones(shape[-2]) @ g, rtol=1e-12, atol=1e-12)


def test_numba_backend_has_every_method():
    methods = [name for name, v in vars(Backend).items() if isfunction(v) and name[0] != "_"]
    inherited = [n for n in methods if getattr(FusedKernels, n) is getattr(Backend, n)]
    assert not inherited


def test_default_backend_has_no_state():
    with pytest.raises(AttributeError, match="anything"):
        NUMPY.anything = 1


# -- products ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("members", [(), (3,)], ids=["one", "members"])
@pytest.mark.parametrize("container", [None, sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("transposed", [False, True])
def test_product_equals_matmul(dtype, members, container, transposed, rng):
    a = rng.normal(size=(6, 5)).astype(dtype) * (rng.random((6, 5)) < 0.5)
    b = rng.normal(size=(*members, 6 if transposed else 5, 4)).astype(dtype)
    expected = (a.T if transposed else a) @ b
    left = a if container is None else container(a)
    left = left.T if transposed else left
    out = np.full(expected.shape, np.nan, dtype)
    assert product(left, b, out=out) is out
    np.testing.assert_allclose(out, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)


def test_product_of_members_equals_separate_products(rng):
    a, b = rng.normal(size=(3, 6, 5)), rng.normal(size=(3, 5, 4))
    out = product(a, b, out=np.empty((3, 6, 4)))
    for one, x, y in zip(out, a, b, strict=True):
        np.testing.assert_allclose(one, x @ y, rtol=1e-12)


def test_product_does_not_convert_sparse_matrices_to_dense(monkeypatch, rng):
    a = sparse.csr_array(np.eye(4))
    for name in ("toarray", "todense", "__array__"):
        monkeypatch.setattr(type(a), name, None, raising=False)
    np.testing.assert_array_equal(product(a, np.ones((4, 2)), out=np.empty((4, 2))), 1)


# -- threads -------------------------------------------------------------------------------------


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two_threads():
    with threadpool_limits(2, "blas"):
        assert blas_threads() == {2}
        yield


@pytest.mark.usefixtures("two_threads")
def test_one_blas_thread_restores_the_previous_setting():
    with one_blas_thread:
        assert blas_threads() == {1}
        with one_blas_thread:
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


@pytest.mark.usefixtures("two_threads")
def test_one_blas_thread_is_restored_after_an_error():
    with pytest.raises(KeyError), one_blas_thread:
        raise KeyError
    assert blas_threads() == {2}


@pytest.mark.usefixtures("two_threads")
def test_one_blas_thread_can_overlap_in_two_threads():
    entered, leave, seen = Event(), Event(), []

    def work():
        with one_blas_thread:
            entered.set()
            leave.wait(10)
            seen.append(blas_threads())

    other = Thread(target=work)
    # The context entered first is left first, unlike nested contexts.
    with one_blas_thread:
        other.start()
        assert entered.wait(10)
    assert blas_threads() == {1}
    leave.set()
    other.join(10)
    assert seen == [{1}]
    assert blas_threads() == {2}


@pytest.mark.usefixtures("two_threads")
def test_one_blas_thread_works_in_a_worker_after_the_main_thread():
    """threadpoolctl 3.8 would ignore a limit set by the worker."""
    seen = []

    def work():
        with one_blas_thread:
            seen.append(blas_threads())
        seen.append(blas_threads())

    with one_blas_thread:
        pass
    worker = Thread(target=work)
    worker.start()
    worker.join(10)
    assert seen == [{1}, {2}]


# -- rules that return old slots -----------------------------------------------------------------


def keeps_old(g, m, old, lr):
    return lr * g, m + g, m


def delayed(g, previous, lr):
    return previous, lr * g


def swapped(g, a, b, lr):
    return lr * a, b, a


def branching(g, m, lr):
    return (lr * g, m + g) if g.sum() > 0 else (g, m)


@pytest.mark.parametrize("size", [3, BLOCK + 5])
@pytest.mark.parametrize("kernels", [NUMPY, NumpyKernels()], ids=["called", "recorded"])
@pytest.mark.parametrize("rule", [keeps_old, delayed, swapped, branching])
def test_old_slots_are_read_before_they_are_overwritten(rule, kernels, size, rng):
    g = rng.normal(size=size)
    n_slots = rule.__code__.co_argcount - 2
    slots = [rng.normal(size=size) for _ in range(n_slots)]
    theta = rng.normal(size=size)
    update, *expected = rule(g, *[slot.copy() for slot in slots], 0.5)
    expected_theta = theta - update
    kernels.update(rule, theta, g, slots, [0.5])
    np.testing.assert_array_equal(theta, expected_theta)
    for slot, value in zip(slots, expected, strict=True):
        np.testing.assert_array_equal(slot, value)


def test_random_rule_is_called_in_every_step():
    rng = np.random.default_rng(0)

    def noisy(g, lr):
        return (lr * g + rng.normal(),)

    theta, kernels = np.zeros(2), NumpyKernels()
    kernels.update(noisy, theta, np.zeros(2), [], [1.0])
    first = theta.copy()
    kernels.update(noisy, theta, np.zeros(2), [], [1.0])
    assert (theta - first != first).any()


@pytest.mark.parametrize(
    ("rule", "got"),
    [
        (lambda g, m, lr: lr * g, "ndarray"),
        (lambda g, m, lr: (lr * g,), "a tuple of 1"),
        (lambda g, m, lr: (lr * g, m, g), "a tuple of 3"),
    ],
    ids=["an array", "too short", "too long"],
)
def test_rule_that_does_not_return_the_update_and_all_slots_raises(rule, got):
    message = rf"must return a tuple \(update, \*slots\) of 2 arrays\. Got {got}\."
    for kernels in (NUMPY, NumpyKernels()):
        with pytest.raises(TypeError, match=message):
            kernels.update(rule, np.zeros(3), np.ones(3), [np.ones(3)], [1.0])
