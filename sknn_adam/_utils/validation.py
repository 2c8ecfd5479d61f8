"""Checks of data, weights and arrays returned by components, and ranges of parameters.

NumPy converts dates, times, masked cells and records to float without a warning: a date becomes a
number of nanoseconds, a missing date -9.2e18, and a masked cell the value under the mask. These
inputs are therefore rejected, and the errors name the affected columns.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date, time, timedelta
from math import isfinite, isinf
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import column_or_1d, validate_data

from sknn_adam._utils.sklearn_compat import Interval, validated_weight

__all__ = [
    "FRACTION",
    "NON_NEGATIVE",
    "POSITIVE",
    "POSITIVE_INTEGER",
    "UNIT_INTERVAL",
    "check_labels",
    "check_numbers",
    "check_sample_weight",
    "check_shape",
    "extreme_exponent",
    "group_codes",
    "in_place",
    "is_plain",
    "unique_names",
    "validate_input",
    "validate_pair",
    "with_ordinary_size",
]

POSITIVE = Interval(Real, 0, None, closed="neither")
NON_NEGATIVE = Interval(Real, 0, None, closed="left")
FRACTION = Interval(Real, 0, 1, closed="left")
UNIT_INTERVAL = Interval(Real, 0, 1, closed="both")
POSITIVE_INTEGER = Interval(Integral, 1, None, closed="left")

DATES, RECORDS = "dates or times", "records"
MOMENTS = (np.datetime64, np.timedelta64, date, time, timedelta)
# Maximum number of columns named in a message.
MOST_NAMES = 5
TABULAR = "sknn_adam.make_tabular_pipeline(estimator) accepts missing values, strings and dates"


# -- arrays returned by components, sample weights, extreme numbers -------------------------------


def check_shape(owner: Any, what: str, value: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError if an array returned by a component does not have the required shape.

    `owner` is the component, or one of its methods.
    """
    if getattr(value, "shape", None) != shape:
        owner = getattr(owner, "__self__", owner)
        name = getattr(owner, "__qualname__", type(owner).__name__)
        got = f"shape {value.shape}" if hasattr(value, "shape") else f"a {type(value).__name__}"
        raise ValueError(f"{what} of {name} must be an array of shape {shape}. Got {got} instead.")


def in_place(method: Callable, array: np.ndarray, *arguments: Any) -> None:
    """Call a component's method, which must change `array` in place and not return a new array."""
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
    """Return whether X surely passes scikit-learn's checks, which take longer than a prediction."""
    if type(X) is not np.ndarray or X.ndim != 2 or not len(X) or X.shape[1] != n_features:
        return False
    if X.dtype not in (np.float64, np.float32):
        return False
    flat = X.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.dot(flat, flat))


def check_sample_weight(sample_weight: Any, X: Any) -> np.ndarray:
    """Return weights as float64 of shape (n_samples,), checked and scaled to ordinary size.

    The weights must be finite and nonnegative, and their sum must be positive.
    """
    weight = validated_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError(
            "The sum of sample_weight must be positive: every sample weight is zero. "
            "Give at least one sample a positive weight."
        )
    return with_ordinary_size(weight)


