r"""Learning rate schedules.

A schedule returns a factor that multiplies the learning rate of the optimizer:
``factor = schedule(clock, state)``, with ``state = schedule.init()``. The clock has the attributes
``step`` (completed optimizer steps), ``epoch`` (completed epochs), ``progress`` (completed fraction
of ``max_iter``, from 0 to 1) and ``loss`` (training loss of the last epoch). The state is stored in
the training run, and is None for most schedules.
"""

from sknn_adam._component.registry import Table
from sknn_adam.schedules._base import Clock, Constant, Schedule
from sknn_adam.schedules.by_epoch import InverseScaling, Plateau, Step
from sknn_adam.schedules.by_progress import Cosine, CosLog4, Exponential, FlatCos, Linear, OneCycle
from sknn_adam.schedules.warmup import Warmup

__all__ = [
    "SCHEDULES",
    "Clock",
    "Schedule",
    "Constant",
    "Linear",
    "Cosine",
    "Exponential",
    "Step",
    "InverseScaling",
    "OneCycle",
    "CosLog4",
    "FlatCos",
    "Plateau",
    "Warmup",
]

SCHEDULES = Table(
    "schedule",
    Schedule,
    {
        "constant": Constant,
        "linear": Linear,
        "cosine": Cosine,
        "exponential": Exponential,
        "step": Step,
        "inverse_scaling": InverseScaling,
        "one_cycle": OneCycle,
        "coslog4": CosLog4,
        "flat_cos": FlatCos,
        "plateau": Plateau,
        "warmup": Warmup,
    },
    familiar={
        **dict.fromkeys(("adaptive", "reduce_on_plateau", "reduce_lr_on_plateau"), "plateau"),
        **dict.fromkeys(("invscaling", "inverse_time"), "inverse_scaling"),
        **dict.fromkeys(("cosine_annealing", "cosine_decay"), "cosine"),
        **dict.fromkeys(("exponential_decay", "exp"), "exponential"),
        **dict.fromkeys(("onecycle", "one_cycle_lr"), "one_cycle"),
        **dict.fromkeys(("step_lr", "multistep"), "step"),
    },
)
Warmup._tables = {"schedule": SCHEDULES}
