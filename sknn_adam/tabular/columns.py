"""Column types of arrays and dataframes, and encodings of categories and dates."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import inf
from numbers import Real
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import validate_data

__all__ = [
    "Holding",
    "Words",
    "as_dates",
    "as_words",
    "column_type",
    "columns_of",
    "in_utc",
    "names_of_dates",
    "values_of",
]

DAY = 86_400_000_000  # microseconds
PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}  # in days; each is a whole number of seconds
MISSING = "missing"
TRUTHS = {"False", "True"}
NUMBERS: Any = (Real, Decimal)
TYPES = dict.fromkeys("iuf", "numbers") | dict.fromkeys("bSUT", "categories") | {"M": "dates"}
ALLOWED = "strings, numbers, categories, booleans or dates"


@dataclass(frozen=True)
class Holding:
    """Placeholder for the columns of one step; see `ColumnType.step`.

    Parameters
    ----------
    step : {"numbers", "sparse", "dates", "few", "many", "text"}
        The name of the step.
    """

    step: str


def column_type(column: Any, name: Any = "") -> str:
    """Return the type of a column: ``"numbers"``, ``"sparse"``, ``"categories"`` or ``"dates"``.

    Raises
    ------
    TypeError
        If the column has none of these types. The message names the column.
    """
    if issparse(column) or hasattr(column.dtype, "fill_value"):
        return "sparse"
    dtype = column.dtype
    if f"{dtype},".startswith(("category", "Categorical", "Enum", "str,", "string", "String")):
        return "categories"
    # NumPy would unpack nested types of polars.
    nested = hasattr(dtype, "is_nested") and dtype.is_nested()
    code = "V" if nested else getattr(dtype, "kind", None) or np.asarray(column).dtype.kind
    if code == "c":
        raise ValueError(f"Complex data not supported: column {name!r} contains complex numbers.")
    if code in TYPES:
        return TYPES[code]
    types = {type(value) for value in values_of(column)} if code == "O" else {dtype}
    types.discard(type(None))
    if types and all(_is(t, NUMBERS) and t is not bool for t in types):
        return "numbers"
    if all(_is(t, (str, bytes, bool, np.bool_, Real)) for t in types):
        return "categories"
    if all(_is(t, date) for t in types):
        return "dates"
    names = ", ".join(sorted(getattr(t, "__name__", str(t)) for t in types))
    raise TypeError(
        f"The argument must be a table of {ALLOWED}. Column {name!r} contains {names}. Drop the "
        "column or convert it to one of these types."
    )


def _is(type_: Any, classes: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, classes)


def columns_of(X: Any) -> list[tuple[Any, Any]]:
    """Return pairs of name and column for a dataframe, or of position and column otherwise."""
    if hasattr(X, "iloc"):
        # pandas would interpret some names in X[name] as a mask or a level.
        return [(name, X.iloc[:, i]) for i, name in enumerate(X.columns)]
    if hasattr(X, "columns"):
        return [(name, X[name]) for name in X.columns]
    if issparse(X):
        return [(i, X) for i in range(X.shape[1])]
    X = np.asarray(X, dtype=None if hasattr(X, "dtype") else object)
    return [(i, X[:, i]) for i in range(X.shape[1])]


def values_of(column: Any) -> list:
    """Return the values of a column as Python objects, with None for missing values."""
    values = column.tolist() if hasattr(column, "tolist") else column.to_list()
    nan = (isinstance(value, float) and value != value for value in values)
    missing = column.isna() if hasattr(column, "isna") else nan
    return [None if absent else value for value, absent in zip(values, missing, strict=True)]


def as_words(X: Any, truths: Any = None) -> np.ndarray:
    """Convert all values of a table to text, with whole numbers written as integers.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, n_features)
        Categories of any type.
    truths : sequence of bool of length n_features, optional
        For each column, whether to write the numbers 0 and 1 as ``"False"`` and ``"True"`` (if
        true), or the booleans as ``"0"`` and ``"1"`` (if false). By default, numbers are written
        as numbers and booleans as booleans.

    Returns
    -------
    words : ndarray of shape (n_samples, n_features), object
        The text of each value; ``"missing"`` for missing values.
    """
    columns = columns_of(X)
    given = [None] * len(columns) if truths is None else truths
    words = [
        [_word(value, truth) for value in values_of(column)]
        for (_, column), truth in zip(columns, given, strict=True)
    ]
    out = np.empty((len(words[0]) if words else 0, len(words)), dtype=object)
    for i, column in enumerate(words):
        out[:, i] = column
    return out


def _word(value: Any, truth: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool | np.bool_):
        return str(bool(value)) if truth is None or truth else str(int(value))
    if isinstance(value, NUMBERS) and abs(value) < inf and value == int(value):
        value = int(value)
        if truth and value in (0, 1):
            value = bool(value)
    return str(value)


class Words(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Transformer that converts categories to text: `True`, `1` and `1.0` become one level.

    Attributes
    ----------
    truths_ : list of bool
        Whether each column contained booleans in ``fit``. In these columns, 0 and 1 are written as
        False and True; in all others, False and True are written as 0 and 1.
    n_features_in_ : int
        Number of features seen during ``fit``.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the columns that contain booleans or the strings "False" and "True"."""
        validate_data(self, X, skip_check_array=True)
        self.truths_ = [
            any(isinstance(v, bool | np.bool_) or v in TRUTHS for v in values_of(column))
            for _, column in columns_of(X)
        ]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Convert all columns to text."""
        return as_words(X, self.truths_)


def as_dates(X: Any) -> np.ndarray:
    """Encode dates as days since 1970, and as sines and cosines of the time of year, week and day.

    Parameters
    ----------
    X : array-like or dataframe of shape (n_samples, n_features)
        Dates, with or without a time. Dates with a time zone are converted to UTC.

    Returns
    -------
    numbers : ndarray of shape (n_samples, 7 * n_features), float64
        Encoded dates; NaN for missing dates.
    """
    encoded: list[np.ndarray] = []
    for _, column in columns_of(X):
        moments = np.array(_date_times(column), dtype="datetime64[us]")
        since = moments - np.datetime64("1970-01-01", "us")
        encoded.append(since / np.timedelta64(1, "D"))
        for period in PERIODS.values():
            # Integer remainders are exact. Rounding errors would encode the same hour differently
            # on different days.
            length = np.timedelta64(round(period * DAY), "us")
            turn = 2 * np.pi * (since % length / length)
            encoded += [np.sin(turn), np.cos(turn)]
    return np.column_stack(encoded)


def _date_times(column: Any) -> Any:
    if column.dtype != object and hasattr(column, "to_numpy"):
        zone = getattr(column.dtype, "tz", None)
        return (column.dt.tz_convert(None) if zone is not None else column).to_numpy()
    return [in_utc(value) for value in values_of(column)]


def in_utc(value: Any) -> Any:
    """Return a date and time without a time zone, in UTC; return other values unchanged."""
    if getattr(value, "tzinfo", None) is None:
        return value
    return (value - value.utcoffset()).replace(tzinfo=None)


def names_of_dates(transformer: Any, names: Any) -> np.ndarray:
    """Return the output column names of `as_dates`."""
    ends = ["days", *(f"{period}_{curve}" for period in PERIODS for curve in ("sin", "cos"))]
    return np.array([f"{name}_{end}" for name in names for end in ends], dtype=object)
