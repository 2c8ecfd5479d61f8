"""Intervals and class sets: against MAPIE, hand calculations and known distributions."""

import pickle
from math import ceil

import numpy as np
import pytest
from rows import load_golden
from scipy.stats import kstest
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_classification
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    PredefinedSplit,
    RepeatedKFold,
    TimeSeriesSplit,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknn_adam import MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam.conformal import ConformalClassifier, ConformalRegressor
from sknn_adam.conformal.ranks import kth_smallest
from sknn_adam.conformal.sets import _fractions
from sknn_adam.ensemble import WeightedEnsembleClassifier, WeightedEnsembleRegressor
from sknn_adam.inspection import diagnose
from sknn_adam.losses import QuantileLoss
from sknn_adam.persistence import load, save

DIABETES, Y = load_diabetes(return_X_y=True)
GOLDEN = load_golden("conformal")


def net(kind=MLPRegressor, **params):
    """Return a small cross-fitted network."""
    given = {"hidden_layer_sizes": (8,), "max_iter": 20, "cv": 4, "random_state": 0}
    return kind(**given | params)


def converged(kind=MLPRegressor, **params):
    """Return a network whose fits hardly differ between splits."""
    given = {"hidden_layer_sizes": (32,), "max_iter": 100, "early_stopping": True}
    given["optimizer__learning_rate"] = 0.01
    return net(kind).set_params(**given | params)


def inside(interval, y):
    return (interval[..., 0] <= y) & (y <= interval[..., 1])


def noisy(n, rng, by=1.0):
    """Return samples of a linear function with normal noise of standard deviation `by`."""
    X = rng.normal(size=(n, 3))
    return X, X @ [1.0, 2.0, -1.0] + by * rng.normal(size=n)


@parametrize_with_checks(
    [
        ConformalRegressor(Ridge(), method="mean", cv=3, random_state=0),
        ConformalClassifier(LogisticRegression(), cv=3, random_state=0),
    ]
)
def test_follows_the_scikit_learn_interface(estimator, check):
    check(estimator)


# -- intervals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("coverage", GOLDEN["intervals"])
def test_intervals_equal_those_of_mapie(coverage):
    model = ConformalRegressor(LinearRegression(), cv=KFold(4)).fit(DIABETES[:61], Y[:61])
    interval = model.predict_interval(DIABETES[61:71], coverage=float(coverage))
    np.testing.assert_allclose(interval, GOLDEN["intervals"][coverage], rtol=1e-11)


def test_interval_equals_a_hand_calculation():
    # Each fit predicts the mean of the other fold: 15 for the first, 1 for the second. The errors
    # are 15, 14, 13 and 9, 19, so the values for a new sample are 15 + (15, 14, 13) and
    # 1 + (9, 19), and 15 - (15, 14, 13) and 1 - (9, 19).
    y = np.array([0.0, 1.0, 2.0, 10.0, 20.0])
    model = ConformalRegressor(DummyRegressor(), cv=PredefinedSplit([0, 0, 0, 1, 1]))
    model.fit(np.zeros((5, 1)), y)
    assert model.conformity_scores_.tolist() == [15, 14, 13, 9, 19]
    # Ranks: 0.5 * 6 = 3 of 10, 20, 28, 29, 30, and of -18, -8, 0, 1, 2 from above.
    for coverage, expected in ((0.5, (0, 28)), (0.8, (-18, 30)), (0.9, (-np.inf, np.inf))):
        found = model.predict_interval([[0.0]], coverage)
        np.testing.assert_allclose(found, [expected], atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 17, 40, 59, 60])
def test_kth_smallest_agrees_with_sorting(k, rng):
    base, scale = rng.normal(size=(3, 25)), rng.uniform(0.1, 3, size=(3, 25))
    # Scores with ties, and sets of different sizes.
    scores = [np.sort(rng.choice([-1.0, 0.0, 0.5, 2.0], n)) for n in (5, 25, 30)]
    found = kth_smallest(base, scale, scores, k)
    for i in range(25):
        each = np.concatenate([base[s, i] + scale[s, i] * scores[s] for s in range(3)])
        assert found[i] == pytest.approx(np.sort(each)[k - 1], rel=1e-12, abs=1e-12)
    assert np.isinf(kth_smallest(base, scale, scores, 61)).all()


