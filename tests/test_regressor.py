"""MLPRegressor: outputs, target scaling, and comparisons with scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from sknn_adam import SGD, Adam, MLPRegressor

X, DIABETES = load_diabetes(return_X_y=True)
X = StandardScaler().fit_transform(X)[:200]
DIABETES = DIABETES[:200]
SMOOTH = np.sin(X[:, 2]) + 0.5 * X[:, 8]


def small(**params):
    defaults = {"hidden_layer_sizes": (16,), "max_iter": 60, "batch_size": 50, "random_state": 0}
    return MLPRegressor(**defaults | {"optimizer": Adam(learning_rate=0.01)} | params)


def test_single_output_is_learned():
    model = small().fit(X, SMOOTH)
    assert (model.n_outputs_, model.out_activation_) == (1, "identity")
    assert model.predict(X).shape == (200,)
    assert model.score(X, SMOOTH) > 0.95


def test_outputs_can_have_different_scales():
    y = np.c_[SMOOTH, 1e6 * X[:, 0] - 1e7, 1e-6 * SMOOTH**2]
    model = small().fit(X, y)
    assert model.n_outputs_ == 3
    assert model.predict(X).shape == (200, 3)
    assert r2_score(y, model.predict(X), multioutput="raw_values").min() > 0.8


def test_column_vector_of_targets_warns():
    with pytest.warns(DataConversionWarning, match="column-vector"):
        column = small(max_iter=3).fit(X, SMOOTH[:, None])
    np.testing.assert_array_equal(column.predict(X), small(max_iter=3).fit(X, SMOOTH).predict(X))


@pytest.mark.parametrize("y", [SMOOTH.tolist(), (100 * SMOOTH).astype(int), SMOOTH > 0], ids=type)
def test_targets_can_have_other_types(y):
    model = small(max_iter=3).fit(X, y)
    expected = small(max_iter=3).fit(X, np.asarray(y, dtype=float))
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


# -- target scaling ------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, -3e4])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4, -1e100])
def test_predictions_follow_the_scale_of_targets(scale, shift):
    shift *= abs(scale)
    base = small().fit(X, SMOOTH).predict(X)
    moved = small().fit(X, scale * SMOOTH + shift).predict(X)
    if scale > 0:
        np.testing.assert_allclose((moved - shift) / scale, base, atol=1e-5)
    assert r2_score((scale * SMOOTH + shift) / scale, moved / scale) > 0.95


def test_targets_are_not_scaled_if_target_scaling_is_false():
    y = 1000 * SMOOTH
    assert small(max_iter=10, target_scaling=False).fit(X, y).score(X, y) < 0.1
    assert small(max_iter=10, target_scaling=True).fit(X, y).score(X, y) > 0.5
    standard = (SMOOTH - SMOOTH.mean()) / SMOOTH.std()
    np.testing.assert_allclose(
        small(target_scaling=False).fit(X, standard).predict(X),
        small(target_scaling=True).fit(X, standard).predict(X),
        rtol=1e-6,
        atol=1e-9,
    )


@pytest.mark.parametrize("value", [0.0, -7.5, 1e200])
def test_constant_target_is_predicted(value):
    y = np.c_[np.full(200, value), SMOOTH]
    model = small(max_iter=100).fit(X, y)
    np.testing.assert_allclose(model.predict(X)[:, 0], value, atol=0.1 * max(1, abs(value) / 1e3))
    assert r2_score(SMOOTH, model.predict(X)[:, 1]) > 0.9


def test_scaling_uses_sample_weights():
    # A sample with a negligible weight must not determine the scale.
    y, weight = SMOOTH.copy(), np.ones(200)
    y[0], weight[0] = 1e6, 1e-18
    model = small(batch_size=1000).fit(X, y, sample_weight=weight)
    assert r2_score(SMOOTH[1:], model.predict(X)[1:]) > 0.8


def test_scaling_is_fitted_at_the_first_partial_fit():
    model = small(optimizer=SGD(learning_rate=1e-15)).partial_fit(X, SMOOTH)
    before = model.predict(X)
    model.partial_fit(X, 100 * SMOOTH + 1000)
    np.testing.assert_allclose(model.predict(X), before, rtol=1e-9, atol=1e-9)
    assert model.loss_curve_[1] > 1000 * model.loss_curve_[0]


def test_first_partial_fit_on_one_sample_scales_by_one():
    options = {"optimizer": SGD(learning_rate=1e-15), "alpha": 0}
    raw = small(target_scaling=False, **options).partial_fit(X[:1], [100.0])
    shifted = small(**options).partial_fit(X[:1], [100.0])
    np.testing.assert_allclose(shifted.predict(X), raw.predict(X) + 100, rtol=1e-12)


def test_huge_targets_give_finite_predictions():
    for size in (1e150, 1e300):
        predicted = small().fit(X, size * SMOOTH).predict(X)
        assert r2_score(SMOOTH, predicted / size) > 0.95
        assert np.isfinite(predicted).all()


@pytest.mark.parametrize("size", [1e3, 1e30, -1e30])
@pytest.mark.parametrize("loss", MLPRegressor._tables["loss"])
def test_every_loss_predicts_finite_numbers(loss, size):
    # These targets are in the domain of every loss.
    y = np.exp(SMOOTH)
    for dtype in (np.float64, np.float32):
        model = small(loss=loss, max_iter=10).fit(X.astype(dtype), y)
        assert np.isfinite(model.predict((size * X).astype(dtype))).all()
        assert np.isfinite(model.loss_curve_).all()


# -- comparisons with scikit-learn ---------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_network_without_hidden_layers_equals_ridge_regression(n_outputs, weighted):
    # scikit-learn penalizes the sum of squares, so its alpha is multiplied by the total weight.
    y = np.c_[DIABETES, SMOOTH][:, :n_outputs].squeeze()
    weight = np.linspace(0.2, 3, 200) if weighted else np.ones(200)
    model = small(hidden_layer_sizes=(), optimizer="lbfgs", alpha=0.1, tol=1e-8, max_iter=2000)
    model.set_params(target_scaling=False, batch_size="auto").fit(X, y, sample_weight=weight)
    oracle = Ridge(alpha=0.1 * weight.sum()).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.coefs_[0].T.squeeze(), oracle.coef_, atol=1e-3)
    np.testing.assert_allclose(model.predict(X), oracle.predict(X), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("target_scaling", [True, False])
def test_network_without_penalty_equals_linear_regression(target_scaling):
    model = small(hidden_layer_sizes=(), optimizer="lbfgs", alpha=0, tol=1e-9, max_iter=5000)
    model.set_params(target_scaling=target_scaling, batch_size="auto").fit(X, DIABETES)
    oracle = LinearRegression().fit(X, DIABETES)
    np.testing.assert_allclose(model.predict(X), oracle.predict(X), rtol=1e-3)
    np.testing.assert_allclose(model.coefs_[0].ravel(), oracle.coef_, atol=0.1)
    np.testing.assert_allclose(model.intercepts_[0], oracle.intercept_, rtol=1e-4)


def test_partial_fit_learns():
    model = small()
    for _ in range(60):
        model.partial_fit(X, SMOOTH)
    assert model.score(X, SMOOTH) > 0.95
    assert model.partial_fit(X[:1], SMOOTH[:1]).predict(X).shape == (200,)
