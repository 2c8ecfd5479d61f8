"""What the displays share: axes to draw on."""

from typing import Any

__all__ = ["check_matplotlib"]


def check_matplotlib(name: str) -> Any:
    """Return ``matplotlib.pyplot``; an ImportError says how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{name} needs matplotlib. Install it, or the extra 'plot': "
            "pip install 'sknn_adam[plot]'."
        ) from error
    return plt
