"""The error log: entries that drivers write for the event log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata

from ..kernel.pool import tell_allocated
from ..kernel.structs import Struct, const, place, size_of
from .registry import DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_TAG: Final = int.from_bytes(b"IoEr", "little")
_DUMP: Final = place("IO_ERROR_LOG_PACKET", "DumpData")[0]


@export(
    "PVOID IoAllocateErrorLogEntry(PVOID IoObject, UCHAR EntrySize)",
    irql=DISPATCH_LEVEL,
)
def IoAllocateErrorLogEntry(k: Kernel, IoObject: int, EntrySize: int) -> int:
    """WDK: "IoAllocateErrorLogEntry function (wdm.h)": zeroed; NULL for a size that cannot be."""
    if not size_of("IO_ERROR_LOG_PACKET") - 8 <= EntrySize <= const("ERROR_LOG_LIMIT_SIZE"):
        return 0
    kind = k.memory.u16(IoObject)
    if kind not in (const("IO_TYPE_DEVICE"), const("IO_TYPE_DRIVER")):
        return 0
    address = k.pool.allocate(EntrySize, _TAG, owner=k.caller())
    if address:
        tell_allocated(k, address)
        k.system.log_entries[address] = IoObject
    return address


@export("VOID IoFreeErrorLogEntry(PVOID ElEntry)", irql=DISPATCH_LEVEL)
def IoFreeErrorLogEntry(k: Kernel, ElEntry: int) -> None:
    """WDK: "IoFreeErrorLogEntry function (ntddk.h)": gives an unwritten entry back."""
    _take(k, ElEntry, "IoFreeErrorLogEntry")


@export("VOID IoWriteErrorLogEntry(PVOID ElEntry)", irql=DISPATCH_LEVEL)
def IoWriteErrorLogEntry(k: Kernel, ElEntry: int) -> None:
    """WDK: "IoWriteErrorLogEntry function (wdm.h)": queues it, and frees the packet."""
    about = k.system.log_entries.get(ElEntry)
    if about is not None:
        k.system.error_log.append(_read(k, ElEntry, about))
    _take(k, ElEntry, "IoWriteErrorLogEntry")


def _take(k: Kernel, entry: int, routine: str) -> None:
    if k.system.log_entries.pop(entry, None) is None:
        k.tell(
            "bad-error-log-entry",
            f"{routine} was given {entry:#x}, which is no error log entry, or one that was "
            "written or freed already",
        )
        k.memory.u64(entry)  # faults as it would in Windows, where nothing is mapped
        return
    k.pool.free(k.pool.live[entry])


def _read(k: Kernel, address: int, about: int) -> dict[str, Any]:
    """An entry as the client gets it: numbers as they are, names and texts decoded."""
    packet = Struct(k.memory, "IO_ERROR_LOG_PACKET", address)
    size = k.pool.live[address].size
    dump = min(packet["DumpDataSize"], max(0, size - _DUMP))
    device = k.objects.devices.get(about)
    at, strings = packet["StringOffset"], []
    for _ in range(packet["NumberOfStrings"]):
        raw = k.memory.read(address + at, max(0, size - at))
        units = [raw[n : n + 2] for n in range(0, len(raw) - 1, 2)]
        if b"\0\0" not in units:
            k.tell("bad-error-log-entry", "a string of an error log entry does not end inside it")
            break
        text = b"".join(units[: units.index(b"\0\0")])
        strings.append(text.decode("utf-16-le", "replace"))
        at += len(text) + 2
    return {
        "driver": device.owner if device is not None else k.caller(),
        "device": device.name if device is not None else "",
        "error": packet["ErrorCode"],
        "status": ntdata.status_name(packet["FinalStatus"]),
        "unique": packet["UniqueErrorValue"],
        "major_function": packet["MajorFunctionCode"],
        "retries": packet["RetryCount"],
        "sequence": packet["SequenceNumber"],
        "control_code": packet["IoControlCode"],
        "offset": packet["DeviceOffset"],
        "category": packet["EventCategory"],
        "strings": strings,
        "dump": k.memory.read(address + _DUMP, dump).hex() if dump else "",
        "time": round(k.time, 7),
    }
