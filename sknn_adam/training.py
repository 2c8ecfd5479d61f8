"""Training: one plain function over network, loss, optimizer, data and controls.

The order of a step is written in `objective` and `step`, that of an epoch in `train`, and
nowhere else.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from time import perf_counter
from typing import Any

import numpy as np
from scipy.linalg.blas import daxpy, saxpy
from scipy.sparse import issparse

from sknn_adam import _kernels
from sknn_adam.clipping import Clipping
from sknn_adam.history import History
from sknn_adam.losses import Loss
from sknn_adam.network import Network
from sknn_adam.optimizers import Optimizer
from sknn_adam.schedules import Clock, Schedule

__all__ = ["Data", "Plan", "Run", "objective", "step", "train"]


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


@dataclass
class Run:
    """All state of a training that changes. Resumption is exact because there is nothing else."""

    network: Network
    rng: np.random.Generator
    optimizer_state: Any = None
    schedule_state: Any = None
    clock: Clock = field(default_factory=Clock)
    history: History = field(default_factory=History)
    first_epoch: int = 0  # of the current fit; warm starts go on counting
    best_score: float = -inf
    best_epoch: int = 0
    best: tuple[np.ndarray, np.ndarray] | None = None
    waited: int = 0
    stop_reason: str | None = None

    def begin(self, plan: Plan) -> None:
        """Make the optimizer's and the schedule's state."""
        network = self.network
        self.optimizer_state = plan.optimizer.init(network.theta, network.layout)
        self.schedule_state = plan.schedule.init()

    def new_fit(self) -> None:
        """Start counting epochs and waiting for improvement anew."""
        self.first_epoch, self.stop_reason = self.clock.epoch, None
        self.best_score, self.best, self.waited = -inf, None, 0

    def keep(self, score: float) -> None:
        """Remember the present weights and statistics as the best."""
        network = self.network
        if self.best is None:
            self.best = network.theta.copy(), network.statistics.copy()
        else:
            np.copyto(self.best[0], network.theta)
            np.copyto(self.best[1], network.statistics)
        self.best_score, self.best_epoch = score, self.clock.epoch

    def restore(self) -> None:
        """Go back to the best weights and statistics."""
        if self.best is not None:
            self.network.theta[...], self.network.statistics[...] = self.best


class Data:
    """Rows for training, handed out in batches.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        Features, float32 or float64; never copied or converted as a whole.
    y : ndarray
        Codes (n_rows,) or targets (n_rows, n_outputs).
    weight : ndarray of shape (n_rows,), optional
        Relative weights, with mean 1.
    batch_size : int
        Rows of a batch; the last batch of an epoch may have fewer.
    dtype : numpy dtype
        What a batch of X is converted to.
    """

    def __init__(self, X: Any, y: np.ndarray, weight: Any, batch_size: int, dtype: Any):
        self.X, self.y, self.weight, self.dtype = X, y, weight, np.dtype(dtype)
        self.n_rows = X.shape[0]
        self.batch_size = min(batch_size, self.n_rows)
        self.n_batches = -(-self.n_rows // self.batch_size)
        if not issparse(X):
            self._taken = np.empty((self.batch_size, X.shape[1]), X.dtype)
            self._cast = np.empty((self.batch_size, X.shape[1]), dtype)

    def batches(self, rng: np.random.Generator | None) -> Iterator[tuple[Any, np.ndarray, Any]]:
        """Yield (X, y, weight) of every batch, in random order if `rng` is given."""
        one = self.n_batches == 1  # the order within a batch does not matter
        order = None if rng is None or one else rng.permutation(self.n_rows)
        for start in range(0, self.n_rows, self.batch_size):
            rows: Any = slice(start, min(start + self.batch_size, self.n_rows))
            rows = rows if order is None else order[rows]
            yield self._rows(rows), self.y[rows], None if self.weight is None else self.weight[rows]

    def _rows(self, rows: Any) -> Any:
        if issparse(self.X):
            x = self.X[rows]
            return x if x.dtype == self.dtype else x.astype(self.dtype)
        if isinstance(rows, slice):
            x = self.X[rows]
        else:  # "clip" only skips a check: the rows are a permutation
            x = np.take(self.X, rows, axis=0, out=self._taken[: len(rows)], mode="clip")
        if x.dtype != self.dtype:
            cast = self._cast[: len(x)]
            np.copyto(cast, x)
            x = cast
        return x


def penalty(theta: np.ndarray, grad: np.ndarray, alpha: float, l1_ratio: float) -> float:
    """Return alpha ((1 - l1_ratio)/2 |W|^2 + l1_ratio |W|_1); add its gradient to `grad`."""
    value = 0.0
    if l2 := alpha * (1 - l1_ratio):
        value += l2 / 2 * float(np.dot(theta, theta))
        axpy = daxpy if theta.dtype == np.float64 else saxpy
        axpy(theta, grad, a=l2)  # in place, without a temporary of this size
    if l1 := alpha * l1_ratio:
        value += l1 * float(np.abs(theta).sum(dtype=np.float64))
        grad += l1 * np.sign(theta)
    return value


def objective(
    network: Network, plan: Plan, x: Any, y: np.ndarray, weight: Any, rng: Any = None
) -> float:
    """Return J(theta) on a batch and leave its gradient in ``network.grad``."""
    z = network.forward(x, rng)  # 1
    value, gradient = plan.loss.mean_and_gradient(y, z, weight)
    grad = network.backward(gradient)  # 2
    if plan.alpha:  # 3
        part = slice(0, network.n_weights)
        value += penalty(network.theta[part], grad[part], plan.alpha, plan.l1_ratio)
    return float(value)


def step(run: Run, plan: Plan, x: Any, y: np.ndarray, weight: Any, factor: float) -> float:
    """Do one optimizer step; return the loss before it. A non-finite loss changes nothing."""
    network = run.network
    value = objective(network, plan, x, y, weight, run.rng)
    if isfinite(value):
        if plan.clip is not None:  # 4
            plan.clip(network.grad, network.layout)
        plan.optimizer.step(network.theta, network.grad, run.optimizer_state, factor)  # 5
    return value


def _epoch(run: Run, plan: Plan, data: Data) -> tuple[float, float]:
    """Pass once over the data; return the mean loss and the last factor on the learning rate."""
    clock, total, factor = run.clock, 0.0, 1.0
    done = clock.epoch - run.first_epoch
    for i, (x, y, weight) in enumerate(data.batches(run.rng if plan.shuffle else None)):
        clock.progress = min(1.0, (done + i / data.n_batches) / plan.max_iter)
        factor = plan.schedule(clock, run.schedule_state)
        value = step(run, plan, x, y, weight, factor)
        clock.step += 1
        if not isfinite(value):
            return value, factor
        total += value * len(y)
    return total / data.n_rows, factor


def train(
    run: Run,
    plan: Plan,
    data: Data,
    n_epochs: int,
    validate: Callable[[Network], float] | None = None,
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
        Gives a score, higher is better, for a network at the evaluation point. With it, training
        stops when the score no longer rises, and the best weights are restored.
    """
    run.network.prepare()
    if run.best is None:
        run.keep(-inf)
    if n_epochs > 0:
        by_epochs = _minimize if plan.optimizer.full_batch else _descend
        with np.errstate(all="ignore"), _threads(run.network, data):
            by_epochs(run, plan, data, n_epochs, validate)
    if run.stop_reason == "diverged" or validate is not None:
        run.restore()
    if run.stop_reason == "diverged":  # what the optimizer remembers has diverged too
        run.begin(plan)


