"""Every operation of compiled loops equals NumPy for booleans, numbers and constants."""

from math import inf, nan

import numpy as np
import pytest

from sknn_adam._backends import compilation as _compiled
from sknn_adam._backends.codegen import BOOLEAN, INFIX, Unwritable, update_loop
from sknn_adam._backends.kernels import Stream
from sknn_adam._backends.numba_backend import FusedKernels
from sknn_adam._backends.numpy_backend import NUMPY, NumpyKernels
from sknn_adam._backends.tracing import record, record_rule
from sknn_adam.activations import Activation

pytest.importorskip("numba")

DTYPES = [np.float32, np.float64]
OPERATIONS = sorted({*INFIX, *BOOLEAN, np.power}, key=lambda f: f.__name__)
CONSTANTS = [0, 1, 2, 3.0, -1, 0.5, True, False, -0.0, nan, inf, -inf, 1.000000001, 1e-60, 1e300]
CONSTANTS += [np.float64(0.1), np.float32(0.1), np.float64(1.0), 2**24 + 1]
VALUES = [-inf, -2.5, -1.0, -1e-30, -0.0, 0.0, 1e-30, 0.1, 0.5, 1.0, 2.0, 3.0, 1e30, inf, nan]


def n_arguments(function):
    return 3 if function is np.where else function.nargs - 1


def operands(z, a):
    """Return operands of all types made from two arrays."""
    return [z, a, z > 0, a > z, *CONSTANTS]


def expressions(function):
    """Yield formulas of (z, a) that call a function once, for every combination of operands."""
    n = len(operands(np.ones(1), np.ones(1)))
    if n_arguments(function) == 3:
        picks = [(i, j, k) for i in (0, 2, 3, 4, 6) for j in range(n) for k in (0, 2, 5, 10, 13)]
    else:
        picks = np.ndindex(*[n] * n_arguments(function))
    for pick in picks:

        def formula(z, a, pick=pick):
            values = operands(z, a)
            return function(*[values[i] for i in pick])

        yield formula


def grid(dtype):
    """Return two arrays in which every value is paired with four values."""
    z = np.array(VALUES, dtype)
    return np.tile(z, 4), np.concatenate([np.roll(z, shift) for shift in (0, 1, 5, 9)])


def by_numpy(formula, z, a):
    return np.broadcast_to(np.asarray(formula(z, a)), z.shape).astype(z.dtype)


