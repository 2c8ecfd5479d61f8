"""Ensembles with ``refit=False``, which average the fits for the splits, and the time limit."""

import pickle
from typing import ClassVar

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    KFold,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
    cross_validate,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from sknn_adam import Adam, MLPClassifier, MLPRegressor
from sknn_adam.ensemble import (
    WeightedEnsembleClassifier,
    WeightedEnsembleRegressor,
    make_tabular_ensemble,
)
from sknn_adam.ensemble.selection import NegativeSquaredError, greedy_weights, nested_score
from sknn_adam.inspection import diagnose, fitted_network

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
NUMBERS = 3 * X[:, 0] + X[:, 1] ** 2 + 0.5 * RNG.normal(size=90)
LABELS = np.array(["no", "perhaps", "yes"])[np.digitize(NUMBERS, [-0.5, 2])]
WEIGHT = RNG.uniform(0.1, 3, size=90)
TREE = DecisionTreeRegressor(max_depth=3, random_state=0)


def small(network, **params):
    defaults = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0}
    return network(**defaults | {"optimizer": Adam(learning_rate=0.02)} | params)


def classifiers(**params):
    given = [("linear", LogisticRegression()), ("bayes", GaussianNB())]
    options = {"estimators": given, "cv": 3, "refit": False, "random_state": 0}
    return WeightedEnsembleClassifier(**options | params)


def regressors(**params):
    given = [("linear", Ridge()), ("tree", TREE)]
    options = {"estimators": given, "cv": 3, "refit": False, "random_state": 0}
    return WeightedEnsembleRegressor(**options | params)


BOTH = pytest.mark.parametrize(
    ("make", "y"), [(classifiers, LABELS), (regressors, NUMBERS)], ids=["clf", "reg"]
)


def outputs(model, inputs=X):
    return getattr(model, "predict_proba", model.predict)(inputs)


def fits_of(estimator, y, cv, weight=None):
    """Return the fits of scikit-learn's cross-validation."""
    params = None if weight is None else {"sample_weight": weight}
    return cross_validate(estimator, X, y, cv=cv, params=params, return_estimator=True)["estimator"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore:Training learned nothing. all units")
@pytest.mark.filterwarnings("ignore:The least populated class in y")
@parametrize_with_checks(
    [
        classifiers(estimators=[("a", LogisticRegression()), ("b", small(MLPClassifier))]),
        regressors(estimators=[("a", Ridge()), ("b", small(MLPRegressor))]),
    ]
)
def test_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


# -- predictions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize(
    "cv",
    [
        KFold(3),
        RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        ShuffleSplit(4, test_size=0.2, random_state=0),
        TimeSeriesSplit(3),
    ],
    ids=lambda cv: type(cv).__name__,
)
@BOTH
def test_prediction_is_the_mean_of_the_fits_of_cross_validation(make, y, cv, weight):
    model = make(cv=cv).fit(X, y, sample_weight=weight)
    expected = sum(
        model_weight * np.mean([outputs(fit) for fit in fits_of(estimator, y, cv, weight)], axis=0)
        for model_weight, (_, estimator) in zip(model.weights_, model.estimators, strict=True)
    )
    np.testing.assert_allclose(outputs(model), expected, rtol=1e-12)
    refitted = make(cv=cv, refit=True).fit(X, y, sample_weight=weight)
    assert not np.allclose(outputs(refitted), expected)
    for name in ("oof_prediction_", "weights_", "estimator_scores_", "nested_oof_score_"):
        np.testing.assert_array_equal(getattr(model, name), getattr(refitted, name))


def test_several_outputs_of_a_regressor():
    y = np.c_[NUMBERS, X[:, 2]]
    model = regressors(cv=KFold(3)).set_params(linear="drop").fit(X, y)
    expected = np.mean([fit.predict(X) for fit in fits_of(TREE, y, KFold(3))], axis=0)
    assert expected.shape == (90, 2)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)


