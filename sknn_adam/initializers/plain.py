"""Initial weights that do not depend on the shape of the layer."""

from numbers import Real
from typing import ClassVar

import numpy as np

from sknn_adam._utils.validation import POSITIVE
from sknn_adam.initializers._base import Initializer

__all__ = ["Constant", "Zeros", "RandomNormal", "TruncatedNormal", "RandomUniform"]


class Constant(Initializer):
    """The same constant for all weights or biases.

    Use it for biases only: units with equal weights stay equal throughout training.

    Parameters
    ----------
    value : float, default=0.0
        The constant.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import Constant
    >>> Constant(0.5)(2, 1, np.random.default_rng(0))
    array([[0.5],
           [0.5]])
    """

    _parameter_constraints: ClassVar = {"value": [Real]}

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        return np.full((fan_in, fan_out), float(self.value))


class Zeros(Constant):
    """Zeros, commonly used for biases.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import Zeros
    >>> Zeros()(1, 2, np.random.default_rng(0))
    array([[0., 0.]])
    """

    def __init__(self) -> None:
        super().__init__()


class RandomNormal(Initializer):
    """Normal weights with mean 0 and a given standard deviation.

    Parameters
    ----------
    deviation : float, default=0.05
        The standard deviation, greater than 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import RandomNormal
    >>> round(float(RandomNormal(0.5)(100, 100, np.random.default_rng(0)).std()), 1)
    0.5
    """

    _parameter_constraints: ClassVar = {"deviation": [POSITIVE]}

    def __init__(self, deviation: float = 0.05) -> None:
        self.deviation = deviation

    def __call__(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(0.0, self.deviation, (fan_in, fan_out))


class TruncatedNormal(RandomNormal):
    """Normal weights, redrawn until they are within two standard deviations.

    Parameters
    ----------
    deviation : float, default=0.05
        The standard deviation before truncation, greater than 0. After truncation, the standard
        deviation is 0.88 times as large.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import TruncatedNormal
    >>> bool(abs(TruncatedNormal(1.0)(100, 100, np.random.default_rng(0))).max() <= 2)
    True
    """

    def __call__(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        W = rng.standard_normal((fan_in, fan_out))
        while (outside := np.abs(W) > 2).any():
            W[outside] = rng.standard_normal(int(outside.sum()))
        return self.deviation * W


class RandomUniform(Initializer):
    """Uniform weights between -limit and limit.

    Parameters
    ----------
    limit : float, default=0.05
        The largest absolute value, greater than 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import RandomUniform
    >>> bool(abs(RandomUniform(0.5)(100, 100, np.random.default_rng(0))).max() <= 0.5)
    True
    """

    _parameter_constraints: ClassVar = {"limit": [POSITIVE]}

    def __init__(self, limit: float = 0.05) -> None:
        self.limit = limit

    def __call__(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(-self.limit, self.limit, (fan_in, fan_out))
