"""Training: one plain function over network, loss, optimizer, data and controls.

The order of a step is written in `objective` and `step`, that of an epoch in `train`, and
nowhere else.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from math import inf, isfinite, nan
from time import perf_counter
from typing import Any

import numpy as np

from sknn_adam import _kernels
from sknn_adam._interrupts import Interrupts
from sknn_adam._kernels import NUMPY, NumpyKernels, flush_denormals
from sknn_adam.averaging import EMA
from sknn_adam.clipping import Clipping, norm
from sknn_adam.data import Data, facts
from sknn_adam.history import History, Probe
from sknn_adam.losses import Loss
from sknn_adam.network import Network
from sknn_adam.optimizers import Optimizer
from sknn_adam.schedules import Clock, Schedule

__all__ = ["Plan", "Run", "objective", "step", "train"]


EXPLODED = 1e10  # a loss that has grown so many times has diverged, finite or not


@dataclass(frozen=True)
class Plan:
    """What a training is to do: components and numbers, nothing that changes."""

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
    record: bool | str = True  # layers: now and then, "all" epochs, or never


@dataclass
class Run:
    """All state of a training that changes. Resumption is exact because there is nothing else."""

    network: Network
    rng: np.random.Generator
    kernels: NumpyKernels = field(default_factory=NumpyKernels)
    optimizer_state: Any = None
    schedule_state: Any = None
    clock: Clock = field(default_factory=Clock)
    history: History = field(default_factory=History)
    average: Any = None  # of the weights, an array like theta
    order: np.ndarray | None = None  # of the rows in the present epoch
    shape: tuple[int, int] = (0, 0)  # how many rows it has, and how many in a batch
    batch: int = 0  # how many batches of the present epoch are done, and
    total: float = 0.0  # the sum of their losses
    first_epoch: int = 0  # of the present fit; warm starts go on counting
    best_score: float = -inf
    best_epoch: int = 0
    best: Any = None  # copies of weights and statistics
    waited: int = 0
    unclipped: float = 0.0  # norm of the last gradient before it was clipped
    clipped: int = 0  # how many gradients of the present epoch were, and
    clip_rate: float = 0.0  # what share of them in the epoch before
    limit: float | None = None  # a loss above it has diverged
    stop_reason: str | None = None
    in_fit: bool = False  # whether a ``fit`` began and has not ended

    def begin(self, plan: Plan) -> None:
        """Make the state of optimizer, schedule and averaging, at the present weights."""
        theta = self.network.theta
        self.optimizer_state = plan.optimizer.init(theta, self.network.layout)
        self.optimizer_state.kernels = self.kernels
        self.schedule_state = plan.schedule.init()
        averages = plan.averaging is not None and not plan.optimizer.full_batch
        self.average = theta.copy() if averages else None

    def prepare(self, plan: Plan) -> None:
        """Make everything writeable: joblib loads arrays as read-only maps if it is told so."""
        self.network.prepare()
        self.network.kernels = self.kernels
        for name in plan.optimizer.slots:
            if not getattr(self.optimizer_state, name).flags.writeable:
                setattr(self.optimizer_state, name, getattr(self.optimizer_state, name).copy())
        if self.average is not None and not self.average.flags.writeable:
            self.average = self.average.copy()
        if self.best is not None and not self.best[0].flags.writeable:
            self.best = tuple(array.copy() for array in self.best)

    def new_fit(self) -> None:
        """Start counting epochs and waiting for improvement anew."""
        self.first_epoch, self.stop_reason = self.clock.epoch, None
        self.best_score, self.best, self.waited, self.batch = -inf, None, 0, 0

    def point(self, plan: Plan) -> np.ndarray:
        """Return the weights to predict and validate with."""
        if self.average is not None:
            return self.average
        return plan.optimizer.evaluation_point(self.network.theta, self.optimizer_state)

    def slots(self, plan: Plan) -> list[np.ndarray]:
        """Return the optimizer's state vectors."""
        return [getattr(self.optimizer_state, name) for name in plan.optimizer.slots]

    def keep(self, score: float, point: np.ndarray) -> None:
        """Remember these weights and the present statistics as the best."""
        if self.best is None:
            self.best = point.copy(), self.network.statistics.copy()
        else:
            np.copyto(self.best[0], point)
            np.copyto(self.best[1], self.network.statistics)
        self.best_score, self.best_epoch = score, self.clock.epoch

    def out_of_patience(self, plan: Plan) -> str | None:
        """Return the reason to stop if there was no improvement for too long."""
        if self.waited <= plan.n_iter_no_change:
            return None
        return "early_stopping" if plan.early_stopping else "tol"

    def restore(self, plan: Plan) -> None:
        """Go back to the best weights; what the optimizer remembers belongs to others."""
        if self.best is not None:
            self.network.theta[...], self.network.statistics[...] = self.best
            self.begin(plan)


