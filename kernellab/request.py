"""A request to a device that was sent and may still be pending, as a Python object."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import TargetStopped

if TYPE_CHECKING:
    from .lab import Target

Result = TypeVar("Result")


class DeviceRequest(Generic[Result]):
    """What ``read_async``, ``write_async`` and ``ioctl_async`` return.

    The machine runs only while something is asked of it: a request goes on during other calls,
    during ``target.sleep()``, and while :meth:`result` waits for it.
    """

    def __init__(
        self, target: Target, what: str, reply: dict[str, Any], take: Callable[[Any], Result]
    ) -> None:
        self.target = target
        self.what = what
        self._number = reply.get("request")
        self._take = take
        self._machine = target.reboots
        self._value: tuple[Result] | None = None
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        """Whether its IRP is completed (or gone, with its machine)."""
        # Not kept: a snapshot may be restored in which it is pending again.
        return self._taken or self._gone or bool(self._call("poll", None).get("done"))

    def result(self, timeout: float | None = None) -> Result:
        """What the synchronous call would return; waits for it, and lets the machine run.

        ``timeout`` is how many seconds driver code may run meanwhile. Raises NtStatusError for a
        failure, STATUS_CANCELLED say, and StillPending where it is not completed and nothing on
        the machine will complete it by itself: it may be asked again later.
        """
        from .errors import NtStatusError

        if self._error is not None:
            raise self._error
        if self._value is None:
            try:
                self._value = (self._take(self._call("result", timeout)),)
            except NtStatusError as error:
                self._error = error
                raise
        return self._value[0]

    def cancel(self, timeout: float | None = None) -> bool:
        """Cancel it, as CancelIoEx does; False where it was done already.

        Its driver decides when it ends: see :attr:`done` and :meth:`result`.
        """
        if self._taken or self._gone:
            return False
        return bool(self._call("cancel", timeout).get("cancelled"))

    @property
    def _taken(self) -> bool:
        return self._value is not None or self._error is not None

    @property
    def _gone(self) -> bool:
        return self.target.reboots != self._machine

    def _call(self, command: str, timeout: float | None) -> dict[str, Any]:
        if self._gone:
            raise TargetStopped(f"{self.what}: its machine was rebooted")
        return self.target.call(command, timeout=timeout, request=self._number)

    def __repr__(self) -> str:
        return f"<DeviceRequest {self.what}: {'done' if self._taken else 'sent'}>"