@pytest.mark.parametrize("loss", ["squared_error", "gaussian", QuantileLoss([0.1, 0.5, 0.9])])
@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_coverage_is_as_stated(loss, coverage, rng):
    X, y = noisy(3000, rng)
    model = ConformalRegressor(converged(loss=loss)).fit(X[:1000], y[:1000])
    interval = model.predict_interval(X[1000:], coverage)
    # Three standard deviations, with those of 1000 scores.
    error = 3 * np.sqrt(coverage * (1 - coverage) * (1 / 1000 + 1 / 2000))
    assert inside(interval, y[1000:]).mean() == pytest.approx(coverage, abs=error)


@pytest.mark.parametrize("loss", ["gaussian", QuantileLoss([0.05, 0.95])])
def test_widths_follow_the_noise(loss, rng):
    X = rng.uniform(size=(2000, 1))
    y = (0.1 + 2 * (X[:, 0] > 0.5)) * rng.normal(size=2000)
    network = converged(loss=loss)
    quiet, loud = (
        np.diff(ConformalRegressor(model).fit(X, y).predict_interval([[0.2], [0.8]])).ravel()
        for model in (network, clone(network).set_params(loss="squared_error"))
    )
    # The standard deviations of the noise are 0.1 and 2.1; the interval for normal errors is 3.3
    # standard deviations wide.
    assert quiet[0] < 0.7
    assert quiet[1] == pytest.approx(3.29 * 2.1, rel=0.15)
    assert loud[0] > 1.5


def test_network_is_fitted_once_and_keeps_its_bits():
    splits = list(KFold(4, shuffle=True, random_state=3).split(Y))
    plain = net(cv=splits).fit(DIABETES, Y)
    model = ConformalRegressor(net(), cv=splits).fit(DIABETES, Y)
    np.testing.assert_array_equal(model.predict(DIABETES), plain.predict(DIABETES))
    assert model._fits == []
    np.testing.assert_array_equal(model.conformity_scores_, np.abs(Y - plain.oof_prediction_))


def test_out_of_fold_deviations_are_those_of_the_network_that_holds_out_the_sample():
    splits = list(KFold(4).split(Y))
    model = net(cv=splits, loss="gaussian").fit(DIABETES, Y)
    for (_, held), member in zip(splits, model.members_, strict=True):
        expected = member.predict(DIABETES[held], return_std=True)[1]
        np.testing.assert_allclose(model.oof_std_[held], expected, rtol=1e-6)
    assert not hasattr(net().fit(DIABETES, Y), "oof_std_")
    assert not hasattr(model.members_[0], "oof_std_")


def test_a_step_that_uses_targets_is_fitted_for_each_split(rng):
    X = np.c_[rng.integers(0, 30, 400), rng.normal(size=400)].astype(float)
    y = rng.normal(size=400)
    pipeline = make_pipeline(TargetEncoder(), StandardScaler(), net())
    model = ConformalRegressor(pipeline, cv=KFold(4)).fit(X, y)
    assert len(model._fits) == 4
    # The targets are noise. An encoder that has seen them would make the errors too small.
    assert np.sqrt(np.mean(model.conformity_scores_**2)) > 0.95 * y.std()
    for (_, held), fit in zip(KFold(4).split(X), model._fits, strict=True):
        expected = np.abs(fit.predict(X[held]) - y[held])
        np.testing.assert_allclose(model.conformity_scores_[held], expected, rtol=1e-5)


@pytest.mark.parametrize("n_members", [1, 3])
def test_several_outputs_have_separate_intervals(n_members):
    both = np.c_[Y, 2 * Y + 5]
    model = ConformalRegressor(net(n_members=n_members)).fit(DIABETES, both)
    interval = model.predict_interval(DIABETES[:7])
    assert interval.shape == (7, 2, 2)
    assert model.conformity_scores_.shape == both.shape
    assert inside(model.predict_interval(DIABETES), both).mean(axis=0) == pytest.approx(
        [0.92, 0.92], abs=0.06
    )


