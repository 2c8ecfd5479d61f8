"""Weights, targets and features near the ends of the floating point range."""

import warnings

import numpy as np
import pytest
from copies import networks
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, r2_score

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._nn.layers import Workspace
from sknn_adam._nn.normalization import normalization_layer
from sknn_adam.losses import SquaredError
from sknn_adam.normalization import BatchNorm, LayerNorm, RMSNorm

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
NUMBERS = X[:, 0] + X[:, 1] ** 2
LABELS = np.digitize(X[:, 0], [-0.5, 0.5])
COLUMNS = np.c_[LABELS, np.digitize(X[:, 1], [0.0, 1.0])]
WEIGHT = RNG.uniform(0.1, 2, len(X))

TARGETS = pytest.mark.parametrize(
    ("estimator", "y"),
    [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS), (MLPRegressor, 1e10 * NUMBERS)],
    ids=["clf", "reg", "reg-large"],
)
FACTORS = pytest.mark.parametrize("factor", [1e300, 8e307, 1e-300])
SETTINGS = pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": True, "scoring": None},
        {"early_stopping": True, "cv": 3},
    ],
    ids=["plain", "early_stopping", "cross_fitted"],
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (5,), "batch_size": 30, "max_iter": 4, "random_state": 0}
    return estimator(**defaults | params)


def outputs(model, X=X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def assert_same(a, b, y):
    """Compare with a tolerance, because scaled weights are rounded."""
    size = 1 if hasattr(a, "classes_") else np.abs(y).max()
    np.testing.assert_allclose(outputs(a) / size, outputs(b) / size, rtol=0, atol=1e-12)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-12)
    scores = a.validation_scores_ or [], b.validation_scores_ or []
    np.testing.assert_allclose(*scores, rtol=1e-10)
    if hasattr(a, "oof_score_"):
        assert a.oof_score_ == pytest.approx(b.oof_score_, rel=1e-10)


# -- weights -------------------------------------------------------------------------------------


@TARGETS
@FACTORS
@SETTINGS
def test_scaling_sample_weights_has_no_effect(estimator, y, factor, params):
    plain = small(estimator, **params).fit(X, y, sample_weight=WEIGHT)
    extreme = small(estimator, **params).fit(X, y, sample_weight=factor * WEIGHT)
    assert_same(plain, extreme, y)
    unweighted = small(estimator, **params).fit(X, y)
    assert np.abs(outputs(unweighted) / np.abs(y).max() - outputs(plain) / np.abs(y).max()).max()


@TARGETS
@FACTORS
def test_scaling_validation_weights_has_no_effect(estimator, y, factor):
    for scoring in ("loss", None):
        models = [
            small(estimator, early_stopping=True, scoring=scoring).fit(
                X[30:], y[30:], X_val=X[:30], y_val=y[:30], sample_weight_val=weight
            )
            for weight in (WEIGHT[:30], factor * WEIGHT[:30])
        ]
        assert_same(*models, y)


@TARGETS
@FACTORS
def test_scaling_weights_of_partial_fit_has_no_effect(estimator, y, factor):
    plain, extreme = small(estimator), small(estimator)
    for _ in range(3):
        plain.partial_fit(X, y, sample_weight=WEIGHT)
        extreme.partial_fit(X, y, sample_weight=factor * WEIGHT)
    assert_same(plain, extreme, y)


@pytest.mark.parametrize("y", [LABELS, COLUMNS], ids=["classes", "columns"])
@FACTORS
def test_scaling_class_weights_has_no_effect(y, factor):
    def fitted(factor, weight):
        one = {0: factor * 1.0, 1: factor * 2.0, 2: factor * 0.5}
        class_weight = one if y.ndim == 1 else [one, one]
        return small(MLPClassifier, class_weight=class_weight).fit(X, y, sample_weight=weight)

    plain = fitted(1.0, WEIGHT)
    for weight in (WEIGHT, factor * WEIGHT):
        extreme = fitted(factor / 2, weight)
        np.testing.assert_allclose(plain.loss_curve_, extreme.loss_curve_, rtol=1e-12)


