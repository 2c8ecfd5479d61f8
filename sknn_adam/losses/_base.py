"""The bases of all losses: weights, the mean over samples, and the interface for estimators."""

from math import log
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, logsumexp

from sknn_adam._component.base import Component, overrides
from sknn_adam._utils.validation import check_shape, extreme_exponent

__all__ = ["ClassificationLoss", "Loss", "RegressionLoss", "over_outputs"]


class Loss(Component):
    """Base of all losses.

    A subclass defines ``value`` and ``gradient``, or ``value_and_gradient`` where they share work.
    Its sums run over the last axis only, so that `z` may have leading axes that `y` has not.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import SquaredError
    >>> loss, y, z = SquaredError(), np.array([[1.0], [3.0]]), np.array([[2.0], [3.0]])
    >>> loss.value(y, z)  # of each sample
    array([0.5, 0. ])
    >>> float(loss.mean(y, z))
    0.25
    """

    contract = (("value", "value_and_gradient"), ("gradient", "value_and_gradient"))

    # Whether a class overrides `value` or `gradient`, which `value_and_gradient` would bypass.
    _apart: ClassVar[bool] = False

    # The compiled loop that computes the same mean and gradient: "log_loss" or "squared_error".
    # A subclass that defines another value or gradient does not inherit it.
    compiled_loop: ClassVar[str | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._apart = any(
            overrides(cls, method, "value_and_gradient") for method in ("value", "gradient")
        )
        formulas = ("value", "gradient", "value_and_gradient", "both", "mean_and_gradient")
        if any(overrides(cls, method, "compiled_loop") for method in formulas):
            cls.compiled_loop = None

    def n_raw(self, n_outputs: int) -> int:
        """Return how many raw outputs the network needs for `n_outputs` outputs."""
        return n_outputs

    def value(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the loss of each sample, shape (..., n_samples)."""
        return self.value_and_gradient(y, z)[0]

    def gradient(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the derivative of each sample's loss with respect to its raw outputs, as `z`."""
        return self.value_and_gradient(y, z)[1]

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss of each sample and its derivative, both new arrays."""
        return self.value(y, z), self.gradient(y, z)

    def both(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss of each sample and its derivative by the most derived definitions."""
        if self._apart:
            return self.value(y, z), self.gradient(y, z)
        return self.value_and_gradient(y, z)

    def mean(self, y: np.ndarray, z: np.ndarray, weight: np.ndarray | None = None) -> Any:
        """Return the weighted mean loss over samples; weights have mean 1 over the whole fit."""
        value = self.value(y, z)
        check_shape(self, "The value", value, z.shape[:-1])
        return _reduce(value, weight)

    def constant_loss(self, y: np.ndarray) -> float:
        """Return the mean loss of the constant prediction for `y`."""
        return float(self.mean(y, np.ones((len(y), 1)) * self.constant(y)))

    def mean_and_gradient(
        self, y: np.ndarray, z: np.ndarray, weight: np.ndarray | None = None
    ) -> tuple[Any, np.ndarray]:
        """Return the weighted mean over the samples and its gradient with respect to `z`.

        Weights are relative: their mean over the whole fit is 1. Dividing by the number of samples,
        not by the sum of the weights in the batch, keeps a batch of small weights small.
        """
        value, gradient = self.both(y, z)
        check_shape(self, "The value", value, z.shape[:-1])
        check_shape(self, "The gradient", gradient, z.shape)
        factor = 1 / z.shape[-2] if weight is None else (weight / z.shape[-2])[..., None]
        # Not in place: a user's gradient may be the targets themselves, or an array that is kept.
        gradient = gradient * factor
        if gradient.dtype != z.dtype:
            gradient = gradient.astype(z.dtype)
        return _reduce(value, weight), gradient


def _reduce(value: np.ndarray, weight: np.ndarray | None) -> Any:
    if weight is None:
        return np.add.reduce(value, axis=-1, dtype=np.float64) / value.shape[-1]
    return (value * weight).sum(axis=-1, dtype=np.float64) / value.shape[-1]


def over_outputs(value: np.ndarray) -> np.ndarray:
    """Return the sum over the last axis; a sum of one term is the term, and needs no loop."""
    return value[..., 0] if value.shape[-1] == 1 else value.sum(axis=-1)


class ClassificationLoss(Loss):
    """Base of classification losses.

    Targets are integer codes of shape (n_samples,) for two or more exclusive classes, or a 0/1
    matrix (n_samples, n_labels) for labels that do not exclude each other. Two classes, like a
    label, have one raw output: the log odds.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import LogLoss
    >>> log_odds = np.array([[0.0], [2.0]])
    >>> LogLoss().predict(log_odds, True).round(2)  # probabilities of two classes
    array([[0.5 , 0.5 ],
           [0.12, 0.88]])
    """

    task: ClassVar[str] = "classification"

    def combine(self, z: np.ndarray, exclusive: bool = True) -> np.ndarray:
        """Return raw outputs (n_samples, n_raw) that predict the mean over members.

        `z` of shape (members, n_samples, n_raw) holds those of the members, whose probabilities are
        averaged.
        Exact where probabilities round to 0 or 1.
        """
        if exclusive and z.shape[-1] > 1:
            return logsumexp(z - logsumexp(z, axis=-1, keepdims=True), axis=0) - log(len(z))
        return logsumexp(-np.logaddexp(0, -z), axis=0) - logsumexp(-np.logaddexp(0, z), axis=0)

    def constant(self, y: np.ndarray, n_classes: int = 2) -> np.ndarray:
        """Return the raw outputs (n_raw,) of the constant prediction for `y`."""
        if y.ndim == 2:  # labels
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
    with np.errstate(over="ignore"):  # the distance of two huge numbers, whose exponential is 0
        p = np.exp(z - z.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return p


class RegressionLoss(Loss):
    """Base of regression losses; targets have shape (n_samples, n_outputs).

    Class attributes configure the regressor. ``target_scaling`` is how ``"auto"`` scales the
    targets for training: ``"standard"`` (mean 0, deviation 1) for losses that only look at
    differences, ``"mean"`` (divide by the mean) for losses of positive targets.
    ``out_activation`` names what turns raw outputs into predictions: ``"identity"`` or ``"exp"``.

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

        Conditions on the targets as a whole are checked in the `first` call of a training only.
        """

    def scaling(self, y: np.ndarray, weight: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return shift and scale of each output; training sees ``(y - shift) / scale``.

        The scale of an output that is constant, or whose mean is 0, is 1.
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
        """Return the raw outputs (n_raw,) of the constant prediction for `y`.

        That is the mean where the loss has one raw output for each output, else 0.
        """
        mean, n_raw = y.mean(axis=0, dtype=np.float64), self.n_raw(y.shape[1])
        if n_raw != len(mean):
            return np.zeros(n_raw)
        return mean if self.out_activation == "identity" else np.log(np.maximum(mean, 1e-12))

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Return predictions on the scale of the targets that the network was trained with."""
        return z

    def point(self, z: np.ndarray) -> np.ndarray:
        """Return one prediction for each output, where ``predict`` may give several."""
        return self.predict(z)

    def deviation(self, z: np.ndarray) -> np.ndarray:
        """Return standard deviations of the targets, on their scale in training."""
        raise ValueError(
            f"return_std=True needs a loss that predicts standard deviations: 'gaussian'. "
            f"{type(self).__name__} predicts none."
        )

    def raw_scaling(self, shift: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return factor and offset that turn raw outputs into those for unscaled targets.

        Trained with targets ``(y - shift) / scale``, the network gives `z`; the raw outputs that
        stand for predictions of `y` itself are ``z * factor + offset``.
        """
        return scale, shift
