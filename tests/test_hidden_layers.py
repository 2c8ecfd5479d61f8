"""Sizes of the hidden layers, and their nested parameters."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from sknn_adam import Layers, MLPClassifier, MLPRegressor
from sknn_adam.layers import parse_sizes

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X[:, 0] > 0


@pytest.mark.parametrize(
    ("layers", "widths"),
    [
        (Layers(), (200,)),
        (Layers(64, depth=3), (64, 64, 64)),
        (Layers(128, depth=3, taper=0.5), (128, 64, 32)),
        (Layers(2, depth=4, taper=0.5), (2, 1, 1, 1)),
        (Layers(10, depth=2, taper=2.0), (10, 20)),
        (Layers(np.int64(5), np.int64(2), np.float64(1.0)), (5, 5)),
    ],
)
def test_widths_form_a_geometric_sequence(layers, widths):
    assert layers.widths() == widths
    assert parse_sizes(layers) == widths
    model = MLPClassifier(layers, max_iter=2).fit(X, Y)
    assert [coef.shape[1] for coef in model.coefs_[:-1]] == list(widths)


@pytest.mark.parametrize(
    ("sizes", "params"),
    [
        ((200,), (200, 1, 1.0)),
        (30, (30, 1, 1.0)),
        ("128x2", (128, 2, 1.0)),
        ((128, 64, 32), (128, 3, 0.5)),
        ([10, 7], (10, 2, 0.7)),
        (Layers(9, 2), (9, 2, 1.0)),
    ],
)
def test_sizes_in_every_form_have_nested_parameters(sizes, params):
    model = MLPRegressor(hidden_layer_sizes=sizes)
    names = [f"hidden_layer_sizes__{name}" for name in ("width", "depth", "taper")]
    assert tuple(model.get_params()[name] for name in names) == params
    # Setting the present value changes nothing.
    assert model.set_params(**{names[0]: params[0]}).hidden_layer_sizes is sizes
    model.set_params(hidden_layer_sizes__width=50, hidden_layer_sizes__depth=2)
    assert model.hidden_layer_sizes.widths()[0] == 50
    assert len(parse_sizes(model.hidden_layer_sizes)) == 2


@pytest.mark.parametrize("sizes", [(), (10, 3, 10), "64-32-64"])
def test_other_sizes_have_no_nested_parameters(sizes):
    model = MLPClassifier(sizes)
    assert "hidden_layer_sizes__width" not in model.get_params()
    with pytest.raises(ValueError, match="has no nested parameters"):
        model.set_params(hidden_layer_sizes__width=3)


def test_layers_are_shared_as_values():
    layers = Layers(4)
    one, two = MLPClassifier(layers), MLPClassifier(layers)
    one.set_params(hidden_layer_sizes__depth=2)
    assert (layers.depth, two.hidden_layer_sizes.depth, one.hidden_layer_sizes.depth) == (1, 1, 2)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (Layers(0), "The 'width' parameter of Layers must be an int in the range"),
        (Layers(4, depth=1.5), "The 'depth' parameter of Layers must be an int"),
        (Layers(4, taper=0.0), "The 'taper' parameter of Layers must be a float"),
        (Layers, "or an instance of Layers. Got <class"),
    ],
)
def test_invalid_layers_raise_in_fit(layers, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(layers).fit(X, Y)


def test_grid_search_over_numbers():
    grid = {"hidden_layer_sizes__width": [3, 5], "hidden_layer_sizes__depth": [1, 2]}
    search = GridSearchCV(MLPClassifier(max_iter=2, random_state=0), grid, cv=2).fit(X, Y)
    widths = parse_sizes(search.best_estimator_.hidden_layer_sizes)
    best = search.best_params_
    assert widths == (best["hidden_layer_sizes__width"],) * best["hidden_layer_sizes__depth"]


def test_training_resumes_with_the_same_widths_in_another_form():
    model = MLPClassifier((6, 6), max_iter=2, random_state=0, warm_start=True).fit(X, Y)
    model.set_params(hidden_layer_sizes=Layers(6, depth=2)).fit(X, Y)
    with pytest.raises(ValueError, match="hidden_layer_sizes: it was"):
        model.set_params(hidden_layer_sizes__depth=3).fit(X, Y)
