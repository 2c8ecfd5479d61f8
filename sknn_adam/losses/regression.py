"""Losses that depend on the differences between predictions and targets."""

from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from sknn_adam._component.ranges import Choices
from sknn_adam._utils.sklearn_compat import Interval
from sknn_adam._utils.validation import POSITIVE
from sknn_adam.losses._base import RegressionLoss, over_outputs

__all__ = ["AbsoluteError", "GaussianLoss", "HuberLoss", "QuantileLoss", "SquaredError"]


class SquaredError(RegressionLoss):
    r"""Half the squared error :math:`\tfrac12 \sum_k (z_k - y_k)^2`, with gradient :math:`z - y`.

    Here :math:`z_k` is the prediction and :math:`y_k` the target of output :math:`k`. The
    network predicts the conditional mean. This loss is the default: it is smooth and optimal for
    normally distributed errors, but a single outlier can have as much influence as thousands of
    other samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import SquaredError
    >>> SquaredError().value(np.array([[1.0]]), np.array([[3.0]]))
    array([2.])
    """

    compiled_loop = "squared_error"

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which share the difference."""
        r = z - y
        return over_outputs(r * r) / 2, r


class AbsoluteError(RegressionLoss):
    r"""The absolute error :math:`\sum_k |z_k - y_k|`, with gradient :math:`\mathrm{sign}(z - y)`.

    Here :math:`z_k` is the prediction and :math:`y_k` the target of output :math:`k`. The
    network predicts the conditional median, which is robust to outliers. The gradient does not
    vanish near the minimum, so a schedule that decreases the learning rate helps.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import AbsoluteError
    >>> AbsoluteError().value(np.array([[1.0]]), np.array([[3.0]]))
    array([2.])
    """

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which share the difference."""
        r = z - y
        return over_outputs(np.abs(r)), np.sign(r)


