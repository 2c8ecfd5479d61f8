"""Encoding of free text."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from sknn_adam.tabular.columns import as_words

__all__ = ["TextEncoder"]


class TextEncoder(TransformerMixin, BaseEstimator):
    """Encode each column of text by the frequencies of character n-grams, with fewer dimensions.

    The frequencies (TF-IDF) of sequences of three and four characters within words are reduced by a
    truncated singular value decomposition, also known as latent semantic analysis [1]_.

    Parameters
    ----------
    n_components : int, default=60
        The largest number of output features per column.
    random_state : int, RandomState instance or None, default=None
        Random state of the decomposition.

    Attributes
    ----------
    encoders_ : list of Pipeline or None
        For each column, a fitted TfidfVectorizer and a fitted TruncatedSVD; None for a column of
        blanks, which has no components.
    scales_ : list of float
        For each column, the factor that gives the first components a standard deviation of 1.

    References
    ----------
    .. [1] Deerwester, S. et al. (1990). Indexing by latent semantic analysis. Journal of the
       American Society for Information Science 41(6).

    Examples
    --------
    >>> from sknn_adam.tabular.text import TextEncoder
    >>> texts = [["a quiet room near the sea"], ["a loud room in town"], ["sea view, quiet"]]
    >>> TextEncoder(n_components=2, random_state=0).fit_transform(texts).shape
    (3, 2)
    """

    def __init__(self, n_components: int = 60, random_state: Any = None) -> None:
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the encoders to a table of text."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit the encoders and return the encoded table."""
        validate_data(self, X, skip_check_array=True)
        words = as_words(X)
        self.encoders_ = [self._encoder(column) for column in words.T]
        # TruncatedSVD divides by the variance, which is zero if all texts are the same.
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = self._encoded(words, "fit_transform")
        deviations = [part.std(axis=0).max(initial=0.0) for part in parts]
        self.scales_ = [1 / max(float(deviation), 1e-12) for deviation in deviations]
        return self._scaled(parts)

    def transform(self, X: Any) -> np.ndarray:
        """Return the encoded table."""
        check_is_fitted(self)
        validate_data(self, X, reset=False, skip_check_array=True)
        return self._scaled(self._encoded(as_words(X), "transform"))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return a name for each component."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", input_features)
        if names is None:
            names = [f"x{i}" for i in range(len(self.encoders_))]
        sizes = [
            0 if encoder is None else len(encoder[-1].components_) for encoder in self.encoders_
        ]
        both = zip(names, sizes, strict=True)
        return np.array([f"{name}_{i}" for name, n in both for i in range(n)], dtype=object)

    def _encoder(self, column: np.ndarray) -> Pipeline | None:
        """Return the encoder of a column, with as many components as there can be."""
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4))
        analyze = vectorizer.build_analyzer()
        n_features = len({feature for text in column for feature in analyze(text)})
        # A decomposition needs two features, which a column of blanks does not have.
        if n_features < 2:
            return None
        n_components = min(self.n_components, n_features)
        return make_pipeline(vectorizer, TruncatedSVD(n_components, random_state=self.random_state))

    def _encoded(self, words: np.ndarray, method: str) -> list[np.ndarray]:
        """Return the components of each column."""
        return [
            np.empty((len(words), 0)) if encoder is None else getattr(encoder, method)(column)
            for encoder, column in zip(self.encoders_, words.T, strict=True)
        ]

    def _scaled(self, parts: list[np.ndarray]) -> np.ndarray:
        pairs = zip(parts, self.scales_, strict=True)
        return np.column_stack([part * scale for part, scale in pairs])
