"""How much of the kernel stack the driver's routines use."""

from __future__ import annotations

from typing import Final

from ..kernel.execution import STACK_SIZE
from .base import Rule, listens

#: What should remain: a sixth of a stack of 24 KiB.
_RESERVE: Final = 4096
_UNTOUCHED: Final = bytes(_RESERVE)


class KernelStack(Rule):
    """A stack's pages are zero at first: what is not was used at some time."""

    name = "kernel-stack"
    summary = "a routine nearly used up the kernel stack (24 KB)"
    page = "Windows drivers: Using the Kernel Stack"

    @listens("callback-returned")
    def _returned(self, what: str, routine: int, irql: int) -> None:
        flow, memory = self.k.flow, self.k.memory
        lowest = memory.read(flow.limit, _RESERVE)
        if lowest == _UNTOUCHED:
            return
        left = _RESERVE - len(lowest.lstrip(b"\0"))
        memory.write(flow.limit, _UNTOUCHED)
        self.report(
            f"{what} left {left:,} bytes of the kernel stack's {STACK_SIZE:,}: large local "
            "variables belong into pool, and recursion needs a limit",
            self.k.driver_at(routine),
            context=self.at(routine),
        )
