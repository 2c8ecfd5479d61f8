"""Training steps played by compiled code: all work of many steps in one call, without the GIL.

A program consists of the calls that gather a batch, those of the recorded objective, and those that
update the weights. Everything that a step needs from Python, such as the scalars of the optimizer,
is computed ahead for all steps that are played at once. A step from Python makes the same calls, so
both give the same bits.

The members of a network are distributed over threads. Each thread plays a program of its own, which
contains the same calls for some of the members.
"""

from collections.abc import Generator, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from sknn_adam._backends.compilation import loop_kernel
from sknn_adam._backends.kernels import Call, Stream, same_form
from sknn_adam._backends.program import Part, Segment
from sknn_adam._backends.threads import available_threads, share
from sknn_adam._backends.vectors import norm
from sknn_adam._training.ahead import LossUnknown, progress, scheduled
from sknn_adam._training.batches import Data
from sknn_adam._training.plan import Plan
from sknn_adam._training.run import Run
from sknn_adam.averaging import EMA
from sknn_adam.optimizers import Optimizer

__all__ = ["Player", "player_for"]

# Ctrl-C is noticed between two calls, which should take about this many seconds.
SECONDS = 0.05
FIRST_STEPS = 16
# The memory for the vectors of the run after each of the epochs that are played at once.
MOST_BYTES = 2**24


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


class PlayedEpoch(NamedTuple):
    """An epoch that has been played together with others.

    Parameters
    ----------
    loss : float
        The mean loss, which is nan if training has diverged.
    factor : float
        The last schedule factor.
    seconds : float
        The duration.
    """

    loss: float
    factor: float
    seconds: float


def facts_of(run: Run, plan: Plan) -> tuple:
    """Return everything that the programs of a run depend on and that the user may change."""
    kernels: Any = run.network.kernels
    limit = None if plan.clip is None or plan.clip.compiled_loop is None else plan.clip.limit
    arrays = id(run.network.theta), *map(id, run.slots(plan)), id(run.average)
    finished = None if run.finished is None else run.finished.tobytes()
    decays = bool(plan.optimizer.weight_decay)
    return kernels, kernels.generation, arrays, decays, limit, finished