def test_repeated_folds_average_the_fits_that_hold_out_a_sample():
    cv = RepeatedKFold(n_splits=3, n_repeats=2, random_state=0)
    model = ConformalRegressor(Ridge(), cv=cv).fit(DIABETES, Y)
    splits, total = list(cv.split(Y)), np.zeros(len(Y))
    for train, held in splits:
        total[held] += Ridge().fit(DIABETES[train], Y[train]).predict(DIABETES[held]) / 2
    np.testing.assert_allclose(model.conformity_scores_, np.abs(Y - total), rtol=1e-10)
    # Three times three pairs of splits.
    assert model._sets.shape == (9, 6)
    assert (model._sets.sum(axis=1) == 2).all()


def test_samples_in_no_test_set_have_no_score():
    model = ConformalRegressor(Ridge(), cv=TimeSeriesSplit(3)).fit(DIABETES, Y)
    first = next(TimeSeriesSplit(3).split(Y))[0]
    assert np.isnan(model.conformity_scores_[first]).all()
    assert np.isfinite(model.conformity_scores_[len(first) :]).all()
    assert np.isfinite(model.predict_interval(DIABETES[:3])).all()


def test_groups_stay_together(rng):
    group = rng.integers(0, 20, len(Y))
    model = ConformalRegressor(KNeighborsRegressor(1), cv=5, random_state=0)
    # Neighbours of the same group are perfect, so only folds of groups show the real errors.
    X, y = group[:, None].astype(float), rng.normal(size=20)[group]
    assert model.fit(X, y).conformity_scores_.max() == 0
    assert np.median(model.fit(X, y, groups=group).conformity_scores_) > 0.3
    named = ConformalRegressor(Ridge(), cv=GroupKFold(4)).fit(X, y, groups=group)
    assert named._sets.shape == (4, 4)


def test_samples_of_weight_zero_are_ignored():
    weight = np.ones(len(Y))
    weight[::3] = 0
    model = ConformalRegressor(net(), cv=KFold(4)).fit(DIABETES, Y, sample_weight=weight)
    assert np.isnan(model.conformity_scores_[::3]).all()
    assert model._n_scores == np.count_nonzero(weight)


def test_an_ensemble_is_supported():
    estimators = [("net", make_pipeline(StandardScaler(), net())), ("linear", Ridge())]
    ensemble = WeightedEnsembleRegressor(estimators, cv=4, refit=False, random_state=0)
    model = ConformalRegressor(ensemble).fit(DIABETES, Y)
    np.testing.assert_allclose(
        model.conformity_scores_, np.abs(Y - model.estimator_.oof_prediction_), rtol=1e-10
    )
    assert 0.87 < inside(model.predict_interval(DIABETES), Y).mean() < 0.97


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 90, "0.9", None])
def test_invalid_coverage_raises(coverage):
    model = ConformalRegressor(Ridge()).fit(DIABETES, Y)
    with pytest.raises(ValueError, match="coverage must be a number between 0 and 1"):
        model.predict_interval(DIABETES, coverage)


def test_wrong_kinds_of_estimators_raise():
    with pytest.raises(ValueError, match="must be a regressor"):
        ConformalRegressor(GaussianNB()).fit(DIABETES, Y)
    with pytest.raises(ValueError, match="must be a classifier"):
        ConformalClassifier(Ridge()).fit(DIABETES, Y > 100)
    with pytest.raises(ValueError, match="one ConformalClassifier per column"):
        ConformalClassifier(GaussianNB()).fit(DIABETES, np.c_[Y > 100, Y > 150])
    with pytest.raises(NotFittedError):
        ConformalRegressor(Ridge()).predict_interval(DIABETES)


def test_a_frame_with_categories_works(rng):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(
        {"number": rng.normal(size=300), "word": rng.choice(list("abc"), 300)}, index=range(7, 307)
    )
    y = X["number"] + (X["word"] == "a")
    network = make_tabular_pipeline("regressor", random_state=0).set_params(model__max_iter=3)
    model = ConformalRegressor(network, random_state=0).fit(X, y)
    assert model.predict_interval(X).shape == (300, 2)
    assert list(model.feature_names_in_) == ["number", "word"]


def test_one_row_and_read_only_arrays():
    X, y = DIABETES.copy(), Y.copy()
    X.flags.writeable = y.flags.writeable = False
    model = ConformalRegressor(net()).fit(X, y)
    many, one = model.predict_interval(X), model.predict_interval(X[:1])
    np.testing.assert_allclose(one[0], many[0], rtol=1e-5)


