r"""Activations: the nonlinear functions of hidden units.

An activation is a function ``activation(z)`` with a ``derivative(z, a)``, where ``a`` is its value
at ``z``. Both are element-wise and accept arrays of any shape.
"""

from sknn_adam._component.registry import Table
from sknn_adam.activations._base import Activation
from sknn_adam.activations.classic import Identity, Logistic, ReLU, Tanh
from sknn_adam.activations.rectifiers import ELU, SELU, LeakyReLU, PReLU
from sknn_adam.activations.smooth import GELU, Mish, SiLU, Softplus

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Identity",
    "Logistic",
    "Tanh",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "Softplus",
]

ACTIVATIONS = Table(
    "activation",
    Activation,
    {
        "identity": Identity,
        "logistic": Logistic,
        "sigmoid": Logistic,
        "tanh": Tanh,
        "relu": ReLU,
        "leaky_relu": LeakyReLU,
        "prelu": PReLU,
        "elu": ELU,
        "selu": SELU,
        "gelu": GELU,
        "silu": SiLU,
        "swish": SiLU,
        "mish": Mish,
        "softplus": Softplus,
    },
    familiar={
        **dict.fromkeys(("linear", "none"), "identity"),
        **dict.fromkeys(("lrelu", "leakyrelu"), "leaky_relu"),
    },
)
