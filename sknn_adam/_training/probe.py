"""Measurements of the layers within one step."""

from math import nan
from typing import Any

import numpy as np

from sknn_adam._nn.layers import Activate, ActivateLearned, Dense, Layer, Workspace

__all__ = ["Probe"]

# Activations have their largest slopes near zero.
NEAR_ZERO = np.linspace(-4.0, 4.0, 65)[:, None]


class Probe:
    """Measurements of the layers, taken before, within and after one step.

    Parameters
    ----------
    layers : list of Layer
        The layers of the network, with bound gradients.
    """

    def __init__(self, layers: list[Layer]):
        self.layers = layers
        self.dense = [layer for layer in layers if isinstance(layer, Dense)]
        self.row: dict[str, tuple[float, ...]] = {"loss_gradient_norm": (nan,) * len(self.dense)}

    def backpropagated(self) -> None:
        """Measure gradients without the penalty, which can hide vanishing gradients."""
        self.row["loss_gradient_norm"] = tuple(_norm(layer.grad_W) for layer in self.dense)

    def before(self, workspaces: list[Workspace]) -> None:
        """Measure weights, gradients and activations, between backward pass and update."""
        self.weights = [layer.W.copy() for layer in self.dense]
        self.row["gradient_norm"] = tuple(_norm(layer.grad_W) for layer in self.dense)
        self.row["weight_norm"] = tuple(_norm(W) for W in self.weights)
        self.row |= self.outputs(workspaces)

    def outputs(self, workspaces: list[Workspace]) -> dict[str, tuple[float, ...]]:
        """Return the measurements of the layers' outputs in a pass with these workspaces."""
        figures = [
            _activation_figures(layer, ws)
            for layer, ws in zip(self.layers, workspaces, strict=True)
            if isinstance(layer, Activate)
        ]
        figures.append((*_range(workspaces[-1]["z"]), nan, nan))
        names = "activation_min", "activation_max", "dead", "saturated"
        return dict(zip(names, zip(*figures, strict=True), strict=True))

    def after(self) -> dict[str, tuple[float, ...]]:
        """Measure the change of the weights, and return the row of all measurements."""
        changes = (
            _norm(np.subtract(layer.W, W, out=W))
            for layer, W in zip(self.dense, self.weights, strict=True)
        )
        norms = self.row["weight_norm"]
        ratios = (c / n if n else nan for c, n in zip(changes, norms, strict=True))
        return self.row | {"update_ratio": tuple(ratios)}


def _norm(array: np.ndarray) -> float:
    flat = array.reshape(-1)
    return float(np.dot(flat, flat)) ** 0.5


def _range(array: np.ndarray) -> tuple[float, float]:
    # NumPy reduces a flat array faster, in one pass.
    flat = array.reshape(-1)
    return float(np.minimum.reduce(flat)), float(np.maximum.reduce(flat))


def _activation_figures(layer: Activate, ws: Workspace) -> tuple[float, float, float, float]:
    """Return the smallest and largest output and the fractions of dead and saturated units."""
    a, formula = ws["out"], layer.activation
    learned = (layer.p[..., None, :],) if isinstance(layer, ActivateLearned) else ()
    slopes = formula.derivative(ws["z"], a, *learned)
    # The derivative of the identity is a scalar.
    if np.shape(slopes) != a.shape:
        slopes = np.broadcast_to(slopes, a.shape)
    sums = np.add.reduce(np.abs(slopes), axis=-2, dtype=a.dtype)
    slow = sums < 0.05 * _steepest(formula) * a.shape[-2]
    dead = int(sums.size - np.count_nonzero(sums))
    saturated = max(0, int(np.count_nonzero(slow)) - dead)
    return *_range(a), dead / sums.size, saturated / sums.size


_known: dict[type, float] = {}


def _steepest(formula: Any) -> float:
    """Return the largest slope of an activation, with the initial value of a learned parameter."""
    cls = type(formula)
    # The cached slope of a class is valid only for activations without hyper-parameters.
    if cls in _known and not vars(formula):
        return _known[cls]
    start = (np.asarray(formula.start()),) if formula.learned else ()
    slopes = formula.derivative(NEAR_ZERO, formula(NEAR_ZERO, *start), *start)
    _known[cls] = float(np.abs(slopes).max())
    return _known[cls]
