r"""Losses of targets that are positive: counts, rates, amounts.

All have a log link, :math:`\mu = e^z`: effects multiply, and predictions are positive. Terms that
depend on the targets alone are left out of the values, which may therefore be negative.
"""

from numbers import Real
from typing import ClassVar

import numpy as np

from sknn_adam._utils.sklearn_compat import Interval
from sknn_adam.losses._base import RegressionLoss, over_outputs

__all__ = ["GammaLoss", "PoissonLoss", "PositiveLoss", "TweedieLoss"]

BOUND = 30.0  # exp(30) is 1e13, and its square is still far from overflow in float32


def growth(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return exp(u), continued by its tangent above the bound, and its derivative.

    A tangent keeps losses finite and convex; cut off, the exponential would have no gradient
    and a raw output that went too far would never come back.
    """
    slope = np.exp(np.minimum(u, BOUND))
    return slope * (1 + np.maximum(u - BOUND, 0)), slope


class PositiveLoss(RegressionLoss):
    """Base of losses with a log link."""

    target_scaling = "mean"
    out_activation = "exp"
    zero_allowed: ClassVar[bool] = True

    def check_targets(self, y: np.ndarray, first: bool = True) -> None:
        """Raise ValueError for a target below zero, or for nothing but zeros in an output."""
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
        """Return an offset: a factor on predictions adds its logarithm to raw outputs."""
        return np.ones_like(scale), np.log(scale)


class PoissonLoss(PositiveLoss):
    r"""Half the Poisson deviance, for counts and rates: :math:`\sum_k e^{z_k} - y_k z_k`.

    Its gradient is :math:`e^z - y`. Targets must not be negative, nor all be zero; they need not
    be integers: for rates per exposure, give the exposure as sample weight. Predicts the mean,
    and expects a variance proportional to it.

    Notes
    -----
    Above :math:`z = 30` the exponential goes on as its tangent, so that any raw output has a
    finite loss. With ``target_scaling="auto"`` that is 1e13 times the mean target. The scaling
    by the mean only divides this loss by it.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import PoissonLoss
    >>> PoissonLoss().value(np.array([[2.0]]), np.array([[0.0]]))
    array([1.])
    """

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both; they share the exponential."""
        mean, slope = growth(z)
        return over_outputs(mean - y * z), slope - y


class GammaLoss(PositiveLoss):
    r"""Half the gamma deviance, for amounts above zero: :math:`\sum_k z_k + y_k e^{-z_k}`.

    Its gradient is :math:`1 - y e^{-z}`. Predicts the mean of targets, all positive, whose
    standard deviation is proportional to their mean. It depends on relative errors, so that
    small and large targets weigh the same.

    Notes
    -----
    Below :math:`z = -30` the exponential goes on as its tangent, so that any raw output has a
    finite loss. With ``target_scaling="auto"`` that is 1e-13 times the mean target. The scaling
    does not change this loss but for a constant.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import GammaLoss
    >>> GammaLoss().value(np.array([[2.0]]), np.array([[0.0]]))
    array([2.])
    """

    zero_allowed = False

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both; they share the exponential."""
        inverse, slope = growth(-z)
        return over_outputs(z + y * inverse), 1 - y * slope


class TweedieLoss(PositiveLoss):
    r"""Half the Tweedie deviance, for amounts that are often exactly zero.

    .. math:: \sum_k \frac{e^{(2 - p) z_k}}{2 - p} + y_k \frac{e^{-(p - 1) z_k}}{p - 1}

    with gradient :math:`e^{(2 - p) z} - y e^{-(p - 1) z}`. Predicts the mean of a sum of a random
    number of random amounts (claims in a year, rain in a day), with a variance proportional to
    the mean to the power :math:`p`. Targets must not be negative, nor all be zero.

    Parameters
    ----------
    power : float, default=1.5
        :math:`p`, in (1, 2): near 1 as for counts (`PoissonLoss`), near 2 as for amounts without
        zeros (`GammaLoss`).

    Notes
    -----
    Where the exponent of a term is above 30 the exponential goes on as its tangent, so that any
    raw output has a finite loss.

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
        """Return both; they share the exponentials."""
        up, down = 2 - float(self.power), float(self.power) - 1
        rising, rising_slope = growth(up * z)
        falling, falling_slope = growth(-down * z)
        value = over_outputs(rising / up + y * falling / down)
        return value, rising_slope - y * falling_slope
