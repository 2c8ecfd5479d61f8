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
    assert tables.loss(["a"], ["base"]) == 0
    # (1 + 0.01) / (2 + 0.01)
    assert tables.loss(["a"], ["up"]) == pytest.approx(np.log(1.01 / 2.01))


def test_configurations_are_added_for_the_weighted_ensemble(tables):
    """The second one is the one that complements the base: the errors 2 and -1.5 cancel."""
    steps = tables.choose(["a", "b"], ["up", "down", "good"], 3)
    assert [chosen for chosen, _ in steps] == [["base", "down"], ["base", "down", "good"]]
    # 3/7 * 2 - 4/7 * 1.5 = 0 is the best weighting.
    assert steps[0][1] == pytest.approx(np.log(0.01 / 2.01), abs=0.1)


def test_finalists_are_the_best_configurations_together_with_the_base(tables):
    assert tables.finalists(["a"], ["up", "down", "good"], 2) == ["down", "good"]


def test_loss_is_the_mean_over_the_companions(tables):
    alone = tables.loss(["a"], ["good"])
    both = forward.Tables(tables.predictions, rmse, "base", [(), ("down",)])
    assert both.loss(["a"], ["good"]) == pytest.approx(
        (alone + tables.loss(["a"], ["good", "down"])) / 2
    )


def test_tables_left_out_do_not_affect_the_choice(monkeypatch):
    from benchmarks import portfolio

    # "b" is perfect for the first table, and otherwise worse than "a".
    y = np.linspace(-1, 1, 20)
    errors = {"base": 0.5, "boosting": 0.6, "a": 0.4, "b": 0.49}
    noise = np.random.default_rng(0).normal(size=(4, 20))
    known = {
        name: (y[:, None] + error * noise[i][:, None],) * 2
        for i, (name, error) in enumerate(errors.items())
    }
    perfect = known | {"b": (y[:, None], y[:, None])}
    tables = {str(i): {"y": (y, y), **(known if i else perfect)} for i in range(10)}
    monkeypatch.setattr(portfolio, "N_CHOSEN", 2)
    found, finalists = portfolio.portfolios(tables, 0)
    assert sorted(finalists) == ["a", "b", "base", "boosting"]
    (step,) = found["networks"]["steps"]
    assert step["portfolio"] == ["base", "b"]
    without = found["networks"]["chosen without a tenth"]
    assert sorted(without) == [["base", "a"], *[["base", "b"]] * 9]
    ratios = [step[side]["nrmse"][0] for side in ("tables that chose", "tables left out")]
    assert ratios[0] < 0.9 * ratios[1]


# The classes of few samples are many labels; scikit-learn 1.7 warns.
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
def test_recorded_predictions_give_the_recorded_portfolios():
    from benchmarks import _records, portfolio

    record = _records.newest("portfolio")
    tables = portfolio.tables_of(portfolio.recorded_predictions())
    for found in record["portfolios"].values():
        step = found["steps"][0]
        logs = [tables.logs(name, tuple(sorted(step["portfolio"]))) for name in tables.predictions]
        assert portfolio.by_metric(logs, record["seed"]) == step["tables that chose"]
