"""The code of add_an_optimizer.md runs, and its optimizer passes the tests of built-in ones."""

import importlib
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from optimizer_promises import (
    GOLDEN,
    PROMISES,
    follows_the_golden_trajectory,
    without_decay_nothing_moves_at_a_minimum,
)
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.optimizers import OPTIMIZERS, Optimizer

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (DOCS / "add_an_optimizer.md").read_text(), re.M | re.S
)
CONFIGS = [
    pytest.param(config, id=config["name"])
    for config in GOLDEN["configs"]
    if config["class"] == "AdaBelief"
]
X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)


@pytest.fixture(scope="module")
def AdaBelief(tmp_path_factory):
    """Import the optimizer of the page from a file, as a user would."""
    folder = tmp_path_factory.mktemp("users_own")
    (folder / "adabelief.py").write_text(BLOCKS[0])
    sys.path.insert(0, str(folder))
    yield importlib.import_module("adabelief").AdaBelief
    sys.path.remove(str(folder))
    del sys.modules["adabelief"]


# -- code of the page ----------------------------------------------------------------------------


@pytest.mark.usefixtures("AdaBelief")
def test_page_runs_from_top_to_bottom(capsys):
    namespace = {"__name__": "page"}
    for block in BLOCKS[1:]:
        exec(compile(block, "add_an_optimizer.md", "exec"), namespace)
    assert namespace["search"].best_params_ == {"mlp__optimizer__learning_rate": 1e-2}
    assert namespace["search"].best_score_ > 0.8
    assert np.abs(namespace["theta"]).max() < 0.01
    assert "0.01" in capsys.readouterr().out


@pytest.mark.usefixtures("AdaBelief")
def test_other_components_of_the_page_are_correct():
    namespace = {"MLPClassifier": MLPClassifier, "X": X, "y": Y}
    for block in BLOCKS[3:]:
        exec(compile(block, "add_an_optimizer.md", "exec"), namespace)
    h, z, y = 1e-6, np.array([[-2.0, 0.5, 3.0]]), np.zeros((1, 3))
    softsign, log_cosh = namespace["Softsign"](), namespace["LogCosh"]()
    slope = (softsign(z + h) - softsign(z - h)) / (2 * h)
    np.testing.assert_allclose(softsign.derivative(None, softsign(z)), slope, rtol=1e-8)
    np.testing.assert_allclose(log_cosh.value(y, z), np.log(np.cosh(z)).sum(axis=1), rtol=1e-12)
    slope = (np.log(np.cosh(z + h)) - np.log(np.cosh(z - h))) / (2 * h)
    np.testing.assert_allclose(log_cosh.gradient(y, z), slope, rtol=1e-8)
    model = MLPClassifier((5,), schedule=namespace["HalfWay"](), max_iter=6).fit(X, Y)
    rates = np.array(model.history_["learning_rate"])
    np.testing.assert_allclose(rates / 0.001, [1, 1, 1, 0.1, 0.1, 0.1])
    W = namespace["Sparse"](n_weights=2)(6, 4, np.random.default_rng(0))
    assert ((W != 0).sum(axis=0) == 2).all()


# -- its optimizer, tested like the built-in ones --------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS)
def test_trajectory_matches_another_library(AdaBelief, config):
    follows_the_golden_trajectory(AdaBelief, config)


@pytest.mark.parametrize(
    "promise",
    [*PROMISES, without_decay_nothing_moves_at_a_minimum],
    ids=lambda promise: promise.__name__,
)
def test_has_the_properties_of_every_optimizer(AdaBelief, promise):
    promise(AdaBelief(learning_rate=0.01))


def test_error_names_the_invalid_parameter(AdaBelief):
    message = r"'beta_1' parameter of AdaBelief must be a float in the range \[0.0, 1.0\). Got 1.5"
    with pytest.raises(ValueError, match=message):
        MLPClassifier(optimizer=AdaBelief(beta_1=1.5)).fit(X, Y)


def test_grid_search_in_a_pipeline(AdaBelief):
    mlp = MLPClassifier((10,), optimizer=AdaBelief(), batch_size=10, max_iter=30, random_state=0)
    model = Pipeline([("scale", StandardScaler()), ("mlp", mlp)])
    grid = {"mlp__optimizer__learning_rate": [1e-4, 1e-2], "mlp__optimizer__beta_1": [0.5, 0.9]}
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, Y)
    assert search.best_params_["mlp__optimizer__learning_rate"] == 1e-2
    assert search.best_score_ > 0.9
    assert mlp.optimizer.learning_rate == 0.001


def test_clone_keeps_parameters_and_a_name_can_replace_the_instance(AdaBelief):
    model = MLPClassifier(optimizer=AdaBelief(beta_2=0.99))
    assert clone(model).get_params()["optimizer__beta_2"] == 0.99
    assert clone(model).set_params(optimizer="adam").get_params()["optimizer__beta_2"] == 0.999


def test_fitted_estimator_can_be_pickled(AdaBelief):
    model = MLPClassifier((10,), optimizer=AdaBelief(), max_iter=3, random_state=0).fit(X, Y)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, "AdaBelief"])
def test_partial_fit_with_pickling_equals_one_fit(AdaBelief, optimizer):
    optimizer = AdaBelief() if optimizer == "AdaBelief" else OPTIMIZERS[optimizer]()
    if optimizer.full_batch:
        pytest.skip("has no partial_fit")
    one_fit = MLPClassifier((10,), optimizer=optimizer, batch_size=20, max_iter=4, random_state=0)
    parts = clone(one_fit)
    for _ in range(4):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X, Y, classes=np.unique(Y))))
    expected = one_fit.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(parts.predict_proba(X), expected)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_error_names_the_missing_rule(estimator):
    class Lazy(Optimizer):
        def __init__(self, learning_rate=0.1):
            self.learning_rate = learning_rate

    message = r"Lazy must implement 'rule' or 'step' or 'minimize'\. See docs/add_an_optimizer"
    with pytest.raises(TypeError, match=message):
        estimator(optimizer=Lazy()).fit(X, Y)


# -- table of all optimizers ---------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_page_lists_every_name_with_class_and_learning_rate(name):
    page = (DOCS / "optimizers.md").read_text()
    (row,) = re.findall(rf"^\| `\"{name}\"` \|.*$", page, re.M)
    optimizer = OPTIMIZERS[name]()
    assert f"`{type(optimizer).__name__}`" in row
    assert optimizer.full_batch or f"| {optimizer.learning_rate:g} |" in row
