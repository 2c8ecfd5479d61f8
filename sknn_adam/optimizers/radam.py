"""RAdam: Adam with rectified adaptive learning rates."""

import numpy as np

from sknn_adam.optimizers.adam import Adam

__all__ = ["RAdam"]


class RAdam(Adam):
    r"""RAdam: Adam with an analytically derived warm-up.

    In the first steps, :math:`v` averages only a few gradients, so dividing by its square root can
    lead to very large steps. RAdam starts as gradient descent with momentum and phases in the
    division as the variance of :math:`1/\sqrt v` decreases. RAdam is worth trying if Adam is
    unstable early in training and would need a warm-up.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \rho_\infty &= \frac{2}{1 - \beta_2} - 1, \qquad
        \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \qquad
        r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)\rho_\infty}
        {(\rho_\infty - 4)(\rho_\infty - 2)\rho_t}} \\
        \theta_t &= \theta_{t-1} - \frac{\gamma}{1 - \beta_1^t}\, m_t \cdot
        \begin{cases} r_t \sqrt{1 - \beta_2^t} / (\sqrt{v_t} + \epsilon) & \rho_t > 5 \\
        1 & \text{else} \end{cases}

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient,
    :math:`m_t` and :math:`v_t` are the averages of the gradients and of their squares,
    :math:`\rho_t` is the effective number of gradients in :math:`v_t`, with limit
    :math:`\rho_\infty`, and :math:`r_t` is the variance rectification.

    Parameters
    ----------
    learning_rate : float, default=0.001
        The learning rate :math:`\gamma`, greater than 0.
    beta_1 : float, default=0.9
        The decay rate :math:`\beta_1` of the average gradient, in [0, 1).
    beta_2 : float, default=0.999
        The decay rate :math:`\beta_2` of the average squared gradient, in [0, 1). If it is
        2/3 or less, steps are never divided by :math:`\sqrt{v_t}`.
    epsilon : float, default=1e-8
        The constant :math:`\epsilon` that prevents division by zero, greater than 0.

    Notes
    -----
    As in torch, the threshold is 5 (4 in the paper) and :math:`\epsilon` is added before the bias
    correction. With the default ``beta_2``, the division starts at the sixth step.

    References
    ----------
    .. [1] Liu, L., Jiang, H., He, P., Chen, W., Liu, X., Gao, J., Han, J. (2020). On the variance
       of the adaptive learning rate and beyond. ICLR. Algorithm 2.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.optimizers import RAdam
    >>> MLPClassifier(optimizer=RAdam(beta_2=0.99)).get_params()["optimizer__beta_2"]
    0.99
    """

    def scalars(self, t: int, lr: float) -> tuple[float, ...]:
        """Return the step size, the betas with complements, `divide`, `plain` and epsilon."""
        b1, b2 = self.beta_1, self.beta_2
        rho_inf = 2 / (1 - b2) - 1
        rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
        rate, divide = lr / (1 - b1**t), rho > 5
        if divide:
            r_squared = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
            rate *= (r_squared * (1 - b2**t)) ** 0.5
        return rate, b1, 1 - b1, b2, 1 - b2, float(divide), float(not divide), self.epsilon

    @staticmethod
    def rule(  # type: ignore[override]
        g: np.ndarray,
        m: np.ndarray,
        v: np.ndarray,
        rate: float,
        beta_1: float,
        one_minus_beta_1: float,
        beta_2: float,
        one_minus_beta_2: float,
        divide: float,
        plain: float,
        epsilon: float,
    ) -> tuple[np.ndarray, ...]:
        """Apply the update of Algorithm 2; either `divide` or `plain` is 1, the other is 0."""
        m = beta_1 * m + one_minus_beta_1 * g
        v = beta_2 * v + one_minus_beta_2 * g * g
        return rate * m / (divide * (np.sqrt(v) + epsilon) + plain), m, v
