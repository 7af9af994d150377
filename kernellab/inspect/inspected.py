"""The part of :class:`~kernellab.driver.Driver` that tells what a driver has on its machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .info import ROWS, Device, DriverInfo, Irp, PoolTag, from_reply, image_of

if TYPE_CHECKING:
    from ..driver import DeviceHandle
    from ..lab import Target


class Inspected:
    """What can be asked of a driver without changing anything."""

    target: Target
    name: str
    image: Path
    state: str
    error: str

    def info(self, *, most: int = ROWS) -> DriverInfo:
        """All that is known of it now: image, devices, handles, pool, IRPs, threads.

        ``print(hello.info())`` shows tables; ``most`` is how many rows of each kind are asked for
        (2,000 at most). It changes nothing on the machine, and works after a bug check too. While
        another thread's call is under way it waits for that.
        """
        known, target = self._known(), self.target
        if "inspect" not in target.features:
            note = f"the target {target.name!r} does not tell of devices, handles, pool and IRPs"
            return DriverInfo(**known, note=note)
        if target.drivers.get(self.name, self) is not self:
            return DriverInfo(**known, note=f"another {self.name!r} was loaded since this one")
        return from_reply(target.inspect(self.name, most=most), **known)

    def _known(self) -> dict[str, Any]:
        """What is known of it without asking its target."""
        image = image_of(self.image)
        known = {"name": self.name, "state": self.state, "error": self.error}
        return {**known, "size": image.size, "sha256": image.sha256, "imports": image.imports}

    def image_info(self) -> DriverInfo:
        """What its file says, and its state: nothing is asked of the target."""
        return DriverInfo(**self._known())

    def info_now(self) -> DriverInfo | None:
        """The same without waiting: None while another thread's call is under way."""
        lock = self.target._busy
        if not lock.acquire(blocking=False):
            return None
        try:
            return self.info()
        finally:
            lock.release()

    @property
    def devices(self) -> tuple[Device, ...]:
        """Its device objects, on targets that tell of them."""
        return self.info().devices

    @property
    def pool(self) -> tuple[PoolTag, ...]:
        """Pool that it uses or used since it was loaded, by tag, with its course over time."""
        return self.info().pool

    @property
    def irps(self) -> tuple[Irp, ...]:
        """IRPs that are on their way through it, and the last ones that were completed."""
        return self.info().irps

    @property
    def handles(self) -> list[DeviceHandle]:
        """This client's open handles to its devices: opened in a cell, or in the pane."""
        from ..driver import DeviceHandle

        own = [each for each in self.info().handles if each.own]
        return [DeviceHandle(self.target, each.path, each.handle) for each in own]

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """What a notebook shows where a cell ends with the driver: its tables, without a script."""
        from ..pane.driver_view import render_driver

        bundle = {"text/plain": repr(self)}
        if self.state != "loading":
            info = self.info_now()
            if info is not None:
                bundle["text/html"] = render_driver(info)
        return bundle
