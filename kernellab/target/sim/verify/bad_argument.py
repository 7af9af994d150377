"""Arguments that stand for nothing: handles, device objects."""

from __future__ import annotations

from .base import ToldRule


class BadHandle(ToldRule):
    """Closing what is no handle is a mistake even where it does nothing."""

    name = "bad-handle"
    summary = "a handle was used that is not open"
    page = "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION, 0xF6; Bug Check 0x93"


class BadArgument(ToldRule):
    """What was given back twice, or never was what the routine takes."""

    name = "bad-argument"
    summary = "a routine was given a registration, log entry or IRP that it cannot take"
    page = 'WDK: "ExUnregisterCallback function (wdm.h)", "IoWriteErrorLogEntry function (wdm.h)"'
    events = ("bad-callback", "bad-error-log-entry", "irp-without-thread")


class MdlFreedLocked(ToldRule):
    """Pages that stay locked can never be used for anything else."""

    name = "mdl-freed-locked"
    summary = "an MDL was freed while its pages are locked"
    page = 'WDK: "IoFreeMdl function (wdm.h)"; Bug Check 0x76'


class BadDevice(ToldRule):
    """A pointer was given as a device object that is none, or the list of them was damaged."""

    name = "bad-device"
    summary = "what was given as a device object is none"
    page = 'WDK: "IoDeleteDevice function (wdm.h)"'
