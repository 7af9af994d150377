"""The bytes of a trace: what an endpoint records, and the client and the pane read.

A trace is the text ``KLT1``, the length of a header (32 bits, little endian), the header as JSON,
and records of :data:`RECORD`, in the order in which they *ended*. It imports nothing of ours.

The header has ``names`` (texts that records refer to by number), ``tracks`` (what things run on:
threads, and each processor's DPCs and interrupts), ``stacks`` (return addresses in drivers,
innermost first, that calls refer to by number), ``modules`` (images by name, with base and size),
``processors``, ``time`` (when it was read), ``dropped`` (how many records were let go since the
beginning) and ``open`` (how many records at its end are of what has not ended yet).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import Any, Final

MAGIC: Final = b"KLT1"
#: begin, duration (both in units of 100 ns since the machine's boot), value, address, name, track,
#: depth, processor, kind, flags.
RECORD: Final = struct.Struct("<qqQQIIHBBB3x")
#: How many records are kept unless asked otherwise, and at most.
SIZE: Final = 200_000
MOST: Final = 5_000_000

#: Tracks that are no thread: a processor's number is added.
DPC_TRACK, ISR_TRACK, OTHER_TRACK = 0xFFFF_0000, 0xFFFE_0000, 0xFFFD_0000


class Kind(IntEnum):
    """What a record is of: spans first, then moments."""

    #: A routine of the kernel that a driver called. ``value`` is its result, ``address`` the
    #: number of the call stack it was called from.
    CALL = 1
    #: A routine of a driver at ``address`` that the kernel called; ``name`` says which, ``value``
    #: is what it returned.
    ROUTINE = 2
    #: What the kernel did on a track by itself: a system service, the retiring of a DPC.
    SERVICE = 3
    #: A thread (``track``) had the processor.
    RUN = 4
    #: The processor's IRQL became ``value``.
    IRQL = 16
    #: A driver (``name``'s part before the first line end) printed the text behind that.
    PRINT = 17
    #: An IRP at ``address``: ``name`` is its major function, ``value`` what happened to it, one
    #: of :class:`IrpStep`, and above 8 bits the status.
    IRP = 18
    #: The driver's pool with the tag ``name`` has ``value`` bytes now.
    POOL = 19
    #: The machine bug-checked: ``name`` is which, ``value`` the code.
    BUGCHECK = 20
    #: A verifier rule was broken.
    VIOLATION = 21
    #: A DPC at ``address`` was queued; the track is 0 where a timer did that.
    QUEUED = 22
    #: Something else: ``name`` says what.
    MARK = 23


class IrpStep(IntEnum):
    """What happened to an IRP."""

    MADE = 1
    SENT = 2
    PENDING = 3
    COMPLETED = 4
    CANCELLED = 5
    FREED = 6


class Flag(IntFlag):
    """What else there is to a record."""

    #: ``value`` is an NTSTATUS.
    STATUS = 1
    #: It has no result.
    VOID = 2
    #: It had not ended when the trace was read.
    OPEN = 4
    #: It ended by an exception, or because what it was called from was given up.
    GIVEN_UP = 8


class DamagedTrace(ValueError):
    """Bytes that are no trace."""


def pack(header: Mapping[str, Any], records: bytes) -> bytes:
    """A trace's bytes."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((MAGIC, struct.pack("<I", len(text)), text, records))


def unpack(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and records of a trace. Raises DamagedTrace."""
    if len(data) < 8 or data[:4] != MAGIC:
        raise DamagedTrace("this is no trace")
    end = 8 + int.from_bytes(data[4:8], "little")
    try:
        header = json.loads(data[8:end])
    except ValueError:
        raise DamagedTrace("the trace's header is damaged") from None
    records = data[end:]
    if not isinstance(header, dict) or len(records) % RECORD.size:
        raise DamagedTrace("the trace is cut off")
    return header, records
