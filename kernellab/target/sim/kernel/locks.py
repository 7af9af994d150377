"""What locks keep on the host's side, and activities that wait before they take one.

A lock's own word or structure in guest memory says what Windows' says; who waits, and who holds a
lock that does not note its owner, is here, as simple data by the lock's address.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .dispatcher import Waiting
from .execution import Spin, Wait

if TYPE_CHECKING:
    from .kernel import Kernel
    from .thread import Thread


class AfterWait:
    """The activity of an export that waits and then has something left to do. Can be copied."""

    __slots__ = ("_started", "wait")

    def __init__(self, wait: Wait) -> None:
        self.wait = wait
        self._started = False

    def send(self, value: Any) -> Wait:
        if self._started:
            raise StopIteration(self.finish(value))
        self._started = True
        return self.wait

    def finish(self, value: Any) -> int:
        """What is left to do, in the thread that was woken with ``value``: the call's result."""
        raise NotImplementedError


class SpinThen:
    """The activity of an export that spins for a lock and then takes it. Can be copied."""

    __slots__ = ("_spun", "_what", "address", "k", "result")

    def __init__(self, k: Kernel, address: int, what: str, result: int = 0) -> None:
        self.k = k
        self.address = address
        self.result = result
        self._what = what
        self._spun = False

    def send(self, value: Any) -> Spin:
        if self._spun:
            self.take()
            raise StopIteration(self.result)
        self._spun = True
        return Spin(self.ready, f"the {self._what} at {self.address:#x}")

    def ready(self) -> bool:
        """Whether the lock can be taken now."""
        raise NotImplementedError

    def take(self) -> None:
        """Take it; nothing has run since it was ready."""
        raise NotImplementedError


@dataclass(slots=True)
class Waiter:
    """A thread that waits for a lock, and how it wants it."""

    waiting: Waiting
    exclusive: bool

    @property
    def thread(self) -> Thread:
        return self.waiting.thread


@dataclass(slots=True)
class PushLock:
    """A push lock that is held. Shared holders are ETHREADs, once for each acquisition."""

    exclusive: int = 0
    shared: list[int] = field(default_factory=list)
    waiters: deque[Waiter] = field(default_factory=deque)


@dataclass(slots=True)
class Resource:
    """An initialized ERESOURCE: how often each owner has it. Owners are ETHREADs or pointers."""

    owners: dict[int, int] = field(default_factory=dict)
    exclusive: bool = False
    waiters: deque[Waiter] = field(default_factory=deque)


@dataclass(slots=True)
class Locks:
    """By address. Only what is held or waited for is here, and ERESOURCEs until deleted."""

    #: Lock handles that wait for an in-stack queued spin lock, first come first.
    queued: dict[int, deque[int]] = field(default_factory=dict)
    #: The processor that holds a reader/writer spin lock exclusively.
    exclusive: dict[int, int] = field(default_factory=dict)
    push: dict[int, PushLock] = field(default_factory=dict)
    resources: dict[int, Resource] = field(default_factory=dict)
    #: Who waits for rundown protection to be given back.
    rundown: dict[int, list[Waiting]] = field(default_factory=dict)


def park(k: Kernel, why: str) -> tuple[Waiting, Wait]:
    """Block the current thread until :meth:`.dispatcher.Dispatcher.end` wakes it."""
    wait = k.dispatcher.wait((), why=why)
    waiting = k.ps.current.waiting_on
    assert isinstance(wait, Wait)
    assert isinstance(waiting, Waiting)
    return waiting, wait


class EndWait:
    """An action that ends a wait. Can be copied; :attr:`waiting` is set once there is one."""

    __slots__ = ("_k", "waiting")

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.waiting: Waiting | None = None

    def __call__(self) -> None:
        if self.waiting is not None:
            self._k.dispatcher.end(self.waiting, 0)
