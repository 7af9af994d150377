"""The code that a driver's calls into the kernel run: a stub for each export.

A stub loads its index and jumps to code common to all, which spills the register arguments to the
mailbox page and executes ``syscall``; the CPU's hook on that does the rest.
"""

from __future__ import annotations

import struct
from typing import Final

STUB_SIZE: Final = 16

#: The mailbox: rax (the index), rcx, rdx, r8, r9, rsp; behind it the result, and the registers
#: that a call preserves.
MAILBOX: Final = struct.Struct("<6Q")
RESULT: Final = 48
KEPT, KEPT_SIZE = 64, 64
#: How an instruction names each of :data:`~.registers.PRESERVED`: its prefix and its ModRM byte.
_PRESERVED: Final = (
    *((0x48, 0x1D), (0x48, 0x2D), (0x48, 0x35), (0x48, 0x3D)),
    *((0x4C, 0x25), (0x4C, 0x2D), (0x4C, 0x35), (0x4C, 0x3D)),
)


def stub_code(base: int, count: int, mailbox: int, size: int) -> bytes:
    """``size`` bytes for ``base``: ``count`` stubs, then the common code.

    Index 0 is where calls made by the host return to.
    """
    code = bytearray(size)
    common = base + count * STUB_SIZE
    for index in range(count):
        at = index * STUB_SIZE
        if index == 0:  # rax is the result: keep it where an argument would be
            start = b"\x48\x89\xc1\x31\xc0"  # mov rcx, rax; xor eax, eax
        else:
            start = b"\xb8" + struct.pack("<I", index)  # mov eax, index
        jump = common - (base + at + len(start) + 5)
        stub = start + b"\xe9" + struct.pack("<i", jump)
        code[at : at + STUB_SIZE] = stub.ljust(STUB_SIZE, b"\xcc")
    at = common
    body = bytearray()
    # mov [mailbox + 8 n], rax rcx rdx r8 r9 rsp and the others; syscall;
    # mov rax, [mailbox + 48]; ret
    for n, op in enumerate((b"H\x89\x05", b"H\x89\r", b"H\x89\x15", b"L\x89\x05", b"L\x89\r")):
        body += op + struct.pack("<i", mailbox + 8 * n - (at + len(body) + 7))
    body += b"\x48\x89\x25" + struct.pack("<i", mailbox + 40 - (at + len(body) + 7))
    for n, (prefix, modrm) in enumerate(_PRESERVED):
        target = mailbox + KEPT + 8 * n
        body += bytes((prefix, 0x89, modrm)) + struct.pack("<i", target - (at + len(body) + 7))
    body += b"\x0f\x05"
    body += b"\x48\x8b\x05" + struct.pack("<i", mailbox + RESULT - (at + len(body) + 7))
    body += b"\xc3"
    assert len(body) <= 7 * STUB_SIZE
    code[count * STUB_SIZE : count * STUB_SIZE + len(body)] = body
    return bytes(code)
