"""Decision thresholds from out-of-fold predictions.

Experimental: names and defaults may change in a minor release without a deprecation period.
"""

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sknn_adam._utils.validation import POSITIVE_INTEGER, check_sample_weight
from sknn_adam._utils.warnings import warn
from sknn_adam.ensemble.networks import encodes_by_target, last_estimator
from sknn_adam.ensemble.selection import ScorerOfPredictions

__all__ = ["tune_threshold"]

# Thresholds that lose at most this fraction of the range of the scores are as good as the best one:
# the position of the maximum is mostly noise.
NEGLIGIBLE = 0.05


def tune_threshold(
    model: Any,
    y: Any,
    scoring: Any = "balanced_accuracy",
    *,
    thresholds: int = 100,
    pos_label: Any = None,
    sample_weight: Any = None,
) -> FixedThresholdClassifier:
    """Choose the threshold of a binary classifier by its out-of-fold predictions, without a fit.

    Parameters
    ----------
    model : estimator
        A fitted classifier with ``oof_prediction_``: MLPClassifier with `cv`, a Pipeline that ends
        with one, or WeightedEnsembleClassifier.
    y : array-like of shape (n_samples,)
        The labels that `model` was fitted with, in the same order.
    scoring : str or callable, default="balanced_accuracy"
        The score to maximize: a scikit-learn scorer that uses ``predict`` and ignores X, such as
        ``make_scorer(f1_score, pos_label="yes")``.
    thresholds : int, default=100
        Number of thresholds to try for each class: quantiles of the probabilities of its samples.
    pos_label : int, float, bool or str, default=None
        The class that is predicted from the threshold on; None for the second of ``classes_``.
    sample_weight : array-like of shape (n_samples,), optional
        Sample weights for the score, if it supports them. Samples of weight zero are ignored.

    Returns
    -------
    FixedThresholdClassifier
        Ready to predict. Its estimator is ``FrozenEstimator(model)``, and its parameter
        `threshold` the chosen one.

    Raises
    ------
    AttributeError, ValueError
        If `model` has no out-of-fold predictions or not two classes, or if `y` does not match.

    See Also
    --------
    sklearn.model_selection.TunedThresholdClassifierCV : Fits the classifier again for each fold.

    Notes
    -----
    The position of the best score is noisy. Of all thresholds whose score is below the best by at
    most 5 % of the range of all scores, the middle one is chosen.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.threshold import tune_threshold
    >>> X, y = make_classification(500, weights=[0.9], flip_y=0.1, random_state=0)
    >>> model = MLPClassifier(max_iter=20, cv=5, random_state=0).fit(X, y)
    >>> tuned = tune_threshold(model, y, "f1")
    >>> tuned.predict(X).shape
    (500,)
    """
    y, classes = column_or_1d(y), _checked_classes(model, y, thresholds, pos_label)
    first = pos_label is not None and pos_label == classes[0]
    probability = _probabilities_of(model, len(y))[:, 0 if first else 1]
    used = ~np.isnan(probability)
    weight = None
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, y[:, None])
        used &= weight > 0
        weight = weight[used]
    probability, y = probability[used], y[used]
    score = ScorerOfPredictions(scoring, np.empty((len(y), 0)), y, weight, classes)
    tried = _candidates(probability, y == classes[1 - first], thresholds)
    scores = np.array([score(_decided((probability >= t) != first)) for t in tried])
    enough = scores.max() - NEGLIGIBLE * (scores.max() - scores.min())
    best = np.flatnonzero(scores >= enough)
    return FixedThresholdClassifier(
        FrozenEstimator(model),
        threshold=float(tried[best[len(best) // 2]]),
        pos_label=pos_label,
        response_method="predict_proba",
    )


def _checked_classes(model: Any, y: Any, thresholds: Any, pos_label: Any) -> Any:
    """Return the classes of the model; raise ValueError for invalid arguments."""
    check_is_fitted(model)
    if not is_classifier(model):
        raise ValueError(f"tune_threshold needs a classifier. Got {model!r}.")
    classes = model.classes_
    if len(classes) != 2:
        raise ValueError(f"tune_threshold needs two classes. Got {len(classes)}: {classes}.")
    if not POSITIVE_INTEGER.is_satisfied_by(thresholds):
        raise ValueError(f"thresholds must be a positive integer. Got {thresholds!r}.")
    if pos_label is not None and not any(label == pos_label for label in classes):
        raise ValueError(f"pos_label must be one of {classes.tolist()}. Got {pos_label!r}.")
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(f"y contains labels that the model does not know: {unknown.tolist()}.")
    return classes


def _probabilities_of(model: Any, n_rows: int) -> np.ndarray:
    """Return the out-of-fold probabilities of a model, of shape (n_rows, 2)."""
    last = last_estimator(model)
    if not hasattr(last, "oof_prediction_"):
        raise AttributeError(
            f"{type(last).__name__} has no oof_prediction_. Set cv=5, for example, before fit."
        )
    if encodes_by_target(model):
        warn(
            "A step of the Pipeline uses the targets and has seen all of them, so the out-of-fold "
            "probabilities are optimistic. Use WeightedEnsembleClassifier([('model', pipeline)]), "
            "which fits the steps for each split."
        )
    if len(last.oof_prediction_) != n_rows:
        raise ValueError(
            f"y has {n_rows} labels, but the model was fitted to {len(last.oof_prediction_)} "
            "samples. Pass the y of fit."
        )
    probability = np.asarray(last.oof_prediction_, dtype=np.float64)
    sums = probability.sum(axis=1)
    if not np.allclose(sums[~np.isnan(sums)], 1, atol=1e-3):
        raise ValueError("tune_threshold needs a single column of classes, not several labels.")
    return probability


def _candidates(probability: np.ndarray, positive: np.ndarray, number: int) -> np.ndarray:
    """Return thresholds between the probabilities at quantiles of each class."""
    if positive.all() or not positive.any():
        raise ValueError(
            "tune_threshold needs samples of both classes with an out-of-fold prediction and a "
            "positive weight. All of them are of one class."
        )
    values = np.unique(probability)
    # With the smallest probability as the threshold, all samples are positive.
    between = np.append(values[0], (values[:-1] + values[1:]) / 2)
    levels = np.linspace(0, 1, number)
    wanted = [np.quantile(probability[rows], levels) for rows in (positive, ~positive)]
    nearest = np.searchsorted(between, np.concatenate(wanted)).clip(max=len(between) - 1)
    return between[np.unique(nearest)]


def _decided(second: np.ndarray) -> np.ndarray:
    """Return probabilities of 0 and 1 for decisions between the first and the second class."""
    return np.stack([~second, second], axis=1).astype(float)
