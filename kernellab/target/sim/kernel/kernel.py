"""The simulated NT kernel: the machine and everything that lives on it, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kernellab.protocol import Frame, RelatedStack

from ..machine.cpu import Cpu, Fault
from ..machine.memory import PAGE, Memory, MemoryFault, canonical
from ..machine.stubs import STUB_SIZE
from ..machine.unwind import ModuleImage, RawFrame
from ..machine.veil import pageable
from . import bugcheck, crash, exceptions, ps_notify
from . import driver as drivers
from .bugcheck import BugCheck, Report
from .callbacks import Callbacks, Registration
from .clock import Clock
from .cm import ConfigurationManager, KeyBody
from .cm_watch import Watch
from .dispatcher import Dispatcher
from .driver import NtFailure
from .events import Bus
from .ex_timers import ExTimers
from .execution import Activity, Call, Context, Flow, GuestFault, Level, RaisedStatus, Steps
from .fs import OpenFile, Volume
from .interrupt import Interrupts
from .irp import Irps
from .locks import Locks
from .lookaside import LookasideLists
from .mdl import MdlManager
from .module_list import ModuleList
from .names import ObjectNames
from .ob import Object, ObjectManager
from .objects import Namespace
from .paging import DriverPaging
from .physmem import PhysicalMemoryManager
from .pnp import PnpManager
from .pnp_interface import Interface
from .pool import Pool
from .power import PowerState
from .process import ProcessManager
from .scheduler import CALL_UNITS, NEVER, Scheduler
from .section import SectionManager
from .system import SystemState
from .thread import Dpc, Thread
from .timers import Timers
from .user_access import UserAccesses
from .wmi import WmiState
from .workers import Workers

#: Where things are; fixed, so that runs are the same. Windows randomises these at boot.
STUBS_BASE: Final = 0xFFFF_F805_1000_0000
CODE_BASE: Final = 0xFFFF_F805_1100_0000
DATA_BASE: Final = 0xFFFF_F805_1200_0000
DRIVER_BASE: Final = 0xFFFF_F805_2000_0000
STACK_BASE: Final = 0xFFFF_FA80_0001_0000

NTOSKRNL: Final = "ntoskrnl.exe"

#: Kernel stacks are this far apart, most of it unmapped.
_STACK_STEP: Final = 0x2_0000

#: Virtual time is counted in units of 100 ns, as NT counts it: so many make a second.
UNITS: Final = 10_000_000

#: 1601 to the machine's boot, 2024-01-01 00:00 UTC, in units: fixed, so that runs repeat.
BOOT_TIME: Final = 133_485_408_000_000_000

_OBJECT_TAG: Final = int.from_bytes(b"Obj ", "little")

Emit = Callable[[str, dict[str, Any]], None]


class Kernel:
    """One booted machine. ``exports`` are what drivers can import, by name.

    ``emit(kind, fields)`` takes the events: ``dbgprint``, ``state``, ``violation``,
    ``bugcheck``. ``seed`` decides the interleaving of threads on the simulated ``processors``.
    """

    def __init__(
        self,
        exports: Mapping[str, Any],
        emit: Emit,
        *,
        processors: int = 2,
        seed: int = 0,
        pool_guard: str = "after",
        device_memory: Mapping[int, bytes] | None = None,
        ports: Mapping[int, int] | None = None,
        files: str = "",
    ) -> None:
        self.memory = Memory()
        self.emit = emit
        self.exports = exports
        #: Virtual time since boot, in units of 100 ns; when the next alarm is due.
        self.now = 0
        self.alarm = NEVER
        #: Virtual time of one call into the kernel: less while several processors are busy.
        self.call_units = CALL_UNITS
        self.boot_time = BOOT_TIME
        #: What happens inside, for whoever listens: the verifier, a trace.
        self.bus = Bus()
        self.tell = self.bus.tell
        self.pool = Pool(self.memory, pool_guard, seed, self)
        self.mdl = MdlManager(self)
        self.paging = DriverPaging(self)
        self.physical = PhysicalMemoryManager(self, device_memory or {}, ports or {})
        self.sections = SectionManager(self)
        self.lookaside = LookasideLists(self)
        self.drivers: dict[str, Any] = {}
        #: IRPs, by address.
        self.irps = Irps()
        #: Asynchronous requests of the client whose results were not taken, by number.
        self.requests: dict[int, Any] = {}
        self.modules: list[ModuleImage] = []
        #: Where the last address that was looked up was found.
        self._last_module: ModuleImage | None = None
        #: Drivers that were unloaded, the last ones.
        self.unloaded: list[ModuleImage] = []
        self.next_driver_base = DRIVER_BASE
        self._names: list[str] = [""]
        self._addresses: dict[str, int] = {}
        self._next_stack = STACK_BASE
        self.cpu = Cpu(self.memory, STUBS_BASE)
        self.cpu.read_port = self.physical.read_port
        self.cpu.write_port = self.physical.write_port
        self._install()
        self.fresh_context = self.cpu.save()
        self.clock = Clock(self, processors)
        self.dispatcher = Dispatcher(self)
        self.scheduler = Scheduler(self, processors, seed)
        self.cpu.on_irql = self.scheduler.set_irql
        self.ob = ObjectManager(self)
        self.names = ObjectNames(self)
        self.callbacks = Callbacks(self)
        #: Opens of registry keys whose changes somebody wants to be told of.
        self.key_watches: list[Watch] = []
        self.cm = ConfigurationManager(self)
        self.files = Volume(self, files)
        #: Handles of the client that were closed with their driver's unload: whose they were.
        self.closed_handles: dict[int, str] = {}
        #: Registrations by the address that the driver unregisters them by.
        self.registrations: dict[int, Registration] = {}
        #: What ObRegisterCallbacks registered, by what it is unregistered by.
        self.handle_watchers: dict[int, list[Registration]] = {}
        self.objects = Namespace(self)
        #: What each OBJECT_TYPE is, by address.
        self.object_types: dict[int, str] = {}
        self.timers = Timers(self)
        self.locks = Locks()
        #: Saved floating-point state by where the driver thinks it is: thread, IRQL, registers.
        self.floating: dict[int, tuple[int, int, tuple[Any, ...]]] = {}
        self.workers = Workers(self)
        self.ex_timers = ExTimers(self)
        self.system = SystemState()
        self.pnp = PnpManager(self)
        self.interrupts = Interrupts(self)
        self.power = PowerState()
        self.wmi = WmiState()
        #: Device interfaces by name, see :mod:`.pnp_interface`.
        self.interfaces: dict[str, Interface] = {}
        self.ps = ProcessManager(self)
        self.user_accesses = UserAccesses(self)
        #: The flow of execution whose registers the CPU has.
        self.flow: Flow = self.ps.loader
        #: The address of the cancel spin lock.
        self.cancel_lock = self.new_object(8)
        #: Devices to be told of a shutdown, the last that asked first; those of the second round.
        self.shutdown: list[int] = []
        self.last_chance_shutdown: list[int] = []
        #: IRPs that wait for StartIo to return, by device.
        self.deferred_start_io: dict[int, list[int]] = {}
        self.module_list = ModuleList(self)
        path = f"\\SystemRoot\\system32\\{NTOSKRNL}"
        self.module_list.add(NTOSKRNL, path, STUBS_BASE, DRIVER_BASE - STUBS_BASE, 0)
        self._install_data()

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

    def _install_data(self) -> None:
        data = [(e.name, e.data(self)) for e in self.exports.values() if e.data is not None]
        if data:
            self._place(DATA_BASE, data, execute=False)

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
        return self.now / UNITS

    @property
    def thread(self) -> Thread:
        """The current thread; in a DPC, the one that it interrupted."""
        return self.ps.current

    @property
    def in_system_service(self) -> bool:
        """Whether driver code runs on behalf of a user-mode call, rather than a system thread."""
        return not self.ps.current.system

    def pageable(self, address: int) -> bool:
        """Whether Windows could have paged out what is at ``address``."""
        return pageable(self.memory, address)

    def new_stack(self) -> int:
        """Where the next kernel stack begins; around it nothing is mapped."""
        address = self._next_stack
        self._next_stack += _STACK_STEP
        return address

    def new_object(self, size: int) -> int:
        """Memory for an object that is opaque to drivers."""
        address = self.pool.allocate(size, _OBJECT_TAG)
        if not address:
            raise NtFailure(
                "STATUS_INSUFFICIENT_RESOURCES", "the simulated machine is out of memory"
            )
        return address

    def object_path(self, obj: Object) -> str:
        """An object's full name, also that of keys and files; empty where it has none."""
        if isinstance(obj.payload, KeyBody):
            return obj.payload.node.path
        if isinstance(obj.payload, OpenFile):
            return self.names.path_of(self.files.device) + obj.payload.node.path
        return self.names.path_of(obj)

    def image_loaded(self, path: str, pid: int, base: int, size: int) -> Steps:
        """Tell drivers of an image that was mapped; ``pid`` is 0 for a driver's own."""
        return ps_notify.image_loaded(self, path, pid, base, size)

    def run(self, activity: Activity, name: str, *, user: bool = False) -> Any:
        """Run an activity to its end on the system's thread, or on the client's when ``user``.

        Other threads run meanwhile, and for a moment afterwards. Raises what the activity
        answers with (NtFailure), :class:`BugCheck` with the report made from the state at that
        moment as ``report``, :class:`~.execution.Stopped` and :class:`~.scheduler.Stuck`.
        """
        return self.run_on(self.ps.idle_client_thread() if user else self.ps.loader, activity, name)

    def run_on(self, thread: Thread, activity: Activity, name: str) -> Any:
        """Run an activity to its end on a thread that rests; see :meth:`run`."""
        self.ps.start(thread, activity, name)
        self.drive(thread)
        if thread.error is not None:
            raise thread.error
        self.drive(None)
        return thread.value

    def drive(self, thread: Thread | None, *, units: int = 0) -> None:
        """Let the machine run: to a thread's end, for some virtual time, or until it settles."""
        try:
            self._drive(thread, units)
        except BugCheck:
            crash.run_callbacks(self)
            raise

    def _drive(self, thread: Thread | None, units: int) -> None:
        try:
            if thread is not None:
                self.scheduler.run(thread)
            elif units:
                self.scheduler.pass_time(units)
            else:
                self.scheduler.settle()
        except GuestFault as error:
            check = bugcheck.for_fault(self, error.fault)
            check.report = self.report(check, trapped=False, rip=error.fault.rip)
            raise check from error
        except MemoryFault as error:
            # The fault is inside an export, on the driver's behalf.
            vector = 14 if canonical(error.address) else 13
            fault = Fault(vector, self.cpu.registers()["rip"], error.address, error.access)
            check = bugcheck.for_fault(self, fault)
            check.report = self.report(check, trapped=True)
            raise check from error
        except RaisedStatus as error:
            check = bugcheck.for_status(
                *(self, error.status, str(error)), flags=error.flags, parameters=error.parameters
            )
            check.report = self.report(check, trapped=True)
            raise check from error
        except BugCheck as check:
            check.report = self.report(check, trapped=True)
            raise

    def is_answer(self, error: Exception) -> bool:
        """Whether an error of an activity is its answer, rather than the machine's end."""
        return isinstance(error, NtFailure) or type(error).__name__ == "Refused"

    def dispatch_exception(
        self, flow: Flow, error: GuestFault | MemoryFault | RaisedStatus
    ) -> Level | None:
        """What handles an exception in guest code; None where nothing does (a bug check)."""
        return exceptions.dispatch(self, flow, error)

    def dpc_activity(self, dpc: Dpc) -> Steps:
        """Call a DPC's routine, and see that it returns at DISPATCH_LEVEL."""
        yield from drivers.at_same_irql(self, Call(dpc.routine, dpc.arguments), "a DPC")

    # -- what is told ---------------------------------------------------------------------------

    def report(self, check: BugCheck, *, trapped: bool, rip: int | None = None) -> Report:
        """Everything worth knowing about a bug check, taken now.

        ``trapped``: it happened inside an export, rather than in the driver's own code; there,
        ``rip`` is the instruction that caused it (the CPU's own is behind it for a trap).
        """
        self.tell("bug-check", check)
        context = self.flow.context(trapped=trapped, rip=rip)
        frames = self.frames(context)
        instruction = ""
        if not trapped:
            from ..machine.disassemble import instruction as decode

            rip = context.registers["rip"]
            code = self.memory.try_read(rip, 15) or self.memory.try_read(rip, -rip & 0xFFF)
            instruction = decode(code or b"", rip)
        known = {*self.drivers, *(module.name for module in self.unloaded)}
        driver = next((f.module for f in frames if f.module in known), "")
        driver = driver or self.driver_at(self.flow.callee)
        return Report(
            check.code,
            check.name,
            check.parameters,
            check.message,
            driver,
            frames,
            instruction,
            context.registers,
            [
                RelatedStack(label, tuple(self.frames(moment, live=False)))
                for label, moment in check.related
            ],
        )

    def frames(self, context: Context, *, live: bool = True) -> list[Frame]:
        """A call stack as the protocol has it; routines of the kernel by their names."""
        found = self.flow.walk(context, live=live)
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
        address = self.memory.u64(self.flow.trap_rsp)
        last = self._last_module
        if last is not None and last.base <= address < last.base + last.size:
            return last.name
        return self.driver_at(address) or self.driver_at(self.flow.callee)

    def routine(self) -> str:
        """The kernel's routine that a driver is in, by its name; empty where it is in none."""
        levels = self.flow.levels
        if self.cpu.trapping:
            return self._names[self.cpu.trap_index]
        return levels[-1].export.name if levels and levels[-1].export is not None else ""

    def in_kernel(self, address: int) -> bool:
        """Whether an address is in the kernel's own code."""
        return STUBS_BASE <= address < DRIVER_BASE

    def unloaded_at(self, address: int) -> ModuleImage | None:
        """The unloaded driver whose image was at ``address``."""
        for module in reversed(self.unloaded):
            if module.base <= address < module.base + module.size:
                return module
        return None

    def driver_at(self, address: int) -> str:
        """The driver whose image holds ``address``; empty for none."""
        last = self._last_module
        if last is not None and last.base <= address < last.base + last.size:
            return last.name
        for module in self.modules:
            if module.base <= address < module.base + module.size and module.name != NTOSKRNL:
                self._last_module = module
                return module.name
        return ""

    def forget_module(self, module: ModuleImage) -> None:
        """The image of a driver is gone."""
        self.modules.remove(module)
        self._last_module = None
