"""Formulas recorded as lists of ufunc calls, so that NumPy runs them without temporary arrays.

A rule such as ``v = beta * v + c * g * g`` allocates an array for every operation. Calling it with
tracers instead of arrays records its operations. They are then run repeatedly with ``out=``, which
writes to a few reused buffers and, where the old value is no longer needed, to the slots
themselves. The operations and their order are those of the formula, so the results are identical
to the last bit. A rule that does anything but call ufuncs is not recorded but called each time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

__all__ = ["LOGICAL", "Formula", "Program", "record", "record_apply", "record_rule", "trace"]


class _Untraceable(Exception):
    """Raised by a formula that does anything but call ufuncs on its arguments."""


LOGICAL = {np.logical_and, np.logical_or, np.logical_not, np.logical_xor}
_POWERS = {-1: np.reciprocal, 0.5: np.sqrt, 1: np.positive, 2: np.square}


def _operand_dtype(value: Any) -> Any:
    """Return the dtype of an operand, or the type of a Python number, which has no fixed dtype."""
    sample = value.sample if isinstance(value, _Tracer) else value
    if isinstance(sample, np.ndarray | np.generic):
        return sample.dtype
    return np.dtype(bool) if isinstance(sample, bool) else type(sample)


# isinstance is slower with a union than with a tuple.
NUMBERS = (int, float, np.floating)


class _Tracer(NDArrayOperatorsMixin):
    """Stand-in for an array or a scalar that records the operations on it."""

    writable = False

    def __init__(self, operations: list, index: int | None, sample: Any, dtype_of_arrays: np.dtype):
        self.operations, self.index, self.sample = operations, index, sample
        self.dtype_of_arrays = dtype_of_arrays
        self.dtype = getattr(sample, "dtype", None)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        tracers = [v for v in inputs if isinstance(v, _Tracer)]
        if method != "__call__" or kwargs or ufunc.nout != 1:
            raise _Untraceable
        if not any(isinstance(v.sample, np.ndarray) for v in tracers):
            raise _Untraceable
        result = self._record(ufunc, inputs)
        return result if out is None else out[0]._write(result)

    def __setitem__(self, key: Any, value: Any) -> None:
        if key is not Ellipsis and key != slice(None):
            raise _Untraceable
        self._write(value)

    def _write(self, value: Any) -> "_Tracer":
        """Take the value of another tracer."""
        if not (self.writable and isinstance(value, _Tracer)):
            raise _Untraceable
        self.index, self.sample = value.index, value.sample
        return self

    def target(self, in_place: bool) -> "_Tracer":
        """Return the tracer for the output of a function that reads this one."""
        output = self if in_place else _Tracer(self.operations, None, None, self.dtype_of_arrays)
        output.writable = True
        return output

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is not np.where or kwargs or len(args) != 3:
            raise _Untraceable
        return self._record(function, args)

    def __pow__(self, exponent: Any) -> Any:
        # For these exponents, the operator ** of NumPy arrays calls other functions, whose results
        # differ from those of numpy.power in the last digit, at -0.0 and at -inf.
        number: Any = exponent if isinstance(exponent, int | float | np.floating) else None
        function = _POWERS.get(number)
        if function is None or self.dtype != self.dtype_of_arrays:
            return super().__pow__(exponent)
        # With a NumPy scalar as the exponent, results differ between releases of NumPy.
        if type(exponent) not in (int, float):
            raise _Untraceable
        return function(self)

    def _record(self, function: Any, inputs: Any) -> "_Tracer":
        """Add an operation; the sample of its result has the dtype that an array would have."""
        if not all(isinstance(v, (_Tracer, *NUMBERS)) for v in inputs):
            raise _Untraceable
        for v in inputs:
            if isinstance(v, _Tracer) and v.writable:
                # The output has not been written yet, or its value is boolean, which an array would
                # convert.
                if v.index is None or v.sample.dtype != self.dtype_of_arrays:
                    raise _Untraceable
        sample = function(*[v.sample if isinstance(v, _Tracer) else v for v in inputs])
        # Some releases of NumPy compute the power 0.5 as a square root. Any scalar could be 0.5, so
        # 0.5 is the sample of all scalars.
        if function is np.power:
            exponent = getattr(inputs[1], "sample", inputs[1])
            if not isinstance(exponent, np.ndarray) and exponent == 0.5:
                raise _Untraceable
        truths = inputs[:1] if function is np.where else inputs if function in LOGICAL else ()
        # A nonzero scalar, which is true, may become 0 in the dtype of the arrays.
        for v in truths:
            if isinstance(v, _Tracer) and not isinstance(v.sample, np.ndarray):
                raise _Untraceable
        if function is np.where:
            dtypes: tuple = (sample.dtype,)
        else:
            # The dtype of a comparison's result does not show in which dtype NumPy compares.
            dtypes = function.resolve_dtypes((*map(_operand_dtype, inputs), None))
        if not all(dtype in (self.dtype_of_arrays, np.bool_) for dtype in dtypes):
            raise _Untraceable
        for v in inputs:
            if not isinstance(v, _Tracer) and np.isinf(self.dtype_of_arrays.type(v)) > np.isinf(v):
                raise _Untraceable
        arguments = [(v.index, None) if isinstance(v, _Tracer) else (None, v) for v in inputs]
        self.operations.append((function, arguments, sample.dtype))
        return _Tracer(self.operations, -len(self.operations), sample, self.dtype_of_arrays)

    def __bool__(self) -> bool:
        raise _Untraceable


@dataclass
class Formula:
    """Elementwise operations ``(function, arguments, dtype)`` on arrays and scalars.

    An argument is (index, None) or (None, constant). Indices count the arrays from 0, then the
    scalars; index -k is the result of the k-th operation. ``outputs`` are the indices of the
    results. The dtype is that of the arrays, or bool.
    """

    operations: list
    outputs: list[int]
    n_arrays: int
    n_scalars: int
    is_tuple: bool  # whether the function returned a tuple


def record(
    function: Callable,
    n_arrays: int,
    n_scalars: int = 0,
    *,
    dtype: Any = np.float32,
    lacks: Any = (),
) -> Formula | None:
    """Record ``function(*arrays, *scalars)`` for one dtype; return None if it is not traceable.

    `lacks` lists the indices of the arrays that are None.
    """
    samples = [np.ones(1, dtype)] * n_arrays + [0.5] * n_scalars
    calls: list[tuple[list, Any]] = []
    # If a formula draws random numbers, its two calls differ.
    for _ in range(2):
        operations: list = []
        tracers: list[Any] = [
            None if i in lacks else _Tracer(operations, i, sample, np.dtype(dtype))
            for i, sample in enumerate(samples)
        ]
        try:
            with np.errstate(all="ignore"):
                outputs = function(*tracers)
        # Arrays may support operations that tracers do not.
        except Exception:
            return None
        calls.append((operations, outputs))
    if calls[0][0] != calls[1][0]:
        return None
    results = outputs if isinstance(outputs, tuple) else (outputs,)
    if not all(isinstance(v, _Tracer) and v.index is not None for v in results):
        return None
    indices = [value.index for value in results]
    return Formula(operations, indices, n_arrays, n_scalars, isinstance(outputs, tuple))


def record_apply(apply: Callable, dtype: Any, in_place: bool) -> Formula | None:
    """Record ``apply(z, out)``, which writes to `out`; return None if it is not traceable.

    If `in_place`, `out` is `z`.
    """

    def write(z: Any) -> Any:
        out = z.target(in_place)
        apply(z, out)
        return out

    return record(write, 1, dtype=dtype)


def record_rule(
    rule: Callable, n_slots: int, n_scalars: int, dtype: Any = np.float32
) -> Formula | None:
    """Record ``rule(g, *slots, *scalars) -> (update, *slots)``; return None if not traceable."""
    formula = record(rule, 1 + n_slots, n_scalars, dtype=dtype)
    complete = formula is not None and formula.is_tuple and len(formula.outputs) == 1 + n_slots
    return formula if complete else None


def trace(
    rule: Callable, n_slots: int, n_scalars: int, dtype: Any = np.float32
) -> "Program | None":
    """Return a Program for ``rule(g, *slots, *scalars) -> (update, *slots)``, else None."""
    n_arrays = 1 + n_slots
    formula = record_rule(rule, n_slots, n_scalars, dtype)
    if formula is None:
        return None
    if any(function is np.where or dtype.kind == "b" for function, _, dtype in formula.operations):
        return None
    # An old slot returned as another result would be read after being overwritten.
    outputs = formula.outputs
    if any(0 <= index < n_arrays and index != i for i, index in enumerate(outputs)):
        return None
    operations = [(ufunc, arguments) for ufunc, arguments, _ in formula.operations]
    return Program(operations, outputs, n_arrays, n_scalars)


class Program:
    """Operations on registers: gradient, slots, scalars, constants, then buffers.

    Parameters
    ----------
    operations : list of (ufunc, arguments)
        An argument is (index, None), or (None, constant); index -k is the result of the k-th
        operation.
    outputs : list of int
        Indices of the update and of the new slots.
    n_arrays, n_scalars : int
        Numbers of arrays (gradient and slots) and of scalars.
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
            # Write to the slot itself if its old value is no longer needed.
            if slot and last_use.get(slot, -1) <= j:
                where[value] = slot
            else:
                if not free:
                    free.append(first_buffer + self.n_buffers)
                    self.n_buffers += 1
                where[value] = free.pop()
            self.calls.append((ufunc, read, where[value]))
        self.results = [where.get(index, index) for index in outputs]

    def run(self, arrays: list, scalars: list, buffers: list) -> np.ndarray:
        """Run on arrays of equal length, change the slots in place, and return the update."""
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
