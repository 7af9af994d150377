"""Kernel memory that nobody wrote, given to a program."""

from __future__ import annotations

import re
from typing import Final

from ..kernel.pool import FILLS
from .base import Rule, Verifier, listens

#: So many bytes of a pattern in a row are no chance.
_FEWEST: Final = 4
_PATTERN: Final = re.compile(
    b"|".join(re.escape(bytes([fill])) + b"{%d,}" % _FEWEST for fill in FILLS)
)
#: A byte that had this many different patterns when they were the pool's is none either.
_CHANGES: Final = 3


class Disclosure(Rule):
    """Fresh pool has a pattern; where that reaches a program, real memory would have.

    Fewer bytes than four may have that value by chance. So the pattern changes with each answer:
    what changes with it each time, at the same place in the answers to the same request, is it.
    """

    name = "disclosure"
    summary = "uninitialised kernel memory was handed to a program"
    page = "Windows drivers: Failure to Initialize Output Buffers"

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        #: By driver, request and length of the answer: the places that had the pattern each time,
        #: and which patterns that were.
        self._places: dict[tuple[str, str, int], dict[int, set[int]]] = {}

    @listens("irp-output")
    def _output(self, data: bytes, given: bytes, driver: str, what: str) -> None:
        fill = self.k.pool.fill
        self.k.pool.change_fill()
        for match in _PATTERN.finditer(data):
            if match[0] in given:
                continue  # the program itself had sent it
            self._found(match.end() - match.start(), match.start(), len(data))
            return
        self._compare((driver, what, len(data)), data, len(given), fill)

    def _compare(self, key: tuple[str, str, int], data: bytes, given: int, fill: int) -> None:
        places = self._places.get(key)
        if places is None:
            found = [m.start() for m in re.finditer(re.escape(bytes([fill])), data)]
            self._places[key] = {at: {fill} for at in found if at >= given}
            return
        for at in [at for at in places if at < given or data[at] != fill]:
            del places[at]
        for patterns in places.values():
            patterns.add(fill)
        certain = [at for at, patterns in places.items() if len(patterns) >= _CHANGES]
        if certain:
            first = min(certain)
            count = 1
            while first + count in certain:
                count += 1
            self._found(count, first, len(data))
            places.clear()

    def _found(self, count: int, offset: int, size: int) -> None:
        what = "1 byte" if count == 1 else f"{count} bytes"
        were = "was" if count == 1 else "were"
        self.report(
            f"the program gets {what} of kernel memory that {were} never "
            f"written, from offset {offset} of the {size} bytes it is given: set Information to "
            "what was written, and zero what is allocated"
        )
