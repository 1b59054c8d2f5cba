"""Asking the processor's cache, from code that numba compiles, for memory that will be read soon."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_LINE_BYTES = 64
"""Of a cache line; on processors with longer ones some lines are asked for twice."""


def _ask(_typing: Any, flat: Any, place: Any) -> Any:
    """Compile to LLVM's prefetch of flat[place], to read it soon, into the nearest cache."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        to_read, nearest, data_cache = number(0), number(3), number(1)
        builder.call(function, [address, to_read, nearest, data_cache])

    return types.void(flat, types.int64), generate


_ask_for: Any = intrinsic(_ask)


@njit
def prefetch(flat: Any, start: int, count: int) -> None:
    """Ask for the lines of flat[start : start + count]; asking for what does not exist is no fault."""
    for place in range(start, start + count, _LINE_BYTES // flat.itemsize):
        _ask_for(flat, place)
