"""The interface of all backends, and the default backend, which runs formulas in NumPy.

Components define pure formulas of scalars or arrays. `Backend` runs them on blocks that stay in the
processor's cache, so that the temporaries of a long formula are not written to main memory. It also
does all other array operations of a training step. A backend that runs the same formulas in another
way (`numba_backend`) is a subclass.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from sknn_adam._backends.dependencies import Watch, dependencies_of, identity_of
from sknn_adam._backends.draws import drop_in_numpy
from sknn_adam._backends.tracing import Program, trace
from sknn_adam._backends.vectors import BLOCK, add_scaled, cache_blocks, norm, product
from sknn_adam._component.layout import Layout
from sknn_adam._utils.validation import check_shape, in_place

__all__ = ["NUMPY", "Backend", "NumpyKernels"]


class Backend:
    """The interface of all backends, which by default runs formulas in NumPy, block by block.

    An instance of this class has no state, so networks and threads may share it.
    """

    __slots__: Any = ()
    name = "numpy"
    # Whether recorded steps can be played by compiled code, and how often recordings were dropped.
    plays = False
    generation = 0

    def _program(
        self, rule: Callable, n_slots: int, n_scalars: int, dtype: np.dtype
    ) -> Program | None:
        """Return the recorded program of an optimizer's rule, or None to call the rule itself."""
        return None

    def _provide(self, n_buffers: int, like: np.ndarray) -> list[np.ndarray]:
        """Return `n_buffers` buffers of the size of a block."""
        return [np.empty(min(BLOCK, like.size), like.dtype) for _ in range(n_buffers)]

    def _ones(self, n: int, dtype: np.dtype) -> np.ndarray:
        """Return a vector of ones."""
        return np.ones(n, dtype)

    def forget(self) -> None:
        """Drop all recordings."""

    def begin(
        self,
        batch: tuple,
        grad: np.ndarray,
        statistics: np.ndarray,
        layers: tuple[type, ...],
        replay: bool = True,
    ) -> Any:
        """Return the objective on a batch if it can be replayed, else None.

        A backend may record the calls of its methods between `begin` and `end`, and replay them
        when a later batch is in the same arrays. The first replay with layers of these classes is
        checked: `statistics` are restored, and None is returned, so that the objective is also
        computed without the recording. Unless value, gradient and statistics agree bit for bit, the
        backend stops replaying. With ``replay=False``, the calls may only be recorded.
        """
        return None

    def end(self, value: Any) -> None:
        """Finish the computation of an objective with the given value."""

    def do(self, function: Callable, *arguments: Any) -> None:
        """Call a function on arrays that every step reuses, so that the call may be recorded."""
        function(*arguments)

    def update(
        self,
        rule: Callable,
        theta: np.ndarray,
        grad: np.ndarray,
        slots: Sequence[np.ndarray],
        scalars: Sequence[float],
        keep: float = 1.0,
    ) -> None:
        """Apply an optimizer's rule to theta and the slots, in place.

        That is ``update, *slots = rule(grad, *slots, *scalars)``, then
        ``theta = keep * theta - update``.
        """
        if any(vector.size != theta.size for vector in (grad, *slots)):
            raise ValueError("The gradient and all slots must be as long as theta.")
        program = self._program(rule, len(slots), len(scalars), theta.dtype)
        if program is None:
            for block in cache_blocks(theta.size):
                arrays = [grad[block], *[slot[block] for slot in slots]]
                result = rule(*arrays, *scalars)
                is_tuple = isinstance(result, tuple)
                if not is_tuple or len(result) != len(arrays):
                    got = f"a tuple of {len(result)}" if is_tuple else type(result).__name__
                    raise TypeError(
                        f"A rule with {len(slots)} slots must return a tuple (update, *slots) of "
                        f"{len(arrays)} arrays. Got {got}. See docs/add_an_optimizer.md."
                    )
                # A rule may return an old slot as the new value of another slot. Copy it before it
                # is overwritten.
                update, *new = [v.copy() if any(v is a for a in arrays) else v for v in result]
                for value in result:
                    if np.shape(value):
                        check_shape(rule, "The result of the rule", value, grad[block].shape)
                if keep != 1:
                    theta[block] *= keep
                theta[block] -= update
                for slot, value in zip(slots, new, strict=True):
                    slot[block] = value
            return
        buffers = self._provide(program.n_buffers, theta)
        # Zero-dimensional arrays with the dtype of theta are the fastest operands.
        typed = [np.array(s, theta.dtype) for s in scalars]
        if theta.size <= BLOCK:
            if keep != 1:
                theta *= keep
            theta -= program.run([grad, *slots], typed, buffers)
            return
        for block in cache_blocks(theta.size):
            weights = theta[block]
            if keep != 1:
                weights *= keep
            cut = buffers if weights.size == BLOCK else [b[: weights.size] for b in buffers]
            weights -= program.run([grad[block], *[slot[block] for slot in slots]], typed, cut)

    def add_bias(self, z: np.ndarray, b: np.ndarray) -> None:
        """Add `b` (..., width) to every sample of `z` (..., n_rows, width), in place."""
        z += b if b.ndim == 1 else b[:, None, :]

    def activate(
        self, activation: Any, z: np.ndarray, b: np.ndarray | None, out: np.ndarray
    ) -> None:
        """Write ``activation(z + b)`` to `out`, and ``z + b`` to `z` unless it is `out`.

        `z` and `out` have shape (..., n_rows, width); `b` has shape (..., width), or is None.
        """
        if b is not None:
            self.add_bias(z, b)
        if z.size <= BLOCK or activation.one_pass:
            activation.apply(z, out)
            return
        for z_block, out_block in _row_blocks(z, out):
            activation.apply(z_block, out_block)

    def chain(
        self,
        derivative: Callable,
        g: np.ndarray,
        z: np.ndarray | None,
        a: np.ndarray,
        sums: np.ndarray | None = None,
    ) -> None:
        """Multiply `g` in place by ``derivative(z, a)``; all have shape (..., n_rows, width).

        If `sums` (..., width) is given, the sums of the product over the samples are written to it.
        """
        if g.size <= BLOCK:
            _times_derivative(derivative, g, z, a)
        elif z is None:
            for g_block, a_block in _row_blocks(g, a):
                _times_derivative(derivative, g_block, None, a_block)
        else:
            for g_block, z_block, a_block in _row_blocks(g, z, a):
                _times_derivative(derivative, g_block, z_block, a_block)
        if sums is not None:
            self.column_sums(g, sums)

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
        """Drop random units of `x` (..., n_rows, width).

        `draws` is the array (key, key, step) of the random draws, which may change between steps,
        and `layer` is the position of the layer. The factor of each unit is written to `kept`, and
        ``(x + offset) * factor + shift`` to `y`. The factor is 0 for dropped units, else `scale`.
        `factors` is (scale, offset, shift).
        """
        self.do(drop_in_numpy, x, draws, layer, rate, factors, y, kept)

    def run_loop(self, loop: str, function: Callable, *arrays: Any) -> None:
        """Call a function of a layer, or the loop with this name that does the same."""
        self.do(function, *arrays)

    def multiply(self, g: np.ndarray, factors: np.ndarray) -> None:
        """Multiply `g` by the factors, in place."""
        self.do(np.multiply, g, factors, g)

    def column_sums(self, g: np.ndarray, out: np.ndarray) -> None:
        """Write the sums of `g` (..., n_rows, width) over the samples to `out` (..., width)."""
        # A BLAS product with ones is several times faster than numpy.sum.
        (np.dot if g.ndim == 2 else np.matmul)(self._ones(g.shape[-2], g.dtype), g, out=out)

    def penalize(
        self, value: Any, theta: np.ndarray, bounds: Any, grad: np.ndarray, l2: float, l1: float
    ) -> Any:
        """Return `value` + ``l2 / 2 |theta|^2 + l1 |theta|_1``; add the gradient to `grad`.

        `bounds` are the limits of blocks of theta. With them, `value` has one entry per member, and
        the penalty of block i is added to entry ``i % len(value)``.
        """
        if bounds is None:
            return value + self._penalize(theta, grad, l2, l1)
        blocks = [slice(*pair) for pair in pairwise(bounds.tolist())]
        penalties = [self._penalize(theta[block], grad[block], l2, l1) for block in blocks]
        return value + np.reshape(penalties, (-1, len(value))).sum(axis=0)

    def _penalize(self, theta: np.ndarray, grad: np.ndarray, l2: float, l1: float) -> float:
        value = 0.0
        if l2:
            value += l2 / 2 * float(np.dot(theta, theta))
            add_scaled(theta, l2, out=grad)
        if l1:
            buffer = self._provide(1, theta)[0]
            # The slope is l1 sign(theta), but linear for |theta| < 1e-20.
            for block in cache_blocks(theta.size):
                w = theta[block]
                slope = np.multiply(w, l1 * 1e20, out=buffer[: w.size])
                np.minimum(slope, l1, out=slope)
                np.maximum(slope, -l1, out=slope)
                value += float(np.dot(w, slope))
                grad[block] += slope
        return value

    def clip(self, clip: Any, grad: np.ndarray, layout: Layout) -> tuple[float, float]:
        """Clip the gradient in place; return its norm before and after."""
        before = norm(grad)
        in_place(clip.__call__, grad, layout)
        return before, norm(grad)

    def blend(self, average: np.ndarray, vector: np.ndarray, keep: float, rate: float) -> None:
        """Write ``keep * average + rate * vector`` to `average`, both flat."""
        average *= keep
        add_scaled(vector, rate, out=average)

    def gather(
        self, X: np.ndarray, rows: np.ndarray, out: np.ndarray, cast: np.ndarray
    ) -> np.ndarray:
        """Write ``X[rows]`` to `cast` and return it; `out` is a buffer with the dtype of X."""
        # numpy.take would copy all of X.
        if not X.flags.c_contiguous:
            cast[...] = X[rows]
            return cast
        # The row indices come from a permutation, so mode="clip" only skips the bounds check.
        X.take(rows, axis=0, out=out, mode="clip")
        if out is not cast:
            np.copyto(cast, out)
        return cast

    def product(self, a: Any, b: np.ndarray, out: np.ndarray) -> None:
        """Write the matrix product ``a @ b`` to `out`; see the function `product`."""
        product(a, b, out)

    def mean_and_gradient(self, loss: Any, y: Any, z: np.ndarray, weight: Any) -> tuple:
        """Return the weighted mean loss over the samples, and its gradient with respect to `z`."""
        return loss.mean_and_gradient(y, z, weight)


