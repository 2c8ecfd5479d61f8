"""Elementary functions of compiled kernels: accuracy, special values, bits and vectorization."""

import re
from functools import cache
from math import inf, nan

import numpy as np
import pytest
from rows import load_golden
from ulps import LIMITS, REFERENCES, compiled_map, ulps

pytest.importorskip("numba")

from sknn_adam._backends import compilation as _compiled
from sknn_adam._backends import elementary
from sknn_adam._backends.codegen import update_loop
from sknn_adam._backends.kernels import Stream
from sknn_adam._backends.numba_backend import FusedKernels
from sknn_adam._backends.tracing import record_rule

DTYPES = ["float32", "float64"]
SPECIAL = [0.0, -0.0, inf, -inf, nan]
# Arguments where results overflow or underflow in float32, and where formulas change.
THRESHOLDS = [88.72284, -87.33655, -103.97208, -17.5, 9.02, 0.625, 0.75, -1.0, 0.41421357]
THRESHOLDS += [0.3465736, 14.17, 3.92, 2.0**24, 2.0**-25, 1.1754944e-38, 1.4142135, 0.70710677]
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_function = pytest.mark.parametrize("name", elementary.NAMES)


@cache
def loop(name, dtype):
    """Return a compiled loop that applies a function."""
    apply = compiled_map(elementary.functions(dtype)[name])
    apply(np.ones(1, dtype), np.ones(1, dtype))
    return apply


def computed(name, x):
    """Return the results of a function in a compiled loop."""
    out = np.empty_like(x)
    loop(name, x.dtype.name)(x, out)
    return out


def float32_arguments():
    """Return special values, thresholds, subnormal numbers, and random numbers of all sizes."""
    rng = np.random.default_rng(0)
    near = np.array([sign * x for x in THRESHOLDS for sign in (1, -1)], np.float32).view(np.int32)
    return np.concatenate(
        [
            np.array(SPECIAL, np.float32),
            (near + np.arange(-50, 50, dtype=np.int32)[:, None]).ravel().view(np.float32),
            *[sign * np.arange(500, dtype=np.uint32).view(np.float32) for sign in (1, -1)],
            rng.integers(0, 2**32, 60_000, dtype=np.uint32).view(np.float32),
            rng.uniform(-1.5, 1.5, 60_000).astype(np.float32),
            rng.uniform(-20, 20, 60_000).astype(np.float32),
            rng.uniform(-110, 110, 60_000).astype(np.float32),
        ]
    )


@every_function
@np.errstate(all="ignore")
def test_float32_results_are_close_to_scipy_in_float64(name):
    x = float32_arguments()
    expected = REFERENCES[name](x.astype(np.float64)).astype(np.float32)
    distances = ulps(computed(name, x), expected)
    wrong = (distances < 0) | (distances > LIMITS[name])
    assert not wrong.any(), f"{name} of {x[wrong][:5]}: {distances[wrong][:5]} ulp"


@every_function
def test_float64_results_are_close_to_mpmath(name):
    golden = load_golden("elementary")[name]
    x, expected = (np.array(list(map(float.fromhex, golden[key]))) for key in ("x", "value"))
    assert x.size > 600
    distances = ulps(computed(name, x), expected)
    wrong = (distances < 0) | (distances > LIMITS[name])
    assert not wrong.any(), f"{name} of {x[wrong][:5]}: {distances[wrong][:5]} ulp"


@every_dtype
@every_function
@np.errstate(all="ignore")
def test_special_values_are_exact(name, dtype):
    x = np.array([*SPECIAL, np.finfo(dtype).max, np.finfo(dtype).min, -1, -2], dtype)
    expected = REFERENCES[name](x)
    exact = ~np.isfinite(expected) | np.isin(expected, [0, 0.5, 1, -1])
    np.testing.assert_array_equal(ulps(computed(name, x), expected)[exact], 0)


