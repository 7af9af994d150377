"""Which locks each flow of execution holds, and where it took them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kernellab import ntdata

from .listening import add_related, listens

if TYPE_CHECKING:
    from ..kernel.bugcheck import BugCheck
    from ..kernel.execution import Context, Flow
    from ..kernel.kernel import Kernel

_TAKEN_TWICE: Final = ntdata.bugcheck_code("SPIN_LOCK_ALREADY_OWNED")


@dataclass(slots=True)
class Held:
    """A lock that is held: what it is, where it was taken, and how deep in calls that was."""

    kind: str
    lock: int
    context: Context | None
    level: int


class HeldLocks:
    """Subscribed after the rules: they see how it was before an event."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        #: By the address of the holder's stack, in the order they were taken.
        self.by_flow: dict[int, list[Held]] = {}

    def here(self) -> list[Held]:
        """What the current flow holds."""
        return self.by_flow.get(self._k.flow.limit, [])

    def forget(self, flow: int, lock: int) -> None:
        """A flow does not hold a lock any more."""
        held = self.by_flow[flow]
        for index in range(len(held) - 1, -1, -1):  # it may be held several times over
            if held[index].lock == lock:
                del held[index]
                break
        if not held:
            del self.by_flow[flow]

    @listens("lock-taken")
    def _taken(
        self, kind: str, lock: int, holder: Flow | None = None, bounded: bool = False
    ) -> None:
        """``holder`` where another flow gave it to that one; ``bounded``: not for ever."""
        k = self._k
        flow = holder or k.flow
        # An export that had to wait has a level of its own.
        level = len(flow.levels) - (flow is not k.flow or not k.cpu.trapping)
        context = flow.keep() if flow is k.flow else flow.context(trapped=True)
        self.by_flow.setdefault(flow.limit, []).append(Held(kind, lock, context, level))

    @listens("lock-released")
    def _released(self, kind: str, lock: int) -> None:
        mine = self._k.flow.limit
        holders = [flow for flow, held in self.by_flow.items() if any(h.lock == lock for h in held)]
        if holders:  # a lock that is shared has several
            self.forget(mine if mine in holders else holders[0], lock)

    @listens("lock-deleted", "lock-initialized")
    def _deleted(self, kind: str, lock: int) -> None:
        for flow, held in list(self.by_flow.items()):
            for _ in [h for h in held if h.lock == lock]:
                self.forget(flow, lock)

    @listens("bug-check")
    def _bug_check(self, check: BugCheck) -> None:
        if check.code == _TAKEN_TWICE:
            for held in self.by_flow.values():
                for h in held:
                    if h.lock == check.parameters[0]:
                        add_related(check, "the spin lock was taken here first", h.context)
