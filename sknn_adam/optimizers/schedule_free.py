"""Schedule-free AdamW: weight averaging in place of a schedule."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np

from sknn_adam._utils.sklearn_compat import Interval
from sknn_adam._utils.validation import FRACTION, NON_NEGATIVE, POSITIVE
from sknn_adam.optimizers._base import Optimizer

__all__ = ["ScheduleFreeAdamW"]


class ScheduleFreeAdamW(Optimizer):
    r"""Schedule-free AdamW: weight averaging instead of a decreasing learning rate.

    Schedule-free AdamW performs as well as a decreasing schedule, but does not need the length of
    training in advance, so training can stop or continue at any time. Gradients are computed at
    :math:`y` (``theta``), steps update :math:`z`, and predictions use the average :math:`x`
    (``evaluation_point``).

    .. math::

        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2, \qquad
        u_t = g_t / (\sqrt{v_t / (1 - \beta_2^t)} + \epsilon) + \lambda y_{t-1} \\
        z_t &= z_{t-1} - \gamma_t u_t, \qquad x_t = (1 - c_t)\, x_{t-1} + c_t z_t, \qquad
        c_t = \gamma_t^2 / \textstyle\sum_{i \le t} \gamma_i^2 \\
        y_t &= \beta_1 x_t + (1 - \beta_1)\, z_t

    Here :math:`g_t` is the gradient at :math:`y_{t-1}`, :math:`v_t` the average of its squares,
    :math:`u_t` the update, :math:`\gamma_t` the learning rate at step :math:`t` and :math:`c_t` the
    weight of the latest :math:`z` in the average.

    Parameters
    ----------
    learning_rate : float, default=0.0025
        The value of :math:`\gamma_t` after the warm-up, greater than 0. Good values are larger than
        Adam's.
    beta_1 : float, default=0.9
        The weight :math:`\beta_1` of the average :math:`x` in :math:`y`, in (0, 1).
    beta_2 : float, default=0.999
        The decay rate :math:`\beta_2` of the average squared gradient, in [0, 1).
    epsilon : float, default=1e-8
        The constant :math:`\epsilon` that prevents division by zero, greater than 0.
    weight_decay : float, default=0.0
        The decoupled weight decay :math:`\lambda`, at least 0, applied to weights only and
        evaluated at :math:`y`.
    warmup_steps : int, default=0
        Number of steps in which :math:`\gamma_t` grows linearly to the learning rate.

    Notes
    -----
    The state contains :math:`y - z` and :math:`v`, and :math:`x` is computed as
    :math:`y + (y - z)(1 - \beta_1) / \beta_1`. As in optax, each :math:`\gamma_i` in :math:`c_t`
    is replaced by the largest learning rate up to step :math:`i`. During a warm-up of :math:`K`
    steps, step :math:`t` updates :math:`z` with a fraction :math:`(t - 1) / K` of the learning
    rate, so the first step leaves :math:`z` unchanged. Batch normalization tracks its statistics
    at :math:`y`, not at :math:`x`.

    References
    ----------
    .. [1] Defazio, A., Yang, X., Mehta, H., Mishchenko, K., Khaled, A., Cutkosky, A. (2024). The
       road less scheduled. NeurIPS. Algorithm 1.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.optimizers import ScheduleFreeAdamW
    >>> model = MLPClassifier(optimizer=ScheduleFreeAdamW(learning_rate=0.01, warmup_steps=50))
    """

    _parameter_constraints: ClassVar = {
        "learning_rate": [POSITIVE],
        "beta_1": [Interval(Real, 0, 1, closed="neither")],
        "beta_2": [FRACTION],
        "epsilon": [POSITIVE],
        "weight_decay": [NON_NEGATIVE],
        "warmup_steps": [NON_NEGATIVE],
    }
    slots = ("gap", "v")

    def __init__(
        self,
        learning_rate: float = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
    ) -> None:
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps

    def init(self, theta: np.ndarray, layout: Any = None) -> Any:
        """Return the state of a new run, in which y = z = x = theta."""
        state = super().init(theta, layout)
        state.largest_lr = state.sum_of_squares = 0.0
        return state

    def step(self, theta: np.ndarray, grad: np.ndarray, state: Any, lr_scale: float = 1.0) -> None:
        """Update `theta` in place from `grad`."""
        state.t += 1
        t, b2, warmup = state.t, self.beta_2, max(1, self.warmup_steps)
        rate = self.learning_rate * lr_scale
        lr = rate * min(1.0, (t - bool(self.warmup_steps)) / warmup)
        state.largest_lr = max(state.largest_lr, rate * min(1.0, t / warmup))
        # Squaring a larger float raises OverflowError. Training diverges at such rates in any case.
        square = min(state.largest_lr, 1e150) ** 2
        state.sum_of_squares += square
        c = square / state.sum_of_squares if state.sum_of_squares else 0.0
        lr_gap = lr * self.beta_1 * (1 - c)
        lr_y = lr - lr_gap

        wd = float(self.weight_decay)
        shrinking = [
            (block, wd * theta[block]) for block, decayed in state.blocks if wd and decayed
        ]
        scalars = (c, 1 - c, lr_y, lr_gap, b2, 1 - b2, 1 - b2**t, self.epsilon)
        self.update(theta, grad, state, scalars)
        for block, weights in shrinking:
            theta[block] -= float(lr_y) * weights
            state.gap[block] += float(lr_gap) * weights

    @staticmethod
    def rule(
        g: np.ndarray,
        gap: np.ndarray,
        v: np.ndarray,
        c: float,
        one_minus_c: float,
        lr_y: float,
        lr_gap: float,
        beta_2: float,
        one_minus_beta_2: float,
        bias_2: float,
        epsilon: float,
    ) -> tuple[np.ndarray, ...]:
        """Apply Algorithm 1 to y and gap = y - z, without storing x."""
        v = beta_2 * v + one_minus_beta_2 * g * g
        u = g / (np.sqrt(v / bias_2) + epsilon)
        return c * gap + lr_y * u, one_minus_c * gap + lr_gap * u, v

    def evaluation_point(self, theta: np.ndarray, state: Any) -> np.ndarray:
        """Return the averaged weights x."""
        return theta + theta.dtype.type((1 - self.beta_1) / self.beta_1) * state.gap
