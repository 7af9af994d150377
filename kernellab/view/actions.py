"""What a pane's Driver view can do with a driver: each call is one press of the user.

Each keeps the target to itself while it runs, and says so where it has to wait for another call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..driver import DeviceHandle, Driver
from ..errors import KernelLabError, UsageError
from ..inspect.info import DriverInfo, image_of
from ..snapshot import Snapshot

if TYPE_CHECKING:
    from ..cellrun import CellRun

#: Snapshots that one pane keeps: each may hold a good part of the machine's memory.
MOST_SNAPSHOTS: Final = 8

Waiting = Callable[[str], object]


def offer_view(run: CellRun, image: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    """Give a cell's pane its Driver view.

    Call the first result when the driver's state has changed, the second one when the cell runs
    again.
    """
    from ..pane.show import offer_driver_view

    find, over = (lambda: run.driver), (lambda: run.retired)
    actions = DriverActions(run.source.name, image, find, over, run.options.timeout)
    return offer_driver_view(run.pane, actions), actions.end


class DriverActions:
    """``driver`` gives the driver, or None before one was loaded; ``image`` is its file.

    ``retired`` says whether the cell was run again. ``timeout`` is seconds for driver code.
    """

    def __init__(
        self,
        name: str,
        image: Path,
        driver: Callable[[], Driver | None],
        retired: Callable[[], bool],
        timeout: float | None = None,
    ) -> None:
        self.name = name
        self._image = image
        self._driver = driver
        self._is_retired = retired
        self._timeout = timeout
        self._snapshots: dict[str, tuple[Snapshot, float]] = {}

    # -- what there is --------------------------------------------------------------------------

    def info(self) -> DriverInfo | None:
        """What is known now; None while another thread's call is under way."""
        driver = self._driver()
        return driver.info_now() if driver is not None else self.image_info()

    def image_info(self) -> DriverInfo:
        """What is known without asking the target."""
        driver = self._driver()
        if driver is not None:
            return driver.image_info()
        image = image_of(self._image)
        note = "it was built, and not loaded"
        return DriverInfo(
            *(self.name, "built", "", image.size, image.sha256, image.imports), note=note
        )

    def reason(self) -> str:
        """Why its devices cannot be used now; empty where they can."""
        driver = self._driver()
        if self._is_retired():
            return "the cell was run again"
        if driver is None:
            return "the driver was not loaded: Load loads it"
        if driver.target.stopped:
            return f"the machine has stopped ({driver.target.stopped}): Reload starts it again"
        return "" if driver.loaded else "the driver is not loaded: Load loads it"

    def snapshot_reason(self) -> str:
        """Why no snapshot can be taken now; empty where one can."""
        driver = self._driver()
        if driver is not None and driver.target.name != "sim":
            return "only sim can keep a whole machine and go back to it"
        if driver is not None and not driver.target.stopped and not self._is_retired():
            return ""
        return self.reason()

    def snapshots(self) -> list[tuple[str, float, str]]:
        """Name, virtual time, and why it cannot be restored (empty where it can)."""
        self._drop_lost()
        why = "the cell was run again" if self._is_retired() else ""
        return [(name, time, why) for name, (_, time) in list(self._snapshots.items())]

    def _drop_lost(self) -> None:
        """Forget the snapshots whose machine is no more: a reboot ends them."""
        for name, (kept, _) in list(self._snapshots.items()):
            if not kept.usable:
                self._snapshots.pop(name, None)

    def end(self) -> None:
        """The cell runs again: give back what its snapshots hold of the machine's memory."""
        kept, self._snapshots = list(self._snapshots.values()), {}
        for snapshot, _ in kept:
            if snapshot.usable:
                with suppress(KernelLabError):  # the machine is gone, and they with it
                    snapshot.forget()

    # -- what can be done -----------------------------------------------------------------------

    def open(self, path: str, waiting: Waiting) -> int:
        """Open a device by its Win32 name; the handle's number."""
        with self._turn(waiting) as driver:
            return driver.open(path, timeout=self._timeout).number or 0

    def close(self, handle: int, waiting: Waiting) -> None:
        """Close one of this client's handles."""
        with self._handle(handle, waiting) as device:
            device.close(timeout=self._timeout)

    def read(self, handle: int, length: int, offset: int, waiting: Waiting) -> bytes:
        """IRP_MJ_READ."""
        with self._handle(handle, waiting) as device:
            return device.read(length, offset, timeout=self._timeout)

    def write(self, handle: int, data: bytes, offset: int, waiting: Waiting) -> int:
        """IRP_MJ_WRITE: how many bytes the driver took."""
        with self._handle(handle, waiting) as device:
            return device.write(data, offset, timeout=self._timeout)

    def ioctl(self, handle: int, code: int, data: bytes, size: int, waiting: Waiting) -> bytes:
        """IRP_MJ_DEVICE_CONTROL: the output."""
        with self._handle(handle, waiting) as device:
            return device.ioctl(code, data, size, timeout=self._timeout)

    def snapshot(self, name: str, waiting: Waiting) -> None:
        """Keep the machine as it is now under a name that is free."""
        with self._turn(waiting) as driver:
            self._drop_lost()
            if name in self._snapshots:
                raise UsageError(
                    f"there is a snapshot {name!r} already: delete it, or name another"
                )
            if len(self._snapshots) >= MOST_SNAPSHOTS:
                raise UsageError(f"there are {MOST_SNAPSHOTS} snapshots already: delete one")
            kept = driver.target.snapshot()
            self._snapshots[name] = kept, driver.target.status()["time"]

    def restore(self, name: str, waiting: Waiting) -> None:
        """Bring the machine back to a snapshot, also one that has stopped."""
        with self._turn(waiting):
            self._kept(name).restore()

    def forget(self, name: str, waiting: Waiting) -> None:
        """Delete a snapshot."""
        with self._turn(waiting):
            kept = self._kept(name)
            if kept.usable:
                kept.forget()
            self._snapshots.pop(name, None)

    def _kept(self, name: str) -> Snapshot:
        found = self._snapshots.get(name)
        if found is None:
            raise UsageError(f"there is no snapshot {name!r}: a reboot ends them")
        return found[0]

    @contextmanager
    def _turn(self, waiting: Waiting) -> Iterator[Driver]:
        driver = self._driver()
        if driver is None:
            raise UsageError("the driver was not loaded")
        name = driver.target.name

        def wait() -> None:
            waiting(f"{name} is busy with another call: this follows when it has ended")

        with driver.exclusive(wait):
            waiting("")
            if self._is_retired():
                raise UsageError("the cell was run again")
            yield driver

    @contextmanager
    def _handle(self, number: int, waiting: Waiting) -> Iterator[DeviceHandle]:
        with self._turn(waiting) as driver:
            yield DeviceHandle(driver.target, f"handle {number}", number)
