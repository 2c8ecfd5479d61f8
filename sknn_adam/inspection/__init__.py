"""Inspection: a diagnosis of fitted networks, and pictures of a training."""

from sknn_adam.inspection._inside import fitted_network
from sknn_adam.inspection.diagnosis import diagnose
from sknn_adam.inspection.findings import Finding, Findings
from sknn_adam.inspection.gradient_flow import GradientFlowDisplay
from sknn_adam.inspection.training_curve import TrainingCurveDisplay

__all__ = [
    "Finding",
    "Findings",
    "GradientFlowDisplay",
    "TrainingCurveDisplay",
    "diagnose",
    "fitted_network",
]
