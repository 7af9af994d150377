"""MDLs, locked pages and mappings that a driver keeps when it is unloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Rule, listens

if TYPE_CHECKING:
    from ..kernel.driver import LoadedDriver


class LeakMdl(Rule):
    """Locked pages can be used for nothing else, for as long as the machine runs."""

    name = "leak-mdl"
    summary = "an MDL, locked pages or a mapping were not given back before the driver was unloaded"
    page = "Windows drivers: Using MDLs; Bug Check 0xCB; Bug Check 0xDA"

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        mdl = self.k.mdl
        for mapping in mdl.mappings.values():
            if mapping.owner == driver.name:
                self.report(
                    f"the mapping at {mapping.address:#x} of {len(mapping.frames)} pages was not "
                    "unmapped (MmUnmapLockedPages)",
                    driver.name,
                    context=mapping.context,
                )
        for lock in mdl.locks.values():
            if lock.owner == driver.name:
                self.report(
                    f"{len(lock.frames)} pages that an MDL locks were not unlocked (MmUnlockPages)",
                    driver.name,
                    context=lock.context,
                )
        for record in mdl.live.values():
            if record.owner == driver.name:
                self.report(
                    f"an MDL for {record.pages} pages was not freed (IoFreeMdl)",
                    driver.name,
                    context=record.context,
                )
        for reserved in mdl.reserved.values():
            if reserved.owner == driver.name:
                self.report(
                    f"{reserved.pages} pages of reserved addresses were not given back "
                    "(MmFreeMappingAddress)",
                    driver.name,
                    context=reserved.context,
                )
