"""The run: everything that changes during training."""

from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import dataclass, field
from math import inf, isfinite, nan
from typing import Any, ClassVar

import numpy as np

from sknn_adam._backends.draws import new_draws
from sknn_adam._backends.numpy_backend import Backend
from sknn_adam._backends.vectors import flush_denormals, norm
from sknn_adam._nn.network import Network
from sknn_adam._training.history import History
from sknn_adam._training.plan import Plan
from sknn_adam.schedules import Clock

__all__ = ["EXPLODED", "Run"]

# A loss that has grown by this factor has diverged, even if it is finite.
EXPLODED = 1e10
# Subnormal numbers are set to zero at ends of epochs, about this many steps apart.
FLUSHED = 512


# Attributes of an optimizer's state that no step changes.
CONSTANT = ("kernels", "layout", "blocks")


def _own_values(state: Any) -> dict[str, Any]:
    """Return the values of a state, with copies of mutable values other than arrays."""
    return {
        name: value if name in CONSTANT or isinstance(value, np.ndarray) else deepcopy(value)
        for name, value in vars(state).items()
    }


@dataclass
class Run:
    """Everything that changes during training.

    There is no other state, so resumed training gives the same bits.
    """

    network: Network
    rng: np.random.Generator
    optimizer_state: Any = None
    schedule_state: Any = None
    clock: Clock = field(default_factory=Clock)
    history: History = field(default_factory=History)
    average: Any = None  # average of the weights, shaped like theta
    order: np.ndarray | None = None  # order of the samples in the current epoch
    shape: tuple[int, int] = (0, 0)  # numbers of samples in the epoch and in a batch
    batch: int = 0  # number of finished batches in the current epoch
    total: float = 0.0  # sum of the losses of their samples
    first_epoch: int = 0  # epochs before the current fit; a warm start continues the count
    # Scalars for one network, one entry per member otherwise: best_score, best_epoch, waited.
    best_score: Any = -inf
    best_epoch: Any = 0
    best: Any = None  # copies of weights and statistics
    waited: Any = 0
    unclipped: float = 0.0  # norm of the last gradient before it was clipped
    clipped: int = 0  # number of clipped gradients in the current epoch
    clip_rate: float = 0.0  # fraction of clipped gradients in the last finished epoch
    limit: float | None = None  # the loss of one network diverges if it exceeds this limit
    lost: Any = False  # whether each member has diverged in the current fit
    oof: Any = None  # an OutOfFold, if members hold out samples
    stop_reason: str | None = None
    contradiction: tuple[float, float] | None = None  # the losses of predictions and of training
    in_fit: bool = False  # whether a ``fit`` has begun and not ended
    # How often members have been reset in this process.
    n_resets: ClassVar[int] = 0
    # Members that are no longer trained, because they are out of patience; None if there are none.
    finished: ClassVar[np.ndarray | None] = None
    draws: np.ndarray = field(init=False)  # key of the random draws, and the step of the last ones

    def __post_init__(self) -> None:
        self.draws = new_draws(self.rng)

    def draws_of_step(self) -> np.ndarray:
        """Return the key and the current step; a step that is repeated has the same draws."""
        self.draws[2] = self.clock.step
        return self.draws

    def __getstate__(self) -> dict[str, Any]:
        """Omit the backend, the memory that `remember` reuses, and what other values determine."""
        passing = "_spare", "n_resets", "finished"
        state = {name: value for name, value in vars(self).items() if name not in passing}
        state["optimizer_state"] = copy(self.optimizer_state)
        vars(state["optimizer_state"]).pop("kernels", None)
        return state

    def begin(self, plan: Plan) -> None:
        """Initialize the state of optimizer, schedule and averaging at the current weights."""
        theta = self.network.theta
        self.optimizer_state = plan.optimizer.init(theta, self.network.layout)
        self.schedule_state = plan.schedule.init()
        averages = plan.averaging is not None and not plan.optimizer.full_batch
        self.average = theta.copy() if averages else None

    def prepare(self, plan: Plan, kernels: Backend) -> None:
        """Set the backend; make all arrays writeable, as joblib may map them read-only."""
        self.network.prepare(kernels)
        self.optimizer_state.kernels = kernels
        kernels.forget()
        plan.optimizer.check_state(self.network.theta, self.optimizer_state)
        for name in plan.optimizer.slots:
            if not getattr(self.optimizer_state, name).flags.writeable:
                setattr(self.optimizer_state, name, getattr(self.optimizer_state, name).copy())
        if self.average is not None and not self.average.flags.writeable:
            self.average = self.average.copy()
        if not self.draws.flags.writeable:
            self.draws = self.draws.copy()
        if self.best is not None and not self.best[0].flags.writeable:
            self.best = tuple(array.copy() for array in self.best)

    def remember(self) -> Callable[[], None]:
        """Return a function that undoes all later changes by training, including those in place.

        A deep copy of the run would take about as long as a step. Instead, arrays are copied to
        memory that is reused, and only the lengths of the history's columns are stored.
        """
        network, histories = self.network, (self.history, self.history.layers)
        fields = [(holder, vars(holder).copy()) for holder in (self, self.clock, *histories)]
        fields.append((self.optimizer_state, _own_values(self.optimizer_state)))
        arrays = [v for _, kept in fields for v in kept.values() if isinstance(v, np.ndarray)]
        arrays += [network.theta, network.statistics, *(self.best or ())]
        spare: Any = vars(self).get("_spare", ())
        if [(c.shape, c.dtype) for c in spare] != [(a.shape, a.dtype) for a in arrays]:
            spare = self._spare = [np.empty_like(array) for array in arrays]
        for kept, array in zip(spare, arrays, strict=True):
            np.copyto(kept, array)
        theta, statistics = network.theta, network.statistics
        columns = [{name: len(c) for name, c in history.columns.items()} for history in histories]
        rng_state = self.rng.bit_generator.state
        schedule_state = deepcopy(self.schedule_state)

        def undo() -> None:
            for holder, kept in fields:
                vars(holder).clear()
                vars(holder).update(kept)
            for array, kept in zip(arrays, spare, strict=True):
                if array.flags.writeable:
                    array[...] = kept
            # Read-only arrays have been replaced rather than changed.
            network.theta[...], network.statistics[...] = theta, statistics
            for history, lengths in zip(histories, columns, strict=True):
                history.columns = {name: history.columns[name] for name in lengths}
                for name, length in lengths.items():
                    del history.columns[name][length:]
            self.rng.bit_generator.state = rng_state
            self.schedule_state = schedule_state

        return undo

    def new_fit(self) -> None:
        """Restart the counts of epochs and of epochs without improvement."""
        self.in_fit = True
        self.first_epoch, self.stop_reason, self.contradiction = self.clock.epoch, None, None
        self.best_score, self.best, self.waited, self.batch = -inf, None, 0, 0
        # This keeps an array with one entry per member.
        self.best_epoch = 0 * self.best_epoch + self.first_epoch
        self.lost, self.oof = False, None

    def mean(self, values: Any, n_samples: int) -> float:
        """Return the loss of a batch, averaged over members; nan if training has diverged."""
        if self.limit is None and isfinite(values):
            self.limit = EXPLODED * max(1.0, abs(values))
        return values if self.limit is not None and abs(values) < self.limit else nan

    def note_clipping(self, before: float, after: float) -> None:
        """Count a clipped gradient, given its norms before and after."""
        self.unclipped = before
        self.clipped += abs(after - before) > 1e-6 * before

    @property
    def knows_limit(self) -> bool:
        """Whether it is known above which loss training has diverged."""
        return self.limit is not None

    def survivors(self, plan: Plan, loss: float) -> np.ndarray | None:
        """Return the weights to continue with after an epoch, None if training has diverged."""
        point = self.point(plan)
        sound = isfinite(loss) and isfinite(norm(point)) and isfinite(norm(self.network.statistics))
        return point if sound else None

    def give_up(self, plan: Plan, failed: np.ndarray) -> None:
        """End training as diverged, because the weights after the last epoch are useless."""
        self.stop_reason = "diverged"

    def watch(self, plan: Plan, score: Any, point: np.ndarray) -> None:
        """Compare a score (higher is better) with the best one."""
        # With this comparison, nan counts as no improvement.
        self.waited = 0 if score >= self.best_score + plan.tol else self.waited + 1
        if score > self.best_score:
            self.keep(score, point)

    @property
    def judged(self) -> bool:
        """Whether there has been a score other than nan."""
        return bool(self.best_score > -inf)

    def largest_losses(self) -> Any:
        """Return the loss above which training has diverged."""
        return inf if self.limit is None else self.limit

    def weight_norms(self) -> Any:
        """Return the norm of the weights of each network."""
        return norm(self.network.theta)

    def score(self, loss: float) -> Any:
        """Return the negated loss of the epoch."""
        return -loss

    def scores_of_epoch(self, score: Any) -> Any:
        """Return the validation score of the epoch."""
        return score

    def silence(self) -> None:
        """Set the gradients of members that are no longer trained to zero."""

    def point(self, plan: Plan) -> np.ndarray:
        """Return the evaluation point: the weights used for prediction and validation."""
        if self.average is not None:
            return self.average
        return plan.optimizer.evaluation_point(self.network.theta, self.optimizer_state)

    def slots(self, plan: Plan) -> list[np.ndarray]:
        """Return the optimizer's state vectors."""
        return [getattr(self.optimizer_state, name) for name in plan.optimizer.slots]

    def flush(self, plan: Plan, n_batches: int) -> None:
        """After some epochs, set subnormal numbers of weights and optimizer to zero."""
        if self.is_flushed_after(self.clock.epoch, n_batches):
            for vector in self.flushed(plan):
                flush_denormals(vector)

    def flushed(self, plan: Plan) -> list[np.ndarray]:
        """Return the vectors without subnormal numbers."""
        return [self.network.theta, *self.slots(plan)]

    @staticmethod
    def is_flushed_after(epoch: Any, n_batches: int) -> Any:
        """Return whether subnormal numbers are set to zero after an epoch, counted from 0."""
        period = max(1, FLUSHED // n_batches)
        return epoch % period == period - 1

    def keep(self, score: float, point: np.ndarray) -> None:
        """Store these weights and the current statistics as the best."""
        # joblib may have mapped the arrays of a loaded run read-only.
        if self.best is None or not self.best[0].flags.writeable:
            self.best = point.copy(), self.network.statistics.copy()
        else:
            np.copyto(self.best[0], point)
            np.copyto(self.best[1], self.network.statistics)
        self.best_score, self.best_epoch = score, self.clock.epoch

    def out_of_patience(self, plan: Plan) -> str | None:
        """Return the reason to stop if the score has not improved for too long, else None."""
        if self.waited <= plan.n_iter_no_change:
            return None
        return "early_stopping" if plan.early_stopping else "tol"

    def restore(self, plan: Plan) -> None:
        """Restore the best weights; reset the optimizer, as its state belongs to the last ones."""
        if self.best is not None:
            self.network.theta[...], self.network.statistics[...] = self.best
            self.begin(plan)
