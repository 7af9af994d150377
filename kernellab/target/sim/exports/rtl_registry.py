"""The registry by path: RtlQueryRegistryValues and its kin."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..kernel import cm_service as cm
from ..kernel.attributes import Attributes, handle_target
from ..kernel.execution import Steps
from ..kernel.registry_query import Query, read_wide
from ..kernel.structs import const
from .registry import PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel
    from ..kernel.ob import Object

_BASES: Final = (
    "",  # RTL_REGISTRY_ABSOLUTE
    r"\REGISTRY\MACHINE\SYSTEM\CurrentControlSet\Services",
    r"\REGISTRY\MACHINE\SYSTEM\CurrentControlSet\Control",
    r"\REGISTRY\MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion",
    r"\REGISTRY\MACHINE\HARDWARE\DEVICEMAP",
    r"\REGISTRY\USER\.DEFAULT",
)


@dataclass(slots=True)
class _Opened:
    """A key that a routine works on, or why there is none; ``handle`` is to be closed then."""

    status: int
    obj: Object | None = None
    handle: int = 0


def _open(
    k: Kernel, relative: int, path: int, *, create: bool = False
) -> Generator[Any, Any, _Opened]:
    if relative & const("RTL_REGISTRY_HANDLE"):
        return _Opened(0, handle_target(k, path, "Key"))
    base = relative & ~const("RTL_REGISTRY_OPTIONAL")
    if base >= len(_BASES):
        return _Opened(const("STATUS_INVALID_PARAMETER"))
    text = read_wide(k.memory, path) if path else ""
    name = f"{_BASES[base]}\\{text}".rstrip("\\") if base else text
    flags = const("OBJ_CASE_INSENSITIVE") | const("OBJ_KERNEL_HANDLE")
    opening = cm.Opening(k, Attributes(0, name, flags), const("KEY_ALL_ACCESS"), "", create)
    status = yield from cm.NtCreateKey(opening)
    if status:
        return _Opened(status)
    return _Opened(0, handle_target(k, opening.handle, "Key"), opening.handle)


def _close(k: Kernel, opened: _Opened) -> Steps:
    if opened.handle:
        yield from cm.CmCloseHandle(k, opened.handle, k.thread.current_process.pid)


@export(
    "NTSTATUS RtlQueryRegistryValues(ULONG RelativeTo, PCWSTR Path, "
    "PRTL_QUERY_REGISTRY_TABLE QueryTable, PVOID Context, PVOID Environment)",
    irql=PASSIVE_LEVEL,
    simplified="REG_EXPAND_SZ is given as it is: the system process has no environment variables",
)
@ntstatus
def RtlQueryRegistryValues(
    k: Kernel, RelativeTo: int, Path: int, QueryTable: int, Context: int, Environment: int
) -> Steps:
    """WDK: "RtlQueryRegistryValues function (wdm.h)"; how entries are taken: :class:`Query`."""
    opened = yield from _open(k, RelativeTo, Path)
    if opened.obj is None:
        missing = opened.status == const("STATUS_OBJECT_NAME_NOT_FOUND")
        optional = bool(RelativeTo & const("RTL_REGISTRY_OPTIONAL"))
        return 0 if missing and optional else opened.status
    query = Query(k, opened.obj, Context, k.caller())
    try:
        return (yield from query.run(QueryTable))
    finally:
        query.close()
        yield from _close(k, opened)


@export(
    "NTSTATUS RtlWriteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName, "
    "ULONG ValueType, PVOID ValueData, ULONG ValueLength)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def RtlWriteRegistryValue(
    k: Kernel,
    RelativeTo: int,
    Path: int,
    ValueName: int,
    ValueType: int,
    ValueData: int,
    ValueLength: int,
) -> Steps:
    """WDK: "RtlWriteRegistryValue function (wdm.h)"; makes the key where only it is missing."""
    data = k.memory.read(ValueData, ValueLength) if ValueLength else b""
    name = read_wide(k.memory, ValueName) if ValueName else ""
    opened = yield from _open(k, RelativeTo, Path, create=True)
    if opened.obj is None:
        return opened.status
    status = yield from cm.NtSetValueKey(k, opened.obj, name, ValueType, data)
    yield from _close(k, opened)
    return status


@export(
    "NTSTATUS RtlDeleteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def RtlDeleteRegistryValue(k: Kernel, RelativeTo: int, Path: int, ValueName: int) -> Steps:
    """WDK: "RtlDeleteRegistryValue function (wdm.h)"."""
    opened = yield from _open(k, RelativeTo, Path)
    if opened.obj is None:
        return opened.status
    status = yield from cm.NtDeleteValueKey(k, opened.obj, read_wide(k.memory, ValueName))
    yield from _close(k, opened)
    return status


@export("NTSTATUS RtlCheckRegistryKey(ULONG RelativeTo, PWSTR Path)", irql=PASSIVE_LEVEL)
@ntstatus
def RtlCheckRegistryKey(k: Kernel, RelativeTo: int, Path: int) -> Steps:
    """WDK: "RtlCheckRegistryKey function (wdm.h)": whether there is such a key."""
    opened = yield from _open(k, RelativeTo, Path)
    yield from _close(k, opened)
    return opened.status


@export("NTSTATUS RtlCreateRegistryKey(ULONG RelativeTo, PWSTR Path)", irql=PASSIVE_LEVEL)
@ntstatus
def RtlCreateRegistryKey(k: Kernel, RelativeTo: int, Path: int) -> Steps:
    """WDK: "RtlCreateRegistryKey function (wdm.h)"."""
    opened = yield from _open(k, RelativeTo, Path, create=True)
    yield from _close(k, opened)
    return opened.status
