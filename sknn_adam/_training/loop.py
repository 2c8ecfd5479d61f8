"""Training as plain functions of network, plan and data.

`objective` and `step` define the order of operations in a step, and `_epoch` that in an epoch.
"""

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from math import inf, isfinite, nan
from time import perf_counter
from typing import Any

import numpy as np

from sknn_adam._backends.numpy_backend import Backend
from sknn_adam._backends.selection import choose, predicted_gain
from sknn_adam._backends.threads import THREADED_WORK, one_blas_thread, team
from sknn_adam._backends.vectors import norm
from sknn_adam._nn.network import Network
from sknn_adam._training.ahead import progress
from sknn_adam._training.batches import Batch, Data, constant_losses, facts
from sknn_adam._training.plan import Plan
from sknn_adam._training.playing import Player, facts_of, player_for
from sknn_adam._training.probe import Probe
from sknn_adam._training.run import Run
from sknn_adam._utils.interrupts import Interrupts
from sknn_adam._utils.validation import in_place

__all__ = ["Plan", "Run", "choose_kernels", "objective", "step", "train"]

# Fits to data of ordinary scale end with a smaller weight norm.
LARGE_WEIGHTS = 1e4
# The spread of normalized outputs should be about 1. A spread below this limit is a fault.
COLLAPSED = 0.1


def objective(
    network: Network, plan: Plan, batch: Batch, draws: Any = None, probe: Any = None
) -> Any:
    """Return J(theta) on a batch, one value per member; write its gradient to ``network.grad``."""
    kernels, recorded = network.kernels, network.replayable
    if recorded:
        results = network.grad, network.statistics
        known = kernels.begin(batch, *results, network.layer_types, replay=probe is None)
        if known is not None:
            return known
    z = network.forward(batch.x, draws, batch.kept)  # 1
    value, gradient = kernels.mean_and_gradient(plan.loss, batch.y, z, batch.weight)
    grad = network.backward(gradient)  # 2
    if probe is not None:
        probe.backpropagated()
    if plan.alpha:  # 3
        weights = slice(0, network.n_weights)
        arrays = network.theta[weights], grad[weights], network.bounds
        value = plan.penalty.add(value, *arrays, kernels)
    if recorded:
        kernels.end(value)
    return value if network.members else float(value)


def step(run: Run, plan: Plan, batch: Batch, factor: float, probe: Probe | None = None) -> float:
    """Do one optimizer step and return the loss before it.

    If the loss has diverged, return nan without a step.
    """
    network = run.network
    value = objective(network, plan, batch, run.draws_of_step(), probe)
    value = run.mean(value, batch.n_samples)
    if not isfinite(value):
        return nan
    run.silence()
    if probe is not None:
        probe.before(network.workspaces(batch.n_samples))
    if plan.clip is not None:  # 4
        run.note_clipping(*network.kernels.clip(plan.clip, network.grad, network.layout))
    in_place(plan.optimizer.step, network.theta, network.grad, run.optimizer_state, factor)  # 5
    run.clock.step += 1
    if plan.averaging is not None:
        update, clock = plan.averaging.update, run.clock
        in_place(update, run.average, network.theta, clock.step, network.kernels)
    return value


def _epoch(
    run: Run, plan: Plan, data: Data, interrupted: Interrupts, player: Player | None
) -> tuple[float, float]:
    """Pass once over the data; return the mean loss and the last schedule factor.

    The progress of the epoch is stored in the run, so that an interrupted epoch can be continued.
    """
    clock, factor = run.clock, 1.0
    shape = data.n_rows, data.batch_size
    # If the number of samples or the batch size has changed, training continues with a new epoch.
    if run.batch == 0 or run.shape != shape:
        run.order = data.order(run.rng) if plan.shuffle else None
        run.batch, run.total, run.shape, run.clipped = 0, 0.0, shape, 0
    layers = run.history.layers
    while run.batch < data.n_batches:
        probed = run.batch == 0 and layers.due(plan.record, clock.step)
        if player is not None and not probed:
            n_steps, value, factor = player.play()
            if n_steps and not isfinite(value):
                run.batch = 0
                return value, factor
            if interrupted.by_user and run.batch < data.n_batches:
                raise KeyboardInterrupt
            if n_steps:
                continue
        batch = data.batch(run.batch, run.order, run.network.kernels)
        clock.progress = progress(run, plan, data.n_batches)
        factor = plan.schedule(clock, run.schedule_state)
        probe = Probe(run.network.layers) if probed else None
        value = step(run, plan, batch, factor, probe)
        if not isfinite(value):
            run.batch = 0
            return value, factor
        if probe is not None:
            _record(run, plan, probe)
        run.total += value * batch.n_samples
        run.batch += 1
        if interrupted.by_user and run.batch < data.n_batches:
            raise KeyboardInterrupt
    run.order, run.batch, run.clip_rate = None, 0, run.clipped / data.n_batches
    run.flush(plan, data.n_batches)
    return run.total / data.n_rows, factor


