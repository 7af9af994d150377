"""Instructions whose meaning the simulator gives: CR8, time stamps, cpuid, random numbers.

The CPU model's own answer is wrong (``mov cr8``), not deterministic (``rdtsc``, ``rdrand``), or
would tell about the host (``cpuid``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import unicorn
from unicorn import x86_const as x86

from .registers import REGISTERS

if TYPE_CHECKING:
    from .cpu import Cpu

uc: Any = unicorn  # its own type hints cover a part only

_NUMBERED: Final = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")  # fmt: skip

_RAX, _RCX, _RDX, _RIP = (REGISTERS[name] for name in ("rax", "rcx", "rdx", "rip"))

#: syscall (the stubs' own trap, not for drivers); rdtsc; rdtscp; mov reg, cr8 and mov cr8, reg
#: (REX.W may be set); rdrand, rdseed, rdpid.
_SPECIAL: Final = re.compile(
    rb"\x0f\x05|\x0f\x31|\x0f\x01\xf9|[\x44\x45\x4c\x4d]\x0f[\x20\x22][\xc0-\xc7]"
    rb"|\x0f\xc7[\xf0-\xff]",
    re.S,
)
#: Prefixes that can stand before the last three.
_PREFIX: Final = re.compile(rb"[\x66\xf2\xf3]?[\x40-\x4f]?\Z", re.S)


class SpecialInstructions:
    """The hooks for these instructions in one CPU."""

    def __init__(self, cpu: Cpu, engine: Any) -> None:
        self._cpu = cpu
        self._engine = engine
        self._ticks = 0
        #: Unicorn's hooks by the address of the instruction.
        self._hooks: dict[int, Any] = {}
        add = engine.hook_add
        add(uc.UC_HOOK_INSN, self._on_cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)
        add(uc.UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        add(uc.UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)

    def watch(self, address: int, code: bytes) -> None:
        """Give the instructions in ``code``, mapped at ``address``, that need it our meaning.

        ``mov reg, cr8`` and ``mov cr8, reg`` are the IRQL; ``rdtsc`` and ``rdtscp`` count
        themselves; ``rdrand`` and its kind do not exist. A hook fires only where an
        instruction begins, so bytes that look like one in the middle of another do no harm.
        """
        for found in _SPECIAL.finditer(code):
            starts = {found.start()}
            if code[found.start() + 1] == 0xC7:
                before = code[max(0, found.start() - 2) : found.start()]
                prefix = _PREFIX.search(before)
                starts.update(range(found.start() - len(prefix[0]) if prefix else 0, found.start()))
            for start in sorted(starts):
                self._hook(address + start)

    def unwatch(self, address: int, size: int) -> None:
        """Take away what :meth:`watch` set up in this range: the code is gone."""
        for at in [at for at in self._hooks if address <= at < address + size]:
            self._engine.hook_del(self._hooks.pop(at))

    def state(self) -> tuple[int, frozenset[int]]:
        """What a snapshot keeps: the time stamp counter, and where hooks are."""
        return self._ticks, frozenset(self._hooks)

    def set_state(self, state: tuple[int, frozenset[int]]) -> None:
        """Go back to what :meth:`state` gave."""
        self._ticks, wanted = state
        for at in self._hooks.keys() - wanted:
            self._engine.hook_del(self._hooks.pop(at))
        for at in sorted(wanted - self._hooks.keys()):
            self._hook(at)

    def _hook(self, at: int) -> None:
        add = self._engine.hook_add
        self._hooks[at] = add(uc.UC_HOOK_CODE, self._on_special, None, at, at)

    def _on_cpuid(self, engine: Any, _data: Any) -> int:
        leaf = engine.reg_read(_RAX) & 0xFFFFFFFF
        # A plain x86-64 processor with SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; no AVX,
        # no RDRAND (it would not be deterministic); the vendor is one no code special-cases.
        answers = {
            0: (1, 0x6E72656B, 0x2062616C, 0x6C656E20),  # "kern" "nel " "lab "
            1: (0x000006F0, 0x00010800, 0x00982201, 0x078BFBFF),
            0x80000000: (0x80000001, 0, 0, 0),
            0x80000001: (0, 0, 1, 0x20100800),
        }
        values = answers.get(leaf, (0, 0, 0, 0))
        for name, value in zip(("rax", "rbx", "rcx", "rdx"), values, strict=True):
            engine.reg_write(REGISTERS[name], value)
        return 1

    def _on_in(self, _engine: Any, port: int, size: int, _data: Any) -> int:
        return self._cpu.read_port(port, size)

    def _on_out(self, _engine: Any, port: int, size: int, value: int, _data: Any) -> None:
        self._cpu.write_port(port, value, size)

    def _on_special(self, engine: Any, address: int, size: int, _data: Any) -> None:
        code = self._cpu.memory.try_read(address, size) or b""
        if code == b"\x0f\x05" or (len(code) >= 3 and code[-2] == 0xC7 and code[-1] >= 0xF0):
            self._cpu.invalid(address)
            return
        if code == b"\x0f\x31" or code == b"\x0f\x01\xf9":
            self._ticks += 100
            engine.reg_write(_RAX, self._ticks & 0xFFFFFFFF)
            engine.reg_write(_RDX, self._ticks >> 32)
            if size == 3:
                engine.reg_write(_RCX, 0)
        elif size == 4 and code[1] == 0x0F and code[2] in (0x20, 0x22):
            register = REGISTERS[_NUMBERED[(code[3] & 7) | (8 if code[0] & 1 else 0)]]
            if code[2] == 0x20:
                engine.reg_write(register, self._cpu.irql)
            else:
                self._cpu.on_irql(engine.reg_read(register) & 0xF)
                self._cpu.veil.sync()
        else:
            return
        engine.reg_write(_RIP, address + size)
        if self._cpu.attention:
            self._cpu.end_slice()
