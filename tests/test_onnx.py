"""Conversion to ONNX: in onnxruntime, the graphs predict the same as the models."""

import copy
import importlib
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam._nn.normalization import RowNormLayer
from sknn_adam.activations import Activation, LeakyReLU, ReLU
from sknn_adam.losses import LogLoss, RegressionLoss
from sknn_adam.normalization import Normalization
from sknn_adam.preprocessing import PiecewiseLinearEncoder, SmoothClipScaler

onnx = pytest.importorskip("onnx")
skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")

from onnx_matrix import CASES, SMALL, difference, fitted, run, table  # noqa: E402

from sknn_adam.onnx import register  # noqa: E402

register()
to_onnx = skl2onnx.to_onnx
X, Y = load_wine(return_X_y=True)
X = StandardScaler().fit_transform(X).astype(np.float32)
NUMBERS = X @ np.arange(13) + 5


@pytest.mark.parametrize("case", CASES)
def test_onnxruntime_predicts_the_same(case):
    assert difference(case, np.float32) < 1e-5


@pytest.mark.parametrize(
    "case",
    [
        "wine, gelu, layer",
        "wine, mish, batch",
        "breast cancer, prelu, rms",
        "diabetes, softplus, batch",
        "diabetes, 'gaussian', scaled True, counts",
        "diabetes, QuantileLoss(level=(0.1, 0.5, 0.9)), scaled True, counts",
        "diabetes, 'poisson', scaled True, two outputs",
        "breast cancer, labels",
        "wine, columns of text",
        "wine, prelu, layer, members",
        "diabetes, relu, batch, members",
        "diabetes, 'gaussian', two outputs, members",
        "diabetes, QuantileLoss(level=(0.1, 0.5, 0.9)), counts, members",
        "breast cancer, classes, cross-fitted",
        "wine, columns, cross-fitted",
    ],
)
def test_onnxruntime_predicts_the_same_in_double_precision(case):
    """The tolerance is close to rounding errors, except for GELU, whose erf is float32."""
    model, name, targets = CASES[case]
    before = copy.copy(CASES[case])
    CASES["double"] = clone(model).set_params(dtype="float64"), name, targets
    try:
        limit = 1e-6 if "gelu" in case else 1e-12
        assert difference("double", np.float64) < limit
    finally:
        del CASES["double"]
    assert CASES[case] == before


def test_graph_versions_are_widely_supported():
    model = to_onnx(MLPClassifier(**SMALL, activation="gelu").fit(X, Y), X[:1])
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 10
    assert max(item.version for item in model.opset_import) <= 22
    older = to_onnx(
        MLPClassifier(**SMALL, normalization="layer").fit(X, Y),
        X[:1],
        target_opset=15,
        options={"zipmap": False},
    )
    assert max(item.version for item in older.opset_import) <= 15
    assert run(older, X)[1].shape == (len(X), 3)


def test_batch_normalization_is_folded():
    plain, normalized = (
        to_onnx(MLPRegressor(**SMALL, normalization=n).fit(X, NUMBERS), X[:1]).graph.node
        for n in (None, "batch")
    )
    assert [node.op_type for node in plain] == [node.op_type for node in normalized]


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_members_are_stacked_matrices(normalization):
    """Ten members need as many operators as three; a single network only lacks their mean."""
    nodes = {}
    for n in (1, 3, 10):
        model = MLPRegressor(**SMALL, normalization=normalization, n_members=n).fit(X, NUMBERS)
        nodes[n] = [node.op_type for node in to_onnx(model, X[:1]).graph.node]
    assert nodes[10] == nodes[3]
    assert len(nodes[3]) == len(nodes[1]) + 3


