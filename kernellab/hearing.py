"""What a machine's second capture has heard alone, as events for the logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .prints import Prints
from .protocol import DbgPrint, Event

if TYPE_CHECKING:
    from .lab import Target
    from .target.base import Witness


def told(witness: Witness, events: Sequence[Event]) -> None:
    """The agent has told of these."""
    for event in events:
        if isinstance(event, DbgPrint):
            witness.told(event.text)
        elif isinstance(event, Prints):
            for text in event.texts:
                witness.told(text)


def hear(target: Target, *, lost: bool = False) -> None:
    """Put what only the second capture has into the logs of the drivers that are loaded.

    ``lost``: the agent is gone, so that all that came until then is what it did not get to tell.
    """
    witness = target._endpoint.witness
    on = [each for each in target.drivers.values() if each.loaded or each.state == "loading"]
    if witness is None or not on:
        return
    if lines := witness.alone(lost=lost):
        target._take([DbgPrint(text=text) for text in lines], told=False)
