"""The notebook view: layers, shapes and parameter counts, also inside other estimators."""

import re

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
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


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("wrap", [lambda net: net, make_pipeline], ids=["alone", "Pipeline"])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(MLPClassifier, TheirClassifier), (MLPRegressor, TheirRegressor)]
)
def test_view_distinguishes_classes_of_the_same_name(ours, theirs, wrap, fitted):
    ours, theirs = wrap(ours((3,), max_iter=1)), wrap(theirs((3,), max_iter=1))
    if fitted:
        ours.fit(X, Y)
    # A label with the package, also inside other estimators.
    label = re.compile(r"<(div|label)>sknn_adam\.MLP(Classifier|Regressor)</\1>")
    assert len(label.findall(ours._repr_html_())) == 1
    assert not label.search(theirs._repr_html_())
    # scikit-learn's view links to the documentation of its own classes.
    link = "sklearn.neural_network"
    assert link in theirs._repr_html_()
    assert link not in ours._repr_html_()


def test_view_of_a_subclass_names_its_own_package():
    class Net(MLPRegressor):
        pass

    package = Net.__module__.split(".")[0]
    assert f"<div>{package}.Net</div>" in Net()._repr_html_()


def test_repr_can_be_evaluated():
    net = MLPClassifier((8, 4), optimizer="adam", alpha=0.1)
    assert repr(eval(repr(net))) == repr(net)


def test_parameter_counts_add_up_to_those_of_the_network():
    regressor = MLPRegressor((300, 10), normalization="rms", max_iter=1).fit(X, Y)
    html = regressor._repr_html_()
    numbers = [300 * 4 + 300 + 300, 10 * 300 + 10 + 10, 10 + 1]
    assert sum(numbers) == regressor._network.theta.size
    for number in numbers:
        assert f"{number:,} parameters" in html
    assert "rms normalization" in html
