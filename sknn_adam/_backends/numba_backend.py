"""The backend of fused loops, compiled by Numba where it is installed.

The formula of a component is recorded by `tracing`, converted to the source of one loop over all
elements for one dtype, and compiled. The loop performs the operations of the formula in the same
order, so arithmetic gives the same bits as in NumPy. Sums are computed in another order, and the
functions of `elementary` differ in the last digits. Formulas that cannot be written as a loop run
in NumPy.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from sknn_adam._backends.codegen import activate_loop, chain_loop, update_loop
from sknn_adam._backends.compilation import formula_kernel, loop_kernel
from sknn_adam._backends.dependencies import Watch
from sknn_adam._backends.draws import scratch, threshold
from sknn_adam._backends.kernels import Call, Kernel, Stream, same_form
from sknn_adam._backends.recording import RecordingKernels
from sknn_adam._backends.tracing import record, record_apply, record_rule
from sknn_adam._backends.vectors import norm, product
from sknn_adam._component.layout import Layout, count_members

__all__ = ["FusedKernels"]

FLOATS = np.dtype(np.float32), np.dtype(np.float64)


def _as_stacks(z: np.ndarray, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return arrays with a leading members axis, which is added if `z` has none."""
    return (z, *arrays) if z.ndim == 3 else tuple(array[None] for array in (z, *arrays))