def _times_derivative(derivative: Callable, g: np.ndarray, z: Any, a: np.ndarray) -> None:
    slope = derivative(z, a)
    # A scalar derivative applies to all elements.
    if np.ndim(slope):
        check_shape(derivative, "The derivative", slope, g.shape)
    g *= slope


def _row_blocks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield corresponding blocks of arrays of one shape, split along the samples (axis -2)."""
    n_rows = arrays[0].shape[-2]
    for block in cache_blocks(n_rows, arrays[0].size // n_rows):
        yield tuple(a[..., block, :] for a in arrays)


NUMPY = Backend()
_pure: dict[tuple, Any] = {}


class NumpyKernels(Backend):
    """The NumPy backend of one training run, with recorded rules and reused buffers."""

    # Whether products are so large that BLAS should use several threads.
    threaded = False

    def __init__(self) -> None:
        self._programs: dict[Any, Program | None] = {}
        self._watched: list[tuple[dict, Any, Watch]] = []
        self._buffers: dict[Any, list[np.ndarray]] = {}

    def __reduce__(self) -> Any:
        return type(self), ()

    def _is_known(self, store: dict, key: Any) -> bool:
        """Return whether a formula has been recorded, after dropping outdated formulas."""
        if self._watched:
            self._drop_changed()
        return key in store

    def _record_once(self, store: dict, key: Any, make: Callable[[], Any], *functions: Any) -> None:
        """Store the result of `make`, or None if the functions read unwatchable values."""
        # The formulas of this package that read nothing but their arguments are recorded once per
        # process. The code of `make` stands for the kind of recording.
        identities = [identity_of(function) for function in functions]
        everywhere = (make.__code__, *identities, *key[1:])
        if everywhere in _pure:
            store[key] = _pure[everywhere]
            return
        watch = dependencies_of(*functions)
        store[key] = None if watch is None else make()
        if watch is not None and not watch.values and None not in identities:
            _pure[everywhere] = store[key]
        if store[key] is not None and watch is not None and watch.values:
            self._watched.append((store, key, watch))

    def _drop_changed(self) -> bool:
        """Permanently drop formulas whose dependencies changed; return whether there were any."""
        changed = [entry for entry in self._watched if entry[2].changed()]
        if not changed:
            return False
        self.forget()
        for entry in changed:
            store, key, _ = entry
            store[key] = None
            self._watched.remove(entry)
        return True

    def _program(
        self, rule: Callable, n_slots: int, n_scalars: int, dtype: np.dtype
    ) -> Program | None:
        # A rule may derive constants, such as epsilon, from the dtype.
        key = rule, dtype
        if not self._is_known(self._programs, key):
            self._record_once(
                self._programs, key, lambda: trace(rule, n_slots, n_scalars, dtype), rule
            )
        return self._programs[key]

    def _provide(self, n_buffers: int, like: np.ndarray) -> list[np.ndarray]:
        size = min(BLOCK, like.size)
        buffers = self._buffers.setdefault((size, like.dtype), [])
        while len(buffers) < n_buffers:
            buffers.append(np.empty(size, like.dtype))
        return buffers

    def _ones(self, n: int, dtype: np.dtype) -> np.ndarray:
        key = "ones", n, dtype
        if key not in self._buffers:
            self._buffers[key] = [np.ones(n, dtype)]
        return self._buffers[key][0]
