r"""Losses: how far raw outputs are from targets.

A loss works on raw outputs ``z`` of shape (..., n_rows, n_raw), never on probabilities, so that
it stays finite for any finite ``z``. It gives a value per row and the gradient with respect to
``z``; weighting and averaging over rows live in the base class only, so that value and gradient
share one reduction. A loss sums over outputs.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit

from sknn_adam._component import Component, Table

__all__ = [
    "CLASSIFICATION_LOSSES",
    "REGRESSION_LOSSES",
    "ClassificationLoss",
    "LogLoss",
    "Loss",
    "RegressionLoss",
    "SquaredError",
]


class Loss(Component):
    """Base of all losses: a subclass defines ``value`` and ``gradient``."""

    contract = (("value",), ("gradient",))

    def n_raw(self, n_outputs: int) -> int:
        """Return how many raw outputs the network needs for `n_outputs` outputs."""
        return n_outputs

    @abstractmethod
    def value(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the loss of each row, shape (..., n_rows)."""

    @abstractmethod
    def gradient(self, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the derivative of each row's loss with respect to its raw outputs, as `z`."""

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return both; a subclass overrides this where they share work."""
        return self.value(y, z), self.gradient(y, z)

    def mean(self, y: np.ndarray, z: np.ndarray, weight: np.ndarray | None = None) -> Any:
        """Return the weighted mean loss over the rows; weights have mean 1 over the whole fit."""
        return _reduce(self.value(y, z), weight)

    def mean_and_gradient(
        self, y: np.ndarray, z: np.ndarray, weight: np.ndarray | None = None
    ) -> tuple[Any, np.ndarray]:
        """Return the weighted mean over the rows and its gradient with respect to `z`.

        Weights are relative: their mean over the whole fit is 1. Dividing by the number of rows,
        not by the batch's own sum of weights, keeps a batch of light rows light.
        """
        value, gradient = self.value_and_gradient(y, z)
        if weight is None:
            gradient *= 1 / z.shape[-2]
        else:
            gradient *= (weight / z.shape[-2])[..., None]
        return _reduce(value, weight), gradient


def _reduce(value: np.ndarray, weight: np.ndarray | None) -> Any:
    if weight is None:
        return np.add.reduce(value, axis=-1, dtype=np.float64) / value.shape[-1]
    return (value * weight).sum(axis=-1, dtype=np.float64) / value.shape[-1]


class ClassificationLoss(Loss):
    """Base of losses of class membership.

    Targets are integer codes of shape (n_rows,) for two or more exclusive classes, or a 0/1
    matrix (n_rows, n_labels) for labels that do not exclude each other. Two classes, like a
    label, have one raw output: the log odds.
    """

    task: ClassVar[str] = "classification"

    def predict(self, z: np.ndarray, exclusive: bool = True) -> np.ndarray:
        """Return probabilities, shape (..., n_rows, n_classes or n_labels)."""
        if exclusive and z.shape[-1] > 1:
            return softmax(z)
        p = expit(z)
        return np.concatenate([1 - p, p], axis=-1) if exclusive else p


class RegressionLoss(Loss):
    """Base of losses of numbers; targets have shape (n_rows, n_outputs).

    ``target_scaling`` says how ``"auto"`` scales the targets: ``"standard"`` (mean 0, deviation
    1) for losses that only look at differences, ``"mean"`` (divide by the mean) for losses of
    positive targets.
    """

    task: ClassVar[str] = "regression"
    target_scaling: ClassVar[str] = "standard"

    def predict(self, z: np.ndarray) -> np.ndarray:
        """Return predictions on the scale of the targets that the network was trained with."""
        return z


def softmax(z: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis."""
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return p


class LogLoss(ClassificationLoss):
    r"""The log loss, or cross-entropy: minus the log-likelihood of the true class.

    For exclusive classes :math:`\log \sum_k e^{z_k} - z_y`, with gradient
    :math:`\mathrm{softmax}(z) - \mathrm{onehot}(y)`. For two classes and for each label,
    :math:`\log(1 + e^z) - y z`, with gradient :math:`\sigma(z) - y`, summed over labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import LogLoss
    >>> LogLoss().value(np.array([1]), np.array([[0.0]])).round(4)
    array([0.6931])
    """

    def value(self, y, z):
        """Return the loss of each row, shape (..., n_rows)."""
        return self.value_and_gradient(y, z)[0]

    def gradient(self, y, z):
        """Return probabilities minus targets, shape of `z`."""
        return self.value_and_gradient(y, z)[1]

    def value_and_gradient(self, y, z):
        """Return both; they share the exponentials."""
        if y.ndim == 1 and z.shape[-1] > 1:
            rows = np.arange(len(y))
            # Classes first: NumPy reduces long rows much faster than many short ones.
            shifted = np.ascontiguousarray(z.swapaxes(-1, -2))
            shifted = shifted - shifted.max(axis=-2, keepdims=True)
            p = np.exp(shifted)
            total = p.sum(axis=-2, keepdims=True)
            p /= total
            value = np.log(total[..., 0, :]) - shifted[..., y, rows]
            p[..., y, rows] -= 1
            return value, np.ascontiguousarray(p.swapaxes(-1, -2))
        y = y.reshape(len(y), -1).astype(z.dtype, copy=False)
        value = np.logaddexp(0, z) - y * z
        return value.sum(axis=-1), expit(z) - y


class SquaredError(RegressionLoss):
    r"""Half the squared error :math:`\tfrac12 \sum_k (z_k - y_k)^2`, with gradient :math:`z - y`.

    Predicts the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import SquaredError
    >>> SquaredError().value(np.array([[1.0]]), np.array([[3.0]]))
    array([2.])
    """

    def value(self, y, z):
        """Return the loss of each row, shape (..., n_rows)."""
        return ((z - y) ** 2).sum(axis=-1) / 2

    def gradient(self, y, z):
        """Return z - y."""
        return z - y


CLASSIFICATION_LOSSES = Table("loss", ClassificationLoss, {"log_loss": LogLoss})
REGRESSION_LOSSES = Table("loss", RegressionLoss, {"squared_error": SquaredError})
