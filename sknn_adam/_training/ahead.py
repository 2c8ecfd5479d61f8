"""Schedule factors of steps that have not been done yet."""

from copy import copy, deepcopy
from typing import Any

from sknn_adam._training.plan import Plan
from sknn_adam._training.run import Run
from sknn_adam.schedules import Clock, Constant

__all__ = ["LossUnknown", "progress", "scheduled"]


class LossUnknown(BaseException):
    """Raised if a schedule reads the loss of an epoch that has not been played."""


class _ClockAhead(Clock):
    """The clock of a later epoch, before the loss of the epoch before it is known."""

    @property
    def loss(self) -> float:
        """The loss of the last epoch, which is unknown."""
        raise LossUnknown

    @loss.setter
    def loss(self, value: float) -> None:
        pass


def scheduled(run: Run, plan: Plan, n_batches: int, n_steps: int) -> tuple[list[float], list[Any]]:
    """Return the schedule factors of the next steps, and the state after each of them.

    `n_batches` is the number of steps in an epoch.

    Raises
    ------
    LossUnknown
        If the schedule reads the loss of an epoch that has not been done yet.
    """
    schedule, state = plan.schedule, run.schedule_state
    if type(schedule) is Constant:
        return [1.0] * n_steps, [state] * n_steps
    clock, first = copy(run.clock), run.clock.epoch
    factors: list[float] = []
    states: list[Any] = []
    for i in range(n_steps):
        epoch = first + (run.batch + i) // n_batches
        if epoch > clock.epoch:
            clock = _ClockAhead(clock.step, epoch)
        clock.progress = progress(run, plan, n_batches, i)
        # A schedule without state has None.
        state = state if state is None else deepcopy(state)
        factors.append(schedule(clock, state))
        states.append(state)
        clock.step += 1
    return factors, states


def progress(run: Run, plan: Plan, n_batches: int, i: int = 0) -> float:
    """Return the progress of the clock before the next step, or the i-th step after it."""
    epoch, batch = divmod(run.batch + i, n_batches)
    done = run.clock.epoch - run.first_epoch + epoch
    return min(1.0, (done + batch / n_batches) / plan.max_iter)
