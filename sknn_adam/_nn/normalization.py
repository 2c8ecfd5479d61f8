"""The layers of batch, layer and root mean square normalization."""

from math import isfinite
from typing import Any

import numpy as np

from sknn_adam._component.base import overrides
from sknn_adam._nn.layers import Layer, Workspace

__all__ = ["BatchNormLayer", "RowNormLayer", "normalization_layer"]


def normalization_layer(normalization: Any, width: int) -> Layer:
    """Return a new layer for a normalization component and activations of this width."""
    if overrides(type(normalization), "layer", "over"):
        return normalization.layer(width)
    if normalization.over == "batch":
        return BatchNormLayer(width, normalization.momentum, normalization.epsilon)
    return RowNormLayer(width, normalization.epsilon, normalization.centered)


class BatchNormLayer(Layer):
    """The layer of BatchNorm, with learned scale and shift, and tracked mean and variance."""

    gamma: np.ndarray
    beta: np.ndarray
    grad_gamma: np.ndarray
    grad_beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    rows: np.ndarray
    replayable = True

    def __init__(self, width: int, momentum: float, epsilon: float):
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.parameters = (("gamma", (width,), "norm"), ("beta", (width,), "norm"))
        self.statistics = (("mean", (width,)), ("variance", (width,)), ("rows", (1,)))

    def start(self, initializer: Any, bias_initializer: Any, rng: np.random.Generator) -> None:
        """Initialize the layer as the identity."""
        self.gamma[...], self.beta[...] = 1, 0
        self.mean[...], self.variance[...], self.rows[...] = 0, 1, 0

    def forward(self, x: Any, ws: Workspace) -> np.ndarray:
        """Return x, normalized by batch statistics in training, else by the running averages.

        A training batch that is much smaller than usual is also normalized by the running averages.
        """
        out, y = (ws.buffer(name, x.shape, x.dtype) for name in ("x", "y"))
        if not ws.training:
            inverse = 1 / np.sqrt(self.variance + self.epsilon)
            np.subtract(x, self.mean[..., None, :], out=out)
            out *= inverse[..., None, :]
            np.multiply(out, self.gamma[..., None, :], out=y)
            y += self.beta[..., None, :]
            return y
        inverse = ws.buffer("inverse", self.gamma.shape, x.dtype)
        used = ws.buffer("used", (*x.shape[:-2], 1), x.dtype)
        factors = np.array([self.momentum, self.epsilon], x.dtype)
        arrays = self.gamma, self.beta, self.mean, self.variance, self.rows
        results = out, inverse, used, y
        ws.kernels.run_loop("batch_norm", normalize_batch, x, ws.kept, factors, *arrays, *results)
        return y

    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Write the gradients of scale and shift; return the gradient of the input."""
        arrays = self.gamma, ws["inverse"], ws["used"], self.grad_gamma, self.grad_beta
        function = normalize_batch_back
        ws.kernels.run_loop("batch_norm_back", function, g, ws["x"], ws.kept, *arrays)
        return g

    def fold(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = self.gamma / np.sqrt(self.variance + self.epsilon)
        return W * scale[..., None, :], (b - self.mean) * scale + self.beta


def normalize_batch(
    z: np.ndarray,
    kept: np.ndarray | None,
    factors: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    rows: np.ndarray,
    x: np.ndarray,
    inverse: np.ndarray,
    used: np.ndarray,
    y: np.ndarray,
) -> None:
    """Normalize a training batch and update the running statistics.

    Parameters
    ----------
    z : ndarray of shape (..., n_rows, width)
        The input.
    kept : ndarray of bool of shape (n_members, n_rows), optional
        Whether a sample is in the training set of a member.
    factors : ndarray of shape (2,)
        The momentum of the running averages, and epsilon.
    gamma, beta, mean, variance : ndarray of shape (..., width)
        Scale and shift, and the running averages.
    rows : ndarray of shape (..., 1)
        The decayed sum of the batch sizes.
    x, y : ndarray of shape (..., n_rows, width)
        Receive the normalized input and the output.
    inverse : ndarray of shape (..., width)
        Receives the factors of the normalization.
    used : ndarray of shape (..., 1)
        Receives whether the statistics of the batch were used, 0 or 1.
    """
    momentum, epsilon = factors
    counts = None if kept is None else kept.astype(z.dtype)
    n_rows: Any = z.shape[-2] if counts is None else counts.sum(axis=-1, keepdims=True)
    usual = (1 - momentum) * rows  # average size of the batches so far
    used[...] = (n_rows > 1) & (n_rows > usual / 4)
    own_mean, own_variance = mean, variance
    if used.any():
        own_mean, own_variance = _moments(z, counts, n_rows, x)
        if not isfinite(np.dot(own_variance.ravel(), own_variance.ravel())):
            moments = own_mean, own_variance
            own_mean, own_variance = _scaled_moments(z, counts, n_rows, x, *moments)
        rows[...] = np.where(used, momentum * rows + n_rows, rows)
        rate = used * (n_rows / rows)
        # Adding nan times 0 would change the averages.
        np.add(mean, rate * (own_mean - mean), out=mean, where=used > 0)
        np.add(variance, rate * (own_variance - variance), out=variance, where=used > 0)
    if not used.all():
        own_mean, own_variance = (
            np.where(used, of_batch, running)
            for of_batch, running in ((own_mean, mean), (own_variance, variance))
        )
        np.subtract(z, mean[..., None, :], out=x, where=used[..., None] == 0)
    inverse[...] = 1 / np.sqrt(own_variance + epsilon)
    x *= inverse[..., None, :]
    np.multiply(x, gamma[..., None, :], out=y)
    y += beta[..., None, :]


def normalize_batch_back(
    g: np.ndarray,
    x: np.ndarray,
    kept: np.ndarray | None,
    gamma: np.ndarray,
    inverse: np.ndarray,
    used: np.ndarray,
    grad_gamma: np.ndarray,
    grad_beta: np.ndarray,
) -> None:
    """Write the gradients of scale and shift, and turn `g` into the gradient of the input."""
    np.einsum("...ij,...ij->...j", g, x, out=grad_gamma)
    # A product with ones is faster than a sum.
    np.matmul(np.ones(g.shape[-2], g.dtype), g, out=grad_beta)
    # Mean and variance depend on the samples of the batch, except for those that are held out.
    counts = None if kept is None else kept.astype(g.dtype)
    n_rows: Any = g.shape[-2] if counts is None else counts.sum(axis=-1, keepdims=True)
    n_rows = np.maximum(n_rows, 1).astype(g.dtype)
    shift = (used * grad_beta / n_rows)[..., None, :]
    x *= (used * grad_gamma / n_rows)[..., None, :]
    if counts is not None:
        x *= counts[..., None]
        shift = shift * counts[..., None]
    g -= shift
    g -= x
    g *= (gamma * inverse)[..., None, :]


def _moments(
    z: np.ndarray, counts: np.ndarray | None, n_rows: Any, out: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance over the batch; write the centered `z` to `out`."""
    if counts is None:
        mean = z.mean(axis=-2)
        np.subtract(z, mean[..., None, :], out=out)
        return mean, np.einsum("...ij,...ij->...j", out, out) / n_rows
    # A member that trains on none of the samples does not use its moments.
    n_rows = np.maximum(n_rows, 1)
    mean = np.einsum("ki,kij->kj", counts, z) / n_rows
    np.subtract(z, mean[..., None, :], out=out)
    return mean, np.einsum("ki,kij,kij->kj", counts, out, out) / n_rows


