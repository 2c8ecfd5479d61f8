r"""Activations: what a layer's units do with their input.

An activation is a formula ``activation(z)`` and its ``derivative(z, a)``, where ``a`` is the
activation's value at ``z``. Both work element by element on arrays of any shape.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import expit

from sknn_adam._component import Component, Table

__all__ = ["ACTIVATIONS", "Activation", "Identity", "Logistic", "ReLU", "Tanh"]


class Activation(Component):
    """Base of all activations.

    A subclass defines ``__call__(z)`` and ``derivative(z, a)``. If its derivative can be had from
    ``a`` alone it sets ``needs_z = False``; `z` is then None during training, which saves a
    buffer. ``initializer`` is the name of the initializer that ``initializer="auto"`` stands for.
    """

    contract = (("__call__",), ("derivative",))
    initializer: ClassVar[str] = "glorot_uniform"
    needs_z: ClassVar[bool] = True

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
        """Return `z`."""
        return z

    def derivative(self, z, a):
        """Return ones."""
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
        """Return the sigmoid of `z`."""
        return expit(z)

    def apply(self, z, out):
        """Write the activation in one pass."""
        expit(z, out=out)

    def derivative(self, z, a):
        """Return a (1 - a)."""
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
        """Return tanh(z)."""
        return np.tanh(z)

    def apply(self, z, out):
        """Write the activation in one pass."""
        np.tanh(z, out=out)

    def derivative(self, z, a):
        """Return 1 - a^2."""
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
        """Return max(z, 0)."""
        return np.maximum(z, 0)

    def apply(self, z, out):
        """Write the activation in one pass."""
        np.maximum(z, 0, out=out)

    def derivative(self, z, a):
        """Return 1 where the unit is active, else 0."""
        return a > 0


ACTIVATIONS = Table(
    "activation",
    Activation,
    {"identity": Identity, "logistic": Logistic, "sigmoid": Logistic, "tanh": Tanh, "relu": ReLU},
)
