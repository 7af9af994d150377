"""After a bug check: the routines that drivers registered for it, at HIGH_LEVEL.

WDK pages: "KBUGCHECK_CALLBACK_ROUTINE callback function (wdm.h)",
"KBUGCHECK_REASON_CALLBACK_ROUTINE callback function (wdm.h)", "Writing a Bug Check Callback
Routine".
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from . import watchdog
from .bugcheck import BugCheck
from .execution import Call, Flow, GuestFault, Outcome, RaisedStatus, Steps, Stopped
from .structs import Struct, const, place, size_of

if TYPE_CHECKING:
    from .callbacks import Registration
    from .kernel import Kernel

_HIGH_LEVEL: Final = 15
_STARTED, _FINISHED = 2, 3  # BufferStarted, BufferFinished
#: How much a reason callback may add to a dump here, bytes.
_ROOM: Final = 4096
#: A callback that runs longer than this is given up, in instructions.
_LONGEST: Final = 1_000_000
_TAG: Final = int.from_bytes(b"KBug", "little")


def run_callbacks(k: Kernel) -> None:
    """Call what is registered, newest first, reason callbacks last.

    A callback that fails ends this, and nothing more.
    """
    k.system.crashing = True
    kinds = "KeRegisterBugCheckCallback", "KeRegisterBugCheckReasonCallback"
    records = [r for kind in kinds for r in reversed(k.callbacks.of(kind))]
    if not records:
        return
    flow = Flow(k, k.new_stack())
    flow.start(_activity(k, records), "KiScanBugCheckCallbackList")
    k.scheduler.take_over(flow, _HIGH_LEVEL)
    try:
        for _ in range(64):
            if flow.step(_LONGEST) is not Outcome.YIELDED:
                break
    except (BugCheck, GuestFault, RaisedStatus, Stopped, MemoryError):
        # Windows gives up on the rest too when a callback faults.
        return


def endless(k: Kernel) -> BugCheck | None:
    """The bug check that code which the time limit stopped was on its way to, if one."""
    check = watchdog.endless(k)
    if check is not None:
        check.report = k.report(check, trapped=False)
        run_callbacks(k)
    return check


def _activity(k: Kernel, records: list[Registration]) -> Steps:
    for registration in records:
        if "Reason" in registration.kind:
            yield from _secondary_data(k, registration)
            continue
        record = Struct(k.memory, "KBUGCHECK_CALLBACK_RECORD", registration.cookie)
        record["State"] = _STARTED
        yield Call(registration.routine, (record["Buffer"], record["Length"]))
        record["State"] = _FINISHED


def _secondary_data(k: Kernel, registration: Registration) -> Steps:
    name = "KBUGCHECK_SECONDARY_DUMP_DATA"
    buffer = k.pool.allocate(_ROOM, _TAG)
    data = Struct(k.memory, name, k.pool.allocate(size_of(name), _TAG))
    data["InBuffer"], data["InBufferLength"], data["MaximumAllowed"] = buffer, _ROOM, _ROOM
    reason = const("KbCallbackSecondaryDumpData")
    arguments = (reason, registration.cookie, data.address, size_of(name))
    yield Call(registration.routine, arguments)
    size = min(data["OutBufferLength"], _ROOM)
    if size and data["OutBuffer"]:
        at, length = place(name, "Guid")
        guid = uuid.UUID(bytes_le=k.memory.read(data.address + at, length))
        k.system.secondary_data[str(guid)] = k.memory.read(data["OutBuffer"], size)
