"""Comparison of values in an archive with examples of valid values."""

from collections.abc import Callable
from functools import partial
from math import isclose
from numbers import Integral, Real
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Each",
    "Optional",
    "alike",
    "blank",
    "floats",
    "is_finite",
    "is_positive",
    "matches",
    "one_or_each",
    "rises",
]

Predicate = Callable[[Any], bool]


class Optional(NamedTuple):
    """An example of a value that may be None."""

    example: Any


class Each(NamedTuple):
    """An example of a list, a tuple or a dict with string keys: its type and one item."""

    cls: Any
    item: Any


def matches(value: Any, example: Any) -> bool:
    """Return whether a value has the structure of an example.

    A float in an example matches any real number, and an integer any number that is not negative.
    An array matches C-contiguous arrays of its shape and dtype. A tuple, a slice, a string or None
    matches equal values. A class matches its instances, a frozenset its elements, and a function
    the values for which it returns True.
    """
    if isinstance(example, type):
        return type(value) is example
    if isinstance(example, FunctionType | partial):
        return bool(example(value))
    if isinstance(example, Optional):
        return value is None or matches(value, example.example)
    if isinstance(example, Each):
        if type(value) is not example.cls:
            return False
        if isinstance(value, dict):
            return all(type(k) is str and matches(v, example.item) for k, v in value.items())
        return all(matches(item, example.item) for item in value)
    if isinstance(example, frozenset):
        return isinstance(value, str | None) and value in example
    if isinstance(example, float):
        return isinstance(value, Real | np.floating) and not isinstance(value, bool)
    if isinstance(example, int) and not isinstance(example, bool):
        return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0
    if type(value) is not type(example):
        return False
    if isinstance(example, np.ndarray):
        # Compiled loops rely on C order.
        same = value.shape == example.shape and value.dtype == example.dtype
        return bool(same and value.flags.c_contiguous)
    if isinstance(example, SimpleNamespace):
        return matches(vars(value), vars(example))
    if isinstance(example, dict):
        return value.keys() == example.keys() and all(
            matches(value[key], item) for key, item in example.items()
        )
    if isinstance(example, list):
        return len(value) == len(example) and all(map(matches, value, example))
    return isinstance(example, bool) or bool(value == example)


def blank(size: int, dtype: Any) -> np.ndarray:
    """Return a vector of this size, to be used as an example, that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), (size,))


def floats(*shape: int | None) -> Predicate:
    """Return a predicate for float arrays of this shape, where None matches any length."""

    def fits(value: Any) -> bool:
        plain = type(value) is np.ndarray and value.dtype.kind == "f" and value.ndim == len(shape)
        return plain and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))

    return fits


def one_or_each(n_members: int | None, dtype_kinds: str) -> Predicate:
    """Return a predicate for a scalar or one entry per member."""
    shapes = ((),) if n_members is None else ((), (n_members,))

    def fits(value: Any) -> bool:
        value = np.asarray(value)
        return value.shape in shapes and value.dtype.kind in dtype_kinds

    return fits


def is_positive(value: Any) -> bool:
    """Return whether a value is a positive integer."""
    return matches(value, 0) and value > 0


def rises(values: np.ndarray) -> bool:
    """Return whether the elements are strictly increasing."""
    return bool((values[:-1] < values[1:]).all())


def is_finite(array: np.ndarray) -> bool:
    """Return whether all elements are finite."""
    return bool(np.isfinite(array).all())


def alike(one: Any, other: Any) -> bool:
    """Return whether two values are equal, except for small differences between floats.

    Another machine may round differently.
    """
    if type(one) is float and type(other) is float:
        return isclose(one, other, rel_tol=1e-9)
    return type(one) is type(other) and bool(one == other)