def with_ordinary_size(numbers: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Rescale numbers so that their sums and squares are finite, if only their ratios matter.

    If the largest absolute value is extreme, all numbers are multiplied by a power of two, which is
    exact.
    """
    return np.ldexp(numbers, -extreme_exponent(numbers, axis))


def extreme_exponent(numbers: np.ndarray, axis: int | None = None) -> Any:
    """Return the binary exponent of the largest absolute value if it is extreme, else 0."""
    exponent = np.frexp(np.abs(numbers).max(axis=axis, initial=0))[1]
    return np.where(np.abs(exponent) > 256, exponent, 0)


# -- data -----------------------------------------------------------------------------------------


def validate_input(estimator: Any, X: Any, *y: Any, **options: Any) -> Any:
    """Call scikit-learn's ``validate_data``; errors also name the affected columns of X."""
    check_numbers(X, "X")
    options = {"dtype": [np.float64, np.float32], **options}
    try:
        # scikit-learn sums X, which may overflow for huge numbers.
        with np.errstate(over="ignore", invalid="ignore"):
            return validate_data(estimator, X, *y, **options)
    except (TypeError, ValueError) as error:
        allowed = "NaN" if options.get("ensure_all_finite") == "allow-nan" else ""
        faults = _faults(X, allowed)
        if not faults:
            raise
        listed = "; ".join(f"{what} in {_listed(names)}" for what, names in faults.items())
        error_type = ValueError if isinstance(error, ValueError) else TypeError
        note = f" Note that {TABULAR}." if faults.keys() & {"NaN", "strings"} else ""
        raise error_type(f"{error}\nX has {listed}.{note}") from error


def validate_pair(
    estimator: Any, X: Any, y: Any, sample_weight: Any, numeric: bool, **options: Any
) -> tuple[Any, Any]:
    """Return X and y, checked for training; if `numeric`, the targets must be numbers."""
    check_numbers(sample_weight, "sample_weight")
    options |= {"accept_sparse": "csr", "multi_output": True, "y_numeric": numeric}
    X, checked = validate_input(estimator, X, y, **options)
    # scikit-learn does not check the values of object arrays.
    if numeric and checked is not y:
        assert_all_finite(checked, input_name="y")
    return X, checked


def group_codes(groups: Any) -> np.ndarray:
    """Return integer codes of groups, because scikit-learn's splitters do not accept every type."""
    check_labels(groups, "groups")
    return np.unique(column_or_1d(groups), return_inverse=True)[1]


def check_numbers(values: Any, name: str) -> None:
    """Raise ValueError for dates, times, records and masked cells.

    Parameters
    ----------
    values : array-like, sparse matrix, dataframe or None
        The data to be converted to float.
    name : str
        The name of the parameter, for the message.
    """
    if values is None or issparse(values):
        return
    _check_mask(values, name)
    if _is_numeric(values):
        return
    found: dict[str, list] = {}
    for label, column in _named_columns(values):
        what = DATES if _has_dates(column) else RECORDS if column.dtype.kind == "V" else None
        if what:
            found.setdefault(what, []).append(label)
    for what, labels in found.items():
        where = f" in {_listed(labels)}" if name == "X" else ""
        cure = "Split them into one column for each field."
        if what == DATES:
            cure = "Convert them first, for example to days since a reference date"
            cure += f", or note that {TABULAR}." if name == "X" else "."
        raise ValueError(f"{name} must contain only numbers, but has {what}{where}. {cure}")


def check_labels(values: Any, name: str = "y") -> None:
    """Raise ValueError for missing values, masked cells and records among labels or targets."""
    if values is None or issparse(values):
        return
    _check_mask(values, name)
    # scikit-learn detects NaN in numeric arrays.
    if _is_numeric(values):
        return
    if isinstance(values, list | tuple):
        # NumPy would convert a NaN among strings to the string 'nan'.
        cells = [c for row in values for c in (row if isinstance(row, list | tuple) else (row,))]
        missing = [_is_missing(cell) for cell in cells]
    else:
        array = np.asarray(values)
        if array.dtype.kind == "V":
            raise ValueError(f"{name} must contain labels or numbers. Got records, {array.dtype}.")
        missing = [_is_missing(c) for c in array.ravel()] if array.dtype.kind in "OmMT" else []
    if any(missing):
        raise ValueError(
            f"Input {name} contains NaN, None or another missing value: {sum(missing)} of "
            f"{len(missing)} values are missing, the first at position {missing.index(True)}. "
            "Drop these samples or fill in the values."
        )


def _check_mask(values: Any, name: str) -> None:
    arrays = values if isinstance(values, list | tuple) else (values,)
    masked = sum(int(np.ma.count_masked(a)) for a in arrays if isinstance(a, np.ma.MaskedArray))
    if masked:
        raise ValueError(
            f"{name} has {masked} masked values; the numbers under the mask would be used. Drop "
            f"these samples or fill in the values with {name}.filled(...)."
        )


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ == "NAType":
        return True
    try:
        return bool(value != value)
    # The cell is an array, or an object with an unusual comparison.
    except (TypeError, ValueError):
        return False


def _is_numeric(values: Any) -> bool:
    return getattr(getattr(values, "dtype", values), "kind", "?") in "biuf"


def _named_columns(values: Any, every: bool = False) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield the name (or position) and array of non-numeric columns, or of every column."""
    if hasattr(values, "columns") and hasattr(values, "dtypes"):
        for i, (name, dtype) in enumerate(zip(values.columns, list(values.dtypes), strict=True)):
            if every or not _is_numeric(dtype):
                # Columns are selected by position, because pandas allows repeated names.
                yield (
                    name,
                    np.asarray(values.iloc[:, i] if hasattr(values, "iloc") else values[name]),
                )
        return
    try:
        array = np.asarray(values)
    # Dates and numbers have no common dtype, and ragged rows cannot form an array.
    except (TypeError, ValueError):
        array = np.empty(0)
        with suppress(TypeError, ValueError):
            array = np.asarray(values, dtype=object)
    if every or not _is_numeric(array):
        for i in range(array.shape[1] if array.ndim == 2 else 1):
            yield i, array[:, i] if array.ndim == 2 else array


def _has_dates(column: np.ndarray) -> bool:
    if column.dtype.kind == "O":
        return any(isinstance(cell, MOMENTS) for cell in column.ravel())
    return column.dtype.kind in "mM"


def _faults(X: Any, allowed: str) -> dict[str, list]:
    """Return the faults of X, each with the names of the affected columns."""
    faults: dict[str, list] = {}
    for name, column in _sparse_columns(X) if issparse(X) else _named_columns(X, every=True):
        for what in _faults_of(column):
            if what != allowed:
                faults.setdefault(what, []).append(name)
    return faults


def _sparse_columns(X: Any) -> Iterator[tuple[Any, np.ndarray]]:
    entries = X.tocoo()
    bad = ~np.isfinite(entries.data)
    columns, data = entries.col[bad], entries.data[bad]
    for i in np.unique(columns):
        yield int(i), data[columns == i]


def _faults_of(column: np.ndarray) -> list[str]:
    if column.dtype.kind == "f":
        faults = {"NaN": np.isnan(column).any(), "infinity": np.isinf(column).any()}
        return [what for what, is_there in faults.items() if is_there]
    if column.dtype.kind not in "OUST":
        return []
    return sorted({what for cell in column.ravel().tolist() if (what := _fault_of(cell))})


def _fault_of(cell: Any) -> str | None:
    if _is_missing(cell):
        return "NaN"
    try:
        return "infinity" if isinf(float(cell)) else None
    except (TypeError, ValueError, OverflowError):
        return "strings" if isinstance(cell, str | bytes) else f"type {type(cell).__name__}"


def _listed(names: list) -> str:
    """Return a text such as ``"columns 'a', 'b'"``."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    shown = ", ".join(repr(name) for name in names[:MOST_NAMES])
    return f"column{'s' * (len(names) > 1)} {shown}{more}"


def unique_names(names: Iterable) -> np.ndarray:
    """Return the names, with numbers appended to repeated ones."""
    names = list(names)
    given = set(names)
    unique: dict[str, None] = {}
    for name in names:
        new, number = name, 1
        while new in unique or (number > 1 and new in given):
            number += 1
            new = f"{name}_{number}"
        unique[new] = None
    return np.array(list(unique), dtype=object)
