"""Transformers that prepare numeric columns for a network."""

from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sknn_adam._estimator.parameters import SMALL_TABLE
from sknn_adam._utils.sklearn_compat import StrOptions, check_feature_names_in
from sknn_adam._utils.validation import POSITIVE, POSITIVE_INTEGER, unique_names, validate_input

__all__ = ["PiecewiseLinearEncoder", "SmoothClipScaler"]

RENAMED = {"PiecewiseLinear": "PiecewiseLinearEncoder", "SmoothClip": "SmoothClipScaler"}

FLOATS = (np.float64, np.float32)
# Units in the last place by which equal numbers may differ after rounding.
NOISE = 10


def dtype_of_columns(dtype: str | None, n_rows: int) -> str | None:
    """Return the output dtype of a transformer fitted to `n_rows` rows; None for that of X."""
    if dtype == "auto":
        return "float32" if n_rows >= SMALL_TABLE else None
    return dtype


def _noise(values: Any, dtype: Any) -> Any:
    """Return the largest difference that is attributed to rounding errors, for each value."""
    return NOISE * np.spacing(np.abs(values).astype(dtype))


def _distinct(values: np.ndarray, most: float = inf) -> np.ndarray:
    """Return the sorted values that differ by more than rounding errors.

    At most `most` values are returned, unless all values are integers.
    """
    values = np.unique(values)
    # Differences between integers are not rounding errors.
    if (values == np.rint(values)).all():
        return values
    kept: list[int] = []
    i = 0
    while i < len(values) and len(kept) < most:
        kept.append(i)
        same = values[i] + _noise(values[i], values.dtype)
        i = int(np.searchsorted(values, same, side="right"))
    return values[kept]


