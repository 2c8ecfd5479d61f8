"""Training steps played by compiled code: all work of many steps in one call, without the GIL.

A program consists of the calls that gather a batch, those of the recorded objective, and those that
update the weights. Whatever must be known before a step, such as the scalars of the optimizer, is
computed ahead for all steps that are played at once. A step from Python makes the same calls, so
both give the same bits.

The members of a network are distributed over threads. Each thread plays a program of its own, which
contains the same calls for some of the members.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy, deepcopy
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from sknn_adam._backends.kernels import Call, Stream, same_form
from sknn_adam._backends.program import Part, Segment
from sknn_adam._backends.threads import available_threads, share
from sknn_adam._backends.vectors import norm
from sknn_adam._training.batches import Data
from sknn_adam._training.plan import Plan
from sknn_adam._training.run import FLUSHED, Run
from sknn_adam.averaging import EMA
from sknn_adam.optimizers import Optimizer
from sknn_adam.schedules import Clock

__all__ = ["Player", "player_for"]

# Ctrl-C is noticed between two calls, which should take about this many seconds.
SECONDS = 0.05
FIRST_STEPS = 16


class _LossUnknown(Exception):
    """Raised if a schedule reads the loss of an epoch that has not been played."""


class _ClockAhead(Clock):
    """The clock of a later epoch, before the loss of the epoch before it is known."""

    @property
    def loss(self) -> float:
        """The loss of the last epoch, which is unknown."""
        raise _LossUnknown

    @loss.setter
    def loss(self, value: float) -> None:
        pass


def player_for(run: Run, plan: Plan, data: Data) -> "Player | None":
    """Return a player for this training run, or None if it must be done step by step."""
    optimizer = plan.optimizer
    kind = type(optimizer)
    if not run.network.kernels.plays:
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
        kernels: Any = run.network.kernels
        self.kernels = kernels
        self.most = FIRST_STEPS
        # Whether epochs may be played before the loss of the epoch before them is known.
        self.spans = run.network.members is None
        self.stored: list[tuple[np.ndarray, Stream]] = []
        n_scalars = len(plan.optimizer.scalars(1, 1.0))
        # One more factor of theta for the weights that decay, and one for the others.
        self.scalars = Stream(run.network.dtype, n_scalars + 2)
        self.averages = Stream(run.network.dtype, 2)
        self.updates = self._updates(n_scalars)
        n_members = run.network.members
        n_parts = 1 if n_members is None else min(n_members, available_threads())
        bounds = np.linspace(0, n_members or 1, n_parts + 1).astype(int).tolist()
        self.parts = [
            Part(kernels.play, slice(start, stop), n_members) for start, stop in pairwise(bounds)
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
        # The user may have replaced a slot.
        if not same_form(*vectors):
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

    def _store_calls(self) -> list[Call]:
        """Return the calls that store the vectors of the run at the end of an epoch."""
        kernel = self.kernels.store_kernel(self.run.network.dtype)
        if not self.stored:
            vectors = [self.run.network.theta, self.run.network.grad, self.run.average]
            vectors += self.run.slots(self.plan)
            if self.run.network.statistics.size:
                vectors.append(self.run.network.statistics)
            for vector in vectors:
                if vector is not None:
                    self.stored.append((vector, Stream(vector.dtype, vector.size, True)))
        return [kernel.bind(vector, stream) for vector, stream in self.stored]

    def _is_ready(self, n_rows: int, ends_epoch: bool) -> bool:
        """Return whether a batch of this size can be played; prepare its program."""
        objective = self.kernels.program(n_rows)
        if objective is None:
            return False
        if self.plan.clip is not None:
            network = self.run.network
            clips = self.kernels.clip_calls(self.plan.clip, network.grad, network.layout)
            if clips is None:
                return False
            objective = [*objective, *clips]
        key = n_rows, ends_epoch
        if key not in self.parts[0].programs:
            updates = [*(self.updates or []), *(self._store_calls() if ends_epoch else [])]
            for i, part in enumerate(self.parts):
                batch = self.data.program_batch(n_rows, self.kernels, copied=i > 0)
                if batch is None:
                    return False
                part.add(key, batch, objective, updates)
        return True

    def _segments(self, most: int, stores: bool) -> list[Segment]:
        """Return the steps that can be played next in this epoch.

        If `stores`, the last step of an epoch stores the vectors of the run.
        """
        run, data = self.run, self.data
        last = data.n_rows - (data.n_batches - 1) * data.batch_size
        whole = data.n_batches - run.batch - (stores or last < data.batch_size)
        segments = []
        if whole > 0:
            segments.append(Segment(data.batch_size, min(whole, most), False))
        if whole < most and (stores or last < data.batch_size):
            segments.append(Segment(last, 1, stores))
        for i, segment in enumerate(segments):
            if not self._is_ready(segment.n_rows, segment.ends_epoch):
                return segments[:i]
        return segments

    def play(self) -> tuple[int, float, float]:
        """Do the next steps of the epoch.

        Return the number of steps, the last loss, which is nan if training has diverged, and the
        last schedule factor. If no step can be played, the number is 0.
        """
        run = self.run
        segments = self._segments(self.most, stores=False) if run.knows_limit else []
        n_steps = sum(segment.n_steps for segment in segments)
        if n_steps == 0:
            return 0, 0.0, 1.0
        factors, states, numbers = self._ahead(n_steps)
        if self._has_changed(segments):
            return 0, 0.0, 1.0
        done, results = self._run(segments, [run.order], numbers)
        value = self._note(segments, results[:done])
        run.clock.step += done
        run.optimizer_state.t += done
        if done < n_steps or not np.isfinite(run.total):
            last = min(done, n_steps - 1)
            run.clock.progress, run.schedule_state = states[last]
            return n_steps, np.nan, factors[last]
        run.clock.progress, run.schedule_state = states[-1]
        return n_steps, value, factors[-1]

    def play_epochs(self, n_epochs: int) -> Iterator[tuple[float, float, Callable[[], None]]]:
        """Play whole epochs at once; yield them one by one if this is possible.

        For each epoch, set the weights, their average and the gradient to those at its end, and
        yield its mean loss, which is nan if training has diverged, the last schedule factor, and a
        function that undoes the later epochs.
        """
        run, data = self.run, self.data
        n_epochs = min(n_epochs, self._most_epochs())
        if n_epochs < 2:
            return
        segments = self._segments(self.most, stores=True)
        n_batches = data.n_batches
        if sum(segment.n_steps for segment in segments) < n_batches:
            return
        try:
            factors, states, numbers = self._ahead(n_epochs * n_batches)
        except _LossUnknown:
            self.spans = False
            return
        if self._has_changed(segments):
            return
        before = copy(run.clock), run.optimizer_state.t, run.rng.bit_generator.state
        orders = [data.order(run.rng) if self.plan.shuffle else None for _ in range(n_epochs)]
        for vector, stream in self.stored:
            numbers[stream] = np.empty((n_epochs, vector.size), vector.dtype)
        done, results = self._run(segments * n_epochs, orders, numbers)

        def undo_after(epoch: int) -> None:
            run.rng.bit_generator.state = before[2]
            for _ in range(epoch + 1):
                if self.plan.shuffle:
                    data.order(run.rng)

        for epoch in range(n_epochs):
            start, stop = epoch * n_batches, min((epoch + 1) * n_batches, done)
            run.total, run.clipped, run.shape = 0.0, 0, (data.n_rows, data.batch_size)
            self._note(segments, results[start:stop])
            run.batch, run.clip_rate = 0, run.clipped / n_batches
            run.clock.step, run.optimizer_state.t = before[0].step + stop, before[1] + stop
            if stop - start < n_batches:
                run.clock.progress, run.schedule_state = states[stop]
                yield np.nan, factors[stop], partial(undo_after, epoch)
                return
            run.clock.progress, run.schedule_state = states[stop - 1]
            for vector, stream in self.stored:
                vector[...] = numbers[stream][epoch]
            if epoch == n_epochs - 1:
                run.flush(self.plan)
            yield run.total / data.n_rows, factors[stop - 1], partial(undo_after, epoch)

    def _most_epochs(self) -> int:
        """Return the number of epochs until something has to happen between two of them."""
        run, layers, n_batches = self.run, self.run.history.layers, self.data.n_batches
        if not (self.spans and run.knows_limit and run.batch == 0) or self.plan.record == "all":
            return 0
        most = min(self.most // n_batches, FLUSHED - run.clock.epoch % FLUSHED)
        if self.plan.record:
            # The layers are measured in the first epoch that begins at `next_step` or later.
            if layers.due(self.plan.record, run.clock.step):
                return 0
            most = min(most, -(-(layers.next_step - run.clock.step) // n_batches))
        return most

    def _has_changed(self, segments: Sequence[Segment]) -> bool:
        """Return whether the schedule has changed a component that the programs depend on."""
        return any(self.kernels.program(segment.n_rows) is None for segment in segments)

    def _run(
        self, segments: Sequence[Segment], orders: list, numbers: dict
    ) -> tuple[int, np.ndarray]:
        """Play segments; return the number of complete steps and their results."""
        run, data = self.run, self.data
        start = run.batch * data.batch_size
        n_rows = sum(segment.n_rows * segment.n_steps for segment in segments)
        rows = [np.arange(data.n_rows) if order is None else order for order in orders]
        chosen = np.concatenate(rows)[start : start + n_rows] if len(rows) > 1 else rows[0][start:]
        of_table = chosen if data.index is None else data.index[chosen]
        n_steps = sum(segment.n_steps for segment in segments)
        outputs = self.kernels.outputs
        results = np.empty((n_steps, *outputs.shape))
        limit = run.limit or 0.0
        arguments = segments, chosen, of_table, numbers, limit, results, outputs
        tasks = [part.task(*arguments) for part in self.parts]
        begin = perf_counter()
        done = min(share(tasks))
        pace = n_steps / max(perf_counter() - begin, 1e-6)
        self.most = max(FIRST_STEPS, int(pace * SECONDS))
        return done, results

    def _ahead(self, n_steps: int) -> tuple[list[float], list[Any], dict]:
        """Return the schedule factors, progress and state after each of them, and the numbers."""
        run, plan, n_batches = self.run, self.plan, self.data.n_batches
        optimizer = plan.optimizer
        clock, state = copy(run.clock), run.schedule_state
        first, done, t = clock.epoch, clock.epoch - run.first_epoch, run.optimizer_state.t
        factors, states, scalars, averages = [], [], [], []
        for i in range(n_steps):
            epoch, batch = divmod(run.batch + i, n_batches)
            if epoch > clock.epoch - first:
                clock = _ClockAhead(clock.step, first + epoch)
            clock.progress = min(1.0, (done + epoch + batch / n_batches) / plan.max_iter)
            state = deepcopy(state)
            factor = plan.schedule(clock, state)
            lr = optimizer.learning_rate * factor
            factors.append(factor)
            states.append((clock.progress, state))
            keep = 1 - lr * optimizer.weight_decay
            scalars.append((*optimizer.scalars(t + i + 1, lr), 1.0, keep))
            clock.step += 1
            if run.average is not None:
                averages.append(plan.averaging.factors(clock.step))  # type: ignore[union-attr]
        draws = np.repeat(run.draws[None], n_steps, axis=0)
        draws[:, 2] = np.arange(run.clock.step, run.clock.step + n_steps)
        numbers = {self.scalars: scalars, self.averages: averages or [(0.0, 0.0)]}
        return factors, states, numbers | {self.kernels.draws: draws}

    def _note(self, segments: Sequence[Segment], results: np.ndarray) -> float:
        """Add the results of steps to those of the epoch; return the last loss."""
        run, value = self.run, 0.0
        single = run.network.members is None
        sizes = [segment.n_rows for segment in segments for _ in range(segment.n_steps)]
        rows = results[:, 0, 0].tolist() if single else results[:, 0]
        for size, row in zip(sizes, rows, strict=False):
            value = run.mean(row, size)
            run.total += value * size
            run.batch += 1
        if self.plan.clip is not None:
            for _, before, after in results:
                run.note_clipping(norm(before), norm(after))
        return value
