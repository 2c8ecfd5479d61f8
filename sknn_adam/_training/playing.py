"""Training steps played by compiled code: all work of many steps in one call, without the GIL.

A program consists of the calls that gather a batch, those of the recorded objective, and those that
update the weights. Whatever must be known before a step, such as the scalars of the optimizer, is
computed ahead for all steps that are played at once. A step from Python makes the same calls, so
both give the same bits.

The members of a network are distributed over threads. Each thread plays a program of its own, which
contains the same calls for some of the members.
"""

from copy import copy, deepcopy
from time import perf_counter
from typing import Any

import numpy as np

from sknn_adam._backends.kernels import Call, Stream
from sknn_adam._backends.program import Part
from sknn_adam._backends.threads import available_threads, share
from sknn_adam._training.batches import Data
from sknn_adam._training.plan import Plan
from sknn_adam._training.run import Run
from sknn_adam.averaging import EMA
from sknn_adam.optimizers import Optimizer

__all__ = ["Player", "player_for"]

# Ctrl-C is noticed between two calls, which should take about this many seconds.
SECONDS = 0.05
FIRST_STEPS = 16


def player_for(run: Run, plan: Plan, data: Data) -> "Player | None":
    """Return a player for this training run, or None if it must be done step by step."""
    optimizer = plan.optimizer
    kind = type(optimizer)
    if not run.network.kernels.plays or plan.clip is not None:
        return None
    if kind.step is not Optimizer.step or kind.update is not Optimizer.update:
        return None
    if optimizer.weight_decay and kind.decay is not Optimizer.decay:
        return None
    if plan.averaging is not None and type(plan.averaging).update is not EMA.update:
        return None
    player = Player(run, plan, data)
    return player if player.updates else None


