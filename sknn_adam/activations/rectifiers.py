"""Rectifiers that are not zero for negative inputs."""

from typing import Any, ClassVar

import numpy as np

from sknn_adam._utils.validation import FRACTION, POSITIVE
from sknn_adam.activations._base import Activation, either

__all__ = ["LeakyReLU", "PReLU", "ELU", "SELU"]


class LeakyReLU(Activation):
    r"""ReLU with a small fixed slope below zero: :math:`a = z` if :math:`z > 0`, else :math:`s z`.

    Units with negative inputs for all samples can still learn.

    Parameters
    ----------
    slope : float, default=0.01
        The slope :math:`s`, in [0, 1).

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

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = slope

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return np.maximum(z, 0) + float(self.slope) * np.minimum(z, 0)

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        return either(a > 0, 1, self.slope, a)


class PReLU(Activation):
    r"""ReLU with a learned slope below zero: :math:`a = z` if :math:`z > 0`, else :math:`s z`.

    Every unit learns a separate slope :math:`s`.

    Parameters
    ----------
    initial_slope : float, default=0.25
        The initial value of all slopes, in [0, 1).

    Notes
    -----
    Weight decay is not applied to the slopes.

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

    def __init__(self, initial_slope: float = 0.25) -> None:
        self.initial_slope = initial_slope

    def start(self) -> float:
        return self.initial_slope

    def __call__(self, z: np.ndarray, slope: Any = None) -> np.ndarray:
        slope = float(self.initial_slope) if slope is None else slope
        return np.maximum(z, 0) + slope * np.minimum(z, 0)

    def derivative(self, z: np.ndarray, a: np.ndarray, slope: Any = None) -> np.ndarray:
        slope = float(self.initial_slope) if slope is None else slope
        return either(z > 0, 1, slope, z)

    def learned_derivative(self, z: np.ndarray) -> np.ndarray:
        return np.minimum(z, 0)


class ELU(Activation):
    r"""The exponential linear unit: :math:`z` above zero, :math:`\alpha (e^z - 1)` below.

    Mean activations are closer to zero than those of ReLU. The derivative is continuous for
    :math:`\alpha = 1`.

    Parameters
    ----------
    alpha : float, default=1.0
        :math:`\alpha`, greater than 0. The activation approaches :math:`-\alpha` for very negative
        inputs.

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

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return np.maximum(z, 0) + float(self.alpha) * np.expm1(np.minimum(z, 0))

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        return either(a > 0, 1, a + float(self.alpha), a)


class SELU(Activation):
    r"""The scaled ELU, :math:`\lambda\,\mathrm{ELU}_\alpha(z)`, for self-normalizing networks.

    With LeCun normal initialization, the constants :math:`\lambda` and :math:`\alpha` preserve mean
    0 and variance 1 from layer to layer. Dropout is replaced by alpha dropout, which also preserves
    them.

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

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return self.scale * (np.maximum(z, 0) + self.alpha * np.expm1(np.minimum(z, 0)))

    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        return either(a > 0, self.scale, a + self.scale * self.alpha, a)
