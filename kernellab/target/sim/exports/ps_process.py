"""Processes and threads of others: who they are, opening and ending them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ..kernel import programs
from ..kernel.attributes import handle_target, read_attributes
from ..kernel.execution import Steps
from ..kernel.ob import CURRENT_PROCESS
from ..kernel.ob_notify import Asked, open_watched
from ..kernel.process import Process
from ..kernel.structs import Struct, const, write_unicode_string
from ..kernel.thread import Thread
from .registry import APC_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_NAME_TAG: Final = int.from_bytes(b"SeIn", "little")
#: EPROCESS.ImageFileName holds so many characters and a NUL.
_SHORT_NAME: Final = 14
_STILL_ACTIVE: Final = 0x103  # STATUS_PENDING
_VERSION: Final = (10, 0, 19045)


def _process(k: Kernel, address: int) -> Process:
    payload = k.ob.get(address).payload
    assert isinstance(payload, Process)
    return payload


def _thread(k: Kernel, address: int) -> Thread:
    payload = k.ob.get(address).payload
    assert isinstance(payload, Thread)
    return payload


@export("HANDLE PsGetProcessId(PEPROCESS Process)", irql=HIGH_LEVEL)
def PsGetProcessId(k: Kernel, Process: int) -> int:
    """WDK: "PsGetProcessId function (ntddk.h)"."""
    return _process(k, Process).pid


@export("PUCHAR PsGetProcessImageFileName(PEPROCESS Process)", irql=HIGH_LEVEL)
def PsGetProcessImageFileName(k: Kernel, Process: int) -> int:
    """The file's name without its folder, 14 characters of it at most, as ANSI text.

    Not on a WDK page of its own; the text lies in the EPROCESS, as in Windows.
    """
    name = _process(k, Process).name.encode("ascii", "replace")[:_SHORT_NAME]
    at = Process + 0x5A8
    k.memory.write(at, name.ljust(_SHORT_NAME + 1, b"\0"))
    return at


@export("LONGLONG PsGetProcessCreateTimeQuadPart(PEPROCESS Process)", irql=HIGH_LEVEL)
def PsGetProcessCreateTimeQuadPart(k: Kernel, Process: int) -> int:
    """WDK: "PsGetProcessCreateTimeQuadPart function (ntddk.h)": a system time."""
    return _process(k, Process).created


@export("NTSTATUS PsGetProcessExitStatus(PEPROCESS Process)", irql=APC_LEVEL)
def PsGetProcessExitStatus(k: Kernel, Process: int) -> int:
    """WDK: "PsGetProcessExitStatus function (ntddk.h)": STATUS_PENDING while it runs."""
    process = _process(k, Process)
    return process.exit_status if process.exited else _STILL_ACTIVE


@export("PEPROCESS PsGetThreadProcess(PETHREAD Thread)", irql=HIGH_LEVEL)
def PsGetThreadProcess(k: Kernel, Thread: int) -> int:
    """WDK: "IoThreadToProcess function (ntifs.h)"."""
    return _thread(k, Thread).process.object


@export("PEPROCESS IoThreadToProcess(PETHREAD Thread)", irql=HIGH_LEVEL)
def IoThreadToProcess(k: Kernel, Thread: int) -> int:
    """WDK: "IoThreadToProcess function (ntifs.h)"."""
    return _thread(k, Thread).process.object


@export("HANDLE PsGetThreadProcessId(PETHREAD Thread)", irql=HIGH_LEVEL)
def PsGetThreadProcessId(k: Kernel, Thread: int) -> int:
    """WDK: "PsGetThreadProcessId function (ntddk.h)"."""
    return _thread(k, Thread).process.pid


@export("NTSTATUS PsLookupProcessByProcessId(HANDLE ProcessId, PEPROCESS *Process)", irql=APC_LEVEL)
def PsLookupProcessByProcessId(k: Kernel, ProcessId: int, Process: int) -> int:
    """WDK: "PsLookupProcessByProcessId function (ntifs.h)": referenced, until given back."""
    process = k.ps.processes.get(ProcessId)
    if process is None:
        return const("STATUS_INVALID_CID")
    k.ob.reference(process.object, k.caller())
    k.memory.set_u64(Process, process.object)
    return 0


@export("NTSTATUS PsLookupThreadByThreadId(HANDLE ThreadId, PETHREAD *Thread)", irql=APC_LEVEL)
def PsLookupThreadByThreadId(k: Kernel, ThreadId: int, Thread: int) -> int:
    """WDK: "PsLookupThreadByThreadId function (ntifs.h)": referenced, until given back."""
    thread = k.ps.threads.get(ThreadId)
    if thread is None:
        return const("STATUS_INVALID_CID")
    k.ob.reference(thread.object, k.caller())
    k.memory.set_u64(Thread, thread.object)
    return 0


@export(
    "BOOLEAN PsGetVersion(PULONG MajorVersion, PULONG MinorVersion, PULONG BuildNumber, "
    "PUNICODE_STRING CSDVersion)",
    irql=PASSIVE_LEVEL,
)
def PsGetVersion(
    k: Kernel, MajorVersion: int, MinorVersion: int, BuildNumber: int, CSDVersion: int
) -> bool:
    """WDK: "PsGetVersion function (wdm.h)": FALSE for a free build; any pointer may be null."""
    for pointer, value in zip((MajorVersion, MinorVersion, BuildNumber), _VERSION, strict=True):
        if pointer:
            k.memory.set_u32(pointer, value)
    if CSDVersion:
        Struct(k.memory, "UNICODE_STRING", CSDVersion)["Length"] = 0
    return False


@export(
    "NTSTATUS SeLocateProcessImageName(PEPROCESS Process, PUNICODE_STRING *pImageFileName)",
    irql=PASSIVE_LEVEL,
)
def SeLocateProcessImageName(k: Kernel, Process: int, pImageFileName: int) -> int:
    """WDK: "SeLocateProcessImageName function (ntddk.h)": the caller frees the string."""
    path = _process(k, Process).image
    block = k.pool.allocate(16 + 2 * len(path), _NAME_TAG, paged=True, owner=k.caller())
    if not block:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    write_unicode_string(k.memory, block, block + 16, path)
    k.memory.set_u64(pImageFileName, block)
    return 0


@export(
    "NTSTATUS ZwOpenProcess(PHANDLE ProcessHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, PCLIENT_ID ClientId)",
    irql=PASSIVE_LEVEL,
    simplified="no security: only handle callbacks restrict the access",
)
@ntstatus
def ZwOpenProcess(
    k: Kernel, ProcessHandle: int, DesiredAccess: int, ObjectAttributes: int, ClientId: int
) -> Steps:
    """WDK: "ZwOpenProcess function (ntddk.h)": by process identifier, never by name."""
    attributes = read_attributes(k, ObjectAttributes)
    if attributes.name is not None:
        return const("STATUS_INVALID_PARAMETER_MIX")
    if not ClientId:
        return const("STATUS_INVALID_PARAMETER")
    process = programs.find(k, k.memory.u64(ClientId))
    asked = Asked(
        *(k.ob.get(process.object), k.thread.current_process.pid, DesiredAccess, k.caller()),
        kernel=attributes.has("OBJ_KERNEL_HANDLE"),
        attributes=attributes.flags,
    )
    handle = yield from open_watched(k, asked)
    k.memory.set_u64(ProcessHandle, handle)
    return 0


@export(
    "NTSTATUS ZwTerminateProcess(HANDLE ProcessHandle, NTSTATUS ExitStatus)",
    irql=PASSIVE_LEVEL,
    simplified="notifications come in the caller's context; the client's own cannot be ended",
)
@ntstatus
def ZwTerminateProcess(k: Kernel, ProcessHandle: int, ExitStatus: int) -> int | Steps:
    """WDK: "ZwTerminateProcess function (ntddk.h)"."""
    process = _by_handle(k, ProcessHandle)
    programs.may_end(k, process)
    if process.exited:
        return const("STATUS_PROCESS_IS_TERMINATING")
    return programs.PspExitProcess(k, process, ExitStatus & 0xFFFFFFFF)


def _by_handle(k: Kernel, handle: int) -> Process:
    if handle == CURRENT_PROCESS:
        return k.thread.current_process
    payload = handle_target(k, handle, "Process").payload
    assert isinstance(payload, Process)
    return payload


@export(
    "NTSTATUS ZwQueryInformationProcess(HANDLE ProcessHandle, ULONG ProcessInformationClass, "
    "PVOID ProcessInformation, ULONG ProcessInformationLength, PULONG ReturnLength)",
    irql=PASSIVE_LEVEL,
    simplified="basic information (without a PEB), times, handle count and image file name only",
)
@ntstatus
def ZwQueryInformationProcess(
    k: Kernel,
    ProcessHandle: int,
    ProcessInformationClass: int,
    ProcessInformation: int,
    ProcessInformationLength: int,
    ReturnLength: int,
) -> int:
    """WDK: "ZwQueryInformationProcess function (ntddk.h)"."""
    process = _by_handle(k, ProcessHandle)
    exact = True
    if ProcessInformationClass == const("ProcessBasicInformation"):
        status = process.exit_status if process.exited else _STILL_ACTIVE
        affinity = k.scheduler.all_processors
        raw = struct.pack("<I4xQQi4xQQ", status, 0, affinity, 8, process.pid, process.parent)
    elif ProcessInformationClass == const("ProcessTimes"):
        raw = struct.pack("<QQQQ", process.created, process.exit_time, 0, 0)
    elif ProcessInformationClass == const("ProcessHandleCount"):
        raw = struct.pack("<I", len(k.ob.tables.get(process.pid, ())))
    elif ProcessInformationClass == const("ProcessImageFileName"):
        exact = False
        text = process.image.encode("utf-16-le", "surrogatepass")
        raw = struct.pack("<HHIQ", len(text), len(text) + 2, 0, ProcessInformation + 16)
        raw += text + b"\0\0"
    else:
        return const("STATUS_INVALID_INFO_CLASS")
    if ReturnLength:
        k.memory.set_u32(ReturnLength, len(raw))
    if ProcessInformationLength < len(raw) or (exact and ProcessInformationLength != len(raw)):
        return const("STATUS_INFO_LENGTH_MISMATCH")
    k.memory.write(ProcessInformation, raw)
    return 0
