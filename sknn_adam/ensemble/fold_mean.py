"""Mean of the estimators that were fitted for the splits, for ensembles with ``refit=False``."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier

from sknn_adam._utils.sklearn_compat import VisualBlock
from sknn_adam.ensemble.cross_fit import in_columns

__all__ = ["FoldMeanClassifier", "FoldMeanRegressor", "mean_of_folds"]


class FoldMean(BaseEstimator):
    """Base class of both means.

    As with scikit-learn's FrozenEstimator, the estimators are already fitted: ``fit`` does nothing,
    and ``clone`` returns the object itself.

    Parameters
    ----------
    estimators : list of estimators
        The fitted estimators.
    """

    def __init__(self, estimators: Any) -> None:
        self.estimators = estimators

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Return the unchanged object."""
        return self

    @property
    def estimators_(self) -> Any:
        """The fitted estimators."""
        return self.estimators

    @property
    def n_features_in_(self) -> int:
        """Number of features of the first estimator, if it has this attribute."""
        return self.estimators[0].n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Feature names of the first estimator, if it has this attribute."""
        return self.estimators[0].feature_names_in_

    def __sklearn_clone__(self) -> Self:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _sk_visual_block_(self) -> Any:
        names = [f"split {split}" for split in range(len(self.estimators))]
        return VisualBlock("parallel", self.estimators, names=names, dash_wrapped=False)


class FoldMeanClassifier(ClassifierMixin, FoldMean):
    """Mean of the probabilities of fitted classifiers.

    Parameters
    ----------
    estimators : list of estimators
        The fitted classifiers. The probability of a class that a classifier has not seen is zero.
    """

    @property
    def classes_(self) -> np.ndarray:
        """All classes that at least one of the classifiers has seen."""
        return np.unique(np.concatenate([each.classes_ for each in self.estimators]))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the mean probabilities, of shape (n_samples, n_classes)."""
        total: Any = 0.0
        for each in self.estimators:
            total = total + in_columns(each.predict_proba(X), each.classes_, self.classes_)
        return total / len(self.estimators)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable classes, of shape (n_samples,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class FoldMeanRegressor(RegressorMixin, FoldMean):
    """Mean of the predictions of fitted regressors.

    Parameters
    ----------
    estimators : list of estimators
        The fitted regressors.
    """

    def predict(self, X: Any) -> np.ndarray:
        """Return the mean predictions, of shape (n_samples,) or (n_samples, n_outputs)."""
        total: Any = 0.0
        for each in self.estimators:
            total = total + np.asarray(each.predict(X), dtype=np.float64)
        return total / len(self.estimators)


def mean_of_folds(estimators: list[Any]) -> Any:
    """Return an estimator that predicts the mean of fitted estimators.

    Parameters
    ----------
    estimators : list of estimators
        The fitted estimators.

    Returns
    -------
    estimator
        The estimator itself if there is only one.
    """
    if len(estimators) == 1:
        return estimators[0]
    return (FoldMeanClassifier if is_classifier(estimators[0]) else FoldMeanRegressor)(estimators)
