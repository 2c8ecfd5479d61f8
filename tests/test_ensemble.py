"""Weighted ensembles: the choice of weights, honest scores, and estimators of any type."""

import pickle
import time
from itertools import combinations_with_replacement
from typing import ClassVar

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_regression
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss, make_scorer, mean_squared_error, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RepeatedKFold,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_predict,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknn_adam import Adam, MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam.ensemble import WeightedEnsembleClassifier, WeightedEnsembleRegressor
from sknn_adam.ensemble.selection import NegativeLogLoss, NegativeSquaredError, greedy_weights
from sknn_adam.losses import QuantileLoss

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
NUMBERS = 3 * X[:, 0] + X[:, 1] ** 2 + 0.5 * RNG.normal(size=90)
LABELS = np.array(["no", "perhaps", "yes"])[np.digitize(NUMBERS, [-0.5, 2])]
WEIGHT = RNG.uniform(0.1, 3, size=90)
GROUPS = np.arange(90) // 5


def small(network, **params):
    defaults = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0}
    return network(**defaults | {"optimizer": Adam(learning_rate=0.02)} | params)


TREE = DecisionTreeRegressor(max_depth=3, random_state=0)


def classifiers(**params):
    network = small(MLPClassifier, cv=2, early_stopping=True)
    given = [("linear", LogisticRegression()), ("bayes", GaussianNB()), ("network", network)]
    return WeightedEnsembleClassifier(given, **{"cv": 3, "random_state": 0} | params)


def regressors(**params):
    network = small(MLPRegressor, cv=2, early_stopping=True)
    given = [("linear", Ridge()), ("tree", TREE), ("network", network)]
    return WeightedEnsembleRegressor(given, **{"cv": 3, "random_state": 0} | params)


BOTH = pytest.mark.parametrize(
    ("make", "y"), [(classifiers, LABELS), (regressors, NUMBERS)], ids=["clf", "reg"]
)


def outputs(model, inputs=X):
    return getattr(model, "predict_proba", model.predict)(inputs)


def loss(y, predicted, weight=None):
    metric = mean_squared_error if y.dtype.kind == "f" else log_loss
    return metric(y, predicted, sample_weight=weight)


# -- scikit-learn's own checks -------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore:Training learned nothing. all units")
@pytest.mark.filterwarnings("ignore:The least populated class in y")
@parametrize_with_checks(
    [
        WeightedEnsembleClassifier(
            [("a", LogisticRegression()), ("b", small(MLPClassifier, **params))], random_state=0
        )
        for params in ({}, {"cv": 2})
    ]
    + [
        WeightedEnsembleRegressor(
            [("a", Ridge()), ("b", small(MLPRegressor, **params))], random_state=0
        )
        for params in ({}, {"cv": 2})
    ]
)
def test_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


# -- greedy selection ----------------------------------------------------------------------------


def squared(y):
    return NegativeSquaredError(np.asarray(y, float).reshape(-1, 1), None)


def test_selection_of_a_small_example():
    # Means of the added predictions: -1, then (-1 + 2) / 2 = 0.5, then (-1 + 2 - 1) / 3 = 0.
    predictions = np.array([[[2.0]] * 3, [[-1.0]] * 3, [[9.0]] * 3])
    score = squared([0, 0, 0])
    assert greedy_weights(predictions, score, 1).tolist() == [0, 1, 0]
    assert greedy_weights(predictions, score, 2).tolist() == [1 / 2, 1 / 2, 0]
    for n_rounds in (3, 4, 50):
        assert greedy_weights(predictions, score, n_rounds) == pytest.approx([1 / 3, 2 / 3, 0])


def test_ties_go_to_the_earlier_estimator():
    predictions = np.ones((3, 5, 1))
    assert greedy_weights(predictions, squared(np.zeros(5)), 20).tolist() == [1, 0, 0]


def test_later_rounds_use_a_small_weight_of_a_poor_estimator():
    """The optimum 0.95, 0.05 is not reached by adding the second one in the first rounds."""
    y = np.array([0.0, 0.0])
    predictions = np.array([[[1.0], [1.0]], [[-19.0], [-19.0]]])
    weights = greedy_weights(predictions, squared(y), 100)
    assert weights == pytest.approx([0.95, 0.05])


