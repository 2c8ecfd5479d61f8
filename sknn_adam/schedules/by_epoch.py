"""Schedules that depend on the epoch or the training loss."""

from math import inf
from numbers import Real
from types import SimpleNamespace
from typing import Any, ClassVar

from sknn_adam._utils.sklearn_compat import Interval
from sknn_adam._utils.validation import NON_NEGATIVE, POSITIVE, POSITIVE_INTEGER
from sknn_adam.schedules._base import Clock, Schedule

__all__ = ["Step", "InverseScaling", "Plateau"]


class Step(Schedule):
    """Step decay by the factor ``drop``, once every ``every`` epochs.

    Parameters
    ----------
    drop : float, default=0.5
        Factor by which the learning rate is multiplied at every drop, in (0, 1].
    every : int, default=10
        Number of epochs between drops.

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

    def __init__(self, drop: float = 0.5, every: int = 10) -> None:
        self.drop = drop
        self.every = every

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return self.drop ** (clock.epoch // self.every)


class InverseScaling(Schedule):
    r"""Inverse scaling with a power of the epoch, :math:`1 / (1 + \mathrm{epoch})^k`.

    Parameters
    ----------
    power : float, default=0.5
        The exponent :math:`k`, greater than 0.

    Notes
    -----
    scikit-learn's ``"invscaling"`` counts training samples instead of epochs.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, InverseScaling
    >>> InverseScaling(0.5)(Clock(epoch=3))
    0.5
    """

    _parameter_constraints: ClassVar = {"power": [POSITIVE]}

    def __init__(self, power: float = 0.5) -> None:
        self.power = power

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return (1.0 + clock.epoch) ** -self.power


class Plateau(Schedule):
    """Decay by the factor ``drop`` whenever the training loss stops decreasing.

    Parameters
    ----------
    drop : float, default=0.5
        Factor by which the learning rate is multiplied at every drop, in (0, 1).
    patience : int, default=5
        Number of consecutive epochs without improvement before a drop.
    tol : float, default=1e-4
        Minimum improvement, at least 0. The loss must be lower than the best loss by more than
        this.

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

    def __init__(self, drop: float = 0.5, patience: int = 5, tol: float = 0.0001) -> None:
        self.drop = drop
        self.patience = patience
        self.tol = tol

    def init(self) -> Any:
        """Return a state with the factor, best loss, epochs without improvement and last epoch."""
        return SimpleNamespace(factor=1.0, best=inf, waited=0, epoch=0)

    def __call__(self, clock: Clock, state: Any = None) -> float:
        """Return the factor, which is updated once per epoch."""
        state = self.init() if state is None else state
        if clock.epoch != state.epoch:
            state.epoch = clock.epoch
            state.waited = 0 if clock.loss < state.best - self.tol else state.waited + 1
            state.best = min(state.best, clock.loss)
            if state.waited >= self.patience:
                state.factor, state.waited = state.factor * self.drop, 0
        return state.factor
