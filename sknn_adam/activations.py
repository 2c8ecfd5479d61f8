r"""Activations: what a layer's units do with their input.

An activation is a formula ``activation(z)`` and its ``derivative(z, a)``, where ``a`` is the
activation's value at ``z``. Both work element by element on arrays of any shape.
"""

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import expit, ndtr

from sknn_adam._component import Component, Table
from sknn_adam._validation import FRACTION, POSITIVE

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Identity",
    "Logistic",
    "Tanh",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "Softplus",
]


class Activation(Component):
    """Base of all activations.

    A subclass defines ``__call__(z)`` and ``derivative(z, a)``. If its derivative can be had from
    ``a`` alone it sets ``needs_z = False``; `z` is then None during training, which saves a
    buffer. ``initializer`` is the name of the initializer that ``initializer="auto"`` stands for.
    ``dropped_value`` is what dropout sets units to; where it is not zero, mean and variance are
    kept by an affine map (alpha dropout).

    With ``learned = True`` every unit has one learned parameter: it starts at ``start()``, is
    passed as the last argument of both methods, and ``learned_derivative(z)`` is the activation's
    derivative with respect to it. `PReLU` is the example.
    """

    contract = (("__call__",), ("derivative",))
    initializer: ClassVar[str] = "glorot_uniform"
    needs_z: ClassVar[bool] = True
    learned: ClassVar[bool] = False
    dropped_value: ClassVar[float] = 0.0

    @abstractmethod
    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return the activation at `z`."""

    def apply(self, z: np.ndarray, out: np.ndarray) -> None:
        """Write the activation at `z` to `out`, which may be `z`.

        Overridden where one ufunc does it without a temporary array.
        """
        out[...] = self(z)

    @abstractmethod
    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Return the derivative at `z`, where the activation is `a`."""


class Identity(Activation):
    r"""No activation: :math:`a = z`. A network of identities is a linear model.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import Identity
    >>> Identity()(np.array([-1.0, 2.0]))
    array([-1.,  2.])
    """

    needs_z = False

    def __call__(self, z):
        return z

    def derivative(self, z, a):
        return np.ones_like(a)


class Logistic(Activation):
    r"""The logistic sigmoid :math:`a = 1 / (1 + e^{-z})`, between 0 and 1.

    Its derivative :math:`a (1 - a)` is at most 1/4, so gradients shrink at least fourfold with
    every layer they pass: the classic cause of vanishing gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import Logistic
    >>> Logistic()(np.array([0.0]))
    array([0.5])
    """

    needs_z = False

    def __call__(self, z):
        return expit(z)

    def apply(self, z, out):
        expit(z, out=out)

    def derivative(self, z, a):
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

    def __call__(self, z):
        return np.tanh(z)

    def apply(self, z, out):
        np.tanh(z, out=out)

    def derivative(self, z, a):
        return 1 - a * a


