"""Training steps played by compiled code: all work of many steps in one call, without the GIL.

A program consists of the calls that gather a batch, those of the recorded objective, and those that
update the weights. Whatever must be known before a step, such as the scalars of the optimizer, is
computed ahead for all steps of a call. A step from Python makes the same calls, so both give the
same bits.
"""

from copy import copy, deepcopy
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from sknn_adam._backends.kernels import Call, Stream, address_of
from sknn_adam._training.batches import Data
from sknn_adam._training.plan import Plan
from sknn_adam._training.run import Run
from sknn_adam.averaging import EMA
from sknn_adam.optimizers import Optimizer

__all__ = ["Player", "player_for"]

# Ctrl-C is noticed between two calls, which should take about this many seconds.
SECONDS = 0.05
FIRST_STEPS = 16


class Program(NamedTuple):
    """The calls of a step.

    Parameters
    ----------
    calls : list of Call
        The calls in order.
    known : int
        The number of calls after which the loss is known.
    rows : list of (Stream, bool)
        The streams of row numbers, and whether they are numbers of rows of X.
    """

    calls: list[Call]
    known: int
    rows: list[tuple[Stream, bool]]


def player_for(run: Run, plan: Plan, data: Data) -> "Player | None":
    """Return a player for this training run, or None if it must be done step by step."""
    kernels, optimizer = run.network.kernels, plan.optimizer
    kind = type(optimizer)
    if not kernels.plays or plan.clip is not None:
        return None
    if kind.step is not Optimizer.step or kind.update is not Optimizer.update:
        return None
    if optimizer.weight_decay and kind.decay is not Optimizer.decay:
        return None
    if plan.averaging is not None and type(plan.averaging).update is not EMA.update:
        return None
    return Player(run, plan, data)


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
        self.programs: dict[int, Program] = {}
        self.table = np.empty((0, 2), np.int64)
        self.bounds: dict[int, tuple[int, int, int]] = {}
        self.most = FIRST_STEPS
        n_scalars = len(plan.optimizer.scalars(1, 1.0))
        dtype = run.network.dtype
        self.scalars, self.factors = Stream(dtype, n_scalars + 2), Stream(dtype, 2)
        self.updates = self._updates(n_scalars)

    def _updates(self, n_scalars: int) -> list[Call] | None:
        """Return the calls that update the weights and their average, or None."""
        run, optimizer, kernels = self.run, self.plan.optimizer, self.kernels
        state, theta = run.optimizer_state, run.network.theta
        kernel = kernels.rule_kernel(
            optimizer.rule, len(optimizer.slots), n_scalars, theta.dtype
        )
        if kernel is None:
            return None
        vectors = theta, run.network.grad, *run.slots(self.plan)
        if any(v.dtype != theta.dtype or v.shape != theta.shape for v in vectors):
            return None
        at = {decayed: np.array([n_scalars + decayed]) for decayed in (False, True)}
        blocks = state.blocks if optimizer.weight_decay else [(slice(None), False)]
        calls = [
            kernel.bind(*[v[block][None] for v in vectors], self.scalars, at[decayed])
            for block, decayed in blocks
        ]
        if run.average is not None:
            blend = kernels.blend_kernel(theta.dtype)
            if blend is None:
                return None
            calls.append(blend.bind(run.average, theta, self.factors))
        return calls

    def _program(self, n_rows: int) -> Program | None:
        """Return the program for a batch size once it has been recorded."""
        objective = self.kernels.program(n_rows)
        if objective is None:
            return None
        program = self.programs.get(n_rows)
        if program is None:
            gathers = self.data.gather_calls(n_rows, self.kernels)
            if gathers is None:
                return None
            calls = [call for call, *_ in gathers] + objective
            rows = [(stream, of_table) for _, stream, of_table in gathers]
            program = Program([*calls, *self.updates], len(calls), rows)  # type: ignore[misc]
            self.programs[n_rows] = program
            start = len(self.table)
            rows_of = [(c.kernel.address, address_of(c.block)) for c in program.calls]
            self.table = np.concatenate([self.table, np.array(rows_of, np.int64)])
            self.bounds[n_rows] = start, start + program.known, len(self.table)
        return program

    def _segments(self) -> list[tuple[int, int]]:
        """Return the batch sizes and numbers of steps that can be played next in this epoch."""
        run, data = self.run, self.data
        last = data.n_rows - (data.n_batches - 1) * data.batch_size
        n_full = data.n_batches - (last < data.batch_size) - run.batch
        segments = [(data.batch_size, min(n_full, self.most))] if n_full > 0 else []
        if last < data.batch_size and n_full < self.most:
            segments.append((last, 1))
        for i, (n_rows, _) in enumerate(segments):
            if self._program(n_rows) is None:
                return segments[:i]
        return segments

    def play(self) -> tuple[int, float, float]:
        """Do the next steps of the epoch.

        Return the number of steps, the last loss, which is nan if training has diverged, and the
        last schedule factor. If no step can be played, the number is 0.
        """
        run, plan, data, kernels = self.run, self.plan, self.data, self.kernels
        segments = self._segments() if self.updates and run.knows_limit else []
        n_steps = sum(n for _, n in segments)
        if n_steps == 0:
            return 0, 0.0, 1.0
        factors, schedule_state = self._prepare(n_steps)
        start = run.batch * data.batch_size
        stop = min(start + sum(size * n for size, n in segments), data.n_rows)
        rows = np.arange(start, stop) if run.order is None else run.order[start:stop]
        rows = np.ascontiguousarray(rows, np.int64)
        of_table = rows if data.index is None else np.ascontiguousarray(data.index[rows], np.int64)
        streams = [self.scalars, self.factors]
        strides, at = [], 0
        for size, n in segments:
            for stream, is_of_table in self.programs[size].rows:
                stream.show((of_table if is_of_table else rows)[at:])
            at += size * n
        streams += [stream for size, _ in segments for stream, _ in self.programs[size].rows]
        for size, _ in segments:
            own = {id(stream) for stream, _ in self.programs[size].rows}
            own |= {id(self.scalars), id(self.factors)}
            strides.append(
                [
                    stream.shape[0] * stream.dtype.itemsize * (id(stream) in own)
                    for stream in streams
                ]
            )
        slots = np.array([address_of(stream.slot) for stream in streams])
        bounds = np.array([[*self.bounds[size], n] for size, n in segments])
        losses = np.empty((n_steps, kernels.values.size))
        limit = run.limit or 0.0
        begin = perf_counter()
        done = kernels.play(
            self.table, bounds, np.array(strides), slots, kernels.values, limit, losses
        )
        seconds = perf_counter() - begin
        self.most = max(FIRST_STEPS, int(n_steps * SECONDS / max(seconds, 1e-6)))
        return self._finish(segments, done, losses, factors, schedule_state)

    def _prepare(self, n_steps: int) -> tuple[list[float], Any]:
        """Provide the scalars of the next steps; return the schedule factors and their state."""
        run, plan, data = self.run, self.plan, self.data
        optimizer, averaging = plan.optimizer, run.average is not None
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
            if averaging:
                averages.append(plan.averaging.factors(clock.step))  # type: ignore[union-attr]
        self.scalars.show(np.array(scalars, self.scalars.dtype))
        self.factors.show(np.array(averages or [[0, 0]], self.factors.dtype))
        return factors, state

    def _finish(
        self, segments: Any, done: int, losses: np.ndarray, factors: list[float], state: Any
    ) -> tuple[int, float, float]:
        """Update the run after `done` steps."""
        run = self.run
        sizes = [size for size, n in segments for _ in range(n)]
        diverged = done < len(sizes)
        if diverged:
            # The schedule was called for the step that diverged, too.
            clock = copy(run.clock)
            for _ in range(done + 1):
                self.plan.schedule(clock, run.schedule_state)
        else:
            run.schedule_state = state
        value = 0.0
        for size, values in zip(sizes[:done], losses, strict=False):
            value = run.mean(values if run.network.members else float(values[0]), size)
            if not np.isfinite(value):
                diverged = True
                break
            run.total += value * size
            run.batch += 1
        run.clock.step += done
        run.optimizer_state.t += done
        return done, np.nan if diverged else value, factors[min(done, len(factors) - 1)]
