"""Adam and its variants AMSGrad and AdamW."""

from math import sqrt
from typing import Any, ClassVar

import numpy as np

from sknn_adam._component.ranges import Choices, Range
from sknn_adam._utils.validation import FRACTION, NON_NEGATIVE, POSITIVE
from sknn_adam.optimizers._base import Optimizer

__all__ = ["Adam", "AMSGrad", "AdamW"]


class Adam(Optimizer):
    r"""Adam: adaptive moment estimation.

    Adam keeps decaying averages of the gradient (as in momentum) and of its square (as in
    RMSprop), corrects both for their initialization at zero, and divides the first by the square
    root of the second. A step changes each parameter by at most about the learning rate,
    regardless of the scale of the gradient. Adam is fast, easy to tune and works well on sparse
    and non-stationary data. It is a good default.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \hat m_t &= m_t / (1 - \beta_1^t), \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        \theta_t &= \theta_{t-1} - \gamma\, \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient,
    and :math:`m_t` and :math:`v_t` are the averages, with a hat after bias correction.

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

    Notes
    -----
    As in Algorithm 1 of [1]_ and in torch, :math:`\epsilon` is added after the bias correction.
    scikit-learn implements the paper's more efficient variant, in which :math:`\epsilon` has a
    larger effect on early steps.

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
    ranges: ClassVar = {
        **Optimizer.ranges,
        "beta_1": Choices((0.8, 0.9, 0.95), size="large", grid=(0.9,)),
        "beta_2": Choices((0.95, 0.99, 0.999), size="large", grid=(0.999,)),
    }
    slots: Any = ("m", "v")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
    ) -> None:
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def scalars(self, t: int, lr: float) -> tuple[float, ...]:
        r"""Return the step size, the betas with their complements, and epsilon.

        The step size and epsilon include the bias corrections: with
        :math:`c = \sqrt{1 - \beta_2^t}` the update is
        :math:`(\gamma c / (1 - \beta_1^t))\, m / (\sqrt v + c\,\epsilon)`.
        """
        b1, b2 = self.beta_1, self.beta_2
        c = sqrt(1 - b2**t)
        return lr * c / (1 - b1**t), b1, 1 - b1, b2, 1 - b2, c * self.epsilon

    @staticmethod
    def rule(
        g: np.ndarray,
        m: np.ndarray,
        v: np.ndarray,
        step: float,
        beta_1: float,
        one_minus_beta_1: float,
        beta_2: float,
        one_minus_beta_2: float,
        epsilon: float,
    ) -> tuple[np.ndarray, ...]:
        """Apply the update of Algorithm 1; `step` and `epsilon` include the bias corrections."""
        m = beta_1 * m + one_minus_beta_1 * g
        v = beta_2 * v + one_minus_beta_2 * g * g
        return step * m / (np.sqrt(v) + epsilon), m, v


class AMSGrad(Adam):
    r"""AMSGrad: Adam with a non-decreasing denominator.

    Adam forgets rare large gradients. Its next steps may then be too large, and it fails to
    converge on some convex problems. AMSGrad divides by the root of the largest :math:`v` so far.
    This is safer, but slower if the first gradients are large.

    .. math::

        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        w_t &= \max(w_{t-1}, v_t) \\
        \theta_t &= \theta_{t-1} - \gamma\, \frac{m_t}{1 - \beta_1^t} \Big/
        \Big(\sqrt{\frac{w_t}{1 - \beta_2^t}} + \epsilon\Big)

    Here :math:`\theta_t` are the parameters after step :math:`t`, :math:`g_t` is the gradient,
    :math:`m_t` and :math:`v_t` are the averages of the gradients and of their squares, and
    :math:`w_t` is the maximum of :math:`v`.

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

    Notes
    -----
    As in torch, the maximum is taken before the bias correction. The paper has no bias correction,
    and optax takes the maximum after it.

    References
    ----------
    .. [1] Reddi, S., Kale, S., Kumar, S. (2018). On the convergence of Adam and beyond. ICLR.
       Algorithm 2.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.optimizers import AMSGrad
    >>> MLPClassifier(optimizer=AMSGrad(beta_2=0.99)).get_params()["optimizer__beta_2"]
    0.99
    """

    slots = ("m", "v", "w")

    @staticmethod
    def rule(  # type: ignore[override]
        g: np.ndarray,
        m: np.ndarray,
        v: np.ndarray,
        w: np.ndarray,
        step: float,
        beta_1: float,
        one_minus_beta_1: float,
        beta_2: float,
        one_minus_beta_2: float,
        epsilon: float,
    ) -> tuple[np.ndarray, ...]:
        """Apply the update of Algorithm 2 with bias correction."""
        m = beta_1 * m + one_minus_beta_1 * g
        v = beta_2 * v + one_minus_beta_2 * g * g
        w = np.maximum(w, v)
        return step * m / (np.sqrt(w) + epsilon), m, v, w


class AdamW(Adam):
    r"""AdamW: Adam with decoupled weight decay.

    In Adam, the gradient of an L2 penalty is divided by :math:`\sqrt v` as well, so the penalty
    has little effect on weights with large gradients. AdamW instead multiplies all weights by the
    same factor. Prefer it to Adam if regularization matters.

    .. math::

        \theta_t = (1 - \gamma \lambda)\, \theta_{t-1}
        - \gamma\, \hat m_t / (\sqrt{\hat v_t} + \epsilon),
        \qquad \hat m_t, \hat v_t \text{ as in Adam}

    Here :math:`\theta_t` are the parameters after step :math:`t`.

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
    weight_decay : float, default=0.01
        The weight decay :math:`\lambda`, at least 0. Biases and normalization parameters are not
        decayed.

    Notes
    -----
    The decay is multiplied by the scheduled learning rate, as in torch. The paper multiplies it by
    the schedule factor only. The estimator's ``alpha`` adds a penalty to the objective (L2, and L1
    if ``l1_ratio`` is positive); set ``alpha=0`` to use weight decay alone.

    References
    ----------
    .. [1] Loshchilov, I., Hutter, F. (2019). Decoupled weight decay regularization. ICLR.
       Algorithm 2.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.optimizers import AdamW
    >>> model = MLPClassifier(optimizer=AdamW(weight_decay=0.1), alpha=0.0)
    """

    _parameter_constraints: ClassVar = {
        **Adam._parameter_constraints,
        "weight_decay": [NON_NEGATIVE],
    }
    ranges: ClassVar = {
        **Adam.ranges,
        "weight_decay": Range(1e-4, 1e-1, log=True),
    }

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        self.weight_decay = weight_decay
