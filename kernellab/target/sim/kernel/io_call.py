"""IRPs on their way: down by IofCallDriver, up by IofCompleteRequest.

WDK pages: "IofCallDriver function (wdm.h)", "IofCompleteRequest function (wdm.h)", "Implementing
IoCompletion Routines", "Using IRP stack locations", "Bug Check 0x44:
MULTIPLE_IRP_COMPLETE_REQUESTS".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from . import irp as irps
from .bugcheck import BugCheck
from .driver import returned
from .execution import Activity, Call, Steps
from .io_finish import finish
from .irp import Irp, Origin
from .structs import Struct, const, place, size_of

if TYPE_CHECKING:
    from .kernel import Kernel

_MORE_PROCESSING: Final = 0xC000_0016
_LOCATION: Final = size_of("IO_STACK_LOCATION")
_TABLE: Final = place("DRIVER_OBJECT", "MajorFunction")[0]
_PENDING_RETURNED: Final = 1
#: What of a stack location is cleared on the way up begins there.
_MINOR: Final = place("IO_STACK_LOCATION", "MinorFunction")[0]
_FILE: Final = place("IO_STACK_LOCATION", "FileObject")[0]


def steps(activity: Activity) -> Steps:
    """Another activity as a part of this one, for ``yield from``."""
    value = None
    while True:
        try:
            request = activity.send(value)
        except StopIteration as stop:
            return stop.value
        value = yield request


class CallDriver:
    """Pass an IRP to the next stack location's driver; the value is its dispatch routine's."""

    __slots__ = ("_call", "_device", "_irp", "_irql", "_k", "_location", "_record")

    def __init__(self, k: Kernel, device: int, irp: int) -> None:
        self._k, self._device, self._irp = k, device, irp
        self._call: Call | None = None
        self._record: Irp | None = None
        self._irql = self._location = 0

    def send(self, value: int | None) -> Call:
        if self._call is None:
            self._call = self._enter()
            return self._call
        k, record, routine = self._k, self._record, self._call.address
        status = (value or 0) & 0xFFFFFFFF
        returned(k, "a dispatch routine", routine, self._irql)
        if record is not None:
            self._judge(record, routine, status)
        raise StopIteration(status)

    def _judge(self, record: Irp, routine: int, status: int) -> None:
        """Say how the routine returned, now or when it is known whether it marked the IRP."""
        k, location = self._k, self._location
        marked = record.marked.get(location)
        if marked is None:
            if record.address not in k.irps.live:
                return
            irp = Struct(k.memory, "IRP", record.address)
            if irp["CurrentLocation"] != location:
                # A lower driver has it: a completion routine may mark it yet.
                record.returned[location] = (routine, status)
                return
            control = irps.current_location(k, irp)["Control"]
            marked = bool(control & _PENDING_RETURNED)
        k.tell("dispatch-returned", k.driver_at(routine), record, routine, status, marked)

    def _enter(self) -> Call:
        k, device = self._k, self._device
        record = k.irps.live.get(self._irp)
        self._record = record
        if record is None and self._irp in k.irps.gone:
            raise BugCheck(
                *("MULTIPLE_IRP_COMPLETE_REQUESTS", self._irp),
                message="An IRP was passed to IofCallDriver that was completed or freed already.",
            )
        irp = Struct(k.memory, "IRP", self._irp)
        if irp["Type"] != const("IO_TYPE_IRP"):
            raise BugCheck(
                *("DRIVER_VERIFIER_IOMANAGER_VIOLATION", 3, self._irp),
                message=f"IofCallDriver was given {self._irp:#x}, which is no IRP.",
            )
        current = irp["CurrentLocation"] - 1
        if current <= 0:
            raise BugCheck(
                *("NO_MORE_IRP_STACK_LOCATIONS", self._irp),
                message="An IRP was passed down further than it has stack locations.",
            )
        target = Struct(k.memory, "DEVICE_OBJECT", device)
        if target["Type"] != const("IO_TYPE_DEVICE"):
            raise BugCheck(
                *("DRIVER_VERIFIER_IOMANAGER_VIOLATION", 4, device),
                message=f"IofCallDriver was given {device:#x}, which is no device object.",
            )
        irp["CurrentLocation"] = current
        location = irps.next_location(k, irp)
        irp["Tail.Overlay.CurrentStackLocation"] = location.address
        location["DeviceObject"] = device
        major = location["MajorFunction"]
        routine = k.memory.u64(target["DriverObject"] + _TABLE + 8 * min(major, 0x1B))
        if record is not None:
            record.device, record.major, record.since = device, major, k.now
            record.holder = k.driver_at(routine)
            record.sent = record.sent or current
            record.marked.pop(current, None)
            record.returned.pop(current, None)
            k.tell("irp-sent", record)
        self._irql, self._location = k.cpu.irql, current
        k.tell("callback-entered", "a dispatch routine", routine, self._irql)
        return Call(routine, (device, self._irp))


def complete(k: Kernel, address: int) -> int | CompleteRequest:
    """Complete an IRP: done at once, or the activity that calls its completion routines."""
    activity = CompleteRequest(k, address)
    activity.first = activity.advance()
    return 0 if activity.first is None else activity


class CompleteRequest:
    """Call completion routines from where the IRP is upwards, then finish it."""

    __slots__ = ("_address", "_call", "_irql", "_k", "first")

    def __init__(self, k: Kernel, address: int) -> None:
        self._k, self._address = k, address
        self._call: Call | None = None
        self._irql = 0
        self.first: Call | None = None
        self._check()

    def send(self, value: int | None) -> Call:
        call, self.first = self.first, None
        if call is None:
            assert self._call is not None
            returned(self._k, "a completion routine", self._call.address, self._irql)
            if (value or 0) & 0xFFFFFFFF == _MORE_PROCESSING:
                raise StopIteration(0)
            call = self.advance()
        if call is None:
            raise StopIteration(0)
        return call

    def _check(self) -> None:
        k, address = self._k, self._address
        record = k.irps.live.get(address)
        gone = k.irps.gone.get(address) if record is None else None
        if gone is not None:
            how = "completed" if gone.completed else "freed"
            raise BugCheck(
                *("MULTIPLE_IRP_COMPLETE_REQUESTS", address),
                message=f"An IRP was completed that was {how} already.",
            )
        irp = Struct(k.memory, "IRP", address)
        if irp["Type"] != const("IO_TYPE_IRP") or irp["CurrentLocation"] > irp["StackCount"] + 1:
            raise BugCheck(
                *("MULTIPLE_IRP_COMPLETE_REQUESTS", address),
                message="An IRP was completed that was completed already, or was never sent.",
            )
        status = irp["IoStatus.Status"]
        if status == const("STATUS_PENDING"):
            k.tell("irp-completed-pending", address)
        if record is not None:
            record.context, record.status = k.flow.keep(), status
            k.tell("irp-completed", record, status, irp["CancelRoutine"])

    def advance(self) -> Call | None:
        """Go up to the next completion routine that is to be called; None at the end."""
        k = self._k
        while True:
            irp = Struct(k.memory, "IRP", self._address)
            record = k.irps.live.get(self._address)
            count, current = irp["StackCount"], irp["CurrentLocation"]
            while current <= count:
                call = self._leave(irp, record, current, count)
                current += 1
                if call is not None:
                    return call
            if current == count + 1:
                irp["CurrentLocation"] = current + 1
                irp["Tail.Overlay.CurrentStackLocation"] += _LOCATION
            if record is not None:
                record.sent = 0
            master = finish(k, irp, record)
            if not master:
                return None
            self._address = master

    def _leave(self, irp: Struct, record: Irp | None, current: int, count: int) -> Call | None:
        """Go up one stack location; its completion routine's call where there is one."""
        k = self._k
        location = irps.current_location(k, irp)
        control = location["Control"]
        routine, context = location["CompletionRoutine"], location["Context"]
        pending = bool(control & _PENDING_RETURNED)
        irp["PendingReturned"] = pending
        if record is not None:
            record.marked[current] = pending
            known = record.returned.pop(current, None)
            if known is not None:
                k.tell("dispatch-returned", k.driver_at(known[0]), record, *known, pending)
            if current >= record.sent:
                record.sent = 0
        irp["CurrentLocation"] = current + 1
        irp["Tail.Overlay.CurrentStackLocation"] = location.address + _LOCATION
        success = ntdata.nt_success(irp["IoStatus.Status"])
        wanted = const("SL_INVOKE_ON_SUCCESS" if success else "SL_INVOKE_ON_ERROR")
        if irp["Cancel"]:
            wanted |= const("SL_INVOKE_ON_CANCEL")
        upper = Struct(k.memory, "IO_STACK_LOCATION", location.address + _LOCATION)
        call = None
        if routine and control & wanted:
            device = upper["DeviceObject"] if current < count else 0
            call = Call(routine, (device, irp.address, context))
            if record is not None:
                record.holder = k.driver_at(routine)
        elif pending and current < count:
            # Nobody above looks at PendingReturned: the I/O manager passes it on.
            upper["Control"] |= _PENDING_RETURNED
        # MinorFunction, Flags and Control; FileObject, CompletionRoutine and Context.
        k.memory.write(location.address + _MINOR, bytes(3))
        k.memory.write(location.address + _FILE, bytes(24))
        self._call, self._irql = call, k.cpu.irql
        if call is not None:
            k.tell("callback-entered", "a completion routine", routine, self._irql)
        return call


__all__ = ["CallDriver", "CompleteRequest", "Origin", "complete", "steps"]
