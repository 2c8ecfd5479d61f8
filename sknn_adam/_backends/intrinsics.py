"""Operations on addresses that compiled kernels need and Numba does not have.

This module imports Numba, so it is imported only when a loop is compiled.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["call", "gemm", "pointer"]

WORD = ir.IntType(64)


@intrinsic
def call(typingctx: Any, address: Any, block: Any) -> Any:
    """Call the kernel at an address with the address of its block of arguments."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        function = ir.FunctionType(ir.VoidType(), [WORD])
        builder.call(builder.inttoptr(values[0], function.as_pointer()), [values[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def pointer(typingctx: Any, address: Any, dtype: Any) -> Any:
    """Return an address as a pointer to numbers of a dtype."""
    kind = types.CPointer(dtype.dtype)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(kind))

    return kind(types.int64, dtype), generate


@intrinsic
def gemm(
    typingctx: Any,
    function: Any,
    trans_a: Any,
    trans_b: Any,
    m: Any,
    n: Any,
    k: Any,
    alpha: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    beta: Any,
    c: Any,
    ldc: Any,
) -> Any:
    """Call the BLAS function ``?gemm``; all arguments are addresses, as in Fortran."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address = WORD.as_pointer()
        gemm = ir.FunctionType(ir.VoidType(), [address] * 13)
        arguments = [builder.inttoptr(value, address) for value in values[1:]]
        builder.call(builder.inttoptr(values[0], gemm.as_pointer()), arguments)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 14), generate
