r"""Schedules: how the learning rate changes during training.

A schedule is a factor on the optimizer's learning rate: ``factor = schedule(clock, state)``, with
``state = schedule.init()``. The clock tells ``step`` (optimizer steps done), ``epoch`` (epochs
done), ``progress`` (done share of ``max_iter`` epochs, from 0 to 1) and ``loss`` (of the last
epoch). The state belongs to the training run; most schedules have none.
"""

from abc import abstractmethod
from dataclasses import dataclass
from math import cos, inf, log2, pi
from numbers import Real
from types import SimpleNamespace
from typing import Any, ClassVar

from sknn_adam._component import Component, NestedNames, Table
from sknn_adam._validation import (
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    POSITIVE_INTEGER,
    UNIT_INTERVAL,
    Interval,
)

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
        return _cosine(clock.progress, 1.0, self.final_factor)


class Linear(Schedule):
    r"""Linear decay :math:`1 + (f - 1)\,p` from 1 to ``final_factor``.

    Parameters
    ----------
    final_factor : float, default=0.0
        The factor :math:`f` at the end of training, from 0 to 1.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Linear
    >>> Linear()(Clock(progress=0.25))
    0.75
    """

    _parameter_constraints: ClassVar = {"final_factor": [UNIT_INTERVAL]}
    uses_progress = True

    def __init__(self, final_factor=0.0):
        self.final_factor = final_factor

    def __call__(self, clock, state=None):
        return 1 + (self.final_factor - 1) * clock.progress


