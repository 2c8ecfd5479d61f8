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
    "Initializer",
    "Constant",
    "Zeros",
    "RandomNormal",
    "TruncatedNormal",
    "RandomUniform",
    "VarianceScaling",
    "GlorotUniform",
    "GlorotNormal",
    "HeUniform",
    "HeNormal",
    "LecunUniform",
    "LecunNormal",
    "Orthogonal",
    "LSUV",
    "Auto",
]


class Initializer(Component):
    """Base of all initializers: a subclass defines ``__call__(fan_in, fan_out, rng)``.

    With ``unit_variance = True`` training rescales the weights on its first batch so that every
    layer's output has variance 1.
    """

    contract = (("__call__",),)
    follows_activation: ClassVar[bool] = False
    unit_variance: ClassVar[bool] = False

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
        return self._draw((fan_in, fan_out), fan_in, fan_out, rng)

    def bias(self, fan_in, fan_out, rng):
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


class LecunUniform(VarianceScaling):
    r"""LeCun's uniform weights :math:`\pm\sqrt{3/\mathrm{fan_{in}}}`.

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

    _parameter_constraints: ClassVar = {}

    def __init__(self):
        super().__init__(1.0, "in", "uniform")


class LecunNormal(VarianceScaling):
    r"""LeCun's normal weights, variance :math:`1/\mathrm{fan_{in}}`, for SELU.

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

    _parameter_constraints: ClassVar = {}

    def __init__(self):
        super().__init__(1.0, "in", "normal")


class RandomNormal(Initializer):
    """Normal weights of mean 0 and a given deviation, whatever the fans.

    Parameters
    ----------
    deviation : float, default=0.05
        The standard deviation, above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import RandomNormal
    >>> round(float(RandomNormal(0.5)(100, 100, np.random.default_rng(0)).std()), 1)
    0.5
    """

    _parameter_constraints: ClassVar = {"deviation": [POSITIVE]}

    def __init__(self, deviation=0.05):
        self.deviation = deviation

    def __call__(self, fan_in, fan_out, rng):
        return rng.normal(0.0, self.deviation, (fan_in, fan_out))


class TruncatedNormal(RandomNormal):
    """Normal weights redrawn until they lie within two of their deviations.

    Parameters
    ----------
    deviation : float, default=0.05
        The deviation of the normal distribution before truncation, above 0. What is left after
        it has 0.88 times this deviation.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import TruncatedNormal
    >>> bool(abs(TruncatedNormal(1.0)(100, 100, np.random.default_rng(0))).max() <= 2)
    True
    """

    def __call__(self, fan_in, fan_out, rng):
        W = rng.standard_normal((fan_in, fan_out))
        while (outside := np.abs(W) > 2).any():
            W[outside] = rng.standard_normal(int(outside.sum()))
        return self.deviation * W


class RandomUniform(Initializer):
    """Uniform weights between minus and plus a given limit, whatever the fans.

    Parameters
    ----------
    limit : float, default=0.05
        The largest absolute value, above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import RandomUniform
    >>> bool(abs(RandomUniform(0.5)(100, 100, np.random.default_rng(0))).max() <= 0.5)
    True
    """

    _parameter_constraints: ClassVar = {"limit": [POSITIVE]}

    def __init__(self, limit=0.05):
        self.limit = limit

    def __call__(self, fan_in, fan_out, rng):
        return rng.uniform(-self.limit, self.limit, (fan_in, fan_out))


class Orthogonal(Initializer):
    r"""A random matrix with orthonormal columns (or rows, if there are fewer rows).

    Keeps the length of what passes through, so deep linear networks train at any depth.

    Parameters
    ----------
    gain : float, default=1.0
        What the matrix is multiplied by, above 0; :math:`\sqrt 2` suits ReLU.

    References
    ----------
    Saxe, A., McClelland, J., Ganguli, S. (2014). Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks. ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.initializers import Orthogonal
    >>> W = Orthogonal()(5, 3, np.random.default_rng(0))
    >>> bool(np.allclose(W.T @ W, np.eye(3)))
    True
    """

    _parameter_constraints: ClassVar = {"gain": [POSITIVE]}

    def __init__(self, gain=1.0):
        self.gain = gain

    def __call__(self, fan_in, fan_out, rng):
        tall = rng.standard_normal((max(fan_in, fan_out), min(fan_in, fan_out)))
        Q, R = np.linalg.qr(tall)
        Q *= np.sign(np.diag(R))  # else the distribution is not uniform
        return self.gain * (Q if fan_in >= fan_out else Q.T)


class LSUV(Orthogonal):
    """Layer-sequential unit variance: orthogonal weights, rescaled on the first batch.

    Before training, one batch runs through the network, and every layer's weights are divided
    by the deviation of the layer's output, from the first layer to the last. Whatever the
    activations and the scale of the data, every layer starts with unit variance.

    References
    ----------
    Mishkin, D., Matas, J. (2016). All you need is a good init. ICLR. Algorithm 1.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> model = MLPClassifier("64x20", activation="tanh", initializer="lsuv")
    """

    _parameter_constraints: ClassVar = {}
    unit_variance = True

    def __init__(self):
        super().__init__()


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
        "lecun_uniform": LecunUniform,
        "lecun_normal": LecunNormal,
        "orthogonal": Orthogonal,
        "truncated_normal": TruncatedNormal,
        "random_normal": RandomNormal,
        "random_uniform": RandomUniform,
        "variance_scaling": VarianceScaling,
        "lsuv": LSUV,
        "zeros": Zeros,
    },
)
