"""What drivers hear of devices that come and go.

WDK pages: "IoRegisterPlugPlayNotification function (wdm.h)", "DEVICE_INTERFACE_CHANGE_NOTIFICATION
structure (wdm.h)", "TARGET_DEVICE_REMOVAL_NOTIFICATION structure (wdm.h)",
"TARGET_DEVICE_CUSTOM_NOTIFICATION structure (wdm.h)".
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from .execution import Call, Steps
from .pnp_interface import key
from .structs import Struct, place, size_of, write_unicode_string

if TYPE_CHECKING:
    from .callbacks import Registration
    from .kernel import Kernel
    from .pnp import DeviceNode

KIND: Final = "IoRegisterPlugPlayNotification"
#: IO_NOTIFICATION_EVENT_CATEGORY
PROFILE, INTERFACE, TARGET = 1, 2, 3

_EVENT: Final = "cb3a40{:02x}-46f0-11d0-b08f-00609713053f"
ARRIVAL, REMOVAL = _EVENT.format(4), _EVENT.format(5)
QUERY_REMOVE, REMOVE_CANCELLED, REMOVE_COMPLETE = (_EVENT.format(n) for n in (6, 7, 8))
#: Events that the PnP manager alone may report.
SYSTEM_EVENTS: Final = frozenset((QUERY_REMOVE, REMOVE_CANCELLED, REMOVE_COMPLETE))

_TAG: Final = int.from_bytes(b"PnpN", "little")
_VERSION: Final = 1


def guid_at(k: Kernel, address: int) -> uuid.UUID:
    """A GUID in guest memory."""
    return uuid.UUID(bytes_le=k.memory.read(address, 16))


def _notification(k: Kernel, name: str, event: str) -> Struct:
    address = k.pool.allocate(size_of(name), _TAG)
    entry = Struct(k.memory, name, address)
    entry["Version"], entry["Size"] = _VERSION, size_of(name)
    k.memory.write(entry.at("Event"), uuid.UUID(event).bytes_le)
    return entry


def _free(k: Kernel, *addresses: int) -> None:
    for address in addresses:
        k.pool.free(k.pool.live[address])


def _call(k: Kernel, registration: Registration, notification: int) -> Steps:
    arguments = notification, registration.context
    return (yield from k.callbacks.invoke(registration, arguments, "a PnP notification callback"))


def _registered(k: Kernel, category: int) -> list[Registration]:
    return [r for r in k.callbacks.of(KIND) if r.detail[0] == category]


# -- interfaces -----------------------------------------------------------------------------------


def interface_event(k: Kernel, name: str, arrived: int, only: Registration | None = None) -> Steps:
    """Tell who registered for the interface's class that it came or went."""
    guid = key(name).rpartition("{")[2].partition("}")[0]
    listeners = [only] if only is not None else _registered(k, INTERFACE)
    for registration in listeners:
        if registration.detail[1].upper() != guid:
            continue
        event = ARRIVAL if arrived else REMOVAL
        entry = _notification(k, "DEVICE_INTERFACE_CHANGE_NOTIFICATION", event)
        k.memory.write(entry.at("InterfaceClassGuid"), uuid.UUID(guid).bytes_le)
        text = k.pool.allocate(max(2, 2 * len(name)), _TAG)
        string = k.pool.allocate(size_of("UNICODE_STRING"), _TAG)
        write_unicode_string(k.memory, string, text, name)
        entry["SymbolicLinkName"] = string
        yield from _call(k, registration, entry.address)
        _free(k, entry.address, text, string)


# -- target devices -------------------------------------------------------------------------------


def _watching(k: Kernel, node: DeviceNode) -> list[Registration]:
    """Who registered for a file object that is open on one of the node's devices."""
    devices = set(k.pnp.stack(node)) if node.pdo in k.objects.known else {node.pdo}
    return [r for r in _registered(k, TARGET) if r.detail[2] in devices]


def target_event(k: Kernel, node: DeviceNode, event: str) -> Steps:
    """Tell who registered for the device that it is to go, stays after all, or is gone."""
    for registration in _watching(k, node):
        entry = _notification(k, "TARGET_DEVICE_REMOVAL_NOTIFICATION", event)
        entry["FileObject"] = int(registration.detail[1])
        yield from _call(k, registration, entry.address)
        _free(k, entry.address)


def custom_event(
    k: Kernel, node: DeviceNode | None, block: int, callback: int = 0, context: int = 0
) -> Steps:
    """A driver's own event: a copy of its notification, with the listener's file object."""
    at, _ = place("TARGET_DEVICE_CUSTOM_NOTIFICATION", "FileObject")
    for registration in _watching(k, node) if node is not None else ():
        k.memory.set_u64(block + at, int(registration.detail[1]))
        yield from _call(k, registration, block)
    _free(k, block)
    if callback:
        yield Call(callback, (context,))
