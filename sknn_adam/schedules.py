r"""Schedules: how the learning rate changes during training.

A schedule is a factor on the optimizer's learning rate: ``factor = schedule(clock, state)``, with
``state = schedule.init()``. The clock tells ``step`` (optimizer steps done), ``epoch`` (epochs
done), ``progress`` (done share of ``max_iter`` epochs, from 0 to 1) and ``loss`` (of the last
epoch). The state belongs to the training run; most schedules have none.
"""

from abc import abstractmethod
from dataclasses import dataclass
from math import cos, inf, pi
from typing import Any, ClassVar

from sknn_adam._component import Component, Table
from sknn_adam._validation import POSITIVE, UNIT_INTERVAL

__all__ = ["SCHEDULES", "Clock", "Constant", "Cosine", "Exponential", "Schedule"]


@dataclass
class Clock:
    """Where training stands when a schedule is asked."""

    step: int = 0
    epoch: int = 0
    progress: float = 0.0
    loss: float = inf


class Schedule(Component):
    """Base of all schedules: a subclass defines ``__call__(clock, state)``.

    ``uses_progress`` says that the factor depends on ``clock.progress``, and so on ``max_iter``.
    """

    contract = (("__call__",),)
    uses_progress: ClassVar[bool] = False

    def init(self) -> Any:
        """Return the state of a new training run, None for schedules without one."""
        return None

    @abstractmethod
    def __call__(self, clock: Clock, state: Any = None) -> float:
        """Return the factor on the learning rate."""


class Constant(Schedule):
    """The learning rate as it is.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Constant
    >>> Constant()(Clock(progress=0.5))
    1.0
    """

    def __call__(self, clock, state=None):
        """Return 1."""
        return 1.0


class Exponential(Schedule):
    r"""Exponential decay :math:`f^{p}` from 1 to ``final_factor`` :math:`f`; `p` is the progress.

    Parameters
    ----------
    final_factor : float, default=0.01
        The factor at the end of training, above 0.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Exponential
    >>> Exponential(0.25)(Clock(progress=0.5))
    0.5
    """

    _parameter_constraints: ClassVar = {"final_factor": [POSITIVE]}
    uses_progress = True

    def __init__(self, final_factor=0.01):
        self.final_factor = final_factor

    def __call__(self, clock, state=None):
        """Return final_factor ** progress."""
        return self.final_factor**clock.progress


class Cosine(Schedule):
    r"""Cosine decay :math:`f + (1 - f)\,\tfrac12 (1 + \cos \pi p)` from 1 to ``final_factor``.

    Parameters
    ----------
    final_factor : float, default=0.0
        The factor :math:`f` at the end of training, from 0 to 1.

    References
    ----------
    Loshchilov, I., Hutter, F. (2017). SGDR: stochastic gradient descent with warm restarts. ICLR.
    Equation 5, without restarts.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Cosine
    >>> round(Cosine()(Clock(progress=0.5)), 6)
    0.5
    """

    _parameter_constraints: ClassVar = {"final_factor": [UNIT_INTERVAL]}
    uses_progress = True

    def __init__(self, final_factor=0.0):
        self.final_factor = final_factor

    def __call__(self, clock, state=None):
        """Return the factor at the clock's progress."""
        falling = (1 + cos(pi * clock.progress)) / 2
        return self.final_factor + (1 - self.final_factor) * falling


SCHEDULES = Table(
    "schedule",
    Schedule,
    {"constant": Constant, "exponential": Exponential, "cosine": Cosine},
)