def test_graph_of_members_computes_their_mean():
    model = MLPClassifier(**SMALL | {"max_iter": 60}, cv=3, early_stopping=True).fit(X, Y)
    options = {"zipmap": False}
    labels, p = run(to_onnx(model, X[:1], options=options), X)
    np.testing.assert_allclose(p, model.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(labels, model.predict(X))
    each = model.member_predictions(X)
    np.testing.assert_allclose(p, each.mean(axis=0), atol=1e-6)


def test_graph_accepts_zero_samples():
    for n in (1, 3):
        model = MLPClassifier(**SMALL, n_members=n).fit(X, Y)
        labels, p = run(to_onnx(model, X[:1], options={"zipmap": False}), X[:0])
        assert (labels.shape, p.shape) == ((0,), (0, 3))


# -- options and outputs -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", [False, True])
def test_options_of_classifiers_are_supported(dtype, text):
    y = np.array(["low", "middle", "high"])[Y] if text else Y
    model = make_pipeline(StandardScaler(), MLPClassifier(**SMALL)).fit(X, y)
    data, expected = X.astype(dtype), model.predict_proba(X.astype(dtype))
    labels, maps = run(to_onnx(model, data[:1]), data)
    assert list(maps[0]) == list(model.classes_)
    np.testing.assert_array_equal(labels, model.predict(data))
    p = np.array([[row[name] for name in model.classes_] for row in maps])
    np.testing.assert_allclose(p, expected, atol=1e-5)
    outputs = run(to_onnx(model, data[:1], options={"zipmap": "columns"}), data)
    np.testing.assert_allclose(np.stack(outputs[1:], axis=1), expected, atol=1e-5)
    options = {"zipmap": False, "output_class_labels": True}
    *_, classes = run(to_onnx(model[-1], data[:1], options=options), data)
    assert list(classes) == list(model.classes_)
    options = {"zipmap": False, "nocl": True}
    codes, _ = run(to_onnx(model[-1], data[:1], options=options), data)
    np.testing.assert_array_equal(np.array(model.classes_)[codes], model[-1].predict(data))


def test_multilabel_and_multioutput_ignore_zipmap_but_refuse_its_columns():
    for case in ("wine, labels", "wine, columns"):
        model, data = fitted(case)
        by_default = run(to_onnx(model, data[:1].astype(np.float32)), data.astype(np.float32))
        assert not isinstance(by_default[1][0], dict)
        with pytest.raises(NotImplementedError, match=r"zipmap='columns'.*was fitted with"):
            to_onnx(model, data[:1], options={"zipmap": "columns"})
        with pytest.raises(NotImplementedError, match="nocl"):
            to_onnx(model[-1], data[:1], options={"zipmap": False, "nocl": True})


def test_return_std_is_an_option_of_the_gaussian_loss():
    model = MLPRegressor(**SMALL, loss="gaussian").fit(X, NUMBERS)
    assert len(run(to_onnx(model, X[:1]), X)) == 1
    other = MLPRegressor(**SMALL).fit(X, NUMBERS)
    with pytest.raises(NotImplementedError, match="return_std=True with the loss SquaredError"):
        to_onnx(other, X[:1], options={"return_std": True})


def test_integers_and_named_columns_are_accepted():
    pd = pytest.importorskip("pandas")
    counts = np.round(X * 10).astype(np.int64)
    model = MLPRegressor(**SMALL).fit(counts, NUMBERS)
    (actual,) = run(to_onnx(model, counts[:1]), counts)
    np.testing.assert_allclose(actual.ravel(), model.predict(counts), rtol=1e-4, atol=1e-4)
    frame = pd.DataFrame(X[:, :3], columns=list("abc"))
    model = make_pipeline(StandardScaler(), MLPRegressor(**SMALL)).fit(frame, NUMBERS)
    converted = to_onnx(model, frame.iloc[:1])
    session = pytest.importorskip("onnxruntime").InferenceSession(converted.SerializeToString())
    (actual,) = session.run(None, {name: frame[[name]].to_numpy() for name in frame})
    np.testing.assert_allclose(actual.ravel(), model.predict(frame), rtol=1e-4, atol=1e-4)


def test_huge_features_give_finite_predictions():
    for model in (MLPRegressor(**SMALL).fit(X, NUMBERS), MLPClassifier(**SMALL).fit(X, Y)):
        options = {"zipmap": False} if isinstance(model, MLPClassifier) else None
        *_, actual = run(to_onnx(model, X[:1], options=options), X * np.float32(1e30))
        assert np.isfinite(actual).all()


# -- searches and other estimators ---------------------------------------------------------------


def test_searches_convert_their_best_estimator():
    from scipy.stats import loguniform
    from skopt import BayesSearchCV
    from skopt.space import Real

    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    alpha = "mlpclassifier__alpha"
    searches = [
        GridSearchCV(pipeline, {alpha: [1e-4, 1e-2]}, cv=2),
        RandomizedSearchCV(pipeline, {alpha: loguniform(1e-5, 1e-1)}, n_iter=2, cv=2),
        BayesSearchCV(pipeline, {alpha: Real(1e-5, 1e-1, "log-uniform")}, n_iter=2, cv=2),
        RandomizedSearchCV(MLPClassifier(**SMALL), {"alpha": [0.1, 0.2]}, n_iter=1, cv=2),
        make_pipeline(
            StandardScaler(), RandomizedSearchCV(MLPClassifier(**SMALL), {"alpha": [0.1]}, n_iter=1)
        ),
    ]
    for search in searches:
        search.fit(X, Y)
        _, actual = run(to_onnx(search, X[:1], options={"zipmap": False}), X)
        np.testing.assert_allclose(actual, search.predict_proba(X), atol=1e-5)
        _, maps = run(to_onnx(search, X[:1]), X)
        np.testing.assert_allclose([row[1] for row in maps], actual[:, 1], atol=1e-6)


def test_halving_searches_can_be_converted_if_they_are_enabled():
    importlib.import_module("sklearn.experimental.enable_halving_search_cv")
    from sklearn.model_selection import HalvingGridSearchCV

    register()
    search = HalvingGridSearchCV(MLPRegressor(**SMALL), {"alpha": [0.1, 0.01]}, cv=2)
    search.fit(X, NUMBERS)
    (actual,) = run(to_onnx(search, X[:1]), X)
    np.testing.assert_allclose(actual.ravel(), search.predict(X), rtol=1e-4, atol=1e-4)


def test_conversion_of_other_estimators_is_unchanged():
    from sklearn.linear_model import LogisticRegression

    grid = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, Y)
    _, actual = run(to_onnx(grid, X[:1], options={"zipmap": False}), X)
    np.testing.assert_allclose(actual, grid.predict_proba(X), atol=1e-5)


