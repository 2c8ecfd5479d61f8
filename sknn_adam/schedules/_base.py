"""The base class of all schedules, and the clock passed to them."""

from abc import abstractmethod
from dataclasses import dataclass
from math import cos, inf, pi
from typing import Any, ClassVar

from sknn_adam._component.base import Component

__all__ = ["Clock", "Schedule", "Constant"]


@dataclass
class Clock:
    """The progress of training when a schedule is called.

    Parameters
    ----------
    step : int, default=0
        Number of completed optimizer steps.
    epoch : int, default=0
        Number of completed epochs.
    progress : float, default=0.0
        Completed fraction of ``max_iter``, from 0 to 1.
    loss : float, default=inf
        Training loss of the last epoch, infinite in the first epoch.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Linear
    >>> Linear()(Clock(progress=0.75), None)
    0.25
    """

    step: int = 0
    epoch: int = 0
    progress: float = 0.0
    loss: float = inf


class Schedule(Component):
    """Base class of all schedules.

    A subclass defines ``__call__(clock, state)``. It sets ``uses_progress = True`` if the factor
    depends on ``clock.progress`` and therefore on ``max_iter``.

    Examples
    --------
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.schedules import Clock, Schedule
    >>> class Root(Schedule):
    ...     kind = "by_epoch"
    ...
    ...     def __call__(self, clock, state):
    ...         return (1 + clock.epoch) ** -0.5
    >>> Root()(Clock(epoch=3), None)
    0.5
    >>> model = MLPClassifier(schedule=Root())
    """

    contract = (("__call__",),)
    uses_progress: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """Type of the schedule's state. Training cannot be resumed with another kind."""
        return type(self).__name__

    def init(self) -> Any:
        """Return the state of a new training run, or None for schedules without state."""
        return None

    @abstractmethod
    def __call__(self, clock: Clock, state: Any = None) -> float:
        """Return the factor that multiplies the learning rate."""


class Constant(Schedule):
    """Constant learning rate.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Constant
    >>> Constant()(Clock(progress=0.5))
    1.0
    """

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return 1.0


def along_cosine(fraction: float, start: float, end: float) -> float:
    """Return the value at `fraction` of half a cosine wave from `start` to `end`."""
    return end + (start - end) * (1 + cos(pi * fraction)) / 2
