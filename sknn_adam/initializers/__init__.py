r"""Initializers: the initial weights of a network.

An initializer is a function ``initializer(fan_in, fan_out, rng)`` that returns a weight matrix of
shape (fan_in, fan_out), where ``fan_in`` and ``fan_out`` are the numbers of inputs and outputs of a
layer. The random generator is passed as an argument and never stored, so every layer draws
different numbers and ``fit`` is reproducible.
"""

from sknn_adam._component.registry import Table
from sknn_adam.initializers._base import Initializer
from sknn_adam.initializers.orthogonal import LSUV, Orthogonal
from sknn_adam.initializers.plain import (
    Constant,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Zeros,
)
from sknn_adam.initializers.scaled import (
    Auto,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

__all__ = [
    "INITIALIZERS",
    "Initializer",
    "Constant",
    "Zeros",
    "RandomNormal",
    "TruncatedNormal",
    "RandomUniform",
    "VarianceScaling",
    "GlorotUniform",
    "GlorotNormal",
    "HeUniform",
    "HeNormal",
    "LecunUniform",
    "LecunNormal",
    "Orthogonal",
    "LSUV",
    "Auto",
]

INITIALIZERS = Table(
    "initializer",
    Initializer,
    {
        "auto": Auto,
        "glorot_uniform": GlorotUniform,
        "glorot_normal": GlorotNormal,
        "xavier_uniform": GlorotUniform,
        "xavier_normal": GlorotNormal,
        "he_uniform": HeUniform,
        "he_normal": HeNormal,
        "lecun_uniform": LecunUniform,
        "lecun_normal": LecunNormal,
        "orthogonal": Orthogonal,
        "truncated_normal": TruncatedNormal,
        "random_normal": RandomNormal,
        "random_uniform": RandomUniform,
        "variance_scaling": VarianceScaling,
        "lsuv": LSUV,
        "zeros": Zeros,
    },
    familiar={
        **dict.fromkeys(("kaiming", "kaiming_uniform"), "he_uniform"),
        "kaiming_normal": "he_normal",
        "normal": "random_normal",
        "uniform": "random_uniform",
    },
)
