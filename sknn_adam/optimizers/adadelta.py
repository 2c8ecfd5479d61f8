"""Adadelta: RMSprop without a learning rate to tune."""

from typing import ClassVar

import numpy as np

from sknn_adam._utils.validation import FRACTION, POSITIVE
from sknn_adam.optimizers._base import Optimizer

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    r"""Adadelta: RMSprop with the running root mean square of its steps as learning rate.

    The steps have the units of the parameters, so there is no learning rate to tune. Training
    starts slowly, because the size of the first steps is on the order of :math:`\sqrt\epsilon`.

    .. math::

        v_t &= \rho\, v_{t-1} + (1 - \rho)\, g_t^2 \\
        u_t &= g_t \sqrt{d_{t-1} + \epsilon} / \sqrt{v_t + \epsilon} \\
        d_t &= \rho\, d_{t-1} + (1 - \rho)\, u_t^2 \\
        \theta_t &= \theta_{t-1} - \gamma\, u_t

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient,
    :math:`u_t` the step, and :math:`v_t` and :math:`d_t` are the decaying averages of the squared
    gradients and squared steps.

    Parameters
    ----------
    learning_rate : float, default=1.0
        The learning rate :math:`\gamma`, greater than 0. The paper has none, which is
        equivalent to 1.
    rho : float, default=0.9
        The decay rate :math:`\rho` of both averages, in [0, 1).
    epsilon : float, default=1e-6
        The constant :math:`\epsilon`, greater than 0. Larger values make the first steps larger.

    Notes
    -----
    :math:`\epsilon` is inside both square roots, as in the paper. :math:`d` averages the squared
    steps before they are multiplied by :math:`\gamma`, as in torch.

    References
    ----------
    .. [1] Zeiler, M. (2012). ADADELTA: an adaptive learning rate method. arXiv:1212.5701.
       Algorithm 1.

    Examples
    --------
    >>> from sknn_adam import MLPRegressor
    >>> from sknn_adam.optimizers import Adadelta
    >>> MLPRegressor(optimizer=Adadelta(rho=0.95)).get_params()["optimizer__rho"]
    0.95
    """

    _parameter_constraints: ClassVar = {
        "learning_rate": [POSITIVE],
        "rho": [FRACTION],
        "epsilon": [POSITIVE],
    }
    slots = ("v", "d")

    def __init__(
        self, learning_rate: float = 1.0, rho: float = 0.9, epsilon: float = 1e-06
    ) -> None:
        self.learning_rate = learning_rate
        self.rho = rho
        self.epsilon = epsilon

    def scalars(self, t: int, lr: float) -> tuple[float, ...]:
        """Return the learning rate, rho, 1 - rho and epsilon."""
        return lr, self.rho, 1 - self.rho, self.epsilon

    @staticmethod
    def rule(
        g: np.ndarray,
        v: np.ndarray,
        d: np.ndarray,
        lr: float,
        rho: float,
        one_minus_rho: float,
        epsilon: float,
    ) -> tuple[np.ndarray, ...]:
        """Apply the update of Algorithm 1."""
        v = rho * v + one_minus_rho * g * g
        u = g * (np.sqrt(d + epsilon) / np.sqrt(v + epsilon))
        d = rho * d + one_minus_rho * u * u
        return lr * u, v, d