def _record(run: Run, plan: Plan, probe: Probe) -> None:
    """Add the measurements of a probe to the history of the layers."""
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
    """Train for at most `n_epochs` epochs and set ``run.stop_reason``.

    Parameters
    ----------
    run : Run
        The state, changed in place.
    plan : Plan
        The components and numbers of the training run.
    data : Data
        The training samples.
    n_epochs : int
        The maximum number of epochs.
    validate : callable, optional
        Returns the score of a network at the evaluation point; higher is better. The score is
        recorded. With ``plan.early_stopping``, training stops when it no longer improves, and the
        best weights are restored.
    on_epoch : callable, optional
        Called after every epoch; training stops when it returns True.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, between two steps, so that the run is consistent and can be continued.
    """
    with Interrupts() as interrupted:
        _train(run, plan, data, n_epochs, validate, on_epoch, interrupted)


def _train(
    run: Run,
    plan: Plan,
    data: Data,
    n_epochs: int,
    validate: Callable[[Network], float] | None,
    on_epoch: Callable[[Run], bool] | None,
    interrupted: Interrupts,
) -> None:
    run.prepare(plan, choose_kernels(run.network, data))
    if run.best is None:
        run.keep(-inf, run.point(plan))
    if not plan.optimizer.full_batch:
        # An interrupted run may already be out of patience.
        run.stop_reason = run.out_of_patience(plan)
    if n_epochs > 0 and run.stop_reason is None:
        work = _minimize if plan.optimizer.full_batch else _descend
        try:
            guard = nullcontext() if _is_large(run.network, data) else one_blas_thread
            with np.errstate(all="ignore"), guard, team():
                if plan.record and not run.history.table:
                    run.history.table = facts(data, plan.loss)
                work(run, plan, data, n_epochs, _EpochEnd(validate, on_epoch), interrupted)
        except KeyboardInterrupt:
            if run.stop_reason == "diverged":
                run.restore(plan)
            # Training that is continued determines the reason again.
            else:
                run.stop_reason = None
            raise
    if run.stop_reason != "diverged" and run.in_fit and run.clock.epoch > run.first_epoch:
        with np.errstate(all="ignore"):
            _check_predictions(run, plan, data)
    if run.stop_reason == "diverged" or (plan.early_stopping and run.judged):
        run.restore(plan)
    if run.in_fit:
        run.stop_reason = run.stop_reason or "max_iter"


def _check_predictions(run: Run, plan: Plan, data: Data) -> None:
    """End training as diverged if the training loss and the loss of predictions disagree.

    They disagree if predictions are no better than a constant although the training loss was much
    lower, and nearly all samples are equal after normalization by the running statistics. The
    statistics then describe a few extreme samples instead of the data. They also disagree if the
    last step exploded, because a training loss is computed before its step.
    """
    # Running statistics and losses belong to the trained weights, not to their average.
    network, tracks = run.network, run.network.statistics.size > 0
    # A full-batch optimizer has computed the loss of the weights and statistics that it returns.
    if plan.optimizer.full_batch:
        return
    failed = np.atleast_1d(run.weight_norms()) >= LARGE_WEIGHTS
    failed |= tracks
    if run.finished is not None:
        failed &= ~run.finished
    trained = -np.atleast_1d(run.score(run.clock.loss))
    limit = run.largest_losses()
    # All samples are checked only if a subset of them fails.
    for which in (data.spread_index(), slice(None)):
        if not failed.any():
            return
        batch = data.subset(which)
        predicted = np.atleast_1d(plan.loss.mean(batch.y, network.predict(batch.x), batch.weight))
        reference = constant_losses(plan.loss, batch)
        useless = (reference > 0.01) & (predicted > 0.98 * reference) & (trained < 0.7 * predicted)
        found = ~(predicted <= limit)
        if tracks and useless.any():
            found |= useless & (network.normalized_spread(batch.x) < COLLAPSED)
        # A network that holds out samples must not depend on the others, which train on them.
        failed = found if batch.kept is None else failed & found
    if not failed.any():
        return
    run.contradiction = float(predicted[failed].mean()), float(trained[failed].mean())
    run.give_up(plan, failed)


