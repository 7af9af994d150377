"""The exercises of lesson 15: what a file is, its checksum, what another kernel lacks."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from ..exercise import Trial, exercise

#: Where the headers of the made-up files begin; the subsystem and the checksum behind that.
_PE: Final = 0x80
_CHECKSUM: Final = 24 + 64
_SUBSYSTEM: Final = 24 + 68


def _image(subsystem: int, size: int = 600, *, pe: int = _PE) -> bytes:
    """The beginning of a PE file, filled with bytes that are not zero; it need not be loadable."""
    data = bytearray((7 * index + index // 256) % 251 + 1 for index in range(size))
    data[:2] = b"MZ"
    struct.pack_into("<I", data, 60, pe)
    data[pe : pe + 4] = b"PE\0\0"
    struct.pack_into("<H", data, pe + _SUBSYSTEM, subsystem)
    return bytes(data)


def _answer(trial: Trial, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the reader's function gives; a hint where it raises."""
    try:
        return function(*arguments)
    except Exception as error:  # it is the reader's function
        trial.expect(False, f"With {what} it raises {type(error).__name__}: {error}.")


def _function(trial: Trial, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = trial.value
    trial.expect(callable(function), f"Give check(…) the function itself, `{name}`.")
    return function


@exercise("15.1", "What kind of file?")
def _(trial: Trial) -> None:
    kind = _function(trial, "kind")
    no = "no PE file"
    cases = [
        (_image(1), "driver", "a driver"),
        (_image(3), "program", "a program for the console (subsystem 3)"),
        (_image(2), "program", "a program with windows (subsystem 2)"),
        (
            _image(1, pe=0x100),
            "driver",
            "a driver whose headers begin elsewhere: byte 60 says where",
        ),
        (_image(10), "other", "a program for EFI (subsystem 10)"),
        (b"", no, "no bytes at all"),
        (b"\x7fELF" + bytes(100), no, "a program for Linux"),
        (b"ZM" + _image(1)[2:], no, "a file that does not begin with MZ"),
        (_image(1).replace(b"PE\0\0", b"NE\0\0"), no, "a program for Windows 3: NE, not PE"),
        (_image(1)[:50], no, "the first 50 bytes of a driver"),
        (_image(1)[: _PE + 30], no, "a driver that ends before its subsystem"),
        (_image(1)[:60] + b"\xff\xff\xff\x7f" + bytes(99), no, "headers far behind the file's end"),
    ]
    for data, wanted, what in cases:
        got = _answer(trial, what, kind, data)
        trial.expect(got == wanted, f"With {what} it returns {got!r}, not {wanted!r}.")


def _sum(data: bytes) -> int:
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"<{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@exercise("15.2", "The checksum")
def _(trial: Trial) -> None:
    function = _function(trial, "checksum_of")
    for data, what in (
        (_image(1), "a file of 600 bytes"),
        (_image(1, 4096, pe=0x100), "a file whose headers begin elsewhere: byte 60 says where"),
        (_image(1, 601), "a file of 601 bytes, an odd number"),
        (_image(1, 300_000), "a long file: there is much to bring down"),
    ):
        got = _answer(trial, what, function, data)
        (pe,) = struct.unpack_from("<I", data, 60)
        at = pe + _CHECKSUM
        blank = data[:at] + bytes(4) + data[at + 4 :]
        wanted = _sum(blank) + len(data)
        trial.expect(
            got != _sum(blank), f"With {what} the length is missing: it is added in the end."
        )
        trial.expect(
            got not in (_sum(data), _sum(data) + len(data)),
            f"With {what} the old checksum is part of the sum: its four bytes count as 0.",
        )
        trial.expect(
            isinstance(got, int) and got <= 0xFFFF + len(data),
            f"With {what} it gives {got!r}: bits above the lower 16 are left. Add them to these,"
            " until none are left.",
        )
        trial.expect(
            len(data) % 2 == 0 or got != _sum(blank[:-1]) + len(data),
            f"With {what} the last byte is left out of the sum.",
        )
        trial.expect(
            got == wanted,
            f"With {what} it gives {got:#x}, not {wanted:#x}. Where is the checksum in the file?",
        )


@exercise("15.3", "What would Wine lack?")
def _(trial: Trial) -> None:
    lacking = _function(trial, "lacking")
    spec = """\
# what is there
@ stdcall KeOne(ptr)
@ stdcall -arch=!i386 KeTwo()
@ stdcall -fastcall -arch=win64 -norelay KeThree(ptr long) KeElsewhere
@ extern KeFour
@ varargs KeFiveEx(long str)
@ cdecl -private KeSix() # and not KeSeven
@ stub KeEight
@ stdcall -arch=i386 KeNine(ptr)
@ stdcall -arch=win32 -fastcall KeTen(ptr)

"""
    cases = [
        (["KeOne", "KeFour", "KeFiveEx"], [], "they are there"),
        (["KeTwo", "KeThree", "KeSix"], [], "they are there: names come behind all options"),
        (["KeEleven", "KeOne"], ["KeEleven"], "KeEleven is nowhere"),
        (["KeEight"], ["KeEight"], "it is a stub only"),
        (["KeFive"], ["KeFive"], "there is only KeFiveEx: a name is a whole word"),
        (["KeSeven"], ["KeSeven"], "it is in a comment only"),
        (["KeNine", "KeTen"], ["KeNine", "KeTen"], "they are there for i386 only"),
        (["KeElsewhere"], ["KeElsewhere"], "it is only what Wine itself calls KeThree"),
        (["KeZero", "KeOne", "KeEight", "KeAlso"], ["KeZero", "KeEight", "KeAlso"], "in order"),
    ]
    for names, wanted, why in cases:
        what = ", ".join(names)
        got = _answer(trial, what, lacking, names, spec)
        trial.expect(
            isinstance(got, list) and got == wanted,
            f"For {what} it returns {got!r}, not {wanted!r}: {why}.",
        )
