r"""Device objects and symbolic links by name.

The names themselves are in :mod:`.names`; devices are counted objects of :mod:`.ob`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .names import Link
from .ob import Object
from .structs import const

if TYPE_CHECKING:
    from .io_security import Ace
    from .kernel import Kernel


@dataclass(slots=True)
class Device:
    """A device object: its guest address, its name (empty if none), its driver's name."""

    address: int
    name: str
    owner: str
    driver_object: int
    exclusive: bool = False
    #: How many file objects are open on it.
    handles: int = 0
    #: Who may open it: entries of :mod:`.io_security`, None for everybody.
    acl: tuple[Ace, ...] | None = None
    #: The address of its DEVOBJ_EXTENSION.
    extension: int = 0
    #: The address of its volume parameter block, where it is of a kind that has one.
    vpb: int = 0
    #: Deleted; it stays while something refers to it.
    deleted: bool = False


class Namespace:
    """Devices, and symbolic links to them."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.devices: dict[int, Device] = {}
        #: All devices by address, also deleted ones that something still refers to.
        self.known: dict[int, Device] = {}

    def add_device(self, device: Device) -> int:
        """Add a device as a counted object; the NTSTATUS says why it cannot have its name."""
        k = self._k
        obj = Object(
            *(device.address, "Device", device, "", device.owner),
            on_delete=self._free,
        )
        if device.name:
            status = k.names.add(obj, device.name, permanent=True)
            if status:
                return status
        k.ob.insert(obj)
        self.devices[device.address] = self.known[device.address] = device
        return 0

    def _free(self, obj: Object) -> None:
        from .io_device import free

        free(self._k, obj.address)

    def remove_device(self, device: Device) -> None:
        """Take a device and its name away. Its memory goes with the last reference."""
        del self.devices[device.address]
        self._k.names.remove(self._k.ob.get(device.address))
        device.deleted = True
        self._k.ob.dereference(device.address)

    def of(self, driver: str) -> list[Device]:
        """A driver's devices, also deleted ones that something still refers to."""
        return [device for device in self.known.values() if device.owner == driver]

    @property
    def links(self) -> dict[str, Link]:
        """Symbolic links that drivers made, by the path they were made with."""
        payloads = [obj.payload for obj in self._k.ob.objects.values() if obj.parent is not None]
        return {p.name: p for p in payloads if isinstance(p, Link) and p.owner}

    def add_link(self, link: Link) -> int:
        """Add a permanent symbolic link; the NTSTATUS says why it cannot have its name."""
        k = self._k
        obj = k.names.new_link(link)
        status = k.names.add(obj, link.name, permanent=True)
        if status:
            k.ob.dereference(obj.address)
        return status

    def remove_link(self, name: str) -> int:
        """Remove a symbolic link; the NTSTATUS says why not."""
        found = self._k.names.walk(name, follow=False)
        if found.object is None:
            return found.status
        if not isinstance(found.object.payload, Link):
            return const("STATUS_OBJECT_TYPE_MISMATCH")
        self._k.ob.make_temporary(found.object)
        return 0

    def find_device(self, path: str) -> tuple[Device, str] | None:
        r"""The device that a path leads to through links, and the rest of the path behind it."""
        found = self._k.names.walk(path)
        if found.object is None or not isinstance(found.object.payload, Device):
            return None
        return found.object.payload, found.rest


def nt_path(path: str) -> str:
    r"""The object path for what Win32 opens: ``\\.\Echo`` is ``\??\Echo``."""
    for prefix in ("\\\\.\\", "\\\\?\\"):
        if path.startswith(prefix):
            return "\\??\\" + path[len(prefix) :]
    return path
