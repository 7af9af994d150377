"""The power manager: power IRPs, and what state each device says it is in.

WDK pages: "PoRequestPowerIrp function (wdm.h)", "IRP_MN_SET_POWER", "IRP_MN_QUERY_POWER",
"PoSetPowerState function (wdm.h)".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from . import io_device
from . import irp as irps
from .driver import NtFailure
from .execution import Call, Steps
from .io_call import CallDriver, steps
from .io_request import SendIrp, Spec
from .irp import Origin
from .structs import Struct, const, size_of

if TYPE_CHECKING:
    from .kernel import Kernel
    from .pnp import DeviceNode

_TAG: Final = int.from_bytes(b"Powr", "little")
#: POWER_STATE_TYPE; the states of each by name, and the POWER_ACTION that leads there.
SYSTEM, DEVICE = 0, 1
DEVICE_STATES: Final = {"D0": 1, "D1": 2, "D2": 3, "D3": 4}
SYSTEM_STATES: Final = {"S0": 1, "S1": 2, "S2": 3, "S3": 4, "S4": 5, "S5": 6}
_ACTIONS: Final = {"S1": 2, "S2": 2, "S3": 2, "S4": 3, "S5": 4}


@dataclass(frozen=True, slots=True)
class Requested:
    """A power IRP that a driver asked for, and whom to tell when it is completed."""

    device: int
    minor: int
    state: int
    function: int
    context: int
    owner: str


@dataclass(slots=True)
class PowerState:
    """What devices told with PoSetPowerState, and power IRPs on their way by address."""

    device: dict[int, int] = field(default_factory=dict)
    system: dict[int, int] = field(default_factory=dict)
    requested: dict[int, Requested] = field(default_factory=dict)


def request(k: Kernel, wanted: Requested, irp_at: int = 0) -> Steps:
    """Send a power IRP to the top of a device's stack; STATUS_PENDING."""
    top = io_device.top_of(k, wanted.device)
    size = Struct(k.memory, "DEVICE_OBJECT", top)["StackSize"]
    # One location more is the power manager's own: it hears of the end by a completion routine.
    record = irps.allocate(k, size + 1, Origin.KERNEL)
    if record is None:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    irp = Struct(k.memory, "IRP", record.address)
    irp["IoStatus.Status"] = const("STATUS_NOT_SUPPORTED")
    own = irps.next_location(k, irp)
    own["DeviceObject"] = wanted.device
    irp["CurrentLocation"] -= 1
    irp["Tail.Overlay.CurrentStackLocation"] = own.address
    location = irps.next_location(k, irp)
    location["MajorFunction"] = const("IRP_MJ_POWER")
    location["MinorFunction"] = wanted.minor
    if wanted.minor == const("IRP_MN_WAIT_WAKE"):
        location["Parameters.WaitWake.PowerState"] = wanted.state
    else:
        location["Parameters.Power.Type"] = DEVICE
        location["Parameters.Power.State"] = wanted.state
    location["CompletionRoutine"] = k.stub_of("PopRequestCompletion")
    location["Control"] = (
        const("SL_INVOKE_ON_SUCCESS") | const("SL_INVOKE_ON_ERROR") | const("SL_INVOKE_ON_CANCEL")
    )
    k.power.requested[record.address] = wanted
    if irp_at:
        k.memory.set_u64(irp_at, record.address)
    yield from steps(CallDriver(k, top, record.address))
    return const("STATUS_PENDING")


def completed(k: Kernel, address: int) -> Steps:
    """A requested power IRP is back: tell whoever asked, then free it."""
    wanted = k.power.requested.pop(address)
    irp = Struct(k.memory, "IRP", address)
    block = Struct(k.memory, "IO_STATUS_BLOCK", k.pool.allocate(size_of("IO_STATUS_BLOCK"), _TAG))
    block["Status"], block["Information"] = irp["IoStatus.Status"], irp["IoStatus.Information"]
    if wanted.function:
        arguments = wanted.device, wanted.minor, wanted.state, wanted.context, block.address
        yield Call(wanted.function, arguments)
    k.pool.free(k.pool.live[block.address])
    record = k.irps.live[address]
    record.completed = True
    irps.release(k, record)
    return const("STATUS_MORE_PROCESSING_REQUIRED")


def set_power(k: Kernel, node: DeviceNode, name: str) -> Steps:
    """Send the power IRPs of a state, ``D0`` to ``D3`` or ``S0`` to ``S5``, to a node's stack.

    A system state other than S0 is asked for first; NtFailure where a driver refuses it.
    """
    system = name in SYSTEM_STATES
    if not system and name not in DEVICE_STATES:
        raise NtFailure("STATUS_INVALID_PARAMETER", f"{name!r} is no power state")
    if node.state != "started":
        raise NtFailure("STATUS_INVALID_DEVICE_STATE", f"{node.instance} is {node.state}")
    fields = {
        "Parameters.Power.Type": SYSTEM if system else DEVICE,
        "Parameters.Power.State": SYSTEM_STATES[name] if system else DEVICE_STATES[name],
        "Parameters.Power.ShutdownType": _ACTIONS.get(name, 0),
    }
    minors = ["IRP_MN_SET_POWER"]
    if system and name != "S0":
        minors.insert(0, "IRP_MN_QUERY_POWER")
    for minor in minors:
        unsupported = const("STATUS_NOT_SUPPORTED")
        spec = Spec(
            *("IRP_MJ_POWER", f"{minor} ({name})"),
            {"MinorFunction": const(minor), **fields},
            status=unsupported,
        )
        top = io_device.top_of(k, node.pdo)
        sent = yield from steps(SendIrp(k, None, top, spec, mode=0))
        if ntdata.nt_success(sent.status):
            continue
        why = f"{minor} ({name}) was completed with {ntdata.status_name(sent.status)}"
        if minor == "IRP_MN_SET_POWER":
            k.tell("pnp-irp-failed", f"{why}: a driver must not fail it", node.driver)
        raise NtFailure(sent.status, why)
    return node
