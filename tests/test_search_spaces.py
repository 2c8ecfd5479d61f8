"""Ready search spaces: what is in them, and that the real searches take them as they are."""

import copy
import pickle
import sys
import warnings
from math import prod

import numpy as np
import pytest
import rows
from scipy import stats
from sklearn import config_context
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from threadpoolctl import threadpool_limits

from sknn_adam import SGD, Adam, AdamW, MLPClassifier, MLPRegressor
from sknn_adam._component.ranges import SIZES, Choices, Range
from sknn_adam.optimizers import OPTIMIZERS, Optimizer
from sknn_adam.search import search_space
from sknn_adam.search.distributions import distribution_over

IRIS = load_iris(return_X_y=True)
DIABETES = tuple(part[:120] for part in load_diabetes(return_X_y=True))
METHODS = ["grid", "random", "bayes", "optuna"]
RATE = "mlp__optimizer__learning_rate"


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1, "blas"):
        yield


def pipeline(kind=MLPClassifier, **params):
    mlp = kind((8,), max_iter=4, random_state=0).set_params(**params)
    return Pipeline([("scale", StandardScaler()), ("mlp", mlp)])


def candidates(space, method, n=40):
    """Draw candidates from a space of any kind."""
    if method == "grid":
        return list(ParameterGrid(space))
    if method == "random":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The total space", UserWarning)
            return list(ParameterSampler(space, n, random_state=0))
    if method == "bayes":
        parts = [part for part, _ in space] if isinstance(space, list) else [space]
        return [
            {name: d.rvs(1, random_state=i)[0] for name, d in part.items()}
            for part in parts
            for i in range(n // len(parts))
        ]
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [study.ask(space).params for _ in range(n)]


def make_search(method, model, space, n, n_jobs, seed=0):
    options = {"cv": 2, "n_jobs": n_jobs, "error_score": "raise"}
    if method == "grid":
        return GridSearchCV(model, space, **options)
    if method == "random":
        return RandomizedSearchCV(model, space, n_iter=n, random_state=seed, **options)
    if method == "bayes":
        skopt = pytest.importorskip("skopt")
        kwargs = {"n_initial_points": 2, "acq_optimizer": "sampling"}
        options |= {"random_state": seed, "optimizer_kwargs": kwargs}
        return skopt.BayesSearchCV(model, space, n_iter=n, **options)
    optuna = pytest.importorskip("optuna")
    search = pytest.importorskip("optuna_integration").OptunaSearchCV
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return search(model, space, n_trials=n, random_state=seed, **options)


# -- every real search takes the space ------------------------------------------------------------


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("method", METHODS)
def test_a_search_takes_the_space_as_it_is(method, task, size):
    if method == "grid" and size == "large":
        pytest.skip("thousands of candidates; the next test draws them")
    pytest.importorskip({"bayes": "skopt", "optuna": "optuna_integration"}.get(method, "sklearn"))
    kind = MLPClassifier if task == "classification" else MLPRegressor
    model = pipeline(kind)
    exclude = ["hidden_layer_sizes", "max_iter"]  # for speed
    space = search_space(model, method, size=size, exclude=exclude, scalers=True, n_iter=4)
    if method == "grid":
        space["scale"] = space["scale"][:2]
    search = make_search(method, model, space, 4, n_jobs=2)
    search.fit(*(IRIS if task == "classification" else DIABETES))
    assert np.isfinite(search.best_score_)
    assert set(search.best_params_) <= set(search.best_estimator_.get_params())
    rows = (IRIS if task == "classification" else DIABETES)[0][:2]
    assert np.isfinite(search.best_estimator_.predict(rows)).all()
    # what was given is as it was
    assert model["mlp"].optimizer == "adam"
    assert model["mlp"].hidden_layer_sizes == (8,)


@pytest.mark.parametrize("optimizer", ["adam", SGD(momentum=0.5), "lbfgs", "prodigy", "muon"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", METHODS)
def test_every_candidate_can_be_fitted(method, size, optimizer):
    pytest.importorskip({"bayes": "skopt", "optuna": "optuna"}.get(method, "sklearn"))
    model = pipeline(optimizer=optimizer)
    space = search_space(model, method, size=size, n_iter=40)
    found = candidates(space, method)
    rng = np.random.default_rng(1)
    for i in rng.choice(len(found), min(12, len(found)), replace=False):
        given = {**found[i], "mlp__max_iter": 1}
        given["mlp__hidden_layer_sizes"] = (4,)
        fitted = pipeline(optimizer=optimizer).set_params(**given).fit(*IRIS)
        nested = {k for k in found[i] if k.startswith("mlp__optimizer__")}
        names = {f"mlp__optimizer__{k}" for k in fitted["mlp"].optimizer_.get_params()}
        assert nested <= names


@pytest.mark.parametrize("search", [HalvingGridSearchCV, HalvingRandomSearchCV])
def test_halving_spends_epochs(search):
    model = pipeline()
    method = "grid" if search is HalvingGridSearchCV else "random"
    space = search_space(model, method, include=["learning_rate", "dropout"])
    found = search(
        model, space, resource="mlp__max_iter", min_resources=2, max_resources=8, factor=2, cv=2,
        random_state=0,
    ).fit(*IRIS)  # fmt: skip
    assert max(found.cv_results_["n_resources"]) == 8
    assert found.best_estimator_["mlp"].n_iter_ == 8


def test_optuna_prunes_through_partial_fit():
    optuna = pytest.importorskip("optuna")
    search_class = pytest.importorskip("optuna_integration").OptunaSearchCV
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    X, y = IRIS
    model = MLPClassifier((8,), max_iter=300, random_state=0)  # of the refit; pruning has its own
    space = search_space(model, "optuna", include="learning_rate")
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        search = search_class(
            model, space, n_trials=10, enable_pruning=True, max_iter=8, study=study, cv=2
        )
    search.fit(StandardScaler().fit_transform(X), y)
    states = [trial.state.name for trial in search.trials_]
    assert {"PRUNED", "COMPLETE"} == set(states)
    assert search.score(StandardScaler().fit_transform(X), y) > 0.7


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_candidates_for_one_process_and_two(method):
    pytest.importorskip({"bayes": "skopt", "optuna": "optuna_integration"}.get(method, "sklearn"))
    model = pipeline()
    space = search_space(model, method, include=["learning_rate", "dropout"])
    both = []
    for n_jobs in (1, 2):
        if method == "optuna" and n_jobs == 2:
            n_jobs = 1  # threads: the order of its trials decides what is proposed next
        search = make_search(method, model, space, 5, n_jobs).fit(*IRIS)
        if method == "optuna":
            both.append([(t.params, t.value) for t in search.trials_])
        else:
            scores = search.cv_results_["mean_test_score"]
            both.append(list(zip(map(dict, search.cv_results_["params"]), scores, strict=True)))
    assert both[0] == both[1]


# -- what is in a space ---------------------------------------------------------------------------


def test_ranges_lie_inside_what_the_parameters_allow():
    components = [row.values[0] for row in rows.COMPONENTS]
    assert any(component.ranges for component in components)
    for component in components:
        assert set(component.ranges) <= set(component.get_params())
        for name, declared in component.ranges.items():
            default = type(component)().get_params()[name] if declared else None
            declared = declared.around(default)
            values = declared.values if isinstance(declared, Choices) else declared.points()
            ends = () if isinstance(declared, Choices) else (declared.low, declared.high)
            for value in (*values, *ends):
                type(component)(**{name: value}).validate()


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_ranges_of_the_estimators_are_allowed_values(kind):
    for name, declared in kind.ranges.items():
        for value in declared.values if isinstance(declared, Choices) else declared.points():
            estimator = kind((4, 4), max_iter=1).set_params(**{name: value})
            estimator.set_params(max_iter=1).fit(*DIABETES if kind is MLPRegressor else IRIS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_learning_rates_lie_around_the_default(name):
    optimizer = OPTIMIZERS.make(name)
    space = search_space(MLPClassifier(optimizer=name), exclude="hidden_layer_sizes")
    if not optimizer.ranges:
        assert "optimizer__learning_rate" not in space
        return
    low, high = space["optimizer__learning_rate"].support()
    np.testing.assert_allclose(
        [low, high], [optimizer.learning_rate / 10, optimizer.learning_rate * 10]
    )


def test_a_small_grid_has_24_candidates_and_sizes_grow():
    model = pipeline()
    grids = [search_space(model, "grid", size=size) for size in SIZES]
    assert prod(len(values) for values in grids[0].values()) == 24
    assert set(grids[0]) < set(grids[1])
    assert isinstance(grids[2], list)
    assert all(set(grids[1]) < set(part) for part in grids[2])
    given = [part["mlp__optimizer"] for part in grids[2]]
    assert given == [["adam"], ["adamw"], ["nesterov"], ["rmsprop"]]
    assert all("mlp__optimizer__weight_decay" not in part for part in grids[2][2:])


def test_the_given_optimizer_leads_a_large_space_once():
    given = AdamW(beta_1=0.85)
    space = search_space(MLPClassifier(optimizer=given), "random", size="large")
    optimizers = [part["optimizer"][0] for part in space]
    assert optimizers[0] is given
    assert [o for o in optimizers[1:]] == ["adam", "nesterov", "rmsprop"]


def test_a_user_s_own_optimizer_and_its_range():
    class Careful(Optimizer):
        ranges = {"learning_rate": Range(0.5, 2.0, relative=True), "caution": Choices((1, 2))}

        def __init__(self, learning_rate, caution=1):
            self.learning_rate, self.caution = learning_rate, caution

        @staticmethod
        def rule(g, lr):
            return (lr * g,)

    space = search_space(
        MLPClassifier(optimizer=Careful(0.2)), "grid", include="optimizer__caution"
    )
    assert space == {"optimizer__caution": [1, 2]}
    space = search_space(MLPClassifier(optimizer=Careful(0.2)), include="learning_rate")
    assert space["optimizer__learning_rate"].support() == (0.1, 0.4)


def test_points_leave_out_the_ends():
    assert Range(1.0, 5.0).points() == [2.0, 3.0, 4.0]
    assert Range(1e-4, 1.0, log=True).points() == [1e-3, 1e-2, 1e-1]


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        (MLPRegressor(), ""),
        (make_pipeline(StandardScaler(), MLPRegressor()), "mlpregressor__"),
        (TransformedTargetRegressor(MLPRegressor()), "regressor__"),
        (
            make_pipeline(
                StandardScaler(), TransformedTargetRegressor(make_pipeline(MLPRegressor()))
            ),
            "transformedtargetregressor__regressor__mlpregressor__",
        ),
    ],
    ids=["alone", "pipeline", "target", "nested"],
)
def test_names_have_the_right_prefix(model, prefix):
    space = search_space(model, size="small")
    expected = {"hidden_layer_sizes", "dropout", "optimizer__learning_rate"}
    assert set(space) == {prefix + name for name in expected}
    assert set(space) <= set(model.get_params())


def test_two_networks_are_searched_together():
    model = Pipeline(
        [("first", TransformedTargetRegressor(MLPRegressor())), ("mlp", MLPRegressor())]
    )
    space = search_space(model, "grid", include="learning_rate")
    assert len(space) == 2
    large = search_space(model, "grid", size="large")
    assert len(large) == 16


def test_scalers_of_pipelines_and_column_transformers():
    columns = ColumnTransformer(
        [("left", MinMaxScaler(), [0, 1]), ("right", StandardScaler(), [2, 3])]
    )
    model = make_pipeline(columns, MLPClassifier((4,), max_iter=1))
    space = search_space(model, "random", include="learning_rate", scalers=True)
    found = [name for name in space if not name.endswith("learning_rate")]
    assert found == ["columntransformer__left", "columntransformer__right"]
    assert [str(v) for v in space[found[0]]] == [
        "passthrough", "MinMaxScaler()", "StandardScaler()", "MinMaxScaler(feature_range=(-1, 1))",
        "RobustScaler()", "QuantileTransformer(n_quantiles=50, output_distribution='normal')",
    ]  # fmt: skip
    for scaler in space[found[0]]:
        model.set_params(**{found[0]: scaler}).fit(*IRIS)


def test_a_depth_that_another_parameter_fixes_is_kept():
    model = MLPClassifier((10, 10), activation=["relu", "tanh"])
    space = search_space(model, "grid", size="small")
    assert space["hidden_layer_sizes"] == ["128-128", "256-256"]
    model.set_params(hidden_layer_sizes=(3,) * 7, activation=["relu"] * 7)
    assert "hidden_layer_sizes" not in search_space(model, "grid", size="small")


def test_include_and_exclude():
    model = pipeline()
    assert set(search_space(model, include=["normalization", RATE])) == {"mlp__normalization", RATE}
    small = search_space(model, size="small", exclude=RATE)
    assert set(small) == {"mlp__hidden_layer_sizes", "mlp__dropout"}
    assert isinstance(search_space(model, size="large", exclude="optimizer"), dict)
    assert isinstance(search_space(model, include=["optimizer", "learning_rate"]), list)


# -- the traps of scikit-optimize and Optuna ------------------------------------------------------


def test_parts_of_a_bayesian_space_add_up():
    pytest.importorskip("skopt")
    for n_iter in (4, 7, 50, None):
        space = search_space(pipeline(), "bayes", size="large", n_iter=n_iter)
        assert sum(n for _, n in space) == (n_iter or 50)
        assert all(type(n) is int for _, n in space)


def test_bayesian_and_optuna_spaces_hold_what_their_searches_can():
    skopt = pytest.importorskip("skopt")
    for size in SIZES:
        space = search_space(pipeline(), "bayes", size=size)
        for part in [p for p, _ in space] if isinstance(space, list) else [space]:
            for dimension in part.values():
                assert isinstance(dimension, skopt.space.Dimension)  # no list, no pair of ends
                if isinstance(dimension, skopt.space.Categorical):
                    assert not any(isinstance(v, tuple | list) for v in dimension.categories)
    optuna = pytest.importorskip("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in SIZES:
            space = search_space(pipeline(), "optuna", size=size)
            for found in space.values():
                assert isinstance(found, optuna.distributions.BaseDistribution)
                assert all(
                    v is None or isinstance(v, bool | int | float | str)
                    for v in getattr(found, "choices", ())
                )


def test_an_instance_in_an_optuna_space_is_not_changed_by_nested_names():
    pytest.importorskip("optuna")
    given = Adam(learning_rate=0.002)
    model = pipeline(optimizer=given)
    space = search_space(model, "optuna", size="large")
    space = {name: d for name, d in space.items() if "optimizer" in name}
    search = make_search("optuna", model, space, 4, n_jobs=1).fit(*IRIS)
    assert {type(t.params["mlp__optimizer"]) for t in search.trials_} >= {str}
    assert given.learning_rate == 0.002


def test_a_tuple_goes_into_no_categorical_but_its_string_does():
    skopt = pytest.importorskip("skopt")
    space = {"mlp__hidden_layer_sizes": skopt.space.Categorical([(8,), (8, 4)])}
    with pytest.raises(ValueError, match=r"size 1|inhomogeneous|1-dimensional"):
        make_search("bayes", pipeline(), space, 3, 1).fit(*IRIS)
    space = {"mlp__hidden_layer_sizes": skopt.space.Categorical(["8", "8-4"])}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The objective has been evaluated", UserWarning)
        search = make_search("bayes", pipeline(), space, 3, 1).fit(*IRIS)
    assert search.best_params_["mlp__hidden_layer_sizes"] in ("8", "8-4")


@pytest.mark.filterwarnings("ignore:The objective has been evaluated:UserWarning")
def test_the_way_around_metadata_routing_in_bayesian_searches():
    pytest.importorskip("skopt")
    X, y = IRIS
    space = search_space(pipeline(), "bayes", include="learning_rate")
    with config_context(enable_metadata_routing=True):
        with pytest.raises(TypeError, match="groups"):
            make_search("bayes", pipeline(), space, 3, 1).fit(X, y)
        search = make_search("bayes", pipeline(), space, 3, 1).set_params(cv=GroupKFold(2))
        search.fit(X, y, groups=np.arange(len(y)) % 5)
        assert np.isfinite(search.best_score_)
        with config_context(enable_metadata_routing=False):
            search = make_search("bayes", pipeline(), space, 3, 1).fit(X, y)
    assert np.isfinite(search.best_score_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_diverging_candidate_does_not_end_a_bayesian_search():
    skopt = pytest.importorskip("skopt")
    model = pipeline(optimizer="sgd")
    space = {RATE: skopt.space.Real(1e20, 1e30, prior="log-uniform")}
    search = make_search("bayes", model, space, 3, 1).fit(*IRIS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "annealing"}, "'annealing' is not a known method. Known"),
        ({"size": "huge"}, "'huge' is not a known size. Known"),
        ({"include": ["learning_rat"]}, "Did you mean 'learning_rate'"),
        ({"exclude": "dropot"}, "Did you mean 'dropout'"),
        ({"include": "learning_rate", "exclude": "learning_rate"}, "search space is empty"),
        ({"method": "bayes", "size": "large", "n_iter": 2}, "n_iter must be at least 4"),
    ],
    ids=["method", "size", "include", "exclude", "empty", "n_iter"],
)
def test_bad_arguments_are_named(arguments, message):
    if arguments.get("method") == "bayes":
        pytest.importorskip("skopt")
    with pytest.raises(ValueError, match=message):
        search_space(pipeline(), **arguments)


def test_no_network_inside():
    with pytest.raises(ValueError, match="no instance of MLPClassifier or MLPRegressor"):
        search_space(make_pipeline(StandardScaler(), LinearRegression()))
    with pytest.raises(TypeError, match="Pass an instance"):
        search_space(MLPClassifier)
    with pytest.raises(TypeError, match=r"requires an estimator\. Got int"):
        search_space(3)


def test_no_scaler_inside():
    with pytest.raises(ValueError, match="make_pipeline"):
        search_space(make_pipeline(FunctionTransformer(), MLPClassifier()), scalers=True)


@pytest.mark.parametrize(
    ("method", "package"), [("bayes", "skopt.space"), ("optuna", "optuna.distributions")]
)
def test_a_missing_package_is_named(method, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match="pip install"):
        search_space(MLPClassifier(), method)


def test_a_space_for_another_search_is_named_in_its_error():
    model, match = MLPClassifier(max_iter=2), r"loguniform\(1e-06, 0.01\).*{}='{}'"
    space = search_space(model, include="alpha")
    with pytest.raises(TypeError, match=match.format("GridSearchCV needs method", "grid")):
        GridSearchCV(model, space).fit(*IRIS)
    skopt = pytest.importorskip("skopt")
    with pytest.raises(ValueError, match=match.format("BayesSearchCV needs method", "bayes")):
        skopt.BayesSearchCV(model, space)


@pytest.mark.parametrize("log", [False, True])
def test_distributions_are_those_of_scipy(log):
    made = distribution_over(Range(0.1, 0.4, log=log))
    expected = stats.loguniform(0.1, 0.4) if log else stats.uniform(0.1, 0.4 - 0.1)
    assert isinstance(made, type(expected))
    for again in (made, copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again.args == expected.args
        np.testing.assert_array_equal(again.rvs(9, random_state=0), expected.rvs(9, random_state=0))
