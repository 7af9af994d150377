"""Who a request comes from, how it was opened, and what others may do meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.io_file import File
from ..kernel.structs import Struct, const
from .registry import APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: The session of programs; services and the kernel are in session 0.
_CLIENT_SESSION: Final = 1
_SYNCHRONOUS: Final = ("IRP_SYNCHRONOUS_API", "IRP_SYNCHRONOUS_PAGING_IO")


def _process(k: Kernel, irp: int) -> int:
    thread = k.ps.thread_objects.get(Struct(k.memory, "IRP", irp)["Tail.Overlay.Thread"])
    return thread.process.object if thread is not None else 0


@export("PEPROCESS IoGetRequestorProcess(PIRP Irp)", irql=DISPATCH_LEVEL)
def IoGetRequestorProcess(k: Kernel, Irp: int) -> int:
    """WDK: "IoGetRequestorProcess function (ntifs.h)": of the thread it belongs to, or NULL."""
    return _process(k, Irp)


@export("ULONG IoGetRequestorProcessId(PIRP Irp)", irql=DISPATCH_LEVEL)
def IoGetRequestorProcessId(k: Kernel, Irp: int) -> int:
    """WDK: "IoGetRequestorProcessId function (ntifs.h)"; 0 where it belongs to no thread."""
    process = k.ps.process_objects.get(_process(k, Irp))
    return process.pid if process is not None else 0


@export("NTSTATUS IoGetRequestorSessionId(PIRP Irp, PULONG pSessionId)", irql=APC_LEVEL)
def IoGetRequestorSessionId(k: Kernel, Irp: int, pSessionId: int) -> int:
    """WDK: "IoGetRequestorSessionId function (ntifs.h)"."""
    process = _process(k, Irp)
    if not process:
        k.memory.set_u32(pSessionId, 0xFFFFFFFF)
        return const("STATUS_UNSUCCESSFUL")
    system = process == k.ps.system.object
    k.memory.set_u32(pSessionId, 0 if system else _CLIENT_SESSION)
    return 0


@export("BOOLEAN IoIs32bitProcess(PIRP Irp)", irql=DISPATCH_LEVEL)
def IoIs32bitProcess(k: Kernel, Irp: int) -> bool:
    """WDK: "IoIs32bitProcess function (wdm.h)": every process here is a 64-bit one."""
    if Irp:
        k.memory.u64(Irp)
    return False


@export("BOOLEAN IoIsOperationSynchronous(PIRP Irp)", irql=DISPATCH_LEVEL)
def IoIsOperationSynchronous(k: Kernel, Irp: int) -> bool:
    """WDK: "IoIsOperationSynchronous function (ntifs.h)"."""
    entry = Struct(k.memory, "IRP", Irp)
    if any(entry["Flags"] & const(name) for name in _SYNCHRONOUS):
        return True
    file = entry["Tail.Overlay.OriginalFileObject"]
    if not file:
        return False
    flags = Struct(k.memory, "FILE_OBJECT", file)["Flags"]
    return bool(flags & const("FO_SYNCHRONOUS_IO"))


@export(
    "NTSTATUS IoValidateDeviceIoControlAccess(PIRP Irp, ULONG RequiredAccess)",
    irql=DISPATCH_LEVEL,
)
def IoValidateDeviceIoControlAccess(k: Kernel, Irp: int, RequiredAccess: int) -> int:
    """WDK: "IoValidateDeviceIoControlAccess function (wdm.h)": as the handle was opened."""
    entry = Struct(k.memory, "IRP", Irp)
    known = k.ob.objects.get(entry["Tail.Overlay.OriginalFileObject"])
    if not entry["RequestorMode"] or known is None or not isinstance(known.payload, File):
        return 0
    rights = RequiredAccess & (const("FILE_READ_DATA") | const("FILE_WRITE_DATA"))
    return 0 if known.payload.access & rights == rights else const("STATUS_ACCESS_DENIED")


@export("PIRP IoGetTopLevelIrp(VOID)", irql=HIGH_LEVEL)
def IoGetTopLevelIrp(k: Kernel) -> int:
    """WDK: "IoGetTopLevelIrp function (ntifs.h)": what the current thread's was set to."""
    return k.thread.top_level_irp


@export("VOID IoSetTopLevelIrp(PIRP Irp)", irql=HIGH_LEVEL)
def IoSetTopLevelIrp(k: Kernel, Irp: int) -> None:
    """WDK: "IoSetTopLevelIrp function (ntifs.h)"."""
    k.thread.top_level_irp = Irp