class HuberLoss(RegressionLoss):
    r"""The Huber loss: squared for small errors, absolute for large ones.

    .. math::

        \sum_k \begin{cases} r_k^2 / 2 & |r_k| \le \delta \\
        \delta\, (|r_k| - \delta / 2) & \text{else} \end{cases}, \qquad r = z - y,

    where :math:`r` is the error of the prediction :math:`z` for the target :math:`y`. The gradient
    is :math:`r` clipped to :math:`[-\delta, \delta]`. The prediction is a compromise between the
    mean and the median. As with the absolute error, the influence of an outlier is bounded.

    Parameters
    ----------
    delta : float, default=1.0
        :math:`\delta`, the error at which the loss changes from squared to absolute; greater than
        0. It applies to scaled targets: with ``target_scaling=True``, it is measured in standard
        deviations of y.

    References
    ----------
    .. [1] Huber, P. J. (1964). Robust estimation of a location parameter. Annals of Mathematical
       Statistics 35.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import HuberLoss
    >>> HuberLoss(delta=1.0).value(np.array([[1.0]]), np.array([[3.0]]))
    array([1.5])
    """

    _parameter_constraints: ClassVar = {"delta": [POSITIVE]}
    ranges: ClassVar = {"delta": Choices((0.5, 1.0, 2.0), size="large")}

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which is the clipped difference."""
        delta, r = float(self.delta), z - y
        gradient = np.clip(r, -delta, delta)
        return over_outputs(gradient * (r - gradient / 2)), gradient


class QuantileLoss(RegressionLoss):
    r"""The quantile (pinball) loss.

    .. math:: \sum_k \begin{cases} \tau\, (y_k - z_k) & z_k \le y_k \\
              (1 - \tau)\, (z_k - y_k) & \text{else} \end{cases}

    Here :math:`z_k` is the prediction and :math:`y_k` the target. The gradient is :math:`-\tau` for
    predictions below the target and :math:`1 - \tau` above it. The prediction is the value below
    which a fraction :math:`\tau` of the targets falls. Use several levels to predict an interval:
    with ``level=(0.05, 0.5, 0.95)``, the first and last columns of the predictions are the bounds
    of a 90% prediction interval.

    Parameters
    ----------
    level : float or sequence of float, default=0.5
        :math:`\tau`, in (0, 1). Several levels must be in increasing order and require a target
        with a single output. ``predict`` then returns one column per level, and ``score`` uses the
        level nearest to 0.5.

    Notes
    -----
    Predicted quantiles never cross, because ``predict`` sorts the raw outputs, one per level.
    Sorting does not increase the loss [2]_. A forward pass with ``coefs_``, followed by sorting,
    reproduces ``predict``. If the network predicted positive increments between the levels instead,
    an error at one level would shift the others.

    References
    ----------
    .. [1] Koenker, R., Bassett, G. (1978). Regression quantiles. Econometrica 46.
    .. [2] Chernozhukov, V., Fernández-Val, I., Galichon, A. (2010). Quantile and probability
       curves without crossing. Econometrica 78.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import QuantileLoss
    >>> QuantileLoss(level=0.9).value(np.array([[3.0]]), np.array([[1.0]]))
    array([1.8])
    """

    def __init__(self, level: float | Sequence[float] = 0.5) -> None:
        self.level = level

    def validate(self) -> None:
        """Check that the levels are increasing numbers between 0 and 1."""
        allowed = Interval(Real, 0, 1, closed="neither")
        given: Any = self.level
        several = isinstance(given, tuple | list | np.ndarray) and np.ndim(given) == 1
        levels = list(given) if several else [given]
        valid = bool(levels) and all(allowed.is_satisfied_by(level) for level in levels)
        if not valid or (np.diff(levels) <= 0).any():
            raise ValueError(
                "The 'level' parameter of QuantileLoss must be a float in the range (0.0, 1.0) or "
                f"an increasing sequence of such floats. Got {self.level!r} instead."
            )

    def n_raw(self, n_outputs: int) -> int:
        """Return the number of raw outputs: one per output, or one per level of a single output."""
        if np.size(self.level) == 1:
            return n_outputs
        if n_outputs > 1:
            raise ValueError(
                f"QuantileLoss with several levels predicts one output, but y has {n_outputs}. Use "
                "a single level, or sklearn.multioutput.MultiOutputRegressor."
            )
        return np.size(self.level)

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which share the difference."""
        level, r = np.asarray(self.level, dtype=z.dtype), z - y
        # NumPy 1 would return float64 for `1 - level`.
        above = np.subtract(1, level, dtype=z.dtype)
        gradient = (r > 0) * above - (r < 0) * level
        return over_outputs(gradient * r), gradient

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Return one column per output, or one per level in increasing order."""
        return z if np.size(self.level) == 1 else np.sort(z, axis=-1)

    def point(self, z: np.ndarray) -> np.ndarray:
        """Return the column whose level is nearest to 0.5."""
        if np.size(self.level) == 1:
            return z
        nearest = np.abs(np.asarray(self.level) - 0.5).argmin()
        return self.predict(z)[..., nearest, None]


class GaussianLoss(RegressionLoss):
    r"""The negative log-likelihood of a normal distribution with learned mean and variance.

    .. math:: \tfrac12 \sum_k \left( s_k + (y_k - m_k)^2 e^{-s_k} \right)

    Here :math:`y_k` is the target, :math:`m_k` the mean and :math:`s_k` the log-variance of output
    :math:`k`. The network has two raw outputs per output: first all means, then all log-variances.
    The gradient is :math:`(m - y)\, e^{-s}` for the mean and
    :math:`(1 - (y - m)^2 e^{-s}) / 2` for the log-variance. ``predict`` returns the mean and
    ``predict(X, return_std=True)`` the mean and the standard deviation. Use this loss if the
    variance of the noise depends on the features.

    Notes
    -----
    A network that fits a target exactly could decrease the loss without limit by reducing the
    predicted variance to 0. The log-variance therefore equals the raw output :math:`u` only within
    [-20, 40]. Outside this range, it changes by less than 1, and its slope decays from 1 to 0:

    .. math:: s = -21 + e^{u + 20} \;\; (u < -20), \qquad s = 41 - e^{40 - u} \;\; (u > 40).

    The gradient with respect to :math:`u` includes this slope, so it vanishes far outside the
    range. The predicted standard deviation is never below :math:`e^{-10.5}`; with
    ``target_scaling=True``, this is about 1/36,000 of the standard deviation of y. The constant
    :math:`\tfrac12 \log 2\pi` is omitted.

    References
    ----------
    .. [1] Nix, D. A., Weigend, A. S. (1994). Estimating the mean and variance of the target
       probability distribution. ICNN.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import GaussianLoss
    >>> GaussianLoss().value(np.array([[1.0]]), np.array([[3.0, 0.0]]))
    array([2.])
    """

    def n_raw(self, n_outputs: int) -> int:
        """Return the number of raw outputs, two per output."""
        return 2 * n_outputs

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which share the errors divided by the variance."""
        n_outputs = y.shape[-1]
        r = z[..., :n_outputs] - y
        s, slope = _levelled_off(z[..., n_outputs:])
        precision = np.exp(-s)
        by_mean = r * precision
        squares = r * by_mean
        by_log_variance = slope * (1 - squares) / 2
        gradient = np.concatenate([by_mean, by_log_variance], axis=-1)
        return over_outputs(s + squares) / 2, gradient

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Return the means."""
        return z[..., : z.shape[-1] // 2]

    def deviation(self, z: np.ndarray) -> np.ndarray:
        """Return the standard deviations."""
        return np.exp(_levelled_off(z[..., z.shape[-1] // 2 :])[0] / 2)

    def raw_scaling(self, shift: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return factors and offsets, first for the means and then for the log-variances."""
        return (
            np.concatenate([scale, np.ones_like(scale)]),
            np.concatenate([shift, 2 * np.log(scale)]),
        )


def _levelled_off(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return smoothly bounded log-variances and their derivative with respect to `u`."""
    inside = np.clip(u, -20.0, 40.0)
    beyond = u - inside
    slope = np.exp(-np.abs(beyond))
    return inside + np.copysign(1 - slope, beyond), slope
