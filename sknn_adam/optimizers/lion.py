"""Lion: steps along the sign of an average gradient."""

from typing import ClassVar

import numpy as np

from sknn_adam._utils.validation import FRACTION, NON_NEGATIVE, POSITIVE
from sknn_adam.optimizers._base import Optimizer

__all__ = ["Lion"]


class Lion(Optimizer):
    r"""Lion: steps along the sign of an average gradient, a rule found by program search.

    Apart from weight decay, every step changes each parameter by exactly the learning rate. The
    learning rate must therefore be smaller than Adam's (a third to a tenth) and should decrease
    towards the end of training. Lion's state is half as large as Adam's. Lion works best with
    large batches, where the signs are reliable.

    .. math::

        c_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        \theta_t &= \theta_{t-1} - \gamma\, (\operatorname{sign}(c_t) + \lambda \theta_{t-1}) \\
        m_t &= \beta_2 m_{t-1} + (1 - \beta_2)\, g_t

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient,
    :math:`m_t` its decaying average, and :math:`c_t` the average whose sign determines the step.

    Parameters
    ----------
    learning_rate : float, default=0.001
        The learning rate :math:`\gamma`, greater than 0.
    beta_1 : float, default=0.9
        The weight :math:`\beta_1` of past gradients in the step, in [0, 1).
    beta_2 : float, default=0.99
        The decay rate :math:`\beta_2` of the average, in [0, 1).
    weight_decay : float, default=0.0
        The decoupled weight decay :math:`\lambda`, at least 0, applied to weights only. Because
        the learning rate is smaller than AdamW's, the weight decay should be larger by the same
        factor.

    Notes
    -----
    The sign requires neither an epsilon nor a bias correction. The sign of 0 is 0.

    References
    ----------
    .. [1] Chen, X., Liang, C., Huang, D., Real, E., et al. (2023). Symbolic discovery of
       optimization algorithms. NeurIPS. Algorithm 2.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.optimizers import Lion
    >>> model = MLPClassifier(optimizer=Lion(learning_rate=3e-4), schedule="cosine")
    """

    _parameter_constraints: ClassVar = {
        "learning_rate": [POSITIVE],
        "beta_1": [FRACTION],
        "beta_2": [FRACTION],
        "weight_decay": [NON_NEGATIVE],
    }
    slots = ("m",)

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.weight_decay = weight_decay

    def scalars(self, t: int, lr: float) -> tuple[float, ...]:
        """Return the learning rate and the betas with their complements."""
        return lr, self.beta_1, 1 - self.beta_1, self.beta_2, 1 - self.beta_2

    @staticmethod
    def rule(
        g: np.ndarray,
        m: np.ndarray,
        lr: float,
        beta_1: float,
        one_minus_beta_1: float,
        beta_2: float,
        one_minus_beta_2: float,
    ) -> tuple[np.ndarray, ...]:
        """Apply the update of Algorithm 2."""
        c = beta_1 * m + one_minus_beta_1 * g
        m = beta_2 * m + one_minus_beta_2 * g
        return lr * np.sign(c), m
