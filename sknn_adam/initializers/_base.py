"""The base class of all initializers."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from sknn_adam._component.base import Component

__all__ = ["Initializer"]


class Initializer(Component):
    """Base class of all initializers.

    A subclass defines ``__call__(fan_in, fan_out, rng)``. With ``unit_variance = True``, the
    weights are rescaled on one batch before training so that the output of every dense layer has
    variance 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.initializers import Initializer
    >>> class Small(Initializer):
    ...     def __call__(self, fan_in, fan_out, rng):
    ...         return 0.01 * rng.standard_normal((fan_in, fan_out))
    >>> Small()(3, 2, np.random.default_rng(0)).shape
    (3, 2)
    >>> model = MLPClassifier(initializer=Small())
    """

    contract = (("__call__",),)
    follows_activation: ClassVar[bool] = False
    unit_variance: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        """Return a float64 weight matrix of shape (fan_in, fan_out)."""

    def bias(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        """Return a bias vector of shape (fan_out,)."""
        return self(fan_in, fan_out, rng)[0]
