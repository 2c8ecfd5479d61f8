"""Sets of classes with a stated coverage, of cross-fitted classifiers."""

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sknn_adam._utils.sklearn_compat import StrOptions, safe_indexing
from sknn_adam.conformal.base import Conformal, check_coverage
from sknn_adam.conformal.ranks import counts_below
from sknn_adam.conformal.splits import last_step, predict_by_split
from sknn_adam.ensemble.cross_fit import (
    FoldResult,
    TrainingSet,
    checked_labels,
    in_columns,
    out_of_fold,
)
from sknn_adam.ensemble.networks import last_estimator

__all__ = ["ConformalClassifier"]


class ConformalClassifier(ClassifierMixin, Conformal):
    r"""Classifier with sets of classes of a stated coverage, by cross-conformal prediction.

    Each sample is predicted by the fit that did not train on it. A class belongs to the set of a
    new sample unless its score is worse than most of the scores of the true classes of these
    samples [1]_. A network of this package with `cv` is fitted only once.

    Parameters
    ----------
    estimator : estimator
        A classifier with ``predict_proba``.
    conformity_score : {"aps", "lac"}, default="aps"
        Conformity score of a class. ``"aps"`` is the probability of all classes that are more
        probable, plus a fraction of its own [1]_: sets are larger where classes are hard to
        distinguish. The fraction is a pseudorandom function of the predicted probabilities, so
        equal samples have equal sets. ``"lac"`` is 1 minus its own probability [2]_, which gives
        the smallest sets on average, but covers hard samples less often.
    allow_empty : bool, default=False
        Whether a set can be empty. If False, it contains at least the most probable class, so the
        coverage is at least the accuracy.
    method : {"plus", "mean"}, default="plus"
        ``"plus"`` compares scores of the same fit, and has a guarantee, see Notes. ``"mean"`` uses
        the mean probabilities of all fits for new samples. It has no guarantee, but its coverage
        was closer to the stated one in benchmarks, because networks differ much.
    cv : int, splitter or iterable of splits, default=None
        Splits of the samples. An int is the number of shuffled, stratified folds. None means the
        `cv` of a network or ensemble of this package, and 5 folds for other estimators.
    n_jobs : int or None, default=None
        Number of parallel jobs for estimators that are fitted once per split.
    random_state : int, RandomState instance or None, default=None
        Determines the folds if `cv` is an int. None means that of the network or ensemble.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator, which ``predict`` and ``predict_proba`` use: the network or ensemble
        itself, or the mean of the fits for the splits.
    classes_ : ndarray of shape (n_classes,)
        The classes.
    conformity_scores_ : ndarray of shape (n_samples,)
        Score of the true class of each sample. NaN for samples that are in no test set or have
        weight zero.
    n_features_in_ : int
        Number of features of the fitted estimator, if it has this attribute.
    feature_names_in_ : ndarray of shape (n_features,)
        Feature names of the fitted estimator, if it has this attribute.

    See Also
    --------
    ConformalRegressor : Prediction intervals; its Notes on the guarantee apply here too.

    Notes
    -----
    If the samples and the new sample are exchangeable, a set of coverage :math:`1 - \alpha`
    contains the true class with probability of at least :math:`1 - 2 \alpha - \sqrt{2 / n}` [1]_.
    In practice, it is close to :math:`1 - \alpha`, or higher if sets cannot be empty.

    References
    ----------
    .. [1] Romano, Y., Sesia, M., Candès, E. J. (2020). Classification with valid and adaptive
       coverage. NeurIPS.
    .. [2] Sadinle, M., Lei, J., Wasserman, L. (2019). Least ambiguous set-valued classifiers with
       bounded error levels. JASA 114.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sknn_adam import make_tabular_pipeline
    >>> from sknn_adam.conformal import ConformalClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> network = make_tabular_pipeline("classifier", random_state=0)
    >>> model = ConformalClassifier(network, random_state=0).fit(X[::2], y[::2])
    >>> sets = model.predict_set(X[1::2], coverage=0.95)
    >>> sets.shape  # a column of booleans for each class
    (89, 3)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **Conformal._parameter_constraints,
        "conformity_score": [StrOptions({"aps", "lac"})],
        "allow_empty": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        conformity_score: str = "aps",
        allow_empty: bool = False,
        method: str = "plus",
        cv: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.conformity_score = conformity_score
        self.allow_empty = allow_empty
        self.method = method
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the fitted estimator.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            The probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        return self._probabilities(self.estimator_, X)

    def predict_set(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Predict sets that contain the true class.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Features.
        coverage : float, default=0.9
            Fraction of the sets that should contain the true class.

        Returns
        -------
        sets : ndarray of bool of shape (n_samples, n_classes)
            Whether each class is in the set, in the order of `classes_`.
        """
        check_is_fitted(self)
        coverage = check_coverage(coverage)
        predict = self._probabilities
        each = predict_by_split(self.estimator_, self._fits, self._n_splits, X, predict)
        each = each.mean(axis=1)
        fractions = _fractions(each.mean(axis=0))
        sets_of_splits = self._sets
        if self.method == "mean":
            sets_of_splits = np.ones_like(sets_of_splits)
        means = [each[splits].mean(axis=0) for splits in sets_of_splits]
        scores = np.stack([self._scores_of_classes(values, fractions) for values in means])
        below = counts_below(self._scores, scores, "left")
        # The tolerance corrects the rounding of products such as 0.9 * 10.
        sets = below < coverage * (self._n_scores + 1) - 1e-9
        if not self.allow_empty:
            empty = np.flatnonzero(~sets.any(axis=1))
            if len(empty):
                best = self.predict_proba(safe_indexing(X, empty)).argmax(axis=1)
                sets[empty, best] = True
        return sets

    def _probabilities(self, estimator: Any, X: Any) -> np.ndarray:
        """Return float64 probabilities with a column for each of `classes_`."""
        last, inputs = last_step(estimator, X)
        values = np.asarray(last.predict_proba(inputs), dtype=np.float64)
        return in_columns(values, last.classes_, self.classes_)

    def _scores_of_classes(self, probability: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        """Return the conformity score of each class, of shape (n_samples, n_classes)."""
        if self.conformity_score == "lac":
            return 1 - probability
        order = np.argsort(-probability, axis=1, kind="stable")
        ordered = np.take_along_axis(probability, order, axis=1)
        ordered = np.cumsum(ordered, axis=1) - (1 - fractions)[:, None] * ordered
        scores = np.empty_like(ordered)
        np.put_along_axis(scores, order, ordered, axis=1)
        return scores

    def _checked_targets(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        return checked_labels(type(self).__name__, y)

    def _n_columns(self, y: np.ndarray, classes: Any) -> int:
        return len(classes)

    def _calibrated(
        self,
        data: TrainingSet,
        final: Any,
        results: list[FoldResult],
        sets: np.ndarray,
        used: np.ndarray,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        assert data.classes is not None
        if results:
            probability = out_of_fold(results, len(data.y))
        else:
            last = last_estimator(final)
            probability = np.asarray(last.oof_prediction_, dtype=np.float64)
            probability = in_columns(probability, last.classes_, data.classes)
        scores = self._scores_of_classes(probability, _fractions(probability))
        codes = np.searchsorted(data.classes, data.y)
        return scores[np.arange(len(codes)), codes], {}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


def _fractions(probability: np.ndarray) -> np.ndarray:
    """Return a pseudorandom number between 0 and 1 for each row, as a function of the row.

    A number that depended on the position in X would be the same for all samples that are predicted
    one at a time.
    """
    # Rounding makes the number independent of the order of additions, which depends on the batch.
    bits = np.ascontiguousarray(np.round(probability, 6) + 0.0).view(np.uint64)
    state = np.zeros(len(bits), np.uint64)
    with np.errstate(over="ignore"):
        for column in bits.T:
            state = (state ^ column) * np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
            state ^= state >> np.uint64(29)
    return (state >> np.uint64(11)) * 2.0**-53
