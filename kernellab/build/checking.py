"""Have the compiler check a crate: its messages, without building anything of it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ..errors import BuildCancelled, BuildError
from . import cache, process, sysroot, workspace
from .cache import Progress
from .cargo import run_for
from .diagnostics import Diagnostic
from .toolchain import Toolchain, find_toolchain
from .workspace import CrateLike


def check(
    crate: CrateLike,
    *,
    download: bool = True,
    toolchain: Toolchain | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    patience: float | None = None,
) -> list[Diagnostic]:
    """What the compiler says of ``crate``, errors and warnings; costs about 0.2 s.

    Its dependencies are downloaded where ``download`` is set. What only the linker finds, a
    missing entry point for instance, is not among it. The first check after a new toolchain
    compiles the framework's interface (some seconds).

    With ``patience`` it is a check that nobody waits for: it is given up after so many seconds of
    the compiler's (constants can take it hours), and starts again where a build has to wait for it.

    Raises BuildError where Cargo cannot do its work or ``cancel`` was set, and ToolchainError.
    """
    toolchain = toolchain or find_toolchain()
    while True:
        limits = None if patience is None else _Limits(patience, cancel)
        try:
            return _check(crate, download, toolchain, progress, cancel, limits)
        except (process.Cancelled, BuildCancelled):
            if limits is None or not limits.in_the_way:
                raise BuildError(f"the check of {crate.name} was stopped") from None


class _Limits(threading.Event):
    """Set when a check in the background has to end."""

    def __init__(self, patience: float, cancel: threading.Event | None) -> None:
        super().__init__()
        self._patience, self._cancel = patience, cancel
        self._lock, self._end, self._looked = Path(), 0.0, 0.0
        #: Whether it ends because a build waits.
        self.in_the_way = False

    def begin(self, lock: Path) -> None:
        """The compiler starts, and holds ``lock``."""
        self._lock, self._end = lock, time.monotonic() + self._patience

    def is_set(self) -> bool:
        """Whether to end; looked up where a build waits at most ten times a second."""
        now = time.monotonic()
        if (self._cancel is not None and self._cancel.is_set()) or now > self._end:
            return True
        if not self.in_the_way and now > self._looked + 0.1:
            self._looked = now
            self.in_the_way = cache.is_wanted(self._lock)
        return self.in_the_way


def _check(
    crate: CrateLike,
    download: bool,
    toolchain: Toolchain,
    progress: Progress | None,
    cancel: threading.Event | None,
    limits: _Limits | None,
) -> list[Diagnostic]:
    sysroot.ensure(toolchain, progress=progress, cancel=cancel)
    place = workspace.place_for(crate, toolchain)
    lock = workspace.lock_of(place)
    with cache.locked(
        lock, progress=progress, what=crate.name, cancel=cancel, behind=limits is not None
    ):
        if limits is not None:
            limits.begin(lock)
        run = run_for(crate, False, toolchain, progress, limits or cancel)
        with cache.trouble():
            workspace.prepare(place, crate)
        return run.check(download=download)