def penalty(
    theta: np.ndarray, grad: np.ndarray, alpha: float, l1_ratio: float, kernels: Any = NUMPY
) -> float:
    """Return alpha ((1 - l1_ratio)/2 |W|^2 + l1_ratio |W|_1); add its gradient to `grad`."""
    return kernels.penalize(theta, grad, alpha * (1 - l1_ratio), alpha * l1_ratio)


def objective(
    network: Network, plan: Plan, x: Any, y: Any, weight: Any, rng: Any = None, probe: Any = None
) -> float:
    """Return J(theta) on a batch and leave its gradient in ``network.grad``."""
    z = network.forward(x, rng)  # 1
    value, gradient = network.kernels.mean_and_gradient(plan.loss, y, z, weight)
    grad = network.backward(gradient)  # 2
    if probe is not None:
        probe.backpropagated()
    if plan.alpha:  # 3
        part = slice(0, network.n_weights)
        value += penalty(
            network.theta[part], grad[part], plan.alpha, plan.l1_ratio, network.kernels
        )
    return float(value)


def step(
    run: Run,
    plan: Plan,
    x: Any,
    y: np.ndarray,
    weight: Any,
    factor: float,
    probe: Probe | None = None,
) -> float:
    """Do one optimizer step; return the loss before it, nan if it has diverged: then do nothing."""
    network = run.network
    value = objective(network, plan, x, y, weight, run.rng, probe)
    if run.limit is None and isfinite(value):
        run.limit = EXPLODED * max(1.0, abs(value))
    if run.limit is None or not abs(value) < run.limit:
        return nan
    if probe is not None:
        probe.before(network.workspaces(len(y)))
    if plan.clip is not None:  # 4
        run.unclipped = norm(network.grad)
        plan.clip(network.grad, network.layout)
        run.clipped += abs(norm(network.grad) - run.unclipped) > 1e-6 * run.unclipped
    plan.optimizer.step(network.theta, network.grad, run.optimizer_state, factor)  # 5
    run.clock.step += 1
    if plan.averaging is not None:
        plan.averaging.update(run.average, network.theta, run.clock.step, run.kernels)
    return value


def _epoch(run: Run, plan: Plan, data: Data, interrupted: Interrupts) -> tuple[float, float]:
    """Pass once over the data; return the mean loss and the last factor on the learning rate.

    What an epoch has done so far is kept in the run: an interrupted one goes on where it was.
    """
    clock, factor = run.clock, 1.0
    done = clock.epoch - run.first_epoch
    shape = data.n_rows, data.batch_size
    if run.batch == 0 or run.shape != shape:  # who goes on with other rows begins a new epoch
        run.order = data.order(run.rng) if plan.shuffle else None
        run.batch, run.total, run.shape, run.clipped = 0, 0.0, shape, 0
    layers = run.history.layers
    while run.batch < data.n_batches:
        x, y, weight = data.batch(run.batch, run.order, run.kernels)
        clock.progress = min(1.0, (done + run.batch / data.n_batches) / plan.max_iter)
        factor = plan.schedule(clock, run.schedule_state)
        probe = None
        if run.batch == 0 and layers.due(plan.record, clock.step):
            probe = Probe(run.network.layers)
        value = step(run, plan, x, y, weight, factor, probe)
        if not isfinite(value):
            run.batch = 0
            return value, factor
        if probe is not None:
            _record(run, plan, probe)
        run.total += value * len(y)
        run.batch += 1
        if interrupted.by_user and run.batch < data.n_batches:
            raise KeyboardInterrupt
    run.order, run.batch, run.clip_rate = None, 0, run.clipped / data.n_batches
    if clock.epoch % 16 == 15:
        for vector in (run.network.theta, *run.slots(plan)):
            flush_denormals(vector)
    return run.total / data.n_rows, factor


def _record(run: Run, plan: Plan, probe: Probe) -> None:
    """Add what a probe has measured to the history of the layers."""
    layers = run.history.layers
    layers.append(epoch=run.clock.epoch + 1, step=run.clock.step, **probe.after())
    if plan.record != "all":
        layers.thin()


