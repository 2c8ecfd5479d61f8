"""The base of all activations."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from sknn_adam._component.base import Component, overrides
from sknn_adam._utils.validation import check_shape

__all__ = ["Activation"]


class Activation(Component):
    """Base of all activations.

    A subclass defines ``__call__(z)`` and ``derivative(z, a)``. If its derivative can be had from
    ``a`` alone it sets ``needs_z = False``; `z` is then None during training, which saves a
    buffer. ``initializer`` is the name of the initializer that ``initializer="auto"`` stands for.
    ``dropped_value`` is the value of dropped units; where it is not zero, mean and variance are
    kept by an affine map (alpha dropout).

    With ``learned = True`` every unit has one learned parameter: it starts at ``start()``, is
    passed as the last argument of both methods, and ``learned_derivative(z)`` is the activation's
    derivative with respect to it. `PReLU` is the example.

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

        Overridden, with ``one_pass = True``, where one ufunc does it without a temporary array.
        Networks call `apply` only, and a class that defines ``__call__`` anew gets this one back.
        """
        a = self(z)
        if type(z) is np.ndarray:
            check_shape(self, "The value", a, z.shape)
        out[...] = a

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if overrides(cls, "__call__", "apply"):  # an inherited `apply` is of another formula
            cls.apply = Activation.apply  # type: ignore[method-assign]
            cls.one_pass = False

    @abstractmethod
    def derivative(self, z: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Return the derivative at `z`, where the activation is `a`."""


def either(where: Any, one: Any, other: Any, like: np.ndarray) -> np.ndarray:
    """``numpy.where`` that keeps the dtype of `like` when both choices are plain numbers."""
    if isinstance(other, int | float | np.number):
        other = like.dtype.type(other)
    return np.where(where, like.dtype.type(one), other)
