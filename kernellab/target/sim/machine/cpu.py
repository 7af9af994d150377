"""The processor: Unicorn over :class:`~.memory.Memory`, with traps for calls into the kernel.

Guest code calls an NT routine through a *stub*: a few instructions that spill the register
arguments to a mailbox page and execute ``syscall``, which is hooked. That costs about half a
microsecond a call, far less than reading registers one by one. A handler that answers with a
number returns to the guest at once; anything else stops the run and is given to the caller.

Instructions that the simulator gives a meaning of its own are in :mod:`.special`.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import unicorn
from unicorn import x86_const as x86

from .access import access_of
from .floating import FloatingPoint
from .memory import PAGE, Memory
from .registers import (
    OTHERS,
    REGISTERS,
    VECTORS,
    Saved,
    batch_reader,
    batch_writer,
    drop_counter,
    hook_syscall,
    reader,
    renew,
    savers,
    stopper,
    writer,
)
from .special import SpecialInstructions
from .stop import Asked
from .stop import Fault as Fault
from .stop import Stop as Stop
from .stubs import KEPT, KEPT_SIZE, MAILBOX, RESULT, STUB_SIZE, stub_code
from .veil import Veil
from .watch import UserWatch

uc: Any = unicorn  # its own type hints cover a part only


# Kernel mode with paging, write protection, NX, SSE: CR0 = PE MP ET NE WP PG,
# CR4 = PAE OSFXSR OSXMMEXCPT SMEP, EFER = LME LMA NX.
_CR0, _CR4, _EFER = 0x8001_0033, 0x10_0620, 0xD00
_EFER_MSR: Final = 0xC000_0080

_U64 = struct.Struct("<Q")


Handler = Callable[[int, int, int, int, int], Any]


class Cpu:
    """One processor. ``handlers[index]`` is called for the stub with that index.

    ``base`` is the address of a page-aligned region that :meth:`install_stubs` fills.
    """

    def __init__(self, memory: Memory, base: int) -> None:
        self.memory = memory
        self.handlers: list[Handler] = [self._returned]
        self.irql = 0
        #: Called when guest code writes CR8 (the IRQL) inline, with the new level.
        self.on_irql: Callable[[int], None] = self._set_irql
        #: What ``in`` and ``out`` do: by port and size in bytes.
        self.read_port: Callable[[int, int], int] = lambda _port, size: (1 << 8 * size) - 1
        self.write_port: Callable[[int, int, int], None] = lambda _port, _value, _size: None
        #: Set by the kernel when it wants the processor as soon as a call or CR8 write is done.
        self.attention = False
        self.value: Any = None
        self.fault: Fault | None = None
        #: rsp at the last trap: it points at the return address of the call.
        self.trap_rsp = 0
        self.trap_index = 0
        #: Whether a handler runs right now, called from guest code.
        self.trapping = False
        self._budget: int | None = None
        self._counter: Any = None
        #: Whether what is translated counts its instructions, for :meth:`run`.
        self._counted = False
        self._reason: Stop | None = None
        self._error: BaseException | None = None
        self._stubs = base
        self._engine = uc.Uc(uc.UC_ARCH_X86, uc.UC_MODE_64)
        # The first model that has SMAP; what cpuid says is ours.
        self._engine.ctl_set_cpu_model(x86.UC_CPU_X86_BROADWELL)
        view = (ctypes.c_char * memory.size).from_buffer(memory.ram)
        self._engine.mem_map_ptr(0, memory.size, uc.UC_PROT_ALL, ctypes.addressof(view))
        self._view = view
        write = self._engine.reg_write
        write(x86.UC_X86_REG_CR3, memory.root)
        write(x86.UC_X86_REG_CR4, _CR4)
        write(x86.UC_X86_REG_MSR, (_EFER_MSR, _EFER))
        write(x86.UC_X86_REG_CR0, _CR0)
        self._names = tuple(REGISTERS)
        self._read_all = batch_reader(self._engine, tuple(REGISTERS.values()))
        self._rip = reader(self._engine, REGISTERS["rip"])
        self._resume = self._writer("rax", "rsp", "rip")
        self._call = self._writer("rcx", "rdx", "r8", "r9", "rsp", "rip")
        self._save, self._restore = savers(self._engine)
        self._emu_stop = stopper(self._engine)
        self._asked = Asked(self._emu_stop)
        #: Stop guest code soon, from another thread; whether that was asked; forget it again.
        self.ask, self.asked, self.clear = self._asked.ask, self._asked.is_set, self._asked.clear
        self._set_cr3 = writer(self._engine, x86.UC_X86_REG_CR3)
        self._write_gs = writer(self._engine, x86.UC_X86_REG_GS_BASE)
        self._set_both = batch_writer(self._engine, (x86.UC_X86_REG_GS_BASE, x86.UC_X86_REG_CR3))
        #: The top-level page table in use, and the base of gs.
        self.root, self._gs = memory.root, 0
        #: Where the code goes on that runs next, 0 where only the CPU knows.
        self._begin = 0
        self._fresh = self.save()
        self._mailbox = 0
        self._nowhere = 0
        #: What takes pageable memory away at DISPATCH_LEVEL.
        self.veil = Veil(self)
        self.watch = UserWatch(self, self._engine)
        self._unveil = False
        self._hook()

    # -- set-up -------------------------------------------------------------------------------

    def _hook(self) -> None:
        add = self._engine.hook_add
        hook_syscall(self._engine, self._on_syscall)
        self.special = SpecialInstructions(self, self._engine)
        self.floating = FloatingPoint(self._engine)
        add(uc.UC_HOOK_INTR, self._on_interrupt)
        add(uc.UC_HOOK_INSN_INVALID, self._on_invalid)

    def _writer(self, *names: str) -> Callable[..., None]:
        return batch_writer(self._engine, [REGISTERS[name] for name in names])

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
        self.memory.write_image(self._stubs, stub_code(self._stubs, count, mailbox, size))

    def stub(self, index: int) -> int:
        """The address that guest code calls for ``handlers[index]``."""
        return self._stubs + index * STUB_SIZE

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
            if self.memory.code_gone:  # it looked for the hook's code: see drop_counter
                self.forget_exception()
        # Code that was translated before knows nothing of the hook.
        self._engine.ctl_flush_tb()

    def call(self, address: int, arguments: tuple[int, ...], rsp: int) -> None:
        """Prepare a call by the x64 convention, on the stack below ``rsp``."""
        extra = max(0, len(arguments) - 4)
        top = (rsp - 0x20 - 8 * extra) & ~0xF
        frame = _U64.pack(self.stub(0)) + bytes(0x20)
        frame += b"".join(_U64.pack(a & _MASK) for a in arguments[4:])
        self.memory.write(top - 8, frame)
        a, b, c, d = (*arguments[:4], 0, 0, 0, 0)[:4]
        self._call(a & _MASK, b & _MASK, c & _MASK, d & _MASK, top - 8, address)
        self._begin = address

    def resume(self, rsp: int, value: int) -> None:
        """Prepare to return ``value`` from the trap whose return address is at ``rsp``."""
        self._begin = self.memory.u64(rsp)
        self._resume(value & _MASK, rsp + 8, self._begin)

    def run(self, count: int = 0) -> Stop:
        """Run guest code until something happens. Errors of handlers are raised here.

        ``count`` instructions at most where it is given: about 10 ns each, and changing
        between counting and not counting translates the code anew.
        """
        self._reason = None
        self.trapping = False
        if self.asked():
            return Stop.ASKED
        if self._counted and not count and self.memory.code_gone:
            drop_counter(self._engine, self._nowhere)
            self.forget_exception()
            self.memory.code_gone = self._counter is not None
        if count and not self._counted:
            # What was translated before does not count; the engine sees to the other way.
            self._engine.ctl_flush_tb()
        self._counted = count > 0
        if (self.irql > 1) is not self.veil.drawn:
            self.veil.sync()
        if self.memory.stale:
            self.flush()
        begin, self._begin = self._begin or self._rip(), 0
        self._asked.running = True
        try:
            self._engine.emu_start(begin, self._nowhere, 0, count)
            while self._unveil:
                self._unveil = False
                self.veil.open()
                self._engine.emu_start(self._rip(), self._nowhere, 0, count)
        except uc.UcError as error:
            if self._reason is None:  # an exception the engine has no vector for
                self._stop(Stop.FAULT)
                rip = self._rip()
                self.fault = Fault(13, rip, 0, str(error))
        finally:
            self._asked.running = False
        if self._error is not None:
            error_, self._error = self._error, None
            raise error_
        if self._reason is None:
            if self.asked():
                return Stop.ASKED
            return Stop.SLICE if count else Stop.HALTED
        return self._reason

    def finish_stub(self) -> Stop:
        """After a slice: run on to where no stub is half done, since all share one mailbox."""
        low, high = self._stubs, self._nowhere
        while low <= self._rip() < high:
            reason = self.run(2)
            if reason is not Stop.SLICE:
                return reason
        return Stop.SLICE

    def save(self, saved: Saved | None = None) -> Saved:
        """All registers, in ``saved`` where one is given to be used again."""
        if saved is None:
            return Saved(self._engine.context_save(), self.root, self._gs)
        self._save(saved)
        saved.root, saved.gs = self.root, self._gs
        return saved

    def clone(self, saved: Saved) -> Saved:
        """Another one with the same registers. The CPU's own are lost."""
        self._restore(saved)
        self._begin = 0
        self.root, self._gs, self.memory.stale = saved.root, saved.gs, True
        return self.save()

    def forget_translations(self, *, code: bool) -> None:
        """Memory was changed behind the CPU's back; ``code``: what it executes, too."""
        if code:
            self._engine.ctl_flush_tb()
            self.memory.code_gone = True
        self.memory.stale = True

    def load(self, saved: Saved, root: int, gs_base: int) -> None:
        """Bring back what :meth:`save` gave, in the address space at ``root``."""
        self._restore(saved)
        self._begin = 0
        if self.veil.drawn:
            self.veil.lift()
        # Setting CR3 empties what the CPU has cached of the page tables.
        if self.memory.stale or root != self.root or root != saved.root or gs_base != saved.gs:
            self.root, self._gs = root, gs_base
            self._set_both(gs_base, root)
            self.memory.stale = False
        else:
            self._gs = gs_base

    def forget_exception(self) -> None:
        """The last exception is handled: the next is no double fault."""
        if self.watch.armed:
            self.watch.forget_exception()
            return
        renew(self._engine, self._fresh.context)
        self.set_root(self.root)

    def set_gs(self, base: int) -> None:
        """Where gs begins: the processor control region."""
        self._gs = base
        self._write_gs(base)

    def set_root(self, root: int) -> None:
        """Use the page tables at ``root`` from now on."""
        if self.veil.drawn:
            self.veil.lift()
        self.root = root
        self._set_cr3(root)
        self.memory.stale = False

    def registers(self) -> dict[str, int]:
        """All general registers and rip by their lower-case names."""
        return dict(zip(self._names, self._read_all(), strict=True))

    def kept(self) -> tuple[int, int, bytes]:
        """While a handler runs: its stub, rsp, 64 bits each of :data:`.registers.PRESERVED`."""
        start = self._mailbox + KEPT
        rip = self._stubs + self.trap_index * STUB_SIZE
        return rip, self.trap_rsp, self.memory.ram[start : start + KEPT_SIZE]

    def registers_of(self, saved: Saved) -> dict[str, int]:
        """The same of what :meth:`save` gave."""
        read = batch_reader(saved.context, tuple(REGISTERS.values()))
        return dict(zip(self._names, read(), strict=True))

    def vectors(self) -> dict[str, int]:
        """xmm0 to xmm15 by their names, 128 bits each."""
        return {name: self._engine.reg_read(number) for name, number in VECTORS.items()}

    def set_registers(self, registers: Mapping[str, int]) -> None:
        """Set those that are given, by their lower-case names."""
        self._begin = 0
        for name, value in registers.items():
            if name in OTHERS:
                self._engine.reg_write(OTHERS[name], value)
            else:
                self._engine.reg_write(REGISTERS[name], value & _MASK)

    def flags(self) -> int:
        """RFLAGS."""
        value: int = self._engine.reg_read(x86.UC_X86_REG_EFLAGS)
        return value

    def flush(self) -> None:
        """Make the CPU see page-table entries that became stricter."""
        self._set_cr3(self.root)
        self.memory.stale = False

    def _stop(self, reason: Stop) -> None:
        self._reason = reason
        self._emu_stop()

    # -- hooks --------------------------------------------------------------------------------

    def _returned(self, value: int, *_: int) -> None:
        self.value = value
        self._stop(Stop.RETURNED)

    def _on_syscall(self, _engine: Any, _data: Any) -> None:
        ram = self.memory.ram
        index, a, b, c, d, rsp = MAILBOX.unpack_from(ram, self._mailbox)
        self.trap_rsp = rsp
        self.trap_index = index
        self.trapping = True
        try:
            value = self.handlers[index](a, b, c, d, rsp)
            self.trapping = False
            if value.__class__ is int:
                if self.attention and index:
                    self.value = value
                    self._stop(Stop.YIELDED)
                    return
                _U64.pack_into(ram, self._mailbox + RESULT, value)
                if (self.irql > 1) is not self.veil.drawn:
                    self.veil.sync()
                if self.memory.stale:
                    self.flush()
            elif index:
                self.value = value
                self._stop(Stop.DEFERRED)
        except BaseException as error:
            # ``trapping`` is kept set: whoever reports the error wants to know that a call was
            # under way.
            self._error = error
            self._stop(Stop.FAULT)

    def _on_interrupt(self, engine: Any, vector: int, _data: Any) -> None:
        rip = self._rip()
        if self.watch.armed and self.watch.takes(vector, rip):
            return
        if vector in (14, 8):
            address = engine.reg_read(x86.UC_X86_REG_CR2)
            if self.veil.hides_locked(address):
                self._unveil = True
                engine.emu_stop()
                return
            self.fault = Fault(14, rip, address, access_of(self, address, rip))
        else:
            if vector == 3:
                rip -= 1
            elif vector == 0x29:
                rip -= 2
            self.fault = Fault(vector, rip)
        self._stop(Stop.FAULT)

    def _on_invalid(self, engine: Any, _data: Any) -> bool:
        self.fault = Fault(6, self._rip())
        self._stop(Stop.FAULT)
        return True

    def invalid(self, address: int) -> None:
        """From a hook: the instruction at ``address`` does not exist."""
        self.fault = Fault(6, address)
        self._stop(Stop.FAULT)

    def end_slice(self) -> None:
        """From a hook: give the processor up behind the current instruction."""
        self._stop(Stop.SLICE)

    def _set_irql(self, level: int) -> None:
        self.irql = level

    def _on_instruction(self, _engine: Any, _address: int, _size: int, _data: Any) -> None:
        if self._budget is not None:
            self._budget -= 1
            if self._budget < 0:
                self._stop(Stop.BUDGET)


_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