def train(
    run: Run,
    plan: Plan,
    data: Data,
    n_epochs: int,
    validate: Callable[[Network], float] | None = None,
    on_epoch: Callable[[Run], bool] | None = None,
) -> None:
    """Train for at most `n_epochs` epochs; ``run.stop_reason`` says why training ended.

    Parameters
    ----------
    run : Run
        The state, changed in place.
    plan : Plan
        What to do.
    data : Data
        The rows.
    n_epochs : int
        The most epochs to do now.
    validate : callable, optional
        Gives a score, higher is better, for a network at the evaluation point; recorded. With
        ``plan.early_stopping`` training stops when it no longer rises, and the best weights are
        restored.
    on_epoch : callable, optional
        Called after every epoch; training stops when it returns True.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, between two steps: the run is consistent and can go on.
    """
    run.prepare(plan)
    if run.best is None:
        run.keep(-inf, run.point(plan))
    if plan.record and not run.history.table:
        run.history.table = facts(data, plan.loss)
    if not plan.optimizer.full_batch:
        run.stop_reason = run.out_of_patience(plan)  # known if it was cut off after its last epoch
    if n_epochs > 0 and run.stop_reason is None:
        work = _minimize if plan.optimizer.full_batch else _descend
        try:
            with np.errstate(all="ignore"), _threads(run.network, data):
                work(run, plan, data, n_epochs, _EpochEnd(validate, on_epoch))
        except KeyboardInterrupt:
            if run.stop_reason == "diverged":
                run.restore(plan)
            else:  # who goes on will find the same reason
                run.stop_reason = None
            raise
    if run.stop_reason == "diverged" or (plan.early_stopping and run.best_score > -inf):
        run.restore(plan)


@dataclass
class _EpochEnd:
    """What happens after every epoch."""

    validate: Callable[[Network], float] | None
    on_epoch: Callable[[Run], bool] | None
    start: float = field(default_factory=perf_counter)

    def __call__(self, run: Run, plan: Plan, loss: float, factor: float) -> bool:
        """Record, validate, tell the callbacks, and decide whether training stops."""
        clock, point = run.clock, run.point(plan)
        if not (isfinite(loss) and isfinite(norm(point))):
            run.stop_reason = "diverged"
            return True
        clock.epoch, clock.loss = clock.epoch + 1, loss
        row = {"epoch": clock.epoch, "loss": loss}
        score = -loss
        if self.validate is not None:
            row["validation_score"] = self.validate(run.network.at(point))
            if plan.early_stopping:
                score = row["validation_score"]
        row["learning_rate"] = plan.optimizer.learning_rate * factor
        row["gradient_norm"] = norm(run.network.grad) if plan.clip is None else run.unclipped
        if plan.clip is not None:
            row["clip_rate"] = run.clip_rate
        now = perf_counter()
        run.history.append(**row, seconds=now - self.start)
        self.start = now
        # Written so that a score that is not a number counts as no rise.
        run.waited = 0 if score >= run.best_score + plan.tol else run.waited + 1
        if score > run.best_score:
            run.keep(score, point)
        if self.on_epoch is not None and self.on_epoch(run):
            run.stop_reason = "callback"
        else:
            run.stop_reason = run.out_of_patience(plan)
        return run.stop_reason is not None


def _descend(run: Run, plan: Plan, data: Data, n_epochs: int, ended: _EpochEnd) -> None:
    """Train by optimizer steps on batches."""
    with Interrupts() as interrupted:
        for _ in range(n_epochs):
            if interrupted.by_user:
                raise KeyboardInterrupt
            loss, factor = _epoch(run, plan, data, interrupted)
            if ended(run, plan, loss, factor):
                break


def _minimize(run: Run, plan: Plan, data: Data, n_epochs: int, ended: _EpochEnd) -> None:
    """Hand the objective over all rows to an optimizer that minimizes by itself."""
    network = run.network
    x, y, weight = data.batch(0, None)
    if not plan.early_stopping:  # convergence is then the minimizer's to tell
        plan = replace(plan, n_iter_no_change=inf)

    def fun(theta):
        network.theta[...] = theta
        value = objective(network, plan, x, y, weight, run.rng, probe)
        if not isfinite(value):  # the line search would go on for ever
            run.stop_reason = "diverged"
            raise StopIteration
        return value, network.grad.astype(np.float64)

    probe = None

    def settle(theta):
        """Take these weights; the statistics of trial points are replaced by their own."""
        network.theta[...] = theta
        if network.statistics.size:
            network.statistics[...] = 0
            network.forward(x, run.rng)

    def after_iteration(result):
        nonlocal probe
        settle(result.x)
        if probe is not None:
            _record(run, plan, probe)
        probe = None
        run.clock.step += 1
        if run.history.layers.due(plan.record, run.clock.step):
            probe = Probe(network.layers)
            probe.before(network.workspaces(len(y)))
        if ended(run, plan, float(result.fun), 1.0):
            raise StopIteration

    try:
        result = plan.optimizer.minimize(
            fun, network.theta.astype(np.float64), n_epochs, plan.tol, after_iteration
        )
    except StopIteration:
        return
    except KeyboardInterrupt:  # leave no trial point of the line search
        network.theta[...], network.statistics[...] = run.best
        raise
    if run.stop_reason is None:
        settle(result.x)
        run.stop_reason = {0: "tol", 1: "max_iter"}.get(result.status, "no_progress")


def _threads(network: Network, data: Data) -> Any:
    """One BLAS thread where the largest product is small: a function of the shapes only."""
    largest = max(layer.fan_in * layer.fan_out for layer in network.dense())
    small = data.batch_size * largest < _kernels.THREADED_WORK
    return _kernels.one_blas_thread if small else nullcontext()