def _quantiles(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Return the quantiles that divide values into bins of equal frequency."""
    # "inverted_cdf" returns values of the column.
    return np.quantile(values, np.linspace(0, 1, n_bins + 1), method="inverted_cdf")


class SmoothClipScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Scale by median and interquartile range, and clip smoothly to a limit.

    With scaling alone, outliers dominate the first layer of a network. Hard clipping makes them
    indistinguishable from each other. Here, values near the median are scaled as in scikit-learn's
    RobustScaler, and values far from it approach the limit asymptotically:

    .. math:: z = \frac{x - m}{s}, \qquad f(x) = \frac{z}{\sqrt{1 + (z / c)^2}},

    where :math:`x` is a value of a column, :math:`m` the median of the column, :math:`s` its
    interquartile range and :math:`c` the limit.

    Parameters
    ----------
    limit : float, default=3.0
        The limit :math:`c`, greater than 0.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        Medians.
    scale_ : ndarray of shape (n_features,)
        Interquartile ranges. The scale is half the range of a column if its interquartile range is
        0, and 1 if the column is constant. Differences within rounding error count as 0.
    noise_ : ndarray of shape (n_features,)
        Largest difference from the median that is attributed to rounding errors. Smaller or equal
        differences are set to 0. It is 0 for columns with a positive interquartile range.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of features seen during fit. Defined only if X has feature names that are all strings.

    Notes
    -----
    Missing values (NaN) are preserved. The results equal those of skrub's SquashingScaler, except
    that SmoothClipScaler ignores differences within rounding errors and rejects infinite values.

    References
    ----------
    .. [1] Holzmüller, D., Grinsztajn, L., Steinwart, I. (2024). Better by default: strong
       pre-tuned MLPs and boosted trees on tabular data. NeurIPS. Section 3.

    Examples
    --------
    >>> from sknn_adam.preprocessing import SmoothClipScaler
    >>> X = [[0.0], [1.0], [2.0], [3.0], [1e6]]
    >>> SmoothClipScaler().fit_transform(X).round(2).ravel().tolist()
    [-0.95, -0.49, 0.0, 0.49, 3.0]
    """

    _parameter_constraints: ClassVar = {"limit": [POSITIVE]}

    def __init__(self, limit: float = 3.0) -> None:
        self.limit = limit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute medians and quartiles.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, which may contain NaN.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        self._validate_params()
        X = validate_input(self, X, dtype=FLOATS, ensure_all_finite="allow-nan")
        known = ~np.isnan(X)
        # NumPy would warn about a column that is all NaN. Its values remain NaN in any case.
        X = np.where(known.any(axis=0), X, 0)
        low, self.center_, high = np.nanpercentile(X, [25, 50, 75], axis=0)
        top, bottom = np.nanmax(X, axis=0), np.nanmin(X, axis=0)
        # Each range is compared with the rounding error of its end points. With the rounding error
        # of the largest value, a huge outlier would make the quartiles count as equal. The dtype
        # represents all integers exactly up to 2 / eps.
        exact = (X == np.rint(X)) & (np.abs(X) <= 2 / np.finfo(X.dtype).eps)
        rounded = (~exact & known).any(axis=0)
        inner = rounded * _noise(np.maximum(np.abs(low), np.abs(high)), X.dtype)
        outer = rounded * _noise(np.maximum(np.abs(bottom), np.abs(top)), X.dtype)
        flat, constant = high - low <= inner, top - bottom <= outer
        self.scale_ = np.where(constant, 1, np.where(flat, (top - bottom) / 2, high - low))
        self.noise_ = np.where(constant, outer, np.where(flat, inner, 0))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Scale and clip.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, which may contain NaN.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
            Values between -limit and limit; float32 if X is float32, else float64.
        """
        check_is_fitted(self)
        X = validate_input(self, X, dtype=FLOATS, ensure_all_finite="allow-nan", reset=False)
        z = X - self.center_
        # Archives of earlier versions have no `noise_`.
        noise = getattr(self, "noise_", 0)
        if np.any(noise):
            z[np.abs(z) <= noise] = 0
        z = z / self.scale_
        return (z / np.hypot(1, z / self.limit)).astype(X.dtype, copy=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class PiecewiseLinearEncoder(TransformerMixin, BaseEstimator):
    r"""Add a piecewise linear encoding of every column, based on quantile bins.

    Starting from its initial weights, a network hardly learns sharp changes along a column. The
    encoding lets it learn a separate slope for every bin from the start. The encoded feature for
    bin :math:`j`, the fraction of the bin that lies below :math:`x`, is

    .. math:: t_j(x) = \min\left(1, \max\left(0, \frac{x - e_{j-1}}{e_j - e_{j-1}}\right)\right),

    where :math:`x` is the value of the column and the edges :math:`e_0 < \dots < e_k` are quantiles
    of the column. A value that equals several quantiles, such as 0 in a column of counts, is one
    edge, and the remaining edges are quantiles of the other values. The encoded features follow the
    original column. With few samples and many features a network overfits, so the number of bins
    depends on the number of samples. If it is less than two per column, no bins are added. Columns
    with at most two distinct values are not encoded.

    Parameters
    ----------
    n_bins : int, default=32
        Maximum number of bins per column.
    rows_per_bin : int, default=10
        Minimum number of training samples per bin, where the bins of all encoded columns are
        counted together: 1,000 samples and 5 columns give 1,000 / 10 / 5 = 20 bins per column.
    max_total_bins : int, default=256
        Maximum number of bins of all columns together: 20 columns have at most 256 / 20 = 12 bins
        each, rounded down.
    dtype : {"auto", "float32", "float64"}, optional
        Dtype of the output, which is computed in the dtype of X. By default, it is that of X.
        ``"auto"`` is float32 for at least 8,192 training samples, because networks of this size
        compute in float32, and the output needs half the memory.

    Attributes
    ----------
    edges_ : list of ndarray
        Bin edges of each column; empty for a column without bins.
    dtype_ : str or None
        Name of the dtype of the output; None for that of X.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of features seen during fit. Defined only if X has feature names that are all strings.

    Notes
    -----
    The encoding is equivalent to scikit-learn's ``SplineTransformer(degree=1, knots="quantile")``
    up to an affine map. However, a network learns differently from the two encodings, and
    SplineTransformer does not adapt the number of knots to the number of samples.

    References
    ----------
    .. [1] Gorishniy, Y., Rubachev, I., Babenko, A. (2022). On embeddings for numerical features
       in tabular deep learning. NeurIPS. Section 3.2.

    Examples
    --------
    >>> from sknn_adam.preprocessing import PiecewiseLinearEncoder
    >>> encode = PiecewiseLinearEncoder(n_bins=2, rows_per_bin=2)
    >>> encode.fit([[0.0], [1.0], [2.0], [3.0], [8.0]]).transform([[1.0], [5.0]]).tolist()
    [[1.0, 0.5, 0.0], [5.0, 1.0, 0.5]]
    """

    _parameter_constraints: ClassVar = {
        "n_bins": [POSITIVE_INTEGER],
        "rows_per_bin": [POSITIVE_INTEGER],
        "max_total_bins": [POSITIVE_INTEGER],
        "dtype": [StrOptions({"auto", "float32", "float64"}), None],
    }

    def __init__(
        self,
        n_bins: int = 32,
        rows_per_bin: int = 10,
        max_total_bins: int = 256,
        dtype: str | None = None,
    ) -> None:
        self.n_bins = n_bins
        self.rows_per_bin = rows_per_bin
        self.max_total_bins = max_total_bins
        self.dtype = dtype

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute the bin edges.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        self._validate_params()
        X = validate_input(self, X, dtype=FLOATS)
        self.dtype_ = dtype_of_columns(self.dtype, len(X))
        # A column with two distinct values would have a single bin, which duplicates the column.
        bent = [len(_distinct(column, most=3)) > 2 for column in X.T]
        n_total = min(self.max_total_bins, len(X) // self.rows_per_bin)
        n_bins = min(self.n_bins, n_total // max(1, sum(bent)))
        self.edges_ = [
            self._column_edges(column, n_bins) if many and n_bins > 1 else column[:0]
            for column, many in zip(X.T, bent, strict=True)
        ]
        return self

    def _column_edges(self, column: np.ndarray, n_bins: int) -> np.ndarray:
        """Return at most `n_bins` + 1 edges, which are values of the column."""
        edges, counts = np.unique(_quantiles(column, n_bins), return_counts=True)
        frequent = edges[counts > 1]
        others = column[~np.isin(column, frequent)]
        n_left = min(n_bins - len(frequent), len(others) // self.rows_per_bin)
        if len(frequent) and n_left > 0:
            edges = np.append(_quantiles(others, n_left), frequent)
        # A bin between edges that differ only by rounding errors would encode noise.
        return _distinct(edges)

    def transform(self, X: Any) -> np.ndarray:
        """Encode the columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features_out)
            Each column followed by its bins, with values between 0 and 1. If `dtype_` is None, it
            is float32 if X is float32, else float64.
        """
        check_is_fitted(self)
        X = validate_input(self, X, dtype=FLOATS, reset=False)
        n_bins = [max(0, len(edges) - 1) for edges in self.edges_]
        # Archives of earlier versions have no `dtype_`.
        dtype = getattr(self, "dtype_", None)
        out = np.empty((len(X), X.shape[1] + sum(n_bins)), X.dtype if dtype is None else dtype)
        first = 0
        for column, edges, n in zip(X.T, self.edges_, n_bins, strict=True):
            out[:, first] = column
            if n:
                bins = (column[:, None] - edges[:-1]) / np.diff(edges)
                np.clip(bins, 0, 1, out=out[:, first + 1 : first + 1 + n], casting="same_kind")
            first += 1 + n
        return out

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the output names: each column name, then the name with ``_bin0``, ``_bin1``, ...

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X, if X had no names in ``fit``.

        Returns
        -------
        names : ndarray of str objects
            The output names.
        """
        check_is_fitted(self)
        names = check_feature_names_in(self, input_features)
        out = []
        for name, edges in zip(names, self.edges_, strict=True):
            out += [name, *(f"{name}_bin{j}" for j in range(len(edges) - 1))]
        return unique_names(out)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


if not TYPE_CHECKING:

    def __getattr__(name):
        if name in RENAMED:
            # "from ... import ..." would replace the message of an AttributeError.
            raise ImportError(f"{name} is called {RENAMED[name]!r}.")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
