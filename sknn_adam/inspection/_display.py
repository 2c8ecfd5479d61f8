"""Import of matplotlib for all displays."""

from typing import Any

from sknn_adam._utils.optional import optional

__all__ = ["check_matplotlib"]


def check_matplotlib(name: str) -> Any:
    """Import and return ``matplotlib.pyplot`` for the display called `name`."""
    return optional("matplotlib.pyplot", name, "matplotlib", "plot")
