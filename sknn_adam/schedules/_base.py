"""The base of all schedules, and the clock that they read."""

from abc import abstractmethod
from dataclasses import dataclass
from math import cos, inf, pi
from typing import Any, ClassVar

from sknn_adam._component.base import Component

__all__ = ["Clock", "Schedule", "Constant"]


@dataclass
class Clock:
    """The state of training when a schedule is called.

    Parameters
    ----------
    step : int, default=0
        Optimizer steps done.
    epoch : int, default=0
        Epochs done.
    progress : float, default=0.0
        Fraction of ``max_iter`` done, from 0 to 1.
    loss : float, default=inf
        Loss of the last epoch, or minus its score on validation samples.

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
    """Base of all schedules: a subclass defines ``__call__(clock, state)``.

    ``uses_progress`` is True if the factor depends on ``clock.progress``, and so on ``max_iter``.

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
        """An identifier of the rule: training goes on with the state of the same rule only."""
        return type(self).__name__

    def init(self) -> Any:
        """Return the state of a new training run, None for schedules without one."""
        return None

    @abstractmethod
    def __call__(self, clock: Clock, state: Any = None) -> float:
        """Return the factor on the learning rate."""


class Constant(Schedule):
    """A constant learning rate.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Constant
    >>> Constant()(Clock(progress=0.5))
    1.0
    """

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return 1.0


def along_cosine(fraction: float, start: float, end: float) -> float:
    """Go from `start` to `end` along half a cosine."""
    return end + (start - end) * (1 + cos(pi * fraction)) / 2