# -- transformers --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["breast cancer", "wine", "diabetes"])
def test_transformers_can_be_converted(name, dtype):
    data = table(name)[0].astype(dtype)
    for model in (
        SmoothClipScaler(),
        SmoothClipScaler(limit=0.5),
        PiecewiseLinearEncoder(rows_per_bin=2),
    ):
        expected = model.fit(data).transform(data)
        (actual,) = run(to_onnx(model, data[:1]), data)
        assert actual.dtype == dtype
        near = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(actual, expected, rtol=near, atol=near)
    assert actual.shape[1] > 2 * data.shape[1]


def test_transformers_handle_extreme_values():
    data = np.array([[0.0, 1e7], [1.0, 1e7 + 1], [2.0, 1e7 + 3], [4.0, 1e7 + 8]], np.float32)
    clip = SmoothClipScaler().fit(data)
    probe = np.vstack([data, [[np.nan, -1e30], [3e38, 1e20]]]).astype(np.float32)
    (actual,) = run(to_onnx(clip, data[:1]), probe)
    np.testing.assert_allclose(actual, clip.transform(probe), rtol=1e-5)
    assert np.isnan(actual[4, 0])
    np.testing.assert_allclose(np.abs(actual[4:, 1]), 3, rtol=1e-6)
    bins = PiecewiseLinearEncoder(n_bins=2, rows_per_bin=1).fit(data)
    probe[4, 0] = 0
    (actual,) = run(to_onnx(bins, data[:1]), probe)
    np.testing.assert_allclose(actual, bins.transform(probe), rtol=1e-5)
    # There are not enough rows for bins.
    none = PiecewiseLinearEncoder(rows_per_bin=10).fit(data)
    (actual,) = run(to_onnx(none, data[:1]), data)
    np.testing.assert_array_equal(actual, data)


