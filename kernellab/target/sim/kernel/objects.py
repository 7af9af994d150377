r"""The object namespace: device objects and symbolic links by name, handles of the client.

Names compare without case, as in the object manager ("Object Names" in the WDK). ``\??``,
``\DosDevices`` and ``\GLOBAL??`` are one directory here: there is one session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from . import nls

_DOS_DIRECTORIES: Final = ("\\??\\", "\\DOSDEVICES\\", "\\GLOBAL??\\")
_LINKS_DEEP: Final = 32


@dataclass(slots=True)
class Device:
    """A device object: its guest address, its name (empty if none), its driver's name."""

    address: int
    name: str
    owner: str
    driver_object: int
    exclusive: bool = False
    handles: int = 0
    #: Deleted while handles were open: it goes with the last of them.
    deleted: bool = False


@dataclass(slots=True)
class Link:
    """A symbolic link and the path it stands for."""

    name: str
    target: str
    owner: str


@dataclass(slots=True)
class Handle:
    """The client's open handle: a file object on a device."""

    number: int
    device: Device
    file_object: int
    path: str


@dataclass(slots=True)
class Namespace:
    """Everything that has a name, and the client's handles."""

    devices: dict[int, Device] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    handles: dict[int, Handle] = field(default_factory=dict)
    #: Deleted devices that handles still refer to, by address.
    deleted: dict[int, Device] = field(default_factory=dict)
    _names: dict[str, Device] = field(default_factory=dict)
    _next_handle: int = 4

    def add_device(self, device: Device) -> bool:
        """Add a device; False when its name is taken."""
        key = canonical(device.name)
        if device.name:
            if key in self._names or key in self.links:
                return False
            self._names[key] = device
        self.devices[device.address] = device
        return True

    def remove_device(self, device: Device) -> None:
        """Take a device and its name away; it stays in ``deleted`` while handles are open."""
        del self.devices[device.address]
        if device.name:
            del self._names[canonical(device.name)]
        device.deleted = True
        if device.handles:
            self.deleted[device.address] = device

    def add_link(self, link: Link) -> bool:
        """Add a symbolic link; False when its name is taken."""
        key = canonical(link.name)
        if key in self.links or key in self._names:
            return False
        self.links[key] = link
        return True

    def remove_link(self, name: str) -> bool:
        """Remove a symbolic link; False when there is none of that name."""
        return self.links.pop(canonical(name), None) is not None

    def find_device(self, path: str) -> tuple[Device, str] | None:
        r"""The device that a path leads to through links, and the rest of the path behind it."""
        for _ in range(_LINKS_DEEP):
            key = canonical(path)
            name = max(
                (n for n in (*self._names, *self.links) if _leads(n, key)), key=len, default=""
            )
            # The rest is counted from the end: the directory's name may have been replaced.
            rest = path[len(path) - (len(key) - len(name)) :]
            if name in self._names:
                return self._names[name], rest
            if name not in self.links:
                return None
            path = self.links[name].target + rest
        return None

    def open(self, device: Device, file_object: int, path: str) -> Handle:
        """A new handle; numbers grow by 4, as NT's do."""
        handle = Handle(self._next_handle, device, file_object, path)
        self._next_handle += 4
        self.handles[handle.number] = handle
        device.handles += 1
        return handle

    def close(self, handle: Handle) -> Device | None:
        """Forget a handle; the device, if it was deleted and this was its last."""
        del self.handles[handle.number]
        device = handle.device
        device.handles -= 1
        if device.deleted and not device.handles:
            return self.deleted.pop(device.address, None)
        return None


def canonical(path: str) -> str:
    """A path as a key: without case, and with one name for the directory of DOS devices."""
    # Unit by unit, as NT compares: the length does not change.
    key = nls.upcase(path.encode("utf-16-le", "surrogatepass")).decode("utf-16-le", "surrogatepass")
    for directory in _DOS_DIRECTORIES:
        if key.startswith(directory):
            return "\\??\\" + key[len(directory) :]
    return key


def nt_path(path: str) -> str:
    r"""The object path for what Win32 opens: ``\\.\Echo`` is ``\??\Echo``."""
    for prefix in ("\\\\.\\", "\\\\?\\"):
        if path.startswith(prefix):
            return "\\??\\" + path[len(prefix) :]
    return path


def _leads(name: str, path: str) -> bool:
    """Whether ``path`` is ``name`` or something behind it."""
    return path.startswith(name) and (len(path) == len(name) or path[len(name)] == "\\")
