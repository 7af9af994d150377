"""Processes and threads: who runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import DISPATCH_LEVEL, export, export_data

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("HANDLE PsGetCurrentProcessId(VOID)", irql=DISPATCH_LEVEL)
def PsGetCurrentProcessId(k: Kernel) -> int:
    """WDK: "PsGetCurrentProcessId function (ntddk.h)": 4 is the system process."""
    number: int = k.thread.process.pid
    return number


@export("HANDLE PsGetCurrentThreadId(VOID)", irql=DISPATCH_LEVEL)
def PsGetCurrentThreadId(k: Kernel) -> int:
    """WDK: "PsGetCurrentThreadId function (ntddk.h)"."""
    number: int = k.thread.id
    return number


export_data("PsInitialSystemProcess", lambda k: k.ps.system.object.to_bytes(8, "little"))
