"""The loop that plays programs, and the kernel of matrix products.

They are compiled once for all networks and release the GIL, so several threads can train at the
same time. A call is a row of a table: the addresses of a kernel and of its block of arguments. This
module imports Numba, so it is imported only when it is compiled.
"""

from typing import Any

from numba import carray, types
from numpy import ndarray

from sknn_adam._backends import intrinsics

__all__ = ["multiply_matrices", "play"]

WORD = types.int64
# For a type checker, an intrinsic has one more argument, the typing context.
call: Any = intrinsics.call
gemm: Any = intrinsics.gemm
pointer: Any = intrinsics.pointer


def play(
    table: ndarray,
    segments: ndarray,
    strides: ndarray,
    slots: ndarray,
    outputs: ndarray,
    limit: float,
    results: ndarray,
) -> int:
    """Do training steps and return how many of them are complete.

    Parameters
    ----------
    table : ndarray of shape (n_calls, 2)
        The calls of all kinds of steps.
    segments : ndarray of shape (n_segments, 4)
        For a number of equal steps, the first call, the call before which the loss is known, the
        end of the calls, and the number of steps.
    strides : ndarray of shape (n_segments, n_streams)
        How many bytes of each stream a step reads.
    slots : ndarray of shape (n_streams,)
        The addresses of the slots of the streams.
    outputs : ndarray of shape (3, n_members)
        The losses of a step, and the norms of the gradients before and after clipping.
    limit : float
        A step with a larger loss ends after its loss has been computed; 0 for no limit.
    results : ndarray of shape (n_steps, 3, n_members)
        Receives the outputs of all steps.
    """
    done = 0
    for s in range(segments.shape[0]):
        first, known, end, n_steps = segments[s]
        for _ in range(n_steps):
            for i in range(first, known):
                call(table[i, 0], table[i, 1])
            for k in range(outputs.shape[0]):
                for m in range(outputs.shape[1]):
                    results[done, k, m] = outputs[k, m]
            if limit > 0 and not abs(outputs[0, 0]) < limit:
                return done
            for i in range(known, end):
                call(table[i, 0], table[i, 1])
            for j in range(slots.size):
                slot = carray(pointer(slots[j], WORD), 1)
                slot[0] += strides[s, j]
            done += 1
    return done


def multiply_matrices(address: int) -> None:
    """Multiply matrices of several members in several blocks of rows; see `Product.bind`.

    BLAS stores matrices by column, so it gets the factors in reverse order, and computes the
    transposed product.
    """
    block = carray(pointer(address, WORD), 21)
    for m in range(block[11]):
        for i in range(block[12]):
            gemm(
                block[0],
                block[1],
                block[2],
                address + 24,
                address + 32,
                address + 40,
                block[9],
                block[16] + m * block[17],
                address + 56,
                block[13] + m * block[14] + i * block[15],
                address + 48,
                block[10],
                block[18] + m * block[19] + i * block[20],
                address + 64,
            )
