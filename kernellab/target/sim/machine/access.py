"""What a page fault was: the engine gives no error code, so the instruction is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cpu import Cpu


def access_of(cpu: Cpu, address: int, rip: int) -> str:
    """Read, write or execute: the engine gives no error code, so look at the tables."""
    page = cpu.memory.page(address)
    barred = page is None or not page.execute or page.user  # SMEP bars user pages
    barred = barred or (cpu.veil.drawn and address == rip)
    if rip <= address < rip + 15 and barred:
        # Code at the end of a page can also touch data just behind itself; data that
        # is mapped and not executable is then what was executed.
        return "execute"
    if page is not None and not page.write:
        return "write"
    # Imported late: the disassembler takes a moment to load, and few runs need it.
    from .disassemble import writes_to

    code = cpu.memory.try_read(rip, 15) or cpu.memory.try_read(rip, 0x1000 - (rip & 0xFFF))
    writes = code is not None and writes_to(code[:15], cpu.registers(), address)
    return "write" if writes else "read"
