"""Greedy selection of weights, and the scores that it maximizes."""

from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer

from sknn_adam._estimator.scoring import takes_weights, with_labels
from sknn_adam._utils.sklearn_compat import safe_indexing

__all__ = [
    "NegativeLogLoss",
    "NegativeSquaredError",
    "ScorerOfPredictions",
    "greedy_weights",
    "nested_score",
]

EPS = np.finfo(np.float64).eps


def greedy_weights(
    predictions: np.ndarray,
    score: Callable[[np.ndarray], float],
    n_rounds: int,
    end: float = inf,
) -> np.ndarray:
    """Choose weights by greedy selection with replacement.

    Each round adds the prediction whose addition gives the mean of all added predictions the
    highest score. The weights are the relative frequencies after the best round. Selection stops
    before `n_rounds` if a round does not improve on the best score, and moving a weight of
    1 / `n_rounds` to any single prediction does not improve it either.

    Parameters
    ----------
    predictions : ndarray of shape (n_estimators, n_samples, ...)
        The predictions to average.
    score : callable
        The score of an average; higher is better.
    n_rounds : int
        Number of rounds.
    end : float, default=inf
        No round starts after this time, as returned by ``monotonic``, except the first.

    Returns
    -------
    weights : ndarray of shape (n_estimators,)
        Non-negative weights with sum 1. Ties go to the earlier prediction.

    References
    ----------
    Caruana, R., Niculescu-Mizil, A., Crew, G., Ksikes, A. (2004). Ensemble selection from libraries
    of models. Proceedings of the 21st International Conference on Machine Learning.
    """
    counts = np.zeros(len(predictions))
    total = np.zeros(predictions.shape[1:])
    best_score, weights, best = -np.inf, counts, total
    for size in range(1, n_rounds + 1):
        scores = [score((total + prediction) / size) for prediction in predictions]
        chosen = int(np.argmax(scores))
        counts[chosen] += 1
        total = total + predictions[chosen]
        if size == 1 or scores[chosen] > best_score:
            best_score, weights, best = scores[chosen], counts / size, total / size
        elif not any(score(best + (p - best) / n_rounds) > best_score for p in predictions):
            break
        if monotonic() > end:
            break
    return weights


def nested_score(
    predictions: np.ndarray,
    criterion: Any,
    held: list[np.ndarray],
    n_rounds: int,
    end: float = inf,
) -> float:
    """Return the score of predictions whose weights do not depend on the samples they predict.

    Parameters
    ----------
    predictions : ndarray of shape (n_estimators, n_samples, ...)
        Out-of-fold predictions.
    criterion : NegativeLogLoss, NegativeSquaredError or ScorerOfPredictions
        The score.
    held : list of ndarray of int
        The test set of each split. The weights for a test set are chosen on all other samples.
    n_rounds : int
        Number of rounds of the selection.
    end : float, default=inf
        Time at which the selections should end, as returned by ``monotonic``. They share the time
        until then equally.

    Returns
    -------
    score : float
        NaN if the only test set contains all samples.
    """
    everything = np.arange(predictions.shape[1])
    total, count = np.zeros(predictions.shape[1:]), np.zeros(len(everything))
    for i, rows in enumerate(held):
        rest = np.setdiff1d(everything, rows)
        if len(rows) and len(rest):
            now = monotonic()
            own_end = now + (end - now) / (len(held) - i)
            weights = greedy_weights(predictions[:, rest], criterion.take(rest), n_rounds, own_end)
            total[rows] += np.tensordot(weights, predictions[:, rows], axes=1)
            count[rows] += 1
    seen = np.flatnonzero(count)
    if not len(seen):
        return np.nan
    # A sample can be in several test sets.
    means = total[seen] / count[seen].reshape(-1, *[1] * (total.ndim - 1))
    return criterion.take(seen)(means)


# -- scores --------------------------------------------------------------------------------------


