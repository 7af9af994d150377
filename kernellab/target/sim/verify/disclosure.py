"""Kernel memory that nobody wrote, given to a program."""

from __future__ import annotations

import re
from typing import Final

from ..kernel.pool import FRESH
from .base import Rule, listens

#: So many bytes of the pattern in a row are no chance.
_FEWEST: Final = 4
_PATTERN: Final = re.compile(re.escape(bytes([FRESH])) + b"{%d,}" % _FEWEST)


class Disclosure(Rule):
    """Fresh pool has a pattern; where that reaches a program, real memory would have."""

    name = "disclosure"
    summary = "uninitialised kernel memory was handed to a program"
    page = "Windows drivers: Failure to Initialize Output Buffers"

    @listens("irp-output")
    def _output(self, data: bytes, given: bytes) -> None:
        for match in _PATTERN.finditer(data):
            if match[0] in given:
                continue  # the program itself had sent it
            count = match.end() - match.start()
            self.report(
                f"the program gets {count} bytes of kernel memory that were never written, from "
                f"offset {match.start()} of the {len(data)} bytes it is given: set Information to "
                "what was written, and zero what is allocated"
            )
            return
