"""Adamax: Adam in the maximum norm."""

import numpy as np

from sknn_adam.optimizers.adam import Adam

__all__ = ["Adamax"]


class Adamax(Adam):
    r"""Adamax: Adam that divides by the largest recent gradient instead of the root of squares.

    A rare large gradient holds its parameter's steps down until it has faded, which keeps
    training calm where gradients come in bursts. The first steps need no correction of
    :math:`u`.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        u_t &= \max(\beta_2 u_{t-1},\, |g_t| + \epsilon) \\
        \theta_t &= \theta_{t-1} - \frac{\gamma}{1 - \beta_1^t}\, m_t / u_t

    Parameters
    ----------
    learning_rate : float, default=0.001
        :math:`\gamma`, above 0. The paper suggests 0.002.
    beta_1 : float, default=0.9
        :math:`\beta_1`, how much of the gradient's average is kept in a step, in [0, 1).
    beta_2 : float, default=0.999
        :math:`\beta_2`, how fast the maximum fades, in [0, 1).
    epsilon : float, default=1e-8
        :math:`\epsilon`, keeps the division finite; above 0.

    Notes
    -----
    :math:`\epsilon` stands inside the maximum, as in torch; the paper has none.

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
        """Return the corrected learning rate, the betas, beta_1's complement and epsilon."""
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
        """Algorithm 2."""
        m = beta_1 * m + one_minus_beta_1 * g
        u = np.maximum(beta_2 * u, np.abs(g) + epsilon)
        return lr * m / u, m, u