class ReLU(Activation):
    r"""The rectified linear unit :math:`a = \max(z, 0)`.

    Gradients pass active units unchanged. The derivative at 0 is taken as 0. Its variance
    preserving initialization is He's [1]_, which ``initializer="auto"`` uses.

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

    def __call__(self, z):
        return np.maximum(z, 0)

    def apply(self, z, out):
        np.maximum(z, 0, out=out)

    def derivative(self, z, a):
        return a > 0


class LeakyReLU(Activation):
    r"""ReLU with a small fixed slope below zero: :math:`a = z` if :math:`z > 0`, else :math:`s z`.

    Units that are inactive for every row still learn.

    Parameters
    ----------
    slope : float, default=0.01
        :math:`s`, in [0, 1).

    References
    ----------
    Maas, A., Hannun, A., Ng, A. (2013). Rectifier nonlinearities improve neural network acoustic
    models. ICML workshop.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import LeakyReLU
    >>> LeakyReLU(0.1)(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    _parameter_constraints: ClassVar = {"slope": [FRACTION]}
    initializer = "he_uniform"
    needs_z = False

    def __init__(self, slope=0.01):
        self.slope = slope

    def __call__(self, z):
        return np.maximum(z, 0) + float(self.slope) * np.minimum(z, 0)

    def derivative(self, z, a):
        return _either(a > 0, 1, self.slope, a)


class PReLU(Activation):
    r"""ReLU with a slope below zero that every unit learns.

    Parameters
    ----------
    initial_slope : float, default=0.25
        Where the slopes start, in [0, 1).

    Notes
    -----
    The slopes are parameters of the network, one per unit, without weight decay.

    References
    ----------
    He, K., Zhang, X., Ren, S., Sun, J. (2015). Delving deep into rectifiers. ICCV. Section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import PReLU
    >>> PReLU()(np.array([-1.0, 2.0]))
    array([-0.25,  2.  ])
    """

    _parameter_constraints: ClassVar = {"initial_slope": [FRACTION]}
    initializer = "he_uniform"
    learned = True

    def __init__(self, initial_slope=0.25):
        self.initial_slope = initial_slope

    def start(self):
        return self.initial_slope

    def __call__(self, z, slope=None):
        slope = float(self.initial_slope) if slope is None else slope
        return np.maximum(z, 0) + slope * np.minimum(z, 0)

    def derivative(self, z, a, slope=None):
        slope = float(self.initial_slope) if slope is None else slope
        return _either(z > 0, 1, slope, z)

    def learned_derivative(self, z):
        return np.minimum(z, 0)


class ELU(Activation):
    r"""The exponential linear unit: :math:`z` above zero, :math:`\alpha (e^z - 1)` below.

    Smooth, with means closer to zero than ReLU's.

    Parameters
    ----------
    alpha : float, default=1.0
        :math:`\alpha`: minus the limit for very negative inputs, above 0.

    References
    ----------
    Clevert, D., Unterthiner, T., Hochreiter, S. (2016). Fast and accurate deep network learning by
    exponential linear units. ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import ELU
    >>> ELU()(np.array([-100.0, 2.0]))
    array([-1.,  2.])
    """

    _parameter_constraints: ClassVar = {"alpha": [POSITIVE]}
    initializer = "he_uniform"
    needs_z = False

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def __call__(self, z):
        return np.maximum(z, 0) + float(self.alpha) * np.expm1(np.minimum(z, 0))

    def derivative(self, z, a):
        return _either(a > 0, 1, a + float(self.alpha), a)


class SELU(Activation):
    r"""The scaled ELU, :math:`\lambda\,\mathrm{ELU}_\alpha(z)`: layers normalize themselves.

    With LeCun's normal weights, the constants keep mean 0 and variance 1 from layer to layer.
    Its dropout is alpha dropout, which keeps them too.

    References
    ----------
    Klambauer, G., Unterthiner, T., Mayr, A., Hochreiter, S. (2017). Self-normalizing neural
    networks. NeurIPS. Equations 2 and 14.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.activations import SELU
    >>> SELU()(np.array([-100.0, 1.0])).round(4)
    array([-1.7581,  1.0507])
    """

    initializer = "lecun_normal"
    needs_z = False
    alpha = 1.6732632423543772848170429916717
    scale = 1.0507009873554804934193349852946
    dropped_value = -scale * alpha

    def __call__(self, z):
        return self.scale * (np.maximum(z, 0) + self.alpha * np.expm1(np.minimum(z, 0)))

    def derivative(self, z, a):
        return _either(a > 0, self.scale, a + self.scale * self.alpha, a)


class GELU(Activation):
    r"""The Gaussian error linear unit :math:`z\,\Phi(z)`, with the exact normal distribution.

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

    def __call__(self, z):
        return z * ndtr(z)

    def derivative(self, z, a):
        return ndtr(z) + z * np.exp(-z * z / 2) * (1 / math.sqrt(2 * math.pi))


class SiLU(Activation):
    r"""The sigmoid linear unit, or swish: :math:`z\,\sigma(z)`.

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

    def __call__(self, z):
        return z * expit(z)

    def derivative(self, z, a):
        s = expit(z)
        return s * (1 + z * (1 - s))


class Mish(Activation):
    r"""Mish, :math:`z \tanh(\log(1 + e^z))`.

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

    def __call__(self, z):
        return z * np.tanh(np.logaddexp(0, z))

    def derivative(self, z, a):
        t = np.tanh(np.logaddexp(0, z))
        return t + z * (1 - t * t) * expit(z)


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

    def __call__(self, z):
        return np.logaddexp(0, z)

    def derivative(self, z, a):
        return expit(z)


def _either(where, one, other, like):
    """``numpy.where`` that keeps the dtype of `like` when both choices are plain numbers."""
    return np.where(where, like.dtype.type(one), np.asarray(other, like.dtype))


ACTIVATIONS = Table(
    "activation",
    Activation,
    {
        "identity": Identity,
        "logistic": Logistic,
        "sigmoid": Logistic,
        "tanh": Tanh,
        "relu": ReLU,
        "leaky_relu": LeakyReLU,
        "prelu": PReLU,
        "elu": ELU,
        "selu": SELU,
        "gelu": GELU,
        "silu": SiLU,
        "swish": SiLU,
        "mish": Mish,
        "softplus": Softplus,
    },
)
