"""What a target offers besides drivers and devices: its error log, hardware that tests play."""

from __future__ import annotations

from typing import Any, cast


class Hardware:
    """The part of :class:`~kernellab.lab.Target` that is about the machine around drivers."""

    def call(self, command: str, *, timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """One request; see :meth:`kernellab.lab.Target.call`."""
        raise NotImplementedError

    @property
    def error_log(self) -> list[dict[str, Any]]:
        """What drivers wrote with IoWriteErrorLogEntry, and hard errors, oldest first.

        Each entry has ``driver``, ``device``, ``time`` (virtual seconds) and ``strings``; a log
        entry also ``error`` (the message's code), ``status``, ``unique``, ``dump`` (hexadecimal)
        and the rest of its packet, a hard error ``hard_error``, an NTSTATUS by name.
        """
        return cast("list[dict[str, Any]]", self.call("error_log")["entries"])
