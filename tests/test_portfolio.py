"""The study that chooses configurations for the ensemble for tables."""

import numpy as np
import pytest

forward = pytest.importorskip("benchmarks._forward", reason="run from the checkout")


def rmse(table, y, predicted):
    return {"nrmse": float(np.sqrt(np.mean((predicted[:, 0] - y) ** 2)))}


@pytest.fixture
def tables():
    """Two tables whose targets are 0; "up" and "down" have opposite errors, so they cancel."""
    y, ones = np.zeros(20), np.ones((20, 1))
    errors = {"base": 2.0, "up": 1.0, "down": -1.5, "good": 0.9}
    known = {name: (error * ones, error * ones) for name, error in errors.items()}
    predictions = {table: {"y": (y, y), **known} for table in ("a", "b")}
    return forward.Tables(predictions, rmse, "base")


def test_loss_is_the_logarithm_of_the_ratio_to_the_base(tables):
    assert tables.loss("a", ["base"]) == 0
    # (1 + 0.01) / (2 + 0.01)
    assert tables.loss("a", ["up"]) == pytest.approx(np.log(1.01 / 2.01))


def test_configurations_are_added_for_the_weighted_ensemble(tables):
    """The second one is not the second best alone, but the one that complements the first."""
    steps = tables.choose(["a", "b"], ["up", "down", "good"], 2)
    assert [chosen for chosen, _ in steps] == [["good"], ["good", "down"]]
    # 0.625 * 0.9 - 0.375 * 1.5 = 0 is the best weighting.
    assert steps[1][1] == pytest.approx(np.log(0.01 / 2.01), abs=0.1)


def test_a_given_start_is_kept(tables):
    (step,) = tables.choose(["a"], ["up", "down"], 2, ("base",))
    assert step[0] == ["base", "down"]


def test_recorded_predictions_give_the_recorded_portfolios():
    from benchmarks import _records, portfolio

    record = _records.newest("portfolio")
    tables = portfolio.tables_of(portfolio.recorded_predictions())
    for found in record["portfolios"].values():
        step = found["steps"][0]
        logs = [tables.logs(name, tuple(sorted(step["portfolio"]))) for name in tables.predictions]
        assert portfolio.by_metric(logs, record["seed"]) == step["tables that chose"]
