"""``--target wine``: start a session, hand over its agent's streams."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kernellab.errors import TargetLost, UsageError

from ..base import Endpoint, TargetKind
from ..process import ProcessEndpoint
from . import installed

if TYPE_CHECKING:
    from .prefix import Progress

#: Seconds that a session's guard gets to take everything away.
_GRACE: Final = 8.0


class WineEndpoint(ProcessEndpoint):
    """The guard of a session; the streams are its agent's."""

    def stop(self, grace: float = 0.5) -> None:
        super().stop(max(grace, _GRACE))


class WineKind(TargetKind):
    """Wine's NT kernel on this computer: native speed, and written by others."""

    name = "wine"
    summary = "Wine's NT kernel on this computer: a second opinion, at native speed (Linux)"
    wants_agent = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: WineEndpoint | None = None
        self._given: tuple[Path, Path] | None = None

    def state(self) -> str:
        try:
            wine = installed.find()
        except TargetLost as error:
            return str(error)
        return f"ready (Wine {wine.version})"

    def prepare(self, folder: Path, progress: Progress | None = None) -> None:
        from . import prefix

        prefix.ensure(folder / "wine", installed.find(), progress)

    def start(self, **options: Any) -> Endpoint:
        agent, folder = options.pop("agent"), options.pop("folder")
        if options:
            raise UsageError(f"the target wine has no option {', '.join(sorted(options))}")
        with self._lock:
            spare, self._spare = self._spare, None
            same, self._given = self._given == (agent, folder), (agent, folder)
        if spare is not None:
            if spare.alive and same:
                return spare
            spare.stop()
        return _start(agent, folder)

    def fresh(self, snapshot: str) -> dict[str, Any]:
        return {}  # each start is on a new machine

    def warm(self) -> None:
        """Keep one started machine at hand, once one was asked for."""
        with self._lock:
            wanted = self._given is not None and (self._spare is None or not self._spare.alive)
            if wanted and self._given is not None:
                self._spare = _start(*self._given)

    def cool(self) -> None:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.stop()


def _start(agent: Path, cache: Path) -> WineEndpoint:
    wine = installed.find()
    from . import guard, prefix  # which are for Linux

    folder = cache / "wine"
    session = prefix.clone(folder, prefix.ensure(folder, wine))
    inside = session / guard.PREFIX / "drive_c" / "kernellab"
    try:
        inside.mkdir()
        shutil.copyfile(agent, inside / "agent.exe")
        program = r"C:\kernellab\agent.exe"
        command = [sys.executable, "-I", "-S", guard.__file__, session, wine.loader, program]
        words = ["--wine", "--folder", r"C:\kernellab\files"]
        env = prefix.environment(session / guard.PREFIX)
        return WineEndpoint([str(each) for each in [*command, *words]], env=env)
    except BaseException:
        shutil.rmtree(session, ignore_errors=True)
        raise
