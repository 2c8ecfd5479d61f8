"""How a classifier turns raw outputs into log odds, probabilities and labels."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknn_adam._estimator.prediction import Published
from sknn_adam._estimator.targets import Classes
from sknn_adam._utils.validation import check_numbers, with_ordinary_size

__all__ = ["PredictsClasses"]


class PredictsClasses(Published):
    """The prediction methods of MLPClassifier."""

    _targets: Classes

    def decision_function(self, X: Any) -> Any:
        """Return the network's raw outputs: log odds, or unnormalized log probabilities.

        Of several members, those of the mean of their probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        z : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            One column for two classes; above 0 means ``classes_[1]``. A list of such arrays if
            `y` had several columns of classes.
        """
        z, _ = self._raw(X)
        return self._targets.decisions(self._loss, z)

    def predict_proba(self, X: Any) -> Any:
        """Return probabilities, of several members their mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
            Columns in the order of ``classes_``; finite, and each row sums to 1 unless `y` was a
            matrix of labels. A list of such arrays if `y` had several columns of classes.
        """
        z, _ = self._raw(X)
        return self._targets.predictions(self._loss, z)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of ``predict_proba``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
            Minus infinity where a probability is zero.
        """
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(column) for column in p] if isinstance(p, list) else np.log(p)

    def predict(self, X: Any) -> Any:
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The most probable class, or the labels that are more probable than not.
        """
        z, _ = self._raw(X)
        return self._targets.labels(self._loss, z)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows that are predicted right in every column.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True labels.
        sample_weight : array-like of shape (n_samples,), optional
            Weights.

        Returns
        -------
        score : float, between 0 and 1
        """
        check_is_fitted(self)
        self._targets.check(y)
        check_numbers(sample_weight, "sample_weight")
        if sample_weight is not None:
            sample_weight = with_ordinary_size(np.asarray(sample_weight, dtype=np.float64))
        if not (self._targets.several and self._targets.exclusive):
            return super().score(X, y, sample_weight)
        # scikit-learn's accuracy does not take several columns of classes.
        right = (self.predict(X) == np.asarray(y)).all(axis=1)
        return float(np.average(right, weights=sample_weight))

    @property
    def out_activation_(self) -> str:
        """What turns raw outputs into probabilities."""
        return "logistic" if max(map(len, self._targets.columns)) < 3 else "softmax"
