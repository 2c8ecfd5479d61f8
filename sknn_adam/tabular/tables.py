"""The step that takes a table as it is and prepares each of its columns."""

import sys
from collections import Counter
from collections.abc import Collection
from math import isinf
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.compose import ColumnTransformer

from sknn_adam._utils.sklearn_compat import output_format
from sknn_adam._utils.validation import unique_names
from sknn_adam.tabular.columns import column_type, columns_of, values_of

__all__ = ["Columns", "OneTargetOnly"]


class OneTargetOnly(ValueError):
    """A step that takes one target got several."""


class Columns(ColumnTransformer):
    """A ColumnTransformer that selects the columns of a frame by name, whatever names they have.

    It also refuses infinite numbers by the name of their column. Its steps work on arrays, so the
    names that they make up may collide: in the names of the output, repeated ones get a number.
    """

    def set_output(self, *, transform: Any = None) -> Self:
        """Set the format of the output, not that of the steps."""
        return super(ColumnTransformer, self).set_output(transform=transform)

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit the steps, and return the prepared columns."""
        check_names(X)
        names = list(getattr(X, "columns", ()))
        self._names = names if names and not any(isinstance(n, str) for n in names) else None
        return self._prepared("fit_transform", convertible_table(X), y, **params)

    def transform(self, X: Any, **params: Any) -> Any:
        """Return the prepared columns."""
        check_names(X)
        return self._prepared("transform", convertible_table(self._selected(X)), **params)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the prepared columns, each of which occurs once."""
        return unique_names(super().get_feature_names_out(input_features))

    def _selected(self, X: Any) -> Any:
        """Return the columns that ``fit`` saw, where scikit-learn would go by position or fail."""
        given = getattr(X, "columns", None)
        if given is None:
            return X
        names = getattr(self, "_names", None)
        if hasattr(self, "feature_names_in_"):  # scikit-learn selects by strings itself
            by_string = all(isinstance(name, str) for name in given)
            names = None if by_string else self.feature_names_in_
        elif names is None:
            # The columns of an array have the names that a frame made of it has.
            numbers = range(getattr(self, "n_features_in_", 0))
            names = numbers if set(numbers) <= set(given) else None
        return X if names is None else select(X, names)

    def _prepared(self, method: str, X: Any, *args: Any, **params: Any) -> Any:
        # Without the frame that scikit-learn makes of the output: it refuses sparse matrices.
        function = getattr(ColumnTransformer, method)
        function = getattr(function, "__wrapped__", function)
        try:
            with config_context(transform_output="default"):
                out = function(self, X, *args, **params)
        except OneTargetOnly as error:
            chosen = {name: columns for name, _, columns in self.transformers}.get("many", [])
            many = chosen(X) if callable(chosen) else chosen
            raise ValueError(_ONE_TARGET.format(error, many)) from error
        except (OverflowError, ValueError) as error:
            found = columns_with_infinity(X)
            if not found:
                raise
            which = f"Column {found[0]!r} holds" if len(found) == 1 else f"Columns {found!r} hold"
            raise ValueError(_INFINITE.format(which)) from error
        if issparse(out) and output_format(self) == "pandas":
            import pandas as pd

            return pd.DataFrame.sparse.from_spmatrix(out)
        return out.toarray() if issparse(out) and output_format(self) != "default" else out


_ONE_TARGET = (
    "{} The columns {} have too many levels for one column each. Encode them without the target, "
    "for instance by set_params(columns__many__encode=OneHotEncoder(max_categories=20, "
    "handle_unknown='infrequent_if_exist', sparse_output=False)), or leave them out."
)
_INFINITE = (
    "{} infinity or a number too large for float64; numbers must be finite or missing. Replace "
    "such values, for instance by NaN."
)


def convertible_table(X: Any) -> Any:
    """Return a table without columns that scikit-learn does not convert to numbers.

    In object columns every missing value becomes NaN: ``float(pandas.NA)`` is an error. Sparse
    booleans of pandas become sparse numbers, and a sparse column that is not filled with zeros
    becomes dense. Other columns are not copied.
    """
    if isinstance(X, list | tuple):
        X = np.array(X, dtype=object)
    if isinstance(X, np.ndarray) and X.dtype == object:
        missing = _where_missing(X)
        return np.where(missing, np.nan, X) if missing.any() else X
    if not hasattr(X, "iloc"):
        return X
    changed = {}
    for i, (_, column) in enumerate(columns_of(X)):
        if hasattr(column.dtype, "fill_value"):
            if column.dtype.fill_value != 0:
                changed[i] = column.sparse.to_dense()
            elif column.dtype.kind == "b":
                changed[i] = column.astype(type(column.dtype)(np.float64, 0.0))
        elif column.dtype == object and column.isna().any():
            changed[i] = column.where(column.notna(), np.nan)
    if not changed:
        return X
    columns = [changed.get(i, column) for i, (_, column) in enumerate(columns_of(X))]
    table = sys.modules["pandas"].concat(columns, axis=1)
    table.columns = X.columns
    return table


def _where_missing(values: np.ndarray) -> np.ndarray:
    """Return where an array of objects has no value."""
    if "pandas" in sys.modules:  # without pandas there is no pandas.NA
        return sys.modules["pandas"].isna(values)
    return np.frompyfunc(lambda value: value is None or value != value, 1, 1)(values).astype(bool)


def check_names(X: Any) -> None:
    """Raise if two columns of a table have the same name."""
    repeated = [name for name, n in Counter(getattr(X, "columns", ())).items() if n > 1]
    if repeated:
        raise ValueError(
            "The names of columns must be unique, because columns are selected by name. Got "
            f"{', '.join(map(repr, repeated))} more than once. Rename or drop these columns."
        )


def select(X: Any, names: Collection) -> Any:
    """Return the columns of a frame with these names, in their order."""
    positions = {name: i for i, name in enumerate(X.columns)}
    missing = [name for name in names if name not in positions]
    if missing:
        raise ValueError(
            f"columns are missing: {missing}. They were there in fit. The columns of X are "
            f"{list(X.columns)}."
        )
    return X.iloc[:, [positions[name] for name in names]]


def columns_with_infinity(X: Any) -> list:
    """Return the names of the columns that hold infinite numbers."""
    if issparse(X):
        X = X.tocoo()
        return np.unique(X.col[np.isinf(X.data.astype(np.float64))]).tolist()
    return [
        name
        for name, column in columns_of(X)
        if column_type(column, name) in ("numbers", "sparse")
        and any(_is_infinite(value) for value in values_of(column))
    ]


def _is_infinite(value: Any) -> bool:
    try:
        return value is not None and isinf(value)
    except OverflowError:  # an integer beyond float64
        return True