def _scaled_moments(
    z: np.ndarray,
    counts: np.ndarray | None,
    n_rows: Any,
    out: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Recompute the moments of units whose sums overflowed, from scaled numbers.

    A variance that still overflows becomes nan rather than infinite. Otherwise the units would be 0
    for every sample in training and the loss would be finite, but there would be no usable
    statistics for predictions.
    """
    lost = ~np.isfinite(variance)
    exponent = np.where(lost, _exponent(z, -2), 0)
    scaled = np.ldexp(z, -exponent[..., None, :])
    centered = np.empty_like(out)
    own_mean, own_variance = _moments(scaled, counts, n_rows, centered)
    np.copyto(out, np.ldexp(centered, exponent[..., None, :]), where=lost[..., None, :])
    own_variance = np.ldexp(own_variance, 2 * exponent)
    own_variance[~np.isfinite(own_variance)] = np.nan
    mean = np.where(lost, np.ldexp(own_mean, exponent), mean)
    return mean, np.where(lost, own_variance, variance)


def _exponent(z: np.ndarray, axis: int) -> np.ndarray:
    """Return the binary exponent of the largest absolute value along an axis."""
    return np.frexp(np.abs(z).max(axis=axis))[1]


class RowNormLayer(Layer):
    """The layer of LayerNorm and RMSNorm."""

    gamma: np.ndarray
    beta: np.ndarray
    grad_gamma: np.ndarray
    grad_beta: np.ndarray
    replayable = True

    def __init__(self, width: int, epsilon: float, centered: bool):
        self.epsilon, self.centered = float(epsilon), centered
        self.parameters = (("gamma", (width,), "norm"),)
        if centered:
            self.parameters += (("beta", (width,), "norm"),)

    def start(self, initializer: Any, bias_initializer: Any, rng: np.random.Generator) -> None:
        """Initialize the scale to 1 and the shift to 0."""
        self.gamma[...] = 1
        if self.centered:
            self.beta[...] = 0

    def forward(self, x: Any, ws: Workspace) -> np.ndarray:
        """Return the normalized samples."""
        out, y = (ws.buffer(name, x.shape, x.dtype) for name in ("x", "y"))
        inverse = ws.buffer("inverse", x.shape[:-1], x.dtype)
        arrays = self._factors(x.dtype), self.gamma, self._shift()
        ws.kernels.run_loop("row_norm", normalize_samples, x, *arrays, out, inverse, y)
        return y

    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Write the gradients of scale and shift; return the gradient of the input."""
        # Without a shift, its gradient is not used.
        grad_beta = self.grad_beta if self.centered else np.empty_like(self.gamma)
        arrays = ws["x"], self._factors(g.dtype), self.gamma, ws["inverse"]
        gradients = self.grad_gamma, grad_beta
        function = normalize_samples_back
        ws.kernels.run_loop("row_norm_back", function, g, *arrays, *gradients)
        return g

    def _factors(self, dtype: Any) -> np.ndarray:
        return np.array([self.epsilon, float(self.centered)], dtype)

    def _shift(self) -> np.ndarray:
        return self.beta if self.centered else np.zeros_like(self.gamma)


def normalize_samples(
    z: np.ndarray,
    factors: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    x: np.ndarray,
    inverse: np.ndarray,
    y: np.ndarray,
) -> None:
    """Normalize each sample.

    Parameters
    ----------
    z : ndarray of shape (..., n_rows, width)
        The input.
    factors : ndarray of shape (2,)
        Epsilon, and 1 to subtract the mean of the units or 0.
    gamma, beta : ndarray of shape (..., width)
        Scale and shift.
    x, y : ndarray of shape (..., n_rows, width)
        Receive the normalized input and the output.
    inverse : ndarray of shape (..., n_rows)
        Receives the factors of the normalization.
    """
    epsilon, centered = factors
    np.subtract(z, z.mean(axis=-1, keepdims=True) if centered else 0, out=x)
    square = np.einsum("...ij,...ij->...i", x, x) / x.shape[-1]
    inverse[...] = 1 / np.sqrt(square + epsilon)
    x *= inverse[..., None]
    if not isfinite(np.dot(square.ravel(), square.ravel())):
        _normalize_scaled(z, ~np.isfinite(square), x, inverse, centered > 0)
    np.multiply(x, gamma[..., None, :], out=y)
    y += beta[..., None, :]


def _normalize_scaled(
    z: np.ndarray, lost: np.ndarray, out: np.ndarray, inverse: np.ndarray, centered: bool
) -> None:
    """Recompute the samples whose sums overflowed, and their normalizing factors."""
    exponent = _exponent(z[lost], -1)[:, None]
    scaled = np.ldexp(z[lost], -exponent)
    if centered:
        scaled -= scaled.mean(axis=-1, keepdims=True)
    # These sums are so large that adding epsilon would not change them.
    square = np.mean(scaled * scaled, axis=-1, keepdims=True)
    factor = 1 / np.sqrt(np.maximum(square, np.finfo(z.dtype).tiny))
    out[lost] = scaled * factor
    inverse[lost] = np.ldexp(factor, -exponent)[:, 0]


def normalize_samples_back(
    g: np.ndarray,
    x: np.ndarray,
    factors: np.ndarray,
    gamma: np.ndarray,
    inverse: np.ndarray,
    grad_gamma: np.ndarray,
    grad_beta: np.ndarray,
) -> None:
    """Write the gradients of scale and shift, and turn `g` into the gradient of the input."""
    centered = factors[1] > 0
    np.einsum("...ij,...ij->...j", g, x, out=grad_gamma)
    if centered:
        np.matmul(np.ones(g.shape[-2], g.dtype), g, out=grad_beta)
    g *= gamma[..., None, :]
    along = np.einsum("...ij,...ij->...i", g, x)[..., None] / x.shape[-1]
    if centered:
        g -= g.mean(axis=-1, keepdims=True)
    x *= along
    g -= x
    g *= inverse[..., None]
