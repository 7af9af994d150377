"""Windows Management Instrumentation: data blocks and events of drivers.

WDK pages: "IRP_MN_REGINFO_EX", "IRP_MN_QUERY_ALL_DATA", "WMIREGINFOW structure (wmistr.h)",
"WNODE_HEADER structure (wmistr.h)", "WNODE_ALL_DATA structure (wmistr.h)".
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata

from . import io_device
from .driver import NtFailure
from .execution import Steps
from .io_call import steps
from .io_finish import Request
from .io_request import SendIrp, Spec
from .structs import const

if TYPE_CHECKING:
    from .kernel import Kernel

_TAG: Final = int.from_bytes(b"Wmi ", "little")
_ROOM: Final = 4096
#: WNODE_HEADER: BufferSize, ProviderId, linkage, time, Guid, ClientContext, Flags.
HEADER: Final = struct.Struct("<IIQQ16sII")
ALL_DATA, EVENT_ITEM, FIXED_SIZE, TOO_SMALL = 0x1, 0x8, 0x10, 0x20
#: Where in a WMIREGINFOW the count is, and the array; the size of a WMIREGGUIDW.
_GUID_COUNT, _GUIDS, _GUID_SIZE = 16, 24, 32


@dataclass(frozen=True, slots=True)
class Block:
    """A data or event block that a device has registered."""

    guid: str
    device: int
    flags: int
    instances: int


@dataclass(slots=True)
class WmiState:
    """Registered devices with their blocks, and the events that drivers have sent."""

    blocks: dict[int, list[Block]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)


def _send(k: Kernel, device: int, minor: str, fields: dict[str, int]) -> Steps:
    prefix = "Parameters.WMI."
    spec = Spec(
        "IRP_MJ_SYSTEM_CONTROL",
        minor,
        {
            "MinorFunction": const(minor),
            f"{prefix}ProviderId": device,
            **{f"{prefix}{name}": value for name, value in fields.items()},
        },
        status=const("STATUS_NOT_SUPPORTED"),
    )
    top = io_device.top_of(k, device)
    request: Request = yield from steps(SendIrp(k, None, top, spec, mode=0))
    return request


def register(k: Kernel, device: int, *, update: bool = False) -> Steps:
    """Ask a device for its blocks (IRP_MN_REGINFO_EX, or the older IRP_MN_REGINFO)."""
    for minor in ("IRP_MN_REGINFO_EX", "IRP_MN_REGINFO"):
        room = _ROOM
        for _ in range(2):
            buffer = k.pool.allocate(room, _TAG)
            fields = {"DataPath": int(update), "BufferSize": room, "Buffer": buffer}
            request = yield from _send(k, device, minor, fields)
            needed = k.memory.u32(buffer)
            raw = k.memory.read(buffer, room)
            k.pool.free(k.pool.live[buffer])
            too_small = request.status == const("STATUS_BUFFER_TOO_SMALL")
            if not too_small or not room < needed <= 1 << 20:
                break
            room = needed
        if ntdata.nt_success(request.status):
            k.wmi.blocks[device] = _blocks(raw, device)
            return


def _blocks(raw: bytes, device: int) -> list[Block]:
    (count,) = struct.unpack_from("<I", raw, _GUID_COUNT)
    found = []
    for number in range(min(count, (len(raw) - _GUIDS) // _GUID_SIZE)):
        guid, flags, instances = struct.unpack_from("<16sII", raw, _GUIDS + number * _GUID_SIZE)
        found.append(Block(str(uuid.UUID(bytes_le=guid)), device, flags, instances))
    return found


def _header(k: Kernel, device: int, guid: str, flags: int) -> bytes:
    identifier = uuid.UUID(guid).bytes_le
    return HEADER.pack(_ROOM, device & 0xFFFFFFFF, 0, k.boot_time + k.now, identifier, 0, flags)


def query(k: Kernel, guid: str) -> Steps:
    """Every instance's data of a block, for each device that has it. NtFailure where none has."""
    answers: list[bytes] = []
    for block in _with(k, guid):
        buffer = k.pool.allocate(_ROOM, _TAG)
        k.memory.write(buffer, _header(k, block.device, guid, ALL_DATA))
        path = k.pool.allocate(16, _TAG)
        k.memory.write(path, uuid.UUID(guid).bytes_le)
        fields = {"DataPath": path, "BufferSize": _ROOM, "Buffer": buffer}
        request = yield from _send(k, block.device, "IRP_MN_QUERY_ALL_DATA", fields)
        raw = k.memory.read(buffer, _ROOM)
        for address in (buffer, path):
            k.pool.free(k.pool.live[address])
        if not ntdata.nt_success(request.status):
            raise NtFailure(request.status, "IRP_MN_QUERY_ALL_DATA failed")
        answers += _instances(raw)
    return answers


def _instances(raw: bytes) -> list[bytes]:
    """The instances' data in a WNODE_ALL_DATA."""
    flags = HEADER.unpack_from(raw)[6]
    if flags & TOO_SMALL:
        raise NtFailure("STATUS_BUFFER_TOO_SMALL", f"the block has more than {_ROOM} bytes")
    at, count, _, size = struct.unpack_from("<4I", raw, HEADER.size)
    if flags & FIXED_SIZE:
        # Each instance begins at a multiple of eight bytes.
        step = -(-size // 8) * 8
        return [raw[at + n * step :][:size] for n in range(min(count, _ROOM))]
    found = []
    for number in range(min(count, _ROOM // 8)):
        offset, length = struct.unpack_from("<II", raw, HEADER.size + 12 + 8 * number)
        found.append(raw[offset : offset + length])
    return found


def switch_events(k: Kernel, guid: str, *, enable: bool) -> Steps:
    """IRP_MN_ENABLE_EVENTS or IRP_MN_DISABLE_EVENTS, to each device that has the block."""
    minor = "IRP_MN_ENABLE_EVENTS" if enable else "IRP_MN_DISABLE_EVENTS"
    for block in _with(k, guid):
        buffer = k.pool.allocate(HEADER.size, _TAG)
        k.memory.write(buffer, _header(k, block.device, guid, EVENT_ITEM))
        path = k.pool.allocate(16, _TAG)
        k.memory.write(path, uuid.UUID(guid).bytes_le)
        fields = {"DataPath": path, "BufferSize": HEADER.size, "Buffer": buffer}
        request = yield from _send(k, block.device, minor, fields)
        for address in (buffer, path):
            k.pool.free(k.pool.live[address])
        if not ntdata.nt_success(request.status):
            raise NtFailure(request.status, f"{minor} failed")
    return []


def _with(k: Kernel, guid: str) -> list[Block]:
    found = [b for blocks in k.wmi.blocks.values() for b in blocks if b.guid == guid]
    if not found:
        raise NtFailure("STATUS_WMI_GUID_NOT_FOUND", f"no device has registered {guid}")
    return found
