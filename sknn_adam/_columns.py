"""What the columns of a table hold, whatever kind of table it is, and simple forms of it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from scipy.sparse import issparse

__all__ = ["Holding", "as_dates", "as_words", "kind_of", "names_of_dates"]

PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}  # in days
MISSING = "missing"
ALLOWED = "numbers, texts, categories, booleans, or dates"


@dataclass(frozen=True)
class Holding:
    """Chooses the columns that hold one kind of values, for a ColumnTransformer.

    `kind` is ``"numbers"``, ``"sparse"``, ``"dates"``, ``"few"`` for categories of at most
    `most_levels` levels, or ``"many"``.
    """

    kind: str
    most_levels: int = 30

    def __call__(self, X: Any) -> list:
        """Return the names of the columns of a frame, the positions of those of an array."""
        return [name for name, column in _columns(X) if self._holds(name, column)]

    def _holds(self, name: Any, column: Any) -> bool:
        kind = kind_of(column, name)
        if kind != "categories":
            return kind == self.kind
        if self.kind not in ("few", "many"):
            return False
        levels = len(set(_values(column)))
        return (self.kind == "few") == (levels <= self.most_levels)


def kind_of(column: Any, name: Any = "") -> str:
    """Return what a column holds: ``"numbers"``, ``"sparse"``, ``"categories"`` or ``"dates"``.

    Raises
    ------
    TypeError
        If it holds something else. The message names the column.
    """
    if issparse(column) or hasattr(column.dtype, "fill_value"):
        return "sparse"
    dtype = column.dtype
    if f"{dtype},".startswith(("category", "Categorical", "Enum", "str,", "string", "String")):
        return "categories"
    nested = hasattr(dtype, "is_nested") and dtype.is_nested()  # of polars: NumPy would unpack it
    kind = "V" if nested else getattr(dtype, "kind", None) or np.asarray(column).dtype.kind
    if kind in "iuf":
        return "numbers"
    if kind == "M":
        return "dates"
    if kind in "bSUT":
        return "categories"
    found = {type(value) for value in _values(column)} if kind == "O" else {dtype}
    found.discard(type(None))
    if found and all(_is(t, (Real, Decimal)) and t is not bool for t in found):
        return "numbers"
    if all(_is(t, (str, bytes, bool, np.bool_, Real)) for t in found):
        return "categories"
    if all(_is(t, date) for t in found):
        return "dates"
    what = ", ".join(sorted(getattr(t, "__name__", str(t)) for t in found))
    raise TypeError(
        f"Column {name!r} holds {what}; what can be used are {ALLOWED}. "
        "Leave the column out or turn it into one of these."
    )


def _is(found: Any, kinds: Any) -> bool:
    return isinstance(found, type) and issubclass(found, kinds)


def _columns(X: Any) -> list[tuple[Any, Any]]:
    if hasattr(X, "columns"):
        return [(name, X[name]) for name in X.columns]
    if issparse(X):
        return [(i, X) for i in range(X.shape[1])]
    X = np.asarray(X, dtype=None if hasattr(X, "dtype") else object)
    return [(i, X[:, i]) for i in range(X.shape[1])]


def _values(column: Any) -> list:
    """Return the values of a column as Python objects, None where they are missing."""
    values = column.tolist() if hasattr(column, "tolist") else column.to_list()
    if hasattr(column, "isna"):  # a column of pandas knows what is missing
        missing = column.isna()
    else:
        missing = [isinstance(value, float) and value != value for value in values]
    return [None if absent else value for value, absent in zip(values, missing, strict=True)]


def as_words(X: Any) -> np.ndarray:
    """Return every value of a table as text; whole floats are written as integers.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, n_features)
        Categories of any kind.

    Returns
    -------
    words : ndarray of shape (n_samples, n_features), object
        ``"missing"`` where a value is.
    """
    words = [[_word(value) for value in _values(column)] for _, column in _columns(X)]
    out = np.empty((len(words[0]) if words else 0, len(words)), dtype=object)
    for i, column in enumerate(words):
        out[:, i] = column
    return out


def _word(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def as_dates(X: Any) -> np.ndarray:
    """Return every date as days since 1970, and as points on the circles of year, week and day.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, n_features)
        Dates, with or without a time; those with a time zone are brought to UTC.

    Returns
    -------
    numbers : ndarray of shape (n_samples, 7 * n_features), float64
        NaN where a date is missing.
    """
    parts: list[np.ndarray] = []
    for _, column in _columns(X):
        moments = np.array(_moments(column), dtype="datetime64[us]")
        days = (moments - np.datetime64("1970-01-01", "us")) / np.timedelta64(1, "D")
        parts.append(days)
        for period in PERIODS.values():
            turn = 2 * np.pi * days / period
            parts += [np.sin(turn), np.cos(turn)]
    return np.column_stack(parts)


def _moments(column: Any) -> Any:
    if column.dtype != object and hasattr(column, "to_numpy"):
        zone = getattr(column.dtype, "tz", None)
        return (column.dt.tz_convert(None) if zone is not None else column).to_numpy()
    return [v if getattr(v, "tzinfo", None) is None else _utc(v) for v in _values(column)]


def _utc(moment: Any) -> Any:
    return (moment - moment.utcoffset()).replace(tzinfo=None)


def names_of_dates(transformer: Any, names: Any) -> np.ndarray:
    """Return the names of the columns of `as_dates`."""
    ends = ["days", *(f"{period}_{part}" for period in PERIODS for part in ("sin", "cos"))]
    return np.array([f"{name}_{end}" for name in names for end in ends], dtype=object)
