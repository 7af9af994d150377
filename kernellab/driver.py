"""A loaded driver, and an open handle to one of its devices, as Python objects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from .errors import (
    Bugcheck,
    KernelLabError,
    NtStatusError,
    TargetLost,
    TargetStopped,
    TargetTimeout,
    UsageError,
)
from .hardware import DeviceNode, add_device
from .inspect.inspected import Inspected
from .prints import Prints
from .protocol import BugcheckEvent, DbgPrint, Event, State, Violation
from .request import DeviceRequest, Result
from .session import reply_bytes
from .stream import DbgLog

if TYPE_CHECKING:
    from .build.symbols import Symbols
    from .editing.disassembly import Disassembly
    from .lab import Target
    from .system import PlainValue
    from .trace import Trace
    from .verifier import VerifierSetting


#: A driver's state while its unload waits for open handles.
PENDING: Final = "unload pending"


class Driver(Inspected):
    """A driver on a target. Its log stays readable after it was unloaded."""

    def __init__(self, target: Target, name: str, image: Path) -> None:
        self.target = target
        self.name = name
        #: The ``.sys`` file that was loaded.
        self.image = image
        #: Values for its service's Parameters key, set with each load.
        self.parameters: dict[str, PlainValue] = {}
        #: What it printed: :class:`~kernellab.stream.DbgLog`, live.
        self.log = DbgLog()
        #: What the verifier found in it.
        self.violations: list[Violation] = []
        #: Which rules hold for it, from its next load on; None for all that the machine has.
        self.verifier: VerifierSetting | None = None
        #: The bug check it caused, if it did.
        self.bugcheck: BugcheckEvent | None = None
        #: ``new``, ``loading``, ``running``, ``unload pending``, ``unloaded``, ``failed``,
        #: ``bug check``, ``timed out``, ``interrupted`` or ``gone`` (with its machine).
        self.state = "new"
        #: Why it failed, or what its pending unload waits for, in a sentence; else empty.
        self.error = ""
        #: Seconds on the wall clock: ``build``, ``load`` (DriverEntry's return), ``first_line``
        #: (first DbgPrint seen here, counted from the start of the load).
        self.timings: dict[str, float] = {}
        #: When the first line of the last load was seen here, as ``time.perf_counter`` has it.
        self.first_line_at = 0.0
        self._symbols: Symbols | None = None
        self._trace: Trace | None = None
        self._started = 0.0
        #: Its source by the names that debug information has for it, where that is known.
        self.sources: Mapping[str, str] = {}
        # An interrupt came while it was loaded: whether it is on the machine is not known.
        self._in_doubt = False
        #: Called with this driver after each change of its state.
        self.on_state: Callable[[Driver], None] | None = None

    @property
    def running(self) -> bool:
        """Whether it is loaded and its DriverEntry succeeded."""
        return self.state == "running"

    @property
    def loaded(self) -> bool:
        """Whether its image is on the machine: it runs, or its unload is pending."""
        return self.state in ("running", PENDING)

    @property
    def trace(self) -> Trace:
        """What ran while it was loaded last: a :class:`~kernellab.trace.Trace`.

        It is there where the cell has ``--trace``, or ``target.start_trace()`` came before.
        Raises UsageError where nothing was recorded.
        """
        if self._trace is None:
            raise UsageError(
                f"nothing was recorded of {self.name}: `%%rustdriver {self.name} --trace`, or"
                " target.start_trace() before it is loaded"
            )
        return self._trace

    def end_trace(self) -> None:
        """Record no more, where what is recorded is this driver's trace; it stays."""
        if self._trace is not None and self._trace is self.target._recorded:
            self.target._end_trace()

    def unload(self, *, close_handles: bool = False, timeout: float | None = None) -> None:
        """Run DriverUnload and take the driver away; does nothing when it is not running.

        While handles to its devices are open, the unload is pending as on Windows: nothing opens
        them any more, and DriverUnload runs when the last is closed. ``close_handles`` closes
        those of this client first.

        Raises NtStatusError when the driver has no DriverUnload, Bugcheck, TargetTimeout.
        """
        with self.exclusive():
            if not self.running and not (close_handles and self.loaded):
                return
            asked = {"close_handles": True} if close_handles else {}
            try:
                reply = self.target.call("unload", timeout=timeout, driver=self.name, **asked)
            except NtStatusError:
                raise  # it is still there
            except BaseException as error:
                self._failed(error)
                raise
            self.error = str(reply.get("pending", ""))
            self._set_state(PENDING if self.error else "unloaded")

    def reload(self, *, timeout: float | None = None) -> None:
        """Unload it where it runs and load the same image again; the log goes on."""
        with self.exclusive():
            current = self.target.drivers.get(self.name)
            if current is not None and current is not self and current.loaded:
                raise UsageError(
                    f"another {self.name!r} was loaded since this one: unload() that one first"
                )
            self.unload(timeout=timeout)
            if self.loaded:
                raise UsageError(f"{self.name} is not unloaded yet: {self.error}")
            self.target.run(self, timeout=timeout)

    def disassembly(self, function: str) -> Disassembly:
        """The machine code of ``function`` beside its source; errors as for ``disassemble``."""
        from .editing.disassembly import disassemble

        return disassemble(self, function)

    @contextmanager
    def exclusive(self, waiting: Callable[[], object] | None = None) -> Iterator[None]:
        """Keep the target to this thread: other threads' calls wait until the block has ended.

        ``waiting`` is called first where another thread's call is under way; it has its own
        time limit, and so this waits no longer than that.
        """
        with exclusive(self.target, waiting):
            yield

    def open(self, path: str | None = None, *, timeout: float | None = None) -> DeviceHandle:
        r"""Open ``path``, or ``\\.\`` and this driver's name where none is given."""
        return self.target.open(path or rf"\\.\{self.name}", timeout=timeout)

    def add_device(
        self,
        hardware_id: str | Sequence[str] = (),
        *,
        compatible_ids: Sequence[str] = (),
        description: str = "",
        interrupt: int = 0,
        memory: Sequence[tuple[int, int]] = (),
        ports: Sequence[tuple[int, int]] = (),
        timeout: float | None = None,
    ) -> DeviceNode:
        """A Plug and Play device for this driver: its AddDevice is called, then it is started.

        ``memory`` and ``ports`` are physical (start, length) ranges and ``interrupt`` a vector
        (0x31 to 0xCF) that IRP_MN_START_DEVICE gives the driver as resources. Raises NtStatusError
        where AddDevice or the start fails.
        """
        ids = (hardware_id,) if isinstance(hardware_id, str) else hardware_id
        return add_device(
            self,
            hardware_ids=ids,
            compatible_ids=compatible_ids,
            description=description,
            interrupt=interrupt,
            memory=memory,
            ports=ports,
            timeout=timeout,
        )

    def __repr__(self) -> str:
        count = len(self.log.lines)
        lines = "1 line" if count == 1 else f"{count} lines"
        found = f", {len(self.violations)} violations" if self.violations else ""
        why = f" ({self.error})" if self.error else ""
        return f"<Driver {self.name} on {self.target.name}: {self.state}{why}, {lines}{found}>"

    # -- kept up by the target ------------------------------------------------------------------

    def _begin(self, symbols: Symbols | None) -> None:
        self._symbols = symbols
        self._trace = self.target._recorded
        self.log.reopen()
        self._started = time.perf_counter()
        self.timings.pop("first_line", None)
        self.error, self.bugcheck = "", None
        self._set_state("loading")

    def _note(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.driver != self.name:
                continue
            if isinstance(event, DbgPrint | Prints):
                if "first_line" not in self.timings:
                    self.first_line_at = time.perf_counter()
                    self.timings["first_line"] = self.first_line_at - self._started
            elif isinstance(event, Violation):
                self.violations.append(event)
            elif isinstance(event, BugcheckEvent):
                self.bugcheck = event
                self._set_state("bug check")
            elif isinstance(event, State) and event.state == "running":
                self.timings["load"] = time.perf_counter() - self._started
                self._set_state("running")
            elif isinstance(event, State) and event.state == "unloaded" and self.state == PENDING:
                self.error = ""
                self._set_state("unloaded")

    def _failed(self, error: BaseException) -> None:
        self._in_doubt = isinstance(error, KeyboardInterrupt)
        if isinstance(error, Bugcheck):
            state = "bug check"
        elif isinstance(error, TargetTimeout):
            state = "timed out"
        elif isinstance(error, KeyboardInterrupt):
            state = "interrupted"
        else:
            state = "failed"
        self.error = str(error) or state
        if isinstance(error, KernelLabError):
            error.driver = self
        self._set_state(state)

    def _stopped(self) -> None:
        """Its machine has stopped; who was loading learns why from its own error."""
        if self.loaded:
            self._set_state("gone")

    def _gone(self) -> None:
        if self.loaded or self.state == "loading":
            self._set_state("gone")
        self.log.close()

    def _restored(self, state: str) -> None:
        """Its machine went back to a snapshot, in which it was in ``state``."""
        self.error, self.bugcheck = "", None
        if state in ("running", PENDING):
            self.log.reopen()
        self._set_state(state)

    def _set_state(self, state: str) -> None:
        self.state = state
        if self.on_state is not None:
            self.on_state(self)


class DeviceHandle:
    """An open handle to a device (a FILE_OBJECT on the target). Close it, or use ``with``."""

    def __init__(self, target: Target, path: str, handle: int) -> None:
        self.target = target
        self.path = path
        self._handle: int | None = handle
        self._machine = target.reboots

    @property
    def number(self) -> int | None:
        """The handle as the target has it; None once it was closed here."""
        return self._handle

    def read(self, length: int, offset: int = 0, *, timeout: float | None = None) -> bytes:
        """IRP_MJ_READ: up to ``length`` bytes, as many as the driver's Information says."""
        return reply_bytes(self._call("read", timeout, length=length, offset=offset))

    def read_async(
        self, length: int, offset: int = 0, *, timeout: float | None = None
    ) -> DeviceRequest[bytes]:
        """The same without waiting for its end."""
        return self._start("read", timeout, reply_bytes, length=length, offset=offset)

    def write(self, data: bytes, offset: int = 0, *, timeout: float | None = None) -> int:
        """IRP_MJ_WRITE: how many bytes the driver took (its Information)."""
        return _information(self._call("write", timeout, data=bytes(data), offset=offset))

    def write_async(
        self, data: bytes, offset: int = 0, *, timeout: float | None = None
    ) -> DeviceRequest[int]:
        """The same without waiting for its end."""
        return self._start("write", timeout, _information, data=bytes(data), offset=offset)

    def flush(self, *, timeout: float | None = None) -> None:
        """IRP_MJ_FLUSH_BUFFERS."""
        self._call("flush", timeout)

    def ioctl(
        self,
        code: int,
        data: bytes = b"",
        out_size: int = 0,
        *,
        output: bytes = b"",
        timeout: float | None = None,
    ) -> bytes:
        """IRP_MJ_DEVICE_CONTROL with a control code: the output, at most ``out_size`` bytes.

        ``output`` is what the output buffer holds before: with METHOD_IN_DIRECT a driver reads
        it. The buffer is as long as it at least.
        """
        return reply_bytes(self._call("ioctl", timeout, **_control(code, data, out_size, output)))

    def ioctl_async(
        self,
        code: int,
        data: bytes = b"",
        out_size: int = 0,
        *,
        output: bytes = b"",
        timeout: float | None = None,
    ) -> DeviceRequest[bytes]:
        """The same without waiting for its end."""
        fields = _control(code, data, out_size, output)
        return self._start("ioctl", timeout, reply_bytes, **fields)

    def close(self, *, timeout: float | None = None) -> None:
        """IRP_MJ_CLEANUP and IRP_MJ_CLOSE. Safe to call twice."""
        handle, self._handle = self._handle, None
        if handle is not None and self.target.reboots == self._machine:
            self.target.call("close", timeout=timeout, handle=handle)

    def _call(self, command: str, timeout: float | None, **fields: Any) -> dict[str, Any]:
        if self._handle is None:
            raise TargetLost(f"the handle to {self.path} is closed")
        if self.target.reboots != self._machine:
            raise TargetStopped(f"the handle to {self.path} is gone: the machine was rebooted")
        return self.target.call(command, timeout=timeout, handle=self._handle, **fields)

    def _start(
        self,
        command: str,
        timeout: float | None,
        take: Callable[[dict[str, Any]], Result],
        **fields: Any,
    ) -> DeviceRequest[Result]:
        reply = self._call(command, timeout, asynchronous=True, **fields)
        return DeviceRequest(self.target, f"{command} on {self.path}", reply, take)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if error is None or not self.target.stopped:
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self._handle is None else "open"
        return f"<DeviceHandle {self.path}: {state}>"


def _information(reply: dict[str, Any]) -> int:
    return int(reply.get("information", 0))


def _control(code: int, data: bytes, out_size: int, output: bytes) -> dict[str, Any]:
    size = max(out_size, len(output))
    return {"code": code, "data": bytes(data), "out_size": size, "output": bytes(output)}


@contextmanager
def exclusive(target: Target, waiting: Callable[[], object] | None = None) -> Iterator[None]:
    """:meth:`Driver.exclusive`, before there is a driver."""
    lock = target._busy
    if not lock.acquire(blocking=False):
        if waiting is not None:
            waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def clear_up(driver: Driver | None) -> None:
    """Take away what an interrupted load may have left on the machine."""
    if driver is None or not driver._in_doubt:
        return
    driver._in_doubt = False
    try:
        driver.target.call("unload", driver=driver.name, close_handles=True)
    except UsageError:
        pass  # it was not loaded
    except NtStatusError:
        driver._set_state("running")
        take_away(driver)


def take_away(driver: Driver) -> None:
    """Unload a driver, and close what is open of it; one that cannot be goes with its machine."""
    try:
        driver.unload(close_handles=True)
        why = driver.error if driver.loaded else ""
    except NtStatusError as error:
        why = str(error)
    if not why:
        return
    others = [d.name for d in driver.target.drivers.values() if d.loaded and d is not driver]
    if others:
        raise UsageError(
            f"{driver.name} cannot be unloaded ({why}), and {', '.join(others)} run on the"
            f" same machine: {driver.name}.target.reboot() takes them all away"
        )
    driver.target.reboot()
