"""Multi-layer perceptrons for scikit-learn with pluggable optimizers and initializers."""

__version__ = "0.1.0"

from sknn_adam.classifier import MLPClassifier
from sknn_adam.convert import from_sklearn, to_sklearn
from sknn_adam.optimizers import SGD, Adam, AdamW, RMSprop
from sknn_adam.regressor import MLPRegressor

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "MLPClassifier",
    "MLPRegressor",
    "RMSprop",
    "__version__",
    "from_sklearn",
    "to_sklearn",
]
