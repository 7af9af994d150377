"""The exercises of lesson 9: requests that can be cancelled, many readers, a time limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import NtStatusError, StillPending
from ...request import DeviceRequest
from ..exercise import Trial, exercise


def _status(call: Callable[[], Any]) -> str:
    """The name of the NTSTATUS with which a call fails; ``pending``, or empty for success."""
    try:
        call()
    except StillPending:
        return "pending"
    except NtStatusError as error:
        return error.name
    return ""


def _cancelled(trial: Trial, request: DeviceRequest[bytes], hint: str) -> None:
    status = _status(request.result)
    trial.expect(status != "pending", hint)
    trial.expect(
        status == "STATUS_CANCELLED", f"The request ends with {status or 'success'} instead."
    )


@exercise("9.1", "Let go", driver="ex91_letgo")
def _(trial: Trial) -> None:
    driver = trial.fresh()
    device = driver.open(r"\\.\LetGo")
    try:
        request = device.read_async(8)
        trial.expect(not request.done, "A read has to wait until there is a write.")
        request.cancel()
        _cancelled(
            trial,
            request,
            "A read was cancelled, and is still pending. Nobody can take a request out of a `Vec`"
            " but you; from a `Queue`, `push` lets it be cancelled.",
        )
        first, second = device.read_async(8), device.read_async(8)
        device.write(b"mail")
        trial.expect(
            _status(first.result) == "" and not second.done,
            "Two reads wait and one message comes: the read that came first should get it, and"
            " the other go on waiting.",
        )
        device.close()
        for each in trial.violations:
            trial.expect(
                each.rule != "irp-not-cancelled",
                "The handle was closed while a read was pending, and nobody could cancel it. Which"
                " function of `Operations` is called then, and what does `Queue` have for it?",
            )
        _cancelled(trial, second, "The handle was closed, and a read is still pending.")
    finally:
        device.close()
    trial.clean_unload()


@exercise("9.2", "News for everyone", driver="ex92_news")
def _(trial: Trial) -> None:
    driver = trial.fresh()
    with driver.open(r"\\.\News") as device, driver.open(r"\\.\News") as other:
        readers = [device.read_async(16), other.read_async(16), device.read_async(4)]
        took = device.write(b"rain today")
        ended = sum(each.done for each in readers)
        trial.expect(
            ended == len(readers),
            f"Three readers waited and {ended} got the news: a `pop` takes one out. When are there"
            " no more?",
        )
        got = [_status(each.result) or each.result() for each in readers]
        trial.expect(
            got == [b"rain today", b"rain today", b"rain"],
            f"The readers, who had room for 16, 16 and 4 bytes, got {got}.",
        )
        trial.expect(took == 10, f"The write of 10 bytes said that {took} were taken.")
        status = _status(lambda: device.write(b"nobody there"))
        trial.expect(
            not status,
            f"When nobody waits, the write fails with {status}; that should be a success.",
        )
    trial.clean_unload()


@exercise("9.3", "Not longer than a second", driver="ex93_patient")
def _(trial: Trial) -> None:
    driver = trial.fresh()
    with driver.open(r"\\.\Patient") as device:
        request = device.read_async(8)
        trial.target.sleep(0.9)
        trial.expect(
            not request.done, "A read ended after less than a second: how long does `start` set?"
        )
        trial.target.sleep(0.3)
        trial.expect(
            request.done,
            "A read is still pending after 1.2 seconds. The timer rings after one: its closure has"
            " to pop what waits, from a clone of the `Arc` that is moved into it.",
        )
        status = _status(request.result)
        trial.expect(
            status == "STATUS_IO_TIMEOUT",
            f"A read that waited too long ended with {status or 'success'}; it should be"
            " Error::IO_TIMEOUT.",
        )
        several = [device.read_async(8), device.read_async(8)]
        trial.target.sleep(1.2)
        trial.expect(
            all(each.done for each in several),
            "Two reads waited too long and only one ended: the timer rings once for both.",
        )
        request = device.read_async(8)
        trial.target.sleep(0.5)
        device.write(b"mail")
        trial.expect(
            _status(request.result) == "" and request.result() == b"mail",
            "A read that got its mail after half a second should succeed with it.",
        )
        trial.target.sleep(1.0)  # the timer rings, and nobody waits
    trial.clean_unload()
