"""What a driver's code around an access to user memory looks like."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ..kernel.exceptions import Walk, listed
from ..machine.disassemble import decides
from ..machine.unwind import EXCEPTION_HANDLER

if TYPE_CHECKING:
    from ..kernel.execution import Context
    from ..kernel.kernel import Kernel
    from ..kernel.user_access import UserAccess

#: Two instructions that are further apart are no one copy, bytes.
_FAR: Final = 1024
_SCOPE: Final = struct.Struct("<4I")
#: More scopes than that are no scope table of __C_specific_handler.
_SCOPES: Final = 1024
_RIP: Final = 16


def one_copy(k: Kernel, one: int, other: int) -> bool:
    """Whether two instructions of a routine may be parts of the copy of one value.

    Compilers copy a structure by loads that overlap, but never decide anything in between: from
    one load to the other the code goes straight.
    """
    low, high = min(one, other), max(one, other)
    if high - low > _FAR:
        return False
    code = k.memory.try_read(low, high - low)
    return code is not None and not decides(code, low)


def guarded(k: Kernel, access: UserAccess, context: Context) -> bool:
    """Whether an ``__except`` of the driver's may be around an access."""
    registers = listed(context.all_registers())
    if access.export:
        registers[_RIP] = access.code
        registers[4] += 8
    walk = Walk(k, k.flow, registers, [])
    exact = not access.export
    while walk.arrive():
        rip = registers[_RIP] - (not exact)
        exact = False
        frame = walk.step(EXCEPTION_HANDLER)
        if frame is None:
            return False
        module = walk.module
        if frame.handler and module is not None:
            rva = rip - module.base
            raw = module.image[frame.data : frame.data + 4]
            count = int.from_bytes(raw, "little")
            if count > _SCOPES:
                return True  # another language's: who knows
            for n in range(count):
                at = frame.data + 4 + _SCOPE.size * n
                if len(module.image) < at + _SCOPE.size:
                    return True
                begin, end, _filter, target = _SCOPE.unpack_from(module.image, at)
                if begin <= rva < end and target:
                    return True
    return False
