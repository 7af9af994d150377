"""Places in a text: lines from 0, columns in UTF-16 units, as the protocol has them."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """A line from 0 and a column in UTF-16 code units from 0."""

    line: int
    column: int


def to_utf16(line: str, column: int) -> int:
    """How many UTF-16 units the first ``column`` characters of ``line`` take."""
    before = line[: max(column, 0)]
    return len(before) + sum(character > "\uffff" for character in before)


def to_column(line: str, units: int) -> int:
    """How many characters the first ``units`` UTF-16 units of ``line`` are.

    In the middle of a surrogate pair it is the character's start; beyond the line, its end.
    """
    for index, character in enumerate(line):
        units -= 1 + (character > "\uffff")
        if units < 0:
            return index
    return len(line)
