"""Sample weights and validation data reach estimators through pipelines and searches."""

import inspect
import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import Adam, MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
# The features are not standardized, so that a skipped scaler would be detected.
X = 100 + 5 * RNG.normal(size=(60, 4))
LABELS = np.where(X @ [1.0, -1.0, 1.0, -1.0] > 3 * RNG.normal(size=60), "yes", "no")
NUMBERS = X @ [1.0, -1.0, 2.0, 0.0] + RNG.normal(size=60)
WEIGHT = RNG.uniform(0.1, 5, size=60)
X_VAL = 100 + 5 * RNG.normal(size=(25, 4))
WEIGHT_VAL = RNG.uniform(0.1, 5, size=25)

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (6,), "max_iter": 8, "batch_size": 16, "random_state": 0}
    return estimator(**defaults | {"optimizer": Adam(learning_rate=0.02)} | params)


def outputs(model, inputs):
    return getattr(model, "predict_proba", model.predict)(inputs)


def validation(y):
    """Return targets for the validation samples."""
    return np.resize(y, 25)


def pipeline(net, **params):
    return Pipeline([("scale", StandardScaler()), ("mlp", net)], **params)


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


# -- signatures and requests ---------------------------------------------------------------------


@BOTH
def test_validation_data_are_keyword_only(estimator, y):
    parameters = inspect.signature(estimator.fit).parameters
    assert list(parameters)[:4] == ["self", "X", "y", "sample_weight"]
    for name in ("X_val", "y_val", "sample_weight_val"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None
    net = small(estimator)
    for args in ((X, y, WEIGHT), (X, y, None)):
        with pytest.raises(TypeError, match="positional"):
            net.fit(*args, X_VAL, validation(y))
    assert not hasattr(net, "coefs_")


@BOTH
@pytest.mark.usefixtures("routing")
def test_requests_do_not_refer_to_the_fitted_estimator(estimator, y):
    """scikit-learn 1.8 and later store the estimator in its requests."""
    net = small(estimator, n_members=8, hidden_layer_sizes=(300,)).set_fit_request(groups=False)
    net.fit(X, y)
    assert len(pickle.dumps(net.members_[0])) < len(pickle.dumps(net)) / 3
    with pytest.raises(
        UnsetMetadataPassedError, match=rf"not requested for {estimator.__name__}\.fit"
    ):
        cross_validate(net, X, y, params={"sample_weight": WEIGHT})


@BOTH
@pytest.mark.usefixtures("routing")
def test_metadata_can_be_requested(estimator, y):
    requests = small(estimator).get_metadata_routing()
    names = {"sample_weight", "X_val", "y_val", "sample_weight_val"}
    assert requests.fit.requests == dict.fromkeys(names) | {"groups": False}
    classes = {"classes"} if estimator is MLPClassifier else set()
    assert requests.partial_fit.requests == dict.fromkeys({"sample_weight"} | classes)
    assert requests.score.requests == {"sample_weight": None}
    requesting = small(estimator).set_fit_request(sample_weight=True, X_val=True, y_val="rows")
    expected = {"sample_weight": True, "X_val": True, "y_val": "rows", "sample_weight_val": None}
    expected["groups"] = False
    for net in (requesting, clone(requesting)):
        assert net.get_metadata_routing().fit.requests == expected


# -- weights -------------------------------------------------------------------------------------


@BOTH
@pytest.mark.usefixtures("routing")
def test_weights_are_routed_through_a_pipeline_in_a_search(estimator, y):
    net = small(estimator).set_fit_request(sample_weight=True)
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    folds = KFold(3, shuffle=True, random_state=0)
    grid = {"mlp__optimizer__learning_rate": [1e-4, 0.02]}
    # By default, scikit-learn 1.7 does not find the request of `score` in a pipeline.
    scorer = get_scorer("accuracy" if estimator is MLPClassifier else "r2")
    scorer = scorer.set_score_request(sample_weight=True)
    model = Pipeline([("scale", scaler), ("mlp", net)])
    search = GridSearchCV(model, grid, cv=folds, scoring=scorer)
    search.fit(X, y, sample_weight=WEIGHT)
    for i, rate in enumerate(grid["mlp__optimizer__learning_rate"]):
        for k, (train, test) in enumerate(folds.split(X)):
            scale = StandardScaler().fit(X[train], sample_weight=WEIGHT[train])
            alone = small(estimator).set_params(optimizer__learning_rate=rate)
            alone.fit(scale.transform(X[train]), y[train], WEIGHT[train])
            expected = alone.score(scale.transform(X[test]), y[test], WEIGHT[test])
            assert search.cv_results_[f"split{k}_test_score"][i] == pytest.approx(expected)
            unweighted = alone.score(scale.transform(X[test]), y[test])
            # The weights make a difference.
            assert unweighted != pytest.approx(expected)
    scale = StandardScaler().fit(X, sample_weight=WEIGHT)
    alone = small(estimator).set_params(
        **{name.removeprefix("mlp__"): value for name, value in search.best_params_.items()}
    )
    alone.fit(scale.transform(X), y, WEIGHT)
    np.testing.assert_array_equal(outputs(search, X), outputs(alone, scale.transform(X)))


@BOTH
@pytest.mark.usefixtures("routing")
def test_unrequested_weights_raise(estimator, y):
    silent = GridSearchCV(small(estimator), {"alpha": [0.1]}, cv=2)
    with pytest.raises(UnsetMetadataPassedError, match=r"\[sample_weight\] are passed"):
        silent.fit(X, y, sample_weight=WEIGHT)
    refusing = small(estimator).set_fit_request(sample_weight=False)
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    model = make_pipeline(scaler, refusing).fit(X, y, sample_weight=WEIGHT)
    table = StandardScaler().fit(X, sample_weight=WEIGHT).transform(X)
    np.testing.assert_array_equal(outputs(model, X), outputs(refusing.fit(table, y), table))


@BOTH
@pytest.mark.usefixtures("routing")
def test_weights_can_be_requested_under_another_name(estimator, y):
    net = small(estimator).set_fit_request(sample_weight="importance")
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    model = make_pipeline(scaler, net).fit(X, y, importance=WEIGHT)
    table = StandardScaler().fit_transform(X)
    expected = small(estimator).fit(table, y, WEIGHT)
    np.testing.assert_array_equal(outputs(model, X), outputs(expected, table))


@BOTH
def test_weights_can_be_passed_without_routing(estimator, y):
    table = StandardScaler().fit_transform(X)
    expected = small(estimator).fit(table, y, WEIGHT)
    model = pipeline(small(estimator)).fit(X, y, mlp__sample_weight=WEIGHT)
    np.testing.assert_array_equal(outputs(model, X), outputs(expected, table))
    assert (outputs(model, X) != outputs(small(estimator).fit(table, y), table)).any()

    folds = KFold(3)
    search = GridSearchCV(pipeline(small(estimator)), {"mlp__max_iter": [8]}, cv=folds)
    search.fit(X, y, mlp__sample_weight=WEIGHT)
    np.testing.assert_array_equal(outputs(search, X), outputs(model, X))
    params = {"mlp__sample_weight": WEIGHT}
    scores = cross_validate(pipeline(small(estimator)), X, y, cv=folds, params=params)
    for k, (train, test) in enumerate(folds.split(X)):
        alone = pipeline(small(estimator)).fit(X[train], y[train], mlp__sample_weight=WEIGHT[train])
        assert scores["test_score"][k] == pytest.approx(alone.score(X[test], y[test]))
        assert search.cv_results_[f"split{k}_test_score"][0] == scores["test_score"][k]


@BOTH
@pytest.mark.parametrize("enabled", [True, False])
def test_weights_reach_other_meta_estimators(estimator, y, enabled):
    multi = MultiOutputClassifier if estimator is MLPClassifier else MultiOutputRegressor
    with config_context(enable_metadata_routing=enabled):
        net = small(estimator)
        net = net.set_fit_request(sample_weight=True) if enabled else net
        together = multi(net).fit(X, np.column_stack([y, y[::-1]]), sample_weight=WEIGHT)
        for i, targets in enumerate((y, y[::-1])):
            expected = small(estimator).fit(X, targets, WEIGHT)
            np.testing.assert_array_equal(together.estimators_[i].predict(X), expected.predict(X))
        if estimator is MLPClassifier:
            vote = VotingClassifier([("net", net)], voting="soft")
        else:
            vote = VotingRegressor([("net", net)])
        vote.fit(X, y, sample_weight=WEIGHT)
        expected = small(estimator).fit(X, y, WEIGHT)
        np.testing.assert_array_equal(outputs(vote, X), outputs(expected, X))


# -- validation data -----------------------------------------------------------------------------

STOPPING = [{}, {"early_stopping": True}, {"early_stopping": True, "scoring": None}]


def validated_by_hand(estimator, y, params, weight_val=WEIGHT_VAL):
    scale = StandardScaler().fit(X)
    net = small(estimator, **params)
    return net.fit(
        scale.transform(X),
        y,
        WEIGHT,
        X_val=scale.transform(X_VAL),
        y_val=validation(y),
        sample_weight_val=weight_val,
    )


@BOTH
@pytest.mark.parametrize("params", STOPPING, ids=str)
@pytest.mark.parametrize("transform_input", [["X_val"], ("X_val",)], ids=["list", "tuple"])
@pytest.mark.usefixtures("routing")
def test_validation_data_are_transformed_by_the_pipeline(estimator, y, params, transform_input):
    requested = dict.fromkeys(["sample_weight", "X_val", "y_val", "sample_weight_val"], True)
    net = small(estimator, **params).set_fit_request(**requested)
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    model = Pipeline([("scale", scaler), ("mlp", net)], transform_input=transform_input)
    # The tuple is the default of scikit-learn 1.10. The validation of earlier releases rejects it.
    with config_context(skip_parameter_validation=True):
        model.fit(
            X,
            y,
            sample_weight=WEIGHT,
            X_val=X_VAL,
            y_val=validation(y),
            sample_weight_val=WEIGHT_VAL,
        )
    with config_context(enable_metadata_routing=False):
        expected = validated_by_hand(estimator, y, params)
        unweighted = validated_by_hand(estimator, y, params, weight_val=None)
    assert unweighted.validation_scores_[0] != pytest.approx(expected.validation_scores_[0])
    assert model["mlp"].validation_scores_ == expected.validation_scores_
    assert len(expected.validation_scores_) == expected.n_iter_
    assert model["mlp"].loss_curve_ == expected.loss_curve_
    for one, other in zip(model["mlp"].coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


@BOTH
@pytest.mark.usefixtures("routing")
def test_pipeline_decides_how_often_validation_data_are_transformed(estimator, y):
    net = small(estimator).set_fit_request(X_val=True, y_val=True)
    scale = StandardScaler().fit(X)
    scaled = scale.transform(X_VAL)

    def scores(model, X, X_val):
        model = model.fit(X, y, X_val=X_val, y_val=validation(y))
        return getattr(model, "steps", [(0, model)])[-1][1].validation_scores_

    raw, once, twice = (
        scores(clone(net), scale.transform(X), X_val)
        for X_val in (X_VAL, scaled, scale.transform(scaled))
    )
    assert len({raw[0], once[0], twice[0]}) == 3
    assert scores(pipeline(clone(net), transform_input=["X_val"]), X, X_VAL) == once
    assert scores(pipeline(clone(net), transform_input=["X_val"]), X, scaled) == twice
    assert scores(pipeline(clone(net), transform_input=None), X, scaled) == once
    # None up to scikit-learn 1.9, ("X_val",) from 1.10 on.
    default = pipeline(clone(net))
    assert scores(default, X, X_VAL) == (once if default.transform_input else raw)


@BOTH
@pytest.mark.usefixtures("routing")
def test_validation_data_are_transformed_in_each_fold_of_a_search(estimator, y):
    net = small(estimator, early_stopping=True).set_fit_request(X_val=True, y_val=True)
    model = pipeline(net, transform_input=["X_val"])
    folds = KFold(3)
    search = GridSearchCV(model, {"mlp__alpha": [1e-4, 1.0]}, cv=folds)
    search.fit(X, y, X_val=X_VAL, y_val=validation(y))
    best = search.best_estimator_["mlp"]
    scale = StandardScaler().fit(X)
    alone = small(estimator, early_stopping=True, alpha=best.alpha)
    alone.fit(scale.transform(X), y, X_val=scale.transform(X_VAL), y_val=validation(y))
    assert best.validation_scores_ == alone.validation_scores_
    for k, (train, test) in enumerate(folds.split(X)):
        scale = StandardScaler().fit(X[train])
        alone.set_params(alpha=1.0).fit(
            scale.transform(X[train]), y[train], X_val=scale.transform(X_VAL), y_val=validation(y)
        )
        expected = alone.score(scale.transform(X[test]), y[test])
        assert search.cv_results_[f"split{k}_test_score"][1] == pytest.approx(expected)


@BOTH
@pytest.mark.parametrize("params", STOPPING, ids=str)
def test_validation_data_can_be_passed_without_routing(estimator, y, params):
    scale = StandardScaler().fit(X)
    model = pipeline(small(estimator, **params)).fit(
        X,
        y,
        mlp__sample_weight=WEIGHT,
        # Without routing, the pipeline does not transform X_val.
        mlp__X_val=scale.transform(X_VAL),
        mlp__y_val=validation(y),
        mlp__sample_weight_val=WEIGHT_VAL,
    )
    expected = validated_by_hand(estimator, y, params)
    assert model["mlp"].validation_scores_ == expected.validation_scores_
    np.testing.assert_array_equal(outputs(model, X), outputs(expected, scale.transform(X)))


# -- training does not depend on routing ---------------------------------------------------------


@BOTH
@pytest.mark.parametrize("scoring", ["loss", None, "named"])
def test_training_does_not_depend_on_routing(estimator, y, scoring):
    named = "balanced_accuracy" if estimator is MLPClassifier else "neg_mean_absolute_error"
    params = {"early_stopping": True, "scoring": named if scoring == "named" else scoring}
    plain = small(estimator, **params).fit(X, y, WEIGHT)
    partial = small(estimator).partial_fit(X, y, sample_weight=WEIGHT)
    with config_context(enable_metadata_routing=True):
        routed = small(estimator, **params).fit(X, y, WEIGHT)
        assert routed.validation_scores_ == plain.validation_scores_
        np.testing.assert_array_equal(outputs(routed, X), outputs(plain, X))
        assert routed.score(X, y, WEIGHT) == plain.score(X, y, WEIGHT)
        routed = small(estimator).partial_fit(X, y, sample_weight=WEIGHT)
    np.testing.assert_array_equal(outputs(routed, X), outputs(partial, X))
