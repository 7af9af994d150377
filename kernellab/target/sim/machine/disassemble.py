"""One instruction as text, and what it does with memory: loaded only when that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final


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


@dataclass(frozen=True, slots=True)
class Operand:
    """A memory operand of ``size`` bytes; registers by name, empty for none."""

    base: str
    index: str
    scale: int
    displacement: int
    size: int
    read: bool
    write: bool
    #: Whether the registers are the lower 32 bits only.
    short: bool = False

    def address(self, registers: Mapping[str, int]) -> int:
        """Where it is (segment bases are 0)."""
        mask = 0xFFFF_FFFF if self.short else 0xFFFF_FFFF_FFFF_FFFF
        total = self.displacement
        if self.base:
            total += registers[self.base] & mask
        if self.index:
            total += (registers[self.index] & mask) * self.scale
        return total & mask


#: movs, stos: their opcodes, and what they are called.
_STRINGS: Final = {0xA4: "movs", 0xA5: "movs", 0xAA: "stos", 0xAB: "stos"}
#: What only writes where its first operand is memory.
_STORES: Final = ("mov", "pextr", "extractps", "stmxcsr")
_REPEATED: Final = (0xF2, 0xF3)
_NAMES: Final = frozenset(
    "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15 rip".split()
)


def operands(code: bytes, address: int) -> tuple[int, tuple[Operand, ...], str]:
    """Of the instruction at the start of ``code``: size, memory operands, a repeated string's name.

    What it pushes, pops or calls by the stack is no operand.
    """
    import capstone
    from capstone import x86

    for found in _decoder().disasm(code, address, 1):
        taken = []
        for operand in found.operands:
            if operand.type != x86.X86_OP_MEM or operand.mem.segment in (
                x86.X86_REG_FS,
                x86.X86_REG_GS,
            ):
                continue
            names = [found.reg_name(r) if r else "" for r in (operand.mem.base, operand.mem.index)]
            short = any(name and name not in _NAMES for name in names)
            base, index = (_wide(n) if n and n not in _NAMES else n for n in names)
            displacement = operand.mem.disp
            if base == "rip":
                base, displacement = "", displacement + address + found.size
            if base not in _NAMES | {""} or index not in _NAMES | {""}:
                continue
            read = bool(operand.access & capstone.CS_AC_READ)
            write = bool(operand.access & capstone.CS_AC_WRITE)
            if operand is found.operands[0] and found.mnemonic.startswith(_STORES):
                # Capstone 5 has stores of vector registers as reads.
                read, write = False, True
            taken.append(
                Operand(base, index, operand.mem.scale, displacement, max(operand.size, 1),
                        read or not write, write, short)
            )  # fmt: skip
        repeated = found.prefix[0] in _REPEATED
        string = _STRINGS.get(found.opcode[0], "") if repeated else ""
        return found.size, tuple(taken), string
    return 1, (), ""


def decides(code: bytes, address: int) -> bool:
    """Whether ``code`` has a jump on a condition, a call or a return, or is none."""
    import capstone

    end = address
    for found in _decoder().disasm(code, address):
        end += found.size
        jump = capstone.CS_GRP_JUMP in found.groups and found.mnemonic != "jmp"
        if jump or capstone.CS_GRP_CALL in found.groups or capstone.CS_GRP_RET in found.groups:
            return True
    return end != address + len(code)
