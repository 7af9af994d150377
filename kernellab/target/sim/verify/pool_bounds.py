"""Writes outside of an allocation that hit no unmapped page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Related, Rule, listens

if TYPE_CHECKING:
    from ..kernel.driver import LoadedDriver
    from ..kernel.pool import Allocation
    from ..kernel.pool_damage import Damage


class _Bounds(Rule):
    """Looks at the pattern around an allocation when it is freed, and at unload."""

    @listens("pool-damaged")
    def _damaged(self, damage: Damage) -> None:
        if self._concerns(damage):
            damage.reported = self._found(
                damage.offset, damage.allocation, "found when it was freed"
            )

    @listens("driver-unloaded")
    def _unloaded(self, driver: LoadedDriver) -> None:
        for allocation in self.k.pool.owned_by(driver.name):
            offset = self._offset(allocation)
            if offset is not None:
                self._found(offset, allocation, "found at unload")

    def _concerns(self, damage: Damage) -> bool:
        """Whether the damage is on this rule's side."""
        raise NotImplementedError

    def _offset(self, allocation: Allocation) -> int | None:
        """Where the allocation is damaged on this rule's side."""
        raise NotImplementedError

    def _what(self, offset: int) -> str:
        raise NotImplementedError

    def _found(self, offset: int, allocation: Allocation, when: str) -> bool:
        related: list[Related] = [("allocated here", self.k.pool.stacks(allocation)[0])]
        size, tag = allocation.size, allocation.tag_text
        return self.report(
            f"{self._what(offset)} of an allocation of {size} bytes with tag '{tag}'; {when}",
            allocation.owner,
            related=related,
        )


class PoolOverrun(_Bounds):
    """The bytes up to the pool's alignment behind an allocation were written."""

    name = "pool-overrun"
    summary = "memory was written right behind the end of a pool allocation"
    page = "Windows drivers: Special Pool"

    def _concerns(self, damage: Damage) -> bool:
        return damage.offset >= 0

    def _offset(self, allocation: Allocation) -> int | None:
        return self.k.pool.overrun(allocation)

    def _what(self, offset: int) -> str:
        return f"offset {offset} was written, which is behind the end"


class PoolUnderrun(_Bounds):
    """The bytes between the page's begin and an allocation were written."""

    name = "pool-underrun"
    summary = "memory was written before the beginning of a pool allocation"
    page = "Windows drivers: Special Pool"

    def _concerns(self, damage: Damage) -> bool:
        return damage.offset < 0

    def _offset(self, allocation: Allocation) -> int | None:
        before = self.k.pool.underrun(allocation)
        return None if before is None else -before

    def _what(self, offset: int) -> str:
        bytes_ = "1 byte" if offset == -1 else f"{-offset} bytes"
        return f"memory was written {bytes_} before the beginning"
