"""Weights, targets and features near the ends of the floating point range."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.losses import SquaredError

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
        {"early_stopping": True, "n_members": 3},
    ],
    ids=["plain", "early_stopping", "cross_fitted"],
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (5,), "batch_size": 30, "max_iter": 4, "random_state": 0}
    return estimator(**defaults | params)


def outputs(model, X=X):
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def same(a, b, y):
    """The same up to the rounding of the weights' products with the factor."""
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
def test_a_factor_on_all_weights_changes_nothing(estimator, y, factor, params):
    plain = small(estimator, **params).fit(X, y, sample_weight=WEIGHT)
    extreme = small(estimator, **params).fit(X, y, sample_weight=factor * WEIGHT)
    same(plain, extreme, y)
    unweighted = small(estimator, **params).fit(X, y)
    assert np.abs(outputs(unweighted) / np.abs(y).max() - outputs(plain) / np.abs(y).max()).max()


@TARGETS
@FACTORS
def test_a_factor_on_validation_weights_changes_nothing(estimator, y, factor):
    for scoring in ("loss", None):
        models = [
            small(estimator, early_stopping=True, scoring=scoring).fit(
                X[30:], y[30:], X_val=X[:30], y_val=y[:30], sample_weight_val=weight
            )
            for weight in (WEIGHT[:30], factor * WEIGHT[:30])
        ]
        same(*models, y)


@TARGETS
@FACTORS
def test_a_factor_on_weights_of_partial_fit_changes_nothing(estimator, y, factor):
    plain, extreme = small(estimator), small(estimator)
    for _ in range(3):
        plain.partial_fit(X, y, sample_weight=WEIGHT)
        extreme.partial_fit(X, y, sample_weight=factor * WEIGHT)
    same(plain, extreme, y)


@pytest.mark.parametrize("y", [LABELS, COLUMNS], ids=["classes", "columns"])
@FACTORS
def test_a_factor_on_class_weights_changes_nothing(y, factor):
    def fitted(factor, weight):
        one = {0: factor * 1.0, 1: factor * 2.0, 2: factor * 0.5}
        class_weight = one if y.ndim == 1 else [one, one]
        return small(MLPClassifier, class_weight=class_weight).fit(X, y, sample_weight=weight)

    plain = fitted(1.0, WEIGHT)
    for weight in (WEIGHT, factor * WEIGHT):
        extreme = fitted(factor / 2, weight)
        np.testing.assert_allclose(plain.loss_curve_, extreme.loss_curve_, rtol=1e-12)


@FACTORS
def test_a_factor_on_balanced_weights_changes_nothing(factor):
    models = [
        small(MLPClassifier, class_weight="balanced").fit(X, LABELS, sample_weight=weight)
        for weight in (WEIGHT, factor * WEIGHT)
    ]
    same(*models, LABELS)


@FACTORS
def test_a_factor_on_weights_of_score_changes_nothing(factor):
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
def test_a_factor_on_targets_is_one_on_predictions(factor, dtype, weight):
    """Also for float32 features, whose type could not hold such predictions."""
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


def test_targets_at_both_ends_of_the_range():
    """Mean and deviation are those of -1 and 1, times the largest number."""
    largest = np.finfo(np.float64).max
    y = largest * np.array([[1.0], [-1.0], [1.0], [1.0]])
    shift, scale = SquaredError().scaling(y)
    np.testing.assert_allclose(shift / largest, [0.5])
    np.testing.assert_allclose(scale / largest, [0.75**0.5])
    model = small(MLPRegressor, max_iter=200).fit(X[:4], y.ravel())
    assert np.isfinite(model.loss_curve_).all()
    assert model.loss_curve_[0] < 2
    assert np.isfinite(model.predict(X)).all()
