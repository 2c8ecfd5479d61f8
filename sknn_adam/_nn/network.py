"""The network: a flat parameter vector, a flat gradient vector, and layers that are views of them.

Optimizer steps, clipping, snapshots and gradient checks are then one-line vector operations. The
network depends neither on losses nor on optimizers.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from math import prod
from typing import Any

import numpy as np
from scipy.sparse import issparse

from sknn_adam._backends.numpy_backend import NUMPY, Backend
from sknn_adam._component.layout import Layout, weight_bounds
from sknn_adam._nn.layers import (
    Activate,
    ActivateLearned,
    Dense,
    Dropout,
    Layer,
    ScaledDense,
    Workspace,
)
from sknn_adam._nn.normalization import normalization_layer
from sknn_adam._utils.validation import extreme_exponent
from sknn_adam.activations import Activation
from sknn_adam.initializers import Initializer
from sknn_adam.normalization import Normalization

__all__ = ["Network", "build"]

# With fewer samples per block, a prediction would read the weights too often.
FEWEST_AT_ONCE = 64
# Number of elements of the widest activation in a block: about the size of a second-level cache.
PREDICTED_AT_ONCE = 2**18
# The order inside theta: arrays with weight decay come first.
ROLES = ("weight", "bias", "norm")


class Network:
    """A sequence of layers on one flat parameter vector.

    Parameters
    ----------
    layers : list of Layer
        The layers from input to output.
    dtype : numpy dtype
        float32 or float64.
    members : int, optional
        Number of networks computed at once. If given, every array has a leading axis of this
        length.

    Attributes
    ----------
    theta, grad : ndarray of shape (n_parameters,)
        Parameters and gradient. All weight matrices come first, then biases, then normalization.
    n_weights : int
        Number of weights; penalties apply to ``theta[:n_weights]``.
    statistics : ndarray
        Running statistics of normalization, which are tracked rather than learned.
    layout : list of (slice, shape, role)
        The position of each array in theta.
    bounds : ndarray of int or None
        Bounds in theta of the weight matrices of members, set by `prepare`; None for one network.
    """

    def __init__(self, layers: Sequence[Layer], dtype: Any, members: int | None = None):
        self.layers, self.dtype, self.members = list(layers), np.dtype(dtype), members
        self.theta = np.zeros(sum(prod(shape) for _, _, shape, _ in self._arrays()), dtype)
        n_statistics = sum(prod(shape) for _, _, shape in self._tracked())
        self.statistics = np.zeros(n_statistics, dtype)
        self._bind()

    def _lead(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape if self.members is None else (self.members, *shape)

    def _arrays(self) -> Iterator[tuple[Layer, str, tuple[int, ...], str]]:
        """Yield (layer, name, shape, role) in the order of theta."""
        for wanted in ROLES:
            for layer in self.layers:
                for name, shape, role in layer.parameters:
                    if role == wanted:
                        yield layer, name, self._lead(shape), role

    def _tracked(self) -> Iterator[tuple[Layer, str, tuple[int, ...]]]:
        for layer in self.layers:
            for name, shape in layer.statistics:
                yield layer, name, self._lead(shape)

    def _bind(self) -> None:
        """Make the layers' arrays views of the flat vectors; drop buffers and gradient."""
        self.kernels: Backend = NUMPY
        self.grad: np.ndarray = np.empty(0, self.dtype)
        self._workspaces: dict[int, list[Workspace]] = {}
        self.layout: Layout = []
        start = 0
        for layer, name, shape, role in self._arrays():
            block = slice(start, start + prod(shape))
            setattr(layer, name, self.theta[block].reshape(shape))
            vars(layer).pop(f"grad_{name}", None)
            self.layout.append((block, shape, role))
            start = block.stop
        self.bounds: np.ndarray | None = None
        self.replayable = all(layer.replayable for layer in self.layers)
        self.layer_types = tuple(map(type, self.layers))
        self.n_weights = sum(prod(shape) for _, shape, role in self.layout if role == "weight")
        start = 0
        for layer, name, shape in self._tracked():
            stop = start + prod(shape)
            setattr(layer, name, self.statistics[start:stop].reshape(shape))
            start = stop

    def __getstate__(self) -> dict[str, Any]:
        """Keep the learned and tracked arrays; views, gradient and buffers are recreated."""
        keep = ("layers", "dtype", "members", "theta", "statistics")
        return {name: getattr(self, name) for name in keep}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._bind()

    def initialize(
        self, initializer: Initializer, bias_initializer: Initializer, rng: np.random.Generator
    ) -> None:
        """Draw new weights and biases; normalization starts as the identity."""
        for layer in self.layers:
            layer.start(initializer, bias_initializer, rng)

    def unit_variance(self, x: Any) -> None:
        """Rescale the weights layer by layer so that each dense layer's output has variance 1."""
        with np.errstate(all="ignore"):
            for layer in self.layers:
                output = layer.forward(x, Workspace())
                if isinstance(layer, Dense):
                    output = self._rescaled(layer, x, output)
                x = output

    def _rescaled(self, layer: Dense, x: Any, output: np.ndarray) -> np.ndarray:
        """Rescale the weights of a dense layer; return its new output."""
        # Biases are not rescaled, so one iteration may not be enough.
        for _ in range(10):
            # Squares of extreme outputs would overflow.
            exponent = int(extreme_exponent(output))
            ordinary = np.ldexp(output, -exponent) if exponent else output
            deviation = ordinary.std(axis=(-1, -2), keepdims=True, dtype=np.float64)
            deviation = np.ldexp(deviation, exponent)
            usable = (deviation > 0) & np.isfinite(deviation)
            if not usable.all() or abs(deviation - 1).max() < 1e-3:
                break
            layer.W /= deviation
            output = layer.forward(x, Workspace())
        return output

    def prepare(self, kernels: Backend = NUMPY) -> None:
        """Set the backend and allocate the gradient; copy read-only weights."""
        if not (self.theta.flags.writeable and self.statistics.flags.writeable):
            self.theta, self.statistics = self.theta.copy(), self.statistics.copy()
            self._bind()
        self.kernels = kernels
        if not self.grad.size:
            grad, start = np.zeros_like(self.theta), 0
            for layer, name, shape, _ in self._arrays():
                stop = start + prod(shape)
                setattr(layer, f"grad_{name}", grad[start:stop].reshape(shape))
                start = stop
            # Assigned last, so that the network can be prepared again after an error.
            self.bounds, self.grad = weight_bounds(self.layout), grad

    def release(self) -> None:
        """Drop gradient and buffers after training."""
        self._bind()

    def forward(
        self, x: Any, draws: np.ndarray | None = None, kept: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the raw outputs in training mode, shape (..., n_rows, n_raw).

        The result is a buffer of the network, which the next pass overwrites. `draws` is the array
        with the key and the step of random draws (see `Run.draws`). Only the samples marked in
        `kept` (members, n_rows) enter a member's batch statistics.
        """
        n_rows = x.shape[-2]
        workspaces = self._workspaces.get(n_rows)
        if (
            workspaces is None
            or workspaces[0].draws is not draws
            or workspaces[0].kernels is not self.kernels
        ):
            # There are usually two batch sizes: full batches, and the last one.
            if len(self._workspaces) > 1:
                self._workspaces.clear()
            n_layers = len(self.layers)
            workspaces = [Workspace(True, draws, self.kernels, i) for i in range(n_layers)]
            self._workspaces[n_rows] = workspaces
        if self.members is not None:
            for ws in workspaces:
                ws.kept = kept if self.statistics.size else None
        return self._pass(x, workspaces)

    def _pass(self, x: Any, workspaces: list[Workspace]) -> np.ndarray:
        for layer, ws in zip(self.layers, workspaces, strict=True):
            x = layer.forward(x, ws)
        return x

    def workspaces(self, n_rows: int) -> list[Workspace]:
        """Return the workspaces of the last training pass over this number of samples."""
        return self._workspaces[n_rows]

    def backward(self, g: np.ndarray) -> np.ndarray:
        """Write the gradient to ``grad``, given the gradient of the last output of ``forward``."""
        workspaces = self._workspaces[g.shape[-2]]
        for i in range(len(self.layers) - 1, -1, -1):
            g = self.layers[i].backward(g, workspaces[i], need_input=i > 0)
        return self.grad

    def predict(self, X: Any, index: np.ndarray | None = None) -> np.ndarray:
        """Return finite raw outputs (..., n_rows, n_raw), computed in blocks of samples.

        The network is not changed, so several threads may predict at once. Extreme outputs are
        clipped, because their squares would overflow. If `index` is given, only these rows of X are
        predicted.
        """
        width = max(layer.fan_out for layer in self.dense()) * (self.members or 1)
        if not issparse(X) and (X.dtype != self.dtype or index is not None):
            width = max(width, X.shape[1])  # each block of X is copied
        rows = max(FEWEST_AT_ONCE, PREDICTED_AT_ONCE // width)
        n_rows = X.shape[0] if index is None else len(index)
        outputs = []
        with np.errstate(all="ignore"):
            for start in range(0, max(1, n_rows), rows):
                block: Any = slice(start, start + rows)
                if index is not None:
                    block = index[block]
                x = X if index is None and n_rows <= rows else X[block]
                if x.dtype != self.dtype:
                    x = _cast(x, self.dtype)
                outputs.append(self._pass(x, [Workspace() for _ in self.layers]))
        z = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-2)
        limit = 1e-3 * np.sqrt(np.finfo(self.dtype).max)
        # The comparison is false for nan.
        if np.abs(z).max(initial=0) <= limit:
            return z
        # nan_to_num would hide this fault.
        if not np.isfinite(self.statistics).all():
            raise ValueError(
                "Cannot predict: the running statistics of the normalization are not finite. "
                "Scale X and fit the estimator again."
            )
        return np.clip(np.nan_to_num(z, copy=False), -limit, limit, out=z)

    def normalized_spread(self, X: Any) -> np.ndarray:
        """Return the spread of the samples after normalization by running statistics.

        The spread is the interquartile range over the samples, reduced to its median over the units
        of a layer and to the minimum over the layers. There is one value per member.
        """
        workspaces = [Workspace() for _ in self.layers]
        self._pass(X.astype(self.dtype), workspaces)
        spreads = []
        for layer, ws in zip(self.layers, workspaces, strict=True):
            if layer.statistics:
                low, high = np.quantile(ws["x"], (0.25, 0.75), axis=-2)
                spreads.append(np.median(high - low, axis=-1))
        return np.atleast_1d(np.min(spreads, axis=0))

    def at(self, theta: np.ndarray) -> "Network":
        """Return a network with the same layers and statistics but other parameters."""
        if theta is self.theta:
            return self
        other = object.__new__(Network)
        layers = [copy(layer) for layer in self.layers]
        other.__setstate__({**self.__getstate__(), "layers": layers, "theta": theta})
        return other

    def member_views(self, theta: np.ndarray, statistics: np.ndarray) -> list[np.ndarray]:
        """Return views (members, size) of parameters and statistics, one per array."""
        arrays = [(theta, block) for block, *_ in self.layout]
        start = 0
        for *_, shape in self._tracked():
            arrays.append((statistics, slice(start, start + prod(shape))))
            start += prod(shape)
        return [vector[block].reshape(self.members or 1, -1) for vector, block in arrays]

    def member(self, m: int) -> "Network":
        """Return a copy of one member as a separate network, for predictions."""
        arrays = [array[m] for array in self.member_views(self.theta, self.statistics)]
        n_arrays = len(self.layout)
        state = {
            "layers": [copy(layer) for layer in self.layers],
            "dtype": self.dtype,
            "members": None,
            "theta": np.concatenate(arrays[:n_arrays]),
            "statistics": np.concatenate([self.statistics[:0], *arrays[n_arrays:]]),
        }
        other = object.__new__(Network)
        other.__setstate__(state)
        return other

    def folded(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return weights and biases, with scales and normalization by fixed statistics folded in.

        They are views of theta, except for dense layers that something is folded into.
        """
        coefs, intercepts = [], []
        for layer in self.layers:
            if isinstance(layer, Dense):
                coefs.append(layer.weights())
                intercepts.append(layer.b)
            else:
                largest = np.finfo(self.dtype).max
                with np.errstate(over="ignore", invalid="ignore"):
                    W, b = layer.fold(coefs[-1], intercepts[-1])
                if W is not coefs[-1]:
                    W, b = (np.clip(array, -largest, largest) for array in (W, b))
                coefs[-1], intercepts[-1] = W, b
        return coefs, intercepts

    def dense(self) -> list[Dense]:
        """Return the dense layers."""
        return [layer for layer in self.layers if isinstance(layer, Dense)]


def _cast(x: Any, dtype: np.dtype) -> Any:
    """Convert a table to another dtype, clipping values to its range.

    Infinite values would make the outputs nan.
    """
    x = x.astype(dtype)
    cells = x.data if issparse(x) else x
    if np.isinf(cells).any():
        np.nan_to_num(cells, copy=False)
    return x


def build(
    n_features: int,
    widths: Sequence[int],
    n_raw: int,
    activations: Sequence[Activation],
    *,
    learn_scales: bool = False,
    normalization: Normalization | None = None,
    dropout: Sequence[float] | None = None,
    dtype: Any = np.float64,
    members: int | None = None,
) -> Network:
    """Return a network of dense, normalization, activation and dropout layers.

    With `learn_scales`, the first dense layer learns a factor for each feature.
    """
    layers: list[Layer] = []
    fan_in = n_features
    rates = dropout or [0.0] * len(widths)
    for width, activation, rate in zip(widths, activations, rates, strict=True):
        # With few features, He initialization gives a wide first layer large outputs. On real
        # tables, smaller initial weights were better.
        draw = activation.initializer
        if not layers and draw.startswith("he_"):
            draw = "glorot_uniform"
        dense = ScaledDense if learn_scales and not layers else Dense
        layers.append(dense(fan_in, width, draw))
        if normalization is not None:
            layers.append(normalization_layer(normalization, width))
        learned = activation.learned
        layers.append(ActivateLearned(activation, width) if learned else Activate(activation))
        if rate:
            layers.append(Dropout(float(rate), activation.dropped_value))
        fan_in = width
    dense = ScaledDense if learn_scales and not layers else Dense
    layers.append(dense(fan_in, n_raw, "glorot_uniform"))
    return Network(layers, dtype, members)
