"""Networks in pipelines can be tuned by grid, random and Bayesian searches."""

import os
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from threadpoolctl import threadpool_limits

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor
from sknn_adam._utils.warnings import warn
from sknn_adam.initializers import VarianceScaling

X, Y = load_iris(return_X_y=True)
OPTIMIZERS = ["adam", Adam(), SGD(momentum=0.9)]
RATE = "mlp__optimizer__learning_rate"


def pipeline(**params):
    mlp = MLPClassifier((8,), max_iter=8, batch_size=50, random_state=3).set_params(**params)
    return Pipeline([("scale", StandardScaler()), ("mlp", mlp)])


def grid_search(optimizers, n_jobs):
    grid = {"mlp__optimizer": optimizers, RATE: [0.001, 0.02]}
    return GridSearchCV(pipeline(), grid, cv=3, n_jobs=n_jobs, error_score="raise")


def random_search(optimizers, n_jobs):
    space = {
        "scale": [StandardScaler(), MinMaxScaler((-1, 1))],
        "mlp__optimizer": optimizers,
        RATE: loguniform(1e-3, 1e-1),
        "mlp__initializer": ["he_normal", VarianceScaling(scale=0.5)],
        "mlp__hidden_layer_sizes": [(8,), "8-4", 6],
        "mlp__schedule": ["constant", "cosine"],
    }
    options = {"cv": 3, "n_jobs": n_jobs, "random_state": 5, "error_score": "raise"}
    return RandomizedSearchCV(pipeline(), space, n_iter=8, **options)


def bayes_search(optimizers, n_jobs):
    skopt = pytest.importorskip("skopt")
    space = {
        "scale": skopt.space.Categorical([StandardScaler(), MinMaxScaler((-1, 1))]),
        "mlp__optimizer": skopt.space.Categorical(optimizers),
        RATE: skopt.space.Real(1e-3, 1e-1, prior="log-uniform"),
        "mlp__initializer": skopt.space.Categorical(["he_normal", VarianceScaling(scale=0.5)]),
        "mlp__hidden_layer_sizes": skopt.space.Categorical(["8", "8-4", "4x2"]),
        "mlp__batch_size": skopt.space.Integer(10, 100),
    }
    kwargs = {"n_initial_points": 5, "acq_optimizer": "sampling"}
    options = {"cv": 3, "n_jobs": n_jobs, "random_state": 5, "optimizer_kwargs": kwargs}
    return skopt.BayesSearchCV(pipeline(), space, n_iter=7, **options)


# The Gaussian processes of scikit-optimize are slow if their threads wait for a busy processor.
@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1, "blas"):
        yield


SEARCHES = [grid_search, random_search, bayes_search]


def outcome(search):
    """Return results to compare: all rates, all scores, and predictions of the best network."""
    rates = np.array([params[RATE] for params in search.cv_results_["params"]])
    scores = [search.cv_results_[f"split{fold}_test_score"] for fold in range(3)]
    return rates, np.array(scores), search.predict_proba(X)


