"""What is deprecated goes on working, says when it will go, and goes by then."""

import importlib
import inspect
import pkgutil
import warnings

import pytest
from sklearn.utils.fixes import parse_version

import sknn_adam
from sknn_adam import _deprecation
from sknn_adam._deprecation import DEPRECATED, deprecated, renamed_parameter


@pytest.fixture(autouse=True)
def own_register(monkeypatch):
    monkeypatch.setattr(_deprecation, "DEPRECATED", {})


def test_functions_and_classes_go_on_working():
    @deprecated("0.2", "0.4", "new_sum")
    def old_sum(a, b=2):
        """Add."""
        return a + b

    @deprecated("0.2", "0.4", "New")
    class Old:
        def __init__(self, value):
            self.value = value

    message = r"old_sum is deprecated since sknn_adam 0\.2 .* removed in 0\.4\. Use new_sum instead"
    with pytest.warns(FutureWarning, match=message) as caught:
        assert old_sum(1) == 3
    assert caught[0].filename == __file__
    assert (old_sum.__name__, old_sum.__doc__) == ("old_sum", "Add.")
    with pytest.warns(FutureWarning, match=r"Old is deprecated .* Use New instead"):
        old = Old(value=3)
    assert isinstance(old, Old)
    assert old.value == 3
    assert [when for _, when in sorted(_deprecation.DEPRECATED.items())] == ["0.4", "0.4"]


def test_a_renamed_parameter_takes_both_names():
    @renamed_parameter("rows", "n_rows", "0.2", "0.4")
    def table(name, n_rows=1, *, wide=False):
        return name, n_rows, wide

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert table("a", 5) == table("a", n_rows=5) == ("a", 5, False)
    with pytest.warns(FutureWarning, match=r"'rows' of .*table is deprecated .* Use 'n_rows'"):
        assert table("a", rows=5, wide=True) == ("a", 5, True)
    for call in (lambda: table("a", 5, rows=5), lambda: table("a", n_rows=5, rows=5)):
        with pytest.raises(TypeError, match="got both 'rows' and 'n_rows'"):
            call()
    assert list(inspect.signature(table).parameters) == ["name", "n_rows", "wide"]
    with pytest.raises(TypeError, match="must have 'columns', not 'rows'"):
        renamed_parameter("rows", "columns", "0.2", "0.4")(lambda rows: rows)


def overdue(registered, version):
    return [
        what for what, when in registered.items() if parse_version(version) >= parse_version(when)
    ]


def test_nothing_is_overdue():
    for module in pkgutil.walk_packages(sknn_adam.__path__, "sknn_adam."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert not overdue(DEPRECATED, sknn_adam.__version__)
    assert overdue({"old": "0.4", "older": "0.3"}, "0.3.1") == ["older"]
