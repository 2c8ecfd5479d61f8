"""Distances between floating-point numbers, and the references for elementary functions."""

import numpy as np
import scipy.special

# References for float32, to be called with float64 arrays.
REFERENCES = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "expit": scipy.special.expit,
    "log1pexp": lambda x: np.logaddexp(0, x),
    "erf": scipy.special.erf,
    "ndtr": scipy.special.ndtr,
}
# The largest allowed distances.
LIMITS = dict.fromkeys(REFERENCES, 2) | {"exp": 1, "log": 1, "ndtr": 5}


def compiled_map(function):
    """Return a compiled loop that applies a function to an array and writes to another."""
    import numba

    @numba.njit(error_model="numpy", nogil=True)
    def apply(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return apply


def ulps(actual, expected):
    """Return the distances between elements, in numbers of the dtype.

    An infinite value counts as the successor of the largest number. The distance is -1 where only
    one of the two is NaN, or where the signs differ; zeros have signs.
    """
    # With the same sign, the bits are in the order of the sizes.
    kind = f"int{8 * actual.itemsize}"
    distance = np.abs(actual.view(kind) - expected.view(kind))
    nan, other_nan = np.isnan(actual), np.isnan(expected)
    different = (nan != other_nan) | (np.signbit(actual) != np.signbit(expected))
    return np.where(nan & other_nan, 0, np.where(different, -1, distance))