@pytest.mark.parametrize("make", SEARCHES)
def test_search_over_names_and_instances_is_reproducible(make):
    optimizers = [clone(o, safe=False) for o in OPTIMIZERS]
    before = [vars(o).copy() for o in optimizers if not isinstance(o, str)]
    searches = [make(optimizers, n_jobs).fit(X, Y) for n_jobs in (2, 2, 1)]
    first, again, alone = map(outcome, searches)
    for a, b, c in zip(first, again, alone, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert [vars(o) for o in optimizers if not isinstance(o, str)] == before


@pytest.mark.parametrize("make", SEARCHES)
def test_best_network_was_trained_with_the_best_parameters(make):
    search = make(OPTIMIZERS, 1).fit(X, Y)
    mlp = search.best_estimator_["mlp"]
    chosen = search.best_params_["mlp__optimizer"]
    assert mlp.optimizer_.learning_rate == search.best_params_[RATE]
    assert type(mlp.optimizer_) is (Adam if chosen == "adam" else type(chosen))
    if isinstance(chosen, SGD):
        assert mlp.optimizer_.momentum == 0.9
    assert len(np.unique(search.cv_results_["mean_test_score"])) > 2
    assert search.best_score_ > 0.7


def test_nested_rate_gives_names_and_instances_the_same_scores():
    search = grid_search(["adam", Adam(), Adam(learning_rate=0.5)], 1).fit(X, Y)
    by_optimizer = search.cv_results_["mean_test_score"].reshape(3, 2)
    np.testing.assert_array_equal(by_optimizer[0], by_optimizer[1])
    np.testing.assert_array_equal(by_optimizer[0], by_optimizer[2])
    assert by_optimizer[0, 0] != by_optimizer[0, 1]


def test_regressor_can_be_searched_with_large_targets():
    target = 1e5 * X[:, 3] - 1e6
    model = Pipeline([("scale", StandardScaler()), ("mlp", MLPRegressor((8,), random_state=0))])
    grid = {"mlp__optimizer": ["adam", SGD(momentum=0.9)], RATE: [0.001, 0.05]}
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(model.set_params(mlp__max_iter=20), grid, cv=folds)
    search.fit(X[:, :3], target)
    assert 0.5 < search.best_score_ <= 1


def test_diverging_candidate_gets_a_finite_score_in_a_bayesian_search():
    skopt = pytest.importorskip("skopt")
    # ReLU units die before anything overflows; linear units do not.
    model = pipeline(optimizer="sgd", activation="identity", hidden_layer_sizes="8x4")
    search = skopt.BayesSearchCV(
        model,
        {RATE: skopt.space.Categorical([1e-2, 1e3])},
        n_iter=6,
        cv=3,
        random_state=1,
        error_score="raise",
        optimizer_kwargs={"n_initial_points": 6},
    )
    with pytest.warns(ConvergenceWarning, match="diverged"):
        search.fit(X, Y)
    tried = [params[RATE] for params in search.cv_results_["params"]]
    assert 1e3 in tried
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_diverging_regressor_gets_a_finite_score():
    model = MLPRegressor((8,), max_iter=20, batch_size=20, random_state=0)
    grid = {"optimizer": [SGD(learning_rate=1e3), "adam"]}
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(model, grid, cv=folds, error_score="raise")
    with pytest.warns(ConvergenceWarning, match="diverged"):
        search.fit(X[:, :3], X[:, 3])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["optimizer"] == "adam"


def test_reaching_max_iter_does_not_warn_in_a_search():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search = grid_search(OPTIMIZERS, 1).fit(X, Y)
    assert not caught
    mlp = search.best_estimator_["mlp"]
    assert (mlp.stop_reason_, mlp.converged_, mlp.n_iter_) == ("max_iter", False, 8)


@pytest.mark.parametrize("random_state", [7, np.random.RandomState(7)], ids=["int", "RandomState"])
def test_result_does_not_depend_on_the_number_of_processes(random_state):
    model = MLPClassifier((8,), max_iter=5, random_state=random_state)
    one = cross_val_predict(clone(model), X, Y, cv=3, method="predict_proba", n_jobs=1)
    two = cross_val_predict(clone(model), X, Y, cv=3, method="predict_proba", n_jobs=2)
    np.testing.assert_array_equal(one, two)


# scikit-optimize is not installed, does not support the installed NumPy, or imports a module that
# scikit-learn has removed. Each package is put before the installed one.
BROKEN = {
    "missing": ("raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)", "pip"),
    "numpy": ("import numpy\nnumpy.name_that_was_removed", "raises AttributeError: module 'numpy'"),
    "sklearn": ("import sklearn.module_that_was_removed", "raises ModuleNotFoundError: No module"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_everything_but_the_bayesian_search_works_without_scikit_optimize(case, tmp_path):
    script = """
        from importlib.util import find_spec
        from sklearn.datasets import load_iris
        from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
        from sknn_adam import MLPClassifier, MLPRegressor
        from sknn_adam.search import search_space

        X, y = load_iris(return_X_y=True)
        MLPRegressor((4,), max_iter=3).fit(X, X[:, 0])
        grid = {"optimizer": ["adam", "sgd"], "optimizer__learning_rate": [0.01, 0.1]}
        model = MLPClassifier((4,), max_iter=3)
        search = GridSearchCV(model, grid, cv=2).fit(X, y)
        assert len(search.cv_results_["params"]) == 4
        space = search_space(model, include=["learning_rate", "alpha"])
        RandomizedSearchCV(model, space, n_iter=2, cv=2, random_state=0).fit(X, y)
        assert search_space(model, "grid")
        assert not find_spec("optuna") or search_space(model, "optuna")
        if find_spec("skl2onnx"):
            from sknn_adam.onnx import register
            register()
        if find_spec("skops"):
            from sknn_adam.persistence import load, save
            save(search, "search.skops")
            assert (load("search.skops").predict(X) == search.predict(X)).all()
        try:
            search_space(model, "bayes")
        except ImportError as error:
            print(error)
    """
    source, message = BROKEN[case]
    (tmp_path / "skopt").mkdir()
    (tmp_path / "skopt" / "__init__.py").write_text(source)
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env=os.environ | {"PYTHONPATH": paths},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("method='bayes' needs scikit-optimize")
    assert message in done.stdout
    assert "OptunaSearchCV" in done.stdout
    assert "RandomizedSearchCV" in done.stdout


# -- warnings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", SEARCHES)
def test_warnings_of_a_search_point_to_the_line_that_fits_it(make):
    search = make([SGD()], 1)
    search.estimator.set_params(mlp__activation="identity", mlp__max_iter=30)
    name = "param_grid" if make is grid_search else "param_distributions"
    space = getattr(search, "search_spaces", None) or getattr(search, name)
    space[RATE] = [1e6, 1e7, 1e8]
    with pytest.warns(ConvergenceWarning, match="diverged") as caught:
        search.fit(X, Y)
    assert [warning.filename for warning in caught] == [__file__]


def test_searches_merge_warnings_by_the_line_that_issues_them():
    class Noisy(DummyClassifier):
        def fit(self, X, y):
            warn(f"Training diverged with {len(y)} samples. Scale X.")
            warn(f"Training diverged with {len(y)} samples. Clip the gradient.")
            for fault in ("dead", "vanishing"):
                warn(f"Training learned nothing from {len(y)} samples. {fault}.", key=fault)
            return super().fit(X, y)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            # The folds have different sizes, so that all messages differ.
            cross_val_predict(Noisy(), X[:59], Y[:59] % 2, cv=KFold(3))
    advice = [str(warning.message).split(". ")[1] for warning in caught]
    assert advice == 2 * ["Scale X.", "Clip the gradient.", "dead.", "vanishing."]
