"""Import of optional packages."""

from importlib import import_module
from typing import Any

__all__ = ["optional"]


def optional(module: str, purpose: str, package: str, extra: str | None = None) -> Any:
    """Import a module; if its package is missing, explain in the error how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        if extra is None:
            raise ImportError(f"{purpose} needs {package}: pip install {package}.") from error
        raise ImportError(
            f"{purpose} needs {package}. Install it, or the extra '{extra}': "
            f"pip install 'sknn_adam[{extra}]'."
        ) from error