@pytest.mark.parametrize("inner", [net(), Ridge()])
def test_copies_predict_the_same(inner, tmp_path):
    pytest.importorskip("skops")
    model = ConformalRegressor(inner, cv=3, random_state=0).fit(DIABETES, Y)
    expected = model.predict_interval(DIABETES)
    save(model, tmp_path / "model.npz")
    for copy in (
        pickle.loads(pickle.dumps(model)),
        load(tmp_path / "model.npz"),
        clone(model).fit(DIABETES, Y),
        clone(model).set_params(n_jobs=2).fit(DIABETES, Y),
    ):
        np.testing.assert_array_equal(copy.predict_interval(DIABETES), expected)


def test_a_search_reaches_the_inner_estimator():
    grid = {"estimator__max_iter": [1, 20]}
    search = GridSearchCV(ConformalRegressor(net(), random_state=0), grid, cv=2).fit(DIABETES, Y)
    assert search.best_params_ == {"estimator__max_iter": 20}
    assert search.best_estimator_.predict_interval(DIABETES).shape == (len(Y), 2)


def test_diagnosis_suggests_parameters_of_the_inner_network():
    findings = diagnose(ConformalRegressor(net(max_iter=2)).fit(DIABETES, Y))
    assert [finding.kind for finding in findings] == ["stopped_early"]
    assert list(findings.params) == ["estimator__max_iter"]


# -- class sets ----------------------------------------------------------------------------------


def test_sets_equal_a_hand_calculation():
    # Each fit predicts the frequencies of the other fold: (3/4, 1/4) for the first three samples,
    # (2/3, 1/3) for the last four.
    y = np.array(["a", "a", "b", "a", "a", "a", "b"])
    cv = PredefinedSplit([0, 0, 0, 1, 1, 1, 1])
    model = ConformalClassifier(DummyClassifier(), conformity_score="lac", allow_empty=True, cv=cv)
    model.fit(np.zeros((7, 1)), y)
    third = 1 / 3
    expected = [0.25, 0.25, 0.75, third, third, third, 1 - third]
    np.testing.assert_allclose(model.conformity_scores_, expected)
    # No score is below that of "a" in the same fit; 2 + 3 are below that of "b".
    for coverage, row in ((0.5, [True, False]), (0.7, [True, True])):
        assert model.predict_set([[0.0]], coverage).tolist() == [row]


def test_aps_scores_equal_a_hand_calculation():
    model = ConformalClassifier(GaussianNB())
    scores = model._scores_of_classes(np.array([[0.2, 0.5, 0.3]]), np.array([0.5]))
    # Half of the own probability, plus those of the more probable classes.
    np.testing.assert_allclose(scores, [[0.8 + 0.1, 0.25, 0.5 + 0.15]])


@pytest.mark.parametrize("score", ["aps", "lac"])
@pytest.mark.parametrize(
    "estimator", [converged(MLPClassifier), LogisticRegression()], ids=["net", "lr"]
)
def test_coverage_of_sets_is_as_stated(score, estimator):
    X, y = make_classification(
        3000, 6, n_informative=4, n_classes=4, n_clusters_per_class=1, random_state=0
    )
    model = ConformalClassifier(estimator, conformity_score=score, allow_empty=True, random_state=0)
    sets = model.fit(X[:1000], y[:1000]).predict_set(X[1000:], 0.8)
    error = 3 * np.sqrt(0.8 * 0.2 * (1 / 1000 + 1 / 2000))
    assert sets[np.arange(2000), y[1000:]].mean() == pytest.approx(0.8, abs=error)


def test_sets_are_empty_only_if_allowed():
    X, y = load_iris(return_X_y=True)
    model = ConformalClassifier(net(MLPClassifier), random_state=0).fit(X, y)
    sets = model.predict_set(X, 0.5)
    assert sets.any(axis=1).all()
    empty = ~model.set_params(allow_empty=True).predict_set(X, 0.5).any(axis=1)
    assert empty.any()
    # The only class is the prediction.
    np.testing.assert_array_equal(
        model.classes_[sets[empty].argmax(axis=1)], model.predict(X)[empty]
    )


