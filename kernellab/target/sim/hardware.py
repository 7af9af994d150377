"""Requests about what is around drivers: the error log, devices that come and go."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from . import fields
from .fields import Usage
from .kernel import power, wmi
from .kernel.execution import Steps
from .kernel.interrupt import Fire
from .kernel.kernel import UNITS
from .kernel.pnp import DeviceNode
from .kernel.pnp_resources import Resources

if TYPE_CHECKING:
    from .kernel.kernel import Kernel

#: Runs an activity within a request's limits: the request, the activity, its name.
Run = Callable[[dict[str, Any], Any, str], Any]
Command = Callable[["Kernel", dict[str, Any], Run], dict[str, Any]]

#: Most identifiers, ranges and the like of one device.
_MOST: Final = 64


def _error_log(k: Kernel, _request: dict[str, Any], _run: Run) -> dict[str, Any]:
    return {"entries": k.system.error_log}


def _device(k: Kernel, request: dict[str, Any], run: Run) -> dict[str, Any]:
    """Make a device for a driver, or do something to one; its fields afterwards."""
    action = fields.text(request, "action")
    if action == "list":
        return {"devices": [_fields(k, node) for node in k.pnp.nodes.values()]}
    if action == "add":
        return _fields(k, _add(k, request, run))
    node = k.pnp.nodes.get(fields.integer(request, "node"))
    if node is None:
        raise Usage("there is no such device: it was removed")
    steps = {
        "start": k.pnp.start,
        "stop": k.pnp.stop,
        "remove": k.pnp.remove,
        "surprise_remove": k.pnp.surprise_remove,
    }
    if action in steps:
        run(request, steps[action](node), "PnpDeviceActionWorker")
    elif action == "power":
        run(request, power.set_power(k, node, fields.text(request, "state")), "PopIrpWorker")
    elif action == "bind":
        driver = k.drivers.get(fields.text(request, "driver"))
        if driver is None:
            raise Usage("no such driver is loaded")
        run(request, k.pnp.bind(node, driver), "PiProcessNewDeviceNode")
    elif action != "state":
        raise Usage(f"a device has no action {action!r}")
    return _fields(k, node)


def _add(k: Kernel, request: dict[str, Any], run: Run) -> DeviceNode:
    driver = k.drivers.get(fields.text(request, "driver"))
    if driver is None:
        raise Usage("no such driver is loaded")
    resources = Resources(
        memory=_ranges(request, "memory"),
        ports=_ranges(request, "ports"),
        interrupt=fields.integer(request, "interrupt", 0) & 0xFF,
    )
    steps = k.pnp.add(
        driver,
        hardware_ids=_texts(request, "hardware_ids"),
        compatible_ids=_texts(request, "compatible_ids"),
        description=str(request.get("description", "")),
        resources=resources,
    )
    node: DeviceNode = run(request, steps, "PiProcessNewDeviceNode")
    return node


def _texts(request: dict[str, Any], key: str) -> tuple[str, ...]:
    given = request.get(key) or []
    if not isinstance(given, list) or len(given) > _MOST:
        raise Usage(f"{key!r} has to be a list of texts")
    for text in given:
        if not isinstance(text, str) or not 0 < len(text) <= 200 or not text.isprintable():
            raise Usage(f"{key!r} has to be a list of texts of 1 to 200 printable characters")
    return tuple(given)


def _ranges(request: dict[str, Any], key: str) -> tuple[tuple[int, int], ...]:
    given = request.get(key) or []
    if not isinstance(given, list) or len(given) > _MOST:
        raise Usage(f"{key!r} has to be a list of [start, length]")
    found = []
    for each in given:
        if not isinstance(each, list) or len(each) != 2 or not all(type(n) is int for n in each):
            raise Usage(f"{key!r} has to be a list of [start, length]")
        start, length = each
        if not 0 <= start < 1 << 52 or not 0 < length < 1 << 32:
            raise Usage(f"{key!r}: {start:#x}, {length:#x} is no range of addresses")
        found.append((start, length))
    return tuple(found)


def _fields(k: Kernel, node: DeviceNode) -> dict[str, Any]:
    return {
        "node": node.number,
        "instance": node.instance,
        "driver": node.driver,
        "state": node.state,
        "hardware_ids": list(node.hardware_ids),
        "parent": node.parent,
        "power": f"D{node.power - 1}",
        "interfaces": [
            i.name for i in k.interfaces.values() if i.node == node.number and i.enabled
        ],
    }


def _wmi(k: Kernel, request: dict[str, Any], run: Run) -> dict[str, Any]:
    """Blocks and events of drivers, or one block's data."""
    action = fields.text(request, "action")
    if action == "list":
        return {
            "blocks": [
                {"guid": b.guid, "flags": b.flags, "instances": b.instances}
                for blocks in k.wmi.blocks.values()
                for b in blocks
            ],
            "events": k.wmi.events,
        }
    try:
        guid = str(uuid.UUID(fields.text(request, "guid")))
    except ValueError:
        raise Usage("'guid' has to be a GUID") from None
    if action == "query":
        found = run(request, wmi.query(k, guid), "WmipQueryAllData")
        return {"instances": [data.hex() for data in found]}
    if action not in ("enable", "disable"):
        raise Usage(f"WMI has no action {action!r}")
    steps = wmi.switch_events(k, guid, enable=action == "enable")
    run(request, steps, "WmipSendEnableRequest")
    return {}


def _fire(k: Kernel, request: dict[str, Any], run: Run) -> dict[str, Any]:
    """A device interrupts, now or after some virtual time."""
    vector = fields.integer(request, "vector")
    after = request.get("after")
    if after is not None:
        units = round(fields.seconds(request, "after", 1.0) * UNITS)
        k.scheduler.at(k.now + units, Fire(k.interrupts, vector))
        return {}
    run(request, _deliver(k, vector), "KiInterruptDispatch")
    return {}


def _deliver(k: Kernel, vector: int) -> Steps:
    k.interrupts.fire(vector)
    return 0
    yield  # an activity, though it has nothing to wait for


#: Each command's function.
COMMANDS: Mapping[str, Command] = {
    "error_log": _error_log,
    "device": _device,
    "wmi": _wmi,
    "fire": _fire,
}