def assert_equal(actual, expected, function):
    np.testing.assert_array_equal(actual, expected)
    # NumPy may return either of two zeros.
    if function not in {np.maximum, np.minimum}:
        zeros = expected == 0
        np.testing.assert_array_equal(np.signbit(actual[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("function", OPERATIONS, ids=lambda f: f.__name__)
@np.errstate(all="ignore")
def test_generated_code_of_an_operation_equals_numpy(function, dtype):
    """Run the source of the loop as plain Python for all combinations."""
    z, a = grid(dtype)
    written = 0
    for formula in expressions(function):
        recorded = record(formula, 2, dtype=dtype)
        if recorded is None:
            continue
        try:
            loop = update_loop(_as_rule(recorded), np.dtype(dtype))
        except Unwritable:
            continue
        source = _compiled.SOURCE.format(dtype=np.dtype(dtype), names=", ".join(loop.names))
        # Plain Python leaves the control register of the processor as it is.
        space: dict = {"flush_subnormals": lambda: 0, "restore_control": lambda state: None}
        exec(source + "".join(f"    {line}\n" for line in loop.lines), space)
        theta = np.zeros_like(z)
        vectors = theta[None], z[None], a[None].copy(), np.ones(1, dtype), np.array([0])
        space["body"](*vectors, loop.constants)
        expected = by_numpy(formula, z, a)
        assert_equal(-theta, np.where(expected == 0, -(0 - expected), expected), function)
        written += 1
    assert written >= 2, function


def _as_rule(formula):
    """Turn a recorded formula of (z, a) into a rule that leaves its only slot unchanged."""
    formula.outputs = [formula.outputs[0], 1]
    return formula


MIXED = {
    "sum of booleans": lambda z, a: z * ((z > 0) + (z > 1)),
    "product of booleans": lambda z, a: z * ((z > 0) * (a > 0)),
    "number as truth": lambda z, a: z * np.logical_and(z, 3.0),
    "zero as truth": lambda z, a: z + np.logical_or(z, 0.0),
    "not a number": lambda z, a: np.logical_not(z) + a,
    "number as condition": lambda z, a: np.where(z, a, z),
    "booleans chosen": lambda z, a: np.where(z > a, z > 0, a > 0),
    "boolean or number": lambda z, a: np.where(z > a, z > 0, a),
    "boolean in a maximum": lambda z, a: np.maximum(z > 0, a),
    "maximum of booleans": lambda z, a: np.maximum(z > 0, a > 0) * z,
    "boolean less a number": lambda z, a: (z > 0) - a,
    "difference of products": lambda z, a: (z > 0) * z - (a > 0) * a,
    "order of booleans": lambda z, a: ((z > 0) > (a > 0)) + ((z > 0) <= (a > 0)) * z,
    "boolean and its constant": lambda z, a: ((z > 0) * True + False) * a,
    "comparison as result": lambda z, a: z > a,
    "boolean as result": lambda z, a: (z > 0) + (a > 0),
    "power of a half": lambda z, a: z**0.5,
    "inverse": lambda z, a: z**-1 + a**1,
    "sign of zero": lambda z, a: 1 / np.sign(z),
    "double constant": lambda z, a: (z > np.float64(0.1)) * a,
    "boolean and double": lambda z, a: ((z > 0) < 1.000000001) * a,
    "too large": lambda z, a: (z < 1e300) * a,
}


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@np.errstate(all="ignore")
def test_compiled_rules_handle_booleans_like_numpy(dtype):
    """In one compiled rule, each formula gives the new value of a slot; one is also the update."""
    z, a = grid(dtype)
    formulas = [f for f in MIXED.values() if record(f, 2, dtype=dtype) is not None]
    assert len(formulas) >= len(MIXED) - 5

    def rule(g, s, *slots):
        return formulas[-1](g, s), s, *[formula(g, s) for formula in formulas]

    theta, slots = np.zeros_like(z), [np.zeros_like(z) for _ in formulas]
    formula = record_rule(rule, 1 + len(formulas), 0, dtype)
    kernel = _compiled.formula_kernel(update_loop, formula, np.dtype(dtype))
    keep = Stream(dtype, 1)
    keep.show(np.ones(1))
    stacks = [vector[None] for vector in (theta, z, a.copy(), *slots)]
    FusedKernels().call(kernel, *stacks, keep, np.array([0]))
    for formula, slot in zip(formulas, slots, strict=True):
        np.testing.assert_array_equal(slot, by_numpy(formula, z, a))
    np.testing.assert_array_equal(-theta, by_numpy(formulas[-1], z, a))


COMPILED = [
    ("sum of booleans", np.float32),
    ("number as truth", np.float64),
    ("booleans chosen", np.float64),
    ("comparison as result", np.float32),
    ("boolean and double", np.float32),
]


@pytest.mark.parametrize(("name", "dtype"), COMPILED)
@np.errstate(all="ignore")
def test_activations_and_derivatives_handle_booleans_like_numpy(name, dtype):
    """Use both backends, whether the formula is compiled or not."""
    formula = MIXED[name]

    class Mine(Activation):
        def __call__(self, z):
            return formula(z, z)

        def derivative(self, z, a):
            return formula(z, a)

    z, a = (v.reshape(-1, 15) for v in grid(dtype))
    for kernels in (NUMPY, FusedKernels()):
        x, zero = z.copy(), np.zeros(15, dtype)
        out, g, sums = np.empty_like(x), np.ones_like(x), np.empty(15, dtype)
        kernels.activate(Mine(), x, zero, out)
        np.testing.assert_array_equal(out, by_numpy(formula, x, x))
        kernels.chain(Mine().derivative, g, z, a, sums)
        np.testing.assert_array_equal(g, by_numpy(formula, z, a))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("name", MIXED)
@np.errstate(all="ignore")
def test_rules_run_by_numpy_handle_booleans(name, dtype):
    z, a = grid(dtype)
    theta, formula = np.zeros_like(z), MIXED[name]
    NumpyKernels().update(lambda g, s: (formula(g, s), s), theta, z, [a.copy()], ())
    np.testing.assert_array_equal(-theta, by_numpy(formula, z, a))


def test_booleans_are_added_as_numbers_and_numbers_are_used_as_booleans():
    first, second = MIXED["sum of booleans"], MIXED["number as truth"]
    theta, slot = np.zeros(1), np.zeros(1)
    FusedKernels().update(
        lambda g, s: (first(g, g), second(g, g)), theta, np.full(1, 2.0), [slot], ()
    )
    assert (theta[0], slot[0]) == (-2, 2)


@np.errstate(all="ignore")
def test_powers_equal_numpy(rng):
    z = np.append(rng.normal(size=50) ** 2, [0.0, -0.0, np.inf, -np.inf])

    def rule(g, *slots):
        return g, g**2, g**1, g**-1, g**0.5, np.power(g, 2)

    expected = [z**2, z, 1 / z, np.sqrt(z), z * z]
    slots = [np.zeros_like(z) for _ in expected]
    kernels = FusedKernels()
    kernels.update(rule, np.zeros_like(z), z, slots, ())
    assert next(iter(kernels._kernels.values())) is not None
    for slot, value in zip(slots, expected, strict=True):
        np.testing.assert_array_equal(slot, value)


@pytest.mark.parametrize(
    "formula",
    [lambda g: g**3, np.sin, np.cbrt, lambda g: np.hypot(g, 1.0), lambda g: np.logaddexp(g, 0)],
)
def test_functions_that_round_differently_are_left_to_numpy(formula, rng):
    """Numba and NumPy implement these functions differently."""
    z = rng.normal(size=500).astype(np.float32) ** 2 + np.float32(0.1)
    kernels, slot = FusedKernels(), np.zeros_like(z)
    kernels.update(lambda g, s: (g, formula(g)), np.zeros_like(z), z, [slot], ())
    assert next(iter(kernels._kernels.values())) is None
    np.testing.assert_array_equal(slot, formula(z))


def test_powers_that_numpy_may_compute_as_roots_are_left_to_numpy():
    assert record(lambda z: np.power(z, 0.5), 1) is None
    assert record(lambda z, s: z**s, 1, 1) is None
