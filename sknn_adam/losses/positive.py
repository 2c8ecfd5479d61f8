r"""Losses for positive targets such as counts, rates and amounts.

All of them use a log link: the predicted mean is :math:`\mu = e^z`, so effects are multiplicative
and predictions are positive. Terms that depend only on the targets are omitted, so the loss may be
negative.
"""

from numbers import Real
from typing import ClassVar

import numpy as np

from sknn_adam._utils.sklearn_compat import Interval
from sknn_adam.losses._base import RegressionLoss, over_outputs

__all__ = ["GammaLoss", "PoissonLoss", "PositiveLoss", "TweedieLoss"]

# exp(30) is 1e13, and its square is still far from overflow in float32.
BOUND = 30.0


def growth(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return exp(u) and its derivative, with the tangent in place of exp(u) above the bound.

    The tangent keeps losses finite and convex. A clipped exponential would have a zero gradient,
    so that a raw output beyond the bound could never recover.
    """
    slope = np.exp(np.minimum(u, BOUND))
    return slope * (1 + np.maximum(u - BOUND, 0)), slope


class PositiveLoss(RegressionLoss):
    """Base class of losses with a log link."""

    target_scaling = "mean"
    out_activation = "exp"
    zero_allowed: ClassVar[bool] = True

    def check_targets(self, y: np.ndarray, first: bool = True) -> None:
        """Raise ValueError if targets are outside the domain or an output has only zeros."""
        name, lowest = type(self).__name__, y.min()
        if lowest < 0 or (lowest == 0 and not self.zero_allowed):
            domain = "y >= 0 with a positive sum" if self.zero_allowed else "y > 0"
            raise ValueError(f"{name} needs targets {domain}. The smallest y is {lowest:g}.")
        if first and not y.any(axis=0).all():
            raise ValueError(
                f"{name} needs targets y >= 0 with a positive sum. Every y of output "
                f"{int(y.any(axis=0).argmin())} is 0."
            )

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Return exp(z), between 1e-13 and 1e13 times the scale of the targets."""
        return np.exp(np.clip(z, -BOUND, BOUND))

    def raw_scaling(self, shift: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a factor of 1 and the offset log(scale), because exp(z + log(s)) = s * exp(z)."""
        return np.ones_like(scale), np.log(scale)


class PoissonLoss(PositiveLoss):
    r"""Half the Poisson deviance, for counts and rates: :math:`\sum_k e^{z_k} - y_k z_k`.

    Here :math:`z_k` is the raw output and :math:`y_k` the target of output :math:`k`. The gradient
    is :math:`e^z - y`. The prediction is the mean, and the variance is assumed to be proportional
    to it. Targets must be non-negative and not all zero. They need not be integers: for rates per
    exposure, pass the exposure as ``sample_weight``.

    Notes
    -----
    Above :math:`z = 30`, the exponential is replaced by its tangent, so the loss is finite for any
    raw output. With ``target_scaling=True``, this bound corresponds to 1e13 times the mean
    target.
    Scaling the targets by their mean divides the loss by that mean, up to a constant.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import PoissonLoss
    >>> PoissonLoss().value(np.array([[2.0]]), np.array([[0.0]]))
    array([1.])
    """

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which share the exponential."""
        mean, slope = growth(z)
        return over_outputs(mean - y * z), slope - y


class GammaLoss(PositiveLoss):
    r"""Half the gamma deviance, for amounts above zero: :math:`\sum_k z_k + y_k e^{-z_k}`.

    Here :math:`z_k` is the raw output and :math:`y_k` the target of output :math:`k`. The gradient
    is :math:`1 - y e^{-z}`. The prediction is the mean, and the standard deviation is assumed to be
    proportional to it. All targets must be positive. The loss depends only on relative errors, so
    small and large targets are equally important.

    Notes
    -----
    Below :math:`z = -30`, the exponential is replaced by its tangent, so the loss is finite for any
    raw output. With ``target_scaling=True``, this bound corresponds to 1e-13 times the mean
    target.
    Scaling the targets changes the loss only by a constant.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import GammaLoss
    >>> GammaLoss().value(np.array([[2.0]]), np.array([[0.0]]))
    array([2.])
    """

    zero_allowed = False

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which share the exponential."""
        inverse, slope = growth(-z)
        return over_outputs(z + y * inverse), 1 - y * slope


class TweedieLoss(PositiveLoss):
    r"""Half the Tweedie deviance, for amounts that are often exactly zero.

    .. math:: \sum_k \frac{e^{(2 - p) z_k}}{2 - p} + y_k \frac{e^{-(p - 1) z_k}}{p - 1}

    Here :math:`z_k` is the raw output and :math:`y_k` the target of output :math:`k`. The gradient
    is :math:`e^{(2 - p) z} - y e^{-(p - 1) z}`. A target is modelled as the sum of a random number
    of random amounts (claims in a year, rain in a day). The prediction is the mean, and the
    variance is assumed to be proportional to the mean to the power :math:`p`. Targets must be
    non-negative and not all zero.

    Parameters
    ----------
    power : float, default=1.5
        :math:`p`, in (1, 2). Values near 1 suit counts, like `PoissonLoss`. Values near 2 suit
        amounts without zeros, like `GammaLoss`.

    Notes
    -----
    If the exponent of a term is above 30, the exponential is replaced by its tangent, so the loss
    is finite for any raw output.

    References
    ----------
    .. [1] Jørgensen, B. (1987). Exponential dispersion models. Journal of the Royal Statistical
       Society B 49.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import TweedieLoss
    >>> TweedieLoss(power=1.5).value(np.array([[2.0]]), np.array([[0.0]]))
    array([6.])
    """

    _parameter_constraints: ClassVar = {"power": [Interval(Real, 1, 2, closed="neither")]}

    def __init__(self, power: float = 1.5) -> None:
        self.power = power

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which share the exponentials."""
        up, down = 2 - float(self.power), float(self.power) - 1
        rising, rising_slope = growth(up * z)
        falling, falling_slope = growth(-down * z)
        value = over_outputs(rising / up + y * falling / down)
        return value, rising_slope - y * falling_slope
