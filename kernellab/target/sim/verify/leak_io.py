"""Device objects and symbolic links that are left when their driver is unloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Rule, listens

if TYPE_CHECKING:
    from ..kernel.driver import LoadedDriver


class LeakDevice(Rule):
    """A device object that stays points at a driver that is gone."""

    name = "leak-device"
    summary = "a device object was not deleted before the driver was unloaded"
    page = 'WDK: "DRIVER_UNLOAD callback function (wdm.h)"'

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        for device in self.k.objects.devices.values():
            if device.owner == driver.name:
                name = device.name or f"without a name at {device.address:#x}"
                self.report(f"the device {name} was not deleted", driver.name)


class LeakSymlink(Rule):
    """A link that stays keeps the driver from being loaded again under its name."""

    name = "leak-symlink"
    summary = "a symbolic link was not deleted before the driver was unloaded"
    page = 'WDK: "IoDeleteSymbolicLink function (wdm.h)"'

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        for link in self.k.objects.links.values():
            if link.owner == driver.name:
                self.report(f"the symbolic link {link.name} was not deleted", driver.name)
