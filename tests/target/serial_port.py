"""What Windows sends over a serial line of kernel debugging, as packets and as a machine's disk."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from kernellab.target.kd import DEBUG_IO, INITIAL_ID, PRINT, RESET, SYNC, control, packet

#: 16-bit code for COM1: sends each packet of the data behind it, waits for 16 bytes after each.
_CODE = bytes.fromhex(
    "fa 31c0 8ed8 be327c fc"  #        cli; ds = 0; si = data; cld
    "ad 91 e322"  #              next: lodsw; cx = ax; jcxz done
    "bafd03 ec a820 74fb"  #     send: wait for the line status to say that it can be sent
    "ac baf803 ee e2f1"  #             lodsb; out; loop send
    "b91000"  #                        cx = 16
    "bafd03 ec a801 74fb"  #     hear: wait until there is a byte
    "baf803 ec e2f2 ebda"  #           in; loop hear; jmp next
    "f4 ebfd"  #                 done: hlt; jmp done
)


def print_packet(text: str, number: int) -> bytes:
    """A DbgPrint's packet; ``number`` counts from 0 after a RESET."""
    data = text.encode()
    body = struct.pack("<IHHII", PRINT, 6, 0, len(data), 0) + data
    return packet(DEBUG_IO, body, INITIAL_ID ^ (number & 1) | (SYNC if number == 0 else 0))


def boot(texts: Sequence[str]) -> list[bytes]:
    """The packets of a boot that prints ``texts``."""
    return [control(RESET), *(print_packet(text, n) for n, text in enumerate(texts))]


def boot_sector(packets: Sequence[bytes]) -> bytes:
    """A floppy disk that sends them over COM1, each when the one before was answered."""
    data = b"".join(struct.pack("<H", len(each)) + each for each in packets) + b"\0\0"
    assert len(_CODE) == 50 and len(_CODE) + len(data) <= 510
    return (_CODE + data).ljust(510, b"\0") + b"\x55\xaa" + bytes(1440 * 1024 - 512)
