"""The learning rate range test equals hand-computed steps and has no side effects."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from sknn_adam import SGD, MLPClassifier, MLPRegressor
from sknn_adam.inspection import LearningRateFinderDisplay, learning_rate_range

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16, y[:600]


def test_losses_match_gradient_descent_by_hand():
    """For a linear model and centered data in one batch, z = x w and w -= rate x'(x w - y) / n."""
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X), scale(y)
    model = MLPRegressor((), optimizer=SGD(0.01), batch_size=len(y), alpha=0.0, dtype="float64")
    model.set_params(initializer="zeros", target_scaling=False)
    result = learning_rate_range(model, X, y, lowest=1e-4, highest=1e-1, n_steps=20)
    np.testing.assert_allclose(result.learning_rates, 10 ** np.linspace(-4, -1, 20))
    w, b, seen = np.zeros(X.shape[1]), 0.0, []
    for rate in result.learning_rates:
        error = X @ w + b - y
        seen.append(np.mean(error**2) / 2)
        w, b = w - rate * X.T @ error / len(y), b - rate * error.mean()
    # Weights of a running mean, largest for the latest loss.
    weights = 0.9 ** np.arange(20)[::-1]
    means = [np.average(seen[: k + 1], weights=weights[-k - 1 :]) for k in range(20)]
    np.testing.assert_allclose(result.losses, means, rtol=1e-9)
    # The loss fell until the end, so the suggestion is a tenth of the last rate.
    assert result.suggestion == pytest.approx(0.1 / 10)


def test_range_ends_where_the_loss_explodes_and_suggestion_is_lower(digits):
    model = MLPClassifier(optimizer="sgd", random_state=0)
    result = learning_rate_range(model, *digits)
    assert len(result.losses) < 100
    assert result.losses[-1] > 2 * result.losses.min()
    assert result.suggestion < result.learning_rates[np.argmin(result.losses)] / 5
    good = model.set_params(**result.params).fit(*digits)
    assert good.stop_reason_ != "diverged"
    assert good.score(*digits) > 0.95


def test_estimator_is_not_modified(digits):
    model = MLPClassifier(max_iter=2, early_stopping=True, random_state=0)
    before = repr(model.get_params())
    result = learning_rate_range(model, *digits)
    assert repr(model.get_params()) == before
    assert not hasattr(model, "history_")
    model.fit(*digits)
    weights = [W.copy() for W in model.coefs_]
    again = learning_rate_range(model, *digits)
    for W, kept in zip(model.coefs_, weights, strict=True):
        np.testing.assert_array_equal(W, kept)
    np.testing.assert_array_equal(result.losses, again.losses)


def test_parameters_have_the_prefix_of_pipelines_and_searches(digits):
    X, y = digits
    name = "optimizer__learning_rate"
    pipe = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
    search = GridSearchCV(pipe, {"mlpclassifier__alpha": [1e-3]})
    for holder, prefix in ((pipe, "mlpclassifier__"), (search, "estimator__mlpclassifier__")):
        result = learning_rate_range(holder, X * 1000, y)
        assert result.params == {f"{prefix}{name}": result.suggestion}
        changed = clone(holder).set_params(**result.params)
        assert changed.get_params()[f"{prefix}{name}"] == result.suggestion
    # The scaler of the pipeline is applied.
    scaled = learning_rate_range(MLPClassifier(random_state=0), scale(X * 1000), y)
    np.testing.assert_allclose(result.losses, scaled.losses)
    assert learning_rate_range(MLPClassifier(random_state=0), csr_matrix(X), y).params


def test_invalid_input_raises(digits):
    X, y = digits
    with pytest.raises(ValueError, match="LBFGS has no learning rate"):
        learning_rate_range(MLPClassifier(optimizer="lbfgs"), X, y)
    with pytest.raises(TypeError, match="Got LinearRegression"):
        learning_rate_range(LinearRegression(), X, y)
    for wrong in ({"lowest": 1.0, "highest": 0.1}, {"n_steps": 3}, {"lowest": 0.0}):
        with pytest.raises(ValueError, match="0 < lowest < highest and n_steps >= 10"):
            learning_rate_range(MLPClassifier(), X, y, **wrong)
    with pytest.raises(ValueError, match="already exploded at a learning rate of 1e\\+08"):
        learning_rate_range(MLPRegressor(optimizer="sgd"), X, y, lowest=1e8, highest=1e9)


def test_display_shows_losses_and_suggestion(digits):
    model = MLPClassifier(random_state=0)
    _, ax = plt.subplots()
    display = LearningRateFinderDisplay.from_estimator(model, *digits, ax=ax, n_steps=50)
    assert display.ax_ is ax
    result = learning_rate_range(model, *digits, n_steps=50)
    np.testing.assert_array_equal(display.line_.get_ydata(), result.losses)
    np.testing.assert_array_equal(display.line_.get_xdata(), result.learning_rates)
    assert f"{result.suggestion:g}" in ax.get_legend().get_texts()[0].get_text()
    assert display.plot().ax_ is not ax
