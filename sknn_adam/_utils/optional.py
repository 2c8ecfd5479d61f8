"""Import of optional packages."""

from importlib import import_module
from typing import Any

__all__ = ["optional"]


def optional(
    module: str, purpose: str, package: str, extra: str | None = None, instead: str = ""
) -> Any:
    """Import a module; if that fails, raise an ImportError that explains how to proceed.

    `instead` is a sentence on alternatives to the package.
    """
    try:
        return import_module(module)
    # A release that does not support the installed NumPy or scikit-learn may raise any error.
    except Exception as error:
        root = module.partition(".")[0]
        name = error.name if isinstance(error, ModuleNotFoundError) else None
        if name is None or name.partition(".")[0] != root:
            message = (
                f"{purpose} needs {package}, but importing the installed release raises "
                f"{type(error).__name__}: {error}."
            )
        elif extra is None:
            message = f"{purpose} needs {package}: pip install {package}."
        else:
            message = (
                f"{purpose} needs {package}. Install it, or the extra '{extra}': "
                f"pip install 'sknn_adam[{extra}]'."
            )
        raise ImportError(f"{message} {instead}".rstrip()) from error