def test_class_that_a_training_set_lacks_has_probability_zero_in_that_fit():
    y = LABELS.copy()
    y[:3] = "once"
    model = WeightedEnsembleClassifier([("bayes", GaussianNB())], cv=KFold(3), refit=False)
    model.fit(X, y)
    fits = fits_of(GaussianNB(), y, KFold(3))
    assert [len(fit.classes_) for fit in fits] == [3, 4, 4]
    tables = [dict(zip(fit.classes_, fit.predict_proba(X).T, strict=True)) for fit in fits]
    zero = np.zeros(90)
    for i, label in enumerate(["no", "once", "perhaps", "yes"]):
        expected = np.mean([table.get(label, zero) for table in tables], axis=0)
        np.testing.assert_allclose(model.predict_proba(X)[:, i], expected, atol=1e-15)
    assert (model.oof_prediction_[:3, 1] == 0).all()
    inner = model.estimators_[0]
    assert inner.classes_.tolist() == ["no", "once", "perhaps", "yes"]
    np.testing.assert_array_equal(inner.predict(X), model.predict(X))


@pytest.mark.parametrize("labels", [[False, True], [3, -1], ["b", "a"]], ids=["bool", "int", "str"])
def test_labels_of_any_type(labels):
    y = np.array(labels)[(NUMBERS > 1).astype(int)]
    model = classifiers().fit(X, y)
    for estimator in (model, *model.estimators_):
        assert estimator.classes_.dtype == y.dtype
        assert np.mean(estimator.predict(X) == y) > 0.8


def test_sparse_features():
    sparse = pytest.importorskip("scipy.sparse")
    model = regressors().fit(sparse.csr_matrix(X), NUMBERS)
    np.testing.assert_allclose(
        model.predict(sparse.csr_matrix(X)), regressors().fit(X, NUMBERS).predict(X)
    )


def test_single_split_gives_the_fit_itself():
    cv = [(np.arange(60), np.arange(60, 90))]
    model = WeightedEnsembleRegressor([("linear", Ridge())], cv=cv, refit=False).fit(X, NUMBERS)
    assert type(model.estimators_[0]) is Ridge
    np.testing.assert_array_equal(model.predict(X), Ridge().fit(X[:60], NUMBERS[:60]).predict(X))


# -- fits ----------------------------------------------------------------------------------------


class Counting(Ridge):
    """Ridge regression that counts its fits."""

    fits: ClassVar[list] = []

    def fit(self, X, y, sample_weight=None):
        """Fit, and remember the number of samples."""
        self.fits.append(len(y))
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize(("refit", "fits"), [(True, [60, 60, 60, 90]), (False, [60, 60, 60])])
def test_number_of_fits(refit, fits):
    Counting.fits.clear()
    WeightedEnsembleRegressor([("a", Counting())], cv=3, refit=refit).fit(X, NUMBERS)
    assert Counting.fits == fits


@pytest.mark.parametrize("step", [StandardScaler(), SelectKBest(k=2)], ids=["plain", "by target"])
def test_cross_fitted_networks_are_not_affected(step):
    network = make_pipeline(step, small(MLPClassifier, cv=2, early_stopping=True))
    given = [("network", network)]
    models = [
        WeightedEnsembleClassifier(given, cv=3, refit=refit, random_state=0).fit(X, LABELS)
        for refit in (True, False)
    ]
    np.testing.assert_array_equal(*(outputs(model) for model in models))
    assert len(models[1].estimators_[0][-1].members_) == 3


def test_other_networks_are_averaged():
    network = small(MLPRegressor)
    model = WeightedEnsembleRegressor([("network", network)], cv=KFold(3), refit=False)
    model.fit(X, NUMBERS)
    expected = np.mean([fit.predict(X) for fit in fits_of(network, NUMBERS, KFold(3))], axis=0)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-6)
    assert fitted_network(model) is model.estimators_[0].estimators_[0]