# -- share access -------------------------------------------------------------------------------

#: Of each kind of access: the fields of a FILE_OBJECT and SHARE_ACCESS, its bit, its rights.
_KINDS: Final = (
    ("ReadAccess", "SharedRead", "Readers", 1, ("FILE_READ_DATA", "FILE_EXECUTE")),
    ("WriteAccess", "SharedWrite", "Writers", 2, ("FILE_WRITE_DATA", "FILE_APPEND_DATA")),
    ("DeleteAccess", "SharedDelete", "Deleters", 4, ("DELETE",)),
)


def _mark(k: Kernel, file: int, desired: int, shared: int) -> Struct:
    """Note in a file object what its opener does and lets others do."""
    entry = Struct(k.memory, "FILE_OBJECT", file)
    uses = False
    for access, _, _, _, rights in _KINDS:
        wanted = any(desired & const(right) for right in rights)
        entry[access] = wanted
        uses = uses or wanted
    for _, share, _, bit, _ in _KINDS:
        entry[share] = uses and bool(shared & bit)
    return entry


def _add(k: Kernel, file: Struct, address: int, by: int) -> None:
    if not any(file[access] for access, *_ in _KINDS):
        return
    counts = Struct(k.memory, "SHARE_ACCESS", address)
    counts["OpenCount"] += by
    for access, share, users, _, _ in _KINDS:
        counts[users] += by * file[access]
        counts[share] += by * file[share]


@export(
    "VOID IoSetShareAccess(ACCESS_MASK DesiredAccess, ULONG DesiredShareAccess, "
    "PFILE_OBJECT FileObject, PSHARE_ACCESS ShareAccess)",
    irql=PASSIVE_LEVEL,
)
def IoSetShareAccess(
    k: Kernel, DesiredAccess: int, DesiredShareAccess: int, FileObject: int, ShareAccess: int
) -> None:
    """WDK: "IoSetShareAccess function (wdm.h)": for the first opener."""
    counts = Struct(k.memory, "SHARE_ACCESS", ShareAccess)
    counts["OpenCount"] = 0
    for _, share, users, _, _ in _KINDS:
        counts[share] = counts[users] = 0
    _add(k, _mark(k, FileObject, DesiredAccess, DesiredShareAccess), ShareAccess, 1)


@export(
    "NTSTATUS IoCheckShareAccess(ACCESS_MASK DesiredAccess, ULONG DesiredShareAccess, "
    "PFILE_OBJECT FileObject, PSHARE_ACCESS ShareAccess, BOOLEAN Update)",
    irql=PASSIVE_LEVEL,
)
def IoCheckShareAccess(
    k: Kernel,
    DesiredAccess: int,
    DesiredShareAccess: int,
    FileObject: int,
    ShareAccess: int,
    Update: int,
) -> int:
    """WDK: "IoCheckShareAccess function (wdm.h)": STATUS_SHARING_VIOLATION on a conflict."""
    file = _mark(k, FileObject, DesiredAccess, DesiredShareAccess)
    counts = Struct(k.memory, "SHARE_ACCESS", ShareAccess)
    count = counts["OpenCount"]
    if any(file[access] for access, *_ in _KINDS):
        for access, share, users, _, _ in _KINDS:
            if (file[access] and counts[share] < count) or (counts[users] and not file[share]):
                return const("STATUS_SHARING_VIOLATION")
    if Update:
        _add(k, file, ShareAccess, 1)
    return 0


@export(
    "VOID IoUpdateShareAccess(PFILE_OBJECT FileObject, PSHARE_ACCESS ShareAccess)",
    irql=PASSIVE_LEVEL,
)
def IoUpdateShareAccess(k: Kernel, FileObject: int, ShareAccess: int) -> None:
    """WDK: "IoUpdateShareAccess function (wdm.h)": after IoCheckShareAccess without Update."""
    _add(k, Struct(k.memory, "FILE_OBJECT", FileObject), ShareAccess, 1)


@export(
    "VOID IoRemoveShareAccess(PFILE_OBJECT FileObject, PSHARE_ACCESS ShareAccess)",
    irql=PASSIVE_LEVEL,
)
def IoRemoveShareAccess(k: Kernel, FileObject: int, ShareAccess: int) -> None:
    """WDK: "IoRemoveShareAccess function (wdm.h)": the opener goes."""
    _add(k, Struct(k.memory, "FILE_OBJECT", FileObject), ShareAccess, -1)
