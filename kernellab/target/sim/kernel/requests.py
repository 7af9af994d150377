"""What an activity of the kernel can ask for, and what an activity is: see :mod:`.execution`.

Requests are never changed once they are made. The most frequent ones are not frozen, since that
makes making one take several times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(slots=True)
class Call:
    """Ask for ``address`` to be called with ``arguments``; its rax is sent back."""

    address: int
    arguments: tuple[int, ...] = ()


@dataclass(slots=True)
class Wait:
    """Give up the processor; ``why`` names what is waited for, for whoever asks.

    Yielded by an activity, or answered by an export's handler that has nothing to do
    afterwards: the value given to :meth:`Flow.wake` is then the call's result.
    """

    why: str = ""


@dataclass(frozen=True, slots=True)
class Spin:
    """Keep the processor until ``ready()`` is true; ``why`` names what is waited for."""

    ready: Callable[[], bool]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Unwind:
    """Give up guest frames and activities below ``registers["rsp"]`` and go on there.

    For exception handling: the activity that yields this is not resumed.
    """

    registers: dict[str, int]


@dataclass(frozen=True, slots=True)
class Exit:
    """End the whole flow with ``value``, as PsTerminateSystemThread does."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class Rethrow:
    """Nothing handled the exception: give up this activity, and raise ``error`` where it was.

    ``registers`` and ``trap`` (the CPU's ``trapping``, ``trap_index``, ``trap_rsp``) are what
    they were when it happened.
    """

    error: Exception
    registers: dict[str, int]
    trap: tuple[bool, int, int]


Request = Call | Wait | Spin | Unwind | Exit | Rethrow


class Activity(Protocol):
    """What :class:`Flow` drives: a generator, or an object that can be copied (snapshots)."""

    def send(self, value: Any, /) -> Request:
        """Go on with ``value`` (None at first); StopIteration with the result at the end."""


#: An activity written as a generator; its value is the result.
Steps = Generator[Request, Any, Any]


class WaitOnce:
    """The activity of an export that only waits: its result is what wakes it."""

    __slots__ = ("started", "wait")

    def __init__(self, wait: Wait) -> None:
        self.wait = wait
        self.started = False

    def send(self, value: Any) -> Wait:
        if self.started:
            raise StopIteration(value)
        self.started = True
        return self.wait
