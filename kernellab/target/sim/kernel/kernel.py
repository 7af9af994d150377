"""The simulated NT kernel: the machine and everything that lives on it, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kernellab.protocol import Frame, frame_fields

from ..machine.cpu import STUB_SIZE, Cpu, Fault
from ..machine.memory import PAGE, Memory, MemoryFault, canonical
from ..machine.unwind import ModuleImage, RawFrame
from . import bugcheck
from .bugcheck import BugCheck, Report
from .execution import Activity, Context, GuestFault, Thread
from .objects import Namespace
from .pool import Pool
from .structs import well_formed

#: Where things are; fixed, so that runs are the same. Windows randomises these at boot.
STUBS_BASE: Final = 0xFFFF_F805_1000_0000
CODE_BASE: Final = 0xFFFF_F805_1100_0000
DATA_BASE: Final = 0xFFFF_F805_1200_0000
DRIVER_BASE: Final = 0xFFFF_F805_2000_0000
STACK_BASE: Final = 0xFFFF_FA80_0001_0000

NTOSKRNL: Final = "ntoskrnl.exe"

#: Virtual time that a call into the kernel takes, seconds.
TICK: Final = 1e-6

Emit = Callable[[str, dict[str, Any]], None]


class Kernel:
    """One booted machine. ``exports`` are what drivers can import, by name.

    ``emit(kind, fields)`` takes the events: ``dbgprint``, ``state``, ``violation``,
    ``bugcheck``.
    """

    def __init__(self, exports: Mapping[str, Any], emit: Emit) -> None:
        self.memory = Memory()
        self.emit = emit
        self.exports = exports
        self.ticks = 0
        self.waited = 0.0
        #: Whether driver code runs on behalf of a user-mode call, rather than a system thread.
        self.in_system_service = False
        self.pool = Pool(self.memory)
        self.objects = Namespace()
        self.drivers: dict[str, Any] = {}
        #: IRPs that the I/O manager has sent and that are not completed, by address.
        self.requests: dict[int, Any] = {}
        self.modules: list[ModuleImage] = []
        self.next_driver_base = DRIVER_BASE
        self._reported: set[tuple[object, ...]] = set()
        self._names: list[str] = [""]
        self._addresses: dict[str, int] = {}
        #: The system process's object: opaque to drivers, so it has no contents.
        self.system_process = self.pool.allocate(0x800, int.from_bytes(b"Proc", "little"))
        self.cpu = Cpu(self.memory, STUBS_BASE)
        self._install()
        self.thread = Thread(self, 4, STACK_BASE)

    # -- exports ------------------------------------------------------------------------------

    def _install(self) -> None:
        functions = [e for e in self.exports.values() if e.function is not None]
        for entry in functions:
            self._addresses[entry.name] = self.cpu.stub(len(self._names))
            self._names.append(entry.name)
            self.cpu.handlers.append(entry.bind(self))
        self.cpu.install_stubs(len(self._names))
        # Index 0, where host calls return to, is left out: a walk goes on from there.
        size = len(self._names) * STUB_SIZE
        self.modules.append(ModuleImage(NTOSKRNL, STUBS_BASE + STUB_SIZE, b"", size=size))
        code = [e for e in self.exports.values() if e.code]
        if code:
            self._place(CODE_BASE, [(e.name, e.code) for e in code], execute=True)
        data = [e for e in self.exports.values() if e.data is not None]
        if data:
            self._place(DATA_BASE, [(e.name, e.data(self)) for e in data], execute=False)

    def _place(self, base: int, blobs: list[tuple[str, bytes]], *, execute: bool) -> None:
        image = bytearray()
        for name, blob in blobs:
            self._addresses[name] = base + len(image)
            image += blob.ljust(-(-len(blob) // 16) * 16, b"\xcc" if execute else b"\0")
        pages = -(-len(image) // PAGE)
        self.memory.map(base, pages, write=not execute, execute=execute)
        self.memory.write_image(base, bytes(image))
        self.modules.append(ModuleImage(NTOSKRNL, base, b"", size=pages * PAGE))

    def stub_of(self, name: str) -> int:
        """The address of an export, 0 where it is not implemented."""
        return self._addresses.get(name, 0)

    def export_address(self, name: str) -> int:
        """What a driver that imports ``name`` gets: 0 for what is the kernel's own routine."""
        entry = self.exports.get(name)
        return 0 if entry is None or entry.internal else self.stub_of(name)

    # -- running driver code --------------------------------------------------------------------

    @property
    def irql(self) -> int:
        """The current IRQL, 0 to 15."""
        return self.cpu.irql

    @property
    def time(self) -> float:
        """Virtual seconds since boot."""
        return self.ticks * TICK + self.waited

    def run(self, activity: Activity, name: str, *, user: bool = False) -> Any:
        """Run an activity on the system thread, or on the client's when ``user``.

        Raises :class:`BugCheck` with the report made from the state at that moment as
        ``report``, and :class:`~.execution.Stopped`.
        """
        self.in_system_service = user
        self.cpu.irql = 0
        try:
            return self.thread.run(activity, name)
        except GuestFault as error:
            check = bugcheck.for_fault(self, error.fault)
            check.report = self.report(check, trapped=False)
            raise check from error
        except MemoryFault as error:
            # The fault is inside an export, on the driver's behalf.
            vector = 14 if canonical(error.address) else 13
            fault = Fault(vector, self.cpu.registers()["rip"], error.address, error.access)
            check = bugcheck.for_fault(self, fault)
            check.report = self.report(check, trapped=True)
            raise check from error
        except BugCheck as check:
            check.report = self.report(check, trapped=True)
            raise

    # -- what is told ---------------------------------------------------------------------------

    def report(self, check: BugCheck, *, trapped: bool) -> Report:
        """Everything worth knowing about a bug check, taken now.

        ``trapped``: it happened inside an export, rather than in the driver's own code.
        """
        context = self.thread.context(trapped=trapped)
        frames = self.frames(context)
        instruction = ""
        if not trapped:
            from ..machine.disassemble import instruction as decode

            rip = context.registers["rip"]
            code = self.memory.try_read(rip, 15) or self.memory.try_read(rip, -rip & 0xFFF)
            instruction = decode(code or b"", rip)
        driver = next((f.module for f in frames if f.module in self.drivers), "")
        driver = driver or self.driver_at(self.thread.callee)
        return Report(
            check.code,
            check.name,
            check.parameters,
            check.message,
            driver,
            frames,
            instruction,
            context.registers,
        )

    def frames(self, context: Context, *, live: bool = True) -> list[Frame]:
        """A call stack as the protocol has it; routines of the kernel by their names."""
        found = self.thread.walk(context, live=live)
        return [self._frame(raw, context.name) for raw in found]

    def _frame(self, raw: RawFrame, name: str) -> Frame:
        address = f"{raw.address:#x}"
        if raw.address == self.cpu.stub(0):
            return Frame(address, NTOSKRNL, 0, function=name)
        if raw.module != NTOSKRNL:
            return Frame(address, raw.module, raw.rva)
        if STUBS_BASE <= raw.address < CODE_BASE:
            index = (raw.address - STUBS_BASE) // STUB_SIZE
            function = self._names[index] if index < len(self._names) else ""
        else:
            placed = [(a, n) for n, a in self._addresses.items() if a <= raw.address]
            function = max(placed)[1] if placed else ""
        return Frame(address, NTOSKRNL, raw.rva, function=function)

    def undo_code(self, registers: dict[str, int]) -> None:
        """Inside ``__chkstk``, go back to its entry: it has no unwind data to walk by."""
        entry = self.stub_of("__chkstk")
        inside = registers["rip"] - entry
        if entry and 0 <= inside < STUB_SIZE * 3:
            registers["rsp"] += 16 if inside >= 4 else 8 if inside >= 2 else 0
            registers["rip"] = entry

    def caller(self) -> str:
        """The driver that made the current call into the kernel, by its return address.

        A call at the end of a routine that the kernel called can be a jump, which returns to
        the kernel: then it is the driver of that routine.
        """
        found = self.driver_at(self.memory.u64(self.thread.trap_rsp))
        return found or self.driver_at(self.thread.callee)

    def driver_at(self, address: int) -> str:
        """The driver whose image holds ``address``; empty for none."""
        for module in self.modules:
            if module.base <= address < module.base + module.size and module.name != NTOSKRNL:
                return module.name
        return ""

    def violation(self, rule: str, message: str, driver: str = "", *, context: Any = None) -> None:
        """Report a broken rule, once for each place it is broken at."""
        kept = context is not None
        if context is None and self.thread.in_export:
            context = self.thread.context(trapped=True)
        frames = self.frames(context, live=not kept) if context is not None else []
        driver = driver or (self.caller() if self.thread.in_export else "")
        message = well_formed(message)
        key = (driver, rule, message, *(f.address for f in frames[:4]))
        if key in self._reported:
            return
        self._reported.add(key)
        self.emit(
            "violation",
            {
                "driver": driver,
                "rule": rule,
                "message": message,
                "frames": [frame_fields(f) for f in frames],
            },
        )

    def forget_violations(self, driver: str) -> None:
        """Report again what ``driver`` does wrong: it is loaded anew."""
        self._reported = {key for key in self._reported if key[0] != driver}

    def irql_too_high(self, entry: Any) -> None:
        """An export was called above the IRQL that its WDK page allows."""
        self.violation(
            "irql-too-high",
            f"{entry.name} was called at IRQL {self.cpu.irql}; it may be called at"
            f" {entry.irql} at most",
        )
