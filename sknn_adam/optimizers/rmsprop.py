"""RMSprop, optionally centered and with momentum."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from sknn_adam._component.ranges import Choices
from sknn_adam._utils.validation import FRACTION, POSITIVE
from sknn_adam.optimizers._base import Optimizer

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    r"""RMSprop: gradients divided by their running root mean square.

    Steps are scaled down for parameters with large gradients and up for those with small ones, so
    a single learning rate suits all parameters. Unlike Adagrad, RMSprop forgets old gradients and
    can therefore follow a non-stationary objective.

    .. math::

        v_t &= \rho\, v_{t-1} + (1 - \rho)\, g_t^2 \\
        m_t &= \rho\, m_{t-1} + (1 - \rho)\, g_t
        \qquad\text{(centered: } v_t - m_t^2 \text{ replaces } v_t \text{ below)} \\
        u_t &= \mu\, u_{t-1} + g_t / (\sqrt{v_t} + \epsilon) \\
        \theta_t &= \theta_{t-1} - \gamma\, u_t

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient,
    :math:`m_t` and :math:`v_t` are the averages of the gradients and of their squares, and
    :math:`u_t` is the velocity.

    Parameters
    ----------
    learning_rate : float, default=0.001
        The learning rate :math:`\gamma`, greater than 0.
    rho : float, default=0.9
        The decay rate :math:`\rho` of the averages, in [0, 1).
    epsilon : float, default=1e-8
        The constant :math:`\epsilon` that prevents division by zero, greater than 0.
    centered : bool, default=False
        Whether to divide by the standard deviation of the gradient [2]_ instead of its root mean
        square.
    momentum : float, default=0.0
        The momentum :math:`\mu`, in [0, 1).

    Notes
    -----
    :math:`\epsilon` is added to the square root, as in torch. Some libraries add it inside the
    square root. The averages start at zero and are not bias-corrected, so the first step is about
    :math:`1/\sqrt{1 - \rho}` times as large as later ones.

    References
    ----------
    .. [1] Tieleman, T., Hinton, G. (2012). Neural networks for machine learning, lecture 6.5.
    .. [2] Graves, A. (2013). Generating sequences with recurrent neural networks.
       arXiv:1308.0850. Equations 38 to 45.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier, RMSprop
    >>> MLPClassifier(optimizer=RMSprop(rho=0.95)).get_params()["optimizer__rho"]
    0.95
    """

    _parameter_constraints: ClassVar = {
        "learning_rate": [POSITIVE],
        "rho": [FRACTION],
        "epsilon": [POSITIVE],
        "centered": ["boolean"],
        "momentum": [FRACTION],
    }
    ranges: ClassVar = {
        **Optimizer.ranges,
        "rho": Choices((0.9, 0.99), size="large"),
        "momentum": Choices((0.0, 0.9), size="large", grid=(0.0,)),
    }

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        epsilon: float = 1e-08,
        centered: bool = False,
        momentum: float = 0.0,
    ) -> None:
        self.learning_rate = learning_rate
        self.rho = rho
        self.epsilon = epsilon
        self.centered = centered
        self.momentum = momentum

    @property
    def slots(self) -> Any:
        """Names of the averages, and of the velocity if ``momentum`` is not 0."""
        return ("v",) + ("m",) * bool(self.centered) + ("u",) * bool(self.momentum)

    def scalars(self, t: int, lr: float) -> tuple[float, ...]:
        """Return the scalars of the selected rule."""
        common = (lr, self.rho, 1 - self.rho, self.epsilon)
        return (*common, self.momentum) if self.momentum else common

    @property
    def rule(self) -> Callable[..., tuple]:  # type: ignore[override]
        """The rule selected by ``centered`` and ``momentum``."""
        if self.centered:
            return self.centered_momentum if self.momentum else self.centered_plain
        return self.with_momentum if self.momentum else self.plain

    @staticmethod
    def plain(
        g: np.ndarray, v: np.ndarray, lr: float, rho: float, one_minus_rho: float, epsilon: float
    ) -> tuple[np.ndarray, ...]:
        """Divide the gradient by its root mean square."""
        v = rho * v + one_minus_rho * g * g
        return lr * g / (np.sqrt(v) + epsilon), v

    @staticmethod
    def with_momentum(
        g: np.ndarray,
        v: np.ndarray,
        u: np.ndarray,
        lr: float,
        rho: float,
        one_minus_rho: float,
        epsilon: float,
        mu: float,
    ) -> tuple[np.ndarray, ...]:
        """Divide the gradient by its root mean square, then apply momentum."""
        v = rho * v + one_minus_rho * g * g
        u = mu * u + g / (np.sqrt(v) + epsilon)
        return lr * u, v, u

    @staticmethod
    def centered_plain(
        g: np.ndarray,
        v: np.ndarray,
        m: np.ndarray,
        lr: float,
        rho: float,
        one_minus_rho: float,
        epsilon: float,
    ) -> tuple[np.ndarray, ...]:
        """Divide the gradient by its standard deviation."""
        v = rho * v + one_minus_rho * g * g
        m = rho * m + one_minus_rho * g
        # Rounding errors can make the variance negative.
        return lr * g / (np.sqrt(np.maximum(v - m * m, 0)) + epsilon), v, m

    @staticmethod
    def centered_momentum(
        g: np.ndarray,
        v: np.ndarray,
        m: np.ndarray,
        u: np.ndarray,
        lr: float,
        rho: float,
        one_minus_rho: float,
        epsilon: float,
        mu: float,
    ) -> tuple[np.ndarray, ...]:
        """Divide the gradient by its standard deviation, then apply momentum."""
        v = rho * v + one_minus_rho * g * g
        m = rho * m + one_minus_rho * g
        u = mu * u + g / (np.sqrt(np.maximum(v - m * m, 0)) + epsilon)
        return lr * u, v, m, u
