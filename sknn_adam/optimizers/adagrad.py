"""Adagrad: a separate learning rate for every parameter."""

from typing import Any, ClassVar

import numpy as np

from sknn_adam._utils.validation import NON_NEGATIVE, POSITIVE
from sknn_adam.optimizers._base import Optimizer

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    r"""Adagrad: gradients divided by the root of the sum of their squares.

    The step size decreases quickly for frequent features and stays large for rare ones, which
    suits sparse data and convex problems. The sum never decreases, so the steps decay like
    :math:`1/\sqrt t`. No schedule is needed, but long training may stall too early.

    .. math::

        s_t &= s_{t-1} + g_t^2, \qquad s_0 = s \\
        \theta_t &= \theta_{t-1} - \gamma\, g_t / (\sqrt{s_t} + \epsilon)

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient and
    :math:`s_t` the sum of its squares.

    Parameters
    ----------
    learning_rate : float, default=0.01
        The learning rate :math:`\gamma`, greater than 0.
    epsilon : float, default=1e-10
        The constant :math:`\epsilon` that prevents division by zero, greater than 0.
    initial_accumulator_value : float, default=0.0
        The initial sum :math:`s`, at least 0. A positive value makes the first steps smaller.

    Notes
    -----
    :math:`\epsilon` is added to the square root, as in torch. Some libraries start the sum at 0.1.

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
        """Divide the gradient by the root of the sum of its squares."""
        s = s + g * g
        return lr * g / (np.sqrt(s) + epsilon), s
