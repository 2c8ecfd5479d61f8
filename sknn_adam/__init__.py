"""Multi-layer perceptrons for scikit-learn with pluggable components."""

__version__ = "0.1.0"

from typing import TYPE_CHECKING

from sknn_adam.classifier import MLPClassifier
from sknn_adam.convert import from_sklearn, to_sklearn
from sknn_adam.layers import Layers
from sknn_adam.optimizers import SGD, Adam, AdamW, RMSprop
from sknn_adam.regressor import MLPRegressor

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Layers",
    "MLPClassifier",
    "MLPRegressor",
    "RMSprop",
    "__version__",
    "from_sklearn",
    "tabular_pipeline",
    "to_sklearn",
]

if TYPE_CHECKING:
    from sknn_adam.tabular.pipeline import tabular_pipeline
else:

    def __getattr__(name):
        if name != "tabular_pipeline":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Imported on first use, because the import is slow.
        from sknn_adam.tabular.pipeline import tabular_pipeline

        return tabular_pipeline

    def __dir__():
        return [*globals(), "tabular_pipeline"]
