import pickle

import numpy as np
import pytest

from sknn_adam._training import history
from sknn_adam._training.history import History, LiveTable


@pytest.fixture
def three_epochs():
    rows = History()
    for epoch in (1, 2, 3):
        rows.append(epoch=epoch, loss=1 / epoch)
    return rows


def test_history_can_be_indexed_by_row_or_column(three_epochs):
    assert three_epochs["epoch"] == [1, 2, 3]
    assert three_epochs["loss"] == [1, 1 / 2, 1 / 3]
    assert three_epochs[0] == {"epoch": 1, "loss": 1}
    assert three_epochs[-1] == {"epoch": 3, "loss": 1 / 3}
    assert list(three_epochs) == [three_epochs[0], three_epochs[1], three_epochs[2]]
    assert len(three_epochs) == 3
    assert "3 epochs" in repr(three_epochs)
    assert "loss" in repr(three_epochs)


def test_empty_history_has_no_rows():
    assert len(History()) == 0
    assert list(History()) == []


def test_unknown_column_raises_a_key_error(three_epochs):
    with pytest.raises(KeyError, match="accuracy"):
        three_epochs["accuracy"]
    with pytest.raises(IndexError):
        three_epochs[3]


def test_history_can_be_pickled(three_epochs):
    copied = pickle.loads(pickle.dumps(three_epochs))
    assert list(copied) == list(three_epochs)
    copied.append(epoch=4, loss=0.0)
    assert len(three_epochs) == 3


def test_long_training_keeps_only_the_last_rows(monkeypatch):
    monkeypatch.setattr(history, "MOST_ROWS", 10)
    rows = History()
    for epoch in range(100):
        rows.append(epoch=epoch)
        assert len(rows) <= 10
        assert len(rows) >= min(epoch + 1, 5)
        assert rows[-1] == {"epoch": epoch}
        assert rows["epoch"] == list(range(epoch + 1 - len(rows), epoch + 1))


def test_bound_matches_the_documentation():
    assert history.MOST_ROWS // 2 == 50_000
    assert "50,000" in History.__doc__


def test_missing_values_are_nan(three_epochs):
    three_epochs.append(epoch=4, score=0.5)
    three_epochs.append(epoch=5, loss=0.25, score=0.75)
    np.testing.assert_array_equal(three_epochs["epoch"], [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(three_epochs["loss"], [1, 1 / 2, 1 / 3, np.nan, 0.25])
    np.testing.assert_array_equal(three_epochs["score"], [np.nan] * 3 + [0.5, 0.75])
    assert len(three_epochs) == 5
    assert three_epochs[-1] == {"epoch": 5, "loss": 0.25, "score": 0.75}


def test_live_table_prints_headings_and_a_line_per_epoch(capsys):
    table = LiveTable()
    table.show({"epoch": 1, "loss": 0.5, "seconds": 0.25, "unknown": 3.0})
    table.show({"epoch": 2, "loss": 1e-7, "seconds": 0.125})
    headings, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert headings == ["epoch", "loss", "seconds"]
    assert lines == [["1", "0.5", "0.25"], ["2", "1e-07", "0.125"]]