@dataclass
class _EpochEnd:
    """The work at the end of every epoch."""

    validate: Callable[[Network], float] | None
    on_epoch: Callable[[Run], bool] | None
    start: float = field(default_factory=perf_counter)

    @property
    def only_records(self) -> bool:
        """Whether the user's functions are never called."""
        return self.validate is None and self.on_epoch is None

    def __call__(self, run: Run, plan: Plan, loss: float, factor: float) -> bool:
        """Validate, record, call the callback, and return whether training stops."""
        clock, point = run.clock, run.survivors(plan, loss)
        if point is None:
            run.stop_reason = "diverged"
            return True
        clock.epoch, clock.loss = clock.epoch + 1, loss
        row = {"epoch": clock.epoch, "loss": loss}
        # Without early stopping, the training loss determines the best epoch.
        score = run.score(loss)
        if self.validate is not None:
            validation_score = run.scores_of_epoch(self.validate(run.network.at(point)))
            row["validation_score"] = float(np.mean(validation_score))
            score = validation_score if plan.early_stopping else score
        row["learning_rate"] = plan.optimizer.learning_rate * factor
        row["gradient_norm"] = norm(run.network.grad) if plan.clip is None else run.unclipped
        if plan.clip is not None:
            row["clip_rate"] = run.clip_rate
        now = perf_counter()
        run.history.append(**row, seconds=now - self.start)
        self.start = now
        run.watch(plan, score, point)
        if self.on_epoch is not None and self.on_epoch(run):
            run.stop_reason = "callback"
        else:
            run.stop_reason = run.out_of_patience(plan)
        return run.stop_reason is not None


def _descend(
    run: Run, plan: Plan, data: Data, n_epochs: int, epoch_end: _EpochEnd, interrupted: Interrupts
) -> None:
    """Train with optimizer steps on batches."""
    end, facts, player = run.clock.epoch + n_epochs, None, None
    while run.clock.epoch < end:
        if interrupted.by_user:
            raise KeyboardInterrupt
        if facts != (now := facts_of(run, plan)):
            facts, player = now, player_for(run, plan, data)
        epoch = None
        # Validation and callbacks take place after every epoch.
        if player is not None and epoch_end.only_records:
            with closing(player.play_epochs(end - run.clock.epoch)) as played:
                for epoch in played:
                    epoch_end.start = perf_counter() - epoch.seconds
                    if epoch_end(run, plan, epoch.loss, epoch.factor):
                        return
        if epoch is None:
            loss, factor = _epoch(run, plan, data, interrupted, player)
            if epoch_end(run, plan, loss, factor):
                return


def _minimize(
    run: Run, plan: Plan, data: Data, n_epochs: int, epoch_end: _EpochEnd, interrupted: Interrupts
) -> None:
    """Minimize the objective over all samples with a full-batch optimizer."""
    network = run.network
    batch = data.batch(0, None)
    # Without early stopping, the optimizer itself detects convergence.
    if not plan.early_stopping:
        plan = replace(plan, n_iter_no_change=inf)

    def fun(theta: np.ndarray) -> tuple[float, np.ndarray]:
        if interrupted.by_user:
            raise KeyboardInterrupt
        network.theta[...] = theta
        value = objective(network, plan, batch, run.draws, probe)
        # Otherwise the line search would never end.
        if not isfinite(value):
            run.stop_reason = "diverged"
            raise StopIteration
        return value, network.grad.astype(np.float64)

    probe = None

    def settle(theta: np.ndarray) -> None:
        """Set the weights; replace the statistics of trial points by those of these weights."""
        network.theta[...] = theta
        if network.statistics.size:
            network.statistics[...] = 0
            network.forward(batch.x, run.draws)

    def after_iteration(result: Any) -> None:
        nonlocal probe
        settle(result.x)
        if probe is not None:
            _record(run, plan, probe)
        probe = None
        run.clock.step += 1
        if run.history.layers.due(plan.record, run.clock.step):
            probe = Probe(network.layers)
            probe.before(network.workspaces(batch.n_samples))
        if epoch_end(run, plan, float(result.fun), 1.0):
            raise StopIteration

    try:
        result = plan.optimizer.minimize(
            fun, network.theta.astype(np.float64), n_epochs, plan.tol, after_iteration
        )
    except StopIteration:
        return
    # The current weights may be a trial point of the line search.
    except KeyboardInterrupt:
        network.theta[...], network.statistics[...] = run.best
        raise
    if run.stop_reason is None:
        settle(result.x)
        run.stop_reason = {0: "tol", 1: "max_iter"}.get(result.status, "no_progress")


def choose_kernels(network: Network, data: Data) -> Backend:
    """Return the backend of a training run, which depends on shapes, not on timings.

    A network that has been trained before reuses its backend with the recorded formulas.
    """
    width = sum(layer.fan_out for layer in network.dense()) * (network.members or 1)
    gain = predicted_gain(data.n_batches, network.theta.size, data.batch_size * width)
    backend, known = choose(gain), network.kernels
    kernels: Any = known if type(known) is backend else backend()
    kernels.threaded = _is_large(network, data)
    return kernels


def _is_large(network: Network, data: Data) -> bool:
    """Return whether the largest product, judged by its shape, is faster on several threads."""
    largest = max(layer.fan_in * layer.fan_out for layer in network.dense())
    return data.batch_size * largest >= THREADED_WORK
