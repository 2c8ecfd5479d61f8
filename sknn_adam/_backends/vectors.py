"""Operations on flat vectors and matrices in NumPy, without temporary arrays of full size."""

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["BLOCK", "add_scaled", "cache_blocks", "flush_denormals", "norm", "product"]

# Number of elements of a block. A handful of float64 buffers of this size fit into a 2 MB cache.
BLOCK = 32768


def cache_blocks(n_rows: int, row_size: int = 1) -> Iterator[slice]:
    rows = max(1, BLOCK // max(1, row_size))
    for start in range(0, n_rows, rows):
        yield slice(start, start + rows)


def add_scaled(vector: np.ndarray, factor: float, out: np.ndarray) -> None:
    """Add ``factor * vector`` to `out` in place, both flat, without a temporary of full size.

    SciPy's BLAS is not used, because its threads would compete with those of NumPy's BLAS.
    """
    if vector.size <= BLOCK:
        out += factor * vector
        return
    for block in cache_blocks(vector.size):
        out[block] += factor * vector[block]


def flush_denormals(vector: np.ndarray) -> None:
    """Set subnormal numbers to zero, in place.

    When gradients become zero, their moving averages decay to subnormal numbers and, because of
    rounding, stay there forever. Arithmetic on subnormal numbers is many times slower.
    """
    tiny = np.finfo(vector.dtype).tiny
    for block in cache_blocks(vector.size):
        values = vector[block]
        values[np.abs(values) < tiny] = 0


def norm(vector: np.ndarray) -> float:
    """Return the Euclidean norm, even if the squares overflow or underflow."""
    if vector.size == 0:
        return 0.0
    with np.errstate(over="ignore"):
        total = float(np.dot(vector, vector))
    if 0.0 < total < np.inf:
        return total**0.5
    peak = float(np.max(np.abs(vector), initial=0.0))
    if not 0.0 < peak < np.inf:
        return peak
    return peak * float(np.linalg.norm((vector / peak).astype(np.float64)))


def product(a: Any, b: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Write the matrix product ``a @ b`` directly to `out`; `a` may be sparse.

    Leading axes (members) are broadcast. A sparse `a` (n, m) is never converted to a dense array.
    """
    if not isinstance(a, np.ndarray):
        if b.ndim == 2:
            out[...] = a @ b
        else:
            for matrix, result in zip(b, out, strict=True):
                result[...] = a @ matrix
    elif a.ndim == b.ndim == 2:
        np.dot(a, b, out=out)
    # NumPy has no fast product for stacks of columns.
    elif a.shape[-1] == 1:
        for m in range(len(out)):
            np.dot(a if a.ndim == 2 else a[m], b if b.ndim == 2 else b[m], out=out[m])
    else:
        np.matmul(a, b, out=out)
    return out
