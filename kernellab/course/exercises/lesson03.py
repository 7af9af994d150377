"""The exercises of lesson 3: a status's parts, the right error, cleaning up on the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import NtStatusError
from ..exercise import NotYetError, Trial, exercise


def _split(status: int) -> tuple[int, int, int]:
    unsigned = status & 0xFFFFFFFF
    return unsigned >> 30, unsigned >> 16 & 0xFFF, unsigned & 0xFFFF


@exercise("3.1", "Take it apart")
def _(trial: Trial) -> None:
    split: Callable[[int], Any] = trial.value
    trial.expect(callable(split), "Give check the function itself, without calling it.")
    hints = {
        0xC0000022: "the severity is the two highest bits, the code the lowest 16",
        0x80000005: "a warning has severity 2",
        0xC01C0006: "the facility is 12 bits wide, from bit 16 on",
        0xE0040007: "the customer bit, 29, belongs to none of the three",
        0xC0000022 - (1 << 32): "negative: look only at the lowest 32 bits (& 0xFFFFFFFF)",
    }
    for status, hint in hints.items():
        try:
            found, right = split(status), _split(status)
        except Exception as error:  # the reader's own mistake
            raise NotYetError(
                f"split({status:#x}) ends in {type(error).__name__}: {error}"
            ) from error
        trial.expect(
            isinstance(found, tuple | list) and len(found) == 3,
            f"split({status:#x}) returns {found!r}, which is not three numbers.",
        )
        trial.expect(tuple(found) == right, f"split({status:#x}) returns {tuple(found)}: {hint}.")


@exercise("3.2", "The right word", driver="ex32_speaker")
def _(trial: Trial) -> None:
    trial.fresh()
    with trial.target.open(r"\\.\Speaker") as device:

        def told(data: bytes) -> str:
            try:
                device.write(data)
            except NtStatusError as error:
                return error.name
            return "STATUS_SUCCESS"

        for data, right, hint in (
            (b"", "STATUS_INVALID_BUFFER_SIZE", "Look at the length first."),
            (b"\xff\xfe", "STATUS_UNMAPPABLE_CHARACTER", "What does `?` make of a Utf8Error?"),
            (b"loud", "STATUS_INVALID_PARAMETER", "What does `?` make of a ParseIntError?"),
            (b"11", "STATUS_NOT_SUPPORTED", "11 is a number, and too high."),
            (b"10", "STATUS_SUCCESS", "10 is still allowed."),
            (b"0", "STATUS_SUCCESS", "0 is allowed: silence."),
        ):
            answer = told(data)
            trial.expect(
                answer == right, f"Whoever writes {data!r} is told {answer}, not {right}. {hint}"
            )
    trial.expect(trial.log_has("volume 10"), "A volume of 10 has to be taken.")
    trial.clean_unload()


@exercise("3.3", "Lights out", driver="ex33_lamps")
def _(trial: Trial) -> None:
    status = trial.status_of_load()
    trial.expect(status, "The driver is loaded, with a lamp that does not work.")
    trial.expect(
        status == "STATUS_DEVICE_NOT_CONNECTED",
        f"It is refused with {status}; hand on what `Lamp::on` says.",
    )
    trial.expect({"red on", "yellow on"} <= set(trial.lines), "Two lamps have to go on first.")
    off = [line for line in trial.lines if line.endswith(" off")]
    trial.expect(
        off,
        "The red and the yellow lamp are still on. `cleanup` is not called when `init` fails;"
        " what is called for every value, whichever way a function ends?",
    )
    trial.expect("green off" not in off, "The green lamp was never on, and it is switched off.")
    trial.expect(len(off) == 2, f"Each lamp is switched off once: {', '.join(off)}.")
    trial.expect(off == ["yellow off", "red off"], "The last one on is the first one off.")
