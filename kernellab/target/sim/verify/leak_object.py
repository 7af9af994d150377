"""Handles and references that a driver keeps when it is unloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Rule, listens

if TYPE_CHECKING:
    from ..kernel.driver import LoadedDriver
    from ..kernel.ob import HandleEntry, Object


class LeakHandle(Rule):
    """An open handle keeps its object alive for ever."""

    name = "leak-handle"
    summary = "a handle was not closed before the driver was unloaded"
    page = 'WDK: "ZwClose function (wdm.h)"'

    @listens("handle-opened")
    def _handle_opened(self, handle: int, pid: int, entry: HandleEntry) -> None:
        if entry.owner:
            entry.context = self.keep()

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        for table in self.k.ob.tables.values():
            for handle, entry in table.items():
                if entry.owner == driver.name:
                    what = entry.object.type.lower()
                    name = f" {entry.object.name}" if entry.object.name else ""
                    self.report(
                        f"the handle {handle:#x} to the {what}{name} was not closed",
                        driver.name,
                        context=entry.context,
                    )


class LeakReference(Rule):
    """What was referenced has to be dereferenced as often."""

    name = "leak-reference"
    summary = "a reference to an object was not given back before the driver was unloaded"
    page = 'WDK: "ObfReferenceObject function (wdm.h)"; Life Cycle of an Object'

    @listens("object-referenced")
    def _referenced(self, obj: Object, who: str) -> None:
        if who and (context := self.keep()) is not None:
            obj.contexts[who] = context

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        for obj in self.k.ob.objects.values():
            count = obj.taken.get(driver.name, 0)
            if count > 0:
                times = "a reference" if count == 1 else f"{count} references"
                name = f" {obj.name}" if obj.name else f" at {obj.address:#x}"
                self.report(
                    f"{times} to the {obj.type.lower()}{name} were not given back"
                    if count > 1
                    else f"{times} to the {obj.type.lower()}{name} was not given back",
                    driver.name,
                    context=obj.contexts.get(driver.name),
                )
