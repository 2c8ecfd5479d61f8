"""Conversion of the transformers in `sknn_adam.preprocessing`."""

import numpy as np

from sknn_adam.onnx.graph import Graph
from sknn_adam.preprocessing import PiecewiseLinearEncoder, SmoothClipScaler

__all__ = ["piecewise_linear", "smooth_clip"]


def _subtract(g: Graph, x: str, shift: np.ndarray) -> str:
    """Return x - shift, including the digits of shift that exceed the graph's precision."""
    near = shift.astype(g.dtype)
    return g("Sub", g("Sub", x, near), shift - near.astype(np.float64))


def smooth_clip(g: Graph, model: SmoothClipScaler, x: str) -> str:
    """Return the output of ``SmoothClipScaler.transform``; NaN stays NaN."""
    t = g("Div", _subtract(g, x, model.center_), model.scale_ * float(model.limit))
    # Dividing by 1 + |t| first keeps the squares from overflowing.
    u = g("Div", 1.0, g("Add", g("Abs", t), 1.0))
    w = g("Mul", t, u)
    size = g("Sqrt", g("Add", g("Mul", u, u), g("Mul", w, w)))
    return g("Mul", g("Div", w, size), float(model.limit))


def piecewise_linear(g: Graph, model: PiecewiseLinearEncoder, x: str) -> str:
    """Return the output of ``PiecewiseLinearEncoder.transform``."""
    n_bins = [max(0, len(edges) - 1) for edges in model.edges_]
    if not sum(n_bins):
        return x
    columns = np.repeat(np.arange(len(n_bins)), n_bins)
    edges = [np.asarray(e, dtype=np.float64) for e in model.edges_ if len(e) > 1]
    starts, widths = np.hstack([e[:-1] for e in edges]), np.hstack([np.diff(e) for e in edges])
    inside = g("Div", _subtract(g, g("Gather", x, columns, axis=1), starts), widths)
    both = g("Concat", x, g("Clip", inside, 0.0, 1.0), axis=1)
    # In the output, each column is followed by its bins.
    order = np.argsort(np.append(np.arange(len(n_bins)), columns), kind="stable")
    return g("Gather", both, order, axis=1)
