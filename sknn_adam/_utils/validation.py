"""Checks of parameters, weights and arrays that components return."""

import re
from collections.abc import Callable
from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np

from sknn_adam._utils.sklearn_compat import Interval, validated_weight

__all__ = [
    "FRACTION",
    "NON_NEGATIVE",
    "POSITIVE",
    "POSITIVE_INTEGER",
    "UNIT_INTERVAL",
    "check_sample_weight",
    "extreme_exponent",
    "parse_sizes",
    "per_layer",
    "with_ordinary_size",
]


SIZES = re.compile(r"[1-9]\d*(x[1-9]\d*)?(-[1-9]\d*(x[1-9]\d*)?)*")
POSITIVE = Interval(Real, 0, None, closed="neither")
NON_NEGATIVE = Interval(Real, 0, None, closed="left")
FRACTION = Interval(Real, 0, 1, closed="left")
UNIT_INTERVAL = Interval(Real, 0, 1, closed="both")
POSITIVE_INTEGER = Interval(Integral, 1, None, closed="left")


def check_shape(owner: Any, what: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError if an array that a component has returned has another shape than it must.

    `owner` is the component, or one of its methods.
    """
    if getattr(value, "shape", None) != shape:
        owner = getattr(owner, "__self__", owner)
        name = getattr(owner, "__qualname__", type(owner).__name__)
        got = f"shape {value.shape}" if hasattr(value, "shape") else f"a {type(value).__name__}"
        raise ValueError(f"{what} of {name} must be an array of shape {shape}. Got {got} instead.")


def in_place(method: Callable, array: np.ndarray, *arguments: Any) -> None:
    """Call a component's method, which must change `array` and not return another one."""
    result = method(array, *arguments)
    if result is None or result is array:
        return
    if not (isinstance(result, np.ndarray) and np.may_share_memory(result, array)):
        owner = getattr(method, "__self__", method)
        raise TypeError(
            f"{type(owner).__name__}.{method.__name__} must change its array in place. It returned "
            f"a new {type(result).__name__}, which would be ignored. Write the result to the "
            "array, as in 'array[...] = result', and return the array or None."
        )


def is_plain(X: Any, n_features: int) -> bool:
    """Whether X passes scikit-learn's checks beyond doubt; they cost more than a prediction."""
    if type(X) is not np.ndarray or X.ndim != 2 or not len(X) or X.shape[1] != n_features:
        return False
    if X.dtype not in (np.float64, np.float32):
        return False
    flat = X.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.dot(flat, flat))


def check_sample_weight(sample_weight: Any, X: Any) -> np.ndarray:
    """Weights as float64 of shape (n_samples,): finite, not negative, with a positive sum."""
    weight = validated_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError(
            "The sum of sample_weight must be positive: every sample weight is zero. "
            "Give at least one row a weight above zero."
        )
    return with_ordinary_size(weight)


def with_ordinary_size(numbers: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return numbers of which only the ratios matter, so that their sums and squares are finite.

    If the largest absolute value is extreme, all are multiplied by a power of two, which is exact.
    """
    return np.ldexp(numbers, -extreme_exponent(numbers, axis))


def extreme_exponent(numbers: np.ndarray, axis: int | None = None) -> Any:
    """Return the binary exponent of the largest absolute value if it is extreme, else 0."""
    exponent = np.frexp(np.abs(numbers).max(axis=axis, initial=0))[1]
    return np.where(np.abs(exponent) > 256, exponent, 0)


def parse_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the widths of the hidden layers.

    Parameters
    ----------
    sizes : int, sequence of int, or str
        ``100``, ``(128, 64)``, ``"128-64"``, or ``"256x3"`` for three layers of 256.

    Returns
    -------
    widths : tuple of int
        One positive integer per hidden layer; empty for a linear model.
    """
    if isinstance(sizes, str):
        if SIZES.fullmatch(sizes):
            pairs = (part.partition("x") for part in sizes.split("-"))
            return tuple(int(w) for w, _, times in pairs for _ in range(int(times or 1)))
    elif isinstance(sizes, Integral) and not isinstance(sizes, bool):
        if int(sizes) > 0:
            return (int(sizes),)
    elif (
        isinstance(sizes, tuple | list | np.ndarray)
        and getattr(sizes, "ndim", 1) == 1
        and all(isinstance(w, Integral) and not isinstance(w, bool) and int(w) > 0 for w in sizes)
    ):
        return tuple(int(w) for w in sizes)
    raise ValueError(
        "hidden_layer_sizes must be a positive int, a sequence of positive ints, or a string "
        f"such as '128-64' or '256x3'. Got {sizes!r} instead."
    )


def per_layer(name: str, value: Any, n_hidden: int) -> list:
    """Return one value for each hidden layer, from one for all of them or a sequence."""
    if not isinstance(value, tuple | list | np.ndarray):
        return [value] * n_hidden
    if len(value) != n_hidden:
        raise ValueError(
            f"{name}={value!r} has {len(value)} values, but there are {n_hidden} hidden layers."
        )
    return list(value)