@pytest.mark.parametrize("refit", [True, False])
def test_diagnosis_names_parameters_of_the_ensemble(refit):
    given = [("network", small(MLPClassifier, optimizer="adam", max_iter=4))]
    model = WeightedEnsembleClassifier(given, cv=3, refit=refit, random_state=0).fit(X, LABELS)
    found = {finding.kind: finding for finding in diagnose(model, X, LABELS)}
    assert set(found["stopped_early"].params) == {"network__max_iter"}
    model.set_params(**found["stopped_early"].params)


@BOTH
def test_parallel_fits_give_the_same_bits(make, y):
    one, two = make(n_jobs=1).fit(X, y), make(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(outputs(one), outputs(two))


def test_metadata_routing():
    linear = LogisticRegression()
    model = WeightedEnsembleClassifier([("linear", linear)], cv=KFold(3), refit=False)
    with config_context(enable_metadata_routing=True):
        linear.set_fit_request(sample_weight=True)
        model.fit(X, LABELS, sample_weight=WEIGHT)
    fits = fits_of(LogisticRegression(), LABELS, KFold(3), WEIGHT)
    np.testing.assert_allclose(outputs(model), np.mean([outputs(fit) for fit in fits], axis=0))


# -- the fitted estimators -----------------------------------------------------------------------


@BOTH
def test_pickle_and_clone(make, y):
    model = make().fit(X, y)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(outputs(restored), outputs(model))
    np.testing.assert_array_equal(outputs(clone(model).fit(X, y)), outputs(model))


@BOTH
def test_archive(make, y, tmp_path):
    pytest.importorskip("skops")
    from sknn_adam.persistence import load, save

    # Archives do not contain trees.
    model = make() if make is classifiers else make().set_params(tree=Ridge(alpha=100))
    save(model.fit(X, y), tmp_path / "model.skops")
    restored = load(tmp_path / "model.skops")
    np.testing.assert_array_equal(outputs(restored), outputs(model))
    assert [len(each.estimators_) for each in restored.estimators_] == [3] * len(model.estimators_)


@BOTH
def test_mean_of_the_fits_is_an_estimator(make, y):
    """As for a FrozenEstimator, `fit` and `clone` do not change the fits."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = make()
    model.set_params(estimators=model.estimators[:1]).fit(frame, y)
    inner = model.estimators_[0]
    assert inner is model.named_estimators_["linear"]
    check_is_fitted(inner)
    assert inner.n_features_in_ == model.n_features_in_ == 4
    assert inner.feature_names_in_.tolist() == model.feature_names_in_.tolist() == list("abcd")
    assert clone(inner).fit(frame[:5], y[:5]) is inner
    assert inner.score(frame, y) > 0.7
    importances = permutation_importance(inner, frame, y, random_state=0).importances_mean
    assert importances.argmax() == 0


@BOTH
def test_html_view_shows_the_fits(make, y):
    html = make().fit(X, y)._repr_html_()
    for split in range(3):
        assert f"split {split}" in html


def test_graph_is_refused():
    skl2onnx = pytest.importorskip("skl2onnx")
    from skl2onnx.common.exceptions import MissingShapeCalculator

    from sknn_adam import onnx

    onnx.register()
    model = WeightedEnsembleClassifier([("network", small(MLPClassifier))], cv=3, refit=False)
    model.fit(X, LABELS)
    for each in (model, model.estimators_[0]):
        with pytest.raises(MissingShapeCalculator, match=type(each).__name__):
            skl2onnx.to_onnx(each, X[:1].astype(np.float32))


def test_tables():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "up", None)})
    model = make_tabular_ensemble("classifier", include=["boosting"], cv=3, random_state=0)
    model.set_params(refit=False, boosting__model__max_iter=10)
    model.fit(frame, LABELS)
    last = [fit[-1] for fit in model.named_estimators_["boosting"].estimators_]
    assert [type(each) for each in last] == [HistGradientBoostingClassifier] * 3
    assert model.score(frame, LABELS) > 0.7
    assert model.feature_names_in_.tolist() == ["a", "b"]


# -- time limit ----------------------------------------------------------------------------------


class Clock:
    """Clock that is advanced by the estimators below, and by `tick` each time it is read."""

    now = tick = 0.0

    def __call__(self):
        """Return the time."""
        self.now += self.tick
        return self.now


CLOCK = Clock()


@pytest.fixture
def clock(monkeypatch):
    for module in ("base", "cross_fit", "fitting", "networks", "selection"):
        monkeypatch.setattr(f"sknn_adam.ensemble.{module}.monotonic", CLOCK)
    CLOCK.now = CLOCK.tick = 0.0
    yield CLOCK
    CLOCK.tick = 0.0


N_SPLITS = 6
FOLD = np.arange(90) % N_SPLITS


class Timed(RegressorMixin, BaseEstimator):
    """Regressor that predicts a column of X.

    Its fit takes half of `seconds` for the first split and all of them for the last one. The first
    column of X is the number of the fold.
    """

    def __init__(self, column=1, seconds=1.0):
        self.column, self.seconds = column, seconds

    def fit(self, X, y):
        """Advance the clock."""
        self.n_features_in_ = X.shape[1]
        missing = set(range(N_SPLITS)) - set(X[:, 0])
        fraction = N_SPLITS / (N_SPLITS - 1)
        for split in missing:
            fraction = 0.5 + 0.5 * split / (N_SPLITS - 1)
        CLOCK.now += self.seconds * fraction
        return self

    def predict(self, X):
        """Return the column."""
        return X[:, self.column]


def timed(seconds, **params):
    """Return an ensemble of regressors with independent errors, and its data."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=90)
    inputs = np.c_[FOLD, y[:, None] + rng.normal(size=(90, len(seconds)))]
    given = [(f"n{i}", Timed(i + 1, each)) for i, each in enumerate(seconds)]
    return WeightedEnsembleRegressor(given, cv=PredefinedSplit(FOLD), **params), inputs, y


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_limit_is_exceeded_by_less_than_a_fold(clock, refit, seed):
    """After a fast first estimator, no fit for a split takes more than a tenth of the limit."""
    low, high = [(1, 1.2), (0, 3), (0, 9.9), (1, 1.2)][seed % 4]
    seconds = np.random.default_rng(seed).uniform(low, high, size=40)
    if seed % 4 == 3:
        # The later estimators are much slower than those before them.
        seconds[10 + seed // 4 :] = 9.9
    model, inputs, y = timed([0.1, *seconds], time_limit=100, n_rounds=50, refit=refit)
    model.fit(inputs, y)
    # The remaining twentieth is for the choice of the weights, which the clock does not measure.
    assert clock.now <= 105
    assert model.stop_reason_ == "time_limit"
    assert np.isnan(model.estimator_scores_).any()


def fitted(seconds, **params):
    """Return which of the estimators were fitted within 100 seconds."""
    model, inputs, y = timed(seconds, time_limit=100, **params)
    model.fit(inputs, y)
    assert CLOCK.now <= 105
    assert model.stop_reason_ == (
        None if np.isfinite(model.estimator_scores_).all() else "time_limit"
    )
    return np.isfinite(model.estimator_scores_).tolist()


def test_estimators_after_an_abandoned_one_are_fitted(clock):
    assert fitted([1, 30, 1, 1], refit=False) == [True, False, True, True]


def test_estimator_starts_if_there_is_time_for_a_fold(clock):
    # The first one takes 90 of 95 seconds. The other 5 are less than a sixth of it.
    assert fitted([20, 0.1], refit=False) == [True, False]
    clock.now = 0.0
    # It takes 67.5 seconds, and 27.5 are left.
    assert fitted([15, 0.1], refit=False) == [True, True]


@pytest.mark.parametrize(("can_stop", "expected"), [(True, True), (False, False)])
def test_network_that_stops_in_time_starts_with_half_the_time(
    clock, monkeypatch, can_stop, expected
):
    monkeypatch.setattr("sknn_adam.ensemble.fitting.can_stop_in_time", lambda estimator: can_stop)
    # The first estimator takes 54 of 95 seconds; the remaining 41 are more than half of that.
    model, inputs, y = timed([12], time_limit=100, refit=False)
    network = small(MLPRegressor, cv=2, max_iter=2)
    model.set_params(estimators=[*model.estimators, ("network", network)]).fit(inputs, y)
    assert np.isfinite(model.estimator_scores_).tolist() == [True, expected]


def test_no_time_is_reserved_for_averaged_fits(clock):
    # Six fits take 4.5 times 10 seconds, and a fit to all samples 12 seconds.
    for refit, finished in ((True, 1), (False, 2)):
        model, inputs, y = timed([10, 10, 10], time_limit=100, refit=refit)
        model.fit(inputs, y)
        assert np.isfinite(model.estimator_scores_).sum() == finished


@pytest.mark.parametrize("refit", [True, False])
def test_choice_of_the_weights_ends_in_time(clock, refit):
    calls = []

    def scoring(estimator, X, y):
        calls.append(len(y))
        clock.now += 0.1
        return r2_score(y, estimator.predict(X))

    params = {"scoring": scoring, "n_rounds": 10**6, "refit": refit}
    model, inputs, y = timed([1, 1, 1], time_limit=100, **params)
    model.fit(inputs, y)
    # A round calls the scorer six times.
    assert 60 < clock.now < 102
    assert np.count_nonzero(model.weights_) == 3
    # Half of the time is for the weights, the other half for the nested score.
    whole = sum(size == 90 for size in calls)
    assert 0.9 < whole / (len(calls) - whole) < 1.1
    assert model.nested_oof_score_ == pytest.approx(model.oof_score_, abs=0.05)


class SlowOnce(TransformerMixin, BaseEstimator):
    """Transformer whose first fit to a subset takes 30 seconds."""

    seen: ClassVar[list] = []

    def fit(self, X, y):
        """Advance the clock."""
        if len(y) < 90 and not self.seen:
            self.seen.append(len(y))
            CLOCK.now += 30
        return self

    def transform(self, X):
        """Return X."""
        return X

    def __sklearn_is_fitted__(self):
        return True


def test_second_fits_make_up_for_a_slow_one(clock):
    if not hasattr(MLPRegressor, "set_callbacks"):
        pytest.skip("needs callbacks of scikit-learn 1.9")
    SlowOnce.seen.clear()
    # Each epoch reads the clock once.
    clock.tick = 0.1
    network = small(MLPRegressor, cv=2, max_iter=10**6, n_iter_no_change=10**6)
    given = [("network", make_pipeline(SlowOnce(), network))]
    model = WeightedEnsembleRegressor(given, cv=5, time_limit=100, random_state=0)
    model.fit(X, NUMBERS)
    assert SlowOnce.seen == [72]
    assert 90 < clock.now < 105
    assert model.stop_reason_ == "time_limit"


def test_choice_of_the_weights_does_one_round_if_the_time_is_over():
    score = NegativeSquaredError(np.zeros((4, 1)), None)
    # Each prediction alone has an error of 1, and their mean none.
    predictions = np.array([[1.0], [-1.0]])[:, None].repeat(4, axis=1)
    assert greedy_weights(predictions, score, 50).tolist() == [0.5, 0.5]
    assert greedy_weights(predictions, score, 50, end=0.0).tolist() == [1, 0]
    held = [np.array([0, 1]), np.array([2, 3])]
    assert nested_score(predictions, score, held, 50) == 0
    assert nested_score(predictions, score, held, 50, end=0.0) == -1
