"""Weight averaging: prediction with an average of the weights over training steps."""

from typing import ClassVar

import numpy as np

from sknn_adam._backends.numpy_backend import NUMPY, Backend
from sknn_adam._component.base import Component
from sknn_adam._component.ranges import Choices
from sknn_adam._component.registry import Table
from sknn_adam._utils.validation import FRACTION

__all__ = ["AVERAGINGS", "EMA"]


class EMA(Component):
    r"""Exponential moving average of the weights.

    .. math:: \bar\theta_t = \frac{\sum_k \rho^{t-k}\,\theta_k}{\sum_k \rho^{t-k}}

    Here :math:`\theta_k` are the weights after step :math:`k` and :math:`\bar\theta_t` is their
    average after step :math:`t`. Training continues with :math:`\theta_t`, whereas validation and
    prediction use the average, which is less noisy. Averaging is most useful with a constant
    learning rate.

    Parameters
    ----------
    decay : float, default=0.99
        The decay rate :math:`\rho` of the average, in [0, 1). The average covers about
        :math:`1/(1 - \rho)` steps.

    Notes
    -----
    The average is bias-corrected: early in training, it is close to the unweighted mean of the
    weights so far. The running statistics of batch normalization are computed with the training
    weights.

    References
    ----------
    Polyak, B., Juditsky, A. (1992). Acceleration of stochastic approximation by averaging. SIAM
    Journal on Control and Optimization 30(4).

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.averaging import EMA
    >>> ema, average = EMA(decay=0.5), np.zeros(1)
    >>> for t, theta in enumerate([1.0, 4.0], start=1):
    ...     ema.update(average, np.array([theta]), t)
    >>> average  # (0.5 * 1 + 4) / 1.5
    array([3.])
    """

    _parameter_constraints: ClassVar = {"decay": [FRACTION]}
    ranges: ClassVar = {"decay": Choices((0.9, 0.99, 0.999), size="large", grid=(0.99,))}

    def __init__(self, decay: float = 0.99) -> None:
        self.decay = decay

    def update(
        self, average: np.ndarray, theta: np.ndarray, t: int, kernels: Backend = NUMPY
    ) -> None:
        """Move `average` towards `theta` in place at step `t`, counted from 1."""
        kernels.blend(average, theta, *self.factors(t))

    def factors(self, t: int) -> tuple[float, float]:
        """Return the factors of the old average and of the weights at step `t`."""
        rate = (1 - self.decay) / (1 - self.decay**t)
        return float(1 - rate), float(rate)


AVERAGINGS = Table("averaging", EMA, {"auto": EMA, "ema": EMA}, optional=True)
