"""The trace of one run of a cell, and what its pane shows of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import KernelLabError

if TYPE_CHECKING:
    from ..driver import Driver
    from .data import Trace
    from .tab import TimelineTab

#: The tab's name.
TAB: Final = "timeline"

#: With more events than this, the picture takes a while: it is drawn in a thread of its own, and
#: not again for each later cell.
_OFTEN: Final = 20_000


class Pane(Protocol):
    """What a pane has to have; as :class:`kernellab.pane.log.LogPane`."""

    def add_tab(self, tab: TimelineTab) -> None:
        """Offer a view."""

    def tab_changed(self, name: str) -> None:
        """It has something new."""

    def set_picture(self, svg: str, text: str) -> None:
        """A picture for the saved form."""


class CellTrace:
    """What a cell's ``--trace`` does; nothing where ``size`` is None, since it is not there."""

    def __init__(self, size: int | None, pane: Pane) -> None:
        self._size, self._pane = size, pane
        self._driver: Driver | None = None
        self._trace: Trace | None = None

    def begin(self, driver: Driver | None) -> None:
        """Record from now on, in the place of what the machine recorded before."""
        if self._size is None or driver is None:
            return
        from .tab import TimelineTab

        self._driver, self._trace = driver, driver.target.restart_trace(self._size)
        self._pane.add_tab(TimelineTab(self._trace, driver.name))

    def show(self) -> None:
        """Draw the picture anew: at once where that is quick, else as soon as it is there.

        Nothing where another thread's call has the target.
        """
        count = self._count()
        if count is None:
            return
        if count > _OFTEN:
            name = "kernellab-timeline-picture"
            threading.Thread(target=self._draw, name=name, daemon=True).start()
        else:
            self._draw()

    def settle(self) -> None:
        """A cell has ended, which may have had something run on the machine."""
        if self._trace is None or not self._trace.recording:
            return
        before, count = self._trace.version, self._count()
        if count is None or self._trace.version == before:
            return
        if count <= _OFTEN:
            self._draw()
        else:
            self._pane.tab_changed(TAB)

    def end(self) -> None:
        """The cell runs again: what was recorded is all there is."""
        if self._driver is not None:
            self._driver.end_trace()
            self.show()

    def _count(self) -> int | None:
        """How many events there are; None where that cannot be known at once."""
        if self._trace is None or self._driver is None:
            return None
        lock = self._driver.target._busy
        if not lock.acquire(blocking=False):
            return None
        try:
            return len(self._trace)
        except KernelLabError:
            return None  # what is wrong with the target is said where it was found
        finally:
            lock.release()

    def _draw(self) -> None:
        assert self._trace is not None
        try:
            self._pane.set_picture(self._trace.svg, self._trace.summary)
        except KernelLabError:
            return
        self._pane.tab_changed(TAB)
