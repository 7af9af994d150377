"""Memory other than pool that a driver keeps when it is unloaded, and lookaside lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Rule, listens

if TYPE_CHECKING:
    from ..kernel.driver import LoadedDriver


class LeakMemory(Rule):
    """Contiguous memory, mapped device memory, views in system space, lookaside lists."""

    name = "leak-memory"
    summary = (
        "contiguous or device memory, a view or a lookaside list was left behind by the driver"
    )
    page = "MmFreeContiguousMemory function; MmUnmapIoSpace function; Using Lookaside Lists"

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        physical = self.k.physical
        for block in physical.blocks.values():
            if block.owner == driver.name:
                self.report(
                    f"{block.pages} pages of contiguous memory were not freed",
                    driver.name,
                    context=block.context,
                )
        for mapping in physical.io_mappings.values():
            if mapping.owner == driver.name:
                self.report(
                    f"the mapping of the device memory at {mapping.physical:#x} was not unmapped "
                    "(MmUnmapIoSpace)",
                    driver.name,
                    context=mapping.context,
                )
        for view in self.k.sections.views.values():
            if view.owner == driver.name:
                self.report(
                    f"a view of {view.pages} pages was not unmapped (MmUnmapViewInSystemSpace)",
                    driver.name,
                    context=view.context,
                )
        for found in self.k.lookaside.lists.values():
            if found.owner == driver.name:
                self.report(
                    f"the lookaside list at {found.address:#x} was not deleted",
                    driver.name,
                    context=found.context,
                )