def _descend(run: Run, plan: Plan, data: Data, n_epochs: int, validate: Any) -> None:
    """Train by optimizer steps on batches."""
    for _ in range(n_epochs):
        start = perf_counter()
        loss, factor = _epoch(run, plan, data)
        if _epoch_ends(run, plan, loss, factor, start, validate):
            break


def _minimize(run: Run, plan: Plan, data: Data, n_epochs: int, validate: Any) -> None:
    """Hand the objective over all rows to an optimizer that minimizes by itself."""
    network, start = run.network, perf_counter()
    x, y, weight = next(data.batches(None))

    def fun(theta):
        network.theta[...] = theta
        value = objective(network, plan, x, y, weight, run.rng)
        if not isfinite(value):  # the line search would go on for ever
            run.stop_reason = "diverged"
            raise StopIteration
        return value, network.grad.copy()

    def after_iteration(result):
        nonlocal start
        network.theta[...] = result.x
        run.clock.step += 1
        if _epoch_ends(run, plan, result.fun, 1.0, start, validate):
            raise StopIteration
        start = perf_counter()

    # Convergence is the minimizer's to tell, unless a validation score says otherwise.
    plan = replace(plan, n_iter_no_change=inf) if validate is None else plan
    result = None
    try:
        result = plan.optimizer.minimize(
            fun, network.theta.copy(), n_epochs, plan.tol, after_iteration
        )
    except StopIteration:
        pass
    if result is not None and run.stop_reason is None:
        network.theta[...] = result.x
        run.stop_reason = {0: "tol", 1: "max_iter"}.get(result.status, "no_progress")


def _epoch_ends(
    run: Run, plan: Plan, loss: float, factor: float, start: float, validate: Any
) -> bool:
    """Record an epoch, validate, and decide whether training stops."""
    network = run.network
    if not (isfinite(loss) and np.isfinite(network.theta).all()):
        run.stop_reason = "diverged"
        return True
    run.clock.epoch += 1
    run.clock.loss = loss
    score = -loss
    row = {"epoch": run.clock.epoch, "loss": loss}
    if validate is not None:
        point = plan.optimizer.evaluation_point(network.theta, run.optimizer_state)
        row["validation_score"] = score = validate(network.at(point))
    row["learning_rate"] = plan.optimizer.learning_rate * factor
    run.history.append(**row, seconds=perf_counter() - start)
    if _no_longer_rises(run, plan, score):
        run.stop_reason = "tol" if validate is None else "early_stopping"
        return True
    return False


def _no_longer_rises(run: Run, plan: Plan, score: float) -> bool:
    """Whether the score has failed to rise by `tol` for too many epochs in a row."""
    run.waited = run.waited + 1 if score < run.best_score + plan.tol else 0
    if score > run.best_score:
        run.keep(score)
    return run.waited > plan.n_iter_no_change


def _threads(network: Network, data: Data) -> Any:
    """One BLAS thread where the largest product is small: a function of the shapes only."""
    largest = max(layer.fan_in * layer.fan_out for layer in network.dense())
    small = data.batch_size * largest < _kernels.THREADED_WORK
    return _kernels.one_blas_thread if small else nullcontext()
