"""Telling drivers of processes, threads and images, as the routines that they registered want it.

WDK pages: "PCREATE_PROCESS_NOTIFY_ROUTINE_EX callback function (ntddk.h)", "PS_CREATE_NOTIFY_INFO
structure (ntddk.h)", "PCREATE_THREAD_NOTIFY_ROUTINE callback function (ntddk.h)",
"PLOAD_IMAGE_NOTIFY_ROUTINE callback function (ntddk.h)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from .callbacks import Registration
from .cm_notify import Scratch
from .execution import Steps
from .ob import Object
from .structs import Struct, const, size_of, write_unicode_string

if TYPE_CHECKING:
    from .kernel import Kernel
    from .process import Process
    from .thread import Thread

#: Kinds of registrations. All kinds of process routines are one list, in the order they came.
PROCESS: Final = "PsSetCreateProcessNotifyRoutine"
THREAD: Final = "PsSetCreateThreadNotifyRoutine"
IMAGE: Final = "PsSetLoadImageNotifyRoutine"
#: How a process or thread routine was registered: its ``detail``.
PLAIN, EXTENDED, NON_SYSTEM = "plain", "Ex", "non-system"
#: "PsSetCreateProcessNotifyRoutine function (ntddk.h)": so many of each.
MOST: Final = 64

#: IMAGE_INFO.Properties: SystemModeImage, ExtendedInfoPresent, and 64-bit addressing.
_SYSTEM_MODE, _EXTENDED_INFO = 1 << 8, 1 << 10
_FILE_OPEN_NAME_AVAILABLE: Final = 1


def register(k: Kernel, kind: str, routine: int, detail: str) -> int:
    """Register a routine; the NTSTATUS."""
    entries = k.callbacks.of(kind)
    if len(entries) >= MOST:
        return const(
            "STATUS_INVALID_PARAMETER" if kind == PROCESS else "STATUS_INSUFFICIENT_RESOURCES"
        )
    k.callbacks.add(Registration(kind, routine, k.caller(), detail=detail))
    return 0


def unregister(k: Kernel, kind: str, routine: int) -> Steps:
    """Unregister a routine, and wait until it runs nowhere; the NTSTATUS."""
    registration = k.callbacks.find(kind, routine=routine)
    if registration is None:
        return const("STATUS_PROCEDURE_NOT_FOUND")
    k.callbacks.remove(registration)
    yield from k.callbacks.drain(registration)
    return 0


def process_created(k: Kernel, process: Process, creator: Thread) -> Steps:
    """Tell of a new process; the NTSTATUS with which a driver wants its creation to end."""
    registrations = k.callbacks.of(PROCESS)
    if not registrations:
        return 0
    scratch = Scratch(k)
    file = new_file_object(k, process.image)
    try:
        size = size_of("PS_CREATE_NOTIFY_INFO")
        info = Struct(k.memory, "PS_CREATE_NOTIFY_INFO", scratch.block(size))
        info["Size"] = size
        info["Flags"] = _FILE_OPEN_NAME_AVAILABLE
        info["ParentProcessId"] = process.parent
        k.memory.set_u64(info.at("CreatingThreadId"), creator.process.pid)
        k.memory.set_u64(info.at("CreatingThreadId") + 8, creator.id)
        info["FileObject"] = file.address
        info["ImageFileName"] = scratch.text(process.opened_as)
        info["CommandLine"] = scratch.text(process.command_line)
        for registration in registrations:
            if registration.detail == PLAIN:
                arguments: tuple[int, ...] = (process.parent, process.pid, 1)
            else:
                arguments = (process.object, process.pid, info.address)
            yield from k.callbacks.invoke(registration, arguments, "a process notify routine")
        status = info["CreationStatus"]
        return 0 if ntdata.nt_success(status) else status
    finally:
        scratch.free()
        k.ob.dereference(file.address)


def process_exited(k: Kernel, process: Process) -> Steps:
    """Tell that a process ends."""
    for registration in k.callbacks.of(PROCESS):
        if registration.detail == PLAIN:
            arguments: tuple[int, ...] = (process.parent, process.pid, 0)
        else:
            arguments = (process.object, process.pid, 0)
        yield from k.callbacks.invoke(registration, arguments, "a process notify routine")


def thread_calls(k: Kernel, thread: Thread) -> list[Registration]:
    """Who is to be told of a thread's creation or end."""
    return [r for r in k.callbacks.of(THREAD) if r.detail != NON_SYSTEM or not thread.system]


def thread_changed(k: Kernel, thread: Thread, *, created: bool) -> Steps:
    """Tell that a thread was made, or that it ends."""
    for registration in thread_calls(k, thread):
        arguments = (thread.process.pid, thread.id, int(created))
        yield from k.callbacks.invoke(registration, arguments, "a thread notify routine")


def image_loaded(k: Kernel, path: str, pid: int, base: int, size: int) -> Steps:
    """Tell of an image that was mapped: into a process, or as a driver where ``pid`` is 0."""
    registrations = k.callbacks.of(IMAGE)
    if not registrations:
        return
    scratch = Scratch(k)
    file = new_file_object(k, path)
    try:
        whole = size_of("IMAGE_INFO_EX")
        extended = Struct(k.memory, "IMAGE_INFO_EX", scratch.block(whole))
        extended["Size"] = whole
        extended["FileObject"] = file.address
        info = Struct(k.memory, "IMAGE_INFO", extended.at("ImageInfo"))
        info["Properties"] = 3 | _EXTENDED_INFO | (0 if pid else _SYSTEM_MODE)
        info["ImageBase"] = base
        info["ImageSize"] = size
        name = scratch.text(path)
        for registration in registrations:
            arguments = (name, pid, info.address)
            yield from k.callbacks.invoke(registration, arguments, "an image notify routine")
    finally:
        scratch.free()
        k.ob.dereference(file.address)


def new_file_object(k: Kernel, path: str) -> Object:
    """A file object that stands for the image file at ``path`` while drivers look at it."""
    header = size_of("FILE_OBJECT")
    name = path.partition("Volume1")[2] or path
    address = k.new_object(header + 2 * len(name) + 2)
    entry = Struct(k.memory, "FILE_OBJECT", address)
    entry["Type"] = const("IO_TYPE_FILE")
    entry["Size"] = header
    entry["ReadAccess"] = entry["SharedRead"] = 1
    volume = k.names.find(r"\Device\HarddiskVolume1")
    entry["DeviceObject"] = volume.address if volume is not None else 0
    write_unicode_string(k.memory, entry.at("FileName"), address + header, name)
    return k.ob.insert(Object(address, "File", None, on_delete=k.ob.free))