def test_higher_coverage_gives_larger_sets():
    X, y = load_iris(return_X_y=True)
    model = ConformalClassifier(net(MLPClassifier), random_state=0).fit(X, y)
    small, large = (model.predict_set(X, coverage) for coverage in (0.8, 0.99))
    assert (small <= large).all()
    assert small.sum() < large.sum()


def test_classes_missing_from_a_training_set_are_supported():
    X, y = load_iris(return_X_y=True)
    names = np.array(["x", "y", "z"])[y]
    # In order, each fold holds out a class completely.
    model = ConformalClassifier(GaussianNB(), cv=KFold(3), random_state=0).fit(X, names)
    assert model.predict_set(X).shape == (150, 3)
    assert model.conformity_scores_.min() > 0.99


@pytest.mark.parametrize("ensemble", [False, True])
def test_class_sets_of_copies_are_the_same(ensemble, tmp_path):
    pytest.importorskip("skops")
    X, y = load_iris(return_X_y=True)
    inner = net(MLPClassifier)
    if ensemble:
        inner = WeightedEnsembleClassifier(
            [("net", inner), ("bayes", GaussianNB())], cv=3, refit=False, random_state=0
        )
    model = ConformalClassifier(inner, random_state=0).fit(X, y)
    expected = model.predict_set(X)
    save(model, tmp_path / "model.npz")
    for copy in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model.npz")):
        np.testing.assert_array_equal(copy.predict_set(X), expected)
    np.testing.assert_allclose(model.predict_proba(X), model.estimator_.predict_proba(X))


def test_rank_is_not_changed_by_rounding():
    # 0.9 * (9 + 1) is 9, so the interval is finite with nine samples, but not with eight.
    assert ceil(0.9 * 10 - 1e-9) == 9
    for n, finite in ((9, True), (8, False)):
        model = ConformalRegressor(DummyRegressor(), cv=3, random_state=0).fit(
            np.zeros((n, 1)), np.arange(n, dtype=float)
        )
        assert np.isfinite(model.predict_interval([[0.0]])).all() == finite


# -- around the mean -----------------------------------------------------------------------------


def test_interval_around_the_mean_equals_a_hand_calculation():
    # As above, but 8 is the mean of 15 and 1, and the errors are 9, 13, 14, 15 and 19. The
    # predictions of the two fits have the variance 98, and the mean squared error is 206.4.
    y = np.array([0.0, 1.0, 2.0, 10.0, 20.0])
    cv = PredefinedSplit([0, 0, 0, 1, 1])
    model = ConformalRegressor(DummyRegressor(), method="mean", cv=cv).fit(np.zeros((5, 1)), y)
    factor = np.sqrt(1 - 98 / 206.4 * (1 - 1 / 2))
    for coverage, quantile in ((0.5, 14), (0.8, 19), (0.9, np.inf)):
        found = model.predict_interval([[0.0]], coverage)
        np.testing.assert_allclose(found, [[8 - factor * quantile, 8 + factor * quantile]])


@pytest.mark.parametrize("loss", ["squared_error", "gaussian", QuantileLoss([0.05, 0.5, 0.95])])
def test_coverage_around_the_mean_is_close_if_networks_differ(loss, rng):
    # 20 epochs are few, so the networks differ.
    X, y = noisy(3000, rng, by=0.3)
    gaps = {}
    for method in ("plus", "mean"):
        network = net(loss=loss, cv=8)
        model = ConformalRegressor(network, method=method, random_state=0).fit(X[:1000], y[:1000])
        gaps[method] = inside(model.predict_interval(X[1000:]), y[1000:]).mean() - 0.9
    assert gaps["plus"] > 0.05
    assert abs(gaps["mean"]) < gaps["plus"]


@pytest.mark.parametrize("inner", [net(n_members=2), KNeighborsRegressor(1), LinearRegression()])
def test_interval_around_the_mean_is_never_wider(inner):
    def widths(method):
        model = ConformalRegressor(inner, method=method, cv=4, random_state=0).fit(DIABETES, Y)
        return np.diff(model.predict_interval(DIABETES), axis=1)

    assert np.median(widths("mean") / widths("plus")) <= 1.001


