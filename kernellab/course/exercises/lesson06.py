"""The exercises of lesson 6: a code's fields, numbers that cannot be divided, two versions."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ...driver import DeviceHandle
from ...errors import Bugcheck, NtStatusError
from ..exercise import Trial, exercise

_DIVIDE, _BEEP = 0x80002000, 0x8000A040
#: The beeper's code with the starter's access.
_BEEP_FOR_ANYBODY = 0x80002040
_LEAST = -(2**31)


@exercise("6.1", "Take it apart")
def _(trial: Trial) -> None:
    code = 0x0022E00A
    fields = {"device_type": (31, 16), "access": (15, 14), "function": (13, 2), "method": (1, 0)}
    answer = trial.value
    trial.expect(
        isinstance(answer, Mapping) and answer.keys() == fields.keys(),
        "Give check the four fields by their names, as the starter has them.",
    )
    for name, (high, low) in fields.items():
        wanted, given = code >> low & (1 << high - low + 1) - 1, answer[name]
        shown = f"{given:#x}" if isinstance(given, int) else repr(given)
        hint = f"Not {shown}: {name} is bits {high} to {low}, counted from 0 at the lowest."
        if given == wanted << low:
            hint += " It has to be shifted down to begin at bit 0."
        elif given == code >> low:
            hint += " The bits above it have to be masked away."
        trial.expect(given == wanted, hint)


@exercise("6.2", "The types are right, the numbers are not", driver="ex62_divides")
def _(trial: Trial) -> None:
    trial.fresh()
    with trial.target.open(r"\\.\Divider") as device:
        for number, by, quotient, remainder in ((17, 5, 3, 2), (-17, 5, -3, -2), (_LEAST, 1, 0, 0)):
            status, found = _control(device, _DIVIDE, struct.pack("<ii", number, by), 8)
            trial.expect(not status, f"{number} divided by {by} fails with {status}.")
            wanted = (quotient, remainder) if number != _LEAST else (_LEAST, 0)
            got = struct.unpack("<ii", found)
            trial.expect(
                got == wanted,
                f"{number} divided by {by} is {wanted[0]} and {wanted[1]} remain; the driver says"
                f" {got[0]} and {got[1]}.",
            )
        for number, by, wanted_status in (
            (7, 0, "STATUS_INTEGER_DIVIDE_BY_ZERO"),
            (_LEAST, -1, "STATUS_INTEGER_OVERFLOW"),
            (_LEAST, 0, "STATUS_INTEGER_DIVIDE_BY_ZERO"),
        ):
            try:
                status, _ = _control(device, _DIVIDE, struct.pack("<ii", number, by), 8)
            except Bugcheck:
                trial.expect(
                    False,
                    f"A program asked for {number} divided by {by}, and the machine stopped. Which"
                    " functions of i32 give None in place of a panic?",
                )
            trial.expect(
                status == wanted_status,
                f"{number} divided by {by} {'fails with ' + status if status else 'succeeds'}; it"
                f" should fail with {wanted_status.replace('STATUS_', 'Error::')}.",
            )
    trial.clean_unload()


@exercise("6.3", "Old programs and new ones", driver="ex63_beeps")
def _(trial: Trial) -> None:
    trial.fresh()
    new, old = struct.pack("<II", 440, 250), struct.pack("<I", 220)
    with trial.target.open(r"\\.\Beeper") as device:
        status, _ = _control(device, _BEEP, new)
        if status == "STATUS_INVALID_DEVICE_REQUEST":
            anybody, _ = _control(device, _BEEP_FOR_ANYBODY, new)
            trial.expect(
                anybody,
                "BEEP does not ask for write access yet: what is the last argument of its"
                " constant?",
            )
        hint = {
            "STATUS_INVALID_DEVICE_REQUEST": " That is what `end` says: no line of the route has"
            " this code. Is BEEP 0x8000, 0x810, Access::Write?",
            "STATUS_INFO_LENGTH_MISMATCH": " Two codes of the same number? The first line of the"
            " route that has it takes the request, whatever its length.",
            "STATUS_REQUEST_ABORTED": " The request was dropped, and nobody had completed it.",
        }.get(status, "")
        trial.expect(
            not status, f"BEEP of version 2, with code {_BEEP:#x}, fails with {status}.{hint}"
        )
        trial.expect(
            trial.lines == ["beep 440 Hz 250 ms"],
            f"440 Hz and 250 ms were sent, and the driver printed: {'; '.join(trial.lines)}.",
        )
        status, _ = _control(device, _BEEP, old)
        trial.expect(
            not status,
            f"BEEP of version 1, with four bytes, fails with {status}. `answer` takes one type; see"
            " how the lamp takes two.",
        )
        trial.expect(
            trial.lines[1:] == ["beep 220 Hz 100 ms"],
            f"A program of version 1 sent 220 Hz, and the driver printed:"
            f" {'; '.join(trial.lines[1:])}.",
        )
        for length in (0, 2, 5, 7, 9, 12):
            status, _ = _control(device, _BEEP, bytes(length))
            trial.expect(status, f"An input of {length} bytes is taken; no version has that.")
            trial.expect(
                status == "STATUS_INFO_LENGTH_MISMATCH",
                f"An input of {length} bytes is refused with {status}; it should be"
                " Error::INFO_LENGTH_MISMATCH.",
            )
        trial.expect(len(trial.lines) == 2, "It beeps for input of a wrong length.")
    with trial.target.open(r"\\.\Beeper", access="r") as device:
        status, _ = _control(device, _BEEP, new)
        trial.expect(status, "A handle that was opened for reading only made a noise.")
    trial.clean_unload()


def _control(device: DeviceHandle, code: int, data: bytes, out_size: int = 0) -> tuple[str, bytes]:
    """The name of the status with which a control code fails, else its output."""
    try:
        return "", device.ioctl(code, data, out_size)
    except NtStatusError as error:
        return error.name, b""
