"""A pipeline for tables with columns of any type."""

from sknn_adam.tabular.pipeline import tabular_pipeline

__all__ = ["tabular_pipeline"]
