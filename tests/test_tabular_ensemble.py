"""The ensemble of pipelines for raw tables."""

import numpy as np
import pytest
from sklearn.base import clone

from sknn_adam.ensemble import make_tabular_ensemble
from sknn_adam.ensemble.portfolio import PORTFOLIO
from sknn_adam.tabular import make_tabular_pipeline

N = 90
rng = np.random.default_rng(0)
NUMBERS = rng.normal(size=N)
COLOURS = rng.choice(["red", "green"], N)
LABELS = np.where(NUMBERS + (COLOURS == "red") > 0.5, "yes", "no")


def frame():
    pd = pytest.importorskip("pandas")
    return pd.DataFrame({"size": NUMBERS, "colour": COLOURS})


def short(model):
    """Let all networks train for two epochs."""
    names = [name for name, _ in model.estimators if name != "boosting"]
    return model.set_params(**{f"{name}__model__max_iter": 2 for name in names})


@pytest.mark.parametrize("task", ["classifier", "regressor"])
def test_ensemble_weights_networks_and_boosting(task):
    y = LABELS if task == "classifier" else NUMBERS + (COLOURS == "red")
    model = make_tabular_ensemble(task, include=["networks", "boosting"], cv=3, random_state=0)
    short(model).fit(frame(), y)
    assert [name for name, _ in model.estimators] == ["default", "boosting", *list(PORTFOLIO)[1:]]
    assert model.weights_.sum() == pytest.approx(1)
    assert model.oof_score_ >= model.estimator_scores_.max()
    assert model.predict(frame()).shape == (N,)


def test_networks_of_the_portfolio_differ():
    model = make_tabular_ensemble("classifier", random_state=0)
    described = [repr(pipeline["model"]) for _, pipeline in model.estimators]
    assert len(set(described)) == len(PORTFOLIO)


@pytest.mark.parametrize("task", ["classifier", "regressor"])
def test_networks_of_the_portfolio_have_no_needless_changes(task):
    """Every value differs from the recipe "default"."""
    recipe = make_tabular_pipeline(task).get_params()
    for params in PORTFOLIO.values():
        assert all(recipe[name] != value for name, value in params.items())


def test_same_random_state_gives_the_same_ensemble():
    first = short(make_tabular_ensemble("classifier", cv=3, random_state=0))
    second = clone(first)
    probabilities = [model.fit(frame(), LABELS).predict_proba(frame()) for model in (first, second)]
    np.testing.assert_array_equal(*probabilities)


def test_column_types_reach_every_pipeline():
    model = make_tabular_ensemble(
        "classifier", include="boosting", column_types={"size": "category"}, cv=3
    )
    model.fit(frame(), LABELS)
    (mean,) = model.estimators_
    types = [pipeline["columns"].column_types_["size"].type for pipeline in mean.estimators_]
    assert types == ["category"] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "classify"}, "must be 'classifier' or 'regressor'"),
        ({"task": "classifier", "include": []}, "must contain 'networks', 'boosting' or both"),
        ({"task": "classifier", "include": ["trees"]}, r"Got \['trees'\]"),
    ],
)
def test_unknown_arguments_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_tabular_ensemble(**arguments)
