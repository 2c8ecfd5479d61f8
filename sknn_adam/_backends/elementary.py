"""Elementary functions that LLVM vectorizes, for kernels compiled by Numba.

The functions of `math` are calls into the C library, and a loop that contains a call is not
vectorized. These functions consist of additions, multiplications, divisions, bit operations and
selections. Products and sums are not fused, so all processors return the same bits, and so do the
vectorized part of a loop and its remainder. `tests/ulps.py` has the largest errors, in units in the
last place (ulp).

The functions of this module compute in float64, as plain Python. `functions` compiles them for a
dtype, with the constants and polynomials of that dtype. Numba promotes the sum of a float32 number
and a Python number to float64, so numbers are written as ``real(2)``, and so are the results of
integer operations.

LLVM vectorizes a conditional expression if it can compute both values and select one. Comparisons
are arranged so that NaN propagates.

References
----------
.. [1] W. J. Cody and W. Waite, Software Manual for the Elementary Functions, Prentice-Hall, 1980.
.. [2] J.-M. Muller, Elementary Functions: Algorithms and Implementation, 3rd edition, Birkhäuser,
   2016.
.. [3] M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x in
   0 ≤ x < ∞", Mathematics of Computation 36, 1981.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cache
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from sknn_adam import __version__
from sknn_adam._backends import polynomials
from sknn_adam._backends.polynomials import POLYNOMIALS

__all__ = ["NAMES", "definitions", "functions"]

NAMES = ("exp", "expm1", "log", "log1p", "tanh", "expit", "log1pexp", "erf", "ndtr")


class Constants(NamedTuple):
    """Constants of a floating-point format with `mantissa` bits and exponents up to `bias`."""

    mantissa: Any
    bias: Any
    # The smallest normal number, and a power of 2 that makes every subnormal number normal.
    smallest: Any
    lift: Any
    lift_exponent: Any
    # Adding it rounds to an integer k; the lowest bits of the sum are then k + 2 * bias.
    rounder: Any
    exponent_bits: Any
    # 2**mantissa as bits, to convert integers between 0 and 2 * bias; then its value plus bias.
    integer_bits: Any
    integer_offset: Any
    # log(2) as a sum. Products of `ln2_high` and exponents are exact [1]_.
    log2_e: Any
    ln2_high: Any
    ln2_low: Any
    # exp is 0 below `exp_lowest` and infinite above `exp_highest`.
    exp_lowest: Any
    exp_highest: Any
    # Adding it to the bits of x moves the exponent up if the mantissa is at least sqrt(2).
    split_offset: Any
    sign_bit: Any
    # Keeps the upper half of the mantissa, so that squares are exact.
    upper_half: Any
    # ndtr is 0 below -tail_end.
    tail_end: Any


def _constants(dtype: Any) -> Constants:
    """Return the constants of a dtype."""
    single = np.dtype(dtype) == np.float32
    as_real, as_integer = (np.float32, np.int32) if single else (np.float64, np.int64)
    mantissa, bias = (23, 127) if single else (52, 1023)
    # An exponent has 8 or 11 bits, so a product has at most 24 or 53.
    parts = 2**16 if single else 2**42
    ln2_high = math.floor(math.log(2) * parts) / parts
    one, sqrt_half = (int(as_real(v).view(as_integer)) for v in (1, math.sqrt(0.5)))
    reals = {
        "smallest": 2.0 ** (1 - bias),
        "lift": 2.0 ** (mantissa + 1),
        "lift_exponent": mantissa + 1,
        "rounder": 1.5 * 2.0**mantissa + 2 * bias,
        "integer_offset": 2.0**mantissa + bias,
        "log2_e": 1 / math.log(2),
        "ln2_high": ln2_high,
        # The difference of log(2) and its nearest float64.
        "ln2_low": (math.log(2) - ln2_high) + 2.3190468138462996e-17,
        "exp_lowest": -104.0 if single else -745.2,
        "exp_highest": 89.0 if single else 709.8,
        "tail_end": 14.5 if single else 39.0,
    }
    integers = {
        "mantissa": mantissa,
        "bias": bias,
        "exponent_bits": 4 * bias + 3,
        "integer_bits": (mantissa + bias) << mantissa,
        "split_offset": one - sqrt_half,
        "sign_bit": -(2 ** (31 if single else 63)),
        "upper_half": -(2 ** (12 if single else 27)),
    }
    typed = {name: as_real(value) for name, value in reals.items()}
    return Constants(**typed, **{name: as_integer(value) for name, value in integers.items()})


def _polynomial(name: str, dtype: Any) -> Callable:
    """Return the polynomial of a name, evaluated by Horner's rule.

    The expression is generated, because Numba does not unroll a loop over coefficients.
    """
    coefficients = POLYNOMIALS[name][np.dtype(dtype).name]
    typed = {f"c{i}": np.dtype(dtype).type(value) for i, value in enumerate(coefficients)}
    *names, text = typed
    for other in reversed(names):
        text = f"{other} + x * ({text})"
    return eval(f"lambda x: {text}", typed)


# The definitions for float64; `functions` replaces them for other dtypes.
real: Any = np.float64
integer: Any = np.int64
c = _constants(np.float64)
exp_polynomial = _polynomial("exp", np.float64)
log_polynomial = _polynomial("log", np.float64)
erf_polynomial = _polynomial("erf", np.float64)
tail_polynomial = _polynomial("tail", np.float64)


def _bits(x: Any) -> Any:
    return real(x).view(integer)


def _from_bits(bits: Any) -> Any:
    return integer(bits).view(real)


def _with_sign(x: Any, signed: Any) -> Any:
    """Return a number that is not negative with the sign of another number."""
    return _from_bits(_bits(x) | (_bits(signed) & c.sign_bit))


# -- exponentials --------------------------------------------------------------------------------


def _reduce_exponent(x: Any) -> Any:
    """Return r and bits that end in k + 2 * bias, where x = k log(2) + r [1]_."""
    shifted = x * c.log2_e + c.rounder
    k = shifted - c.rounder
    return (x - k * c.ln2_high) - k * c.ln2_low, _bits(shifted)


def _times_exp(factor: Any, x: Any, low: Any) -> Any:
    """Return factor * exp(x - low), where `low` is at most a rounding error of x."""
    x = c.exp_lowest if x < c.exp_lowest else x
    x = c.exp_highest if x > c.exp_highest else x
    r, bits = _reduce_exponent(x)
    # LLVM removes the subtraction of a constant 0, and the products with a constant 1.
    r = r - low
    value = factor + factor * (r + r * r * exp_polynomial(r))
    # 2**k alone could overflow or be subnormal, so it is applied as two factors.
    half = integer((bits & c.exponent_bits) >> integer(1))
    first = _from_bits(half << c.mantissa)
    return value * first * _from_bits(integer(bits - half) << c.mantissa)


def exp(x: Any) -> Any:
    """Return the exponential of x."""
    return _times_exp(real(1), x, real(0))


def expm1(x: Any) -> Any:
    """Return exp(x) - 1, which is accurate near 0."""
    bounded = real(-40) if x < real(-40) else x
    bounded = c.exp_highest if bounded > c.exp_highest else bounded
    r, bits = _reduce_exponent(bounded)
    e = r + r * r * exp_polynomial(r)
    # Half of the result, because 2**k could overflow.
    scale = _from_bits(integer(bits - integer(c.bias + integer(1))) << c.mantissa)
    value = real(2) * (scale * e + (scale - real(0.5)))
    # Halves of subnormal numbers would be rounded, and the sign of zeros would be lost.
    return x if abs(x) < real(1e-30) else value


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of x, from E = exp(2 |x|) - 1.

    It is E / (E + 2), or 1 - 2 / (E + 2) where that is rounded less.
    """
    twice = real(2) * abs(x)
    twice = real(40) if twice > real(40) else twice
    r, bits = _reduce_exponent(twice)
    e = r + r * r * exp_polynomial(r)
    scale = _from_bits(integer(bits - c.bias) << c.mantissa)
    e = scale * e
    large = twice > real(1.25)
    ratio = (real(2) if large else e + (scale - real(1))) / (e + (scale + real(1)))
    return _with_sign(real(1) - ratio if large else ratio, x)


