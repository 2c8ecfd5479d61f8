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
    "make_tabular_pipeline",
    "to_sklearn",
]

if TYPE_CHECKING:
    from sknn_adam.tabular.pipeline import make_tabular_pipeline
else:

    def __getattr__(name):
        if name == "tabular_pipeline":
            # "from sknn_adam import ..." would replace the message of an AttributeError.
            raise ImportError("tabular_pipeline is called 'make_tabular_pipeline'.")
        if name != "make_tabular_pipeline":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Imported on first use, because the import is slow.
        from sknn_adam.tabular.pipeline import make_tabular_pipeline

        return make_tabular_pipeline

    def __dir__():
        return [*globals(), "make_tabular_pipeline"]
