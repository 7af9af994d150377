r"""File objects: opens of devices, by the client and by drivers, and how they end.

IRP_MJ_CREATE makes one, IRP_MJ_CLEANUP comes when its last handle is closed, IRP_MJ_CLOSE when
its last reference is gone. WDK pages: "FILE_OBJECT structure (wdm.h)", "IRP_MJ_CREATE",
"IRP_MJ_CLEANUP", "IRP_MJ_CLOSE", "Specifying Exclusive Access to Device Objects".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from . import io_security
from .driver import NtFailure
from .execution import Steps
from .io_call import steps
from .io_device import top_of
from .io_finish import Request
from .io_request import USER_MODE, SendIrp, Spec
from .ob import Object
from .objects import Device, nt_path
from .structs import LONGEST_STRING, Struct, const, size_of, write_unicode_string

if TYPE_CHECKING:
    from .kernel import Kernel

_FILE_TAG: Final = int.from_bytes(b"File", "little")
_SECURITY_TAG: Final = int.from_bytes(b"Sec ", "little")
_FILE_OPEN: Final = 1
_SHARE_ALL: Final = 7


@dataclass(slots=True, eq=False)
class File:
    """A file object: the device that was opened, what its opener may do, its open requests."""

    address: int
    device: Device
    path: str
    #: The rights that were granted, specific ones.
    access: int
    #: Requests that were sent to it and are not completed.
    requests: list[Request] = field(default_factory=list)
    #: IRP_MJ_CREATE succeeded, so IRP_MJ_CLOSE follows.
    created: bool = False
    #: Its last reference is gone.
    closing: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """How a file is opened: rights wanted, sharing, create options, by whom."""

    access: int
    share: int = _SHARE_ALL
    options: int = 0
    disposition: int = _FILE_OPEN
    mode: int = USER_MODE
    admin: bool = True


def open_file(k: Kernel, path: str, how: Open) -> Steps:
    """Open ``path`` and send IRP_MJ_CREATE; the value is the :class:`File`.

    It has one reference, the caller's. Raises NtFailure.
    """
    if len(path.encode("utf-16-le", "surrogatepass")) > LONGEST_STRING:
        raise NtFailure("STATUS_OBJECT_NAME_INVALID", "the path is longer than 32,767 characters")
    found = k.objects.find_device(nt_path(path))
    if found is None:
        how_to = "" if path.startswith("\\") else rf": programs open \\.\{path}"
        raise NtFailure("STATUS_OBJECT_NAME_NOT_FOUND", f"there is no device {path}{how_to}")
    device, rest = found
    entry = Struct(k.memory, "DEVICE_OBJECT", device.address)
    if entry["Flags"] & const("DO_DEVICE_INITIALIZING"):
        raise NtFailure(
            "STATUS_NO_SUCH_DEVICE", f"{path} is still initializing (DO_DEVICE_INITIALIZING)"
        )
    driver = k.drivers.get(device.owner)
    if driver is not None and driver.unload_pending:
        raise NtFailure("STATUS_NO_SUCH_DEVICE", f"{path}: {driver.name} is about to be unloaded")
    if device.exclusive and device.handles:
        raise NtFailure("STATUS_ACCESS_DENIED", f"{path} is exclusive and already open")
    granted = io_security.check(device, how.access, admin=how.admin, kernel=how.mode != USER_MODE)
    if granted is None:
        who = "an administrator" if how.admin else "a caller who is no administrator"
        raise NtFailure(
            "STATUS_ACCESS_DENIED", f"{path}: its security descriptor denies {who} this access"
        )
    file = make(k, device, path, rest, granted)
    top = top_of(k, device.address)
    spec, block = _create_spec(k, file, how)
    sender = SendIrp(k, file, top, spec, mode=how.mode)
    sender.request.blocks.append(block)
    try:
        request: Request = yield from steps(sender)
    except BaseException:
        k.ob.dereference(file.address)
        raise
    status = request.status if request.completed else const("STATUS_CANCELLED")
    if not ntdata.nt_success(status):
        k.ob.dereference(file.address)
        raise NtFailure(status, f"IRP_MJ_CREATE on {path}: {ntdata.status_name(status)}")
    file.created = True
    return file


def make(k: Kernel, device: Device, path: str, rest: str, access: int) -> File:
    """A file object on a device, with one reference; no driver has seen it yet."""
    size = size_of("FILE_OBJECT")
    address = k.pool.allocate(size + max(2, 2 * len(rest)), _FILE_TAG)
    if not address:
        raise NtFailure("STATUS_INSUFFICIENT_RESOURCES", "the simulated machine is out of memory")
    entry = Struct(k.memory, "FILE_OBJECT", address)
    entry["Type"] = const("IO_TYPE_FILE")
    entry["Size"] = size
    entry["DeviceObject"] = device.address
    # Until the driver uses IoCheckShareAccess, what was granted.
    entry["ReadAccess"] = access & const("FILE_READ_DATA")
    entry["WriteAccess"] = bool(access & (const("FILE_WRITE_DATA") | const("FILE_APPEND_DATA")))
    if rest:
        write_unicode_string(k.memory, entry.at("FileName"), address + size, rest)
    file = File(address, device, path, access)
    k.ob.insert(Object(address, "File", file, on_delete=LastReference(k)))
    k.ob.reference(device.address)
    device.handles += 1
    Struct(k.memory, "DEVICE_OBJECT", device.address)["ReferenceCount"] += 1
    return file


def _create_spec(k: Kernel, file: File, how: Open) -> tuple[Spec, int]:
    """The parameters of IRP_MJ_CREATE, and the block that its SecurityContext is in."""
    context, state = size_of("IO_SECURITY_CONTEXT"), size_of("ACCESS_STATE")
    block = k.pool.allocate(context + state, _SECURITY_TAG)
    if not block:
        raise NtFailure("STATUS_INSUFFICIENT_RESOURCES", "the simulated machine is out of memory")
    security = Struct(k.memory, "IO_SECURITY_CONTEXT", block)
    security["AccessState"] = block + context
    security["DesiredAccess"] = file.access
    security["FullCreateOptions"] = how.options
    access = Struct(k.memory, "ACCESS_STATE", block + context)
    access["OriginalDesiredAccess"] = how.access
    access["PreviouslyGrantedAccess"] = file.access
    prefix = "Parameters.Create."
    fields = {
        f"{prefix}SecurityContext": block,
        f"{prefix}Options": how.disposition << 24 | how.options,
        f"{prefix}ShareAccess": how.share,
    }
    return Spec("IRP_MJ_CREATE", "", fields, flags=const("IRP_CREATE_OPERATION")), block


def cleanup(k: Kernel, file: File) -> Steps:
    """IRP_MJ_CLEANUP, when the last handle is closed. It cannot fail, whatever comes back."""
    top = top_of(k, file.device.address)
    entry = Struct(k.memory, "FILE_OBJECT", file.address)
    spec = Spec("IRP_MJ_CLEANUP", "", flags=const("IRP_CLOSE_OPERATION"))
    try:
        yield from steps(SendIrp(k, file, top, spec))
    finally:
        entry["Flags"] |= const("FO_CLEANUP_COMPLETE")


class LastReference:
    """The ``on_delete`` of a file object: IRP_MJ_CLOSE, then it goes."""

    __slots__ = ("_k",)

    def __init__(self, k: Kernel) -> None:
        self._k = k

    def __call__(self, obj: Object) -> None:
        k, file = self._k, obj.payload
        assert isinstance(file, File)
        file.closing = True
        if not file.created:
            _delete(k, file)
            return
        # The driver's routine has to run at PASSIVE_LEVEL, wherever the last reference went.
        thread = k.ps.create_thread(k.ps.system)
        k.ps.start(thread, close(k, file), "IopDeleteFile")


def close(k: Kernel, file: File) -> Steps:
    """IRP_MJ_CLOSE; its answer is of no use to anybody."""
    file.closing = True
    top = top_of(k, file.device.address)
    spec = Spec("IRP_MJ_CLOSE", "", flags=const("IRP_CLOSE_OPERATION"))
    try:
        yield from steps(SendIrp(k, file, top, spec))
    finally:
        _delete(k, file)
    return 0


def _delete(k: Kernel, file: File) -> None:
    from . import unload_pending

    device = file.device
    device.handles -= 1
    Struct(k.memory, "DEVICE_OBJECT", device.address)["ReferenceCount"] -= 1
    k.pool.free(k.pool.live[file.address])
    k.ob.dereference(device.address)
    k.pnp.file_closed()
    unload_pending.file_closed(k, device)


def release(k: Kernel, file: File) -> Steps:
    """Give back a reference; the last one closes the file at once, on this thread."""
    obj = k.ob.get(file.address)
    if obj.references > 1 or not file.created:
        k.ob.dereference(file.address)
        return 0
    obj.on_delete = None
    k.ob.dereference(file.address)
    yield from close(k, file)
    return 0
