"""Any virtualizer by its own program: virsh, VBoxManage, vmrun, Hyper-V's cmdlets.

Each operation is a list of words, run without a shell; ``{snapshot}`` in a word becomes the
snapshot's name. Recipes are in docs/windows-vm.md.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import Any, Final

from ...errors import PowerError
from .base import OFF, PAUSED, RUNNING, SNAPSHOT, UNKNOWN, Power

KEYS: Final[Mapping[str, type]] = {
    **{"start": list, "stop": list, "kill": list, "reset": list, "snapshot": list},
    **{"revert": list, "delete-snapshot": list, "state": list, "address": list},
    **{"running": str, "off": str, "paused": str, "revert-from": str},
}

#: Seconds for one command: loading a large memory takes a while.
LIMIT: Final = 300.0

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")


class Commands(Power):
    """``running``, ``off`` and ``paused`` are regular expressions for what ``state`` prints.

    ``revert-from = "off"``: a machine has to be switched off (``kill``) before it is reverted.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table

    def state(self) -> str:
        if "state" not in self._table:
            return UNKNOWN
        said = self._run("state")
        for state in (RUNNING, PAUSED, OFF):
            pattern = self._table.get(state)
            if pattern and re.search(pattern, said, re.IGNORECASE | re.MULTILINE):
                return state
        return UNKNOWN

    def start(self) -> None:
        if "state" in self._table and self.state() == RUNNING:
            return
        self._run("start")

    def stop(self, grace: float = 60.0) -> None:
        import time

        self._run("stop")
        end = time.monotonic() + grace
        while "state" in self._table and self.state() == RUNNING:
            if time.monotonic() > end:
                self._run("kill")
                return
            time.sleep(0.2)

    def reset(self) -> None:
        self._run("reset")

    def snapshot(self, name: str = SNAPSHOT) -> None:
        if "delete-snapshot" in self._table:
            try:
                self._run("delete-snapshot", name)
            except PowerError:
                pass  # there was none yet; a real failure shows when the new one is made
        self._run("snapshot", name)

    def revert(self, name: str = SNAPSHOT) -> None:
        if self._table.get("revert-from") == OFF and self.state() != OFF:
            self._run("kill")
        self._run("revert", name)

    def address(self) -> str:
        """The first IPv4 address that the command prints."""
        if "address" not in self._table:
            return ""
        found = re.search(r"\b(?:\d{1,3}\.){3}\d{1,3}\b", self._run("address"))
        return found[0] if found else ""

    def _run(self, operation: str, snapshot: str = "") -> str:
        words = self._table.get(operation)
        if not words:
            raise PowerError(f"power has no command {operation!r} for this machine")
        if snapshot and not _NAME.fullmatch(snapshot):
            raise PowerError(f"{snapshot!r} is no name for a snapshot")
        line = [word.replace("{snapshot}", snapshot) for word in words]
        try:
            done = subprocess.run(
                line, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False
            )
        except OSError as error:
            raise PowerError(f"cannot run {line[0]}: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise PowerError(f"{operation} ({line[0]}) takes longer than {LIMIT:g} s") from None
        out = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            said = " ".join((done.stderr.decode("utf-8", "replace") or out).split())[-300:]
            raise PowerError(f"{operation} ({line[0]}) ended with {done.returncode}: {said}")
        return out