class FusedKernels(RecordingKernels):
    """The backend that runs formulas as fused loops where possible, else in NumPy.

    A recording merges the addition of a bias with the activation that follows it, and the chain
    rule with the column sums that follow it. Only replays use the merged calls, so a layer whose
    Python code runs can read every intermediate array.
    """

    name = "fused"
    plays = True

    def __init__(self) -> None:
        super().__init__()
        self._kernels: dict[Any, Any] = {}
        self._numbers: dict[tuple, np.ndarray] = {}
        self._losses: dict[Any, float | None] = {}
        self.draws = Stream(np.uint64, 3)
        self._scratch: np.ndarray | None = None

    def rule_kernel(self, rule: Callable, n_slots: int, n_scalars: int, dtype: Any) -> Any:
        """Return the kernel of an optimizer's rule, or None to call the rule itself."""
        key = rule, dtype
        if not self._is_known(self._kernels, key):

            def make() -> Any:
                formula = record_rule(rule, n_slots, n_scalars, dtype)
                return formula_kernel(update_loop, formula, dtype)

            self._record_once(self._kernels, key, make, rule)
        return self._kernels[key]

    def update(
        self,
        rule: Callable,
        theta: np.ndarray,
        grad: np.ndarray,
        slots: Sequence[np.ndarray],
        scalars: Sequence[float],
        keep: float = 1.0,
    ) -> None:
        """Apply the step of an optimizer in one pass over its vectors."""
        vectors, numbers = (theta, grad, *slots), [*scalars, keep]
        if self._watched:
            self._drop_changed()
        if self._repeat(rule, vectors, numbers):
            return
        kernel = self.rule_kernel(rule, len(slots), len(scalars), theta.dtype)
        # The user may have replaced a slot.
        if kernel is None or not (same_form(*vectors) and all(v.flags.writeable for v in vectors)):
            super().update(rule, theta, grad, slots, scalars, keep)
            return
        at = self._constants((len(scalars),), np.int64)
        self._first(rule, vectors, kernel, [v[None] for v in vectors], numbers, at)

    def product(self, a: Any, b: np.ndarray, out: np.ndarray) -> None:
        """Write the matrix product."""
        plain = type(a) is np.ndarray and not self.threaded
        if not (plain and self.call(self.products, a, b, out)):
            self.do(product, a, b, out)

    def add_bias(self, z: np.ndarray, b: np.ndarray) -> None:
        """Add `b` to every sample of `z`, in place."""
        kernel = loop_kernel("add_bias", z.dtype)
        if kernel is None:
            self.do(super().add_bias, z, b)
        else:
            self.call(kernel, *_as_stacks(z, b))
        if self._recording is not None:
            self._recording.merges = "bias", z, b

    def activate(
        self, activation: Any, z: np.ndarray, b: np.ndarray | None, out: np.ndarray
    ) -> None:
        """Add the bias and write the activation, in one pass where possible."""
        in_place = out is z
        key = activation, in_place, z.dtype
        if not self._is_known(self._kernels, key):

            def make() -> Any:
                formula = record_apply(activation.apply, z.dtype, in_place)
                return formula_kernel(activate_loop, formula, z.dtype, in_place)

            functions = activation.apply, activation.__call__
            self._record_once(self._kernels, key, make, *functions)
        kernel = self._kernels[key]
        if kernel is None or not same_form(z, out):
            self.do(super().activate, activation, z, b, out)
            return
        arrays, tape = () if in_place else (out,), None
        if b is None:
            # Adding -0.0 leaves z unchanged, bit for bit.
            tape, b = self._merges("bias", z), self._per_unit("zero bias", -0.0, z)
        if tape is None:
            self.call(kernel, *_as_stacks(z, b, *arrays))
        else:
            self.execute(kernel.bind(*_as_stacks(z, b, *arrays)))
            tape.merge(kernel.bind(*_as_stacks(z, tape.merges[2], *arrays)))

    def _per_unit(self, name: str, value: float, like: np.ndarray) -> np.ndarray:
        """Return an array with one element per member and unit, reused in every step."""
        return self._constant(name, value, (*like.shape[:-2], like.shape[-1]), like.dtype)

    def _constant(self, name: str, value: float, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an array filled with a value, reused in every step."""
        key = name, shape, dtype
        if key not in self._buffers:
            self._buffers[key] = [np.full(shape, value, dtype)]
        return self._buffers[key][0]

    def _constants(self, values: tuple, dtype: Any) -> np.ndarray:
        """Return an array with these numbers, the same in every step."""
        key = values, np.dtype(dtype)
        if key not in self._numbers:
            self._numbers[key] = np.array(values, dtype)
        return self._numbers[key]

    def chain(
        self,
        derivative: Callable,
        g: np.ndarray,
        z: np.ndarray | None,
        a: np.ndarray,
        sums: np.ndarray | None = None,
    ) -> None:
        """Multiply by the derivative and sum over the samples, in one pass."""
        key = derivative, z is None, g.dtype
        if not self._is_known(self._kernels, key):

            def make() -> Any:
                lacks = (0,) if z is None else ()
                formula = record(derivative, 2, dtype=g.dtype, lacks=lacks)
                return formula_kernel(chain_loop, formula, g.dtype, z is not None)

            self._record_once(self._kernels, key, make, derivative)
        kernel = self._kernels[key]
        arrays = (g, a) if z is None else (g, z, a)
        if kernel is None or not same_form(*arrays):
            self.do(super().chain, derivative, g, z, a, sums)
            return
        self.call(
            kernel, *_as_stacks(*arrays, self._per_unit("sums", 0.0, g) if sums is None else sums)
        )
        if sums is None and self._recording is not None:
            self._recording.merges = "chain", g, (kernel, arrays)

    def dropout(
        self,
        x: np.ndarray,
        draws: np.ndarray,
        layer: int,
        rate: float,
        factors: tuple[float, float, float],
        y: np.ndarray,
        kept: np.ndarray,
    ) -> None:
        """Drop random units, in one pass."""
        kernel = loop_kernel("drop", x.dtype)
        if kernel is None or not same_form(x, y, kept):
            super().dropout(x, draws, layer, rate, factors, y, kept)
            return
        x, y, kept = _as_stacks(x, y, kept)
        members = self._constants(tuple(range(len(x))), np.uint64)
        place = self._constants((layer, threshold(rate)), np.uint64)
        # The stream refers to the same array, which changes from step to step.
        self.draws.show(draws)
        numbers = self._constants(tuple(factors), x.dtype)
        if self._scratch is None or len(self._scratch) != len(x):
            self._scratch = scratch(len(x))
        self.call(kernel, x, self.draws, place, members, numbers, self._scratch, y, kept)

    def run_loop(self, loop: str, function: Callable, *arrays: Any) -> None:
        """Call the loop of a layer."""
        z, kernel = arrays[0], loop_kernel(loop, arrays[0].dtype, np.dtype(bool))
        if kernel is None or not z.flags.c_contiguous:
            super().run_loop(loop, function, *arrays)
            return
        stacks = []
        for argument, array in zip(kernel.arguments, arrays, strict=True):
            if array is None:
                array = self._constant("kept", 1.0, (1, z.shape[-2]), np.dtype(bool))
            stacks.append(array[None] if array.ndim < len(argument.sizes) else array)
        self.call(kernel, *stacks)

    def multiply(self, g: np.ndarray, factors: np.ndarray) -> None:
        """Multiply `g` by the factors, in place."""
        kernel = loop_kernel("scale_units", g.dtype)
        if kernel is None or not same_form(g, factors):
            super().multiply(g, factors)
        else:
            self.call(kernel, *_as_stacks(g, factors))

    def column_sums(self, g: np.ndarray, out: np.ndarray) -> None:
        """Write the sums of `g` over the samples to `out`."""
        loop = loop_kernel("column_sums", g.dtype) if g.flags.c_contiguous else None
        if loop is None:
            self.do(super().column_sums, g, out)
            return
        stacks = _as_stacks(g, out)
        if tape := self._merges("chain", g):
            self.execute(loop.bind(*stacks))
            kernel, arrays = tape.merges[2]
            tape.merge(kernel.bind(*_as_stacks(*arrays, out)))
        else:
            self.call(loop, *stacks)

    def penalize(
        self, value: Any, theta: np.ndarray, bounds: Any, grad: np.ndarray, l2: float, l1: float
    ) -> Any:
        """Return the value plus the penalty, and add its gradient, in one pass."""
        self._hold(np.shape(value))
        self._values[...] = value
        kernel = loop_kernel("penalize", theta.dtype)
        if kernel is None:
            self.do(self._plain_penalty, theta, bounds, grad, l2, l1)
            return self._value()
        factors, n = self._constants((l2, l1), theta.dtype), self._values.size
        bounds = [0, theta.size] if bounds is None else bounds
        for start, stop in zip(bounds[:-1:n], bounds[n::n], strict=True):
            stacks = [vector[start:stop].reshape(n, -1) for vector in (theta, grad)]
            self.call(kernel, stacks[0], factors, stacks[1], self._values)
        return self._value()

    def _plain_penalty(self, *arguments: Any) -> None:
        self._values[...] = super().penalize(self._value(), *arguments)

    def clip(self, clip: Any, grad: np.ndarray, layout: Layout) -> tuple[float, float]:
        """Clip the gradient in place; return its norm before and after."""
        calls = self.clip_calls(clip, grad, layout)
        if calls is None:
            return super().clip(clip, grad, layout)
        self.execute(*calls)
        return norm(self.outputs[1]), norm(self.outputs[2])

    def clip_calls(self, clip: Any, grad: np.ndarray, layout: Layout) -> list[Call] | None:
        """Return the calls that clip the gradient and measure it, or None if there are none."""
        kind, n_members = clip.compiled_loop, count_members(layout)
        names = "vector_norm", "join_norms", "clip_norm", "clip_value"
        kernels = {name: loop_kernel(name, grad.dtype) for name in names}
        if kind is None or None in kernels.values() or not grad.flags.c_contiguous:
            return None
        blocks = [block for block, *_ in layout]
        if n_members is None and kind != "layer":
            blocks = [slice(None)]
        arrays = [grad[block].reshape(n_members or 1, -1) for block in blocks]
        norms = np.zeros((n_members or 1, len(arrays)))
        at = [np.array([i], np.int64) for i in range(len(arrays))]
        limit = np.array([clip.limit], grad.dtype)
        call: Any = {name: kernel.bind for name, kernel in kernels.items() if kernel}
        measure = [
            call["vector_norm"](array, norms, i) for array, i in zip(arrays, at, strict=True)
        ]
        before, after = (call["join_norms"](norms, total) for total in self.outputs[1:])
        if kind == "value":
            clips = [call["clip_value"](array, limit) for array in arrays]
        else:
            sizes = norms if kind == "layer" else self.outputs[1][:, None]
            columns = at if kind == "layer" else at[:1] * len(arrays)
            pairs = zip(arrays, columns, strict=True)
            clips = [call["clip_norm"](array, sizes, i, limit) for array, i in pairs]
        return [*measure, before, *clips, *measure, after]

    def blend(self, average: np.ndarray, vector: np.ndarray, keep: float, rate: float) -> None:
        """Write ``keep * average + rate * vector`` to `average`."""
        arrays, factors = (average, vector), [keep, rate]
        if self._repeat("blend", arrays, factors):
            return
        kernel = loop_kernel("blend", average.dtype)
        if kernel is None:
            super().blend(average, vector, keep, rate)
        else:
            self._first("blend", arrays, kernel, [v[None] for v in arrays], factors)

    def gather(
        self, X: np.ndarray, rows: np.ndarray, out: np.ndarray, cast: np.ndarray
    ) -> np.ndarray:
        """Write ``X[rows]`` to `cast`, in one pass."""
        if self._repeat("gather", (X, cast), rows):
            return cast
        # Other dtypes would need kernels of their own.
        arguments = _of_gather(X[None], cast[None]) if X.dtype in FLOATS else None
        if arguments is None:
            return super().gather(X, rows, out, cast)
        kernel, table, part = arguments
        self._first("gather", (X, cast), kernel, [table], rows, part)
        return cast

    def gather_call(self, X: np.ndarray, out: np.ndarray) -> tuple[Call, Stream] | None:
        """Return the call that writes ``X[:, rows]`` to `out`, and the stream of the rows.

        Both arrays have three axes. Return None if there is no such kernel.
        """
        arguments = _of_gather(X, out)
        if arguments is None:
            return None
        kernel, table, part = arguments
        stream = Stream(np.int64, out.shape[-2])
        return kernel.bind(table, stream, part), stream

    def mean_and_gradient(self, loss: Any, y: Any, z: np.ndarray, weight: Any) -> tuple:
        """Return the mean loss and its gradient, in one pass for losses with a compiled loop."""
        shape, gradient = z.shape, self._constant("gradient", 0.0, z.shape, z.dtype)
        self._hold(shape[:-2])
        name, smoothing = None, 0.0
        if z.ndim in (2, 3) and z.flags.c_contiguous:
            name = loss.compiled_loop
            if name == "log_loss":
                exclusive = y.ndim == 1 and shape[-1] > 1
                name = "softmax_log_loss" if exclusive else "label_log_loss"
                watched = self._watched_smoothing(loss)
                smoothing, name = watched or 0.0, None if watched is None else name
        y = y.reshape(len(y), -1) if name == "label_log_loss" else y
        y = y[None] if name == "squared_error" and y.ndim == 2 else y
        kernel = name and loop_kernel(name, z.dtype, y.dtype)
        if not kernel:
            self.do(self._plain_loss, loss, y, z, weight, gradient)
            return self._value(), gradient
        if weight is None:
            weight = self._constant("weights", 1.0, (1, shape[-2]), z.dtype)
        factors = self._constants((smoothing, 1 / shape[-2]), z.dtype)
        zs, slopes = _as_stacks(z, gradient)
        arrays = [zs, y, np.atleast_2d(weight), factors, slopes, self._values]
        if name == "softmax_log_loss":
            sizes = {"transposed": shape[-1], "sums": 3}
            arrays += [
                self._constant(name, 0.0, (len(zs), n, shape[-2]), z.dtype)
                for name, n in sizes.items()
            ]
        self.call(kernel, *arrays)
        return self._value(), gradient

    def _watched_smoothing(self, loss: Any) -> float | None:
        """Return the label smoothing, or None if it has changed during the fit."""
        if loss not in self._losses:
            watch = Watch()
            watch.read(partial(getattr, loss, "label_smoothing"))
            self._losses[loss] = float(loss.label_smoothing)
            self._watched.append((self._losses, loss, watch))
        return self._losses[loss]

    def _plain_loss(
        self, loss: Any, y: Any, z: np.ndarray, weight: Any, gradient: np.ndarray
    ) -> None:
        self._values[...], gradient[...] = super().mean_and_gradient(loss, y, z, weight)


def _of_gather(X: np.ndarray, out: np.ndarray) -> tuple[Kernel, np.ndarray, np.ndarray] | None:
    """Return the kernel that gathers samples, and its arrays, or None if there is none."""
    if X.flags.c_contiguous:
        name, table, part = "gather", X, out
    # The array of a dataframe is stored by column.
    elif X.shape[0] == 1 and X[0].flags.f_contiguous:
        name, table, part = "gather_columns", X[0].T, out[0]
    else:
        return None
    kernel = loop_kernel(name, out.dtype, X.dtype)
    return None if kernel is None else (kernel, table, part)
