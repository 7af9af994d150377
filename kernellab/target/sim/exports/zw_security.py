"""The security of objects: who may open a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import security
from ..kernel.io_security import Ace, specific
from ..kernel.objects import Device
from ..kernel.security import Descriptor
from ..kernel.structs import const
from .registry import PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_DACL, _PROTECTED = 0x4, 0x8000_0000
_ALLOWED, _DENIED = 0, 1


@export(
    "NTSTATUS ZwSetSecurityObject(HANDLE Handle, ULONG SecurityInformation, "
    "PSECURITY_DESCRIPTOR SecurityDescriptor)",
    irql=PASSIVE_LEVEL,
    simplified="of devices, and of them the discretionary list; STATUS_NOT_SUPPORTED for others",
)
def ZwSetSecurityObject(
    k: Kernel, Handle: int, SecurityInformation: int, SecurityDescriptor: int
) -> int:
    """WDK: "ZwSetSecurityObject function (ntifs.h)". A device without a list is everybody's."""
    entry = k.ob.find(Handle, k.thread.current_process.pid)
    if entry is None:
        return const("STATUS_INVALID_HANDLE")
    if not SecurityDescriptor:
        return const("STATUS_ACCESS_VIOLATION")
    device = entry.object.payload
    if not isinstance(device, Device) or SecurityInformation & ~_PROTECTED != _DACL:
        return const("STATUS_NOT_SUPPORTED")
    descriptor = Descriptor(k.memory, SecurityDescriptor)
    if not descriptor.valid():
        return const("STATUS_INVALID_SECURITY_DESCR")
    acl = descriptor.part(3)
    found = None if not acl else _entries(k, acl)
    if acl and found is None:
        return const("STATUS_INVALID_ACL")
    device.acl = found
    return 0


def _entries(k: Kernel, acl: int) -> tuple[Ace, ...] | None:
    """The entries of a list; None where one is neither of those that allow nor deny."""
    found = []
    for at, size in security.aces(k.memory, acl) or ():
        kind = k.memory.read(at, 1)[0]
        if kind not in (_ALLOWED, _DENIED) or size < 16:
            return None
        rights = specific(k.memory.u32(at + 4))
        found.append(Ace(kind == _ALLOWED, rights, security.sid_text(k.memory, at + 8)))
    return tuple(found)
