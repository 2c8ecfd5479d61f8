"""Conversion of a network to a graph of ONNX operators, layer by layer.

Formulas are looked up by the *function* that computes them, not by the class of the component. A
subclass that inherits the formula is converted. For a subclass with its own formula, an error names
the class. onnxruntime implements all operators except Erf in double precision, too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sknn_adam import activations
from sknn_adam._component.base import overrides
from sknn_adam._nn.layers import Activate, ActivateLearned, Dense, Dropout, ScaledDense
from sknn_adam._nn.network import Network
from sknn_adam._nn.normalization import BatchNormLayer, RowNormLayer
from sknn_adam.activations import Activation

__all__ = ["Graph", "look_up", "raw_outputs", "softplus"]


class Graph:
    """Builder that adds operators to a skl2onnx container in one precision.

    Calling it adds an operator: ``graph("Add", x, 1.0)``. The arguments are names of tensors, or
    arrays and numbers, which become constants in the graph's precision (integers stay integers).
    With several members, the tensors of the network have a leading axis, as the arrays of the
    members do.
    """

    def __init__(self, scope: Any, container: Any, dtype: Any, members: int | None = None):
        self.scope, self.container, self.dtype = scope, container, np.dtype(dtype)
        self.members = members

    def __call__(self, operator: str, *inputs: Any, n: int = 1, **attributes: Any) -> Any:
        """Add an operator; return the name of its output, or the names of its `n` outputs."""
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        outputs = [self.scope.get_unique_variable_name(operator.lower()) for _ in range(n)]
        name = self.scope.get_unique_operator_name(operator)
        self.container.add_node(operator, names, outputs, name=name, **attributes)
        return outputs[0] if n == 1 else outputs

    def constant(self, value: Any) -> str:
        """Add a constant; return its name."""
        from onnx import TensorProto, numpy_helper

        name = self.scope.get_unique_variable_name("constant")
        value = np.asarray(value)
        if value.dtype.kind in "OU":
            content = [str(item).encode() for item in value.ravel()]
            self.container.add_initializer(name, TensorProto.STRING, value.shape, content)
            return name
        value = value.astype(np.int64 if value.dtype.kind in "iub" else self.dtype)
        tensor = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        self.container.add_initializer(name, tensor.data_type, value.shape, tensor)
        return name

    def cast(self, x: str, dtype: Any) -> str:
        """Return `x` converted to another dtype."""
        from onnx import helper

        return self("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def columns(self, x: str, start: int, stop: int) -> str:
        """Return the columns of `x` from `start` to `stop`."""
        return self("Gather", x, np.arange(start, stop), axis=-1)

    def mean(self, x: str, width: int) -> str:
        """Return the mean over members, of shape (n_samples, width); `x` for a single network."""
        if self.members is None:
            return x
        flat = self("Reshape", x, [self.members, -1])
        each = np.full((1, self.members), 1 / self.members)
        return self("Reshape", self("MatMul", each, flat), [-1, width])

    def publish(self, x: str, variable: Any) -> None:
        """Make `x` the output `variable` of the estimator being converted."""
        name = self.scope.get_unique_operator_name("Identity")
        self.container.add_node("Identity", [x], [variable.full_name], name=name)


def look_up(table: dict[Any, Any], component: Any, method: str, what: str) -> Any:
    """Return the table entry for the function that implements `method`; raise if there is none.

    Networks call an activation's ``apply``, which a subclass may override with another formula than
    that of ``__call__``. There is no entry for this.
    """
    entry = table.get(getattr(type(component), method))
    if entry is not None and method == "__call__" and overrides(type(component), "apply", method):
        entry, method = None, "apply"
    if entry is None:
        raise NotImplementedError(
            f"{what} {component!r} cannot be converted to ONNX: conversions exist for "
            f"{sorted(function.__qualname__.partition('.')[0] for function in table)}, but "
            f"{type(component).__name__} defines its own {method!r}."
        )
    return entry


# -- activations ---------------------------------------------------------------------------------


def _leaky(g: Graph, a: Any, z: str, slope: Any) -> str:
    return g("Add", g("Relu", z), g("Mul", g("Min", z, 0.0), slope))


def _elu(g: Graph, a: Any, z: str, alpha: float) -> str:
    below = g("Sub", g("Exp", g("Min", z, 0.0)), 1.0)
    return g("Add", g("Relu", z), g("Mul", below, float(alpha)))


def _gelu(g: Graph, a: Any, z: str) -> str:
    scaled = g("Div", z, float(np.sqrt(2)))
    # onnxruntime has no Erf in double precision.
    if g.dtype == np.float64:
        phi = g.cast(g("Erf", g.cast(scaled, np.float32)), np.float64)
    else:
        phi = g("Erf", scaled)
    return g("Mul", g("Mul", z, 0.5), g("Add", phi, 1.0))


def softplus(g: Graph, z: str) -> str:
    """Return log(1 + exp(z)) without overflow."""
    rest = g("Log", g("Add", g("Exp", g("Neg", g("Abs", z))), 1.0))
    return g("Add", g("Relu", z), rest)


ACTIVATIONS: dict[Any, Callable[..., str]] = {
    activations.Identity.__call__: lambda g, a, z: z,
    activations.Logistic.__call__: lambda g, a, z: g("Sigmoid", z),
    activations.Tanh.__call__: lambda g, a, z: g("Tanh", z),
    activations.ReLU.__call__: lambda g, a, z: g("Relu", z),
    activations.LeakyReLU.__call__: lambda g, a, z: _leaky(g, a, z, float(a.slope)),
    activations.PReLU.__call__: _leaky,
    activations.ELU.__call__: lambda g, a, z: _elu(g, a, z, a.alpha),
    activations.SELU.__call__: lambda g, a, z: g("Mul", _elu(g, a, z, a.alpha), a.scale),
    activations.GELU.__call__: _gelu,
    activations.SiLU.__call__: lambda g, a, z: g("Mul", z, g("Sigmoid", z)),
    activations.Mish.__call__: lambda g, a, z: g("Mul", z, g("Tanh", softplus(g, z))),
    activations.Softplus.__call__: lambda g, a, z: softplus(g, z),
}


# -- layers --------------------------------------------------------------------------------------


def _row(array: np.ndarray) -> np.ndarray:
    """Insert an axis so that an array with one entry per unit broadcasts over samples."""
    return array[..., None, :]


def _activate(g: Graph, layer: Activate, x: str) -> str:
    activation: Activation = layer.activation
    formula = look_up(ACTIVATIONS, activation, "__call__", "The activation")
    learned = [_row(layer.p)] if isinstance(layer, ActivateLearned) else []
    return formula(g, activation, x, *learned)


def _normalize_rows(g: Graph, layer: RowNormLayer, x: str) -> str:
    width = layer.gamma.shape[-1]
    # Multiplying by this column takes the mean over the units.
    mean = np.full((width, 1), 1 / width)
    if layer.centered:
        x = g("Sub", x, g("MatMul", x, mean))
    square = g("MatMul", g("Mul", x, x), mean)
    x = g("Div", x, g("Sqrt", g("Add", square, layer.epsilon)))
    x = g("Mul", x, _row(layer.gamma))
    return g("Add", x, _row(layer.beta)) if layer.centered else x


LAYERS: dict[type, Callable[[Graph, Any, str], str]] = {
    Activate: _activate,
    ActivateLearned: _activate,
    Dropout: lambda g, layer, x: x,
    RowNormLayer: _normalize_rows,
}


def _affine(g: Graph, x: str, W: np.ndarray, b: np.ndarray) -> str:
    return g("Add", g("MatMul", x, W), _row(b))


def raw_outputs(g: Graph, network: Network, x: str) -> str:
    """Add the network to the graph; return its raw outputs, clipped as in `Network.predict`.

    With several members the raw outputs have the shape (n_members, n_samples, n_raw). The
    statistics of batch normalization are fixed, so it is folded into the preceding dense layer.
    """
    affine: Sequence[np.ndarray] = ()
    for layer in network.layers:
        if type(layer) is Dense or type(layer) is ScaledDense:
            x = _affine(g, x, *affine) if affine else x
            affine = layer.weights(), layer.b
        elif type(layer) is BatchNormLayer and affine:
            affine = layer.fold(*affine)
        elif type(layer) in LAYERS:
            x, affine = _affine(g, x, *affine) if affine else x, ()
            x = LAYERS[type(layer)](g, layer, x)
        else:
            types = Dense, ScaledDense, BatchNormLayer, *LAYERS
            known = sorted(layer_type.__name__ for layer_type in types)
            raise NotImplementedError(
                f"The layer {type(layer).__name__} cannot be converted to ONNX: conversions "
                f"exist for {known}."
            )
    x = _affine(g, x, *affine) if affine else x
    narrow = min(g.dtype, network.dtype, key=lambda dtype: dtype.itemsize)
    limit = 1e-3 * float(np.sqrt(np.finfo(narrow).max))
    return g("Clip", x, -limit, limit)
