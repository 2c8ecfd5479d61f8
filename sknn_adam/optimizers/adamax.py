"""Adamax: Adam with the maximum norm."""

import numpy as np

from sknn_adam.optimizers.adam import Adam

__all__ = ["Adamax"]


class Adamax(Adam):
    r"""Adamax: Adam with a decaying maximum in place of the root mean square.

    After a large gradient, the steps of the parameter stay small until the maximum has decayed,
    which stabilizes training if large gradients come in bursts. :math:`u` needs no bias
    correction.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        u_t &= \max(\beta_2 u_{t-1},\, |g_t| + \epsilon) \\
        \theta_t &= \theta_{t-1} - \frac{\gamma}{1 - \beta_1^t}\, m_t / u_t

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient,
    :math:`m_t` its decaying average and :math:`u_t` the decaying maximum of its absolute value.

    Parameters
    ----------
    learning_rate : float, default=0.001
        The learning rate :math:`\gamma`, greater than 0. The paper suggests 0.002.
    beta_1 : float, default=0.9
        The decay rate :math:`\beta_1` of the average gradient, in [0, 1).
    beta_2 : float, default=0.999
        The decay rate :math:`\beta_2` of the maximum, in [0, 1).
    epsilon : float, default=1e-8
        The constant :math:`\epsilon` that prevents division by zero, greater than 0.

    Notes
    -----
    :math:`\epsilon` is inside the maximum, as in torch. The paper has no :math:`\epsilon`.

    References
    ----------
    .. [1] Kingma, D., Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.
       Algorithm 2.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.optimizers import Adamax
    >>> MLPClassifier(optimizer=Adamax(learning_rate=0.002)).optimizer
    Adamax(learning_rate=0.002)
    """

    slots = ("m", "u")

    def scalars(self, t: int, lr: float) -> tuple[float, ...]:
        """Return the bias-corrected learning rate, beta_1, 1 - beta_1, beta_2 and epsilon."""
        return lr / (1 - self.beta_1**t), self.beta_1, 1 - self.beta_1, self.beta_2, self.epsilon

    @staticmethod
    def rule(  # type: ignore[override]
        g: np.ndarray,
        m: np.ndarray,
        u: np.ndarray,
        lr: float,
        beta_1: float,
        one_minus_beta_1: float,
        beta_2: float,
        epsilon: float,
    ) -> tuple[np.ndarray, ...]:
        """Apply the update of Algorithm 2."""
        m = beta_1 * m + one_minus_beta_1 * g
        u = np.maximum(beta_2 * u, np.abs(g) + epsilon)
        return lr * m / u, m, u
