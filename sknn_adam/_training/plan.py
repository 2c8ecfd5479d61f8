"""The plan of a training run."""

from dataclasses import dataclass
from functools import cached_property

from sknn_adam._training.penalty import Penalty
from sknn_adam.averaging import EMA
from sknn_adam.clipping import Clipping
from sknn_adam.losses import Loss
from sknn_adam.optimizers import Optimizer
from sknn_adam.schedules import Schedule

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """The components and numbers of a training run, which do not change while it runs."""

    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    clip: Clipping | None = None
    alpha: float = 0.0
    l1_ratio: float = 0.0
    batch_size: int = 200
    max_iter: int = 200
    shuffle: bool = True
    tol: float = 1e-4
    n_iter_no_change: float = 10
    averaging: EMA | None = None
    early_stopping: bool = False
    record: bool | str = True  # measure the layers in some epochs, in "all" epochs, or never

    @cached_property
    def penalty(self) -> Penalty:
        """The penalty on the weights."""
        return Penalty(self.alpha, self.l1_ratio)
