"""A moment of a simulated machine: to go back to, or to look at in a debugger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import TargetLost
from .session import reply_bytes

if TYPE_CHECKING:
    from .lab import Target


class Snapshot:
    """What :meth:`~kernellab.lab.Target.snapshot` gives: ``restore()`` it as often as you like.

    It lives as long as its machine: a reboot ends it.
    """

    def __init__(self, target: Target, number: int) -> None:
        self.target = target
        self._number = number
        self._reboots = target.reboots
        self._states = {name: driver.state for name, driver in target.drivers.items()}

    def restore(self) -> None:
        """Bring the machine back to this moment: memory, processors, objects, time.

        A machine that has stopped since, by a bug check say, runs again. Logs on this side keep
        what was printed in between. Raises TargetLost when the machine was rebooted.
        """
        self._alive()
        self.target._restore(self._number, self._states)

    def forget(self) -> None:
        """Give back the memory that the snapshot takes. It cannot be restored any more."""
        self._alive()
        self.target.call("forget", snapshot=self._number)
        self._reboots = -1

    @property
    def usable(self) -> bool:
        """Whether its machine is still there, and it was not forgotten."""
        return self._reboots == self.target.reboots

    def _alive(self) -> None:
        if not self.usable:
            raise TargetLost("the machine was rebooted since this snapshot, or it was forgotten")

    def __repr__(self) -> str:
        return f"<Snapshot {self._number} of {self.target!r}>"


def write_crash_dump(target: Target, path: Path) -> int:
    """Fetch a complete memory dump and write it to ``path``; its size in bytes."""
    reply = target.call("dump")
    file, size = str(reply.get("file")), int(reply.get("size", 0))
    # Beside it first: a dump is either whole or not there.
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as out:
            while out.tell() < size:
                chunk = reply_bytes(target.call("get", file=file, offset=out.tell()))
                if not chunk:
                    raise TargetLost("the dump ended early")
                out.write(chunk)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return size