def test_sets_of_the_mean_use_mean_probabilities():
    X, y = load_iris(return_X_y=True)
    model = ConformalClassifier(
        net(MLPClassifier), conformity_score="lac", method="mean", allow_empty=True
    )
    model.fit(X, y)
    # The smallest probability of a class in a set is the quantile of those of the true classes.
    scores = np.sort(model.conformity_scores_)
    limit = scores[int(np.ceil(0.8 * 151)) - 1]
    expected = 1 - model.predict_proba(X) <= limit + 1e-12
    np.testing.assert_array_equal(model.predict_set(X, 0.8), expected)


# -- scales, rows and routing --------------------------------------------------------------------


@pytest.mark.parametrize(
    "inner",
    [
        net(loss="gaussian"),
        net(loss="gaussian", cv=None),
        make_pipeline(StandardScaler(), net(loss="gaussian", cv=None)),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), net(loss="gaussian"))),
        WeightedEnsembleRegressor(
            [("a", net(loss="gaussian")), ("b", net(loss="gaussian", activation="tanh"))], cv=4
        ),
        net(),
        Ridge(),
    ],
)
@pytest.mark.parametrize("method", ["plus", "mean"])
def test_intervals_scale_with_the_targets(inner, method):
    def interval(scale):
        model = ConformalRegressor(inner, method=method, cv=KFold(4)).fit(DIABETES, scale * Y)
        return model.predict_interval(DIABETES) / scale

    assert 0.85 < inside(interval(1.0), Y).mean() < 0.99
    np.testing.assert_allclose(interval(1e3), interval(1.0), rtol=1e-3)
    assert np.isfinite(interval(1e150)).all()


def test_standard_deviations_are_those_of_the_fit_that_holds_out_the_sample():
    folds = KFold(4)
    for inner in (net(loss="gaussian", cv=None), make_pipeline(net(loss="gaussian", cv=None))):
        model = ConformalRegressor(inner, cv=folds).fit(DIABETES, Y)
        for (train, held), found in zip(folds.split(Y), model._fits, strict=True):
            fit = clone(inner).fit(DIABETES[train], Y[train])
            mean, std = fit.predict(DIABETES[held], return_std=True)
            expected = np.abs(mean - Y[held]) / std
            np.testing.assert_allclose(model.conformity_scores_[held], expected, rtol=1e-4)
            np.testing.assert_array_equal(found.predict(DIABETES[held]), mean)


def test_sets_of_single_rows_have_the_stated_coverage():
    X, y = make_classification(
        1500, 6, n_informative=4, n_classes=4, n_clusters_per_class=1, random_state=0
    )
    model = ConformalClassifier(LogisticRegression(), allow_empty=True, random_state=6)
    model.fit(X[:1000], y[:1000])
    together = model.predict_set(X[1000:], 0.8)
    one_by_one = np.concatenate([model.predict_set(row[None], 0.8) for row in X[1000:]])
    assert (together == one_by_one).mean() > 0.99
    assert one_by_one[np.arange(500), y[1000:]].mean() == pytest.approx(0.8, abs=0.06)


def test_fractions_are_uniform_and_functions_of_the_row(rng):
    probability = rng.dirichlet(np.ones(3), size=5000)
    fractions = _fractions(probability)
    np.testing.assert_array_equal(_fractions(probability[::-1]), fractions[::-1])
    assert kstest(fractions, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(fractions, probability[:, 0])[0, 1]) < 0.05


def test_folds_are_those_of_the_random_state_of_the_network():
    first, second = (ConformalRegressor(net()).fit(DIABETES, Y) for _ in range(2))
    np.testing.assert_array_equal(first.conformity_scores_, second.conformity_scores_)


@pytest.mark.parametrize("given", [{}, {"groups": np.arange(len(Y)) // 3}])
def test_metadata_routing_works_without_requests(given):
    with config_context(enable_metadata_routing=True):
        model = ConformalRegressor(Ridge(), cv=4, random_state=0).fit(DIABETES, Y, **given)
    assert model.predict_interval(DIABETES[:2]).shape == (2, 2)


def test_constant_targets_are_diagnosed_without_error():
    findings = diagnose(ConformalRegressor(net()).fit(DIABETES, np.ones(len(Y))))
    assert "overfitting" not in [finding.kind for finding in findings]
