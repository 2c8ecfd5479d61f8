"""Diagnosis of fitted networks, displays of their training, and learning rate range tests.

Experimental: names and defaults may change in a minor release without a deprecation period.
"""

from sknn_adam.inspection._fitted_networks import fitted_network
from sknn_adam.inspection.diagnosis import diagnose
from sknn_adam.inspection.findings import Finding, Findings
from sknn_adam.inspection.gradient_flow import GradientFlowDisplay
from sknn_adam.inspection.learning_rate import (
    LearningRateFinderDisplay,
    LearningRateRange,
    learning_rate_range,
)
from sknn_adam.inspection.training_curve import TrainingCurveDisplay
from sknn_adam.inspection.weights import WeightsDisplay

__all__ = [
    "Finding",
    "Findings",
    "GradientFlowDisplay",
    "LearningRateFinderDisplay",
    "LearningRateRange",
    "TrainingCurveDisplay",
    "WeightsDisplay",
    "diagnose",
    "fitted_network",
    "learning_rate_range",
]
