"""Stochastic gradient descent, optionally with momentum."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from sknn_adam._component.ranges import Choices
from sknn_adam._utils.validation import FRACTION, POSITIVE
from sknn_adam.optimizers._base import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    r"""Stochastic gradient descent, optionally with momentum.

    All parameters share one learning rate. Momentum [1]_ accumulates the gradients of successive
    steps, which accelerates progress along flat directions and damps oscillations. Nesterov
    momentum [2]_ looks one step ahead.

    .. math::

        v_t &= \mu\, v_{t-1} + g_t \\
        \theta_t &= \theta_{t-1} - \gamma\, v_t
        \qquad\text{(Nesterov: } \theta_{t-1} - \gamma\,(g_t + \mu\, v_t)\text{)}

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient and
    :math:`v_t` the velocity.

    Parameters
    ----------
    learning_rate : float, default=0.01
        The learning rate :math:`\gamma`, greater than 0.
    momentum : float, default=0.0
        The momentum :math:`\mu`, in [0, 1). With 0, SGD is plain gradient descent without state.
    nesterov : bool, default=False
        Whether to use Nesterov momentum. It has no effect without momentum.

    Notes
    -----
    As in torch, the velocity :math:`v` accumulates gradients. In scikit-learn, it accumulates steps
    (:math:`-\gamma v`). Both are equivalent at a constant learning rate.

    References
    ----------
    .. [1] Polyak, B. (1964). Some methods of speeding up the convergence of iteration methods.
    .. [2] Sutskever, I., Martens, J., Dahl, G., Hinton, G. (2013). On the importance of
       initialization and momentum in deep learning. ICML. Section 2.

    Examples
    --------
    >>> from sknn_adam import MLPRegressor, SGD
    >>> model = MLPRegressor(optimizer=SGD(learning_rate=0.05, momentum=0.9))
    >>> model.get_params()["optimizer__momentum"]
    0.9
    """

    _parameter_constraints: ClassVar = {
        "learning_rate": [POSITIVE],
        "momentum": [FRACTION],
        "nesterov": ["boolean"],
    }
    ranges: ClassVar = {**Optimizer.ranges, "momentum": Choices((0.0, 0.9, 0.95, 0.99))}

    def __init__(
        self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov

    @property
    def slots(self) -> Any:
        """Name of the velocity if ``momentum`` is not 0; otherwise, empty."""
        return ("v",) if self.momentum else ()

    def scalars(self, t: int, lr: float) -> tuple[float, ...]:
        """Return the learning rate, and the momentum if it is not 0."""
        return (lr, self.momentum) if self.momentum else (lr,)

    @property
    def rule(self) -> Callable[..., tuple]:  # type: ignore[override]
        """The rule selected by ``momentum`` and ``nesterov``."""
        if not self.momentum:
            return self.plain
        return self.nesterov_momentum if self.nesterov else self.heavy_ball

    @staticmethod
    def plain(g: np.ndarray, lr: float) -> tuple[np.ndarray, ...]:
        """Step along the negative gradient."""
        return (lr * g,)

    @staticmethod
    def heavy_ball(g: np.ndarray, v: np.ndarray, lr: float, mu: float) -> tuple[np.ndarray, ...]:
        """Step along the velocity."""
        v = mu * v + g
        return lr * v, v

    @staticmethod
    def nesterov_momentum(
        g: np.ndarray, v: np.ndarray, lr: float, mu: float
    ) -> tuple[np.ndarray, ...]:
        """Step along the gradient plus the decayed new velocity."""
        v = mu * v + g
        return lr * (g + mu * v), v
