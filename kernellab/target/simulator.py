"""The ``sim`` target: the built-in simulated NT kernel, in a subprocess."""

from __future__ import annotations

import base64
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernellab.errors import UsageError

from .base import Endpoint, RuleInfo, TargetKind
from .process import ProcessEndpoint


def _numbered(value: Any, name: str) -> dict[int, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, int) for key in value):
        raise UsageError(f"{name} has to be a dict with numbers as keys")
    return value


def _content(value: Any) -> str | int:
    if isinstance(value, int):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    raise UsageError("device_memory: the values have to be bytes, or a number of zero bytes")


class Sim(TargetKind):
    """A simulated NT kernel on this computer: no VM, no administrator rights."""

    name = "sim"
    summary = "the built-in simulated NT kernel (no VM needed; the default)"
    settings = frozenset(
        {"seed", "processors", "pool_guard", "device_memory", "ports", "verifier", "files"}
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: ProcessEndpoint | None = None

    def rules(self) -> Sequence[RuleInfo]:
        from .sim.verify import table

        return [RuleInfo(rule.name, rule.summary, rule.page) for rule in table()]

    def start(self, **options: Any) -> Endpoint:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            if spare.alive:
                return spare
            spare.stop()
        return _spawn()

    def fresh(self, snapshot: str) -> dict[str, Any]:
        return {}  # each start is on a new machine

    def encode(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Addresses become text, bytes base64; the folder of files is made absolute."""
        encoded = dict(settings)
        if "files" in encoded:
            folder = encoded["files"]
            if not isinstance(folder, str | Path) or not Path(folder).is_dir():
                raise UsageError(f"files={folder!r} is no folder")
            encoded["files"] = str(Path(folder).resolve())
        if "device_memory" in encoded:
            regions = _numbered(encoded["device_memory"], "device_memory")
            encoded["device_memory"] = {f"{at:#x}": _content(v) for at, v in regions.items()}
        if "ports" in encoded:
            ports = _numbered(encoded["ports"], "ports")
            if not all(isinstance(value, int) for value in ports.values()):
                raise UsageError("ports: the values have to be whole numbers")
            encoded["ports"] = {f"{at:#x}": value for at, value in ports.items()}
        return encoded

    def warm(self) -> None:
        """Keep one started simulator at hand: the next :meth:`start` costs nothing."""
        with self._lock:
            if self._spare is None or not self._spare.alive:
                self._spare = _spawn()

    def cool(self) -> None:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.stop()


def _spawn() -> ProcessEndpoint:
    # -P: a file called unicorn.py beside the notebook must not be imported instead.
    # The hash seed is fixed because sim promises the same log for the same run.
    return ProcessEndpoint(
        [sys.executable, "-P", "-m", "kernellab.target.sim"],
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
