"""Recording of a training step, and its replay without the Python code of layers and loss."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from operator import is_
from typing import Any

import numpy as np

from sknn_adam._backends.compilation import player
from sknn_adam._backends.kernels import Call, Kernel, Stream
from sknn_adam._backends.numpy_backend import NumpyKernels
from sknn_adam._backends.program import table_of

__all__ = ["RecordingKernels", "Tape"]

NO_STREAMS = np.zeros((1, 0), np.int64), np.zeros(0, np.int64)
NO_OUTPUTS = np.zeros((0, 0)), 0.0, np.zeros((0, 0, 0))

# Number of calls that are kept between steps.
MOST_BOUND = 256
MOST_STEPS = 64

_checked_layers: set[tuple[type, ...]] = set()


@dataclass
class Tape:
    """The recorded calls of an objective.

    Attributes
    ----------
    batch : tuple
        The arrays of the batch. The recorded calls refer to these objects.
    calls : list of Call or (function, arguments)
        The calls of kernels and of Python functions in order.
    merges : tuple or None
        The operation, array and further arguments of the last call, if the next call may be merged
        with it.
    grad : ndarray or None
        The gradient at the time of the recording; None before.
    checked : bool
        Whether a replay with these layer classes has reproduced the objective bit for bit.
    """

    batch: tuple
    calls: list = field(default_factory=list)
    merges: Any = None
    grad: Any = None
    checked: bool = False
    _tables: list | None = None

    def add(self, call: Any) -> None:
        """Record a call."""
        self.calls.append(call)
        self.merges, self._tables = None, None

    def merge(self, call: Call) -> None:
        """Replace the last call by one that also does its work."""
        self.calls.pop()
        self.add(call)

    @property
    def compiled(self) -> bool:
        """Whether all calls are calls of kernels."""
        return all(isinstance(call, Call) for call in self.calls)

    def replay(self, run: Callable) -> None:
        """Repeat the calls; `run` calls the kernels of a table."""
        if self._tables is None:
            self._tables = []
            for is_call, group in groupby(self.calls, lambda call: isinstance(call, Call)):
                calls = list(group)
                self._tables += [table_of(calls)] if is_call else calls
        for part in self._tables:
            if isinstance(part, np.ndarray):
                run(part)
            else:
                function, arguments = part
                function(*arguments)


class RecordingKernels(NumpyKernels):
    """A backend that records the calls of an objective and replays them for later batches.

    For a small network, a step spends as much time in Python as in the loops. Therefore the calls
    are recorded with their arrays, and replayed when a batch comes in the same arrays. The first
    replay is checked (see `Backend.begin`). A process checks each sequence of
    layer classes once, because a check takes about as long as four steps of a small network. A
    subclass must pass all work on arrays to `call` or `do`, and write the value of the objective
    to the array that `_hold` allocates.
    """

    def __init__(self) -> None:
        super().__init__()
        self._replays = True  # until a check fails
        compiled = player()
        if compiled is None:
            raise ImportError("Numba cannot compile the training loops on this computer.")
        self.play, self.products = compiled
        self._segments: dict[int, np.ndarray] = {}
        self.forget()

    def forget(self) -> None:
        """Drop all recordings, because their arrays may change."""
        # Programs made of these recordings are no longer valid.
        self.generation = getattr(self, "generation", 0) + 1
        self._tapes: dict[int, Tape] = {}  # by number of samples
        # Calls with their tables. A call keeps its arrays, so their addresses are not used again.
        self._bound: dict[Any, tuple[Call, np.ndarray]] = {}
        # Calls that read other numbers in every step.
        self._steps: dict[tuple, tuple] = {}
        self._recording: Tape | None = None
        self._checking: Any = None  # a tape and its results
        self._arrays: tuple[np.ndarray, ...] = ()  # gradient and statistics of the network
        self._layers: tuple[type, ...] = ()  # classes of the layers
        # The values of the objective, one per member, and the norms of the gradients of the members
        # before and after clipping.
        self.outputs: Any = None
        self._values: Any = None  # the first row
        self._stacked = False  # whether there is a members axis

    def begin(
        self,
        batch: tuple,
        grad: np.ndarray,
        statistics: np.ndarray,
        layers: tuple[type, ...],
        replay: bool = True,
    ) -> Any:
        """Return the objective from a checked recording, else None; record a new batch size."""
        n_rows = batch[0].shape[0]
        tape = self._tapes.get(n_rows)
        known = tape is not None and all(map(is_, tape.batch, batch))
        changed = self._watched and self._drop_changed()
        if replay and tape is not None and tape.checked and known and not changed:
            return self.replay(tape)
        self._recording = self._checking = None
        # A sparse batch is a new object in every step.
        if not self._replays or not isinstance(batch[0], np.ndarray):
            return None
        if tape is None or changed or not known:
            # There are usually two batch sizes: full batches, and the last one.
            if len(self._tapes) > 1:
                self._tapes.clear()
            tape = self._tapes[n_rows] = Tape(batch)
        self._arrays, self._layers = (grad, statistics), layers
        if tape.grad is None:
            tape.calls.clear()
            self._recording = tape
            return None
        if not replay:
            return None
        before = statistics.copy()
        self._checking = tape, [np.copy(self.replay(tape)), grad.copy(), statistics.copy()]
        statistics[...] = before
        return None

    def end(self, value: Any) -> None:
        """Finish the recording of an objective, or compare the objective with its replay."""
        tape, self._recording = self._recording, None
        if tape is not None:
            tape.grad = self._arrays[0].copy()
            tape.checked = self._layers in _checked_layers
        if self._checking is None:
            return
        tape, replayed = self._checking
        grad = self._arrays[0]
        self._checking = None
        self._replays = all(
            np.array_equal(*pair, equal_nan=True)
            for pair in zip(replayed, (value, *self._arrays), strict=True)
        )
        # If batch and weights are those of the recording, as an equal gradient indicates, the check
        # does not reveal buffers that the replay leaves unwritten.
        if not self._replays:
            self._tapes.clear()
        elif not np.array_equal(tape.grad, grad, equal_nan=True):
            tape.checked = True
            _checked_layers.add(self._layers)

    def run(self, table: np.ndarray) -> None:
        """Call the kernels of a table."""
        n = len(table)
        if n not in self._segments:
            self._segments[n] = np.array([[0, n, n, 1]], np.int64)
        self.play(table, self._segments[n], *NO_STREAMS, *NO_OUTPUTS)

    def replay(self, tape: Tape) -> Any:
        """Run the recorded calls on the batch in their arrays; return the objective."""
        tape.replay(self.run)
        return self._value()

    def program(self, n_rows: int) -> list[Call] | None:
        """Return the calls of the objective of a batch of this size, or None if it cannot play.

        It can play if the recording has been checked and consists of calls of kernels.
        """
        tape = self._tapes.get(n_rows)
        if self._watched and self._drop_changed():
            return None
        return tape.calls if tape is not None and tape.checked and tape.compiled else None

    def _value(self) -> Any:
        """Return the objective; for members, an array that the next evaluation overwrites."""
        return self._values if self._stacked else float(self._values[0])

    def _hold(self, shape: tuple[int, ...]) -> None:
        """Allocate the value of the objective; `shape` is (n_members,), or () for one network."""
        self._stacked = len(shape) == 1
        if self._values is None or self._values.size != prod(shape):
            self.outputs = np.zeros((3, prod(shape)))
            self._values = self.outputs[0]

    def call(self, kernel: Any, *values: Any) -> bool:
        """Call a kernel with these arrays, and record the call; return whether it accepts them."""
        entry = self.bound(kernel, *values)
        if entry is None:
            return False
        call, table = entry
        self.run(table)
        if self._recording is not None:
            self._recording.add(call)
        return True

    def bound(self, kernel: Any, *values: Any) -> tuple[Call, np.ndarray] | None:
        """Return a call and its table, from an earlier step if the arrays are in the same place."""
        key = kernel, *map(_place, values)
        if key not in self._bound:
            call = kernel.bind(*values)
            if call is None:
                return None
            if len(self._bound) == MOST_BOUND:
                self._bound.clear()
            self._bound[key] = call, table_of([call])
        return self._bound[key]

    def _repeat(self, name: Any, arrays: tuple, numbers: Any) -> bool:
        """Repeat a call on the same arrays with other numbers; return whether it is known."""
        entry = self._steps.get((name, *map(id, arrays)))
        if entry is None:
            return False
        table, stream, *_ = entry
        stream.array[...] = numbers
        self.run(table)
        return True

    def _first(
        self, name: Any, arrays: tuple, kernel: Kernel, views: Any, numbers: Any, *rest: Any
    ) -> None:
        """Call a kernel on views of arrays, the numbers of this step and other arrays."""
        dtype = kernel.dtypes[len(views)]
        stream = Stream(dtype, len(numbers))
        stream.show(np.array(numbers, dtype))
        call = kernel.bind(*views, stream, *rest)
        if len(self._steps) == MOST_STEPS:
            self._steps.clear()
        # The arrays are kept, so their ids are not used again.
        table = table_of([call])
        self._steps[name, *map(id, arrays)] = table, stream, call, arrays
        self.run(table)

    def execute(self, *calls: Call) -> None:
        """Execute calls."""
        self.run(table_of(calls))

    def do(self, function: Callable, *arguments: Any) -> None:
        """Call a function and record this call, but not the calls inside it."""
        tape, self._recording = self._recording, None
        function(*arguments)
        if tape is not None:
            tape.add((function, arguments))
            self._recording = tape

    def _merges(self, operation: str, array: np.ndarray) -> Tape | None:
        """Return the tape if its last call was this operation on this array, else None."""
        tape = self._recording
        if tape is None or tape.merges is None:
            return None
        last, on, _ = tape.merges
        return tape if last == operation and on is array else None


def _place(value: Any) -> Any:
    """Return where an array is in memory, and how; or a stream."""
    if not isinstance(value, np.ndarray):
        return value
    return value.__array_interface__["data"][0], value.shape, value.strides, value.dtype.char
