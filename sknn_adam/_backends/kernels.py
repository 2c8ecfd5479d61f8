"""Kernels, which are compiled loops, and their calls with arguments that stay in place.

A kernel is machine code that takes a single argument: the address of a block of integers with the
address and the shape of each array. It can therefore be called from compiled code that knows
nothing about its arrays.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Argument", "Call", "Kernel", "Stream", "address_of", "arrays", "same_form"]


class Argument(NamedTuple):
    """The dtype and the dimensions of an argument.

    Parameters
    ----------
    kind : str
        ``"f"`` for the dtype of the network, ``"i"`` for int64, ``"u"`` for uint64, ``"d"`` for
        float64, and ``"x"`` for the dtype of a table.
    sizes : str
        One letter per dimension. Equal letters stand for equal sizes. A capital letter stands for
        the size of the small letter, or 1. The digits 1 to 3 are sizes.
    moves : bool
        Whether each step reads the next part of a stream.
    """

    kind: str
    sizes: str
    moves: bool

    @classmethod
    def parse(cls, text: str) -> "Argument":
        """Return the argument that a text such as ``"mnk"``, ``"i:n"`` or ``"*i:n"`` describes."""
        kind, _, sizes = text.removeprefix("*").rpartition(":")
        return cls(kind or "f", sizes, text.startswith("*"))

    def dtype(self, of_network: np.dtype, of_table: np.dtype) -> np.dtype:
        """Return the dtype of the array."""
        fixed = {"i": np.dtype(np.int64), "u": np.dtype(np.uint64), "d": np.dtype(np.float64)}
        return fixed.get(self.kind) or (of_table if self.kind == "x" else of_network)


def arrays(*texts: str, fastmath: Any = False) -> Callable:
    """Declare the array arguments of a loop; see `Argument.parse`."""

    def declare(loop: Any) -> Any:
        loop.arguments = tuple(map(Argument.parse, texts))
        loop.fastmath = fastmath
        return loop

    return declare


class Stream:
    """An array with one row per step, of which a kernel reads the row of the current step.

    The player replaces the address in `slot` before each step.

    Parameters
    ----------
    dtype : dtype
        The dtype of the array.
    *shape : int
        The shape of a row. The first of two axes is that of the members.
    at_end : bool, default=False
        Whether there is one row per epoch, which is read or written at its end.
    """

    def __init__(self, dtype: Any, *shape: int, at_end: bool = False):
        self.dtype, self.shape, self.at_end = np.dtype(dtype), shape, at_end
        # The number of bytes by which a step moves on.
        self.stride = prod(shape) * self.dtype.itemsize
        self.slot = np.zeros(1, np.int64)

    @property
    def of_members(self) -> bool:
        """Whether a row has one row per member."""
        return len(self.shape) > 1

    def show(self, array: np.ndarray, first: int = 0) -> None:
        """Set the array for the next call; `first` is the first member to read."""
        self.array = np.ascontiguousarray(array, self.dtype)
        size = prod(self.shape[1:]) * self.dtype.itemsize
        self.slot[0] = address_of(self.array) + first * size

    def part(self, members: slice) -> "Stream":
        """Return a stream of the same kind for some of the members."""
        n_members = (members.stop - members.start,) if self.of_members else self.shape[:1]
        stream = Stream(self.dtype, *n_members, *self.shape[1:], at_end=self.at_end)
        stream.stride = self.stride
        return stream


def address_of(array: np.ndarray) -> int:
    """Return the address of the first element."""
    return array.__array_interface__["data"][0]


def same_form(*arrays: np.ndarray) -> bool:
    """Return whether the arrays share shape and dtype and are C-contiguous."""
    first = arrays[0]
    return all(
        v.flags.c_contiguous and v.dtype == first.dtype and v.shape == first.shape for v in arrays
    )


class Kernel:
    """A compiled loop.

    Parameters
    ----------
    name : str
        The name of the loop.
    address : int
        The address of the machine code.
    arguments : sequence of Argument
        The declared arguments.
    dtypes : sequence of dtype
        Their dtypes.
    compiled : object
        The owner of the machine code, which must not be deleted.
    constants : tuple of ndarray
        The last arguments, which are the same in all calls.
    """

    def __init__(
        self,
        name: str,
        address: int,
        arguments: Sequence[Argument],
        dtypes: Sequence[np.dtype],
        compiled: Any = None,
        constants: tuple[np.ndarray, ...] = (),
    ):
        self.name, self.address = name, address
        self.compiled, self.constants = compiled, constants
        self.arguments, self.dtypes = tuple(arguments), tuple(dtypes)

    def __repr__(self) -> str:
        return f"Kernel({self.name!r})"

    def with_constants(self, *constants: np.ndarray) -> "Kernel":
        """Return a kernel with the same machine code and these last arguments."""
        return Kernel(
            self.name, self.address, self.arguments, self.dtypes, self.compiled, constants
        )

    def bind(self, *values: Any) -> "Call":
        """Return a call with these arrays and streams, after comparing their shapes and dtypes."""
        values = (*values, *self.constants)
        sizes = {"1": 1, "2": 2, "3": 3}
        block: list[int] = []
        for argument, dtype, value in zip(self.arguments, self.dtypes, values, strict=True):
            shape = value.shape
            if value.dtype != dtype or len(shape) != len(argument.sizes):
                raise self._error(argument, value)
            for letter, size in zip(argument.sizes, shape, strict=True):
                if letter.isupper() and size == 1:
                    continue
                if sizes.setdefault(letter.lower(), size) != size:
                    raise self._error(argument, value)
            if argument.moves:
                block.append(address_of(value.slot))
            elif value.flags.c_contiguous:
                block.append(address_of(value))
            else:
                raise self._error(argument, value)
            block += shape
        return Call(self, values, np.array(block, np.int64))

    def rebind(self, values: Sequence[Any]) -> "Call":
        """Return a call with all of these arguments, including the constants."""
        return self.bind(*values[: len(values) - len(self.constants)])

    def of_members(self, values: Sequence[Any]) -> list[bool]:
        """Return, for each argument, whether its first axis may be that of the members."""
        return [argument.sizes[:1] in ("m", "M") for argument in self.arguments]

    def _error(self, argument: Argument, value: Any) -> ValueError:
        position = self.arguments.index(argument)
        return ValueError(
            f"Argument {position} of the kernel {self.name} must be a C-contiguous array "
            f"{argument.sizes} of {self.dtypes[position]}. Got the shape {value.shape} and the "
            f"dtype {value.dtype}."
        )


class Call:
    """A kernel with its arguments.

    Parameters
    ----------
    kernel : Kernel
        The kernel.
    values : tuple
        The arrays and streams that the block refers to.
    block : ndarray of int64
        The argument of the machine code.
    """

    __slots__ = ("block", "kernel", "row", "values")

    def __init__(self, kernel: Any, values: tuple, block: np.ndarray):
        self.kernel, self.values, self.block = kernel, values, block
        # The addresses of the machine code and of the block: a row of the player's table.
        self.row = kernel.address, address_of(block)
