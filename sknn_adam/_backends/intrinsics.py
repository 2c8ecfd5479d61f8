"""Operations on addresses and on the control register, which Numba does not have.

This module imports Numba, so it is imported only when a loop is compiled.
"""

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["call", "flush_subnormals", "gemm", "pointer", "restore_control"]

WORD = ir.IntType(64)
CONTROL = ir.IntType(32)
# Functions that the source of a kernel can call.
OF_KERNELS = ("flush_subnormals", "pointer", "restore_control")
ON_X86 = platform.machine().lower() in ("x86_64", "amd64")
# Bit of the control register MXCSR.
FLUSH_TO_ZERO = 1 << 15


def _access_control(builder: Any, name: str, slot: Any) -> None:
    """Load or store the register MXCSR of the calling thread."""
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(slot, ir.IntType(8).as_pointer())])


@intrinsic
def flush_subnormals(typingctx: Any) -> Any:
    """Set subnormal results to zero from now on, and return the previous state.

    Arithmetic on subnormal numbers is many times slower. Other processors than x86 are left as they
    are.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        slot = cgutils.alloca_once_value(builder, CONTROL(0))
        if ON_X86:
            _access_control(builder, "stmxcsr", slot)
            before = builder.load(slot)
            builder.store(builder.or_(before, CONTROL(FLUSH_TO_ZERO)), slot)
            _access_control(builder, "ldmxcsr", slot)
            return before
        return builder.load(slot)

    return types.int32(), generate


@intrinsic
def restore_control(typingctx: Any, state: Any) -> Any:
    """Restore the state that `flush_subnormals` returned."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if ON_X86:
            _access_control(builder, "ldmxcsr", cgutils.alloca_once_value(builder, values[0]))
        return context.get_dummy_value()

    return types.void(types.int32), generate


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