@pytest.mark.parametrize("seed", range(5))
def test_selection_against_all_multisets(seed):
    """Each round is the best extension, and the result is close to the best of all weights."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, size=40)
    raw = rng.normal(size=(4, 40, 3)) + 2 * np.eye(3)[y] * rng.uniform(0.2, 1, size=(4, 1, 1))
    probabilities = np.exp(raw) / np.exp(raw).sum(axis=2, keepdims=True)
    criterion = NegativeLogLoss(y, None)
    true_class = criterion.relevant(probabilities)

    def loss_of(chosen):
        return log_loss(y, probabilities[list(chosen)].mean(axis=0))

    path = []
    for n_rounds in range(1, 6):
        path.append(min(range(4), key=lambda j: loss_of([*path, j])))
        best = min((path[:k] for k in range(1, n_rounds + 1)), key=loss_of)
        weights = greedy_weights(true_class, criterion, n_rounds)
        np.testing.assert_allclose(weights, np.bincount(best, minlength=4) / len(best))
    reached = log_loss(y, np.tensordot(greedy_weights(true_class, criterion, 8), probabilities, 1))
    sizes = range(1, 9)
    optimum = min(loss_of(c) for k in sizes for c in combinations_with_replacement(range(4), k))
    assert optimum - 1e-12 <= reached <= optimum + 0.005


@BOTH
def test_ensemble_is_at_least_as_good_as_the_best_estimator(make, y):
    model = make().fit(X, y)
    assert model.oof_score_ >= model.estimator_scores_.max()
    assert model.weights_.sum() == pytest.approx(1)
    assert model.oof_score_ == pytest.approx(-loss(y, model.oof_prediction_))


def test_predictions_that_are_not_finite_are_rejected():
    inputs = np.where(np.arange(90)[:, None] == 5, np.nan, X)
    model = WeightedEnsembleRegressor([("a", Oracle()), ("b", DummyRegressor())], cv=3)
    with pytest.raises(ValueError, match="estimator 'a' contain NaN"):
        model.fit(inputs, NUMBERS)


class Oracle(RegressorMixin, BaseEstimator):
    """Regressor that predicts the first feature."""

    def fit(self, X, y):
        """Return the estimator."""
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        """Return the first feature."""
        return X[:, 0]


def test_perfect_estimator_has_weight_one():
    given = [("mean", DummyRegressor()), ("perfect", Oracle()), ("tree", DecisionTreeRegressor())]
    model = WeightedEnsembleRegressor(given, random_state=0).fit(X, X[:, 0])
    assert model.weights_.tolist() == [0, 1, 0]
    assert model.oof_score_ == model.nested_oof_score_ == 0
    assert len(model.estimators_) == 1
    assert model.named_estimators_["mean"] == model.named_estimators_["tree"] == "drop"
    np.testing.assert_array_equal(model.predict(X), X[:, 0])


# -- out-of-fold predictions and scores ----------------------------------------------------------


@BOTH
def test_predictions_are_those_of_scikit_learn(make, y):
    model = make(n_rounds=7).set_params(network="drop").fit(X, y, sample_weight=None)
    splitter = StratifiedKFold if make is classifiers else KFold
    cv = splitter(3, shuffle=True, random_state=0)
    method = "predict_proba" if make is classifiers else "predict"
    total, full = 0, 0
    for i, (_, estimator) in enumerate(model.estimators[:2]):
        oof = cross_val_predict(estimator, X, y, cv=cv, method=method)
        assert model.estimator_scores_[i] == pytest.approx(-loss(y, oof))
        total = total + model.weights_[i] * oof
        full = full + model.weights_[i] * outputs(clone(estimator).fit(X, y))
    np.testing.assert_allclose(model.oof_prediction_, total, rtol=1e-12)
    np.testing.assert_allclose(outputs(model), full, rtol=1e-12)
    assert np.isnan(model.estimator_scores_[2])


@BOTH
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weights"])
def test_nested_score_by_hand(make, y, weight):
    """With two rounds: the best one, and its mean with another one if that is better."""
    cv = KFold(3)
    model = make(cv=cv, n_rounds=2).set_params(network="drop").fit(X, y, sample_weight=weight)
    method = "predict_proba" if make is classifiers else "predict"
    each, used = [], np.ones(90) if weight is None else weight
    for _, estimator in model.estimators[:2]:
        oof = np.empty((90, 3) if make is classifiers else 90)
        for train, test in cv.split(X):
            fitted = clone(estimator).fit(X[train], y[train], sample_weight=used[train])
            oof[test] = getattr(fitted, method)(X[test])
        each.append(oof)
    nested = np.empty_like(each[0])
    for rest, test in cv.split(X):
        first = min(each, key=lambda p: loss(y[rest], p[rest], used[rest]))
        mixtures = [first, *((first + p) / 2 for p in each)]
        best = min(mixtures, key=lambda p: loss(y[rest], p[rest], used[rest]))
        nested[test] = best[test]
    assert model.nested_oof_score_ == pytest.approx(-loss(y, nested, used))
    assert model.nested_oof_score_ <= model.oof_score_ + 1e-12


def test_single_split_has_no_nested_score():
    cv = [(np.arange(60), np.arange(60, 90))]
    model = regressors(cv=cv).fit(X, NUMBERS)
    assert np.isnan(model.nested_oof_score_)
    assert np.isnan(model.oof_prediction_[:60]).all()
    assert not np.isnan(model.oof_prediction_[60:]).any()
    expected = -mean_squared_error(NUMBERS[60:], model.oof_prediction_[60:])
    assert model.oof_score_ == pytest.approx(expected)


@pytest.mark.parametrize("cv", [TimeSeriesSplit(3), RepeatedKFold(n_splits=3, n_repeats=2)])
def test_other_splitters(cv):
    model = regressors(cv=cv).fit(X, NUMBERS)
    held = ~np.isnan(model.oof_prediction_)
    assert held.sum() == (66 if isinstance(cv, TimeSeriesSplit) else 90)
    expected = -mean_squared_error(NUMBERS[held], model.oof_prediction_[held])
    assert model.oof_score_ == pytest.approx(expected)


@pytest.mark.parametrize("scoring", ["roc_auc", "accuracy", "neg_brier_score", "custom"])
def test_scoring_is_applied_to_out_of_fold_predictions(scoring):
    y = np.where(NUMBERS > 1, "yes", "no")
    given = scoring
    if scoring == "custom":
        given = make_scorer(roc_auc_score, response_method="predict_proba")
    if scoring == "neg_brier_score":
        y = (NUMBERS > 1).astype(int)
    model = classifiers(scoring=given).fit(X, y)
    probability = model.oof_prediction_[:, 1]
    expected = {
        "accuracy": np.mean(model.classes_[(probability > 0.5).astype(int)] == y),
        "neg_brier_score": -np.mean((probability - (NUMBERS > 1)) ** 2),
    }.get(scoring, roc_auc_score(y, probability))
    assert model.oof_score_ == pytest.approx(expected)
    assert model.oof_score_ >= np.nanmax(model.estimator_scores_)


def test_scorer_of_a_regressor_uses_weights():
    model = regressors(scoring="neg_mean_absolute_error").set_params(tree="drop")
    model.fit(X, NUMBERS, sample_weight=WEIGHT)
    expected = -np.average(np.abs(NUMBERS - model.oof_prediction_), weights=WEIGHT)
    assert model.oof_score_ == pytest.approx(expected)


@pytest.mark.parametrize("name", ["linear", "tree", "network"])
def test_target_of_a_sample_does_not_affect_its_own_prediction(name):
    model = regressors(cv=KFold(3))
    others = {other for other, _ in model.estimators} - {name}
    model.set_params(**dict.fromkeys(others, "drop")).fit(X, NUMBERS)
    for i in (0, 44, 89):
        y = NUMBERS.copy()
        y[i] += 50
        other = clone(model).fit(X, y)
        assert other.oof_prediction_[i] == model.oof_prediction_[i]
        assert other.predict(X[:1]) != model.predict(X[:1])


@pytest.mark.parametrize("cv", [3, GroupKFold(3)], ids=["int", "splitter"])
@BOTH
def test_groups_are_never_split(make, y, cv):
    """A nearest neighbor of the same group would give its target away."""
    inputs, noise = GROUPS[:, None] + 0.001 * RNG.normal(size=(90, 1)), np.resize([0, 1], 18)
    leaking = KNeighborsClassifier(1) if make is classifiers else KNeighborsRegressor(1)
    target = RNG.permutation(noise)[GROUPS] + (0.0 if make is regressors else 0)
    kind = WeightedEnsembleClassifier if make is classifiers else WeightedEnsembleRegressor
    seen = []

    def scorer(estimator, X, y):
        seen.append(len(y))
        return 0.0

    model = kind([("leak", leaking)], cv=cv, scoring=scorer, random_state=1)
    model.fit(inputs, target, groups=GROUPS)
    predicted = model.oof_prediction_
    predicted = predicted[:, 1] if predicted.ndim == 2 else predicted
    # All samples of a group have the same nearest group, so a split group would be predicted right.
    assert all(len(set(predicted[GROUPS == g])) <= 2 for g in range(18))
    assert np.mean((predicted > 0.5) == target) < 0.9
    assert (
        np.mean((outputs(model.estimators_[0], inputs).reshape(90, -1)[:, -1] > 0.5) == target) == 1
    )


def test_rare_class_can_be_missing_in_a_training_set():
    y = LABELS.copy()
    y[0] = "once"
    with pytest.warns(UserWarning, match="least populated class"):
        model = classifiers().set_params(network="drop").fit(X, y)
    assert model.classes_.tolist() == ["no", "once", "perhaps", "yes"]
    assert model.oof_prediction_[0, 1] == 0
    np.testing.assert_allclose(model.oof_prediction_.sum(axis=1), 1)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


# -- networks ------------------------------------------------------------------------------------


class Counting(MLPRegressor):
    """Network that counts its fits."""

    fits: ClassVar[list] = []

    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
        groups=None,
    ):
        """Fit, and remember the number of samples."""
        self.fits.append(len(y))
        return super().fit(X, y, sample_weight, groups=groups)


@pytest.mark.parametrize("wrapped", [False, True], ids=["network", "pipeline"])
def test_networks_are_fitted_once(wrapped):
    network = small(Counting, cv=7)
    estimator = make_pipeline(StandardScaler(), network) if wrapped else network
    Counting.fits.clear()
    model = WeightedEnsembleRegressor([("network", estimator)], cv=KFold(3)).fit(X, NUMBERS)
    assert Counting.fits == [90]
    alone = clone(estimator)
    (alone[-1] if wrapped else alone).set_params(cv=KFold(3))
    alone.fit(X, NUMBERS)
    np.testing.assert_array_equal(model.predict(X), alone.predict(X))
    expected = (alone[-1] if wrapped else alone).oof_prediction_
    np.testing.assert_array_equal(model.oof_prediction_, expected)


@pytest.mark.parametrize(
    ("select", "fits"),
    [
        (StandardScaler(), [90]),
        (SelectKBest(f_regression, k=2), [90, 90, 90, 90]),
        (SelectFromModel(LinearRegression()), [90, 90, 90, 90]),
    ],
    ids=["unsupervised", "supervised", "by a model"],
)
def test_steps_that_use_targets_are_fitted_again_for_each_split(select, fits):
    Counting.fits.clear()
    estimator = make_pipeline(select, small(Counting, cv=7, early_stopping=True))
    model = WeightedEnsembleRegressor([("network", estimator)], cv=KFold(3)).fit(X, NUMBERS)
    assert Counting.fits == fits
    for i in (0, 44, 89):
        y = NUMBERS.copy()
        y[i] += 50
        other = clone(model).fit(X, y)
        assert other.oof_prediction_[i] == model.oof_prediction_[i]


@pytest.mark.parametrize("levels", [3, 40], ids=["one-hot", "by target"])
def test_target_encoder_of_a_table_is_honest(levels):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    codes = np.arange(240) % levels
    frame = pd.DataFrame({"a": rng.normal(size=240), "b": [f"level {c}" for c in codes]})
    y = codes % 3 + frame["a"].to_numpy() + rng.normal(size=240)
    Counting.fits.clear()
    network = small(Counting, cv=8, early_stopping=True)
    table = make_tabular_pipeline(network, random_state=0)
    model = WeightedEnsembleRegressor([("table", table)], cv=KFold(3)).fit(frame, y)
    # The final estimator, and one more fit for each split if there are columns encoded by target.
    assert Counting.fits == ([240] if levels == 3 else [240] * 4)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    for i in (0, 100, 239):
        moved = y.copy()
        moved[i] += 100
        other = clone(model).fit(frame, moved)
        assert other.oof_prediction_[i] == model.oof_prediction_[i]


def test_tables_with_text_columns():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "up", None)})
    frame["c"] = pd.Series(LABELS).astype("category")
    estimators = [
        ("network", make_tabular_pipeline(small(MLPClassifier, cv=3), random_state=0)),
        ("tree", make_tabular_pipeline(DecisionTreeClassifier(max_depth=2, random_state=0))),
    ]
    y = np.where(NUMBERS > 1, "yes", "no")
    model = WeightedEnsembleClassifier(estimators, cv=3, random_state=0)
    model.fit(frame, pd.Series(y), sample_weight=WEIGHT)
    assert model.score(frame, y) > 0.8
    assert model.n_features_in_ == 3
    assert set(model.predict(frame[:5])) <= {"yes", "no"}


# -- scikit-learn's interface --------------------------------------------------------------------


@BOTH
def test_parallel_fits_give_the_same_bits(make, y):
    one, two = make(n_jobs=1).fit(X, y), make(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(outputs(one), outputs(two))
    np.testing.assert_array_equal(one.weights_, two.weights_)
    np.testing.assert_array_equal(one.oof_prediction_, two.oof_prediction_)


@BOTH
def test_pickle_and_clone(make, y):
    model = make().fit(X, y)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(outputs(restored), outputs(model))
    again = clone(model)
    with pytest.raises(NotFittedError):
        again.predict(X)
    np.testing.assert_array_equal(outputs(again.fit(X, y)), outputs(model))


@BOTH
def test_archive(make, y, tmp_path):
    pytest.importorskip("skops")
    from sknn_adam.persistence import load, save

    model = make()
    if make is regressors:
        # Archives do not contain trees.
        model.set_params(tree=LinearRegression())
    model.fit(X, y)
    save(model, tmp_path / "model.skops")
    np.testing.assert_array_equal(outputs(load(tmp_path / "model.skops")), outputs(model))


def test_estimators_are_parameters():
    model = classifiers()
    assert model.get_params()["linear__C"] == 1.0
    assert model.set_params(linear__C=0.5, bayes="drop").named_estimators.bayes == "drop"
    assert model.estimators[0][1].C == 0.5
    search = GridSearchCV(model, {"network": ["drop"], "linear__C": [0.1, 1]}, cv=2)
    assert search.fit(X, LABELS).best_estimator_.weights_.tolist() == [1, 0, 0]


def test_single_estimator():
    model = WeightedEnsembleClassifier([("only", GaussianNB())], cv=3, random_state=0)
    model.fit(X, LABELS)
    assert model.weights_.tolist() == [1]
    assert model.oof_score_ == model.nested_oof_score_ == model.estimator_scores_[0]
    np.testing.assert_array_equal(
        model.predict_proba(X), GaussianNB().fit(X, LABELS).predict_proba(X)
    )


def test_several_outputs_of_a_regressor():
    y = np.c_[NUMBERS, X[:, 2]]
    model = regressors().fit(X, y)
    assert model.predict(X).shape == model.oof_prediction_.shape == (90, 2)
    assert model.oof_score_ == pytest.approx(-mean_squared_error(y, model.oof_prediction_))


@BOTH
def test_sample_weights_reach_fits_and_scores(make, y):
    name = "bayes" if make is classifiers else "tree"
    model = make(cv=KFold(3)).set_params(**{name: "drop"}).fit(X, y, sample_weight=WEIGHT)
    assert model.oof_score_ == pytest.approx(-loss(y, model.oof_prediction_, WEIGHT))
    linear = clone(model.estimators[0][1])
    alone = make(cv=KFold(3)).set_params(**{name: "drop", "network": "drop"})
    alone.fit(X, y, sample_weight=WEIGHT)
    np.testing.assert_array_equal(outputs(alone), outputs(linear.fit(X, y, sample_weight=WEIGHT)))
    # Samples of weight zero do not affect the scores.
    weight = np.where(np.arange(90) % 3, 1.0, 0.0)
    alone.fit(X, y, sample_weight=weight)
    assert alone.oof_score_ == pytest.approx(-loss(y, alone.oof_prediction_, weight))


def test_metadata_routing():
    linear = LogisticRegression()
    model = WeightedEnsembleClassifier(
        [("linear", linear), ("network", make_pipeline(StandardScaler(), small(MLPClassifier)))],
        cv=GroupKFold(3),
    )
    with config_context(enable_metadata_routing=True):
        with pytest.raises(UnsetMetadataPassedError):
            model.fit(X, LABELS, sample_weight=WEIGHT, groups=GROUPS)
        linear.set_fit_request(sample_weight=True)
        model.estimators[1][1][-1].set_fit_request(sample_weight=False)
        model.estimators[1][1][0].set_fit_request(sample_weight=False)
        model.fit(X, LABELS, sample_weight=WEIGHT, groups=GROUPS)
        model.set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        pipeline.fit(X, LABELS, sample_weight=WEIGHT, groups=GROUPS)
    expected = LogisticRegression().fit(X, LABELS, sample_weight=WEIGHT).predict_proba(X)
    fitted = clone(model).set_params(network="drop")
    with config_context(enable_metadata_routing=True):
        fitted.fit(X, LABELS, sample_weight=WEIGHT, groups=GROUPS)
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)


def test_weights_reach_the_second_fits_with_and_without_routing():
    network = small(MLPRegressor, cv=3)
    pipeline = make_pipeline(SelectKBest(f_regression, k=2), network)
    model = WeightedEnsembleRegressor([("network", pipeline)], cv=KFold(3))
    without = clone(model).fit(X, NUMBERS).oof_prediction_
    plain = clone(model).fit(X, NUMBERS, sample_weight=WEIGHT).oof_prediction_
    assert not np.allclose(plain, without)
    with config_context(enable_metadata_routing=True):
        network.set_fit_request(sample_weight=True)
        routed = model.fit(X, NUMBERS, sample_weight=WEIGHT).oof_prediction_
    np.testing.assert_array_equal(routed, plain)
    train, test = np.arange(30, 90), np.arange(30)
    select = SelectKBest(f_regression, k=2).fit(X[train], NUMBERS[train])
    rows = np.concatenate([train, test])
    alone = clone(network).set_params(cv=[(np.arange(60), np.arange(60, 90))])
    alone.fit(select.transform(X[rows]), NUMBERS[rows], WEIGHT[rows])
    np.testing.assert_array_equal(alone.oof_prediction_[60:], plain[:30])


class Interrupting(DummyClassifier):
    """Classifier whose fit is interrupted."""

    def fit(self, X, y, sample_weight=None):
        """Raise KeyboardInterrupt."""
        raise KeyboardInterrupt


def test_interrupted_fit_leaves_the_ensemble_unfitted():
    model = classifiers().set_params(bayes=Interrupting())
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, LABELS)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_html_view_shows_weights_and_scores():
    model = classifiers()
    assert "weight" not in "".join(model._sk_visual_block_().names)
    html = model.fit(X, LABELS)._repr_html_()
    for (name, _), weight in zip(model.estimators, model.weights_, strict=True):
        assert f"{name}: weight {weight:.2f}, score" in html


def test_display_shows_weights_and_scores():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from sknn_adam.inspection import WeightsDisplay

    model = regressors()
    with pytest.raises(NotFittedError):
        WeightsDisplay.from_estimator(model)
    display = WeightsDisplay.from_estimator(model.fit(X, NUMBERS))
    assert [bar.get_width() for bar in display.bars_] == model.weights_.tolist()
    left, right = display.axes_
    assert [label.get_text() for label in left.get_yticklabels()] == ["linear", "tree", "network"]
    assert right.lines[0].get_xdata().tolist() == model.estimator_scores_.tolist()
    assert right.get_xlabel() == "out-of-fold score (neg_mean_squared_error)"
    matplotlib.pyplot.close(display.figure_)
    figure, axes = matplotlib.pyplot.subplots(1, 2)
    assert WeightsDisplay.from_estimator(model, axes=axes).figure_ is figure
    matplotlib.pyplot.close(figure)


def test_verbose_prints_weights(capsys):
    regressors(verbose=1).set_params(network="drop").fit(X, NUMBERS)
    printed = capsys.readouterr().out
    assert "linear: score" in printed


@pytest.mark.parametrize(
    ("given", "y", "error", "message"),
    [
        ([("a", "drop"), ("b", "drop")], LABELS, ValueError, "All estimators are dropped"),
        ([], LABELS, ValueError, "non-empty list"),
        ([("a", LinearSVC())], LABELS, ValueError, "'a' has no predict_proba"),
        ([("a", Ridge())], LABELS, ValueError, "should be a classifier"),
        ([("a", GaussianNB())], np.c_[LABELS, LABELS], ValueError, "MultiOutputClassifier"),
    ],
)
def test_errors(given, y, error, message):
    with pytest.raises(error, match=message):
        WeightedEnsembleClassifier(given).fit(X, y)


def test_estimator_without_sample_weight_is_named():
    model = WeightedEnsembleRegressor([("linear", Ridge()), ("neighbors", KNeighborsRegressor())])
    with pytest.raises(TypeError, match="'neighbors' does not support sample weights"):
        model.fit(X, NUMBERS, sample_weight=WEIGHT)


def test_regressor_with_other_outputs_is_named():
    quantiles = small(MLPRegressor, loss=QuantileLoss([0.1, 0.9]))
    model = WeightedEnsembleRegressor([("quantiles", quantiles)], cv=3)
    with pytest.raises(ValueError, match="'quantiles' predicts 2 values per sample"):
        model.fit(X, NUMBERS)


# -- time limit ----------------------------------------------------------------------------------


class Slow(ClassifierMixin, BaseEstimator):
    """Classifier that sleeps while it is fitted, and predicts frequencies."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def fit(self, X, y):
        """Sleep and count the classes."""
        time.sleep(self.seconds)
        self.classes_, self.counts_ = np.unique(y, return_counts=True)
        return self

    def predict_proba(self, X):
        """Return the frequencies."""
        return np.tile(self.counts_ / self.counts_.sum(), (len(X), 1))

    def predict(self, X):
        """Return the most frequent class."""
        return np.full(len(X), self.classes_[self.counts_.argmax()])


