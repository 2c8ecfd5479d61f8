"""Conversion from and to scikit-learn's networks."""

from sknn_adam.convert.incoming import from_sklearn
from sknn_adam.convert.outgoing import to_sklearn

__all__ = ["from_sklearn", "to_sklearn"]
