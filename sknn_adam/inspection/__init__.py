"""Inspection: pictures of a training, as scikit-learn's displays."""

from sknn_adam.inspection._display import fitted_network
from sknn_adam.inspection.gradient_flow import GradientFlowDisplay
from sknn_adam.inspection.training_curve import TrainingCurveDisplay

__all__ = ["GradientFlowDisplay", "TrainingCurveDisplay", "fitted_network"]