def _parts(n_members: int | None, finished: np.ndarray | None) -> list[slice]:
    """Return slices of adjacent members that are still trained, at least one for each thread."""
    if n_members is None:
        return [slice(0, 1)]
    trained = np.arange(n_members) if finished is None else np.flatnonzero(~finished)
    parts = []
    for share_of_thread in np.array_split(trained, min(len(trained), available_threads())):
        gaps = np.flatnonzero(np.diff(share_of_thread) > 1) + 1
        parts += [slice(int(p[0]), int(p[-1]) + 1) for p in np.split(share_of_thread, gaps)]
    return parts


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
        self.kernels, self.facts = kernels, facts_of(run, plan)
        self.kernel: Any = partial(loop_kernel, dtype=run.network.dtype)
        self.most = FIRST_STEPS
        # The duration of the last call.
        self.seconds = 0.0
        # Smaller weights, and smaller numbers of other vectors, are set to zero after an epoch.
        self.tiny, self.zero = (Stream(run.network.dtype, 1, at_end=True) for _ in range(2))
        # Whether epochs may be played before the loss of the epoch before them is known.
        self.spans = True
        self.stored: list[tuple[np.ndarray, Stream]] = []
        n_scalars = len(plan.optimizer.scalars(1, 1.0))
        # One more factor of theta for the weights that decay, and one for the others.
        self.scalars = Stream(run.network.dtype, n_scalars + 2)
        self.averages = Stream(run.network.dtype, 2)
        self.updates = self._updates(n_scalars)
        members = run.network.members
        self.parts = [Part(kernels.play, part, members) for part in _parts(members, run.finished)]

    def _updates(self, n_scalars: int) -> list[Call] | None:
        """Return the calls that update the weights and their average, or None."""
        run, optimizer, kernels = self.run, self.plan.optimizer, self.kernels
        network, theta = run.network, run.network.theta
        kernel = kernels.rule_kernel(optimizer.rule, len(optimizer.slots), n_scalars, theta.dtype)
        blend = self.kernel("blend")
        vectors = [theta, network.grad, *run.slots(self.plan)]
        if kernel is None or blend is None:
            return None
        # The user may have replaced a slot.
        if not same_form(*vectors):
            return None
        at = {decays: np.array([n_scalars + decays], np.int64) for decays in (False, True)}
        blocks = run.optimizer_state.blocks if optimizer.weight_decay else [(slice(None), False)]
        if network.members is not None:
            decays = bool(optimizer.weight_decay)
            blocks = [(block, decays and role == "weight") for block, _, role in network.layout]
        calls, average = [], run.average
        for block, decayed in blocks:
            stacks = [self._stack(vector, block) for vector in vectors]
            calls.append(kernel.bind(*stacks, self.scalars, at[decayed]))
            if average is not None:
                stack = self._stack(average, block)
                calls.append(blend.bind(stack, stacks[0], self.averages))
        return calls

    def _stack(self, vector: np.ndarray, block: slice) -> np.ndarray:
        """Return a view of a block with one row per member."""
        return vector[block].reshape(self.run.network.members or 1, -1)

    def _end_calls(self) -> list[Call]:
        """Return the calls at the end of an epoch, which store the vectors of the run."""
        run, network, dtype = self.run, self.run.network, self.run.network.dtype
        single, store = network.members is None, self.kernel("store")
        blocks = [slice(None)] if single else [block for block, *_ in network.layout]
        flushed = [self._stack(v, block) for v in run.flushed(self.plan) for block in blocks]
        if not self.stored:
            others = [network.grad] if run.average is None else [network.grad, run.average]
            arrays = flushed + [self._stack(v, block) for v in others for block in blocks]
            views = network.member_views(network.theta, network.statistics)
            arrays += views[len(network.layout) :]
            streams = [Stream(dtype, *array.shape, at_end=True) for array in arrays]
            self.stored = list(zip(arrays, streams, strict=True))
        tiny = [self.tiny] * len(flushed) + [self.zero] * (len(self.stored) - len(flushed))
        pairs = zip(self.stored, tiny, strict=True)
        return [store.bind(array, numbers, stream) for (array, stream), numbers in pairs]

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
            updates = [*(self.updates or []), *(self._end_calls() if ends_epoch else [])]
            for i, part in enumerate(self.parts):
                batch = self.data.program_batch(n_rows, self.kernels, copied=i > 0)
                if batch is None:
                    return False
                part.add(key, batch, objective, updates)
        return True

    def _segments(self, most: int, stores: bool) -> list[Segment]:
        """Return the steps that can be played next in this epoch.

        If `stores` is true, the last step of an epoch stores the vectors of the run.
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
        segments = []
        if run.knows_limit and self._is_current():
            segments = self._segments(self.most, stores=False)
        n_steps = sum(segment.n_steps for segment in segments)
        if n_steps == 0:
            return 0, 0.0, 1.0
        factors, states, numbers = self._ahead(n_steps)
        # The schedule may have changed a component.
        if not self._is_current(segments):
            return 0, 0.0, 1.0
        done, results = self._run(segments, 1, [run.order], numbers)
        last = min(done, n_steps - 1)
        run.clock.progress = progress(run, self.plan, self.data.n_batches, last)
        run.schedule_state = states[last]
        value = self._note(segments, results[:done])
        run.clock.step += done
        run.optimizer_state.t += done
        diverged = done < n_steps or not np.isfinite(run.total)
        return n_steps, np.nan if diverged else value, factors[last]

    def play_epochs(self, n_epochs: int) -> Generator[PlayedEpoch, None, None]:
        """Play whole epochs at once; yield them one by one if this is possible.

        When an epoch is yielded, the run is as at its end. Closing the iterator undoes the later
        epochs.
        """
        run, data = self.run, self.data
        n_epochs = min(n_epochs, self._most_epochs()) if self._is_current() else 0
        if n_epochs < 2:
            return
        segments = self._segments(self.most, stores=True)
        n_batches = data.n_batches
        if sum(segment.n_steps for segment in segments) < n_batches:
            return
        try:
            factors, states, numbers = self._ahead(n_epochs * n_batches)
        except LossUnknown:
            self.spans = False
            return
        if not self._is_current(segments):
            return
        step, t, rng_state = run.clock.step, run.optimizer_state.t, run.rng.bit_generator.state
        # An interruption restores the random generator, too.
        epoch = -1
        try:
            orders = [data.order(run.rng) if self.plan.shuffle else None for _ in range(n_epochs)]
            numbers |= self._at_ends(n_epochs)
            done, results = self._run(segments, n_epochs, orders, numbers)
            seconds = self.seconds / n_epochs
            for epoch in range(n_epochs):
                start, stop = epoch * n_batches, min((epoch + 1) * n_batches, done)
                run.total, run.clipped, run.shape = 0.0, 0, (data.n_rows, data.batch_size)
                self._note(segments, results[start:stop])
                run.batch, run.clip_rate = 0, run.clipped / n_batches
                run.clock.step, run.optimizer_state.t = step + stop, t + stop
                last = min(stop, start + n_batches - 1)
                run.clock.progress = progress(run, self.plan, n_batches, last - start)
                run.schedule_state = states[last]
                if stop - start < n_batches:
                    yield PlayedEpoch(np.nan, factors[last], seconds)
                    return
                for array, stream in self.stored:
                    array[...] = numbers[stream][epoch]
                n_resets = run.n_resets
                yield PlayedEpoch(run.total / data.n_rows, factors[last], seconds)
                # Members that have diverged now continue from other weights.
                if run.n_resets != n_resets:
                    return
        finally:
            if epoch < n_epochs - 1:
                run.rng.bit_generator.state = rng_state
                for _ in range(epoch + 1):
                    if self.plan.shuffle:
                        data.order(run.rng)

    def _at_ends(self, n_epochs: int) -> dict:
        """Return the arrays of the streams with one row per epoch."""
        run, dtype = self.run, self.run.network.dtype
        epochs = run.clock.epoch + np.arange(n_epochs)
        flushed = run.is_flushed_after(epochs, self.data.n_batches)
        tiny = np.where(flushed[:, None], np.finfo(dtype).tiny, 0)
        stored = {stream: np.empty((n_epochs, *v.shape), v.dtype) for v, stream in self.stored}
        if run.finished is not None:
            for values, stream in self.stored:
                stored[stream][:, run.finished] = values[run.finished]
        return stored | {self.tiny: tiny, self.zero: np.zeros_like(tiny)}

    def _most_epochs(self) -> int:
        """Return the number of epochs until something has to happen between two of them."""
        run, layers, n_batches = self.run, self.run.history.layers, self.data.n_batches
        if not (self.spans and run.knows_limit and run.batch == 0) or self.plan.record == "all":
            return 0
        size = (len(run.slots(self.plan)) + 3) * run.network.theta.nbytes
        most = min(self.most // n_batches, MOST_BYTES // size)
        if self.plan.record:
            # The layers are measured in the first epoch that begins at `next_step` or later.
            if layers.due(self.plan.record, run.clock.step):
                return 0
            most = min(most, -(-(layers.next_step - run.clock.step) // n_batches))
        return most

    def _is_current(self, segments: Sequence[Segment] = ()) -> bool:
        """Return whether the programs still belong to the run and its components."""
        # `program` compares the values that the recorded formulas read.
        known = all(self.kernels.program(segment.n_rows) for segment in segments)
        return known and self.facts == facts_of(self.run, self.plan)

    def _run(
        self, segments: Sequence[Segment], n_times: int, orders: list, numbers: dict
    ) -> tuple[int, np.ndarray]:
        """Play segments repeatedly; return the number of complete steps and their results."""
        run, data = self.run, self.data
        start = run.batch * data.batch_size
        n_rows = n_times * sum(segment.n_rows * segment.n_steps for segment in segments)
        rows = [np.arange(data.n_rows) if order is None else order for order in orders]
        chosen = np.concatenate(rows)[start : start + n_rows] if len(rows) > 1 else rows[0][start:]
        of_table = chosen if data.index is None else data.index[chosen]
        n_steps = n_times * sum(segment.n_steps for segment in segments)
        outputs = self.kernels.outputs
        results = np.zeros((n_steps, *outputs.shape))
        limit = run.limit or 0.0
        arguments = segments, n_times, chosen, of_table, numbers, limit, results, outputs
        tasks = [part.task(*arguments) for part in self.parts]
        begin = perf_counter()
        done = min(share(tasks))
        self.kernels.draws.show(run.draws)
        self.seconds = max(perf_counter() - begin, 1e-6)
        self.most = max(1, int(n_steps / self.seconds * SECONDS))
        return done, results

    def _ahead(self, n_steps: int) -> tuple[list[float], list[Any], dict]:
        """Return the schedule factors, the states of the schedule after them, and the numbers."""
        run, plan, dtype = self.run, self.plan, self.run.network.dtype
        optimizer, clock, t = plan.optimizer, run.clock, run.optimizer_state.t
        factors, states = scheduled(run, plan, self.data.n_batches, n_steps)
        rates = [optimizer.learning_rate * factor for factor in factors]
        scalars = np.empty((n_steps, *self.scalars.shape))
        scalars[:, :-2] = [optimizer.scalars(t + i, lr) for i, lr in enumerate(rates, 1)]
        scalars[:, -2], scalars[:, -1] = 1, 1 - np.array(rates) * optimizer.weight_decay
        draws = np.empty((n_steps, 3), np.uint64)
        draws[:] = run.draws
        draws[:, 2] = np.arange(clock.step, clock.step + n_steps)
        numbers = {self.scalars: scalars.astype(dtype), self.kernels.draws: draws}
        if run.average is not None:
            average: Any = plan.averaging
            steps = range(clock.step + 1, clock.step + n_steps + 1)
            numbers[self.averages] = np.array([average.factors(step) for step in steps], dtype)
        return factors, states, numbers

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
