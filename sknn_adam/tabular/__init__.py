"""A pipeline for tables with columns of any type.

Experimental: names and defaults may change in a minor release without a deprecation period.
"""

from typing import TYPE_CHECKING

from sknn_adam.tabular.pipeline import make_tabular_pipeline

__all__ = ["make_tabular_pipeline"]

if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "tabular_pipeline":
            # "from ... import ..." would replace the message of an AttributeError.
            raise ImportError("tabular_pipeline is called 'make_tabular_pipeline'.")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
