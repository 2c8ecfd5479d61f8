"""Cross-fitting by `cv`: splits, honest out-of-fold predictions, groups, and pipelines."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam.losses import GaussianLoss

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
NUMBERS = 30 * X[:, 0] + 10 * X[:, 1] ** 2 + RNG.normal(size=60) + 100
CODES = np.digitize(NUMBERS, [90, 115])
LABELS = np.array(["a", "b", "c"])[CODES]
MATRIX = (X[:, :3] + RNG.normal(size=(60, 3)) > 0).astype(int)
COLUMNS = np.c_[LABELS, np.array(["u", "v"])[MATRIX[:, 0]]]
GROUPS = np.arange(60) // 4

TARGETS = pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (MLPClassifier, CODES > 0),
        (MLPClassifier, LABELS),
        (MLPClassifier, MATRIX),
        (MLPClassifier, COLUMNS),
        (MLPRegressor, NUMBERS),
        (MLPRegressor, np.c_[NUMBERS, X[:, 2]]),
    ],
    ids=["two", "three", "labels", "columns", "number", "numbers"],
)
STOPPING = pytest.mark.parametrize("early_stopping", [False, True], ids=["fixed", "stopping"])
SPLITTERS = {
    "int": 3,
    "kfold": KFold(3),
    "time": TimeSeriesSplit(3),
    "repeated": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
    "shuffle": ShuffleSplit(4, test_size=0.3, random_state=1),
    "once": [(np.arange(40), np.arange(40, 60))],
    "masks": [(np.arange(60) < 40, np.arange(60) >= 50)],
    "predefined": PredefinedSplit(np.arange(60) % 4 - 1),
}
ALL_SPLITTERS = pytest.mark.parametrize("cv", SPLITTERS.values(), ids=SPLITTERS)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (6,), "max_iter": 12, "random_state": 0, "cv": 3}
    defaults |= {"optimizer__learning_rate": 0.02, "n_iter_no_change": 2, "batch_size": 16}
    return estimator().set_params(**defaults | params)


def columns_of(predicted):
    return predicted if isinstance(predicted, list) else [predicted]


def response(model, inputs):
    return model.predict_proba(inputs) if hasattr(model, "classes_") else model.predict(inputs)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_out_of_fold_loss_equals_that_of_scikit_learn(early_stopping):
    weight = np.arange(60) % 3.0
    model = MLPClassifier(max_iter=20, cv=KFold(3), random_state=0, early_stopping=early_stopping)
    model.fit(X, LABELS, sample_weight=weight)
    expected = log_loss(LABELS, model.oof_prediction_, sample_weight=weight)
    assert model.oof_loss_ == pytest.approx(expected, rel=1e-6)
    model = MLPRegressor(max_iter=20, cv=KFold(3), target_scaling=False, random_state=0)
    model.set_params(early_stopping=early_stopping).fit(X, NUMBERS)
    expected = np.mean((NUMBERS - model.oof_prediction_) ** 2) / 2
    assert model.oof_loss_ == pytest.approx(expected, rel=1e-6)
    assert not hasattr(model.members_[0], "oof_loss_")


# -- networks and splits -------------------------------------------------------------------------


@STOPPING
@ALL_SPLITTERS
def test_networks_train_on_exactly_their_training_samples(cv, early_stopping):
    """Changing everything about the samples outside of a training set changes no bit."""
    splits = list(KFold(3).split(X)) if isinstance(cv, int) else cv
    if hasattr(splits, "split"):
        splits = list(splits.split(X))
    model = small(MLPRegressor, cv=splits, n_members=2, normalization="batch")
    model.set_params(early_stopping=early_stopping, scoring="loss").fit(X, NUMBERS)
    assert len(model.members_) == 2 * len(splits)
    train, held = (np.arange(60)[rows] for rows in splits[-1])
    rest = np.setdiff1d(np.arange(60), train)
    if early_stopping:
        # Held-out samples determine the best epoch.
        rest = np.setdiff1d(rest, held)
    inputs, y = X.copy(), NUMBERS.copy()
    inputs[rest], y[rest] = 3.0, 1e3
    changed = clone(model).fit(inputs, y)
    for i in (-2, -1):
        for a, b in zip(changed.members_[i].coefs_, model.members_[i].coefs_, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_split_equals_a_fit_to_its_samples_alone():
    """With full batches, the other samples do not even determine the composition of batches."""
    params = {"batch_size": 60, "averaging": None, "alpha": 0.0}
    train, held = next(iter(TimeSeriesSplit(3).split(X)))
    few = np.concatenate([train, held])
    positions = np.arange(len(train)), np.arange(len(train), len(few))
    one = small(MLPRegressor, cv=[(train, held)], **params).fit(X, NUMBERS)
    other = small(MLPRegressor, cv=[positions], **params).fit(X[few], NUMBERS[few])
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-9)
    np.testing.assert_allclose(one.oof_prediction_[held], other.oof_prediction_[positions[1]])


def test_repeated_indices_count_as_often_as_they_occur():
    train, params = np.arange(40), {"batch_size": 60, "averaging": None}
    twice = np.concatenate([train, train[:10]])
    weight = np.where(np.arange(60) < 10, 2.0, 1.0)
    one = small(MLPRegressor, cv=[(twice, [50, 51])], **params).fit(X, NUMBERS)
    other = small(MLPRegressor, cv=[(train, [50, 51])], **params).fit(X, NUMBERS, weight)
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-9)


def test_int_folds_are_stratified_and_depend_on_the_seed():
    y = np.repeat([0, 1, 2], [30, 24, 6])
    held = [
        np.isnan(small(MLPClassifier, cv=3, random_state=seed).fit(X, y).oof_prediction_).sum()
        for seed in (0, 1)
    ]
    assert held == [0, 0]
    one, other = (small(MLPRegressor, random_state=s).fit(X, NUMBERS) for s in (0, 1))
    assert (one.oof_prediction_ != other.oof_prediction_).any()


@STOPPING
def test_weight_zero_equals_removal(early_stopping):
    weight = np.where(np.arange(60) % 5, 1.5, 0.0)
    used = np.flatnonzero(weight)
    splits = list(KFold(3).split(X))
    kept = [tuple(np.flatnonzero(np.isin(used, rows)) for rows in split) for split in splits]
    params = {"early_stopping": early_stopping, "batch_size": 60}
    one = small(MLPClassifier, cv=splits, **params).fit(X, LABELS, weight)
    other = small(MLPClassifier, cv=kept, **params).fit(X[used], LABELS[used])
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(one.oof_prediction_[used], other.oof_prediction_, rtol=1e-9)
    assert one.oof_score_ == other.oof_score_


# -- out-of-fold predictions ---------------------------------------------------------------------


@STOPPING
@ALL_SPLITTERS
@TARGETS
def test_out_of_fold_predictions_are_means_over_networks_that_hold_a_sample_out(
    estimator, y, cv, early_stopping
):
    # With equal weights in all epochs, the choice of the epoch has no effect.
    rate = 1e-12 if early_stopping else 0.02
    params = {"n_members": 2, "early_stopping": early_stopping, "averaging": None}
    model = small(estimator, cv=cv, **params, optimizer__learning_rate=rate, max_iter=3)
    model.fit(X, y)
    if isinstance(cv, int):
        return
    splits = cv if isinstance(cv, list) else list(cv.split(X))
    each = model.member_predictions(X)
    for k, oof in enumerate(columns_of(model.oof_prediction_)):
        predicted = each[k] if isinstance(each, list) else each
        total, count = np.zeros(predicted.shape[1:]), np.zeros(60)
        for m, member in enumerate(predicted):
            held = np.arange(60)[splits[m // 2][1]]
            total[held] += member[held]
            count[held] += 1
        expected = np.full_like(total, np.nan)
        counts = count.reshape(-1, *[1] * (total.ndim - 1))
        expected[count > 0] = (total / np.maximum(counts, 1))[count > 0]
        np.testing.assert_allclose(oof, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scoring", ["loss", "default", "other"])
@ALL_SPLITTERS
def test_score_excludes_samples_that_are_never_held_out(cv, scoring):
    weight = RNG.random(60) + 0.5
    for estimator, y in ((MLPClassifier, LABELS), (MLPRegressor, NUMBERS)):
        classify = estimator is MLPClassifier
        other = "neg_log_loss" if classify else "neg_mean_absolute_error"
        given = {"loss": "loss", "default": None, "other": other}[scoring]
        model = small(estimator, cv=cv, scoring=given).fit(X, y, weight)
        oof = model.oof_prediction_
        held = ~np.isnan(oof.reshape(60, -1)[:, 0])
        if scoring == "other":
            metric = log_loss if classify else mean_absolute_error
            expected = -metric(y[held], oof[held], sample_weight=weight[held])
        elif classify:
            predicted = model.classes_[oof[held].argmax(axis=1)]
            expected = accuracy_score(y[held], predicted, sample_weight=weight[held])
        else:
            expected = r2_score(y[held], oof[held], sample_weight=weight[held])
        assert model.oof_score_ == pytest.approx(expected, rel=1e-9)


@STOPPING
@pytest.mark.parametrize(
    ("cv", "groups"),
    [(3, None), (3, GROUPS), (GroupKFold(3), GROUPS), (TimeSeriesSplit(3), None)],
    ids=["int", "int with groups", "groups", "time"],
)
@pytest.mark.parametrize("n_members", [1, 2])
def test_target_of_a_sample_does_not_affect_its_own_prediction(
    cv, groups, early_stopping, n_members
):
    """Not even through the scaling of the targets, or the length of the training."""
    model = small(MLPRegressor, cv=cv, n_members=n_members, early_stopping=early_stopping)
    model.set_params(max_iter=25, normalization="batch").fit(X, NUMBERS, groups=groups)
    for i in (0, 29, 59):
        y = NUMBERS.copy()
        y[i] += 500
        other = clone(model).fit(X, y, groups=groups)
        np.testing.assert_array_equal(other.oof_prediction_[i], model.oof_prediction_[i])
        # The last sample of a time series is in no training set.
        if i < 59:
            assert not np.array_equal(other.predict(X), model.predict(X))


@STOPPING
@pytest.mark.parametrize("cv", [KFold(3), TimeSeriesSplit(3)], ids=["kfold", "time"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_class_of_a_sample_does_not_affect_its_own_prediction(cv, class_weight, early_stopping):
    model = small(MLPClassifier, cv=cv, class_weight=class_weight, early_stopping=early_stopping)
    model.fit(X, LABELS)
    for i in (19, 40, 59):
        y = LABELS.copy()
        y[i] = "a" if y[i] != "a" else "b"
        other = clone(model).fit(X, y)
        np.testing.assert_array_equal(other.oof_prediction_[i], model.oof_prediction_[i])


def test_checks_after_training_do_not_depend_on_held_out_targets():
    """Extreme features and batch normalization make the last check reset some networks."""
    inputs, y = X.copy(), X[:, 0] + np.random.default_rng(1).normal(size=60)
    inputs[3] *= 1e4
    inputs[44] *= 1e3
    model = small(MLPRegressor, cv=KFold(3), normalization="batch", max_iter=20)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        expected = model.fit(inputs, y).oof_prediction_
    for i in range(0, 60, 7):
        moved = y.copy()
        moved[i] += 1e3
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            assert model.fit(inputs, moved).oof_prediction_[i] == expected[i]


def test_validation_data_does_not_leak_between_networks():
    """X_val determines the best epoch of each network; out-of-fold predictions remain honest."""
    options = {"X_val": X[:20] + 0.1, "y_val": NUMBERS[:20]}
    params = {"optimizer__learning_rate": 0.2, "hidden_layer_sizes": (30,)}
    model = small(MLPRegressor, cv=KFold(3), early_stopping=True, max_iter=60, **params)
    model.fit(X, NUMBERS, **options)
    assert len(set(model.best_iter_)) > 1
    y = NUMBERS.copy()
    y[45] += 500
    other = clone(model).fit(X, y, **options)
    assert other.oof_prediction_[45] == model.oof_prediction_[45]
    for m, (_, held) in enumerate(KFold(3).split(X)):
        expected = model.members_[m].predict(X[held])
        np.testing.assert_allclose(model.oof_prediction_[held], expected, rtol=1e-12)


def test_out_of_fold_scores_of_noise_are_chance_for_repeated_splits():
    scores = []
    for draw in range(30):
        rng = np.random.default_rng(draw)
        noise, y = rng.normal(size=(60, 5)), rng.integers(2, size=60)
        cv = RepeatedKFold(n_splits=3, n_repeats=2, random_state=draw)
        model = small(MLPClassifier, cv=cv, early_stopping=True, random_state=draw, max_iter=30)
        scores.append(model.fit(noise, y).oof_score_)
    error = np.std(scores, ddof=1) / len(scores) ** 0.5
    assert abs(np.mean(scores) - 0.5) < 2.5 * error < 0.06


def test_standard_deviations_belong_to_the_mixture_of_differently_scaled_networks():
    model = small(MLPRegressor, loss=GaussianLoss(), cv=KFold(3), max_iter=40)
    model.fit(X, NUMBERS)
    mean, std = model.predict(X, return_std=True)
    means, stds = zip(*(m.predict(X, return_std=True) for m in model.members_), strict=True)
    np.testing.assert_allclose(mean, np.mean(means, axis=0), rtol=1e-9)
    second = np.mean(np.square(means) + np.square(stds), axis=0)
    np.testing.assert_allclose(std, np.sqrt(second - mean**2), rtol=1e-7)


# -- members as estimators -----------------------------------------------------------------------


@TARGETS
def test_members_are_estimators(estimator, y):
    model = small(estimator, n_members=2, warm_start=True).fit(X, y)
    each = model.member_predictions(X)
    for m, member in enumerate(model.members_):
        predicted = [c[m] for c in each] if isinstance(each, list) else [each[m]]
        for a, b in zip(columns_of(response(member, X)), predicted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        assert isinstance(member, estimator)
        assert (member.n_members, member.cv) == (1, None)
        assert not hasattr(member, "members_")
        assert not hasattr(member, "oof_score_")
        assert np.ndim(member.best_iter_) == 0
        pickled = pickle.loads(pickle.dumps(member))
        np.testing.assert_equal(response(pickled, X), response(member, X))
        before = [W.copy() for W in model.members_[m].coefs_]
        member.set_params(max_iter=1).fit(X, y)
        for a, b in zip(model.members_[m].coefs_, before, strict=True):
            np.testing.assert_array_equal(a, b)


def test_weights_of_several_networks_are_reached_through_members():
    model = small(MLPClassifier).fit(X, LABELS)
    for name in ("coefs_", "intercepts_"):
        with pytest.raises(AttributeError, match=rf"has 3 networks .* members_\[i\]\.{name}"):
            getattr(model, name)
    with pytest.raises(AttributeError, match="is not fitted yet: it has no members_"):
        _ = MLPClassifier().members_
    single = MLPClassifier((4,), max_iter=2).fit(X, LABELS)
    with pytest.raises(AttributeError, match="has a single network: use the estimator itself"):
        _ = single.members_


# -- groups, routing, searches, pipelines --------------------------------------------------------


def test_groups_reach_the_splitter_with_and_without_routing():
    expected = small(MLPRegressor, cv=GroupKFold(3)).fit(X, NUMBERS, groups=GROUPS)
    scaler = StandardScaler(with_mean=False, with_std=False)
    model = make_pipeline(scaler, small(MLPRegressor, cv=GroupKFold(3)))
    plain = clone(model).fit(X, NUMBERS, mlpregressor__groups=GROUPS)
    with config_context(enable_metadata_routing=True):
        routed = clone(model).fit(X, NUMBERS, groups=GROUPS)
        search = GridSearchCV(model, {"mlpregressor__alpha": ["auto"]}, cv=GroupKFold(2))
        searched = search.fit(X, NUMBERS, groups=GROUPS).best_estimator_
        by_fold = small(MLPRegressor, cv=3).set_fit_request(groups=True)
        kept = make_pipeline(by_fold).fit(X, NUMBERS, groups=GROUPS)
    for fitted in (plain, routed, searched):
        np.testing.assert_array_equal(fitted[-1].oof_prediction_, expected.oof_prediction_)
    own = small(MLPRegressor, cv=3).fit(X, NUMBERS, groups=GROUPS)
    np.testing.assert_array_equal(kept[-1].oof_prediction_, own.oof_prediction_)


def test_group_splitter_without_groups_raises():
    with pytest.raises(ValueError, match="'groups' parameter should not be None"):
        small(MLPRegressor, cv=GroupKFold(3)).fit(X, NUMBERS)


def test_searches_tune_the_number_of_folds():
    search = GridSearchCV(small(MLPRegressor), {"cv": [None, 2, KFold(3)]}, cv=2, n_jobs=2)
    search.fit(X, NUMBERS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.fixture(scope="module")
def mixed():
    """A table with numbers and a column of few categories, which is encoded without the target."""
    pd = pytest.importorskip("pandas")
    # Older releases of pandas do not copy the array.
    table = pd.DataFrame(X.copy(), columns=list("abcd"))
    table["color"] = np.array(["red", "green", "blue"])[RNG.integers(3, size=60)]
    table.loc[::7, "a"] = np.nan
    return table


@pytest.mark.parametrize(
    ("cv", "fit_params"),
    [(4, {}), (GroupKFold(3), {"model__groups": GROUPS}), (TimeSeriesSplit(3), {})],
    ids=["int", "groups", "time"],
)
def test_out_of_fold_predictions_of_the_tabular_pipeline_are_honest(mixed, cv, fit_params):
    model = make_tabular_pipeline("regressor", random_state=0)
    model.set_params(model__cv=cv, model__max_iter=4).fit(mixed, NUMBERS, **fit_params)
    for i in (31, 59):
        y = NUMBERS.copy()
        y[i] += 500
        other = clone(model).fit(mixed, y, **fit_params)
        assert other[-1].oof_prediction_[i] == model[-1].oof_prediction_[i]


def test_honest_predictions_with_target_encoding_refit_the_whole_pipeline(mixed):
    """Those of the network alone are not honest: the encoder has seen all targets."""
    table = mixed.assign(city=[f"city {i}" for i in RNG.integers(35, size=60)])
    table.loc[:34, "city"] = [f"city {i}" for i in range(35)]
    model = make_tabular_pipeline("regressor", recipe="fast", random_state=0)
    model.set_params(model__max_iter=3, model__n_members=1)
    predicted = cross_val_predict(model, table, NUMBERS, cv=KFold(3))
    crossed = clone(model).set_params(model__cv=KFold(3)).fit(table, NUMBERS)
    moved = []
    for i in (3, 31, 59):
        y = NUMBERS.copy()
        y[i] += 500
        assert cross_val_predict(model, table, y, cv=KFold(3))[i] == predicted[i]
        other = clone(crossed).fit(table, y)
        moved.append(other[-1].oof_prediction_[i] != crossed[-1].oof_prediction_[i])
    # If this no longer holds, the notes on `oof_score_` and the pages can go.
    assert any(moved)


# -- invalid input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (1, "The 'cv' parameter of MLPRegressor must be"),
        ("5", "The 'cv' parameter of MLPRegressor must be"),
        ([], "contains no split"),
        ([(np.arange(40), np.arange(30, 60))], "Split 0 .* 10 samples in both"),
        ([(np.arange(40), [60])], "row indices between 0 and 59"),
        ([(np.arange(40), [-1])], "row indices between 0 and 59"),
        ([(np.arange(40), [[41]])], "row indices between 0 and 59"),
        ([(np.arange(40), [41.5])], "row indices between 0 and 59"),
        ([(np.arange(40), np.ones(59, bool))], "row indices between 0 and 59"),
        ([(np.arange(40), [])], "has 0 test samples"),
        ([([], np.arange(40))], "has no training sample with positive weight"),
    ],
    ids=str,
)
def test_invalid_splits_raise(cv, message):
    with pytest.raises(ValueError, match=message):
        small(MLPRegressor, cv=cv).fit(X, NUMBERS)


def test_early_stopping_needs_two_held_out_samples():
    model = small(MLPRegressor, cv=LeaveOneOut(), max_iter=2)
    assert np.isfinite(model.fit(X[:6], NUMBERS[:6]).oof_prediction_).all()
    with pytest.raises(ValueError, match="early_stopping=True needs at least 2"):
        model.set_params(early_stopping=True).fit(X[:6], NUMBERS[:6])


def test_training_sets_without_a_class_are_allowed():
    """Time-ordered data often start with few classes."""
    y = np.repeat([0, 1, 2], 20)
    for early_stopping in (False, True):
        model = small(MLPClassifier, cv=TimeSeriesSplit(3), early_stopping=early_stopping)
        model.fit(X, y)
        assert model.predict_proba(X).shape == (60, 3)


def test_batches_without_training_samples_of_a_network_are_allowed():
    model = small(MLPRegressor, cv=[(np.arange(3), np.arange(50, 60))] * 2, shuffle=False)
    model.set_params(normalization="batch", batch_size=5).fit(X, NUMBERS)
    assert np.isfinite(model.predict(X)).all()
    assert all(np.isfinite(member._network.statistics).all() for member in model.members_)


def test_warm_start_keeps_the_folds():
    model = small(MLPRegressor, warm_start=True, random_state=None, max_iter=3).fit(X, NUMBERS)
    first = model.oof_prediction_.copy()
    model.set_params(max_iter=3).fit(X, NUMBERS)
    assert (model.oof_prediction_ != first).all()
    with pytest.raises(ValueError, match="another cv: it was set and is now None"):
        model.set_params(cv=None).fit(X, NUMBERS)


def test_cross_fitted_estimators_work_in_meta_estimators():
    inputs, y = make_classification(200, random_state=0)
    model = make_pipeline(StandardScaler(), small(MLPClassifier, cv=3, early_stopping=True))
    assert model.fit(inputs, y).score(inputs, y) > 0.8
    target = TransformedTargetRegressor(small(MLPRegressor), transformer=StandardScaler())
    assert target.fit(X, NUMBERS).regressor_.oof_prediction_.shape == (60,)


def test_divergence_of_all_networks_still_gives_finite_predictions():
    model = small(MLPRegressor, optimizer="sgd", optimizer__learning_rate=1e12, early_stopping=True)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(1e3 * X, NUMBERS)
    assert np.isfinite(model.oof_prediction_).all()


def test_repeated_test_indices_count_once():
    """A sample that is held out twice must not choose the epoch of its own prediction."""
    train, weight = np.arange(40), 1.0 + (np.arange(60) != 50)
    weight[41] = 0
    for held in ([45, 45, 41, 50], [50, 41, 45]):
        cv = [(train, held), (np.arange(42, 60), [3, 3, 7])]
        model = small(MLPRegressor, cv=cv, early_stopping=True, max_iter=10)
        model.fit(X, NUMBERS, sample_weight=weight)
        moved = NUMBERS.copy()
        moved[45] += 1e4
        other = clone(model).fit(X, moved, sample_weight=weight)
        assert other.oof_prediction_[45] == model.oof_prediction_[45]
        if held == [45, 45, 41, 50]:
            first = model.oof_prediction_
    np.testing.assert_array_equal(first, model.oof_prediction_)


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@STOPPING
def test_a_column_of_classes_with_weights_of_zero(early_stopping):
    weight = np.arange(60) % 3 / 1.0
    model = small(MLPClassifier, early_stopping=early_stopping)
    expected = model.fit(X, CODES, sample_weight=weight).oof_prediction_
    found = model.fit(X, CODES[:, None], sample_weight=weight).oof_prediction_
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("before", [3, [(np.arange(40), np.arange(40, 60))]], ids=["three", "one"])
def test_warm_start_with_another_number_of_splits_raises(before):
    model = small(MLPRegressor, cv=before, warm_start=True).fit(X, NUMBERS)
    predicted = model.predict(X)
    for cv in (KFold(2), KFold(4)):
        with pytest.raises(ValueError, match=r"another number of splits: cv had [13] and has [24]"):
            model.set_params(cv=cv).fit(X, NUMBERS)
    np.testing.assert_array_equal(model.predict(X), predicted)


def test_warm_start_with_other_splits_warns():
    model = small(MLPRegressor, cv=KFold(3, shuffle=True), warm_start=True).fit(X, NUMBERS)
    with pytest.warns(UserWarning, match="splits of cv differ"):
        model.fit(X, NUMBERS)
    model.set_params(cv=KFold(3, shuffle=True, random_state=0))
    with pytest.warns(UserWarning, match="splits of cv differ"):
        model.fit(X, NUMBERS)
    # An error in this suite if it warned.
    model.fit(X, NUMBERS)


def test_a_used_generator_raises():
    model = small(MLPRegressor, cv=KFold(3).split(X)).fit(X, NUMBERS)
    with pytest.raises(ValueError, match="a generator works only once"):
        model.fit(X, NUMBERS)
