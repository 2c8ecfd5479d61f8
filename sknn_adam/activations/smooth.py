"""Smooth variants of the rectifier."""

import math

import numpy as np
from scipy.special import expit, ndtr

from sknn_adam.activations._base import Activation

__all__ = ["GELU", "SiLU", "Mish", "Softplus"]


class GELU(Activation):
    r"""The Gaussian error linear unit :math:`z\,\Phi(z)`.

    :math:`\Phi` is the exact cumulative distribution function of the standard normal distribution.

    References
    ----------
    Hendrycks, D., Gimpel, K. (2016). Gaussian error linear units. arXiv:1606.08415.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import GELU
    >>> GELU()(np.array([1.0])).round(4)
    array([0.8413])
    """

    initializer = "he_uniform"

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return z * ndtr(z)

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        return ndtr(z) + z * np.exp(-z * z / 2) * (1 / math.sqrt(2 * math.pi))


class SiLU(Activation):
    r"""The sigmoid linear unit (swish) :math:`z\,\sigma(z)`.

    :math:`\sigma` is the logistic sigmoid.

    References
    ----------
    Elfwing, S., Uchibe, E., Doya, K. (2018). Sigmoid-weighted linear units for neural network
    function approximation in reinforcement learning. Neural Networks 107.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import SiLU
    >>> SiLU()(np.array([1.0])).round(4)
    array([0.7311])
    """

    initializer = "he_uniform"

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return z * expit(z)

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        s = expit(z)
        return s * (1 + z * (1 - s))


class Mish(Activation):
    r"""Mish: :math:`z \tanh(\log(1 + e^z))`.

    References
    ----------
    Misra, D. (2020). Mish: a self regularized non-monotonic activation function. BMVC.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import Mish
    >>> Mish()(np.array([1.0])).round(4)
    array([0.8651])
    """

    initializer = "he_uniform"

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return z * self._gate(z, np.exp(-np.abs(z)))

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        e = np.exp(-np.abs(z))
        t = self._gate(z, e)
        return t + z * (1 - t * t) * (np.where(z >= 0, 1, e) / (1 + e))

    @staticmethod
    def _gate(z: np.ndarray, e: np.ndarray) -> np.ndarray:
        """Return tanh(log(1 + exp(z))), given e = exp(-abs(z)), as a quotient of polynomials."""
        numerator = np.where(z >= 0, 1 + 2 * e, e * (e + 2))
        return numerator / (numerator + np.where(z >= 0, 2 * e * e, 2))


class Softplus(Activation):
    r"""The smooth rectifier :math:`\log(1 + e^z)`; its derivative is the sigmoid.

    References
    ----------
    Dugas, C., Bengio, Y., Belisle, F., Nadeau, C., Garcia, R. (2001). Incorporating second-order
    functional knowledge for better option pricing. NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import Softplus
    >>> Softplus()(np.array([0.0])).round(4)
    array([0.6931])
    """

    initializer = "he_uniform"

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return np.logaddexp(0, z)

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        return expit(z)
