"""What a driver has on the machine now: devices, handles, IRPs, pool, threads. Looked at only.

Nothing here changes the machine, lets time pass or tells an event. Guest memory is a driver's, who
may have damaged it: what cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata

from ..machine.memory import MemoryFault
from .io_file import File
from .irp import Irp, PastIrp, current_location
from .pool_use import OTHER, TagUse
from .structs import Struct

if TYPE_CHECKING:
    from ..machine.unwind import ModuleImage
    from .kernel import Kernel
    from .objects import Device

#: Completed IRPs that are told of, the last ones.
_LAST_IRPS: Final = 32
_UNITS: Final = 10_000_000
_SYSTEM: Final = 4
_PENDING_RETURNED: Final = 1  # SL_PENDING_RETURNED
_KERNEL_SPACE: Final = 1 << 47

Row = dict[str, Any]


def driver_state(k: Kernel, name: str, most: int) -> Row:
    """All that a driver called ``name`` has, at most ``most`` rows of each kind.

    Also of one that is not loaded (any more): it has nothing then but the course of its pool. The
    whole numbers of rows are under ``counts``.
    """
    driver = k.drivers.get(name)
    found: Row = {"time": k.now / _UNITS, "loaded": driver is not None}
    if driver is not None:
        found |= {"base": f"{driver.base:#x}", "image_size": driver.size}
        found["unload_pending"] = driver.unload_pending
    lists: dict[str, Sequence[Row]] = {
        "devices": [_device(k, device) for device in k.objects.of(name)],
        "links": [
            {"name": link.name, "target": link.target}
            for link in k.objects.links.values()
            if link.owner == name
        ],
        "handles": list(_handles(k, name)),
        "pool": _pool(k, name),
        "irps": list(_irps(k, name)),
        "threads": [
            {
                "thread": thread.id,
                "priority": thread.priority,
                "state": f"waits for {thread.wait.why or 'something'}" if thread.wait else "ready",
            }
            for thread in k.ps.threads.values()
            if thread.owner == name and not thread.ended
        ],
        "timers": list(_timers(k, name)),
        "dpcs": [
            {"dpc": f"{dpc.object:#x}", "routine": _routine(k, dpc.routine)}
            for dpc in k.scheduler.dpcs.pending()
            if _module(k, dpc.routine) == name
        ],
        "work_items": [
            {"item": f"{item.address:#x}", "routine": _routine(k, item.routine), "state": state}
            for state, items in (("queued", k.workers.queued), ("running", k.workers.running))
            for item in items.values()
            if item.owner == name
        ],
    }
    found["counts"] = {kind: len(rows) for kind, rows in lists.items()}
    return {**found, **{kind: list(rows[:most]) for kind, rows in lists.items()}}


def _device(k: Kernel, device: Device) -> Row:
    return {
        "address": f"{device.address:#x}",
        "name": device.name,
        "type": _field(k, "DEVICE_OBJECT", device.address, "DeviceType"),
        "handles": device.handles,
        "exclusive": device.exclusive,
        "deleted": device.deleted,
        "attached_to": _attached(k, device),
    }


def _attached(k: Kernel, device: Device) -> str:
    """The device below it in its stack, empty where it is the lowest."""
    lower = _field(k, "DEVOBJ_EXTENSION", device.extension, "AttachedTo")
    return _device_name(k, lower) if lower else ""


def _device_name(k: Kernel, address: int) -> str:
    known = k.objects.known.get(address)
    return (known.name if known is not None else "") or (f"{address:#x}" if address else "")


def _handles(k: Kernel, name: str) -> Iterable[Row]:
    for pid, table in k.ob.tables.items():
        process = k.ps.processes.get(pid)
        for number, entry in table.items():
            file = entry.object.payload
            if not isinstance(file, File) or file.device.owner != name:
                continue
            by = process.name if process is not None else f"process {pid}"
            yield {
                "handle": number,
                "path": file.path,
                "device": _device_name(k, file.device.address),
                "by": entry.owner or ("the kernel" if pid == _SYSTEM else by),
                # What this client can use; others' numbers mean nothing to it.
                "own": pid == k.ps.client.pid and not entry.owner,
            }


def _pool(k: Kernel, name: str) -> list[Row]:
    tags = k.pool.use.drivers.get(name, {}) if k.pool.use is not None else {}
    rows = [_tag(k, tag, use) for tag, use in tags.items()]
    return sorted(rows, key=lambda row: (-row["bytes"], -row["peak"], row["tag"]))


def _tag(k: Kernel, tag: int, use: TagUse) -> Row:
    raw = tag.to_bytes(4, "little") if tag != OTHER else b""
    text = "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in raw)
    course = [[at / _UNITS, size] for at, size in zip(use.times, use.sizes, strict=True)]
    return {
        "tag": text or "(others)",
        "live": use.live,
        "bytes": use.bytes,
        "peak": use.peak,
        "made": use.made,
        "course": [*course, [k.now / _UNITS, use.bytes]],
    }


# -- IRPs -----------------------------------------------------------------------------------------


def _irps(k: Kernel, name: str) -> Iterable[Row]:
    """Those that are on their way, oldest first; then the last ones that were completed."""
    for record in k.irps.live.values():
        if _concerns(k, record, name):
            yield _live(k, record)
    gone = ((a, r) for a, r in reversed(k.irps.gone.items()) if _concerns(k, r, name))
    for address, past in islice(gone, _LAST_IRPS):
        row = _irp(k, address, past)
        row |= {"state": "completed" if past.completed else "freed", "since": past.ended / _UNITS}
        row["status"] = ntdata.status_name(past.status) if past.completed else ""
        yield row


def _concerns(k: Kernel, irp: Irp | PastIrp, name: str) -> bool:
    device = k.objects.known.get(irp.device)
    return name in (irp.holder, irp.owner) or (device is not None and device.owner == name)


def _irp(k: Kernel, address: int, irp: Irp | PastIrp) -> Row:
    thread = k.ps.thread_objects.get(irp.thread)
    return {
        "irp": f"{address:#x}",
        "major": _major(irp.major) if irp.device else "",
        "device": _device_name(k, irp.device),
        "thread": thread.id if thread is not None else 0,
        "by": irp.owner or "the I/O manager",
    }


def _live(k: Kernel, record: Irp) -> Row:
    row = _irp(k, record.address, record)
    row |= {"state": _state(k, record), "since": record.since / _UNITS, "status": ""}
    if record.cancelled or _field(k, "IRP", record.address, "Cancel"):
        row["status"] = "being cancelled"
    return row


def _state(k: Kernel, record: Irp) -> str:
    """Where a live IRP is.

    ``made``: it was not sent yet; ``in the driver``: a dispatch routine has it; ``pending``: that
    has returned, and nobody can cancel it now; ``queued``: pending, and it can be cancelled.
    """
    if record.completed:
        return "completed"
    if not record.sent:
        return "made"
    if record.address < _KERNEL_SPACE:
        return "unreadable"
    try:
        irp = Struct(k.memory, "IRP", record.address)
        marked = current_location(k, irp)["Control"] & _PENDING_RETURNED
        if not marked:
            return "in the driver"
        return "queued" if irp["CancelRoutine"] else "pending"
    except MemoryFault:
        return "unreadable"


def _major(number: int) -> str:
    for name, value in ntdata.constants("IRP_MJ_").items():
        if value == number and name != "IRP_MJ_MAXIMUM_FUNCTION":
            return name
    return f"{number:#x}"


# -- timers ---------------------------------------------------------------------------------------


def _timers(k: Kernel, name: str) -> Iterable[Row]:
    for timer in k.timers.set_timers.values():
        if timer.owner == name:
            due = timer.alarm.due / _UNITS if timer.alarm is not None else None
            yield {"timer": f"{timer.object:#x}", "due": due, "period": timer.period / _UNITS}


def _routine(k: Kernel, address: int) -> str:
    """An address as ``module+0x…``."""
    module = _image(k, address)
    return f"{module.name}+{address - module.base:#x}" if module is not None else f"{address:#x}"


def _image(k: Kernel, address: int) -> ModuleImage | None:
    # Not k.driver_at(), which keeps what it found last.
    return next((m for m in k.modules if m.base <= address < m.base + m.size), None)


def _module(k: Kernel, address: int) -> str:
    module = _image(k, address)
    return module.name if module is not None else ""


def _field(k: Kernel, struct: str, address: int, field: str) -> int:
    """A field of a structure that may be gone or damaged; 0 where it cannot be read."""
    try:
        # Reading user memory could bring it in.
        return Struct(k.memory, struct, address)[field] if address >= _KERNEL_SPACE else 0
    except MemoryFault:
        return 0
