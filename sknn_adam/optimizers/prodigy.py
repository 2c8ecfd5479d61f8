"""Prodigy: Adam with an estimated learning rate."""

from typing import Any, ClassVar

import numpy as np

from sknn_adam._backends.vectors import add_scaled
from sknn_adam._component.layout import by_member
from sknn_adam._utils.validation import NON_NEGATIVE, POSITIVE
from sknn_adam.optimizers.adam import Adam

__all__ = ["Prodigy"]


class Prodigy(Adam):
    r"""Prodigy: Adam with an estimate of the distance to the solution as learning rate.

    The estimate :math:`d` starts at a tiny value, grows for a few hundred steps while the negative
    gradient points away from the initial weights, and then stays constant. Use Prodigy for a good
    first result without tuning the learning rate, together with a decreasing schedule such as
    ``"cosine"``.

    .. math::

        D_t &= \gamma\, d_{t-1} \sqrt{1 - \beta_2^t} / (1 - \beta_1^t), \qquad
        \bar g_t = d_{t-1}\, g_t \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, \bar g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, \bar g_t^2 \\
        s_t &= \sqrt{\beta_2}\, s_{t-1} + D_t\, \bar g_t / d_0, \qquad
        r_t = \sqrt{\beta_2}\, r_{t-1}
        + D_t \langle \bar g_t, \theta_0 - \theta_{t-1} \rangle / d_0 \\
        d_t &= \max(d_{t-1},\, r_t / \lVert s_t \rVert_1) \\
        \theta_t &= \theta_{t-1} - D_t\, (m_t / (\sqrt{v_t} + d_t \epsilon)
        + \lambda \theta_{t-1})

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient,
    :math:`D_t` is the bias-corrected step size, and :math:`\bar g_t` is the gradient times
    :math:`d_{t-1}`. Its averages :math:`m_t` and :math:`v_t` are as in Adam. :math:`s_t` and
    :math:`r_t` are decaying weighted sums of the gradients and of their inner products with
    :math:`\theta_0 - \theta_{t-1}`, where :math:`\theta_0` are the initial weights.

    Parameters
    ----------
    learning_rate : float, default=1.0
        The factor :math:`\gamma` that multiplies the estimate, greater than 0. It rarely needs
        tuning.
    beta_1 : float, default=0.9
        The decay rate :math:`\beta_1` of the average gradient, in [0, 1).
    beta_2 : float, default=0.999
        The decay rate :math:`\beta_2` of the average squared gradient, in [0, 1).
    epsilon : float, default=1e-8
        The constant :math:`\epsilon` that prevents division by zero, greater than 0.
    weight_decay : float, default=0.0
        The decoupled weight decay :math:`\lambda`, at least 0, applied to weights only.
    d_0 : float, default=1e-6
        The initial estimate :math:`d_0`, greater than 0. It should be smaller than any sensible
        learning rate.

    Notes
    -----
    The inner product and the norm are computed over all parameters of a network, which therefore
    share one :math:`d`. Each ensemble member has a separate :math:`d`. The bias correction is part
    of :math:`D`, so :math:`\epsilon` has a larger effect on early steps than in Adam. :math:`d`
    does not change while all gradients are zero.

    References
    ----------
    .. [1] Mishchenko, K., Defazio, A. (2024). Prodigy: an expeditiously adaptive parameter-free
       learner. ICML. The Adam version of the algorithm.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> model = MLPClassifier(optimizer="prodigy", schedule="cosine")
    """

    _parameter_constraints: ClassVar = {
        **Adam._parameter_constraints,
        "weight_decay": [NON_NEGATIVE],
        "d_0": [POSITIVE],
    }
    # Prodigy estimates the learning rate, so no hyper-parameter is searched.
    ranges: ClassVar = {}
    slots = ("m", "v", "s")

    def __init__(
        self,
        learning_rate: float = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.0,
        d_0: float = 1e-06,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        self.weight_decay = weight_decay
        self.d_0 = d_0

    def init(self, theta: np.ndarray, layout: Any = None) -> Any:
        """Return the state of a new run, with a copy of the initial `theta`."""
        state = super().init(theta, layout)
        state.theta_0, state.d, state.r = theta.copy(), float(self.d_0), 0.0
        state.members = by_member(layout)
        if state.members:
            state.d, state.r = [state.d] * len(state.members), [0.0] * len(state.members)
        return state

    def step(self, theta: np.ndarray, grad: np.ndarray, state: Any, lr_scale: float = 1.0) -> None:
        """Update `theta` in place from `grad`."""
        state.t += 1
        if not state.members:
            decayed = [block for block, decays in state.blocks if decays]
            state.d, state.r = self._move(
                theta, grad, state, lr_scale, (state.d, state.r), [slice(None)], decayed
            )
            return
        for m, own in enumerate(state.members):
            blocks = [block for block, _ in own]
            decayed = [block for block, role in own if role == "weight"]
            state.d[m], state.r[m] = self._move(
                theta, grad, state, lr_scale, (state.d[m], state.r[m]), blocks, decayed
            )

    def _move(
        self,
        theta: np.ndarray,
        grad: np.ndarray,
        state: Any,
        lr_scale: float,
        estimates: tuple[float, float],
        blocks: list[slice],
        decayed: list[slice],
    ) -> tuple[float, float]:
        """Update the `blocks` of one network and return the new d and r."""
        b1, b2, (d, r) = self.beta_1, self.beta_2, estimates
        D = d * self.learning_rate * lr_scale * (1 - b2**state.t) ** 0.5 / (1 - b1**state.t)
        weight, b3 = float(D * d / self.d_0), float(b2**0.5)

        along = norm = 0.0
        for block in blocks:
            s = state.s[block]
            s *= b3
            add_scaled(grad[block], weight, out=s)
            along += float(np.dot(grad[block], state.theta_0[block] - theta[block]))
            norm += float(np.abs(s).sum(dtype=np.float64))
        r = b3 * r + weight * along
        larger = max(d, r / norm) if norm > 0 else d

        for block in decayed if self.weight_decay else ():
            theta[block] *= 1 - float(D) * self.weight_decay
        scalars = (D, d, b1, 1 - b1, b2, 1 - b2, larger * self.epsilon)
        for block in blocks:
            self.update(theta, grad, state, scalars, block)
        return larger, r

    @staticmethod
    def rule(  # type: ignore[override]
        g: np.ndarray,
        m: np.ndarray,
        v: np.ndarray,
        s: np.ndarray,
        D: float,
        d: float,
        beta_1: float,
        one_minus_beta_1: float,
        beta_2: float,
        one_minus_beta_2: float,
        epsilon: float,
    ) -> tuple[np.ndarray, ...]:
        """Apply Adam to d * g; s has already been updated."""
        g = d * g
        m = beta_1 * m + one_minus_beta_1 * g
        v = beta_2 * v + one_minus_beta_2 * g * g
        return D * m / (np.sqrt(v) + epsilon), m, v, s
