"""The processor: Unicorn over :class:`~.memory.Memory`, with traps for calls into the kernel.

Guest code calls an NT routine through a *stub*: a few instructions that spill the register
arguments to a mailbox page and execute ``syscall``, which is hooked. That costs about half a
microsecond a call, far less than reading registers one by one. A handler that answers with a
number returns to the guest at once; anything else stops the run and is given to the caller.

A privileged instruction the simulator gives meaning to (``mov cr8``, ``rdtsc``, ``cpuid``) is
hooked too, because the CPU model's own answer is wrong or not deterministic.
"""

from __future__ import annotations

import ctypes
import re
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import unicorn
from unicorn import x86_const as x86

from .memory import PAGE, Memory

uc: Any = unicorn  # its own type hints cover a part only

_REGISTERS: Final = {
    name: getattr(x86, f"UC_X86_REG_{name.upper()}")
    for name in (
        *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
        *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
    )
}
_RAX, _RCX, _RDX, _R8, _R9 = (_REGISTERS[n] for n in ("rax", "rcx", "rdx", "r8", "r9"))
_RSP, _RIP = _REGISTERS["rsp"], _REGISTERS["rip"]

# Kernel mode with paging, write protection, NX, SSE: CR0 = PE MP ET NE WP PG,
# CR4 = PAE PGE OSFXSR OSXMMEXCPT less PGE, EFER = SCE LME LMA NX less SCE.
_CR0, _CR4, _EFER = 0x8001_0033, 0x620, 0xD00
_EFER_MSR: Final = 0xC000_0080

_NUMBERED: Final = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")  # fmt: skip

#: syscall (the stubs' own trap, not for drivers); rdtsc; rdtscp; mov reg, cr8 and mov cr8, reg
#: (REX.W may be set); rdrand, rdseed, rdpid.
_SPECIAL: Final = re.compile(
    rb"\x0f\x05|\x0f\x31|\x0f\x01\xf9|[\x44\x45\x4c\x4d]\x0f[\x20\x22][\xc0-\xc7]"
    rb"|\x0f\xc7[\xf0-\xff]",
    re.S,
)
#: Prefixes that can stand before the last three.
_PREFIX: Final = re.compile(rb"[\x66\xf2\xf3]?[\x40-\x4f]?\Z", re.S)

_MAILBOX = struct.Struct("<6Q")
_RESULT: Final = 48
_U64 = struct.Struct("<Q")
STUB_SIZE: Final = 16

#: How long between attempts to stop code that runs, seconds.
_NUDGE: Final = 0.01


