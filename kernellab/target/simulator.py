"""The ``sim`` target: the built-in simulated NT kernel, in a subprocess."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

from .base import Endpoint, RuleInfo, TargetKind
from .process import ProcessEndpoint


class Sim(TargetKind):
    """A simulated NT kernel on this computer: no VM, no administrator rights."""

    name = "sim"
    summary = "the built-in simulated NT kernel (no VM needed; the default)"
    settings = frozenset({"seed", "processors", "pool_guard", "verifier"})

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
