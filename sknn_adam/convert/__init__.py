"""Conversion from and to the networks of scikit-learn."""

from sknn_adam.convert.incoming import from_sklearn
from sknn_adam.convert.outgoing import to_sklearn

__all__ = ["from_sklearn", "to_sklearn"]
