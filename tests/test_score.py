"""The benchmark ``score``: its ratios, its groups of tables, and interrupted or shared runs."""

import argparse
from math import log, sqrt

import numpy as np
import pytest

pytest.importorskip("benchmarks.score", reason="run from the checkout: python -m pytest")

from benchmarks import _page, _records, score
from benchmarks import _score_summary as summary
from benchmarks._methods import networks_fitted_once
from sknn_adam.ensemble import make_tabular_ensemble
from sknn_adam.ensemble.portfolio import PORTFOLIO

REFERENCE = "CatBoost"


def row(method, table, seed, seconds=1.0, **values):
    times = {"fit_seconds": seconds, "predict_seconds": 1.0}
    return {"method": method, "table": table, "seed": seed, **times, **values}


def facts(rows=100, columns=5, categorical=0, classes=0):
    return {
        "training rows": rows,
        "columns": columns,
        "categorical": categorical,
        "classes": classes,
    }


def test_ratios_are_geometric_means_over_tables_of_means_over_seeds():
    rows = [
        # Means over the seeds of 0.19 and 0.09: the ratio is 0.2 / 0.1 = 2.
        *(row("fast", "a", s, 6.0, logloss=v, error=0.19) for s, v in enumerate((0.18, 0.2))),
        *(row(REFERENCE, "a", s, 2.0, logloss=v, error=0.19) for s, v in enumerate((0.08, 0.1))),
        # Only the first seed has both: the ratio is 0.04 / 0.08 = 1 / 2.
        row("fast", "b", 0, 1.0, nrmse=0.03),
        row("fast", "b", 1, 1.0, nrmse=9.0),
        row(REFERENCE, "b", 0, 12.0, nrmse=0.07),
        # A failed fit and a table without the reference are left out.
        {"method": "fast", "table": "c", "seed": 0, "exception": "ValueError"},
        row(REFERENCE, "c", 0, nrmse=0.5),
        row("fast", "d", 0, nrmse=0.5),
    ]
    tables = {"a": facts(classes=2), **dict.fromkeys("bcd", facts())}
    found = summary.results(rows, tables)
    fast = found["ratios"][REFERENCE]["fast"]
    assert fast["logloss"] == {"ratio": [2, 2, 2], "tables": 1}
    assert fast["nrmse"] == {"ratio": [0.5, 0.5, 0.5], "tables": 1}
    assert fast["error"]["ratio"][0] == 1
    assert fast["loss"] == {"ratio": [1, 0.5, 2], "tables": 2}
    assert found["ratios"][REFERENCE][REFERENCE]["loss"] == {"ratio": [1, 1, 1], "tables": 3}
    # 3 and 1 / 12.
    times = found["times"]["fast"]["fit_seconds"]
    assert times["mean"] == pytest.approx(0.5)
    assert times["maximum"] == pytest.approx(3)
    two_classes = found["groups"]["2 classes"]
    assert two_classes["n_tables"] == 1
    assert two_classes["ratios"][REFERENCE]["fast"]["loss"]["ratio"][0] == 2
    assert found["groups"]["< 1,000 rows"]["n_tables"] == 4


def test_groups_of_tables_at_their_bounds():
    def groups(**values):
        return summary.groups_of(facts(**values))

    assert [groups(rows=n)[0] for n in (999, 1000, 7999, 8000)] == [
        "< 1,000 rows",
        "1,000 to 7,999 rows",
        "1,000 to 7,999 rows",
        "8,000 rows",
    ]
    assert [groups(columns=n)[1] for n in (9, 10, 50, 51)] == [
        "< 10 columns",
        "10 to 50 columns",
        "10 to 50 columns",
        "> 50 columns",
    ]
    assert [groups(columns=4, categorical=n)[2] for n in (0, 1, 2)] == [
        "no categorical column",
        "< 50 % categorical",
        "50 % categorical or more",
    ]
    assert [groups(classes=n)[3:] for n in (0, 2, 3, 9, 10)] == [
        [],
        ["2 classes"],
        ["3 to 9 classes"],
        ["3 to 9 classes"],
        ["10 classes or more"],
    ]


def test_out_of_fold_scores_are_compared_with_test_scores():
    values = [(0.11, 0.1), (0.12, 0.1), (0.27, 0.3)]
    rows = [
        row("best", str(i), 0, logloss=tested, nested_oof_score=held, sampling_error=0.1 * (i + 1))
        for i, (held, tested) in enumerate(values)
    ]
    (found,) = summary.out_of_fold(rows)["best"].values()
    normal = np.random.default_rng(0).normal(scale=[0.1, 0.2, 0.3], size=(100_000, 3))
    assert found.pop("expected_absolute") == pytest.approx(np.median(abs(normal)), rel=0.01)
    # Relative differences of 10 %, 20 % and -10 %.
    assert found == {"median_absolute": 0.1, "median": 0.1, "fits": 3}


def test_metrics_of_predictions():
    class Model:
        classes_ = np.array([0, 2])

        def predict(self, X):
            return np.array([0, 2, 2])

        def predict_proba(self, X):
            return np.array([[0.8, 0.2], [0.5, 0.5], [0.0, 1.0]])

    y = np.array([0, 2, 0])
    found = score.scores(Model(), None, y, 3)
    assert found["error"] == pytest.approx(1 / 3)
    # Probabilities are clipped at 1e-7.
    assert found["logloss"] == pytest.approx(-(log(0.8) + log(0.5) + log(1e-7)) / 3, rel=1e-5)
    # Errors of 0, 0 and 2; y has variance 8 / 9.
    found = score.scores(Model(), None, y, 0)
    assert found["nrmse"] == pytest.approx(sqrt(4 / 3) / sqrt(8 / 9))


