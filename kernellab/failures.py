"""What went wrong, for users: a failed reply as an exception, a driver's end in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from . import ntdata, protocol
from .errors import (
    Bugcheck,
    KernelLabError,
    LoadError,
    NtStatusError,
    StillPending,
    TargetLost,
    TargetStopped,
    TargetTimeout,
    Unsupported,
    UsageError,
)
from .hearing import hear
from .protocol import ErrorEvent, Failure

if TYPE_CHECKING:
    from .driver import Driver
    from .lab import Target


def typed_error(target: Target, failure: Failure) -> KernelLabError:
    """The one exception type for a failed reply."""
    kind, message = failure.kind, failure.message
    frames = target._symbolize(failure.frames)
    if kind == "ntstatus":
        name = ntdata.status_name(failure.status)
        message = message.replace(f"{failure.status & 0xFFFFFFFF:#010x}", name)
        return NtStatusError(message, failure.status, name)
    if kind == "load":
        missing = failure.detail.get("missing", ())
        return LoadError(message, missing=[str(m) for m in missing])
    if kind == "bugcheck":
        return _bugcheck_error(target, message)
    if kind == "timeout":
        stopped = TargetTimeout(_with_place(message, frames), frames=frames)
        _tell_driver(target, stopped)
        target._stop("timed out")
        return stopped
    if kind == "interrupted":
        target._stop("interrupted")
        return TargetStopped(_with_place(message, frames))
    if kind == "stopped":
        target._stop(message)
        return TargetStopped(message)
    if kind == "pending":
        return StillPending(message)
    if kind == "unsupported":
        return Unsupported(message)
    if kind == "usage":
        return UsageError(message)
    return TargetLost(f"the target failed inside: {message}")


def lost_error(target: Target, lost: TargetLost | TargetTimeout) -> KernelLabError:
    """The error for an endpoint that has gone or hangs: the machine's bug check, if it was that."""
    if target._told is target._session and target._session.lost is not None:
        error, target._untold = target._untold, None
        return error or target._endpoint.explain(TargetLost(str(lost)))
    target._told = target._session
    loaded = [name for name, driver in target.drivers.items() if driver.loaded]
    loaded += [name for name, each in target.drivers.items() if each.state == "loading"]
    hear(target, lost=True)
    event = target._endpoint.post_mortem(loaded)
    if event is not None:
        target._take([event])
        return _bugcheck_error(target, event.message)
    if isinstance(lost, TargetTimeout):
        # The endpoint itself hangs: nothing more will come from it.
        target._stop("the target hung")
        target._endpoint.stop(grace=0.1)
        return lost
    target._stop("the target was lost")
    return target._endpoint.explain(lost)


def _tell_driver(target: Target, error: TargetTimeout) -> None:
    """Driver code was stopped. The driver that it was of tells so, whoever had called it."""
    names = [frame.module.removesuffix(".sys") for frame in error.frames]
    driver = next((target.drivers[name] for name in names if name in target.drivers), None)
    if driver is None:
        return
    if driver.loaded:
        driver._failed(error)
    message, frames = str(error), error.frames
    target._publish(
        [ErrorEvent(driver=driver.name, error="timeout", message=message, frames=frames)]
    )


def _bugcheck_error(target: Target, message: str) -> KernelLabError:
    event = target.bugcheck
    if event is None:
        return TargetLost(f"the target reports a bug check without saying which: {message}")
    text = f"{event.name} ({event.code})"
    if event.message:
        text += f": {event.message.rstrip('.')}"
    return Bugcheck(
        _with_place(text, event.frames),
        code=int(event.code, 16),
        name=event.name,
        parameters=[int(p, 16) for p in event.parameters],
        frames=event.frames,
    )


def _with_place(message: str, frames: Sequence[protocol.Frame]) -> str:
    """``message`` and the innermost line of the user's own code, where there is one."""
    own = next((f for f in frames if f.file and f.line and not _is_library(f.file)), None)
    return f"{message} (at {own.file}:{own.line})" if own else message


def _is_library(file: str) -> bool:
    return "/" in file or "\\" in file


def reason_of(driver: Driver, files: Collection[str]) -> str:
    """Why it has stopped, in a sentence; a bug check has its own panel, which says the rest."""
    event = driver.bugcheck
    if driver.state == "failed" and driver.error.startswith("DriverEntry returned"):
        return f"{driver.error}, and so the driver is not loaded"
    if driver.state != "bug check" or event is None:
        return driver.error
    from .pane.text import LAST_LINES, panic_text, stopped_at

    said = panic_text(driver.log.lines[-LAST_LINES:])
    own = stopped_at(event.frames, dict.fromkeys(files, ""), said)
    return f"{event.name} at {own.file}:{own.line}" if own else event.name
