"""Hyper-parameter search: search spaces for several search classes, and search results."""

from sknn_adam._component.ranges import Choices, Range
from sknn_adam.search.displays import ComparisonDisplay, SearchDisplay
from sknn_adam.search.results import (
    compare_searches,
    load_results,
    parameter_importance,
    results_frame,
    save_results,
)
from sknn_adam.search.spaces import search_space

__all__ = [
    "Choices",
    "ComparisonDisplay",
    "Range",
    "SearchDisplay",
    "compare_searches",
    "load_results",
    "parameter_importance",
    "results_frame",
    "save_results",
    "search_space",
]
