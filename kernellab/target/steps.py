"""What a target does that takes long, said to whoever waits for it: connecting, for instance.

Who waits says where to, for what is called inside::

    with told_to(progress):
        connect("my-vm")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Called with how much is done, of how much (0: not known), and what is under way.
Progress = Callable[[int, int, str], object]

_listener: ContextVar[Progress | None] = ContextVar("kernellab-steps", default=None)


@contextmanager
def told_to(progress: Progress | None) -> Iterator[None]:
    """Tell ``progress`` each step of what is called inside, on this thread."""
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)


def step(what: str, done: int = 0, total: int = 0) -> None:
    """``what`` is under way now."""
    if (progress := _listener.get()) is not None:
        progress(done, total, what)


def progress(done: int, total: int, what: str) -> None:
    """The same as functions that take a progress callback call it."""
    step(what, done, total)
