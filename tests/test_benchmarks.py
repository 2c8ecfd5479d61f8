"""The benchmarks run, and what the docs quote is what they measured; no timing is asserted."""

import pytest

fit = pytest.importorskip("benchmarks.fit", reason="run from the checkout: python -m pytest")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("size", fit.SIZES[:3], ids=[name for name, *_ in fit.SIZES[:3]])
def test_both_sides_do_the_same_work(size):
    name, hidden, batch, _ = size
    row = fit.measure(name, hidden, batch, epochs=2, repeats=1, seed=0)
    ours, theirs = row["sknn_adam"], row["scikit-learn"]
    assert ours["final_loss"] == pytest.approx(theirs["final_loss"], rel=0.5)
    for side in (ours, theirs):
        low, middle, high = side["microseconds_per_step"]
        assert 0 < low <= middle <= high
    assert row["speed"] > 0


def test_the_page_is_made_from_the_results():
    from benchmarks import page

    assert page.PAGE.read_text() == page.text()
    assert "Geometric mean" in page.text()
