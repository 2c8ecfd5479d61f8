"""scikit-learn's notebook view of a network: its layers, shapes and parameter counts."""

from collections.abc import Iterator
from math import prod
from typing import Any

from sknn_adam._nn.layers import Activate, Dense, Dropout, Layer, ScaledDense
from sknn_adam._utils.sklearn_compat import VisualBlock

__all__ = ["NetworkView"]


class NetworkView:
    """Mixin that shows the layers of a fitted network below its parameters, even in a Pipeline."""

    def _sk_visual_block_(self) -> Any:
        # scikit-learn has classes of the same names, so the view names the package too.
        name = f"{type(self).__module__.partition('.')[0]}.{type(self).__name__}"
        network = getattr(self, "_network", None)
        if network is None:
            return VisualBlock("single", self, names=name, name_details=str(self))
        given: Any = self.normalization  # type: ignore[attr-defined]
        normalization = f"{given} normalization" if isinstance(given, str) else str(given)
        blocks = list(_layer_blocks(network.layers, network.members or 1, normalization))
        names = [name for name, _ in blocks]
        boxes = [
            VisualBlock("single", None, names=name, name_details=text, name_caption=text)
            for name, text in blocks
        ]
        layers = VisualBlock("serial", boxes, names=names, name_details=names, dash_wrapped=False)
        # scikit-learn chooses the label of a block; without details, an inner label is plain text.
        return VisualBlock("serial", [layers], names=[name], name_details=[None])


def _layer_blocks(
    layers: list[Layer], members: int, normalization: str
) -> Iterator[tuple[str, str]]:
    """Yield the name and description of each dense layer with the layers that follow it."""
    starts = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    for start, stop in zip(starts, [*starts[1:], len(layers)], strict=True):
        dense: Any = layers[start]
        kind = "Scaled dense" if isinstance(dense, ScaledDense) else "Dense"
        name = f"{kind} {dense.fan_in:,} → {dense.fan_out:,}"
        for layer in layers[start + 1 : stop]:
            name += f", {_layer_name(layer) or normalization}"
        shapes = [shape for layer in layers[start:stop] for _, shape, _ in layer.parameters]
        text = f"{members * sum(map(prod, shapes)):,} parameters"
        if members > 1:
            text += f" in {members} members"
        yield name, text


def _layer_name(layer: Layer) -> str:
    if isinstance(layer, Activate):
        return str(layer.activation)
    if isinstance(layer, Dropout):
        return f"dropout {layer.rate:g}"
    return ""
