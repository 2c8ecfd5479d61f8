"""Decision thresholds from out-of-fold predictions."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import FixedThresholdClassifier, KFold, TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder

from sknn_adam import MLPClassifier
from sknn_adam.ensemble import WeightedEnsembleClassifier
from sknn_adam.persistence import load, save
from sknn_adam.threshold import tune_threshold

X, Y = make_classification(600, 6, weights=[0.85], flip_y=0.1, random_state=0)


def net(**params):
    return MLPClassifier(**{"max_iter": 20, "cv": 4, "random_state": 0} | params)


def known(probability, classes=(0, 1)):
    """Return a stand-in for a fitted model with these out-of-fold probabilities."""
    probability = np.array(probability, dtype=float)
    both = np.stack([1 - probability, probability], axis=1)
    model = GaussianNB()
    model.classes_, model.oof_prediction_ = np.array(classes), both
    return model


def test_threshold_equals_a_hand_calculation():
    # A threshold between 0.4 and 0.6 classifies everything but the sample of 0.7 correctly; one
    # between 0.7 and 0.8 misses the sample of 0.6.
    y = [0, 0, 0, 1, 0, 1]
    tuned = tune_threshold(known([0.1, 0.2, 0.4, 0.6, 0.7, 0.8]), y, "accuracy")
    assert tuned.threshold in (pytest.approx(0.5), pytest.approx(0.75))
    # The F1 score is 2 / 3 above 0.7, and 4 / 5 above 0.4.
    tuned = tune_threshold(known([0.1, 0.2, 0.4, 0.6, 0.7, 0.8]), y, "f1")
    assert tuned.threshold == pytest.approx(0.5)


def test_the_first_class_can_be_the_positive_one():
    model = known([0.9, 0.8, 0.3, 0.1], ("no", "yes"))
    tuned = tune_threshold(model, ["no", "yes", "no", "no"], "recall_macro", pos_label="no")
    # As "no" has the probabilities 0.1, 0.7, 0.9 and "yes" 0.2.
    assert tuned.pos_label == "no"
    assert tuned.threshold == pytest.approx(0.45)


@pytest.mark.parametrize("wrap", ["plain", "pipeline", "ensemble"])
def test_predictions_follow_the_threshold(wrap):
    model = net()
    if wrap == "pipeline":
        model = make_pipeline(StandardScaler(), model)
    elif wrap == "ensemble":
        model = WeightedEnsembleClassifier([("net", model), ("bayes", GaussianNB())], cv=3)
    model.fit(X, Y)
    tuned = tune_threshold(model, Y, "f1")
    assert isinstance(tuned, FixedThresholdClassifier)
    assert isinstance(tuned.estimator, FrozenEstimator)
    expected = model.predict_proba(X)[:, 1] >= tuned.threshold
    np.testing.assert_array_equal(tuned.predict(X), expected)
    np.testing.assert_array_equal(tuned.predict_proba(X), model.predict_proba(X))


def test_threshold_is_nearly_the_best_on_the_out_of_fold_predictions():
    model = net().fit(X, Y)
    oof = model.oof_prediction_[:, 1]
    tuned = tune_threshold(model, Y, "f1", thresholds=100)
    every = [f1_score(Y, oof >= t) for t in np.unique(oof)]
    least = max(every) - 0.05 * (max(every) - min(every))
    assert f1_score(Y, oof >= tuned.threshold) >= least


def test_threshold_is_close_to_that_of_scikit_learn():
    folds = KFold(4, shuffle=True, random_state=0)
    theirs = TunedThresholdClassifierCV(net(cv=None), scoring="balanced_accuracy", cv=folds)
    theirs.fit(X, Y)
    ours = tune_threshold(net(cv=folds).fit(X, Y), Y)
    assert ours.threshold == pytest.approx(theirs.best_threshold_, abs=0.15)


def test_samples_without_prediction_and_of_weight_zero_are_ignored():
    model = known([0.1, 0.9, 0.2, 0.6, np.nan])
    weight = [1, 0, 1, 1, 1]
    tuned = tune_threshold(model, [0, 0, 0, 1, 0], "accuracy", sample_weight=weight)
    assert tuned.threshold == pytest.approx(0.4)


def test_sample_weights_shift_the_threshold():
    y, p = [0, 1, 0, 1], [0.2, 0.4, 0.6, 0.8]
    scoring = make_scorer(
        lambda y, found, sample_weight=None: np.average(y == found, weights=sample_weight)
    )
    low = tune_threshold(known(p), y, "accuracy", sample_weight=[1, 5, 1, 5]).threshold
    high = tune_threshold(known(p), y, "accuracy", sample_weight=[5, 1, 5, 1]).threshold
    assert (low, high) == (pytest.approx(0.3), pytest.approx(0.7))
    assert tune_threshold(known(p), y, scoring, sample_weight=[5, 1, 5, 1]).threshold == high


def test_steps_that_use_targets_cause_a_warning():
    model = make_pipeline(TargetEncoder(), net(max_iter=2)).fit(np.round(X), Y)
    with pytest.warns(UserWarning, match="WeightedEnsembleClassifier"):
        tune_threshold(model, Y)


@pytest.mark.parametrize(
    ("model", "y", "options", "message"),
    [
        (known([0.1, 0.9], (0, 1, 2)), [0, 1], {}, "needs two classes. Got 3"),
        (known([0.1, 0.9]), [0, 1, 1], {}, "y has 3 labels, but the model was fitted to 2"),
        (known([0.1, 0.9]), [0, 7], {}, r"does not know: \[7\]"),
        (known([0.1, 0.9]), [0, 1], {"pos_label": 5}, r"must be one of \[0, 1\]. Got 5"),
        (known([0.1, 0.9]), [0, 1], {"thresholds": 0}, "must be a positive integer. Got 0"),
        (known([0.1, 0.9]), [1, 1], {}, "needs samples of both classes"),
        (known([0.1, 0.9]), [0, 1], {"sample_weight": [1, 0]}, "needs samples of both classes"),
        (LinearRegression().fit(X, Y), Y, {}, "needs a classifier. Got LinearRegression"),
        (net(max_iter=1).fit(X, np.c_[Y, Y]), Y, {}, "not several labels"),
    ],
)
def test_invalid_arguments_raise(model, y, options, message):
    with pytest.raises(ValueError, match=message):
        tune_threshold(model, y, **options)


def test_unfitted_model_raises():
    with pytest.raises(NotFittedError):
        tune_threshold(net(), Y)


def test_model_without_out_of_fold_predictions_raises():
    with pytest.raises(AttributeError, match=r"no oof_prediction_\. Set cv=5"):
        tune_threshold(net(cv=None).fit(X, Y), Y)


def test_copies_predict_the_same(tmp_path):
    pytest.importorskip("skops")
    tuned = tune_threshold(net().fit(X, Y), Y)
    save(tuned, tmp_path / "model.npz")
    for copy in (pickle.loads(pickle.dumps(tuned)), load(tmp_path / "model.npz"), clone(tuned)):
        np.testing.assert_array_equal(copy.predict(X), tuned.predict(X))
