"""The backend of fused loops, compiled by Numba where it is installed.

The formula of a component is recorded by `tracing`, converted to the source of one loop over all
elements for one dtype, and compiled. The loop performs the operations of the formula in the same
order, so elementwise results equal those of NumPy. Only sums are computed in another order.
Formulas that cannot be written as a loop, or would not be faster, run in NumPy.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from sknn_adam._backends.codegen import activate_loop, chain_loop, update_loop
from sknn_adam._backends.compilation import compiled
from sknn_adam._backends.compilation import loop as compiled_loop
from sknn_adam._backends.numpy_backend import product
from sknn_adam._backends.recording import RecordingKernels
from sknn_adam._backends.threads import libraries
from sknn_adam._backends.tracing import record, record_apply, record_rule

__all__ = ["FusedKernels"]

NO_WEIGHT = {np.dtype(t): np.empty((0, 0), t) for t in (np.float32, np.float64)}

# OpenBLAS packs matrices into the memory order of its kernels before it multiplies. For AVX-512 it
# also has kernels that read matrices in place, and uses them for up to 100^3 multiplications.
READ_IN_PLACE = {"skylakex", "cooperlake", "sapphirerapids"}
SMALL_PRODUCT = 100**3
# Splitting into more blocks, or into blocks with fewer rows, is not faster.
MAX_BLOCKS, MIN_ROWS = 8, 15


def _as_stacks(z: np.ndarray, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return arrays with a leading members axis, which is added if `z` has none."""
    return (z, *arrays) if z.ndim == 3 else tuple(array[None] for array in (z, *arrays))


def _alike(*arrays: np.ndarray) -> bool:
    """Return whether the arrays share shape and dtype and are C-contiguous."""
    first = arrays[0]
    return all(
        v.flags.c_contiguous and v.dtype == first.dtype and v.shape == first.shape for v in arrays
    )


@cache
def _small_is_fast() -> bool:
    """Return whether BLAS multiplies small matrices without packing them."""
    blas = [info for info in libraries().info() if info["user_api"] == "blas"]
    names = {(info.get("architecture") or "").lower() for info in blas}
    return bool(names) and names <= READ_IN_PLACE


