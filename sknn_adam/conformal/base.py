"""Base class of both conformal estimators: fitting and the splits."""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, is_classifier, is_regressor
from sklearn.utils import indexable
from sklearn.utils.validation import check_is_fitted

from sknn_adam._estimator.base import BaseMLP
from sknn_adam._utils.sklearn_compat import Interval, StrOptions
from sknn_adam._utils.validation import check_sample_weight
from sknn_adam.conformal.splits import cross_fit, sets_of_splits
from sknn_adam.ensemble.base import WeightedEnsemble
from sknn_adam.ensemble.cross_fit import FoldResult, TrainingSet
from sknn_adam.ensemble.networks import cross_fitting_network, last_estimator
from sknn_adam.ensemble.routing import CrossFitting

__all__ = ["Conformal", "check_coverage", "inner_network"]


class Conformal(CrossFitting, MetaEstimatorMixin, BaseEstimator):
    """Base class of both conformal estimators."""

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "method": [StrOptions({"plus", "mean"})],
        "cv": [Interval(Integral, 2, None, closed="left"), "cv_object"],
        "n_jobs": [None, Integral],
        "random_state": ["random_state"],
    }
    estimator: Any
    estimator_: Any
    method: str
    n_jobs: int | None
    _fits: list[Any]
    _sets: np.ndarray
    _scores: list[Any]

    @property
    def _named(self) -> list[tuple[str, Any]]:
        return [("estimator", self.estimator)]

    @property
    def _cross_fitter(self) -> Any:
        """The ensemble or network that has a `cv` of its own, or None."""
        if isinstance(self.estimator, WeightedEnsemble):
            return self.estimator
        return cross_fitting_network(self.estimator)

    @property
    def _splitter(self) -> Any:
        return self.cv if self.cv is not None else getattr(self._cross_fitter, "cv", 5)

    @property
    def _fold_state(self) -> Any:
        given = self.random_state
        return given if given is not None else getattr(self._cross_fitter, "random_state", None)

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, groups: Any = None) -> Self:
        """Cross-fit the estimator and compute the conformity scores of the samples.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features, which are passed to the estimator without checks.
        y : array-like of shape (n_samples,) or, for regressors, (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Sample weights for the fits. The coverage refers to samples of equal weight; samples of
            weight zero are ignored.
        groups : array-like of shape (n_samples,), optional
            Group labels, which are passed to the splitter. If `cv` is an int, all samples of a
            group are in the same fold.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        self._validate_params()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        is_kind = is_classifier if is_classifier(self) else is_regressor
        if not is_kind(self.estimator):
            kind = "classifier" if is_classifier(self) else "regressor"
            raise ValueError(
                f"The 'estimator' parameter of {type(self).__name__} must be a {kind}. Got "
                f"{self.estimator!r} instead."
            )
        X, y, sample_weight, groups = indexable(X, y, sample_weight, groups)
        y, classes = self._checked_targets(y)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, X)
        params = self._fit_params(sample_weight, groups)["estimator"]
        folds = self._folds(X, y, classes, groups, weight)
        splits = list(zip(folds.train, folds.held, strict=True))
        data = TrainingSet(X, y, splits, classes, self._n_columns(y, classes))
        final, results = cross_fit(self.estimator, data, params, self.n_jobs)
        sets, number = sets_of_splits(splits, len(y))
        used = number >= 0 if weight is None else (number >= 0) & (weight > 0)
        scores, more = self._calibrated(data, final, results, sets, used)
        scores[~used] = np.nan
        # All attributes are set at the end, so that an interrupted fit sets none of them.
        for name in ("feature_names_in_", "classes_"):
            self.__dict__.pop(name, None)
        self.estimator_, self.conformity_scores_ = final, scores
        self._fits = [result.fitted for result in results]
        self._sets = sets
        self._scores = [np.sort(scores[used & (number == i)], axis=0) for i in range(len(sets))]
        self.__dict__.update(more)
        if classes is not None:
            self.classes_ = classes
        if hasattr(final, "feature_names_in_"):
            self.feature_names_in_ = final.feature_names_in_
        return self

    def _checked_targets(self, y: Any) -> tuple[np.ndarray, Any]:
        """Return the validated targets, and the classes or None."""
        raise NotImplementedError

    def _n_columns(self, y: np.ndarray, classes: Any) -> int:
        """Return the number of columns of a prediction."""
        raise NotImplementedError

    def _calibrated(
        self,
        data: TrainingSet,
        final: Any,
        results: list[FoldResult],
        sets: np.ndarray,
        used: np.ndarray,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the conformity score of each sample, and further attributes."""
        raise NotImplementedError

    @property
    def _n_scores(self) -> int:
        return sum(map(len, self._scores))

    @property
    def _n_splits(self) -> int:
        return self._sets.shape[1]

    def predict(self, X: Any) -> np.ndarray:
        """Return the predictions of the fitted estimator.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray
            The predictions of ``estimator_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @property
    def n_features_in_(self) -> int:
        """Number of features seen during ``fit``."""
        return self._when_fitted("n_features_in_").estimator_.n_features_in_


def check_coverage(coverage: Any) -> float:
    """Return the coverage, or raise ValueError if it is not between 0 and 1."""
    if not (isinstance(coverage, Real) and 0 < float(coverage) < 1):
        raise ValueError(f"coverage must be a number between 0 and 1. Got {coverage!r}.")
    return float(coverage)


def inner_network(estimator: Any) -> BaseMLP | None:
    """Return the network of this package with which an estimator ends, if any."""
    last = last_estimator(estimator)
    return last if isinstance(last, BaseMLP) else None
