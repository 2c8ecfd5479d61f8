"""Checks of single values that come from an archive."""

from math import isclose
from numbers import Integral, Real
from typing import Any

import numpy as np

from sknn_adam.persistence.contents import Refused

__all__ = [
    "alike",
    "check_component",
    "is_array",
    "is_count",
    "is_finite",
    "is_number",
    "is_one_or_each",
    "require",
]


def require(holds: Any, what: str) -> None:
    """Raise with this reason unless it holds."""
    if not holds:
        raise Refused(f"{what}; it may have been changed after it was saved")


def is_count(value: Any, least: int = 0) -> bool:
    """Return whether a value is an integer, `least` or larger."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: Any) -> bool:
    """Return whether a value is one real number."""
    return isinstance(value, Real | np.floating) and not isinstance(value, bool)


def is_array(value: Any, shape: tuple[int, ...], dtype: Any = np.float64) -> bool:
    """Return whether a value is a plain array of this shape and dtype, stored by row."""
    fits = type(value) is np.ndarray and value.shape == shape and value.dtype == dtype
    return bool(fits and value.flags.c_contiguous)


def is_finite(array: np.ndarray) -> bool:
    """Return whether all elements are finite."""
    return bool(np.isfinite(array).all())


def is_one_or_each(value: Any, n_members: int | None, kinds: str) -> bool:
    """Return whether a value is one number, or one of every member."""
    value = np.asarray(value)
    shapes: tuple = ((),) if n_members is None else ((), (n_members,))
    return value.shape in shapes and value.dtype.kind in kinds


def alike(one: Any, other: Any) -> bool:
    """Return whether two values are the same, floats up to rounding on another machine."""
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


def check_component(value: Any, base: type, what: str) -> None:
    """Check the type and the parameters of a component that is used without a fit."""
    require(isinstance(value, base), f"{what} is of type {type(value).__name__}")
    value._validate_params()
