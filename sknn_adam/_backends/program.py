"""Programs: the calls of training steps as tables, for all members of a network or for some."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sknn_adam._backends.kernels import Call, Stream, address_of

__all__ = ["Part", "ProgramBatch", "Segment", "table_of"]


def table_of(calls: Sequence[Call]) -> np.ndarray:
    """Return the table of calls for the player; the calls must outlive it."""
    return np.array([call.row for call in calls], np.int64).reshape(-1, 2)


class ProgramBatch(NamedTuple):
    """The arrays of a batch and the calls that gather it.

    Parameters
    ----------
    calls : list of Call
        The calls.
    streams : list of (Stream, bool)
        The streams of row numbers, and whether they are numbers of rows of X.
    copies : list of (ndarray, ndarray)
        The arrays that the objective reads, and the arrays that a program reads instead.
    """

    calls: list[Call]
    streams: list[tuple[Stream, bool]]
    copies: list[tuple[np.ndarray, np.ndarray]]


class Segment(NamedTuple):
    """Steps that follow each other.

    Parameters
    ----------
    n_rows : int
        The size of their batches.
    n_steps : int
        The number of steps.
    ends_epoch : bool
        Whether they store the vectors of the run at the end of an epoch.
    """

    n_rows: int
    n_steps: int
    ends_epoch: bool


class Part:
    """The programs of some members, which one thread plays.

    Parameters
    ----------
    play : callable
        The compiled `player.play`.
    members : slice
        The members.
    n_members : int or None
        The number of members; None for a single network.
    """

    def __init__(self, play: Callable, members: slice, n_members: int | None):
        self._play, self.members, self.n_members = play, members, n_members
        self.programs: dict[Any, Any] = {}
        self.table = np.empty((0, 2), np.int64)
        self._streams: dict[Stream, Stream] = {}
        self._kept: list[Call] = []

    def add(
        self, key: Any, batch: ProgramBatch, objective: Sequence[Call], updates: Sequence[Call]
    ) -> None:
        """Add a program."""
        own = [self._own(call, batch.copies) for call in objective]
        calls = [*batch.calls, *own, *(self._own(call, ()) for call in updates)]
        first, known = len(self.table), len(batch.calls) + len(own)
        self.table = np.concatenate([self.table, table_of(calls)])
        self._kept += calls
        self.programs[key] = batch.streams, (first, first + known, first + len(calls))

    def _own(self, call: Call, copies: Sequence[tuple[np.ndarray, np.ndarray]]) -> Call:
        """Return a call for the members of this part."""
        if self.n_members is None or self.members == slice(0, self.n_members):
            own = {value: value for value in call.values if isinstance(value, Stream)}
            self._streams |= own
            return call
        values: list[Any] = []
        for value, of_members in zip(call.values, call.kernel.of_members(call.values), strict=True):
            if isinstance(value, Stream):
                values.append(self._streams.setdefault(value, value.part(self.members)))
                continue
            value = _moved(value, copies)
            if of_members and value.shape[0] == self.n_members:
                value = value[self.members]
            values.append(value)
        return call.kernel.rebind(values)

    def task(
        self,
        segments: Sequence[Segment],
        n_times: int,
        rows: np.ndarray,
        of_table: np.ndarray,
        numbers: dict[Stream, Any],
        limit: float,
        results: np.ndarray,
        outputs: np.ndarray,
    ) -> Callable[[], int]:
        """Return a function that plays steps and returns their number.

        Parameters
        ----------
        segments : sequence of Segment
            The steps.
        n_times : int
            How often the segments are played.
        rows, of_table : ndarray of int
            The numbers of the samples of all batches, and those of their rows of X.
        numbers : dict
            For each stream, the numbers of all steps.
        limit : float
            The largest loss, or 0.
        results : ndarray of shape (n_steps, 3, n_members)
            Receives the losses, and the norms of the gradients before and after clipping.
        outputs : ndarray of shape (3, n_members)
            The array to which a step writes these numbers.
        """
        slots: list[Stream] = []
        strides: list[list[int]] = []
        for stream, own in self._streams.items():
            if stream in numbers:
                own.show(numbers[stream], self.members.start if own.of_members else 0)
                slots.append(own)
                steps = [segment.ends_epoch or not own.at_end for segment in segments]
                strides.append([own.stride * reads for reads in steps])
        for key in {(segment.n_rows, segment.ends_epoch) for segment in segments}:
            for stream, is_of_table in self.programs[key][0]:
                stream.show(of_table if is_of_table else rows)
                slots.append(stream)
                strides.append([segment.n_rows * stream.dtype.itemsize for segment in segments])
        bounds = [
            [*self.programs[segment.n_rows, segment.ends_epoch][1], segment.n_steps]
            for segment in segments
        ]
        bounds, strides = bounds * n_times, [list(row) for row in zip(*strides, strict=True)]
        arguments = self.table, np.array(bounds, np.int64), np.array(strides * n_times, np.int64)
        addresses = np.array([address_of(stream.slot) for stream in slots], np.int64)
        own_results, own_outputs = results[..., self.members], outputs[:, self.members]

        def task() -> int:
            results = np.empty(own_results.shape)
            done = self._play(*arguments, addresses, own_outputs, limit, results)
            own_results[...] = results
            return done

        return task


def _moved(value: np.ndarray, copies: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the view of a copy that corresponds to a view of the original array."""
    start = address_of(value)
    for original, copied in copies:
        offset = start - address_of(original)
        if 0 <= offset < original.nbytes:
            return np.ndarray(value.shape, value.dtype, copied, offset, value.strides)
    return value
