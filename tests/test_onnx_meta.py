"""Conversion of meta-estimators to ONNX, compared with scikit-learn's predictions."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn
from sklearn.base import is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RANSACRegressor, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.losses import QuantileLoss

skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")

from onnx_matrix import run  # noqa: E402

from sknn_adam.onnx import register  # noqa: E402

register()
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 8, "random_state": 0}
DTYPES = [np.float32, np.float64]


def table(name):
    """Return a table by name; 'iris, text' is iris with strings as classes."""
    name, _, classes = name.partition(", ")
    load = {"breast cancer": load_breast_cancer, "iris": load_iris, "diabetes": load_diabetes}
    X, y = load[name](return_X_y=True)
    if classes == "text":
        y = np.array(["setosa", "versicolor", "virginica"])[y]
    elif classes == "spaced":
        y = 3 * y - 2
    elif classes == "wide":
        y = y + 10**11
    elif classes == "truth":
        y = y > 0
    step = len(y) // 75
    return StandardScaler().fit_transform(X)[::step], y[::step]


def net(**params):
    """Return a small classifier."""
    return MLPClassifier(**SMALL | params)


def number(**params):
    """Return a small regressor."""
    return MLPRegressor(**SMALL | params)


def piped(model):
    """Return a pipeline with the model as last step."""
    return make_pipeline(MinMaxScaler(), model)


def search(model, name="alpha"):
    """Return a search over the model."""
    return GridSearchCV(model, {name: [0.1]}, cv=2)


def frozen(X, y, model=None):
    """Return a fitted and frozen estimator."""
    return FrozenEstimator((net() if model is None else model).fit(X, y))


def pairs(*models):
    """Return (name, estimator) pairs."""
    return [(f"model_{k}", model) for k, model in enumerate(models)]


def vote(*models, **params):
    """Return a soft vote in the form that skl2onnx converts."""
    return VotingClassifier(
        pairs(*models), **{"voting": "soft", "flatten_transform": False} | params
    )


def codes(y):
    """Return the class codes with which a VotingClassifier fits its estimators."""
    return np.unique(y, return_inverse=True)[1]


LOGISTIC = LogisticRegression()
CLASSIFIERS = {
    "calibrated": lambda X, y: CalibratedClassifierCV(net(), cv=2),
    "calibrated, one calibrator": lambda X, y: CalibratedClassifierCV(net(), cv=2, ensemble=False),
    "calibrated, members": lambda X, y: CalibratedClassifierCV(net(n_members=3), cv=2),
    "calibrated, focal": lambda X, y: CalibratedClassifierCV(net(loss="focal"), cv=2),
    "calibrated, pipeline": lambda X, y: CalibratedClassifierCV(piped(piped(net())), cv=2),
    "calibrated, search": lambda X, y: CalibratedClassifierCV(search(net()), cv=2),
    "calibrated, search of a pipeline": lambda X, y: CalibratedClassifierCV(
        search(piped(net()), "mlpclassifier__alpha"), cv=2
    ),
    "calibrated, pipeline with a search": lambda X, y: CalibratedClassifierCV(
        piped(RandomizedSearchCV(net(), {"alpha": [0.1]}, n_iter=1, cv=2)), cv=2
    ),
    "calibrated, frozen": lambda X, y: CalibratedClassifierCV(frozen(X, y), cv=2),
    "calibrated, frozen pipeline": lambda X, y: CalibratedClassifierCV(
        frozen(X, y, piped(net())), cv=2
    ),
    "search of a calibrated classifier": lambda X, y: search(
        CalibratedClassifierCV(net(), cv=2), "estimator__alpha"
    ),
    "soft vote": lambda X, y: vote(net(), LOGISTIC, piped(net(random_state=3))),
    "soft vote, weights": lambda X, y: vote(net(), LOGISTIC, weights=np.array([0.3, 0.7])),
    "soft vote, dropped": lambda X, y: vote("drop", net(), LOGISTIC),
    "soft vote, frozen": lambda X, y: vote(frozen(X, codes(y)), LOGISTIC),
    "hard vote": lambda X, y: vote(net(), LOGISTIC, net(alpha=1.0), voting="hard"),
    "stack": lambda X, y: StackingClassifier(pairs(net(), piped(net())), cv=2),
    "stack, passthrough": lambda X, y: StackingClassifier(
        pairs(net(), LOGISTIC), net(), cv=2, passthrough=True
    ),
    "stack, prefit": lambda X, y: StackingClassifier(
        pairs(net().fit(X, y), LogisticRegression().fit(X, y)), cv="prefit"
    ),
    "stack of meta-estimators": lambda X, y: StackingClassifier(
        pairs(CalibratedClassifierCV(net(), cv=2), BaggingClassifier(net(), n_estimators=2)), cv=2
    ),
    "stack in a pipeline": lambda X, y: piped(StackingClassifier(pairs(net(), LOGISTIC), cv=2)),
    "bagging": lambda X, y: BaggingClassifier(piped(net()), n_estimators=3, random_state=0),
    "bagging, features": lambda X, y: BaggingClassifier(
        net(), n_estimators=3, random_state=0, max_features=0.5, bootstrap_features=True
    ),
    "bagging of a search": lambda X, y: BaggingClassifier(
        piped(search(net())), n_estimators=2, random_state=0
    ),
    "one against the rest": lambda X, y: OneVsRestClassifier(net(n_members=2)),
    "one against the rest, regressor": lambda X, y: OneVsRestClassifier(number()),
    "frozen": frozen,
    "frozen bagging": lambda X, y: frozen(X, y, BaggingClassifier(net(), n_estimators=2)),
    "search of bagging": lambda X, y: search(BaggingClassifier(net()), "n_estimators").set_params(
        param_grid={"n_estimators": [2]}
    ),
    "selected features": lambda X, y: make_pipeline(
        RFE(DecisionTreeClassifier(random_state=0), n_features_to_select=3),
        SelectFromModel(DecisionTreeClassifier(random_state=0), threshold=-np.inf, max_features=2),
        BaggingClassifier(net(), n_estimators=2, random_state=0),
    ),
}


def converted(model, X, dtype):
    """Return the inputs, and the outputs of onnxruntime for the graph of a fitted model."""
    options = None if is_regressor(model) else {"zipmap": False}
    X = X.astype(dtype)
    return X, run(skl2onnx.to_onnx(model, X[:1], options=options), X)


def assert_same(model, X, dtype):
    """Assert that the graph predicts the labels and probabilities of the model.

    Labels may differ between equal probabilities, where rounding decides.
    """
    X, (labels, p) = converted(model, X, dtype)
    expected = model.predict(X)
    expected = expected.astype(int) if expected.dtype.kind == "b" else expected
    sure = np.full(len(X), True)
    if hasattr(model, "predict_proba"):
        near = 1e-5 if dtype == np.float32 else 1e-6
        known = model.predict_proba(X)
        np.testing.assert_allclose(p, known, atol=near)
        top = np.sort(known, axis=1)
        sure = top[:, -1] - top[:, -2] > near
        assert sure.mean() > 0.98
    np.testing.assert_array_equal(labels[sure], expected[sure])


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize(
    ("data", "dtype"), [("breast cancer", np.float32), ("iris, text", np.float64)]
)
def test_classifiers_predict_the_same(name, data, dtype):
    X, y = table(data)
    assert_same(CLASSIFIERS[name](X, y).fit(X, y), X, dtype)


@pytest.mark.parametrize("data", ["iris, spaced", "breast cancer, truth"])
@pytest.mark.parametrize("name", ["calibrated", "soft vote", "stack", "bagging"])
def test_other_class_labels_are_supported(name, data):
    X, y = table(data)
    dtype = np.float32 if data == "iris, spaced" else np.float64
    assert_same(CLASSIFIERS[name](X, y).fit(X, y), X, dtype)


@pytest.mark.parametrize("data", ["breast cancer", "iris, text", "iris, spaced"])
def test_boosting_predicts_the_same(data):
    X, y = table(data)
    # Boosting stops at the first network without errors.
    inside = net(hidden_layer_sizes=(16,), max_iter=40 if data == "breast cancer" else 150)
    model = AdaBoostClassifier(inside, n_estimators=3, random_state=1).fit(X, y)
    assert len(model.estimators_) == 3
    assert_same(model, X, np.float32)
    with pytest.raises(NotImplementedError, match=r"AdaBoostClassifier.*pass float32"):
        converted(model, X, np.float64)


def test_boosting_of_boolean_classes_raises():
    X, y = table("breast cancer, truth")
    model = AdaBoostClassifier(net(max_iter=150), n_estimators=2, random_state=1).fit(X, y)
    with pytest.raises(NotImplementedError, match=r"AdaBoostClassifier.*boolean classes"):
        converted(model, X, np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inside", [net(), net(n_members=3), piped(net())])
def test_one_vs_one_predicts_the_same(inside, dtype):
    """Sums of scores break ties between votes, so the graph needs those of decision_function."""
    for name in ("breast cancer", "iris"):
        X, y = table(name)
        model = OneVsOneClassifier(inside).fit(X, y)
        X, (labels, _) = converted(model, X, dtype)
        np.testing.assert_array_equal(labels.ravel(), model.predict(X))


@pytest.mark.parametrize("dtype", DTYPES)
def test_multilabel_and_multioutput_targets_are_supported(dtype):
    X, y = table("iris")
    Y = np.stack([y > 0, y > 1], axis=1).astype(int)
    model = OneVsRestClassifier(net()).fit(X, Y)
    data, (labels, p) = converted(model, X, dtype)
    np.testing.assert_array_equal(labels, model.predict(data))
    np.testing.assert_allclose(p, model.predict_proba(data), atol=1e-6)
    for inside in (net(), BaggingClassifier(net(), n_estimators=2)):
        model = MultiOutputClassifier(inside).fit(X, Y)
        data, (labels, p) = converted(model, X, dtype)
        np.testing.assert_array_equal(labels, model.predict(data))
        np.testing.assert_allclose(p, model.predict_proba(data), atol=1e-6)


QUANTILES = number(loss=QuantileLoss((0.1, 0.5, 0.9)))
REGRESSORS = {
    "bagging": BaggingRegressor(
        piped(number()), n_estimators=3, random_state=0, max_features=0.5, bootstrap_features=True
    ),
    "vote": VotingRegressor(pairs(number(), Ridge(), piped(number()))),
    "vote, weights": VotingRegressor(pairs(number(), Ridge()), weights=np.array([0.2, 0.8])),
    "stack": StackingRegressor(pairs(number(), "drop"), number(), cv=2, passthrough=True),
    "stack of quantiles": StackingRegressor(pairs(QUANTILES, Ridge()), cv=2),
    "boosting": AdaBoostRegressor(piped(number()), n_estimators=5, random_state=0),
    "ransac": RANSACRegressor(number(), min_samples=0.5, random_state=0, max_trials=2),
    "search": search(VotingRegressor(pairs(number(), Ridge())), "model_0__alpha"),
    "several outputs": MultiOutputRegressor(BaggingRegressor(number(), n_estimators=2)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors_predict_the_same(name, dtype):
    X, y = table("diabetes")
    model = REGRESSORS[name]
    model.fit(X, np.stack([y, y[::-1]], axis=1) if name == "several outputs" else y)
    data, (actual,) = converted(model, X, dtype)
    expected = model.predict(data).reshape(actual.shape)
    near = 1e-5 if dtype == np.float32 else 1e-6
    # Targets reach several hundred, but some predictions are near 0.
    np.testing.assert_allclose(actual, expected, rtol=near, atol=near * np.abs(expected).max())
    frozen = FrozenEstimator(model)
    np.testing.assert_array_equal(converted(frozen, X, dtype)[1][0], actual)


def test_cast_regressor_raises():
    """skl2onnx omits the cast to float32 from a float64 graph."""
    from skl2onnx.sklapi import CastRegressor

    X, y = table("diabetes")
    model = CastRegressor(number().fit(X, y), dtype=np.float32)
    with pytest.raises(NotImplementedError, match="CastRegressor"):
        converted(model, X, np.float64)


# -- raw scores ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "dtype"), [(1, np.float32), (3, np.float64)])
@pytest.mark.parametrize("wrap", [lambda m: m, piped, search, FrozenEstimator])
def test_raw_scores_match_decision_function(wrap, members, dtype):
    tables = [table("breast cancer"), table("iris")]
    X, y = tables[1]
    tables.append((X, np.stack([y > 0, y > 1], axis=1).astype(int)))
    for X, y in tables:
        inside = net(n_members=members, dtype=dtype.__name__)
        model = wrap(inside.fit(X, y)).fit(X, y)
        X = X.astype(dtype)
        options = {"zipmap": False, "raw_scores": True}
        labels, actual = run(skl2onnx.to_onnx(model, X[:1], options=options), X)
        expected = model.decision_function(X)
        if expected.ndim == 1:
            expected = np.stack([-expected, expected], axis=1)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(labels, model.predict(X))


@pytest.mark.parametrize("dtype", DTYPES)
def test_raw_scores_of_members_are_accurate_where_probabilities_round_to_0(dtype):
    for X, y in (table("breast cancer"), table("iris")):
        model = net(n_members=3, dtype=dtype.__name__).fit(X, y)
        far = (1e5 * X).astype(dtype)
        options = {"zipmap": False, "raw_scores": True}
        _, actual = run(skl2onnx.to_onnx(model, far[:1], options=options), far)
        expected = model.decision_function(far)
        assert np.abs(expected).max() > -np.log(np.finfo(dtype).smallest_subnormal)
        actual = actual[:, 1] if expected.ndim == 1 else actual
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=0.01)


def test_multioutput_classifiers_have_no_raw_scores():
    X, y = table("iris")
    model = net().fit(X, np.stack([y, y[::-1]], axis=1))
    with pytest.raises(NotImplementedError, match="raw_scores"):
        skl2onnx.to_onnx(model, X[:1], options={"zipmap": False, "raw_scores": True})


# -- unsupported meta-estimators -----------------------------------------------------------------


def shared(X, y):
    """Return a vote of the same frozen network with and without calibration."""
    one = frozen(X, codes(y))
    return vote(one, CalibratedClassifierCV(one, cv=2))


REFUSED = {
    "isotonic": (
        lambda X, y: CalibratedClassifierCV(net(), cv=2, method="isotonic"),
        r"CalibratedClassifierCV.*method='isotonic'",
    ),
    "calibrated bagging": (
        lambda X, y: CalibratedClassifierCV(BaggingClassifier(net(), n_estimators=2), cv=2),
        "CalibratedClassifierCV.*inside another meta-estimator",
    ),
    "shared": (shared, "inside CalibratedClassifierCV and VotingClassifier.*Use a copy"),
    "tuned": (lambda X, y: TunedThresholdClassifierCV(net(), cv=2), "TunedThresholdClassifierCV"),
    "dropped": (
        lambda X, y: vote("drop", net(), LOGISTIC, weights=np.array([0.3, 0.7, 0.1])),
        "VotingClassifier.*was dropped",
    ),
    "weights": (
        lambda X, y: vote(net(), LOGISTIC, weights=[0.3, 0.7]),
        "VotingClassifier.*NumPy array",
    ),
    "stacked scores": (
        lambda X, y: StackingClassifier(pairs(net()), cv=2, stack_method="decision_function"),
        "StackingClassifier.*use 'predict_proba'",
    ),
    "stacked labels": (
        lambda X, y: StackingClassifier(pairs(net()), cv=2, stack_method="predict"),
        "StackingClassifier.*use 'predict_proba'",
    ),
    "without probabilities": (
        lambda X, y: StackingClassifier(pairs(net()), RidgeClassifier(), cv=2),
        "StackingClassifier.*final estimator has no prob",
    ),
    "transformer": (
        lambda X, y: make_pipeline(StackingClassifier(pairs(net(), LOGISTIC), cv=2), net()),
        "StackingClassifier.*used as a transformer",
    ),
    "few classes": (
        lambda X, y: BaggingClassifier(piped(net()), n_estimators=9, max_samples=2, random_state=0),
        "BaggingClassifier.*without one of the classes",
    ),
    "several outputs": (
        lambda X, y: MultiOutputClassifier(piped(net())),
        "MultiOutputClassifier.*cannot convert a pipeline",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_graphs_with_other_predictions_are_refused(name):
    build, message = REFUSED[name]
    X, y = table("breast cancer")
    model = build(X, y).fit(X, np.stack([y, y], axis=1) if name == "several outputs" else y)
    with pytest.raises(NotImplementedError, match=message):
        converted(model, X, np.float32)


def test_temperature_scaling_raises():
    X, y = table("iris, text")
    if [int(part) for part in sklearn.__version__.split(".")[:2]] < [1, 8]:
        pytest.skip("this scikit-learn has no temperature scaling")
    model = CalibratedClassifierCV(net(), cv=2, method="temperature").fit(X, y)
    with pytest.raises(NotImplementedError, match="method='temperature'"):
        converted(model, X, np.float32)


@pytest.mark.parametrize("name", ["calibrated", "soft vote", "stack", "bagging"])
def test_classes_beyond_32_bits_raise(name):
    X, y = table("iris, wide")
    model = CLASSIFIERS[name](X, y).fit(X, y)
    with pytest.raises(NotImplementedError, match="32-bit"):
        converted(model, X, np.float32)


def test_one_vs_one_raises_where_skl2onnx_loses_the_classes():
    X, y = table("iris, text")
    with pytest.raises(NotImplementedError, match="indices of the classes"):
        converted(OneVsOneClassifier(net()).fit(X, y), X, np.float32)
    model = vote(OneVsOneClassifier(net()), OneVsOneClassifier(net()), voting="hard")
    with pytest.raises(NotImplementedError, match="several of them"):
        converted(model.fit(X, y), X, np.float32)
    with pytest.raises(NotImplementedError, match="needs the scores"):
        converted(OneVsOneClassifier(number()).fit(X, codes(y)), X, np.float32)


def test_means_of_several_outputs_raise():
    X, y = table("diabetes")
    for model in (
        BaggingRegressor(QUANTILES, n_estimators=2),
        BaggingRegressor(number(), n_estimators=2),
    ):
        target = y if model.estimator is QUANTILES else np.stack([y, y], axis=1)
        with pytest.raises(NotImplementedError, match=r"BaggingRegressor.*several columns"):
            converted(model.fit(X, target), X, np.float32)


def test_integers_and_several_inputs_raise():
    """skl2onnx casts the probabilities in a stack to the dtype of its inputs."""
    pd = pytest.importorskip("pandas")
    X, y = table("iris")
    counts = np.round(10 * X).astype(np.int64)
    model = StackingClassifier(pairs(net()), cv=2).fit(counts, y)
    with pytest.raises(NotImplementedError, match="one table of floats"):
        converted(model, counts, np.int64)
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = BaggingClassifier(net(), n_estimators=2, max_features=0.5).fit(frame, y)
    with pytest.raises(NotImplementedError, match="one table of floats"):
        skl2onnx.to_onnx(model, frame[:1])


def test_bagging_has_no_raw_scores():
    X, y = table("iris")
    model = BaggingClassifier(net(), n_estimators=2).fit(X, y)
    with pytest.raises(NotImplementedError, match=r"BaggingClassifier.*'raw_scores'"):
        skl2onnx.to_onnx(model, X[:1], options={"zipmap": False, "raw_scores": True})


def test_conversion_of_other_estimators_is_unchanged():
    """Without our estimators inside, even conversions that skl2onnx gets wrong are allowed."""
    X, y = table("iris")
    model = CalibratedClassifierCV(LogisticRegression(), cv=2).fit(X, y)
    assert_same(model, X, np.float32)
    model = CalibratedClassifierCV(LogisticRegression(), cv=2, method="isotonic").fit(X, y)
    _, p = converted(model, X, np.float32)[1]
    assert p.shape == (len(X), 3)


# -- missing packages ----------------------------------------------------------------------------

WITHOUT_SKOPT = """
import sys
sys.modules["skopt"] = None
import numpy as np
from skl2onnx import to_onnx
from sklearn.model_selection import RandomizedSearchCV
from sknn_adam import MLPRegressor
from sknn_adam.onnx import register
register()
X = np.linspace(-1, 1, 40, dtype=np.float32).reshape(20, 2)
search = RandomizedSearchCV(MLPRegressor((3,), max_iter=2), {"alpha": [0.1]}, n_iter=1, cv=2)
print(len(to_onnx(search.fit(X, X[:, 0]), X[:1]).graph.output))
"""


def test_conversion_works_without_scikit_optimize():
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_SKOPT], capture_output=True, text=True
    )
    assert process.stdout.split() == ["1"], process.stderr[-2000:]
