"""Transformers of numeric columns for networks, where scikit-learn has none."""

from math import inf
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sknn_adam._utils.sklearn_compat import check_feature_names_in
from sknn_adam._utils.validation import POSITIVE, POSITIVE_INTEGER, unique_names, validate_input

__all__ = ["PiecewiseLinear", "SmoothClip"]

FLOATS = (np.float64, np.float32)
NOISE = 10  # units in the last place by which equal numbers may differ after rounding


def _noise(values: Any, dtype: Any) -> Any:
    """Return the largest difference to be expected from rounding numbers of this size."""
    return NOISE * np.spacing(np.abs(values).astype(dtype))


def _distinct(values: np.ndarray, most: float = inf) -> np.ndarray:
    """Return in ascending order the values that differ by more than rounding.

    Stop after `most` values of them, where there are fractions.
    """
    values = np.unique(values)
    if (values == np.rint(values)).all():  # integers are not the result of rounding
        return values
    kept: list[int] = []
    i = 0
    while i < len(values) and len(kept) < most:
        kept.append(i)
        same = values[i] + _noise(values[i], values.dtype)
        i = int(np.searchsorted(values, same, side="right"))
    return values[kept]


class SmoothClip(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Scale by median and quartiles, and pull far values smoothly inside a limit.

    An outlier that is scaled by itself dominates the first layer of a network, and one that is cut
    off cannot be distinguished from others. Here values near the median are scaled as by
    scikit-learn's RobustScaler, and far ones approach the limit without ever reaching it,

    .. math:: z = \frac{x - m}{s}, \qquad f(x) = \frac{z}{\sqrt{1 + (z / c)^2}},

    with the median :math:`m`, the interquartile range :math:`s` and the limit :math:`c`.

    Parameters
    ----------
    limit : float, default=3.0
        The limit :math:`c`, positive.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        Medians.
    scale_ : ndarray of shape (n_features,)
        Interquartile ranges; where one is 0, half the range, and 1 for a constant. Differences
        that rounding explains count as 0.
    noise_ : ndarray of shape (n_features,)
        Where the interquartile range is 0, the difference from the median that rounding explains:
        up to it, a value becomes 0. Otherwise 0.
    n_features_in_ : int
        Features seen during fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X had names that are all strings.

    Notes
    -----
    Missing values (NaN) stay. Equivalent to SquashingScaler of skrub, without its dependencies.

    References
    ----------
    .. [1] Holzmüller, D., Grinsztajn, L., Steinwart, I. (2024). Better by default: strong
       pre-tuned MLPs and boosted trees on tabular data. NeurIPS. Section 3.

    Examples
    --------
    >>> from sknn_adam.preprocessing import SmoothClip
    >>> SmoothClip().fit_transform([[0.0], [1.0], [2.0], [3.0], [1e6]]).round(2).ravel().tolist()
    [-0.95, -0.49, 0.0, 0.49, 3.0]
    """

    _parameter_constraints: ClassVar = {"limit": [POSITIVE]}

    def __init__(self, limit: float = 3.0) -> None:
        self.limit = limit

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find medians and quartiles.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, or NaN.
        y : Ignored
            Not used.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        self._validate_params()
        X = validate_input(self, X, dtype=FLOATS, ensure_all_finite="allow-nan")
        known = ~np.isnan(X)
        # A column without a single value: any number does, for all will stay NaN.
        X = np.where(known.any(axis=0), X, 0)
        low, self.center_, high = np.nanpercentile(X, [25, 50, 75], axis=0)
        top, bottom = np.nanmax(X, axis=0), np.nanmin(X, axis=0)
        # Each range is compared with the rounding of its own ends: a huge outlier does not make
        # the quartiles equal.
        # Integers are exact as long as the dtype has them all.
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
            Numbers, or NaN.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
            Between -limit and limit; float32 if X is, else float64.
        """
        check_is_fitted(self)
        X = validate_input(self, X, dtype=FLOATS, ensure_all_finite="allow-nan", reset=False)
        z = X - self.center_
        noise = getattr(self, "noise_", 0)  # archives of earlier versions lack it
        if np.any(noise):
            z[np.abs(z) <= noise] = 0
        z = z / self.scale_
        return (z / np.hypot(1, z / self.limit)).astype(X.dtype, copy=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class PiecewiseLinear(TransformerMixin, BaseEstimator):
    r"""Add to every column how far it has come through each of its quantile bins.

    A network bends a column only where its units do, and a smooth start keeps it from bending
    sharply. With these columns it has a slope for each bin from the start. Between the edges
    :math:`e_0 < \dots < e_k`, quantiles of the column,

    .. math:: t_j(x) = \min\left(1, \max\left(0, \frac{x - e_{j-1}}{e_j - e_{j-1}}\right)\right).

    The column itself comes first. With few samples and many columns the network overfits, so the
    number of bins follows the number of samples, and a table with too few samples for two bins per
    column has none.

    Parameters
    ----------
    n_bins : int, default=32
        The most bins of a column.
    rows_per_bin : int, default=10
        The fewest samples of ``fit`` per bin, counting the bins of all columns: 1,000 samples and
        5 columns give 1,000 / 10 / 5 = 20 bins per column.

    Attributes
    ----------
    edges_ : list of ndarray
        Edges of each column; empty where it has no bins.
    n_features_in_ : int
        Features seen during fit.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X had names that are all strings.

    Notes
    -----
    Up to an affine map these are the columns of scikit-learn's
    ``SplineTransformer(degree=1, knots="quantile")``, but a network does not learn the same from
    both, and there the number of knots does not depend on the number of samples.

    References
    ----------
    .. [1] Gorishniy, Y., Rubachev, I., Babenko, A. (2022). On embeddings for numerical features
       in tabular deep learning. NeurIPS. Section 3.2.

    Examples
    --------
    >>> from sknn_adam.preprocessing import PiecewiseLinear
    >>> encode = PiecewiseLinear(n_bins=2, rows_per_bin=2)
    >>> encode.fit([[0.0], [1.0], [2.0], [3.0], [8.0]]).transform([[1.0], [5.0]]).tolist()
    [[1.0, 0.5, 0.0], [5.0, 1.0, 0.5]]
    """

    _parameter_constraints: ClassVar = {
        "n_bins": [POSITIVE_INTEGER],
        "rows_per_bin": [POSITIVE_INTEGER],
    }

    def __init__(self, n_bins: int = 32, rows_per_bin: int = 10) -> None:
        self.n_bins = n_bins
        self.rows_per_bin = rows_per_bin

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the edges.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers.
        y : Ignored
            Not used.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        self._validate_params()
        X = validate_input(self, X, dtype=FLOATS)
        # Two values would make one bin, which repeats the column.
        bent = [len(_distinct(column, most=3)) > 2 for column in X.T]
        n_bins = min(self.n_bins, len(X) // (self.rows_per_bin * max(1, sum(bent))))
        steps: Any = np.linspace(0, 1, n_bins + 1) if n_bins > 1 else []
        self.edges_ = [
            # Quantiles are values of the table, and one that is repeated makes one edge. Edges that
            # only rounding sets apart would make a bin of noise.
            _distinct(np.quantile(column, steps, method="inverted_cdf")) if many else column[:0]
            for column, many in zip(X.T, bent, strict=True)
        ]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the columns and their bins.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features_out)
            Each column followed by its bins, between 0 and 1; float32 if X is, else float64.
        """
        check_is_fitted(self)
        X = validate_input(self, X, dtype=FLOATS, reset=False)
        encoded = []
        for column, edges in zip(X.T, self.edges_, strict=True):
            encoded.append(column[:, None])
            if len(edges) > 1:
                encoded.append(np.clip((column[:, None] - edges[:-1]) / np.diff(edges), 0, 1))
        return np.hstack(encoded).astype(X.dtype, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns: the column's, then with ``_bin0`` and so on.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X, if ``fit`` saw none.

        Returns
        -------
        names : ndarray of str objects
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
