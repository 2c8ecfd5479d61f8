"""Results of searches: tables, comparisons, importance, files and plots."""

import json
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import Adam, MLPClassifier
from sknn_adam.search import (
    compare_searches,
    load_results,
    parameter_importance,
    results_frame,
    save_results,
    search_space,
)

pd = pytest.importorskip("pandas")
X, Y = load_iris(return_X_y=True)
RATE = "mlpclassifier__optimizer__learning_rate"
MODEL = make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=3, random_state=0))


@pytest.fixture(scope="module")
def grid():
    params = [
        {"mlpclassifier__optimizer": ["sgd", Adam()], RATE: [0.001, 0.1]},
        {"mlpclassifier__gradient_clip": [None, 1.0], "mlpclassifier__batch_size": [50]},
    ]
    return GridSearchCV(MODEL, params, cv=3).fit(X, Y)


@pytest.fixture(scope="module")
def random():
    space = search_space(MODEL, exclude=["hidden_layer_sizes", "max_iter"])
    return RandomizedSearchCV(MODEL, space, n_iter=8, cv=3, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def halving():
    space = {RATE: [0.001, 0.003, 0.01, 0.1]}
    return HalvingGridSearchCV(
        MODEL, space, resource="mlpclassifier__max_iter", min_resources=2, max_resources=8,
        factor=2, cv=2, random_state=0,
    ).fit(X, Y)  # fmt: skip


@pytest.fixture(scope="module")
def pruned():
    optuna = pytest.importorskip("optuna")
    search_class = pytest.importorskip("optuna_integration").OptunaSearchCV
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
    )
    mlp = MLPClassifier((4,), max_iter=8, random_state=0)
    space = search_space(mlp, "optuna", include=["learning_rate", "activation"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        search = search_class(
            mlp, space, n_trials=10, enable_pruning=True, max_iter=8, study=study, cv=2
        )
    return search.fit(StandardScaler().fit_transform(X), Y)


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_table_contains_the_results_of_the_search(grid):
    frame = results_frame(grid)
    results = grid.cv_results_
    assert len(frame) == 6
    np.testing.assert_array_equal(frame["score"], results["mean_test_score"])
    np.testing.assert_array_equal(frame["rank"], results["rank_test_score"])
    np.testing.assert_array_equal(frame["candidate"], range(1, 7))
    seconds = 3 * (results["mean_fit_time"] + results["mean_score_time"])
    np.testing.assert_allclose(frame["seconds"], seconds)
    np.testing.assert_allclose(frame["elapsed"], np.cumsum(seconds))
    assert set(frame["n_splits"]) == {3}
    assert set(frame["resource"]) == {1.0}


def test_parameters_keep_their_types(grid):
    frame = results_frame(grid)
    assert frame[RATE].dtype == float
    assert frame[RATE].isna().tolist() == [False] * 4 + [True] * 2
    assert isinstance(frame["mlpclassifier__optimizer"][2], Adam)
    clips = frame["mlpclassifier__gradient_clip"].tolist()
    assert clips[4] is None
    assert clips[5] == 1.0
    assert np.isnan(clips[0])


def test_halving_ranks_later_rounds_first(halving):
    frame = results_frame(halving)
    assert frame["resource"].tolist() == [0.25] * 4 + [0.5] * 2 + [1.0]
    assert frame["rank"][6] == 1
    assert set(frame["rank"][4:6]) == {2, 3}
    assert frame[RATE][6] == halving.best_params_[RATE]
    best = compare_searches({"halving": halving})["best"]
    assert best.isna().tolist() == [True] * 6 + [False]


@pytest.mark.parametrize("piped", [False, True], ids=["bare", "pipeline"])
def test_halving_trains_candidates_from_scratch_in_each_round(plt, piped):
    from sknn_adam.search import SearchDisplay

    model = clone(MODEL if piped else MODEL[-1])
    prefix = "mlpclassifier__" * piped
    resource = f"{prefix}max_iter"
    space = {
        f"{prefix}schedule": ["constant", "cosine"],
        f"{prefix}optimizer__learning_rate": [0.01, 0.03],
    }
    search = HalvingGridSearchCV(
        model, space, resource=resource, min_resources=2, max_resources=7, factor=3, cv=2,
        random_state=0,
    ).fit(X, Y)  # fmt: skip
    frame = results_frame(search)
    # The last round does not use all of max_resources, and neither does the final fit.
    assert frame[resource].tolist() == [2] * 4 + [6] * 2
    np.testing.assert_allclose(frame["resource"], frame[resource] / 6)
    best = search.best_estimator_[-1] if piped else search.best_estimator_
    assert search.best_params_[resource] == best.n_iter_ == 6
    # Schedules run over the epochs of the round.
    for params, score in zip(search.cv_results_["params"], frame["score"], strict=True):
        assert cross_val_score(clone(model).set_params(**params), X, Y, cv=2).mean() == score
    assert compare_searches(search)["best"].isna().tolist() == [True] * 4 + [False] * 2
    display = SearchDisplay.from_search(search)
    assert set(display.parameters) == {*space, resource}
    assert set(display.importance["parameter"]) == {*space, resource}


def test_pruned_trials_have_fewer_resources_and_are_not_best(pruned):
    frame = results_frame(pruned)
    states = [trial.state.name for trial in pruned.trials_]
    stopped = np.array([state == "PRUNED" for state in states])
    assert stopped.any()
    assert (frame["resource"][stopped] < 1).all()
    assert (frame["resource"][~stopped] == 1).all()
    best = frame.loc[frame["rank"] == 1].iloc[0]
    assert best["score"] == pruned.best_score_
    assert best["optimizer__learning_rate"] == pruned.best_params_["optimizer__learning_rate"]
    assert compare_searches({"": pruned})["best"].iloc[-1] == pruned.best_score_


def test_optuna_searches_without_pruning_have_a_table(pruned):
    optuna = pytest.importorskip("optuna")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        search = type(pruned)(
            MODEL, search_space(MODEL, "optuna", include="dropout"), n_trials=3, cv=2
        )
    frame = results_frame(search.fit(X, Y))
    assert set(frame["resource"]) == {1.0}
    assert (frame["fit_seconds"] > 0).all()


def test_bayesian_searches_have_a_table():
    skopt = pytest.importorskip("skopt")
    space = search_space(MODEL, "bayes", include=["learning_rate", "batch_size"])
    search = skopt.BayesSearchCV(
        MODEL, space, n_iter=3, cv=2, random_state=0, optimizer_kwargs={"n_initial_points": 3}
    ).fit(X, Y)
    frame = results_frame(search)
    np.testing.assert_array_equal(frame["score"], search.cv_results_["mean_test_score"])
    assert frame[RATE].dtype == float
    assert frame["mlpclassifier__batch_size"].dtype.kind == "i"
    assert set(frame["n_splits"]) == {2}


def test_metric_selects_one_of_several_scorers():
    scoring = ["accuracy", "neg_log_loss"]
    search = GridSearchCV(MODEL, {RATE: [0.001, 0.1]}, scoring=scoring, refit="neg_log_loss", cv=2)
    search.fit(X, Y)
    results = search.cv_results_
    np.testing.assert_array_equal(results_frame(search)["score"], results["mean_test_neg_log_loss"])
    accuracy = results_frame(search, metric="accuracy")["score"]
    np.testing.assert_array_equal(accuracy, results["mean_test_accuracy"])
    with pytest.raises(ValueError, match="accuracy"):
        results_frame(search, metric="auc")


@pytest.mark.parametrize("bad", [MODEL, 3, GridSearchCV(MODEL, {RATE: [0.1]})])
def test_objects_other_than_fitted_searches_raise(bad):
    with pytest.raises(ValueError, match="fitted search"):
        results_frame(bad)


# -- comparison -----------------------------------------------------------------------------------


def test_comparison_has_the_best_score_so_far(grid, random):
    frame = compare_searches({"grid": grid, "random": [random, random]})
    assert frame.groupby(["search", "repeat"]).size().to_dict() == {
        ("grid", 0): 6, ("random", 0): 8, ("random", 1): 8,
    }  # fmt: skip
    part = frame[frame["search"] == "grid"]
    expected = np.maximum.accumulate(grid.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(part["best"], expected)
    for bad in ({}, [grid], None, 3):
        with pytest.raises(ValueError, match=r"searches must be a non-empty dict.*Got "):
            compare_searches(bad)


def test_single_search_is_named_after_its_class(grid):
    expected = compare_searches({"GridSearchCV": grid})
    pd.testing.assert_frame_equal(compare_searches(grid), expected)
    table = compare_searches(results_frame(grid))
    assert set(table["search"]) == {"DataFrame"}
    np.testing.assert_array_equal(table["best"], expected["best"])


def test_decisive_parameter_is_the_most_important():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "noise": rng.normal(size=60),
            "kind": rng.choice(["a", "b", "c"], 60),
            "gone": np.where(rng.random(60) < 0.3, np.nan, 1.0),
            "constant": 1,
        }
    )
    frame["score"] = frame["kind"].map({"a": 0.0, "b": 1.0, "c": 0.2}) + 0.01 * frame["noise"]
    table = parameter_importance(frame)
    assert table["parameter"].tolist()[0] == "kind"
    assert set(table["parameter"]) == {"kind", "noise", "gone"}
    assert table["importance"][0] > 0.5 > 5 * table["importance"][1]
    with pytest.raises(ValueError, match="at least 4"):
        parameter_importance(frame[:3])


# -- files ----------------------------------------------------------------------------------------


def test_saved_table_can_be_loaded(grid, random, tmp_path):
    for name, search in (("grid", grid), ("random", random)):
        path = tmp_path / f"{name}.json"
        save_results(search, path)
        frame, loaded = results_frame(search), load_results(path)
        assert list(loaded) == list(frame)
        assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []
        for column in frame:
            if frame[column].dtype == object:
                for a, b in zip(frame[column], loaded[column], strict=True):
                    same = a is b or a == b or (a != a and b != b)
                    assert same or repr(a) == b
            else:
                np.testing.assert_array_equal(loaded[column], frame[column])
                assert loaded[column].dtype == frame[column].dtype
        assert compare_searches({"": path and loaded})["best"].max() == search.best_score_


def test_infinite_scores_are_restored_from_strict_json(tmp_path):
    path = tmp_path / "x.json"
    frame = pd.DataFrame({"p": [1, 2, 3], "score": [np.inf, -np.inf, np.nan]})
    save_results(frame, path)
    json.loads(path.read_text(), parse_constant=pytest.fail)
    np.testing.assert_array_equal(load_results(path)["score"], frame["score"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a file written by save_results"),
        ("[1, 2]", "not a file written by save_results"),
        ('{"sknn_adam_results": 1}', "not a file written by save_results"),
        ('{"sknn_adam_results": 9, "columns": {}, "rows": []}', "Update sknn_adam"),
    ],
    ids=["empty", "list", "half", "later"],
)
def test_invalid_files_raise(text, message, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_results(path)


def test_failed_write_keeps_the_old_file(grid, tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    save_results(grid, path)
    before = path.read_text()
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save_results(grid, path)
    assert path.read_text() == before


def test_missing_pandas_raises(grid, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"sknn_adam\[search\]"):
        results_frame(grid)


# -- plots ---------------------------------------------------------------------------------------


def test_search_can_be_plotted(plt, grid, random):
    from sknn_adam.search import SearchDisplay

    display = SearchDisplay.from_search(random)
    names = [n for n in random.cv_results_["params"][0]]
    assert len(display.axes_) == 2 + len(names)
    titles = {ax.get_title() for ax in display.axes_}
    assert {"Search progress", "Importance", "learning_rate", "dropout"} <= titles
    rate = next(ax for ax in display.axes_ if ax.get_title() == "learning_rate")
    drawn = rate.lines[0].get_xydata()
    frame = results_frame(random)
    np.testing.assert_allclose(drawn, frame[[RATE, "score"]].to_numpy())
    assert SearchDisplay.from_search(grid, parameters=[RATE]).parameters == [RATE]
    with pytest.raises(ValueError, match="Unknown search parameters: nothing"):
        SearchDisplay.from_search(grid, parameters=["nothing"])


def test_few_candidates_are_plotted_without_importance(plt):
    from sknn_adam.search import SearchDisplay

    frame = pd.DataFrame({"alpha": [0.1, 0.2]})
    search = GridSearchCV(MODEL, {"mlpclassifier__alpha": list(frame["alpha"])}, cv=2).fit(X, Y)
    assert len(SearchDisplay.from_search(search).axes_) == 2


def test_searches_can_be_compared_in_a_plot(plt, grid, random, halving):
    from sknn_adam.search import ComparisonDisplay

    searches = {"grid": grid, "random": [random, random], "halving": halving}
    assert len(ComparisonDisplay.from_searches(grid).axes_) == 2
    display = ComparisonDisplay.from_searches(searches)
    labels = [line.get_label() for line in display.axes_[0].lines]
    assert labels == ["grid", "random", "halving"]
    best = display.axes_[0].lines[1].get_ydata()[-1]
    assert best == random.best_score_
