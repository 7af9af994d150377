"""The exercises of lesson 10: a program's memory by pointers, and by its pages."""

from __future__ import annotations

from typing import Final

from ...driver import DeviceHandle
from ...errors import NtStatusError
from ..exercise import Trial, exercise

_NEITHER: Final = 0x22_2003
_OUT_DIRECT: Final = 0x22_2002


def _ioctl(device: DeviceHandle, code: int, data: bytes, out_size: int) -> tuple[str, bytes]:
    """The name of the NTSTATUS, empty for success, and the output."""
    try:
        return "", device.ioctl(code, data, out_size)
    except NtStatusError as error:
        return error.name, b""


@exercise("10.1", "Backwards", driver="ex101_backwards")
def _(trial: Trial) -> None:
    driver = trial.fresh()
    with driver.open(r"\\.\Backwards") as device:
        for data in (b"stressed", bytes(range(256)) * 20, b""):
            what = f"{len(data)} bytes" if len(data) > 8 or not data else repr(data.decode())
            status, out = _ioctl(device, _NEITHER, data, len(data))
            trial.expect(
                status != "STATUS_NOT_IMPLEMENTED",
                "It still answers Error::NOT_IMPLEMENTED. `request.user_buffers()?` is a reader of"
                " the input and a writer to the output.",
            )
            trial.expect(
                status != "STATUS_INVALID_DEVICE_REQUEST",
                "STATUS_INVALID_DEVICE_REQUEST: `input` and `output` are not for METHOD_NEITHER,"
                " the functions with `user_` are.",
            )
            trial.expect(not status, f"{what} as input, and it fails with {status}.")
            trial.expect(
                len(out) == len(data),
                f"{what} as input, and {len(out)} bytes come back: return how many were written.",
            )
            trial.expect(out == data[::-1], f"{what} as input, and it comes back as {out[:16]!r}.")
        status, _ = _ioctl(device, _NEITHER, b"stressed", 4)
        trial.expect(
            status == "STATUS_BUFFER_TOO_SMALL",
            "The output has room for 4 of 8 bytes: `write` says that it is too small, so pass its"
            f" error on with `?`. The request ended with {status or 'success'}.",
        )
    trial.clean_unload()


@exercise("10.2", "One look", driver="ex102_onelook")
def _(trial: Trial) -> None:
    driver = trial.fresh()
    with driver.open(r"\\.\OneLook") as device:
        status, _ = _ioctl(device, _NEITHER, b"\x05\x00hello, and more", 0)
        trial.expect(
            status != "STATUS_INVALID_DEVICE_STATE",
            "STATUS_INVALID_DEVICE_STATE: the input is taken a second time. Keep the reader that"
            " read the length; it goes on behind it.",
        )
        trial.expect(not status, f"A message with the length 5 fails with {status}.")
        said = next((line for line in trial.lines if line.startswith("it says: ")), "")
        trial.expect(said, "The text has to be printed after `it says: `.")
        trial.expect(said == "it says: hello", f"The message was `hello`; {said!r} was printed.")
        for data, name, what in (
            (b"\x41\x00" + b"x" * 65, "STATUS_INVALID_PARAMETER", "the length 65"),
            (b"\xff\xff" + b"x" * 99, "STATUS_INVALID_PARAMETER", "the length 65535"),
            (b"\x0a\x00abc", "STATUS_BUFFER_TOO_SMALL", "the length 10 and 3 bytes of text"),
            (b"\x01", "STATUS_BUFFER_TOO_SMALL", "one byte in all"),
        ):
            status, _ = _ioctl(device, _NEITHER, data, 0)
            trial.expect(
                status == name,
                f"A message with {what} should be {name}; it ended with {status or 'success'}.",
            )
        status, _ = _ioctl(device, _NEITHER, b"\x40\x00" + b"x" * 64, 0)
        trial.expect(not status, f"The length 64 is allowed, and fails with {status}.")
    trial.clean_unload()


@exercise("10.3", "Straight into the pages", driver="ex103_ramp")
def _(trial: Trial) -> None:
    driver = trial.fresh()
    with driver.open(r"\\.\Ramp") as device:
        for first, size in ((7, 9000), (250, 20), (0, 1)):
            status, out = _ioctl(device, _OUT_DIRECT, bytes([first]), size)
            trial.expect(not status, f"The input {first}, {size} bytes wanted: {status}.")
            trial.expect(
                len(out) == size,
                f"{size} bytes are wanted, and {len(out)} come back: return the output's length.",
            )
            trial.expect(
                out[0] == first,
                f"The input is {first}, and the output begins with {out[0]}: the input's first"
                " byte is `request.input()?.get(0)`. Read it before you borrow the output.",
            )
            wanted = bytes((first + at) & 0xFF for at in range(size))
            at = next((at for at in range(size) if out[at] != wanted[at]), None)
            trial.expect(
                at is None,
                f"The input is {first}: byte {at} of the output should be {wanted[at or 0]}, and"
                f" is {out[at or 0]}.",
            )
        status, _ = _ioctl(device, _OUT_DIRECT, b"", 8)
        trial.expect(
            status == "STATUS_INFO_LENGTH_MISMATCH",
            "Without any input it should fail with Error::INFO_LENGTH_MISMATCH: `get` gives an"
            f" Option, `ok_or` makes a Result of it. It ended with {status or 'success'}.",
        )
    trial.clean_unload()
