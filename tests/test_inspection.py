"""Displays: their content, the supported estimators, and their errors."""

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
plt = pytest.importorskip("matplotlib.pyplot")

from sknn_adam.inspection import (  # noqa: E402
    GradientFlowDisplay,
    TrainingCurveDisplay,
    fitted_network,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def mlp(**params):
    return MLPClassifier((9, 5), **{"max_iter": 4, "random_state": 0, "record": "all"} | params)


@pytest.fixture(scope="module")
def fitted(digits):
    return mlp().fit(*digits)


def wrapped(digits):
    yield make_pipeline(StandardScaler(), mlp())
    yield GridSearchCV(mlp(), {"alpha": [1e-3]}, cv=2)
    yield GridSearchCV(make_pipeline(StandardScaler(), mlp()), {"mlpclassifier__tol": [0]}, cv=2)
    yield make_pipeline(StandardScaler(), GridSearchCV(mlp(), {"alpha": [1e-3]}, cv=2))
    regressor = MLPRegressor((9, 5), max_iter=4, random_state=0, record="all")
    yield TransformedTargetRegressor(make_pipeline(StandardScaler(), regressor))


@pytest.mark.parametrize("i", range(5))
def test_displays_accept_any_estimator_that_contains_a_network(digits, i):
    estimator = list(wrapped(digits))[i].fit(*digits)
    inner = fitted_network(estimator)
    assert isinstance(inner, MLPClassifier | MLPRegressor)
    curve = TrainingCurveDisplay.from_estimator(estimator)
    np.testing.assert_array_equal(curve.lines_[0].get_ydata(), inner.loss_curve_)
    assert GradientFlowDisplay.from_estimator(estimator).values.shape == (3, 4)


@pytest.mark.parametrize("display", [TrainingCurveDisplay, GradientFlowDisplay])
def test_displays_draw_on_given_or_new_axes(fitted, display):
    figure, ax = plt.subplots()
    drawn = display.from_estimator(fitted, ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is figure
    assert display.from_estimator(fitted).figure_ is not figure
    assert drawn.plot() is drawn
    assert drawn.figure_ is not figure


@pytest.mark.parametrize("display", [TrainingCurveDisplay, GradientFlowDisplay])
def test_unfitted_estimators_and_other_objects_raise(display):
    for estimator in (mlp(), make_pipeline(StandardScaler(), mlp()), LinearRegression()):
        with pytest.raises(NotFittedError, match="no fitted MLP"):
            display.from_estimator(estimator)
    with pytest.raises(TypeError, match="Got str"):
        display.from_estimator("adam")


def test_validation_loss_shares_the_axis_and_a_score_has_its_own(digits):
    model = mlp(early_stopping=True).fit(*digits)
    display = TrainingCurveDisplay.from_estimator(model, log=True)
    assert display.right_ax_ is None
    assert display.ax_.get_yscale() == "log"
    np.testing.assert_array_equal(
        display.lines_[1].get_ydata(), np.negative(model.validation_scores_)
    )
    assert display.best_epoch == model.best_iter_
    model = mlp(early_stopping=True, scoring="accuracy").fit(*digits)
    display = TrainingCurveDisplay.from_estimator(model)
    assert display.right_ax_ is not None
    assert display.lines_[1].get_label() == "validation score (accuracy)"
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), model.validation_scores_)


@pytest.mark.parametrize(
    "quantity",
    "gradient_norm weight_norm update_ratio activation_min activation_max dead saturated".split(),
)
def test_every_quantity_can_be_displayed(fitted, quantity):
    display = GradientFlowDisplay.from_estimator(fitted, quantity=quantity)
    shown = display.image_.get_array()
    np.testing.assert_allclose(
        np.ma.filled(shown, -1.0).reshape(3, 4),
        np.where(
            np.isnan(display.values)
            | ((display.values <= 0) & (quantity in ("gradient_norm", "update_ratio"))),
            -1.0,
            display.values,
        ),
    )
    display.figure_.canvas.draw()


def test_one_sample_and_a_layer_without_gradient_can_be_drawn():
    display = GradientFlowDisplay([[0.0], [1.0]], [7]).plot()
    display.figure_.canvas.draw()
    assert display.ax_.get_xlim() == (6.5, 7.5)


def test_unknown_quantity_and_missing_record_raise(digits, fitted):
    with pytest.raises(ValueError, match=r"is not a known quantity\. Known names: gradient_norm, "):
        GradientFlowDisplay.from_estimator(fitted, quantity="size")
    with pytest.raises(ValueError, match="record=True"):
        GradientFlowDisplay.from_estimator(mlp(record=False).fit(*digits))
