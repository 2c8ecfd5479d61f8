"""Linear warm-up, combined with any schedule."""

from typing import Any, ClassVar

from sknn_adam._utils.validation import POSITIVE_INTEGER
from sknn_adam.schedules._base import Clock, Schedule

__all__ = ["Warmup"]


class Warmup(Schedule):
    """Linear warm-up over the first steps, multiplied by another schedule.

    Parameters
    ----------
    schedule : str or Schedule, default="constant"
        The schedule that is multiplied by the warm-up.
    steps : int, default=100
        Number of optimizer steps in the warm-up.

    Examples
    --------
    >>> from sknn_adam.schedules import Clock, Warmup
    >>> warmup = Warmup("cosine", steps=4)
    >>> [warmup(Clock(step=t), warmup.init()) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    _parameter_constraints: ClassVar = {"steps": [POSITIVE_INTEGER]}

    def __init__(self, schedule: str | Schedule = "constant", steps: int = 100) -> None:
        self.schedule = schedule
        self.steps = steps

    @property
    def uses_progress(self) -> bool:  # type: ignore[override]
        """Whether the other schedule depends on the progress."""
        return self._inner().uses_progress

    @property
    def kind(self) -> str:
        """Type of the state, including the kind of the other schedule."""
        return f"Warmup({self._inner().kind})"

    def validate(self) -> None:
        super().validate()
        self._tables["schedule"].resolve(self.schedule)

    def init(self) -> Any:
        return self._inner().init()

    def _inner(self) -> Schedule:
        return self._tables["schedule"].make(self.schedule)

    def __call__(self, clock: Clock, state: Any = None) -> float:
        return min(1.0, (clock.step + 1) / self.steps) * self._inner()(clock, state)