class Player:
    """The programs of a training run.

    Parameters
    ----------
    run, plan, data : Run, Plan, Data
        The training run. Its arrays must stay in place.
    """

    def __init__(self, run: Run, plan: Plan, data: Data):
        self.run, self.plan, self.data = run, plan, data
        self.kernels: Any = run.network.kernels
        self.most = FIRST_STEPS
        n_scalars = len(plan.optimizer.scalars(1, 1.0))
        # One more factor of theta for the weights that decay, and one for the others.
        self.scalars = Stream(run.network.dtype, n_scalars + 2)
        self.averages = Stream(run.network.dtype, 2)
        self.updates = self._updates(n_scalars)
        n_members = run.network.members
        n_parts = 1 if n_members is None else min(n_members, available_threads())
        bounds = np.linspace(0, n_members or 1, n_parts + 1).astype(int).tolist()
        self.parts = [
            Part(self.kernels.play, slice(start, stop), n_members)
            for start, stop in zip(bounds[:-1], bounds[1:], strict=True)
        ]

    def _updates(self, n_scalars: int) -> list[Call] | None:
        """Return the calls that update the weights and their average, or None."""
        run, optimizer, kernels = self.run, self.plan.optimizer, self.kernels
        network, theta = run.network, run.network.theta
        kernel = kernels.rule_kernel(optimizer.rule, len(optimizer.slots), n_scalars, theta.dtype)
        blend = kernels.blend_kernel(theta.dtype)
        vectors = [theta, network.grad, *run.slots(self.plan)]
        if kernel is None or blend is None:
            return None
        if any(v.dtype != theta.dtype or v.shape != theta.shape for v in vectors):
            return None
        at = {decays: np.array([n_scalars + decays]) for decays in (False, True)}
        blocks = run.optimizer_state.blocks if optimizer.weight_decay else [(slice(None), False)]
        if network.members is not None:
            decays = bool(optimizer.weight_decay)
            blocks = [(block, decays and role == "weight") for block, _, role in network.layout]
        calls, average = [], run.average
        for block, decayed in blocks:
            stacks = [v[block].reshape(network.members or 1, -1) for v in vectors]
            calls.append(kernel.bind(*stacks, self.scalars, at[decayed]))
            if average is not None:
                stack = average[block].reshape(network.members or 1, -1)
                calls.append(blend.bind(stack, stacks[0], self.averages))
        return calls

    def _is_ready(self, n_rows: int) -> bool:
        """Return whether a batch of this size can be played; prepare its program."""
        objective = self.kernels.program(n_rows)
        if objective is None:
            return False
        if n_rows not in self.parts[0].programs:
            for i, part in enumerate(self.parts):
                batch = self.data.program_batch(n_rows, self.kernels, copied=i > 0)
                if batch is None:
                    return False
                part.add(n_rows, batch, objective, self.updates or [])
        return True

    def _segments(self) -> list[tuple[int, int]]:
        """Return the batch sizes and numbers of steps that can be played next in this epoch."""
        run, data = self.run, self.data
        if not run.knows_limit:
            return []
        last = data.n_rows - (data.n_batches - 1) * data.batch_size
        n_full = data.n_batches - (last < data.batch_size) - run.batch
        segments = [(data.batch_size, min(n_full, self.most))] if n_full > 0 else []
        if last < data.batch_size and n_full < self.most:
            segments.append((last, 1))
        for i, (n_rows, _) in enumerate(segments):
            if not self._is_ready(n_rows):
                return segments[:i]
        return segments

    def play(self) -> tuple[int, float, float]:
        """Do the next steps of the epoch.

        Return the number of steps, the last loss, which is nan if training has diverged, and the
        last schedule factor. If no step can be played, the number is 0.
        """
        run, data, segments = self.run, self.data, self._segments()
        sizes = [size for size, n in segments for _ in range(n)]
        if not sizes:
            return 0, 0.0, 1.0
        factors, state, streams = self._ahead(len(sizes))
        start = run.batch * data.batch_size
        stop = start + sum(sizes)
        rows = np.arange(start, stop) if run.order is None else run.order[start:stop]
        of_table = rows if data.index is None else data.index[rows]
        losses = np.empty((len(sizes), run.network.members or 1))
        limit = run.limit or 0.0
        arguments = segments, rows, of_table, streams, limit, losses, self.kernels.values
        tasks = [part.task(*arguments) for part in self.parts]
        begin = perf_counter()
        done = min(share(tasks))
        pace = len(sizes) / max(perf_counter() - begin, 1e-6)
        self.most = max(FIRST_STEPS, int(pace * SECONDS))
        return self._finish(sizes, done, losses, factors, state)

    def _ahead(self, n_steps: int) -> tuple[list[float], Any, dict]:
        """Return schedule factors, the state of the schedule after them, and the streams."""
        run, plan, data = self.run, self.plan, self.data
        optimizer = plan.optimizer
        clock, state = copy(run.clock), deepcopy(run.schedule_state)
        done, t = clock.epoch - run.first_epoch, run.optimizer_state.t
        factors, scalars, averages = [], [], []
        for i in range(n_steps):
            clock.progress = min(1.0, (done + (run.batch + i) / data.n_batches) / plan.max_iter)
            factor = plan.schedule(clock, state)
            lr = optimizer.learning_rate * factor
            factors.append(factor)
            keep = 1 - lr * optimizer.weight_decay
            scalars.append((*optimizer.scalars(t + i + 1, lr), 1.0, keep))
            clock.step += 1
            if run.average is not None:
                averages.append(plan.averaging.factors(clock.step))  # type: ignore[union-attr]
        return factors, state, {self.scalars: scalars, self.averages: averages or [(0.0, 0.0)]}

    def _finish(
        self, sizes: list[int], done: int, losses: np.ndarray, factors: list[float], state: Any
    ) -> tuple[int, float, float]:
        """Update the run after `done` steps."""
        run, value = self.run, 0.0
        if done == len(sizes):
            run.schedule_state = state
        else:
            value = np.nan
        single = run.network.members is None
        for size, row in zip(sizes[:done], losses, strict=False):
            value = run.mean(float(row[0]) if single else row, size)
            run.total += value * size
            run.batch += 1
        run.clock.step += done
        run.optimizer_state.t += done
        diverged = done < len(sizes) or not np.isfinite(run.total)
        return len(sizes), np.nan if diverged else value, factors[min(done, len(sizes) - 1)]
