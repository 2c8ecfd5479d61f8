"""The base classes of all losses."""

from math import log
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, logsumexp

from sknn_adam._component.base import Component, overrides
from sknn_adam._utils.validation import check_shape, extreme_exponent

__all__ = ["ClassificationLoss", "Loss", "RegressionLoss", "over_outputs"]


class Loss(Component):
    """Base class of all losses.

    A subclass defines ``value`` and ``gradient``, or ``value_and_gradient`` if they share work.
    These methods must sum over the last axis only, because `z` may have leading axes that `y` does
    not have.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import SquaredError
    >>> loss, y, z = SquaredError(), np.array([[1.0], [3.0]]), np.array([[2.0], [3.0]])
    >>> loss.value(y, z)  # one value per sample
    array([0.5, 0. ])
    >>> float(loss.mean(y, z))
    0.25
    """

    contract = (("value", "value_and_gradient"), ("gradient", "value_and_gradient"))

    # True if a class overrides `value` or `gradient` but inherits `value_and_gradient`, which would
    # bypass the override.
    _apart: ClassVar[bool] = False

    # Name of the compiled loop for the mean loss and its gradient: "log_loss" or "squared_error".
    # A subclass that redefines the value or the gradient does not inherit it.
    compiled_loop: ClassVar[str | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._apart = any(
            overrides(cls, method, "value_and_gradient") for method in ("value", "gradient")
        )
        formulas = ("value", "gradient", "value_and_gradient", "both", "mean_and_gradient")
        if any(overrides(cls, method, "compiled_loop") for method in formulas):
            cls.compiled_loop = None

    @property
    def predicts_deviations(self) -> bool:
        """Whether the loss predicts standard deviations."""
        return False

    def n_raw(self, n_outputs: int) -> int:
        """Return the number of raw outputs that the network needs for `n_outputs` outputs."""
        return n_outputs

    def value(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the loss of each sample, shape (..., n_samples)."""
        return self.value_and_gradient(y, z)[0]

    def gradient(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the derivative of each sample's loss by its raw outputs, in the shape of `z`."""
        return self.value_and_gradient(y, z)[1]

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss of each sample and its derivative as new arrays."""
        return self.value(y, z), self.gradient(y, z)

    def both(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss of each sample and its derivative, respecting overridden methods."""
        if self._apart:
            return self.value(y, z), self.gradient(y, z)
        return self.value_and_gradient(y, z)

    def mean(self, y: np.ndarray, z: np.ndarray, weight: np.ndarray | None = None) -> Any:
        """Return the mean loss over samples; `weight` has mean 1 over all training samples."""
        value = self.value(y, z)
        check_shape(self, "The value", value, z.shape[:-1])
        return _reduce(value, weight)

    def constant_loss(self, y: np.ndarray) -> float:
        """Return the mean loss of the constant prediction for `y`."""
        return float(self.mean(y, np.ones((len(y), 1)) * self.constant(y)))

    def mean_and_gradient(
        self, y: np.ndarray, z: np.ndarray, weight: np.ndarray | None = None
    ) -> tuple[Any, np.ndarray]:
        """Return the weighted mean loss over samples and its gradient with respect to `z`.

        Weights have mean 1 over all training samples. The sum is divided by the number of samples
        in the batch, not by the sum of their weights, so that a batch with small weights has a
        small gradient.
        """
        value, gradient = self.both(y, z)
        check_shape(self, "The value", value, z.shape[:-1])
        check_shape(self, "The gradient", gradient, z.shape)
        factor = 1 / z.shape[-2] if weight is None else (weight / z.shape[-2])[..., None]
        # Not in place, because a custom loss may return the targets or an array that it uses again.
        gradient = gradient * factor
        if gradient.dtype != z.dtype:
            gradient = gradient.astype(z.dtype)
        return _reduce(value, weight), gradient


def _reduce(value: np.ndarray, weight: np.ndarray | None) -> Any:
    if weight is None:
        return np.add.reduce(value, axis=-1, dtype=np.float64) / value.shape[-1]
    return (value * weight).sum(axis=-1, dtype=np.float64) / value.shape[-1]


def over_outputs(value: np.ndarray) -> np.ndarray:
    """Sum over the last axis; return a view if there is only one output."""
    return value[..., 0] if value.shape[-1] == 1 else value.sum(axis=-1)


class ClassificationLoss(Loss):
    """Base class of classification losses.

    Targets are integer codes of shape (n_samples,) for two or more exclusive classes, or a binary
    matrix of shape (n_samples, n_labels) for multilabel targets. A binary target and each label
    have a single raw output, the log odds.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import LogLoss
    >>> log_odds = np.array([[0.0], [2.0]])
    >>> LogLoss().predict(log_odds, True).round(2)  # probabilities of both classes
    array([[0.5 , 0.5 ],
           [0.12, 0.88]])
    """

    task: ClassVar[str] = "classification"

    def combine(self, z: np.ndarray, exclusive: bool = True) -> np.ndarray:
        """Return raw outputs, shape (n_samples, n_raw), that predict the mean over members.

        `z` of shape (n_members, n_samples, n_raw) contains the raw outputs of the members. The
        arithmetic mean of their probabilities is computed in log space, so the result is accurate
        even where they round to 0 or 1.
        """
        if exclusive and z.shape[-1] > 1:
            return logsumexp(z - logsumexp(z, axis=-1, keepdims=True), axis=0) - log(len(z))
        return logsumexp(-np.logaddexp(0, -z), axis=0) - logsumexp(-np.logaddexp(0, z), axis=0)

    def constant(self, y: np.ndarray, n_classes: int = 2) -> np.ndarray:
        """Return the raw outputs of the constant prediction for `y`, shape (n_raw,)."""
        if y.ndim == 2:  # multilabel
            p = np.clip(y.mean(axis=0, dtype=np.float64), 1e-6, 1 - 1e-6)
            return np.log(p / (1 - p))
        log_p = np.log(np.maximum(np.bincount(y, minlength=n_classes) / len(y), 1e-6))
        return log_p if len(log_p) > 2 else log_p[1:] - log_p[:1]

    def predict(self, z: np.ndarray, exclusive: bool = True) -> np.ndarray:
        """Return probabilities, shape (..., n_samples, n_classes or n_labels)."""
        if exclusive and z.shape[-1] > 1:
            return _softmax(z)
        p = expit(z)
        return np.concatenate([expit(-z), p], axis=-1) if exclusive else p


def _softmax(z: np.ndarray) -> np.ndarray:
    # The difference of two huge values may overflow to -inf, whose exponential is 0.
    with np.errstate(over="ignore"):
        p = np.exp(z - z.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return p


class RegressionLoss(Loss):
    """Base class of regression losses, with targets of shape (n_samples, n_outputs).

    Two class attributes configure the regressor. ``target_scaling`` is the scaling that its
    parameter of the same name applies: ``"standard"`` (mean 0, standard deviation 1) for losses
    that depend only on differences, or ``"mean"`` (division by the mean) for losses for positive
    targets.
    ``out_activation`` is the function that converts raw outputs to predictions: ``"identity"`` or
    ``"exp"``.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam import MLPRegressor
    >>> from sknn_adam.losses import RegressionLoss
    >>> class LogCosh(RegressionLoss):
    ...     def value(self, y, z):
    ...         return np.log(np.cosh(z - y)).sum(axis=-1)
    ...
    ...     def gradient(self, y, z):
    ...         return np.tanh(z - y)
    >>> model = MLPRegressor(loss=LogCosh())
    """

    task: ClassVar[str] = "regression"
    target_scaling: ClassVar[str] = "standard"
    out_activation: ClassVar[str] = "identity"

    def check_targets(self, y: np.ndarray, first: bool = True) -> None:
        """Raise ValueError if the loss is not defined for the targets.

        Conditions that concern all targets together, such as a positive sum, are checked only if
        `first` is True, which is when the scaling of the targets is learned.
        """

    def scaling(self, y: np.ndarray, weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the shift and scale of each output; the network learns ``(y - shift) / scale``.

        The scale is 1 for outputs whose standard deviation (or mean) is 0.
        """
        # Sums, differences and squares of extreme targets would overflow.
        exponent = extreme_exponent(y, axis=0)
        y = np.ldexp(y, -exponent)
        shift, power = np.zeros(y.shape[1]), 1
        if self.target_scaling == "standard":
            shift, power = np.average(y, axis=0, weights=weight), 2
        distance = np.abs(y - shift)
        peak = distance.max(axis=0)
        peak[peak == 0] = 1
        scale = peak * np.average((distance / peak) ** power, axis=0, weights=weight) ** (1 / power)
        shift, scale = np.ldexp(shift, exponent), np.ldexp(scale, exponent)
        return shift, np.where(scale > 0, scale, 1.0)

    def constant(self, y: np.ndarray) -> np.ndarray:
        """Return the raw outputs of the constant prediction for `y`, shape (n_raw,).

        They predict the mean if the loss has one raw output per output. Otherwise they are 0.
        """
        mean, n_raw = y.mean(axis=0, dtype=np.float64), self.n_raw(y.shape[1])
        if n_raw != len(mean):
            return np.zeros(n_raw)
        return mean if self.out_activation == "identity" else np.log(np.maximum(mean, 1e-12))

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Return predictions on the scale of the training targets."""
        return z

    def point(self, z: np.ndarray) -> np.ndarray:
        """Return one prediction per output, even if ``predict`` returns several."""
        return self.predict(z)

    @property
    def predicts_deviations(self) -> bool:
        """Whether the loss predicts standard deviations."""
        return type(self).deviation is not RegressionLoss.deviation

    def deviation(self, z: np.ndarray) -> np.ndarray:
        """Return predicted standard deviations on the scale of the training targets."""
        raise ValueError(
            f"return_std=True needs a loss that predicts standard deviations, such as 'gaussian'. "
            f"{type(self).__name__} does not."
        )

    def raw_scaling(self, shift: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factor and offset that convert raw outputs to those for unscaled targets.

        If a network trained with targets ``(y - shift) / scale`` returns `z`, then
        ``z * factor + offset`` are the raw outputs that predict `y` itself.
        """
        return scale, shift
