"""The base class of all activations."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from sknn_adam._component.base import Component, overrides
from sknn_adam._utils.validation import check_shape

__all__ = ["Activation"]


class Activation(Component):
    """Base class of all activations.

    A subclass defines ``__call__(z)`` and ``derivative(z, a)``. If the derivative can be computed
    from ``a`` alone, set ``needs_z = False``; `z` is then None during training, which saves a
    buffer. ``initializer`` is the name of the initializer that ``initializer="auto"`` selects.
    ``dropped_value`` is the value of units that dropout deactivates. If it is not zero, an affine
    map preserves the mean and the variance (alpha dropout).

    With ``learned = True``, every unit has one learned parameter with the initial value
    ``start()``. It is passed as the last argument of ``__call__`` and ``derivative``.
    ``learned_derivative(z)`` returns the derivative of the activation with respect to the
    parameter. See `PReLU` for an example.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.activations import Activation
    >>> class Square(Activation):
    ...     def __call__(self, z):
    ...         return z * z
    ...
    ...     def derivative(self, z, a):
    ...         return 2 * z
    >>> Square()(np.array([-1.0, 2.0]))
    array([1., 4.])
    >>> model = MLPClassifier(activation=Square())
    """

    contract = (("__call__",), ("derivative",))
    initializer: ClassVar[str] = "glorot_uniform"
    needs_z: ClassVar[bool] = True
    one_pass: ClassVar[bool] = False
    learned: ClassVar[bool] = False
    dropped_value: ClassVar[float] = 0.0

    @abstractmethod
    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return the activation at `z`."""

    def apply(self, z: np.ndarray, out: np.ndarray) -> None:
        """Write the activation at `z` to `out`, which may be `z`.

        Networks call `apply`, not ``__call__``. A subclass may override it and set
        ``one_pass = True`` if a single ufunc computes the activation without temporary arrays. If
        a class redefines ``__call__`` but inherits an overridden `apply`, this default is restored.
        """
        a = self(z)
        if type(z) is np.ndarray:
            check_shape(self, "The value", a, z.shape)
        out[...] = a

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # The inherited `apply` computes the formula of the parent class.
        if overrides(cls, "__call__", "apply"):
            cls.apply = Activation.apply  # type: ignore[method-assign]
            cls.one_pass = False

    @abstractmethod
    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Return the derivative at `z`, given the value `a` of the activation at `z`."""


def either(where: Any, one: Any, other: Any, like: np.ndarray) -> np.ndarray:
    """Return ``numpy.where(where, one, other)``, with numbers cast to the dtype of `like`."""
    if isinstance(other, int | float | np.number):
        other = like.dtype.type(other)
    return np.where(where, like.dtype.type(one), other)
