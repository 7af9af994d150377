"""One log of several drivers: what they print, in the order they print it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..prints import Prints, parts_of, singles
from ..protocol import DbgPrint, State

if TYPE_CHECKING:
    from ..driver import Driver
    from ..pane.log import LogPane
    from ..pane.terminal import TextPane
    from ..protocol import Event

#: Events of the whole machine, which every log has.
_OF_ALL = ("rebooted", "restored")


def watch(*drivers: Driver) -> Watch:
    """Show one log of several drivers of one target, live: in a notebook as a pane, else as lines.

    ``kernellab.watch(hello, echo)`` begins with what they have printed so far, in the order of
    printing; the pane has a column and a filter for the driver. A driver that is loaded again
    under its name goes on in it. ``stop()`` of the result ends it. Raises UsageError where
    there is no driver, or where they are on different targets.
    """
    from ..cell.source import front_end

    rich, display = front_end()
    return Watch(drivers, rich=rich, display=display)


class Watch:
    """A log of several drivers that goes on until :meth:`stop`."""

    def __init__(
        self, drivers: Sequence[Driver], *, rich: bool, display: Callable[..., Any]
    ) -> None:
        from ..pane.show import new_pane, show

        if not drivers:
            raise UsageError("name the drivers to watch, such as kernellab.watch(hello, echo)")
        if len({id(driver.target) for driver in drivers}) > 1:
            raise UsageError(
                "the drivers are on different targets: watch those of each by themselves"
            )
        self._target = drivers[0].target
        #: The drivers' names.
        self.names = tuple(dict.fromkeys(driver.name for driver in drivers))
        #: What shows it.
        self.pane: LogPane | TextPane = new_pane(", ".join(self.names), rich=rich, several=True)
        self._lock = threading.Lock()
        with self._lock:  # what comes meanwhile waits
            self._unsubscribe = self._target.subscribe(self._take)
            past = _in_order([driver.log.records() for driver in drivers])
            self._past = {id(record) for record in past}
            self._kept = past  # so that no new record gets the identity of an old one
            show(self.pane, display)
            self._tell()
            self.pane.add(past)
        self.pane.finish()

    def stop(self) -> None:
        """End it; what is shown stays."""
        self._unsubscribe()
        self.pane.set_state("stopped")
        self.pane.finish()

    def __repr__(self) -> str:
        return f"<Watch {', '.join(self.names)}>"

    def _take(self, events: Sequence[Event]) -> None:
        """Events of the target, on its session's thread."""
        with self._lock:
            # Of a log that had something, single events: they are told apart by identity.
            mine = [each for each in parts_of(events) if self._is_mine(each)]
            if self._past:
                mine = [one for each in mine for one in singles(each) if id(one) not in self._past]
            if mine:
                self.pane.add(mine)
                if any(not isinstance(event, DbgPrint | Prints) for event in mine):
                    self._tell()

    def _is_mine(self, event: Event) -> bool:
        return event.driver in self.names or (
            not event.driver and not (isinstance(event, State) and event.state not in _OF_ALL)
        )

    def _tell(self) -> None:
        """The drivers' states, in the pane's head."""
        known = self._target.drivers
        states = (f"{name} {known[name].state}" for name in self.names if name in known)
        self.pane.set_state("watching", f"drivers: {', '.join(states)}")


def _in_order(logs: Sequence[list[DbgPrint]]) -> list[DbgPrint]:
    """Several logs as one. Numbers begin anew with a new machine: only the last one's count."""
    return sorted((record for log in logs for record in _since(log)), key=lambda each: each.seq)


def _since(log: list[DbgPrint]) -> list[DbgPrint]:
    for index in range(len(log) - 1, 0, -1):
        if log[index].seq <= log[index - 1].seq:
            return log[index:]
    return log
