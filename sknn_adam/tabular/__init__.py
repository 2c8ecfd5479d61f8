"""A pipeline for tables with columns of any type."""

from sknn_adam.tabular.pipeline import make_tabular_pipeline

__all__ = ["make_tabular_pipeline"]