@FACTORS
def test_scaling_sample_weights_of_balanced_classes_has_no_effect(factor):
    models = [
        small(MLPClassifier, class_weight="balanced").fit(X, LABELS, sample_weight=weight)
        for weight in (WEIGHT, factor * WEIGHT)
    ]
    assert_same(*models, LABELS)


@FACTORS
def test_scaling_weights_of_score_has_no_effect(factor):
    model = small(MLPRegressor).fit(X, NUMBERS)
    expected = r2_score(NUMBERS, model.predict(X), sample_weight=WEIGHT)
    assert model.score(X, NUMBERS, factor * WEIGHT) == pytest.approx(expected, rel=1e-12)
    for y in (LABELS, COLUMNS):
        model = small(MLPClassifier).fit(X, y)
        right = (np.asarray(model.predict(X)) == y).reshape(len(y), -1).all(axis=1)
        expected = accuracy_score(np.ones(len(y)), right, sample_weight=WEIGHT)
        assert model.score(X, y, factor * WEIGHT) == pytest.approx(expected, rel=1e-12)


# -- targets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e300, 1.7e308 / np.abs(NUMBERS).max(), 1e-290])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", [None, WEIGHT, 1e300 * WEIGHT])
def test_scaling_targets_scales_predictions(factor, dtype, weight):
    """This includes float32 features, whose dtype cannot represent such predictions."""
    x, y = X.astype(dtype), NUMBERS * np.where(np.arange(len(X)) % 2, 1, -1)
    plain = small(MLPRegressor).fit(x, y, sample_weight=weight)
    extreme = small(MLPRegressor).fit(x, factor * y, sample_weight=weight)
    tolerance = {"float32": 1e-4, "float64": 1e-12}[dtype]
    predicted = extreme.predict(x)
    np.testing.assert_allclose(predicted / factor, plain.predict(x), rtol=0, atol=tolerance)
    score = extreme.score(x, factor * y, weight)
    assert score == pytest.approx(plain.score(x, y, weight), abs=tolerance)
    h = np.maximum(x @ extreme.coefs_[0] + extreme.intercepts_[0], 0)
    forward = (h @ extreme.coefs_[1] + extreme.intercepts_[1]).ravel()
    np.testing.assert_allclose(forward / factor, predicted / factor, rtol=0, atol=tolerance)


def test_targets_at_both_ends_of_the_range_can_be_scaled():
    """Mean and standard deviation are those of -1 and 1, multiplied by the largest number."""
    largest = np.finfo(np.float64).max
    y = largest * np.array([[1.0], [-1.0], [1.0], [1.0]])
    shift, scale = SquaredError().scaling(y)
    np.testing.assert_allclose(shift / largest, [0.5])
    np.testing.assert_allclose(scale / largest, [0.75**0.5])
    model = small(MLPRegressor, max_iter=200).fit(X[:4], y.ravel())
    assert np.isfinite(model.loss_curve_).all()
    assert model.loss_curve_[0] < 2
    assert np.isfinite(model.predict(X)).all()


# -- normalization -------------------------------------------------------------------------------

FLOATS = pytest.mark.parametrize("dtype", ["float32", "float64"])


def forward_and_backward(normalization, x, g):
    """Run a layer forward and backward; return it with the output and both gradients."""
    layer = normalization_layer(normalization, x.shape[-1])
    for name, shape, _ in layer.parameters:
        setattr(layer, name, np.linspace(1, 2, *shape, dtype=x.dtype))
        setattr(layer, f"grad_{name}", np.zeros((*x.shape[:-2], *shape), x.dtype))
    for name, shape in layer.statistics:
        setattr(layer, name, np.zeros(shape, x.dtype))
    ws = Workspace(training=True)
    with np.errstate(all="ignore"):
        output = layer.forward(x, ws).copy()
        return layer, output, layer.backward(g.copy(), ws), layer.grad_gamma


