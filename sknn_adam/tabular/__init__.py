"""A pipeline for tables with columns of any type.

Experimental: names and defaults may change in a minor release without a deprecation period.
"""

from sknn_adam.tabular.pipeline import make_tabular_pipeline

__all__ = ["make_tabular_pipeline"]
