"""Initial weights with a variance that depends on the shape of the layer."""

from typing import Any, ClassVar

import numpy as np

from sknn_adam._utils.sklearn_compat import StrOptions
from sknn_adam._utils.validation import POSITIVE
from sknn_adam.initializers._base import Initializer

__all__ = [
    "VarianceScaling",
    "GlorotUniform",
    "GlorotNormal",
    "HeUniform",
    "HeNormal",
    "LecunUniform",
    "LecunNormal",
    "Auto",
]


class VarianceScaling(Initializer):
    r"""Random weights with mean 0 and variance :math:`\mathrm{scale} / \mathrm{fan}`.

    The fan of a layer is its number of inputs, its number of outputs, or their average. Apart from
    the effect of the activation, the number of inputs preserves the variance of the activations in
    the forward pass, and the number of outputs that of the gradients in the backward pass. The
    average is a compromise [1]_.

    Parameters
    ----------
    scale : float, default=1.0
        The product of variance and fan, greater than 0.
    fan : {"in", "out", "average"}, default="in"
        The fan: the number of inputs, the number of outputs, or their average.
    distribution : {"normal", "uniform"}, default="normal"
        The distribution of the weights. ``"uniform"`` has the bounds
        :math:`\pm\sqrt{3\,\mathrm{scale}/\mathrm{fan}}`.

    References
    ----------
    .. [1] Glorot, X., Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import VarianceScaling
    >>> W = VarianceScaling(scale=2.0)(200, 300, np.random.default_rng(0))
    >>> W.shape, round(float(W.var() * 200), 1)
    ((200, 300), 2.0)
    """

    _parameter_constraints: ClassVar = {
        "scale": [POSITIVE],
        "fan": [StrOptions({"in", "out", "average"})],
        "distribution": [StrOptions({"normal", "uniform"})],
    }

    def __init__(self, scale: float = 1.0, fan: str = "in", distribution: str = "normal") -> None:
        self.scale = scale
        self.fan = fan
        self.distribution = distribution

    def _draw(self, shape: Any, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        fan = {"in": fan_in, "out": fan_out, "average": (fan_in + fan_out) / 2}[self.fan]
        variance = self.scale / fan
        if self.distribution == "normal":
            return rng.normal(0.0, np.sqrt(variance), shape)
        limit = np.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)

    def __call__(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        return self._draw((fan_in, fan_out), fan_in, fan_out, rng)

    def bias(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        return self._draw(fan_out, fan_in, fan_out, rng)


class _Fixed(VarianceScaling):
    """Base class of variance scalings without parameters."""

    _parameter_constraints: ClassVar = {}
    fixed: ClassVar[tuple[float, str, str]]  # scale, fan and distribution

    def __init__(self) -> None:
        super().__init__(*self.fixed)


class GlorotUniform(_Fixed):
    r"""Glorot (Xavier) uniform weights within :math:`\pm\sqrt{6/(\mathrm{fan_{in}+fan_{out}})}`.

    They approximately preserve variances if the activation is close to the identity around 0, such
    as tanh.

    References
    ----------
    Glorot, X., Bengio, Y. (2010). Understanding the difficulty of training deep feedforward
    neural networks. AISTATS. Equation 16.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import GlorotUniform
    >>> bool((abs(GlorotUniform()(3, 3, np.random.default_rng(0))) <= 1).all())
    True
    """

    fixed = 1.0, "average", "uniform"


class GlorotNormal(_Fixed):
    r"""Glorot (Xavier) normal weights with variance :math:`2/(\mathrm{fan_{in}+fan_{out}})`.

    References
    ----------
    Glorot, X., Bengio, Y. (2010). Understanding the difficulty of training deep feedforward
    neural networks. AISTATS. Equation 12.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import GlorotNormal
    >>> GlorotNormal()(2, 3, np.random.default_rng(0)).shape
    (2, 3)
    """

    fixed = 1.0, "average", "normal"


class HeUniform(_Fixed):
    r"""He uniform weights within :math:`\pm\sqrt{6/\mathrm{fan_{in}}}`, for the ReLU family.

    A rectifier halves the second moment of its input. Doubling the variance compensates for this.

    References
    ----------
    He, K., Zhang, X., Ren, S., Sun, J. (2015). Delving deep into rectifiers. ICCV. Section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import HeUniform
    >>> bool((abs(HeUniform()(6, 3, np.random.default_rng(0))) <= 1).all())
    True
    """

    fixed = 2.0, "in", "uniform"


class HeNormal(_Fixed):
    r"""He normal weights with variance :math:`2/\mathrm{fan_{in}}`, for the ReLU family.

    References
    ----------
    He, K., Zhang, X., Ren, S., Sun, J. (2015). Delving deep into rectifiers. ICCV. Section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import HeNormal
    >>> HeNormal()(2, 3, np.random.default_rng(0)).shape
    (2, 3)
    """

    fixed = 2.0, "in", "normal"


class LecunUniform(_Fixed):
    r"""LeCun uniform weights within :math:`\pm\sqrt{3/\mathrm{fan_{in}}}`.

    References
    ----------
    LeCun, Y., Bottou, L., Orr, G., Mueller, K. (1998). Efficient backprop. Section 4.6.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import LecunUniform
    >>> bool((abs(LecunUniform()(3, 2, np.random.default_rng(0))) <= 1).all())
    True
    """

    fixed = 1.0, "in", "uniform"


class LecunNormal(_Fixed):
    r"""LeCun normal weights with variance :math:`1/\mathrm{fan_{in}}`, for SELU.

    References
    ----------
    LeCun, Y., Bottou, L., Orr, G., Mueller, K. (1998). Efficient backprop. Section 4.6.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import LecunNormal
    >>> LecunNormal()(2, 3, np.random.default_rng(0)).shape
    (2, 3)
    """

    fixed = 1.0, "in", "normal"


class Auto(Initializer):
    """The initializer that suits each activation, such as He for ReLU and Glorot for tanh.

    The class attribute ``initializer`` of an activation determines the choice. There are two
    exceptions. The output layer always uses ``"glorot_uniform"``. The first layer uses it instead
    of He initialization, which would give a wide layer large outputs if there are few features.
    Smaller initial weights were better on real tables.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> MLPClassifier(activation="tanh", initializer="auto").initializer
    'auto'
    """

    follows_activation = True

    def __call__(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        """Return Glorot uniform weights, because the activation is unknown here."""
        return GlorotUniform()(fan_in, fan_out, rng)
