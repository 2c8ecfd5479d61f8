"""The step of make_tabular_pipeline that finds column types and prepares the columns."""

import sys
from collections import Counter
from collections.abc import Collection
from math import isinf
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.utils.validation import check_is_fitted

from sknn_adam._utils.sklearn_compat import VisualBlock, num_samples, output_format
from sknn_adam._utils.validation import unique_names
from sknn_adam.preprocessing import dtype_of_columns
from sknn_adam.tabular.columns import Holding, column_type, columns_of, values_of
from sknn_adam.tabular.types import ColumnType, converted, learn_types, with_columns

__all__ = ["Columns"]


class Columns(ColumnTransformer):
    """A ColumnTransformer that finds the type of each column and converts its values.

    The columns of a step are given by a `Holding`. Names of columns can have any type.

    Parameters
    ----------
    transformers : list of tuple
        The steps.
    column_types : dict of str or int to str, optional
        Types of columns, by name or, for an array, by position. The other types are found in
        ``fit``.
    most_levels : int, default=30
        The largest number of levels for one-hot encoding.
    dtype : {"auto", "float32", "float64"}, optional
        Dtype of the output if it is an array. By default, it is that of the parts. ``"auto"`` is
        float32 for at least 8,192 training samples.
    remainder, sparse_threshold, n_jobs, transformer_weights, verbose, verbose_feature_names_out
        Parameters of ColumnTransformer.

    Attributes
    ----------
    column_types_ : dict of ColumnType
        The type of each column, with the reason.
    dtype_ : str or None
        Name of the dtype of the output; None for that of the parts.

    Notes
    -----
    The error message for infinite numbers names the columns that contain them. The steps work on
    arrays, so the output names that they generate can collide. A number is therefore appended to
    repeated names.
    """

    def __init__(
        self,
        transformers: Any,
        *,
        column_types: Any = None,
        most_levels: int = 30,
        dtype: str | None = None,
        remainder: Any = "drop",
        sparse_threshold: float = 0.3,
        n_jobs: Any = None,
        transformer_weights: Any = None,
        verbose: bool = False,
        verbose_feature_names_out: Any = True,
    ) -> None:
        super().__init__(
            transformers,
            remainder=remainder,
            sparse_threshold=sparse_threshold,
            n_jobs=n_jobs,
            transformer_weights=transformer_weights,
            verbose=verbose,
            verbose_feature_names_out=verbose_feature_names_out,
        )
        self.column_types = column_types
        self.most_levels = most_levels
        self.dtype = dtype

    @property
    def column_types_(self) -> dict[Any, ColumnType]:
        """The type of each column, with the reason."""
        return dict(zip(self._names_in_fit(), self._types, strict=True))

    def _names_in_fit(self) -> list:
        """Return the names of the columns in ``fit``, or their positions."""
        return self._names or list(range(len(self._types)))

    def set_output(self, *, transform: Any = None) -> Self:
        """Set the output format without changing that of the steps."""
        return super(ColumnTransformer, self).set_output(transform=transform)

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit the steps and return the prepared columns."""
        check_table(X)
        self._names = list(getattr(X, "columns", ()))
        X = convertible_table(X)
        self.dtype_ = dtype_of_columns(self.dtype, num_samples(X))
        self._types = learn_types(X, self.column_types, self.most_levels)
        chosen: Any = self.transformers
        self.transformers: Any = [
            (name, step, self._held(columns)) for name, step, columns in chosen
        ]
        # The parameter keeps the placeholders, so that another fit can find other columns.
        try:
            return self._prepared("fit_transform", self._converted(X), y, **params)
        finally:
            self.transformers = chosen

    def _held(self, columns: Any) -> Any:
        """Return the columns of a placeholder: names if all names are strings, else positions."""
        if not isinstance(columns, Holding):
            return columns
        # A ColumnTransformer interprets integers as positions, even if they are names.
        names = self._names_in_fit()
        by_name = all(isinstance(name, str) for name in names)
        return [
            name if by_name else position
            for position, (name, found) in enumerate(zip(names, self._types, strict=True))
            if found.step == columns.step
        ]

    def _converted(self, X: Any) -> Any:
        """Return a table with the values that the column types require."""
        names = self._names if hasattr(X, "columns") else None
        return converted(X, names or range(len(self._types)), self._types)

    def transform(self, X: Any, **params: Any) -> Any:
        """Return the prepared columns."""
        check_is_fitted(self, "_types")
        check_table(X)
        X = self._converted(convertible_table(self._selected(X)))
        return self._prepared("transform", X, **params)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        return tags

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the prepared columns, which are unique."""
        return unique_names(super().get_feature_names_out(input_features))

    def _sk_visual_block_(self) -> Any:
        block = super()._sk_visual_block_()
        if not hasattr(self, "_types"):
            return block
        shown = {step: "" for step in block.names}
        for name, found in self.column_types_.items():
            step = found.step or "left out"
            shown[step] = shown.get(step, "") + f"{name}: {found}\n"
        left_out = ["drop"] * ("left out" in shown)
        return VisualBlock(
            block.kind,
            [*block.estimators, *left_out],
            names=list(shown),
            name_details=list(shown.values()),
            dash_wrapped=block.dash_wrapped,
        )

    def _selected(self, X: Any) -> Any:
        """Select the columns seen in ``fit`` if scikit-learn would use positions or fail."""
        given = getattr(X, "columns", None)
        if given is None:
            return X
        names: Any = self._names
        if not names:
            # The columns of an array have the names of a dataframe made from it: 0, 1, ...
            numbers = range(len(self._types))
            names = numbers if set(numbers) <= set(given) else None
        # scikit-learn itself selects by strings.
        elif all(isinstance(name, str) for name in (*given, *names)):
            names = None
        return X if names is None else select(X, names)

    def _hstack(self, Xs: list, *, n_samples: int) -> Any:
        """Join the parts. scikit-learn provides this method for subclasses."""
        # Archives of earlier versions have no `dtype_`.
        dtype = getattr(self, "dtype_", None)
        if dtype is None or self.sparse_output_:
            return super()._hstack(Xs, n_samples=n_samples)
        parts = [part.toarray() if issparse(part) else part for part in Xs]
        # A single part is not copied: it can take most of the memory.
        whole = parts[0] if len(parts) == 1 else np.hstack(parts, dtype=dtype)
        return whole.astype(dtype, copy=False)

    def _prepared(self, method: str, X: Any, *args: Any, **params: Any) -> Any:
        # scikit-learn must not convert the output to a dataframe, as it fails for sparse matrices.
        function = getattr(ColumnTransformer, method)
        function = getattr(function, "__wrapped__", function)
        try:
            with config_context(transform_output="default"):
                out = function(self, X, *args, **params)
        except (OverflowError, ValueError) as error:
            names = columns_with_infinity(X)
            if not names:
                raise
            subject = (
                f"Column {names[0]!r} contains" if len(names) == 1 else f"Columns {names!r} contain"
            )
            raise ValueError(_INFINITE.format(subject)) from error
        if issparse(out) and output_format(self) == "pandas":
            import pandas as pd

            return pd.DataFrame.sparse.from_spmatrix(out)
        return out.toarray() if issparse(out) and output_format(self) != "default" else out


