r"""Gradient clipping, applied in place before the optimizer step.

A clipping is a function ``clip(grad, layout) -> grad``. The layout contains one tuple
``(slice, shape, role)`` for each parameter array in the flat vector. With several members, the
first axis of each array is the member.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from sknn_adam._backends.vectors import norm
from sknn_adam._component.base import Component, overrides
from sknn_adam._component.layout import by_member
from sknn_adam._component.registry import Table
from sknn_adam._utils.validation import POSITIVE

__all__ = ["CLIPPINGS", "Clipping", "ClipByNorm", "ClipByValue", "ClipByLayerNorm"]


class Clipping(Component):
    """Base class of all gradient clippings.

    A subclass defines ``__call__(grad, layout)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.clipping import Clipping
    >>> class SignOnly(Clipping):
    ...     def __call__(self, grad, layout=None):
    ...         return np.sign(grad, out=grad)
    >>> SignOnly()(np.array([3.0, -0.1]))
    array([ 1., -1.])
    >>> model = MLPClassifier(gradient_clip=SignOnly())
    """

    contract = (("__call__",),)

    # How compiled loops clip: by "norm", "layer" or "value", up to ``limit``. A subclass that
    # redefines the clipping does not inherit it.
    compiled_loop: ClassVar[str | None] = None
    limit: float

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if overrides(cls, "__call__", "compiled_loop"):
            cls.compiled_loop = None

    @abstractmethod
    def __call__(self, grad: np.ndarray, layout: list | None = None) -> np.ndarray:
        """Clip the flat gradient in place and return it."""


class ClipByNorm(Clipping):
    r"""Clipping of the whole gradient to a norm of at most ``max_norm`` [1]_.

    The gradient :math:`g` is replaced by :math:`g \, \min(1, c / \lVert g \rVert)`, which preserves
    its direction. With several members, the gradient of each member is clipped separately.

    Parameters
    ----------
    max_norm : float, default=1.0
        The largest allowed norm :math:`c`, greater than 0.

    References
    ----------
    .. [1] Pascanu, R., Mikolov, T., Bengio, Y. (2013). On the difficulty of training recurrent
       neural networks. ICML. Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.clipping import ClipByNorm
    >>> ClipByNorm(1.0)(np.array([3.0, 4.0]))
    array([0.6, 0.8])
    """

    _parameter_constraints: ClassVar = {"max_norm": [POSITIVE]}
    compiled_loop = "norm"

    def __init__(self, max_norm: float = 1.0) -> None:
        self.max_norm = max_norm

    @property
    def limit(self) -> float:  # type: ignore[override]
        """The largest allowed norm."""
        return self.max_norm

    def __call__(self, grad: np.ndarray, layout: Any = None) -> np.ndarray:
        members = by_member(layout)
        if members is None:
            self._scale(grad, norm(grad))
            return grad
        for blocks in members:
            gradients = [grad[block] for block, _ in blocks]
            size = norm(np.array([norm(gradient) for gradient in gradients]))
            for gradient in gradients:
                self._scale(gradient, size)
        return grad

    def _scale(self, grad: np.ndarray, size: float) -> None:
        if size > self.max_norm:
            grad *= float(self.max_norm) / size


class ClipByValue(Clipping):
    r"""Clipping of every element of the gradient to :math:`[-c, c]`.

    The direction of the gradient may change.

    Parameters
    ----------
    max_value : float, default=1.0
        The largest allowed absolute value :math:`c`, greater than 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.clipping import ClipByValue
    >>> ClipByValue(1.0)(np.array([3.0, -0.5]))
    array([ 1. , -0.5])
    """

    _parameter_constraints: ClassVar = {"max_value": [POSITIVE]}
    compiled_loop = "value"

    def __init__(self, max_value: float = 1.0) -> None:
        self.max_value = max_value

    @property
    def limit(self) -> float:  # type: ignore[override]
        """The largest allowed absolute value."""
        return self.max_value

    def __call__(self, grad: np.ndarray, layout: Any = None) -> np.ndarray:
        return np.clip(grad, -float(self.max_value), float(self.max_value), out=grad)


class ClipByLayerNorm(ClipByNorm):
    r"""Separate clipping of each parameter array's gradient to a norm of at most ``max_norm``.

    A layer with exploding gradients does not prevent the others from learning. The direction of
    the whole gradient may change.

    Parameters
    ----------
    max_norm : float, default=1.0
        The largest allowed gradient norm of a parameter array, such as a weight matrix or a bias
        vector; greater than 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.clipping import ClipByLayerNorm
    >>> layout = [(slice(0, 2), (2, 1), "weight"), (slice(2, 3), (1,), "bias")]
    >>> ClipByLayerNorm(1.0)(np.array([3.0, 4.0, 0.5]), layout)
    array([0.6, 0.8, 0.5])
    """

    compiled_loop = "layer"

    def __call__(self, grad: np.ndarray, layout: Any = None) -> np.ndarray:
        members = by_member(layout) or [layout or [(slice(None), (), "")]]
        for block in [block for blocks in members for block, *_ in blocks]:
            self._scale(grad[block], norm(grad[block]))
        return grad


CLIPPINGS = Table(
    "gradient_clip",
    Clipping,
    {"norm": ClipByNorm, "value": ClipByValue, "layer": ClipByLayerNorm},
    from_number=ClipByNorm,
    optional=True,
)
