"""Routines that drivers have registered to be called when something happens.

Process, thread, image, registry, handle and callback-object notifications are all kept here, so
that who still has one registered at unload can be named. Told: ``callback-registered`` and
``callback-unregistered`` (the :class:`Registration`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .driver import at_same_irql
from .execution import Call, Context, Steps, Wait

if TYPE_CHECKING:
    from .kernel import Kernel

#: How long an unregistering thread sleeps before it looks again whether the routine still runs.
_POLL: Final = -10


@dataclass(slots=True, eq=False)
class Registration:
    """One registered routine. ``kind`` is the routine that registers such ones."""

    kind: str
    routine: int
    owner: str
    context: int = 0
    #: What the caller unregisters it by.
    cookie: int = 0
    altitude: str = ""
    #: What else its kind keeps.
    detail: Any = None
    #: How many calls of it have not returned.
    running: int = 0
    #: Where it was registered.
    where: Context | None = None


class Callbacks:
    """All registrations by kind, in the order in which they are called."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self._kinds: dict[str, list[Registration]] = {}
        self._cookies = 0

    def add(self, registration: Registration) -> Registration:
        """Register; the highest altitude is called first, else who came first."""
        k = self._k
        self._cookies += 1
        registration.cookie = registration.cookie or self._cookies
        registration.where = k.flow.context(trapped=True) if k.flow.in_export else None
        entries = self._kinds.setdefault(registration.kind, [])
        entries.append(registration)
        if registration.altitude:
            entries.sort(key=_height, reverse=True)
        k.tell("callback-registered", registration)
        return registration

    def of(self, kind: str) -> list[Registration]:
        """Who is to be called, in order; a copy, so that they may unregister meanwhile."""
        return list(self._kinds.get(kind, ()))

    def any(self, kind: str) -> bool:
        """Whether somebody is to be called at all."""
        return bool(self._kinds.get(kind))

    def find(self, kind: str, *, routine: int = 0, cookie: int = 0) -> Registration | None:
        """The registration of a routine, or with a cookie."""
        for entry in self._kinds.get(kind, ()):
            if (routine and entry.routine == routine) or (cookie and entry.cookie == cookie):
                return entry
        return None

    def owned_by(self, driver: str) -> list[Registration]:
        """What a driver has registered and not unregistered."""
        return [r for entries in self._kinds.values() for r in entries if r.owner == driver]

    def remove(self, registration: Registration) -> None:
        """Unregister; calls of it that run go on."""
        self._kinds[registration.kind].remove(registration)
        self._k.tell("callback-unregistered", registration)

    def drain(self, registration: Registration) -> Steps:
        """Wait until no call of a routine runs any more, as the unregistering routines do."""
        while registration.running:
            wait = self._k.dispatcher.sleep(_POLL)
            assert isinstance(wait, Wait)
            yield wait
        return 0

    def invoke(self, registration: Registration, arguments: tuple[int, ...], what: str) -> Steps:
        """Call a registered routine; its rax."""
        registration.running += 1
        try:
            result = yield from at_same_irql(self._k, Call(registration.routine, arguments), what)
        finally:
            registration.running -= 1
        return result


def _height(registration: Registration) -> tuple[int, str]:
    """Altitudes are decimal numbers without an upper limit, with fractions."""
    whole, _, fraction = registration.altitude.partition(".")
    return int(whole) if whole.isdecimal() else 0, fraction
