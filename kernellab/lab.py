"""The Python API behind everything: connect to a target, load drivers, talk to devices.

::

    with kernellab.connect("sim") as target:
        driver = target.load("hello.sys")
        print(driver.log)
        with target.open(r"\\\\.\\Echo") as device:
            device.write(b"ping")
            print(device.read(4))
        driver.unload()
"""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from . import guest, hearing, ntdata, protocol
from .build.symbols import Symbols, symbolize
from .calls import GRACE, Calls
from .crate import validate_name
from .deploy import image_for
from .driver import DeviceHandle, Driver, clear_up
from .errors import (
    KernelLabError,
    TargetLost,
    TargetStopped,
    TargetTimeout,
    Unsupported,
    UsageError,
)
from .hardware import Hardware
from .prints import Events, Prints, addressed
from .protocol import BugcheckEvent, DbgPrint, Dropped, ErrorEvent, Event, State, Violation
from .session import RequestFailed, Session
from .snapshot import Snapshot, write_crash_dump
from .system import PlainValue, System, encode_parameters
from .target import registry, steps
from .target.base import Endpoint
from .target.power.base import SNAPSHOT
from .trace.client import Traces
from .verifier import VerifierSetting, checked

#: Seconds that driver code may run for one request unless asked otherwise.
TIMEOUT: Final = 10.0

Subscriber = Callable[[Sequence[Event]], None]


def connect(name: str = "sim", *, timeout: float = TIMEOUT, **options: Any) -> Target:
    """Start a target and return it ready for use.

    ``timeout`` is how many seconds driver code may run for one request. ``fresh`` begins on a
    machine as it was in its snapshot, as ``refresh`` does. ``sim`` also takes
    ``seed`` (which interleaving of threads, 0 unless given), ``processors`` (2 unless given, 1
    to 64), ``pool_guard`` (the side of small pool allocations where a stray access faults at once:
    ``after`` unless given, ``before``, or ``mixed``, which lets the seed decide),
    ``device_memory`` (``{physical address: bytes, or how many zero bytes}``, for MmMapIoSpace),
    ``ports`` (``{number: value}``, for READ_PORT_UCHAR and its kind), ``files`` (a folder whose
    files drivers find in ``C:``) and ``verifier``: ``"off"``, or which rules are off, such as
    ``{"leak-pool": False}`` (``kernellab rules`` lists them). Raises UsageError for an unknown name
    or option and TargetLost when the target cannot be started.
    """
    return Target(name, timeout=timeout, **options)


