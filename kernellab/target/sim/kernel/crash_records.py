"""The exception and context records whose addresses are a bug check's parameters.

They are written where Windows has them, on the stack below what runs: debuggers read them from a
dump (``.exr`` and ``.cxr``). WDK pages: "Bug Check 0x3B: SYSTEM_SERVICE_EXCEPTION", "Bug Check
0x7E: SYSTEM_THREAD_EXCEPTION_NOT_HANDLED", "Bug Check 0x139: KERNEL_SECURITY_CHECK_FAILURE".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .exceptions import Record, write_context, write_record
from .structs import size_of

if TYPE_CHECKING:
    from .kernel import Kernel

#: So far below rsp they begin: the CPU's own frame of the exception comes first.
_GAP: Final = 0x100


def write(k: Kernel, record: Record, *, trapped: bool) -> tuple[int, int]:
    """Write both for an exception that happened now: the record's and the context's address.

    ``trapped``: a routine of the kernel raised it in the driver's name, whose context is that
    behind its call.
    """
    registers = {**k.cpu.registers(), **k.cpu.vectors(), "eflags": k.cpu.flags()}
    registers["rip"] = record.address
    rsp = registers["rsp"]
    if trapped:
        rsp = k.flow.trap_rsp
        registers["rsp"] = rsp + 8
    elif k.in_kernel(record.address) and k.flow.in_export:
        registers["rsp"] = rsp = k.flow.trap_rsp
    record_size = -(-size_of("EXCEPTION_RECORD") // 16) * 16
    size = record_size + size_of("CONTEXT")
    at = (min(rsp, registers["rsp"]) - _GAP - size) & ~0xF
    if not k.flow.limit <= at < k.flow.top - size:
        at = k.new_object(size)  # rsp is wrong, or too little is left of the stack
    write_record(k, at, record)
    write_context(k, at + record_size, registers)
    return at, at + record_size