def test_first_estimator_is_always_fitted():
    given = [("slow", Slow(0.05)), ("bayes", GaussianNB())]
    model = WeightedEnsembleClassifier(given, time_limit=0.01, cv=3, random_state=0)
    model.fit(X, LABELS)
    assert model.weights_.tolist() == [1, 0]
    assert np.isnan(model.estimator_scores_[1])
    assert model.stop_reason_ == "time_limit"


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_estimator_that_cannot_finish_is_abandoned(n_jobs):
    # Ten folds of two seconds would exceed the limit, so the first one ends the second estimator.
    given = [("bayes", GaussianNB()), ("slow", Slow(2.0)), ("linear", LogisticRegression())]
    params = {"time_limit": 12, "cv": 20, "random_state": 0, "n_jobs": n_jobs}
    model = WeightedEnsembleClassifier(given, **params)
    start = time.monotonic()
    model.fit(X, LABELS)
    assert time.monotonic() - start < 12
    assert model.stop_reason_ == "time_limit"
    missing = np.isnan(model.estimator_scores_).tolist()
    assert missing[:2] == [False, True]
    # The last one is fast enough, unless the start of the processes has taken too long.
    assert n_jobs or not missing[2]


def test_ample_time_limit_does_not_change_the_result():
    limited = classifiers(time_limit=1000).fit(X, LABELS)
    assert limited.stop_reason_ is None
    np.testing.assert_array_equal(outputs(limited), outputs(classifiers().fit(X, LABELS)))


@pytest.mark.parametrize("supervised", [False, True], ids=["plain", "supervised steps"])
def test_networks_stop_in_time(supervised):
    if not hasattr(MLPClassifier, "set_callbacks"):
        pytest.skip("needs callbacks of scikit-learn 1.9")
    inputs, y = make_classification(400, random_state=0)
    network = small(MLPClassifier, cv=2, max_iter=10**6, n_iter_no_change=10**6)
    estimator = make_pipeline(SelectKBest(k=10), network) if supervised else network
    small(MLPClassifier, cv=2, max_iter=1).fit(inputs, y)
    model = WeightedEnsembleClassifier([("network", estimator)], cv=3, time_limit=5)
    start = time.monotonic()
    model.fit(inputs, y)
    assert 4 < time.monotonic() - start < 6
    assert model.stop_reason_ == "time_limit"
    fitted = model.estimators_[0][-1] if supervised else model.estimators_[0]
    assert fitted.stop_reason_ == "callback"
    assert not hasattr(fitted, "_skl_callbacks")
