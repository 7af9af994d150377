"""The records of the capture driver, as docs/agent.md lays them out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple


class Record(NamedTuple):
    """One of them."""

    lost: int
    time: int
    address: int
    thread: int
    component: int
    level: int
    irql: int
    text: str


def records(data: bytes) -> Iterator[Record]:
    """All in what one read gave, which has to be whole records."""
    while data:
        size, lost, time, address, thread, component, level, irql, length = struct.unpack_from(
            "<IIQQIHBBH", data
        )
        assert size % 8 == 0 and 34 + length <= size < 34 + length + 8 and size <= len(data)
        assert not any(data[34 + length : size])
        text = data[34 : 34 + length].decode()
        yield Record(lost, time, address, thread, component, level, irql, text)
        data = data[size:]
