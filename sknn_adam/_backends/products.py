"""Matrix products that compiled code computes by calling the BLAS of SciPy."""

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from sknn_adam._backends.kernels import Call, address_of
from sknn_adam._backends.threads import libraries

__all__ = ["Product", "gemm_address"]

# Pointers to floating-point numbers carry the name of a type of SciPy.
INTEGERS = dict.fromkeys((0, 1), "char *") | dict.fromkeys((2, 3, 4, 7, 9, 12), "int *")

# OpenBLAS packs matrices into the memory order of its kernels before it multiplies. For AVX-512 it
# also has kernels that read matrices in place, and uses them for up to 100^3 multiplications.
READ_IN_PLACE = {"skylakex", "cooperlake", "sapphirerapids"}
SMALL_PRODUCT = 100**3
# Splitting into more blocks, or into blocks with fewer rows, is not faster.
MAX_BLOCKS, MIN_ROWS = 8, 15

FACTORS = {np.dtype(t): np.array([1, 0], t) for t in (np.float32, np.float64)}
LETTERS = np.frombuffer(b"NT", np.uint8)


@cache
def gemm_address(dtype: np.dtype) -> int | None:
    """Return the address of ``sgemm`` or ``dgemm``, or None if its arguments are not as expected.

    The sizes are 32-bit integers. Compiled code passes the addresses of 64-bit integers, whose
    lower half comes first on a little-endian processor.
    """
    if sys.byteorder != "little":
        return None
    try:
        from scipy.linalg import cython_blas

        capsule = cython_blas.__pyx_capi__[{"f": "sgemm", "d": "dgemm"}[dtype.char]]
    except (ImportError, AttributeError, KeyError):
        return None
    name: Any = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address: Any = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature = name(capsule)
    types = signature.decode().removeprefix("void (").removesuffix(")").split(", ")
    known = len(types) == 13 and all(types[i] == text for i, text in INTEGERS.items())
    return address(capsule, signature) if known else None


@cache
def _small_is_fast() -> bool:
    """Return whether BLAS multiplies small matrices without packing them."""
    blas = [info for info in libraries().info() if info["user_api"] == "blas"]
    names = {(info.get("architecture") or "").lower() for info in blas}
    return bool(names) and names <= READ_IN_PLACE


def n_blocks(a: np.ndarray, b: np.ndarray) -> int:
    """Return the number of blocks of rows of `a` in which the product is computed fastest."""
    (n_rows, inner), width = a.shape[-2:], b.shape[-1]
    work = n_rows * inner * width
    # Products with a vector are not packed.
    if work <= SMALL_PRODUCT or min(inner, width) == 1:
        return 1
    if not b.flags.c_contiguous or not _small_is_fast():
        return 1
    fewest, most = -(-work // SMALL_PRODUCT), min(MAX_BLOCKS, n_rows // MIN_ROWS)
    return next((n for n in range(fewest, most + 1) if n_rows % n == 0), 1)


def _order(matrix: np.ndarray) -> tuple[int, int] | None:
    """Return whether a matrix is transposed in memory, and the distance of its rows or columns.

    Return None if BLAS cannot read it.
    """
    n_rows, n_columns = matrix.shape[-2:]
    for transposed, (long, short), size in (
        (0, (-2, -1), n_columns),
        (1, (-1, -2), n_rows),
    ):
        if size == 1 or matrix.strides[short] == matrix.itemsize:
            distance = matrix.strides[long] // matrix.itemsize
            if matrix.shape[long] == 1:
                distance = size
            if distance >= size and matrix.strides[long] % matrix.itemsize == 0:
                return transposed, distance
    return None


class Product:
    """The kernel of matrix products.

    Parameters
    ----------
    address : int
        The address of the compiled `player.multiply_matrices`.
    compiled : object
        The owner of the machine code, which must not be deleted.
    """

    name = "product"

    def __init__(self, address: int, compiled: Any):
        self.address, self.compiled = address, compiled

    def bind(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Call | None:
        """Return the call that writes ``a @ b`` to `out`, or None if BLAS cannot compute it."""
        orders = [_order(matrix) for matrix in (a, b, out)]
        if None in orders or orders[2][0] or not a.dtype == b.dtype == out.dtype:  # type: ignore
            return None
        function = gemm_address(out.dtype)
        if function is None or out.dtype not in FACTORS:
            return None
        (of_a, lda), (of_b, ldb), (_, ldc) = orders  # type: ignore[misc]
        n_rows, width = out.shape[-2:]
        n_members = out.shape[0] if out.ndim == 3 else 1
        n, factors, letters = n_blocks(a, b), address_of(FACTORS[out.dtype]), address_of(LETTERS)
        size, inner = n_rows // n, a.shape[-1]
        expected = (*out.shape[:-2], n_rows, inner), (*out.shape[:-2], inner, width)
        for matrix, shape in zip((a, b), expected, strict=True):
            if matrix.shape not in (shape, shape[-2:]):
                raise ValueError(f"Products need matching shapes. Got {a.shape} and {b.shape}.")
        block = [function, letters + of_b, letters + of_a, width, size, inner, lda, ldb, ldc]
        block += [factors, factors + out.itemsize, n_members, n]
        block += [address_of(a), a.strides[0] if a.ndim == 3 else 0, size * a.strides[-2]]
        block += [address_of(b), b.strides[0] if b.ndim == 3 else 0]
        block += [address_of(out), out.strides[0] if out.ndim == 3 else 0, size * out.strides[-2]]
        return Call(self, (a, b, out), np.array(block, np.int64))

    def rebind(self, values: Sequence[Any]) -> Call:
        """Return a call with other arrays of the same kind."""
        call = self.bind(*values)
        assert call is not None
        return call

    def of_members(self, values: Sequence[Any]) -> list[bool]:
        """Return, for each argument of a call, whether its first axis is that of the members."""
        return [value.ndim == 3 for value in values]
