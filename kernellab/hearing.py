"""For the logs: prints of the machine rather than of a driver, and of its second capture only."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .prints import Prints
from .protocol import DbgPrint, Dropped, Event

if TYPE_CHECKING:
    from .lab import Target
    from .target.base import Witness


#: Prints that are kept at most while there is no log for them.
KEPT: Final = 1000


def keep(target: Target, events: Sequence[Event]) -> None:
    """Keep the machine's own prints while no driver is loaded, for the first that is."""
    kept = target._early
    for event in events:
        for print_ in event.records if isinstance(event, Prints) else [event]:
            if isinstance(print_, DbgPrint) and not print_.driver:
                if len(kept) == KEPT:
                    kept.popleft()
                    target._early_lost += 1
                kept.append(print_)


def told(witness: Witness, events: Sequence[Event]) -> None:
    """The agent has told of these."""
    for event in events:
        if isinstance(event, DbgPrint):
            witness.told(event.text)
        elif isinstance(event, Prints):
            for text in event.texts:
                witness.told(text)


def hear(target: Target, *, lost: bool = False) -> None:
    """Put what had no log, and what only the second capture has, into the logs of loaded drivers.

    ``lost``: the agent is gone, so that all that came until then is what it did not get to tell.
    """
    witness = target._endpoint.witness
    if not (witness is not None or target._early) or not _on(target):
        return
    lines = [] if witness is None else witness.alone(lost=lost)
    events: list[Event] = [DbgPrint(text=text) for text in lines]
    early, target._early = target._early, deque()
    if target._early_lost:
        events.append(Dropped(count=target._early_lost))
        target._early_lost = 0
    if events or early:
        target._take([*events, *early], told=False)


def _on(target: Target) -> bool:
    return any(each.loaded or each.state == "loading" for each in target.drivers.values())
