"""Steps that are recorded once and replayed, without the layers and the loss in Python."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from operator import is_
from typing import Any

import numpy as np

from sknn_adam._backends.numpy_backend import NumpyKernels

__all__ = ["RecordingKernels", "Tape"]

_checked_layers: set[tuple[type, ...]] = set()


@dataclass
class Tape:
    """The recorded calls of an objective.

    Attributes
    ----------
    batch : tuple
        The arrays of the batch; the calls work on these very objects.
    rng : Generator or None
        The random generator of the calls.
    calls : list of (function, arguments)
        The calls in their order.
    merges : tuple or None
        An operation and the array that the last call has worked on, if the next one may be merged
        with it.
    grad : ndarray or None
        The gradient when the calls were recorded, None before.
    checked : bool
        Whether a replay with these layer classes has given the bits of the objective.
    """

    batch: tuple
    rng: Any
    calls: list = field(default_factory=list)
    merges: Any = None
    grad: Any = None
    checked: bool = False

    def add(self, function: Callable, *arguments: Any) -> None:
        """Record a call."""
        self.calls.append((function, arguments))
        self.merges = None

    def merge(self, function: Callable, *arguments: Any) -> None:
        """Record a call that also does the work of the last one."""
        self.calls.pop()
        self.add(function, *arguments)


class RecordingKernels(NumpyKernels):
    """A backend that records the calls of an objective and replays them for later batches.

    A step on a small network takes as long in Python as in the loops. So the calls are recorded,
    with the arrays that they work on, when a batch comes in the same arrays for the second time.
    The third time, the replay is checked, see `Backend.begin`; once for each sequence of layer
    classes in a process, as a check takes about as long as four steps of a small network. A
    subclass passes all calls on arrays to `do`, and the objective's value to the array of `_hold`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._replays = True  # until a check fails
        self.forget()

    def forget(self) -> None:
        """Drop all recordings: their arrays may change."""
        self._tapes: dict[int, Tape] = {}  # by number of samples
        self._recording: Tape | None = None
        self._checking: Any = None  # a tape, its results, the random generator and its state
        self._arrays: tuple[np.ndarray, ...] = ()  # gradient and statistics of the network
        self._layers: tuple[type, ...] = ()  # of which classes its layers are
        self._values: Any = None  # of the objective, one for each member
        self._stacked = False  # whether there are members

    def begin(
        self,
        batch: tuple,
        rng: np.random.Generator | None,
        grad: np.ndarray,
        statistics: np.ndarray,
        layers: tuple[type, ...],
    ) -> Any:
        """Return the objective from a checked recording, else None; record arrays seen before."""
        tape = self._tapes.get(len(batch[1]))
        known = tape is not None and tape.rng is rng and all(map(is_, tape.batch, batch))
        changed = self._watched and self._drop_changed()
        if tape is not None and tape.checked and known and not changed:
            return self.replay(tape)
        self._recording = self._checking = None
        if not self._replays:
            return None
        if tape is None or changed or not known:
            if len(self._tapes) > 1:  # full batches and the last one
                self._tapes.clear()
            self._tapes[len(batch[1])] = Tape(batch, rng)
            return None
        self._arrays, self._layers = (grad, statistics), layers
        if tape.grad is None:
            tape.calls.clear()
            self._recording = tape
            return None
        rng = np.random.default_rng(0) if rng is None else rng
        before, state = statistics.copy(), rng.bit_generator.state
        found = [np.copy(self.replay(tape)), grad.copy(), statistics.copy()]
        self._checking = tape, found, rng, rng.bit_generator.state
        statistics[...], rng.bit_generator.state = before, state
        return None

    def end(self, value: Any) -> None:
        """End the record of an objective, or compare it with the replay."""
        tape, self._recording = self._recording, None
        if tape is not None:
            tape.grad = self._arrays[0].copy()
            tape.checked = self._layers in _checked_layers
        if self._checking is None:
            return
        tape, replayed, rng, state = self._checking
        grad = self._arrays[0]
        self._checking = None
        self._replays = state == rng.bit_generator.state and all(
            np.array_equal(*pair, equal_nan=True)
            for pair in zip(replayed, (value, *self._arrays), strict=True)
        )
        # Buffers that are not written would pass with the same batch and weights as before.
        if not self._replays:
            self._tapes.clear()
        elif not np.array_equal(tape.grad, grad, equal_nan=True):
            tape.checked = True
            _checked_layers.add(self._layers)

    def replay(self, tape: Tape) -> Any:
        """Do the calls of an objective on the batch that is in their arrays; return its value."""
        for function, arguments in tape.calls:
            function(*arguments)
        return self._value()

    def _value(self) -> Any:
        """Return the value of the objective, for members an array that the next one overwrites."""
        return self._values if self._stacked else float(self._values[0])

    def _hold(self, shape: tuple[int, ...]) -> None:
        """Allocate the values of the objective: shape (n_members,), or () for one network."""
        self._stacked = len(shape) == 1
        if self._values is None or self._values.size != prod(shape):
            self._values = np.zeros(prod(shape))

    def do(self, function: Callable, *arguments: Any) -> None:
        """Call a function, and record this call, but not those inside it."""
        tape, self._recording = self._recording, None
        function(*arguments)
        if tape is not None:
            tape.add(function, *arguments)
            self._recording = tape

    def _merges(self, operation: str, array: np.ndarray) -> Tape | None:
        """Return the tape if its last call is this operation on this array, else None."""
        tape = self._recording
        if tape is None or tape.merges is None:
            return None
        last, on, _ = tape.merges
        return tape if last == operation and on is array else None
