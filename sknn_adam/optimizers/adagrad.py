"""Adagrad: a learning rate for every parameter."""

from typing import Any, ClassVar

import numpy as np

from sknn_adam._utils.validation import NON_NEGATIVE, POSITIVE
from sknn_adam.optimizers._base import Optimizer

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    r"""Adagrad: every parameter's step divided by the size of all its past gradients.

    Rarely active features keep long steps while busy ones slow down, which suits sparse data and
    convex problems. The sum never forgets, so the steps fade like :math:`1/\sqrt t`: no schedule
    is needed, but a long training of a network may come to rest too early.

    .. math::

        s_t &= s_{t-1} + g_t^2, \qquad s_0 = s \\
        \theta_t &= \theta_{t-1} - \gamma\, g_t / (\sqrt{s_t} + \epsilon)

    Parameters
    ----------
    learning_rate : float, default=0.01
        :math:`\gamma`, above 0.
    epsilon : float, default=1e-10
        :math:`\epsilon`, keeps the division finite; above 0.
    initial_accumulator_value : float, default=0.0
        :math:`s`, at least 0; above 0 it shortens the first steps.

    Notes
    -----
    :math:`\epsilon` is added to the root, as in torch. Some libraries start the sum at 0.1.

    References
    ----------
    .. [1] Duchi, J., Hazan, E., Singer, Y. (2011). Adaptive subgradient methods for online
       learning and stochastic optimization. JMLR 12. Figure 1, with a diagonal matrix.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.optimizers import Adagrad
    >>> MLPClassifier(optimizer=Adagrad(learning_rate=0.1)).optimizer.learning_rate
    0.1
    """

    _parameter_constraints: ClassVar = {
        "learning_rate": [POSITIVE],
        "epsilon": [POSITIVE],
        "initial_accumulator_value": [NON_NEGATIVE],
    }
    slots = ("s",)

    def __init__(
        self,
        learning_rate: float = 0.01,
        epsilon: float = 1e-10,
        initial_accumulator_value: float = 0.0,
    ) -> None:
        self.learning_rate = learning_rate
        self.epsilon = epsilon
        self.initial_accumulator_value = initial_accumulator_value

    def init(self, theta: np.ndarray, layout: Any = None) -> Any:
        """Return the state of a new run; the sum starts at ``initial_accumulator_value``."""
        state = super().init(theta, layout)
        state.s += self.initial_accumulator_value
        return state

    def scalars(self, t: int, lr: float) -> tuple[float, ...]:
        """Return the learning rate and epsilon."""
        return lr, self.epsilon

    @staticmethod
    def rule(g: np.ndarray, s: np.ndarray, lr: float, epsilon: float) -> tuple[np.ndarray, ...]:
        """Divide by the size of all gradients so far."""
        s = s + g * g
        return lr * g / (np.sqrt(s) + epsilon), s