@FLOATS
@pytest.mark.parametrize("normalization", [LayerNorm, RMSNorm, BatchNorm])
def test_normalization_does_not_depend_on_the_scale(normalization, dtype):
    """Scaling by a power of two keeps the output and divides the gradient by the factor."""
    rng = np.random.default_rng(0)
    x, g = (rng.normal(size=(50, 6)).astype(dtype) for _ in range(2))
    limit = np.finfo(dtype).maxexp
    # The squares overflow. For batches only their sum does, because the variance must be finite.
    exponents = (limit // 2 - 1,) if normalization is BatchNorm else (limit // 2 + 2, limit - 4)
    _, output, gradient, by_gamma = forward_and_backward(normalization(epsilon=1e-30), x, g)
    tolerance = {"float32": 1e-4, "float64": 1e-10}[dtype]
    for exponent in exponents:
        large = np.ldexp(x, exponent)
        layer, *actual = forward_and_backward(normalization(epsilon=1e-30), large, g)
        np.testing.assert_allclose(actual[0], output, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(np.ldexp(actual[1], exponent), gradient, atol=tolerance)
        np.testing.assert_allclose(actual[2], by_gamma, rtol=tolerance, atol=tolerance)
        if normalization is BatchNorm:
            variance = np.var(x, axis=0, dtype=np.float64)
            scaled = np.ldexp(layer.variance.astype(np.float64), -2 * exponent)
            np.testing.assert_allclose(scaled, variance, rtol=tolerance)


@pytest.mark.parametrize("normalization", [LayerNorm, RMSNorm])
def test_overflowing_samples_do_not_affect_the_others(normalization):
    rng = np.random.default_rng(0)
    x, g = (rng.normal(size=(2, 9, 6)).astype("float32") for _ in range(2))
    _, output, gradient, _ = forward_and_backward(normalization(), x, g)
    x[1, 3] *= np.float32(2.0**120)
    _, changed, other, _ = forward_and_backward(normalization(), x, g)
    kept = np.ones((2, 9), dtype=bool)
    kept[1, 3] = False
    np.testing.assert_array_equal(changed[kept], output[kept])
    np.testing.assert_array_equal(other[kept], gradient[kept])
    # epsilon is 1e-5.
    np.testing.assert_allclose(changed, output, rtol=1e-4, atol=1e-4)


def test_constant_samples_of_extreme_size_are_centered_to_zero():
    x = np.full((3, 4), np.finfo("float32").max, "float32")
    _, output, gradient, _ = forward_and_backward(LayerNorm(), x, np.ones_like(x))
    np.testing.assert_array_equal(output, np.linspace(1, 2, 4, dtype="float32")[None].repeat(3, 0))
    assert np.isfinite(gradient).all()


def cells(dtype):
    largest = np.finfo(dtype).max
    return [largest, -largest] + ([1e19, 1e30] if dtype == "float32" else [1e155, 1e282])


def scales(dtype):
    return [1e15, 1e19, 1e30, 8e37] if dtype == "float32" else [1e150, 1e155, 1e282, 4e307]


@FLOATS
@pytest.mark.parametrize("normalization", ["batch", "layer", "rms"])
@pytest.mark.parametrize(("n_members", "backend"), [(1, "numpy"), (1, "fused"), (2, "numpy")])
@pytest.mark.parametrize("case", ["cell", "scale"])
def test_predictions_agree_with_training_or_divergence_is_reported(
    dtype, normalization, n_members, backend, case, monkeypatch
):
    monkeypatch.setenv("SKNN_ADAM_KERNELS", backend)
    x = np.random.default_rng(1).normal(size=(300, 4)).astype(dtype)
    y = (x[:, 0] > 0).astype(int)
    for size in cells(dtype) if case == "cell" else scales(dtype):
        extreme = x.copy()
        if case == "cell":
            extreme[7, 1] = size
        else:
            extreme = np.clip(x, -4, 4) * x.dtype.type(size)
        params = {"normalization": normalization, "n_members": n_members, "max_iter": 25}
        model = small(MLPClassifier, hidden_layer_sizes=(16,), averaging=None, **params)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(extreme, y)
        diverged = model.stop_reason_ == "diverged"
        assert [warning.category for warning in caught] == diverged * [ConvergenceWarning]
        network = model._network
        arrays = [network.theta, network.statistics]
        for member in networks(model):
            arrays += member.coefs_ + member.intercepts_
        assert all(np.isfinite(array).all() for array in arrays)
        p = model.predict_proba(extreme).astype(np.float64)
        assert np.isfinite(p).all()
        if normalization != "batch":
            assert not diverged
        if not diverged:
            loss = log_loss(y, p / p.sum(axis=1, keepdims=True))
            assert loss == pytest.approx(model.loss_, abs=0.1)
            assert model.score(extreme, y) > 0.9


@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_outlier_that_dominates_running_statistics_is_reported(n_members, early_stopping):
    """Nothing overflows, but the running statistics make all other samples look alike."""
    x = np.random.default_rng(1).normal(size=(400, 4))
    y = x[:, 0] + 10
    x[7, 1] = 1e8
    params = {"normalization": "batch", "n_members": n_members, "early_stopping": early_stopping}
    params |= {"max_iter": 60, "n_iter_no_change": np.inf}
    with pytest.raises(ConvergenceWarning, match=r"the loss of the predictions is .*, but was"):
        small(MLPRegressor, **params).fit(x, y)
    x[7, 1] = 1
    model = small(MLPRegressor, **params).fit(x, y)
    assert model.stop_reason_ != "diverged"


def test_nonfinite_running_statistics_raise():
    model = small(MLPRegressor, normalization="batch").fit(X, NUMBERS)
    model._network.statistics[:] = np.nan
    with pytest.raises(ValueError, match=r"running statistics .* are not finite"):
        model.predict(X)


@pytest.mark.parametrize("n_members", [1, 2])
def test_partial_fit_keeps_finite_statistics(n_members):
    model = small(MLPClassifier, normalization="batch", n_members=n_members).partial_fit(X, LABELS)
    before = model.predict_proba(X)
    extreme = X.copy()
    extreme[7, 1] = 1e300
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.partial_fit(extreme, LABELS)
    assert np.isfinite(model._network.statistics).all()
    np.testing.assert_array_equal(model.predict_proba(X), before)


# -- values beyond the dtype of the network ------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, csr_matrix])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_on_values_beyond_float32_raises(container, method):
    X = np.random.default_rng(0).normal(size=(200, 3))
    y = X[:, 0]
    X[5, 1] = -1e39
    model = MLPRegressor((4,), dtype="float32", max_iter=2)
    with pytest.raises(ValueError, match=r"too large for float32.*dtype='float64'"):
        getattr(model, method)(container(X), y)
    assert not hasattr(model, "n_iter_")


@pytest.mark.parametrize("container", [np.asarray, csr_matrix])
def test_prediction_clips_values_beyond_float32(container):
    """Predictions equal those for the largest float32 number."""
    X = np.random.default_rng(0).normal(size=(200, 3))
    model = MLPRegressor((4,), dtype="float32", max_iter=2, random_state=0).fit(X, X[:, 0])
    beyond, largest = X[:5].copy(), X[:5].copy()
    beyond[2], largest[2] = [1e39, -1e300, 0], [np.finfo("f4").max, np.finfo("f4").min, 0]
    actual, expected = model.predict(container(beyond)), model.predict(container(largest))
    np.testing.assert_array_equal(actual, expected)
    assert np.isfinite(actual).all()
