"""NAdam: Adam with Nesterov momentum."""

from typing import Any, ClassVar

import numpy as np

from sknn_adam._utils.validation import NON_NEGATIVE
from sknn_adam.optimizers.adam import Adam

__all__ = ["NAdam"]


class NAdam(Adam):
    r"""NAdam: Adam with Nesterov momentum and a warm-up of the momentum.

    Compared with Adam, the current gradient has more weight, as if the average were one step ahead.
    The momentum grows from about half of :math:`\beta_1` to :math:`\beta_1`. NAdam is often
    slightly faster than Adam at the same learning rate.

    .. math::

        \mu_t &= \beta_1 (1 - \tfrac12\, 0.96^{t \psi}) \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \bar m_t &= \frac{1 - \mu_t}{1 - \prod_{i \le t} \mu_i}\, g_t
        + \frac{\mu_{t+1}}{1 - \prod_{i \le t + 1} \mu_i}\, m_t \\
        \theta_t &= \theta_{t-1} - \gamma\, \bar m_t / (\sqrt{v_t / (1 - \beta_2^t)} + \epsilon)

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient,
    :math:`m_t` and :math:`v_t` are the averages of the gradients and of their squares,
    :math:`\mu_t` is the momentum and :math:`\bar m_t` the bias-corrected Nesterov average.

    Parameters
    ----------
    learning_rate : float, default=0.001
        The learning rate :math:`\gamma`, greater than 0.
    beta_1 : float, default=0.9
        The decay rate :math:`\beta_1` of the average gradient, in [0, 1).
    beta_2 : float, default=0.999
        The decay rate :math:`\beta_2` of the average squared gradient, in [0, 1).
    epsilon : float, default=1e-8
        The constant :math:`\epsilon` that prevents division by zero, greater than 0.
    momentum_decay : float, default=0.004
        The rate :math:`\psi` at which the momentum grows to :math:`\beta_1`, at least 0.

    Notes
    -----
    As in torch, the decay rate of :math:`m` is :math:`\beta_1`; :math:`\mu` is used in the step
    only. optax has no warm-up of the momentum.

    References
    ----------
    .. [1] Dozat, T. (2016). Incorporating Nesterov momentum into Adam. ICLR workshop.
       Algorithm 2.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.optimizers import NAdam
    >>> MLPClassifier(optimizer=NAdam(momentum_decay=0.01)).optimizer
    NAdam(momentum_decay=0.01)
    """

    _parameter_constraints: ClassVar = {
        **Adam._parameter_constraints,
        "momentum_decay": [NON_NEGATIVE],
    }

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
        momentum_decay: float = 0.004,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        self.momentum_decay = momentum_decay

    def init(self, theta: np.ndarray, layout: Any = None) -> Any:
        """Return the state of a new run; ``product`` is the product of all momenta so far."""
        state = super().init(theta, layout)
        state.product = 1.0
        return state

    def step(self, theta: np.ndarray, grad: np.ndarray, state: Any, lr_scale: float = 1.0) -> None:
        """Update `theta` in place from `grad`."""
        state.t += 1
        t, b1, b2 = state.t, self.beta_1, self.beta_2
        lr = self.learning_rate * lr_scale
        mu, mu_next = (b1 * (1 - 0.5 * 0.96 ** (s * self.momentum_decay)) for s in (t, t + 1))
        state.product *= mu
        lr_g = lr * (1 - mu) / (1 - state.product)
        lr_m = lr * mu_next / (1 - state.product * mu_next)
        self.update(
            theta, grad, state, (lr_g, lr_m, b1, 1 - b1, b2, 1 - b2, 1 - b2**t, self.epsilon)
        )

    @staticmethod
    def rule(  # type: ignore[override]
        g: np.ndarray,
        m: np.ndarray,
        v: np.ndarray,
        lr_g: float,
        lr_m: float,
        beta_1: float,
        one_minus_beta_1: float,
        beta_2: float,
        one_minus_beta_2: float,
        bias_2: float,
        epsilon: float,
    ) -> tuple[np.ndarray, ...]:
        """Apply the update of Algorithm 2; `lr_g` and `lr_m` include the bias corrections."""
        m = beta_1 * m + one_minus_beta_1 * g
        v = beta_2 * v + one_minus_beta_2 * g * g
        return (lr_g * g + lr_m * m) / (np.sqrt(v / bias_2) + epsilon), m, v