class NegativeLogLoss:
    """Mean log probability of the true classes.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples,)
        The column of each sample's class.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.
    """

    def __init__(self, codes: np.ndarray, weight: np.ndarray | None):
        self.codes, self.weight = codes, weight

    def take(self, rows: np.ndarray) -> Self:
        """Return the score of a subset of the samples."""
        return type(self)(self.codes[rows], _subset(self.weight, rows))

    def relevant(self, predictions: np.ndarray) -> np.ndarray:
        """Return the probabilities of the true classes, which determine the score."""
        return predictions[..., np.arange(len(self.codes)), self.codes]

    def __call__(self, probability: np.ndarray) -> float:
        """Return the score, with probabilities clipped as in ``sklearn.metrics.log_loss``."""
        values = np.log(np.clip(probability, EPS, 1 - EPS))
        return float(np.average(values, weights=self.weight))


class NegativeSquaredError:
    """Negative mean squared error over samples and outputs.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_outputs)
        The targets.
    weight : ndarray of shape (n_samples,) or None
        Sample weights.
    """

    def __init__(self, y: np.ndarray, weight: np.ndarray | None):
        self.y, self.weight = y, weight

    def take(self, rows: np.ndarray) -> Self:
        """Return the score of a subset of the samples."""
        return type(self)(self.y[rows], _subset(self.weight, rows))

    def relevant(self, predictions: np.ndarray) -> np.ndarray:
        """Return the predictions themselves."""
        return predictions

    def __call__(self, prediction: np.ndarray) -> float:
        """Return the score of predictions of shape (n_samples, n_outputs)."""
        values = ((self.y - prediction) ** 2).mean(axis=1)
        return -float(np.average(values, weights=self.weight))


class ScorerOfPredictions:
    """A scikit-learn scorer, applied to predictions instead of an estimator.

    Parameters
    ----------
    scoring : str or callable
        Name of a scorer, or a scorer with the signature ``(estimator, X, y)``.
    X : array-like of shape (n_samples, n_features)
        Passed to the scorer.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The targets.
    weight : ndarray of shape (n_samples,) or None
        Sample weights, for scorers that accept them.
    classes : ndarray of shape (n_classes,), optional
        The classes of the columns of probabilities; None for regressors.
    """

    def __init__(
        self, scoring: Any, X: Any, y: np.ndarray, weight: np.ndarray | None, classes: Any = None
    ):
        self.scoring, self.X, self.y, self.weight = scoring, X, y, weight
        self.classes, self.scorer = classes, get_scorer(scoring)
        weighted = weight is not None and takes_weights(self.scorer)
        self.options = {"sample_weight": weight} if weighted else {}
        if classes is not None and len(np.unique(y)) < len(classes):
            self.scorer = with_labels(self.scorer, classes) or self.scorer

    def take(self, rows: np.ndarray) -> Self:
        """Return the score of a subset of the samples."""
        X, weight = safe_indexing(self.X, rows), _subset(self.weight, rows)
        return type(self)(self.scoring, X, self.y[rows], weight, self.classes)

    def relevant(self, predictions: np.ndarray) -> np.ndarray:
        """Return the predictions themselves."""
        return predictions

    def __call__(self, prediction: np.ndarray) -> float:
        """Return the score of predictions of shape (n_samples, n_columns)."""
        if self.classes is None:
            values = prediction[:, 0] if prediction.shape[1] == 1 else prediction
            estimator: Any = FixedValues(values)
        else:
            estimator = FixedProbabilities(prediction, self.classes)
        score = float(self.scorer(estimator, self.X, self.y, **self.options))
        if np.isnan(score):
            raise ValueError(
                f"scoring={self.scoring!r} is undefined for the out-of-fold predictions of "
                f"{len(self.y)} samples. Choose another scoring, or scoring=None."
            )
        return score


class FixedProbabilities(ClassifierMixin, BaseEstimator):
    """Classifier that returns given probabilities for any X, for use with scorers."""

    def __init__(self, values: Any, classes: Any) -> None:
        self.values, self.classes = values, classes
        self.classes_ = classes

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities."""
        return self.values

    def predict(self, X: Any) -> Any:
        """Return the most probable classes."""
        return self.classes[self.values.argmax(axis=1)]


class FixedValues(RegressorMixin, BaseEstimator):
    """Regressor that returns given predictions for any X, for use with scorers."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def predict(self, X: Any) -> Any:
        """Return the predictions."""
        return self.values


def _subset(weight: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if weight is None else weight[rows]
