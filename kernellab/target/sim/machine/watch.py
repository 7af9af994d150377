"""Accesses of guest code to user memory, one by one, at no cost where there are none.

The CPU's own means is used: with SMAP (CR4) every access of kernel-mode code to a user page is a
page fault, unless the AC flag is set. Here the fault is the moment to look at: the instruction's
operands are worked out and told, and with AC and the trap flag set the CPU executes it, and comes
back right behind it. Hooks on memory would slow every access down, user memory or not.

``rep movs`` and ``rep stos`` are done by the host in one go. A flow of execution whose AC flag is
set without the trap flag is not watched: see :meth:`UserWatch.look_again`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from unicorn import x86_const as x86

from .memory import HIGHEST_USER, MemoryFault
from .registers import reader, writer

if TYPE_CHECKING:
    from .cpu import Cpu
    from .disassemble import Operand

_SMAP: Final = 1 << 21
_TRAP, _DIRECTION, _ACCESS = 1 << 8, 1 << 10, 1 << 18
_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
#: Where nothing is mapped, and the vector of a page fault.
_NOWHERE: Final = 0x1000
_PAGE_FAULT: Final = 14
#: Instructions that are kept decoded.
_KEPT: Final = 4096


class Access(NamedTuple):
    """What an instruction does with user memory: ``size`` bytes from ``address`` on."""

    address: int
    size: int
    write: bool


#: Told of an instruction's address, its accesses and all registers; whether to go on watching.
Listener = Callable[[int, Sequence[Access], dict[str, int]], bool]


@dataclass(frozen=True, slots=True)
class _Decoded:
    code: bytes
    operands: tuple[Operand, ...]
    #: ``movs`` or ``stos`` of so many bytes, repeated; else empty.
    string: str


class UserWatch:
    """The watch over one CPU's user memory; off until :meth:`arm`."""

    def __init__(self, cpu: Cpu, engine: Any) -> None:
        self._cpu = cpu
        self._engine = engine
        self.armed = False
        #: Whether some flow may be left unwatched.
        self.relaxed = False
        self._listener: Listener = lambda _rip, _accesses, _registers: False
        self._flags = reader(engine, x86.UC_X86_REG_EFLAGS)
        self._set_flags = writer(engine, x86.UC_X86_REG_EFLAGS)
        self._address = reader(engine, x86.UC_X86_REG_CR2)
        self._context: Any = None
        #: Where in a context the engine keeps the exception that it has not seen handled.
        self._pending: Any = None
        self._decoded: dict[int, _Decoded] = {}

    def arm(self, listener: Listener) -> bool:
        """Watch from now on; False where the engine cannot. For a CPU that has not run yet."""
        engine, cr4 = self._engine, x86.UC_X86_REG_CR4
        before = engine.context_save()
        self._context = engine.context_save()
        place = self._find_pending(before)
        engine.context_restore(before)
        self._cpu.fault = None
        if place is None:
            return False
        address = ctypes.cast(self._context.context, ctypes.c_void_p).value or 0
        self._pending = ctypes.c_int32.from_address(address + place)
        engine.reg_write(cr4, engine.reg_read(cr4) | _SMAP)
        self._listener = listener
        self.armed = True
        return True

    def _find_pending(self, before: Any) -> int | None:
        """Where a context says which exception is under way, -1 for none."""
        self._engine.reg_write(x86.UC_X86_REG_RIP, _NOWHERE)
        self._cpu.run()
        after = bytes(self._engine.context_save())
        kept = bytes(before)
        none, fault = (n.to_bytes(4, "little", signed=True) for n in (-1, _PAGE_FAULT))
        found = [
            at
            for at in range(0, min(len(kept), len(after)) - 3, 4)
            if kept[at : at + 4] == none and after[at : at + 4] == fault
        ]
        return found[0] if len(found) == 1 else None

    def look_again(self) -> None:
        """Watch the flow of execution that the CPU has now, whatever was before."""
        flags = self._flags()
        if flags & _ACCESS and not flags & _TRAP:
            self._set_flags(flags & ~_ACCESS)

    # -- in the hook of exceptions ----------------------------------------------------------------

    def takes(self, vector: int, rip: int) -> bool:
        """Whether an exception is the watch's own; the guest goes on then."""
        flags = self._flags()
        if flags & _ACCESS:
            if vector == 1 and flags & _TRAP:
                self._set_flags(flags & ~(_ACCESS | _TRAP))
                return True
            # The instruction itself is at fault.
            self._set_flags(flags & ~(_ACCESS | _TRAP if flags & _TRAP else _ACCESS))
            return False
        if vector not in (_PAGE_FAULT, 8):
            return False
        address = self._address()
        cpu = self._cpu
        page = cpu.memory.page(address)
        if page is None or not page.user or address > HIGHEST_USER or cpu.veil.hides:
            return False
        code = cpu.memory.page(rip)
        if code is None or code.user:
            return False  # SMEP: it is executed
        self.forget_exception()
        registers = cpu.registers()
        decoded = self._decode(rip, code.physical)
        count = registers["rcx"] if decoded.string else 1
        accesses = [
            Access(place, operand.size * count, writes)
            for operand in decoded.operands
            if (place := operand.address(registers)) <= HIGHEST_USER
            for writes in (False, True)
            if (operand.write if writes else operand.read)
        ]
        if self._listener(rip, accesses or [Access(address, 1, False)], registers):
            if decoded.string and self._repeat(decoded, registers, flags):
                return True
            self._set_flags(flags | _ACCESS | _TRAP)
        else:
            self.relaxed = True
            self._set_flags(flags | _ACCESS)
        return True

    def forget_exception(self) -> None:
        """The fault is dealt with: the engine would take the next for a double fault."""
        engine, context = self._engine, self._context
        engine.context_update(context)
        self._pending.value = -1
        engine.context_restore(context)

    def _decode(self, rip: int, frame: int) -> _Decoded:
        memory = self._cpu.memory
        known = self._decoded.get(rip)
        if known is not None:
            start = frame + (rip & 0xFFF)
            if memory.ram[start : start + len(known.code)] == known.code:
                return known
        # Imported late: the disassembler takes a moment to load, and few drivers need it.
        from .disassemble import operands

        code = memory.try_read(rip, 15) or memory.try_read(rip, 0x1000 - (rip & 0xFFF)) or b""
        size, found, string = operands(code, rip)
        inside = code[: min(size, 0x1000 - (rip & 0xFFF))]
        decoded = _Decoded(inside, found, string)
        if len(self._decoded) >= _KEPT:
            self._decoded.clear()
        self._decoded[rip] = decoded
        return decoded

    def _repeat(self, decoded: _Decoded, registers: dict[str, int], flags: int) -> bool:
        """Do ``rep movs`` or ``rep stos`` at once; False where the CPU has to."""
        memory, count = self._cpu.memory, registers["rcx"]
        unit = decoded.operands[0].size
        size, to, source = count * unit, registers["rdi"], registers["rsi"]
        if flags & _DIRECTION or not count or size > memory.size:
            return False
        watch, memory.watch = memory.watch, None
        try:
            if decoded.string == "stos":
                data = (registers["rax"] & (1 << 8 * unit) - 1).to_bytes(unit, "little") * count
            elif 0 < to - source < size:
                return False  # each unit that is copied is copied again
            else:
                data = memory.read(source, size)
                registers["rsi"] = source + size
            if any(
                (page := memory.page(at)) is None or page.execute
                for at in (*range(to, to + size, 0x1000), to + size - 1)
            ):
                return False
            memory.write(to, data)
        except MemoryFault:
            return False
        finally:
            memory.watch = watch
        self._cpu.set_registers(
            {
                "rcx": 0,
                "rdi": to + size & _MASK,
                "rsi": registers["rsi"] & _MASK,
                "rip": registers["rip"] + len(decoded.code),
            }
        )
        return True
