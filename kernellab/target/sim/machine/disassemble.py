"""One instruction as text, and whether it writes memory: for bug checks, loaded only then."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _decoder() -> Any:
    import capstone

    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder


def instruction(code: bytes, address: int) -> str:
    """The instruction at the start of ``code`` in Intel syntax; empty where it is none."""
    for found in _decoder().disasm(code, address, 1):
        return f"{found.mnemonic} {found.op_str}".strip()
    return ""


def writes_memory(code: bytes, address: int) -> bool:
    """Whether the instruction at the start of ``code`` writes to memory (a push does)."""
    import capstone

    for found in _decoder().disasm(code, address, 1):
        if found.mnemonic.startswith(("push", "call", "enter")):
            return True
        return any(
            operand.type == capstone.x86.X86_OP_MEM and operand.access & capstone.CS_AC_WRITE
            for operand in found.operands
        )
    return False
