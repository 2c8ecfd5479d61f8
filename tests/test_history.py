import pickle

import numpy as np
import pytest

from sknn_adam._training import history
from sknn_adam._training.history import History, LiveTable


@pytest.fixture
def three():
    rows = History()
    for epoch in (1, 2, 3):
        rows.append(epoch=epoch, loss=1 / epoch)
    return rows


def test_rows_and_columns(three):
    assert three["epoch"] == [1, 2, 3]
    assert three["loss"] == [1, 1 / 2, 1 / 3]
    assert three[0] == {"epoch": 1, "loss": 1}
    assert three[-1] == {"epoch": 3, "loss": 1 / 3}
    assert list(three) == [three[0], three[1], three[2]]
    assert len(three) == 3
    assert "3 epochs" in repr(three)
    assert "loss" in repr(three)


def test_empty():
    assert len(History()) == 0
    assert list(History()) == []


def test_unknown_column_is_a_key_error(three):
    with pytest.raises(KeyError, match="accuracy"):
        three["accuracy"]
    with pytest.raises(IndexError):
        three[3]


def test_survives_pickling(three):
    copied = pickle.loads(pickle.dumps(three))
    assert list(copied) == list(three)
    copied.append(epoch=4, loss=0.0)
    assert len(three) == 3


def test_endless_training_keeps_only_the_last_rows(monkeypatch):
    monkeypatch.setattr(history, "MOST_ROWS", 10)
    rows = History()
    for epoch in range(100):
        rows.append(epoch=epoch)
        assert len(rows) <= 10
        assert len(rows) >= min(epoch + 1, 5)
        assert rows[-1] == {"epoch": epoch}
        assert rows["epoch"] == list(range(epoch + 1 - len(rows), epoch + 1))


def test_bound_is_what_the_documentation_says():
    assert history.MOST_ROWS // 2 == 50_000
    assert "50,000" in History.__doc__


def test_what_a_row_lacks_is_nan(three):
    three.append(epoch=4, score=0.5)
    three.append(epoch=5, loss=0.25, score=0.75)
    np.testing.assert_array_equal(three["epoch"], [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(three["loss"], [1, 1 / 2, 1 / 3, np.nan, 0.25])
    np.testing.assert_array_equal(three["score"], [np.nan] * 3 + [0.5, 0.75])
    assert len(three) == 5
    assert three[-1] == {"epoch": 5, "loss": 0.25, "score": 0.75}


def test_live_table_prints_a_line_per_epoch_below_one_of_headings(capsys):
    table = LiveTable()
    table.show({"epoch": 1, "loss": 0.5, "seconds": 0.25, "unknown": 3.0})
    table.show({"epoch": 2, "loss": 1e-7, "seconds": 0.125})
    headings, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert headings == ["epoch", "loss", "seconds"]
    assert lines == [["1", "0.5", "0.25"], ["2", "1e-07", "0.125"]]