def test_sampling_error_is_the_spread_of_the_ratio_of_both_scores():
    class Model:
        nested_oof_score_, oof_score_ = -0.04, -0.04

        def predict(self, X):
            return self.predicted

    rng, model, ratios, errors = np.random.default_rng(0), Model(), [], []
    for _ in range(300):
        y, y_test = rng.normal(size=(2, 400))
        model.oof_prediction_, model.predicted = (y, y_test) + 0.2 * rng.normal(size=(2, 400))
        errors.append(score.out_of_fold_scores(model, None, y, y_test)["sampling_error"])
        rmse = [np.std(model.oof_prediction_ - y), np.std(model.predicted - y_test)]
        ratios.append(rmse[0] / rmse[1])
    # The relative standard error of an RMSE is 1 / sqrt(2 n), and there are two of them.
    assert np.mean(errors) == pytest.approx(0.05, rel=0.05)
    assert np.std(ratios) == pytest.approx(np.mean(errors), rel=0.1)


def test_losses_of_samples():
    classes, probability = np.array([0, 2]), np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]])
    # The last class was not in the training set.
    found = score.losses(probability, np.array([0, 2, 1]), classes)
    np.testing.assert_allclose(found, -np.log([0.8, 0.5, 1e-7]))
    np.testing.assert_array_equal(score.losses(np.array([[1.0], [3.0]]), np.ones(2), None), [0, 4])


def test_ensembles_share_their_networks():
    pytest.importorskip("pandas")
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True, as_frame=True)

    def fit(include):
        model = make_tabular_ensemble("classifier", include=include, cv=3, random_state=0)
        short = {f"{name}__model__max_iter": 2 for name, _ in model.estimators}
        short.pop("boosting__model__max_iter", None)
        return model.set_params(**short).fit(X, y)

    results: dict = {}
    with networks_fitted_once(results) as saved:
        fit(["networks"])
        assert saved == []
        shared = fit(["networks", "boosting"])
    assert len(saved) == len(results) == len(PORTFOLIO)
    separate = fit(["networks", "boosting"])
    np.testing.assert_array_equal(shared.oof_prediction_, separate.oof_prediction_)
    np.testing.assert_array_equal(shared.predict_proba(X), separate.predict_proba(X))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the benchmark on tables of scikit-learn, with records in a temporary folder."""
    pytest.importorskip("pandas")
    monkeypatch.setattr(_records, "RESULTS", tmp_path)

    def run(*options):
        parser = argparse.ArgumentParser()
        score.add_arguments(parser)
        methods = ["--methods", "MLP,scikit-learn MLP,HistGradientBoosting"]
        tables = ["--data", "bundled", "--tables", "iris,wine,diabetes", "--seeds", "1"]
        score.run(parser.parse_args([*tables, *methods, *options]))

    return run


def test_parts_are_merged_into_a_record(run, tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib").use("agg")
    run("--part", "0/2")
    run("--part", "1/2")
    assert len(list(tmp_path.glob("*.unfinished"))) == 2
    with pytest.raises(SystemExit, match="--add"):
        run("--part", "1/2")
    run("--merge")
    assert not list(tmp_path.glob("*.unfinished"))
    (record,) = _records.records("score")
    assert len(record["rows"]) == 9
    assert not any("exception" in row for row in record["rows"])
    assert len(record["commands"]) == 2
    assert record["ratios"]["scikit-learn MLP"]["MLP"]["loss"]["tables"] == 3
    assert record["tables"]["wine"]["training rows"] == 133
    assert score.section(record)[0].startswith("## ")
    assert capsys.readouterr().out.count("seed 0") == 9
    monkeypatch.setattr(_page, "DOCS", tmp_path)
    score.draw_figure(record)
    assert (tmp_path / "scores.png").stat().st_size > 10_000


def test_a_run_continues_from_its_unfinished_file_and_from_a_record(run, capsys, monkeypatch):
    stopped = []

    def save(name, content):
        _records.save_unfinished(name, content)
        if len(content["rows"]) == 4 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt

    monkeypatch.setattr(score, "save_unfinished", save)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert capsys.readouterr().out.count("seed 0") == 3
    run("--add")
    assert capsys.readouterr().out.count("seed 0") == 5
    dates = iter(["2999-01-01 00:00", "2999-01-01 00:01"] * 3)
    now = _records.facts()
    monkeypatch.setattr(_records, "facts", lambda: {**now, "date": next(dates)})
    run("--add", "--methods", "MLP,fast")
    assert capsys.readouterr().out.count("seed 0") == 3
    first, second = _records.records("score")
    assert len(first["rows"]) == 9
    assert len(second["rows"]) == 12
    assert len(second["before"]) == 1


def test_failed_fits_are_recorded(run, monkeypatch):
    def broken(problem):
        raise RuntimeError("no memory")

    monkeypatch.setitem(score.METHODS, "MLP", broken)
    run()
    record = _records.newest("score")
    failed = [row for row in record["rows"] if "exception" in row]
    assert [row["exception"] for row in failed] == ["RuntimeError: no memory"] * 3
    assert "MLP" not in record["ratios"]["scikit-learn MLP"]
    assert "MLP on iris (seed 0)" in score.section(record)[-2]
