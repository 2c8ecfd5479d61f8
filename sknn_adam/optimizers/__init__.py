"""Optimizers: how gradients become steps. Sorted from the simplest rule to the hardest."""

from functools import partial

from sknn_adam._component import Table
from sknn_adam.optimizers._base import Optimizer
from sknn_adam.optimizers.adam import Adam
from sknn_adam.optimizers.lbfgs import LBFGS
from sknn_adam.optimizers.rmsprop import RMSprop
from sknn_adam.optimizers.sgd import SGD

__all__ = ["LBFGS", "OPTIMIZERS", "SGD", "Adam", "Optimizer", "RMSprop"]

OPTIMIZERS = Table(
    "optimizer",
    Optimizer,
    {
        "sgd": SGD,
        "momentum": partial(SGD, momentum=0.9),
        "nesterov": partial(SGD, momentum=0.9, nesterov=True),
        "rmsprop": RMSprop,
        "adam": Adam,
        "lbfgs": LBFGS,
    },
)
