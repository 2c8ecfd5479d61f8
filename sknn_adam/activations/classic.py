"""The identity, the sigmoidal functions and the rectifier."""

import numpy as np
from scipy.special import expit

from sknn_adam.activations._base import Activation

__all__ = ["Identity", "Logistic", "Tanh", "ReLU"]


class Identity(Activation):
    r"""No activation: :math:`a = z`. A network with this activation is a linear model.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import Identity
    >>> Identity()(np.array([-1.0, 2.0]))
    array([-1.,  2.])
    """

    needs_z = False

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return z

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        return np.ones_like(a)


class Logistic(Activation):
    r"""The logistic sigmoid :math:`a = 1 / (1 + e^{-z})`, between 0 and 1.

    Its derivative :math:`a (1 - a)` is at most 1/4, so backpropagation through it shrinks gradients
    at least fourfold. This is the classic cause of vanishing gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import Logistic
    >>> Logistic()(np.array([0.0]))
    array([0.5])
    """

    needs_z = False
    one_pass = True

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return expit(z)

    def apply(self, z: np.ndarray, out: np.ndarray) -> None:
        expit(z, out=out)

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        return a * (1 - a)


class Tanh(Activation):
    r"""The hyperbolic tangent :math:`a = \tanh z`, between -1 and 1 and centred at 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import Tanh
    >>> Tanh()(np.array([0.0]))
    array([0.])
    """

    needs_z = False
    one_pass = True

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return np.tanh(z)

    def apply(self, z: np.ndarray, out: np.ndarray) -> None:
        np.tanh(z, out=out)

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        return 1 - a * a


class ReLU(Activation):
    r"""The rectified linear unit :math:`a = \max(z, 0)`.

    Gradients pass through active units unchanged. The derivative at 0 is defined as 0. He
    initialization [1]_ preserves the variance from layer to layer. ``initializer="auto"`` uses it
    for all hidden layers except the first.

    References
    ----------
    .. [1] He, K., Zhang, X., Ren, S., Sun, J. (2015). Delving deep into rectifiers. ICCV.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import ReLU
    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    initializer = "he_uniform"
    needs_z = False
    one_pass = True

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return np.maximum(z, 0)

    def apply(self, z: np.ndarray, out: np.ndarray) -> None:
        np.maximum(z, 0, out=out)

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        return a > 0
