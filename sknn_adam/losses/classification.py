"""Classification losses."""

from typing import ClassVar

import numpy as np
from scipy.special import expit

from sknn_adam._component.ranges import Choices
from sknn_adam._utils.validation import FRACTION, NON_NEGATIVE
from sknn_adam.losses._base import ClassificationLoss, over_outputs

__all__ = ["FocalLoss", "LogLoss"]


def _classes_first(z: np.ndarray) -> np.ndarray:
    """Swap the last two axes of `z` and subtract the maximum of each sample.

    NumPy reduces a few long rows much faster than many short ones.
    """
    z = np.ascontiguousarray(z.swapaxes(-1, -2))
    return z - z.max(axis=-2, keepdims=True)


def _softplus(z: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(z)), accurate for large and small z."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


class LogLoss(ClassificationLoss):
    r"""The log loss (cross-entropy): the negative log-likelihood of the true class.

    For :math:`K` exclusive classes with raw outputs :math:`z_k`, the loss is

    .. math::

        \log \sum_k e^{z_k} - \sum_k t_k z_k, \qquad
        t = (1 - a)\, \mathrm{onehot}(y) + a / K,

    where :math:`y` is the true class and :math:`t` the smoothed target. Its gradient is
    :math:`\mathrm{softmax}(z) - t`. For two classes and for each label, the loss is
    :math:`\log(1 + e^z) - t z` with :math:`t = (1 - a)\, y + a / 2` and gradient
    :math:`\sigma(z) - t`, where :math:`\sigma` is the logistic sigmoid. The loss is summed over
    labels. For :math:`a = 0`, it is a proper scoring rule: its expectation is minimal at the true
    probabilities.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        :math:`a`, the fraction of the target that is distributed evenly over all classes [1]_, in
        [0, 1). It bounds the optimal raw outputs, reduces the influence of mislabelled samples and
        makes probabilities less extreme.

    References
    ----------
    .. [1] Szegedy, C., Vanhoucke, V., Ioffe, S., Shlens, J., Wojna, Z. (2016). Rethinking the
       Inception architecture for computer vision. CVPR. Section 7.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import LogLoss
    >>> LogLoss().value(np.array([1]), np.array([[0.0]])).round(4)
    array([0.6931])
    """

    compiled_loop = "log_loss"
    _parameter_constraints: ClassVar = {"label_smoothing": [FRACTION]}
    ranges: ClassVar = {"label_smoothing": Choices((0.0, 0.05, 0.1), size="large", grid=(0.0, 0.1))}

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def constant_loss(self, y: np.ndarray) -> float:
        """Return the mean loss of the constant prediction, computed from class frequencies."""
        if y.ndim == 2 or type(self) is not LogLoss:
            return super().constant_loss(y)
        frequency, smoothing = np.bincount(y, minlength=2) / len(y), float(self.label_smoothing)
        target = (1 - smoothing) * frequency + smoothing / len(frequency)
        return float(-np.dot(target, np.log(np.maximum(frequency, 1e-6))))

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which share the exponentials."""
        smoothing = float(self.label_smoothing)
        if y.ndim == 1 and z.shape[-1] > 1:
            rows = np.arange(len(y))
            shifted = _classes_first(z)
            p = np.exp(shifted)
            total = p.sum(axis=-2, keepdims=True)
            p /= total
            true = shifted[..., y, rows]
            value = np.log(total[..., 0, :]) - true
            if smoothing:
                value += smoothing * (true - shifted.mean(axis=-2))
                p -= smoothing / z.shape[-1]
            p[..., y, rows] -= 1 - smoothing
            return value, p.swapaxes(-1, -2)
        target = y.reshape(len(y), -1).astype(z.dtype, copy=False)
        if smoothing:
            target = (1 - smoothing) * target + smoothing / 2
        # The softplus terms are added in this order so that large values cancel exactly.
        value = np.maximum(z, 0) - target * z + np.log1p(np.exp(-np.abs(z)))
        return over_outputs(value), expit(z) - target


class FocalLoss(ClassificationLoss):
    r"""The focal loss: the log loss with smaller weights for easy samples.

    .. math:: -(1 - p)^{\gamma} \log p

    Here :math:`p` is the predicted probability of the true class. It is computed by a softmax, or
    by a sigmoid for two classes and for each label. The loss is summed over labels. With
    :math:`\gamma = 2`, the loss of a sample with :math:`p = 0.9` is 1/100 of its log loss. The
    focal loss was designed for rare classes among many easy samples.

    With :math:`q = 1 - p` the gradient is :math:`-A` for the true class and :math:`A\, p_j / q`
    for another class :math:`j`, where :math:`A = q^\gamma (q - \gamma\, p \log p)`.

    Parameters
    ----------
    gamma : float, default=2.0
        :math:`\gamma`, at least 0. Larger values reduce the weight of easy samples further; 0 gives
        the log loss.

    Notes
    -----
    The focal loss is not a proper scoring rule: predicted probabilities are biased, in the binary
    case towards 1/2. Use them for ranking, or calibrate them with
    ``sklearn.calibration.CalibratedClassifierCV``. The class weights :math:`\alpha_t` of [1]_ are
    omitted; use sample weights instead.

    References
    ----------
    .. [1] Lin, T.-Y., Goyal, P., Girshick, R., He, K., Dollár, P. (2017). Focal loss for dense
       object detection. ICCV. Equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam.losses import FocalLoss
    >>> FocalLoss(gamma=2.0).value(np.array([1]), np.array([[0.0]])).round(4)
    array([0.1733])
    """

    _parameter_constraints: ClassVar = {"gamma": [NON_NEGATIVE]}

    def __init__(self, gamma: float = 2.0) -> None:
        self.gamma = gamma

    def value_and_gradient(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and its gradient, which share the probabilities."""
        if y.ndim == 1 and z.shape[-1] > 1:
            return self._exclusive(y, z)
        gamma = float(self.gamma)
        sign = 2 * y.reshape(len(y), -1).astype(z.dtype, copy=False) - 1
        z = sign * z  # the log odds of the true label
        q, loss = expit(-z), _softplus(-z)
        factor = q**gamma
        gradient = factor * (q + gamma * expit(z) * loss)
        gradient *= -sign
        return over_outputs(factor * loss), gradient

    def _exclusive(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gamma, rows = float(self.gamma), np.arange(len(y))
        shifted = _classes_first(z)
        others = np.exp(shifted)
        true = others[..., y, rows]
        # Excluding the true class from the sum keeps small q and p accurate.
        others[..., y, rows] = 0
        rest = others.sum(axis=-2)
        total = rest + true
        q, p = rest / total, true / total
        loss = np.log1p(rest + (true - 1)) - shifted[..., y, rows]
        factor = q**gamma
        a = factor * (q + gamma * p * loss)
        others *= (a / np.maximum(rest, np.finfo(z.dtype).tiny))[..., None, :]
        others[..., y, rows] = -a
        return factor * loss, np.ascontiguousarray(others.swapaxes(-1, -2))