@every_dtype
@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh"])
def test_results_of_subnormal_numbers_are_exact(name, dtype):
    smallest = np.finfo(dtype).smallest_normal
    x = np.concatenate([np.linspace(0, 1, 300), -np.linspace(0, 1, 300)]).astype(dtype) * smallest
    np.testing.assert_array_equal(computed(name, x), x)


# -- bits, dtypes and vectorization --------------------------------------------------------------


@every_dtype
@every_function
def test_loops_have_the_bits_of_single_calls(name, dtype):
    """A loop has a vectorized part and a remainder; neither may fuse operations."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 3, 1000), rng.uniform(-90, 90, 77), SPECIAL]).astype(dtype)
    results = computed(name, x)
    np.testing.assert_array_equal(results, [computed(name, v[None])[0] for v in x])
    np.testing.assert_array_equal(results[:13], computed(name, x[:13]))


@every_function
@np.errstate(all="ignore")
def test_compiled_functions_have_the_bits_of_plain_python(name):
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(0, 3, 500), rng.uniform(-750, 750, 200), SPECIAL])
    plain = np.array([getattr(elementary, name)(v) for v in x])
    np.testing.assert_array_equal(computed(name, x), plain)


def assert_vectorized(apply, dtype):
    """Check that the loop computes vectors of the dtype only, and calls no other functions."""
    (code,) = apply.inspect_llvm().values()
    body = code.partition("vector.body")[2].partition("middle.block")[0]
    single, double = r"<\d+ x float>", r"<\d+ x double>"
    vector, other = (single, double) if dtype == "float32" else (double, single)
    assert re.search(rf"fmul {vector}", body)
    assert not re.search(other, body)
    called = set(re.findall(r"call [^@]*@([\w.]+)", body))
    # These are single instructions.
    assert all(re.fullmatch(r"llvm\.(fabs|smax)\.v\d+[fi]\d+", name) for name in called), called


@every_dtype
@every_function
def test_loops_are_vectorized_in_the_dtype_of_the_array(name, dtype):
    assert_vectorized(loop(name, dtype), dtype)


@every_dtype
def test_loops_over_compositions_are_vectorized(dtype):
    import numba

    tanh, log1pexp = (elementary.functions(dtype)[name] for name in ("tanh", "log1pexp"))

    @numba.njit(error_model="numpy", forceinline=True)
    def mish(z):
        return z * tanh(log1pexp(z))

    apply = compiled_map(mish)
    apply(np.ones(1, dtype), np.ones(1, dtype))
    assert_vectorized(apply, dtype)


# -- kernels -------------------------------------------------------------------------------------


def test_a_kernel_calls_defined_functions():
    z = np.random.default_rng(0).normal(0, 3, 1000).astype(np.float32)
    formula = record_rule(lambda g: (g * np.tanh(np.logaddexp(0, g)),), 0, 0, np.float32)
    kernel = _compiled.formula_kernel(update_loop, formula, z.dtype)
    theta, factor = np.zeros((1, 1000), np.float32), Stream(z.dtype, 1)
    factor.show(np.ones(1))
    FusedKernels().call(kernel, theta, z[None], factor, np.array([0]))
    wide = z.astype(np.float64)
    np.testing.assert_allclose(-theta[0], wide * np.tanh(np.logaddexp(0, wide)), rtol=5e-7)


def test_machine_code_of_a_kernel_is_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # As in another process, no kernel is loaded.
    for n_hits in (0, 1):
        monkeypatch.setattr(_compiled, "_loaded", {})
        kernel = _compiled.loop_kernel("softmax_log_loss", np.dtype(np.float64), np.dtype(np.int64))
        assert kernel.compiled._cache_hits == n_hits


def test_definitions_change_with_the_source(monkeypatch):
    before = elementary.definitions(["exp"], np.float32)
    assert before == elementary.definitions(["exp"], "float32")

    class Loader:
        def get_source(self, name):
            return "another source"

    elementary._digest.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(elementary, "__loader__", Loader())
        assert elementary.definitions(["exp"], np.float32) != before
    elementary._digest.cache_clear()
    assert elementary.definitions(["exp"], np.float32) == before
