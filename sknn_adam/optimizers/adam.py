"""Adam: momentum and RMSprop together."""

from typing import ClassVar

import numpy as np

from sknn_adam._validation import FRACTION, POSITIVE
from sknn_adam.optimizers._base import Optimizer

__all__ = ["Adam"]


class Adam(Optimizer):
    r"""Adam: adaptive moment estimation.

    Keeps a decaying average of the gradient (momentum) and of its square (RMSprop), corrects
    both for their start at zero, and divides one by the root of the other. The step of a
    parameter is at most about the learning rate, whatever the gradient's scale: fast, at home
    with sparse and drifting data, and easy to tune. The first choice in most cases.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \hat m_t &= m_t / (1 - \beta_1^t), \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        \theta_t &= \theta_{t-1} - \gamma\, \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    Parameters
    ----------
    learning_rate : float, default=0.001
        :math:`\gamma`, above 0.
    beta_1 : float, default=0.9
        :math:`\beta_1`, how much of the gradient's average is kept in a step, in [0, 1).
    beta_2 : float, default=0.999
        :math:`\beta_2`, how much of the squares' average is kept in a step, in [0, 1).
    epsilon : float, default=1e-8
        :math:`\epsilon`, keeps the division finite; above 0.

    Notes
    -----
    This is Algorithm 1 of [1]_: :math:`\epsilon` is added after the bias correction, as in torch.
    scikit-learn implements the paper's shortcut, in which its epsilon weighs more in early steps.

    References
    ----------
    .. [1] Kingma, D., Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.
       Algorithm 1.

    Examples
    --------
    >>> from sknn_adam import Adam, MLPClassifier
    >>> MLPClassifier(optimizer=Adam(learning_rate=0.01)).get_params()["optimizer__learning_rate"]
    0.01
    """

    _parameter_constraints: ClassVar = {
        "learning_rate": [POSITIVE],
        "beta_1": [FRACTION],
        "beta_2": [FRACTION],
        "epsilon": [POSITIVE],
    }
    slots = ("m", "v")

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def scalars(self, t, lr):
        """Return the learning rate, the betas, their complements and the bias corrections."""
        b1, b2 = self.beta_1, self.beta_2
        return lr, b1, 1 - b1, b2, 1 - b2, 1 - b1**t, 1 - b2**t, self.epsilon

    @staticmethod
    def rule(
        g, m, v, lr, beta_1, one_minus_beta_1, beta_2, one_minus_beta_2, bias_1, bias_2, epsilon
    ):
        """Algorithm 1."""
        m = beta_1 * m + one_minus_beta_1 * g
        v = beta_2 * v + one_minus_beta_2 * g * g
        m_hat = m / bias_1
        v_hat = v / bias_2
        return lr * m_hat / (np.sqrt(v_hat) + epsilon), m, v
