r"""Initializers: the weights a network starts from.

An initializer is a formula ``initializer(fan_in, fan_out, rng) -> (fan_in, fan_out)``. The random
generator is an argument and is never stored: the same generator gives other numbers at the next
layer and the same numbers in the next fit.
"""

from abc import abstractmethod
from numbers import Real
from typing import ClassVar

import numpy as np

from sknn_adam._component import Component, Table
from sknn_adam._validation import POSITIVE, StrOptions

__all__ = [
    "INITIALIZERS",
    "Auto",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "VarianceScaling",
    "Zeros",
]


class Initializer(Component):
    """Base of all initializers: a subclass defines ``__call__(fan_in, fan_out, rng)``."""

    contract = (("__call__",),)
    follows_activation: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        """Return a weight matrix of shape (fan_in, fan_out), float64."""

    def bias(self, fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
        """Return the biases, shape (fan_out,), of a layer with these fans."""
        return self(fan_in, fan_out, rng)[0]


class Constant(Initializer):
    """Every weight the same number. For biases: equal weights keep units equal for ever.

    Parameters
    ----------
    value : float, default=0.0
        The number.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import Constant
    >>> Constant(0.5)(2, 1, np.random.default_rng(0))
    array([[0.5],
           [0.5]])
    """

    _parameter_constraints: ClassVar = {"value": [Real]}

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, fan_in, fan_out, rng):
        """Return a matrix full of `value`."""
        return np.full((fan_in, fan_out), float(self.value))


class Zeros(Constant):
    """Zeros, the usual start of biases.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import Zeros
    >>> Zeros()(1, 2, np.random.default_rng(0))
    array([[0., 0.]])
    """

    def __init__(self):
        super().__init__()


class VarianceScaling(Initializer):
    r"""Random weights of mean 0 and variance :math:`\mathrm{scale} / \mathrm{fan}`.

    With fan_in, the variance of a layer's output equals that of its input (times what the
    activation takes away); with fan_out the same holds for the gradient on its way back; the
    average is a compromise [1]_.

    Parameters
    ----------
    scale : float, default=1.0
        Variance times fan, above 0.
    fan : {"in", "out", "average"}, default="in"
        Which fan divides the scale.
    distribution : {"normal", "uniform"}, default="normal"
        ``"uniform"`` draws from :math:`\pm\sqrt{3\,\mathrm{scale}/\mathrm{fan}}`.

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

    def __init__(self, scale=1.0, fan="in", distribution="normal"):
        self.scale = scale
        self.fan = fan
        self.distribution = distribution

    def _draw(self, shape, fan_in, fan_out, rng):
        fan = {"in": fan_in, "out": fan_out, "average": (fan_in + fan_out) / 2}[self.fan]
        variance = self.scale / fan
        if self.distribution == "normal":
            return rng.normal(0.0, np.sqrt(variance), shape)
        limit = np.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)

    def __call__(self, fan_in, fan_out, rng):
        """Return a random matrix of shape (fan_in, fan_out)."""
        return self._draw((fan_in, fan_out), fan_in, fan_out, rng)

    def bias(self, fan_in, fan_out, rng):
        """Return random biases with the variance of the weights."""
        return self._draw(fan_out, fan_in, fan_out, rng)


class GlorotUniform(VarianceScaling):
    r"""Glorot's (= Xavier's) uniform weights: :math:`\pm\sqrt{6/(\mathrm{fan_{in}+fan_{out}})}`.

    Keeps variances for activations that are linear around 0 (tanh, identity).

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

    _parameter_constraints: ClassVar = {}

    def __init__(self):
        super().__init__(1.0, "average", "uniform")


class GlorotNormal(VarianceScaling):
    r"""Glorot's (= Xavier's) normal weights, variance :math:`2/(\mathrm{fan_{in}+fan_{out}})`.

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

    _parameter_constraints: ClassVar = {}

    def __init__(self):
        super().__init__(1.0, "average", "normal")


class HeUniform(VarianceScaling):
    r"""He's uniform weights :math:`\pm\sqrt{6/\mathrm{fan_{in}}}`, for the ReLU family.

    A rectifier halves the second moment of its input; the doubled variance gives it back.

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

    _parameter_constraints: ClassVar = {}

    def __init__(self):
        super().__init__(2.0, "in", "uniform")


class HeNormal(VarianceScaling):
    r"""He's normal weights, variance :math:`2/\mathrm{fan_{in}}`, for the ReLU family.

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

    _parameter_constraints: ClassVar = {}

    def __init__(self):
        super().__init__(2.0, "in", "normal")


class Auto(Initializer):
    """What suits each layer's activation: He for the ReLU family, Glorot for the others.

    The choice is the class attribute ``initializer`` of the activation; the output layer takes
    Glorot's.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> MLPClassifier(activation="tanh", initializer="auto").initializer
    'auto'
    """

    follows_activation = True

    def __call__(self, fan_in, fan_out, rng):
        """Return Glorot's uniform weights: without an activation there is nothing to follow."""
        return GlorotUniform()(fan_in, fan_out, rng)


INITIALIZERS = Table(
    "initializer",
    Initializer,
    {
        "auto": Auto,
        "glorot_uniform": GlorotUniform,
        "glorot_normal": GlorotNormal,
        "xavier_uniform": GlorotUniform,
        "xavier_normal": GlorotNormal,
        "he_uniform": HeUniform,
        "he_normal": HeNormal,
        "variance_scaling": VarianceScaling,
        "zeros": Zeros,
    },
)
