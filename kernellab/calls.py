"""Requests to a target's endpoint: how long they wait, and what its end means to who calls."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final, cast

from .errors import Bugcheck, KernelLabError, TargetLost, TargetTimeout
from .failures import lost_error, typed_error
from .protocol import ErrorEvent
from .session import Pending, RequestFailed, Session

if TYPE_CHECKING:
    from .lab import Target
    from .target.base import Endpoint

#: Seconds beyond a request's own limit before the endpoint itself counts as hung.
GRACE: Final = 5.0

#: Seconds that an endpoint gets to stop driver code after ■, before it is ended itself.
INTERRUPT_GRACE: Final = 0.6


class Calls:
    """One request at a time; part of :class:`~kernellab.lab.Target`."""

    _busy: threading.RLock
    _endpoint: Endpoint
    _session: Session
    #: The session whose end was told, and its error until a call has raised it.
    _told: Session | None = None
    _untold: KernelLabError | None = None

    def _request(self, command: str, wait: float, **fields: Any) -> dict[str, Any]:
        with self._busy:
            return self._exchange(command, wait, fields)

    def _exchange(self, command: str, wait: float, fields: dict[str, Any]) -> dict[str, Any]:
        target = cast("Target", self)
        pending: Pending | None = None
        try:
            try:
                absences = self._endpoint.absences
                pending = self._session.start(command, **fields)
                while True:
                    try:
                        return pending.result(wait)
                    except TargetTimeout:
                        before, absences = absences, self._absences()
                        if absences is None or absences == before:
                            raise
            except KeyboardInterrupt:
                self._interrupt(pending)
                raise
            finally:
                if pending is not None:
                    pending.forget()
        except RequestFailed as failed:
            raise typed_error(target, failed.failure) from None
        except (TargetLost, TargetTimeout) as lost:
            raise lost_error(target, lost) from None

    def _interrupt(self, pending: Pending | None) -> None:
        """Stop driver code that runs; end the endpoint when it does not react."""
        target = cast("Target", self)
        try:
            if pending is None:  # whether the request was sent, nobody knows
                raise TargetLost("interrupted while a request was sent")
            self._ask_to_stop()
            # Where this succeeds, the request was done before the interrupt came.
            pending.result(INTERRUPT_GRACE)
        except RequestFailed as failed:
            if failed.failure.kind == "interrupted":
                target._stop("interrupted")
                frames = target._symbolize(failed.failure.frames)
                event = ErrorEvent(error="interrupted", message="interrupted", frames=frames)
                target._publish([event])
        except (TargetLost, TargetTimeout, KeyboardInterrupt):
            target._stop("interrupted")
            self._told = self._session
            self._endpoint.stop(grace=0)

    def _ask_to_stop(self) -> None:
        session = self._session

        def ask() -> None:
            with contextlib.suppress(TargetLost):
                session.start("interrupt").forget()

        if self._endpoint.absences is None:
            ask()
        else:  # nobody knows how long sending takes
            threading.Thread(target=ask, name="kernellab-interrupt", daemon=True).start()

    def _absences(self) -> int | None:
        """How often the connection was away, once it is back: an answer may still come then."""
        if self._endpoint.absences is not None:
            try:
                self._session.recount(self._endpoint.silence)
            except TargetTimeout:
                return None
            except RequestFailed:
                pass  # it answers, and does not know that command
            self._ask_again(self._session)
        return self._endpoint.absences

    def _resumed(self, session: Session) -> None:
        """The connection is back: ask for the replies that got lost, count the lines that did."""
        with contextlib.suppress(TargetLost, TargetTimeout, RequestFailed):
            self._ask_again(session)
            session.recount(self._endpoint.silence)

    def _ask_again(self, session: Session) -> None:
        if "again" in getattr(self, "features", ()):
            session.ask_again()

    def _session_ended(self, session: Session) -> None:
        """Nobody asked for that: find out why, also while nobody calls."""
        if not cast("Target", self)._closed and self._told is not session:
            threading.Thread(
                target=self._learn_why, args=(session,), name="kernellab-lost", daemon=True
            ).start()

    def _learn_why(self, session: Session) -> None:
        target = cast("Target", self)
        with self._busy:
            if target._closed or self._told is session or target._session is not session:
                return
            if target.bugcheck is not None:  # it was told by its event
                return
            known = target._stopped
            error = lost_error(target, TargetLost(session.lost or "the target's endpoint ended"))
            if known and not isinstance(error, Bugcheck):
                return
            self._untold = error
            if not isinstance(error, Bugcheck):
                event = ErrorEvent(error="target-lost", message=str(error))
                target._publish([event])
