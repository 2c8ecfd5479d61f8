"""The notebook view: layers, shapes and parameter counts, also inside other estimators."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor

X = np.random.default_rng(0).normal(size=(40, 4))
Y = np.arange(40) % 3


def model(**params):
    params = {"normalization": "batch", "dropout": 0.1, "max_iter": 1} | params
    return MLPClassifier((32, 16), ["relu", "prelu"], **params)


@pytest.mark.parametrize(
    "holder",
    [
        model(),
        make_pipeline(StandardScaler(), model()),
        GridSearchCV(make_pipeline(StandardScaler(), model()), {"mlpclassifier__tol": [0]}, cv=2),
    ],
    ids=["alone", "Pipeline", "search"],
)
def test_view_shows_layers_with_their_parameters(holder):
    assert "Dense" not in holder._repr_html_()
    html = holder.fit(X, Y)._repr_html_()
    # Weights and biases, scale and shift of the normalization, slopes of PReLU.
    for name, number in (
        ("Dense 4 → 32, batch normalization, ReLU(), dropout 0.1", 4 * 32 + 32 + 2 * 32),
        ("Dense 32 → 16, batch normalization, PReLU(), dropout 0.1", 32 * 16 + 16 + 2 * 16 + 16),
        ("Dense 16 → 3", 16 * 3 + 3),
    ):
        assert f"<div>{name}</div>" in html
        assert f"{number} parameters" in html


def test_parameter_counts_add_up_to_those_of_the_network():
    regressor = MLPRegressor((300, 10), normalization="rms", max_iter=1).fit(X, Y)
    html = regressor._repr_html_()
    numbers = [300 * 4 + 300 + 300, 10 * 300 + 10 + 10, 10 + 1]
    assert sum(numbers) == regressor._network.theta.size
    for number in numbers:
        assert f"{number:,} parameters" in html
    assert "rms normalization" in html
