"""IRPs: who made each, where it is, and what is left of it once it is gone.

An IRP is in guest memory, where drivers work on it directly; what Windows knows of it by other
means (the thread it belongs to, whether it was completed) is kept here by its address. Addresses
are never used twice, so an IRP that is completed a second time is known for what it is.

WDK pages: "IRP structure (wdm.h)", "IoAllocateIrp function (wdm.h)", "Reusing IRPs".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from .bugcheck import BugCheck
from .pool import tell_allocated
from .records import Records
from .structs import Struct, const, place, size_of

if TYPE_CHECKING:
    from .kernel import Kernel

IRP_TAG: Final = int.from_bytes(b"Irp ", "little")
#: The fields of an IRP that are not zero when it is made.
_INITIAL: Final = tuple(
    place("IRP", name)
    for name in (
        *("Type", "Size", "StackCount", "CurrentLocation"),
        "Tail.Overlay.CurrentStackLocation",
    )
)
_THREAD_LIST: Final = place("IRP", "ThreadListEntry")[0]
#: How many IRPs that are gone are remembered, to say what was done to one.
_KEPT: Final = 4096


class Origin(Enum):
    """Who made an IRP, and so what the I/O manager does with it when it is completed."""

    #: The I/O manager, for a call of the client.
    CLIENT = auto()
    #: IoBuildDeviceIoControlRequest, IoBuildSynchronousFsdRequest: freed by the I/O manager.
    THREADED = auto()
    #: IoBuildAsynchronousFsdRequest: its completion routine frees it.
    ASYNCHRONOUS = auto()
    #: IoAllocateIrp: its completion routine frees it.
    ALLOCATED = auto()
    #: IoInitializeIrp, in memory of the driver's own.
    INITIALIZED = auto()
    #: IoMakeAssociatedIrp: freed by the I/O manager.
    ASSOCIATED = auto()
    #: The I/O manager, for itself: shutdown, and files that drivers open.
    KERNEL = auto()


@dataclass(slots=True)
class Irp:
    """What is known of an IRP. ``owner`` is the driver that made it, empty for the kernel."""

    address: int
    origin: Origin
    owner: str = ""
    #: The ETHREAD that it belongs to, 0 for none.
    thread: int = 0
    #: The driver that has it, the device it was sent to last, and its major function then.
    holder: str = ""
    device: int = 0
    major: int = 0
    #: The stack location that it was sent to first, while a driver has it.
    sent: int = 0
    completed: bool = False
    #: When it was made or sent last, units since boot; its status when it was completed.
    since: int = 0
    status: int = 0
    freed: bool = False
    cancelled: bool = False
    #: By stack location: whether the driver there had marked it pending when it was completed.
    marked: dict[int, bool] = field(default_factory=dict)
    #: By stack location: the dispatch routine that has returned while others still have the IRP,
    #: and its status.
    returned: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: What waits for it: a request of the client.
    request: Any = None
    #: The system buffer that the I/O manager made for it, and how much of it goes back.
    buffer: int = 0
    capacity: int = 0
    #: The stack of the call that completed or freed it.
    context: Any = None


@dataclass(frozen=True, slots=True)
class PastIrp:
    """What is remembered of an IRP that is gone: how it went, and where."""

    completed: bool
    context: Any
    #: As in :class:`Irp`, and when it went.
    holder: str = ""
    owner: str = ""
    device: int = 0
    major: int = 0
    thread: int = 0
    status: int = 0
    ended: int = 0


class Irps:
    """All IRPs by address."""

    def __init__(self) -> None:
        self.live: dict[int, Irp] = {}
        self.gone: Records[PastIrp] = Records()

    def add(self, irp: Irp) -> Irp:
        """Know an IRP from now on."""
        self.gone.pop(irp.address, None)
        self.live[irp.address] = irp
        return irp

    def forget(self, irp: Irp, now: int) -> None:
        """Its memory goes away; what it was is remembered for a while."""
        self.live.pop(irp.address, None)
        past = PastIrp(
            *(irp.completed, irp.context, irp.holder, irp.owner, irp.device, irp.major),
            *(irp.thread, irp.status, now),
        )
        self.gone.remember(irp.address, past, _KEPT)


def irp_size(stack_size: int) -> int:
    """The bytes of an IRP with so many stack locations."""
    return size_of("IRP") + stack_size * size_of("IO_STACK_LOCATION")


def initialize(k: Kernel, address: int, size: int, stack_size: int) -> Struct:
    """Write an IRP that was not sent yet, as IoInitializeIrp does."""
    image = bytearray(size)
    head = address + _THREAD_LIST
    for (offset, width), value in zip(
        _INITIAL,
        (
            *(const("IO_TYPE_IRP"), size, stack_size, stack_size + 1),
            address + irp_size(stack_size),
        ),
        strict=True,
    ):
        image[offset : offset + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    struct.pack_into("<2Q", image, _THREAD_LIST, head, head)
    k.memory.write(address, image)
    return Struct(k.memory, "IRP", address)


def allocate(k: Kernel, stack_size: int, origin: Origin, owner: str = "") -> Irp | None:
    """A new IRP; None where there is no memory."""
    size = irp_size(stack_size)
    address = k.pool.allocate(size, IRP_TAG, owner=owner)
    if not address:
        return None
    if owner:
        tell_allocated(k, address)
    initialize(k, address, size, stack_size)
    record = k.irps.add(Irp(address, origin, owner, since=k.now))
    k.tell("irp-made", record)
    return record


def next_location(k: Kernel, irp: Struct) -> Struct:
    """The stack location of the driver that the IRP is sent to next."""
    here = irp["Tail.Overlay.CurrentStackLocation"] - size_of("IO_STACK_LOCATION")
    return Struct(k.memory, "IO_STACK_LOCATION", here)


def current_location(k: Kernel, irp: Struct) -> Struct:
    """The stack location of the driver that has the IRP."""
    return Struct(k.memory, "IO_STACK_LOCATION", irp["Tail.Overlay.CurrentStackLocation"])


def release(k: Kernel, record: Irp) -> None:
    """Give an IRP's memory back: any later touch faults."""
    record.freed = True
    k.irps.forget(record, k.now)
    allocation = k.pool.live.get(record.address)
    if allocation is not None and record.origin is not Origin.INITIALIZED:
        k.pool.free(allocation)
    k.tell("irp-freed", record)


