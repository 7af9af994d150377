r"""Device interfaces: names by class under which drivers offer devices.

WDK pages: "IoRegisterDeviceInterface function (wdm.h)", "IoSetDeviceInterfaceState function
(wdm.h)", "Registering a device interface class".
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .names import Link
from .pnp import Action
from .structs import const

if TYPE_CHECKING:
    from .kernel import Kernel
    from .pnp import DeviceNode


@dataclass(slots=True)
class Interface:
    r"""An instance of an interface class; ``name`` is its symbolic link, ``\??\…``."""

    name: str
    guid: str
    node: int
    reference: str = ""
    enabled: bool = False


def key(name: str) -> str:
    """How names compare: without case, whatever the prefix."""
    for prefix in ("\\??\\", "\\\\?\\", "\\DosDevices\\"):
        if name.startswith(prefix):
            name = name[len(prefix) :]
    return name.upper()


def register(k: Kernel, node: DeviceNode, guid: uuid.UUID, reference: str) -> Interface:
    """The interface of this class that the device has; made where it has none yet."""
    path = node.instance.replace("\\", "#")
    name = f"\\??\\{path}#{{{guid}}}" + (f"\\{reference}" if reference else "")
    return k.interfaces.setdefault(key(name), Interface(name, str(guid), node.number, reference))


def set_state(k: Kernel, interface: Interface, *, enable: bool) -> int:
    """Enable or disable; the NTSTATUS. Whoever asked for the class is told, a little later."""
    if interface.enabled == enable:
        name = "STATUS_OBJECT_NAME_EXISTS" if enable else "STATUS_OBJECT_NAME_NOT_FOUND"
        return const(name)
    # The link is to the device; a reference string is a path behind it.
    link = interface.name.removesuffix(f"\\{interface.reference}") if interface.reference else ""
    link = link or interface.name
    others = [
        other
        for other in k.interfaces.values()
        if other is not interface and other.enabled and key(other.name).startswith(key(link))
    ]
    if enable:
        node = k.pnp.nodes.get(interface.node)
        device = k.objects.devices.get(node.pdo) if node is not None else None
        if device is None:
            return const("STATUS_INVALID_DEVICE_REQUEST")
        if not others:
            status = k.objects.add_link(Link(link, device.name, ""))
            if status:
                return status
    elif not others:
        k.objects.remove_link(link)
    interface.enabled = enable
    k.pnp.later(Action("interface", name=interface.name, arguments=(int(enable),)))
    return 0


def forget_node(k: Kernel, node: DeviceNode) -> None:
    """A device is gone. An interface that is still enabled is a mistake of its driver."""
    for name, interface in list(k.interfaces.items()):
        if interface.node != node.number:
            continue
        if interface.enabled:
            k.tell(
                "pnp-interface-enabled",
                f"a device was removed while its interface {interface.name} is enabled: call "
                "IoSetDeviceInterfaceState with FALSE",
                node.driver,
            )
            set_state(k, interface, enable=False)
        del k.interfaces[name]