def _product_blocks(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Split the rows of `a` and `out` into blocks, or return None if that is not faster.

    Return views of `a`, `b` and `out` for `numpy.matmul`. All blocks are multiplied by the same
    `b`.
    """
    (n_rows, width), inner = out.shape[-2:], b.shape[-2]
    work = n_rows * inner * width
    # Products with a vector are not packed.
    if work <= SMALL_PRODUCT or min(inner, width) == 1:
        return None
    if not b.flags.c_contiguous or not _small_is_fast():
        return None
    fewest, most = -(-work // SMALL_PRODUCT), min(MAX_BLOCKS, n_rows // MIN_ROWS)
    n = next((n for n in range(fewest, most + 1) if n_rows % n == 0), None)
    if n is None:
        return None
    rows, result = (v.reshape(*v.shape[:-2], n, -1, v.shape[-1]) for v in (a, out))
    return rows, b[..., None, :, :], result


class FusedKernels(RecordingKernels):
    """The backend that runs formulas as fused loops where possible, else in NumPy.

    A recording merges the addition of a bias with the activation that follows it, and the chain
    rule with the column sums that follow it. Only replays use the merged calls, so a layer whose
    Python code runs can read every intermediate array.
    """

    name = "fused"

    def __init__(self) -> None:
        super().__init__()
        self._kernels: dict[Any, Any] = {}

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
        key = rule, theta.dtype
        if not self._is_known(self._kernels, key):
            n_slots, n_scalars, dtype = len(slots), len(scalars), theta.dtype

            def make() -> Any:
                return compiled(update_loop, record_rule(rule, n_slots, n_scalars, dtype), dtype)

            self._record_once(self._kernels, key, make, rule)
        kernel = self._kernels[key]
        if kernel is not None:
            try:
                kernel(theta, grad, *slots, np.array([*scalars, keep], theta.dtype))
                return
            # The kernel rejects read-only arrays and other types before it writes any element.
            except TypeError:
                pass
        super().update(rule, theta, grad, slots, scalars, keep)

    def product(self, a: Any, b: np.ndarray, out: np.ndarray) -> None:
        """Write the matrix product."""
        if type(a) is not np.ndarray:
            self.do(product, a, b, out)
        elif blocks := _product_blocks(a, b, out):
            self.do(np.matmul, *blocks)
        elif out.ndim == 2:
            self.do(np.dot, a, b, out)
        # NumPy has no fast product for a stack of columns.
        elif a.shape[-1] == 1:
            loop = compiled_loop("outer", out.dtype)
            if loop is None or not (a.flags.c_contiguous and b.flags.c_contiguous):
                self.do(product, a, b, out)
            else:
                self.do(loop, a if a.ndim == 3 else a[None], b, out)
        else:
            self.do(np.matmul, a, b, out)

    def add_bias(self, z: np.ndarray, b: np.ndarray) -> None:
        """Add `b` to every sample of `z`, in place."""
        loop = compiled_loop("add_bias", z.dtype)
        if loop is None:
            self.do(super().add_bias, z, b)
        else:
            self.do(loop, *_as_stacks(z, b))
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
                return compiled(activate_loop, formula, z.dtype, in_place)

            functions = activation.apply, activation.__call__
            self._record_once(self._kernels, key, make, *functions)
        kernel = self._kernels[key]
        if kernel is None or not _alike(z, out):
            self.do(super().activate, activation, z, b, out)
            return
        arrays, tape = () if in_place else (out,), None
        if b is None:
            # Adding -0.0 leaves z unchanged, bit for bit.
            tape, b = self._merges("bias", z), self._per_unit("zero bias", -0.0, z)
        if tape is None:
            self.do(kernel, *_as_stacks(z, b, *arrays))
        else:
            kernel(*_as_stacks(z, b, *arrays))
            tape.merge(kernel, *_as_stacks(z, tape.merges[2], *arrays))

    def _per_unit(self, name: str, value: float, like: np.ndarray) -> np.ndarray:
        """Return an array with one element per member and unit, reused in every step."""
        shape = *like.shape[:-2], like.shape[-1]
        key = name, shape, like.dtype
        if key not in self._buffers:
            self._buffers[key] = [np.full(shape, value, like.dtype)]
        return self._buffers[key][0]

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
                return compiled(chain_loop, formula, g.dtype, z is not None)

            self._record_once(self._kernels, key, make, derivative)
        kernel = self._kernels[key]
        arrays = (g, a) if z is None else (g, z, a)
        if kernel is None or not _alike(*arrays):
            self.do(super().chain, derivative, g, z, a, sums)
            return
        self.do(
            kernel, *_as_stacks(*arrays, self._per_unit("sums", 0.0, g) if sums is None else sums)
        )
        if sums is None and self._recording is not None:
            self._recording.merges = "chain", g, (kernel, arrays)

    def column_sums(self, g: np.ndarray, out: np.ndarray) -> None:
        """Write the sums of `g` over the samples to `out`."""
        loop = compiled_loop("column_sums", g.dtype) if g.flags.c_contiguous else None
        if loop is None:
            self.do(super().column_sums, g, out)
            return
        stacks = _as_stacks(g, out)
        if tape := self._merges("chain", g):
            loop(*stacks)
            kernel, arrays = tape.merges[2]
            tape.merge(kernel, *_as_stacks(*arrays, out))
        else:
            self.do(loop, *stacks)

    def penalize(
        self, value: Any, theta: np.ndarray, bounds: Any, grad: np.ndarray, l2: float, l1: float
    ) -> Any:
        """Return the value plus the penalty, and add its gradient, in one pass."""
        self._hold(np.shape(value))
        self._values[...] = value
        loop = compiled_loop("penalize", theta.dtype)
        if loop is None:
            self.do(self._plain_penalty, theta, bounds, grad, l2, l1)
        else:
            bounds = np.array([0, theta.size], np.intp) if bounds is None else bounds
            factors = np.array([l2, l1], theta.dtype)
            self.do(loop, theta, bounds, factors, grad, self._values)
        return self._value()

    def _plain_penalty(self, *arguments: Any) -> None:
        self._values[...] = super().penalize(self._value(), *arguments)

    def blend(self, average: np.ndarray, vector: np.ndarray, keep: float, rate: float) -> None:
        """Write ``keep * average + rate * vector`` to `average`."""
        loop = compiled_loop("blend", average.dtype)
        if loop is None:
            super().blend(average, vector, keep, rate)
        else:
            loop(average, vector, np.array([keep, rate], average.dtype))

    def gather(
        self, X: np.ndarray, rows: np.ndarray, out: np.ndarray, cast: np.ndarray
    ) -> np.ndarray:
        """Write ``X[rows]`` to `cast`, in one pass."""
        # The array of a dataframe is stored by column.
        by_row, by_column = X.flags.c_contiguous, X.flags.f_contiguous
        plain = X.dtype in NO_WEIGHT and X.ndim == 2 and (by_row or by_column)
        name = "gather" if by_row else "gather_columns"
        loop = compiled_loop(name, cast.dtype, X.dtype) if plain else None
        if loop is None:
            return super().gather(X, rows, out, cast)
        loop(X if by_row else X.T, rows, cast)
        return cast

    def mean_and_gradient(self, loss: Any, y: Any, z: np.ndarray, weight: Any) -> tuple:
        """Return the mean loss and its gradient, in one pass for losses with a compiled loop."""
        shape, softmax = z.shape, y.ndim == 1 and z.shape[-1] > 1
        gradient = np.empty(shape, z.dtype)
        self._hold(shape[:-2])
        name, smoothing = None, 0.0
        if z.ndim in (2, 3) and z.flags.c_contiguous:
            name = loss.compiled_loop
            if name == "log_loss":
                name = "softmax_shift" if softmax else "label_log_loss"
                smoothing = loss.label_smoothing
        loop = name and compiled_loop(name, z.dtype)
        if not loop:
            self.do(self._plain_loss, loss, y, z, weight, gradient)
            return self._value(), gradient
        if name == "label_log_loss":
            y, labels = np.empty(shape[-2:], z.dtype), y.reshape(len(y), -1)
            self.do(np.copyto, y, labels)
        if name == "squared_error" and y.ndim == 2:
            y = y[None]
        weight = NO_WEIGHT[z.dtype] if weight is None else np.atleast_2d(weight)
        factors = np.array([smoothing, 1 / shape[-2]], z.dtype)
        (zs, slopes), values = _as_stacks(z, gradient), self._values
        self.do(loop, zs, y, weight, factors, slopes, values)
        if name == "softmax_shift":
            self.do(np.exp, gradient, gradient)
            last = compiled_loop("softmax_log_loss", z.dtype)
            self.do(last, slopes, y, weight, factors, values)
        return self._value(), gradient

    def _plain_loss(
        self, loss: Any, y: Any, z: np.ndarray, weight: Any, gradient: np.ndarray
    ) -> None:
        self._values[...], gradient[...] = super().mean_and_gradient(loss, y, z, weight)