class Stop(Enum):
    """Why :meth:`Cpu.run` came back."""

    RETURNED = auto()  # a call made by the host has returned; ``value`` is rax
    DEFERRED = auto()  # a handler answered with something else than a number
    FAULT = auto()  # an exception in guest code
    ASKED = auto()  # :meth:`Cpu.ask` was called: time ran out, or an interrupt
    HALTED = auto()  # the guest executed hlt: nothing will ever wake it
    BUDGET = auto()  # the instruction budget is used up


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception: its vector, where, and for page faults what was accessed and how."""

    vector: int
    rip: int
    address: int = 0
    access: str = ""


Handler = Callable[[int, int, int, int, int], Any]


class Cpu:
    """One processor. ``handlers[index]`` is called for the stub with that index.

    ``stubs`` is the address of a page-aligned region that :meth:`install_stubs` fills.
    """

    def __init__(self, memory: Memory, stubs: int) -> None:
        self.memory = memory
        self.handlers: list[Handler] = [self._returned]
        self.irql = 0
        self.value: Any = None
        self.fault: Fault | None = None
        #: rsp at the last trap: it points at the return address of the call.
        self.trap_rsp = 0
        self.trap_index = 0
        #: Whether a handler runs right now, called from guest code.
        self.trapping = False
        self._budget: int | None = None
        self._counter: Any = None
        self._reason: Stop | None = None
        self._asked = threading.Event()
        #: Held to change ``_running`` or to act on it: a late attempt to stop one run must not
        #: stop the next.
        self._lock = threading.Lock()
        self._running = False
        self._error: BaseException | None = None
        self._ticks = 0
        self._stubs = stubs
        self._engine = uc.Uc(uc.UC_ARCH_X86, uc.UC_MODE_64)
        view = (ctypes.c_char * memory.size).from_buffer(memory.ram)
        self._engine.mem_map_ptr(0, memory.size, uc.UC_PROT_ALL, ctypes.addressof(view))
        self._view = view
        write = self._engine.reg_write
        write(x86.UC_X86_REG_CR3, memory.root)
        write(x86.UC_X86_REG_CR4, _CR4)
        write(x86.UC_X86_REG_MSR, (_EFER_MSR, _EFER))
        write(x86.UC_X86_REG_CR0, _CR0)
        self._mailbox = 0
        self._nowhere = 0
        self._hook()

    # -- set-up -------------------------------------------------------------------------------

    def _hook(self) -> None:
        add = self._engine.hook_add
        add(uc.UC_HOOK_INSN, self._on_syscall, None, 1, 0, x86.UC_X86_INS_SYSCALL)
        add(uc.UC_HOOK_INSN, self._on_cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)
        add(uc.UC_HOOK_INTR, self._on_interrupt)
        add(uc.UC_HOOK_INSN_INVALID, self._on_invalid)

    def install_stubs(self, count: int) -> None:
        """Write ``count`` stubs and the common code; index 0 is where host calls return to."""
        size = (count + 8) * STUB_SIZE
        pages = -(-size // PAGE)
        self.memory.map(self._stubs, pages, write=False, execute=True)
        mailbox = self._stubs + pages * PAGE
        self.memory.map(mailbox, 1)
        page = self.memory.page(mailbox)
        assert page is not None
        self._mailbox = page.physical
        common = self._stubs + count * STUB_SIZE
        # emu_start wants an address to stop at. It looks the address up in the page tables
        # each time, and one that is not mapped leaves a page fault behind which turns the
        # guest's own next one into a double fault: so it is in these pages, behind all code.
        self._nowhere = common + 7 * STUB_SIZE
        code = bytearray(size)
        for index in range(count):
            at = index * STUB_SIZE
            if index == 0:  # rax is the result: keep it where an argument would be
                start = b"\x48\x89\xc1\x31\xc0"  # mov rcx, rax; xor eax, eax
            else:
                start = b"\xb8" + struct.pack("<I", index)  # mov eax, index
            jump = common - (self._stubs + at + len(start) + 5)
            stub = start + b"\xe9" + struct.pack("<i", jump)
            code[at : at + STUB_SIZE] = stub.ljust(STUB_SIZE, b"\xcc")
        at = common
        body = bytearray()
        # mov [mailbox + 8 n], rax rcx rdx r8 r9 rsp; syscall; mov rax, [mailbox + 48]; ret
        for n, op in enumerate((b"H\x89\x05", b"H\x89\r", b"H\x89\x15", b"L\x89\x05", b"L\x89\r")):
            body += op + struct.pack("<i", mailbox + 8 * n - (at + len(body) + 7))
        body += b"\x48\x89\x25" + struct.pack("<i", mailbox + 40 - (at + len(body) + 7))
        body += b"\x0f\x05"
        body += b"\x48\x8b\x05" + struct.pack("<i", mailbox + _RESULT - (at + len(body) + 7))
        body += b"\xc3"
        code[count * STUB_SIZE : count * STUB_SIZE + len(body)] = body
        self.memory.write_image(self._stubs, bytes(code))

    def stub(self, index: int) -> int:
        """The address that guest code calls for ``handlers[index]``."""
        return self._stubs + index * STUB_SIZE

    def watch(self, address: int, code: bytes) -> list[Any]:
        """Give the instructions in ``code``, mapped at ``address``, that need it our meaning.

        ``mov reg, cr8`` and ``mov cr8, reg`` are the IRQL; ``rdtsc`` and ``rdtscp`` count
        themselves; ``rdrand`` and its kind do not exist. A hook fires only where an
        instruction begins, so bytes that look like one in the middle of another do no harm.
        The result is for :meth:`unwatch`.
        """
        hooks = []
        for found in _SPECIAL.finditer(code):
            starts = {found.start()}
            if code[found.start() + 1] == 0xC7:
                before = code[max(0, found.start() - 2) : found.start()]
                prefix = _PREFIX.search(before)
                starts.update(range(found.start() - len(prefix[0]) if prefix else 0, found.start()))
            for start in sorted(starts):
                at = address + start
                hook = self._engine.hook_add(uc.UC_HOOK_CODE, self._on_special, None, at, at)
                hooks.append(hook)
        return hooks

    def unwatch(self, hooks: list[Any]) -> None:
        """Take away what :meth:`watch` set up: the code is gone."""
        for hook in hooks:
            self._engine.hook_del(hook)

    # -- running ------------------------------------------------------------------------------

    @property
    def budget(self) -> int | None:
        """Instructions that may still run, or None; exact, and slow while it is set."""
        return self._budget

    @budget.setter
    def budget(self, instructions: int | None) -> None:
        self._budget = instructions
        if (instructions is None) == (self._counter is None):
            return
        if self._counter is None:
            add = self._engine.hook_add
            self._counter = add(uc.UC_HOOK_CODE, self._on_instruction)
        else:
            self._engine.hook_del(self._counter)
            self._counter = None
        # Code that was translated before knows nothing of the hook.
        self._engine.ctl_flush_tb()

    def call(self, address: int, arguments: tuple[int, ...], rsp: int) -> None:
        """Prepare a call by the x64 convention, on the stack below ``rsp``."""
        extra = max(0, len(arguments) - 4)
        top = (rsp - 0x20 - 8 * extra) & ~0xF
        frame = _U64.pack(self.stub(0)) + bytes(0x20)
        frame += b"".join(_U64.pack(a & _MASK) for a in arguments[4:])
        self.memory.write(top - 8, frame)
        write = self._engine.reg_write
        for register, value in zip((_RCX, _RDX, _R8, _R9), arguments, strict=False):
            write(register, value & _MASK)
        write(_RSP, top - 8)
        write(_RIP, address)

    def resume(self, rsp: int, value: int) -> None:
        """Prepare to return ``value`` from the trap whose return address is at ``rsp``."""
        write = self._engine.reg_write
        write(_RAX, value & _MASK)
        write(_RIP, self.memory.u64(rsp))
        write(_RSP, rsp + 8)

    def run(self) -> Stop:
        """Run guest code until something happens. Errors of handlers are raised here."""
        self._reason = None
        self.trapping = False
        if self._asked.is_set():
            return Stop.ASKED
        if self.memory.stale:
            self._flush()
        with self._lock:
            self._running = True
        try:
            self._engine.emu_start(self._engine.reg_read(_RIP), self._nowhere)
        except uc.UcError as error:
            if self._reason is None:  # an exception the engine has no vector for
                self._stop(Stop.FAULT)
                rip = self._engine.reg_read(_RIP)
                self.fault = Fault(13, rip, 0, str(error))
        finally:
            with self._lock:
                self._running = False
        if self._error is not None:
            error_, self._error = self._error, None
            raise error_
        if self._reason is None:
            return Stop.ASKED if self._asked.is_set() else Stop.HALTED
        return self._reason

    def ask(self) -> None:
        """Stop guest code soon, from another thread; stays asked until :meth:`clear`."""
        self._asked.set()
        # One emu_stop can come just before emu_start and be lost: repeat it until it worked.
        threading.Thread(target=self._nudge, daemon=True).start()

    def _nudge(self) -> None:
        while True:
            with self._lock:
                if not self._asked.is_set():
                    return
                if self._running:
                    self._engine.emu_stop()
            time.sleep(_NUDGE)

    def clear(self) -> None:
        """Forget that :meth:`ask` was called. No later run is stopped by that call."""
        with self._lock:
            self._asked.clear()

    def registers(self) -> dict[str, int]:
        """All general registers and rip by their lower-case names."""
        return {name: self._engine.reg_read(number) for name, number in _REGISTERS.items()}

    def flags(self) -> int:
        """RFLAGS."""
        value: int = self._engine.reg_read(x86.UC_X86_REG_EFLAGS)
        return value

    def _flush(self) -> None:
        """Make the CPU see page-table entries that became stricter."""
        self._engine.reg_write(x86.UC_X86_REG_CR3, self.memory.root)
        self.memory.stale = False

    def _stop(self, reason: Stop) -> None:
        self._reason = reason
        self._engine.emu_stop()

    # -- hooks --------------------------------------------------------------------------------

    def _returned(self, value: int, *_: int) -> None:
        self.value = value
        self._stop(Stop.RETURNED)

    def _on_syscall(self, _engine: Any, _data: Any) -> None:
        ram = self.memory.ram
        index, a, b, c, d, rsp = _MAILBOX.unpack_from(ram, self._mailbox)
        self.trap_rsp = rsp
        self.trap_index = index
        self.trapping = True
        try:
            value = self.handlers[index](a, b, c, d, rsp)
        except BaseException as error:
            # Kept set: whoever reports the error wants to know that a call was under way.
            self._error = error
            self._stop(Stop.FAULT)
            return
        self.trapping = False
        if value.__class__ is int:
            _U64.pack_into(ram, self._mailbox + _RESULT, value)
            if self.memory.stale:
                self._flush()
        elif index:
            self.value = value
            self._stop(Stop.DEFERRED)

    def _on_interrupt(self, engine: Any, vector: int, _data: Any) -> None:
        rip = engine.reg_read(_RIP)
        if vector in (14, 8):
            address = engine.reg_read(x86.UC_X86_REG_CR2)
            self.fault = Fault(14, rip, address, self._access(address, rip))
        else:
            if vector == 3:
                rip -= 1
            elif vector == 0x29:
                rip -= 2
            self.fault = Fault(vector, rip)
        self._stop(Stop.FAULT)

    def _on_invalid(self, engine: Any, _data: Any) -> bool:
        self.fault = Fault(6, engine.reg_read(_RIP))
        self._stop(Stop.FAULT)
        return True

    def _access(self, address: int, rip: int) -> str:
        """Read, write or execute: the engine gives no error code, so look at the tables."""
        page = self.memory.page(address)
        if rip <= address < rip + 15 and (page is None or not page.execute):
            # Code at the end of a page can also touch data just behind itself; data that
            # is mapped and not executable is then what was executed.
            return "execute"
        if page is not None and not page.write:
            return "write"
        from .disassemble import writes_to

        code = self.memory.try_read(rip, 15) or self.memory.try_read(rip, 0x1000 - (rip & 0xFFF))
        writes = code is not None and writes_to(code[:15], self.registers(), address)
        return "write" if writes else "read"

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
            engine.reg_write(_REGISTERS[name], value)
        return 1

    def _on_special(self, engine: Any, address: int, size: int, _data: Any) -> None:
        code = self.memory.try_read(address, size) or b""
        if code == b"\x0f\x05" or (len(code) >= 3 and code[-2] == 0xC7 and code[-1] >= 0xF0):
            self.fault = Fault(6, address)
            self._stop(Stop.FAULT)
            return
        if code == b"\x0f\x31" or code == b"\x0f\x01\xf9":
            self._ticks += 100
            engine.reg_write(_RAX, self._ticks & 0xFFFFFFFF)
            engine.reg_write(_RDX, self._ticks >> 32)
            if size == 3:
                engine.reg_write(_RCX, 0)
        elif size == 4 and code[1] == 0x0F and code[2] in (0x20, 0x22):
            register = _REGISTERS[_NUMBERED[(code[3] & 7) | (8 if code[0] & 1 else 0)]]
            if code[2] == 0x20:
                engine.reg_write(register, self.irql)
            else:
                self.irql = engine.reg_read(register) & 0xF
        else:
            return
        engine.reg_write(_RIP, address + size)

    def _on_instruction(self, _engine: Any, _address: int, _size: int, _data: Any) -> None:
        if self._budget is not None:
            self._budget -= 1
            if self._budget < 0:
                self._stop(Stop.BUDGET)


_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
