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
        n_rows, counts = x.shape[-2], ws.counts
        fewest = n_rows
        # Each member holds out some of the samples.
        if counts is not None:
            n_rows = counts.sum(axis=-1, keepdims=True)
            fewest = n_rows.min()
        usual = (1 - self.momentum) * self.rows.item(0)  # average size of the batches so far
        ws["batch"] = ws.training and fewest > max(1, usual / 4)
        z, out = x, ws.buffer("x", x.shape, x.dtype)
        if ws["batch"]:
            mean, variance = _moments(z, counts, n_rows, out)
            if not isfinite(np.dot(variance.ravel(), variance.ravel())):
                mean, variance = _scaled_moments(z, counts, n_rows, out, mean, variance)
            self._track(mean, variance, n_rows)
        else:
            mean, variance = self.mean, self.variance
            np.subtract(z, mean[..., None, :], out=out)
        x = out
        inverse = 1 / np.sqrt(variance + self.epsilon)
        x *= inverse[..., None, :]
        ws["inverse"] = inverse
        y = np.multiply(x, self.gamma[..., None, :], out=ws.buffer("y", x.shape, x.dtype))
        y += self.beta[..., None, :]
        return y

    def _track(self, mean: np.ndarray, variance: np.ndarray, n_rows: Any) -> None:
        """Update the running averages; `rows` is the decayed sum of the batch sizes."""
        self.rows *= self.momentum
        self.rows += n_rows
        rate = n_rows / self.rows
        self.mean += rate * (mean - self.mean)
        self.variance += rate * (variance - self.variance)

    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Write the gradients of scale and shift; return the gradient of the input."""
        x = ws["x"]  # the normalized input
        np.einsum("...ij,...ij->...j", g, x, out=self.grad_gamma)
        ws.kernels.column_sums(g, out=self.grad_beta)
        scale = self.gamma * ws["inverse"]
        if ws["batch"]:  # mean and variance also depend on the input
            counts = ws.counts
            n = g.shape[-2] if counts is None else counts.sum(axis=-1, keepdims=True)
            x *= (self.grad_gamma / n)[..., None, :]
            shift = (self.grad_beta / n)[..., None, :]
            # Held-out samples do not contribute to mean and variance.
            if counts is not None:
                x *= counts[..., None]
                shift = shift * counts[..., None]
            g -= shift
            g -= x
        g *= scale[..., None, :]
        return g

    def fold(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = self.gamma / np.sqrt(self.variance + self.epsilon)
        return W * scale[..., None, :], (b - self.mean) * scale + self.beta


def _moments(
    z: np.ndarray, counts: np.ndarray | None, n_rows: Any, out: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance over the batch; write the centered `z` to `out`."""
    if counts is None:
        mean = z.mean(axis=-2)
        np.subtract(z, mean[..., None, :], out=out)
        return mean, np.einsum("...ij,...ij->...j", out, out) / n_rows
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
        z, shift = x, x.mean(axis=-1, keepdims=True) if self.centered else 0
        x = np.subtract(z, shift, out=ws.buffer("x", z.shape, z.dtype))
        square = np.einsum("...ij,...ij->...i", x, x)[..., None] / x.shape[-1]
        ws["inverse"] = 1 / np.sqrt(square + self.epsilon)
        x *= ws["inverse"]
        if not isfinite(np.dot(square.ravel(), square.ravel())):
            self._normalize_scaled(z, ~np.isfinite(square[..., 0]), x, ws["inverse"])
        y = np.multiply(x, self.gamma[..., None, :], out=ws.buffer("y", x.shape, x.dtype))
        if self.centered:
            y += self.beta[..., None, :]
        return y

    def _normalize_scaled(
        self, z: np.ndarray, lost: np.ndarray, out: np.ndarray, inverse: np.ndarray
    ) -> None:
        """Recompute the samples whose sums overflowed, and their normalizing factors."""
        exponent = _exponent(z[lost], -1)[:, None]
        scaled = np.ldexp(z[lost], -exponent)
        if self.centered:
            scaled -= scaled.mean(axis=-1, keepdims=True)
        # These sums are so large that adding epsilon would not change them.
        square = np.mean(scaled * scaled, axis=-1, keepdims=True)
        factor = 1 / np.sqrt(np.maximum(square, np.finfo(z.dtype).tiny))
        out[lost] = scaled * factor
        inverse[lost] = np.ldexp(factor, -exponent)

    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Write the gradients of scale and shift; return the gradient of the input."""
        x = ws["x"]  # the normalized input
        np.einsum("...ij,...ij->...j", g, x, out=self.grad_gamma)
        if self.centered:
            ws.kernels.column_sums(g, out=self.grad_beta)
        g *= self.gamma[..., None, :]
        along = np.einsum("...ij,...ij->...i", g, x)[..., None] / x.shape[-1]
        if self.centered:
            g -= g.mean(axis=-1, keepdims=True)
        x *= along
        g -= x
        g *= ws["inverse"]
        return g
