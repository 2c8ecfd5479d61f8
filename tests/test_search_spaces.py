"""Ready-made search spaces: their content, and the searches that accept them."""

import copy
import pickle
import sys
import warnings
from functools import partial
from math import prod

import numpy as np
import pytest
import rows
import sklearn
from scipy import stats
from sklearn import config_context
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression, Ridge
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
from sklearn.utils.fixes import parse_version
from threadpoolctl import threadpool_limits

from sknn_adam import SGD, Adam, AdamW, MLPClassifier, MLPRegressor
from sknn_adam._component.ranges import SIZES, Choices, Range
from sknn_adam.layers import parse_sizes
from sknn_adam.optimizers import OPTIMIZERS, Optimizer
from sknn_adam.search import search_space
from sknn_adam.search.distributions import distribution_over

IRIS = load_iris(return_X_y=True)
DIABETES = tuple(array[:120] for array in load_diabetes(return_X_y=True))
METHODS = ["grid", "random", "bayes", "optuna"]
RATE = "mlp__optimizer__learning_rate"


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1, "blas"):
        yield


def pipeline(estimator=MLPClassifier, **params):
    mlp = estimator((8,), max_iter=4, random_state=0).set_params(**params)
    return Pipeline([("scale", StandardScaler()), ("mlp", mlp)])


