"""The exercises of lesson 14: a log that keeps the newest, old clients, records in raw bytes."""

from __future__ import annotations

import struct
from typing import Any, Final

from ...errors import NtStatusError
from ..exercise import Trial, exercise

_STATUS: Final = 0x8000_2000


def _write(handle: Any, data: bytes) -> str:
    """Write a record; the name of the status with which it is refused, empty if not."""
    try:
        handle.write(data)
    except NtStatusError as error:
        return error.name
    return ""


@exercise("14.1", "Keep the newest", driver="ex141_newest")
def _(trial: Trial) -> None:
    trial.fresh()
    with trial.target.open(r"\\.\Newest") as log:
        for letter in (b"a", b"b", b"c"):
            trial.expect(
                not _write(log, letter * 20), "A log of 64 bytes has room for three records of 20."
            )
        status = _write(log, b"d" * 20)
        trial.expect(
            not status,
            f"The fourth record of 20 bytes is refused with {status}: the oldest has to make room.",
        )
        kept = log.read(1000)
        trial.expect(
            b"a" not in kept and kept.endswith(b"d" * 20),
            "After a fourth record of 20 bytes the first should be gone and the fourth the last:"
            " at which end are the oldest?",
        )
        trial.expect(
            kept == b"b" * 20 + b"c" * 20 + b"d" * 20,
            f"After a fourth record of 20 bytes {len(kept)} bytes are kept, not 60: only as many"
            " records go as the new one needs. Does `used` become smaller as well?",
        )
        trial.expect(
            _write(log, b"x" * 65) == "STATUS_DISK_FULL",
            "A record of 65 bytes never fits: STATUS_DISK_FULL is expected.",
        )
        trial.expect(
            log.read(1000) == kept,
            "A record of 65 bytes is refused, but others were thrown away for it: look at its"
            " length first.",
        )
        status = _write(log, b"e" * 64)
        trial.expect(
            not status and log.read(1000) == b"e" * 64,
            f"A record of 64 bytes just fits, when all others are gone. {status}".rstrip(),
        )
    trial.clean_unload()


@exercise("14.2", "Two numbers more", driver="ex142_versions")
def _(trial: Trial) -> None:
    trial.fresh()
    with trial.target.open(r"\\.\Versions") as log:
        log.write(b"x" * 40)
        _write(log, b"y" * 40)
        whole = struct.pack("<4I", 64, 40, 1, 1)
        for room, wanted in ((16, 16), (100, 16), (8, 8), (12, 8), (15, 8)):
            _status(trial, log, room, whole[:wanted])
        for room in (7, 4, 0):
            try:
                got = log.ioctl(_STATUS, out_size=room)
            except NtStatusError as error:
                trial.expect(
                    error.name == "STATUS_BUFFER_TOO_SMALL",
                    f"With {room} bytes of room it fails with {error.name}.",
                )
            else:
                trial.expect(
                    False,
                    f"With {room} bytes of room it gives {len(got)}: half a number helps nobody.",
                )
    trial.clean_unload()


def _status(trial: Trial, log: Any, room: int, wanted: bytes) -> None:
    who = "a new program" if room >= 16 else "a program of the first version"
    try:
        got = log.ioctl(_STATUS, out_size=room)
    except NtStatusError as error:
        trial.expect(
            False,
            f"With {room} bytes of room, as {who} may have, it fails with {error.name}."
            " How much room is there (`output_len`), and how much fits?",
        )
    else:
        trial.expect(
            len(got) == len(wanted),
            f"With {room} bytes of room, as {who} may have, {len(wanted)} bytes are expected, not"
            f" {len(got)}.",
        )
        trial.expect(
            got == wanted,
            f"With {room} bytes of room the numbers are {struct.unpack(f'<{len(got) // 4}I', got)},"
            f" not {struct.unpack(f'<{len(wanted) // 4}I', wanted)}.",
        )


@exercise("14.3", "Frames")
def _(trial: Trial) -> None:
    records = trial.value
    trial.expect(callable(records), "Give check(…) the function itself: check('14.3', records).")

    def framed(*parts: bytes) -> bytes:
        return b"".join(struct.pack("<I", len(part)) + part for part in parts)

    two = [b"one", b"\x05\0\0\0hello"]
    cases = [
        (framed(*two), two, "two records, the second with bytes in it that look like a header"),
        (b"", [], "no bytes at all"),
        (framed(b"one") + b"\x05\0", [b"one"], "a header that is cut off"),
        (framed(b"one") + b"\x05\0\0\0hell", [b"one"], "a record of 5 bytes with 4 of them there"),
        (framed(b"x" * 300), [b"x" * 300], "a record of 300 bytes: the length has four bytes"),
    ]
    for data, wanted, what in cases:
        try:
            got = list(records(data))
        except Exception as error:  # it is the reader's function
            trial.expect(False, f"With {what} it raises {type(error).__name__}: {error}.")
        else:
            trial.expect(got == wanted, f"With {what} it gives {got!r:.80}, not {wanted!r:.80}.")
