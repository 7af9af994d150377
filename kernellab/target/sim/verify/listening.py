"""Marking methods as listeners to the kernel's events, and subscribing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from ..kernel.bugcheck import BugCheck
    from ..kernel.execution import Context
    from ..kernel.kernel import Kernel

_Method = TypeVar("_Method", bound=Callable[..., None])
_EVENTS: Final = "listens_to"


def listens(*events: str) -> Callable[[_Method], _Method]:
    """The decorated method of a rule is called at each of these events."""

    def mark(method: _Method) -> _Method:
        setattr(method, _EVENTS, events)
        return method

    return mark


def subscribe(k: Kernel, listener: object) -> None:
    """Call the methods that are marked by :func:`listens` from now on."""
    kind = type(listener)
    for name in dir(kind):
        for event in getattr(getattr(kind, name), _EVENTS, ()):
            k.bus.on(event, getattr(listener, name))


def unsubscribe(k: Kernel, listener: object) -> None:
    """Do not call them any more."""
    kind = type(listener)
    for name in dir(kind):
        for event in getattr(getattr(kind, name), _EVENTS, ()):
            k.bus.off(event, getattr(listener, name))


def add_related(check: BugCheck, label: str, context: Context | None) -> None:
    """Give a bug check a stack that explains it, where one was kept."""
    if context is not None:
        check.related.append((label, context))