def test_tabular_pipeline_for_numbers_can_be_converted():
    X, y = table("breast cancer")
    X = X.astype(np.float32)
    model = make_tabular_pipeline("classifier", recipe="fast", random_state=0)
    model.set_params(model__max_iter=3).fit(X, y)
    _, actual = run(to_onnx(model, X[:1], options={"zipmap": False}), X)
    np.testing.assert_allclose(actual, model.predict_proba(X), atol=1e-5)
    # Missing values add an indicator column.
    X[::7, 3] = np.nan
    model.fit(X, y)
    _, actual = run(to_onnx(model, X[:1], options={"zipmap": False}), X)
    np.testing.assert_allclose(actual, model.predict_proba(X), atol=1e-5)
    # skl2onnx omits it.
    model = make_pipeline(SimpleImputer(add_indicator=True), MLPRegressor(**SMALL)).fit(X, y)
    with pytest.raises(NotImplementedError, match="MLPRegressor was fitted with 31"):
        to_onnx(model, X[:1])


# -- unsupported components ----------------------------------------------------------------------


class Square(Activation):
    def __call__(self, z):
        return z * z

    def derivative(self, z, a):
        return 2 * z


class Renamed(LeakyReLU):
    """A subclass with the same formula."""


class Steep(LeakyReLU):
    def __call__(self, z):
        return 2 * super().__call__(z)


class OwnNorm(Normalization):
    def layer(self, width):
        return OwnLayer(width, 1e-5, True)


class OwnLayer(RowNormLayer):
    pass


class LogCosh(RegressionLoss):
    def value(self, y, z):
        return np.log(np.cosh(z - y)).sum(axis=-1)

    def gradient(self, y, z):
        return np.tanh(z - y)


class Rounded(LogCosh):
    def predict(self, z):
        return np.round(z)


class OwnProbabilities(LogLoss):
    def predict(self, z, exclusive=True):
        return super().predict(z / 2, exclusive)


class OwnMean(LogLoss):
    def combine(self, z, exclusive=True):
        return z.mean(axis=0)


class Applied(ReLU):
    """A subclass that overrides `apply`, which networks call."""

    def apply(self, z, out):
        np.multiply(z, 2.0, out=out)


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (MLPClassifier(**SMALL, activation=Applied()), r"Applied.* defines its own 'apply'"),
        (MLPClassifier(**SMALL, activation=Square()), r"The activation Square\(\) cannot"),
        (MLPClassifier(**SMALL, activation=Steep()), r"Steep.* defines its own '__call__'"),
        (MLPClassifier(**SMALL, normalization=OwnNorm()), "The layer OwnLayer cannot be converted"),
        (MLPClassifier(**SMALL, loss=OwnProbabilities()), r"The loss OwnProbabilities\(\) cannot"),
        (
            MLPClassifier(**SMALL, loss=OwnMean(), n_members=2),
            r"several members OwnMean\(\) cannot",
        ),
        (MLPRegressor(**SMALL, loss=Rounded()), r"The loss Rounded\(\) cannot be converted"),
    ],
)
def test_error_names_the_unsupported_formula(model, named):
    model = clone(model).fit(X, NUMBERS if isinstance(model, MLPRegressor) else Y)
    with pytest.raises(NotImplementedError, match=named):
        to_onnx(model, X[:1])


def test_custom_classes_with_known_formulas_can_be_converted():
    model = MLPRegressor(**SMALL, activation=Renamed(0.2), loss=LogCosh()).fit(X, NUMBERS)
    (actual,) = run(to_onnx(model, X[:1]), X)
    np.testing.assert_allclose(actual.ravel(), model.predict(X), rtol=1e-5, atol=1e-5)


def test_fractional_classes_and_unfitted_estimators_raise():
    halves = MLPClassifier(**SMALL, dtype="float32").fit(X, Y)
    halves._targets.columns[0] = np.array([0.5, 1.5, 2.5])
    with pytest.raises(NotImplementedError, match=r"whole numbers or text\. Got \[0.5, 1.5"):
        to_onnx(halves, X[:1], options={"zipmap": False})
    with pytest.raises(NotFittedError):
        to_onnx(MLPRegressor(), X[:1])


def test_error_names_the_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'sknn_adam\[onnx\]'"):
        register()


def test_tables_are_those_of_scikit_learn():
    assert [len(table(name)[0]) for name in ("breast cancer", "wine", "diabetes")] == [
        569,
        178,
        442,
    ]
    assert load_diabetes().target.max() == 346
