"""Unloading a driver whose devices are open: Windows delays that until the last one is closed.

Meanwhile nothing opens its devices (STATUS_NO_SUCH_DEVICE), requests to those that are open go on,
and it cannot be loaded again. WDK pages: "ZwUnloadDriver function (wdm.h)", "DRIVER_UNLOAD callback
function (wdm.h)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .driver import NtFailure
from .execution import Steps
from .io_file import File
from .structs import Struct

if TYPE_CHECKING:
    from .driver import LoadedDriver
    from .kernel import Kernel
    from .objects import Device


def begin(k: Kernel, driver: LoadedDriver) -> str:
    """Ask for a driver's unload: why it has to wait, or an empty string where it can go now.

    Raises NtFailure where it never could: no DriverUnload, another driver's device is attached
    above, or a request that was never completed keeps a file object.
    """
    if not Struct(k.memory, "DRIVER_OBJECT", driver.object)["DriverUnload"]:
        raise NtFailure(
            "STATUS_INVALID_DEVICE_REQUEST", f"{driver.name} has no DriverUnload routine"
        )
    for device in k.objects.of(driver.name):
        _check_unused(k, device)
    why = _open(k, driver)
    driver.unload_pending = bool(why)
    return why


def _check_unused(k: Kernel, device: Device) -> None:
    for file in _files(k, device):
        left = any(record.request in file.requests for record in k.irps.live.values())
        if left and not k.ob.get(file.address).handles:
            raise NtFailure(
                "STATUS_DEVICE_BUSY",
                f"a file object of {device.owner} is still open: it never completed a request, so "
                "reboot() the target",
            )
    above = Struct(k.memory, "DEVICE_OBJECT", device.address)["AttachedDevice"]
    upper = k.objects.devices.get(above)
    if upper is not None and upper.owner != device.owner:
        raise NtFailure(
            "STATUS_DEVICE_BUSY",
            f"a device of {upper.owner} is attached above one of {device.owner}: "
            "unload that driver first",
        )


def _files(k: Kernel, device: Device) -> list[File]:
    payloads = [obj.payload for obj in k.ob.objects.values()]
    return [p for p in payloads if isinstance(p, File) and p.device is device]


def _open(k: Kernel, driver: LoadedDriver) -> str:
    """What keeps a driver's devices open, in a sentence; empty where nothing does."""
    devices = [device for device in k.objects.of(driver.name) if device.handles]
    if not devices:
        return ""
    paths = sorted({file.path for device in devices for file in _files(k, device)})
    named = f" ({', '.join(paths)})" if paths else ""
    return f"DriverUnload runs when the last handle to its devices{named} is closed"


def client_handles(k: Kernel, driver: LoadedDriver) -> list[tuple[int, str]]:
    """The client's open handles to a driver's devices: number, path."""
    found = []
    for number, entry in k.ob.tables.get(k.ps.client.pid, {}).items():
        payload = entry.object.payload
        if isinstance(payload, File) and payload.device.owner == driver.name:
            found.append((number, payload.path))
    return found


def file_closed(k: Kernel, device: Device) -> None:
    """A file object of a device is gone: its driver may have waited for that."""
    driver = k.drivers.get(device.owner)
    if driver is None or not driver.unload_pending or driver.unloading or _open(k, driver):
        return
    driver.unloading = k.ps.create_thread(k.ps.system)
    k.ps.start(driver.unloading, _unload(k, driver), "IopUnloadDriver")


def _unload(k: Kernel, driver: LoadedDriver) -> Steps:
    from . import driver as drivers

    try:
        yield from drivers.IopUnloadDriver(k, driver)
    except NtFailure:
        driver.unload_pending, driver.unloading = False, None
        k.emit("state", {"driver": driver.name, "state": "running", "status": ""})
        raise
    drivers.remove(k, driver)
    k.emit("state", {"driver": driver.name, "state": "unloaded", "status": ""})
    return 0


def finish(k: Kernel) -> None:
    """Let the unloads that could begin meanwhile run to their ends."""
    for driver in list(k.drivers.values()):
        thread = driver.unloading
        if thread is not None:
            k.drive(thread)
            if thread.error is not None:
                raise thread.error
