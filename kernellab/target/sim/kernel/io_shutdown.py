"""IRP_MJ_SHUTDOWN: the devices that asked for it are told that the machine goes down.

WDK page: "IoRegisterShutdownNotification function (wdm.h)", "IRP_MJ_SHUTDOWN".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .execution import Steps
from .io_call import steps
from .io_device import top_of
from .io_request import SendIrp, Spec

if TYPE_CHECKING:
    from .kernel import Kernel


def notify(k: Kernel) -> None:
    """Send it to each, and wait for each."""
    if k.shutdown or k.last_chance_shutdown:
        k.run(_all(k), "NtShutdownSystem")


def _all(k: Kernel) -> Steps:
    for devices in (k.shutdown, k.last_chance_shutdown):
        while devices:
            device = devices.pop(0)
            spec = Spec("IRP_MJ_SHUTDOWN")
            yield from steps(SendIrp(k, None, top_of(k, device), spec, mode=0))
    return 0
