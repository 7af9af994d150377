"""Writes outside of an allocation that hit no unmapped page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Related, Rule, listens

if TYPE_CHECKING:
    from ..kernel.driver import LoadedDriver
    from ..kernel.pool import Allocation


class _Bounds(Rule):
    """Looks at the pattern around an allocation when it is freed, and at unload."""

    @listens("pool-freeing")
    def _freeing(self, allocation: Allocation) -> None:
        self._look(allocation, "found when it was freed")

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        for allocation in self.k.pool.owned_by(driver.name):
            self._look(allocation, "found at unload")

    def _look(self, allocation: Allocation, when: str) -> None:
        raise NotImplementedError

    def _found(self, what: str, allocation: Allocation, when: str) -> None:
        related: list[Related] = [("allocated here", allocation.context)]
        size, tag = allocation.size, allocation.tag_text
        self.report(
            f"{what} of an allocation of {size} bytes with tag '{tag}'; {when}",
            allocation.owner,
            related=related,
        )


class PoolOverrun(_Bounds):
    """The bytes up to the pool's alignment behind an allocation were written."""

    name = "pool-overrun"
    summary = "memory was written right behind the end of a pool allocation"
    page = "Windows drivers: Special Pool"

    def _look(self, allocation: Allocation, when: str) -> None:
        offset = self.k.pool.overrun(allocation)
        if offset is not None:
            self._found(f"offset {offset} was written, which is behind the end", allocation, when)


class PoolUnderrun(_Bounds):
    """The bytes between the page's begin and an allocation were written."""

    name = "pool-underrun"
    summary = "memory was written before the beginning of a pool allocation"
    page = "Windows drivers: Special Pool"

    def _look(self, allocation: Allocation, when: str) -> None:
        before = self.k.pool.underrun(allocation)
        if before is not None:
            bytes_ = "1 byte" if before == 1 else f"{before} bytes"
            self._found(f"memory was written {bytes_} before the beginning", allocation, when)
