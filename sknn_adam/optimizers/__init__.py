"""Optimizers, in order of increasing complexity."""

from functools import partial

from sknn_adam._component.registry import Table
from sknn_adam.optimizers._base import Optimizer
from sknn_adam.optimizers.adadelta import Adadelta
from sknn_adam.optimizers.adagrad import Adagrad
from sknn_adam.optimizers.adam import Adam, AdamW, AMSGrad
from sknn_adam.optimizers.adamax import Adamax
from sknn_adam.optimizers.lbfgs import LBFGS
from sknn_adam.optimizers.lion import Lion
from sknn_adam.optimizers.muon import Muon
from sknn_adam.optimizers.nadam import NAdam
from sknn_adam.optimizers.prodigy import Prodigy
from sknn_adam.optimizers.radam import RAdam
from sknn_adam.optimizers.rmsprop import RMSprop
from sknn_adam.optimizers.schedule_free import ScheduleFreeAdamW
from sknn_adam.optimizers.sgd import SGD

__all__ = [
    "OPTIMIZERS",
    "Optimizer",
    "SGD",
    "Lion",
    "Adagrad",
    "RMSprop",
    "Adadelta",
    "Adam",
    "AMSGrad",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "ScheduleFreeAdamW",
    "Prodigy",
    "Muon",
    "LBFGS",
]

OPTIMIZERS = Table(
    "optimizer",
    Optimizer,
    {
        "sgd": SGD,
        "momentum": partial(SGD, momentum=0.9),
        "nesterov": partial(SGD, momentum=0.9, nesterov=True),
        "lion": Lion,
        "adagrad": Adagrad,
        "rmsprop": RMSprop,
        "adadelta": Adadelta,
        "adam": Adam,
        "amsgrad": AMSGrad,
        "adamw": AdamW,
        "adamax": Adamax,
        "nadam": NAdam,
        "radam": RAdam,
        "schedule_free_adamw": ScheduleFreeAdamW,
        "prodigy": Prodigy,
        "muon": Muon,
        "lbfgs": LBFGS,
    },
    familiar={"l_bfgs": "lbfgs", "adam_w": "adamw", "schedule_free": "schedule_free_adamw"},
)
