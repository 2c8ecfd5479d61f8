r"""Normalization: activations brought to mean 0 and variance 1 inside the network.

A normalization is a component that makes a layer: ``normalization.layer(width)``. In a block it
stands between the dense layer and the activation.
"""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from sknn_adam._component import Component, Table
from sknn_adam._validation import FRACTION, POSITIVE
from sknn_adam.layers import Layer

__all__ = ["NORMALIZATIONS", "BatchNorm", "Normalization"]


class Normalization(Component):
    """Base of all normalizations: a subclass defines ``layer(width)``."""

    contract = (("layer",),)

    @abstractmethod
    def layer(self, width: int) -> Layer:
        """Return a new layer for activations of this width."""


class BatchNorm(Normalization):
    r"""Batch normalization: each unit standardized over the rows of the batch [1]_.

    .. math:: y = \gamma \, (z - \mu_B) / \sqrt{\sigma_B^2 + \epsilon} + \beta

    Keeps activations and gradients in range at any depth and allows larger learning rates.
    Prediction uses running averages of the batch means and variances.

    Parameters
    ----------
    momentum : float, default=0.9
        How much of a running average is kept in a step, in [0, 1).
    epsilon : float, default=1e-5
        :math:`\epsilon`, added to the variance; above 0.

    Notes
    -----
    The running averages are corrected for their start: after :math:`t` steps they are
    :math:`\sum_k \rho^{t-k} \mu_k / \sum_k \rho^{t-k}` with momentum :math:`\rho`, so a short
    training does not predict with half of the initial values in them. Other libraries start at
    mean 0 and variance 1 and do not correct. The variance is the batch's own, divided by its
    number of rows. A batch of a single row has no variance: it is normalized with the running
    averages and does not change them.

    References
    ----------
    .. [1] Ioffe, S., Szegedy, C. (2015). Batch normalization: accelerating deep network training
       by reducing internal covariate shift. ICML. Algorithms 1 and 2.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.normalization import BatchNorm
    >>> model = MLPClassifier((64, 64), normalization=BatchNorm(momentum=0.95))
    """

    _parameter_constraints: ClassVar = {"momentum": [FRACTION], "epsilon": [POSITIVE]}

    def __init__(self, momentum=0.9, epsilon=1e-5):
        self.momentum = momentum
        self.epsilon = epsilon

    def layer(self, width):
        """Return a batch normalization layer for this width."""
        return BatchNormLayer(width, self.momentum, self.epsilon)


class BatchNormLayer(Layer):
    """The layer of BatchNorm: learns a scale and a shift, tracks mean and variance."""

    gamma: np.ndarray
    beta: np.ndarray
    grad_gamma: np.ndarray
    grad_beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    steps: np.ndarray

    def __init__(self, width: int, momentum: float, epsilon: float):
        self.momentum, self.epsilon = momentum, epsilon
        self.parameters = (("gamma", (width,), "norm"), ("beta", (width,), "norm"))
        self.statistics = (("mean", (width,)), ("variance", (width,)), ("steps", (1,)))

    def start(self, initializer, bias_initializer, rng):
        """Start as the identity."""
        self.gamma[...], self.beta[...] = 1, 0
        self.mean[...], self.variance[...], self.steps[...] = 0, 1, 0

    def forward(self, x, ws):
        """Return the normalized x: by the batch in training, by the running averages else."""
        ws["batch"] = ws.training and x.shape[-2] > 1
        if ws["batch"]:
            mean = x.mean(axis=-2)
            x = np.subtract(x, mean[..., None, :], out=ws.buffer("x", x.shape, x.dtype))
            variance = np.einsum("...ij,...ij->...j", x, x) / x.shape[-2]
            self._track(mean, variance)
        else:
            mean, variance = self.mean, self.variance
            x = np.subtract(x, mean[..., None, :], out=ws.buffer("x", x.shape, x.dtype))
        inverse = 1 / np.sqrt(variance + self.epsilon)
        x *= inverse[..., None, :]
        ws["inverse"] = inverse
        y = np.multiply(x, self.gamma[..., None, :], out=ws.buffer("y", x.shape, x.dtype))
        y += self.beta[..., None, :]
        return y

    def _track(self, mean, variance):
        """Move the corrected running averages by (1 - rho) / (1 - rho^t)."""
        self.steps += 1
        steps = self.steps.astype(np.float64)  # 1 - rho^t cancels
        rate = (1 - self.momentum) / (1 - self.momentum**steps)
        self.mean += rate * (mean - self.mean)
        self.variance += rate * (variance - self.variance)

    def backward(self, g, ws, need_input=True):
        """Write the gradients of scale and shift; return the input's."""
        x = ws["x"]  # the normalized input
        np.einsum("...ij,...ij->...j", g, x, out=self.grad_gamma)
        self.kernels.column_sums(g, out=self.grad_beta)
        scale = self.gamma * ws["inverse"]
        if ws["batch"]:  # mean and variance depend on the batch too
            n = g.shape[-2]
            x *= (self.grad_gamma / n)[..., None, :]
            g -= (self.grad_beta / n)[..., None, :]
            g -= x
        g *= scale[..., None, :]
        return g

    def fold(self, W, b):
        """Return the map with the running averages folded in."""
        scale = self.gamma / np.sqrt(self.variance + self.epsilon)
        return W * scale[..., None, :], (b - self.mean) * scale + self.beta


NORMALIZATIONS = Table("normalization", Normalization, {"batch": BatchNorm}, optional=True)