def expit(x: Any) -> Any:
    """Return the logistic sigmoid 1 / (1 + exp(-x))."""
    # The exponent is never positive, so small results are as accurate as large ones.
    small = exp(-abs(x))
    return (small if x < real(0) else real(1)) / (real(1) + small)


# -- logarithms ----------------------------------------------------------------------------------


def _split(x: Any) -> Any:
    """Return k + bias as an integer, k, and m, where x = 2**k m and sqrt(1/2) <= m < sqrt(2)."""
    bits = _bits(x)
    shifted = integer(integer(bits + c.split_offset) >> c.mantissa)
    k = _from_bits(shifted + c.integer_bits) - c.integer_offset
    return shifted, k, _from_bits(bits - integer(integer(shifted - c.bias) << c.mantissa))


def _log_of_split(k: Any, f: Any) -> Any:
    """Return k log(2) + log(1 + f).

    With s = f / (2 + f), log(1 + f) = 2 atanh(s), and 2 s = f - s f is almost exact.
    """
    s = f / (real(2) + f)
    z = s * s
    return k * c.ln2_high - ((s * (f - z * log_polynomial(z)) - k * c.ln2_low) - f)


def log(x: Any) -> Any:
    """Return the natural logarithm of x."""
    lifted = x * c.lift
    _, k, m = _split(lifted if x < c.smallest else x)
    lifted_k = k - c.lift_exponent
    value = _log_of_split(lifted_k if x < c.smallest else k, m - real(1))
    value = real(-np.inf) if x == real(0) else value
    value = real(np.nan) if x < real(0) else value
    return value if x < real(np.inf) else x


