"""Programs: the calls of training steps as tables, for all members of a network or for some."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sknn_adam._backends.kernels import Call, Stream, address_of

__all__ = ["Part", "ProgramBatch", "table_of"]


def table_of(calls: list[Call]) -> np.ndarray:
    """Return the table of calls for the player; the calls must outlive it."""
    rows = [(call.kernel.address, address_of(call.block)) for call in calls]
    return np.array(rows, np.int64).reshape(-1, 2)


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


class Part:
    """The programs of some members, which one thread plays.

    Parameters
    ----------
    play : callable
        The compiled `player.play`.
    members : slice
        The members.
    n_members : int or None
        The number of members of the network.
    """

    def __init__(self, play: Callable, members: slice, n_members: int | None):
        self._play, self.members, self.n_members = play, members, n_members
        self.programs: dict[int, Any] = {}
        self.table = np.empty((0, 2), np.int64)
        self._streams: dict[Stream, Stream] = {}
        self._values: Any = None
        self._kept: list[Call] = []

    def add(
        self, n_rows: int, batch: ProgramBatch, objective: Sequence[Call], updates: Sequence[Call]
    ) -> None:
        """Add the program of a batch size."""
        own = [self._own(call, batch.copies) for call in objective]
        calls = [*batch.calls, *own, *(self._own(call, ()) for call in updates)]
        first, known = len(self.table), len(batch.calls) + len(own)
        self.table = np.concatenate([self.table, table_of(calls)])
        self._kept += calls
        self.programs[n_rows] = batch.streams, (first, first + known, first + len(calls))

    def _own(self, call: Call, copies: Sequence[tuple[np.ndarray, np.ndarray]]) -> Call:
        """Return a call for the members of this part."""
        values = []
        for value, of_members in zip(call.values, call.kernel.of_members(call.values), strict=True):
            if isinstance(value, Stream):
                own = self._streams.setdefault(value, Stream(value.dtype, value.shape[0]))
                values.append(own)
                continue
            value = _moved(value, copies)
            if of_members and self.n_members is not None and value.shape[0] == self.n_members:
                value = value[self.members]
            values.append(value)
        return call.kernel.rebind(values)

    def task(
        self,
        segments: Sequence[tuple[int, int]],
        rows: np.ndarray,
        of_table: np.ndarray,
        numbers: dict[Stream, list],
        limit: float,
        losses: np.ndarray,
        values: np.ndarray,
    ) -> Callable[[], int]:
        """Return a function that plays steps and returns their number.

        Parameters
        ----------
        segments : sequence of (int, int)
            Batch sizes, and how many batches of this size follow each other.
        rows, of_table : ndarray of int
            The numbers of the samples of all batches, and those of their rows of X.
        numbers : dict
            For each stream, the numbers of all steps.
        limit : float
            The largest loss, or 0.
        losses : ndarray of shape (n_steps, n_members)
            Receives the losses.
        values : ndarray of shape (n_members,)
            The array to which the objective writes its values.
        """
        for stream, own in self._streams.items():
            own.show(np.array(numbers[stream], own.dtype))
        streams, strides, at = list(self._streams.values()), [], 0
        everywhere = len(streams)
        for size, n in segments:
            for stream, is_of_table in self.programs[size][0]:
                stream.show((of_table if is_of_table else rows)[at:])
                streams.append(stream)
            at += size * n
        for size, _ in segments:
            used = [id(stream) for stream, _ in self.programs[size][0]]
            used += map(id, streams[:everywhere])
            strides.append([stream.stride * (id(stream) in used) for stream in streams])
        slots = np.array([address_of(stream.slot) for stream in streams])
        bounds = np.array([[*self.programs[size][1], n] for size, n in segments])
        own_losses, own_values = losses[:, self.members], values[self.members]
        arguments = self.table, bounds, np.array(strides), slots, own_values, limit

        def task() -> int:
            results = np.empty(own_losses.shape)
            done = self._play(*arguments, results)
            own_losses[...] = results
            return done

        return task


def _moved(value: np.ndarray, copies: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the view of a copy that corresponds to a view of the original array."""
    start = address_of(value)
    for original, copied in copies:
        offset = start - address_of(original)
        if 0 <= offset < max(1, original.nbytes):
            return np.ndarray(value.shape, value.dtype, copied, offset, value.strides)
    return value
