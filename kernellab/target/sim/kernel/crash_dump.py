"""Complete memory dumps of the simulated machine, in the format that Windows' debuggers read.

The layout of DUMP_HEADER64 is not documented by Microsoft; it is known from the debuggers' public
symbols. WDK page "Complete Memory Dump".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ..machine.memory import PAGE
from .structs import place, size_of

if TYPE_CHECKING:
    from .bugcheck import Report
    from .kernel import Kernel

HEADER_SIZE: Final = 0x2000
_BUILD: Final = 19041
_AMD64: Final = 0x8664
_FULL: Final = 1
_CONTEXT, _EXCEPTION, _TYPE, _SPACE = 0x348, 0xF00, 0xF98, 0xFA0
_SYSTEM_TIME, _COMMENT, _UP_TIME, _PRODUCT = 0xFA8, 0xFB0, 0x1030, 0x1040
_BREAKPOINT: Final = 0x8000_0003
#: CONTEXT_AMD64 with control, integer, segments and floating point.
_CONTEXT_FLAGS: Final = 0x10_001F
_COMMENT_SIZE: Final = 128


def crash_dump(k: Kernel, report: Report | None) -> bytes:
    """The dump: of the bug check in ``report``, or of a running machine (as LIVEKD makes it)."""
    memory = k.memory
    pages = memory.high_water // PAGE
    header = bytearray(b"PAGE" * (HEADER_SIZE // 4))
    code = report.code if report is not None else 0
    parameters = report.parameters if report is not None else (0, 0, 0, 0)
    registers = report.registers if report is not None else k.flow.registers()
    head = struct.pack(
        "<4s4sIIQQQQIII4x4Q",
        *(b"PAGE", b"DU64", 0xF, _BUILD, memory.root, 0),
        *(k.module_list.head, 0, _AMD64, len(k.scheduler.processors), code),
        *(p & 0xFFFF_FFFF_FFFF_FFFF for p in parameters),
    )
    header[: len(head)] = head
    header[0x60:0x88] = bytes(0x28)
    # One run of physical memory: all of it that was ever used, from page 0 on.
    runs = struct.pack("<I4xQQQ", 1, pages, 0, pages)
    header[0x88 : 0x88 + len(runs)] = runs
    context = _context(k, registers)
    header[_CONTEXT : _CONTEXT + len(context)] = context
    exception = struct.pack("<IIQQI4x15Q", _BREAKPOINT, 0, 0, registers["rip"], 0, *[0] * 15)
    header[_EXCEPTION : _EXCEPTION + len(exception)] = exception
    struct.pack_into("<I4xQQ", header, _TYPE, _FULL, HEADER_SIZE + pages * PAGE,
                     k.boot_time + k.now)  # fmt: skip
    comment = b"simulated machine (kernellab)"
    header[_COMMENT : _COMMENT + _COMMENT_SIZE] = comment.ljust(_COMMENT_SIZE, b"\0")
    struct.pack_into("<Q", header, _UP_TIME, k.now)
    struct.pack_into("<IIII", header, _PRODUCT - 8, 0, 0, 1, 0)
    return bytes(header) + memory.ram[: pages * PAGE]


def _context(k: Kernel, registers: dict[str, int]) -> bytes:
    out = bytearray(size_of("CONTEXT"))
    for name, value in registers.items():
        offset, size = place("CONTEXT", name.capitalize())
        out[offset : offset + size] = value.to_bytes(size, "little")
    fixed = {
        "ContextFlags": _CONTEXT_FLAGS,
        "MxCsr": 0x1F80,
        "SegCs": 0x10,
        "SegSs": 0x18,
        "SegDs": 0x2B,
        "SegEs": 0x2B,
        "SegFs": 0x53,
        "SegGs": 0x2B,
        "EFlags": k.cpu.flags(),
    }
    for name, value in fixed.items():
        offset, size = place("CONTEXT", name)
        out[offset : offset + size] = value.to_bytes(size, "little")
    # The SSE control word stands twice: in the legacy save area, too.
    legacy = place("CONTEXT", "FltSave")[0]
    struct.pack_into("<I", out, legacy + 24, fixed["MxCsr"])
    return bytes(out)