class Target(Calls, Hardware, System, Traces):
    """A machine that drivers are loaded on. Use it as a context manager, or :meth:`close` it."""

    def __init__(self, name: str = "sim", *, timeout: float = TIMEOUT, **options: Any) -> None:
        self.name = name
        self.timeout = timeout
        #: Drivers by name, also those that have been unloaded.
        self.drivers: dict[str, Driver] = {}
        #: What the verifier found since the target was connected, oldest first.
        self.violations: list[Violation] = []
        #: The bug check that stopped the machine, until it is rebooted.
        self.bugcheck: BugcheckEvent | None = None
        #: How many times the machine was rebooted.
        self.reboots = 0
        self._kind = registry.get(name)
        fresh = options.pop("fresh", False)
        self._settings = {n: v for n, v in options.items() if n in self._kind.settings}
        self._options = {n: v for n, v in options.items() if n not in self._settings}
        if "verifier" in self._settings:
            self._settings["verifier"] = checked(self._settings["verifier"])
        self._settings = self._kind.encode(self._settings)
        self._stopped = ""
        self._closed = False
        self._early: deque[DbgPrint] = deque()  # what was printed while no driver was loaded
        self._early_lost = 0
        self._busy = threading.RLock()
        self._subscribers: dict[Subscriber, None] = {}  # in order
        self._endpoint: Endpoint
        self._session: Session
        self._start(self._kind.fresh(_snapshot(fresh)) if fresh else {})

    # -- drivers and devices ------------------------------------------------------------------

    def load(
        self,
        image: str | Path,
        *,
        name: str | None = None,
        timeout: float | None = None,
        budget: int | None = None,
        verifier: VerifierSetting | None = None,
        parameters: Mapping[str, PlainValue] | None = None,
    ) -> Driver:
        """Load a ``.sys`` and run its DriverEntry; return the running driver.

        ``name`` is the service's name (the file's without ``.sys`` unless given), ``timeout``
        the seconds DriverEntry may run, ``budget`` its instructions where the target counts
        them, ``verifier`` which rules do not hold for this driver, as for :func:`connect`.
        ``parameters`` are put into the Parameters key of its service before. A ``.pdb`` beside
        the image gives frames their lines.

        Raises LoadError (not an image for this target, or an import it lacks), NtStatusError
        (DriverEntry returned a failure), Bugcheck, TargetTimeout, TargetLost; each has the
        driver, with its log so far, as ``.driver``.
        """
        path = Path(image)
        driver = self.prepare(path, name=name, verifier=verifier)
        driver.parameters = dict(parameters or {})
        self.run(driver, timeout=timeout, budget=budget)
        return driver

    def prepare(
        self,
        image: str | Path,
        *,
        name: str | None = None,
        verifier: VerifierSetting | None = None,
    ) -> Driver:
        """A driver object for ``image``, not loaded yet: subscribe to its events, then ``run``."""
        path = Path(image)
        name = validate_name(name or path.stem)
        current = self.drivers.get(name)
        if current is not None and current.loaded:
            what = current.error or f"{name}.unload() it, or reload() it"
            raise UsageError(f"{name!r} is already loaded: {what}")
        driver = Driver(self, name, path)
        driver.verifier = verifier
        return driver

    def run(
        self, driver: Driver, *, timeout: float | None = None, budget: int | None = None
    ) -> None:
        """Load a prepared or unloaded driver and run its DriverEntry; errors as for ``load``."""
        with self._busy:
            self._ready()
            clear_up(self.drivers.get(driver.name))
            self.drivers[driver.name] = driver
            driver._begin(Symbols.beside(driver.image))
            try:
                self._load(driver, timeout or self.timeout, budget)
            except BaseException as error:
                driver._failed(error)
                raise

    def _load(self, driver: Driver, timeout: float, budget: int | None) -> None:
        data = image_for(self._kind, driver.image)
        file = f"{driver.name}.sys"
        for offset in range(0, max(len(data), 1), protocol.PUT_CHUNK):
            chunk = data[offset : offset + protocol.PUT_CHUNK]
            self._request("put", GRACE, file=file, offset=offset, data=chunk)
        fields: dict[str, Any] = {"driver": driver.name, "file": file}
        fields |= {"timeout": timeout, "budget": budget}
        if driver.verifier is not None:
            fields["verifier"] = checked(driver.verifier)
        if driver.parameters:
            fields["parameters"] = encode_parameters(driver.parameters)
        hearing.hear(self)  # what was printed before
        self._request("load", timeout + GRACE, **fields)

    def open(
        self,
        path: str,
        *,
        access: str = "rw",
        share: str = "rwd",
        admin: bool = True,
        timeout: float | None = None,
    ) -> DeviceHandle:
        r"""Open a device by its Win32 name, such as ``\\.\Echo`` (sends IRP_MJ_CREATE).

        ``access`` is what for: ``r``, ``w``, ``rw`` or nothing; ``share`` what others may open it
        for meanwhile, of the letters ``rwd``, where the driver looks at that; ``admin`` whether the
        caller is an administrator. Raises NtStatusError, STATUS_OBJECT_NAME_NOT_FOUND say.
        """
        with self._busy:
            self._usable()
            reply = self.call(
                "open", timeout=timeout, path=path, access=access, share=share, admin=admin
            )
        return DeviceHandle(self, path, _int(reply, "handle"))

    def status(self) -> dict[str, Any]:
        """What it says of itself: drivers, devices, links, pool by tag, and what of it is paged."""
        reply = self._request("status", GRACE)
        return {k: v for k, v in reply.items() if k not in ("reply", "ok")}

    def call(self, command: str, *, timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """One request that may run driver code for up to ``timeout`` seconds."""
        seconds = timeout or self.timeout
        reply = self._request(command, seconds + GRACE, timeout=seconds, **fields)
        hearing.hear(self)
        return reply

    def sleep(self, seconds: float, *, timeout: float | None = None) -> None:
        """Let time pass on the machine: timers ring, threads run. On ``sim`` it is virtual time,
        and an hour takes as long as what happens in it."""
        self._usable()
        self.call("sleep", timeout=timeout, seconds=seconds)

    # -- the machine --------------------------------------------------------------------------

    @property
    def stopped(self) -> str:
        """Why the machine has stopped (a bug check, a time-out, ■), or an empty string."""
        return self._stopped

    def reboot(self) -> None:
        """Start the machine afresh. All drivers are gone; their objects keep their logs."""
        with self._busy:
            self._open_for_use()
            self._end_trace()
            try:
                if self._session.lost is None:
                    self._request("reboot", GRACE, **self._settings)
                else:
                    self._restart()
            except (TargetLost, TargetTimeout, Unsupported):
                self._restart()
            self._rebooted()

    def refresh(self, snapshot: str | bool = True) -> None:
        """Start it as it was in its snapshot (``kernellab``, unless another is named).

        ``sim`` and ``wine`` start a new machine. Raises PowerError for a machine that
        ``kernellab.toml`` has no power table of, and for a snapshot that is not there.
        """
        with self._busy:
            self._open_for_use()
            more = self._kind.fresh(_snapshot(snapshot))
            self._end_trace()
            self._restart(more)
            self._rebooted()

    def _rebooted(self) -> None:
        reason, self._stopped, self.bugcheck = self._stopped, "", None
        self._untold = None
        self.reboots += 1
        for driver in self.drivers.values():
            driver._gone()
        self._publish([State(state="rebooted", status=reason)])

    def snapshot(self) -> Snapshot:
        """Keep the whole machine as it is now; ``restore()`` of the result brings it back.

        On ``sim`` only. Raises NtStatusError while a driver is inside a callback of the kernel.
        """
        with self._busy:
            self._usable()
            return Snapshot(self, _int(self.call("snapshot"), "snapshot"))

    def crash_dump(self, path: str | Path) -> int:
        """Write a complete memory dump, of the bug check where there was one; its size, bytes.

        WinDbg and other readers of Windows' kernel dumps open it. On ``sim`` only.
        """
        self._open_for_use()
        return write_crash_dump(self, Path(path))

    def _restore(self, number: int, states: dict[str, str]) -> None:
        with self._busy:
            self._open_for_use()
            self.call("restore", snapshot=number)
            self._stopped, self.bugcheck = "", None
            for name, driver in self.drivers.items():
                driver._restored(states.get(name, "gone"))
            self._publish([State(state="restored")])

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` with each batch of events, symbolised; returns how to stop that.

        Called on the session's thread: it must be quick, and must not call the target.
        """
        self._subscribers[subscriber] = None
        return partial(self._subscribers.pop, subscriber, None)

    def close(self) -> None:
        """End the target and everything it runs. Safe to call twice."""
        if self._closed:
            return
        self._end_trace()
        self._closed = True
        self._endpoint.stop()
        self._session.close()
        for driver in self.drivers.values():
            driver._gone()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        loaded = [d.name for d in self.drivers.values() if d.running]
        state = "closed" if self._closed else self._stopped or "ready"
        return f"<Target {self.name}: {state}, drivers: {', '.join(loaded) or 'none'}>"

    # -- inside -------------------------------------------------------------------------------

    def _start(self, more: Mapping[str, Any] | None = None) -> None:
        made = guest.prepare(self._kind, self._options, steps.progress)
        endpoint = self._kind.start(**self._options, **(more or {}), **made)
        self._endpoint = endpoint
        session = Session(endpoint.reader, endpoint.writer, self._take, self._session_ended)
        self._session = session
        endpoint.resumed = partial(self._resumed, session)
        try:
            hello = session.request("hello", wait=GRACE, columns=True)
        except (KernelLabError, RequestFailed) as error:
            endpoint.stop()
            session.close()
            words = endpoint.last_words()
            raise TargetLost(f"the target {self.name!r} did not start: {words or error}") from error
        version, self.features = hello.get("protocol"), frozenset(hello.get("features", ()))
        if version != protocol.VERSION:
            self.close()
            raise TargetLost(f"the target {self.name!r} speaks protocol {version!r}, not 1")
        if self._settings:
            try:
                self._request("reboot", GRACE, **self._settings)
            except KernelLabError:
                self.close()
                raise

    def _stop(self, reason: str, *, but: str = "") -> None:
        """The machine has stopped: no driver on it runs any more. ``but`` knows it otherwise."""
        self._stopped = self._stopped or reason
        for driver in [each for each in self.drivers.values() if each.name != but]:
            driver._stopped()

    def _restart(self, more: Mapping[str, Any] | None = None) -> None:
        self._told = self._session
        self._endpoint.stop(grace=0.1)
        self._session.close()
        self._start(more)

    def _open_for_use(self) -> None:
        if self._closed:
            raise TargetLost(f"the target {self.name!r} was closed; connect() again")

    def _ready(self) -> None:
        """A machine that runs: reboot it where it has stopped or its endpoint is gone."""
        self._open_for_use()
        if self._stopped or self._session.lost is not None:
            self.reboot()

    def _usable(self) -> None:
        self._open_for_use()
        if (error := self._untold) is not None:
            self._untold = None
            raise error
        if self._stopped:
            raise TargetStopped(
                f"the machine has stopped ({self._stopped}): load a driver again, or reboot() it"
            )

    # -- events, on the session's thread --------------------------------------------------------

    def _take(self, batch: Sequence[Event], *, told: bool = True) -> None:
        if told and self._endpoint.witness is not None:
            hearing.told(self._endpoint.witness, batch)
        on = [d.name for d in self.drivers.values() if d.loaded or d.state == "loading"]
        if not on and self._endpoint.hears_all:
            hearing.keep(self, batch)
        events = addressed([self._symbolized(event) for event in batch], on)
        prints: dict[str, list[DbgPrint | Prints]] = {}
        for event in events:
            if isinstance(event, DbgPrint | Prints):
                prints.setdefault(event.driver, []).append(event)
            elif isinstance(event, Violation):
                self.violations.append(event)
            elif isinstance(event, BugcheckEvent):
                self.bugcheck = event
                self._stop(event.name, but=event.driver)
            elif isinstance(event, Dropped):
                for driver in self.drivers.values():
                    driver.log.count_lost(event.count)
        for name, records in prints.items():
            if name in self.drivers:
                self.drivers[name].log.extend(records)
        for driver in list(self.drivers.values()):
            driver._note(events)
        self._publish(Events(events))

    def _publish(self, events: Sequence[Event]) -> None:
        for subscriber in list(self._subscribers):
            subscriber(events)

    def _symbolize(self, frames: Sequence[protocol.Frame]) -> tuple[protocol.Frame, ...]:
        images = {d.name: d._symbols for d in self.drivers.values() if d._symbols is not None}
        return tuple(symbolize(frames, images))

    def _symbolized(self, event: Event) -> Event:
        if isinstance(event, BugcheckEvent) and not event.name:
            event = dataclasses.replace(event, name=ntdata.bugcheck_name(int(event.code, 16)))
        if isinstance(event, State) and event.status.startswith("0x"):
            event = dataclasses.replace(event, status=ntdata.status_name(int(event.status, 16)))
        if not isinstance(event, Violation | BugcheckEvent | ErrorEvent):
            return event
        if event.frames:
            event = dataclasses.replace(event, frames=self._symbolize(event.frames))
        if not isinstance(event, ErrorEvent) and event.related:
            related = tuple(
                dataclasses.replace(stack, frames=self._symbolize(stack.frames))
                for stack in event.related
            )
            event = dataclasses.replace(event, related=related)
        return event


def _snapshot(name: object) -> str:
    return SNAPSHOT if name is True else str(name)


def _int(reply: dict[str, Any], key: str) -> int:
    value = reply.get(key)
    if not isinstance(value, int):
        raise TargetLost(f"the target's reply has no usable {key!r}")
    return value
