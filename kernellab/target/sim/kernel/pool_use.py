"""How much pool each driver uses by tag, and how that went over virtual time: for whoever looks.

Counted with each allocation and each free, whether somebody looks or not, since a picture that
begins when one looks comes too late. What is kept is bounded: a tag's course has at most so many
points, and where more would come, neighbours are joined and the more of both stays.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .kernel import Kernel
    from .pool import Allocation

#: Points of a tag's course.
MOST_POINTS: Final = 256
#: Tags of a driver that are counted apart; all further ones are counted as one.
MOST_TAGS: Final = 64
#: The key of those further ones: no tag, which has 32 bits.
OTHER: Final = -1


class TagUse:
    """One tag of one driver: what is live, the most that was, and its course.

    ``times`` (units since boot) and ``sizes`` are the course: the most bytes that were live in the
    ``step`` units from that time on.
    """

    __slots__ = ("bytes", "live", "made", "peak", "sizes", "step", "times")

    def __init__(self) -> None:
        self.bytes = self.live = self.made = self.peak = 0
        self.step = 1
        self.times = array("q")
        self.sizes = array("q")

    def copy(self) -> TagUse:
        """The same, for a snapshot: as it is now."""
        copy = TagUse()
        copy.bytes, copy.live, copy.made, copy.peak = self.bytes, self.live, self.made, self.peak
        copy.step, copy.times, copy.sizes = self.step, self.times[:], self.sizes[:]
        return copy

    def note(self, now: int, size: int) -> None:
        """So many bytes are live from now on."""
        self.bytes = size
        if size > self.peak:
            self.peak = size
        times = self.times
        if times and now - times[-1] < self.step:
            if size > self.sizes[-1]:
                self.sizes[-1] = size
            return
        times.append(now)
        self.sizes.append(size)
        if len(times) > MOST_POINTS:
            self._thin()

    def _thin(self) -> None:
        """Join points until half of them are left."""
        times, sizes = self.times, self.sizes
        while len(times) > MOST_POINTS // 2:
            self.step *= 2
            thin_times, thin_sizes = array("q"), array("q")
            for time, size in zip(times, sizes, strict=True):
                if thin_times and time - thin_times[-1] < self.step:
                    thin_sizes[-1] = max(thin_sizes[-1], size)
                else:
                    thin_times.append(time)
                    thin_sizes.append(size)
            times, sizes = thin_times, thin_sizes
        self.times, self.sizes = times, sizes


class PoolUse:
    """All drivers' tags, by the driver's name; kept after an unload, until the next load."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.drivers: dict[str, dict[int, TagUse]] = {}

    def forget(self, driver: str) -> None:
        """It is loaded: what an earlier load of it used is no matter of this one."""
        self.drivers.pop(driver, None)

    def allocated(self, allocation: Allocation) -> None:
        """A driver has allocated."""
        use = self._use(allocation)
        use.live += 1
        use.made += 1
        use.note(self._k.now, use.bytes + allocation.size)

    def freed(self, allocation: Allocation) -> None:
        """What a driver had allocated is free."""
        use = self._use(allocation)
        use.live -= 1
        use.note(self._k.now, use.bytes - allocation.size)

    def _use(self, allocation: Allocation) -> TagUse:
        tags = self.drivers.get(allocation.owner)
        if tags is None:
            tags = self.drivers[allocation.owner] = {}
        found = tags.get(allocation.tag)
        if found is None:
            # No tag is ever taken out, so that a free finds what its allocation was counted by.
            key = allocation.tag if len(tags) < MOST_TAGS else OTHER
            found = tags.get(key)
            if found is None:
                found = tags[key] = TagUse()
        return found
