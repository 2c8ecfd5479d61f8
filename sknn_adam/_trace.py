"""A formula as a list of ufunc calls, so that NumPy runs it without temporary arrays.

A rule such as ``v = beta * v + c * g * g`` allocates an array for every operation. Called once with
tracers instead of arrays it tells its operations; they are then run over and over with ``out=``,
into a few reused buffers and, where the old value is no longer needed, into the slots themselves.
The operations and their order are the formula's own, so the results are the same to the last bit.
A rule that is no pure chain of ufuncs is left as it is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

__all__ = ["Program", "trace"]


class _Untraceable(Exception):
    """The formula does something else than calling ufuncs on its arguments."""


class _Tracer(NDArrayOperatorsMixin):
    """Stands for an array or a scalar and records what is done with it."""

    def __init__(self, operations: list, index: int, sample: Any):
        self.operations, self.index, self.sample = operations, index, sample

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        tracers = [v for v in inputs if isinstance(v, _Tracer)]
        arrays = [v for v in tracers if isinstance(v.sample, np.ndarray)]
        if method != "__call__" or kwargs or ufunc.nout != 1 or not arrays:
            raise _Untraceable
        if not all(isinstance(v, _Tracer | int | float) for v in inputs):
            raise _Untraceable
        sample = ufunc(*[v.sample if isinstance(v, _Tracer) else v for v in inputs])
        if sample.dtype != arrays[0].sample.dtype:  # comparisons, promotion
            raise _Untraceable
        arguments = [(v.index, None) if isinstance(v, _Tracer) else (None, v) for v in inputs]
        self.operations.append((ufunc, arguments))
        return _Tracer(self.operations, -len(self.operations), sample)

    def __array_function__(self, *args):
        raise _Untraceable

    def __bool__(self):
        raise _Untraceable


def trace(rule: Callable, n_slots: int, n_scalars: int) -> "Program | None":
    """Return ``rule(g, *slots, *scalars) -> (update, *slots)`` as a program, None if it is none."""
    n_arrays = 1 + n_slots
    samples = [np.ones(1, np.float32)] * n_arrays + [0.5] * n_scalars
    calls: list[tuple[list, Any]] = []
    for _ in range(2):  # a rule that draws random numbers does not do the same twice
        operations: list = []
        try:
            with np.errstate(all="ignore"):
                outputs = rule(*[_Tracer(operations, i, s) for i, s in enumerate(samples)])
        except Exception:  # whatever a tracer cannot do, arrays may
            return None
        calls.append((operations, outputs))
    if calls[0][0] != calls[1][0] or not isinstance(outputs, tuple) or len(outputs) != n_arrays:
        return None
    if not all(isinstance(value, _Tracer) for value in outputs):
        return None
    indices = [value.index for value in outputs]
    # An old slot handed on would be read after it has been overwritten.
    if any(0 <= index < n_arrays and index != i for i, index in enumerate(indices)):
        return None
    return Program(operations, indices, n_arrays, n_scalars)


class Program:
    """Operations on registers: gradient, slots, scalars, then buffers.

    Parameters
    ----------
    operations : list of (ufunc, arguments)
        An argument is (index, None), or (None, constant); index -k is the result of the k-th
        operation.
    outputs : list of int
        Indices of the update and of the new slots.
    n_arrays, n_scalars : int
        Gradient and slots; scalars.
    """

    def __init__(self, operations: list, outputs: list[int], n_arrays: int, n_scalars: int):
        constants = [c for _, arguments in operations for i, c in arguments if i is None]
        self.constants = constants
        first_buffer = n_arrays + n_scalars + len(constants)
        next_constant = iter(range(n_arrays + n_scalars, first_buffer))
        last_use = {i: j for j, (_, arguments) in enumerate(operations) for i, _ in arguments}
        last_use |= dict.fromkeys(outputs, len(operations))
        where: dict[int, int] = {}  # index of a value -> its register
        free: list[int] = []
        self.n_buffers = 0
        self.calls = []
        for j, (ufunc, arguments) in enumerate(operations):
            read = [next(next_constant) if i is None else where.get(i, i) for i, _ in arguments]
            done = {i for i, _ in arguments if i in where and last_use[i] == j}
            free += [where[i] for i in done if where[i] >= first_buffer]
            value = -(j + 1)
            slot = outputs.index(value) if outputs.count(value) == 1 else 0
            if slot and last_use.get(slot, -1) <= j:
                where[value] = slot  # the old value of the slot has been read for the last time
            else:
                if not free:
                    free.append(first_buffer + self.n_buffers)
                    self.n_buffers += 1
                where[value] = free.pop()
            self.calls.append((ufunc, read, where[value]))
        self.results = [where.get(index, index) for index in outputs]

    def run(self, arrays: list, scalars: list, buffers: list) -> np.ndarray:
        """Run on arrays of one length; the slots are changed in place; return the update."""
        registers = [*arrays, *scalars, *self.constants, *buffers]
        for ufunc, read, out in self.calls:
            if len(read) == 2:
                ufunc(registers[read[0]], registers[read[1]], out=registers[out])
            else:
                ufunc(*[registers[i] for i in read], out=registers[out])
        for slot, result in enumerate(self.results):
            if slot and result != slot:
                registers[slot][...] = registers[result]
        return registers[self.results[0]]