_INFINITE = (
    "{} infinity or a number too large for float64. Numbers must be finite or missing. Replace "
    "these values, for example with NaN."
)


# Types of pandas that NumPy converts to objects, with decimals and dates of Arrow.
OF_OBJECTS = ("object", "decimal", "date")


def convertible_table(X: Any) -> Any:
    """Return the table with columns that scikit-learn can convert.

    Missing values of object columns become NaN, because ``float(pandas.NA)`` raises an error.
    Sparse pandas booleans become sparse numbers, and sparse columns with a nonzero fill value
    become dense. Other columns are not copied.
    """
    if issparse(X):
        # The columns of some sparse formats cannot be selected.
        return X.tocsr()
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
        elif str(column.dtype).startswith(OF_OBJECTS) and column.isna().any():
            changed[i] = column.astype(object).where(column.notna(), np.nan)
    return with_columns(X, changed)


def _where_missing(values: np.ndarray) -> np.ndarray:
    """Return a mask of the missing values of an object array."""
    if "pandas" in sys.modules:  # without pandas there is no pandas.NA
        return sys.modules["pandas"].isna(values)
    return np.frompyfunc(lambda value: value is None or value != value, 1, 1)(values).astype(bool)


def check_table(X: Any) -> None:
    """Raise if a table does not have two dimensions, or if two columns have the same name."""
    n_dimensions = len(X.shape if hasattr(X, "shape") else np.asarray(X, object).shape)
    if n_dimensions != 2:
        raise ValueError(
            f"Expected a table with two dimensions, got {n_dimensions} instead. Reshape your data: "
            "X.reshape(-1, 1) is a table with one column, X.reshape(1, -1) one with one row."
        )
    repeated = [name for name, n in Counter(getattr(X, "columns", ())).items() if n > 1]
    if repeated:
        raise ValueError(
            "Column names must be unique, because columns are selected by name. Got "
            f"{', '.join(map(repr, repeated))} more than once. Rename or drop these columns."
        )


def select(X: Any, names: Collection) -> Any:
    """Return the columns of a dataframe with these names, in this order."""
    positions = {name: i for i, name in enumerate(X.columns)}
    missing = [name for name in names if name not in positions]
    if missing:
        raise ValueError(
            f"columns are missing: {missing}. They were present in fit. The columns of X are "
            f"{list(X.columns)}."
        )
    return X.iloc[:, [positions[name] for name in names]]


def columns_with_infinity(X: Any) -> list:
    """Return the names of the columns that contain infinite numbers."""
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
    except OverflowError:  # an integer out of range for float64
        return True
