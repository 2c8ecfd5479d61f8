"""The two ensembles."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import get_tags

from sknn_adam._utils.sklearn_compat import safe_indexing
from sknn_adam.ensemble.base import WeightedEnsemble
from sknn_adam.ensemble.cross_fit import TrainingSet, checked_labels, checked_numbers
from sknn_adam.ensemble.routing import is_dropped
from sknn_adam.ensemble.selection import (
    NegativeLogLoss,
    NegativeSquaredError,
    ScorerOfPredictions,
)

__all__ = ["WeightedEnsembleClassifier", "WeightedEnsembleRegressor"]


class WeightedEnsembleClassifier(ClassifierMixin, WeightedEnsemble):
    """Weighted mean of the probabilities of several classifiers.

    The weights are chosen on out-of-fold predictions by greedy selection with replacement [1]_,
    which gives most weight to accurate classifiers whose errors differ. Classifiers that do not
    improve the mean get weight zero and are dropped.

    Parameters
    ----------
    estimators : list of (str, estimator)
        Names and classifiers with ``predict_proba``. An estimator can be set to ``"drop"`` with
        ``set_params``.
    cv : int, splitter or iterable of splits, default=5
        Splits for the out-of-fold predictions. An int is the number of shuffled folds, which are
        stratified and keep groups together.
    scoring : str, callable or None, default=None
        The score to maximize: None for the negative log loss, or any scikit-learn scorer, which is
        applied to the out-of-fold predictions.
    n_rounds : int, default=100
        Maximum number of rounds of the selection. Weights are fractions with a denominator of at
        most `n_rounds`.
    refit : bool, default=True
        Whether classifiers with positive weight are fitted again to all samples. If False, the
        mean of the fits for the splits is used. Networks of this package with `cv` are never
        fitted again.
    time_limit : float or None, default=None
        Time limit of ``fit`` in seconds, see Notes.
    n_jobs : int or None, default=None
        Number of parallel jobs for the fits, as in scikit-learn. It does not affect the result.
    random_state : int, RandomState instance or None, default=None
        Controls the folds if `cv` is an int.
    verbose : int, default=0
        Verbosity of joblib; a positive value also prints the score and weight of each estimator.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    weights_ : ndarray of shape (n_estimators,)
        Weight of each entry of `estimators`, with sum 1.
    estimator_scores_ : ndarray of shape (n_estimators,)
        Score of the out-of-fold predictions of each entry of `estimators`; NaN for those that were
        dropped or not fitted in time.
    estimators_ : list of estimators
        The fitted estimators with positive weight. A mean of several fits has their list as its
        own attribute `estimators_`.
    named_estimators_ : Bunch
        The fitted estimators by name; ``"drop"`` for those without weight.
    oof_prediction_ : ndarray of shape (n_samples, n_classes)
        Weighted mean of the out-of-fold probabilities; NaN for samples that are in no test set.
    oof_score_ : float
        Score of `oof_prediction_`. It is optimistic, because the weights were chosen on the same
        samples.
    nested_oof_score_ : float
        Score of out-of-fold predictions whose weights, for each test set, were chosen on the
        samples outside of it. NaN if there is a single split.
    stop_reason_ : str or None
        ``"time_limit"`` if the time limit kept an estimator from being fitted completely.
    n_features_in_ : int
        Number of features of the first fitted estimator, if it has this attribute.
    feature_names_in_ : ndarray of shape (n_features,)
        Feature names of the first fitted estimator with this attribute.

    See Also
    --------
    WeightedEnsembleRegressor : The same for regressors.
    sklearn.ensemble.StackingClassifier : Fits a classifier to out-of-fold predictions.

    Notes
    -----
    All estimators use the same splits. A network of this package with `cv`, also at the end of a
    Pipeline, is trained once, with the splits of the ensemble instead of its own; its networks are
    the final estimator. If a step of its Pipeline might use the targets, as a target encoder does,
    the out-of-fold predictions come from a second fit for each split, with all steps fitted to the
    training set.

    All other estimators are fitted for each split. With ``refit=True``, those with positive weight
    are then fitted to all samples. With ``refit=False``, their final estimator is the mean of the
    fits for the splits, also called bagging. The out-of-fold score then is that of the estimators
    in use, and ``fit`` takes less time. Predictions take as many times longer as there are splits,
    and all fits are stored. A class that a training set lacks has probability zero in that fit.

    With `time_limit`, the estimators are fitted in the order of the list. An estimator that cannot
    finish in time is abandoned between folds, or does not start. The first one is always fitted.
    Networks with `cv` stop training in time if scikit-learn is 1.9 or later; all other fits cannot
    be interrupted. With `n_jobs`, folds of one estimator run in parallel, and the time is checked
    when a group of `n_jobs` fits has ended. The choice of the weights ends with the round in which
    its time is over. The user guide describes by how much the limit can be exceeded.

    References
    ----------
    .. [1] Caruana, R., Niculescu-Mizil, A., Crew, G., Ksikes, A. (2004). Ensemble selection from
       libraries of models. Proceedings of the 21st International Conference on Machine Learning.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sknn_adam.ensemble import WeightedEnsembleClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> estimators = [
    ...     ("linear", LogisticRegression(max_iter=1000)),
    ...     ("stump", DecisionTreeClassifier(max_depth=1)),
    ... ]
    >>> model = WeightedEnsembleClassifier(estimators, random_state=0).fit(X, y)
    >>> model.weights_
    array([1., 0.])
    """

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            Weighted mean of the probabilities, in the order of `classes_`.
        """
        return self._weighted_mean(X, "predict_proba")

    def predict(self, X: Any) -> np.ndarray:
        """Predict the most probable class.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Class labels.
        """
        probability = self.predict_proba(X)
        return self.classes_[probability.argmax(axis=1)]

    def _validate_estimators(self) -> Any:
        names, estimators = super()._validate_estimators()
        for name, estimator in zip(names, estimators, strict=True):
            if not is_dropped(estimator) and not hasattr(estimator, "predict_proba"):
                raise ValueError(
                    f"Estimator {name!r} has no predict_proba, which "
                    "WeightedEnsembleClassifier needs. Wrap it in CalibratedClassifierCV."
                )
        return names, estimators

    def _checked_targets(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels and the classes."""
        return checked_labels(type(self).__name__, y)

    def _criterion(self, data: TrainingSet, rows: np.ndarray, weight: Any) -> Any:
        y = data.y[rows]
        if self.scoring is None:
            codes = np.unique(data.y, return_inverse=True)[1]
            return NegativeLogLoss(codes[rows], weight)
        return ScorerOfPredictions(
            self.scoring, safe_indexing(data.X, rows), y, weight, data.classes
        )


class WeightedEnsembleRegressor(RegressorMixin, WeightedEnsemble):
    """Weighted mean of the predictions of several regressors.

    The weights are chosen on out-of-fold predictions by greedy selection with replacement [1]_,
    which gives most weight to accurate regressors whose errors differ. Regressors that do not
    improve the mean get weight zero and are dropped.

    Parameters
    ----------
    estimators : list of (str, estimator)
        Names and regressors. An estimator can be set to ``"drop"`` with ``set_params``.
    cv : int, splitter or iterable of splits, default=5
        Splits for the out-of-fold predictions. An int is the number of shuffled folds, which keep
        groups together.
    scoring : str, callable or None, default=None
        The score to maximize: None for the negative mean squared error, or any scikit-learn
        scorer, which is applied to the out-of-fold predictions.
    n_rounds : int, default=100
        Maximum number of rounds of the selection. Weights are fractions with a denominator of at
        most `n_rounds`.
    refit : bool, default=True
        Whether regressors with positive weight are fitted again to all samples. If False, the
        mean of the fits for the splits is used. Networks of this package with `cv` are never
        fitted again.
    time_limit : float or None, default=None
        Time limit of ``fit`` in seconds, see Notes of `WeightedEnsembleClassifier`.
    n_jobs : int or None, default=None
        Number of parallel jobs for the fits, as in scikit-learn. It does not affect the result.
    random_state : int, RandomState instance or None, default=None
        Controls the folds if `cv` is an int.
    verbose : int, default=0
        Verbosity of joblib; a positive value also prints the score and weight of each estimator.

    Attributes
    ----------
    weights_ : ndarray of shape (n_estimators,)
        Weight of each entry of `estimators`, with sum 1.
    estimator_scores_ : ndarray of shape (n_estimators,)
        Score of the out-of-fold predictions of each entry of `estimators`; NaN for those that were
        dropped or not fitted in time.
    estimators_ : list of estimators
        The fitted estimators with positive weight. A mean of several fits has their list as its
        own attribute `estimators_`.
    named_estimators_ : Bunch
        The fitted estimators by name; ``"drop"`` for those without weight.
    oof_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Weighted mean of the out-of-fold predictions; NaN for samples that are in no test set.
    oof_score_ : float
        Score of `oof_prediction_`. It is optimistic, because the weights were chosen on the same
        samples.
    nested_oof_score_ : float
        Score of out-of-fold predictions whose weights, for each test set, were chosen on the
        samples outside of it. NaN if there is a single split.
    stop_reason_ : str or None
        ``"time_limit"`` if the time limit kept an estimator from being fitted completely.
    n_features_in_ : int
        Number of features of the first fitted estimator, if it has this attribute.
    feature_names_in_ : ndarray of shape (n_features,)
        Feature names of the first fitted estimator with this attribute.

    See Also
    --------
    WeightedEnsembleClassifier : The same for classifiers; its Notes apply here too.
    sklearn.ensemble.StackingRegressor : Fits a regressor to out-of-fold predictions.

    References
    ----------
    .. [1] Caruana, R., Niculescu-Mizil, A., Crew, G., Ksikes, A. (2004). Ensemble selection from
       libraries of models. Proceedings of the 21st International Conference on Machine Learning.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.linear_model import RidgeCV
    >>> from sknn_adam.ensemble import WeightedEnsembleRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> estimators = [("mean", DummyRegressor()), ("linear", RidgeCV())]
    >>> model = WeightedEnsembleRegressor(estimators, random_state=0).fit(X, y)
    >>> model.predict(X[:3]).shape
    (3,)
    """

    def predict(self, X: Any) -> np.ndarray:
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Weighted mean of the predictions.
        """
        mean = self._weighted_mean(X, "predict")
        return mean[:, 0] if self.oof_prediction_.ndim == 1 else mean

    def _checked_targets(self, y: Any) -> tuple[np.ndarray, None]:
        """Return the targets as an array."""
        return checked_numbers(y), None

    def _criterion(self, data: TrainingSet, rows: np.ndarray, weight: Any) -> Any:
        y = data.y[rows]
        if self.scoring is None:
            return NegativeSquaredError(y.reshape(len(y), -1).astype(np.float64), weight)
        return ScorerOfPredictions(self.scoring, safe_indexing(data.X, rows), y, weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        given = [estimator for _, estimator in self.estimators if not is_dropped(estimator)]
        tags.target_tags.multi_output = all(get_tags(e).target_tags.multi_output for e in given)
        return tags
