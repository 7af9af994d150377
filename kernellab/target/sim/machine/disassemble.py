"""One instruction as text, and whether it writes memory: for bug checks, loaded only then."""

from __future__ import annotations

from collections.abc import Mapping
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


def writes_to(code: bytes, registers: Mapping[str, int], address: int) -> bool:
    """Whether the instruction at ``registers["rip"]`` writes at ``address``, where it faulted.

    It may read in one place and write in another (``rep movsb``, ``push [rax]``, ``call [rax]``):
    what it does at ``address`` counts. One that reads and writes there counts as a write, as
    the processor's own error code has it.
    """
    import capstone
    from capstone import x86

    for found in _decoder().disasm(code, registers["rip"], 1):
        at_stack = False
        if found.mnemonic.startswith(("push", "call", "enter")):
            at_stack = registers["rsp"] - 0x10000 <= address < registers["rsp"]
        for operand in found.operands:
            if operand.type != x86.X86_OP_MEM:
                continue
            place = _effective(found, operand.mem, registers)
            if place <= address < place + max(operand.size, 1):
                return bool(operand.access & capstone.CS_AC_WRITE)
        return at_stack
    return False


def _effective(found: Any, mem: Any, registers: Mapping[str, int]) -> int:
    """The address of a memory operand (segment bases are 0)."""
    total = mem.disp
    for register, scale in ((mem.base, 1), (mem.index, mem.scale)):
        name = found.reg_name(register) if register else ""
        if name == "rip":
            total += registers["rip"] + found.size
        elif name in registers:
            total += registers[name] * scale
        elif name and (wide := _wide(name)) in registers:
            total += (registers[wide] & 0xFFFF_FFFF) * scale
    return int(total) & 0xFFFF_FFFF_FFFF_FFFF


def _wide(name: str) -> str:
    """The 64-bit register that a 32-bit one is half of (with an address-size prefix)."""
    return name[:-1] if name.startswith("r") else "r" + name[1:]