class Step(Schedule):
    """Multiply by ``drop`` after every ``every`` epochs.

    Parameters
    ----------
    drop : float, default=0.5
        What the factor is multiplied by, above 0 and at most 1.
    every : int, default=10
        How many epochs a step lasts.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Step
    >>> Step(drop=0.5, every=10)(Clock(epoch=25))
    0.25
    """

    _parameter_constraints: ClassVar = {
        "drop": [Interval(Real, 0, 1, closed="right")],
        "every": [POSITIVE_INTEGER],
    }

    def __init__(self, drop=0.5, every=10):
        self.drop = drop
        self.every = every

    def __call__(self, clock, state=None):
        return self.drop ** (clock.epoch // self.every)


class InverseScaling(Schedule):
    r"""Decay by a power of the epoch, :math:`1 / (1 + \mathrm{epoch})^k`.

    Parameters
    ----------
    power : float, default=0.5
        :math:`k`, above 0.

    Notes
    -----
    scikit-learn's ``"invscaling"`` counts training rows instead of epochs.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, InverseScaling
    >>> InverseScaling(0.5)(Clock(epoch=3))
    0.5
    """

    _parameter_constraints: ClassVar = {"power": [POSITIVE]}

    def __init__(self, power=0.5):
        self.power = power

    def __call__(self, clock, state=None):
        return 1 / (1 + clock.epoch) ** self.power


class OneCycle(Schedule):
    """Rise from a small factor to 1, then fall to a tiny one, both along a cosine.

    Parameters
    ----------
    peak : float, default=0.3
        The progress at which the factor is 1, in (0, 1).
    initial_factor : float, default=0.04
        The factor at the start, from 0 to 1.
    final_factor : float, default=4e-6
        The factor at the end, from 0 to 1.

    References
    ----------
    Smith, L., Topin, N. (2018). Super-convergence: very fast training of neural networks using
    large learning rates. arXiv:1708.07120.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, OneCycle
    >>> OneCycle()(Clock(progress=0.3))
    1.0
    """

    _parameter_constraints: ClassVar = {
        "peak": [Interval(Real, 0, 1, closed="neither")],
        "initial_factor": [UNIT_INTERVAL],
        "final_factor": [UNIT_INTERVAL],
    }
    uses_progress = True

    def __init__(self, peak=0.3, initial_factor=0.04, final_factor=4e-6):
        self.peak = peak
        self.initial_factor = initial_factor
        self.final_factor = final_factor

    def __call__(self, clock, state=None):
        if clock.progress < self.peak:
            return _cosine(clock.progress / self.peak, self.initial_factor, 1.0)
        return _cosine((clock.progress - self.peak) / (1 - self.peak), 1.0, self.final_factor)


class CosLog4(Schedule):
    r"""Four cosine waves that grow longer: :math:`\tfrac12 (1 - \cos(2\pi \log_2(1 + 15 p)))`.

    Starts and ends at 0; large rates early, several annealings to try solutions.

    References
    ----------
    Holzmueller, D., Grinsztajn, L., Steinwart, I. (2024). Better by default: strong pre-tuned MLPs
    and boosted trees on tabular data. NeurIPS. Section 3.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, CosLog4
    >>> round(CosLog4()(Clock(progress=1.0)), 6)
    0.0
    """

    uses_progress = True

    def __call__(self, clock, state=None):
        return (1 - cos(2 * pi * log2(1 + 15 * clock.progress))) / 2


class FlatCos(Schedule):
    """Constant at first, then a cosine decay to 0.

    Parameters
    ----------
    flat : float, default=0.5
        The progress at which the decay begins, in [0, 1).

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, FlatCos
    >>> FlatCos()(Clock(progress=0.4)), round(FlatCos()(Clock(progress=0.75)), 6)
    (1.0, 0.5)
    """

    _parameter_constraints: ClassVar = {"flat": [FRACTION]}
    uses_progress = True

    def __init__(self, flat=0.5):
        self.flat = flat

    def __call__(self, clock, state=None):
        return _cosine(max(0.0, (clock.progress - self.flat) / (1 - self.flat)), 1.0, 0.0)


class Plateau(Schedule):
    """Multiply by ``drop`` whenever the training loss has stopped falling.

    Parameters
    ----------
    drop : float, default=0.5
        What the factor is multiplied by, in (0, 1).
    patience : int, default=5
        How many epochs in a row without progress are waited for.
    tol : float, default=1e-4
        A fall of the loss by less than this is no progress; not negative.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Plateau
    >>> plateau = Plateau(patience=1)
    >>> state = plateau.init()
    >>> [plateau(Clock(epoch=e, loss=1.0), state) for e in range(4)]
    [1.0, 1.0, 0.5, 0.25]
    """

    _parameter_constraints: ClassVar = {
        "drop": [Interval(Real, 0, 1, closed="neither")],
        "patience": [POSITIVE_INTEGER],
        "tol": [NON_NEGATIVE],
    }

    def __init__(self, drop=0.5, patience=5, tol=1e-4):
        self.drop = drop
        self.patience = patience
        self.tol = tol

    def init(self):
        """Return the factor, the best loss, the epochs waited, and the last epoch seen."""
        return SimpleNamespace(factor=1.0, best=inf, waited=0, epoch=0)

    def __call__(self, clock, state=None):
        """Look at the loss once per epoch."""
        if clock.epoch != state.epoch:
            state.epoch = clock.epoch
            state.waited = 0 if clock.loss < state.best - self.tol else state.waited + 1
            state.best = min(state.best, clock.loss)
            if state.waited >= self.patience:
                state.factor, state.waited = state.factor * self.drop, 0
        return state.factor


class Warmup(NestedNames, Schedule):
    """A linear rise over the first steps, multiplied with any other schedule.

    Parameters
    ----------
    schedule : str or Schedule, default="constant"
        What follows.
    steps : int, default=100
        How many optimizer steps the rise takes.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Warmup
    >>> warmup = Warmup("cosine", steps=4)
    >>> [warmup(Clock(step=t), warmup.init()) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    _parameter_constraints: ClassVar = {"steps": [POSITIVE_INTEGER]}

    def __init__(self, schedule="constant", steps=100):
        self.schedule = schedule
        self.steps = steps

    @property
    def uses_progress(self):
        """Whether the schedule that follows does."""
        return SCHEDULES.make(self.schedule).uses_progress

    def validate(self):
        super().validate()
        SCHEDULES.resolve(self.schedule)

    def init(self):
        schedule = SCHEDULES.make(self.schedule)
        return SimpleNamespace(schedule=schedule, state=schedule.init())

    def __call__(self, clock, state=None):
        return min(1.0, (clock.step + 1) / self.steps) * state.schedule(clock, state.state)


def _cosine(share: float, start: float, end: float) -> float:
    """Go from `start` to `end` along half a cosine."""
    return end + (start - end) * (1 + cos(pi * share)) / 2


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
)
Warmup._tables = {"schedule": SCHEDULES}
