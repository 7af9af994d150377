"""Pool that is still allocated when its driver is unloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Rule, listens

if TYPE_CHECKING:
    from ..kernel.driver import LoadedDriver
    from ..kernel.execution import Context


class LeakPool(Rule):
    """Grouped by tag and by the call stack of the allocation."""

    name = "leak-pool"
    summary = "pool was not freed before the driver was unloaded"
    page = "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION, 0x62"

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        groups: dict[tuple[object, ...], list[int]] = {}
        contexts: dict[tuple[object, ...], Context | None] = {}
        for allocation in self.k.pool.owned_by(driver.name):
            context, _ = self.k.pool.stacks(allocation)
            place: tuple[object, ...] = ()
            if context is not None:
                place = tuple(f.address for f in self.k.frames(context, live=False))
            key = (allocation.tag_text, *place)
            groups.setdefault(key, []).append(allocation.size)
            contexts[key] = context
        for key, sizes in groups.items():
            count = f"{len(sizes)} allocations" if len(sizes) > 1 else "1 allocation"
            self.report(
                f"{sum(sizes)} bytes of pool with tag '{key[0]}' ({count}) were not freed",
                driver.name,
                context=contexts[key],
            )
