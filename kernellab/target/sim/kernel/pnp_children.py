"""Buses: the children that their drivers report, and the nodes these get.

WDK pages: "IRP_MN_QUERY_DEVICE_RELATIONS", "IRP_MN_QUERY_ID", "Adding a PnP Device to a Running
System".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from .execution import Steps
from .pnp import COMPATIBLE_IDS, DEVICE_ID, HARDWARE_IDS, INSTANCE_ID, DeviceNode
from .structs import Struct, const

if TYPE_CHECKING:
    from .kernel import Kernel

_BUS_RELATIONS: Final = 0


def enumerate_children(k: Kernel, node: DeviceNode) -> Steps:
    """Ask a bus for its children: new ones get nodes, those that are gone are removed."""
    fields = {"Parameters.QueryDeviceRelations.Type": _BUS_RELATIONS}
    request = yield from k.pnp.send(node, "IRP_MN_QUERY_DEVICE_RELATIONS", fields)
    if not ntdata.nt_success(request.status) or not request.information:
        return
    relations = Struct(k.memory, "DEVICE_RELATIONS", request.information)
    at = relations.at("Objects")
    found = [k.memory.u64(at + 8 * n) for n in range(relations["Count"])]
    k.pool.free(k.pool.live[relations.address])
    known = {n.pdo: n for n in k.pnp.nodes.values() if n.parent == node.number}
    for pdo in found:
        if pdo not in known:
            yield from _arrived(k, node, pdo)
    for pdo, child in known.items():
        if pdo not in found and child.state != "removed":
            if child.state in ("started", "stopped"):
                yield from k.pnp.surprise_remove(child)
            else:
                yield from k.pnp.remove_now(child)
    for pdo in found:  # each was referenced for this answer
        k.ob.dereference(pdo)


def _arrived(k: Kernel, parent: DeviceNode, pdo: int) -> Steps:
    child = k.pnp.new_node(parent.number, "")
    child.pdo = pdo
    Struct(k.memory, "DEVICE_OBJECT", pdo)["Flags"] |= const("DO_BUS_ENUMERATED_DEVICE")
    device = yield from _query_id(k, child, DEVICE_ID)
    instance = yield from _query_id(k, child, INSTANCE_ID)
    hardware = yield from _query_id(k, child, HARDWARE_IDS)
    child.hardware_ids = tuple(hardware)
    child.instance = "\\".join((*(device or ("ROOT",)), *(instance or (str(child.number),))))
    child.description = child.instance


def _query_id(k: Kernel, node: DeviceNode, kind: int) -> Steps:
    """The texts that IRP_MN_QUERY_ID answers with; empty where it is not handled."""
    fields = {"Parameters.QueryId.IdType": kind}
    request = yield from k.pnp.send(node, "IRP_MN_QUERY_ID", fields)
    if not ntdata.nt_success(request.status) or not request.information:
        return []
    allocation = k.pool.live[request.information]
    raw = k.memory.read(allocation.address, allocation.size & ~1)
    k.pool.free(allocation)
    texts = raw.decode("utf-16-le", "replace").split("\0")
    end = texts.index("") if "" in texts else len(texts)
    return texts[: end if kind in (HARDWARE_IDS, COMPATIBLE_IDS) else 1]
