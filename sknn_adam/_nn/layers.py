"""Layers: views of the network's flat vectors, with a forward and a backward pass.

The samples are on axis -2 of an array. With several members, all arrays and weights have a leading
members axis, and all members are computed at once. An input without this axis is shared by all
members.
"""

from abc import abstractmethod
from typing import Any

import numpy as np

from sknn_adam._backends.draws import threshold
from sknn_adam._backends.numpy_backend import NUMPY, Backend
from sknn_adam._utils.validation import check_shape
from sknn_adam.activations import Activation
from sknn_adam.initializers import INITIALIZERS, Initializer

__all__ = [
    "Activate",
    "ActivateLearned",
    "Dense",
    "Dropout",
    "Layer",
    "ScaledDense",
    "Workspace",
]

# The factors of the features are 1 + RATE_OF_SCALES * p. Adam therefore changes them at six times
# the learning rate, as RealMLP does.
RATE_OF_SCALES = 6.0


class Workspace(dict):
    """The buffers of one layer for passes over a fixed number of samples.

    Training reuses its workspaces. Each prediction creates new ones, so that predictions in several
    threads do not interfere.
    """

    def __init__(
        self,
        training: bool = False,
        draws: np.ndarray | None = None,
        kernels: Backend = NUMPY,
        index: int = 0,
    ):
        super().__init__()
        self.draws: Any = draws  # the key and the step of random draws
        self.training, self.kernels = training, kernels
        self.index = index  # position of the layer in the network
        self.kept: np.ndarray | None = None  # (members, n_rows): whether members train on samples

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return the buffer with this name, which is allocated on first use."""
        array = self.get(name)
        if array is None:
            array = self[name] = np.empty(shape, dtype)
        return array


class Layer:
    """Base class of all layers.

    ``parameters`` lists ``(name, shape, role)`` of the learned arrays, with role ``"weight"``,
    ``"bias"`` or ``"norm"``; ``statistics`` lists ``(name, shape)`` of the tracked arrays. The
    network allocates both inside flat vectors and binds the views as attributes: ``layer.W`` and,
    for the gradient, ``layer.grad_W``.
    """

    parameters: tuple[tuple[str, tuple[int, ...], str], ...] = ()
    statistics: tuple[tuple[str, tuple[int, ...]], ...] = ()
    # Whether all work in training consists of backend calls that are the same in every step.
    replayable = False

    @abstractmethod
    def forward(self, x: Any, ws: Workspace) -> np.ndarray:
        """Return the output (..., n_rows, fan_out) for the input (..., n_rows, fan_in)."""

    @abstractmethod
    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Write the gradients of the parameters and return the gradient of the input.

        `g` is the gradient of the output; it may be overwritten.
        """

    def start(
        self, initializer: Initializer, bias_initializer: Initializer, rng: np.random.Generator
    ) -> None:
        """Initialize parameters and statistics."""

    def fold(self, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the affine map (W, b) followed by this layer, if the result is affine too.

        This is the case only for normalization by fixed statistics. Other layers return (W, b)
        unchanged.
        """
        return W, b

    def __getstate__(self) -> dict[str, Any]:
        """Omit the views, which are bound again when the flat vectors are restored."""
        views = {name for name, *_ in self.parameters + self.statistics}
        views |= {f"grad_{name}" for name in views}
        return {key: value for key, value in vars(self).items() if key not in views}


class Dense(Layer):
    """The affine map ``z = x W + b``."""

    W: np.ndarray
    b: np.ndarray
    grad_W: np.ndarray
    grad_b: np.ndarray
    replayable = True

    def __init__(self, fan_in: int, fan_out: int, initializer: str):
        self.fan_in, self.fan_out = fan_in, fan_out
        self.initializer = initializer  # used for "auto"
        self.parameters = (("W", (fan_in, fan_out), "weight"), ("b", (fan_out,), "bias"))

    def start(self, initializer: Any, bias_initializer: Any, rng: np.random.Generator) -> None:
        """Draw weights and biases, one member after the other."""
        weights, biases = (
            INITIALIZERS.make(self.initializer) if draw.follows_activation else draw
            for draw in (initializer, bias_initializer)
        )
        for W in self.W.reshape(-1, self.fan_in, self.fan_out):
            drawn = weights(self.fan_in, self.fan_out, rng)
            check_shape(weights, "The weight matrix", drawn, W.shape)
            W[...] = drawn
        for b in self.b.reshape(-1, self.fan_out):
            drawn = biases.bias(self.fan_in, self.fan_out, rng)
            check_shape(biases, "The bias vector", drawn, b.shape)
            b[...] = drawn

    def weights(self) -> np.ndarray:
        """Return the matrix that multiplies the input."""
        return self.W

    def _prepared(self, ws: Workspace) -> np.ndarray:
        """Return the matrix that multiplies the input, for one pass."""
        return self.W

    def forward(self, x: Any, ws: Workspace) -> np.ndarray:
        """Return x W + b in a buffer."""
        ws["x"], z = x, ws.get("z")
        if z is None:
            z = ws["z"] = np.empty((*self.W.shape[:-2], x.shape[-2], self.fan_out), self.W.dtype)
        W = ws["W"] = self._prepared(ws)
        ws.kernels.product(x, W, z)
        ws.kernels.add_bias(z, self.b)
        return z

    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Write the gradients x' g and the column sums of g; return g W'."""
        x = ws["x"]
        ws.kernels.column_sums(g, out=self.grad_b)
        ws.kernels.product(x.T if x.ndim == 2 else x.swapaxes(-1, -2), g, self.grad_W)
        if not need_input:
            return None
        gx = ws.buffer("gx", (*g.shape[:-1], self.fan_in), g.dtype)
        ws.kernels.product(g, ws["W"].swapaxes(-1, -2), gx)
        return gx


class ScaledDense(Dense):
    """The affine map ``z = (s * x) W + b`` with a learned factor for each feature.

    The factors are ``s = 1 + RATE_OF_SCALES * p`` with initial values of 1. They multiply the rows
    of W instead of the samples, which gives the same output and works for sparse samples.
    """

    p: np.ndarray
    grad_p: np.ndarray

    def __init__(self, fan_in: int, fan_out: int, initializer: str):
        super().__init__(fan_in, fan_out, initializer)
        self.parameters += (("p", (fan_in,), "norm"),)

    def start(self, initializer: Any, bias_initializer: Any, rng: np.random.Generator) -> None:
        """Draw weights and biases, and initialize the factors to 1."""
        super().start(initializer, bias_initializer, rng)
        self.p[...] = 0

    def weights(self) -> np.ndarray:
        """Return the matrix that multiplies the input: W with scaled rows, clipped to be finite."""
        largest = np.finfo(self.W.dtype).max
        with np.errstate(over="ignore", invalid="ignore"):
            return np.clip(self._prepared(Workspace()), -largest, largest)

    def _prepared(self, ws: Workspace) -> np.ndarray:
        dtype = self.W.dtype
        scales, product = (
            ws.buffer(name, array.shape, dtype)
            for name, array in (("scales", self.p), ("scaled", self.W))
        )
        rate = ws["rate"] = np.array([RATE_OF_SCALES], dtype)
        ws.kernels.run_loop("row_scales", scale_rows, self.W, self.p, rate, scales, product)
        return product

    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Write the gradients of weights, biases and factors; return that of the input."""
        gx = super().backward(g, ws, need_input)
        arrays = self.grad_W, self.W, ws["scales"], ws["rate"], self.grad_p
        ws.kernels.run_loop("row_scales_back", scale_rows_back, *arrays)
        return gx


def scale_rows(
    W: np.ndarray, p: np.ndarray, rate: np.ndarray, scales: np.ndarray, product: np.ndarray
) -> None:
    """Multiply each row of `W` by its factor.

    Parameters
    ----------
    W : ndarray of shape (..., fan_in, fan_out)
        The weights.
    p : ndarray of shape (..., fan_in)
        The learned parameters.
    rate : ndarray of shape (1,)
        The slope of the factors with respect to `p`.
    scales : ndarray of shape (..., fan_in)
        Receives the factors.
    product : ndarray of shape (..., fan_in, fan_out)
        Receives the scaled weights.
    """
    np.multiply(p, rate, out=scales)
    scales += 1
    np.multiply(W, scales[..., None], out=product)


def scale_rows_back(
    g: np.ndarray, W: np.ndarray, scales: np.ndarray, rate: np.ndarray, grad_p: np.ndarray
) -> None:
    """Write the gradient of `p`, and turn `g`, that of the scaled rows, into that of `W`."""
    np.einsum("...ij,...ij->...i", g, W, out=grad_p)
    grad_p *= rate
    g *= scales[..., None]


class Activate(Layer):
    """An activation, applied in place if its derivative does not need the input."""

    replayable = True

    def __init__(self, activation: Activation):
        self.activation = activation

    def forward(self, x: Any, ws: Workspace) -> np.ndarray:
        """Return the activation of x."""
        if self.activation.needs_z:
            ws["z"] = x
            a = ws.buffer("a", x.shape, x.dtype)
        else:
            ws["z"], a = None, x
        ws["out"] = a
        ws.kernels.activate(self.activation, x, None, out=a)
        return a

    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Multiply g in place by the derivative."""
        ws.kernels.chain(self.activation.derivative, g, ws["z"], ws["out"])
        return g


class ActivateLearned(Activate):
    """An activation with one learned parameter per unit."""

    p: np.ndarray
    grad_p: np.ndarray

    def __init__(self, activation: Activation, width: int):
        super().__init__(activation)
        self.parameters = (("p", (width,), "bias"),)

    def start(self, initializer: Any, bias_initializer: Any, rng: np.random.Generator) -> None:
        """Set the learned parameter to the initial value of the activation."""
        self.p[...] = self.activation.start()

    def forward(self, x: Any, ws: Workspace) -> np.ndarray:
        """Return the activation of x."""
        ws["z"] = x
        a = ws["out"] = ws.buffer("a", x.shape, x.dtype)
        ws.kernels.do(self._apply, x, a)
        return a

    def _apply(self, z: np.ndarray, a: np.ndarray) -> None:
        formula: Any = self.activation
        value = formula(z, self.p[..., None, :])
        check_shape(formula, "The value", value, z.shape)
        a[...] = value

    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Write the gradient of the learned parameter; multiply g in place by the derivative."""
        ws.kernels.do(self._chain, g, ws["z"], ws["a"])
        return g

    def _chain(self, g: np.ndarray, z: np.ndarray, a: np.ndarray) -> None:
        formula: Any = self.activation
        slope = formula.learned_derivative(z)
        check_shape(formula, "The derivative by the parameter", slope, z.shape)
        np.einsum("...ij,...ij->...j", g, slope, out=self.grad_p)
        derivative = formula.derivative(z, a, self.p[..., None, :])
        check_shape(formula, "The derivative", derivative, z.shape)
        g *= derivative


class Dropout(Layer):
    """Dropout, which sets a random fraction of the units to a constant in each training pass.

    With the constant 0, the other units are divided by the keep probability (inverted dropout), so
    that prediction needs no change. With another constant, an affine map keeps mean 0 and variance
    1 (alpha dropout, Klambauer et al. 2017, section "New dropout technique"). The rate is rounded
    to a multiple of 2^-16.
    """

    replayable = True

    def __init__(self, rate: float, dropped_value: float = 0.0):
        self.rate, self.dropped_value = rate, dropped_value
        rate = threshold(rate) / 2**16
        keep = 1 - rate
        self.scale = 1 / keep
        if dropped_value:
            self.scale = (keep + dropped_value**2 * keep * rate) ** -0.5
        self.shift = -self.scale * rate * dropped_value

    def forward(self, x: Any, ws: Workspace) -> np.ndarray:
        """Return x with units dropped in training, else x unchanged."""
        if not ws.training:
            return x
        kept, y = (ws.buffer(name, x.shape, x.dtype) for name in ("kept", "y"))
        # Adding -0.0 leaves a number unchanged, bit for bit.
        factors = self.scale, -0.0, -0.0
        if dropped := self.dropped_value:
            factors = self.scale, -dropped, dropped * self.scale + self.shift
        ws.kernels.dropout(x, ws.draws, ws.index, self.rate, factors, y, kept)
        return y

    def backward(self, g: np.ndarray, ws: Workspace, need_input: bool = True) -> Any:
        """Pass the scaled gradient to the units that were kept."""
        ws.kernels.multiply(g, ws["kept"])
        return g
