"""Prediction methods of the classifier: decision values, probabilities and labels."""

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
        """Return the raw outputs: log-odds, or unnormalized log-probabilities.

        For several members, they correspond to the mean of the members' probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        z : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            For two classes, a vector in which positive values mean ``classes_[1]``. For multioutput
            targets, a list with one array per column of `y`.
        """
        z, _ = self._raw(X)
        return self._targets.decisions(self._loss, z)

    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities, averaged over members.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
            Finite probabilities, with columns in the order of ``classes_``. Each row sums to 1,
            except for multilabel targets. For multioutput targets, a list with one array per
            column of `y`.
        """
        z, _ = self._raw(X)
        return self._targets.predictions(self._loss, z)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithms of the probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
            Logarithms of the result of ``predict_proba``; minus infinity where it is zero.
        """
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(column) for column in p] if isinstance(p, list) else np.log(p)

    def predict(self, X: Any) -> Any:
        """Predict class labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_outputs)
            The most probable class; for multioutput targets, that of each column. For multilabel
            targets, a 0/1 matrix that marks the labels with a probability above 0.5.
        """
        z, _ = self._raw(X)
        return self._targets.labels(self._loss, z)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy: the fraction of samples whose labels are all predicted correctly.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True labels.
        sample_weight : array-like of shape (n_samples,), optional
            Sample weights.

        Returns
        -------
        score : float
            Accuracy, between 0 and 1.
        """
        check_is_fitted(self)
        self._targets.check(y)
        check_numbers(sample_weight, "sample_weight")
        if sample_weight is not None:
            sample_weight = with_ordinary_size(np.asarray(sample_weight, dtype=np.float64))
        if not (self._targets.several and self._targets.exclusive):
            return super().score(X, y, sample_weight)
        # scikit-learn's accuracy does not support multioutput targets.
        correct = (self.predict(X) == np.asarray(y)).all(axis=1)
        return float(np.average(correct, weights=sample_weight))

    @property
    def out_activation_(self) -> str:
        """Output activation, which converts raw outputs to probabilities."""
        return "logistic" if max(map(len, self._targets.columns)) < 3 else "softmax"
