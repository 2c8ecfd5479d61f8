"""Widths of the hidden layers: tuples, strings, and a component with numbers to search."""

import re
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from sknn_adam._component.base import Component
from sknn_adam._component.ranges import Choices, Range
from sknn_adam._component.registry import Table
from sknn_adam._utils.sklearn_compat import Interval
from sknn_adam._utils.validation import POSITIVE_INTEGER

__all__ = ["HIDDEN_LAYERS", "Layers", "parse_sizes"]

WIDTHS = re.compile(r"[1-9]\d*(x[1-9]\d*)?(-[1-9]\d*(x[1-9]\d*)?)*")


class Layers(Component):
    r"""Hidden layers whose widths form a geometric sequence.

    Layer :math:`i = 0, \dots, d - 1` has :math:`\max(1, \operatorname{round}(w\,q^i))` units, with
    the width :math:`w`, the depth :math:`d` and the taper :math:`q`. As the value of
    ``hidden_layer_sizes``, it makes width and depth numbers that a search can vary:
    ``hidden_layer_sizes__width`` and ``hidden_layer_sizes__depth``. These nested parameters also
    exist if the sizes are given in another form, such as ``(200,)`` or ``"128x2"``, provided that
    the widths form such a sequence.

    Parameters
    ----------
    width : int, default=200
        Units of the first hidden layer, at least 1.
    depth : int, default=1
        Number of hidden layers, at least 1.
    taper : float, default=1.0
        Ratio of the width of each layer to that of the previous layer, positive. With 0.5, each
        layer has half as many units as the previous one.

    Examples
    --------
    >>> from sknn_adam import Layers, MLPClassifier
    >>> Layers(width=128, depth=3, taper=0.5).widths()
    (128, 64, 32)
    >>> MLPClassifier().set_params(hidden_layer_sizes__depth=2).hidden_layer_sizes
    Layers(depth=2)
    """

    _parameter_constraints: ClassVar = {
        "width": [POSITIVE_INTEGER],
        "depth": [POSITIVE_INTEGER],
        "taper": [Interval(Real, 0, None, closed="neither")],
    }
    ranges: ClassVar = {
        "width": Range(64, 512, log=True, integer=True, size="small", grid=(64, 256)),
        "depth": Range(1, 3, integer=True, size="small", grid=(1, 2)),
        "taper": Choices((0.5, 1.0), size="large", grid=(1.0,)),
    }

    def __init__(self, width: int = 200, depth: int = 1, taper: float = 1.0) -> None:
        self.width = width
        self.depth = depth
        self.taper = taper

    def widths(self) -> tuple[int, ...]:
        """Return the number of units of each hidden layer."""
        return tuple(max(1, round(self.width * self.taper**i)) for i in range(int(self.depth)))


def parse_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the widths of the hidden layers.

    Parameters
    ----------
    sizes : int, sequence of int, str or Layers
        ``100``, ``(128, 64)``, ``"128-64"``, ``"256x3"`` for three layers of 256 units, or
        ``Layers(width=256, depth=3)``.

    Returns
    -------
    widths : tuple of int
        One positive integer per hidden layer; empty for a linear model.
    """
    if isinstance(sizes, Layers):
        sizes.validate()
        return sizes.widths()
    if isinstance(sizes, str):
        if WIDTHS.fullmatch(sizes):
            pairs = (layers.partition("x") for layers in sizes.split("-"))
            return tuple(int(w) for w, _, times in pairs for _ in range(int(times or 1)))
    elif isinstance(sizes, Integral) and not isinstance(sizes, bool):
        if int(sizes) > 0:
            return (int(sizes),)
    elif (
        isinstance(sizes, tuple | list | np.ndarray)
        and getattr(sizes, "ndim", 1) == 1
        and all(isinstance(w, Integral) and not isinstance(w, bool) and int(w) > 0 for w in sizes)
    ):
        return tuple(int(w) for w in sizes)
    raise ValueError(
        "hidden_layer_sizes must be a positive int, a sequence of positive ints, a string "
        f"such as '128-64' or '256x3', or an instance of Layers. Got {sizes!r} instead."
    )


class _LayersTable(Table):
    """Conversion of hidden layer sizes in any form to `Layers`."""

    def make(self, value: Any) -> Layers:
        """Return the component with these widths."""
        if isinstance(value, Layers):
            return value
        widths = parse_sizes(value)
        taper = widths[1] / widths[0] if len(widths) > 1 else 1.0
        layers = Layers(widths[0] if widths else 0, len(widths), taper)
        if not widths or layers.widths() != widths:
            raise ValueError(f"The widths {widths} are not a geometric sequence.")
        return layers


HIDDEN_LAYERS = _LayersTable("hidden_layer_sizes", Layers, {})
