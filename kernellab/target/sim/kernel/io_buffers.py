"""Buffers of requests: the client's own, in its process's memory, and the MDLs over them.

WDK pages: "Methods for Accessing Data Buffers", "Using MDLs".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .driver import NtFailure
from .execution import RaisedStatus
from .structs import Struct
from .uservm import VmError

if TYPE_CHECKING:
    from .kernel import Kernel


@dataclass(slots=True)
class UserBuffer:
    """A buffer of the client, at the end of its last page, with nothing mapped behind it."""

    address: int
    size: int

    def read(self, k: Kernel, size: int) -> bytes:
        """The first ``size`` bytes, as the client sees them."""
        return k.ps.client.vm.read(self.address, min(size, self.size))

    def write(self, k: Kernel, data: bytes) -> None:
        """Put ``data`` at its start."""
        k.ps.client.vm.write(self.address, data)

    def free(self, k: Kernel) -> None:
        """Give its memory back; safe to call twice."""
        k.ps.client.vm.release(self.address)


@dataclass(slots=True)
class KernelBuffer:
    """A buffer of a driver that calls a system service; it stays the driver's."""

    address: int
    size: int

    def read(self, k: Kernel, size: int) -> bytes:
        """The first ``size`` bytes."""
        size = min(size, self.size)
        return k.memory.read(self.address, size) if size else b""

    def write(self, k: Kernel, data: bytes) -> None:
        """Put ``data`` at its start."""
        k.memory.write(self.address, data)

    def free(self, k: Kernel) -> None:
        """Nothing: it is not the I/O manager's."""


Buffer = UserBuffer | KernelBuffer


def allocate(k: Kernel, size: int, data: bytes = b"", *, write: bool = True) -> UserBuffer:
    """``size`` bytes of the client's memory that begin with ``data``; read-only on request."""
    vm = k.ps.client.vm
    try:
        address = vm.allocate(size, write=write)
    except VmError:
        raise NtFailure(
            "STATUS_INSUFFICIENT_RESOURCES", "the simulated machine is out of memory"
        ) from None
    vm.fill(address, data)
    return UserBuffer(address, size)


def lock(k: Kernel, buffer: Buffer, *, write: bool) -> int:
    """An MDL of a caller's buffer with its pages locked; ``write`` is IoWriteAccess."""
    user = isinstance(buffer, UserBuffer)
    mdl = k.mdl.allocate(buffer.address, buffer.size)
    if not mdl:
        raise NtFailure("STATUS_INSUFFICIENT_RESOURCES", "no memory for an MDL")
    try:
        k.mdl.probe_and_lock(mdl, user=user, write=write, process=k.ps.client)
    except RaisedStatus as error:
        k.mdl.free(mdl)
        raise NtFailure(error.status, str(error)) from None
    return mdl


def free_mdls(k: Kernel, irp: Struct) -> None:
    """Unlock and free the MDLs of an IRP that the I/O manager is done with."""
    mdl = irp["MdlAddress"]
    irp["MdlAddress"] = 0
    while mdl:
        following = Struct(k.memory, "MDL", mdl)["Next"]
        if mdl in k.mdl.locks:
            k.mdl.unlock(mdl)
        if mdl in k.mdl.live:
            k.mdl.free(mdl)
        mdl = following