def log1p(x: Any) -> Any:
    """Return log(1 + x), which is accurate near 0."""
    total = real(1) + x
    # The rounding error of the sum, by Knuth's exact addition.
    rest = total - real(1)
    low = (real(1) - (total - rest)) + (x - rest)
    shifted, k, m = _split(total)
    # 2**-k, or 0 where the rounding error does not matter.
    inverse = integer(integer(c.bias + c.bias) - shifted)
    inverse = integer(0) if inverse < integer(0) else inverse
    value = _log_of_split(k, (m - real(1)) + low * _from_bits(inverse << c.mantissa))
    value = real(-np.inf) if x == real(-1) else value
    value = real(np.nan) if x < real(-1) else value
    # Keeps the sign of zeros.
    value = x if x == real(0) else value
    return value if x < real(np.inf) else x


def log1pexp(x: Any) -> Any:
    """Return log(1 + exp(x)), the softplus function."""
    small = exp(-abs(x))
    # The split of 1 + small, in [1, 2], without rounding the sum.
    doubled = small > real(math.sqrt(2) - 1)
    f = real(0.5) * (small - real(1)) if doubled else small
    value = _log_of_split(real(1) if doubled else real(0), f)
    return (x if x > real(0) else real(0)) + value


# -- the normal distribution ---------------------------------------------------------------------


def _upper_tail(x: Any) -> Any:
    """Return the probability that a standard normal variable exceeds x >= 0.

    It is exp(-x²/2) / (x + a) times a function that is smooth in (x - a) / (x + a) [3]_,
    with a = 4.125.
    """
    x = c.tail_end if x > c.tail_end else x
    # x²/2 as an unrounded sum, because exp multiplies the absolute error of its argument.
    high = _from_bits(_bits(x) & c.upper_half)
    square = real(0.5) * high * high
    low = real(0.5) * (x - high) * (x + high)
    total = square + low
    # This form of (x - 4.125) / (x + 4.125) has a smaller error near x = 0.
    t = real(2) * x / (x + real(4.125)) - real(1)
    factor = tail_polynomial(t) / (x + real(4.125))
    return _times_exp(factor, -total, low - (total - square))


def erf(x: Any) -> Any:
    """Return the error function of x."""
    size = abs(x)
    small = x + x * erf_polynomial(x * x)
    large = real(1) - real(2) * _upper_tail(size * real(math.sqrt(2)))
    return small if size < real(0.75) else _with_sign(large, x)


def ndtr(x: Any) -> Any:
    """Return the cumulative distribution function of the standard normal distribution."""
    tail = _upper_tail(abs(x))
    return real(1) - tail if x > real(0) else tail


# -- compilation ---------------------------------------------------------------------------------

# Every function after those that it calls.
_ORDER = (
    *(_bits, _from_bits, _with_sign, _reduce_exponent, _times_exp, exp, expm1, tanh, expit),
    *(_split, _log_of_split, log, log1p, log1pexp, _upper_tail, erf, ndtr),
)


@cache
@cache
def functions(dtype: str) -> dict[str, Any]:
    """Return the functions by name, compiled for "float32" or "float64" for use in kernels."""
    import numba

    # LLVM would otherwise not inline the larger functions, and a call prevents vectorization.
    # Python never calls them, and wrappers for it would double the time of the compilation.
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
    compiled = numba.njit(error_model="numpy", **options)
    names: dict[str, Any] = {
        "np": np,
        "math": math,
        "real": np.dtype(dtype).type,
        "integer": np.int32 if dtype == "float32" else np.int64,
        "c": _constants(dtype),
        **{f"{name}_polynomial": compiled(_polynomial(name, dtype)) for name in POLYNOMIALS},
    }
    for function in _ORDER:
        name = function.__name__
        names[name] = compiled(FunctionType(function.__code__, names, name))
    return {name: names[name] for name in NAMES}


@cache
def _digest() -> str:
    """Return a hash of the source of the functions, or of the version if only bytecode exists."""
    loaders = ((module, module["__loader__"]) for module in (globals(), vars(polynomials)))
    sources = [loader.get_source(module["__name__"]) for module, loader in loaders]
    text = "".join(source or __version__ for source in sources)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def definitions(names: Sequence[str], dtype: Any) -> str:
    """Return source text that defines functions as globals of a kernel's module.

    A function that a kernel calls, and that calls these, needs the option ``forceinline`` too.
    Numba's cache on disk does not detect changes of functions in other files. The text contains a
    hash of their source, so that a change gives the kernel another source.
    """
    if not names:
        return ""
    lines = [f"{name} = _elementary[{name!r}]\n" for name in names]
    return (
        f"# Elementary functions {_digest()}\n"
        f"from {__name__} import functions as _functions\n\n"
        f"_elementary = _functions({np.dtype(dtype).name!r})\n" + "".join(lines)
    )