def candidates(space, method, n=40):
    """Draw candidates from the space of any search."""
    if method == "grid":
        return list(ParameterGrid(space))
    if method == "random":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The total space", UserWarning)
            return list(ParameterSampler(space, n, random_state=0))
    if method == "bayes":
        subspaces = [subspace for subspace, _ in space] if isinstance(space, list) else [space]
        return [
            {name: d.rvs(1, random_state=i)[0] for name, d in subspace.items()}
            for subspace in subspaces
            for i in range(n // len(subspaces))
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


# -- searches accept their spaces ----------------------------------------------------------------


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("method", METHODS)
def test_search_accepts_the_space(method, task, size):
    if method == "grid" and size == "large":
        pytest.skip("thousands of candidates; the next test draws them")
    pytest.importorskip({"bayes": "skopt", "optuna": "optuna_integration"}.get(method, "sklearn"))
    estimator = MLPClassifier if task == "classification" else MLPRegressor
    model = pipeline(estimator)
    # These parameters are excluded for speed.
    exclude = ["hidden_layer_sizes", "max_iter"]
    space = search_space(model, method, size=size, exclude=exclude, scalers=True, n_iter=4)
    if method == "grid":
        space["scale"] = space["scale"][:2]
    search = make_search(method, model, space, 4, n_jobs=2)
    search.fit(*(IRIS if task == "classification" else DIABETES))
    assert np.isfinite(search.best_score_)
    assert set(search.best_params_) <= set(search.best_estimator_.get_params())
    rows = (IRIS if task == "classification" else DIABETES)[0][:2]
    assert np.isfinite(search.best_estimator_.predict(rows)).all()
    # The given model is unchanged.
    assert model["mlp"].optimizer == "adam"
    assert model["mlp"].hidden_layer_sizes == (8,)


@pytest.mark.parametrize("optimizer", ["adam", SGD(momentum=0.5), "lbfgs", "prodigy", "muon"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", METHODS)
def test_every_candidate_can_be_fitted(method, size, optimizer):
    pytest.importorskip({"bayes": "skopt", "optuna": "optuna"}.get(method, "sklearn"))
    model = pipeline(optimizer=optimizer)
    space = search_space(model, method, size=size, n_iter=40)
    drawn = candidates(space, method)
    rng = np.random.default_rng(1)
    for i in rng.choice(len(drawn), min(12, len(drawn)), replace=False):
        given = {**drawn[i], "mlp__max_iter": 1}
        given["mlp__hidden_layer_sizes"] = (4,)
        fitted = pipeline(optimizer=optimizer).set_params(**given).fit(*IRIS)
        nested = {k for k in drawn[i] if k.startswith("mlp__optimizer__")}
        names = {f"mlp__optimizer__{k}" for k in fitted["mlp"].optimizer_.get_params()}
        assert nested <= names


@pytest.mark.parametrize("search", [HalvingGridSearchCV, HalvingRandomSearchCV])
def test_halving_uses_epochs_as_its_resource(search):
    model = pipeline()
    method = "grid" if search is HalvingGridSearchCV else "random"
    space = search_space(model, method, include=["learning_rate", "dropout"])
    fitted = search(
        model, space, resource="mlp__max_iter", min_resources=2, max_resources=8, factor=2, cv=2,
        random_state=0,
    ).fit(*IRIS)  # fmt: skip
    assert max(fitted.cv_results_["n_resources"]) == 8
    assert fitted.best_estimator_["mlp"].n_iter_ == 8


def test_optuna_prunes_through_partial_fit():
    optuna = pytest.importorskip("optuna")
    search_class = pytest.importorskip("optuna_integration").OptunaSearchCV
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    X, y = IRIS
    # This max_iter is that of the refit; pruning has its own.
    model = MLPClassifier((8,), max_iter=300, random_state=0)
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
def test_candidates_do_not_depend_on_the_number_of_processes(method):
    pytest.importorskip({"bayes": "skopt", "optuna": "optuna_integration"}.get(method, "sklearn"))
    model = pipeline()
    space = search_space(model, method, include=["learning_rate", "dropout"])
    both = []
    for n_jobs in (1, 2):
        if method == "optuna" and n_jobs == 2:
            # With threads, the order of the trials would determine the next proposals.
            n_jobs = 1
        search = make_search(method, model, space, 5, n_jobs).fit(*IRIS)
        if method == "optuna":
            both.append([(t.params, t.value) for t in search.trials_])
        else:
            scores = search.cv_results_["mean_test_score"]
            both.append(list(zip(map(dict, search.cv_results_["params"]), scores, strict=True)))
    assert both[0] == both[1]


# -- content of a space --------------------------------------------------------------------------


def test_ranges_contain_valid_values_only():
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


@pytest.mark.parametrize("estimator_class", [MLPClassifier, MLPRegressor])
def test_ranges_of_the_estimators_contain_valid_values_only(estimator_class):
    for name, declared in estimator_class.ranges.items():
        for value in declared.values if isinstance(declared, Choices) else declared.points():
            estimator = estimator_class((4, 4), max_iter=1).set_params(**{name: value})
            estimator.set_params(max_iter=1).fit(
                *DIABETES if estimator_class is MLPRegressor else IRIS
            )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_learning_rates_are_centered_on_the_default(name):
    optimizer = OPTIMIZERS.make(name)
    space = search_space(MLPClassifier(optimizer=name), exclude="hidden_layer_sizes")
    if not optimizer.ranges:
        assert "optimizer__learning_rate" not in space
        return
    low, high = space["optimizer__learning_rate"].support()
    np.testing.assert_allclose(
        [low, high], [optimizer.learning_rate / 10, optimizer.learning_rate * 10]
    )


def test_small_grid_has_24_candidates_and_sizes_grow():
    model = pipeline()
    grids = [search_space(model, "grid", size=size) for size in SIZES]
    assert prod(len(values) for values in grids[0].values()) == 24
    assert set(grids[0]) < set(grids[1])
    assert isinstance(grids[2], list)
    assert all(set(grids[1]) < set(subspace) for subspace in grids[2])
    given = [subspace["mlp__optimizer"] for subspace in grids[2]]
    assert given == [["adam"], ["adamw"], ["nesterov"], ["rmsprop"]]
    assert all("mlp__optimizer__weight_decay" not in subspace for subspace in grids[2][2:])


def test_given_optimizer_is_first_in_a_large_space():
    given = AdamW(beta_1=0.85)
    space = search_space(MLPClassifier(optimizer=given), "random", size="large")
    optimizers = [subspace["optimizer"][0] for subspace in space]
    assert optimizers[0] is given
    assert [o for o in optimizers[1:]] == ["adam", "nesterov", "rmsprop"]


def test_user_defined_optimizer_can_declare_ranges():
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


def test_points_exclude_the_ends_of_a_range():
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
    expected = {"hidden_layer_sizes__width", "hidden_layer_sizes__depth"}
    expected |= {"dropout", "optimizer__learning_rate"}
    assert set(space) == {prefix + name for name in expected}
    assert set(space) <= set(model.get_params())


def test_two_networks_can_be_searched_together():
    model = Pipeline(
        [("first", TransformedTargetRegressor(MLPRegressor())), ("mlp", MLPRegressor())]
    )
    space = search_space(model, "grid", include="learning_rate")
    assert len(space) == 2
    large = search_space(model, "grid", size="large")
    assert len(large) == 16


def test_scalers_of_pipelines_and_column_transformers_can_be_searched():
    columns = ColumnTransformer(
        [("left", MinMaxScaler(), [0, 1]), ("right", StandardScaler(), [2, 3])]
    )
    model = make_pipeline(columns, MLPClassifier((4,), max_iter=1))
    space = search_space(model, "random", include="learning_rate", scalers=True)
    names = [name for name in space if not name.endswith("learning_rate")]
    assert names == ["columntransformer__left", "columntransformer__right"]
    assert [str(v) for v in space[names[0]]] == [
        "passthrough", "MinMaxScaler()", "StandardScaler()", "MinMaxScaler(feature_range=(-1, 1))",
        "RobustScaler()", "QuantileTransformer(n_quantiles=50, output_distribution='normal')",
    ]  # fmt: skip
    for scaler in space[names[0]]:
        model.set_params(**{names[0]: scaler}).fit(*IRIS)


def test_depth_fixed_by_another_parameter_is_kept():
    model = MLPClassifier((10, 10), activation=["relu", "tanh"])
    space = search_space(model, "grid", size="small")
    assert space["hidden_layer_sizes__width"] == [64, 256]
    assert "hidden_layer_sizes__depth" not in space
    model.set_params(hidden_layer_sizes=(3, 9, 3), activation=["relu"] * 3)
    assert not [n for n in search_space(model, "grid", size="small") if "hidden_layer" in n]


@pytest.mark.parametrize("sizes", [(), (10, 3, 10)])
@pytest.mark.parametrize("method", ["random", "grid"])
def test_sizes_without_width_and_depth_can_be_searched(sizes, method):
    space = search_space(MLPClassifier(sizes), method, include="hidden_layer_sizes")
    params = {name: values[-1] for name, values in space.items()}
    widths = parse_sizes(MLPClassifier(sizes).set_params(**params).hidden_layer_sizes)
    width, depth = (params[f"hidden_layer_sizes__{name}"] for name in ("width", "depth"))
    assert widths == (width,) * depth


def test_whole_numbers_are_drawn_on_their_scale():
    space = search_space(MLPClassifier(), include=["width", "depth"])
    widths = space["hidden_layer_sizes__width"]
    assert space["hidden_layer_sizes__depth"] == [1, 2, 3]
    assert (widths[0], widths[-1]) == (64, 512)
    # On a logarithmic scale, half of the widths are below the geometric mean of the ends.
    assert np.median(widths) == pytest.approx(np.sqrt(64 * 512), rel=0.05)


def test_include_and_exclude_select_parameters():
    model = pipeline()
    assert set(search_space(model, include=["normalization", RATE])) == {"mlp__normalization", RATE}
    small = search_space(model, size="small", exclude=RATE)
    layers = {"mlp__hidden_layer_sizes__width", "mlp__hidden_layer_sizes__depth"}
    assert set(small) == {*layers, "mlp__dropout"}
    chosen = search_space(model, include="hidden_layer_sizes")
    assert set(chosen) == {*layers, "mlp__hidden_layer_sizes__taper"}
    assert not layers & set(search_space(model, exclude="hidden_layer_sizes"))
    assert isinstance(search_space(model, size="large", exclude="optimizer"), dict)
    assert isinstance(search_space(model, include=["optimizer", "learning_rate"]), list)


# -- limitations of scikit-optimize and Optuna ---------------------------------------------------


def test_iterations_of_bayesian_subspaces_add_up():
    pytest.importorskip("skopt")
    for n_iter in (4, 7, 50, None):
        space = search_space(pipeline(), "bayes", size="large", n_iter=n_iter)
        assert sum(n for _, n in space) == (n_iter or 50)
        assert all(type(n) is int for _, n in space)


def test_bayesian_and_optuna_spaces_contain_supported_values_only():
    skopt = pytest.importorskip("skopt")
    for size in SIZES:
        space = search_space(pipeline(), "bayes", size=size)
        for subspace in [p for p, _ in space] if isinstance(space, list) else [space]:
            for dimension in subspace.values():
                # Not a list or a (low, high) pair.
                assert isinstance(dimension, skopt.space.Dimension)
                if isinstance(dimension, skopt.space.Categorical):
                    assert not any(isinstance(v, tuple | list) for v in dimension.categories)
    optuna = pytest.importorskip("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in SIZES:
            space = search_space(pipeline(), "optuna", size=size)
            for distribution in space.values():
                assert isinstance(distribution, optuna.distributions.BaseDistribution)
                assert all(
                    v is None or isinstance(v, bool | int | float | str)
                    for v in getattr(distribution, "choices", ())
                )


def test_nested_names_do_not_change_an_instance_in_an_optuna_space():
    pytest.importorskip("optuna")
    given = Adam(learning_rate=0.002)
    model = pipeline(optimizer=given)
    space = search_space(model, "optuna", size="large")
    space = {name: d for name, d in space.items() if "optimizer" in name}
    search = make_search("optuna", model, space, 4, n_jobs=1).fit(*IRIS)
    assert {type(t.params["mlp__optimizer"]) for t in search.trials_} >= {str}
    assert given.learning_rate == 0.002


def test_categorical_supports_strings_but_not_tuples():
    skopt = pytest.importorskip("skopt")
    space = {"mlp__hidden_layer_sizes": skopt.space.Categorical([(8,), (8, 4)])}
    with pytest.raises(ValueError, match=r"size 1|inhomogeneous|1-dimensional"):
        make_search("bayes", pipeline(), space, 3, 1).fit(*IRIS)
    space = {"mlp__hidden_layer_sizes": skopt.space.Categorical(["8", "8-4"])}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The objective has been evaluated", UserWarning)
        search = make_search("bayes", pipeline(), space, 3, 1).fit(*IRIS)
    assert search.best_params_["mlp__hidden_layer_sizes"] in ("8", "8-4")


@pytest.mark.xfail(raises=TypeError, reason="BayesSearchCV always passes groups to BaseSearchCV")
def test_bayesian_search_works_with_metadata_routing():
    """If this passes, remove the remedy from docs/hyperparameter_search.md."""
    skopt = pytest.importorskip("skopt")
    with config_context(enable_metadata_routing=True):
        make_search("bayes", Ridge(), {"alpha": skopt.space.Real(0.1, 1.0)}, 3, 1).fit(*DIABETES)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("piped", [False, True], ids=["bare", "pipeline"])
def test_bayesian_searches_have_remedies_for_metadata_routing(piped, weighted):
    pytest.importorskip("skopt")
    if piped and weighted and parse_version(sklearn.__version__) < parse_version("1.9"):
        pytest.skip("Pipeline.score of older releases of scikit-learn does not route weights")
    X, y = IRIS
    weight = np.linspace(0.1, 2.0, len(y))

    def search(routed, cv=2, **requests):
        model = pipeline()
        mlp = model["mlp"]
        if routed:
            mlp.set_fit_request(sample_weight=True, **requests)
            mlp.set_score_request(sample_weight=True)
            model["scale"].set_fit_request(sample_weight=False)
        model = model if piped else mlp
        space = search_space(model, "bayes", include="learning_rate")
        return make_search("bayes", model, space, 1, 1).set_params(cv=cv)

    with config_context(enable_metadata_routing=True):
        given = {"sample_weight": weight} if weighted else {}
        with pytest.raises(TypeError, match="groups"):
            search(True).fit(X, y, **given)
        routed = search(True, groups=True).fit(X, y, **given)
        grouped = search(True, cv=GroupKFold(2)).fit(X, y, groups=np.arange(len(y)) % 5, **given)
        assert np.isfinite(grouped.best_score_)
        with config_context(enable_metadata_routing=False):
            given = {f"{'mlp__' * piped}sample_weight": weight} if weighted else {}
            plain = search(False).fit(X, y, **given)
    np.testing.assert_array_equal(routed.predict_proba(X), plain.predict_proba(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_diverging_candidate_does_not_stop_a_bayesian_search():
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
def test_invalid_arguments_raise(arguments, message):
    if arguments.get("method") == "bayes":
        pytest.importorskip("skopt")
    with pytest.raises(ValueError, match=message):
        search_space(pipeline(), **arguments)


def test_estimators_without_a_network_raise():
    with pytest.raises(ValueError, match="no instance of MLPClassifier or MLPRegressor"):
        search_space(make_pipeline(StandardScaler(), LinearRegression()))
    with pytest.raises(TypeError, match="Pass an instance"):
        search_space(MLPClassifier)
    with pytest.raises(TypeError, match=r"requires an estimator\. Got int"):
        search_space(3)


def test_scalers_require_a_scaler_in_the_pipeline():
    with pytest.raises(ValueError, match="make_pipeline"):
        search_space(make_pipeline(FunctionTransformer(), MLPClassifier()), scalers=True)


@pytest.mark.parametrize(
    ("method", "package"), [("bayes", "skopt.space"), ("optuna", "optuna.distributions")]
)
def test_error_names_the_missing_package(method, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match="pip install"):
        search_space(MLPClassifier(), method)


SEARCHES = {
    "GridSearchCV": GridSearchCV,
    "RandomizedSearchCV": partial(RandomizedSearchCV, n_iter=2, random_state=0),
    "HalvingGridSearchCV": partial(HalvingGridSearchCV, min_resources=60, factor=2),
    "HalvingRandomSearchCV": partial(HalvingRandomSearchCV, min_resources=60, n_candidates=2),
}
ACCEPTED = {
    "grid": {*SEARCHES, "BayesSearchCV"},
    "random": {"RandomizedSearchCV", "HalvingRandomSearchCV"},
    "bayes": {"BayesSearchCV"},
    "optuna": {"OptunaSearchCV"},
}
GRID, RANDOM = "grid searches need method='grid'", "random searches method='random'"
ADVICE = {
    "GridSearchCV": GRID,
    "HalvingGridSearchCV": GRID,
    "RandomizedSearchCV": RANDOM,
    "HalvingRandomSearchCV": RANDOM,
    "BayesSearchCV": "BayesSearchCV method='bayes'",
    # OptunaSearchCV quotes no values.
    "OptunaSearchCV": "must be a optuna distribution|must be a mapping",
}


def search_with(name, model, space):
    if name == "BayesSearchCV":
        return make_search("bayes", model, space, 2, 1)
    if name == "OptunaSearchCV":
        return make_search("optuna", model, space, 2, 1)
    return SEARCHES[name](model, space, cv=2)


@pytest.mark.parametrize("piped", [False, True], ids=["bare", "pipeline"])
@pytest.mark.parametrize("several", [False, True], ids=["single", "several"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ADVICE)
def test_searches_accept_a_space_or_name_the_method_they_need(name, method, several, piped):
    for used, package in (("bayes", "skopt"), ("optuna", "optuna_integration")):
        if used == method or used.title() in name:
            pytest.importorskip(package)
    model = pipeline() if piped else pipeline()["mlp"]
    include = ["alpha", "schedule"] + ["optimizer"] * several
    space = search_space(model, method, include=include, n_iter=4)
    assert isinstance(space, list) == (several and method != "optuna")
    if name in ACCEPTED[method]:
        search = search_with(name, model.set_params(**{f"{'mlp__' * piped}max_iter": 1}), space)
        assert np.isfinite(search.fit(*IRIS).best_score_)
        return
    # Optuna compares the classes of its distributions, so they cannot have a repr with advice.
    advice = "FloatDistribution" if method == "optuna" else ADVICE[name]
    with pytest.raises((TypeError, ValueError), match=advice):
        search_with(name, model, space).fit(*IRIS)


def test_bayesian_search_takes_two_numbers_of_a_grid_for_a_range_and_warns():
    pytest.importorskip("skopt")
    space = search_space(pipeline(), "grid", include="batch_size")
    assert space == {"mlp__batch_size": [32, 128]}
    match = r"inferred to Integer\(low=32, high=128"
    with pytest.warns(UserWarning, match=match):
        search = make_search("bayes", pipeline(), space, 3, 1)
    with pytest.warns(UserWarning, match=match):
        search.fit(*IRIS)
    sizes = {params["mlp__batch_size"] for params in search.cv_results_["params"]}
    assert sizes - {32, 128}


def test_dimensions_match_scikit_optimize():
    skopt = pytest.importorskip("skopt")
    for subspace, _ in search_space(pipeline(), "bayes", size="large", scalers=True):
        for made in subspace.values():
            base = getattr(skopt.space, type(made).__name__)
            again = pickle.loads(pickle.dumps(made))
            assert {type(copy.deepcopy(made)), type(again)} == {base}
            assert isinstance(made, base)
            assert str(made.rvs(5, random_state=0)) == str(again.rvs(5, random_state=0))
    first, second = (search_space(pipeline(), "bayes", include=RATE) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("log", [False, True])
def test_distributions_match_scipy(log):
    made = distribution_over(Range(0.1, 0.4, log=log))
    expected = stats.loguniform(0.1, 0.4) if log else stats.uniform(0.1, 0.4 - 0.1)
    assert isinstance(made, type(expected))
    for again in (made, copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again.args == expected.args
        np.testing.assert_array_equal(again.rvs(9, random_state=0), expected.rvs(9, random_state=0))
