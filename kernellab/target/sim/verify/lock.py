"""Locks of all kinds: the order in which they are taken, and who gives them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Related, Rule, ToldRule, Verifier, listens
from .locks import Held

if TYPE_CHECKING:
    from ..kernel.execution import Context, Flow
    from ..kernel.pool import Allocation
    from ..kernel.thread import Thread


class LockOrder(Rule):
    """Keeps which lock was taken under which; a circle can become a deadlock.

    It is found on the first run in which both orders occur, whether or not they meet. An attempt
    that does not wait for ever cannot deadlock.
    """

    name = "lock-order"
    summary = "two locks are taken in one order here and in the other there"
    page = "Windows drivers: Deadlock Detection; Bug Check 0xC4, 0x1001"

    def __init__(self, verifier: Verifier) -> None:
        super().__init__(verifier)
        #: For each lock those that were taken while it was held, with both stacks.
        self._under: dict[int, dict[int, tuple[Context | None, Context | None]]] = {}

    @listens("lock-taken")
    def _taken(
        self, kind: str, lock: int, holder: Flow | None = None, bounded: bool = False
    ) -> None:
        flow = holder or self.k.flow
        for held in self._verifier.locks.by_flow.get(flow.limit, ()):
            below = self._under.get(held.lock, {})
            if held.lock == lock or lock in below or bounded or "Try" in self.k.routine():
                continue
            now = self.keep() if flow is self.k.flow else flow.context(trapped=True)
            self._under.setdefault(held.lock, {})[lock] = (held.context, now)
            path = self._path(lock, held.lock)
            if path:
                self._inverted(held, kind, lock, path)

    def _path(self, start: int, goal: int) -> list[int]:
        """Locks from ``start`` to ``goal``, each taken while the one before it was held."""
        paths, seen = [[start]], {start}
        while paths:
            path = paths.pop()
            for lock in self._under.get(path[-1], {}):
                if lock == goal:
                    return [*path, lock]
                if lock not in seen:
                    seen.add(lock)
                    paths.append([*path, lock])
        return []

    def _inverted(self, held: Held, kind: str, lock: int, path: list[int]) -> None:
        first, second = self._under[path[0]][path[1]]
        related: list[Related] = [
            (f"the {held.kind} at {held.lock:#x} was taken here before", held.context),
            (f"the other order: the lock at {path[0]:#x} was taken here", first),
            (f"and then the lock at {path[1]:#x} here", second),
        ]
        between = f" (by way of {len(path) - 2} more)" if len(path) > 2 else ""
        self.report(
            f"the {kind} at {lock:#x} was taken while the {held.kind} at {held.lock:#x} is held, "
            f"and elsewhere they are taken the other way round{between}: two threads can wait for "
            "each other for ever",
            related=related,
        )

    @listens("lock-deleted", "lock-initialized")
    def _deleted(self, kind: str, lock: int) -> None:
        self._forget(range(lock, lock + 1))

    @listens("pool-freeing")
    def _freeing(self, allocation: Allocation) -> None:
        """A lock in memory that is freed was another lock than what comes there later."""
        if self._under:
            self._forget(range(allocation.address, allocation.address + allocation.size))

    def _forget(self, gone: range) -> None:
        self._under = {
            lock: {other: stacks for other, stacks in below.items() if other not in gone}
            for lock, below in self._under.items()
            if lock not in gone
        }


class LockHeldOnReturn(Rule):
    """Nothing can give back what the routine forgot."""

    name = "lock-held-on-return"
    summary = "a routine or thread of the driver ended while it held a lock"
    page = "Windows drivers: Introduction to Spin Locks"

    @listens("callback-returned")
    def _returned(self, what: str, routine: int, irql: int) -> None:
        flow = self.k.flow
        for held in list(self._verifier.locks.here()):
            if held.level >= len(flow.levels):
                self.report(
                    f"{what} returned while it held the {held.kind} at {held.lock:#x}",
                    self.k.driver_at(routine),
                    context=self.at(routine),
                    related=[(f"the {held.kind} was taken here", held.context)],
                )
                self._verifier.locks.forget(flow.limit, held.lock)

    @listens("thread-ended")
    def _ended(self, thread: Thread) -> None:
        for held in self._verifier.locks.by_flow.pop(thread.limit, ()):
            self.report(
                f"a system thread ended while it held the {held.kind} at {held.lock:#x}",
                thread.owner,
                context=held.context,
            )


class LockWrongOwner(Rule):
    """A lock protects nothing when others can give it back."""

    name = "lock-wrong-owner"
    summary = "a spin lock was released by another thread or DPC than took it"
    page = "Windows drivers: Introduction to Spin Locks"

    @listens("lock-released")
    def _released(self, kind: str, lock: int) -> None:
        locks = self._verifier.locks
        if not kind.endswith("spin lock") or any(held.lock == lock for held in locks.here()):
            return
        for taken in locks.by_flow.values():
            for held in taken:
                if held.lock == lock:
                    self.report(
                        f"the {kind} at {lock:#x} was released by another thread or DPC than "
                        "the one that took it",
                        related=[(f"the {held.kind} was taken here", held.context)],
                    )


class LockMisuse(ToldRule):
    """What the routines of a kind of lock notice themselves."""

    name = "lock-misuse"
    summary = "a lock was used in a way that its kind does not allow"
    page = 'WDK: "ExReleasePushLockExclusive", "ExDeleteResourceLite", "ExReleaseFastMutex"'
    events = (
        "lock-recursive",
        "lock-not-owner",
        "lock-not-held",
        "lock-held",
        "lock-not-initialized",
        "bad-owner-pointer",
    )


class ApcsNotDisabled(ToldRule):
    """A thread that is suspended while it holds a lock would keep it."""

    name = "apcs-not-disabled"
    summary = "a lock was acquired with APCs enabled, or a region left that was not entered"
    page = "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION, 0x37 to 0x3A"
    events = ("apcs-not-disabled", "region-not-entered")


class RundownMisuse(ToldRule):
    """Each acquisition is released once; a new use begins after a run-down only."""

    name = "rundown-misuse"
    summary = "run-down protection was released too often, or initialized anew in use"
    page = "Windows drivers: Run-Down Protection"
    events = ("rundown-not-acquired", "rundown-in-use")
