"""Names of the interface before its review are answered with the new ones."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import sknn_adam
from sknn_adam import MLPClassifier, MLPRegressor, preprocessing, tabular

X = np.random.default_rng(0).normal(size=(30, 3))
Y = X[:, 0] > 0
BOTH = pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (sknn_adam, "tabular_pipeline", "make_tabular_pipeline"),
        (tabular, "tabular_pipeline", "make_tabular_pipeline"),
        (preprocessing, "SmoothClip", "SmoothClipScaler"),
        (preprocessing, "PiecewiseLinear", "PiecewiseLinearEncoder"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_old_names_of_functions_and_classes(module, old, new):
    with pytest.raises(ImportError, match=f"{old} is called '{new}'"):
        exec(f"from {module.__name__} import {old}")
    assert callable(getattr(module, new))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = module.nonsense


@BOTH
def test_old_parameter_in_constructor_set_params_and_grid(estimator):
    match = r"'?on_divergence'?.*warnings\.simplefilter\(\"error\", ConvergenceWarning\)"
    with pytest.raises(TypeError, match=match):
        estimator(on_divergence="raise")
    with pytest.raises(ValueError, match=match):
        estimator().set_params(on_divergence="raise")
    search = GridSearchCV(estimator(max_iter=2), {"on_divergence": ["raise"]}, cv=2)
    with pytest.raises(ValueError, match=match):
        search.fit(X, Y)
    name = f"{estimator.__name__.lower()}__on_divergence"
    piped = GridSearchCV(make_pipeline(estimator(max_iter=2)), {name: ["raise"]}, cv=2)
    with pytest.raises(ValueError, match=match):
        piped.fit(X, Y)


@BOTH
def test_suggested_filter_turns_divergence_into_an_error(estimator):
    model = estimator((4,), optimizer="sgd", max_iter=50)
    model.set_params(optimizer__learning_rate=1e30)
    before = dict(vars(model))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning, match="diverged"):
            model.fit(X, Y)
    assert vars(model) == before


@BOTH
def test_old_attribute(estimator):
    for model in (estimator(), estimator((4,), max_iter=2).fit(X, Y)):
        with pytest.raises(AttributeError, match=r"has no attribute 't_'.*called 'n_steps_'"):
            _ = model.t_
        assert not hasattr(model, "t_")
        with pytest.raises(AttributeError, match="has no attribute 'nonsense_'"):
            _ = model.nonsense_


def test_old_value_of_target_scaling():
    with pytest.raises(ValueError, match=r"'target_scaling' parameter .* 'bool'.* Got 'auto'"):
        MLPRegressor(target_scaling="auto").fit(X, X[:, 0])


@BOTH
def test_groups_without_cv_name_cv(estimator):
    model = estimator(n_members=3, early_stopping=True)
    with pytest.raises(ValueError, match="groups is for cross-fitting only: set cv"):
        model.fit(X, Y, groups=np.arange(30) // 3)


@BOTH
def test_values_of_auto_are_published(estimator):
    model = estimator(max_iter=2).fit(X, Y)
    classify = estimator is MLPClassifier
    # From the documentation of the parameters.
    assert model.alpha_ == pytest.approx(1 / 500 if classify else 0.0015)
    assert model.l1_ratio_ == (0.15 if classify else 0.0)
    assert model.batch_size_ == 30
    assert model.dtype_ == np.float64
    assert repr(model.averaging_) == "EMA()"
    assert model.n_steps_ == 2
    given = estimator(alpha=0.5, l1_ratio=0.3, batch_size=1000, dtype="float32", averaging=None)
    given.set_params(max_iter=2).fit(X, Y)
    found = given.alpha_, given.l1_ratio_, given.batch_size_, given.dtype_.name, given.averaging_
    assert found == (0.5, 0.3, 30, "float32", None)


@BOTH
@pytest.mark.parametrize(
    ("n_samples", "fixed", "stopping"),
    # The number of samples, then epochs and batch size without and with early stopping, by hand:
    # 15 * 8000 / 12000 and 12000 / 128. A tenth is held out: 60 * sqrt(8000 / 10800).
    [(200, (15, 32), (60, 64)), (12_000, (10, 93), (52, 84)), (60_000, (4, 256), (23, 256))],
)
def test_automatic_epochs_and_batch_sizes_depend_on_the_samples(
    estimator, n_samples, fixed, stopping, rng
):
    X = rng.normal(size=(n_samples, 2)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    for early_stopping, expected in ((False, fixed), (True, stopping)):
        model = estimator((), max_iter="auto", early_stopping=early_stopping, random_state=0)
        model.fit(X, y)
        assert (model.max_iter_, model.batch_size_) == expected


@BOTH
def test_optimizer_that_averages_needs_no_other_average(estimator):
    def fitted(**params):
        model = estimator((5,), optimizer="schedule_free_adamw", random_state=0, **params)
        model.set_params(max_iter=5).fit(X, Y)
        return model, getattr(model, "predict_proba", model.predict)(X)

    (default, predicted), (_, without), (_, twice) = (
        fitted(),
        fitted(averaging=None),
        fitted(averaging="ema"),
    )
    assert default.averaging_ is None
    np.testing.assert_array_equal(predicted, without)
    assert (predicted != twice).any()
