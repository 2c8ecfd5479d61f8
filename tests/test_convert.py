"""Conversion from and to scikit-learn's networks, whose predictions are the reference."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.preprocessing import scale

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor, RMSprop, from_sklearn, to_sklearn
from sknn_adam.activations import Activation, ReLU

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def table(load, text=False):
    X, y = load(return_X_y=True)
    return scale(X), np.array([f"class {k}" for k in y]) if text else y


def multilabel():
    X, y = table(load_iris)
    return X, np.stack([y == 0, y == 1, X[:, 2] > 0], axis=1).astype(int)


def two_targets():
    X, y = table(load_diabetes)
    return X, np.stack([y, y[::-1]], axis=1)


def counts():
    X, y = table(load_diabetes)
    return X, np.round(y / 20)


CLASSES = {
    "breast cancer": lambda: table(load_breast_cancer),
    "iris, text": lambda: table(load_iris, text=True),
    "wine": lambda: table(load_wine),
    "labels": multilabel,
}
NUMBERS = {"diabetes": lambda: table(load_diabetes), "two targets": two_targets}
TABLES = [pytest.param(TheirClassifier, d, id=name) for name, d in CLASSES.items()]
TABLES += [pytest.param(TheirRegressor, d, id=name) for name, d in NUMBERS.items()]
SMALL = {"hidden_layer_sizes": (9, 5), "max_iter": 20, "random_state": 0}


def outputs(model, X):
    return getattr(model, "predict_proba", model.predict)(X)


def assert_same_predictions(one, other, X):
    actual, expected = outputs(one, X), outputs(other, X)
    assert actual.shape == expected.shape
    size = np.abs(expected).max()
    np.testing.assert_allclose(actual / size, expected / size, rtol=0, atol=1e-12)
    if hasattr(one, "classes_"):
        np.testing.assert_array_equal(one.classes_, other.classes_)
        np.testing.assert_array_equal(one.predict(X), other.predict(X))


# -- predictions in both directions --------------------------------------------------------------


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize(("Theirs", "data"), TABLES)
def test_predictions_survive_a_round_trip(Theirs, data, solver, activation):
    X, y = data()
    rate = {"learning_rate_init": 1e-3}
    y = y if Theirs is TheirClassifier else scale(y)
    theirs = Theirs(**SMALL, **rate, solver=solver, activation=activation).fit(X, y)
    before = pickle.dumps(theirs)
    ours = from_sklearn(theirs, n_samples=len(X))
    assert pickle.dumps(theirs) == before
    assert_same_predictions(ours, theirs, X)
    assert_same_predictions(to_sklearn(ours), theirs, X)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-12)
    assert (ours.n_iter_, ours.n_outputs_) == (theirs.n_iter_, theirs.n_outputs_)
    assert (ours.n_layers_, ours.out_activation_) == (theirs.n_layers_, theirs.out_activation_)
    assert ours.loss_ == theirs.loss_


@pytest.mark.skipif("loss" not in TheirRegressor().get_params(), reason="scikit-learn before 1.7")
def test_poisson_regression_survives_a_round_trip():
    X, y = counts()
    theirs = TheirRegressor(**SMALL, loss="poisson").fit(X, y)
    ours = from_sklearn(theirs)
    assert_same_predictions(ours, theirs, X)
    assert_same_predictions(to_sklearn(ours), theirs, X)
    assert ours.predict(X).min() > 0


@pytest.mark.parametrize("early_stopping", [False, True])
def test_curves_and_stop_reasons_are_converted(early_stopping):
    X, y = table(load_breast_cancer)
    theirs = TheirClassifier((8,), early_stopping=early_stopping, max_iter=2000, random_state=0)
    theirs.fit(X, y)
    assert theirs.n_iter_ < 2000
    ours = from_sklearn(theirs)
    assert ours.converged_
    assert ours.stop_reason_ == ("early_stopping" if early_stopping else "tol")
    assert ours.loss_curve_ == theirs.loss_curve_
    assert ours.validation_scores_ == theirs.validation_scores_
    assert ours.best_validation_score_ == theirs.best_validation_score_
    assert ours.best_loss_ == theirs.best_loss_
    back = to_sklearn(ours)
    for name in ("n_iter_", "loss_", "best_loss_", "loss_curve_", "validation_scores_"):
        assert getattr(back, name) == getattr(theirs, name), name
    stopped = from_sklearn(TheirClassifier((8,), max_iter=3).fit(X, y))
    assert stopped.stop_reason_ == "max_iter"
    assert not stopped.converged_


def test_feature_names_and_float32_are_converted():
    pd = pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True, as_frame=True)
    assert isinstance(X, pd.DataFrame)
    theirs = TheirClassifier(**SMALL).fit(X, y)
    ours = from_sklearn(theirs)
    np.testing.assert_array_equal(ours.feature_names_in_, X.columns)
    np.testing.assert_array_equal(to_sklearn(ours).feature_names_in_, X.columns)
    assert_same_predictions(ours, theirs, X)
    single = TheirClassifier(**SMALL).fit(X.to_numpy(np.float32), y)
    assert from_sklearn(single).dtype == "float32"
    np.testing.assert_array_equal(from_sklearn(single).coefs_[0], single.coefs_[0], strict=True)


# -- continued training --------------------------------------------------------------------------

RULES = [
    # With such a small epsilon, it does not matter whether it is inside or outside the root.
    {"solver": "adam", "epsilon": 1e-30},
    {"solver": "sgd", "momentum": 0.0},
    {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False},
    {"solver": "sgd", "momentum": 0.9},
]


@pytest.mark.parametrize("rule", RULES, ids=["adam", "sgd", "momentum", "nesterov"])
@pytest.mark.parametrize(
    ("Theirs", "data"), [TABLES[1], TABLES[4]], ids=["three classes", "regression"]
)
def test_training_continues_like_scikit_learn(Theirs, data, rule):
    """Moments, step count and penalty are converted, so five more epochs give the same weights."""
    X, y = data()
    X, y = X[:150], y[:150] if Theirs is TheirClassifier else scale(y[:150])
    theirs = Theirs(
        **SMALL, **rule, alpha=0.1, learning_rate_init=0.01, shuffle=False, batch_size=50
    ).fit(X, y)
    ours = from_sklearn(theirs)
    for _ in range(5):
        theirs.partial_fit(X, y)
        ours.partial_fit(X, y)
    for mine, other in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0, atol=1e-9)


def test_warm_start_continues_after_conversion():
    X, y = table(load_iris)
    for solver in ("adam", "lbfgs"):
        theirs = TheirClassifier(
            (6,), "tanh", solver=solver, warm_start=True, alpha=0.0, max_iter=5, random_state=0
        ).fit(X, y)
        ours = from_sklearn(theirs)
        before = ours.loss_
        assert ours.fit(X, y).loss_ < before
        assert len(ours.loss_curve_) > len(getattr(theirs, "loss_curve_", [0]))


def test_clock_has_the_training_loss_after_conversion():
    """The schedule "plateau" compares it with the training losses of later epochs."""
    X, y = table(load_iris)
    theirs = TheirClassifier(**SMALL, early_stopping=True).fit(X, y)
    # With early stopping, no run is converted.
    ours = from_sklearn(theirs.set_params(early_stopping=False))
    assert ours._run.clock.loss == theirs.loss_curve_[-1]


def test_scikit_learn_continues_after_conversion():
    X, y = table(load_iris)
    ours = MLPClassifier(**SMALL, averaging=None).fit(X, y)
    theirs = to_sklearn(ours)
    expected = theirs.predict_proba(X)
    before = theirs.loss_curve_[-1]
    theirs.partial_fit(X, y)
    assert theirs.loss_curve_[-1] < before
    assert len(theirs.loss_curve_) == len(ours.loss_curve_) + 1
    # Training scikit-learn's network does not change ours.
    np.testing.assert_allclose(ours.predict_proba(X), expected, atol=1e-6)


# -- parameters ----------------------------------------------------------------------------------


def test_parameters_are_mapped():
    theirs = TheirClassifier(
        (30, 20), "tanh", solver="sgd", alpha=0.2, batch_size=40, learning_rate="invscaling",
        learning_rate_init=0.3, power_t=0.7, max_iter=7, shuffle=False, random_state=5, tol=0.01,
        warm_start=True, momentum=0.8, nesterovs_momentum=False, early_stopping=True,
        validation_fraction=0.2, n_iter_no_change=4,
    )  # fmt: skip
    ours = from_sklearn(theirs)
    expected = {
        "hidden_layer_sizes": (30, 20), "activation": "tanh", "optimizer__learning_rate": 0.3,
        "optimizer__momentum": 0.8, "optimizer__nesterov": False, "schedule__power": 0.7,
        "alpha": 0.005, "batch_size": 40, "max_iter": 7, "shuffle": False, "random_state": 5,
        "tol": 0.01, "warm_start": True, "early_stopping": True, "validation_fraction": 0.2,
        "n_iter_no_change": 4, "averaging": None, "l1_ratio": 0.0, "scoring": None,
    }  # fmt: skip
    actual = ours.get_params()
    assert {name: actual[name] for name in expected} == expected
    assert from_sklearn(TheirClassifier(beta_1=0.8, epsilon=1e-6)).optimizer.beta_1 == 0.8
    assert from_sklearn(TheirRegressor()).target_scaling is False


@pytest.mark.parametrize("Theirs", [TheirClassifier, TheirRegressor])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
        {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 7},
        {"activation": "logistic", "batch_size": 64, "alpha": 0.03},
        {"solver": "lbfgs", "alpha": 0.0, "hidden_layer_sizes": ()},
    ],
)
def test_parameters_survive_a_round_trip(Theirs, params):
    theirs = Theirs(**params)
    back = to_sklearn(from_sklearn(theirs)).get_params()
    expected = theirs.get_params()
    # Parameters that the solver does not use are not kept.
    if theirs.solver != "sgd":
        for unused in ("momentum", "nesterovs_momentum", "power_t", "learning_rate"):
            del back[unused], expected[unused]
    if theirs.solver != "adam":
        for unused in ("beta_1", "beta_2", "epsilon"):
            del back[unused], expected[unused]
    if theirs.solver != "lbfgs":
        expected["batch_size"] = 200 if theirs.batch_size == "auto" else theirs.batch_size
    assert back.pop("alpha") == pytest.approx(expected.pop("alpha"), rel=1e-12)
    back["hidden_layer_sizes"] = tuple(back["hidden_layer_sizes"])
    expected["hidden_layer_sizes"] = tuple(np.atleast_1d(expected["hidden_layer_sizes"]).tolist())
    assert back == expected


def test_adaptive_rate_stops_as_in_scikit_learn():
    """The rate is divided by 5 until it is below 1e-6: 0.005 / 5^6 = 3e-7."""
    theirs = TheirClassifier(
        solver="sgd", learning_rate="adaptive", learning_rate_init=0.005, n_iter_no_change=2
    )
    ours = from_sklearn(theirs)
    assert (ours.schedule.drop, ours.schedule.patience) == (0.2, 3)
    # Only the bias can be learned.
    X, y = np.zeros((20, 2)), np.arange(20) % 2
    flat = {"tol": 10.0, "max_iter": 500}
    theirs.set_params(**flat).fit(X, y)
    ours = from_sklearn(theirs).set_params(**flat)
    ours.schedule.tol = 10.0
    ours.fit(X, y)
    assert ours.stop_reason_ == "tol"
    assert abs(ours.n_iter_ - theirs.n_iter_) <= 2


def test_lbfgs_conversion_requires_n_samples():
    theirs = TheirClassifier(solver="lbfgs", alpha=1.0)
    with pytest.warns(UserWarning, match="Pass n_samples to from_sklearn"):
        assert from_sklearn(theirs).alpha == 1 / 200
    assert from_sklearn(theirs, n_samples=50).alpha == 1 / 50
    small = TheirClassifier(**SMALL, alpha=1.0).fit(*table(load_iris))
    assert from_sklearn(small).alpha == 1 / 150
    for _ in range(3):
        small.partial_fit(*table(load_iris))
    assert from_sklearn(small).alpha == 1 / 150


# -- networks without a counterpart --------------------------------------------------------------


class Square(Activation):
    def __call__(self, z):
        return z * z

    def derivative(self, z, a):
        return 2 * z


class OwnReLU(ReLU):
    pass


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"activation": "gelu"}, "activation='gelu'"),
        ({"activation": ["relu", "tanh"]}, "activation="),
        ({"activation": Square()}, "Square()"),
        ({"activation": OwnReLU()}, "OwnReLU()"),
        ({"normalization": "layer"}, "normalization='layer'"),
        ({"loss": "focal"}, "loss='focal'"),
    ],
)
def test_error_names_the_parameter_without_a_counterpart(params, named):
    X, y = table(load_iris)
    model = MLPClassifier((4, 4), max_iter=2, random_state=0, **params)
    for estimator in (model, copy.deepcopy(model).fit(X, y)):
        with pytest.raises(ValueError, match="scikit-learn's MLPClassifier has no") as error:
            to_sklearn(estimator)
        assert named in str(error.value)


def test_members_multioutput_and_other_losses_cannot_be_converted():
    X, y = table(load_iris)
    with pytest.raises(ValueError, match="several members"):
        to_sklearn(MLPClassifier((4,), max_iter=2, n_members=2).fit(X, y))
    columns = MLPClassifier((4,), max_iter=2).fit(X, np.stack([y, 2 - y], axis=1))
    with pytest.raises(ValueError, match="several columns of classes"):
        to_sklearn(columns)
    with pytest.raises(ValueError, match="a single class"):
        to_sklearn(MLPClassifier((4,), max_iter=2).fit(X[:50], y[:50]))
    with pytest.raises(ValueError, match="MLPRegressor has no counterpart of loss='huber'"):
        to_sklearn(MLPRegressor((4,), loss="huber", max_iter=2).fit(X, y))


def test_unfitted_estimator_must_have_a_complete_counterpart():
    ours = MLPClassifier(
        optimizer=RMSprop(),
        dropout=0.1,
        gradient_clip=1.0,
        class_weight="balanced",
        learn_scales=True,
    )
    with pytest.raises(ValueError, match="no counterpart of") as error:
        to_sklearn(ours)
    for named in ("RMSprop()", "averaging='auto'", "l1_ratio='auto'", "dropout=0.1"):
        assert named in str(error.value)
    for named in ("gradient_clip=1.0", "class_weight='balanced'", "learn_scales=True"):
        assert named in str(error.value)
    with pytest.raises(ValueError, match="target_scaling=True"):
        to_sklearn(MLPRegressor(averaging=None))
    theirs = to_sklearn(MLPRegressor(averaging=None, target_scaling=False), n_samples=20_000)
    assert (theirs.hidden_layer_sizes, theirs.batch_size) == ((100, 50), 156)
    assert theirs.alpha == pytest.approx(156 * 10 / 20_000)
    with pytest.raises(ValueError, match=r"no counterpart of several members\."):
        to_sklearn(MLPRegressor(averaging=None, target_scaling=False, n_members=2))
    plain = MLPClassifier(optimizer=Adam(0.01), averaging=None, l1_ratio=0.0, alpha=1e-3)
    theirs = to_sklearn(plain, n_samples=20_000)
    assert (theirs.learning_rate_init, theirs.batch_size) == (0.01, 156)
    assert theirs.alpha == pytest.approx(0.156)


@pytest.mark.parametrize("learn_scales", [True, False])
@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.parametrize("scaled", [True, False])
def test_scales_normalization_and_target_scaling_are_folded(learn_scales, normalization, scaled):
    X, y = table(load_diabetes)
    ours = MLPRegressor(
        (16, 8), normalization=normalization, target_scaling=scaled, dropout=0.1,
        optimizer=SGD(0.01, momentum=0.5), max_iter=5, dtype="float64", random_state=0,
        learn_scales=learn_scales,
    ).fit(X, y)  # fmt: skip
    assert_same_predictions(to_sklearn(ours), ours, X)
    labels = MLPClassifier((8,), normalization=normalization, max_iter=5, dtype="float64")
    X, y = multilabel()
    assert_same_predictions(to_sklearn(labels.fit(X, y)), labels, X)


def test_invalid_arguments_raise():
    with pytest.raises(TypeError, match=r"MLPRegressor of sklearn.neural_network. Got Logistic"):
        from_sklearn(LogisticRegression())
    with pytest.raises(TypeError, match=r"MLPRegressor of sknn_adam\. Got MLPClassifier"):
        to_sklearn(TheirClassifier())
    changed = TheirClassifier(**SMALL).fit(*table(load_iris)).set_params(hidden_layer_sizes=(3,))
    with pytest.raises(ValueError, match=r"was changed after fit: .* layers of \[9, 5\] units"):
        from_sklearn(changed)


def test_converted_estimator_can_be_pickled_and_trained():
    X, y = table(load_iris, text=True)
    ours = from_sklearn(TheirClassifier(**SMALL).fit(X, y))
    copied = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(copied.predict_proba(X), ours.predict_proba(X))
    np.testing.assert_array_equal(
        copied.partial_fit(X, y).coefs_[0], ours.partial_fit(X, y).coefs_[0]
    )
    # fit starts from scratch.
    assert ours.fit(X, y).n_iter_ == 20
    assert len(ours.loss_curve_) == 20