def free(k: Kernel, address: int) -> None:
    """What IoFreeIrp does, with the bug checks for what must not be freed."""
    record = k.irps.live.get(address)
    if record is None:
        gone = k.irps.gone.get(address)
        if gone is not None:
            how = "it was completed, and belongs to the I/O manager" if gone.completed else "twice"
            raise BugCheck(
                *("MULTIPLE_IRP_COMPLETE_REQUESTS", address),
                message=f"An IRP was freed that is gone already: {how}.",
            )
        kind = Struct(k.memory, "IRP", address)["Type"]
        # As Driver Verifier has it: "Bug Check 0xC9: DRIVER_VERIFIER_IOMANAGER_VIOLATION".
        raise BugCheck(
            *("DRIVER_VERIFIER_IOMANAGER_VIOLATION", 1, address),
            message=f"IoFreeIrp was given {address:#x}, which is no IRP (its Type is {kind}).",
        )
    if record.thread and record.origin in (Origin.CLIENT, Origin.THREADED, Origin.KERNEL):
        raise BugCheck(
            *("DRIVER_VERIFIER_IOMANAGER_VIOLATION", 2, address),
            message="An IRP was freed that still belongs to a thread: the I/O manager made it and "
            "frees it when it is completed.",
        )
    if record.sent:
        raise BugCheck(
            *("MULTIPLE_IRP_COMPLETE_REQUESTS", address),
            message=f"An IRP was freed while {record.holder or 'a driver'} still has it: "
            "wait until it is completed.",
        )
    record.context = k.flow.context(trapped=True)
    release(k, record)
